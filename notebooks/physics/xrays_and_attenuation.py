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
#     summary: How X-rays are made, how tissue weakens them, what a Hounsfield unit
#       is, and what a dose buys.
#     weights:
#     - results/benchmarks/xrays.json
# ---

# %% [markdown]
# # X-rays and attenuation
#
# A CT scanner knows one thing about you: how many photons arrived. Everything else, the grey of the brain and the white of the skull, is
# computed from ratios of such counts. This lesson follows the photons. They are born in a tube with a whole spectrum of
# energies, lose their way in tissue by rules that depend on that energy, and the few that come through are counted, with
# the noise that counting brings. At the end you can predict the number that a scanner shows for a tissue, and how noisy it is.
#
# **You will be able to**
#
# - compute the spectrum of an X-ray tube from its voltage and its filter, and say what each of the two changes
# - tell which process removes photons from a beam, at which energy and in which material
# - predict how much of a beam passes an object, for one energy and for many
# - convert attenuation to Hounsfield units and choose a window for a question
# - say what a dose buys: how noise falls with photons, and where that law ends
#
# **You need** [Images in space](../start/images_in_space.ipynb), for voxels, windows and the sides of the patient. Integrals and the
# exponential function should be old friends.

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
tube_voltage_kv = 120.0  # 20 to 150; the beam of most figures
filter_mm = 6.0  # aluminium between tube and patient
hardening = True  # in "Where it breaks"; False: a beam of one energy

# %% tags=["hide-input"]
import math
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import torch

from medlab.data import load_icbm152
from medlab.metrics import mean_interval
from medlab.physics.head import TISSUES, head_slice
from medlab.physics.ct.xray import DETECTORS, WINDOWS, at_body_temperature, attenuation_per_cm
from medlab.physics.ct.xray import counted, ct_number, effective_attenuation_per_cm, find
from medlab.physics.ct.xray import half_value_layer_mm, line_integral, line_integral_deviation
from medlab.physics.ct.xray import mass_attenuation, monochromatic, noise_excess, path_integral
from medlab.physics.ct.xray import photon_energy_kev, to_hu, transmission, tube_spectrum
from medlab.physics.ct.xray import wavelength_nm, with_iodine
from medlab.viz import explore, show, slices, style, table
from medlab.viz.benchmark import benchmark
from medlab.viz.exercise import judge
from medlab.viz.lesson import start
from medlab.viz.quiz import question, quiz, right

run = start(profile, seed)

# %% tags=["hide-input"]
template = load_icbm152()
volumes = template.white, template.grey, template.mask
shares = head_slice(*(volume.data[0, :, :, 92] for volume in volumes))
x, y = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
# A clot, so that the two sides differ: a synthetic ellipse in the patient's right hemisphere.
clot = (((x - 166) / 11).square() + ((y - 130) / 15).square() < 1).float()
materials = [name if name == "skull" else at_body_temperature(name) for name in (*TISSUES, "clotted blood")]  # fmt: skip
shares = torch.cat([shares * (1 - clot), clot[None]])

beam = tube_spectrum(tube_voltage_kv, filter_mm)
head_beam = beam.filtered(160.0, "water")  # what is left of it in the middle of a head


def ct_image(spectrum):
    """The head in HU (X, Y, 1) as an ideal scanner with this beam would show it: no noise, no artefacts."""
    mu = torch.tensor([effective_attenuation_per_cm(m, spectrum) for m in materials])
    image = torch.einsum("m,mxy->xy", mu.float(), shares)
    return to_hu(image, effective_attenuation_per_cm("water", spectrum))[..., None]


def window_of(name):
    centre, width = WINDOWS[name]
    return centre - width / 2, centre + width / 2


head = ct_image(head_beam)
figure, axes = plt.subplots(1, 3, figsize=(9.4, 3.4), width_ratios=(1.25, 1, 1))
axes[0].fill_between(beam.energies_kev, 100 * beam.photons, color=style.BLUE, alpha=0.5, linewidth=0)  # fmt: skip
axes[0].set(xlabel="photon energy (keV)", ylabel="photons (% per keV)", ylim=(0, None))
axes[0].set_title(f"The beam: {tube_voltage_kv:g} kV", fontsize=10)
for ax, name in zip(axes[1:], ("brain", "bone"), strict=True):
    slices.draw_slice(ax, head[30:226, 14:242], index=0, window=window_of(name))
    ax.set_title(f"window: {name}", fontsize=10)
show(
    figure,
    caption="From photons to a picture: the spectrum that leaves the tube, and the CT numbers that it gives a synthetic head, shown in two "
    "windows. Nothing was fitted: the numbers follow from the elements that tissues are made of.",
    alt="Left: a broad hump of photon energies with sharp lines near 60 keV. Middle: head slice with grey brain, white skull and a bright oval clot. "
    "Right: the same slice with a visible skull and a flat brain",
)

# %% [markdown]
# The brain in this {term}`slice` is the ICBM 152 {term}`template` {cite}`fonov2011`. It ends at the brain's surface, so the skull, the skin and the
# fluid below the skull are *synthetic* layers of constant thickness, and the clot is a *synthetic* ellipse. Pictures follow the {term}`radiological convention`.
#
# ## Where X-rays come from
#
# A photon carries the energy (thesis eq. 3.5 {cite}`thesis`)
#
# $$ E = h\nu = \frac{hc}{\lambda}. $$ (xray-planck)
#
# In an X-ray tube, electrons are accelerated by the {term}`tube voltage` $U$ and thrown into a block of tungsten. An electron that has passed 120 kV carries
# 120 keV, and it can lose this energy in two ways that make X-rays. It may be bent and braked by a nucleus and radiate
# any part of its energy: {term}`bremsstrahlung`. Or it knocks an electron out of an inner shell, the gap is filled from an outer shell, and the
# difference leaves as {term}`characteristic radiation` with an energy that belongs to tungsten alone.
#
# The electron is slowed on its way into the metal, so bremsstrahlung comes from all energies $T$ between $U$ and zero, and what is made deep inside must get out again.
# Adding up the whole way gives the spectrum {cite}`tucker1991`:
#
# $$ N(E) \propto \int_E^{eU} \frac{1}{E}\; B\!\Big(\frac{E}{T}\Big)\, \frac{T + m c^2}{T}\, \frac{1}{S(T)}\; e^{-\mu_W(E)\, d(T)}\; dT, $$ (xray-tube)
#
# with a polynomial $B$ that was fitted to measurements, the stopping power $S$ of tungsten, and the depth $d$ that the photon has to cross. Then comes a filter, some millimetres
# of aluminium, which multiplies each energy by $e^{-\mu(E)\, l}$. The figure of the thesis (3.3, after R. Chieng) shows such a tube with 3.04 mm of aluminium. Here it is again.
#
# **Predict.** At which energy does the spectrum of a 120 kV tube end, and why exactly there? Below which voltage are the sharp lines missing?

