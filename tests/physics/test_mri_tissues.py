"""Tissue values against their sources, and the contrasts that every textbook names, as numbers."""

import dataclasses

import pytest
import torch

from medlab.physics.mri.sequences import (
    flair_signal,
    inversion_recovery_signal,
    spin_echo_signal,
    spoiled_gradient_echo_signal,
)
from medlab.physics.mri.tissues import FIELDS_T, TISSUE_NAMES, Tissue, tissue, tissue_tensors

BRAIN = ("white matter", "grey matter", "csf")


@pytest.mark.parametrize(
    ("name", "field", "t1", "t2"),
    [
        ("white matter", 1.5, 884, 72),
        ("white matter", 3.0, 1084, 69),
        ("grey matter", 1.5, 1124, 95),
        ("grey matter", 3.0, 1820, 99),
        ("blood", 1.5, 1441, 290),
        ("blood", 3.0, 1932, 275),
        ("muscle", 1.5, 1008, 44),
        ("muscle", 3.0, 1412, 50),
    ],
)
def test_values_of_stanisz_2005(name, field, t1, t2):
    found = tissue(name, field)
    assert (found.t1_ms, found.t2_ms) == (t1, t2)


def test_every_tissue_at_every_field_obeys_physics():
    for name in TISSUE_NAMES:
        low, high = (tissue(name, field) for field in FIELDS_T)
        for found in (low, high):
            assert 0 < found.t2_star_ms <= found.t2_ms <= 2 * found.t1_ms
            assert 0 < found.proton_density <= 1
        assert high.t1_ms >= low.t1_ms, "T1 grows with the field, or stays"
        assert high.t2_star_ms <= low.t2_star_ms, "susceptibility dephases faster in a stronger field"


def test_a_tissue_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        tissue("csf", 3.0).t1_ms = 1.0


def test_tensors_are_the_tissues_in_order():
    values = tissue_tensors(BRAIN, 3.0, dtype=torch.float64)
    assert values["t1_ms"].tolist() == [1084, 1820, 4300]
    assert values["proton_density"].tolist() == [tissue(name, 3.0).proton_density for name in BRAIN]
    assert {value.dtype for value in values.values()} == {torch.float64}


@pytest.mark.parametrize("field", FIELDS_T)
def test_the_classical_contrasts(field):
    values = tissue_tensors(BRAIN, field)
    density, t1, t2_star = values["proton_density"], values["t1_ms"], values.pop("t2_star_ms")
    steady = {"flip_angle_deg": 25, "echo_time_ms": 2, "repetition_time_ms": 15}
    white, grey, fluid = spoiled_gradient_echo_signal(density, t1, t2_star, **steady).tolist()
    assert white > 1.03 * grey > 1.6 * fluid
    prepared = {"inversion_time_ms": 700, "echo_time_ms": 5, "repetition_time_ms": 3000}
    white, grey, fluid = inversion_recovery_signal(**values, **prepared, signed=True).tolist()
    assert white > grey + 0.05 and grey > fluid
    t2_weighted = spin_echo_signal(**values, echo_time_ms=100, repetition_time_ms=6000)
    white, grey, fluid = t2_weighted.tolist()
    assert fluid > 1.5 * grey and grey > 1.5 * white
    proton_density = spin_echo_signal(**values, echo_time_ms=12, repetition_time_ms=20000)
    assert proton_density[2] > proton_density[1] > proton_density[0]
    flair = flair_signal(**values, echo_time_ms=100, repetition_time_ms=9000, fluid_t1_ms=4300.0)
    assert flair[2] < 0.01 * flair[0]
    assert flair[1] > flair[0], "grey matter outshines white in FLAIR as in T2-weighted images"


def test_a_short_spin_echo_shows_white_matter_brighter_at_3_t_alone():
    # At 1.5 T the T1 of excised white and grey matter differ by a quarter only, and the density of grey matter wins.
    for field, white_is_brighter in ((1.5, False), (3.0, True)):
        values = tissue_tensors(BRAIN, field)
        values.pop("t2_star_ms")
        white, grey, _ = spin_echo_signal(**values, echo_time_ms=12, repetition_time_ms=600).tolist()
        assert (white > grey) is white_is_brighter


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: tissue("gray", 3.0), "name is 'gray', expected one of white matter"),
        (lambda: tissue("csf", 7.0), "field_t is 7.0, expected 1.5 or 3.0"),
        (lambda: tissue("csf", "3"), "field_t is '3'"),
        (lambda: tissue_tensors("csf", 3.0), "names is 'csf', expected a sequence"),
        (lambda: tissue_tensors([], 3.0), r"names is \[\]"),
        (lambda: Tissue("x", 3.0, 0.0, 1.0, 1.0, 1.0), "t1_ms of x is 0.0, expected a value above 0"),
        (lambda: Tissue("x", 3.0, 100.0, 20.0, 30.0, 1.0), "expected T2. <= T2 <= 2 T1"),
        (lambda: Tissue("x", 3.0, 100.0, 20.0, float("nan"), 1.0), "t2_star_ms of x is nan"),
        (lambda: Tissue("x", 3.0, 100.0, 20.0, 10.0, -1.0), "proton_density of x is -1.0"),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
