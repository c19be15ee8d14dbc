"""How a tumour grows: cells that divide and wander, by the equation of Fisher and Kolmogorov.

    du/dt = div(D grad u) + rho u (1 - u)

u is the density of cells as a share of what a place can hold, D how fast they wander, rho how fast they divide.
Swanson et al. (Cell Prolif. 33, 2000) gave it different D in white and grey matter; Harpold et al. (J. Neuropathol.
Exp. Neurol. 66, 2007) review it. In an even medium its front comes to run at 2 sqrt(rho D).
"""

import math

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import as_length, as_not_negative, number

DAYS_PER_YEAR = 365.25
SAFETY = 0.6  # of the longest step at which no explicit step can overshoot its neighbours
DIVISION_PER_STEP = 0.2  # rho times the step, at most: division and wandering are taken in turn
AT_ONCE = 8  # steps between two looks at where there are cells
NO_CELLS = 1e-10


def grow(density: Tensor, diffusivity: Tensor, rho: float, days: float, spacing_mm: float) -> Tensor:
    """The density of cells after so many days, of the shape of density, float32; what is given is not changed.

    density: (X, Y, Z), 0 to 1. diffusivity: (X, Y, Z), D in mm²/year, 0 where no cell can go. rho: divisions, 1/year.
    spacing_mm: edge of a voxel. No cell leaves the array, and none enters or leaves a voxel without diffusivity.

    Finite volumes: what leaves a voxel through a face enters its neighbour, so that without division their number
    stays; the face's D is the harmonic mean of its two voxels', 0 where one of them is. Wandering takes explicit steps,
    and division, between two halves of which each stands (Strang splitting), is solved exactly.
    Raises ValueError for arrays that do not fit together and for numbers that mean nothing.
    """
    density, wander = _checked(density, diffusivity)
    rho, days, spacing = number(rho, "rho", 0), number(days, "days", 0), as_length(spacing_mm, "spacing_mm")
    # NumPy, on one thread: the boxes are small, and threads that wait for one another cost more than they share.
    cells, faces = density.numpy(), [_face_means(wander.numpy(), axis) / spacing**2 for axis in range(3)]  # 1/year
    years = days / DAYS_PER_YEAR
    steps = max(math.ceil(years / _longest_step_years(faces, rho)), 1) if years else 0
    for first in range(0, steps, AT_ONCE):
        taken = min(AT_ONCE, steps - first)
        box = _around_cells(cells, taken)
        if box is None:
            break
        inner = [_inner(face, box, axis) * np.float32(years / steps) for axis, face in enumerate(faces)]
        _advance(cells[box], inner, rho * years / steps, taken)
    return density


def _longest_step_years(faces: list[np.ndarray], rho: float) -> float:
    """The step that `grow` takes: stable for these diffusivities of the faces along x, y and z, in 1/year."""
    leaving = 2 * sum(float(face.max(initial=0)) for face in faces)
    limits = [SAFETY / leaving] if leaving else []
    limits += [DIVISION_PER_STEP / rho] if rho else []
    return min(limits, default=math.inf)


def _advance(density: np.ndarray, faces: list[np.ndarray], divided: float, count: int) -> None:
    """count steps in place; the two half steps of division between two steps of wandering are one.

    faces: the share that passes in a step; divided: rho times the step.
    """
    _divide(density, divided / 2)
    for taken in range(count):
        flows = [face * np.diff(density, axis=axis) for axis, face in enumerate(faces)]
        for axis, flow in enumerate(flows):
            density[_part(axis, slice(None, -1))] += flow
            density[_part(axis, slice(1, None))] -= flow
        _divide(density, divided if taken < count - 1 else divided / 2)


def _divide(density: np.ndarray, time: float) -> None:
    """Logistic growth for a time in units of 1/rho, exact, in place."""
    if time:
        rest = np.float32(math.exp(-time))
        density /= density * (1 - rest) + rest


def _face_means(diffusivity: np.ndarray, axis: int) -> np.ndarray:
    """The harmonic means of neighbours along an axis, one fewer than voxels; 0 where one of the two is 0."""
    low, high = diffusivity[_part(axis, slice(None, -1))], diffusivity[_part(axis, slice(1, None))]
    return 2 * low * high / np.maximum(low + high, np.float32(1e-30))


def _around_cells(density: np.ndarray, margin: int) -> tuple[slice, ...] | None:
    """The box of all voxels with cells and margin voxels around it: as far as they get in so many steps."""
    there = density > NO_CELLS
    box = []
    for axis, size in enumerate(density.shape):
        found = np.flatnonzero(there.any(tuple(a for a in range(3) if a != axis)))
        if not found.size:
            return None
        box.append(slice(max(int(found[0]) - margin, 0), min(int(found[-1]) + margin + 1, size)))
    return tuple(box)


def _inner(face: np.ndarray, box: tuple[slice, ...], axis: int) -> np.ndarray:
    """The faces between the voxels of a box."""
    return face[tuple(slice(b.start, b.stop - 1) if a == axis else b for a, b in enumerate(box))]


def _part(axis: int, part: slice) -> tuple[slice, ...]:
    """The index that takes a part along one axis and all of the others."""
    return tuple(part if a == axis else slice(None) for a in range(3))


def _checked(density: Tensor, diffusivity: Tensor) -> tuple[Tensor, Tensor]:
    cells, wander = (
        as_not_negative(density, "density", "cells"),
        as_not_negative(diffusivity, "diffusivity", "mm²/year"),
    )
    if cells.ndim != 3:
        raise ValueError(f"density has the shape {tuple(cells.shape)}, expected (X, Y, Z)")
    if wander.shape != cells.shape:
        raise ValueError(
            f"diffusivity has the shape {tuple(wander.shape)}, expected that of density, {tuple(cells.shape)}"
        )
    if float(cells.max()) > 1:
        raise ValueError(f"density is {float(cells.max()):g} somewhere, expected shares of at most 1")
    return cells.to(torch.float32, copy=True), wander.float()
