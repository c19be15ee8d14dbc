"""Cone beams: one source, a flat detector, a volume; ray by ray, for moderate sizes."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from medlab.arguments import as_length, whole
from medlab.physics.ct.angles import as_angles
from medlab.physics.ct.projection.neighbours import linear_weights, within
from medlab.physics.operators import LinearOperator


class ConeBeam(LinearOperator):
    """Line integrals along cones of rays: volumes (..., X, Y, Z) in 1/cm to (..., views, columns, rows), no unit.

    angles_deg: (views,); at angle t the source stands at source_mm (sin t, -cos t, 0), as in `FanBeam`. The detector is
    given where it would stand on the axis: columns along (cos t, sin t, 0), rows along z, pitch_mm apart, centred.
    volume_shape: (X, Y, Z), centred on the axis; voxel_mm: edge of a voxel; source_mm: outside the volume.

    Joseph's method (IEEE Trans. Med. Imaging 1, 192, 1982): a ray is sampled where it crosses the planes of the axis
    that it follows more than the other, bilinearly within the plane. Each sample reads 4 of the volume's numbers at
    scattered places, and reading them is the bound. On CUDA the adjoint adds in an order that is not fixed.
    Raises ValueError for geometries that are none.
    """

    def __init__(
        self,
        angles_deg: object,
        volume_shape: tuple[int, int, int],
        *,
        source_mm: float,
        detector_shape: tuple[int, int],
        pitch_mm: float,
        voxel_mm: float = 1.0,
    ):
        self.angles_deg = as_angles(angles_deg)
        self.volume_shape = tuple(whole(n, "volume_shape") for n in volume_shape)
        self.detector_shape = tuple(whole(n, "detector_shape") for n in detector_shape)
        if len(self.volume_shape) != 3 or len(self.detector_shape) != 2:
            found = f"{tuple(volume_shape)} and {tuple(detector_shape)}"
            raise ValueError(f"volume_shape and detector_shape are {found}, expected (X, Y, Z) and (columns, rows)")
        self.source_mm, self.voxel_mm = as_length(source_mm, "source_mm"), as_length(voxel_mm, "voxel_mm")
        self.pitch_mm = as_length(pitch_mm, "pitch_mm")
        corner = math.hypot(*self.volume_shape[:2]) * self.voxel_mm / 2
        if self.source_mm <= corner:
            raise ValueError(f"source_mm is {source_mm}, expected more than {corner:.1f} mm, outside the volume")
        self.domain_shape = self.volume_shape
        self.range_shape = (len(self.angles_deg), *self.detector_shape)

    def _forward(self, images: Tensor) -> Tensor:
        flat = images.reshape(len(images), -1)
        measured = images.new_zeros(len(images), *self.range_shape)
        for view, columns, index, weight in self._samples(images):
            values = (flat[:, index.reshape(-1)].reshape(len(images), *index.shape) * weight).sum((1, 2))
            measured[:, view, columns] = values
        return measured

    def _adjoint(self, measured: Tensor) -> Tensor:
        flat = measured.new_zeros(len(measured), math.prod(self.domain_shape))
        for view, columns, index, weight in self._samples(measured):
            spread = measured[:, view, columns][:, None, None] * weight
            flat.index_add_(1, index.reshape(-1), spread.reshape(len(measured), -1))
        return flat.reshape(len(measured), *self.domain_shape)

    def _samples(self, like: Tensor) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
        """For each view and each of the two axes: the columns that follow it, and what their rays read.

        index, weight: (4 neighbours, planes, columns, rows); the weight holds the way from plane to plane in cm.
        """
        across = self._centred(self.detector_shape[0], self.pitch_mm)
        up = self._centred(self.detector_shape[1], self.pitch_mm)
        for view, angle in enumerate(torch.deg2rad(self.angles_deg)):
            cos, sin = torch.cos(angle), torch.sin(angle)
            source = (self.source_mm * sin, -self.source_mm * cos)
            ray = (across * cos - source[0], across * sin - source[1])  # from the source to the detector on the axis
            follows_x = ray[0].abs() >= ray[1].abs()
            for axis, mine in ((0, follows_x), (1, ~follows_x)):
                columns = mine.nonzero()[:, 0]
                if len(columns):
                    index, weight = self._joseph(axis, source, (ray[0][mine], ray[1][mine]), up)
                    yield view, columns.to(like.device), index.to(like.device), weight.to(like)

    def _joseph(self, axis: int, source: tuple, ray: tuple, up: Tensor) -> tuple[Tensor, Tensor]:
        sizes, other = self.volume_shape, 1 - axis
        plane = self._centred(sizes[axis], self.voxel_mm)
        way = (plane[:, None] - source[axis]) / ray[axis]  # (planes, columns), 1 at the detector
        beside = (source[other] + way * ray[other]) / self.voxel_mm + (sizes[other] - 1) / 2
        height = way[..., None] * up / self.voxel_mm + (sizes[2] - 1) / 2  # (planes, columns, rows)
        length = (
            torch.sqrt(ray[0].square()[:, None] + ray[1].square()[:, None] + up.square()) / ray[axis].abs()[:, None]
        )
        index, weight = [], []
        for beside_at, beside_share in _neighbours(beside[..., None], sizes[other]):
            for height_at, height_share in _neighbours(height, sizes[2]):
                places = [torch.arange(sizes[axis])[:, None, None], beside_at]
                x, y = places if axis == 0 else places[::-1]
                index.append((x * sizes[1] + y) * sizes[2] + height_at)
                weight.append(beside_share * height_share * length * self.voxel_mm / 10)
        return torch.stack(index), torch.stack(weight)

    @staticmethod
    def _centred(count: int, step: float) -> Tensor:
        return (torch.arange(count, dtype=torch.float64) - (count - 1) / 2) * step


def _neighbours(position: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """The two neighbours of each position and their shares, 0 outside."""
    index, share = within(*linear_weights(position), size)
    return list(zip(index.unbind(-1), share.unbind(-1), strict=True))