# %%
unfiltered = tube_spectrum(120.0, 0.0)
passed = torch.exp(-attenuation_per_cm("aluminium", unfiltered.energies_kev) * 0.304)
by_hand = unfiltered.photons * passed  # 3.04 mm = 0.304 cm
torch.testing.assert_close(by_hand / by_hand.sum(), tube_spectrum(120.0, 3.04).photons)

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7.4, 3.4))
bare = unfiltered.photons
ax.plot(
    unfiltered.energies_kev,
    bare / bare.max(),
    color=style.MUTED,
    linewidth=1.2,
    linestyle="--",
    label="120 kV, no filter (own scale)",
)
for kv, colour in ((60, style.GREEN), (90, style.ORANGE), (120, style.BLUE)):
    made = tube_spectrum(kv, 3.04)
    # Per electron a tube radiates about in proportion to the square of its voltage.
    curve = made.photons * (kv / 120) ** 2
    ax.plot(
        made.energies_kev, curve / 0.06, color=colour, label=f"{kv} kV, 3.04 mm Al", drawstyle="steps-mid"
    )  # fmt: skip
ax.set(xlabel="photon energy (keV)", ylabel="photons (relative)", xlim=(0, 125), ylim=(0, 1.05))
ax.legend()
show(
    figure,
    caption="Thesis figure 3.3 rebuilt: tungsten anode, 3.04 mm of aluminium. The filter takes the soft photons, the voltage sets the end, and "
    "tungsten's K lines stand at 58, 59 and 67 keV as soon as electrons have more than the 69.5 keV of the K shell. Without a filter, the dip above 10 keV is tungsten absorbing its own radiation.",
    alt="Spectra of 60, 90 and 120 kV: humps that end at their voltage; the two higher ones carry narrow lines near 58 and 67 keV; without filter a peak at low energies",
)

# %% [markdown]
# It ends at 120 keV, because a photon cannot have more energy than the electron that made it. Lines need 69.5 kV. (Their energies are xraydb's tables; how they grow with voltage is a
# published law {cite}`green1968`; how many there are in all we set once by comparison with the program SpekPy {cite}`bujila2020`. Behind 2.5 mm of aluminium our spectrum then differs from SpekPy's in
# {glue:text}`xray_apart_100kv` of the photons at 100 kV and {glue:text}`xray_apart_120kv` at 120 kV; the table below compares the half-value layers.) The wavelength of these photons is tiny:

# %%
# NBVAL_CHECK_OUTPUT
for energy in (20, 60, 120):
    print(f"{energy:4d} keV: wavelength {1000 * wavelength_nm(energy):5.1f} pm")
print(f"1e19 Hz: {photon_energy_kev(1e19):.1f} keV")

# %% [markdown]
# Most of what the tube makes is lost on purpose. Photons of 15 keV would never get through a head: they would only leave dose in the skin. The filter removes them, and
# the beam becomes more penetrating, *harder*. Its hardness has a unit: the {term}`half-value layer`, the thickness of aluminium that halves the air kerma (the energy that it gives
# to the electrons of a little air).
#
# ## What tissue does to a photon
#
# Three things can happen to a photon below 150 keV {cite}`buzug2008`:
#
# - {term}`Photoelectric effect <photoelectric effect>`: an atom swallows it and throws out an electron. Grows with about the third power of the atomic number, falls with the third power of the energy.
# - {term}`Compton scattering`: it hits a loosely bound electron, gives it some energy and flies on in another direction. Counts electrons, and hardly cares which element they belong to. A gram has nearly as many electrons whatever it is made of, because light nuclei have about one neutron for each proton (hydrogen, which has none, has twice as many electrons a gram); so Compton scattering follows the density.
# - Rayleigh scattering: it meets all electrons of an atom together, changes direction and keeps its energy. Grows with the atomic number, too, and falls with the energy. In CT it makes less than a tenth of the attenuation.
#
# Each removes the photon from the straight ray, so their coefficients add up, and so do elements, by their share $w_i$ of the mass {cite}`elam2002`:
#
# $$ \mu(E) = \varrho \sum_i w_i \big[\tau_i(E) + \sigma_i^{\mathrm{C}}(E) + \sigma_i^{\mathrm{R}}(E)\big]. $$ (xray-mixture)
#
# The result is the linear {term}`attenuation` coefficient: the share of photons lost per cm, in a thin layer.

# %%
blood = find("blood")
energies = torch.tensor([30.0, 60.0, 100.0], dtype=torch.float64)
mu = 0
for element, share in blood.mass_fractions.items():
    pure = type(blood)(element, 1.0, {element: 1.0})
    for process in ("photoelectric", "compton", "rayleigh"):
        mu = mu + blood.density_g_per_cm3 * share * mass_attenuation(pure, energies, process)
# equation (xray-mixture):
torch.testing.assert_close(mu, attenuation_per_cm("blood", energies), rtol=1e-6, atol=0)

# %% [markdown]
# **Predict.** The thesis calls the photoelectric effect the most important of the three. In water and in bone, up to which energy is that so?

