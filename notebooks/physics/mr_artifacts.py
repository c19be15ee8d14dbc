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
#     - physics/encoding_and_kspace
#     summary: What goes wrong in MR images, each artefact made from its cause, how
#       to recognise it, and what helps.
#     weights: []
# ---

# %% [markdown]
# # MR artefacts
#
# An artefact is a structure in the image that is not in the patient. Most of them look strange until one knows in which step they arise; then
# they could not look otherwise. This lesson makes eight of them, each from its cause and with a knob, on the same head. It checks them against
# their formulas, and removes one of them: the bias field, by N4. Whoever trains a network on MR images should be able to make these by hand,
# because the network will meet them all.
#
# **You will be able to**
#
# - recognise Gibbs ringing, motion, susceptibility, bias field, fold-over, spike, zipper and noise in an image, and name cause and remedy
# - predict where a ghost lies, how high a Gibbs wave is and how far tissue is shifted
# - simulate each of them with a strength in physical units, as augmentation or as a test
# - correct a bias field with N4, and measure whether it helped
# - say why the same movement ruins one scan and spares another
#
# **You need** [Encoding and k-space](encoding_and_kspace.ipynb): lines of k-space, field of view, the Fourier pair.

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
bias_strength = 0.4  # largest change of the bias field, as a natural logarithm
jump_mm = 3.0  # how far the head jumps, in "Where it breaks"
jump_line = "close to the middle"  # of k-space, or "close to the edge": when it jumps

# %% tags=["hide-input"]
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import ndimage

from medlab.data import load_icbm152
from medlab.metrics import mean_interval
from medlab.physics.head import head_slice
from medlab.physics.mri.artifacts import GIBBS_OVERSHOOT, Motion, add_bias, bias_field
from medlab.physics.mri.artifacts import draw_motion, fold, gibbs, move_during_scan
from medlab.physics.mri.artifacts import n4_correction, rician_noise, sphere_field_hz, spike
from medlab.physics.mri.artifacts import step_response, susceptibility, zipper
from medlab.physics.mri.encoding import Readout, centre_lines, encode, to_image, to_kspace
from medlab.physics.mri.sequences import spin_echo_signal
from medlab.physics.mri.spins import Spins
from medlab.physics.mri.tissues import tissue_tensors
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
template = load_icbm152()
volumes = template.white, template.grey, template.mask
maps = [volume.data[0, 2:194, 6:230, 92] for volume in volumes]
X, Y = maps[0].shape  # 192 x 224 voxels of 1 mm; readout along X, phase encoding along Y
skin, skull, fluid, grey, white = head_slice(*maps, size=(X, Y))
tissues = tissue_tensors(["fat", "csf", "grey matter", "white matter"], 3.0)
signals = spin_echo_signal(
    *(tissues[name] for name in ("proton_density", "t1_ms", "t2_ms")),
    echo_time_ms=12,
    repetition_time_ms=600,
)
# The scalp counts as fat; the skull gives no signal.
head = torch.einsum("t,txy->xy", signals, torch.stack([skin, fluid, grey, white]))
complex_head = head.to(torch.complex128)
brain_mask, pure_white = maps[2] > 0, white > 0.95
WINDOW = (0.0, 0.45)

# Air in the sinuses: a sphere of 34 mm below the slice, behind the forehead.
SINUS = ((0.0, 66.0, -24.0), 17.0)
x_mm, y_mm = torch.arange(X) - X / 2, torch.arange(Y) - Y / 2
plane = torch.stack((*torch.meshgrid(x_mm, y_mm, indexing="ij"), torch.zeros(X, Y)), -1)
slab = torch.tensor([0.0, 0.0, 1.5])  # half a slice of 3 mm
field_hz = sphere_field_hz(plane, *SINUS)
through_hz = sphere_field_hz(plane + slab, *SINUS) - sphere_field_hz(plane - slab, *SINUS)
GRADIENT_ECHO = {"echo_time_ms": 20.0, "bandwidth_hz": 20_000.0, "through_slice_hz": through_hz}


def draw(ax, image, title, window=WINDOW, cmap="gray"):
    slices.draw_slice(ax, image[..., None], index=0, window=window, cmap=cmap)
    ax.set_title(title, fontsize=10)


# Each artefact at a strength from 0 to 1, and what that strength is in physical units.
ARTIFACTS = {
    "Gibbs ringing": (lambda s: gibbs(head, 0.75 * s), lambda s: f"{75 * s:.0f} % of the lines missing"),
    "motion": (
        lambda s: move_during_scan(head, draw_motion(Y, 3 * s, run.fresh_generator(5), jumps=4)),
        lambda s: f"standard deviation {3 * s:.2g} mm, {3 * s:.2g}°",
    ),
    "susceptibility": (
        lambda s: susceptibility(head, field_hz, s, **GRADIENT_ECHO),
        lambda s: f"up to {s * float(field_hz.max()):.0f} Hz",
    ),
    "bias field": (
        lambda s: add_bias(head, 0.6 * s, run.fresh_generator(0)),
        lambda s: f"factor {math.exp(-0.6 * s):.2f} to {math.exp(0.6 * s):.2f}",
    ),
    "fold-over": (lambda s: fold(head, s), lambda s: f"every second line {100 * s:.0f} % too weak"),
    "spike": (
        lambda s: spike(head, 0.3 * s, place=(14, -22)),
        lambda s: f"wave of {30 * s:.0f} % of the maximum",
    ),
    "zipper": (
        lambda s: zipper(head, 0.5 * s, run.fresh_generator(2), frequency_hz=3000, bandwidth_hz=20_000),
        lambda s: f"line of {50 * s:.0f} % of the maximum",
    ),
    "noise": (
        lambda s: rician_noise(head, 0.1 * s, run.fresh_generator(3)),
        lambda s: f"σ = {10 * s:.1f} % of the maximum",
    ),
}  # fmt: skip

figure, axes = plt.subplots(2, 4, figsize=(6.6, 4.7))
for ax, (name, (make, _)) in zip(axes.flat, ARTIFACTS.items(), strict=True):
    draw(ax, make(0.7), name)
