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
#     - physics/contrast
#     summary: Synthetic heads whose every voxel is known exactly, what in them is real,
#       and what is not.
#     weights: []
# ---

# %% [markdown]
# # A head to scan
#
# To learn a task, and to say how well it was learned, one needs the right answers. In medical imaging they are somebody's opinion:
# a radiologist has drawn the outline, and another one would have drawn it a little differently. In this lesson we take the opposite way. We make the
# head first, so that every voxel of it is known, and scan it afterwards. You will see what such data can teach, and where they
# differ from people.
#
# **You will be able to**
#
# - make a synthetic head, scan it with MR and CT, and read its exact tissue map
# - compute the image of a voxel that holds several tissues, and say what a label of it loses
# - deform a head by a flow that can be undone, and recognise a deformation that folds
# - measure a synthetic population against published volumes
# - say which parts of the data are real, which are derived and which are drawn
#
# **You need** [Images in space](../start/images_in_space.ipynb): grids and affines; [Contrast](../physics/contrast.ipynb): the signal of a tissue in a sequence.

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
seed = 0  # of the first subject
age_years = 40.0
exaggeration = 4.0  # in "Where it breaks": so many times the usual deformation

# %% tags=["hide-input"]
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from medlab.cohorts.anatomy import head_model
from medlab.cohorts.deformation import CONTROL_MM, flow
from medlab.cohorts.grid import Grid, sample
from medlab.cohorts.scan import FLAIR, T1, T1_INVERSION, T2, ct_image, mr_image
from medlab.cohorts.subject import SIZE, draw_person, draw_subject
from medlab.cohorts.tissues import BRAIN, HEALTHY, SKULL, TISSUES, magnetic
from medlab.data import load_icbm152
from medlab.metrics import mean_interval
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
GROUPS = {  # label: name, tissues, colour
    1: ("white matter", ("white matter",), "#efe9d9"),
    2: ("grey matter", ("grey matter",), "#8f9299"),
    3: ("deep grey matter", ("deep grey matter",), style.GOLD),
    4: ("ventricles", ("ventricular csf",), style.BLUE),
    5: ("outer fluid", ("outer csf",), "#9fd3f5"),
    6: ("blood, dura", ("blood", "dura mater"), style.PURPLE),
    7: ("bone", SKULL, style.ORANGE),
    8: ("scalp", ("fat", "skin", "muscle", "vitreous body"), style.PINK),
}
LABELS = {label: tissues for label, (_, tissues, _) in GROUPS.items()}
COLOURS = ListedColormap(["black", *(colour for *_, colour in GROUPS.values())])
HEIGHT_MM = 14.0  # of the slice in the pictures, in template coordinates
SHOWN = (slice(28, 212), slice(2, 228))


def draw_labels(ax, label, **settings):
    slices.draw_slice(ax, label, window=(0, len(GROUPS)), cmap=COLOURS, **settings)


def draw_scan(ax, image, window, **settings):
    slices.draw_slice(ax, image, window=window, **settings)


WHITE = TISSUES.index("white matter")
BRIGHTEST = {"T1": 1.4, "T2": 4.2, "FLAIR": 1.8}  # shown, in units of white matter's signal
WINDOWS = {
    sequence.name: (0, BRIGHTEST[sequence.name] * float(sequence.signals(magnetic(3.0))[WHITE]))
    for sequence in (T1, T2, FLAIR)
}
person = draw_person(seed, age_years)
slab = Grid((240, 240, 1), (1.0, 1.0, 1.0), (0.0, -17.0, HEIGHT_MM))
subject = draw_subject(person, slab)
scans = {
    sequence.name: mr_image(subject, sequence, seed)[SHOWN] for sequence in (T1, T2, FLAIR)
}
figure, axes = plt.subplots(2, 3, figsize=(8.4, 7.2))
for ax, (name, image) in zip(axes.flat, scans.items(), strict=False):
    draw_scan(ax, image, WINDOWS[name])
    ax.set_title(name)
draw_scan(axes[1, 0], ct_image(subject, seed)[SHOWN], (0, 80))
axes[1, 0].set_title("CT, 0 to 80 HU")
draw_labels(axes[1, 1], subject.labels(LABELS)[SHOWN])
axes[1, 1].set_title("the truth")
axes[1, 2].set_axis_off()
axes[1, 2].legend(
    handles=[
        Patch(facecolor=colour, edgecolor=style.MUTED, label=name)
        for name, _, colour in GROUPS.values()
    ],
    loc="center",
    fontsize=11,
)
show(
    figure,
    caption=f"A synthetic head of {age_years:.0f} years, one slice: three MR scans at 3 T, a CT, and what is really there. No program has segmented anything: the scans "
    "were computed from the tissue map.",
    alt="Five axial pictures of one head: T1, T2, FLAIR, CT, and a coloured map of its tissues with a legend",
)

