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
# Filtered back-projection would be exact if the scanner measured what the mathematics assumes: line integrals of one still object, along rays that all
# carry the same kind of photons, in enough views, by perfect detectors. No scan is like that. Each broken assumption leaves a mark of its own in the image, and whoever
# knows the marks can read the cause from the picture. A network that has never seen them may take a streak for a haemorrhage. Here we break the assumptions one
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
metal = "titanium"  # of the clip in the first figure and in that of the metals: "titanium", "steel", "amalgam" or "gold"
corrected_for_kv = 80.0  # in "Where it breaks": the tube voltage that the correction was made for; the tube has 120

# %% tags=["hide-input"]
import math
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import torch

from medlab.data import load_icbm152
from medlab.metrics import mean_interval
from medlab.physics.ct.artifacts import WaterCorrection, draw_gains, every_nth_view
from medlab.physics.ct.artifacts import hardened_sinogram, moved_sinogram, path_lengths_mm
from medlab.physics.ct.artifacts import truncated, with_gains, with_noise, with_scatter
from medlab.physics.head import TISSUES, head_slice
from medlab.physics.ct.projection import ParallelBeam
from medlab.physics.ct.reconstruction import fbp
from medlab.physics.ct.xray import WINDOWS, at_body_temperature, attenuation_per_cm
from medlab.physics.ct.xray import effective_attenuation_per_cm, line_integral_deviation, to_hu
from medlab.physics.ct.xray import tube_spectrum
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


@cache
def clip_image(name):
    """The head with a clip, corrected; a detector without a floor reads every signal, however weak."""
    return hu(correction(hardened_sinogram(*with_metal(name), beam, floor=1e-30)))


