"""An exercise is made from its solution, so that the two cannot drift.

In a lesson's source a code cell tagged `solution` marks the reader's part by two comments. The cell tagged
`exercise` before it is the same text with that part replaced by a gap; `make sync` writes it.
"""

import re

import nbformat

from book.lessons import tags

BEGIN, END = "# begin solution", "# end solution"
GAP = "...  # your code here"


def exercise_source(solution: str) -> str:
    """The exercise that belongs to a solution: each marked part becomes a gap at the same indentation.

    Raises ValueError where the two comments are missing or do not pair.
    """
    lines, inside, gaps = [], False, 0
    for line in solution.splitlines():
        mark = line.strip()
        if mark == BEGIN and not inside:
            inside, gaps = True, gaps + 1
            lines.append(re.match(r"\s*", line)[0] + GAP)
        elif mark == END and inside:
            inside = False
        elif mark in (BEGIN, END):
            raise ValueError(f"«{mark}» stands without its partner, expected pairs of «{BEGIN}» and «{END}»")
        elif not inside:
            lines.append(line)
    if inside or not gaps:
        raise ValueError(f"the solution cell has {gaps} begun parts, expected pairs of «{BEGIN}» and «{END}»")
    return "\n".join(lines)


def with_exercises(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The cells with a fresh exercise before each solution; exercises without a solution are dropped."""
    made = []
    for cell in cells:
        if cell.cell_type == "code" and "exercise" in tags(cell):
            continue
        if cell.cell_type == "code" and "solution" in tags(cell):
            made.append(nbformat.v4.new_code_cell(exercise_source(cell.source), metadata={"tags": ["exercise"]}))
        made.append(cell)
    return made
