"""Which measures fit a task: properties of the task in, functions of this room out, with what each does not see.

In the spirit of Metrics Reloaded (Maier-Hein et al., Nat. Methods 21, 195-212, 2024; Reinke et al., ibid. 182-194):
one asks first what is predicted and what matters about it. These rules are fewer than theirs, and they know only what
`medlab.metrics` holds. Advice, no verdict: every rule can be read here.
"""

from medlab.metrics.chooser.cautions import CAUTIONS
from medlab.metrics.chooser.questions import QUESTIONS
from medlab.metrics.chooser.rest import OF_THE_REST
from medlab.metrics.chooser.rules import Recommendation, Rules
from medlab.metrics.chooser.voxels import OF_VOXELS

RULES = Rules(QUESTIONS, (*OF_VOXELS, *OF_THE_REST), CAUTIONS)


def choose(**properties: object) -> list[Recommendation]:
    """The measures that fit a task with these properties, each with its call, its reason and what it misses.

    properties: an answer to any of `QUESTIONS` by its name, such as predicted="mask", border=True; where none is given,
    the question's first answer. What to heed besides: `cautions`. Raises ValueError for an unknown property or answer,
    and for an answer to a question that these properties leave no place for.
    """
    return RULES.recommended(properties)


def cautions(**properties: object) -> list[str]:
    """What to heed in a task with these properties, in sentences. Arguments: see `choose`."""
    return [caution.text for caution in RULES.warned(properties)]
