"""The parts of a lesson that are not figures: start and record, quiz, exercise, table."""

import re

import pytest
import torch

from medlab.viz.exercise import judge
from medlab.viz.lesson import HIDDEN, OutOfBand, start
from medlab.viz.quiz import question, quiz, right
from medlab.viz.tables import table


@pytest.fixture
def run(displayed):
    return start("ci", seed=3)


def test_start_prints_one_line_of_facts(displayed, capsys):
    start("ci", seed=3)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    for fact in (f"torch {torch.__version__}", "device cpu", "profile ci", "seed 3"):
        assert fact in lines[0]


def test_the_same_seed_gives_the_same_numbers(displayed):
    first, second = (torch.rand(4, generator=start("ci", seed=5).generator) for _ in range(2))
    assert torch.equal(first, second)
    run = start("ci", seed=5)
    assert torch.equal(torch.rand(4, generator=run.fresh_generator(1)), torch.rand(4, generator=run.fresh_generator(1)))


def test_a_record_is_hidden_from_the_page_and_found_by_prose(run, displayed):
    run.record("t2", 80.123, low=79, high=81, unit="ms", digits=1)
    bundle, metadata = displayed[-1]
    assert bundle == {HIDDEN + "text/plain": "80.1 ms"}
    assert metadata["scrapbook"]["name"] == "t2"
    assert metadata["medlab"] == {"name": "t2", "value": 80.123, "low": 79, "high": 81, "unit": "ms"}
    assert run.recorded == {"t2": 80.123}


def test_small_numbers_are_written_as_powers_of_ten(run, displayed):
    run.record("p", 5.2e-6, low=0, high=1, digits=1, scientific=True)
    assert displayed[-1][0][HIDDEN + "text/plain"] == "5.2 × 10⁻⁶"
    run.record("share", 0.8, low=0, high=1, digits=2)
    assert displayed[-1][0][HIDDEN + "text/plain"] == "'0.80'", "or the page prints 0.8"


@pytest.mark.parametrize("value", [0.9, 2.1, float("nan")])
def test_a_number_outside_its_band_stops_the_lesson(run, value):
    with pytest.raises(OutOfBand, match=r"x is .* expected from 1 to 2"):
        run.record("x", value, low=1, high=2)


def test_judge_says_what_is_wrong(capsys):
    def check(double):
        return None if double(2) == 4 else f"double(2) gave {double(2)}, expected 4."

    for answer in (lambda x: 2 * x, lambda x: x, lambda x: x / 0, ...):
        assert judge(check, answer) is None, "a cell that ends with judge must show its sentence alone"
    correct, wrong, broken, empty = capsys.readouterr().out.splitlines()
    assert correct == "Correct." and wrong == "Not yet: double(2) gave 2, expected 4."
    assert broken.startswith("Not yet: your code stopped with ZeroDivisionError") and empty.startswith("Not yet")


def test_the_quiz_needs_no_script_and_marks_one_answer_right(displayed):
    quiz(
        question("What is `T1`?", ("a place", "no"), right("a time", "it is <em>one</em>"), ("5 < 6", "no")),
        question("And T2?", right("also", "yes"), ("not", "no")),
    )
    html = displayed[0][0]["text/html"]
    assert "<script" not in html and "5 &lt; 6" in html and "<code>T1</code>" in html and "<em>one</em>" in html
    assert html.count("medlab-right") == 2 and html.count("medlab-wrong") == 3
    ids = re.findall(r'id="([^"]+)"', html)
    assert len(ids) == len(set(ids)) == 5 and set(re.findall(r'for="([^"]+)"', html)) == set(ids)


@pytest.mark.parametrize(
    "answers", [[("a", "b")], [("a", "b"), ("c", "d")], [right("a", "b"), right("c", "d")], [right("a", "b")]]
)
def test_a_question_has_exactly_one_right_answer(answers):
    with pytest.raises(ValueError, match="expected 1 of at least 2"):
        question("What?", *answers)


def test_an_empty_quiz_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        quiz()


def test_a_table_aligns_numbers_and_keeps_text(displayed):
    table(["quantity", "ours"], [["T<sub>1</sub>", 812.3456], ["n", 4]], caption="c")
    html = displayed[0][0]["text/html"]
    assert "<td>T<sub>1</sub></td>" in html and '<td class="medlab-number">812.3</td>' in html
    with pytest.raises(ValueError, match="row 0 has 1 cells, expected 2"):
        table(["a", "b"], [["x"]], caption="c")
