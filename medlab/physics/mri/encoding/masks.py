"""Which lines of k-space are measured: boolean masks (lines,), true where they are.

They broadcast against k-space (..., X, Y), whose last axis is that of phase encoding; the line of frequency 0 is
number lines // 2. Each mask has an exact number of lines, and `acceleration` says what was saved.
"""

import torch
from torch import Tensor

from medlab.arguments import number, whole


def acceleration(mask: Tensor) -> float:
    """All lines over measured lines: 1 measures everything. Raises ValueError for a mask that measures nothing."""
    if mask.dtype != torch.bool or not bool(mask.any()):
        raise ValueError(
            f"mask of dtype {mask.dtype} has {int(mask.sum())} lines, expected booleans, one true at least"
        )
    return mask.numel() / int(mask.sum())


def centre_lines(lines: int, count: int) -> Tensor:
    """The count lines around frequency 0, from lines // 2 - count // 2 on: a low-pass filter."""
    whole(lines, "lines")
    whole(count, "count", 0, lines)
    mask = torch.zeros(lines, dtype=torch.bool)
    first = lines // 2 - count // 2
    mask[first : first + count] = True
    return mask


def partial_fourier(lines: int, fraction: float, *, keep: str = "low") -> Tensor:
    """round(fraction * lines) lines in one piece from one edge on, frequency 0 among them.

    fraction: above 0.5 and at most 1; keep: "low" begins at line 0, "high" ends at the last. Raises ValueError where
    so few lines are kept that frequency 0 is not among them.
    """
    whole(lines, "lines")
    number(fraction, "fraction", 0.5, 1, above=True)
    if keep not in ("low", "high"):
        raise ValueError(f"keep is {keep!r}, expected 'low' or 'high'")
    count = round(fraction * lines)
    mask = torch.zeros(lines, dtype=torch.bool)
    mask[slice(0, count) if keep == "low" else slice(lines - count, lines)] = True
    if not mask[lines // 2]:
        raise ValueError(f"fraction is {fraction} of {lines} lines, expected enough to reach the middle of k-space")
    return mask


def equispaced_lines(lines: int, every: int, *, calibration: int = 0, offset: int = 0) -> Tensor:
    """Every so-many-th line, frequency 0 among them, and all of the calibration lines around it.

    offset: moves the comb by 0 to every - 1 lines. The acceleration is `every` without calibration and where it
    divides the lines; else ask `acceleration`.
    """
    whole(every, "every", 1, whole(lines, "lines"))
    whole(offset, "offset", 0, every - 1)
    away = torch.arange(lines) - lines // 2 - offset
    return (away % every == 0) | centre_lines(lines, whole(calibration, "calibration", 0, lines))


def random_lines(
    lines: int, factor: float, generator: torch.Generator, *, calibration: int = 0, decay: float = 0.0
) -> Tensor:
    """Exactly round(lines / factor) lines: the calibration lines in the middle, the others drawn by chance.

    factor: the acceleration, 1 or more. decay: how the density falls off: a line's chance is (1 - |k| / k_max)^decay,
    so 0 is uniform and 3 is dense in the middle, after Lustig, Donoho and Pauly (Magn. Reson. Med. 58, 1182, 2007).
    generator: on the CPU; the same seed gives the same lines. Raises ValueError where the calibration lines alone are
    more than the acceleration allows.
    """
    whole(lines, "lines")
    number(factor, "factor", 1)
    number(decay, "decay", 0)
    count = max(round(lines / factor), 1)
    if whole(calibration, "calibration", 0, lines) > count:
        raise ValueError(f"calibration is {calibration}, expected at most the {count} lines that are measured")
    mask = centre_lines(lines, calibration)
    if count > calibration:
        away = (torch.arange(lines, dtype=torch.float64) - lines // 2).abs() / (lines // 2 + 1)  # below 1: any line may
        chance = (1 - away).pow(decay).masked_fill(mask, 0)
        mask[torch.multinomial(chance, count - calibration, generator=generator)] = True
    return mask
