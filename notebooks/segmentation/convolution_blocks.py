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
#     - data/preparing_data
#     summary: What each brick of a convolutional network computes, by hand once, what
#       it costs in 3D, and how far one voxel sees.
#     weights: []
# ---

# %% [markdown]
# # Convolutional building blocks
#
# Every network in this book, from a U-Net to a diffusion model, is built of a dozen bricks. To compute with them takes no more than school arithmetic. Here you compute each of
# them with a pencil, on numbers small enough to check, then with PyTorch, then on a brain. After that no layer of a network is a black box: you can say what
# goes in, what comes out, what it costs, and which voxels have had a say.
#
# **You will be able to**
#
# - compute convolution, transposed convolution, pooling, normalisation and dropout by hand, and predict the size of what comes out
# - count the weights and multiplications of a layer in 2D and 3D
# - say how much of a scan one voxel of the output has seen, on paper and by a measurement
# - explain what batch normalisation and dropout do in training and not afterwards
# - measure whether a deep network still passes a gradient, and see a checkerboard before you train one
#
# **You need** [Images in space](../start/images_in_space.ipynb): voxels, arrays, interpolation; [Preparing data](../data/preparing_data.ipynb): z-scores, patches.

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
up_kernel = 3  # in the experiment: kernel of the transposed convolution, from 2 to 6
drop = 0.5  # share of the values that dropout takes away
forget = True  # in "Where it breaks": use the network without telling it that training is over

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from medlab.cohorts.datasets import open_brats
from medlab.cohorts.grid import Grid
from medlab.data.transforms import z_score
from medlab.metrics import dice, mean_interval
from medlab.nn.attention import AttentionGate
from medlab.nn.blocks import ConvNormAct, Upsample
from medlab.nn.norms import normalisation
from medlab.nn.receptive_field import measured_receptive_field, receptive_field
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)
torch.set_num_threads(1)  # such small networks are not faster with more

# %% tags=["hide-input"]
SEEDS = run.pick(ci=3, cpu=6, gpu=16)
tight = run.profile.name != "ci"
sample = open_brats(grid=Grid((144, 180, 1), (1.0, 1.0, 1.0), (0.0, -17.0, 21.5)))[0]
mask, label = sample.mask[..., 0], sample.label[..., 0] > 0
T1, _, T2, FLAIR = (
    z_score(one[..., 0], mask) * mask for one in sample.image.data
)  # (144, 180)
VOXEL = (37, 92)  # a voxel in the tumour
GREY = (-3.5, 2.5)