# %% [markdown]
# All of it is {term}`synthetic <synthetic data>`. The patient's right is on your left.
#
# ## Why made data, and what is real in them
#
# There are three reasons. Patients' scans may not be copied into a book. A made head has an exact truth, which no real one has. And one can turn a
# single knob (age, noise, voxel size) and leave everything else alone. The price: the data hold only what their maker put in. A method that works
# on them has passed a test, not been proved. So the first question to any synthetic data is what in them comes from people.
#
# | in the head | where it comes from | |
# | --- | --- | --- |
# | white and grey matter | ICBM 152 {term}`template`, the mean of 152 adults {cite}`fonov2009,fonov2011` | real, as a mean; borders sharpened by a formula |
# | left-right difference | the template is exactly symmetric; the right half is moved forward by up to 2.5 mm, the left one back | drawn |
# | fluid, ventricles | what is neither white nor grey inside the head's hull; ventricles are its deep rooms | derived |
# | deep grey matter | grey matter inside an ellipsoid | derived |
# | meninges, skull, scalp | layers around the brain with anatomical thickness | drawn |
# | vessels, eyes, nose, face | tubes and ellipsoids | drawn |
# | a person's shape and folds | random fields | drawn |
# | relaxation times, attenuation | measured in tissue, for many tissues; the rest round | mostly real |
# | the scan | equations of the physics lessons: sequence, coil, noise; beam, detector, reconstruction | real physics, simplified |
#
# Derived truth is exact about what was made, not about anatomy. Look at the first figure again: the blue strip in the midline, behind the ventricles, counts as ventricle because it is deep fluid in one piece. An anatomist would call it
# a cistern, a part of the outer fluid.
#
# In one line: the brain's anatomy is that of *one* average, the physics is that of a scanner, and the rest is a sketch.
#
# ## A voxel holds shares
#
# A head is stored as {term}`shares <tissue share>`. For each tissue $t$ there is a volume $f_t$ that says which part of a voxel it fills:
#
# $$ 0 \le f_t(\mathbf{x}) \le 1, \qquad \sum_t f_t(\mathbf{x}) = 1 . $$ (head-shares)
#
# This is the {term}`partial volume` effect written down. The scan follows from it. Each tissue has the signal $S_t$ of the
# sequence, which after an inversion can be negative, and the voxel shows the magnitude of the sum:
#
# $$ I(\mathbf{x}) = \Big|\sum_t f_t(\mathbf{x})\, S_t\Big| . $$ (head-mixture)
#
# `mr_image` adds what a real scan adds: a coil, noise, tissue that is not even, relaxation times that differ from person to person.
# With those switched off nothing but equation {eq}`head-mixture` should be left:

# %%
whole = sum(subject.shares.values())
torch.testing.assert_close(whole, torch.ones_like(whole), atol=1e-5, rtol=0)  # (head-shares)

signals = T1_INVERSION.signals(magnetic(3.0))  # signed: an inversion, then 950 ms
by_hand = sum(f * signals[TISSUES.index(t)] for t, f in subject.shares.items()).abs()
pure = {"noise": 0.0, "bias": 0.0, "variation": 0.0, "texture": 0.0}
image = mr_image(subject, T1_INVERSION, seed, **pure)
torch.testing.assert_close(by_hand, image)  # equation (head-mixture)

# %% [markdown]
# **Predict.** At this inversion time the magnetisation of white matter is already above zero and that of grey matter still below. What does
# a voxel on their border show? And would the image be the same if one mixed the magnitudes, $\sum_t f_t |S_t|$?

# %% tags=["hide-input"]
of_magnitudes = sum(f * signals[TISSUES.index(t)].abs() for t, f in subject.shares.items())
inside = subject.share(*BRAIN) > 0.95
cancelled = (image < 0.5 * of_magnitudes) & inside
zoom = (slice(60, 180), slice(130, 225))
figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.4))
for ax, picture, title in zip(
    axes, (image, of_magnitudes), ("magnitude of the sum", "sum of magnitudes"), strict=True
):
    draw_scan(ax, picture[zoom], (0, 1.3 * float(image[inside].quantile(0.99))))
    ax.set_title(title)
show(
    figure,
    caption="The front of the brain after an inversion, the same window. Left: a dark line runs along the border of white and grey matter, where the mixture "
    "cancels. Nothing dark is there in the anatomy. Right: mixing magnitudes, which no scanner does, loses the line.",
    alt="Two zoomed slices; in the left one thin dark lines follow the border between cortex and white matter, in the right one they are absent",
)
run.record("head_cancelled", 100 * float(cancelled.sum() / inside.sum()), low=2, high=30, unit="%", digits=0)  # fmt: skip

# %% [markdown]
# In {glue:text}`head_cancelled` of the brain's voxels more than half of the signal has cancelled. The line is no structure, and its place is decided by the
# inversion time. A network that learns on images with mixed magnitudes would never meet it.
#
# ## What a label loses
#
# A {term}`label map` gives each voxel the tissue with the largest share and forgets the others. Segmentation is trained on labels and scored against them, so it
# matters what they forget. Here we can know it. We take a block of the head at 1 mm, average the shares over blocks of 2, 3, 4 and 6 mm, as a scan with larger voxels
# does, and label again.
#
# **Predict.** Four tissues: white matter, grey matter, ventricles, and the fluid in the furrows, a sheet of one or two millimetres. What is the {term}`Dice coefficient` of
# each between its label at 4 mm and at 1 mm? And how much fluid will the furrows hold?

# %%
four = {1: ("white matter",), 2: BRAIN[1:], 3: ("ventricular csf",), 4: ("outer csf",)}
size = run.pick(ci=(96, 96, 24), cpu=(120, 156, 36), gpu=(144, 168, 72))
fine = draw_subject(person, Grid(size, (1.0, 1.0, 1.0), (0.0, -17.0, 26.0)))


