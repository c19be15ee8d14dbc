r"""Parallel beams: an image to its sinogram, by the Fourier slice theorem.

A ray x cos(t) + y sin(t) = s with |cos| >= |sin| crosses every line of constant y, at x = u - y tan(t) with
u = s / cos(t). So its integral is f(u) / |cos(t)|, where f is the sum over y of the image's rows, each shifted by
y tan(t). A shift is a phase in the Fourier transform along x, and the sum is the transform along y at k tan(t):

    F(k) = \hat I(k, k tan(t)),

one straight line through the 2D transform, whose points lie *on* the grid in k and between it only in the other
direction. So all views together cost two padded FFTs, one short interpolation in one direction
(`medlab.physics.gridding`), an inverse FFT a view, and a cubic interpolation from u to the detector. Views with
|cos| < |sin| do the same on the transposed image. Interpolation touches 6 values for each of 360 x 513 frequencies at
512 pixels, where stepping along rays touches 2 x 512 for each of 360 x 740: that is why this is fast, and why memory
traffic is its bound.

The image is constant within each pixel (its transform is multiplied by sinc(kx) sinc(ky)), and frequencies above the
pixels' own Nyquist limit along u are left out, so that a sharp edge rings a little in its sinogram where methods in the
spatial domain blur it.
"""

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from medlab.arguments import as_length, whole
from medlab.physics.ct.angles import as_angles
from medlab.physics.ct.projection.neighbours import cubic_weights, within
from medlab.physics.gridding import Interpolation, KaiserBessel
from medlab.physics.operators import LinearOperator, as_values

KERNEL = KaiserBessel(width=6, oversampling=2.0)
FINER = 2  # samples of f(u) for each pixel, before the cubic interpolation
# Complex numbers of padded transforms at a time: on a CPU one image at 512 pixels, which stays in its cache.
AT_ONCE = {"cpu": 2**20}
AT_ONCE_ELSEWHERE = 2**26


