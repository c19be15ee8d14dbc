"""What follows from a network that tells places: errors, maps of them, what healthy heads have there, decisions."""

from abc import abstractmethod
from collections.abc import Iterable

import lightning as L
import torch
from torch import Tensor

from medlab.data import Volume
from medlab.data.samples import Sample
from medlab.methods.anomaly import ErrorMap, seen
from medlab.methods.position_regression import expected
from medlab.methods.position_regression.config import Config
from medlab.methods.position_regression.expected import COARSE, Expected, between
from medlab.methods.position_regression.frame import Frame
from medlab.methods.position_regression.patches import counted_places, frame_of
from medlab.training import scheduled

UNIT = "distance in the frame's coordinates"


class Locating(L.LightningModule):
    """The frame of position regression: a subclass gives `places`, this class gives maps, calibration and validation.

    settings: the config that decides about patch, frame, stride and training. Maps take a scan, a prepared head or an
    equalised volume (1, X, Y, Z) whose background is 0; stride, of the dense evaluation, the config's where not given
    (between its places a map is linear); and a frame for volumes where the config's is the head's own (barycentric).
    They are 0 where patches do not count. They raise ValueError where a frame is needed and missing.
    """

    sees = "equalised"

    def __init__(self, settings: Config):
        super().__init__()
        self.settings = settings
        self.expected = Expected(settings.volume)

    @abstractmethod
    def places(self, volume: Volume, stride: int = 1) -> Tensor:
        """Where the patch around every `stride`-th voxel is thought to be, (3, n, n', n''), in the frame's coordinates.

        volume: (1, X, Y, Z), equalised, of any size, at the resolution of the training.
        """

    def errors(self, scan: Sample | Volume, stride: int = 1, frame: Frame | None = None) -> Tensor:
        """Where patches are thought to be less where they are, (3, n, n', n''), in the frame's coordinates."""
        volume, frame = self._seen(scan, frame)
        found = self.places(volume, stride)
        return found - frame.coordinates(found.shape[1:], step=stride).to(found)

    def error_map(self, scan: Sample | Volume, *, stride: int | None = None, frame: Frame | None = None) -> ErrorMap:
        """The distance between where a patch is and where it is thought to be, at every voxel (thesis, section 6.2)."""
        step = stride or self.settings.stride
        return self._mapped(scan, torch.linalg.vector_norm(self.errors(scan, step, frame), dim=0), step, UNIT)

    def relative_map(self, scan: Sample | Volume, *, stride: int | None = None, frame: Frame | None = None) -> ErrorMap:
        """How unusual the error is for its place, in standard deviations of healthy heads: `Expected`.

        For volumes of the config's size, laid over the reference. Raises ValueError before `calibrate`.
        """
        step = stride or self.settings.stride
        return self._relative(scan, self.errors(scan, step, frame), step)

    def maps(self, head: Sample) -> dict[str, ErrorMap]:
        """The maps by which heads are judged: "error", the paper's, and, where calibrated, "relative"."""
        step = self.settings.stride
        errors = self.errors(head, step)
        found = {"error": self._mapped(head, torch.linalg.vector_norm(errors, dim=0), step, UNIT)}
        if self.expected.known:
            found["relative"] = self._relative(head, errors, step)
        return found

    def calibrate(self, heads: Iterable[Sample]) -> None:
        """Remembers how healthy heads, prepared and not trained on, err at each place: see `Expected.learn`."""
        self.expected.learn(self.errors(head, COARSE) for head in heads)

    def validation_step(self, head: Sample, index: int) -> None:
        """The mean error of a healthy head over the places that count, in the frame's coordinates."""
        found = self.error_map(head, stride=8)
        value = float(found.values[counted_places(head.mask, self.settings.patch, self.settings.counts)].mean())
        self.log("validation/error", value, batch_size=1, on_epoch=True, on_step=False, prog_bar=True)

    def transfer_batch_to_device(self, batch: object, device: torch.device, dataloader_idx: int) -> object:
        # A sample stays where it is: the dense evaluation moves tiles of it.
        return batch if isinstance(batch, Sample) else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> dict:
        optimiser = torch.optim.Adam(self.parameters(), self.settings.learning_rate)
        return scheduled(optimiser, self.settings.steps, self.settings.schedule)

    def _relative(self, scan: Sample | Volume, errors: Tensor, stride: int) -> ErrorMap:
        volume = seen(scan, self.sees) if isinstance(scan, Sample) else scan
        if volume.shape[1:] != (self.settings.volume,) * 3:
            size = " x ".join(map(str, volume.shape[1:]))
            raise ValueError(f"volume {volume.name!r} measures {size}, expected {self.settings.volume} voxels each way")
        return self._mapped(scan, self.expected.compared(errors, stride), stride, expected.UNIT)

    def _mapped(self, scan: Sample | Volume, values: Tensor, stride: int, unit: str) -> ErrorMap:
        """Values at every `stride`-th voxel as a map of the scan, 0 where its patches do not count."""
        volume = seen(scan, self.sees) if isinstance(scan, Sample) else scan
        counted = counted_places(volume.data[0] > 0, self.settings.patch, self.settings.counts)
        full = between(values.float().cpu(), volume.shape[1:], stride) * counted
        return ErrorMap(volume.with_data(full[None]), unit)

    def _seen(self, scan: Sample | Volume, frame: Frame | None) -> tuple[Volume, Frame]:
        if isinstance(scan, Sample):
            return seen(scan, self.sees), frame or frame_of(scan, self.settings)
        if scan.shape[0] != 1:
            raise ValueError(f"volume {scan.name!r} has {scan.shape[0]} channels, expected one, equalised")
        if frame is None and self.settings.frame != "cartesian":
            raise ValueError(f"frame is missing, expected one, for the config's is {self.settings.frame}")
        return scan, frame or Frame.cartesian(scan.shape[1:])


def distances(found: Tensor, place: Tensor) -> Tensor:
    """The l2 norm of the difference over the axis of coordinates: (B, 3, ...) to (B, ...)."""
    return torch.linalg.vector_norm(found - place, dim=1)


def mean_distance(found: Tensor, place: Tensor, counts: Tensor) -> Tensor:
    """The mean of `distances` over what counts, (B, ...) bool; 0 where nothing does."""
    return (distances(found, place) * counts).sum() / counts.sum().clamp(min=1)
