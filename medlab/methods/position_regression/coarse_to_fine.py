"""Position regression from coarse to fine: a wide look says roughly where, a narrow one how exactly (thesis, 6.5).

The paper's own outlook for its drawback, the limited spatial resolution. A large patch tells places apart but averages
small lesions away; a small patch is sensitive but cannot tell one stretch of bone from another. Here the first network
sees the volume at half the resolution, and the second a small patch at full resolution and the first one's answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from medlab.arguments import number
from medlab.data import Volume
from medlab.data.chance import generator_for
from medlab.data.samples import Samples
from medlab.methods.position_regression.config import Config
from medlab.methods.position_regression.frame import Frame
from medlab.methods.position_regression.locating import Locating, mean_distance
from medlab.methods.position_regression.patches import HeadPatches, counted_places, lattice_of
from medlab.nn.patch_regressor import CELL, PatchRegressor
from medlab.profiles import Profile


@dataclass(frozen=True)
class CoarseToFineConfig:
    """Two looks at a head. fine: at the volume's resolution; its training settings count for both. coarse_patch: edge
    of the wide look's patch, in voxels of twice the size. doubt: standard deviation of what is added to the first
    answer in training, in the frame's coordinates, so that the second network does not trust it blindly.

    Raises ValueError for a doubt below 0 and for a volume of odd size.
    """

    fine: Config
    coarse_patch: int = 31
    doubt: float = 0.1

    def __post_init__(self) -> None:
        number(self.doubt, "doubt", 0, 1)
        if self.fine.volume % 2:
            raise ValueError(f"fine.volume is {self.fine.volume}, expected an even number of voxels")
        if self.fine.frame != "cartesian" or self.fine.sampling != "lattice":
            found = f"the frame {self.fine.frame} and the sampling {self.fine.sampling}"
            raise ValueError(f"fine has {found}, expected cartesian and lattice")
        # The coarse network's own checks.
        replace(self.fine, patch=self.coarse_patch)

    @property
    def volume(self) -> int:
        """Voxels along each edge of a head."""
        return self.fine.volume

    @property
    def spacing_mm(self) -> float:
        """Size of a voxel of the fine look."""
        return self.fine.spacing_mm

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        return self.fine.steps

    @classmethod
    def for_profile(cls, profile: Profile, size: int = 16) -> Self:
        """The profile's position regression as the second look, with patches of 15; there is no paper.

        The first look is no wider than it must be, and it is doubted by a tenth of the volume: with 31 coarse voxels
        and a doubt of 0.02 places were found to 6 mm, and bleeds no longer changed them.
        """
        return cls(replace(Config.for_profile(profile, size), patch=19 if profile.name == "ci" else 15), 19)

    def as_dict(self) -> dict[str, object]:
        """The config as JSON keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, object]) -> Self:
        """The config that `as_dict` gave."""
        return cls(**{**found, "fine": Config.from_dict(found["fine"])})


