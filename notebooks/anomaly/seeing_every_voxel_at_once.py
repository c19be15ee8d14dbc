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
#     - segmentation/convolution_blocks
#     summary: Why a network for patches can answer at every voxel at once, exactly,
#       and how many thousand products that saves.
#     weights:
#     - results/benchmarks/anomaly.json
# ---

# %% [markdown]
# # Seeing every voxel at once
#
# A network looks at a small patch and says something about its middle. You want that answer at every voxel of a head: two million patches, each a hair's breadth from the next. Done one by one it takes hours, and nearly all of the time goes into products that were computed a moment before. Here you learn to compute each of them once. Nothing is approximated: the answers are the same numbers.
#
# **You will be able to**
#
# - say which layers commute with which shifts, and measure it
# - evaluate a network for patches at every place in two ways, with holes and with fragments, and prove that both are the same sums
# - count the products for a voxel by hand, and check the count against a counter
# - fold an average pooling into the convolution before it
# - choose tiles for a budget of memory, and say what their halos cost
#
# **You need** [Convolutional building blocks](../segmentation/convolution_blocks.ipynb): convolution, pooling, stride, dilation, receptive field.

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
patch = None  # edge of a patch in voxels: 19, 23, 27, 31, 35 or 39; None: 19 at "ci", else 31
edges = "zeros"  # in "Where it breaks": what a small network sees beyond a patch, "zeros" or "nothing"

# %% tags=["hide-input"]
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from medlab.data.readers.equalise import equalise
from medlab.methods.anomaly import reference_head
from medlab.nn import PatchRegressor
from medlab.nn.patch_regressor import Residual
from medlab.nn.scanning import folded, scan
from medlab.nn.tiles import tiles_of
from medlab.viz import explore, show, slices, style, table
from medlab.viz.benchmark import benchmark
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
EDGE = run.pick(ci=64, cpu=128, gpu=256)
MM = 256 / EDGE
SIZE, STEPS = run.pick(ci=2, cpu=4, gpu=16), run.pick(ci=30, cpu=200, gpu=1000)
S = patch or run.pick(ci=19, cpu=31, gpu=31)
HALF = (S - 1) // 2
ct = reference_head(EDGE, MM)
inside = ct.data > -200
head = equalise(ct.data, inside)[None].to(run.device)  # (1, 1, X, Y, Z), 0 to 1, air 0
Z = round(0.55 * EDGE)


