"""Spins in a magnetic field: exact rotations, precession and relaxation for batches of spins on any device.

Import from here. Times in ms, frequencies in Hz, angles in degrees, fields in tesla; the frame and the signs are those
of `bloch`. M_z is the longitudinal and M_xy the transverse magnetisation (thesis section 3.1.2 prints |M_xy| for the
longitudinal one in one sentence, a misprint).
"""

from medlab.physics.mri.spins.bloch import apply_propagator, propagator, rotation
from medlab.physics.mri.spins.constants import (
    BOLTZMANN_J_PER_K,
    GAMMA_MHZ_PER_T,
    GAMMA_RAD_PER_S_T,
    HBAR_J_S,
    PLANCK_J_S,
    larmor_frequency_mhz,
    polarisation,
    polarisation_small_field,
)
from medlab.physics.mri.spins.events import Delay, Event, Irradiate, Pulse, Read, Recording, Spoil, read_at, run
from medlab.physics.mri.spins.inhomogeneity import (
    draw_lorentzian_hz,
    half_width_hz,
    spaced_lorentzian_hz,
    t2_star_ms,
)
from medlab.physics.mri.spins.selective import (
    ShapedPulse,
    gradient_for_slice,
    refocusing_profile,
    select_slice,
    windowed_sinc,
)
from medlab.physics.mri.spins.sequences import (
    free_induction_decay,
    inversion_recovery,
    multi_echo,
    spin_echo,
    spoiled_gradient_echo,
)
from medlab.physics.mri.spins.state import Spins
from medlab.physics.mri.spins.steady_state import ernst_angle_deg, ernst_signal
from medlab.physics.mri.spins.train import pulse_train

__all__ = [
    "BOLTZMANN_J_PER_K",
    "GAMMA_MHZ_PER_T",
    "GAMMA_RAD_PER_S_T",
    "HBAR_J_S",
    "PLANCK_J_S",
    "Delay",
    "Event",
    "Irradiate",
    "Pulse",
    "Read",
    "Recording",
    "ShapedPulse",
    "Spins",
    "Spoil",
    "apply_propagator",
    "draw_lorentzian_hz",
    "ernst_angle_deg",
    "ernst_signal",
    "free_induction_decay",
    "gradient_for_slice",
    "half_width_hz",
    "inversion_recovery",
    "larmor_frequency_mhz",
    "multi_echo",
    "polarisation",
    "polarisation_small_field",
    "propagator",
    "pulse_train",
    "read_at",
    "refocusing_profile",
    "rotation",
    "run",
    "select_slice",
    "spaced_lorentzian_hz",
    "spin_echo",
    "spoiled_gradient_echo",
    "t2_star_ms",
    "windowed_sinc",
]
