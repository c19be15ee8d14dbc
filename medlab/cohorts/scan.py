"""Scanning a subject: images by the physics of `medlab.physics`, from the exact shares of its tissues."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from medlab.arguments import number, whole
from medlab.cohorts.grid import Grid
from medlab.cohorts.subject import Subject
from medlab.cohorts.texture import smooth_noise
from medlab.cohorts.tissues import TISSUES, hounsfield, magnetic, materials
from medlab.data.chance import generator_for
from medlab.physics.ct.artifacts import WaterCorrection, hardened_sinogram, path_lengths_mm, with_noise
from medlab.physics.ct.projection import ParallelBeam
from medlab.physics.ct.reconstruction import fbp
from medlab.physics.ct.xray import to_hu, tube_spectrum
from medlab.physics.mri.artifacts import bias_field
from medlab.physics.mri.sequences import (
    inversion_recovery_signal,
    null_inversion_time_ms,
    spin_echo_signal,
    spoiled_gradient_echo_signal,
)
from medlab.physics.mri.snr import magnitude_with_noise

# Relaxivities of gadolinium chelates in plasma at 3 T in 1/(mM s), round (Rohrer et al., Invest. Radiol. 40, 2005).
R1_PER_MM_S, R2_PER_MM_S = 3.7, 5.0
# Where contrast medium goes, as a share of its concentration in blood: it does not cross an intact barrier.
TAKES_UP = {
    "blood": 1.0,
    "enhancing tumour": 0.6,
    "dura mater": 0.35,
    "skin": 0.15,
    "muscle": 0.12,
    "tumour core": 0.08,
}
FLOW_VOID = 0.1  # what a spin echo hears of flowing blood, which has left the slice before its second pulse
WINDOW = "hann"  # of the reconstruction: what scanners use for soft tissue


@dataclass(frozen=True)
class Sequence:
    """The settings of an MR sequence; times in ms.

    kind: "spin echo", "inversion recovery" (with inversion_time_ms, or None for the one that nulls fluid) or "gradient
    echo" (spoiled, with flip_angle_deg; its echo decays with T2*). gadolinium_mm: concentration in blood in mmol/l.
    """

    name: str
    kind: str
    repetition_time_ms: float
    echo_time_ms: float
    inversion_time_ms: float | None = None
    flip_angle_deg: float = 90.0
    gadolinium_mm: float = 0.0

    def signals(self, tissues: Mapping[str, Tensor]) -> Tensor:
        """The signal of tissues with these values (see `tissues.magnetic`), signed; of their shape."""
        density, t1, t2, t2_star = (tissues[key] for key in ("proton_density", "t1_ms", "t2_ms", "t2_star_ms"))
        if self.gadolinium_mm:
            uptake = torch.tensor([TAKES_UP.get(name, 0.0) for name in TISSUES]) * self.gadolinium_mm / 1000
            t1, t2 = 1 / (1 / t1 + R1_PER_MM_S * uptake), 1 / (1 / t2 + R2_PER_MM_S * uptake)
            t2_star = 1 / (1 / t2_star + R2_PER_MM_S * uptake)
        times = {"echo_time_ms": self.echo_time_ms, "repetition_time_ms": self.repetition_time_ms}
        if self.kind != "gradient echo":
            flowing = torch.tensor([name == "blood" for name in TISSUES])
            density = torch.where(flowing, FLOW_VOID * density, density)
        if self.kind == "spin echo":
            return spin_echo_signal(density, t1, t2, **times)
        if self.kind == "gradient echo":
            return spoiled_gradient_echo_signal(density, t1, t2_star, flip_angle_deg=self.flip_angle_deg, **times)
        if self.kind == "inversion recovery":
            inversion = self.inversion_time_ms
            if inversion is None:
                inversion = null_inversion_time_ms(float(tissues["t1_ms"][TISSUES.index("outer csf")]), **times)
            return inversion_recovery_signal(density, t1, t2, inversion_time_ms=inversion, signed=True, **times)
        kinds = "spin echo, inversion recovery or gradient echo"
        raise ValueError(f"kind of sequence {self.name} is {self.kind!r}, expected {kinds}")


T1 = Sequence("T1", "gradient echo", 25.0, 4.0, flip_angle_deg=28.0)
T1_CONTRAST = Sequence("T1ce", "gradient echo", 25.0, 4.0, flip_angle_deg=28.0, gadolinium_mm=1.0)
T2 = Sequence("T2", "spin echo", 5000.0, 95.0)
FLAIR = Sequence("FLAIR", "inversion recovery", 9000.0, 110.0)
PROTON_DENSITY = Sequence("PD", "spin echo", 5000.0, 15.0)
T1_INVERSION = Sequence("T1-IR", "inversion recovery", 4400.0, 12.0, inversion_time_ms=950.0)


def mr_image(
    subject: Subject,
    sequence: Sequence,
    seed: int,
    *,
    field_t: float = 3.0,
    noise: float = 0.02,
    bias: float = 0.15,
    variation: float = 0.03,
    texture: float = 0.02,
    values: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The magnitude image of a sequence, (X, Y, Z) float32, in units in which a signal of 1 is all protons of water.

    seed: of this scan; together with the sequence's name it decides noise and coil. field_t: 1.5 or 3. noise: standard
    deviation of the noise in each part, as a share of the white matter's signal. bias: strength of the coil's bias
    field (`physics.mri.artifacts.bias_field`). variation: by which share T1, T2 and density of the tissues vary from
    person to person. texture: by which share the signal varies smoothly within a tissue. values: densities and times
    of all tissues where they are others than those of `tissues.magnetic(field_t)`.
    """
    person = generator_for(subject.person.seed, "tissue values")
    drawn = {
        key: value * torch.exp(number(variation, "variation", 0) * torch.randn(value.shape, generator=person))
        for key, value in (magnetic(field_t) if values is None else values).items()
    }
    drawn["t2_star_ms"] = torch.minimum(drawn["t2_star_ms"], drawn["t2_ms"])
    signals = sequence.signals(drawn)
    image = sum(share * float(signals[TISSUES.index(name)]) for name, share in subject.shares.items()).abs()
    own = generator_for(subject.person.seed, "texture")
    chance = generator_for(whole(seed, "seed", 0), f"scan {sequence.name}")
    sigma = number(noise, "noise", 0) * abs(float(signals[TISSUES.index("white matter")]))
    return received(image, subject.grid, own, chance, texture=texture, bias=bias, sigma=sigma)