def coarser(subject, factor):
    """The same head in voxels that are so many times longer: shares are averaged."""
    grid = subject.grid
    shape = tuple(n // factor for n in grid.shape)
    spacing = tuple(factor * mm for mm in grid.spacing_mm)
    pooled = {t: torch.nn.functional.avg_pool3d(f[None], factor)[0] for t, f in subject.shares.items()}  # fmt: skip
    return replace(subject, shares=pooled, grid=Grid(shape, spacing, grid.centre_mm))


def dice(a, b):
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


# %% tags=["hide-input"]
truth = fine.labels(four)
coarse = {k: coarser(fine, k) for k in (1, 2, 3, 4, 6)}
rows, scores, volumes = [], {}, {}
for k, head in coarse.items():
    label = head.labels(four)
    stretched = label.repeat_interleave(k, 0).repeat_interleave(k, 1).repeat_interleave(k, 2)
    scores[k] = [dice(stretched == value, truth == value) for value in four]
    volumes[k] = float((label == 4).sum()) * k**3 / 1000, head.volume_ml("outer csf")
    mixed = torch.stack(list(head.shares.values())).amax(0) < 0.9
    shown = (*(f"{score:.2f}" for score in scores[k]), f"{100 * mixed.float().mean():.0f} %")
    rows.append([f"{k} mm", *shown, *(f"{ml:.1f}" for ml in volumes[k])])
table(
    ["voxel", "white", "grey", "ventricles", "furrows", "mixed", "by label", "by shares"],
    rows,
    caption="A block of one synthetic head. Dice of the label against the label at 1 mm; mixed: voxels in which no tissue has 90 %; volume of the fluid in the furrows in ml, from the label and from the shares.",
)
run.record("head_dice_white", scores[4][0], low=0.8, high=0.96, digits=2)
run.record("head_dice_furrows", scores[4][3], low=0.2, high=0.7, digits=2)
run.record("head_furrows_label", volumes[4][0], low=0.2, high=80, unit="ml", digits=1)
run.record("head_furrows_shares", volumes[4][1], low=1, high=90, unit="ml", digits=1)
run.record("head_furrows_lost", 100 - 100 * volumes[4][0] / volumes[4][1], low=20, high=80, unit="%", digits=0)  # fmt: skip
assert math.isclose(volumes[6][1], volumes[1][1], rel_tol=1e-3)
figure, axes = plt.subplots(2, 2, figsize=(6.4, 7.2))
recoloured = ListedColormap([COLOURS(i) for i in (0, 1, 2, 4, 5)])
for ax, k in zip(axes.flat, (1, 2, 4, 6), strict=True):
    slices.draw_slice(ax, coarse[k].labels(four), window=(0, 4), cmap=recoloured, smooth=False,
                      index=size[2] // 2 // k, spacing=coarse[k].grid.spacing_mm)  # fmt: skip
    ax.set_title(f"{k} mm")
show(
    figure,
    caption="The label of one block from the same shares. Cream: white matter; grey: grey matter; blue: ventricles; light blue: fluid in the furrows; black: anything else. What is thin disappears first.",
    alt="Four label maps of the same slice at 1, 2, 4 and 6 mm; the furrows break up at 2 mm and are mostly gone at 6 mm",
)

# %% [markdown]
# Same head, same shares, no noise, no method: only a choice of voxels. At 4 mm white matter keeps a Dice of {glue:text}`head_dice_white`, the furrows
# {glue:text}`head_dice_furrows`. Their label has {glue:text}`head_furrows_label`, their shares {glue:text}`head_furrows_shares`: {glue:text}`head_furrows_lost` of the fluid is gone from the label, because
# where it fills less than its neighbour it loses the vote. The shares lose nothing at any size. Two lessons: a Dice of 0.9 can be
# perfect or poor, depending on the structure; and a volume is better summed from shares than counted from labels.
#
# ## Another head: deformation as a flow
#
# One head is no population. A second one must have other proportions, but the same parts in the same neighbourhood: no tissue torn, none folded over. Adding a
# random shift to every point does not guarantee that. Floating along a stream does. Let $v$ be a smooth velocity, constant in time, and carry each point along for one unit of
# time:
#
# $$ \frac{\partial}{\partial \tau} \Phi_\tau(\mathbf{x}) = v\big(\Phi_\tau(\mathbf{x})\big), \qquad \Phi_0(\mathbf{x}) = \mathbf{x}, \qquad \exp(v) = \Phi_1 . $$ (head-flow)
#
# Paths of a smooth stream never cross, and one returns by swimming against it: $\exp(v)^{-1} = \exp(-v)$. Such a map, smooth in both
# directions, is a {term}`diffeomorphism`. To compute it, one uses that flowing twice for half the time is flowing once
# {cite}`arsigny2006`. For a very short time the flow is the velocity itself, so with the displacement $u$ and $n$ squarings
#
# $$ u_0 = v / 2^n, \qquad u_{k+1}(\mathbf{x}) = u_k(\mathbf{x}) + u_k\big(\mathbf{x} + u_k(\mathbf{x})\big), \qquad \exp(v)(\mathbf{x}) \approx \mathbf{x} + u_n(\mathbf{x}) . $$ (head-squaring)
#
# Seven squarings stand for 128 steps. It is a loop of one line:

# %%
model = head_model(CONTROL_MM)  # velocities live on a grid of 4 mm
shape = model.shares.shape[1:]
middle = model.affine[:3] @ [*((np.array(shape) - 1) / 2), 1]
places = Grid(tuple(shape), (float(CONTROL_MM),) * 3, tuple(middle.tolist())).points()


def flow_by_hand(velocity_mm, squarings=7):
    u = velocity_mm / 2**squarings
    for _ in range(squarings):  # equation (head-squaring)
        u = u + sample(u, model.affine, places + u.movedim(0, -1))
    return u


deformation = person.deformation()
velocity = deformation.velocity_mm
torch.testing.assert_close(flow_by_hand(velocity), flow(velocity), atol=1e-3, rtol=0)

# %% [markdown]
# **Predict.** Points of the brain move by up to a centimetre. They go there with $\exp(v)$ and come back with $\exp(-v)$, each known only on a grid of 4 mm. By how much do they miss
# where they came from?
#
# Whether space was folded is told by the {term}`Jacobian determinant` of the map, which says by what factor a small volume grows:
#
# $$ \det J(\mathbf{x}) = \det\!\big(I + \nabla u(\mathbf{x})\big) . $$ (head-jacobian)
#
# At 1 nothing changes, at 0.5 a volume has shrunk to half, and below 0 it is turned inside out.


# %%
def jacobian(u):
    """Equation (head-jacobian) by differences on the grid of the velocities."""
    gradient = torch.stack(torch.gradient(u, spacing=float(CONTROL_MM), dim=(1, 2, 3)), 1)
    return torch.linalg.det(gradient.permute(2, 3, 4, 0, 1) + torch.eye(3))


brain = model.away_mm < 0  # inside the skull
moved = flow(velocity)
there = places + moved.movedim(0, -1)
back = there + sample(flow(-velocity), model.affine, there).movedim(0, -1)
missed = (back - places).norm(dim=-1)[brain]
points = places[brain]
corrected = (deformation.to_template(deformation.to_subject(points)) - points).norm(dim=-1)
growth = jacobian(moved)
size_change = float(np.linalg.det(deformation.affine[:3, :3]))  # the affine part's share
torch.testing.assert_close(growth * size_change, deformation.jacobian_determinant())

# %% tags=["hide-input"]
run.record("head_moved", moved.norm(dim=0)[brain].max(), low=4, high=25, unit="mm", digits=1)
run.record("head_missed", missed.max(), low=0.005, high=0.5, unit="mm", digits=2)
run.record("head_corrected", 1000 * corrected.max(), low=0, high=100, unit="µm", digits=1)
run.record("head_shrunk", growth[brain].min(), low=0.3, high=0.9, digits=2)
run.record("head_grown", growth[brain].max(), low=1.2, high=4, digits=1)
assert growth.min() > 0, "a flow must not fold space"


def draw_lattice(ax, points, colour):
    """Lines of equal x and y of the template, every 10 mm, as they lie in the picture."""
    columns = points.shape[0] - 0.5 - np.arange(points.shape[0])  # R is on the left
    rows = np.arange(points.shape[1]) + 0.5
    for axis in (0, 1):
        values = points[:, :, 0, axis].numpy().T
        ax.contour(columns, rows, values, levels=np.arange(-130, 110, 10), colors=colour, linewidths=0.6, linestyles="solid")  # fmt: skip


figure, axes = plt.subplots(1, 2, figsize=(7.8, 4.2), width_ratios=(1, 1.2))
draw_scan(axes[0], scans["T1"], WINDOWS["T1"])
draw_lattice(axes[0], deformation.to_template(slab.points())[SHOWN], style.GOLD)
axes[0].set_title("where 10 mm went")
level = round((HEIGHT_MM - float(model.affine[2, 3])) / CONTROL_MM)
within = torch.where(brain, growth, torch.nan)[..., level : level + 1]
slices.draw_slice(
    axes[1],
    within.log2(),
    window=(-1, 1),
    cmap="PuOr_r",
    spacing=(CONTROL_MM,) * 3,
    smooth=False,
)
axes[1].set_title("growth of volume")
bar = figure.colorbar(axes[1].images[0], ax=axes[1], shrink=0.8, ticks=[-1, 0, 1], extend="max")
bar.ax.set_yticklabels(["halved", "kept", "doubled"])
show(
    figure,
    caption="Left: the synthetic head with the lattice of the template, once square, as the flow and the affine part have left it. Right: the Jacobian determinant of the flow inside the "
    "skull, on the template. Orange has grown, purple has shrunk; the spots in the middle are the ventricles, widened by age.",
    alt="Left: T1 slice with a bent but nowhere crossing lattice. Right: map of volume change with an orange spot at the ventricles",
)

# %% [markdown]
# The largest displacement is {glue:text}`head_moved`. After the way back the worst point misses by {glue:text}`head_missed`, from interpolating between grid points;
# `Deformation.to_template` corrects it in three rounds, each asking for a point as far before the target as the last one came out behind it, to {glue:text}`head_corrected`. Volumes change by factors from {glue:text}`head_shrunk` to {glue:text}`head_grown`, and none is
# negative: nothing has folded. So the truth goes along: whoever registers two such heads can be told, in millimetres, how far off the answer is.
#
# A person is a seed and an age. Random velocities give the shape, an affine part the size and pose. With age the ventricles' walls move
# outwards, the furrows widen at the cost of cortex and white matter, and the surface of the brain moves inwards. Move the sliders: the first keeps the person, the second keeps the age.

# %% tags=["hide-input"]
small = Grid((124, 150, 1), (1.5, 1.5, 1.5), (0.0, -17.0, HEIGHT_MM))
if run.profile.name == "ci":
    small = Grid((46, 56, 1), (4.0, 4.0, 4.0), (0.0, -17.0, HEIGHT_MM))


def draw_head(age, person_seed):
    head = draw_subject(draw_person(person_seed, float(age)), small)
    figure, ax = plt.subplots(figsize=(3.4, 4.2))
    draw_scan(ax, mr_image(head, T1, 0), WINDOWS["T1"], spacing=small.spacing_mm)
    ax.set_title(f"seed {person_seed}, {age} years")
    return figure


explore(
    draw_head,
    caption="Synthetic heads, T1-weighted. Age widens the ventricles and the furrows of one and the same head; another seed is another head, turned and shifted a little in the scanner.",
    alt=lambda age, person_seed: (
        f"Axial T1 slice of the synthetic head {person_seed} at {age} years"
    ),
    labels={"age": "age (years)", "person_seed": "person (seed)"},
    start={"age": 20, "person_seed": 0},
    age=[20, 50, 80],
    person_seed=[0, 1, 2],
)

# %% [markdown]
# ## The experiment: is this a population?
#
# A {term}`cohort` of made people needs no disk: it is a list of seeds. Same seed, same bytes; another seed, another head. We check both, and then ask what
# no picture tells: do these brains have the volumes of people?

# %%
# NBVAL_CHECK_OUTPUT
coarse_grid = Grid.cube(run.pick(ci=32, cpu=48, gpu=80))
first, again, other = (draw_subject(draw_person(n, 40.0), coarse_grid) for n in (7, 7, 8))
assert all(torch.equal(f, again.shares[t]) for t, f in first.shares.items())
score = dice(*(head.share("grey matter") > 0.5 for head in (first, other)))
assert score < 0.8
print("the same seed gives the same bytes; another seed gives another head")

# %% tags=["hide-input"]
run.record("head_other_seed", score, low=0.2, high=0.75, digits=2)
people = run.pick(ci=3, cpu=16, gpu=64)
ages = (25, 50, 75)
grid = Grid.cube(run.pick(ci=32, cpu=48, gpu=80))
measured = torch.tensor(
    [
        [
            [head.volume_ml(*names) for names in (BRAIN, ("ventricular csf",), ("white matter",))]
            for head in (draw_subject(draw_person(n, float(age)), grid) for age in ages)
        ]
        for n in range(people)
    ]
)  # fmt: skip
years = ages[-1] - ages[0]
young, old = measured[:, 0], measured[:, -1]
loss = 100 * (young[:, 0] - old[:, 0]) / young[:, 0] / years
wider = (old[:, 1] - young[:, 1]) / years
white = 100 * (measured[:, 1, 2] / young[:, 2] - 1)
template = load_icbm152()
template_ml = (
    float(template.white.data.sum() + template.grey.data.sum()) / 1000
)  # voxels of 1 mm³


table(
    ["", "published, in people", "here, synthetic"],
    [
        ["brain of young adults, ml", "1,173 to 1,626 (Filipek 1994)", f"{young[:, 0].min():,.0f} to {young[:, 0].max():,.0f}; mean {mean_interval(young[:, 0]).shown(0)}"],
        ["widening of the ventricles, ml a year", "0.3 (Pfefferbaum 1994)", mean_interval(wider).shown(2)],
        ["the template's brain, ml", "", f"{template_ml:,.0f}"],
        ["loss of brain, % a year", "0.2 at 35 to 0.5 at 60 (Hedman 2012)", mean_interval(loss).shown(2)],
        [f"white matter from {ages[0]} to {ages[1]}, %", "grows until the forties (Ge 2002)", mean_interval(white).shown(1)],
    ],
    caption=f"{people} synthetic people, each drawn at {ages[0]}, {ages[1]} and {ages[2]} years, voxels of {grid.spacing_mm[0]:g} mm, profile {run.profile.name}; ± is the 95 % interval over people. "
    "Published: 20 volunteers; 73 men of 21 to 70 years; 56 longitudinal studies; 54 volunteers.",
)  # fmt: skip
run.record("head_brain_ml", young[:, 0].mean(), low=1250, high=1650, unit="ml", digits=0)
run.record("head_widening", wider.mean(), low=0.15, high=0.5, unit="ml", digits=2)
run.record("head_loss", loss.mean(), low=0.2, high=0.4, unit="%", digits=2)
run.record("head_white", -white.mean(), low=1, high=8, unit="%", digits=1)
run.record("head_scale", (1200 / young[:, 0].mean()) ** (1 / 3), low=0.88, high=0.99, digits=2)
run.record("head_template_ml", template_ml, low=1650, high=1710, unit="ml", digits=0)
model_ml = float(head_model(1).share(*BRAIN).sum()) / 1000
run.record("head_sharpened", 100 * (model_ml / template_ml - 1), low=0, high=6, unit="%", digits=0)  # fmt: skip
run.record("head_size", SIZE, low=0.9, high=1, digits=2)

figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.3))
for ax, column, name in zip(axes, (0, 1), ("brain (ml)", "ventricles (ml)"), strict=True):
    for one in measured[..., column]:
        ax.plot(ages, one, "-o", color=style.BLUE, alpha=0.45, linewidth=1, markersize=3)
    ax.set(xlabel="age (years)", ylabel=name)
