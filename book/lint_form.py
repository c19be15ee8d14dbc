"""Rules on the form of a lesson: its header, its opening, its sections, exercises and quiz.

Each rule takes a Page and yields sentences that say what was found and what was expected.
"""

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator

from book.exercises import exercise_source
from book.lessons import PATHS, tags
from book.lint_page import Page, Piece, calls_in, dotted, headed
from book.setup_cell import SETUP_TAGS, setup_source
from book.sync import repository_url

DECLARED = ("summary", "prerequisites", "paths", "weights")
CLOSING = ["Where it breaks", "Exercises", "Quiz", "In short", "Data and limits", "Further reading"]
LADDER = [("hint", "Hint"), ("hint", "Stronger hint"), ("solution", "Solution")]
MOST_CHARACTERS = 160


def header(page: Page) -> Iterator[str]:
    declared = page.lesson.declared
    if missing := [key for key in DECLARED if key not in declared]:
        yield f"the lesson block of the header lacks {_listed(missing)}, expected {_listed(DECLARED)}"
    summary = page.lesson.summary
    one_sentence = summary.endswith(".") and not re.search(r"[.!?]\s+[A-Z]", summary)
    if "summary" in declared and not (one_sentence and len(summary) <= MOST_CHARACTERS):
        yield (
            f"the summary has {len(summary)} characters and ends in «{summary[-12:]}», expected one sentence "
            f"of at most {MOST_CHARACTERS} characters with its full stop"
        )
    for key in DECLARED[1:]:
        if not isinstance(declared.get(key, []), list):
            yield f"«{key}» of the header is «{declared[key]}», expected a list"
        elif key == "paths" and (unknown := [path for path in page.lesson.paths if path not in PATHS]):
            yield f"the header names the paths {_listed(unknown)}, expected some of {_listed(PATHS)}"
    if not page.lesson.notebook.metadata.get("kernelspec", {}).get("language"):
        yield "the header has no kernelspec with a language, expected the one that `make sync` writes"


def opening(page: Page) -> Iterator[str]:
    """Title and promise, setup cell, parameters cell, start, and a picture on the first screen."""
    cells = page.lesson.cells
    titles = [h for cell in cells if cell.cell_type == "markdown" for h, _ in headed(cell.source, 1) if h]
    if len(titles) != 1 or not cells[0].source.startswith("# "):
        yield f"cell 1: the lesson has {len(titles)} titles, expected one «# Title», as the first line of a first cell"
    yield from _promise(page, cells[0].source if cells else "")
    setup = cells[1] if len(cells) > 1 else None
    if setup is None or setup.source != setup_source(repository_url(page.root)) or tags(setup) != SETUP_TAGS:
        yield f"cell 2: not today's setup cell, expected the text of book/setup_cell.py, tagged {_listed(SETUP_TAGS)}"
    third = [piece for piece in page.code if piece.number == 3 and "parameters" in piece.tags]
    names = {name.id for piece in third for name in _assigned(piece)}
    if missing := {"profile", "seed"} - names:
        gap = _listed(sorted(missing))
        yield f"cell 3: sets no {gap} in a parameters cell, expected one (so tagged) that sets profile and seed"
    if not any(ast.unparse(call.node) == "start(profile, seed)" for call in page.called("start")):
        yield "no cell calls start(profile, seed), expected `run = start(profile, seed)` in the cell with the imports"
    if not any(call.last in ("show", "explore") for piece in page.inside("") for call in calls_in(piece)):
        yield "no picture stands before the first section, expected a call of show or explore on the first screen"


def _promise(page: Page, text: str) -> Iterator[str]:
    _, found, after = text.partition("**You will be able to**")
    lines = [line for line in after.lstrip("\n :").split("\n\n")[0].splitlines() if line.startswith(("- ", "* "))]
    if not found or not 3 <= len(lines) <= 5:
        yield f"cell 1: {len(lines)} objectives, expected «**You will be able to**» and three to five bullets below it"
    _, found, after = text.partition("**You need**")
    if not found:
        yield "cell 1: nothing says what a reader has to know, expected a line «**You need** ...»"
        return
    targets = re.findall(r"\]\(([^)\s]+)\.ipynb\)", after.partition("\n\n")[0])
    linked = {posixpath.normpath(posixpath.join(page.lesson.part, target)) for target in targets}
    for need in page.lesson.prerequisites:
        if need not in linked:
            yield f"cell 1: «**You need**» has no link to the prerequisite {need}, expected «(../{need}.ipynb)»"
    if strange := sorted(linked - set(page.lesson.prerequisites)):
        yield f"cell 1: «**You need**» links {_listed(strange)}, expected only prerequisites that the header declares"


