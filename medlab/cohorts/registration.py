"""Pairs of heads with the true deformation between them, for registration."""

from typing import NamedTuple

import torch
from torch import Tensor

from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.grid import Grid, sample
from medlab.cohorts.scan import T1, Sequence, mr_image
from medlab.cohorts.subject import Subject, draw_person, draw_subject

LABEL_NAMES = {
    0: "background",
    1: "outer fluid",
    2: "ventricles",
    3: "grey matter",
    4: "deep grey matter",
    5: "white matter",
}
LABELS = {
    1: ("outer csf",),
    2: ("ventricular csf",),
    3: ("grey matter",),
    4: ("deep grey matter",),
    5: ("white matter",),
}


class RegistrationPair(NamedTuple):
    """Two heads on one grid.

    fixed, moving: images (1, X, Y, Z), skull-stripped. fixed_label, moving_label: (X, Y, Z) uint8. displacement_mm:
    (3, X, Y, Z): the voxel at x of the fixed image shows the place x + displacement of the moving one. grid: of all.
    """

    fixed: Tensor
    moving: Tensor
    fixed_label: Tensor
    moving_label: Tensor
    displacement_mm: Tensor
    grid: Grid


def draw_pair(
    seed: int,
    grid: Grid,
    *,
    sequences: tuple[Sequence, Sequence] = (T1, T1),
    shape_mm: float = 2.5,
    folds: float = 0.0,
) -> RegistrationPair:
    """Two people of one anatomy; the deformation between them is exact.

    sequences: of the fixed and the moving image; two different ones make a multimodal pair. folds: above 0 the cortices
    also differ by what no deformation explains, as real ones do.
    """
    fixed, moving = (_person(2 * seed + n, grid, shape_mm, folds) for n in (0, 1))
    points = grid.points()
    there = moving.deformation.to_subject(fixed.deformation.to_template(points))
    images = [
        (mr_image(subject, sequence, 2 * seed + n) * brain_mask(subject))[None]
        for n, (subject, sequence) in enumerate(zip((fixed, moving), sequences, strict=True))
    ]
    labels = [subject.labels(LABELS) for subject in (fixed, moving)]
    return RegistrationPair(*images, *labels, (there - points).movedim(-1, 0), grid)


def warp(values: Tensor, displacement_mm: Tensor, grid: Grid) -> Tensor:
    """values (C, X, Y, Z) of the moving head, seen on the fixed one: linear interpolation at x + displacement."""
    return sample(values, grid.affine, grid.points() + displacement_mm.movedim(0, -1))


def warp_label(label: Tensor, displacement_mm: Tensor, grid: Grid) -> Tensor:
    """A label (X, Y, Z) warped as shares of its classes, of which the largest wins; (X, Y, Z) uint8."""
    classes = label.unique()
    shares = torch.stack([warp((label == value)[None].float(), displacement_mm, grid)[0] for value in classes])
    return classes[shares.argmax(0)]


def _person(seed: int, grid: Grid, shape_mm: float, folds: float) -> Subject:
    # Equal furrows: what no displacement can explain is in folds alone, which can be 0.
    still = {"angles_deg": (0.0, 0.0, 0.0), "shift_mm": (0.0, 0.0, 0.0), "furrows": 0.0}
    person = draw_person(seed, 40.0, shape_mm=shape_mm, folds=folds, **still)
    return draw_subject(person, grid)
