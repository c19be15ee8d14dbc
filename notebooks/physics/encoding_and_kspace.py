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
#     - physics/contrast
#     summary: How gradients write places into a signal, what a line of k-space is,
#       and what an image loses when lines are missing.
#     weights: []
# ---

# %% [markdown]
# # Encoding and k-space
#
# After a pulse, the whole head sings at one pitch, and a coil around it hears one voltage: no left, no right. An image comes about because
# a second set of coils makes the pitch depend on the place. Then the voltage, sample by sample, spells out the Fourier transform of
# the head. This lesson goes that way with spins, one gradient at a time; shows that the result is what an FFT computes; and then leaves
# samples out, as every fast scan does, and looks at what that costs.
#
# **You will be able to**
#
# - compute which point of k-space a gradient and a time measure, and choose both for a given field of view and resolution
# - show, spin by spin, that a scan is a Fourier transform
# - predict what an image looks like when lines of k-space are missing: blurred, folded or sprinkled with noise
# - use what saves lines: conjugate symmetry, several coils, other paths through k-space
# - find a wrong `fftshift` before it moves a patient by one voxel
#
# **You need** [Contrast](contrast.ipynb) for where the grey values come from. You should know what a Fourier transform is; the rest is built here.

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
noise_sd = 0.01  # noise of each part of a sample; white matter has a signal of about 0.19
coils = 8  # receive coils around the head
shifts = "same"  # "right", "same" or "missing": the shifts of "Where it breaks"

# %% tags=["hide-input"]
import math

import matplotlib.pyplot as plt
import numpy as np
import torch

from medlab.data import load_icbm152
from medlab.metrics import mean_interval
from medlab.physics.mri.encoding import Gradient, MultiCoil, NonuniformFourier, Readout
from medlab.physics.mri.encoding import acceleration, centre_lines, combine, encode
from medlab.physics.mri.encoding import equispaced_lines, fill_from_symmetry, gradient_hz
from medlab.physics.mri.encoding import loop_sensitivities, mirrored, partial_fourier
from medlab.physics.mri.encoding import radial_density, radial_trajectory, random_lines
from medlab.physics.mri.encoding import root_sum_of_squares, to_image, to_kspace
from medlab.physics.mri.sequences import spin_echo_signal
from medlab.physics.mri.snr import complex_noise
from medlab.physics.mri.spins import GAMMA_MHZ_PER_T, Spins
from medlab.physics.mri.tissues import tissue_tensors
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
template = load_icbm152()
volumes = template.white, template.grey, template.mask
white, grey, mask = (volume.data[0, 18:178, 22:214, 92] for volume in volumes)
shares = torch.stack([white, grey, (mask - white - grey).clamp(min=0)])
tissues = tissue_tensors(["white matter", "grey matter", "csf"], 3.0)
signals = spin_echo_signal(
    tissues["proton_density"], tissues["t1_ms"], tissues["t2_ms"], echo_time_ms=90, repetition_time_ms=6000
)  # fmt: skip
brain = torch.einsum("t,txy->xy", signals, shares)  # (160, 192) voxels of 1 mm: X, Y
X, Y = brain.shape
inside, air = mask > 0, brain == 0
WINDOW = (0.0, float(brain.quantile(0.995)))


def draw(ax, image, title, window=WINDOW):
    """The magnitude of an image (X, Y) in radiological convention."""
    slices.draw_slice(ax, image.abs()[..., None], index=0, window=window)
    ax.set_title(title, fontsize=10)


def draw_kspace(ax, kspace, title):
    """log |S| with k = 0 in the middle, turned as the image beside it."""
    picture = torch.log10(kspace.abs() + 1e-3)[..., None]
    slices.draw_slice(ax, picture, index=0, window=(-3, 1.2), cmap="magma", sides=False)
    ax.set_title(title, fontsize=10)


