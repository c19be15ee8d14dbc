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
#     prerequisites: []
#     summary: Where a voxel lies in the patient, which side is left, and what its number
#       means.
#     weights: []
# ---

# %% [markdown]
# # Images in space
#
# A brain scan is a box of numbers. Before a network sees it, somebody has to know where in the patient each
# number was measured, which side of the picture is the patient's left, and what the number is a number *of*.
# Most silent errors of medical deep learning are made here: a mirrored axis, a label map blurred by
# interpolation, two scanners whose grey values have nothing to do with each other. This lesson makes each of
# these errors once, on purpose, so that you recognise it later.
#
# **You will be able to**
#
# - compute where in the patient a voxel lies, in millimetres, and which voxel lies at a given place
# - tell the patient's left from the right in any picture, and detect a file whose axis was mirrored
# - resample an image onto another grid, and measure what that costs
# - convert stored values to Hounsfield units and choose a window for what you want to see
# - compare two ways of making intensities of MR scans comparable, and say where each fails
#
# **You need** matrices and their inverses, and a little Python with arrays; no imaging. Equations marked "thesis" carry the numbers of
# {cite}`thesis`, whose methods this book builds one by one.

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
flip_the_file = True  # In "Where it breaks": mirror the voxels without telling the affine

# %% tags=["hide-input"]
import tempfile
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pydicom
import pydicom.data
import torch
from matplotlib import patheffects
from scipy.spatial.transform import Rotation

from medlab.data import Volume, VolumeError, load_icbm152, load_volume, resample, save_volume
from medlab.data import to_canonical
from medlab.data.transforms import percentile_scale, window, z_score
from medlab.metrics import mean_interval
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
template = load_icbm152()
brain = template.t1
MARK_MM = (38.0, -22.0, 20.0)  # to the patient's right, behind, and above the origin


def ball(volume, centre_mm, radius_mm):
    """The voxels (X, Y, Z) of a 1 mm RAS+ volume that lie within a ball."""
    squares = [
        (torch.arange(size) + origin - centre) ** 2
        for size, origin, centre in zip(volume.shape[1:], volume.affine[:3, 3], centre_mm, strict=True)
    ]  # fmt: skip
    return squares[0][:, None, None] + squares[1][:, None] + squares[2] <= radius_mm**2


mark = ball(brain, MARK_MM, 9)
where = np.rint(brain.to_voxels(MARK_MM)).astype(int)
figure, axes = plt.subplots(1, 3, figsize=(9.0, 3.4), width_ratios=(197, 197, 233))
for ax, plane, index in zip(axes, ("axial", "coronal", "sagittal"), where[[2, 1, 0]], strict=True):  # fmt: skip
    slices.draw_slice(ax, brain.data[0], plane=plane, index=int(index), window=(0, 1))
    slices.draw_mask(ax, mark, plane=plane, index=int(index))
    ax.set_title(plane)
show(
    figure,
    caption="One place in a head, cut three ways. The orange ball sits 38 mm to the patient's <em>right</em>, and "
    "appears on the left of the axial and coronal pictures: you look at the patient from the feet and from the "
    "front, as a radiologist does.",
    alt="Axial, coronal and sagittal slice of the ICBM 152 brain with an orange ball in the right hemisphere",
)

# %% [markdown]
# The brain above is real, in a sense: it is the ICBM 152 {term}`template`, the average of 152 healthy adults
# brought into one space {cite}`fonov2009,fonov2011`, and it ships with nilearn {cite}`abraham2014nilearn`. It has a
# property that will matter: it was made **exactly symmetric**. Its left half is the mirror image of its right
# half, to the last bit. Nobody has such a brain. That is why we put an orange ball into it: without a mark,
# no picture of this brain could tell you whether somebody has swapped left and right.
#
# All pictures in this book follow the {term}`radiological convention`: the patient's right is on *your* left,
# marked **R**. (Neurologists often do the opposite. Neither is wrong; a picture without a mark is.)
#
# ## A voxel is a number at a place
#
# A volume has two parts. The first is an array of {term}`voxel` values; here it has the shape
# $(C, X, Y, Z)$ with one channel. The second is easily forgotten: a $4 \times 4$ matrix, the {term}`affine`,
# that says where the array is. It takes the index $(i, j, k)$ of a voxel to the place of its *centre* in
# {term}`world coordinates`, in millimetres:
#
# $$
# \begin{pmatrix} x \\ y \\ z \\ 1 \end{pmatrix} = A \begin{pmatrix} i \\ j \\ k \\ 1 \end{pmatrix},
# \qquad
# A = \begin{pmatrix} \mathbf{a}_1 & \mathbf{a}_2 & \mathbf{a}_3 & \mathbf{t} \\ 0 & 0 & 0 & 1 \end{pmatrix}.
# $$ (images-affine)
#
# The first three columns $\mathbf{a}_1, \mathbf{a}_2, \mathbf{a}_3$ are the steps, in mm, that you take in the
# patient when you go one voxel further along each axis; their lengths are the {term}`spacing`. The last column
# $\mathbf{t}$ is the place of voxel $(0, 0, 0)$. NIfTI files store this matrix {cite}`cox2004nifti`, and the
# trick with the extra 1 lets one matrix product do rotation, scaling and shift at once.
#
# **Predict.** The affine printed below has ones on its diagonal and $(-98, -134, -72)$ in its last column. Which
# voxel lies at the origin of the world? And in which direction do you walk when $i$ grows?

