"""A diffusion model of slices as a Lightning module: the loss, the training step, and a map of a whole head."""

from abc import abstractmethod
from typing import Self

import lightning as L
import torch
from torch import Tensor

from medlab.data import Volume
from medlab.data.chance import generator_for
from medlab.data.samples import Sample
from medlab.methods.anomaly import ErrorMap, seen
from medlab.methods.diffusion.config import SliceDiffusionConfig
from medlab.methods.diffusion.noise import draw_noise
from medlab.nn.diffusion_unet2d import DiffusionUNet2d
from medlab.training import scheduled

LOWER_PRECISION = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class SliceDiffusion(L.LightningModule):
    """A U-Net that finds the noise in slices; what is built on it says how a slice is made healthy: `restored`.

    Learns from batches of `TrainingSlices`. Built by the same seed it starts with the same weights.
    """

    sees = "equalised"
    Config: type[SliceDiffusionConfig] = SliceDiffusionConfig

    def __init__(self, config: SliceDiffusionConfig, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.build()
        if config.channels_last:
            self.to(memory_format=torch.channels_last)
        self.noising, self.sampling = config.training_schedule(), config.sampling_schedule()

    def build(self) -> None:
        """Makes the networks."""
        self.network = DiffusionUNet2d(1, 1, **self.config.unet)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """The noise in slices (B, 1, X, Y) at times (B,)."""
        return self.network(self._laid(x), time)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The named parts of the loss: "noise", the mean squared error of the noise (Ho et al. 2020, equation 14)."""
        noisy = self.noising.noised(batch["image"], batch["time"], batch["noise"])
        noise = (self(noisy, batch["time"]).float() - batch["noise"]).square().mean()
        return {"loss": noise, "noise": noise}

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        found = self.losses(batch)
        for name, value in found.items():
            self.log(f"train/{name}", value.detach(), batch_size=len(batch["time"]))
        return found["loss"]

    def validation_step(self, head: Sample, index: int) -> None:
        """The error of the noise on the slices of a head, all at once, at times that are spread evenly."""
        slices, _ = self.config.grid.slices(seen(head, self.sees))
        chance = generator_for(self.seed, f"validation {index}")
        times = torch.linspace(0, self.config.latest - 1, max(len(slices), 1)).long()[: len(slices)]
        batch = {"image": 2 * slices - 1, "noise": self.fresh_noise(slices, chance), "time": times}
        found = SliceDiffusion.losses(self, {name: value.to(self.device) for name, value in batch.items()})
        self.log("validation/noise", found["noise"], batch_size=1, on_epoch=True, on_step=False)

    def transfer_batch_to_device(self, batch: object, device: torch.device, dataloader_idx: int) -> object:
        # A sample stays where it is: of it only slices are moved.
        return batch if isinstance(batch, Sample) else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> dict:
        config = self.config
        optimiser = torch.optim.AdamW(self.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        return scheduled(optimiser, config.steps, config.schedule, min(config.warm_up, config.steps))

    @abstractmethod
    def restored(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Slices (B, 1, X, Y) from -1 to 1 as they would look healthy."""

    def measure(self, x: Tensor, healthy: Tensor) -> Tensor:
        """The error of slices: their absolute difference, back on the scale from 0 to 1."""
        return (x - healthy).abs() / 2

    @torch.no_grad()
    def error_map(self, volume: Volume, seed: int = 0) -> ErrorMap:
        """How much each voxel would change if the head were healthy: absolute difference, 0 outside the head.

        volume: (1, X, Y, Z) from 0 to 1, equalised, of any size and spacing, axes RAS+. Its axial slices go through
        `restored` at the config's pixels, micro-batch by micro-batch; their errors are interpolated back. seed: of
        what is drawn. Weights are as in evaluation; the mode is restored.
        Raises ValueError for several channels.
        """
        slices, at = self.config.grid.slices(volume)
        errors = torch.zeros_like(slices)
        training = self.training
        self.eval()
        try:
            for number, start in enumerate(range(0, len(at), self.config.micro_batch)):
                part = 2 * slices[start : start + self.config.micro_batch].to(self.device) - 1
                # Chance of each micro-batch by itself: the first slices do not depend on how many follow.
                found = self.restored(part, generator_for(seed, f"micro-batch {number}"))
                errors[start : start + len(part)] = self.measure(part, found).to(errors.device)
        finally:
            self.train(training)
        values = self.config.grid.back(errors, at, volume)
        return ErrorMap(volume.with_data(values[None], f"{volume.name}, error"), "absolute difference")

    @torch.no_grad()
    def restored_slice(self, volume: Volume, height: float = 0.5, seed: int = 0) -> tuple[Tensor, Tensor]:
        """One slice of a head, and the same as it would look healthy: two images of the config's size, from 0 to 1.

        height: which of the slices with enough foreground, 0 the lowest to 1 the highest.
        """
        slices, _ = self.config.grid.slices(volume)
        if not len(slices):
            raise ValueError(f"volume {volume.name!r} has no slice with enough foreground, expected one at least")
        one = slices[round(height * (len(slices) - 1))][None].to(self.device)
        found = self.restored(2 * one - 1, generator_for(seed, "slice"))
        return one[0, 0].cpu(), ((found[0, 0] + 1) / 2).cpu()

    def noise_in(self, x: Tensor, k: int) -> Tensor:
        """What the network finds in slices in a state of the sampling schedule, float32, in the config's precision."""
        with self.lower_precision():
            return self(x, self.sampling.told(k, x)).float()

    def lower_precision(self) -> torch.autocast:
        """The precision of the config, for inference."""
        dtype = LOWER_PRECISION.get(self.config.precision)
        return torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def fresh_noise(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Noise like x, of the config's kind."""
        return draw_noise(self.config.noise, tuple(x.shape), generator, **self.config.noise_options).to(x.device)

    @classmethod
    def from_weights(cls, tensors: dict[str, Tensor], card: dict) -> Self:
        """The trained method that a file of weights and its card describe. Raises ValueError where they do not fit."""
        method = cls(cls.Config.from_dict(card["config"]))
        # Weights may be stored at half precision.
        method.load_state_dict({name: value.float() for name, value in tensors.items()})
        return method.eval()

    def _laid(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self.config.channels_last else x