def moved(millimetres):
    """Path lengths of a head that moves in the middle of the scan, by so many mm along x and as many degrees."""
    late = (torch.arange(views) >= views // 2).double() * millimetres
    lengths = moved_sinogram(shares, scanner, torch.stack([late, 0 * late], 1), late)
    return (10 * lengths).clamp(min=0).movedim(-3, -1)


hard = hardened_sinogram(paths, tissues, beam)
straight = hardened_sinogram(paths, tissues, beam, strength=0.0)
corrected = correction(hard)
truth = hu(straight)
scatter_width = 40.0 / scanner.detector_mm  # 40 mm, in elements


@cache
def examples(artefact, level):
    """An image, and the strength in words; level 0 is nothing, 3 much."""
    generator = run.fresh_generator(5)
    if artefact == "beam hardening":
        share = (0.0, 0.33, 0.67, 1.0)[level]
        return hu(straight + share * (corrected - straight)), f"share {share:g}"
    if artefact == "metal clip":
        name = ("no clip", "titanium", "steel", "amalgam")[level]
        return clip_image(name) if level else hu(corrected), name
    if artefact == "few photons":
        photons = (math.inf, 2e6, 3e5, 1e5)[level]
        noisy = with_noise(hard, photons, generator)
        return hu(correction(noisy)), f"{photons:,.0f} photons" if level else "no noise"
    if artefact == "scatter":
        strength = (0.0, 0.003, 0.01, 0.03)[level]
        scattered = with_scatter(hard, strength, scatter_width)
        return hu(correction(scattered)), f"strength {strength:g}"
    if artefact == "wrong gains":
        strength = (0.0, 0.001, 0.003, 0.01)[level]
        gains = draw_gains(scanner.detectors, strength, generator)
        return hu(with_gains(corrected, gains)), f"{100 * strength:g} %"
    if artefact == "motion":
        amount = (0.0, 1.0, 3.0, 6.0)[level]
        still = hardened_sinogram(moved(amount), tissues, beam) if level else hard
        return hu(correction(still)), f"{amount:g} mm, {amount:g}°"
    if artefact == "few views":
        step = (1, views // 120 if views > 120 else 2, views // 60, views // 30)[level]
        return hu(*every_nth_view(corrected, scanner, step)), f"{math.ceil(views / step)} views"
    reach = (math.inf, 100.0, 95.0, 90.0)[level]
    return hu(truncated(corrected, scanner, reach)), f"±{reach:g} mm"


KINDS = ["beam hardening", "metal clip", "few photons", "scatter"]
KINDS += ["wrong gains", "motion", "few views", "short detector"]
gallery = {"the truth": truth} | {kind: examples(kind, 2)[0] for kind in KINDS[2:]}
gallery |= {"beam hardening": examples("beam hardening", 3)[0], "metal clip": clip_image(metal)}
centre, width = WINDOWS["brain"]
window = (centre - width / 2 - 20, centre + width / 2 + 20)
crop = tuple(slice(round(cut * size), round((1 - cut) * size)) for cut in (0.11, 0.05))


def draw_head(ax, image, name, sides=False, shown=window):
    slices.draw_slice(ax, image[crop][..., None], index=0, window=shown, sides=sides)
    ax.set_title(name, fontsize=10)


figure, axes = plt.subplots(3, 3, figsize=(6.6, 8.6))
for ax, name in zip(axes.flat, ["the truth", *KINDS], strict=True):
    draw_head(ax, gallery[name], name, sides=name == "the truth")
show(
    figure,
    caption="One head, nine scans: the truth and eight broken assumptions, all in the same window (−20 to 100 HU). By the end of the page you can name each without its title.",
    alt="Nine head slices: a clean one, one with a bright rim below the skull, one with a star of streaks, a grainy one, one with a dark centre, one with rings, one with a plaid of bands, one with fine rays, one with a white glow in front and behind",
)

# %% [markdown]
# The brain is the ICBM 152 {term}`template` {cite}`fonov2011`; skull, skin and everything that goes wrong are *synthetic*. Sinograms are those of a parallel beam of 120 kV behind 6 mm of aluminium, computed
# energy by energy from the path lengths in each tissue. The other artefacts are made from these sinograms by their own equations, so none is painted on. The truth is the head in a beam that does not harden. Unless said otherwise, there is no noise.
#
# ## Beam hardening: cups and bands
#
# The soft photons of a beam are lost first ({term}`beam hardening`). For a single material of thickness $l$ the measured {term}`line integral` is $p(l) = -\ln\sum_E w(E)\,e^{-\mu(E)\, l}$. Expand it for a thin layer, in powers of $l$:
#
# $$ p(l) = \bar\mu\, l - \tfrac12 \operatorname{var}(\mu)\, l^2 + \tfrac16\, m_3\, l^3 - \dots, \qquad m_3 = \overline{(\mu - \bar\mu)^3}, $$ (ctart-hardening)
#
# with the mean $\bar\mu$, the variance and the third moment $m_3$ of $\mu$ over the signal of the open beam, weighted by $w(E)$. The first term is what reconstruction expects. The second is negative, so a thicker object looks relatively less dense; it
# vanishes only if $\mu$ is the same for all photons, as in a beam of one energy. The third gives a part back: the softest photons weigh most in $m_3$, and they are soon gone.

# %%
# NBVAL_CHECK_OUTPUT
energies, weight = beam.energies_kev, beam.weights()
mu = attenuation_per_cm("water", energies)
mean = (weight * mu).sum()
variance, third = ((weight * (mu - mean) ** n).sum() for n in (2, 3))
length = torch.tensor([0.5, 1.0, 2.0, 18.0], dtype=torch.float64)  # cm
measured = hardened_sinogram(10 * length[:, None], ["water"], beam)
two = mean * length - variance / 2 * length**2
three = two + third / 6 * length**3  # equation (ctart-hardening), for thin layers:
torch.testing.assert_close(measured[:3], three[:3], rtol=3e-4, atol=0)
print(
    f"µ of water in this beam: mean {mean:.3f} /cm, variance {variance:.5f} /cm², third moment {third:.5f} /cm³"
)

# %% [markdown]
# Think of a round bottle of water. The ray through its middle is long, a ray near the rim is short, so the middle loses more. The thesis says {cite}`thesis` that filters in front of the source reduce this.
#
# **Predict.** A bottle of 18 cm diameter, no correction: by how many HU is its middle darker than its rim (7.8 cm from the middle) behind 1 mm of aluminium? And behind 12 mm?


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
figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.2, 6.2))
radii = np.arange(0, 86, 3.0)
hard_bottle = hardened_sinogram(chords, ["water"], beam)
looks = (
    (hard_bottle, style.ORANGE, 0.4, "as measured"),
    (correction(hard_bottle), style.BLUE, -0.4, "water correction"),
)
for at, (p, colour, height, name) in enumerate(looks):
    image = hu(p)
    profile_hu = [ring_mean(image, r, 1.5 * pixel_mm) for r in radii]
    top.plot(radii, profile_hu, color=colour, label=name)
    bars = [both[at] for both in cups.values()]
    bottom.barh(list(cups), bars, color=colour, height=height, align="edge", label=name)
