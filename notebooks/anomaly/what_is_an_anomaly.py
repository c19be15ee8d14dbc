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
#     - validation/detection_and_agreement
#     - segmentation/from_classifiers_to_unet
#     summary: What anomaly detection asks for, how restoration answers it, and why
#       a threshold sometimes answers it better.
#     weights:
#     - results/anomaly.json
#     - results/anomaly_references.json
# ---

# %% [markdown]
# # What is an anomaly?
#
# A segmentation network finds what it was shown. A radiologist also sees what nobody told her to look for. Anomaly detection is the attempt to give that to a machine: learn from healthy scans what is normal, then point at whatever is not. This lesson builds the most common answer, restoration, and then takes its critics seriously: a threshold of four lines, without any learning, stands beside it at every step.
#
# **You will be able to**
#
# - say what unsupervised, weakly supervised and self-supervised methods know in training, and what each can promise
# - train an autoencoder on healthy heads, make a map of what it cannot draw, and turn that map into decisions
# - read an AUROC over structures, and say what it does not tell
# - show where a plain threshold is enough and where it must fail
# - explain why an autoencoder that draws too well finds nothing
#
# **You need** [Detection and agreement](../validation/detection_and_agreement.ipynb): ROC curves, AUROC and its interval, structure scores; [From classifiers to U-Net](../segmentation/from_classifiers_to_unet.ipynb): convolutions down and up.

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
percentile = 98.0  # of a map inside a structure: its score
margin = 15.0  # of the threshold, in HU above the typical brain
ceiling = 90.0  # brighter than blood: bone
share = 0.0  # in "Where it breaks": of a clot's contrast that is left, from 0 to 1

# %% tags=["hide-input"]
from dataclasses import replace
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from medlab.cohorts.cq500 import Cq500Cohort
from medlab.cohorts.grid import Grid
from medlab.data import Volume
from medlab.data.readers.equalise import equalise
from medlab.methods.anomaly import Heads, seen, structures_of, truth_of
from medlab.methods.anomaly.data import split_heads
from medlab.methods.autoencoder import Autoencoder, Config, HeadVolumes, eroded, median
from medlab.methods.diffusion import NoiseSchedule, draw_noise
from medlab.methods.synthetic_corruption import corrupt
from medlab.methods.thresholding import Thresholding, excess, without_small
from medlab.metrics import mean_interval
from medlab.metrics.roc import auroc, auroc_interval
from medlab.training import read_record, read_records
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
tight = run.profile.name != "ci" and seed == 0
SIZE, MM = run.pick(ci=(32, 8.0), cpu=(64, 4.0), gpu=(128, 2.0))
TRAIN, TEST, STEPS = run.pick(ci=(3, 7, 20), cpu=(16, 28, 300), gpu=(100, 28, 600))
DEPTHS = run.pick(ci=(1, 2, 3), cpu=(1, 2, 3, 4), gpu=(1, 2, 3, 4, 5))
DEPTH = run.pick(
    ci=3, cpu=4, gpu=5
)  # of the autoencoder that is compared: fixed before any result
RIM, LEAST = run.pick(ci=(0.0, 0.1), cpu=(4.0, 0.1), gpu=(4.0, 0.1))
CONFIG = replace(Config.for_profile(run.profile, 4), size=run.pick(ci=2, cpu=4, gpu=8), volume=SIZE, spacing_mm=MM, steps=STEPS, precision="32-true", filter_voxels=3)  # fmt: skip
SIDES = ("left hemisphere", "right hemisphere")


def coarser(head, by):
    """A prepared head on a grid `by` times coarser: means of the HU, equalised anew; a lesion stays in any block it touches."""
    hu = F.avg_pool3d(head.image.data[None, :1], by)[0]
    affine = head.image.affine @ np.array([[by, 0, 0, (by - 1) / 2], [0, by, 0, (by - 1) / 2], [0, 0, by, (by - 1) / 2], [0, 0, 0, 1]])  # fmt: skip
    image = Volume(torch.cat([hu, equalise(hu, hu > -200)]), affine, head.subject)
    label = F.max_pool3d(head.label[None].float(), by)[0].to(torch.uint8)
    return replace(head, image=image, label=label, mask=hu[0] > -200)


if run.profile.name == "ci":
    grid = Grid.cube(SIZE, SIZE * MM)
    healthy = list(Heads(Cq500Cohort(TRAIN, grid, seed, anomalous=0.0), SIZE, MM))
    fine = list(Heads(Cq500Cohort(TEST, grid, seed + 3, anomalous=0.6), SIZE, MM))
    tested = fine
else:
    split = split_heads(Heads(Cq500Cohort(270, Grid.cube(128, 256.0), 0), 128, 2.0))
    healthy = [coarser(split["train"][n], round(MM / 2)) for n in range(TRAIN)]
    fine = [split["test"][n] for n in range(0, 3 * TEST, 3)]
    tested = [coarser(head, round(MM / 2)) for head in fine]
parts = [structures_of(head) for head in tested]
truths = [truth_of(head) for head in tested]
insides = [part[SIDES[0]] | part[SIDES[1]] for part in parts]
clots = [(head.label == 1) & inside for head, inside in zip(tested, insides, strict=True)]
BLEEDS = [
    n for n, clot in enumerate(clots) if int(clot.sum()) * MM**3 > 1000
]  # of more than 1 ml
DEEP = [n for n in BLEEDS if tested[n].facts["intraparenchymal_haemorrhage"]] or BLEEDS
CASE = max(DEEP, key=lambda n: int(clots[n].sum()))
Z = int(clots[CASE].sum((0, 1)).argmax())
FINER = fine[CASE].image.shape[1] // SIZE
FINE_Z = Z * FINER + FINER // 2
FINE_BRAIN = insides[CASE][:, :, Z].repeat_interleave(FINER, 0).repeat_interleave(FINER, 1)
FINE_CLOT = (fine[CASE].label[:, :, FINE_Z] == 1) & FINE_BRAIN
FINE_BRAIN = FINE_BRAIN & ~FINE_CLOT


