"""The detection of synthetic corruptions as a Lightning module: losses, training, and the map of a scan."""

from typing import Self

import lightning as L
import torch
from torch import Tensor

from medlab.data.samples import Sample
from medlab.data.sliding import sliding_window
from medlab.data.volume import Volume
from medlab.methods.anomaly import ErrorMap
from medlab.methods.synthetic_corruption.config import Config
from medlab.methods.synthetic_corruption.stream import corrupted_head
from medlab.metrics import dice
from medlab.metrics.losses import cross_entropy_loss, soft_dice_loss
from medlab.nn import UNet2d, UNet3d
from medlab.training import scheduled

LAYOUT = {"unet3d": torch.channels_last_3d, "unet2d": torch.channels_last}
LOWER_PRECISION = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class SyntheticCorruption(L.LightningModule):
    """A U-Net that tells corrupted from healthy voxels, taught on corruptions alone.

    Learns from batches of `CorruptedPatches`: "image" (B, 1, *patch) and "label" (B, *patch). Validates on healthy
    heads that are corrupted whole: Dice of what is found at a probability of one half. Built by the same seed
    it starts with the same weights. Sources: Tan et al. (2020); thesis, section 5.4, [166] to [168].
    """

    sees = "equalised"

    def __init__(self, config: Config, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = {"unet3d": UNet3d, "unet2d": UNet2d}[config.network]
            self.network = made(1, 2, width=config.width, levels=config.levels)
        if config.channels_last:
            self.network.to(memory_format=LAYOUT[config.network])

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, 2, X, Y, Z), healthy and corrupted, of images (B, 1, X, Y, Z)."""
        flat = self.config.network == "unet2d"
        # Axial slices become a batch.
        given = image.movedim(4, 1).flatten(0, 1) if flat else image
        if self.config.channels_last:
            given = given.contiguous(memory_format=LAYOUT[self.config.network])
        found = self.network(given)
        return found.unflatten(0, (len(image), -1)).movedim(1, 4) if flat else found

    def losses(self, logits: Tensor, label: Tensor) -> dict[str, Tensor]:
        """The named parts of the loss: "dice" of the corrupted class, "cross_entropy" and their weighted sum "loss".

        logits: (B, 2, X, Y, Z). label: (B, X, Y, Z), 0 or 1. A part without corruption counts in the cross entropy.
        """
        logits = logits.float()
        parts = {
            "dice": soft_dice_loss(logits.softmax(1), label, background=False, absent="ignore"),
            "cross_entropy": cross_entropy_loss(logits, label),
        }
        total = self.config.dice_weight * parts["dice"] + self.config.cross_entropy_weight * parts["cross_entropy"]
        return {"loss": total, **parts}

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        found = self.losses(self(batch["image"]), batch["label"])
        for name, value in found.items():
            self.log(f"train/{name}", value.detach(), batch_size=len(batch["label"]))
        return found["loss"]

    def validation_step(self, head: Sample, index: int) -> None:
        """Dice of the corruptions of a whole healthy head that were found."""
        image, mask = corrupted_head(head, self.config)
        found = self.error_map(head.image.with_data(image[None])).values > 0.5
        self.log("validation/dice", float(dice(found, mask)), batch_size=1, on_epoch=True, on_step=False)

    def transfer_batch_to_device(self, batch: object, device: torch.device, dataloader_idx: int) -> object:
        # A head stays where it is: `error_map` moves of it what it needs.
        return batch if isinstance(batch, Sample) else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> dict:
        config = self.config
        optimiser = torch.optim.AdamW(self.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        return scheduled(optimiser, config.steps, config.schedule, min(config.warm_up, config.steps))

    @torch.no_grad()
    def error_map(self, volume: Volume, batch: int = 1) -> ErrorMap:
        """The probability that a voxel is corrupted, on the scan's grid; 0 outside the head.

        volume: (1, X, Y, Z), equalised, 0 outside the head, of any size, at the config's spacing. The box of the head
        is computed in windows of the config's patch that overlap and are blended. batch: windows at once.
        Raises ValueError for several channels.
        """
        if volume.shape[0] != 1:
            raise ValueError(f"volume {volume.name!r} has {volume.shape[0]} channels, expected 1, the equalised image")
        image = volume.data.float().to(self.device)
        inside = image[0] != 0
        values = torch.zeros_like(image)
        if inside.any():
            box = (slice(None), *(_span(inside, axis) for axis in range(3)))
            values[box] = self._probabilities(image[box], batch) * inside[box[1:]]
        return ErrorMap(volume.with_data(values.cpu()), "probability of a corruption")

    def _probabilities(self, image: Tensor, batch: int) -> Tensor:
        training = self.training
        self.eval()
        dtype = LOWER_PRECISION.get(self.config.precision)
        try:
            with torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
                return sliding_window(
                    lambda part: self(part).float().softmax(1)[:, 1:],
                    image,
                    self.config.patch,
                    self.config.overlap,
                    batch=batch,
                )
        finally:
            self.train(training)

    @classmethod
    def from_weights(cls, tensors: dict[str, Tensor], card: dict) -> Self:
        """The trained method that a file of weights and its card describe. Raises ValueError where they do not fit."""
        method = cls(Config.from_dict(card["config"]))
        method.load_state_dict(tensors)
        return method.eval()


def _span(inside: Tensor, axis: int) -> slice:
    """From the first to the last place along an axis where there is something."""
    line = inside.any(tuple(other for other in range(3) if other != axis)).nonzero().flatten()
    return slice(int(line[0]), int(line[-1]) + 1)
