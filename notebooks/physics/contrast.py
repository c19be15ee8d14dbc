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
#     - physics/spins_and_relaxation
#     summary: How TR, TE, TI and the flip angle make the images of a brain protocol,
#       and what each choice costs in noise.
#     weights: []
# ---

# %% [markdown]
# # Contrast
#
# A radiologist who asks for a brain scan asks for a *protocol*: a T1-weighted image, a T2-weighted one, a FLAIR, perhaps a gradient echo. The
# scanner, the patient and the slice are the same each time. What changes are three or four numbers, and with them everything one
# sees. In this lesson you choose the numbers. You will make fluid vanish, find a setting at which grey and white matter cannot be told
# apart, cut a slice with a radio pulse, and learn what every choice costs in noise.
#
# **You will be able to**
#
# - build T1-, T2- and density-weighted images, a FLAIR and two gradient echoes of a brain slice from its tissue maps
# - compute the inversion time that nulls a tissue, for any TR and TE
# - say what changes in an image when the same settings are used at 1.5 T and at 3 T
# - design a pulse that excites a slice of a given thickness, and read its profile
# - predict the signal-to-noise ratio of a scan from voxel size, averages, bandwidth and field, and check it
#
# **You need** [Spins and relaxation](spins_and_relaxation.ipynb): T1, T2, T2*, the spin echo, TE and TR.

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
flair_repetition_ms = 9000.0  # TR of the FLAIR, 4,000 or more
use_long_tr_formula = True  # in "Where it breaks": TI = T1 ln 2, as if TR were endless
noise_per_sample = 12.0  # of the receiver, in "Noise": signal of 1 mm³ of water is 1

# %% tags=["hide-input"]
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import optimize

from medlab.data import load_icbm152
from medlab.metrics import mean_interval
from medlab.physics.mri.sequences import balanced_ssfp_signal, flair_signal
from medlab.physics.mri.sequences import inversion_recovery_signal, null_inversion_time_ms
from medlab.physics.mri.sequences import spin_echo_signal, spoiled_gradient_echo_signal
from medlab.physics.mri.snr import Acquisition, complex_noise, magnitude_with_noise
from medlab.physics.mri.snr import relative_snr, rician_mean
from medlab.physics.mri.spins import GAMMA_MHZ_PER_T, Delay, Pulse, Spins, Spoil
from medlab.physics.mri.spins import ernst_angle_deg, gradient_for_slice, refocusing_profile
from medlab.physics.mri.spins import select_slice, spin_echo, windowed_sinc
from medlab.physics.mri.spins import run as play
from medlab.physics.mri.tissues import FIELDS_T, Tissue, tissue
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
NAMES = ("white matter", "grey matter", "fluid", "lesion")
COLOURS = dict(zip(NAMES, (style.BLUE, style.ORANGE, style.GREEN, style.PINK), strict=True))


def tissues_at(field_t):
    """The tissues of the slice at 1.5 T or 3 T; the lesion's values are round numbers."""
    t1 = {1.5: 1400.0, 3.0: 1800.0}[field_t]
    return [
        *(tissue(name, field_t) for name in ("white matter", "grey matter", "csf")),
        Tissue("lesion", field_t, t1, 200.0, 120.0, 0.80),
    ]


def column(field_t, name):
    return torch.tensor([getattr(one, name) for one in tissues_at(field_t)])


MAPS, STAR_MAPS = (
    {at: {name: column(at, name) for name in ("proton_density", "t1_ms", decay)} for at in FIELDS_T}
    for decay in ("t2_ms", "t2_star_ms")
)  # fmt: skip

template = load_icbm152()
BOX = (slice(2, 194), slice(22, 214), 92)  # 192 x 192 mm of one axial slice
white, grey, mask = (volume.data[0][BOX] for volume in (template.white, template.grey, template.mask))  # fmt: skip
fluid = (mask - white - grey).clamp(min=0)

# A synthetic lesion in the white matter beside the tip of the right ventricle: an ellipse with a soft edge.
x, y = torch.meshgrid(torch.arange(192.0), torch.arange(192.0), indexing="ij")
far = torch.sqrt(((x - 121.5) / 4.5) ** 2 + ((y - 75) / 7.0) ** 2)
blob = (4.5 * (1 - far) + 0.5).clamp(0, 1)
lesion = blob * (white + grey)
share = torch.stack([white * (1 - blob), grey * (1 - blob), fluid, lesion])
SHOWN = (slice(20, 174), slice(4, 188))  # where the brain is


def image_of(signal):
    """The slice (X, Y, 1) of which each voxel is the mixture of its tissues' signals."""
    return torch.einsum("t,txy->xy", signal, share)[SHOWN][..., None]


def draw(ax, picture, title=""):
    slices.draw_slice(ax, picture, index=0, window=(0, float(picture.quantile(0.998))))
    ax.set_title(title, fontsize=10)


flair_times = {"echo_time_ms": 100.0, "repetition_time_ms": flair_repetition_ms}
field, star = MAPS[3.0], STAR_MAPS[3.0]
protocol = {
    **{
        f"{name}\nspin echo, TR {tr}, TE {te}": spin_echo_signal(**field, echo_time_ms=te, repetition_time_ms=tr)
        for name, te, tr in (("T1-weighted", 12, 600), ("density-weighted", 12, 9000), ("T2-weighted", 100, 9000))
    },
    f"FLAIR\nfluid nulled, TR {flair_repetition_ms:.0f}, TE 100": flair_signal(**field, **flair_times),
    "T1-weighted gradient echo\n25°, TR 15, TE 2": spoiled_gradient_echo_signal(**star, flip_angle_deg=25, echo_time_ms=2, repetition_time_ms=15),
    "balanced SSFP\n40°, TR 5, TE 2.5": balanced_ssfp_signal(**field, flip_angle_deg=40, repetition_time_ms=5),
}  # fmt: skip
figure, axes = plt.subplots(2, 3, figsize=(9.0, 7.6))
for ax, (name, signal) in zip(axes.flat, protocol.items(), strict=True):
    draw(ax, image_of(signal), name)
show(
    figure,
    caption="A protocol at 3 T, times in ms. The synthetic lesion beside the ventricle on the left of each picture (the patient's right) is hard to tell from the "
    "fluid in the T2-weighted image and stands alone in the FLAIR.",
    alt="Six axial brain slices with different contrasts; a lesion beside the ventricle is bright and isolated only in the fourth, the FLAIR",
)

# %% [markdown]
# All six are *synthetic*: the anatomy is the ICBM 152 {term}`template` {cite}`fonov2011`, its tissues have the same relaxation times in every voxel (measured ones, but for a few round numbers listed at the end), and a
# **lesion** was painted in, with round values that resemble a plaque of multiple sclerosis (T1 1800 ms, T2 200 ms). There is no noise yet.
# The patient's right is on your left, as always.
#
# ## From tissue maps to an image
#
# A {term}`voxel` of a millimetre holds more than one tissue. Each contributes its own signal in proportion to its share $f_t$:
#
# $$ S(\mathbf{x}) = \sum_t f_t(\mathbf{x})\, S_t, \qquad
# S_t = \rho_t\,\big(1 - 2e^{-(\mathrm{TR} - \mathrm{TE}/2)/T_{1,t}} + e^{-\mathrm{TR}/T_{1,t}}\big)\, e^{-\mathrm{TE}/T_{2,t}} $$ (contrast-mixture)
#
# for a {term}`spin echo`, whose signal we know from equation {eq}`spins-signal`. Note what is averaged: the *signals*. One may not
# average T1 and T2 first and then compute. In code:

