"""Measured memory: what the allocator gave during one real step, and when.

PyTorch's profiler writes down each piece that the allocator hands out and takes back, on a CPU and on CUDA. Those
pieces, put in order, are the ledger. What a library takes from the system behind the allocator's back shows only in the
resident memory of the process, `resident`, which also holds loaded code and freed memory that was not given back: an
outer bound. On CUDA `reserved` says what the allocator took from the card.
"""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from medlab.arguments import whole
from medlab.training.ledger.account import OUTSIDE, Block, MemoryLedger, close
from medlab.training.ledger.resident import ResidentPeak
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

_PHASE, _LAYER, _BACK = "medlab phase ", "medlab layer ", "medlab back "
# The calls that may take memory for their own use: their outermost names.
_KERNELS = ("aten::convolution", "aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
_KINDS = {"cpu": 0, "cuda": 1}  # PyTorch's numbers for devices in a trace


def measure_memory(
    network: nn.Module,
    batch: tuple[Tensor, Tensor],
    loss: Loss | None = None,
    optimiser: str | Factory | torch.optim.Optimizer = "adam",
    *,
    precision: str = "32-true",
    accumulation: int = 1,
) -> MemoryLedger:
    """The memory that one training step of a network takes on the device where it lives (CPU or CUDA).

    `batch` is (images, targets), on the network's device; the other arguments are those of `predict_memory`, and
    `optimiser` may be one that is there already. Takes two real steps, the first unmeasured to make the optimiser's
    state: give it a network whose weights may move.

    Raises ValueError where an argument cannot be meant, or the device is one whose allocations PyTorch does not tell.
    """
    image, target = batch
    parts = whole(accumulation, "accumulation")
    device = next(network.parameters(), image).device
    kind = _known(device)
    if image.device != device or target.device != device:
        raise ValueError(f"batch is on {image.device} and {target.device}, expected {device}, where the network is")
    if len(image) % parts:
        raise ValueError(f"accumulation is {parts}, expected a divisor of the {len(image)} samples in the batch")
    stepper = optimiser if isinstance(optimiser, torch.optim.Optimizer) else make_optimiser(optimiser, network)
    network.train()
    given = (network, batch, loss or cross_entropy, stepper, precision, parts)
    with ResidentPeak() as resident:
        take_step(*given, phase=lambda _: None)
        stepper.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
        trace = _trace(given)
    held = [*network.parameters(), *network.buffers()]
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    standing = {
        "parameters": bytes_of(held),
        "optimiser state": bytes_of(state_tensors(stepper)),
        "batch": bytes_of(batch),
    }
    blocks, forward_ends = _read(trace, kind, {gradient.data_ptr() for gradient in gradients})
    extra: dict[str, int | None] = {"resident": resident.growth}
    if device.type == "cuda":
        extra = {"reserved": torch.cuda.max_memory_reserved(device)}
    return close("measured", standing, blocks, forward_ends, bytes_of(gradients), **extra)


def kept_memory(work: Callable[[], object], device: torch.device | str = "cpu") -> int:
    """What `work()` leaves behind on a device: bytes given out by the allocator while it ran and not taken back.

    0 for work that cleans up; each call of a leaking step gives more. Raises ValueError for another device.
    """
    kind = _known(torch.device(device))
    if kind == _KINDS["cuda"]:
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.memory_allocated(device) - before
    with _profiler() as profiler:
        work()
    notes = [event["args"] for event in _events(profiler) if event.get("name") == "[memory]"]
    return sum(note["Bytes"] for note in notes if note["Device Type"] == kind)


def _known(device: torch.device) -> int:
    """PyTorch's number of a device whose allocations can be told."""
    if device.type not in _KINDS:
        raise ValueError(f"device is {device.type}, expected a CPU or CUDA: no other tells its allocations")
    return _KINDS[device.type]


def _trace(given: tuple) -> list[dict]:
    """The profiler's events of one step, in order of time."""
    network = given[0]
    open_ranges: dict[str, list] = {}
    phases: list = []

    def enter(layer: str) -> None:
        span = record_function(_LAYER + layer)
        span.__enter__()
        open_ranges.setdefault(layer, []).append(span)

    def leave(layer: str) -> None:
        if open_ranges.get(layer):
            open_ranges[layer].pop().__exit__(None, None, None)

    def back(layer: str) -> None:
        with record_function(_BACK + layer):
            pass

    def begin(phase: str) -> None:
        if phases:
            phases.pop().__exit__(None, None, None)
        if phase != "end":
            phases.append(record_function(_PHASE + phase))
            phases[-1].__enter__()

    with _profiler() as profiler, watched(network, enter, leave, back):
        take_step(*given, phase=begin)
    wanted = [event for event in _events(profiler) if event.get("name") == "[memory]" or _is_span(event)]
    return sorted(wanted, key=lambda event: event["ts"])


def _profiler() -> profile:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it writes to the terminal at every start else
    return profile(activities=[ProfilerActivity.CPU], profile_memory=True)


def _events(profiler: profile) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return json.loads(path.read_text(encoding="utf-8", errors="replace"))["traceEvents"]


def _is_span(event: dict) -> bool:
    return event.get("ph") == "X" and str(event["name"]).startswith((_PHASE, _LAYER, _BACK, *_KERNELS))


def _read(trace: list[dict], kind: int, gradients: set[int]) -> tuple[list[Block], list[int]]:
    """What was made and freed on a device, and the count of events at the end of each forward pass."""
    layers: list[tuple[float, str]] = []  # under way, the innermost last: when it ends, and its name
    blocks: list[Block] = []
    alive: dict[int, tuple[Block, float]] = {}  # by address, with the end of the kernel that asked for it
    forward_ends: list[int] = []
    count, phase, behind, kernel_end = 0, "forward", OUTSIDE, 0.0
    for event in trace:
        now, name = event["ts"], event["name"]
        layers = [layer for layer in layers if layer[0] > now]
        if name.startswith(_PHASE):
            phase, behind = name.removeprefix(_PHASE), OUTSIDE
            if phase == "backward":
                forward_ends.append(count)
        elif name.startswith(_LAYER):
            layers.append((now + event["dur"], name.removeprefix(_LAYER)))
        elif name.startswith(_BACK):
            behind = name.removeprefix(_BACK)
        elif name.startswith(_KERNELS):
            kernel_end = max(kernel_end, now + event["dur"])
        elif event["args"]["Device Type"] == kind:
            size, place = event["args"]["Bytes"], event["args"]["Addr"]
            count += 1
            if size > 0:
                block = Block(size, count, phase, layers[-1][1] if layers else behind)
                alive[place] = block, kernel_end if now < kernel_end else now
                blocks.append(block)
            elif place in alive:
                block, end = alive.pop(place)
                block.gone = count
                block.part = "workspace" if now < end else ""
    for place in gradients & set(alive):
        alive[place][0].part = "gradients"
    return blocks, forward_ends
