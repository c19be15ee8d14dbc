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
#     - start/images_in_space
#     - data/brain_tissues_tumours_and_bleeds
#     summary: What Dice, Hausdorff distance and their relatives measure, what each
#       of them misses, and how to choose.
#     weights:
#     - results/benchmarks/surface_definitions.json
# ---

# %% [markdown]
# # Segmentation metrics and how they fail
#
# A method outlines a tumour, somebody knows the truth, and a paper wants one number. The thesis gives two for each of its methods (chapter 7, table 2 {cite}`thesis`): by Dice, PatchDDM (0.88) is better than HalfRes (0.86); by HD95, HalfRes (6.6) is better than PatchDDM (9.0). Both are right, for they look at different things. Here you spoil masks by hand and watch what each number sees, and what it does not.
#
# **You will be able to**
#
# - compute Dice, IoU, Hausdorff distance, HD95, average surface distance and surface Dice by hand
# - predict which of them moves when a mask is shrunk, shifted, holed, or dotted with stray voxels
# - say why two programs give different numbers for the same pair of masks, and reproduce each
# - average a measure over patients some of whom have nothing to segment
# - choose measures for a task, and say what they miss
#
# **You need** [Images in space](../start/images_in_space.ipynb): voxels, spacing, resampling; [Brain tissues, tumours and bleeds](../data/brain_tissues_tumours_and_bleeds.ipynb): the synthetic patients and their labels.

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
tolerance_mm = 2.0  # of the surface Dice
empty_patients = 4  # in "Where it breaks": patients without any lesion

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import ndimage

from medlab.cohorts import mistakes
from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.grid import HEAD_MM, Grid
from medlab.cohorts.lesions import draw_glioma, draw_plaques
from medlab.cohorts.scan import FLAIR, mr_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.metrics import accuracy, average_surface_distance, dice, hausdorff_distance
from medlab.metrics import hausdorff_distance_95, iou, mean_interval, normalized_surface_dice
from medlab.metrics import precision, recall, specificity, surface_distances, volume_similarity
from medlab.metrics.chooser import RULES
from medlab.metrics.detection import lesion_counts
from medlab.metrics.overlap import counts
from medlab.viz import explore, show, style, table
from medlab.viz.benchmark import benchmark
from medlab.viz.chooser import chooser
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.masks import draw_difference, name_colours
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
MM = run.pick(ci=3.0, cpu=2.0, gpu=1.0)
GRID = Grid(tuple(round((length + 8) / MM) for length in HEAD_MM), (MM,) * 3)
PEOPLE = run.pick(ci=3, cpu=5, gpu=12)
STILL = {"angles_deg": (0.0,) * 3, "shift_mm": (0.0,) * 3}
TUMOUR = ("tumour core", "enhancing tumour", "oedema")


def patient(number, lesion, grid=GRID):
    return draw_subject(draw_person(seed + number, 50.0, **STILL), grid, [lesion])


def mask_of(subject, *tissues):
    return (subject.share(*tissues) > 0.5).numpy()


def depth_mm(mask, spacing=1.0):
    """How deep a voxel lies in the mask, in mm; below 0 outside."""
    inside, outside = (ndimage.distance_transform_edt(m, sampling=spacing) for m in (mask, ~mask))  # fmt: skip
    return inside - outside


def away_from(shape, place):
    """From every voxel to one place, in voxels."""
    return np.sqrt(sum((axis - at) ** 2 for axis, at in zip(np.ogrid[tuple(map(slice, shape))], place, strict=True)))  # fmt: skip


def judged(prediction, reference, spacing=1.0, tolerance=tolerance_mm):
    """All measures of one pair, from one count and one list of distances."""
    found = surface_distances(prediction, reference, spacing)
    return {
        "Dice": float(dice(prediction, reference)),
        "surface Dice": found.within(tolerance),
        "HD": found.percentile(100),
        "HD95": found.percentile(95),
        "ASSD": found.average(),
    }


# One slice of one patient, at 1 mm: the stage on which masks are spoiled.
glioma = draw_glioma(seed + 1)
origin = draw_person(seed + 1, 50.0, **STILL).deformation([glioma]).to_subject(torch.tensor([glioma.origin_mm]))  # fmt: skip
SLICE = Grid((168, 210, 1), (1.0,) * 3, (0.0, -17.0, float(origin[0, 2])))
person = patient(1, glioma, SLICE)
flair = mr_image(person, FLAIR, seed)[..., 0]
flair = (flair / flair.quantile(0.995)).clamp(0, 1)
truth = mask_of(person, *TUMOUR)[..., 0]
depth = depth_mm(truth)
middle = np.unravel_index(depth.argmax(), depth.shape)
where = np.argwhere(truth)
BOX = tuple(slice(int(low) - 22, int(high) + 23) for low, high in zip(where.min(0), where.max(0), strict=True))  # fmt: skip
noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=truth.shape), 1.2)
noise = noise / noise.std()

place = middle[0] + 48, middle[1] - 82  # behind, on the other side
SPOILED = {  # a mask for each amount; the Dice falls with the amount
    "shrunk": lambda a: depth > a,
    "grown": lambda a: depth > -a,
    "shifted": lambda a: ndimage.shift(truth.astype(float), (-0.6 * a, a), order=1) > 0.5,
    "ragged": lambda a: depth + a * noise > 0,
    "with a hole": lambda a: truth & (away_from(truth.shape, middle) > a),
    "an island": lambda a: truth | (away_from(truth.shape, place) < a),
}


def at_dice(spoil, wanted):
    """By bisection the mask of this Dice, as nearly as pixels allow."""
    low, high, made = 0.0, 25.0, []
    for _ in range(16):
        amount = (low + high) / 2
        made.append((float(dice(spoil(amount), truth)), amount))
        low, high = (amount, high) if made[-1][0] > wanted else (low, amount)
    return spoil(min(made, key=lambda one: abs(one[0] - wanted))[1])


figure, axes = plt.subplots(2, 3, figsize=(5.8, 5.4))
equal = {name: at_dice(spoil, 0.8) for name, spoil in SPOILED.items()}
for ax, (name, mask) in zip(axes.flat, equal.items(), strict=True):
    draw_difference(ax, mask, truth, image=flair)
    ax.set_title(f"{name}\nDice {float(dice(mask, truth)):.1f}, HD95 {judged(mask, truth)['HD95']:.0f} mm", fontsize=10)  # fmt: skip
show(
    figure,
    caption="Six answers for one synthetic glioma, all with the same Dice. Green: found; blue: missed; orange: false. HD95: how far the border is off at worst, its worst 5 % left aside. Which would you give to a surgeon?",
    alt="Six copies of one brain slice with a tumour: too small, too large, shifted, with a ragged border, with a hole, and right but with an island far away",
)
assert all(abs(float(dice(mask, truth)) - 0.8) < 0.02 for mask in equal.values())