def received(
    signal: Tensor,
    grid: Grid,
    own: torch.Generator,
    chance: torch.Generator,
    *,
    texture: float,
    bias: float,
    sigma: float,
    texture_mm: float = 3.0,
) -> Tensor:
    """The magnitude image that a coil receives of a signal (X, Y, Z): with texture, the coil's bias field and noise.

    own: draws the texture, which belongs to the subject. chance: draws what belongs to the scan. texture, bias: their
    strengths, shares of the signal. texture_mm: how long it is. sigma: of the noise in each part, in the signal's unit.
    """
    if number(texture, "texture", 0):
        length = min(texture_mm / min(grid.spacing_mm), 4.0)
        signal = signal * torch.exp(texture * smooth_noise(grid.shape, length, own))
    if number(bias, "bias", 0):
        signal = signal * bias_field(grid.shape, bias, chance)
    return magnitude_with_noise(signal, sigma, chance) if sigma else signal


def ct_image(
    subject: Subject,
    seed: int,
    *,
    tube_voltage_kv: float = 120.0,
    photons: float = 3e6,
    views: int | None = None,
    reconstructed: bool = True,
) -> Tensor:
    """A CT of the subject in HU, (X, Y, Z) float32.

    reconstructed: slice by slice a sinogram of the polychromatic beam is measured with photon noise, water-corrected
    and reconstructed by filtered back-projection, on a square grid (X = Y, square voxels); else the CT numbers of the
    tissues are mixed, with white noise of 3 HU. photons: those that a ray would have without the patient. views: as
    many as there are voxels across where not given.
    Raises ValueError where the grid's slices are not square.
    """
    chance = generator_for(whole(seed, "seed", 0), "scan CT")
    if not reconstructed:
        numbers = hounsfield(tube_voltage_kv)
        image = sum(share * numbers[TISSUES.index(name)] for name, share in subject.shares.items())
        return image + 3.0 * torch.randn(image.shape, generator=chance)
    (width, depth, count), (step, other, _) = subject.grid.shape, subject.grid.spacing_mm
    if width != depth or abs(step - other) > 1e-6:
        raise ValueError(f"the grid's slices have {width} x {depth} voxels, expected square ones for a reconstruction")
    views = width if views is None else whole(views, "views")
    scanner = ParallelBeam(torch.arange(views) * 180.0 / views, width, pixel_mm=step)
    beam = tube_spectrum(tube_voltage_kv, 6.0, 4.0)
    correction = WaterCorrection(beam)
    groups = _by_material(subject)
    image = torch.empty(subject.grid.shape)
    for z in range(count):
        lengths = path_lengths_mm(torch.stack([share[..., z] for _, share in groups]), scanner)
        measured = hardened_sinogram(lengths, [material for material, _ in groups], beam)
        noisy = with_noise(measured, number(photons, "photons", 1), chance)
        image[..., z] = to_hu(fbp(correction(noisy).float(), scanner, WINDOW), correction.water_per_cm)
    return image


def _by_material(subject: Subject) -> list[tuple[object, Tensor]]:
    """What is in the beam besides air: each material once, with its share (X, Y, Z)."""
    groups: dict[object, Tensor] = {}
    for name, share in subject.shares.items():
        material = materials()[TISSUES.index(name)]
        if name != "air":
            groups[material] = groups[material] + share if material in groups else share
    return list(groups.items())
