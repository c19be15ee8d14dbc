"""The restoration by a variational autoencoder as a Lightning module: losses, training, and the map of a scan."""

from typing import Self

import lightning as L
import torch
from torch import Tensor

from medlab.arguments import one_of
from medlab.data.chance import generator_for
from medlab.data.samples import Sample
from medlab.data.volume import Volume
from medlab.methods.anomaly import ErrorMap, seen
from medlab.methods.vae_restoration.config import MAPS, Config
from medlab.methods.vae_restoration.elbo import negative_elbo
from medlab.methods.vae_restoration.restoration import restore
from medlab.methods.vae_restoration.slices import as_slices, as_volume
from medlab.nn.vae2d import Vae2d, standard_normal
from medlab.training import scheduled

LOWER_PRECISION = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
AT_ONCE = 64  # slices


class VaeRestoration(L.LightningModule):
    """A variational autoencoder of healthy axial slices, and what it would change about others.

    Learns from batches of `Slices`: "image" (B, 1, S, S), 0 to 1. Validates on healthy heads: the bound of their
    slices. Built by the same seed it starts with the same weights. Sources: You et al. (MIDL 2019), Baur et al. (2021).
    """

    sees = "equalised"

    def __init__(self, config: Config, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Vae2d(config.slice_size, config.latent, width=config.width, levels=config.levels)
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last)

    def forward(self, image: Tensor) -> Tensor:
        """The decoded mean of the mean code of each image: (B, 1, S, S) to the same."""
        return self.network(image)[0]

    def losses(self, image: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """The named parts of the loss, means over the batch in nats an image: "reconstruction", "kl", "loss".

        noise: (B, latent), standard normal, by which the codes are drawn; None takes their means.
        """
        decoded, found = self.network(image, noise)
        config = self.config
        parts = negative_elbo(image, decoded, found, config.law, config.scale, config.kl_weight)
        return {name: value.mean() for name, value in parts.items()}

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        found = self.losses(batch["image"], standard_normal(batch["image"], self.config.latent))
        for name, value in found.items():
            self.log(f"train/{name}", value.detach(), batch_size=len(batch["image"]))
        return found["loss"]

    def validation_step(self, head: Sample, index: int) -> None:
        """The bound of the slices of a healthy head, in nats a slice, at one draw that is the same each time."""
        images = self._images(seen(head, self.sees))
        noise = standard_normal(images, self.config.latent, generator_for(0, f"validation {head.subject}"))
        for name, value in self.losses(images, noise).items():
            name = "validation/elbo" if name == "loss" else f"validation/{name}"
            sign = -1 if name == "validation/elbo" else 1
            self.log(name, sign * value, batch_size=1, on_epoch=True, on_step=False)

    def transfer_batch_to_device(self, batch: object, device: torch.device, dataloader_idx: int) -> object:
        return batch if isinstance(batch, Sample) else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> dict:
        config = self.config
        optimiser = torch.optim.Adam(self.parameters(), config.learning_rate)
        return scheduled(optimiser, config.steps, config.schedule, min(config.warm_up, config.steps))

    def error_map(self, volume: Volume, kind: str | None = None) -> ErrorMap:
        """The absolute difference between a scan and what the model makes of it, on the scan's grid.

        volume: (1, X, Y, Z), equalised, 0 outside the head. kind: "restoration" or "reconstruction", the config's where
        None. Each axial slice that is not empty is computed at the network's size and the difference interpolated back;
        empty slices have 0. Raises ValueError for several channels and another kind.
        """
        kind = one_of(kind or self.config.map, MAPS, "kind")
        if volume.shape[0] != 1:
            raise ValueError(f"volume {volume.name!r} has {volume.shape[0]} channels, expected 1, the equalised image")
        images = as_slices(volume.data[0].float().to(self.device), self.config.slice_size)
        found = torch.zeros_like(images)
        full = (images != 0).flatten(1).any(1).nonzero().flatten()
        for some in full.split(AT_ONCE):
            found[some] = (images[some] - self.made(images[some], kind)).abs()
        values = as_volume(found, volume.shape[1:]).cpu()
        return ErrorMap(volume.with_data(values[None].contiguous()), f"absolute difference to the {kind}")

    def maps(self, head: Sample) -> dict[str, ErrorMap]:
        """Both maps of a prepared head, by kind."""
        return {kind: self.error_map(seen(head, self.sees), kind) for kind in MAPS}

    def made(self, images: Tensor, kind: str = "restoration") -> Tensor:
        """What the model makes of slices (B, 1, S, S): restored, or decoded. Without gradients."""
        config, training = self.config, self.training
        self.eval()
        dtype = LOWER_PRECISION.get(config.precision)
        try:
            with torch.no_grad(), torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
                if kind == "reconstruction":
                    return self(images).float()
                return restore(
                    self.network,
                    images,
                    law=config.law,
                    scale=config.scale,
                    weight=config.variation,
                    rate=config.restore_rate,
                    steps=config.restore_steps,
                )
        finally:
            self.train(training)

    def _images(self, volume: Volume) -> Tensor:
        images = as_slices(volume.data[0].float().to(self.device), self.config.slice_size)
        return images[(images != 0).flatten(1).any(1)]

    @classmethod
    def from_weights(cls, tensors: dict[str, Tensor], card: dict) -> Self:
        """The trained method that a file of weights and its card describe. Raises ValueError where they do not fit."""
        method = cls(Config.from_dict(card["config"]))
        method.load_state_dict(tensors)
        return method.eval()
