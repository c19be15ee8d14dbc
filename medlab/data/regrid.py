"""Samples on another grid: what lets one lesson run on a small made cohort and on a real dataset alike."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import as_length, whole
from medlab.data.resample import resample
from medlab.data.samples import Sample, Samples
from medlab.data.volume import Volume


class OnGrid(Samples):
    """The samples of another dataset, resampled to shape voxels of spacing_mm around the middle of each image.

    Images are interpolated linearly after smoothing against aliasing (`resample`), labels and masks by the nearest
    voxel. What lies beyond the image is 0, or `outside` (-1024 for CT).
    """

    def __init__(self, samples: Samples, shape: Sequence[int], spacing_mm: Sequence[float], *, outside: float = 0.0):
        self.samples, self.name, self.left_out = samples, samples.name, samples.left_out
        self.shape = tuple(whole(size, "shape") for size in shape)
        self.spacing_mm = tuple(as_length(step, "spacing_mm") for step in spacing_mm)
        self.outside = float(outside)
        if len(self.shape) != 3 or len(self.spacing_mm) != 3:
            raise ValueError(f"shape is {self.shape} and spacing_mm {self.spacing_mm}, expected three numbers each")

    @property
    def subjects(self) -> tuple[str, ...]:
        return self.samples.subjects

    def facts(self, index: int) -> Mapping[str, object]:
        return self.samples.facts(index)

    def load(self, index: int) -> Sample:
        sample = self.samples.load(index)
        return on_grid(sample, self._grid_of(sample.image), outside=self.outside)

    def _grid_of(self, image: Volume) -> Volume:
        """An empty volume of the wanted size whose middle is the image's."""
        middle = image.to_world((np.array(image.shape[1:]) - 1) / 2)
        affine = np.diag([*self.spacing_mm, 1.0])
        affine[:3, 3] = middle - (np.array(self.shape) - 1) / 2 * np.array(self.spacing_mm)
        return Volume(torch.zeros(1, 1, 1, 1).expand(1, *self.shape), affine, image.name)


def on_grid(sample: Sample, grid: Volume, *, outside: float = 0.0) -> Sample:
    """The sample on the grid of a volume: the image linearly, after smoothing against aliasing (`resample`), label and
    mask by the nearest voxel. What lies beyond the image is `outside` there, and 0 in label and mask.
    """
    return replace(
        sample,
        image=resample(sample.image, like=grid, fill=outside),
        label=_nearest(sample.label, sample.image, grid),
        mask=_nearest(sample.mask, sample.image, grid),
    )


def _nearest(values: Tensor | None, image: Volume, grid: Volume) -> Tensor | None:
    if values is None:
        return None
    moved = resample(image.with_data(values[None].float()), like=grid, order="nearest")
    return moved.data[0].to(values.dtype)