def seeded(make, number=0):
    """What `make` builds, with weights drawn from a generator of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(1000 * seed + number)
        return make()


def draw(ax, image, title="", window=None, cmap="gray", mm=1.0, smooth=True):
    """An image (X, Y) as an axial slice; around a whole brain it is black."""
    if cmap == "gray" and image.shape[0] * T1.shape[1] == image.shape[1] * T1.shape[0]:
        inside = F.adaptive_max_pool2d(mask[None].float(), image.shape)[0] > 0
        image = torch.where(inside, image, window[0])
    drawn = slices.draw_slice(ax, image[..., None], index=0, window=window, cmap=cmap, spacing=(mm, mm, 1), smooth=smooth)  # fmt: skip
    ax.set_title(title, fontsize=10)
    return drawn


def glow(ax, values, title):
    """The influence (n, n) of each voxel around the one at the cross, over FLAIR, on a logarithmic scale."""
    draw(ax, FLAIR, title, GREY)
    n, (x, y) = len(values), VOXEL
    shown = slices.slice_image(values[..., None] / values.max(), "axial", 0)
    bright = 1 + np.log10(shown.clip(1e-3)) / 3
    colours = plt.get_cmap("plasma")(bright)
    colours[..., 3] = (0.35 + 0.5 * bright) * (shown > 0)
    left, low = len(FLAIR) - (x - n // 2 + n), y - n // 2
    ax.imshow(colours, extent=(left, left + n, low, low + n)).set_gid("voxels-glow")
    ax.plot([len(FLAIR) - x - 0.5], [y + 0.5], "+", color="white", markersize=9, markeredgewidth=1.6)  # fmt: skip
    ax.set(xlim=(0, len(FLAIR)), ylim=(0, FLAIR.shape[1]))


def stack(*layers, channels=8):
    """Convolutions of kernel 3 with rectifiers, each (stride, dilation), or "up"."""
    modules, before = [], 1
    for layer in layers:
        if layer == "up":
            modules.append(Upsample("nearest", axes=2))
            continue
        stride, dilation = layer
        modules += [nn.Conv2d(before, channels, 3, stride, dilation, dilation), nn.ReLU()]
        before = channels
    return nn.Sequential(*modules)


NETWORKS = {
    "plain": [(1, 1)] * 5,
    "dilated 1, 2, 4, 8, 16": [(1, 2**k) for k in range(5)],
    "down twice, up twice": [(2, 1), (2, 1), (1, 1), "up", (1, 1), "up", (1, 1)],
}
figure, axes = plt.subplots(2, 2, figsize=(4.8, 6.8))
draw(axes[0, 0], FLAIR, "FLAIR", GREY)
axes[0, 0].plot([len(FLAIR) - VOXEL[0] - 0.5], [VOXEL[1] + 0.5], "+", color=style.ORANGE, markersize=11, markeredgewidth=2)  # fmt: skip
for ax, (name, layers) in zip(axes.flat[1:], NETWORKS.items(), strict=True):
    seen = measured_receptive_field(seeded(lambda n=layers: stack(*n)), 1, (96, 96), seed=seed)
    glow(ax, seen.map, f"{name}:\n{seen.extent[0]} × {seen.extent[1]}")
    run.record(f"conv_first_{name.split()[0]}", seen.extent[0], low=5, high=96, digits=0)
scale = plt.cm.ScalarMappable(plt.Normalize(0, 1), "plasma")
bar = figure.colorbar(scale, ax=axes, location="bottom", shrink=0.7, aspect=30)
bar.set_ticks([0, 1 / 3, 2 / 3, 1], labels=["≤ 0.001", "0.01", "0.1", "1"])
bar.set_label("influence on the voxel at the cross (largest: 1)")
show(
    figure,
    caption="Three networks of five convolutions each, with the same number of weights, before any training, over a synthetic tumour (the bright patch between the ventricles belongs to it). What glows is what the voxel at the cross has seen; the colour is the size of its gradient with respect to each voxel of the input.",
    alt="A FLAIR slice with a bright tumour and a cross at its rim; a small glowing square around the cross; a large square that covers a fifth of the brain; a blocky square of middle size",
)

# %% [markdown]
# The brain is {term}`synthetic <synthetic data>`, and so is its tumour; the patient's right is on your left. Five layers, kernels of $3 \times 3$ each, equally many weights. The first network decides about the voxel at the cross from its nearest neighbours, the second from the tumour and all that surrounds it, the third from something in between. By the end you can foretell these numbers with a pencil, and say why the squares are faint towards their edges.
#
# ## One neuron, and all of them at once
#
# A neuron multiplies each input by a weight, adds up, adds a bias, and bends the result by a function $\varphi$. Several neurons that look at the same inputs are a {term}`linear layer` (thesis eq. 4.6 {cite}`thesis`):
#
# $$ \mathbf{y} = \varphi(W \mathbf{x} + \mathbf{b}). $$ (conv-linear)
#
# We take the {term}`rectifier` $\varphi(a) = \max(0, a)$. By hand, with three inputs and two neurons:
#
# $$ \small \begin{pmatrix} 1 & 2 & -1 \\ 0 & 1 & -2 \end{pmatrix} \begin{pmatrix} 2 \\ 1 \\ 3 \end{pmatrix} + \begin{pmatrix} 1 \\ -1 \end{pmatrix} = \begin{pmatrix} 2 \\ -6 \end{pmatrix} \xrightarrow{\varphi} \begin{pmatrix} 2 \\ 0 \end{pmatrix} $$

# %%
W, b = torch.tensor([[1.0, 2.0, -1.0], [0.0, 1.0, -2.0]]), torch.tensor([1.0, -1.0])
x = torch.tensor([2.0, 1.0, 3.0])
torch.testing.assert_close(F.relu(F.linear(x, W, b)), torch.tensor([2.0, 0.0]))  # (conv-linear)

# %% tags=["hide-input"]
run.record("conv_dense_slice", T1.numel() ** 2 / 1e6, low=600, high=700, digits=0, unit="million")  # fmt: skip
run.record("conv_dense_memory", 4.0 * 128**6 / 2**40, low=15, high=17, digits=0, unit="TiB")

# %% [markdown]
# Why not build everything of this? From our slice to an image of the same size it takes {glue:text}`conv_dense_slice` weights; from a volume of $128^3$ voxels to another, {glue:text}`conv_dense_memory` of them, at 4 bytes each. And each weight would know one pair of places only: a tumour learned on the right would have to be learned anew on the left.
#
# ## Convolution: one small pattern, everywhere
#
# So let a neuron see a small window only, and let it be the same neuron at every place. Its weights $w$ are the {term}`kernel`, and what comes out is a {term}`feature map`:
#
# $$ y_\mathbf{i} = b + \sum_\mathbf{u} w_\mathbf{u}\, x_{\mathbf{i} + \mathbf{u}}. $$ (conv-correlation)
#
# In mathematics this is the *cross-correlation*. A {term}`convolution` has $x_{\mathbf{i} - \mathbf{u}}$ and so turns the kernel round first. Networks call the former by the name of the latter; as the weights are learned, nothing is lost (section 2.4 of {cite}`zoothesis`, a thesis that compares a zoo of segmentation networks; below, "the zoo's thesis"). By hand, right minus left in each window of three rows:
#
# $$ \small \begin{pmatrix} 0 & 0 & 1 & 2 & 2 \\ 0 & 0 & 1 & 2 & 2 \\ 0 & 0 & 1 & 2 & 2 \\ 0 & 0 & 0 & 0 & 0 \\ 0 & 0 & 0 & 0 & 0 \end{pmatrix} \star \begin{pmatrix} -1 & 0 & 1 \\ -1 & 0 & 1 \\ -1 & 0 & 1 \end{pmatrix} = \begin{pmatrix} 3 & 6 & 3 \\ 2 & 4 & 2 \\ 1 & 2 & 1 \end{pmatrix} $$

# %%
image = torch.tensor([[0.0, 0, 1, 2, 2]] * 3 + [[0.0] * 5] * 2)
kernel = torch.tensor([[-1.0, 0.0, 1.0]] * 3)


def correlate(x, w):
    """(conv-correlation) as it stands, without a bias; x and w are matrices."""
    windows = x.unfold(0, len(w), 1).unfold(1, w.shape[1], 1)  # (rows, columns, *w.shape)
    return (windows * w).sum((2, 3))


by_hand = torch.tensor([[3.0, 6, 3], [2, 4, 2], [1, 2, 1]])
torch.testing.assert_close(correlate(image, kernel), by_hand)
torch.testing.assert_close(F.conv2d(image[None, None], kernel[None, None])[0, 0], by_hand)

# %% [markdown]
# **Predict.** Turn the kernel round by 180°, as a true convolution does. What becomes of the nine numbers?

# %%
# NBVAL_CHECK_OUTPUT
print(correlate(image, kernel.flip(0, 1)).int().tolist())

# %% [markdown]
# All change their sign, since this kernel is its own negative when it is turned. A network would simply learn the other one.
#
# Now drag the window across the border of the ventricle and the tumour.

# %% tags=["hide-input"]
KERNELS = {
    "mean": torch.full((3, 3), 1 / 9),
    "front": torch.tensor([[-1.0, 0.0, 1.0]] * 3) / 3,
    "spot": torch.tensor([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]) / 8,
    "right": torch.tensor([[-1.0] * 3, [0.0] * 3, [1.0] * 3]) / 3,
}
CROP = F.avg_pool2d(FLAIR[None], 2)[0, 15:43, 36:64]  # 28 × 28 voxels of 2 mm
ROW = 14


def numbers(ax, values, title, limit):
    """A matrix (x, y), as it lies on the picture, with its numbers."""
    shown = slices.slice_image(values[..., None], "axial", 0)
    ax.imshow(shown, cmap="PuOr_r", vmin=-limit, vmax=limit).set_gid("voxels-numbers")
    for (row, column), value in np.ndenumerate(shown):
        ax.text(column, row, f"{value:.2f}".replace("-0.00", "0.00"), ha="center", va="center", fontsize=9, color="#1a1a1a")  # fmt: skip
    ax.set_axis_off()
    ax.set_title(title, fontsize=10)


def draw_window(kernel, place):
    w = KERNELS[kernel]
    at = 26 - place  # the slider runs from left to right in the picture
    response = correlate(CROP, w)
    window = CROP[at - 1 : at + 2, ROW - 1 : ROW + 2]
    limit, corner = float(response.abs().max()), (2 * (26 - at), 2 * (ROW - 1))
    figure = plt.figure(figsize=(5.4, 5.3), layout="none")
    above = [figure.add_axes((left, 0.42, 0.48, 0.52)) for left in (0.0, 0.52)]
    below = [figure.add_axes((left, 0.0, 0.3, 0.33)) for left in (0.02, 0.35, 0.68)]
    draw(above[0], CROP, "FLAIR", (-3, 3), mm=2, smooth=False)
    draw(above[1], F.pad(response, (1, 1, 1, 1)), "response", (-limit, limit), "PuOr_r", mm=2, smooth=False)  # fmt: skip
    for ax, inset, size in zip(above, (0, 2), (6, 2), strict=True):
        ax.add_patch(plt.Rectangle((corner[0] + inset, corner[1] + inset), size, size, fill=False, edgecolor=style.GREEN, linewidth=2.2))  # fmt: skip
    numbers(below[0], window, "window", 6)
    numbers(below[1], w, "times kernel", 2 * float(w.abs().max()))
    numbers(below[2], window * w, f"adds up to {float((window * w).sum()):.2f}", 2)
    return figure


explore(
    draw_window,
    caption="A window of 3 × 3 voxels (green) moves over a synthetic FLAIR image, is multiplied by the kernel voxel by voxel, and added up; the sum is one voxel of the response (orange above 0, purple below). Drag it over the rim of the tumour and into the ventricle: where do the three kernels other than the mean answer, and with which sign? (<em>right</em> is right minus left, so its positive weights are on your left; <em>front</em> is front minus back.)",
    alt=lambda kernel, place: f"A small FLAIR image with a green window at place {place}, the response of the kernel {kernel}, and below them window, kernel and their products, which add up to {float(correlate(CROP, KERNELS[kernel])[25 - place, ROW - 1]):.2f}",
    labels={"kernel": "kernel", "place": "place of the window"},
    start={"kernel": "right", "place": 9},
    kernel=list(KERNELS),
    place=list(range(0, 26, 3)),
)  # fmt: skip

# %% [markdown]
# The mean smooths. The two differences answer at borders, with a sign that says which side is brighter, and each is blind to borders that run its own way. The spot kernel answers where a voxel differs from the mean of its neighbours: at borders, thin lines, and noise. All but the mean give 0 on flat tissue: their weights add up to 0.
#
# ### Padding, stride, size
#
# At the border the window runs out of the image: with kernel 3 a voxel is lost on each side. {term}`Padding <padding>` adds $p$ zeros around it. And one may move the window by a {term}`stride` $s$ at a time. From $n$ voxels along an axis there remain (the zoo's thesis, section 2.4; {cite}`dumoulin2016`, with a dilation $d$ that we come to below)
#
# $$ n' = \left\lfloor \frac{n + 2p - d\,(k - 1) - 1}{s} \right\rfloor + 1. $$ (conv-size)
#
# By hand: 5 voxels, kernel 3, stride 2 leave 2 without padding and 3 with $p = 1$. The brackets round down, and what they round off is data that nobody looks at: 6 voxels without padding leave 2 as well, and the sixth is in no window.


# %%
def size_after(n, k, s=1, p=0, d=1):
    return (n + 2 * p - d * (k - 1) - 1) // s + 1  # (conv-size)


assert size_after(5, 3, s=2) == 2 and size_after(5, 3, s=2, p=1) == 3
for n, k, s, p, d in np.ndindex(12, 4, 3, 3, 3):
    n, k, s, d = n + 10, k + 1, s + 1, d + 1
    found = F.conv1d(torch.zeros(1, n), torch.zeros(1, 1, k), None, s, p, d)
    assert found.shape[-1] == size_after(n, k, s, p, d)

# %% [markdown]
# Zeros are not neutral. After a z-score, 0 is the mean of the brain, so a zero-padded cut through tissue looks like more tissue, and around a skull-stripped brain zeros are only right if the background is 0 as well. A network notices: it can learn from the zeros where the border of its patch is.
#
# ### It is a linear layer with most weights missing
#
# Convolution is linear in $\mathbf{x}$, so with the image written as one long vector there must be a matrix:
#
# $$ \operatorname{vec}(y) = W \operatorname{vec}(x). $$ (conv-matrix)
#
# To find it, send through each image that is 1 in one place and 0 elsewhere: the answers are the columns.
#
# **Predict.** From $5 \times 5$ to $3 \times 3$ values with a kernel of nine weights: how large is $W$, how many of its entries can differ from 0, and how many different numbers does it hold at most?

# %%
units = torch.eye(25).reshape(25, 1, 5, 5)
pattern = F.conv2d(units, torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)).flatten(1).T
filled, different = int((pattern > 0).sum()), len(pattern.unique()) - 1
print(f"{tuple(pattern.shape)}: {filled} of {pattern.numel()} filled, {different} weights")
W = F.conv2d(units, kernel[None, None]).flatten(1).T
torch.testing.assert_close(W @ image.flatten(), by_hand.flatten())  # (conv-matrix)

# %% tags=["hide-input"]
run.record("conv_filled", filled, low=81, high=81, digits=0)
figure, ax = plt.subplots(figsize=(5.0, 2.7))
drawn = ax.imshow(np.where(pattern > 0, pattern, np.nan), cmap="viridis", vmin=1, vmax=9)
drawn.set_gid("voxels-matrix")
for row, column in pattern.nonzero().tolist():
    ax.text(column, row, f"{int(pattern[row, column])}", ha="center", va="center", fontsize=7, color="white" if pattern[row, column] < 6 else "#1a1a1a")  # fmt: skip
ax.set(xlabel="voxel of the input (5 × 5, row after row)", ylabel="voxel of the output", xticks=range(0, 25, 5), yticks=range(0, 9, 3))  # fmt: skip
show(
    figure,
    caption="The matrix of a convolution whose kernel holds the weights 1 to 9. Each row is the row above, moved by one voxel, or by three at the end of a line: nine weights, shared by all places, and zeros (empty).",
    alt="A matrix of 9 rows and 25 columns with three short runs of three coloured numbers in each row, moving to the right from row to row",
)

# %% [markdown]
# {glue:text}`conv_filled` entries of 225, and nine numbers. Two assumptions are built in: what matters is near (zeros), and what is worth finding is worth finding everywhere (equal rows). The second is called *equivariance*: if the image moves, the feature map moves with it (with a stride, only for moves by whole strides). Images of brains meet both assumptions halfway. Tissue is local; but a brain has a left and a front, and a convolution without padding does not know where it is.
#
# ### Channels, and kernels of one voxel
#
# Scans have several sequences, layers have several feature maps: {term}`channels <channel>`. Each output channel $c$ has a kernel for every input channel $c'$, and adds up:
#
# $$ \begin{gathered} y_c = b_c + \sum_{c'} w_{c c'} \star x_{c'}, \\ \text{weights: } C' \, (C k^D + 1) \end{gathered} $$ (conv-channels)
#
# for $C$ channels in, $C'$ out and kernels $k$ wide in $D$ dimensions. Even $k = 1$ makes sense now {cite}`lin2014`: at each voxel it mixes the channels, by the same small linear layer at every voxel. By hand: FLAIR 2 and T2 3 at a voxel, weights 1 and $\frac12$, bias $-2$, give $2 + 1.5 - 2 = 1.5$. Fluid is bright in T2 and dark in FLAIR; a tumour with its oedema is bright in both.

# %%
mix = nn.Conv2d(2, 1, 1)
with torch.no_grad():
    mix.weight[:], mix.bias[:] = torch.tensor([1.0, 0.5]).reshape(1, 2, 1, 1), -2.0
    voxel = torch.tensor([2.0, 3.0]).reshape(1, 2, 1, 1)
    torch.testing.assert_close(mix(voxel).flatten(), torch.tensor([1.5]))  # (conv-channels)
    bright = F.relu(mix(torch.stack([FLAIR, T2])[None]))[0, 0]
print(f"Dice of a neuron with two weights: {float(dice(bright > 0, label)):.2f}")

# %% tags=["hide-input"]
run.record("conv_one_dice", dice(bright > 0, label), low=0.6, high=1, digits=2)
figure, axes = plt.subplots(1, 3, figsize=(5.4, 2.8))
draw(axes[0], FLAIR, "FLAIR", GREY)
draw(axes[1], T2, "T2", (-1.5, 4))
draw(axes[2], bright, "what is left", (0, 1.2), "magma")
show(
    figure,
    caption="Two channels of a synthetic scan, and what one kernel of a single voxel makes of them: 1 · FLAIR + ½ · T2 − 2, and no less than 0 (black: 0, pale yellow: 1.2). Fluid is gone; of the tumour the darker part is missing.",
    alt="FLAIR with a bright tumour, T2 with bright fluid and tumour, and a dark map in which the tumour alone is bright",
)

# %% [markdown]
# A Dice coefficient of {glue:text}`conv_one_dice` from two weights and a bias, in one slice of a synthetic tumour. No healthy voxel passes; what is missed is the darker part of the tumour. Real tumours are less obliging, and healthy tissue elsewhere in the head is bright, too. But it shows what a $1 \times 1$ layer is for: it decides, or it makes many channels into few before an expensive layer.
#
# ### What 3D costs
#
# In 3D the window is a cube that moves along three axes; equation {eq}`conv-correlation` is the same. What changes is the bill.
#
# **Predict.** Two layers of kernel 3 behind each other reach as far as one of kernel 5. Which has more weights in 3D, and how many times more?


# %%
def weights(*kernels, axes=3, channels=32):
    layer = {2: nn.Conv2d, 3: nn.Conv3d}[axes]
    layers = [layer(channels, channels, k, device="meta") for k in kernels]
    assert all(one.weight.numel() == channels**2 * one.kernel_size[0] ** axes for one in layers)
    return sum(p.numel() for one in layers for p in one.parameters())


ratio = weights(5) / weights(3, 3)
print(f"{weights(3, 3):,} and {weights(5):,}, {ratio:.1f} times as many")

# %% tags=["hide-input"]
table(
    ["kernels", "weights in 2D", "weights in 3D", "multiplications in 3D (128³)"],
    [["then ".join(f"{k} " for k in ks), f"{weights(*ks, axes=2):,}", f"{weights(*ks):,}", f"{sum(32**2 * k**3 * 128**3 for k in ks) / 1e9:,.0f} · 10⁹"] for ks in ((1,), (3,), (3, 3), (5,), (3, 3, 3), (7,))],
    caption="Layers from 32 channels to 32. Multiplications: every weight is used once at every voxel.",
)  # fmt: skip
run.record("conv_five_ratio", ratio, low=2.2, high=2.4, digits=1)

# %% [markdown]
# $5^3 = 125$ against $2 \cdot 3^3 = 54$, a factor of {glue:text}`conv_five_ratio`, and the two layers have a rectifier in between besides. That is why most networks in this book keep to kernels of 3 (the V-Net, with 5, pays for it). The cube of everything also means: halve the edge of a voxel, and eight times as many multiplications and eight times as much memory are due.
#
# ## Down and up again
#
# ### Pooling
#
# {term}`Pooling <pooling>` makes one value of each block, its largest or its mean:
#
# $$ \begin{aligned} y_\mathbf{i} &= \max_{\mathbf{u} \in \text{block}} x_{s\mathbf{i} + \mathbf{u}} \quad \text{or} \\ y_\mathbf{i} &= \frac{1}{k^D} \sum_{\mathbf{u} \in \text{block}} x_{s\mathbf{i} + \mathbf{u}}. \end{aligned} $$ (conv-pool)
#
# The maximum can be partly undone if one keeps the places: *unpooling* puts each value back where it was, and zeros elsewhere {cite}`zeiler2014`. By hand, with blocks of $2 \times 2$:
#
# $$ \begin{aligned} \begin{pmatrix} 1 & 3 & 2 & 0 \\ 4 & 2 & 1 & 1 \\ 0 & 1 & 5 & 6 \\ 3 & 2 & 7 & 8 \end{pmatrix} &\xrightarrow{\max} \begin{pmatrix} 4 & 2 \\ 3 & 8 \end{pmatrix} \\ &\xrightarrow{\text{unpool}} \begin{pmatrix} 0 & 0 & 2 & 0 \\ 4 & 0 & 0 & 0 \\ 0 & 0 & 0 & 0 \\ 3 & 0 & 0 & 8 \end{pmatrix}, \\ \text{the same} &\xrightarrow{\text{mean}} \begin{pmatrix} 2.5 & 1 \\ 1.5 & 6.5 \end{pmatrix} \end{aligned} $$

# %%
blocks = torch.tensor([[1.0, 3, 2, 0], [4, 2, 1, 1], [0, 1, 5, 6], [3, 2, 7, 8]])[None, None]
largest, places = F.max_pool2d(blocks, 2, return_indices=True)
torch.testing.assert_close(largest[0, 0], torch.tensor([[4.0, 2.0], [3.0, 8.0]]))  # (conv-pool)
mean = F.avg_pool2d(blocks, 2)[0, 0]
torch.testing.assert_close(mean, torch.tensor([[2.5, 1.0], [1.5, 6.5]]))
back = F.max_unpool2d(largest, places, 2)
expected = torch.tensor([[0.0, 0, 2, 0], [4, 0, 0, 0], [0, 0, 0, 0], [3, 0, 0, 8]])
torch.testing.assert_close(back[0, 0], expected)
print(f"2D keeps {largest.numel() / blocks.numel():.0%}, 3D {F.max_pool3d(torch.zeros(1, 4, 4, 4), 2).numel() / 64:.1%}")  # fmt: skip

# %% tags=["hide-input"]
zoom = T1[8:80, 48:120]
coarse, places = F.max_pool2d(zoom[None], 4, return_indices=True)
kept = torch.full_like(zoom, -4.0).flatten().scatter(0, places.flatten(), coarse.flatten())
figure, axes = plt.subplots(2, 2, figsize=(4.8, 5.6))
draw(axes[0, 0], zoom, "T1", (-4, 2), smooth=False)
draw(axes[0, 1], coarse[0], "largest of 4 × 4", (-4, 2), mm=4, smooth=False)
draw(axes[1, 0], F.avg_pool2d(zoom[None], 4)[0], "mean of 4 × 4", (-4, 2), mm=4, smooth=False)
draw(axes[1, 1], kept.reshape(zoom.shape), "unpooled", (-4, 2), smooth=False)
show(
    figure,
    caption="A part of a synthetic T1 slice, 72 mm wide, and what pooling leaves of it: one value in sixteen. Unpooled: these values where they came from, all else black (instead of 0).",
    alt="Ventricle and tumour in T1; a coarse version in which dark parts have shrunk; a coarse grey version; separate dots on black",
)

# %% [markdown]
# The maximum is not fair: what is bright in T1 (white matter) grows, dark furrows close. It keeps *that* something bright was there, and gives up where. The zoo's thesis says that it works better than the mean in practice, and that many prefer a convolution of stride 2 to either, whose weights are learned. All three are in use in the next lessons.
#
# ### Transposed convolution
#
# A convolution with stride 2 is a wide matrix $W$: it makes many values into few. Its transpose is tall, and makes few into many:
#
# $$ \tilde{\mathbf{x}} = W^T \mathbf{y}, \qquad \langle W \mathbf{x}, \mathbf{y} \rangle = \langle \mathbf{x}, W^T \mathbf{y} \rangle. $$ (conv-transposed)
#
# This is the {term}`transposed convolution`. It is the {term}`adjoint`, as {term}`back-projection` is to {term}`projection`, and no more an inverse than that (the old name *deconvolution* promises too much). In pictures: each coarse voxel stamps the kernel, multiplied by its value, into the fine image, $s$ voxels from stamp to stamp; where stamps overlap they add up. The size goes backwards through equation {eq}`conv-size`: from $n'$ to $n = (n' - 1)\,s + d\,(k - 1) + 1 - 2p$, since padding now cuts $p$ voxels off each side. By hand: 2 voxels, kernel 3, stride 2 give $2 + 2 + 1 = 5$. (A size that was rounded down comes back too small; the option `output_padding` adds what is missing.)

# %%
w = torch.randn(1, 1, 3, 3, generator=run.fresh_generator(1))
x = torch.randn(1, 1, 5, 5, generator=run.fresh_generator(2))
y = torch.randn(1, 1, 2, 2, generator=run.fresh_generator(3))
W = F.conv2d(units, w, stride=2).flatten(1).T  # 4 × 25
up = F.conv_transpose2d(y, w, stride=2)  # from 2 × 2 to 5 × 5
torch.testing.assert_close(up.flatten(), W.T @ y.flatten())
left, right_ = (F.conv2d(x, w, stride=2) * y).sum(), (x * up).sum()
torch.testing.assert_close(left, right_)  # (conv-transposed)

# %% [markdown]
# **Predict.** Stamp a kernel of $3 \times 3$ ones with stride 2 on $3 \times 3$ ones. Flat goes in. What comes out, row by row?

# %%
# NBVAL_CHECK_OUTPUT
ones = torch.ones(1, 1, 3, 3)
print(F.conv_transpose2d(ones, torch.ones(1, 1, 3, 3), stride=2)[0, 0].int().numpy())

# %% [markdown]
# Along a row 1 1 2 1 2 1 1: every other voxel lies under two stamps. In the plane the patterns multiply, to 1, 2 and 4 (in space, 8). This is the {term}`checkerboard artefact` {cite}`odena2016`, and our experiment below is about it.
#
# ## How far a voxel sees
#
# ### Dilation
#
# Spread the kernel's weights $d$ voxels apart, and it sees further at no cost {cite}`yu2016`:
#
# $$ y_\mathbf{i} = b + \sum_\mathbf{u} w_\mathbf{u}\, x_{\mathbf{i} + d\,\mathbf{u}}. $$ (conv-dilated)
#
# By hand on the $5 \times 5$ image above with $d = 2$: rows 0, 2, 4, right minus left, $2 + 2 + 0 = 4$.

# %%
dilated = F.conv2d(image[None, None], kernel[None, None], dilation=2)
torch.testing.assert_close(dilated.flatten(), torch.tensor([4.0]))  # (conv-dilated)

# %% [markdown]
# ### The receptive field
#
# The {term}`receptive field` of a voxel of the output is everything in the input that can move it. Along one axis, layer by layer from the input {cite}`araujo2019`: a kernel adds $d\,(k - 1)$ steps to the field $r$, and a stride makes the steps $j$ of all later layers longer,
#
# $$ \begin{aligned} r_l &= r_{l-1} + d_l\,(k_l - 1)\, j_{l-1}, \\ j_l &= s_l\, j_{l-1}, \qquad r_0 = j_0 = 1. \end{aligned} $$ (conv-field)
#
# By hand, kernel 3 twice, a pooling of 2, kernel 3: fields 3, 5, then $5 + 1 = 6$, then $6 + 2 \cdot 2 = 10$.
#
# To measure it, put a random image in and let PyTorch compute the gradient of one output voxel with respect to every input voxel. Where it is not 0, the input can move the output. As a rectifier blocks other paths for each image, the sizes of the gradients are averaged over sixteen of them. That is what `measured_receptive_field` does.
#
# **Predict.** Four layers of kernel 3. Which field have they as they are, which with dilations of 1, 2, 4, 8, and which with a stride of 2 each?

# %%
assert receptive_field([(3,), (3,), (2, 2), (3,)]).size == 10
FOUR = {
    "plain": [(1, 1)] * 4,
    "dilated": [(1, 2**k) for k in range(4)],
    "strides": [(2, 1)] * 4,
}
for name, layers in FOUR.items():
    field = receptive_field([(3, *layer) for layer in layers])
    seen = measured_receptive_field(seeded(lambda n=layers: stack(*n)), 1, (80, 80), seed=seed)
    assert seen.extent == (field.size, field.size)
    print(f"{name}: {field.size}, outputs {field.jump} apart")


# %% tags=["hide-input"]
def paths(layers, kernel):
    """Along one axis: from how many places, counted with repetition, each input reaches the output."""
    counts, jump = np.ones(1), 1
    for stride, dilation in layers:
        taps = np.zeros(dilation * jump * (kernel - 1) + 1)
        taps[:: dilation * jump] = 1
        counts, jump = np.convolve(counts, taps), jump * stride
    return counts


def draw_field(layers, dilation, stride):
    counts = paths([(stride, dilation)] * layers, 3)
    found = receptive_field([(3, stride, dilation)] * layers)
    assert len(counts) == found.size
    figure = plt.figure(figsize=(4.6, 6.6), layout="none")  # a layout solved anew costs time
    axes = figure.add_axes((0.0, 0.3, 1.0, 0.655)), figure.add_axes((0.14, 0.08, 0.82, 0.16))
    glow(axes[0], torch.from_numpy(np.outer(counts, counts)), f"field {found.size} × {found.size}, outputs {found.jump} apart")  # fmt: skip
    corner = (len(FLAIR) - VOXEL[0] - 0.5 - found.size / 2, VOXEL[1] + 0.5 - found.size / 2)
    axes[0].add_patch(plt.Rectangle(corner, found.size, found.size, fill=False, edgecolor=style.GREEN, linewidth=1.8))  # fmt: skip
    places = np.arange(len(counts)) - (len(counts) - 1) / 2
    axes[1].bar(places, counts / counts.max(), width=0.85, color=style.ORANGE)
    axes[1].set(xlim=(-40, 40), ylim=(0, 1.05), xlabel="place along a row (voxels)", ylabel="paths", yticks=[0, 1])  # fmt: skip
    return figure


explore(
    draw_field,
    caption="The receptive field (green) of the voxel at the cross over a synthetic FLAIR image, with kernels of 3 × 3. The glow, and the bars for one row, count the paths by which an input voxel gets there (largest: 1). With a dilation of 2, look for voxels that nobody sees, and whether more layers help; then try a stride of 2 instead.",
    alt=lambda layers, dilation, stride: f"{layers} layers of kernel 3, dilation {dilation}, stride {stride}: a field of {receptive_field([(3, stride, dilation)] * layers).size} voxels, in which {int((paths([(stride, dilation)] * layers, 3) > 0).sum())} places along a row are seen",
    labels={"layers": "layers", "dilation": "dilation", "stride": "stride"},
    start={"layers": 4, "dilation": 2, "stride": 1},
    layers=[1, 2, 3, 4, 5],
    dilation=[1, 2, 3],
    stride=[1, 2],
)  # fmt: skip
for name, layers in FOUR.items():
    size = receptive_field([(3, *layer) for layer in layers]).size
    run.record(f"conv_four_{name}", size, low=9, high=31, digits=0)

# %% [markdown]
# {glue:text}`conv_four_plain`, {glue:text}`conv_four_dilated` and {glue:text}`conv_four_strides`: plain layers add, strides and growing dilations double, and the gradient finds the same. The difference is the price. Strides give few outputs, far apart, and have to be brought up again; dilation keeps every voxel, and the memory for it. A *constant* dilation of 2 leaves every other voxel unseen, however many layers follow, since all reach the output in even steps only. That is why networks vary it.
#
# And the third network of the first figure? Resizing by copies has no place in {eq}`conv-field`, so go backwards from the output: to give $m$ voxels side by side, a convolution needs $s\,(m - 1) + d\,(k - 1) + 1$, and a resize to twice the size half of $m$, rounded up. From one voxel: 3 (convolution), 2 (resize), 4, 2, 4, and with strides 9 and {glue:text}`conv_first_down`. (The second resize may need 3 instead of 2, if the four voxels do not begin with a pair of copies. So voxels of one network can have different fields.)
#
# ### And what it really uses
#
# The bars fall off towards the edge, since few paths lead there. With equal weights, $n$ layers of kernel $k$ (without strides and dilations) are $n$ boxes convolved with one another, and by the central limit theorem a bell of variance $n (k^2 - 1)/12$ {cite}`luo2016`. With random weights that holds for the *squares* of the gradient, so its size, the root of a bell, is a bell with twice the variance:
#
# $$ \begin{aligned} \sigma_\text{equal} &= \sqrt{\frac{n\,(k^2 - 1)}{12}}, \\ \sigma_\text{random} &\approx \sqrt{2}\; \sigma_\text{equal}. \end{aligned} $$ (conv-effective)
#
# **Predict.** From 4 layers to 16, the field of kernel 3 grows from 9 to 33 voxels, nearly fourfold. What does the width do that is really used?

# %% tags=["hide-input"]
DEPTHS = (1, 4, 16) if run.profile.name == "ci" else (1, 2, 4, 8, 16, 32)
spread = {n: [float(np.mean(measured_receptive_field(seeded(lambda n=n: stack(*[(1, 1)] * n), 10 + k), 1, (2 * n + 9,) * 2, seed=k).spread)) for k in range(SEEDS)] for n in DEPTHS}  # fmt: skip
equal = {n: np.sqrt(np.average((np.arange(2 * n + 1) - n) ** 2, weights=paths([(1, 1)] * n, 3))) for n in DEPTHS}  # fmt: skip
for n in DEPTHS:  # (conv-effective), left
    np.testing.assert_allclose(equal[n], np.sqrt(n * 8 / 12))
middle = [mean_interval(spread[n]) for n in DEPTHS]
line = np.linspace(1, DEPTHS[-1], 100)
figure, ax = plt.subplots(figsize=(4.8, 3.5))
ax.plot(line, line, color=style.MUTED, label="half of the receptive field")
ax.plot(line, np.sqrt(line * 16 / 12), ":", color=style.ORANGE, label="√2 σ of equal weights")
ax.errorbar(DEPTHS, [one.mean for one in middle], yerr=[one.half for one in middle], fmt="o", color=style.ORANGE, capsize=3, label="measured, random weights")  # fmt: skip
ax.plot(DEPTHS, list(equal.values()), "s", color=style.BLUE, label="σ of equal weights")
ax.set(xlabel="layers of kernel 3", ylabel="voxels", xlim=(0, None), ylim=(0, 1.02 * DEPTHS[-1]))  # fmt: skip
ax.legend(loc="upper left")
show(
    figure,
    caption=f"Half of the receptive field, and the standard deviation of what a voxel is moved by, for networks with rectifiers and random weights ({SEEDS} seeds, 95 % intervals). What can have an influence grows with the depth; what has one, only as its square root.",
    alt="A straight line up, and far below it dots on two curves that flatten",
)
rise = mean_interval(np.array(spread[16]) / np.array(spread[4]))
run.record("conv_effective_rise", rise.mean, low=2.0, high=2.6, digits=2)
run.record("conv_effective_16", np.mean(spread[16]), low=4.0, high=5.2, digits=1)
slope = np.polyfit(np.log(DEPTHS[1:]), np.log([np.mean(spread[n]) for n in DEPTHS[1:]]), 1)[0]
run.record("conv_effective_power", slope, low=0.45, high=0.68, digits=2)

# %% [markdown]
# {glue:text}`conv_effective_rise` times, close to the square root's 2. Sixteen layers see 33 voxels and use a blob with a standard deviation of {glue:text}`conv_effective_16`. This {term}`effective receptive field` is that of an untrained network; training widens it, as Luo and colleagues found. But the start explains why depth alone is a poor way to see far, and why a U-Net goes down before it goes deep.
#
# ## Keeping values in bounds
#
# ### Batch normalisation and its relatives
#
# Products of many weights grow or fade, and each layer must follow what the ones before it do. {term}`Batch normalisation` {cite}`ioffe2015` takes a channel, and brings it to mean 0 and variance 1 over all voxels of all samples of the {term}`batch`; then the network may choose scale $\gamma$ and shift $\beta$ itself:
#
# $$ \hat{x} = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}, \qquad y = \gamma \hat{x} + \beta. $$ (conv-norm)
#
# By hand, a batch of two images of $2 \times 2$, with 2, 4, 4, 4 and 5, 5, 7, 9: mean 5, variance 4, so $-1.5, -0.5, -0.5, -0.5$ and $0, 0, 1, 2$. After training there may be no batch. So the layer keeps a running mean and a running variance of what it sees, and uses these instead. They begin at 0 and 1, and each step in training renews a tenth of them: after this one batch the mean is $0.9 \cdot 0 + 0.1 \cdot 5 = 0.5$. It is a different function in training and in use:

# %%
batch = torch.tensor([[2.0, 4, 4, 4], [5, 5, 7, 9]]).reshape(2, 1, 2, 2)
norm = normalisation("batch", 1)
expected = torch.tensor([[-1.5, -0.5, -0.5, -0.5], [0, 0, 1, 2]]).reshape(2, 1, 2, 2)
torch.testing.assert_close(norm.train()(batch), expected, atol=1e-5, rtol=0)  # (conv-norm)
renewed = 0.9 * 0 + 0.1 * 5, 0.9 * 1 + 0.1 * 32 / 7  # the unbiased variance: over 7, not 8
torch.testing.assert_close(norm.running_mean[0].item(), renewed[0])
torch.testing.assert_close(norm.running_var[0].item(), renewed[1])
first = norm.eval()(batch)[0, 0, 0, 0].item()
print(f"the 2 becomes {expected[0, 0, 0, 0]:.2f} in training, {first:.2f} in use")

# %% [markdown]
# So large a gap is that of a beginner: after some dozens of steps the running values have arrived. A gap remains. In training your patch is normalised with its neighbours in the batch; change them, and its answer changes. In use it is normalised by the average over recent batches.
#
# **Predict.** By how much does the difference between training and use shrink, if the batch grows from 1 patch to 16?

# %% tags=["hide-input"]
patches = F.unfold(T1[None, None], 24, stride=8)[0].T.reshape(-1, 1, 24, 24)
inside = F.unfold(mask[None, None].float(), 24, stride=8)[0].mean(0)
patches = patches[inside > 0.95]
BATCHES = (1, 2, 4, 8, 16, 32)


@torch.no_grad()
def gap(size, number, draws=40):
    """RMS difference between batch normalisation with the batch's statistics and with everybody's."""
    chance = run.fresh_generator(20 + number)
    features = seeded(lambda: nn.Conv2d(1, 8, 3), number)(patches)
    mean, variance = features.mean((0, 2, 3)), features.var((0, 2, 3))
    found = []
    for _ in range(draws):
        some = features[torch.randint(len(features), (size,), generator=chance)]
        trained = F.batch_norm(some, None, None, training=True)
        found.append((trained - F.batch_norm(some, mean, variance)).square().mean())
    return float(torch.stack(found).mean().sqrt())


gaps = {size: [gap(size, k) for k in range(SEEDS)] for size in BATCHES}
middle = [mean_interval(gaps[size]) for size in BATCHES]
figure, ax = plt.subplots(figsize=(4.8, 3.3))
ax.errorbar(BATCHES, [one.mean for one in middle], yerr=[one.half for one in middle], fmt="o-", capsize=3, color=style.BLUE)  # fmt: skip
ax.plot(BATCHES, middle[0].mean / np.sqrt(BATCHES), ":", color=style.MUTED, label="one over the square root")  # fmt: skip
ax.set(xscale="log", yscale="log", xlabel="patches in the batch", ylabel="difference (standard deviations)")  # fmt: skip
ax.set_xticks(BATCHES, BATCHES)
ax.set_yticks([0.1, 0.2, 0.5], ["0.1", "0.2", "0.5"])
ax.minorticks_off()
ax.legend()
show(
    figure,
    caption=f"How differently a patch is normalised in training (by its batch) and in use (by all {len(patches)} patches): features of random kernels, patches of 24 × 24 voxels of a synthetic T1 slice, {SEEDS} seeds, 95 % intervals.",
    alt="A falling line on two logarithmic axes, near the dotted line of one over the square root",
)
ratio = mean_interval(np.array(gaps[1]) / np.array(gaps[16]))
run.record("conv_gap_1", middle[0].mean, low=0.25, high=0.9, digits=2)
run.record("conv_gap_16", middle[4].mean, low=0.05, high=0.25, digits=2)
run.record("conv_gap_ratio", ratio.mean, low=3, high=6, digits=1)

# %% [markdown]
# From {glue:text}`conv_gap_1` standard deviations to {glue:text}`conv_gap_16`, a factor of {glue:text}`conv_gap_ratio`: about the square root of 16, as for any mean of independent things. In 2D, with batches of 32, it is a mild noise, which its authors count among its benefits. In 3D, memory often allows one or two patches, and then a network is trained on one function and used as another. Hence the relatives, which never look at the neighbours and are the same in training and use:
#
# | layer | mean and variance over | depends on the batch |
# | --- | --- | --- |
# | batch norm | all voxels of all samples, each channel | yes |
# | {term}`instance norm <instance normalisation>` {cite}`ulyanov2016` | all voxels of one sample, each channel | no |
# | {term}`group norm <group normalisation>` {cite}`wu2018` | all voxels of one sample, channels in groups | no |

# %%
for kind in ("batch", "instance", "group"):
    layer = normalisation(kind, 1).train()
    change = float((layer(batch[:1]) - layer(batch)[:1]).detach().abs().max())
    print(f"{kind:8s} changes by {change:.2f}")
    assert (change > 0.1) == (kind == "batch")

# %% [markdown]
# They have a price as well. An instance norm divides each channel by its own contrast, so how strongly a channel answered, as a whole, is forgotten. And every voxel of a patch now has a faint say in every other: the receptive field, strictly, is the whole patch.
#
# ### Dropout
#
# {term}`Dropout` {cite}`srivastava2014` sets each value to 0 with probability $p$, in training, so that no value can rely on another being there. What is left is made larger, so that the mean stays:
#
# $$ \begin{gathered} y = \frac{m}{1 - p}\, x, \quad \mathrm{P}[m = 0] = p \text{, else } m = 1, \\ \mathrm{E}[y] = x, \quad \mathrm{Var}[y] = \frac{p}{1 - p}\, x^2. \end{gathered} $$ (conv-dropout)
#
# By hand: $1, 2, 3, 4$ with $p = \frac12$, and the mask $1, 0, 0, 1$ gives $2, 0, 0, 8$. (The authors scaled at test time instead; today everybody scales in training, so that nothing is left to do in use.)

# %%
values = torch.tensor([1.0, 2.0, 3.0, 4.0])
kept = torch.rand(20_000, 4, generator=run.fresh_generator(4)) >= drop
dropped = kept * values / (1 - drop)  # (conv-dropout)
torch.testing.assert_close(dropped.mean(0), values, rtol=0.05, atol=0)
torch.testing.assert_close(dropped.var(0), values**2 * drop / (1 - drop), rtol=0.05, atol=0)
layer = nn.Dropout(drop)
assert torch.equal(layer.eval()(values), values)  # in use it does nothing

# %% [markdown]
# Neighbouring voxels of a feature map are alike, so one that is dropped is hardly missed. Many convolutional networks drop whole channels instead.
#
# ## Depth
#
# A gradient passes every layer on its way back and is multiplied each time: it becomes a sum over $k^D C$ random weights (with as many channels out as in), so its mean square is multiplied by $k^D C$ times their variance. PyTorch's default start makes that variance $1/(3 k^D C)$, and a rectifier lets half of the gradient through: a factor of $\frac13 \cdot \frac12 = \frac16$ a layer. Kaiming He's start makes the variance $2/(k^D C)$, so that both cancel {cite}`he2015`. Or one leaves a way without factors, the {term}`residual connection` (thesis eq. 4.7; {cite}`he2016`), or hands every feature map to all later layers, the {term}`dense connection` {cite}`huang2017`:
#
# $$ \begin{aligned} x_l &= x_{l-1} + f_l(x_{l-1}), \\ x_l &= f_l\big([x_0, x_1, \dots, x_{l-1}]\big). \end{aligned} $$ (conv-residual)
#
# **Predict.** Thirty layers with the default start: by which factor is the gradient smaller at the first layer than at the last?


# %%
def gradients(kind, number, depth=30, channels=8):
    """Size of the gradient of each layer's output, relative to the last."""
    inputs = [channels * (1 + k if kind == "dense" else 1) for k in range(depth)]
    layers = seeded(lambda: [nn.Conv2d(n, channels, 3, padding=1) for n in inputs], number)
    if kind == "He's start":
        seeded(lambda: [nn.init.kaiming_normal_(one.weight) for one in layers], number)
    x = [torch.randn(1, channels, 24, 24, generator=run.fresh_generator(30 + number))]
    for layer in layers:
        before = torch.cat(x, 1) if kind == "dense" else x[-1]
        f = layer(F.relu(before)) if kind == "residual" else F.relu(layer(before))
        x.append(x[-1] + f if "residual" in kind else f)  # (conv-residual)
    out = torch.cat(x[1:], 1) if kind == "dense" else x[-1]
    out = (out * torch.randn(out.shape, generator=run.fresh_generator(60))).sum()
    sizes = torch.stack([g.square().mean().sqrt() for g in torch.autograd.grad(out, x[1:])])
    return (sizes / sizes[-1]).numpy()