axes[0].axhspan(1173, 1626, color=style.ORANGE, alpha=0.25, linewidth=0)
axes[0].axhline(template_ml, color=style.MUTED, linestyle=":")
axes[0].annotate(
    "template", (ages[0], template_ml), (0, 3), textcoords="offset points", fontsize=9
)
at = np.array([21, 70])
axes[1].plot(at, 30 + 0.3 * (at - 21), color=style.ORANGE, linewidth=3, label="0.3 ml a year")
axes[1].legend(loc="upper left")
show(
    figure,
    caption="Blue: synthetic people, one line each. Orange: published, the range of young adults (left) and the slope of ventricular volume (right; its height is set by hand, only the slope was published here).",
    alt="Left: brain volumes that fall with age, faster after 50, most of them within the published band and all but a few below the template's. Right: rising ventricular volumes with the published slope",
)

# %% [markdown]
# The volumes agree, and they have to: they were set. The template's own maps hold {glue:text}`head_template_ml` of white and grey matter, for it was brought into a space that is larger than most people, and our sharpening adds
# {glue:text}`head_sharpened`. So `draw_person` makes every head smaller, by {glue:text}`head_size` along each axis on average; now the mean of the young is {glue:text}`head_brain_ml`, where twenty measured young adults lay between 1,173 and 1,626 ml {cite}`filipek1994`.
# Ventricles that widen by {glue:text}`head_widening` a year {cite}`pfefferbaum1994` and a brain that loses {glue:text}`head_loss` a year, slowly first and faster later {cite}`hedman2012`, were set as well.
# Agreement with what was set is a check of the code. It is no evidence.
#
# The last row was not set, and it is wrong. In people grey matter shrinks from the twenties on while white matter still grows, into the forties {cite}`ge2002`. Here widening furrows take from
# both at once, and white matter has lost {glue:text}`head_white` by 50. Nobody sees this in a picture. It follows that these heads may test a *segmentation* (the truth fits the image, however it got there) and may carry a
# network that tells age from the amount of fluid. They cannot teach anybody in which order tissues age. An experiment with numbers tells you which questions a data set can bear.
#
# **What one template cannot give.** Here is the grey matter of pairs of people with size, pose and age made equal, in three populations: only shapes differ, only folds differ, or both.

