"""What one is asked about a task, and the conditions that advice is made of."""

from medlab.metrics.chooser.rules import Question

MASK, LESIONS, SCORE = {"predicted": ("mask",)}, {"predicted": ("lesions",)}, {"predicted": ("score",)}
IMAGE, NUMBER, RATINGS = {"predicted": ("image",)}, {"predicted": ("number",)}, {"predicted": ("ratings",)}
VOXELS, DECISIONS = {"predicted": ("mask", "lesions")}, {"predicted": ("mask", "lesions", "score")}
PAIRED = IMAGE | {"paired": ("yes",)}
YES, NO, UNEQUAL = ("yes",), ("no",), ("missed", "false")

QUESTIONS = (
    Question(
        "predicted",
        "What is judged?",
        {
            "mask": "masks or labels of structures",
            "lesions": "lesions that must be found one by one",
            "score": "a score for each patient or structure",
            "image": "images",
            "number": "a number with a unit, such as a volume",
            "ratings": "readers, against one another",
        },
    ),
    Question("classes", "How many structures?", {"one": "one", "several": "several"}, MASK),
    Question("small", "Is a structure only a few voxels wide, or far smaller in some patients?", when=MASK),
    Question("thin", "Is it thin or tubular, such as cortex or a vessel?", when=MASK),
    Question("border", "Does it matter by how many mm the border is off?", when=MASK),
    Question("volume", "Is its volume what will be reported?", when=MASK),
    Question("absent", "Can there be nothing at all in some patients?", when=VOXELS),
    Question("thick", "Are voxels longer in one direction than in another?", when=VOXELS),
    Question("doubtful", "May the reference hold stray voxels, or would two readers draw it differently?", when=VOXELS),
    Question("rare", "Are the ill far fewer than the healthy?", when=SCORE),
    Question(
        "costs",
        "Which error is worse?",
        {"alike": "both alike", "missed": "a miss", "false": "a false alarm"},
        {"predicted": ("mask", "score")},
    ),
    Question(
        "probabilities", "Does anyone act on the predicted probabilities, not only on a threshold?", when=DECISIONS
    ),
    Question(
        "paired", "Is there a true image of the same patient, in the same place?", {"yes": "yes", "no": "no"}, IMAGE
    ),
    Question(
        "contrast",
        "Should the two show tissues in the same greys?",
        {"same": "yes", "other": "no, another contrast"},
        PAIRED,
    ),
    Question("background", "Is much of the picture background?", when=PAIRED),
    Question("findings", "Must lesions survive in it?", when=IMAGE),
    Question("raters", "How many readers?", {"two": "two", "several": "more"}, RATINGS),
    Question(
        "scale",
        "What do they give?",
        {"categories": "categories", "grades": "grades in an order", "masks": "masks", "numbers": "numbers"},
        RATINGS,
    ),
    Question("repeated", "Do several values come from one patient (visits, structures, slices)?"),
)
