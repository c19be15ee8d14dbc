"""How advice follows from answers: questions, and what is said under which answers.

A condition, `when`, names questions and for each the answers that satisfy it; all of them must be satisfied. A question
that is not asked has no answer, so that no condition on it is satisfied. The same conditions work in Python (`Rules`)
and in a page (`medlab.viz.chooser`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

When = Mapping[str, tuple[str, ...]]
YES_NO = {"no": "no", "yes": "yes"}


@dataclass(frozen=True)
class Question:
    """One property of a task. answers: for each value how it reads; the first one is taken where none is given."""

    name: str
    text: str
    answers: Mapping[str, str] = field(default_factory=lambda: YES_NO)
    when: When = field(default_factory=dict)

    @property
    def default(self) -> str:
        return next(iter(self.answers))


@dataclass(frozen=True)
class Argument:
    """What is written into a call, such as `labels=[1, 2]`, under its condition."""

    text: str
    when: When = field(default_factory=dict)


@dataclass(frozen=True)
class Recommendation:
    """A function of `medlab.metrics`, how to call it, why, and what it does not see."""

    metric: str
    arguments: tuple[Argument, ...]
    why: str
    misses: str
    when: When

    @property
    def call(self) -> str:
        """The call as one would write it."""
        return f"{self.metric}({', '.join(argument.text for argument in self.arguments)})"

    def under(self, answers: Mapping[str, str]) -> "Recommendation":
        """With those arguments alone that these answers ask for."""
        return replace(self, arguments=tuple(one for one in self.arguments if satisfied(one.when, answers)))


@dataclass(frozen=True)
class Caution:
    """A sentence to heed, whatever one measures."""

    text: str
    when: When


@dataclass(frozen=True)
class Rules:
    """All questions, in the order in which they are asked, and all that can be advised, in the order of its weight."""

    questions: tuple[Question, ...]
    recommendations: tuple[Recommendation, ...]
    cautions: tuple[Caution, ...]

    def answers(self, properties: Mapping[str, object]) -> dict[str, str]:
        """An answer to every question that is asked; True and False stand for yes and no.

        Raises ValueError for a name that is no question, an answer that is none of its, and one to a question that is
        not asked.
        """
        known = {question.name: question for question in self.questions}
        for name in properties:
            if name not in known:
                raise ValueError(f"the property {name!r} is unknown, expected one of {', '.join(known)}")
        found: dict[str, str] = {}
        for name, question in known.items():
            if not satisfied(question.when, found):
                if name in properties:
                    raise ValueError(
                        f"{name} is {properties[name]!r}, expected no answer, for it is {_asked(question)}"
                    )
                continue
            value = properties.get(name, question.default)
            value = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
            if value not in list(question.answers):
                raise ValueError(f"{name} is {properties[name]!r}, expected one of {', '.join(question.answers)}")
            found[name] = value
        return found

    def recommended(self, properties: Mapping[str, object]) -> list[Recommendation]:
        """What fits these properties, and how to call it; raises ValueError as `answers` does."""
        answers = self.answers(properties)
        return [one.under(answers) for one in self.recommendations if satisfied(one.when, answers)]

    def warned(self, properties: Mapping[str, object]) -> list[Caution]:
        """What to heed with these properties; raises ValueError as `answers` does."""
        answers = self.answers(properties)
        return [one for one in self.cautions if satisfied(one.when, answers)]

    def whole(self, when: When) -> dict[str, tuple[str, ...]]:
        """A condition together with those under which its questions are asked at all.

        Where it is satisfied, so is `when`, even if answers to questions that are not asked are still at hand.
        """
        conditions = dict(when)
        for question in reversed(self.questions):
            if question.name in conditions:
                for name, values in question.when.items():
                    conditions[name] = tuple(value for value in conditions.get(name, values) if value in values)
        return conditions

    def combinations(self) -> Iterator[dict[str, str]]:
        """Every set of answers that there can be."""

        def grown(found: dict[str, str], rest: tuple[Question, ...]) -> Iterator[dict[str, str]]:
            if not rest:
                yield found
            elif not satisfied(rest[0].when, found):
                yield from grown(found, rest[1:])
            else:
                for value in rest[0].answers:
                    yield from grown({**found, rest[0].name: value}, rest[1:])

        return grown({}, self.questions)


def satisfied(when: When, answers: Mapping[str, str]) -> bool:
    """Whether each question of a condition has one of the answers that it names."""
    return all(answers.get(name) in values for name, values in when.items())


def _asked(question: Question) -> str:
    conditions = (f"{name} is {' or '.join(values)}" for name, values in question.when.items())
    return f"asked only where {' and '.join(conditions)}"
