"""What lies around the brain of the head model: meninges, skull, scalp, vessels, and a face that is only sketched.

None of it is in the template. Layers have anatomical thicknesses that vary smoothly over the head; the face is there so
that a picture of a whole head has one, and no measurement should rest on it.
"""

from itertools import pairwise

import numpy as np
from scipy import ndimage

from medlab.cohorts.anatomy.brain import BrainMaps

# From the inside of the skull outwards, in mm: mean thickness.
DURA_MM, INNER_TABLE_MM, DIPLOE_MM, OUTER_TABLE_MM, FAT_MM, SKIN_MM = 1.0, 1.6, 3.2, 1.8, 4.0, 2.0
SKULL_VARIATION = 0.3  # by this share the skull is thicker behind and in front, and thinner at the temples
# Vessels as balls swept along lines: radius in mm, then points (x, y, z) in template coordinates.
VESSELS = (
    (1.8, ((0, -26, -50), (0, -22, -34), (0, -18, -18))),  # basilar artery
    (1.6, ((7, 4, -40), (9, 4, -24), (14, 4, -16), (28, 3, -17), (38, 2, -14))),  # carotid and middle cerebral, right
    (1.6, ((-7, 4, -40), (-9, 4, -24), (-14, 4, -16), (-28, 3, -17), (-38, 2, -14))),
    (2.2, ((0, -44, 8), (0, -62, 2), (0, -80, -6))),  # straight sinus
)
EYES_MM = (((32, 58, -34), 12.0), ((-32, 58, -34), 12.0))
FACE = ((0, 26, -66), (58, 64, 62))
NECK = ((0, -22, -110), (60, 62, 80))
AIRWAYS = (((0, 60, -62), (11, 26, 18)), ((27, 50, -64), (12, 15, 14)), ((-27, 50, -64), (12, 15, 14)))
FRONTAL_SINUS = ((5, 80, -14), (15, 5, 9))  # off the middle, as it usually is


def shell_maps(brain: BrainMaps) -> dict[str, np.ndarray]:
    """Shares of the tissues outside the brain (X, Y, Z) float32; with the brain's they add up to at most 1.

    What is left to 1 is air. Blood and dura take their room from the fluid, whose maps in brain are changed.
    """
    away, axes = brain.away, brain.coordinates
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    outside = np.clip(0.5 + away, 0, 1)
    thick = 1 + SKULL_VARIATION * (np.cos(2 * np.arctan2(np.abs(x), np.abs(y + 10))) - 0.1)
    edges = np.cumsum([0.0, DURA_MM, INNER_TABLE_MM, DIPLOE_MM, OUTER_TABLE_MM, FAT_MM, SKIN_MM]).tolist()
    scaled = [edges[0], edges[1], *(edges[1] + thick * (edge - edges[1]) for edge in edges[2:5])]
    scaled += [scaled[-1] + FAT_MM, scaled[-1] + FAT_MM + SKIN_MM]
    names = ("dura mater", "inner table", "diploe", "outer table", "fat", "skin")
    within = [np.clip(edge - away + 0.5, 0, 1) for edge in scaled]
    shell = {name: within[n + 1] - within[n] for n, name in enumerate(names)}

    flesh = np.maximum(_ellipsoid(x, y, z, *FACE), _ellipsoid(x, y, z, *NECK))
    deep = ndimage.distance_transform_edt(flesh > 0.5)  # below the surface of face and neck
    below_skin, below_fat = (np.clip(deep - mm, 0, 1).astype(np.float32) for mm in (2, 6))
    covered = within[4]  # brain, meninges and skull are not overlaid
    shell["fat"], shell["skin"] = shell["fat"] * (1 - flesh), shell["skin"] * (1 - flesh)
    free = np.clip(flesh * (1 - covered), 0, 1)
    skin, fat = (flesh - below_skin) * free, (below_skin - below_fat) * free
    muscle = np.clip(free - skin - fat, 0, 1)
    shell["skin"] += skin
    shell["fat"] += fat
    shell["muscle"] = muscle
    shell["vitreous body"] = np.zeros_like(muscle)
    for centre, radius in EYES_MM:
        _carve(shell, _ellipsoid(x, y, z, centre, (radius + 4,) * 3), into="fat")
        _carve(shell, _ellipsoid(x, y, z, centre, (radius,) * 3), into="vitreous body")
    for centre, half in (*AIRWAYS, FRONTAL_SINUS):
        hole = _ellipsoid(x, y, z, centre, half)
        _carve(shell, _ellipsoid(x, y, z, centre, tuple(h + 1.5 for h in half)), into="outer table")
        _carve(shell, hole, into=None)
    _add_vessels(brain, shell, (x, y, z), outside)
    return {name: np.ascontiguousarray(share, dtype=np.float32) for name, share in shell.items()}