# %%
# NBVAL_CHECK_OUTPUT
print(brain.affine.astype(int))
print("shape", brain.shape, " spacing", brain.spacing, "mm  orientation", brain.orientation)
print("voxel at the origin of the world:", np.rint(brain.to_voxels((0, 0, 0))).astype(int))

# %% [markdown]
# One step along $i$ adds $(1, 0, 0)$ mm: one millimetre along $x$. In this book, as in NIfTI, $x$ grows towards
# the patient's **R**ight, $y$ towards the front (**A**nterior) and $z$ towards the top of the head
# (**S**uperior). An array whose three axes run in these directions is called {term}`RAS`, or RAS+. The origin is
# not the corner of the box but a landmark in the brain, the anterior commissure, so that $(38, -22, 20)$ means
# the same anatomy in every head that has been brought into this space.
#
# Equation {eq}`images-affine` is two lines of code. Here they are, and here is the proof that
# `Volume.to_world` and `to_voxels` are nothing else:

# %%
voxels = torch.randint(0, 180, (1000, 3), generator=run.fresh_generator(1)).double().numpy()
with_ones = np.column_stack([voxels, np.ones(len(voxels))])
by_hand = (brain.affine @ with_ones.T)[:3].T  # equation (images-affine), 1,000 at once

np.testing.assert_allclose(by_hand, brain.to_world(voxels))
np.testing.assert_allclose(brain.to_voxels(by_hand), voxels, atol=1e-9)  # there and back
print("voxel", voxels[0], "lies at", by_hand[0], "mm")

# %% [markdown]
# Move the slider: the picture is an {term}`axial` slice, and the number above it is a place in the world, not a
# slice number. Slice 92 of this file is slice 46 of a file with 2 mm voxels, but $z = 20$ mm is $z = 20$ mm.


# %% tags=["hide-input"]
def draw_height(z_mm):
    index = int(np.rint(brain.to_voxels((0, 0, z_mm)))[2])
    figure, ax = plt.subplots(figsize=(3.6, 4.0))
    slices.draw_slice(ax, brain.data[0], index=index, window=(0, 1))
    slices.draw_mask(ax, mark, index=index)
    ax.set_title(f"z = {z_mm:+d} mm  (slice {index} of {brain.shape[3]})", fontsize=10)
    return figure


explore(
    draw_height,
    caption="Climb through the head. The ball appears around z = +20 mm, always on the side marked R.",
    alt=lambda z_mm: f"Axial slice of the brain at z = {z_mm} mm",
    labels={"z_mm": "height z (mm)"},
    z_mm=list(range(-45, 71, 5)),
    start={"z_mm": 20},
)

# %% [markdown]
# ## Whose left?
#
# The direction of the three axes is the {term}`orientation` of an array, and files differ. DICOM, the language
# that scanners speak {cite}`mildenberger2002dicom`, points its world to the **L**eft, **P**osterior and
# **S**uperior ({term}`LPS`), so the first two coordinates of a place have the opposite sign of NIfTI's. Code that mixes
# the two without a conversion turns patients around, and does so silently.
#
# Let us open a real DICOM file, one that comes with pydicom {cite}`mason_pydicom`. `load_volume` reads NIfTI and
# DICOM alike and always gives an affine in the RAS world. The *array*, however, stays as it was stored:

# %%
# NBVAL_CHECK_OUTPUT
dicom_file = pydicom.data.get_testdata_file("CT_small.dcm", download=False)
stored = load_volume(dicom_file)
print(stored)
print(stored.affine.round(2))

# %% [markdown]
# The orientation is LPS: $i$ walks to the patient's left and $j$ to the back, which is why the first two entries of
# the diagonal are negative. Nothing is wrong with that, as long as array and affine stay together. But for
# learning we want one orientation for all subjects. `to_canonical` turns an array so that it runs R, A, S.
#
# It does not interpolate anything. Axes are permuted and reversed, and the affine is changed by the inverse, so that
# every voxel stays exactly where it was in the patient:

# %%
turned = stored.data.flip(1, 2)  # reverse i and j: L becomes R, P becomes A
affine = stored.affine.copy()
last = (stored.shape[1] - 1, stored.shape[2] - 1, 0)  # becomes voxel (0, 0, 0)
affine[:3, 3] = stored.to_world(last)
affine[:3, :2] *= -1  # the steps along i and j turn around

canonical = to_canonical(stored)
torch.testing.assert_close(turned, canonical.data, rtol=0, atol=0)
np.testing.assert_allclose(affine, canonical.affine)
print(stored.orientation, "became", canonical.orientation)

# %% [markdown]
# **Predict.** The slice measures 128 × 128 voxels of 0.66 mm. How wide is that? Does a head fit into it, or a whole chest?

# %% tags=["hide-input"]
PLACES = {  # name: (i, j) in the canonical array, colour
    "aorta": ((38, 114), style.ORANGE),
    "spinal canal": ((68, 76), style.BLUE),
    "lung": ((6, 115), style.PINK),
    "fat": ((68, 8), style.GOLD),
}
TEXT = {"aorta": (0, -22), "spinal canal": (0, 24), "lung": (-4, 22), "fat": (24, 0)}  # points
figure, ax = plt.subplots(figsize=(5.2, 5.0))
slices.draw_slice(ax, canonical.data[0], window=(-200, 350), spacing=canonical.spacing, smooth=False)  # fmt: skip
step, rows = canonical.spacing[0], canonical.shape[2]
for name, ((i, j), colour) in PLACES.items():
    centre = ((canonical.shape[1] - 1 - i + 0.5) * step, (j + 0.5) * step)  # columns run towards L  # fmt: skip
    ax.add_patch(
        plt.Rectangle((centre[0] - 2.3, centre[1] - 2.3), 4.6, 4.6, fill=False, color=colour, linewidth=2)
    )  # fmt: skip
    label = ax.annotate(name, centre, TEXT[name], textcoords="offset points", color=colour, ha="center",
                        va="center", fontsize=10, fontweight="bold")  # fmt: skip
    label.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="black")])
