"""How images enter the artefacts: complex inside, and a magnitude image leaves as a magnitude image."""

from collections.abc import Callable

from torch import Tensor

from medlab.physics.mri.encoding.arguments import as_complex


def on_image(image: Tensor, spoil: Callable[[Tensor], Tensor], strength: float, dims: int = 2) -> Tensor:
    """What `spoil` makes of the complex image; the image itself, untouched, where strength is 0.

    A complex image stays complex. A real one is taken for a magnitude image, as a viewer shows it: it must not be
    negative, and what leaves is the magnitude of the result, in the same precision.
    """
    values = as_complex(image, "image", dims)
    if not image.is_complex() and bool((image < 0).any()):
        raise ValueError(f"image has values down to {float(image.min())}, expected a magnitude or a complex image")
    if strength == 0:
        return image
    spoiled = spoil(values)
    return spoiled if image.is_complex() else spoiled.abs()


def largest(image: Tensor) -> Tensor:
    """The largest magnitude of an image, the unit in which interference and noise are given."""
    return image.abs().max()
