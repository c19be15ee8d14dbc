"""to_canonical: each voxel keeps its value and its place, whatever way the axes run."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medlab.data import Volume, to_canonical
from medlab.data.orientation import turned_like

ALL_48 = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def places(volume: Volume) -> dict[float, np.ndarray]:
    """Value -> world position, for values that are all different."""
    indices = np.argwhere(np.ones(volume.shape[1:]))
    values = volume.data[0].reshape(-1).tolist()
    return dict(zip(values, volume.to_world(indices), strict=True))


def assert_same_image(one: Volume, other: Volume) -> None:
    before, after = places(one), places(other)
    assert before.keys() == after.keys()
    for value, place in before.items():
        np.testing.assert_allclose(after[value], place, atol=1e-9)


@pytest.mark.parametrize(("order", "signs"), ALL_48)
def test_all_orientations(order, signs):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * signs * (1.0, 1.5, 2.0)
    affine[:3, 3] = (4, -5, 6)
    volume = Volume(torch.arange(24.0).reshape(1, 2, 3, 4), affine, "stone")
    turned = to_canonical(volume)
    assert turned.orientation == "RAS" and turned.name == "stone" and turned.data.is_contiguous()
    assert_same_image(volume, turned)
    theirs = nib.as_closest_canonical(nib.Nifti1Image(volume.data[0].numpy(), affine))
    np.testing.assert_array_equal(turned.data[0].numpy(), theirs.get_fdata())
    np.testing.assert_allclose(turned.affine, theirs.affine, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_oblique_and_sheared_grid(seed):
    random = np.random.default_rng(seed)
    affine = np.eye(4)
    shear = np.eye(3) + np.triu(random.uniform(-0.3, 0.3, (3, 3)), 1)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() @ shear * random.uniform(0.3, 4, 3)
    affine[:3, 3] = random.uniform(-100, 100, 3)
    volume = Volume(torch.arange(24.0).reshape(1, 2, 3, 4), affine)
    turned = to_canonical(volume)
    assert turned.orientation == "RAS"
    assert_same_image(volume, turned)
    assert to_canonical(turned) is turned


def test_channels_and_gradients_follow():
    data = torch.randn(3, 2, 3, 4, requires_grad=True)
    turned = to_canonical(Volume(data, np.diag([-1.0, -1, 1, 1])))
    torch.testing.assert_close(turned.data, data.flip(1, 2))
    turned.data.square().sum().backward()
    torch.testing.assert_close(data.grad, 2 * data.detach())


@pytest.mark.parametrize(("order", "signs"), ALL_48)
def test_the_way_back(order, signs):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * signs * (1.0, 1.5, 2.0)
    affine[:3, 3] = (4, -5, 6)
    volume = Volume(torch.arange(24.0).reshape(1, 2, 3, 4), affine)
    back = turned_like(to_canonical(volume), volume)
    assert torch.equal(back.data, volume.data)
    np.testing.assert_allclose(back.affine, affine, atol=1e-12)
