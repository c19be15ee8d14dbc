import base64
import gzip
import json
import re

import matplotlib.pyplot as plt
import pytest

from medlab.viz import explore


def draw(a, b=0):
    figure, ax = plt.subplots(figsize=(2, 1))
    ax.bar([0, 1], [a, b])
    return figure


def frames_of(bundle):
    packed = re.search(r'class="medlab-frames">([^<]+)<', bundle["text/html"])[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.fixture
def published(monkeypatch, displayed):
    monkeypatch.setenv("MEDLAB_PUBLISH", "1")
    monkeypatch.setenv("MEDLAB_PROFILE", "cpu")
    return displayed


def test_the_page_holds_every_combination_in_the_order_the_player_counts(published):
    explore(draw, caption="c", alt=lambda a, b: f"a {a}, b {b}", a=[1, 2, 3], b=[0.5, 1.5])
    bundle, _ = published[0]
    svgs, alts = frames_of(bundle)
    assert alts == [f"a {a}, b {b}" for a in (1, 2, 3) for b in (0.5, 1.5)]
    assert len(set(svgs)) == 6 and all(svg.startswith("<svg") for svg in svgs)


def test_the_starting_frame_and_sliders_agree(published):
    explore(draw, caption="c", alt=lambda a: f"a is {a}", a=[1, 2, 3, 4], start={"a": 4}, labels={"a": "height (mm)"})
    html = published[0][0]["text/html"]
    assert 'aria-label="a is 4"' in html and 'value="3"' in html and ">height (mm)</label>" in html
    assert re.search(r'<label for="([^"]+)">', html)[1] == re.search(r'<input type="range" id="([^"]+)"', html)[1]


def test_nothing_in_it_asks_the_network(published):
    explore(draw, caption="c", alt="a", a=[1, 2])
    html = published[0][0]["text/html"]
    assert not re.search(r'(?:src|href)="(?!#|data:)', html)


def test_the_same_call_gives_the_same_frames(published):
    explore(draw, caption="c", alt="a", a=[1, 2])
    explore(draw, caption="c", alt="a", a=[1, 2])
    first, second = (frames_of(bundle)[0] for bundle, _ in published)

    def without_ids(svg):
        return re.sub(r"x\d+-[0-9a-f]{8}-\d+-m?[0-9a-z_]*", "", svg)

    assert [without_ids(svg) for svg in first] == [without_ids(svg) for svg in second]


def test_ci_draws_the_ends_and_the_start_only(published, monkeypatch):
    monkeypatch.setenv("MEDLAB_PROFILE", "ci")
    explore(draw, caption="c", alt=lambda a: str(a), a=list(range(21)), start={"a": 5})
    assert frames_of(published[0][0])[1] == ["0", "5", "20"]


def test_in_jupyter_it_is_live_widgets(displayed, monkeypatch):
    import ipywidgets

    monkeypatch.delenv("MEDLAB_PUBLISH", raising=False)
    caught = []
    monkeypatch.setattr("medlab.viz.interact.display", lambda box: caught.append(box))
    explore(draw, caption="c", alt="a", a=[1, 2, 3], labels={"a": "height"})
    slider, output = caught[0].children
    assert isinstance(slider, ipywidgets.SelectionSlider) and slider.value == 2 and slider.description == "height"
    assert isinstance(output, ipywidgets.Output)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "at least one name"),
        ({"a": []}, "non-empty"),
        ({"a": list(range(61))}, "at most 60"),
        ({"a": [1, 2], "start": {"a": 9}}, "expected one of"),
    ],
)
def test_what_cannot_be_shown_is_refused(published, values, sentence):
    with pytest.raises(ValueError, match=sentence):
        explore(draw, caption="c", alt="a", **values)


def test_a_figure_over_a_megabyte_is_refused(published):
    import numpy as np

    def noise(seed):
        figure, ax = plt.subplots()
        ax.imshow(np.random.default_rng(seed).random((300, 300)))
        return figure

    with pytest.raises(ValueError, match="MB, expected at most 1 MB"):
        explore(noise, caption="c", alt="a", seed=list(range(16)))
