"""How fast a long train of pulses runs: `medlab.physics.mri.spins.pulse_train` beside what else one could use.

    python benchmarks/spins.py [--spins 100000] [--steps 1000] [--rounds 5] [--seed 0] [--json record.json]

Every step is an instantaneous pulse with its own flip angle and phase, then 10 ms of precession and relaxation, in
which each spin has its own off-resonance, T1 and T2. All peers solve the same problem in the same run, in turns, so
that a busy machine slows all of them; compare ratios, not seconds. Each end state is checked against float64. SigPy
is measured where it is installed (it knows no relaxation, and is checked without). What bounds ours stands in
`medlab/physics/mri/spins/train.py`.
"""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from _measure import circumstances, common_arguments, in_turns, median, processor, write_record
from torch import Tensor

from medlab.physics.mri.spins import Spins, pulse_train

STEP_MS = 10.0
OURS = "medlab, eager"
# float32 keeps 6 to 7 digits; relaxation forgets what 1,000 steps have rounded away.
TOLERANCE = 1e-5


@dataclass
class Row:
    """One peer: seconds of each round, the largest deviation of any M component, seconds of its first call."""

    name: str
    seconds: list[float]
    deviation: float
    first_call: float

    @property
    def median(self) -> float:
        return median(self.seconds)


@dataclass(frozen=True)
class Problem:
    """Spins and pulses, drawn once; numbers in float32 so that every peer starts from the same ones."""

    t1: Tensor
    t2: Tensor
    frequency: Tensor
    flip: Tensor
    phase: Tensor

    def spins(self, dtype: torch.dtype = torch.float32) -> Spins:
        return Spins(self.t1, self.t2, self.frequency, dtype=dtype)


def draw(spins: int, steps: int, seed: int) -> Problem:
    """Times as in brain tissue at 3 T, off-resonances of tens of Hz, flip angles up to 60 degrees."""
    generator = torch.Generator().manual_seed(seed)
    chance = torch.rand(3, spins, generator=generator)
    pulses = torch.rand(2, steps, generator=generator)
    return Problem(600 + 1000 * chance[0], 40 + 80 * chance[1], 60 * chance[2] - 30, 60 * pulses[0], 360 * pulses[1])


def numpy_loop(problem: Problem) -> Tensor:
    """A loop over steps, vectorised over spins, complex64; what is the same in all steps is computed before."""
    t1, t2, frequency = problem.t1.numpy(), problem.t2.numpy(), problem.frequency.numpy()
    spin = np.exp(-STEP_MS / t2 + 2e-3j * np.pi * frequency * STEP_MS).astype(np.complex64)
    decay = np.exp(-STEP_MS / t1)
    transverse, longitudinal = np.zeros(len(t1), np.complex64), np.ones(len(t1), np.float32)
    for flip, phase in zip(problem.flip.tolist(), problem.phase.tolist(), strict=True):
        angle, axis = math.radians(flip), complex(math.cos(math.radians(phase)), math.sin(math.radians(phase)))
        keep, swap = math.cos(angle / 2) ** 2, math.sin(angle / 2) ** 2 * axis * axis
        lift, upright = -1j * math.sin(angle) * axis, math.cos(angle)
        turned = keep * transverse + swap * transverse.conj() + lift * longitudinal
        longitudinal = upright * longitudinal - (lift.conjugate() * transverse).real
        transverse = spin * turned
        longitudinal = decay * longitudinal + (1 - decay)
    return torch.from_numpy(np.stack((transverse.real, transverse.imag, longitudinal), -1))


def torch_loop(problem: Problem) -> Tensor:
    """The same lines in torch, as a reader would write them."""
    spin = torch.polar(torch.exp(-STEP_MS / problem.t2), 2e-3 * math.pi * problem.frequency * STEP_MS)
    decay = torch.exp(-STEP_MS / problem.t1)
    transverse, longitudinal = torch.zeros_like(spin), torch.ones_like(decay)
    for flip, phase in zip(torch.deg2rad(problem.flip), torch.deg2rad(problem.phase), strict=True):
        axis = torch.polar(torch.ones_like(phase), phase)
        keep, swap = torch.cos(flip / 2) ** 2, torch.sin(flip / 2) ** 2 * axis**2
        lift, upright = -1j * torch.sin(flip) * axis, torch.cos(flip)
        turned = keep * transverse + swap * transverse.conj() + lift * longitudinal
        longitudinal = upright * longitudinal - (lift.conj() * transverse).real
        transverse = spin * turned
        longitudinal = decay * longitudinal + (1 - decay)
    return torch.stack((transverse.real, transverse.imag, longitudinal), -1)