@lru_cache
def trained(levels):
    """An autoencoder after `STEPS` steps on healthy heads; see the lesson for the loop."""
    method = Autoencoder(replace(CONFIG, levels=levels), seed)
    stream = HeadVolumes(healthy, SIZE, seed)
    fit(method, stream)
    return method.eval()


def fit(method, stream):
    """Equation (normal-l1), step by step, with a learning rate that falls to 0."""
    optimiser = torch.optim.Adam(method.parameters(), 5e-3)
    falls = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for step in range(STEPS):
        image = stream.draw(step)["image"][None]
        loss = method.losses(method(image), image)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falls.step()


@lru_cache
def residual(levels, n):
    """The unfiltered map of test head n, (X, Y, Z)."""
    return trained(levels).error_map(tested[n], filter="none").values


def dense(n, image=None):
    """The threshold's map of test head n; image: HU, where they have been changed."""
    image = tested[n].channel("HU") if image is None else image
    found = excess(image, insides[n], (MM,) * 3, margin, RIM, ceiling=ceiling)
    return without_small(found, LEAST, (MM,) * 3)


def draw(ax, values, title, window, cmap="gray", n=None):
    slices.draw_slice(ax, values, index=Z, window=window, cmap=cmap, spacing=(MM,) * 3, smooth=False)  # fmt: skip
    ax.set_title(title, fontsize=10)


BRAIN = (0, 90)
scan = tested[CASE].channel("HU")
figure, axes = plt.subplots(2, 2, figsize=(5.4, 5.8))
draw(axes[0, 0], scan, "CT", BRAIN)
draw(axes[0, 1], scan, "where the clot is", BRAIN)
slices.draw_mask(axes[0, 1], clots[CASE], index=Z, spacing=(MM,) * 3)
draw(axes[1, 0], residual(DEPTH, CASE), "what a network cannot draw", (0, 0.6), "magma")
draw(axes[1, 1], dense(CASE), "what is too bright", (0, 40), "magma")
show(
    figure,
    caption="A synthetic head with a bleed. Below, two maps of suspicion: one by a network that has seen healthy heads only, one by four lines that have seen nothing. Look for the clot in both, and at what else lights up.",
    alt="A head CT with a bright clot, its mask, a map of residuals with many bright rims and one blob, and a map that is dark but for the clot",
)

# %% [markdown]
# The heads are {term}`synthetic <synthetic data>` and stand in for CQ500 {cite}`chilamkurthy2018`; the patient's right is on your left. Nobody told either method what a bleed is.
#
# ## What is normal?
#
# Anomaly detection turns the question of segmentation round. Instead of a list of what may be wrong there is a pile of scans in which nothing is. An {term}`anomaly` is then simply what is unlikely among them:
#
# $$ x \text{ is anomalous} \iff p_{\mathcal{H}}(x) < \varepsilon, $$ (normal-density)
#
# with $p_{\mathcal{H}}$ the density of healthy scans $\mathcal{H}$. It says everything and helps little. A scan of $256^3$ voxels has seventeen million values, nobody can write its density down, and a single number would not say *where* it is unlikely. So every method solves a {term}`surrogate task` instead, one whose answers are at hand, and hopes that what it learns tells healthy from ill. What separates the families is what they know in training (thesis, section 5.4 {cite}`thesis`):
#
# | | sees in training | surrogate task | example |
# | --- | --- | --- | --- |
# | unsupervised | healthy scans only | draw the scan again | autoencoder {cite}`baur2021`, AnoDDPM {cite}`wyatt2022` |
# | self-supervised | healthy scans, changed on purpose | find the change; or say where a patch was cut out | foreign patches {cite}`tan2022`, position regression {cite}`bieder2022` |
# | weakly supervised | scans, and for each a word: healthy or ill | make an ill scan healthy | classifier-guided diffusion {cite}`wolleb2022` |
# | supervised | scans, and every lesion outlined | outline lesions | the U-Net |
# | without learning | a look at the units | none | threshold {cite}`meissen2021` |
#
# {term}`Weak supervision <weak supervision>` and {term}`self-supervision` are cheaper than outlines by orders of magnitude. The price: "normal" means "like the scans in that pile". A healthy child is an anomaly among adults, and so is a shunt, a patient who moved, a new scanner.
#
# ## Restoration
#
# Draw the scan again with a network that has only ever drawn healthy ones. Where the drawing differs, something was there that the network does not know. The network is an {term}`autoencoder`: convolutions of stride 2 squeeze the volume through a small code, transposed ones draw it again. Its weights $\theta$ make the drawing of healthy heads as near as they can,
#
# $$ \theta^\star = \arg\min_\theta \; \mathbb{E}_{x \in \mathcal{H}} \; \tfrac{1}{N} \sum_v \big| x_v - f_\theta(x)_v \big|, $$ (normal-l1)
#
# and the map of suspicion is what is left over in a new one:
#
# $$ a_v = \big| x_v - f_{\theta^\star}(x)_v \big|. $$ (normal-residual)
#
# That is the baseline of the thesis's chapter 6: a 3D autoencoder of size $m$, $\ell_1$ loss, Adam {cite}`bieder2022`. The scans are equalised first ({term}`histogram equalisation`), so that soft tissue, which spans some 80 of the 2,000 HU, spans much of the range from 0 to 1.

# %%
method = trained(DEPTH)
network = method.network
x = seen(tested[CASE], "equalised").data[None]
with torch.no_grad():
    code = network.encode(x)
    drawn = network.decode(code)  # f(x)
by_hand = (x - drawn).abs()[0, 0]  # (normal-residual)

