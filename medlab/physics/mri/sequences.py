r"""What an image shows of a tissue: the settled signal of the classical sequences, as closed equations on maps.

Each function takes maps of proton density and relaxation times (numbers or tensors that broadcast) and the settings of
a sequence, and gives the signal that spins there have after enough repetitions. `medlab.physics.mri.spins.sequences`
has the same experiments as events for the Bloch simulation, and the tests play those against these equations.

All pulses here are instantaneous and exact. Between the spin echo's reading and the next repetition the transverse
magnetisation is perfectly spoiled. Times in ms, angles in degrees; with E(t) = exp(-t / T1) below.
"""

import torch
from torch import Tensor

from medlab.arguments import as_finite, as_real
from medlab.physics.mri.spins.arguments import (
    Real,
    as_duration,
    as_relaxation_times,
    broadcast_shape,
    choose_device,
    choose_dtype,
    refuse_missing_precision,
)
from medlab.physics.mri.spins.steady_state import ernst_signal


def spin_echo_signal(
    proton_density: Real, t1_ms: Real, t2_ms: Real, *, echo_time_ms: Real, repetition_time_ms: Real
) -> Tensor:
    """90 degrees, 180 at TE/2, echo at TE, again after TR: rho (1 - 2 E(TR - TE/2) + E(TR)) exp(-TE / T2).

    proton_density: 0 or more; t1_ms, t2_ms: above 0, possibly infinite, T2 <= 2 T1; 0 <= TE <= TR. The result has
    the shape that all broadcast to, values of 0 or more, float32 unless a tensor is float64.
    Raises ValueError for other values, NaN and shapes that do not broadcast. Source: Nishimura, Principles of MRI,
    2010, with the refocusing pulse's turn of M_z kept (the short form rho (1 - E(TR)) exp(-TE / T2) drops it).
    """
    density, t1, t2, echo, repetition = _arguments(
        proton_density, t1_ms, t2_ms, echo_time_ms=echo_time_ms, repetition_time_ms=repetition_time_ms
    )
    _refuse_late_echo(echo, repetition)
    # 1 - 2 E(TR - TE/2) + E(TR) as two differences near zero: no digits are lost where TR is much shorter than T1.
    before = (repetition - echo / 2) / t1
    recovered = -torch.expm1(-before) + torch.exp(-before) * torch.expm1(-echo / (2 * t1))
    return density * recovered * torch.exp(-echo / t2)


def inversion_recovery_signal(
    proton_density: Real,
    t1_ms: Real,
    t2_ms: Real,
    *,
    inversion_time_ms: Real,
    echo_time_ms: Real,
    repetition_time_ms: Real,
    signed: bool = False,
) -> Tensor:
    """180 degrees, TI later a spin echo as in `spin_echo_signal`, again TR after the inversion.

    rho (1 - 2 E(TI) + 2 E(TR - TE/2) - E(TR)) exp(-TE / T2), its magnitude unless signed. What the inversion leaves in
    the transverse plane is spoiled. Arguments as there, with TI >= 0 and TI < TR, TI + TE <= TR.
    Source: Haacke et al., Magnetic Resonance Imaging, 1999, with finite TR and TE.
    """
    density, t1, t2, inversion, echo, repetition = _arguments(
        proton_density,
        t1_ms,
        t2_ms,
        inversion_time_ms=inversion_time_ms,
        echo_time_ms=echo_time_ms,
        repetition_time_ms=repetition_time_ms,
    )
    _refuse_late_echo(echo, repetition)
    if bool((inversion >= repetition).any()):
        raise ValueError(
            f"inversion_time_ms is {_first(inversion, inversion >= repetition):g}, expected less than "
            "repetition_time_ms"
        )
    # Decimal times in float32 differ from their sum in the last bits.
    if bool((inversion + echo > repetition * (1 + 1e-6)).any()):
        raise ValueError("inversion_time_ms plus echo_time_ms exceeds repetition_time_ms, expected TI + TE <= TR")
    settled = -torch.expm1(-repetition / t1) - 2 * (
        torch.exp(-inversion / t1) - torch.exp(-(repetition - echo / 2) / t1)
    )
    signal = density * settled * torch.exp(-echo / t2)
    return signal if signed else signal.abs()


