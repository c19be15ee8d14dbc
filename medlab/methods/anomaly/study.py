"""How well maps tell ill structures from healthy ones: scores, a rule chosen on other heads, areas with intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medlab.data.samples import Sample
from medlab.methods.anomaly.error_map import ErrorMap
from medlab.methods.anomaly.structures import seen, structures_of, truth_of
from medlab.metrics.agreement import Estimate
from medlab.metrics.roc import auroc, auroc_interval

PERCENTILES = (100.0, 99.9, 99.0, 95.0, 80.0)
# The findings of the thesis's figures 3 and 6, and the structures in which they are looked for.
FINDINGS = {"haemorrhage": ("left hemisphere", "right hemisphere"), "fracture": ("skull",)}


@dataclass(frozen=True, eq=False)
class Scored:
    """What a method says of one head. scores: by map, percentile and structure; truth: by structure; volume_ml: of the
    lesion that is there, by finding (NaN where the dataset has no labels)."""

    subject: str
    scores: dict[tuple[str, float], dict[str, float]]
    truth: dict[str, bool]
    volume_ml: dict[str, float]


@dataclass(frozen=True)
class Rule:
    """How a map becomes one number for a structure: which map, and which percentile inside (100: the maximum)."""

    map: str
    percentile: float


def maps_of(method, head: Sample) -> dict[str, ErrorMap]:
    """The maps that a method offers for a head, by name: those of its `maps(head)`, or the one of `error_map`."""
    if hasattr(method, "maps"):
        return method.maps(head)
    return {"error": method.error_map(seen(head, method.sees))}


def score_heads(method, heads: Iterable[Sample], percentiles: Sequence[float] = PERCENTILES) -> list[Scored]:
    """The scores of all structures of prepared heads, by every map and percentile."""
    rows = []
    for head in heads:
        structures = structures_of(head)
        scores = {
            (name, percentile): found.scores(structures, percentile=percentile)
            for name, found in maps_of(method, head).items()
            for percentile in percentiles
        }
        rows.append(Scored(head.subject, scores, truth_of(head), _volumes_ml(head)))
    return rows


def rules_of(rows: Sequence[Scored]) -> tuple[Rule, ...]:
    """All rules by which these heads were scored."""
    return tuple(Rule(*key) for key in rows[0].scores)


def cases(rows: Sequence[Scored], finding: str, rule: Rule) -> tuple[list[float], list[bool], list[str]]:
    """Scores, truth and owners of all structures in which a finding is looked for."""
    key, structures = (rule.map, rule.percentile), FINDINGS[finding]
    every = [(row, name) for row in rows for name in structures]
    return (
        [row.scores[key][name] for row, name in every],
        [row.truth[name] for row, name in every],
        [row.subject for row, _ in every],
    )


def best_rule(rows: Sequence[Scored], finding: str, rules: Sequence[Rule] | None = None) -> Rule:
    """The rule with the largest area on these heads, which should not be those of the test; of equals the first.

    Raises ValueError where the finding, or its absence, does not occur.
    """
    return max(rules or rules_of(rows), key=lambda rule: auroc(*cases(rows, finding, rule)[:2]))


def area(rows: Sequence[Scored], finding: str, rule: Rule) -> Estimate:
    """The area below the ROC curve with its 95 % interval; the two hemispheres of a head are not independent cases."""
    scores, truth, owners = cases(rows, finding, rule)
    groups = owners if len(FINDINGS[finding]) > 1 else None
    return auroc_interval(scores, truth, groups=groups)


def _volumes_ml(head: Sample) -> dict[str, float]:
    """Of the labelled lesion: clot 1, fracture 2."""
    if head.label is None:
        return {"haemorrhage": float("nan"), "fracture": float("nan")}
    x, y, z = head.image.spacing
    return {
        "haemorrhage": float((head.label == 1).sum()) * x * y * z / 1000,
        "fracture": float((head.label == 2).sum()) * x * y * z / 1000,
    }
