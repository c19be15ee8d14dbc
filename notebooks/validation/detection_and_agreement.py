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
#     prerequisites:
#     - data/brain_tissues_tumours_and_bleeds
#     - validation/segmentation_metrics
#     summary: From an error map to a decision, how sure its score is, what raters agree
#       on, and whether probabilities mean what they say.
#     weights: []
# ---

# %% [markdown]
# # Detection and agreement
#
# A method paints a map of how suspicious each place of a scan is. A clinician wants a yes or no. Between the two lie a threshold, a curve, a number with two
# decimals, and a truth that three people have voted on. Each of these steps can flatter. In this lesson you take them one by one, on {term}`synthetic <synthetic data>` patients whose bleeds we
# know to the voxel, and you learn to ask of any published number: of how many patients, at which prevalence, against whom?
#
# **You will be able to**
#
# - turn an error map into one decision a structure, and choose its threshold from an ROC curve
# - give an AUROC its interval, counting patients rather than voxels
# - say when AUROC flatters, and use average precision and FROC for what is rare or has a place
# - measure how far raters agree, and what their vote is worth as a truth
# - check whether a model's probabilities mean what they say, and where an ensemble disagrees with itself
#
# **You need** [Brain tissues, tumours and bleeds](../data/brain_tissues_tumours_and_bleeds.ipynb): bleeds in CT, what a threshold finds; [Segmentation metrics](segmentation_metrics.ipynb): Dice, and why no number sees everything.

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
smoothing_mm = 4.0  # of the error maps
independent = True  # in "Where it breaks": count voxels as if each were a patient

# %% tags=["hide-input"]
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import ndimage
from sklearn.linear_model import LogisticRegression

from medlab import metrics
from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.grid import HEAD_MM, Grid
from medlab.cohorts.lesions import draw_haemorrhage
from medlab.cohorts.scan import ct_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.metrics import auroc, auroc_interval, average_precision, dice, fleiss_kappa
from medlab.metrics import majority_vote, mean_interval, staple
from medlab.metrics.chooser import RULES as ADVICE
from medlab.viz import explore, show, slices, style, table
from medlab.viz.chooser import chooser
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
MM = run.pick(ci=5.0, cpu=4.0, gpu=3.0)
GRID = Grid(tuple(round((length + 8) / MM) for length in HEAD_MM), (MM,) * 3)
SIDES, WINDOW = ("left", "right"), (0, 80)  # the window in HU
# The 86 test patients of the thesis (chapter 6, table 2) by the sides of their bleeds.
PATIENTS = [SIDES] * 20 + [("left",)] * 19 + [("right",)] * 20 + [()] * 27
PATIENTS = PATIENTS[:: run.pick(ci=4, cpu=1, gpu=1)]


def head(number, sides=()):
    """A synthetic person, straight in the scanner, with a bleed on each of these sides."""
    number = 100_000 * seed + number
    straight = {"angles_deg": (0.0, 0.0, 0.0), "shift_mm": (0.0, 0.0, 0.0)}
    person = draw_person(number, 18 + 72 * np.random.default_rng(number).random(), **straight)
    bleeds = [draw_haemorrhage(number + 50_000 * SIDES.index(side), side=side) for side in sides]  # fmt: skip
    subject = draw_subject(person, GRID, bleeds)
    brain, share = brain_mask(subject), subject.share("clot")
    is_right = GRID.points()[..., 0] > 0  # the head lies straight
    image = ct_image(subject, number, reconstructed=False).clip(*WINDOW)
    return SimpleNamespace(image=image, brain=brain, share=share, clot=(share > 0.5) & brain, hemispheres={"left": brain & ~is_right, "right": brain & is_right})  # fmt: skip


healthy = torch.stack([head(1000 + n).image for n in range(run.pick(ci=8, cpu=24, gpu=48))])
tested = [head(5000 + n, sides) for n, sides in enumerate(PATIENTS)]
has_bleed = np.array([[side in sides for side in SIDES] for sides in PATIENTS])  # (patients, 2)
mean, spread = healthy.mean(0), healthy.std(0)


def error_map(one, kind="any", mm=smoothing_mm, mean=mean, spread=spread):
    """Equation (detect-map); kind "bright" counts only what is brighter than it should be."""
    z = (one.image - mean) / (spread + 10)
    z = (z.abs() if kind == "any" else z.clamp(min=0)) * one.brain
    return torch.from_numpy(ndimage.gaussian_filter(z.numpy(), mm / MM))


maps = {kind: [error_map(one, kind) for one in tested] for kind in ("any", "bright")}
thick = [ndimage.gaussian_filter(one.share.numpy(), 8 / MM).max() * (sum(ill) == 1) for one, ill in zip(tested, has_bleed, strict=True)]  # fmt: skip
example = int(np.argmax(thick))  # a thick bleed on one side
level, top = int(tested[example].clot.sum((0, 1)).argmax()), float(maps["bright"][example].max())  # fmt: skip
NAMES = {"any": "any deviation", "bright": "too bright"}


def draw(ax, data, window, title, index=level, **settings):
    slices.draw_slice(ax, data, index=index, window=window, spacing=(MM,) * 3, **settings)
    ax.set_title(title, fontsize=10)


def outline(ax, mask, colour, index=level, linewidths=1.4):
    """The border of a mask on the slice that is shown."""
    image = slices.slice_image(mask.float(), "axial", index)[::-1]
    if image.any():
        ax.contour(image, [0.5], colors=[colour], linewidths=linewidths, extent=(0, mask.shape[0] * MM, 0, mask.shape[1] * MM))  # fmt: skip


figure, axes = plt.subplots(1, 3, figsize=(6.4, 2.9))
draw(axes[0], tested[example].image, (0, 80), "CT, 0 to 80 HU")
outline(axes[0], tested[example].clot, style.ORANGE)
for ax, kind in zip(axes[1:], NAMES, strict=True):
    draw(ax, maps[kind][example], (0, top), NAMES[kind], cmap="magma")
    for mask in tested[example].hemispheres.values():
        outline(ax, mask, style.MUTED)
show(
    figure,
    caption=f"A synthetic patient with a bleed (orange outline), and two error maps: how far each place departs from what {len(healthy)} healthy synthetic heads look like there, in both directions or only towards bright. Grey: the two hemispheres, each of which gets one score.",
    alt="An axial CT with an outlined bright bleed, and two maps in which the bleed glows; the first map also glows along the surface of the brain and at the ventricles",
)

# %% [markdown]
# Sides are those of the patient, in {term}`radiological convention`. All patients, scans and, later, raters on this page are synthetic; what is real is the design. We rebuild chapter 6 of the thesis {cite}`thesis`: CT heads as in CQ500 {cite}`chilamkurthy2018`, an {term}`error map` from
# a method that has seen only healthy heads, and a decision for each {term}`structure <structure score>`. Its test set had 86 patients, with the sides of bleeds as in its table 2, and so has ours (profile `ci`: every fourth). In place of its network stands the simplest map that can be read in one line. With mean $m$ and standard deviation $s$ of healthy heads in the same place, of values cut to 0 to 80 HU,
#
# $$ e = G_{4\,\text{mm}} * \frac{|I - m|}{s + 10\text{ HU}} , $$ (detect-map)
#
# where $G$ smooths, a Gaussian with a standard deviation of 4 mm. The 10 HU are there because a few healthy heads can agree by chance: without them a tiny $s$ would turn noise into alarms. The persons are drawn straight in the scanner, as after the thesis's rigid {term}`registration`. A second map knows one thing more, that blood is bright, and counts only $I > m$.
#
# ## One threshold
#
# A map has many voxels, a report has one line a hemisphere. The thesis takes the maximum inside (chapter 6, section 4), and says "bleed" from a threshold $t$ on:
#
# $$ \begin{aligned}
# q_k &= \max_{\mathbf{x} \in \text{structure } k} e(\mathbf{x}), \\
# \text{sensitivity} &= \frac{|\{k \text{ ill}: q_k \ge t\}|}{|\{k \text{ ill}\}|}, \qquad
# \text{specificity} = \frac{|\{k \text{ well}: q_k < t\}|}{|\{k \text{ well}\}|} .
# \end{aligned} $$ (detect-score)


# %%
def scores(kind, percentile=100):
    """One score for each hemisphere of each patient, (patients, 2)."""
    rows = []
    for e, one in zip(maps[kind], tested, strict=True):
        found = metrics.structure_scores(e, one.hemispheres, percentile=percentile)
        rows.append([found[side] for side in SIDES])
    return np.array(rows)


of_any, of_bright = scores("any"), scores("bright")
e, sides = maps["any"][0], tested[0].hemispheres.values()
by_hand = [float(e[mask].max()) for mask in sides]  # (detect-score)
np.testing.assert_allclose(of_any[0], by_hand)
truth, patient = has_bleed.ravel(), np.repeat(np.arange(len(tested)), 2)

