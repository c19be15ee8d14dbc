"""What bleeds and fractures share when they are painted: the part of a grid that they touch, and borders of a voxel."""

from collections.abc import Callable

from torch import Tensor

from medlab.cohorts.lesions.places import Blocks, put_back, taken_out

Shares = dict[str, Tensor]
Bounds = tuple[tuple[float, float, float], tuple[float, float, float]]


def change_within(shares: Shares, points: Tensor, bounds: Bounds, change: Callable[[Shares, Tensor], None]) -> None:
    """Lets change(shares, points) work on a box of voxels that holds all points within bounds, in place.

    bounds: the lowest and the highest corner in template mm. change is given its own dictionary and may put new tensors
    and new tissues into it.
    """
    box = Blocks(points).box(*bounds)
    if box is not None:
        near = taken_out(shares, box)
        change(near, points[box])
        put_back(shares, near, box)


def around(centre: Tensor, reach_mm: float) -> Bounds:
    """The cube of this half edge around a point (3,)."""
    return tuple((centre - reach_mm).tolist()), tuple((centre + reach_mm).tolist())


def spacing_of(points: Tensor) -> float:
    """The finest mean distance in mm of neighbours among points (X, Y, Z, 3)."""
    found = []
    for axis, size in enumerate(points.shape[:-1]):
        if size > 1:
            ends = points.movedim(axis, 0)
            middle = tuple(n // 2 for n in ends.shape[1:-1])
            found.append(float((ends[(-1, *middle)] - ends[(0, *middle)]).norm()) / (size - 1))
    return min(found, default=1.0)


def covered(inside_mm: Tensor, edge_mm: float) -> Tensor:
    """The share of a voxel within a border, from the signed distance of its centre: 1 well inside, 0 well outside."""
    return (inside_mm / edge_mm + 0.5).clamp(0, 1)


def smooth_step(values: Tensor, low: float, high: float) -> Tensor:
    """0 below low, 1 above high, and smooth between."""
    share = ((values - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)
