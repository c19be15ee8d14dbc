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
#     - data/a_head_to_scan
#     - physics/contrast
#     - physics/xrays_and_attenuation
#     summary: What tissues, gliomas, bleeds, fractures and plaques look like in MR
#       and CT, why, and what a threshold finds of them.
#     weights: []
# ---

# %% [markdown]
# # Brain tissues, tumours and bleeds
#
# A network that segments tumours is trained by people who have often never read a brain scan. They do not notice when a label is on the wrong side, when two sequences are
# swapped, or when a score of 0.9 is nothing to be proud of. A radiologist notices within seconds. This lesson gives you a first share of that eye: what the diseases of the book are, how each one
# looks and why, and what its size does to counts and scores.
#
# **You will be able to**
#
# - name the sequence of a brain image, and the tissues in it, from a few comparisons of grey
# - find oedema, enhancing rim and core of a glioma in four sequences, and read the labels of BraTS
# - predict how fast a tumour's front advances from how its cells wander and divide
# - tell five kinds of bleed by place and shape, and choose the CT window that shows them
# - say what a single threshold achieves, where it fails, and how the sizes of lesions bend counts and scores
#
# **You need** [A head to scan](a_head_to_scan.ipynb): tissue shares and synthetic cohorts; [Contrast](../physics/contrast.ipynb): the signal of a tissue in a sequence;
# [X-rays and attenuation](../physics/xrays_and_attenuation.ipynb): Hounsfield units and windows.

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
seed = 0  # of the person, and the first of each cohort
aged_blood_hu = 38.0  # in "Where it breaks": the CT number of blood after some weeks

# %% tags=["hide-input"]
import itertools
import math
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

from medlab.cohorts import lesions
from medlab.cohorts.anatomy import head_model
from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.datasets import open_brats, open_cq500, open_dhcp, open_iseg, open_ixi, open_mrbrains  # fmt: skip
from medlab.cohorts.grid import Grid, sample
from medlab.cohorts.lesions.places import model_points
from medlab.cohorts.lesions.reaction_diffusion import DAYS_PER_YEAR, grow
from medlab.cohorts.measured import low_resolution, measure_kspace
from medlab.cohorts.registration import draw_pair
from medlab.cohorts.scan import FLAIR, PROTON_DENSITY, T1, T1_CONTRAST, T1_INVERSION, T2
from medlab.cohorts.scan import R1_PER_MM_S, R2_PER_MM_S, ct_image, mr_image
from medlab.cohorts.subject import SIZE, draw_person, draw_subject
from medlab.cohorts.tissues import TISSUES, hounsfield, magnetic
from medlab.cohorts.translation import FlairCohort, MrCtCohort, MrPetCohort
from medlab.data import Volume
from medlab.metrics import mean_interval
from medlab.physics.mri.encoding import combine, to_image
from medlab.physics.mri.sequences import spoiled_gradient_echo_signal
from medlab.viz import explore, show, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right
from medlab.viz.sheet import Panel, draw_panel, panels_of, sheet

run = start(profile, seed)

# %% tags=["hide-input"]
MM = run.pick(ci=4.0, cpu=1.1, gpu=0.8)  # of a voxel in the pictures
GROWN_MM = run.pick(ci=4, cpu=2, gpu=2)  # of the grid on which the tumours below grow
WHITE = TISSUES.index("white matter")
SHOWN = {"T1": 1.5, "T1ce": 1.9, "T2": 3.9, "FLAIR": 2.2, "PD": 1.6, "T1-IR": 2.6}
SEQUENCES = (T1, T1_CONTRAST, T2, FLAIR, PROTON_DENSITY, T1_INVERSION)
WINDOWS = {  # from black to white: in MR up to so many times the signal of white matter, in CT in HU
    s.name: (0, SHOWN[s.name] * abs(float(s.signals(magnetic(3.0))[WHITE]))) for s in SEQUENCES
} | {"CT": (0, 80), "blood": (0, 100), "subdural": (-20, 180), "bone": (-600, 1800)}  # fmt: skip
PARTS = {2: style.GREEN, 4: style.ORANGE, 1: style.BLUE}  # oedema, enhancing rim, core


def slab(z_mm, square=False):
    """One axial slice of voxels at a height of the template, as high in this smaller head."""
    shape = (round((229 if square else 187) / MM), round(229 / MM), 1)
    return Grid(shape, (MM,) * 3, (0.0, -17.0, 12 + SIZE * (z_mm - 12)))


def trimmed(image):
    """A CT is reconstructed on a square: without the air on both sides of the head."""
    cut = round(21 / 229 * image.shape[0]) if image.shape[0] == image.shape[1] else 0
    return image[cut : image.shape[0] - cut]


def panel(title, image, window, **more):
    return Panel(title, trimmed(image), WINDOWS.get(window, window), **more)


def painted(label):
    return {colour: trimmed(label == value) for value, colour in PARTS.items()}


def scan(subject, sequence):
    return mr_image(subject, sequence, seed)


person = draw_person(seed, 50.0)
HIGH, LOW = (lesions.draw_glioma(37, grade, spacing_mm=GROWN_MM) for grade in ("high", "low"))
PLAQUES = lesions.draw_plaques(6, count=40)
LENS = lesions.EpiduralHaematoma("left", 0.0, 12.0, thickness_mm=18.0, inner_radius_mm=55.0)
CRACK = lesions.LinearFracture("left", 10.0, 14.0, heading_deg=90.0, width_mm=2.0)
glioma = draw_subject(person, slab(HIGH.origin_mm[2]), [HIGH])
sclerosis = draw_subject(person, slab(23.0), [PLAQUES])
injured = ct_image(draw_subject(person, slab(14.0, square=True), [LENS, CRACK]), seed)
first_picture = [
    panel("glioma\nT1 with contrast agent", scan(glioma, T1_CONTRAST), "T1ce"),
    panel("multiple sclerosis\nFLAIR", scan(sclerosis, FLAIR), "FLAIR"),
    panel("bleed below the skull\nCT, 0 to 80 HU", injured, "CT"),
    panel("fracture above it\nthe same CT, bone window", injured, "bone"),
]
show(
    sheet(first_picture),
    caption="One synthetic head with four diseases, each in the image in which it is read: a ring that took up contrast agent, white spots beside the ventricles, a white lens under "
    "the bone, and a gap in the bone above the lens.",
    alt="Four axial slices of a head: bright ring at the back; small bright spots in white matter; white lens at the left side of the skull in CT; the same slice with bone only and a gap",
)

# %% [markdown]
# All heads, lesions and scans on this page are {term}`synthetic <synthetic data>`: computed from known tissues, as the last lesson showed. The patient's right is on your left. Nothing here is a rule for patients.
#
# ## Four images, one head
#
# A reader looks at a brain in T1, T2, {term}`FLAIR` or CT and knows at once which it is. The eye compares greys of a few tissues. What a screen shows of a value $v$ (a signal, or a number in HU) depends on
# the {term}`window` of level $L$ and width $W$:
#
# $$ g = \min\!\Big(1, \max\!\Big(0,\; \frac{v - L}{W} + \frac12 \Big)\Big), $$ (lesions-window)
#
# black at 0 and white at 1. The values come from the equations of the physics lessons:

# %%
relaxation = magnetic(3.0)  # T1, T2, T2* and proton density of each tissue at 3 T
numbers_hu = dict(zip(TISSUES, hounsfield(), strict=True))  # behind a head, at 120 kV


def relative(sequence):
    """The signal of each tissue in units of white matter's."""
    signals = sequence.signals(relaxation)
    return dict(zip(TISSUES, (signals / signals[WHITE]).abs().tolist(), strict=True))


def grey(value, window):
    """Equation (lesions-window), with the window given by its two ends."""
    low, high = window
    level, width = (low + high) / 2, high - low
    return min(1.0, max(0.0, (value - level) / width + 0.5))


signal = {s.name: relative(s) for s in (T1, T1_CONTRAST, T2, FLAIR)}

# %% [markdown]
# **Predict.** Fluid, white matter, grey matter: which is the brightest in T1, in T2, in FLAIR and in CT? And which of the four shows fat black?