def null_inversion_time_ms(t1_ms: Real, *, repetition_time_ms: Real, echo_time_ms: Real = 0.0) -> Real:
    """The inversion time in ms at which a tissue of this T1 gives no signal in `inversion_recovery_signal`.

    TI = T1 (ln 2 - ln(1 + 2 E(TR - TE/2) - E(TR))), exact for finite TR and TE; T1 ln 2 where TR is infinite. Numbers
    give a number, tensors that broadcast a tensor, in float64 (float32 on devices that have none).
    Raises ValueError where TR and TE leave no such time, that is where TI would be below 0 or TI + TE above TR.
    """
    t1 = as_real(t1_ms, "t1_ms")
    if bool((t1 <= 0).any()):
        raise ValueError(f"t1_ms is {float(t1.min())}, expected a time above 0 ms")
    repetition = as_real(repetition_time_ms, "repetition_time_ms")
    if bool((repetition < 0).any()):
        raise ValueError(f"repetition_time_ms is {float(repetition.min())}, expected a time of 0 ms or more")
    echo = as_duration(echo_time_ms, "echo_time_ms")
    broadcast_shape(t1_ms=t1, repetition_time_ms=repetition, echo_time_ms=echo)
    device = choose_device((t1, repetition, echo))
    dtype = torch.float32 if device.type == "mps" else torch.float64
    t1, repetition, echo = (value.to(dtype).to(device) for value in (t1, repetition, echo))
    _refuse_late_echo(echo, repetition)
    missing = 2 * torch.exp(-(repetition - echo / 2) / t1) - torch.exp(-repetition / t1)
    inversion = t1 * (torch.log(torch.tensor(2.0, dtype=dtype, device=device)) - torch.log1p(missing))
    impossible = (inversion < 0) | (inversion + echo > repetition)
    if bool(impossible.any()):
        raise ValueError(
            f"repetition_time_ms is {_first(repetition, impossible):g}, expected one long enough for an inversion "
            "time that nulls this T1 and for the echo after it"
        )
    given = (t1_ms, repetition_time_ms, echo_time_ms)
    return inversion if any(isinstance(value, Tensor) for value in given) else float(inversion)


def flair_signal(
    proton_density: Real,
    t1_ms: Real,
    t2_ms: Real,
    *,
    echo_time_ms: Real,
    repetition_time_ms: Real,
    fluid_t1_ms: Real = 4300.0,
) -> Tensor:
    """Fluid-attenuated inversion recovery: `inversion_recovery_signal` (magnitude) at the null of the fluid.

    fluid_t1_ms: the T1 that shall vanish; 4300 ms is that of cerebrospinal fluid at 1.5 T and 3 T (`tissues`). A
    single echo is read here; scanners read a train of echoes, which delays the recovery and shortens TI a little more.
    Source: Hajnal et al., J. Comput. Assist. Tomogr. 16, 841, 1992.
    """
    times = {"echo_time_ms": echo_time_ms, "repetition_time_ms": repetition_time_ms}
    inversion = null_inversion_time_ms(fluid_t1_ms, **times)
    if isinstance(inversion, Tensor):
        # A float64 number must not widen float32 maps.
        inversion = inversion.to(choose_dtype((proton_density, t1_ms, t2_ms, fluid_t1_ms, *times.values())))
    return inversion_recovery_signal(proton_density, t1_ms, t2_ms, inversion_time_ms=inversion, **times)


def spoiled_gradient_echo_signal(
    proton_density: Real,
    t1_ms: Real,
    t2_star_ms: Real,
    *,
    flip_angle_deg: Real,
    echo_time_ms: Real,
    repetition_time_ms: Real,
) -> Tensor:
    """A pulse every TR, read at TE, perfectly spoiled: rho sin(a) (1 - E) / (1 - E cos(a)) exp(-TE / T2*), E = E(TR).

    t1_ms, t2_star_ms: above 0; otherwise as `spin_echo_signal`. Source: Ernst and Anderson, Rev. Sci. Instrum. 37, 93,
    1966. Scanners spoil with phases of the pulse that change, which differs by a few per cent at large flip angles.
    """
    density, t1, t2_star, flip, echo, repetition = _arguments(
        proton_density,
        t1_ms,
        t2_star_ms,
        last_name="t2_star_ms",
        flip_angle_deg=flip_angle_deg,
        echo_time_ms=echo_time_ms,
        repetition_time_ms=repetition_time_ms,
    )
    _refuse_late_echo(echo, repetition)
    return density * ernst_signal(flip, repetition, t1) * torch.exp(-echo / t2_star)


