"""A whole scan through a network of sub-volumes: overlapping windows, blended; labels on the scan's own grid."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medlab.data import save_volume
from medlab.data.orientation import to_canonical, turned_like
from medlab.data.resample import resample
from medlab.data.sliding import sliding_window
from medlab.data.volume import Volume
from medlab.methods.segmentation.config import Config
from medlab.methods.segmentation.preparation import as_values, content_of, standardise

CLOSE = 0.02  # spacings that differ by less than this share are taken as the same


@dataclass(frozen=True, eq=False)
class Segmented:
    """A segmentation of one scan, on the scan's grid.

    labels: (X, Y, Z) uint8, values of label files. probabilities: (K, X, Y, Z) float32, one class each, adding up to 1.
    affine: the scan's.
    """

    labels: Tensor
    probabilities: Tensor
    affine: np.ndarray
    label_names: dict[int, str]

    def save(self, path: str | Path) -> Path:
        """Write the labels as NIfTI with the scan's affine, and return the path. Raises as `save_volume` does."""
        return save_volume(Volume(self.labels[None].float().cpu(), self.affine, "segmentation"), path)

    def volumes_ml(self) -> dict[str, float]:
        """The volume of each class but the background, in ml, by name."""
        voxel = abs(np.linalg.det(self.affine[:3, :3])) / 1000
        return {name: voxel * int((self.labels == value).sum()) for value, name in self.label_names.items() if value}


def segment_volume(
    network: Callable[[Tensor], Tensor], image: Volume, config: Config, *, mask: Tensor | None = None, batch: int = 1
) -> Segmented:
    """What a network, from (B, C, *patch) to logits (B, K, *patch), makes of a scan of any size and orientation.

    image: (C, X, Y, Z), the config's channels in their order, raw intensities. mask: (X, Y, Z) bool, the brain; where
    None, what is not 0. The scan is turned to RAS+, brought to the config's spacing where it differs, standardised, cut
    to the box of its content, and computed in windows of the config's patch that overlap and are blended; with `flips`
    also mirrored, and averaged. Outside the content there is background. Nothing is read or written here.
    Raises ValueError where the number of channels is another.
    """
    if image.shape[0] != len(config.channels):
        expected = f"{len(config.channels)}: {', '.join(config.channels)}"
        raise ValueError(f"volume {image.name!r}: it has {image.shape[0]} channels, expected {expected}")
    kept = image.data if mask is None else torch.cat([image.data, mask[None].to(image.data)])
    straight = to_canonical(Volume(kept, image.affine, image.name))
    near = all(
        abs(found / wanted - 1) <= CLOSE for found, wanted in zip(straight.spacing, config.spacing_mm, strict=True)
    )
    ready = straight if near else resample(straight, config.spacing_mm)
    scan = ready if mask is None else ready.with_data(ready.data[:-1])
    inside = content_of(scan.data, None if mask is None else ready.data[-1] > 0.5)
    scan = standardise(scan, None if mask is None else inside)

    box = _box(inside)
    part = scan.data[(slice(None), *box)]
    probabilities = _windows(network, part, config, batch, _left_right(scan))
    whole = torch.zeros((config.classes, *inside.shape), dtype=torch.float32, device=part.device)
    whole[0] = 1
    whole[(slice(None), *box)] = probabilities
    # A window that is nearly all air has little to be normalised by, and a network little to go by.
    whole[:, ~inside] = whole.new_tensor([1.0] + [0.0] * (config.classes - 1))[:, None]
    result = ready.with_data(whole)
    if not near:
        # What lies beyond the new grid by less than half a voxel is background, as everything outside.
        result = resample(result, like=straight.with_data(straight.data[:1]), antialias=False)
        result.data[0] += 1 - result.data.sum(0)
    back = turned_like(result, image).data
    values = as_values(back.argmax(0), config)
    names = dict(zip(config.labels, config.label_names, strict=True))
    return Segmented(values, back, image.affine, names)


def _windows(network: Callable[[Tensor], Tensor], part: Tensor, config: Config, batch: int, axis: int) -> Tensor:
    """Blended probabilities (K, X, Y, Z) of a part of a scan."""

    def probabilities(patches: Tensor) -> Tensor:
        found = network(patches).float().softmax(1)
        if config.flips:
            mirrored = network(patches.flip(axis + 2)).float().softmax(1)
            found = (found + mirrored.flip(axis + 2)) / 2
        return found

    return sliding_window(probabilities, part, config.patch, config.overlap, batch=batch)


def _box(inside: Tensor) -> tuple[slice, ...]:
    """The smallest box that holds what is inside."""
    found = []
    for axis in range(3):
        line = inside.any(tuple(other for other in range(3) if other != axis)).nonzero().flatten()
        found.append(slice(int(line[0]), int(line[-1]) + 1))
    return tuple(found)


def _left_right(volume: Volume) -> int:
    return next(axis for axis, letter in enumerate(volume.orientation) if letter in "LR")
