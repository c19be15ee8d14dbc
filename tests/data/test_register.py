"""Rigid registration: a known motion of a head is found again, the same each time, and what cannot be is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medlab.cohorts.grid import Grid
from medlab.cohorts.scan import T1, ct_image, mr_image
from medlab.cohorts.subject import Subject, draw_person, draw_subject
from medlab.cohorts.tissues import BRAIN
from medlab.data import Volume, VolumeError, resample
from medlab.data.readers.cq500 import AIR_HU, normalise, reference_cube
from medlab.data.register import RigidTransform, register_rigid
from medlab.data.samples import Sample

GRID = Grid((50, 58, 50), (4.0, 4.0, 4.0))
FEW = 12_000  # samples: enough for half a millimetre
STRAIGHT = replace(draw_person(0), angles_deg=(0.0, 0.0, 0.0), shift_mm=(0.0, 0.0, 0.0))
POSES = {"small": ((8.0, -5.0, 12.0), (10.0, -7.0, 5.0)), "large": ((18.0, 10.0, -20.0), (-15.0, 10.0, 12.0))}
# On the head's surface, in mm.
PLACES = np.array([[x, y, z] for x in (-70, 70) for y in (-95, 60) for z in (-50, 80)], dtype=float)


def posed(name: str) -> tuple[Subject, np.ndarray]:
    """The same head in another pose, drawn there rather than interpolated, and the motion that took it there."""
    angles, shift = POSES[name]
    person = replace(STRAIGHT, angles_deg=angles, shift_mm=shift)
    return draw_subject(person, GRID), person.deformation().affine @ np.linalg.inv(STRAIGHT.deformation().affine)


def as_ct(subject: Subject, seed: int, name: str = "ct") -> Volume:
    return Volume(ct_image(subject, seed, reconstructed=False)[None], subject.grid.affine, name)


@pytest.fixture(scope="module")
def head() -> Subject:
    return draw_subject(STRAIGHT, GRID)


@pytest.fixture(scope="module")
def moved() -> dict[str, tuple[Subject, np.ndarray]]:
    return {name: posed(name) for name in POSES}


def error_of(found: RigidTransform, motion: np.ndarray) -> tuple[float, float]:
    """How far places on the head are from where they belong after all, in mm, and the angle left, in degrees."""
    left = RigidTransform(found.matrix @ motion)
    return float(np.linalg.norm(left.to_reference(PLACES) - PLACES, axis=1).max()), left.angle_deg


@pytest.mark.parametrize(
    ("pose", "metric"),
    [("small", "mutual information"), ("large", "mutual information"), ("large", "correlation")],
)
def test_a_known_motion_is_found(head, moved, pose, metric):
    subject, motion = moved[pose]
    found = register_rigid(as_ct(subject, 7), as_ct(head, 0), metric=metric, samples=FEW)
    far, angle = error_of(found, motion)
    assert far < 0.5 and angle < 0.5
    assert found.angle_deg == pytest.approx(RigidTransform(motion).angle_deg, abs=0.3)
    assert found.similarity > (0.9 if metric == "mutual information" else 0.99)


def test_a_ct_is_laid_over_an_mr_scan_by_mutual_information(head, moved):
    subject, motion = moved["small"]
    scan = Volume(mr_image(head, T1, 0)[None], GRID.affine, "T1")
    assert error_of(register_rigid(as_ct(subject, 7), scan, samples=FEW), motion)[0] < 1.5


def test_grids_do_not_matter_nor_where_the_scanner_puts_its_origin(head, moved):
    subject, motion = moved["small"]
    flat = resample(as_ct(subject, 7), (4.0, 4.0, 6.0))
    turned = np.eye(4)
    turned[:3, :3] = np.diag([-1.0, -1.0, 1.0])  # half a turn about z, and far away
    turned[:3, 3] = (400.0, -300.0, 1200.0)
    flipped = flat.with_data(flat.data.flip(1, 2).contiguous())  # so voxels run the same way as before in the world
    corner = np.eye(4)
    corner[:3, 3] = (flat.shape[1] - 1, flat.shape[2] - 1, 0)
    corner[:2, :2] = -np.eye(2)
    away = np.eye(4)
    away[:3, 3] = turned[:3, 3]
    there = Volume(flipped.data, away @ flat.affine @ corner, "elsewhere")
    far, angle = error_of(register_rigid(there, as_ct(head, 0), samples=FEW), away @ motion)
    assert far < 1.0 and angle < 0.5


def test_the_identity_stays_and_the_same_input_gives_the_same_bytes(head):
    image = as_ct(head, 0)
    first, second = (register_rigid(image, image, samples=5000, start="world") for _ in range(2))
    far, angle = error_of(first, np.eye(4))
    assert far < 0.2 and angle < 0.1
    assert first.matrix.tobytes() == second.matrix.tobytes() and first.similarity == second.similarity
    other = register_rigid(image, image, samples=5000, start="world", seed=1)
    assert other.matrix.tobytes() != first.matrix.tobytes()


def test_only_places_inside_the_mask_count(head, moved):
    subject, motion = moved["small"]
    plate = torch.zeros(GRID.shape, dtype=torch.bool)
    plate[8:42, 49:55] = True  # in front of the reference's forehead alone
    reference = Volume(torch.where(plate, torch.tensor(1500.0), as_ct(head, 0).data[0])[None], GRID.affine)
    options = {"metric": "correlation", "start": "middle", "samples": FEW}
    misled, _ = error_of(register_rigid(as_ct(subject, 7), reference, **options), motion)
    far, _ = error_of(register_rigid(as_ct(subject, 7), reference, mask=~plate, **options), motion)
    assert far < 1.0 < misled


def test_apply_interpolates_once_and_place_not_at_all(head):
    image = as_ct(head, 0)
    turn = np.eye(4)
    turn[:3, :3] = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # a quarter turn about z
    turn[:3, 3] = (3, -2, 1)
    transform = RigidTransform(turn)
    assert transform.angle_deg == pytest.approx(90)
    placed = transform.place(image)
    assert placed.data is image.data and np.allclose(
        placed.to_world((1, 2, 3)), turn[:3] @ [*image.to_world((1, 2, 3)), 1]
    )
    back = transform.inverse().apply(transform.apply(image, like=placed), like=image)
    torch.testing.assert_close(back.data, image.data, rtol=0, atol=1e-3)
    label = (image.data[0] > 300).to(torch.uint8)
    sample = Sample("P1", image, ("CT",), label, {0: "other", 1: "bone"}, label > 0, "s1", {"age_years": 3.0})
    done = transform.apply_to_sample(sample, placed)
    assert torch.equal(done.label, label) and torch.equal(done.mask, label > 0)
    assert done.image.affine is not image.affine and np.allclose(done.image.affine, placed.affine)
    assert (done.session, dict(done.facts)) == ("s1", {"age_years": 3.0})
    shifted = transform.apply_to_sample(sample, image, outside=-1024.0)
    assert float(shifted.image.data.min()) == -1024 and set(shifted.label.unique().tolist()) == {0, 1}


REFUSED = {
    "another type": (lambda v: ("scan", v), {}, r"moving is str, expected a Volume"),
    "several channels": (lambda v: (v, v.with_data(v.data.repeat(2, 1, 1, 1))), {}, "it has 2 channels, expected"),
    "one value": (lambda v: (v.with_data(torch.zeros_like(v.data)), v), {}, "every voxel is 0, expected an image"),
    "one slice": (lambda v: (v.crop((0, 0, 0), (8, 8, 1)), v), {}, "measures 8 x 8 x 1, expected 4 voxels or more"),
    "no overlap": (
        lambda v: (Volume(v.data, np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * 500, "far"), v),
        {"start": "world"},
        "'far': it covers 0 % of 'cube' at the start, expected 10 % or more",
    ),
    "an unknown metric": (lambda v: (v, v), {"metric": "ssd"}, "metric is 'ssd', expected one of mutual information"),
    "an unknown start": (lambda v: (v, v), {"start": "here"}, "start is 'here', expected one of mass, middle, world"),
    "no level": (lambda v: (v, v), {"steps_mm": ()}, "steps_mm is empty, expected at least one"),
    "a level of 0 mm": (lambda v: (v, v), {"steps_mm": (4.0, 0.0)}, "steps_mm is 0.0, expected a length above 0 mm"),
    "a seed below 0": (lambda v: (v, v), {"seed": -1}, "seed is -1, expected a whole number"),
    "half a sample": (lambda v: (v, v), {"samples": 0.5}, "samples is 0.5, expected a whole number"),
    "an empty mask": (lambda v: (v, v), {"mask": torch.zeros(8, 8, 8) > 0}, "mask is bool .*true somewhere"),
    "a mask elsewhere": (lambda v: (v, v), {"mask": torch.ones(4, 4, 4) > 0}, r"expected bool of shape \(8,"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_with_one_sentence(case):
    cube = Volume(torch.rand(1, 8, 8, 8, generator=torch.Generator().manual_seed(0)), name="cube")
    make, options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as refusal:
        register_rigid(*make(cube), **options)
    assert "expected" in str(refusal.value) and "\n" not in str(refusal.value)


def test_refuses_nan_also_where_it_came_in_later():
    cube = Volume(torch.rand(1, 8, 8, 8, generator=torch.Generator().manual_seed(0)), name="cube")
    spoiled = Volume(cube.data.clone(), name="spoiled")
    spoiled.data[0, 1, 2, 3] = float("nan")
    for images in ((spoiled, cube), (cube, spoiled)):
        with pytest.raises(VolumeError, match=r"'spoiled': 1 voxels are NaN or infinite, .*expected finite values"):
            register_rigid(*images)


@pytest.mark.parametrize(
    "matrix", [np.eye(3), np.diag([2.0, 1, 1, 1]), np.diag([-1.0, 1, 1, 1]), np.full((4, 4), np.nan)]
)
def test_a_transform_is_a_turn_and_a_shift(matrix):
    with pytest.raises(ValueError, match=r"matrix is .*, expected 4 x 4 numbers that turn and shift"):
        RigidTransform(matrix)


def test_cq500_is_registered_to_a_reference_and_equalised(head, moved):
    subject, _ = moved["large"]
    options = {"size": 48, "spacing_mm": 5.0}
    reference = reference_cube(as_ct(head, 0, "reference"), **options)
    assert reference.shape == (1, 48, 48, 48) and float(reference.data.min()) < -990
    label = (subject.share(*BRAIN) > 0.5).to(torch.uint8)
    sample = Sample("P1", as_ct(subject, 7), ("CT",), label, {0: "other", 1: "brain"})
    wanted = normalise(Sample("R", reference, ("CT",)), **options)
    apart, near = (normalise(sample, reference=given, **options) for given in (None, reference))
    assert near.image.shape == (1, 48, 48, 48) and np.allclose(near.image.affine, reference.affine)
    low, high = near.image.data.aminmax()
    assert near.image.name == "ct" and low >= 0 and high <= 1

    def dice(a, b):
        return float(2 * (a & b).sum() / (a.sum() + b.sum()))

    assert dice(near.mask, wanted.mask) > 0.95 > 0.91 > dice(apart.mask, wanted.mask)
    there = resample(Volume(head.share(*BRAIN)[None], GRID.affine), like=reference).data[0] > 0.5
    assert dice(near.label > 0, there) > 0.9 > 0.85 > dice(apart.label > 0, there)
    deciles = np.percentile(near.image.data[0][near.mask], np.arange(0, 101, 10))
    assert np.abs(deciles - np.linspace(0, 1, 11)).max() < 0.02
    assert torch.equal(reference_cube(reference, **options).data, reference.data)  # made once
    # Padding beyond the scanner's circle, far below air, moves nothing.
    low = sample.image.data.clone()
    low[:, :3] = -3024.0
    padded = normalise(replace(sample, image=sample.image.with_data(low)), reference=reference, **options)
    assert dice(padded.mask, wanted.mask) > 0.95
    assert float(padded.image.data[0][~padded.mask].abs().max()) == 0 and AIR_HU > -3024