top.set(xlabel="distance from the middle (mm)", ylabel="HU", title="Water, 6 mm Al")
bottom.set(xlabel="rim minus middle (HU)", title="Cupping behind other filters")
bottom.invert_yaxis()
bottom.legend()
show(
    figure,
    caption="Top: the cup in the bottle, and what the correction makes of it (water must be 0). Bottom: filters make the beam more uniform and the cup shallower, but none removes it.",
    alt="Top: an orange curve that sags in the middle by tens of HU and a flat blue one at zero. Bottom: bars that shrink with more filter; blue bars near zero",
)
run.record("ctart_cup_1", cups["1 mm Al"][0], low=25, high=90, unit="HU", digits=0)
run.record("ctart_cup_6", cups["6 mm Al"][0], low=15, high=50, unit="HU", digits=0)
run.record("ctart_cup_12", cups["12 mm Al"][0], low=8, high=40, unit="HU", digits=0)
run.record("ctart_cup_after", abs(cups["6 mm Al"][1]), low=0, high=1.5, unit="HU", digits=1)
run.record("ctart_cup_base", abs(baseline), low=0, high=1.5, unit="HU", digits=1)
run.record("ctart_reach", 0.3 * variance / third, low=1.5, high=2.5, unit="cm", digits=1)
for name, p in {"true": measured, "two": two, "three": three}.items():  # for exercise 2
    lost = 100 * (1 - p / (mean * length))
    run.record(f"ctart_thin_{name}", lost[2], low=0.8, high=1.2, unit="%", digits=1)
    run.record(f"ctart_thick_{name}", lost[3], low=0.5, high=12, unit="%", digits=1)

# %% [markdown]
# The {term}`cupping` is {glue:text}`ctart_cup_1` behind 1 mm, {glue:text}`ctart_cup_6` behind 6 mm and {glue:text}`ctart_cup_12` behind 12 mm: the thesis is right that filters help, but no filter here is enough. (They also cost photons.)
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
# After it the bottle is flat: {glue:text}`ctart_cup_after` are left between rim and middle, where reconstruction alone leaves {glue:text}`ctart_cup_base`. Scanners correct for water in this way. But the polynomial takes every ray for a ray through water. Bone hardens the beam more than water of the
# same $p$. In the gallery, the second head is water-corrected, and still brighter below the skull than in its middle (the interactive figure further down shows its error). Where two dense bones lie
# opposite each other, a **dark band** joins them: every ray along that line is hardened by both. At the base of the skull this is the band between the petrous bones, in the place where one looks for a haemorrhage in the brain stem.


# %% tags=["hide-input"]
@cache
def clip_errors(name):
    """What a clip adds to the image in HU: all, hardening's part and the grid's, (3, X, Y); and the control's share of µ."""
    lengths, materials = with_metal(name)
    scanned = correction(hardened_sinogram(lengths, materials, beam, floor=1e-30))
    added = scanned - correction(hardened_sinogram(lengths[..., :-1], tissues, beam))
    control = hardened_sinogram(lengths[..., -1:], [name], beam, strength=0.0)
    share = (added * control).sum() / control.square().sum()  # least squares
    parts = torch.stack([added, added - share * control, share * control])
    return 1000 / correction.water_per_cm * fbp(parts, scanner), float(share)


