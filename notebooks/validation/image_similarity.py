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
#     prerequisites:
#     - data/a_head_to_scan
#     - physics/contrast
#     summary: What MAE, PSNR, SSIM and mutual information measure when a network makes
#       images, and the lesions they do not miss.
#     weights: []
# ---

# %% [markdown]
# # Image similarity
#
# A network has made an image: a FLAIR out of T1 and T2, a CT out of an MR, the head of a child one year older. How good is it? Papers answer with two numbers, PSNR and SSIM. They are
# easy to compute, and they answer a question that nobody asked. In this lesson you take both apart, make eight different images with the same error, gain seven decibels with nothing
# but black air, and erase the disease of a patient at the price of one.
#
# **You will be able to**
#
# - compute MAE, MSE, PSNR and SSIM by hand, and say which of luminance, contrast and structure has suffered
# - name what each measure is blind to, and choose one by what must not change
# - take the background, the data range and the window out of a comparison of two methods
# - explain why half a voxel of misalignment costs more than all lesions of a patient
# - check a made image clinically: lesion contrast, errors by region, and what a segmentation still finds
#
# **You need** [A head to scan](../data/a_head_to_scan.ipynb): synthetic heads and their shares of tissue; [Contrast](../physics/contrast.ipynb): what T1, T2 and FLAIR show.

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
equal_error = 0.05  # root mean squared error of all eight images; the range is 1
mean_value, value_range = 10_000.0, 80.0  # for "Where it breaks"

# %% tags=["hide-input"]
from dataclasses import replace
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import ndimage
from scipy.interpolate import CubicSpline

from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.grid import HEAD_MM, Grid
from medlab.cohorts.lesions import draw_plaques
from medlab.cohorts.scan import FLAIR, T1, T2, mr_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.metrics import dice, mae, mean_interval, mse, multi_scale_ssim, mutual_information
from medlab.metrics import normalized_cross_correlation, psnr, ssim, ssim_maps
from medlab.metrics.chooser import RULES
from medlab.metrics.clinical import lesion_contrast_ratio, region_errors
from medlab.metrics.head_circumference import head_circumference_cm
from medlab.viz import explore, show, slices, style, table
from medlab.viz.chooser import chooser
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
MM = run.pick(ci=3.0, cpu=2.5, gpu=1.5)
HEAD = Grid(tuple(round((length + 14) / MM) for length in HEAD_MM), (MM,) * 3)
SLICE = Grid((192, 224, 1), (1.0, 1.0, 1.0), (0.0, -17.0, 24.0))
BRIGHT = 0.22  # the signal that is called 1: a little more than the brightest plaques have
TESTED, LEARNT = run.pick(ci=(5, 1), cpu=(8, 3), gpu=(16, 6))
SLICES = run.pick(ci=3, cpu=5, gpu=8)
REGION = (slice(18, 174), slice(16, 208))  # of a slice, where the brain is


class Case(NamedTuple):
    """A synthetic person with plaques, as masks and FLAIR images that are 0 outside the brain."""

    brain: torch.Tensor
    reference: torch.Tensor  # with noise, as a scanner gives it
    ill: torch.Tensor  # the same without noise: the best that a network could make
    well: torch.Tensor  # and without plaques
    lesion: torch.Tensor
    nawm: torch.Tensor  # normal-appearing white matter
    white: torch.Tensor  # all voxels that are white matter for the most part, plaques included
    subject: object  # of the first person alone, to save memory


def flair(subject, number, noise):
    return mr_image(subject, FLAIR, seed + number, noise=noise, bias=0.0) / BRIGHT


def draw_case(number, grid, noise=0.04):
    subject = draw_subject(draw_person(seed + number, 40.0), grid, [draw_plaques(seed + number, 30)])  # fmt: skip
    plaque, white, brain = subject.share("plaque"), subject.share("white matter"), brain_mask(subject)  # fmt: skip
    healed = {name: share for name, share in subject.shares.items() if name != "plaque"}
    healed = replace(subject, shares=healed | {"white matter": white + plaque})
    images = [flair(one, number, level) * brain for one, level in ((subject, noise), (subject, 0.0), (healed, 0.0))]  # fmt: skip
    masks = plaque > 0.3, white > 0.95, white + plaque > 0.5
    cut = [one[..., 0] if grid.shape[2] == 1 else one for one in (brain, *images, *masks)]
    return Case(*cut, None if number else subject)


def draw(ax, image, title="", window=(0, 1.1), sides=False, **settings):
    volume = image[REGION][..., None] if image.ndim == 2 else image
    drawn = slices.draw_slice(ax, volume, index=0, window=window, sides=sides, **settings)  # fmt: skip
    ax.set_title(title, fontsize=10, fontweight="normal")
    return drawn


def shifted(image, voxels):
    """Moved along the first axis, between voxels by a cubic spline."""
    at = np.arange(len(image))
    spline = CubicSpline(at, image.numpy())
    return torch.from_numpy(spline(np.clip(at - voxels, 0, at[-1]))).float()


def quality(case, image):
    return float(psnr(image, case.reference, 1.0, mask=case.brain))


def likeness(case, image):
    return float(ssim(image, case.reference, 1.0, mask=case.brain))


pictures = [draw_case(number, SLICE, noise=0.02) for number in range(SLICES)]
one = pictures[0]
figure, axes = plt.subplots(1, 3, figsize=(4.9, 2.7))
moved = shifted(one.ill, 1.0) * one.brain
for ax, image, title in zip(axes, (one.reference, moved, one.well), ("the scan", "image A", "image B"), strict=True):  # fmt: skip
    draw(ax, image, title, sides=image is one.reference)
    if image is not one.reference:
        ax.text(0.5, -0.03, f"PSNR {quality(one, image):.1f} dB\nSSIM {likeness(one, image):.2f}", transform=ax.transAxes, ha="center", va="top", fontsize=10)  # fmt: skip
show(figure, caption="Synthetic FLAIR of a synthetic patient with multiple sclerosis. A and B stand for the work of two networks. Which one would you give to a neurologist?", alt="Three axial slices: a scan with bright spots beside the ventricles; A looks the same; B has no bright spots. B has the better PSNR and SSIM")  # fmt: skip
run.record("sim_first_shift", quality(one, moved), low=18, high=28, unit="dB", digits=1)
run.record("sim_first_gone", quality(one, one.well), low=28, high=38, unit="dB", digits=1)

# %% [markdown]
# All heads and scans on this page are {term}`synthetic <synthetic data>`; pictures are in {term}`radiological convention`, and only the brain is shown and judged. A is the true image without the noise of the scan, moved by one millimetre. B is
# the same image, not moved, but without any {term}`plaque`: the disease is gone. PSNR and SSIM both prefer B ({glue:text}`sim_first_gone` to {glue:text}`sim_first_shift`). By the end of the page you will know why, and what to compute beside them.
#
# ## Errors
#
# Let $x$ be the image that is judged and $y$ the reference, each of $N$ voxels. The plainest comparisons are the mean absolute error and the {term}`mean squared error` ({cite}`translationreview`, section 6.5, prints the second without its square):
#
# $$ \begin{aligned} \mathrm{MAE} &= \frac{1}{N} \sum_i |x_i - y_i|, \\ \mathrm{MSE} &= \frac{1}{N} \sum_i (x_i - y_i)^2 . \end{aligned} $$ (sim-error)
#
# MAE has the unit of the image and MSE its square, and the unit of an MR image is arbitrary. So the error is set in relation to the {term}`data range` $r$, the span of values that such an image can have. In decibels this is the {term}`peak signal-to-noise ratio`:
#
# $$ \begin{aligned} \mathrm{PSNR} &= 10 \log_{10} \frac{r^2}{\mathrm{MSE}} \\ &= 20 \log_{10} r - 10 \log_{10} \mathrm{MSE} . \end{aligned} $$ (sim-psnr)
#
# It adds nothing to the MSE but a scale: 10 dB more is a tenth of the squared error, 6 dB half the root of it. All images here are scaled so that 1 lies a little above the brightest plaques, and $r = 1$. By hand, and by `medlab`, inside the brain:

# %%
x, y, brain = moved, one.reference, one.brain
difference = (x - y)[brain]
squared = difference.square().mean()  # (sim-error)
torch.testing.assert_close(difference.abs().mean(), mae(x, y, mask=brain))
torch.testing.assert_close(squared, mse(x, y, mask=brain))
in_decibels = -10 * squared.log10()  # (sim-psnr)
torch.testing.assert_close(in_decibels, psnr(x, y, 1.0, mask=brain))