# %% tags=["hide-input"]
KINDS = {"default start": (style.PINK, "-"), "He's start": (style.BLUE, "-"), "residual": (style.GREEN, "-"), "residual, rectifier last": (style.PURPLE, "-"), "dense": (style.GOLD, "--")}  # fmt: skip
sizes = {kind: np.array([gradients(kind, 100 * k) for k in range(SEEDS)]) for kind in KINDS}
mean_size = {kind: np.exp(np.log(found).mean(0)) for kind, found in sizes.items()}
layers = np.arange(1, 31)
figure, ax = plt.subplots(figsize=(4.8, 4.2))
for kind, (colour, dashes) in KINDS.items():
    ax.fill_between(layers, sizes[kind].min(0), sizes[kind].max(0), color=colour, alpha=0.2, linewidth=0)  # fmt: skip
    ax.plot(layers, mean_size[kind], dashes, color=colour, label=kind)
ax.plot(layers, 6.0 ** ((layers - 30) / 2), ":", color=style.INK, linewidth=1.2, label="pencil")  # fmt: skip
ax.plot(layers, (7 / 6) ** ((30 - layers) / 2), ":", color=style.INK, linewidth=1.2)
ax.set(yscale="log", xlabel="layer", ylabel="gradient, relative to the last", ylim=(1e-14, 1e3))
ax.legend(loc="lower right")
show(
    figure,
    caption=f"How large the gradient is that arrives at each of thirty convolutions, before any training ({SEEDS} seeds: geometric mean, least and largest). Dotted: the pencil's 1/6 and 7/6 a layer, for its square. Only the default start loses the gradient.",
    alt="A straight line that falls by twelve orders of magnitude from layer 30 to layer 1, and four that stay within two orders of magnitude of 1",
)
run.record("conv_vanish", mean_size["default start"][0], low=1e-14, high=1e-9, digits=0, scientific=True)  # fmt: skip
run.record("conv_factor", mean_size["default start"][0] ** (2 / 29), low=0.1, high=0.22, digits=2)  # fmt: skip
for key, kind, low, high in (("residual", "residual", 4, 20), ("last", "residual, rectifier last", 8, 100), ("dense", "dense", 0.5, 5)):  # fmt: skip
    run.record(f"conv_first_{key}", mean_size[kind][0], low=low, high=high, digits=1)
