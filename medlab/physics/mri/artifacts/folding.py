"""Fold-over: what lies outside the field of view comes back on the other side."""

from torch import Tensor

from medlab.arguments import number, whole
from medlab.physics.mri.artifacts.arguments import on_image
from medlab.physics.mri.encoding import equispaced_lines, to_image, to_kspace


def fold(image: Tensor, strength: float = 1.0, *, every: int = 2) -> Tensor:
    """The image (..., X, Y) where of every so many lines of phase encoding only one is measured in full.

    strength: by what share the other lines are weakened: 0 leaves the image, 1 skips them. The result is
    (1 - strength) image + strength / every x sum of image shifted along Y by j Y / every, j from 0 to every - 1: for
    every = 2 one ghost half a field of view away. Nothing is scaled up. Raises ValueError where every is no divisor of
    Y.
    """
    number(strength, "strength", 0, 1)
    lines = image.shape[-1] if isinstance(image, Tensor) and image.ndim else 0
    if lines % whole(every, "every"):
        raise ValueError(f"every is {every}, expected a divisor of the {lines} lines")

    def skip(values: Tensor) -> Tensor:
        mask = equispaced_lines(lines, every).to(values.device)
        return to_image(to_kspace(values) * (1 - strength * (~mask)))

    return on_image(image, skip, strength)


def shrink_field_of_view(image: Tensor, every: int = 2) -> Tensor:
    """The image (..., X, Y / every) that a scanner shows with lines `every` times as far apart: folded onto itself.

    What is outside the smaller field of view comes in from the other side; voxels keep their size and values add up.
    """
    lines = image.shape[-1] if isinstance(image, Tensor) and image.ndim else 0
    if lines % whole(every, "every"):
        raise ValueError(f"every is {every}, expected a divisor of the {lines} lines")

    def wrap(values: Tensor) -> Tensor:
        # Index 0 of the small image lies where the middle of both coincides.
        size = lines // every
        moved = values.roll(size // 2 - lines // 2, -1)
        return moved.unflatten(-1, (every, size)).sum(-2)

    return on_image(image, wrap, 1.0)
