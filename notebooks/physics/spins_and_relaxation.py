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
#     - start/images_in_space
#     summary: How pulses tip hydrogen spins, how they relax, and why an MR image shows
#       what it shows.
#     weights: []
# ---

# %% [markdown]
# # Spins and relaxation
#
# An MR scanner takes pictures of water. It does so with nuclei that behave like tiny tops, a magnet that lines them up, a radio
# that knocks them over, and a listening coil. Grey and white matter look different in these pictures because the knocked-over
# spins come back at different speeds. This lesson follows the spins, one rotation and one decay at a time, until
# an image of a brain comes out whose contrast you can set with two sliders.
#
# **You will be able to**
#
# - compute how strongly hydrogen is polarised in a magnet, and at which frequency it answers
# - follow a magnetisation through any sequence of pulses and delays with two exact steps, a rotation and a relaxation
# - tell T2 from T2*, and measure T2 with echoes and T2* without
# - choose an echo time and a repetition time that make an image T1-, T2- or density-weighted
# - say what a spin echo brings back and what not, and what an imperfect pulse does to it
#
# **You need** [Images in space](../start/images_in_space.ipynb), for the brain and its convention of left and right. Vectors,
# complex numbers and the exponential function should be old friends.

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
field_spread_ut = 0.05  # half width of the field's spread in µT, in "Dephasing"
diffusion_um2_per_ms = 2.0  # how far spins wander, in "Where it breaks"; 0: not at all
euler_step_ms = 0.1  # step of the naive solver, in "Where it breaks"

# %% tags=["hide-input"]
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap

from medlab.data import load_icbm152
from medlab.metrics import mean_interval
from medlab.physics.mri.spins import BOLTZMANN_J_PER_K, GAMMA_RAD_PER_S_T, HBAR_J_S, Delay
from medlab.physics.mri.spins import Pulse, Read, Spins, Spoil, draw_lorentzian_hz
from medlab.physics.mri.spins import ernst_angle_deg, ernst_signal, free_induction_decay
from medlab.physics.mri.spins import half_width_hz, larmor_frequency_mhz, multi_echo
from medlab.physics.mri.spins import polarisation, polarisation_small_field, read_at, rotation
from medlab.physics.mri.spins import spaced_lorentzian_hz, spin_echo, spoiled_gradient_echo
from medlab.physics.mri.spins import t2_star_ms
from medlab.physics.mri.spins import run as play
from medlab.viz import explore, show, slices, style, table
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
# T1 and T2 in ms at 3 T and proton density relative to water. Grey and white matter: Stanisz 2005; fluid and densities: round.
TISSUES = {"white matter": (1084, 69, 0.70), "grey matter": (1820, 99, 0.83), "fluid": (4300, 2000, 1.0)}  # fmt: skip
T1, T2, DENSITY = (
    torch.tensor(column, dtype=torch.float32) for column in zip(*TISSUES.values(), strict=True)
)
COLOURS = dict(zip(TISSUES, (style.BLUE, style.ORANGE, style.GREEN), strict=True))

template = load_icbm152()
white, grey, mask = (volume.data[0, :, :, 92] for volume in (template.white, template.grey, template.mask))  # fmt: skip
fluid = (mask - white - grey).clamp(min=0)
share = torch.stack([white, grey, fluid])  # of each tissue in each voxel of one axial slice


def repeated_spin_echo(echo_ms, repetition_ms):
    """The signal of each tissue in a spin-echo image, by following its spins through two repetitions."""
    once = [*spin_echo(echo_ms), Delay(repetition_ms - echo_ms), Spoil()]
    return play(Spins(T1, T2, proton_density=DENSITY), once * 2, dim=()).signal[-1].abs()


def image_of(signal):
    """One axial slice (X, Y, 1): each voxel is the mixture of its tissues."""
    return torch.einsum("t,txy->xy", signal, share)[..., None]


figure, axes = plt.subplots(1, 3, figsize=(9.0, 3.9))
for ax, (name, echo, repetition) in zip(
    axes,
    (("T1-weighted", 12, 600), ("density-weighted", 12, 8000), ("T2-weighted", 100, 8000)),
    strict=True,
):
    picture = image_of(repeated_spin_echo(echo, repetition))
    slices.draw_slice(ax, picture, index=0, window=(0, float(picture.quantile(0.998))))
    ax.set_title(f"{name}\nTE {echo} ms, TR {repetition} ms", fontsize=10)
show(
    figure,
    caption="One brain, three images, one simulation: what differs is only when we listened (the echo time TE) and how "
    "long we waited before doing it again (the repetition time TR).",
    alt="Three axial brain slices: white matter bright in the first, nearly equal tissues in the second, fluid bright in the third",
)

# %% [markdown]
# The anatomy is the ICBM 152 {term}`template` {cite}`fonov2011`; its relaxation times are values measured on tissue at 3 T
# {cite}`stanisz2005`, the same for every voxel of a tissue. So these are *synthetic* images, and no scanner's noise or artefact
# is in them. By the end of the lesson you will have built them yourself.
#
# ## A small excess of order
#
# The nucleus of hydrogen, a single proton, has a {term}`spin`: it carries a magnetic moment and an angular momentum. In a field
# $B_0$ the moment has two levels of energy, along the field and against it, and they are only
# $\gamma\hbar B_0$ apart. Heat keeps the two nearly equally filled. Boltzmann's distribution leaves an excess in
# the lower one, the {term}`polarisation` (eq. 3.1 of the thesis {cite}`thesis` whose methods this book builds):
#
# $$ p = \frac{N_\uparrow - N_\downarrow}{N_\uparrow + N_\downarrow} = \tanh\frac{\gamma\hbar B_0}{2 k_B T} \approx
# \frac{\gamma\hbar B_0}{2 k_B T}. $$ (spins-polarisation)
#
# Here $\gamma$ is the {term}`gyromagnetic ratio` of the proton, $k_B$ Boltzmann's constant and $T$ the absolute temperature.
# (The thesis prints $4\pi$ in place of 2. That is right with Planck's $h$, which its text names, and $2\pi$ too small with the
# $\hbar$ in its formula.)
#
# **Predict.** Of a million protons in a magnet of 1.5 T at room temperature, how many more point along the field than against it?
# Ten thousand, a hundred, five?

# %%
# NBVAL_CHECK_OUTPUT
room_k = 293.15
ratio = GAMMA_RAD_PER_S_T * HBAR_J_S * 1.5 / (2 * BOLTZMANN_J_PER_K * room_k)
# equation (spins-polarisation):
assert math.isclose(math.tanh(ratio), polarisation(1.5, room_k))

