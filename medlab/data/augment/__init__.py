"""Augmentation: other images of the same subject, as a scanner or another day might have given them.

An augmentation takes a `medlab.data.samples.Sample` and a seed and gives a `Sample`. It first draws its parameters,
plain numbers that can be printed and stored as JSON, then applies them to image, label and mask alike; `replay` applies
stored ones. Labels and masks are moved by nearest neighbour only, and only transforms of space touch them.

    augmentation = Compose((Flip(), Sometimes(Affine(), 0.5), Gamma()))
    parameters = augmentation.draw(seed=7)
    other = augmentation.replay(sample, parameters)    # the same as augmentation(sample, seed=7)
"""

from medlab.data.augment.base import Augmentation, Compose, Parameters, Sometimes
from medlab.data.augment.intensity import Blur, Gamma, LowResolution, Noise
from medlab.data.augment.scanner import BiasField, Ghosting, HeadMotion
from medlab.data.augment.space import Affine, Elastic, Flip

__all__ = [
    "Affine",
    "Augmentation",
    "BiasField",
    "Blur",
    "Compose",
    "Elastic",
    "Flip",
    "Gamma",
    "Ghosting",
    "HeadMotion",
    "LowResolution",
    "Noise",
    "Parameters",
    "Sometimes",
]