class ParallelBeam(LinearOperator):
    """Line integrals along parallel rays: images (..., X, Y) in 1/cm to sinograms (..., views, detectors), no unit.

    angles_deg: (views,), any angles. View t and detector place s see the ray x cos(t) + y sin(t) = s, with x along the
    first axis of the image, y along the second, and 0 in the centre of the image, which is that of the detector.
    image_size: X = Y. detectors: their number, by default enough for the image's diagonal. pixel_mm, detector_mm: edge
    of a pixel and distance of detector elements; detector_shift_mm moves the detector's centre off the axis.
    Raises ValueError for geometries that are none.
    """

    def __init__(
        self,
        angles_deg: object,
        image_size: int,
        *,
        detectors: int | None = None,
        pixel_mm: float = 1.0,
        detector_mm: float | None = None,
        detector_shift_mm: float = 0.0,
    ):
        self.angles_deg = as_angles(angles_deg)
        self.image_size = size = whole(image_size, "image_size")
        self.pixel_mm = as_length(pixel_mm, "pixel_mm")
        self.detector_mm = as_length(detector_mm if detector_mm is not None else pixel_mm, "detector_mm")
        if not math.isfinite(detector_shift_mm):
            raise ValueError(f"detector_shift_mm is {detector_shift_mm}, expected a finite length in mm")
        enough = math.ceil(size * math.sqrt(2) * self.pixel_mm / self.detector_mm) + 1
        self.detectors = whole(enough if detectors is None else detectors, "detectors")
        self.detector_shift_mm = float(detector_shift_mm)
        self.domain_shape, self.range_shape = (size, size), (len(self.angles_deg), self.detectors)
        angle, place = torch.deg2rad(self.angles_deg), self.offsets_mm / self.pixel_mm
        self._halves, self._to_fine = [], {}
        for along_x in (True, False):
            cos, sin = (torch.cos(angle), torch.sin(angle)) if along_x else (torch.sin(angle), torch.cos(angle))
            mine = (torch.cos(angle).abs() >= torch.sin(angle).abs()) == along_x
            if mine.any():
                half = _Sheared(sin[mine] / cos[mine], place / cos[mine][:, None], size)
                scale = self.pixel_mm / 10 / cos[mine].abs()  # the way from row to row in cm
                self._halves.append((along_x, mine.nonzero()[:, 0], scale, half))

    @property
    def offsets_mm(self) -> Tensor:
        """The places s of the detector elements in mm, float64 (detectors,)."""
        index = torch.arange(self.detectors, dtype=torch.float64) - (self.detectors - 1) / 2
        return index * self.detector_mm + self.detector_shift_mm

    def _forward(self, images: Tensor) -> Tensor:
        sinograms = images.new_empty(len(images), *self.range_shape)
        for along_x, views, scale, half in self._halves:
            turned = images if along_x else images.transpose(1, 2)
            for part in _parts(images, half.transform_size):
                projected = half.forward(turned[part]) * scale.to(images)[:, None]
                sinograms[part, views.to(images.device)] = projected
        return sinograms

    def _adjoint(self, measured: Tensor) -> Tensor:
        images = measured.new_zeros(len(measured), *self.domain_shape)
        for along_x, views, scale, half in self._halves:
            for part in _parts(measured, half.transform_size):
                chosen = measured[part][:, views.to(measured.device)] * scale.to(measured)[:, None]
                back = half.adjoint(chosen)
                images[part] += back if along_x else back.transpose(1, 2)
        return images

    def backproject(self, measured: Tensor) -> Tensor:
        """The sum over views of the sinogram (..., views, detectors) over each pixel, on average: (..., X, Y).

        Between detector elements by cubic interpolation, beyond the detector 0. This is not the adjoint: it reads the
        sinogram where a pixel casts its shadow, and so has no gaps where the detector is coarser than the pixels.
        """
        values = as_values(measured, "measured", self.range_shape, False)
        flat = values.reshape(-1, *self.range_shape)
        images = flat.new_zeros(len(flat), *self.domain_shape)
        for along_x, views, _, half in self._halves:
            place = self._back(along_x, views, half)
            for part in _parts(flat, half.transform_size):
                back = half.backproject(flat[part][:, views.to(flat.device)], place)
                images[part] += back if along_x else back.transpose(1, 2)
        return images.reshape(*values.shape[:-2], *self.domain_shape)

    def _back(self, along_x: bool, views: Tensor, half: "_Sheared") -> Interpolation:
        """From a view's detector to the fine samples of u, made when first needed."""
        if along_x not in self._to_fine:
            angle = torch.deg2rad(self.angles_deg[views])
            place = half.fine_places * (torch.cos(angle) if along_x else torch.sin(angle))[:, None] * self.pixel_mm
            index = (place - self.offsets_mm[0]) / self.detector_mm
            self._to_fine[along_x] = _rows(cubic_weights(index), self.detectors)
        return self._to_fine[along_x]


