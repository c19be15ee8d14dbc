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
#     - start/images_in_space
#     summary: How shadows from many sides become a slice, by Fourier, by filtered back-projection
#       and by algebra.
#     weights:
#     - results/benchmarks/ct.json
# ---

# %% [markdown]
# # From projections to slices
#
# A CT scanner never sees a slice of a head. It sees shadows: from each side, one number for each ray, the sum of everything on its way. In
# 1917 Johann Radon proved that the shadows from all sides hold the whole slice {cite}`radon1917`; it took half a century, and
# Cormack and Hounsfield, until somebody computed one {cite}`cormack1963,hounsfield1973`. This lesson builds the three ways back:
# through the Fourier transform, by smearing filtered shadows over the image, and by solving a very large system of equations.
#
# **You will be able to**
#
# - compute the projections of a slice, and check a projector against shapes whose shadows have a formula
# - show with numbers that the Fourier transform of a projection is a line through the transform of the slice
# - write filtered back-projection from its kernel, and choose a window for the noise at hand
# - read a fan beam as parallel rays in another order
# - solve for the image by iteration, say when to stop, and know what a prior buys with few views
#
# **You need** [X-rays and attenuation](../physics/xrays_and_attenuation.ipynb), for line integrals, Hounsfield units and the noise of counting, and
# [Images in space](../start/images_in_space.ipynb), for the sides of the patient. The Fourier transform should be an old friend.

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
photons = 200_000  # that a ray sends out in "The experiment"; a tenth in "The algebraic view"
few_views = 36  # in "The experiment"
axis_error_pixels = 1.0  # how far the axis is from where we think, in "Where it breaks"

# %% tags=["hide-input"]
import math
from bisect import bisect_left
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from torch.nn.functional import avg_pool2d, max_pool2d

from medlab.data import load_icbm152
from medlab.metrics import mean_interval
from medlab.physics.ct.angles import evenly_spaced
from medlab.physics.ct.filters import WINDOWS as FILTERS, padded_length, ramp_kernel
from medlab.physics.head import TISSUES, head_slice
from medlab.physics.ct.projection import FanBeam, ParallelBeam
from medlab.physics.ct.reconstruction import fbp
from medlab.physics.ct.xray import at_body_temperature, attenuation_per_cm
from medlab.physics.ct.xray import line_integral_deviation, to_hu
from medlab.physics.phantoms import Ellipse, draw, fourier_transform, line_integrals
from medlab.physics.phantoms import shepp_logan, soft_head
from medlab.physics.solvers import cgls, sirt, total_variation
from medlab.viz import explore, show, slices, style, table
from medlab.viz.benchmark import benchmark
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)
# Thousands of steps on small arrays: two threads spend more time waiting for each other than they save.
torch.set_num_threads(1)

# %% tags=["hide-input"]
ENERGY_KEV = 65.0  # one energy: no beam hardening in this lesson
template = load_icbm152()
volumes = template.white, template.grey, template.mask
shares = head_slice(*(volume.data[0, :, :, 92] for volume in volumes))
across, along = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
# A clot, so that the two sides differ: a synthetic ellipse in the patient's right hemisphere.
clot = (((across - 166) / 11).square() + ((along - 130) / 15).square() < 1).float()
shares = torch.cat([shares * (1 - clot), clot[None]])
materials = [n if n == "skull" else at_body_temperature(n) for n in (*TISSUES, "clotted blood")]
MU = torch.tensor([float(attenuation_per_cm(m, ENERGY_KEV)) for m in materials])
WATER = float(attenuation_per_cm("water", ENERGY_KEV))
HEAD = torch.einsum("m,mxy->xy", MU, shares)  # (256, 256) in 1/cm, pixels of 1 mm

