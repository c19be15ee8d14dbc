"""Predicted memory: the step is played with tensors that have a shape and a type, but no content.

PyTorch's fake tensors know shape, type and lifetime, and hold nothing. So the real network, its real backward pass and
the real optimiser run through a step in a second or so, and every stretch of memory that they would have taken is noted
when it is born and when it goes. This works for a volume that no machine at hand could hold.

What it does not know: what a kernel takes for itself while it works (workspaces of cuDNN and oneDNN, copies in another
layout), and the rounding and the gaps of an allocator.
"""

import copy
import weakref
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medlab.arguments import whole
from medlab.training.ledger.account import OUTSIDE, Block, MemoryLedger, close
from medlab.training.ledger.steps import (
    Factory,
    Loss,
    bytes_of,
    cross_entropy,
    make_optimiser,
    state_tensors,
    take_step,
    watched,
)


def predict_memory(
    network: nn.Module,
    shape: Sequence[int],
    *,
    loss: Loss | None = None,
    target_shape: Sequence[int] | None = None,
    optimiser: str | Factory = "adam",
    precision: str = "32-true",
    checkpointing: bool | None = None,
    accumulation: int = 1,
) -> MemoryLedger:
    """The memory that one training step of a network would take, without taking it.

    `shape` is the batch's (B, C, X, Y, Z), or as the network wants it. `loss(output, target)` is by default the cross
    entropy, with whole numbers as classes of shape `target_shape`, by default (B, X, Y, Z). `optimiser` is "sgd",
    "momentum", "adam", "adamw" or a function of the parameters; `precision` "32-true", "bf16-mixed" or "16-mixed".
    `checkpointing` sets the network's option of that name, None leaves it. With `accumulation` the batch goes through
    in so many parts. The step is one in the middle of a training: the optimiser has its state. The network is not
    touched; it may live on the device "meta", and is then taken for one on the CPU.

    Raises ValueError where an argument cannot be meant, and what the network raises for a shape that it refuses.
    """
    shape = tuple(whole(size, f"shape[{axis}]") for axis, size in enumerate(shape))
    parts = whole(accumulation, "accumulation")
    if shape[0] % parts:
        raise ValueError(f"accumulation is {parts}, expected a divisor of the {shape[0]} samples in the batch")
    if target_shape is None:
        target_shape = (shape[0], *shape[2:])
    fakes = FakeTensorMode(allow_non_fake_inputs=True)
    hollow = _hollow(network, fakes)
    with fakes:
        if checkpointing is not None:
            _set_checkpointing(hollow, checkpointing)
        stepper = make_optimiser(optimiser, hollow)
        device = next(hollow.parameters()).device
        batch = torch.empty(shape, device=device), torch.empty(tuple(target_shape), dtype=torch.long, device=device)
        with _NoReading():
            _make_state(stepper)
        held = [*hollow.parameters(), *hollow.buffers()]
        standing = {
            "parameters": bytes_of(held),
            "optimiser state": bytes_of(state_tensors(stepper)),
            "batch": bytes_of(batch),
        }
        book = _Book([*held, *state_tensors(stepper), *batch], list(hollow.parameters()))
        with watched(hollow, book.enter, book.leave, book.back), book:
            # The second part of an accumulated batch meets the gradients of the first; the others are like it.
            take_step(hollow, batch, loss or cross_entropy, stepper, precision, parts, book.begin, rounds=2)
            gradients = [parameter.grad for parameter in hollow.parameters() if parameter.grad is not None]
            book.mark(gradients, "gradients")
    return close("predicted", standing, book.blocks, book.forward_ends, bytes_of(gradients))