# %% [markdown]
# The {term}`ROC curve` shows {term}`sensitivity` against false alarms (1 − {term}`specificity`) for all thresholds at once. Neither depends on how many are ill. What the reader of the alarms sees does: of those flagged, how many bleed? With {term}`prevalence` $\pi$,
#
# $$ \text{precision} = \frac{\pi \cdot \text{sensitivity}}{\pi \cdot \text{sensitivity} + (1 - \pi)(1 - \text{specificity})} . $$ (detect-precision)
#
# **Predict.** You want to find nine of ten bleeds. How many healthy hemispheres will be flagged? And in an emergency room where five of 1,000 hemispheres bleed, how many of the flagged ones do?

# %% tags=["hide-input"]
thresholds = [round(float(t), 2) for t in np.linspace(*np.quantile(of_any, [0.02, 0.97]), 12)]
false_rate, true_rate, _ = metrics.roc_curve(of_any.ravel(), truth)


def decide(threshold, ill):
    """The scores, the curve and what 1,000 hemispheres come to, `ill` of which bleed."""
    figure, axes = plt.subplot_mosaic([["scores", "roc"], ["all", "all"]], figsize=(5.6, 5.2), height_ratios=(1.4, 1))  # fmt: skip
    rates, below = {}, axes["all"]
    for kind, colour, label in ((~truth, style.BLUE, "no bleed"), (truth, style.ORANGE, "bleed")):  # fmt: skip
        axes["scores"].hist(of_any.ravel()[kind], np.linspace(of_any.min(), of_any.max(), 19), color=colour, alpha=0.6, label=label)  # fmt: skip
        rates[label] = float((of_any.ravel()[kind] >= threshold).mean())
    hit, alarm = rates["bleed"], rates["no bleed"]
    axes["scores"].axvline(threshold, color=style.INK, linewidth=1.5)
    axes["scores"].set(xlabel="score of a hemisphere", ylabel="hemispheres", title="scores", ylim=(0, 1.35 * axes["scores"].get_ylim()[1]))  # fmt: skip
    axes["scores"].legend(loc="upper right")
    axes["roc"].plot(false_rate, true_rate, color=style.PURPLE)
    axes["roc"].plot([0, 1], [0, 1], color=style.MUTED, linestyle=":", linewidth=1)
    axes["roc"].plot(alarm, hit, "o", color=style.INK, markersize=8)
    axes["roc"].set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC curve", aspect="equal")  # fmt: skip
    counts = [(hit * ill, alarm * (1000 - ill)), ((1 - hit) * ill, (1 - alarm) * (1000 - ill))]
    for y, (bleeding, well) in zip((1, 0), counts, strict=True):
        below.barh(y, bleeding, color=style.ORANGE, height=0.55)
        below.barh(y, well, left=bleeding, color=style.BLUE, alpha=0.6, height=0.55)
        below.text(bleeding + well + 12, y, f"{bleeding:.0f} bleed,\n{well:.0f} do not", va="center", fontsize=9)  # fmt: skip
    below.set(yticks=[1, 0], yticklabels=["flagged", "not flagged"], xlim=(0, 1250), xlabel="of 1,000 hemispheres")  # fmt: skip
    below.set_title(f"sensitivity {hit:.2f}, specificity {1 - alarm:.2f},\nprecision {counts[0][0] / max(sum(counts[0]), 1e-9):.3f}", fontsize=10)  # fmt: skip
    return figure


explore(
    decide,
    caption="Scores of the hemispheres of synthetic patients (map «any deviation»), the point on the ROC curve that the threshold chooses, and what it means for 1,000 hemispheres. Drag the threshold; then make bleeds rare: curve and point stay, the flagged change.",
    alt="Two overlapping histograms with a line, a curve with a point, and two bars of 1,000 hemispheres, flagged and not flagged",
    labels={"threshold": "threshold", "ill": "bleeds among 1,000 hemispheres"},
    start={"threshold": thresholds[4], "ill": 500},
    **{"threshold": thresholds, "ill": [5, 50, 500]},
)
point = metrics.threshold_for_sensitivity(of_any.ravel(), truth, 0.9)
run.record("detect_flagged", 100 * (1 - point.specificity), low=25, high=99, unit="%", digits=0)
run.record("detect_precision_rare", 100 * 0.005 * point.sensitivity / (0.005 * point.sensitivity + 0.995 * (1 - point.specificity)), low=0.3, high=2.5, unit="%", digits=1)  # fmt: skip

# %% [markdown]
# To find nine of ten, {glue:text}`detect_flagged` of the healthy hemispheres are flagged. Where five of 1,000 bleed, {glue:text}`detect_precision_rare` of all flags are right (of hemispheres picked at random 0.5 % would be): who reads the alarms will stop reading them. The same curve, the same threshold; only the patients have changed. A precision without its prevalence says nothing.
#
# The area below the curve sums it up. It is the chance that a bleeding hemisphere scores more than a healthy one:
#
# $$ \mathrm{AUROC} = \frac{1}{n_1 n_0} \sum_{i\,\text{ill}} \sum_{j\,\text{well}} \Big( [q_i > q_j] + \tfrac12 [q_i = q_j] \Big) . $$ (detect-auroc)
#
# All pairs are too many for voxels; ranks give the same number after sorting. How sure is it? Write $V_i$ for the share of the well that the ill $i$ beats, and $W_j$ for the share of the ill that beat the well $j$. Then {cite}`delong1988`
#
# $$ \operatorname{Var}(\mathrm{AUROC}) \approx \frac{\operatorname{var}_i(V_i)}{n_1} + \frac{\operatorname{var}_j(W_j)}{n_0} . $$ (detect-delong)

# %%
q = of_any.ravel()
wins = (q[truth][:, None] > q[~truth]) + 0.5 * (q[truth][:, None] == q[~truth])
np.testing.assert_allclose(wins.mean(), auroc(q, truth))  # (detect-auroc)
v, w = wins.mean(1), wins.mean(0)
error = np.sqrt(v.var(ddof=1) / v.size + w.var(ddof=1) / w.size)  # (detect-delong)
high = wins.mean() + 1.96 * error
np.testing.assert_allclose(high, auroc_interval(q, truth).high, rtol=1e-4)

# %% tags=["hide-input"]
methods = {
    "any deviation, maximum": of_any,
    "any deviation, 99th percentile": scores("any", 99),
    "too bright, maximum": of_bright,
    "too bright, 99th percentile": scores("bright", 99),
}
areas = {name: auroc_interval(q.ravel(), truth, groups=patient) for name, q in methods.items()}
published = [["<em>thesis, position regression, real CQ500</em>", "0.81 (not given)"], ["<em>thesis, raters against their majority</em>", "0.88 to 0.99"]]  # fmt: skip
table(
    ["score of a hemisphere", "AUROC (95 % interval)"],
    [*([name, found.shown(2)] for name, found in areas.items()), *published],
    caption=f"Bleed or no bleed in {truth.size} hemispheres of {len(tested)} synthetic patients; patients are counted, not hemispheres (next section). Profile {run.profile.name}. The thesis's numbers come from other scans and another method: they show the order of size, not a rank.",
)
gain = metrics.auroc_difference(of_bright.ravel(), of_any.ravel(), truth, groups=patient)
run.record("detect_any", areas["any deviation, maximum"].value, low=0.35, high=0.95, digits=2)
run.record("detect_bright", areas["too bright, maximum"].value, low=0.7, high=1, digits=2)
for key, value in zip(("gain", "gain_low", "gain_high"), gain.difference, strict=True):
    run.record(f"detect_{key}", value, low=-0.3, high=0.8, digits=2)

# %% [markdown]
# To know that blood is bright is worth {glue:text}`detect_gain` ({glue:text}`detect_gain_low` to {glue:text}`detect_gain_high`). That interval is of the *difference*, on the same patients: the two maps err on the same heads, so it is narrower than one would guess from the two rows. Whoever compares methods by looking whether their intervals overlap throws this away. The map of any deviation also rises where a healthy head is merely darker than most, in wide furrows or large ventricles. Like every unsupervised method it finds what is unusual, not what is ill.
#
# ## Count patients
#
# **Predict.** The two hemispheres of a person resemble each other. If we count each of them as if it were a person, will the interval be too narrow? And what about single slices, or voxels?

# %% tags=["hide-input"]
thin = run.pick(ci=1, cpu=3, gpu=3)  # of the voxels, every third will do


def in_brain(images, step=1):
    """The values in the brain of each patient, one patient after the other; images by patient."""
    return np.concatenate([image[tested[n].brain].numpy()[::step] for n, image in images.items()])  # fmt: skip


def in_slices(images):
    """The largest value of each slice with brain in it."""
    return np.concatenate([image.numpy().max((0, 1))[tested[n].brain.numpy().any((0, 1))] for n, image in images.items()])  # fmt: skip


everybody = [dict(enumerate(some)) for some in (maps["bright"], [one.clot for one in tested], [torch.full(GRID.shape, n) for n in range(len(tested))])]  # fmt: skip
pieces = {
    "hemispheres": (of_bright.ravel(), truth, patient),
    "slices": [in_slices(some) for some in everybody],
    "voxels": [in_brain(some, thin) for some in everybody],
}
rows, widths = [], {}
for name, (values, flags, owner) in pieces.items():
    apart, together = auroc_interval(values, flags), auroc_interval(values, flags, groups=owner)
    drawn = auroc_interval(values, flags, groups=owner, method="bootstrap", samples=500, seed=seed)  # fmt: skip
    widths[name] = (together.high - together.low) / (apart.high - apart.low)
    rows.append([name, f"{values.size:,}", apart.shown(3), together.shown(3), drawn.shown(3), f"{widths[name]:.1f}"])  # fmt: skip
