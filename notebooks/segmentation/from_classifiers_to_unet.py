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
#     - segmentation/convolution_blocks
#     - validation/losses
#     summary: Why networks that segment have the shape of a U, what its skip connections
#       bring back, and where its weights and its memory lie.
#     weights: []
# ---

# %% [markdown]
# # From classifiers to U-Net
#
# A network that classifies looks at a picture and says one word. A network that segments must say a word at each voxel. Between the two lie three ideas, each of them a
# line of code: read a classifier as a convolution; climb back up to full resolution; bring along what was seen on the way down. Together they have the shape of a U, and nearly every
# network that segments brains today is a relative. Here you build it, take it apart again, and measure what each part is worth.
#
# **You will be able to**
#
# - turn a classifier of patches into a network that labels a whole slice, and prove that both say the same
# - write the forward pass of a U-Net in fifteen lines
# - say what is lost on the way down, what a skip connection brings back, and measure it over several seeds
# - tell FCN, U-Net, V-Net and 3D U-Net apart by their design, and count their weights
# - say in which level of a network its weights lie, and in which its memory
#
# **You need** [Convolutional building blocks](convolution_blocks.ipynb): convolution, pooling, transposed convolution, receptive field, residual connections; [Losses](../validation/losses.ipynb): Dice and cross entropy.

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
levels = 3  # of all networks below that are trained
side = 61  # in "Where it breaks": edge of a slice, in voxels
odd = "pad"  # there: "pad" or "refuse"

# %% tags=["hide-input"]
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from torch import nn
from torch.nn import functional as F

from medlab.cohorts.datasets import open_iseg
from medlab.cohorts.grid import Grid
from medlab.data.transforms import z_score
from medlab.metrics import dice, iou, mean_interval
from medlab.metrics.losses import dice_cross_entropy_loss
from medlab.nn import UNet2d, UNet3d, VNet, VNetLight
from medlab.nn.blocks import UpConvolution
from medlab.nn.receptive_field import measured_receptive_field
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
tight = run.profile.name != "ci" and levels == 3
MM = run.pick(ci=3.0, cpu=2.0, gpu=1.0)
GRID = Grid((round(128 / MM), round(160 / MM), run.pick(ci=4, cpu=8, gpu=16)), (MM, MM, run.pick(ci=10.0, cpu=5.0, gpu=2.5)), (0.0, -15.0, 14.0))  # fmt: skip
GRID = Grid((*(8 * round(n / 8) for n in GRID.shape[:2]), GRID.shape[2]), GRID.spacing_mm, GRID.centre_mm)  # fmt: skip
TRAIN, TEST = run.pick(ci=3, cpu=10, gpu=40), run.pick(ci=3, cpu=6, gpu=20)
STEPS, SEEDS, BATCH, WIDTH = run.pick(ci=8, cpu=100, gpu=400), 3, 5, 8
TISSUES = ("fluid", "grey matter", "white matter")
COLOURS = {"fluid": style.BLUE, "grey matter": style.ORANGE, "white matter": style.GOLD}
PAINT = ListedColormap(["#000000", *COLOURS.values()])
cohort = open_iseg(subjects=TRAIN + TEST, grid=GRID, seed=seed)


def slices_of(sample):
    """T1 and T2 as z-scores (Z, 2, X, Y), and the labels (Z, X, Y)."""
    scans = torch.stack([z_score(one, sample.mask) * sample.mask for one in sample.image.data])
    return scans.permute(3, 0, 1, 2).contiguous(), sample.label.permute(2, 0, 1).long()


people = [slices_of(sample) for sample in cohort]
train, test = people[:TRAIN], people[TRAIN:]
images, labels = (torch.cat(part).to(run.device) for part in zip(*train, strict=True))


class Scores(nn.Module):
    """The way down of a U-Net, and scores of the classes at some of its levels, enlarged and added up."""

    def __init__(self, read):
        super().__init__()
        self.read, self.down = read, UNet2d(2, 4, width=WIDTH, levels=levels).encoder
        self.heads = nn.ModuleDict({str(k): nn.Conv2d(WIDTH * 2**k, 4, 1) for k in read})

    def forward(self, x):
        maps = []
        for level in self.down:
            x = level(x)
            maps.append(x)
        return fuse({k: self.heads[str(k)](maps[k]) for k in self.read})


def fuse(scores):
    """Equation (unet-fuse): from the coarsest level up, enlarge by two and add what this level says."""
    total = scores[max(scores)]
    for level in reversed(range(max(scores))):
        total = F.interpolate(total, scale_factor=2, mode="bilinear")
        total = total + scores[level] if level in scores else total
    return total


DEEP = levels - 1
NETWORKS = {
    f"FCN, read at 1/{2**DEEP}": lambda: Scores((DEEP,)),
    f"FCN, 1/{2**DEEP} and 1/{2 ** (DEEP - 1)}": lambda: Scores((DEEP, DEEP - 1)),
    "FCN, all levels": lambda: Scores(tuple(range(levels))),
    "U-Net, no skips": lambda: UNet2d(2, 4, width=WIDTH, levels=levels, skips="none"),
    "U-Net": lambda: UNet2d(2, 4, width=WIDTH, levels=levels),
}
COARSE, SOME, ALL, BARE, UNET = NETWORKS