for field in (0.5, 1.5, 3.0, 7.0):
    excess, frequency = polarisation(field, room_k) * 1e6, larmor_frequency_mhz(field)
    print(f"{field:3.1f} T: {excess:5.2f} in a million, answering at {frequency:6.2f} MHz")
small = polarisation_small_field(7, room_k) / polarisation(7, room_k)
print(f"the small-field form is off by {small - 1:.0e} at 7 T")

# %% [markdown]
# Five in a million. MR lives on this: a cubic millimetre of water holds $6.7 \times 10^{19}$ protons, so five in a
# million is still $3 \times 10^{14}$ of them, pulling together. It also explains why people pay for 7 T: the excess
# grows in proportion to the field.
#
# From now on we forget single protons and follow their sum, the {term}`magnetisation` $\mathbf{M}$, a vector of ordinary
# physics. In equilibrium it points along the field and has the length $M_0 \propto p$.
#
# ## Precession, and a frame that turns along
#
# A magnetisation that is not parallel to the field does not fall into it. It circles around it, as a top circles around the
# vertical ({term}`precession`), at the {term}`Larmor frequency` (thesis eq. 3.2):
#
# $$ \omega_0 = \gamma B_0, \qquad f_0 = \frac{\gamma}{2\pi} B_0, \qquad \frac{\gamma}{2\pi} = 42.58\ \mathrm{MHz/T}. $$ (spins-larmor)
#
# The circling magnetisation induces a voltage in a coil: that is the signal. All of MR rests on the fact that this frequency
# can be measured so precisely that a change of the field by a millionth (128 Hz at 3 T) is large.
#
# Nobody wants to watch 128 million turns a second. We step onto a carousel that turns at $f_0$, the {term}`rotating frame`. On it,
# a spin at exactly the Larmor frequency stands still, and another one turns slowly at its {term}`off-resonance` $\Delta f$. Bloch wrote
# down what happens there, with relaxation added {cite}`bloch1946`. With $M_{xy} = M_x + i M_y$ the {term}`Bloch equations`
# without a radio field are
#
# $$ \frac{dM_{xy}}{dt} = \Big(2\pi i\,\Delta f - \frac{1}{T_2}\Big) M_{xy}, \qquad
# \frac{dM_z}{dt} = \frac{M_0 - M_z}{T_1}. $$ (spins-bloch)
#
# The transverse part turns and fades with the time $T_2$; the longitudinal part grows back to $M_0$ with the time $T_1$. Both
# can be solved on paper, for any time $t$ at once:
#
# $$ M_{xy}(t) = M_{xy}(0)\, e^{2\pi i\,\Delta f\, t - t/T_2}, \qquad
# M_z(t) = M_0 + \big(M_z(0) - M_0\big)\, e^{-t/T_1}. $$ (spins-free)
#
# (Sign: as in thesis eq. 3.4, a positive $\Delta f$ turns anticlockwise. Protons in a real magnet turn the other way; nothing here
# depends on it.)

# %%
spins = Spins(t1_ms=1820.0, t2_ms=99.0, off_resonance_hz=torch.tensor([5.0, -12.0]))
tipped = spins.pulse(60)  # somewhere between the field and the transverse plane
time = 23.0

turn = torch.exp(2j * math.pi * spins.off_resonance_hz * time / 1000 - time / spins.t2_ms)
recovery = torch.exp(-time / spins.t1_ms)
transverse = tipped.transverse * turn  # equation (spins-free), left
longitudinal = 1 + (tipped.longitudinal - 1) * recovery  # and right, with M0 = 1

later = tipped.evolve(time)
torch.testing.assert_close(transverse, later.transverse)
torch.testing.assert_close(longitudinal, later.longitudinal)

# %% [markdown]
# `Spins` is a batch: two spins here, 100,000 below. `evolve` takes no small steps. It applies equation {eq}`spins-free`, so
# its error is that of rounding, however long the time.
#
# ## Tipping with a radio pulse
#
# A second field $B_1$, a few millionths of the first, turns at the Larmor frequency in the transverse plane. On the carousel it stands still,
# and the magnetisation precesses around *it*. After the time $\tau$ it has turned by the {term}`flip angle` (in radians
# here; text and code give it in degrees)
#
# $$ \alpha = \gamma B_1 \tau. $$ (spins-flip)
#
# A short, strong pulse is thus a rotation about an axis in the plane, at an angle $\varphi$ (the pulse's phase) from $x$:
#
# $$ R_\varphi(\alpha) = R_z(\varphi)\,
# \begin{pmatrix} 1 & 0 & 0 \\ 0 & \cos\alpha & -\sin\alpha \\ 0 & \sin\alpha & \cos\alpha \end{pmatrix}
# R_z(-\varphi). $$ (spins-rotation)
#
# **Predict.** Where does $\mathbf{M} = (0, 0, 1)$ end after a pulse of 90° about $y$? After 180°? And where does a 180° pulse about $x$
# bring a magnetisation that lies in the plane at $(\cos 30°, \sin 30°, 0)$?


# %%
# NBVAL_CHECK_OUTPUT
def about_z(angle):
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])


phi, c, s = math.radians(25), math.cos(math.radians(70)), math.sin(math.radians(70))
about_x = torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]])
by_hand = about_z(phi) @ about_x @ about_z(-phi)  # equation (spins-rotation)
torch.testing.assert_close(by_hand, rotation(70, 25))

up, in_plane = torch.tensor([0.0, 0, 1]), torch.tensor([math.cos(math.pi / 6), 0.5, 0])
for name, vector in {
    "90° about y": rotation(90, 90) @ up,
    "180° about y": rotation(180, 90) @ up,
    "180° about x, from the plane": rotation(180, 0) @ in_plane,
}.items():
    x, y, z = (round(part, 2) + 0.0 for part in vector.tolist())  # + 0.0: no minus zero
    print(f"{name:30s} ({x:5.2f}, {y:5.2f}, {z:5.2f})")

# %% [markdown]
# A 90° pulse lays the magnetisation into the plane, where it can be heard. A 180° pulse turns it upside down (*inversion*). And a 180°
# pulse on a magnetisation that lies in the plane acts as a mirror: the angle +30° became −30°. Remember this mirror.
#
# How strong is $B_1$? Equation {eq}`spins-flip` with a 90° pulse of 1 ms asks for 5.9 µT. During that time the magnetisation
# also precesses and relaxes. Then the equations couple all three components, and they also pull towards the constant
# $M_0$. As an affine does for a shift, a fourth component that is always 1 takes this in, and the exact answer is the exponential of a $4 \times 4$ matrix.
# `irradiate` computes it. Let us see what a pulse does to spins that are not on resonance:

# %% tags=["hide-input"]
offsets = torch.linspace(-6000, 6000, 801)
figure, ax = plt.subplots(figsize=(7.0, 3.2))
for length, colour in ((1.0, style.BLUE), (0.2, style.ORANGE)):
    amplitude = 0.25 / (length / 1000)  # in Hz: a quarter of a turn in the pulse's length
    after = Spins(1084.0, 69.0, offsets).irradiate(length, (0.0, amplitude))
    field_ut = 1e6 * 2 * math.pi * amplitude / GAMMA_RAD_PER_S_T
    ax.plot(offsets, after.transverse.abs(), color=colour, label=f"{length:g} ms at {field_ut:.1f} µT")  # fmt: skip
ax.set(xlabel="off-resonance Δf (Hz)", ylabel="|M$_{xy}$| after the pulse", ylim=(0, 1.05))
ax.legend(title="90° pulse")
show(
    figure,
    caption="A pulse of 1 ms reaches spins within some 500 Hz of its own frequency, is blind at 970 Hz, and has ripples beyond; "
    "five times shorter and five times stronger, it reaches five times further.",
    alt="Transverse magnetisation against off-resonance: a narrow bell with side lobes and a five times wider one",
)

# %% [markdown]
# Long pulses are selective, short ones are not. With a field that changes from slice to slice, this selects a slice (a later
# lesson). Here we use pulses so short that they tip everyone, `pulse(α, φ)`.
#
# ## Two ways back: T1 and T2
#
# After a 90° pulse about $y$ we have $M_{xy} = M_0$ and $M_z = 0$, and equation {eq}`spins-free` becomes (thesis eq. 3.4, in the rotating
# frame; there $\omega_0 t$ stands in place of our $2\pi\Delta f t$):
#
# $$ M_{xy} = M_0\, e^{-t/T_2} \begin{pmatrix} \cos 2\pi\Delta f t \\ \sin 2\pi\Delta f t \end{pmatrix}, \qquad
# M_z = M_0 \big(1 - e^{-t/T_1}\big). $$ (spins-recovery)
#
# **Predict.** Grey matter has $T_1 = 1820$ ms and $T_2 = 99$ ms. When does its signal have 37 % left? And when will $M_z$ have come back to 63 %?

# %% tags=["hide-input"]
times = torch.linspace(0, 6000, 601)[:, None]
after = Spins(T1, T2).pulse(90, 90).evolve(times)  # (401 times, 3 tissues)
figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.2))
for at, (name, colour) in enumerate(COLOURS.items()):
    axes[0].plot(times, after.longitudinal[:, at], color=colour, label=name)
    axes[0].plot(T1[at], 1 - math.exp(-1), "o", color=colour)
    axes[1].plot(times, after.transverse[:, at].abs(), color=colour)
    axes[1].plot(T2[at], math.exp(-1), "o", color=colour)
for ax, level, label in ((axes[0], 1 - math.exp(-1), "63 %"), (axes[1], math.exp(-1), "37 %")):
    ax.axhline(level, color=style.MUTED, linewidth=0.8, linestyle="--")
    ax.annotate(
        label, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=style.MUTED
    )  # fmt: skip
axes[0].set(
    title="Recovery along the field",
    xlabel="time after the pulse (ms)",
    ylabel="M$_z$ / M$_0$",
    ylim=(0, 1.05),
)
axes[1].set(
    title="Decay across the field",
    xlabel="time after the pulse (ms)",
    ylabel="|M$_{xy}$| / M$_0$",
    xlim=(0, 400),
)
axes[0].legend(loc="lower right")
show(
    figure,
    caption="The two relaxations of three tissues at 3 T after a 90° pulse; each dot stands at that tissue's T1 or T2 (fluid's "
    "T2, 2 s, lies far off the right plot, whose axis is 15 times shorter): signals fade long before the magnetisation has come back.",
    alt="Left: three rising curves, white matter fastest, fluid slowest. Right: three falling curves, white matter fastest, fluid nearly flat",
)

# %% [markdown]
# At 99 ms and at 1820 ms, by definition. Two different things happen. $T_1$: the spins give energy to their surroundings (the
# "lattice"), which takes seconds. $T_2$: the spins fall out of step with one another because neighbours disturb each other's field. No energy is
# needed for that, so it is faster. It is often said that the two are independent; they are not quite: whatever restores $M_z$ also
# destroys $M_{xy}$, so that always $T_2 \le 2\,T_1$. (`Spins` refuses anything else.)
#
# ## Dephasing: T2*
#
# Real fields are not uniform. In one {term}`voxel` there are spins with many frequencies $\Delta f$, and what the coil hears is their sum.
# They start together, drift apart, and soon point everywhere: the sum is gone while each single spin is still there. For
# frequencies that follow a {term}`Lorentzian`, the sum decays exponentially, and the total rate is (thesis eq. 3.3)
#
# $$ \frac{1}{T_2^*} = \frac{1}{T_2} + \gamma\,\Delta B_0, $$ (spins-t2star)
#
# where $\Delta B_0$ is the half width at half maximum of the field's distribution. (The thesis calls it the variation of the field. Only for a
# Lorentzian is the equation exact: uniformly spread frequencies would give a {term}`sinc`, Gaussian ones a Gaussian.)
#
# **Predict.** The spread set at the top is 0.05 µT, one part in 60 million of a 3 T magnet. Does it matter?

# %%
count = run.pick(ci=5_000, cpu=100_000, gpu=1_000_000)
width_hz = half_width_hz(field_spread_ut * 1e-6)
tissue = Spins(1820.0, 99.0, spaced_lorentzian_hz(count, width_hz).float(), device=run.device)

when = torch.arange(0.0, 80.5, 1.0)
decay = play(tissue, read_at(free_induction_decay(80.0), when)).signal.abs().cpu()


def fitted_time(times, signal):
    """The time constant of an exponential, by a straight line through the logarithms."""
    logarithms = np.log(np.asarray(signal, dtype=float))
    return -1 / np.polyfit(np.asarray(times, dtype=float), logarithms, 1)[0]


measured, predicted = fitted_time(when, decay), t2_star_ms(99.0, field_spread_ut * 1e-6)
print(f"{count:,} spins: T2* = {measured:.2f} ms; T2 is 99 ms")
print(f"equation (spins-t2star): T2* = {predicted:.2f} ms")