run.record("conv_residual_factor", mean_size["residual"][0] ** (1 / 29), low=1.05, high=1.1, digits=3)  # fmt: skip
for key, value in (("low", sizes["He's start"][:, 0].min()), ("high", sizes["He's start"][:, 0].max())):  # fmt: skip
    run.record(f"conv_he_{key}", value, low=0.005, high=5, digits=2)

# %% [markdown]
# {glue:text}`conv_vanish`: with one step size for all layers, the first would never learn. The squared gradient is multiplied by {glue:text}`conv_factor` a layer, where the pencil says $\frac16 = 0.17$. (The pencil speaks of the mean over all starts; with only eight channels, a typical start lies below it. With `channels=32` the two come close.) He's start keeps the size roughly, but seeds differ: {glue:text}`conv_he_low` to {glue:text}`conv_he_high` at the first layer.
#
# The residual network *gains*: adding $\frac16$ to 1 makes $\sqrt{7/6} = 1.080$ a layer, here {glue:text}`conv_residual_factor`, and {glue:text}`conv_first_residual` at the first of thirty. "The gradient is simply one", as one reads, is nearly true of a layer and not of a network. The order of $f$ counts as well {cite}`he2016identity`. Our $f$ is a rectifier, then a convolution. The other way round the pencil is wrong: {glue:text}`conv_first_last` instead of {glue:text}`conv_first_residual`. Our explanation: every layer then adds something positive, so the units that are on are those with mostly positive weights, and gradients through them add up, while the pencil takes them for independent.
#
# Dense connections keep the gradient, too ({glue:text}`conv_first_dense` at the first layer; here the result is read from all feature maps). They are paid in channels. With $C_0$ at first and a growth of $g$ a layer, layer $l$ gets
#
# $$ C_l = C_0 + (l - 1)\, g $$ (conv-dense)
#
# of them: with 8 and 8, layer 30 reads 240 channels. Its weights are few because $g$ is small, its *memory* is not: all feature maps stay.
#
# ### Attention gates, in short
#
# U-Nets hand fine feature maps $x$ past the bottom, to be joined with coarse ones $g$ that know more. An {term}`attention gate` lets the coarse map choose what passes {cite}`oktay2018`: a weight $\alpha$ between 0 and 1 for each voxel. The kernel $\theta$ goes over $x$ with stride 2, so that what comes out has the size of $g$; $\phi$ and $\psi$ are kernels of one voxel, and $\varphi$ is still the rectifier:
#
# $$ \alpha = \mathrm{sigmoid}\big(\psi\, \varphi(\theta \star x + \phi\, g)\big), \quad \hat{x} = \alpha\, x. $$ (conv-gate)
#
# The $\alpha$ of each coarse voxel is repeated for its fine ones (the paper interpolates). By hand: let $\theta$ take the mean of $2 \times 2$ voxels 1, 2, 3, 4, so 2.5, and $\phi = \psi = 1$ without biases. A coarse value of $-4$ gives $\varphi(-1.5) = 0$ and $\alpha = \frac12$; $+1.5$ gives $\mathrm{sigmoid}(4) = 0.98$.