# %%
field = MAPS[3.0]
density, t1, t2 = field["proton_density"], field["t1_ms"], field["t2_ms"]
echo, repetition = 12.0, 600.0
recovered = 1 - 2 * torch.exp(-(repetition - echo / 2) / t1) + torch.exp(-repetition / t1)
by_hand = density * recovered * torch.exp(-echo / t2)  # equation (contrast-mixture), right
signal = spin_echo_signal(**field, echo_time_ms=echo, repetition_time_ms=repetition)
torch.testing.assert_close(by_hand, signal)

slice_by_hand = sum(part * value for part, value in zip(share, by_hand, strict=True))  # left
torch.testing.assert_close(slice_by_hand[SHOWN], image_of(signal)[..., 0])

# %% [markdown]
# {term}`Contrast` between two tissues is the difference of their signals, $C = S_a - S_b$. It can be positive, negative, and zero. Zero is
# worth a thought: long TE favours grey matter (longer T2), short TR favours white matter (shorter T1). So somewhere between a T1- and a T2-weighted image the two
# must be equal.
#
# **Predict.** Go from TR = 600 ms, where white matter is brighter at 3 T, to longer TR at TE = 12 ms. At which TR do grey and white matter look alike: 1, 2 or
# 5 seconds? And is it at the same TR in a scanner of 1.5 T?

# %% tags=["hide-input"]
echoes, repetitions = torch.linspace(2, 140, 139), torch.logspace(2.3, 4, 171)


def contrast(field_t):
    """Grey minus white matter for every TE (rows) and TR (columns)."""
    times = {"echo_time_ms": echoes[:, None], "repetition_time_ms": repetitions}
    two = tissues_at(field_t)[:2]
    one, other = (spin_echo_signal(t.proton_density, t.t1_ms, t.t2_ms, **times) for t in two)
    return other - one


figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.7), sharey=True)
for ax, strength in zip(axes, FIELDS_T, strict=True):
    values = contrast(strength)
    drawn = ax.pcolormesh(repetitions, echoes, values, cmap="PuOr_r", vmin=-0.1, vmax=0.1, rasterized=True)  # fmt: skip
    ax.contour(repetitions, echoes, values, levels=[0], colors="black", linewidths=1.6)
    ax.plot(600, 12, "o", color="black", markerfacecolor="white")
    ax.set(xscale="log", xlabel="repetition time TR (ms)", title=f"{strength:g} T")
    ax.set_xticks([300, 1000, 3000, 10000], ["300", "1000", "3000", "10000"])
    ax.minorticks_off()
axes[0].set_ylabel("echo time TE (ms)")
figure.colorbar(drawn, ax=axes, label="grey minus white matter", extend="both")
show(
    figure,
    caption="Contrast of grey and white matter in a spin echo. Orange: grey is brighter; purple: white is brighter; on the black line they cannot be told "
    "apart. The circle is TR 600, TE 12 ms, the T1-weighted setting of the first figure.",
    alt="Two maps over TR and TE. At 3 T a purple region at short TR and TE covers the circle; at 1.5 T the purple region has shrunk to a corner and the circle is outside",
)

crossing = optimize.brentq(
    lambda tr: float(torch.diff(spin_echo_signal(**field, echo_time_ms=12.0, repetition_time_ms=tr)[:2])),
    300,
    9000,
)  # fmt: skip
run.record("contrast_crossing", crossing, low=900, high=2500, unit="ms", digits=0)

# %% [markdown]
# At 3 T the two tissues are equal at TR = {glue:text}`contrast_crossing`. Below, the image is T1-weighted; above, density and T2 rule.
#
# At 1.5 T there is a surprise. The circle lies on the *other* side of the line: the setting that shows bright white matter at 3 T shows slightly brighter
# *grey* matter here. Why? Between the two fields, T1 of white matter grows by a quarter (884 to 1084 ms), that of grey matter by two thirds (1124 to 1820 ms) {cite}`stanisz2005`. At 1.5 T
# they differ by a quarter only, and grey matter holds about a fifth more water. T1 and density pull in opposite directions, and density wins. (In living people at 1.5 T
# the two T1 differ more than in this excised tissue {cite}`rooney2007`, and the line lies further right: with the values of a source come its conditions.)
#
# So T1 contrast needs a stronger lever than TR. It is the next section.
#
# ## A third number: TI
#
# An {term}`inversion recovery` sequence begins with a 180° pulse. $M_z$ starts at $-M_0$ and climbs back through zero. After the {term}`inversion time` TI comes the
# spin echo. This doubles the range: tissues spread between $-1$ and $1$. If the sequence is repeated every TR, $M_z$ has not fully recovered when it
# is inverted. Following it once around gives {cite}`haacke1999`
#
# $$ S = \rho\,\big(1 - 2e^{-\mathrm{TI}/T_1} + 2e^{-(\mathrm{TR} - \mathrm{TE}/2)/T_1} - e^{-\mathrm{TR}/T_1}\big)\, e^{-\mathrm{TE}/T_2}. $$ (contrast-inversion)
#
# We do not have to believe this. The spins of the last lesson can play the sequence, four times over:

# %%
inversion, echo, repetition = 700.0, 20.0, 3000.0
rest = Delay(repetition - inversion - echo)
once = [Pulse(180, 90), Delay(inversion), Spoil(), *spin_echo(echo), rest, Spoil()]
followed = play(Spins(t1, t2, proton_density=density), once * 4, dim=()).signal[-1].real

settled = (
    1
    - 2 * torch.exp(-inversion / t1)
    + 2 * torch.exp(-(repetition - echo / 2) / t1)
    - torch.exp(-repetition / t1)
)
by_hand = density * settled * torch.exp(-echo / t2)  # equation (contrast-inversion)
times = {"inversion_time_ms": inversion, "echo_time_ms": echo, "repetition_time_ms": repetition}
ours = inversion_recovery_signal(**field, **times, signed=True)
torch.testing.assert_close(by_hand, followed, atol=1e-6, rtol=1e-5)
torch.testing.assert_close(by_hand, ours, atol=1e-6, rtol=1e-5)

# %% [markdown]
# Most scanners show the *magnitude*: what is below zero comes back as bright. So with rising TI each tissue gets darker, vanishes, and brightens again.
#
# **Predict.** TR = 9 s, TE = 12 ms. Which tissue vanishes first? Where do you find an image with the contrast of a T1-weighted one turned upside down? Then set TR to 3 s: does fluid vanish
# earlier or later?

# %% tags=["hide-input"]
TI_CURVE = torch.linspace(0, 2880, 73)