# %% [markdown]
# The signal decays more than twice as fast as T2 alone would have it. This signal, which follows a single pulse and rings down, is called the
# {term}`free induction decay`.
#
# ## The spin echo
#
# In 1950 Erwin Hahn noticed that the lost signal can be called back {cite}`hahn1950`. Think of runners on a track who start together, each
# with a constant speed. After a while they are spread out. Now all turn around at one signal. The fastest has the longest way back, and
# all arrive at the start together. With spins, not the speed is reversed but the
# place: a 180° pulse at the time TE/2 mirrors each phase $\phi$ to $-\phi$, which puts the fastest as far behind as it was ahead. The
# same $\Delta f$ then adds the same phase again, and at TE it is zero for everyone:
#
# $$ \phi(\mathrm{TE}) = -2\pi\Delta f\,\frac{\mathrm{TE}}{2} + 2\pi\Delta f\,\frac{\mathrm{TE}}{2} = 0 . $$ (spins-echo)
#
# Move the time. At 0 ms all arrows lie on top of one another; between 29 and 31 ms the refocusing pulse acts; the echo is at 60 ms. Then choose the
# other refocusing angles. What happens without a pulse (0°)? And how bad is a pulse of 120°?

# %% tags=["hide-input"]
FAN_HZ = (torch.arange(23) - 11) * 50 / 23
FAN_TIMES = torch.arange(0.0, 90.5, 1.0)
slow_to_fast = LinearSegmentedColormap.from_list("fan", [style.BLUE, style.PURPLE, style.ORANGE])  # fmt: skip
fan_colours = slow_to_fast(np.linspace(0, 1, len(FAN_HZ)))


def fan(refocusing_angle_deg):
    """The fan's transverse magnetisation (times, spins); T1 and T2 are left out to see the phases alone."""
    events = [Pulse(90, 90), Delay(30), Pulse(refocusing_angle_deg, 0), Delay(60)]
    return play(Spins(math.inf, math.inf, FAN_HZ), read_at(events, FAN_TIMES), dim=()).signal


fans = {angle: fan(angle) for angle in (0, 120, 180)}


def draw_fan(time_ms, refocusing_angle_deg):
    all_times = fans[refocusing_angle_deg]
    now = all_times[time_ms]
    figure, (left, right_) = plt.subplots(1, 2, figsize=(7.6, 3.3), width_ratios=(1, 1.35))
    left.add_patch(plt.Circle((0, 0), 1, fill=False, color=style.MUTED, linewidth=0.8))
    for arrow, colour in zip(now.tolist(), fan_colours, strict=True):
        left.plot([0, arrow.real], [0, arrow.imag], color=colour, linewidth=1.6)
    total = complex(now.mean())
    left.plot([0, total.real], [0, total.imag], color=style.INK, linewidth=4, alpha=0.75)
    left.set(
        aspect="equal",
        xlim=(-1.1, 1.1),
        ylim=(-1.1, 1.1),
        title=f"t = {time_ms} ms",
        xlabel="M$_x$",
        ylabel="M$_y$",
    )
    left.set(xticks=[], yticks=[])
    right_.plot(FAN_TIMES, all_times.mean(dim=1).abs(), color=style.BLUE)
    right_.plot(time_ms, abs(total), "o", color=style.INK, markersize=8)
    right_.axvline(30, color=style.MUTED, linewidth=0.8, linestyle="--")
    right_.annotate(
        "pulse",
        (30, 1.0),
        color=style.MUTED,
        fontsize=9,
        ha="left",
        textcoords="offset points",
        xytext=(4, 0),
    )
    right_.set(
        xlabel="time (ms)", ylabel="signal", ylim=(0, 1.08), xlim=(-2, 92), title="What the coil hears"
    )  # fmt: skip
    return figure


explore(
    draw_fan,
    caption="Each coloured line is a spin seen from above, blue slow and orange fast; the thick line is their mean, the signal. Before the pulse the "
    "orange ones lead. It mirrors the fan about the x axis, and the orange ones come back from behind.",
    alt=lambda time_ms, refocusing_angle_deg: (
        f"Fan of 23 spins at {time_ms} ms with refocusing by {refocusing_angle_deg} degrees; "
        f"their mean is {abs(complex(fans[refocusing_angle_deg][time_ms].mean())):.2f}"
    ),
    labels={"time_ms": "time (ms)", "refocusing_angle_deg": "refocusing angle (°)"},
    start={"time_ms": 10, "refocusing_angle_deg": 180},
    time_ms=[0, 5, 10, 15, 20, 25, 29, 31, 35, 40, 45, 50, 55, 60, 65, 70, 80, 90],
    refocusing_angle_deg=[0, 120, 180],
)

# %% [markdown]
# The echo is perfect at 180°, and a 120° pulse still brings back three quarters: of each spin it mirrors the share $\sin^2(\alpha/2)$, and nothing at 0°
# (exercise 4 derives it). With relaxation,
# the echo at TE has lost $e^{-\mathrm{TE}/T_2}$, the true T2, not T2*. A sequence in `medlab` is nothing but a list of events. Here is the
# echo, event by event, and then the function that does the same:

# %%
events = [Pulse(90, 90), Delay(20.0), Pulse(180, 0), Delay(20.0), Read()]
by_hand = tissue
for event in events:
    by_hand = event.apply(by_hand)

echo = play(tissue, spin_echo(40.0)).signal[0]
torch.testing.assert_close(by_hand.transverse.mean(), echo)
assert math.isclose(echo.abs(), math.exp(-40 / 99), rel_tol=1e-4)

# %% [markdown]
# With more mirrors there are more echoes. Their peaks trace T2, while after each the signal falls with T2*, and rises again towards the next:

# %% tags=["hide-input"]
when = torch.arange(0.0, 160.5, 0.5)
train = play(tissue, read_at(multi_echo(40.0, 4), when)).signal.abs().cpu()
plain = play(tissue, read_at(free_induction_decay(160.0), when)).signal.abs().cpu()
figure, ax = plt.subplots(figsize=(7.6, 3.3))
ax.plot(when, train, color=style.BLUE, label="four echoes, TE spacing 40 ms")
ax.plot(when, plain, color=style.ORANGE, label="no refocusing pulse")
ax.plot(
    when, torch.exp(-when / 99), color=style.MUTED, linestyle="--", linewidth=1.2, label="exp(−t/T$_2$)"
)  # fmt: skip
ax.plot(
    when,
    torch.exp(-when / predicted),
    color=style.MUTED,
    linestyle=":",
    linewidth=1.4,
    label="exp(−t/T$_2$*)",
)
for pulse_time in (20, 60, 100, 140):
    ax.axvline(pulse_time, color=style.MUTED, linewidth=0.5)
ax.set(xlabel="time (ms)", ylabel="|signal| / M$_0$", ylim=(0, 1.05))
ax.legend()
show(
    figure,
    caption="Refocusing pulses (thin lines, at 20, 60, 100, 140 ms) bring the signal back up to the T2 curve at 40, 80, 120, 160 ms.",
    alt="A signal that falls with T2*, is mirrored at each pulse and peaks at each echo on the slower T2 curve; without pulses it just decays",
)