torch.testing.assert_close(by_hand, method.error_map(tested[CASE], filter="none").values)
print(f"{x.numel():,} voxels through a code of {code.numel():,} numbers")

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.1))
draw(axes[0], x[0, 0], "the head, equalised", (0, 1))
draw(axes[1], drawn[0, 0], "drawn again", (0, 1))
draw(axes[2], by_hand, "difference", (0, 0.6), "magma")
show(
    figure,
    caption="A head goes in, its blur comes out, and the clot is gone from it. So is everything else that is sharp: ventricles, folds, the skull.",
    alt="Three slices: an equalised head with a clot, a blurred head without it, and their difference with the clot and many rims",
)
loss_healthy = np.mean(
    [float(residual(DEPTH, n).mean()) for n in range(TEST) if not any(truths[n].values())]
)
run.record("normal_loss", loss_healthy, low=0.005, high=0.4, digits=3)

# %% [markdown]
# The method in one picture, with its whole trouble. The clot is left over in the difference. So are the rims of the skull, the ventricles and the folds, and they are brighter, though nothing is wrong with them. The mean difference in new healthy heads is {glue:text}`normal_loss` of the full range, without any lesion. A restoration is suspicious of anything *hard to draw*, and fine detail is hard to draw.
#
# ## From a map to a decision
#
# Two small tools stand between a map and a decision. The first is a post-filter. Rims are thin and lesions are thick, so a grey erosion (the least value in a small cube) removes rims and keeps the inside of blobs; a median removes specks and keeps edges. The paper takes the erosion for bleeds and the median for fractures, both five voxels of 1 mm wide.
#
# **Predict.** A fracture is a dark line a millimetre or two wide. What does an erosion of three voxels do to it? And to a clot of 20 mm?

# %% tags=["hide-input"]
maps = {"no filter": by_hand, "median": median(by_hand, 3), "erosion": eroded(by_hand, 3)}
figure, axes = plt.subplots(1, 3, figsize=(7.2, 3.1))
for ax, (name, values) in zip(axes, maps.items(), strict=True):
    draw(ax, values, name, (0, 0.6), "magma")
show(
    figure,
    caption=f"The same difference, without and with a filter of 3 voxels ({3 * MM:g} mm) along each axis, all with the same colours. Which of the rims survive the erosion?",
    alt="Three maps: with bright rims everywhere, with smoother rims, and nearly dark but for the middle of the clot",
)
rims = {
    name: float(values[insides[CASE] & ~clots[CASE]].mean()) for name, values in maps.items()
}
inner = {name: float(values[clots[CASE]].mean()) for name, values in maps.items()}
kept = 100 * inner["erosion"] / inner["no filter"], 100 * rims["erosion"] / rims["no filter"]
run.record("normal_kept_clot", kept[0], low=0, high=100, digits=0, unit="%")
run.record("normal_kept_rest", kept[1], low=0, high=100, digits=0, unit="%")

# %% [markdown]
# The erosion leaves {glue:text}`normal_kept_clot` of the difference in the clot and {glue:text}`normal_kept_rest` of it in the rest of this brain. The line of a fracture, thinner than the cube, would be gone altogether: a filter is a statement about the size of what you look for, and whoever chooses it has stopped being unsupervised.
#
# The second tool makes one number of all the voxels of a structure $S$, here the skull and the two hemispheres:
#
# $$ s_S = \operatorname{percentile}_{q}\,\{ a_v : v \in S \}, $$ (normal-score)
#
# with $q = 100$, the maximum, for the thesis's rule "does the map exceed a threshold anywhere in $S$". We take the percentile that the parameters cell names, so that no handful of voxels next to bone decides. How much hangs on it is worth a run: set it to 99.5. Then every structure of every patient is a case with a score and a truth, and the {term}`AUROC` is the probability that an ill structure scores higher than a healthy one, ties counted by half.

# %%
# NBVAL_CHECK_OUTPUT
ill, well = torch.tensor([0.9, 0.4]), torch.tensor([0.1, 0.3, 0.6])
higher = (ill[:, None] > well).double()  # 2 ill x 3 healthy structures
print(f"{int(higher.sum())} of {higher.numel()} pairs are in order: AUROC {higher.mean():.3f}")
truth = torch.tensor([1, 1, 0, 0, 0])
np.testing.assert_allclose(auroc(torch.cat([ill, well]), truth), higher.mean())

inside = by_hand[parts[CASE]["left hemisphere"]]
score = np.percentile(inside.double().numpy(), percentile)  # (normal-score)
found = method.error_map(tested[CASE], filter="none").scores(parts[CASE], percentile=percentile)
np.testing.assert_allclose(score, found["left hemisphere"])

# %% [markdown]
# Mind what this number is *not*. It judges structures, not voxels: a map that lights up at the wrong end of the right hemisphere is as good as one that finds the clot. And it has chosen no threshold, so it says nothing of how many alarms a ward would hear.
#
# ## A threshold without learning
#
# In 2021 Meissen and colleagues took the benchmark of restoration methods, lesions in FLAIR, and asked how far one gets without any network: strip the skull, normalise the histogram, threshold, throw away small components. It beat most of the networks {cite}`meissen2021`. The lesions of that benchmark are bright; a rule that says "bright" is all it takes. Fresh blood in CT is bright, too, at 50 to 80 {term}`HU <Hounsfield unit>` where brain has 30. With $t$ HU above the median of the inside of the skull,
#
# $$ a_v = \max\big(0,\; x_v - \operatorname{median}_{\text{inside}}(x) - t\big) $$ (normal-excess)
#
# for voxels away from the bone, and below the 90 HU that no blood exceeds. Next to bone a voxel is half bone, and bright for that reason alone.


# %%
def too_bright(image, inside, least_ml):
    above = (image - image[inside].median() - margin).clamp(min=0)  # (normal-excess)
    above = above * (inside & (image <= ceiling))
    pieces, _ = ndimage.label(above.numpy() > 0, np.ones((3, 3, 3)))
    volumes_ml = np.bincount(pieces.ravel()) * MM**3 / 1000
    return above * torch.from_numpy(volumes_ml >= least_ml)[pieces]


