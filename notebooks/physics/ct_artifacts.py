# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags
#     formats: ipynb,py:percent
#     notebook_metadata_filter: jupytext,kernelspec,lesson
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lesson:
#     paths:
#     - clinician
#     - engineer
#     - physicist
#     prerequisites:
#     - physics/xrays_and_attenuation
#     - physics/projections_to_slices
#     summary: Why CT images show cups, streaks, rings and double contours, how to tell
#       them apart, and what can be mended.
#     weights: []
# ---

# %% [markdown]
# # CT artefacts
#
# Filtered back-projection is exact, if what the scanner measured were what the mathematics assumes: line integrals of one still object, along rays that all
# saw the same kind of photons, in enough views, by perfect detectors. No scan is like that. Each broken assumption leaves a mark of its own in the image, and whoever
# knows the marks can read the cause from the picture. A network that has never seen them will take a streak for a haemorrhage. Here we break the assumptions one
# at a time, on a head of which we know the truth.
#
# **You will be able to**
#
# - name the cause of an artefact from its pattern: cup, dark band, streak, ring, double contour, bright rim
# - simulate each one from the equation that makes it, at a strength of your choice
# - correct beam hardening in water with a polynomial, and say why bone and metal resist
# - predict the radius of a ring, and the direction of a streak
# - judge which artefacts averaging, more views or more dose can cure, and which not
#
# **You need** [X-rays and attenuation](xrays_and_attenuation.ipynb), for the beam and its noise, and [From projections to slices](projections_to_slices.ipynb),
# for sinograms and filtered back-projection.

# %% tags=["setup", "hide-input"]
# Find medlab: installed, in this checkout, or (on Colab) from the book's repository. Torch stays as it is.
import importlib.util, pathlib, subprocess, sys

