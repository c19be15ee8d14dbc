"""The surface of a mask on the grid: its border voxels, or the small pieces of area between voxels.

Where four voxels of a plane, or eight of space, meet, and some of them lie in the mask and some do not, a piece of the
surface runs between them: the one that marching cubes draws (Lorensen and Cline 1987). It stands for its area, so that
a face, an edge and a corner of the grid weigh what they are worth. Its place is where the voxels meet.

Two rules fix the pieces, and no table is needed. Where the two diagonals of a square lie on different sides, whatever
the whole group holds less of is cut off, so that a mask and its complement have equal areas. A loop of more than three
points is divided into the triangles that have the largest area at equal spacing. That makes the areas those of
`surface-distance`, the program of Nikolov et al. 2018, for all 256 groups and every spacing.
"""

import itertools
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

CORNERS = {axes: list(itertools.product((0, 1), repeat=axes)) for axes in (2, 3)}


def border(mask: np.ndarray, neighbours: str) -> np.ndarray:
    """The voxels of a mask with a neighbour outside it, or at the array's edge; neighbours: "faces" or "corners"."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    if neighbours == "faces":
        for axis in range(mask.ndim):
            for start in (0, 2):
                window = [slice(1, -1)] * mask.ndim
                window[axis] = slice(start, start + mask.shape[axis])
                inner &= padded[tuple(window)]
    else:  # erosion by a cube is erosion by three bars
        eroded = padded
        for axis in range(mask.ndim):
            windows = [
                tuple(slice(k, k + mask.shape[axis]) if a == axis else slice(None) for a in range(mask.ndim))
                for k in range(3)
            ]
            eroded = eroded[windows[0]] & eroded[windows[1]] & eroded[windows[2]]
        inner &= eroded
    return mask & ~inner


def neighbour_codes(mask: np.ndarray) -> np.ndarray:
    """Which of the 4 or 8 voxels around each corner of the grid lie in the mask, as bits; uint8, one longer an axis."""
    padded = np.pad(mask, 1).view(np.uint8)
    codes = np.zeros(np.array(mask.shape) + 1, np.uint8)
    for bit, corner in enumerate(CORNERS[mask.ndim]):
        codes |= padded[tuple(slice(c, c + n + 1) for c, n in zip(corner, mask.shape, strict=True))] << np.uint8(bit)
    return codes


def element_areas(spacing: np.ndarray) -> np.ndarray:
    """The area (in a plane the length) of the surface in each group of voxels, (256,) in mm² or (16,) in mm."""
    pieces = _pieces(len(spacing))
    if len(spacing) == 2:
        return np.array([np.linalg.norm(piece * spacing, axis=-1).sum() for piece in pieces])
    scale = spacing.prod() / spacing  # a normal's part along an axis is an area across it
    return np.array([np.linalg.norm(piece * scale, axis=-1).sum() for piece in pieces])


@lru_cache(maxsize=2)
def _pieces(axes: int) -> tuple[np.ndarray, ...]:
    """For each code the segments' vectors, or the triangles' normals with their area as length, at spacing 1."""
    return tuple(_pieces_of(code, axes) for code in range(2**2**axes))


def _pieces_of(code: int, axes: int) -> np.ndarray:
    corners = CORNERS[axes]
    inside = {corner: bool(code >> bit & 1) for bit, corner in enumerate(corners)}
    fewer = 2 * sum(inside.values()) <= len(corners)
    segments = [pair for ring in _squares(axes) for pair in _segments(ring, inside, fewer)]
    if axes == 2:
        return np.array([end - start for start, end in segments]).reshape(-1, 2)
    normals = [normal for loop in _loops(segments) for normal in _triangles(loop)]
    return np.array(normals).reshape(-1, 3)


def _squares(axes: int) -> Iterator[list[tuple[int, ...]]]:
    """The square, or the six faces of the cube, as rings of corners."""
    ring = [(0, 0), (1, 0), (1, 1), (0, 1)]
    if axes == 2:
        yield ring
        return
    for axis, side in itertools.product(range(3), (0, 1)):
        yield [(*corner[:axis], side, *corner[axis:]) for corner in ring]


def _segments(ring: list, inside: dict, fewer: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Where the surface crosses a square: pairs of middles of its edges."""
    middles = [(np.array(a) + b) / 2 for a, b in zip(ring, ring[1:] + ring[:1], strict=True)]
    crossed = [n for n in range(4) if inside[ring[n]] != inside[ring[(n + 1) % 4]]]
    if len(crossed) == 2:
        yield middles[crossed[0]], middles[crossed[1]]
    elif len(crossed) == 4:
        for n, corner in enumerate(ring):
            if inside[corner] == fewer:
                yield middles[n - 1], middles[n]


def _loops(segments: list[tuple[np.ndarray, np.ndarray]]) -> Iterator[np.ndarray]:
    """Closed polygons, (n, 3), of segments that meet in pairs."""
    meets: dict[tuple, list[tuple]] = {}
    for start, end in segments:
        meets.setdefault(tuple(start), []).append(tuple(end))
        meets.setdefault(tuple(end), []).append(tuple(start))
    while meets:
        loop = [next(iter(meets))]
        while following := [point for point in meets.pop(loop[-1]) if point in meets]:
            loop.append(following[0])
        yield np.array(loop)


def _triangles(loop: np.ndarray) -> np.ndarray:
    """The normals, (n - 2, 3), of the division of a polygon into triangles with the largest area."""
    divisions = [
        np.array([np.cross(loop[b] - loop[a], loop[c] - loop[a]) / 2 for a, b, c in division])
        for division in _divisions(0, len(loop) - 1)
    ]
    return max(divisions, key=lambda normals: np.linalg.norm(normals, axis=-1).sum())


def _divisions(first: int, last: int) -> Iterator[list[tuple[int, int, int]]]:
    """All ways to divide the polygon of the points first to last into triangles."""
    if last - first < 2:
        yield []
        return
    for middle in range(first + 1, last):
        for left, right in itertools.product(_divisions(first, middle), _divisions(middle, last)):
            yield [*left, (first, middle, last), *right]
