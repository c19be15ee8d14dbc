"""Read an executed notebook: which cell failed, what is unsolved, what writes to stderr, what was recorded."""

import re

import nbformat

from book.lessons import tags

INJECTED, MARKER = "injected-parameters", "papermill-error-cell-tag"
RECORD_PREFIX = "application/papermill.record/"
# The output of these cells never reaches the page.
UNSEEN = {"exercise", "remove-output", "remove-cell", "remove-stderr"}
FRAMES, FRAME_LINES = 3, 14


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without papermill's error markers, pieces of one stream joined; changed in place."""
    notebook.cells = [cell for cell in notebook.cells if MARKER not in tags(cell)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    return notebook


def _joined(outputs: list) -> list:
    """How a stream falls into pieces is chance; text before a figure stays before it."""
    made: list = []
    for output in outputs:
        last = made[-1] if made else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            made.append(output)
    return made


def examine(notebook: nbformat.NotebookNode, file: str, source: str) -> dict:
    """cells, recorded, warnings and error of an executed notebook, as they stand in a lesson's state.

    file: the name that failures are reported under. source: the text of the lesson's `.py`, for line numbers.
    """
    cells = [cell for cell in notebook.cells if INJECTED not in tags(cell)]
    lines = cell_lines(source, len(cells))
    found = [_Cell(number, cell, line, file) for number, (cell, line) in enumerate(zip(cells, lines, strict=True), 1)]
    code = [cell for cell in found if cell.node.cell_type == "code"]
    error = next((cell.failure() for cell in code if cell.failed), None)
    return {
        "cells": [{"cell": cell.number, "seconds": cell.seconds} for cell in code],
        "recorded": {name: number for cell in code for name, number in cell.recorded().items()},
        "warnings": [cell.stderr_warning() for cell in code if cell.stderr() and not UNSEEN & set(tags(cell.node))],
        "error": error or next((cell.unsolved() for cell in code if cell.is_unsolved()), None),
    }


def last_started(notebook: nbformat.NotebookNode, file: str, source: str) -> dict:
    """Where execution stood when it ended without a reply: the file, cell, line and source of an error."""
    cells = [cell for cell in notebook.cells if INJECTED not in tags(cell)]
    lines = cell_lines(source, len(cells))
    started = [number for number, cell in enumerate(cells, 1) if cell.metadata.get("papermill", {}).get("start_time")]
    if not started:
        return {"file": file, "cell": None, "line": None, "source": ""}
    number = started[-1]
    return {"file": file, "cell": number, "line": lines[number - 1], "source": cells[number - 1].source}


def cell_lines(source: str, count: int) -> list[int | None]:
    """The line of the `.py` on which each of `count` cells begins, None where it cannot be told."""
    lines = source.splitlines()
    marks = [at for at, line in enumerate(lines) if re.match(r"# %%(?!%)", line)]
    if len(marks) != count:
        return [None] * count
    starts = []
    for mark in marks:
        first = next((at for at in range(mark + 1, len(lines)) if lines[at].strip()), mark)
        starts.append(first + 1)
    return starts


def plain(text: str) -> str:
    """Text without the escape sequences that colour it on a terminal."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


class _Cell:
    """One executed cell with its number and the line of the source on which it begins."""

    def __init__(self, number: int, node: nbformat.NotebookNode, line: int | None, file: str) -> None:
        self.number, self.node, self.line, self.file = number, node, line, file

    @property
    def _papermill(self) -> dict:
        return self.node.metadata.get("papermill", {})

    @property
    def failed(self) -> bool:
        return self._papermill.get("exception") is True

    @property
    def seconds(self) -> float | None:
        return self._papermill.get("duration")

    def _problem(self, name: str, message: str, frames: list[str], line: int | None) -> dict:
        return {
            "file": self.file,
            "cell": self.number,
            "line": line,
            "name": name,
            "message": message,
            "source": self.node.source,
            "frames": frames,
        }

    def failure(self) -> dict:
        raised = next((output for output in reversed(self.node.outputs) if output.output_type == "error"), None)
        if raised is None:
            return self._problem("CellFailed", "the cell failed without saying why", [], self.line)
        frames = [plain(frame).strip("\n") for frame in raised.traceback]
        frames = [frame for frame in frames if frame.strip("-\n ")]
        inside = re.search(r"Cell In\s?\[\d+\], line (\d+)", "\n".join(frames))
        line = self.line + int(inside[1]) - 1 if self.line and inside else self.line
        shown = ["\n".join(frame.splitlines()[-FRAME_LINES:]) for frame in frames[-FRAMES - 1 :]]
        return self._problem(raised.ename, plain(raised.evalue), shown, line)

    def _stream(self, name: str) -> str:
        pieces = [o.text for o in self.node.outputs if o.output_type == "stream" and o.name == name]
        return plain("".join(pieces)).strip()

    def stderr(self) -> str:
        return self._stream("stderr")

    def stderr_warning(self) -> dict:
        # A kernel names the file of a cell by its process; the reader wants the line.
        said = re.sub(r"\S*/ipykernel_\d+/\d+\.py:(\d+)", r"line \1", self.stderr().splitlines()[0])
        message = f"the cell writes to stderr: {said}"
        return {
            "file": self.file,
            "cell": self.number,
            "line": self.line,
            "message": message,
            "source": self.node.source,
        }

    def _text(self) -> str:
        data = [output.data.get("text/plain", "") for output in self.node.outputs if "data" in output]
        return "\n".join([self._stream("stdout"), *data]).strip()

    def is_unsolved(self) -> bool:
        if "solution" not in tags(self.node):
            return False
        said = self._text().splitlines()
        return not any(line.startswith("Correct") for line in said) or any(line.startswith("Not yet") for line in said)

    def unsolved(self) -> dict:
        said = self._text().splitlines()
        shown = next((line for line in said if line.startswith("Not yet")), said[0] if said else "nothing")
        message = f"the solution in cell {self.number} printed «{shown}», expected «Correct.»"
        return self._problem("UnsolvedExercise", message, [], self.line)

    def recorded(self) -> dict:
        found = {}
        for output in self.node.outputs:
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name:
                data = output.get("data", {})
                text = data.get("text/plain", data.get(f"{RECORD_PREFIX}text/plain", ""))
                facts = output.metadata.get("medlab", {})
                found[name] = {"text": text.strip("'"), **{key: facts[key] for key in facts if key != "name"}}
        return found