def draw_inversion(inversion_ms, repetition_ms, echo_ms):
    times = {"echo_time_ms": echo_ms, "repetition_time_ms": repetition_ms}
    now = inversion_recovery_signal(**field, inversion_time_ms=inversion_ms, **times)
    curves = inversion_recovery_signal(
        *(values[:, None] for values in field.values()), inversion_time_ms=TI_CURVE, signed=True, **times
    )  # fmt: skip
    figure, (left, right_) = plt.subplots(1, 2, figsize=(7.4, 3.5), width_ratios=(1, 1.25))
    draw(left, image_of(now))
    for (name, colour), curve in zip(COLOURS.items(), curves, strict=True):
        dashes = "--" if name == "lesion" else "-"
        right_.plot(TI_CURVE, curve, color=colour, label=name, linestyle=dashes)
        right_.plot(inversion_ms, float(np.interp(inversion_ms, TI_CURVE, curve)), "o", color=colour)  # fmt: skip
    right_.axhline(0, color=style.MUTED, linewidth=0.8)
    right_.axvline(inversion_ms, color=style.MUTED, linewidth=0.8, linestyle="--")
    right_.set(xlabel="inversion time TI (ms)", ylabel="signal before the magnitude")
    right_.set(
        ylim=(-1.0, 0.8), title=f"TI {inversion_ms}, TR {repetition_ms}, TE {echo_ms} ms"
    )
    right_.legend(loc="lower right", fontsize=8)
    return figure


def alt_of_inversion(inversion_ms, repetition_ms, echo_ms):
    times = {"echo_time_ms": echo_ms, "repetition_time_ms": repetition_ms}
    now = inversion_recovery_signal(**field, inversion_time_ms=inversion_ms, **times)
    return "Axial brain slice; signals of " + ", ".join(
        f"{name} {value:.2f}" for name, value in zip(NAMES, now.tolist(), strict=True)
    )


for key, time, tr in (("3s", 4300, 3000), ("9s", 4300, 9000), ("white", 1084, 9000), ("grey", 1820, 9000)):  # fmt: skip
    null = null_inversion_time_ms(time, repetition_time_ms=tr, echo_time_ms=12.0)
    most = time * math.log(2)  # for an endless TR
    run.record(f"contrast_null_{key}", null, low=0.4 * most, high=most, unit="ms", digits=0)
explore(
    draw_inversion,
    caption="The image shows the magnitude, windowed to its own brightest tissue; the curves keep the sign. Where a curve crosses zero, that tissue is black.",
    alt=alt_of_inversion,
    labels={
        "inversion_ms": "inversion time TI (ms)",
        "repetition_ms": "repetition time TR (ms)",
        "echo_ms": "echo time TE (ms)",
    },
    start={"inversion_ms": 750, "repetition_ms": 9000, "echo_ms": 12},
    inversion_ms=[100, 400, 750, 990, 1240, 1700, 2480, 2850],
    repetition_ms=[3000, 9000],
    echo_ms=[12, 100],
)

# %% [markdown]
# White matter vanishes first, at {glue:text}`contrast_null_white`, and there the order of a T1-weighted image is upside down: fluid brightest, white matter black. Lesion and grey matter follow near {glue:text}`contrast_null_grey`, one curve on the other since their T1 are nearly the same (only TE = 100 ms tells them apart); fluid comes last. Between the nulls of white and grey matter, at TI = 990 ms, both are equally bright in the
# magnitude although one is above and one below zero: dark lines appear along their borders, where a voxel's mixture cancels. At TI = 100 ms everything is still negative, fluid most of all, and the
# magnitude image is nearly density-weighted. With TR = 3 s fluid vanishes at {glue:text}`contrast_null_3s` instead of {glue:text}`contrast_null_9s`: it starts from much less.
#
# ## FLAIR: choosing what to lose
#
# Setting equation {eq}`contrast-inversion` to zero gives the {term}`inversion time` at which a tissue is lost:
#
# $$ \mathrm{TI}_0 = T_1\,\Big[\ln 2 - \ln\!\big(1 + 2e^{-(\mathrm{TR} - \mathrm{TE}/2)/T_1} - e^{-\mathrm{TR}/T_1}\big)\Big]
# \;\xrightarrow{\ \mathrm{TR}\to\infty\ }\; T_1 \ln 2 . $$ (contrast-null)
#
# {term}`FLAIR` does this to {term}`cerebrospinal fluid` and then waits for a long echo {cite}`hajnal1992`. The result is T2-weighted without the bright fluid, so that a
# lesion beside a {term}`ventricle` can be seen. This is why the BraTS challenge has a FLAIR among its four images (thesis section 3.1.4 {cite}`thesis`).

# %%
# NBVAL_CHECK_OUTPUT
fluid_t1, echo = 4300.0, 100.0
for repetition in (6000.0, 9000.0, 15000.0, math.inf):
    missing = math.exp(-(repetition - echo / 2) / fluid_t1)
    lost = math.log(1 + 2 * missing - math.exp(-repetition / fluid_t1))
    null = fluid_t1 * (math.log(2) - lost)  # equation (contrast-null)
    ours = null_inversion_time_ms(fluid_t1, repetition_time_ms=repetition, echo_time_ms=echo)
    assert math.isclose(null, ours, rel_tol=1e-9)
    print(f"TR {repetition / 1000:4.0f} s: fluid vanishes at TI = {ours:4.0f} ms")

# %% [markdown]
# By the thesis, a FLAIR shows everything but fluid much as a T2-weighted image does. How closely? We compare signal *ratios*, which no window can change:

# %% tags=["hide-input"]
t2_weighted = spin_echo_signal(**field, **flair_times)
flair = flair_signal(**field, **flair_times)
rows = []
for name, a, b in (("grey to white matter", 1, 0), ("lesion to white matter", 3, 0), ("lesion to fluid", 3, 2)):  # fmt: skip
    in_flair = f"{float(flair[a] / flair[b]):.2f}" if flair[b] > 1e-4 else "fluid gives nothing"
    rows.append([name, f"{float(t2_weighted[a] / t2_weighted[b]):.2f}", in_flair])
table(
    ["ratio of signals", "T2-weighted", "FLAIR"],
    rows,
    caption=f"Synthetic tissues at 3 T, TE 100 ms, TR {flair_repetition_ms:.0f} ms; fluid's signal in the FLAIR is {float(flair[2] / flair[0]):.0e} of white matter's.",
)
run.record("contrast_t2_ratio", t2_weighted[1] / t2_weighted[0], low=1.2, high=2.2, digits=2)
run.record("contrast_flair_ratio", flair[1] / flair[0], low=0.3, high=1.6, digits=2)
run.record("contrast_flair_lesion", flair[3] / flair[0], low=1.0, high=4.0, digits=1)

# %% [markdown]
# Similar in sign, not in size. Grey matter outshines white matter by a factor of {glue:text}`contrast_t2_ratio` in the T2-weighted image and only {glue:text}`contrast_flair_ratio` in the FLAIR.
# At that TI grey matter has recovered less than white matter, and this T1-weighting works against the T2-weighting. The lesion, whose T2 is much longer, keeps a factor
# of {glue:text}`contrast_flair_lesion`. For finding lesions that is the better trade: the healthy brain becomes flat, and the abnormal stands out.
#
# ## Gradient echoes, in passing
#
# Without a refocusing pulse an image can be made with short TR and small flip angles. Perfectly {term}`spoiled <spoiling>`, the {term}`gradient echo` settles at Ernst's value {cite}`ernst1966`, and what the field dephases stays dephased:
#
# $$ S = \rho\,\sin\alpha\,\frac{1 - E_1}{1 - E_1\cos\alpha}\, e^{-\mathrm{TE}/T_2^*}, \qquad E_1 = e^{-\mathrm{TR}/T_1}. $$ (contrast-gradient-echo)
#
# With large $\alpha$ it is T1-weighted, with small $\alpha$ and long TE it is T2*-weighted, dark where iron or old blood disturbs the field. If one spoils nothing and
# instead balances all gradients, transverse magnetisation is reused again and again ({term}`balanced steady-state free precession`, {cite}`carr1958`). On resonance, with pulses of alternating sign,
#
# $$ S = \rho\,\sin\alpha\,\frac{1 - E_1}{1 - (E_1 - E_2)\cos\alpha - E_1 E_2}\, e^{-\mathrm{TE}/T_2}, \qquad E_2 = e^{-\mathrm{TR}/T_2}. $$ (contrast-bssfp)

