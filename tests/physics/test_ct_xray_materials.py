"""Attenuation against NIST's tables, CT numbers against what radiologists read."""

import math

import pytest
import torch

from medlab.physics.ct.xray import (
    MATERIALS,
    PROCESSES,
    WINDOWS,
    Material,
    at_body_temperature,
    attenuation_per_cm,
    ct_number,
    energy_transfer,
    from_hu,
    mass_attenuation,
    monochromatic,
    recoil_share,
    to_hu,
    tube_spectrum,
    with_iodine,
)

# The beam that arrives in the middle of a head: 120 kV, 6 mm of aluminium, then 16 cm of water.
HEAD_BEAM = tube_spectrum(120, 6.0).filtered(160.0, "water")


@pytest.mark.parametrize(
    ("material", "table"),
    [
        ("water", {20: 0.8096, 30: 0.3756, 40: 0.2683, 60: 0.2059, 80: 0.1837, 100: 0.1707, 150: 0.1505}),
        ("cortical bone", {30: 1.331, 40: 0.6655, 60: 0.3148, 80: 0.2229, 100: 0.1855}),
        ("aluminium", {30: 1.128, 60: 0.2778, 100: 0.1704}),
        ("lead", {100: 5.549}),
    ],
)
def test_mass_attenuation_is_that_of_nist(material, table):
    # Hubbell and Seltzer, NISTIR 5632; measured: Elam's tables agree within 0.1 %.
    energies = torch.tensor(list(table), dtype=torch.float64)
    expected = torch.tensor(list(table.values()), dtype=torch.float64)
    torch.testing.assert_close(mass_attenuation(material, energies), expected, rtol=2e-3, atol=0)


def test_energy_transfer_of_air_is_the_absorption_of_nist():
    # Below 150 keV transfer and absorption differ by less than 0.1 % in air; measured: within 1.5 %.
    energies = torch.tensor([20.0, 40.0, 60.0, 80.0, 100.0, 150.0])
    expected = torch.tensor([0.5389, 0.06833, 0.03041, 0.02407, 0.02325, 0.02496], dtype=torch.float64)
    torch.testing.assert_close(energy_transfer("air", energies), expected, rtol=0.02, atol=0)


def test_recoil_follows_klein_and_nishina():
    # At low energies the share is E / mc² to first order; at 100 keV the textbook value is 0.138.
    assert float(recoil_share(1.0)) == pytest.approx(1 / 511.0, rel=0.01)
    assert float(recoil_share(100.0)) == pytest.approx(0.138, abs=0.001)


@pytest.mark.parametrize("material", sorted(MATERIALS))
def test_processes_add_up_and_lie_between_bounds(material):
    energies = torch.linspace(10, 150, 29)
    parts = sum(attenuation_per_cm(material, energies, process) for process in PROCESSES if process != "total")
    total = attenuation_per_cm(material, energies)
    torch.testing.assert_close(parts, total, rtol=1e-6, atol=0)
    assert total.dtype == torch.float64 and bool((total > 0).all())
    assert math.isclose(sum(MATERIALS[material].mass_fractions.values()), 1.0)
    assert MATERIALS[material].source


def test_photoelectric_absorption_falls_with_the_cube_and_grows_with_the_number():
    low, high = mass_attenuation("water", torch.tensor([30.0, 60.0]), "photoelectric").tolist()
    assert 3.0 < math.log2(low / high) < 3.4
    calcium, oxygen = (mass_attenuation(Material("", 1.0, {s: 1.0}), 60.0, "photoelectric") for s in ("Ca", "O"))
    assert 3.0 < math.log(float(calcium / oxygen)) / math.log(20 / 8) < 4.0
    # Compton scattering counts electrons and little else: per electron, elements are alike.
    ratio = mass_attenuation("iron", 80.0, "compton") / mass_attenuation("aluminium", 80.0, "compton")
    assert float(ratio) == pytest.approx((26 / 55.845) / (13 / 26.982), rel=0.06)


def test_iodine_has_its_edge_and_gold_too():
    for material, edge in (("iodine", 33.169), ("gold", 80.725)):
        below, above = attenuation_per_cm(material, torch.tensor([edge - 0.1, edge + 0.1])).tolist()
        assert above > 4 * below


@pytest.mark.parametrize(
    ("material", "low", "high"),
    [
        # The Neurosurgical Atlas, quick reference table "Hounsfield units scale" (2018): grey matter 30 to 40, white
        # matter 20 to 35, fat -120 to -60; fluid there 5, most textbooks 0 to 15.
        ("grey matter", 30, 40),
        ("white matter", 20, 35),
        ("adipose tissue", -120, -60),
        ("cerebrospinal fluid", 0, 15),
        # Flowing blood 40 to 60; a clot that has retracted 60 to 90 (same table: 75 to 80).
        ("blood", 40, 60),
        ("clotted blood", 60, 90),
        ("muscle", 30, 60),
    ],
)
def test_ct_numbers_of_soft_tissues_at_120_kv(material, low, high):
    assert low < ct_number(at_body_temperature(material), HEAD_BEAM) < high


