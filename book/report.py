"""What a build says: one line for each lesson as it finishes, failures at the end, a banner for a failed page."""

import html
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from tqdm import tqdm

from book.execution_state import place

if TYPE_CHECKING:
    from book.execution_state import Outcome


class Progress:
    """One line for each finished lesson; on a terminal a bar below them says what is running."""

    def __init__(self, total: int, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.total, self.done = total, 0
        self._stream, self._quiet = stream or sys.stdout, quiet
        on_terminal = self._stream.isatty() and not quiet and total > 0
        layout = "{percentage:3.0f}% |{bar:24}| {n_fmt}/{total_fmt} lessons, {elapsed} {postfix}"
        self._bar = tqdm(total=total, file=self._stream, leave=False, bar_format=layout) if on_terminal else None

    def tick(self, running: Sequence[str]) -> None:
        """Say what is running now; a log that is not a terminal is spared this."""
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(sorted(running)))

    def finished(self, outcome: "Outcome") -> None:
        self.done += 1
        if self._quiet:
            return
        width = len(str(self.total))
        line = f"[{self.done:{width}}/{self.total}] {outcome.lesson_id:<40} {_cost(outcome)}  {_verdict(outcome)}"
        if self._bar is None:
            print(line, file=self._stream, flush=True)
        else:
            self._bar.write(line, file=self._stream)
            self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _cost(outcome: "Outcome") -> str:
    peak = outcome.state.get("peak_mib")
    memory = f"{peak:6.0f} MiB" if peak else f"{'?':>6} MiB"
    return f"{outcome.state['wall_s']:7.1f} s  {memory}"


def _verdict(outcome: "Outcome") -> str:
    if not outcome.ok:
        return "FAILED"
    return "up to date" if outcome.cached else "ran"


def failure_report(outcome: "Outcome") -> str:
    """A failed lesson for the terminal: file, cell, line, the cell's source, the error, the last frames."""
    error = outcome.error
    lines = [f"FAILED {outcome.lesson_id}: {place(error)}", f"  {error['name']}: {error['message']}"]
    if error.get("source"):
        lines += ["  The cell:", *(f"    | {line}" for line in error["source"].splitlines())]
    # The last frame repeats the error's name and message.
    frames = [frame for frame in error.get("frames") or [] if not frame.startswith(f"{error['name']}:")]
    if frames:
        lines += ["  Last frames:", *(f"    {line}" for frame in frames for line in frame.splitlines())]
    return "\n".join(lines)


def warning_lines(outcomes: Sequence["Outcome"]) -> list[str]:
    """One sentence for each cell whose output holds stderr; a failed lesson has its own report."""
    found = [warning for outcome in outcomes if outcome.ok for warning in outcome.state.get("warnings", [])]
    return [f"warning: {place(warning)}: {warning['message']}" for warning in found]


def summary(outcomes: Sequence["Outcome"]) -> str:
    """The build in one line."""
    failed = sum(not outcome.ok for outcome in outcomes)
    cached = sum(outcome.ok and outcome.cached for outcome in outcomes)
    ran = len(outcomes) - failed - cached
    return f"{len(outcomes)} lessons: {ran} ran, {cached} up to date, {failed} failed"


def failure_banner(outcome: "Outcome") -> str:
    """Markdown that tells the reader of a page that its lesson failed, with the error; empty where it did not."""
    if outcome.error is None:
        return ""
    error = outcome.error
    frames = "\n".join(error.get("frames") or [])
    shown = frames or error.get("source") or ""
    # HTML in Markdown ends at an empty line, so line breaks are written as entities.
    details = f"<pre>{_one_line(shown)}</pre>" if shown else ""
    return (
        '<div class="medlab-failed admonition error" role="alert">'
        '<p class="admonition-title">This lesson failed when the book was made</p>'
        f"<p>In {_one_line(place(error))}: <code>{_one_line(error['name'])}</code>: {_one_line(error['message'])}. "
        f"What follows ran before that; the rest of the page has no results.</p>{details}</div>"
    )


def _one_line(text: str) -> str:
    return html.escape(str(text)).replace("\n", "&#10;")
