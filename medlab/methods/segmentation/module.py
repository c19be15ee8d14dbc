"""Segmentation as a Lightning module: the losses, the training step, validation on whole scans, and `segment`."""

import math
from typing import Self

import lightning as L
import torch
from torch import Tensor

from medlab import nn
from medlab.data.samples import Sample
from medlab.data.volume import Volume
from medlab.methods.segmentation.config import Config
from medlab.methods.segmentation.evaluation import judge
from medlab.methods.segmentation.inference import Segmented, segment_volume
from medlab.metrics.losses import cross_entropy_loss, soft_dice_loss
from medlab.training import scheduled

LOWER_PRECISION = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Segmentation(L.LightningModule):
    """A network of the zoo that gives each voxel of a scan a class (thesis, chapters 3 and 6).

    Learns from batches of `SubVolumes`: "image" (B, C, *patch) and "label" (B, *patch). Validates on whole samples:
    hard Dice of every class over the whole scan, not the soft Dice of patches. Built by the same seed it starts with
    the same weights.
    """

    def __init__(self, config: Config, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = nn.build(config.network, len(config.channels), config.classes, **config.network_options)
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last_3d)
        if config.compile:
            self.network.compile()  # in place: the names of the weights stay

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits (B, K, X, Y, Z) of images (B, C, X, Y, Z); with deep supervision, while training, several."""
        if self.config.channels_last:
            image = image.contiguous(memory_format=torch.channels_last_3d)
        return self.network(image)

    def losses(self, logits: Tensor | tuple[Tensor, ...], label: Tensor) -> dict[str, Tensor]:
        """The named parts of the loss: "dice", "cross_entropy" and their weighted sum "loss".

        logits: (B, K, X, Y, Z), or those of several depths, the finest first, of which each counts half as much as the
        one before. label: (B, X, Y, Z) classes.
        """
        depths = logits if isinstance(logits, tuple | list) else (logits,)
        weights = [2.0**-depth for depth in range(len(depths))]
        parts = {"dice": 0.0, "cross_entropy": 0.0}
        for weight, one in zip(weights, depths, strict=True):
            one, target = one.float(), _shrunk(label, one.shape[2:])
            share = weight / sum(weights)
            dice = soft_dice_loss(one.softmax(1), target, absent=self.config.absent)
            parts["dice"] = parts["dice"] + share * dice
            parts["cross_entropy"] = parts["cross_entropy"] + share * cross_entropy_loss(one, target)
        total = self.config.dice_weight * parts["dice"] + self.config.cross_entropy_weight * parts["cross_entropy"]
        return {"loss": total, **parts}

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        found = self.losses(self(batch["image"]), batch["label"])
        for name, value in found.items():
            self.log(f"train/{name}", value.detach(), batch_size=len(batch["label"]))
        return found["loss"]

    def validation_step(self, sample: Sample, index: int) -> None:
        """Hard Dice of a whole scan, class by class; the mean over scans is Lightning's, by the number of scans."""
        found = judge(self.segment(sample), sample, surface=False)
        for name, value in found["dice"].items():
            if not math.isnan(value):  # a class that neither has is no success and no failure
                self.log(f"validation/dice {name}", value, batch_size=1, on_epoch=True, on_step=False)
        self.log("validation/dice", found["mean_dice"], batch_size=1, on_epoch=True, on_step=False, prog_bar=True)

    def transfer_batch_to_device(self, batch: object, device: torch.device, dataloader_idx: int) -> object:
        # A sample stays where it is: `segment` moves of it what it needs.
        return batch if isinstance(batch, Sample) else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> dict:
        config = self.config
        if config.optimiser == "sgd":
            optimiser = torch.optim.SGD(
                self.parameters(), config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
            )
        else:
            optimiser = torch.optim.AdamW(self.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        return scheduled(optimiser, config.steps, config.schedule, min(config.warm_up, config.steps))

    @torch.no_grad()
    def segment(self, scan: Sample | Volume, mask: Tensor | None = None, batch: int = 1) -> Segmented:
        """The classes of a whole scan of any size, as `segment_volume` does it, in the config's precision.

        scan: a sample, of which the config's channels and the mask are taken, or a volume of these channels. mask:
        (X, Y, Z) bool, for a volume. batch: windows at once. Weights are as in evaluation; the mode is restored.
        """
        if isinstance(scan, Sample):
            at = [scan.channels.index(name) for name in self.config.channels if scan.channel(name) is not None]
            scan, mask = scan.image.with_data(scan.image.data[at]), scan.mask
        scan = scan.with_data(scan.data.to(self.device))
        mask = None if mask is None else mask.to(self.device)
        training = self.training
        self.eval()
        dtype = LOWER_PRECISION.get(self.config.precision)
        try:
            with torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
                return segment_volume(self, scan, self.config, mask=mask, batch=batch)
        finally:
            self.train(training)

    @classmethod
    def from_weights(cls, tensors: dict[str, Tensor], card: dict) -> Self:
        """The trained method that a file of weights and its card describe. Raises ValueError where they do not fit."""
        method = cls(Config.from_dict(card["config"]))
        method.load_state_dict(tensors)
        return method.eval()


def _shrunk(label: Tensor, size: tuple[int, ...]) -> Tensor:
    """Classes at a coarser resolution: of each block the voxel in its corner, so that no class is invented."""
    if tuple(label.shape[1:]) == tuple(size):
        return label
    return torch.nn.functional.interpolate(label[:, None].float(), size=tuple(size), mode="nearest")[:, 0].long()
