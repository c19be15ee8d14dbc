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
#     - data/brain_tissues_tumours_and_bleeds
#     - data/preparing_data
#     - validation/segmentation_metrics
#     summary: What each segmentation loss pulls on, what it does with a rare or absent
#       class, and which probabilities it asks for.
#     weights: []
# ---

# %% [markdown]
# # Losses
#
# A network for segmentation becomes what its loss asks for. The menu is long: cross entropy, weighted or focal; Dice in half a dozen forms; losses of outlines; sums of
# all of them. Papers report which won on their data. Here you learn to see *what each one asks for*: which voxels it pulls on and how hard, what it does where there is
# nothing to find, and what its probabilities mean. Then we train one small network with eight losses, and most of what we find can be predicted with a pencil.
#
# **You will be able to**
#
# - write cross entropy, focal, Dice, Tversky and boundary loss as formulas, and as calls
# - say for a small lesion in a large volume which voxels win the tug of war, and where it ends
# - choose what an absent class is worth, and notice when somebody has chosen wrongly
# - predict whether a loss gives honest probabilities, and put the threshold where it belongs
# - compare losses fairly: one network, several seeds, paired differences with intervals
#
# **You need** [Brain tissues, tumours and bleeds](../data/brain_tissues_tumours_and_bleeds.ipynb): plaques, FLAIR; [Preparing data](../data/preparing_data.ipynb): z-scores, splits by subject; [Segmentation metrics](segmentation_metrics.ipynb): Dice, precision, recall, HD95.

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
start_probability = 0.0025  # what the network says everywhere before it learns
weight = 30.0  # of a plaque's voxel in the weighted cross entropy
absent_rule = "zero"  # in "Where it breaks": "zero", "epsilon" or "ignore"

# %% tags=["hide-input"]
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.grid import Grid
from medlab.cohorts.lesions import PLAQUE_LABELS, draw_plaques
from medlab.cohorts.scan import FLAIR, T1, mr_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.data.transforms import z_score
from medlab.metrics import accuracy, dice, hausdorff_distance_95, mean_interval, precision, recall  # fmt: skip
from medlab.metrics.losses import boundary_loss, cross_entropy_loss, dice_cross_entropy_loss, focal_loss, hausdorff_loss  # fmt: skip
from medlab.metrics.losses import signed_distance_map, soft_dice, soft_dice_loss, tversky_loss
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
MM = run.pick(ci=3.5, cpu=2.5, gpu=2.0)
GRID = Grid(tuple(round(length / MM) for length in (150, 190, 90)), (MM,) * 3, (0.0, -17.0, 20.0))  # fmt: skip
TRAIN, TEST = run.pick(ci=3, cpu=12, gpu=24), run.pick(ci=3, cpu=10, gpu=24)
STEPS, SEEDS = run.pick(ci=40, cpu=200, gpu=600), run.pick(ci=3, cpu=3, gpu=5)
BLURS_MM = (0.0, 1.75, 3.75, 10.0)


class Patient:
    """A synthetic patient: what the network sees of each voxel of the brain, and the truth."""

    def __init__(self, number):
        subject = draw_subject(draw_person(number, 25.0 + 7 * number % 30), GRID, [draw_plaques(number, count=25)])  # fmt: skip
        self.mask, self.label = brain_mask(subject), subject.labels(PLAQUE_LABELS)
        self.flair, t1 = (mr_image(subject, s, number, noise=0.06, bias=0.25) for s in (FLAIR, T1))  # fmt: skip
        scaled = [(z_score(image, self.mask) * self.mask).numpy() for image in (self.flair, t1)]
        seen = [
            ndimage.gaussian_filter(i, mm / MM) if mm else i for i in scaled for mm in BLURS_MM
        ]
        self.features = torch.from_numpy(np.stack(seen, -1))[self.mask]  # (voxels, 8)
        self.target = self.label[self.mask].long()[None, :, None]  # (1, voxels, 1)
        self.distance = signed_distance_map(self.label, MM)[self.mask][None, None, :, None]

    def volume(self, values):
        """Values of the brain's voxels, where they belong."""
        return torch.zeros(self.mask.shape).masked_scatter(self.mask, values)


people = [Patient(100 * (seed + 1) + n) for n in range(TRAIN + TEST)]
train, test = people[:TRAIN], people[TRAIN:]
middle = torch.cat([one.features for one in train])
middle, spread = middle.mean(0), middle.std(0)
for one in people:
    one.features = (one.features - middle) / spread


def overlap_and_outline(z, y, d):
    p = z.sigmoid()
    return soft_dice_loss(p, y) + 0.05 * boundary_loss(p, d)


WEIGHTS = [1.0, weight]  # of background and plaque
LOSSES = {
    "cross entropy": lambda z, y, d: cross_entropy_loss(z, y),
    "weighted cross entropy": lambda z, y, d: cross_entropy_loss(z, y, class_weights=WEIGHTS),
    "focal": lambda z, y, d: focal_loss(z, y),
    "Dice, squares": lambda z, y, d: soft_dice_loss(z.sigmoid(), y),
    "Dice, plain": lambda z, y, d: soft_dice_loss(z.sigmoid(), y, squared=False),
    "Tversky .3, .7": lambda z, y, d: tversky_loss(z.sigmoid(), y),
    "Dice + cross entropy": lambda z, y, d: dice_cross_entropy_loss(z, y),
    "Dice + boundary": overlap_and_outline,
}
COLOURS = dict(zip(LOSSES, (style.BLUE, style.GREEN, style.GOLD, style.ORANGE, style.PINK, style.PURPLE), strict=False))  # fmt: skip


class Networks(torch.nn.Module):
    """Small networks side by side, one a seed: eight fixed filters of a voxel's surroundings, sixteen hidden units, one logit."""

    def __init__(self, probability=start_probability):
        super().__init__()
        chance, logit = run.fresh_generator(7), float(torch.tensor(probability).logit())
        self.first = torch.nn.Parameter(0.5 * torch.randn(SEEDS, 8, 16, generator=chance))
        self.last = torch.nn.Parameter(0.25 * torch.randn(SEEDS, 16, 1, generator=chance))
        self.biases = torch.nn.Parameter(torch.zeros(SEEDS, 1, 16))
        self.start = torch.nn.Parameter(torch.full((SEEDS, 1, 1), logit))

    def forward(self, features):
        """(voxels, 8) to logits (SEEDS, 1, voxels, 1): for the losses a batch."""
        hidden = F.relu(features @ self.first + self.biases)
        return (hidden @ self.last + self.start)[:, None]


