"""Subjects and their scans: exact truth, the same twice, and images in which each modality can be told."""

import numpy as np
import pytest
import torch

from medlab.cohorts.grid import Grid, sample
from medlab.cohorts.scan import FLAIR, PROTON_DENSITY, T1, T1_CONTRAST, T2, Sequence, ct_image, mr_image
from medlab.cohorts.subject import Person, draw_person, draw_subject
from medlab.cohorts.texture import smooth_noise
from medlab.cohorts.tissues import BRAIN, FLUID, SKULL, TISSUES, hounsfield
from medlab.data.chance import generator_for

GRID = Grid.cube(40)
SUBJECT = draw_subject(draw_person(1, 50.0), GRID)
CLEAN = {"noise": 0.0, "bias": 0.0, "variation": 0.0, "texture": 0.0}


def test_shares_add_up():
    total = sum(SUBJECT.shares.values())
    assert float((total - 1).abs().max()) < 1e-5
    assert all(float(share.min()) >= 0 and float(share.max()) <= 1 + 1e-5 for share in SUBJECT.shares.values())


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_head():
    again, other = (draw_subject(draw_person(seed, 50.0), GRID) for seed in (1, 2))
    for name, share in SUBJECT.shares.items():
        assert torch.equal(share, again.shares[name])
    assert torch.equal(mr_image(SUBJECT, T2, 3), mr_image(again, T2, 3))
    brains = [one.share(*BRAIN) > 0.5 for one in (SUBJECT, other)]
    dice = 2 * float((brains[0] & brains[1]).sum()) / float(sum(brain.sum() for brain in brains))
    assert 0.6 < dice < 0.97
    assert not torch.equal(mr_image(SUBJECT, T2, 3), mr_image(SUBJECT, T2, 4)), "another scan has other noise"


def test_volume_follows_the_size_of_the_head():
    small, large = (draw_subject(Person(1, scale=(s,) * 3), GRID).volume_ml(*BRAIN, *FLUID) for s in (0.95, 1.05))
    assert large / small == pytest.approx((1.05 / 0.95) ** 3, rel=0.01)


def test_brains_have_a_persons_size():
    volumes = torch.tensor([draw_subject(draw_person(seed, 30.0), GRID).volume_ml(*BRAIN) for seed in range(8)])
    assert 1250 < float(volumes.mean()) < 1500 and float(volumes.min()) > 950 and float(volumes.max()) < 1850


def test_brains_shrink_with_age():
    at = {age: draw_subject(draw_person(4, age), GRID) for age in (20.0, 34.0, 36.0, 59.0, 61.0, 80.0)}
    young, old = at[20.0], at[80.0]
    assert 1.4 < old.volume_ml("ventricular csf") / young.volume_ml("ventricular csf") < 3
    brain = {age: subject.volume_ml(*BRAIN) for age, subject in at.items()}
    assert 0.15 < 1 - brain[80.0] / brain[20.0] < 0.27
    assert 0.1 < 50 * (1 - brain[36.0] / brain[34.0]) < 0.3, "per cent a year at 35: 0.2 in Hedman et al."
    assert 0.35 < 50 * (1 - brain[61.0] / brain[59.0]) < 0.7, "per cent a year at 60: 0.5"
    for tissue in ("grey matter", "white matter"):
        assert 0.1 < 1 - old.volume_ml(tissue) / young.volume_ml(tissue) < 0.35
    assert old.volume_ml("outer csf") > 1.8 * young.volume_ml("outer csf"), "furrows widen"
    assert old.volume_ml(*SKULL) == pytest.approx(young.volume_ml(*SKULL), rel=0.04), "and bone stays"


def test_thick_slices_are_means_over_their_thickness():
    person = draw_person(1, 50.0)
    thin = draw_subject(person, Grid((32, 32, 24), (6.0, 6.0, 6.0)))
    thick = draw_subject(person, Grid((32, 32, 8), (6.0, 6.0, 18.0)))
    for name, share in thick.shares.items():
        torch.testing.assert_close(share, thin.share(name).reshape(32, 32, 8, 3).mean(-1), rtol=0, atol=1e-5)


def test_the_true_deformation_carries_labels_onto_labels():
    grid = Grid.cube(80, 200.0)
    one, two = (draw_subject(Person(seed, shape_mm=2.5, folds=0.0), grid) for seed in (1, 2))
    points = grid.points()
    # From the second head to the template, from there to the first: where its voxels come from.
    origin = one.deformation.to_subject(two.deformation.to_template(points))
    for names in (BRAIN, ("white matter",), ("ventricular csf",), SKULL):
        carried = sample(one.share(*names)[None], grid.affine, origin)[0] > 0.5
        truth = two.share(*names) > 0.5
        overlap = 2 * float((carried & truth).sum()) / float(carried.sum() + truth.sum())
        assert overlap > (0.98 if names == BRAIN else 0.88), names