table(
    ["pieces", "how many", "as if independent", "by patient", "by patient, bootstrap", "ratio"],
    rows,
    caption=f"AUROC and 95 % interval of the map «too bright», {len(tested)} synthetic patients. By patient: all scores of one patient count, or are drawn again, together. Ratio: of the widths. Of the voxels {'all are' if thin == 1 else 'every third is'} used.",
)
for key, low, high in (("hemispheres", 0.7, 1.5), ("slices", 1.2, 6), ("voxels", 6, 80)):
    run.record(f"detect_width_{key}", widths[key], low=low, high=high, digits=1)
one_bleed = np.repeat(has_bleed.sum(1) == 1, 2)
for key, some in (("one", one_bleed), ("same", ~one_bleed)):
    spans = [np.ptp(auroc_interval(of_bright.ravel()[some], truth[some], groups=owner)[1:]) for owner in (patient[some], None)]  # fmt: skip
    run.record(f"detect_width_{key}", spans[0] / spans[1], low=0.5, high=1.6, digits=2)
both = np.corrcoef(of_bright[~has_bleed.any(1)].T)[0, 1]
run.record("detect_both", both, low=-0.3, high=1, digits=2)

# %% [markdown]
# For hemispheres hardly anything changes (ratio {glue:text}`detect_width_hemispheres`), though the scores of the two sides do go together (correlation {glue:text}`detect_both` in patients without a bleed). The reason is instructive. In a patient with one bleed, what both sides share raises the ill and the well alike, and a pair of them is compared *more* fairly than two strangers; where both sides are ill or both are well, the shared part counts twice. So the ratio should be below 1 among patients with one bleed and above 1 among the others; it is {glue:text}`detect_width_one` and {glue:text}`detect_width_same`, and over all the two effects nearly cancel. They do not for slices (ratio {glue:text}`detect_width_slices`), and for voxels the honest interval is {glue:text}`detect_width_voxels` times as wide. That last number has no limit: smaller voxels are more voxels, which narrow the wrong interval and not the honest one. The bootstrap {cite}`efron1979` by patient and the variance for clusters {cite}`obuchowski1997` agree: it is not the formula that matters but who is counted. What [Preparing data](../data/preparing_data.ipynb) says of splits holds here too: pieces of one patient leak.
#
# ## What is rare
#
# Where exactly is the bleed? Now every voxel of the brain is a case, and one or two in a hundred are ill. The {term}`average precision` is the mean precision over all levels of {term}`sensitivity`, here called recall:
#
# $$ \mathrm{AP} = \sum_n (r_n - r_{n-1})\, p_n , $$ (detect-ap)
#
# with recall $r_n$ and precision $p_n$ at the $n$-th threshold. Chance gives an AUROC of 0.5 and an AP of the prevalence.
#
# **Predict.** We widen the field: first the brain, then the whole box with the air around it, in which the map is 0. The map has learned nothing. What will AUROC do, what AP? And which of the two measures will tell a noisy map from a smooth one?

# %%
e, one = maps["bright"][example].flatten(), tested[example]
ill = one.clot.flatten()
levels = e[ill].unique().flip(0)  # recall changes at the scores of the ill alone
hits = torch.stack([(e[ill] >= level).sum() for level in levels])
flagged = torch.stack([(e >= level).sum() for level in levels])
recall = hits / ill.sum()
ap = (recall.diff(prepend=torch.zeros(1)) * hits / flagged).sum()  # (detect-ap)
torch.testing.assert_close(float(ap), average_precision(e, ill), rtol=1e-5, atol=0)

# %% tags=["hide-input"]
bleeding = [n for n in range(len(tested)) if bool(tested[n].clot.any())]
sizes_mm = (0.0, 4.0, 8.0)
sharp = {mm: {n: error_map(tested[n], "bright", max(mm, 0.01)) for n in bleeding} for mm in sizes_mm}  # fmt: skip


def per_patient(mm, measure, where):
    """A measure of the voxels of each patient with a bleed."""
    return np.array([measure(sharp[mm][n], tested[n].clot, mask=tested[n].brain if where == "brain" else None) for n in bleeding])  # fmt: skip


found = {(mm, where): [per_patient(mm, measure, where) for measure in (auroc, average_precision)] for mm in sizes_mm for where in ("brain", "box")}  # fmt: skip
rows = [[f"{mm:g} mm", where, *(mean_interval(one).shown(3) for one in pair)] for (mm, where), pair in found.items()]  # fmt: skip
table(
    ["smoothed by", "voxels of the", "AUROC", "average precision"],
    rows,
    caption=f"The map «too bright» judged voxel by voxel: mean and 95 % interval over the {len(bleeding)} synthetic patients whose bleed fills at least one voxel by more than half.",
)
shares = np.mean([float(tested[n].clot.sum() / tested[n].brain.sum()) for n in bleeding])
of_brain, of_box = ([one.mean() for one in found[4.0, where]] for where in ("brain", "box"))
for key, value, low, high, digits in (("auroc_brain", of_brain[0], 0.8, 1, 2), ("auroc_box", of_box[0], 0.85, 1, 2), ("ap", of_brain[1], 0.3, 0.9, 2), ("prevalence", 100 * shares, 0.5, 4, 1), ("false_per_true", 0.1 * (1 - shares) / shares, 3, 15, 0)):  # fmt: skip
    run.record(f"detect_{key}", value, low=low, high=high, digits=digits, unit="%" if key == "prevalence" else "")  # fmt: skip
for key, which, low, high in (("auroc", 0, -0.1, 0.15), ("ap", 1, -0.1, 0.5)):
    apart = mean_interval(found[4.0, "brain"][which] - found[0.0, "brain"][which])
    run.record(f"detect_smooth_{key}", apart.mean, low=low, high=high, digits=3)
    run.record(f"detect_smooth_{key}_half", apart.half, low=0, high=0.2, digits=3)
figure, axes = plt.subplots(1, 2, figsize=(5.9, 3.1))
for mm, colour in zip(sizes_mm, (style.GREEN, style.BLUE, style.ORANGE), strict=True):
    values, flags = in_brain(sharp[mm], thin), in_brain({n: tested[n].clot for n in bleeding}, thin)  # fmt: skip
    x, y, _ = metrics.roc_curve(values, flags)
    precision, recall, _ = metrics.precision_recall_curve(values, flags)
    for ax, one, other in ((axes[0], x, y), (axes[1], recall, precision)):
        keep = np.unique(np.linspace(0, len(one) - 1, 300).astype(int))
        ax.plot(one[keep], other[keep], color=colour, label=f"{mm:g} mm")
axes[1].axhline(shares, color=style.MUTED, linestyle=":", linewidth=1)
axes[0].plot([0, 1], [0, 1], color=style.MUTED, linestyle=":", linewidth=1)
axes[0].set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC")
axes[1].set(xlabel="recall (sensitivity)", ylabel="precision", title="precision–recall", ylim=(0, 1))  # fmt: skip
axes[0].legend(title="smoothed by", loc="lower right")
show(
    figure,
    caption="The same three maps, voxel by voxel, all synthetic patients with a bleed pooled. On the left they look alike, and all look good. On the right one sees what a reader of their alarms would see. Dotted: chance.",
    alt="Left three ROC curves close together high above the diagonal; right three precision-recall curves far apart, the unsmoothed one lowest",
)

# %% [markdown]
# In the brain the map has an AUROC of {glue:text}`detect_auroc_brain`; with the air it rises to {glue:text}`detect_auroc_box`, for free. AP ({glue:text}`detect_ap`) hardly moves, because air is never flagged. One can make any voxel-wise AUROC better by a larger field of view.
#
# Now compare the sharp map with the one smoothed by 4 mm. AUROC hardly tells them apart, AP does: the one changes by {glue:text}`detect_smooth_auroc` ± {glue:text}`detect_smooth_auroc_half`, the other by {glue:text}`detect_smooth_ap` ± {glue:text}`detect_smooth_ap_half`. Noise voxels are few among all the healthy, and many among the flagged. Most of the area under an ROC curve lies at false-alarm rates where nobody would work: at prevalence {glue:text}`detect_prevalence`, a rate of 0.1 means {glue:text}`detect_false_per_true` false voxels to each true one, or more {cite}`saito2015`.
#
# ## Lesions and false alarms
#
# A voxel is not what a clinician counts either. {term}`FROC` {cite}`chakraborty1989` counts lesions found against false alarms a scan. It needs rules, and they belong beside the number. Ours: *candidates* are connected components of $\{e \ge t\}$ (corners connect), lesions those of the true clot; a lesion is found if a candidate shares a voxel with it; a candidate that touches no lesion is a false alarm.
#
# **Predict.** The threshold goes to 0. How many false alarms are there in the end?