def seeded(make, number=0):
    """What `make` builds, with weights drawn from a generator of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(1000 * seed + number)
        return make()


def fit(network):
    """A few steps of position regression around one slice: where does each patch lie, 0 to 1 along each axis?"""
    low, chance = Z - HALF - 4, run.fresh_generator(1)
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        first = torch.randint(4, (3,), generator=chance).tolist()
        seen = head[..., first[0] :, first[1] :, low + first[2] : low + S + 9]
        found = network.lattice(seen)
        lines = [(4 * torch.arange(n) + HALF + at) / (EDGE - 1) for n, at in zip(found.shape[2:], (*first[:2], low + first[2]), strict=True)]  # fmt: skip
        place = torch.stack(torch.meshgrid(*lines, indexing="ij")).to(run.device)
        # Patches that are all air do not count.
        counts = F.max_pool3d((seen > 0).float(), S, 4) > 0
        loss = ((found - place).norm(dim=1, keepdim=True) * counts).sum() / counts.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


network = fit(seeded(lambda: PatchRegressor(SIZE, S)).to(run.device))
slab = head[..., Z - HALF : Z + HALF + 1]  # all that patches around slice Z see
with torch.no_grad():
    wide = F.pad(slab, (0, 0, HALF, HALF, HALF, HALF))
    every_fourth = network.lattice(wide)[0, 1, ..., 0].cpu()
    everywhere = network.dense(slab)[0, 1, ..., HALF].cpu()
shown = inside[0, :, :, Z]


def draw(ax, image, title, window, cmap="gray", voxel=MM, smooth=False):
    """A slice (X, Y) in radiological convention."""
    slices.draw_slice(ax, image[..., None], index=0, window=window, cmap=cmap, spacing=(voxel, voxel, 1), smooth=smooth)  # fmt: skip
    ax.set_title(title, fontsize=10)


def blank(answers, step):
    """Back-to-front places in mm; air is left out."""
    mm = answers * (EDGE - 1) * MM
    return torch.where(shown[::step, ::step][: mm.shape[0], : mm.shape[1]], mm, torch.nan)


figure, axes = plt.subplots(2, 2, figsize=(5.4, 5.9))
draw(axes[0, 0], ct.data[0, ..., Z], "the scan, two patches", (-100, 200), smooth=True)
for shift, colour in ((0, style.BLUE), (1, style.ORANGE)):
    corner = ((0.42 * EDGE - shift) * MM, 0.42 * EDGE * MM)
    axes[0, 0].add_patch(plt.Rectangle(corner, S * MM, S * MM, fill=False, edgecolor=colour, linewidth=1.5))  # fmt: skip
window = (40, 220)
draw(axes[0, 1], blank(every_fourth, 4), "answers of one pass", window, "viridis", 4 * MM)
draw(axes[1, 0], blank(everywhere, 1), "answers at every voxel", window, "viridis")
error = (everywhere * (EDGE - 1) - torch.arange(EDGE)).abs() * MM
draw(axes[1, 1], torch.where(shown, error, torch.nan), "their error", (0, 30), "magma")
figure.colorbar(axes[1, 0].images[0], ax=axes[1, 0], location="bottom", label="back to front (mm)", shrink=0.8)  # fmt: skip
figure.colorbar(axes[1, 1].images[0], ax=axes[1, 1], location="bottom", label="mm", shrink=0.8)
show(
    figure,
    caption=f"A network that was taught, around one slice of a synthetic head, where a patch of {S} voxels lies; colours are how far from the back it puts the patch around each voxel. Top left, two patches one voxel apart: can you tell them apart? Top right, what one pass over the volume gives; bottom left, what you will get out of the same weights, with no product computed twice.",
    alt="An axial CT slice with two nearly identical squares; a coarse map of squares that rises from back to front; the same map at full resolution; a map of its error",
)

# %% [markdown]
# The head is {term}`synthetic <synthetic data>` and the network small, trained for a moment on this page. (The patient's right is on your left.) What it says is the subject of [the lesson on position regression](where_does_this_patch_belong.ipynb): where its error is high, the head does not look as it should. That method asks the network at *every* voxel, which its paper does patch by patch, in a minute and a half for a volume on a graphics card {cite}`thesis` (thesis, chapter 6, section 4.2). This lesson is about those ninety seconds.
#
# ## Neighbours share almost everything
#
# Two patches of $31^3$ voxels that lie one voxel apart share 30 of their 31 planes, 97 % of all they see. Each voxel of the head is read by $31^3 = 29{,}791$ patches. How much of the work is shared? Count it. Layer $l$ of a network without padding makes a map of $n_l^3$ places in each patch; each place of each of its $c_l$ channels takes $k_l^3 c_{l-1}$ products. So for a patch, and that is for one answer,
#
# $$ P_{\text{alone}} = \sum_l k_l^3\, c_{l-1}\, c_l\, n_l^3 . $$ (dense-alone)
#
# Now suppose that each layer had to make each value only once. In a large volume there is then one place for each voxel:
#
# $$ P_{\text{once}} = \sum_l k_l^3\, c_{l-1}\, c_l . $$ (dense-once)
#
# A layer saves the factor $n_l^3$. Here is the network of position regression {cite}`thesis`, with the size $m = 16$ and patches of 31: two convolutions with an average pooling of 2 after each, two residual blocks, and an affine layer that sees all that is left, $2^3$ places.
#
# **Predict.** Which layers gain most, the first or the last? And the affine layer, which holds a fifth of the weights?

# %%
m = 16  # name: kernel, channels in, channels out, edge of its map in a patch of 31
LAYERS = {
    "convolution 4³": (4, 1, m, 28),  # then pooled to 14
    "convolution 3³": (3, m, 2 * m, 12),  # then pooled to 6
    "residual 1, 3³": (3, 2 * m, 2 * m, 4),
    "residual 1, 1³": (1, 2 * m, 2 * m, 4),
    "residual 2, 3³": (3, 2 * m, 2 * m, 2),
    "residual 2, 1³": (1, 2 * m, 2 * m, 2),
    "affine 2³": (2, 2 * m, 4 * m, 1),
    "head": (1, 4 * m, 3, 1),
}
once = {name: k**3 * c * d for name, (k, c, d, _) in LAYERS.items()}  # (dense-once)
alone = {name: once[name] * n**3 for name, (*_, n) in LAYERS.items()}  # (dense-alone)

# %%
# NBVAL_CHECK_OUTPUT
paper = seeded(lambda: PatchRegressor(16, 31)).eval()
with torch.no_grad(), FlopCounterMode(display=False) as counter:
    x = torch.zeros(1, 1, 31, 31, 31)
    for layer in paper.stages:
        x = layer(x)
    paper.head(x)
counted = counter.get_total_flops() // 2  # an operation is a product or a sum
print(f"by hand {sum(alone.values()):,}, counted {counted:,}")
print(f"each once {sum(once.values()):,}")
assert counted == sum(alone.values())

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(5.4, 3.6))
places = np.arange(len(LAYERS))[::-1]
for offset, values, colour, name in ((0.2, alone, style.ORANGE, "patch by patch"), (-0.2, once, style.BLUE, "each once")):  # fmt: skip
    ax.barh(places + offset, list(values.values()), 0.38, color=colour, label=name)
ax.set(yticks=places, yticklabels=list(LAYERS), xscale="log", xlabel="products for one answer")
ax.legend(loc="lower right", frameon=False)
ax.set_xlim(100, None)
show(
    figure,
    caption="Products for one voxel's answer, layer by layer; each tick of the axis is a factor of ten. The gap is n³: 21,952 at the first layer, nothing at the last two.",
    alt="Pairs of bars for eight layers. The upper ones fall from 20 million to 200, the lower ones stay around 10 thousand; at the last two layers both are equal",
)
run.record("dense_gain", sum(alone.values()) / sum(once.values()), low=545, high=547, digits=0)
run.record("dense_front", 100 * (alone["convolution 4³"] + alone["convolution 3³"]) / sum(alone.values()), low=90, high=99, digits=0, unit="%")  # fmt: skip

# %% [markdown]
# The first gains $28^3 = 21{,}952$, the last nothing: the affine layer and the head look at a patch as a whole, and no two patches are the same. But that is where little is to be had, for {glue:text}`dense_front` of the work of a patch lies in its first two convolutions. All in all {glue:text}`dense_gain` times fewer products, if only it were possible to compute each value once.
#
# ## What commutes with a shift
#
# With a convolution it is possible. Write $T_a$ for a shift by $a$ voxels. A convolution gives the same answers for a shifted line, only shifted; it is {term}`equivariant <equivariance>` to every shift. A {term}`pooling` of {term}`stride` 2 is not:
#
# $$ \mathrm{conv}(T_a x) = T_a\, \mathrm{conv}(x) \ \text{for all } a, \qquad \mathrm{pool}(T_{2a} x) = T_a\, \mathrm{pool}(x) \ \text{only}. $$ (dense-shift)
#
# Shift by one and all pools hold other pairs. After $L$ poolings only shifts by multiples of $2^L$ are left. That is why one pass over the volume, in the figure on top, gave an answer at every fourth voxel: two poolings.
#
# **Predict.** We shift a volume of random numbers by $a$ voxels and run the network again, as one pass (`lattice`). For which $a$ do answers of before come back?

# %%
noise = torch.rand(1, 1, 52, 48, 48, generator=run.fresh_generator(1)).to(run.device)
with torch.no_grad():
    before = network.lattice(noise)[0].flatten(1).T  # (answers, 3)
    recur = []
    for a in range(9):
        after = network.lattice(noise[:, :, a:])[0].flatten(1).T
        nearest = (after[:, None] - before[None]).norm(dim=-1).amin(1)
        recur.append(100 * float((nearest < 1e-5).float().mean()))

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(5.4, 2.6))
ax.bar(range(9), recur, color=[style.BLUE if a % 4 == 0 else style.ORANGE for a in range(9)])
ax.set(xlabel="shift a (voxels)", ylabel="answers seen before (%)", xticks=range(9))
show(
    figure,
    caption="How many of the answers for a shifted volume had been among those for the volume as it was. Shifts by 0, 4 and 8 bring nothing new; all others bring answers at other voxels.",
    alt="Bars of 100 percent at shifts 0, 4 and 8, and nearly nothing in between",
)
run.record("dense_recur_four", min(recur[::4]), low=99, high=100, digits=0, unit="%")
run.record("dense_recur_other", max(r for a, r in enumerate(recur) if a % 4), low=0, high=20, digits=0, unit="%")  # fmt: skip

# %% [markdown]
# For 0, 4 and 8, where {glue:text}`dense_recur_four` of them come back; in between {glue:text}`dense_recur_other` of them do: all answers are new. This suggests a first remedy: run the network once for each of the $4^3 = 64$ shifts and put the answers between one another. It is called *shift and stitch* {cite}`sermanet2014,long2015`, needs no change to the network, and gives every voxel its answer. But each run convolves the whole volume anew before its first pooling, so the first convolution is done 64 times for each voxel, the second $64/8 = 8$ times, and only the rest once. We can do better.
#
# ## Two ways to keep every place
#
# Take the smallest network that has the problem, along a line: a convolution with two weights, an average of pairs, again a convolution with two weights. It makes one number of five: $5 \to 4 \to 2 \to 1$.
#
# **Predict.** A line of 8 numbers holds 4 patches of five. How many answers does the network give for the whole line?

# %%
# NBVAL_CHECK_OUTPUT
first, second = torch.tensor([[[2.0, 4.0]]]), torch.tensor([[[1.0, 10.0]]])
line = torch.tensor([[[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]]])


def small(x):
    return F.conv1d(F.avg_pool1d(F.conv1d(x, first), 2), second)


one_by_one = torch.cat([small(line[..., i : i + 5]) for i in range(4)], -1)
print("patch by patch", one_by_one.flatten().tolist())
print("the whole line", small(line).flatten().tolist())

# %% [markdown]
# Two: those of the patches that begin at 0 and at 2. The pools of the whole line are $(c_0, c_1), (c_2, c_3), \ldots$, with $c$ what the first convolution gave. A patch that begins at 1 needs $(c_1, c_2), (c_3, c_4)$. So let us keep *all* neighbouring pairs, $p_i = (c_i + c_{i+1})/2$, and see what patch $i$ does with them:
#
# $$ y_i = w_0\, p_i + w_1\, p_{i+2} . $$ (dense-holes)
#
# That is a convolution again, whose weights stand two apart. It has holes: with {term}`dilation` 2 it steps over the pairs that belong to its neighbours. In wavelet analysis this is nearly forty years old and called {term}`à trous` {cite}`holschneider1990`.
#
# Or sort the pairs first. Those with even $i$ go into one line, $f^0_j = p_{2j}$, those with odd $i$ into another, $f^1_j = p_{2j+1}$. Now patch $i = 2j + r$ finds its pairs side by side:
#
# $$ y_{2j+r} = w_0\, f^r_j + w_1\, f^r_{j+1}, \qquad r = 0, 1 . $$ (dense-fragments)
#
# These are ordinary convolutions of two shorter lines, the {term}`fragments <fragment>` {cite}`giusti2013`. Their answers, put between one another, are all answers. Compare the equations: the same weights times the same pairs. The two ways differ in where the numbers lie in memory, and in nothing else.

# %%
c = F.conv1d(line, first)
pairs = F.avg_pool1d(c, 2, stride=1)
with_holes = F.conv1d(pairs, second, dilation=2)  # (dense-holes)

fragments = [F.avg_pool1d(c[..., r : r + 6], 2) for r in (0, 1)]
parts = [F.conv1d(f, second) for f in fragments]  # (dense-fragments)
stitched = torch.stack(parts, -1).flatten(2)

torch.testing.assert_close(with_holes, one_by_one)
torch.testing.assert_close(stitched, one_by_one)

# %% [markdown]
# With a second pooling each fragment splits again, into 4 along a line, 16 in a slice and 64 in a volume, and the holes grow to 4. See it in a slice: each cell below is a place at which a pool may begin, and its number is the fragment that it falls into.
#
# **Predict.** The nine taps of a convolution of $3 \times 3$ stand as far apart as the holes say. You drag them over the map. Do they ever read two fragments at a time?

# %% tags=["hide-input"]
CELLS = 12


def draw_taps(poolings, place):
    step = 2**poolings
    down, across = place // 2, place
    rows, columns = np.mgrid[:CELLS, :CELLS]
    number = step * (rows % step) + columns % step
    mine = number == number[down, across]
    figure, ax = plt.subplots(figsize=(4.6, 4.6))
    for r, c_ in zip(rows.flat, columns.flat, strict=True):
        own = mine[r, c_]
        ax.text(c_, r, number[r, c_], ha="center", va="center", fontsize=10, color=style.BLUE if own else style.MUTED, fontweight="bold" if own else "normal")  # fmt: skip
    for i in range(3):
        for j in range(3):
            corner = (across + step * j - 0.5, down + step * i - 0.5)
            ax.add_patch(plt.Rectangle(corner, 1, 1, facecolor=style.ORANGE, alpha=0.35, edgecolor=style.ORANGE, linewidth=1.5))  # fmt: skip
    ax.set(xlim=(-0.7, CELLS - 0.3), ylim=(CELLS - 0.3, -0.7), aspect="equal")
    ax.set_axis_off()
    return figure


explore(
    draw_taps,
    caption="Places of a map, numbered by fragment, and the nine taps of a convolution with holes (orange). Blue: the fragment that the taps read. Drag the place: the fragment changes, but the nine taps always stand in one. Drag the poolings: more fragments, wider holes.",
    alt=lambda poolings, place: (
        f"A grid of numbers from 0 to {4**poolings - 1}; nine cells, {2**poolings} apart, are marked, and all nine carry the same number"
    ),
    labels={"poolings": "poolings so far", "place": "place"},
    start={"poolings": 1, "place": 2},
    poolings=[0, 1, 2],
    place=[0, 1, 2, 3],
)

# %% [markdown]
# Never. A convolution with holes is many ordinary convolutions that lie interleaved and do not know of one another; the fragments only spell it out. So one may choose by convenience. Dilation is one argument and no shuffling. Fragments are dense in memory, and libraries are tuned for dense convolutions: `medlab` uses fragments, and you will see why in the timings below.
#
# ## The same in the real network
#
# Here is the whole dense evaluation with holes, for the network of the first figure, in 3D. `step` is the distance of the taps: it doubles at each pooling, and each later layer is dilated by it. The residual block adds a map to its own middle, which is cut by one tap, so by `step` voxels.


# %%
def dilated(layer, x, step):
    return F.conv3d(x, layer.weight, layer.bias, dilation=step)


def pooled(x, step):
    for axis in (2, 3, 4):  # means of pairs that stand `step` apart, at every place
        n = x.shape[axis] - step
        x = (x.narrow(axis, 0, n) + x.narrow(axis, step, n)) / 2
    return x


def block(residual, x, step):
    change = residual.narrow(F.leaky_relu(dilated(residual.wide, x, step), 0.1))
    middle = slice(step, -step)
    return F.leaky_relu(change + x[..., middle, middle, middle], 0.1)


# %%
@torch.no_grad()
def all_places(network, x):
    """The answer for every patch of x (1, 1, X, Y, Z), with holes."""
    step = 1
    for layer in network.stages:
        if isinstance(layer, nn.AvgPool3d):
            x, step = pooled(x, step), 2 * step
        elif isinstance(layer, Residual):
            x = block(layer, x, step)
        elif isinstance(layer, nn.Conv3d):
            x = dilated(layer, x, step)
        else:  # what acts on single values needs no change
            x = layer(x)
    return network.head(F.leaky_relu(x, 0.1))


# %%
volume = torch.rand(1, 1, 8, 6, 7, generator=run.fresh_generator(2)).to(run.device)
wide = F.pad(volume, (HALF,) * 6)  # beyond the border patches see zeros
windows = wide.unfold(2, S, 1).unfold(3, S, 1).unfold(4, S, 1)
with torch.no_grad():
    answers = network(windows.flatten(0, 4)[:, None])  # patch by patch: 336 of them
answers = answers.T.reshape(1, 3, 8, 6, 7)

torch.testing.assert_close(all_places(network, wide), answers, atol=1e-5, rtol=0)
torch.testing.assert_close(network.dense(volume), answers, atol=1e-5, rtol=0)

# %% [markdown]
# Twice the same as patch by patch: ours with holes, and `medlab`'s `dense` with fragments. Notice what was *not* needed. No retraining, no new weights; the network does not know. And notice what was: every layer is *valid* (no padding), pools of 2, and treats all places alike. We shall break each of these.
#
# Is it exact? Up to rounding: the sums have the same terms, but a computer may add them in another order. Over sizes $m$ and three networks of random weights each:


# %%
def apart(size, edge, number):
    """The largest difference between dense and patch by patch, over 27 voxels."""
    one = seeded(lambda: PatchRegressor(size, edge), number).eval()
    x = torch.randn(1, 1, 3, 3, 3, generator=run.fresh_generator(number))
    wide = F.pad(x, (one.halo,) * 6)
    windows = wide.unfold(2, edge, 1).unfold(3, edge, 1).unfold(4, edge, 1)
    with torch.no_grad():
        alone = one(windows.flatten(0, 4)[:, None]).T.reshape(1, 3, 3, 3, 3)
    return float((one.dense(x) - alone).abs().max())


# %% tags=["hide-input"]
SIZES, PATCHES = run.pick(ci=(1, 4), cpu=(1, 4, 16), gpu=(1, 4, 16, 64)), (19, 31, 39)
gaps = {(size, edge): [apart(size, edge, number) for number in range(3)] for size in SIZES for edge in PATCHES}  # fmt: skip
table(
    ["m", *(f"patch {edge}³" for edge in PATCHES)],
    [[size, *(f"{max(gaps[size, edge]):.0e}" for edge in PATCHES)] for size in SIZES],
    caption="Largest difference between the dense evaluation and patch by patch over 27 voxels and three networks with random weights each. Answers are numbers around 0.5; float32 resolves 6e-08 there.",
)
run.record("dense_worst", max(map(max, gaps.values())), low=0, high=1e-5, digits=0, scientific=True)  # fmt: skip

# %% [markdown]
# Never more than {glue:text}`dense_worst`: a few units in the last place.
#
# ## A pooling that costs nothing
#
# While we are at it: an average of sums is a sum. A convolution with the weights $(a, b, c)$ followed by the average of two neighbours is
#
# $$ \begin{aligned} &\tfrac{1}{2}\big[(a x_0 + b x_1 + c x_2) + (a x_1 + b x_2 + c x_3)\big] \\ =\ &\tfrac{1}{2}\big[a x_0 + (a + b)\, x_1 + (b + c)\, x_2 + c\, x_3\big], \end{aligned} $$ (dense-fold)
#
# one convolution with one weight more, and if the pooling has stride 2, so has this convolution. What the first convolution would have made at full resolution, the largest map of the network, is never made. It only works because nothing stands between the two: the activation comes after the pooling.
#
# **Predict.** In 3D a kernel of $4^3$ becomes one of $5^3$, but stands at an eighth of the places. By what factor do the products fall?

# %%
a, b, c3 = 1.0, 20.0, 300.0
x = torch.randn(1, 1, 12, generator=run.fresh_generator(3))
two_steps = F.avg_pool1d(F.conv1d(x, torch.tensor([[[a, b, c3]]])), 2)
taps = torch.tensor([[[a, a + b, b + c3, c3]]]) / 2  # (dense-fold)
one_step = F.conv1d(x, taps, stride=2)
torch.testing.assert_close(one_step, two_steps)

x = torch.randn(1, 1, 13, 13, 13, generator=run.fresh_generator(4))
with torch.no_grad():
    weight, bias = folded(paper.first)
    two_steps = F.avg_pool3d(paper.first(x), 2)
    torch.testing.assert_close(F.conv3d(x, weight, bias, stride=2), two_steps)

# %% tags=["hide-input"]
run.record("dense_fold", 8 * 4**3 / 5**3, low=4.09, high=4.1, digits=1)
with torch.no_grad(), FlopCounterMode(display=False) as counter:
    paper(torch.zeros(1, 1, 31, 31, 31))  # forward, which folds
run.record("dense_fold_all", counted / (counter.get_total_flops() / 2), low=3.2, high=3.4, digits=1)  # fmt: skip

# %% [markdown]
# $8 \cdot 4^3 / 5^3 =$ {glue:text}`dense_fold`; for the whole patch, both convolutions folded, {glue:text}`dense_fold_all`. `medlab` trains so, since 256 patches of $31^3$ then need a fraction of the memory, and `lattice` is so cheap that this page could train with it. For the dense evaluation there is nothing to fold: it wants the pairs at every place, so an eighth of the places is of no use. A fair comparison therefore has two rivals: patches as one writes them down, and patches folded.
#
# ## The experiment: what it saves
#
# Five ways to the same answers. Products are counted; times are measured while this page is built, on whatever machine builds it, so take them for what they are. Patch by patch is timed on a few hundred patches and scaled.


# %% tags=["hide-input"]
V = run.pick(ci=8, cpu=24, gpu=64)
net = seeded(lambda: PatchRegressor(8, 31), 5).to(run.device).eval()
some = torch.rand(
    run.pick(ci=16, cpu=256, gpu=256), 1, 31, 31, 31, generator=run.fresh_generator(5)
).to(run.device)
cube = torch.rand(1, 1, V, V, V, generator=run.fresh_generator(6)).to(run.device)
around = F.pad(cube, (net.halo,) * 6)
plain = nn.Sequential(*net.stages, nn.LeakyReLU(0.1), net.head)


@torch.no_grad()
def shift_and_stitch():
    """64 passes; each gives every fourth voxel."""
    answer = torch.empty(1, 3, V, V, V, device=run.device)
    for i, j, k in np.ndindex(4, 4, 4):
        answer[..., i::4, j::4, k::4] = net.lattice(around[..., i : i + V + 27, j : j + V + 27, k : k + V + 27])  # fmt: skip
    return answer


@torch.no_grad()
def measured(call):
    """Its answer, the best of a few times in s, and its products."""
    with FlopCounterMode(display=False) as counter:
        answer = call()
    best = np.inf
    for _ in range(run.pick(ci=1, cpu=2, gpu=3)):
        begin = time.perf_counter()
        call()
        if run.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begin)
    return answer, best, counter.get_total_flops() / 2


WAYS = {
    "patch by patch": (lambda: plain(some), V**3 / len(some)),
    "the same, folded": (lambda: net(some), V**3 / len(some)),
    "shift and stitch": (shift_and_stitch, 1),
    "with holes": (lambda: all_places(net, around), 1),
    "fragments (`dense`)": (lambda: net.dense(cube), 1),
}
found = {name: measured(call) for name, (call, _) in WAYS.items()}
for name in ("shift and stitch", "with holes"):
    torch.testing.assert_close(
        found[name][0], found["fragments (`dense`)"][0], atol=1e-5, rtol=0
    )
rows = []
for name, (_, scale) in WAYS.items():
    seconds, products = scale * found[name][1], scale * found[name][2] / V**3
    rows.append([name.replace("`", ""), f"{products:,.0f}", f"{seconds:.3g}", f"{WAYS['patch by patch'][1] * found['patch by patch'][1] / seconds:,.0f}"])  # fmt: skip
table(
    ["way", "products a voxel", "s", "times faster"],
    rows,
    caption=f"The answers at {V}³ voxels, by a network of m = 8 with patches of 31³; products counted, seconds measured on {run.device.type} while the page was built.",
)
per_voxel = {name: scale * found[name][2] / V**3 for name, (_, scale) in WAYS.items()}
ratio = per_voxel["patch by patch"] / per_voxel["fragments (`dense`)"]
run.record("dense_ratio_here", ratio, low=10, high=900, digits=0)
run.record("dense_holes_fragments", per_voxel["with holes"] / per_voxel["fragments (`dense`)"], low=0.7, high=1.3, digits=2)  # fmt: skip
run.record("dense_stitch", per_voxel["shift and stitch"] / per_voxel["fragments (`dense`)"], low=1.3, high=12, digits=1)  # fmt: skip
run.record("dense_here", V, low=8, high=64, digits=0)

# %% [markdown]
# Holes and fragments do the same work: the ratio of their products is {glue:text}`dense_holes_fragments`. Shift and stitch, even folded, does {glue:text}`dense_stitch` times as much. And here dense saves {glue:text}`dense_ratio_here` times the products of patch by patch, not all that equation {eq}`dense-once` promised. Why? It promised for a *large* volume. Around a cube of {glue:text}`dense_here` voxels there is a rim of 15 to each side that has to be convolved as well. More of that in a moment.
#
# On larger volumes, as the benchmark of this book measured them:

# %% tags=["hide-input"]
record = benchmark("anomaly")
scans = [row for row in record.rows if row["part"] == "scan"]
rows = [["paper, one volume, GPU", "256³", "–", "1.5", "–"]]
for row in scans:
    rows.append([f"ours, m = {row['m']}, 2 cores", f"{row['edge']}³", f"{row['dense_s']:.2g}", f"{row['plain_s'] / 60:.3g}", f"{row['times_plain']:,.0f} ({row['times_patches']:,.0f})"])  # fmt: skip
table(
    ["who", "answers", "dense, s", "patches, min", "times faster"],
    rows,
    caption=f"Thesis, chapter 6, section 4.2, beside benchmarks/anomaly.py, on random volumes. Paper: patch by patch at its highest resolution. Patches: timed on some batches of 256 and scaled. In brackets: against patches with folded poolings. Measured with {record.measured('torch')}.",
)
big = max(scans, key=lambda row: row["times_plain"])
run.record("dense_record_times", big["times_plain"], low=100, high=20000, digits=0)
run.record("dense_record_least", min(row["times_plain"] for row in scans), low=50, high=20000, digits=0)  # fmt: skip
run.record("dense_record_folded", min(row["times_patches"] for row in scans), low=10, high=5000, digits=0)  # fmt: skip


def gain(m):
    """Of a large volume, in products: (dense-alone) over (dense-once), patches of 31."""
    parts = [(64 * m, 28), (54 * m * m, 12), (108 * m * m, 4), (4 * m * m, 4), (108 * m * m, 2), (4 * m * m, 2), (64 * m * m, 1), (12 * m, 1)]  # fmt: skip
    return sum(p * n**3 for p, n in parts) / sum(p for p, _ in parts)


assert gain(16) == sum(alone.values()) / sum(once.values())
run.record("dense_gain_one", gain(1), low=3000, high=4000, digits=0)
run.record("dense_gain_most", gain(64), low=300, high=400, digits=0)
run.record("dense_record_apart", max(row["apart"] for row in scans), low=0, high=1e-5, digits=0, scientific=True)  # fmt: skip

# %% [markdown]
# Between {glue:text}`dense_record_least` and {glue:text}`dense_record_times` times faster than patch by patch, and at least {glue:text}`dense_record_folded` times faster than the best that we know to do with patches, for answers that differ by at most {glue:text}`dense_record_apart`. The smaller the network, the larger the factor, and that can be read off the count: the products of the first layer grow with $m$, those of all others with $m^2$, and the first layer shares most. Equations {eq}`dense-alone` and {eq}`dense-once` give {glue:text}`dense_gain_one` at $m = 1$ and {glue:text}`dense_gain_most` at $m = 64$. The first row of the table is another machine, another network and another number of voxels: it says that the wait was real, not by how much we are better. Our own comparison is the last column, where both sides have the same weights and the same two cores.
#
# Are fewer products all? Not quite. A patch of $31^3$ stays in the processor's fast memory from one layer to the next, a volume does not. That is why the factor in time is not the factor in products, and why holes and fragments, with the same products, do not take the same time: the taps of a dilated kernel jump through memory.
#
# ## Tiles, halos and strides
#
# All maps of a volume of $256^3$ voxels, in 16 channels and more, do not fit into everybody's memory. So cut the volume into tiles. The patches of a tile reach out of it by $h = (s - 1)/2$ voxels to each side, its {term}`halo`, and the halos of neighbours overlap. A tile of edge $t$ computes
#
# $$ q(t) = \Big(\frac{t + 2h}{t}\Big)^3 $$ (dense-halo)
#
# times what it keeps. Small tiles pay dearly.
#
# **Predict.** Patches of 31. How large must a tile be, so that it computes no more than twice what it keeps?

# %%
volume = torch.rand(1, 1, 24, 24, 24, generator=run.fresh_generator(7))
tiny = seeded(lambda: PatchRegressor(1, 19), 8).eval()
whole = tiny.dense(volume)
for budget in (0.9, 1.2, 2.0):  # MB
    tiled = tiny.dense(volume, memory_mb=budget)
    torch.testing.assert_close(tiled, whole, atol=1e-6, rtol=0)

h = 15
least = next(t for t in range(4, 400, 4) if ((t + 2 * h) / t) ** 3 <= 2)  # (dense-halo)
run.record("dense_twice", least, low=116, high=116, digits=0)

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(5.4, 3.2))
budgets = np.geomspace(30, 8000, run.pick(ci=8, cpu=24, gpu=24))
for size, colour in ((4, style.BLUE), (16, style.ORANGE)):
    costs = []
    for budget in budgets:
        try:
            boxes = list(tiles_of((256, 256, 256), h, 32.0 * size + 16, budget))
        except ValueError:  # not even the smallest tile fits
            costs.append(np.nan)
            continue
        costs.append(sum(np.prod([n + 2 * h for n in box.size]) for box in boxes) / 256**3)
    ax.step(budgets, costs, where="post", color=colour, label=f"m = {size}")
ax.axhline(1, color=style.MUTED, linewidth=1, linestyle=":")
ax.set(xscale="log", xlabel="memory for a tile (MB)", ylabel="computed / kept", ylim=(0, 16))
ax.legend(frameon=False)
show(
    figure,
    caption="A volume of 256³ voxels and patches of 31³: how much is computed for each voxel that is kept, against the memory that a tile may take. Each step is one cut less. The 512 MB that medlab allows lie where the curves flatten.",
    alt="Two falling staircases towards 1; the one for the larger network lies further right",
)

# %% [markdown]
# {glue:text}`dense_twice` voxels: since $2^{1/3} = 1.26$, a halo of 30 must be no more than a quarter of the tile. At a quarter of that edge a tile computes more than eight times what it keeps. And the answers never change; the cell above checks it for three budgets.
#
# The other saving is to ask for less. With `stride=4` you want an answer at every fourth voxel along each axis, $1/64$ of them.
#
# **Predict.** Does that save $63/64$ of the work?


# %%
def products(stride):
    """For one answer at each stride-th voxel, counted for a large tile."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        x = torch.empty(1, 1, 94, 94, 94, device="meta")  # shapes without memory
        scan(paper.to("meta").stages, x, stride)
    return counter.get_total_flops() / 2


