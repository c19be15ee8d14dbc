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
#     - segmentation/from_classifiers_to_unet
#     - segmentation/training_well
#     summary: What a training step keeps in memory, byte by byte, how to predict it
#       without a card, and four ways to need less.
#     weights: []
# ---

# %% [markdown]
# # Where the GPU memory goes
#
# Who trains on volumes knows the message "CUDA out of memory". Most people answer it by trial: smaller patch, smaller batch, smaller network, until the
# message goes away. None of that is necessary. What a training step takes can be counted beforehand, byte by byte, on a laptop. Here you learn to write that account, to read
# from it which of four ways out helps, and what each of them costs in time, in gradients, or in money.
#
# **You will be able to**
#
# - say for an operation whether it waits for memory or for arithmetic
# - write the ledger of a training step by hand for a block, and with one call for a network
# - predict whether network, patch and batch fit a card, before you have the card
# - choose between checkpointing, accumulation, precision and patches by what each costs
# - find a memory leak in a training loop in two steps
#
# **You need** [From classifiers to U-Net](from_classifiers_to_unet.ipynb): levels, skip connections; [Training well](training_well.ipynb): steps, optimisers, precision.

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
careless = True  # in "Where it breaks": keep losses with their graphs?
keep_chance = False  # there too: does a checkpoint draw the same dropout twice?

# %% tags=["hide-input"]
import time
from functools import lru_cache, partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from medlab.metrics import mean_interval
from medlab.nn import build
from medlab.nn.blocks import ConvNormAct
from medlab.training.ledger import MIB, PARTS, kept_memory, measure_memory, predict_memory
from medlab.viz import explore, show, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
EDGE, BATCH, LEVELS = run.pick(
    ci=(16, 4, 3), cpu=(32, 4, 5), gpu=(96, 4, 5)
)  # what is measured here
GB = 1e9
PHASES = {"forward": style.BLUE, "backward": style.ORANGE, "step": style.GREEN}


def hollow_unet(width, **options):
    """The 3D U-Net for two modalities and four classes, of any size, without weights to hold."""
    with torch.device("meta"):
        return build("unet3d", 2, 4, width=width, **options)


def unet(**options):
    """The one that is measured here, always with the same weights."""
    network, chance = build("unet3d", 2, 4, levels=LEVELS, **options), run.fresh_generator()
    for weight in network.parameters():
        nn.init.normal_(weight, 0, (2 / weight[0].numel()) ** 0.5, generator=chance)
    return network.to(run.device)


def random_batch(batch, edge):
    """Memory does not depend on what is in a scan: noise will do."""
    generator = run.fresh_generator(edge)
    image = torch.randn(batch, 2, edge, edge, edge, generator=generator)
    target = torch.randint(0, 4, (batch, edge, edge, edge), generator=generator)
    return image.to(run.device), target.to(run.device)


def fractions(ledger, unit):
    """For each phase the places from 0 to 1, 1 to 2, 2 to 3, and what is held there."""
    for at, phase in enumerate(PHASES):
        held = np.array([one.held for one in ledger.timeline if one.phase == phase]) / unit
        yield phase, at + (np.arange(len(held)) + 0.5) / len(held), held


FORETOLD = run.pick(ci=64, cpu=128, gpu=128)  # voxels along an axis
WAYS = {
    "as it is": {},
    "bfloat16": {"precision": "bf16-mixed"},
    "checkpoints": {"checkpointing": True},
    "both": {"checkpointing": True, "precision": "bf16-mixed"},
}


@lru_cache
def foretold(width, way):
    """The predicted ledger of a step on two volumes."""
    return predict_memory(hollow_unet(width), (2, 2, FORETOLD, FORETOLD, FORETOLD), **WAYS[way])


plain, saving = foretold(16, "as it is"), foretold(16, "checkpoints")
figure, ax = plt.subplots(figsize=(4.8, 3.2))
for (phase, x, held), (_, x_saving, held_saving) in zip(fractions(plain, GB), fractions(saving, GB), strict=True):  # fmt: skip
    ax.fill_between(x, held, color=PHASES[phase], alpha=0.75, linewidth=0)
    ax.plot(x_saving, held_saving, color=style.INK, linewidth=1.2, label="with checkpointing" if phase == "forward" else None)  # fmt: skip
ax.axhline(plain.standing / GB, color=style.MUTED, linewidth=1, linestyle=":")
ax.set(ylabel="memory (GB)", xlim=(0, 3), ylim=(0, None))
ax.set_xticks([0.5, 1.5, 2.5], ["forward", "backward", "optimiser"])
ax.tick_params(axis="x", length=0)
ax.legend(loc="upper right")
show(
    figure,
    caption=f"One training step of a 3D U-Net (width 16) on two volumes of {FORETOLD}³ voxels, predicted on a machine that has no GPU. Coloured: as it is. Line: with checkpointing. Dotted: what is there all the time.",
    alt="Memory climbs during the forward pass, peaks as the backward pass begins, falls back, and is low in the optimiser's step; a line with checkpointing stays far below",
)
run.record("mem_first_peak", plain.peak / GB, low=0.3, high=12, unit="GB", digits=1)
run.record("mem_first_saving", saving.peak / GB, low=0.1, high=8, unit="GB", digits=1)
run.record("mem_first_standing", plain.standing / GB, low=0.05, high=0.5, unit="GB", digits=2)

# %% [markdown]
# The network and all that belongs to it take {glue:text}`mem_first_standing`; the step peaks at {glue:text}`mem_first_peak`. What is the rest? Why does it climb and fall? And how can the same step with the same gradient do with {glue:text}`mem_first_saving`? We start one floor lower, with the question why memory matters at all.
#
# ## Moving is dearer than computing
#
# Nearly all work of a network is products of matrices; a convolution can be written as one, too (thesis section 4.2.6.1 {cite}`thesis`). For $C = AB$ with $A$ of $N \times K$ and $B$ of $K \times M$ numbers (thesis eq. 4.22),
#
# $$ c_{ij} = \sum_{k=1}^{K} a_{ik}\, b_{kj}, \qquad 2NKM \text{ operations}. $$ (mem-product)
#
# Done as it is written, every product fetches two numbers: $2NKM$ of them come from memory, one an operation. But the sum can be cut into blocks (thesis eq. 4.21 does it for a vector): with {term}`tiles <tile>` of $T \times T$ numbers,
#
# $$ C_{IJ} = \sum_{Q=1}^{K/T} A_{IQ}\, B_{QJ}, \qquad \frac{2NKM}{T} \text{ reads}. $$ (mem-tiles)
#
# A tile, once fetched, is used $T$ times. The arithmetic is the same.
#
# **Predict.** Two matrices of 32 × 32. How many numbers does the naive product read, and how many with tiles of 8?