def seeded(make, number=0):
    """What `make` builds, with weights drawn from a generator of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(1000 * seed + number)
        return make()


@lru_cache
def fit(name, number):
    """A network after training; all see the same slices in the same order."""
    network = seeded(NETWORKS[name], number).to(run.device)
    chance = run.fresh_generator(100 + number)
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, STEPS)
    for _ in range(STEPS):
        batch = torch.randint(len(images), (BATCH,), generator=chance).to(run.device)
        loss = dice_cross_entropy_loss(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@lru_cache
def answers(name, number, person):
    """The labels that a network gives to the slices of a test subject, (Z, X, Y)."""
    network = fit(name, number)
    with torch.no_grad():
        return network(test[person][0].to(run.device)).argmax(1).cpu()


def scores_of(measure, name, label):
    """Of each test subject, the mean over seeds."""
    return np.array([np.mean([float(measure(answers(name, s, p) == label, test[p][1] == label)) for s in range(SEEDS)]) for p in range(TEST)])  # fmt: skip


def draw(ax, image, title="", window=(-3, 3), cmap="gray"):
    """A slice (X, Y); labels where the colour map is `PAINT`."""
    slices.draw_slice(ax, image[..., None], index=0, window=window, cmap=cmap, spacing=GRID.spacing_mm, smooth=False)  # fmt: skip
    ax.set_title(title, fontsize=10)


def draw_labels(ax, label, title=""):
    draw(ax, label, title, (-0.5, 3.5), PAINT)


person, Z = 0, GRID.shape[2] // 2
scan, truth = test[person][0][Z], test[person][1][Z]
shown = torch.where(scan[1] == 0, -3.0, scan[1])  # black around the brain; the networks see 0
figure, axes = plt.subplots(3, 2, figsize=(5.4, 9.0))
draw(axes[0, 0], shown, "T2")
draw_labels(axes[0, 1], truth, "truth")
for ax, name in zip(axes.flat[2:], (COARSE, ALL, BARE, UNET), strict=True):
    draw_labels(ax, answers(name, 0, person)[Z], name)
handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
figure.legend(handles, TISSUES, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
show(
    figure,
    caption="A synthetic infant whom the networks have not seen, and four networks with the same budget of training. Look at the ventricles and at the thin fluid between the folds.",
    alt="A T2 slice, its true tissues, and four answers: one in large soft blobs without thin fluid, one with sharp ventricles, one in blobs again, one with sharp ventricles and folds",
)

# %% [markdown]
# The brains are {term}`synthetic <synthetic data>`: infants of six months in the format of iSEG, in slices with voxels of a few mm, where white and grey matter hardly differ; the patient's right is on your left. All four networks go down to a quarter of the resolution by the same layers. Two of the answers are blobs and two are sharp, and the difference is one line in the forward pass. (Where the third has black holes, it takes fluid for background.)
#
# ## A classifier is a convolution
#
# How would one label a voxel with a classifier? Cut out the patch around it, let a few convolutions and poolings make it small, and give what is left, $C$ maps of $h \times h$ voxels, to a {term}`linear layer` with $K$ outputs, one a class. Then move on by a voxel and do it all again. This is how networks segmented at first, and most of the arithmetic was done over and over, because neighbouring patches overlap.
#
# But a linear layer that looks at $C$ maps of $h \times h$ values is a convolution with a {term}`kernel` of width $h$, for which there is only one place to stand {cite}`long2015`:
#
# $$ \big(W \operatorname{vec}(f)\big)_k = \sum_{c} \sum_{\mathbf{u} \in h \times h} w_{k c \mathbf{u}}\, f_{c, \mathbf{u}}, $$ (unet-fcn)
#
# where $w_k$ is the row $k$ of $W$, folded to $C$ small squares of $h \times h$. Give it larger maps and there are more places to stand. The classifier needs no retraining: its weights stay, only their shape changes. A {term}`fully convolutional network` has no other layers, so it takes any size.


# %%
def brick(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(2)


features = seeded(lambda: nn.Sequential(*brick(2, 8), *brick(8, 16)))
linear = seeded(lambda: nn.Linear(16 * 2 * 2, 4))  # a patch of 16 x 16 leaves 2 x 2
convolution = nn.Conv2d(16, 4, 2)
convolution.weight.data = linear.weight.data.reshape(4, 16, 2, 2)  # (unet-fcn)
convolution.bias.data = linear.bias.data

# %% [markdown]
# **Predict.** The two poolings halve twice, so the next answer stands 4 voxels further on. How many answers does the folded classifier give for a slice of $64 \times 80$ voxels, with patches of $16 \times 16$?

# %%
# NBVAL_CHECK_OUTPUT
slice_ = F.interpolate(scan[None], (64, 80))
with torch.no_grad():
    at_once = convolution(features(slice_))[0]  # (4, rows, columns)
    patches = slice_.unfold(2, 16, 4).unfold(3, 16, 4)[0]
    patches = patches.flatten(1, 2).transpose(0, 1)  # (patches, 2, 16, 16)
    one_by_one = linear(features(patches).flatten(1))
print(f"{at_once.shape[1]} x {at_once.shape[2]} answers")
torch.testing.assert_close(one_by_one.T.reshape(at_once.shape), at_once)


# %% tags=["hide-input"]
def products(layers, x):
    """Multiplications of the convolutions and of the linear layer for an input."""
    total = 0
    for layer in layers:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            total += layer.weight.numel() * x[0, 0].numel() * len(x)
    return total


with torch.no_grad():
    whole = products([*features, convolution], slice_)
    alone = products([*features, convolution], patches)
    every = products([*features, convolution], torch.zeros(1, 2, 16, 16)) * 49 * 65
run.record("unet_answers", at_once[0].numel(), low=221, high=221, digits=0)
run.record("unet_saved", alone / whole, low=5, high=16, digits=1)
run.record("unet_saved_voxel", every / whole, low=80, high=256, digits=0)

# %% [markdown]
# $(64 - 16)/4 + 1 = 13$ by $17$, the same {glue:text}`unet_answers` answers as from {glue:text}`unet_answers` separate patches, to the last rounding, for {glue:text}`unet_saved` times fewer products. A patch at *each* of the $49 \times 65$ places would cost {glue:text}`unet_saved_voxel` times as much, but it would also give an answer at each of them.
#
# What we do not have is an answer at each voxel. The poolings gave the classifier a wide {term}`receptive field` and took away the places in between. Thesis, section 3.4 {cite}`zoothesis`: what is there is told by the coarse maps, *where* it is by the fine ones.
#
# ## Climbing back up
#
# The first way back is the simplest: enlarge the coarse scores to full size. The second reads scores from finer levels as well and adds them up, from the coarsest $L$ to the finest 0 {cite}`long2015`. With $s_l$ the scores of level $l$ (a convolution of $1 \times 1$ of its map) and $U$ for doubling each axis,
#
# $$ t_L = s_L, \qquad t_l = s_l + U\, t_{l+1}. $$ (unet-fuse)
#
# No scores at a level means $s_l = 0$ there. That is the whole of `fuse` in the setup of this page (with bilinear interpolation as $U$), and of the way back in the three FCNs we train below.
#
# ### Doubling: two ways that are one
#
# $U$ can repeat voxels, interpolate, or be a {term}`transposed convolution` that learns how. Repeating and then convolving is popular because it shows no {term}`checkerboard artefact`. It is not another kind of thing, though. A kernel $(a, b, c)$ that slides over $x_0, x_0, x_1, x_1, \ldots$ always has two neighbouring weights on copies of one value, so these can be added beforehand: repeat-and-convolve *is* a transposed convolution of kernel 4 and stride 2, with the weights
#
# $$ (c,\; b + c,\; a + b,\; a). $$ (unet-double)
#
# In three dimensions this needs 8 products for an output where the two steps need 27, and never stores the enlarged map. `medlab`'s 3D U-Net does it so.

# %%
up = seeded(lambda: UpConvolution(4, 2))
x = torch.randn(1, 4, 9, 8, 7, generator=run.fresh_generator(1))
repeated = F.interpolate(x, scale_factor=2, mode="nearest")
torch.testing.assert_close(up(x), F.conv3d(repeated, up.weight, padding=1))

a, b, c = 1.0, 20.0, 300.0  # along one axis, by hand
line, kernel = torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[a, b, c]]])
two_steps = F.conv1d(line.repeat_interleave(2, -1), kernel, padding=1)
taps = torch.tensor([[[c, b + c, a + b, a]]])  # (unet-double)
one_step = F.conv_transpose1d(line, taps, stride=2, padding=1)
torch.testing.assert_close(one_step, two_steps)

# %% [markdown]
# ## The U
#
# The U-Net {cite}`ronneberger2015` climbs with *features* instead of scores. On the way down, level $l$ makes a map $e_l$ of the pooled map above it; on the way up, level $l$ doubles what comes from below, puts $e_l$ beside it along the channels, and convolves both:
#
# $$ \begin{aligned} e_l &= F_l(P\, e_{l-1}), \\ d_L &= e_L, \\ d_l &= G_l\big([\,U_l\, d_{l+1},\; e_l\,]\big). \end{aligned} $$ (unet-levels)
#
# It begins with $e_0 = F_0(x)$ of the image $x$. $F_l$ and $G_l$ are two convolutions each, $P$ is max-pooling, $U_l$ a transposed convolution, and the logits are a $1 \times 1$ convolution of $d_0$. The bracket is the {term}`skip connection`. Channels double on each level down and halve on each level up. That is all. (The code also pads each convolution, to keep the size, and normalises after it, by {term}`instance normalisation`; the U-Net of 2015 did neither.)


# %%
def two_convolutions(level, x):
    for layer in level.modules():
        if isinstance(layer, nn.Conv2d):
            x = F.relu(F.instance_norm(F.conv2d(x, layer.weight, padding=1)))
    return x


def unet(network, x):
    maps = [two_convolutions(network.encoder[0], x)]
    for level in network.encoder[1:]:
        maps.append(two_convolutions(level, F.max_pool2d(maps[-1], 2)))
    x = maps.pop()
    for up, level in zip(network.ups, network.decoder, strict=True):
        x = F.conv_transpose2d(x, up.weight, up.bias, stride=2)
        x = two_convolutions(level, torch.cat((x, maps.pop()), 1))  # (unet-levels)
    return F.conv2d(x, network.head.weight, network.head.bias)


# %%
network = seeded(lambda: UNet2d(2, 4, width=8, levels=4)).eval()
x = torch.randn(2, 2, 48, 64, generator=run.fresh_generator(2))
torch.testing.assert_close(unet(network, x), network(x), rtol=1e-4, atol=1e-4)

# %% [markdown]
# Walk through it. The slider below goes down one side of the U and up the other. Left, the map of that stage that varies most, in the network that we trained; right, on the scan, what its central voxel has seen.
#
# **Predict.** On the way down, each level has seen more of the slice than the one above it. Does a voxel at the end of the way up see less than one at the bottom, because the resolution is high again?

# %% tags=["hide-input"]
STAGES = [f"down {k}" for k in range(DEEP)] + ["bottom"] + [f"up {k}" for k in reversed(range(DEEP))]  # fmt: skip


class Until(nn.Module):
    """A U-Net that stops at a stage and gives its map."""

    def __init__(self, network, stage):
        super().__init__()
        self.network, self.stage = network, stage

    def forward(self, x):
        net, at = self.network, STAGES.index(self.stage)
        maps = []
        for level in net.encoder[: at + 1]:
            x = level(x)
            maps.append(x)
        skips = maps[:-1]
        for up, level in list(zip(net.ups, net.decoder, strict=True))[: max(at - DEEP, 0)]:
            x, skip = up(x), skips.pop()
            x = level(x if net.skips == "none" else torch.cat((x, skip), 1))
        return x


@lru_cache
def seen_by(stage, skips):
    """Without normalisation, which sees the whole slice by its mean; weights as drawn."""
    make = lambda: UNet2d(2, 4, width=4, levels=levels, norm=None, skips=skips)  # noqa: E731
    return measured_receptive_field(
        Until(seeded(make), stage), 2, (192, 192), draws=4, seed=seed
    )


@lru_cache
def map_of(stage, name):
    network = Until(fit(name, 0), stage)
    with torch.no_grad():
        found = network(scan[None].to(run.device))[0].cpu()
    return found[int(found.flatten(1).std(1).argmax())], len(found)


def draw_stage(network, stage):
    name = UNET if network == "with" else BARE
    values, channels = map_of(stage, name)
    seen = seen_by(stage, "join" if name == UNET else "none")
    figure, axes = plt.subplots(1, 2, figsize=(5.4, 3.7))
    factor = scan.shape[1] // values.shape[0]
    slices.draw_slice(axes[0], values[..., None], index=0, window=(0, float(values.quantile(0.995)) + 1e-6), cmap="viridis", spacing=(MM * factor, MM * factor, 1), smooth=False)  # fmt: skip
    axes[0].set_title(f"{channels} maps of {values.shape[0]} × {values.shape[1]}", fontsize=10)
    draw(axes[1], shown, f"sees {seen.extent[0]} × {seen.extent[1]} voxels")
    wide, high = (length * MM for length in scan.shape[1:])
    edge = seen.extent[0] * MM
    box = plt.Rectangle(((wide - edge) / 2, (high - edge) / 2), edge, edge, fill=False, edgecolor=style.GREEN, linewidth=2)  # fmt: skip
    axes[1].add_patch(box)
    return figure


explore(
    draw_stage,
    caption="Through the U of the trained network, stage by stage: the map that varies most, and the square that one of its voxels has seen (green). Drag the stage down to the bottom and up again, then do it once more without skips: which maps lose their edges?",
    alt=lambda network, stage: f"U-Net {network} skips, stage {stage}: a map of {map_of(stage, UNET)[0].shape[0]} voxels across, and a scan with a square of {seen_by(stage, 'join' if network == 'with' else 'none').extent[0]} voxels",
    labels={"network": "skips", "stage": "stage"},
    start={"network": "with", "stage": "bottom"},
    network=["with", "without"],
    stage=STAGES,
)  # fmt: skip
for name, stage in (("first", "down 0"), ("bottom", "bottom"), ("last", "up 0")):
    run.record(f"unet_sees_{name}", seen_by(stage, "join").extent[0], low=3, high=192, digits=0)

# %% [markdown]
# {glue:text}`unet_sees_first` voxels across at first, {glue:text}`unet_sees_bottom` at the bottom, and {glue:text}`unet_sees_last` at the end: the way up adds to the field, since its convolutions look around on coarse maps as well. So a voxel of the output knows its neighbours at full resolution *and* a good part of the head around it. (All this is measured without normalisation. With it, a voxel also knows the mean and the spread over the whole slice.) Without skips the field is much the same. What the maps on the way up have lost is their edges. The stripes of period two that you may see there (stage up 1) are a {term}`checkerboard artefact` of the transposed convolution, which no fine map covers up.
#
# ## The experiment: what skips bring back
#
# Same way down, same slices in the same order, same number of steps; five ways back up. The U-Net without skips has the same layers, only that the bracket in equation {eq}`unet-levels` holds nothing but $U_l\, d_{l+1}$.
#
# **Predict.** Which of the three tissues suffers most without skips: the fluid, the grey matter, or the white?

# %% tags=["hide-input"]
by_tissue = {name: [scores_of(dice, name, k) for k in (1, 2, 3)] for name in NETWORKS}
weights = {name: sum(p.numel() for p in make().parameters()) for name, make in NETWORKS.items()}
rows = []
for name in NETWORKS:
    means = [mean_interval(one).shown() for one in by_tissue[name]]
    rows.append([name, f"{weights[name]:,}", *means])
table(
    ["network", "weights", *TISSUES],
    rows,
    caption=f"Dice on {TEST} synthetic test subjects after {STEPS} steps; each value is the mean of {SEEDS} seeds, ± the 95 % interval over subjects.",
)
run.record("unet_share", 100 * weights[ALL] / weights[UNET], low=20, high=95, digits=0, unit="%")  # fmt: skip
KEYS = dict(zip(NETWORKS, ("coarse", "some", "all", "bare", "unet"), strict=True))
for name, key in KEYS.items():
    for tissue, values in zip(("fluid", "grey", "white"), by_tissue[name], strict=True):
        run.record(f"unet_{key}_{tissue}", values.mean(), low=0, high=1, digits=2)
bare = [np.mean([float(dice(answers(BARE, s, p) == 1, test[p][1] == 1)) for p in range(TEST)]) for s in range(SEEDS)]  # fmt: skip
run.record("unet_bare_worst", min(bare), low=0, high=1, digits=2)
run.record("unet_bare_best", max(bare), low=0, high=1, digits=2)
gap = {t: mean_interval(a - b) for t, a, b in zip(("fluid", "grey", "white"), by_tissue[UNET], by_tissue[BARE], strict=True)}  # fmt: skip
for tissue, interval in gap.items():
    low = {"fluid": 0.05, "grey": -0.05, "white": -0.05}[tissue] if tight else -1
    run.record(f"unet_gap_{tissue}", interval.mean, low=low, high=1, digits=2)
    run.record(f"unet_gap_{tissue}_half", interval.half, low=0, high=0.4 if tight else 5, digits=2)  # fmt: skip

# %% [markdown]
# The fluid. With skips its Dice is {glue:text}`unet_gap_fluid` ± {glue:text}`unet_gap_fluid_half` higher (the same subjects, so differences are paired); grey matter gains {glue:text}`unet_gap_grey` ± {glue:text}`unet_gap_grey_half` and white {glue:text}`unet_gap_white` ± {glue:text}`unet_gap_white_half`. Much of the fluid is thin: between the folds it is one or two voxels wide, and a voxel at the bottom of the network covers four by four. Large tissues survive that, thin ones do not.
#
# Look twice at the number without skips, though. From seed to seed it runs from {glue:text}`unet_bare_worst` to {glue:text}`unet_bare_best`: in some runs of this short training the network never learns to name the fluid. The ± tells nothing of this, for it counts subjects and not seeds. Nor is the information gone: the FCN that reads the same bottom with a single layer gets {glue:text}`unet_coarse_fluid`. So the gap has two parts. From that {glue:text}`unet_coarse_fluid` to the {glue:text}`unet_unet_fluid` of the U-Net it is mostly lost places, which the skips bring back. The rest is training that failed. A likely reason is that skips are also a short way for the gradient to the fine layers, but nothing on this page tests that. A longer training may close part of the gap; we have not run it here.
#
# Another surprise is in the middle of the table. "FCN, all levels" has no way up at all, and with {glue:text}`unet_share` of the weights of the U-Net it reaches {glue:text}`unet_all_fluid` on the fluid, where the U-Net has {glue:text}`unet_unet_fluid`. What matters most here is not how one climbs but *that the fine maps are read at all*. What the U-Net adds is that it can combine fine and coarse *before* it decides. In a sum of scores each level has its vote, whatever the others say. The coarse map cannot change what a fine clue *means*: that bright is fluid at this place, and white matter at that. With harder borders and a longer training we expect that to count for more. [The 3D zoo](zoo_3d.ipynb) goes there.
#
# The FCN's authors did this experiment on photographs. Theirs beside ours, as they measured, by the mean over classes (with background) of the {term}`intersection over union`:

# %% tags=["hide-input"]
PAPER = {COARSE: ("FCN-32s", "59.4"), SOME: ("FCN-16s", "62.4"), ALL: ("FCN-8s", "62.7")}
mean_iou = {name: np.mean([scores_of(iou, name, k) for k in range(4)], 0) for name in NETWORKS}
rows = [[name, *PAPER.get(name, ("–", "–")), mean_interval(100 * mean_iou[name]).shown(1)] for name in NETWORKS]  # fmt: skip
table(
    ["ours", "paper's name", "paper, %", "ours, %"],
    rows,
    caption=f"Mean intersection over union. Paper: 20 kinds of objects and background in photographs (PASCAL VOC 2011, a part of its validation set), a large pretrained network, read at 1/32, at 1/32 and 1/16, and at 1/8 besides. Ours: three tissues and background in {TEST} synthetic infants, networks of some ten thousand weights, ± the 95 % interval over subjects.",
)
step = [mean_iou[SOME] - mean_iou[COARSE], mean_iou[ALL] - mean_iou[SOME]]
for key, values, low in (("first", step[0], 0.0), ("second", step[1], 0.0)):
    run.record(f"unet_step_{key}", 100 * values.mean(), low=low if tight else -100, high=100, digits=1)  # fmt: skip

# %% [markdown]
# The direction is the same, the size is not. In photographs the second level brings 3.0 points and the third next to nothing; in our brains the first step brings {glue:text}`unet_step_first` points and the second {glue:text}`unet_step_second` (differences taken before rounding). That is what one would expect: objects in photographs are large, and the paper stops at an eighth of the resolution; folds of the cortex are about as thin as the voxels. How far up one has to climb depends on how thin the things are that one looks for.
#
# ## Into three dimensions: V-Net and 3D U-Net
#
# A slice does not know its neighbours. Both successors of 2016 convolve in 3D, and each adds an idea of its own (thesis, sections 3.6 and 3.7).
#
# **V-Net** {cite}`milletari2016` has kernels of $5 \times 5 \times 5$, halves by convolutions of stride 2 instead of pooling, and gives each stage a {term}`residual connection`,
#
# $$ y = \varphi\big(x + F(x)\big), $$ (unet-residual)
#
# with $F$ the convolutions of the stage and $\varphi$ its activation, so that a stage only has to learn a change. It was trained with the {term}`soft Dice loss`, its other gift.
#
# **3D U-Net** {cite}`cicek2016` is the U-Net with kernels of $3 \times 3 \times 3$. The thesis uses the later form of {cite}`isensee2018brats`: halved by convolutions of stride 2, residual on the way down, {term}`instance normalisation`, since a volume often fills a batch alone, and scores read at three levels and summed as in equation {eq}`unet-fuse`. The FCN is still in there. Where the loss looks at those coarser scores as well, one speaks of {term}`deep supervision`.

# %% tags=["hide-input"]
ZOO = [
    ("2D U-Net", lambda: UNet2d(1, 2, norm=None), "3²", "max-pooling", "beside", "–", "–"),
    ("V-Net", lambda: VNet(1, 4), "5³", "convolution", "beside, residual", "~45 million", "45,611,956"),
    ("V-Net light", lambda: VNetLight(1, 4), "5³", "convolution", "beside, residual", "~25 million", "12,247,988"),
    ("3D U-Net, width 8", lambda: UNet3d(2, 4), "3³", "convolution", "beside, scores summed", "~10 million", "1,781,744"),
    ("3D U-Net, width 16", lambda: UNet3d(2, 4, width=16), "3³", "convolution", "beside, scores summed", "~10 million", "7,125,216"),
]  # fmt: skip
rows = []
for name, make, kernel, halving, joined, thesis, code in ZOO:
    with torch.device("meta"):  # shapes without memory
        count = sum(p.numel() for p in make().parameters())
    assert code in ("–", f"{count:,}")
    rows.append([name, kernel, halving, joined, thesis, code, f"{count:,}"])
table(
    ["network", "kernels", "halved by", "skips", "thesis, table", "thesis, code", "ours"],
    rows,
    caption="Designs and their weights. The 2D U-Net as published, for 1 channel and 2 classes; the others for 4 classes, V-Nets for 1 channel and 3D U-Nets for 2. Beside: a skip puts its map beside the other, along the channels. The thesis's tables and its public code do not always agree; ours are built to the code.",
)

# %% [markdown]
# The 3D U-Net of width 8 has about a twenty-fifth of V-Net's weights, and won in the thesis. Why so few? Its kernels are small: $3^3 = 27$ weights for a pair of channels, against $5^3 = 125$. It is half as wide, 8 channels at the top against 16, which is a quarter of the weights. The third reason is hidden in the table's last rows: the thesis's code uses *one and the same* convolution twice in each level of the way down. We keep that (`tied=True`), and `tied=False` gives each its own.
#
# ### Where the weights lie, and where the memory
#
# Level $l$ of a U-Net in $D$ dimensions has $c_l = 2^l c_0$ channels and $N_l = N_0 / 2^{D l}$ voxels. A convolution within it has $k^D c_l^2$ weights, and makes $c_l N_l$ values that have to be kept for the backward pass:
#
# $$ \text{weights} \propto 4^l, \qquad \text{values} \propto 2^{(1 - D)\, l}. $$ (unet-where)
#
# **Predict.** In three dimensions and five levels: how much of the weights do the two lowest levels hold, and how much of the values does the finest?

# %% tags=["hide-input"]
SHAPE = (128, 128, 64)  # a sub-volume of the thesis


def by_level(network, shape):
    """Weights and values by level: a convolution belongs to the level of what it makes."""
    weights, values = np.zeros(5), np.zeros(5)

    def note(layer, _, output):
        level = int(np.log2(shape[0] // output.shape[2]))
        values[level] += output.numel()
        weights[level] += 0 if layer in known else sum(p.numel() for p in layer.parameters())
        known.add(layer)

    known = set()
    kinds = (nn.Conv3d, nn.ConvTranspose3d)
    hooks = [one.register_forward_hook(note) for one in network.modules() if isinstance(one, kinds)]  # fmt: skip
    network(torch.zeros(1, network.in_channels, *shape, device="meta"))
    for hook in hooks:
        hook.remove()
    return weights, values


figure, axes = plt.subplots(2, 1, figsize=(5.4, 5.0), sharex=True)
with torch.device("meta"):
    MAKES = {"V-Net": VNet(2, 4), "3D U-Net": UNet3d(2, 4)}
places = np.arange(5)
shares = {}
for offset, (name, one), colour in zip((-0.2, 0.2), MAKES.items(), (style.BLUE, style.ORANGE), strict=True):  # fmt: skip
    w, v = by_level(one, SHAPE)
    shares[name] = (100 * w / w.sum(), 100 * v / v.sum(), v.sum() * 4 / 2**30)
    axes[0].bar(places + offset, shares[name][0], 0.38, color=colour, label=name)
    axes[1].bar(places + offset, shares[name][1], 0.38, color=colour)
axes[0].set_ylabel("share of weights (%)")
axes[1].set(ylabel="share of values (%)", xlabel="level", xticks=places, xticklabels=["0\n(finest)", "1", "2", "3", "4\n(bottom)"])  # fmt: skip
axes[0].legend(frameon=False)
show(
    figure,
    caption="Where the weights of two networks lie (top) and where the values that their convolutions make (bottom), for two channels of 128 × 128 × 64 voxels. Nearly all weights lie in the three lowest levels, nearly all values in the two finest.",
    alt="Bars over five levels: weights rise steeply to the last level but one and stay high at the bottom; values fall steeply from the finest level",
)
w, v, gib = shares["3D U-Net"]
run.record("unet_weights_bottom", w[-1] + w[-2], low=70, high=99, digits=0, unit="%")
run.record("unet_values_finest", v[0], low=60, high=95, digits=0, unit="%")
run.record("unet_values_gib", gib, low=0.1, high=3, digits=2, unit="GiB")
run.record("unet_values_gib_vnet", shares["V-Net"][2], low=0.3, high=6, digits=2, unit="GiB")
run.record("unet_weights_mib", 4 * sum(p.numel() for p in MAKES["3D U-Net"].parameters()) / 2**20, low=6, high=8, digits=1, unit="MiB")  # fmt: skip

# %% [markdown]
# The two lowest levels hold {glue:text}`unet_weights_bottom` of the 3D U-Net's weights, the finest level {glue:text}`unet_values_finest` of its values. Five levels of equation {eq}`unet-where` alone would give 94 % and 75 %. (That the bottom has fewer weights than the level above it is no mistake: that level is on the way down and up, with twice the channels where both meet; the bottom is passed once.) All weights together are {glue:text}`unet_weights_mib`; the values of one sub-volume are {glue:text}`unet_values_gib`, in V-Net {glue:text}`unet_values_gib_vnet`, counting what convolutions make and nothing else. So V-Net has about 25 times the weights, but not nearly 25 times the values: a count of parameters alone says little about whether a network fits on a card. It is not nothing, either. Adam keeps four numbers for each weight (itself, its gradient and two running means), of four bytes each. For V-Net's 45.6 million that is 0.68 GiB, more than its values here. Where the memory goes, to the byte, is the subject of [a lesson of its own](gpu_memory.ipynb).
#
# ## Where it breaks
#
# ### A size that cannot be halved
#
# **Predict.** A slice of $61 \times 61$ voxels, four levels. What happens in the fifteen lines above?

# %%
x = torch.randn(1, 2, side, side, generator=run.fresh_generator(3))
try:
    print(f"the slice passes: {tuple(unet(network, x).shape)}")
    assert side % 8 == 0
except RuntimeError as error:
    print(str(error).split(" for ")[0])
    assert side % 8
network.odd = odd
if odd == "pad" or side % 8 == 0:
    assert network(x).shape == (1, 4, side, side)

# %% [markdown]
# 61 becomes 30, 15, 7 on the way down, for pooling rounds down; and 14 on the way up, where a map of 15 is waiting. Sizes have to be multiples of $2^{L}$, with four levels ($L = 3$) of 8. The original U-Net asks for special sizes as well, for another reason: it does not pad its convolutions, so it makes 388 voxels of 572 and cuts its skips to fit. `medlab` repeats the last row and column until the size divides, and crops the answer; with `odd="refuse"` it says in one sentence what it expected.
#
# ### The edge of a patch
#
# A quieter failure. Cut a patch out of a slice: at its edge a convolution sees zeros, where a moment ago there was brain. (In our slices, 0 is also what stands outside the brain; inside it, after a z-score, it is the average.) We cut the test slices through the middle and compare the same voxels, once seen in the whole slice and once in its half.


# %% tags=["hide-input"]
@lru_cache
def errors_by_distance(number):
    """Share of the voxels where the half and the whole slice disagree, by distance from the cut, in voxels."""
    half = (GRID.shape[1] // 2) // 8 * 8
    found = []
    for index, (x, y) in enumerate(test):
        with torch.no_grad():
            part = fit(UNET, number)(x[..., :half].to(run.device)).argmax(1).cpu()
        brain = (y[..., :half] > 0).float()
        wrong = ((part != answers(UNET, number, index)[..., :half]) * brain).sum((0, 1)) / brain.sum((0, 1)).clamp(min=1)  # fmt: skip
        found.append(wrong.flip(0)[:16])
    return torch.stack(found).numpy()


changed = 100 * np.mean([errors_by_distance(s) for s in range(SEEDS)], 0)
figure, ax = plt.subplots(figsize=(5.4, 3.0))
middle = [mean_interval(changed[:, d]) for d in range(changed.shape[1])]
ax.errorbar(np.arange(len(middle)) + 1, [m.mean for m in middle], [m.half for m in middle], color=style.BLUE, capsize=2, marker="o", markersize=4)  # fmt: skip
ax.set(
    xlabel="distance from the cut (voxels)", ylabel="answers that changed (%)", ylim=(0, None)
)
show(
    figure,
    caption=f"The same brain voxels, seen in the whole slice and in one half of it: how many get another label, by their distance from the cut. Mean of {SEEDS} seeds, ± the 95 % interval over {TEST} synthetic test subjects.",
    alt="A curve that is highest at the cut and falls with the distance from it",
)
near, far = changed[:, :2].mean(), changed[:, 8:].mean()
run.record("unet_near", near, low=1 if tight else 0, high=100, digits=1, unit="%")
run.record("unet_far", far, low=0, high=60, digits=1, unit="%")
if tight:
    assert near > 1.3 * far  # it does break, and most at the edge

# %% [markdown]
# Within two voxels of the cut {glue:text}`unet_near` of the answers change, further than eight voxels away still {glue:text}`unet_far`. At the cut the network probably does what it has learned: where brain meets zeros the brain ends, so there must be its rim. Further away two causes remain. The receptive field of {glue:text}`unet_sees_last` voxels reaches about half of that across the cut, and the instance normalisation makes each voxel depend on all else in the patch. A tail as level as this one speaks for the second, but we have not measured one without the other. A volume that is labelled patch by patch therefore needs patches that overlap, of which the middle counts more than the edge.
#
# ## Exercises
#
# ### Exercise 1: 572 becomes 388
#
# The original U-Net has five levels, two convolutions of $3 \times 3$ without padding in each, and up-convolutions that double exactly. It makes 388 voxels of 572. Derive the difference of 184. Slices of 256 voxels are common: which size nearest to 256 passes without rounding, and how large is the square that gets labels?
#
# <details class="hint"><summary>Hint</summary>
#
# What do two such convolutions take away at level $l$, in voxels of level $l$? And in voxels of the input?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Each pair takes 4 voxels of its own level, which are $4 \cdot 2^l$ of the input. Levels 0 to 3 are passed twice, the bottom once. For the second part ask that 4 less is even, and half of that again, four times.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $4\,(2\,(1 + 2 + 4 + 8) + 16) = 184$. The bottom receives $(n - 4 - 8 - 16 - 32)/16$ voxels, so $n - 60$ must divide by 16. With $n = 252 = 60 + 12 \cdot 16$ it does, and $252 - 184 = 68$: a square of $68 \times 68$ voxels is labelled, 7 % of the slice's area. Networks without padding pay for their honesty at the edge with most of a small image; padded ones answer everywhere, and near the edge not so well.
#
# </details>
#
# ### Exercise 2: more levels or more width
#
# Your 3D U-Net fills the card's memory. You may (a) double its width, (b) add a level at the bottom, or (c) use $3/4$ of the patch's edge. Say for each how the weights and the stored values change, roughly, and whether it fits.
#
# <details class="hint"><summary>Hint</summary>
#
# Use equation {eq}`unet-where`, and the figure above it for what dominates.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# With a level more at the bottom, what was level $l$ becomes like level $l + 1$ of the new network: twice the channels everywhere. Values are a sum whose first term dominates.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# (a) Weights times 4 (see 1.78 and 7.13 million in the table), values times 2: it does not fit. (b) Weights times about 4, values plus about $1/4^5$ of the finest level, a tenth of a percent. What grows is what is kept for each weight: at width 8 about 20 MiB more of weights, with Adam four times that. On a card of many GiB that is little, so it fits if that little is free, and if the patch divides by 32. (c) Weights unchanged, values times $(3/4)^3 = 0.42$: it fits, and every voxel sees less of the head, more of them near an edge.
#
# </details>
#
# ### Exercise 3: any size, in code
#
# Write `any_size(network, x, multiple)`: it adds rows and columns behind the last ones of $x$ (B, C, X, Y), as copies of these, until both sizes are multiples of `multiple`, calls the network, and crops its answer to the size of $x$.
#
# <details class="hint"><summary>Hint</summary>
#
# How many rows are missing? Python's `-n % multiple` knows. `F.pad` has a mode `"replicate"`.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# `F.pad` counts axes from the last one, two numbers for each: `(0, missing_y, 0, missing_x)`.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Three lines, in the cell after the exercise. Filling behind the last row only, and not on both sides, keeps voxel $i$ of a coarse map over the voxels $2^l i$ to $2^l i + 2^l - 1$ of the image.
#
# </details>


# %% tags=["hide-input"]
def check_any_size(any_size):
    halves = lambda x: F.interpolate(F.max_pool2d(x, 4), scale_factor=4)  # noqa: E731
    for shape in ((8, 12), (9, 14), (5, 7)):
        x = torch.randn(1, 2, *shape, generator=run.fresh_generator(4))
        seen = []
        answer = any_size(lambda given: seen.append(given) or halves(given), x, 4)  # noqa: B023
        if answer is None:
            return "it returned nothing; return the cropped answer of the network."
        if not seen:
            return "the network was not called."
        sizes = tuple(seen[0].shape[2:])
        if any(n % 4 for n in sizes):
            return f"the network got {sizes[0]} × {sizes[1]} voxels for an image of {shape[0]} × {shape[1]}, and 4 does not divide them."
        if sizes != tuple(-(-n // 4) * 4 for n in shape):
            return f"the network got {sizes[0]} × {sizes[1]} voxels, more than needed."
        if answer.shape != x.shape:
            return f"the answer has the shape {tuple(answer.shape)}, expected that of x, {tuple(x.shape)}."
        if not torch.equal(seen[0][..., : shape[0], : shape[1]], x):
            return "the image has moved; fill up behind the last row and column only."
        if sizes[0] > shape[0] and not torch.equal(
            seen[0][..., shape[0], : shape[1]], x[..., -1, :]
        ):
            return "the new rows are not the last row repeated."
        if not torch.equal(answer, halves(seen[0])[..., : shape[0], : shape[1]]):
            return "the answer is not the part of the network's that lies over x."
    return None


# %% tags=["exercise"]
def any_size(network, x, multiple):
    """The network's answer for an image (B, C, X, Y) of any size."""
    ...  # your code here