def test_labels_are_the_largest_share():
    labels = SUBJECT.labels({1: FLUID, 2: ("grey matter", "deep grey matter"), 3: ("white matter",)})
    assert labels.dtype == torch.uint8 and labels.unique().tolist() == [0, 1, 2, 3]
    rest = 1 - SUBJECT.share(*FLUID, *BRAIN)
    stacked = torch.stack(
        [rest, SUBJECT.share(*FLUID), SUBJECT.share("grey matter", "deep grey matter"), SUBJECT.share("white matter")]
    )
    clear = stacked.sort(0).values.diff(dim=0)[-1] > 1e-4
    assert torch.equal(labels[clear].long(), stacked.argmax(0)[clear])


def means(image):
    """The mean of an image where a tissue is nearly alone, for the tissues with such voxels."""
    found = {"white": ("white matter",), "grey": ("grey matter",), "fluid": FLUID}
    return {key: float(image[SUBJECT.share(*names) > 0.9].mean()) for key, names in found.items()}


def test_each_modality_shows_its_contrast():
    t1, t2, flair, density = (means(mr_image(SUBJECT, seq, 1, **CLEAN)) for seq in (T1, T2, FLAIR, PROTON_DENSITY))
    assert t1["fluid"] < t1["grey"] < t1["white"]
    assert t2["white"] < t2["grey"] < t2["fluid"]
    assert flair["fluid"] < 0.15 * flair["white"] and flair["white"] < flair["grey"]
    assert density["white"] < density["grey"]


def test_contrast_medium_lights_vessels_and_spares_the_brain():
    before, after = (mr_image(SUBJECT, sequence, 1, **CLEAN) for sequence in (T1, T1_CONTRAST))
    vessels, brain = SUBJECT.share("blood") > 0.4, SUBJECT.share(*BRAIN) > 0.99999
    assert float((after / before)[vessels].mean()) > 1.2
    torch.testing.assert_close(after[brain], before[brain])


def test_noise_and_bias_have_their_strength():
    quiet, noisy = (mr_image(SUBJECT, T2, 1, **(CLEAN | {"noise": level})) for level in (0.0, 0.05))
    white = SUBJECT.share("white matter") > 0.95
    signal = float(quiet[white].mean())
    assert float((noisy - quiet)[white].std()) == pytest.approx(0.05 * signal, rel=0.15)
    shaded = mr_image(SUBJECT, T2, 1, **(CLEAN | {"bias": 0.3}))
    ratio = (shaded / quiet.clamp(min=1e-6))[white]
    assert 0.74 < float(ratio.min()) < float(ratio.max()) < 1.36


@pytest.mark.parametrize("reconstructed", [False, True])
def test_ct_shows_hounsfield_numbers(reconstructed):
    grid = Grid((48, 48, 5), (5.0, 5.0, 5.0), (0.0, -17.0, 30.0))
    subject = draw_subject(draw_person(1, 50.0), grid)
    image = ct_image(subject, 1, photons=1e8, views=96, reconstructed=reconstructed)
    expected = dict(zip(TISSUES, hounsfield(), strict=True))
    air = subject.share("air") > 0.999
    assert float(image[air].mean()) == pytest.approx(-1000, abs=40)
    brain = subject.share(*BRAIN) > 0.98
    assert float(image[brain].mean()) == pytest.approx(expected["grey matter"], abs=15)
    assert float(image[subject.share(*SKULL) > 0.7].mean()) > 250


def test_what_a_purpose_draws_depends_on_nothing_else():
    first = torch.randn(3, generator=generator_for(7, "a"))
    generator_for(7, "b")
    assert torch.equal(first, torch.randn(3, generator=generator_for(7, "a")))
    assert not torch.equal(first, torch.randn(3, generator=generator_for(7, "b")))


def test_smooth_noise_has_unit_variance():
    field = smooth_noise((64, 64, 64), 3.0, torch.Generator().manual_seed(0))
    assert float(field.std()) == pytest.approx(1.0, rel=0.15)
    along = float((field[1:] * field[:-1]).mean() / field.square().mean())
    assert along == pytest.approx(np.exp(-1 / 36), abs=0.02), "correlation exp(-d² / 4σ²)"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Person(-1), "seed is -1, expected a whole number of at least 0"),
        (lambda: Person(0, scale=(1.0, 0.0, 1.0)), "scale is"),
        (lambda: Person(0, shift_mm=(1.0, 2.0)), "shift_mm is"),
        (lambda: draw_person(0, 300.0), "age_years is 300.0, expected a number of at least 0 and at most 120"),
        (lambda: mr_image(SUBJECT, Sequence("X", "echo", 1.0, 1.0), 1), "kind of sequence X is 'echo'"),
        (lambda: mr_image(SUBJECT, T1, 1, noise=-1.0), "noise is -1.0"),
        (lambda: ct_image(draw_subject(Person(0), Grid((8, 6, 2), (20.0,) * 3)), 0), r"slices have 8 x 6 voxels"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()
