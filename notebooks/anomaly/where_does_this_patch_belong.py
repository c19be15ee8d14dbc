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
#     prerequisites:
#     - anomaly/what_is_an_anomaly
#     - validation/detection_and_agreement
#     summary: A network that says where a patch of a healthy head lies gets lost where
#       a head is ill, and that makes a detector.
#     weights:
#     - results/anomaly.json
#     - weights/position_regression_cq500.json
#     - weights/position_regression_cq500.safetensors
# ---

# %% [markdown]
# # Where does this patch belong?
#
# Show a radiologist a cube of three centimetres, cut out of a head, and she will say: left temple, just above the ear. Show her one with blood in it, and she hesitates. This lesson turns the hesitation into a detector. A network learns one thing, from healthy heads alone: where a patch was cut out. Where it gets lost in a new head, something is there that it has never seen at that place. Nothing is drawn, nothing restored; the network answers with three numbers.
#
# **You will be able to**
#
# - train a network to tell where a patch lies, with a loss that forgives what cannot be known
# - compute its error at every voxel, and turn the map into decisions about skull and hemispheres
# - say what a larger patch gains and what it pays, and measure both
# - show why an error means different things at different places, and correct for it
# - choose coordinates that move with the head, and show when that is needed
#
# **You need** [What is an anomaly?](what_is_an_anomaly.ipynb): surrogate tasks, restoration, scores of structures; [Detection and agreement](../validation/detection_and_agreement.ipynb): ROC curves, AUROC and its interval.

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
size = 4  # m of the network that is trained here
turned = 20.0  # in "Where it breaks": how far heads are turned, in degrees; 0 or more

# %% tags=["hide-input"]
from dataclasses import replace
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LightSource, to_rgb
from scipy import ndimage
from torch.nn import functional as F

from medlab.data import Volume
from medlab.data.head_ct import head_landmarks
from medlab.methods.anomaly import reference_head, seen, structures_of
from medlab.methods.anomaly.command import open_heads
from medlab.methods.anomaly.data import is_normal, split_heads
from medlab.methods.position_regression import CoarseToFine, CoarseToFineConfig, Config, Frame, HeadPatches, PositionRegression, TwoLooks, counted_places  # fmt: skip
from medlab.methods.position_regression.patches import lattice_of, patches_of
from medlab.metrics import mean_interval
from medlab.metrics.roc import roc_curve
from medlab.nn import PatchRegressor
from medlab.nn.autoencoder3d import Autoencoder3d
from medlab.profiles import Profile
from medlab.training import load_weights, read_records, shipped_weights, training_batches
from medlab.training.ledger import MIB, predict_memory
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
PLACE = "ci" if run.profile.name == "ci" else "cpu"  # shipped weights and records are of 2 mm
tight = PLACE == "cpu" and seed == 0
CONFIG = replace(Config.for_profile(Profile(PLACE), size), steps=run.pick(ci=30, cpu=400, gpu=400), learning_rate=0.01, stride=4, precision="32-true")  # fmt: skip
N, MM = CONFIG.volume, CONFIG.spacing_mm
WHOLE = (N - 1) * MM  # what 1 is in mm
SIDES = ("left hemisphere", "right hemisphere")
heads = open_heads(N, MM, Profile(PLACE))
parts = split_heads(heads, 0)  # the split of the shipped weights and of the record


def some(part, wanted, count):
    """The first `count` heads of a part whose facts are as wanted."""
    found = [i for i in range(len(parts[part])) if wanted(parts[part].facts(i))]
    return [parts[part][i] for i in found[:count]]


learning = some("train", is_normal, run.pick(ci=4, cpu=12, gpu=60))
watching = some("validation", is_normal, run.pick(ci=3, cpu=4, gpu=4))
healthy = some("test", is_normal, 3)
bleeding = some("test", lambda f: f["intracranial_haemorrhage"], run.pick(ci=3, cpu=9, gpu=12))
broken = some("test", lambda f: f["fracture"], run.pick(ci=1, cpu=4, gpu=8))
bleeding.sort(key=lambda head: (not head.facts["intraparenchymal_haemorrhage"], -int((head.label == 1).sum())))  # fmt: skip
broken.sort(key=lambda head: -int((head.label == 2).sum()))


def fit(method, draw, steps=CONFIG.steps):
    """Trains on a stream of heads and gives the losses."""
    optimiser = torch.optim.Adam(method.parameters(), CONFIG.learning_rate)
    falls = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    batches, found = training_batches(draw, 1), []
    for step in range(steps):
        batch = batches.collate([batches.item(step)])
        if isinstance(method, CoarseToFine):
            loss = method.losses(batch)["loss"]
        else:
            loss = method.losses(method(batch["image"]), batch["place"], batch["counts"])["loss"]  # fmt: skip
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falls.step()
        found.append(float(loss.detach()))
    method.eval()
    return found


@lru_cache
def live():
    """The small network that is trained here, and its losses."""
    method = PositionRegression(CONFIG, seed)
    return method, fit(method, HeadPatches(learning, CONFIG, seed).draw)


@lru_cache
def best():
    """The weights that come with the book, for heads of 2 mm; without them the small network."""
    if PLACE == "cpu":
        tensors, card = load_weights(shipped_weights("position_regression_cq500"))
        return PositionRegression.from_weights(tensors, card, stride=4)
    method = live()[0]
    method.calibrate(watching)
    return method


@lru_cache
def map_of(kind, n):
    """The error map in mm of a head of "bleeding", "broken" or "healthy", (X, Y, Z)."""
    head = {"bleeding": bleeding, "broken": broken, "healthy": healthy}[kind][n]
    return best().error_map(head).values * WHOLE


def cropped(values):
    edge = round(0.1 * N)
    return values[edge : N - edge, edge : N - edge]


def draw(ax, values, z, title="", window=(-20, 120), cmap="gray"):
    slices.draw_slice(ax, cropped(values), index=z, window=window, cmap=cmap, spacing=(MM,) * 3)
    ax.set_title(title, fontsize=10)


def draw_map(ax, values, head, z, title="", window=None):
    shown = torch.where(head.mask, values, torch.nan)
    draw(ax, shown, z, title, window or WINDOW, "inferno")


WINDOW = (0, 1.2 * max(float(map_of("bleeding", 0)[bleeding[0].label == 1].max()), 1.0))
Z = int((bleeding[0].label == 1).sum((0, 1)).argmax())
figure, axes = plt.subplots(2, 2, figsize=(5.4, 6.3))
for row, (name, head, kind) in enumerate((("a bleed", bleeding[0], "bleeding"), ("healthy", healthy[0], "healthy"))):  # fmt: skip
    draw(axes[row, 0], head.channel("HU"), Z, name)
    draw_map(axes[row, 1], map_of(kind, 0), head, Z, "where the network gets lost")
figure.colorbar(axes[1, 1].images[0], ax=axes[1, :], location="bottom", label="error (mm)", shrink=0.6)  # fmt: skip
show(figure, caption="Two synthetic heads, and how far off a network is that was asked for each patch where it lies. It has seen healthy heads only. Look for the bleed in its map; then look at what else is bright, also in the healthy head.",
     alt="Two axial head CTs, one with a bright clot, each beside a map of errors; the map of the ill head is brightest at the clot, and both maps are uneven")  # fmt: skip

# %% [markdown]
# The heads are {term}`synthetic <synthetic data>` and stand in for CQ500 {cite}`chilamkurthy2018`; the patient's right is on your left. The method is chapter 6 of the thesis, *position regression* {cite}`bieder2022,thesis`.
#
# ## The task
#
# A scan of $N^3$ voxels, all heads laid over one reference. The patch $p_{\mathbf x}$ is the cube of $s^3$ voxels around voxel $\mathbf v$, and its place is told in coordinates from 0 to 1,
#
# $$ \mathbf x = \frac{\mathbf v}{N - 1} \in [0, 1]^3 . $$ (where-place)
#
# A network $f_\theta$ sees the patch and nothing else, and answers with three numbers $\hat{\mathbf x} = f_\theta(p_{\mathbf x})$. This is a {term}`surrogate task`: nobody needs to be told where a patch was, we have cut it out ourselves. The loss is the mean distance over the patches of a step (thesis, section 6.2),
#
# $$ L(\theta) = \frac1n \sum_{i=1}^n \big\lVert f_\theta(p_{\mathbf x_i}) - \mathbf x_i \big\rVert_2 . $$ (where-loss)
#
# It is the norm, *not* its square, and that is no detail. Some patches cannot be placed by anybody: smooth white matter, a bit of skin that could be left or right. Suppose patches that look the same come from $n$ different places. Whatever the network says, it says the same for all of them. With the square, the best answer is the mean of the places; with the norm it is their {term}`geometric median`, the point with the least total distance.
#
# **Predict.** Nine such patches lie together, a tenth lies far away. Pull the tenth further out. How far does the mean follow, how far the geometric median?