work = {stride: products(stride) for stride in (1, 2, 4)}
every = tiny.dense(volume, stride=1)
fourth = tiny.dense(volume, stride=4)
torch.testing.assert_close(fourth, every[..., ::4, ::4, ::4], atol=1e-6, rtol=0)

# %% tags=["hide-input"]
run.record("dense_stride_two", 100 * work[2] / work[1], low=10, high=20, digits=0, unit="%")
run.record("dense_stride_four", 100 * work[4] / work[1], low=4, high=10, digits=0, unit="%")

# %% [markdown]
# No: {glue:text}`dense_stride_four` of the products remain, and with `stride=2` {glue:text}`dense_stride_two`. A pooling whose phase is settled needs no fragments, so what comes after both poolings falls to $1/64$; but the first convolution still runs at every voxel, and the second at an eighth of them. What remains is mostly theirs.
#
# ## Where it breaks
#
# Everything above rests on one sentence: what a layer makes at a place depends on what surrounds the place, and on nothing else. Three common layers break it. We compare dense with patch by patch in a small 2D network of five convolutions of $3 \times 3$, on a slice of our head.
#
# **Predict.** (a) Convolutions that fill up with zeros, to keep the size of a patch of 7. (b) Valid convolutions, but with {term}`instance normalisation` between them. For which share of the voxels do the two answers differ?