# %%
# NBVAL_CHECK_OUTPUT
def product_in_tiles(a, b, tile):
    """The product, and how many numbers were fetched for it."""
    c, fetched = torch.zeros(len(a), b.shape[1]), 0
    for i in range(0, c.shape[0], tile):
        for j in range(0, c.shape[1], tile):
            for k in range(0, b.shape[0], tile):
                left = a[i : i + tile, k : k + tile]
                right = b[k : k + tile, j : j + tile]
                c[i : i + tile, j : j + tile] += left @ right  # (mem-tiles)
                fetched += left.numel() + right.numel()
    return c, fetched


a, b = torch.randn(2, 32, 32, generator=run.fresh_generator())
for tile in (1, 4, 8, 32):
    c, fetched = product_in_tiles(a, b, tile)
    torch.testing.assert_close(c, a @ b)
    print(f"tile {tile:2}: {fetched:6,} numbers fetched")

# %% [markdown]
# From 65,536 down to 8,192, and to 2,048 where everything fits at once. So fast memory, though small, pays: a GPU has a ladder of them, each rung faster and smaller than the one before. The thesis's figures for an A100 (section 4.2.6.2), beside how long each takes to pass one volume of 256³ in {term}`float32`, 67 MB, on:

# %% tags=["hide-input"]
volume_bytes = 256**3 * 4
A100_FLOPS, A100_BANDWIDTH = (
    19.5e12,
    1555e9,
)  # float32 without tensor cores; the card with 40 GB
LADDER = [
    ("main memory to card", "", 200e9 / 8, "200 Gbit/s"),
    ("card's memory (VRAM)", "40 or 80 GB", A100_BANDWIDTH, "1,555 GB/s"),
    ("L2 cache, for all", "40 MB", None, "faster"),
    ("L1 cache, one for each of 108 multiprocessors", "192 KB", None, "faster still"),
]
table(
    ["memory", "size", "passes on", "a 256³ volume"],
    [(name, size, speed, f"{1e3 * volume_bytes / rate:.2f} ms" if rate else "does not fit") for name, size, rate, speed in LADDER],
    caption="The ladder of an A100. Sizes and speeds: thesis, section 4.2.6.2 (which prints «L2» for the last one, too; 192 KB is the L1 cache of a multiprocessor); last column: calculated.",
)  # fmt: skip
run.record("mem_ridge", A100_FLOPS / A100_BANDWIDTH, low=12, high=13, digits=1)
run.record("mem_ridge_tile", 4 * A100_FLOPS / A100_BANDWIDTH, low=49, high=51, digits=0)

# %% [markdown]
# Against that stands arithmetic: 108 multiprocessors with 64 units each do 19.5 × 10¹² operations a second in float32 {cite}`nvidia2020`. What an operation does for each byte that it moves is its {term}`arithmetic intensity` $\rho$. The speed that it can reach is the lower of two roofs {cite}`williams2009`, with $R$ operations and $W$ bytes a second at most:
#
# $$ \text{speed} \le \min(R,\; \rho\, W). $$ (mem-roof)
#
# On an A100 the roofs meet at $R/W =$ {glue:text}`mem_ridge` operations a byte. With tiles, $\rho = T/4$ in float32 (equations {eq}`mem-product` and {eq}`mem-tiles`, four bytes a number): tiles of {glue:text}`mem_ridge_tile` keep the units busy. Now this machine:


# %% tags=["hide-input"]
def seconds(work):
    """The shortest of several times: a busy machine only ever adds."""
    work()
    found = []
    for _ in range(run.pick(ci=3, cpu=7, gpu=20)):
        begin = time.perf_counter()
        work()
        if run.device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begin)
    return min(found)


def noise(*shape):
    return torch.randn(*shape, generator=run.fresh_generator(1)).to(run.device)


side, channels = run.pick(ci=16, cpu=48, gpu=128), 16
maps, long = noise(2, channels, side, side, side), noise(run.pick(ci=2, cpu=16, gpu=64) * 2**20)
n, kernel1, kernel3 = maps.numel(), *(noise(channels, channels, k, k, k) for k in (1, 3))
OPERATIONS = {  # operations, bytes at the least, and the call
    "add": (long.numel(), 12 * long.numel(), lambda: long + long),
    "leaky ReLU": (n, 8 * n, lambda: F.leaky_relu(maps)),
    "instance norm": (5 * n, 8 * n, lambda: F.instance_norm(maps)),
    "convolution 1³": (2 * channels * n, 8 * n, lambda: F.conv3d(maps, kernel1)),
    "convolution 3³": (54 * channels * n, 8 * n, lambda: F.conv3d(maps, kernel3, padding=1)),
}
for size in run.pick(ci=(16, 256), cpu=(16, 768), gpu=(64, 8192)):
    square = noise(size, size)
    OPERATIONS[f"product {size}"] = (2 * size**3, 12 * size**2, lambda square=square: square @ square)  # fmt: skip
points = {name: (flops / moved, flops / seconds(call), moved) for name, (flops, moved, call) in OPERATIONS.items()}  # fmt: skip
roof = max(speed for _, speed, _ in points.values())
intensity, speed, _ = points["add"]
bandwidth = speed / intensity
figure, ax = plt.subplots(figsize=(4.8, 3.8))
span = np.geomspace(0.05, max(1000, 2 * max(i for i, _, _ in points.values())), 200)
ax.plot(span, np.minimum(roof, span * bandwidth) / 1e9, color=style.INK)
for name, (x, y, _) in points.items():
    colour = style.BLUE if x < roof / bandwidth else style.ORANGE
    ax.plot(x, y / 1e9, "o", color=colour)
    offset, side_of = ((0, 7), "center") if name[:4] in ("conv", "leak") else ((6, -11), "left")
    ax.annotate(name, (x, y / 1e9), offset, textcoords="offset points", ha=side_of, fontsize=9)
