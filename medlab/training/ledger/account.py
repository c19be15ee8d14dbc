"""A ledger of memory: what a training step holds at its fullest moment, and who asked for it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from medlab.arguments import one_of

MIB = 2**20
PHASES = ("forward", "backward", "step")
PARTS = ("parameters", "optimiser state", "batch", "gradients", "activations", "temporary", "workspace")
OUTSIDE = "(loss)"  # what is made while no layer runs


@dataclass
class Block:
    """One stretch of memory during the step: born and gone at a count of events, or never gone."""

    size: int  # bytes
    born: int
    phase: str
    layer: str
    gone: float = float("inf")
    part: str = ""


@dataclass(frozen=True)
class Moment:
    """How much is held after one event of the step, bytes; and which phase and layer was at work."""

    held: int
    phase: str
    layer: str


@dataclass(frozen=True)
class MemoryLedger:
    """Memory of one training step; all sizes are bytes.

    `parts` says what is held at the peak, and sums to `peak`:

    - "parameters" (with buffers), "optimiser state" and "batch" are there during the whole step,
    - "gradients": of parameters, as far as they exist at that moment,
    - "activations": made in the forward pass and still held when it ends, as the backward pass needs them,
    - "temporary": everything else, such as gradients of activations on their way back,
    - "workspace": made and given back inside one convolution or matrix product; only a measurement can see it.

    `by_layer` splits the activations at the end of the forward pass among the layers that made them. Their sum,
    `activations`, is more than the part of that name where the peak comes when some are gone.
    """

    source: str  # "predicted" or "measured"
    parameters: int
    gradients: int
    optimiser_state: int
    batch: int
    activations: int
    peak: int
    tensor_peak: int  # the highest without workspace: what a prediction can know
    peak_phase: str
    peak_layer: str
    parts: dict[str, int]
    by_layer: dict[str, int]
    timeline: tuple[Moment, ...] = field(repr=False)
    resident: int | None = None  # measured on a CPU: growth of the process at its fullest; None where unknown
    reserved: int | None = None  # measured on CUDA: what the allocator took from the card

    @property
    def standing(self) -> int:
        """What the step cannot do without: parameters, optimiser state and batch, bytes."""
        return self.parameters + self.optimiser_state + self.batch

    def by_group(self, depth: int = 1) -> dict[str, int]:
        """`by_layer` with names cut after so many dots: bytes for each child of the network, grandchild, ..."""
        groups: dict[str, int] = {}
        for name, size in self.by_layer.items():
            group = ".".join(name.split(".")[:depth])
            groups[group] = groups.get(group, 0) + size
        return groups

    def table(self, unit: str = "MiB") -> list[tuple[str, str]]:
        """Rows (part, size) with the peak as the last one, for printing or for `medlab.viz.table`."""
        scale = {"B": 1, "KiB": 2**10, "MiB": MIB, "GiB": 2**30, "GB": 10**9}
        size = scale[one_of(unit, tuple(scale), "unit")]
        digits = 0 if unit == "B" else 1
        rows = [(part, f"{self.parts[part] / size:,.{digits}f} {unit}") for part in PARTS]
        return [*rows, ("peak", f"{self.peak / size:,.{digits}f} {unit}")]

    def __str__(self) -> str:
        rows = "\n".join(f"{name:16} {size:>14}" for name, size in self.table())
        return f"{self.source}, fullest in {self.peak_phase} at {self.peak_layer}\n{rows}"


def close(
    source: str,
    standing: dict[str, int],
    blocks: Iterable[Block],
    forward_ends: list[int],
    gradients: int,
    **extra: int | None,
) -> MemoryLedger:
    """The ledger of a step.

    `standing` holds the bytes of "parameters", "optimiser state" and "batch"; `blocks` what was made during the step,
    those that became gradients or are workspace marked in `part`; `forward_ends` the counts of events at the end of
    each forward pass.
    """
    blocks = list(blocks)
    for block in blocks:
        if not block.part:
            saved = block.phase == "forward" and any(block.born <= end < block.gone for end in forward_ends)
            block.part = "activations" if saved else "temporary"
    base = sum(standing.values())
    timeline, best, at = [], Moment(base, "forward", OUTSIDE), 0
    for when, moment in _moments(blocks, base):
        timeline.append(moment)
        if moment.held > best.held:
            best, at = moment, when
    tensors = [moment.held for _, moment in _moments([b for b in blocks if b.part != "workspace"], base)]
    parts = dict.fromkeys(PARTS, 0) | standing
    for block in blocks:
        if block.born <= at < block.gone:
            parts[block.part] += block.size
    by_layer: dict[str, int] = {}
    for block in blocks:
        if block.part == "activations" and block.born <= forward_ends[-1] < block.gone:
            by_layer[block.layer] = by_layer.get(block.layer, 0) + block.size
    return MemoryLedger(
        source=source,
        parameters=standing["parameters"],
        gradients=gradients,
        optimiser_state=standing["optimiser state"],
        batch=standing["batch"],
        activations=sum(by_layer.values()),
        peak=best.held,
        tensor_peak=max(tensors, default=base),
        peak_phase=best.phase,
        peak_layer=best.layer,
        parts=parts,
        by_layer=by_layer,
        timeline=tuple(timeline),
        **extra,
    )


def _moments(blocks: list[Block], held: int) -> Iterator[tuple[int, Moment]]:
    """Births and deaths in their order, with what is held after each."""
    events = [(block.born, block.size, block) for block in blocks]
    events += [(int(block.gone), -block.size, block) for block in blocks if block.gone != float("inf")]
    phase, layer = PHASES[0], OUTSIDE
    for when, change, block in sorted(events, key=lambda event: event[0]):
        held += change
        if change > 0:
            phase, layer = block.phase, block.layer
        yield when, Moment(held, phase, layer)
