"""The chooser: every set of answers is answered, every piece of advice can be carried out, and rules can be reached."""

import inspect
import random

import pytest

from medlab import metrics
from medlab.metrics.chooser import RULES, cautions, choose
from medlab.metrics.chooser.rules import Argument, Question, Recommendation, Rules, satisfied

COMBINATIONS = list(RULES.combinations())


def names(**properties):
    return [one.metric for one in choose(**properties)]


def test_every_set_of_answers_gets_advice_or_is_told_why_not():
    assert len(COMBINATIONS) > 1000
    for answers in COMBINATIONS:
        assert RULES.answers(answers) == answers
        found = choose(**answers)
        measures = {one.metric for one in found} - {"mean_interval"}
        assert measures or any("Without a true image" in text for text in cautions(**answers)), answers
        calls = [one.call for one in found]
        assert len(set(calls)) == len(calls), f"the same call twice under {answers}"


def test_every_rule_is_reached():
    for one in (*RULES.recommendations, *RULES.cautions, *RULES.questions):
        assert any(satisfied(one.when, answers) for answers in COMBINATIONS), one
    for one in RULES.recommendations:
        under = [answers for answers in COMBINATIONS if satisfied(one.when, answers)]
        for argument in one.arguments:
            assert any(satisfied(argument.when, answers) for answers in under), (one.metric, argument)


def test_every_question_matters_wherever_it_is_asked():
    def said(answers):
        return [one.call for one in choose(**answers)] + [one.why for one in choose(**answers)] + cautions(**answers)

    def changed(answers, name, value):
        """The same task with another answer; questions that are no longer asked fall away."""
        kept: dict[str, str] = {}
        for question in RULES.questions:
            if satisfied(question.when, kept):
                kept[question.name] = value if question.name == name else answers.get(question.name, question.default)
        return kept

    for kind in RULES.questions[0].answers:
        for question in RULES.questions[1:]:
            asked = [one for one in COMBINATIONS if one["predicted"] == kind and question.name in one]
            asked = random.Random(0).sample(asked, min(100, len(asked)))
            for value in question.answers if asked else ():
                others = [one for one in asked if one[question.name] != value]
                assert any(said(one) != said(changed(one, question.name, value)) for one in others), (kind, question)


def test_conditions_name_questions_that_come_before_and_answers_that_there_are():
    known = {question.name: question for question in RULES.questions}
    arguments = [argument for one in RULES.recommendations for argument in one.arguments]
    for one in (*RULES.recommendations, *RULES.cautions, *RULES.questions, *arguments):
        for name, values in one.when.items():
            assert values and set(values) <= set(known[name].answers), one
    order = list(known)
    for question in RULES.questions:
        assert all(order.index(name) < order.index(question.name) for name in question.when)


@pytest.mark.parametrize("one", RULES.recommendations, ids=lambda one: f"{one.metric}-{one.why[:20]}")
def test_what_is_advised_exists_and_takes_these_arguments(one):
    function = getattr(metrics, one.metric, None)
    assert callable(function), f"medlab.metrics has no {one.metric}"
    written = [text for argument in one.arguments for text in argument.text.split(", ")] if one.arguments else []
    written = _joined(written)
    positional = [text for text in written if "=" not in text]
    keywords = {text.partition("=")[0]: None for text in written if "=" in text}
    inspect.signature(function).bind(*positional, **keywords)
    assert one.why.endswith((".", "?")) and one.misses.endswith(".")


def _joined(texts):
    """`[1, 2, 4]` is one argument."""
    found = []
    for text in texts:
        if found and found[-1].count("[") > found[-1].count("]"):
            found[-1] += f", {text}"
        else:
            found.append(text)
    return found


def test_what_a_task_needs():
    assert names() == names(predicted="mask") == ["dice", "mean_interval"]
    radiotherapy = names(predicted="mask", border=True, doubtful=True)
    assert {"dice", "normalized_surface_dice", "hausdorff_distance_95"} <= set(radiotherapy)
    assert "hausdorff_distance" not in radiotherapy, "one stray voxel would decide it"
    assert "normalized_surface_dice" in names(predicted="mask", thin=True)
    assert names(predicted="mask", costs="missed")[:1] == ["f_beta"] and "dice" not in names(
        predicted="mask", costs="missed"
    )
    assert "auroc_interval" in names(predicted="score") and "average_precision" in names(predicted="score", rare=True)
    assert "mutual_information" in names(predicted="image", contrast="other")
    assert "psnr" not in names(predicted="image", contrast="other")
    assert "fleiss_kappa" in names(predicted="ratings", raters="several")


def test_arguments_follow_the_answers():
    several, one = (choose(predicted="mask", classes=number, absent=True)[0].call for number in ("several", "one"))
    assert several == "dice(prediction, reference, labels=[1, 2, 4], undefined=math.nan)"
    assert one == "dice(prediction, reference, undefined=math.nan)"
    weights = [choose(predicted="mask", costs=cost)[0].call for cost in ("missed", "false")]
    assert weights == ["f_beta(prediction, reference, beta=2)", "f_beta(prediction, reference, beta=0.5)"]


def test_what_to_heed():
    assert any("empty" in text.lower() for text in cautions(predicted="mask", absent=True))
    assert any("not independent" in text for text in cautions(predicted="score", repeated=True))
    assert not any("not independent" in text for text in cautions(predicted="score"))


def test_yes_and_no_may_be_true_and_false():
    assert choose(border=True, thin=False) == choose(border="yes", thin="no")


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"size": "small"}, "the property 'size' is unknown, expected one of predicted, classes, small, "),
        ({"predicted": "boxes"}, "predicted is 'boxes', expected one of mask, lesions, score, image, number, ratings"),
        ({"border": 1}, "border is 1, expected one of no, yes"),
        ({"classes": True}, "classes is True, expected one of one, several"),
        ({"rare": True}, "rare is True, expected no answer, for it is asked only where predicted is score"),
        (
            {"predicted": "image", "paired": "no", "contrast": "same"},
            "asked only where predicted is image and paired is yes",
        ),
        ({"border": ["yes"]}, r"border is \['yes'\], expected one of no, yes"),
    ],
)
def test_refusals(properties, said):
    for ask in (choose, cautions):
        with pytest.raises(ValueError, match=said):
            ask(**properties)


def test_conditions_hold_with_those_of_their_questions():
    rules = Rules(
        (
            Question("kind", "?", {"a": "a", "b": "b", "c": "c"}),
            Question("size", "?", when={"kind": ("a", "b")}),
            Question("edge", "?", when={"size": ("yes",)}),
        ),
        (Recommendation("f", (Argument("x"), Argument("y", {"edge": ("yes",)})), "w.", "m.", {"edge": ("no",)}),),
        (),
    )
    assert rules.whole({"edge": ("no",)}) == {"edge": ("no",), "size": ("yes",), "kind": ("a", "b")}
    assert rules.whole({"edge": ("no",), "kind": ("b", "c")})["kind"] == ("b",)
    assert len(list(rules.combinations())) == 2 * 3 + 1
    assert [one.call for one in rules.recommended({"size": True})] == ["f(x)"]
    assert rules.recommended({"size": True, "edge": True}) == [] == rules.recommended({"kind": "c"})