# %% tags=["hide-input"]
energies = torch.linspace(10, 140, 521, dtype=torch.float64)
CURVES = {"photoelectric": style.ORANGE, "compton": style.BLUE, "rayleigh": style.GREEN}
crossing = {}
figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.4), sharey=True)
for ax, name in zip(axes, ("water", "cortical bone"), strict=True):
    parts = {process: attenuation_per_cm(name, energies, process) for process in CURVES}
    for process, colour in CURVES.items():
        ax.plot(energies, parts[process], color=colour, label=process.capitalize())
    ax.plot(
        energies,
        attenuation_per_cm(name, energies),
        color=style.INK,
        linewidth=1.2,
        linestyle="--",
        label="Total",
    )
    first = torch.nonzero(parts["compton"] > parts["photoelectric"])[0]
    crossing[name] = float(energies[first])
    ax.plot(crossing[name], float(parts["compton"][first]), "o", color=style.INK)
    ax.set(title=name.capitalize(), xlabel="photon energy (keV)", yscale="log", ylim=(5e-3, 60))
axes[0].set_ylabel("coefficient (1/cm)")
axes[0].legend()
show(
    figure,
    caption="Where photons go. Left of the dot the photoelectric effect is the larger one, right of it Compton scattering. In bone, with its calcium, the dot moves up.",
    alt="Two log plots of attenuation against energy: the photoelectric curve falls steeply and crosses the flat Compton curve at lower energy in water than in bone",
)
run.record("xray_crossing_water", crossing["water"], low=24, high=30, unit="keV", digits=0)
run.record("xray_crossing_bone", crossing["cortical bone"], low=45, high=60, unit="keV", digits=0)  # fmt: skip
compton_share = {
    name: float(
        attenuation_per_cm(name, head_beam.mean_energy_kev, "compton")
        / attenuation_per_cm(name, head_beam.mean_energy_kev)
    )
    for name in ("water", "cortical bone")
}
run.record("xray_mean_energy", head_beam.mean_energy_kev, low=20, high=150, unit="keV", digits=0)  # fmt: skip
run.record("xray_compton_water", 100 * compton_share["water"], low=50, high=100, unit="%", digits=0)  # fmt: skip
run.record("xray_compton_bone", 100 * compton_share["cortical bone"], low=30, high=100, unit="%", digits=0)  # fmt: skip

# %% [markdown]
# Up to {glue:text}`xray_crossing_water` in water and {glue:text}`xray_crossing_bone` in compact bone. In the middle of a head the photons of a CT beam have {glue:text}`xray_mean_energy` on
# average, and there Compton scattering makes {glue:text}`xray_compton_water` of the attenuation of water and {glue:text}`xray_compton_bone` of that of bone. So the sentence holds for mammography, not for
# CT of soft tissue. What *is* true: the photoelectric effect makes most of the *contrast* of bone, iodine and metal, because it depends most steeply on the atomic number.
#
# ## The law of Beer and Lambert
#
# If a share $\mu\,ds$ is lost in each small step, then what is left falls exponentially. This is the {term}`Beer–Lambert law`. For a path $\gamma(t)$, $0 \le t \le 1$, from source to detector
#
# $$ \frac{I}{I_0} = \exp\!\Big[-\int_0^1 \mu(\gamma(t))\, \lvert\gamma'(t)\rvert\, dt\Big]
# = \exp\!\Big[-\int \mu\, ds\Big]. $$ (xray-beer)
#
# (Thesis eq. 3.6 prints $\gamma'(t)$ without the bars. As printed the integrand is a vector. The bars make it a length, and the answer independent of how fast, and in which direction, the path is walked.) The
# measured quantity is its logarithm, the {term}`line integral` $p = -\ln(I/I_0) = \int \mu\,ds$. Let us walk a ray through the head, at uneven speed and backwards, and compare with the sum over materials that `medlab` uses.

# %%
mu_map = torch.einsum(
    "m,mxy->xy", torch.stack([attenuation_per_cm(m, 70.0) for m in materials]).float(), shares
)


def walked(steps, backwards=False):
    """The integral of mu |gamma'| along the row y = 100, at uneven speed: gamma(t) = 256 t² pixels of 1 mm."""
    t = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    place, speed = (256 * (1 - t) ** 2, -512 * (1 - t)) if backwards else (256 * t**2, 512 * t)
    return float((mu_map[place.long(), 100] * speed.abs() / 10).sum() / steps)  # 10 mm a cm


path_mm = shares[:, :, 100].sum(1)  # the length in each material: pixels are 1 mm wide
p = path_integral(path_mm, materials, 70.0)
torch.testing.assert_close(
    torch.tensor([walked(400_000), walked(400_000, True)]), p.expand(2), rtol=1e-3, atol=0
)
torch.testing.assert_close(transmission(path_mm, materials, 70.0), torch.exp(-p))
print(f"of 1000 photons of 70 keV, {1000 * math.exp(-float(p)):.0f} get through this head")

# %% [markdown]
# ## Many energies at once
#
# A tube has no single energy. Each energy follows equation {eq}`xray-beer` with its own $\mu$, and the detector adds them up:
#
# $$ \frac{I}{I_0} = \sum_E w(E)\, \exp\!\Big[-\sum_m \mu_m(E)\, l_m\Big], \qquad w(E) \propto N(E)\, E. $$ (xray-poly)
#
# $l_m$ is the length of the ray in material $m$. The weight $w$ depends on the detector: today's scintillators integrate energy, so that a photon of 100 keV counts twice as much as one of 50. A
# {term}`photon counting <photon counting>` detector has $w \propto N$ {cite}`willemink2018`.

# %%
paths = torch.tensor(
    [[150.0, 0.0], [150.0, 14.0]], dtype=torch.float64
)  # mm of water and of skull
mu = torch.stack([attenuation_per_cm(name, beam.energies_kev) for name in ("water", "skull")])
weight = beam.photons * beam.energies_kev
weight = weight / weight.sum()
by_hand = (weight * torch.exp(-(paths / 10) @ mu)).sum(-1)  # equation (xray-poly)
torch.testing.assert_close(by_hand, transmission(paths, ["water", "skull"], beam))

# %% [markdown]
# Now set voltage and filter yourself. Three numbers answer: the half-value layer in aluminium, the contrast between grey and white matter, and that of iodine
# (4 mg/ml in blood, as in a weakly filled vessel) against blood.
#
# **Predict.** Which knob changes iodine's contrast more, the voltage or the filter? And what does the voltage do to grey against white matter?

