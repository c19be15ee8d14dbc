"""The linter: a complete lesson passes, and each rule is broken once, with the one sentence that it then gives."""

import pytest

from book.lessons import Lesson, find_lessons
from book.lint import lint, lint_book, main
from book.setup_cell import SETUP

LESSON = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lesson:
#     paths: [clinician]
#     prerequisites: [part/base]
#     summary: What a small lesson must have.
#     weights: []
# ---

# %% [markdown]
# # A lesson
#
# **You will be able to**
#
# - do one thing
# - do another thing
#   that takes two lines
# - do a third
#
# **You need** [the lesson before](../part/base.ipynb).

# %% tags=["setup", "hide-input"]
{setup}

# %% tags=["parameters"]
profile = None
seed = 0

# %% tags=["hide-input"]
import numpy as np

run = start(profile, seed)
rng = np.random.default_rng(seed)

# %%
figure, ax = plt.subplots()
show(figure, caption="A picture.", alt="A picture")

# %% [markdown]
# A {{term}}`voxel` and {{term}}`many <Two words>` {{cite}}`first2001,second2002`.
#
# ## One idea
#
# {filler}
#
# $$ a = b $$ (one-first)
#
# ```text
# # no title
# ```
#
# **Predict.** What follows from {{eq}}`one-first`?

# %%
explore(draw, caption="A slider.", alt="A slider", x=[1, 2])

# %% [markdown]
# $$
# |c| = d
# $$ (one-second)
#
# **Predict.** And now?

# %% tags=["hide-input"]
table(["quantity", "source", "ours"], [["x", 1, 2]])
run.record("one_x", 1.0, low=0, high=2)
for name in ("a", "b"):
    run.record(f"one_{{name}}_y", 1.0, low=0, high=2)
{lines}

# %%
x = [1, 2]

# %% [markdown]
# We found {{glue:text}}`one_x` and {{glue:text}}`one_a_y`.
#
# ## Another idea

# %%
# NBVAL_CHECK_OUTPUT
torch.testing.assert_close(x, y)
print(x)

# %% [markdown]
# ## Where it breaks

# %%
assert error > 1

# %% [markdown]
# ## Exercises
#
{exercises}

# %% tags=["exercise"]
...  # your code here
judge(check, x)

# %% tags=["solution", "hide-cell"]
# begin solution
x = 1
# end solution
judge(check, x)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question("A?", ("no", "why"), right("yes", "why")),
    question("B?", ("no", "why"), right("yes", "why")),
    question("C?", ("no", "why"), right("yes", "why")),
)

# %% [markdown]
# ## In short
#
# - Short.
#
# ## Data and limits
#
# | what | is |
# | --- | --- |
# | all data | **synthetic** |
#
# ## Further reading
#
# More in {{cite}}`first2001`.
#
# ```{{bibliography}}
# :filter: docname in docnames
# ```
"""
EXERCISE = """# ### Exercise {number}: a name
#
# <details class="hint"><summary>Hint</summary>
#
# One.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Two.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Three.
#
# </details>
#"""
FILES = {
    "_config.yml": "repository: {url: ''}\n",
    "_toc.yml": "root: book/index\nparts:\n  - chapters:\n      - file: notebooks/part/base\n"
    "      - file: notebooks/part/one\n      - file: book/status\n      - url: https://example.org\n",
    "book/index.md": "# The book\n",
    "book/glossary.md": "# Glossary\n\n```{glossary}\n:sorted:\n\nVoxel\n  A box.\n\ntwo words\n  Both.\n```\n",
    "book/references.bib": "@article{first2001, title={One}}\n@book{second2002,\n  title={Two},\n}\n",
}


def lesson_text():
    return LESSON.format(
        setup=SETUP,
        filler=" ".join(["word"] * 1500),
        lines="\n".join(f"x = {at}" for at in range(100)),
        exercises="\n".join(EXERCISE.format(number=number) for number in (1, 2, 3)),
    )