# %%
# NBVAL_CHECK_OUTPUT
def geometric_median(places, steps=200):
    answer = places.mean(0)
    for _ in range(steps):  # each place pulls with the same force, however far it lies
        weights = 1 / (places - answer).norm(dim=1).clamp(min=1e-6)
        answer = (weights[:, None] * places).sum(0) / weights.sum()
    return answer


near = 0.5 + 0.04 * torch.randn(9, 2, generator=run.fresh_generator(1))
start_at = near.mean(0)


def with_outlier(mm):
    return torch.cat([near, start_at + torch.tensor([[mm / 256, 0.0]])])


places = with_outlier(100)
goes = 256 * float((places.mean(0) - start_at).norm())
print(f"the mean goes {goes:.0f} mm along")


# %% tags=["hide-input"]
def draw_outlier(mm):
    places = with_outlier(mm)
    mean, median = places.mean(0), geometric_median(places)
    figure, ax = plt.subplots(figsize=(5.4, 3.2))
    ax.scatter(*(256 * places.T), s=28, color=style.MUTED, label="true places")
    ax.scatter(*(256 * mean), s=90, marker="X", color=style.ORANGE, label="mean (square)")
    ax.scatter(*(256 * median), s=90, marker="P", color=style.BLUE, label="geometric median (norm)")  # fmt: skip
    ax.set(xlim=(95, 255), ylim=(85, 165), xlabel="mm", ylabel="mm", aspect="equal")
    ax.legend(loc="upper right", fontsize=8)
    return figure


explore(draw_outlier, caption="Grey: where ten patches lie that look the same. Drag one of them away. The best answer by the squared distance (orange) is drawn along; by the distance itself (blue) it soon stays where the nine are.",
    alt=lambda mm: f"Nine places in a cluster and one {mm} mm away; the mean has moved towards it, the geometric median hardly",
    labels={"mm": "the tenth lies off by (mm)"}, start={"mm": 60}, mm=[0, 20, 40, 60, 80, 100])  # fmt: skip
moved = 256 * float((geometric_median(places) - geometric_median(near)).norm())
run.record("where_mean_moved", goes, low=9.5, high=10.5, digits=1, unit="mm")
run.record("where_median_moved", moved, low=0, high=6, digits=1, unit="mm")

# %% [markdown]
# With the tenth 100 mm away the mean has gone {glue:text}`where_mean_moved` with it, the median {glue:text}`where_median_moved`. The reason is in the gradient. That of the norm with respect to the answer is a vector of length 1: each patch pulls with the same force. That of the square grows with the distance, so that the hopeless patches, which lie far off, would do most of the pulling.
#
# For anomaly detection this matters twice. In training, the impossible patches shall not spoil the possible ones. And in use a *possible* patch shall be placed with confidence, so that its failure means something.
#
# ## Which patches?
#
# The paper draws 256 places of a head independently and uniformly; a patch that is all background does not count. `patches_of` does that. But 256 cubes of $31^3$ voxels are 7.6 million voxels to convolve, nearly half as many as the whole volume of $256^3$ has, for 256 answers. If instead the patches stand on a lattice, every 4th voxel along each axis, from a first voxel drawn at random, then the network runs once over the volume and all patches share their work ([Seeing every voxel at once](seeing_every_voxel_at_once.ipynb) shows how). `lattice_of` does that. Is it still the same loss?

# %%
method, losses = live()
head = watching[0]
image = seen(head, "equalised").data
frame = Frame.cartesian(image.shape[1:])
counted = counted_places(head.mask, CONFIG.patch, "centre")
chance = run.fresh_generator(2)


def loss_of(drawn):
    with torch.no_grad():
        found = method(drawn["image"] if drawn["image"].ndim == 5 else drawn["image"][None])
    place = drawn["place"] if found.ndim == 2 else drawn["place"][None]
    return float(method.losses(found, place, drawn["counts"].reshape(place[:, 0].shape))["loss"]) * WHOLE  # fmt: skip


DRAWS = run.pick(ci=12, cpu=16, gpu=32)
single = [loss_of(patches_of(image, counted, frame, CONFIG.patch, 256, chance)) for _ in range(DRAWS)]  # fmt: skip
lattice = [loss_of(lattice_of(image, counted, frame, CONFIG.patch, chance)) for _ in range(DRAWS)]  # fmt: skip