ax.set(xscale="log", yscale="log", xlabel="operations for each byte moved", ylabel="10⁹ operations a second", ylim=(None, 4 * roof / 1e9))  # fmt: skip
show(
    figure,
    caption="Speeds measured on the machine that built this page, below the two roofs: memory (slanting, from the addition) and arithmetic (flat, from the fastest). Blue: left of the ridge, waits for memory.",
    alt="A slanting line that turns flat; addition, activation and normalisation lie at the left near the slanting part, convolutions and products of large matrices to the right",
)
run.record("mem_bandwidth", bandwidth / 1e9, low=0.2, high=5000, unit="GB/s", digits=0)
run.record("mem_roof", roof / 1e9, low=1, high=1e6, digits=0)
run.record("mem_relu_wait", points["leaky ReLU"][1] / roof, low=0, high=0.5, digits=3)

# %% [markdown]
# Here memory gives {glue:text}`mem_bandwidth` and arithmetic at most {glue:text}`mem_roof` billion operations a second. Points above the slanting roof are no mistake: their data are small enough to stay in a cache, a faster memory with a roof of its own, and that is what tiles are for. Activations and normalisations are left of the ridge: a leaky ReLU reaches {glue:text}`mem_relu_wait` of the arithmetic and would not run faster on a machine that computes twice as fast. A 3 × 3 × 3 convolution of 16 channels does about a hundred operations a byte; if it stays far below both roofs, its program is at fault, not the machine. Two consequences: it pays to do small operations *in place* or together with their neighbours, and it pays to compute something twice rather than to keep it, if the computing is cheap. Keep that thought.
#
# ## One step, line by line
#
# Why does training take so much more than prediction? Because of the chain rule (thesis eq. 4.20): the gradient of a layer needs what went into it. Take convolution, normalisation, activation. The gradient of the convolution's weights needs its *input*; that of the normalisation its input and two numbers a channel; that of a ReLU its *output*. None of it may be forgotten before the backward pass has come by. The ledger of a step with $P$ parameters is
#
# $$ \begin{aligned} M = {} & \underbrace{4P}_\text{parameters} + \underbrace{4P}_\text{gradients} + \underbrace{4sP}_\text{optimiser} \\ & {} + \underbrace{4BV\sum_l \frac{c_l}{8^{\ell(l)}}}_\text{activations} + \text{temporary}, \end{aligned} $$ (mem-ledger)
#
# bytes in float32, with $s = 0$ for plain {term}`SGD`, 1 with momentum, 2 for {term}`Adam`; $B$ volumes of $V$ voxels; and a sum over all maps that are kept, $c_l$ channels on level $\ell(l)$, which has $8^{-\ell}$ of the voxels. By hand, for one block:


# %%
# NBVAL_CHECK_OUTPUT
def total(output, _):
    """A loss that keeps nothing."""
    return output.sum()


convolution = nn.Conv3d(2, 8, 3, padding=1, bias=False)
block = nn.Sequential(convolution, nn.InstanceNorm3d(8), nn.LeakyReLU(inplace=True))
P, one_map, pairs = 8 * 2 * 27, 4 * 2 * 8 * 16**3, 2 * 8  # B = 2, V = 16³
by_hand = [4 * P, 4 * P, 8 * P + 4, 2 * one_map + 2 * 4 * pairs + 4]  # (mem-ledger)
ledger = predict_memory(block, (2, 2, 16, 16, 16), loss=total, optimiser="adam")
counted = [ledger.parameters, ledger.gradients]
counted += [ledger.optimiser_state, ledger.activations]
torch.testing.assert_close(torch.tensor(counted), torch.tensor(by_hand))
ours = predict_memory(ConvNormAct(2, 8), (2, 2, 16, 16, 16), loss=total)
for name, kept in (("three layers", ledger), ("medlab's block", ours)):
    kept = kept.activations
    print(f"{name:14} keep {kept:,} bytes = {kept / one_map:.2f} maps")

# %% [markdown]
# To the byte: two maps, a mean and a deviation for each channel of each sample, and 4 bytes for the loss; 4 more for Adam's count of steps. And the second line shows that a formula can be outwitted. The activated map $y$ has to be kept anyway, the next convolution needs it. A leaky ReLU can be turned back, so the normalised map can be had *from* $y$, and `medlab`'s block keeps one map where two were needed. The idea is from {cite}`bulo2018`.
#
# How does `predict_memory` count? It runs the real network, the real backward pass and the real optimiser with *hollow* tensors: they have a shape, a type and a lifetime, but no content. Every birth and every death is written down. `measure_memory` asks PyTorch's allocator during a real step. Here is the 3D U-Net with Adam.
#
# **Predict.** It has 1.8 million parameters. Which line of the ledger is the longest? And where in the network is it made?

# %%
network, batch = unet(), random_batch(BATCH, EDGE)
predicted = predict_memory(network, batch[0].shape)
measured = measure_memory(network, batch)

# %% tags=["hide-input"]
rows = [(part, predicted.parts[part] / MIB, measured.parts[part] / MIB) for part in PARTS]
rows += [("peak", predicted.peak / MIB, measured.peak / MIB)]
rows += [("peak without workspace", predicted.tensor_peak / MIB, measured.tensor_peak / MIB)]
table(
    ["at the fullest moment", "predicted (MiB)", "measured (MiB)"],
    [(name, f"{one:.1f}", f"{two:.1f}") for name, one, two in rows],
    caption=f"One step of the 3D U-Net with Adam, {BATCH} volumes of {EDGE}³ voxels in float32 (synthetic noise).",
)
error = abs(predicted.tensor_peak / measured.tensor_peak - 1)
run.record("mem_error", 100 * error, low=0, high=2 if run.device.type == "cpu" else 15, unit="%", digits=2)  # fmt: skip
run.record(
    "mem_activations", predicted.activations / MIB, low=1, high=5000, unit="MiB", digits=1
)
run.record("mem_share", predicted.activations / predicted.peak, low=0.1, high=1, digits=2)
single = random_batch(1, EDGE)
lonely = measure_memory(network, single)
run.record(
    "mem_lonely_tensors", lonely.tensor_peak / MIB, low=1, high=5000, unit="MiB", digits=0
)
run.record("mem_lonely_peak", lonely.peak / MIB, low=1, high=9000, unit="MiB", digits=0)

# %% [markdown]
# Without workspace, prediction and allocator differ by {glue:text}`mem_error`. The longest line is the activations, by far, although the optimiser keeps two numbers for each parameter. (The two columns need not show the same moment of the step: where two moments are nearly as full, a little workspace decides.) One line only a measurement can know: the *workspace*, memory that a kernel takes for itself while it runs, here copies in another layout. It depends on the library and its mood. With a single volume in float32, PyTorch on a CPU takes another road through small convolutions: it copies the input 27 times, once for each place of the kernel, and multiplies matrices. The tensors are then {glue:text}`mem_lonely_tensors`, the peak {glue:text}`mem_lonely_peak`. cuDNN on a GPU has such roads, too. So leave a margin, and measure once.