show(
    figure,
    caption="A thoracic vertebra, seen from the feet, in the window −200 to 350 HU. The round vessel beside it is the "
    "descending aorta, filled with contrast agent; the black areas are lung.",
    alt="CT slice of a thoracic vertebra with the aorta at the upper right, marked L, and four small squares",
)

# %% [markdown]
# 85 mm: too little for a head (about 150 mm) or a chest. Somebody has cut out a vertebra and what lies beside it. And this picture *can* be checked for its side, because a body, unlike
# our template, is not symmetric: the descending aorta runs to the **left** of the spine. It is on the right of the
# picture, where the L is. Had we forgotten to convert LPS to RAS, the picture would stand on its head, with the aorta on the
# wrong side, and a reader who knows anatomy would have noticed. A network would not have.
#
# ## What does the number mean?
#
# CT is the exception among imaging methods: its numbers have a unit. A scanner reconstructs the linear
# {term}`attenuation` coefficient $\mu$ of X-rays, and files hold it on the scale named after the inventor of CT
# {cite}`hounsfield1973`, relative to water (thesis eq. 3.7 {cite}`thesis`):
#
# $$ \mu^* = 1000 \cdot \frac{\mu - \mu_w}{\mu_w}. $$ (images-hounsfield)
#
# Water is at 0 {term}`Hounsfield unit`s (HU) by definition. Air, with $\mu \approx 0$, is at −1000. The file does not store HU
# either: it stores integers, and two header fields, {term}`rescale slope` and intercept, that lead back:

# %%
# NBVAL_CHECK_OUTPUT
header = pydicom.dcmread(dicom_file)
slope, intercept = float(header.RescaleSlope), float(header.RescaleIntercept)
hounsfield = torch.from_numpy(header.pixel_array.astype("float32")) * slope + intercept

# Rows and columns of a picture are j and i, hence the transpose:
torch.testing.assert_close(hounsfield.T, stored.data[0, :, :, 0])
print(f"slope {slope:g}, intercept {intercept:g}")
for name, ((i, j), _) in PLACES.items():
    region = canonical.data[0, i - 3 : i + 4, j - 3 : j + 4, 0]
    print(f"{name:13s} {region.mean():7.0f} HU, standard deviation {region.std():.0f}")

# %% [markdown]
# Lung is mostly air, fat is lighter than water, and the iodine of a {term}`contrast agent` absorbs X-rays strongly. A screen shows about 250
# shades of grey, and an eye tells apart far fewer, but HU run from −1000 to beyond 2000. So a radiologist
# looks through a {term}`window`: a centre $c$ and a width $w$. Everything below $c - w/2$ is black, everything above
# $c + w/2$ is white, and what lies between gets all the greys:
#
# $$ g(\mu^*) = \min\!\Big(1, \max\!\Big(0, \frac{\mu^* - (c - w/2)}{w}\Big)\Big). $$ (images-window)

# %%
lowest, highest = 40 - 80 / 2, 40 + 80 / 2  # the brain window: centre 40, width 80
by_hand = ((canonical.data - lowest) / (highest - lowest)).clamp(0, 1)
torch.testing.assert_close(by_hand, window(canonical.data, centre=40, width=80))

# %% [markdown]
# **Predict.** The brain window (40/80) is made for differences of a few HU between grey and white matter. What will
# remain visible of the bone, and of the vessels in the lung? Then find a window in which you can see the lung's vessels.


# %% tags=["hide-input"]
def draw_window(centre, width):
    figure, ax = plt.subplots(figsize=(3.6, 3.7))
    image = window(canonical.data[0], centre, width)
    slices.draw_slice(ax, image, window=(0, 1), spacing=canonical.spacing)
    ax.set_title(f"{centre - width // 2} to {centre + width // 2} HU", fontsize=10)
    return figure


explore(
    draw_window,
    caption="The same numbers through 36 windows. Lung: centre −600, width 1500. Bone: 600/2800. Soft tissue: 40/400.",
    alt=lambda centre, width: f"CT slice in a window of centre {centre} and width {width} HU",
    labels={"centre": "centre (HU)", "width": "width (HU)"},
    centre=[-800, -600, -100, 40, 150, 600],
    width=[80, 200, 400, 800, 1500, 2800],
    start={"centre": 40, "width": 400},
)

# %% [markdown]
# At 40/80 bone is a white stain and the lung is black: the numbers are still in the file, but not in the picture.
# The lesson for learning is the same. A network that gets its input through a brain window cannot find a fracture.
#
# ## Another grid
#
# Scans come with 1 mm cubes, with slices of 5 mm, tilted, cropped. To compare them we compute the values on another
# grid: {term}`resampling`. The new grid has its own affine $A'$. Where was a new voxel $\mathbf{v}'$ on the old grid?
# Both matrices lead to the same world, so
#
# $$ \mathbf{v} = A^{-1} A' \mathbf{v}', $$ (images-pull)
#
# which is usually between voxels. Linear {term}`interpolation` mixes the eight neighbours $\mathbf{c}$ of that place,
# each weighted by how near it is along every axis:
#
# $$ I(\mathbf{v}) = \sum_{\mathbf{c}} I(\mathbf{c}) \prod_{d=1}^{3} \big(1 - |v_d - c_d|\big). $$ (images-trilinear)
#
# Note the direction: we *pull* values from the old image for each new voxel. Pushing old voxels to new
# places would leave holes.


