"""The classical experiments as lists of events.

Excitations turn M_z to +M_x, so a signal on resonance starts real and positive.
"""

from medlab.physics.mri.spins.events import Delay, Event, Pulse, Read, Spoil


def free_induction_decay(duration_ms: float, flip_angle_deg: float = 90.0) -> list[Event]:
    """A pulse and then nothing for duration_ms. Choose the moments to read with `read_at`."""
    return [Pulse(flip_angle_deg, 90.0), Delay(duration_ms)]


def inversion_recovery(inversion_time_ms: float) -> list[Event]:
    """Inversion, recovery for the inversion time, and a 90 degree pulse that shows M_z; one reading, right after it.

    What an imperfect inversion left in the transverse plane is spoiled. From equilibrium the signal is
    M_0 (1 - 2 exp(-TI / T1)), signed.
    """
    return [Pulse(180.0, 90.0), Delay(inversion_time_ms), Spoil(), Pulse(90.0, 90.0), Read()]


def spin_echo(echo_time_ms: float, refocusing_angle_deg: float = 180.0) -> list[Event]:
    """Excitation, refocusing about x at half the echo time, a reading at the echo (Hahn, Phys. Rev. 80, 580, 1950)."""
    return multi_echo(echo_time_ms, 1, refocusing_angle_deg)


def multi_echo(
    echo_spacing_ms: float,
    echoes: int,
    refocusing_angle_deg: float = 180.0,
    refocusing_phase_deg: float = 0.0,
) -> list[Event]:
    """One excitation and a train of refocusing pulses, one reading at each echo.

    refocusing_phase_deg: 0 turns about x, along the excited magnetisation: Carr, Purcell, Meiboom and Gill (Rev. Sci.
    Instrum. 29, 688, 1958), in which errors of the refocusing angle cancel at every second echo. 90 turns about y: Carr
    and Purcell's train (Phys. Rev. 94, 630, 1954), in which they add up.
    """
    _refuse_less_than_one(echoes, "echoes")
    half = Delay(echo_spacing_ms / 2)
    return [Pulse(90.0, 90.0)] + [half, Pulse(refocusing_angle_deg, refocusing_phase_deg), half, Read()] * echoes


def spoiled_gradient_echo(
    flip_angle_deg: float, repetition_time_ms: float, repetitions: int, echo_time_ms: float = 0.0
) -> list[Event]:
    """Many excitations, each read at the echo time and perfectly spoiled before the next one.

    The readings settle at `ernst_signal` times exp(-TE / T2*), about T1 / TR repetitions after the start.
    """
    _refuse_less_than_one(repetitions, "repetitions")
    if not 0 <= echo_time_ms <= repetition_time_ms:
        raise ValueError(
            f"echo_time_ms is {echo_time_ms}, expected a time within the repetition time of {repetition_time_ms} ms"
        )
    before, after = Delay(echo_time_ms), Delay(repetition_time_ms - echo_time_ms)
    return [Pulse(flip_angle_deg, 90.0), before, Read(), after, Spoil()] * repetitions


def _refuse_less_than_one(count: int, name: str) -> None:
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"{name} is {count}, expected a whole number of at least 1")