# %% [markdown]
# All patients on this page are {term}`synthetic <synthetic data>`, so their truth is exact; pictures are in {term}`radiological convention`. Six masks, one Dice. The worst place of the border is off by {glue:text}`seg_shrunk` in the first and by {glue:text}`seg_island` in the last. What must a measure see, and what may it ignore? That depends on what the mask is for, and this is what the page is about.
#
# ## Four counts
#
# Let $\Omega$ be the voxels, $A \subset \Omega$ the reference and $B$ the prediction (the letters of the thesis, section 5.3.2 {cite}`thesis`). Every voxel is one of four things:
#
# $$ \begin{aligned} \mathrm{TP} &= |A \cap B|, & \mathrm{FP} &= |B \setminus A|, \\ \mathrm{FN} &= |A \setminus B|, & \mathrm{TN} &= |\Omega \setminus (A \cup B)| . \end{aligned} $$ (seg-counts)
#
# From them come {term}`accuracy`, the {term}`Dice coefficient` {cite}`dice1945` and the {term}`intersection over union` (thesis eq. 5.18 to 5.20):
#
# $$ \begin{aligned} \mathrm{ACC} &= \frac{\mathrm{TP} + \mathrm{TN}}{|\Omega|}, \\ \mathrm{DSC} &= \frac{|A \cap B|}{\frac12 (|A| + |B|)} = \frac{2\,\mathrm{TP}}{2\,\mathrm{TP} + \mathrm{FP} + \mathrm{FN}}, \\ \mathrm{IoU} &= \frac{|A \cap B|}{|A \cup B|} = \frac{\mathrm{DSC}}{2 - \mathrm{DSC}} . \end{aligned} $$ (seg-overlap)
#
# The last equality says that IoU and Dice order any two masks alike: report one of them. Three shares of the same counts come up later: recall $\mathrm{TP}/(\mathrm{TP} + \mathrm{FN})$, also called {term}`sensitivity`; precision $\mathrm{TP}/(\mathrm{TP} + \mathrm{FP})$; {term}`specificity` $\mathrm{TN}/(\mathrm{TN} + \mathrm{FP})$.
#
# Count a small case by hand before you look: a square of 6 × 6 in a picture of 16 × 16, predicted two pixels too far along one axis.

# %%
# NBVAL_CHECK_OUTPUT
A, B = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
A[4:10, 4:10], B[6:12, 4:10] = True, True
tp, fp, fn, tn = (A & B).sum(), (B & ~A).sum(), (A & ~B).sum(), (~A & ~B).sum()
by_hand = {accuracy: (tp + tn) / A.size, iou: tp / (A | B).sum()}
by_hand[dice] = tp / ((A.sum() + B.sum()) / 2)
for measure, value in by_hand.items():  # equations (seg-counts) and (seg-overlap)
    torch.testing.assert_close(float(measure(B, A)), float(value))
print("TP, FP, FN, TN:", *map(int, counts(B, A)))
print(", ".join(f"{m.__name__} {value:.3f}" for m, value in by_hand.items()))

# %% [markdown]
# Accuracy already looks generous, because it counts the empty room around the square. In a head there is much more room.
#
# **Predict.** A method that finds nothing at all: what is its accuracy for a tumour in a whole head?