RED_HEAT = LinearSegmentedColormap.from_list("parallel", ["black", style.ORANGE, "#ffe9d6"])
BLUE_HEAT = LinearSegmentedColormap.from_list("fan", ["black", style.BLUE, "#dcefff"])
SOURCE_MM, FAN_DEG, FAN_SHOWN = 190.0, 80.0, 60  # close, so that it fits the picture
round_about = evenly_spaced(360, 360)
coarse = run.pick(ci=4, cpu=1, gpu=1)  # pixels of so many mm
fan_shown = FanBeam(round_about, 256 // coarse, source_mm=SOURCE_MM, fan_deg=FAN_DEG, detectors=256, pixel_mm=coarse)  # fmt: skip
sinogram = ParallelBeam(round_about, 256, detectors=256)(HEAD)
fan_projections = fan_shown(avg_pool2d(HEAD[None], coarse)[0])

turn = torch.deg2rad(round_about)
front = int((HEAD[127] > 0.3).nonzero().max()) - 127.5 - 3  # in the skull above the nose
points = {"clot": (38.5, 2.5, style.GOLD), "front of the skull": (0.0, front, style.PINK)}

figure, axes = plt.subplots(1, 3, figsize=(8.6, 3.6), width_ratios=(1.1, 1, 1))
slices.draw_slice(axes[0], to_hu(HEAD, WATER)[..., None], index=0, window=(-200, 400), sides=False)  # fmt: skip
axes[0].images[0].set_clip_path(plt.Circle((128, 128), 125, transform=axes[0].transData))
for side, at in (("R", 24), ("L", 232)):
    axes[0].text(at, 128, side, color=style.GOLD, fontweight="bold", ha="center", va="center")
sources = torch.deg2rad(evenly_spaced(24, 360))
# The picture is seen from the feet: x grows to the left.
axes[0].plot(128 - SOURCE_MM * torch.sin(sources), 128 - SOURCE_MM * torch.cos(sources), "o", color=style.BLUE, markersize=4)  # fmt: skip
angle, place = fan_shown.rays()
beta = math.radians(FAN_SHOWN)
source = (SOURCE_MM * math.sin(beta), -SOURCE_MM * math.cos(beta))
for theta in torch.deg2rad(angle[FAN_SHOWN, ::32]).tolist():
    end = (source[0] - 450 * math.sin(theta), source[1] + 450 * math.cos(theta))
    axes[0].plot([128 - source[0], 128 - end[0]], [128 + source[1], 128 + end[1]], color=style.BLUE, linewidth=0.7)  # fmt: skip
axes[0].set(xlim=(-85, 341), ylim=(-85, 341), title="slice, sources, one fan")
axes[1].imshow(sinogram, cmap=RED_HEAT, origin="lower", aspect="auto", extent=(-128, 128, 0, 360))  # fmt: skip
axes[1].plot(place, angle[FAN_SHOWN].remainder(360), color=style.BLUE)
axes[2].imshow(fan_projections, cmap=BLUE_HEAT, origin="lower", aspect="auto", extent=(-FAN_DEG / 2, FAN_DEG / 2, 0, 360))  # fmt: skip
axes[2].plot([-FAN_DEG / 2] * 24, torch.rad2deg(sources), "o", color=style.BLUE, markersize=4, clip_on=False)  # fmt: skip
axes[2].axhline(FAN_SHOWN, color=style.BLUE)
for x, y, colour in points.values():
    axes[0].plot(128 - x, 128 + y, "o", color=colour, markersize=6, markeredgecolor="black")
    aside = x * torch.cos(turn) + y * torch.sin(turn)
    ahead = SOURCE_MM - x * torch.sin(turn) + y * torch.cos(turn)
    axes[1].plot(aside, round_about, color=colour, linestyle="--", linewidth=1.4)
    seen_at = torch.rad2deg(torch.atan2(aside, ahead))
    axes[2].plot(seen_at, round_about, color=colour, linestyle="--", linewidth=1.4)
axes[1].set(title="sinogram", xlabel="place s on the detector (mm)", ylabel="view angle θ (°)", xlim=(-128, 128))  # fmt: skip
axes[2].set(title="fan-beam projections", xlabel="fan angle ψ (°)", ylabel="source angle β (°)")
for ax in axes[1:]:
    ax.set(yticks=[0, 90, 180, 270, 360], ylim=(0, 360))
show(
    figure,
    caption="A slice, its parallel projections (the sinogram, orange) and its fan-beam projections (blue), of which each source is a blue dot. "
    "The two marked points draw sine waves in the sinogram, and bent ones in the fans. The fan drawn on the left is one row of the right "
    "picture, and the slanted blue line in the sinogram.",
    alt="Head slice with a ring of source dots and one fan; orange sinogram with two dashed sine waves and a slanted line; blue fan projections with the same two waves, slightly bent",
)

# %% [markdown]
# This is figure 3.5 of the thesis {cite}`thesis`, rebuilt with the head of the last lesson: the brain is the ICBM 152 {term}`template`
# {cite}`fonov2011`, while skin, skull, the fluid below it and a clot in the patient's right hemisphere are *synthetic*. The beam has a single energy of 65 keV, so that
# a pixel has one attenuation: about 0.2 /cm for brain, 0.4 /cm for skull. The pictures follow the {term}`radiological convention`.
#
# ## A shadow is a set of integrals
#
# A ray of intensity $I_0$ that crosses the slice arrives with $I$, and the logarithm of their ratio is the {term}`line integral` of the
# {term}`attenuation` (thesis eq. 3.6, with $ds$ for the length of a small step):
#
# $$ p = -\ln\frac{I}{I_0} = \int_{\text{ray}} \mu\, ds . $$ (slices-line)
#
# We now need names for rays. Take a *view*: all rays that run in one direction. The view angle $\theta$ says where its detector points,
# and $s$ is the place on the detector, in mm, with 0 at the shadow of the axis about which the scanner turns. A ray is the line
# $x\cos\theta + y\sin\theta = s$, and one view is a {term}`projection`. All of them together, one below another, are the {term}`sinogram`:
#
# $$ p(\theta, s) = \int_{-\infty}^{\infty} \mu(s\cos\theta - t\sin\theta,\; s\sin\theta + t\cos\theta)\; dt . $$ (slices-radon)
#
# Its name is explained by a single point at $(x_0, y_0)$. Its shadow falls on
#
# $$ s(\theta) = x_0\cos\theta + y_0\sin\theta = r_0\cos(\theta - \varphi_0), $$ (slices-sine)
#
# a sine wave whose height $r_0$ is the distance of the point from the axis and whose shift $\varphi_0$ is the direction in which the point lies.
#
# How do we know that a computer's projections are right? By a shape whose shadow can be written down. An ellipse of value $v$ with the half axes
# $a$ and $b$, centred at $(x_0, y_0)$ and turned by the angle $\chi$, has the line integrals
#
# $$ p(\theta, s) = \frac{2 v a b}{\eta^2} \sqrt{\eta^2 - (s - x_0\cos\theta - y_0\sin\theta)^2}, \qquad
# \eta^2 = a^2\cos^2(\theta - \chi) + b^2\sin^2(\theta - \chi), $$ (slices-ellipse)
#
# where the root is real, and 0 elsewhere {cite}`kak1988`. Here $\eta(\theta)$ is half the width of its shadow. `medlab` has {term}`phantoms <phantom>` made of ellipses, in units of
# half the {term}`field of view`; `line_integrals` is this formula, and `ParallelBeam` projects images of pixels. Both are compared here, over half a turn:
# `evenly_spaced(180)` gives 180 angles that go up from 0° and end short of 180°. A half turn holds every ray, because the view from the other side has the same rays; a
# full turn, as in the first figure, has to be asked for: `evenly_spaced(360, 360)`.
#
# **Predict.** The drawing has square pixels where the ellipse has a smooth edge. Will the sinogram of the drawing be wrong by 0.1 %, 1 % or 10 %?

# %%
view = torch.deg2rad(evenly_spaced(180))[:, None]  # half a turn
offset = torch.linspace(-1, 1, 301).double()
v, a, b, x0, y0, chi = 0.4, 0.1, 0.3, -0.3, -0.1, math.radians(-15)
squared = (a * torch.cos(view - chi)).square() + (b * torch.sin(view - chi)).square()  # η²
away = offset - x0 * torch.cos(view) - y0 * torch.sin(view)
p = 2 * v * a * b / squared * (squared - away.square()).clamp(min=0).sqrt()

one = [Ellipse(v, a, b, x=x0, y=y0, angle_deg=-15)]
torch.testing.assert_close(p, line_integrals(one, view, offset))  # equation (slices-ellipse)


# %%
def exact(phantom, scanner, half_field_mm=100.0):
    """The integrals of a phantom (values in 1/cm) along the rays of a scanner, by formula."""
    if isinstance(scanner, FanBeam):
        angle_deg, place_mm = scanner.rays()
    else:
        angle_deg, place_mm = scanner.angles_deg[:, None], scanner.offsets_mm
    angle_rad = torch.deg2rad(angle_deg)
    in_units = line_integrals(phantom, angle_rad, place_mm / half_field_mm)
    return (half_field_mm / 10 * in_units).float()


def relative(found, truth):
    return float((found.cpu() - truth).norm() / truth.norm())


# %%
def off_by(shapes, count):
    """The projector's error on a drawing of count² pixels, in % of the norm of the true sinogram."""
    scanner = ParallelBeam(evenly_spaced(fine_views), count, pixel_mm=200 / count)
    return 100 * relative(scanner(draw(shapes, count)), exact(shapes, scanner))


fine, fine_views = run.pick(ci=(256, 180), cpu=(512, 360), gpu=(512, 360))
errors = {"soft": off_by(soft_head(), fine), "shepp": off_by(shepp_logan(), fine)}
print(f"{fine} pixels, {fine_views} views: off by {errors['soft']:.3f} % of the norm")

# %% tags=["hide-input"]
run.record("slices_soft", errors["soft"], low=0.02, high=0.34, unit="%", digits=3)
run.record("slices_shepp", errors["shepp"], low=0.1, high=1.34, unit="%", digits=2)
finer_by = off_by(soft_head(), fine // 2) / errors["soft"]
run.record("slices_halved", finer_by, low=1.7, high=2.6, digits=1)

# %% [markdown]
# For four soft ellipses the projector is off by {glue:text}`slices_soft`, and for the phantom of Shepp and Logan {cite}`shepp1974`, whose thin bright shell no grid of pixels
# holds well, by {glue:text}`slices_shepp`. The error comes from the drawing's stairs and from how a pixel is read: with pixels twice as large it is {glue:text}`slices_halved` times as large.
#
# ## The Fourier slice theorem
#
# Why should shadows hold the slice? Take the view $\theta = 0$ and the Fourier transform of its projection. The projection sums over $y$, and to sum over $y$ without
# any wave is to ask for the frequency $k_y = 0$. So the projection's transform is the slice's transform $\hat\mu$ along the axis $k_x$. Turn the head, and the same holds in
# every direction {cite}`bracewell1956`:
#
# $$ \hat p(\theta, k) = \int p(\theta, s)\, e^{-2\pi i k s}\, ds = \hat\mu(k\cos\theta,\; k\sin\theta) . $$ (slices-theorem)
#
# One view is one line through the plane of frequencies, and half a turn of views sweeps the whole plane: nothing is missing. That is the {term}`Fourier slice theorem`. Ellipses have a formula for their
# transform too, so equation {eq}`slices-theorem` can be held against numbers that know nothing of projections:

# %%
# NBVAL_CHECK_OUTPUT
count = 4096
offset = -1 + (torch.arange(count, dtype=torch.float64) + 0.5) * 2 / count
k = torch.fft.fftfreq(count, 2 / count, dtype=torch.float64)  # cycles in half the field
start_phase = torch.exp(-2j * math.pi * k * offset[0])  # the FFT counts from the first sample


def both_sides(theta):
    """Left and right side of equation (slices-theorem) at the frequencies k."""
    shadow = line_integrals(soft_head(), theta, offset)
    left = torch.fft.fft(shadow) * start_phase * 2 / count
    return left, fourier_transform(soft_head(), k * torch.cos(theta), k * torch.sin(theta))


low = k.abs() <= 30
for degrees in (0.0, 35.0, 125.0):
    left, right_side = both_sides(torch.tensor(math.radians(degrees)).double())
    off = (left - right_side)[low].abs().max() / right_side.abs().max()
    print(f"view at {degrees:3.0f}°, both sides agree: {bool(off < 1e-4)}")

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), width_ratios=(1, 1.6))
waves = torch.linspace(-12, 12, 193)
kx, ky = torch.meshgrid(waves, waves, indexing="ij")
plane = fourier_transform(soft_head(), kx, ky).abs().clamp(min=1e-4).log10()
axes[0].imshow(plane.T, origin="lower", cmap="viridis", extent=(-12, 12, -12, 12), vmin=-3)
for degrees, colour in ((35.0, style.ORANGE), (125.0, style.PINK)):
    theta = torch.tensor(math.radians(degrees)).double()
    c, s = float(torch.cos(theta)), float(torch.sin(theta))
    axes[0].plot([-12 * c, 12 * c], [-12 * s, 12 * s], color=colour)
    left, some = both_sides(theta)[0], (k >= 0) & (k <= 12)
    dense = torch.linspace(0, 12, 600).double()
    line = fourier_transform(soft_head(), dense * c, dense * s).abs()
    axes[1].plot(dense, line, color=colour, linewidth=1.2, label=f"line at {degrees:.0f}°")
    axes[1].plot(k[some], left[some].abs(), "o", color=colour, markersize=5, fillstyle="none")