rods = [Ellipse(1.0, 12 / HALF_MM, 12 / HALF_MM, side * 45 / HALF_MM) for side in (-1, 1)]
holes = [Ellipse(-1.0, rod.half_x, rod.half_y, rod.x) for rod in rods]
lengths = torch.stack([shadow([*bottle, *holes]), shadow(rods)], -1)
two_bones = hu(correction(hardened_sinogram(lengths, ["water", "cortical bone"], beam)))
between, above = (float(two_bones[(x.abs() < 15) & ((y - level).abs() < 5)].mean()) for level in (0, 45))  # fmt: skip
band = between - above
run.record("ctart_band", -band, low=15, high=70, unit="HU", digits=0)
_, hardening, grid = clip_errors(metal)[0]
figure, axes = plt.subplots(2, 2, figsize=(6.2, 6.9))
slices.draw_slice(axes[0, 0], two_bones[..., None], index=0, window=(-60, 60), sides=False)
axes[0, 0].set_title("two rods of bone in water", fontsize=10)
draw_head(axes[0, 1], gallery["metal clip"], f"clip of {metal}")
draw_head(axes[1, 0], hardening, "the clip's hardening", shown=(-30, 30))
draw_head(axes[1, 1], grid, "the clip, sampled coarsely", shown=(-30, 30))
show(
    figure,
    caption=f"What water correction cannot mend. Top: the dark band between two bones (−60 to 60 HU), and a head with a clip of {metal}, 6 mm across (−20 to 100 HU), without noise. Bottom: the clip's error in its two parts (−30 to 30 HU). Hardening makes broad streaks, dark along the longest ways through the head and bright along the shortest. The fine rays come from an edge that is too sharp for the elements and views.",
    alt="A disc with two white rods and a dark band between them; a head with a star of streaks around a clip; broad soft streaks along a few directions; fine rays in all directions",
)
from_clip = torch.hypot(x + 28, y - 45)
near = (from_clip > 8) & (from_clip < 25)
limits = {"titanium": (3, 12, 5, 50), "steel": (8, 32, 12, 120), "amalgam": (30, 150, 80, 700)}
rows = []
for name, (low, high, least, most) in limits.items():
    images, share = clip_errors(name)
    both, by_hardening, by_grid = (float(image[near].std()) for image in images)
    run.record(f"ctart_hard_{name}", by_hardening, low=low, high=high, unit="HU", digits=0)
    run.record(f"ctart_grid_{name}", by_grid, low=least, high=most, unit="HU", digits=0)
    before = effective_attenuation_per_cm(name, beam)
    cells = [f"{before:.1f} /cm", f"{share * before:.1f} /cm"]
    rows.append([name, *cells, *(f"{value:.0f} HU" for value in (both, by_hardening, by_grid))])
    if name == "titanium":
        run.record("ctart_titanium_open", 1 / share, low=1.4, high=3, digits=1)
table(
    ["clip of", "µ, first layer", "µ, as it counts", "error", "by hardening", "by the grid"],
    rows,
    caption="The error that a clip of 6 mm makes between 8 and 25 mm from its middle, as a standard deviation. The two parts add up in each pixel; their squares add where the parts are unrelated.",
)

# %% [markdown]
# The band is {glue:text}`ctart_band` deep. Metal is the same in the extreme {cite}`deman1999`. But not every streak around metal is hardening: its edge is too sharp for detector elements of this width and for this number of views, and would streak in a beam of one energy, too.
# A **control** tells the two apart: the same clip without hardening. Its line integrals are $\mu_c\, l$ with the length $l$ in the metal, and all that they leave outside the clip is the grid's error. The control has to be as dense as the clip appears. In the open beam the first layer of titanium has {glue:text}`ctart_titanium_open` times the $\mu$ that
# the clip shows inside a head (second and third column), and with that $\mu$ the grid's part would come out as much too large. So $\mu_c$ is fitted to what the clip adds to the corrected sinogram. The remainder of the error is hardening's part.
#
# Between 8 and 25 mm from the middle of the clip, hardening makes an error of {glue:text}`ctart_hard_titanium` (standard deviation) for titanium, {glue:text}`ctart_hard_steel` for steel and {glue:text}`ctart_hard_amalgam` for amalgam. The grid makes {glue:text}`ctart_grid_titanium`, {glue:text}`ctart_grid_steel` and
# {glue:text}`ctart_grid_amalgam`: on this page it is the larger part. The brain's whole window is 80 HU wide. On a real scanner come noise and scatter, since hardly a photon passes.
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
# Here $s$ is the share of the once-scattered signal $p\,e^{-p}$ that reaches the detector. Without the spreading, it would add the share $s\,p$ to the primary signal $e^{-p}$. So the longest rays gain most: they look too short, the middle gets dark, **a cup again**, and bands appear between dense things.
#
# **Rings.** An element of the detector with the gain $g$ is wrong in the same way in every view:
#
# $$ p' = p - \ln g . $$ (ctart-ring)
#
# At the place $s$ on the detector it sees only rays at the distance $\lvert s\rvert$ from the centre. The point where they touch the circle of this radius runs along it while the scanner turns: **a ring with the radius $\lvert s\rvert$** {cite}`sijbers2004`. A full turn draws the whole ring. Our half turn with parallel
# rays draws half of it for each element, and for $s > 0$ that is the half in front of the centre.
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

