"""Long trains of equal steps, pulse then evolution, at the speed of the memory instead of the interpreter.

Where only the flip angle and phase of the pulse change from step to step, every step is the same global 3 x 3 rotation
for all spins, and then one fixed complex factor and one decay for each spin. Eager, a step is three kernels over planar
rows, in place, on blocks that stay in the cache; what bounds it there is the bandwidth of the cache, since each
kernel reads and writes the state once. Compiled, 20 steps are one kernel that keeps a spin's state in registers: then
arithmetic bounds it, 23 operations a spin and step, five of them in a chain that each step must wait for.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from medlab.arguments import as_finite
from medlab.physics.mri.spins import bloch
from medlab.physics.mri.spins.arguments import Real, as_duration
from medlab.physics.mri.spins.events import Recording
from medlab.physics.mri.spins.state import Spins

# On a CPU 13 numbers a spin are touched in each step: 7 MB in float32, which a last-level cache holds. A GPU
# wants few large kernels; there the block only bounds the memory.
BLOCK_OF_SPINS = {"cpu": 2**17, "cuda": 2**24, "mps": 2**24}
# Rows this short are multiplied by a 4 x 4 matrix 1.5 times as fast as long ones; shorter ones gain nothing more.
TILE_OF_SPINS = 2000
# More would run little faster and take longer to compile.
STEPS_A_KERNEL = 20


def pulse_train(
    spins: Spins,
    flip_angle_deg: Tensor,
    phase_deg: Real,
    time_ms: float,
    *,
    read: bool = False,
    compiled: bool = False,
) -> Recording:
    """Many steps, each of them `spins.pulse(flip, phase).evolve(time_ms)`, fast.

    flip_angle_deg: (steps,) in degrees, one for each step and the same for all spins; phase_deg: (steps,) or a number;
    time_ms: the length of every step, 0 or more. read: record the mean over all spins at the end of every step.
    compiled: through `torch.compile`, which takes seconds at the first call for a shape, needs a C++ compiler (Triton
    on a GPU) and cannot read; steps that do not fill a kernel of 20 run eagerly.

    The spins that come in are left alone. Where a gradient is asked for, the plain differentiable steps run instead,
    whatever compiled says. Each step rounds the state once or twice: after 1,000 steps float32 has lost about 10^-6.
    Raises ValueError for other shapes, values that are not finite and a compiled train that shall be read.
    """
    flip, phase = as_finite(flip_angle_deg, "flip_angle_deg"), as_finite(phase_deg, "phase_deg")
    if flip.ndim != 1 or len(flip) == 0:
        raise ValueError(f"flip_angle_deg has shape {tuple(flip.shape)}, expected (steps,) with at least one step")
    if phase.shape not in ((), flip.shape):
        raise ValueError(f"phase_deg has shape {tuple(phase.shape)}, expected {tuple(flip.shape)} or one number")
    time = as_duration(time_ms)
    if time.ndim:
        raise ValueError(f"time_ms has shape {tuple(time.shape)}, expected one number for all steps")
    if read and compiled:
        raise ValueError("read and compiled are both true, expected one of them: a compiled train shows only its end")
    clock = torch.arange(1, 1 + len(flip) if read else 1, dtype=torch.float64) * float(time)
    given = (flip, phase, time, spins.t1_ms, spins.t2_ms, spins.off_resonance_hz, spins.proton_density)
    state = (spins.transverse, spins.longitudinal)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*given, *state)):
        return _plain_train(spins, flip, phase.expand(flip.shape), time, clock)
    with torch.no_grad(), _full_precision():
        return _fast_train(spins, flip, phase, time, clock, compiled)


def _plain_train(spins: Spins, flip: Tensor, phase: Tensor, time: Tensor, clock: Tensor) -> Recording:
    signals, longitudinals = [], []
    for angle, axis in zip(flip, phase, strict=True):
        spins = spins.pulse(angle, axis).evolve(time)
        if len(clock):
            signals.append(spins.signal())
            longitudinals.append(spins.longitudinal.mean())
    if not signals:
        return Recording(clock, spins.transverse.new_empty(0), spins.longitudinal.new_empty(0), spins)
    return Recording(clock, torch.stack(signals), torch.stack(longitudinals), spins)


def _fast_train(spins: Spins, flip: Tensor, phase: Tensor, time: Tensor, clock: Tensor, compiled: bool) -> Recording:
    matrices = bloch.rotation(flip.double().cpu(), phase.double().cpu()).to(spins.dtype).to(spins.device)
    spin, decay, recovery = bloch.evolution_coefficients(time, spins.t1_ms, spins.t2_ms, spins.off_resonance_hz)
    per_spin = [spin.real, spin.imag, decay, recovery.to(spins.device) * spins.proton_density]
    per_spin = [value.to(spins.dtype).to(spins.device).expand(spins.shape).reshape(-1) for value in per_spin]
    planes = torch.stack((spins.transverse.real, spins.transverse.imag, spins.longitudinal)).reshape(3, -1)
    sums = planes.new_zeros(len(clock), 3)
    size = BLOCK_OF_SPINS.get(spins.device.type, BLOCK_OF_SPINS["cpu"])
    for start in range(0, planes.shape[1], size):
        block = planes[:, start : start + size].contiguous()
        factors = [value[start : start + size] for value in per_spin]
        done = 0
        if compiled:
            block, done = _compiled_steps(block, factors, matrices)
        if done < len(matrices):
            _eager_steps(block, factors, matrices[done:], sums)
        planes[:, start : start + size] = block
    x, y, z = planes.view(3, *spins.shape).unbind(0)
    means = sums / planes.shape[1]
    signal = torch.complex(means[:, 0].contiguous(), means[:, 1].contiguous())
    return Recording(clock, signal, means[:, 2], spins.replace(torch.complex(x, y), z.contiguous()))


def _eager_steps(planes: Tensor, factors: list[Tensor], matrices: Tensor, sums: Tensor) -> None:
    """All steps on (3, n), in place; adds the sum over the spins after each step to sums, where it has rows."""
    real, imaginary, decay, regrown = (_tiles(factor[None]) for factor in factors)
    straight = torch.cat((real, real, decay), 1)
    crossed = torch.cat((-imaginary, imaginary), 1)
    # What regrows in a step is added by the next rotation: the fourth row holds it, and its column is that of M_z.
    state = torch.cat((_tiles(planes), regrown), 1)
    state[:, 2:3] -= regrown
    # The rotated rows in the order y, x, y, z: the product with `straight` takes (x, y, z), that with `crossed` (y, x),
    # both as plain slices. Together they multiply x + iy by the spin's complex factor.
    ordered = matrices[:, [1, 0, 1, 2]][:, :, [0, 1, 2, 2]].contiguous()
    turned = torch.empty_like(state)
    flipped, upright = turned[:, :2], turned[:, 1:]
    transverse, vector = state[:, :2], state[:, :3]
    bmm, mul = torch.bmm, torch.mul
    for step, matrix in enumerate(ordered.unbind(0)):
        bmm(matrix.expand(len(state), 4, 4), state, out=turned)
        mul(straight, upright, out=vector)
        transverse.addcmul_(crossed, flipped)
        if len(sums):
            sums[step] += vector.sum((0, 2))
    if len(sums):
        sums[:, 2] += regrown.sum()
    state[:, 2:3] += regrown
    planes.copy_(vector.transpose(0, 1).reshape(3, -1)[:, : planes.shape[1]])


def _tiles(rows: Tensor) -> Tensor:
    """Rows (r, n) as tiles (t, r, TILE_OF_SPINS), filled up with zeros, which stay zero in every step."""
    missing = -rows.shape[1] % TILE_OF_SPINS
    return torch.nn.functional.pad(rows, (0, missing)).view(len(rows), -1, TILE_OF_SPINS).transpose(0, 1).contiguous()


def _compiled_steps(planes: Tensor, factors: list[Tensor], matrices: Tensor) -> tuple[Tensor, int]:
    """As many whole kernels of steps as there are; the new planes (3, n) and the number of steps done."""
    kernels = matrices.flatten(1).split(STEPS_A_KERNEL)
    kernels = [kernel for kernel in kernels if len(kernel) == STEPS_A_KERNEL]
    if not kernels:
        return planes, 0
    x, y, z = planes.unbind(0)
    factors = [factor.contiguous() for factor in factors]
    for kernel in kernels:
        x, y, z = _kernel()(x, y, z, *factors, kernel)
    return torch.stack((x, y, z)), STEPS_A_KERNEL * len(kernels)


@functools.cache
def _kernel():
    return torch.compile(_steps, fullgraph=True)


def _steps(
    x: Tensor, y: Tensor, z: Tensor, real: Tensor, imaginary: Tensor, decay: Tensor, regrown: Tensor, matrices: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """STEPS_A_KERNEL steps written out; matrices (steps, 9)."""
    for m in matrices.unbind(0):
        u = m[0] * x + m[1] * y + m[2] * z
        v = m[3] * x + m[4] * y + m[5] * z
        w = m[6] * x + m[7] * y + m[8] * z
        x, y, z = real * u - imaginary * v, imaginary * u + real * v, decay * w + regrown
    return x, y, z


@contextmanager
def _full_precision() -> Iterator[None]:
    """Matrix products in true float32: a training script may have allowed TF32 or bfloat16 for the whole process."""
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch before 2.9
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
        return
    # Backend by backend: the one setting for all of them raises once a script has used these.
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    allowed = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, allowed, strict=True):
            backend.fp32_precision = precision