# %% [markdown]
# ## From spins to contrast
#
# An image needs many echoes, one for each line of data. So the experiment is repeated after the {term}`repetition time` TR, and what matters is how
# much $M_z$ has come back by then. For a 90° pulse, a 180° pulse at TE/2, and nothing left in the plane when the next repetition begins, the signal of a tissue is
#
# $$ S = \rho\,\big(1 - 2e^{-(\mathrm{TR} - \mathrm{TE}/2)/T_1} + e^{-\mathrm{TR}/T_1}\big)\, e^{-\mathrm{TE}/T_2}
# \;\approx\; \rho\,\big(1 - e^{-\mathrm{TR}/T_1}\big)\, e^{-\mathrm{TE}/T_2}, $$ (spins-signal)
#
# with the {term}`proton density` $\rho$, the approximation holding for TE much shorter than TR {cite}`nishimura2010`. The first bracket asks *has it
# recovered?* (T1), the last factor *has it faded?* (T2). `repeated_spin_echo` at the top of the page does not know this formula; it follows the spins:

# %%
for echo_ms, repetition_ms in ((12.0, 600.0), (100.0, 8000.0)):
    since_pulse = repetition_ms - echo_ms / 2
    recovered = 1 - 2 * torch.exp(-since_pulse / T1) + torch.exp(-repetition_ms / T1)
    formula = DENSITY * recovered * torch.exp(-echo_ms / T2)  # equation (spins-signal)
    torch.testing.assert_close(repeated_spin_echo(echo_ms, repetition_ms), formula)

# %% [markdown]
# **Predict.** Start from TE 10 and TR 10000 ms: little has faded (white matter a seventh), most has recovered (of fluid nine tenths), and $\rho$ dominates. Shorten TR: which tissue darkens first? Go back,
# and lengthen TE: which one stays?


# %% tags=["hide-input"]
def draw_contrast(echo_ms, repetition_ms):
    signal = repeated_spin_echo(echo_ms, repetition_ms)
    picture = image_of(signal)
    figure, (left, right_) = plt.subplots(1, 2, figsize=(7.4, 3.6), width_ratios=(1, 0.8))
    slices.draw_slice(left, picture, index=0, window=(0, float(picture.quantile(0.998))))
    bars = right_.barh(list(TISSUES), signal, color=list(COLOURS.values()))
    right_.bar_label(bars, fmt="%.2f", padding=3, color=style.INK, fontsize=9)
    right_.set(
        xlim=(0, 1.15), xlabel="signal (density of water = 1)", title=f"TE {echo_ms}, TR {repetition_ms} ms"
    )  # fmt: skip
    return figure


explore(
    draw_contrast,
    caption="The image is windowed to its own brightest tissue, as a viewer does; the bars show the signal itself. The best contrast is rarely "
    "where the signal is largest.",
    alt=lambda echo_ms, repetition_ms: (
        "Axial brain slice; signals of "
        + ", ".join(
            f"{n} {s:.2f}"
            for n, s in zip(TISSUES, repeated_spin_echo(echo_ms, repetition_ms).tolist(), strict=True)
        )
    ),
    labels={"echo_ms": "echo time TE (ms)", "repetition_ms": "repetition time TR (ms)"},
    start={"echo_ms": 10, "repetition_ms": 10000},
    echo_ms=[10, 30, 60, 90, 120],
    repetition_ms=[300, 600, 1200, 2500, 5000, 10000],
)  # fmt: skip

# %% [markdown]
# Fluid, with the longest T1, darkens first when TR shrinks: short TE and short TR give a **T1-weighted** image, in which white matter is
# brightest. With long TR and long TE only fluid is left, since its T2 is 2 s: a **T2-weighted** image. And with a long TR and a short TE, both relaxations
# count little: **density-weighted**. The fourth corner, short TR and long TE, mixes both and loses the signal. Nobody uses it.
#
# ## The experiment: is an echo train an honest clock?
#
# T2 is measured by fitting an exponential to a train of echoes. But no refocusing pulse is exactly 180° everywhere in a head: at 3 T a
# local error of a tenth is common. In Carr and Purcell's train {cite}`carr1954` each pulse adds its error to that of the last. Meiboom and
# Gill {cite}`meiboom1958` found that it is enough to shift the phase of the refocusing pulses by 90°, so that they turn about the axis
# along which the spins lie: then an error has nothing to act on, and what is left cancels at every second echo. How much does
# this small change matter? We measure T2 of grey matter (99 ms) in a field with random off-resonances and with noise, with several seeds.
#
# **Predict.** A pulse of 177° is wrong by 1.7 %. By how many per cent will T2 be wrong after twelve such pulses?


# %%
def echo_train(angle, phase, generator, echoes=12):
    """Times and heights of the echoes of one noisy train of spins in a random field."""
    off_hz = draw_lorentzian_hz(train_spins, width_hz, generator).float()
    grey_matter = Spins(1820.0, 99.0, off_hz, device=run.device)
    recording = play(grey_matter, multi_echo(10.0, echoes, angle, phase))
    noise = 0.002 * torch.randn(2, echoes, generator=generator)
    return recording.time_ms, (recording.signal.cpu() + torch.complex(*noise)).abs()


train_spins = run.pick(ci=2_000, cpu=20_000, gpu=200_000)
trains = {}
for angle, phase in ((180, 90), (177, 90), (177, 0), (160, 0)):
    name = f"{angle}°, {'Carr–Purcell' if phase else 'Meiboom–Gill'}"
    seeds = [run.fresh_generator(10 + n) for n in range(run.pick(ci=3, cpu=30, gpu=60))]
    trains[name] = [echo_train(angle, phase, seed) for seed in seeds]
t2 = {name: [fitted_time(*train) for train in made] for name, made in trains.items()}

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7.4, 3.3))
trains_shown = {**trains, "160°, Carr–Purcell": [echo_train(160.0, 90.0, run.fresh_generator(10))]}  # fmt: skip
markers = dict(zip(trains_shown, "os^vx", strict=True))
for (name, made), colour in zip(trains_shown.items(), style.CYCLE, strict=False):
    ax.plot(*made[0], marker=markers[name], markersize=5, linewidth=1.2, color=colour, label=name)  # fmt: skip
ax.set(xlabel="time of the echo (ms)", ylabel="height / M$_0$", ylim=(0, 1))
ax.legend(title="refocusing pulses", ncols=2)
show(
    figure,
    caption="Echo heights of one seed. With Carr and Purcell's phase, errors add up: at 177° the train falls too fast, at 160° it is no "
    "decay at all. With Meiboom and Gill's phase even 160° is as good as 180°.",
    alt="Echo heights over time: three curves coincide on one exponential, 177° Carr–Purcell falls faster, 160° Carr–Purcell oscillates",
)