# %% tags=["hide-input"]
iodine_blood = with_iodine(at_body_temperature("blood"), 4.0)


@cache
def contrasts(kv, mm):
    """Half-value layer in mm Al, contrast of grey against white matter, of iodine against blood, and of bone, in HU."""
    tube = tube_spectrum(kv, mm)
    inside = tube.filtered(160.0, "water")
    number = {
        name: ct_number(at_body_temperature(name), inside)
        for name in ("grey matter", "white matter", "blood")
    }
    return (
        half_value_layer_mm(tube),
        number["grey matter"] - number["white matter"],
        ct_number(iodine_blood, inside) - number["blood"],
        ct_number("skull", inside),
    )


def draw_beam(kv, mm):
    tube = tube_spectrum(kv, mm)
    inside = tube.filtered(160.0, "water")
    layer, tissue, iodine, bone = contrasts(kv, mm)
    figure, (left, right_) = plt.subplots(1, 2, figsize=(7.8, 3.2), width_ratios=(1.5, 1))
    left.plot(
        tube.energies_kev,
        100 * tube.photons,
        color=style.BLUE,
        label="behind the filter",
        drawstyle="steps-mid",
    )
    left.plot(
        inside.energies_kev,
        100 * inside.photons,
        color=style.ORANGE,
        label="in the middle of a head",
        drawstyle="steps-mid",
    )
    left.set(xlabel="photon energy (keV)", ylabel="photons (% per keV)", xlim=(0, 142), ylim=(0, 12))  # fmt: skip
    left.set_title(f"{kv} kV, {mm:g} mm Al: half-value layer {layer:.1f} mm", fontsize=10)
    left.legend(loc="upper right")
    names, values = (
        ["skull / 10", "iodine − blood", "10 × (grey − white)"],
        [bone / 10, iodine, 10 * tissue],
    )
    bars = right_.barh(names, values, color=[style.MUTED, style.PURPLE, style.GREEN])
    right_.bar_label(bars, fmt="%.0f", padding=3, color=style.INK, fontsize=9)
    right_.set(xlim=(0, 320), xlabel="HU")
    right_.set_title("What the image shows", fontsize=10)
    return figure


explore(
    draw_beam,
    caption="Left: the beam (each curve has 100 % in all). Right: the contrasts in the middle of a head. Watch the orange curve when you change the filter: the head filters so much "
    "by itself that little is left for the aluminium to do.",
    alt=lambda kv, mm: (
        f"{kv} kV with {mm:g} mm of aluminium: half-value layer {contrasts(kv, mm)[0]:.1f} mm, grey against white matter {contrasts(kv, mm)[1]:.1f} HU, "
        f"iodine against blood {contrasts(kv, mm)[2]:.0f} HU"
    ),
    labels={"kv": "tube voltage (kV)", "mm": "aluminium (mm)"},
    start={"kv": 120, "mm": 6.0},
    kv=[80, 120] if run.profile.name == "ci" else [60, 80, 100, 120, 140],
    mm=[3.0, 6.0] if run.profile.name == "ci" else [1.0, 3.0, 6.0, 12.0],
)

# %% [markdown]
# The voltage: from 140 to 80 kV iodine gains {glue:text}`xray_iodine_gain` (behind 6 mm), which is why vessels are scanned at low voltage where the patient is slim. Filtering moves it little.
# Grey and white matter differ by a few HU at the usual voltages, and by more at low ones. Which process tells them apart? White matter has more carbon and less oxygen, which the photoelectric effect and Rayleigh scattering see; and it is {glue:text}`xray_denser` denser, which
# Compton scattering sees:


# %%
def share_hu(name, process):
    """What one process adds to the CT number of a material in the middle of a head, in HU."""
    weight = head_beam.weights()
    mu = attenuation_per_cm(name, head_beam.energies_kev, process)
    water = attenuation_per_cm("water", head_beam.energies_kev, process)
    scale = effective_attenuation_per_cm("water", head_beam)
    return 1000 * float((weight * (mu - water)).sum()) / scale


grey, white = at_body_temperature("grey matter"), at_body_temperature("white matter")
apart = {way: share_hu(grey, way) - share_hu(white, way) for way in CURVES}
bone = {way: share_hu("cortical bone", way) for way in CURVES}
assert math.isclose(sum(bone.values()), ct_number("cortical bone", head_beam), rel_tol=1e-6)

# %% tags=["hide-input"]
for way in CURVES:  # white matter is ahead in Compton scattering
    ahead = -apart[way] if way == "compton" else apart[way]
    run.record(f"xray_apart_{way}", ahead, low=0, high=40, unit="HU", digits=1)
    run.record(f"xray_bone_{way}", bone[way], low=20, high=8000, unit="HU", digits=0)
run.record("xray_bone", sum(bone.values()), low=1000, high=9000, unit="HU", digits=0)
gain = 100 * (contrasts(80, 6.0)[2] / contrasts(140, 6.0)[2] - 1)
run.record("xray_iodine_gain", gain, low=30, high=90, unit="%", digits=0)
denser = 100 * (white.density_g_per_cm3 / grey.density_g_per_cm3 - 1)
run.record("xray_denser", denser, low=0.1, high=1, unit="%", digits=1)

# %% [markdown]
# The photoelectric effect makes grey matter brighter than white by {glue:text}`xray_apart_photoelectric` and Rayleigh scattering by {glue:text}`xray_apart_rayleigh`. Compton scattering pulls the other way, by {glue:text}`xray_apart_compton`. At high voltages the first two
# fade, and with them the difference.
#
# ## The scale of Hounsfield
#
# A scanner's $\mu$ depends on its tube, its filter and its patient. To make numbers comparable, they are given relative to water, in the same beam
# (thesis eq. 3.7; Hounsfield's own scale had steps twice as large {cite}`hounsfield1973`):
#
# $$ \mu^* = 1000\, \frac{\mu - \mu_w}{\mu_w}\ \mathrm{HU}. $$ (xray-hu)
#
# Water is 0 and nothing at all is −1000 by definition. All else still moves with the beam, bone most: a {term}`Hounsfield unit` is a convention, not a constant of nature. In the beam that is left in the middle of our head, compact bone, with 1.92 times the density of water, has {glue:text}`xray_bone`.
# Compton scattering makes {glue:text}`xray_bone_compton` of it (less than the density suggests, since bone has little hydrogen), the photoelectric effect in calcium and phosphorus {glue:text}`xray_bone_photoelectric`, and Rayleigh scattering {glue:text}`xray_bone_rayleigh`.

