"""What one voxel of a network's output has seen of the input: counted on paper, and measured by its gradient."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medlab.arguments import whole


class Field(NamedTuple):
    """size: edge of the receptive field in voxels of the input. jump: voxels of the input between two of the output."""

    size: int
    jump: int


def receptive_field(layers: Sequence[Sequence[int]]) -> Field:
    """The receptive field of a stack of convolutions and poolings along one axis, by recursion.

    layers: from the input on, each (kernel,), (kernel, stride) or (kernel, stride, dilation), all in voxels.
    A layer enlarges the field by dilation × (kernel - 1) steps of its own input; a stride lengthens the steps of all
    layers behind it (Araujo et al. 2019, equation 2). No layers: one voxel. Raises ValueError for a layer of another
    form.
    """
    size, jump = 1, 1
    for at, layer in enumerate(layers):
        if not isinstance(layer, Sequence) or not 1 <= len(layer) <= 3:
            raise ValueError(
                f"layer {at} is {layer!r}, expected (kernel,), (kernel, stride) or (kernel, stride, dilation)"
            )
        kernel, stride, dilation = (whole(one, f"layer {at}") for one in (*layer, 1, 1)[:3])
        size += dilation * (kernel - 1) * jump
        jump *= stride
    return Field(size, jump)


@dataclass(frozen=True, eq=False)
class Influence:
    """How much each voxel of the input moves one voxel of the output.

    map: absolute gradient, averaged over draws and summed over channels, of the input's size; its sum is 1.
    centre: the voxel of the output. box: per axis the first voxel with an influence, and the one after the last.
    """

    map: Tensor
    centre: tuple[int, ...]
    box: tuple[tuple[int, int], ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """Edges of the box, in voxels: the receptive field that was measured."""
        return tuple(stop - start for start, stop in self.box)

    @property
    def cut(self) -> bool:
        """True where the box touches the border of the input, so that the field may be larger than it."""
        return any(start == 0 or stop == size for (start, stop), size in zip(self.box, self.map.shape, strict=True))

    @property
    def spread(self) -> tuple[float, ...]:
        """Standard deviation of the influence along each axis, in voxels: how wide the effective field is."""
        return tuple(self._spread(axis) for axis in range(self.map.ndim))

    def _spread(self, axis: int) -> float:
        others = [one for one in range(self.map.ndim) if one != axis]
        weights = self.map.sum(others) if others else self.map
        places = torch.arange(len(weights), dtype=weights.dtype)
        middle = (weights * places).sum() / weights.sum()
        return float((weights * (places - middle) ** 2).sum().sqrt())


def measured_receptive_field(
    network: nn.Module, in_channels: int, size: Sequence[int], *, draws: int = 16, seed: int = 0
) -> Influence:
    """The influence of every voxel of the input on the central voxel of the output, by gradients.

    network: takes (1, in_channels, *size) and gives (1, any, *some size); 1D, 2D or 3D, as long as size is. It is
    evaluated (no dropout, batch norm with its running statistics) and left in the mode in which it came.
    size: large enough for the field; see `Influence.cut`. draws: how many random inputs, and random mixtures of output
    channels, are averaged: a rectifier or a maximum lets only some voxels through each time, and all of them together
    fill the field. seed: of these draws.
    Networks that normalise each image by its own mean and spread (instance or group norm) see the whole image, faintly.

    Raises ValueError where the network's output depends on nothing, or is no tensor with the axes of the input.
    """
    channels, draws = whole(in_channels, "in_channels"), whole(draws, "draws")
    size = tuple(whole(one, "size") for one in size)
    generator = torch.Generator().manual_seed(seed)
    like = next(network.parameters(), torch.empty(0))
    total = torch.zeros(size, dtype=torch.float64)
    with _evaluated(network), torch.enable_grad():
        for _ in range(draws):
            image = torch.randn((1, channels, *size), generator=generator).to(like).requires_grad_()
            output = network(image)
            if not isinstance(output, Tensor) or output.ndim != image.ndim:
                found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise ValueError(f"the network gives {found}, expected a tensor with {image.ndim} axes")
            centre = tuple(edge // 2 for edge in output.shape[2:])
            middle = output[(0, slice(None), *centre)]
            mixture = torch.randn(middle.shape, generator=generator).to(middle)
            total += _gradient((mixture * middle).sum(), image)
    if not total.any():
        raise ValueError("the output's central voxel depends on no voxel of the input, expected a network that uses it")
    return Influence(total / total.sum(), centre, tuple(_span(total, axis) for axis in range(total.ndim)))


def _gradient(value: Tensor, image: Tensor) -> Tensor:
    """Absolute gradient, summed over channels; zero where the value does not hang on the image at all."""
    if not value.requires_grad:
        return torch.zeros(image.shape[2:], dtype=torch.float64)
    (slope,) = torch.autograd.grad(value, image, allow_unused=True)
    slope = torch.zeros_like(image) if slope is None else slope
    return slope[0].abs().sum(0).to("cpu", torch.float64)


def _span(values: Tensor, axis: int) -> tuple[int, int]:
    others = [one for one in range(values.ndim) if one != axis]
    along = values.amax(others) if others else values
    places = (along > 0).nonzero()[:, 0]
    return int(places[0]), int(places[-1]) + 1


@contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and each of its modules back in its own mode afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