image = tested[CASE].channel("HU")
expected = without_small(
    excess(image, insides[CASE], (MM,) * 3, margin, ceiling=ceiling), 1.0, (MM,) * 3
)
torch.testing.assert_close(too_bright(image, insides[CASE], 1.0), expected)

# %% [markdown]
# `medlab.methods.thresholding.Thresholding` is these steps with a mask of the inside of the skull, a rim along the bone and, if asked, thin gaps in the bone. Margin, ceiling and the percentile of equation {eq}`normal-score` were chosen for the threshold on other heads than those below; for the autoencoder nothing was.
#
# **Predict.** Three maps of the autoencoder, one of the threshold; bleeds in hemispheres, fractures in the skull. Which of the four is best at bleeds? Is any of them much better than a coin at fractures?


# %% tags=["hide-input"]
@lru_cache
def map_of(name, n):
    if name == "threshold":
        gaps = Thresholding().error_map(tested[n], bone=True).values
        return torch.where(insides[n], dense(n), gaps)
    values = residual(DEPTH, n)
    return {"no filter": values, "median": median(values, 3), "erosion": eroded(values, 3)}[
        name
    ]


def cases(make, names, who=range(TEST)):
    """Scores, truth and patients of structures; make(n) is the map of test head n."""
    rows = [(np.percentile(make(n)[parts[n][name]].double().numpy(), percentile), truths[n][name], n) for n in who for name in names]  # fmt: skip
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def area(make, names):
    scores, truth, owners = cases(make, names)
    return auroc_interval(scores, truth, groups=owners if len(names) > 1 else None)


def in_voxels(make):
    """AUROC of the voxels inside the skull against the clot's own, mean and interval over patients."""
    return mean_interval([auroc(make(n)[insides[n]], clots[n][insides[n]]) for n in BLEEDS])


NAMES = ("no filter", "median", "erosion", "threshold")
bleeds = {name: area(lambda n, name=name: map_of(name, n), SIDES) for name in NAMES}
breaks = {name: area(lambda n, name=name: map_of(name, n), ("skull",)) for name in NAMES}
voxels = {name: in_voxels(lambda n, name=name: map_of(name, n)) for name in NAMES}
between = lambda e: f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"  # noqa: E731
labels = {"threshold": "threshold"} | {name: f"autoencoder, {name}" for name in NAMES[:3]}
table(
    ["method", "data", "bleeds", "fractures", "voxels of bleeds"],
    [
        *[(labels[name], "synthetic", between(bleeds[name]), between(breaks[name]), f"{voxels[name].mean:.2f} ± {voxels[name].half:.2f}") for name in NAMES],
        ("position regression, thesis, chapter 6", "CQ500", "0.81", "0.79", ""),
    ],
    caption=f"AUROC over structures of {TEST} synthetic heads, with 95 % intervals (the two hemispheres of a patient counted together), and over voxels inside the skull, mean over patients ± 95 % interval. Below, the number of the paper that the next lesson is about; it is of other patients, at 1 mm.",
)  # fmt: skip
run.record(
    "normal_threshold", bleeds["threshold"].value, low=0.7 if tight else 0, high=1, digits=2
)
run.record("normal_autoencoder", bleeds["erosion"].value, low=0, high=1, digits=2)
run.record("normal_plain", bleeds["no filter"].value, low=0, high=1, digits=2)
run.record("normal_voxels_threshold", voxels["threshold"].mean, low=0, high=1, digits=2)
run.record("normal_voxels", voxels["no filter"].mean, low=0, high=1, digits=2)
run.record(
    "normal_fracture", max(one.value for one in breaks.values()), low=0.2, high=1, digits=2
)

# %% [markdown]
# On bleeds the threshold reaches {glue:text}`normal_threshold` over structures, the autoencoder {glue:text}`normal_plain` without a filter and {glue:text}`normal_autoencoder` with the erosion; over the voxels of the bleeds the threshold has {glue:text}`normal_voxels_threshold` and the plain autoencoder {glue:text}`normal_voxels`. (The threshold's map is 0 beside the bone, where many clots lie, and ties count by half: it finds the patient and not the whole clot.) Look at the intervals before you rank them: so few patients separate only what lies far apart. What the table does show is that a network which has been trained must be held against four lines that have not, on the same heads, every time.
#
# Fractures are another matter. The best of the four reaches {glue:text}`normal_fracture`, and it is the best of four tries on these very heads. A fracture is a dark line thinner than these voxels; it is not bright, so the threshold can only look for gaps, and sutures and spongy bone are gaps as well.
#
# Do not read the two kinds of AUROC as one. Over voxels, most of the healthy ones are easy and the number flatters; over structures, one rim in the wrong place is a false alarm for the whole hemisphere.
#
# ## Too good to be useful
#
# A better network draws better; then it should find anomalies better, too. Turn the one knob that decides how much can pass: how often the volume is halved, $L$. With $m$ channels after the first block and twice as many after each, the code of $N$ voxels holds
#
# $$ m \, 2^{L-1} \cdot \frac{N}{8^L} = \frac{m N}{2} \cdot 4^{-L} $$ (normal-code)
#
# numbers: four times fewer with each halving.
#
# **Predict.** With $m = 4$ the code of one halving is half as large as the volume, that of four 128 times smaller. Where will the clot stand out most from the brain around it?


# %% tags=["hide-input"]
@lru_cache
def stands_out(levels, n):
    """The mean difference in the clot over that in the rest of the brain of test head n."""
    values, clot = residual(levels, n), clots[n]
    return float(values[clot].mean() / values[insides[n] & ~clot].mean())