# %%
def pull(values, places):
    """Equation (images-trilinear): values (X, Y, Z) at places (N, 3) in voxels, all inside."""
    corner = places.floor().long()
    total = torch.zeros(len(places), dtype=values.dtype)
    for step in torch.cartesian_prod(*[torch.arange(2)] * 3):  # the eight neighbours
        at = torch.minimum(corner + step, torch.tensor(values.shape) - 1)
        weight = (1 - (places - (corner + step)).abs()).prod(dim=1)
        total += weight * values[at[:, 0], at[:, 1], at[:, 2]]
    return total


# %%
small = brain.crop((60, 60, 60), (130, 140, 120))
coarse = resample(small, spacing=(1.7, 1.7, 2.5), antialias=False)
index = torch.cartesian_prod(*[torch.arange(size) for size in coarse.shape[1:]]).double()
places = torch.from_numpy(small.to_voxels(coarse.to_world(index)))  # equation (images-pull)
places = places.clamp(torch.zeros(3), torch.tensor(small.shape[1:]) - 1)

by_hand = pull(small.data[0].double(), places).float()
torch.testing.assert_close(by_hand, coarse.data.flatten(), atol=1e-5, rtol=0)
print(small, "\n->", coarse)

# %% [markdown]
# `medlab` does the same. It adds one thing that we switched off above: before it goes to a *coarser*
# grid it smooths, because a sample that stands for 4 mm of tissue ought to be an average over 4 mm
# {cite}`cardoso2015`. Without that, details finer than the new grid do not vanish; they come back as patterns that
# were never there. This is {term}`aliasing`.
#
# **Predict.** Below, the brain is brought to 6 mm and back to 1 mm for display, twice: the second time the patient lay 3 mm
# further along each axis, so the coarse grid falls on other places. Which pair of pictures will agree better, point
# samples or averages? And which is nearer to the 1 mm image, by {term}`root mean square` error?

# %%
MOVED = np.array(
    [[1.0, 0, 0, 3], [0, 1, 0, 3], [0, 0, 1, 3], [0, 0, 0, 1]]
)  # mm, half a new voxel


def through_coarse(antialias, move):
    """The brain on a grid of 6 mm, seen again at 1 mm."""
    grid = resample(brain, spacing=6)
    grid = Volume(grid.data, move @ grid.affine)
    return resample(resample(brain, like=grid, antialias=antialias), like=brain)


def rms(first, second):
    return float((first.data - second.data)[template.mask.data > 0].square().mean().sqrt())


coarse = {
    name: [through_coarse(antialias, move) for move in (np.eye(4), MOVED)]
    for name, antialias in (("point samples", False), ("averaged first", True))
}
change = {name: rms(here, there) for name, (here, there) in coarse.items()}
error = {name: np.mean([rms(view, brain) for view in views]) for name, views in coarse.items()}
for name in coarse:
    print(f"{name:15s} change {change[name]:.3f}, error against 1 mm {error[name]:.3f}")

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 3, figsize=(7.6, 6.0))
for row, (name, (here, there)) in zip(axes, coarse.items(), strict=True):
    for ax, view, title in zip(row, (here, there), (name, "grid moved by 3 mm"), strict=False):
        slices.draw_slice(ax, view.data[0], index=92, window=(0, 1))
        ax.set_title(title, fontsize=10)
    slices.draw_slice(row[2], (there.data - here.data)[0], index=92, window=(-0.4, 0.4), cmap="berlin")  # fmt: skip
    row[2].set_title("difference (−0.4 to 0.4)", fontsize=10)
show(
    figure,
    caption="The same brain on two grids of 6 mm voxels that differ by half a voxel. Above: point samples look crisp, but "
    "which gyrus they show is a matter of chance. Below: averages are smoother, and nearly the same on both grids.",
    alt="Two rows of axial slices at 6 mm and their difference: strong for point samples, weak for averages",
)
times = change["point samples"] / change["averaged first"]
run.record("images_lottery", times, low=2, high=5, digits=1)
ahead = 100 * (1 - error["point samples"] / error["averaged first"])
run.record("images_point_error", ahead, low=0, high=20, unit="%", digits=0)