axes[0].set(xlabel="$k_x$", ylabel="$k_y$", title="|transform| of the phantom", xlim=(-12, 12), ylim=(-12, 12))  # fmt: skip
axes[1].set(xlabel="frequency k (cycles in half the field)", ylabel="magnitude")
axes[1].set(yscale="log", ylim=(1e-3, 3))
axes[1].legend()
show(
    figure,
    caption="Left: the two-dimensional transform of four ellipses (logarithm), with two lines through its centre. Right: its values along these lines (curves), and "
    "the one-dimensional FFT of the two projections (circles). They coincide.",
    alt="Map of a two-dimensional Fourier transform with two crossing lines; beside it two curves with circles lying on them",
)

# %% [markdown]
# `ParallelBeam` uses the theorem in its inside: it takes one padded FFT of the image, reads lines out of it with a short interpolation kernel, and transforms them back. Its docstring says how.
# The theorem also explains a scanner's hunger for views: near the centre the lines lie close, far out they fan apart, and fine detail is what falls in between.
#
# ## Back-projection, and what it lacks
#
# The obvious way back is to smear each shadow over the image along its rays, and to add up. That is {term}`back-projection`:
#
# $$ b(x, y) = \int_0^{\pi} p(\theta,\; x\cos\theta + y\sin\theta)\, d\theta . $$ (slices-back)
#
# **Predict.** Back-project the shadows of a single small disc. What does the image look like at the distance $r$ from it: zero, something that falls like $1/r$, or a star?

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 2, figsize=(6.2, 6.4))
for ax, views in zip(axes.flat, (1, 4, 16, 360), strict=True):
    some = ParallelBeam(evenly_spaced(views) + 20, 256)
    smeared = some.backproject(some(HEAD)) * math.pi / views
    slices.draw_slice(ax, smeared[..., None], index=0, window=(0, float(smeared.max())))
    ax.set_title(f"{views} view{'s' if views > 1 else ''}")
show(
    figure,
    caption="Shadows of the head smeared back, each picture in its own window. With 360 views there is no streak left, and still no brain to be seen: a fog that follows the skull covers it.",
    alt="Four back-projections: one band, a few crossing bands, a star-like head, and a very blurred head without inner structure",
)

# %% [markdown]
# All lines of a disc's shadows pass through it, and at the distance $r$ they have spread over a circle of the length $2\pi r$. So what is left at $r$ falls like $1/r$,
# and the back-projected image is the true one, blurred: $b = \mu * 1/r$, with $*$ for a convolution. A disc of the value 1 and the radius $a$ has the area $\pi a^2$, so at the distance $r$ we expect $\pi a^2 / r$:

# %%
# NBVAL_CHECK_OUTPUT
scanner = ParallelBeam(evenly_spaced(360), 256, pixel_mm=200 / 256)  # a view each half degree
shadows = exact([Ellipse(1.0, 0.05, 0.05)], scanner)  # a = 5 mm
smeared = scanner.backproject(shadows) * math.pi / 360  # equation (slices-back)
x_cm = (torch.arange(256) - 127.5) * 20 / 256
for pixel in (150, 180, 240):
    expected = math.pi * 0.5**2 / math.hypot(x_cm[pixel], x_cm[127])
    assert math.isclose(smeared[pixel, 127], expected, rel_tol=0.02)
    print(
        f"{x_cm[pixel]:.1f} cm away: {smeared[pixel, 127]:.2f}, and pi a²/r is {expected:.2f}"
    )

# %% [markdown]
# In the plane of frequencies the fog has a simple cause. Views are lines through the centre; they crowd there and thin out as $1/|k|$. So low frequencies are counted too often, and by exactly known amounts.
# Multiply the transform of each view by $|k|$ before smearing, and the crowding is gone. This is {term}`filtered back-projection`, and with views from all angles and all frequencies it is exact:
#
# $$ \mu(x, y) = \int_0^{\pi} \Big[ \int_{-\infty}^{\infty} |k|\; \hat p(\theta, k)\, e^{2\pi i k s}\, dk \Big]_{s = x\cos\theta + y\sin\theta}\, d\theta . $$ (slices-fbp)
#
# The bracket is a filter, the {term}`ramp filter`. A detector with elements $\Delta s$ apart holds frequencies up to $1/(2\Delta s)$ only. The ramp that stops there has a
# kernel with a closed form {cite}`ramachandran1971,kak1988`. It is $h_n$ at the $n$th neighbour, and it makes of a view $p$ the filtered view $q$:
#
# $$ h_0 = \frac{1}{4}, \qquad h_n = \begin{cases} -1/(\pi n)^2 & n \text{ odd} \\ 0 & n \text{ even} \end{cases},
# \qquad q(\theta, s_j) = \frac{1}{\Delta s} \sum_n h_n\, p(\theta, s_{j - n}) . $$ (slices-kernel)
#
# A positive peak between negative tails: they remove what the neighbours have smeared. Here it is by hand, and then compared with `fbp`:

# %%
data = exact(shepp_logan(), scanner)
length = padded_length(scanner.detectors)  # twice the row, so that its two ends do not meet
n = torch.fft.fftfreq(length, 1 / length, dtype=torch.float64)  # 0, 1, 2, ..., -2, -1
kernel = torch.zeros(length, dtype=torch.float64)
odd = n.abs() % 2 == 1
kernel[0], kernel[odd] = 1 / 4, -1 / (math.pi * n[odd]) ** 2  # equation (slices-kernel)
torch.testing.assert_close(kernel, ramp_kernel(length))

ramp = torch.fft.rfft(kernel).real.float()  # a convolution is a product of transforms


# %%
def by_hand(data, response):
    """Equation (slices-fbp): filter the views, and smear them back."""
    filtered = torch.fft.irfft(torch.fft.rfft(data, n=length) * response, n=length)
    filtered = filtered[:, : scanner.detectors] / (scanner.detector_mm / 10)
    return scanner.backproject(filtered) * math.pi / len(data)


image = by_hand(data, ramp)
torch.testing.assert_close(image, fbp(data, scanner), rtol=1e-4, atol=1e-5)
darker = by_hand(data, torch.linspace(0, 1 / 2, len(ramp)))  # |k| at the FFT's frequencies

# %% tags=["hide-input"]
run.record("slices_dark", float((image - darker).mean()), low=0.003, high=0.02, unit="/cm", digits=3)  # fmt: skip

# %% [markdown]
# Why this kernel, and not $|k|$ itself? In the integral {eq}`slices-fbp` it costs nothing that $|k|$ is 0 at $k = 0$: a single point has no width. An FFT has only separate frequencies, and each stands for an interval around it.
# In the interval around 0, $|k|$ is not 0 on average; a zero there throws the mean of every padded view away. The kernel is right at each place of the detector, and its transform has a small positive value there. With $|k|$ read off at the
# FFT's frequencies, the image is too dark by {glue:text}`slices_dark`, nearly the same everywhere; the phantom's brain has 0.2 /cm.
#
# Scanners then show the image in {term}`Hounsfield units <Hounsfield unit>` (thesis eq. 3.7; water is 0, air −1000):
#
# $$ \mu^* = 1000\, \frac{\mu - \mu_w}{\mu_w} . $$ (slices-hu)
#
# ## Views, windows and noise
#
# The ramp lifts what is fine, and noise is finest of all. So the ramp is multiplied by a *window* that bends it down towards high frequencies: a little
# (Shepp and Logan's sinc, {cite}`shepp1974`) or down to zero (cosine and, still lower, Hann). Noise falls, and so does sharpness. Photons are counted as in the last lesson:
# the line integral of a ray that sends out $N_0$ of them errs by $\sqrt{e^{p} / N_0}$.


