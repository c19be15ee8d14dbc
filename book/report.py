"""How a failed lesson is told: on the terminal, and on its page."""

import html

from book.execute import Outcome
from book.lessons import Lesson


def failure_report(lesson: Lesson, outcome: Outcome) -> str:
    """File, cell, its source and the last frames, for the terminal."""
    error = outcome.error or {}
    place = f", cell {error['cell']}" if error.get("cell") else ""
    lines = [f"{lesson.source}{place}: {error.get('name')}: {error.get('message')}"]
    if error.get("source"):
        lines += ["  the cell:", *(f"    {line}" for line in error["source"].splitlines())]
    if error.get("frames"):
        lines += ["  the end of the traceback:", *(f"    {line}" for line in error["frames"])]
    return "\n".join(lines)


def failure_banner(outcome: Outcome) -> str:
    """What a failed lesson's page says on top, as HTML."""
    error = outcome.error or {}
    place = f" in cell {error['cell']}" if error.get("cell") else ""
    said = html.escape(f"{error.get('name')}: {error.get('message')}")
    return (
        '<div class="medlab-failed" role="alert"><p><strong>This lesson did not run to its end.</strong> '
        f"It stopped{place}; what follows shows how far it came.</p><pre>{said}</pre></div>"
    )