@pytest.fixture
def root(tmp_path):
    """A checkout with two complete lessons, part/base and part/one, of which the second needs the first."""
    base = lesson_text().replace("one-", "base-").replace("one_", "base_").replace("[part/base]", "[]")
    base = base.replace("[the lesson before](../part/base.ipynb)", "nothing")
    for name, text in {**FILES, "notebooks/part/base.py": base, "notebooks/part/one.py": lesson_text()}.items():
        write(tmp_path, name, text)
    return tmp_path


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def edit(root, name, old, new):
    text = (root / name).read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {name}: the mutation changes nothing"
    write(root, name, text.replace(old, new))


def one(root):
    return Lesson(root / "notebooks/part/one.py", root / "notebooks")


def book(root):
    return lint_book(find_lessons(root / "notebooks"), root)


def test_a_complete_lesson_lacks_nothing(root):
    assert [finding for lesson in find_lessons(root / "notebooks") for finding in lint(lesson, root)] == []
    assert book(root) == []


def exercise(old, new, number=2):
    """An edit inside one exercise."""
    text = EXERCISE.format(number=number)
    assert old in text
    return text, text.replace(old, new)


def added(line):
    """An edit that adds a line to a visible cell of code."""
    return "x = [1, 2]\n", f"x = [1, 2]\n{line}\n"