# %% tags=["hide-input"]
# 32-bit spins against equation (spins-recovery) in 64 bits
step = torch.tensor([0.0, 30.0, 99.0, 400.0, 1820.0])[:, None].double()
off = torch.tensor([-40.0, 0.0, 3.0, 180.0]).double()
after = Spins(1820.0, 99.0, off.float()).pulse(90, 90).evolve(step.float())
error_decay = (after.transverse - torch.exp(2j * math.pi * off * step / 1000 - step / 99)).abs().max()  # fmt: skip
error_recovery = (after.longitudinal - (1 - torch.exp(-step / 1820))).abs().max()

thousand = Spins(math.inf, math.inf, 200 * torch.randn(1000, generator=run.fresh_generator(3)))
error_echo = (play(thousand, spin_echo(50.0), dim=()).signal[0] - 1).abs().max()

angles = (3.0, 10.0, 40.0)
settled = [play(Spins(1084.0, 69.0), spoiled_gradient_echo(a, 15.0, 800)).signal[-1].real for a in angles]  # fmt: skip
error_ernst = max(
    abs(float(s) - ernst_signal(a, 15.0, 1084.0)) for s, a in zip(settled, angles, strict=True)
)


t2 = {name: mean_interval(values) for name, values in t2.items()}
table(
    ["quantity", "source says", "measured here"],
    [
        ["polarisation of water, 1.5 T, room temperature (thesis eq. 3.1)", "roughly 10<sup>−5</sup>",
         f"{polarisation(1.5, room_k) * 1e6:.2f} · 10<sup>−6</sup>"],
        ["largest error of M<sub>xy</sub> (thesis eq. 3.4)", "0", f"{error_decay:.1e}"],
        ["largest error of M<sub>z</sub> (thesis eq. 3.4)", "0", f"{error_recovery:.1e}"],
        ["T2* (thesis eq. 3.3)", f"{predicted:.2f} ms", f"{measured:.2f} ms"],
        ["1,000 off-resonant spins after a 180° refocusing, largest error (Hahn 1950)", "0", f"{error_echo:.1e}"],
        ["steady state of a spoiled gradient echo, largest error (Ernst 1966)", "0", f"{error_ernst:.1e}"],
        *([f"T2 by a train of {name}", "99 ms put in", f"{values.shown(1)} ms"] for name, values in t2.items()),
    ],
    caption=f"Profile {run.profile.name}: simulated grey matter at 3 T, {count:,} spins for T2*, {train_spins:,} for each train, {len(seeds)} seeds; ± is the 95 % "
    "interval of the mean over seeds (Student's t; off-resonances and noise drawn anew).",
)  # fmt: skip
run.record("spins_error_xy", error_decay, low=0, high=1e-6, digits=1, scientific=True)
run.record("spins_error_z", error_recovery, low=0, high=1e-6, digits=1, scientific=True)
run.record("spins_error_echo", error_echo, low=0, high=1e-5, digits=1, scientific=True)
run.record("spins_error_ernst", error_ernst, low=0, high=1e-4, digits=1, scientific=True)
run.record("spins_t2star", measured, low=0.98 * predicted, high=1.02 * predicted, unit="ms", digits=1)  # fmt: skip
run.record("spins_t2star_formula", predicted, low=0, high=99, unit="ms", digits=1)
for key, name, band in (
    ("cp180", "180°, Carr–Purcell", (94, 104)),
    ("cp177", "177°, Carr–Purcell", (40, 85)),
    ("mg177", "177°, Meiboom–Gill", (94, 104)),
    ("mg160", "160°, Meiboom–Gill", (94, 104)),
):
    run.record(f"spins_t2_{key}", t2[name].mean, low=band[0], high=band[1], unit="ms", digits=0)

# %% [markdown]
# **Exactness.** The simulation follows equation {eq}`spins-recovery` to {glue:text}`spins_error_xy` and {glue:text}`spins_error_z`, which is what 32-bit numbers can hold. Refocusing a
# thousand spins leaves {glue:text}`spins_error_echo`, and the steady state of a spoiled gradient echo meets Ernst's formula (exercise 3) to {glue:text}`spins_error_ernst`. T2* comes out
# at {glue:text}`spins_t2star`, where equation {eq}`spins-t2star` says {glue:text}`spins_t2star_formula`: finitely many spins stand well for a Lorentzian with long tails.
#
# **The thesis's $10^{-5}$** is an order of magnitude: the formula gives half of it at 1.5 T, and the full value at 3 T.
#
# **The clock.** With perfect pulses the train reads {glue:text}`spins_t2_cp180`. Pulses that are wrong by 1.7 % make Carr and Purcell's train read
# {glue:text}`spins_t2_cp177`: twelve errors of 3° are a turn of 36°, and a turned magnetisation looks like a faded one. The train of Meiboom and Gill reads
# {glue:text}`spins_t2_mg177` with the same pulses, and {glue:text}`spins_t2_mg160` with pulses that are wrong by 11 %. The source gives no numbers, only the
# argument; this is what it is worth. (Its limit: spins far off resonance compared with the rate of the echoes. Set `field_spread_ut = 5` and see T2 read long: some
# magnetisation is then parked along $z$, where it fades with the slow T1.)
#
# ## Where it breaks
#
# **Spins that move.** The echo works because each spin has the same frequency before and after the mirror. Water diffuses. In a field that changes
# along $x$ with the gradient $G$, a wandering spin comes back with another frequency, and its phase does not cancel. Hahn saw this already in his first paper; for
# free diffusion with the coefficient $D$ the echo at TE is weaker by {cite}`carr1954`
#
# $$ \frac{S}{S_0} = \exp\!\Big(-\frac{\gamma^2 G^2 D\, \mathrm{TE}^3}{12}\Big). $$ (spins-diffusion)
#
# **Predict.** In water at room temperature $D$ is 2.0 µm²/ms: in 100 ms a molecule strays 20 µm along $x$. A scanner's coils make a gradient of
# 10 mT/m, a quarter of what they can. How much of an echo at 100 ms survives?


# %%
def diffusing_echo(gradient_t_per_m, echo_ms, walkers, generator, steps=100):
    """A spin echo of spins on a random walk: at each step, the frequency of the place."""
    step_ms = echo_ms / steps
    stride_m = math.sqrt(2 * diffusion_um2_per_ms * step_ms) * 1e-6
    place = torch.zeros(walkers)
    state = Spins(math.inf, math.inf, place).pulse(90, 90)
    for number in range(steps):
        if number == steps // 2:
            state = state.pulse(180, 0)
        place = place + stride_m * torch.randn(walkers, generator=generator)
        off_hz = GAMMA_RAD_PER_S_T * gradient_t_per_m * place / (2 * math.pi)
        state = Spins(math.inf, math.inf, off_hz, magnetisation=state.vector).evolve(step_ms)
    return float(state.signal().abs())


