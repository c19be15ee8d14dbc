"""One training step, as both the prediction and the measurement take it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medlab.arguments import one_of

Loss = Callable[[Tensor, Tensor], Tensor]
Factory = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
OPTIMISERS: dict[str, Factory] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=1e-3),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3),
}
PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}  # Lightning's names


def cross_entropy(output: Tensor | tuple[Tensor, ...], target: Tensor) -> Tensor:
    """Of logits (B, K, ...) and classes (B, ...); of several outputs the mean, the target thinned to fit."""
    outputs = output if isinstance(output, tuple | list) else (output,)
    losses = []
    for logits in outputs:
        steps = [-(-big // small) for big, small in zip(target.shape[1:], logits.shape[2:], strict=True)]
        thin = target[(slice(None), *(slice(None, None, step) for step in steps))]
        losses.append(F.cross_entropy(logits.float(), thin))
    return torch.stack(losses).mean()


def make_optimiser(optimiser: str | Factory, network: nn.Module) -> torch.optim.Optimizer:
    """By name, or by a function that takes the list of parameters."""
    if isinstance(optimiser, str):
        optimiser = OPTIMISERS[one_of(optimiser, tuple(OPTIMISERS), "optimiser")]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("network has no parameter to train, expected at least one that requires a gradient")
    return optimiser(trained)


def lower(precision: str, device: torch.device) -> AbstractContextManager:
    """Autocast of this precision, or nothing."""
    kind = PRECISIONS[one_of(precision, tuple(PRECISIONS), "precision")]
    return nullcontext() if kind is None else torch.autocast(device.type, kind)


@contextmanager
def watched(
    network: nn.Module, enter: Callable[[str], None], leave: Callable[[str], None], back: Callable[[str], None]
) -> Iterator[None]:
    """Tells dotted names of layers: `enter` and `leave` around a forward, `back` before a backward."""
    handles = []
    for name, layer in network.named_modules():
        alone = next(layer.children(), None) is None

        def done(_layer: nn.Module, _given: object, made: object, name: str = name, alone: bool = alone) -> None:
            leave(name or "(network)")
            if alone and isinstance(made, Tensor) and made.grad_fn is not None:
                made.grad_fn.register_prehook(lambda *_: back(name))

        handles.append(layer.register_forward_pre_hook(lambda *_, name=name: enter(name or "(network)")))
        # A checkpoint stops its repetition by an exception as soon as it has what it needs: leave then as well.
        handles.append(layer.register_forward_hook(done, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def take_step(
    network: nn.Module,
    batch: tuple[Tensor, Tensor],
    loss: Loss,
    optimiser: torch.optim.Optimizer,
    precision: str,
    parts: int,
    phase: Callable[[str], None],
    rounds: int | None = None,
) -> None:
    """Forward and backward for each part of the batch, then one step; `phase` is told what begins and, last, "end"."""
    images, targets = (whole.chunk(parts) for whole in batch)
    for image, target in list(zip(images, targets, strict=True))[:rounds]:
        phase("forward")
        with lower(precision, image.device):
            value = loss(network(image), target)
            value = value / parts if parts > 1 else value
        phase("backward")
        value.backward()
        del value
    phase("step")
    optimiser.step()
    phase("end")


def bytes_of(tensors: object) -> int:
    """Of all tensors, memory that several share counted once."""
    found = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(found.values())


def state_tensors(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """What the optimiser keeps for each parameter."""
    states = optimiser.state.values()
    return [value for state in states for value in state.values() if isinstance(value, Tensor)]