# %% tags=["hide-input"]
tumours, brains, thick = [], [], None
for number in range(PEOPLE):
    one = patient(number, draw_glioma(seed + number))
    tumours.append(mask_of(one, *TUMOUR))
    brains.append(brain_mask(one).numpy())
    if number == 0:  # and its share in slices three times as thick
        thick = one.share(*TUMOUR)[..., : GRID.shape[2] // 3 * 3].unflatten(2, (-1, 3)).mean(3)
nothing = [np.zeros_like(mask) for mask in tumours]
run.record("seg_nothing", 100 * np.mean([float(accuracy(a, b)) for a, b in zip(nothing, tumours, strict=True)]), low=95, high=99.9, unit="%", digits=1)  # fmt: skip
run.record("seg_nothing_specificity", np.mean([float(specificity(a, b)) for a, b in zip(nothing, tumours, strict=True)]), low=1, high=1, digits=0)  # fmt: skip
for name, key, low, high in (("shrunk", "shrunk", 2, 25), ("an island", "island", 40, 140)):
    run.record(f"seg_{key}", judged(equal[name], truth)["HD"], low=low, high=high, unit="mm", digits=0)  # fmt: skip

# %% [markdown]
# {glue:text}`seg_nothing` on average over {term}`gliomas <glioma>` of {glue:text}`seg_people` synthetic patients, and a specificity of {glue:text}`seg_nothing_specificity`. The thesis warns of it: accuracy "can be high even if the foreground class has not been captured". Forget accuracy for masks.
#
# ## How far is the border off?
#
# Overlap does not say *where* the errors are. Distances do. Let $\partial A$ be the border of $A$: its voxels with a neighbour outside it. From every point of one border go to the nearest point of the other, in mm:
#
# $$ \begin{aligned} D_{B \to A} &= \Big\{ \min_{a \in \partial A} \lVert b - a \rVert : b \in \partial B \Big\}, \\ D_{A \to B} &= \Big\{ \min_{b \in \partial B} \lVert a - b \rVert : a \in \partial A \Big\}. \end{aligned} $$ (seg-lists)
#
# All surface measures are made of these two lists. The {term}`Hausdorff distance` is the largest number in them (thesis eq. 5.22), HD95 puts the 95th percentile in place of the maximum, the {term}`average surface distance` (ASSD) is the mean, and the {term}`surface Dice` {cite}`nikolov2021` the share that a tolerance $\tau$ forgives:
#
# $$ \begin{aligned} \mathrm{HD} &= \max\,(D_{B \to A} \cup D_{A \to B}), \\ \mathrm{HD}_{95} &= \max\big(P_{95}(D_{B \to A}),\, P_{95}(D_{A \to B})\big), \\ \mathrm{ASSD} &= \operatorname{mean}(D_{B \to A} \cup D_{A \to B}), \\ \mathrm{NSD}_\tau &= \text{share of all } d \le \tau . \end{aligned} $$ (seg-distances)


# %%
def border(mask):
    """The pixels with one of four neighbours outside."""
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


of_b, of_a = (torch.from_numpy(border(mask)).double() for mask in (B, A))
apart = torch.cdist(of_b, of_a)
to_a, to_b = apart.amin(1), apart.amin(0)  # (seg-lists)
both = torch.cat([to_a, to_b])
p95 = max(float(np.percentile(one, 95)) for one in (to_a, to_b))
torch.testing.assert_close(both.max(), hausdorff_distance(B, A))  # (seg-distances)
torch.testing.assert_close(p95, float(hausdorff_distance_95(B, A)))
torch.testing.assert_close(both.mean(), average_surface_distance(B, A))
within = (both <= tolerance_mm).double().mean()
forgiven = normalized_surface_dice(B, A, tolerance_mm=tolerance_mm)
torch.testing.assert_close(within, forgiven)

# %% tags=["hide-input"]
run.record("seg_people", PEOPLE, low=3, high=12, digits=0)
inside = torch.from_numpy(np.argwhere(A)).double()
printed = torch.cdist(inside, torch.from_numpy(border(A)).double()).amin(1).max()
run.record("seg_as_printed", printed, low=2, high=2, digits=0)
run.record("seg_square_hd", both.max(), low=2, high=2, digits=0)
run.record("seg_square_assd", both.mean(), low=0.9, high=1.3, digits=2)

# %% [markdown]
# For the square HD is {glue:text}`seg_square_hd` and ASSD {glue:text}`seg_square_assd`. A remark on the source. Equation 5.22 prints $d(a, B)$ for all points $a$ of $A$, with the distance taken to the border $\partial B$. Read to the letter, our square then lies {glue:text}`seg_as_printed` pixels from *itself*, since its middle is that far from its border. What is meant, and what programs compute, runs from border to border.
#
# ## Seven ways to be fooled
#
# The pitfalls that follow are listed in {cite}`seedmath`; Reinke and others {cite}`reinke2024` collected them, and more, from many groups. Each is a slider. The picture shows found (green), missed (blue) and false (orange) pixels, the curves all five measures (the surface Dice with a tolerance of {glue:text}`seg_tolerance`), the dots where you are.
#
# ### Size
#
# **Predict.** A method misses one pixel all around. What is its Dice for a structure that is 60 pixels wide, and for one of 6?

# %% tags=["hide-input"]
LINES = {"Dice": (style.INK, "-"), "surface Dice": (style.PURPLE, "--"), "HD": (style.PINK, "-"), "HD95": (style.GOLD, "--"), "ASSD": (style.BLUE, ":")}  # fmt: skip


def drag(label, cases, first, *, image=None, spacing=lambda value: 1.0, also=None, ring=None, caption, alt):  # fmt: skip
    """For each value of a slider a pair of masks (prediction, reference), and what all measures say."""
    scores = {value: judged(*pair, spacing(value)) for value, pair in cases.items()}

    def draw(value):
        room = {"left": 0.09, "right": 0.97, "bottom": 0.1, "top": 0.98, "wspace": 0.3, "hspace": 0.3}  # fmt: skip
        figure, axes = plt.subplot_mosaic([["picture", "picture"], ["share", "mm"]], figsize=(5.2, 5.1), height_ratios=(1.35, 1), layout="none", gridspec_kw=room)  # fmt: skip
        draw_difference(axes["picture"], *cases[value], image=image, spacing=spacing(value))
        name_colours(axes["picture"])
        if ring:
            axes["picture"].plot(*ring(value), "o", color=style.ORANGE, markersize=9, markerfacecolor="none")  # fmt: skip
        for name, (colour, dashes) in LINES.items():
            ax = axes["share" if "Dice" in name else "mm"]
            ax.plot(list(scores), [one[name] for one in scores.values()], dashes, color=colour, label=name)  # fmt: skip
            ax.plot(value, scores[value][name], "o", color=colour, clip_on=False)
        for name, (where, line) in (also or {}).items():
            axes[where].plot(list(scores), line, "-.", color=style.GREEN, label=name)
        axes["share"].set(ylim=(0, 1.02), xlabel=label)
        axes["mm"].set(ylim=(0, None), ylabel="mm", xlabel=label)
        for ax in (axes["share"], axes["mm"]):
            ax.legend(loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=2 if also else 3, columnspacing=0.8, handlelength=1.3, handletextpad=0.4, borderpad=0)  # fmt: skip
        return figure

    def told(value):
        found = ", ".join(f"{name} {score:.2f}" for name, score in scores[value].items())
        return f"{alt}; {label} {value:g}: {found}"

    explore(draw, caption=caption, alt=told, labels={"value": label}, start={"value": first}, value=list(cases))  # fmt: skip
    return scores


tumour, window = truth[BOX], flair[BOX]
sizes = {}
for width in (6, 8, 11, 15, 21, 30, 42, 60):
    step, side = 2 * np.sqrt(tumour.sum() / np.pi) / width, int(1.4 * width) + 5
    scaled = ndimage.affine_transform(tumour.astype(float), [step, step], np.argwhere(tumour).mean(0) - side // 2 * step, (side, side), order=1) > 0.5  # fmt: skip
    sizes[width] = (ndimage.binary_erosion(scaled), scaled)
by_size = drag(
    "width (pixels)", sizes, 6,
    caption="The same error, one pixel all around, on the same shape in eight sizes (outline of the synthetic glioma, here always drawn as large; a pixel is 1 mm). Distances stay at one or two pixels, while Dice falls to the left.",
    alt="A shape with a blue rim of one pixel, and curves over its width",
)  # fmt: skip
for width in (6, 60):
    run.record(f"seg_size_{width}", by_size[width]["Dice"], low=0.5 if width == 6 else 0.94, high=0.8 if width == 6 else 0.985, digits=2)  # fmt: skip

# %% [markdown]
# Dice is {glue:text}`seg_size_60` for the widest and {glue:text}`seg_size_6` for the narrowest, for one and the same pixel. The law behind it is simple. Take off a thin layer of thickness $\delta$ from a body of volume $V$ and surface $S$: $|A \cap B| = |B| \approx V - S\delta$, so that
#
# $$ \mathrm{DSC} \approx \frac{2 (V - S \delta)}{2V - S \delta} \approx 1 - \frac{\delta}{2} \cdot \frac{S}{V} . $$ (seg-law)
#
# What Dice punishes is the *error times surface over volume*. Small bodies have much surface for their volume. A score of 0.8 may be a good result for a {term}`plaque` and a bad one for a hemisphere, and a mean over both says nothing. It holds for a layer too much as well. How far does it carry, on structures of real shape?

# %% tags=["hide-input"]
STRUCTURES = {"white matter": ("white matter",), "cortex": ("grey matter",), "ventricles": ("ventricular csf",), "tumour": TUMOUR}  # fmt: skip
structures = {name: mask_of(person, *tissues)[..., 0] for name, tissues in STRUCTURES.items()}  # fmt: skip
structures, rows = {name: mask for name, mask in structures.items() if mask.any()}, []
for name, mask in structures.items():
    surface = surface_distances(mask, mask, weighting="area").reference_area.sum()
    grown = depth_mm(mask) > -1.0001
    law, found = surface / mask.sum() / 2, 1 - float(dice(grown, mask))
    rows.append([name, f"{mask.sum() / 100:.1f}", f"{surface / mask.sum():.2f}", f"{1 - law:.2f}", f"{1 - found:.2f}"])  # fmt: skip
    run.record(f"seg_law_{name.split()[0]}", found / law, low=0.6, high=1.0, digits=2)
    if name == "cortex":
        run.record("seg_sheet", 2 * mask.sum() / surface, low=2, high=12, unit="mm", digits=0)
table(
    ["structure", "area (cm²)", "border over area (1/mm)", "Dice by the law", "Dice, measured"],
    rows,
    caption="One slice of a synthetic person; the prediction is one pixel of 1 mm too large all around. The law is a little too strict, for two reasons. Its last step drops terms: for a layer too much, 1 − x stands for 1/(1 + x). And where the border runs aslant, a layer of one pixel is thinner than 1 mm.",
)

# %% [markdown]
# ### Shape
#
# The table has a second message. Tumour and ventricles have about the same area in this slice, and the ventricles lose nearly twice as much. Ventricles are long and thin, cortex is thinner still, and thin means much border for little volume. A mere misplacement shows it:

# %% tags=["hide-input"]
shifted = {name: {mm: (np.roll(mask, mm, 1), mask) for mm in range(7)} for name, mask in structures.items()}  # fmt: skip
dice_of = {name: [float(dice(*pair)) for pair in pairs.values()] for name, pairs in shifted.items()}  # fmt: skip
by_shift = drag(
    "shift (mm)", shifted["cortex"], 6,
    also={"Dice, tumour": ("share", dice_of["tumour"])},
    caption="The cortex of a synthetic person against itself, shifted towards the front. Green: Dice of the tumour under the same shift.",
    alt="The cortex of a slice with blue and orange edges",
)  # fmt: skip
run.record("seg_cortex", dice_of["cortex"][2], low=0.7, high=0.9, digits=2)
run.record("seg_tumour_shift", dice_of["tumour"][2], low=0.88, high=0.98, digits=2)
run.record("seg_cortex_nsd", by_shift[2]["surface Dice"], low=0.9 if tolerance_mm >= 2 else 0.2, high=1, digits=2)  # fmt: skip

# %% [markdown]
# Two millimetres leave the tumour a Dice of {glue:text}`seg_tumour_shift` and the cortex one of {glue:text}`seg_cortex`. A surface Dice with a tolerance of {glue:text}`seg_tolerance` still gives {glue:text}`seg_cortex_nsd`: it asks how far, and not how much of the structure. For thin things it is the better question; the tolerance should be what two readers differ by. What neither sees is whether a vessel is still in one piece.
#
# ### Alignment
#
# An error has an amount and a place. Here the amount is fixed: a rim of false pixels. The slider says how much of it lies on the patient's left, the right side of the picture.

# %% tags=["hide-input"]
rim = np.argwhere((depth[BOX] <= 0) & (depth[BOX] > -4))
centre = np.argwhere(tumour).mean(0)
angle = np.abs(np.arctan2(*(rim - centre).T[::-1]))  # 0 towards the patient's right
right_side, left_side = rim[np.argsort(angle)], rim[np.argsort(-angle)]
amount = int(0.45 * len(rim))


def with_rim(share):
    """The tumour and a part of its rim, of which this share lies on the left of the patient."""
    made = tumour.copy()
    on_left = round(share * amount)
    for places in (left_side[:on_left], right_side[: amount - on_left]):
        made[tuple(places.T)] = True
    return made


rims = {percent: (with_rim(percent / 100), tumour) for percent in range(0, 101, 20)}
offsets = [float(np.linalg.norm(np.argwhere(made).mean(0) - centre)) for made, _ in rims.values()]  # fmt: skip
aligned = drag(
    "share on the left (%)", rims, 100, image=window,
    also={"centre": ("mm", offsets)},
    caption="The same number of false pixels (orange), on one side or on both. Dice stays where it is and the distances nearly so; only the distance of the centres (green) knows.",
    alt="The tumour with an orange rim on one side or both",
)  # fmt: skip
spread = np.ptp([one["Dice"] for one in aligned.values()]), np.ptp([one["HD"] for one in aligned.values()])  # fmt: skip
run.record("seg_rim_dice", spread[0], low=0, high=0.001, digits=3)
run.record("seg_rim_hd", spread[1], low=0, high=4, unit="mm", digits=1)
run.record("seg_rim_centre", offsets[-1], low=1.5, high=6, unit="mm", digits=1)
run.record("seg_rim_middle", min(offsets), low=0, high=1.5, unit="mm", digits=1)

# %% [markdown]
# Dice does not move at all, HD by {glue:text}`seg_rim_hd`. The centre of mass is {glue:text}`seg_rim_centre` off with all of the rim on the left, and {glue:text}`seg_rim_middle` with about half of it there. Where the centre is what a treatment aims at, measure the centre.
#
# ### Holes
#
# {cite}`seedmath` says that measures of the boundary ignore holes. Is it so? Drag the radius.

# %% tags=["hide-input"]
place = np.unravel_index(depth[BOX].argmax(), tumour.shape)
away = away_from(tumour.shape, place)
holes = {mm: (tumour & (away >= mm), tumour) for mm in (0, 1, 2, 3, 4, 6, 8, 10, 12)}
holed = drag(
    "radius of the hole (mm)", holes, 4, image=window,
    also={"outer border": ("mm", [judged(ndimage.binary_fill_holes(made), tumour)["HD"] for made, _ in holes.values()])},
    caption="A hole in the middle of the mask. Green: HD where only the outer border is traced, as on a contour drawn by hand.",
    alt="The tumour with a blue disc missing in its middle",
)  # fmt: skip
run.record("seg_hole_hd", holed[1]["HD"], low=8, high=25, unit="mm", digits=0)
run.record("seg_hole_hd95", holed[1]["HD95"], low=0, high=1, digits=0)
run.record("seg_hole_missing", 100 * (1 - holes[12][0].sum() / tumour.sum()), low=10, high=80, unit="%", digits=0)  # fmt: skip
run.record("seg_hole_end", holed[12]["HD"], low=4, high=25, unit="mm", digits=0)
jump = next(one["HD95"] for one in holed.values() if one["HD95"] > 0)
run.record("seg_hole_two", jump, low=3, high=25, unit="mm", digits=0)

# %% [markdown]
# Half so. The border of the hole is a border too. The first missing pixel takes HD to {glue:text}`seg_hole_hd`, which is its depth. A larger hole hardly changes that, and a far larger one *lowers* it, to {glue:text}`seg_hole_end`: its edge lies nearer the true border. HD95 stays at {glue:text}`seg_hole_hd95` mm until the edge of the hole is 5 % of the border, then jumps to {glue:text}`seg_hole_two`. Only programs that trace the outer contour (green) see nothing at all. So the claim is right for contours and wrong for borders made of voxels; ask which one a program takes. What no distance tells is how *much* is missing, here {glue:text}`seg_hole_missing` of the area at the end. That is the business of overlap.
#
# ### Noise
#
# Now one single false pixel. Drag it away from the tumour.

# %% tags=["hide-input"]
far, places, way = {}, {}, 1 if middle[0] < truth.shape[0] / 2 else -1  # to the other side
for distance in (0, 5, 10, 20, 30, 40, 50, 60):
    made = truth.copy()
    beyond = -depth[middle[0] :: way, middle[1]] >= distance
    places[distance] = int(middle[0] + way * beyond.argmax()), int(middle[1])
    made[places[distance]] = True
    far[distance] = (made, truth)
by_distance = drag(
    "distance (mm)", far, 60, image=flair,
    ring=lambda distance: (truth.shape[0] - 0.5 - places[distance][0], places[distance][1] + 0.5),
    caption="The truth and one false pixel (in the ring). HD follows it, the others hardly stir.",
    alt="A head with a correct tumour and one orange pixel",
)  # fmt: skip
run.record("seg_far_hd", by_distance[60]["HD"], low=60, high=61, unit="mm", digits=0)
run.record("seg_far_hd95", by_distance[60]["HD95"], low=0, high=0, unit="mm", digits=0)

# %% [markdown]
# HD is {glue:text}`seg_far_hd`, HD95 {glue:text}`seg_far_hd95`. This is why the thesis and most papers report HD95: HD "is susceptible to noise and single pixel outliers". The price: whatever is less than 5 % of the border is *always* invisible to it, a small missed lesion beside a large one included.
#
# ### Resolution
#
# Nothing changes now but the size of the pixels. Truth and prediction, 2 mm apart, are averaged to coarser pixels and cut at one half.

# %% tags=["hide-input"]
share = person.share(*TUMOUR)[BOX][..., 0].numpy()
other = ndimage.shift(share, (2.0, 0.0), order=1)


def coarse(image, k):
    """Means of k x k pixels, cut at one half."""
    padded = np.pad(image, [(0, -n % k) for n in image.shape])
    return padded.reshape(padded.shape[0] // k, k, -1, k).mean((1, 3)) > 0.5


grids = {k: (coarse(other, k), coarse(share, k)) for k in (1, 2, 3, 4, 5, 6, 8, 10)}
by_grid = drag(
    "pixel (mm)", grids, 10,
    spacing=float,
    caption="The same two outlines on coarser grids, distances in mm. A coarse pixel is right or wrong as a whole: 2 mm become one pixel where they tip it over one half, and nothing elsewhere.",
    alt="Two overlapping shapes made of ever larger pixels",
)  # fmt: skip
run.record("seg_grid_low", min(one["HD"] for one in by_grid.values()), low=0, high=4, unit="mm", digits=1)  # fmt: skip
run.record("seg_grid_high", max(one["HD"] for one in by_grid.values()), low=4, high=16, unit="mm", digits=1)  # fmt: skip
run.record("seg_grid_nsd", by_grid[3]["surface Dice"], low=0, high=1, digits=2)
run.record("seg_grid_dice", np.ptp([one["Dice"] for one in by_grid.values()]), low=0.01, high=0.25, digits=2)  # fmt: skip

# %% [markdown]
# HD of the same outlines runs from {glue:text}`seg_grid_low` to {glue:text}`seg_grid_high`, while Dice moves by {glue:text}`seg_grid_dice` only. And a tolerance below the size of a pixel forgives nothing: at {glue:text}`seg_tolerance` the surface Dice is {glue:text}`seg_grid_nsd` on pixels of 3 mm. Compare methods on one grid, best the grid of the original scan, and say which.
#
# Worse is a grid that is *not isotropic*. Make slices three times as thick as pixels are wide. One mask is off by two pixels in the plane, the other by one slice. Which is worse?

# %%
reference, thick_mm = (thick > 0.5).numpy(), (MM, MM, 3 * MM)
wrong = np.roll(reference, 2, axis=0), np.roll(reference, 1, axis=2)
in_voxels = [float(hausdorff_distance_95(one, reference)) for one in wrong]
in_mm = [float(hausdorff_distance_95(one, reference, thick_mm)) for one in wrong]
assert in_voxels[0] > in_voxels[1] and in_mm[0] < in_mm[1]

# %% tags=["hide-input"]
for key, (plane, slab) in (("voxels", in_voxels), ("mm", in_mm)):
    unit = "" if key == "voxels" else "mm"
    run.record(f"seg_plane_{key}", plane, low=1, high=7, unit=unit, digits=1)
    run.record(f"seg_slab_{key}", slab, low=0.5, high=10, unit=unit, digits=1)
run.record("seg_tolerance", tolerance_mm, low=0, high=20, unit="mm", digits=0)

# %% [markdown]
# In voxels HD95 is {glue:text}`seg_plane_voxels` in the plane and {glue:text}`seg_slab_voxels` across it; in mm it is {glue:text}`seg_plane_mm` and {glue:text}`seg_slab_mm`. Without `spacing` the wrong mask wins. (Why is the shift by two pixels less than 2 in voxels? The next slice then counts as near as the next pixel, and the outline in it lies closer.) scikit-image's Hausdorff distance takes no spacing at all.
#
# ### Too much or too little
#
# **Predict.** One mask is 4 mm too large all around, another 4 mm too small. Which has the better Dice?

# %% tags=["hide-input"]
margins = {margin: (depth[BOX] > -margin - 1e-6 * np.sign(margin), tumour) for margin in (-8, -6, -4, -2, 0, 2, 4, 6, 8)}  # fmt: skip
by_margin = drag(
    "too large by (mm)", margins, -4, image=window,
    caption="Masks that are too small (left of 0) and too large (right). ASSD and HD95 are about the same on both sides, Dice is not. (HD is larger on the left, where a spur of the tumour is lost.)",
    alt="The tumour with a blue rim where too small, an orange rim where too large",
)  # fmt: skip
gaps, worst = [], []
for mask in tumours:
    deep = depth_mm(mask, MM)
    pair = deep > -1.01 * MM, deep > 1.01 * MM  # a layer of one voxel too much, and too little
    gaps.append(float(dice(pair[0], mask)) - float(dice(pair[1], mask)))
    worst.append([float(hausdorff_distance_95(one, mask, MM)) for one in pair])
gap = mean_interval(gaps)
run.record("seg_gap", gap.mean, low=0.005, high=0.15, digits=3)
run.record("seg_gap_half", gap.half, low=0, high=0.12, digits=3)
run.record("seg_gap_least", min(gaps), low=0.0, high=0.15, digits=3)
run.record("seg_gap_large", np.mean(worst, 0)[0], low=1, high=8, unit="mm", digits=1)
run.record("seg_gap_small", np.mean(worst, 0)[1], low=1, high=8, unit="mm", digits=1)

# %% [markdown]
# Too large wins. In the last form of Dice in equation {eq}`seg-overlap` a missed voxel takes 2 from the numerator and 1 from the denominator; a false one only adds 1 to the denominator. Over the 3D tumours, one voxel too much against one too little, the Dice differs by {glue:text}`seg_gap` ± {glue:text}`seg_gap_half` in favour of too much, and by {glue:text}`seg_gap_least` at least in every single patient. Their HD95 is about the same, {glue:text}`seg_gap_large` and {glue:text}`seg_gap_small`. So whoever is in doubt, and is judged by Dice, does better to be generous. Where that is the wrong way to err, report precision and recall, or use
#
# $$ F_\beta = \frac{(1 + \beta^2)\,\mathrm{TP}}{(1 + \beta^2)\,\mathrm{TP} + \beta^2\,\mathrm{FN} + \mathrm{FP}} $$ (seg-fbeta)
#
# with $\beta < 1$; $\beta = 1$ is Dice.
#
# What the sources say, beside what we found:

# %% tags=["hide-input"]
table(
    ["pitfall", "the notes say", "measured here"],
    [
        ["size", "overlap changes more for small structures", f"Dice {by_size[6]['Dice']:.2f} at 6 pixels, {by_size[60]['Dice']:.2f} at 60"],
        ["shape", "overlap is unaware of complex shapes", f"shift of 2 mm: cortex {dice_of['cortex'][2]:.2f}, tumour {dice_of['tumour'][2]:.2f}"],
        ["alignment", "Dice, IoU and HD do not capture the centre", f"centre {min(offsets):.1f} to {offsets[-1]:.1f} mm off; Dice moves by {spread[0]:.3f}, HD by {spread[1]:.1f} mm"],
        ["holes", "measures of the boundary ignore them", f"true of contours only; of voxels HD is {holed[1]['HD']:.0f} mm for a hole of one pixel"],
        ["noise", "HD is spiked by a far false positive", f"HD {by_distance[60]['HD']:.0f} mm, HD95 {by_distance[60]['HD95']:.0f}"],
        ["resolution", "the same shapes give other results", f"HD {by_grid[1]['HD']:.0f} mm on 1 mm pixels, {by_grid[10]['HD']:.0f} mm on 10 mm"],
        ["too much or little", "at equal HD Dice may prefer too much", f"Dice better by {gap.shown(3)}"],
        ["empty masks", "0 or NaN, by combination", "see «Where it breaks»"],
    ],
    caption="Pitfalls of the notes on segmentation that the book has among its sources, and our numbers, all from synthetic patients.",
)  # fmt: skip

# %% [markdown]
# ## One pair, many numbers
#
# Two groups report HD95 for the same masks and differ. Nobody has made a mistake: HD95 is not one definition. The lists of equation {eq}`seg-lists` can be pooled or not, the border can be taken with 6 or with 26 neighbours, its voxels can be counted or weighed by the area that they stand for. `medlab` has an option for each, so that you can say what another program computed. Two cubes have numbers that you can check anywhere: one of 6 × 6 × 6 in the middle of one of 10 × 10 × 10.

# %%
small, cube = np.zeros((24, 24, 24), bool), np.zeros((24, 24, 24), bool)
small[7:13, 7:13, 7:13], cube[5:15, 5:15, 5:15] = True, True
DEFINITIONS = [  # measure, in words, who computes it, how to ask for it
    ("HD95", "larger of both directions", "MONAI", {"rule": "directed"}),
    ("HD95", "all distances in one list", "medpy 0.5", {"rule": "pooled"}),
    ("HD95", "pieces of surface, by area", "surface-distance", {"weighting": "area"}),
    ("HD95", "border of 26 neighbours", "", {"border": "corners"}),
    ("HD95", "from the prediction only", "", {"rule": "to_reference"}),
    ("ASSD", "all distances in one list", "MONAI", {"rule": "pooled"}),
    ("ASSD", "mean of both directions", "", {"rule": "directed"}),
    ("ASSD", "by area", "surface-distance", {"rule": "directed", "weighting": "area"}),
    ("ASSD", "from the prediction only", "MONAI", {"rule": "to_reference"}),
    ("ASSD", "all voxels", "SimpleITK", {"rule": "directed", "border": "volume"}),
]  # fmt: skip
MEASURES = {"HD95": hausdorff_distance_95, "ASSD": average_surface_distance}

# %% tags=["hide-input"]
peers = benchmark("surface_definitions")
rough = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=tumours[0].shape), 1.5)
ragged = depth_mm(tumours[0], MM) + 4 * rough / rough.std() > 0
rows, ours_and_theirs, on_tumour = [], [], {"HD95": [], "ASSD": []}
for name, words, program, options in DEFINITIONS:
    ours, said = float(MEASURES[name](small, cube, **options)), ""
    if program:
        theirs = "ASD, one way" if (program, words[:4]) == ("MONAI", "from") else name
        value = peers.row(pair="nested", measure=theirs, program=program)["value"]
        ours_and_theirs.append((ours, value))
        said = f"{value:.5f} {program}"
    on_tumour[name].append(float(MEASURES[name](ragged, tumours[0], MM, **options)))
    rows.append([f"{name}, {words}", f"{ours:.5f}", said, f"{on_tumour[name][-1]:.2f}"])
np.testing.assert_allclose(*zip(*ours_and_theirs, strict=True), atol=1e-4)
table(
    ["definition", "cubes", "a program says", "tumour (mm)"],
    rows,
    caption=f"Two pairs of masks under ten definitions. Cubes: voxels of 1 mm. Tumour: a synthetic glioma in 3D against itself with a ragged border. Programs: {peers.measured('monai', 'surface-distance', 'SimpleITK')}; medpy 0.5, November 2026.",
)
for name, values in on_tumour.items():
    run.record(f"seg_many_{name}_low", min(values), low=0, high=12, unit="mm", digits=1)
    run.record(f"seg_many_{name}_high", max(values), low=1, high=40, unit="mm", digits=1)

# %% [markdown]
# Ours equals each program where the definition is the same. On the tumour the five numbers called HD95 run from {glue:text}`seg_many_HD95_low` to {glue:text}`seg_many_HD95_high`, those called average distance from {glue:text}`seg_many_ASSD_low` to {glue:text}`seg_many_ASSD_high`. So never copy a competitor's number from a paper into your table. Compute it again, with one program for all, and name program, border, rule and spacing.
#
# ## The experiment: who notices what
#
# Now all at once, in 3D. Two structures that could not be more different: one tumour, and the plaques of a patient with multiple sclerosis, some twenty small lesions of which the mask is the union. Each true mask is spoiled in eight ways. Beside the measures that you know stands the volume similarity, $1 - \big| |A| - |B| \big| / (|A| + |B|)$.
#
# **Predict.** Which measure will notice that the smaller half of the plaques is missing? And which is the only one that cares about one far voxel?

# %% tags=["hide-input"]
ill = [patient(n, draw_plaques(seed + n, 25)) for n in range(PEOPLE)]
plaques = [mask_of(one, "plaque") for one in ill]
around = [brain_mask(one).numpy() for one in ill]
del ill  # a whole head for each takes much memory
groups = {"tumour": (tumours, brains), "plaques": (plaques, around)}


def part_missing(mask):
    """Of many lesions the smaller half, of one its lowest fifth."""
    many = ndimage.label(mask)[1] > 4
    lowest = np.arange(mask.shape[2]) < np.quantile(np.nonzero(mask)[2], 0.2)
    return mistakes.without_smaller_pieces(mask) if many else mask & ~lowest


def spoiled(mask, brain, number):
    soft = ndimage.gaussian_filter(mask.astype(float), 1.0)
    return {
        "30 % too small": mistakes.resized(mask, 0.7),
        "30 % too large": mistakes.resized(mask, 1.3),
        "shifted by a voxel": np.roll(mask, 1, 0),
        "smoothed": soft >= np.sort(soft, None)[-mask.sum()],  # of the same volume
        "hole in the middle": mistakes.with_hole(mask),
        "part missing": part_missing(mask),
        "20 stray voxels": mistakes.with_stray_voxels(mask, brain, 20, seed + number),
        "one far voxel": mistakes.with_far_voxel(mask, brain),
    }


def all_measures(prediction, reference):
    shares = {"Dice": dice, "precision": precision, "recall": recall, "volume": volume_similarity}  # fmt: skip
    found = judged(prediction, reference, MM, max(tolerance_mm, MM))
    return {name: float(measure(prediction, reference)) for name, measure in shares.items()} | {name: found[name] for name in ("surface Dice", "ASSD", "HD95", "HD")}  # fmt: skip


results = {}  # structure, way of spoiling: a list over patients
for structure, pairs in groups.items():
    for number, (mask, brain) in enumerate(zip(*pairs, strict=True)):
        for way, made in spoiled(mask, brain, number).items():
            results.setdefault((structure, way), []).append(all_measures(made, mask))
WAYS = [way for structure, way in results if structure == "tumour"]
NAMES = list(results["tumour", WAYS[0]][0])


def mean_of(structure, way, name):
    return mean_interval([one[name] for one in results[structure, way]])


def shown(interval, digits):
    """For a narrow column: without line breaks."""
    return interval.shown(digits).replace("less than ", "&lt;").replace(" ", "\u00a0")


for structure in groups:
    table(
        [structure, "Dice", "surface Dice", "ASSD (mm)", "HD95 (mm)", "HD (mm)"],
        [[way, *(shown(mean_of(structure, way, name), 1 if name in NAMES[-3:] else 2) for name in ("Dice", "surface Dice", "ASSD", "HD95", "HD"))] for way in WAYS],
        caption=f"{structure.capitalize()} of {PEOPLE} synthetic patients, voxels of {MM:g} mm, tolerance {max(tolerance_mm, MM):g} mm; mean ± 95 % interval over patients.",
    )  # fmt: skip

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 1, figsize=(4.9, 6.8))
ranks = {}
for ax, structure in zip(axes, groups, strict=True):
    means = np.array([[mean_of(structure, way, name).mean for name in NAMES] for way in WAYS])
    harm = np.hstack([1 - means[:, :-3], means[:, -3:]])  # what a share has lost; mm
    ranks[structure] = (-harm).round(6).argsort(0, kind="stable").argsort(0, kind="stable") + 1
    unmoved = harm < 5e-4
    ax.pcolormesh(np.ma.masked_array(ranks[structure], unmoved), cmap="viridis", vmin=1, vmax=len(WAYS), edgecolors="none")  # fmt: skip
    for (row, column), rank in np.ndenumerate(ranks[structure]):
        ax.text(column + 0.5, row + 0.5, "–" if unmoved[row, column] else rank, ha="center", va="center", color=style.INK if unmoved[row, column] else "white" if rank < 5 else "black", fontsize=10)  # fmt: skip
    ax.set(xticks=np.arange(len(NAMES)) + 0.5, yticks=np.arange(len(WAYS)) + 0.5, yticklabels=WAYS)  # fmt: skip
    ax.invert_yaxis()
    ax.set_xticklabels(NAMES, rotation=30, ha="right", rotation_mode="anchor")
    ax.set_title(structure)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
