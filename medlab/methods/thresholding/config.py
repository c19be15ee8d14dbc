"""Everything that decides a thresholding, in one frozen config."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Self

from medlab.arguments import number
from medlab.profiles import Profile


@dataclass(frozen=True)
class Config:
    """How bright is too bright, and how small is too small. Lengths in mm, so that it fits any grid.

    margin_hu: how far above the typical brain a voxel must lie. ceiling_hu: brighter than blood ever is, so bone or
    metal, and not counted. rim_mm: next to the bone nothing counts, for there a voxel is half bone. least_ml: connected
    components below it are removed. smooth_mm: width of the median filter against noise, 0 for none. gap_mm: width of
    the gaps that are looked for in bone, 0 for none.
    Raises ValueError, naming the field, for negative numbers.
    """

    margin_hu: float = 15.0
    ceiling_hu: float = 90.0
    rim_mm: float = 4.0
    least_ml: float = 0.1
    smooth_mm: float = 3.0
    gap_mm: float = 4.0

    def __post_init__(self) -> None:
        for field in fields(self):
            number(getattr(self, field.name), field.name, 0)

    @classmethod
    def paper(cls) -> Self:
        """Of Meissen et al. 2021 only the recipe can be taken over: it is for FLAIR, whose brightness has no unit, with
        a threshold at the 98th percentile of equalised histograms. In CT water is 0 HU for everybody. The numbers are
        ours, chosen on heads of the validation part."""
        return cls()

    @classmethod
    def for_profile(cls, profile: Profile) -> Self:
        """The same at every profile, but that voxels of 8 mm would leave nothing within the rim: none at `ci`."""
        return cls(rim_mm=0.0, smooth_mm=0.0) if profile.name == "ci" else cls()

    def as_dict(self) -> dict[str, object]:
        """The config as JSON keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, object]) -> Self:
        """The config that `as_dict` gave. Raises ValueError where a field is unknown."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(found) - known):
            raise ValueError(f"config has the field {unknown[0]!r}, expected one of {', '.join(sorted(known))}")
        return cls(**found)