# %%
def five(kind):
    """Five convolutions: padded, valid, or valid with instance norm."""
    layers, pad = [], int(kind == "zeros")
    for inputs, outputs in ((1, 4), (4, 4), (4, 4), (4, 4), (4, 1)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=pad), nn.LeakyReLU(0.1)]
        if kind == "instance norm" and outputs > 1:
            layers.append(nn.InstanceNorm2d(outputs))
    return nn.Sequential(*layers)


@torch.no_grad()
def two_answers(kind, image):
    """Dense, and patch by patch: the middle of each patch's map."""
    net, size = seeded(lambda: five(kind), 9), 7 if kind == "zeros" else 11
    windows = image.unfold(0, size, 1).unfold(1, size, 1)
    made = net(windows.flatten(0, 1)[:, None])
    at = made.shape[2] // 2
    middle = made[:, 0, at, at].reshape(windows.shape[:2])
    dense, cut = net(image[None, None])[0, 0], 3 if kind == "zeros" else 0
    return dense[cut : dense.shape[0] - cut, cut : dense.shape[1] - cut], middle


# %% tags=["hide-input"]
image = head[0, 0, :, :, Z].cpu()
KINDS = {"zeros": "zeros beyond", "instance norm": "instance norm", "nothing": "neither"}  # fmt: skip
chosen = [kind for kind in KINDS if kind != "zeros" or edges == "zeros"]
figure, axes = plt.subplots(1, len(chosen), figsize=(5.4, 3.0), squeeze=False)
wrong = {}
for ax, kind in zip(axes[0], chosen, strict=True):
    dense, middle = two_answers(kind, image)
    scale = float(middle.std())
    gap = (dense - middle).abs() / scale
    rim = (image.shape[0] - gap.shape[0]) // 2
    brain = image[rim : rim + gap.shape[0], rim : rim + gap.shape[1]] > 0
    wrong[kind] = 100 * float((gap[brain] > 1e-3).float().mean())
    draw(ax, gap, KINDS[kind], (0, 1), "magma")