show(
    figure,
    caption="What each measure holds to be worst (1) to most harmless (8), mean over synthetic patients; a dash: it has noticed nothing. Every column is another opinion.",
    alt="Two tables of ranks, eight ways of spoiling a mask by eight measures; no two columns agree",
)
for key, made, low, high in (("part", part_missing, 0.4, 0.75), ("small", lambda mask: mistakes.resized(mask, 0.7), 0.1, 0.95)):  # fmt: skip
    lesions = [lesion_counts(made(mask), mask, MM) for mask in plaques]
    run.record(f"seg_{key}_lesions", np.mean([one.found / one.lesions for one in lesions]), low=low, high=high, digits=2)  # fmt: skip
run.record("seg_far_assd", max(mean_of(structure, "one far voxel", "ASSD").mean for structure in groups), low=0, high=2, unit="mm", digits=1)  # fmt: skip
for key, structure, way, name, low, high in (
    ("part_dice", "plaques", "part missing", "Dice", 0.75, 0.98), ("part_hd95", "plaques", "part missing", "HD95", 3, 70),
    ("small_hd95", "plaques", "30 % too small", "HD95", 2, 90), ("stray_hd95", "plaques", "20 stray voxels", "HD95", 3, 90), ("far_dice", "tumour", "one far voxel", "Dice", 0.99, 1),
    ("far_hd95_3d", "tumour", "one far voxel", "HD95", 0, 0.1), ("far_hd_3d", "tumour", "one far voxel", "HD", 60, 180),
    ("shift_tumour", "tumour", "shifted by a voxel", "Dice", 0.8, 0.97), ("shift_plaques", "plaques", "shifted by a voxel", "Dice", 0.2, 0.75),
    ("shift_volume", "tumour", "shifted by a voxel", "volume", 0.999, 1), ("shift_nsd", "plaques", "shifted by a voxel", "surface Dice", 0.99, 1),
    ("hole_dice", "tumour", "hole in the middle", "Dice", 0.7, 0.99),
):  # fmt: skip
    unit = "mm" if "hd" in key else ""
    run.record(f"seg_{key}", mean_of(structure, way, name).mean, low=low, high=high, unit=unit, digits=0 if unit else 4 if key == "far_dice" else 2)  # fmt: skip

