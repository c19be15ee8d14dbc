"""Fan beams: one source, one row of detectors, a source that goes round."""

import math

import torch
from torch import Tensor

from medlab.arguments import as_length, whole
from medlab.physics.ct.angles import as_angles
from medlab.physics.ct.projection.neighbours import cubic_weights, linear_weights, within
from medlab.physics.ct.projection.parallel import ParallelBeam
from medlab.physics.gridding import Interpolation
from medlab.physics.operators import LinearOperator, as_values

VIEWS_A_PIXEL = (
    2.5  # parallel views to read from; the sinogram of N pixels has details of 1 / (N pi / 2) of a half turn
)
FINER = 0.5  # distance of their detector places in pixels


class FanBeam(LinearOperator):
    """Line integrals along fans of rays: images (..., X, Y) in 1/cm to sinograms (..., views, detectors), no unit.

    angles_deg: (views,); at angle t the source stands at source_mm (sin t, -cos t), so that its central ray is the ray
    at s = 0 of a parallel view t. source_mm: its distance from the axis, outside the image. Detector j sees the fan
    angle g_j from the central ray, which is the parallel ray of view t - g_j at s = source_mm sin(g_j); g is equally
    spaced (equi-angular), or with flat=True its tangent is (a flat detector). fan_deg: the angle between the first and
    the last ray, by default that which sees the whole image. image_size: X = Y; pixel_mm: edge of a pixel.

    Every ray of a fan is a ray of some parallel view, so the fan is read from a dense parallel sinogram by cubic
    interpolation in angle and place: an exact adjoint, and hardly slower than that sinogram.
    Raises ValueError for geometries that are none.
    """

    def __init__(
        self,
        angles_deg: object,
        image_size: int,
        *,
        source_mm: float,
        detectors: int | None = None,
        fan_deg: float | None = None,
        flat: bool = False,
        pixel_mm: float = 1.0,
    ):
        self.angles_deg = as_angles(angles_deg)
        self.image_size = size = whole(image_size, "image_size")
        self.pixel_mm, self.source_mm = as_length(pixel_mm, "pixel_mm"), as_length(source_mm, "source_mm")
        corner = size * self.pixel_mm / math.sqrt(2)
        if self.source_mm <= corner:
            raise ValueError(f"source_mm is {source_mm}, expected more than {corner:.1f} mm, outside the image")
        enough_deg = 2 * math.degrees(math.asin(corner / self.source_mm))
        self.fan_deg = float(enough_deg if fan_deg is None else fan_deg)
        if not 0 < self.fan_deg < 180:
            raise ValueError(f"fan_deg is {fan_deg}, expected an angle between 0 and 180 degrees")
        self.detectors = whole(math.ceil(1.5 * size) if detectors is None else detectors, "detectors")
        self.flat = bool(flat)
        self.domain_shape, self.range_shape = (size, size), (len(self.angles_deg), self.detectors)
        self._parallel = ParallelBeam(
            torch.arange(views := math.ceil(VIEWS_A_PIXEL * size)) * (180 / views),
            size,
            pixel_mm=self.pixel_mm,
            detector_mm=FINER * self.pixel_mm,
        )
        self._rays = self._interpolation()

    @property
    def pitch_rad(self) -> float:
        """The angle between neighbouring rays of an equi-angular fan."""
        return math.radians(self.fan_deg) / max(self.detectors - 1, 1)

    @property
    def pitch_on_axis_mm(self) -> float:
        """The distance of neighbouring rays of a flat fan where they pass the axis."""
        return 2 * self.source_mm * math.tan(math.radians(self.fan_deg / 2)) / max(self.detectors - 1, 1)

    @property
    def fan_rad(self) -> Tensor:
        """The fan angle of every detector element, float64 (detectors,)."""
        index = torch.arange(self.detectors, dtype=torch.float64) - (self.detectors - 1) / 2
        if self.flat:
            return torch.atan(index * self.pitch_on_axis_mm / self.source_mm)
        return index * self.pitch_rad

    def rays(self) -> tuple[Tensor, Tensor]:
        """The parallel ray of each element: angles in degrees (views, detectors), places s in mm (detectors,)."""
        return self.angles_deg[:, None] - torch.rad2deg(self.fan_rad), self.source_mm * torch.sin(self.fan_rad)

    def _forward(self, images: Tensor) -> Tensor:
        fine = self._parallel._forward(images)
        return self._rays.forward(fine.reshape(len(images), -1).T).T.reshape(-1, *self.range_shape)

    def _adjoint(self, measured: Tensor) -> Tensor:
        fine = self._rays.adjoint(measured.reshape(len(measured), -1).T).T
        return self._parallel._adjoint(fine.reshape(-1, *self._parallel.range_shape))

    def _interpolation(self) -> Interpolation:
        views, places = self._parallel.range_shape
        angle, offset = self.rays()
        near, turn = cubic_weights(angle * (views / 180))
        # A view half a turn further is the same view, seen from behind.
        behind = torch.where(torch.div(near, views, rounding_mode="floor") % 2 == 0, 1.0, -1.0)
        offset = offset[:, None] * behind  # (views, detectors, 4 views)
        place = (offset - self._parallel.offsets_mm[0]) / self._parallel.detector_mm
        across, along = within(*cubic_weights(place), places)
        weight = turn[..., None] * along
        index = near.remainder(views)[..., None] * places + across
        return Interpolation(index.reshape(-1, 16), weight.reshape(-1, 16), views * places)

    def backproject(self, measured: Tensor) -> Tensor:
        """The weighted sum over views that a fan's filtered back-projection ends with: (..., X, Y).

        Each pixel's centre reads its ray of each view, linearly between elements, divided by the squared distance to
        the source in cm (equi-angular) or in units of source_mm along the central ray (flat).
        """
        values = as_values(measured, "measured", self.range_shape, False)
        flat = values.reshape(-1, *self.range_shape)
        image = flat.new_zeros(len(flat), self.image_size**2)
        step = (torch.arange(self.image_size, dtype=torch.float64) - (self.image_size - 1) / 2) * self.pixel_mm
        x, y = (place.reshape(-1) for place in torch.meshgrid(step, step, indexing="ij"))
        for number, angle in enumerate(torch.deg2rad(self.angles_deg)):
            # Along the central ray from the source, and across it towards larger s.
            ahead = self.source_mm - x * torch.sin(angle) + y * torch.cos(angle)
            aside = x * torch.cos(angle) + y * torch.sin(angle)
            if self.flat:
                index, weight = self.source_mm * aside / ahead / self.pitch_on_axis_mm, (self.source_mm / ahead) ** 2
            else:
                index, weight = torch.atan2(aside, ahead) / self.pitch_rad, 100 / (ahead.square() + aside.square())
            index = index + (self.detectors - 1) / 2
            near, share = within(*linear_weights(index), self.detectors)
            read = flat[:, number][:, near.to(flat.device)] * (share * weight[:, None]).to(flat)
            image = image + read.sum(-1)
        return image.reshape(*values.shape[:-2], *self.domain_shape)
