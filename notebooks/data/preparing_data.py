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
#     - start/images_in_space
#     - data/a_head_to_scan
#     - physics/mr_artifacts
#     summary: What happens to scans before a network sees them, each step measured,
#       and how data leak from test to training.
#     weights: []
# ---

# %% [markdown]
# # Preparing data
#
# Between the scanner and the network stands a chain of small steps: remove the shading, find the brain, put all heads in one pose and one scale of numbers,
# cut patches, divide the subjects. Papers give it a paragraph. It decides more results than many a network does, and it can be wrong without any error message.
# Here we know the truth of every head, so each step can be measured.
#
# **You will be able to**
#
# - choose an intensity normalisation, and measure whether the same tissue gets the same number
# - take off bias and skull, in the right order, and say what errors at the border cost
# - register a scan to a reference, and recognise a registration that has failed
# - augment image and label by one draw, with changes that the modality can bear
# - cut patches by a law, put a volume together again, and split data so that nothing leaks
#
# **You need** [Images in space](../start/images_in_space.ipynb): grids, windows, z-scores, resampling; [A head to scan](a_head_to_scan.ipynb): synthetic heads and their shares; [MR artefacts](../physics/mr_artifacts.ipynb): the bias field and N4.

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
data_root = None  # a folder of IXI: then the splits at the end are measured on real heads
radius_mm = 4.0  # of skull stripping
turn_deg = 150.0  # in "Where it breaks": how far the patient was turned

# %% tags=["hide-input"]
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import ndimage

from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.datasets import open_ixi
from medlab.cohorts.deformation import affine_about
from medlab.cohorts.grid import HEAD_MM, Grid
from medlab.cohorts.scan import T1, T2, ct_image, mr_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.data import Volume, resample
from medlab.data.augment import Affine, BiasField, Compose, Elastic, Flip, Gamma, Noise
from medlab.data.patches import PatchSampler, centre_law, sliding_window
from medlab.data.readers.equalise import equalise
from medlab.data.register import RigidTransform, register_rigid
from medlab.data.samples import Sample
from medlab.data.skull import strip_skull, tissue_depth_mm
from medlab.data.splits import split_by_subject
from medlab.data.transforms import percentile_scale, z_score
from medlab.metrics import mean_interval
from medlab.physics.mri.artifacts import n4_correction
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
MM = run.pick(ci=3.0, cpu=2.5, gpu=1.5)
GRID = Grid(tuple(round((length + 14) / MM) for length in HEAD_MM), (MM,) * 3)
ages = run.pick(ci=(30.0, 75.0), cpu=(25.0, 40.0, 60.0, 78.0), gpu=(25.0, 40.0, 60.0, 78.0))
SCANNERS = run.pick(ci=2, cpu=4, gpu=6)
shrink = round(12 / MM)  # N4 works on voxels of about 12 mm


def pose(number, angle_deg=12.0, shift_mm=6.0):
    """How a patient happens to lie."""
    x = (2 * torch.rand(6, generator=run.fresh_generator(50 + number)) - 1).tolist()
    return {"angles_deg": tuple(angle_deg * a for a in x[:3]), "shift_mm": tuple(shift_mm * a for a in x[3:])}  # fmt: skip


def scan(person, number):
    """A T1 scan on a synthetic scanner, which has its own sequence, gain and bias field."""
    flip, repetition, gain, bias = torch.rand(4, generator=run.fresh_generator(100 + number)).tolist()  # fmt: skip
    sequence = replace(T1, flip_angle_deg=20 + 18 * flip, repetition_time_ms=18 + 14 * repetition)  # fmt: skip
    image = mr_image(people[person], sequence, 10 * person + number, bias=0.15 + 0.25 * bias)
    return Volume(10 ** (2.5 + 0.5 * (number % 3) + 0.2 * gain) * image[None], GRID.affine)


def flattened(image, mask):
    """Without its bias field, as far as N4 finds it."""
    return image.with_data(n4_correction(image.data[0], mask, shrink=shrink, iterations=20)[0][None])  # fmt: skip


people = [draw_subject(draw_person(seed + n, age, **pose(n)), GRID) for n, age in enumerate(ages)]  # fmt: skip
straight = draw_subject(draw_person(seed, ages[0], **pose(0, 0.0, 0.0)), GRID)
brains = [brain_mask(person) for person in people]
scans = {(n, k): scan(n, k) for n in range(len(people)) for k in range(SCANNERS)}
reference = Volume((mr_image(straight, T1, seed, bias=0.0) * brain_mask(straight))[None], GRID.affine)  # fmt: skip
fast = {"steps_mm": (8.0, 4.0), "samples": run.pick(ci=4000, cpu=10_000, gpu=30_000)}


def prepare(image):
    """The whole chain: skull, bias, pose, intensity."""
    brain = strip_skull(image, radius_mm=radius_mm)
    even = flattened(image, brain)
    even = even.with_data(even.data * brain)
    moved = register_rigid(even, reference, **fast).apply(even, like=reference)
    return moved.with_data(percentile_scale(moved.data, 1, 99, moved.data > 0))


def draw(ax, data, window, title="", **settings):
    slices.draw_slice(ax, data, window=window, spacing=(MM,) * 3, **settings)
    ax.set_title(title, fontsize=10)