assert len({tuple(column) for column in np.vstack(list(ranks.values())).T}) == len(NAMES)
for name in ("Dice", "HD95"):
    assert mean_of("tumour", WAYS[4], name).mean > mean_of("tumour", WAYS[2], name).mean

# %% [markdown]
# No two columns agree, and none is enough.
#
# **Missing lesions.** Half of all plaques are gone, and Dice is {glue:text}`seg_part_dice`: the small half of many lesions is a small part of their volume, and overlap counts voxels, not findings. A count of lesions says that a share of {glue:text}`seg_part_lesions` is found. HD95 does react ({glue:text}`seg_part_hd95`), but so it does to twenty stray voxels ({glue:text}`seg_stray_hd95`). A mask that is 30 % too small loses lesions too: a share of {glue:text}`seg_small_lesions` survives, the smallest vanish, and HD95 is {glue:text}`seg_small_hd95`. Whoever looks for *lesions* must count lesions; [Detection and agreement](detection_and_agreement.ipynb) does.
#
# **One far voxel.** Dice is {glue:text}`seg_far_dice`, HD95 {glue:text}`seg_far_hd95_3d`, HD {glue:text}`seg_far_hd_3d`. Only HD cares (ASSD moves by {glue:text}`seg_far_assd` at most), and once it does, it hears nothing else.
#
# **A shift by one voxel** costs the tumour little (Dice {glue:text}`seg_shift_tumour`) and the plaques about half of their overlap or more (Dice {glue:text}`seg_shift_plaques`), while the surface Dice holds both for perfect ({glue:text}`seg_shift_nsd`): within the tolerance. The volumes agree exactly ({glue:text}`seg_shift_volume`), as they would for a mask on the other side of the head.
#
# **The opening riddle.** By Dice a tumour with a hole ({glue:text}`seg_hole_dice`) beats a shifted one, by HD95 it is the other way round. Two methods that err in different ways, as the two of the thesis may, can be ranked one way by overlap and the other way by distance. That is no contradiction, it is information: look at the masks.
#
# ## Where it breaks
#
# Some patients have nothing to segment. If the prediction is empty too, Dice is 0/0. `medlab` says NaN, because nothing was judged. BraTS gives 1; other programs give 0, infinity or an error. Take two methods on the patients with plaques and `empty_patients` people without any. The *careful* one misses the smaller half of the lesions and never sees one where there is none. The *eager* one finds everything, and three stray voxels in everyone.
#
# **Predict.** Which has the better mean Dice?

