"""Classifier-guided DDIM as a Lightning module: encode without chance, decode with guidance, compare."""

import torch
from torch import Tensor
from torch.nn import functional as F

from medlab.methods.classifier_guidance.config import Config
from medlab.methods.diffusion import SliceDiffusion, guided_noise, log_probability_gradient
from medlab.methods.diffusion.training_slices import HEALTHY
from medlab.nn.diffusion_unet2d import NoisyImageClassifier2d


class ClassifierGuidance(SliceDiffusion):
    """Wolleb et al. 2022: weakly supervised, for it has to be told which slices are healthy, but not where a lesion is.

    A slice is encoded by `depth` steps of DDIM backwards, which keeps what makes it this patient's; then decoded by
    DDIM, each step bent by the gradient of a classifier towards "healthy". Without guidance the slice comes back.
    The diffusion model learns from all slices, the classifier from the same noisy slices with their kind.
    """

    Config = Config

    def build(self) -> None:
        super().build()
        self.classifier = NoisyImageClassifier2d(1, 2, **self.config.classifier)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The named parts of the loss: "noise" and "kind", the classifier's cross entropy. "accuracy" is no part of it.

        Both networks learn in one step, but neither sees the other's gradient. batch: of balanced `TrainingSlices`.
        """
        noisy = self._laid(self.noising.noised(batch["image"], batch["time"], batch["noise"]))
        noise = (self(noisy, batch["time"]).float() - batch["noise"]).square().mean()
        logits = self.classifier(noisy, batch["time"]).float()
        kind = F.cross_entropy(logits, batch["kind"])
        right = (logits.detach().argmax(1) == batch["kind"]).float().mean()
        return {"loss": noise + kind, "noise": noise, "kind": kind, "accuracy": right}

    def restored(self, x: Tensor, generator: torch.Generator, scale: float | None = None) -> Tensor:
        """As in `SliceDiffusion`; nothing is drawn. scale: of the guidance, the config's where None."""
        deepest = self.sampling.state_at(self.config.depth)
        state = x
        for k in range(-1, deepest):
            state = self.sampling.ddim_step(state, k, k + 1, self.noise_in(state, k))
        for k in range(deepest, -1, -1):
            noise = self.guided(state, k, self.config.scale if scale is None else scale)
            state = self.sampling.ddim_step(state, k, k - 1, noise)
        return state

    def guided(self, state: Tensor, k: int, scale: float) -> Tensor:
        """The noise in slices, as it would be in healthy ones."""
        found = self.noise_in(state, k)
        if not scale:
            return found
        gradient, _ = log_probability_gradient(
            self.classifier, self._laid(state), self.sampling.told(k, state), HEALTHY
        )
        return guided_noise(found, gradient, self.sampling, k, scale)
