"""Rigid registration: a volume brought over a reference by a turn and a shift, found by SimpleITK's optimiser."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import as_length, whole
from medlab.data.errors import VolumeError, reason
from medlab.data.regrid import on_grid
from medlab.data.resample import resample
from medlab.data.samples import Sample
from medlab.data.volume import Volume, data_fault

METRICS = ("mutual information", "correlation")
STARTS = ("mass", "middle", "world")
BINS = 32  # of each image's histogram, for mutual information
LEAST_SHARED = 0.1  # of the reference's field of view that must lie in the other image, before any step
LEAST_VOXELS = 4  # along each axis: the optimiser's own limit
ORTHONORMAL = 1e-6


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """A turn and a shift of the world, in mm.

    matrix: (4, 4) float64, read-only; takes a place of the moving image's world to where it belongs in the reference's.
    similarity: of the two images at the end: mutual information in nats (0 or more), or the square of the correlation
    (0 to 1); NaN where nothing was compared.
    Raises ValueError for a matrix that is no turn and shift.
    """

    matrix: np.ndarray
    similarity: float = math.nan

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        turn = matrix[:3, :3] if matrix.shape == (4, 4) else np.zeros((3, 3))
        last = matrix.shape == (4, 4) and np.array_equal(matrix[3], (0, 0, 0, 1)) and np.isfinite(matrix).all()
        if not last or np.abs(turn @ turn.T - np.eye(3)).max() > ORTHONORMAL or np.linalg.det(turn) < 0:
            found = np.array2string(matrix, precision=3).replace("\n", "")
            raise ValueError(f"matrix is {found}, expected 4 x 4 numbers that turn and shift")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @property
    def angle_deg(self) -> float:
        """The angle of the turn, 0 to 180, about whatever axis."""
        skew = self.matrix[:3, :3] - self.matrix[:3, :3].T
        sine = math.hypot(skew[2, 1], skew[0, 2], skew[1, 0])
        return math.degrees(math.atan2(sine, np.trace(self.matrix) - 2))

    def to_reference(self, places_mm: Sequence[float] | np.ndarray) -> np.ndarray:
        """Where places (..., 3) in mm of the moving image's world belong in the reference's."""
        return np.asarray(places_mm, np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def inverse(self) -> Self:
        """The way back."""
        return type(self)(np.linalg.inv(self.matrix), self.similarity)

    def place(self, volume: Volume) -> Volume:
        """The volume in the reference's world: another affine, the same voxels, so nothing is interpolated."""
        return Volume(volume.data, self.matrix @ volume.affine, volume.name)

    def apply(self, volume: Volume, like: Volume, *, order: str = "linear", fill: float = 0.0) -> Volume:
        """The volume on the reference's grid (that of like), interpolated once; order and fill as in `resample`."""
        return resample(self.place(volume), like=like, order=order, fill=fill)

    def apply_to_sample(self, sample: Sample, like: Volume, *, outside: float = 0.0) -> Sample:
        """The sample on the reference's grid: image, label and mask alike, as `regrid.on_grid` interpolates them."""
        return on_grid(replace(sample, image=self.place(sample.image)), like, outside=outside)


def register_rigid(
    moving: Volume,
    reference: Volume,
    *,
    metric: str = "mutual information",
    start: str = "mass",
    steps_mm: Sequence[float] = (8.0, 4.0, 2.0),
    samples: int = 30_000,
    iterations: int = 200,
    mask: Tensor | None = None,
    seed: int = 0,
) -> RigidTransform:
    """The turn and shift that make `moving` most alike `reference`; both (1, X, Y, Z), on any grids.

    metric: "mutual information" (Mattes et al., IEEE Trans. Med. Imaging 22, 120, 2003), which needs no relation
        between the two contrasts, or "correlation", for images of one contrast.
    start: what is laid over one another before: "mass", the centres of the intensities above each image's lowest;
        "middle", those of the fields of view; "world", nothing, which trusts the headers.
    steps_mm: voxels of each level, from coarse to fine: both images are smoothed and resampled to them (`resample`),
        but never made finer than they are. Each level starts where the last one ended.
    samples: so many random places of the reference, at most, are compared at each level. iterations: steps at most.
    mask: (X, Y, Z) bool on the reference's grid: only places inside it are compared. seed: of the places.

    The angle and the shift are found by regular-step gradient descent on an Euler transform about the reference's
    middle, through SimpleITK in one thread: the same images and seed give the same bytes.
    Raises VolumeError where an image has several channels or one value only, where the two do not overlap at the
    start, or leave one another on the way; ValueError for other arguments.
    """
    for name, image in (("moving", moving), ("reference", reference)):
        _check_image(name, image)
    for name, value, known in (("metric", metric, METRICS), ("start", start, STARTS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}, expected one of {', '.join(known)}")
    levels = [as_length(step, "steps_mm") for step in steps_mm]
    if not levels:
        raise ValueError("steps_mm is empty, expected at least one voxel size")
    for name, value in (("samples", samples), ("iterations", iterations)):
        whole(value, name)
    whole(seed, "seed", 0, 2**31 - 1)
    inside = _as_volume(mask, reference)

    import SimpleITK as sitk  # half a second and 100 MB, which only those who register should pay

    middle = reference.to_world((np.array(reference.shape[1:]) - 1) / 2)
    transform = sitk.Euler3DTransform()
    transform.SetCenter(middle.tolist())
    shift = _centre(moving, start) - _centre(reference, start) if start != "world" else np.zeros(3)
    transform.SetTranslation(shift.tolist())
    _check_overlap(moving, reference, shift)
    radius = max(np.linalg.norm(np.array(reference.shape[1:]) * reference.spacing) / 4, 1.0)
    value, last = math.nan, None
    for number, (step, fixed, other) in enumerate(zip(levels, *_pyramids(reference, moving, levels), strict=True)):
        if (fixed.shape, other.shape) == last:
            continue  # both images are coarser than this level
        last = fixed.shape, other.shape
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(1)
        method.SetNumberOfWorkUnits(1)  # sums over several units come in any order, with other last bits
        method.SetInterpolator(sitk.sitkLinear)
        if metric == "correlation":
            method.SetMetricAsCorrelation()
        else:
            method.SetMetricAsMattesMutualInformation(BINS)
        if inside is not None:
            method.SetMetricFixedMask(sitk.Cast(_to_itk(resample(inside, like=fixed, order="nearest")), sitk.sitkUInt8))
        voxels = math.prod(fixed.shape)
        if voxels > samples:
            method.SetMetricSamplingStrategy(method.RANDOM)
            method.SetMetricSamplingPercentage(samples / voxels, seed + 1 + number)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=step, minStep=step / 1000, numberOfIterations=iterations, gradientMagnitudeTolerance=1e-9
        )
        method.SetOptimizerScales([radius**2] * 3 + [1.0] * 3)  # radians weigh as mm on the head's surface
        method.SetInitialTransform(transform, inPlace=True)
        try:
            method.Execute(_to_itk(fixed), _to_itk(other))
        except RuntimeError as error:
            raise VolumeError(
                f"volume {moving.name!r}: it left {reference.name!r} while it was moved ({reason(error)}), expected "
                "two images of one part of the body"
            ) from error
        value = -method.GetMetricValue()
    back = np.eye(4)  # from the reference's world to the moving image's, as ITK has it
    turn = np.array(transform.GetMatrix()).reshape(3, 3)
    back[:3, :3] = turn
    back[:3, 3] = middle + transform.GetTranslation() - turn @ middle
    return RigidTransform(np.linalg.inv(back), value)