# %% tags=["hide-input"]
edges = {}


def note(name):
    def hook(_layer, _given, made):
        edges.setdefault(name, made.shape[-1])

    return hook


hooks = [layer.register_forward_hook(note(name)) for name, layer in network.named_modules()]
with torch.no_grad():
    network(single[0])
for hook in hooks:
    hook.remove()
level_of = {name: round(np.log2(EDGE / edge)) for name, edge in edges.items()}
weights, kept = np.zeros(LEVELS), np.zeros(LEVELS)
for name, layer in network.named_modules():  # a layer that is used twice has its weights once
    weights[level_of.get(name, 0)] += (
        sum(p.numel() for p in layer.parameters(recurse=False)) * 4
    )
for name, size in predicted.by_layer.items():
    kept[level_of.get(name, 0)] += size
figure, axes = plt.subplots(1, 2, figsize=(4.8, 2.4), sharey=True)
for ax, values, title, colour in zip(axes, (weights, kept), ("parameters", "activations"), (style.PURPLE, style.BLUE), strict=True):  # fmt: skip
    ax.barh(range(1, LEVELS + 1), values / MIB, color=colour)
    ax.set(title=title, xlabel="MiB")
axes[0].set(
    ylabel="level (1: full size)", ylim=(LEVELS + 0.5, 0.5), yticks=range(1, LEVELS + 1)
)
show(
    figure,
    caption="The 3D U-Net of the table, level by level. Parameters live at the bottom, activations at the top.",
    alt="Two bar charts over the levels: parameters grow towards the deepest level, activations shrink by a factor of about four from level to level",
)
run.record("mem_top", kept[0] / kept.sum(), low=0.4, high=0.95, digits=2)
run.record("mem_bottom", weights[-2:].sum() / weights.sum(), low=0.5, high=0.99, digits=2)

# %% [markdown]
# Two pyramids, one upside down. Level by level, channels double and voxels fall to an eighth: activations shrink by about four, parameters grow by four (the deepest level has no decoder and stays behind). {glue:text}`mem_top` of the activations are made at full size, {glue:text}`mem_bottom` of the parameters belong to the two deepest levels. That is why a network with few parameters can fill a card, why a thinner first level saves more than a thinner deep one, and why the thesis's own diffusion network ({cite}`bieder2023`, its chapter 7) *averages* skip connections instead of joining them: the joined maps at full size were what it could not afford.

# %% tags=["hide-input"]
figure, axes = plt.subplots(2, 1, figsize=(4.8, 4.4), sharex=True)
for ax, ledger, title in zip(
    axes, (predicted, measured), ("predicted", "measured"), strict=True
):
    for phase, x, held in fractions(ledger, MIB):
        ax.fill_between(x, held, color=PHASES[phase], alpha=0.75, linewidth=0)
    ax.axhline(ledger.standing / MIB, color=style.MUTED, linewidth=1, linestyle=":")
    ax.set(ylabel="MiB", title=title, xlim=(0, 3), ylim=(0, 1.05 * measured.peak / MIB))
axes[1].set_xticks([0.5, 1.5, 2.5], ["forward", "backward", "optimiser"])
axes[1].tick_params(axis="x", length=0)
show(
    figure,
    caption="The same step in time. Both climb layer by layer and fall again as the backward pass uses up what was kept. The spikes that only the measurement has are workspace.",
    alt="Two curves of memory over the three phases of a step with the same shape; the measured one has narrow spikes on top",
)

# %% [markdown]
# ## Does it fit?
#
# The models of {cite}`zoothesis` were trained with SGD, one sub-volume at a time, on what the text calls a GeForce GTX 1080 with 12 GB (that card was sold with 8). Its table 1 gives the memory of each. A prediction takes a second.

# %% tags=["hide-input"]
PUBLISHED = [  # name, channels, edge lengths, GB in table 1 for iSEG
    ("V-Net", "vnet", 1, (128, 128, 64), 4.1),
    ("3D U-Net", "unet3d", 2, (128, 128, 64), 3.7),
    ("V-Net light", "vnet_light", 1, (128, 128, 64), 2.5),
    ("DenseNet, one path", "densenet3d", 2, (28, 28, 28), 1.6),
    ("late fusion", "late_fusion", 2, (28, 28, 28), 2.0),
    ("early fusion", "early_fusion", 2, (28, 28, 28), 1.7),
][: run.pick(ci=2, cpu=6, gpu=6)]
rows, fits = [], {}
for name, key, modalities, edges_of, published in PUBLISHED:
    model = build(key, modalities, 4)
    fits[key] = predict_memory(model, (1, modalities, *edges_of), optimiser="sgd")
    if key == "vnet":
        half = predict_memory(model, (1, 1, 128, 128, 32), optimiser="sgd")
    size = "×".join(map(str, edges_of))
    rows.append((f"{name}, {fits[key].parameters / 4e6:.1f} M", size, f"{published}", f"{fits[key].peak / GB:.2f}"))  # fmt: skip
table(
    ["model, parameters", "sub-volume", "thesis (GB)", "ours (GB)"],
    rows,
    caption="Memory of a training step, batch 1, float32, SGD: table 1 of the thesis (measured on its card, its code), and predicted for our networks.",
)
run.record("mem_vnet", fits["vnet"].peak / GB, low=1, high=3.5, unit="GB", digits=1)
run.record("mem_vnet_parameters", fits["vnet"].parameters / GB, low=0.18, high=0.19, unit="GB", digits=2)  # fmt: skip
run.record("mem_vnet_half", half.peak / GB, low=0.5, high=2, unit="GB", digits=1)

# %% [markdown]
# All fit 8 GB. Ours need less, for three reasons that we can name and one that we can only suspect. A program that asks the card what is *occupied* counts CUDA's own context (some hundred MB), cuDNN's workspace and what PyTorch's allocator keeps in reserve; we count tensors. Our U-Net is not the thesis's: 1.8 against about 10 million parameters, one map a block, upsampled maps that are never made. Our V-Net light has 12 million parameters, as in the thesis's code, where its table says 25. And the suspicion: the thesis gives V-Net 4.1 GB for 64 slices and 3.9 for 32, while its tensors must come near to halving ({glue:text}`mem_vnet` and {glue:text}`mem_vnet_half`). Most of what was reported can hardly have been tensors.
#
# Of V-Net's {glue:text}`mem_vnet`, its 45.6 million parameters are {glue:text}`mem_vnet_parameters`. Now turn the knobs yourself.