def test_ct_numbers_that_need_no_measurement():
    assert ct_number("water", HEAD_BEAM) == 0
    assert ct_number("air", HEAD_BEAM) == pytest.approx(-1000, abs=2)
    # Compact bone is given as 1000 and more, whole skull as 600 and more (same table); bone spans a wide range.
    assert 1000 < ct_number("cortical bone", HEAD_BEAM) < 2000
    assert 600 < ct_number("skull", HEAD_BEAM) < 1300
    assert 3000 < ct_number("titanium", HEAD_BEAM) < ct_number("steel", HEAD_BEAM) < ct_number("amalgam", HEAD_BEAM)


def test_order_of_the_tissues_of_a_head():
    names = [
        "air",
        "adipose tissue",
        "cerebrospinal fluid",
        "white matter",
        "grey matter",
        "blood",
        "clotted blood",
        "skull",
    ]
    numbers = [ct_number(name, HEAD_BEAM) for name in names]
    assert numbers == sorted(numbers)


def test_body_temperature_takes_away_five_units():
    assert ct_number("blood", HEAD_BEAM) - ct_number(at_body_temperature("blood"), HEAD_BEAM) == pytest.approx(
        5.1, abs=0.4
    )
    assert at_body_temperature("cerebrospinal fluid").density_g_per_cm3 == pytest.approx(1.002, abs=0.001)


def test_iodine_is_brighter_at_low_voltage():
    # Published slopes at 120 kV lie at 25 to 30 HU for each mg/ml, and are about 1.6 times larger at 80 kV.
    def slope(kv):
        beam = tube_spectrum(kv, 6.0).filtered(160.0, "water")
        return (ct_number(with_iodine("blood", 10.0), beam) - ct_number("blood", beam)) / 10

    assert 24 < slope(120) < 32
    assert 1.4 < slope(80) / slope(120) < 1.8
    assert with_iodine("water", 0.0).density_g_per_cm3 == 1.0
    shares = with_iodine("water", 10.0).mass_fractions
    assert shares["I"] == pytest.approx(0.010 / 1.010)


def test_hounsfield_scale_and_its_inverse():
    water = 0.2
    values = torch.tensor([[0.0, 0.2], [0.21, 0.5]], requires_grad=True)
    numbers = to_hu(values, water)
    torch.testing.assert_close(numbers, torch.tensor([[-1000.0, 0.0], [50.0, 1500.0]]))
    torch.testing.assert_close(from_hu(numbers, water), values)
    numbers.sum().backward()
    torch.testing.assert_close(values.grad, torch.full((2, 2), 5000.0))
    assert WINDOWS["brain"] == (40.0, 80.0)
    assert all(width > 0 for _, width in WINDOWS.values())


def test_at_one_energy_the_number_is_the_ratio():
    mu, water = (float(attenuation_per_cm(name, 70.0)) for name in ("skull", "water"))
    assert ct_number("skull", 70.0) == pytest.approx(1000 * (mu - water) / water)
    assert ct_number("skull", monochromatic(70.0), "counting") == pytest.approx(ct_number("skull", 70.0))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: attenuation_per_cm("bone", 60.0), "material is 'bone', expected a Material or one of .*cortical bone"),
        (lambda: attenuation_per_cm("water", 0.5), "energies_kev contains 0.5 keV, expected energies from 1 to 1000"),
        (lambda: attenuation_per_cm("water", [60.0, 2000.0]), "energies_kev contains 2000 keV"),
        (lambda: attenuation_per_cm("water", math.nan), "energies_kev contains NaN"),
        (lambda: attenuation_per_cm("water", []), "energies_kev is empty"),
        (lambda: attenuation_per_cm("water", 60.0, "pair"), "process is 'pair', expected one of total"),
        (lambda: Material("ghost", 0.0, {"H": 1.0}), "density_g_per_cm3 is 0.0, expected one number above 0"),
        (lambda: Material("ghost", 1.0, {"Xx": 1.0}), "mass_fractions names 'Xx', expected the symbol of an element"),
        (lambda: Material("half", 1.0, {"H": 0.5}), "mass_fractions of half sum to 0.500, expected 1"),
        (lambda: Material("odd", 1.0, {"H": 1.5, "O": -0.5}), r"mass_fractions\['O'\] is -0.5, expected 0"),
        (lambda: with_iodine("blood", -1.0), "iodine_mg_per_ml is -1, expected 0 mg/ml or more"),
        (lambda: to_hu(0.2, 0.0), "water_per_cm is 0.0, expected one number above 0"),
        (lambda: to_hu(torch.tensor(math.inf), 0.2), "attenuation_per_cm contains infinity"),
        (lambda: from_hu(math.nan, 0.2), "hounsfield contains NaN"),
    ],
)
def test_what_no_material_can_be_is_refused_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=said) as refusal:
        call()
    assert "\n" not in str(refusal.value)