# %% [markdown]
# All of them treat voxels as a bag: shuffle both images in the same way, and nothing changes. They know no edges, no neighbours and no anatomy.
#
# ## Structure
#
# {term}`Structural similarity` {cite}`wang2004` looks through a small window about each voxel (a Gaussian with a standard deviation of 1.5 voxels) and compares three things there: the means $\mu$, the standard deviations $\sigma$, and how the two images vary together, $\sigma_{xy}$. They are called luminance, contrast and structure ({cite}`translationreview`, section 6.5):
#
# $$ \begin{aligned} l &= \frac{2 \mu_x \mu_y + C_1}{\mu_x^2 + \mu_y^2 + C_1}, \\ c &= \frac{2 \sigma_x \sigma_y + C_2}{\sigma_x^2 + \sigma_y^2 + C_2}, \\ s &= \frac{\sigma_{xy} + C_3}{\sigma_x \sigma_y + C_3}, \end{aligned} $$ (sim-parts)
#
# $$ \begin{gathered} \mathrm{SSIM} = l \, c \, s, \\ C_1 = (0.01\, r)^2, \quad C_2 = (0.03\, r)^2, \quad C_3 = \tfrac{1}{2} C_2 . \end{gathered} $$ (sim-ssim)
#
# Each factor is 1 where the images agree. Every voxel has a window, so SSIM is a map, and what is reported as "the SSIM" is the mean of it. The constants keep the fractions steady where a window holds next to nothing, and they are the only place at which the data range enters. By hand, and by `medlab`, for image A:


# %%
def gaussian_mean(image, size=11, sigma=1.5):
    """The weighted mean of every whole window of a slice."""
    at = torch.arange(size, dtype=image.dtype) - size // 2
    weight = torch.softmax(-(at**2) / (2 * sigma**2), 0)  # adds up to 1
    window = (weight[:, None] * weight)[None, None]
    return torch.nn.functional.conv2d(image[None, None], window)[0, 0]


