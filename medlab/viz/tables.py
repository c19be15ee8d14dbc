"""A table in the page: numbers to the right, a caption, the theme's own colours."""

import html
from collections.abc import Sequence

from IPython.display import display


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str) -> None:
    """Display a table; a cell may hold a number or text (<em>, <sub>, <sup> allowed).

    Raises ValueError where a row is not as long as the header.
    """
    for at, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"row {at} has {len(row)} cells, expected {len(header)} as in the header")
    head = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    page = (
        f'<div class="medlab-table"><table><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    lines = [" | ".join(map(str, header)), *(" | ".join(map(_text, row)) for row in rows)]
    display({"text/html": page, "text/plain": "\n".join(lines)}, raw=True)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(value: object) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    kind = ' class="medlab-number"' if number else ""
    return f"<td{kind}>{html.escape(_text(value)) if number else value}</td>"