@lru_cache
def fit(name, probability=start_probability, steps=STEPS):
    """The networks after training with one of the losses, all in the same order of patients."""
    nets, chance = Networks(probability), run.fresh_generator(8)
    optimizer = torch.optim.Adam(nets.parameters(), lr=0.05, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, steps)
    turns = [torch.randperm(TRAIN, generator=chance) for _ in range(-(-steps // TRAIN))]
    for turn in torch.cat(turns)[:steps].tolist():
        one = train[turn]
        target, distance = (v.expand(SEEDS, *v.shape[1:]) for v in (one.target, one.distance))
        loss = LOSSES[name](nets(one.features), target, distance)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return nets


@lru_cache
def probabilities(name, index):
    """Of the brain's voxels of a patient, (SEEDS, voxels)."""
    nets = fit(name)
    with torch.no_grad():
        return nets(people[index].features)[:, 0, :, 0].sigmoid()


def cropped(image):
    return image[round(5 / MM) : -round(5 / MM), round(5 / MM) : -round(5 / MM)]


def draw(ax, image, index, window, title, label=None, cmap="gray"):
    drawn = slices.draw_slice(ax, cropped(image), index=index, window=window, cmap=cmap, spacing=(MM,) * 3, smooth=False)  # fmt: skip
    ax.set_title(title, fontsize=10)
    if label is not None:
        outline = slices.slice_image(cropped(label).float(), "axial", index)[::-1]
        high, wide = outline.shape
        ax.contour(np.kron(outline, np.ones((6, 6))), [0.5], colors=[style.ORANGE], linewidths=1, extent=(0, wide * MM, 0, high * MM))  # fmt: skip
    return drawn


shown = TRAIN
patient = people[shown]
SLICE = int(patient.label.sum((0, 1)).argmax())
figure, axes = plt.subplots(2, 2, figsize=(5.8, 7.2))
draw(axes[0, 0], patient.flair, SLICE, (0, float(patient.flair[patient.mask].quantile(0.999))), "FLAIR and true plaques", patient.label)  # fmt: skip
for ax, name in zip(axes.flat[1:], ("cross entropy", "weighted cross entropy", "Dice, plain"), strict=True):  # fmt: skip
    drawn = draw(ax, patient.volume(probabilities(name, shown)[0]), SLICE, (0, 1), name, cmap="viridis")  # fmt: skip
figure.colorbar(
    drawn, ax=axes, location="bottom", label="probability of plaque", shrink=0.7, aspect=30
)
show(
    figure,
    caption="A synthetic patient whom the network has not seen. One network, one set of patients, one start; only the loss differs. Each calls its answer a probability.",
    alt="A FLAIR slice with outlined plaques, and three maps of probability: graded spots, large bright spots with haze around them, and hard-edged spots",
)

# %% [markdown]
# All heads and scans on this page are {term}`synthetic <synthetic data>`; the patient's right is on your left. Three answers to one question, and only one of them means by "probability" what you mean by it. At the end of the lesson you can say
# which from the formulas alone.
#
# We write $y_\mathbf{x}$ for the truth of a {term}`voxel`, 1 in a {term}`plaque` and 0 elsewhere; $z_\mathbf{x}$ for the {term}`logit`, the number that the network gives, and $p_\mathbf{x} = 1/(1 + e^{-z_\mathbf{x}})$ for its probability; $N$ for the voxels of the brain, $n$ for those of plaques.
#
# ## Right almost everywhere
#
# Why not train for what one wants, the share of voxels that are right (thesis eq. 5.18 {cite}`thesis`)? With $A$ the true and $B$ the predicted plaques in a brain $\Omega$,
#
# $$ \mathrm{ACC} = \frac{|A \cap B| + |\Omega \setminus (A \cup B)|}{|\Omega|}. $$ (loss-accuracy)
#
# For two reasons. It counts decisions, so it is flat almost everywhere and has no slope to follow. And it is a number about background:

# %%
empty = torch.zeros_like(patient.target)
plaques, voxels = int(patient.target.sum()), patient.target.numel()
print(f"plaques: {plaques} of {voxels:,} voxels of the brain")
print(f"accuracy of an empty answer: {float(accuracy(empty, patient.target)):.4f}")
print(f"Dice of an empty answer: {float(dice(empty, patient.target)):.4f}")

# %% tags=["hide-input"]
share = np.array([float(one.target.float().mean()) for one in people])
run.record("loss_accuracy", 100 * (1 - share.mean()), low=99.5, high=99.99, unit="%", digits=2)
run.record("loss_one_in", 1 / share.mean(), low=200, high=5000, digits=0)

# %% [markdown]
# One voxel in {glue:text}`loss_one_in` is plaque. Who finds nothing is right in {glue:text}`loss_accuracy` of the voxels, averaged over our synthetic patients. The thesis says so (section 5.3.2): accuracy can be high although the foreground has not been found. This is {term}`class imbalance`, and it returns in every loss below.
#
# ## Cross entropy: each voxel for itself
#
# Take the network at its word. If voxels were independent, the probability that it gives to the truth as a whole is the product of $p_\mathbf{x}$ over plaques and $1 - p_\mathbf{x}$ elsewhere. Making this {term}`likelihood` as large as possible is making its negative logarithm small, and that is the {term}`cross entropy` (thesis eq. 4.9 to 4.11), here with weights $w_0, w_1$ of the classes:
#
# $$ \begin{aligned} L_\mathrm{CE} &= -\frac{1}{W} \sum_\mathbf{x} w_{y_\mathbf{x}} \big[ y_\mathbf{x} \log p_\mathbf{x} + (1 - y_\mathbf{x}) \log(1 - p_\mathbf{x}) \big], \\ W &= \sum_\mathbf{x} w_{y_\mathbf{x}}. \end{aligned} $$ (loss-entropy)
#
# A mistake made with certainty costs without limit, so the logarithm must be formed from logits: $-\log p = \log(1 + e^{-z})$. The slope is as simple as a slope can be. A voxel pulls its logit by how wrong it is,
#
# $$ \frac{\partial L_\mathrm{CE}}{\partial z_\mathbf{x}} = \frac{w_{y_\mathbf{x}}}{W}\,(p_\mathbf{x} - y_\mathbf{x}), $$ (loss-pull)
#
# and asks no other voxel.

# %%
z = Networks(0.1)(patient.features)[:1].detach().requires_grad_()
y, p = patient.target, z.detach().sigmoid()[:, 0]
w = torch.where(y == 1, weight, 1.0)
each = F.softplus(torch.where(y == 1, -1, 1) * z[:, 0])
by_hand = (w * each).sum() / w.sum()  # (loss-entropy)
loss = cross_entropy_loss(z, y, class_weights=[1.0, weight])
torch.testing.assert_close(by_hand, loss)
slope = torch.autograd.grad(loss, z)[0][:, 0]
torch.testing.assert_close(w / w.sum() * (p - y), slope)  # (loss-pull)

# %% [markdown]
# The {term}`focal loss` {cite}`lin2017` mutes voxels that are already right:
#
# $$ L_\mathrm{focal} = -\frac{1}{N} \sum_\mathbf{x} (1 - q_\mathbf{x})^\gamma \log q_\mathbf{x}, $$ (loss-focal)
#
# where $q_\mathbf{x}$ is the probability of what is true, $p_\mathbf{x}$ in plaques and $1 - p_\mathbf{x}$ elsewhere.
#
# With $\gamma = 0$ it is the cross entropy; the authors use 2. A healthy voxel at $p = 0.05$ then counts 400 times less than before, a missed plaque at $p = 0.05$ nearly as much as before.
#
# ## Dice: all voxels at once
#
# Overlap can be made differentiable by leaving out the decision {cite}`milletari2016`. Thesis eq. 5.21, a {term}`soft Dice loss`:
#
# $$ L_\mathrm{Dice} = 1 - \frac{2 I + \varepsilon}{S + \varepsilon}, \qquad I = \sum_\mathbf{x} y_\mathbf{x} p_\mathbf{x}, \quad S = \sum_\mathbf{x} y_\mathbf{x}^2 + \sum_\mathbf{x} p_\mathbf{x}^2 . $$ (loss-dice)
#
# Many programs leave out the squares ($S = \sum y + \sum p$). At probabilities of 0 and 1 both are the {term}`Dice coefficient`, and in between they are different losses, as we shall see. Their slopes, for small $\varepsilon$:
#
# $$ \frac{\partial L_\mathrm{Dice}}{\partial p_\mathbf{x}} = \begin{cases} -2\,(y_\mathbf{x} S - 2 p_\mathbf{x} I) / S^2 & \text{squares,} \\ -2\,(y_\mathbf{x} S - I) / S^2 & \text{plain.} \end{cases} $$ (loss-slope)

# %%
p = p[:, None].requires_grad_()
answer = p.detach()[:, 0]
for squared in (True, False):
    loss = soft_dice_loss(p, y, squared=squared)
    both, power = (y * answer).sum(), 2 if squared else 1
    S = y.sum() + (answer**power).sum()
    torch.testing.assert_close(1 - (2 * both + 1e-5) / (S + 1e-5), loss)  # (loss-dice)
    by_hand = -2 * (y * S - both * (2 * answer if squared else 1)) / S**2  # (loss-slope)
    slope = torch.autograd.grad(loss, p)[0][:, 0]
    torch.testing.assert_close(by_hand, slope, rtol=1e-4, atol=1e-9)

# %% [markdown]
# These are slopes for $p$; a logit feels $p(1 - p)$ times as much. A plaque voxel is pulled by nearly $2/S$ while little is found, and $S$ adds up plaque, true and predicted. Healthy brain where the network is silent does not count, be it ten thousand voxels or ten million. That is how Dice deals with imbalance. But nothing is free: $I$ and $S$ are sums over the whole image, so what one voxel is worth depends on all the others.
#
# ### The tug of war
#
# Let the network say the same $p$ everywhere, as it does at first: it can only move all logits together. Plaques pull up, healthy voxels pull down. Who wins?
#
# **Predict.** Take one plaque voxel in a thousand and $p = 0.1$. Which side wins under the cross entropy, and which under the plain Dice loss? At which $p$ does each come to rest?

# %% tags=["hide-input"]
SIDE = 64
across = torch.arange(SIDE) - (SIDE - 1) / 2
far = (across[:, None] ** 2 + across**2).sqrt()
TUGS = {k: v for k, v in LOSSES.items() if "+" not in k and "Tversky" not in k}


def tug(name, disc, p):
    """Pull of the plaque's voxels over pull of healthy ones, where all have the same p."""
    z = torch.full((1, 1, SIDE, SIDE), p, dtype=torch.float64).logit().requires_grad_()
    slope = torch.autograd.grad(LOSSES[name](z, disc[None].long(), None), z)[0][0, 0]
    return float(-slope[disc].sum() / slope[~disc].sum())


def draw_tug(radius, p):
    disc = far < radius
    n = int(disc.sum())
    figure, axes = plt.subplots(2, 1, figsize=(4.8, 4.6), height_ratios=(1, 1.6))
    axes[0].imshow(disc, cmap="gray", vmin=-0.4, vmax=1).set_gid("voxels-disc")
    axes[0].set_axis_off()
    axes[0].set_title(f"{n} of {SIDE**2} voxels", fontsize=10)
    axes[1].axvline(1, color=style.INK, linewidth=1)
    for row, name in enumerate(TUGS):
        found = tug(name, disc, p)
        colour, end = (
            style.ORANGE if found > 1 else style.BLUE,
            float(np.clip(found, 2e-3, 500)),
        )
        axes[1].plot([1, end], [row, row], color=colour, linewidth=6, solid_capstyle="butt")
        axes[1].plot(end, row, "o", color=colour, markersize=8)
        axes[1].text(1.03, row, f"{found:.3g}", transform=axes[1].get_yaxis_transform(), va="center", fontsize=9)  # fmt: skip
    axes[1].set(xscale="log", xlim=(1e-3, 1e3), ylim=(len(TUGS) - 0.5, -0.5), xlabel="pull up / pull down")  # fmt: skip
    axes[1].set_yticks(range(len(TUGS)), [k.replace("weighted ", "weighted\n") for k in TUGS])
    axes[1].set_title(f"all voxels at p = {p:g}", fontsize=10)
    return figure


explore(
    draw_tug,
    caption="A synthetic plaque (a disc) in a square, and the same probability everywhere. To the right of 1 (orange) the plaque wins and all probabilities rise; to the left (blue) they fall. Make the plaque small, then lower p until the losses change sides, one after the other.",
    alt=lambda radius, p: f"Above a disc of radius {radius:g} voxels, below bars of the ratio of pulls at p = {p:g}: " + ", ".join(f"{name} {tug(name, far < radius, p):.2g}" for name in TUGS),
    labels={"radius": "radius (voxels)", "p": "probability p"},
    start={"radius": 2.0, "p": 0.1},
    radius=[1.0, 2.0, 4.0, 8.0, 16.0, 28.0],
    p=[0.002, 0.01, 0.03, 0.1, 0.3, 0.6],
)  # fmt: skip

# %% [markdown]
# From equations {eq}`loss-pull` and {eq}`loss-slope`, with all $p$ equal (then $p(1 - p)$ is the same on both sides and drops out) and small $n/N$, the ratio of the pulls is
#
# $$ \begin{aligned} \text{CE: } & \frac{w_1 n (1 - p)}{w_0 (N - n)\, p}, \\ \text{squares: } & \frac12 + \frac{n}{2Np^2}, \\ \text{plain: } & 1 + \frac{n}{(N - n)\,p}. \end{aligned} $$ (loss-tug)
#
# The cross entropy comes to rest at $p = n/N$: the network first learns the {term}`prior <prior probability>`, one in a thousand, and has to find plaques from there. Squares rest at $p = \sqrt{n/N}$, about 0.03. Under plain sums the plaque wins at *every* $p$, and its loss is content only when it can tell voxels apart, or when all are called plaque.

# %%
disc = far < 4
n, N = int(disc.sum()), SIDE**2
for p in (0.01, 0.1, 0.5):
    expected = {
        "cross entropy": n * (1 - p) / ((N - n) * p),
        "Dice, squares": (n + (N - 2 * n) * p**2) / (2 * (N - n) * p**2),  # not approximated
        "Dice, plain": 1 + n / ((N - n) * p),
    }
    for name, ratio in expected.items():  # (loss-tug)
        np.testing.assert_allclose(tug(name, disc, p), ratio, rtol=1e-5)

# %% [markdown]
# This is why we start our network at $p =$ {glue:text}`loss_start`, not far from the share of plaques, by the bias of its last layer, as {cite}`lin2017` do (with 0.01). Otherwise the first steps go into learning that plaques are rare. What that costs, we measure under "Where it breaks".
#
# Two relatives. The {term}`Tversky loss` {cite}`salehi2017` puts a price on each kind of error, $\alpha$ on false voxels and $\beta$ on missed ones,
#
# $$ L_\mathrm{Tversky} = 1 - \frac{I + \varepsilon}{I + \alpha \sum (1 - y_\mathbf{x}) p_\mathbf{x} + \beta \sum y_\mathbf{x} (1 - p_\mathbf{x}) + \varepsilon}, $$ (loss-tversky)
#
# and with $\alpha = \beta = \frac12$ it is the plain Dice loss. *Generalised Dice* {cite}`sudre2017` weighs several classes by $1/\text{volume}^2$ before it divides, so that small ones are heard.
#
# ## Outlines: the place of an error
#
# Shuffle the voxels of prediction and truth together, and no loss so far notices. But a false voxel at the rim of a plaque and one in the other hemisphere are different mistakes. The {term}`boundary loss` {cite}`kervadec2019` multiplies each probability by the {term}`signed distance` $\phi$ from the true outline, which is negative inside; the loss of {cite}`karimi2020`, after the Hausdorff distance (thesis eq. 5.22), weighs squared errors by distances from both outlines:
#
# $$ L_\mathrm{B} = \frac{1}{N} \sum_\mathbf{x} \phi_\mathbf{x}\, p_\mathbf{x}, \qquad L_\mathrm{H} = \frac{1}{N} \sum_\mathbf{x} (p_\mathbf{x} - y_\mathbf{x})^2 \big(d_{p,\mathbf{x}}^2 + d_{y,\mathbf{x}}^2\big). $$ (loss-outline)

# %%
inside = patient.label[..., SLICE] > 0
phi = signed_distance_map(inside, MM)  # in mm
guess = torch.rand(inside.shape, generator=run.fresh_generator(5))
by_hand = (phi * guess).mean()  # (loss-outline), left
batch = guess[None, None], inside[None].long()
torch.testing.assert_close(by_hand, boundary_loss(batch[0], phi[None, None]))
d_p = signed_distance_map(guess > 0.5, MM).abs()
by_hand = ((guess - inside.float()) ** 2 * (d_p**2 + phi**2)).mean()  # right
torch.testing.assert_close(by_hand, hausdorff_loss(*batch, MM))

# %% tags=["hide-input"]
figure, axes = plt.subplot_mosaic(
    [["map"], ["cost"]], figsize=(4.8, 6.4), height_ratios=(1.3, 1)
)
shown_phi = torch.where(patient.mask[..., SLICE], phi, torch.nan)[..., None]  # the brain alone
limit = float(phi[patient.mask[..., SLICE]].quantile(0.98))
drawn = draw(axes["map"], shown_phi, 0, (-limit, limit), "signed distance", patient.label[..., SLICE : SLICE + 1], "PuOr_r")  # fmt: skip
figure.colorbar(drawn, ax=axes["map"], label="mm", shrink=0.8)
labels = inside[None].long()
PRICES = {
    "cross entropy": (lambda g: cross_entropy_loss(g.logit(), labels), style.BLUE, "-"),
    "Dice, squares": (lambda g: soft_dice_loss(g, labels), style.ORANGE, ":"),
    "boundary": (lambda g: boundary_loss(g, phi[None, None]), style.GREEN, "-"),
    "Hausdorff": (lambda g: hausdorff_loss(g, labels, MM), style.PINK, "-"),
}
good = torch.where(inside, 0.999, 0.001).double()
outside = (~inside & patient.mask[..., SLICE]).flatten().nonzero()[:, 0]
order = outside[phi.flatten()[outside].argsort()]  # from near to far
chosen = order[torch.linspace(0, len(order) - 1, 16).long()]
for key, (price, colour, dashes) in PRICES.items():
    bad = [good.flatten().index_fill(0, at, 0.999).reshape(good.shape) for at in chosen]
    rise = np.array([float(price(one[None, None]) - price(good[None, None])) for one in bad])
    axes["cost"].plot(phi.flatten()[chosen], rise / rise[0], dashes, color=colour, linewidth=3 if dashes == ":" else 1.8, label=key)  # fmt: skip
axes["cost"].set(xlabel="distance from the nearest plaque (mm)", ylabel="price of one false voxel", yscale="log")  # fmt: skip
axes["cost"].legend(loc="upper left")
show(
    figure,
    caption="Above: signed distance from the outlines of the plaques in one slice of a synthetic patient. Below: what one false voxel costs, relative to one that touches a plaque.",
    alt="A map that is purple in the plaques and grows orange away from them; flat lines for cross entropy and Dice, a rising one for the boundary loss and a steeper one for the Hausdorff loss",
)

# %% [markdown]
# To cross entropy and Dice a false voxel is a false voxel. The boundary loss makes its price grow in proportion to the distance, the Hausdorff loss faster than that. By itself the boundary loss hardly rewards finding anything: the truth has the smallest $L_\mathrm{B}$, but few voxels lie inside and none of them deep, so that an empty answer, with $L_\mathrm{B} = 0$, is nearly as good. So its authors add it to a loss of regions. Distances cost time, too: those of the truth can be computed once, those of the prediction have to be computed anew in each step.
#
# ## What each loss asks for
#
# Now to the meaning of the answer. Seen through noise and partial voxels, plaque and healthy tissue overlap: among all voxels that look exactly like this one, a share $\eta$ is plaque. No network can know more than $\eta$. What should it say, to make the loss smallest?
#
# For the cross entropy this is a school exercise: $\eta/p = (1 - \eta)/(1 - p)$, so $p = \eta$. The honest answer is the best; such a loss is called {term}`proper <proper scoring rule>`. With weights, $p$ is what $\eta$ would be if there were $w = w_1/w_0$ times as many plaques. For Dice set slope {eq}`loss-slope`, averaged over all voxels that look alike, to zero:
#
# $$ \begin{aligned} \text{CE: } p &= \eta, & \text{weighted: } p &= \frac{w\,\eta}{w\,\eta + 1 - \eta}, \\[4pt] \text{squares: } p &= \min\!\Big(1, \frac{\eta}{D}\Big), & \text{plain: } p &= \begin{cases} 1 & \eta > D/2 \\ 0 & \eta < D/2, \end{cases} \end{aligned} $$ (loss-asked)
#
# where $D$ is the soft Dice that is reached. Plain sums know no doubt: their slope does not depend on $p$, so the answer runs to 0 or 1 {cite}`bertels2021`. Squares exaggerate by $1/D$. The harder the task, the more. In the same way the Tversky loss with $\alpha + \beta = 1$ jumps at $\alpha$ times the Tversky index that is reached, with $\alpha = 0.3$ below the Dice losses.
#
# **Predict.** A network reaches $D = 0.8$ and says $p = 0.6$ somewhere. How often is there a plaque if it was trained with squares? And at which $\eta$ do the two Dice losses cross the threshold of $\frac12$?

# %%
levels = torch.linspace(0.01, 0.99, 50)
often = (1 / levels).sqrt()  # voxels that look suspicious are rarer
often = (often / often.sum() * 30_000).int()
eta = levels.repeat_interleave(often)
drawn = torch.bernoulli(eta, generator=run.fresh_generator(6)).long()[None, :, None]


def asked(loss, steps=150):
    """The best answer for each level of eta, found by following the slope."""
    z = torch.zeros(len(levels), requires_grad=True)
    optimizer = torch.optim.Adam([z], lr=0.2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(z.repeat_interleave(often)[None, None, :, None], drawn, None).backward()
        optimizer.step()
    return z.detach().sigmoid()


# %% tags=["hide-input"]
found = {name: asked(LOSSES[name]) for name in TUGS}
overlap = {name: float(soft_dice(found[name].repeat_interleave(often)[None, None, :, None], drawn, squared=name == "Dice, squares")) for name in found}  # fmt: skip
D, plain_D = overlap["Dice, squares"], overlap["Dice, plain"]
expected = {
    "cross entropy": levels,
    "weighted cross entropy": weight * levels / (weight * levels + 1 - levels),
    "Dice, squares": (levels / D).clamp(max=1),
    "Dice, plain": (levels > plain_D / 2).float(),
}
figure, ax = plt.subplots(figsize=(5.6, 4.0))
for name, values in found.items():
    ax.plot(levels, values, "o", markersize=3.5, color=COLOURS[name], label=name)
    if name in expected:
        ax.plot(levels, expected[name], color=COLOURS[name], linewidth=1, alpha=0.8)
ax.axhline(0.5, color=style.MUTED, linestyle="--", linewidth=1)
ax.set(xlabel="share η that is plaque", ylabel="best answer p", xlim=(0, 1), ylim=(-0.02, 1.02))
ax.legend(loc="lower right", markerscale=1.5)
show(
    figure,
    caption="What five losses ask for. Dots: the answer that makes the loss smallest, found by descent on labels drawn with known chances η (synthetic). Lines: the formulas above. Dashed: the usual threshold.",
    alt="Five curves of the best answer against the true share: a diagonal, a steep rise near 0, a flattened S for the focal loss, a steeper line that ends at 1, and a step at about 0.35",
)
for name, key in (("cross entropy", "ce"), ("weighted cross entropy", "weighted"), ("Dice, squares", "squares"), ("Dice, plain", "plain")):  # fmt: skip
    run.record(f"loss_asked_{key}", (found[name] - expected[name]).abs().mean(), low=0, high=0.06, digits=2)  # fmt: skip
run.record("loss_asked_D", D, low=0.55, high=0.9, digits=2)
crossing = float(levels[int((found["Dice, squares"] > 0.5).int().argmax())])
run.record("loss_crossing", crossing, low=0.25, high=0.45, digits=2)
focal_at = float(torch.from_numpy(np.interp([0.9], levels, found["focal"]))[0])
run.record("loss_focal_at", focal_at, low=0.6, high=0.85, digits=2)

# %% [markdown]
# The dots lie on the lines, within {glue:text}`loss_asked_squares` of $p$ on average for the squares. With $D =$ {glue:text}`loss_asked_D` the squares pass $\frac12$ at $\eta \approx$ {glue:text}`loss_crossing`, close to $D/2$ (the levels are 0.02 apart and the labels are drawn by chance), and plain sums jump close by: *as decisions the two are nearly one loss*. They cut at half of what they reach, and that is where one has to cut $\eta$ to make Dice largest (for squares nearly), while the cross entropy cut at $\frac12$ asks for more evidence than Dice does. The focal loss (no formula, but the same descent) draws everything to the middle: where nine in ten voxels are plaque it says {glue:text}`loss_focal_at`.
#
# So to the question above: $\eta = 0.6 \cdot 0.8 = 0.48$, and both cross at 0.4. None of that needs a network, and it is a prediction about every network that is trained to the end.
#
# ## The experiment
#
# One small network (eight fixed filters of FLAIR and T1 around each voxel, sixteen hidden units, one logit), trained for the same number of steps with each of eight losses, from the same starts, on the same synthetic patients in the same order. Networks from several seeds are trained side by side, as a batch. The heart of it:

# %%
nets, one = Networks(), train[0]
target, distance = (v.expand(SEEDS, *v.shape[1:]) for v in (one.target, one.distance))
optimizer = torch.optim.Adam(nets.parameters(), lr=0.05, betas=(0.9, 0.95))
values = []
for _ in range(20):
    logits = nets(one.features)  # (SEEDS, 1, voxels, 1)
    loss = LOSSES["Dice + boundary"](logits, target, distance)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    values.append(loss.item())
assert values[-1] < values[0]

# %% [markdown]
# **Predict.** Rank cross entropy, weighted cross entropy and Dice by recall, then by precision, at a threshold of $\frac12$. Then let each choose its own threshold on the training patients: what remains of the differences in Dice?

# %% tags=["hide-input"]
THRESHOLDS = torch.tensor([0.01, 0.02, 0.03, *np.arange(0.05, 0.96, 0.05), 0.97, 0.98, 0.99])
FAR_MM = float(np.linalg.norm(np.array(GRID.shape) * MM))  # what an empty answer costs
MEASURES = ("Dice", "recall", "precision", "HD95", "own Dice")


def chosen_threshold(name, number):
    """The one that is best on the training patients."""
    scores = torch.zeros(len(THRESHOLDS))
    for index in range(TRAIN):
        said = probabilities(name, index)[number] > THRESHOLDS[:, None]
        truth = people[index].target[0, :, 0] > 0
        scores += 2 * (said & truth).sum(1) / (said.sum(1) + truth.sum())
    return float(THRESHOLDS[int(scores.argmax())])


def judged(name, number, index, threshold):
    one, p = people[index], probabilities(name, index)[number]
    truth, said = one.target[0, :, 0], p > 0.5
    distance = hausdorff_distance_95(one.volume(said.float()), one.label, MM, one_empty=FAR_MM)
    return [
        *(float(measure(said, truth, undefined=0.0)) for measure in (dice, recall, precision)),
        float(distance),
        float(dice(p > threshold, truth)),
    ]


own = {name: [chosen_threshold(name, k) for k in range(SEEDS)] for name in LOSSES}
scores = {name: np.array([[judged(name, k, TRAIN + i, own[name][k]) for i in range(TEST)] for k in range(SEEDS)]) for name in LOSSES}  # fmt: skip
answers = {name: torch.cat([probabilities(name, TRAIN + i) for i in range(TEST)], 1).flatten() for name in LOSSES}  # fmt: skip
truths = torch.cat([one.target[0, :, 0] for one in test]).repeat(SEEDS).float()
volume = {name: float(p.sum() / truths.sum()) for name, p in answers.items()}
by_patient = {name: dict(zip(MEASURES, found.mean(0).T, strict=True)) for name, found in scores.items()}  # fmt: skip
table(
    ["loss", "Dice", "recall", "precision", "HD95 (mm)", "Dice, own threshold", "Σp / Σy"],
    [[name, *(mean_interval(row[m]).shown(0 if m == "HD95" else 2) for m in MEASURES), f"{volume[name]:.1f}"] for name, row in by_patient.items()],
    caption=f"{TEST} synthetic test patients; each value is the mean of {SEEDS} seeds, ± the 95 % interval over patients. The first four columns at a threshold of ½; HD95: an empty answer counts as the diagonal of the volume. Last column: the plaque volume that the probabilities of all patients add up to, over the true one.",
)  # fmt: skip
tight = run.profile.name != "ci"
for name, key in (("cross entropy", "ce"), ("weighted cross entropy", "weighted"), ("focal", "focal"), ("Dice, squares", "squares"), ("Dice, plain", "plain"), ("Tversky .3, .7", "tversky"), ("Dice + cross entropy", "sum"), ("Dice + boundary", "outline")):  # fmt: skip
    for measure, low, high in (("Dice", 0.4, 0.95), ("recall", 0.5, 1), ("precision", 0.2, 1), ("own Dice", 0.6, 0.95)):  # fmt: skip
        run.record(f"loss_{key}_{measure.replace(' ', '_')}", by_patient[name][measure].mean(), low=low if tight else 0, high=high if tight else 1, digits=2)  # fmt: skip
    run.record(f"loss_{key}_volume", volume[name], low=0.3 if tight else 0, high=30 if tight else 300, digits=1)  # fmt: skip
reference = by_patient["cross entropy"]
figure, axes = plt.subplots(1, 2, figsize=(5.8, 3.6), sharey=True, sharex=True)
rows = [name for name in LOSSES if name != "cross entropy"]
for ax, measure, title in zip(axes, ("Dice", "own Dice"), ("threshold ½", "own threshold"), strict=True):  # fmt: skip
    for at, name in enumerate(rows):
        gap = mean_interval(by_patient[name][measure] - reference[measure])
        ax.errorbar(gap.mean, at, xerr=gap.half, fmt="o", color=COLOURS.get(name, style.INK), capsize=3, markersize=5)  # fmt: skip
    ax.axvline(0, color=style.INK, linewidth=1)
    ax.set(xlabel="Dice minus that of CE", ylim=(len(rows) - 0.5, -0.5))
    ax.set_title(title, fontsize=10)
axes[0].set_yticks(range(len(rows)), [name.replace("weighted ", "weighted\n") for name in rows])
show(
    figure,
    caption="Differences of Dice to the cross entropy, patient by patient (synthetic), with 95 % intervals. Left: everybody cut at ½. Right: everybody cut where it is best on the training patients. One loss stands out on the left, and it does so because of its threshold.",
    alt="Left: weighted cross entropy far below zero, the others near zero with longer intervals; right: all dots near zero with short intervals",
)
both = mean_interval(by_patient["Dice + cross entropy"]["Dice"] - by_patient["Dice, squares"]["Dice"])  # fmt: skip
# How many times harder Dice pulls than its partner, at the end.
PARTS = {
    "ce": ("Dice + cross entropy", lambda z, y, d: cross_entropy_loss(z, y)),
    "outline": ("Dice + boundary", lambda z, y, d: 0.05 * boundary_loss(z.sigmoid(), d)),
}
for key, (name, part) in PARTS.items():
    pull = np.zeros(2)
    for one in train:
        target, distance = (v.expand(SEEDS, *v.shape[1:]) for v in (one.target, one.distance))
        z = fit(name)(one.features).detach().requires_grad_()
        pull += [float(torch.autograd.grad(loss(z, target, distance), z)[0].abs().sum()) for loss in (LOSSES["Dice, squares"], part)]  # fmt: skip
    run.record(f"loss_say_{key}", pull[0] / pull[1], low=10 * tight, high=5000, digits=0)
owns = [by_patient[name]["own Dice"].mean() for name in LOSSES]
run.record("loss_own_span", max(owns) - min(owns), low=0, high=0.06 if tight else 0.6, digits=2)
halves = [by_patient[name]["Dice"].mean() for name in LOSSES]
run.record("loss_half_span", max(halves) - min(halves), low=0.05, high=0.6, digits=2)

# %% [markdown]
# **At ½** the losses differ by up to {glue:text}`loss_half_span` in Dice. Nearly all of that is the weighted cross entropy; the intervals of the others include 0. But recall and precision differ, and in the order that equation {eq}`loss-asked` foretells. The weighted cross entropy finds most (recall {glue:text}`loss_weighted_recall`) and is right least (precision {glue:text}`loss_weighted_precision`). The plain cross entropy waits for $\eta > \frac12$: precision {glue:text}`loss_ce_precision`, recall {glue:text}`loss_ce_recall`. Dice cuts lower, at $D/2$ (plain: precision {glue:text}`loss_plain_precision`, recall {glue:text}`loss_plain_recall`), and Tversky with $\alpha = 0.3$ lower still (recall {glue:text}`loss_tversky_recall`).
#
# **With a threshold of its own** for each, {glue:text}`loss_own_span` remains between the best and the worst of eight losses. That surprised us, and it is the lesson's main result: as far as Dice can tell, after eight losses this network knows the same. They differ in how they say it. (A large network in a long training may profit from one loss or the other on its way; what we saw is not proof that it never matters. It is a reason to ask of any comparison of losses where the thresholds were.)
#
# **Combinations.** Dice + cross entropy is hardly to be told from Dice alone. Look at the two slopes at the end of training, added up over all logits without their signs: Dice pulls {glue:text}`loss_say_ce` times harder. The cross entropy is a mean over all voxels, and nearly all are easy. The boundary term changes nothing that we can measure, either, and for the same reason: with our weight of 0.05, Dice pulls {glue:text}`loss_say_outline` times harder. That says nothing about boundary losses, only that a sum is a combination where both terms have a say.
#
# The intervals of HD95 are wide. It hangs on a few voxels far away, a plaque that was missed or invented. Only the weighted cross entropy, with its scattered false voxels, stands out.
#
# ### Are the probabilities honest?

# %% tags=["hide-input"]
BINS = torch.tensor([0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.001])


def reliability(p, y):
    """What was said in each bin, and how often it was so."""
    place = torch.bucketize(p, BINS, right=True)
    inside = [(place == k) for k in range(1, len(BINS)) if int((place == k).sum()) >= 30]
    return [float(p[k].mean()) for k in inside], [float(y[k].mean()) for k in inside]


said_D = float(soft_dice(answers["Dice, squares"][None, None, :, None], truths.long()[None, :, None], squared=True))  # fmt: skip
line = torch.linspace(0, 1, 101)
theory = {"cross entropy": line, "weighted cross entropy": line / (line + weight * (1 - line)), "Dice, squares": said_D * line}  # fmt: skip
figure, ax = plt.subplots(figsize=(5.4, 4.2))
for name in TUGS:
    ax.plot(*reliability(answers[name], truths), "o-", markersize=4, linewidth=1.2, color=COLOURS[name], label=name)  # fmt: skip
    if name in theory:
        ax.plot(line, theory[name], color=COLOURS[name], linewidth=1, linestyle=":")
ax.set(xlabel="probability that the network says", ylabel="share that is plaque", xlim=(0, 1), ylim=(0, 1))  # fmt: skip
ax.legend(loc="upper left", bbox_to_anchor=(0.0, 1.0))
show(
    figure,
    caption=f"Said and true, over all voxels of {TEST} synthetic test patients and {SEEDS} seeds with p above 0.03. Dotted: what the formulas foretell. Below the diagonal a network is overconfident, above it underconfident.",
    alt="Cross entropy near the diagonal, focal far below it at small and above it at large probabilities, both Dice losses mostly below it, weighted cross entropy far below until close to 1",
)
doubt = {name: float(((p > 0.2) & (p < 0.8)).sum() / (p > 0.2).sum()) for name, p in answers.items()}  # fmt: skip
for key, name in (("ce", "cross entropy"), ("squares", "Dice, squares"), ("plain", "Dice, plain"), ("focal", "focal")):  # fmt: skip
    run.record(f"loss_doubt_{key}", 100 * doubt[name], low=1, high=100, unit="%", digits=0)
    middle_ = (answers[name] > 0.6) & (answers[name] < 0.9)
    run.record(f"loss_gap_{key}", answers[name][middle_].mean() - truths[middle_].mean(), low=-0.6, high=0.8, digits=2)  # fmt: skip
run.record("loss_said_D", said_D, low=0.3, high=0.95, digits=2)
learned = torch.cat([probabilities("cross entropy", i) for i in range(TRAIN)], 1).flatten()  # fmt: skip
known = torch.cat([one.target[0, :, 0] for one in train]).repeat(SEEDS).float()
middle_ = (learned > 0.6) & (learned < 0.9)
run.record("loss_gap_train", learned[middle_].mean() - known[middle_].mean(), low=-0.6, high=0.6, digits=2)  # fmt: skip
zoo = F.one_hot(torch.zeros(1, 16, 16, 16, dtype=torch.long), 4).movedim(-1, 1).float()
table(
    ["source", "it says", "here"],
    [
        ["thesis, section 5.3.2", "accuracy can be high though the foreground has not been captured", f"{run.recorded['loss_accuracy']:.2f} % for an empty answer"],
        ["thesis, section 5.3.2", "often it is worth using a combination of losses", f"Dice + cross entropy minus Dice: {both.shown(3)} in Dice"],
        ["code of a thesis on segmentation, see below", "a loss of 0.75 for a perfect answer without foreground", f"{1 - float(soft_dice(zoo, zoo, undefined=0.0).mean()):.2f} by its rule, {float(soft_dice_loss(zoo, zoo)):.2f} by eq. 5.21"],
    ],
    caption=f"What sources claim and what we find; second row: difference over {TEST} synthetic patients, mean of {SEEDS} seeds, 95 % interval.",
)  # fmt: skip

# %% [markdown]
# The cross entropy comes closest to the diagonal. Take the answers between 0.6 and 0.9, and subtract the share that is plaque: {glue:text}`loss_gap_ce` on new patients, {glue:text}`loss_gap_train` (too modest) on those that it has learned from. Networks know their own patients better than new ones; but the two groups are small and differ by chance, too. Dice with squares says {glue:text}`loss_gap_squares` too much, more than the $(1 - D)\,p$ that its formula foretells (we have not looked for the reason), plain Dice {glue:text}`loss_gap_plain`. For the focal loss the difference is {glue:text}`loss_gap_focal`, too little; and below one half it says far too much, as its curve of best answers foretold. The weighted cross entropy follows its formula so closely that the formula can be undone (exercise 3).
#
# Plain Dice says less in between: of the voxels above 0.2, {glue:text}`loss_doubt_plain` lie below 0.8, with the cross entropy {glue:text}`loss_doubt_ce`. Its formula asks for none; a network that is small and trained for a short time makes a slope of the step. And if you add up probabilities to measure a volume, squares give {glue:text}`loss_squares_volume` times the truth (about $1/D$, with $D =$ {glue:text}`loss_said_D` here, would be the most at rest, so this training is not at its end) and the focal loss {glue:text}`loss_focal_volume` times, from a faint haze over the whole brain that no usual threshold would show. The pencil could have told: for small $\eta$ the best focal answer is about $(\eta/3)^{1/3}$, 0.07 where one voxel in a thousand is plaque. Who needs probabilities, for a volume, a decision with costs or a map of uncertainty, should train with a proper loss, or see to {term}`calibration` afterwards {cite}`mehrtash2020`.
#
# ## Where it breaks
#
# ### Nothing to find
#
# What is the Dice of a class that a patch does not have? For an empty answer it is 0/0, and somebody has to choose. The code behind one thesis on brain tissues {cite}`zoothesis` gave 0. Take a patch with background only, four classes, and a perfect answer.
#
# **Predict.** Which loss does the perfect answer get? And by how much does the loss rise, if we call a hundred voxels white matter that are none?

# %%
# NBVAL_CHECK_OUTPUT
RULES = {
    "zero": lambda p, y: 1 - soft_dice(p, y, undefined=0.0).mean(),  # absent: Dice 0
    "epsilon": lambda p, y: soft_dice_loss(p, y),  # (loss-dice) as it stands
    "ignore": lambda p, y: soft_dice_loss(p, y, absent="ignore"),
}
nothing = torch.zeros(1, 16, 16, 16, dtype=torch.long)
perfect = F.one_hot(nothing, 4).movedim(-1, 1).float()
false = perfect.clone()
false[0, :, 0, :10, :10] = torch.tensor([0.0, 0.0, 0.0, 1.0])[:, None, None]
losses = [float(RULES[absent_rule](one, nothing)) for one in (perfect, false)]
print(f"perfect: {losses[0]:.3f}; a hundred false voxels: {losses[1]:.3f}")
if absent_rule == "zero":
    assert abs(losses[0] - 0.75) < 1e-6 and losses[1] - losses[0] < 0.005
else:
    assert losses[0] < 1e-6

# %% tags=["hide-input"]
false_voxels = np.unique(np.geomspace(1, 3000, 24).astype(int))


def with_false(count):
    """The perfect answer, and so many false voxels of one absent class."""
    flat = perfect.flatten(2).clone()
    flat[0, 0, :count], flat[0, 3, :count] = 0.0, 1.0
    return flat.reshape(perfect.shape)


CURVES = {
    "zero": (RULES["zero"], style.PINK),
    "epsilon = 1e-5 voxels": (RULES["epsilon"], style.ORANGE),
    "epsilon = 100 voxels": (lambda p, y: soft_dice_loss(p, y, epsilon=100.0), style.GOLD),
    "ignore": (RULES["ignore"], style.BLUE),
}
figure, ax = plt.subplots(figsize=(5.6, 3.2))
for name, (rule, colour) in CURVES.items():
    ax.plot([0.5, *false_voxels], [float(rule(with_false(k), nothing)) for k in (0, *false_voxels)], color=colour, label=name)  # fmt: skip
ax.set(xscale="log", xlabel="false voxels of an absent class (left end: none)", ylabel="loss", ylim=(-0.02, 1))  # fmt: skip
ax.legend(loc="center left", bbox_to_anchor=(0, 0.55))
show(
    figure,
    caption="A patch of 4,096 background voxels (synthetic), and what false voxels of one absent class cost under four rules.",
    alt="A flat line at 0.75; a line that jumps from 0 to 0.25 at once; one that rises gently around 100 voxels; one that stays near 0 and rises late",
)
for key, rule in RULES.items():
    for what, count in (("perfect", 0), ("false", 100)):
        value = float(rule(with_false(count), nothing))
        wanted = {"zero": 0.75, "epsilon": 0.25 * (count > 0), "ignore": 0.0}[key]
        run.record(f"loss_absent_{key}_{what}", value, low=wanted - 1e-3, high=wanted + 0.02, digits=3)  # fmt: skip
run.record("loss_absent_epsilon_one", RULES["epsilon"](with_false(1), nothing), low=0.249, high=0.252, digits=3)  # fmt: skip

# %% [markdown]
# {glue:text}`loss_absent_zero_perfect` for a perfect answer: three of four classes score 0. Nobody trains on such a patch alone, so the fault shows only as a strange level in the curves. The second number is worse: {glue:text}`loss_absent_zero_false`. A false class costs next to nothing, since it cannot score less than 0. The network is hardly told to leave out what is not there.
#
# The $\varepsilon$ of equation {eq}`loss-dice` turns this round: {glue:text}`loss_absent_epsilon_perfect`, {glue:text}`loss_absent_epsilon_false` for a hundred false voxels, *and for one* ({glue:text}`loss_absent_epsilon_one`). With $\varepsilon = 10^{-5}$ a class that is absent is a cliff. A larger $\varepsilon$ makes a slope of it: it is a number of voxels (exercise 1). To ignore absent classes leaves their errors to the background, {glue:text}`loss_absent_ignore_false`. Or pool the sums over the batch (`pooled=True`), so that a class must only be somewhere in it. None is right for all. Wrong is only not to know which one a program has. Set `absent_rule` and run the cell again.
#
# ### A start that loses the race
#
# And the prior? We train with the cross entropy again, from $p = \frac12$ instead of {glue:text}`loss_start`, and with plain Dice, all else equal.


# %% tags=["hide-input"]
def mean_recall(name, probability, steps=STEPS):
    nets = fit(name, probability, steps)
    with torch.no_grad():
        found = [(nets(one.features)[:, 0, :, 0] > 0, one.target[0, :, 0] > 0) for one in test]
    return float(
        np.mean([float((said & truth).sum() / truth.sum() / SEEDS) for said, truth in found])
    )


run.record("loss_start", start_probability, low=0, high=1, digits=4)
early = {name: mean_recall(name, 0.5) for name in ("cross entropy", "Dice, plain")}  # fmt: skip
run.record("loss_half_ce", early["cross entropy"], low=0, high=0.2 if tight else 1, digits=2)  # fmt: skip
late = mean_recall("cross entropy", 0.5, 3 * STEPS)
run.record("loss_half_late", late, low=0.2 if tight else 0, high=1, digits=2)
run.record("loss_half_plain", early["Dice, plain"], low=0.4 if tight else 0, high=1, digits=2)  # fmt: skip
usual = start_probability == 0.0025 and weight == 30
if usual and tight:
    assert run.recorded["loss_half_ce"] < 0.5 * run.recorded["loss_ce_recall"]

# %% [markdown]
# Recall {glue:text}`loss_half_ce` from $\frac12$ for the cross entropy, {glue:text}`loss_ce_recall` from {glue:text}`loss_start`; the formula is the same, and so is its minimum. Healthy voxels win the tug of war first, all probabilities fall, and the budget of steps is gone before plaques are told apart. With three times the steps the start from $\frac12$ reaches {glue:text}`loss_half_late`: it is late, not lost. Dice does not care ({glue:text}`loss_half_plain`). Much of Dice's good name in unbalanced tasks may come from there: it is not a better place to arrive at, but an easier way.
#
# ## Exercises
#
# ### Exercise 1: epsilon is a number of voxels
#
# A class is absent, and the network gives $p = 1$ to $k$ voxels. Which loss does equation {eq}`loss-dice` give to this class? For which $k$ is it $\frac12$? Your classes hold 50 voxels at the least, when they are there. Which $\varepsilon$ would you rather not choose?
#
# <details class="hint"><summary>Hint</summary>
#
# What are $I$ and $S$ where $y = 0$ everywhere?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $I = 0$ and $S = k$. For a class that is there, compare $\varepsilon$ with $S$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The loss is $1 - \varepsilon/(k + \varepsilon) = k/(k + \varepsilon)$, which is $\frac12$ at $k = \varepsilon$. With $\varepsilon = 10^{-5}$ any voxel costs all. But $\varepsilon$ also stands in the fraction of classes that are there: with 50 voxels missed altogether the loss is $1 - \varepsilon/(50 + \varepsilon)$, and $\varepsilon = 100$ forgives two thirds of it. Something between 1 and 10 voxels is a compromise here.
#
# </details>
#
# ### Exercise 2: a weight for the start
#
# Your network says $\frac12$ everywhere at first, and you want neither side to win then. Which weight must plaques have in the cross entropy, if one voxel in a thousand is plaque? At which threshold do you have to cut afterwards, to decide as without a weight at $\frac12$?
#
# <details class="hint"><summary>Hint</summary>
#
# The first part is in equation {eq}`loss-tug`, the second in {eq}`loss-asked`.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Set the ratio of pulls to 1 with $p = \frac12$. Then put $\eta = \frac12$ into the answer that the weighted loss asks for.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $w_1/w_0 = (N - n)/n = 999$. With this $w$ the answer to $\eta = \frac12$ is $p = w/(w + 1) = 0.999$. Nobody cuts there. People cut at $\frac12$, where $\eta$ is 0.001, and get every voxel that is more suspicious than an average one.
#
# </details>
#
# ### Exercise 3: undo the weight, in code
#
# The network that was trained with the weighted cross entropy says too much: its probabilities add up to {glue:text}`loss_weighted_volume` times the true volume. Write `honest(p, weight)`, which turns its answers into what a plain cross entropy would have asked for.
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`loss-asked` gives $p$ for each $\eta$. You want $\eta$ for each $p$.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Look at the odds, $p/(1 - p) = w\,\eta/(1 - \eta)$: the weight multiplies them.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Divide the odds by the weight, which gives $\eta = p/(p + w(1 - p))$; or subtract $\log w$ from the logit. The cell after the exercise holds the code. The volume becomes {glue:text}`loss_undone` times the true one. The order of voxels has not changed, so neither has the Dice at the best threshold.
#
# </details>


# %% tags=["hide-input"]
loud = answers["weighted cross entropy"]
undone = loud / (loud + weight * (1 - loud))
run.record("loss_undone", undone.sum() / truths.sum(), low=0.6 if tight else 0, high=1.8 if tight else 20, digits=1)  # fmt: skip


def check_honest(honest):
    p = torch.tensor([0.0, 0.25, 0.5, 0.9, 1.0], dtype=torch.float64)
    answer = honest(p, 30.0)
    if answer is None:
        return "it returned nothing; return a probability for each p."
    if torch.allclose(answer, 30 * p / (30 * p + 1 - p)):
        return "you have applied the weight once more; which of the two is known, p or eta?"
    if float(answer.min()) < 0 or float(answer.max()) > 1:
        return "some answers lie outside 0 to 1; divide the odds, not the probability."
    if not torch.allclose(honest(p, 1.0), p):
        return "with a weight of 1 nothing should change."
    good = torch.allclose(answer, p / (p + 30 * (1 - p)), atol=1e-6)
    return None if good else f"p = 0.9 with a weight of 30 becomes {float(answer[3]):.3f}, expected 0.231."  # fmt: skip


# %% tags=["exercise"]
def honest(p, weight):
    """The share that is plaque, from the answer of a network that was trained with this weight."""
    ...  # your code here


judge(check_honest, honest)


# %% tags=["solution", "hide-cell"]
def honest(p, weight):
    """The share that is plaque, from the answer of a network that was trained with this weight."""
    # begin solution
    return p / (p + weight * (1 - p))
    # end solution


judge(check_honest, honest)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "Two groups compare losses on the same data, both at a threshold of ½. Dice loss beats cross entropy by 0.03 in Dice. What do you ask first?",
        ("Whether the learning rate was the same", "Worth asking, but there is a simpler suspicion."),
        right("What is left if each loss gets its own threshold", "Dice loss cuts at D/2, cross entropy at ½. Part or all of the gap may be that."),
        ("Whether the Dice loss had squares", "As decisions at ½, both cut at about the same place."),
    ),
    question(
        "A network trained with plain Dice says 0.97 for a voxel. What does that tell you?",
        ("There is a plaque in 97 of 100 such voxels", "Only a proper loss asks for that number."),
        right("That the share of plaque there is thought to be above about D/2", "Plain Dice asks for 0 or 1; whatever lies near 1 has merely crossed the cut."),
        ("Nothing at all", "The side of the cut is information, and the order of voxels mostly is, too."),
    ),
    question(
        "Training with the Dice loss on patches, three of four classes are mostly absent, and the loss never falls below 0.6. What is likely?",
        ("The network is too small", "It might be, but then single classes that are present would score badly as well."),
        right("Absent classes score 0", "A perfect answer then has a loss of up to 0.75. Check with a patch of background and its own label as prediction."),
        ("The learning rate is too low", "That would slow it down, not stop it at a level."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - Cross entropy pulls each voxel by $p - y$ alone; under imbalance it first learns the prior. Start there.
# - Dice pulls a plaque by what is plaque, not by what is brain; its sums make every voxel depend on the others.
# - Each loss asks for its own function of $\eta$: cross entropy for $\eta$, Dice with squares for $\eta/D$, plain Dice for yes or no at $D/2$.
# - So compare losses at a threshold that each may choose, and do not take Dice-trained numbers for probabilities.
# - Know what an absent class is worth in your code: give it a perfect answer and look.
# - A sum of losses is a combination only if each term has a say. Only losses of outlines see *where* an error is.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | patients and scans | **synthetic**: multiple sclerosis drawn from round numbers, FLAIR and T1 with noise and shading, one scanner, voxels of a few mm; the truth is exact, while people who draw plaques differ |
# | network | very small, with fixed filters; it sees no shapes. Larger ones learn more, and their overconfidence is larger {cite}`guo2017` |
# | budget | equal steps, one learning rate for all losses, not tuned for any; few seeds, intervals over patients of one synthetic population |
# | boundary loss | fixed weight, too small to be heard at the end; its authors let it grow during training |
# | claims | about these losses on this task; none about patients or programs |
#
# ## Further reading
#
# A survey of losses with their formulas: {cite}`azad2023`, which the thesis follows; {cite}`ma2021` compare twenty of them on six datasets. {cite}`bertels2021` prove what the soft Dice loss asks for and show the bias of volumes that follows. Calibration of networks that segment, and how ensembles repair it: {cite}`mehrtash2020`. Which *metric* to believe at the end is another question than which loss to train with: {cite}`maierhein2024`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
