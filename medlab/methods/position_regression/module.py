"""Position regression as a Lightning module: the loss, the training step, and the error at every voxel."""

from collections.abc import Iterable
from typing import Self

import lightning as L
import torch
from torch import Tensor
from torch.nn import functional as F

from medlab.data import Volume
from medlab.data.samples import Sample
from medlab.methods.anomaly import ErrorMap, seen
from medlab.methods.position_regression.config import Config
from medlab.methods.position_regression.frame import Frame
from medlab.methods.position_regression.patches import counted_places, frame_of
from medlab.nn.patch_regressor import PatchRegressor
from medlab.training import scheduled

UNIT = "distance in the frame's coordinates"
COARSE = 4  # voxels between the places at which healthy errors are remembered
FLOOR = 0.25  # least deviation of a place, as a share of the median one


class PositionRegression(L.LightningModule):
    """Tells healthy from unhealthy by whether it can say where a patch belongs (thesis, chapter 6).

    Learns from batches of `HeadPatches`. Validates on whole prepared heads: the mean error of healthy ones, in the
    frame's coordinates. Built by the same seed it starts with the same weights.
    """

    sees = "equalised"

    def __init__(self, config: Config, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = PatchRegressor(config.size, config.patch)
        places = -(-config.volume // COARSE)
        # Of healthy heads at each place: the mean of the error and its standard deviation; zeros until `calibrate`.
        self.register_buffer("expected", torch.zeros(2, places, places, places))

    def forward(self, image: Tensor) -> Tensor:
        """Places (B, 3) of patches (B, 1, s, s, s), or (B, 3, n, n', n'') of the lattice of larger volumes."""
        if max(image.shape[2:]) == self.config.patch:
            return self.network(image)
        return self.network.lattice(image)

    def losses(self, found: Tensor, place: Tensor, counts: Tensor) -> dict[str, Tensor]:
        """The named loss: "loss", the mean over patches that count of the distance between found and true place.

        found, place: (B, 3, ...) in the frame's coordinates; counts: (B, ...) bool. The distance is the l2 norm, not
        its square (thesis, section 6.2). 0 where no patch counts.
        """
        distance = distances(found.float(), place)
        return {"loss": (distance * counts).sum() / counts.sum().clamp(min=1)}

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        image, place, counts = batch["image"], batch["place"], batch["counts"]
        if image.ndim == 6:  # patches of several volumes
            image, place, counts = image.flatten(0, 1), place.flatten(0, 1), counts.flatten()
        elif len(image) and image.is_floating_point() and image.device.type == "cpu" and self.config.size >= 8:
            image = image.contiguous(memory_format=torch.channels_last_3d)
        losses = self.losses(self(image), place, counts)
        self.log("train/loss", losses["loss"].detach(), batch_size=len(image))
        return losses["loss"]

    def validation_step(self, head: Sample, index: int) -> None:
        found = self.error_map(head, stride=8)
        inside = counted_places(head.mask, self.config.patch)
        value = float(found.values[inside].mean())
        self.log("validation/error", value, batch_size=1, on_epoch=True, on_step=False, prog_bar=True)

    def transfer_batch_to_device(self, batch: object, device: torch.device, dataloader_idx: int) -> object:
        # A sample stays where it is: `error_map` moves tiles of it.
        return batch if isinstance(batch, Sample) else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> dict:
        optimiser = torch.optim.Adam(self.parameters(), self.config.learning_rate)
        return scheduled(optimiser, self.config.steps, self.config.schedule)

    @torch.no_grad()
    def places(self, volume: Volume, stride: int = 1) -> Tensor:
        """Where the network puts the patch around every `stride`-th voxel, (3, n, n', n''), in the frame's coordinates.

        volume: (1, X, Y, Z), equalised, of any size; the network knows the resolution that it was trained at.
        """
        training = self.training
        self.eval()
        try:
            return self.network.dense(volume.data[None], stride=stride, memory_mb=self.config.memory_mb)[0]
        finally:
            self.train(training)

    def error_map(self, scan: Sample | Volume, *, stride: int | None = None, frame: Frame | None = None) -> ErrorMap:
        """The distance between where a patch is and where the network puts it, at every voxel (thesis, section 6.2).

        scan: a prepared head, or an equalised volume (1, X, Y, Z) whose background is 0. stride: of the dense
        evaluation, the config's where not given; between its places the map is linear. frame: of a volume, where the
        config's is the head's own (barycentric). 0 where the patch is all background.
        Raises ValueError where a frame is needed and missing.
        """
        volume, frame = self._seen(scan, frame)
        step = self.config.stride if stride is None else stride
        found = self.places(volume, step)
        errors = distances(found[None], frame.coordinates(found.shape[1:], step=step)[None].to(found))[0]
        shape = volume.shape[1:]
        errors = between(errors, shape, step) * counted_places(volume.data[0] > 0, self.config.patch)
        return ErrorMap(volume.with_data(errors[None].cpu()), UNIT)

    def calibrate(self, heads: Iterable[Sample]) -> None:
        """Remembers how large the error of healthy heads is at each place: mean and deviation over these heads.

        heads: healthy, prepared, and not those that were trained on, whose errors are smaller. Ours, not the paper's.
        Raises ValueError for fewer than two heads or another size than the config's.
        """
        maps = []
        for head in heads:
            if head.image.shape[1:] != (self.config.volume,) * 3:
                found = " x ".join(map(str, head.image.shape[1:]))
                raise ValueError(f"subject {head.subject}: it measures {found}, expected {self.config.volume} each way")
            maps.append(self.error_map(head, stride=COARSE).values[::COARSE, ::COARSE, ::COARSE])
        if len(maps) < 2:
            raise ValueError(f"heads are {len(maps)}, expected two or more")
        # Neighbouring places are alike: a mean over 3 x 3 x 3 of them steadies both.
        mean = torch.stack(maps).mean(0)
        variance = torch.stack(maps).var(0)
        smooth = [F.avg_pool3d(one[None, None], 3, 1, 1, count_include_pad=False)[0, 0] for one in (mean, variance)]
        self.expected.copy_(torch.stack([smooth[0], smooth[1].sqrt()]))

    def relative_map(self, scan: Sample | Volume, *, stride: int | None = None) -> ErrorMap:
        """The error less that of healthy heads at the same place, in their standard deviations.

        Some places are hard in every head; this asks what is unusual where it is. For volumes of the config's size,
        laid over the reference. Raises ValueError before `calibrate`, and for another size.
        """
        if not bool(self.expected[1].any()):
            raise ValueError("the method is not calibrated, expected `calibrate` with healthy heads first")
        return self._compared(self.error_map(scan, stride=stride))

    def _compared(self, found: ErrorMap) -> ErrorMap:
        shape = found.volume.shape[1:]
        if shape != (self.config.volume,) * 3:
            raise ValueError(f"volume measures {shape}, expected {self.config.volume} voxels along each axis")
        mean, deviation = (between(one.cpu(), shape, COARSE) for one in self.expected)
        deviation = deviation.clamp(min=FLOOR * float(deviation[deviation > 0].median()))
        relative = (found.values - mean) / deviation * (found.values > 0)
        return ErrorMap(found.volume.with_data(relative[None]), "standard deviations of healthy heads")

    def maps(self, head: Sample) -> dict[str, ErrorMap]:
        """The maps by which heads are judged: "error", the paper's, and, where calibrated, "relative"."""
        found = {"error": self.error_map(head)}
        if bool(self.expected[1].any()):
            found["relative"] = self._compared(found["error"])
        return found

    def _seen(self, scan: Sample | Volume, frame: Frame | None) -> tuple[Volume, Frame]:
        if isinstance(scan, Sample):
            return seen(scan, self.sees), frame or frame_of(scan, self.config)
        if scan.shape[0] != 1:
            raise ValueError(f"volume {scan.name!r} has {scan.shape[0]} channels, expected one, equalised")
        if frame is None and self.config.frame != "cartesian":
            raise ValueError(f"frame is missing, expected one, for the config's is {self.config.frame}")
        return scan, frame or Frame.cartesian(scan.shape[1:])

    @classmethod
    def from_weights(cls, tensors: dict[str, Tensor], card: dict) -> Self:
        """The trained method that a file of weights and its card describe. Raises ValueError where they do not fit."""
        method = cls(Config.from_dict(card["config"]))
        method.load_state_dict(tensors)
        return method.eval()


def distances(found: Tensor, place: Tensor) -> Tensor:
    """The l2 norm of the difference over the axis of coordinates: (B, 3, ...) to (B, ...)."""
    return torch.linalg.vector_norm(found - place, dim=1)


def between(values: Tensor, shape: tuple[int, ...], stride: int) -> Tensor:
    """A map known at every `stride`-th voxel, from the first on, at every voxel (X, Y, Z): linear between, the last
    value beyond."""
    if stride == 1:
        return values
    # Grown by one value at the far end, the known voxels are the corners of cells of `stride` voxels.
    grown = F.pad(values[None, None], (0, 1) * 3, mode="replicate")
    full = [stride * (size - 1) + 1 for size in grown.shape[2:]]
    wide = F.interpolate(grown, size=full, mode="trilinear", align_corners=True)[0, 0]
    return wide[tuple(slice(0, size) for size in shape)]