# %% tags=["hide-input"]
CARDS = (16, 24, 40, 80)


def parts_of(edge, width, batch, way):
    """Held at the peak in GB: a fixed part, activations, and the rest, which grows with voxels as they do."""
    ledger, voxels = foretold(width, way), batch / 2 * (edge / FORETOLD) ** 3
    fixed = ledger.parameters + ledger.optimiser_state + ledger.gradients
    rest = ledger.parts["temporary"] + ledger.batch
    return np.array([fixed, voxels * ledger.parts["activations"], voxels * rest]) / GB


def draw_cards(edge, width, batch):
    figure, ax = plt.subplots(figsize=(4.8, 4.4))
    names = []
    for at, way in enumerate(WAYS):
        below = 0.0
        for value, colour in zip(parts_of(edge, width, batch, way), (style.PURPLE, style.BLUE, style.ORANGE), strict=True):  # fmt: skip
            ax.bar(at, value, bottom=below, color=colour, width=0.6)
            below += value
        names.append(f"{way}\n{below:.1f} GB")
    for card in CARDS:
        ax.axhline(card, color=style.MUTED, linewidth=1, linestyle="--", zorder=0)
        ax.text(3.55, card, f"{card} GB", va="center", ha="left", fontsize=9)
    ax.set(ylim=(0, 90), xlim=(-0.5, 3.5), ylabel="memory of a step (GB)")
    ax.set_xticks(range(len(WAYS)), names)
    for name, colour in (("weights, gradients, Adam", style.PURPLE), ("activations", style.BLUE), ("temporary, batch", style.ORANGE)):  # fmt: skip
        ax.bar(0, 0, color=colour, label=name)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=8, columnspacing=1)
    return figure


explore(
    draw_cards,
    caption="The predicted peak of a training step of the 3D U-Net with Adam, and the memory of cards. Double the edge, then try to pay for it by width or batch. A bar that reaches the top goes on; its sum stands below.",
    alt=lambda edge, width, batch: f"Bars for {batch} volumes of {edge}³ at width {width}: " + ", ".join(f"{way} {parts_of(edge, width, batch, way).sum():.1f} GB" for way in WAYS),
    labels={"edge": "edge (voxels)", "width": "width (channels)", "batch": "batch (volumes)"},
    start={"edge": 192, "width": 16, "batch": 2},
    edge=[96, 128, 192, 256],
    width=run.pick(ci=[8, 16], cpu=[8, 16, 32], gpu=[8, 16, 32]),
    batch=run.pick(ci=[1, 2], cpu=[1, 2, 4], gpu=[1, 2, 4]),
)  # fmt: skip
far = run.pick(ci=96, cpu=192, gpu=192)
straight = predict_memory(hollow_unet(16), (2, 2, far, far, far)).peak / GB
law = parts_of(far, 16, 2, "as it is").sum()
np.testing.assert_allclose(law, straight, rtol=0.06)
run.record("mem_law", 100 * abs(law / straight - 1), low=0, high=6, unit="%", digits=1)

# %% [markdown]
# The edge enters with its third power, width and batch with the first: from 128 to 256 everything but the purple foot grows eightfold. The figure extrapolates from two volumes of 128³; a direct prediction for larger ones (192³) differs by {glue:text}`mem_law`. The purple foot, which is all that people count when they count parameters, hardly ever decides.
#
# ## Four ways out
#
# **{term}`Activation checkpointing`** {cite}`chen2016`: keep the input of a stretch of layers only, and compute what is inside once more when the backward pass arrives. A chain of $n$ equal layers in $k$ stretches keeps
#
# $$ k + \frac{n}{k} \ge 2\sqrt{n} \text{ maps instead of } n, $$ (mem-root)
#
# the least at $k = \sqrt n$, for one more forward pass. As a backward pass is about two forward passes, a step should take about a third longer.

# %% tags=["hide-input"]
LAYERS = 36


class Chain(nn.Module):
    """Equal layers that each keep one map: the convolution its input, which is the activation's output."""

    def __init__(self, stretches):
        super().__init__()
        layers = [
            nn.Sequential(nn.Conv3d(4, 4, 3, padding=1), nn.Tanh()) for _ in range(LAYERS)
        ]
        self.layers, self.stretches = nn.Sequential(*layers), stretches

    def forward(self, x):
        if self.stretches is None:
            return self.layers(x)
        return checkpoint_sequential(self.layers, self.stretches, x, use_reentrant=False)


def maps_held(stretches):
    """At the peak, in maps, without what is there all the time."""
    with torch.device("meta"):
        chain = Chain(stretches)
    ledger = predict_memory(chain, (1, 4, 32, 32, 32), loss=total, optimiser="sgd")
    return (ledger.peak - ledger.parameters - ledger.batch) / (4 * 4 * 32**3)


stretches = run.pick(ci=(2, 6, 18), cpu=(1, 2, 3, 4, 6, 9, 12, 18, 36), gpu=(1, 2, 3, 4, 6, 9, 12, 18, 36))  # fmt: skip
found, without = [maps_held(k) for k in stretches], maps_held(None)
figure, ax = plt.subplots(figsize=(4.6, 3))
ks = np.linspace(1, LAYERS, 200)
ax.plot(ks, ks + LAYERS / ks, color=style.MUTED, label="k + n/k")
ax.plot(stretches, found, "o", color=style.ORANGE, label="predicted peak")
ax.axhline(without, color=style.BLUE, label="without checkpoints")
ax.set(xlabel="stretches k", ylabel="maps held", ylim=(0, None), xscale="log")
ax.set_xticks([1, 2, 3, 6, 12, 18, 36], ["1", "2", "3", "6", "12", "18", "36"], minor=False)
ax.minorticks_off()
ax.legend(loc="lower left")
show(
    figure,
    caption="A chain of 36 equal layers, cut into k stretches that are computed twice. Few long stretches and many short ones both keep much; the best is in between.",
    alt="A U-shaped curve over the number of stretches with its lowest point near six; a horizontal line without checkpoints lies far above",
)
best = stretches[int(np.argmin(found))]
assert best == 6 and without > 2 * min(found)
run.record("mem_chain_without", without, low=30, high=45, digits=0)
run.record("mem_chain_best", min(found), low=8, high=18, digits=0)