# %% tags=["hide-input"]
EQUAL = dict(scale=(1.0,) * 3, angles_deg=(0.0,) * 3, shift_mm=(0.0,) * 3, ventricles_mm=0.0, atrophy_mm=0.0, asymmetry_mm=0.0, furrows=0.0)  # fmt: skip
pairs = run.pick(ci=2, cpu=6, gpu=20)
rows = []
for name, key, change in (
    ("shape alone (a flow)", "shape", {"folds": 0.0}),
    ("folds alone", "folds", {"shape_mm": 0.0}),
    ("both, as drawn", "both", {}),
):
    heads = [
        draw_subject(draw_person(n, 40.0, **EQUAL, **change), coarse_grid).share("grey matter") > 0.5
        for n in range(2 * pairs)
    ]  # fmt: skip
    overlaps = torch.tensor([dice(a, b) for a, b in zip(heads[::2], heads[1::2], strict=True)])
    rows.append([name, mean_interval(overlaps).shown(2)])
    run.record(f"head_pairs_{key}", overlaps.mean(), low=0.4, high=0.9, digits=2)
table(
    ["what differs", "Dice of grey matter"],
    rows,
    caption=f"{pairs} pairs of synthetic people, voxels of {coarse_grid.spacing_mm[0]:g} mm; ± is the 95 % interval over pairs.",
)

