"""What to heed, whatever one measures."""

from medlab.metrics.chooser.questions import DECISIONS, IMAGE, MASK, NO, PAIRED, RATINGS, VOXELS, YES
from medlab.metrics.chooser.rules import Caution

CAUTIONS = (
    Caution("Decide on the measures before you look at results, and report all of them.", {}),
    Caution("Leave accuracy out: for a small structure it is near 1 whatever is predicted.", VOXELS),
    Caution(
        "Report each structure by itself: a mean over labels hides the smallest.", MASK | {"classes": ("several",)}
    ),
    Caution(
        "Dice of small and large structures cannot be averaged as if they meant the same: show it against the volume.",
        MASK | {"small": YES},
    ),
    Caution(
        "Nothing here sees whether a thin structure is still in one piece. That needs a measure of topology, such as "
        "clDice, which medlab does not have.",
        MASK | {"thin": YES},
    ),
    Caution(
        "Empty reference and empty prediction: 0, 1 or left out changes means and rankings. Decide before you look, "
        "say it, and count such patients.",
        VOXELS | {"absent": YES},
    ),
    Caution(
        "Give spacing in mm for each axis. In voxels, the long direction looks too short.", VOXELS | {"thick": YES}
    ),
    Caution(
        "A method is not to be expected to agree with this reference better than two readers with one another: measure "
        "that first.",
        VOXELS | {"doubtful": YES},
    ),
    Caution(
        "Whatever is reported at a threshold: choose the threshold on other patients than those of the test.", DECISIONS
    ),
    Caution(
        "Without a true image nothing can be compared voxel by voxel. Judge a task that the image is for, such as a "
        "segmentation in it, or ask readers.",
        IMAGE | {"paired": NO},
    ),
    Caution("Judge inside a mask: background is easy, and lifts every mean.", PAIRED | {"background": YES}),
    Caution("Segment the lesions in both images and compare: it is what the image is for.", IMAGE | {"findings": YES}),
    Caution(
        "With more than two readers an intraclass correlation is usual for numbers; medlab has none yet.",
        RATINGS | {"raters": ("several",), "scale": ("numbers",)},
    ),
    Caution(
        "A reader who takes part in the consensus is flattered when compared with it.",
        RATINGS | {"raters": ("several",)},
    ),
    Caution(
        "Values of one patient are not independent. Average them first, or draw whole patients again (bootstrap by "
        "patient); otherwise every interval is too narrow.",
        {"repeated": YES},
    ),
)