# %% [markdown]
# Lowest at six stretches, the root of 36: {glue:text}`mem_chain_best` maps instead of {glue:text}`mem_chain_without`, on the formula to the map. One stretch saves nothing: in the backward pass it is all there again. Nor do 36, each of which keeps its input.
#
# **{term}`Gradient accumulation`**: a mean over a batch is a mean of means, so the batch may pass in $m$ parts, one after the other, and the gradients add up:
#
# $$ \nabla_\theta L = \frac1m \sum_{j=1}^{m} \nabla_\theta L_j . $$ (mem-parts)
#
# **Precision**: keep activations in 16 bits (bfloat16), weights and their updates in 32 {cite}`micikevicius2018`. **Patches**: show the network an eighth of the volume at a time; the thesis's chapter 7 builds on that. All four in one function:


# %%
def gradient(network, parts, short=False):
    """The gradient of the mean loss over the parts, as one long vector."""
    network.zero_grad()
    for image, target in parts:
        with torch.autocast(run.device.type, torch.bfloat16, enabled=short):
            logits = network(image)
        loss = F.cross_entropy(logits.float(), target)
        (loss / len(parts)).backward()  # (mem-parts)
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def octants(volumes):
    """Eight patches of each volume."""
    halves = volumes.chunk(2, -1)
    quarters = [part for half in halves for part in half.chunk(2, -2)]
    eighths = [part for quarter in quarters for part in quarter.chunk(2, -3)]
    return [eighth.contiguous() for eighth in eighths]


# %% tags=["hide-input"]
ROUNDS = run.pick(ci=3, cpu=5, gpu=10)
image, target = batch
halves = list(zip(image.chunk(2), target.chunk(2), strict=True))
eighths = list(zip(octants(image), octants(target), strict=True))
FOUR = {  # network's options, parts, precision; and how the ledger is told
    "as it is": ({}, [batch], "32-true", {}),
    "checkpointing": ({"checkpointing": True}, [batch], "32-true", {}),
    "accumulation, 2 parts": ({}, halves, "32-true", {"accumulation": 2}),
    "bfloat16": ({}, [batch], "bf16-mixed", {"precision": "bf16-mixed"}),
    "patches, 8 in turn": ({}, eighths, "32-true", {"patch": True}),
    "checkpointing + bfloat16": ({"checkpointing": True}, [batch], "bf16-mixed", {"precision": "bf16-mixed"}),
}  # fmt: skip
networks = {name: unet(**options) for name, (options, *_) in FOUR.items()}  # equal weights
times = {name: [] for name in FOUR}
gradients = {}
for turn in range(ROUNDS + 1):  # all in turns; the first is for warming up
    for name, (_, parts, precision, _) in FOUR.items():
        begin = time.perf_counter()
        gradients[name] = gradient(networks[name], parts, "bf16" in precision)
        if run.device.type == "cuda":
            torch.cuda.synchronize()
        if turn:
            times[name].append(time.perf_counter() - begin)
plain_times = np.array(times["as it is"])
truth = gradients["as it is"]
rows, held, slower, off = [], {}, {}, {}
for name, (*_, told) in FOUR.items():
    told = dict(told)
    given = eighths[0] if told.pop("patch", False) else batch
    guess = predict_memory(networks[name], given[0].shape, **told)
    held[name] = guess, measure_memory(networks[name], given, **told)
    slower[name] = mean_interval(np.array(times[name]) / plain_times)
    off[name] = float((gradients[name] - truth).norm() / truth.norm())
    change = "rounding" if off[name] < 1e-4 else f"{100 * off[name]:.0f} %"
    reference = name == "as it is"
    rows.append((
        name,
        f"{held[name][0].tensor_peak / MIB:.1f} | {held[name][1].tensor_peak / MIB:.1f}",
        "1" if reference else slower[name].shown().replace(" ", "&nbsp;"),
        "" if reference else change,
    ))  # fmt: skip

# %% [markdown]
# **Predict.** Which of them leave the gradient as it is, and which change it? Which costs nothing in time?

# %% tags=["hide-input"]
table(
    ["way", "predicted | measured (MiB)", "time", "gradient differs"],
    rows,
    caption=f"The 3D U-Net on {BATCH} volumes of {EDGE}³ (synthetic noise), Adam. Memory: peak without workspace. Time: of the gradient for all {BATCH} volumes, in units of the first row, mean and 95 % interval over {ROUNDS} rounds in turns.",
)  # fmt: skip
short = {"checkpointing": "checkpoint", "accumulation, 2 parts": "parts", "bfloat16": "short", "patches, 8 in turn": "patch", "checkpointing + bfloat16": "both"}  # fmt: skip
for name, key in short.items():
    share = held[name][1].tensor_peak / held["as it is"][1].tensor_peak
    kept_share = held[name][1].activations / held["as it is"][1].activations
    run.record(f"mem_{key}_share", share, low=0.05, high=1.02, digits=2)
    run.record(f"mem_{key}_kept", kept_share, low=0.02, high=0.9, digits=2)
    run.record(f"mem_{key}_time", slower[name].mean, low=0.02, high=300 if run.profile.name == "ci" else 20, digits=2)  # fmt: skip
    assert abs(held[name][0].tensor_peak / held[name][1].tensor_peak - 1) < (0.03 if run.device.type == "cpu" else 0.3)  # fmt: skip
run.record("mem_short_off", 100 * off["bfloat16"], low=0.05, high=60, unit="%", digits=1)
other = float((gradient(networks["as it is"], halves[:1]) - truth).norm() / truth.norm())
run.record(
    "mem_other_off", 100 * other, low=100 * off["bfloat16"], high=300, unit="%", digits=0
)
run.record(
    "mem_patch_off", 100 * off["patches, 8 in turn"], low=5, high=300, unit="%", digits=0
)
assert off["checkpointing"] < 1e-3 and off["accumulation, 2 parts"] < 1e-3