# %%
# NBVAL_CHECK_OUTPUT
alpha, repetition = math.radians(40), 5.0
e1, e2 = torch.exp(-repetition / t1), torch.exp(-repetition / t2)
below = 1 - (e1 - e2) * math.cos(alpha) - e1 * e2
by_hand = density * math.sin(alpha) * (1 - e1) / below * torch.exp(-repetition / 2 / t2)
ours = balanced_ssfp_signal(**field, flip_angle_deg=40.0, repetition_time_ms=5.0)
torch.testing.assert_close(by_hand, ours, rtol=2e-5, atol=0)  # equation (contrast-bssfp)

short = {"echo_time_ms": 2.5, "repetition_time_ms": 5.0}
angles = [0.5 * half for half in range(1, 181)]  # each tissue at the best of them
spoiled = torch.stack([spoiled_gradient_echo_signal(**STAR_MAPS[3.0], flip_angle_deg=a, **short) for a in angles]).amax(0)  # fmt: skip
reused = torch.stack([balanced_ssfp_signal(**field, flip_angle_deg=a, repetition_time_ms=5.0) for a in angles]).amax(0)  # fmt: skip
for name, with_reuse, without in zip(NAMES, reused, spoiled, strict=True):
    print(f"{name:13s} balanced {with_reuse:.3f}, spoiled {without:.3f} (TR 5 ms)")

# %% tags=["hide-input"]
run.record("contrast_reuse_low", (reused / spoiled).min(), low=2, high=4, digits=1)
run.record("contrast_reuse_high", (reused / spoiled).max(), low=10, high=25, digits=0)

# %% [markdown]
# Each tissue is compared at the flip angle that suits it best in each of the two sequences. In the same time balanced SSFP gives from {glue:text}`contrast_reuse_low` to {glue:text}`contrast_reuse_high` times the signal of the spoiled echo, with a contrast that follows T2/T1 and the density: fluid is brightest. Its price is that
# it tolerates no off-resonance: dark bands appear where the spins turn by half a turn in a TR, 100 Hz here.
#
# ## Cutting a slice
#
# So far every pulse hit all spins. To excite one {term}`slice`, a gradient $G$ along $z$ is switched on, so that the frequency of a spin tells where it is, and the pulse is given only a band of
# frequencies (thesis section 3.1.4 describes it in words). For a small flip angle the answer of the spins is the Fourier transform of the pulse $B_1(t)$:
#
# $$ \left|M_{xy}(z)\right| \approx M_0 \left|\gamma \int B_1(t)\, e^{-2\pi i\,\bar\gamma G z\, t}\, dt\right| . $$ (contrast-slice)
#
# So a {term}`sinc` pulse gives a box. A sinc is endless; a real pulse of duration $\tau$ has room for a few lobes, counted by its {term}`time-bandwidth product` $\tau\,\mathrm{BW}$. The
# thickness of the slice is
#
# $$ \Delta z = \frac{\mathrm{BW}}{\bar\gamma\, G} . $$ (contrast-thickness)
#
# **Predict.** The lobes of the sinc are cut at the end of the pulse. What does this sudden end do to the profile? And what will a window that lets the pulse fade out gently cost?

# %%
duration, time_bandwidth, thickness_mm = 3.0, 6.0, 5.0
gradient = gradient_for_slice(thickness_mm, 1000 * time_bandwidth / duration)  # mT/m
assert math.isclose(gradient, 2000 / (GAMMA_MHZ_PER_T * thickness_mm))  # (contrast-thickness)
place = torch.linspace(-10, 10, 401, dtype=torch.float64)

small = windowed_sinc(1.0, duration, time_bandwidth, window="none")
frequency = 1e-3 * GAMMA_MHZ_PER_T * gradient * place[:, None]  # in turns a ms
waves = torch.exp(-2j * math.pi * frequency * small.time_ms)
transform = 2e-3 * math.pi * small.step_ms * (waves @ small.rf_hz)  # equation (contrast-slice)

free = Spins(math.inf, math.inf, dtype=torch.float64)
simulated = select_slice(free, small, place, gradient)
torch.testing.assert_close(simulated.transverse.abs(), transform.abs(), atol=2e-5, rtol=0)

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.2), width_ratios=(1, 1.1, 1.1))
tissue_spins = Spins(1084.0, 69.0, dtype=torch.float64)  # white matter
widths = {}
for window, colour in (("none", style.ORANGE), ("hann", style.BLUE)):
    pulse = windowed_sinc(90.0, duration, time_bandwidth, window=window)
    after = select_slice(tissue_spins, pulse, place, gradient)
    height = after.transverse.abs()
    inside = place[height > 0.5 * height.max()]
    widths[window] = float(inside[-1] - inside[0])
    name = {"none": "cut off", "hann": "Hann window"}[window]
    axes[0].plot(pulse.time_ms, pulse.rf_hz.real / GAMMA_MHZ_PER_T, color=colour, label=name)
    axes[1].plot(place, height, color=colour, label=name)
    turning = windowed_sinc(180.0, duration, time_bandwidth, window=window)
    axes[2].plot(place, refocusing_profile(turning, place, gradient).abs(), color=colour)
for ax in axes[1:]:
    ax.axvspan(-thickness_mm / 2, thickness_mm / 2, color=style.MUTED, alpha=0.15, linewidth=0)
    ax.set(xlabel="place z (mm)", ylim=(0, 1.05))
axes[0].set(xlabel="time (ms)", ylabel="B$_1$ (µT)", title="90° pulse", ylim=(-3.5, 17))
axes[1].set(ylabel="|M$_{xy}$| / M$_0$", title="excited")
axes[2].set(ylabel="share refocused", title="refocused by 180°")
axes[0].legend(loc="upper right", fontsize=8)
show(
    figure,
    caption=f"A slice of {thickness_mm:g} mm (grey) under {gradient:.1f} mT/m. The sinc that ends suddenly excites ripples outside and inside the slice; the Hann window removes them and pays "
    "with soft edges and a stronger peak. The 180° pulse of the same shape refocuses a thinner slice than the 90° pulse excites.",
    alt="Left: two sinc pulses. Middle: slice profiles, one with steep edges and ripples, one smooth with soft edges. Right: narrower refocusing profiles",
)
run.record("contrast_width_hann", widths["hann"], low=4.0, high=6.5, unit="mm", digits=1)
run.record("contrast_width_none", widths["none"], low=4.0, high=6.5, unit="mm", digits=1)