# %%
none, pairs = np.zeros_like(plaques[0]), zip(plaques, around, strict=True)
eager = [mistakes.with_stray_voxels(mask, brain, 3, seed) for mask, brain in pairs]
methods = {"careful": [part_missing(mask) for mask in plaques], "eager": eager}
on_ill = {
    name: [float(dice(*pair)) for pair in zip(made, plaques, strict=True)]
    for name, made in methods.items()
}
on_none = {"careful": none, "eager": eager[0] & ~plaques[0]}  # three voxels


def mean_dice(method, empty, undefined):
    """Over patients with plaques, and so many without."""
    without = float(dice(on_none[method], none, undefined=undefined))
    return float(np.nanmean(on_ill[method] + empty * [without]))


UNDEFINED = {"counts 0": 0.0, "counts 1": 1.0, "is left out": float("nan")}
gains = [
    mean_dice("careful", empty_patients, value) - mean_dice("eager", empty_patients, value)
    for value in UNDEFINED.values()
]
assert empty_patients < 2 or (gains[0] < 0 < min(gains[1:]))


# %% tags=["hide-input"]
def draw_empty(empty):
    figure, ax = plt.subplots(figsize=(5.4, 2.9))
    rows = {f"0/0 {said}": {method: mean_dice(method, empty, value) for method in on_ill} for said, value in UNDEFINED.items()}  # fmt: skip
    rows["patients with\nplaques alone"] = {k: mean_dice(k, 0, 0.0) for k in on_ill}
    for at, row in enumerate(rows.values()):
        ax.plot(list(row.values()), [at, at], color=style.MUTED, linewidth=1)
        for (method, value), colour in zip(row.items(), (style.BLUE, style.ORANGE), strict=True):  # fmt: skip
            ax.plot(value, at, "o", color=colour, markersize=9, label=method if at == 0 else None)  # fmt: skip
    ax.set(yticks=range(len(rows)), yticklabels=rows, ylim=(3.5, -0.5), xlim=(0, 1.02), xlabel="mean Dice")  # fmt: skip
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    ax.set_title(f"{PEOPLE} ill, {empty} without lesions", loc="right", fontsize=10)
    return figure