# %% tags=["hide-input"]
references = [one.clot for one in tested]
RULES = {"one voxel in common": {}, "a quarter of the lesion covered": {"overlap": 0.25}, "within 8 mm": {"within_mm": 8.0}}  # fmt: skip


def curve(kind, rule):
    highest = max(float(e.max()) for e in maps[kind])
    levels = highest * np.geomspace(0.03, 1, run.pick(ci=20, cpu=24, gpu=40))
    return metrics.froc(maps[kind], references, MM, thresholds=[1e-6, *levels], **RULES[rule])


curves = {(kind, rule): curve(kind, rule) for kind in maps for rule in list(RULES)[: 1 if kind == "any" else 3]}  # fmt: skip
rows = [[NAMES[kind], rule, *(f"{s:.2f}" for s in [*found.sensitivity_at([0.5, 1, 4]), found.mean_sensitivity()])] for (kind, rule), found in curves.items()]  # fmt: skip
table(
    ["map", "a lesion is found if", "at ½", "at 1", "at 4", "mean"],
    rows,
    caption=f"Sensitivity at so many false alarms a scan, and its mean over seven rates from ⅛ to 8. {len(tested)} synthetic patients, {sum(ndimage.label(c, np.ones((3, 3, 3)))[1] for c in references)} lesions, many of a few voxels.",
)
base = curves["bright", "one voxel in common"]
run.record("detect_most_alarms", base.false_alarms_per_scan.max(), low=1, high=80, digits=0)
run.record("detect_last_alarms", base.false_alarms_per_scan[-1], low=0.25, high=0.45, digits=2)
for key, rule in zip(("one", "covered", "near"), RULES, strict=True):
    run.record(f"detect_froc_{key}", curves["bright", rule].sensitivity_at(1)[0], low=0.1, high=0.95, digits=2)  # fmt: skip
few = base.thresholds[np.flatnonzero(np.maximum.accumulate(base.false_alarms_per_scan) <= 4)[-1]]  # fmt: skip
split, best = {}, (-1, 0, 0)
for n in bleeding:
    parts, _ = ndimage.label(maps["bright"][n] >= few, np.ones((3, 3, 3)))
    hit = np.isin(parts, np.unique(parts[tested[n].clot.numpy()])) & (parts > 0)
    split[n] = torch.from_numpy(hit), torch.from_numpy((parts > 0) & ~hit)
    both = np.minimum(*(mask.sum((0, 1)).numpy() for mask in split[n]))
    best = max(best, (int(both.max()), n, int(both.argmax())))  # a slice that shows both kinds
_, chosen, at = best
figure, axes = plt.subplots(1, 2, figsize=(5.9, 3.3), width_ratios=(1.3, 1))
for (kind, name), colour in zip(NAMES.items(), (style.BLUE, style.ORANGE), strict=True):
    alarms, hits, _ = curves[kind, "one voxel in common"]
    last = int(alarms.argmax()) + 1
    axes[0].plot(alarms[:last], hits[:last], "o-", color=colour, markersize=3, label=name)
    axes[0].plot(alarms[last - 1 :], hits[last - 1 :], color=colour, linestyle=":", linewidth=1.2)  # fmt: skip
axes[0].set(xlabel="false alarms a scan", ylabel="share of lesions found", ylim=(0, 1.03), title="FROC")  # fmt: skip
axes[0].legend(loc="lower right")
draw(axes[1], tested[chosen].image, (0, 80), "candidates", index=at)
for mask, colour in zip(split[chosen], (style.GOLD, style.PINK), strict=True):
    outline(axes[1], mask, colour, index=at)
show(
    figure,
    caption="FROC curves of the two maps, synthetic patients. Dotted: below the threshold with most false alarms, candidates merge until one is left in each scan, which covers the brain and finds everything in it. Right: a slice with both kinds of candidates, at about four false alarms a scan; gold: part of one that touches a bleed, pink: of one that does not.",
    alt="Two rising curves that turn back to the left as dotted lines and end at no false alarms and all lesions found; a CT slice with outlined candidates",
)

# %% [markdown]
# The false alarms rise to {glue:text}`detect_most_alarms` a scan and fall again to {glue:text}`detect_last_alarms`: at the end one candidate fills each brain, touches every lesion and so counts as a perfect find; only in the scans without any lesion it is an alarm. `sensitivity_at` therefore looks only as far as the first threshold that exceeds the rate. At one false alarm a scan {glue:text}`detect_froc_one` of the lesions are found, {glue:text}`detect_froc_covered` if a quarter of each must be covered, {glue:text}`detect_froc_near` if 8 mm are near enough. Two papers with different rules cannot be compared.
#
# ## Who says what is true?
#
# CQ500's truth is the majority of three radiologists. How far they agree beyond chance, {term}`Fleiss' kappa <Fleiss kappa>` {cite}`fleiss1971` says. With $v_{ic}$ the share of raters who give patient $i$ the label $c$, of $R$ raters,
#
# $$ \kappa = \frac{P - E}{1 - E}, \qquad P = \operatorname{mean}_i \frac{R \sum_c v_{ic}^2 - 1}{R - 1}, \qquad E = \sum_c \big(\operatorname{mean}_i v_{ic}\big)^2 . $$ (detect-kappa)
#
# The thesis gives κ for each finding, and the AUROC of each rater against the majority (appendix B, table 3). Of a rater who says yes or no, AUROC is the mean of sensitivity and specificity. Note that each rater is *part of the majority* that is the judge.
#
# **Predict.** Three raters toss coins. What is their κ? And what AUROC does each get against their majority?

# %%
# NBVAL_CHECK_OUTPUT
chance = np.random.default_rng(1)
coins = chance.integers(0, 2, (3, 100_000))  # three raters, many patients
votes = np.stack([(coins == label).mean(0) for label in (0, 1)])
agreed = ((3 * (votes**2).sum(0) - 1) / 2).mean()
expected = (votes.mean(1) ** 2).sum()
kappa = (agreed - expected) / (1 - expected)  # (detect-kappa)
np.testing.assert_allclose(kappa, fleiss_kappa(coins).value, atol=1e-12)
vote = majority_vote(coins)
print(f"kappa {abs(kappa):.2f}, AUROC {auroc(coins[0], vote):.2f}")

# %% tags=["hide-input"]
TABLE_3 = {  # the thesis: how many have the finding in the test set, kappa, AUROC of three raters
    "bleeding left": (39, 0.745, (0.877, 0.982, 0.985)),
    "bleeding right": (40, 0.705, (0.893, 0.945, 0.964)),
    "fracture": (20, 0.632, (0.901, 0.955, 0.921)),
}
COUNT, REPEATS = 86, run.pick(ci=100, cpu=400, gpu=400)


def read_often(ill, quality, hidden=0.0):
    """Kappa, AUROC against the majority and against the truth, (draws, 1 + 2 raters).

    Raters are right with these probabilities; of a share `hidden` of the patients all see the opposite.
    """
    chance, rows = np.random.default_rng(seed), []
    while len(rows) < REPEATS:
        truth = chance.permutation(COUNT) < ill
        seen = truth ^ (chance.random(COUNT) < hidden)
        readings = (seen ^ (chance.random((3, COUNT)) >= np.array(quality)[:, None])).astype(int)  # fmt: skip
        vote = majority_vote(readings).numpy()
        if 0 < vote.sum() < COUNT:
            rows.append([fleiss_kappa(readings).value, *(auroc(r, vote) for r in readings), *(auroc(r, truth) for r in readings)])  # fmt: skip
    return np.array(rows)


def middle(values):
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{values.mean():.2f} ({low:.2f} to {high:.2f})".replace("-", "−")


rows = []
for finding, (ill, kappa, areas_3) in TABLE_3.items():
    kappas, *areas_6 = read_often(ill, areas_3).T
    rows.append([finding, "thesis, majority", f"{kappa:.3f}", *(f"{a:.3f}" for a in areas_3)])
    rows.append(["", "ours, majority", middle(kappas), *(f"{a.mean():.3f}" for a in areas_6[:3])])  # fmt: skip
    rows.append(["", "ours, truth", "", *(f"{a.mean():.3f}" for a in areas_6[3:])])
table(
    ["finding", "whose, against what", "κ", "R1", "R2", "R3"],
    rows,
    caption=f"Table 3 of the thesis, and synthetic raters who are right with exactly its AUROC as probability, on {COUNT} patients; mean of {REPEATS} draws, of κ also the central 95 %. (The thesis prints the third rater as a second R2.)",
)  # fmt: skip
worlds = {"own": "careful, errors their own", "hidden": "careful, one case in ten misleads all", "bad": "right in two of three cases", "coins": "three coins"}  # fmt: skip
panels = {key: read_often(39, quality, hidden) for key, quality, hidden in (("own", (0.93, 0.95, 0.95), 0.0), ("hidden", (0.93, 0.95, 0.95), 0.1), ("bad", (2 / 3,) * 3, 0.0), ("coins", (0.5,) * 3, 0.0))}  # fmt: skip
rows = [[worlds[key], middle(d[:, 0]), f"{d[:, 1:4].mean():.3f}", f"{d[:, 4:].mean():.3f}"] for key, d in panels.items()]  # fmt: skip
table(
    ["raters", "κ", "AUROC, majority", "AUROC, truth"],
    rows,
    caption=f"Four panels of synthetic raters, {COUNT} patients, {REPEATS} draws each.",
)


