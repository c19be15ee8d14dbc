"""Mistakes: each is of the kind and size that it says, and of no other."""

import numpy as np
import pytest
from scipy import ndimage

from medlab.cohorts.mistakes import (
    resized,
    with_far_voxel,
    with_hole,
    with_stray_voxels,
    without_smaller_pieces,
)

AT = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1)
BALL = np.linalg.norm(AT - 10, axis=-1) <= 7
EVERYWHERE = np.ones(BALL.shape, bool)


@pytest.mark.parametrize("share", [0.3, 0.7, 1.0, 1.3, 3.0])
def test_a_resized_mask_has_that_volume_and_lies_in_the_same_place(share):
    made = resized(BALL, share)
    assert made.sum() == round(share * BALL.sum())
    assert not (made & ~BALL).any() if share <= 1 else not (BALL & ~made).any()
    assert np.linalg.norm(np.argwhere(made).mean(0) - 10) < 0.1


def test_a_small_share_does_not_empty_a_mask():
    one = np.zeros((5, 5), bool)
    one[2, 3] = True
    assert (resized(one, 0.01) == one).all()
    assert resized(BALL, 1e9).all()


def test_a_hole_is_a_ball_around_the_deepest_voxel():
    hole = BALL & ~with_hole(BALL, 0.5)
    assert hole[10, 10, 10] and np.linalg.norm(np.argwhere(hole) - 10, axis=1).max() < 0.5 * 8
    assert (ndimage.binary_fill_holes(with_hole(BALL)) == BALL).all(), "nothing is taken from the outside"
    assert (with_hole(BALL, 0.0) == BALL).all()


def test_the_smaller_pieces_go_first():
    mask = np.zeros((30, 10), bool)
    for start, size in ((1, 2), (5, 3), (10, 4), (16, 5), (23, 6)):
        mask[start : start + size, 1 : 1 + size] = True
    kept, count = ndimage.label(without_smaller_pieces(mask))
    assert count == 3 and sorted(np.bincount(kept.ravel())[1:]) == [16, 25, 36]
    assert (without_smaller_pieces(mask, 0.1) == mask).all(), "a tenth of five pieces is none"
    assert not without_smaller_pieces(mask, 1.0).any()
    corner = np.eye(4, dtype=bool)
    assert (without_smaller_pieces(corner) == corner).all(), "one piece, by its corners"


def test_the_far_voxel_is_the_farthest():
    made = with_far_voxel(BALL, EVERYWHERE)
    assert [tuple(at) for at in np.argwhere(made & ~BALL)] == [(23, 23, 23)] and (made | BALL == made).all()
    inside = EVERYWHERE.copy()
    inside[:8] = inside[20:] = False
    assert np.argwhere(with_far_voxel(BALL, inside) & ~BALL).tolist() == [[19, 23, 23]]


def test_stray_voxels_are_as_many_and_follow_the_seed():
    inside = ndimage.binary_dilation(BALL, iterations=4)
    made = [with_stray_voxels(BALL, inside, 20, seed) for seed in (0, 0, 1)]
    for one in made:
        assert (one & ~BALL).sum() == 20 and not (one & ~inside).any() and (one | BALL == one).all()
    assert (made[0] == made[1]).all() and (made[0] != made[2]).any()


def test_the_mask_that_comes_in_stays_as_it_was():
    before = BALL.copy()
    for made in (resized(BALL, 0.5), with_hole(BALL), without_smaller_pieces(BALL)):
        assert made is not BALL
    with_far_voxel(BALL, EVERYWHERE)
    with_stray_voxels(BALL, EVERYWHERE, 5, 0)
    assert (before == BALL).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: resized(np.zeros((3, 3), bool), 0.5), "mask is empty, expected at least one voxel"),
        (lambda: with_hole(BALL.astype(float)), "mask is float64, expected an array of bool"),
        (lambda: resized(BALL, 0), "share is 0, expected a number above 0"),
        (lambda: with_hole(BALL, 1.5), "depth is 1.5, expected a number of at least 0 and at most 1"),
        (
            lambda: with_stray_voxels(BALL, BALL, 1, 0),
            "inside has room for 0 voxels beside the mask, expected 1 or more",
        ),
        (lambda: with_far_voxel(BALL, EVERYWHERE[1:]), r"inside has the shape \(23, 24, 24\), expected that of mask"),
        (lambda: with_stray_voxels(BALL, EVERYWHERE, 0, 0), "number is 0, expected a whole number of at least 1"),
    ],
)
def test_refusals(make, said):
    with pytest.raises(ValueError, match=said):
        make()
