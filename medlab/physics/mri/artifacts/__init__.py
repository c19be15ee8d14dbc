"""MR artefacts, each from its cause. Import from here.

Images are (..., X, Y), X the direction of the readout, Y that of phase encoding; transpose to swap them. Each function
takes a strength whose docstring says what it means; at 0 the image is returned unchanged. A real image counts as a
magnitude image and leaves as one, a complex image stays complex.
"""

from medlab.physics.mri.artifacts.bias import add_bias, bias_field, n4_correction
from medlab.physics.mri.artifacts.folding import fold, shrink_field_of_view
from medlab.physics.mri.artifacts.interference import rician_noise, spike, zipper
from medlab.physics.mri.artifacts.motion import Motion, draw_motion, move_during_scan, rotate
from medlab.physics.mri.artifacts.susceptibility import AIR_IN_TISSUE_PPM, sphere_field_hz, susceptibility
from medlab.physics.mri.artifacts.truncation import GIBBS_OVERSHOOT, gibbs, step_response

__all__ = [
    "AIR_IN_TISSUE_PPM",
    "GIBBS_OVERSHOOT",
    "Motion",
    "add_bias",
    "bias_field",
    "draw_motion",
    "fold",
    "gibbs",
    "move_during_scan",
    "n4_correction",
    "rician_noise",
    "rotate",
    "shrink_field_of_view",
    "sphere_field_hz",
    "spike",
    "step_response",
    "susceptibility",
    "zipper",
]
