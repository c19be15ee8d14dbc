"""Smooth random fields: what makes tissue uneven and one person's folds unlike another's."""

import math
from functools import cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medlab.arguments import number


def smooth_noise(shape: tuple[int, ...], sigma_voxels: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise smoothed by a Gaussian of sigma_voxels, with mean about 0 and standard deviation 1; float32.

    The standard deviation is that of the ensemble, so one small field may have another.
    """
    sigma = number(sigma_voxels, "sigma_voxels", 0)
    noise = torch.randn(tuple(shape), generator=generator)
    if sigma == 0:
        return noise
    smooth = torch.from_numpy(ndimage.gaussian_filter(noise.numpy(), sigma, mode="wrap"))
    return smooth / math.prod(_kept(length, sigma) for length in shape)


@cache
def _kept(length: int, sigma: float) -> float:
    """By how much smoothing along one axis lowers the standard deviation of white noise: the kernel's norm."""
    point = np.zeros(length)
    point[0] = 1
    return float(np.linalg.norm(ndimage.gaussian_filter1d(point, sigma, mode="wrap")))