figure.colorbar(axes[0, -1].images[0], ax=axes, location="bottom", label="difference / standard deviation of the answers", shrink=0.7)  # fmt: skip
show(
    figure,
    caption="How far dense and patch by patch are apart, in small networks with random weights on one synthetic slice: convolutions that see zeros beyond a patch, valid ones with instance norm, valid ones with neither. Black is agreement.",
    alt="Maps of a slice: those with zeros and with instance norm are bright over most of the head, the last is black throughout",
)
for kind, key in (("zeros", "zeros"), ("instance norm", "norm"), ("nothing", "valid")):
    if kind in wrong:
        run.record(f"dense_wrong_{key}", wrong[kind], low=0 if kind == "nothing" else 50, high=0 if kind == "nothing" else 100, digits=0, unit="%")  # fmt: skip
assert wrong["nothing"] == 0 and wrong["instance norm"] > 50
assert edges != "zeros" or wrong["zeros"] > 50  # it does break

# %% [markdown]
# With zeros at {glue:text}`dense_wrong_zeros` of the voxels of the head, with the norm at {glue:text}`dense_wrong_norm`, and without either at {glue:text}`dense_wrong_valid`. In a patch of 7 every place is near the edge, and padding puts zeros where the head goes on; in the whole slice there are no such edges but the slice's own. Neither answer is false. They are answers of two different networks, and the one that was trained is the one with zeros. Set `edges = "nothing"` in the parameters to take it out.
#
# An instance norm is worse: it takes mean and deviation over the patch, so that each value depends on all others of *its* patch, and no two patches can share anything. {term}`Batch normalisation <batch normalisation>` does the same in training, and none of it in evaluation, where its statistics are constants; so does spectral norm, which estimates its divisor anew at each call in training. Hence `network.eval()`, before anything dense.
#
# Max pooling, by the way, does not break it. The maximum of a pair depends on that pair; holes and fragments work word for word, and were made for it {cite}`giusti2013`. What breaks is the fold of equation {eq}`dense-fold`: a maximum of sums is no sum. You will try both in exercise 3.
#
# ## Exercises
#
# ### Exercise 1: a third pooling
#
# Put a third pooling of 2 into a network for volumes. How many fragments are there at its end, how far apart do the taps of a convolution with holes stand, and an answer at every how many voxels does a single pass give? Do the fragments together hold more numbers than before the pooling?
#
# <details class="hint"><summary>Hint</summary>
#
# Each pooling splits each fragment, along each of the three axes, into two.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# A fragment has half the places of its parent along each axis; there are twice as many fragments along each axis.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $8^3 = 512$ fragments, taps 8 apart, an answer at every 8th voxel along each axis, so at one voxel of 512. Each fragment has an eighth of the places and there are eight times as many: the number of values stays the same but for the border, one value for each voxel and channel. That is the whole cost of keeping every place: the maps do not shrink any more, so memory is that of full resolution in *all* layers, also in those with many channels.
#
# </details>
#
# ### Exercise 2: is it worth it?
#
# You have a network for patches of 31 with $m = 16$ and want answers at 2,000 voxels only, scattered at random over a volume of $256^3$. Dense or patch by patch (folded: 14.6 million products a patch)? From how many voxels on is dense cheaper? What if the 2,000 voxels form a cube?
#
# <details class="hint"><summary>Hint</summary>
#
# Dense costs the same whatever you do with its answers: equation {eq}`dense-once` times the voxels, times $q$.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# 88,768 products a voxel; for one large tile $q(256) = 1.4$. A cube of 2,000 voxels has an edge of 12.6.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Dense: $256^3 \cdot 1.4 \cdot 88{,}768 \approx 2.1 \cdot 10^{12}$. A patch: $1.46 \cdot 10^7$. So scattered voxels are cheaper one by one up to about 140,000 of them; for 2,000 patches win by a factor of 70. A cube of edge 12.6 has $q = (42.6/12.6)^3 = 39$: dense takes $2{,}000 \cdot 39 \cdot 88{,}768 \approx 6.9 \cdot 10^9$, a quarter of the $2.9 \cdot 10^{10}$ that patches take. (In fact less, since later layers have smaller halos.) Sharing needs neighbours. That is also why training draws a few hundred scattered patches and does not use `dense`.
#
# </details>
#
# ### Exercise 3: fragments and a maximum, in code
#
# Write `all_answers(x, before, after)` for a line $x$ of shape (1, 1, N): the network `before`, max pooling of 2, `after`, at every place where a patch can begin. Both functions are valid, have stride 1, and take and give (1, C, length). Use fragments. `before` must be called once. Mind that the two fragments may differ in length.
#
# <details class="hint"><summary>Hint</summary>
#
# `F.max_pool1d(c[..., r:], 2)` is the fragment that begins at $r$. If $c$ has an odd length, what is over at the end is dropped.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Answers of fragment $r$ belong at places $r, r + 2, r + 4, \ldots$ of the result: `answer[..., r::2] = part`. How long is it? As long as both parts together.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Five lines, in the cell after the exercise. Two fragments of different length are no trouble as long as each answer is put at its own place; stacking them would need equal lengths, which is why `medlab` fills its tiles up to multiples of 4.
#
# </details>


