"""What a report judges: pairs of files, folders, volumes or arrays, brought onto one grid."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import as_spacing
from medlab.data import Volume, load_volume, to_canonical
from medlab.metrics.mask_pairs import as_tensor

Source = str | os.PathLike | Volume | Tensor | np.ndarray
ENDINGS = (".nii.gz", ".nii")
UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)  # which torch compares hardly at all
NEAR = 0.1  # of a voxel's shortest edge: what two grids of one place may differ by in their corners


class Sources(NamedTuple):
    """One pair, not read yet; name is empty where there is only one."""

    name: str
    prediction: Source
    reference: Source
    mask: Source | None


class Pair(NamedTuple):
    """Two images of one shape, each of 2 or 3 axes; spacing in mm for each axis, of one voxel its content.

    content: in ml, or in mm² where an array has two axes and no thickness. names: what messages call the prediction and
    the reference.
    """

    prediction: Tensor
    reference: Tensor
    mask: Tensor | None
    spacing: tuple[float, ...]
    content: float
    flat: bool
    straight: bool
    names: tuple[str, str]
    notes: list[str]


def paired(
    prediction: Source | Sequence[Source], reference: Source | Sequence[Source], mask: Source | Sequence[Source] | None
) -> list[Sources]:
    """The pairs that are meant: one, those of two lists, or those of two folders that share their names."""
    several = isinstance(prediction, list | tuple), isinstance(reference, list | tuple)
    if several == (True, True):
        return list(_lists(prediction, reference, mask))
    if any(several):
        raise ValueError("prediction and reference are one a list and one not, expected two lists or two single ones")
    folders = _holds_niftis(prediction), _holds_niftis(reference)
    if folders == (True, True):
        return list(_folders(Path(prediction), Path(reference), mask))
    if any(folders):
        folder, other = (prediction, reference) if folders[0] else (reference, prediction)
        raise ValueError(f"{folder} is a folder of NIfTI files and {_named(other, 'the other')} is not, expected both")
    return [Sources("", prediction, reference, mask)]


def read(sources: Sources, spacing: float | Sequence[float] | None) -> Pair:
    """The pair on one grid. Raises ValueError, naming file or argument, where that cannot be without interpolation."""
    given = {"prediction": sources.prediction, "reference": sources.reference}
    given |= {} if sources.mask is None else {"mask": sources.mask}
    names = {role: _named(source, role) for role, source in given.items()}
    found = {role: _loaded(source, names[role]) for role, source in given.items()}
    volumes = {role: one for role, one in found.items() if isinstance(one, Volume)}
    notes = []
    if volumes and spacing is not None:
        raise ValueError(f"spacing is {spacing!r}, expected none: {names[next(iter(volumes))]} says its own")
    if len(volumes) > 1:
        volumes, turned = _on_one_grid(volumes, names)
        notes += [turned] if turned else []
    tensors = {role: volumes[role].data[0] if role in volumes else one for role, one in found.items()}
    shape = tuple(tensors["reference"].shape)
    for role, one in tensors.items():
        if tuple(one.shape) != shape:
            raise ValueError(
                f"{names[role]} has {_size(one.shape)} voxels, expected those of {names['reference']}, {_size(shape)}"
            )
    if volumes:
        grid = next(iter(volumes.values()))
        edges, content = grid.spacing, abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000
        flat, straight = False, grid.orthogonal
    else:
        edges = as_spacing(1.0 if spacing is None else spacing, len(shape))
        flat, straight = len(shape) == 2, True
        content = float(np.prod(edges)) / (1 if flat else 1000)
        if spacing is None:
            notes.append("No spacing was given: a voxel is taken to measure 1 mm along each axis.")
    kept = _kept(shape)
    if len(kept) < len(shape):
        tensors = {role: one.reshape([shape[axis] for axis in kept]) for role, one in tensors.items()}
        notes.append(f"{_size(shape)} voxels are judged as an image of {len(kept)} axes.")
    mask = None
    if "mask" in tensors:
        mask = _mask(tensors["mask"], names["mask"])
    return Pair(
        tensors["prediction"],
        tensors["reference"],
        mask,
        tuple(edges[axis] for axis in kept),
        content,
        flat,
        straight,
        (names["prediction"], names["reference"]),
        notes,
    )


def _lists(prediction, reference, mask) -> Iterator[Sources]:
    if len(prediction) != len(reference) or not prediction:
        raise ValueError(
            f"prediction holds {len(prediction)} and reference {len(reference)}, expected as many, and at least one"
        )
    masks = mask if isinstance(mask, list | tuple) else [mask] * len(prediction)
    if len(masks) != len(prediction):
        raise ValueError(f"mask holds {len(masks)}, expected one, or one for each of {len(prediction)} pairs")
    for name, ours, truth, inside in zip(_names(prediction), prediction, reference, masks, strict=True):
        yield Sources(name, ours, truth, inside)


def _names(sources: Sequence[Source]) -> list[str]:
    """A name for each, none of them twice: of files without folder and ending, or with them, else numbers."""
    numbers = [str(n + 1) for n in range(len(sources))]
    if not all(isinstance(source, str | os.PathLike) for source in sources):
        return numbers
    tries = [_stem(Path(source)) for source in sources], [str(source) for source in sources], numbers
    return next(names for names in tries if len(set(names)) == len(names))


def _folders(prediction: Path, reference: Path, mask: Source | None) -> Iterator[Sources]:
    ours, truth = _niftis(prediction), _niftis(reference)
    masks = _niftis(Path(mask)) if _holds_niftis(mask) else None
    for here, there, folder in ((ours, truth, reference), (truth, ours, prediction)):
        alone = [name for name in here if name not in there]
        if alone:
            more = f" (nor have {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise ValueError(f"{here[alone[0]]} has no partner in {folder}{more}, expected one of the same name")
    for name in ours:
        if masks is not None and name not in masks:
            raise ValueError(f"{ours[name]} has no mask in {mask}, expected one of the same name")
        yield Sources(name, ours[name], truth[name], mask if masks is None else masks[name])


def _niftis(folder: Path) -> dict[str, Path]:
    """By their names without endings, in order."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith(ENDINGS) and not path.name.startswith("."):
            if _stem(path) in found:
                raise ValueError(f"{folder} holds {found[_stem(path)].name} and {path.name}, expected each name once")
            found[_stem(path)] = path
    return found