SQUEEZE = {levels: 2 * 4**levels / CONFIG.size for levels in DEPTHS}  # (normal-code): N over it


def draw_depth(levels, filtered):
    values = residual(levels, CASE)
    values = {"none": values, "median": median(values, 3), "erosion": eroded(values, 3)}[
        filtered
    ]
    drawn = trained(levels).restore(tested[CASE]).data[0]
    figure, axes = plt.subplots(1, 2, figsize=(5.4, 3.3))
    draw(axes[0], drawn, f"drawn from a code {SQUEEZE[levels]:g}× smaller", (0, 1))
    draw(axes[1], values, f"difference; clot / brain {stands_out(levels, CASE):.1f}", (0, 0.6), "magma")  # fmt: skip
    return figure


explore(
    draw_depth,
    caption="Drag the number of halvings. With few the drawing is sharp, and the clot is drawn like everything else: little is left over. With many the clot goes, and the anatomy with it. The number over the difference (without filter) says how much the clot stands out.",
    alt=lambda levels, filtered: f"{levels} halvings, filter {filtered}: a drawn head and its difference, in which the clot is {stands_out(levels, CASE):.1f} times as bright as the brain",
    labels={"levels": "halvings", "filtered": "filter"},
    start={"levels": DEPTHS[0], "filtered": "none"},
    levels=DEPTHS,
    filtered=("none", "median", "erosion"),
)  # fmt: skip

# %% tags=["hide-input"]
out = {k: mean_interval([stands_out(k, n) for n in BLEEDS]) for k in DEPTHS}
whole = {
    k: np.mean([float(residual(k, n)[insides[n]].mean()) for n in range(TEST)]) for k in DEPTHS
}
figure, axes = plt.subplots(2, 1, figsize=(5.4, 5.0), sharex=True)
axes[0].plot(DEPTHS, list(whole.values()), color=style.BLUE, marker="o")
axes[0].set(ylabel="mean difference", ylim=(0, None))
axes[1].errorbar(DEPTHS, [e.mean for e in out.values()], [e.half for e in out.values()], color=style.ORANGE, marker="o", capsize=3)  # fmt: skip
axes[1].axhline(1, color=style.MUTED, linewidth=1)
axes[1].set(
    xlabel="halvings L", ylabel="clot / rest of the brain", xticks=DEPTHS, ylim=(0, None)
)
show(
    figure,
    caption=f"Above: how badly heads are drawn. Below: how much clots stand out, mean over {len(BLEEDS)} synthetic patients ± 95 % interval; at the grey line they do not stand out at all.",
    alt="Two curves over the number of halvings: the error of the drawing rises, and the ratio of clot to brain changes with it",
)
best = max(DEPTHS, key=lambda k: out[k].mean)
run.record("normal_best", best, low=1, high=5, digits=0)
run.record("normal_out_first", out[DEPTHS[0]].mean, low=0.1, high=20, digits=1)
run.record("normal_out_best", out[best].mean, low=0.1, high=20, digits=1)
run.record("normal_worse", whole[DEPTHS[-1]] / whole[DEPTHS[0]], low=0.5, high=60, digits=1)

# %% [markdown]
# From the first to the last code the drawing gets worse by a factor of {glue:text}`normal_worse`. The ratio of clot to brain starts at {glue:text}`normal_out_first`; at its best, with $L =$ {glue:text}`normal_best`, it is {glue:text}`normal_out_best`. A network with a wide code has learned to *copy*, and a copier copies clots. Its loss is the lowest of all, so the loss cannot tell you which network to take: the {term}`surrogate task` is solved best where the real one is not solved at all. And only patients with known lesions can tell you, which an unsupervised method does not have. The thesis draws the AUROC on its test set over the sizes $m = 1, 2, \dots, 64$ and goes on with the best (chapter 6, figure 3).
#
# ## The family
#
# The autoencoder has one way to stop itself from copying, a narrow code. Its relatives have others. Each is small and complete in `medlab.methods`, with the same `error_map(volume)`; here is the heart of each.
#
# ### A prior that pulls: VAE
#
# A {term}`variational autoencoder` {cite}`kingma2014` gives more than a drawing: its {term}`evidence lower bound` says how likely a whole image is. So one can look for the most likely image that differs from the one seen in few places {cite}`you2019`:
#
# $$ \hat x = \arg\max_{\tilde x} \; \operatorname{ELBO}(\tilde x) - \lambda \operatorname{TV}(\tilde x - x), \qquad a = |x - \hat x|, $$ (normal-vae)
#
# with $\operatorname{TV}$ the {term}`total variation`. The image itself is changed, by gradient steps, not merely drawn again; so fine structure that the prior has nothing against stays, and its rims do not light up. (`VaeRestoration`.)
#
# ### Noise instead of a bottleneck: diffusion
#
# AnoDDPM {cite}`wyatt2022` drowns the scan in noise up to a step $t$ and lets a model that has learned to remove noise from healthy scans find the way back. What the noise has covered has to be invented, and what is invented is healthy. In one step,
#
# $$ x_t = \sqrt{\bar\alpha_t}\, x + \sqrt{1 - \bar\alpha_t}\; \epsilon, $$ (normal-noised)
#
# where $\bar\alpha_t$ falls from 1 to 0 and $\epsilon$ is noise of variance 1. The choice of $t$ is the width of the bottleneck again: with too little noise the lesion shines through and is drawn once more, with too much the anatomy is lost as well.
#
# **Predict.** White noise, or noise with coarse structure (simplex noise), of the same variance: under which of them does a clot of 30 mm disappear first?

# %%
schedule = NoiseSchedule.linear()  # a thousand steps
flat = 2 * fine[CASE].channel("equalised")[:, :, FINE_Z][None, None] - 1
noise = draw_noise("simplex", flat.shape, run.fresh_generator(1))
a = schedule.alpha_bar[250]
by_hand = a.sqrt().float() * flat + (1 - a).sqrt().float() * noise  # (normal-noised)
torch.testing.assert_close(by_hand, schedule.noised(flat, 250, noise))