def lowest_kappa(areas_3, ill, well):
    """The lowest kappa that fits these AUROCs, over all ways to share the lone votes between ill and well."""
    t = np.linspace(0, 1, 101)
    missed, added = 2 * sum(1 - a for a in areas_3) * np.array([t * ill, (1 - t) * well])
    p = (3 * ill - missed + added) / (3 * (ill + well))
    chance = p**2 + (1 - p) ** 2
    return float(((1 - 2 / 3 * (missed + added) / (ill + well) - chance) / (1 - chance)).min())


for key, well, low, high in (("lowest", 47, 0.75, 0.8), ("all", 157, 0.5, 0.7)):
    run.record(f"detect_left_{key}", lowest_kappa(TABLE_3["bleeding left"][2], 39, well), low=low, high=high, digits=3)  # fmt: skip
for key, low, high in (("own", -0.02, 0.02), ("hidden", 0.05, 0.15), ("bad", 0.08, 0.2), ("coins", 0.2, 0.3)):  # fmt: skip
    flatter = (panels[key][:, 1:4] - panels[key][:, 4:]).mean()
    run.record(f"detect_flatter_{key}", flatter, low=low, high=high, digits=3 if key == "own" else 2)  # fmt: skip
    run.record(f"detect_kappa_{key}", panels[key][:, 0].mean(), low=-0.1, high=0.9, digits=2)

# %% [markdown]
# Coins get 0.75: each belongs to the majority in three of four cases. That is what the rater's own vote is worth.
#
# How much of it is in table 3? If raters were right with exactly the printed AUROC, and erred independently, the majority would return nearly the same numbers: careful raters are flattered by {glue:text}`detect_flatter_own`, because two other careful votes outweigh one's own. The worse the raters, the more ({glue:text}`detect_flatter_bad` where each is right in two of three cases); a good rater among weaker ones can even lose a little (R2 of the fractures). A shared error is more dangerous, because nothing shows it. If one case in ten misleads everybody, all look {glue:text}`detect_flatter_hidden` better than they are, and κ notices nothing ({glue:text}`detect_kappa_own` and {glue:text}`detect_kappa_hidden`): *agreement is not truth*. Judge a rater against the others or against a later truth (follow-up, surgery), not against a vote that the rater has cast. And if a method is compared with such raters, remember that they had a vote in the truth and the method had none.
#
# Can one read a table backwards? Where three vote, every disagreement is one lone vote, so κ and the AUROCs come from the same counts. For bleeding left with 39 ill and 47 well, the printed AUROCs allow no κ below {glue:text}`detect_left_lowest`; the table says 0.745. Over all 196 scans of the thesis (39 and 157, as those of the training are healthy) anything from {glue:text}`detect_left_all` on is possible. So the table seems to have been counted over more than the test patients, and then bleeds were rarer. It matters, since κ has a peculiarity:
#
# **Predict.** Two raters are right in 95 % of the ill and 95 % of the well. The finding becomes rare. What does their κ do?

# %% tags=["hide-input"]
prevalences = np.geomspace(0.002, 0.5, 60)


def kappa_at(prevalence, quality):
    """Of two raters who err independently, with endless patients."""
    yes = prevalence * quality + (1 - prevalence) * (1 - quality)
    agreed, chance = quality**2 + (1 - quality) ** 2, yes**2 + (1 - yes) ** 2
    return (agreed - chance) / (1 - chance)


figure, ax = plt.subplots(figsize=(5.2, 3.3))
for quality, colour in ((0.99, style.GREEN), (0.95, style.BLUE), (0.9, style.ORANGE)):
    ax.plot(100 * prevalences, [kappa_at(p, quality) for p in prevalences], color=colour, label=f"{100 * quality:.0f} %")  # fmt: skip
ax.set(xscale="log", xlabel="prevalence (%)", ylabel="κ", ylim=(0, 1), xticks=[0.2, 1, 5, 10, 50])  # fmt: skip
ax.set_xticklabels(["0.2", "1", "5", "10", "50"])
ax.minorticks_off()
ax.legend(title="right in")
show(
    figure,
    caption="κ of two raters of fixed quality, with independent errors, against prevalence; endless patients. The raters are the same from left to right.",
    alt="Three curves of kappa that fall from near 1, 0.8 and 0.6 at 50 percent prevalence towards 0 as the finding gets rare",
)
for key, prevalence in (("half", 0.5), ("rare", 0.01)):
    run.record(f"detect_paradox_{key}", kappa_at(prevalence, 0.95), low=0.1, high=0.82, digits=2)  # fmt: skip

# %% [markdown]
# It falls from {glue:text}`detect_paradox_half` to {glue:text}`detect_paradox_rare` at a prevalence of 1 %, with the same raters {cite}`feinstein1990`: most of their yeses are errors then, and independent errors seldom meet. Two κ can only be compared at similar prevalence. The thesis's lowest κ, of fractures, is also its rarest finding.
#
# ## A vote on voxels
#
# Masks can be voted on, too. But a majority gives every rater the same weight, the one who is careful and the one who paints everything. {term}`STAPLE` {cite}`warfield2004` estimates in turn the hidden truth and how good each rater $r$ is: sensitivity $p_r$ and specificity $q_r$. With their marks $d_r$ and the prior $\pi$, a voxel is ill with probability
#
# $$ \begin{aligned}
# w &= \frac{\pi\, a}{\pi\, a + (1 - \pi)\, b}, \\
# a &= \prod_r p_r^{d_r} (1 - p_r)^{1 - d_r}, \qquad b = \prod_r q_r^{1 - d_r} (1 - q_r)^{d_r},
# \end{aligned} $$ (detect-staple)
#
# and $p_r$, $q_r$ are then read off from $w$: $p_r$ is the share of the ill, $\sum w\, d_r / \sum w$ over the voxels, that the rater has marked, $q_r$ the share of the others left unmarked. The two steps alternate until nothing changes. Two panels of synthetic raters outline each bleed. In the first, one is careful and two have shaky hands; in the second, one is careful and two go on too long. (They see a blurred clot, and cut it at a level of their own that wanders.)
#
# **Predict.** In which panel will STAPLE beat the majority? In which will two raters have the higher Dice with each other?

# %% tags=["hide-input"]
HANDS = {"careful": (0.5, 0.08), "shaky": (0.5, 0.35), "goes on": (0.15, 0.08)}
PANELS = {"shaky": ("careful", "shaky", "shaky"), "habit": ("careful", "goes on", "goes on")}
TITLES = {"shaky": "one careful, two shaky", "habit": "one careful, two who go on"}


def outline_by(hand, n, rater):
    """The mask that a rater draws: where the blurred clot exceeds a level that wanders."""
    level, shake = HANDS[hand]
    chance = torch.randn(GRID.shape, generator=run.fresh_generator(1000 * rater + n))
    wander = ndimage.gaussian_filter(chance.numpy(), 0.7)
    soft, close = (ndimage.gaussian_filter(tested[n].share.numpy(), blur) for blur in (0.4, 0.8))  # fmt: skip
    seen = soft + shake * wander / wander.std() * (close > 0.05)
    return torch.from_numpy(seen > level) & tested[n].brain


def near(masks):
    """Where at least one rater has drawn, and a little around."""
    return torch.from_numpy(ndimage.binary_dilation(torch.stack(masks).any(0).numpy(), iterations=2))  # fmt: skip


large = [n for n in bleeding if int(tested[n].clot.sum()) * MM**3 > 4000]
drawn = {(panel, n): [outline_by(hand, n, r) for r, hand in enumerate(hands)] for panel, hands in PANELS.items() for n in large}  # fmt: skip
estimated = {key: staple(masks, mask=near(masks)) for key, masks in drawn.items()}
fused = {key: {"majority": majority_vote(masks) == 1, "STAPLE": estimated[key].probability > 0.5} for key, masks in drawn.items()}  # fmt: skip
rows, single = [], {}
for panel, hands in PANELS.items():
    masks = {**{f"rater {r + 1}, {hand}": [drawn[panel, n][r] for n in large] for r, hand in enumerate(hands)}, **{name: [fused[panel, n][name] for n in large] for name in ("majority", "STAPLE")}}  # fmt: skip
    for name, found in masks.items():
        scored = mean_interval([float(dice(m, tested[n].clot)) for m, n in zip(found, large, strict=True)])  # fmt: skip
        rows.append([TITLES[panel], name, scored.shown(3)])
        single[panel, name[:7]] = scored.mean
        if name in ("majority", "STAPLE"):
            run.record(f"detect_{panel}_{name.lower()}", scored.mean, low=0.6, high=1, digits=2)
    gain = mean_interval([float(dice(fused[panel, n]["STAPLE"], tested[n].clot) - dice(fused[panel, n]["majority"], tested[n].clot)) for n in large])  # fmt: skip
    for key, value, low, high in (("gain", gain.mean, -0.05, 0.1), ("half", gain.half, 0, 0.1)):
        run.record(f"detect_{panel}_{key}", value, low=low, high=high, digits=3)
    quality = np.mean([estimated[panel, n].sensitivity for n in large], 0)
    pairs = np.mean([metrics.rater_dice(drawn[panel, n])[np.triu_indices(3, 1)].numpy() for n in large], 0)  # fmt: skip
    for key, value in (("first", quality[0]), ("others", quality[1:].mean()), ("pairs", pairs[2]), ("careful", single[panel, "rater 1"]), ("each", (single[panel, "rater 2"] + single[panel, "rater 3"]) / 2)):  # fmt: skip
        run.record(f"detect_{panel}_{key}", value, low=0.3, high=1, digits=2)
