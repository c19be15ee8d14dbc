"""The head model: the share of each healthy tissue in each voxel of one head, at 1 mm and coarser."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import whole
from medlab.cohorts.anatomy.brain import brain_maps
from medlab.cohorts.anatomy.shell import shell_maps
from medlab.cohorts.store import cache_folder, code_digest, load_or_make
from medlab.cohorts.tissues import HEALTHY
from medlab.data import load_icbm152

COARSEST_MM = 8
# Between these tissues lie the borders that differ from person to person and wander with age, and by how much each
# gains, as a logarithm, where furrows are widest: cortex draws back before fluid, and takes the room of white matter.
FURROWED = {"white matter": -1.5, "grey matter": 0.0, "outer csf": 6.0}


@dataclass(frozen=True, eq=False)
class HeadModel:
    """One head in template coordinates (RAS+, mm).

    shares: (15, X, Y, Z) uint8, in 255ths, of `HEALTHY`; they add up to exactly 255 in every voxel.
    wide: (3, X, Y, Z) uint8, what the shares of `FURROWED` become where furrows are widest; their sum is the same.
    away_mm: (X, Y, Z) float32, distance to the inside of the skull, negative within.
    affine: (4, 4), from voxel indices to mm.
    """

    shares: Tensor
    wide: Tensor
    away_mm: Tensor
    affine: np.ndarray

    @property
    def spacing_mm(self) -> float:
        """Edge of a voxel in mm."""
        return float(self.affine[0, 0])

    def share(self, *names: str) -> Tensor:
        """The share of one tissue, or of several together, (X, Y, Z) float32, 0 to 1."""
        return sum(self.shares[HEALTHY.index(name)].float() for name in names) / 255

    def with_furrows(self, part: float) -> Tensor:
        """`shares` with furrows that are part (0 to 1) of the way to the widest, (15, X, Y, Z) uint8.

        Linear in part, so that coarse voxels stay the means of fine ones.
        """
        if part == 0:
            return self.shares
        shares = self.shares.clone()
        white, grey, fluid = (HEALTHY.index(name) for name in FURROWED)
        total = shares[white] + shares[grey] + shares[fluid]
        for index, widest in ((white, self.wide[0]), (fluid, self.wide[2])):
            shares[index] = torch.lerp(self.shares[index].float(), widest.float(), part).round_().to(torch.uint8)
        shares[fluid] = torch.minimum(shares[fluid], total - shares[white])  # both may have been rounded up
        shares[grey] = total - shares[white] - shares[fluid]
        return shares


@lru_cache(maxsize=COARSEST_MM)
def head_model(spacing_mm: int = 1) -> HeadModel:
    """The head at 1 mm or a whole multiple up to 8 mm; coarser voxels hold the mean of the fine ones they cover.

    Made of the ICBM 152 template (`medlab.data.load_icbm152`): white and grey matter are the template's, sharpened and
    no longer symmetric; everything else is derived or synthetic (`anatomy.brain`, `anatomy.shell`). It takes about
    half a minute once, and comes from the cache after that. Do not change what is returned: it is shared.
    """
    factor = whole(spacing_mm, "spacing_mm", 1, COARSEST_MM)
    version = code_digest("medlab.cohorts.anatomy", "medlab.cohorts.tissues")
    found = load_or_make(cache_folder() / "anatomy", f"head-{version}-{factor}mm", lambda: _make(factor))
    affine = found["affine"]
    affine.flags.writeable = False
    shares, wide, away = (torch.from_numpy(found[name]) for name in ("shares", "wide", "away_mm"))
    return HeadModel(shares, wide, away.float(), affine)


def _make(factor: int) -> dict[str, np.ndarray]:
    if factor > 1:
        fine = head_model(1)
        shares = _summing_to_255(np.stack([_quantised_mean(share, factor) for share in fine.shares]))
        wide = np.stack([_quantised_mean(share, factor) for share in fine.wide])
        affine = fine.affine.copy()
        affine[:3, 3] += fine.affine[:3, :3] @ np.full(3, (factor - 1) / 2)
        affine[:3, :3] *= factor
        away = _block_mean(fine.away_mm.numpy(), factor)
        return {
            "shares": shares,
            "wide": _summing_to(_furrowed(shares), wide),
            "away_mm": away.astype(np.float16),
            "affine": affine,
        }
    template = load_icbm152()
    brain = brain_maps(template)
    shell = shell_maps(brain)
    maps = brain.shares | shell
    shares = np.stack([255 * maps[name] if name in maps else np.zeros_like(brain.away) for name in HEALTHY])
    shares[0] = 255 - shares[1:].sum(0)  # air
    shares = _summing_to_255(shares)
    return {
        "shares": shares,
        "wide": _widest(_furrowed(shares)),
        "away_mm": brain.away.astype(np.float16),
        "affine": np.array(template.mask.affine),
    }


def _furrowed(shares: np.ndarray) -> np.ndarray:
    return shares[[HEALTHY.index(name) for name in FURROWED]]


def _widest(shares: np.ndarray) -> np.ndarray:
    """The shares (3, X, Y, Z) of `FURROWED` where furrows are widest."""
    total = shares.sum(0, dtype=np.float32)
    weighted = shares * np.exp(np.array(list(FURROWED.values()), dtype=np.float32))[:, None, None, None]
    return _summing_to(shares, weighted * (total / np.maximum(weighted.sum(0), 1e-6)))


def _summing_to_255(shares: np.ndarray) -> np.ndarray:
    return _rounded(shares, 255)


def _summing_to(reference: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return _rounded(shares, reference.sum(0, dtype=np.int16))


def _rounded(shares: np.ndarray, total: np.ndarray | int) -> np.ndarray:
    """Rounded, with what rounding left over given to the largest share: the sum is exact."""
    rounded = np.rint(np.clip(shares, 0, 255)).astype(np.int16)
    missing = total - rounded.sum(0, dtype=np.int16)
    largest = rounded.argmax(0)[None]
    np.put_along_axis(rounded, largest, np.take_along_axis(rounded, largest, 0) + missing[None], 0)
    return rounded.astype(np.uint8)


def _quantised_mean(share: Tensor, factor: int) -> np.ndarray:
    return _block_mean(share.numpy().astype(np.float32), factor)


def _block_mean(values: np.ndarray, factor: int) -> np.ndarray:
    """Means over blocks of factor³ voxels; at the far end the outermost voxels are repeated to a whole block."""
    padded = np.pad(values, [(0, -n % factor) for n in values.shape], mode="edge")
    blocks = padded.reshape([k for n in padded.shape for k in (n // factor, factor)])
    return blocks.mean((1, 3, 5))
