"""The local check of a code exercise: it says what is wrong, not only that something is."""

from collections.abc import Callable


def judge(check: Callable[[object], str | None], answer: object, praise: str = "") -> None:
    """Print `Correct.` or `Not yet:` with what is wrong.

    check: takes the reader's answer and returns None where it is right, else one sentence that says what is wrong.
    answer: the reader's function or value. An exception that it raises inside `check` becomes a sentence too.
    """
    try:
        problem = "there is nothing to check yet." if answer is ... else check(answer)
    except Exception as error:
        # The reader's code may fail in any way; the sentence is what helps, not our own traceback.
        problem = f"your code stopped with {type(error).__name__}: {error}"
    if problem is None:
        print(f"Correct. {praise}".rstrip())
    else:
        print(f"Not yet: {problem}")