# %% tags=["hide-input"]
healthy = draw_subject(person, slab(10.0, square=True))
NAMES = {
    "fluid": "outer csf", "white matter": "white matter", "grey matter": "grey matter", "fat": "fat", "bone": "inner table",
    "oedema": "oedema", "enhancing rim": "enhancing tumour", "core": "tumour core", "plaque": "plaque", "fresh clot": "clot",
}  # fmt: skip
ROWS = {s.name: (scan(healthy, s), signal[s.name], (0, SHOWN[s.name]), "{:.2f}") for s in (T1, T2, FLAIR)}  # fmt: skip
ROWS["CT"] = (ct_image(healthy, seed), numbers_hu, WINDOWS["CT"], "{:,.0f}")
figure, axes = plt.subplots(4, 2, figsize=(5.6, 10.6), width_ratios=(1, 0.9))
for (ax, key), (name, (image, values, window, form)) in zip(axes, ROWS.items(), strict=True):
    draw_panel(ax, panel(name, image, name))
    for row, (shown, tissue) in enumerate(NAMES.items()):
        shade, number = str(grey(values[tissue], window)), form.format(values[tissue])
        key.add_patch(Rectangle((0, -row), 1, 0.8, facecolor=shade, edgecolor=style.MUTED))
        key.text(1.2, 0.4 - row, shown, va="center", fontsize=9.5)
        key.text(5.4, 0.4 - row, number.replace("-", "−"), va="center", ha="right", fontsize=9.5)  # fmt: skip
    key.set(xlim=(0, 5.5), ylim=(-9.4, 1.2))
    key.set_axis_off()
show(
    figure,
    caption="One healthy synthetic head in four images, and how each tissue looks in them: the swatch in the window of the picture, and the signal relative to white matter (in CT the number in HU). The last five tissues are diseased.",
    alt="Four rows: T1, T2, FLAIR and CT of one slice, each beside a key of ten grey swatches with numbers",
)
table(
    ["tissue", "T1", "T1 + contrast", "T2", "FLAIR", "CT (HU)"],
    [[n, *(f"{signal[s][t]:.2f}" for s in signal), f"{numbers_hu[t]:,.0f}"] for n, t in NAMES.items()],
    caption="Computed from the signal equations at 3 T, white matter = 1, and from the attenuation at 120 kV. Relaxation times of diseased tissues are round numbers.",
)  # fmt: skip
for name, low, high in (("T2", 3, 4.5), ("FLAIR", 0, 0.05)):
    run.record(f"lesions_fluid_{name}", signal[name]["outer csf"], low=low, high=high, digits=2)
run.record("lesions_oedema_flair", signal["FLAIR"]["oedema"], low=1.7, high=2.4, digits=1)
fluid_hu, clot_hu = numbers_hu["outer csf"], numbers_hu["clot"]
run.record("lesions_clot_hu", clot_hu, low=60, high=85, unit="HU", digits=0)
run.record("lesions_white_hu", numbers_hu["white matter"], low=25, high=36, unit="HU", digits=0)

# %% [markdown]
# Three looks settle it. *The ventricles*: white in T2, black in FLAIR, dark in T1 and in CT. *The cortex against the white matter below it*: darker in T1, brighter in T2 and FLAIR, hardly different in CT. *The skull*: white in CT, black in all MR images,
# where the white line outside it is fat.
#
# The physics behind it is short. T1 weighting favours what recovers quickly: fat, then white matter. T2 weighting favours what decays slowly: fluid, {glue:text}`lesions_fluid_T2` times white matter. FLAIR is T2-weighted and has nulled the fluid ({glue:text}`lesions_fluid_FLAIR`).
# Almost every disease of the brain brings water into tissue and lengthens both times, so it is a little dark in T1 and bright in T2; FLAIR takes away the only
# healthy thing that is as bright, the fluid. That is why lesions are searched for in FLAIR: oedema has {glue:text}`lesions_oedema_flair` times the signal of white matter there. CT sees density and heavy atoms: water makes tissue
# darker, clotted blood is brighter ({glue:text}`lesions_clot_hu` against {glue:text}`lesions_white_hu`).
#
# ## Gliomas: rim, core and oedema
#
# {term}`Gliomas <glioma>` come from the glial cells that feed and insulate neurons. They have no capsule: cells wander into the brain around them. The World Health Organization grades them I to IV; I and II are called low, III and IV high grade, and IV, the glioblastoma, is
# the most frequent malignant tumour of the brain (thesis, section 2.3 {cite}`thesis`). What images show are three parts:
#
# - {term}`oedema`: water in the tissue around the tumour, with tumour cells in it. White matter, whose fibres part easily, takes it up; the cortex is mostly spared. So it has fingers.
# - the *enhancing rim*: living, densely packed tumour. Its new vessels leak, for their {term}`blood–brain barrier` is broken, and contrast agent gets out.
# - the *core*: cells that have outgrown their blood supply and die ({term}`necrosis`), half fluid. In low grades it is tissue full of tumour cells that does not enhance.
#
# Why does leaked gadolinium shine in T1? Its unpaired electrons speed up the {term}`relaxation` of the water around it. Rates add up, with the relaxivity $r_1$ and the concentration $c$:
#
# $$ \frac{1}{T_1'} = \frac{1}{T_1} + r_1\, c. $$ (lesions-relaxivity)

# %%
tumour = {key: values[TISSUES.index("enhancing tumour")] for key, values in relaxation.items()}


def with_gadolinium(mmol_per_l):
    """T1 of the tumour in ms, and its signal in the T1-weighted sequence."""
    t1 = 1 / (1 / tumour["t1_ms"] + R1_PER_MM_S * mmol_per_l / 1000)  # (lesions-relaxivity)
    t2_star = 1 / (1 / tumour["t2_star_ms"] + R2_PER_MM_S * mmol_per_l / 1000)
    times = {"echo_time_ms": 4.0, "repetition_time_ms": 25.0, "flip_angle_deg": 28.0}
    return t1, spoiled_gradient_echo_signal(tumour["proton_density"], t1, t2_star, **times)


t1_leaky, signal_leaky = with_gadolinium(0.6)  # 60 % of the 1 mmol/l in blood
library = T1_CONTRAST.signals(relaxation)[TISSUES.index("enhancing tumour")]
torch.testing.assert_close(signal_leaky, library)

# %% [markdown]
# **Predict.** Here is one high-grade and one low-grade glioma, started from the same place in the same synthetic head. In which rows can you outline the left one? And the right one? What else than tumour will be white in the second row?

# %% tags=["hide-input"]
run.record("lesions_t1_before", tumour["t1_ms"], low=1500, high=2100, unit="ms", digits=0)
run.record("lesions_t1_after", t1_leaky, low=280, high=450, unit="ms", digits=0)
run.record("lesions_enhanced", signal_leaky / with_gadolinium(0.0)[1], low=2.5, high=4.5, digits=1)  # fmt: skip
low_grade = draw_subject(person, slab(HIGH.origin_mm[2]), [LOW])
pair_of = {"high grade": glioma, "low grade": low_grade}
labels = {name: subject.labels(lesions.GLIOMA_LABELS) for name, subject in pair_of.items()}
inside = {name: brain_mask(subject) for name, subject in pair_of.items()}
stripped = [
    panel(f"{name}, {s.name}", scan(subject, s) * inside[name], s.name)
    for s in (T1, T1_CONTRAST, T2, FLAIR)
    for name, subject in pair_of.items()
]
for name, below in zip(pair_of, stripped[:2], strict=True):
    stripped.append(replace(below, title=f"{name}, the truth", masks=painted(labels[name])))
show(
    sheet(stripped),
    caption="Two synthetic gliomas from one place, skull-stripped as in BraTS. Green: oedema; orange: enhancing rim; blue: core. High grade: core, rim and fingers of oedema. Low grade: bright in T2 and FLAIR, faint in T1, and nothing takes up contrast agent.",
    alt="Five rows by two columns: T1, T1 with contrast, T2, FLAIR and coloured labels of a high-grade and a low-grade glioma at the back of the right hemisphere",
)

# %% [markdown]
# The rim's $T_1$ falls from {glue:text}`lesions_t1_before` to {glue:text}`lesions_t1_after`, and its signal grows {glue:text}`lesions_enhanced` times. Vessels, the great veins in the folds of the dura and the dura itself have no such barrier and are white in every head: contrast agent marks leaks and blood, not malignancy.
# The two sequences are read together: what is bright in T1ce *and was not in T1* has enhanced.
#
# **The labels.** BraTS {cite}`menze2015` gives each voxel one of four numbers, and scores three nested regions. We call them by its names:
#
# | value | part | in the whole tumour | in the tumour core | in the enhancing tumour |
# | --- | --- | --- | --- | --- |
# | 0 | everything else | | | |
# | 1 | necrotic and non-enhancing core | yes | yes | |
# | 2 | oedema, with the cells in it | yes | | |
# | 4 | enhancing tumour | yes | yes | yes |
#
# There is no 3: it was merged into 1 in 2017, and since 2023 the files call the enhancing tumour 3. Code that treats labels as consecutive numbers, or averages them, fails here.