def parts_by_hand(x, y, data_range):
    """Luminance, contrast and structure at each place: equation (sim-parts)."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mx, my = gaussian_mean(x), gaussian_mean(y)
    vx, vy = (gaussian_mean(i * i) - m * m for i, m in ((x, mx), (y, my)))
    both = gaussian_mean(x * y) - mx * my
    deviations = (vx.clamp(min=0) * vy.clamp(min=0)).sqrt()
    luminance = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
    contrast = (2 * deviations + c2) / (vx + vy + c2)
    return luminance, contrast, (both + c2 / 2) / (deviations + c2 / 2)


# %%
precise = moved.double(), one.reference.double()  # "Where it breaks" says why
maps = ssim_maps(*precise, 1.0, border="crop")
for mine, theirs in zip(parts_by_hand(*precise, 1.0), maps[1:], strict=True):
    torch.testing.assert_close(mine, theirs)
torch.testing.assert_close(maps.luminance * maps.contrast * maps.structure, maps.ssim)
torch.testing.assert_close(maps.ssim.mean(), ssim(*precise, 1.0))  # (sim-ssim)

# %% [markdown]
# To see the parts apart, we spoil one slice in three discs. In disc 1 all values are raised by 0.25. In disc 2 every value is brought four fifths of the way to its local mean. In disc 3 every value is mirrored at its local mean: bright details become dark ones, just as strong as before.
#
# **Predict.** Each disc should disturb one of the three maps. Which disc which? And which of the three will a mean squared error find worst?

# %% tags=["hide-input"]
y = one.reference
local = torch.from_numpy(ndimage.gaussian_filter(y.numpy(), 6.0))
xs, ys = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in y.shape), indexing="ij")
CENTRES = ((66.0, 150.0), (134.0, 146.0), (72.0, 76.0))
discs = [((xs - a) ** 2 + (ys - b) ** 2 < 21**2) for a, b in CENTRES]
spoiled = y.clone()
for disc, values in zip(discs, (y + 0.25, local + 0.2 * (y - local), 2 * local - y), strict=True):  # fmt: skip
    spoiled = torch.where(disc, values, spoiled)
maps = ssim_maps(spoiled, y, 1.0)
inner = [((xs - a) ** 2 + (ys - b) ** 2 < 15**2) for a, b in CENTRES]
figure, axes = plt.subplots(2, 2, figsize=(4.9, 5.9))
draw(axes[0, 0], spoiled, "three discs spoiled", sides=True)
for ax, name in zip(axes.flat[1:], ("luminance", "contrast", "structure"), strict=True):
    drawn = draw(ax, getattr(maps, name), name, window=(0, 1), cmap="viridis")
for ax in axes.flat:
    for number, (a, b) in enumerate(CENTRES):
        place = (REGION[0].stop - a, b - REGION[1].start)
        ax.add_patch(plt.Circle(place, 21, fill=False, edgecolor=style.ORANGE, linewidth=1.2))
        if ax is axes[0, 0]:
            ax.text(*place, str(number + 1), ha="center", va="center", color=style.ORANGE, fontsize=13, fontweight="bold")  # fmt: skip
figure.colorbar(drawn, ax=axes, shrink=0.55, label="1: as in the reference", location="bottom", aspect=30)  # fmt: skip
show(figure, caption="A synthetic FLAIR slice spoiled in three discs, and the three factors of SSIM against the slice as it was. Each disc is darkest in a map of its own (structure below 0 is shown as 0).", alt="Four slices with the outlines of three discs; the luminance map is darker in disc 1, the contrast map in disc 2 and the structure map in disc 3")  # fmt: skip
rows = []
for number, (place, change) in enumerate(zip(inner, ("brighter by 0.25", "contrast to a fifth", "details mirrored"), strict=True)):  # fmt: skip
    found = [float(getattr(maps, name)[place].mean()) for name in ("luminance", "contrast", "structure")]  # fmt: skip
    rows.append([f"{number + 1}: {change}", *(f"{value:.2f}" for value in found), f"{mse(spoiled, y, mask=place).sqrt():.2f}"])  # fmt: skip
    run.record(f"sim_root_{number + 1}", mse(spoiled, y, mask=place).sqrt(), low=0.01, high=0.3, digits=2)  # fmt: skip
    run.record(f"sim_disc_{number + 1}", found[number], low=(0.8, 0.1, -1)[number], high=(0.985, 0.95, 0.7)[number], digits=2)  # fmt: skip
    assert min(found) == found[number]
table(["disc", "luminance", "contrast", "structure", "root MSE"], rows, caption="Means inside the discs, more than 6 voxels from their rims; one synthetic slice.")  # fmt: skip
run.record("sim_bright_share", 25 / one.ill[one.nawm].mean(), low=35, high=65, unit="%", digits=0)  # fmt: skip

# %% [markdown]
# Each factor is lowest in its own disc ({glue:text}`sim_disc_1`, {glue:text}`sim_disc_2` and {glue:text}`sim_disc_3`), though not only there: disc 2 loses some structure too, and disc 3 a little of everything. Where the slice is flat, $C_2$ outweighs both variances, and contrast stays near 1. The root of the mean squared error has another opinion: {glue:text}`sim_root_1`, {glue:text}`sim_root_2`, {glue:text}`sim_root_3`. By it disc 1 is the worst, in which every detail is right, and disc 2 by far the best, in which the details have been wiped away. Note also how mild luminance is: 0.25 is {glue:text}`sim_bright_share` of the brightness of white matter, and costs a few per cent. And look at the rims: a window that straddles one sees a step that is not there.
#
# ## Equal errors, different images
#
# This experiment made SSIM famous ({cite}`wang2004`, and with another picture {cite}`wang2009`, shown in {cite}`translationreview`). Take one image and eight kinds of damage, and turn up each until the mean squared error inside the brain is the same. The strengths are found by bisection:

# %%
NOISE = torch.randn(y.shape, generator=run.fresh_generator(10))
SPOTS, SALT = torch.rand(2, *y.shape, generator=run.fresh_generator(11))


def blocks(image, size=8):
    """The mean of each block of size x size voxels, at each of its voxels."""
    pooled = torch.nn.functional.avg_pool2d(image[None], size)[0]
    return pooled.repeat_interleave(size, 0).repeat_interleave(size, 1)


def smooth(image, voxels):
    return torch.from_numpy(ndimage.gaussian_filter(image.numpy(), voxels))


# %% tags=["hide-input"]
# What is done to a slice at a strength, and the strength beyond which nobody would look.
DAMAGE = {
    "brighter": (lambda i, s, m: i + s, 1.0),
    "more contrast": (lambda i, s, m: m + (1 + s) * (i - m), 2.0),
    "shading": (lambda i, s, m: i * (1 + s * (2 * xs / len(xs) - 1)), 2.0),
    "blur": (lambda i, s, m: smooth(i, s), 12.0),
    "shift": (lambda i, s, m: shifted(i, s), 12.0),
    "blocks": (lambda i, s, m: torch.lerp(i, blocks(i), s), 1.0),
    "noise": (lambda i, s, m: i + s * NOISE, 1.0),
    "salt and pepper": (lambda i, s, m: torch.where(s > SPOTS, (SALT < 0.5).float(), i), 1.0),
}


# %%
def damaged(kind, case, error):
    """The slice with this damage, made as strong as a root mean squared error."""
    make, high = DAMAGE[kind]
    middle, low = case.reference[case.brain].mean(), 0.0
    for _ in range(24):
        strength = (low + high) / 2
        image = make(case.reference, strength, middle) * case.brain
        too_weak = mse(image, case.reference, mask=case.brain).sqrt() < error
        low, high = (strength, high) if too_weak else (low, strength)
    return image


# %% [markdown]
# Three more measures stand in the table below. **MS-SSIM** {cite}`wang2003` repeats contrast and structure on images that are halved four times. **{term}`Normalised cross-correlation <normalised cross-correlation>`** (NCC) is Pearson's correlation of the voxels' values. **{term}`Mutual information`** (MI) {cite}`viola1997` asks how well one image's value tells the other's:
#
# $$ \mathrm{MI} = \sum_{u, v} p(u, v) \ln \frac{p(u, v)}{p_x(u)\, p_y(v)} . $$ (sim-information)
#
# Here $p(u, v)$ is the share of voxels that have the value $u$ in $x$ and $v$ in $y$ (each image's values are sorted into 32 bins), $p_x$ and $p_y$ are the shares in either image alone. Where one value tells nothing of the other, $p(u, v) = p_x(u)\, p_y(v)$ and MI is 0. With a natural logarithm its unit is the nat.
#
# **Predict.** All eight get a root mean squared error of `equal_error`, a twentieth of the data range, and so the same PSNR. Order them by SSIM: which is best, which is worst? Then order them by how much they would disturb you in reading the scan.

# %% tags=["hide-input"]
MEASURES = {
    "SSIM": lambda i, c: likeness(c, i),
    "MS-SSIM": lambda i, c: multi_scale_ssim(i, c.reference, 1.0),
    "NCC": lambda i, c: normalized_cross_correlation(i, c.reference, mask=c.brain),
    "MI (nats)": lambda i, c: mutual_information(i, c.reference, mask=c.brain),
    "PSNR (dB)": lambda i, c: quality(c, i),
}
equal = {kind: [damaged(kind, case, equal_error) for case in pictures] for kind in DAMAGE}
scores = {kind: {name: mean_interval([round(float(f(i, c)), 5) for i, c in zip(images, pictures, strict=True)]) for name, f in MEASURES.items()} for kind, images in equal.items()}  # fmt: skip
figure, axes = plt.subplots(3, 3, figsize=(4.9, 7.2))
draw(axes[0, 0], y, "as it was", sides=True)
for ax, (kind, images) in zip(axes.flat[1:], equal.items(), strict=True):
    draw(ax, images[0], f"{kind}\nSSIM {likeness(one, images[0]):.2f}")
show(figure, caption=f"One synthetic slice and eight damaged copies. All eight have the same mean squared error inside the brain, and so a PSNR of {-20 * np.log10(equal_error):.0f} dB.", alt="Nine brain slices: one intact, one brighter, one with more contrast, one shaded from side to side, blurred, shifted, in blocks, noisy, and with black and white dots")  # fmt: skip
ranked = sorted(DAMAGE, key=lambda kind: -scores[kind]["SSIM"].mean)
DIGITS = {"SSIM": 3, "MS-SSIM": 3, "NCC": 3, "MI (nats)": 2}
rows = [[kind, *(scores[kind][name].shown(digits) for name, digits in DIGITS.items())] for kind in ranked]  # fmt: skip
table(["damage", *DIGITS], rows, caption=f"Equal squared error, sorted by SSIM. Means and 95 % intervals over slices of {SLICES} synthetic people; all inside the brain, MS-SSIM over the whole slice.")  # fmt: skip
BANDS = (("shading", "shading", "SSIM", 0.95, 1), ("bright", "brighter", "SSIM", 0.9, 1), ("noise", "noise", "SSIM", 0.3, 0.8), ("noise_ms", "noise", "MS-SSIM", 0.9, 1), ("salt_mi", "salt and pepper", "MI (nats)", 1.0, 1.9), ("noise_mi", "noise", "MI (nats)", 0.4, 1.1), ("bright_ncc", "brighter", "NCC", 0.999, 1.0001), ("bright_mi", "brighter", "MI (nats)", 1.0, 2.2), ("equal_psnr", "blur", "PSNR (dB)", 20, 32))  # fmt: skip
for key, kind, name, low, high in BANDS:
    run.record(f"sim_{key}", scores[kind][name].mean, low=low, high=high, digits=2)
assert np.isclose(scores["brighter"]["MI (nats)"].mean, np.mean([float(mutual_information(c.reference, c.reference, mask=c.brain)) for c in pictures]), atol=0.01)  # fmt: skip
run.record("sim_noise_slice", np.mean([float(ssim(i, c.reference, 1.0)) for i, c in zip(equal["noise"], pictures, strict=True)]), low=0.7, high=0.95, digits=2)  # fmt: skip
flat = torch.from_numpy(ndimage.binary_erosion(one.nawm, iterations=3))
for name in ("contrast", "structure"):
    run.record(f"sim_flat_{name}", getattr(ssim_maps(equal["noise"][0], y, 1.0), name)[flat].mean(), low=0.3, high=0.85, digits=2)  # fmt: skip

# %% [markdown]
# One PSNR of {glue:text}`sim_equal_psnr` dB, and an SSIM from {glue:text}`sim_shading` (shading) to {glue:text}`sim_noise` (noise). Read the table as a list of blind spots.
#
# - **SSIM** forgives what varies slowly: brightness, shading. It is hardest on noise: flat white matter has hardly any contrast and structure of its own, so that noise spoils both (deep in it they fall to {glue:text}`sim_flat_contrast` and {glue:text}`sim_flat_structure`). To a reader this noise is a nuisance; the blocks and the blur, which destroy anatomy, come out better.
# - **MS-SSIM** looks at halved images too, in which noise averages out: {glue:text}`sim_noise_ms`, where SSIM over the same whole slice is {glue:text}`sim_noise_slice`.
# - **NCC** does not count brightness and contrast at all ({glue:text}`sim_bright_ncc`).
# - **MI** does not either: {glue:text}`sim_bright_mi` is as much as a slice has with itself. Salt and pepper leaves most voxels untouched, {glue:text}`sim_salt_mi`; noise blurs every value, {glue:text}`sim_noise_mi`.
#
# No order is *the* right one. Each measure is an opinion about what must not change. Drag through kinds and strengths, and watch where SSIM loses what it loses.


# %% tags=["hide-input"]
def draw_damage(kind, error):
    image = damaged(kind, one, error)
    figure, axes = plt.subplots(1, 2, figsize=(4.9, 3.7))
    draw(axes[0], image, f"{kind}\nPSNR {quality(one, image):.1f} dB", sides=True)  # fmt: skip
    draw(axes[1], ssim_maps(image, one.reference, 1.0).ssim.where(one.brain, torch.nan), f"map of SSIM\nmean in the brain {likeness(one, image):.2f}", window=(0, 1), cmap="viridis")  # fmt: skip
    return figure


explore(
    draw_damage,
    caption="Left: the damaged synthetic slice. Right: where SSIM finds it like the reference (yellow, 1) and where not (dark, 0).",
    alt=lambda kind, error: f"A slice with {kind}, root mean squared error {error:g}; map of SSIM",
    labels={"kind": "damage", "error": "root mean squared error"}, start={"kind": "blur", "error": 0.05},
    kind=list(DAMAGE), error=[0.03, 0.05, 0.1],
)  # fmt: skip

# %% [markdown]
# ## The background wins
#
# An image is more than its subject. Where both images are black the error is 0, and the mean counts it. If brain is a share $f$ of the image and all the rest agrees exactly,
#
# $$ \begin{aligned} \mathrm{MAE} &= f \,\mathrm{MAE}_\text{brain}, \\ \mathrm{PSNR} &= \mathrm{PSNR}_\text{brain} + 10 \log_{10} (1/f), \end{aligned} $$ (sim-background)
#
# and $1 - \mathrm{SSIM}$ shrinks with $f$ nearly as MAE does. Nothing about the brain has changed. Bieder's thesis says of its table 1 that the differences between models look small because "the image background is black, which is easy to predict" ({cite}`thesis`, chapter 8, section 3).
#
# **Predict.** A good and a poor model are compared, first inside the brain, then with ever more black around it. What happens to the *difference* of their MAE, of their SSIM, of their PSNR? One of the three does not do as the thesis says.

# %%
blurs = {"good": 0.6, "poor": 1.2}
models = {name: smooth(one.ill, blur) * one.brain for name, blur in blurs.items()}


shares, curves = [], {name: [] for name in models}
for margin in range(-16, 100, 8):
    black = (margin,) * 4  # voxels more on each side; below 0 they are cut off
    reference = torch.nn.functional.pad(one.reference, black)
    shares.append(float(one.brain.sum() / reference.numel()))
    for name, image in models.items():
        pair = torch.nn.functional.pad(image, black), reference
        errors = mae(*pair), 1 - ssim(*pair, 1.0), psnr(*pair, 1.0)
        curves[name].append([float(error) for error in errors])

# %% tags=["hide-input"]
shares, curves = np.array(shares), {name: np.array(rows) for name, rows in curves.items()}
for name, image in models.items():  # (sim-background)
    plain = float(mae(image, one.reference, mask=one.brain))
    np.testing.assert_allclose(curves[name][:, 0], shares * plain, rtol=1e-4)
    np.testing.assert_allclose(curves[name][:, 2], quality(one, image) - 10 * np.log10(shares), rtol=1e-4)  # fmt: skip
figure, axes = plt.subplots(3, 1, figsize=(4.9, 6.2), sharex=True)
for at, (ax, label) in enumerate(zip(axes, ("MAE", "1 − SSIM", "PSNR (dB)"), strict=True)):
    for (name, rows), colour in zip(curves.items(), (style.BLUE, style.ORANGE), strict=True):
        ax.plot(100 * shares, rows[:, at], color=colour, label=name, marker="o", markersize=3)
    ax.set(ylabel=label, ylim=(0, None) if at < 2 else None)
axes[0].legend(title="model", loc="upper right")
axes[2].set(xlabel="brain's share of the image (%)", xlim=(102 * shares[0], 98 * shares[-1]))
show(figure, caption="Two blurred copies of one synthetic slice, judged with ever more black around them (to the right). Both look better and better. The gap between them closes in MAE and SSIM; in PSNR it stays.", alt="Three panels; MAE and 1 − SSIM of both models fall towards 0 and towards each other, PSNR of both rises in parallel")  # fmt: skip
gap = dict(zip(("mae", "ssim", "psnr"), abs(curves["good"] - curves["poor"]).T, strict=True))
run.record("sim_pad_gain", curves["good"][-1, 2] - curves["good"][0, 2], low=6.5, high=7.7, unit="dB", digits=1)  # fmt: skip
for key, low, high in (("mae", 0.1, 0.4), ("ssim", 0.1, 0.4), ("psnr", 0.99, 1.01)):
    run.record(f"sim_gap_{key}", gap[key][-1] / gap[key][0], low=low, high=high, digits=2)

# %% [markdown]
# Between the first point and the last the good model gains {glue:text}`sim_pad_gain`, for black air. Of the gap between the models {glue:text}`sim_gap_mae` is left in MAE and {glue:text}`sim_gap_ssim` in SSIM (as a share of what it was): here the thesis is right. In PSNR {glue:text}`sim_gap_psnr` is left: a logarithm turns the factor $f$ into a constant that both models get. So the background makes every PSNR look good, without hiding differences, as long as it is exactly right in both.
#
# The same formula lets us read the thesis's table 1 once more. It has four variants of a model (with and without two ways of training, named SSL and SGLA; what they do does not matter here), each twice: on axial slices (2D) and on whole volumes (3D), and 3D looks far better in all columns. Turned into ratios of errors, 3D over 2D:

# %% tags=["hide-input"]
cases = [draw_case(number, HEAD) for number in range(TESTED)]
TABLE_1 = {  # PSNR, SSIM, MAE in 2D, then in 3D
    "neither": (19.5, 0.642, 0.0701, 22.9, 0.804, 0.0352),
    "SGLA": (20.6, 0.683, 0.0571, 23.8, 0.832, 0.0274),
    "SSL": (21.3, 0.715, 0.0489, 24.5, 0.850, 0.0232),
    "both": (21.4, 0.722, 0.0468, 24.6, 0.853, 0.0225),
}
rows, ratios = [], []
for name, (p2, s2, m2, p3, s3, m3) in TABLE_1.items():
    errors = m3 / m2, 10 ** ((p2 - p3) / 10), (1 - s3) / (1 - s2)
    rows.append([f"thesis: {name}", *(f"{value:.2f}" for value in errors), ""])
for case in cases:
    made = smooth(case.ill, 0.7) * case.brain
    at = int(case.brain.sum((0, 1)).argmax())
    whole, flat = (made, case.reference), (made[..., at], case.reference[..., at])
    pairs = [mae(*whole) / mae(*flat), mse(*whole) / mse(*flat), (1 - ssim(*whole, 1.0)) / (1 - ssim(*flat, 1.0))]  # fmt: skip
    ratios.append([*map(float, pairs), float(case.brain.float().mean() / case.brain[..., at].float().mean())])  # fmt: skip
means = [mean_interval(column) for column in zip(*ratios, strict=True)]
rows.append(["ours, one and the same image", *(value.shown(2) for value in means)])
table(["", "MAE", "MSE (from PSNR)", "1 − SSIM", "share of brain"], rows, caption=f"Error over the whole volume, divided by the error on an axial slice. Thesis: separate models for 2D and 3D. Ours: one slightly blurred image of each of {TESTED} synthetic heads, judged as a volume and on its largest slice (± 95 % interval over heads).")  # fmt: skip
for key, value, low, high in zip(("mae", "mse", "ssim", "share"), means, (0.3, 0.3, 0.3, 0.3), (0.65, 0.65, 0.8, 0.6), strict=True):  # fmt: skip
    run.record(f"sim_3d_{key}", value.mean, low=low, high=high, digits=2)

# %% [markdown]
# In the thesis the step from 2D to 3D halves all three errors, whatever the variant. Ours are halved too, and there the "2D" and the "3D" image are the same: the volume has air above and below, so that brain fills half as much of it ({glue:text}`sim_3d_share`). Better volumes are not excluded by that, but table 1 cannot show them: its two halves cannot be compared. (The heads, the grids and the kind of error differ; what carries over is the arithmetic.) The rule: **mask first, or at least say how much of the image is brain.**
#
# ## Seven numbers for one pair
#
# SSIM has options, and each program has its own. Take one synthetic head with scalp and all, and its noisy copy. This time the noise lies in the air, too.
#
# **Predict.** Exactly black air made every score better. Will SSIM now be higher over the whole volume, or inside the brain?

# %% tags=["hide-input"]
clean, noisy = (flair(cases[0].subject, 0, level) for level in (0.0, 0.06))
lit = [image.clone() for image in (noisy, clean)]
for image in lit:
    image[2, 2, 2] = 2 * float(clean.max())  # one bright voxel, the same in both
CHOICES = (
    ("Gaussian window, as its authors (also MONAI)", 1.0, noisy, clean, {}),
    ("uniform window, sample covariance (scikit-image)", 1.0, noisy, clean, {"window": "uniform", "covariance": "sample"}),
    ("borders mirrored (torchmetrics)", 1.0, noisy, clean, {"border": "mirror"}),
    ("inside the brain", 1.0, noisy, clean, {"mask": cases[0].brain}),
    ("range: brightest voxel of the reference", float(clean.max()), noisy, clean, {}),
    ("the same, one bright voxel added to both", float(lit[1].max()), *lit, {}),
)  # fmt: skip
found = {name: (float(ssim(a, b, span, **more)), float(psnr(a, b, span, mask=more.get("mask")))) for name, span, a, b, more in CHOICES}  # fmt: skip
through = [float(ssim(noisy[..., k], clean[..., k], 1.0)) for k in range(clean.shape[2])]
found["mean over axial slices"] = float(np.mean(through)), float(np.mean([float(psnr(noisy[..., k], clean[..., k], 1.0)) for k in range(clean.shape[2])]))  # fmt: skip
table(["choice", "SSIM", "PSNR (dB)"], [[name, f"{a:.3f}", f"{b:.1f}"] for name, (a, b) in found.items()], caption="One pair of synthetic volumes; the data range is 1 where nothing else is said. The programs are named after their defaults.")  # fmt: skip
run.record("sim_choice_air", ssim_maps(noisy, clean, 1.0).ssim[clean < 0.02].mean(), low=0, high=0.5, digits=2)  # fmt: skip
run.record("sim_choice_low", min(found.values())[0], low=0.1, high=0.8, digits=2)
run.record("sim_choice_high", max(found.values())[0], low=0.82, high=0.99, digits=2)
run.record("sim_choice_lit", found[CHOICES[5][0]][1] - found[CHOICES[4][0]][1], low=5.5, high=6.5, unit="dB", digits=1)  # fmt: skip

# %% [markdown]
# From {glue:text}`sim_choice_low` to {glue:text}`sim_choice_high`, and every one of them is "the SSIM". Noisy air is a background that loses: flat and black in one image, noisy in the other, it has an SSIM of {glue:text}`sim_choice_air`. So the brain alone comes out best, and mirrored borders worst, since they also count the outermost air, which whole windows leave out. One bright voxel, the same in both images, is worth {glue:text}`sim_choice_lit` where the program takes the data range from the image. Two papers that report 0.85 and 0.88 may have measured the same thing or not; compare only what one program with one setting has measured on one grid. `medlab` never guesses the range.
#
# ## Half a voxel
#
# Suppose a network draws everything right, but its training pairs did not quite lie upon one another. For a small shift $d$ along one axis, the first term of a Taylor series gives the price:
#
# $$ \mathrm{MSE}(d) \approx d^2 \, \frac{1}{N} \sum_i \left( \frac{\partial y}{\partial \xi} \right)_i^2 , $$ (sim-shift)
#
# where $\xi$ is the place along that axis, in voxels as $d$ is. The price grows with the square of the shift and with the squared slopes of the image. Which slopes are those?
#
# **Predict.** Here are three images: all right but shifted by half a voxel; all right but noisier than the scan itself; all right but without a single plaque. Order them by PSNR.

# %%
inner = torch.from_numpy(ndimage.binary_erosion(one.brain, iterations=4))
at = np.arange(len(one.ill))
slope = torch.from_numpy(CubicSpline(at, one.ill.numpy())(at, 1)).float()[inner]  # per voxel
for d in (0.05, 0.1, 0.2):
    price = d**2 * slope.square().mean()  # (sim-shift)
    found = mse(shifted(one.ill, d), one.ill, mask=inner)
    torch.testing.assert_close(price, found, rtol=0.05, atol=0)
by_fluid = torch.from_numpy(ndimage.binary_dilation(one.ill < 0.25, iterations=2))[inner]
steep = slope.square()[by_fluid].sum() / slope.square().sum()

# %% tags=["hide-input"]
run.record("sim_steep", 100 * steep, low=50, high=97, unit="%", digits=0)
run.record("sim_by_fluid", 100 * by_fluid.float().mean(), low=5, high=35, unit="%", digits=0)


def trimmed(case, margin=6):
    """Without most of the air: a margin of half an SSIM window and more is left around the brain."""
    box = tuple(slice(max(int(at.min()) - margin, 0), int(at.max()) + margin + 1) for at in case.brain.nonzero().T)  # fmt: skip
    return Case(*(image[box] for image in case[:-1]), case.subject)


cases = [trimmed(case) for case in cases]
first = cases[0]
STEPS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0])
along = np.array([[quality(case, shifted(case.ill, float(d)) * case.brain) for d in STEPS] for case in cases])  # fmt: skip
gone = mean_interval([quality(case, case.well) for case in cases])
half = mean_interval(along[:, STEPS.tolist().index(0.5)])
grain = [case.ill + 0.04 * torch.randn(case.ill.shape, generator=run.fresh_generator(20 + n)) for n, case in enumerate(cases)]  # fmt: skip
grainy = mean_interval([quality(case, image) for case, image in zip(cases, grain, strict=True)])
equals = mean_interval([float(np.interp(-quality(case, case.well), -row, STEPS)) for case, row in zip(cases, along, strict=True)])  # fmt: skip
figure, ax = plt.subplots(figsize=(4.9, 3.5))
ax.plot(STEPS, along.T, color=style.BLUE, alpha=0.25, linewidth=1)
ax.plot(STEPS, along.mean(0), color=style.BLUE, marker="o", markersize=4)
for value, text, colour in ((gone, "no plaque left", style.ORANGE), (grainy, "noise of 0.04 added", style.GREEN)):  # fmt: skip
    ax.axhline(value.mean, color=colour, linestyle="--")
    ax.text(1.0, value.mean + 0.25, text, color=colour, ha="right", fontsize=10)
ax.set(xlabel="shift of a perfect image (voxels)", ylabel="PSNR in the brain (dB)")
show(figure, caption=f"A perfect image, shifted (blue; thin: each synthetic head), against an unshifted one without any plaque (orange) and one with noise (green). Voxels of {MM:g} mm.", alt="PSNR falls with the shift; after about a tenth of a voxel it lies below the line of the image without plaques")  # fmt: skip
for key, value, low, high in (("best", mean_interval(along[:, 0]), 28, 40), ("half", half, 16, 33), ("gone", gone, 27, 39), ("grainy", grainy, 22, 32)):  # fmt: skip
    run.record(f"sim_{key}", value.mean, low=low, high=high, unit="dB", digits=1)
run.record("sim_equals", equals.mean, low=0.03, high=0.45, digits=2)
assert half.mean < gone.mean

# %% [markdown]
# Against a noisy scan a perfect image cannot have more than {glue:text}`sim_best`. The loss of every plaque takes it to {glue:text}`sim_gone`, noise twice that of the scan to {glue:text}`sim_grainy`, and half a voxel of shift to {glue:text}`sim_half`. The slopes that make shifts so dear are the borders of fluid: deep in the brain of the first slice above, {glue:text}`sim_steep` of the sum in {eq}`sim-shift` comes from the {glue:text}`sim_by_fluid` of voxels that lie within two voxels of fluid. In PSNR, the whole disease costs as much as a shift of {glue:text}`sim_equals` voxels. Ask of any pair of scans whether it is registered that well. For CT made from MR, Wolterink et al. {cite}`wolterink2017` even found training on *unpaired* images better than on pairs (MAE 73.7 against 89.4 HU), and blame the misalignment of the pairs.
#
# ## Between contrasts
#
# Errors and SSIM presume that equal tissue has equal values. Where that fails, as in {term}`registration` of a T1 to a T2, NCC and mutual information can still be asked.
#
# **Predict.** What are NCC and mutual information of a T1 and a T2 of the same slice, in full register? And when one is moved away?

# %% tags=["hide-input"]
t1, t2 = ((mr_image(one.subject, sequence, seed, noise=0.02, bias=0.0)[..., 0] * one.brain) for sequence in (T1, T2))  # fmt: skip
MOVES = [-12.0, -8.0, -5.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0]
across = {name: [[float(f(shifted(image, d), t1, mask=one.brain)) for d in MOVES] for f in (normalized_cross_correlation, mutual_information)] for name, image in (("T2 and T1", t2), ("T1 and T1", t1))}  # fmt: skip
figure, axes = plt.subplots(2, 1, figsize=(4.9, 4.6), sharex=True)
for (name, curves_of), colour in zip(across.items(), (style.ORANGE, style.BLUE), strict=True):
    for ax, values, label in zip(axes, curves_of, ("NCC", "MI (nats)"), strict=True):
        ax.plot(MOVES, values, color=colour, marker="o", markersize=3, label=name)
        ax.set_ylabel(label)
axes[1].legend(loc="upper right")
axes[1].set_xlabel("shift (mm)")
show(figure, caption="Two images of one synthetic slice, one of them moved sideways. Between contrasts NCC has its lowest value where the images lie upon one another; mutual information has a peak there for both pairs.", alt="Above: NCC of T1 with itself peaks at 1, that of T2 with T1 has a deep negative trough at 0; below: both curves of mutual information peak at 0")  # fmt: skip
zero = MOVES.index(0.0)
run.record("sim_t2_ncc", across["T2 and T1"][0][zero], low=-1, high=-0.5, digits=2)
run.record("sim_t2_mi", across["T2 and T1"][1][zero], low=0.7, high=1.8, digits=2)
assert np.argmax(across["T2 and T1"][1]) == zero

# %% [markdown]
# NCC is {glue:text}`sim_t2_ncc`: what is bright in one image is dark in the other, nearly along a straight line. A registration that looks for the highest NCC would push these two apart. MI is {glue:text}`sim_t2_mi` nats, at its peak where the images lie upon one another. It needs no equality, only that one value goes with the other; for judging a *made* image that is too generous, since an inverted FLAIR would have a perfect MI.
#
# ## What none of them sees
#
# Now the question of a clinic. A FLAIR is to be made from other sequences for patients with multiple sclerosis. What matters is whether plaques can still be seen, counted and measured: "image similarity is not sufficient" ({cite}`translationreview`, section 6.5). The same slides propose two checks. One is the {term}`lesion contrast ratio`, the mean of lesions over the mean of {term}`normal-appearing white matter` (NAWM); the other, to segment the made image and compare.
#
# $$ R = \frac{\text{mean of } x \text{ over lesions}}{\text{mean of } x \text{ over NAWM}} $$ (sim-ratio)
#
# Networks need not erase a plaque; they may fade it (measured ratios follow below). We do so in steps, between the true image, $x_\text{ill}$, and the same without plaques, $x_\text{well}$, both without noise:
#
# $$ x_a = (1 - a)\, x_\text{ill} + a\, x_\text{well}, \qquad 0 \le a \le 1 . $$ (sim-fade)
#
# The segmentation is as simple as can be: all white matter brighter than a factor times its median. The factor is learned on other heads, on true scans; white matter is taken from the true shares, as a T1 would give it.


# %%
def found_plaques(image, case, factor):
    """All white matter that is brighter than this factor times its median."""
    return case.white & (image > factor * image[case.white].median())


def faded(case, a):
    return (1 - a) * case.ill + a * case.well  # (sim-fade)


others = [draw_case(50 + number, HEAD) for number in range(LEARNT)]
FACTORS = np.arange(1.1, 1.5, 0.02)
scored = [
    np.mean([float(dice(found_plaques(c.reference, c, f), c.lesion)) for c in others])
    for f in FACTORS
]
factor = float(FACTORS[np.argmax(scored)])
by_hand = first.ill[first.lesion].mean() / first.ill[first.nawm].mean()  # (sim-ratio)
ratio = lesion_contrast_ratio(first.ill, first.lesion, first.nawm)
torch.testing.assert_close(by_hand, ratio)

# %% [markdown]
# **Predict.** At half the fade plaques are half as bright above their surroundings. By how much do PSNR, SSIM and NCC fall? And the {term}`Dice coefficient` of the segmentation with the truth?

# %% tags=["hide-input"]
FADES = np.linspace(0, 1, 11)


def clinical(case, image):
    return lesion_contrast_ratio(image, case.lesion, case.nawm), dice(found_plaques(image, case, factor), case.lesion)  # fmt: skip


def judged(case, a):
    """PSNR, SSIM, NCC in the brain; R; Dice; the MAE of lesions and of NAWM."""
    image, pair = faded(case, a), (faded(case, a), case.reference)
    regions = region_errors(*pair, {"lesion": case.lesion, "NAWM": case.nawm}, 1.0, mask=case.brain)  # fmt: skip
    whole = quality(case, image), likeness(case, image), normalized_cross_correlation(*pair, mask=case.brain)  # fmt: skip
    return [float(v) for v in (*whole, *clinical(case, image), regions["lesion"].mae, regions["NAWM"].mae)]  # fmt: skip


sweep = np.array([[judged(case, float(a)) for a in FADES] for case in cases])  # heads, fades, 7
centre = sweep.mean(0)
kept = (sweep[..., 3] - 1) / (sweep[:, :1, 3] - 1)
figure, axes = plt.subplots(2, 1, figsize=(4.9, 5.8), sharex=True, height_ratios=(1.6, 1))
LINES = ((0, "SSIM", sweep[..., 1], style.BLUE), (0, "NCC", sweep[..., 2], style.GREEN), (0, "lesion contrast that is left", kept, style.ORANGE), (0, "Dice of the segmentation", sweep[..., 4], style.PINK), (1, "PSNR", sweep[..., 0], style.BLUE))  # fmt: skip
for row, name, values, colour in LINES:
    middle, width = np.array([mean_interval(column) for column in values.T]).T
    axes[row].plot(FADES, middle, color=colour, label=name)
    axes[row].fill_between(FADES, middle - width, middle + width, color=colour, alpha=0.2, linewidth=0)  # fmt: skip
axes[0].set(ylim=(-0.03, 1.03), ylabel="0: lost, 1: perfect")
axes[0].legend(loc="lower left")
axes[1].set(xlabel="fade of the plaques, a", ylabel="PSNR (dB)", ylim=(20, 40))
show(figure, caption=f"Plaques fade from left to right; all else is perfect. What compares images stays at the top, what asks for the disease falls. Means and 95 % intervals over {TESTED} synthetic patients.", alt="SSIM and NCC run flat near 1; the contrast that is left falls in a straight line to 0; Dice falls steeply between a fade of 0.3 and 0.7; PSNR is nearly flat")  # fmt: skip
COLUMNS = {"PSNR (dB)": (0, 1), "SSIM": (1, 3), "R": (3, 2), "Dice": (4, 2), "MAE lesion": (5, 3), "MAE NAWM": (6, 3)}  # fmt: skip
rows = [[f"{FADES[k]:.1f}", *(mean_interval(sweep[:, k, m]).shown(digits) for m, digits in COLUMNS.values())] for k in (0, 3, 5, 7, 10)]  # fmt: skip
table(["fade", *COLUMNS], rows, caption=f"{TESTED} synthetic patients, means and 95 % intervals.")  # fmt: skip
run.record("sim_factor", factor, low=1.08, high=1.45, digits=2)
five = FADES.tolist().index(0.5)
BANDS = (("fade_half_psnr", centre[0, 0] - centre[five, 0], 0.02, 1.0, 1, "dB"), ("fade_half_ssim", centre[0, 1] - centre[five, 1], 0.0, 0.02, 3, ""), ("fade_ratio", centre[0, 3], 1.25, 1.7, 2, ""), ("fade_half_ratio", centre[five, 3], 1.1, 1.35, 2, ""), ("fade_dice", centre[0, 4], 0.65, 0.98, 2, ""), ("fade_half_dice", centre[five, 4], 0.05, 0.75, 2, ""))  # fmt: skip
BANDS += (("fade_lesion_mae", centre[five, 5] / centre[0, 5], 3, 20, 1, "times"), ("fade_nawm_mae", centre[five, 6] / centre[0, 6], 0.95, 1.1, 2, "times"), ("lesion_share", 100 * np.mean([float(case.lesion.sum() / case.brain.sum()) for case in cases]), 0.05, 1, 1, "%"))  # fmt: skip
for key, value, low, high, digits, unit in BANDS:
    run.record(f"sim_{key}", value, low=low, high=high, digits=digits, unit=unit)
assert centre[five, 4] < 0.8 * centre[0, 4] and centre[five, 1] > 0.98 * centre[0, 1]

# %% [markdown]
# At half the fade PSNR has lost {glue:text}`sim_fade_half_psnr` and SSIM {glue:text}`sim_fade_half_ssim`, NCC even less; nobody would notice in a table. The lesion contrast ratio has gone from {glue:text}`sim_fade_ratio` to {glue:text}`sim_fade_half_ratio`, and Dice from {glue:text}`sim_fade_dice` to {glue:text}`sim_fade_half_dice`: the threshold lies at {glue:text}`sim_factor` times the median of white matter, and plaques sink below it one after the other. Plaques are {glue:text}`sim_lesion_share` of the brain, and a mean over the brain weighs them so. Errors *by region* see it at once: each is a mean over its own voxels, and that of the lesions is {glue:text}`sim_fade_lesion_mae` what it was, that of NAWM {glue:text}`sim_fade_nawm_mae`.
#
# How much fading do real networks do? Wei et al. {cite}`wei2019flair` give the ratio for five methods (printed in {cite}`translationreview`). If our plaques lost the same *share* of their contrast, what would the other measures say?

# %% tags=["hide-input"]
PUBLISHED = {"true FLAIR": 1.66, "their network": 1.47, "multilayer perceptron": 1.39, "U-Net": 1.34, "random forest": 1.33, "modality propagation": 1.31}  # fmt: skip
rows = []
for name, ratio in PUBLISHED.items():
    a = (PUBLISHED["true FLAIR"] - ratio) / (PUBLISHED["true FLAIR"] - 1)
    at_a = np.array([[quality(case, faded(case, a)), *map(float, clinical(case, faded(case, a)))] for case in cases])  # fmt: skip
    ours = [mean_interval(column) for column in at_a[:, 1:].T]
    lost = mean_interval(sweep[:, 0, 0] - at_a[:, 0]) if a else None
    rows.append([name, f"{ratio:.2f}", f"{100 * a:.0f} %", ours[0].shown(2), f"−{lost.shown(2)}" if lost else "0", ours[1].shown(2)])  # fmt: skip
    if name == "U-Net":
        run.record("sim_unet_dice", ours[1].mean, low=0.1, high=0.8, digits=2)
        run.record("sim_unet_psnr", lost.mean, low=0.02, high=1.0, unit="dB", digits=2)
table(["method", "R, published", "contrast lost", "R, ours", "change of PSNR (dB)", "Dice, ours"], rows, caption=f"Left: Wei et al., patients. Right: {TESTED} synthetic patients whose plaques lose the same share of their contrast, 95 % intervals.")  # fmt: skip

# %% [markdown]
# The U-Net of that table lost half of the contrast. In our heads this costs {glue:text}`sim_unet_psnr`, and a segmentation falls to a Dice of {glue:text}`sim_unet_dice`. The published ratios are measured, the right half is a thought experiment: real networks also blur and misplace, our plaques start at a lower $R$ than theirs, and a segmentation that is retrained on made images would adapt. Still, one lesson is solid: images of which a paper reports PSNR and SSIM alone could have kept or lost the disease. The remedy has a price in the old currency. In another paper the same group makes PET maps of myelin out of MR, with a loss that averages by region {cite}`wei2019pet`, and reports a *lower* PSNR for it (U-Net: 29.30 dB without, 28.61 dB with the weights).
#
# The thesis takes the same way with a number that a paediatrician trusts. Its table 1 goes on with the {term}`head circumference` of the predicted 3D heads: between the poorest and the best of the four variants PSNR rises from 22.9 to 24.6 dB, while the correlation with the true circumference rises from 0.173 to 0.968, and the standard deviation of the error falls from 3.85 to 0.96 cm. A clinical measure has other blind spots: around our first head `medlab`'s tape reads {glue:text}`sim_tape`, and {glue:text}`sim_tape_moved` when the head is moved by half a voxel, which took the PSNR of the brain down to {glue:text}`sim_half` on average.
#
# Drag the fade. On the left, find the point at which you no longer see a plaque; on the right, that at which the segmentation finds none. Then look at what PSNR says there.


# %% tags=["hide-input"]
head = 1 - cases[0].subject.share("air")
for key, image in (("tape", head), ("tape_moved", shifted(head, 0.5).clamp(0, 1))):
    run.record(f"sim_{key}", head_circumference_cm(image, MM), low=50, high=66, unit="cm", digits=1)  # fmt: skip
ZOOM = (slice(44, 148), slice(62, 186))


def draw_fade(fade):
    image = faded(one, fade)
    found = found_plaques(image, one, factor)
    figure, axes = plt.subplots(1, 2, figsize=(4.9, 3.6))
    extent = (0, image[ZOOM].shape[0], 0, image[ZOOM].shape[1])
    for ax, name in zip(axes, ("made FLAIR", "the same, marked"), strict=True):
        draw(ax, image[ZOOM][..., None], name, sides=ax is axes[0])
    truth = slices.slice_image(one.lesion[ZOOM][..., None].float(), "axial", 0)[::-1]
    axes[1].contour(truth, [0.5], colors=[style.GOLD], linewidths=1.2, extent=extent)
    slices.draw_mask(axes[1], found[ZOOM][..., None], index=0, colour=style.PINK, opacity=0.8)
    ratio, overlap = clinical(one, image)
    figure.supxlabel(f"PSNR {quality(one, image):.1f} dB    SSIM {likeness(one, image):.3f}    R {ratio:.2f}    Dice {overlap:.2f}", fontsize=11)  # fmt: skip
    return figure


explore(
    draw_fade,
    caption="Left: a synthetic FLAIR without noise in which plaques fade; at 0 it is the true one. Right: the same; gold: outlines of the true plaques, pink: what the segmentation finds.",
    alt=lambda fade: f"FLAIR, fade {fade:.1f}, twice; on the right true plaques outlined, found ones filled",
    labels={"fade": "fade of the plaques, a"}, start={"fade": 0.3}, fade=[round(float(a), 1) for a in FADES],
)  # fmt: skip

# %% [markdown]
# ## Where it breaks
#
# Suppose that an image has values around 10,000 that differ by 80, as a large offset in a stored file can make them. SSIM needs the variance in each window, and the shortest way to it is $\mu_{xx} - \mu_x^2$. In 32-bit numbers with their seven digits, both terms are near $10^8$, where neighbouring numbers lie 8 apart.
#
# **Predict.** `parts_by_hand`, written exactly after {eq}`sim-parts`, gets two such images that differ in their noise, once in 64 and once in 32 bits. Will the second SSIM be a little off, or wrong? Can it leave the range from −1 to 1?

# %% tags=["hide-input"]
chance, wide = run.fresh_generator(30), {"dtype": torch.float64}
coarse = torch.randn(1, 1, 9, 9, generator=chance, **wide)
slow = torch.nn.functional.interpolate(coarse, size=(128, 128), mode="bicubic")[0, 0]
texture, other = 0.3 * slow + 0.04 * torch.randn(2, 128, 128, generator=chance, **wide)


# %%
# NBVAL_CHECK_OUTPUT
def maps_at(mean):
    """Maps of SSIM: the formula in 64 and in 32 bits, then medlab in 32 bits."""
    pair = [(mean + value_range * i).float() for i in (texture, other)]
    inputs = [i.double() for i in pair], pair
    formula = [torch.stack(parts_by_hand(*i, value_range)).prod(0) for i in inputs]
    return *formula, ssim_maps(*pair, value_range, border="crop").ssim


exact, by_formula, ours = maps_at(mean_value)
print(f"mean: 64 bits {exact.mean():.2f}, medlab in 32 bits {ours.mean():.2f}")
print(f"the formula in 32 bits goes beyond 1: {bool(by_formula.abs().max() > 1.1)}")
assert (ours - exact).abs().max() < 1e-3
if mean_value >= 125 * value_range:
    assert (by_formula - exact).abs().mean() > 0.15 and by_formula.abs().max() > 1.1

# %% tags=["hide-input"]
usual = mean_value == 10_000.0 and value_range == 80.0
beyond = 100 * (by_formula.abs() > 1).float().mean()
for key, value, low, high, digits, unit in (("exact", exact.mean(), 0.3, 0.95, 2, ""), ("naive", by_formula.mean(), -20, 20, 2, ""), ("off", (by_formula - exact).abs().mean(), 0.15, 10, 1, ""), ("beyond", beyond, 3, 80, 0, "%")):  # fmt: skip
    run.record(f"sim_break_{key}", value, low=low if usual else -1e9, high=high if usual else 1e9, digits=digits, unit=unit)  # fmt: skip
OFFSETS = [30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0]
wrong = [[float((one_map - true).abs().mean()) for one_map in in_32_bits] for true, *in_32_bits in map(maps_at, OFFSETS)]  # fmt: skip
figure, ax = plt.subplots(figsize=(4.9, 3.3))
for values, colour, name in zip(np.array(wrong).T, (style.ORANGE, style.BLUE), ("the formula as it stands", "a common offset taken off first"), strict=True):  # fmt: skip
    ax.plot(OFFSETS, values, color=colour, marker="o", label=name)
ax.set(xscale="log", yscale="log", xlabel=f"mean of the image (range {value_range:g})", ylabel="error of the map of SSIM", ylim=(None, 100))  # fmt: skip
ax.legend(loc="upper left")
show(figure, caption="Mean error of a 32-bit map of SSIM against 64 bits, for a synthetic texture on an ever larger mean. The direct formula loses the variance; taking a common offset off first keeps it.", alt="On logarithmic axes the orange error rises from less than a thousandth to more than 1; the blue one stays far below a thousandth")  # fmt: skip

# %% [markdown]
# The mean should be {glue:text}`sim_break_exact`, and `medlab`'s is. The formula gives {glue:text}`sim_break_naive`, and the next computer, which adds in another order, something else. The map behind it is off by {glue:text}`sim_break_off` on average, and at {glue:text}`sim_break_beyond` of the places it lies beyond ±1, where no SSIM can be. The reason: each of two numbers near $10^8$ is rounded by up to 4, so that their difference is known to about ±8. Where rounding makes a variance negative, the clamp makes it 0, and a covariance of −8 beside it, over a constant of 3, is no correlation any more. Nothing warns. Variances do not change when a constant is taken off both images, so `medlab` does that first, and adds it again in the luminance. Set `mean_value = 1000`: how many digits are left? A program that scales every image to 0–1 first is safe from this, and has guessed a data range instead.
#
# ## Exercises
#
# ### Exercise 1: somebody else's decibels
#
# A paper reports PSNR 31.0 dB over volumes in which 20 % of the voxels are brain and the rest exactly black. You have measured 27.0 dB with images cropped to a box that is half brain. Which result is better inside the brain, and by how much?
#
# <details class="hint"><summary>Hint</summary>
#
# Bring both to the brain alone: equation {eq}`sim-background`.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Subtract $10 \log_{10}(1/0.2)$ from the first number and $10 \log_{10}(1/0.5)$ from the second.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $31.0 - 7.0 = 24.0$ dB and $27.0 - 3.0 = 24.0$ dB: equal, to a tenth of a decibel. This holds only if the background is exact in both and both use the same data range; noise in the air would spoil the first step.
#
# </details>
#
# ### Exercise 2: two networks
#
# FLAIR made for patients with multiple sclerosis, true $R = 1.66$. Network P: PSNR 33.1 dB, SSIM 0.95, $R = 1.21$. Network Q: PSNR 32.4 dB, SSIM 0.94, $R = 1.58$. Which one do you take to count lesions? Which one to register a PET scan of the patient to, where plaques do not matter? What else do you ask before you believe the difference?
#
# <details class="hint"><summary>Hint</summary>
#
# What share of its contrast does a plaque keep in each? What shift would explain 0.7 dB?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $(R - 1) / (1.66 - 1)$ is the contrast that is left. Intervals over patients, and whether the same patients stand behind both numbers, are missing from the table.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# P keeps 0.21 / 0.66 = 32 % of the contrast, Q 88 %. For lesions take Q: at a fade of 0.7 our segmentation finds next to nothing. For registration either will do, and 0.7 dB may be less than a tenth of a voxel of misalignment; decide by the error of the registration instead, the task itself. Before believing anything: intervals of the difference over the same patients, masks and data range, whether patients of the test were in training, and a segmentation on both.
#
# </details>
#
# ### Exercise 3: an error that weighs what matters, in code
#
# Write `balanced_mae(prediction, reference, regions)`: the mean over regions of the MAE over the region's own voxels, as in the loss of {cite}`wei2019pet` with equal weights. `regions` is a list of masks. At half the fade, with the regions lesion, NAWM and the rest of the brain, the plain MAE of the first head grows by {glue:text}`sim_plain_growth`, and a balanced one by {glue:text}`sim_balanced_growth`.
#
# <details class="hint"><summary>Hint</summary>
#
# `difference[mask]` holds the values of one region; how many there are must not matter afterwards.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# One mean for each mask, then `torch.stack(...).mean()`.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The cell after the exercise holds the code. Averaging over all voxels of all regions at once would give the plain MAE again. As a loss it has the price named above, a slightly worse PSNR, because it spends effort where few voxels are.
#
# </details>

# %% tags=["hide-input"]
REGIONS = [first.lesion & first.brain, first.nawm & first.brain, first.brain & ~first.lesion & ~first.nawm]  # fmt: skip
halves = [(faded(first, a), first.reference) for a in (0.0, 0.5)]
named = {"lesion": first.lesion, "NAWM": first.nawm}
growth = {"plain": [float(mae(*pair, mask=first.brain)) for pair in halves]}
growth["balanced"] = [float(np.mean([each.mae for each in region_errors(*pair, named, 1.0, mask=first.brain).values()])) for pair in halves]  # fmt: skip
for key, low, high in (("plain", 0.2, 10), ("balanced", 50, 500)):
    run.record(f"sim_{key}_growth", 100 * (growth[key][1] / growth[key][0] - 1), low=low, high=high, unit="%", digits=0)  # fmt: skip


def check_balanced_mae(balanced_mae):
    small = torch.tensor([[4.0, 0.0], [1.0, 1.0]]), torch.zeros(2, 2)
    masks = [torch.tensor([[True, False], [False, False]]), torch.tensor([[False, True], [True, True]])]  # fmt: skip
    value = balanced_mae(*small, masks)
    if value is None:
        return "it returned nothing; return one number."
    if abs(float(value) - 1.5) < 1e-6:
        return "errors 4 and 0, 1, 1 give 1.5: that is the mean over all voxels. Take a mean for each region first."  # fmt: skip
    if abs(float(value) - 7 / 3) > 1e-4:
        return f"errors 4 in one region and 0, 1, 1 in the other give {float(value):.3f}, expected 2.333."
    if abs(float(balanced_mae(-small[0], small[1], masks)) - 7 / 3) > 1e-4:
        return "with errors below 0 the value changes; take the absolute difference."
    found = float(balanced_mae(faded(first, 0.5), first.reference, REGIONS))
    return None if abs(found - growth["balanced"][1]) < 1e-5 else f"on the faded head it gives {found:.4f}, expected {growth['balanced'][1]:.4f}."  # fmt: skip


# %% tags=["exercise"]
def balanced_mae(prediction, reference, regions):
    """The mean over regions of the MAE over the region's own voxels."""
    ...  # your code here