# %%
gate = AttentionGate(1, 1, 1, axes=2)
with torch.no_grad():
    for part, value in ((gate.theta, 0.25), (gate.phi, 1.0), (gate.psi, 1.0)):
        part.weight.fill_(value)
        if part.bias is not None:
            part.bias.zero_()
    fine = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    for coarse, alpha in ((-4.0, 0.5), (1.5, 0.98201)):
        passed = gate(fine, torch.full((1, 1, 1, 1), coarse))
        torch.testing.assert_close(passed, alpha * fine, atol=1e-4, rtol=0)  # (conv-gate)

# %% [markdown]
# With $\psi = 1$ and no bias such a gate closes only to one half, since what comes out of a rectifier is never negative: to shut anything out, $\psi$ must be negative or have a negative bias. Training may find that or not; put a gate into a network and look at $\alpha$ before you draw it in a paper.
#
# ## The experiment: ways up
#
# A network must come back to the size of the image, and a transposed convolution with stride 2 is the usual way. The zoo's thesis gives two remedies against its checkerboard: choose a kernel that is divisible by the stride, or a transposed convolution with stride 1. It adds that artefacts still leak through. Let us see. To have a number, take what a slight blur removes from an image, average it over all voxels of each of the four positions in a block of $2 \times 2$, and compare: the four means should be equal. Their standard deviation, over that of the image, is our checkerboard: 0 for none, 1 for an image that is nothing else.
#
# **Predict.** With all weights equal, kernels of 2, 4 and 6 give no checkerboard at stride 2, and kernels of 3 and 5 do. What do you expect of kernel 4 with *random* weights?