# %% [markdown]
# Two numbers, and they disagree. By error against the 1 mm image the point samples are even *better*, by {glue:text}`images_point_error`: the averages
# are blurred, and blur is an error too. But a point sample is a lottery. Move the patient by 3 mm, which no scan can avoid, and
# the picture changes {glue:text}`images_lottery` times as much. A network trained on such images, or a doctor who compares two visits, sees
# growth where there was none. So smooth before going coarser, and do not judge a resampling by one error alone.
#
# Averaging also shows what a large voxel does to thin structures: a voxel at the edge of the
# cortex holds some grey matter, some fluid, and a value that belongs to neither. That is the
# {term}`partial volume` effect, and no algorithm can undo it from this image alone.
#
# ## MR intensities have no unit
#
# An MR scanner's receive gain is set anew for every patient. The same tissue may be 300 today and 1,100 on
# another machine, and it drifts across the image, because the coil hears near tissue better than far tissue (a
# {term}`bias field`). Let us scan our one brain on six *synthetic* scanners: each has its own gain, its own contrast curve
# (an exponent $\gamma_c$, a stand-in for sequence settings), offset and bias field:
#
# $$ I_c(\mathbf{x}) = o_c + g_c\, I(\mathbf{x})^{\gamma_c}\, \exp\!\big(b_c\, \mathbf{n}_c \cdot \mathbf{x}\big) + \varepsilon, $$ (images-scanner)
#
# where each coordinate of $\mathbf{x}$ runs from $-1$ to $1$ across the box, and $\varepsilon$ is noise.


# %%
def scan(volume, generator, bias=0.3):
    """A synthetic scanner, equation (images-scanner)."""
    chance = torch.rand(3, generator=generator)
    gain, curve, offset = 200 + 900 * chance[0], 0.7 + 0.6 * chance[1], 80 * chance[2]
    n = torch.nn.functional.normalize(torch.randn(3, generator=generator), dim=0)
    x, y, z = (torch.linspace(-1, 1, size) for size in volume.shape[1:])
    field = torch.exp(bias * (n[0] * x[:, None, None] + n[1] * y[:, None] + n[2] * z))
    clean = offset + gain * volume.data.clamp(min=0) ** curve * field
    return clean + 0.02 * gain * torch.randn(clean.shape, generator=generator)


head = resample(brain, spacing=2)
tissue = {
    "white": resample(template.white, like=head).data > 0.9,
    "grey": resample(template.grey, like=head).data > 0.9,
}
inside = resample(template.mask, like=head).data > 0.5
generator = run.fresh_generator(2)
scans = [scan(head, generator) for _ in range(6)]

# %% [markdown]
# Two remedies are common {cite}`shinohara2014,nyul1999,reinhold2019`. The {term}`z-score` takes mean and standard deviation *inside the brain* and gives
# $(I - m) / \sigma$. Percentile scaling maps the 1st {term}`percentile` to 0 and the 99th to 1. Both can undo gain and
# offset exactly, since these are linear. Neither can undo a curve or a bias field.

# %%
voxels = scans[0][inside]
by_hand = (scans[0] - voxels.mean()) / voxels.std(correction=0)
torch.testing.assert_close(by_hand, z_score(scans[0], mask=inside), rtol=1e-4, atol=1e-4)

low, high = np.percentile(voxels.numpy(), (1, 99))
by_hand = ((scans[0] - low) / (high - low)).clamp(0, 1)
scaled = percentile_scale(scans[0], 1, 99, mask=inside)
torch.testing.assert_close(by_hand, scaled, rtol=1e-4, atol=1e-4)

# %% tags=["hide-input"]
shown = {
    "as scanned": (scans, "signal"),
    "z-score": ([z_score(scan, inside) for scan in scans], "standard deviations"),
    "percentiles 1–99": ([percentile_scale(scan, 1, 99, inside) for scan in scans], "scaled signal"),
}  # fmt: skip
figure, axes = plt.subplots(1, 3, figsize=(9.0, 2.9), sharey=False)
for ax, (name, (images, unit)) in zip(axes, shown.items(), strict=True):
    values = [image[inside].numpy() for image in images]
    span = np.percentile(np.concatenate(values), (0.2, 99.8))
    for sample, colour in zip(values, style.CYCLE, strict=True):
        counts, edges = np.histogram(sample, bins=90, range=span, density=True)
        ax.plot((edges[1:] + edges[:-1]) / 2, counts, color=colour, linewidth=1.3)
    ax.set(title=name, xlabel=unit, yticks=[])
axes[0].set_ylabel("share of brain voxels")
show(
    figure,
    caption="One brain, six synthetic scanners, each a colour. Left: the numbers mean nothing across scanners. Middle "
    "and right: gain and offset are gone; what remains apart is due to contrast curve and bias field.",
    alt="Histograms of six scans: far apart before, close together after z-score and percentile scaling",
)

# %% [markdown]
# After either remedy the six histograms nearly fall together; the spikes at both ends of the third are the voxels beyond the
# percentiles, which are clipped. Nearly: the bias field and the contrast curve still differ from scan to scan, and no formula that treats all voxels alike can narrow it. (A later lesson does, with {term}`N4`.)
#
# ## The experiment: what does each step cost?
#
# Two questions that papers rarely answer with numbers. **How much of an image survives being moved?** We turn it by 60°
# about some axis, six times, which brings every point back to where it began; nothing should have changed. **How far do the
# remedies bring scanners together?** We measure by how much the mean of white matter varies between scanners, in units of the
# distance between white and grey matter: the only contrast that matters.
#
# **Predict.** Order the three interpolations, nearest, linear and cubic, by the damage that they do. How many per cent of the
# range will be lost in six turns? (For the noise of a good clinical scan two per cent is a round number.)


# %%
def full_circle(block, axis, order, turns=6):
    """The block after equal turns about an axis, each resampled from the last."""
    centre = block.to_world((np.array(block.shape[1:]) - 1) / 2)
    turn = np.eye(4)
    degrees = 360 / turns * axis / np.linalg.norm(axis)
    turn[:3, :3] = Rotation.from_rotvec(degrees, degrees=True).as_matrix()
    turn[:3, 3] = centre - turn[:3, :3] @ centre
    moving = block
    for _ in range(turns):
        away = resample(moving, like=Volume(block.data, turn @ block.affine), order=order)
        moving = Volume(away.data, block.affine)  # it has turned, its grid has not
    return moving