# %%
NESTED = {"whole tumour": (1, 2, 4), "tumour core": (1, 4), "enhancing tumour": (4,)}


def region(label, name):
    """A region of BraTS as a mask, from a map with the values 0, 1, 2 and 4."""
    return torch.isin(label, torch.tensor(NESTED[name], dtype=label.dtype))


for label in labels.values():
    whole, core, enhancing = (region(label, name) for name in NESTED)
    assert bool((whole | ~core).all()) and bool((core | ~enhancing).all()), "they are nested"

# %% [markdown]
# ## How a glioma grows
#
# Our tumours are grown, not painted. Let $u$ be the density of tumour cells as a share of what a place can hold. Cells wander with a diffusivity $D$ (mm² a year) and divide at a rate $\rho$ (a year), until the place is full:
#
# $$ \frac{\partial u}{\partial t} = \nabla\cdot(D\, \nabla u) + \rho\, u\, (1 - u). $$ (lesions-fisher)
#
# Fisher wrote this equation for the spread of a gene {cite}`fisher1937`; for gliomas it was used with a larger $D$ in white matter, along whose fibres cells travel, than in grey {cite}`swanson2000`. `medlab` takes wandering and dividing in turns: half a division, solved exactly, one step of diffusion, half a
# division. In one dimension that is:


# %%
def grow_by_hand(cells, diffusivity, rho, years, spacing_mm, steps):
    """Equation (lesions-fisher) on a line (N,), with the same D everywhere."""
    stays = math.exp(-rho * years / steps / 2)
    passes = diffusivity * years / steps / spacing_mm**2  # of a difference, in one step
    for _ in range(steps):
        cells = cells / (cells + (1 - cells) * stays)  # half a division
        flow = passes * cells.diff()
        cells[:-1] += flow
        cells[1:] -= flow
        cells = cells / (cells + (1 - cells) * stays)
    return cells


even = torch.full((200, 1, 1), 20.0)
first = torch.zeros(200, 1, 1)
first[:10] = 1.0
library = grow(first, even, rho=5.0, days=2 * DAYS_PER_YEAR, spacing_mm=0.5)
by_hand = grow_by_hand(first.flatten(), 20.0, 5.0, 2.0, 0.5, steps=3000)
torch.testing.assert_close(library.flatten(), by_hand, atol=5e-3, rtol=0)

# %% [markdown]
# What comes out is a front that runs at a constant speed and keeps its shape. Far ahead of it $u$ is small, so $u(1-u) \approx u$; an exponential tail $e^{-\lambda x}$ that moves at the speed $v$ needs $v = D\lambda + \rho/\lambda$, and the slowest such speed,
# at $\lambda = \sqrt{\rho/D}$, is the one that a small tumour takes up:
#
# $$ v = 2\sqrt{\rho D}. $$ (lesions-speed)
#
# **Predict.** A cell divides twice as fast: how much faster does the front advance? And how much slower is it in grey matter, where $D$ is a seventh?

# %% tags=["hide-input"]
CASES = {  # D in mm² a year, rho in 1/year: near the middle of what draw_glioma draws
    "high grade, white matter": (25.0, 6.0, style.ORANGE),
    "high grade, grey matter": (25.0 / 7, 6.0, style.GOLD),
    "low grade, white matter": (0.9, 1.1, style.BLUE),
}
speeds = {}
figure, ax = plt.subplots(figsize=(5.6, 3.6))
for name, (diffusivity, rho, colour) in CASES.items():
    theory, length = 2 * math.sqrt(rho * diffusivity), math.sqrt(diffusivity / rho)
    medium = torch.full((280, 1, 1), diffusivity)  # in voxels of a quarter of this length
    cells = (torch.arange(280) < 12).float()[:, None, None]
    years, held = np.arange(25) / rho, []
    for _ in years:
        held.append(float(cells.sum()) * length / 4)  # it grows by what the front advances
        cells = grow(cells, medium, rho, DAYS_PER_YEAR / rho, length / 4)
    speeds[name] = (held[24] - held[16]) / (years[24] - years[16])
    ax.plot(years, np.array(held) - held[0], "o", color=colour, label=name, markersize=4)
    ax.plot(years, theory * years, ":", color=colour)
ax.set(xlabel="years", ylabel="front has advanced (mm)", xlim=(0, 4), ylim=(0, 80))
ax.legend()
show(
    figure,
    caption="Fronts in even tissue, computed (dots) and by the formula (dotted). The computed ones start slower, because the tail ahead of them has to form first.",
    alt="Three straight lines of dots below their dotted theory lines: about 80 mm in 4 years, 30 mm, and 5 mm",
)
fast, slow, low_speed = speeds.values()
run.record("lesions_speed_theory", 2 * math.sqrt(25 * 6), low=24, high=25, unit="mm", digits=1)
run.record("lesions_speed_high", fast, low=22.8, high=24.5, unit="mm", digits=1)
run.record("lesions_speed_low", low_speed, low=1.8, high=2.0, unit="mm", digits=1)
run.record("lesions_speed_ratio", fast / slow, low=2.5, high=2.8, digits=2)

# %% [markdown]
# The front reaches {glue:text}`lesions_speed_high` a year of the {glue:text}`lesions_speed_theory` that the formula gives, and approaches it from below, ever more slowly {cite}`bramson1983`. The low-grade one makes {glue:text}`lesions_speed_low` a year: in patients the mean *diameter* of such
# tumours grew by about 4 mm a year {cite}`mandonnet2003`, which is 2 mm on each side, and our numbers were chosen to fit. Both rates count the same: four times the division or four times the wandering doubles the speed. In grey matter it is slower by a factor of {glue:text}`lesions_speed_ratio`, about $\sqrt 7$.
#
# In the head there is no even tissue. Fluid, dura and bone stop cells, and the tumour pushes the brain aside ({term}`mass effect`). Let the high-grade one grow, day by day:

# %% tags=["hide-input"]
grown = HIGH.cells
days = [round(grown.days * share / 10) * 10 for share in (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)]
ticks = [torch.arange(n) * GROWN_MM + float(grown.affine[a, 3]) for a, n in enumerate(grown.density.shape)]  # fmt: skip
last_box = torch.stack(torch.meshgrid(*ticks, indexing="ij"), -1).float()


@cache
def stage(day):
    """The tumour after so many days. Its box is that of the last one, so that uneven borders stay in place."""
    lesion = replace(HIGH, volume_ml=None, days=float(day), push_mm=HIGH.push_mm * day / days[-1])  # fmt: skip
    density = sample(lesion.cells.density[None], lesion.cells.affine, last_box, outside="zeros")[0]  # fmt: skip
    vars(lesion)["cells"] = replace(grown, density=density, days=float(day))
    return lesion


def radius_mm(day):
    """Of a ball as large as what T2 shows of the tumour."""
    return (0.75 * 1000 * stage(day).cells.volume_ml(0.16) / math.pi) ** (1 / 3)


radii = {day: radius_mm(day) for day in run.pick(ci=days[::5], cpu=days, gpu=days)}


def draw_growth(day):
    subject = draw_subject(person, slab(HIGH.origin_mm[2]), [stage(day)])
    t1ce = panel(f"T1ce, day {day}", scan(subject, T1_CONTRAST), "T1ce")
    flair = panel("FLAIR", scan(subject, FLAIR), "FLAIR")
    truth = replace(flair, title="the truth", masks=painted(subject.labels(lesions.GLIOMA_LABELS)))  # fmt: skip
    return sheet([t1ce, flair, panel("T2", scan(subject, T2), "T2"), truth])


explore(
    draw_growth,
    caption="A synthetic high-grade glioma. Green: oedema; orange: enhancing rim; blue: core.",
    alt=lambda day: (
        f"Day {day}: T1 with contrast, FLAIR, T2, labels; radius {radius_mm(day):.0f} mm"
    ),
    labels={"day": "days since the first cells"},
    start={"day": days[-1]},
    day=days,
)

# %% tags=["hide-input"]
first_day, last_day = min(radii), max(radii)
promised = 2 * math.sqrt(HIGH.diffusivity * HIGH.proliferation)
measured = (radii[last_day] - radii[first_day]) / (last_day - first_day) * DAYS_PER_YEAR
run.record("lesions_head_theory", promised, low=12, high=25, unit="mm", digits=0)
run.record("lesions_head_speed", measured, low=0.4 * promised, high=promised, unit="mm", digits=0)  # fmt: skip