# %% tags=["hide-input"]
def check_all_answers(all_answers):
    weights = [torch.randn(*shape, generator=run.fresh_generator(20 + at)) for at, shape in enumerate(((2, 1, 3), (1, 2, 2)))]  # fmt: skip
    calls = []

    def before(x):
        calls.append(x.shape[-1])
        return F.conv1d(x, weights[0])

    after = lambda x: F.conv1d(x, weights[1])  # noqa: E731
    for length in (9, 12, 15):
        x = torch.randn(1, 1, length, generator=run.fresh_generator(length))
        one = [after(F.max_pool1d(F.conv1d(x[..., i : i + 6], weights[0]), 2)) for i in range(length - 5)]  # fmt: skip
        expected = torch.cat(one, -1)  # a patch has 6 numbers: 6, 4, 2, 1
        calls.clear()
        found = all_answers(x, before, after)
        if found is None:
            return "it returned nothing; return the answers, (1, 1, length)."
        if len(calls) != 1:
            return f"before was called {len(calls)} times; all fragments share one call."
        if found.shape != expected.shape:
            return f"for {length} numbers the answer has the shape {tuple(found.shape)}, expected {tuple(expected.shape)}: one for each patch of 6."
        if torch.allclose(found[..., ::2], expected[..., ::2]) and not torch.allclose(found, expected):  # fmt: skip
            return "the even places are right, the odd ones are not: where does the second fragment begin?"
        if not torch.allclose(found, expected, atol=1e-5):
            return "the answers differ from those of patch by patch; is each at its own place?"
    return None


