import nbformat
import pytest

from book.exercises import exercise_source, with_exercises

SOLUTION = '''def double(x):
    """Twice x."""
    # begin solution
    twice = 2 * x
    return twice
    # end solution


judge(check_double, double)'''

EXERCISE = '''def double(x):
    """Twice x."""
    ...  # your code here


judge(check_double, double)'''


def code(source, *tags):
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})


def test_the_marked_part_becomes_a_gap():
    assert exercise_source(SOLUTION) == EXERCISE


def test_the_gap_is_valid_python_and_gives_nothing():
    names = {"judge": lambda check, answer: answer(3), "check_double": None}
    exec(exercise_source(SOLUTION), names)
    assert names["double"](3) is None


@pytest.mark.parametrize(
    "source", ["x = 1", "# begin solution\nx = 1", "x = 1\n# end solution", "# begin solution\n# begin solution"]
)
def test_marks_that_do_not_pair_are_refused(source):
    with pytest.raises(ValueError, match="expected pairs"):
        exercise_source(source)


def test_exercises_are_made_anew_and_only_for_solutions():
    cells = [
        code("a = 1"),
        code("old text", "exercise"),
        code(SOLUTION, "solution", "hide-cell"),
        code("b", "exercise"),
    ]
    made = with_exercises(cells)
    assert [cell.source for cell in made] == ["a = 1", EXERCISE, SOLUTION]
    assert [cell.source for cell in with_exercises(made)] == [cell.source for cell in made]
