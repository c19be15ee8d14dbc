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
#     - segmentation/from_classifiers_to_unet
#     - segmentation/training_well
#     - validation/segmentation_metrics
#     - data/preparing_data
#     summary: Eight networks of one thesis segment infants and older adults; what sets
#       them apart, what a table of Dice can prove, and what went wrong in the code.
#     weights:
#     - results/zoo.json
#     - weights/unet3d_iseg.json
#     - weights/unet3d_iseg.safetensors
# ---

# %% [markdown]
# # The 3D zoo
#
# A master's thesis {cite}`zoothesis` trained half a dozen 3D networks on two small public datasets of brain MRI and printed one table for each. Its code became one of the most copied collections in the field. Here the
# whole zoo lives again: the same networks, two synthetic stand-ins for the datasets, equal budgets, hard measures on whole scans. You will see what a row of such a table is made of, and you will provoke the faults that made published rows look better, or worse, than they were.
#
# **You will be able to**
#
# - compare networks by what they cost: weights, arithmetic, memory, and how far a voxel sees
# - take a published mean of Dice apart, and find the class that lifts it
# - segment a whole scan by overlapping windows, and write the result where the scan lies
# - judge held-out subjects tissue by tissue, with an interval, and say what one test subject cannot tell
# - provoke seven faults of published segmentation code, and test your own code for them
#
# **You need** [Convolutional building blocks](convolution_blocks.ipynb): receptive field, normalisation; [From classifiers to U-Net](from_classifiers_to_unet.ipynb): skip connections, V-Net; [Training well](training_well.ipynb): schedules, curves; [Segmentation metrics](../validation/segmentation_metrics.ipynb): Dice, HD95; [Preparing data](../data/preparing_data.ipynb): z-scores, splits, patches.

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
angle_deg = 6.0  # in "Where it breaks": the label is turned by so much more than the image

# %% tags=["hide-input"]
import itertools
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from medlab import nn, predict
from medlab.cohorts.datasets import open_iseg
from medlab.cohorts.grid import Grid
from medlab.data import Volume, load_volume, save_volume
from medlab.data.augment import Affine
from medlab.data.patches import PatchSampler
from medlab.data.samples import Sample
from medlab.data.sliding import sliding_window
from medlab.data.transforms import z_score
from medlab.methods.segmentation import Segmentation, prepare, segment_volume
from medlab.methods.segmentation import judge as judge_scan
from medlab.methods.segmentation.command import grid_of
from medlab.methods.segmentation.zoo import step_flops, train_and_judge, zoo_config, zoo_parts
from medlab.metrics import dice, mean_interval
from medlab.metrics.losses import soft_dice, soft_dice_loss
from medlab.nn.receptive_field import receptive_field
from medlab.profiles import Profile
from medlab.training import load_weights, read_records, shipped_weights
from medlab.training.ledger import predict_memory
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
weights = shipped_weights("unet3d_iseg")
tensors, card = load_weights(weights)
unet = Segmentation.from_weights(tensors, card).to(run.device)
# At ci a slab of the head is enough to see that everything runs.
unet.config = run.pick(ci=replace(unet.config, patch=(48, 48, 32), overlap=0.25), cpu=unet.config, gpu=unet.config)  # fmt: skip
config, MM = unet.config, unet.config.spacing_mm
GRID = run.pick(ci=Grid((96, 128, 32), MM, (0.0, -17.0, 35.0)), cpu=grid_of("iseg", MM), gpu=grid_of("iseg", MM))  # fmt: skip
infants = open_iseg(subjects=sum(map(len, card["data"]["subjects"].values())), grid=GRID)
held_out = [infants[infants.subjects.index(name)] for name in card["data"]["subjects"]["test"]]
held_out = held_out[: run.pick(ci=3, cpu=5, gpu=5)]

fast = partial(torch.autocast, run.device.type, torch.bfloat16, enabled=config.precision == "bf16-mixed")  # fmt: skip
found = [unet.segment(one, batch=2) for one in held_out]  # once; everything below looks at this
scores = [judge_scan(*pair) for pair in zip(found, held_out, strict=True)]