# %%
def checkerboard(image, region=None):
    """Standard deviation of the means of four positions, over that of the image (..., X, Y)."""
    blur = torch.tensor([1.0, 2.0, 1.0])
    blur = (blur[:, None] * blur)[None, None] / 16
    rest = image - F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), blur)
    region = torch.ones_like(image, dtype=torch.bool) if region is None else region
    places = [(..., slice(i, None, 2), slice(j, None, 2)) for i in (0, 1) for j in (0, 1)]
    means = torch.stack([rest[at][region[at]].mean() for at in places])
    return float(means.std(correction=0) / image[region].std())


for k in (2, 3, 4, 5, 6):
    stamps = F.conv_transpose2d(torch.ones(1, 1, 12, 12), torch.ones(1, 1, k, k), stride=2)
    uneven = len(stamps[..., 6:-6, 6:-6].unique()) > 1
    assert uneven == (k % 2 == 1)

# %% tags=["hide-input"]
WAYS = {
    f"transposed, {up_kernel}": lambda: nn.ConvTranspose2d(8, 1, up_kernel, 2, (up_kernel - 1) // 2, output_padding=up_kernel % 2),
    "transposed, 4 ": lambda: nn.ConvTranspose2d(8, 1, 4, 2, 1),
    "transposed, 4, equal start": lambda: equal_start(nn.ConvTranspose2d(8, 1, 4, 2, 1)),
    "resize, then 3": lambda: nn.Sequential(Upsample("nearest", axes=2), nn.Conv2d(8, 1, 3, padding=1)),
}  # fmt: skip


@torch.no_grad()
def equal_start(layer):
    """The same weights for all four positions in a block: as if each coarse voxel were repeated first."""
    w = layer.weight[..., ::2, ::2]
    layer.weight.copy_(w.repeat_interleave(2, 2).repeat_interleave(2, 3))
    return layer


X, Y = slice(16, 112), slice(40, 136)
target = T1[X, Y][None, None]
halved = F.avg_pool2d(torch.stack([T1, FLAIR])[None, :, X, Y], 2)
solid = F.avg_pool2d(mask[None, X, Y].float(), 9, 1, 4)[None] > 0.99
STEPS = run.pick(ci=30, cpu=150, gpu=300)


def upsampler(way, number):
    """Two channels at 2 mm in, T1 at 1 mm out."""
    return seeded(lambda: nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), WAYS[way]()), number)  # fmt: skip


