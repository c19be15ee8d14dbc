"""Several receive coils: what each of them hears, and how their images become one.

The sensitivity of a coil is the field that it would make if it sent (reciprocity: Hoult and Richards, J. Magn. Reson.
24, 71, 1976). We take circular loops around the head and integrate the law of Biot and Savart; only the part across
B0 counts, as the complex number B_x - i B_y.
"""

import math

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.physics.mri.encoding.arguments import as_complex
from medlab.physics.mri.encoding.fourier import as_mask, masked, to_image, to_kspace
from medlab.physics.operators import LinearOperator


def loop_field(places_mm: Tensor, centre_mm: Tensor, normal: Tensor, radius_mm: float, points: int = 96) -> Tensor:
    """The magnetic field (..., 3) of a circular loop, for mu_0 I = 1 and lengths in mm (so in 1/mm), float64.

    places_mm: (..., 3); centre_mm, normal: (3,). A sum over points of the circle, which for a periodic integrand
    converges faster than any power of their distance, as long as places are further from the wire than that distance.
    """
    number(radius_mm, "radius_mm", 0, above=True)
    places_mm, centre_mm, normal = (tensor.double().cpu() for tensor in (places_mm, centre_mm, normal))
    normal = normal / normal.norm()
    apart = torch.eye(3, dtype=torch.float64)[int(normal.abs().argmin())]
    first = torch.linalg.cross(normal, apart)
    first = first / first.norm()
    second = torch.linalg.cross(normal, first)
    place_x, place_y, place_z = (axis.contiguous() for axis in places_mm.unbind(-1))
    field = [torch.zeros_like(place_x) for _ in range(3)]
    for angle in (torch.arange(points, dtype=torch.float64) * 2 * math.pi / points).tolist():
        wire = (centre_mm + radius_mm * (math.cos(angle) * first + math.sin(angle) * second)).tolist()
        step = radius_mm * 2 * math.pi / points * (math.cos(angle) * second - math.sin(angle) * first)
        along_x, along_y, along_z = step.tolist()
        x, y, z = place_x - wire[0], place_y - wire[1], place_z - wire[2]
        share = (x * x + y * y + z * z).pow_(-1.5)
        field[0] += (along_y * z - along_z * y) * share  # the cross product of step and distance
        field[1] += (along_z * x - along_x * z) * share
        field[2] += (along_x * y - along_y * x) * share
    return torch.stack(field, -1) / (4 * math.pi)


def loop_sensitivities(
    shape: tuple[int, int],
    coils: int = 8,
    *,
    fov_mm: tuple[float, float] = (240.0, 240.0),
    distance_mm: float = 180.0,
    radius_mm: float = 70.0,
) -> Tensor:
    """Synthetic sensitivities (coils, X, Y), complex64: loops on a circle about the middle voxel, facing it.

    distance_mm: from the middle to each loop; radius_mm: of each loop. The plane is z = 0 and B0 along z. Coil 0 lies
    in the direction of +x, the others follow anticlockwise. Scaled so that the root of the sum of squares is 1 in the
    middle voxel. Raises ValueError where a loop would lie within the corners of the field of view, where its field has
    no bound.
    """
    places = []
    for axis in range(2):
        size = whole(shape[axis], f"shape[{axis}]")
        fov = number(fov_mm[axis], f"fov_mm[{axis}]", 0, above=True)
        places.append((torch.arange(size, dtype=torch.float64) - size // 2) * fov / size)
    if distance_mm <= math.hypot(*fov_mm) / 2:
        corner = math.hypot(*fov_mm) / 2
        raise ValueError(f"distance_mm is {distance_mm}, expected more than half the diagonal, {corner:.0f} mm")
    x, y = torch.meshgrid(*places, indexing="ij")
    plane = torch.stack((x, y, torch.zeros_like(x)), -1)
    found = []
    for angle in (torch.arange(whole(coils, "coils"), dtype=torch.float64) * 2 * math.pi / coils).tolist():
        direction = torch.tensor([math.cos(angle), math.sin(angle), 0], dtype=torch.float64)
        field = loop_field(plane, distance_mm * direction, -direction, radius_mm)
        found.append(torch.complex(field[..., 0], -field[..., 1]))
    sensitivities = torch.stack(found)
    middle = sensitivities[:, shape[0] // 2, shape[1] // 2].abs().square().sum().sqrt()
    return (sensitivities / middle).to(torch.complex64)


class MultiCoil(LinearOperator):
    """What all coils measure of an image: times each sensitivity, Fourier transform, mask.

    sensitivities: (coils, X, Y), complex; mask: boolean, broadcasts to (X, Y), None for all. Complex images (X, Y) to
    k-spaces (coils, X, Y).
    """

    domain_complex = range_complex = True

    def __init__(self, sensitivities: Tensor, mask: Tensor | None = None):
        self.sensitivities = as_complex(sensitivities, "sensitivities", 3)
        if self.sensitivities.ndim != 3:
            found = tuple(self.sensitivities.shape)
            raise ValueError(f"sensitivities has shape {found}, expected (coils, X, Y)")
        self.range_shape, self.domain_shape = tuple(self.sensitivities.shape), tuple(self.sensitivities.shape[1:])
        self.mask = as_mask(mask, self.domain_shape)

    def _forward(self, images: Tensor) -> Tensor:
        return masked(to_kspace(self.sensitivities.to(images) * images[:, None]), self.mask)

    def _adjoint(self, measured: Tensor) -> Tensor:
        return (self.sensitivities.to(measured).conj() * to_image(masked(measured, self.mask))).sum(1)


def root_sum_of_squares(images: Tensor) -> Tensor:
    """One real image (..., X, Y) from coil images (..., coils, X, Y): the root of the sum of |image|².

    It needs no sensitivities, keeps their shading (times the root of the sum of |sensitivity|²) and loses the phase;
    noise adds up in it where there is no signal.
    """
    return as_complex(images, "images", 3).abs().square().sum(-3).sqrt()


def combine(images: Tensor, sensitivities: Tensor, covariance: Tensor | None = None) -> Tensor:
    """One complex image (..., X, Y) from coil images (..., coils, X, Y): weighted so that signal to noise is best.

    sum conj(s) W image / sum conj(s) W s with W the inverse of the coils' noise covariance (coils, coils), 1 where
    absent (Roemer et al., Magn. Reson. Med. 16, 192, 1990, uniform sensitivity). Without noise it is the image itself.
    0 where no coil hears anything.
    """
    images, weights = as_complex(images, "images", 3), as_complex(sensitivities, "sensitivities", 3)
    if weights.ndim != 3 or images.shape[-3:] != weights.shape:
        found = f"{tuple(images.shape)} and {tuple(weights.shape)}"
        raise ValueError(f"images and sensitivities have shapes {found}, expected (..., coils, X, Y) and (coils, X, Y)")
    weights = weights.to(images)
    heard = weights
    if covariance is not None:
        if tuple(covariance.shape) != (len(weights),) * 2:
            raise ValueError(f"covariance has shape {tuple(covariance.shape)}, expected {(len(weights),) * 2}")
        heard = torch.linalg.solve(covariance.to(images), weights.flatten(1)).reshape(weights.shape)
    power = (weights.conj() * heard).real.sum(-3)
    least = torch.finfo(power.dtype).eps * power.max()
    total = (heard.conj() * images).sum(-3)
    return torch.where(power > least, total / power.clamp(min=least), torch.zeros_like(total))