# %%
# NBVAL_CHECK_OUTPUT
water = effective_attenuation_per_cm("water", head_beam)
mu = torch.tensor([0.0, water, 1.05 * water])
torch.testing.assert_close(to_hu(mu, water), 1000 * (mu - water) / water)  # equation (xray-hu)
print(
    "nothing, water, 5 % denser than water:",
    [round(number) for number in to_hu(mu, water).tolist()],
)

# %% [markdown]
# The scale is 4,000 units long, an eye tells fewer than a hundred greys apart, and the whole brain lives between 0 and 80. Hence the {term}`window`: its centre is called *level*, and what lies outside is black or white.

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 4, figsize=(9.6, 3.3))
for ax, name in zip(axes, ("stroke", "brain", "subdural", "bone"), strict=True):
    slices.draw_slice(ax, head[30:226, 14:242], index=0, window=window_of(name))
    centre, width = WINDOWS[name]
    ax.set_title(f"{name}\ncentre {centre:g}, width {width:g}", fontsize=9)
show(
    figure,
    caption="One image, four windows. In the stroke window grey and white matter part, in the bone window the brain is one flat grey. The subdural window is wide enough to tell fresh blood from bone, which are "
    "both white in the stroke window.",
    alt="The same head slice four times: high contrast in the brain, less, still less, and only the skull visible",
)

# %% [markdown]
# ## Counting photons
#
# Photons arrive independently of one another, so their number $N$ follows a {term}`Poisson distribution`: the variance is the mean. With $N_0$ photons in the open ray, $N = N_0 e^{-p}$ arrive, and the error of
# $p = -\ln(N/N_0)$ is to first order $\delta N / N$:
#
# $$ \operatorname{var}(p) = \frac{1}{N} = \frac{e^{p}}{N_0}. $$ (xray-noise)
#
# $N_0$ is proportional to the charge that ran through the tube, the mAs on the console, and so is the dose. Half the noise costs four times the dose.
#
# **Predict.** Behind 20 cm of water $p$ is close to 4. With 1,000 photons in the open ray, what will go wrong with equation {eq}`xray-noise`?

# %%
thickness = torch.full((run.pick(ci=2_000, cpu=10_000, gpu=50_000), 1), 200.0)
doses = (1e3, 1e4, 1e5, 1e6)
truth = float(path_integral(thickness[0], ["water"], 70.0))


def noisy(photons, offset, spectrum=70.0, detector="counting"):
    """Line integrals of many rays of one seed; a starved ray counts as one photon."""
    measured = counted(
        thickness, ["water"], spectrum, photons, run.fresh_generator(offset), detector
    )
    return line_integral(measured, floor=1 / photons).double()


seeds = run.pick(ci=3, cpu=12, gpu=30)
rays = {photons: [noisy(photons, 20 + n) for n in range(seeds)] for photons in doses}


# %% tags=["hide-input"]
formula = {photons: float(line_integral_deviation(truth, photons)) for photons in doses}
deviation = {photons: [float(p.std()) for p in drawn] for photons, drawn in rays.items()}
bias = {photons: [float(p.mean()) - truth for p in drawn] for photons, drawn in rays.items()}
high = doses[1:]
slopes = [np.polyfit(np.log(high), np.log([deviation[d][n] for d in high]), 1)[0] for n in range(seeds)]  # fmt: skip
# Integrating against counting: the same photons in both. The ratio is close to 1, so it needs more seeds.
ratio = []
for n in range(run.pick(ci=3, cpu=36, gpu=120)):
    first, second = (noisy(1e5, 60 + n, beam, kind).std() for kind in DETECTORS)
    ratio.append(float(first / second))
behind = beam.filtered(200.0, "water")
expected_ratio = math.sqrt(noise_excess(behind))

figure, ax = plt.subplots(figsize=(6.6, 3.3))
line = np.geomspace(5e2, 2e6, 50)
ax.plot(
    line,
    [float(line_integral_deviation(truth, photons)) for photons in line],
    color=style.MUTED,
    linestyle="--",
    label="equation: $\\sqrt{e^p / N_0}$",
)
for photons in doses:
    ax.plot([photons] * seeds, deviation[photons], "o", color=style.BLUE, markersize=5, alpha=0.6)  # fmt: skip
ax.plot([], [], "o", color=style.BLUE, label="counted, one dot a seed")
ax.set(xscale="log", yscale="log", xlabel="photons in the open ray $N_0$", ylabel="standard deviation of p")  # fmt: skip
ax.legend()
show(
    figure,
    caption="Noise of a line integral through 20 cm of water. Each factor of four in dose halves it, until so few photons arrive that the logarithm is no longer a straight line.",
    alt="Log-log plot of noise against number of photons: dots follow a falling line of slope minus one half and leave it slightly at the lowest dose",
)

# %% [markdown]
# ## The experiment: does chemistry predict the scanner?
#
# The chain of this lesson has no free screw for tissues: elements and densities, tabulated decades ago from autopsies {cite}`woodard1986,icru44`, go in, and CT numbers come out. Do they fall where radiologists read
# them? And do beam, noise and detector keep their laws? Sources: the reading ranges of a neurosurgical atlas {cite}`neurosurgicalatlas`, the tables of NIST {cite}`hubbell1995`, SpekPy {cite}`bujila2020`, and our formulas.

# %% tags=["hide-input"]
# Does not move with the parameters above:
standard = tube_spectrum(120.0, 6.0).filtered(160.0, "water")
READ = {
    "grey matter": (30, 40),
    "white matter": (20, 35),
    "cerebrospinal fluid": (0, 15),
    "clotted blood": (60, 90),
    "adipose tissue": (-120, -60),
}
rows, numbers_hu = [], {}
for name, (low, high) in READ.items():
    number = ct_number(at_body_temperature(name), standard)
    numbers_hu[name] = number
    rows.append([f"CT number of {name}, 120 kV", f"{low} to {high} HU", f"{number:.1f} HU"])