def trained(way, number):
    """Checkerboard at the start, after ten steps and at the end, and the final RMS error."""
    network, found = upsampler(way, number), []
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(STEPS + 1):
        out = network(halved)
        if step in (0, 10, STEPS):
            found.append(checkerboard(out.detach(), solid))
        loss = F.mse_loss(out[..., 4:-4, 4:-4], target[..., 4:-4, 4:-4])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [*found, float(loss.detach().sqrt())]


figure, axes = plt.subplots(2, 2, figsize=(4.8, 5.6))
for ax, way in zip(axes.flat, WAYS, strict=False):
    with torch.no_grad():
        out = upsampler(way, 1)(halved)[0, 0]
    low, high = (float(v) for v in out[solid[0, 0]].quantile(torch.tensor([0.01, 0.99])))
    draw(ax, out[24:72, 24:72], way, (low, high), smooth=False)
show(
    figure,
    caption="The middle of a synthetic brain after two convolutions and one way up, with random weights, before any training: 48 × 48 voxels of 1 mm, each image with a grey scale of its own. Above, a grid over everything; below, none (the blocks of 2 × 2 at the lower left are the coarse voxels, repeated).",
    alt="Two images covered by a regular grid of light and dark voxels, and two smooth ones",
)
boards = {way: np.array([trained(way, k) for k in range(SEEDS)]) for way in WAYS}
table(
    ["way up", "at the start", "after 10 steps", f"after {STEPS} steps", "RMS error"],
    [[way, *(mean_interval(column).shown(3) for column in found.T)] for way, found in boards.items()],
    caption=f"The checkerboard of the output (0: none, 1: nothing else) and, in the last column, the error in standard deviations of T1 in the brain; mean of {SEEDS} seeds ± 95 % interval. The task: T1 at 1 mm from T1 and FLAIR at 2 mm, one synthetic slice. The true slice has {checkerboard(target, solid):.3f}.",
)  # fmt: skip
board = {key: found.mean(0) for key, found in zip(("stamped", "four", "same", "resized"), boards.values(), strict=True)}  # fmt: skip
assert board["stamped"][0] > 0.1 and board["four"][0] > 0.1  # at the start both have one
assert board["same"][0] < 0.05 and board["resized"][0] < 0.05  # and these have none
for key, found in board.items():
    run.record(
        f"conv_board_{key}", found[0], low=0, high=1.5, digits=3 if found[0] < 0.1 else 2
    )
    run.record(f"conv_ten_{key}", found[1], low=0, high=1.0, digits=3 if found[1] < 0.1 else 2)
    run.record(f"conv_end_{key}", found[2], low=0, high=0.03 if tight else 0.6, digits=4)
    run.record(f"conv_rms_{key}", found[3], low=0.05, high=0.3 if tight else 1.5, digits=2)

# %% [markdown]
# Kernel 4 begins with a checkerboard, as kernel 3 does: {glue:text}`conv_board_four` and {glue:text}`conv_board_stamped`, where 1 would be nothing else. (Both vary much with the start, so which has more is open.) Even *overlap* is not even *weight*. Each of the four positions in a block is made by weights of its own, and as long as these are random, so are their sums. The rule of the divisible kernel is about how many stamps there are, not about what they say.
#
# What helps at once is to make the four positions equal: by a start with equal weights {cite}`aitken2017` ({glue:text}`conv_board_same`), or by resizing first and convolving then {cite}`odena2016` ({glue:text}`conv_board_resized`). And training helps: the truth has no checkerboard, so a loss on every voxel removes it. After ten steps it is at {glue:text}`conv_ten_stamped` in the first row and {glue:text}`conv_ten_resized` in the last, and at the end the errors are alike ({glue:text}`conv_rms_stamped` and {glue:text}`conv_rms_resized`). Segmentation has a loss on every voxel as well, so we expect the choice to matter little once training is over; our U-Nets use kernel 2 or resizing. It may matter where no voxel has a truth of its own, in networks that invent images.

# %% tags=["hide-input"]
table(
    ["source", "it says", "here"],
    [
        ["the zoo's thesis, 2.4", "pooling of 2 × 2 discards 75 % of the activations", "75 % in 2D, 87.5 % in 3D"],
        ["the same", "a kernel divisible by the stride avoids the checkerboard", f"with equal weights yes; with random ones {board['four'][0]:.2f}, against {board['stamped'][0]:.2f} for kernel {up_kernel}"],
        ["the same", "artefacts can still leak through", f"{board['stamped'][2]:.4f} after {STEPS} steps, {board['resized'][2]:.4f} with resizing"],
        ["the same, 3.2", "with an identity, the gradient is simply one", f"{run.recorded['conv_residual_factor']:.3f} a layer, {run.recorded['conv_first_residual']:.0f} over thirty"],
        ["Luo et al., 2016", "the effective field grows as the square root of the depth", f"as its power {slope:.2f}"],
        ["Ioffe and Szegedy, 2015", "statistics of the batch in training, of all data in use", f"these differ by {run.recorded['conv_gap_1']:.2f} for one patch, {run.recorded['conv_gap_16']:.2f} for 16"],
    ],
    caption=f"What sources say of the bricks, and what we measured (random or briefly trained weights, one synthetic slice, {SEEDS} seeds).",
)  # fmt: skip

# %% [markdown]
# ## Where it breaks
#
# ### The switch that nobody turned
#
# Batch norm and dropout have two lives, and `network.train()` and `network.eval()` switch between them. `torch.no_grad()` does not. We train a small network with both, again for T1 at 1 mm, and then use it and forget the switch.
#
# **Predict.** We ask the network twice about the same slice, and then show it ten batches of empty patches, in training mode, without any optimiser. (Empty: $-3$ everywhere, about what air gets by a z-score if nobody sets it to 0 afterwards.) Can that do harm?