# Marked by the careful one alone, by both others alone: how many of them are in STAPLE, of how many.
kept = np.zeros((2, 2))
for n in large:
    (first, second, third), result = drawn["shaky", n], fused["shaky", n]["STAPLE"]
    for i, lone in enumerate((first & ~second & ~third, ~first & second & third)):
        kept[i] += [int((lone & result).sum()), int(lone.sum())]
for key, (part, whole) in zip(("alone", "against"), kept, strict=True):
    run.record(f"detect_kept_{key}", 100 * part / whole, low=0, high=100, unit="%", digits=0)
table(
    ["panel", "mask", "Dice with the truth"],
    rows,
    caption=f"Two panels of synthetic raters, {len(large)} synthetic patients with more than 4 ml of blood: mean and 95 % interval over patients.",
)
box = ndimage.find_objects(ndimage.binary_dilation(tested[example].clot.numpy(), iterations=5).astype(int))[0][:2]  # fmt: skip
figure, axes = plt.subplots(1, 2, figsize=(5.8, 3.8))
for ax, panel in zip(axes, PANELS, strict=True):
    draw(ax, tested[example].image[box], (0, 80), TITLES[panel], sides=False)
    outline(ax, fused[panel, example]["STAPLE"][box], style.ORANGE, linewidths=4)
    for mask, colour in zip(drawn[panel, example], (style.BLUE, style.GREEN, style.PINK), strict=True):  # fmt: skip
        outline(ax, mask[box], colour)
for colour, name in ((style.BLUE, "careful"), (style.GREEN, "second"), (style.PINK, "third"), (style.ORANGE, "STAPLE")):  # fmt: skip
    axes[0].plot([], [], color=colour, linewidth=4 if name == "STAPLE" else 1.4, label=name)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
show(
    figure,
    caption="The bleed of the first picture in CT (0 to 80 HU), outlined by two panels of synthetic raters (thin), and what STAPLE makes of it (thick, below them).",
    alt="A bright bleed with three ragged outlines and a fused one; beside it the same bleed with two wide outlines and one inside, and the fused one is wide",
)

# %% [markdown]
# In the first panel STAPLE finds out who is who: it gives the careful rater a sensitivity of {glue:text}`detect_shaky_first` and the shaky ones {glue:text}`detect_shaky_others`. It trusts the marks of the careful one more: it keeps {glue:text}`detect_kept_alone` of what the careful one alone has marked, where a majority keeps nothing; of what the two others have marked against the careful one it keeps {glue:text}`detect_kept_against`. The gain is small: Dice {glue:text}`detect_shaky_staple` against {glue:text}`detect_shaky_majority` for the majority, in the same patients {glue:text}`detect_shaky_gain` ± {glue:text}`detect_shaky_half` more, and the careful rater alone is better still ({glue:text}`detect_shaky_careful`). In the second panel it is taken in. Two raters with the same habit confirm each other ({glue:text}`detect_habit_others`), the careful one seems to miss much ({glue:text}`detect_habit_first`), and both fusions end near the wide masks ({glue:text}`detect_habit_staple` and {glue:text}`detect_habit_majority`). STAPLE assumes that raters err independently; a habit that is shared becomes the truth. And it needs a region: in a wide background everybody's specificity is near 1, and going on costs nothing. We give it the neighbourhood of the marks.
#
# A Dice between raters is {term}`inter-rater agreement`, the bar for a network that learns from them: {glue:text}`detect_shaky_pairs` between the two shaky ones, {glue:text}`detect_habit_pairs` between the two who go on. Yet the truth is about as far from the ones as from the others (Dice {glue:text}`detect_shaky_each` and {glue:text}`detect_habit_each`), and a vote repairs only the first. Agreement says how alike masks are, not how good. (Repeated readings by one rater give the *intra*-rater Dice, by the same function.)
#
# ## Two readings of one volume
#
# Two methods that measure millilitres are compared by their *differences*, not by their correlation: rulers that differ by a factor of two correlate perfectly. {cite:t}`bland1986` give the bias and the limits between which 95 % of the differences lie,
#
# $$ \bar d \pm 1.96\, s_d, \qquad \operatorname{Var}(\bar d \pm 1.96\, s_d) \approx s_d^2 \Big( \frac{1}{n} + \frac{1.96^2}{2 (n - 1)} \Big) . $$ (detect-limits)

# %% tags=["hide-input"]
ml = np.array([[float(drawn["habit", n][r].sum()) for r in (0, 1)] for n in large]) * MM**3 / 1000  # fmt: skip
compared = metrics.bland_altman(ml[:, 1], ml[:, 0])
figure, ax = plt.subplots(figsize=(5.2, 3.4))
ax.plot(compared.means, compared.differences, "o", color=style.BLUE, markersize=5, alpha=0.8)
for estimate, line in ((compared.bias, "-"), (compared.lower, "--"), (compared.upper, "--")):
    ax.axhline(estimate.value, color=style.ORANGE, linestyle=line, linewidth=1.4)
    ax.axhspan(estimate.low, estimate.high, color=style.ORANGE, alpha=0.15, linewidth=0)
ax.set(xlabel="mean of the two readings (ml)", ylabel="goes on − careful (ml)")
show(
    figure,
    caption="Volumes of synthetic bleeds by two synthetic raters. Line: bias; dashed: limits of agreement; bands: their 95 % intervals. The cloud opens to the right: the differences grow with the volume.",
    alt="Differences in millilitres against the mean volume, all above 0 and growing, with a horizontal line and two dashed lines in shaded bands",
)
for key, estimate, low, high in (("bias", compared.bias, 5, 60), ("lower", compared.lower, -40, 10), ("upper", compared.upper, 10, 100)):  # fmt: skip
    run.record(f"detect_{key}", estimate.value, low=low, high=high, unit="ml", digits=1)
run.record("detect_ratio", np.exp(np.log(ml[:, 1] / ml[:, 0]).mean()), low=1.1, high=3, digits=2)  # fmt: skip
logs = metrics.bland_altman(np.log(ml[:, 1]), np.log(ml[:, 0]))
run.record("detect_ratio_low", np.exp(logs.lower.value), low=0.3, high=2, digits=1)
run.record("detect_ratio_high", np.exp(logs.upper.value), low=1.5, high=12, digits=1)
run.record("detect_correlation", np.corrcoef(ml[:, 0], ml[:, 1])[0, 1], low=0.7, high=1, digits=2)  # fmt: skip

# %% [markdown]
# The correlation is {glue:text}`detect_correlation`, and yet one reads {glue:text}`detect_bias` more than the other, with limits from {glue:text}`detect_lower` to {glue:text}`detect_upper`. As differences grow with the volume, the limits are too wide on the left and too narrow on the right. Then compare logarithms: on average the one reads {glue:text}`detect_ratio` times as much as the other, in single patients {glue:text}`detect_ratio_low` to {glue:text}`detect_ratio_high` times (the limits of the logarithms, turned back into ratios). A margin of the same width adds more to a thin bleed than to a round one, so no single factor corrects it.
#
# ## Does 70 % mean 70 %?
#
# A score becomes a probability by a model. We take the simplest: from the map at each voxel, a logistic regression gives the probability of clot, learned on half of the patients and judged on the other half. An {term}`ensemble` {cite}`lakshminarayanan2017` has several members, and each of ours has seen other healthy heads and other patients. Their mean is the prediction, their variance says where they disagree:
#
# $$ \bar p = \frac1K \sum_k p_k, \qquad s^2 = \frac{1}{K - 1} \sum_k (p_k - \bar p)^2 . $$ (detect-ensemble)
#
# Members come one by one, and are forgotten after a recurrence of Welford has taken them in; a hundred maps need no more memory than a few. {term}`Calibration` means that of all voxels called 70 % likely, 70 % are clot. Sort the voxels by $p$ into bins; $y$ is 1 where there is clot and 0 elsewhere, $\bar p_b$ and $\bar y_b$ are the means in bin $b$, which holds $n_b$ of the $n$ voxels. The mean distance between what was said and what was true, and the mean squared error of a probability {cite}`naeini2015,brier1950` are
#
# $$ \mathrm{ECE} = \sum_b \frac{n_b}{n} \big| \bar y_b - \bar p_b \big|, \qquad \mathrm{Brier} = \operatorname{mean}\,(p - y)^2 . $$ (detect-calibration)
#
# **Predict.** Clot is rare, so a colleague trains with as many ill voxels as healthy ones. What happens to the AUROC of her model, and what to its probabilities?