walkers = run.pick(ci=4_000, cpu=40_000, gpu=400_000)
survives = diffusing_echo(0.010, 100.0, walkers, run.fresh_generator(4))
weighting = (GAMMA_RAD_PER_S_T * 0.010) ** 2 * 0.1**3 / 12  # s/m²; equation (spins-diffusion)
formula = math.exp(-weighting * diffusion_um2_per_ms * 1e-9)

# %% tags=["hide-input"]
assert abs(survives - formula) < 0.05, (
    f"the echo is {survives:.3f}, equation (spins-diffusion) says {formula:.3f}"
)
if diffusion_um2_per_ms >= 1:
    assert survives < 0.6, "spins that diffuse in a gradient must lose their echo"
run.record("spins_moving_echo", 100 * survives, low=0, high=101, unit="%", digits=0)
run.record("spins_moving_formula", 100 * formula, low=0, high=100, unit="%", digits=0)

# %% [markdown]
# Of the echo {glue:text}`spins_moving_echo` is left; equation {eq}`spins-diffusion` says {glue:text}`spins_moving_formula`. No pulse can bring the rest back, because nobody knows where each spin went. The loss is
# also an opportunity: whoever applies the gradient on purpose can measure $D$. That is diffusion MRI. Set `diffusion_um2_per_ms = 0` at the top, and the echo is
# whole; at 0.8, as in brain tissue, more than half survives.
#
# **A solver with small steps.** Why did we insist on exact steps? Here is the obvious alternative, Euler's method: compute the slope of equation {eq}`spins-bloch`,
# take a step of `euler_step_ms`, repeat.


# %%
def euler(off_hz, t2_ms, total_ms, step_ms):
    """Transverse magnetisation by Euler's method, a first attempt at a Bloch simulator."""
    rate = 2j * math.pi * off_hz / 1000 - 1 / t2_ms  # equation (spins-bloch)
    transverse = torch.tensor(1.0 + 0.0j)
    for _ in range(round(total_ms / step_ms)):
        transverse = transverse + step_ms * rate * transverse
    return float(transverse.abs())


naive = euler(off_hz=100.0, t2_ms=99.0, total_ms=100.0, step_ms=euler_step_ms)
exact = float(Spins(1820.0, 99.0, 100.0).pulse(90, 90).evolve(100.0).transverse.abs())
if euler_step_ms >= 0.05:
    assert naive > 2 * exact, "Euler's method must gain magnetisation at this step"
print(f"|Mxy| after 100 ms at 100 Hz off-resonance, exact: {exact:.3f}")
print(f"Euler's method with steps of {euler_step_ms} ms: {naive:.3f}")

# %% [markdown]
# A thousand steps, and the magnetisation is larger than when it started: it has been created from nothing. Each straight step leaves the circle to the outside, by a factor
# $\sqrt{1 + (2\pi\Delta f\,\Delta t)^2}$, and a thousand small factors multiply. Rotations should be done as rotations.
#
# ## Exercises
#
# ### Exercise 1: fat and water
#
# The protons of fat see a field that is 3.4 millionths weaker than those of water. How far apart are they in Hz at 3 T? In a {term}`gradient echo` (no refocusing pulse), at which
# echo times do fat and water of one voxel point in opposite directions? What happens in a spin echo?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`spins-larmor` gives the frequency of water at 3 T. Take 3.4 millionths of it.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# They are opposed when the difference in phase, $2\pi\,\Delta f\,t$, is $\pi$, $3\pi$, $5\pi$ ...
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $f_0 = 127.7$ MHz, so $\Delta f = 434$ Hz. Opposed at $t = 1/(2\Delta f) = 1.15$ ms, then every 2.30 ms: 3.45, 5.76 ms. Voxels at the border of fat and water go dark
# in such images (the "India ink" line). In a spin echo this {term}`chemical shift` refocuses like any other constant off-resonance: at TE they are always in phase.
#
# </details>
#
# ### Exercise 2: make fluid vanish
#
# {term}`FLAIR` images suppress fluid: an inversion (180°) is applied and one waits until the $M_z$ of fluid ($T_1 = 4300$ ms) passes through zero. How long is this inversion time TI if the spins
# had fully recovered before? What is the magnetisation of white matter ($T_1 = 1084$ ms) at that moment?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`spins-free` for $M_z$, with $M_z(0) = -M_0$.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $0 = 1 - 2e^{-\mathrm{TI}/T_1}$, so $e^{-\mathrm{TI}/T_1} = 1/2$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $\mathrm{TI} = T_1 \ln 2 = 2981$ ms. White matter is then at $1 - 2e^{-2981/1084} = 0.87$: almost recovered. That is the trick: a lesion next to a {term}`ventricle` can
# no longer hide behind bright fluid. (On a scanner TR is finite, fluid has not recovered fully, and TI is shorter.)
#
# </details>
#
# ### Exercise 3: the fastest image, in code
#
# Fast images use small flip angles: pulse, listen, destroy what is left in the plane, wait TR, repeat. After some repetitions the signal settles. Write
# `settled_signal(flip_angle_deg, repetition_time_ms, t1_ms)`: the transverse magnetisation right after a pulse, once it no longer changes ($M_0 = 1$).
#
# <details class="hint"><summary>Hint</summary>
#
# Only $M_z$ survives from one repetition to the next. The pulse multiplies it by $\cos\alpha$; the waiting brings it back by equation {eq}`spins-free`.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Settled means: $M_z$ before a pulse is the same as before the next. With $E = e^{-\mathrm{TR}/T_1}$: $M_z = 1 + (M_z\cos\alpha - 1)E$. Solve for $M_z$. The signal is $M_z \sin\alpha$. (A loop of many repetitions is right as well.)
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $M_z = \frac{1 - E}{1 - E\cos\alpha}$, and the signal is $\sin\alpha\,\frac{1 - E}{1 - E\cos\alpha}$. Ernst found it in 1966 {cite}`ernst1966`, and its maximum lies at $\cos\alpha = E$, the {term}`Ernst angle`. The cell after the
# exercise holds it as code.
#
# </details>