soft = tube_spectrum(120.0, 2.5)
layer_120, mean_120 = half_value_layer_mm(soft), soft.mean_energy_kev
peers = benchmark("xrays")  # what SpekPy gave for such beams
spekpy = peers.row(name="SpekPy", kv=120, aluminium_mm=2.5)
by_nist = peers.row(name="SpekPy, NIST's tables", kv=120, aluminium_mm=2.5)
layer, layer_nist = spekpy["half_value_layer_mm"], by_nist["half_value_layer_mm"]
layer_ours = spekpy["half_value_layer_by_ours_mm"]  # by our formula from SpekPy's spectrum
nist = {30: 0.3756, 60: 0.2059, 100: 0.1707}
worst = max(abs(float(mass_attenuation("water", float(e))) / value - 1) for e, value in nist.items())  # fmt: skip
rows += [
    ["half-value layer, 120 kV, 2.5 mm Al (SpekPy)", f"{layer:.2f} mm, with NIST's tables {layer_nist:.2f} mm", f"{layer_120:.2f} mm; our formula for SpekPy's spectrum: {layer_ours:.2f} mm"],
    ["mean energy, 120 kV, 2.5 mm Al (SpekPy)", f"{spekpy['mean_energy_kev']:.1f} keV", f"{mean_120:.1f} keV"],
    ["largest error of µ/ρ of water at 30, 60, 100 keV (NIST)", "0", f"{100 * worst:.2f} %"],
    *(
        [
            f"noise of p, {photons:,.0f} photons (first-order formula)",
            f"{formula[photons]:.5f}",
            mean_interval(deviation[photons]).shown(5),
        ]
        for photons in doses
    ),
    ["exponent of noise against dose, from 10<sup>4</sup> photons", "−0.5", mean_interval(slopes).shown(4)],
    [
        "bias of p, 1,000 photons (exercise 2)",
        f"{math.exp(truth) / 2000:.3f}",
        mean_interval(bias[1e3]).shown(3),
    ],
    ["noise of integrating over counting detector (Swank)", f"{expected_ratio:.4f}", mean_interval(ratio).shown(4)],
]  # fmt: skip
table(
    ["quantity", "source says", "measured here"],
    rows,
    caption=f"Profile {run.profile.name}. CT numbers: computed, tissue at 37 °C in the beam behind 6 mm of aluminium and 16 cm of water. Noise: simulated rays through 20 cm of water, {len(thickness):,} rays "
    f"for each of {seeds} seeds ({len(ratio)} for the detectors); ± is the 95 % interval of the mean over seeds (Student's t). SpekPy's numbers are a record: {peers.measured('spekpy')}.",
)
for key, name in (
    ("grey", "grey matter"),
    ("white", "white matter"),
    ("fluid", "cerebrospinal fluid"),
    ("clot", "clotted blood"),
):
    low, high = READ[name]
    run.record(f"xray_hu_{key}", numbers_hu[name], low=low, high=high, unit="HU", digits=0)
difference = numbers_hu["grey matter"] - numbers_hu["white matter"]
run.record("xray_hu_difference", difference, low=1, high=8, unit="HU", digits=1)
colder = ct_number("cerebrospinal fluid", standard) - numbers_hu["cerebrospinal fluid"]
run.record("xray_hu_temperature", colder, low=4, high=6, unit="HU", digits=1)
thinner = 1 - at_body_temperature("grey matter").density_g_per_cm3 / find("grey matter").density_g_per_cm3  # fmt: skip
run.record("xray_thinner", 100 * thinner, low=0.4, high=0.6, unit="%", digits=2)
for kv in (100, 120):
    differs = peers.row(name="SpekPy", kv=kv, aluminium_mm=2.5)["apart"]
    run.record(f"xray_apart_{kv}kv", 100 * differs, low=0.1, high=2, unit="%", digits=1)
run.record("xray_nist", 100 * worst, low=0, high=0.05, unit="%", digits=2)
run.record("xray_few", 1000 * math.exp(-truth), low=18, high=23, digits=0)
run.record("xray_layer_gap", 100 * (layer - layer_120) / layer, low=1, high=3, unit="%", digits=1)  # fmt: skip
run.record("xray_layer_beam", 100 * (layer_ours - layer_120) / layer, low=0.1, high=1, unit="%", digits=1)  # fmt: skip
run.record("xray_slope", np.mean(slopes), low=-0.53, high=-0.48, digits=3)
run.record("xray_bias", np.mean(bias[1e3]), low=0.01, high=0.06, digits=3)
run.record("xray_bias_high", np.mean(bias[1e5]), low=-0.003, high=0.003, digits=4)
mean_ratio = float(np.mean(ratio))
run.record("xray_detector_formula", expected_ratio, low=1.01, high=1.1, digits=4)
run.record("xray_detector_ratio", mean_ratio, low=0.99 * expected_ratio, high=1.01 * expected_ratio, digits=4)  # fmt: skip
run.record("xray_dose_saved", 100 * (1 - 1 / mean_ratio**2), low=1, high=20, unit="%", digits=0)