# %%
def damage(block, moved):
    """RMS change, in % of the range, inside the ball that no turn takes out of the block."""
    x = torch.linspace(-1, 1, block.shape[1])
    inner = x[:, None, None] ** 2 + x[:, None] ** 2 + x**2 < 0.9**2
    error = (moved.data - block.data)[0][inner]
    return 100 * float(error.square().mean().sqrt() / (block.data.max() - block.data.min()))


# %% tags=["hide-input"]
repeats = run.pick(ci=3, cpu=8, gpu=12)
size = run.pick(ci=32, cpu=90, gpu=110)
low = np.array([99, 110, 90]) - size // 2
block = brain.crop(low, low + size)
axes_of_turning = torch.randn(repeats, 3, generator=run.fresh_generator(3)).numpy()
orders = ("nearest", "linear", "cubic")
moved = {order: [full_circle(block, axis, order) for axis in axes_of_turning] for order in orders}  # fmt: skip
moves = {order: [damage(block, after) for after in moved[order]] for order in orders}

figure, axes = plt.subplots(1, 4, figsize=(9.0, 2.7))
for ax, (name, volume) in zip(
    axes, {"before": block, **{o: moved[o][0] for o in orders}}.items(), strict=True
):
    slices.draw_slice(ax, volume.data[0], window=(0, 1))
    ax.set_title(name, fontsize=10)
show(
    figure,
    caption="A block of the brain before and after six turns of 60°. Nearest neighbours crumble, linear interpolation "
    "blurs, cubic splines keep most. (Black corners have been turned out of the block.)",
    alt="Four axial slices of a block: sharp before, ragged after nearest, blurred after linear, nearly sharp after cubic",
)


# %%
def apart(images):
    """Spread over scanners of the mean of white matter, in units of the distance to grey."""
    white = torch.stack([image[tissue["white"]].mean() for image in images])
    grey = torch.stack([image[tissue["grey"]].mean() for image in images])
    return float(white.std() / (white - grey).mean())


# %%
hospitals = run.pick(ci=3, cpu=8, gpu=8)  # each hospital: six scanners of its own
spread = {"as scanned": [], "z-score": [], "percentiles 1–99": []}
for hospital in range(hospitals):
    generator = run.fresh_generator(100 + hospital)
    images = [scan(head, generator) for _ in range(6)]
    spread["as scanned"].append(apart(images))
    spread["z-score"].append(apart([z_score(image, inside) for image in images]))
    scaled = [percentile_scale(image, 1, 99, inside) for image in images]
    spread["percentiles 1–99"].append(apart(scaled))

# %% tags=["hide-input"]
rows = [
    [f"change after six turns of 60°, {order}", "none given", f"{mean_interval(values).shown()} % of range"]
    for order, values in moves.items()
]  # fmt: skip
rows += [
    [
        f"white matter between scanners, {name}",
        "none given",
        f"{mean_interval(values).shown()} of the white–grey distance",
    ]
    for name, values in spread.items()
]
hu = {
    n: canonical.data[0, i - 3 : i + 4, j - 3 : j + 4, 0].mean().item() for n, ((i, j), _) in PLACES.items()
}  # fmt: skip
rows += [
    ["HU of lung (air: −1000, thesis eq. 3.7)", "above −1000", f"{hu['lung']:.0f} HU, CT_small"],
    [
        "HU of the spinal canal (water: 0, thesis eq. 3.7)",
        "near 0",
        f"{hu['spinal canal']:.0f} HU, CT_small",
    ],
    [
        "grid of the template (Fonov 2011)",
        "1 mm",
        f"{brain.spacing[0]:g} mm, {' × '.join(map(str, brain.shape[1:]))}",
    ],
]  # fmt: skip
table(
    ["quantity", "source says", "measured here"],
    rows,
    caption=f"Profile {run.profile.name}: {repeats} random axes, a block of {size}³ voxels of the ICBM 152 brain; "
    f"{hospitals} × 6 synthetic scanners. ± is the 95 % interval of the mean over axes or hospitals (Student's t).",
)
for order, bound in (("nearest", (4, 20)), ("linear", (2.5, 12)), ("cubic", (0.4, 3))):
    run.record(f"move_{order}", np.mean(moves[order]), low=bound[0], high=bound[1], unit="%", digits=2)  # fmt: skip
for key, name, bound in (
    ("raw", "as scanned", (0.4, 20)),
    ("zscore", "z-score", (0.0, 0.4)),
    ("percentile", "percentiles 1–99", (0.0, 0.5)),
):
    run.record(f"spread_{key}", np.mean(spread[name]), low=bound[0], high=bound[1], digits=2)

# %% [markdown]
# **Moving.** Six turns cost {glue:text}`move_nearest` of the range with nearest neighbours,
# {glue:text}`move_linear` with linear and {glue:text}`move_cubic` with cubic interpolation. Linear interpolation is a small blur,
# and each further resampling blurs again. So combine all moves into one matrix by equation {eq}`images-pull` and resample
# **once**.
#
# **Scanners.** Without a remedy, white matter varies by {glue:text}`spread_raw` times the distance between white and grey: a threshold
# learned on one scanner is worthless on the next. The z-score brings this to {glue:text}`spread_zscore`, percentiles to
# {glue:text}`spread_percentile`. The scanners are synthetic and their settings were drawn by us, so read the order of magnitude,
# not the digits.
#
# ## Where it breaks
#
# **A mirrored file that nobody sees.** Somebody loads the array, flips it (an image library with another idea
# of rows, an augmentation, a viewer's export) and saves it with the *old* affine. The parameter `flip_the_file` at the top
# provokes it. We compare the grey matter of the broken file with the truth by the {term}`Dice coefficient`, which is 1
# when two masks are the same.