primary, strength, reach = torch.exp(-hard), 0.01, math.ceil(4 * scatter_width)
spot = torch.arange(-reach, reach + 1, dtype=torch.float32)
gaussian = torch.exp(-((spot / scatter_width) ** 2) / 2)
spread_out = torch.nn.functional.conv1d(
    (hard * primary)[:, None], (gaussian / gaussian.sum())[None, None], padding=reach
)[:, 0]
scattered = -torch.log(primary + strength * spread_out)  # equation (ctart-scatter)
torch.testing.assert_close(with_scatter(hard, strength, scatter_width), scattered)

# %% tags=["hide-input"]
shoulder_mm = 1.8 * shadow([Ellipse(1.0, 0.95, 0.42)])  # the field enlarged: 44 cm wide
shoulder_p = shoulder_mm / 10 * correction.water_per_cm
starved = with_noise(shoulder_p, 3e5, run.fresh_generator(3)).float()
# Enlarged geometry: divide by the same factor to get 1/cm again.
starved_image = hu(starved) / 1.8 + 1000 / 1.8 - 1000
ring_image = hu(ringed)
figure, axes = plt.subplots(1, 3, figsize=(6.9, 3.0))
slices.draw_slice(axes[0], starved_image[..., None], index=0, window=(-250, 250), sides=False)
axes[0].set_title("starvation", fontsize=10)
draw_head(axes[1], gallery["scatter"], "scatter, s = 0.01")
draw_head(axes[2], ring_image, "one gain 1 % off")
show(
    figure,
    caption="Left: streaks from side to side in an ellipse of water 44 by 19 cm (−250 to 250 HU). Middle: scatter darkens the middle of the brain. Right: one element whose gain is a hundredth too high draws a dark arc.",
    alt="An ellipse with horizontal streaks; a head with a dark centre; a head with one thin half circle",
)
drawn = ((away - scanner.offsets_mm[element]).abs() < pixel_mm / 2) & (y > 0)
depth = float((hu(corrected) - ring_image)[drawn].mean())
run.record("ctart_ring_height", depth, low=5, high=70, unit="HU", digits=0)
dark = float((gallery["beam hardening"] - gallery["scatter"])[away < 20].mean())
run.record("ctart_scatter_dark", dark, low=8, high=40, unit="HU", digits=0)
middle = scanner.offsets_mm.abs() < 5  # the central 10 mm of the detector
middle_p = float(hard[:, middle].mean())
middle_share = float((strength * spread_out / primary)[:, middle].mean())
run.record("ctart_middle_p", middle_p, low=3, high=5, digits=1)
run.record("ctart_scatter_local", 100 * strength * middle_p, low=3, high=5, unit="%", digits=1)
run.record("ctart_scatter_share", 100 * middle_share, low=3, high=8, unit="%", digits=1)

