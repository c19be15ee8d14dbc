"""Patches out of a volume, by laws that always end; `sliding_window` puts a volume together again."""

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.data.chance import generator_for
from medlab.data.samples import Sample
from medlab.data.sliding import sliding_window

__all__ = ["PatchSampler", "centre_law", "normalised_coordinates", "sliding_window"]
LAWS = ("uniform", "foreground", "centre")


class PatchSampler:
    """Draws patches of one sample: preparation once, then any number of patches at little cost.

    size: voxels along X, Y and Z, or one number for all three. law: how the first corner is drawn.

    - "uniform": evenly among all patches that are not empty, that is of which at least the share `least` of the voxels,
      and at least one voxel, is content.
    - "foreground": the same patches, each in proportion to how many of its voxels are labelled; no other is drawn.
      labels: which values of the label count, all but 0 where None.
    - "centre": `centre_law` along each axis, whatever the patch holds; so PatchDDM chooses its patches (Bieder et al.,
      MIDL 2023, figure 6).

    content: (X, Y, Z) bool, where there is something to learn from; where None it is the sample's mask, without a mask
    what is labelled, without a label what is not 0 in the image. coordinates: with `normalised_coordinates`. An axis on
    which the patch is larger than the volume is padded on both sides, the image with each channel's lowest value (or
    `fill`), label and mask with 0; the patch then starts at an index below 0.

    Nothing is drawn and thrown away: allowed positions are counted beforehand, the last along each axis included.
    Raises ValueError, naming the subject, where there is no position that the law can draw.
    """

    def __init__(
        self,
        sample: Sample,
        size: int | tuple[int, int, int],
        law: str = "uniform",
        *,
        content: Tensor | None = None,
        labels: tuple[int, ...] | None = None,
        least: float = 0.0,
        coordinates: bool = False,
        fill: float | None = None,
    ):
        if law not in LAWS:
            raise ValueError(f"law is {law!r}, expected one of {', '.join(LAWS)}")
        self.size = _three_sizes(size)
        self.law, self.coordinates, self._subject = law, coordinates, sample.subject
        self.shape = tuple(sample.image.shape[1:])
        short = [max(side - length, 0) for side, length in zip(self.size, self.shape, strict=True)]
        self._before = [missing // 2 for missing in short]
        self._image = sample.image.data
        if any(short):
            low = self._image.amin((1, 2, 3)).tolist() if fill is None else [fill] * len(self._image)
            self._image = torch.stack([self._padded(one, air) for one, air in zip(self._image, low, strict=True)])
        self._label = None if sample.label is None else self._padded(sample.label, 0)
        self._mask = None if sample.mask is None else self._padded(sample.mask, False)
        if law == "centre":
            offsets = [length - side for length, side in zip(self._image.shape[1:], self.size, strict=True)]
            self._along = [centre_law(offset) for offset in offsets]
            return
        self._weights = self._counted(sample, content, labels, number(least, "least", 0, 1))
        self._rows = self._weights.flatten(0, 1).sum(1, dtype=torch.int64).cumsum(0)
        self._total = int(self._rows[-1])
        if not self._total:
            what = "labelled voxel" if law == "foreground" else "content"
            share = f" that is to be {least:g} of a patch" if least else ""
            sizes = " x ".join(map(str, self.size))
            raise ValueError(
                f"subject {sample.subject}: no patch of {sizes} voxels holds any {what}{share}, expected one at least"
            )

    def starts(self, count: int, seed: int) -> Tensor:
        """The first voxels of so many patches, (count, 3) int64, in indices of the volume."""
        generator = generator_for(whole(seed, "seed", 0), f"patches {self.law}")
        whole(count, "count")
        if self.law == "centre":
            found = torch.zeros(count, 3, dtype=torch.int64)
            for axis, law in enumerate(self._along):
                for steps in _centre_steps(len(law) - 1):
                    found[:, axis] += torch.randint(steps + 1, (count,), generator=generator)
        else:
            targets = torch.randint(self._total, (count,), generator=generator).tolist()
            found = torch.stack([self._position(target) for target in targets])
        return found - torch.tensor(self._before)

    def probability(self, start: tuple[int, int, int]) -> float:
        """The exact probability with which a patch starts at a voxel."""
        at = [int(index) + before for index, before in zip(start, self._before, strict=True)]
        ends = [length - side for length, side in zip(self._image.shape[1:], self.size, strict=True)]
        if not all(0 <= index <= end for index, end in zip(at, ends, strict=True)):
            return 0.0
        if self.law == "centre":
            return float(torch.stack([law[index] for law, index in zip(self._along, at, strict=True)]).prod())
        return int(self._weights[tuple(at)]) / self._total

    def cut(self, start: tuple[int, int, int] | Tensor) -> dict[str, Tensor]:
        """The patch that starts at a voxel: "image" (C, *size), "start" (3,) int64; where there are such, "label" and
        "mask" (*size); where asked for, "coordinates" (3, *size). Copies, on the sample's device.

        Raises ValueError where the patch leaves the (padded) volume.
        """
        first = [int(index) for index in start]
        at = [index + before for index, before in zip(first, self._before, strict=True)]
        ends = [index + side for index, side in zip(at, self.size, strict=True)]
        if min(at) < 0 or any(end > length for end, length in zip(ends, self._image.shape[1:], strict=True)):
            raise ValueError(
                f"subject {self._subject}: a patch of {self.size} at {tuple(first)} leaves the volume {self.shape}"
                ", expected one inside"
            )
        box = tuple(slice(index, end) for index, end in zip(at, ends, strict=True))
        patch = {"image": self._image[(slice(None), *box)].clone(), "start": torch.tensor(first)}
        for name, values in (("label", self._label), ("mask", self._mask)):
            if values is not None:
                patch[name] = values[box].clone()
        if self.coordinates:
            patch["coordinates"] = normalised_coordinates(self.shape, tuple(first), self.size).to(self._image)
        return patch

    def draw(self, count: int, seed: int) -> dict[str, Tensor]:
        """So many patches as one batch: what `cut` gives, each entry with a first axis of length count."""
        patches = [self.cut(start) for start in self.starts(count, seed).tolist()]
        return {name: torch.stack([patch[name] for patch in patches]) for name in patches[0]}

    def _padded(self, values: Tensor, fill: float) -> Tensor:
        lengths = [max(side, length) for side, length in zip(self.size, self.shape, strict=True)]
        if lengths == list(self.shape):
            return values
        wide = values.new_full(lengths, fill)
        inside = (slice(before, before + length) for before, length in zip(self._before, self.shape, strict=True))
        wide[tuple(inside)] = values
        return wide

    def _counted(self, sample: Sample, content: Tensor | None, labels: tuple | None, least: float) -> Tensor:
        """The weight of each position, (A, B, C): 0 or 1, or the number of labelled voxels of its patch."""
        if content is None:
            content = sample.mask if sample.mask is not None else sample.label
            content = (sample.image.data != 0).any(0) if content is None else content != 0
        if content.dtype != torch.bool or tuple(content.shape) != self.shape:
            found = f"{str(content.dtype).removeprefix('torch.')} of shape {tuple(content.shape)}"
            raise ValueError(f"subject {sample.subject}: content is {found}, expected bool of shape {self.shape}")
        needed = max(1, least * self.size[0] * self.size[1] * self.size[2])
        if self.law == "uniform":
            return (_window_sums(self._padded(content, False).cpu(), self.size) >= needed).to(torch.uint8)
        if self._label is None:
            raise ValueError(f"subject {sample.subject}: there is no label, expected one for foreground patches")
        for value in labels or ():
            whole(value, "labels", 0, 255)
        chosen = self._label != 0 if labels is None else torch.isin(self._label, self._label.new_tensor(labels))
        counts = _window_sums(chosen.cpu(), self.size)
        if needed > 1:
            counts *= _window_sums(self._padded(content, False).cpu(), self.size) >= needed
        return counts

    def _position(self, target: int) -> Tensor:
        """The position at which the weights, added up in order, pass a number from 0 to their total - 1."""
        row = int(torch.searchsorted(self._rows, target, right=True))
        x, y = divmod(row, self._weights.shape[1])
        rest = target - (int(self._rows[row - 1]) if row else 0)
        sums = self._weights[x, y].cumsum(0, dtype=torch.int64)
        return torch.tensor([x, y, int(torch.searchsorted(sums, rest, right=True))])


def centre_law(offsets: int) -> Tensor:
    """The probability of each offset from 0 to `offsets` along an axis, (offsets + 1,) float64: PatchDDM's.

    The sum of two even draws, one from 0 to a quarter of the offsets, one from 0 to the rest; with 128 offsets (256
    voxels, patches of 128) that is 0 to 32 and 0 to 96, as in the code of the paper. (Its figure 6 says a third and two
    thirds.) It rises, is flat in the middle and falls; the first and the last offset are the least likely.
    """
    short, long = (steps + 1 for steps in _centre_steps(whole(offsets, "offsets", 0)))
    index = torch.arange(offsets + 1)
    ways = torch.minimum(torch.minimum(index + 1, (offsets + 1 - index)), torch.tensor(short))
    return ways.double() / (short * long)


def normalised_coordinates(
    shape: tuple[int, ...], start: tuple[int, ...] | None = None, size: tuple[int, ...] | None = None
) -> Tensor:
    """Where the voxels of a patch lie in the whole volume, one channel an axis, (D, *size) float32.

    -1 at the first voxel of the volume, 1 at its last, linear between and beyond (0 along an axis of one voxel). start:
    the patch's first voxel; size: its voxels; without both, those of the whole volume (shape).
    """
    start = start or (0,) * len(shape)
    size = size or tuple(shape)
    lines = []
    for length, first, count in zip(shape, start, size, strict=True):
        places = torch.arange(first, first + count, dtype=torch.float64)
        lines.append((2 * places / (length - 1) - 1 if length > 1 else 0 * places).float())
    return torch.stack(torch.meshgrid(*lines, indexing="ij"))


def _centre_steps(offsets: int) -> tuple[int, int]:
    return offsets // 4, offsets - offsets // 4


def _window_sums(chosen: Tensor, size: tuple[int, int, int]) -> Tensor:
    """How many voxels are chosen in the patch at each position, int32, by running sums along one axis at a time."""
    sums = chosen
    for axis, side in enumerate(size):
        running = sums.cumsum(axis, dtype=torch.int32)
        sums = running.narrow(axis, side - 1, running.shape[axis] - side + 1).clone()
        sums.narrow(axis, 1, sums.shape[axis] - 1).sub_(running.narrow(axis, 0, running.shape[axis] - side))
    return sums


def _three_sizes(size: int | tuple[int, int, int]) -> tuple[int, int, int]:
    sizes = (size,) * 3 if isinstance(size, int) else size
    if not isinstance(sizes, tuple | list) or len(sizes) != 3:
        raise ValueError(f"size is {size!r}, expected a whole number or three")
    return tuple(whole(side, "size") for side in sizes)