def sections(page: Page) -> Iterator[str]:
    names = page.sections
    if names[-len(CLOSING) :] != CLOSING:
        yield f"the sections end with {_listed(names[-len(CLOSING) :])}, expected {_listed(CLOSING)} in this order"
    elif len(names) < len(CLOSING) + 2:
        yield f"{len(names) - len(CLOSING)} sections before «{CLOSING[0]}», expected at least two that teach the idea"
    breaks = page.inside("Where it breaks")
    if breaks and not any(isinstance(node, ast.Assert) for piece in breaks for node in piece.nodes):
        yield "no assert in the code of «Where it breaks», expected one, so that CI checks that it does break"


def exercises(page: Page) -> Iterator[str]:
    pieces = page.inside("Exercises")
    found = _exercises(pieces)
    wanted = [f"Exercise {at}: " for at in range(1, max(3, len(found)) + 1)]
    names = [heading for heading, _, _ in found]
    if pieces and not (len(names) == len(wanted) and all(map(str.startswith, names, wanted))):
        yield (
            f"the exercises are {_listed(names)}, "
            "expected at least three headings «### Exercise N: name», numbered from 1"
        )
    for heading, number, text in found:
        steps = re.findall(r'<details class="(\w+)">\s*<summary>(.*?)</summary>', text)
        if steps != LADDER or text.count("<details") != 3 or text.count("</details>") != 3:
            held = _listed([summary for _, summary in steps])
            yield f"cell {number}: «{heading}» holds {held}, expected closed details: Hint, Stronger hint, Solution"
        elif len(re.findall(r"</summary>\n\n", text)) != 3 or len(re.findall(r"\n\n</details>", text)) != 3:
            yield (
                f"cell {number}: a hint or solution of «{heading}» touches its tags, "
                "expected an empty line before and after the text, else Markdown in it stays raw"
            )
    if pieces and not any("solution" in piece.tags for piece in pieces):
        yield "no exercise is code, expected a cell tagged solution in «Exercises»"
    yield from _solutions(page)


def _exercises(pieces: list[Piece]) -> list[tuple[str, int, str]]:
    """Heading, cell and text of each exercise; the text may go on behind a code cell."""
    found: list[tuple[str, int, str]] = []
    for piece in pieces:
        for heading, text in [] if piece.is_code else headed(piece.text, 3):
            if heading:
                found.append((heading, piece.number, text))
            elif found:
                found[-1] = (*found[-1][:2], f"{found[-1][2]}\n{text}")
    return found


def _solutions(page: Page) -> Iterator[str]:
    cells = page.lesson.cells
    for piece in page.code:
        if "solution" not in piece.tags:
            continue
        where, before = f"cell {piece.number}: the solution", cells[piece.number - 2]
        if piece.tags != ("solution", "hide-cell"):
            yield f"{where} is tagged {_listed(piece.tags)}, expected solution, hide-cell"
        try:
            if exercise_source(piece.text) != before.source or "exercise" not in tags(before):
                yield f"{where} has no exercise made from it directly before it, expected the cell of `make sync`"
        except ValueError as problem:
            yield f"{where} is not marked: {problem}"
        if piece.tree and not (piece.tree.body and ast.unparse(piece.tree.body[-1]).startswith("judge(")):
            yield f"{where} does not end with judge(...), expected `judge(check, answer)` as its last line"


def quiz(page: Page) -> Iterator[str]:
    places = [(piece, call) for piece in page.inside("Quiz") for call in calls_in(piece) if call.last == "quiz"]
    if "Quiz" in page.sections and len(places) != 1:
        yield f"{len(places)} calls of quiz in «Quiz», expected one"
    for piece, _ in places:
        questions = [call for call in calls_in(piece) if call.last == "question"]
        if len(questions) < 3:
            yield f"cell {piece.number}: the quiz has {len(questions)} questions, expected at least three"
        for at, question in enumerate(questions, start=1):
            rights = sum(isinstance(a, ast.Call) and dotted(a.func) == "right" for a in question.node.args)
            if rights != 1:
                yield f"cell {piece.number}: question {at} has {rights} right answers, expected exactly one right(...)"
        if "remove-input" not in piece.tags:
            yield f"cell {piece.number}: the quiz is tagged {_listed(piece.tags)}, expected remove-input"


def _assigned(piece: Piece) -> list[ast.Name]:
    return [node for node in piece.nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


RULES = (header, opening, sections, exercises, quiz)
