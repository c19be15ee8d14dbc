"""The learning rate over the steps of a training."""

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from medlab.arguments import number, one_of, whole

SHAPES = ("constant", "cosine", "linear", "polynomial")


def rate_factor(step: int, steps: int, shape: str = "cosine", warm_up: int = 0, floor: float = 0.0) -> float:
    """What the optimiser's learning rate is multiplied by at a step, 0 to steps - 1.

    It rises in a straight line over the first `warm_up` steps, (step + 1) / warm_up, then falls from 1 towards `floor`,
    which it would reach at `steps`: "cosine" (Loshchilov & Hutter, SGDR, ICLR 2017, equation 5, one period), "linear",
    "polynomial" with the exponent 0.9 (DeepLab; nnU-Net), or not at all: "constant".
    """
    one_of(shape, SHAPES, "shape")
    if step < warm_up:
        return (step + 1) / warm_up
    done = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    left = {
        "constant": 1.0,
        "cosine": (1 + math.cos(math.pi * done)) / 2,
        "linear": 1 - done,
        "polynomial": (1 - done) ** 0.9,
    }[shape]
    return floor + (1 - floor) * left


def scheduled(
    optimiser: Optimizer, steps: int, shape: str = "cosine", warm_up: int = 0, floor: float = 0.0
) -> dict[str, Any]:
    """What `configure_optimizers` returns for an optimiser whose rate follows `rate_factor`, step by step."""
    whole(steps, "steps")
    whole(warm_up, "warm_up", 0, steps)
    number(floor, "floor", 0, 1)
    one_of(shape, SHAPES, "shape")
    schedule = LambdaLR(optimiser, lambda step: rate_factor(step, steps, shape, warm_up, floor))
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
