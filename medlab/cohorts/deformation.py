"""Heads that differ: smooth, invertible deformations as flows of a stationary velocity field.

A velocity v, constant in time, carries every point along for one unit of time. Its flow exp(v) can be undone exactly by
exp(-v) and folds nothing. It is computed by scaling and squaring (Arsigny et al., MICCAI 2006): v / 2^n is nearly its
own flow, and composing a flow with itself doubles its time.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medlab.arguments import number
from medlab.cohorts.anatomy import head_model
from medlab.cohorts.grid import HEAD_CENTRE_MM, sample
from medlab.cohorts.texture import smooth_noise

CONTROL_MM = 4  # the spacing on which velocities live: the head model at this spacing
SQUARINGS = 7
REFINEMENTS = 3


@dataclass(frozen=True, eq=False)
class Deformation:
    """A map of template coordinates onto a subject's: first the flow of a velocity, then an affine map.

    velocity_mm: (3, X, Y, Z) float32 on the grid of `head_model(4)`, along x, y and z. affine: (4, 4) float64.
    """

    velocity_mm: Tensor
    affine: np.ndarray

    @cached_property
    def _flows(self) -> tuple[Tensor, Tensor]:
        """Displacements of exp(v) and of exp(-v)."""
        return flow(self.velocity_mm), flow(-self.velocity_mm)

    def to_subject(self, points: Tensor) -> Tensor:
        """Where points (..., 3) of the template lie in the subject, mm."""
        moved = points + _displacement(self._flows[0], points)
        return _transformed(moved, self.affine)

    def to_template(self, points: Tensor) -> Tensor:
        """Where points (..., 3) of the subject lie in the template, mm: the inverse of `to_subject`.

        The two flows are inverse to each other up to the interpolation on their grid. What is left is corrected where
        it is small, in the target: by how far the point found is carried past it, the next point is asked for before
        it. So a flow that moves neighbours apart by more than their distance is undone as well.
        """
        target = _transformed(points, np.linalg.inv(self.affine))
        asked = target
        found = asked + _displacement(self._flows[1], asked)
        for _ in range(REFINEMENTS):
            asked = asked + target - found - _displacement(self._flows[0], found)
            found = asked + _displacement(self._flows[1], asked)
        return found

    def jacobian_determinant(self) -> Tensor:
        """By how much the flow enlarges each voxel of the control grid, (X, Y, Z).

        Above 0 everywhere, as long as the velocity is no stronger than the grid can follow: several times what
        `subject.draw_person` draws.
        """
        gradient = torch.stack(torch.gradient(self._flows[0], spacing=float(CONTROL_MM), dim=(1, 2, 3)), 1)
        matrix = gradient.permute(2, 3, 4, 0, 1) + torch.eye(3)
        return torch.linalg.det(matrix) * float(np.linalg.det(self.affine[:3, :3]))


def flow(velocity_mm: Tensor, squarings: int = SQUARINGS) -> Tensor:
    """The displacement of exp(velocity), (3, X, Y, Z) in mm, by scaling and squaring; velocity on the control grid."""
    step = velocity_mm / 2**squarings
    points = _control_points()
    for _ in range(squarings):
        step = step + _displacement(step, points + step.permute(1, 2, 3, 0)).permute(3, 0, 1, 2)
    return step


def random_velocity(generator: torch.Generator, amplitude_mm: float = 3.0, length_mm: float = 30.0) -> Tensor:
    """Smooth noise of this standard deviation and correlation length in each direction, (3, X, Y, Z)."""
    amplitude, length = number(amplitude_mm, "amplitude_mm", 0), number(length_mm, "length_mm", 0, above=True)
    shape = head_model(CONTROL_MM).shares.shape[1:]
    return amplitude * torch.stack([smooth_noise(shape, length / CONTROL_MM, generator) for _ in range(3)])


def ventricle_velocity(amount_mm: float) -> Tensor:
    """The walls of the ventricles moved outwards by about so many mm (inwards where negative), (3, X, Y, Z)."""
    inside = _smoothed(head_model(CONTROL_MM).share("ventricular csf"), 1.8)
    return amount_mm * _unit_peak(-_gradient(inside))


def atrophy_velocity(amount_mm: float) -> Tensor:
    """The surface of the brain moved inwards by about so many mm, the skull at rest, (3, X, Y, Z).

    The fluid around the brain, and in its sulci near the surface, takes the room.
    """
    depth = -head_model(CONTROL_MM).away_mm
    weight = depth.clamp(min=0) / 9 * torch.exp(1 - depth.clamp(min=0) / 9)
    inward = _gradient(_smoothed(depth, 1.5))
    return amount_mm * weight * inward / inward.norm(dim=0, keepdim=True).clamp(min=0.2)


def asymmetry_velocity(amount_mm: float) -> Tensor:
    """One hemisphere made larger than the other: tissue moved from left to right by up to so many mm, (3, X, Y, Z)."""
    centred = (_control_points() - torch.tensor(HEAD_CENTRE_MM)) / torch.tensor([80.0, 100.0, 80.0])
    push = amount_mm * torch.exp(-centred.square().sum(-1))
    return torch.stack([push, torch.zeros_like(push), torch.zeros_like(push)])


def affine_about(
    centre_mm: tuple[float, float, float], scale: tuple[float, float, float], angles_deg: tuple[float, float, float]
) -> np.ndarray:
    """(4, 4): scaled along x, y, z, then turned about them in this order, the centre at rest."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(angles_deg)):
        one = np.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        one[a, a] = one[b, b] = math.cos(angle)
        one[b, a], one[a, b] = math.sin(angle), -math.sin(angle)
        turn = one @ turn
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(scale)
    affine[:3, 3] = np.array(centre_mm) - affine[:3, :3] @ np.array(centre_mm)
    return affine


def _control_points() -> Tensor:
    model = head_model(CONTROL_MM)
    axes = [
        torch.arange(n, dtype=torch.float32) * CONTROL_MM + float(model.affine[a, 3])
        for a, n in enumerate(model.shares.shape[1:])
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def _displacement(field: Tensor, points: Tensor) -> Tensor:
    """A field on the control grid at points (..., 3), as (..., 3); beyond the grid its border holds."""
    return sample(field, head_model(CONTROL_MM).affine, points).movedim(0, -1)


def _transformed(points: Tensor, affine: np.ndarray) -> Tensor:
    matrix, shift = torch.from_numpy(affine[:3, :3]).float(), torch.from_numpy(affine[:3, 3].copy()).float()
    return points @ matrix.T + shift


def _gradient(values: Tensor) -> Tensor:
    return torch.stack(torch.gradient(values, spacing=float(CONTROL_MM)))


def _unit_peak(field: Tensor) -> Tensor:
    return field / field.norm(dim=0).max()


def _smoothed(values: Tensor, sigma_voxels: float) -> Tensor:
    return torch.from_numpy(ndimage.gaussian_filter(values.numpy(), sigma_voxels))