# %% [markdown]
# *Checkpointing* keeps {glue:text}`mem_checkpoint_kept` of the activations at the end of the forward pass; the peak falls to {glue:text}`mem_checkpoint_share`, as weights, Adam and the stretch that is being repeated remain. It took {glue:text}`mem_checkpoint_time` times as long, and the gradient is the same but for rounding. *Accumulation* gives the same gradient, too, with {glue:text}`mem_parts_kept` of the activations; the gradients of the first part now stand beside the activations of the second. It costs what smaller portions cost this machine. (With {term}`batch normalisation` it would not be the same: each part would have its own mean.)
#
# *Bfloat16* changes the gradient by {glue:text}`mem_short_off`. That is much, and still less than the batch itself leaves to chance: half of the same batch gives a gradient that differs from the whole's by {glue:text}`mem_other_off`. (An untrained network on noise has nothing to learn; its gradient is nearly all chance.) Training bears rounding as it bears small batches. On this machine it took {glue:text}`mem_short_time` times as long; where the hardware has units for 16 bits it is faster. It does not halve the account: {glue:text}`mem_short_share` of the peak remain, since weights, their gradients and Adam stay in float32, as does the loss. *Patches* save most ({glue:text}`mem_patch_share`) and change the question: {glue:text}`mem_patch_off`. A voxel at the cut sees zeros where its neighbours were, and the normalisation averages over an eighth. On whole volumes of noise that difference is at its largest, and with larger patches it falls; but it is of another kind than rounding. Only patches change *what the network can know*.
#
# So the order in which to try them is: 16 bits where the hardware has them; checkpoints; accumulation, if the batch is larger than one; and patches as large as the rest allows.
#
# ## What memory costs
#
# One can also buy the way out. The thesis (figure 4.6) plots prices of NVIDIA's cards of one generation in August 2024 and reads from it
#
# $$ \text{price} \propto \text{memory}^{1.5} . $$ (mem-price)

# %% tags=["hide-input"]
table(
    ["from", "to", "memory", "price (thesis's relation)"],
    [(f"{a} GB", f"{b} GB", f"× {b / a:.2f}", f"× {(b / a) ** 1.5:.1f}") for a, b in ((8, 16), (16, 24), (24, 40), (40, 80), (8, 80))],
    caption="What a larger card costs, if the thesis's relation holds. Prices of one shop, one day and one generation of cards stand behind it; no price is quoted here.",
)  # fmt: skip
run.record("mem_price", 2**1.5, low=2.8, high=2.9, digits=1)

# %% [markdown]
# Twice the memory costs {glue:text}`mem_price` times as much, by that relation. Checkpointing gives the same for a part more of time and energy. Whoever trains every day for a year will reckon differently from who trains once; and a relation of that kind, read from a dozen cards of one generation at one shop, is a rule of thumb.
#
# ## Where it breaks
#
# ### The list that remembers everything
#
# A training runs for 300 steps, then the card is full. The ledger of a step has not changed. Someone wrote `history.append(loss)`.
#
# **Predict.** In the training loop, after `loss.backward()`; or in the validation, where there is no backward pass: which of the two lists eats the card?

# %%
history = []
checked = random_batch(1, EDGE)


def training(network):
    loss = F.cross_entropy(network(checked[0]), checked[1])
    loss.backward()
    history.append(loss)


def validation(network):
    loss = F.cross_entropy(network(checked[0]), checked[1])
    history.append(loss if careless else loss.item())


# %%
network.train()
training(network)  # the gradients are there from now on
left = {}
for step in (training, validation):
    work = partial(step, network)
    left[step.__name__] = [kept_memory(work, run.device) / MIB for _ in range(3)]
one_step = predict_memory(network, checked[0].shape).activations / MIB
if careless:
    assert min(left["validation"]) > 0.8 * one_step
assert max(left["training"]) < 0.05 * one_step
history.clear()

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(4.4, 2.6))
for (name, values), colour in zip(left.items(), (style.BLUE, style.ORANGE), strict=True):
    ax.plot(range(len(values) + 1), np.cumsum([0, *values]), "o-", color=colour, label=name)
ax.set(xlabel="steps", ylabel="left behind (MiB)", xticks=range(4))
ax.legend()
show(
    figure,
    caption="What three steps leave behind in a list of losses. After a backward pass next to nothing; without one, the activations of every step.",
    alt="Two lines over three steps: training stays at zero, validation climbs by the same amount at each step",
)
run.record("mem_leak", np.mean(left["validation"]), low=0, high=5000, unit="MiB", digits=1)
run.record("mem_leak_training", np.mean(left["training"]), low=0, high=1, unit="MiB", digits=3)

# %% [markdown]
# A loss holds its graph, and the graph holds what the backward pass would need. The backward pass lets go of it ({glue:text}`mem_leak_training` left a step); a validation without `torch.no_grad()` never does ({glue:text}`mem_leak` a step). Mend it by `loss.item()`, and run validation under `torch.no_grad()`, where nothing is kept to begin with. `kept_memory` finds such a leak in two steps: a clean step leaves 0. Set `careless = False` and see.
#
# ### A checkpoint that throws the dice again
#
# A checkpoint computes twice. If there is dropout inside, and the second run draws other zeros than the first, the gradient belongs to neither.

# %%
layers = nn.Linear(64, 64), nn.Dropout(0.5), nn.Tanh(), nn.Linear(64, 1)
layer = nn.Sequential(*layers)
chance = torch.get_rng_state()
x = torch.randn(32, 64, generator=run.fresh_generator(3))


def slopes(keep):
    """With a checkpoint; keep: is chance put back before the second run? None: without."""
    torch.set_rng_state(chance)
    options = {"use_reentrant": False, "preserve_rng_state": keep}
    made = layer(x) if keep is None else checkpoint(layer, x, **options)
    return torch.autograd.grad(made.square().mean(), layer[0].weight)[0]


wrong = float((slopes(keep_chance) - slopes(None)).norm() / slopes(None).norm())
if keep_chance:
    assert wrong < 1e-6
else:
    assert wrong > 0.1
torch.testing.assert_close(slopes(True), slopes(None))

# %% tags=["hide-input"]
run.record("mem_dice", 100 * wrong, low=0, high=300, unit="%", digits=0)