SOLUTION = '["solution", "hide-cell"]'
OBJECTIVE = "# - do one thing\n"
TABLE = "# | what | is |\n# | --- | --- |\n# | all data | **synthetic** |"
RECORDS = """run.record("one_x", 1.0, low=0, high=2)
for name in ("a", "b"):
    run.record(f"one_{name}_y", 1.0, low=0, high=2)
"""
BROKEN = [
    # header
    ("#     summary: What a small lesson must have.\n", "", "header lacks summary, expected summary, prerequisites"),
    ("#     weights: []\n", "", "header lacks weights"),
    ("must have.", "must have", "ends in «on must have», expected one sentence"),
    ("must have.", "must have. All of it.", "expected one sentence"),
    ("must have.", "must" + " have" * 40 + ".", "the summary has 225 characters"),
    ("What a small lesson must have.", "''", "the summary has 0 characters"),
    ("weights: []", "weights: a.pt", "«weights» of the header is «a.pt», expected a list"),
    ("[clinician]", "[clinician, poet]", "names the paths poet, expected some of clinician, engineer, physicist"),
    ("#     language: python\n", "", "no kernelspec with a language"),
    ("paths: [clinician]", "paths: [", "the header cannot be read (while parsing"),
    # opening
    ("# # A lesson\n#\n", "", "cell 1: the lesson has 0 titles, expected one"),
    ("# ## Another idea", "# ## Another idea\n#\n# # A title", "cell 1: the lesson has 2 titles"),
    ("# # A lesson\n", "# Before.\n#\n# # A lesson\n", "cell 1: the lesson has 1 titles"),
    ("**You will be able to**", "You will", "cell 1: 0 objectives"),
    (OBJECTIVE, "", "cell 1: 2 objectives"),
    (OBJECTIVE, OBJECTIVE * 4, "cell 1: 6 objectives"),
    ("**You need** [", "Read [", "cell 1: nothing says what a reader has to know"),
    ("](../part/base.ipynb)", "]", "no link to the prerequisite part/base, expected «(../part/base.ipynb)»"),
    ("base.ipynb).", "base.ipynb) or [x](../a/b.ipynb).", "links a/b, expected only prerequisites that the header"),
    ('REPOSITORY = ""', 'REPOSITORY = "x"', "cell 2: not today's setup cell"),
    ('["setup", "hide-input"]', '["setup"]', "cell 2: not today's setup cell"),
    ('["parameters"]', '["other"]', "cell 3: sets no profile, seed in a parameters cell"),
    ("seed = 0", "sad = 0", "cell 3: sets no seed in"),
    ("start(profile, seed)", "start(profile, 0)", "no cell calls start(profile, seed)"),
    ("show(figure, caption", "hide(figure, caption", "no picture stands before the first section"),
    # sections
    ("# ## In short", "# ### In short", "the sections end with Another idea, Where it breaks"),
    ("# ## Another idea", "# ### Another idea", "1 sections before «Where it breaks», expected at least two"),
    ("assert error > 1", "print(error)", "no assert in the code of «Where it breaks»"),
    # exercises and quiz
    ("Exercise 2: a name", "Exercise 4: a name", "the exercises are Exercise 1: a name, Exercise 4: a name"),
    ("Exercise 2: a name", "Exercise 2", "expected at least three headings «### Exercise N: name»"),
    (EXERCISE.format(number=3), "#", "the exercises are Exercise 1: a name, Exercise 2: a name, expected"),
    (*exercise("Stronger hint", "Hint"), "«Exercise 2: a name» holds Hint, Hint, Solution, expected closed details"),
    (*exercise('"solution"', '"hint"'), "«Exercise 2: a name» holds Hint, Stronger hint, Solution, expected closed"),
    (*exercise("Two.\n#\n# </details>", "Two."), "holds Hint, Stronger hint, Solution, expected closed details"),
    (*exercise("#\n# Two.", "# Two."), "«Exercise 2: a name» touches its tags, expected an empty line"),
    (*exercise("# Two.\n#", "# Two."), "«Exercise 2: a name» touches its tags, expected an empty line"),
    (SOLUTION, '["hide-cell"]', "no exercise is code, expected a cell tagged solution"),
    (SOLUTION, '["solution"]', "the solution is tagged solution, expected solution, hide-cell"),
    ('["exercise"]', '["hide-input"]', "the solution has no exercise made from it directly before it"),
    ("...  # your code here", "pass", "the solution has no exercise made from it directly before it"),
    ("# end solution\n", "", "the solution is not marked: the solution cell has 1 begun parts, expected pairs"),
    ("judge(check, x)", "judged = 1", "does not end with judge(...)"),
    ("quiz(\n", "print(\n", "0 calls of quiz in «Quiz», expected one"),
    ('    question("C?", ("no", "why"), right("yes", "why")),\n', "", "the quiz has 2 questions"),
    ('"B?", ("no", "why"), right(', '"B?", ("no", "why"), (', "question 2 has 0 right answers"),
    ('"B?", ("no", "why")', '"B?", right("no", "why")', "question 2 has 2 right answers"),
    ('["remove-input"]', '["hide-input"]', "the quiz is tagged hide-input, expected remove-input"),
    # figures
    ("explore(draw", "show(draw", "no call of explore"),
    (', alt="A slider"', "", "a call of explore lacks alt"),
    (', caption="A picture.", alt="A picture"', "", "cell 5: a call of show lacks caption and alt"),
    (*added("plt.show()"), "calls plt.show(), expected show(figure"),
    (*added("print(figure)"), "prints the figure figure"),
    (*added('print("see", f"{ax}")'), "prints the figure ax"),
    # numbers
    ("table([", "print([", "no call of table"),
    ("1.0, low=0, high=2)\nfor", "1.0, low=0)\nfor", "run.record lacks high, expected low= and high="),
    ("`one_x`", "`one_z`", "glues «one_z», which no string given to run.record is"),
    ('f"one_{name}_y"', 'f"other_{name}_y"', "glues «one_a_y», which no string given to run.record is"),
    ('f"one_{name}_y"', "name", "glues «one_a_y», which no string given to run.record is"),
    ("# NBVAL_CHECK_OUTPUT", "# Checked by nobody", "no cell has the comment # NBVAL_CHECK_OUTPUT"),
    ("assert_close", "assert_near", "no assert_close or assert_allclose"),
    ("**Predict.** And now?", "And now?", "1 paragraphs begin with «**Predict.**»"),
    # references
    ("second2002`", "second2003`", "cites «second2003», expected a key of book/references.bib"),
    ("{term}`voxel`", "{term}`pixel`", "names the term «pixel», expected one of book/glossary.md"),
    ("`many <Two words>`", "`Two words <many>`", "names the term «many»"),
    ("$$ (one-second)", "$$", "1 numbered equations, expected at least two"),
    ("(one-second)", "(other-second)", "the labels of the equations are one-first, other-second, expected one prefix"),
    ("(one-second)", "(one)", "the labels of the equations are one-first, one, expected one prefix"),
    ("# :filter: docname in docnames\n", "", "does not end with {bibliography}"),
    # size
    (*added("x = 1\n" * 18), "19 visible lines of code, expected at most 18"),
    ("word word", "word", "words, expected between 1,500 and 5,000"),
    ("word word", "word " * 8, "words, expected between 1,500 and 5,000"),
    ("x = 2\n", "x = 2\n" * 500, "lines of code, expected between 100 and 600"),
    ("\n".join(f"x = {at}" for at in range(60)), "", "lines of code, expected between 100 and 600"),
    # code
    (*added("%pip install x"), "has the line «%pip», expected Python alone"),
    (*added("!ls"), "has the line «!ls», expected Python alone"),
    (*added("import numpy as"), "is not valid Python"),
    ("import numpy as np", "import requests", "imports requests, expected a lesson that needs no network"),
    ("import numpy as np", "import urllib.request", "imports urllib.request, expected a lesson that needs no network"),
    ("import numpy as np", "from http import client", "imports http.client, expected a lesson that needs no network"),
    ("import numpy as np", "import socket as s", "imports socket, expected a lesson that needs no network"),
    ("import numpy as np", "import tqdm.auto", "imports tqdm.auto, expected no progress bar"),
    (*added("datasets.fetch_atlas()"), "calls datasets.fetch_atlas, expected data that ships with the book"),
    (*added("download_all()"), "calls download_all, expected data that ships with the book"),
    (*added('warnings.filterwarnings("ignore")'), "calls warnings.filterwarnings, expected code that causes no"),
    (*added("torch.manual_seed(0)"), "calls torch.manual_seed on global or unseeded randomness"),
    (*added("torch.randn(3)"), "calls torch.randn on global or unseeded randomness"),
    (*added("np.random.normal()"), "calls np.random.normal on global or unseeded randomness"),
    (*added("np.random.default_rng()"), "calls np.random.default_rng on global or unseeded randomness"),
    # prose
    ("And now?", "And now, https://example.org/x?", "links https://example.org/x?, expected a citation"),
    ("And now?", "And now?\n#\n# | a | b |\n# | 1 | 2 |", "the table «| a | b |» has no header"),
    (TABLE, "# All is synthetic.", "no table in «Data and limits»"),
    ("**synthetic**", "invented", "«Data and limits» does not say «synthetic»"),
]
ALLOWED = [
    ("](../part/base.ipynb)", "](base.ipynb)"),
    ("do one thing\n", "do one thing\n# - do a fourth\n# - do a fifth\n"),
    ("show(figure, caption", "viz.show(figure, caption"),
    ("`one_x`", "`one_x:.2f`"),
    ("{cite}`first2001,second2002`", "{cite:t}`first2001,\n# second2002`"),
    ("$$ a = b $$ (one-first)", "```{math}\n# :label: one-first\n# a = b\n# ```"),
    ("| what | is |", "| | |"),
    ("And now?", "And `https://example.org`?"),
    ("rng = np.random.default_rng(seed)", "rng = torch.randn(3, generator=run.generator)"),
    (*added("x = 1\n" * 17),),
    (*added("print(len(figure.axes))"),),
    (*added("x = 7\n\n\n# A comment that explains.\n"),),
]