# %% [markdown]
# **Tissues.** All lie where they are read: grey matter at {glue:text}`xray_hu_grey`, white at {glue:text}`xray_hu_white`, fluid at {glue:text}`xray_hu_fluid`, a clot at {glue:text}`xray_hu_clot`. One step was needed that is easy to miss. The
# tables hold densities at room temperature; a head is at 37 °C, while scanners are calibrated with water of the room. We let soft tissue expand as water does (`at_body_temperature`; bone stays as it is). It is then {glue:text}`xray_thinner` less dense and attenuates as much less, so each soft
# tissue reads lower than at room temperature, the fluid by {glue:text}`xray_hu_temperature`. That is more than the difference between grey
# and white matter. In this difference our numbers fall short: grey and white differ by {glue:text}`xray_hu_difference`, while the middles of the atlas's two ranges are 7.5 HU apart. The difference hangs on densities that nobody knows to better than half a per cent, which is 5 HU. Chemistry gives the
# order of the tissues and their level, not their last unit.
#
# **Beam.** The mean energies agree, but our half-value layer is {glue:text}`xray_layer_gap` smaller than SpekPy's. Most of the gap is not the beam: our formula gets a smaller number from SpekPy's own spectrum, too (table), which leaves {glue:text}`xray_layer_beam` for the
# spectrum. The rest lies in tables, of how much aluminium attenuates and of how much energy a photon leaves in air. With NIST's tables in place of its own, SpekPy also gets less.
#
# **Noise.** The exponent is {glue:text}`xray_slope`: a trace steeper than −0.5, because at the lowest of the three doses the noise is already a little above the formula. With 1,000 photons some {glue:text}`xray_few` arrive. The noise is clearly above the formula, and $p$ is too large, by {glue:text}`xray_bias` on average (at 100,000 photons by {glue:text}`xray_bias_high`): the logarithm punishes a count
# that is low by chance more than it rewards one that is high. The next lessons will meet this bias again as dark streaks.
#
# **Detector.** The thesis says that photon-counting detectors give lower noise at a lower dose. From the statistics alone an integrating detector is noisier, since its few very energetic photons count most: by the factor
# $\sqrt{\langle E^2\rangle}/\langle E\rangle$ over the photons that arrive {cite}`swank1973`, here {glue:text}`xray_detector_formula`; we find {glue:text}`xray_detector_ratio`. (So small a difference is hard to measure, since the standard deviation of a few thousand rays is itself uncertain by about one per cent. So both detectors are given the same
# photons, and this row has more seeds than the others.) For the same
# noise the counting one needs {glue:text}`xray_dose_saved` less dose. The larger part of the published advantage comes from elsewhere: no electronic noise below a threshold, smaller pixels, and weights by energy that favour contrast {cite}`willemink2018`.
#
# ## Where it breaks
#
# For one energy, $p$ is proportional to the thickness: twice the water, twice the line integral. All of image reconstruction is built on that. With a tube it is not so. The soft photons go first,
# what is left penetrates better, and every further centimetre counts less: {term}`beam hardening` {cite}`brooks1976`.
#
# **Predict.** By how many per cent does the line integral of 30 cm of water fall short of ten times that of 3 cm?

# %%
used = beam if hardening else monochromatic(70.0)
lengths = torch.linspace(0, 300, 101, dtype=torch.float64)[:, None]
p = line_integral(transmission(lengths, ["water"], used), floor=1e-12)
short = 1 - float(p[-1] / (10 * p[10]))  # 300 mm against ten times 30 mm
if hardening:
    assert short > 0.03, "a beam of many energies must fall behind the straight line"
else:
    assert abs(short) < 1e-9, "a beam of one energy must follow the straight line"

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.2))
start_slope = float(p[1] / lengths[1, 0])
axes[0].plot(lengths, p, color=style.BLUE, label="measured")
axes[0].plot(lengths, start_slope * lengths[:, 0], color=style.MUTED, linestyle="--", label="straight line")  # fmt: skip
axes[0].set(xlabel="water (mm)", ylabel="line integral p", title="Less and less per millimetre")
axes[0].legend()
axes[1].plot(lengths[1:], 1000 * (p[1:] / (start_slope * lengths[1:, 0]) - 1), color=style.ORANGE)  # fmt: skip
axes[1].set(xlabel="water (mm)", ylabel="error (HU)", title="As an error of the CT number")
show(
    figure,
    caption="A tube's line integral bends away from proportionality. Read as a CT number, the mean over the path sinks by tens of HU: more than a stroke changes the brain.",
    alt="Left: a curve that bends below a dashed straight line. Right: the error in HU falling from zero as the water gets thicker",
)
run.record("xray_hardening", 100 * short, low=-0.001, high=25, unit="%", digits=1)

# %% [markdown]
# It falls short by {glue:text}`xray_hardening`. A ray through the middle of a head crosses more tissue than one near its edge, so the middle comes out too dark; this {term}`cupping` and its cure are in a coming lesson. Set `hardening = False` at the top, and the
# same cell proves that one energy has no such error.
#
# ## Exercises
#
# ### Exercise 1: a half-value layer on paper
#
# At 60 keV, water has $\mu = 0.206$ /cm. How thick is its half-value layer? How many photons of a million pass 20 cm? And how many half-value layers is that?
#
# <details class="hint"><summary>Hint</summary>
#
# Equation {eq}`xray-beer` for a constant $\mu$ is $I/I_0 = e^{-\mu l}$.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# Half: $\mu l = \ln 2 = 0.693$.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $l = 0.693 / 0.206 = 3.36$ cm. $e^{-0.206 \cdot 20} = e^{-4.12} = 0.0162$: 16,200 photons. That is $20/3.36 = 5.95$ half-value layers, and indeed $2^{-5.95} = 0.0162$.
#
# </details>
#
# ### Exercise 2: why is the mean too large?
#
# Show that the mean of $-\ln(N/N_0)$ is larger than $p$ by about $1/(2N)$ when $N$ photons arrive on average. What is it for 20 photons?
#
# <details class="hint"><summary>Hint</summary>
#
# Write the count as $N(1 + \varepsilon)$ and expand the logarithm to second order.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# $\ln(1 + \varepsilon) \approx \varepsilon - \varepsilon^2/2$. The mean of $\varepsilon$ is 0; what is the mean of $\varepsilon^2$ for a Poisson distribution?
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# The variance of the count is $N$, so $\langle\varepsilon^2\rangle = 1/N$, and $\langle-\ln(N(1+\varepsilon)/N_0)\rangle = p + \frac{1}{2N}$. For 20 photons it is 0.025, close to what the table shows; for 2,000 it has vanished in the noise. Adding up ten rays
# before the logarithm removes most of it, adding after it does not.
#
# </details>
#
# ### Exercise 3: a dose for a task, in code
#
# A clot of 5 mm changes the line integral of a ray by a small $\Delta p$. Write `photons_needed(line_integral, difference, factor)`: how many photons $N_0$ the open ray needs so that the noise of $p$ is `difference / factor`. Use it for a large head ($p = 4.5$), a
# clot that is 40 HU brighter than the brain over 5 mm (about $\Delta p = 0.004$) and a factor of 3.
#
# <details class="hint"><summary>Hint</summary>
#
# Solve equation {eq}`xray-noise` for $N_0$.
#
# </details>
# <details class="hint"><summary>Stronger hint</summary>
#
# The standard deviation is $\sqrt{e^p/N_0}$. Set it equal to $\Delta p / f$ and square.
#
# </details>
# <details class="solution"><summary>Solution</summary>
#
# $N_0 = e^p f^2 / \Delta p^2$, here $90 \cdot 9 / 0.004^2 = 5 \times 10^7$ photons on one ray. A scanner sends fewer, and still sees the clot, because each pixel is seen by hundreds of rays. The cell after the exercise holds it as code.
#
# </details>


