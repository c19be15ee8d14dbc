"""Advice on scores, images, numbers and readers."""

from medlab.metrics.chooser.questions import DECISIONS, IMAGE, NUMBER, PAIRED, RATINGS, SCORE, YES
from medlab.metrics.chooser.rules import Argument, Recommendation

PAIR = Argument("prediction, reference")
INSIDE = Argument("mask=brain", {"background": YES})


OF_THE_REST = (
    # Scores
    Recommendation(
        "auroc_interval",
        (Argument("scores, ill"), Argument("groups=patients", {"repeated": YES})),
        "How often an ill case scores higher than a healthy one, whatever the threshold; with its interval.",
        "What happens at the threshold that you will use; and with few ill among many healthy it flatters.",
        SCORE,
    ),
    Recommendation(
        "average_precision",
        (Argument("scores, ill"),),
        "Counts false alarms against hits, so that many easy healthy cases do not hide them.",
        "It changes with the share of the ill, so that two cohorts cannot be compared by it.",
        SCORE | {"rare": YES},
    ),
    *(
        Recommendation(name, (Argument("decided, ill"),), why, misses, SCORE)
        for name, why, misses in (
            (
                "recall",
                "The share of the ill that is found, at the threshold that you will use.",
                "False alarms: calling everyone ill scores 1.",
            ),
            (
                "specificity",
                "The share of the healthy that is left in peace, at the same threshold.",
                "Misses: calling no one ill scores 1.",
            ),
        )
    ),
    Recommendation(
        "threshold_for_sensitivity",
        (Argument("scores, ill, sensitivity"),),
        "The threshold that finds the share of the ill that must be found; choose it on other patients.",
        "On new patients it finds more or fewer: report what it found there.",
        SCORE | {"costs": ("missed",)},
    ),
    *(
        Recommendation(name, (Argument(given),), why, misses, DECISIONS | {"probabilities": YES})
        for name, given, why, misses in (
            (
                "expected_calibration_error",
                "probabilities, truth",
                "Whether what is called 80 % happens in 80 % of the cases.",
                "Whether ill and healthy are told apart: always saying the prevalence is perfectly calibrated.",
            ),
            (
                "brier_score",
                "probabilities, truth",
                "The squared error of the probabilities: both calibration and telling apart.",
                "Which of the two is wrong; and with few ill it is small for everyone.",
            ),
        )
    ),
    # Images
    *(
        Recommendation(name, (PAIR, *more, INSIDE), why, misses, PAIRED | {"contrast": ("same",)})
        for name, more, why, misses in (
            (
                "mae",
                (),
                "The error of a voxel, in the unit of the image.",
                "Structure: blur, and a small lesion that is gone.",
            ),
            (
                "psnr",
                (Argument("data_range=1.0"),),
                "What papers report: the squared error on a scale of dB.",
                "The same as MAE. It depends on the data range, and on how much background is counted.",
            ),
            (
                "ssim",
                (Argument("data_range=1.0"),),
                "Brightness, contrast and structure in small windows.",
                "What a window of 11 voxels does not hold, and small lesions. Window, data range and 2D or 3D change "
                "it: say which.",
            ),
        )
    ),
    *(
        Recommendation(name, (PAIR, INSIDE), why, misses, PAIRED | {"contrast": ("other",)})
        for name, why, misses in (
            (
                "mutual_information",
                "Asks only whether one grey value tells the other: fit for two contrasts.",
                "Whether the greys are right. It has no scale of its own: compare it with a known good pair.",
            ),
            (
                "normalized_cross_correlation",
                "For contrasts that are a straight line of one another, upside down too.",
                "Any other relation between two contrasts, such as T1 and T2.",
            ),
        )
    ),
    Recommendation(
        "lesion_contrast_ratio",
        (Argument("prediction, lesion, normal_tissue"),),
        "Whether a lesion still stands out from healthy tissue, which no mean over all voxels tells.",
        "Whether its shape is right; and it needs the lesion's mask.",
        IMAGE | {"findings": YES},
    ),
    Recommendation(
        "region_errors",
        (PAIR, Argument("regions"), Argument("data_range=1.0")),
        "Errors of lesions, of healthy tissue and of the rest, each over its own voxels.",
        "Where within a region they lie.",
        PAIRED | {"contrast": ("same",), "findings": YES},
    ),
    # Numbers
    Recommendation(
        "bland_altman",
        (PAIR,),
        "By how much the numbers are off on average, and within which limits most of them are.",
        "Whether the error grows with the number itself: look at the plot.",
        NUMBER,
    ),
    Recommendation(
        "mean_interval",
        (Argument("abs(prediction - reference)"),),
        "The size of a usual error in the unit of the number, and how far this mean can be trusted.",
        "Its direction, and the patients for whom it is largest.",
        NUMBER,
    ),
    # Readers
    *(
        Recommendation(
            "cohen_kappa",
            (Argument("one, other"), *more),
            why,
            misses,
            RATINGS | {"raters": ("two",), "scale": (scale,)},
        )
        for scale, more, why, misses in (
            (
                "categories",
                (),
                "Agreement beyond what chance alone would give.",
                "It falls where one category is rare, however well the readers agree: show the table beside it.",
            ),
            (
                "grades",
                (Argument('weights="quadratic"'),),
                "Agreement beyond chance, where a near miss costs less than a far one.",
                "It depends on the weights, and on how often each grade occurs: say both.",
            ),
        )
    ),
    Recommendation(
        "fleiss_kappa",
        (Argument("ratings"),),
        "Agreement of any number of readers beyond what chance alone would give.",
        "Who disagrees; the order of grades; and it falls where one category is rare.",
        RATINGS | {"raters": ("several",), "scale": ("categories", "grades")},
    ),
    Recommendation(
        "rater_dice",
        (Argument("masks"),),
        "Dice of every pair of readers: how good a method can be expected to get.",
        "As with Dice: where they differ, and how far.",
        RATINGS | {"scale": ("masks",)},
    ),
    Recommendation(
        "staple",
        (Argument("masks"),),
        "A consensus that weighs readers by how reliable each is, with the sensitivity and specificity of each.",
        "An error that most readers share becomes the truth.",
        RATINGS | {"raters": ("several",), "scale": ("masks",)},
    ),
    Recommendation(
        "bland_altman",
        (Argument("one, other"),),
        "By how much two readers differ on average, and within which limits; with more readers, for every pair.",
        "How much of it is one reader's own spread: let each read twice.",
        RATINGS | {"scale": ("numbers",)},
    ),
    # Whatever is judged
    Recommendation(
        "mean_interval",
        (Argument("one_value_per_patient"),),
        "How far the mean over patients can be trusted. Call two methods different only if the interval of their "
        "difference, patient by patient, leaves out 0.",
        "The patients for whom it fails: look at the worst, not only at the mean.",
        {"predicted": ("mask", "lesions", "image")},
    ),
)