model, points = head_model(GROWN_MM), model_points(GROWN_MM)
near = (points - torch.tensor(HIGH.origin_mm)).norm(dim=-1) < radii[last_day] + 5
taken = HIGH.cells.at(points) > 0.16
there = {name: near & (model.share(f"{name} matter") > 0.8) for name in ("white", "grey")}
reached = {name: 100 * float((taken & mask).sum() / mask.sum()) for name, mask in there.items()}
run.record("lesions_reached_white", reached["white"], low=50, high=100, unit="%", digits=0)
run.record(
    "lesions_reached_grey", reached["grey"], low=10, high=0.9 * reached["white"], unit="%", digits=0
)  # fmt: skip

# %% [markdown]
# Watch three things. The core and the rim appear late: a tumour that T1ce does not show yet can be large in FLAIR. The outline is no ball: within 5 mm more than its radius it has reached {glue:text}`lesions_reached_white` of the white matter and {glue:text}`lesions_reached_grey` of the grey. And its radius grows by {glue:text}`lesions_head_speed` a
# year where equation {eq}`lesions-speed` promises {glue:text}`lesions_head_theory` in white matter: obstacles and slower tissue cost the rest. Furrows beside it close and the cortex is pushed away. (The push is drawn along the gradient of the density, with a strength that we chose; it is no mechanics.)
#
# ## Bleeds and broken bones
#
# Blood in the skull is named after the layers that hold it. From outside: bone, dura, arachnoid, fluid, brain, ventricles.
#
# | bleed | where | shape, and what bounds it |
# | --- | --- | --- |
# | epidural | between bone and dura | a lens: dura is peeled off the bone under arterial pressure, and at the sutures it holds fast |
# | subdural | between dura and arachnoid | a crescent over a whole hemisphere: crosses sutures, stops at the falx in the midline |
# | subarachnoid | in the fluid, between arachnoid and brain | takes the shape of furrows and cisterns; mixed with fluid |
# | intraparenchymal | in the tissue of the brain | an uneven ball with a rim of oedema, deep after high blood pressure |
# | intraventricular | in the ventricles | sinks to the back of a lying patient: a level |
#
# The first two are *extra-axial*, outside the brain; they push it as a whole. Fresh blood needs no contrast agent: it is dense by itself, for clotting presses out serum and leaves protein.
#
# **Predict.** In the brain window, 0 to 80 HU, can you tell a thin crescent of blood from the bone that it lies on? Which window would part them, and which one shows a fracture?

# %% tags=["hide-input"]
KINDS = ("epidural", "subdural", "intraparenchymal", "subarachnoid", "intraventricular")
SCAN_Z = {"subdural": 16, "intraventricular": 10, "sylvian fissure": -4, "basal cisterns": -16, "sulci": 52}  # fmt: skip


def middle_of(lesion):
    """The height in template coordinates at which to cut."""
    found = lesion.finding()
    place = getattr(lesion, "wall", getattr(lesion, "centre", None))  # of a lens or a ball
    return SCAN_Z[found.get("region", found["kind"])] if place is None else float(place[2])


@cache
def bleeding_head(kind, n):
    """A synthetic person with one bleed, scanned in a few slices of 2.5 mm through its middle."""
    lesion = lesions.draw_haemorrhage(n, kind)
    size, count = run.pick(ci=(112, 1), cpu=(176, 3), gpu=(256, 5))
    middle = (0.0, -17.0, 12 + SIZE * (middle_of(lesion) - 12))
    grid = Grid((size, size, count), (229 / size, 229 / size, 2.5), middle)
    subject = draw_subject(draw_person(100 + n, 30.0 + 7 * (n % 8)), grid, [lesion])
    parts = {"clot": subject.share("clot"), "inside": brain_mask(subject)}
    return SimpleNamespace(ct=ct_image(subject, n), subject=subject, lesion=lesion, **parts)


# %% tags=["hide-input"]
ONE = dict.fromkeys(KINDS, seed + 1) | {"subdural": seed + run.pick(ci=1, cpu=2, gpu=2)}  # of each kind  # fmt: skip
one = {kind: bleeding_head(kind, n) for kind, n in ONE.items() if kind != "epidural"}
crescent = one["subdural"]
dent = lesions.draw_fracture(3, "depressed")
dented = draw_subject(person, slab(float(dent.middle[2]), square=True), [dent])
bleeds = [
    panel("epidural, left\n0 to 100 HU", injured, "blood"),
    *(panel(f"{kind}, {one[kind].lesion.side}\n0 to 100 HU", one[kind].ct, "blood") for kind in KINDS[2:]),
    panel(f"subdural, {crescent.lesion.side}\nbrain window, 0 to 80 HU", crescent.ct, "CT"),
    panel("the same\nsubdural window, −20 to 180 HU", crescent.ct, "subdural"),
    panel("linear fracture, left\nbone window", injured, "bone"),
    panel(f"depressed fracture, {dent.side}\nbone window", ct_image(dented, seed), "bone"),
]  # fmt: skip
show(
    sheet(bleeds),
    caption="Five synthetic bleeds and two fractures in CT. The sides are those of the patient.",
    alt="Eight CT slices: white lens at the bone, white ball in the brain, thin white lines in cisterns, white level in a ventricle, a white crescent that merges with the bone in one window and not in the other, a gap and a dent in the skull",
)  # fmt: skip
for window in ("CT", "subdural"):
    white = 100 * grey(clot_hu, WINDOWS[window])
    run.record(f"lesions_white_{window}", white, low=30, high=100, unit="%", digits=0)
deep = one["intraparenchymal"]
run.record("lesions_inside_hu", deep.ct[deep.clot > 0.95].median(), low=55, high=80, unit="HU", digits=0)  # fmt: skip
for name, lesion in (("subdural", crescent.lesion), ("epidural", LENS)):
    run.record(f"lesions_shift_{name}", lesion.midline_shift_mm, low=0.5, high=8, unit="mm", digits=1)  # fmt: skip
    run.record(f"lesions_ml_{name}", lesion.mass_ml, low=10, high=160, unit="ml", digits=0)

# %% [markdown]
# In the brain window clot is shown at {glue:text}`lesions_white_CT` of white, beside bone at 100 %: they merge. In the subdural window it has {glue:text}`lesions_white_subdural`, and the crescent stands alone. Bone needs a window of its own, some 2,400 HU wide. The clot in the brain measures {glue:text}`lesions_inside_hu`, a few HU less than pure clot, because the reconstruction smooths it. The crescent of {glue:text}`lesions_ml_subdural` pushes the septum between the ventricles by {glue:text}`lesions_shift_subdural`, the thicker but smaller lens of {glue:text}`lesions_ml_epidural` by {glue:text}`lesions_shift_epidural`. This {term}`midline shift` is measured in every report: it says
# how much the rest of the brain has to give way. The skull is closed, so what enters must press something out {cite}`thesis`: first fluid, from the furrows and from the ventricle beside the clot.
#
# **Fractures** are *linear*, a line without displacement, or *depressed*, with a piece pushed in. A line that runs in the plane of the slices hardly shows, so one reads other planes too. Real skulls also have sutures, which look like cracks; ours have none.
#
# **Who says what is there?** CQ500 {cite}`chilamkurthy2018` has 491 head CTs. Three radiologists read each for bleeds and their kind, side, fractures, mass effect and midline shift, and the majority is taken as the truth. If each of them is right with
# probability $p$, independently, the majority is right with
#
# $$ P = p^3 + 3 p^2 (1 - p) = p^2\,(3 - 2p). $$ (lesions-majority)


# %%
def majority(p):
    """Equation (lesions-majority): how often at least two of three are right."""
    return p**2 * (3 - 2 * p)


three = torch.rand(100_000, 3, generator=run.fresh_generator(1)) < 0.9  # each right in 9 of 10
assert abs(float((three.sum(1) >= 2).float().mean()) - majority(0.9)) < 0.005
misled = 0.05  # of all scans: there nobody can be right; elsewhere each is right in 0.9 / 0.95
right_together = (1 - misled) * majority(0.9 / (1 - misled))

# %% tags=["hide-input"]
run.record("lesions_majority", 100 * majority(0.9), low=96.5, high=97.9, unit="%", digits=1)
run.record("lesions_misled", 100 * right_together, low=93.5, high=95, unit="%", digits=1)

# %% [markdown]
# Three readers who are right in 90 % make a majority that is right in {glue:text}`lesions_majority`. But if half of their errors have a common cause, a bleed that cannot be seen on the scan, it is right in {glue:text}`lesions_misled` only: no vote repairs what nobody saw. In the thesis, each of the three agreed with the majority with an area under the ROC curve of 0.88 to
# 0.99 {cite}`thesis`. The majority contains the rater's own vote, so these numbers are kind. A network cannot be shown to be better than its truth; in synthetic data the truth has no raters.
#
# ## Plaques of multiple sclerosis
#
# In multiple sclerosis the immune system attacks {term}`myelin`, in many places and at many times. A {term}`plaque` is what remains: white matter without insulation, with more water. The criteria for the diagnosis name three
# places in the brain {cite}`thompson2018`: beside a ventricle, at the cortex and below the tentorium. Ours also lie elsewhere in white matter. Those beside the ventricles are oval and stand on their wall, along small veins.

