"""Skull, intracranial space, midplane and landmarks: of a shell with known answers, and of synthetic heads."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from medlab.cohorts.brain_mask import brain_mask
from medlab.cohorts.cq500 import Cq500Cohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.scan import ct_image
from medlab.cohorts.subject import draw_person, draw_subject
from medlab.data import Volume, VolumeError
from medlab.data.head_ct import (
    STRUCTURES,
    head_landmarks,
    head_midplane,
    head_structures,
    intracranial_mask,
    skull_mask,
)

HALF_MM = np.array([60.0, 80.0, 50.0])  # half axes of the space inside the shell
THICK_MM = 8.0
STRAIGHT = np.eye(3)


def turn(axis: int, degrees: float) -> np.ndarray:
    first, second = [other for other in range(3) if other != axis]
    matrix, angle = np.eye(3), math.radians(degrees)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix


def shell(spacing=(4.0, 4.0, 4.0), turned=STRAIGHT, at=(0.0, 0.0, 0.0), size=1.0, gap_mm=0.0, name="shell") -> Volume:
    """An ellipsoid of soft tissue (30 HU) in 8 mm of bone (1,000 HU) in air; gap_mm: of a slit in the bone at y = 0."""
    shape = tuple(round(232 / edge) for edge in spacing)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * spacing
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    points = (grid @ affine[:3, :3].T + affine[:3, 3] - at) @ turned / size
    inner, outer = ((points / (HALF_MM + more)) ** 2 for more in (0.0, THICK_MM))
    data = np.full(shape, -1000.0)
    data[outer.sum(-1) < 1] = 1000.0
    slit = (np.abs(points[..., 1] - 0.01) < gap_mm / 2) & (points[..., 0] > 0)
    data[(outer.sum(-1) < 1) & slit] = 30.0
    data[inner.sum(-1) < 1] = 30.0
    return Volume(torch.from_numpy(data).float()[None], affine, name)


def points_of(mask, volume):
    return volume.to_world(mask.nonzero().numpy())


def test_the_space_in_a_shell_has_its_volume_and_its_halves():
    ct = shell()
    structures = head_structures(ct)
    assert tuple(structures) == STRUCTURES
    skull, left, right = structures.values()
    truth = ct.data[0] == 30
    assert torch.equal(left | right, truth) and not (left & right).any()
    assert points_of(left, ct)[:, 0].max() < 0 < points_of(right, ct)[:, 0].min()
    assert torch.equal(left, right.flip(0)), "a symmetric head has equal halves"
    assert bool(skull[ct.data[0] == 1000].all()) and not (skull & truth).any()


def test_a_slit_in_the_bone_is_skull_and_opens_nothing():
    edges = (2.0, 2.0, 4.0)
    ct, inside = shell(edges, gap_mm=4.0), shell(edges).data[0] == 30
    slit = (ct.data[0] == 30) & ~inside
    assert int(slit.sum()) > 100
    assert bool(skull_mask(ct)[slit].all())
    space = intracranial_mask(ct)
    assert float((space ^ inside).sum()) < 0.003 * float(inside.sum())  # at the slit's inner end


@pytest.mark.parametrize("axis, degrees", [(2, 9.0), (2, -9.0), (1, 8.0), (0, 10.0)])
def test_plane_and_landmarks_follow_a_turned_and_shifted_head(axis, degrees):
    turned, at = turn(axis, degrees), (7.0, -5.0, 3.0)
    ct = shell(turned=turned, at=at)
    plane = head_midplane(ct)
    assert plane.normal @ turned[:, 0] > math.cos(math.radians(0.7))
    assert plane.offset_mm == pytest.approx(plane.normal @ at, abs=0.3)
    marks = head_landmarks(ct)
    expected = np.array([[0, 80, 0], [-60, 0, 0], [60, 0, 0], [0, 0, 50]]) @ turned.T + at
    assert marks.dtype == np.float64
    np.testing.assert_allclose(np.linalg.norm(marks - expected, axis=1), 0, atol=3.5)  # less than a voxel
    assert abs(np.linalg.det(marks[1:] - marks[0])) > 0.8 * 120 * 80 * 50  # six times the tetrahedron


def test_landmarks_grow_with_the_head():
    small, large = head_landmarks(shell()), head_landmarks(shell(size=1.15))
    np.testing.assert_allclose(large, 1.15 * small, atol=4.0)


def test_a_point_and_its_mirror_image_have_the_plane_between_them():
    plane = head_midplane(shell(turned=turn(2, 6.0)))
    points = np.random.default_rng(0).normal(size=(50, 3)) * 40
    mirrored = plane.mirrored(points)
    np.testing.assert_allclose((points + mirrored) / 2 @ plane.normal, plane.offset_mm, atol=1e-9)
    np.testing.assert_allclose(plane.mirrored(mirrored), points, atol=1e-9)


def test_voxels_need_not_be_cubes_nor_their_axes_in_this_order():
    ct = shell((3.0, 4.0, 5.0))
    found = head_structures(ct)
    turned = Volume(ct.data.flip(1).transpose(1, 3).contiguous(), flipped_affine(ct)[:, [2, 1, 0, 3]])
    for name, mask in head_structures(turned).items():
        assert float((mask ^ found[name].flip(0).transpose(0, 2)).float().mean()) < 1e-3, name


def flipped_affine(ct):
    affine = ct.affine.copy()
    affine[:3, 3] += (ct.shape[1] - 1) * affine[:3, 0]
    affine[:3, 0] *= -1
    return affine


@pytest.fixture(scope="module", params=[(32, 0.95), (64, 0.92)], ids=["8 mm", "4 mm"])
def cohort(request):
    size, covered = request.param
    return Cq500Cohort(30, Grid.cube(size, 256.0), 0), covered


def test_healthy_brains_lie_in_the_space_and_bone_in_the_skull(cohort):
    heads, covered = cohort
    for index in (0, 1):
        sample = heads.load(index)
        structures = head_structures(sample.image)
        space = structures["left hemisphere"] | structures["right hemisphere"]
        brain = sample.mask
        assert float((space & brain).sum() / brain.sum()) > covered
        assert float((space & brain).sum() / space.sum()) > 0.9
        assert 0.46 < float(structures["left hemisphere"].sum() / space.sum()) < 0.54


def test_every_clot_lies_in_the_half_that_the_facts_name_and_fractures_in_the_skull(cohort):
    heads, _ = cohort
    breaks_show = heads.grid.spacing_mm[0] <= 4
    sides, shares = {"left": 0, "right": 0}, []
    for index in (7, 18, 24, 26):
        sample = heads.load(index)
        structures, clot = head_structures(sample.image), sample.label == 1
        for side in sides:
            if sample.facts[f"bleeding_{side}"] and bool(clot.any()):  # thin ones fill no voxel
                inside = float(structures[f"{side} hemisphere"][clot].float().mean())
                assert inside > 0.5, (index, inside)
                sides[side] += 1
        if breaks_show and bool((sample.label == 2).any()):
            # A depressed piece leaves its place, which is then air: it is not looked for there.
            broken = (sample.label == 2) & (sample.image.data[0] > -200)
            shares.append(float(structures["skull"][broken].float().mean()))
    assert sides["right"]
    if breaks_show:
        assert sides["left"]
        assert len(shares) >= 3 and min(shares) > 0.6 and np.mean(shares) > 0.8


def test_the_plane_follows_a_turned_head():
    """Of the brain's voxels nearly all lie on the side from which the head model's came."""
    grid = Grid.cube(32, 256.0)
    for angles in ((0.0, 0.0, 9.0), (0.0, 8.0, 0.0), (-8.0, 0.0, -7.0)):
        person = replace(draw_person(5), angles_deg=angles, shape_mm=1.0, asymmetry_mm=0.0)
        subject = draw_subject(person, grid)
        ct = Volume(ct_image(subject, 0, reconstructed=False)[None], grid.affine)
        structures, brain = head_structures(ct), brain_mask(subject)
        origin = subject.deformation.to_template(grid.points())[..., 0]
        for name, side in (("left hemisphere", origin < 0), ("right hemisphere", origin > 0)):
            mine = structures[name] & brain
            assert float((mine & side).sum() / mine.sum()) > 0.94, (angles, name)
        straight = grid.points()[..., 0] < 0
        mine = structures["left hemisphere"] & brain
        if angles[2] == 9.0:  # the voxels' own axes would have divided it worse
            assert float((straight & brain & (origin < 0)).sum()) < float((mine & (origin < 0)).sum())


NOTHING = torch.full((1, 24, 24, 24), -1000.0)
NOISE = 20 * torch.randn(1, 24, 24, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("ask", [skull_mask, intracranial_mask, head_structures, head_midplane, head_landmarks])
@pytest.mark.parametrize(
    "data, message",
    [
        (NOTHING, r"^volume 'scan': bone above 75 HU encloses 0 ml, expected a whole head in HU, upright, with 150 ml"),
        (NOISE, r"encloses 0 ml"),
        (NOTHING + 3000, r"encloses 0 ml"),
        (torch.cat([NOTHING, NOISE]), r"^volume 'scan': it has 2 channels, expected one, a CT in HU$"),
    ],
)
def test_what_is_no_head_is_refused(ask, data, message):
    with pytest.raises(VolumeError, match=message):
        ask(Volume(data, np.diag([8.0, 8.0, 8.0, 1.0]), "scan"))


def test_a_head_in_other_units_is_refused():
    ct = shell()
    with pytest.raises(VolumeError, match="encloses 0 ml"):
        head_structures(ct.with_data((ct.data + 1000) / 2000))


def test_the_scan_is_left_as_it_was():
    ct = shell()
    before = ct.data.clone()
    head_structures(ct), head_landmarks(ct)
    assert torch.equal(ct.data, before)