@pytest.mark.parametrize(("old", "new", "sentence"), BROKEN)
def test_a_broken_rule_gives_one_sentence(root, old, new, sentence):
    edit(root, "notebooks/part/one.py", old, new)
    (found,) = lint(one(root), root)
    assert found.startswith("part/one: ") and sentence in found and "expected" in found


@pytest.mark.parametrize(("old", "new"), ALLOWED)
def test_what_no_rule_forbids_gives_none(root, old, new):
    edit(root, "notebooks/part/one.py", old, new)
    assert lint(one(root), root) == []


def test_a_lesson_that_records_nothing(root):
    edit(root, "notebooks/part/one.py", RECORDS, "")
    edit(root, "notebooks/part/one.py", "{glue:text}", "")
    assert lint(one(root), root) == [
        "part/one: no call of run.record, expected at least one number with its tolerance band"
    ]


def test_without_chance_nothing_need_be_synthetic(root):
    edit(root, "notebooks/part/one.py", "rng = np.random.default_rng(seed)", "")
    edit(root, "notebooks/part/one.py", "**synthetic**", "measured")
    assert lint(one(root), root) == []


def test_an_empty_lesson_is_no_crash(root):
    write(root, "notebooks/part/one.py", "")
    assert len(lint(one(root), root)) >= 20


