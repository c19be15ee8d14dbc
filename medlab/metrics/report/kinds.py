"""What two images are: masks, label maps, probabilities against a mask, or images."""

from typing import NamedTuple

import torch
from torch import Tensor

KINDS = ("mask", "labels", "probability", "image")
LABELS_AT_MOST = 128  # different whole numbers: an atlas of the brain has no more as a rule, an image nearly always
BINS = 2**16


class Values(NamedTuple):
    """What an image holds: its span, whether it is all whole numbers, and which where they are few."""

    low: float
    high: float
    whole: bool
    distinct: tuple[int, ...] | None
    fraction: float | None  # the first value that is not whole

    @property
    def kind(self) -> str:
        """The narrowest kind that fits: mask, labels, probability or image."""
        if self.whole and self.low >= 0 and self.high <= 1:
            return "mask"
        if self.whole and self.low >= 0 and self.distinct and len(self.distinct) <= LABELS_AT_MOST:
            return "labels"
        return "probability" if self.low >= 0 and self.high <= 1 else "image"


def values_of(image: Tensor) -> Values:
    """What a tensor holds. Takes two passes where it holds fractions, three otherwise."""
    if image.dtype == torch.bool:
        image = image.view(torch.uint8)
    low, high = (float(one) for one in torch.aminmax(image))
    if image.is_floating_point():
        wrong = image != image.round()
        if bool(wrong.any()):
            return Values(low, high, False, None, float(image[wrong][0]))
    if high - low < BINS:
        # By way of a small type: an index of 64 bits for each voxel would take eight times the image.
        offset = (image - low).flatten() if image.is_floating_point() else image.flatten().int() - int(low)
        counts = sum(torch.bincount(part.long(), minlength=int(high - low) + 1) for part in offset.split(2**20))
        distinct = torch.nonzero(counts).flatten() + int(low)
    else:
        distinct = image.unique()
    return Values(low, high, True, tuple(int(one) for one in distinct.tolist()), None)


def kind_of(ours: Values, truth: Values, names: tuple[str, str]) -> str:
    """What a pair is; raises ValueError where the two cannot be the same thing."""
    kinds = ours.kind, truth.kind
    if kinds == ("mask", "mask"):
        return "mask"
    if set(kinds) <= {"mask", "labels"}:
        found = [set(one.distinct) - {0} for one in (ours, truth)]
        if all(found) and not found[0] & found[1]:
            raise ValueError(
                f"{names[0]} holds {_listed(found[0])} and {names[1]} {_listed(found[1])} beside 0, expected masks of "
                "0 and 1, or label maps with a label in common (or say which labels)"
            )
        return "labels"
    if kinds == ("probability", "mask"):
        return "probability"
    if "mask" in kinds or "labels" in kinds:
        n = 0 if kinds[0] in ("mask", "labels") else 1
        other = (ours, truth)[1 - n]
        span = f"{other.low + 0:g} to {other.high + 0:g}"  # a zero without its sign
        raise ValueError(
            f"{names[n]} is a {'mask' if kinds[n] == 'mask' else 'label map'} and {names[1 - n]} holds {span}, "
            "expected two masks, two label maps, probabilities from 0 to 1 against a mask, or two images (or say which)"
        )
    return "image"


def _listed(values: set[int]) -> str:
    shown = sorted(values)
    return ", ".join(str(one) for one in shown[:6]) + (", ..." if len(shown) > 6 else "")