# %% tags=["hide-input"]
side_view = Grid((1, round(229 / MM), round(180 / MM)), (MM,) * 3, (-17.0 * SIZE, -17.0, 12.0))
from_side = scan(draw_subject(person, side_view, [PLAQUES]), FLAIR)
views = [
    panel("FLAIR", scan(sclerosis, FLAIR), "FLAIR"),
    panel("T1", scan(sclerosis, T1), "T1"),
    Panel("FLAIR, from the left", from_side, WINDOWS["FLAIR"], plane="sagittal"),
    panel("CT", ct_image(sclerosis, seed, reconstructed=False), "CT"),
]
show(
    sheet(views),
    caption="One synthetic person with 40 plaques. In FLAIR they are the brightest thing in the brain, in T1 a little darker than white matter, and in CT hardly there. From the side they stand on the wall of the ventricle.",
    alt="Axial FLAIR with bright spots beside the ventricles, the same slice in T1 with faint dark spots and in CT without visible spots, and a sagittal FLAIR with spots around the ventricle",
)

# %% [markdown]
# How strongly a plaque stands out is measured by the lesion contrast ratio, its mean signal over that of the white matter that looks normal {cite}`translationreview`,
#
# $$ r = \frac{1}{N} \sum_{i=1}^{N} \frac{\bar I_i(\text{plaques})}{\bar I_i(\text{white matter})}, $$ (lesions-ratio)
#
# over $N$ people. We take three synthetic cohorts, each from its own seed.

# %%
seeds = range(seed, seed + 3)
few = run.pick(ci=1, cpu=3, gpu=10)
block = Grid((88, 108, run.pick(ci=4, cpu=14, gpu=40)), (2.0,) * 3, (0.0, -17.0, 21.0))
plaques = {(n, i): FlairCohort(few, block, n)[i] for n in seeds for i in range(few)}


def contrast_ratio(sample, name):
    """One term of equation (lesions-ratio)."""
    image = sample.channel(name)
    return float(image[sample.label == 2].mean() / image[sample.label == 1].mean())


ratio = {n: [contrast_ratio(s, n) for s in plaques.values()] for n in FlairCohort.channels}

# %% tags=["hide-input"]
bands = {"T1": (0.8, 0.99), "T2": (1.4, 2.2), "PD": (1.0, 1.3), "FLAIR": (1.3, 1.8)}
for name, (low, high) in bands.items():
    interval = mean_interval(ratio[name])
    run.record(f"lesions_ratio_{name}", interval.mean, low=low, high=high, digits=2)
    run.record(f"lesions_ratio_{name}_half", interval.half, low=0.001, high=0.4, digits=2)

# %% [markdown]
# In FLAIR plaques have {glue:text}`lesions_ratio_FLAIR` ± {glue:text}`lesions_ratio_FLAIR_half` times the signal of white matter, in T2 {glue:text}`lesions_ratio_T2` ± {glue:text}`lesions_ratio_T2_half`, in T1 {glue:text}`lesions_ratio_T1` ± {glue:text}`lesions_ratio_T1_half` and in a density-weighted image {glue:text}`lesions_ratio_PD` ± {glue:text}`lesions_ratio_PD_half` (mean and 95 % interval over the synthetic people). In FLAIR, T2 and T1 that is nearer to 1 than
# the pure plaque of the first table: voxels at the border hold white matter too, and a small plaque is all border. T2 has the largest ratio, and yet plaques are looked for in FLAIR. Those beside a ventricle are the reason: in T2 they melt into the white fluid.
#
# ## Every cohort at a glance
#
# Each data set of this book has a synthetic stand-in. Here are all of them, one or two people each. The functions that open them (`open_brats` and so on) read the real data instead where `data_root` says where they lie.
#
# **Predict.** Cover the titles. Name sequence or modality of each panel, and say which age, disease or defect it shows.

# %% tags=["hide-input"]
axial, truth = slab(14.0), ListedColormap(["black", style.BLUE, style.MUTED, "#efe9d9"])


# Always of seed 0: who has what, and where, was looked up.
sick = open_brats(subjects=2, grid=slab(18.0))[1]
ct = open_cq500(grid=slab(5.0, square=True))[56].channel("CT")
babies = open_dhcp(subjects=4, grid=Grid((round(187 / MM), round(215 / MM), 1), (0.7 * MM,) * 3))  # fmt: skip
adult = open_ixi(subjects=1, grid=axial, channels=("T1", "T2", "PD"))[0]
infant = open_iseg(subjects=1, grid=axial)[0]
aged = open_mrbrains(subjects=1, grid=Grid(axial.shape, (MM, MM, 3 * MM), axial.centre_mm))[0]
bones = panel("CQ500: bone", ct, "bone")
gallery = panels_of(sick, "BraTS", WINDOWS)
gallery += [replace(gallery[0], title="BraTS: labels", masks=painted(sick.label), opacity=1.0)]
gallery += [replace(bones, title="CQ500: CT", window=(-20, 120))]
for baby in (babies[2], babies[3]):
    gallery += panels_of(baby, f"dHCP, {baby.facts['age_weeks']:.0f} weeks")
gallery += [bones, *panels_of(adult, "IXI", WINDOWS), *panels_of(infant, "iSEG")]
gallery += [panel("iSEG: labels", infant.label, (0, 3), cmap=truth, smooth=False)]
gallery += panels_of(aged, "MRBrainS", WINDOWS)
show(
    sheet(gallery, columns=3, width_inches=2.0),
    caption="The cohorts that stand in for public data sets, all synthetic. BraTS is skull-stripped; CQ500 in two windows; dHCP shows a preterm and a term baby, with few folds and with many; in iSEG, at six months, grey and white matter look alike; MRBrainS has a strong bias field and thick slices.",
    alt="Eighteen panels: BraTS in four sequences and labels, a CT with a bleed in two windows, two neonates, IXI in T1, T2 and PD, iSEG T1, T2 and labels, MRBrainS T1, T1-IR and FLAIR",
)


# %% tags=["hide-input"]
moved = MrCtCohort(1, axial, misalignment_mm=6.0)[0]
frontal = Grid((axial.shape[0], 1, round(180 / MM)), (MM,) * 3, (0.0, -17.0, 12.0))
pair = draw_pair(seed, frontal)
shift_mm = torch.where(pair.fixed_label > 0, pair.displacement_mm.norm(dim=0), torch.nan)
heard = measure_kspace(healthy, 0, seed, factor=4.0)
spectrum = (heard.kspace[0].abs() + 1e-6).log10()[..., None]
filled = combine(to_image(heard.kspace), heard.sensitivities).abs()[..., None]
coarse = low_resolution(Volume(pair.fixed, frontal.affine, "fixed"), max(2, round(6 / MM)))
fixed = Panel("registration: fixed", pair.fixed[0], WINDOWS["T1"], plane="coronal", spacing=frontal.spacing_mm)  # fmt: skip
blocky = replace(fixed, image=coarse.data[0], spacing=coarse.spacing, smooth=False)
gallery = panels_of(moved, "MR–CT", WINDOWS)
gallery += panels_of(FlairCohort(7, slab(17.0))[6], "FLAIR task", WINDOWS)
gallery += panels_of(MrPetCohort(2, slab(26.0))[1], "MR–PET")
gallery[-1] = replace(gallery[-1], cmap="inferno")
gallery += [
    fixed,
    replace(fixed, title="registration: moving", image=pair.moving[0]),
    replace(fixed, title="true shift, 0–12 mm", image=shift_mm, window=(0, 12), cmap="viridis"),
    panel("k-space, measured", spectrum - spectrum.max(), (-4, 0), sides=False),
    panel("gaps left at zero", filled, "T2"),
    panel("all lines", heard.target.abs()[..., None], "T2"),
    replace(fixed, title="fine slices"),
    replace(blocky, title=f"slices of {coarse.spacing[2]:.0f} mm"),
]
show(
    sheet(gallery, columns=3, width_inches=2.0),
    caption="The cohorts for translation, registration and reconstruction, all synthetic: T1 and a CT that lies elsewhere; four sequences of a person with plaques; maps of magnetisation transfer and anisotropy with a PET of myelin; two heads and the true shift between them; undersampled k-space and its image; a head in fine and in thick slices.",
    alt="Seventeen panels: T1 and CT; T1, T2, PD, FLAIR with spots; two grey maps and a blurred coloured PET; two coronal T1 slices and a map of shifts; k-space with missing lines, a blurred and a sharp T2; a fine and a blocky coronal slice",
)