show(
    figure,
    caption="One synthetic head, eight artefacts, each made from its cause. Lines of k-space follow one another from back to front (up and down), "
    "the readout runs from side to side.",
    alt="Eight axial head slices: waves below the scalp; ghosts and blur; a dark hole at the forehead; uneven brightness; a shifted copy; oblique stripes; a broken vertical line; grain",
)

# %% [markdown]
# The anatomy is the {term}`template` ICBM 152 {cite}`fonov2011`, which ends at the brain. What lies around it is *synthetic*: layers of constant thickness, of fluid, of bone that gives no signal, and of scalp, which
# counts as fat. The step from dark bone to bright fat is where ringing is seen best. The contrast is T1-weighted (TE 12 ms, TR 600 ms, 3 T), and all images are *synthetic*, too. Pictures follow the {term}`radiological convention`.
#
# The thesis {cite}`thesis` shows three of these in real scans (its figure 3.2): Gibbs ringing at the inside of the skull, motion, and probably a susceptibility artefact. Its
# networks had to work with them.
#
# ## Where does it happen?
#
# A scan has a place for every artefact. The magnetisation $\rho(\mathbf{r})$ is weighted by the coil (bias field) and precesses in a field that is not uniform (susceptibility). It is measured line by line while time passes
# (motion), as far out as there are lines (Gibbs) and no more densely (fold-over), by a receiver that also hears other things (noise, spike, zipper):
#
# $$ S(k_x, k_y) = \int c(\mathbf{r})\, \rho(\mathbf{r}, t_{k_y})\, e^{-2\pi i [\mathbf{k}\cdot\mathbf{r} + \Delta f(\mathbf{r})\, t_{k_x}]}\, d\mathbf{r} + \text{what is not from the patient}. $$ (artifact-signal)
#
# The rest of the lesson takes this equation apart. Keep one rule in mind: *what multiplies k-space smears the image; what is added at one point of k-space is
# added to all of the image, and the other way round.*
#
# ## Gibbs ringing
#
# Measuring only $|k_y| < k_\mathrm{max}$ means multiplying k-space by a box. The image is then convolved with the transform of the box, a {term}`sinc`. At a step of height 1 that gives
#
# $$ m(y) = \frac12 + \frac{1}{\pi}\,\mathrm{Si}(2\pi k_\mathrm{max}\, y), \qquad \mathrm{Si}(z) = \int_0^z \frac{\sin u}{u}\, du, $$ (artifact-gibbs)
#
# a wave of the length $1/k_\mathrm{max}$, two voxels of what was measured. It overshoots by $\mathrm{Si}(\pi)/\pi - \frac12 = 8.95\,\%$ of the step.
#
# **Predict.** You measure four times as many lines. Does the overshoot become four times smaller?

# %%
step = torch.zeros(2, 4096, dtype=torch.complex128)
step[:, 1024:3072] = 1  # a box, drawn 4096 voxels fine
overshoot = {}
for lines in (33, 65, 129, 257):
    mask_of_lines = centre_lines(4096, lines)
    by_hand = to_image(to_kspace(step) * mask_of_lines)  # a box in k-space
    ringing = gibbs(step, 1 - lines / 4096)
    torch.testing.assert_close(by_hand, ringing)
    # The peak lies between voxels: zeros around k-space draw the same curve on an 8 times finer grid.
    fine = to_image(torch.nn.functional.pad(to_kspace(ringing), (7 * 2048, 7 * 2048)))
    overshoot[lines] = math.sqrt(8) * float(fine.real.max()) - 1

# %% tags=["hide-input"]
figure, axes = plt.subplot_mosaic([["step", "step"], ["all", "few"]], figsize=(5.6, 6.2))
left = axes["step"]
places = torch.linspace(-4, 9, 601)
for lines, colour in ((33, style.ORANGE), (129, style.BLUE)):
    ringing = gibbs(step, 1 - lines / 4096)[0, 924:1224].real
    at = (torch.arange(-100, 200) + 0.5) * 192 / 4096
    left.plot(at, ringing, color=colour, label=f"{lines} lines", linewidth=1.3)
left.axhline(1 + GIBBS_OVERSHOOT, color=style.MUTED, linestyle="--", linewidth=0.9)
theory = step_response(places * 129 / 192)
left.plot(places, theory, ":", color=style.INK, label="theory, 129 lines", linewidth=1.6)
left.set(xlabel="distance from the step (mm, of 192)", ylabel="image", xlim=(-4, 9), title="a step")  # fmt: skip
left.legend(fontsize=8, loc="lower right")
front = (slice(60, 132), slice(150, 222))
for ax, image, title in ((axes["all"], head, "all 224 lines"), (axes["few"], gibbs(head, 0.6), "90 lines")):  # fmt: skip
    slices.draw_slice(ax, image[front][..., None], index=0, window=(0.12, 0.32), smooth=False)
    ax.set_title(title, fontsize=10)
show(
    figure,
    caption="Above: more lines make the waves shorter, not lower; all reach the dashed line. Below: the front of the head, windowed to the brain. With 90 lines, waves "
    "run below the bright scalp into the brain, parallel to it.",
    alt="Above: two ringing step curves of equal height and different wavelength with the theory on top. Below: forehead without and with parallel bands below the scalp",
)
for lines, value in overshoot.items():
    run.record(f"artifact_gibbs_{lines}", 100 * value, low=8.9, high=9.1, unit="%", digits=2)
# the waves of the fat, and of the whole head below the bone, in units of white matter's signal
first = GIBBS_OVERSHOOT * float(signals[0] / signals[-1])
run.record("artifact_wave_first", 100 * first, low=15, high=30, unit="%", digits=0)
depth = torch.from_numpy(ndimage.distance_transform_edt(skin + skull < 0.5))  # mm
rim = (brain_mask & (depth > 5) & (depth <= 10))[front]
for name, image in (("head", complex_head), ("fat", signals[0] * skin + 0j)):
    wave = (gibbs(image, 0.6) - image)[front][rim].real.square().mean().sqrt() / signals[-1]
    run.record(f"artifact_wave_{name}", 100 * float(wave), low=1, high=4, unit="%", digits=1)

