"""The one head from which all subjects are drawn: the ICBM 152 brain, with the rest of a head derived around it."""

from medlab.cohorts.anatomy.model import FURROWED, HeadModel, head_model

__all__ = ["FURROWED", "HeadModel", "head_model"]