REPOSITORY = ""
if importlib.util.find_spec("medlab") is None:
    here = pathlib.Path.cwd().resolve()
    folders = [p for p in (here, *here.parents) if (p / "medlab" / "__init__.py").is_file()]
    if folders:
        sys.path.insert(0, str(folders[0]))
    elif "google.colab" in sys.modules and REPOSITORY:
        pip = [sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"]
        subprocess.run(pip, check=True)
        importlib.invalidate_caches()
    else:
        raise ModuleNotFoundError(
            "medlab is not installed here: run `%pip install git+ADDRESS` with the address of the "
            "book's repository (your torch stays), or open this notebook inside a checkout of it."
        )

# %% tags=["parameters"]
profile = None  # None: "gpu" where there is one, else "cpu"; CI uses "ci"
seed = 0
metal = "titanium"  # of the clip in most figures: "titanium", "steel", "amalgam" or "gold"
corrected_for_kv = 80.0  # in "Where it breaks": the tube voltage that the correction was made for; the tube has 120

# %% tags=["hide-input"]
import math
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats

from medlab.data import load_icbm152
from medlab.physics.ct.artifacts import (
    WaterCorrection,
    draw_gains,
    every_nth_view,
    hardened_sinogram,
    moved_sinogram,
    path_lengths_mm,
    truncated,
    with_gains,
    with_noise,
    with_scatter,
)
from medlab.physics.head import TISSUES, head_slice
from medlab.physics.ct.projection import ParallelBeam
from medlab.physics.ct.reconstruction import fbp
from medlab.physics.ct.xray import (
    WINDOWS,
    at_body_temperature,
    attenuation_per_cm,
    line_integral_deviation,
    to_hu,
    tube_spectrum,
)
from medlab.physics.phantoms import Ellipse, draw, line_integrals
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
FIELD_MM, HALF_MM = 256.0, 128.0
size = run.pick(ci=128, cpu=256, gpu=512)
views = run.pick(ci=120, cpu=360, gpu=720)
pixel_mm = FIELD_MM / size
scanner = ParallelBeam(torch.arange(views) * 180.0 / views, size, pixel_mm=pixel_mm)
beam = tube_spectrum(120.0, 6.0, run.pick(ci=2.0, cpu=2.0, gpu=1.0))
correction = WaterCorrection(beam)

template = load_icbm152()
shares = head_slice(
    *(volume.data[0, :, :, 92] for volume in (template.white, template.grey, template.mask))
)
shares = torch.nn.functional.interpolate(shares[None], size=(size, size), mode="area")[0]
place = (torch.arange(size) - (size - 1) / 2) * pixel_mm
x, y = place[:, None], place[None]
away = torch.hypot(x, y)  # from the centre, in mm
tissues = [name if name == "skull" else at_body_temperature(name) for name in TISSUES]
paths = path_lengths_mm(shares, scanner)


def hu(sinogram, geometry=scanner, water=correction.water_per_cm):
    """A sinogram to an image in HU, (X, Y)."""
    return to_hu(fbp(sinogram, geometry), water)


def shadow(ellipses):
    """Path lengths in mm through ellipses, (views, detectors), by formula: the mean over each element's width."""
    angle = torch.deg2rad(scanner.angles_deg)[:, None, None]
    within = (torch.arange(5) - 2) / 5 * scanner.detector_mm
    rays = (scanner.offsets_mm[:, None] + within) / HALF_MM
    return HALF_MM * line_integrals(ellipses, angle, rays).mean(-1).float()


def with_metal(name, radius_mm=3.0):
    """Path lengths of a head with a synthetic round clip in front on the patient's left, and its materials."""
    inside = ((x + 28) ** 2 + (y - 45) ** 2 < radius_mm**2).float()
    clip = [Ellipse(1.0, radius_mm / HALF_MM, radius_mm / HALF_MM, -28 / HALF_MM, 45 / HALF_MM)]
    lengths = path_lengths_mm(shares * (1 - inside), scanner)
    # The clip's own paths come from a formula: of metal, a hundredth of a millimetre counts.
    return torch.cat([lengths, shadow(clip)[..., None]], -1), [*tissues, name]


def moved(millimetres):
    """Path lengths of a head that moves in the middle of the scan, by so many mm and as many degrees."""
    late = (torch.arange(views) >= views // 2).double() * millimetres
    lengths = moved_sinogram(shares, scanner, torch.stack([late, 0 * late], 1), late)
    return (10 * lengths).clamp(min=0).movedim(-3, -1)


hard = hardened_sinogram(paths, tissues, beam)
straight = hardened_sinogram(paths, tissues, beam, strength=0.0)
corrected = correction(hard)
truth = hu(straight)

gallery = {
    "the truth (one energy)": truth,
    "beam hardening": hu(corrected),
    "metal": hu(correction(hardened_sinogram(*with_metal(metal), beam))),
    "few photons": hu(correction(with_noise(hard, 3e5, run.fresh_generator(1)))),
    "scatter": hu(correction(with_scatter(hard, 0.01))),
    "rings": hu(
        with_gains(corrected, draw_gains(scanner.detectors, 0.003, run.fresh_generator(2)))
    ),
    "motion": hu(correction(hardened_sinogram(moved(3.0), tissues, beam))),
    "few views": hu(*every_nth_view(corrected, scanner, views // 60)),
}
centre, width = WINDOWS["brain"]
window = (centre - width / 2 - 20, centre + width / 2 + 20)
crop = (
    slice(round(0.11 * size), round(0.89 * size)),
    slice(round(0.05 * size), round(0.95 * size)),
)


def draw_head(ax, image, name, sides=True, shown=window):
    slices.draw_slice(ax, image[crop][..., None], index=0, window=shown, sides=sides)
    ax.set_title(name, fontsize=9)


figure, axes = plt.subplots(2, 4, figsize=(9.4, 5.8))
for at, (ax, (name, image)) in enumerate(zip(axes.flat, gallery.items(), strict=True)):
    draw_head(ax, image, name, sides=at == 0)
show(
    figure,
    caption="One head, eight scans: the truth and seven broken assumptions, all in the same window (−20 to 100 HU). By the end of the page you can name each without its title.",
    alt="Eight head slices: a clean one, one with bright rim below the skull, one with a star of streaks, a grainy one, one with a dark centre, one with rings, one with a plaid of bands, one with fine rays",
)

# %% [markdown]
# The brain is the ICBM 152 {term}`template` {cite}`fonov2011`; skull, skin and everything that goes wrong are *synthetic*. Sinograms are those of a parallel beam of 120 kV behind 6 mm of aluminium, computed
# energy by energy from the path lengths in each tissue, so each artefact comes from its physics and is not painted on. Unless said otherwise, there is no noise.
#
# ## Beam hardening: cups and bands
#
# The soft photons of a beam are lost first ({term}`beam hardening`). For a single material of thickness $l$ the measured {term}`line integral` is $p(l) = -\ln\sum_E w(E)\,e^{-\mu(E)\, l}$. Expand it for a thin layer:
#
# $$ p(l) = \bar\mu\, l - \tfrac12 \operatorname{var}(\mu)\, l^2 + \dots, $$ (ctart-hardening)
#
# with the mean and the variance of $\mu$ over the detector's signal. The first term is what reconstruction expects. The second is always negative: a thicker object looks relatively less dense. It vanishes only if
# all photons have one energy.

# %%
# NBVAL_CHECK_OUTPUT
energies, weight = beam.energies_kev, beam.weights()
mu = attenuation_per_cm("water", energies)
mean = (weight * mu).sum()
variance = (weight * (mu - mean).square()).sum()
thin = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)  # cm
measured = hardened_sinogram(10 * thin[:, None], ["water"], beam)
# equation (ctart-hardening), left out: terms of the third order
torch.testing.assert_close(
    measured, mean * thin - variance / 2 * thin.square(), rtol=2e-3, atol=0
)
print(
    f"water in this beam: mean of µ {mean:.3f} /cm, standard deviation {math.sqrt(variance):.3f} /cm"
)

# %% [markdown]
# Think of a round bottle of water. The ray through its middle is long, a ray near the rim is short, so the middle loses more. The thesis says {cite}`thesis` that filters in front of the source reduce this.
#
# **Predict.** A bottle of 18 cm diameter, no correction: by how many HU is its middle darker than its rim behind 1 mm of aluminium? And behind 12 mm?


# %%
radius_mm = 90.0
bottle = [Ellipse(1.0, radius_mm / HALF_MM, radius_mm / HALF_MM)]
chords = shadow(bottle)[..., None]


def ring_mean(image, radius, half_width=4.0):
    """The mean of an image at this distance from the centre, in mm."""
    return float(image[(away - radius).abs() < half_width].mean())


def cupping(filtration, strength=1.0):
    """How much darker than its rim the middle of the bottle is, in HU, without and with the water correction."""
    tube = tube_spectrum(120.0, filtration, 2.0)
    mend = WaterCorrection(tube)
    p = hardened_sinogram(chords, ["water"], tube, strength)
    images = [hu(one, water=mend.water_per_cm) for one in (p, mend(p))]
    return [ring_mean(image, 78.0) - ring_mean(image, 0.0) for image in images]


# %% tags=["hide-input"]
filters = {
    "1 mm Al": 1.0,
    "3 mm Al": 3.0,
    "6 mm Al": 6.0,
    "12 mm Al": 12.0,
    "6 mm Al + 0.3 mm Cu": {"aluminium": 6.0, "copper": 0.3},
}
cups = {name: cupping(layer) for name, layer in filters.items()}
baseline = cupping(6.0, strength=0.0)[0]  # what reconstruction itself leaves, without hardening
figure, (left, right_) = plt.subplots(1, 2, figsize=(9.0, 3.3))
radii = np.arange(0, 86, 3.0)
hard_bottle = hardened_sinogram(chords, ["water"], beam)
for p, colour, name in (
    (hard_bottle, style.ORANGE, "as measured"),
    (correction(hard_bottle), style.BLUE, "water correction"),
):
    image = hu(p)
    left.plot(
        radii, [ring_mean(image, r, 1.5 * pixel_mm) for r in radii], color=colour, label=name
    )
left.set(
    xlabel="distance from the middle (mm)", ylabel="HU", title="A bottle of water, 6 mm Al"
)
left.legend()
right_.barh(
    list(cups),
    [before for before, _ in cups.values()],
    color=style.ORANGE,
    height=0.4,
    align="edge",
    label="as measured",
)
right_.barh(
    list(cups),
    [after for _, after in cups.values()],
    color=style.BLUE,
    height=-0.4,
    align="edge",
    label="water correction",
)
right_.set(xlabel="rim minus middle (HU)", title="Cupping behind other filters")
right_.invert_yaxis()
right_.legend()
show(
    figure,
    caption="Left: the cup, and what the correction makes of it (water must be 0). Right: filters make the beam more uniform and the cup shallower, but none removes it.",
    alt="Left: an orange curve that sags in the middle by tens of HU and a flat blue one at zero. Right: bars that shrink with more filter; blue bars near zero",
)
run.record("ctart_cup_1", cups["1 mm Al"][0], low=25, high=90, unit="HU", digits=0)
run.record("ctart_cup_6", cups["6 mm Al"][0], low=15, high=50, unit="HU", digits=0)
run.record("ctart_cup_12", cups["12 mm Al"][0], low=8, high=40, unit="HU", digits=0)
run.record("ctart_cup_after", abs(cups["6 mm Al"][1]), low=0, high=9, unit="HU", digits=1)
run.record("ctart_cup_base", abs(baseline), low=0, high=9, unit="HU", digits=1)

# %% [markdown]
# The {term}`cupping` is {glue:text}`ctart_cup_1` behind 1 mm, {glue:text}`ctart_cup_6` behind 6 mm and {glue:text}`ctart_cup_12` behind 12 mm: the thesis is right that filters help, and a filter alone is not enough. (They also cost photons.)
#
# The cure is simple, because $p(l)$ of water is a rising curve: each $p$ belongs to one thickness. So we read the curve backwards, with a polynomial fitted once for each tube setting {cite}`brooks1976`,
#
# $$ p_{\mathrm{corrected}} = \sum_{k=1}^{K} a_k\, p^k \approx \bar\mu_w\, l(p). $$ (ctart-water)

# %%
length_cm = torch.linspace(0, 40, 801, dtype=torch.float64)
p = hardened_sinogram(10 * length_cm[:, None], ["water"], beam)
powers = torch.stack([p**k for k in range(1, 7)], 1)
coefficients = torch.linalg.lstsq(powers, length_cm[:, None] * correction.water_per_cm).solution
by_hand = (powers @ coefficients)[:, 0]  # equation (ctart-water) with K = 6
torch.testing.assert_close(by_hand, correction(p), rtol=0, atol=1e-5)

# %% [markdown]
# After it the bottle is flat: {glue:text}`ctart_cup_after` are left between rim and middle, where reconstruction alone leaves {glue:text}`ctart_cup_base`. All scanners do this. But the polynomial takes every ray for a ray through water. Bone hardens the beam more than water of the
# same $p$. In the gallery, the second head is water-corrected, and still brighter below the skull than in its middle. Where two dense bones lie
# opposite each other, a **dark band** joins them: every ray along that line is hardened twice. At the base of the skull this is the band between the petrous bones, in the place where one looks for a haemorrhage in the brain stem.


# %% tags=["hide-input"]
def bones(filtration):
    """A bottle with two rods of compact bone: corrected image, and how dark it is between the rods against above them."""
    tube = tube_spectrum(120.0, filtration, 2.0)
    mend = WaterCorrection(tube)
    rods = [Ellipse(1.0, 12 / HALF_MM, 12 / HALF_MM, side * 45 / HALF_MM) for side in (-1, 1)]
    holes = [Ellipse(-1.0, rod.half_x, rod.half_y, rod.x) for rod in rods]
    both = [shadow([*bottle, *holes]), shadow(rods)]
    image = hu(
        mend(hardened_sinogram(torch.stack(both, -1), ["water", "cortical bone"], tube)),
        water=mend.water_per_cm,
    )
    between = float(image[(x.abs() < 15) & (y.abs() < 5)].mean())
    above = float(image[(x.abs() < 15) & ((y - 45).abs() < 5)].mean())
    return image, between - above


two_bones, band = bones(6.0)
metals = {
    name: hu(correction(hardened_sinogram(*with_metal(name), beam)))
    for name in ("titanium", "steel", "amalgam")
}
figure, axes = plt.subplots(1, 4, figsize=(9.6, 3.0))
slices.draw_slice(axes[0], two_bones[..., None], index=0, window=(-60, 60), sides=False)
axes[0].set_title("two rods of bone in water", fontsize=9)
for ax, (name, image) in zip(axes[1:], metals.items(), strict=True):
    draw_head(ax, image, f"clip of {name}", sides=False)
show(
    figure,
    caption="What water correction cannot mend. Left: the dark band between two bones (−60 to 60 HU). Right: a clip of 6 mm across, of three metals, without any noise. Broad dark and bright streaks join the metal with the skull. The fine rays between them are another artefact of this page: pixels and detector elements are too coarse for an edge this sharp.",
    alt="A disc with two white rods and a dark band between them; three heads with ever stronger stars of dark and bright streaks around a clip",
)
run.record("ctart_band", band, low=-120, high=-8, unit="HU", digits=0)
damage = {}
for name, image in metals.items():
    near = ((x + 28) ** 2 + (y - 45) ** 2 > 8**2) & ((x + 28) ** 2 + (y - 45) ** 2 < 25**2)
    damage[name] = float((image - gallery["beam hardening"])[near].std())
    run.record(f"ctart_metal_{name}", damage[name], low=0.1, high=3000, unit="HU", digits=0)

# %% [markdown]
# The band is {glue:text}`ctart_band` deep. Metal is the same in the extreme {cite}`deman1999`: within 25 mm of the clip, the image is wrong by {glue:text}`ctart_metal_titanium` (standard deviation; for titanium most of it is the coarse grid's, not hardening) for titanium, {glue:text}`ctart_metal_steel` for steel
# and {glue:text}`ctart_metal_amalgam` for amalgam. The brain's whole window is 80 HU wide. On a real scanner come noise and scatter, since hardly a photon passes.
#
# ## At the detector: starvation, scatter, rings
#
# **{term}`Photon starvation <photon starvation>`.** The {term}`attenuation` law is merciless: what arrives is $N_0 e^{-p}$, and the noise of a line integral grows with the root of its exponential,
#
# $$ \operatorname{sd}(p) = \sqrt{e^{p}/N_0}. $$ (ctart-starvation)
#
# Through the shoulders, rays from side to side are so long that hardly anything arrives, while those from front to back are fine. Filtered back-projection smears each noisy ray over its whole line: **streaks along the long axis**.
#
# **{term}`Scatter <scatter>`.** Photons that Compton scattering threw out of their ray arrive elsewhere. We let a ray scatter in proportion to $p\,e^{-p}$ (it came to a place, scattered, and came out) and spread that out with a Gaussian $G$:
#
# $$ p' = -\ln\!\big[e^{-p} + s\, G * (p\, e^{-p})\big]. $$ (ctart-scatter)
#
# Where much arrives, the addition is nothing. Behind a skull it is a large share: long rays look too short, and the middle gets dark, **a cup again**, and bands between dense things.
#
# **Rings.** An element of the detector with the gain $g$ is wrong in the same way in every view:
#
# $$ p' = p - \ln g . $$ (ctart-ring)
#
# It sees only rays at one distance $\lvert s\rvert$ from the centre. The place where they touch the circle of this radius runs along it while the scanner turns: **a ring with the radius $\lvert s\rvert$** {cite}`sijbers2004`. A full turn draws the whole ring; our half turn with parallel
# rays draws half of it for each element.
#
# **Predict.** An element 40 mm off the centre has a gain that is wrong by 1 %. That is 0.01 in $p$, where a head has 4. Is it visible in a window of 80 HU?

# %%
gains = torch.ones(scanner.detectors, dtype=torch.float64)
element = int((scanner.offsets_mm - 40.0).abs().argmin())
gains[element] = 1.01
ringed = with_gains(corrected, gains)
torch.testing.assert_close(
    ringed, corrected - torch.log(gains).float()
)  # equation (ctart-ring)

primary, strength, width = torch.exp(-hard), 0.01, 40.0
spot = torch.arange(-160, 161, dtype=torch.float32)
gaussian = torch.exp(-((spot / width) ** 2) / 2)
lost = torch.nn.functional.conv1d(
    (hard * primary)[:, None], (gaussian / gaussian.sum())[None, None], padding=160
)[:, 0]
torch.testing.assert_close(
    with_scatter(hard, strength, width), -torch.log(primary + strength * lost)
)  # (ctart-scatter)

# %% tags=["hide-input"]
shoulder_mm = 1.8 * shadow([Ellipse(1.0, 0.95, 0.42)])  # the field enlarged: 44 cm wide
shoulder_p = shoulder_mm / 10 * correction.water_per_cm
starved = with_noise(shoulder_p, 3e5, run.fresh_generator(3)).float()
# Enlarged geometry: divide by the same factor to get 1/cm again.
starved_image = hu(starved) / 1.8 + 1000 / 1.8 - 1000
ring_image = hu(ringed)
figure, axes = plt.subplots(1, 3, figsize=(9.4, 3.3))
slices.draw_slice(axes[0], starved_image[..., None], index=0, window=(-250, 250), sides=False)
axes[0].set_title("starvation: shoulders of water", fontsize=9)
draw_head(axes[1], gallery["scatter"], "scatter, strength 0.01", sides=False)
draw_head(axes[2], ring_image, "one element, gain 1 % off", sides=False)
show(
    figure,
    caption="Left: streaks from side to side in an ellipse of water 44 by 19 cm (−250 to 250 HU). Middle: scatter darkens the middle of the brain. Right: one element that is wrong by a hundredth draws an arc of its own radius.",
    alt="An ellipse with horizontal streaks; a head with a dark centre; a head with one thin half circle",
)
ring = ring_image - hu(corrected)
on_ring = float(ring[(away - 40.0).abs() < pixel_mm].abs().mean())
run.record("ctart_ring_height", on_ring, low=0.5, high=60, unit="HU", digits=0)
dark = float((gallery["scatter"] - gallery["beam hardening"])[away < 20].mean())
run.record("ctart_scatter_dark", dark, low=-80, high=-2, unit="HU", digits=0)

# %% [markdown]
# It is: the ring stands out by {glue:text}`ctart_ring_height` on average, because reconstruction sharpens, and a line that is wrong in all views is the sharpest thing there is. Scatter of one per cent takes {glue:text}`ctart_scatter_dark` from the middle of the brain. A grid in front of the detector, which
# the thesis calls a collimator, stops most of it.
#
# ## Geometry: motion, views, and a short detector
#
# **Motion.** In a view at angle $\theta$, an object that has been turned by $\alpha$ and shifted by $\mathbf{d}$ casts the shadow that the resting one casts at $\theta - \alpha$, moved along the detector:
#
# $$ p'(\theta, s) = p\big(\theta - \alpha,\; s - \mathbf{d}\cdot\mathbf{n}_\theta\big), \qquad \mathbf{n}_\theta = (\cos\theta, \sin\theta). $$ (ctart-motion)
#
# Views before and after the motion belong to two different heads. Their contours do not close: **double edges, and streaks in the direction of the views at which the motion happened**.
#
# **Too few views.** Between the views there are gaps, wider with distance from the centre. Each sharp thing throws **fine rays, evenly spaced**, all over the field.
#
# **A short detector.** Reconstruction needs the whole shadow. If something sticks out of the field of view, the cut looks like an infinitely dense wall: **a bright rim**, and numbers that are wrong everywhere. Letting the sinogram fade out smoothly repairs most of it {cite}`ohnesorge2000`.

# %%
degrees, shift = 5.0, torch.tensor([4.0, -6.0])  # mm
angle = torch.deg2rad(scanner.angles_deg)[:, None]
along = torch.cos(angle) * shift[0] + torch.sin(angle) * shift[1]
resting, seen = [Ellipse(0.2, 0.3, 0.15, 0.2, 0.1)], (scanner.offsets_mm - along) / HALF_MM
by_hand = line_integrals(resting, angle - math.radians(degrees), seen) * HALF_MM / 10

image = draw(resting, size).double()  # equation (ctart-motion) above, medlab below
turned, shifted = torch.full((views,), degrees), shift.expand(views, 2)
found = moved_sinogram(image, scanner, shifted, turned)
assert (
    float((found - by_hand).norm() / by_hand.norm()) < 0.03
)  # pixels against a smooth ellipse
torch.testing.assert_close(
    moved_sinogram(shares, scanner, 0 * shifted, 0 * turned), scanner(shares)
)


# %% tags=["hide-input"]
@cache
def examples(artefact, level):
    """An image, and the strength in words; level 0 is nothing, 3 much."""
    generator = run.fresh_generator(5)
    if artefact == "beam hardening":
        share = (0.0, 0.33, 0.67, 1.0)[level]
        return hu(straight + share * (corrected - straight)), f"share {share:g}"
    if artefact == "metal clip":
        name = (None, "titanium", "steel", "amalgam")[level]
        return (
            hu(correction(hardened_sinogram(*with_metal(name), beam)))
            if name
            else hu(corrected)
        ), name or "none"
    if artefact == "few photons":
        photons = (math.inf, 2e6, 5e5, 1e5)[level]
        return hu(
            correction(with_noise(hard, photons, generator))
        ), f"{photons:,.0f} photons" if level else "no noise"
    if artefact == "scatter":
        strength = (0.0, 0.003, 0.01, 0.03)[level]
        return hu(correction(with_scatter(hard, strength))), f"strength {strength:g}"
    if artefact == "wrong gains":
        strength = (0.0, 0.001, 0.003, 0.01)[level]
        return hu(
            with_gains(corrected, draw_gains(scanner.detectors, strength, generator))
        ), f"{100 * strength:g} %"
    if artefact == "motion":
        amount = (0.0, 1.0, 3.0, 6.0)[level]
        return hu(
            correction(hardened_sinogram(moved(amount), tissues, beam))
        ), f"{amount:g} mm, {amount:g}°"
    if artefact == "few views":
        step = (1, views // 120 if views > 120 else 2, views // 60, views // 30)[level]
        return hu(*every_nth_view(corrected, scanner, step)), f"{math.ceil(views / step)} views"
    reach = (math.inf, 100.0, 95.0, 90.0)[level]
    return hu(truncated(corrected, scanner, reach)), f"±{reach:g} mm"


KINDS = [
    "beam hardening",
    "metal clip",
    "few photons",
    "scatter",
    "wrong gains",
    "motion",
    "few views",
    "short detector",
]


def draw_example(artefact, level):
    image, words = examples(artefact, level)
    figure, (left, right_) = plt.subplots(1, 2, figsize=(6.6, 3.9))
    draw_head(left, image, f"{artefact}: {words}")
    # Half the resolution is enough for an error, and keeps the page small.
    shown = torch.nn.functional.avg_pool2d((image - truth)[crop][None], 2)[0]
    slices.draw_slice(
        right_, shown[..., None], index=0, window=(-60, 60), cmap="RdBu_r", sides=False
    )
    right_.set_title("minus the truth (±60 HU)", fontsize=9)
    return figure


explore(
    draw_example,
    caption="Left: the image, −20 to 100 HU. Right: its error, blue too dark, red too bright. Choose an artefact and a level. All scans are water-corrected, so the beam hardening of the skull is in every one of them.",
    alt=lambda artefact, level: (
        f"Head slice with {artefact} at level {level} of 3, and beside it the error in blue and red"
    ),
    labels={"artefact": "artefact", "level": "level"},
    start={"artefact": "motion", "level": 2},
    artefact=KINDS,
    level=[1, 2, 3],
)

# %% [markdown]
# In the motion example the streaks run up and down and from side to side. The head moved at 90°, so this view does not fit its neighbour, and the last view no longer closes with the first one: two directions, and the streaks are the rays of these views.
#
# **Try this.** Cover the title, let somebody move the sliders, and name the artefact from the table.
#
# | pattern | cause | what helps |
# | --- | --- | --- |
# | middle darker than the rim, smooth | beam hardening, scatter | water correction; a grid |
# | dark band between two dense things | beam hardening by bone or metal | harder beam, iterative correction |
# | star of dark and bright streaks | metal: hardening, starvation, edges | replacing the metal's rays, dual energy |
# | fine streaks along the longest axis | photon starvation | more dose there, adaptive filters |
# | circles around the centre | element with a wrong gain | calibration of the detector |
# | double contours, broad streaks in few directions | motion | faster scan, motion correction, a repeat |
# | fine, evenly spaced rays everywhere | too few views | more views, iterative reconstruction |
# | bright rim of the field, numbers all wrong | object outside the field | extension of the sinogram |
#
# {cite}`barrett2004` shows each of them on patients.
#
# ## The experiment: do the claims hold?
#
# Section 3.2.4 of the thesis describes artefacts in words: motion gives discontinuities, dense objects absorb soft radiation and give streaks and cupping, filters reduce that, starvation gives streaks. Here each word gets a number.
# Where chance is involved we use several seeds.


# %% tags=["hide-input"]
def interval(values):
    """Mean and half width of the 95 % interval of the mean (Student's t)."""
    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    return float(np.mean(values)), quantile * float(np.std(values, ddof=1)) / math.sqrt(
        len(values)
    )


def spread(values, digits=2):
    mean, half = interval(values)
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def streakiness(sinogram, photons, generator):
    """How much more noise survives averaging along x than along y, in the middle: 1 for noise without direction."""
    noise = fbp(with_noise(sinogram, photons, generator).float() - sinogram.float(), scanner)
    middle = noise[3 * size // 8 : 5 * size // 8, 3 * size // 8 : 5 * size // 8]
    return float(middle.mean(0).std() / middle.mean(1).std())


seeds = run.pick(ci=3, cpu=10, gpu=20)
round_p = chords[..., 0] / 10 * correction.water_per_cm
streak = {
    "shoulders": [
        streakiness(shoulder_p, 3e5, run.fresh_generator(100 + n)) for n in range(seeds)
    ],
    "bottle": [streakiness(round_p, 3e5, run.fresh_generator(100 + n)) for n in range(seeds)],
}

core = scanner.detectors // 2 + torch.arange(-8, 9)
side_view, front_view = views // 2, 0
expected_ratio = float(
    line_integral_deviation(shoulder_p[side_view, core].mean(), 3e5)
    / line_integral_deviation(shoulder_p[front_view, core].mean(), 3e5)
)
noise_ratio = []
for n in range(seeds):
    drawn = torch.stack(
        [
            with_noise(
                shoulder_p[[side_view, front_view]][:, core],
                3e5,
                run.fresh_generator(200 + 50 * n + k),
            )
            for k in range(40)
        ]
    )
    by_view = drawn.std(0).square().mean(1).sqrt()
    noise_ratio.append(float(by_view[0] / by_view[1]))

ring_error = []
for n in range(seeds):
    offset_mm = 20 + 90 * float(torch.rand(1, generator=run.fresh_generator(300 + n)))
    chosen = int((scanner.offsets_mm - offset_mm).abs().argmin())
    wrong = torch.ones(scanner.detectors)
    wrong[chosen] = 1.02
    picture = fbp(with_gains(torch.zeros(scanner.range_shape), wrong), scanner)
    radii = np.arange(10, 120, pixel_mm / 3)
    found = radii[int(np.argmin([ring_mean(picture, r, 0.7 * pixel_mm) for r in radii]))]
    ring_error.append(abs(found - abs(float(scanner.offsets_mm[chosen]))))

brain = shares[2:].sum(0) > 0.99
wrong_by = {
    f"{amount:g} mm": float(
        (examples("motion", level)[0] - examples("motion", 0)[0])[brain].std()
    )
    for level, amount in enumerate((0.0, 1.0, 3.0, 6.0))
    if level
}
full = hu(corrected)
few = {
    step: float((hu(*every_nth_view(corrected, scanner, step)) - full)[brain].std())
    for step in (2, 4, 8)
}

table(
    ["claim (thesis 3.2.4 or formula)", "expected", "measured here"],
    [
        [
            "cupping of an 18 cm bottle, 1 → 12 mm Al: filters reduce it",
            "smaller, above 0",
            f"{cups['1 mm Al'][0]:.0f} → {cups['12 mm Al'][0]:.0f} HU",
        ],
        [
            "… after water correction, 6 mm Al (reconstruction alone: "
            + f"{abs(baseline):.1f})",
            "0 HU",
            f"{abs(cups['6 mm Al'][1]):.1f} HU",
        ],
        ["dark band between two bones, water-corrected", "below 0", f"{band:.0f} HU"],
        [
            "noise of side over front rays of the shoulders (eq. of starvation)",
            f"{expected_ratio:.1f}",
            spread(noise_ratio, 1),
        ],
        ["streaks along x over along y: shoulders", "above 1", spread(streak["shoulders"])],
        ["… in the round bottle", "1", spread(streak["bottle"])],
        [
            "radius of a ring: distance from the element's place",
            "0 mm",
            f"{spread(ring_error)} mm",
        ],
        *(
            [
                f"error in the brain by motion of {name} and as many degrees",
                "grows",
                f"{value:.0f} HU",
            ]
            for name, value in wrong_by.items()
        ),
        *(
            [
                f"error in the brain with {math.ceil(views / step)} of {views} views",
                "grows",
                f"{value:.1f} HU",
            ]
            for step, value in few.items()
        ),
    ],
    caption=f"Profile {run.profile.name}: synthetic objects, {size} × {size} pixels of {pixel_mm:g} mm, {views} views, 120 kV. ± is the 95 % interval of the mean over {seeds} seeds (noise or the element drawn anew). Errors are standard deviations.",
)
run.record("ctart_streak", interval(streak["shoulders"])[0], low=1.2, high=200, digits=1)
run.record("ctart_streak_round", interval(streak["bottle"])[0], low=0.6, high=1.5, digits=2)
run.record(
    "ctart_noise_ratio",
    interval(noise_ratio)[0],
    low=0.7 * expected_ratio,
    high=1.4 * expected_ratio,
    digits=1,
)
run.record("ctart_noise_expected", expected_ratio, low=1, high=1000, digits=1)
run.record(
    "ctart_ring_error", interval(ring_error)[0], low=0, high=2 * pixel_mm, unit="mm", digits=2
)
run.record("ctart_motion_1", wrong_by["1 mm"], low=0.5, high=100, unit="HU", digits=0)
run.record("ctart_motion_6", wrong_by["6 mm"], low=5, high=400, unit="HU", digits=0)

# %% [markdown]
# **Filters and cups.** As the thesis says, and its measure: twelve times the aluminium leaves a good part of the cup. Software does the rest.
#
# **Starvation.** A ray through the shoulders from side to side is {glue:text}`ctart_noise_ratio` times noisier than one from front to back (formula: {glue:text}`ctart_noise_expected`). In the image, noise along the long axis
# is {glue:text}`ctart_streak` times as strong as across it; in a round bottle the ratio is {glue:text}`ctart_streak_round`. So streaks are not a separate effect: they are noise, unevenly spread over directions.
#
# **Rings** lie where they must, within {glue:text}`ctart_ring_error`, a part of a pixel.
#
# **Motion.** A twitch of one millimetre and one degree in the middle of a scan already makes an error of {glue:text}`ctart_motion_1` in the brain, one of six {glue:text}`ctart_motion_6`. Motion, metal and truncation cannot be cured by more dose; noise and, with time, too few views can.
#
# ## Where it breaks
#
# The water correction belongs to one beam. Scanners keep a table of polynomials, one for each tube voltage and filter. What if the wrong one is taken?
#
# **Predict.** The tube runs at 120 kV and the polynomial is that of 80 kV. Is the cup over-corrected, or does a part of it remain?

# %%
wrong_table = WaterCorrection(tube_spectrum(corrected_for_kv, 6.0, 2.0))
p = hardened_sinogram(chords, ["water"], tube_spectrum(120.0, 6.0, 2.0))
image = hu(wrong_table(p), water=wrong_table.water_per_cm)
left_over = ring_mean(image, 78.0) - ring_mean(image, 0.0) - baseline
level = ring_mean(image, 0.0)
if abs(corrected_for_kv - 120.0) >= 30:
    assert abs(left_over) > 1.5, "a polynomial made for another beam must leave a cup or a dome"
    assert abs(level) > 50, "and the water must not be 0 HU"
run.record("ctart_wrong_cup", left_over, low=-80, high=80, unit="HU", digits=0)
run.record("ctart_wrong_level", level, low=-400, high=400, unit="HU", digits=0)

# %% [markdown]
# At 80 kV the curve of water bends more, so the polynomial straightens too much: rim minus middle is {glue:text}`ctart_wrong_cup`, a dome instead of a cup. And the middle of the water reads {glue:text}`ctart_wrong_level`, since 80 kV has another $\mu_w$. The second error is noticed at once, the
# first one is not. Set `corrected_for_kv = 120` at the top, and both vanish.
#
# ## Exercises
#
# ### Exercise 1: find the broken element
#
# In an image of 512 × 512 pixels of 0.5 mm you see a ring with a diameter of 96 pixels around the centre. The parallel detector has elements every 0.6 mm, and its middle lies between elements 399 and 400. Which elements may be broken?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`ctart-ring` and the sentence after it: the radius of the ring is the distance of the element's ray from the centre.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# The radius is 48 pixels of 0.5 mm. How many elements of 0.6 mm is that, and in which direction?
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# 24 mm are 40 elements, so the places are 399.5 ± 40: elements 359 or 360, and 439 or 440. A closed ring does not tell on which side. In a half turn each side draws its own half of the circle (equation {eq}`ctart-ring` and the sentences after it), so an open arc gives the side away.
#
# </details>
#
# ### Exercise 2: how much does a ray lose?
#
# Use equation {eq}`ctart-hardening` to estimate by how many per cent the mean of $\mu$ along the diameter of an 18 cm bottle is too small, if the standard deviation of $\mu$ over the beam is 8 % of its mean of 0.21 /cm. Why is the true value smaller?
#
# <details class="hint"><summary>Hint</summary>
#
# Divide the second term by the first.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $\frac12 \operatorname{var}(\mu)\, l / \bar\mu = \frac12 (0.08)^2\, \bar\mu\, l$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $\frac12 \cdot 0.0064 \cdot 0.21 \cdot 18 = 0.012$: 1.2 %, or 12 HU. The next term of the series is positive where the soft photons are few and strongly absorbed: once they are gone, the beam hardens no more. (The beam of this page has a larger spread of $\mu$, where the series needs more terms. And filtered back-projection makes the middle a little darker than the ray through it.)
#
# </details>
#
# ### Exercise 3: bridge the metal, in code
#
# The oldest remedy for metal {cite}`kalender1987`: find the rays that went through it, throw their values away, and draw a straight line across the gap in each view. Write `bridged(sinogram, trace)`: `sinogram` (views, detectors), `trace` of the same shape, true where a ray met
# metal. The metal never touches the ends of the detector.
#
# <details class="hint"><summary>Hint</summary>
#
# Work view by view. `np.interp(where, known_places, known_values)` interpolates linearly.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# For one row: `places = np.arange(len(row))`; the known places are `places[~gap]`, and the result at `places[gap]` is wanted.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Copy the sinogram. For each view let `gap = trace[view]`, and set `row[gap] = np.interp(places[gap], places[~gap], row[~gap])`. The cell after the exercise holds it as code. Streaks shrink, but what was thrown away is lost: fine detail near the metal is gone, and new faint streaks start
# where the line did not fit.
#
# </details>


# %% tags=["hide-input"]
def check_bridged(bridged):
    row = np.array([0.0, 1.0, 9.0, 9.0, 4.0, 5.0])
    gap = np.array([False, False, True, True, False, False])
    sinogram, trace = np.stack([row, row]), np.stack([gap, ~gap & False])
    given = sinogram.copy()
    found = bridged(sinogram, trace)
    if found is None:
        return "it returned nothing; return the repaired sinogram."
    found = np.asarray(found)
    if not np.array_equal(sinogram, given):
        return "it changed the sinogram that it was given; work on a copy."
    if found.shape != (2, 6):
        return f"it has the shape {found.shape}, expected that of the sinogram, (2, 6)."
    if not np.allclose(found[1], row):
        return "a view without metal changed."
    if np.allclose(found[0, 2:4], 0):
        return "the gap holds zeros: that is a hole, and it streaks more than the metal did."
    if not np.allclose(found[0], [0, 1, 2, 3, 4, 5]):
        return f"the row 0 1 9 9 4 5 with a gap at the nines became {found[0].tolist()}, expected 0 1 2 3 4 5."
    return None


# %% tags=["exercise"]
def bridged(sinogram, trace):
    """The sinogram (views, detectors) with straight lines across the rays of the trace."""
    ...  # your code here


judge(check_bridged, bridged)


# %% tags=["solution", "hide-cell"]
def bridged(sinogram, trace):
    """The sinogram (views, detectors) with straight lines across the rays of the trace."""
    # begin solution
    repaired = np.array(sinogram, copy=True)
    places = np.arange(repaired.shape[1])
    for row, gap in zip(repaired, np.asarray(trace), strict=True):
        row[gap] = np.interp(places[gap], places[~gap], row[~gap])
    return repaired
    # end solution


judge(check_bridged, bridged)

# %% tags=["hide-input"]
metal_paths, materials = with_metal("amalgam")
spoiled = correction(hardened_sinogram(metal_paths, materials, beam))
trace = (metal_paths[..., -1] > 0).numpy()
mended = bridged(spoiled.numpy(), trace)
images = {
    "amalgam": hu(spoiled),
    "bridged": hu(torch.from_numpy(mended)),
    "without clip": gallery["beam hardening"],
}
figure, axes = plt.subplots(1, 3, figsize=(8.6, 3.6))
for ax, (name, image) in zip(axes, images.items(), strict=True):
    draw_head(ax, image, name, sides=False)
show(
    figure,
    caption="The remedy of exercise 3 on a clip of amalgam: most of the star is gone, the clip too, and the tissue beside it is a guess.",
    alt="Three head slices: a strong star of streaks, the same with faint streaks and no clip, and the head without clip",
)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A head shows a dark band between the two petrous bones. The dose is doubled. What happens to the band?",
        (
            "It shrinks by a third",
            "That would be noise, which falls with the square root. The band is no noise.",
        ),
        right(
            "Nothing",
            "It comes from the spectrum: hardened rays give the same wrong line integral however many photons are counted.",
        ),
        ("It vanishes", "More photons of the same energies harden in the same way."),
    ),
    question(
        "Concentric circles appear in every slice of one scanner, at the same radius. Who should be called?",
        (
            "The patient, for a repeat",
            "Motion makes double contours and streaks, and differs from scan to scan.",
        ),
        right(
            "The service engineer",
            "An element of the detector has a wrong gain, in all views and for all patients.",
        ),
        (
            "The physicist, for more views",
            "Too few views make rays all over, and no circles around the centre.",
        ),
    ),
    question(
        "Why do streaks of photon starvation run from shoulder to shoulder?",
        (
            "Because bone is there",
            "Bone adds to it, but a plain ellipse of water streaks in the same way.",
        ),
        right(
            "Because the rays in that direction are the longest, and their noise is the largest",
            "The standard deviation grows with e<sup>p/2</sup>, and back-projection smears each ray along itself.",
        ),
        (
            "Because the patient breathes",
            "Breathing moves; starvation streaks are there in a phantom too.",
        ),
    ),
)

# %% [markdown]
# ## In short
#
# - Every artefact is a broken assumption of reconstruction: one energy, enough photons, straight rays, equal detectors, a still object, enough views, a whole shadow.
# - Beam hardening makes cups and bands. A polynomial straightens water and nothing else; filters help but do not cure.
# - An error that is the same in all views becomes a ring; one that is in few views becomes a streak along them.
# - Noise, too, has a direction: the longest rays make the streaks.
# - Dose cures noise. It cures no band, no ring, no motion.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | anatomy | ICBM 152 template, one axial slice; skull and skin are **synthetic** layers of constant thickness without sinuses or teeth; clip, bottle, rods and shoulders are **synthetic** shapes |
# | scanner | parallel beam, one slice, half a turn; real scanners have fans and spirals, in which motion and rings look a little different |
# | beam hardening, metal | computed energy by energy; a pixel is a mixture, so partial-volume streaks at metal edges are weaker than in life |
# | scatter | a model of single scatter with one free strength; no grid, no second scattering |
# | noise | **synthetic**, Poisson counts at one energy, from the seed at the top |
# | claims | none about patients or scanners; numbers describe these simulations |
#
# ## Further reading
#
# {cite}`barrett2004` is the atlas to have seen, with patients and phantoms. {cite}`brooks1976` explains beam hardening in nine pages, {cite}`deman1999` takes metal streaks apart by simulation, as we did here, and {cite}`buzug2008` treats
# artefacts in a chapter of its own.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