def _parts(batch: Tensor, size: int) -> list[slice]:
    """Batches small enough to be transformed at once."""
    count = len(batch)
    step = max(1, AT_ONCE.get(batch.device.type, AT_ONCE_ELSEWHERE) // size)
    return [slice(start, start + step) for start in range(0, count, step)]


class _Sheared:
    """Sums over the second axis of images (B, X, Y), sheared by slopes (V,), at places (V, D): (B, V, D), in pixels.

    place: the values of u, 0 in the centre of the image.
    """

    def __init__(self, slope: Tensor, place: Tensor, size: int):
        self.size, self.views = size, len(slope)
        # Twice the image holds |u| <= size / 2 (1 + |slope|); an even length has a Nyquist frequency.
        self.wide = 2 * next_fast_len(size, real=True)
        self.high = next_fast_len(round(KERNEL.oversampling * size))
        count = self.wide // 2 + 1
        frequency = torch.arange(count, dtype=torch.float64) / self.wide
        across = frequency * slope[:, None]
        index, weight = KERNEL.taps(across * self.high)
        index = index.remainder(self.high) + torch.arange(count)[:, None] * self.high
        self._slices = Interpolation(
            index.reshape(-1, KERNEL.width), weight.reshape(-1, KERNEL.width), count * self.high
        )

        middle = (size - 1) / 2
        row = torch.arange(size, dtype=torch.float64) - middle
        self._flatten = 1 / KERNEL.transform(row / self.high)
        # The FFT counts from pixel 0; these phases move the origin to the image's middle, the start of u to -wide/2.
        bins = torch.fft.fftfreq(self.high, dtype=torch.float64)
        self._centre = _phase(bins * middle)
        pixel = torch.sinc(frequency) * torch.sinc(across)
        self._shape = pixel * _phase(frequency * (middle - self.wide / 2))

        self.fine_places = torch.arange(self.wide * FINER, dtype=torch.float64) / FINER - self.wide / 2
        fine = (place + self.wide / 2) * FINER
        self._detector = _rows(cubic_weights(fine), self.wide * FINER)
        self.detectors = place.shape[1]
        self.transform_size = count * self.high

    def forward(self, images: Tensor) -> Tensor:
        batch, columns = len(images), images.shape[0]
        spectrum = torch.fft.rfft(images * self._flatten.to(images), n=self.wide, dim=1)
        spectrum = torch.fft.fft(spectrum, n=self.high, dim=2) * _complex(self._centre, spectrum)
        flat = (
            torch.view_as_real(spectrum.reshape(batch, -1)).permute(1, 0, 2).reshape(self.transform_size, 2 * columns)
        )
        lines = self._slices.forward(flat).reshape(self.views, -1, columns, 2)
        lines = torch.view_as_complex(lines) * _complex(self._shape, spectrum)[..., None]
        fine = torch.fft.irfft(lines, n=self.wide * FINER, dim=1) * FINER
        return self._detector.forward(fine.reshape(-1, columns)).reshape(self.views, -1, columns).permute(2, 0, 1)

    def adjoint(self, measured: Tensor) -> Tensor:
        """The transpose of every step of `forward`, in reverse order."""
        columns = len(measured)
        flat = measured.permute(1, 2, 0).reshape(-1, columns)
        fine = self._detector.adjoint(flat).reshape(self.views, -1, columns)
        return self._back(fine)

    def backproject(self, measured: Tensor, to_fine: Interpolation) -> Tensor:
        """The sum over views of measured (B, V, D), averaged over every pixel: (B, X, Y)."""
        columns = len(measured)
        flat = measured.permute(1, 2, 0).reshape(-1, columns)
        fine = to_fine.forward(flat).reshape(self.views, -1, columns)
        return self._back(fine) / FINER

    def _back(self, fine: Tensor) -> Tensor:
        columns = fine.shape[-1]
        lines = _irfft_adjoint(fine, self.wide // 2 + 1) * FINER
        lines = lines * _complex(self._shape, lines).conj()[..., None]
        spectrum = self._slices.adjoint(torch.view_as_real(lines).reshape(-1, 2 * columns))
        spectrum = torch.view_as_complex(spectrum.reshape(-1, self.high, columns, 2)).permute(2, 0, 1)
        spectrum = spectrum * _complex(self._centre, lines).conj()
        spectrum = torch.fft.ifft(spectrum, dim=2, norm="forward")[:, :, : self.size]
        return _rfft_adjoint(spectrum, self.wide)[:, : self.size] * self._flatten.to(fine)


def _irfft_adjoint(signal: Tensor, count: int) -> Tensor:
    """The transpose of irfft along dim 1, from frequencies that were padded with zeros."""
    length = signal.shape[1]
    spectrum = torch.fft.rfft(signal, dim=1)[:, :count] * (2 / length)
    spectrum[:, 0] = torch.complex(spectrum[:, 0].real / 2, torch.zeros_like(spectrum[:, 0].real))
    return spectrum


def _rfft_adjoint(spectrum: Tensor, length: int) -> Tensor:
    """The transpose of rfft of a real signal of an even length along dim 1."""
    half = spectrum / 2
    half[:, 0], half[:, -1] = spectrum[:, 0], spectrum[:, -1]
    return torch.fft.irfft(half, n=length, dim=1, norm="forward")


def _phase(cycles: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(cycles), 2 * math.pi * cycles)


def _complex(table: Tensor, like: Tensor) -> Tensor:
    return table.to(like.dtype).to(like.device)


def _rows(neighbours: tuple[Tensor, Tensor], length: int) -> Interpolation:
    """Each of V signals of this length, one after another, read at the neighbours (V, P, taps) of P positions."""
    index, weight = within(*neighbours, length)
    views, taps = index.shape[0], index.shape[-1]
    index = index + torch.arange(views)[:, None, None] * length
    return Interpolation(index.reshape(-1, taps), weight.reshape(-1, taps), views * length)
