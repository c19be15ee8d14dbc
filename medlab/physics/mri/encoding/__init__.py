"""Encoding: how gradients write the places of spins into a signal, and what part of k-space is measured.

Import from here. Images are (..., X, Y), frequency-encoded along X and phase-encoded along Y; k-space has the same
shape with frequency 0 at index n // 2. Lengths in mm, gradients in mT/m, times in ms, k in cycles a mm or a voxel.
"""

from medlab.physics.mri.encoding.coils import (
    MultiCoil,
    combine,
    loop_field,
    loop_sensitivities,
    root_sum_of_squares,
)
from medlab.physics.mri.encoding.fourier import FourierTransform, to_image, to_kspace
from medlab.physics.mri.encoding.gradients import Gradient, Readout, encode, gradient_hz
from medlab.physics.mri.encoding.masks import (
    acceleration,
    centre_lines,
    equispaced_lines,
    partial_fourier,
    random_lines,
)
from medlab.physics.mri.encoding.nonuniform import NonuniformFourier, radial_density, radial_trajectory
from medlab.physics.mri.encoding.symmetry import fill_from_symmetry, mirrored

__all__ = [
    "FourierTransform",
    "Gradient",
    "MultiCoil",
    "NonuniformFourier",
    "Readout",
    "acceleration",
    "centre_lines",
    "combine",
    "encode",
    "equispaced_lines",
    "fill_from_symmetry",
    "gradient_hz",
    "loop_field",
    "loop_sensitivities",
    "mirrored",
    "partial_fourier",
    "radial_density",
    "radial_trajectory",
    "random_lines",
    "root_sum_of_squares",
    "to_image",
    "to_kspace",
]
