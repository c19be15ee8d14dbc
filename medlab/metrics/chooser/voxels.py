"""Advice on masks and on lesions."""

from medlab.metrics.chooser.questions import LESIONS, MASK, NO, UNEQUAL, YES
from medlab.metrics.chooser.rules import Argument, Recommendation

PAIR = Argument("prediction, reference")
SPACING = Argument("spacing")
LABELS = Argument("labels=[1, 2, 4]", {"classes": ("several",)})
UNDEFINED = Argument("undefined=math.nan", {"absent": YES})
TOLERANCE = Argument("tolerance_mm=1.0")


def _surface_dice(why: str, when: dict) -> Recommendation:
    misses = "How far off the rest is, and what lies deep inside, where there is no border."
    return Recommendation("normalized_surface_dice", (PAIR, SPACING, LABELS, TOLERANCE), why, misses, MASK | when)


OF_VOXELS = (
    # Masks
    Recommendation(
        "dice",
        (PAIR, LABELS, UNDEFINED),
        "Overlap relative to both volumes, and the number that papers report. IoU says the same on another scale.",
        "Where the errors lie and what shape they have. One voxel of border costs a small structure far more than a "
        "large one.",
        MASK | {"costs": ("alike",)},
    ),
    *(
        Recommendation(
            "f_beta",
            (PAIR, LABELS, Argument(f"beta={beta}"), UNDEFINED),
            f"Dice in which a {worse} voxel weighs {times} as much as a {other} one.",
            "As with Dice: where the errors lie. The weight is your choice: say it.",
            MASK | {"costs": (cost,)},
        )
        for cost, beta, worse, times, other in (
            ("missed", 2, "missed", "four times", "false"),
            ("false", 0.5, "false", "four times", "missed"),
        )
    ),
    Recommendation(
        "recall",
        (PAIR, LABELS, UNDEFINED),
        "The share of the structure that was found.",
        "All that is predicted too much: everything everywhere scores 1. Report precision beside it.",
        MASK | {"costs": UNEQUAL},
    ),
    Recommendation(
        "precision",
        (PAIR, LABELS, UNDEFINED),
        "The share of what was predicted that is right.",
        "All that was missed. Report recall beside it.",
        MASK | {"costs": UNEQUAL},
    ),
    _surface_dice(
        "The share of the border within a distance that you can tolerate; what two readers differ by is a good one.",
        {"border": YES},
    ),
    _surface_dice(
        "In a thin structure nearly every voxel is border: a tolerance forgives what overlap punishes.",
        {"border": NO, "thin": YES},
    ),
    _surface_dice(
        "A border that is one voxel off costs a small structure much of its overlap; a tolerance in mm treats all "
        "sizes alike.",
        {"border": NO, "thin": NO, "small": YES},
    ),
    Recommendation(
        "hausdorff_distance_95",
        (PAIR, SPACING, LABELS),
        "How far the border is off at worst, in mm, without the farthest 5 %: a stray voxel does not decide it.",
        "Any error that is less than 5 % of the border, such as a small lesion missed beside a large one. Peers take "
        "the percentile in different ways: say which.",
        MASK | {"border": YES, "doubtful": YES},
    ),
    Recommendation(
        "hausdorff_distance",
        (PAIR, SPACING, LABELS),
        "How far the border is off at worst, in mm. With a clean reference the worst place is what one wants to know.",
        "Everything but one voxel.",
        MASK | {"border": YES, "doubtful": NO},
    ),
    Recommendation(
        "average_surface_distance",
        (PAIR, SPACING, LABELS),
        "How far the border is off on average, in mm.",
        "One bad place on a large surface.",
        MASK | {"border": YES},
    ),
    Recommendation(
        "signed_volume_difference",
        (PAIR, LABELS, UNDEFINED),
        "Whether too much or too little is predicted, as a share of the volume.",
        "Whether it is the right place: a mask elsewhere of the same size scores 0.",
        MASK | {"volume": YES},
    ),
    Recommendation(
        "bland_altman",
        (Argument("predicted_ml, reference_ml"),),
        "The volumes of all patients: by how much they are off on average, and how widely that varies. `volume_ml` "
        "gives them.",
        "Whether single voxels are right.",
        MASK | {"volume": YES},
    ),
    Recommendation(
        "specificity",
        (Argument("predicted_any, reference_any"),),
        "Where there is nothing, overlap has nothing to say. Of each patient, is anything predicted, and is anything "
        "there? `recall` takes the same two lists.",
        "What the masks look like.",
        MASK | {"absent": YES},
    ),
    # Lesions
    Recommendation(
        "froc",
        (Argument("error_maps, references"), SPACING),
        "The share of lesions found against false alarms in a scan, over all thresholds.",
        "How well each lesion is outlined; and it depends on what counts as a hit: say it.",
        LESIONS,
    ),
    Recommendation(
        "lesion_counts",
        (PAIR, SPACING),
        "Lesions found, missed and invented at the threshold that will be used.",
        "How well they are outlined; a hit may be one voxel.",
        LESIONS,
    ),
    Recommendation(
        "average_precision",
        (Argument("error_map, reference"),),
        "One number over all thresholds that does not profit from the many healthy voxels.",
        "Which lesions they are: a large one counts for many small ones. It changes with the share of ill voxels.",
        LESIONS,
    ),
    Recommendation(
        "dice",
        (PAIR, UNDEFINED),
        "How well lesions are outlined, once they are found.",
        "A small lesion missed beside a large one.",
        LESIONS,
    ),
)