# %% tags=["exercise"]
def all_answers(x, before, after):
    """The answer of every patch of a line, max pooling of 2 between `before` and `after`."""
    ...  # your code here


judge(check_all_answers, all_answers)


# %% tags=["solution", "hide-cell"]
def all_answers(x, before, after):
    """The answer of every patch of a line, max pooling of 2 between `before` and `after`."""
    # begin solution
    c = before(x)
    parts = [after(F.max_pool1d(c[..., r:], 2)) for r in (0, 1)]
    answer = x.new_empty(1, parts[0].shape[1], sum(part.shape[-1] for part in parts))
    for r, part in enumerate(parts):
        answer[..., r::2] = part
    return answer
    # end solution


judge(check_all_answers, all_answers)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A network for patches has three poolings of stride 2. You pass a whole line of numbers through it at once. At which places do you get the answer of the patch that begins there?",
        ("At all of them, convolutions take any size", "They do, but each pooling of stride 2 drops every other beginning."),
        right("At every eighth", "Three poolings commute with shifts by 2 · 2 · 2 = 8 and no others."),
        ("At none, the borders spoil them", "Valid layers have no borders that could spoil anything."),
    ),
    question(
        "Fragments and a convolution with holes give the same numbers. What distinguishes them?",
        ("Fragments need fewer products", "The products are the same, one by one."),
        ("Holes are an approximation", "They are the same sums with the same terms."),
        right("Where the numbers lie in memory", "A fragment lies densely; the taps of a dilated kernel jump. How fast that is depends on the library."),
    ),
    question(
        "A colleague adds instance normalisation to the patch network and finds that the dense map looks plausible, but the scores have changed. Why?",
        right("The statistics are now those of the tile, no longer of the patch", "Each patch had its own mean and deviation; no two patches can share normalised values."),
        ("Rounding: the sums come in another order", "Rounding changes the seventh digit and no score."),
        ("Instance norm needs larger batches", "It does not look at the batch at all."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - Patches that overlap share their products; in a patch of 31 the first layer's are computed 21,952 times, the last's once.
# - Convolutions commute with every shift, $L$ poolings of 2 only with multiples of $2^L$. That is all that stands between a patch and a volume.
# - Holes and fragments keep every place: the same sums in another order of memory, exact to the last digits.
# - An average pooling folds into the convolution before it; a maximum does not, but has fragments all the same.
# - Tiles pay for their halos, $q = ((t + 2h)/t)^3$: give them memory. A stride saves what comes after the poolings, not what comes before.
# - Padding, instance norm and a forgotten `eval()` make another network of it. Compare with a few patches before you trust a dense map.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | the head | **synthetic**: a CT of the book's head model, upright, of nobody; other volumes are random numbers |
# | the trained network | small, trained for a moment around the one slice that it is then shown; its map illustrates, it detects nothing |
# | products | counted, of convolutions alone; activations, poolings and the shuffling of fragments are not in them |
# | times | of the machine that built the page or the benchmark; patch by patch is scaled from some hundred patches; nothing is checked by them |
# | paper's 90 s | another network, another card, nothing said about its batches: no ratio to ours is meant |
# | claims | that the answers are equal and what they cost; none about patients |
#
# ## Further reading
#
# The fragments of max pooling {cite}`giusti2013`; shift and stitch in detection {cite}`sermanet2014` and its comparison with holes in {cite}`long2015`; dilation as a layer to train with {cite}`yu2016`; where it all began {cite}`holschneider1990`. That poolings make networks change their mind when a picture moves by one pixel, and a remedy: {cite}`zhangshift2019`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
