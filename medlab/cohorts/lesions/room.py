"""Room for a mass: brain gives way to it, fluid leaves the skull, and the skull holds still.

What grows within a rigid skull takes the room of fluid and of venous blood (the doctrine of Monro and Kellie). The
velocity that displaces is that of a potential flow: its divergence is given, positive in the mass, negative where
something gives way, and nothing passes the skull. Ventricles narrow and the midline moves because they have to. On a
grid of 4 mm the furrows' fluid cannot be told from the brain beside it, so brain is pressed too: by up to 4 % of its
volume under the largest haematomas, where a real one's would hardly be.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np
import torch
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg
from torch import Tensor

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.deformation import CONTROL_MM, flow
from medlab.cohorts.grid import sample
from medlab.cohorts.lesions.lesion import Lesion, replace_by
from medlab.cohorts.lesions.region import Bounds, Shares, covered, smooth_step
from medlab.cohorts.lesions.vault import sign_of
from medlab.cohorts.tissues import BRAIN

SEPTUM_MM = (0.0, 4.0, 12.0)  # between the frontal horns: where radiologists measure the shift of the midline
# What gives way how much more than other things (round numbers): the ventricle beside the mass is pressed first.
GIVES_WAY = {
    "same ventricle": 1.0,
    "other ventricle": 0.5,
    "same surface": 0.1,
    "other surface": 1.0,
    "same brain": 0.0,
    "other brain": 0.05,  # by the venous blood that is pressed out of it
}
BELOW_TENT, TENT_MM = 0.1, (-40.0, -20.0)  # below the tentorium little gives way: it holds the pressure back
SWELLING_MM = 20.0  # how far around a mass brain swells
RIM_MM = 1.5  # this much below the skull nothing moves, so that bone is at rest in spite of the coarse grid
STEEPEST = 1.2  # no fluid shrinks faster than to exp(-1.2) of its room
VOXEL_ML = CONTROL_MM**3 / 1000
SUBSAMPLES = 2  # a mass is looked at in so many places along each edge of a voxel of 4 mm


class Mass(Lesion):
    """A lesion that takes room. It is described where it ends up: by its shape within the skull after displacement.

    Its place before, in the template, is what the displacement carries there. So there is no gap, and its size is the
    one that was asked for. log_expansion: by how much the tissue at its place expands, as a logarithm; the rest of its
    room is painted over brain, which is given back as a swelling around. wall_mm: the `away_mm` at which it is bounded.
    """

    side: str
    log_expansion: float
    wall_mm = 0.0

    @abstractmethod
    def inside_mm(self, pushed: Tensor) -> Tensor:
        """The signed distance to the mass's border, positive inside, at points (..., 3) after displacement; (...)."""

    @abstractmethod
    def bounds(self) -> Bounds:
        """The corners of a box that holds it, after displacement."""

    def velocity_mm(self) -> Tensor:
        """See `Lesion`; the potential flow described in this file."""
        return _motion(self)[0]

    def pushed(self, points: Tensor) -> Tensor:
        """Where the mass alone puts points (..., 3) of the template, in mm."""
        return points + sample(_motion(self)[1], head_model(CONTROL_MM).affine, points).movedim(0, -1)

    @cached_property
    def midline_shift_mm(self) -> float:
        """How far the septum between the frontal horns is pushed to the other side, in mm."""
        moved = self.pushed(torch.tensor(SEPTUM_MM)) - torch.tensor(SEPTUM_MM)
        return -sign_of(self.side) * float(moved[0])

    @cached_property
    def mass_ml(self) -> float:
        """The volume of the mass within the skull, in a head of the template's size."""
        inside = covered(self.wall_mm - head_model(CONTROL_MM).away_mm, CONTROL_MM)
        return float((_within(self) * inside).double().sum()) * VOXEL_ML


def efface(shares: Shares, inside_mm: Tensor, amount: float, reach_mm: float) -> None:
    """Furrows near a mass close: grey matter takes the room of outer fluid, less with distance.

    It stands for the cortex at whose place the mass is painted, which the displacement does not carry along.
    """
    replace_by(shares, "grey matter", amount * torch.exp(inside_mm.clamp(max=0) / reach_mm), ("outer csf",))


def velocity_for(within: Tensor, log_expansion: float, side: str) -> Tensor:
    """The velocity (3, X, Y, Z) on the control grid that makes room for a mass of share within (X, Y, Z).

    log_expansion: see `Mass`. side: of the mass; `GIVES_WAY` says which fluid gives way most. Nothing passes the skull.
    """
    rate = log_expansion * within + _swelling(within, log_expansion)
    system, inside = _laplacian()
    source = rate.numpy().astype(np.float64) * _open_share().numpy()
    source = source - _sink(source, within.numpy(), side)
    right = source[inside]
    right -= right.mean()
    potential = np.zeros(source.shape)
    solution, failed = cg(system, -right * CONTROL_MM**2, rtol=1e-5, maxiter=2000, M=_inverse_diagonal())
    if failed:
        raise RuntimeError(f"the displacement did not converge after {failed} steps")
    potential[inside] = solution
    velocity = np.zeros((3, *source.shape))
    for axis, opening in enumerate(_openings()):
        flux = opening * np.diff(potential, axis=axis) / CONTROL_MM
        low, high = ([(0, 0)] * 3 for _ in range(2))
        low[axis], high[axis] = (1, 0), (0, 1)
        velocity[axis] = (np.pad(flux, low) + np.pad(flux, high)) / 2
    return torch.from_numpy(velocity.astype(np.float32))