# %% [markdown]
# The gradient is off by {glue:text}`mem_dice`, without a warning, and the training goes on: it only learns worse. `preserve_rng_state=True` is PyTorch's default, and `medlab` leaves it so; people switch it off because it saves a little time. A test costs one line: with and without checkpoints, the same gradient.
#
# ## Exercises
#
# ### Exercise 1: a ledger with a pencil
#
# The first level of a network has two blocks of convolution (3 × 3 × 3), normalisation and in-place ReLU, with 32 channels each. One volume of 160³ comes in, one modality, float32. How much do the two blocks keep, in GB, and what do their weights take with Adam and gradients?
#
# <details class="hint"><summary>Hint</summary>
#
# How large is one map of 32 channels? How many of them does a block keep?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# One map: $4 \cdot 32 \cdot 160^3$ bytes. PyTorch's three layers keep two maps a block, as in the table above. The weights are $27 \cdot (1 \cdot 32 + 32 \cdot 32)$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# A map is 0.52 GB, four of them 2.1 GB. The 28,512 weights take four times 4 bytes each with their gradients and two averages of Adam: 0.46 MB. Four thousand times less. With a block that keeps one map it would be 1.05 GB.
#
# </details>
#
# ### Exercise 2: the largest batch, in code
#
# You have the ledgers of batch 1 and batch 2. Write `largest_batch(one, two, card)`: how many volumes fit a card with so many bytes, if a tenth of it stays free for what a prediction cannot know?
#
# <details class="hint"><summary>Hint</summary>
#
# The peak is a straight line over the batch. Two points are enough.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Each volume takes `two.peak - one.peak`; what is left of `one.peak` without it is there for any batch. Do not forget that nothing may fit.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The fixed part is `2 * one.peak - two.peak`, so $b$ volumes take that plus $b$ times the difference; solve for $b$ and round down, not below 0. The cell after the exercise holds the code. It trusts the law: where the peak moves from the optimiser's step into the backward pass, as for very small patches, the line has a kink.
#
# </details>


# %% tags=["hide-input"]
small = nn.Sequential(*[ConvNormAct(channels, 16) for channels in (2, 16, 16)])


@lru_cache
def of_batch(volumes):
    return predict_memory(small, (volumes, 2, 64, 64, 64), loss=total)


def check_largest(largest_batch):
    one, two = of_batch(1), of_batch(2)
    answer = largest_batch(one, two, 10**9)
    if answer is None:
        return "it returned nothing; return a whole number of volumes."
    if answer != int(answer):
        return f"it says {answer}; volumes come whole, round down."
    if largest_batch(one, two, one.standing) != 0:
        return "a card that holds the parameters only has no room for a volume: expected 0."
    peak = of_batch(int(max(answer, 1))).peak
    if peak > 0.9 * 10**9:
        return f"{answer} volumes take {peak / GB:.2f} GB, and 0.9 of 1 GB may be filled; is the margin in it?"  # fmt: skip
    more = of_batch(int(answer) + 1).peak
    return None if more > 0.9 * 10**9 else f"{answer} volumes are too few: one more takes {more / GB:.2f} GB of 0.9."  # fmt: skip


# %% tags=["exercise"]
def largest_batch(one, two, card):
    """Volumes that fit a card of so many bytes, a tenth of which stays free."""
    ...  # your code here


judge(check_largest, largest_batch)


# %% tags=["solution", "hide-cell"]
def largest_batch(one, two, card):
    """Volumes that fit a card of so many bytes, a tenth of which stays free."""
    # begin solution
    each = two.peak - one.peak
    fixed = one.peak - each
    return max(int((0.9 * card - fixed) // each), 0)
    # end solution


judge(check_largest, largest_batch)

# %% [markdown]
# ### Exercise 3: which roof?
#
# A 1 × 1 × 1 convolution takes 16 channels to 16. How many operations does it do for each byte, at the least? Is it under the slanting or the flat roof of an A100? From how many channels on does that change?
#
# <details class="hint"><summary>Hint</summary>
#
# For each voxel: how many multiplications and additions, how many numbers read and written?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $2 C^2$ operations, $2C$ numbers of 4 bytes. Compare with $R/W$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $2C^2 / 8C = C/4$, so 4 operations a byte for 16 channels: far left of {glue:text}`mem_ridge`, it waits for memory. From $C = 50$ on it could keep the units busy. That is why a 1 × 1 × 1 convolution with few channels is cheap in operations and still not fast. (A kernel of 27 voxels has 27 times the intensity.)
#
# </details>
#
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A 3D U-Net runs out of memory at 160³. You replace Adam by SGD without momentum. Does it help?",
        ("Yes: Adam triples everything", "It keeps two more numbers for each parameter, not for each activation."),
        right("Hardly: the optimiser keeps parameters' worth, and activations decide here", "For a U-Net with a few million parameters that is some MB. For a network that is all parameters it would help."),
        ("Yes, as SGD needs no gradients", "Every optimiser of this kind needs them."),
    ),
    question(
        "With checkpointing the peak is lower. What has changed in the result?",
        ("The gradient is an approximation", "The same numbers are computed, some of them twice."),
        ("The network sees less context", "That would be patches."),
        right("Nothing but the time, if chance is put back before the second run", "Dropout has to draw the same zeros again, and running means must not be updated twice."),
    ),
    question(
        "Memory is fine for one step and grows by the same amount at each validation batch. Where do you look?",
        right("For a loss or an output that is kept with its graph", "Without no_grad and without a backward pass everything stays as long as somebody holds the loss."),
        ("At the size of the patches", "Then the first step would fail already."),
        ("At the allocator's fragments", "They can grow, but not so regularly; look at the list first."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - Moving numbers is dearer than computing with them. Tiles, in-place operations and recomputing all live from that.
# - A step holds parameters, gradients, the optimiser's state and, mostly, activations; the ledger can be predicted without a card.
# - In a U-Net activations live at the top, parameters at the bottom; the edge of a volume counts with its third power.
# - Checkpoints and accumulation keep the gradient, 16 bits round it, patches change the question.
# - Kernels take workspace that only a measurement shows: leave a margin.
# - A loss holds its graph. Keep numbers, not losses.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | volumes | **synthetic** noise: memory depends on shapes, not on what is in them; no brain is needed, and no claim about one is made |
# | measured | PyTorch's allocator on the device that the first lines name; predictions are of tensors, without CUDA's context, workspace and fragments |
# | times | one machine, a few rounds, other work beside it; on another machine other ways win, above all for 16 bits |
# | thesis's memory | from another program, network and card, as its table prints them |
# | prices | a relation read from one shop on one day; none of them ours |
#
# ## Further reading
#
# {cite}`williams2009` explain the two roofs in ten pages. {cite}`chen2016` is the root of checkpointing in deep learning, {cite}`micikevicius2018` that of mixed precision, {cite}`bulo2018` show how far one comes with one map a block. The thesis {cite}`thesis` is about methods that need less memory by design: its chapter 7 ({cite}`bieder2023`) trains diffusion on patches with coordinates.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
