"""The artefacts of computed tomography, each made from the physics that causes it, each with a way to switch it off.

Import from here. Beam hardening and metal act on the path lengths of materials; noise, scatter and wrong gains on line
integrals; motion, too few views and a short detector on the geometry.
"""

from medlab.physics.ct.artifacts.geometry import every_nth_view, moved_sinogram, truncated
from medlab.physics.ct.artifacts.hardening import WaterCorrection, hardened_sinogram, path_lengths_mm
from medlab.physics.ct.artifacts.signal import draw_gains, with_gains, with_noise, with_scatter

__all__ = [
    "WaterCorrection",
    "draw_gains",
    "every_nth_view",
    "hardened_sinogram",
    "moved_sinogram",
    "path_lengths_mm",
    "truncated",
    "with_gains",
    "with_noise",
    "with_scatter",
]