def draw_border(ax, mask, colour):
    """The outline of a mask on the middle slice."""
    image = slices.slice_image(mask.float(), "axial", mask.shape[2] // 2)[::-1]
    ax.contour(image, [0.5], colors=[colour], linewidths=1.2, extent=(0, mask.shape[0] * MM, 0, mask.shape[1] * MM))  # fmt: skip


number = min(3, len(people))
figure, axes = plt.subplots(2, number, figsize=(2.2 * number, 5.4))
top = float(np.median([scans[n, n].data.quantile(0.995) for n in range(number)]))
for n in range(number):
    draw(axes[0, n], scans[n, n].data[0], (0, top), f"scanner {n}")
    draw(axes[1, n], prepare(scans[n, n]).data[0], (0, 1), "prepared")
show(
    figure,
    caption="Synthetic people from as many synthetic scanners. Above: as they come, all in one window. Below: skull off, bias out, turned to one pose, scaled between two percentiles, again in one window.",
    alt="Above tilted head slices, of which one is dark and another saturated; below brains in the same pose and the same greys",
)

# %% [markdown]
# All heads, scanners and scans on this page are {term}`synthetic <synthetic data>`; pictures are in {term}`radiological convention`. The chain behind the lower row has four lines. We take it apart in the order in which it is best understood, then come to what happens
# to the prepared scans: augmentation, patches and splits.
#
# ## Numbers without a unit
#
# A Hounsfield unit means the same everywhere (thesis eq. 3.7 {cite}`thesis`); for CT a {term}`window` is enough. An MR signal carries the gain of its receiver and the settings of its sequence. Four remedies, from mild to strong. The {term}`z-score` takes mean $m$ and standard deviation $\sigma$ over the brain
# ({cite}`zoothesis`, sections 5.4 and 6.1: over the voxels that are not zero); {term}`percentile` scaling takes two percentiles (thesis, chapter 7, section 3: the 1st and the 99th). *Equalisation* replaces a value by its rank, *matching* {cite}`nyul1999` goes on to the value that has this rank in a reference scan:
#
# $$ z = \frac{I - m}{\sigma}, \qquad p = \frac{I - q_1}{q_{99} - q_1}, $$ (prep-linear)
#
# $$ e = F(I) = \frac{\text{voxels of the brain below } I}{\text{voxels of the brain}}, \qquad r = F_\text{ref}^{-1}(e). $$ (prep-rank)
#
# The thesis equalises CT, since its dynamic range is so high (chapter 6, section 3.3). In code, and by hand:

# %%
image, brain = scans[1, 0].data[0], brains[1]
ordered = image[brain].sort().values
rank = torch.searchsorted(ordered, image[brain]) / len(ordered)  # (prep-rank)
torch.testing.assert_close(rank, equalise(image, brain)[brain], rtol=0, atol=3e-3)
by_hand = (image - image[brain].mean()) / image[brain].std(correction=0)  # (prep-linear)
torch.testing.assert_close(by_hand, z_score(image, brain), rtol=1e-3, atol=1e-3)

# %% [markdown]
# Did it help? The same tissue should get the same number. Take the mean $\mu_{ts}$ of tissue $t$ on scanner $s$ (true tissue: voxels that are 95 % of it), and compare its spread with the distance that a network lives on, that between white and grey matter:
#
# $$ d_t = \operatorname{sd}_s(\mu_{ts}) \,\big/\, \big|\operatorname{mean}_s(\mu_{\text{white},s} - \mu_{\text{grey},s})\big| . $$ (prep-spread)
#
# **Predict.** Which row of the table will be worst after "as scanned"? And if a large tumour darkens a part of the brain, what happens to the numbers of healthy tissue elsewhere?

# %%
PURE = {"white": ("white matter",), "grey": ("grey matter",), "fluid": ("ventricular csf",)}
pure = [{t: p.share(*names) > 0.95 for t, names in PURE.items()} for p in people]


def apart(means, over):
    """Equation (prep-spread), averaged over the tissues in the last axis."""
    distance = (means[..., 0] - means[..., 1]).mean(over, keepdim=True).abs()
    return (means.std(over, keepdim=True) / distance[..., None]).mean(-1).flatten()


even = {key: flattened(image, brains[key[0]]) for key, image in scans.items()}
METHODS = {
    "as scanned": lambda n, k: scans[n, k].data[0],
    "z-score, whole image": lambda n, k: z_score(scans[n, k].data[0]),
    "z-score in the brain": lambda n, k: z_score(scans[n, k].data[0], brains[n]),
    "percentiles in the brain": lambda n, k: percentile_scale(scans[n, k].data[0], 1, 99, brains[n]),
    "equalised in the brain": lambda n, k: equalise(scans[n, k].data[0], brains[n]),
    "N4, then percentiles": lambda n, k: percentile_scale(even[n, k].data[0], 1, 99, brains[n]),
    "N4, then equalised": lambda n, k: equalise(even[n, k].data[0], brains[n]),
}  # fmt: skip


# %% tags=["hide-input"]
def tissue_means(images):
    """The mean of each pure tissue in some images of each person, (people, images, tissues)."""
    return torch.tensor([[[float(image[t].mean()) for t in pure[n].values()] for image in row] for n, row in enumerate(images)])  # fmt: skip


means = {name: tissue_means([[method(n, k) for k in range(SCANNERS)] for n in range(len(people))]) for name, method in METHODS.items()}  # fmt: skip
means["CT in HU, 100 to 140 kV"] = tissue_means([[ct_image(p, 0, tube_voltage_kv=kv, reconstructed=False) for kv in (100.0, 120.0, 140.0)] for p in people])  # fmt: skip
spread = {name: (mean_interval(apart(found, 1)), mean_interval(apart(found, 0))) for name, found in means.items()}  # fmt: skip
table(
    ["intensities", "between scanners", "between people"],
    [[name, one.shown(2), other.shown(2)] for name, (one, other) in spread.items()],
    caption=f"Spread of the same tissue, in units of the white–grey distance, mean of three tissues. {len(people)} synthetic people, each on {SCANNERS} synthetic scanners; ± is the 95 % interval over people (first column) or over scanners (second).",
)
for key, name, low, high in (("raw", "as scanned", 0.8, 20), ("whole", "z-score, whole image", 0.1, 3), ("zscore", "z-score in the brain", 0.02, 1), ("n4", "N4, then percentiles", 0.01, 0.6), ("ct", "CT in HU, 100 to 140 kV", 0.1, 1)):  # fmt: skip
    run.record(f"prep_{key}", spread[name][0].mean, low=low, high=high, digits=2)
distance = means["CT in HU, 100 to 140 kV"][..., :2].mean((0, 1)).diff()
run.record("prep_ct_distance", distance, low=1, high=12, unit="HU", digits=1)
ball = ((GRID.points() - torch.tensor([30.0, -30.0, 30.0])).norm(dim=-1) < 30) & brains[0]
clean = mr_image(people[0], T1, 1, bias=0.0)
white, grey = (pure[0][t] & ~ball for t in ("white", "grey"))
for key, scale in (("z", z_score), ("rank", equalise)):
    healthy, ill = (scale(one, brains[0]) for one in (clean, torch.where(ball, 0.45 * clean, clean)))  # fmt: skip
    moved = (ill - healthy)[grey].mean() / (healthy[white].mean() - healthy[grey].mean())
    run.record(f"prep_lesion_{key}", 100 * moved, low=4, high=30, unit="%", digits=0)
run.record("prep_lesion_ml", ball.sum() * MM**3 / 1000, low=80, high=120, unit="ml", digits=0)

figure, ax = plt.subplots(figsize=(5.6, 3.9))
chosen = [name for name in METHODS if name != "as scanned"]
for row, name in enumerate(chosen):
    scale = means[name] - means[name][..., 1].mean()
    scale = scale / scale[..., 0].mean()
    for t, (tissue, colour) in enumerate(zip(PURE, (style.ORANGE, style.BLUE, style.GREEN), strict=True)):  # fmt: skip
        values = scale[..., t].flatten().numpy()
        y = row + 0.22 * (t - 1) + np.linspace(-0.07, 0.07, len(values))
        ax.plot(values, y, "o", color=colour, markersize=4, alpha=0.8, label=tissue if row == 0 else None)  # fmt: skip
labels = [name.replace(", ", ",\n").replace(" in", "\nin") for name in chosen]
ax.set(yticks=range(len(chosen)), yticklabels=labels, ylim=(len(chosen) - 0.5, -0.5), xlabel="0: grey matter, 1: white matter, on average")  # fmt: skip
ax.legend(loc="upper left", ncols=3, bbox_to_anchor=(-0.1, 1.12), columnspacing=1, handletextpad=0.1)  # fmt: skip
show(
    figure,
    caption="The mean of each tissue in each scan, on a scale on which grey matter is at 0 and white matter at 1. A threshold between white (orange) and grey (blue) exists only where the two clouds do not overlap.",
    alt="Dots of white matter, grey matter and fluid in six rows; wide overlapping clouds for z-scores of the whole image, narrow separate clouds after N4 and percentiles",
)

# %% [markdown]
# As scanned, the same tissue lies {glue:text}`prep_raw` white–grey distances apart on two scanners: the number says more about the receiver than about the brain. All remedies take the gain away. A z-score over the whole image leaves {glue:text}`prep_whole`, since the share of air and scalp in the picture takes part in it; over the brain {glue:text}`prep_zscore`. Where N4 came first (the next section) {glue:text}`prep_n4` are left, so most of the rest was shading.
#
# Ranks come out best: they undo *every* monotone curve, because they force the same histogram on everyone. That is also a warning. All these remedies take their scale from the image itself, and so mix anatomy into it. We darkened a ball of {glue:text}`prep_lesion_ml` in one brain, as a large tumour with its oedema would, and looked at
# healthy grey matter elsewhere. Nothing has changed there, and yet its number moves by {glue:text}`prep_lesion_z` of the white–grey distance under the z-score and by {glue:text}`prep_lesion_rank` under ranks: more than a change of scanner does after N4.
#
# CT needs no remedy for gain. Its spread of {glue:text}`prep_ct` comes from the tube voltage, and it is large only because the distance between white and grey matter is {glue:text}`prep_ct_distance`. A fixed window keeps what HU are worth. Equalising CT, as the thesis does, spreads the few HU of the brain over many values, and gives the common scale away.
#
# ## Shading first
#
# The {term}`bias field` multiplies, so {term}`N4` looks for it as a sum of logarithms {cite}`tustison2010`:
#
# $$ \log I(\mathbf{x}) = \log J(\mathbf{x}) + \log b(\mathbf{x}), \qquad b \text{ smooth}. $$ (prep-bias)
#
# That fixes its place in the chain. It comes before any step that subtracts something, because a z-score is negative for much of the brain:

# %%
try:
    n4_correction(z_score(scans[1, 1].data[0], brains[1]), brains[1], shrink=shrink)
    raise AssertionError("N4 must refuse z-scores")
except ValueError as refusal:
    print(refusal)


# %% tags=["hide-input"]
def variation(images):
    """Standard deviation over mean of white matter, in per cent, mean over scans."""
    values = [image[pure[n]["white"]] for n, image in images]
    return 100 * float(np.mean([one.std() / one.mean() for one in values]))


unshaded = [(n, mr_image(p, T1, n, bias=0.0)) for n, p in enumerate(people)]
before, after = (
    [(n, image.data[0]) for (n, _), image in some.items()] for some in (scans, even)
)
for key, images, low, high in (("before", before, 4, 16), ("after", after, 1.5, 6), ("none", unshaded, 1.5, 5)):  # fmt: skip
    run.record(f"prep_bias_{key}", variation(images), low=low, high=high, unit="%", digits=1)

# %% [markdown]
# N4 takes the variation of white matter from {glue:text}`prep_bias_before` to {glue:text}`prep_bias_after`, where a scan without any bias field has {glue:text}`prep_bias_none`. [MR artefacts](../physics/mr_artifacts.ipynb) shows how it does that, and how it takes a large smooth lesion for bias. It wants a mask of the brain, while the mask would rather be found without bias; in practice a rough mask does, as in the first figure.
#
# ## The brain alone
#
# Most networks for brains are given brains only: BraTS comes stripped, dHCP with a mask. {term}`Skull stripping <skull stripping>` lives on one fact. Between bright scalp and brain there is a dark shell of bone and fluid. Call what is neither dark nor bright *tissue* (thresholds relative to Otsu's {cite}`otsu1979`); let $D(\mathbf{x})$ be the distance in mm from $\mathbf{x}$ to the nearest voxel that is none. The core is the largest piece of what lies deep, and it grows back by as much as it lost, and a margin {cite}`brummer1993`:
#
# $$ \begin{aligned} C_r &= \text{largest piece of } \{\mathbf{x}: D(\mathbf{x}) > r\}, \\ B &= \{\mathbf{x}: \operatorname{dist}(\mathbf{x}, C_r) \le r + 2\text{ mm}\}, \text{ filled.} \end{aligned} $$ (prep-core)
#
# Whatever is thinner than $2r$ comes off.
#
# **Predict.** What happens at $r = 1$ mm, what at 8 mm, and who suffers first?

# %%
whole = scans[1, 0]
depth_mm = tissue_depth_mm(whole)  # of each voxel in what is neither dark nor bright
pieces, count = ndimage.label(depth_mm > radius_mm)  # (prep-core)
core = pieces == 1 + ndimage.sum_labels(pieces > 0, pieces, range(1, count + 1)).argmax()
found = strip_skull(whole, radius_mm=radius_mm)
assert found[torch.from_numpy(core)].all()  # the core, grown back and filled


# %% tags=["hide-input"]
def dice(a, b):
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


figure, axes = plt.subplots(1, 3, figsize=(6.6, 2.9))
middle = GRID.shape[2] // 2
draw(axes[0], torch.from_numpy(depth_mm).float(), (0, 10), "depth in tissue", cmap="viridis")
for ax, mask, title in ((axes[1], core, "core"), (axes[2], found.numpy(), "found")):
    draw(ax, whole.data[0], (0, float(whole.data.quantile(0.99))), title)
    slices.draw_mask(ax, mask, index=middle, spacing=(MM,) * 3, opacity=0.4)
    draw_border(ax, brains[1], style.BLUE)
show(
    figure,
    caption="Skull stripping in three steps: the depth of each voxel in tissue (0 to 10 mm); what is deeper than the radius, largest piece; the same, grown back and filled (orange). Blue: the border of the true brain with its fluid.",
    alt="A depth map of a head slice; the core of the brain in orange; the found brain in orange, which nearly fills the blue outline of the true one",
)
radii = run.pick(ci=(1.0, 4.0), cpu=(1.0, 2.0, 3.0, 4.0, 6.0, 8.0), gpu=(1.0, 2.0, 3.0, 4.0, 6.0, 8.0))  # fmt: skip
curves = [{r: strip_skull(scans[n, 0], radius_mm=r) for r in radii} for n in range(len(people))]
scores = [[dice(mask, brains[n]) for mask in row.values()] for n, row in enumerate(curves)]
figure, ax = plt.subplots(figsize=(5.2, 2.9))
for row, age in zip(scores, ages, strict=True):
    ax.plot(radii, row, "o-", markersize=4, label=f"{age:.0f} years")
ax.set(xlabel="radius (mm)", ylabel="Dice with the true brain", ylim=(None, 1))
ax.legend()
show(
    figure,
    caption="One parameter, and what it does to the masks of synthetic people. Small: the scalp hangs on. Large: gyri fall off, first in old brains, whose gyri are thin.",
    alt="Curves of Dice against radius, which rise steeply and fall slowly beyond 4 mm, most steeply for the oldest",
)
less = torch.from_numpy(ndimage.binary_erosion(brains[1]))
run.record("prep_strip", np.mean([row[radii.index(4.0)] for row in scores]), low=0.75, high=0.99, digits=2)  # fmt: skip
run.record("prep_leak", scores[1][0], low=0.6, high=0.9, digits=2)
run.record("prep_voxel", dice(less, brains[1]), low=0.8, high=0.98, digits=2)
run.record("prep_volume", 100 - 100 * float(less.sum() / brains[1].sum()), low=4, high=20, unit="%", digits=0)  # fmt: skip
for key, mask, low, high in (("true", brains[1], 0.8, 2), ("less", less, 0.7, 2), ("leak", curves[1][1.0], -0.5, 0.8)):  # fmt: skip
    z = z_score(even[1, 0].data[0], mask)[pure[1]["white"]].mean()
    run.record(f"prep_z_{key}", z, low=low, high=high, digits=2)

# %% [markdown]
# At 4 mm the Dice is {glue:text}`prep_strip` on average over these people, close to what the true mask keeps when its border moves by one voxel ({glue:text}`prep_voxel`). At 1 mm the brain is still tied to muscle and skin, and the Dice is {glue:text}`prep_leak`. A large radius eats gyri, those of the oldest first. There is no best radius for all, which is why people use programs that know the shape of a brain {cite}`smith2002` or have learned it {cite}`isensee2019`.
#
# What does an error cost? One voxel all round is {glue:text}`prep_volume` of the volume, too much for any study of volumes; the z-score of white matter hardly notices ({glue:text}`prep_z_true` with the truth, {glue:text}`prep_z_less` with one voxel less). Scalp left on is the other way round: it moves white matter to {glue:text}`prep_z_leak`. Judge a mask by the step that comes after it.
#
# ## Another grid
#
# [Images in space](../start/images_in_space.ipynb) measured what each order of interpolation costs, why one smooths before going to a coarser grid, and that a label must not be interpolated as a number. In the chain three rules follow. Interpolate *once*: collect all moves in one matrix, and resample at the end. Voxels of one size for all, in mm. And mind thick slices (MRBrainS: 0.96 × 0.96 × 3 mm, {cite}`zoothesis`, chapter 5): labels are drawn on them, while a network wants cubes. With shares $f_c$ of the classes on the thick slices, and the weights $w$ of linear interpolation, the label on the fine grid is
#
# $$ L(\mathbf{x}) = \arg\max_c \sum_\mathbf{v} w_\mathbf{v}(\mathbf{x})\, f_c(\mathbf{v}). $$ (prep-shares)
#
# Exercise 3 does that, and measures it against the two short cuts.
#
# ## One pose
#
# In a rigid {term}`registration` one seeks the turn and shift $T$ that make a moving image most like a reference. The thesis registers its CT to a volume that was chosen by hand (chapter 6, section 3.3, with the program AirLab; it does not name the measure). Within one contrast a correlation would do. Between contrasts the measure is {term}`mutual information` {cite}`maes1997,mattes2003` ({cite}`seedmath`, under multi-modal registration), from the joint histogram $p(a, b)$ of both images' values at the same places:
#
# $$ \begin{aligned} T^* &= \arg\max_T \mathrm{MI}\big(I_\text{ref},\, I \circ T\big), \\ \mathrm{MI} &= \sum_{a,b} p(a, b) \log \frac{p(a, b)}{p(a)\, p(b)}. \end{aligned} $$ (prep-mi)
#
# It asks only whether one value tells the other, never whether they are equal.
#
# **Predict.** Move the T2 away from the T1 in the figure. What happens to the spots in the histogram? From how far could a climber who only feels the slope find the summit?


# %%
def joint_histogram(a, b, bins=32):
    """The share of voxels for each pair of intensities, (bins, bins)."""
    counts = np.histogram2d(a.flatten(), b.flatten(), bins)[0]
    return counts / counts.sum()


def mutual_information(p):
    """Equation (prep-mi), in nats."""
    apart = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    return float((p[p > 0] * np.log(p[p > 0] / apart[p > 0])).sum())


def motion(angles_deg=(0.0,) * 3, shift_mm=(0.0,) * 3):
    """A turn about the head's middle, then a shift."""
    matrix = affine_about(GRID.centre_mm, (1.0,) * 3, angles_deg)
    matrix[:3, 3] += shift_mm
    return RigidTransform(matrix)


# %% tags=["hide-input"]
t1, t2, ct = (Volume(image[None], GRID.affine) for image in (mr_image(straight, T1, 1), mr_image(straight, T2, 2), ct_image(straight, 3, reconstructed=False)))  # fmt: skip
small = resample(t1, 5.0)


def compared(moved_by):
    """T2 on the grid of T1, their joint histogram and mutual information."""
    there = moved_by.apply(t2, like=small)
    p = joint_histogram(small.data.numpy(), there.data.numpy())
    return there, p, mutual_information(p)


shifts = [float(mm) for mm in range(-48, 49, 4)]
by_shift = {mm: compared(motion(shift_mm=(mm, 0.0, 0.0))) for mm in shifts}


def draw_shift(shift_mm):
    there, p, information = by_shift[shift_mm]
    figure, axes = plt.subplot_mosaic([["both", "joint"], ["curve", "curve"]], figsize=(5.4, 5.0), height_ratios=(1.5, 1))  # fmt: skip
    red, cyan = (slices.slice_image(image.data[0] / image.data.quantile(0.99), "axial", small.shape[3] // 2) for image in (small, there))  # fmt: skip
    axes["both"].imshow(np.stack([red, cyan, cyan], -1).clip(0, 1))
    axes["both"].set_axis_off()
    slices.mark_sides(axes["both"], "R", "L")
    axes["both"].set_title("T1 red, T2 cyan", fontsize=10)
    axes["joint"].imshow(np.log10(p.T + 1e-6), origin="lower", cmap="magma", vmin=-6, vmax=-1).set_gid("voxels-joint")  # fmt: skip
    axes["joint"].set(xlabel="T1", ylabel="T2", xticks=[], yticks=[])
    axes["joint"].set_title("joint histogram (log)", fontsize=10)
    axes["curve"].plot(shifts, [one[2] for one in by_shift.values()], color=style.BLUE)
    axes["curve"].plot(shift_mm, information, "o", color=style.ORANGE)
    axes["curve"].set(xlabel="shift (mm)", ylabel="mutual information", ylim=(0, None))
    return figure


explore(
    draw_shift,
    caption="One synthetic head in T1 and T2, the T2 shifted to the right. Where the two lie upon one another, the histogram shrinks to a few spots: knowing one intensity tells the other.",
    alt=lambda shift_mm: f"Overlay of T1 and T2 at a shift of {shift_mm:g} mm, their joint histogram, and mutual information {by_shift[shift_mm][2]:.2f} on its curve",
    labels={"shift_mm": "shift (mm)"},
    start={"shift_mm": 16.0},
    shift_mm=shifts,
)  # fmt: skip

# %% tags=["hide-input"]
PLACES = np.array([[x, y, z] for x in (-65, 65) for y in (-85, 50) for z in (-40, 75)])  # on the head  # fmt: skip


def error_mm(found, moved_by):
    """How far places on the head end from where they belong, on average."""
    left = RigidTransform(found.matrix @ moved_by.matrix)
    return float(np.linalg.norm(left.to_reference(PLACES) - PLACES, axis=1).mean())


starts = [motion(**pose(n, 20.0, 15.0)) for n in range(run.pick(ci=2, cpu=6, gpu=12))]
errors = {"before": [error_mm(RigidTransform(np.eye(4)), by) for by in starts]}
for name, image, metric in (("T2 to T1, mutual information", t2, "mutual information"), ("CT to T1, mutual information", ct, "mutual information"), ("T2 to T1, correlation", t2, "correlation")):  # fmt: skip
    errors[name] = [error_mm(register_rigid(by.place(image), t1, metric=metric, **fast), by) for by in starts]  # fmt: skip
table(
    ["registration", "error"],
    [[name, f"{mean_interval(values).shown(1)} mm"] for name, values in errors.items()],
    caption=f"Mean distance of eight places on the head from where they belong. {len(starts)} random poses of a synthetic head, turned by up to 20° about each axis and shifted by up to 15 mm; ± is the 95 % interval over poses.",
)
for (key, low, high), values in zip((("before", 10, 45), ("mi", 0, 2.5), ("ct", 0, 2.5), ("cc", 3, 60)), errors.values(), strict=True):  # fmt: skip
    run.record(f"prep_reg_{key}", np.mean(values), low=low, high=high, unit="mm", digits=1)

# %% [markdown]
# The curve falls to both sides without a second summit, so from 48 mm away a climber still feels the way home. `register_rigid` climbs in six dimensions, first on smoothed images with voxels of 8 mm, where the hill is broad, then finer. From poses {glue:text}`prep_reg_before` away it ends at {glue:text}`prep_reg_mi` for T2 and {glue:text}`prep_reg_ct` for CT.
#
# Two things surprised us. Correlation does not fail by getting lost: it ends {glue:text}`prep_reg_cc` away *every time*, because for T1 and T2 its summit lies there. And the intervals are almost zero for all three. The search is not the weak part. What is left is the error of the criterion, which more iterations will not mend.
#
# A shift or turn changes only the affine (`RigidTransform.place`), so the scan is interpolated once, at the end. For CQ500 `normalise(sample, reference=...)` in `medlab.data.readers.cq500` does the chain of the thesis: 1 mm, 256³, registration, equalisation.
#
# ## More heads than there are
#
# {term}`Augmentation <augmentation>` shows the network other images of which the answer is still known. It has one law: image and label are changed by *the same draw*. Parameters $\theta$ are drawn once, then applied, to the image by linear and to the label by nearest-neighbour interpolation {cite}`perezgarcia2021`:
#
# $$ \theta \sim p(\theta), \qquad (I', L') = \big(A_\theta^\text{linear} I,\; A_\theta^\text{nearest} L\big). $$ (prep-one)
#
# In `medlab.data.augment` a transform first draws plain numbers, which can be printed, stored and replayed.

# %%
ventricles = (people[1].share("ventricular csf") > 0.5).to(torch.uint8)
sides = {"bleeding_left": True, "bleeding_right": False}
names = {0: "other", 1: "ventricles"}
sample = Sample("synthetic", even[1, 0], ("T1",), ventricles, names, facts=sides)
space = Compose((Flip(), Affine(0.1, 12.0, 8.0), Elastic(14.0, 36.0)))
steps = (*space.steps, Gamma(), BiasField((0.2, 0.5)), Noise((0.0, 0.1), rician=True))
augmentation = Compose(steps)
drawn = augmentation.draw(seed=7)  # plain numbers, for image, label and mask alike
again = augmentation.replay(sample, drawn)
assert torch.equal(again.image.data, augmentation(sample, seed=7).image.data)
print(drawn["steps"][0])
print(dict(again.facts))

# %% tags=["hide-input"]
white = float(even[1, 0].data[0][pure[1]["white"]].mean())
figure, axes = plt.subplots(2, 2, figsize=(5.2, 6.0))
for ax, number in zip(axes.flat, (None, 7, 8, 9), strict=True):
    other = sample if number is None else augmentation(sample, number)
    draw(ax, other.image.data[0], (0, 1.6 * white), f"seed {number}" if number else "as it was")
    slices.draw_mask(ax, other.label, index=middle, spacing=(MM,) * 3, opacity=0.5)
show(
    figure,
    caption="One synthetic head and three others made of it, with the label of the ventricles (orange). The label goes wherever the image goes.",
    alt="A head slice and three augmented ones, mirrored, turned, bent and shaded; the orange ventricles fit in all of them",
)
pairs = [(space(sample, n), space(sample, n + 1000)) for n in range(run.pick(ci=3, cpu=8, gpu=20))]  # fmt: skip
limit = 0.85 * even[1, 0].data[0][pure[1]["grey"]].mean()
dark = [[float((one.image.data[0] < limit)[two.label > 0].float().mean()) for two in (one, other)] for one, other in pairs]  # fmt: skip
for key, share, low in (("law", np.mean(dark, 0)[0], 65), ("broken", np.mean(dark, 0)[1], 5)):
    run.record(f"prep_{key}", 100 * share, low=low, high=low + 35, unit="%", digits=0)
run.record("prep_broken_dice", np.mean([dice(one.label > 0, other.label > 0) for one, other in pairs]), low=0, high=0.6, digits=2)  # fmt: skip

# %% [markdown]
# Mind the facts, too: `Flip` exchanges `bleeding_left` and `bleeding_right`. Did the label stay on the ventricles? In T1 they are dark: {glue:text}`prep_law` of the labelled voxels are darker than 85 % of grey matter. With a draw of its own for the label it would be {glue:text}`prep_broken`, and the two labels overlap with a Dice of {glue:text}`prep_broken_dice`. Nothing crashes: the shapes fit, and a loss can be computed. This one number, looked at now and then, catches it.
#
# Which augmentation is right is a question of physics: could a scanner, or another patient, have made this image with this answer?
#
# | change | MR | CT | not where |
# | --- | --- | --- | --- |
# | left–right flip | yes | yes | the side is the answer, or it must be flipped as well |
# | small turn, shift, scale | yes | yes | size or pose is the answer |
# | elastic bend | mild | mild | shape or volume is the answer |
# | gamma, gain | yes | no: HU mean something | the contrast is the answer |
# | bias field, ghosts, motion | yes | no such effect | |
# | noise | Rician | Gaussian | |
# | lower resolution | yes | yes | the answer is finer than what is left |
#
# ## Patches
#
# A volume of 256³ with its activations does not fit on a GPU, so one trains on sub-volumes. *Which* is a choice that the network feels. {cite}`zoothesis` (section 5.4) draws evenly from those that are not empty, since empty ones unsettle training. Foreground-weighted laws prefer what is rare. PatchDDM favours the middle: along each axis the first voxel is a sum of two even draws (thesis, chapter 7, figure 6; the figure says a third and two thirds of the range, the code that came with it a quarter and three quarters, which we follow). A voxel is covered with the probability
#
# $$ \begin{aligned} P(x) &= \sum_{o = x - s + 1}^{x} p(o), \qquad o = o_1 + o_2, \\ o_1 &\sim U\{0, \ldots, \tfrac{n}{4}\},\; o_2 \sim U\{0, \ldots, \tfrac{3n}{4}\}, \end{aligned} $$ (prep-coverage)
#
# with patches of side $s$ and $n$ offsets, and in 3D with the product over the axes.

# %%
SIDE = 32
LAWS = ("uniform", "foreground", "centre")
samplers = {law: PatchSampler(sample, SIDE, law, content=brains[1]) for law in LAWS}
patches = run.pick(ci=1000, cpu=3000, gpu=10_000)
firsts = {law: sampler.starts(patches, seed) for law, sampler in samplers.items()}


def covered_by(law):
    """Equation (prep-coverage): the chance of each voxel of an axis to lie in a patch."""
    box = torch.ones(1, 1, SIDE, dtype=torch.float64)
    return torch.nn.functional.conv1d(law[None, None], box, padding=SIDE - 1)[0, 0]


expected = covered_by(centre_law(GRID.shape[1] - SIDE))
places = torch.arange(GRID.shape[1])[:, None]
first = firsts["centre"][:, 1]
counted = ((first <= places) & (places < first + SIDE)).double().mean(1)

# %% tags=["hide-input"]
run.record("prep_law_gap", (counted - expected).abs().max(), low=0, high=0.06, digits=3)
figure, axes = plt.subplot_mosaic([LAWS, ["curve"] * 3], figsize=(6.2, 5.2), height_ratios=(1.2, 1))  # fmt: skip
for law, low in zip(LAWS, (60, 100, 60), strict=True):
    counts, held = torch.zeros(GRID.shape), []
    for x, y, z in firsts[law].tolist():
        counts[x : x + SIDE, y : y + SIDE, z : z + SIDE] += 1 / len(first)
        held.append(bool(ventricles[x : x + SIDE, y : y + SIDE, z : z + SIDE].any()))
    draw(axes[law], counts, (0, 0.5), law, cmap="viridis")
    draw_border(axes[law], brains[1], "white")
    run.record(f"prep_{law}_held", 100 * np.mean(held), low=low, high=100, unit="%", digits=0)
axes["curve"].plot(expected, color=style.BLUE, label="centre, by the law")
axes["curve"].plot(places[::4], counted[::4], "o", color=style.ORANGE, markersize=4, label="centre, counted")  # fmt: skip
even_law = torch.full((GRID.shape[1] - SIDE + 1,), 1 / (GRID.shape[1] - SIDE + 1), dtype=torch.float64)  # fmt: skip
axes["curve"].plot(covered_by(even_law), "--", color=style.MUTED, label="evenly, to compare")
axes["curve"].set(xlabel="voxel, from back to front", ylabel="covered by a patch", ylim=(0, 1))
axes["curve"].legend(loc="lower center")
show(
    figure,
    caption=f"How often a voxel lies in a patch of {SIDE}³, by three laws, from never (dark) to half of all patches (yellow); white: the brain. Below: along the axis from back to front, the centre-weighted law and what was counted.",
    alt="Three maps: flat over the brain, a spot around the ventricles, a broad spot in the middle of the volume; and a curve with dots upon it",
)

# %%
whole_image = even[1, 0].data / even[1, 0].data.max()
same = sliding_window(lambda patches: patches, whole_image, SIDE, overlap=0.5)
torch.testing.assert_close(same, whole_image, rtol=0, atol=0)  # the identity, bit by bit


def network(patches):
    """Stands for one that sees 3 voxels each way and takes what lies beyond its patch for 0."""
    return torch.nn.functional.avg_pool3d(patches, 7, stride=1, padding=3)


wanted = network(whole_image[None])[0]
blends = {}
for overlap, mode in ((0.0, "constant"), (0.5, "constant"), (0.5, "gaussian")):
    found = sliding_window(network, whole_image, SIDE, overlap, mode)
    error = (found - wanted).abs()[0][brains[1]].mean() / wanted[0][brains[1]].mean()
    blends[f"overlap {100 * overlap:.0f} %, {mode}"] = 100 * float(error)

# %% tags=["hide-input"]
table(
    ["put together", "error"],
    [[name, f"{value:.2f} %"] for name, value in blends.items()],
    caption="Mean error in the brain, relative to the mean result, of a 7³ mean computed patch by patch, against the same mean of the whole volume.",
)
for key, value, low, high in zip(("none", "constant", "gaussian"), blends.values(), (4, 4, 0), (30, 30, 2), strict=True):  # fmt: skip
    run.record(f"prep_blend_{key}", value, low=low, high=high, unit="%", digits=2)

# %% [markdown]
# Counts and law agree to {glue:text}`prep_law_gap`. Even an even law covers the border of the volume less often, since fewer patches reach there; the law of PatchDDM goes further. A piece of a ventricle is in {glue:text}`prep_uniform_held` of the uniform patches, in {glue:text}`prep_centre_held` of PatchDDM's, and in all of the foreground-weighted ones, by construction: whoever
# learns from these never sees a patch without. Look at such maps before you blame a network.
#
# The way back is blending. The identity comes back bit by bit. A network that pads is another matter, for it is wrong near the border of each patch. Side by side the patches are off by {glue:text}`prep_blend_none`. Overlap alone does not mend that ({glue:text}`prep_blend_constant` with plain means): the error is only spread out. A Gaussian weight, which trusts the middle of a patch {cite}`isensee2021`, leaves {glue:text}`prep_blend_gaussian`.
#
# ## The experiment: does it leak?
#
# Two slices of one head are nearly one image. If one is in training and the other in the test, the test asks for memory. {cite}`yagis2021` gave brains *random* labels, about which nothing can be learned, and their networks were right in 96 % of the cases when slices were split, and in 50 % when subjects were.
#
# We do the same with the simplest of all models. For each slice of the test it looks up the most similar slice of the training part and repeats what is known about it. It is asked for two things: the side of a coin that was tossed for each person, and the person's age. The splits are by slice, or by subject with `split_by_subject`; and two subtler leaks are tried with it, statistics taken over all data, and pixels that were chosen by everybody's answers.
#
# **Predict.** One of the two subtle leaks is harmless here. Which?

# %%
SLICES = 10
flat_grid = Grid((36, 44, SLICES), (5.0, 5.0, 4.0), (0.0, -17.0, 20.0))
count = run.pick(ci=6, cpu=24, gpu=100)
cohort = open_ixi(data_root, subjects=count, grid=flat_grid, seed=seed)
images = torch.stack([z_score(one.image.data[0]) for one in cohort])
features = images.permute(0, 3, 1, 2).flatten(0, 1).flatten(1)  # one row a slice
owner = torch.arange(len(cohort)).repeat_interleave(SLICES)


def nearest(features, test, answers):
    """What is known about the most similar slice of the training part."""
    return answers[~test][torch.cdist(features[test], features[~test]).argmin(1)]


# %% tags=["hide-input"]
def by_slice(number):
    """True for the slices of the test part, a quarter of them, whosever they are."""
    return torch.randperm(len(owner), generator=run.fresh_generator(number)) < len(owner) // 4


def by_subject(number):
    parts = split_by_subject(cohort, {"train": 0.75, "test": 0.25}, seed=number)
    return torch.tensor([cohort.subjects[n] in parts["test"].subjects for n in owner])


def scaled(among):
    """Mean 0, deviation 1 in each pixel, by the statistics of some of the slices."""
    return (features - features[among].mean(0)) / features[among].std(0).clamp(min=1e-3)


def chosen_pixels(answers, among, count=20):
    """The pixels that go best with the answers of some of the slices."""
    centred = answers[among].float() - answers[among].float().mean()
    best = (scaled(among)[among] * centred[:, None]).mean(0).abs().topk(count).indices
    return features[:, best]


# %% tags=["hide-input"]
names = ("slices at random", "by subject", "… statistics of all", "… pixels by all answers", "… pixels by training")  # fmt: skip
coin_hits, age_errors = {name: [] for name in names}, {name: [] for name in names[:3]}
years = torch.tensor([cohort.facts(n)["age_years"] for n in range(len(cohort))])[owner]
everyone = torch.ones(len(owner), dtype=torch.bool)
for number in range(run.pick(ci=20, cpu=20, gpu=40)):
    coins = torch.randint(2, (len(cohort),), generator=run.fresh_generator(500 + number))[owner]
    loose, apart_ = by_slice(number), by_subject(number)
    shown_features = (scaled(~loose), scaled(~apart_), scaled(everyone), chosen_pixels(coins, everyone), chosen_pixels(coins, ~apart_))  # fmt: skip
    for name, seen in zip(names, shown_features, strict=True):
        test = loose if name == names[0] else apart_
        coin_hits[name].append(100 * float((nearest(seen, test, coins) == coins[test]).float().mean()))  # fmt: skip
        if name in age_errors:
            age_errors[name].append(float((nearest(seen, test, years) - years[test]).abs().mean()))  # fmt: skip
rows = [[name, published, mean_interval(coin_hits[name]).shown(0), mean_interval(age_errors[name]).shown(1) if name in age_errors else "–"] for name, published in zip(names, ("96", "50", "–", "–", "–"), strict=True)]  # fmt: skip
table(
    ["split", "coin, published (%)", "coin (%)", "age (years)"],
    rows,
    caption=f"Nearest neighbour on slices of {len(cohort)} {'synthetic people' if data_root is None else 'people'}: right answers about a coin that was tossed for each person, and mean error of the age. {len(coin_hits[names[0]])} splits, each with new coins; ± is the 95 % interval over them. Published: a network on OASIS with random labels (Yagis et al. 2021).",
)
for key, name, low, high in zip(("slices", "subject", "statistics", "pixels", "pixels_train"), names, (80, 25, 25, 52, 25), (100, 75, 75, 100, 75), strict=True):  # fmt: skip
    run.record(f"prep_coin_{key}", np.mean(coin_hits[name]), low=low, high=high, unit="%", digits=0)  # fmt: skip
for key, value, low, high in (("slices", np.mean(age_errors[names[0]]), 0, 8), ("subject", np.mean(age_errors[names[1]]), 8, 45), ("guess", (years - years.mean()).abs().mean(), 5, 30)):  # fmt: skip
    run.record(f"prep_age_{key}", value, low=low, high=high, unit="years", digits=1)
assert np.mean(coin_hits[names[0]]) > np.mean(coin_hits[names[1]]) + 20, "slices must leak"
many = open_ixi(data_root, subjects=100, grid=flat_grid, seed=seed)
for key, fact, low, high in (("plain", None, 2.5, 10), ("stratified", "age_years", 0.5, 4.5)):
    tests = [split_by_subject(many, seed=number, stratify=fact)["test"] for number in range(40)]
    varies = np.std([np.mean([test.facts(n)["age_years"] for n in range(len(test))]) for test in tests])  # fmt: skip
    run.record(f"prep_age_{key}", varies, low=low, high=high, unit="years", digits=1)

# %% [markdown]
# **Slices.** The coin is right in {glue:text}`prep_coin_slices` of the cases, and the age to {glue:text}`prep_age_slices`, by a model that has learned nothing. With subjects apart it is {glue:text}`prep_coin_subject`, which is chance, and the age is wrong by {glue:text}`prep_age_subject`; who always says the mean age is wrong by {glue:text}`prep_age_guess`. The published pair is 96 % and 50 %, from a network on real scans; both tell the same story. Patches of one volume, scans of one person on two days and augmented copies leak in the same way.
#
# **Subtle leaks.** Means and deviations of everybody change little ({glue:text}`prep_coin_statistics`): they hold no answers. Do it properly all the same, because it costs nothing. Twenty pixels chosen by the answers of *all* people turn the same honest split into {glue:text}`prep_coin_pixels`; chosen in the training part alone, {glue:text}`prep_coin_pixels_train`. This is how whole fields have fooled themselves {cite}`ambroise2002,kapoor2023`. Whatever looks at answers belongs behind the split: choosing features, thresholds, the best epoch.
#
# **Stratify.** In a small test part chance decides who is in it. With 100 people and a tenth for the test, its mean age varies by {glue:text}`prep_age_plain` (standard deviation over 40 splits), and by {glue:text}`prep_age_stratified` with a {term}`stratified split` by age.
#
# ## Where it breaks
#
# A patient lies on the belly, or a header has two signs wrong. Then the search starts `turn_deg` degrees away.
#
# **Predict.** Does the climber still come home from there? If not, where does it stop, and does it report an error?

# %%
# NBVAL_CHECK_OUTPUT
turned = motion((0.0, 0.0, turn_deg))
lost, home = (register_rigid(by.place(t2), t1, **fast) for by in (turned, motion()))
print(f"turned by {turn_deg:g} degrees: ends {error_mm(lost, turned):.0f} mm away")
print(f"mutual information {lost.similarity:.1f}; from where it belongs {home.similarity:.1f}")
if 120 <= abs(turn_deg) <= 180:
    assert error_mm(lost, turned) > 50 and lost.similarity < 0.8 * home.similarity
if abs(turn_deg) <= 40:
    assert error_mm(lost, turned) < 3

# %% tags=["hide-input"]
usual = turn_deg == 150
run.record("prep_lost", error_mm(lost, turned), low=100 if usual else 0, high=250, unit="mm", digits=0)  # fmt: skip
run.record("prep_lost_mi", lost.similarity, low=0.2, high=0.65 if usual else 1.5, digits=2)
run.record("prep_home_mi", home.similarity, low=0.65, high=1.5, digits=2)
turns = range(-180, 181, run.pick(ci=30, cpu=10, gpu=10))
figure, axes = plt.subplot_mosaic([["curve", "curve"], ["start", "end"]], figsize=(5.4, 5.6), height_ratios=(1, 1.5))  # fmt: skip
axes["curve"].plot(turns, [compared(motion((0.0, 0.0, float(a))))[2] for a in turns], color=style.BLUE)  # fmt: skip
axes["curve"].axvline(turn_deg, color=style.ORANGE, linestyle="--", linewidth=1)
axes["curve"].set(xlabel="turn (degrees)", ylabel="mutual information", ylim=(0, None), xticks=range(-180, 181, 60))  # fmt: skip
for name, image in (("start", turned.place(t2)), ("end", lost.place(turned.place(t2)))):
    draw(axes[name], resample(image, like=t1).data[0], (0, float(t2.data.quantile(0.99))), f"at the {name}", sides=False)  # fmt: skip
    draw_border(axes[name], brain_mask(straight), style.GOLD)
show(
    figure,
    caption="Above: mutual information of T1 and T2 of one synthetic head against a turn about its long axis; dashed: the start. Below: the T2 at the start and where the search ended, with the outline of the brain in the T1. The head has found a resting place: back to front.",
    alt="A curve with a high narrow peak at 0 and low rises at both ends; a turned head, and one that fits the outline with its face at the back",
)

# %% [markdown]
# It ends {glue:text}`prep_lost` from home, without any complaint. A head fits into a head also back to front: at 180° there is a second summit, and from beyond about 90° the slope leads to it. Smoothing does not help, for the second hill is as broad as the first. Two remedies: start from several turns and keep the best; and *look at the value*. It is {glue:text}`prep_lost_mi` here and {glue:text}`prep_home_mi` at home, so among many registered scans the lost ones stand out. Set `turn_deg = 40`, then 70 and 100, and find the point of no return.
#
# ## Exercises
#
# ### Exercise 1: the order of steps
#
# A colleague prepares T1 scans thus: (1) z-score over the image, (2) N4, (3) registration to the template with resampling to 1 mm, (4) skull stripping, with the label drawn afterwards on the original scan, (5) slices of all scans shuffled, 80 % for training. Name four mistakes, and give an order that works.
#
# <details class="hint"><summary>Hint</summary>
#
# One step cannot even run after another. Two steps use voxels they should not. One pair no longer lies on the same grid.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# What does N4 say to negative numbers? What is in mean and deviation besides brain? Where does the label lie after step 3? Who is on both sides of step 5?
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# N4 refuses z-scores. The z-score counts air and scalp. The label is on the old grid: it must go through the same transform, by the nearest voxel or as shares. Slices of one subject are on both sides. An order that works: split the subjects; strip the skull; N4 inside the mask; register, and interpolate image and label once; z-score in the brain.
#
# </details>
#
# ### Exercise 2: the corner of the volume
#
# PatchDDM draws patches of 128³ from volumes of 256³, so there are $n = 128$ offsets along each axis, and 129 first voxels. With which probability does a patch cover the corner voxel of the volume? With which, if first voxels were drawn evenly? Does it matter?
#
# <details class="hint"><summary>Hint</summary>
#
# Only one offset covers the corner: 0 on each axis. Which two draws give it?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $o_1 = 0$ out of 33 values and $o_2 = 0$ out of 97; the three axes are independent.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $(1 / (33 \cdot 97))^3 =$ {glue:text}`prep_corner`, against $(1/129)^3 =$ {glue:text}`prep_corner_even`. The corner is never seen in training by either. In a padded head it holds air, so nothing is lost; in a volume that is cropped tightly around the brain the law would starve the cortex.
#
# </details>
#
# ### Exercise 3: a label from thick slices, in code
#
# `thick` holds the shares of four classes (outside, white matter, grey matter, fluid) of one synthetic head on slices three voxels thick, `fine` the same on cubes. Write `label_like(shares, like)` by equation {eq}`prep-shares`. To beat: taking the label of the nearest thick voxel gives a mean Dice of {glue:text}`prep_thick_nearest`; interpolating class numbers and rounding gives {glue:text}`prep_thick_rounded`. Why is rounding so bad?
#
# <details class="hint"><summary>Hint</summary>
#
# `resample` takes volumes of several channels, and `like` gives the new grid. What comes first, the interpolation or the decision?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Interpolate the four shares, then `argmax` over the first axis.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The cell after the exercise holds the code; it reaches {glue:text}`prep_thick_shares`. Rounding averages class 0 (outside) and class 3 (fluid) to 1 or 2, and so wraps the brain in white and grey matter that is not there. A drawn label has no shares, but one channel of zeros and ones a class can be interpolated in the same way.
#
# </details>


# %% tags=["hide-input"]
for key, chance, low, high in (("corner", centre_law(128)[0], 1e-11, 1e-10), ("corner_even", 1 / 129, 1e-7, 1e-6)):  # fmt: skip
    run.record(f"prep_{key}", float(chance) ** 3, low=low, high=high, digits=1, scientific=True)
CLASSES = (("white matter",), ("grey matter", "deep grey matter"), ("ventricular csf", "outer csf"))  # fmt: skip
THICK = 3  # voxels that become one
fine = torch.stack([people[1].share(*tissues) for tissues in CLASSES])[..., : GRID.shape[2] // THICK * THICK]  # fmt: skip
fine = Volume(torch.cat([1 - fine.sum(0, keepdim=True), fine]), GRID.affine)
place = GRID.affine @ np.diag([1, 1, THICK, 1])
place[2, 3] += MM * (THICK - 1) / 2  # the middle of the first thick slice
thick = Volume(torch.nn.functional.avg_pool3d(fine.data, (1, 1, THICK)), place)


def agreement(label):
    """Mean Dice of white matter, grey matter and fluid with the label of the fine shares."""
    return float(np.mean([dice(label == c, fine.data.argmax(0) == c) for c in (1, 2, 3)]))


label = thick.with_data(thick.data.argmax(0)[None].float())
for key, made in (("nearest", resample(label, like=fine, order="nearest").data[0]), ("rounded", resample(label, like=fine).data[0].round()), ("shares", resample(thick, like=fine).data.argmax(0))):  # fmt: skip
    run.record(f"prep_thick_{key}", agreement(made), low=0.5, high=0.96, digits=2)


def check_label_like(label_like):
    answer = label_like(thick, fine)
    if answer is None:
        return "it returned nothing; return a label (X, Y, Z)."
    if tuple(answer.shape) != fine.shape[1:]:
        return f"the label has the shape {tuple(answer.shape)}, expected {fine.shape[1:]}, that of like."
    if not set(answer.unique().tolist()) <= {0, 1, 2, 3}:
        return "there are values that are no class; are the shares interpolated, rather than the numbers of classes?"
    reached, good = agreement(answer), run.recorded["prep_thick_nearest"] + 0.01
    return None if reached > good else f"the mean Dice is {reached:.2f}, no better than that of the nearest voxel; take the largest share after the interpolation."  # fmt: skip


# %% tags=["exercise"]
def label_like(shares, like):
    """The label (X, Y, Z) on the grid of like, from shares (C, X, Y, Z) on another."""
    ...  # your code here


judge(check_label_like, label_like)


# %% tags=["solution", "hide-cell"]
def label_like(shares, like):
    """The label (X, Y, Z) on the grid of like, from shares (C, X, Y, Z) on another."""
    # begin solution
    return resample(shares, like=like).data.argmax(0)
    # end solution


judge(check_label_like, label_like)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "You normalise each MR scan by its own z-score inside the brain. Two people have the same healthy grey matter; one has a large dark tumour elsewhere. Their grey matter",
        ("has the same z, since the tissue is the same", "Mean and deviation are taken over all of the brain, and the dark voxels of the tumour take part in both."),
        right("has different z", "The z-score says where a voxel stands among the others of this head, not what tissue it is."),
        ("cannot be compared in principle", "It can, with statistics of one tissue alone, or with a quantity that has a unit, such as T1."),
    ),
    question(
        "A registration ended with a mutual information far below that of the other scans of the study. What is most likely?",
        ("The scan has more noise, so nothing can be done", "Noise lowers it a little. A value far below the others is first of all a sign that the images do not lie upon one another."),
        right("It has climbed the wrong hill", "As in «Where it breaks»: look at it, and start again from other poses."),
        ("The number of iterations was too small", "The search had come to rest; on a second summit more steps do not help."),
    ),
    question(
        "Of 60 patients you have two scans each. You put the first scans into training and the second ones into the test. Test accuracy is excellent. What has been measured?",
        ("How well the model works on new scans", "On new scans of people it knows. New people are another matter."),
        right("At least partly, how well it remembers people", "Two scans of one head resemble one another more than two heads do: nearest neighbours find the person, and with it the answer."),
        ("Nothing, since the scans are from different days", "Something has been measured, but not what a new patient will meet."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - MR numbers have no unit. Normalise inside the brain, after N4, and remember that every normalisation by the image itself mixes anatomy into the scale. CT keeps its HU.
# - Errors of a mask matter by what follows: a voxel at the border for volumes, forgotten scalp for intensities.
# - Mutual information finds the pose across contrasts, from within a limited range. Check its value: a lost registration does not complain.
# - Image and label share one draw. An augmentation is legitimate if a scanner or a patient could have made it.
# - Know which voxels your patches cover, and blend with weights that trust the middle.
# - Split by subject before anything looks at an answer.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | heads and scans | **synthetic**: people, scanners, poses and shading are drawn by the code of this page; one set of gyri for all, so registration and stripping are easier than in patients |
# | scanners | **synthetic**: they differ in gain, flip angle, repetition time and a smooth bias field; real ones also in field strength, coil, resolution and software |
# | splits | a **synthetic** stand-in for IXI; with `data_root` the same cell reads the real one |
# | stripping, registration | baselines that can be read in one sitting, not competitors of the programs named |
# | published numbers | Yagis et al.: convolutional networks on OASIS, while we have a nearest neighbour on synthetic heads |
# | claims | none about patients, scanners or programs |
#
# ## Further reading
#
# {cite}`perezgarcia2021` describe a library of transforms and patch samplers; its design of drawing once and replaying is ours, too. {cite}`isensee2021` decide spacing, patches and normalisation by rules from the data, and show how far that carries. What a good normalisation should fulfil: {cite}`shinohara2014`. How leakage has misled one field after another: {cite}`kapoor2023`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