def _holds_niftis(source: object) -> bool:
    """Whether it is a folder of files to be judged one by one; one without NIfTI files may be a DICOM series."""
    if not isinstance(source, str | os.PathLike) or not Path(source).is_dir():
        return False
    return any(path.name.endswith(ENDINGS) for path in Path(source).iterdir())


def _stem(path: Path) -> str:
    for ending in ENDINGS:
        if path.name.endswith(ending):
            return path.name[: -len(ending)]
    return path.name


def _named(source: Source, role: str) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else role


def _loaded(source: Source, name: str) -> Volume | Tensor:
    if isinstance(source, str | os.PathLike):
        source = load_volume(source)
    if isinstance(source, Volume):
        if source.shape[0] != 1:
            raise ValueError(f"{name} has {source.shape[0]} channels, expected one")
        return Volume(source.data.detach().cpu(), source.affine, source.name)
    image = as_tensor(source, name).cpu()
    image = image.long() if image.dtype in UNSIGNED else image
    image = image[0] if image.ndim == 4 and len(image) == 1 else image
    if image.ndim not in (2, 3) or not image.numel():
        raise ValueError(f"{name} has the shape {tuple(image.shape)}, expected (X, Y) or (X, Y, Z), none of them 0")
    if image.is_complex():
        raise ValueError(f"{name} holds {image.dtype}, expected real numbers")
    if image.is_floating_point():
        image = image if image.element_size() >= 4 else image.float()
        if not bool(torch.isfinite(image).all()):
            raise ValueError(f"{name} holds {image[~torch.isfinite(image)][0].item()}, expected finite numbers")
    return image


def _on_one_grid(volumes: dict[str, Volume], names: dict[str, str]) -> tuple[dict[str, Volume], str | None]:
    """The volumes with their axes in one order, and what was turned for it."""
    main = "reference" if "reference" in volumes else next(iter(volumes))
    fixed = volumes[main]
    others = {role: one for role, one in volumes.items() if role != main}
    if all(_apart(one, fixed) == 0 for one in others.values()):
        return volumes, None
    turned = {role: to_canonical(one) for role, one in volumes.items()}
    for role in others:
        one, straight = volumes[role], turned[main]
        if turned[role].shape != straight.shape:
            raise ValueError(
                f"{names[role]} has {_size(one.shape[1:])} voxels, expected those of {names[main]}, "
                f"{_size(fixed.shape[1:])}"
            )
        apart = _apart(turned[role], straight)
        if apart:
            raise ValueError(
                f"{names[role]} lies elsewhere than {names[main]}: their corners are up to {apart:.3g} mm apart, "
                "expected one grid (resample one of them first)"
            )
    changed = [role for role, one in others.items() if one.orientation != fixed.orientation]
    said = " and ".join(f"{names[role]} ({volumes[role].orientation})" for role in changed)
    note = (
        f"{said}: axes turned to those of {names[main]} ({fixed.orientation}), values untouched." if changed else None
    )
    return turned, note


def _apart(one: Volume, other: Volume) -> float:
    """How far the corners of two grids are apart in mm; 0 where that is rounding, infinite where the sizes differ."""
    if one.shape[1:] != other.shape[1:]:
        return np.inf
    corners = np.stack(np.meshgrid(*([0, size - 1] for size in one.shape[1:]), indexing="ij"), -1).reshape(-1, 3)
    apart = float(np.linalg.norm(one.to_world(corners) - other.to_world(corners), axis=1).max())
    return 0.0 if apart <= NEAR * min(one.spacing) else apart


def _kept(shape: Sequence[int]) -> list[int]:
    """The axes that an image has: a single slice of a volume has two."""
    long = [axis for axis, size in enumerate(shape) if size > 1]
    return long if len(long) >= 2 else list(range(len(shape)))


def _mask(values: Tensor, name: str) -> Tensor:
    inside = values == 1
    other = ~inside & (values != 0)
    if bool(other.any()):
        raise ValueError(f"{name} holds {values[other][0].item():g}, expected a mask of 0 and 1")
    if not bool(inside.any()):
        raise ValueError(f"{name} is empty, expected at least one voxel")
    return inside


def _size(shape: Sequence[int]) -> str:
    return " x ".join(str(size) for size in shape)