judge(check_balanced_mae, balanced_mae)


# %% tags=["solution", "hide-cell"]
def balanced_mae(prediction, reference, regions):
    """The mean over regions of the MAE over the region's own voxels."""
    # begin solution
    difference = (prediction - reference).abs()
    return torch.stack([difference[region].mean() for region in regions]).mean()
    # end solution


judge(check_balanced_mae, balanced_mae)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question("Two denoisers are compared inside the brain, then on the whole image, whose background both leave exactly black. What stays the same?",
        ("The difference of their SSIM", "It shrinks with the share of the brain, as that of MAE does."),
        right("The difference of their PSNR", "Both gain the same constant, ten times the logarithm of the share."),
        ("The order by PSNR, but not its difference", "The order stays, and the difference too: a common factor becomes a common summand."),
    ),
    question("A made FLAIR has an SSIM of 0.96 with the true one. What do you know about its plaques?",
        ("They are there, since structure agrees", "Structure agrees in most windows, and plaques are in few of them."),
        ("They are a little blurred", "Perhaps; SSIM would be nearly the same if they were gone."),
        right("Next to nothing", "They are less than a hundredth of the brain. Ask for lesion contrast, errors by region, or a segmentation."),
    ),
    question("You must judge a made T2 by comparing it with a true T2. Why not by mutual information?",
        right("An image with inverted or distorted grey values can have just as much of it", "It asks only whether one value tells the other, which is right for registration and too generous here."),
        ("It cannot be computed for equal contrasts", "It can; it is then at its highest."),
        ("It depends on the data range", "Its bins span each image's own values. PSNR and SSIM are the ones that need a range."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - MAE, MSE and PSNR treat voxels as a bag. PSNR is the MSE on another scale, relative to a data range that must be the same for all.
# - SSIM compares mean, deviation and correlation in small windows: it forgives slow changes and punishes noise. NCC forgives brightness and contrast, MI any change of grey values.
# - Exactly black background adds a constant to PSNR and shrinks differences of MAE and SSIM; noisy air ruins SSIM. Judge inside a mask, and state range, window and dimension.
# - A tenth of a voxel of misalignment can cost as much as all of a disease. Before reading anything into decibels, ask how well the pairs were registered.
# - What is small must be asked for by name: the lesion contrast ratio, errors by region, the segmentation that will be run on the image.
#
# For a task of your own, answer the questions; [Segmentation metrics](segmentation_metrics.ipynb) has the same form for masks.

# %% tags=["remove-input"]
chooser(RULES, start={"predicted": "image", "background": True, "findings": True})

# %% [markdown]
# ## Data and limits
#
# | | |
# | --- | --- |
# | heads, plaques and scans | **synthetic**: drawn by the code of this page; 30 plaques a person, FLAIR without bias field, noise of 2 to 6 % of white matter |
# | made images | **synthetic** too: no network was trained here; each has one fault at a time, real ones have all at once |
# | segmentation | one threshold in the true white matter, learned on true scans of other synthetic heads; a stand-in for a program |
# | published numbers | table 1 of the thesis: neonates, T2; ratios of Wei et al.: patients with multiple sclerosis. Their data are not ours |
# | claims | none about patients, scanners or networks |
#
# ## Further reading
#
# {cite}`wang2009` is a pleasure to read: what is wrong with the mean squared error, and why everybody uses it. {cite}`cohen2018` let networks translate between sequences and watch tumours appear and vanish, since that is what the training data taught. How SSIM came about: {cite}`wang2004`. The equations of this page follow {cite}`translationreview`, section 6.5.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