def _add_vessels(brain: BrainMaps, shell: dict[str, np.ndarray], axes: tuple[np.ndarray, ...], outside: np.ndarray):
    """Sinuses of the dura, large arteries and the falx: they take the room of fluid, dura and inner table."""
    x, y, z = axes
    away, fluid = brain.away, brain.shares["outer csf"]
    # The superior sagittal sinus runs in the middle below the vault, wider towards the back.
    wide = np.clip(3.0 + 0.02 * (40 - y), 2.5, 5.0)
    sagittal = np.clip(wide - np.sqrt(x**2 + (away + 0.5) ** 2) + 0.5, 0, 1) * ((z > 20) | ((y < -60) & (z > -14)))
    # The transverse sinuses follow the occiput below; the right one is usually the larger.
    side = np.where(x > 0, 4.5, 3.2)
    across = np.clip(side - np.sqrt((z + 18) ** 2 + (away + 0.5) ** 2) + 0.5, 0, 1) * ((y < -48) & (np.abs(x) < 62))
    blood = np.maximum(sagittal, across)
    for radius, points in VESSELS:
        blood = np.maximum(blood, _tube(axes, points, radius))
    falx = np.clip(1.0 - np.abs(x), 0, 1) * (away > -45) * ((z > 12) | (y > 30)) * (away < 0.5)
    room = fluid + shell["dura mater"] + shell["inner table"]
    blood = np.minimum(blood, room)
    keep = np.divide(room - blood, room, out=np.ones_like(room), where=room > 1e-6)
    brain.shares["outer csf"] = (fluid * keep).astype(np.float32)
    shell["dura mater"], shell["inner table"] = shell["dura mater"] * keep, shell["inner table"] * keep
    sheet = falx * brain.shares["outer csf"]
    brain.shares["outer csf"] = brain.shares["outer csf"] - sheet
    shell["dura mater"] = shell["dura mater"] + sheet
    shell["blood"] = blood


def _carve(shell: dict[str, np.ndarray], shape: np.ndarray, into: str | None) -> None:
    """Replaces flesh and skin within a shape by another tissue, or by air."""
    taken = 0.0
    for name in ("muscle", "fat", "skin", "vitreous body", "outer table", "diploe"):
        if name != into:
            taken = taken + shell[name] * shape
            shell[name] = shell[name] * (1 - shape)
    if into is not None:
        shell[into] = shell[into] + taken


def _ellipsoid(x, y, z, centre, half) -> np.ndarray:
    radius = np.sqrt(sum(((a - c) / h) ** 2 for a, c, h in zip((x, y, z), centre, half, strict=True)))
    return np.clip((1 - radius) * min(half) + 0.5, 0, 1).astype(np.float32)


def _tube(axes: tuple[np.ndarray, ...], points: tuple[tuple[float, ...], ...], radius: float) -> np.ndarray:
    """Balls along a line of points, with an edge of one voxel."""
    tube = np.zeros([axis.size for axis in axes], np.float32)
    box, near = [], []
    for a, axis in enumerate(axes):
        low, high = min(p[a] for p in points) - radius - 1, max(p[a] for p in points) + radius + 1
        inside = (axis.ravel() >= low) & (axis.ravel() <= high)
        box.append(slice(*(np.flatnonzero(inside)[[0, -1]] + [0, 1])))
        near.append(np.compress(inside, axis, axis=a))
    nearest = np.inf
    for start, stop in pairwise(points):
        for share in np.linspace(0, 1, 13):
            at = [a + share * (b - a) for a, b in zip(start, stop, strict=True)]
            nearest = np.minimum(nearest, sum((axis - c) ** 2 for axis, c in zip(near, at, strict=True)))
    tube[tuple(box)] = np.clip(radius - np.sqrt(nearest) + 0.5, 0, 1)
    return tube