# %% tags=["hide-input"]
MEMBERS, KNOWN = run.pick(ci=4, cpu=8, gpu=16), len(healthy) // 2
# The example is among the judged.
learning, judged = (range((example + odd) % 2, len(tested), 2) for odd in (1, 0))


def member(number, balanced=False):
    """A model that knows half of the healthy heads and a resampling of the learning patients."""
    chance = np.random.default_rng(1000 * seed + number)
    some = healthy[chance.permutation(len(healthy))[:KNOWN]]
    own = {"kind": "bright", "mean": some.mean(0), "spread": some.std(0)}
    chosen = chance.choice(list(learning), len(learning))
    x, y = (np.concatenate([image[tested[n].brain].numpy()[::7] for n, image in pairs]) for pairs in ([(n, error_map(tested[n], **own)) for n in chosen], [(n, tested[n].clot) for n in chosen]))  # fmt: skip
    fitted = LogisticRegression(C=1e4, max_iter=300, class_weight="balanced" if balanced else None).fit(np.sqrt(x)[:, None], y)  # fmt: skip

    def predict(one):
        p = torch.zeros(GRID.shape)
        e = error_map(one, **own)[one.brain].numpy()
        p[one.brain] = torch.from_numpy(fitted.predict_proba(np.sqrt(e)[:, None])[:, 1]).float()
        return p

    return predict


models = [member(number) for number in range(MEMBERS)]
even_handed = member(0, balanced=True)

# %%
predictions = torch.stack([model(tested[example]) for model in models])
by_hand = predictions.mean(0), predictions.var(0)  # (detect-ensemble), all in memory
# The same, one after another:
doubt = metrics.ensemble_maps(model(tested[example]) for model in models)
torch.testing.assert_close(doubt.mean, by_hand[0])
torch.testing.assert_close(doubt.variance, by_hand[1])

# %% tags=["hide-input"]
clots = {n: tested[n].clot for n in judged}
y = in_brain(clots)
fused = {n: metrics.ensemble_maps(model(tested[n]) for model in models) for n in judged}
single = {n: models[0](tested[n]) for n in judged}
equal = {n: even_handed(tested[n]) for n in judged}
means = {n: one.mean for n, one in fused.items()}
said = {"one member": in_brain(single), f"ensemble of {MEMBERS}": in_brain(means), "one, trained on equal shares": in_brain(equal)}  # fmt: skip
measures = (auroc, average_precision, metrics.expected_calibration_error, metrics.brier_score)
table(
    ["model", "AUROC", "AP", "ECE", "Brier"],
    [[name, *(f"{measure(p, y):.4f}" for measure in measures)] for name, p in said.items()],
    caption=f"Probabilities of clot in the brain's voxels, pooled over {len(judged)} synthetic patients who took no part in training. Always saying the prevalence {y.mean():.4f} has a Brier score of {y.mean() * (1 - y.mean()):.4f}.",
)
one_p, ensemble_p, even_p = said.values()
run.record("detect_ece", metrics.expected_calibration_error(one_p, y), low=0, high=0.03, digits=3)  # fmt: skip
run.record("detect_ece_even", metrics.expected_calibration_error(even_p, y), low=0.02, high=0.8, digits=2)  # fmt: skip
run.record("detect_even_auroc", abs(auroc(even_p, y) - auroc(one_p, y)), low=0, high=0.002, digits=3)  # fmt: skip
run.record("detect_even_high", 100 * y[even_p > 0.7].mean(), low=2, high=60, unit="%", digits=0)
more = mean_interval([average_precision(means[n], clot, mask=tested[n].brain) - average_precision(single[n], clot, mask=tested[n].brain) for n, clot in clots.items() if bool(clot.any())])  # fmt: skip
run.record("detect_more", more.mean, low=-0.05, high=0.2, digits=3)
run.record("detect_more_half", more.half, low=0, high=0.25, digits=3)
wrong, disputed = (ensemble_p > 0.5) != y, in_brain({n: one.variance for n, one in fused.items()})  # fmt: skip
most = disputed >= np.quantile(disputed, 0.98)
run.record("detect_disputed", 100 * wrong[most].sum() / wrong.sum(), low=5, high=95, unit="%", digits=0)  # fmt: skip
figure, axes = plt.subplot_mosaic([["said", "said"], ["mean", "deviation"]], figsize=(5.4, 6.6), height_ratios=(1, 1.05))  # fmt: skip
for (name, p), colour in zip(said.items(), (style.GREEN, style.BLUE, style.ORANGE), strict=True):  # fmt: skip
    shape = metrics.calibration_curve(p, y)
    axes["said"].plot(shape.predicted, shape.observed, "o-", color=colour, markersize=4, label=name)  # fmt: skip
axes["said"].plot([0, 1], [0, 1], color=style.MUTED, linestyle=":", linewidth=1)
axes["said"].set(xlabel="what was said", ylabel="what was true", title="calibration", ylim=(-0.03, 1.03))  # fmt: skip
axes["said"].legend(loc="upper left")
for key, image, window in (("mean", doubt.mean, (0, 1)), ("deviation", doubt.variance.sqrt(), (0, 0.25))):  # fmt: skip
    draw(axes[key], image, window, {"mean": "mean", "deviation": "standard deviation"}[key], cmap="magma")  # fmt: skip
    outline(axes[key], tested[example].clot, style.GREEN)
show(
    figure,
    caption="Above: calibration on synthetic patients; below the dotted line a model is too sure. Below: mean (0 to 1) and standard deviation (0 to 0.25) of the ensemble for the first picture's patient, one of those judged, true clot outlined.",
    alt="Two calibration curves around the diagonal and one far below it; two maps of a brain slice, in which the bleed glows and its surroundings are disputed",
)

# %% [markdown]
# Nothing happens to her AUROC (difference {glue:text}`detect_even_auroc`): the order of the voxels is the same. But of what she calls more than 70 % likely, {glue:text}`detect_even_high` is clot, and her ECE is {glue:text}`detect_ece_even` instead of {glue:text}`detect_ece`. Patch samplers that favour lesions do the same to networks. It can be undone if one knows that it was done: the odds are too large by the factor $(1 - \pi) / \pi$. The ECE of the other two is small mainly because nearly all voxels are easy and lie in the first bin. Look at the curve: in the middle it leaves the diagonal by far more.
#
# Against one member the ensemble gains {glue:text}`detect_more` ± {glue:text}`detect_more_half` in AP, patient by patient among those with a bleed; whether that is more than nothing, the interval says. (The AP in the table is of all voxels pooled, those of healthy patients too, and so is lower than in "What is rare".) Its members dispute the rim of the bleed, and the places where heads differ: the 2 % of voxels with the largest variance hold {glue:text}`detect_disputed` of its errors. Where all members are wrong together, at a bleed that none of them can see, the variance is near 0: like a vote, an ensemble knows nothing of shared errors.
#
# ## Where it breaks
#
# A thousand voxels, a million voxels: one has only to count them to be sure of anything.
#
# **Predict.** Part the patients into two halves at random. Give the AUROC of the first half's voxels its interval, counting each voxel as a case. How often, out of 20 partings, does the second half's AUROC lie inside?