# %%
def dice(first, second):
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def mirrored(data):
    return data.flip(1) if flip_the_file else data


grey = template.grey.data > 0.5
overlap_grey = dice(grey, mirrored(grey))
overlap_mark = dice(mark[None], mirrored(mark[None]))
if flip_the_file:
    assert overlap_grey > 0.99, "a flip must stay unseen in grey matter"
    assert overlap_mark == 0, "a flip must lose the mark"

# %%
# NBVAL_CHECK_OUTPUT
centre = torch.stack(torch.where(mirrored(mark[None])[0])).double().mean(dim=1)
print(f"Dice of grey matter {overlap_grey:.3f}, Dice of the mark {overlap_mark:.1f}")
x_mm = brain.to_world(centre)[0]
print(f"the mark now lies at x = {x_mm:+.0f} mm, was put at x = {MARK_MM[0]:+.0f} mm")

# %% [markdown]
# Every check on the template passes with flying colours, and the lesion is in the wrong hemisphere. Only something
# asymmetric reveals a flip: a mark, an aorta, a capsule of oil taped to the patient's right temple. Put one into
# your tests.
#
# **Labels that were never there.** A label map says 0 for background, 2 for grey and 3 for white matter. Bring
# it to another grid with linear interpolation, and between the labels there will be fractions. Round
# them, and you have invented classes:

# %%
# NBVAL_CHECK_OUTPUT
labels = torch.zeros_like(brain.data)
labels[template.grey.data > 0.5] = 2.0
labels[template.white.data > 0.5] = 3.0
label_map = brain.with_data(labels, "labels").crop((50, 60, 60), (150, 160, 120))
for order in ("nearest", "linear", "cubic"):
    values = resample(label_map, 1.5, order=order, antialias=False).data.round().unique()
    print(f"{order:8s} label values after rounding: {[int(value) for value in values]}")
    assert (len(values) == 3) == (order == "nearest")

# %% [markdown]
# Label 1 exists in no subject, and cubic splines overshoot beyond the smallest and the largest label. Worse, because it looks right: between
# background and white matter a value of 1.5 rounds to 2, and the white matter gets a thin rim of "grey matter". Use `order="nearest"` for labels; or, better where precision counts,
# resample the *fraction* of each class linearly and take the largest.
#
# **A file that is not what it says.** Truncated downloads are the commonest fault of all. Let us cut a file in half:

# %%
with tempfile.TemporaryDirectory() as folder:
    path = save_volume(label_map, Path(folder) / "labels.nii")
    again = load_volume(path)
    assert torch.equal(again.data, label_map.data)  # there and back, bit for bit
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    try:
        load_volume(path)
    except VolumeError as refusal:
        print(textwrap.fill(str(refusal).replace(folder, "..."), 76))

# %% [markdown]
# A reader that pads with zeros or returns garbage would have let this through to a training set.
#
# ## Exercises
#
# ### Exercise 1: find the voxel
#
# On paper: a file has the affine with diagonal $(-2, 2, 3, 1)$ and last column $(90, -126, -72, 1)$. Which voxel lies at
# $(30, -20, 9)$ mm? What is the orientation of the array?
#
# <details class="hint"><summary>Hint</summary>
#
# Write equation {eq}`images-affine` for each coordinate alone: $x = -2i + 90$. Each has one unknown.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# For the orientation, ask of each axis: when the index grows by one, does the world coordinate grow or shrink?
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $i = (90 - 30)/2 = 30$, $j = (-20 + 126)/2 = 53$, $k = (9 + 72)/3 = 27$. As $i$ grows, $x$ shrinks: the first axis runs to
# the left. The others run forward and up: **LAS**. The spacing is 2 × 2 × 3 mm; the minus sign is direction, not size.
#
# </details>
#
# ### Exercise 2: voxels to the world, in code
#
# Write `voxel_to_world(affine, voxels)` for an affine $(4, 4)$ and a batch of voxels $(N, 3)$, without a loop. The
# check tries a rotated affine and tells you what is wrong.
#
# <details class="hint"><summary>Hint</summary>
#
# You may add a column of ones, or use the $3 \times 3$ part and the last column separately.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# The matrix acts on columns, but your voxels are rows: $(M v)^T = v^T M^T$. So multiply by the transpose from the right.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# `voxels @ affine[:3, :3].T + affine[:3, 3]`. The cell after the exercise holds it as code.
#
# </details>


