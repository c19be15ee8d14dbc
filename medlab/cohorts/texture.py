"""Smooth random fields: what makes tissue uneven and one person's folds unlike another's."""

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
    # White noise keeps the sum of the kernel's squares, which the transform of a single point has.
    point = torch.zeros(tuple(shape))
    point[(0,) * len(shape)] = 1
    kept = torch.from_numpy(ndimage.gaussian_filter(point.numpy(), sigma, mode="wrap")).square().sum().sqrt()
    return smooth / kept