# %% tags=["hide-input"]
def shrunk(image, pixels):
    """An image (256, 256) on a grid of pixels², exact means; pixels: a divisor of 256, or 192."""
    step = math.gcd(256, pixels)
    finer = image.repeat_interleave(pixels // step, 0).repeat_interleave(pixels // step, 1)
    return avg_pool2d(finer[None], 256 // step)[0]


@cache
def scan(views, pixels):
    """Line integrals of the head of 1 mm pixels, on a detector as coarse as a grid of pixels², and its scanner."""
    pixel_mm, detectors = 256 / pixels, math.ceil(math.sqrt(2) * pixels) + 1
    angles = evenly_spaced(views)
    finer = ParallelBeam(angles, 256, detectors=2 * detectors, detector_mm=pixel_mm / 2)
    clean = finer(HEAD).unflatten(-1, (detectors, 2)).mean(-1)  # an element is no point
    return clean, ParallelBeam(angles, pixels, detectors=detectors, pixel_mm=pixel_mm)


def counted(clean, photons_a_ray, generator):
    noise = torch.randn(clean.shape, generator=generator)
    return clean + line_integral_deviation(clean, photons_a_ray) * noise


clean, scanner = scan(run.pick(ci=180, cpu=360, gpu=360), 256)
data = counted(clean, 100_000, run.fresh_generator(1))
# Brain and fluid that lie at least 8 mm from the skull, whose blur would count as an error
brain = max_pool2d((shares[2:].sum(0) < 0.999).float()[None], 17, 1, 8)[0] == 0
hu = {name: to_hu(fbp(data, scanner, name), WATER) for name in FILTERS}
noise_hu = {k: float((hu[k] - to_hu(fbp(clean, scanner, k), WATER))[brain].std()) for k in hu}  # fmt: skip
f = torch.linspace(0, 1, 201)
first, second, third, fourth = FILTERS
layout = [["curves", first, second], ["curves", third, fourth]]
figure, axes = plt.subplot_mosaic(layout, figsize=(8, 5.4), width_ratios=(1.2, 1, 1))
for (name, response), colour in zip(FILTERS.items(), style.CYCLE, strict=False):
    axes["curves"].plot(f, f * response(f), color=colour, label=name)
    slices.draw_slice(axes[name], hu[name][48:208, 27:229, None], index=0, window=(0, 80))
    axes[name].set_title(f"{name}: noise {noise_hu[name]:.0f} HU")
axes["curves"].set(xlabel="frequency (of the highest)", ylabel="ramp × window", box_aspect=1.2)
axes["curves"].legend()
show(
    figure,
    caption="Four filters and the head that each makes of the same noisy data, brain window (0 to 80 HU; the clot is in the patient's right hemisphere). In the ramp's image the grain hides where grey matter ends and roughens "
    "the clot; with Hann's window both are plain, and every edge is softer.",
    alt="Curves of four filters that rise alike and bend down differently; four noisy head slices with a bright clot, from grainy to smooth",
)
run.record("slices_noise_ramp", noise_hu["ramp"], low=3, high=60, unit="HU", digits=0)
run.record("slices_noise_hann", noise_hu["hann"], low=1, high=0.6 * noise_hu["ramp"], unit="HU", digits=0)  # fmt: skip

# %% [markdown]
# In code a window is a factor, and `fbp(sinogram, scanner, "hann")` is this (the detector has as many elements as before, so that `ramp` fits):

# %%
hann = (1 + torch.cos(math.pi * torch.linspace(0, 1, len(ramp)))) / 2
by_hand_hann = by_hand(data, ramp * hann)
torch.testing.assert_close(by_hand_hann, fbp(data, scanner, "hann"), rtol=1e-4, atol=1e-5)

# %% [markdown]
# The noise goes from {glue:text}`slices_noise_ramp` down to {glue:text}`slices_noise_hann`, for a clot that differs from brain by some tens of HU. It is grain, not fog: the ramp has taken away most of what is coarse in it.
#
# And how many views? Let the dose be fixed: the same number of photons, spread over few views or many.
#
# **Predict.** Which is worse, 24 views with many photons each, or 384 views with a sixteenth of them each?


# %% tags=["hide-input"]
DOSE = 384 * 100_000  # photons through one element, in all views together
SHOWN = 192  # pixels of 1.33 mm
truth_hu = to_hu(shrunk(HEAD, SHOWN), WATER)
inside = shrunk(brain.float(), SHOWN) > 0.999
VIEWS = [24, 96] if run.profile.name == "ci" else [6, 12, 24, 48, 96, 192, 384]


@cache
def dose_image(views, window):
    clean, scanner = scan(views, SHOWN)
    data = counted(clean, DOSE / views, run.fresh_generator(2))
    return to_hu(fbp(data, scanner, window), WATER)


def dose_error(views, window):
    return float((dose_image(views, window) - truth_hu)[inside].square().mean().sqrt())


def draw_views(views, window):
    figure, (left, beside) = plt.subplots(1, 2, figsize=(6.4, 3.1), width_ratios=(1, 1.25))
    picture = dose_image(views, window)[32:160, 16:176, None]
    slices.draw_slice(left, picture, index=0, window=(-60, 140))
    left.set_title(f"{views} views, {window}", fontsize=10)
    for name, colour in zip(FILTERS, style.CYCLE, strict=False):
        beside.plot(VIEWS, [dose_error(v, name) for v in VIEWS], color=colour, label=name)
    beside.plot(views, dose_error(views, window), "o", color=style.INK, markersize=8)
    beside.set(xscale="log", yscale="log", xlabel="views", ylabel="error in the brain (HU)")
    beside.set_xticks(VIEWS, [str(v) for v in VIEWS])
    beside.minorticks_off()
    beside.set_yticks([10, 30, 100, 300], ["10", "30", "100", "300"])
    beside.legend(fontsize=8)
    return figure


explore(
    draw_views,
    caption="The head from few views and many, at one dose in all (window −60 to 140 HU; clot on the left). With few views the skull throws streaks that no filter removes; with many only noise is left, and the filter decides.",
    alt=lambda views, window: (
        f"Head slice from {views} views with the {window} filter; error in the brain {dose_error(views, window):.0f} HU"
    ),
    labels={"views": "views", "window": "filter"}, start={"views": 24, "window": "ramp"}, views=VIEWS, window=list(FILTERS),
)  # fmt: skip
run.record("slices_dose24", dose_error(24, "ramp"), low=40, high=400, unit="HU", digits=0)
run.record("slices_dose384", dose_error(384, "ramp"), low=5, high=40, unit="HU", digits=0)

# %% [markdown]
# The 24 views are far worse: with the ramp the brain is off by {glue:text}`slices_dose24`, against {glue:text}`slices_dose384` from 384 views. Their rays are precise, but the plane of frequencies has holes. More views at the same dose cost nothing here, and a scanner takes about a thousand. Note what the few-view image
# looks like: not blurred, but full of straight lines, and the clot can be read into places where it is not.
#
# ## A fan is parallel rays in another order
#
# One X-ray tube cannot send parallel rays; it sends a {term}`fan <fan beam>`. The source goes round at the distance $R$ from the axis. When it stands at the angle $\beta$, the ray at the angle $\psi$ from its
# central ray is nothing new. It is a parallel ray with
#
# $$ \theta = \beta - \psi, \qquad s = R \sin\psi . $$ (slices-fan)
#
# So the blue line in the first figure is slanted, and almost straight, since $\sin\psi \approx \psi$. Over a full turn every ray is seen twice, from both ends.

# %%
size = run.pick(ci=128, cpu=256, gpu=512)
ring = evenly_spaced(2 * size, 360)
fan = FanBeam(ring, size, source_mm=540.0, pixel_mm=200 / size)
psi = fan.fan_rad  # equally spaced fan angles
torch.testing.assert_close(fan.rays()[0], ring[:, None] - torch.rad2deg(psi))  # (slices-fan)
torch.testing.assert_close(fan.rays()[1], 540.0 * torch.sin(psi))

off_fan = 100 * relative(fan(draw(soft_head(), size)), exact(soft_head(), fan))

# %% [markdown]
# `FanBeam` therefore makes one dense parallel sinogram and reads each fan from it. For reconstruction one could sort the rays back. It is as simple to filter the fans themselves: weight each ray by
# $\cos\psi$, filter with a slightly stretched kernel, and weight each smeared ray by one over its squared distance from the source {cite}`kak1988`. `fbp` does it when it is given a `FanBeam`:


# %%
def disc(size, radius=0.95, x=0.0):
    place = (torch.arange(size) - (size - 1) / 2) / (size / 2)
    return (place[:, None] - x).square() + place.square() < radius**2


def rmse(image, truth):
    return float((image - truth)[disc(len(truth))].square().mean().sqrt())


phantom = draw(shepp_logan(), size)
rmse_fan = rmse(fbp(exact(shepp_logan(), fan), fan), phantom)
parallel = ParallelBeam(evenly_spaced(size), size, pixel_mm=200 / size)
rmse_parallel = rmse(fbp(exact(shepp_logan(), parallel), parallel), phantom)
print(f"RMSE of Shepp and Logan's head: fan {rmse_fan:.3f}, parallel {rmse_parallel:.3f}")

# %% [markdown]
# Nearly the same, from exact integrals along quite different rays. A real scanner's detector has many rows and its table moves, so that the fan becomes a cone on a spiral; `ConeBeam` projects such volumes.
#
# ## The algebraic view
#
# Now forget Fourier. Projection is linear, so it is a matrix. Write the image as a column $x$ of pixels and all measurements as a column $y$; then
#
# $$ y = A x + \varepsilon , $$ (slices-algebra)
#
# where $A$ holds what each pixel adds to each ray (in the simplest projector the length of the ray in the pixel), and $\varepsilon$ is noise. The thesis calls this the way of modern algorithms, since $A$ may contain whatever we know about the scanner. Nobody
# writes $A$ down: for 256² pixels, 360 views and 364 detector elements it would have $256^2 \times 360 \times 364$ entries, more than eight thousand million. All that is needed is to apply it, and to apply its transpose, the
# {term}`adjoint` $A^T$, which is defined by
#
# $$ \langle A x, y \rangle = \langle x, A^T y \rangle \quad \text{for all } x, y . $$ (slices-adjoint)
#
# This is also a test, and every projector should have to pass it with random numbers: an $A^T$ that is only nearly the transpose makes solvers creep or diverge.

# %%
mismatch = {}
for dtype in (torch.float32, torch.float64):
    generator = run.fresh_generator(3)
    x = torch.randn(size, size, generator=generator, dtype=dtype)
    y = torch.randn(parallel.range_shape, generator=generator, dtype=dtype)
    projected, back = parallel.forward(x), parallel.adjoint(y)
    gap = (projected.double() * y).sum() - (x.double() * back).sum()  # (slices-adjoint)
    mismatch[dtype] = abs(float(gap)) / float(projected.norm() * y.norm())

# %% tags=["hide-input"]
for bits, kind, most in ((32, torch.float32, 1e-6), (64, torch.float64, 1e-14)):
    run.record(f"slices_adjoint{bits}", mismatch[kind], low=0, high=most, digits=0, scientific=True)  # fmt: skip

# %% [markdown]
# The gap, relative to the lengths of $Ax$ and $y$, is {glue:text}`slices_adjoint32` with 32-bit numbers and {glue:text}`slices_adjoint64` with 64.
#
# **SIRT**, one of the oldest methods {cite}`gilbert1972`, compares the shadows of the present image with the measured ones, and smears the difference back, again and again:
#
# $$ x \leftarrow x + C A^T W\, (y - A x), $$ (slices-sirt)
#
# where $W$ divides by the row sums of $A$ (how long is the ray?) and $C$ by the column sums (how many rays meet this pixel?). **CGLS** {cite}`hestenes1952` looks for the smallest $|y - Ax|^2$ without these weights, and
# chooses its directions so that no step spoils an earlier one; the figure below shows what that saves.

# %%
pixels, views = run.pick(ci=64, cpu=128, gpu=128), 60
clean, scanner = scan(views, pixels)
truth = shrunk(HEAD, pixels)
data = counted(clean, photons // 10, run.fresh_generator(4))

x = torch.zeros(pixels, pixels)
rows = scanner.forward(torch.ones(pixels, pixels))
w = torch.where(rows > 1e-3 * rows.max(), 1 / rows, 0.0)  # 0: rays that miss the image
columns = scanner.adjoint((w > 0).float())
for _ in range(3):
    x = x + scanner.adjoint(w * (data - scanner.forward(x))) / columns  # equation (slices-sirt)
torch.testing.assert_close(x, sirt(scanner, data, 3).images, rtol=1e-4, atol=1e-5)

# %% [markdown]
# **Predict.** The residual $|y - Ax|$ falls with every step. Does the error of the image, too?


# %% tags=["hide-input"]
deep = shrunk(brain.float(), pixels) > 0.999


def image_errors(images):
    """Of images (..., X, Y) the error in % of the truth, and that within the brain in HU, (2, ...)."""
    off = images.cpu() - truth
    in_brain = 1000 / WATER * off[..., deep].square().mean(-1).sqrt()
    return torch.stack([100 * off.flatten(-2).norm(dim=-1) / truth.norm(), in_brain])


def errors_along(solve, data, steps, **more):
    """The errors of the images after each step, (2, steps, ...)."""
    found = []
    more["callback"] = lambda _, images: found.append(image_errors(images))
    solve(scanner, data.to(run.device), iterations=steps, **more)
    return torch.stack(found, 1)


figure, ax = plt.subplots(figsize=(7.4, 3.5))
curves, best = {}, {}
for name, solve, most, colour in (
    ("CGLS", cgls, run.pick(ci=25, cpu=60, gpu=60), style.BLUE),
    ("SIRT", sirt, run.pick(ci=50, cpu=400, gpu=1000), style.ORANGE),
):
    curve = curves[name] = errors_along(solve, torch.stack([data, clean]), most)[0]
    best[name] = 1 + int(curve[:, 0].argmin())
    ax.plot(range(1, most + 1), curve[:, 0], color=colour, label=f"{name}, noise")
    ax.plot(range(1, most + 1), curve[:, 1], "--", color=colour, label=f"{name}, no noise")
    ax.plot(best[name], curve[:, 0].min(), "o", color=colour)
ax.set(xscale="log", yscale="log", xlabel="iteration", ylabel="error of the image (%)")
ax.set_yticks([6, 10, 20, 40], ["6", "10", "20", "40"])
ax.minorticks_off()
ax.legend()
show(
    figure,
    caption=f"Error of the head ({views} views, {photons // 10:,} photons a ray) against the iteration. Without noise (dashed) it falls and stays; with noise it turns (dots) and rises, while the residual "
    "goes on falling. "
    f"CGLS is at its best after {best['CGLS']} steps, SIRT after {best['SIRT']}.",
    alt="Error curves on logarithmic axes: both methods fall to a minimum and rise again with noise, and level off without noise",
)
early, late = float(curves["CGLS"][:, 0].min()), float(curves["CGLS"][-1, 0])
run.record("slices_cgls_best", early, low=3, high=20, unit="%", digits=1)
run.record("slices_cgls_late", late, low=1.05 * early, high=1000, unit="%", digits=1)

# %% [markdown]
# It does not. The image is best at {glue:text}`slices_cgls_best` and ends at {glue:text}`slices_cgls_late`. This is {term}`semi-convergence` {cite}`hansen2010`: coarse structures come in first, then fine ones, and those that are hardly visible in the data, and so
# drown in noise, come last. *Stopping early is the filter.* That is comfortable and a little dishonest, for in a patient nobody knows the error curve.
#
# A cleaner way says what one expects of an image. {term}`Total variation` is the sum over pixels of the size of the image's slope. It is small for images that are flat within organs and jump at their borders {cite}`rudin1992`:
#
# $$ \hat x = \arg\min_{x \ge 0}\; \tfrac{1}{2} |A x - y|^2 + \lambda \sum_{ij} \sqrt{(x_{i+1,j} - x_{ij})^2 + (x_{i,j+1} - x_{ij})^2} . $$ (slices-tv)
#
# The root has a corner at 0, so that ordinary descent gets stuck; the primal-dual method of Chambolle and Pock {cite}`chambolle2011` in the form of {cite}`sidky2012` does not. It needs nothing but $A$ and $A^T$:

# %%
# NBVAL_CHECK_OUTPUT
lines, side = 22, run.pick(ci=64, cpu=128, gpu=256)
flat = draw(shepp_logan(), side)
sparse = ParallelBeam(evenly_spaced(lines), side, pixel_mm=200 / side)
rounds, measured = run.pick(ci=100, cpu=500, gpu=2000), sparse.forward(flat)
trail = []  # the error after each iteration
more = {"nonnegative": True, "callback": lambda _, x: trail.append(100 * relative(x, flat))}
solved = total_variation(sparse, measured.to(run.device), 0.003, rounds, **more)
direct, error_tv = fbp(measured, sparse, "hann"), trail[-1]
error_fbp = 100 * relative(direct, flat)
print(f"{lines} views, total variation is three times better: {error_tv < error_fbp / 3}")

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(7.6, 2.9))
titles = ("phantom", "filtered back-projection", "total variation")
for ax, picture, name in zip(axes, (flat, direct, solved.images.cpu()), titles, strict=True):
    slices.draw_slice(ax, picture[..., None], index=0, window=(0, 0.5), sides=False)
    ax.set_title(name, fontsize=10)
show(
    figure,
    caption=f"Shepp and Logan's head (a drawing of ellipses, so no sides are marked) from {lines} views without noise, window 0 to 0.5: what the prior knows, it can fill in.",
    alt="Three pictures of the phantom: the original, one covered with streaks, one nearly as clean as the original",
)
run.record("slices_tv22", error_tv, low=0, high=12, unit="%", digits=1)
run.record("slices_tv22_half", trail[rounds // 2 - 1], low=1.05 * error_tv, high=30, unit="%", digits=1)  # fmt: skip
run.record("slices_fbp22", error_fbp, low=15, high=100, unit="%", digits=0)

# %% [markdown]
# Filtered back-projection is off by {glue:text}`slices_fbp22`, total variation by {glue:text}`slices_tv22` after all its iterations and by {glue:text}`slices_tv22_half` after half of them: it has not arrived yet. Candès, Romberg and Tao showed for this phantom and 22 radial lines of Fourier data that the minimiser is
# *exactly* the image {cite}`candes2006` (by computing it; their theorem is about random frequencies). By equation {eq}`slices-theorem` these lines are our views. Do not be dazzled. The phantom is piecewise flat, the data have no noise, and they were made by the same
# $A$ that solves for them, which is called an {term}`inverse crime`. The next section commits only the first of the three.
#
# ## The experiment: few views, few photons
#
# The head has soft transitions of grey and white matter, its data were computed on finer pixels than the image's, each detector element averages over its width, and photons are counted. Every method has one setting: a window, a number of
# iterations, or $\lambda$. It is chosen by the smallest error on one draw of noise, and then kept for other draws.


# %%
clean, scanner = scan(few_views, pixels)
seeds = run.pick(ci=3, cpu=8, gpu=20)
draws = [counted(clean, photons, run.fresh_generator(19 + n)) for n in range(1 + seeds)]
draws = torch.stack(draws).to(run.device)
practice, others = draws[0], draws[1:]


def at_best_step(solve, most, **more):
    """The step that is best for practice, the others' images there, and practice's errors in the brain on the way."""
    lowest, found, in_brain = math.inf, None, []

    def look(step, images):
        nonlocal lowest, found
        whole, brain_hu = image_errors(images[0])
        in_brain.append(float(brain_hu))
        if whole < lowest:
            lowest, found = whole, (step, images[1:])

    solve(scanner, draws, most, callback=look, **more)
    return *found, in_brain


# %%
def smooth(data, strength):
    rounds = run.pick(ci=60, cpu=120, gpu=300)
    return total_variation(scanner, data, strength, rounds, nonnegative=True).images


window = min(FILTERS, key=lambda name: relative(fbp(practice, scanner, name), truth))
most = run.pick(ci=80, cpu=500, gpu=1000)
cgls_steps, by_cgls, _ = at_best_step(cgls, run.pick(ci=20, cpu=40, gpu=40))
sirt_steps, by_sirt, sirt_brain = at_best_step(sirt, min(most, 250))
kept_steps, by_kept, kept_brain = at_best_step(sirt, most, nonnegative=True)
strengths = (0.03,) if run.profile.name == "ci" else (0.003, 0.01, 0.03, 0.1)
strength = min(strengths, key=lambda value: relative(smooth(practice, value), truth))

# %% tags=["hide-input"]
made = {
    f"filtered back-projection, {window}": fbp(others, scanner, window),
    f"CGLS, {cgls_steps} steps": by_cgls,
    f"SIRT, {sirt_steps} steps": by_sirt,
    f"SIRT, x ≥ 0, {kept_steps} steps": by_kept,
    f"total variation, x ≥ 0, λ = {strength:g}": smooth(others, strength),
}
few = {name: image_errors(images) for name, images in made.items()}

crop = slice(pixels // 8, pixels - pixels // 8)
figure, axes = plt.subplots(2, 3, figsize=(7.6, 5.6))
titles = ["truth", *(name.rpartition(",")[0] for name in made)]
pictures = [truth, *(images[0].cpu() for images in made.values())]
for ax, picture, title in zip(axes.flat, pictures, titles, strict=True):
    slices.draw_slice(ax, to_hu(picture[crop, crop, None], WATER), index=0, window=(-150, 250))
    ax.set_title(title, fontsize=11)
show(
    figure,
    caption=f"One draw of noise: {few_views} views, {photons:,} photons a ray, pixels of {256 // pixels} mm, window −150 to 250 HU. Total variation shows the clot best, and has smoothed the furrows away and the ventricles to a shade, together with the noise.",
    alt="Six head slices with a clot: the truth, four reconstructions with streaks and grain, and one smooth reconstruction",
)

at_views = run.pick(ci=180, cpu=180, gpu=360)  # as the peer below
views_tried = [24, 180, 360] if run.profile.name == "ci" else [24, 48, 96, 180, 360]
by_views = {}
for v in views_tried:
    geometry = ParallelBeam(evenly_spaced(v), size, pixel_mm=200 / size)
    exact_data = exact(shepp_logan(), geometry)
    by_views[v] = {name: rmse(fbp(exact_data, geometry, name), phantom) for name in FILTERS}
table(
    ["window", *(f"{v} views" for v in views_tried)],
    [[name, *(f"{by_views[v][name]:.4f}" for v in views_tried)] for name in FILTERS],
    caption=f"RMSE of filtered back-projection of Shepp and Logan's head (values 0 to 1) from exact integrals without noise, {size} × {size} pixels, profile {run.profile.name}.",
)


def streaks(views):
    """What a reconstruction puts elsewhere in the field when a point on its rim is seen from so many views, rms."""
    geometry = ParallelBeam(evenly_spaced(views), size, pixel_mm=200 / size)
    # The point at x = -100 mm, blurred to a Gaussian of 0.6 pixels, which detectors a pixel apart can hold
    away = geometry.offsets_mm + 100 * torch.cos(torch.deg2rad(geometry.angles_deg))[:, None]
    shadow = torch.exp(-((away / (0.6 * pixel_mm)) ** 2) / 2).float()
    return float(fbp(shadow, geometry)[elsewhere].square().mean().sqrt())


pixel_mm, needed = 200 / size, math.pi / 2 * size
elsewhere = disc(size, 1.0) & ~disc(size, 12 / size, -1.0)  # 6 pixels and more from the point
floor = streaks(round(2 * needed))
enough = bisect_left(range(2 * size), True, key=lambda views: streaks(views) < 1.05 * floor)
half_enough = streaks(round(needed / 2)) / floor

names, peers = list(few), benchmark("ct")  # what others gave for the same phantoms
wide = max(size, 256)  # 256 and 512 were measured there
linear, linear_fine = (
    100 * peers.row(what="projection", name="ASTRA linear", size=at)["error"] for at in (wide, fine)
)  # fmt: skip
theirs = peers.row(what="FBP, ramp", name="scikit-image", size=wide)["error"]
if size == wide:
    assert abs(by_views[at_views]["ramp"] / theirs - 1) < 0.05, "level with scikit-image"
table(
    ["quantity", "source says", "measured here"],
    [
        ["projector on soft ellipses (thesis: “accurately computing the forward projections”)",
         f"{linear_fine:.3f} % (ASTRA, linear)", f"{errors['soft']:.3f} % at {fine} pixels, {fine_views} views"],
        ["projector on Shepp and Logan's head", "no number", f"{errors['shepp']:.2f} % at {fine} pixels, {fine_views} views"],
        ["fan-beam projector on soft ellipses", f"{linear:.2f} % at {wide} pixels (ASTRA, linear, parallel rays)", f"{off_fan:.2f} % at {size} pixels"],
        [f"RMSE of filtered back-projection, {at_views} views", f"{theirs:.4f} at {wide} pixels (scikit-image)", f"{by_views[at_views]['ramp']:.4f} at {size} pixels"],
        [f"views until a point throws no streaks across {size} pixels (exercise 3)", f"{needed:.0f}", f"{enough}"],
        ["mismatch of the adjoint, 32 and 64 bits", "0", f"{mismatch[torch.float32]:.0e}, {mismatch[torch.float64]:.0e}"],
        ["22 views without noise, total variation (Candès 2006)", "exact", f"{error_tv:.1f} %"],
        *([f"{few_views} views with noise: {name}", "no number", f"{mean_interval(whole).shown()} %; in the brain {mean_interval(within).shown(1)} HU"] for name, (whole, within) in few.items()),
    ],
    caption=f"Profile {run.profile.name}. Synthetic phantoms and head; errors relative to the norm of the truth; {seeds} draws of noise, ± is the 95 % interval of the mean over them (Student's t). No streaks: within 5 % of what is left with twice the views of the prediction. "
    f"ASTRA's and scikit-image's numbers are a record, for the same phantoms: {peers.measured('astra-toolbox', 'scikit-image')}.",
)  # fmt: skip
mean = {}
for key, (whole, within) in zip(("fbp", "cgls", "sirt", "kept", "tv"), few.values(), strict=True):  # fmt: skip
    mean[key] = float(whole.mean())
    run.record(f"slices_few_{key}", mean[key], low=1, high=100, unit="%", digits=1)
    run.record(f"slices_brain_{key}", float(within.mean()), low=1, high=200, unit="HU", digits=0)  # fmt: skip
off = {name: (images.cpu() - truth).square() for name, images in made.items()}
for key, name, where in (("share_brain", names[0], deep), ("air_sirt", names[2], truth < 0.02), ("air_kept", names[3], truth < 0.02)):  # fmt: skip
    share = 100 * float(off[name][..., where].sum() / off[name].sum())
    run.record(f"slices_{key}", share, low=0, high=60, unit="%", digits=0)
if few_views <= 48:
    assert abs(mean["sirt"] / mean["cgls"] - 1) < 0.1, "two solvers, told nothing, end alike"
    assert mean["kept"] < 0.9 * mean["sirt"], "the constraint must help the image as a whole"
    assert max(few[names[4]][0]) < min(few[names[0]][0]), "total variation must always win"
run.record("slices_kept_steps", kept_steps, low=1, high=most, digits=0)
run.record("slices_sirt_steps", sirt_steps, low=1, high=kept_steps, digits=0)
run.record("slices_kept_brain_steps", 1 + kept_brain.index(min(kept_brain)), low=1, high=kept_steps / 2, digits=0)  # fmt: skip
run.record("slices_kept_brain_best", min(kept_brain), low=1, high=50, unit="HU", digits=0)  # fmt: skip
run.record("slices_sirt_brain_best", min(sirt_brain), low=1, high=50, unit="HU", digits=0)  # fmt: skip
run.record("slices_astra", linear_fine, low=errors["soft"], high=0.4, unit="%", digits=3)
run.record("slices_views_enough", enough, low=0.93 * needed, high=1.05 * needed, digits=0)
run.record("slices_views_half", half_enough, low=3, high=12, digits=0)
run.record("slices_ramp24", by_views[24]["ramp"], low=0.05, high=0.3, digits=3)
run.record("slices_ramp360", by_views[360]["ramp"], low=0.005, high=0.03, digits=4)
run.record("slices_hann360", by_views[360]["hann"], low=0.01, high=0.07, digits=4)

# %% [markdown]
# **Projectors.** ASTRA {cite}`vanaarle2016` is the fast, widely used peer. On the same soft ellipses its linear projector is off by {glue:text}`slices_astra`, ours by {glue:text}`slices_soft`. (The thesis gives no numbers.) Filtered back-projection is level with that of scikit-image {cite}`vanderwalt2014`.
#
# **Windows.** Without noise and with enough views the ramp is best: {glue:text}`slices_ramp360`, against {glue:text}`slices_hann360` with Hann's window, which blurs the skull. With 24 views it is the other way round: the window blurs the streaks. There is no best window; there is one for each task.
#
# **Views.** From 180 views on the table hardly changes: what error remains lies at edges, which no grid of pixels holds, and beside it faint streaks do not show. They show around a single point on the rim of the field. At half of the
# views that exercise 3 predicts, its streaks are {glue:text}`slices_views_half` times as large as what is left at twice the prediction; they are gone (to 5 %) at {glue:text}`slices_views_enough` views, close to the prediction in the table.
#
# **Few views.** Filtered back-projection is off by {glue:text}`slices_few_fbp`. CGLS, stopped in time, reaches {glue:text}`slices_few_cgls`, and SIRT, which walks quite another way, {glue:text}`slices_few_sirt`: algebra alone buys little, whichever
# solver does it. Tell the same SIRT that attenuation is never negative, and it reaches {glue:text}`slices_few_kept`. Without this constraint {glue:text}`slices_air_sirt` of its squared error lies in the air around the head, with it {glue:text}`slices_air_kept`.
# To know also that a head is nearly flat in pieces buys most ({glue:text}`slices_few_tv`). What improves the image is not the solver; it is what we tell it. Sidky and Pan
# reconstruct cone-beam scans of few views with this very prior {cite}`sidky2008`.
#
# **What surprised us.** Look at the pictures before you believe the ranking. Of the squared error of filtered back-projection only {glue:text}`slices_share_brain` lies in the brain at least 8 mm away from the skull, where the clot is. There the five are off by
# {glue:text}`slices_brain_fbp`, {glue:text}`slices_brain_cgls`, {glue:text}`slices_brain_sirt`, {glue:text}`slices_brain_kept` and {glue:text}`slices_brain_tv`, in the order of the table. The constraint buys nothing there: on the practice draw SIRT is best within the brain
# after {glue:text}`slices_kept_brain_steps` steps, at {glue:text}`slices_kept_brain_best` with the constraint and at {glue:text}`slices_sirt_brain_best` without. It even costs something. With the air kept clean, the error of the whole image falls until step
# {glue:text}`slices_kept_steps` instead of {glue:text}`slices_sirt_steps`, and all this time noise grows in the brain. And total variation shows the clot, but of the ventricles only a shade: what is small and faint goes with the noise. Our head *is*
# flat in pieces, and $\lambda$ was tuned on it. On a real one, the texture that vanishes may be the finding.
#
# ## Where it breaks
#
# **The axis is not where you think.** All of this assumed that $s = 0$ is the shadow of the axis. Let the detector be mounted a little to the side.
#
# **Predict.** The detector is off by `axis_error_pixels` = 1 pixel, 0.8 mm in an image of 256 pixels. Will the image be shifted by a pixel, blurred a little, or full of artefacts?

# %%
believed = ParallelBeam(evenly_spaced(360), size, pixel_mm=pixel_mm)


def with_axis_error(shift):
    """The data of a scanner whose detector is shift pixels to the side, and that scanner."""
    shift_mm = shift * pixel_mm
    true = ParallelBeam(evenly_spaced(360), size, pixel_mm=pixel_mm, detector_shift_mm=shift_mm)
    return exact(shepp_logan(), true), true


shifted, true_scanner = with_axis_error(axis_error_pixels)
wrong, repaired = fbp(shifted, believed), fbp(shifted, true_scanner)
half = rmse(fbp(with_axis_error(0.5)[0], believed), phantom)

# %% tags=["hide-input"]
if abs(axis_error_pixels) >= 0.5:
    assert rmse(wrong, phantom) > 2 * rmse(repaired, phantom), "half a pixel must show"
assert half > 2 * rmse(repaired, phantom), "half a pixel must show"
assert by_views[24]["ramp"] > 3 * by_views[360]["ramp"], "too few views must show"
tried = [-2, 0, 2] if run.profile.name == "ci" else [-2, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 2]
figure, axes = plt.subplots(1, 3, figsize=(8, 2.9), width_ratios=(1, 1, 1.2))
for ax, picture, name in ((axes[0], wrong, "axis off"), (axes[1], repaired, "axis known")):
    part = picture[int(0.28 * size) : int(0.72 * size), int(0.02 * size) : int(0.46 * size)]
    slices.draw_slice(ax, part[..., None], index=0, window=(0, 0.5), sides=False)
    ax.set_title(name, fontsize=10)
misled = [rmse(fbp(with_axis_error(t)[0], believed), phantom) for t in tried]
axes[2].plot(tried, misled, "o-", color=style.BLUE)
axes[2].set(xlabel="axis off by (pixels)", ylabel="RMSE", ylim=(0, None))
show(
    figure,
    caption=f"Left: reconstructed with an axis that is {axis_error_pixels:g} pixel off (the lower half, window 0 to 0.5): edges are moved, and bright and dark veils run up and down through the head. Middle: told the truth, the same data give the right image. "
    "Right: the error against the shift.",
    alt="Phantom with doubled edges, the clean phantom, and a V-shaped curve of error against shift",
)
run.record("slices_axis_wrong", rmse(wrong, phantom), low=0, high=1, digits=3)
run.record("slices_axis_half", half, low=0, high=1, digits=3)
run.record("slices_axis_right", rmse(repaired, phantom), low=0, high=0.05, digits=3)

# %% [markdown]
# It is full of artefacts: {glue:text}`slices_axis_wrong` against {glue:text}`slices_axis_right` with the axis known. Each view would need the image moved along another direction, so no shift of the image can satisfy all of them; it mends a part. Half a pixel already costs {glue:text}`slices_axis_half`. And half a pixel
# is lost easily: for images with an even number of pixels, scikit-image turns about pixel $n/2$, ASTRA and `medlab` about the point $(n-1)/2$ between pixels. Whoever projects with one and reconstructs with the other gets this picture. Exercise 4 finds the axis from the data.
#
# **Too few views** is the other way to break it, and you have seen it: with 24 views instead of 360 the error of Shepp and Logan's head is {glue:text}`slices_ramp24` instead of {glue:text}`slices_ramp360`.
#
# ## Exercises
#
# ### Exercise 1: read a sine
#
# In a sinogram, the trace of a small calcification reaches its largest $s$, 60 mm, in the view at 30°. Where is it? Where is its shadow in the view at 120°? A fan-beam scanner has its source 540 mm from the axis: at which $\beta$ and $\psi$ does it
# measure the first of these two rays?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`slices-sine`: a cosine is largest where its argument is 0.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# So $r_0 = 60$ mm and $\varphi_0 = 30°$. For the fan, solve equation {eq}`slices-fan` for $\psi$ first.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $(x_0, y_0) = 60\,(\cos 30°, \sin 30°) = (52, 30)$ mm. At 120° the shadow is at $60\cos 90° = 0$. In the fan, $\psi = \arcsin(60/540) = 6.4°$ and $\beta = \theta + \psi = 36.4°$. (The other end of the same ray, $\theta = 210°$ and $s = -60$ mm, is seen at
# $\psi = -6.4°$ and $\beta = 203.6°$.)
#
# </details>
#
# ### Exercise 2: smear one view, in code
#
# Write `spread_view(view, angle_deg, offsets_mm, x_mm, y_mm)`: what one view adds to equation {eq}`slices-back` at the points $(x, y)$. `view` and `offsets_mm` are NumPy arrays of the same length, `offsets_mm` rises, `x_mm` and `y_mm` are arrays of points. Read between detector elements linearly;
# beyond the detector the value is 0.
#
# <details class="hint"><summary>Hint</summary>
#
# Where does the point's shadow fall? Equation {eq}`slices-sine`; `np.radians` turns degrees into radians.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# `np.interp(wanted, places, values, left=..., right=...)` reads linearly. Without `left` and `right` it repeats the last value.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $s = x\cos\theta + y\sin\theta$, then one call of `np.interp` with `left=0, right=0`. The cell after the exercise holds it. Summed over all views of a filtered sinogram it is a whole reconstruction.
#
# </details>


# %% tags=["hide-input"]
def check_spread_view(spread_view):
    places = np.linspace(-40.0, 40.0, 81)
    view = np.exp(-((places - 7) ** 2) / 50) + 0.2
    x, y = np.array([0.0, 10.0, -12.5, 20.0, 60.0]), np.array([0.0, 5.0, 3.0, -14.2, 60.0])

    def read(s, **ends):
        return np.interp(s, places, view, **ends)

    c, s = math.cos(math.radians(25)), math.sin(math.radians(25))
    found = spread_view(view, 25.0, places, x, y)
    if found is None:
        return "it returned nothing; return an array of values, one for each point."
    found = np.asarray(found, dtype=float)
    if found.shape != x.shape:
        return f"for 5 points it gives the shape {found.shape}, expected (5,)."
    if np.allclose(found, read(x * c + y * s)):
        return "beyond the detector it repeats the last element; nothing was measured there, so give 0."
    ends = {"left": 0.0, "right": 0.0}
    if np.allclose(found, read(x * math.cos(25) + y * math.sin(25), **ends)):
        return "the angle is in degrees, and sine and cosine want radians."
    if np.allclose(found, read(x * s + y * c, **ends)):
        return "sine and cosine are swapped: at 0° the detector lies along x, so s = x."
    if np.allclose(found, read(x * c - y * s, **ends)):
        return "the sign of y sin θ is wrong: at 90° the place is s = y."
    if not np.allclose(found, read(x * c + y * s, **ends)):
        return f"the point (10, 5) gets {found[1]:.3f}, expected {read(10 * c + 5 * s):.3f}, the view at s = {10 * c + 5 * s:.1f} mm."
    return None


# %% tags=["exercise"]
def spread_view(view, angle_deg, offsets_mm, x_mm, y_mm):
    """What one view adds to the back-projection at the points (x, y)."""
    ...  # your code here


judge(check_spread_view, spread_view)


# %% tags=["solution", "hide-cell"]
def spread_view(view, angle_deg, offsets_mm, x_mm, y_mm):
    """What one view adds to the back-projection at the points (x, y)."""
    # begin solution
    angle = np.radians(angle_deg)
    place = x_mm * np.cos(angle) + y_mm * np.sin(angle)
    return np.interp(place, offsets_mm, view, left=0.0, right=0.0)
    # end solution


judge(check_spread_view, spread_view)

# %% [markdown]
# ### Exercise 3: how many views?
#
# An image has $N$ pixels of the size $\Delta$ across its field. How many views over 180° are needed so that the lines of the Fourier slice theorem leave no hole? How many for 256 pixels? Compare with the tables of the experiment.
#
# <details class="hint"><summary>Hint</summary>
#
# The lines are farthest apart at the highest frequency, $1/(2\Delta)$. And a field of the size $N\Delta$ needs samples in frequency that are at most $1/(N\Delta)$ apart.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# With $V$ views, neighbouring lines enclose the angle $\pi/V$. At the radius $1/(2\Delta)$ that is an arc of $\pi/(2\Delta V)$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $\pi/(2\Delta V) \le 1/(N\Delta)$ gives $V \ge \frac{\pi}{2} N$: 402 views for 256 pixels. The experiment finds {glue:text}`slices_views_enough` for a point on the rim of the field, whose streaks reach the opposite rim last. The error of Shepp and Logan's head hardly falls beyond 180 views: its edges, not its streaks, make most of it.
#
# </details>
#
# ### Exercise 4: find the axis
#
# You are given a sinogram over a *full* turn of a scanner whose axis casts its shadow not at the middle of the detector but at an unknown place $s_0$. Find $s_0$ from the data alone, without a reconstruction.
#
# <details class="hint"><summary>Hint</summary>
#
# Think of each view's centre of mass. By equation {eq}`slices-sine`, which curve does it follow over a turn, if the axis is at 0? And if it is elsewhere?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# A sine wave has the mean 0 over a full turn. All that remains of the mean is the shift.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The centre of mass of a view, $\bar s(\theta) = \sum_j s_j\, p(\theta, s_j) / \sum_j p(\theta, s_j)$, is the shadow of the object's centre of mass. So it follows a sine about the axis: $\bar s(\theta) = \bar x\cos\theta + \bar y\sin\theta + s_0$. Its mean over a full turn is $s_0$. Scanners for small
# samples can be calibrated like this; it needs every view to see the whole object.
#
# </details>
#
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A head is scanned with 12 very precise views. What does the Fourier slice theorem say is missing?",
        ("The low frequencies, so the image has a wrong brightness", "Every line passes through the centre: low frequencies are covered best."),
        right("Fine detail between the 12 directions", "The lines fan apart with growing frequency; what lies between them was never measured."),
        ("Nothing, if the noise is small", "Precision on the lines says nothing about the places between them."),
    ),
    question(
        "You leave the ramp filter out. What does the image look like?",
        right("Right in its coarse shapes, under a fog that falls like 1/r around everything", "Low frequencies are counted too often: the true image is convolved with 1/r."),
        ("Noisy", "The other way round: it is the ramp that lifts the noise of high frequencies."),
        ("Black outside the head and right inside", "The smeared shadows cross everywhere, inside and outside."),
    ),
    question(
        "CGLS has run for 10 steps on noisy data, and the residual |y − Ax| still falls. Should it go on?",
        ("Yes, until the residual is as small as it can be", "Then the image explains the noise, too. The figure of semi-convergence shows the price."),
        ("Yes, the error of the image never exceeds the residual", "They live in different spaces; directions hardly seen in the data can hold any error."),
        right("Not below the size of the noise", "Once |y − Ax| is what counting photons explains, more steps fit noise. This is the discrepancy principle."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - A view is a set of line integrals; a point draws a sine wave, an ellipse has a formula, and any projector can be held against it.
# - The Fourier transform of a view is a line through the transform of the slice. Lines crowd at the centre, so each is weighted by $|k|$ before it is smeared back: filtered back-projection.
# - A window trades noise for sharpness. At a fixed dose, more views cost nothing.
# - A fan is parallel rays in another order.
# - With $A$ and its exact adjoint, iteration reaches the same image; noise comes in last, so stopping matters. What improves few-view images is prior knowledge, not the solver.
# - Half a pixel of error in the axis is enough to spoil it.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | brain | ICBM 152 template, an average of 152 healthy adults; one axial slice; it represents no single person and no disease |
# | skull, skin, outer fluid, clot | **synthetic**: layers of constant thickness and one ellipse, with tabulated attenuation at 65 keV |
# | phantoms | **synthetic** ellipses; Shepp and Logan's head with Toft's values {cite}`toft1996` |
# | data | **synthetic** line integrals, Gaussian noise with the variance of counted photons, from the seed shown at the top |
# | physics left out | the spectrum and its hardening, scatter, the size of the focal spot, motion, metal: the lesson on artefacts |
# | claims | none about patients or scanners; method rankings hold for this head, these settings and this noise |
#
# ## Further reading
#
# Radon's paper is short and readable {cite}`radon1917`; Cormack worked out the same without knowing it {cite}`cormack1963`, and Hounsfield built the scanner {cite}`hounsfield1973`, whose first images were solved by algebra. The book of Kak and Slaney {cite}`kak1988` derives every formula
# of this lesson, fans and cones included. {cite}`buzug2008` goes from photons to modern scanners, {cite}`hansen2010` explains why noise comes in last. For total variation in CT start with {cite}`sidky2008`, for the method behind it with {cite}`chambolle2011`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