# %% [markdown]
# It does not: {glue:text}`artifact_gibbs_33` with 33 lines, {glue:text}`artifact_gibbs_257` with 257. The waves only move closer to the edge. (What is left above 8.95 % comes from the other edge of the drawn box where lines are few, and from its
# voxels where they are many.)
#
# In the head the largest step is from bone to fat, and its first wave is {glue:text}`artifact_wave_first` of white matter's signal. But that wave lies in the bone. Waves fade with distance, and the brain lies behind bone and fluid: in the strip of brain 5 to 10 mm inside the bone, in the part shown, ringing is
# {glue:text}`artifact_wave_head` of white matter's signal (root mean square). The fat's waves alone are {glue:text}`artifact_wave_fat`; the rest comes from nearer, lower steps.
#
# What helps: more lines, so that the waves are thin; a smooth filter instead of a
# box, paid with resolution; fat suppression, which takes the step away. Ringing shows along phase encoding, where each line costs a repetition and one stops early.
#
# ## Motion
#
# In a scan of minutes each line may come from another pose of the head. A head that has moved by $\mathbf{d}$ has the same k-space but for a phase (the shift theorem), and if it moves during the scan each line gets
# the phase of its own moment:
#
# $$ S'(k_x, k_y) = S(k_x, k_y)\; e^{-2\pi i\, \mathbf{k}\cdot\mathbf{d}(t_{k_y})}. $$ (artifact-motion)
#
# Nothing is lost, lines just contradict one another. Along $k_x$ all samples of a line are measured within milliseconds and agree; so the damage spreads along $y$, wherever the head
# went: a shift from side to side makes {term}`ghosts <ghost>` in the up–down direction, too.