# %% tags=["hide-input"]
def check_photons_needed(photons_needed):
    found = photons_needed(2.0, 0.01, 1.0)
    if found is None:
        return "it returned nothing; return the number of photons."
    wanted = math.exp(2.0) / 0.01**2
    if math.isclose(found, 1 / 0.01**2, rel_tol=1e-6):
        return "this many photons must arrive; how many must start?"
    if math.isclose(found, math.exp(2.0) / 0.01, rel_tol=1e-6):
        return "the variance goes with 1/N, so the difference enters squared."
    if not math.isclose(found, wanted, rel_tol=1e-6):
        return f"for p = 2, a difference of 0.01 and a factor of 1 it gives {found:.4g}, expected {wanted:.4g}."
    if not math.isclose(photons_needed(2.0, 0.01, 3.0), 9 * wanted, rel_tol=1e-6):
        return "three times less noise needs nine times the photons: the factor enters squared."
    paths = torch.full((4000, 1), 100.0)
    p = float(path_integral(paths[0], ["water"], 70.0))
    drawn = counted(
        paths, ["water"], 70.0, photons_needed(p, 0.03, 3.0), run.fresh_generator(9), "counting"
    )
    if abs(float(line_integral(drawn).std()) - 0.01) > 0.001:
        return "counted photons are noisier than asked for."
    return None


# %% tags=["exercise"]
def photons_needed(line_integral, difference, factor):
    """Photons in the open ray for which the noise of the line integral is difference / factor."""
    ...  # your code here


judge(check_photons_needed, photons_needed)


# %% tags=["solution", "hide-cell"]
def photons_needed(line_integral, difference, factor):
    """Photons in the open ray for which the noise of the line integral is difference / factor."""
    # begin solution
    return math.exp(line_integral) * (factor / difference) ** 2
    # end solution


judge(check_photons_needed, photons_needed)

# %% [markdown]
# ## Quiz

# %% tags=["remove-input"]
quiz(
    question(
        "You raise the tube voltage from 80 to 120 kV and change nothing else. What happens?",
        ("The K lines move to higher energies", "They belong to tungsten and stay where they are; there are more of them."),
        right("The beam gets harder, and iodine's contrast shrinks", "Photons with more energy penetrate better, and the photoelectric effect, which makes iodine bright, falls with the third power of the energy."),
        ("Soft photons vanish", "That is what a filter does. The voltage adds hard ones."),
    ),
    question(
        "Why is bone so much brighter than brain?",
        ("Only because it is denser", f"Compact bone has 1.92 times the density of water. If that were all, it would have 1000 · (1.92 − 1) = 920 HU; it has {sum(bone.values()):.0f}."),
        right("It is denser, and its calcium absorbs photoelectrically", f"Compton scattering, which follows the density, makes {bone['compton']:.0f} HU. The photoelectric effect, with the third power of the atomic number, makes {bone['photoelectric']:.0f}."),
        ("It scatters more by Rayleigh's process", f"It does, but that makes only {bone['rayleigh']:.0f} of its {sum(bone.values()):.0f} HU."),
    ),
    question(
        "The noise of an image should be halved. The dose must become",
        ("twice as large", "Noise falls with the square root of the number of photons."),
        right("four times as large", "The variance is 1/N: a quarter of it needs four times the photons."),
        ("half as large", "Fewer photons, more noise."),
    ),
)  # fmt: skip

# %% [markdown]
# ## In short
#
# - Bremsstrahlung ends at the tube voltage; tungsten's lines stand where tungsten puts them; the filter removes what would only be dose.
# - Photoelectric effect: third power of the atomic number, falling fast with energy. Compton scattering: counts electrons, and makes most of the attenuation in CT.
# - Beer and Lambert's law is exact for one energy; with many it is a sum of exponentials, and the line integral bends.
# - A Hounsfield unit is attenuation relative to water, in that beam. Tissue tables predict it to a few HU; temperature alone is worth five.
# - The variance of a line integral is one over the number of photons that arrive.
#
# ## Data and limits
#
# | | |
# | --- | --- |
# | anatomy | ICBM 152 template, one axial slice; skull, skin and the fluid outside the brain are **synthetic** layers of constant thickness, the clot is a **synthetic** ellipse |
# | tissues | average compositions of adults {cite}`woodard1986,icru44`; a person differs by a few per cent |
# | attenuation | tables of {cite}`elam2002`; for water at the energies tested within {glue:text}`xray_nist` of {cite}`hubbell1995` |
# | tube | a model with one constant set by us and the number of K photons set by comparison with SpekPy; no heel effect |
# | images | **synthetic**: CT numbers of an ideal scanner, without noise, scatter or reconstruction |
# | noise | **synthetic** counts from the seed shown at the top of the page |
# | claims | none about patients or scanners; windows are common choices, not recommendations |
#
# ## Further reading
#
# Hounsfield's paper describes the first scanner for heads {cite}`hounsfield1973`. A book that goes from photon statistics to reconstruction is {cite}`buzug2008`. For photon-counting detectors, {cite}`willemink2018` is a readable review; for what
# beam hardening does to images, {cite}`brooks1976` found and explained it early.
#
# ```{bibliography}
# :filter: docname in docnames
# ```
