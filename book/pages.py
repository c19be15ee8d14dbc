"""From an executed notebook to the notebook that the page is made of."""

import copy

import nbformat

from book.lessons import CHECK_MARK, tags


def page_notebook(executed: nbformat.NotebookNode, card: str, banner: str = "") -> nbformat.NotebookNode:
    """The executed notebook as its readers should meet it.

    The injected parameters and the marks of the checks go, an exercise stands without the output of its unsolved
    state, the cost card follows the promise, and a failed lesson says so on top.
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
    made.cells.insert(1, nbformat.v4.new_markdown_cell(card, id="cost-card"))
    if banner:
        made.cells.insert(1, nbformat.v4.new_markdown_cell(banner, id="failed"))
    made.metadata = nbformat.from_dict(
        {"kernelspec": made.metadata.get("kernelspec", {}), "language_info": {"name": "python"}}
    )
    return made