class _NoReading(TorchDispatchMode):
    """Gives 1 where a program wants to read a number out of a hollow tensor, such as Adam its count of steps."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1.0 if args[0].is_floating_point() else 1
        return func(*args, **(kwargs or {}))


class _Book(_NoReading):
    """Notes when each stretch of memory is made and when the last tensor that uses it is gone."""

    def __init__(self, known: list[Tensor], parameters: list[nn.Parameter]) -> None:
        super().__init__()
        self._parameters = parameters
        self.blocks: list[Block] = []
        self.forward_ends: list[int] = []
        self._count = 0
        self._phase = "forward"
        self._layers: list[str] = []
        self._behind = OUTSIDE
        self._alive: dict[int, tuple[weakref.ref, Block | None]] = {}
        for tensor in known:
            self._note(tensor, None)

    def begin(self, phase: str) -> None:
        if phase == "backward":
            self.forward_ends.append(self._count)
        self._phase = phase
        self._layers.clear()
        self._behind = OUTSIDE

    def enter(self, layer: str) -> None:
        self._layers.append(layer)

    def leave(self, layer: str) -> None:
        if layer in self._layers:
            del self._layers[len(self._layers) - 1 - self._layers[::-1].index(layer) :]

    def back(self, layer: str) -> None:
        self._behind = layer

    def mark(self, tensors: list[Tensor], part: str) -> None:
        """Says what became of these."""
        for tensor in tensors:
            _, block = self._alive.get(id(tensor.untyped_storage()), (None, None))
            if block is not None:
                block.part = part

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.add.Tensor and self._adds_gradients(*args[:2]):
            func = torch.ops.aten.add_.Tensor
        made = _asked_for(super().__torch_dispatch__(func, types, args, kwargs), func, args, kwargs or {})
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._note(leaf, self._layers[-1] if self._layers else self._behind)
        return made

    def _adds_gradients(self, one: Tensor, other: object) -> bool:
        """Autograd adds gradients that meet in place, except where tensors are hollow: here as it would be."""
        if self._phase != "backward" or self._layers or not isinstance(other, Tensor) or one.shape != other.shape:
            return False
        if any(one is parameter.grad for parameter in self._parameters):
            return True
        storage = one.untyped_storage()
        _, block = self._alive.get(id(storage), (None, None))
        whole = storage.nbytes() == one.numel() * one.element_size()
        return whole and block is not None and block.phase == "backward"

    def _note(self, tensor: Tensor, layer: str | None) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._alive:
            return
        block = None
        if layer is not None:
            self._count += 1
            block = Block(storage.nbytes(), self._count, self._phase, layer)
            self.blocks.append(block)

        def gone(_: object) -> None:
            self._alive.pop(key, None)
            if block is not None:
                self._count += 1
                block.gone = self._count

        self._alive[key] = weakref.ref(storage, gone), block


def _asked_for(made: object, func: torch._ops.OpOverload, args: tuple, kwargs: dict) -> object:
    """Gradients without those that nobody wants: a hollow kernel makes them all, a real one does not."""
    names = [argument.name for argument in func._schema.arguments]
    if "output_mask" not in names or not isinstance(made, tuple):
        return made
    place = names.index("output_mask")
    mask = args[place] if place < len(args) else kwargs["output_mask"]
    return tuple(one if wanted else None for one, wanted in zip(made, mask, strict=True))


def _hollow(network: nn.Module, fakes: FakeTensorMode) -> nn.Module:
    """A copy whose parameters and buffers have no content; what the network shares, the copy shares."""
    memo: dict[int, object] = {}
    with fakes:
        for tensor in [*network.parameters(), *network.buffers()]:
            device = torch.device("cpu") if tensor.is_meta else tensor.device
            empty = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
            trained = isinstance(tensor, nn.Parameter)
            memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if trained else empty
    return copy.deepcopy(network, memo).train()


def _set_checkpointing(network: nn.Module, value: bool) -> None:
    if not hasattr(network, "checkpointing"):
        raise ValueError(f"checkpointing is {value}, expected None: {type(network).__name__} has no such option")
    network.checkpointing = value


def _make_state(optimiser: torch.optim.Optimizer) -> None:
    """As after a first step."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.empty_like(parameter)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
