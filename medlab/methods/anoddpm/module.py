"""AnoDDPM as a Lightning module: partial noising, denoising, and what did not come back."""

import torch
from torch import Tensor

from medlab.methods.anoddpm.config import Config
from medlab.methods.diffusion import SliceDiffusion


class AnoDDPM(SliceDiffusion):
    """Wyatt et al. 2022: trained on healthy slices alone; a slice is noised to `depth` and denoised step by step.

    What looks healthy is likely given its noisy image, and comes back. What does not is replaced by what would be
    likely in its place. Simplex noise, smooth at many sizes, hides lesions that Gaussian noise leaves visible, for the
    average of many pixels barely changes by independent noise.
    Its error map is the absolute difference (the paper shows the square, which has the same order of voxels).
    """

    Config = Config

    def restored(self, x: Tensor, generator: torch.Generator) -> Tensor:
        deepest = self.sampling.state_at(self.config.depth)
        noisy = self.sampling.noised(x, deepest, self.fresh_noise(x, generator))
        for k in range(deepest, -1, -1):
            # The last step draws nothing: its variance is 0.
            noisy = self.sampling.ddpm_step(noisy, k, self.noise_in(noisy, k), self.fresh_noise(x, generator))
        return noisy
