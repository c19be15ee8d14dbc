"""Gibbs ringing: what sharp edges become when k-space ends early."""

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import number
from medlab.physics.mri.artifacts.arguments import on_image
from medlab.physics.mri.encoding import centre_lines, to_image, to_kspace

# Si(pi) / pi - 1/2: how far the sum of ever more waves goes beyond a step, as a share of its height.
GIBBS_OVERSHOOT = 0.089489872236083635


def gibbs(image: Tensor, strength: float, axes: tuple[int, ...] = (-1,)) -> Tensor:
    """The image (..., X, Y) from a k-space that was measured only in its middle and filled up with zeros.

    strength: the share of the lines that is missing, 0 to below 1, half of them at each end: a sharp edge then has
    waves beside it whose length is 2 / (1 - strength) voxels, the first of them 8.9 % of the step (Gibbs, Nature 59,
    606, 1899). axes: along which; the last one, that of phase encoding, by default, as on scanners. Raises ValueError
    for another strength, for axes other than -1 and -2 and for an image that is no image.
    """
    number(strength, "strength", 0, 1)
    if strength == 1 or not axes or any(axis not in (-1, -2) for axis in axes):
        found = f"strength is {strength} and axes are {axes}"
        raise ValueError(f"{found}, expected a strength below 1 and one or both of the axes -1 and -2")

    def cut(values: Tensor) -> Tensor:
        kspace = to_kspace(values)
        for axis in set(axes):
            lines = values.shape[axis]
            mask = centre_lines(lines, max(round((1 - strength) * lines), 1)).to(values.device)
            kspace = kspace * (mask if axis == -1 else mask[:, None])
        return to_image(kspace)

    return on_image(image, cut, strength)


def step_response(places: Tensor) -> Tensor:
    """A unit step at 0 made of all waves up to the frequency 1/2 a unit: 1/2 + Si(pi place) / pi, float64.

    The limit of `gibbs` where voxels are much finer than the cut; it overshoots by GIBBS_OVERSHOOT at place 1. Si, the
    sine integral, by Gauss-Legendre quadrature over each half wave.
    """
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(24))
    places = places.double()
    whole = int(places.abs().max().ceil()) if places.numel() else 0
    centre = torch.arange(whole, dtype=torch.float64)[:, None] + 0.5
    pieces = (torch.sinc(centre + nodes / 2) * weights / 2).sum(-1)  # integral of sinc over [n, n + 1]
    sums = torch.cat((torch.zeros(1, dtype=torch.float64), pieces.cumsum(0)))
    floor = places.abs().floor()
    rest = (places.abs() - floor)[..., None]
    last = (torch.sinc(floor[..., None] + rest * (nodes + 1) / 2) * weights * rest / 2).sum(-1)
    return 0.5 + places.sign() * (sums[floor.long()] + last)