kspace = to_kspace(brain)
middle = centre_lines(X, X // 8)[:, None] & centre_lines(Y, Y // 8)
figure, axes = plt.subplots(1, 4, figsize=(9.6, 3.3))
draw(axes[0], brain, "image")
draw_kspace(axes[1], kspace, "k-space, ±0.5 /mm")
draw(axes[2], to_image(kspace * middle), "the middle 1/64")
draw(axes[3], to_image(kspace * ~middle), "all the rest")
show(
    figure,
    caption="A synthetic T2-weighted brain, what a scanner measures of it (on a logarithmic scale), and the images of two parts of it: "
    "the middle of k-space, an eighth of its width in each direction, holds contrast and shape; the outside holds edges.",
    alt="Four panels: axial brain slice; a bright-centred cross-like k-space; a blurred brain; a dark image with bright edges",
)
share = float((kspace * middle).abs().square().sum() / kspace.abs().square().sum())
run.record("kspace_middle_share", 100 * share, low=80, high=100, unit="%", digits=0)

# %% [markdown]
# The middle 64th holds {glue:text}`kspace_middle_share` of the energy, and yet nobody would send that image to a surgeon. The anatomy is the
# {term}`template` ICBM 152 {cite}`fonov2011`, brain only; contrast comes from the equations of the last lesson (TE 90 ms, TR 6000 ms, 3 T). All images
# here are *synthetic*. Pictures follow the {term}`radiological convention`; $x$ is left–right, $y$ back–front.
#
# ## From a gradient to a phase
#
# A {term}`gradient <field gradient>` coil adds a field that grows along a direction: at the place $\mathbf{r}$ the field is $B_0 + \mathbf{G}\cdot\mathbf{r}$, with
# $\mathbf{G}$ in mT/m. It still points along $z$; only its strength changes. So the frequency of a spin tells where it is, and after a
# time its phase tells the same. In the {term}`rotating frame` the phase is
#
# $$ \phi(\mathbf{r}, t) = 2\pi\, \mathbf{k}(t) \cdot \mathbf{r}, \qquad
# \mathbf{k}(t) = \bar\gamma \int_0^t \mathbf{G}(t')\, dt' . $$ (kspace-phase)
#
# All of gradients and times is in that one vector $\mathbf{k}$, in cycles a mm ({cite}`ljunggren1983`, {cite}`twieg1983`).
#
# **Predict.** A gradient of 10 mT/m, a weak one, is on for 1 ms. How many turns lie between two spins that are 100 mm apart?

# %%
# NBVAL_CHECK_OUTPUT
places = torch.tensor([[-50.0, 0.0], [0.0, 0.0], [50.0, 0.0]])  # x and y in mm
spins = Spins(math.inf, math.inf, torch.zeros(3)).pulse(90, 90)
turned = Gradient(1.0, gradient_hz((10.0, 0.0), places)).apply(spins)

k = GAMMA_MHZ_PER_T * 10.0 * 1.0 / 1000  # equation (kspace-phase): MHz/T x mT/m x ms
by_hand = torch.exp(2j * math.pi * k * places[:, 0].double()).to(torch.complex64)
torch.testing.assert_close(turned.transverse, by_hand, rtol=0, atol=1e-5)
print(f"k = {k:.3f} cycles a mm: {100 * k:.1f} turns over 100 mm, one every {1 / k:.2f} mm")

# %% [markdown]
# More than forty. The magnetisation is now wound up into a fine helix along $x$, and its sum over a head is next to nothing, unless the head itself has a
# structure with just this period. That is the whole trick: *the sum asks how much of this wave there is in the object*. The
# coil hears
#
# $$ S(\mathbf{k}) = \int \rho(\mathbf{r})\, e^{-2\pi i\, \mathbf{k}\cdot\mathbf{r}}\, d\mathbf{r}, $$ (kspace-signal)
#
# with the transverse magnetisation $\rho$: the Fourier transform of the image, at the $\mathbf{k}$ of this moment. (The sign is that of a
# real scanner, whose protons turn clockwise. Our spins turn the other way, and `medlab` takes the complex conjugate of what they sing.)

# %% tags=["hide-input"]
x_mm, y_mm = torch.arange(X) - X // 2, torch.arange(Y) - Y // 2
figure, axes = plt.subplots(2, 2, figsize=(5.6, 6.6))
for ax, (u, v) in zip(axes.flat, ((0, 0), (0, 2), (3, 1), (0, 12)), strict=True):
    wave = torch.cos(2 * math.pi * (u * x_mm[:, None] / X + v * y_mm / Y))
    picture = slices.draw_slice(
        ax, (brain * wave)[..., None], index=0, window=(-WINDOW[1], WINDOW[1]), cmap="berlin"
    )
    strength = float((kspace[X // 2 + u, Y // 2 + v] / kspace[X // 2, Y // 2]).abs())
    ax.set_title(f"{u} and {v} waves\n|S| = {100 * strength:.1f} %", fontsize=10)
show(
    figure,
    caption="Spins of the brain after four gradients (the part of the magnetisation along x, blue negative): so many waves over 160 mm from side to "
    "side and over 192 mm from back to front. The coil hears the sum; above each panel it is given as a share of the first.",
    alt="Four brain slices crossed by no wave, two horizontal waves, an oblique wave and twelve narrow horizontal waves",
)

# %% [markdown]
# ## One line at a time
#
# The scanner walks through k-space. {term}`Phase encoding`: a gradient along $y$ is switched on for a moment and off again; $k_y$ stays where it has come to.
# {term}`Frequency encoding`: then a gradient along $x$ stays on while the receiver takes samples, so that $k_x$ runs from one edge to
# the other. One excitation gives one line. Wait TR, excite again, take another $k_y$, and so on {cite}`edelstein1980`. (Kumar, Welti and Ernst found the principle
# {cite}`kumar1975`, two years after Lauterbur's first image {cite}`lauterbur1973`.)
#
# `encode` plays exactly this to simulated spins, one in each voxel:

# %%
step = run.pick(ci=8, cpu=4, gpu=4)
coarse = torch.nn.functional.avg_pool2d(brain[None], step)[0]
readout = Readout(coarse.shape, fov_mm=(160.0, 192.0), dwell_ms=0.02)

excited = Spins(math.inf, math.inf, 0.0, proton_density=coarse.flatten()).pulse(90, 90)
measured = encode(excited, readout.places_mm().reshape(-1, 2), readout)


def waves(n):  # equation (kspace-signal) as a sum over n voxels, zero in the middle
    at = torch.arange(n) - n // 2
    return torch.exp(-2j * math.pi * at[:, None] * at / n) / math.sqrt(n)


summed = waves(coarse.shape[0]) @ coarse.to(torch.complex64) @ waves(coarse.shape[1])
torch.testing.assert_close(measured, summed, rtol=0, atol=1e-5)
torch.testing.assert_close(to_kspace(coarse), summed, rtol=0, atol=1e-5)

# %% tags=["hide-input"]
double = coarse.double()
wide_spins = Spins(math.inf, math.inf, 0.0, proton_density=double.flatten()).pulse(90, 90)
wide = encode(wide_spins, readout.places_mm().reshape(-1, 2), readout)
wide_error = float((wide - to_kspace(double)).abs().max())
single_error = float((measured - to_kspace(coarse)).abs().max())
run.record("kspace_spins_single", single_error, low=0, high=1e-5, digits=1, scientific=True)
run.record("kspace_spins_double", wide_error, low=0, high=1e-11, digits=1, scientific=True)

figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.3), width_ratios=(1.1, 1.5, 0.9))
kx, ky = readout.k_per_mm(0), readout.k_per_mm(1)
lines = [len(ky) // 2 + n for n in (-len(ky) // 4, 0, len(ky) // 3)]
times = readout.encode_ms + readout.dwell_ms * torch.arange(len(kx))
for line, colour, mark in zip(lines, style.CYCLE, "os^", strict=False):
    axes[0].plot([0, float(kx[0])], [0, float(ky[line])], color=style.MUTED, linewidth=1)
    axes[0].plot(kx, ky[line].expand(len(kx)), mark, markersize=2.5, color=colour)
    axes[1].plot(times, measured[:, line].abs(), color=colour, label=f"k$_y$ = {float(ky[line]):.3f} /mm")  # fmt: skip
axes[0].set(xlabel="k$_x$ (1/mm)", ylabel="k$_y$ (1/mm)", title="the path")
axes[1].set(xlabel="time after the pulse (ms)", ylabel="|signal|", yscale="log")
axes[1].set_title("what the coil hears")
axes[1].legend(fontsize=8)
draw(axes[2], to_image(measured), "the image")
show(
    figure,
    caption="Three excitations: each goes from the middle of k-space to the beginning of its line (grey) and then along it. The signal is strongest when "
    "a line passes k<sub>x</sub> = 0. Right: the image of all lines, measured from spins alone.",
    alt="Left: three horizontal lines of points in k-space reached from the centre. Middle: three signals over time peaking in mid-line. Right: a coarse brain image",
)

# %% [markdown]
# Spins under gradients and the fast Fourier transform differ by {glue:text}`kspace_spins_single` in 32 bits and {glue:text}`kspace_spins_double` in 64: they are the same
# thing, and from here on we use the FFT. `encode` remains for what an FFT does not know: spins that decay or are off resonance during the line
# (the next lesson).
#
# ## Field of view and resolution
#
# Two numbers describe the sampling: the step $\Delta k$ between samples, and the number $N$ of them. Samples repeat the image with the period $1/\Delta k$, and waves
# beyond the last sample are missing. So
#
# $$ \mathrm{FOV} = \frac{1}{\Delta k}, \qquad \Delta x = \frac{\mathrm{FOV}}{N} = \frac{1}{2 k_\mathrm{max}}. $$ (kspace-fov)
#
# *The step gives the size of the picture, the reach gives the size of the voxel.* It is the other way round than one thinks.
#
# **Predict.** You measure only every second line. What do you see? And if you measure the middle half of the lines instead?

# %%
skipped = to_image(kspace[:, ::2])  # step 2 / 192 mm: half the field of view along y
reach = to_image(kspace[:, Y // 4 : 3 * Y // 4])  # half the reach: voxels of 2 mm along y

# The small field of view is the large one cut in two and laid upon itself:
folded = brain.roll(-Y // 4, 1).unflatten(1, (2, Y // 2)).sum(1) / math.sqrt(2)
torch.testing.assert_close(skipped.real, folded, rtol=0, atol=1e-5)

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.3))
draw(axes[0], brain, "192 lines")
root = math.sqrt(2)  # the transforms keep the energy, so half the lines give 1/√2 of the height
slices.draw_slice(axes[1], skipped.abs()[..., None] * root, index=0, window=WINDOW)
axes[1].set_title("every second of them", fontsize=10)
longer = {"spacing": (1, 2, 1), "smooth": False}
slices.draw_slice(axes[2], reach.abs()[..., None] / root, index=0, window=WINDOW, **longer)
axes[2].set_title("the middle 96", fontsize=10)
show(
    figure,
    caption="The same saving of time, two ways to pay: with twice the step the field of view is too small and front and back fold over; with half "
    "the reach all is there, in voxels of 1 × 2 mm.",
    alt="A full brain; a half-height picture in which front and back of the brain overlap; a full brain blurred vertically",
)

# %% [markdown]
# Fold-over ({term}`aliasing`) happens only along $y$. Along $x$ samples cost nothing: the receiver just takes them faster, and a filter keeps out what is beyond.
# That is why a scanner's operator asks for the direction of phase encoding, and chooses the one in which the body is short.
#
# ## Play with k-space
#
# Which part of k-space does what? Choose how many of the 192 lines count as the middle, whether the middle or the outside is kept, and whether of these every line
# is measured.
#
# **Predict.** Before you move: what will 5 % of the lines in the middle look like? And what the image without them?


# %% tags=["hide-input"]
def chosen_lines(percent, kept, every):
    core = centre_lines(Y, round(percent * Y / 100))
    return (core if kept == "middle" else ~core) & equispaced_lines(Y, every)


def draw_chosen(percent, kept, every):
    lines = chosen_lines(percent, kept, every)
    figure, (left, right_) = plt.subplots(1, 2, figsize=(5.6, 3.5), width_ratios=(0.42, 1))
    bars = lines[None].float().expand(2, Y).numpy().T
    left.imshow(bars, aspect="auto", cmap="gray", vmin=0, vmax=1, extent=(0, 1, -0.5, 0.5), origin="lower")  # fmt: skip
    left.set(xticks=[], ylabel="k$_y$ (1/mm)", title=f"{int(lines.sum())} lines")
    draw(right_, to_image(kspace * lines) * every, "image")
    return figure


explore(
    draw_chosen,
    caption="Left: the measured lines, white. Right: their image (brightened by the factor of the skipped lines). Few lines in the middle: blur along y. "
    "The outside alone: edges that run across. Skipped lines: copies.",
    alt=lambda percent, kept, every: (
        f"Brain image from {int(chosen_lines(percent, kept, every).sum())} lines: {kept} part at {percent} per cent, one of {every} measured"
    ),
    labels={"percent": "middle (% of the lines)", "kept": "keep", "every": "one line of"},
    start={"percent": 20, "kept": "middle", "every": 1},
    percent=run.pick(ci=[5, 20], cpu=[2, 5, 10, 20, 40, 100], gpu=[2, 5, 10, 20, 40, 100]),
    kept=["middle", "outside"],
    every=[1, 2, 4],
)

# %% [markdown]
# Three things to take along. Contrast lives in the middle: already 5 % of the lines show which tissue is bright. Edges live outside; and since we leave out lines along
# $k_y$ only, the edges that suffer are those across $y$: front and back of the head, not its sides. And skipping lines does not blur at all; it makes copies: one with every second line, three with every fourth.
#
# ## Half is nearly enough
#
# If the image were real, k-space would hold everything twice. Complex conjugation turns $e^{-2\pi i \mathbf{k}\cdot\mathbf{r}}$ into the wave of $-\mathbf{k}$, so
#
# $$ \rho \text{ real} \quad\Longrightarrow\quad S(-\mathbf{k}) = \overline{S(\mathbf{k})}. $$ (kspace-symmetry)
#
# This is {term}`conjugate symmetry`. A scan may stop a little after the middle and fill in the rest ({term}`partial Fourier`). But images are only nearly real: each field
# error has turned the spins by the echo time.
#
# What does that cost? Everywhere on this page the *error* of an image $m$ is the {term}`root mean square` of what is wrong inside the brain, relative to the brain:
#
# $$ \varepsilon = \min_s \frac{\lVert s\,|m| - \rho \rVert}{\lVert \rho \rVert} . $$ (kspace-error)
#
# The magnitude is first multiplied by the one number $s$ that brings it closest to the truth: brightness does not count, since the window of a display sets it anyhow. What counts is structure and noise.

# %%
torch.testing.assert_close(
    mirrored(kspace), kspace, rtol=0, atol=1e-5
)  # equation (kspace-symmetry)

late = partial_fourier(Y, 5 / 8)  # 120 of 192 lines, the middle among them
turn = 3.0 * (x_mm[:, None] / X) + 16.0 * (y_mm / Y) ** 2  # a smooth phase in radians
results = {}
for name, image in {
    "real": brain.to(torch.complex64),
    "with a phase": brain * torch.exp(1j * turn),
}.items():
    partial = to_kspace(image) * late
    results[f"{name}, zeros"] = to_image(partial)
    results[f"{name}, filled"] = to_image(fill_from_symmetry(partial, late))
torch.testing.assert_close(results["real, filled"].real, brain, rtol=0, atol=1e-5)


# %% tags=["hide-input"]
def fitted(image):
    """The magnitude, in the brightness that suits the brain best."""
    found = image.abs()[inside]
    return image.abs() * float((found * brain[inside]).sum() / found.square().sum())


def error_of(image):
    """Equation (kspace-error), in per cent."""
    return 100 * float((fitted(image) - brain)[inside].norm() / brain[inside].norm())


figure, axes = plt.subplots(2, 2, figsize=(5.6, 6.6))
limit = 0.3 * WINDOW[1]
for ax, (name, image) in zip(axes.flat, results.items(), strict=True):
    wrong = (fitted(image) - brain)[..., None]
    slices.draw_slice(ax, wrong, index=0, window=(-limit, limit), cmap="berlin")
    ax.set_title(f"{name}\n{error_of(image):.1f} %", fontsize=10)
show(
    figure,
    caption="Errors of images from 5/8 of the lines (blue too dark, red too bright), and their size. Filling with zeros blurs edges along y. "
    "Filling by symmetry is exact for a real image and wrong for one with a phase.",
    alt="Four error maps: edge errors for zeros, none for the real image filled by symmetry, edge errors again for zeros, and larger errors for symmetry with a phase",
)
for key, name in (("zero", "with a phase, zeros"), ("phase", "with a phase, filled")):
    run.record(f"kspace_partial_{key}", error_of(results[name]), low=4, high=8, unit="%", digits=1)  # fmt: skip

# %% [markdown]
# With a phase, the shortcut costs {glue:text}`kspace_partial_phase`; plain zeros would have cost {glue:text}`kspace_partial_zero`. Practical methods first estimate the phase from the
# middle of k-space, where both halves are measured, and take it out {cite}`noll1991`.
#
# ## Several coils
#
# A head coil is really 8 to 64 small ones. Each hears best what is near: its {term}`sensitivity <coil sensitivity>` $c_j(\mathbf{r})$ is the field that it would make itself {cite}`hoult1976`. Coil $j$ measures
#
# $$ S_j(\mathbf{k}) = \int c_j(\mathbf{r})\,\rho(\mathbf{r})\, e^{-2\pi i\,\mathbf{k}\cdot\mathbf{r}}\, d\mathbf{r}. $$ (kspace-coils)
#
# We compute $c_j$ for circular loops around the head by the law of Biot and Savart. How do coil images $m_j$ become one? Two answers: forget the sensitivities and take the root of the
# sum of squares; or use them, with the weights that make signal to noise best {cite}`roemer1990`:
#
# $$ m_\mathrm{RSS} = \Big(\sum_j |m_j|^2\Big)^{1/2}, \qquad m_\mathrm{best} = \frac{\sum_j \overline{c_j}\, m_j}{\sum_j |c_j|^2}. $$ (kspace-combine)

# %%
maps = loop_sensitivities(
    (X, Y), coils, fov_mm=(160.0, 192.0), distance_mm=130.0, radius_mm=40.0
)
scanner = MultiCoil(maps)
images = to_image(scanner(brain.to(torch.complex64)))

squares = images.abs().square().sum(0).sqrt()  # equation (kspace-combine)
best = (maps.conj() * images).sum(0) / maps.abs().square().sum(0)
torch.testing.assert_close(root_sum_of_squares(images), squares)
torch.testing.assert_close(combine(images, maps), best)
torch.testing.assert_close(best.real, brain, rtol=0, atol=1e-5)

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 5, figsize=(10.0, 2.9))
top = float(maps.abs().quantile(0.98)) if coils <= 8 else 1.0
for ax, j in zip(axes, (0, min(2, coils - 1)), strict=False):
    slices.draw_slice(ax, maps[j].abs()[..., None], index=0, window=(0, top), cmap="viridis")
    ax.set_title(f"sensitivity {j}", fontsize=10)
draw(axes[2], images[0], "image of coil 0", (0, 0.7 * WINDOW[1]))
draw(axes[3], squares, "root of squares", (0, 1.3 * WINDOW[1]))
draw(axes[4], best, "weighted")
show(
    figure,
    caption="Magnitudes of the sensitivities of two loops, to the patient's right and in front (bright is sensitive); what coil 0 sees; and the two ways to combine all coils. The "
    "root of squares keeps a bright rim; the weighted image is the brain itself.",
    alt="Two smooth sensitivity maps bright at the left and at the top, a one-sided brain, an evenly lit brain with brighter rim, and the original brain",
)

# %% [markdown]
# Coils do more than collect signal. When every second line is skipped, two places fall onto one voxel. With one coil that is one equation for two unknowns. With eight coils it is
# eight equations, because each coil weights the two places differently. Solving them is {term}`SENSE` {cite}`pruessmann1999`, the last exercise of this lesson; GRAPPA does the same in
# k-space {cite}`griswold2002`. Clinical scanners use the one or the other in daily work. The price is noise: fewer samples, and equations that are nearly alike.
#
# ## Other paths: radial
#
# Nothing forces the path to be a grid. In a radial scan, as in Lauterbur's first image, every line passes through the middle. That oversamples the middle (good for a moving patient) and leaves gaps outside. The samples lie on no grid, so the FFT
# does not apply as it stands. A {term}`nonuniform FFT` interpolates from a grid twice as fine with a short kernel {cite}`fessler2003`. To go back, each sample must be
# weighted with the area of k-space that it stands for; for spokes in steps of $\pi / N_s$ that is the ramp
#
# $$ w(k) = \frac{\pi\,|k|\,\Delta k}{N_s}. $$ (kspace-ramp)
#
# **Predict.** What does the image look like without these weights?

# %%
spokes, samples = 201, 2 * Y
trajectory = radial_trajectory(spokes, samples)  # cycles a voxel, -1/2 to 1/2
radial = NonuniformFourier((X, Y), trajectory)
heard = radial(brain.to(torch.complex64))

distance = trajectory[0].norm(dim=-1)
weights = X * Y * math.pi * distance / samples / spokes  # equation (kspace-ramp), in grid cells
library = radial_density(spokes, samples, (X, Y))
torch.testing.assert_close(weights[distance > 0], library[distance > 0])
unweighted = radial.adjoint(heard)
weighted = radial.adjoint((library * heard).to(torch.complex64))

# %% tags=["hide-input"]
few = NonuniformFourier((X, Y), radial_trajectory(32, samples))
sparse = few.adjoint(
    (radial_density(32, samples, (X, Y)) * few(brain.to(torch.complex64))).to(torch.complex64)
)
figure, axes = plt.subplots(2, 2, figsize=(5.6, 6.2))
axes = axes.flat
for spoke, colour in zip(trajectory[::12], [style.BLUE, style.ORANGE] * 20, strict=False):
    axes[0].plot(*spoke[::8].T, ".", markersize=2, color=colour)
axes[0].set(aspect="equal", xticks=[-0.5, 0, 0.5], yticks=[-0.5, 0, 0.5], title="every twelfth spoke")  # fmt: skip
axes[0].set(xlabel="k$_x$ (cycles a voxel)", ylabel="k$_y$ (cycles a voxel)")
axes[0].title.set_fontsize(10)
draw(axes[1], unweighted, "without weights", (0, float(unweighted.abs().max())))
draw(axes[2], weighted, "201 spokes, weighted")
draw(axes[3], sparse, "32 spokes, weighted")
show(
    figure,
    caption="Radial sampling. Without weights the crowded middle of k-space is counted too often, and the image is a blur. With them it is sharp; with too few "
    "spokes streaks appear, and no copies.",
    alt="A star of sample points; a heavily blurred brain; a sharp brain; a brain with fine streaks",
)
run.record("kspace_radial_error", error_of(weighted), low=3, high=7, unit="%", digits=1)
run.record("kspace_radial_sparse", error_of(sparse), low=15, high=25, unit="%", digits=1)

# %% [markdown]
# Without any noise, the image of 201 spokes errs by {glue:text}`kspace_radial_error`, that of 32, a sixth of the lines of the grid, by {glue:text}`kspace_radial_sparse`. Weights are a shortcut: an exact image solves the linear equations by
# iteration, which needs only the operator and its adjoint.
#
# ## The experiment: what does a missing line cost?
#
# All of these ways to save lines on one brain, with noise, each with exactly the same number of lines at the same factor. For one coil, equally sensitive everywhere: the middle alone; an even comb; random lines with the same chance for each but the middle one, which is always measured;
# random lines that are denser in the middle {cite}`lustig2007`, 16 of them fixed there; and 3/4 or 5/8 of the lines filled by symmetry. Lines that stay missing are zero. For eight coils: the even comb with SENSE, by conjugate gradients on the normal equations, with the sensitivities known exactly.
#
# The error is that of equation {eq}`kspace-error`, so no image is blamed for being dark. Two yardsticks: one coil with all lines, whose only fault is noise, and a patch of even grey in the shape of the brain, which shows nothing.
#
# **Predict.** Which of the methods with one coil has the smallest error at a third of the lines? Is it the one that you would want to look at?


# %% tags=["hide-input"]
def sense(operator, samples, steps):
    """Least squares by conjugate gradients on the normal equations A'A m = A'S."""
    residual = operator.adjoint(samples)
    image, direction, size = torch.zeros_like(residual), residual, residual.abs().square().sum()
    for _ in range(steps):
        ahead = operator.normal(direction)
        length = size / (direction.conj() * ahead).sum().real
        image, residual = image + length * direction, residual - length * ahead
        new = residual.abs().square().sum()
        direction, size = residual + new / size * direction, new
    return image


CHOOSE = {  # the measured lines of each method: f the factor, g the generator
    "middle": lambda f, g: centre_lines(Y, round(Y / f)),
    "comb": lambda f, g: equispaced_lines(Y, f),
    "random, even": lambda f, g: random_lines(Y, f, g, calibration=1),
    "random, dense in the middle": lambda f, g: random_lines(Y, f, g, calibration=16, decay=3),
    "8 coils, comb, SENSE": lambda f, g: equispaced_lines(Y, f),
    "symmetry": lambda f, g: partial_fourier(Y, 1 / f),
}
loud = root_sum_of_squares(maps)


def reconstruct(method, factor, generator):
    """One noisy scan with 1/factor of the lines, and its image."""
    lines = CHOOSE[method](factor, generator)
    assert math.isclose(acceleration(lines), factor), "the abscissa holds for every method"
    if method == "8 coils, comb, SENSE":
        operator = MultiCoil(maps / loud, lines)  # the shading is taken out: fewer steps
        samples = operator(loud * brain)
        noise = complex_noise(samples.shape, noise_sd, generator)
        return sense(operator, samples + noise * lines, sense_steps) / loud
    samples = (kspace + complex_noise(kspace.shape, noise_sd, generator)) * lines
    return to_image(fill_from_symmetry(samples, lines) if method == "symmetry" else samples)


sense_steps = run.pick(ci=10, cpu=20, gpu=30)
factors = run.pick(ci=(2, 3, 4), cpu=(2, 3, 4, 6), gpu=(2, 3, 4, 6))
plans = dict.fromkeys(CHOOSE, factors)
plans |= {"8 coils, comb, SENSE": (2, 3, 4), "symmetry": (4 / 3, 8 / 5)}
seeds = run.pick(ci=3, cpu=5, gpu=20)
errors = {
    (method, factor): [
        error_of(reconstruct(method, factor, run.fresh_generator(10 + n))) for n in range(seeds)
    ]
    for method, factor in [("middle", 1), *((m, f) for m, at in plans.items() for f in at)]
}
grey_patch = error_of(mask)
yardsticks = {"a patch of even grey": grey_patch, "one coil, all lines": errors["middle", 1][0]}


figure, panels = plt.subplot_mosaic("aaa;bcd", figsize=(6.6, 6.8), height_ratios=(1.5, 1))
ax, *pictures = panels.values()
for name, value in yardsticks.items():
    ax.axhline(value, color=style.MUTED, linestyle=":")
    ax.annotate(name, (6.1, value), (0, 7), textcoords="offset points", ha="right", fontsize=9)
for (method, at), colour, mark in zip(plans.items(), style.CYCLE, "os^vDP", strict=True):
    means, halves = zip(*(mean_interval(errors[method, f]) for f in at), strict=True)
    ax.errorbar(at, means, halves, color=colour, marker=mark, markersize=5, label=method)
ax.set(xlabel="all lines / measured lines", ylabel="error (% of the brain)", yscale="log")
ax.set(xlim=(1, 6.2), ylim=(2, 60))
ax.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
ax.yaxis.set_minor_locator(plt.NullLocator())
ax.legend(fontsize=9, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
shown = ("middle", "random, even", "8 coils, comb, SENSE")
for picture, method in zip(pictures, shown, strict=True):
    made = fitted(reconstruct(method, 3, run.fresh_generator(10)))
    draw(picture, made, f"{method}\na third of the lines")
show(
    figure,
    caption="Error against acceleration (logarithmic), mean and 95 % interval over seeds (noise, and lines where they are random), between two yardsticks, dotted; and three of the images, each in its best brightness.",
    alt="Error curves of six methods: comb and even random lines near the grey patch, middle and dense random lines far below, SENSE lowest at two and three and above the middle at four; three brains: blurred, streaked, grainy",
)

# %% tags=["hide-input"]
generator = run.fresh_generator(2)
random_image = torch.complex(*torch.randn(2, 61, 48, generator=generator, dtype=torch.float64))
parseval = abs(float(to_kspace(random_image).norm() / random_image.norm()) - 1)
some = trajectory.reshape(-1, 2)[:: run.pick(ci=997, cpu=97, gpu=97)]
along = [
    torch.exp(-2j * math.pi * some[:, a, None] * (torch.arange(n) - n // 2)) for a, n in enumerate((X, Y))
]  # fmt: skip
direct = torch.einsum("kx,xy,ky->k", along[0], brain.to(torch.complex128), along[1]) / math.sqrt(X * Y)  # fmt: skip
gridded = NonuniformFourier((X, Y), some)(brain.to(torch.complex128))
gridding_error = float((gridded - direct).norm() / direct.norm())

# one point scanned with a random third of the lines: how strong is what appears elsewhere?
point = torch.zeros(1, Y)
point[0, Y // 2] = 1.0
sidelobes = []
for n in range(20 * seeds):
    lines = random_lines(Y, 3, run.fresh_generator(100 + n))
    spread = to_image(to_kspace(point) * lines)[0].abs()
    elsewhere = spread[torch.arange(Y) != Y // 2] / spread[Y // 2]
    sidelobes.append(float(elsewhere.square().mean()))
sidelobe = math.sqrt(np.mean(sidelobes))
sidelobe_theory = math.sqrt((Y - Y // 3) / (Y // 3 * (Y - 1)))

# air in units of the noise of that image: σ for the root of squares, σ over the root of sum |c|² for the weighted one
floors = {"squares": [], "weighted": []}
all_lines = {"squares": [], "weighted": []}
for n in range(seeds):
    noisy = images + complex_noise(images.shape, noise_sd, run.fresh_generator(50 + n))
    for name, made in (
        ("squares", root_sum_of_squares(noisy) / loud),
        ("weighted", combine(noisy, maps).abs()),
    ):
        floors[name].append(float((made * loud)[air].mean()) / noise_sd)
        all_lines[name].append(error_of(made))
full_theory = 100 * noise_sd / float(brain[inside].square().mean().sqrt())
chi_floor = math.sqrt(2) * math.exp(math.lgamma(coils + 0.5) - math.lgamma(coils))


def told(values):
    return f"{mean_interval(values).shown()} %"


table(
    ["quantity", "theory", "measured here"],
    [
        ["energy of k-space over that of the image (Parseval), minus 1", "0", f"{parseval:.0e}"],
        ["spins under gradients against the FFT, 64 bits", "0", f"{wide_error:.0e}"],
        ["gridded against direct sum at radial samples", "below 10<sup>−5</sup>", f"{gridding_error:.0e}"],
        ["random third of the lines: RMS of what a point leaves elsewhere, relative to the point", f"{sidelobe_theory:.4f}", f"{sidelobe:.4f}"],
        ["mean of the air, root of squares, in σ of one coil (Roemer 1990: a chi distribution)", f"{chi_floor:.3f}", mean_interval(floors["squares"]).shown(3)],
        ["mean of the air, weighted image, in σ of that image, which is σ of one coil over (Σ|c|²)<sup>½</sup> (Rice)", f"{math.sqrt(math.pi / 2):.3f}", mean_interval(floors["weighted"]).shown(3)],
        ["error, a patch of even grey", "–", f"{grey_patch:.1f} %"],
        ["error, one coil, all 192 lines (theory: σ over the RMS of the brain)", f"{full_theory:.1f} %", told(errors["middle", 1])],
        ["error, 8 coils, all 192 lines, root of squares (shading taken out)", "not smaller", told(all_lines["squares"])],
        ["error, 8 coils, all 192 lines, weighted", "smallest", told(all_lines["weighted"])],
        *([f"error, {Y / f:.0f} lines: {m}", "–", told(errors[m, f])] for m, at in plans.items() for f in at if f < 4),
    ],
    caption=f"Profile {run.profile.name}: one synthetic slice of 160 × 192 voxels, noise {noise_sd} in each part of a sample, {seeds} seeds, ± is the 95 % interval of the mean (Student's t). σ is the standard deviation of the noise in each part. The error is relative to the brain, with each image in its best brightness.",
)  # fmt: skip
for key, value, high in (("parseval", parseval, 1e-12), ("gridding", gridding_error, 1e-5)):
    run.record(f"kspace_{key}", value, low=0, high=high, digits=0, scientific=True)
for key, value, wanted, digits in (
    ("sidelobe", sidelobe, sidelobe_theory, 3),
    ("sidelobe_theory", sidelobe_theory, sidelobe_theory, 3),
    ("floor_squares", np.mean(floors["squares"]), chi_floor, 2),
    ("floor_weighted", np.mean(floors["weighted"]), math.sqrt(math.pi / 2), 2),
):
    run.record(f"kspace_{key}", value, low=0.9 * wanted, high=1.1 * wanted, digits=digits)
as_given = (noise_sd, coils) == (0.01, 8)  # other values of the parameters have other errors
for key, values, low, high, digits in (
    ("full", errors["middle", 1], 2.9, 3.2, 1),
    ("grey", [grey_patch] * 2, 35, 45, 0),
    ("middle", errors["middle", 3], 8, 10.5, 0),
    ("comb", errors["comb", 3], grey_patch - 2, grey_patch + 2, 0),
    ("even", errors["random, even", 3], 20, 41, 0),
    ("dense", errors["random, dense in the middle", 3], 9, 15, 0),
    ("symmetry", errors["symmetry", 8 / 5], 3.6, 4.4, 1),
    ("sense", errors["8 coils, comb, SENSE", 3], 4.5, 5.7, 1),
    ("sense_four", errors["8 coils, comb, SENSE", 4], 11.6, 17, 0),
    ("middle_four", errors["middle", 4], 10.7, 11.5, 0),
    ("squares", all_lines["squares"], 1.7, 2.1, 2),
    ("weighted", all_lines["weighted"], 1.6, 2, 2),
    ("fewer", math.sqrt(3) * np.array(all_lines["weighted"]), 2.8, 3.3, 1),
):
    low, high = (low, high) if as_given else (0, 1000)
    name = f"kspace_error_{key}"
    run.record(name, np.mean(values), low=low, high=high, unit="%", digits=digits)
half = mean_interval(errors["random, even", 3]).half
run.record("kspace_error_even_half", half, low=0.5, high=20, unit="%", digits=0)

# %% [markdown]
# **Exactness.** Energy is kept to {glue:text}`kspace_parseval`, and the nonuniform transform follows the direct sum to {glue:text}`kspace_gridding`.
#
# **The yardsticks.** One coil with all lines errs by {glue:text}`kspace_error_full`, from noise alone; a patch of even grey errs by {glue:text}`kspace_error_grey`. An error near the second says: no better than grey.
#
# **One coil, a third of the lines.** The comb errs by {glue:text}`kspace_error_comb`, as much as the grey patch: three brains of equal brightness lie on one another, and no choice of brightness parts them. Random lines with even chances err by {glue:text}`kspace_error_even` ± {glue:text}`kspace_error_even_half`.
# The interval is wide because chance decides which of the few strong lines near the middle are caught. What they leave has no copies: a single point leaves {glue:text}`kspace_sidelobe` of itself, as a root mean square, at the other places of its line along $y$ (theory {glue:text}`kspace_sidelobe_theory`). That looks like noise, which a reconstruction that knows what
# images look like can remove. This is compressed sensing {cite}`lustig2007`, and later lessons do it by learning. Lines that are dense in the middle err by {glue:text}`kspace_error_dense`, and the middle alone by {glue:text}`kspace_error_middle`, the smallest of the four: a root mean square likes blur. It is
# not the measure of a reader who looks for a small lesion; do not choose by it alone.
#
# **Symmetry.** 5/8 of the lines, filled, err by {glue:text}`kspace_error_symmetry`, little more than the full scan. But the brain of this experiment has no phase; above you saw what a phase does.
#
# **Eight coils** with all lines err by {glue:text}`kspace_error_weighted`: together they are as sensitive as the one in the middle of the head, and more so towards its rim. A third of the lines alone makes the noise $\sqrt 3$ times as strong, {glue:text}`kspace_error_fewer`. SENSE errs by {glue:text}`kspace_error_sense`: the rest is what unfolding costs (the *g-factor*), and the image shows grain but neither blur nor copies. The curve
# also shows the limit. With every fourth line four places share a voxel, the eight loops do not tell them well apart, and the error rises to {glue:text}`kspace_error_sense_four`, above the {glue:text}`kspace_error_middle_four` of one coil and the middle alone.
#
# **Two ways to combine.** Both images of eight coils carry noise into the air, where there is nothing. Let $\sigma$ be the standard deviation of the noise in each part of one coil's image. The root of squares has a mean of {glue:text}`kspace_floor_squares` $\sigma$ there: eight squares add up, and nothing cancels. The weighted image has noise of its own size at each place,
# $\sigma / (\sum_j |c_j|^2)^{1/2}$, and in air a mean of {glue:text}`kspace_floor_weighted` of that, as the magnitude of pure noise has (Rice: $\sqrt{\pi/2}$). Inside the brain the two hardly differ: {glue:text}`kspace_error_squares` against {glue:text}`kspace_error_weighted`.
#
# ## Where it breaks
#
# **The wrong shift.** An FFT has its zero at index 0, an image has it in the middle, so each transform is wrapped in two shifts: `ifftshift` before takes the middle to index 0, `fftshift` after takes it back. For an even number of voxels
# the two are the same, and code that uses `fftshift` for both passes every test on 256 × 256. Then somebody scans 193 lines.
#
# **Predict.** What do you see in the image if `fftshift` is used for both (`"same"`)? And if the shift before is left out (`"missing"`)? The way back to the image, `to_image`, is right each time.


# %%
def careless(image, shifts):
    """The centred transform as it is often written."""
    if shifts != "missing":
        image = {"right": torch.fft.ifftshift, "same": torch.fft.fftshift}[shifts](image)
    return torch.fft.fftshift(torch.fft.fft2(image, norm="ortho"))


odd = torch.nn.functional.pad(brain, (0, 1, 0, 1))  # 161 x 193
for name in ("right", "same", "missing"):
    wrong = careless(odd, name)
    magnitude = float((wrong.abs() - to_kspace(odd).abs()).abs().max())
    image_error = float((to_image(wrong).abs() - odd).norm() / odd.norm())
    assert magnitude < 1e-4, "the magnitude of k-space looks right in every case"
    assert (image_error < 1e-5) == (name == "right"), f"{name}: {image_error}"
torch.testing.assert_close(careless(brain, "same"), to_kspace(brain))  # even: nobody notices

undone = torch.fft.ifft2(torch.fft.ifftshift(careless(odd, "same")), norm="ortho")
torch.testing.assert_close(torch.fft.ifftshift(undone).real, odd, rtol=0, atol=1e-5)

# %% tags=["hide-input"]
made = to_image(careless(odd, shifts))
moved = float((made.abs() - odd).norm() / odd.norm())
if shifts != "right":
    assert moved > 0.05, "a wrong shift must move the image"
figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.3))
draw(axes[0], made, f"shifts: {shifts}")
limit = WINDOW[1] / 2
error = (made.abs() - odd)[..., None]
slices.draw_slice(axes[1], error, index=0, window=(-limit, limit), cmap="berlin")
axes[1].set_title("minus the truth", fontsize=10)
draw(axes[2], to_image(careless(odd, "missing")), "shifts: missing")
show(
    figure,
    caption="A careless Fourier transform on 161 × 193 voxels. One shift for both: the image looks perfect and lies one voxel off in both directions, which only the difference shows. "
    "First shift missing: it is cut into four, and the quarters trade places.",
    alt="A brain that looks right; its difference from the truth, thin edges; a brain cut into four quarters that lie in the wrong corners",
)
low, high = (26, 31) if shifts == "same" else (0, 200)
run.record("kspace_shift_error", 100 * moved, low=low, high=high, unit="%", digits=0)

# %% [markdown]
# One voxel, in an image that looks perfect: it differs from the truth by {glue:text}`kspace_shift_error`, and a segmentation made elsewhere no longer fits. The magnitude of k-space shows nothing. Nor does a round trip whose way back
# undoes each step, as the last two lines of the code do. What catches it is a point that is put at a known place, in an array of odd size. `medlab` tests that.
#
# **Spins that do not hold still** in frequency, place or amplitude while k-space is filled break equation {eq}`kspace-signal` itself. That is [the next lesson](mr_artifacts.ipynb).
#
# ## Exercises
#
# ### Exercise 1: plan a scan
#
# A slice of 240 × 240 mm with voxels of 0.9375 mm. The receiver takes a sample every 10 µs. How many samples and lines? Which step and reach in k-space? How strong is the readout gradient? And how
# long does the scan take at TR = 600 ms?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`kspace-fov` gives $N$, $\Delta k$ and $k_\mathrm{max}$. Equation {eq}`kspace-phase` says how much $k$ grows in one dwell time.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $\bar\gamma\, G \cdot 10\ \mathrm{µs} = \Delta k = 1/240$ mm, and $\bar\gamma = 42.58$ Hz for each µT, that is $0.04258$ cycles a mm for each mT/m and ms.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $N = 256$ samples and 256 lines; $\Delta k = 0.00417$ and $k_\mathrm{max} = 0.533$ cycles a mm. $G = 0.00417 / (0.04258 \cdot 0.01) = 9.8$ mT/m. The line takes 2.56 ms; the scan $256 \cdot 0.6 = 154$ s.
# Of these the receiver listens for 0.66 s. (`Readout((256, 256), (240, 240)).readout_gradient_mt_per_m` agrees.)
#
# </details>
#
# ### Exercise 2: where is the nose?
#
# The field of view is 180 mm in the direction of phase encoding, centred at $y = 0$. The tip of the nose is at $y = 115$ mm. Where does it appear? Which two changes of the scan bring it back to its place?
#
# <details class="hint"><summary>Hint</summary>
#
# The samples cannot tell $y$ from $y - \mathrm{FOV}$.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Which of 115, $115 - 180$, $115 - 360$ lies between −90 and 90?
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# At $-65$ mm: the nose lies in the back of the head. Remedies: a larger field of view (smaller $\Delta k$; with the same reach more lines, so more time), or encoding the phase along $x$, in which the head is shorter, and the frequency along
# $y$, where a filter removes what is outside. A coil that does not hear the nose helps, too.
#
# </details>
#
# ### Exercise 3: unfold an image, in code
#
# Every second line was measured with several coils. Each coil's image (zeros for what is missing) is then $\tfrac12\big(c_j(y)\,\rho(y) + c_j(y')\,\rho(y')\big)$ with $y' = y + Y/2$ (modulo $Y$). Write
# `unfold(folded, sensitivities)`: both are complex, of shape `(coils, X, Y)`; return $\rho$, shape `(X, Y)`.
#
# <details class="hint"><summary>Hint</summary>
#
# For each pair of voxels it is a linear system: as many equations as coils, two unknowns. `torch.linalg.lstsq` solves many of them at once.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Take only $y < Y/2$: `matrix = torch.stack((s[..., :half], s[..., half:]), -1) / 2` is (coils, X, half, 2). Move the coils next to the last axis, solve for `folded[..., :half]`, and lay the two unknowns side by side.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# This is SENSE as published {cite}`pruessmann1999`, without the noise covariance of the coils. The cell after the exercise holds it as code. It breaks down where two sensitivities are alike at both places: the system is then nearly singular and
# noise is amplified (the *g-factor*).
#
# </details>


# %% tags=["hide-input"]
def check_unfold(unfold):
    folded = to_image(MultiCoil(maps, equispaced_lines(Y, 2))(brain.to(torch.complex64)))
    made = unfold(folded, maps)
    if made is None:
        return "it returned nothing; return the image, complex, of shape (X, Y)."
    if tuple(made.shape) != (X, Y):
        return f"the image has the shape {tuple(made.shape)}, expected {(X, Y)}: both halves, side by side along y."
    error = float((made - brain).norm() / brain.norm())
    if any(float((factor * made - brain).norm() / brain.norm()) < 1e-3 for factor in (2, 0.5)):
        return "it is right but for a factor of 2: mind the one half in front of the sum."
    if float((made.roll(Y // 2, 1) - brain).norm() / brain.norm()) < 1e-3:
        return "the two halves have traded places: the first unknown belongs to y, the second to y + Y/2."
    if error > 1e-3:
        return f"it differs from the truth by {100 * error:.0f} %; is each pair (y, y + Y/2) one system with its own sensitivities?"
    return None


# %% tags=["exercise"]
def unfold(folded, sensitivities):
    """The image behind coil images of every second line: two unknowns a pair of voxels, by least squares."""
    ...  # your code here


judge(check_unfold, unfold)


# %% tags=["solution", "hide-cell"]
def unfold(folded, sensitivities):
    """The image behind coil images of every second line: two unknowns a pair of voxels, by least squares."""
    # begin solution
    half = folded.shape[-1] // 2
    matrix = torch.stack((sensitivities[..., :half], sensitivities[..., half:]), -1) / 2
    right_side = folded[..., :half, None]
    pair = torch.linalg.lstsq(
        matrix.permute(1, 2, 0, 3), right_side.permute(1, 2, 0, 3)
    ).solution
    return torch.cat((pair[..., 0, 0], pair[..., 1, 0]), -1)
    # end solution


judge(check_unfold, unfold)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "You double the number of lines and keep the step Δk. What changes?",
        ("The field of view doubles", "The field of view is 1/Δk, and Δk stayed."),
        right("Voxels become half as long in y, and the scan takes twice the time", "Twice the lines at the same step reach twice as far out: Δx = 1/(2 k<sub>max</sub>). Each line costs one TR."),
        ("Only the signal-to-noise ratio", "Noise changes too, but the reach k<sub>max</sub> has doubled, so the voxel has halved."),
    ),
    question(
        "An image shows a faint copy of the head, shifted by half the field of view along y. What happened to k-space?",
        ("Its outer lines are missing", "That would blur the image along y, without a copy."),
        right("Every second line is weaker or different", "What repeats every second line in k-space makes a copy half a field of view away, as in the comb."),
        ("One sample is far too large", "One sample is one wave: stripes over the whole image."),
    ),
    question(
        "Why is a radial image without density weights blurred?",
        ("Because the spokes miss the corners of k-space", "The corners hold little; missing them costs a little resolution along the diagonals."),
        ("Because the interpolation smooths it", "The kernel's effect is divided out: the transform errs by less than 10<sup>−5</sup>."),
        right("Because the middle is counted as often as spokes cross it", "All spokes pass through the middle. Unweighted, low frequencies are too strong by 1/|k|."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - A gradient winds the spins up into a wave; the coil hears how much of this wave the head contains. That is one point of k-space.
# - Phase encoding chooses the line, frequency encoding runs along it, one line for each excitation. The FFT does the rest, exactly.
# - The step in k-space sets the field of view, the reach sets the voxel.
# - Missing at the edge: blur. Missing in a comb: copies. Missing at random: something like noise. Missing in the middle: no contrast.
# - Symmetry, coils and prior knowledge each replace lines, each at its own price: phase, noise, and assumptions.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | anatomy | one axial slice of the ICBM 152 template, an average of 152 healthy adults without skull and scalp; it represents no single person and no disease |
# | signals | **synthetic**: the equation of a spin echo with one T1, T2 and density a tissue at 3 T |
# | sensitivities | **synthetic**: circular loops in air by Biot and Savart; a head's conductivity and dielectric properties at 3 T bend real ones. SENSE is told them exactly; a scanner has to measure them first |
# | noise, lines | **synthetic**: Gaussian, drawn from the seed shown at the top; the same in all coils and independent, which real coils' noise is not |
# | physics left out | slice selection, gradients that ramp and are not exactly linear, eddy currents, relaxation during a line, motion |
# | claims | errors against acceleration hold for this one slice and this noise; they rank ideas, not products |
#
# ## Further reading
#
# Lauterbur's first image of two tubes of water takes a page and a half {cite}`lauterbur1973`. Twieg's and Ljunggren's papers {cite}`twieg1983,ljunggren1983` brought k-space to everyone. {cite}`nishimura2010` is the shortest
# full account, {cite}`bernstein2004` the longest. SENSE {cite}`pruessmann1999`, GRAPPA {cite}`griswold2002` and compressed sensing {cite}`lustig2007` are worth reading in this order. The thesis introduces
# encoding in its section 3.1.4 {cite}`thesis`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