# %% [markdown]
# A deformation of centimetres lowers the Dice to {glue:text}`head_pairs_shape`, yet it can be undone: every gyrus of one head has its partner in the other. What the folds do
# ({glue:text}`head_pairs_folds` alone) cannot be undone by any flow, and it is the part that resembles people least. In people whole furrows are present in one and
# absent in another. Here the borders of tissues wander by a random field; all heads have the template's gyri, and the template has only those that survived the mean of 152.
# So a registration is flattered by these pairs, and rare anatomy never occurs.
#
# ## Where it breaks
#
# Why the detour through a flow? Add the random field directly as a displacement, $\mathbf{x} + v(\mathbf{x})$, and let it be `exaggeration` times as strong as usual. Both maps are smooth.

# %%
strong = exaggeration * velocity
as_flow, direct = flow(strong), strong  # the same field, with and without the stream
worst_flow, worst_direct = (float(jacobian(u)[brain].min()) for u in (as_flow, direct))
folded = (jacobian(direct) <= 0) & brain
mirrored_ml = float(-jacobian(direct)[folded].sum()) * CONTROL_MM**3 / 1000
print(f"smallest Jacobian determinant: flow {worst_flow:.2f}, direct {worst_direct:.2f}")
print(f"folded: {int(folded.sum())} voxels of {CONTROL_MM} mm")

