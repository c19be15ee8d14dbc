"""The autoencoder as a Lightning module: the loss, the training step, and what it cannot restore as a map."""

from typing import Self

import lightning as L
import torch
from torch import Tensor

from medlab.arguments import one_of
from medlab.data import Volume
from medlab.data.samples import Sample
from medlab.methods.anomaly import ErrorMap, seen
from medlab.methods.autoencoder.config import FILTERS, Config
from medlab.methods.autoencoder.filters import eroded, median
from medlab.nn.autoencoder3d import Autoencoder3d
from medlab.training import scheduled

UNIT = "absolute difference of equalised values"
LOWER_PRECISION = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Autoencoder(L.LightningModule):
    """Tells healthy from unhealthy by what a network that has only drawn healthy heads cannot draw (section 5.4).

    Learns from batches of `HeadVolumes`. Validates on whole prepared heads: the mean difference to their restoration.
    Built by the same seed it starts with the same weights.
    """

    sees = "equalised"

    def __init__(self, config: Config, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Autoencoder3d(config.size, levels=config.levels)
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last_3d)

    def forward(self, image: Tensor) -> Tensor:
        """Restored volumes (B, 1, X, Y, Z) of volumes (B, 1, X, Y, Z)."""
        if self.config.channels_last:
            image = image.contiguous(memory_format=torch.channels_last_3d)
        return self.network(image)

    def losses(self, restored: Tensor, image: Tensor) -> dict[str, Tensor]:
        """The named loss: "loss", the l1 loss, mean absolute difference over all voxels (thesis, appendix C)."""
        return {"loss": (restored.float() - image).abs().mean()}

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        losses = self.losses(self(batch["image"]), batch["image"])
        self.log("train/loss", losses["loss"].detach(), batch_size=len(batch["image"]))
        return losses["loss"]

    def validation_step(self, head: Sample, index: int) -> None:
        value = float(self.error_map(head, filter="none").values.mean())
        self.log("validation/error", value, batch_size=1, on_epoch=True, on_step=False, prog_bar=True)

    def transfer_batch_to_device(self, batch: object, device: torch.device, dataloader_idx: int) -> object:
        # A sample stays where it is: `restore` moves of it what it needs.
        return batch if isinstance(batch, Sample) else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> dict:
        optimiser = torch.optim.Adam(self.parameters(), self.config.learning_rate)
        return scheduled(optimiser, self.config.steps, self.config.schedule)

    @torch.no_grad()
    def restore(self, scan: Sample | Volume) -> Volume:
        """The head as the network draws it, float32 on its own device: any grid, for all layers are convolutions.

        scan: a prepared head, or an equalised volume (1, X, Y, Z) whose background is 0. Raises ValueError for several
        channels.
        """
        volume = seen(scan, self.sees) if isinstance(scan, Sample) else scan
        if volume.shape[0] != 1:
            raise ValueError(f"volume {volume.name!r} has {volume.shape[0]} channels, expected one, equalised")
        training, dtype = self.training, LOWER_PRECISION.get(self.config.precision)
        self.eval()
        try:
            with torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
                return volume.with_data(self(volume.data[None].to(self.device))[0].float().contiguous())
        finally:
            self.train(training)

    def error_map(self, scan: Sample | Volume, *, filter: str | None = None) -> ErrorMap:
        """The absolute difference between a head and its restoration, at every voxel, filtered.

        scan: see `restore`. filter: "none", "median" or "erosion", the config's where not given. The paper takes the
        median for fractures and the erosion for bleeds. Raises ValueError for another filter.
        """
        kind = one_of(self.config.filter if filter is None else filter, FILTERS, "filter")
        return self._filtered(scan, self._residual(scan), kind)

    def maps(self, head: Sample) -> dict[str, ErrorMap]:
        """The maps by which heads are judged, by their filter; the head is restored once."""
        residual = self._residual(head)
        return {kind: self._filtered(head, residual, kind) for kind in FILTERS}

    def _residual(self, scan: Sample | Volume) -> Tensor:
        restored = self.restore(scan)
        volume = seen(scan, self.sees) if isinstance(scan, Sample) else scan
        return (restored.data[0] - volume.data[0].to(restored.data)).abs()

    def _filtered(self, scan: Sample | Volume, residual: Tensor, kind: str) -> ErrorMap:
        width = self.config.filter_voxels
        if kind != "none" and width > 1:
            residual = (median if kind == "median" else eroded)(residual, width)
        volume = scan.image if isinstance(scan, Sample) else scan
        return ErrorMap(volume.with_data(residual[None].cpu()), UNIT)

    @classmethod
    def from_weights(cls, tensors: dict[str, Tensor], card: dict) -> Self:
        """The trained method that a file of weights and its card describe. Raises ValueError where they do not fit."""
        method = cls(Config.from_dict(card["config"]))
        method.load_state_dict(tensors)
        return method.eval()
