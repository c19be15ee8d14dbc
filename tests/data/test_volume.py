"""Volume: what it knows of its place, and what it refuses to be."""

import pickle

import nibabel as nib
import numpy as np
import pytest
import torch

from medlab.data import Volume, VolumeError


def grid(*shape):
    return torch.zeros(shape)


def test_knows_spacing_orientation_and_shape(volume, oblique):
    assert volume.shape == (2, 5, 6, 7)
    assert volume.spacing == pytest.approx((0.9, 1.1, 2.5), abs=1e-12)
    assert volume.orientation == "RAS" and volume.orthogonal
    assert repr(volume) == "Volume('asymmetric', 2 x 5 x 6 x 7, 0.9 x 1.1 x 2.5 mm, RAS)"
    assert Volume(grid(1, 2, 2, 2), np.diag([-1.0, -1, 1, 1])).orientation == "LPS"


def test_world_and_voxels_are_inverse_and_agree_with_nibabel(volume):
    points = np.random.default_rng(0).normal(size=(4, 5, 3)) * 10
    world = volume.to_world(points)
    np.testing.assert_allclose(world, nib.affines.apply_affine(volume.affine, points))
    np.testing.assert_allclose(volume.to_voxels(world), points, atol=1e-12)
    np.testing.assert_allclose(volume.to_world((0, 0, 0)), volume.affine[:3, 3])


def test_is_frozen_and_keeps_its_own_affine(oblique):
    volume = Volume(grid(1, 2, 2, 2), oblique)
    oblique[0, 0] = 77
    assert volume.affine[0, 0] != 77
    with pytest.raises(ValueError):
        volume.affine[0, 0] = 1
    with pytest.raises(AttributeError):
        volume.name = "other"


@pytest.mark.parametrize("make", [torch.tensor, np.float32, list], ids=["tensor", "float32", "list"])
def test_takes_any_array_as_affine(make):
    volume = Volume(grid(1, 2, 2, 2), make(np.diag([2.0, 3, 4, 1]).tolist()))
    assert volume.affine.dtype == np.float64 and volume.spacing == (2, 3, 4)


def test_new_data_in_the_same_place(volume):
    other = volume.with_data(torch.ones(1, 5, 6, 7), "ones")
    assert other.shape == (1, 5, 6, 7) and other.name == "ones"
    assert np.array_equal(other.affine, volume.affine)
    with pytest.raises(VolumeError, match=r"asymmetric.*\(1, 5, 6, 8\), expected \('C', 5, 6, 7\)"):
        volume.with_data(torch.ones(1, 5, 6, 8))


def test_travels_through_pickle_and_devices(volume):
    again = pickle.loads(pickle.dumps(volume))
    assert torch.equal(again.data, volume.data) and np.array_equal(again.affine, volume.affine)
    assert volume.to("cpu").name == volume.name


def test_gradients_stay():
    data = torch.ones(1, 2, 2, 2, requires_grad=True)
    assert Volume(data).data is data


def singular():
    affine = np.eye(4)
    affine[:3, 2] = affine[:3, 0] + affine[:3, 1]
    return affine


def with_nan(shape=(1, 2, 2, 2), value=float("nan")):
    data = torch.zeros(shape)
    data[0, 1, 0, 1] = value
    return data


BAD = {
    "an array": (np.zeros((1, 2, 2, 2), np.float32), np.eye(4), "ndarray, expected a torch.Tensor"),
    "three dimensions": (grid(2, 2, 2), np.eye(4), r"shape \(2, 2, 2\), expected \(C, X, Y, Z\)"),
    "five dimensions": (grid(1, 1, 2, 2, 2), np.eye(4), r"expected \(C, X, Y, Z\)"),
    "nothing inside": (grid(1, 0, 2, 2), np.eye(4), "at least one voxel"),
    "float64": (grid(1, 2, 2, 2).double(), np.eye(4), "float64, expected float32"),
    "integers": (grid(1, 2, 2, 2).int(), np.eye(4), "int32, expected float32"),
    "NaN": (with_nan(), np.eye(4), r"1 voxels are NaN or infinite, the first at \(0, 1, 0, 1\), expected finite"),
    "infinity": (with_nan(value=float("inf")), np.eye(4), "infinite"),
    "minus infinity": (with_nan(value=-float("inf")), np.eye(4), "infinite"),
    "small affine": (grid(1, 2, 2, 2), np.eye(3), r"shape \(3, 3\), expected \(4, 4\)"),
    "affine of words": (grid(1, 2, 2, 2), "RAS", "expected 4 x 4 numbers"),
    "ragged affine": (grid(1, 2, 2, 2), [[1, 2], [3]], "expected 4 x 4 numbers"),
    "NaN in the affine": (grid(1, 2, 2, 2), np.eye(4) * np.nan, "finite"),
    "projective": (grid(1, 2, 2, 2), np.eye(4) + np.eye(4)[::-1], r"last row is .* expected \[0, 0, 0, 1\]"),
    "singular": (grid(1, 2, 2, 2), singular(), "singular"),
    "no thickness": (grid(1, 2, 2, 2), np.diag([1.0, 1, 0, 1]), "voxels measure 1 x 1 x 0 mm"),
    "a kilometre": (grid(1, 2, 2, 2), np.diag([1.0, 1, 1e6, 1]), "voxels measure"),
    "overflow": (grid(1, 2, 2, 2), np.diag([1.0, 1, 1e300, 1]), "voxels measure"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(case):
    data, affine, message = BAD[case]
    with pytest.raises(VolumeError, match=message) as caught:
        Volume(data, affine, "knee")
    assert "'knee'" in str(caught.value) and "\n" not in str(caught.value)


def test_largest_finite_values_are_accepted():
    huge = torch.finfo(torch.float32).max
    assert Volume(torch.tensor([huge, -huge, huge, -huge]).reshape(1, 1, 2, 2)).shape == (1, 1, 2, 2)


def test_a_crop_stays_where_it_was(volume):
    low, high = (1, 0, 1), (3, 2, 2)
    part = volume.crop(low, high)
    assert part.shape[1:] == (2, 2, 1)
    np.testing.assert_allclose(part.to_world((0, 0, 0)), volume.to_world(low))
    np.testing.assert_allclose(part.to_world((1, 1, 0)), volume.to_world((2, 1, 1)))
    assert torch.equal(part.data, volume.data[:, 1:3, 0:2, 1:2])


@pytest.mark.parametrize(("low", "high"), [((0, 0, 0), (0, 1, 1)), ((-1, 0, 0), (1, 1, 1)), ((0, 0, 0), (999, 1, 1))])
def test_a_crop_outside_is_refused(volume, low, high):
    with pytest.raises(VolumeError, match=r"the box from .* expected 0 <= low < high <= "):
        volume.crop(low, high)