explore(
    draw_empty,
    caption="The same masks, four ways to take the mean. Dots further right are better. Which method wins depends on a convention that few papers state.",
    alt=lambda empty: f"{empty} patients without lesions: " + "; ".join(f"0/0 {said}: careful {mean_dice('careful', empty, value):.2f}, eager {mean_dice('eager', empty, value):.2f}" for said, value in UNDEFINED.items()),
    labels={"empty": "patients without lesions"},
    start={"empty": 4},
    empty=list(range(9)),
)  # fmt: skip
usual = empty_patients == 4
for key, method, undefined in (("careful_0", "careful", 0.0), ("careful_1", "careful", 1.0), ("careful_nan", "careful", float("nan")), ("eager_0", "eager", 0.0), ("eager_1", "eager", 1.0)):  # fmt: skip
    run.record(f"seg_{key}", mean_dice(method, empty_patients, undefined), low=0.2 if usual else 0, high=0.99 if usual else 1, digits=2)  # fmt: skip
run.record("seg_ill_careful", np.mean(on_ill["careful"]), low=0.75, high=0.98, digits=2)
run.record("seg_ill_eager", np.mean(on_ill["eager"]), low=0.9, high=1, digits=2)

# %% [markdown]
# Where there are lesions the eager method wins ({glue:text}`seg_ill_eager` against {glue:text}`seg_ill_careful`). With people without lesions among them it depends. If 0/0 counts 0, eager wins, {glue:text}`seg_eager_0` to {glue:text}`seg_careful_0`. If it counts 1, careful wins, {glue:text}`seg_careful_1` to {glue:text}`seg_eager_1`. If it is left out, the careful method is judged on fewer patients than the eager one, and wins with {glue:text}`seg_careful_nan`. Each mean is correct, and none should stand alone. Report two things apart: is anything predicted where nothing is (a decision per person), and how good are the masks where something is. Drag the slider to 0, then to 1, and watch the ranking turn.
#
# Distances have the same trouble, and no natural worst value: with one mask empty HD is infinite here, and a mean over patients with it is too. Do not drop such patients in silence; the method that fails completely would be rewarded. Count them.
#
# ## Exercises
#
# ### Exercise 1: two means
#
# Method P has Dice 0.90 and 0.50 on two patients, method Q 0.71 on both. Which has the better mean Dice? Which the better mean IoU? Did the page not say that both order alike?
#
# <details class="hint"><summary>Hint</summary>
#
# Turn each Dice into an IoU by equation {eq}`seg-overlap`, then take means.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# IoU is a convex function of Dice: it gains more at the top than it loses below.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# By Dice Q wins, 0.71 to 0.70. IoU of P: 0.90/1.10 and 0.50/1.50, in the mean {glue:text}`seg_two_p`; of Q: 0.71/1.29 = {glue:text}`seg_two_q`. By IoU P wins. Any two *masks* are ordered alike, *means* over patients are not: Dice and IoU weigh a spread between patients differently.
#
# </details>
#
# ### Exercise 2: a sheet
#
# Cortex is a sheet, $w$ voxels thick and very wide. A prediction is shifted across it by one voxel. What is its Dice? What for a thickness of 2.5 mm and voxels of 1 mm, and of 0.5 mm? How thick must a sheet be for 0.9?
#
# <details class="hint"><summary>Hint</summary>
#
# Look at one line across the sheet. How many of its $w$ voxels are common?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Both masks have $w$ voxels a line, of which $w - 1$ are common.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $\mathrm{DSC} = 2(w - 1)/(2w) = 1 - 1/w$, for $w = 2.5$ it is 0.6, for $w = 5$ it is 0.8, and 0.9 takes 10 voxels. This is the law {eq}`seg-law` with $S/V = 2/w$ and $\delta = 1$, exact this time. (The cortex of the slider loses less. By its border over area it is in this slice a sheet of {glue:text}`seg_sheet`, and much of it runs along the shift.) A finer grid raises the score because one voxel is then a smaller error, not because the method is better.
#
# </details>
#
# ### Exercise 3: surface Dice from distance maps, in code
#
# Write the {term}`surface Dice` of equation {eq}`seg-distances` with `ndimage.distance_transform_edt`, for any spacing. It gives for each voxel the distance to the nearest voxel that is False.
#
# <details class="hint"><summary>Hint</summary>
#
# Make both borders. A distance map of the *complement* of a border holds every voxel's distance to that border.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Read the map of one border at the voxels of the other, both ways; count what is within the tolerance, and divide by the number of border voxels of both. `sampling=` takes the spacing.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The cell after the exercise holds the code. `medlab` asks a k-d tree instead, only for those border voxels that lie apart: its work grows with the surface, not with the volume.
#
# </details>