TISSUES = config.label_names[1:]
COLOURS = dict(zip((1, 2, 3), (style.BLUE, style.GREEN, style.GOLD), strict=True))
infant, answer = held_out[0], found[0].labels.cpu()
truth, brain = infant.label, infant.mask
wrong = (answer != truth) & (brain | (answer > 0))
# What the figures show: the box of the brain in the plane of a slice, and the slices that hold much of it.
BOX = tuple(slice(max(int(at.min()) - 2, 0), int(at.max()) + 3) for at in brain.nonzero().T[:2])
full = (brain.sum((0, 1)) > 0.25 * brain.sum((0, 1)).max()).nonzero().flatten().tolist()
SLICE = full[len(full) // 2]


def draw(ax, title, z, channel="T1", labels=None, mask=None):
    """A slice of the infant with labels in their colours, or with a mask in pink."""
    image = infant.channel(channel)[BOX]
    window = (0.0, 1.1 * float(image[image > 0].quantile(0.99)))
    slices.draw_slice(ax, image, index=z, window=window, spacing=MM)
    over = {} if labels is None else {COLOURS[k]: labels == k for k in COLOURS}
    for colour, part in (over if mask is None else {style.PINK: mask}).items():
        slices.draw_mask(ax, part[BOX], index=z, colour=colour, opacity=0.85, spacing=MM)
    ax.set_title(title, fontsize=10)


def name_tissues(ax):
    ax.set_axis_off()
    for row, (text, colour) in enumerate(zip((*TISSUES, "wrong"), (*COLOURS.values(), style.PINK), strict=True)):  # fmt: skip
        ax.text(0, 0.8 - 0.17 * row, text, color=colour, weight="bold", transform=ax.transAxes)


figure, axes = plt.subplots(3, 2, figsize=(4.8, 8.4))
draw(axes[0, 0], "T1", SLICE)
draw(axes[0, 1], "T2", SLICE, "T2")
draw(axes[1, 0], "truth", SLICE, labels=truth)
draw(axes[1, 1], "3D U-Net", SLICE, labels=answer)
draw(axes[2, 0], "where it is wrong", SLICE, mask=wrong)
name_tissues(axes[2, 1])
show(figure, caption="A synthetic infant of six months whom the network has not seen. Grey and white matter look nearly alike at this age, and yet the network tells most of them apart.", alt="Six panels: a T1 and a T2 slice with hardly any contrast between grey and white matter, the true tissues in three colours, the network's answer that looks much the same, and thin pink lines of errors along the borders")  # fmt: skip

# %% [markdown]
# All heads on this page are {term}`synthetic <synthetic data>`; the patient's right is on your left. This network comes with the book, trained on other synthetic infants. It is the winner of the thesis's tables, and the smallest but one of the zoo.
#
# ## What sets the eight apart
#
# The thesis compares networks of two families. *Encoders and decoders* work at several resolutions: the 3D U-Net {cite}`cicek2016`, V-Net {cite}`milletari2016` and a light V-Net. *Dense networks* stay at full resolution, where each layer receives the maps of all layers before it {cite}`huang2017`: a single path, two streams joined at the end (late fusion) or after the first layer (early fusion), and streams that feed each other all the way, hyper-dense {cite}`dolz2019`. A dense network with four scales, skip-dense {cite}`bui2017`, stands between them. Six of the eight have a row in the thesis; hyper-dense and skip-dense come from its published code.
#
# Build each, and count. Beside our number stand that of the thesis's table 1, in millions, and that of the code that was published with it.

# %% tags=["hide-input"]
# Name, channels, table 1 of the thesis in millions of parameters and GB, and what its code counts at four classes.
PAPER = {
    "unet3d": ("3D U-Net", 2, 10.0, 3.7, 1_781_744),
    "vnet": ("V-Net", 1, 45.0, 4.1, 45_611_956),
    "vnet_light": ("V-Net light", 1, 25.0, 2.5, 12_247_988),
    "densenet3d": ("dense", 2, 2.7, 1.6, 2_697_811),
    "late_fusion": ("dense, late fusion", 2, 5.2, 2.0, 4_837_382),
    "early_fusion": ("dense, early fusion", 2, 2.9, 1.7, 2_995_086),
    "skip_densenet3d": ("skip-dense", 2, None, None, 1_552_256),
    "hyperdense": ("hyper-dense", 2, None, None, 10_361_922),
}
NAMES = {name: row[0] for name, row in PAPER.items()}

# %%
# NBVAL_CHECK_OUTPUT
zoo, weights_of = {}, {}
for name, (title, channels, *_) in PAPER.items():
    network = nn.build(name, channels, 4)
    weights_of[name] = sum(p.numel() for p in network.parameters())
    zoo[name] = network.to("meta")  # the design alone: no numbers, no memory
    print(f"{title:<20} {weights_of[name]:>10,}")

# %% tags=["hide-input"]
table(
    ["network", "thesis, table 1", "its code", "ours", "ours − code"],
    [
        [title, "–" if said is None else f"{said:g} M", f"{code:,}", f"{weights_of[name]:,}", f"{weights_of[name] - code:+,}".replace("-", "−") if weights_of[name] != code else "0"]
        for name, (title, _, said, _, code) in PAPER.items()
    ],
    caption="Parameters at four classes. One channel for the V-Nets, two for the others.",
)  # fmt: skip
for name, million in (("unet3d", 1.78), ("vnet_light", 12.25)):
    run.record(f"zoo_weights_{name}", weights_of[name] / 1e6, low=million - 0.01, high=million + 0.01, unit="million", digits=1)  # fmt: skip

# %% [markdown]
# Six of eight agree with the code to the last weight. But *the thesis does not agree with its code*. The light V-Net has {glue:text}`zoo_weights_vnet_light`, not 25; the 3D U-Net {glue:text}`zoo_weights_unet3d`, not 10 (with twice the width it would have 7.1). Nobody lied: code moves on while a table stands still. A number in a table is a claim, and this one takes a line to check. Our two differences are deliberate: in the code, late fusion expects maps that nobody makes, so it stops with an error, and the hyper-dense network counts some maps twice.
#
# The table also trains on "a GTX 1080 with 12 GB". That card was sold with 8 GB; only other cards have 12. We cannot tell which of the two is wrong, the name or the number.
#
# Weights are not the price. What costs is arithmetic, and memory for the maps that the backward pass needs.
#
# **Predict.** The single dense path has 1.5 times the weights of the 3D U-Net. How many times the arithmetic does it spend on a voxel: 1.5, 10 or 100 times?


# %%
def arithmetic(network, channels, side=32):
    """Floating-point operations a voxel, forward; a product and a sum are two."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, channels, side, side, side, device="meta"))
    return counter.get_total_flops() / side**3


kflop = {name: arithmetic(zoo[name], PAPER[name][1]) / 1e3 for name in zoo}
down = [(3,), (3,), (3,)] + 4 * [(3, 2), (3,), (3,)]  # the U-Net's way to its bottom
half = [(5,)] + [x for n in (1, 2, 3, 2) for x in ((2, 2), *n * [(5,)])]  # V-Net's
sees = {"unet3d": receptive_field(down).size, "vnet": receptive_field(half).size}
sees["densenet3d"] = receptive_field(9 * [(3,)]).size

# %% tags=["hide-input"]
DENSE = ("densenet3d", "late_fusion", "early_fusion", "hyperdense")


PATCH = {name: (28, 28, 28) if name in DENSE else (64, 128, 128) for name in zoo}
FIELD = {name: "19" if name in DENSE else f"> {sees[name]}" if name in sees else "–" for name in zoo}  # fmt: skip
counted = run.pick(ci=("unet3d",), cpu=tuple(zoo), gpu=tuple(zoo))  # a ledger takes seconds
memory = {name: predict_memory(zoo[name], (1, PAPER[name][1], *PATCH[name]), optimiser="sgd").peak / 1e9 for name in counted}  # fmt: skip
table(
    ["network", "kFLOP a voxel", "a voxel sees", "memory, thesis", "memory, ledger"],
    [
        [title, round(kflop[name]), FIELD[name], "–" if gb is None else f"{gb:g} GB", f"{memory[name]:.1f} GB" if name in memory else "–"]
        for name, (title, _, _, gb, _) in PAPER.items()
    ],
    caption="Arithmetic of the forward pass; voxels along an axis that one voxel of the answer has seen (>: only the way down was counted); memory of a training step at the thesis's sub-volumes (iSEG), its own number and our prediction. –: not reported, or not counted here.",
)  # fmt: skip
run.record("zoo_dense_over_unet", kflop["densenet3d"] / kflop["unet3d"], low=100, high=125, digits=0)  # fmt: skip
run.record("zoo_slowest", kflop["hyperdense"] / kflop["unet3d"], low=380, high=460, digits=0)
run.record("zoo_field_dense", sees["densenet3d"], low=19, high=19, digits=0)
run.record("zoo_field_unet", sees["unet3d"], low=90, high=160, digits=0)
run.record("zoo_untouched", 100 * (10 / 28) ** 3, low=4.5, high=4.6, unit="%", digits=1)
run.record("zoo_memory_unet", memory["unet3d"], low=0.4, high=1.2, unit="GB", digits=1)
small = zoo_config("unet3d", "iseg", Profile("ci"))  # cubes of 16
forward = small.batch * 16**3 * arithmetic(zoo["unet3d"], 2, 16)
assert 2 < step_flops(small) / forward < 3.5  # and twice as much backward

# %% [markdown]
# {glue:text}`zoo_dense_over_unet` times. A weight at full resolution works in every voxel, one at the bottom of a U-Net in one of 4,096. And for all its work a voxel of the dense networks sees {glue:text}`zoo_field_dense` voxels along an axis, nine layers of 3; at the bottom of the U-Net one sees {glue:text}`zoo_field_unet`. It gets worse: in a sub-volume of 28³, as the thesis uses for dense networks, only the inner 10³ voxels, {glue:text}`zoo_untouched` of it, have their whole field inside. All others are computed with zeros in place of brain.
#
# The ledger stays well below the thesis's memory ({glue:text}`zoo_memory_unet` against 3.7 GB for the U-Net). It counts the tensors of *our* networks. A card's own display adds the driver, the workspace of kernels and what the allocator holds in reserve, and the thesis's number may belong to the larger U-Net of its table; how much each explains we cannot tell. [Where the GPU memory goes](gpu_memory.ipynb) takes such a number apart.
#
# ## A mean that counts the background
#
# The thesis's tables give four numbers a row: "average DSC", CSF, GM and WM. In one row, that of the 3D U-Net on MRBrainS, the average is 86.64 and the three are 80.57, 85.01 and 82.83. A mean cannot exceed all its members, so something else is in it. With $K$ classes, the background among them, a mean of {term}`Dice <Dice coefficient>` $D_k$ and what it implies for the background are
#
# $$ \overline{D} = \frac{1}{K} \sum_{k=0}^{K-1} D_k, \qquad D_0 = K \overline{D} - \sum_{k=1}^{K-1} D_k . $$ (zoo-mean)
#
# With $K = 4$ and numbers rounded to two decimals, $D_0$ is uncertain by 0.035 points. **The thesis's own rows** tell the rest.
#
# **Predict.** Late fusion beats the single dense path in the average on iSEG, 76.65 to 75.51. Does it also in the mean of the three tissues?

# %%
# NBVAL_CHECK_OUTPUT
ISEG = {  # thesis, section 6.2: average, CSF, GM, WM in percent
    "unet3d": (93.84, 94.99, 90.84, 89.51),
    "vnet": (87.20, 92.53, 71.42, 84.88),
    "vnet_light": (83.79, 87.51, 69.07, 80.04),
    "early_fusion": (78.63, 86.23, 75.72, 70.71),
    "late_fusion": (76.65, 79.51, 72.43, 63.01),
    "densenet3d": (75.51, 79.40, 74.90, 63.92),
}
for name, (average, *tissues) in ISEG.items():
    background = 4 * average - sum(tissues)  # (zoo-mean)
    print(f"{NAMES[name]:<20} tissues {np.mean(tissues):.2f}  background {background:.2f}")

# %% tags=["hide-input"]
MRBRAINS = {
    "unet3d": (86.64, 80.57, 85.01, 82.83),
    "vnet": (83.04, 79.88, 83.04, 77.34),
    "vnet_light": (82.63, 77.80, 84.85, 76.15),
    "early_fusion": (76.89, 72.06, 69.43, 80.08),  # of three streams; of two: 70.02
    "late_fusion": (68.21, 54.00, 60.42, 71.75),
    "densenet3d": (65.11, 59.96, 49.93, 67.02),
}
THESIS = {"iseg": ISEG, "mrbrains": MRBRAINS}
TITLES = {"iseg": "iSEG", "mrbrains": "MRBrainS"}


def without(data, name):
    """The thesis's mean over the three tissues."""
    return float(np.mean(THESIS[data][name][1:])) if name in THESIS[data] else None


def implied(data, name):
    return 4 * THESIS[data][name][0] - sum(THESIS[data][name][1:])


figure, axes = plt.subplots(2, 1, figsize=(5.4, 5.4), sharex=True)
for ax, data in zip(axes, THESIS, strict=True):
    for row, name in enumerate(THESIS[data]):
        ends = without(data, name), THESIS[data][name][0]
        ax.plot(ends, [row, row], color=style.MUTED, linewidth=2)
        ax.plot(ends[0], row, "o", color=style.BLUE, markersize=8)
        ax.plot(ends[1], row, "o", color=style.ORANGE, markersize=8)
        ax.plot(min(implied(data, name), 100), row, "|", color=style.INK, markersize=14, markeredgewidth=2)  # fmt: skip
    ax.set_yticks(range(len(THESIS[data])), [NAMES[name] for name in THESIS[data]])
    ax.set(title=f"{TITLES[data]}, as printed", ylim=(len(THESIS[data]) - 0.5, -0.5), xlim=(55, 101))  # fmt: skip
axes[1].set_xlabel("Dice (%)")
for x, text, colour in ((0.0, "three tissues", style.BLUE), (0.34, "with background", style.ORANGE), (0.75, "background", style.INK)):  # fmt: skip
    axes[1].text(x, -0.42, text, color=colour, weight="bold", transform=axes[1].transAxes)
show(figure, caption="The thesis's averages (orange), the mean of its three tissues (blue), and the Dice of the background that the two imply (bars). Each average is pulled towards a class that nobody wants segmented.", alt="Two panels of dots joined by lines; the mean of the tissues lies left of the printed average everywhere, by 1 to 6 points, and the implied background lies between 82 and 100")  # fmt: skip
run.record("zoo_background_unet", implied("iseg", "unet3d"), low=100.0, high=100.06, digits=2)
run.record("zoo_background_dense", implied("iseg", "densenet3d"), low=83.7, high=83.9, digits=1)
run.record("zoo_late_tissues", without("iseg", "late_fusion"), low=71.6, high=71.7, digits=2)
run.record("zoo_dense_tissues", without("iseg", "densenet3d"), low=72.7, high=72.8, digits=2)
run.record("zoo_unet_tissues", without("iseg", "unet3d"), low=91.7, high=91.8, digits=2)
assert without("iseg", "late_fusion") < without("iseg", "densenet3d")

# %% [markdown]
# The order turns round: {glue:text}`zoo_late_tissues` for late fusion, {glue:text}`zoo_dense_tissues` for the single path. Its lead in the average was a lead in air. For the 3D U-Net the implied background is {glue:text}`zoo_background_unet`, a perfect background within rounding, and its 93.84 becomes {glue:text}`zoo_unet_tissues` over tissues. Why do dense networks have such a poor background, {glue:text}`zoo_background_dense` for the single path? Dice of a class depends on how much of it there is, and sub-volumes of 28³ hold little air: that is a likely reason, not one that the table proves. Certain is that the two families were averaged over *different* voxels; the thesis warns of it. Below we print both means, always named.
#
# ## The loss, and classes that are absent
#
# All networks learn from the same loss: soft Dice (thesis eq. 5.21) and cross entropy, in equal parts,
#
# $$ \begin{aligned} L = {} & \frac{1}{|P|} \sum_{k \in P} \left( 1 - \frac{2 \sum_\mathbf{x} y_{k\mathbf{x}}\, p_{k\mathbf{x}} + \varepsilon}{\sum_\mathbf{x} y_{k\mathbf{x}}^2 + \sum_\mathbf{x} p_{k\mathbf{x}}^2 + \varepsilon} \right) \\ & - \frac{1}{N} \sum_{\mathbf{x}, k} y_{k\mathbf{x}} \log p_{k\mathbf{x}} , \end{aligned} $$ (zoo-loss)
#
# where $P$ holds the classes that are *present* in the sub-volume. The thesis has Dice alone, over all classes. A class that is absent gets no Dice term; cross entropy still punishes voxels that are wrongly given to it. [Losses](../validation/losses.ipynb) shows what each part asks for.

# %%
one = prepare(held_out[0], config)  # z-scores, class numbers
box = tuple(slice(n // 2 - 6, n // 2 + 6) for n in one.label.shape)
y = F.one_hot(one.label[box].long(), 4).movedim(-1, 0).double()  # (K, 12, 12, 12)
z = 2 * torch.randn(y.shape, generator=run.fresh_generator(1), dtype=torch.float64)
p = z.softmax(0)
present = y.sum((1, 2, 3)) > 0
both, power = (y * p).sum((1, 2, 3)), (y**2 + p**2).sum((1, 2, 3))
by_dice = (1 - (2 * both + 1e-5) / (power + 1e-5))[present].mean()  # (zoo-loss), first line
by_entropy = -(y * p.log()).sum(0).mean()  # second line
theirs = unet.losses(z[None].float(), one.label[box][None].long())
torch.testing.assert_close((by_dice + by_entropy).float(), theirs["loss"], rtol=1e-4, atol=0)

# %% [markdown]
# ## Sub-volumes
#
# A scan does not fit, so a step sees a piece of it. Along an axis of $n_a$ voxels a window of $s_a$ has $n_a - s_a + 1$ places, so
#
# $$ M = \prod_{a=1}^{3} (n_a - s_a + 1) $$ (zoo-positions)
#
# in all. Half of a head's box is air; the thesis draws "non-empty" ones. We count beforehand which places hold tissue, and draw evenly among these: nothing is drawn and thrown away, so it always ends, and the last place along each axis belongs to them. With `anywhere` a share comes from all places, air included; "Where it breaks" shows what a network does that never saw any.

# %%
sampler = PatchSampler(one, config.patch, content=one.label != 0)
places = [n - s + 1 for n, s in zip(one.label.shape, config.patch, strict=True)]
M = int(np.prod(places))  # (zoo-positions)
middle = tuple((n - 1) // 2 for n in places)
allowed = round(1 / sampler.probability(middle))
print(f"places: {' x '.join(map(str, places))} = {M:,}; with tissue: {allowed:,}")

# %% tags=["hide-input"]
run.record("zoo_places", M, low=1e3, high=2e6, digits=0)
run.record("zoo_nonempty", 100 * allowed / M, low=30, high=100, unit="%", digits=0)

# %% [markdown]
# {glue:text}`zoo_places` places in one scan, {glue:text}`zoo_nonempty` of them with tissue: a window this large hardly misses the head, so "non-empty" rules out little. Neighbouring places share nearly all their voxels: ten scans are ten scans, however many sub-volumes one draws.
#
# ## The whole scan, by windows
#
# A segmentation is wanted for the scan, not for pieces. Windows $w$ at corners $\mathbf{c}_w$ are spread so that neighbours overlap, and where several cover a voxel their probabilities are blended with a weight $g$ that trusts the middle of a window more than its border:
#
# $$ \begin{aligned} p(\mathbf{x}) &= \frac{\sum_w g(\mathbf{x} - \mathbf{c}_w)\, p_w(\mathbf{x})}{\sum_w g(\mathbf{x} - \mathbf{c}_w)}, \\ g(\mathbf{u}) &= \prod_{a=1}^{3} \exp\!\left( -\frac{(u_a - \frac{s_a - 1}{2})^2}{2 (s_a / 8)^2} \right) . \end{aligned} $$ (zoo-blend)

# %%
edge, side, corners = 24, 16, (0, 8)  # half a window apart
image = torch.randn(2, edge, edge, edge, generator=run.fresh_generator(2))
small_net = nn.build("unet3d", 2, 4, width=2).eval()
line = torch.exp(-((torch.arange(side) - (side - 1) / 2) ** 2) / (2 * (side / 8) ** 2))
g = line[:, None, None] * line[:, None] * line
above, below = torch.zeros(4, edge, edge, edge), torch.zeros(edge, edge, edge)
with torch.no_grad():
    for c in itertools.product(corners, repeat=3):
        at = tuple(slice(start, start + side) for start in c)
        above[(slice(None), *at)] += g * small_net(image[(None, slice(None), *at)])[0]
        below[at] += g
blended = sliding_window(small_net, image, side, overlap=0.5)
torch.testing.assert_close(above / below, blended, rtol=1e-4, atol=1e-4)  # (zoo-blend)

# %% [markdown]
# The thesis set its windows side by side. What does that cost? We take a block of one infant that divides into windows of 32, once side by side, once overlapping and blended; the network is the same.

# %% tags=["hide-input"]
centre = [int(v) for v in brain[..., SLICE].nonzero().double().mean(0)]
deep = run.pick(ci=32, cpu=64, gpu=64)
first_z = int(np.clip(SLICE - deep // 2, 0, brain.shape[2] - deep))
block = (slice(centre[0] - 32, centre[0] + 32), slice(centre[1] - 48, centre[1] + 48), slice(first_z, first_z + deep))  # fmt: skip
ready = one.image.data[(slice(None), *block)]


def probabilities(patches):
    with torch.no_grad(), fast():
        return unet(patches.to(run.device)).float().softmax(1).cpu()


unet.eval()
side_by_side = sliding_window(probabilities, ready, 32, 0, mode="constant", batch=4)
blended = sliding_window(probabilities, ready, 32, 0.5, batch=4)
tiled = {"side by side": side_by_side, "blended": blended}
tissue_here = truth[block] > 0


def seam(p):
    """Steps of probability across the borders of windows over steps elsewhere, along y."""
    steps = (p[:, :, 1:] - p[:, :, :-1]).abs().sum(0)
    among = tissue_here[:, 1:] & tissue_here[:, :-1]
    at_border = torch.zeros_like(among)
    at_border[:, 31::32] = True
    return float(steps[among & at_border].mean() / steps[among & ~at_border].mean())


seams = {name: seam(p) for name, p in tiled.items()}
shares = {name: 100 * float((p.argmax(0) != truth[block])[tissue_here].float().mean()) for name, p in tiled.items()}  # fmt: skip
figure, axes = plt.subplots(1, 2, figsize=(5.4, 4.2))
for ax, (name, p) in zip(axes, tiled.items(), strict=True):
    slices.draw_slice(ax, p[2], index=SLICE - first_z, window=(0, 1), cmap="viridis", spacing=MM, smooth=False)  # fmt: skip
    ax.set_title(name, fontsize=10)
for x, y in (((0, 0.05), (1 / 3, 1 / 3)), ((0, 0.05), (2 / 3, 2 / 3)), ((0.5, 0.5), (0, 0.04))):
    axes[0].plot(x, y, color=style.PINK, linewidth=3, transform=axes[0].transAxes, clip_on=False)  # fmt: skip
show(figure, caption="Probability of grey matter in a synthetic infant, in windows of 32 voxels. Left, side by side: at the pink marks neighbouring windows disagree. Right, overlapping by half and blended.", alt="Two maps of probability; the left one has straight breaks along the borders of windows, the right one is smooth")  # fmt: skip
run.record("zoo_seam_side", seams["side by side"], low=1.02, high=6, digits=2)
run.record("zoo_seam_blended", seams["blended"], low=0.5, high=1.3, digits=2)
run.record("zoo_wrong_side", shares["side by side"], low=1, high=60, unit="%", digits=1)
run.record("zoo_wrong_blended", shares["blended"], low=1, high=60, unit="%", digits=1)
assert seams["side by side"] > seams["blended"] and shares["side by side"] > shares["blended"]

# %% [markdown]
# Across the borders of windows side by side, probabilities step {glue:text}`zoo_seam_side` times as far as elsewhere; blended {glue:text}`zoo_seam_blended` times. Of the voxels with tissue, {glue:text}`zoo_wrong_side` are wrong in the one, {glue:text}`zoo_wrong_blended` in the other. Nothing was trained for this gain; it costs time, up to eight times as many windows for an overlap of one half.
#
# Now walk through the head.

# %% tags=["hide-input"]
SHOWN = full[:: max(1, len(full) // 12)]


def draw_level(z):
    figure, axes = plt.subplots(2, 2, figsize=(4.6, 5.8))
    draw(axes[0, 0], "T1", z)
    draw(axes[0, 1], "truth", z, labels=truth)
    draw(axes[1, 0], "3D U-Net", z, labels=answer)
    share = 100 * float(wrong[..., z].sum() / brain[..., z].sum())
    draw(axes[1, 1], f"wrong: {share:.1f} %", z, mask=wrong)
    return figure


explore(
    draw_level,
    caption="The synthetic infant of the first figure, slice by slice from below: fluid blue, grey matter green, white matter gold, errors pink. Look where errors gather: along borders, and where the brain ends.",
    alt=lambda z: f"T1, true tissues, the network's tissues and its errors at slice {z}; {100 * float(wrong[..., z].sum() / brain[..., z].sum()):.1f} percent of the brain is wrong",
    labels={"z": "slice"},
    start={"z": SHOWN[len(SHOWN) // 2]},
    z=SHOWN,
)  # fmt: skip

# %% [markdown]
# ## Held-out infants
#
# **Predict.** Grey and white matter are mistaken for each other, and each such voxel is an error of both. Which of the two will have the lower Dice?

# %% tags=["hide-input"]
names = [*TISSUES, "mean of tissues", "mean with background"]


def column(scores, name):
    if name in TISSUES:
        return [one["dice"][name] for one in scores]
    return [one["mean_dice" if name == "mean of tissues" else "mean_dice_background"] for one in scores]  # fmt: skip


rows = []
for name in names:
    interval = mean_interval([100 * v for v in column(scores, name)])
    far = mean_interval([one["hd95"][name] for one in scores]).shown(1) if name in TISSUES else "–"  # fmt: skip
    rows.append([name, interval.shown(1), far])
heads = run.pick(ci="a slab of each", cpu="whole heads", gpu="whole heads")
table(
    ["", "Dice (%)", "HD95 (mm)"],
    rows,
    caption=f"The shipped 3D U-Net on {len(held_out)} synthetic infants that it has not seen ({heads}): mean and 95 % interval over subjects.",
)
for key, name in zip(("csf", "gm", "wm", "mean", "air"), names, strict=True):
    run.record(f"zoo_live_{key}", np.mean(column(scores, name)), low=run.pick(ci=0.5, cpu=0.8, gpu=0.8), high=1, digits=3)  # fmt: skip

# %% [markdown]
# Fluid {glue:text}`zoo_live_csf`, grey matter {glue:text}`zoo_live_gm`, white matter {glue:text}`zoo_live_wm`. The mean over tissues is {glue:text}`zoo_live_mean`; with the background it would be {glue:text}`zoo_live_air`, and nothing has improved. The same voxels are wrong for grey and for white matter, but white matter is the smaller of the two, so they weigh more. A tissue's Dice says not only how well it is seen; it also says how many voxels share the damage. (Errors against fluid count too: for the V-Nets of the table below the order is the other way round, so they must confuse grey matter with more than white.)
#
# ### A mirror at test time
#
# A head is nearly its own mirror image. So let the network see the scan twice, once mirrored, and average the two answers. `config.flips` does so. Is it worth twice the time?


# %%
def mirror(x):
    """The network in front of a mirror: left and right are the first axis of a scan in RAS."""
    with torch.no_grad(), fast():
        return unet(x.to(run.device).flip(2)).flip(2)


gains = []
for one, plain in zip(held_out, found, strict=True):
    other = segment_volume(mirror, one.image, config, mask=one.mask, batch=2)
    mean = (plain.probabilities.cpu() + other.probabilities) / 2
    both = replace(plain, labels=mean.argmax(0).to(torch.uint8), probabilities=mean)
    before, after = (judge_scan(x, one, surface=False)["mean_dice"] for x in (plain, both))
    gains.append(after - before)

# %% tags=["hide-input"]
gain = mean_interval([100 * one for one in gains])
run.record("zoo_flip_gain", gain.mean, low=-1, high=5, digits=2)
run.record("zoo_flip_half", gain.half, low=0, high=5, digits=2)

# %% [markdown]
# The gain is {glue:text}`zoo_flip_gain` ± {glue:text}`zoo_flip_half` points of Dice (mean and 95 % interval over subjects, paired). Small, and real only if the interval leaves zero out. It is the cheapest member of a family, {term}`ensembles <ensemble>`: the same trick with other networks instead of mirrors usually gains more, and costs more.
#
# ### Back into the scanner's world
#
# A result that nobody can lay over the scan is no result. `medlab.predict` reads files in any orientation and writes the labels with the voxels and the affine of the scan.

# %%
nx, ny, _ = infant.label.shape
other_way = np.array([[-1, 0, 0, nx - 1], [0, -1, 0, ny - 1], [0, 0, 1, first_z], [0, 0, 0, 1.0]])  # fmt: skip
affine = infant.image.affine @ other_way  # the file's first two axes run against ours
scan = infant.image.data[..., first_z : first_z + 32].flip(1, 2)
with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()) as printed:
    files = [Path(folder) / f"infant_{name}.nii.gz" for name in infant.channels]
    for path, channel in zip(files, scan, strict=True):
        save_volume(Volume(channel[None], affine), path)
    code = predict.main([str(weights), *map(str, files), "--output", folder])
    result = load_volume(Path(folder) / "infant_T1_segmentation.nii.gz")
there = truth[..., first_z : first_z + 32].flip(0, 1)
print("$ python -m medlab.predict unet3d_iseg.safetensors infant_T1.nii.gz infant_T2.nii.gz")
print(printed.getvalue().split("/")[-1].strip())
same = result.shape[1:] == scan.shape[1:] and np.allclose(result.affine, affine)
in_place = float(dice(result.data[0].to(torch.uint8), there, labels=[1, 2, 3]).mean())
print(f"same voxels and affine: {same}; mean Dice in place: {in_place:.2f}")

# %% tags=["hide-input"]
assert code == 0 and same
run.record("zoo_in_place", in_place, low=0.6, high=1, digits=2)

# %% [markdown]
# Had the affine been lost, or an axis been turned, the Dice in place would be near that of two unrelated masks; it is {glue:text}`zoo_in_place`.
#
# ## The experiment: the table, rebuilt
#
# Every network, both stand-ins: the same synthetic subjects to learn from, {glue:text}`zoo_people` held out to judge by, {glue:text}`zoo_steps` steps on sub-volumes of 32³ (iSEG at 1.5 mm, MRBrainS at 1.5 × 1.5 × 3 mm), the same loss, optimiser and schedule for all. The four dense networks at full resolution are **narrower here than in the paper**, about a sixth of the width; at full width the hyper-dense one spends {glue:text}`zoo_slowest` times the arithmetic of the U-Net. On the MRBrainS stand-in all but the V-Nets, which see T1 alone, get three sequences. This took more than an hour, so the book keeps the records. One row is made like this, here with two steps on tiny heads:

# %%
tiny = Profile("ci")
recipe = zoo_config("unet3d", "iseg", tiny)
parts = zoo_parts("iseg", recipe, None, 5, seed)  # by subject
with tempfile.TemporaryDirectory() as folder:
    made = train_and_judge(recipe, parts, dataset="iseg", profile=tiny, seed=seed, directory=Path(folder))  # fmt: skip
print("; ".join(name for name in made.metrics if name.startswith(("mean", "dice", "hd95"))))

# %% tags=["hide-input"]
records = {
    (one.data, one.settings["network"]): one for one in read_records("zoo", profile="cpu")
}
steps = {one.settings["steps"] for one in records.values()}
run.record("zoo_steps", max(steps), low=1, high=1e5, digits=0)
PEOPLE = len(next(iter(records.values())).metrics["mean_dice"])
assert all(len(one.metrics["mean_dice"]) == PEOPLE for one in records.values()) and len(steps) == 1  # fmt: skip
run.record("zoo_people", PEOPLE, low=3, high=100, digits=0)


def measured(data, name, metric):
    """One number for each held-out subject of a row, in percent for Dice; a missing tissue counts as Dice 0."""
    values = records[data, name].metrics[metric]
    return [100 * (one or 0.0) for one in values] if "dice" in metric else [one for one in values if one is not None]  # fmt: skip


def shown(values):
    return mean_interval(values).shown(1)


def percent(value):
    return "–" if value is None else f"{value:.1f}"


ORDER = {data: sorted((n for d, n in records if d == data), key=lambda n, d=data: -np.mean(measured(d, n, "mean_dice"))) for data in THESIS}  # fmt: skip
for data in THESIS:
    rows = []
    for name in ORDER[data]:
        far = [v for t in TISSUES for v in measured(data, name, f"hd95 {t}")]
        row = [NAMES[name] + (" *" if name in DENSE else ""), percent(THESIS[data].get(name, (None,))[0])]  # fmt: skip
        row += [shown(measured(data, name, "mean_dice_background")), percent(without(data, name))]  # fmt: skip
        rows.append([*row, shown(measured(data, name, "mean_dice")), f"{np.mean(far):.0f}"])
    table(
        ["network", "thesis, with background", "ours, with background", "thesis, tissues", "ours, tissues", "HD95 (mm)"],
        rows,
        caption=f"{TITLES[data]}: mean Dice in percent. Thesis: the real dataset, one test subject. Ours: synthetic stand-in, {PEOPLE} held-out subjects, mean and 95 % interval; HD95 averaged over tissues. * narrower than in the paper.{'' if 'hyperdense' in ORDER[data] else ' No record of the hyper-dense network: three streams took longer than the time there was.'}",
    )  # fmt: skip

# %% tags=["hide-input"]
for data in THESIS:
    rows = [[NAMES[n], *(shown(measured(data, n, f"dice {t}")) for t in TISSUES)] for n in ORDER[data]]  # fmt: skip
    table(["network", *TISSUES], rows, caption=f"{TITLES[data]} stand-in, synthetic: Dice by tissue in percent, mean and 95 % interval over {PEOPLE} held-out subjects.")  # fmt: skip


def apart(data, one, other):
    """Paired difference of the mean Dice over tissues, in points."""
    return mean_interval(np.subtract(measured(data, one, "mean_dice"), measured(data, other, "mean_dice")))  # fmt: skip


lead, over = apart("iseg", *ORDER["iseg"][:2]), apart("mrbrains", ORDER["mrbrains"][0], "unet3d")  # fmt: skip
assert ORDER["iseg"][0] == "unet3d" and lead.mean < lead.half  # first, and not proven
assert card["config"]["steps"] == 12 * max(steps)
run.record("zoo_unet", np.mean(measured("iseg", "unet3d", "mean_dice")), low=70, high=90, digits=1)  # fmt: skip
for key, one in (("lead", lead), ("over", over)):
    run.record(f"zoo_{key}", one.mean, low=0.1, high=20, digits=1)
    run.record(f"zoo_{key}_half", one.half, low=0, high=20, digits=1)
run.record("zoo_shipped", 100 * card["metrics"]["test/dice"], low=88, high=97, digits=1)
run.record("zoo_shipped_subjects", len(card["data"]["subjects"]["test"]), low=3, high=50, digits=0)  # fmt: skip
run.record("zoo_budget", run.recorded["zoo_shipped"] - run.recorded["zoo_unet"], low=3, high=30, digits=0)  # fmt: skip
run.record("zoo_near", max(abs(np.mean(measured("iseg", n, "mean_dice")) - without("iseg", n)) for n in DENSE if n in ISEG), low=0, high=12, digits=1)  # fmt: skip
run.record("zoo_far", np.mean(measured("mrbrains", "unet3d", f"hd95 {TISSUES[2]}")), low=1, high=150, unit="mm", digits=0)  # fmt: skip
middle_rows = np.ptp([np.mean(measured("iseg", n, "mean_dice")) for n in ORDER["iseg"][:5]])
run.record("zoo_five", middle_rows, low=0, high=40, digits=0)

# %% [markdown]
# Read it slowly.
#
# *What agrees.* On the iSEG stand-in the 3D U-Net leads, as in the thesis: {glue:text}`zoo_unet` over tissues, {glue:text}`zoo_lead` ± {glue:text}`zoo_lead_half` points before the second (paired over subjects). The interval holds zero: with this few subjects not even the first place is proven. *What does not.* On the MRBrainS stand-in skip-dense leads, a network without a row in the thesis: {glue:text}`zoo_over` ± {glue:text}`zoo_over_half` points before the U-Net. Both fusion networks stand above the U-Net as well.
#
# *The budget.* The shipped network is the same U-Net, trained for twelve times as many steps on larger sub-volumes. Its mean over {glue:text}`zoo_shipped_subjects` held-out infants, whole heads, is {glue:text}`zoo_shipped`: {glue:text}`zoo_budget` points more, with the design unchanged. The first five networks of our iSEG table lie within {glue:text}`zoo_five` points. So the training weighs more than the choice among these five, and a table at one small budget mostly says who learns *fast*.
#
# *V-Nets.* In the thesis they stand above the dense networks, on both our stand-ins below. They see T1 alone, and at six months T1 hardly separates grey from white matter. In older adults T1 separates them well; there the V-Nets come closer, and still stand last. They also have the most weights, and few steps to move them. How much each of these counts, the records do not say: one would have to give them all sequences, and more steps.
#
# *Dense networks.* Ours are narrower and trained briefly, and yet on iSEG come within {glue:text}`zoo_near` points of the thesis's means over tissues. That is no merit. Ours are judged on whole synthetic scans by hard Dice, theirs on real sub-volumes of 28³; the two columns do not measure the same thing. On MRBrainS ours stand far above the thesis's, which is no merit either.
#
# *Distances.* The MRBrainS stand-in shows the whole head. The U-Net's white matter has an HD95 of {glue:text}`zoo_far` there (the table shows the mean over three tissues), while its Dice is in the upper half of the table. The likely cause is false white matter in face or neck, far from the true one: a few such voxels cost little Dice. Look at the answer before you believe either number.
#
# *Not in the table.* One seed for each network. The intervals are over subjects, not over trainings.
#
# ### Learning curves
#
# What would the table look like after another budget? Each network was judged five times on the way, on subjects that it neither learns from nor is tested on.

# %% tags=["hide-input"]
LOOK = dict(zip(NAMES, [(c, d) for d in ("-", ":") for c in (style.BLUE, style.ORANGE, style.GREEN, style.PINK)], strict=True))  # fmt: skip
MOMENTS = [int(at) for at in records["iseg", "unet3d"].metrics["curve_steps"]]


def at_step(data, name, step):
    metrics = records[data, name].metrics
    return 100 * dict(zip(metrics["curve_steps"], metrics["curve_dice"], strict=True)).get(step, 0.0)  # fmt: skip


def leaders(step):
    return {
        data: max(ORDER[data], key=lambda n, d=data: at_step(d, n, step)) for data in THESIS
    }


def draw_curves(step):
    figure, axes = plt.subplots(2, 1, figsize=(5.4, 6.2), sharex=True)
    for ax, data in zip(axes, THESIS, strict=True):
        for name in ORDER[data]:
            colour, dashes = LOOK[name]
            until = [at for at in MOMENTS if at <= step]
            ax.plot(until, [at_step(data, name, at) for at in until], dashes, marker="o", markersize=4, color=colour, label=NAMES[name])  # fmt: skip
        ax.set(xlim=(0, MOMENTS[-1] * 1.05), ylim=(0, 100), ylabel="Dice (%)")
        ax.set_title(f"{TITLES[data]}: {NAMES[leaders(step)[data]]} leads at step {step}", fontsize=10)  # fmt: skip
    axes[1].set_xlabel("step")
    axes[1].legend(*axes[0].get_legend_handles_labels(), ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.22))  # fmt: skip
    return figure


curves = [[at_step("iseg", n, at) for at in MOMENTS] for n in ORDER["iseg"]]
rise = np.mean([one[-1] - one[-2] for one in curves])
pairs = list(itertools.combinations(curves, 2))
crossed = np.mean([(a[0] - b[0]) * (a[-1] - b[-1]) < 0 for a, b in pairs])
run.record("zoo_rise", rise, low=-5, high=20, digits=1)
run.record("zoo_crossed", 100 * crossed, low=1, high=100, unit="%", digits=0)
explore(
    draw_curves,
    caption="Hard Dice over tissues of synthetic validation subjects, whole scans, while the networks learn; no curve of the hyper-dense network on MRBrainS. Stop the budget early and see who would have won.",
    alt=lambda step: f"Learning curves of the networks up to step {step}; " + "; ".join(f"on {TITLES[d]} {NAMES[n]} leads" for d, n in leaders(step).items()),
    labels={"step": "budget (steps)"},
    start={"step": MOMENTS[-1]},
    step=MOMENTS,
)  # fmt: skip

# %% [markdown]
# Of all pairs of networks on iSEG, {glue:text}`zoo_crossed` change their order between the first look and the last, and in the last fifth of the budget the curves still rise, by {glue:text}`zoo_rise` points on average: most of it is one jump of the hyper-dense network, and one curve falls. A ranking on moving curves is a ranking at that moment. The thesis trained 120 to 400 epochs and shows curves that have levelled off, which is the right thing to show.
#
# ### Early or late?
#
# Both dense networks with streams have one stream for each sequence. In *late* fusion the streams meet in the last layer, in *early* fusion after the first. In the thesis early wins on both datasets, even over tissues. On MRBrainS that comparison is not fair: its early fusion had three streams, its late fusion two, and with two early fusion's average (background included) was 70.02, against 68.21 for late. Here are the paired differences over the same held-out subjects; ours have as many streams in both.

# %% tags=["hide-input"]
PAIRS = (("early_fusion", "late_fusion"), ("early_fusion", "densenet3d"), ("late_fusion", "densenet3d"))  # fmt: skip
rows = []
for one, other in PAIRS:
    row = [
        f"{NAMES[one]} − {NAMES[other]}".replace("dense, ", "").replace("dense", "single path")
    ]
    for data in THESIS:
        row.append(f"{without(data, one) - without(data, other):+.1f}".replace("-", "−"))
        row.append(apart(data, one, other).shown(1).replace("-", "−") if {one, other} <= set(ORDER[data]) else "–")  # fmt: skip
    rows.append(row)
table(
    ["", "iSEG, thesis", "iSEG, ours", "MRBrainS, thesis", "MRBrainS, ours"],
    rows,
    caption=f"Differences of the mean Dice over tissues in points. Thesis: one subject of the real data. Ours: synthetic, narrower networks, paired over {PEOPLE} held-out subjects with 95 % interval.",
)
fusion, streams = apart("iseg", *PAIRS[0]), apart("mrbrains", *PAIRS[1])
for key, one in (("fusion", fusion), ("streams", streams), ("late", apart("mrbrains", *PAIRS[0][::-1]))):  # fmt: skip
    run.record(f"zoo_{key}", one.mean, low=-10, high=20, digits=1)
    run.record(f"zoo_{key}_half", one.half, low=0, high=20, digits=1)
assert abs(fusion.mean) < fusion.half and streams.mean > streams.half  # fmt: skip

# %% [markdown]
# Early minus late on iSEG: {glue:text}`zoo_fusion` ± {glue:text}`zoo_fusion_half` points. The interval holds zero, so these records show no winner; the thesis's 5.9 points rest on one subject and have no interval to look at. What they cannot show: a sixth of the width, one seed, a short budget, and a stand-in in which both sequences see the same borders. The argument for early fusion {cite}`dolz2019` is that layers can combine sequences voxel by voxel before the detail is lost. That can pay only where one sequence knows what the other does not. The MRBrainS stand-in has three sequences, and there early fusion stands {glue:text}`zoo_streams` ± {glue:text}`zoo_streams_half` points above the single path: in these trainings streams paid. But late fusion is ahead of early by {glue:text}`zoo_late` ± {glue:text}`zoo_late_half`, against the thesis. An interval that barely leaves zero, one among a dozen comparisons, on one seed: nobody should build on it, in either direction.
#
# ### What it costs


# %% tags=["hide-input"]
def step_memory(data, name):
    """Predicted memory of one training step of the records, in MB."""
    asked = zoo_config(name, data, Profile("cpu"))
    network = nn.build(name, len(asked.channels), asked.classes, **asked.network_options)
    batch = (asked.batch, len(asked.channels), *asked.patch)
    return predict_memory(network.to("meta"), batch, optimiser="adamw", precision=asked.precision).peak / 1e6  # fmt: skip


chosen = [name for name in ORDER["iseg"] if name in counted]
spent = {name: records["iseg", name].metrics["gflop_per_step"] for name in ORDER["iseg"]}
run.record("zoo_cheap", spent["unet3d"], low=1, high=20, digits=0)
run.record("zoo_dear", max(spent.values()), low=20, high=2000, digits=0)
assert min(spent, key=spent.get) == "unet3d"
costs = {name: (spent[name], step_memory("iseg", name)) for name in chosen}
figure, axes = plt.subplots(2, 1, figsize=(5.4, 6.6))
for ax, which, label, ticks in ((axes[0], 0, "GFLOP a step", (5, 10, 20, 50)), (axes[1], 1, "memory of a step (MB, predicted)", (50, 100, 200, 500))):  # fmt: skip
    for name in chosen:
        values = mean_interval(measured("iseg", name, "mean_dice"))
        colour, dashes = LOOK[name]
        ax.errorbar(costs[name][which], values.mean, values.half, fmt="o" if dashes == "-" else "D", color=colour, capsize=3, label=NAMES[name])  # fmt: skip
    ax.set(xscale="log", xlabel=label, ylabel="Dice over tissues (%)")
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xticks([], minor=True)
axes[1].legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.25))
show(figure, caption=f"iSEG stand-in, synthetic: what a step of training costs, and the Dice on {PEOPLE} held-out subjects that {max(steps)} of them bought (mean and 95 % interval).", alt="Two panels of points with error bars, one a network; Dice against arithmetic and against memory, both on logarithmic axes")  # fmt: skip

# %% [markdown]
# The U-Net costs the least, {glue:text}`zoo_cheap` GFLOP a step where the dearest spends {glue:text}`zoo_dear`, and on the infants it scores best: there more arithmetic bought nothing. On the older adults it did not decide either way: three networks with more arithmetic than the U-Net stand above it, and the V-Nets, with the most, stand last. All that is a statement about {glue:text}`zoo_steps` steps: dear networks may need more of them, and we could not pay.
#
# ### One subject, or several
#
# The thesis tests on subject 1 of each dataset. A single subject gives no interval. How far apart are subjects?

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(5.4, 3.8))
for row, name in enumerate(ORDER["iseg"]):
    values = np.array(measured("iseg", name, "mean_dice"))
    interval = mean_interval(values)
    ax.plot([interval.mean - interval.half, interval.mean + interval.half], [row, row], color=style.MUTED, linewidth=5, alpha=0.6)  # fmt: skip
    ax.plot(values, np.full(PEOPLE, row), "o", color=LOOK[name][0], markersize=5)
ax.set_yticks(range(len(ORDER["iseg"])), [NAMES[n] for n in ORDER["iseg"]])
ax.set(xlabel="Dice over tissues (%)", ylim=(len(ORDER["iseg"]) - 0.5, -0.5))
show(figure, caption="Each dot is one held-out synthetic infant; grey, the 95 % interval of their mean. Any single dot could have been the table.", alt="For each network its dots and a grey bar around their mean; among the first six the bars of neighbours overlap; the two V-Nets lie far below")  # fmt: skip
per_subject = np.array([measured("iseg", n, "mean_dice") for n in ORDER["iseg"]])
orders = {tuple(np.argsort(-per_subject[:, at])) for at in range(PEOPLE)}
run.record("zoo_spread", np.ptp(per_subject, axis=1).mean(), low=0, high=40, digits=1)
run.record("zoo_orders", len(orders), low=2, high=PEOPLE, digits=0)
run.record("zoo_winners", len({order[0] for order in orders}), low=1, high=PEOPLE, digits=0)

# %% [markdown]
# Between the best and the worst of the infants lie {glue:text}`zoo_spread` points on average, though all come from one recipe and one scanner. Ranked by each infant alone, the zoo stands in {glue:text}`zoo_orders` different orders, with {glue:text}`zoo_winners` network(s) in first place. With real patients, scanners and hands that draw, expect more. A row of the thesis's table is one dot.
#
# ### To train it really
#
# The commands behind the page, for a machine with a GPU and the real data:
#
# ```bash
# # the thesis's numbers: SGD at 1e-3, batch 1, 60,000 steps of 64 x 128 x 128
# python -m medlab.train segmentation --data iseg --data-root /data/iSEG2017 --network unet3d --paper --profile gpu
# # ours: bigger batches, cosine schedule, augmentation
# python -m medlab.train segmentation --data mrbrains --data-root /data/MRBrainS18 --network early_fusion --profile gpu
# # the whole table at the paper's widths
# python -m medlab.methods.segmentation.zoo --data iseg --data-root /data/iSEG2017 --profile gpu
# ```
#
# Each resumes where it was interrupted. The thesis reports 4 to 16 hours a model; how long ours take on your card is unknown until you have run it, for no record says so.
#
# ## Where it breaks
#
# The code of the thesis is public, and so are its faults; we mention them because many have copied them. Each is provoked here as it stands there, and mended.
#
# ### An absent class
#
# A sub-volume of background only, four classes, a perfect answer. If a class that is nowhere scores Dice 0, what is the loss?

# %%
# NBVAL_CHECK_OUTPUT
nothing = torch.zeros(1, 16, 16, 16, dtype=torch.long)
perfect = F.one_hot(nothing, 4).movedim(-1, 1).float()
theirs = 1 - soft_dice(perfect, nothing, undefined=0.0).mean()
ours = soft_dice_loss(perfect, nothing, absent="ignore")
print(f"perfect answer, loss of that code: {float(theirs):.2f}; ours: {float(ours):.2f}")
assert abs(float(theirs) - 0.75) < 1e-6 and float(ours) < 1e-6

# %% [markdown]
# ### Dice of patches
#
# That code reports *soft* Dice, averaged over *sub-volumes* and classes, with the rule above. Take one fixed prediction, that of our first infant, and report it both ways.
#
# **Predict.** Which is lower, hard Dice of the whole scan or the mean soft Dice over sub-volumes of 32³?

# %%
p, patches = found[0].probabilities.cpu(), []
for c in itertools.product(*(range(0, n - 31, 32) for n in truth.shape)):
    at = tuple(slice(start, start + 32) for start in c)
    if truth[at].any():  # "non-empty"
        y = truth[at][None].long()
        score = soft_dice(p[(None, slice(None), *at)], y, squared=True)[0].nan_to_num(0.0)
        present = torch.bincount(y.flatten(), minlength=4) > 0
        patches.append([float(score.mean()), float(score[present].mean()), bool(present.all())])
as_published, of_present, complete = np.mean(patches, 0)
hard = scores[0]["mean_dice_background"]
print(f"{len(patches)} sub-volumes, {complete:.0%} of them with all four classes")
assert as_published <= of_present + 1e-6  # less, wherever a class is missing

# %% tags=["hide-input"]
run.record("zoo_soft_patches", as_published, low=0.05, high=0.95, digits=3)
run.record("zoo_soft_present", of_present, low=0.1, high=0.99, digits=3)
run.record("zoo_hard_whole", hard, low=0.3, high=0.99, digits=3)

# %% [markdown]
# {glue:text}`zoo_hard_whole` by hard Dice of the whole scan, {glue:text}`zoo_soft_patches` by soft Dice of sub-volumes, classes and background included in both; {glue:text}`zoo_soft_present` if absent classes are left out. One prediction, three numbers; which of them a table holds must be said. Where a sub-volume lies deep in the brain the background is absent, and scores 0. That may be how the dense networks came by their poor background above: their sub-volumes are small.
#
# ### A window of nothing
#
# The thesis leaves empty sub-volumes out, and so did the training of our shipped weights. Skull-stripped air is the same everywhere. Give the network a window of air.
#
# **Predict.** How much of it will be called tissue?

# %%
ready = prepare(held_out[0], config).image.data
air = ready[:, ~brain].mean(1)[:, None, None, None].expand(2, 48, 48, 48)
with torch.no_grad():
    said = unet(air[None].to(run.device))[0].argmax(0)
tissue = float((said > 0).float().mean())
print(f"of a window of air {tissue:.0%} is called tissue")
assert tissue > 0.1 or config.anywhere > 0

# %% tags=["hide-input"]
run.record("zoo_air", 100 * tissue, low=0 if config.anywhere > 0 else 10, high=100, unit="%", digits=0)  # fmt: skip

# %% [markdown]
# {glue:text}`zoo_air`. Instance normalisation divides by the spread of a window; where there is none, it most likely blows up what little the zeros at the rim bring in; and this network was never shown a window of air. We did not find this by thinking: an early table of ours had an HD95 of tens of millimetres everywhere, from windows below the brain. Mended twice: in training `anywhere` draws a tenth of the sub-volumes from all places, and `segment` calls background whatever lies outside the content, where nothing can be seen anyway.
#
# ### z-scores squeezed
#
# To bring intensities into [0, 1], that code takes z-scores and then subtracts the minimum and divides by the range, both *of the image before*.

# %%
# NBVAL_CHECK_OUTPUT
raw = 250 * torch.rand(20_000, generator=torch.Generator().manual_seed(3))
squeezed = (z_score(raw) - raw.min()) / (raw.max() - raw.min())
print(f"meant to lie in 0 to 1: {float(squeezed.min()):.3f} to {float(squeezed.max()):.3f}")
assert squeezed.min() < 0 and squeezed.max() < 0.1

# %% [markdown]
# Half of the values lie below 0, and the whole contrast fits into less than two hundredths. `standardise` stops at z-scores; nothing needs them in [0, 1].
#
# ### Image and label turned by different angles
#
# Augmentation turns image and label. That code calls the same function twice, and the function draws plane and angle anew each time. So the label belongs to a head that is turned differently. Which Dice does a *perfect* prediction get?


# %%
def turned(sample, degrees):
    """About the long axis of the body; image and label by one draw."""
    values = {"scale": [1.0] * 3, "angles_deg": [0.0, 0.0, degrees], "shift_mm": [0.0] * 3}
    return Affine().replay(sample, values)


levels = slice(SLICE - 4, SLICE + 4)
image = Volume(infant.image.data[..., levels], infant.image.affine)
thin = replace(infant, image=image, label=truth[..., levels], mask=None)
together = turned(thin, 10.0).label  # what a perfect network says of the turned image
for more in (0.0, 2.0, angle_deg):
    drawn_twice = turned(thin, 10.0 + more).label
    value = float(dice(together, drawn_twice, labels=[1, 2, 3]).mean())
    print(f"label turned by {more:g} degrees more: mean Dice of a perfect answer {value:.2f}")
assert value < 0.9 or angle_deg < 2

# %% tags=["hide-input"]
run.record("zoo_turned", value, low=0, high=1, digits=2)

# %% [markdown]
# {glue:text}`zoo_turned` is the ceiling for a network that makes no mistake. Set `angle_deg` and run it again. In `medlab.data.augment` parameters are drawn once and applied to image, label and mask alike.
#
# And the label was turned with a cubic spline, as if class numbers were intensities:

# %%
flat = truth[..., SLICE].float().numpy()
smooth = ndimage.rotate(flat, 10, reshape=False, order=3)
between = np.abs(smooth - smooth.round()) > 1e-3
nearest = ndimage.rotate(flat, 10, reshape=False, order=0)
invented = (smooth.round() == 2) & (nearest != 2)
print(f"values from {smooth.min():.2f} to {smooth.max():.2f}; no class: {between.mean():.0%}")
print(f"rounded, {int(invented.sum())} voxels are grey matter that are none")
assert between.any() and invented.any() and set(np.unique(nearest)) <= {0, 1, 2, 3}

# %% [markdown]
# Between white matter (3) and fluid (1) lies, for a spline, grey matter (2). Labels want the nearest neighbour.
#
# ### A V-Net for three sequences
#
# V-Net adds its input to the 16 channels of the first stage, so the input is repeated. Three does not go into 16.

# %%
# NBVAL_CHECK_OUTPUT
x = torch.randn(1, 3, 16, 16, 16, generator=torch.Generator().manual_seed(4))
first = torch.randn(16, 3, 5, 5, 5, generator=torch.Generator().manual_seed(5))
try:
    F.conv3d(x, first, padding=2) + x.repeat(1, 16 // 3, 1, 1, 1)
    broke = False
except RuntimeError:
    broke = True
out = nn.build("vnet", 3, 4, width=4)(x)
print(f"16 // 3 = {16 // 3} copies break: {broke}; ours gives {tuple(out.shape)}")
assert broke and out.shape == (1, 4, 16, 16, 16)

# %% [markdown]
# Ours repeats in turn: channel $i$ gets sequence $i$ mod 3.
#
# ### The place that is never drawn
#
# A random start from 0 up to, but not including, `length - size`:

# %%
# NBVAL_CHECK_OUTPUT
length, size = 40, 32
theirs = np.random.default_rng(0).integers(0, length - size, 10_000)
block_of_ones = Sample("ones", Volume(torch.ones(1, length, 8, 8), np.eye(4)), ("T1",))
even = PatchSampler(block_of_ones, (size, 8, 8))
ours = even.starts(2000, 0)[:, 0]
print(f"last place {length - size}; drawn: up to {theirs.max()} there, {int(ours.max())} here")
assert theirs.max() < length - size == int(ours.max())

# %% [markdown]
# So the last plane of voxels along each axis is never learned from. Other faults of that collection are tests of this book's library: a crop along two full axes that is empty, a rejection sampler that can loop for ever, a split by sorted paths (see [Training well](training_well.ipynb)), validation means divided by the wrong count.
#
# ## Exercises
#
# ### Exercise 1: a mean for nothing
#
# A lazy network calls everything background. The brain fills a share $f$ of the scan. What is its Dice of the background, and its mean over four classes? Take $f = 0.2$. And how many points does a *perfect* background add to a network whose tissues have a mean of 70?
#
# <details class="hint"><summary>Hint</summary>
#
# Write Dice as twice the common volume over the sum of the two, for the background.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# The prediction has all $N$ voxels, the truth $(1 - f) N$, in common are $(1 - f) N$. For the second part use equation {eq}`zoo-mean`.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $D_0 = 2 (1 - f)/(2 - f)$, which is 0.89 for $f = 0.2$; the tissues have 0, so the mean is 0.22: more than nothing for nothing. With tissues at 70 and a perfect background the mean is $(3 \cdot 70 + 100)/4 = 77.5$, 7.5 points more. The worse the tissues, the more a perfect background gives.
#
# </details>
#
# ### Exercise 2: how many windows?
#
# A scan of iSEG has 144 × 192 × 256 voxels, a window of the thesis 64 × 128 × 128. How many windows are needed side by side (the last may overlap), and how many if neighbours share at least half? By which factor does the time grow, and why not by 8?
#
# <details class="hint"><summary>Hint</summary>
#
# Axis by axis: the last start is $n - s$, and starts are at most $(1 - \text{overlap})\, s$ apart.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $\lceil (n - s) / ((1 - \text{overlap})\, s) \rceil + 1$ windows along an axis.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Side by side $3 \cdot 2 \cdot 2 = 12$. With half: $\lceil 80/32 \rceil + 1 = 4$, $\lceil 64/64 \rceil + 1 = 2$, $\lceil 128/64 \rceil + 1 = 3$, so 24. A factor of 2. Each axis would double only if it held many windows; here the starts side by side overlap already.
#
# </details>
#
# ### Exercise 3: corners of windows, in code
#
# Write `corners(length, size, overlap)`: the starts of windows along one axis, as few as possible, such that the first is 0, the last ends with the axis, and neighbours are at most $(1 - \text{overlap})\,\text{size}$ voxels apart.
#
# <details class="hint"><summary>Hint</summary>
#
# First find how many steps it takes from 0 to the last start.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Spread that many steps evenly from 0 to `length - size`, and round.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The steps are `last / (size * (1 - overlap))`, rounded up; then divide evenly. The cell below the exercise holds the code. A loop `range(0, length - size, step)`, as one often sees, forgets the last window: the same fault as above.
#
# </details>


# %% tags=["hide-input"]
def check_corners(corners):
    for length, size, overlap in ((48, 32, 0.5), (40, 32, 0.0), (32, 32, 0.5), (100, 32, 0.25), (172, 48, 0.5)):  # fmt: skip
        found = [int(at) for at in corners(length, size, overlap) or ()]
        if not found:
            return "it returned nothing; return a list of whole numbers."
        what = f"length {length}, size {size}, overlap {overlap:g}: {found}"
        if found[0] != 0 or found != sorted(set(found)):
            return f"{what} should start with 0 and rise."
        if found[-1] != length - size:
            return f"{what} should end with {length - size}, where the last window ends with the axis."
        gaps = np.diff(found)
        step = size * (1 - overlap)
        if len(gaps) and gaps.max() > step:
            return f"{what} has neighbours that share too little."
        if len(gaps) > np.ceil((length - size) / step):
            return f"{what} has more windows than are needed."


# %% tags=["exercise"]
def corners(length, size, overlap):
    """The starts of windows along one axis, a list of whole numbers."""
    ...  # your code here


judge(check_corners, corners)


# %% tags=["solution", "hide-cell"]
def corners(length, size, overlap):
    """The starts of windows along one axis, a list of whole numbers."""
    # begin solution
    last = length - size
    steps = int(np.ceil(last / (size * (1 - overlap))))
    return [round(last * at / steps) for at in range(steps + 1)] if steps else [0]
    # end solution


judge(check_corners, corners)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A paper reports a mean Dice of 0.85 over four classes, and per tissue 0.82, 0.80 and 0.78. What do you conclude?",
        ("Someone has rounded badly", "Rounding moves the third digit, not the first."),
        right("The mean counts the background, at 1.00", "4 · 0.85 − 2.40 = 1.00. Over tissues it is 0.80."),
        ("The mean was taken over subjects, the tissues over voxels", "Possible, but the simple explanation fits to the digit."),
    ),
    question(
        "Two networks of equal weights in number: one works at full resolution, one mostly at an eighth of it. Which needs more memory to train?",
        ("Both the same", "Weights are a small part. Maps for the backward pass are the large one."),
        right("The one at full resolution", "A map there has 512 times the voxels of one at an eighth."),
        ("The one at an eighth, for its many channels", "Its channels grow by doubling, its voxels shrink by eight each time."),
    ),
    question(
        "Your network beats a rival by two points on the one test subject of a dataset. What is missing before you may say that it is better?",
        ("More digits", "The next subject changes the first digit."),
        right("More subjects, and an interval of the paired differences", "Paired, because a hard subject is hard for both: the difference leaves that out."),
        ("A longer training", "It changes both; the comparison stays one of one subject."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - Weights tell little of the cost. A dense network at full resolution spends a hundred times the arithmetic of a U-Net on a voxel, and sees less.
# - Take means apart: over which classes, which voxels, which subjects? A background can lift a row past another.
# - Learn from sub-volumes, but judge on the whole scan: hard Dice, tissue by tissue, with overlapping windows and an interval over subjects.
# - A table at one budget on a handful of subjects ranks *budgets and subjects* too. Say so.
# - Test the boring parts: absent classes, last positions, one draw for image and label, nearest labels, the affine.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | heads | **synthetic** stand-ins for iSEG 2017 (infants at six months) and MRBrainS 2018 (50 to 80 years): one anatomy bent many ways, one scanner; truth is exact, where the real labels are drawn by hand |
# | thesis's numbers | from its tables, on the real datasets, one test subject, not reproduced here |
# | networks in the table | one seed each, a small budget; dense ones at full resolution narrower than in the paper |
# | shipped weights | 3D U-Net, trained on synthetic infants only: good for this page, not for any patient |
# | intervals | over held-out subjects of one synthetic population; they do not hold the spread over trainings |
# | claims | about these runs; none about which network is best for you, and none about patients |
#
# ## Further reading
#
# The datasets: {cite}`wang2019iseg` compare what eight groups made of iSEG, with all the care about subjects that a table of one lacks. {cite}`isensee2021` argue, with 23 datasets, that a plain U-Net trained with care beats most new designs; the fair comparison they ask for is what this page tries in small. {cite}`dolz2019` give the dense designs and their reasons. On choosing measures, {cite}`maierhein2024`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
