"""What every lesion is asked for: what it pushes aside, and what it makes of the tissues at a place."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Lesion(ABC):
    """One finding in a head, described in template coordinates, so that it moves with the anatomy around it."""

    def velocity_mm(self) -> Tensor | None:
        """What it displaces: a velocity (3, X, Y, Z) on the control grid (`deformation`), or None where nothing is."""
        return None

    @abstractmethod
    def apply(self, shares: dict[str, Tensor], points: Tensor) -> None:
        """Changes the shares of the tissues in place; they still add up to 1.

        shares: (X, Y, Z) float32 by tissue; points: (X, Y, Z, 3), where these voxels lie in the template, in mm.
        """

    @abstractmethod
    def finding(self) -> dict[str, object]:
        """What a report would say: the kind, the side, and the numbers that were drawn."""


def replace_by(shares: dict[str, Tensor], tissue: str, amount: Tensor, taken_from: tuple[str, ...]) -> None:
    """Gives a tissue this share of what the tissues in taken_from hold, in place; amount: (X, Y, Z), 0 to 1."""
    taken = torch.zeros_like(amount)
    for name in taken_from:
        if name in shares and name != tissue:
            part = shares[name] * amount
            shares[name] = shares[name] - part
            taken = taken + part
    shares[tissue] = shares[tissue] + taken if tissue in shares else taken