def balanced_ssfp_signal(
    proton_density: Real,
    t1_ms: Real,
    t2_ms: Real,
    *,
    flip_angle_deg: Real,
    repetition_time_ms: Real,
    echo_time_ms: Real | None = None,
) -> Tensor:
    """Balanced steady-state free precession, on resonance, with pulses of alternating sign.

    rho sin(a) (1 - E1) / (1 - (E1 - E2) cos(a) - E1 E2) exp(-TE / T2), E1 = exp(-TR / T1), E2 = exp(-TR / T2); TE is
    TR / 2 unless given. Arguments otherwise as `spin_echo_signal`. The sign of the signal, which alternates with that
    of the pulses, is left out. Sources: Carr, Phys. Rev. 112, 1693, 1958; Freeman and Hill, J. Magn. Reson. 4, 366,
    1971.
    """
    echo_given = _half(repetition_time_ms) if echo_time_ms is None else echo_time_ms
    density, t1, t2, flip, echo, repetition = _arguments(
        proton_density,
        t1_ms,
        t2_ms,
        flip_angle_deg=flip_angle_deg,
        echo_time_ms=echo_given,
        repetition_time_ms=repetition_time_ms,
    )
    _refuse_late_echo(echo, repetition)
    angle, lost1, lost2 = torch.deg2rad(flip), -torch.expm1(-repetition / t1), -torch.expm1(-repetition / t2)
    # The denominator with L = 1 - E, which keeps its digits where TR is much shorter than T2:
    # L1 (1 + cos a) + L2 (1 - cos a) - L1 L2. At a = 0 and TR = 0 it is 0, so we add the smallest number there is.
    below = 2 * lost1 * torch.cos(angle / 2).square() + 2 * lost2 * torch.sin(angle / 2).square() - lost1 * lost2
    settled = torch.sin(angle) * lost1 / (below + torch.finfo(below.dtype).tiny)
    return density * settled * torch.exp(-echo / t2)


def _arguments(
    proton_density: object, t1_ms: object, t2_ms: object, *, last_name: str = "t2_ms", **settings: object
) -> list[Tensor]:
    """Maps and settings as tensors of one precision on one device, refused where no sequence can have them."""
    density = as_finite(proton_density, "proton_density")
    if bool((density < 0).any()):
        raise ValueError(f"proton_density is {float(density.min())}, expected 0 or more")
    if last_name == "t2_ms":
        t1, t2 = as_relaxation_times(t1_ms, t2_ms)
    else:
        t1, t2 = as_real(t1_ms, "t1_ms"), as_real(t2_ms, last_name)
        for value, name in ((t1, "t1_ms"), (t2, last_name)):
            if bool((value <= 0).any()):
                raise ValueError(f"{name} is {float(value.min())}, expected a time above 0 ms")
    named = {"proton_density": density, "t1_ms": t1, last_name: t2}
    for name, value in settings.items():
        named[name] = as_duration(value, name) if name.endswith("_ms") else as_finite(value, name)
    broadcast_shape(**named)
    given = (proton_density, t1_ms, t2_ms, *settings.values())
    dtype, device = choose_dtype(given), choose_device(given)
    refuse_missing_precision(dtype, device)
    return [value.to(dtype).to(device) for value in named.values()]


def _refuse_late_echo(echo: Tensor, repetition: Tensor) -> None:
    late = echo > repetition
    if bool(late.any()):
        raise ValueError(f"echo_time_ms is {_first(echo, late):g}, expected at most repetition_time_ms")


def _first(value: Tensor, where: Tensor) -> float:
    return float(value.expand(where.shape)[where][0])


def _half(time_ms: Real) -> Real:
    return as_duration(time_ms, "repetition_time_ms") / 2 if isinstance(time_ms, Tensor) else time_ms / 2