# %% tags=["hide-input"]
for key, scores in (("p", (0.9, 0.5)), ("q", (0.71, 0.71))):
    run.record(f"seg_two_{key}", np.mean([one / (2 - one) for one in scores]), low=0.5, high=0.6, digits=3)  # fmt: skip


def check_surface_dice(surface_dice):
    spacing, tolerance = (1.0, 1.0, 3.0), 2.0
    rng = np.random.default_rng(3)
    for _ in range(3):
        one, other = (ndimage.gaussian_filter(rng.normal(size=(16, 18, 12)), 1.5) > 0.05 for _ in range(2))  # fmt: skip
        answer = surface_dice(one, other, spacing, tolerance)
        if answer is None:
            return "it returned nothing; return a number from 0 to 1."
        truth = surface_distances(one, other, spacing)
        for wrong, said in (
            (surface_distances(one, other).within(tolerance), "you counted voxels, not mm; give the spacing to the distance map."),
            (float((truth.to_reference <= tolerance).mean()), "you asked the prediction's border only; ask both."),
            (surface_distances(one, other, spacing, border="volume").within(tolerance), "you asked all voxels of the masks, not their borders."),
        ):  # fmt: skip
            if abs(answer - wrong) < 1e-9 and abs(wrong - truth.within(tolerance)) > 1e-9:
                return said
        if abs(answer - truth.within(tolerance)) > 1e-9:
            return f"it gave {answer:.3f}, expected {truth.within(tolerance):.3f}."
    return None


# %% tags=["exercise"]
def surface_dice(prediction, reference, spacing, tolerance_mm):
    """The share of both borders within the tolerance of the other, 0 to 1."""
    ...  # your code here


judge(check_surface_dice, surface_dice)


# %% tags=["solution", "hide-cell"]
def surface_dice(prediction, reference, spacing, tolerance_mm):
    """The share of both borders within the tolerance of the other, 0 to 1."""
    # begin solution
    borders = [mask & ~ndimage.binary_erosion(mask) for mask in (prediction, reference)]
    away = [ndimage.distance_transform_edt(~one, sampling=spacing) for one in borders]
    near = [(away[1 - n][borders[n]] <= tolerance_mm).sum() for n in (0, 1)]
    return sum(near) / sum(one.sum() for one in borders)
    # end solution


judge(check_surface_dice, surface_dice)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "Two methods segment the ventricles. One has Dice 0.92 and HD95 2 mm, the other Dice 0.92 and HD95 9 mm. What is most likely?",
        ("One of the numbers is wrong", "Equal overlap with different distances is common: see the first figure of this page."),
        right("The second errs in few places, but far off", "Such as a missing horn or an island: little volume, large distance."),
        ("The second is larger all around", "A layer all around thick enough for 9 mm would have left a far lower Dice."),
    ),
    question(
        "A paper reports HD95 = 4.1, without a unit. Its slices are 5 mm apart, its pixels 0.9 mm wide. What do you ask first?",
        right("Was it computed in mm, with the spacing of each axis?", "In voxels a whole slice would count as little as one pixel."),
        ("Which network was used?", "That may matter, but not to what the number means."),
        ("Was Dice above 0.8?", "Another measure does not tell the unit of this one."),
    ),
    question(
        "You compare two methods for plaques. Which report is the most honest?",
        ("Mean Dice over all patients, since everyone reports it", "It hides missed small lesions, and what was done with patients who have none."),
        ("The best of five measures", "Chosen afterwards, some measure always favours the new method."),
        right("Measures named beforehand: lesions found and false alarms, Dice where there are lesions, decisions where there are none, each with an interval", "Each looks at an error that the others miss, and none was chosen by its result."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - Overlap counts voxels, distances look at borders. No measure sees both amount and place, so report one of each kind, chosen beforehand.
# - Dice falls by the error times half the surface over volume: most in small and in thin structures. It forgives a layer too much more than one too little.
# - HD is one voxel. HD95 forgives 5 % of the border, whatever lies there. ASSD is an average, the surface Dice a share within a tolerance that you must choose.
# - In mm, with the spacing of each axis, on one grid for all methods.
# - HD95 is a family of definitions: name program, border and rule, and compute all rows of a table with one of them.
# - Decide what 0/0 is before you look, report it, and count those patients apart.
#
# Now your own task. Answer, and see what to measure and what it misses. The rules are those of `medlab.metrics.chooser`, in the spirit of Metrics Reloaded {cite}`maierhein2024`, whose own framework asks more questions.

# %% tags=["remove-input"]
chooser(RULES, start={"predicted": "mask", "border": True, "doubtful": True})

# %% [markdown]
# ## Data and limits
#
# | | |
# | --- | --- |
# | patients, tumours, plaques | **synthetic**: drawn by the code of this page; shapes and volumes resemble those of patients, nothing more |
# | truth | exact; real references differ from reader to reader by a millimetre or more, and no measure can be trusted below that |
# | spoiled masks | **synthetic** errors, one at a time; real methods mix them |
# | numbers of other programs | run on the cubes named, versions below the table; medpy 0.5 as found in November 2026 |
# | measured scores of the thesis | as printed there, on BraTS; we have not rerun them |
# | claims | none about methods or patients: only about measures |
#
# ## Further reading
#
# {cite}`reinke2024` collects the pitfalls with pictures, {cite}`maierhein2024` turns them into a way of choosing. {cite}`taha2015` defines twenty measures and says which resemble one another. {cite}`huttenlocher1993` brought the Hausdorff distance, percentiles included, into image analysis; {cite}`nikolov2021` the surface Dice.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