# %% [markdown]
# If you hesitated: the neonates are T2, and their white matter is *brighter* than the cortex, since there is no myelin yet; CT in the brain window and PD look flat, but only CT has a white skull; the MTR map looks like a T1, and black fluid with dark spots in white matter gives it away.
#
# ## How lesions bend numbers
#
# Lesions are small, and a few are large. Both facts decide how a method looks on paper. We take three synthetic cohorts of gliomas, and the three with plaques from above, and count.

# %%
# NBVAL_CHECK_OUTPUT
per_cohort = run.pick(ci=1, cpu=5, gpu=20)
mm = run.pick(ci=4.0, cpu=3.0, gpu=2.0)
brain_grid = Grid((round(174 / mm), round(216 / mm), round(168 / mm)), (mm,) * 3)
tumours = {}
for n in seeds:
    cohort = open_brats(subjects=per_cohort, grid=brain_grid, seed=n)
    tumours |= {(n, i): sample for i, sample in enumerate(cohort)}
print("channels:", ", ".join(cohort.channels), "- labels:", sorted(cohort.label_names))

# %% [markdown]
# **Predict.** A program calls every voxel of a brain with a glioma healthy. What is its accuracy? Another one finds the larger half of a person's plaques, exactly, and none of the smaller half. What is its Dice?

# %% tags=["hide-input"]


def share_of(samples, value):
    """The percentage of the brain's voxels with a label, for each sample."""
    return [100 * float((s.label == value).sum() / s.mask.sum()) for s in samples.values()]