class CoarseToFine(Locating):
    """Two patch regressors in a row, trained together on batches of `TwoLooks`; for its maps see `Locating`.

    The error is that of the second answer. Volumes have an even number of voxels along each axis. Built by the same
    seed it starts with the same weights.
    """

    def __init__(self, config: CoarseToFineConfig, seed: int = 0):
        super().__init__(config.fine)
        self.config, self.seed = config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.coarse = PatchRegressor(config.fine.size, config.coarse_patch)
            self.fine = PatchRegressor(config.fine.size, config.fine.patch, context=3)

    def losses(self, batch: dict[str, Tensor], doubt: Tensor | float = 0.0) -> dict[str, Tensor]:
        """ "coarse" and "fine", each the mean distance as in `PositionRegression.losses`, and "loss", their sum.

        batch: of `TwoLooks`. doubt: (B, 3, 1, 1, 1), added to the first answer before the second network sees it.
        """
        rough = self.coarse.lattice(batch["coarse_image"]).float()
        coarse = mean_distance(rough, batch["coarse_place"], batch["coarse_counts"])
        # The second look does not teach the first: each is judged by its own answer.
        off = at_places((rough - batch["coarse_place"]).detach(), batch["at"])
        found = self.fine.lattice(batch["image"], batch["place"] + off + doubt)
        fine = mean_distance(found.float(), batch["place"], batch["counts"])
        return {"loss": coarse + fine, "coarse": coarse, "fine": fine}

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        # Drawn from the step's number and the seed alone, so that a resumed training sees the same doubts.
        chance = generator_for(self.seed, f"doubt {self.global_step}")
        doubt = self.config.doubt * torch.randn(len(batch["image"]), 3, 1, 1, 1, generator=chance)
        found = self.losses(batch, doubt.to(batch["image"]))
        for name, value in found.items():
            self.log(f"train/{name}", value.detach(), batch_size=len(batch["image"]))
        return found["loss"]

    @torch.no_grad()
    def places(self, volume: Volume, stride: int = 1) -> Tensor:
        frame = Frame.cartesian(volume.shape[1:])
        training, memory = self.training, self.config.fine.memory_mb
        self.eval()
        try:
            rough = self.coarse.dense(halved(volume.data[None]), stride=DENSE, memory_mb=memory)
            off = rough - frame.halved().coordinates(rough.shape[2:], step=DENSE)[None].to(rough)
            sizes = [-(-size // stride) for size in volume.shape[1:]]
            at = [lattice_index(torch.arange(size) * stride, 0, DENSE) for size in sizes]
            given = frame.coordinates(sizes, step=stride)[None].to(off) + at_places(off, at)
            return self.fine.dense(volume.data[None], stride=stride, context=given, memory_mb=memory)[0]
        finally:
            self.train(training)

    @classmethod
    def from_weights(cls, tensors: dict[str, Tensor], card: dict) -> Self:
        """The trained method that a file of weights and its card describe. Raises ValueError where they do not fit."""
        method = cls(CoarseToFineConfig.from_dict(card["config"]))
        method.load_state_dict(tensors)
        return method.eval()


class TwoLooks(HeadPatches):
    """The lattices of both looks at one head: those of `HeadPatches` for the fine one, and with "coarse_" before their
    names those of the halved volume; "at": for each axis, where the fine places lie between the coarse ones."""

    def __init__(self, samples: Samples, config: CoarseToFineConfig, seed: int = 0):
        super().__init__(samples, config.fine, seed)
        self.coarse_patch = config.coarse_patch

    def draw(self, index: int) -> dict[str, Tensor]:
        fine = super().draw(index)
        which, chance = self._chosen(index, "coarse places")
        frame = self._frames[which].halved()
        small = halved(self._images[which].float()[None])[0]
        counted = counted_places(small[0] > 0, self.coarse_patch, self.config.counts)
        coarse = lattice_of(small, counted, frame, self.coarse_patch, chance)
        at = []
        for axis in range(3):
            # Both lattices run along the axes of a Cartesian frame, so that one line of places says it all.
            line = [
                part["place"][axis].movedim(axis, 0).flatten(1)[:, 0] / self._frames[which].matrix[axis, axis]
                for part in (fine, coarse)
            ]
            at.append((line[0] - line[1][0]) / (2 * CELL))
        return {**fine, **{f"coarse_{name}": value for name, value in coarse.items()}, "at": at}


DENSE = 2  # stride of the first look's dense evaluation, in its own voxels; its answer is smooth


def halved(volume: Tensor) -> Tensor:
    """A volume (B, 1, X, Y, Z) at half the resolution: the means of 2 x 2 x 2 voxels."""
    return F.avg_pool3d(volume, 2)


def lattice_index(voxels: Tensor, start: float, step: int) -> Tensor:
    """Where fine voxels lie on a lattice of halved ones that begins at `start` and has one every `step`."""
    return ((voxels - 0.5) / 2 - start) / step


def at_places(field: Tensor, at: Sequence[Tensor]) -> Tensor:
    """A field (B, C, n, n', n'') between its places, linearly, beyond them its last value.

    at: three lines of places in the field's own indices, (N,), or (B, N) of which each volume has its own.
    """
    for axis, line in enumerate(at):
        line = line.to(field).expand(len(field), -1) if line.ndim == 1 else line.to(field)
        size = field.shape[2 + axis]
        place = line.clamp(0, size - 1)
        low = place.floor().clamp(max=max(size - 2, 0)).long()
        share = (place - low).reshape(len(field), 1, *(-1 if a == axis else 1 for a in range(3)))
        parts = []
        for index in (low, (low + 1).clamp(max=size - 1)):
            index = index.reshape(share.shape).expand(
                -1, field.shape[1], *(field.shape[2 + a] if a != axis else -1 for a in range(3))
            )
            parts.append(field.gather(2 + axis, index))
        field = torch.lerp(*parts, share)
    return field