# %% tags=["hide-input"]
@lru_cache
def drowned(kind, t):
    return schedule.noised(flat, t, draw_noise(kind, flat.shape, run.fresh_generator(1)))[0, 0]


def clot_left(kind, t):
    """How far apart the means of clot and brain lie in smoothed noise, in standard deviations of the brain."""
    smooth = torch.from_numpy(
        ndimage.gaussian_filter(drowned(kind, t).numpy(), 6 / (256 / len(flat[0, 0])))
    )
    one, rest = smooth[FINE_CLOT], smooth[FINE_BRAIN]
    return float((one.mean() - rest.mean()).abs() / rest.std())


def draw_noised(kind, t):
    figure, ax = plt.subplots(figsize=(3.6, 3.9))
    slices.draw_slice(ax, drowned(kind, t)[..., None], index=0, window=(-2, 2), spacing=(256 / len(flat[0, 0]),) * 2 + (1,))  # fmt: skip
    ax.set_title(f"step {t}: clot {clot_left(kind, t):.1f} deviations", fontsize=10)
    return figure


explore(
    draw_noised,
    caption="A slice under more and more noise. The title says how far clot and brain lie apart after smoothing over 6 mm, in standard deviations of the brain. Drag to the step at which you can no longer point at the clot; then change the noise.",
    alt=lambda kind, t: f"A slice under {kind} noise of step {t}; clot and brain are {clot_left(kind, t):.1f} deviations apart",
    labels={"kind": "noise", "t": "step t of 1000"},
    start={"kind": "gaussian", "t": 0},
    kind=("gaussian", "simplex"),
    t=(0, 100, 250, 400, 600),
)  # fmt: skip
run.record("normal_left_white", clot_left("gaussian", 250), low=0, high=30, digits=1)
run.record("normal_left_simplex", clot_left("simplex", 250), low=0, high=30, digits=1)

# %% [markdown]
# At step 250 of 1,000, the one that AnoDDPM takes, clot and brain are {glue:text}`normal_left_white` deviations apart under white noise and {glue:text}`normal_left_simplex` under simplex noise. White noise averages out over the size of a clot, and a denoiser averages well; noise that has structure of the clot's own size does not. That is the argument of the paper for its noise; one slice and one draw of each, as here, illustrate it and prove nothing. (`AnoDDPM`.)
#
# The weakly supervised cousin {cite}`wolleb2022` also has a classifier that has learned from noisy slices whether they are healthy. It encodes the scan step by step, without chance, and on the way back follows the classifier's gradient towards "healthy": what must change, changes, and the rest comes back as it was. (`ClassifierGuidance`.)
#
# ### Lesions made up: synthetic corruption
#
# Or forget restoration. Put something strange into a healthy head, where one knows it is, and train a U-Net to outline it {cite}`tan2022`. This is segmentation as you know it, with {term}`self-supervision` instead of a radiologist.

# %%
bad, mask = corrupt(
    healthy[0].channel("equalised"), healthy[1].channel("equalised"), seed=3,
    kinds=("blob", "patch"), radius=(SIZE / 12, SIZE / 8), most=3,
)  # fmt: skip
assert torch.equal(bad[~mask], healthy[0].channel("equalised")[~mask])

# %% tags=["hide-input"]
level = int(mask.sum((0, 1)).argmax())
figure, axes = plt.subplots(1, 2, figsize=(5.4, 3.2))
for ax, title in zip(
    axes, ("a healthy head, corrupted", "what the network learns"), strict=True
):
    slices.draw_slice(ax, bad, index=level, window=(0, 1), spacing=(MM,) * 3, smooth=False)
    ax.set_title(title, fontsize=10)
slices.draw_mask(axes[1], mask, index=level, spacing=(MM,) * 3)
show(
    figure,
    caption="A synthetic healthy head with corruptions that are blended in, and their exact mask. Nothing outside the mask has been touched.",
    alt="A head with strange blobs or boxes of another brightness, and the same with them marked",
)

# %% [markdown]
# What such a network finds is what resembles its corruptions, so their designer has smuggled a list of anomalies back in. With blobs of another brightness it is a trained cousin of the threshold; with patches from other heads it asks whether a piece belongs where it is. That question, asked directly, is the thesis's method, and the next lesson. (`SyntheticCorruption`.)
#
# ### All of them, trained for minutes
#
# What the page cannot train in seconds stands in records: methods trained for 4 to 20 minutes of a laptop's time each, at 2 mm, and judged on synthetic heads that none of them has seen. Scores of structures are percentiles of the map again, the 99th or, where the record has a validation set, the one that was best there.

# %% tags=["hide-input"]
WHAT = {
    "thresholding": "threshold (no learning)",
    "autoencoder": "autoencoder",
    "vae_restoration": "VAE restoration",
    "anoddpm": "AnoDDPM",
    "classifier_guidance": "classifier guidance",
    "synthetic_corruption": "synthetic corruption",
}


def recorded(one, finding, low, high):
    known = f"auroc {finding}" in one.metrics
    return f"{one.metrics[f'auroc {finding}']:.2f} [{one.metrics[low]:.2f}, {one.metrics[high]:.2f}]" if known else "not judged"  # fmt: skip


rows = []
for one in read_records("anomaly", profile="cpu"):
    if one.method in ("thresholding", "autoencoder"):
        size = f", m = {one.settings['size']}" if one.settings["size"] else ""
        rows.append((WHAT[one.method] + size, f"{one.settings['test']}", *(recorded(one, f, f"low {f}", f"high {f}") for f in ("haemorrhage", "fracture"))))  # fmt: skip