# %% tags=["hide-input"]
def check_voxel_to_world(voxel_to_world):
    turn = np.array([[0.0, -2, 0, 10], [1.5, 0, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [4, 5, 6]])
    given = voxel_to_world(turn, corners)
    if given is None:
        return "it returned nothing; return an array of shape (N, 3)."
    given = np.asarray(given)
    if given.shape != (4, 3):
        return f"for 4 voxels it returned shape {given.shape}, expected (4, 3)."
    if not np.allclose(given[0], (10, 20, 30)):
        return f"voxel (0, 0, 0) lies at {given[0]}, expected the last column of the affine, (10, 20, 30)."
    if np.allclose(given, corners @ turn[:3, :3] + turn[:3, 3]):
        return "you multiplied by the matrix where its transpose is needed: rows of voxels stand on the left."
    if not np.allclose(given, [[10, 20, 30], [10, 21.5, 30], [8, 20, 30], [0, 26, 48]]):
        return f"voxel (4, 5, 6) came out at {given[3]}, expected (0, 26, 48)."
    return None


# %% tags=["exercise"]
def voxel_to_world(affine, voxels):
    """World positions (N, 3) in mm of voxels (N, 3)."""
    ...  # your code here


judge(check_voxel_to_world, voxel_to_world)


# %% tags=["solution", "hide-cell"]
def voxel_to_world(affine, voxels):
    """World positions (N, 3) in mm of voxels (N, 3)."""
    # begin solution
    return voxels @ affine[:3, :3].T + affine[:3, 3]
    # end solution


judge(check_voxel_to_world, voxel_to_world)

# %% [markdown]
# ### Exercise 3: which window shows the bleed?
#
# Fresh blood has about 65 HU, grey matter 38, white matter 30. Compute the grey level (0 black, 1 white) of each in the brain window
# 40/80 and in a bone window 600/2800. In which is the difference between blood and grey matter larger, and by what factor?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`images-window` with $c - w/2 = 0$ HU for the brain window and $-800$ HU for the bone window.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Inside the window the grey level is a straight line of slope $1/w$. Differences therefore shrink with the width alone.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Brain window: blood $65/80 = 0.81$, grey matter $38/80 = 0.475$, white matter $30/80 = 0.375$. Bone window: $865/2800 = 0.309$,
# $838/2800 = 0.299$, $830/2800 = 0.296$. The difference between blood and grey matter is 0.34 against 0.0096: a factor of
# $2800/80 = 35$. In the bone window the bleed is invisible.
#
# </details>
#
# ### Exercise 4: break it yourself
#
# Set `flip_the_file = False` at the top and run the lesson again (or predict): what will the two Dice values be? Then think of a
# test that would catch the flip for a file with an *unmarked* symmetric brain. Is there one?
#
# <details class="hint"><summary>Hint</summary>
#
# A test can only use what differs between the right and the wrong file.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# For an exactly symmetric array, the flipped array is the same array. Which information is then left in the file?
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Both are 1. And no: the flipped file is identical to the right one, bit for bit, so no function of the file can tell them
# apart. Real brains are not symmetric (the left planum temporale is usually larger, the right frontal lobe often protrudes), but
# these differences are statistical. For certainty use a marker, or check the chain with one asymmetric phantom.
#
# </details>
#
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A network was trained on RAS arrays. A new hospital sends LPS arrays with correct affines. You ignore the affines. What does the network see?",
        ("The same images", "The arrays run the other way along two axes: the affine is the only thing that says so."),
        right("Images turned by 180° about the long axis of the body", "R and L are swapped and A and P are swapped: that is a rotation, not a mirror image. `to_canonical` undoes it."),
        ("Mirror images", "Two reversed axes make a rotation; one or three reversed axes make a mirror image."),
    ),
    question(
        "You must bring a label map with 10 classes from 1 mm to 1.3 mm. Which is safe?",
        ("Cubic interpolation, then rounding", "Splines overshoot, and rounding invents classes between two labels."),
        right("Linear interpolation of each class's own mask, then the largest", "Each mask becomes a fraction between 0 and 1, which means something, and the largest wins."),
        ("Linear interpolation of the labels", "The mean of class 2 and class 8 is not class 5."),
    ),
    question(
        "Two MR scans of one patient differ by gain, offset and a bias field. After z-scoring both inside the brain, what remains?",
        ("The gain", "The z-score divides by the standard deviation, which carries the gain."),
        ("The offset", "The z-score subtracts the mean, which carries the offset."),
        right("The bias field", "It multiplies each place by another factor; one mean and one deviation cannot know that."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - An image is an array **and** an affine; $A (i, j, k, 1)^T$ is the place of a voxel in millimetres, in the RAS world.
# - Orientation is a property of the array. Bring every subject to RAS with `to_canonical`; it moves no voxel.
# - Only something asymmetric can reveal a flip. Symmetric templates hide it.
# - Resample once, smooth before going coarser, and never interpolate label numbers.
# - HU have a meaning; look at them through a window. MR intensities have none until you normalise them, and a bias field survives
#   that.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | ICBM 152 template | average of 152 healthy adults, 1 mm, symmetric, skull-stripped; read from nilearn's package; it represents no single person and no disease |
# | `CT_small.dcm` | one anonymised CT slice of a chest, from pydicom's test files |
# | scanners, bias fields, mark | **synthetic**: drawn by the code of this page from the seed shown at its top |
# | claims | none about patients; the numbers of the experiment describe these simulations only |
#
# ## Further reading
#
# The NIfTI standard's own account of its two affines is short and worth an hour {cite}`cox2004nifti`; nibabel's tutorial on
# coordinate systems tells the same story with a photographer and a museum {cite}`brett_nibabel`. What DICOM is and why it is
# large: {cite}`mildenberger2002dicom`. Intensity normalisation is a field of its own: {cite}`nyul1999` match landmarks of
# histograms, {cite}`shinohara2014` say what a good method should fulfil, {cite}`reinhold2019` measure what normalisation
# does to image synthesis.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