# %% tags=["hide-input"]
if exaggeration == 4:
    assert worst_flow > 0, "the flow must not fold at this strength"
    assert worst_direct < 0, "the direct displacement must fold at this strength"
if exaggeration <= 1:
    assert worst_direct > 0, "at its usual strength the field must not fold"
usual = exaggeration == 4
bands = ((0.5, 12), (2, 80), (0.03, 0.4)) if usual else ((0, 100), (0, 2e4), (-100, 1))
values = 100 * folded.sum() / brain.sum(), mirrored_ml, worst_flow
for key, value, (low, high), unit, digits in zip(
    ("folded", "mirrored", "worst_flow"), values, bands, ("%", "ml", ""), (1, 0, 2), strict=True
):
    run.record(f"head_{key}", value, low=low, high=high, unit=unit, digits=digits)

two = head_model(2)
template_t1 = torch.einsum(
    "t,txyz->xyz", T1.signals(magnetic(3.0))[: len(HEALTHY)] / 255, two.shares.float()
)[None]
view = Grid((184, 220, 1), (1.0, 1.0, 1.0), (0.0, -17.0, HEIGHT_MM))
figure, axes = plt.subplots(1, 2, figsize=(7.4, 4.6))
for ax, u, title in zip(axes, (as_flow, direct), ("flow", "direct displacement"), strict=True):
    points = view.points()
    points = points + sample(u, model.affine, points).movedim(0, -1)
    draw_scan(ax, sample(template_t1, two.affine, points)[0], WINDOWS["T1"])
    draw_lattice(ax, points, style.GOLD)
    turned = (jacobian(u) <= 0).float()
    slices.draw_mask(ax, sample(turned[None], model.affine, view.points())[0], index=0)
    ax.set_title(title)
show(
    figure,
    caption=f"The same random field, {exaggeration:g} times its usual strength; each pixel shows the template at the displaced place. Orange: the determinant is negative. "
    "Neither head is likely, but the left one is whole: lines are squeezed and never cross.",
    alt="Two strongly distorted T1 slices with lattices; the right one has orange patches where lines turn back on themselves",
)

# %% [markdown]
# The direct displacement folds {glue:text}`head_folded` of the inside of the skull, and {glue:text}`head_mirrored` of the template are shown mirrored: such a place appears three times in the head, twice upright and once turned
# over. No inverse exists, for which of the three would it return? The flow's smallest determinant is {glue:text}`head_worst_flow`. Set `exaggeration = 1`: now the direct field does
# not fold either. It is strength against smoothness that decides. Set it to 8: the flow is still one-to-one in theory, but on a grid of 4 mm differences can no longer follow it, and determinants fall below zero.
# Mathematics guarantees the flow, not its computation, so one checks.
#
# ## Exercises
#
# ### Exercise 1: a furrow
#
# A furrow is a sheet of fluid 1 mm wide between two banks of cortex. A row of voxels of width $w$ crosses it at a right angle, and one voxel is centred on it. Up to which $w$ does the label call this voxel fluid? What does the label
# say if instead a border of two voxels runs through the middle of the sheet, at $w = 1$ mm and at $w = 1.5$ mm? What do the shares say?
#
# <details class="hint"><summary>Hint</summary>
#
# Which part of the voxel does the sheet fill? Fluid wins if that is more than one half.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Centred: $1/w$. Split: each of two voxels gets half a millimetre.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Centred, the share is $1/w$ for $w > 1$: fluid up to 2 mm. Split, each voxel has $0.5/w$: one half at 1 mm, a tie, and one third at 1.5 mm, so the label has no fluid at all. The shares add up to 1 mm of fluid in every case.
# The label of a thin structure depends on where the grid happens to lie.
#
# </details>
#
# ### Exercise 2: heads of another size
#
# You want a population whose young brains hold 1,200 ml on average. `draw_person(seed, age, scale=(s, s, s))` sets the size. By what must the drawn `scale` be multiplied? What else changes in the images?
#
# <details class="hint"><summary>Hint</summary>
#
# A volume grows with the third power of a length.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $(1200 / V)^{1/3}$, with the mean $V$ of the table.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# By {glue:text}`head_scale`. The cortex becomes thinner by the same factor, the skull too, and the ventricles smaller; more voxels hold two tissues. With one $s$ for everybody the sizes would no longer vary, so multiply what was drawn:
# `draw_person(seed, age)` first, then again with its `scale` times the factor.
#
# </details>
#
# ### Exercise 3: the label, in code
#
# Write `label_from_shares(shares, groups)`. `shares` is a dictionary of tissues and their shares, `groups` one of label values and the tissues that belong to them. The result has, in each voxel, the value of the group with the largest *sum* of shares, and 0 where all other
# tissues together have more than any group.
#
# <details class="hint"><summary>Hint</summary>
#
# First add up the shares of each group, and of the rest. Then stack and take `argmax`.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# `argmax` gives positions in the stack; `torch.tensor([0, *groups])[positions]` turns them into label values.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The cell after the exercise holds the code. Note that no threshold of one half occurs: with three tissues the winner may have 0.4.
#
# </details>