# Both are kept for the last few masses only, 4 MB each: many lesions may be held in memory, as numbers.
@lru_cache(maxsize=8)
def _within(mass: Mass) -> Tensor:
    """The share of a mass in each voxel of the control grid, after displacement."""
    return share_on_control_grid(mass.inside_mm, mass.bounds())


@lru_cache(maxsize=8)
def _motion(mass: Mass) -> tuple[Tensor, Tensor]:
    """The velocity of a mass and its displacement, on the control grid."""
    velocity = velocity_for(_within(mass), mass.log_expansion, mass.side)
    return velocity, flow(velocity)


def share_on_control_grid(inside_mm: Callable[[Tensor], Tensor], bounds: Bounds) -> Tensor:
    """The share of each voxel of the control grid that lies within a border, (X, Y, Z); looked for within bounds.

    inside_mm: the signed distance to the border, positive inside, of points (..., 3), as (...).
    """
    model = head_model(CONTROL_MM)
    offsets = (torch.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5
    axes, box, blocks = [], [], []
    for a, n in enumerate(model.shares.shape[1:]):
        start = float(model.affine[a, 3])
        first = min(max(math.floor((bounds[0][a] - start) / CONTROL_MM), 0), n - 1)
        last = min(max(math.ceil((bounds[1][a] - start) / CONTROL_MM), first), n - 1)
        axes.append((torch.arange(first, last + 1)[:, None] + offsets).reshape(-1) * CONTROL_MM + start)
        box.append(slice(first, last + 1))
        blocks += [last + 1 - first, SUBSAMPLES]
    found = covered(inside_mm(torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)), CONTROL_MM / SUBSAMPLES)
    share = torch.zeros(model.shares.shape[1:])
    share[tuple(box)] = found.reshape(blocks).mean((1, 3, 5))
    return share


def _swelling(within: Tensor, log_expansion: float) -> Tensor:
    """The rate at which brain around a mass swells, to make up for the brain at whose place the mass is painted."""
    brain = head_model(CONTROL_MM).share(*BRAIN)
    lost = float((within * brain).double().sum()) * math.exp(-log_expansion)
    near = torch.from_numpy(ndimage.gaussian_filter(within.numpy(), SWELLING_MM / CONTROL_MM))
    weight = near * brain * (1 - within) ** 4 * _open_share()
    return weight * (lost / max(float(weight.double().sum()), 1e-9))


def _sink(source: np.ndarray, within: np.ndarray, side: str) -> np.ndarray:
    """What fluid gives up, at most `STEEPEST` of itself, so that nothing is left over."""
    model = head_model(CONTROL_MM)
    x = torch.arange(model.shares.shape[1]) * CONTROL_MM + float(model.affine[0, 3])
    same = (0.5 + sign_of(side) * x[:, None, None] / 20).clamp(0, 1)
    weight = 0
    for where, tissues in (("ventricle", ("ventricular csf",)), ("surface", ("outer csf",)), ("brain", BRAIN)):
        willing = same * GIVES_WAY[f"same {where}"] + (1 - same) * GIVES_WAY[f"other {where}"]
        weight = weight + willing * model.share(*tissues)
    z = torch.arange(model.shares.shape[3]) * CONTROL_MM + float(model.affine[2, 3])
    weight = weight * (BELOW_TENT + (1 - BELOW_TENT) * smooth_step(z, *TENT_MM))
    weight = weight.numpy().astype(np.float64) * _open_share().numpy() * (within == 0)
    need, sink = source.sum(), np.zeros_like(source)
    for _ in range(20):  # what is capped in one place is asked of the others
        missing = need - sink.sum()
        if missing <= 1e-6 * max(need, 1e-9):
            break
        free = weight * (sink < STEEPEST * weight)
        sink = np.minimum(sink + missing * free / max(free.sum(), 1e-9), STEEPEST * weight)
    return sink


@lru_cache(maxsize=1)
def _open_share() -> Tensor:
    """The share of each voxel of the control grid that lies within the skull, (X, Y, Z)."""
    return covered(-head_model(CONTROL_MM).away_mm - RIM_MM, CONTROL_MM)


@lru_cache(maxsize=1)
def _openings() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How open the faces between voxels are along x, y and z: the lesser of the two shares."""
    share = _open_share().numpy().astype(np.float64)
    return tuple(np.minimum(np.delete(share, 0, axis), np.delete(share, -1, axis)) for axis in range(3))


@lru_cache(maxsize=1)
def _laplacian() -> tuple[sparse.csr_matrix, np.ndarray]:
    """The negative Laplacian with these openings, positive semidefinite, and the voxels that it is about."""
    share = _open_share().numpy()
    rooms, _ = ndimage.label(share > 0.02)
    inside = rooms == np.bincount(rooms[rooms > 0]).argmax()  # pockets of a voxel have no answer
    number = np.full(share.shape, -1)
    number[inside] = np.arange(int(inside.sum()))
    rows, columns, values = [], [], []
    for axis, opening in enumerate(_openings()):
        a, b = np.delete(number, -1, axis), np.delete(number, 0, axis)
        both = (a >= 0) & (b >= 0)
        rows += [a[both], b[both]]
        columns += [b[both], a[both]]
        values += [-opening[both]] * 2
    size = int(inside.sum())
    matrix = sparse.coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (size, size))
    matrix = matrix.tocsr()
    return matrix + sparse.diags(-np.asarray(matrix.sum(1)).ravel()), inside


@lru_cache(maxsize=1)
def _inverse_diagonal() -> sparse.dia_matrix:
    return sparse.diags(1 / np.maximum(_laplacian()[0].diagonal(), 1e-6))