shares = {"oedema (2)": share_of(tumours, 2), "core (1)": share_of(tumours, 1)}
shares["enhancing tumour (4)"] = share_of(tumours, 4)
shares["whole tumour"] = [sum(parts) for parts in zip(*shares.values(), strict=True)]
shares["plaques"] = share_of(plaques, 2)
table(
    ["", "share of the brain's voxels"],
    [[name, f"{mean_interval(values).shown(2)} %"] for name, values in shares.items()],
    caption=f"Synthetic subjects, profile {run.profile.name}: {len(tumours)} with gliomas, {len(plaques)} with plaques (a block above the ventricles' floor), three seeds each; ± is the 95 % interval over subjects.",
)  # fmt: skip
people = [lesions.draw_plaques(1000 * n + k) for n in seeds for k in range(run.pick(ci=20, cpu=60, gpu=200))]  # fmt: skip
per_person = [np.sort([one.volume_ml for one in lesion.plaques]) for lesion in people]
smaller = np.array([100 * v[: len(v) // 2].sum() / v.sum() for v in per_person])
volumes = np.sort(np.concatenate(per_person))
growing = np.cumsum(volumes) / volumes.sum()
glioma_ml = [lesions.draw_glioma(1000 * n + k).volume_ml for n in seeds for k in range(200)]
figure, (left, right_) = plt.subplots(2, 1, figsize=(5.4, 6.4))
left.hist(glioma_ml, bins=np.arange(10, 190, 10), color=style.BLUE)
left.set(xlabel="volume of a glioma (ml)", ylabel="gliomas of 600")
right_.plot(np.linspace(0, 100, len(growing)), 100 * growing, color=style.ORANGE)
right_.set(xlabel="plaques, smallest first (%)", ylabel="of the plaque volume (%)")
show(
    figure,
    caption="Sizes in the synthetic cohorts. Top: many gliomas are small, few are very large (the largest drawn have 180 ml, so the last bar is a pile). Bottom: the smaller half of the plaques holds little of the volume.",
    alt="A histogram with a long right tail, and a curve that rises late",
)
larger = 1 - smaller.mean() / 100
heavy = 100 * (1 - np.searchsorted(growing, 0.5) / len(growing))
healthy_share, rim = (
    100 - np.mean(shares["whole tumour"]),
    np.mean(shares["enhancing tumour (4)"]),
)
run.record("lesions_accuracy", healthy_share, low=92, high=98.5, unit="%", digits=1)
run.record("lesions_share_rim", rim, low=0.2, high=1.5, unit="%", digits=1)
run.record("lesions_smaller", smaller.mean(), low=8, high=25, unit="%", digits=0)
run.record("lesions_smaller_half", mean_interval(smaller).half, low=0.1, high=4, unit="%", digits=0)  # fmt: skip
run.record("lesions_larger_dice", 2 * larger / (1 + larger), low=0.85, high=0.96, digits=2)
run.record("lesions_heavy", heavy, low=8, high=35, unit="%", digits=0)

# %% [markdown]
# **Accuracy is empty.** "All healthy" is right in {glue:text}`lesions_accuracy` of the voxels of a brain with a glioma. The enhancing rim, the part that a surgeon aims for, has {glue:text}`lesions_share_rim` of them, plaques still less. This {term}`class imbalance` is why segmentation is trained with losses such as Dice, which do not count true negatives, or on patches that are drawn from lesions.
#
# **Small ones fill the counts, large ones the volume.** The smaller half of a person's plaques holds {glue:text}`lesions_smaller` ± {glue:text}`lesions_smaller_half` of the volume; of all plaques the largest {glue:text}`lesions_heavy` hold half of it. The program that finds only the larger half misses every second lesion and has a Dice of {glue:text}`lesions_larger_dice`, for Dice
# counts voxels. A count of lesions says the opposite, and new small plaques are what a neurologist wants to know about. Report both.
#
# ## The experiment: how far does one threshold go?
#
# Before a network, try the simplest thing. Oedema, tumour and plaques are the brightest tissue in FLAIR; blood is the densest soft tissue in CT. So: divide the FLAIR by the median of the brain, and call lesion what is above $\theta$. In CT, what lies inside the skull and between $\theta$ and 100 HU (above lies
# the blur of the bone). The score is the {term}`Dice coefficient` with the truth,
#
# $$ \mathrm{Dice} = \frac{2\,|A \cap B|}{|A| + |B|}. $$ (lesions-dice)
#
# This is a serious baseline. On real FLAIR scans, after histogram equalisation and removal of specks, one threshold beat several networks that had been trained to find anomalies {cite}`meissen2021`. Its $\theta$ was the best for the very data on which it was scored. We report that, and the honest one: $\theta$ chosen on
# two of our three cohorts and scored on the third.


# %%
def dice(a, b):
    """Equation (lesions-dice)."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def flair_scores(sample, lesion):
    """Dice at each threshold, in units of the median of the brain."""
    image = sample.channel("FLAIR") / sample.channel("FLAIR")[sample.mask].median()
    return [dice((image > theta) & sample.mask, lesion) for theta in FLAIR_THETAS]


def marked_blood(head, theta_hu):
    return (head.ct > theta_hu) & (head.ct < 100) & head.inside


FLAIR_THETAS, HU_THETAS = np.arange(1.1, 2.0, 0.05), np.arange(40, 80, 2.5)

# %% [markdown]
# **Predict.** Which of the three will have the highest mean Dice, and which the lowest? Which of the five bleeds will the threshold miss?


# %% tags=["hide-input"]
def honest(found):
    """Dice of each subject at the threshold that is best for the subjects of the other seeds."""
    others = {n: [s for (m, _), s in found.items() if m != n] or list(found.values()) for n, _ in found}  # fmt: skip
    return {key: s[int(np.mean(others[key[0]], axis=0).argmax())] for key, s in found.items()}


from_seeds = run.pick(ci=seeds[1:2], cpu=seeds, gpu=seeds)
heads = {(n, kind): bleeding_head(kind, n) for n in from_seeds for kind in KINDS}
scores = {
    "gliomas": {key: flair_scores(s, s.label > 0) for key, s in tumours.items()},
    "plaques": {key: flair_scores(s, s.label == 2) for key, s in plaques.items()},
    "blood": {key: [dice(marked_blood(h, at), h.clot > 0.5) for at in HU_THETAS] for key, h in heads.items()},
}  # fmt: skip
honestly = {name: honest(found) for name, found in scores.items()}
chosen = {name: list(found.values()) for name, found in honestly.items()}
every = {name: np.array(list(found.values())) for name, found in scores.items()}  # people × thresholds  # fmt: skip
best = {name: int(curves.mean(0).argmax()) for name, curves in every.items()}
of_kind = {kind: [d for (_, other), d in honestly["blood"].items() if other == kind] for kind in KINDS}  # fmt: skip
tasks = {
    "gliomas": ("whole tumour in FLAIR", "0.74 (BraTS)"),
    "plaques": ("plaques in FLAIR", "0.37 to 0.61 (two data sets)"),
    "blood": ("blood in CT, all kinds", "–"),
}
means = {n: [mean_interval(d).shown(2) for d in (every[n][:, best[n]], chosen[n])] for n in tasks}  # fmt: skip
rows = [[*tasks[n], *(m.replace(" ", "&nbsp;") for m in means[n]), str(len(chosen[n]))] for n in tasks]  # fmt: skip
rows += [[f"&emsp;{k}", "–", "–", f"{min(d):.2f}–{max(d):.2f}", str(len(d))] for k, d in of_kind.items()]  # fmt: skip
table(
    ["task", "published, best θ", "best θ", "θ from other seeds", "people"],
    rows,
    caption=f"Dice, mean and 95 % interval over subjects of three seeds, and the range for each kind of bleed, all synthetic; profile {run.profile.name}. Published: Meissen et al. 2021, real scans, with histogram equalisation and specks removed, which we did not do.",
)  # fmt: skip
masks = {
    "gliomas": (brain_grid, [s.label > 0 for s in tumours.values()]),
    "plaques": (block, [s.label == 2 for s in plaques.values()]),
    "blood": (next(iter(heads.values())).subject.grid, [head.clot > 0.5 for head in heads.values()]),
}  # fmt: skip
figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.4, 6.8))
colours = {"gliomas": style.BLUE, "plaques": style.ORANGE, "blood": style.PINK}
for name, (grid, lesion) in masks.items():
    sizes = [float(mask.sum()) * math.prod(grid.spacing_mm) / 1000 for mask in lesion]
    bottom.plot(sizes, chosen[name], "o", color=colours[name], label=name)
    if name != "blood":
        top.plot(FLAIR_THETAS, every[name].T, color=colours[name], alpha=0.3, linewidth=0.8)
        top.plot(FLAIR_THETAS, every[name].mean(0), color=colours[name], linewidth=2.6, label=name)  # fmt: skip
top.set(xlabel="threshold in FLAIR (median of the brain = 1)", ylabel="Dice", ylim=(0, 1))
bottom.set(xlabel="volume of the lesion on the grid (ml)", ylabel="Dice", ylim=(0, 1), xscale="log")  # fmt: skip
top.legend()
bottom.legend()
show(
    figure,
    caption="Dice in synthetic subjects. Top: against the threshold in FLAIR; thin lines are subjects, thick ones means. Bottom: against the volume, one dot a subject, threshold from other seeds. In plaques and blood the low scores belong to small lesions.",
    alt="Top: two families of peaked curves near 1.4. Bottom: dots that rise from small to large lesions",
)  # fmt: skip
for name, low, high in (("gliomas", 0.75, 0.97), ("plaques", 0.2, 0.95), ("blood", 0.15, 0.8)):
    interval = mean_interval(chosen[name])
    run.record(f"lesions_dice_{name}", interval.mean, low=low, high=high, digits=2)
    run.record(f"lesions_dice_{name}_half", interval.half, low=0.005, high=0.6, digits=2)
for kind, low, high in (("subdural", 0.3, 0.95), ("subarachnoid", 0, 0.4)):
    run.record(f"lesions_dice_{kind}", np.mean(of_kind[kind]), low=low, high=high, digits=2)
theta_hu = float(HU_THETAS[best["blood"]])
wrong = [marked_blood(head, theta_hu) & (head.clot <= 0.5) for head in heads.values()]
voxel_ml = math.prod(masks["blood"][0].spacing_mm) / 1000
seam = np.mean([voxel_ml * float(mask.sum()) for mask in wrong])
peaks = FLAIR_THETAS[every["gliomas"].argmax(1)]
run.record("lesions_seam", seam, low=0.2, high=15, unit="ml", digits=1)
run.record("lesions_peak_low", peaks.min(), low=1.1, high=1.45, digits=2)
run.record("lesions_peak_high", peaks.max(), low=1.25, high=1.9, digits=2)
run.record("lesions_theta", FLAIR_THETAS[best["gliomas"]], low=1.2, high=1.6, digits=2)

# %% [markdown]
# **Gliomas.** One number, {glue:text}`lesions_theta` times the median, reaches a mean Dice of {glue:text}`lesions_dice_gliomas` ± {glue:text}`lesions_dice_gliomas_half`, more than the published 0.74. That is no success of the method. Our FLAIR has one signal for each tissue, a mild bias field and no other disease; people's scans come from
# many scanners, and the aged have bright white matter without any tumour. The synthetic test is easier, and now you know roughly by how much (the preparation differed too). A network that is proud of 0.9 here has done little. Look at the thin lines: the peaks of single subjects lie between {glue:text}`lesions_peak_low` and {glue:text}`lesions_peak_high`, and no one threshold can be at all of them.
#
# **Plaques** reach {glue:text}`lesions_dice_plaques` ± {glue:text}`lesions_dice_plaques_half`. They are nearly as bright as oedema; what changed is the size. A plaque of 6 mm is three voxels wide here, so most of its voxels lie at its border, and a few dozen false voxels, which a glioma would not notice, weigh as much as a plaque. The orange dots at the bottom say the same.
#
# **Blood** reaches {glue:text}`lesions_dice_blood` ± {glue:text}`lesions_dice_blood_half` over all kinds, but a mean over kinds means little: a thick crescent has {glue:text}`lesions_dice_subdural`, blood in the fluid {glue:text}`lesions_dice_subarachnoid`. That one is mixed with fluid at 6 HU, and half blood, half fluid has the number of brain; in thin furrows it fills less than
# half of a voxel, and even the true label is nearly empty. The other dots lie close to one curve. A voxel that is half bone, half fluid can have any number, so in every head the threshold marks a seam along the skull, of {glue:text}`lesions_seam` on average in our few slices. If all blood of volume $V$ is found and a seam $F$ is added, Dice is $2V/(2V + F)$: it tells how large the bleed is.
#
# ## Where it breaks
#
# **Blood grows old.** A clot is broken down and loses density. In patients, subdural haematomas of 20 to 30 days had 38 ± 7 HU {cite}`lee1997`: the number of brain. We thin the blood of a subdural crescent with fluid until it has this number, `aged_blood_hu`, and scan the same head again.
#
# **Predict.** What is left of the Dice? And how would you find the bleed?

# %%
kept = (aged_blood_hu - fluid_hu) / (clot_hu - fluid_hu)
thin = dict(crescent.subject.shares)  # clot, mixed with fluid until it has the number asked for
thin["outer csf"] = thin["outer csf"] + (1 - kept) * thin["clot"]
thin["clot"] = kept * thin["clot"]
rescanned = ct_image(replace(crescent.subject, shares=thin), 0)
old = SimpleNamespace(**vars(crescent) | {"ct": rescanned})
found = [dice(marked_blood(h, theta_hu), h.clot > 0.5) for h in (crescent, old)]

marked = {}
for name, subject in pair_of.items():
    t1ce = scan(subject, T1_CONTRAST)
    marked[name] = (t1ce > 1.7 * t1ce[inside[name]].median()) & inside[name]
true_rim = {name: region(label, "enhancing tumour") for name, label in labels.items()}

# %% tags=["hide-input"]
is_38 = aged_blood_hu == 38
assert not is_38 or found[0] > 0.3, "fresh blood must be found"
assert not is_38 or found[1] < 0.6 * found[0], "blood as dense as brain must be missed"
assert marked["low grade"].any() and not true_rim["low grade"].any(), "vessels must be marked"
run.record("lesions_fresh", found[0], low=0.3, high=0.95, digits=2)
run.record("lesions_aged", found[1], low=0, high=0.3 if is_38 else 1, digits=2)
for name, low in (("high", 1), ("low", 99)):
    mark, rim = marked[f"{name} grade"], true_rim[f"{name} grade"]
    wrong = 100 * (mark & ~rim).sum() / mark.sum()
    run.record(f"lesions_false_{name}", wrong, low=low, high=100, unit="%", digits=0)
failures = []
for name, head in (("fresh", crescent), (f"{aged_blood_hu:.0f} HU", old)):
    orange = {style.ORANGE: trimmed(marked_blood(head, theta_hu))}
    failures.append(panel(f"subdural blood, {name}", head.ct, "blood", masks=orange))
for name, picture in zip(pair_of, stripped[2:4], strict=True):
    failures.append(replace(picture, masks={style.ORANGE: marked[name]}))
show(
    sheet(failures),
    caption="Orange: what the threshold marks. Top: the same synthetic crescent, fresh and after weeks. Bottom: a threshold for the enhancing rim; in the low grade nothing enhances, and every marked voxel is a vessel.",
    alt="Two CT slices, the crescent marked on the left and unmarked on the right; two T1 slices with contrast, a marked ring on the left, and on the right only marks at vessels",
)

# %% [markdown]
# The Dice falls from {glue:text}`lesions_fresh` to {glue:text}`lesions_aged`. The blood is still there, and it still pushes: furrows on that side are gone, and the ventricles have moved to the other side. That is how a reader finds an *isodense* subdural haematoma: not by its grey, but by what it does to its neighbours. No threshold can, whatever its
# value; a network with a large field of view might. Set `aged_blood_hu = 15`, as low as some become, and the crescent is dark: now a threshold from *below* would find it, together with all other fluid.
#
# In T1ce the same threshold marks the rim and the vessels alike. In the high grade {glue:text}`lesions_false_high` of the marked voxels of the slice are no tumour, in the low grade {glue:text}`lesions_false_low`, since nothing enhances. A Dice of an empty truth is 0 if one voxel is marked and undefined if none is, so challenges have to say what they do with such
# subjects, and averages hide it.
#
# ## Exercises
#
# ### Exercise 1: two scans of a glioma
#
# A high-grade glioma has $D = 25$ mm² a year and $\rho = 6$ a year. Today its radius is 20 mm. By how much will the radius have grown in 60 days, and by how much the volume? How many days until the volume has doubled? How long would a low-grade one with $D = 0.9$ and $\rho = 1.1$ take?
#
# <details class="hint"><summary>Hint</summary>
#
# The radius grows by $2\sqrt{\rho D}$ a year. The volume goes with its third power.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Doubled volume: the radius is $20 \cdot 2^{1/3} = 25.2$ mm.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The speed is $2\sqrt{150} = 24.5$ mm a year, so 4.0 mm in 60 days: from 20 to 24 mm, and the volume by $(24/20)^3 = 1.73$, plus 73 %. The 5.2 mm to the doubled volume take 78 days. The low-grade one has $2\sqrt{0.99} = 2.0$ mm a year and takes 2.6 years. In
# a head fronts are slower, as the text measured, so all of it takes longer.
#
# </details>
#
# ### Exercise 2: a window for a crescent
#
# Bone has 1,700 HU, fresh blood 70, brain 34. Which windows show blood and bone with at least a third of the grey scale between them, and brain and blood with at least a tenth between them? Give the largest and smallest width if the level is 80. Which of the two conditions does the window 40/80 miss?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`lesions-window`: bone is white ($g = 1$) in all of these windows. What is $g$ of blood at most?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Blood: $(70 - 80)/W + 1/2 \le 2/3$, always true here. Between blood and brain lie 36 HU, as long as brain is not black: $(34 - 80)/W + 1/2 \ge 0$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# At level 80 blood has $1/2 - 10/W$, always below one half, so bone stays at least half of the scale away while it is white ($W \le 3{,}240$). Brain and blood differ by $36/W$ while both are inside the window, so $W \le 360$. Below $W = 92$ the brain is black and the difference is $g$ of the blood alone, $1/2 - 10/W$, which
# is a tenth at $W = 25$. So 25 to 360; subdural windows lie in between. At 40/80 blood has $30/80 + 1/2 = 0.88$ and bone 1: only an eighth apart, and a thin crescent merges with the skull.
#
# </details>
#
# ### Exercise 3: name the image, in code
#
# Write `name_image(white, grey, fluid, fat)`. It is given the mean value of four tissues in an image of unknown unit and returns `"T1"`, `"T2"`, `"FLAIR"` or `"CT"`. Use orders only (which is brighter than which), so that the unit does not matter.
#
# <details class="hint"><summary>Hint</summary>
#
# Look up the four orders in the table of this page. Which tissue has, in exactly one of the images, an extreme place?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Fluid is the highest in T2 only: ask that first, for at 1.5 T fat may be the lowest in T2 too. Then fat is the lowest in CT only. Of the two that are left, one has white matter above grey.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The cell after the exercise holds the code. It is also a useful guard in a data pipeline: swapped sequences are a frequent fault, and no shape check finds them.
#
# </details>


# %% tags=["hide-input"]
def check_name_image(name_image):
    asked = [TISSUES.index(n) for n in ("white matter", "grey matter", "outer csf", "fat")]
    every_case = itertools.product(
        (T1, T2, FLAIR), (1.5, 3.0), (1, 3000)
    )  # sequence, field, unit
    images = [(s.name, unit * s.signals(magnetic(t)).abs()) for s, t, unit in every_case]
    hu = torch.tensor(list(numbers_hu.values()))
    for name, values in [*images, ("CT", hu), ("CT", hu + 1024)]:  # some files store HU + 1024
        given = [float(values[at]) for at in asked]
        answer = name_image(*given)
        if answer != name:
            return f"for a {name} with white, grey, fluid, fat = {', '.join(f'{v:.3g}' for v in given)} it says {answer!r}."
    return None


# %% tags=["exercise"]
def name_image(white, grey, fluid, fat):
    """The image in which four tissues have these mean values."""
    ...  # your code here


judge(check_name_image, name_image)


# %% tags=["solution", "hide-cell"]
def name_image(white, grey, fluid, fat):
    """The image in which four tissues have these mean values."""
    # begin solution
    if fluid > max(white, grey, fat):
        return "T2"
    if fat < min(white, grey, fluid):
        return "CT"
    return "T1" if white > grey else "FLAIR"
    # end solution


judge(check_name_image, name_image)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A brain image: ventricles black, cortex a little brighter than white matter, a few bright white spots beside the ventricles. What is it?",
        ("T1, with contrast agent", "In T1 white matter is brighter than the cortex."),
        right("FLAIR, with plaques or other lesions", "T2 weighting makes cortex and lesions bright, and only FLAIR makes fluid black at the same time."),
        ("T2, with plaques", "In T2 the ventricles are white."),
    ),
    question(
        "A white collection under the skull in CT, thick in the middle, bulging towards the brain, ending where two bones meet. What is it?",
        ("A subdural haematoma", "That one is a crescent and crosses sutures."),
        ("Subarachnoid blood", "It would follow the furrows and not press on the brain."),
        right("An epidural haematoma", "The dura is peeled off the bone and holds fast at the sutures: a lens."),
    ),
    question(
        "A program misses every second plaque, and its Dice is above 0.9. How can that be?",
        right("It misses the small ones; Dice counts voxels, and the large ones hold most of them", "The small ones are many, but nearly weightless. Count lesions as well."),
        ("Dice counts lesions", "It knows nothing of lesions, only of voxels."),
        ("The small ones are not in the truth", "They are: half of the plaques of the truth."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - Ventricles, cortex and skull tell the image: T1, T2, FLAIR or CT. Water makes lesions bright in T2 and FLAIR and dark in CT; FLAIR removes the fluid that would hide them.
# - A glioma has oedema, an enhancing rim where the barrier leaks, and a core; BraTS calls them 2, 4 and 1 and scores nested unions. Low grades need not enhance, and vessels always do.
# - A tumour's front runs at up to $2\sqrt{\rho D}$ and faster in white matter.
# - A bleed takes the shape of the layer that holds it: lens, crescent, furrows, ball, level. Blood that has the density of brain is found by what it pushes.
# - Lesions are a few per cent of the voxels or far less: accuracy is empty, Dice follows the large ones, counts follow the small ones.
# - Always run a threshold first. If it does well, the test is easy.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | anatomy, scans | **synthetic**, as in [A head to scan](a_head_to_scan.ipynb); real is the mean anatomy of the ICBM 152 template {cite}`fonov2011` |
# | lesions | **synthetic**: gliomas by equation {eq}`lesions-fisher` with thresholds and noise for the parts; bleeds, fractures and plaques are drawn by formulas; sizes and frequencies are round or fitted to one published number each |
# | tissues | relaxation times of diseased tissue, and their water in CT, are round numbers. Grey and white matter differ by 2 HU here, which is less than in most scans of people |
# | left out | haemorrhage and calcification in tumours, vessels that supply them, treatment, infarcts, movement, sutures, metal; mechanics of the mass effect |
# | truth | exact for what was made; in BraTS and CQ500 it is the work of raters, and they disagree |
# | brain masks | the true ones; a skull-stripping program makes errors at the rim, where thin bleeds lie |
# | claims | none about patients or scanners, and no advice for reading scans |
#
# ## Further reading
#
# {cite}`menze2015` describes BraTS and how far experts agree on it, {cite}`chilamkurthy2018` CQ500. {cite}`harpold2007` reviews models of glioma growth. {cite}`meissen2021` is the paper on the threshold, short and sobering. The clinical background follows the thesis {cite}`thesis`, chapter 2, and the cohorts of infants and thick
# slices those of {cite}`zoothesis`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