# %%
# NBVAL_CHECK_OUTPUT
values, flags, owner = pieces["voxels"]
inside, spans = {True: 0, False: 0}, {True: [], False: []}
chance = np.random.default_rng(seed)
for _ in range(20):
    half = np.isin(owner, chance.permutation(len(tested))[: len(tested) // 2])
    other = auroc(values[~half], flags[~half])
    for apart in (True, False):
        groups = None if apart and independent else owner[half]
        _, low, high = auroc_interval(values[half], flags[half], groups=groups)
        inside[apart] += low <= other <= high
        spans[apart].append(high - low)
print("voxels as cases misses most of the time:", inside[True] <= 6)
print("patients as cases holds most of the time:", inside[False] >= 12)
if independent:
    assert np.mean(spans[False]) > 5 * np.mean(spans[True]) and inside[True] <= 6

# %% tags=["hide-input"]
for key, apart, most, widest in (("voxels", True, 6 if independent else 20, 0.3), ("patients", False, 20, 0.4)):  # fmt: skip
    run.record(f"detect_held_{key}", inside[apart], low=0, high=most, digits=0)
    run.record(f"detect_span_{key}", np.mean(spans[apart]), low=0.001, high=widest, digits=3)

# %% [markdown]
# In {glue:text}`detect_held_voxels` of 20. The interval is {glue:text}`detect_span_voxels` wide, and a repetition of the study falls beside it. Counting patients it is {glue:text}`detect_span_patients` wide and holds in {glue:text}`detect_held_patients` of 20. (Not in all: the other half varies as much as the first, so even an honest interval holds in only 83 %, or 17 of 20, on average.) Set `independent = False`, and both count alike. The failure makes no noise: a tight interval looks like good work.
#
# ## Exercises
#
# ### Exercise 1: one rater and a rare finding
#
# A screening of 2,000 heads, 1 % of which have a fracture. A rater has a sensitivity of 0.90 and a specificity of 0.95. How many heads does the rater flag, and which share of them is broken? What is the rater's AUROC? What would you change first, sensitivity or specificity?
#
# <details class="hint"><summary>Hint</summary>
#
# Fill the four cells of the table: 20 ill, 1,980 well.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# 18 are found; 5 % of 1,980 are flagged although they are well. For the AUROC of a yes or no see "Who says what is true?".
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# 18 true and 99 false: 117 flags, of which 15 % are right (equation {eq}`detect-precision`). The AUROC is (0.90 + 0.95) / 2 = 0.925, as good as the thesis's raters. Specificity: at 0.99 there would be 20 false flags instead of 99, while a perfect sensitivity would add two true ones.
#
# </details>
#
# ### Exercise 2: a coin among five
#
# Five raters vote, and each tosses a coin. What AUROC does one of them get against the majority? And what if the rater under test does not vote, and four others and a tie-break by another coin decide?
#
# <details class="hint"><summary>Hint</summary>
#
# By symmetry, the AUROC is the chance to be on the side of the majority.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# The vote of the rater counts only if the other four are split two and two. How likely is that?
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The others are split in 6 of 16 cases; then the rater is right by definition. In the other 10 the majority stands, and a coin meets it in half: 6/16 + 5/16 = 11/16 = 0.69. With 101 raters it would still be 0.54. Without a vote of one's own it is 0.5, as it should be.
#
# </details>
#
# ### Exercise 3: how sure is a published AUROC? In code
#
# The thesis gives 0.81 for bleeds and 0.79 for fractures, without intervals, and finds that fractures are more challenging. Scores are not published, so equation {eq}`detect-delong` cannot be used. {cite:t}`hanley1982` need only the area $A$ and the numbers of ill and well, $n_1$ and $n_0$:
#
# $$ \begin{aligned}
# \operatorname{Var}(A) &= \frac{A (1 - A) + (n_1 - 1)(Q_1 - A^2) + (n_0 - 1)(Q_2 - A^2)}{n_1 n_0}, \\
# Q_1 &= \frac{A}{2 - A}, \qquad Q_2 = \frac{2 A^2}{1 + A} .
# \end{aligned} $$ (detect-hanley)
#
# Write `published_interval(area, ill, well)`, which returns the two ends of the 95 % interval. Then use it: bleeds were judged in 172 hemispheres, of which 79 were ill; fractures in 86 heads, of which 20. Is the difference beyond doubt?
#
# <details class="hint"><summary>Hint</summary>
#
# The ends are $A \pm 1.96 \sqrt{\operatorname{Var}(A)}$.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# First `q1 = area / (2 - area)` and `q2 = 2 * area**2 / (1 + area)`, then the variance in one line. There are $n_0 = 172 - 79$ healthy hemispheres.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The cell after the exercise holds the code. Bleeds: {glue:text}`detect_pub_bleed_low` to {glue:text}`detect_pub_bleed_high`; fractures: {glue:text}`detect_pub_break_low` to {glue:text}`detect_pub_break_high`. The first interval lies inside the second, and a difference of 0.02 is small beside half of either width: 86 patients cannot tell 0.81 from 0.79, and the thesis is right to add that there were few fractures. (The formula counts hemispheres as independent; our table above says that this hardly matters here.)
#
# </details>


# %% tags=["hide-input"]
HALF = 0.0779  # of an area of 0.9 with 30 ill and 60 well


def check_published_interval(published_interval):
    answer = published_interval(0.9, 30, 60)
    if answer is None:
        return "it returned nothing; return the two ends."
    low, high = (float(end) for end in answer)
    half = (high - low) / 2
    if abs((low + high) / 2 - 0.9) > 1e-6:
        return f"the middle of the interval is {(low + high) / 2:.3f}, expected the area, 0.9."
    if abs(half / HALF - 1 / 1.96) < 0.02:
        return "this is one standard error; 95 % needs 1.96 of them."
    if abs(half / HALF - 1) > 0.02:
        return f"half the width is {half:.4f} for an area of 0.9 with 30 ill and 60 well, expected {HALF:.4f}; is the root taken, are ill and well in their places?"
    return None


# %% tags=["exercise"]
def published_interval(area, ill, well):
    """The ends of the 95 % interval of an AUROC, (low, high)."""
    ...  # your code here


judge(check_published_interval, published_interval)


# %% tags=["solution", "hide-cell"]
def published_interval(area, ill, well):
    """The ends of the 95 % interval of an AUROC, (low, high)."""
    # begin solution
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (ill - 1) * (q1 - area**2) + (well - 1) * (q2 - area**2)) / (ill * well)  # fmt: skip
    half = 1.96 * variance**0.5
    return area - half, area + half
    # end solution


judge(check_published_interval, published_interval)

# %% tags=["remove-cell"]
for key, arguments in (("bleed", (0.81, 79, 93)), ("break", (0.79, 20, 66))):
    area, n1, n0 = arguments
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    half = 1.96 * ((area * (1 - area) + (n1 - 1) * (q1 - area**2) + (n0 - 1) * (q2 - area**2)) / (n1 * n0)) ** 0.5  # fmt: skip
    run.record(f"detect_pub_{key}_low", area - half, low=0.6, high=0.8, digits=2)
    run.record(f"detect_pub_{key}_high", area + half, low=0.8, high=0.95, digits=2)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A paper reports a voxel-wise AUROC of 0.98 for lesions that fill 0.1 % of the brain. What do you know?",
        ("Nearly every flagged voxel is a lesion", "AUROC does not know the prevalence: at a false-alarm rate of 0.02 there are twenty false voxels to each true one."),
        right("That lesion voxels rank high among the others, and little about the alarms", "Ask for the average precision with its prevalence, or for lesions found at so many false alarms a scan."),
        ("That it is better than a method with an AUROC of 0.95", "On the same voxels perhaps; but a larger field of view or a noisier map can raise AUROC and lower what one sees."),
    ),
    question(
        "Twenty patients, 50,000 slices. From what should the interval of the AUROC be drawn?",
        ("From the 50,000 slices: more data, narrower interval", "Slices of one patient resemble one another; the interval would be far too narrow, and the next hospital would fall beside it."),
        right("From the 20 patients, all slices of one drawn together", "New studies bring new patients. Whether the bootstrap or a formula for clusters does it hardly matters."),
        ("Neither: with a test set that large there is no need", "It is a test set of twenty."),
    ),
    question(
        "Three raters have κ = 0.9, and each has an AUROC of 0.97 against their majority. How often is the majority wrong?",
        ("In about 3 % of cases", "That is about how often one rater leaves the majority. With independent errors the majority would be wrong far less often, in about 0.3 %; but nothing in these numbers says that errors are independent."),
        right("One cannot tell", "If something misleads all three, they agree and are wrong together. Only another truth can show it."),
        ("Never: they define the truth", "They define a label. The bleed was there or it was not."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - A map becomes a decision by a rule (maximum, percentile), and a threshold that somebody must choose. Sensitivity and specificity do not know the prevalence; who reads the alarms does.
# - Give an AUROC its interval, and count patients. Compare two methods by the interval of their difference.
# - Voxel-wise AUROC flatters: background is free. For what is rare use average precision, for what has a place FROC, with all rules named.
# - κ is agreement beyond chance, falls when a finding gets rare, and is blind to shared errors. A rater who has voted on the truth is flattered, the more so the worse.
# - Majority and STAPLE both repair careless errors and neither repairs shared habits. Compare volumes by differences.
# - Order is not probability: check calibration, above all after balanced sampling. An ensemble's variance shows dispute, not ignorance.
#
# For a task of your own, answer the questions; the form is that of [Segmentation metrics](segmentation_metrics.ipynb), set here to scores of patients.

# %% tags=["remove-input"]
chooser(ADVICE, start={"predicted": "score", "repeated": True})

# %% [markdown]
# ## Data and limits
#
# | | |
# | --- | --- |
# | patients and scans | **synthetic**, on coarse voxels; sides of bleeds as in table 2 of the thesis, kinds and sizes by the library's round numbers; no fractures, calcification, old blood or movement |
# | pose | drawn straight, in place of registration |
# | error map | a baseline that can be read in one line, with few healthy heads; not the thesis's network |
# | raters | **synthetic**: independent errors, or one shared cause, with chosen probabilities; masks by levels that wander |
# | the thesis's numbers | 86 patients of the real CQ500, as printed; of bleeds on the right its table 2 has 40, which we use, and its text 47 |
# | claims | none about patients, radiologists or the thesis's method |
#
# ## Further reading
#
# {cite:t}`reinke2024` collect pitfalls of metrics, many of which you have now seen. {cite:t}`saito2015` explain precision–recall against ROC, {cite:t}`chakraborty1989` free-response analysis. {cite:t}`guo2017` show how modern networks came to be overconfident, {cite:t}`lakshminarayanan2017` what an ensemble does about it. For the thresholding that many an unsupervised method has to beat see {cite:t}`meissen2021`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