for one in read_records("anomaly_references", profile="cpu"):
    heads = sum(one.settings.get(name, 0) for name in ("bleeds", "fractures", "normals"))
    if one.method in WHAT and one.settings["percentile"] == 99 and one.settings["map"] != "reconstruction":  # fmt: skip
        rows.append((WHAT[one.method], f"at most {heads}", *(recorded(one, f, f"auroc {f} low", f"auroc {f} high") for f in ("haemorrhage", "fracture"))))  # fmt: skip
table(
    ["method", "synthetic test heads", "bleeds", "fractures"],
    rows,
    caption="AUROC over structures with 95 % intervals, from the book's records at <code>cpu</code>. The last rows rest on other and fewer heads than the first, so compare their intervals, not their digits. (A head with both findings is counted with both.)",
)
alone = read_record("anomaly", profile="cpu", method="thresholding").metrics
run.record("normal_whole_threshold", alone["auroc haemorrhage"], low=0.6, high=1, digits=2)
run.record(
    "normal_whole_maximum", alone["auroc haemorrhage maximum"], low=0.3, high=1, digits=2
)

# %% [markdown]
# On the whole test set, at 2 mm, the threshold reaches {glue:text}`normal_whole_threshold` for bleeds with the percentile that was best on validation heads, and {glue:text}`normal_whole_maximum` by the maximum: a rule is part of a method, and has to be reported with it. None of the networks in the table is clearly ahead of the threshold on bright bleeds, at the size and in the minutes that a laptop allows. That is the critics' point, on other data. For fractures, none is clearly better than a coin.
#
# ## Where it breaks
#
# Blood fades. Within one to three weeks a subdural bleed becomes as bright as brain ({term}`isodense`), later darker {cite}`lee1997`; an anaemic patient's fresh bleed may be isodense from the first hour. It pushes, it kills, and it has no brightness of its own. We leave a share $\kappa$ of the contrast of each clot and change nothing else:
#
# $$ x_v \leftarrow b + \kappa\,(x_v - b) \quad \text{in the clot}, \qquad b = \operatorname{median}_{\text{inside}}(x). $$ (normal-fade)
#
# **Predict.** The AUROC of the threshold with all of the contrast stands in the table. What is it at $\kappa = 0$: 0.5, or something else? And the autoencoder's?


# %%
def faded(n, share):
    """The HU of test head n with this share of its clot's contrast."""
    image = tested[n].channel("HU").clone()
    clot, typical = clots[n], image[insides[n]].median()
    image[clot] = typical + share * (image[clot] - typical)  # (normal-fade)
    return image


@lru_cache
def faded_map(name, n, share):
    image = faded(n, share)
    if name == "threshold":
        return dense(n, image)
    volume = tested[n].image.with_data(equalise(image, image > -200)[None])
    return trained(DEPTH).error_map(volume, filter=name).values


SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
falls = {"threshold": [], "none": []}
for name, curve in falls.items():
    for s in SHARES:
        curve.append(area(lambda n, s=s, name=name: faded_map(name, n, s), SIDES))

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(5.4, 3.4))
for (name, curve), colour in zip(falls.items(), (style.ORANGE, style.BLUE), strict=True):
    ax.plot(SHARES, [e.value for e in curve], color=colour, marker="o", label={"none": "autoencoder, no filter"}.get(name, name))  # fmt: skip
    ax.fill_between(SHARES, [e.low for e in curve], [e.high for e in curve], color=colour, alpha=0.15, linewidth=0)  # fmt: skip
ax.axhline(0.5, color=style.MUTED, linewidth=1)
ax.set(xlabel="contrast of the clot that is left", ylabel="AUROC, bleeds", ylim=(0, 1), xlim=(1.03, -0.03))  # fmt: skip
ax.legend(frameon=False, loc="lower left")
show(
    figure,
    caption=f"The same {TEST} synthetic heads, with less and less contrast in their clots (to the right). Bands: 95 % intervals. The grey line is chance.",
    alt="Two falling curves of AUROC over the contrast that is left: the threshold's falls from high to about chance",
)
alone = area(lambda n: faded_map("threshold", n, share), SIDES)
run.record(
    "normal_faded", falls["threshold"][-1].value, low=0, high=0.75 if tight else 1, digits=2
)
run.record("normal_faded_ae", falls["none"][-1].value, low=0, high=1, digits=2)
if tight and share == 0:
    assert falls["threshold"][0].value - alone.value > 0.2  # it breaks

