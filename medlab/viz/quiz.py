"""Questions with explained answers that work in a page without a kernel and without a script.

An answer is a radio button; choosing it unfolds its explanation by a style rule.
"""

import html
import itertools
import re
from dataclasses import dataclass

from IPython.display import display

from medlab.viz.figure import short_hash

_count = itertools.count(1)

# The rule that unfolds stands with the quiz, so that it also works in Jupyter, where the book's styles are absent.
RULES = """<style>
.medlab-quiz .medlab-why{display:none;margin:.2em 0 .6em 1.7em}
.medlab-quiz input:checked~.medlab-why{display:block}
.medlab-quiz .medlab-answer{display:block;cursor:pointer}
</style>"""


@dataclass(frozen=True)
class Answer:
    text: str
    why: str
    is_right: bool


@dataclass(frozen=True)
class Question:
    text: str
    answers: tuple[Answer, ...]


def right(text: str, why: str) -> Answer:
    """The right answer, with what makes it right."""
    return Answer(text, why, True)


def question(text: str, *answers: Answer | tuple[str, str]) -> Question:
    """A question with its answers: pairs of (answer, why it is wrong), and one `right(answer, why)`.

    Raises ValueError unless exactly one answer is right and at least one is wrong.
    """
    made = tuple(answer if isinstance(answer, Answer) else Answer(*answer, False) for answer in answers)
    rights = sum(answer.is_right for answer in made)
    if rights != 1 or len(made) < 2:
        raise ValueError(f"question {text!r} has {rights} right of {len(made)} answers, expected 1 of at least 2")
    return Question(text, made)


def quiz(*questions: Question) -> None:
    """Display questions; a reader who chooses an answer sees at once whether it is right, and why."""
    if not questions:
        raise ValueError("quiz got no question, expected at least one")
    identity = f"q{next(_count)}-{short_hash(*(q.text for q in questions))}"
    fields = "".join(_field(q, f"{identity}-{at}", at) for at, q in enumerate(questions, start=1))
    text = "\n".join(f"{at}. {_plain(q.text)}" for at, q in enumerate(questions, start=1))
    display({"text/html": f'{RULES}<div class="medlab-quiz">{fields}</div>', "text/plain": text}, raw=True)


def _field(asked: Question, identity: str, number: int) -> str:
    answers = "".join(_answer(answer, identity, at) for at, answer in enumerate(asked.answers))
    return f"<fieldset><legend>{number}. {_markup(asked.text)}</legend>{answers}</fieldset>"


def _answer(answer: Answer, identity: str, at: int) -> str:
    verdict, kind = ("Right.", "right") if answer.is_right else ("Not quite.", "wrong")
    return (
        f'<div class="medlab-option"><input type="radio" name="{identity}" id="{identity}-{at}">'
        f'<label class="medlab-answer" for="{identity}-{at}" style="display:inline"> {_markup(answer.text)}</label>'
        f'<p class="medlab-why medlab-{kind}" role="status"><strong>{verdict}</strong> {_markup(answer.why)}</p></div>'
    )


def _markup(text: str) -> str:
    """Escaped text in which `code`, <sub>, <sup> and <em> keep their meaning."""
    safe = html.escape(text, quote=False)
    safe = re.sub(r"&lt;(/?(?:sub|sup|em))&gt;", r"<\1>", safe)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)


def _plain(text: str) -> str:
    return re.sub(r"<[^>]+>|`", "", text)
