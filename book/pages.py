"""From an executed notebook to the notebook that the page is made of."""

import copy
import re

import nbformat

from book.lessons import CHECK_MARK, tags

EQUATION_LABEL = re.compile(r"\$\$\s*\(([\w-]+)\)")


def page_notebook(
    executed: nbformat.NotebookNode, card: str, banner: str = "", chapter: int | None = None
) -> nbformat.NotebookNode:
    """The executed notebook as its readers should meet it.

    The injected parameters and the marks of the checks go, an exercise stands without the output of its unsolved
    state, the cost card follows the promise, and a failed lesson says so on top. With its chapter's number, code
    names equations as the page numbers them.
    """
    made = copy.deepcopy(executed)
    made.cells = [cell for cell in made.cells if "injected-parameters" not in tags(cell)]
    # Papermill's own banner cells only appear after a failure; ours says more.
    made.cells = [cell for cell in made.cells if "papermill-error-cell-tag" not in tags(cell)]
    for at, cell in enumerate(made.cells):
        cell.metadata = nbformat.from_dict({"tags": tags(cell)} if tags(cell) else {})
        cell["id"] = f"cell-{at}"
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        cell.source = "\n".join(line for line in cell.source.splitlines() if line.strip() != CHECK_MARK)
        if "exercise" in tags(cell):
            cell.metadata["tags"] = [*tags(cell), "remove-output"]
    if chapter is not None:
        _number_equations(made.cells, chapter)
    made.cells.insert(1, nbformat.v4.new_markdown_cell(card, id="cost-card"))
    if banner:
        made.cells.insert(1, nbformat.v4.new_markdown_cell(banner, id="failed"))
    made.metadata = nbformat.from_dict(
        {"kernelspec": made.metadata.get("kernelspec", {}), "language_info": {"name": "python"}}
    )
    return made


def chapter_numbers(toc: dict) -> dict[str, int]:
    """The number of each file of a `_toc.yml` that stands in a numbered part, counted through all parts."""
    numbered = [part for part in toc.get("parts", []) if part.get("numbered")]
    files = [chapter["file"] for part in numbered for chapter in part["chapters"]]
    return {name: number for number, name in enumerate(files, start=1)}


def _number_equations(cells: list[nbformat.NotebookNode], chapter: int) -> None:
    """In code and what it prints, `(spins-larmor)` becomes `(2.2)`: a page shows numbers, never labels."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    numbers = {f"({label})": f"({chapter}.{at})" for at, label in enumerate(EQUATION_LABEL.findall(text), start=1)}

    def numbered(source: str) -> str:
        return re.sub(r"\([\w-]+\)", lambda found: numbers.get(found[0], found[0]), source)

    for cell in cells:
        if cell.cell_type == "code":
            cell.source = numbered(cell.source)
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.text = numbered(output.text)
