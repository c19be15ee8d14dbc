"""Fourier transforms at places of k-space that lie on no grid, such as those of radial scans."""

import math

import torch
from torch import Tensor

from medlab.arguments import whole
from medlab.physics.gridding import Interpolation, KaiserBessel
from medlab.physics.operators import LinearOperator

GOLDEN_ANGLE_DEG = 180 * (math.sqrt(5) - 1) / 2  # 111.25


def radial_trajectory(spokes: int, samples: int, *, golden: bool = False) -> Tensor:
    """Diameters of k-space: (spokes, samples, 2), float64, in cycles a voxel from -1/2 to 1/2, 0 at samples // 2.

    Spoke s has the angle 180 s / spokes degrees from kx towards ky, or 111.25 s where golden (Winkelmann et al., IEEE
    Trans. Med. Imaging 26, 68, 2007), with which any number of consecutive spokes is nearly evenly spread.
    """
    whole(spokes, "spokes")
    whole(samples, "samples", 2)
    step = math.radians(GOLDEN_ANGLE_DEG) if golden else math.pi / spokes
    angle = torch.arange(spokes, dtype=torch.float64)[:, None] * step
    along = (torch.arange(samples, dtype=torch.float64) - samples // 2) / samples
    return torch.stack((along * torch.cos(angle), along * torch.sin(angle)), -1)


def radial_density(spokes: int, samples: int, shape: tuple[int, int]) -> Tensor:
    """Weights (samples,), float64, that make the adjoint of evenly spread spokes an image: the ramp.

    A sample at the distance |k| from the middle stands for the area pi |k| dk / spokes of k-space, the middle one for
    its share of the disc of radius dk / 2, in units of the area 1 / (X Y) that a sample on the grid stands for.
    """
    whole(spokes, "spokes")
    whole(samples, "samples", 2)
    step = 1 / samples
    distance = (torch.arange(samples, dtype=torch.float64) - samples // 2).abs() * step
    area = math.pi * step / spokes * distance
    area[samples // 2] = math.pi * (step / 2) ** 2 / spokes
    return area * whole(shape[0], "shape[0]") * whole(shape[1], "shape[1]")


class NonuniformFourier(LinearOperator):
    """The Fourier transform of complex images (X, Y) at K places of k-space, by gridding; scaled as `to_kspace` is.

    S(k) = 1 / sqrt(X Y) sum m[x, y] exp(-2 pi i (kx (x - X // 2) + ky (y - Y // 2))), to about 1e-5 of the largest
    value for a kernel of width 6 and 1e-7 for width 8, in float64; the adjoint is that of what is computed, exactly.
    shape: (X, Y); trajectory: (..., 2) in cycles a voxel, each within -1/2 to 1/2; its leading shape is the range.
    """

    domain_complex = range_complex = True

    def __init__(self, shape: tuple[int, int], trajectory: Tensor, kernel: KaiserBessel | None = None):
        kernel = KaiserBessel(width=6, oversampling=2.0) if kernel is None else kernel
        self.domain_shape = tuple(whole(shape[axis], f"shape[{axis}]", 2) for axis in range(2))
        self.fine_shape = tuple(2 * math.ceil(size * kernel.oversampling / 2) for size in self.domain_shape)
        places = _as_trajectory(trajectory)
        self.range_shape = tuple(trajectory.shape[:-1])
        pairs = [kernel.taps(places[:, axis] * size + size // 2) for axis, size in enumerate(self.fine_shape)]
        rows, columns = (index % size for (index, _), size in zip(pairs, self.fine_shape, strict=True))
        index = rows[:, :, None] * self.fine_shape[1] + columns[:, None, :]
        weight = pairs[0][1][:, :, None] * pairs[1][1][:, None, :]
        self.interpolation = Interpolation(index.flatten(1), weight.flatten(1), math.prod(self.fine_shape))
        along = [
            kernel.transform((torch.arange(size, dtype=torch.float64) - size // 2) / fine)
            for size, fine in zip(self.domain_shape, self.fine_shape, strict=True)
        ]
        self._correction = 1 / (along[0][:, None] * along[1] * math.sqrt(math.prod(self.domain_shape)))

    def _forward(self, images: Tensor) -> Tensor:
        padded = images.new_zeros(len(images), *self.fine_shape)
        self._middle(padded).copy_(images * self._correct(images))
        fine = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(padded, dim=(-2, -1))), dim=(-2, -1))
        columns = torch.view_as_real(fine).flatten(1, 2).permute(1, 0, 2)  # (grid, images, 2)
        samples = self.interpolation.forward(columns.reshape(columns.shape[0], -1)).reshape(-1, len(images), 2)
        return torch.view_as_complex(samples.permute(1, 0, 2).contiguous()).reshape(-1, *self.range_shape)

    def _adjoint(self, measured: Tensor) -> Tensor:
        count = len(measured)
        rows = torch.view_as_real(measured.resolve_conj().reshape(count, -1)).permute(1, 0, 2)
        columns = self.interpolation.adjoint(rows.reshape(rows.shape[0], -1)).reshape(-1, count, 2)
        fine = torch.view_as_complex(columns.permute(1, 0, 2).contiguous()).reshape(count, *self.fine_shape)
        padded = torch.fft.ifft2(torch.fft.ifftshift(fine, dim=(-2, -1)), norm="forward")  # unscaled: the adjoint
        return self._middle(torch.fft.fftshift(padded, dim=(-2, -1))) * self._correct(measured)

    def _correct(self, like: Tensor) -> Tensor:
        return self._correction.to(like.real.dtype).to(like.device)

    def _middle(self, padded: Tensor) -> Tensor:
        """The part of the fine grid on which the image lies, its middle voxel on that of the grid."""
        (x, y), (fine_x, fine_y) = self.domain_shape, self.fine_shape
        first_x, first_y = fine_x // 2 - x // 2, fine_y // 2 - y // 2
        return padded[:, first_x : first_x + x, first_y : first_y + y]


def _as_trajectory(trajectory: object) -> Tensor:
    if not isinstance(trajectory, Tensor) or trajectory.is_complex() or trajectory.shape[-1:] != (2,):
        found = tuple(trajectory.shape) if isinstance(trajectory, Tensor) else type(trajectory).__name__
        raise ValueError(f"trajectory is {found}, expected a real tensor (..., 2)")
    places = trajectory.detach().cpu().double().reshape(-1, 2)
    if not bool((places.abs() <= 0.5).all()):
        raise ValueError("trajectory has values beyond 1/2 or NaN, expected cycles a voxel within -1/2 to 1/2")
    return places