# %% tags=["hide-input"]
everywhere = float(method.error_map(head, stride=1 if N < 64 else 2).values[head.mask].mean()) * WHOLE  # fmt: skip
spread = {name: (np.mean(values), np.std(values, ddof=1)) for name, values in (("patches", single), ("lattice", lattice))}  # fmt: skip
voxels = {"patches": 256 * CONFIG.patch**3, "lattice": int(np.prod(lattice_of(image, counted, frame, CONFIG.patch, chance)["image"].shape))}  # fmt: skip
answers = {"patches": 256, "lattice": (N // 4) ** 3}
table(
    ["places of a step", "patches", "voxels to convolve for each", "mean loss (mm)", "its spread (mm)"],
    [[{"patches": "256 drawn apart (paper)", "lattice": "a lattice (ours)"}[k], answers[k], f"{voxels[k] / answers[k]:,.0f}", f"{spread[k][0]:.1f}", f"{spread[k][1]:.2f}"] for k in answers]
    + [["all voxels of the head", int(head.mask.sum()), "", f"{everywhere:.1f}", ""]],
    caption=f"The loss of one network on one synthetic head, {DRAWS} draws of either kind. Spread: standard deviation from draw to draw. Background included in the count of patches.",
)  # fmt: skip
run.record("where_same", spread["lattice"][0] / everywhere, low=0.85, high=1.15, digits=2)
run.record("where_quieter", spread["patches"][1] / spread["lattice"][1], low=1, high=1e4, digits=0)  # fmt: skip
run.record("where_cheaper", voxels["patches"] / 256 / (voxels["lattice"] / answers["lattice"]), low=5, high=1000, digits=0)  # fmt: skip

# %% [markdown]
# The means agree with the loss over all voxels (the lattice's is {glue:text}`where_same` times that), since each voxel is as likely to be asked for in both. A patch costs {glue:text}`where_cheaper` times fewer voxels on the lattice, and the loss is {glue:text}`where_quieter` times quieter from draw to draw, because it hears all of the head. The price: patches of a step come from one lattice of one head, so that they are less independent than their number says. The paper's independent draws have their own virtue: 256 patches fit any memory.
#
# There is one more deviation. The paper counts a patch if *any* of its voxels is foreground; we count it if its *middle* is. The patches that see a rim of skin in a far corner are hard, useless, and many.
#
# ## Training
#
# **Predict.** Before its first step the network says "the middle of the volume" for every patch. How large is the first loss, in mm, in a head some 150 to 200 mm wide?

# %%
stream = HeadPatches(learning, CONFIG, seed)
fresh = PositionRegression(CONFIG, seed)
one = stream.draw(0)  # a head on its lattice
image_, place, counts = (one[name][None] for name in ("image", "place", "counts"))
distance = (fresh.network.lattice(image_) - place).norm(dim=1)
loss = (distance * counts).sum() / counts.sum()  # (where-loss)
loss.backward()  # and a step of Adam, with a learning rate that falls; and so on
torch.testing.assert_close(loss, fresh.losses(fresh(image_), place, counts)["loss"])
torch.testing.assert_close(float(loss.detach()), losses[0], atol=1e-4, rtol=0)

# %% tags=["hide-input"]
new = [float(method.error_map(one, stride=4).values[one.mask].mean()) * WHOLE for one in watching]  # fmt: skip
figure, ax = plt.subplots(figsize=(5.4, 3.0))
ax.plot(np.array(losses) * WHOLE, color=style.BLUE, label="training heads")
ax.axhline(np.mean(new), color=style.ORANGE, linestyle="--", label="new healthy heads, at the end")  # fmt: skip
ax.set(xlabel="step", ylabel="mean distance (mm)", ylim=(0, None))
ax.legend()
parameters = sum(p.numel() for p in method.parameters())
show(figure, caption=f"A network of size m = {CONFIG.size} with {parameters:,} weights learns on this page, from {len(learning)} synthetic heads, where their patches lie.",
     alt="A curve of the mean distance over the steps that falls from about 70 mm")  # fmt: skip
run.record("where_first", losses[0] * WHOLE, low=40, high=100, digits=0, unit="mm")
run.record("where_last", np.mean(new), low=3, high=70, digits=0, unit="mm")
run.record("where_parameters", parameters, low=200, high=100_000, digits=0)

# %% [markdown]
# {glue:text}`where_first`, the mean distance of a head's voxels from the middle. And then {glue:text}`where_parameters` weights, fewer than a single layer of most networks in this book, learn in a few hundred steps to place patches of new heads to {glue:text}`where_last`, on average over the whole head. It is no map of streets yet, but it is an idea of the town.
#
# From here on we use weights that come with the book: the same loop, a larger network ($m = 16$), patches of 15 voxels of 2 mm, {glue:text}`where_shipped_steps` steps on 111 synthetic heads.
#
# ## From an answer to a map
#
# For a new head, ask at every voxel and keep the distance,
#
# $$ E_{\mathbf x} = \big\lVert f_\theta(p_{\mathbf x}) - \mathbf x \big\rVert_2 . $$ (where-map)
#
# That is the {term}`error map`. The paper computes it patch by patch, in a minute and a half for a volume on a graphics card (thesis, section 6.4.2); `medlab` with {term}`dense evaluation`, which gives the same numbers.

# %%
network, patch = best().network, best().config.patch
half, head = (patch - 1) // 2, bleeding[0]
wide = F.pad(seen(head, "equalised").data[None], (half,) * 6)
places = 4 * (head.mask[::4, ::4, ::4].nonzero()[::997][:5])  # a few voxels inside the head
cubes = torch.cat([wide[..., i : i + patch, j : j + patch, k : k + patch] for i, j, k in places.tolist()])  # fmt: skip
with torch.no_grad():
    by_hand = (network(cubes) - places / (N - 1)).norm(dim=1)  # (where-map)
values = best().error_map(head).values
torch.testing.assert_close(by_hand, values[tuple(places.T)], atol=1e-4, rtol=0)

# %% tags=["hide-input"]
run.record("where_shipped_steps", best().config.steps, low=10, high=1e6, digits=0)
SHOWN = [*bleeding[:2], *bleeding[2:][-1:]]
LEVELS = [int(v) for v in np.linspace(0.42, 0.68, 9) * N]


def draw_slice(patient, z):
    head = SHOWN[patient - 1]
    figure, axes = plt.subplots(1, 2, figsize=(5.4, 3.7))
    draw(axes[0], head.channel("HU"), z, "CT")
    slices.draw_mask(axes[0], cropped(head.label == 1), index=z, spacing=(MM,) * 3, opacity=0.35)  # fmt: skip
    draw_map(axes[1], map_of("bleeding", patient - 1), head, z, "error map")
    figure.colorbar(axes[1].images[0], ax=axes, location="bottom", label="error (mm)", shrink=0.6)  # fmt: skip
    return figure


explore(draw_slice, caption="Synthetic patients with bleeds (true clot in orange) and their error maps. Drag through the slices: does the error rise where the clot is, and only there?",
    alt=lambda patient, z: f"Patient {patient}, slice {z}: a head CT with a clot in orange, and its error map",
    labels={"patient": "patient", "z": "slice"}, start={"patient": 1, "z": min(LEVELS, key=lambda v: abs(v - Z))}, patient=list(range(1, len(SHOWN) + 1)), z=LEVELS)  # fmt: skip


def contrast(kind, group, value):
    """Mean error in mm in lesions, and in the rest of the structures that they belong to."""
    means = []
    for n, one in enumerate(group):
        names = SIDES if value == 1 else ("skull",)
        lesion, where = one.label == value, sum(structures_of(one)[name] for name in names) > 0
        if bool(lesion.any()):
            means.append([float(map_of(kind, n)[mask].mean()) for mask in (lesion, where & ~lesion)])  # fmt: skip
    return np.mean(means or [[0, 0]], 0)


for name, found in zip(("clot", "rest"), contrast("bleeding", bleeding, 1), strict=True):
    run.record(f"where_{name}", found, low=0, high=150, digits=0, unit="mm")

# %% [markdown]
# In {glue:text}`where_cases` synthetic patients the error is {glue:text}`where_clot` in the clots and {glue:text}`where_rest` in the rest of the brain. The maps are smooth, as the paper's are: the error goes with how much of the patch is clot, so it rises and falls over the width of a patch. The network cannot draw an outline; it can say "about here". In a large clot the error may even be lower in the middle than at the rim: to a patch of nothing but blood it gives *some* answer, and by accident that place may be near.
#
# ## Decisions
#
# The paper's rule: a structure (skull, left or right hemisphere) is ill if the map exceeds a threshold anywhere inside, so the score of a structure is the map's maximum there. Each threshold gives a point of the {term}`ROC curve`. The scores below come from a record of the project, made with the test part that nobody trained on.

# %% tags=["hide-input"]
LESSON = "where_does_this_patch_belong"
records = read_records("anomaly", lesson=LESSON, profile="cpu")
every = [one for one in records if one.method == "position_regression"]
ours = sorted((one for one in every if one.settings["patch"] == 15), key=lambda one: one.settings["size"])  # fmt: skip
others = {name: sorted((one for one in records if one.method == name), key=lambda one: one.settings["size"]) for name in ("autoencoder", "thresholding")}  # fmt: skip
MAIN = next(one for one in ours if one.settings["size"] == 16)
TESTED = len(MAIN.metrics["volume_ml fracture"])
FINDINGS = ("haemorrhage", "fracture")


def rule_of(one, finding):
    """In words: the rule that was chosen on validation heads."""
    kind = one.settings["maps"][int(one.metrics[f"map {finding}"])]
    percent = one.metrics[f"percentile {finding}"]
    return f"{'maximum' if percent == 100 else f'{percent:g}th percentile'} of the {kind} map"


def areas(one, label):
    value, low, high = (one.metrics[f"{name} {label}"] for name in ("auroc", "low", "high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


figure, axes = plt.subplots(1, 2, figsize=(7.0, 3.7), sharey=True)
for ax, finding, paper in zip(axes, FINDINGS, (0.81, 0.79), strict=True):
    truth = MAIN.metrics[f"truth {finding}"]
    for label, colour, name in ((f"{finding} maximum", style.BLUE, "maximum (paper's rule)"), (finding, style.ORANGE, "chosen rule")):  # fmt: skip
        false_rate, true_rate, _ = roc_curve(MAIN.metrics[f"scores {label}"], truth)
        ax.plot(false_rate, true_rate, color=colour, label=f"{name}: {MAIN.metrics[f'auroc {label}']:.2f}")  # fmt: skip
    ax.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1)
    ax.set(xlabel="healthy structures called ill", title=f"{finding} (paper {paper:.2f})", aspect="equal")  # fmt: skip
    ax.legend(loc="lower right", fontsize=8, title="AUROC", title_fontsize=8)
axes[0].set_ylabel("ill structures found")
show(figure, caption=f"ROC curves over the structures of {TESTED} synthetic test heads, m = 16, patches of 15 voxels of 2 mm. Blue by the maximum of the error map; orange by the rule that was best on other heads: for haemorrhage the {rule_of(MAIN, 'haemorrhage')}, for fractures the {rule_of(MAIN, 'fracture')}. Grey: chance.",
     alt="Two panels of ROC curves, for haemorrhages and fractures, each with two curves above or near the diagonal")  # fmt: skip
for finding, short in zip(FINDINGS, ("bleed", "fracture"), strict=True):
    run.record(f"where_{short}_maximum", MAIN.metrics[f"auroc {finding} maximum"], low=0.3, high=1, digits=2)  # fmt: skip
    run.record(f"where_{short}_chosen", MAIN.metrics[f"auroc {finding}"], low=0.3, high=1, digits=2)  # fmt: skip
run.record("where_cases", len(bleeding), low=1, high=40, digits=0)

# %% tags=["hide-input"]
rows = [[f"position regression, m = {MAIN.settings['size']}, maximum", "synthetic", *(areas(MAIN, f"{f} maximum") for f in FINDINGS)]]  # fmt: skip
rows += [["the same, rule chosen on other heads", "synthetic", *(areas(MAIN, f) for f in FINDINGS)]]  # fmt: skip
for name, found in others.items():
    if found:
        top = max(found, key=lambda one: one.metrics["auroc haemorrhage"])
        label = f"{name}, m = {top.settings['size']}" if top.settings["size"] else name
        rows += [[f"{label}, rule chosen on other heads", "synthetic", *(areas(top, f) for f in FINDINGS)]]  # fmt: skip
rows += [["position regression, the paper", "CQ500, 1 mm", "0.81", "0.79"], ["mean of three raters against their majority", "CQ500", "0.948 left, 0.934 right", "0.926"]]  # fmt: skip
table(["method", "data", "AUROC haemorrhage", "AUROC fracture"], rows,
    caption=f"Ours on {TESTED} synthetic heads of 2 mm with 95 % intervals (for haemorrhages the two hemispheres of a patient go together), beside the paper's numbers (thesis, figure 6 and table 3 of chapter 6).")  # fmt: skip

# %% [markdown]
# Haemorrhages: {glue:text}`where_bleed_maximum` by the maximum, {glue:text}`where_bleed_chosen` by a rule chosen on other heads. Fractures: {glue:text}`where_fracture_maximum` and {glue:text}`where_fracture_chosen`, which is chance. Do not read this as a contest with the paper's 0.81 and 0.79. Theirs are patients, with old strokes, calcified vessels and motion, and three raters who disagree on what is true; ours are synthetic heads with a known truth and a few kinds of lesions, and heads that are healthy by construction. We train with a hundredth of their steps.
#
# And why no fractures? Theirs have voxels of 1 mm. In our 2 mm a fracture line is thinner than a voxel and takes away a little of the bone's density, which the histogram equalisation, made for soft tissue, flattens to almost nothing. A real fracture also rarely comes alone: the scalp swells, air and blood get where they do not belong, a piece of bone is pushed in. Ours is a clean line. So the negative result is about our stand-in and our grid at least as much as about the method.
#
# Look at the row of the threshold, too. For blood, which is bright, it needs no network at all ([What is an anomaly?](what_is_an_anomaly.ipynb)). What speaks for a learned map is not this number but that nobody told it about brightness.
#
# A word on the raters: their numbers compare one rater with a majority that the rater is part of. It is a generous yardstick, and the method does not reach it.
#
# ### Fractures, seen on the skull
#
# A fracture is a line on a surface, so look at the surface. We send a ray through each pixel along one axis of the head, stop at the first bone of the skull, shade it by its slope, and colour it by the error just below. This is the thesis's figure 5 of chapter 6.


# %%
def surface_depth(hounsfield, axis, far_end):
    """Where rays along an axis first meet bone, in voxels (NaN: nowhere); and its picture, upright."""
    along = np.moveaxis(hounsfield, axis, 0)
    along = along[::-1] if far_end else along
    bone = along > 250
    first = bone.argmax(0)
    here = np.take_along_axis(along, first[None], 0)[0]
    before = np.take_along_axis(along, np.maximum(first - 1, 0)[None], 0)[0]
    part = np.clip((here - 250) / np.maximum(here - before, 1), 0, 1)
    return np.where(bone.any(0), first - part, np.nan), first


# %% tags=["hide-input"]
VIEWS = {"from the front": (1, True, True, "RL"), "from behind": (1, False, False, "LR"), "from the left": (0, False, True, "AP"), "from the right": (0, True, False, "PA"), "from above": (2, True, False, "LR")}  # fmt: skip


def best_view(head):
    """The view that looks at the fracture."""
    where = head.label == 2 if bool((head.label == 2).any()) else head.mask
    off = where.nonzero().double().mean(0) - head.mask.nonzero().double().mean(0)
    names = {"from the right": off[0], "from the left": -off[0], "from the front": off[1], "from behind": -off[1], "from above": off[2]}  # fmt: skip
    return max(names, key=names.get)


def rendered(head, values, view):
    """The skull as two pictures (rows, columns, 4): bone, and coloured by the error; ZOOM pixels a voxel."""
    axis, far_end, mirrored, _ = VIEWS[view]
    zoom = 2
    hounsfield = torch.where(structures_of(head)["skull"], head.channel("HU"), -1000).numpy()
    steps = [1 if a == axis else zoom for a in range(3)]
    fine = ndimage.zoom(hounsfield, steps, order=1)
    depth, first = surface_depth(fine, axis, far_end)
    fields = [np.moveaxis(ndimage.zoom(v, steps, order=k), axis, 0) for v, k in ((values.numpy(), 1), ((head.label == 2).numpy().astype("uint8"), 0))]  # fmt: skip
    error, line = (field[::-1] if far_end else field for field in fields)
    within = [[np.nan_to_num(depth) + k, *np.mgrid[: first.shape[0], : first.shape[1]]] for k in range(4)]  # fmt: skip
    error = np.mean([ndimage.map_coordinates(error, at, order=1) for at in within], 0)
    line = np.max([ndimage.map_coordinates(line, at, order=0) for at in within], 0) > 0
    known = np.isfinite(depth)
    filled = np.where(known, depth, np.nanmax(depth)) * zoom
    smooth = ndimage.gaussian_filter(filled, 0.8)
    shade = (
        LightSource(azdeg=315, altdeg=50).hillshade(-smooth.T, vert_exag=1.0, fraction=1.0).T
    )
    shade = np.where(known, 0.25 + 0.75 * shade, 0)
    pictures = []
    bone = np.where(line[..., None], to_rgb(style.ORANGE), (0.98, 0.95, 0.88))
    for colours in (bone, plt.get_cmap("inferno")((error / SKULL_TOP).clip(0, 1))[..., :3]):  # fmt: skip
        picture = np.concatenate([colours * shade[..., None], known[..., None]], -1)
        picture = picture.transpose(1, 0, 2)[::-1]
        pictures.append(picture[:, ::-1] if mirrored else picture)
    return pictures


patients = broken[:2]
SKULL_TOP = float(np.percentile(np.concatenate([map_of("broken", n)[structures_of(one)["skull"]].numpy() for n, one in enumerate(patients)]), 99.5))  # fmt: skip
figure, axes = plt.subplots(len(patients), 2, figsize=(5.6, 2.9 * len(patients)), squeeze=False)
for n, one in enumerate(patients):
    view = best_view(one)
    for ax, picture, title in zip(axes[n], rendered(one, map_of("broken", n), view), (view, "its error"), strict=True):  # fmt: skip
        used = np.argwhere(picture[..., 3] > 0)
        (top, left), (bottom, right_) = used.min(0), used.max(0)
        ax.imshow(picture[top : bottom + 1, left : right_ + 1])
        ax.set_title(title, fontsize=10)
        ax.set_axis_off()
        slices.mark_sides(ax, *VIEWS[view][3])
figure.colorbar(plt.cm.ScalarMappable(plt.Normalize(0, SKULL_TOP), "inferno"), ax=axes, location="bottom", label="error (mm)", shrink=0.6)  # fmt: skip
show(figure, caption="Synthetic skulls with a fracture, looked at from the side on which it lies: shaded bone with the true fracture in orange, and the same surface coloured by the error. Is the error highest at the fracture?",
     alt="Rendered skulls with an orange line, beside the same skulls coloured from dark to bright; the bright areas are elsewhere")  # fmt: skip
for name, found in zip(("line", "bone"), contrast("broken", broken, 2), strict=True):
    run.record(f"where_{name}", found, low=0, high=200, digits=0, unit="mm")

# %% [markdown]
# On the fracture lines the error is {glue:text}`where_line` on average, on the other bone {glue:text}`where_bone`. Judge by eye whether you would have found it. Some parts of every skull are hard to place, and they shine in every skull; the paper's renderings show bright fractures, ours do not.
#
# ## The same error is not the same news
#
# That is the weakness of the plain error map. One stretch of smooth white matter looks like the next, and every healthy head errs there; on the folds of the cortex and along the bone the network is hardly ever far off. An error of 20 mm is nothing in one place and alarming in the other. A threshold on the map, the same everywhere, is ruled by the places that are hard in everybody.
#
# The remedy is ours, not the paper's. Take a few healthy heads that were not trained on, and at each place remember the mean $\mu_{\mathbf x}$ and the covariance $\Sigma_{\mathbf x}$ of their error *vectors* $\mathbf e_{\mathbf x} = f_\theta(p_{\mathbf x}) - \mathbf x$. Then judge a new error by how unusual it is there, by its {term}`Mahalanobis distance`:
#
# $$ a_{\mathbf x} = \sqrt{(\mathbf e_{\mathbf x} - \mu_{\mathbf x})^\top\, \Sigma_{\mathbf x}^{-1}\, (\mathbf e_{\mathbf x} - \mu_{\mathbf x})} . $$ (where-unusual)

# %%
judge_ = best()
error = judge_.errors(head, 4)  # (3, n, n, n): every 4th voxel
off = error - judge_.expected.mean
squared = torch.einsum("axyz,abxyz,bxyz->xyz", off, judge_.expected.inverse, off)
by_hand = squared.clamp(min=0).sqrt()  # (where-unusual)
torch.testing.assert_close(by_hand, judge_.expected.compared(error, 4), atol=1e-2, rtol=1e-2)

# %% tags=["hide-input"]
typical = ndimage.zoom(judge_.expected.mean.norm(dim=0).numpy() * WHOLE, 4, order=1)
spread_ = np.linalg.inv(judge_.expected.inverse.permute(2, 3, 4, 0, 1).numpy())
spread_ = ndimage.zoom(np.sqrt(np.trace(spread_, axis1=3, axis2=4)) * WHOLE, 4, order=1)
relative = judge_.relative_map(head).values
figure, axes = plt.subplots(2, 2, figsize=(5.4, 6.6))
draw_map(axes[0, 0], torch.from_numpy(typical), healthy[0], Z, "mean error, healthy", (0, 30))
draw_map(axes[0, 1], torch.from_numpy(spread_), healthy[0], Z, "its spread, healthy", (0, 30))
figure.colorbar(axes[0, 1].images[0], ax=axes[0, :], location="bottom", label="mm", shrink=0.6)
draw_map(axes[1, 0], map_of("bleeding", 0), head, Z, "a bleed: error")
draw_map(axes[1, 1], relative, head, Z, "a bleed: how unusual", (0, float(relative[head.label == 1].max()) * 1.2))  # fmt: skip
figure.colorbar(axes[1, 0].images[0], ax=axes[1, 0], location="bottom", shrink=0.8, label="mm")
figure.colorbar(axes[1, 1].images[0], ax=axes[1, 1], location="bottom", shrink=0.8, label="standard deviations")  # fmt: skip
show(figure, caption="Above, what healthy synthetic heads have at each place of this slice: the length of their mean error, and how much it varies from head to head. Below, the bleed of the first picture: its error, and the same error in standard deviations of healthy heads.",
     alt="Four axial maps: mean error and spread of healthy heads, both uneven, higher near the rim; and two maps of a patient with a bleed")  # fmt: skip
run.record("where_gain", MAIN.metrics["auroc haemorrhage"] - MAIN.metrics["auroc haemorrhage maximum"], low=-0.6, high=0.8, digits=2)  # fmt: skip

# %% [markdown]
# With the choice of map and percentile made on other heads, the AUROC of haemorrhages changes by {glue:text}`where_gain` against the paper's rule. Two things are in that number: the judgement by place, and the percentile instead of the maximum, which a single voxel at the rim decides. The remedy has a condition: it needs the heads to lie over one another, and it knows each place only from the handful of heads that were put aside for it.
#
# ## How large a network?
#
# The paper's second claim is thrift. A network that answers with three numbers needs no decoder that draws the scan in full resolution, and it sees small cubes. So it should do with few weights and little memory. First the weights.
#
# **Predict.** The paper varies $m$ from 1 to 64: from a few hundred weights to more than a million. Does more always find more?

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 1, figsize=(5.4, 5.6), sharex=True)
for ax, finding in zip(axes, FINDINGS, strict=True):
    for name, found, colour in (("position regression", ours, style.BLUE), ("autoencoder", others["autoencoder"], style.ORANGE)):  # fmt: skip
        if found:
            x = [one.metrics["parameters"] for one in found]
            y = np.array([one.metrics[f"auroc {finding}"] for one in found])
            low, high = (np.array([one.metrics[f"{end} {finding}"] for one in found]) for end in ("low", "high"))  # fmt: skip
            ax.errorbar(x, y, [y - low, high - y], marker="o", capsize=3, color=colour, label=name)  # fmt: skip
    ax.axhline(0.5, color=style.MUTED, linewidth=1)
    ax.set(xscale="log", ylim=(0.2, 1), ylabel=f"AUROC, {finding}")
axes[1].set_xlabel("weights")
axes[0].legend(loc="lower right")
show(figure, caption="AUROC over the number of weights, by the rule chosen on other heads, with 95 % intervals over synthetic test heads; one training of each size. The grey line is chance. After figure 3 of chapter 6.",
     alt="Two panels of AUROC with wide intervals over the number of weights, one for haemorrhages and one for fractures")  # fmt: skip
run.record("where_half_width", np.mean([(one.metrics["high haemorrhage"] - one.metrics["low haemorrhage"]) / 2 for one in ours]), low=0, high=0.3, digits=2)  # fmt: skip
for name, one in {"one": ours[0], "two": ours[1], "auto": max(others["autoencoder"], key=lambda r: r.metrics["auroc haemorrhage"])}.items():  # fmt: skip
    run.record(f"where_{name}_weights", one.metrics["parameters"] / (1e6 if name == "auto" else 1), low=0.01, high=5000, digits=int(name == "auto"))  # fmt: skip
    run.record(f"where_{name}_auroc", one.metrics["auroc haemorrhage"], low=0.3, high=1, digits=2)  # fmt: skip

# %% [markdown]
# The smallest network, of {glue:text}`where_one_weights` weights, reaches {glue:text}`where_one_auroc`, the next, of {glue:text}`where_two_weights`, already {glue:text}`where_two_auroc`. A single AUROC is known to about ± {glue:text}`where_half_width`, and each size was trained once, so what differences are left among the larger ones mean nothing. The best autoencoder, of {glue:text}`where_auto_weights` million weights, stays at {glue:text}`where_auto_auroc`; its filter and its rule were chosen on the same other heads, but it was trained for a fifth of the steps, because each of them costs so much more. The paper's claim, one or two orders of magnitude fewer weights for the same performance, fits what we see; how much of it is due to heads that are so regular, or to an autoencoder that stopped too early, we cannot say. The paper also saw its networks get worse again beyond some $m$, and suspected too few steps.
#
# Then the memory. Activations fill it, not weights, so we ask for the ledger of a whole training step at the *paper's* sizes (see [GPU memory](../segmentation/gpu_memory.ipynb)): 256 patches of $31^3$ voxels here, and for the autoencoder a volume of $256^3$, though the paper trains it on four at a time.


# %%
def memory_mib(network, shape, target):
    """Of one step with Adam, predicted, without taking it."""
    loss = lambda found, wanted: (found - wanted.float()).abs().mean()  # noqa: E731
    return predict_memory(network, shape, loss=loss, target_shape=target).peak / MIB


SIZES = run.pick(ci=(1, 16), cpu=(1, 2, 4, 8, 16, 32, 64), gpu=(1, 2, 4, 8, 16, 32, 64))
S = 31
regressor = {m: memory_mib(PatchRegressor(m, S), (256, 1, S, S, S), (256, 3)) for m in SIZES}
full = {m: memory_mib(Autoencoder3d(m), (1, 1, 256, 256, 256), (1, 1, 256, 256, 256)) for m in SIZES}  # fmt: skip

# %% tags=["hide-input"]
table(
    ["m", "position regression, 256 patches (MiB)", "autoencoder, 1 volume (MiB)", "ratio"],
    [[m, round(regressor[m]), round(full[m]), f"{full[m] / regressor[m]:.1f}"] for m in SIZES]
    + [["paper, best for haemorrhage", "4,452", "6,730", "1.5"], ["paper, best for fractures", "1,760", "2,742", "1.6"]],
    caption="Predicted memory of a training step with Adam in single precision, at the paper's sizes of batch and volume. The paper's rows (table 1) were measured, in MB, at its best sizes, which need not be equal for the two methods.",
)  # fmt: skip
run.record("where_memory", regressor[16], low=150, high=180, digits=0, unit="MiB")
run.record("where_memory_ratio", full[16] / regressor[16], low=2, high=200, digits=0)

# %% [markdown]
# At $m = 16$ we predict {glue:text}`where_memory`, and {glue:text}`where_memory_ratio` times as much for an autoencoder of the same $m$ with a *single* volume. Against the paper's 1,760 to 4,452 MB ours is small. Three reasons: our prediction counts tensors, not the libraries' own needs nor what the allocator holds in reserve; a convolution and the pooling behind it are one operation in `medlab`, so that the largest map is never kept; and the paper's exact blocks are known only from a figure. The direction of the claim holds, the factor is a matter of implementation.
#
# ## How large a patch?
#
# A larger patch holds more context and is easier to place. But a small bleed is a smaller share of it, and the network may well ignore what does not fit. The paper calls it a trade of localisation against sensitivity, and measures AUROCs for six sizes that differ by some 0.06 without an order (appendix A). Here we look at the two sides of the trade themselves. Localisation: the mean error in new healthy heads. Sensitivity: paint a clot of 16 mm radius into a healthy head, and see how far the answer for the patch around it moves.
#
# **Predict.** From the smallest patch to the largest: which way does the error go, and which way the movement?

# %% tags=["hide-input"]
HALVE = 1 if PLACE == "ci" else 2
N2, MM2 = N // HALVE, MM * HALVE
PATCHES = run.pick(ci=(11, 19), cpu=(11, 19, 27), gpu=(11, 15, 19, 23, 27, 31))
SHORT = run.pick(ci=8, cpu=120, gpu=300)
CLOT = float(np.median(torch.cat([seen(one, "equalised").data[0][one.label == 1] for one in bleeding])))  # fmt: skip


def halved(one):
    """A prepared head at half the resolution (all but at "ci")."""
    if HALVE == 1:
        return one
    data = F.avg_pool3d(one.image.data[None], 2)[0]
    affine = one.image.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    mask = F.avg_pool3d(one.mask[None, None].float(), 2)[0, 0] > 0.5
    data[1] *= mask
    return replace(one, image=Volume(data, affine, one.subject), mask=mask, label=None, label_names={})  # fmt: skip


small_learning, small_new = [halved(one) for one in learning], [halved(one) for one in watching]


def painted(image, centre, radius_mm, spacing_mm):
    """An equalised image (X, Y, Z) with a ball of clot."""
    lines = [torch.arange(n) - c for n, c in zip(image.shape, centre, strict=True)]
    far = sum(g.float() ** 2 for g in torch.meshgrid(*lines, indexing="ij")).sqrt() * spacing_mm
    share = ((radius_mm - far) / spacing_mm + 0.5).clamp(0, 1)  # soft at its rim
    return image + share * (CLOT - image)


def brain_places(one, count):
    """Places of the lattice of every 4th voxel, deep in the head."""
    deep = ndimage.distance_transform_edt(one.mask.numpy(), sampling=one.image.spacing) > 40
    found = 4 * np.argwhere(deep[::4, ::4, ::4])
    return found[:: max(1, len(found) // count)][:count]


@lru_cache
def trade(patch, number, wide_first=False):
    """Mean error in new healthy heads, and how far answers move for a painted clot; both in mm, for a seed."""
    config = replace(CONFIG, patch=patch, volume=N2, spacing_mm=MM2, steps=SHORT)
    if wide_first:
        config = CoarseToFineConfig(config, coarse_patch=19)
        method, stream = CoarseToFine(config, number), TwoLooks(small_learning, config, number)
    else:
        method, stream = PositionRegression(config, number), HeadPatches(small_learning, config, number)  # fmt: skip
    fit(method, stream.draw, SHORT)
    misses, moves = [], []
    for one in small_new:
        volume = seen(one, "equalised")
        misses.append(float(method.error_map(one, stride=4).values[one.mask].mean()) * (N2 - 1) * MM2)  # fmt: skip
        before = method.places(volume, 4)
        for at in brain_places(one, 2):
            after = method.places(volume.with_data(painted(volume.data[0], at, 16, MM2)[None]), 4)  # fmt: skip
            there = (slice(None), *(int(v) // 4 for v in at))
            moves.append(float((after[there] - before[there]).norm()) * (N2 - 1) * MM2)
    return np.mean(misses), np.mean(moves)


trades = {f"{p}": [trade(p, k) for k in range(3)] for p in PATCHES}
TWO = f"{PATCHES[0]}, after a wide look"
trades[TWO] = [trade(PATCHES[0], k, True) for k in range(3)]
figure, ax = plt.subplots(figsize=(5.4, 4.4))
for (name, found), colour in zip(trades.items(), (style.BLUE, style.GREEN, style.ORANGE, style.PINK, style.GOLD, style.PURPLE, style.INK), strict=False):  # fmt: skip
    x, y = (mean_interval([one[k] for one in found]) for k in (0, 1))
    ax.errorbar(x.mean, y.mean, [[y.half]] * 2, [[x.half]] * 2, marker="s" if "wide" in name else "o", markersize=8, capsize=3, color=colour, label=f"{name} ({int(name[:2]) * MM2:.0f} mm)")  # fmt: skip
ax.set(xlabel="error in healthy heads (mm)", ylabel="movement for a clot (mm)", xlim=(0, None), ylim=(0, None))  # fmt: skip
figure.legend(fontsize=8, title="patch in voxels", title_fontsize=8, loc="outside lower center", ncols=2)  # fmt: skip
show(figure, caption=f"Small networks (m = {CONFIG.size}, {SHORT} steps, voxels of {MM2:g} mm) with patches of several sizes, on synthetic heads. To the left: better at placing healthy patches. Up: moved further by a painted clot. Mean of three seeds ± 95 % interval. The square is the two-stage network of the next section.",
     alt="A scatter of points with error bars, one for each patch size, over the error in healthy heads and the movement for a painted clot")  # fmt: skip
first, last = (np.mean(trades[f"{p}"], 0) for p in (PATCHES[0], PATCHES[-1]))
for name, found in {"small": first, "large": last}.items():
    run.record(f"where_{name}_error", found[0], low=3, high=120, digits=0, unit="mm")
    run.record(f"where_{name}_moves", found[1], low=0, high=120, digits=1, unit="mm")
for name, patch_ in {"small": 15, "large": 19}.items():
    one = next(r for r in every if r.settings["size"] == 16 and r.settings["patch"] == patch_)
    run.record(f"where_patch_{name}", one.metrics["auroc haemorrhage"], low=0.3, high=1, digits=2)  # fmt: skip
run.record("where_two_error", np.mean(trades[TWO], 0)[0], low=3, high=120, digits=0, unit="mm")  # fmt: skip

# %% [markdown]
# From the smallest patch to the largest the error goes from {glue:text}`where_small_error` to {glue:text}`where_large_error`, and the movement from {glue:text}`where_small_moves` to {glue:text}`where_large_moves`. Mind the bars: three short trainings on coarse voxels scatter so widely that the figure suggests the directions and does not prove them, let alone the best size. What counts for detection is the one against the other, which may stay much the same: then no patch size wins, which is what the paper found. Our record holds {glue:text}`where_patch_small` for haemorrhages with patches of 15 voxels, 30 mm, as wide as the paper's, and {glue:text}`where_patch_large` with 19, each ± {glue:text}`where_half_width`.
#
# ### From coarse to fine
#
# Must one choose? The paper's outlook proposes two stages (thesis, section 6.5). `CoarseToFine` is our version: a first network sees the volume at half the resolution and says roughly where; a second sees a *small* patch at full resolution and is told the first one's answer. It no longer has to tell left from right, so its context may be small. In training, a random doubt is added to what it is told, so that it does not simply repeat it. In the figure it is the square: {glue:text}`where_two_error` in healthy heads. Whether it is more sensitive, too, the figure says better than a sentence: look at the intervals.
#
# ## Where it breaks
#
# ### The head turns
#
# All heads above had been laid over one reference. The coordinates are those of the *volume*, so this is no luxury: move a head by 20 mm, and every patch in it is where, by the network's experience, it should not be. In a head CT one can register. In other anatomy one often cannot, and the paper suggests coordinates that move with the patient, {term}`barycentric <barycentric coordinates>` ones. Take four landmarks $\mathbf a, \mathbf b, \mathbf c, \mathbf d$ of the head; then every place is
#
# $$ \mathbf v = \beta_1 \mathbf a + \beta_2 \mathbf b + \beta_3 \mathbf c + (1 - \beta_1 - \beta_2 - \beta_3)\, \mathbf d , $$ (where-barycentric)
#
# and $(\beta_1, \beta_2, \beta_3)$ stay with the anatomy, whatever the pose. `head_landmarks` finds four points of the inner skull: in front, left, right, and on top. No new training is needed for a try: what our network calls place $\mathbf x$ is a place in the *reference* head, and thus has barycentric coordinates there; compare them with those of the patch in its own head.
#
# **Predict.** We shift healthy heads by up to 30 mm, and turn them by up to 20°. How do the two kinds of error go, for the shift and for the turn?


# %%
def landmarks_of(one):
    return one.image.to_voxels(head_landmarks(seen(one, "HU")))


reference = reference_head(N, MM)
anatomy = Frame.barycentric(reference.to_voxels(head_landmarks(reference)))


def misses(image, landmarks):
    """Error vectors in voxels, (n, n', n'', 3), in the volume's coordinates and in the head's."""
    found = best().places(image, 4).movedim(0, -1) * (N - 1)  # voxels of the reference
    true = 4.0 * torch.stack(torch.meshgrid(*map(torch.arange, found.shape[:3]), indexing="ij"), -1)  # fmt: skip
    own = Frame.barycentric(landmarks)
    return found - true, own.to_voxels(anatomy.at(found)) - true  # (where-barycentric)


one = healthy[0]
image, points = seen(one, "equalised"), landmarks_of(one)
shifted = misses(image.with_data(image.data.roll(4, 1)), points + np.array([4.0, 0, 0]))
before = misses(image, points)
inner = one.mask[::4, ::4, ::4][:-1]
changes = [(b[1:] - a[:-1])[inner] for a, b in zip(before, shifted, strict=True)]
torch.testing.assert_close(changes[0], torch.tensor([-4.0, 0, 0]).expand_as(changes[0]), atol=1e-2, rtol=0)  # fmt: skip
torch.testing.assert_close(changes[1], torch.zeros_like(changes[1]), atol=2e-2, rtol=0)


# %% tags=["hide-input"]
def in_pose(one, voxels, degrees):
    """The two mean errors of a head in mm, after a shift to the right and a turn about its long axis."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])  # fmt: skip
    centre, by = np.full(3, (N - 1) / 2), np.array([voxels, 0, 0])
    volume = seen(one, "equalised")
    data = torch.from_numpy(ndimage.affine_transform(volume.data[0].numpy(), turn.T, centre - turn.T @ (centre + by), order=1))  # fmt: skip
    found = misses(volume.with_data(data[None]), (landmarks_of(one) - centre) @ turn.T + centre + by)  # fmt: skip
    return [float(vector[data[::4, ::4, ::4] > 0].norm(dim=-1).mean()) * MM for vector in found]


SHIFTS, TURNS = run.pick(ci=(0, 4), cpu=(0, 5, 10, 15), gpu=(0, 5, 10, 15)), (0.0, turned / 2, turned)  # fmt: skip
poses = {"shift": [[in_pose(one, v, 0) for one in healthy] for v in SHIFTS], "turn": [[in_pose(one, 0, d) for one in healthy] for d in TURNS]}  # fmt: skip
figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.4), sharey=True)
for ax, found, x, label in zip(axes, poses.values(), ([v * MM for v in SHIFTS], TURNS), ("shift (mm)", "turn (°)"), strict=True):  # fmt: skip
    for k, name, colour in ((0, "volume's coordinates", style.ORANGE), (1, "head's coordinates", style.BLUE)):  # fmt: skip
        curve = [mean_interval([head_[k] for head_ in pose]) for pose in found]
        ax.errorbar(x, [e.mean for e in curve], [e.half for e in curve], marker="o", capsize=3, color=colour, label=name)  # fmt: skip
    ax.set(xlabel=label, ylim=(0, None))
axes[0].set_ylabel("mean error (mm)")
axes[0].legend(fontsize=8)
show(figure, caption=f"Mean error over {len(healthy)} healthy synthetic heads, after a shift and after a turn that no registration has undone; ± 95 % interval. In the volume's coordinates a shifted head is an ill head; in coordinates on its own landmarks a shift costs nothing. After a turn neither helps.",
     alt="Two panels. Over the shift, the orange curve rises and the blue one is level; over the turn, both rise, the blue one more")  # fmt: skip
shift, turn = (np.mean(poses[kind], 1) for kind in ("shift", "turn"))
run.record("where_shift", SHIFTS[-1] * MM, low=1, high=50, digits=0, unit="mm")
for name, found in {"still": shift[0, 0], "shift_volume": shift[-1, 0], "shift_head": shift[-1, 1], "turn_volume": turn[-1, 0], "turn_head": turn[-1, 1]}.items():  # fmt: skip
    run.record(f"where_{name}", found, low=1, high=120, digits=0, unit="mm")
if tight:
    assert shift[-1, 0] > shift[0, 0] + 8 and shift[-1, 1] < shift[0, 1] + 4  # it breaks; it does not  # fmt: skip
    assert turned < 15 or turn[-1].min() > turn[0].max()

# %% [markdown]
# Where nothing has moved, the volume's error is {glue:text}`where_still`. Shifted by {glue:text}`where_shift` it is {glue:text}`where_shift_volume`, while in the head's coordinates it stays at {glue:text}`where_shift_head`: patches look the same after a shift, their landmarks have moved along, and the errors cancel exactly, as the code above has checked. A turn is another matter. The landmarks turn, too, but now the patches look different. At the largest turn the errors are {glue:text}`where_turn_volume` in the volume's coordinates and {glue:text}`where_turn_head` in the head's: worse, although the frame is the right one! A likely reason: a head is nearly round, and a piece of skull that has been turned by 20° looks just like the piece that usually lies there. The network goes by what it sees, and it has seen upright heads only. Coordinates can be made to follow a pose; a network has to be *taught* it, with turned heads.
#
# ### Which bleeds are missed?
#
# A clot must change a patch enough to send the network astray. Below you paint one into a *healthy* head, so that you know exactly what is new. Then we ask the record.
#
# **Predict.** From which radius on does the map notice? Is it the same near the skull and deep in the brain? And which bleeds of the test heads will be missed, the small ones?

# %% tags=["hide-input"]
LEAD = 4 * -(-best().network.halo // 4)  # from a slice to where a slab begins that holds its patches  # fmt: skip
ZP = 4 * round(0.55 * N / 4)
SPOTS = {"near the skull": (0.36, 0.56), "deep": (0.45, 0.52)}
canvas = seen(healthy[0], "equalised").data[0]


@lru_cache
def with_clot(place, radius):
    """The slice of a healthy head with a painted clot, and its error map there in mm."""
    centre = (*(round(share * N) for share in SPOTS[place]), ZP)
    image = painted(canvas, centre, radius, MM) if radius else canvas
    found = best().network.dense(image[None, None, :, :, ZP - LEAD : ZP + LEAD + 1], stride=4)[0, ..., LEAD // 4]  # fmt: skip
    true = Frame.cartesian(image.shape).coordinates((N // 4, N // 4, 1), (0, 0, ZP), 4)[..., 0]
    return image[..., ZP], torch.from_numpy(ndimage.zoom((found - true).norm(dim=0).numpy() * WHOLE, 4, order=1)), centre  # fmt: skip


def draw_clot(place, radius):
    image, error, centre = with_clot(place, radius)
    figure, axes = plt.subplots(1, 2, figsize=(5.4, 3.7))
    draw(axes[0], image[..., None], 0, "equalised", (0, 1))
    shown = torch.where(healthy[0].mask[..., ZP], error, torch.nan)
    draw(axes[1], shown[..., None], 0, f"{error[centre[:2]]:.0f} mm at the spot", WINDOW, "inferno")  # fmt: skip
    figure.colorbar(axes[1].images[0], ax=axes, location="bottom", label="error (mm)", shrink=0.6)  # fmt: skip
    return figure


explore(draw_clot, caption="A painted clot in a healthy synthetic head, and the error of the network that came with the page. Drag the radius: the scan changes at once, the map only when enough of a patch is clot. At radius 0 you see what the map has to be told apart from.",
    alt=lambda place, radius: f"A slice with a bright disc of {radius} mm radius {place}, and a map with an error of {with_clot(place, radius)[1][with_clot(place, radius)[2][:2]]:.0f} mm there",
    labels={"place": "place", "radius": "radius (mm)"}, start={"place": "near the skull", "radius": 12}, place=list(SPOTS), radius=[0, 4, 8, 12, 16, 24])  # fmt: skip
for name, radius in {"none": 0, "small": 4, "large": 24}.items():
    _, error_, spot = with_clot("near the skull", radius)
    run.record(f"where_spot_{name}", error_[spot[:2]], low=0, high=150, digits=0, unit="mm")

# %% tags=["hide-input"]
score, truth, owner = (np.array(MAIN.metrics[f"{name} haemorrhage"]) for name in ("scores", "truth", "head"))  # fmt: skip
volume_ml = np.array([v or 0.0 for v in MAIN.metrics["volume_ml haemorrhage"]])[owner.astype(int)]  # fmt: skip
well, ill = score[truth == 0], truth == 1
beaten = np.array([np.mean(s > well) + np.mean(s == well) / 2 for s in score[ill]])
KINDS = {"inside the brain": (("intraparenchymal", "intraventricular"), style.BLUE), "in its folds": (("subarachnoid",), style.GREEN), "along the skull": (("subdural", "epidural"), style.ORANGE)}  # fmt: skip
facts = [parts["test"].facts(i) for i in range(TESTED)] if PLACE == "cpu" else [{}] * TESTED


def kind_of(found):
    """Where the blood is; without a word on it (at "ci", whose heads are others) inside the brain."""
    return next((kind for kind, (names, _) in KINDS.items() if any(found.get(f"{name}_haemorrhage") for name in names)), "inside the brain")  # fmt: skip


kinds = np.array([kind_of(facts[int(n)]) for n in owner[ill]])
figure, ax = plt.subplots(figsize=(5.4, 3.4))
for kind, (_, colour) in KINDS.items():
    mine = kinds == kind
    ax.scatter(volume_ml[ill][mine], 100 * beaten[mine], color=colour, s=30, alpha=0.8, label=kind)  # fmt: skip
ax.set(xscale="log", xlabel="blood in the head (ml)", ylabel="healthy ones below (%)", ylim=(-4, 104))  # fmt: skip
ax.legend(fontsize=8, loc="lower left")
show(figure, caption="Each dot is a hemisphere with a bleed, in the synthetic test heads of the record: how much blood there is, and which share of the healthy hemispheres scores lower. The mean of the dots is the AUROC.",
     alt="Dots over the volume of the bleed on a logarithmic axis; those inside the brain lie near 100 percent at all volumes, those along the skull anywhere")  # fmt: skip
for name, kind in {"inside": "inside the brain", "along": "along the skull"}.items():
    mine = kinds == kind if (kinds == kind).any() else kinds != ""
    run.record(f"where_{name}", beaten[mine].mean(), low=0.3, high=1, digits=2)
    run.record(f"where_{name}_ml", np.median(volume_ml[ill][mine]), low=1, high=100, digits=0, unit="ml")  # fmt: skip
if tight:
    assert beaten[kinds == "along the skull"].mean() < beaten[kinds == "inside the brain"].mean() - 0.1  # fmt: skip

# %% [markdown]
# Near the skull the error at the spot is {glue:text}`where_spot_none` without a clot, {glue:text}`where_spot_small` with one of 4 mm radius, {glue:text}`where_spot_large` with one of 24 mm. So size matters. But it is not the small bleeds that are missed in the test: those inside the brain, with a median of {glue:text}`where_inside_ml`, have an AUROC of {glue:text}`where_inside`, and those along the skull, subdural and epidural, with {glue:text}`where_along_ml`, one of {glue:text}`where_along`. The largest bleeds of all are among those missed.
#
# Why? A subdural bleed is a thin sheet under a bright bone, in the very place where healthy heads vary most: there the network errs anyway, and the comparison with healthy heads forgives it. And a patch with bone, a bright rim and brain may simply look like bone a little thicker. These are suppositions; what is measured is that a single AUROC hides all this. It depends on the mixture of bleeds in the test set. Before you compare two studies, compare the mixtures.
#
# ## Exercises
#
# ### Exercise 1: the first loss
#
# Take the head as a ball of radius 90 mm around the middle of the volume, and places uniform in it. What is the first loss, in mm and in coordinates, on a grid of 256 mm? And what would the square of the distance be on average?
#
# <details class="hint"><summary>Hint</summary>
#
# How likely is a distance $r$ from the middle? Proportional to the area of its sphere.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# The density is $3 r^2 / R^3$ from 0 to $R$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $\int_0^R r \cdot 3 r^2 / R^3\, dr = \tfrac34 R = 67.5$ mm, or 0.26. The mean square is $\tfrac35 R^2 = 4860$ mm², whose root is 69.7 mm. A real head is longer than wide, and has a neck, so the first loss above differs a little.
#
# </details>
#
# ### Exercise 2: left or right?
#
# A patch of skin looks the same 70 mm to the left and 70 mm to the right of the midline; in training 60 % of such patches come from the left. What does a perfect network answer under the norm, what under the square? Which error will the map show on either side of a healthy head?
#
# <details class="hint"><summary>Hint</summary>
#
# Write the expected loss as a function of the answer's position between the two places.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# With the answer at distance $t$ from the left place, the norm costs $0.6\, t + 0.4\,(140 - t)$: it rises with $t$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Under the norm: the left place itself, for the slope $0.6 - 0.4$ is positive. The map shows 0 mm on the left and 140 mm on the right of every healthy head: certain, and wrong on one side. Under the square: the mean, 14 mm left of the midline, and 56 and 84 mm. Neither is an anomaly. Equation {eq}`where-unusual` knows this, since healthy heads have the same errors there.
#
# </details>
#
# ### Exercise 3: barycentric coordinates, in code
#
# Write `barycentric(landmarks, places)`: for four landmarks (4, 3) and places (n, 3) the first three coordinates $\beta$ (n, 3) of equation {eq}`where-barycentric`.
#
# <details class="hint"><summary>Hint</summary>
#
# Subtract $\mathbf d$ on both sides. What is left is a linear system with three unknowns.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $\mathbf v - \mathbf d = A \beta$ with the columns $\mathbf a - \mathbf d$, $\mathbf b - \mathbf d$, $\mathbf c - \mathbf d$ in $A$. `torch.linalg.solve` takes all places at once, as columns.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Two lines, in the cell after the exercise. `medlab` stores the affine map as a matrix in `Frame`, so that a whole lattice of places costs one product, and refuses landmarks that lie in one plane.
#
# </details>


# %% tags=["hide-input"]
def check_barycentric(barycentric):
    chance = run.fresh_generator(5)
    corners = torch.tensor([[10.0, 0, 0], [0, 5.0, 0], [0, 0, 2.0], [0, 0, 0]])
    skew = 50 * torch.rand(4, 3, generator=chance)
    for points, name in ((corners, "on the axes"), (skew, "anywhere")):
        given = barycentric(points, points)
        if given is None:
            return "it returned nothing; return the coordinates, (n, 3)."
        given = torch.as_tensor(given)
        if given.shape != (4, 3):
            return f"for four places it gives the shape {tuple(given.shape)}, expected (4, 3)."
        if not torch.allclose(given[3].float(), torch.zeros(3), atol=1e-3):
            return "the fourth landmark should have the coordinates (0, 0, 0): subtract d from the places."
        if not torch.allclose(given[:3].float(), torch.eye(3), atol=1e-3):
            return f"with landmarks {name} the first one has the coordinates {[round(float(v), 2) for v in given[0]]}, expected (1, 0, 0)."
        places = 50 * torch.rand(6, 3, generator=chance)
        wanted = Frame.barycentric(points.numpy()).at(places.double()).float()
        if not torch.allclose(torch.as_tensor(barycentric(points, places)).float(), wanted, atol=1e-2, rtol=1e-2):  # fmt: skip
            return f"with landmarks {name} the landmarks are right, but a place between them is not."
    return None


# %% tags=["exercise"]
def barycentric(landmarks, places):
    """The first three barycentric coordinates (n, 3) of places (n, 3) on four landmarks (4, 3)."""
    ...  # your code here


judge(check_barycentric, barycentric)


# %% tags=["solution", "hide-cell"]
def barycentric(landmarks, places):
    """The first three barycentric coordinates (n, 3) of places (n, 3) on four landmarks (4, 3)."""
    # begin solution
    edges = (landmarks[:3] - landmarks[3]).T
    return torch.linalg.solve(edges, (places - landmarks[3]).T).T
    # end solution


judge(check_barycentric, barycentric)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "The error map of a healthy head is bright in the smooth white matter. What does it say?",
        ("The head is not healthy", "Perhaps; but first look what healthy heads have at that place."),
        right("Nothing yet: patches there look alike over a wide stretch", "The network cannot know the place in any head. Compare the error with that of healthy heads at the same place."),
        ("The network needs more training", "No training tells apart what looks the same."),
    ),
    question(
        "Why does the loss take the distance and not its square?",
        ("It is faster", "It costs one root more."),
        right("Patches that cannot be placed shall not rule the training", "Each patch pulls with the same force; under the square the hopeless ones pull hardest."),
        ("The square would be negative for some patches", "A square never is."),
    ),
    question(
        "You have 20 scans of knees in all poses, not registered. What do you change first?",
        ("The patch size", "No patch size tells where in the volume a turned knee lies."),
        ("The size m of the network", "A larger network cannot know the pose of the knee in its volume either."),
        right("The coordinates, and the poses of the training", "Tell places on landmarks of the knee, and show the network knees in many poses."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - Position regression asks where a patch was cut out; where the answer is far off, the patch does not look like its place.
# - The loss is the distance, not its square: it forgives the patches that nobody can place.
# - Patches on a lattice have the same expected loss as patches drawn apart, at a fraction of the work.
# - The error map is smooth: it says "about here". Large patches place better and notice less.
# - Healthy heads err differently at different places; judge an error by what they have there.
# - The coordinates are the volume's: move the head and everything is ill, unless the coordinates move along.
# - On our synthetic heads, bleeds inside the brain are found, those along the skull often missed, and thin fractures not found at all: an AUROC is one of a mixture.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | heads | **synthetic**: a head model with drawn bleeds and fractures, scanned by a simulated CT, in the format of CQ500; much more alike than patients are, so that places are easier to tell |
# | grid | 2 mm where the paper has 1 mm: our patch of 15 voxels is as wide as their 31; fracture lines fill a part of a voxel, and are not found |
# | training | 2,000 steps where the paper has 222,000, patches on lattices, only patches with their middle in the head; one training of each size |
# | small experiments | patch sizes, stages and the live network: a few dozen steps, coarse voxels, three seeds; directions, no rankings |
# | block list | the paper shows its blocks in a figure only; ours is made of the same kinds of blocks |
# | claims | about this method on these data; none about patients |
#
# ## Further reading
#
# The paper is eight pages long: {cite}`bieder2022`. How the map is computed a thousand times faster, with no approximation: [Seeing every voxel at once](seeing_every_voxel_at_once.ipynb) and {cite}`giusti2013`. Telling the place of one patch *relative to another*, to find organs: {cite}`lei2021`. The restorations that it competes with: {cite}`baur2021`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