def test_a_lesson_block_that_is_no_block(root):
    write(root, "notebooks/part/one.py", "# ---\n# jupyter:\n#   lesson: text\n# ---\n\n# %%\n")
    (found,) = lint(one(root), root)
    assert found.startswith("part/one: the header cannot be read (")
    assert any("part/one" in finding or "lesson" in finding for finding in book(root)) is False


@pytest.mark.parametrize("name", ["glossary.md", "references.bib"])
def test_a_missing_page_is_told_once(root, name):
    (root / "book" / name).unlink()
    assert lint(one(root), root) == [f"part/one: book/{name} is missing, expected it beside the lessons"]


BROKEN_BOOK = [
    (
        "notebooks/part/one.py",
        "one-first",
        "base-first",
        "part/one: cell 6: the label «base-first» is one of part/base",
    ),
    ("notebooks/part/one.py", "{eq}`one-first`", "{eq}`one-last`", "refers to equation «one-last», expected the label"),
    ("notebooks/part/one.py", '"one_x"', '"base_x"', "part/one: cell 9: records «base_x», as part/base does"),
    ("notebooks/part/one.py", '"one_x"', '"base_c_y"', "part/one: cell 9: records «base_c_y», as part/base does"),
    ("notebooks/part/one.py", 'f"one_{name}_y"', 'f"base_{name}_y"', "records «base_{}_y», as part/base does"),
    ("notebooks/part/one.py", 'f"one_{name}_y"', '"one_x"', "records «one_x», as part/one does"),
    ("notebooks/part/one.py", "[part/base]", "[part/none]", "part/one: prerequisite «part/none» is not a lesson"),
    ("notebooks/part/base.py", "prerequisites: []", "prerequisites: [part/one]", "prerequisites run in a circle"),
    ("notebooks/part/base.py", "[clinician]", "[]", "part/one: is on the path «clinician» but"),
    ("_toc.yml", "      - file: notebooks/part/one\n", "", "part/one: _toc.yml names it 0 times, expected once"),
    ("_toc.yml", "book/status", "notebooks/part/one", "part/one: _toc.yml names it 2 times, expected once"),
    ("_toc.yml", "book/status", "book/gone", "_toc.yml: names book/gone, which is no lesson and no page"),
]


@pytest.mark.parametrize(("name", "old", "new", "sentence"), BROKEN_BOOK)
def test_what_breaks_the_book_gives_one_sentence(root, name, old, new, sentence):
    edit(root, name, old, new)
    (found,) = book(root)
    assert sentence in found and "expected" in found


def test_a_book_without_a_table_of_contents(root):
    (root / "_toc.yml").unlink()
    assert book(root) == ["_toc.yml: is missing, expected the table of contents of the book"]


def test_a_reference_to_an_equation_of_another_lesson(root):
    edit(root, "notebooks/part/one.py", "{eq}`one-first`", "{eq}`there <base-first>`")
    assert book(root) == []


def test_the_command(root, capsys):
    assert main([], root) == 0
    assert main(["base"], root) == 0
    assert capsys.readouterr().out == "2 lessons, nothing missing\n1 lesson, nothing missing\n"
    edit(root, "notebooks/part/one.py", ', alt="A slider"', "")
    edit(root, "notebooks/part/one.py", "one_x", "base_x")
    assert main([], root) == 1
    assert capsys.readouterr().out.splitlines() == [
        "part/one: cell 7: a call of explore lacks alt, expected caption= and alt=",
        "part/one: cell 9: records «base_x», as part/base does, expected another name",
    ]
    assert main(["base"], root) == 1
    assert len(capsys.readouterr().out.splitlines()) == 1  # what concerns it too
    assert main(["one"], root) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["two"], root) == 2
    assert "«two», expected a part of one of part/base, part/one" in capsys.readouterr().err


def test_every_lesson_of_the_book_is_complete():
    lessons = find_lessons()
    found = [finding for lesson in lessons for finding in lint(lesson)] + lint_book(lessons)
    assert not found, "\n".join(found)