# %%
shift_mm = torch.zeros(Y, 2, dtype=torch.float64)
shift_mm[Y // 3 :, 0] = 2.0  # after a third of the lines, 2 mm to the side
shift_mm[Y // 2 + 10 :, 1] = -3.0  # and soon after the middle, 3 mm back

k_x = (torch.arange(X).double()[:, None] - X // 2) / X  # cycles a voxel of 1 mm
k_y = (torch.arange(Y).double() - Y // 2) / Y
turns = k_x * shift_mm[:, 0] + k_y * shift_mm[:, 1]
# equation (artifact-motion)
by_hand = to_image(to_kspace(head) * torch.exp(-2j * math.pi * turns))
moved = move_during_scan(complex_head, Motion(shift_mm, torch.zeros(Y)))
torch.testing.assert_close(by_hand, moved, rtol=0, atol=1e-5)

# %% tags=["hide-input"]
breathing = torch.zeros(Y, 2, dtype=torch.float64)
breathing[:, 1] = 0.8 * torch.sin(2 * math.pi * torch.arange(Y) / 8)  # one breath every 8 lines
periodic = move_during_scan(head, Motion(breathing, torch.zeros(Y)))
drawn = draw_motion(Y, 2.0, run.fresh_generator(5), jumps=4)
figure, axes = plt.subplots(2, 2, figsize=(5.4, 6.2))
axes = axes.flat
axes[0].plot(drawn.shift_mm[:, 0], color=style.BLUE, label="x (mm)")
axes[0].plot(drawn.shift_mm[:, 1], color=style.ORANGE, label="y (mm)")
axes[0].plot(drawn.angle_deg, color=style.GREEN, label="angle (°)")
axes[0].set(xlabel="line", title="four jumps")
axes[0].legend(fontsize=8)
draw(axes[1], move_during_scan(head, drawn), "their image")
draw(axes[2], moved.abs(), "the two shifts above")
draw(axes[3], periodic, "nodding, every 8 lines")
show(
    figure,
    caption="Random jumps smear and double edges. A movement that repeats makes sharp ghosts at equal distances: every 8 lines, so "
    "every eighth of the field of view.",
    alt="Pose over line number; a head with ringing-like bands; a head with blurred doubled edges; a head with faint equally spaced copies above and below",
)

# %% [markdown]
# A turn is more than a phase: k-space turns with the head, so some regions are measured twice and others never. `move_during_scan` rotates by three
# shears in Fourier space {cite}`unser1995`, which keeps every frequency that the grid can hold. What helps: a padded head, a short scan, measuring the pose and correcting for it, radial paths {cite}`zaitsev2015`.
#
# ## Susceptibility
#
# Tissue is slightly diamagnetic, air is not; where they meet, the field bends by millionths, which at 3 T are hundreds of Hz (the {term}`susceptibility` differs by 9.4 ppm {cite}`schenck1996`). With $\Delta f$ in equation {eq}`artifact-signal`
# two things happen in a {term}`gradient echo`. The readout cannot tell an {term}`off-resonance` from a place, so tissue appears shifted; and inside a voxel spins with
# frequencies that differ by $\delta f$ fan out until the echo:
#
# $$ \Delta x = \frac{\Delta f}{\mathrm{BW}}\, N_x \ \text{voxels}, \qquad
# \frac{|S|}{|S_0|} = \Big|\frac{\sin(\pi\, \delta f\, \mathrm{TE})}{\pi\, \delta f\, \mathrm{TE}}\Big|, $$ (artifact-susceptibility)
#
# with the bandwidth BW of the whole readout. (This is T2* for one voxel; thesis eq. 3.3 has an exponential in its place, for a Lorentzian field.)
#
# **Predict.** With 192 voxels and 20 kHz: how far does tissue at 250 Hz move? And with 100 kHz?

# %%
# NBVAL_CHECK_OUTPUT
for bandwidth in (20_000.0, 100_000.0):
    print(f"{bandwidth / 1000:3.0f} kHz: {250 / bandwidth * X:.2f} voxels")
uniform = torch.full((X, Y), 3 * 20_000.0 / X).double()  # three voxels' worth of Hz
bent = susceptibility(head, uniform, echo_time_ms=20.0, bandwidth_hz=20_000.0)
# equation (artifact-susceptibility)
torch.testing.assert_close(bent, head.roll(3, 0), rtol=0, atol=1e-5)

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 2, figsize=(5.4, 6.2))
axes = axes.flat
limit = float(field_hz.abs().max())
draw(axes[0], field_hz, f"field, ±{limit:.0f} Hz", (-limit, limit), "berlin")
wide_band = GRADIENT_ECHO | {"bandwidth_hz": 200_000.0}
draw(axes[1], susceptibility(head, field_hz, **wide_band), "TE 20 ms, 200 kHz")
refocused = susceptibility(head, field_hz, echo_time_ms=0.0, bandwidth_hz=10_000.0)
draw(axes[2], refocused, "spin echo, 10 kHz")
short = wide_band | {"echo_time_ms": 3.0}
draw(axes[3], susceptibility(head, field_hz, **short), "TE 3 ms, 200 kHz")
show(
    figure,
    caption="A sphere of air below the slice. Second: a gradient echo with a wide band loses signal there and moves nothing. Third: a spin echo with a narrow band loses "
    "nothing, but tissue is pushed to the side and piled up. Fourth: a short echo time and a wide band, at the price of noise, cure most of it.",
    alt="Field map with a bright spot at the forehead; head with a dark hole there; head with a bright and a dark patch side by side; nearly intact head",
)

# %% [markdown]
# The hole comes with the gradient echo and grows with TE. A {term}`spin echo` brings the spins back together, and only the shift remains. Metal does the same, much more strongly.
#
# ## Bias field, and its removal
#
# A coil hears near tissue louder. The {term}`bias field` multiplies the image by a smooth $b(\mathbf{r})$:
#
# $$ v(\mathbf{r}) = b(\mathbf{r})\, m(\mathbf{r}) + \varepsilon, \qquad \ln v \approx \ln b + \ln m . $$ (artifact-bias)
#
# The eye hardly minds. A threshold does, and a network that learned that white matter has one brightness. Two things are known about $b$: it is smooth, and it blurs the
# histogram, whose peaks (one a tissue) it widens. {term}`N4` looks for the smooth field without which the histogram of $\ln v$ is sharpest {cite}`tustison2010`. Does it help? White matter has one
# signal in our head, so its {term}`coefficient of variation` should be that of the noise.


# %%
def unevenness(image):
    """Coefficient of variation in voxels that are white matter alone, in per cent."""
    values = image[pure_white]
    return 100 * float(values.std() / values.mean())


field = bias_field((X, Y), bias_strength, run.fresh_generator(0))
torch.testing.assert_close(add_bias(head, bias_strength, run.fresh_generator(0)), head * field)

scan = rician_noise(head * field, 0.005, run.fresh_generator(1))
shrink = run.pick(ci=6, cpu=2, gpu=2)
corrected, found = n4_correction(scan, brain_mask, shrink=shrink)

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 2, figsize=(5.4, 6.2))
axes = axes.flat
draw(axes[0], scan, "with bias field")
ratio = torch.where(brain_mask, found / field, torch.nan)
ratio = ratio / ratio[brain_mask].mean()
draw(axes[1], corrected * brain_mask, "after N4 (brain)")
draw(axes[2], torch.nan_to_num(ratio, nan=1.0), "found / true", (0.85, 1.15), "berlin")
bins = np.linspace(0.05, 0.45, 120)
for image, colour, label in ((scan, style.ORANGE, "before"), (corrected, style.BLUE, "after")):
    values = image[brain_mask].numpy()
    axes[3].hist(values, bins, histtype="step", color=colour, label=label, linewidth=1.4)
axes[3].set(xlabel="brightness", ylabel="voxels", title="histogram")
axes[3].legend(fontsize=8)
show(
    figure,
    caption="A strong bias field, and what N4 leaves. Third panel: the field that N4 found over the true one, red 15 % too high, blue too low. Before, the "
    "histogram is one heap; after, grey and white matter stand apart.",
    alt="Unevenly bright head; evenly bright brain; a map close to one; two histograms, a broad one and one with two peaks",
)
run.record("artifact_cv_before", unevenness(scan), low=2, high=40, unit="%", digits=1)
run.record("artifact_cv_after", unevenness(corrected), low=0.5, high=6, unit="%", digits=1)

# %% [markdown]
# White matter varied by {glue:text}`artifact_cv_before`, now by {glue:text}`artifact_cv_after`. The third panel is less flattering: at parts of the rim of the brain, which has tissue on one side only, the field is off by more. The
# experiment below repeats the measurement with other fields.
#
# ## Four more
#
# **Fold-over** is from the last lesson: step $\Delta k$ too large, and what is outside the {term}`field of view` comes back. If every second line is only *weaker* by the share $s$, as when odd and even lines
# follow excitations of unequal strength, there is a ghost at half the field of view, $\frac{s}{2}$ as bright ({term}`aliasing`). Echo-planar imaging reads neighbouring lines in opposite directions; if their phases are $+\varphi$ and $-\varphi$, the ghost
# lies at the same place and is $\sin\varphi$ as bright (Nyquist ghost).
#
# A {term}`spike <spike artefact>`, a spark from static electricity, falls onto one sample and adds the wave
#
# $$ a\, e^{2\pi i (k_x x + k_y y)} $$ (artifact-spike)
#
# to all of the image. The magnitude of a wave alone is the same everywhere: air turns evenly grey, and stripes appear only where the wave meets tissue. A {term}`zipper <zipper artefact>` is a transmitter at one frequency, a pump or a lamp inside the shielded room: the readout takes a frequency $f$ for the place $x = f N_x / \mathrm{BW}$,
# and since its phase is another on each line, it spreads over all of $y$. **Noise** is everywhere alike; in the magnitude it is never negative, so air is not black {cite}`gudbjartsson1995`.

# %%
wave = spike(head.to(torch.complex64), 0.2, place=(14, -22)) - head
cycles = 14 * (torch.arange(X)[:, None] - X // 2) / X - 22 * (torch.arange(Y) - Y // 2) / Y
expected = 0.2 * head.max() * torch.exp(2j * math.pi * cycles)  # equation (artifact-spike)
torch.testing.assert_close(wave, expected, rtol=0, atol=1e-5)
air = spike(head, 0.2, place=(14, -22))[head == 0]
torch.testing.assert_close(air, torch.full_like(air, 0.2) * head.max())  # no stripes there

far = head.roll(Y // 2, 1)  # half a field of view away
torch.testing.assert_close(
    fold(head, 0.6), (1 - 0.6 / 2) * head + 0.6 / 2 * far, rtol=0, atol=1e-5
)
phase = torch.where(torch.arange(Y) % 2 == 0, 0.3, -0.3)
echo_planar = to_image(to_kspace(head) * torch.exp(1j * phase))
nyquist = math.cos(0.3) * head + 1j * math.sin(0.3) * far
torch.testing.assert_close(echo_planar, nyquist, rtol=0, atol=1e-5)

# %% [markdown]
# ## Choose an artefact
#
# **Predict** for each, before you move the second slider: which part of the image changes first, and along which direction?


# %% tags=["hide-input"]
def draw_artifact(artifact, strength_percent):
    make, describe = ARTIFACTS[artifact]
    figure, ax = plt.subplots(figsize=(3.6, 4.2))
    draw(ax, make(strength_percent / 100), f"{artifact}\n{describe(strength_percent / 100)}")
    return figure


explore(
    draw_artifact,
    caption="One head, eight causes, five strengths; at 0 the image is exactly the clean one. The title gives the strength in physical units.",
    alt=lambda artifact, strength_percent: (
        f"Head with {artifact}, {ARTIFACTS[artifact][1](strength_percent / 100)}"
    ),
    labels={"artifact": "artefact", "strength_percent": "strength (% of the strongest here)"},
    start={"artifact": "motion", "strength_percent": 50},
    artifact=list(ARTIFACTS),
    strength_percent=[0, 25, 50, 75, 100],
)

# %% [markdown]
# ## To recognise them
#
# | what you see | artefact | cause | in k-space | what helps |
# | --- | --- | --- | --- | --- |
# | fine waves along sharp edges, fading away from them | Gibbs ringing | too few lines | cut off at the edge | more lines, filter, fat suppression |
# | ghosts and smeared edges along phase encoding | motion | lines from different poses | a phase that jumps between lines | hold still, correct, scan faster |
# | dark hole and bent edges near air or metal | susceptibility | field not uniform | each place has its own clock | spin echo, short TE, wide band |
# | slow change of brightness | bias field | coils hear unevenly | each sample smeared over its neighbours | N4, coil calibration |
# | the other side of the head laid over this one | fold-over | field of view too small | lines too far apart | larger field of view, other direction, coils |
# | even stripes over all tissue, air evenly grey | spike | spark | one sample too large | find the spark, replace the sample |
# | one broken line along phase encoding | zipper | transmitter in the room | one tone on every line | close the door, remove the device |
# | grain, and grey air | noise | heat in the patient | on every sample alike | larger voxels, averages, better coil |
#
# ## The experiment: formulas against images, and N4 measured
#
# First column of numbers: what the equation says. Second: what was measured in simulated images. For motion: random jumps, and how far the brain differs from the brain at rest. For N4: several random bias fields, each with its own noise, before and after, with the brain mask that N4 wants
# and without.
#
# **Predict.** N4 does not know the tissues. Can it do better than the noise allows? Does it need the mask?

# %% tags=["hide-input"]
seeds = run.pick(ci=2, cpu=8, gpu=20)
spread = {"no bias": [], "before": [], "after": [], "after, no mask": []}
for n in range(seeds):
    noise_of = lambda: run.fresh_generator(200 + n)  # noqa: E731, B023
    shaded = head * bias_field((X, Y), bias_strength, run.fresh_generator(100 + n))
    shaded = rician_noise(shaded, 0.005, noise_of())
    spread["no bias"].append(unevenness(rician_noise(head, 0.005, noise_of())))
    spread["before"].append(unevenness(shaded))
    spread["after"].append(unevenness(n4_correction(shaded, brain_mask, shrink=shrink)[0]))
    spread["after, no mask"].append(unevenness(n4_correction(shaded, shrink=shrink)[0]))

finer = run.pick(ci=2, cpu=4, gpu=4)  # shifts are tried in steps of one voxel / finer
grid = torch.zeros(2, finer * X, finer * Y, dtype=torch.float64)
grid[:, ::finer, ::finer] = brain_mask * torch.stack([torch.ones(X, Y), head])
mask_k, brain_k = torch.fft.rfft2(grid).conj()
energy = float(grid[1].square().sum())


def best_error(image):
    """Relative error of the brain in a complex image after the best shift back along x and y.

    The sum of squares over the brain after each shift is a sum of correlations: all shifts at once by FFT.
    """
    border = [(finer - 1) * size // 2 for size in (Y, Y, X, X)]
    fine = finer * to_image(torch.nn.functional.pad(to_kspace(image), border)).abs()
    squares = mask_k * torch.fft.rfft2(fine**2) - 2 * brain_k * torch.fft.rfft2(fine)
    least = energy + float(torch.fft.irfft2(squares, s=fine.shape).min())
    return math.sqrt(max(least, 0.0) / energy)


errors = {0.5: [], 1.0: [], 2.0: []}
for strength, n in itertools.product(errors, range(seeds)):
    drawn = draw_motion(Y, strength, run.fresh_generator(300 + n))
    turned = drawn.angle_deg - drawn.angle_deg[Y // 2]  # counted from the middle of k-space
    image = move_during_scan(complex_head, Motion(drawn.shift_mm, turned))
    errors[strength].append(100 * best_error(image))

# a coarse head in the bent field, encoded by 4 x 4 spins a voxel with frequencies spread over its range
coarse = torch.nn.functional.avg_pool2d(head[None].double(), 8)[0]
coarse_hz = torch.nn.functional.avg_pool2d(field_hz[None], 8)[0]
across = torch.gradient(coarse_hz)  # the range over a voxel, along x and along y
inside = (torch.arange(4) + 0.5) / 4 - 0.5
hz = coarse_hz + inside[:, None, None, None] * across[0] + inside[:, None, None] * across[1]
readout = Readout(coarse.shape, (192.0, 224.0), dwell_ms=1000 / 20_000, encode_ms=10.0)
spins = Spins(
    math.inf, math.inf, hz.flatten(), proton_density=coarse.expand(hz.shape).flatten()
).pulse(90, 90)
places_mm = readout.places_mm().reshape(-1, 2).repeat(16, 1)
by_spins = to_image(encode(spins, places_mm, readout))
kept = math.prod(torch.sinc(slope * readout.echo_time_ms / 1000) for slope in across)
spin_error = {}
for name, image, bandwidth in (
    ("", coarse, readout.bandwidth_hz),
    (", without its sinc", coarse / kept, readout.bandwidth_hz),
    (", without its shift", coarse, 1e9),
):
    timing = {"echo_time_ms": readout.echo_time_ms, "bandwidth_hz": bandwidth}
    by_formula = susceptibility(image.to(torch.complex128), coarse_hz, **timing)
    spin_error[name] = float((by_spins - by_formula).abs().max() / by_spins.abs().max())

hum = zipper(head, 1e3, run.fresh_generator(2), frequency_hz=3125, bandwidth_hz=20_000)
gain = np.subtract(spread["after, no mask"], spread["after"])  # what the mask is worth


def shown(values):
    return f"{mean_interval(values).shown(1)} %"


table(
    ["quantity", "equation", "measured here"],
    [
        *([f"Gibbs overshoot, {n} lines", f"{100 * GIBBS_OVERSHOOT:.2f} % in the limit", f"{100 * v:.2f} %"] for n, v in overshoot.items()),
        *([f"spins in a bent field against the formula{n}, largest difference", "–" if n else "0", f"{100 * v:.1f} %"] for n, v in spin_error.items()),
        ["zipper at 3125 Hz: column", X // 2 + round(3125 * X / 20_000), int(hum.sum(1).argmax())],
        *([f"error of the brain, 3 jumps of standard deviation {s:g} mm and {s:g}°", "–", shown(v)] for s, v in errors.items()),
        ["variation of white matter without bias field (noise alone)", "–", shown(spread["no bias"])],
        ["with bias field", "–", shown(spread["before"])],
        ["after N4 with the brain mask", "as without bias field", shown(spread["after"])],
        ["after N4 without a mask", "–", shown(spread["after, no mask"])],
        ["without a mask minus with it, field by field", "–", shown(gain)],
    ],
    caption=f"Profile {run.profile.name}: one synthetic slice, bias field of strength {bias_strength}, noise 0.5 % of the maximum, {seeds} seeds, ± is the 95 % interval of the mean (Student's t); N4 on a grid of {shrink} mm.",
)  # fmt: skip
for key, name in zip(("none", "with", "n4", "n4_nomask"), spread, strict=True):
    run.record(
        f"artifact_spread_{key}", np.mean(spread[name]), low=0.5, high=30, unit="%", digits=1
    )
mean, half = mean_interval(gain)
run.record("artifact_mask_gain", mean, low=-1, high=8, digits=1)
run.record("artifact_mask_half", half, low=0, high=15, digits=1)
for key, value, low, high in (
    ("spin_error", spin_error[""], 0, 4),
    ("spin_no_sinc", spin_error[", without its sinc"], 40, 80),
    ("spin_no_shift", spin_error[", without its shift"], 6, 15),
):
    run.record(f"artifact_{key}", 100 * value, low=low, high=high, unit="%", digits=1)
for key, strength in (("half", 0.5), ("two", 2.0)):
    run.record(
        f"artifact_motion_{key}", np.mean(errors[strength]), low=1, high=20, unit="%", digits=1
    )
assert np.mean(spread["after"]) < 0.5 * np.mean(spread["before"]), (
    "N4 must take most of the bias field away"
)

# %% [markdown]
# **Formulas.** Heights and positions are where the equations put them; shift, ghost and wave were checked in the cells above. The susceptibility was compared on a coarse head of 24 × 28 voxels of 8 mm, in the field averaged over them: in each voxel 16 spins, whose frequencies are spread over
# its range, went through a gradient echo. Their image and equation {eq}`artifact-susceptibility` with its sinc and its shift differ by at most {glue:text}`artifact_spin_error` of the maximum. Without the sinc it would be {glue:text}`artifact_spin_no_sinc`, without the shift {glue:text}`artifact_spin_no_shift`, so
# both are needed. What remains has two causes: the spins of one voxel also appear at slightly different places, which the formula leaves out, and 16 spins are few.
#
# **N4.** It takes the variation of white matter from {glue:text}`artifact_spread_with` to {glue:text}`artifact_spread_n4`; the noise alone would leave {glue:text}`artifact_spread_none`. Without the mask it leaves {glue:text}`artifact_spread_n4_nomask`, field by field {glue:text}`artifact_mask_gain` ± {glue:text}`artifact_mask_half` percentage points more:
# scalp, bone and air then take part in the histogram that N4 sharpens. The paper judged by simulated brains, lungs and a hippocampus and gives no such number for white matter, so there is none to compare with.
#
# **Motion.** Three jumps with standard deviations of half a millimetre and half a degree change the brain by {glue:text}`artifact_motion_half`, of 2 mm and 2° by {glue:text}`artifact_motion_two`. A head that lies elsewhere is not an artefact: the error is taken after the best shift back, and
# angles count from the pose in which the middle of k-space was measured. The sizes, the directions and the moments of the jumps were all drawn, so single scans differ much and the intervals are wide. The next section changes the moment alone.
#
# ## Where it breaks
#
# **The same jump, at another moment.** The head jumps once, by `jump_mm`. Only the line changes at which it does.
#
# **Predict.** When is a jump worse: while the scanner measures lines close to the middle of k-space, or close to its edge?

# %%
lines = {"close to the middle": Y // 2 + Y // 12, "close to the edge": Y - Y // 12}


def jump_at(line):
    """The complex image of a head that jumps by jump_mm along y when this line is due."""
    shift = torch.zeros(Y, 2)
    shift[line:, 1] = jump_mm
    return move_during_scan(complex_head, Motion(shift, torch.zeros(Y)))


damage = {name: best_error(jump_at(line)) for name, line in lines.items()}
if jump_mm >= 2:
    assert damage["close to the middle"] > 2 * damage["close to the edge"], (
        "it must be far worse"
    )
print({name: f"{100 * value:.1f} %" for name, value in damage.items()})

# %% tags=["hide-input"]
every = run.pick(ci=4, cpu=1, gpu=1)
moments = [Y * n // 24 for n in range(every, 24, every)]
curve = [100 * best_error(jump_at(moment)) for moment in moments]
figure, (left, right_) = plt.subplots(1, 2, figsize=(5.6, 3.1), width_ratios=(1.4, 1))
left.plot([m - Y // 2 for m in moments], curve, "o-", color=style.BLUE, markersize=4)
left.axvline(lines[jump_line] - Y // 2, color=style.MUTED, linestyle="--", linewidth=1)
left.set(xlabel="line of the jump (0: middle)", ylabel="error of the brain (%)", ylim=(0, None))
draw(right_, jump_at(lines[jump_line]).abs(), f"line {lines[jump_line] - Y // 2:+d}")
show(
    figure,
    caption="One jump, and what it costs by the line at which it happens, counted from the middle of k-space (dashed: the image on the right). Worst are lines close to the middle. At the middle itself there is a dip.",
    alt="Error against line of the jump: two peaks close to the middle of k-space with a dip between them, low at both ends; a head with bands along the edges",
)
zero = jump_at(Y // 2)
back = to_image(to_kspace(zero) * torch.exp(1j * math.pi * k_y * jump_mm))  # by half the jump
two_copies = to_image(to_kspace(complex_head) * torch.cos(math.pi * k_y * jump_mm))
torch.testing.assert_close(back.real, two_copies.real)
real, imaginary = (
    float(part[brain_mask].norm() / head[brain_mask].norm()) for part in (back.real - head, back.imag)
)  # fmt: skip
for key, value, low, high in (
    ("close", damage["close to the middle"], 1, 30),
    ("edge", damage["close to the edge"], 0.1, 10),
    ("zero", best_error(zero), 0.2, 15),
    ("zero_real", real, 0.2, 15),
    ("zero_imaginary", imaginary, 0.5, 30),
):
    run.record(f"artifact_jump_{key}", 100 * value, low=low, high=high, unit="%", digits=1)

# %% [markdown]
# Close to the middle, 18 lines from it, the jump costs {glue:text}`artifact_jump_close`, close to the edge {glue:text}`artifact_jump_edge`. So one cannot say how bad "a jump of 3 mm" is. It also means that a network which is trained on motion should see jumps at all moments, and
# that little is lost if only the lines around the middle all come from one pose.
#
# At the middle itself, $k_y = 0$, it is only {glue:text}`artifact_jump_zero`. The dip surprised us. Look at the lines in pairs, $\pm k_y$. If the head jumps by $d$ between the two lines of a pair, one has the phase 0 and the other $-2\pi k_y d$. An odd half of it, $-\pi k_y d$ on both, moves the pair by $d/2$; the
# other half, $-\pi |k_y| d$, is even. A jump at line $k_0$ leaves the pairs within $k_0$ together and moves those beyond by half of it: coarse and fine structures part. A jump at 0 moves all pairs alike, which is harmless, and only the even phase stays:
#
# $$ e^{-i\pi |k_y| d} = \cos(\pi k_y d) - i \sin(\pi |k_y| d). $$ (artifact-dip)
#
# The cosine makes two copies of half the height, $d$ apart: a double contour. The sine makes an imaginary image, because an even real factor leaves a real image real. In the brain it is the larger part, {glue:text}`artifact_jump_zero_imaginary` against the {glue:text}`artifact_jump_zero_real` by which the real part is off; but beside a bright real part it stands at a right angle
# and hardly changes the magnitude.
#
# **A correction can only be as good as its assumption.** N4 assumes that what is smooth is bias. A large lesion with soft borders is smooth, too. Here is one in white matter, 6 cm across at half its height and 30 % brighter at its centre.

# %%
x, y = torch.arange(X)[:, None] - 70, torch.arange(Y) - 130
lesion = torch.exp(-(x**2 + y**2) / (2 * 25**2))
scan = rician_noise(head * (1 + 0.3 * lesion), 0.005, run.fresh_generator(1))
healed = n4_correction(scan, brain_mask, shrink=shrink)[0]
for name, image in (("before", scan), ("after", healed)):
    near, away = (image[pure_white & part].mean() for part in (lesion > 0.9, lesion < 0.01))
    brighter = 100 * float(near / away - 1)
    low, high = {"before": (25, 32), "after": (0, 14)}[name]
    run.record(f"artifact_lesion_{name}", brighter, low=low, high=high, unit="%", digits=0)

# %% [markdown]
# White matter in the middle of the lesion was {glue:text}`artifact_lesion_before` brighter than far from it; after N4 it is {glue:text}`artifact_lesion_after` brighter. N4 has taken most of the lesion for bias.
#
# ## Exercises
#
# ### Exercise 1: fat, moved
#
# Fat precesses 3.4 millionths more slowly than water. At 3 T, with 256 voxels and a bandwidth of 32 kHz, how far and in which direction does the scalp's fat lie from where it should? At 1.5 T?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`artifact-susceptibility`, first part; the off-resonance of fat is negative.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# At 3 T water precesses at 127.7 MHz, so $\Delta f = -434$ Hz. One voxel is $32000/256 = 125$ Hz.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $-434/125 = -3.5$ voxels, along the readout and against its gradient. Where fat and water touch, there is a dark gap on one side of the head and a bright overlap on the other ({term}`chemical shift` artefact). At 1.5 T it is half of that, 1.7 voxels. With four times
# the bandwidth it is below one voxel, and the noise is twice as strong.
#
# </details>
#
# ### Exercise 2: three k-spaces
#
# You see three k-spaces. (a) One sample at $(+40, 0)$ is a thousand times brighter than its neighbours. (b) Every second line is 20 % weaker. (c) The outer quarter of the lines, on both sides, is zero. Describe the three images.
#
# <details class="hint"><summary>Hint</summary>
#
# One point of k-space is one wave. A pattern that repeats every $n$ lines makes copies at $\mathrm{FOV}/n$. A box makes a sinc.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# (b): `fold(head, 0.2)`. What is the amplitude of its ghost? (c): `gibbs(head, 0.5)`.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# (a) Stripes over all tissue, 40 to the field of view from side to side, each running from back to front, and evenly grey air. (b) The head at 90 % and a ghost of 10 % half a field of view away, along phase encoding. (c) Half of the lines are left: waves of four voxels beside edges that run
# across phase encoding, and along phase encoding half the resolution.
#
# </details>
#
# ### Exercise 3: undo a known motion, in code
#
# A camera has recorded where the head was while each line was measured: `shift_mm`, shape `(lines, 2)`, along $x$ and $y$, with voxels of 1 mm. Write `undo(image, shift_mm)`: from the complex, spoiled image the clean one.
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`artifact-motion` multiplies each sample by a phase. Divide by it.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Go to k-space with `to_kspace`. `k_x` (X, 1) and `k_y` (Y,) of the cell above are in cycles a mm. The factor is $e^{+2\pi i (k_x d_x + k_y d_y)}$, with $d$ of the line, that is of the last axis.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Every phase has the magnitude 1, so the division is exact and adds no noise: shifts in the plane can be undone completely if they are known. Turns cannot, because they leave gaps in k-space, and neither can a motion out of the slice.
#
# </details>


# %% tags=["hide-input"]
def check_undo(undo):
    generator = run.fresh_generator(9)
    shift = 3 * torch.randn(Y, 2, generator=generator, dtype=torch.float64)
    spoiled = move_during_scan(complex_head, Motion(shift, torch.zeros(Y)))
    made = undo(spoiled, shift)
    if made is None:
        return "it returned nothing; return the clean image, complex, of the same shape."
    if tuple(made.shape) != (X, Y):
        return f"the image has the shape {tuple(made.shape)}, expected {(X, Y)}."
    error = float((made - head).norm() / head.norm())
    twice = move_during_scan(complex_head, Motion(2 * shift, torch.zeros(Y)))
    if float((made - twice).norm() / head.norm()) < 1e-3:
        return "the motion is now twice as large: mind the sign of the phase."
    if error > 1e-3:
        return f"it differs from the clean image by {100 * error:.0f} %; does each line (last axis) get the phase of its own shift, in both directions?"
    return None


# %% tags=["exercise"]
def undo(image, shift_mm):
    """The clean image from one whose line number n was measured while the head was shifted by shift_mm[n]."""
    ...  # your code here


judge(check_undo, undo)


# %% tags=["solution", "hide-cell"]
def undo(image, shift_mm):
    """The clean image from one whose line number n was measured while the head was shifted by shift_mm[n]."""
    # begin solution
    turns = k_x * shift_mm[:, 0] + k_y * shift_mm[:, 1]
    return to_image(to_kspace(image) * torch.exp(2j * math.pi * turns))
    # end solution


judge(check_undo, undo)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "The eyes move from side to side during the scan. Phase encoding is from back to front. Where are the ghosts?",
        ("From side to side, in the direction of the movement", "Within one line of k-space, measured in milliseconds, the eyes stand still: along the readout nothing disagrees."),
        right("From back to front, along phase encoding", "Only lines that are measured at different times disagree, and they follow one another along k<sub>y</sub>."),
        ("Evenly over the image", "That would need an error that changes from sample to sample, like noise."),
    ),
    question(
        "You double the number of lines at the same field of view. The Gibbs ringing at the skull becomes",
        ("half as high", "Its first wave is 9 % of the step, however many lines are measured."),
        right("half as wide, and as high as before", "The wave is two voxels long, and voxels have halved. Averaged over a larger region it then disappears sooner."),
        ("stronger, because there are more waves", "There are waves of higher frequency, but the sum comes closer to the step everywhere but at the edge."),
    ),
    question(
        "White matter varies by {} without a bias field, by {} with one, and by {} after N4 with the mask. What is it that N4 leaves above the first number?".format(*(shown(spread[name]) for name in ("no bias", "before", "after"))),
        ("Noise", "The noise is in the first number, too. N4 divides by a smooth field and cannot add grain."),
        right("Bias that it has not found", "The same noise and the same anatomy are in all three numbers. The map «found / true» shows where the field is missed."),
        ("The contrast between grey and white matter", "Only voxels that are almost all white matter are counted."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - Each artefact belongs to one step of the scan. Ask what it did to k-space, and its look follows.
# - Gibbs: 9 % of the step, always; more lines make it thinner. Motion: ghosts along phase encoding; worst is a jump close to the middle of k-space, though not at it.
# - Susceptibility: lost signal grows with TE, displacement with 1/bandwidth. Fold-over, spike and zipper have addresses that can be computed.
# - A bias field is smooth and multiplies; N4 removes most of it, with a mask, and also lesions that are smooth.
# - An augmentation with a physical strength is a simulation; it can be tested against a formula.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | anatomy | one axial slice of the ICBM 152 template, an average of 152 healthy adults; **the fluid around it, skull and scalp are synthetic** layers of constant thickness, the scalp all fat; it represents no single person and no disease |
# | images, fields, motion, noise | **synthetic**: computed by the code of this page from the seed shown at its top |
# | susceptibility | one sphere of air, field to first order; the spin echo's contrast is kept in the gradient-echo images, so that only the field differs |
# | motion | rigid, in the plane, at rest during each line; real heads also move out of the slice, which disturbs the excitation |
# | physics left out | flow, chemical shift in the images, eddy currents, gradients that are not linear, several coils |
# | claims | numbers describe these simulations; N4 on patients also meets lesions, and tissue that is not uniform |
#
# ## Further reading
#
# Gibbs's letter to *Nature* about his waves is one page {cite}`gibbs1899`. {cite}`zaitsev2015` reviews motion and why no single remedy exists; {cite}`schenck1996` is the reference on susceptibility, {cite}`tustison2010` on N4. The thesis
# treats artefacts in its section 3.1.5 {cite}`thesis`. The textbooks {cite}`bernstein2004` and {cite}`haacke1999` give a remedy for each.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