def sigpy_peer(problem: Problem) -> Callable[[Problem], Tensor] | None:
    """SigPy's hard-pulse simulator, returning (|M_xy|, M_z) without relaxation; None where SigPy is not installed."""
    try:
        from sigpy.mri.rf.sim import abrm_hp
    except ImportError:
        return None
    rf = np.exp(1j * np.radians(problem.phase.double().numpy())) * np.radians(problem.flip.double().numpy())
    # Its precession turns the other way relative to its pulses; with this sign the two are ours in a mirror.
    per_step = -2e-3 * np.pi * STEP_MS * problem.frequency.double().numpy()

    def run(_: Problem) -> Tensor:
        a, b = abrm_hp(rf, np.ones(len(rf)), per_step)
        return torch.from_numpy(np.stack((2 * np.abs(a * b), np.abs(a) ** 2 - np.abs(b) ** 2), -1))

    return run


def without_relaxation(problem: Problem) -> Tensor:
    """What SigPy must meet: (|M_xy|, M_z) of ours in float64 with infinite T1 and T2."""
    spins = Spins(math.inf, math.inf, problem.frequency, dtype=torch.float64)
    end = pulse_train(spins, problem.flip, problem.phase, STEP_MS).spins
    return torch.stack((end.transverse.abs(), end.longitudinal), -1)


def measure(problem: Problem, rounds: int, compiled: bool) -> list[Row]:
    """Every peer once to warm up and to be checked, then in turns."""
    exact = pulse_train(problem.spins(torch.float64), problem.flip, problem.phase, STEP_MS).spins.vector

    def ours(compile_it: bool) -> Callable[[Problem], Tensor]:
        return lambda p: pulse_train(p.spins(), p.flip, p.phase, STEP_MS, compiled=compile_it).spins.vector

    peers = {"NumPy loop": (numpy_loop, exact), "torch loop": (torch_loop, exact), OURS: (ours(False), exact)}
    if compiled:
        peers["medlab, compiled"] = (ours(True), exact)
    if sigpy := sigpy_peer(problem):
        peers["SigPy abrm_hp (no relaxation)"] = (sigpy, without_relaxation(problem))
    rows = []
    for name, (peer, expected) in peers.items():
        start = time.perf_counter()
        end = peer(problem)
        first_call = time.perf_counter() - start
        rows.append(Row(name, [], float((end - expected).abs().max()), first_call))
    for name, seconds in in_turns({name: partial(peer, problem) for name, (peer, _) in peers.items()}, rounds).items():
        next(row for row in rows if row.name == name).seconds.extend(seconds)
    return rows


def show(rows: list[Row]) -> None:
    ours = next(row for row in rows if row.name == OURS)
    print(f"{'':32}{'median s':>10}{'min s':>10}{'x ours':>9}{'deviation':>12}{'first call s':>14}")
    for row in sorted(rows, key=lambda row: row.median):
        ratio = row.median / ours.median
        print(
            f"{row.name:32}{row.median:10.4f}{min(row.seconds):10.4f}{ratio:9.2f}"
            f"{row.deviation:12.1e}{row.first_call:14.2f}"
        )


def main() -> int:
    parser = common_arguments(__doc__.splitlines()[0])
    parser.add_argument("--spins", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled train out")
    options = parser.parse_args()
    for name in ("spins", "steps", "rounds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}, expected at least 1")
    rows = measure(draw(options.spins, options.steps, options.seed), options.rounds, not options.no_compile)
    print(f"{options.spins:,} spins x {options.steps:,} steps, {processor()}, {torch.get_num_threads()} threads")
    show(rows)
    if options.json:
        problem = {"spins": options.spins, "steps": options.steps, "step_ms": STEP_MS, "seed": options.seed}
        results = [asdict(row) | {"median": row.median} for row in rows]
        write_record(options.json, circumstances("spins", problem) | {"rows": results})
    wrong = [row.name for row in rows if not row.deviation < TOLERANCE]
    if wrong:
        print(f"deviation above {TOLERANCE}: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
