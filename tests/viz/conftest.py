"""What the viz tests share: catch what a lesson would display."""

import matplotlib
import pytest

matplotlib.use("agg")


@pytest.fixture
def displayed(monkeypatch):
    """A list that receives (bundle, metadata) of everything that medlab.viz displays."""
    from medlab.viz import exercise, figure, interact, lesson, quiz, style, tables

    caught = []

    def catch(bundle, raw=False, metadata=None):
        caught.append((bundle, metadata or {}))

    for module in (figure, interact, lesson, quiz, tables, exercise):
        if hasattr(module, "display"):
            monkeypatch.setattr(module, "display", catch)
    with matplotlib.rc_context():
        style.apply()
        yield caught