# %% tags=["hide-input"]
def check_label_from_shares(label_from_shares):
    parts = {"a": [0.4, 0.3, 0.1, 0.0], "b": [0.3, 0.0, 0.1, 0.9], "c": [0.3, 0.3, 0.1, 0.1], "d": [0.0, 0.4, 0.7, 0.0]}  # fmt: skip
    shares = {name: torch.tensor(values) for name, values in parts.items()}
    answer = label_from_shares(shares, {5: ("a",), 2: ("b",), 3: ("c",)})
    if answer is None:
        return "it returned nothing; return a tensor of label values."
    answer = [int(value) for value in answer]
    if answer[0] != 5:
        return f"shares of 0.4, 0.3 and 0.3 gave the label {answer[0]}, expected 5, the value of the tissue with 0.4; is there a threshold?"
    if answer[2] != 0:
        return f"where 0.7 belong to no group it gave {answer[2]}, expected 0; count the rest as a group of its own."
    if answer != [5, 0, 0, 2]:
        return f"single tissues gave {answer}, expected [5, 0, 0, 2]; are positions turned into label values?"
    grouped = [int(value) for value in label_from_shares(shares, {1: ("a",), 2: ("b", "c")})]
    if grouped[0] != 2:
        return "a group with 0.3 and 0.3 lost against 0.4; add the shares of a group before you compare."
    mine = label_from_shares(subject.shares, LABELS)
    wrong = float((mine != subject.labels(LABELS)).float().mean())
    return f"on the head of this page {100 * wrong:.1f} % of the voxels differ from Subject.labels." if wrong > 1e-3 else None  # fmt: skip


# %% tags=["exercise"]
def label_from_shares(shares, groups):
    """The value of the group with the largest share in each voxel, 0 for the rest."""
    ...  # your code here


judge(check_label_from_shares, label_from_shares)


# %% tags=["solution", "hide-cell"]
def label_from_shares(shares, groups):
    """The value of the group with the largest share in each voxel, 0 for the rest."""
    # begin solution
    named = {name for names in groups.values() for name in names}
    rest = sum(share for name, share in shares.items() if name not in named)
    sums = [rest] + [sum(shares[n] for n in names if n in shares) for names in groups.values()]
    return torch.tensor([0, *groups])[torch.stack(sums).argmax(0)]
    # end solution


judge(check_label_from_shares, label_from_shares)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A voxel holds 50 % white matter (signal +0.2) and 50 % grey matter (signal −0.2 after an inversion). What does the image show?",
        ("0.2", "That is the mean of the magnitudes. The signals add up before the magnitude is taken."),
        right("0", "+0.1 and −0.1 cancel: a dark line along the border."),
        ("−0.2", "A magnitude is never negative."),
    ),
    question(
        "Two segmentations have a Dice of 0.60 with the truth: one of the ventricles, one of the fluid in the furrows, both with voxels of 4 mm. Which has done worse?",
        right("The one of the ventricles", "Even the perfect label at 4 mm scores far less on thin furrows than on ventricles: compare with the table of this page."),
        ("Both the same: the Dice is the same", "The same Dice means something else for a sheet than for a room, because most voxels of a sheet lie at its border."),
        ("The one of the furrows", "For furrows 0.60 is more than the perfect label at 4 mm reaches here."),
    ),
    question(
        "The Jacobian determinant of a map is 0.3 at a place. What happened there?",
        ("The map has folded", "Folding needs a determinant below zero."),
        right("A small volume has shrunk to 30 %", "It is small and positive: squeezed, but still one-to-one there."),
        ("Points have moved by 0.3 mm", "The determinant tells volumes, not distances; a shift of any length has a determinant of 1."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - A synthetic head is a set of shares that add up to 1; scans and labels are both computed from it, so the truth is exact.
# - Signals mix with their sign, before the magnitude. Borders can be darker than anything in the anatomy.
# - A label forgets what is thin. Its best possible Dice depends on the voxel and on the structure; volumes are safer from shares.
# - A flow $\exp(v)$ does not fold and is undone by $\exp(-v)$. Check the Jacobian determinant all the same.
# - Measure a synthetic population before you trust it: here what was set agrees with people, white matter ages in the wrong order, and all share one set of gyri.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | anatomy | ICBM 152 template {cite}`fonov2011`, shipped with nilearn; its white and grey matter only, sharpened; one average, so no rare anatomy |
# | heads | **synthetic**: derived, drawn and deformed as the first table says; face, vessels and folds are sketches, and no measurement should rest on them |
# | population | **synthetic**: sizes, ages and shapes are round numbers, set to published volumes; white matter shrinks too early (measured above); no sex, no disease |
# | scans | **synthetic**: one signal per tissue, one bias field, white noise; no motion, no flow, no trains of echoes |
# | published numbers | from four papers with different methods; definitions of "brain" differ between them and from ours |
# | claims | none about patients or scanners |
#
# ## Further reading
#
# {cite}`arsigny2006` introduces the flows used here. How the template was made is told in {cite}`fonov2009,fonov2011`, and why averages are needed in {cite}`mazziotta2001`. How much real heads differ after the
# best registration was measured by {cite}`klein2009`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