# %% tags=["hide-input"]
network = seeded(lambda: nn.Sequential(ConvNormAct(2, 16, norm="batch", act="relu", axes=2), nn.Dropout2d(drop / 2), Upsample("nearest", axes=2), nn.Conv2d(16, 1, 3, padding=1)), 5)  # fmt: skip
optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
chance = run.fresh_generator(9)
with torch.random.fork_rng(devices=[]):
    torch.random.default_generator.manual_seed(seed)
    for _ in range(run.pick(ci=40, cpu=150, gpu=300)):
        at = torch.randint(0, 24, (8, 2), generator=chance).tolist()
        some = torch.cat([halved[..., i : i + 24, j : j + 24] for i, j in at])
        truth = torch.cat([target[..., 2 * i : 2 * i + 48, 2 * j : 2 * j + 48] for i, j in at])
        loss = F.mse_loss(network(some), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def rms(a, b):
    return float((a - b).detach().square().mean().sqrt())


# %%
network.train(forget)
with torch.no_grad(), torch.random.fork_rng(devices=[]):
    torch.random.default_generator.manual_seed(seed)
    answers = [network(halved) for _ in range(2)]
    apart = rms(*answers)
    before = rms(network.eval()(halved), target)
    network.train(forget)
    for _ in range(10):
        network(torch.full((4, 2, 24, 24), -3.0))  # no loss, no optimiser, no gradient
    after = rms(network.eval()(halved), target)
assert (apart > 0.05 and after > 1.5 * before) if forget else (apart == 0 and after == before)

# %% tags=["hide-input"]
run.record("conv_apart", apart, low=0.05 if forget else 0, high=1.5 if forget else 0, digits=2)
run.record("conv_before", before, low=0.1, high=1.2, digits=2)
run.record("conv_after", after, low=0.1, high=30, digits=2)
with torch.no_grad():
    spoilt = network(halved)
figure, axes = plt.subplots(2, 2, figsize=(4.8, 5.6))
draw(axes[0, 0], target[0, 0], "truth", GREY)
draw(axes[0, 1], answers[0][0, 0], "first answer", GREY)
draw(axes[1, 0], (answers[1] - answers[0])[0, 0], "second minus first", (-1.5, 1.5), "PuOr_r")
draw(axes[1, 1], spoilt[0, 0], "eval, after empty patches", GREY)
show(
    figure,
    caption="One network, one synthetic slice. First and second answer: training mode left on (orange: more, purple: less; ±1.5 standard deviations). Last: switched to evaluation, but after ten forward passes over empty patches in training mode.",
    alt="The true T1 image, an answer that resembles it, a difference with clear structures, and an answer of wrong brightness",
)

# %% [markdown]
# Two answers to one question, {glue:text}`conv_apart` standard deviations apart: dropout still rolls its dice. And the empty patches have done lasting harm, although nothing was learned: batch norm counted them, and its running mean and variance now describe a world of background. In evaluation mode the error rises from {glue:text}`conv_before` to {glue:text}`conv_after`, and it would be saved with the weights. Set `forget = False`, and both are gone. Instance norm has no such memory, one more reason for it in this book.
#
# ## Exercises
#
# ### Exercise 1: the bottom of a V-Net
#
# A network begins with a convolution of kernel 5, goes down by kernel 2 and stride 2, has two convolutions of kernel 5, goes down again, and has three more. Padding keeps all sizes but for the steps down. How large is the receptive field of a voxel there? How many voxels has the map, if $64^3$ went in? A patch of $64^3$ is what you can afford; is there a voxel at the bottom that sees all of it?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`conv-field`, layer by layer; write $r$ and $j$ in two columns.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# The first three are $r = 5$, then $r = 6$ with $j = 2$, then $6 + 4 \cdot 2 = 14$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $r$: 5, 6, 14, 22, 24, then $24 + 3 \cdot 4 \cdot 4 = 72$, with $j = 4$. The map has $16^3$ voxels. 72 is more than 64, so the middle ones, two along each axis, see the whole patch and zeros around it. What they use is much less: their effective field.
#
# </details>
#
# ### Exercise 2: nobody sees this voxel
#
# Three layers of kernel 3 with dilation 2 leave every other voxel unseen (try it in the figure). Which dilations would you give three layers, so that their field is as large as possible and has no holes?
#
# <details class="hint"><summary>Hint</summary>
#
# Which places can the last layer reach from the centre? And from each of these, the one before it?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# The places are sums $a d_1 + b d_2 + c d_3$ with $a, b, c \in \{-1, 0, 1\}$. How many different sums are there at most?
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# 1, 3, 9: every number from $-13$ to 13 is such a sum in exactly one way (balanced ternary), 27 places, the most that $3^3$ paths can reach. The usual 1, 2, 4 reaches 15, many of them twice; in exchange near voxels are seen more often than far ones.
#
# </details>
#
# ### Exercise 3: fold the norm away, in code
#
# In use, batch norm is the same scale and shift for every voxel, and so is a convolution's bias. So a convolution followed by batch norm is *one* convolution. Write `folded(weight, bias, mean, variance, gamma, beta, epsilon)`, which returns its weight and bias. (Programs that deploy networks do this, and it saves a layer of memory and time.)
#
# <details class="hint"><summary>Hint</summary>
#
# Put equation {eq}`conv-channels` into {eq}`conv-norm` and sort: what multiplies $x$, and what is left?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# With $g = \gamma / \sqrt{\sigma^2 + \varepsilon}$ for each output channel, $y = g\,(w \star x + b - \mu) + \beta$. The weight has the shape `(out, in, k, k)`, $g$ has `(out,)`.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The weight becomes $g w$, with $g$ reshaped to `(out, 1, 1, 1)`, the bias $g (b - \mu) + \beta$. The cell after the exercise holds the code. With padding it holds at the border, too, since the zeros enter before the weights. If the norm came *before* the convolution, it would not.
#
# </details>


# %% tags=["hide-input"]
def check_folded(folded):
    draws = run.fresh_generator(70)
    w, x = (torch.randn(size, generator=draws) for size in ((4, 2, 3, 3), (2, 2, 6, 6)))
    b, mean, gamma, beta = torch.randn(4, 4, generator=draws)
    variance = torch.rand(4, generator=draws) + 0.2
    answer = folded(w, b, mean, variance, gamma, beta, 1e-5)
    if answer is None:
        return "it returned nothing; return a weight and a bias."
    weight, bias = answer
    if weight.shape != w.shape or bias.shape != b.shape:
        return f"the shapes are {tuple(weight.shape)} and {tuple(bias.shape)}, expected (4, 2, 3, 3) and (4,)."  # fmt: skip
    off = F.batch_norm(F.conv2d(x, w, b), mean, variance, gamma, beta) - F.conv2d(
        x, weight, bias
    )
    if off.abs().max() < 1e-4:
        return None
    if off.std((0, 2, 3)).max() < 1e-4:  # the same everywhere, so it is the bias
        return "the weight is right, the bias is not; what happens to b and to the mean?"
    return "the weight is not right; each output channel has a factor of its own, with a square root in it."  # fmt: skip


# %% tags=["exercise"]
def folded(weight, bias, mean, variance, gamma, beta, epsilon):
    """Weight and bias of the one convolution that does what convolution and batch norm do in use."""
    ...  # your code here


judge(check_folded, folded)


# %% tags=["solution", "hide-cell"]
def folded(weight, bias, mean, variance, gamma, beta, epsilon):
    """Weight and bias of the one convolution that does what convolution and batch norm do in use."""
    # begin solution
    g = gamma / (variance + epsilon).sqrt()
    return g.reshape(-1, 1, 1, 1) * weight, g * (bias - mean) + beta
    # end solution


judge(check_folded, folded)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A layer has kernel 3, dilation 4 and stride 1. How far apart are the outermost voxels that it multiplies, and how many weights has it in 3D for one channel to one?",
        ("12 voxels apart, 27 weights", "Two steps of four lie between three weights, not three."),
        right("8 voxels apart, 27 weights", "It spans 9 voxels, of which it sees three along each axis."),
        ("8 voxels apart, 729 weights", "A kernel of 9 would have 729. Dilation costs no weights: that is its point."),
    ),
    question(
        "A 3D network with batch norm, trained with one patch at a time, has a low loss in training and segments badly in use, even on its own training patches. What do you suspect?",
        ("Overfitting", "Then it would do well on its own training patches."),
        right("In training each patch was normalised by itself, in use by running statistics", "It is evaluated as another function than the one that was trained. Instance or group norm would not differ."),
        ("The learning rate", "It would have spoilt the training loss as well."),
    ),
    question(
        "A paper says that its network 'has a receptive field of 150 voxels, so it uses the whole brain'. What do you say?",
        ("That follows", "What can have an influence need not have any to speak of."),
        right("Measure it: the effective field may be a fraction of that", "Influence falls off like a bell whose width grows as the square root of the depth, at least before training."),
        ("A receptive field cannot be larger than the kernel", "Layers behind each other, strides and dilations enlarge it."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - A convolution is a linear layer with most weights missing and the rest shared; its size, weights and cost are school arithmetic, and in 3D everything is cubed.
# - A transposed convolution is the adjoint, not the inverse. Its checkerboard comes from four positions with unequal weights: start them equal, or resize first.
# - The receptive field adds up layer by layer and doubles by strides and growing dilation; what a plain stack uses of it, before training, is a bell whose width grows as $\sqrt n$.
# - Batch norm is another function in training than in use, by about one over the square root of the batch. In 3D prefer a norm that does not know its neighbours.
# - Dropout keeps the mean and adds variance. Turn the switch: `network.eval()`.
# - Depth multiplies gradients. A good start or a residual connection keeps them; measure before you train.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | scan | one slice of a **synthetic** patient with a tumour, in the format of BraTS, 1 mm, skull-stripped; most of its tumour is brighter in FLAIR than any healthy tissue, which real ones are not always |
# | networks | 2D and small; random weights, or trained for a few hundred steps at most on one slice, judged on that slice. 3D differs in counts and in cost, not in the rules |
# | intervals | over seeds of the weights (and draws of patches), not over patients |
# | claims | about single layers and untrained stacks; which design segments brains better is the matter of the next lessons |
#
# ## Further reading
#
# Convolution arithmetic with pictures for every case: {cite}`dumoulin2016`. Receptive fields of real networks, with the recursion for each layer: {cite}`araujo2019`. Checkerboards, with figures to play with: {cite}`odena2016`. What a network sees inside, by unpooling: {cite}`zeiler2014`. Why starts matter: {cite}`he2015`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
