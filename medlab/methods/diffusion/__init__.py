"""What methods of denoising diffusion share: the noise schedule and its steps, noise, slices, guidance.

`anoddpm` and `classifier_guidance` are built on it.
"""

from medlab.methods.diffusion.config import SliceDiffusionConfig
from medlab.methods.diffusion.guidance import guided_noise, log_probability_gradient
from medlab.methods.diffusion.module import SliceDiffusion
from medlab.methods.diffusion.noise import draw_noise, simplex_noise
from medlab.methods.diffusion.schedule import NoiseSchedule
from medlab.methods.diffusion.slices import SliceGrid
from medlab.methods.diffusion.training_slices import TrainingSlices

__all__ = [
    "NoiseSchedule",
    "SliceDiffusion",
    "SliceDiffusionConfig",
    "SliceGrid",
    "TrainingSlices",
    "draw_noise",
    "guided_noise",
    "log_probability_gradient",
    "simplex_noise",
]