def _check_image(name: str, image: object) -> None:
    if not isinstance(image, Volume):
        raise VolumeError(f"{name} is {type(image).__name__}, expected a Volume")
    fault = data_fault(image.data)  # looked at again: a tensor can be changed in place
    if fault:
        raise VolumeError(f"volume {image.name!r}: {fault}")
    if image.shape[0] != 1:
        raise VolumeError(f"volume {image.name!r}: it has {image.shape[0]} channels, expected one to register by")
    if min(image.shape[1:]) < LEAST_VOXELS:
        found = " x ".join(map(str, image.shape[1:]))
        raise VolumeError(f"volume {image.name!r}: it measures {found}, expected {LEAST_VOXELS} voxels or more an axis")
    low, high = torch.aminmax(image.data)
    if low == high:
        raise VolumeError(f"volume {image.name!r}: every voxel is {float(low):g}, expected an image")


def _as_volume(mask: Tensor | None, reference: Volume) -> Volume | None:
    if mask is None:
        return None
    good = isinstance(mask, Tensor) and mask.dtype == torch.bool and tuple(mask.shape) == reference.shape[1:]
    if not good or not bool(mask.any()):
        found = f"{mask.dtype} of shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        expected = f"bool of shape {reference.shape[1:]} that is true somewhere"
        raise ValueError(f"mask is {found.removeprefix('torch.')}, expected {expected}")
    return reference.with_data(mask[None].float(), "mask")


def _centre(image: Volume, start: str) -> np.ndarray:
    """The centre in mm of an image's field of view, or of its intensities above the lowest."""
    sizes = image.shape[1:]
    if start == "middle":
        return image.to_world((np.array(sizes) - 1) / 2)
    weights = (image.data[0].cpu() - image.data.min().cpu()).double()
    total = weights.sum()
    along = [weights.sum([other for other in range(3) if other != axis]) for axis in range(3)]
    return image.to_world([float(line @ torch.arange(len(line), dtype=torch.float64) / total) for line in along])


def _check_overlap(moving: Volume, reference: Volume, shift: np.ndarray) -> None:
    lines = [np.linspace(0, size - 1, 12) for size in reference.shape[1:]]
    places = reference.to_world(np.stack(np.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 3)) + shift
    voxels = moving.to_voxels(places)
    inside = ((voxels >= -0.5) & (voxels <= np.array(moving.shape[1:]) - 0.5)).all(1).mean()
    if inside < LEAST_SHARED:
        raise VolumeError(
            f"volume {moving.name!r}: it covers {100 * inside:.0f} % of {reference.name!r} at the start, expected "
            f"{100 * LEAST_SHARED:.0f} % or more, or another start than the world's places"
        )


def _pyramids(reference: Volume, moving: Volume, levels: list[float]) -> list[list[Volume]]:
    """Of each of the two images one for each level, with voxels of so many mm where its own are not larger."""
    made = []
    for image in (reference, moving):
        spacing, done = np.array(image.spacing), {}
        for step in sorted(set(levels)):  # from fine to coarse: each is made of the one before
            image = done[step] = resample(image, np.maximum(spacing, step))
        made.append([done[step] for step in levels])
    return made


def _to_itk(image: Volume):
    """The same voxels at the same places as an image of SimpleITK, whose world is then ours (RAS)."""
    import SimpleITK as sitk

    made = sitk.GetImageFromArray(np.ascontiguousarray(image.data[0].cpu().numpy().transpose(2, 1, 0)))
    made.SetSpacing(image.spacing)
    made.SetOrigin(image.affine[:3, 3].tolist())
    made.SetDirection((image.affine[:3, :3] / image.spacing).ravel().tolist())
    return made