# %% [markdown]
# Without any contrast the threshold has {glue:text}`normal_faded` and the autoencoder {glue:text}`normal_faded_ae`, with the intervals of the figure. The threshold knows brightness and nothing else, so it has nothing left: what remains of its score is how bright the rest of that hemisphere happens to be. It can even fall below one half, since fading a clot beside the bone also takes away the brightness that bone lends to its neighbours, which healthy hemispheres keep. Each clot is still there, has pushed the ventricles aside and covered the folds. A method that knew what a brain looks like would see that something is missing; whether this restoration does, the blue curve shows; it had less to lose. This is the test that a benchmark of bright lesions does not make.
#
# ## Exercises
#
# ### Exercise 1: what survives
#
# The paper erodes with a cube of five voxels of 1 mm. A clot is a ball of volume $V$. From which volume on does any of it survive the erosion? And on our grid, with a cube of three voxels of 4 mm?
#
# <details class="hint"><summary>Hint</summary>
#
# A voxel survives if the whole cube around it fits into the clot.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# The cube's half diagonal must be no longer than the ball's radius: $r \ge \tfrac{\sqrt 3}{2} \cdot 5$ mm, if the ball is compared with the cube's corners.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $r = 4.33$ mm and $V = \tfrac43 \pi r^3 = 0.34$ ml. With three voxels of 4 mm, $r = 10.4$ mm and $V = 4.7$ ml. (Measured to the centres of the corner voxels it is somewhat less: 0.17 and 1.4 ml.) Either way, a filter that is harmless on the paper's grid deletes small bleeds on a coarse one: lengths of post-filters belong in mm.
#
# </details>
#
# ### Exercise 2: a map that is right everywhere but once
#
# A map scores 0 in all voxels of all healthy hemispheres but one voxel in each, where it is 1 by a fault of the detector. In ill hemispheres it is 0.8 in the whole clot. What is the AUROC over structures by the maximum? By the 99th percentile, if clots fill at least 2 % of a hemisphere? And over voxels?
#
# <details class="hint"><summary>Hint</summary>
#
# Which numbers does each score compare?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# By the maximum every healthy hemisphere scores 1. The ill ones have the faulty voxel or not; say which you assume.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# By the maximum, healthy hemispheres score 1. If ill ones have no such voxel they score 0.8, and the AUROC is 0: the map is called worse than useless. If they have one, all score 1 and it is 0.5. By the 99th percentile the single voxel does not count: 0 against 0.8, AUROC 1. Over voxels nearly 1 as well: a clot's voxel is beaten by one healthy voxel in tens of thousands.
#
# </details>
#
# ### Exercise 3: the area from pairs, in code
#
# Write `area_of(ill, healthy)`: the AUROC of two sets of scores (1D tensors) as the share of pairs in order, ties counted by half, without a loop and without `medlab`.
#
# <details class="hint"><summary>Hint</summary>
#
# `ill[:, None]` against `healthy` compares all pairs at once.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Add the pairs in which the ill score is higher to half of those in which both are equal, and divide by the number of pairs.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Two lines, in the cell after the exercise. `medlab` sorts instead, which for ten million voxels is the difference between seconds and never.
#
# </details>


# %% tags=["hide-input"]
def check_area(area_of):
    chance = run.fresh_generator(5)
    tied = torch.tensor([0.5, 0.5]), torch.tensor([0.5])
    drawn = [torch.randint(0, 6, (n,), generator=chance).float() for n in (9, 14)]
    for ill, healthy in (drawn, tied, (torch.tensor([2.0]), torch.tensor([1.0, 3.0, 0.0]))):
        given = area_of(ill, healthy)
        if given is None:
            return "it returned nothing; return the share of pairs."
        truth = torch.cat([torch.ones(len(ill)), torch.zeros(len(healthy))])
        wanted = auroc(torch.cat([ill, healthy]), truth)
        if abs(float(given) - wanted) > 1e-6:
            if len(ill) == 2:
                return f"two ties give {float(given):.2f}, expected 0.50: a tie counts by half."
            if abs(1 - float(given) - wanted) < 1e-6:
                return (
                    "the order is reversed: count the pairs in which the ill score is higher."
                )
            return f"for ill {ill.tolist()} and healthy {healthy.tolist()} it is {float(given):.3f}, expected {wanted:.3f}."
    return None


# %% tags=["exercise"]
def area_of(ill, healthy):
    """The share of pairs (ill, healthy) in which the ill score is higher, ties by half."""
    ...  # your code here


judge(check_area, area_of)


# %% tags=["solution", "hide-cell"]
def area_of(ill, healthy):
    """The share of pairs (ill, healthy) in which the ill score is higher, ties by half."""
    # begin solution
    above, equal = ill[:, None] > healthy, ill[:, None] == healthy
    return float((above + 0.5 * equal).mean())
    # end solution


judge(check_area, area_of)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "An autoencoder restores test heads three times better than last year's, and its anomaly AUROC has fallen. How can that be?",
        ("It cannot; something was mixed up", "Restoration is only the surrogate task. Nothing ties its quality to the AUROC."),
        right("It has learned to copy, lesions included", "With a wide code the network draws whatever it is given, and nothing is left over."),
        ("It overfits", "An overfitted one would restore new heads worse, not better."),
    ),
    question(
        "A threshold reaches the AUROC of your network on FLAIR lesions. What have you learned about the network?",
        ("That it is useless", "It may find what is not bright; this test cannot show it."),
        ("That the threshold is the better method", "On bright lesions, with an intact histogram. Elsewhere it has nothing to say."),
        right("That this test does not show whether it knows more than brightness", "Test it where brightness does not help: fade the lesions."),
    ),
    question(
        "A method needs for each training scan the word \"healthy\" or \"ill\", and no outlines. It is ...",
        right("weakly supervised", "It knows that something is there, and has to find out where."),
        ("unsupervised", "Then it would have healthy scans alone, or no words at all."),
        ("self-supervised", "Then the answers would come out of the data, without anybody's word."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - An anomaly is what is unlikely among healthy scans; since that cannot be computed, methods solve a surrogate task and hope.
# - Restoration marks what is hard to draw. Lesions are, and so are rims.
# - Post-filters and the choice of a score decide as much as the network; both encode what one looks for.
# - A threshold is the yardstick on bright lesions, and silent on everything else.
# - A network that copies finds nothing; one that draws nothing finds everything.
# - Fade the lesions before you believe a method.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | heads | **synthetic**: a head model with drawn bleeds and fractures, scanned by a simulated CT, in the format of CQ500; few kinds of lesions, no metal, no motion, no old strokes |
# | grid | coarser than the paper's 1 mm; a fracture is thinner than our voxels, so what is said of fractures here is about this grid |
# | networks | trained for seconds on a handful of heads; one seed; the intervals are over patients |
# | the paper's numbers | real patients, another method (that of the next lesson): beside ours for orientation, not for a contest |
# | claims | about methods on these data; none about patients |
#
# ## Further reading
#
# The comparison of autoencoders that all later work is measured by: {cite}`baur2021`; its critics: {cite}`meissen2021`. Restoration by a normative prior: {cite}`you2019`; by diffusion: {cite}`wyatt2022`, {cite}`wolleb2022`. Synthetic corruptions: {cite}`tan2022`. The thesis's own answer, which restores nothing at all, is the next lesson and {cite}`bieder2022`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