# %% tags=["hide-input"]
def check_settled_signal(settled_signal):
    ninety = settled_signal(90.0, 1000.0, 1000.0)
    if ninety is None:
        return "it returned nothing; return the signal, a number."
    if math.isclose(ninety, 1.0, rel_tol=1e-3):
        return "at 90°, TR = T1 it gives 1: M_z has only 63 % recovered before the next pulse."
    small = settled_signal(10.0, 15.0, 1084.0)
    wanted = float(play(Spins(1084.0, 69.0), spoiled_gradient_echo(10.0, 15.0, 500)).signal[-1].real)  # fmt: skip
    if math.isclose(small, wanted / math.tan(math.radians(10)), rel_tol=1e-3):
        return "this is M_z after the pulse; the coil hears what the pulse has laid into the plane, the part with the sine."
    if math.isclose(small, math.sin(math.radians(10)), rel_tol=1e-3):
        return "this is the first pulse; repeat until the signal no longer changes, or solve for the settled M_z."
    if small > 1 or not math.isclose(small, wanted, rel_tol=1e-3):
        return f"at 10°, TR 15 ms, T1 1084 ms it gives {small:.4f}, following the spins gives {wanted:.4f} (degrees or radians?)."
    return None


# %% tags=["exercise"]
def settled_signal(flip_angle_deg, repetition_time_ms, t1_ms):
    """Settled signal of a perfectly spoiled gradient echo, right after a pulse, for M0 = 1."""
    ...  # your code here


judge(check_settled_signal, settled_signal)


# %% tags=["solution", "hide-cell"]
def settled_signal(flip_angle_deg, repetition_time_ms, t1_ms):
    """Settled signal of a perfectly spoiled gradient echo, right after a pulse, for M0 = 1."""
    # begin solution
    kept = math.exp(-repetition_time_ms / t1_ms)
    alpha = math.radians(flip_angle_deg)
    return math.sin(alpha) * (1 - kept) / (1 - kept * math.cos(alpha))
    # end solution


judge(check_settled_signal, settled_signal)

# %% tags=["hide-input"]
flips = np.linspace(0.5, 90, 180)
figure, ax = plt.subplots(figsize=(7.0, 3.2))
for name, colour in COLOURS.items():
    t1 = float(TISSUES[name][0])
    ax.plot(flips, [ernst_signal(a, 15.0, t1) for a in flips], color=colour, label=name)
    best = ernst_angle_deg(15.0, t1)
    ax.plot(best, ernst_signal(best, 15.0, t1), "o", color=colour)
ax.set(xlabel="flip angle (°)", ylabel="settled signal / M$_0$", xlim=(0, 90), ylim=(0, None))
ax.legend()
show(
    figure,
    caption="The settled signal at TR = 15 ms. Each tissue has its own best angle (dots), all below 10°: tipping less leaves more for the next time.",
    alt="Three curves of signal against flip angle that rise steeply, peak below ten degrees and fall slowly; white matter is highest",
)

# %% [markdown]
# ### Exercise 4: read the fan
#
# In the interactive fan, set the refocusing angle to 120° and look at the echo at 60 ms. Its height is 0.75. Derive this number.
#
# <details class="hint"><summary>Hint</summary>
#
# Apply $R_0(\alpha)$ of equation {eq}`spins-rotation` to a spin at phase $\phi$ in the plane, and read off its new transverse part.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $M_x = \cos\phi$ stays, $M_y = \sin\phi$ becomes $\sin\phi\cos\alpha$. Write $M_{xy} = \cos\phi + i\cos\alpha\sin\phi$ as a sum of $e^{i\phi}$ and $e^{-i\phi}$; which of the two refocuses?
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $M_{xy} = \frac{1 + \cos\alpha}{2} e^{i\phi} + \frac{1 - \cos\alpha}{2} e^{-i\phi}$. The second term is mirrored and refocuses: the echo has the height
# $\frac{1 - \cos\alpha}{2} = \sin^2\frac{\alpha}{2}$, at 120° 0.75. The first term goes on dephasing (at 60 ms it has spread over whole turns and averages out), and the part turned to $z$ is stored.
#
# </details>
#
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "A tissue has T2 = 80 ms. In a gradient echo its signal falls with 30 ms. What does a spin echo with TE = 80 ms give, compared with the signal right after the 90° pulse?",
        ("About 7 %", "That is exp(−80/30), the gradient echo's answer: static dephasing is undone by the 180° pulse."),
        right("About 37 %", "The echo has lost exp(−TE/T2) = exp(−1). Only the irreversible part counts."),
        ("100 %", "The mirror undoes what is constant in time. T2 itself comes from random disturbances, and they stay."),
    ),
    question(
        "Which setting makes fluid dark and white matter bright?",
        ("TE 100 ms, TR 8000 ms", "That is T2-weighting: fluid, with T2 = 2 s, is the brightest."),
        right("TE 12 ms, TR 500 ms", "Fluid (T1 = 4.3 s) has hardly recovered after half a second; white matter has."),
        ("TE 12 ms, TR 10 s", "Everything has recovered and nothing has faded: only the density of protons is left."),
    ),
    question(
        "You move the same person from 1.5 T to 3 T. What about doubles?",
        ("T1", "T1 grows with the field, but less: from 1.5 to 3 T by a quarter in white matter and by two thirds in grey (Stanisz 2005)."),
        ("T2", "T2 depends little on the field; if anything it becomes shorter."),
        right("The polarisation and the Larmor frequency", "Both are proportional to B<sub>0</sub>: equations (2.1) and (2.2)."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - A few protons in a million make the signal; their sum is an ordinary vector that turns at $\gamma B_0$.
# - On the carousel of the rotating frame, everything is a rotation (pulse, off-resonance) or an exponential (T1, T2), and both are exact for any time step.
# - T2 is what cannot be undone; T2* is what you hear without a refocusing pulse. A spin echo mirrors the phases and brings back everything that was constant.
# - TE sets how much T2 shows, TR how much T1 shows.
# - An echo needs spins that stay in their field; diffusion breaks it, and thereby becomes measurable.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | anatomy | ICBM 152 template, an average of 152 healthy adults; one axial slice; it represents no single person and no disease |
# | relaxation times | grey and white matter: measured at 3 T on excised tissue {cite}`stanisz2005`; fluid and proton densities: round numbers |
# | images, fields, noise | **synthetic**: computed by the code of this page from the seed shown at its top; one T1 and T2 a tissue, no noise in the images |
# | physics left out | flow, coil profiles, chemical shift in the images, exchange of spins between tissues and their coupling within molecules; spins are classical vectors |
# | claims | none about patients or scanners; the numbers of the experiment describe these simulations |
#
# ## Further reading
#
# Hahn's paper on the echo is a pleasure to read and shows its pictures from an oscilloscope {cite}`hahn1950`; Bloch's equations are in {cite}`bloch1946`, and
# the first signals in {cite}`purcell1946`. Two textbooks go on from here: {cite}`nishimura2010` in 200 pages, {cite}`haacke1999` in 1,000.
# {cite}`bernstein2004` is the handbook of pulse sequences. How Lauterbur turned all this into images is {cite}`lauterbur1973`, and a coming lesson.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
