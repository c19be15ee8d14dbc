"""Intensities made comparable: windows, z-scores and percentiles. Differentiable, on any device."""

import torch
from torch import Tensor


def window(data: Tensor, centre: float, width: float) -> Tensor:
    """What a reader sees through an intensity window: values in [0, 1].

    data: any shape, for example CT in HU; centre, width: in the same units. Values up to centre - width / 2 become
    0, those from centre + width / 2 on become 1, linear between (DICOM PS3.3 C.11.2.1.3.2, LINEAR_EXACT).
    Raises ValueError where centre is not finite or width is not above 0.
    """
    if not (0 < width < float("inf")):
        raise ValueError(f"width is {width}, expected a finite number above 0")
    if not abs(centre) < float("inf"):
        raise ValueError(f"centre is {centre}, expected a finite number")
    return ((_floating(data) - (centre - width / 2)) / width).clamp(0, 1)


def z_score(data: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean 0 and standard deviation 1 over the whole tensor, or over the voxels of a mask.

    data: any shape, finite; all elements are transformed, also those outside the mask. mask: true or non-zero where
    the statistics are taken, of a shape that broadcasts to that of data. The standard deviation is the
    population's. Where all values are equal there is no scale: then only the mean is taken off, which gives zeros.
    Channels with statistics of their own: `torch.stack([z_score(channel) for channel in data])`.
    Raises ValueError for an empty or unfitting mask and for values that are not finite.
    """
    data = _floating(data)
    values, low, high = _chosen(data, mask)
    if low == high:
        return data - low
    # Twice: what float32 loses in the first mean of 10^7 values is found again in the second.
    mean = values.mean()
    mean = mean + (values - mean).mean()
    deviation = (values - mean).square().mean().sqrt()
    return (data - mean) / deviation


def percentile_scale(data: Tensor, low: float = 1, high: float = 99, mask: Tensor | None = None) -> Tensor:
    """Values in [0, 1]: the low percentile becomes 0, the high one 1, linear between, clipped beyond.

    data: any shape, finite; low, high: percent, 0 <= low < high <= 100; mask: as in `z_score`. Percentiles are
    interpolated linearly between order statistics, as NumPy does, for any number of elements (`torch.quantile`
    refuses more than 2^24). Where both percentiles are the same value v, there is no scale: values up to v become
    0, those above 1; so a constant image becomes zeros.
    Raises ValueError for wrong percentages, an empty or unfitting mask and values that are not finite.
    """
    if not 0 <= low < high <= 100:
        raise ValueError(f"percentiles are {low} and {high}, expected 0 <= low < high <= 100")
    data = _floating(data)
    values, _, _ = _chosen(data, mask)
    bottom, top = _percentile(values, low), _percentile(values, high)
    if bottom == top:
        return (data > top).to(data.dtype)
    return ((data - bottom) / (top - bottom)).clamp(0, 1)


def _floating(data: Tensor) -> Tensor:
    if not isinstance(data, Tensor):
        raise ValueError(f"data are {type(data).__name__}, expected a torch.Tensor")
    if data.is_complex():
        raise ValueError("data are complex, expected real numbers")
    return data if data.is_floating_point() else data.to(torch.float32)


def _chosen(data: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The values inside the mask as one long row, their minimum and their maximum."""
    values = data.reshape(-1)
    if mask is not None:
        try:
            inside = torch.broadcast_to(mask.to(data.device) != 0, data.shape)
        except RuntimeError:
            found, expected = tuple(mask.shape), tuple(data.shape)
            raise ValueError(f"mask has shape {found}, expected one that broadcasts to {expected}") from None
        values = data[inside]
    if not values.numel():
        raise ValueError(f"{'data hold' if mask is None else 'mask chooses'} no element, expected at least one")
    low, high = torch.aminmax(values.detach())
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise ValueError("data hold NaN or infinity, expected finite values")
    return values, low, high


def _percentile(values: Tensor, percent: float) -> Tensor:
    """A percentile of a long row, as a tensor through which gradients flow."""
    if values.device.type == "mps":
        return _percentile(values.cpu(), percent).to(values.device)
    place = percent / 100 * (values.numel() - 1)
    below = int(place)
    at = torch.kthvalue(values, below + 1).values
    if place == below:
        return at
    return torch.lerp(at, torch.kthvalue(values, below + 2).values, place - below)