# %% [markdown]
# It is: along the half circle that is drawn, the arc is darker than the head around it by {glue:text}`ctart_ring_height` on average. The ramp filter amplifies what is one element wide more than anything else.
#
# Scatter of $s = 0.01$ makes the middle of the brain darker by {glue:text}`ctart_scatter_dark`. One per cent sounds like little, but it is a share of $p\,e^{-p}$, not of the primary signal. Behind the middle of the head, where $p$ is {glue:text}`ctart_middle_p` on average, it would add $s\,p$ = {glue:text}`ctart_scatter_local` to the primary
# signal without the spreading; with it, since more scatter comes from the thinner parts beside it, {glue:text}`ctart_scatter_share`. A grid in front of the detector, which
# the thesis calls a collimator, stops most of it.
#
# ## Geometry: motion, views, and a short detector
#
# **Motion.** In a view at angle $\theta$, an object that has been turned by $\alpha$ and shifted by $\mathbf{d}$ casts the shadow that the resting one casts at $\theta - \alpha$, moved along the detector:
#
# $$ p'(\theta, s) = p\big(\theta - \alpha,\; s - \mathbf{d}\cdot\mathbf{n}_\theta\big), \qquad \mathbf{n}_\theta = (\cos\theta, \sin\theta). $$ (ctart-motion)
#
# Views before and after the motion belong to two different heads. Their contours do not close: **double edges, and streaks along the rays of the views between which the head moved**. The rays of a view run at right angles to $\mathbf{n}_\theta$: at 0° along $y$, from back to front, and at 90° along $x$, from side to side.
#
# **Too few views.** Between the views there are gaps, wider with distance from the centre. Each sharp thing throws **fine rays, evenly spaced**, all over the field.
#
# **A short detector.** Reconstruction needs the whole shadow. If something sticks out of the field of view, the sinogram ends in a step, and the ramp filter answers a step with a peak: **a bright rim**, and numbers that are wrong everywhere. A remedy is to let the sinogram fade out smoothly {cite}`ohnesorge2000`.

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
def draw_example(artefact, level):
    image, words = examples(artefact, level)
    figure, (left, right_) = plt.subplots(1, 2, figsize=(6.6, 3.9))
    draw_head(left, image, f"{artefact}: {words}", sides=True)
    # Half the resolution is enough for an error, and keeps the page small.
    shown = torch.nn.functional.avg_pool2d((image - truth)[crop][None], 2)[0]
    slices.draw_slice(right_, shown[..., None], index=0, window=(-60, 60), cmap="RdBu_r", sides=False)  # fmt: skip
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
# In the motion example the streaks run up and down and from side to side. The head moved at 90°, so this view does not fit the one before it, and its rays run along $x$, from side to side. The last view, at almost 180°, would see nearly the same rays as the first one, at 0°, from the other end. It no longer does, and these rays run along $y$, up and down.
#
# **Try this.** Cover the title, let somebody move the sliders, and name the artefact from the table.
#
# | pattern | cause | what helps |
# | --- | --- | --- |
# | middle darker than the rim, smooth | beam hardening, scatter | water correction; a grid |
# | dark band between two dense things | beam hardening by bone or metal | harder beam, iterative correction |
# | star of dark and bright streaks | metal: hardening, starvation, sharp edges | replacing the metal's rays, dual energy; more dose for the starved part |
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
def streakiness(sinogram, photons, generator):
    """SD of the noise averaged along x, over that averaged along y, in the middle: 1 for noise without direction."""
    noise = fbp(with_noise(sinogram, photons, generator).float() - sinogram.float(), scanner)
    middle = noise[3 * size // 8 : 5 * size // 8, 3 * size // 8 : 5 * size // 8]
    return float(middle.mean(0).std() / middle.mean(1).std())


seeds = run.pick(ci=3, cpu=10, gpu=20)
round_p = chords[..., 0] / 10 * correction.water_per_cm
sides = {"shoulders": shoulder_p, "bottle": round_p}
streak = {
    name: [streakiness(p, 3e5, run.fresh_generator(100 + n)) for n in range(seeds)]
    for name, p in sides.items()
}

core = scanner.detectors // 2 + torch.arange(-8, 9)
rays = shoulder_p[[views // 2, 0]][:, core]  # from side to side, from front to back
by_formula = line_integral_deviation(rays.mean(1), 3e5)
expected_ratio = float(by_formula[0] / by_formula[1])
noise_ratio = []
for n in range(seeds):
    scans = with_noise(rays.expand(400, -1, -1), 3e5, run.fresh_generator(200 + n))
    by_view = scans.std(0).square().mean(1).sqrt()
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

noise_ratio, ring_error = mean_interval(noise_ratio), mean_interval(ring_error)
streak = {name: mean_interval(values) for name, values in streak.items()}

brain = shares[2:].sum(0) > 0.99
full, grows = hu(corrected), {}
for level in (1, 2, 3):
    image, words = examples("motion", level)
    grows[f"by motion of {words}"] = float((image - full)[brain].std())
for step in (2, 4, 8):
    image = hu(*every_nth_view(corrected, scanner, step))
    grows[f"with {math.ceil(views / step)} of {views} views"] = float((image - full)[brain].std())  # fmt: skip

table(
    ["claim (thesis 3.2.4 or formula)", "expected", "measured here"],
    [
        ["cupping of an 18 cm bottle, 1 → 12 mm Al: filters reduce it", "smaller, above 0", f"{cups['1 mm Al'][0]:.0f} → {cups['12 mm Al'][0]:.0f} HU"],
        [f"… after water correction, 6 mm Al (reconstruction alone: {abs(baseline):.1f})", "0 HU", f"{abs(cups['6 mm Al'][1]):.1f} HU"],
        ["dark band between two bones, water-corrected: depth", "above 0", f"{-band:.0f} HU"],
        ["noise of side over front rays of the shoulders (eq. of starvation)", f"{expected_ratio:.1f}", noise_ratio.shown(1)],
        ["SD of noise averaged along x, over along y: shoulders", "above 1", streak["shoulders"].shown()],
        ["… in the round bottle", "1", streak["bottle"].shown()],
        ["radius of a ring: distance from the element's place", "0 mm", f"{ring_error.shown()} mm"],
        *([f"error in the brain {name}", "grows", f"{value:.0f} HU"] for name, value in grows.items()),
    ],
    caption=f"Profile {run.profile.name}: synthetic objects, {size} × {size} pixels of {pixel_mm:g} mm, {views} views, 120 kV. ± is the 95 % interval of the mean over {seeds} seeds (Student's t; noise or the element drawn anew). Errors are standard deviations.",
)  # fmt: skip
run.record("ctart_streak", streak["shoulders"].mean, low=4, high=30, digits=1)
run.record("ctart_streak_round", streak["bottle"].mean, low=0.6, high=1.5, digits=2)
low, high = 0.7 * expected_ratio, 1.4 * expected_ratio
run.record("ctart_noise_ratio", noise_ratio.mean, low=low, high=high, digits=1)
run.record("ctart_noise_expected", expected_ratio, low=8, high=20, digits=1)
arriving = 3e5 * float(torch.exp(-rays[0].mean()))
run.record("ctart_arriving", arriving, low=15, high=60, digits=0)
run.record("ctart_ring_error", ring_error.mean, low=0, high=pixel_mm, unit="mm", digits=2)
run.record("ctart_motion_1", grows["by motion of 1 mm, 1°"], low=8, high=80, unit="HU", digits=0)  # fmt: skip
run.record("ctart_motion_6", grows["by motion of 6 mm, 6°"], low=40, high=250, unit="HU", digits=0)  # fmt: skip

# %% [markdown]
# **Filters and cups.** As the thesis says, filters help: twelve times the aluminium takes the cup from {glue:text}`ctart_cup_1` to {glue:text}`ctart_cup_12`. Software does the rest.
#
# **Starvation.** A ray through the shoulders from side to side is {glue:text}`ctart_noise_ratio` times noisier than one from front to back (equation {eq}`ctart-starvation`: {glue:text}`ctart_noise_expected`, a little less, since it is made for many photons and here {glue:text}`ctart_arriving` of 300,000 arrive). In the image this gives the noise a direction. Averages of it over lines along the long axis vary {glue:text}`ctart_streak` times as much (standard
# deviation) as averages over equally long lines across; in a round bottle the ratio is {glue:text}`ctart_streak_round`. So the streaks of starvation are noise, unevenly spread over directions.
#
# **Rings** lie where they must: their mean distance from there is {glue:text}`ctart_ring_error`, less than a pixel.
#
# **Motion.** A twitch of one millimetre and one degree in the middle of a scan already makes an error of {glue:text}`ctart_motion_1` in the brain, one of six {glue:text}`ctart_motion_6`.
#
# **What dose can do.** More photons cure noise: the grain, the streaks of starvation, and that part of metal streaks which comes from starved rays. The equations of hardening, scatter, rings and motion do not contain $N_0$, and a short detector stays short: these artefacts stay, and so does the rest of metal's. Too few views want more views.
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
if corrected_for_kv <= 80.0:
    assert left_over < -1.5, "a polynomial made for a softer beam must leave a dome"
    assert level < -50, "and the water must not be 0 HU"
run.record("ctart_wrong_cup", left_over, low=-12, high=4, unit="HU", digits=0)
run.record("ctart_wrong_level", level, low=-300, high=100, unit="HU", digits=0)

# %% [markdown]
# At 80 kV the curve of water bends more, so the polynomial straightens too much: rim minus middle is {glue:text}`ctart_wrong_cup`, a dome instead of a cup. And the middle of the water reads {glue:text}`ctart_wrong_level`, since water weakens a beam of 80 kV more, and its polynomial takes that for granted. The second error is noticed at once, the
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
# ### Exercise 2: how far does the series reach?
#
# The cell below equation {eq}`ctart-hardening` prints the mean, the variance and the third moment of $\mu$ of water in this page's beam. (a) By how many per cent is the line integral of 2 cm of water smaller than $\bar\mu\, l$, by two terms of the series and by three? (b) Up to which thickness is the third term at most a tenth of the second?
# (c) Repeat (a) for 18 cm. Which of your results can be trusted?
#
# <details class="hint"><summary>Hint</summary>
#
# Divide the second and the third term by the first.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# The loss is $\frac{\operatorname{var}(\mu)\, l}{2 \bar\mu} - \frac{m_3\, l^2}{6 \bar\mu}$, and the third term is $\frac{m_3\, l}{3 \operatorname{var}(\mu)}$ of the second.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# (a) Two terms, with the printed numbers and $l = 2$ cm: $\operatorname{var}(\mu)\, l / (2 \bar\mu)$, that is {glue:text}`ctart_thin_two`. The third gives back $m_3\, l^2 / (6 \bar\mu)$ and leaves {glue:text}`ctart_thin_three`. The sum over all energies says {glue:text}`ctart_thin_true`. (b) $l = 0.3 \operatorname{var}(\mu)/m_3$, {glue:text}`ctart_reach`. (c) {glue:text}`ctart_thick_two` by two terms, {glue:text}`ctart_thick_three` by three; the sum over all
# energies says {glue:text}`ctart_thick_true`. At 2 cm each term is small against the one before it, and the series is good. At 18 cm the third term is almost as large as the second, and neither result can be trusted. That is why the correction of equation {eq}`ctart-water` is fitted to the whole curve.
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
lengths, materials = with_metal("amalgam")
spoiled = correction(hardened_sinogram(lengths, materials, beam, floor=1e-30)).numpy()
images = {
    "amalgam": clip_image("amalgam"),
    "bridged": hu(torch.from_numpy(bridged(spoiled, (lengths[..., -1] > 0).numpy()))),
    "without clip": gallery["beam hardening"],
}
before, after, _ = (float((one - images["without clip"])[near].std()) for one in images.values())  # fmt: skip
assert after < before / 4, "the bridge must take most of the star away"
figure, axes = plt.subplots(1, 3, figsize=(6.9, 3.0))
for ax, (name, image) in zip(axes, images.items(), strict=True):
    draw_head(ax, image, name)
show(
    figure,
    caption=f"The remedy of exercise 3 on a clip of amalgam. Between 8 and 25 mm from its middle the error falls from {before:.0f} to {after:.0f} HU. The clip is gone, too, and the tissue beside it is a guess.",
    alt="Three head slices: a strong star of streaks, the same with faint streaks and no clip, and the head without clip",
)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A head shows a dark band between the two petrous bones. The dose is doubled. What happens to the band?",
        ("It shrinks by a third", "That would be noise, which falls with the square root. The band is no noise."),
        right("Nothing", "It comes from the spectrum: hardened rays give the same wrong line integral however many photons are counted."),
        ("It vanishes", "More photons of the same energies harden in the same way."),
    ),
    question(
        "Concentric circles appear in every slice of one scanner, at the same radius. Who should be called?",
        ("The patient, for a repeat", "Motion makes double contours and streaks, and differs from scan to scan."),
        right("The service engineer", "An element of the detector has a wrong gain, in all views and for all patients."),
        ("The physicist, for more views", "Too few views make rays all over, and no circles around the centre."),
    ),
    question(
        "Why do streaks of photon starvation run from shoulder to shoulder?",
        ("Because bone is there", "Bone adds to it, but a plain ellipse of water streaks in the same way."),
        right("Because the rays in that direction are the longest, and their noise is the largest", "The standard deviation grows with e<sup>p/2</sup>, and back-projection smears each ray along itself."),
        ("Because the patient breathes", "Breathing moves; starvation streaks are there in a phantom too."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - Every artefact is a broken assumption of reconstruction: one energy, enough photons, no scatter, equal detectors, a still object, enough views, a whole shadow.
# - Beam hardening makes cups and bands. A polynomial straightens water and nothing else; filters help but do not cure.
# - An error that is the same in all views becomes a ring; one that is in few views becomes a streak along them.
# - Noise, too, has a direction: the longest rays make the streaks.
# - Dose cures noise, that of starved rays behind metal included. It cures no band, no ring, no motion.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | anatomy | ICBM 152 template, one axial slice; skull and skin are **synthetic** layers of constant thickness without sinuses or teeth; clip, bottle, rods and shoulders are **synthetic** shapes |
# | scanner | parallel beam, one slice, half a turn; real scanners have fans and spirals, in which motion and rings look a little different |
# | beam hardening, metal | computed energy by energy, without noise, for a detector that reads even the weakest signal; a pixel is a mixture, so partial-volume streaks at metal edges are weaker than in life |
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