judge(check_any_size, any_size)


# %% tags=["solution", "hide-cell"]
def any_size(network, x, multiple):
    """The network's answer for an image (B, C, X, Y) of any size."""
    # begin solution
    missing_x, missing_y = (-n % multiple for n in x.shape[2:])
    filled = F.pad(x, (0, missing_y, 0, missing_x), mode="replicate")
    return network(filled)[..., : x.shape[2], : x.shape[3]]
    # end solution


judge(check_any_size, any_size)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A colleague removes the skip connections to save memory. The training loss hardly rises, and the mean Dice falls by 0.02. Are they superfluous?",
        ("Yes, 0.02 is within the noise of seeds", "Perhaps it is, but the mean is the wrong place to look."),
        right("Look at the thin structures first", "Large structures survive the bottleneck, and in a mean they hide what the thin ones pay."),
        ("No, without them the field of view is smaller", "The receptive field comes from the way down and up; skips hardly change it."),
    ),
    question(
        "Network A has 45 million weights and network B 1.8 million. Which needs more memory in training?",
        ("A, by a factor of 25", "That is the ratio of the weights. The values that are kept come on top, and do not follow it."),
        ("B, because it has more levels", "Levels at the bottom hardly cost memory."),
        right("It cannot be said from that", "Above all, memory goes with channels times voxels at the finest level, and with what is kept of them."),
    ),
    question(
        "Why can a classifier that was trained on patches of 16 × 16 label a whole slice, without new training?",
        right("Its linear layer is a convolution for which there was one place to stand", "On a larger map it stands in more places, with the same weights."),
        ("Because its weights are interpolated", "They are folded into another shape; no value changes."),
        ("It cannot; it must learn the positions", "A convolution has no positions to learn."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - A linear layer on maps is a convolution with one place to stand; a network of convolutions alone labels any size at once.
# - Pooling buys a wide view and pays with places. Skip connections bring the places back, and thin structures need them most.
# - FCN adds scores, U-Net joins features, V-Net adds residuals and strides, the 3D U-Net of the thesis does all of it.
# - Repeat-and-convolve is a transposed convolution; in 3D it costs 8 products for an output instead of 27.
# - Weights sit near the bottom, the values that training has to keep at the top.
# - Sizes must divide by $2^L$, and near the edge of a patch most answers hang on where it was cut.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | subjects and scans | **synthetic**: infants in the format of iSEG 2017, built from an adult template, in coarse slices of one plane; the truth is exact, contrasts are round numbers |
# | networks | 2D, width 8, three levels, a hundred steps, one learning rate for all, tuned for none; a longer training may change their order |
# | the ablation | "no skips" has fewer weights, because its convolutions get fewer channels; the FCNs have no way up at all; ± counts subjects, not the three seeds |
# | paper's numbers | another task, another number of classes, another decade's network: the direction can be compared, the size cannot |
# | claims | about these designs on these data; none about patients or programs |
#
# ## Further reading
#
# The papers are short and worth their evening: FCN {cite}`long2015`, U-Net {cite}`ronneberger2015`, V-Net {cite}`milletari2016`, 3D U-Net {cite}`cicek2016`. That a plain U-Net, well trained, is hard to beat is the message of {cite}`isensee2021`. Gates on the skips: {cite}`oktay2018`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
