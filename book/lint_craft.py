"""Rules on what a lesson says and does: its figures, numbers, references and code.

Each rule takes a Page and yields sentences that say what was found and what was expected.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from book.lint_page import Call, Page, dotted
from book.sync import is_checked

FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell", "setup", "parameters", "solution", "exercise"}
MOST_VISIBLE_LINES = 18
WORDS, CODE_LINES = (1500, 5000), (100, 600)
BIBLIOGRAPHY = "```{bibliography}\n:filter: docname in docnames\n```"
NETWORK = ("requests", "urllib.request", "http.client", "socket")
DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}
SEEDED = {"Generator", "SeedSequence", "PCG64", "Philox"}


def figures(page: Page) -> Iterator[str]:
    if not page.called("explore"):
        yield "no call of explore, expected at least one interactive figure"
    for call in page.called("show", "explore"):
        if call.name not in (call.last, f"viz.{call.last}"):
            yield f"cell {call.number}: calls {call.name}(), expected show(figure, caption=..., alt=...) of medlab.viz"
        elif missing := call.lacks("caption", "alt"):
            yield f"cell {call.number}: a call of {call.last} lacks {' and '.join(missing)}, expected caption= and alt="
    drawn = _names_of_figures(page)
    for call in page.called("print"):
        shown = [part.value if isinstance(part, ast.FormattedValue) else part for part in _printed(call)]
        for name in [node.id for node in shown if isinstance(node, ast.Name) and node.id in drawn]:
            yield f"cell {call.number}: prints the figure {name}, expected show({name}, caption=..., alt=...)"


def _names_of_figures(page: Page) -> set[str]:
    """The names that the lesson gives to figures and axes."""
    names = set()
    for node in (node for piece in page.code for node in piece.nodes):
        makes_one = isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if makes_one and dotted(node.value.func).endswith(("subplots", "figure", "subplot_mosaic")):
            targets = (name for target in node.targets for name in ast.walk(target))
            names |= {name.id for name in targets if isinstance(name, ast.Name)}
    return names


def _printed(call: Call) -> list[ast.expr]:
    """What a call prints, with the values of f-strings one by one."""
    return [part for a in call.node.args for part in (a.values if isinstance(a, ast.JoinedStr) else [a])]


def numbers(page: Page) -> Iterator[str]:
    """What the experiment measures is tabled, recorded with a band, checked, and predicted by the reader."""
    if not page.called("table"):
        yield "no call of table, expected at least one with the source's numbers beside ours"
    records = [call for call in page.calls if call.name == "run.record"]
    if not records:
        yield "no call of run.record, expected at least one number with its tolerance band"
    for call in records:
        if missing := call.lacks("low", "high"):
            yield f"cell {call.number}: run.record lacks {' and '.join(missing)}, expected low= and high="
    for number, key in page.roles(r"glue(?::\w+)?"):
        if not any(re.fullmatch(name.pattern, key.partition(":")[0]) for name in page.recorded):
            yield f"cell {number}: glues «{key}», which no string given to run.record is, expected a recorded name"
    if not any(is_checked(cell) for cell in page.lesson.cells):
        yield "no cell has the comment # NBVAL_CHECK_OUTPUT, expected at least one whose output CI compares"
    if not page.called("assert_close", "assert_allclose"):
        yield "no assert_close or assert_allclose, expected one that shows the method to be what medlab does"
    predictions = sum(len(re.findall(r"^\*\*Predict\.\*\*", piece.text, re.M)) for piece in page.prose)
    if predictions < 2:
        yield f"{predictions} paragraphs begin with «**Predict.**», expected at least two"


def references(page: Page) -> Iterator[str]:
    keys, terms = bibliography_keys(page.root), glossary_terms(page.root)
    if keys is None or terms is None:
        yield f"book/{'references.bib' if keys is None else 'glossary.md'} is missing, expected it beside the lessons"
    for number, text in page.roles(r"cite(?::\w+)?"):
        for key in [key.strip() for key in text.split(",")]:
            if keys is not None and key not in keys:
                yield f"cell {number}: cites «{key}», expected a key of book/references.bib"
    for number, text in page.roles("term"):
        term = re.sub(r".*<(.+)>", r"\1", text)
        if terms is not None and term.lower() not in terms:
            yield f"cell {number}: names the term «{term}», expected one of book/glossary.md"
    labels = [label for _, label in page.labels]
    if len(labels) < 2:
        yield f"{len(labels)} numbered equations, expected at least two «$$ ... $$ (label)»"
    if len({label.partition("-")[0] for label in labels}) > 1 or any("-" not in label for label in labels):
        yield f"the labels of the equations are {', '.join(labels)}, expected one prefix for all, such as spins-"
    if not page.lesson.cells or not page.lesson.cells[-1].source.rstrip().endswith(BIBLIOGRAPHY):
        yield "the last cell does not end with {bibliography}, expected it with «:filter: docname in docnames»"


def bibliography_keys(root: Path) -> set[str] | None:
    path = root / "book" / "references.bib"
    return (
        set(re.findall(r"^\s*@\w+\{\s*([^,\s]+)", path.read_text(encoding="utf-8"), re.M)) if path.is_file() else None
    )


def glossary_terms(root: Path) -> set[str] | None:
    """The terms in lower case: lines of the glossary directive that are not indented, blank or an option."""
    path = root / "book" / "glossary.md"
    if not path.is_file():
        return None
    blocks = re.findall(r"^```\{glossary\}(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
    return {line.strip().lower() for block in blocks for line in block.splitlines() if re.match(r"[^\s:]", line)}


def size(page: Page) -> Iterator[str]:
    for piece in page.code:
        lines = [line for line in piece.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        if len(lines) > MOST_VISIBLE_LINES and not FOLDED & set(piece.tags):
            yield f"cell {piece.number}: {len(lines)} visible lines of code, expected at most {MOST_VISIBLE_LINES}"
    for what, count, (least, most) in (
        ("words", page.lesson.words(), WORDS),
        ("lines of code", page.lesson.code_lines(), CODE_LINES),
    ):
        if not least <= count <= most:
            yield f"{count:,} {what}, expected between {least:,} and {most:,}"


def code(page: Page) -> Iterator[str]:
    """Code that runs anywhere, alike each time, and hides no warning."""
    for piece in (piece for piece in page.code if piece.tree is None):
        magic = re.search(r"^\s*(%{1,2}[a-z]\S*|!(?!=)\S*)", piece.text, re.M)
        if magic:
            yield f"cell {piece.number}: has the line «{magic[1]}», expected Python alone"
        else:
            yield f"cell {piece.number}: is not valid Python, expected code that parses"
    for number, module in page.imports:
        if module in NETWORK or module.startswith("requests."):
            yield f"cell {number}: imports {module}, expected a lesson that needs no network"
        if module.partition(".")[0] == "tqdm":
            yield f"cell {number}: imports {module}, expected no progress bar in the page"
    for call in page.calls:
        if call.last.startswith(("download", "fetch_")):
            yield f"cell {call.number}: calls {call.name}, expected data that ships with the book, no download"
        if call.last in ("filterwarnings", "simplefilter"):
            yield f"cell {call.number}: calls {call.name}, expected code that causes no warning"
        if _is_global_randomness(call):
            yield f"cell {call.number}: calls {call.name} on global or unseeded randomness, expected a seeded generator"


def _is_global_randomness(call: Call) -> bool:
    module, _, name = call.name.rpartition(".")
    if module in ("np.random", "numpy.random"):
        return name not in SEEDED | {"default_rng"} or (
            name == "default_rng" and not call.node.args + call.node.keywords
        )
    if module in ("torch", "torch.random", "torch.cuda"):
        return name in ("manual_seed", "seed") or (name in DRAWS and bool(call.lacks("generator")))
    return False


def prose(page: Page) -> Iterator[str]:
    for piece in page.prose:
        text = re.sub(r"```.*?```|\$\$.*?\$\$|`[^`\n]*`", "", piece.text, flags=re.S)
        for link in re.findall(r"https?://[^\s)>]+", text):
            yield f"cell {piece.number}: links {link}, expected a citation of an entry in book/references.bib"
        for table in re.findall(r"(?:^\|.*(?:\n|$))+", text, re.M):
            if not _has_header(table):
                yield f"cell {piece.number}: the table «{table.splitlines()[0]}» has no header, expected a row of names"
    limits = page.inside("Data and limits")
    if limits and not any(line.startswith("|") for piece in limits for line in piece.text.splitlines()):
        yield "no table in «Data and limits», expected the card that says what each result rests on"
    text = " ".join(piece.text for piece in limits)
    if limits and re.search("random|generator", page.lesson.code()) and "synthetic" not in text.lower():
        yield "«Data and limits» does not say «synthetic», expected it, since the code draws random numbers"


def _has_header(table: str) -> bool:
    rows = table.splitlines()
    return len(rows) > 1 and re.fullmatch(r"\|(?:\s*:?-+:?\s*\|)+\s*", rows[1]) is not None


RULES = (figures, numbers, references, size, code, prose)