# %% [markdown]
# At half height the excited slice is {glue:text}`contrast_width_hann` thick with the window and {glue:text}`contrast_width_none` without. At 90° the small-angle equation no longer holds, and yet
# the profile is close to it; at 180° it is not. A spin-echo slice is the product of the middle and the right profile, so its
# slice is thinner than either. And since each profile has tails, neighbours must keep a gap or be excited in another order, else slices steal each other's magnetisation.
#
# ## Noise
#
# The coil hears the signal and the random voltages of the warm, conducting patient. Every sample of data gets noise of the same strength, and averaging many samples lowers it by the square root of their number.
# How much signal a voxel holds is a matter of its volume. Together {cite}`nishimura2010,edelstein1986`:
#
# $$ \mathrm{SNR} \;\propto\; B_0\; \Delta x\,\Delta y\,\Delta z\; \sqrt{\frac{N_x N_y N_z\, \mathrm{NEX}}{\mathrm{BW}_r}}\; S, $$ (contrast-snr)
#
# where $N_x N_y N_z$ is the number of samples, NEX the number of {term}`averages`, $\mathrm{BW}_r$ the bandwidth of the receiver, and $S$ the signal of the tissue. The root holds the time during which the
# receiver was open: of all settings of the readout, only that time counts.
#
# **Predict.** A scan with voxels of 1 mm takes 5 minutes. You want half a millimetre in every direction over the same field of view, at the same SNR and bandwidth. Samples come eightfold by themselves. How long will it take?

# %%
# NBVAL_CHECK_OUTPUT
coarse = Acquisition((1.0, 1.0, 1.0), 1, 50_000.0, 192, 192, 192, field_t=3.0)
fine = Acquisition((0.5, 0.5, 0.5), 1, 50_000.0, 384, 384, 384, field_t=3.0)
listening = math.sqrt(384**3 / 192**3)
assert math.isclose(relative_snr(fine, coarse), 0.5**3 * listening)  # equation (contrast-snr)
averages = round(relative_snr(fine, coarse) ** -2)
lines = 384**2 / 192**2 * averages  # lines of data take time, samples along a line hardly
print(f"SNR falls to {relative_snr(fine, coarse):.2f}; {averages} averages bring it back")
print(f"the scan takes {lines:.0f} times as long: {5 * lines / 60:.1f} hours")

# %% [markdown]
# This is why clinical voxels have been about a millimetre for thirty years.
#
# ## The experiment: do the laws hold?
#
# We scan the slice: its Fourier transform gives the data, each sample gets {term}`noise <signal-to-noise ratio>` of the same strength, and the image is the inverse transform. A coarser image over the same field of view keeps only
# the central samples. (The lesson on encoding explains why.) SNR is measured as in a hospital: scan twice, take the mean of both for the signal and the difference for the
# noise. Equation {eq}`contrast-snr` appears nowhere in this cell:


# %%
def scan(truth, matrix, averages, generator):
    """Complex image (matrix, matrix) of a slice (192, 192) at 1 mm."""
    samples = torch.fft.fftshift(torch.fft.fft2(truth))
    kept = slice((192 - matrix) // 2, (192 + matrix) // 2)
    noise = complex_noise((averages, matrix, matrix), noise_per_sample, generator)
    return torch.fft.ifft2(torch.fft.ifftshift(samples[kept, kept] + noise.mean(0)))


def measured_snr(matrix, averages, generator):
    """SNR of white matter from two scans."""
    step = 192 // matrix
    inside = torch.nn.functional.avg_pool2d(white[None], step)[0] > 0.97
    first, second = (scan(density_slice, matrix, averages, generator) for _ in range(2))
    noise = (first - second).real[inside].std() / math.sqrt(2)
    return float(((first + second) / 2)[inside].mean().abs() / noise)


# %% tags=["hide-input"]
density_signal = spin_echo_signal(**field, echo_time_ms=12, repetition_time_ms=9000)
density_slice = torch.einsum("t,txy->xy", density_signal, share)
settings = [(192, 1), (192, 4), (192, 16), (96, 1), (96, 4), (48, 1)]
snr_seeds = [run.fresh_generator(100 + n) for n in range(run.pick(ci=3, cpu=20, gpu=40))]
snr = {at: [measured_snr(*at, one) for one in snr_seeds] for at in settings}


def acquisition(matrix, averages):
    side = 192 / matrix
    return Acquisition((side, side, 1.0), averages, 50_000.0, matrix, matrix)


base = np.array(snr[192, 1])
gains = {at: mean_interval(np.array(values) / base.mean()) for at, values in snr.items()}
laws = {at: relative_snr(acquisition(*at), acquisition(192, 1)) for at in settings}

figure, axes = plt.subplots(1, 3, figsize=(9.4, 3.5), width_ratios=(1, 1, 1.25))
for ax, (matrix, averages) in zip(axes, ((192, 1), (192, 16)), strict=False):
    picture = scan(density_slice, matrix, averages, run.fresh_generator(7)).abs()
    slices.draw_slice(ax, picture[SHOWN][..., None], index=0, window=(0, 0.9))
    ax.set_title(f"1 mm, {averages} average{'s' if averages > 1 else ''}", fontsize=10)
axes[2].axvline(1, color=style.MUTED, linestyle="--", linewidth=1)
for number, (at, (mean, half)) in enumerate(gains.items()):
    colour = {192: style.BLUE, 96: style.ORANGE, 48: style.GREEN}[at[0]]
    axes[2].errorbar(mean / laws[at], number, xerr=half / laws[at], fmt="o", color=colour, capsize=3)  # fmt: skip
names = [f"{192 // n} mm, NEX {nex}" for n, nex in settings]
axes[2].set(xlabel="SNR measured / law", xlim=(0.94, 1.06), ylim=(5.6, -0.6))
axes[2].set_yticks(range(len(names)), names)
show(
    figure,
    caption=f"Left and middle: the density-weighted slice with one average and with sixteen. Right: SNR of white matter over what the law predicts from the first scan, mean and 95 % interval of "
    f"{len(snr_seeds)} seeds. However the SNR is bought, the ratio is 1.",
    alt="A noisy and a clean brain slice, and a plot of the ratio of measured to predicted SNR for six settings, all close to 1",
)

# %% [markdown]
# Noise has a last trick. The magnitude of zero plus noise is not zero. The real and the imaginary part are Gaussian with a standard deviation $\sigma$; the magnitude follows {term}`Rice's distribution <Rician distribution>`, whose mean is {cite}`gudbjartsson1995`
#
# $$ \langle |S + n| \rangle = \sigma\sqrt{\tfrac{\pi}{2}}\; e^{-x/2}\Big[(1 + x)\, I_0\big(\tfrac{x}{2}\big) + x\, I_1\big(\tfrac{x}{2}\big)\Big], \qquad x = \frac{S^2}{2\sigma^2}, $$ (contrast-rice)
#
# with modified Bessel functions $I_0$ and $I_1$. Without signal it is $1.25\,\sigma$. Fluid that is nulled in a FLAIR is not black, but as bright as the noise. Average sixteen *magnitude* images, and the floor
# is still there. Average the complex data first, and it sinks by four:

# %% tags=["hide-input"]
sigma, pixels = 0.05, run.pick(ci=2_000, cpu=20_000, gpu=200_000)
nulled = torch.zeros(16, pixels)
floors = {"1 magnitude image": [], "16 magnitudes averaged": [], "16 complex images averaged": []}  # fmt: skip
for number in range(len(snr_seeds)):
    generator = run.fresh_generator(200 + number)
    magnitudes = magnitude_with_noise(nulled, sigma, generator)
    complex_mean = complex_noise((16, pixels), sigma, generator).mean(0)
    for name, values in zip(floors, (magnitudes[0], magnitudes.mean(0), complex_mean.abs()), strict=True):  # fmt: skip
        floors[name].append(float(values.mean()) / sigma)

true_signal = torch.linspace(0, 5, 101)
rice = rician_mean(true_signal, 1.0)
half = true_signal.double().square() / 4
by_formula = math.sqrt(math.pi / 2) * (
    (1 + 2 * half) * torch.special.i0e(half) + 2 * half * torch.special.i1e(half)
)  # equation (contrast-rice); i0e(x) is exp(-x) I0(x)
torch.testing.assert_close(rice, by_formula)
dots = torch.arange(0, 5.1, 0.5)
drawn = [
    float(magnitude_with_noise(torch.full((pixels,), float(s)), 1.0, run.fresh_generator(300 + n)).mean())
    for n, s in enumerate(dots)
]  # fmt: skip
figure, ax = plt.subplots(figsize=(6.4, 3.2))
ax.plot(true_signal, true_signal, color=style.MUTED, linestyle="--", linewidth=1, label="no bias")  # fmt: skip
ax.plot(true_signal, rice, color=style.BLUE, label="equation")
ax.plot(dots, drawn, "o", color=style.ORANGE, label="simulated noise")
ax.set(xlabel="true signal / σ", ylabel="mean magnitude / σ", ylim=(0, None), xlim=(-0.1, 5.1))
ax.legend()
show(
    figure,
    caption="Below a signal of about 3 σ the magnitude lies: it reports noise as signal.",
    alt="Mean magnitude over true signal: flat at 1.25 near zero, joining the diagonal above 3",
)

# %% tags=["hide-input"]
# Closed equations against spins that play the sequence until it has settled
exact = {name: value.double() for name, value in field.items()}
spins = Spins(exact["t1_ms"], exact["t2_ms"], proton_density=exact["proton_density"])
times = {"echo_time_ms": 100.0, "repetition_time_ms": 9000.0}


def by_spins(inversion_ms):
    """The settled signal of all tissues in an inversion recovery, TR 9000, TE 100 ms."""
    rest = Delay(8900.0 - inversion_ms)
    once = [Pulse(180, 90), Delay(inversion_ms), Spoil(), *spin_echo(100.0), rest, Spoil()]
    return play(spins, once * 3, dim=()).signal[-1].real


error_equation = max(
    float((by_spins(ti) - inversion_recovery_signal(**exact, inversion_time_ms=ti, signed=True, **times)).abs().max())
    for ti in (100.0, 700.0, 2400.0)
)  # fmt: skip
null_found = optimize.brentq(lambda ti: float(by_spins(ti)[2]), 1000.0, 4000.0)
null_law = null_inversion_time_ms(4300.0, **times)
residual = float(flair_signal(**field, **times)[2] / flair_signal(**field, **times)[0])

flips = torch.linspace(1, 40, 391)


def best_flip_by_spins(t1_ms, repetition_ms):
    """The flip angle with the largest signal after 400 spoiled repetitions."""
    state = Spins(t1_ms, 60.0, torch.zeros(len(flips)))
    for _ in range(400):
        state = state.pulse(flips, 90).evolve(repetition_ms).spoil()
    return float(flips[state.pulse(flips, 90).transverse.real.argmax()])


def order(signal):
    names = [NAMES[at] for at in signal[:3].argsort(descending=True)]
    return " > ".join(name.split()[0] for name in names)


def orders(make):
    return [f"{strength:g} T: {order(make(strength))}" for strength in FIELDS_T]


inverted = {"inversion_time_ms": 700, "echo_time_ms": 5, "repetition_time_ms": 3000}
t1_orders = orders(lambda b: inversion_recovery_signal(**MAPS[b], **inverted, signed=True))
t2_orders = orders(lambda b: spin_echo_signal(**MAPS[b], **times))
low, high = (spin_echo_signal(**MAPS[b], echo_time_ms=12, repetition_time_ms=600)[0] for b in FIELDS_T)  # fmt: skip
field_gain = relative_snr(Acquisition(field_t=3.0), Acquisition(field_t=1.5)) * float(high / low)  # fmt: skip
floor_means = {name: mean_interval(values) for name, values in floors.items()}
best_white, best_grey = (best_flip_by_spins(t1_ms, 15.0) for t1_ms in (1084.0, 1820.0))

table(
    ["quantity", "source says", "measured here"],
    [
        ["closed equations against settled spins, largest error", "0", f"{error_equation:.1e}"],
        ["TI that nulls fluid, TR 9000, TE 100 ms (equation; found by following spins)", f"{null_law:.1f} ms", f"{null_found:.1f} ms"],
        ["fluid in the FLAIR, relative to white matter (Hajnal 1992: suppressed)", "0", f"{residual:.1e}"],
        ["T1-weighted, TI 700 ms: order of signals, with their sign", "white > grey > fluid", "; ".join(t1_orders)],
        ["T2-weighted, TE 100 ms: order of signals", "fluid > grey > white", "; ".join(t2_orders)],
        ["grey to white matter, FLAIR against T2-weighted (thesis section 3.1.4)", "similar contrast", f"{float(flair[1] / flair[0]):.2f} against {float(t2_weighted[1] / t2_weighted[0]):.2f}"],
        ["Ernst angle of white matter, TR 15 ms (Ernst 1966; found by following spins)", f"{ernst_angle_deg(15.0, 1084.0):.1f}°", f"{best_white:.1f}°"],
        ["Ernst angle of grey matter, TR 15 ms", f"{ernst_angle_deg(15.0, 1820.0):.1f}°", f"{best_grey:.1f}°"],
        *([f"SNR, {192 // n} mm, NEX {nex} (law: volume × √samples × √NEX)", f"× {laws[n, nex]:.2f}", f"× {gains[n, nex].shown()}"] for n, nex in settings[1:]),
        ["magnitude without signal, one image (Gudbjartsson 1995)", f"{math.sqrt(math.pi / 2):.4f} σ", f"{floor_means['1 magnitude image'].shown(4)} σ"],
        ["the same, 16 magnitudes averaged", f"{math.sqrt(math.pi / 2):.4f} σ", f"{floor_means['16 magnitudes averaged'].shown(4)} σ"],
        ["the same, 16 complex images averaged", f"{math.sqrt(math.pi / 2) / 4:.4f} σ", f"{floor_means['16 complex images averaged'].shown(4)} σ"],
        ["SNR of white matter, 3 T against 1.5 T, TR 600, TE 12 ms", "× 2 by the field", f"× {field_gain:.2f} with relaxation"],
    ],
    caption=f"Profile {run.profile.name}: synthetic slice at 1 mm, {len(snr_seeds)} seeds; ± is the 95 % interval of the mean over seeds (Student's t; noise drawn anew).",
)  # fmt: skip
run.record("contrast_error_equation", error_equation, low=0, high=1e-6, digits=0, scientific=True)  # fmt: skip
run.record("contrast_null_found", null_found, low=null_law - 0.1, high=null_law + 0.1, unit="ms", digits=0)  # fmt: skip
run.record("contrast_gain_nex16", gains[192, 16][0], low=3.85, high=4.15, digits=2)
run.record("contrast_gain_2mm", gains[96, 1][0], low=1.9, high=2.1, digits=2)
run.record("contrast_gain_4mm", gains[48, 1][0], low=3.4, high=4.6, digits=2)
run.record("contrast_floor", floor_means["16 magnitudes averaged"][0], low=1.24, high=1.27, unit="σ", digits=2)  # fmt: skip
run.record("contrast_floor_complex", floor_means["16 complex images averaged"][0], low=0.30, high=0.33, unit="σ", digits=2)  # fmt: skip
run.record("contrast_field_gain", field_gain, low=1.4, high=2.0, digits=2)
assert all(one.endswith("white > grey > fluid") for one in t1_orders)
assert all(one.endswith("fluid > grey > white") for one in t2_orders)
for key, at in (("grey", 1), ("lesion", 3)):
    kept = 100 * (flair[at] / flair[0]) / (t2_weighted[at] / t2_weighted[0])
    run.record(f"contrast_kept_{key}", kept, low=40, high=80, unit="%", digits=0)

# %% [markdown]
# **Exactness.** The closed equations and the spins agree to {glue:text}`contrast_error_equation` in 64 bits; followed spins lose their fluid at {glue:text}`contrast_null_found`.
#
# **Signs.** With an inversion the T1-weighted order holds at both fields, as long as the sign is kept (in magnitude it turns around near this TI); with the short spin echo of the first figure it holds at 3 T only, for the reason given above. The T2-weighted
# order is the same everywhere. What the thesis says of FLAIR is right for the order and too kind for the size: of their factor against white matter, grey matter keeps {glue:text}`contrast_kept_grey` and the lesion {glue:text}`contrast_kept_lesion`. What is won is that fluid is gone.
#
# **Noise.** Sixteen averages gain {glue:text}`contrast_gain_nex16`, voxels of 2 mm {glue:text}`contrast_gain_2mm` and of 4 mm {glue:text}`contrast_gain_4mm`: the law in all digits that the seeds can show. (Four times
# the area, but a quarter of the samples: twice the SNR.) The law is no deep truth here, since it is the noise model that we put in; what the experiment shows is that *nothing else* enters.
# Averaging sixteen magnitudes leaves the floor at {glue:text}`contrast_floor`; averaging complex data sinks it to {glue:text}`contrast_floor_complex`.
#
# **The field.** Doubling $B_0$ doubles the SNR of the same magnetisation. In the T1-weighted spin echo only a factor of {glue:text}`contrast_field_gain` arrives in white matter, because T1 is longer
# and less has recovered. The rest can be had by waiting.
#
# ## Where it breaks
#
# **The textbook's TI.** Many pages give $\mathrm{TI} = T_1 \ln 2$ for the null. It holds when spins recover fully, and fluid with T1 = 4.3 s would need a TR of 20 s. What if
# somebody types it into a scanner with a TR of 9 s?
#
# **Predict.** The TI would then be half a second too long. Is fluid a little grey, or as bright as the brain?

# %%
if use_long_tr_formula:
    wrong = 4300.0 * math.log(2)  # equation (contrast-null) for an endless TR
else:
    wrong = null_inversion_time_ms(4300.0, **flair_times)
broken = inversion_recovery_signal(**field, inversion_time_ms=wrong, **flair_times)
fluid_left = float(broken[2] / broken[0])
print(f"TI {wrong:.0f} ms, TR {flair_repetition_ms:.0f} ms")
print(f"fluid has {fluid_left:.2f} of the signal of white matter")

# %% tags=["hide-input"]
if use_long_tr_formula and flair_repetition_ms <= 10_000:
    assert fluid_left > 0.5, "the long-TR formula must leave fluid bright at this TR"
if not use_long_tr_formula:
    assert fluid_left < 0.01, "at the exact null, fluid must be below 1 % of white matter"
figure, axes = plt.subplots(1, 2, figsize=(7.0, 4.0))
exact_null = null_inversion_time_ms(4300.0, **flair_times)
draw(axes[0], image_of(flair), f"TI {exact_null:.0f} ms, exact")
draw(axes[1], image_of(broken), f"TI {wrong:.0f} ms")
show(
    figure,
    caption="The same FLAIR with two inversion times. On the right the ventricles have filled with grey again: what makes a FLAIR a FLAIR is gone.",
    alt="Two FLAIR slices: in the left one the ventricles are black, in the right one nearly as bright as white matter",
)
run.record("contrast_fluid_left", fluid_left, low=0, high=10, digits=2)

# %% [markdown]
# Fluid has {glue:text}`contrast_fluid_left` of the signal of white matter: the image is not a FLAIR any more. Because fluid's T2 is so long, the echo at 100 ms takes next to nothing from it, while white matter
# loses three quarters; an eighth of fluid's magnetisation is enough. Set `use_long_tr_formula = False` at the top and fluid is gone; set `flair_repetition_ms = 20000` and
# the formula becomes nearly right.
#
# **A T1 of another field.** The same happens to every null when T1 is not what one thinks. Suppose somebody copies a protocol that nulls grey matter from the 1.5 T scanner to the one with 3 T.

# %%
# NBVAL_CHECK_OUTPUT
times = {"repetition_time_ms": 6000.0, "echo_time_ms": 12.0}
copied = null_inversion_time_ms(tissue("grey matter", 1.5).t1_ms, **times)
needed = null_inversion_time_ms(tissue("grey matter", 3.0).t1_ms, **times)
grey_matter = tissue("grey matter", 3.0)
left = inversion_recovery_signal(
    1.0, grey_matter.t1_ms, grey_matter.t2_ms, inversion_time_ms=copied, **times
)
assert left > 0.15, "a null copied from another field must not be one"
print(f"TI copied {copied:.0f} ms, needed {needed:.0f} ms")
print(f"{100 * float(left):.0f} % of the signal of grey matter is left")

# %% [markdown]
# And it happens inside one image: blood that flows in was never inverted, and fluid that pulses through the slice does not obey the TI at which its neighbours vanish. Bright fluid in a real FLAIR is often motion.
#
# ## Exercises
#
# ### Exercise 1: make fat vanish
#
# The fat below the scalp is bright in T1-weighted images, and *short-TI inversion recovery* (STIR) removes it. Its T1 is 343 ms at 1.5 T and 382 ms at 3 T {cite}`debazelaire2004`.
# Which TI do you choose at TR = 4 s? Gadolinium shortens the T1 of a tumour to about that of fat. Why is STIR after {term}`contrast agent` a mistake?
#
# <details class="hint"><summary>Hint</summary>
#
# TR is ten times T1. Which of the two forms of equation {eq}`contrast-null` do you need?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $\mathrm{TI} = T_1 \ln 2$. The null does not ask whose T1 it is.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# 238 ms and 265 ms ($e^{-4000/382}$ is 0.00003, so the long-TR form is exact here). The inversion nulls *a T1*, not a tissue: a tumour that took up the contrast agent vanishes together with
# the fat, and the very thing one injected it for is invisible.
#
# </details>
#
# ### Exercise 2: what a quiet image costs
#
# A 3D scan at 1 mm with SNR 20 takes 4 minutes. You have 8 minutes. Give two ways to spend them and the SNR of each. Then: by how much must you lower the receiver's
# bandwidth to gain as much as equation {eq}`contrast-snr` gives for going from 1.5 T to 3 T?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`contrast-snr`: what enters linearly, what under the root?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Two averages; or more lines in one direction with smaller voxels. For the field: $\sqrt{1/\mathrm{BW}_r}$ must double.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# Two averages: $20\sqrt 2 = 28$. Or voxels of 0.5 mm along one phase-encoding direction, twice the lines: half the volume, $\sqrt 2$ from the samples, SNR $20/\sqrt 2 = 14$. The bandwidth must
# fall to a quarter. Each sample then takes four times as long, TE grows, and the shift between fat and water grows fourfold.
#
# </details>
#
# ### Exercise 3: the best TR, in code
#
# T1 contrast grows as TR shrinks, but not for ever, and a shorter TR leaves time for more averages. What one should make large is the contrast *per square root of time*, $|S_w - S_g| / \sqrt{\mathrm{TR}}$.
# Write `best_repetition_time_ms(t1_white_ms, t1_grey_ms)` for a spin echo with negligible TE and equal densities, where $S = 1 - e^{-\mathrm{TR}/T_1}$.
#
# <details class="hint"><summary>Hint</summary>
#
# Try many TR, say every millisecond up to some seconds, and take the best.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# `times = torch.arange(1.0, 10000.0)`; the contrast is $e^{-\mathrm{TR}/T_{1g}} - e^{-\mathrm{TR}/T_{1w}}$; divide by `times.sqrt()`, then `argmax`.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# About 690 ms for the values at 3 T, which is why "TR 600" stands on so many T1-weighted images. (Without the root it would be 1390 ms: twice the time for a fifth more contrast.) The cell after the exercise holds the code.
#
# </details>


# %% tags=["hide-input"]
def check_best_repetition_time(best_repetition_time_ms):
    def score(repetition_ms, white_ms, grey_ms, power):
        gap = math.exp(-repetition_ms / grey_ms) - math.exp(-repetition_ms / white_ms)
        return abs(gap) / repetition_ms**power

    for white_ms, grey_ms in ((1084.0, 1820.0), (600.0, 950.0)):
        grid = np.arange(1.0, 10_000.0)
        best, unpaid, per_time = (
            grid[np.argmax([score(t, white_ms, grey_ms, power) for t in grid])] for power in (0.5, 0.0, 1.0)
        )  # fmt: skip
        answer = best_repetition_time_ms(white_ms, grey_ms)
        if answer is None:
            return "it returned nothing; return the best TR in ms, a number."
        answer = float(answer)
        if abs(answer - unpaid) < 5:
            return f"{answer:.0f} ms is where the contrast itself is largest; divide by the square root of TR first."
        if abs(answer - per_time) < 5:
            return "this is the contrast per time; noise falls with the square root of the time only."
        if abs(answer - best) > 5:
            return f"for T1 of {white_ms:.0f} and {grey_ms:.0f} ms it gives {answer:.0f} ms, where {best:.0f} ms is better."
    return None


# %% tags=["exercise"]
def best_repetition_time_ms(t1_white_ms, t1_grey_ms):
    """The TR in ms with the largest T1 contrast per square root of time."""
    ...  # your code here


judge(check_best_repetition_time, best_repetition_time_ms)


# %% tags=["solution", "hide-cell"]
def best_repetition_time_ms(t1_white_ms, t1_grey_ms):
    """The TR in ms with the largest T1 contrast per square root of time."""
    # begin solution
    times = torch.arange(1.0, 10_000.0)
    contrast = (torch.exp(-times / t1_grey_ms) - torch.exp(-times / t1_white_ms)).abs()
    return float(times[(contrast / times.sqrt()).argmax()])
    # end solution


judge(check_best_repetition_time, best_repetition_time_ms)

# %% [markdown]
# ### Exercise 4: the slice of fat
#
# Protons of fat precess 434 Hz more slowly than those of water at 3 T. The pulse of the slice figure has a bandwidth of 2000 Hz and selects 5 mm. Where does it select fat? What would you change?
#
# <details class="hint"><summary>Hint</summary>
#
# A spin is hit where its own offset and the gradient's cancel. How many Hz is a millimetre?
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# 2000 Hz over 5 mm is 400 Hz/mm.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# 434/400 = 1.1 mm away, a fifth of the slice, on the side where the gradient raises the field: the fat and the water of one picture come from different places ({term}`chemical shift`). The shift
# is $\Delta f / \mathrm{BW}$ of the thickness, so a pulse with more bandwidth and a stronger gradient makes it smaller. Try it: `select_slice(Spins(382.0, 68.0, -434.0), ...)`.
#
# </details>
#
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "You shorten the TR of a FLAIR from 12 s to 8 s. What must happen to TI so that fluid stays black?",
        ("It stays: T1 of fluid has not changed", "T1 has not, but fluid now starts each time from less recovered magnetisation, so it reaches zero sooner."),
        right("It becomes shorter", "By the equation of the null: 2.7 s at TR 12 s, 2.3 s at 8 s."),
        ("It becomes longer", "The inversion starts from less than the full magnetisation: the way up to zero is shorter, not longer."),
    ),
    question(
        "An image has SNR 30. You halve the slice thickness and quadruple the number of averages. The new SNR?",
        right("30", "Half the volume halves it, four averages double it. The scan takes four times as long."),
        ("60", "Four averages give a factor of two, but half the thickness takes it back."),
        ("15", "Half the thickness alone gives 15; the averages double it again."),
    ),
    question(
        "In a magnitude image the air outside the head has the mean value 12.5. What is the standard deviation σ of the noise in the real part?",
        ("12.5", "The mean of a magnitude without signal is σ times √(π/2), so σ is smaller than the mean."),
        right("10", "√(π/2) = 1.25: air shows the Rayleigh floor, and 12.5 / 1.25 = 10."),
        ("8.2", "That is 0.655 × 12.5. The factor 0.655 takes σ to the standard deviation of the magnitude, not the mean to σ."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - A voxel shows the mixture of its tissues' signals; contrast is their difference, and it can be zero.
# - T1 and density pull grey and white matter in opposite directions. Where T1 differs little (1.5 T), an inversion (with its sign kept) does what a short TR cannot.
# - An inversion nulls a T1. For finite TR the null comes earlier than $T_1 \ln 2$, for fluid by half a second; a FLAIR lives on this number.
# - A pulse under a gradient excites its Fourier transform: duration, lobes and gradient set the thickness, a window trades ripples for soft edges.
# - SNR is voxel volume times the square root of the listening time, times the field. Halving a voxel's side in 3D costs a factor of 8 in the same listening time.
# - Magnitudes have a floor of $1.25\,\sigma$. Average before taking them.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | anatomy | ICBM 152 template, one axial slice; fluid is what is neither grey nor white inside its mask; it represents no single person |
# | lesion | **synthetic**: an ellipse with round relaxation times; no real disease looks like this |
# | relaxation times | T1 and T2 of grey and white matter: excised tissue {cite}`stanisz2005`; T2*: measured in people {cite}`peters2007`; T1 of fluid {cite}`rooney2007`; the rest are round numbers (`medlab/physics/mri/tissues.py`) |
# | images and noise | **synthetic**: computed by the code of this page from the seed shown at its top |
# | physics left out | trains of echoes (a real FLAIR or T2-weighted image reads 10 to 20 echoes after one excitation), magnetisation transfer, flow, coil profiles, imperfect inversion |
# | claims | none about patients or scanners |
#
# ## Further reading
#
# The first FLAIR images are in {cite}`hajnal1992`. {cite}`haacke1999` derives every equation of this page at length, {cite}`bernstein2004` designs the pulses. Why the patient is the source of the
# noise, and how it grows with the field, is in {cite}`hoult1976` and {cite}`edelstein1986`; what magnitude does to noise in {cite}`gudbjartsson1995`.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
