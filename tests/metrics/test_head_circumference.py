"""The head circumference: against the exact perimeter of ellipses, by property, and what it refuses."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation
from scipy.special import ellipe

from medlab.cohorts import growth
from medlab.cohorts.grid import Grid
from medlab.metrics.head_circumference import head_circumference_cm


def perimeter_cm(a, b):
    """Of an ellipse with these half axes in mm."""
    a, b = max(a, b), min(a, b)
    return 4 * a * ellipe(1 - (b / a) ** 2) / 10


def radius(half_axes, spacing=(1.0, 1.0, 1.0), turn=None, centre=(0, 0, 0)):
    """1 on the surface of an ellipsoid, less inside."""
    reach = max(half_axes) + 3
    grid = [np.arange(-math.ceil(reach / one), math.ceil(reach / one) + 1) * one for one in spacing]
    at = np.stack(np.meshgrid(*grid, indexing="ij"), -1) - np.array(centre)
    at = at @ (np.eye(3) if turn is None else turn)
    return np.sqrt(((at / np.array(half_axes)) ** 2).sum(-1))


@pytest.mark.parametrize("seed", range(5))
def test_ellipsoids_at_any_orientation(seed):
    draw = np.random.default_rng(seed)
    axes = np.sort(draw.uniform(30, 55, 3))[::-1]
    turn = Rotation.random(random_state=seed).as_matrix()
    mask = radius(axes, turn=turn, centre=draw.uniform(-0.5, 0.5, 3)) < 1
    truth = perimeter_cm(*axes[:2])
    for hull in (True, False):
        assert head_circumference_cm(mask, max_tilt_degrees=90, hull=hull) == pytest.approx(truth, rel=0.004)


@pytest.mark.parametrize("seed", range(3))
def test_ellipsoids_of_any_spacing(seed):
    draw = np.random.default_rng(100 + seed)
    axes = np.sort(draw.uniform(35, 55, 3))[::-1]
    spacing = tuple(draw.uniform(0.7, 2.5, 3).tolist())
    mask = radius(axes, spacing, Rotation.random(random_state=seed).as_matrix()) < 1
    found = head_circumference_cm(mask, spacing, max_tilt_degrees=90)
    assert found == pytest.approx(perimeter_cm(*axes[:2]), rel=0.006)


def test_shares_need_no_smoothing():
    level = radius((45, 38, 30))
    share = np.clip(0.5 + (1 - level) * 38, 0, 1)  # about one voxel from full to empty
    found = head_circumference_cm(torch.from_numpy(share), max_tilt_degrees=90)
    assert found == pytest.approx(perimeter_cm(45, 38), rel=0.002)


def test_planes_and_tilts():
    # Longest along z, as a head with a face and a neck is; leaning by 20 degrees about x.
    lean = Rotation.from_euler("x", 20, degrees=True).as_matrix()
    mask = radius((27, 31, 37), turn=lean) < 1
    free = head_circumference_cm(mask, max_tilt_degrees=90)
    assert free == pytest.approx(perimeter_cm(31, 37), rel=0.005), "the sagittal outline"
    # An axial plane cuts the ellipse in y and z at 20 degrees to its axis.
    angle = math.radians(20)
    axial = 1 / math.hypot(math.cos(angle) / 31, math.sin(angle) / 37)
    assert head_circumference_cm(mask, plane="axial") == pytest.approx(perimeter_cm(27, axial), rel=0.005)
    assert head_circumference_cm(mask, max_tilt_degrees=0) == pytest.approx(perimeter_cm(27, axial), rel=0.005)
    within = [head_circumference_cm(mask, max_tilt_degrees=tilt) for tilt in (0, 15, 30, 90)]
    assert within == sorted(within)


def test_a_tape_is_straight_over_hollows_and_the_contour_is_not():
    mask = radius((40, 36, 30)) < 1
    plain = head_circumference_cm(mask, plane="axial", hull=False)
    dented = mask.copy()
    middle = mask.shape[1] // 2
    dented[: mask.shape[0] // 2 - 20, middle - 6 : middle + 7] = False  # a gap in the side, 12 voxels deep or more
    taped, followed = (head_circumference_cm(dented, plane="axial", hull=hull) for hull in (True, False))
    assert taped == pytest.approx(plain, rel=0.01)
    assert followed > plain + 2
    hollow = mask & ~ndimage.binary_erosion(mask, iterations=5)
    for hull in (True, False):
        found = head_circumference_cm(hollow, plane="axial", hull=hull)
        assert found == pytest.approx(plain, rel=0.003), "the outer contour: holes do not count"


def test_a_square_by_hand():
    # Shares: linear interpolation puts the contour halfway between full and empty voxels; the corners are cut off.
    square = np.zeros((16, 16, 3))
    square[3:13, 3:13] = 1
    square[2, 3:13] = square[13, 3:13] = 0.5 - 1e-6  # not a mask, and so not smoothed; contour at the outer voxel
    found = head_circumference_cm(square, (2.0, 1.0, 1.0), plane="axial", hull=False)
    # Along x from 2 to 13 in voxels of 2 mm, along y from 2.5 to 12.5; the corners of a half voxel are cut.
    expected = 2 * 9 + 2 * 18 + 4 * math.hypot(2, 0.5)
    assert found == pytest.approx(expected / 10, rel=1e-4)


def test_the_largest_piece_alone():
    mask = np.zeros((70, 60, 60), bool)
    mask[5:56, 5:56, 5:56] = radius((22, 20, 20)) < 1
    alone = head_circumference_cm(mask)
    mask[62:66, 2:50, 20:30] = True
    assert head_circumference_cm(mask) == pytest.approx(alone, rel=1e-6)


def test_axial_tape_agrees_with_the_cohorts():
    mask = radius((38, 46, 40), turn=Rotation.from_euler("xy", (8, 5), degrees=True).as_matrix()) < 1
    expected = growth.measured_circumference_cm(mask, 1.0)
    assert head_circumference_cm(mask, plane="axial") == pytest.approx(expected, rel=0.003)


def test_a_neonate_in_a_usual_pose_has_the_circumference_that_it_was_drawn_with():
    grid = Grid.cube(52, 165.0)
    neonate = growth.draw_neonate(1, angles_deg=(8.0, 4.0, 0.0))
    head = 1 - growth.draw_neonatal_subject(neonate, 36.0, grid).share("air")
    truth = growth.head_circumference_cm(36.0, neonate.centile_z)
    found = [head_circumference_cm(head, grid.spacing_mm, max_tilt_degrees=tilt) for tilt in (10, 30, 90)]
    assert found[0] == pytest.approx(truth, rel=0.006)
    assert found[1] > 1.015 * truth and found[2] > 1.1 * truth, "nose and chin, then the profile"


@settings(max_examples=3, deadline=None)
@given(shift=st.tuples(*[st.integers(0, 6)] * 3), flip=st.sampled_from([0, 1, 2]), scale=st.floats(0.3, 5))
def test_moving_mirroring_and_scaling(shift, flip, scale):
    turn = Rotation.from_euler("xz", (15, 30), degrees=True).as_matrix()
    mask = radius((22, 19, 15), turn=turn) < 1
    whole = head_circumference_cm(mask)
    moved = np.pad(mask, [(n, 6 - n) for n in shift])
    assert head_circumference_cm(moved) == pytest.approx(whole, rel=2e-4)
    assert head_circumference_cm(np.flip(mask, flip)) == pytest.approx(whole, rel=1e-3)
    assert head_circumference_cm(mask, scale) == pytest.approx(scale * whole, rel=1e-3)


BALL = radius((12, 12, 12)) < 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: head_circumference_cm(BALL[0]), r"head has the shape \(31, 31\), expected \(X, Y, Z\)"),
        (lambda: head_circumference_cm(BALL & False), "head is empty, expected at least one voxel that is half full"),
        (lambda: head_circumference_cm(3.0 * BALL), "head has values from 0 to 3, expected a mask, or 0 to 1"),
        (lambda: head_circumference_cm(np.eye(9)[None] > 2), "head is empty"),
        (lambda: head_circumference_cm(np.pad([[[True]]], 4)), "head is too small, expected a piece that a contour"),
        (lambda: head_circumference_cm(BALL * math.nan), "head contains NaN, expected finite numbers"),
        (lambda: head_circumference_cm(BALL, 0.0), "spacing is 0.0, expected a length above 0 mm"),
        (lambda: head_circumference_cm(BALL, plane="coronal"), "plane is 'coronal', expected one of largest, axial"),
        (lambda: head_circumference_cm(BALL, max_tilt_degrees=120), "max_tilt_degrees is 120, expected a number of"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()
