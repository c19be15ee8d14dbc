"""resample: known fields on new grids, against scipy and nibabel, and what is refused."""

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.processing import resample_from_to
from scipy.spatial.transform import Rotation

from medlab.data import Volume, VolumeError, resample


def linear_field(affine, shape=(1, 26, 24, 22)) -> Volume:
    """2x - 3y + 0.5z + 7 of the world position: what every good interpolation reproduces."""
    world = Volume(torch.zeros(shape), affine).to_world(np.moveaxis(np.indices(shape[1:]), 0, -1))
    values = world @ (2, -3, 0.5) + 7
    return Volume(torch.from_numpy(values.astype(np.float32))[None], affine, "ramp")


def inner(volume: Volume, source: Volume, margin: float) -> np.ndarray:
    """Voxels of `volume` further than `margin` voxels inside the outermost centres of `source`."""
    at = source.to_voxels(volume.to_world(np.moveaxis(np.indices(volume.shape[1:]), 0, -1)))
    return ((at >= margin) & (at <= np.array(source.shape[1:]) - 1 - margin)).all(axis=-1)


@pytest.mark.parametrize("spacing", [0.5, 1.0, (2.0, 1.5, 3.0), 3.1, (0.3, 1.1, 5.0)])
@pytest.mark.parametrize("order", ["linear", "cubic"])
def test_linear_field_is_reproduced_inside(oblique, spacing, order):
    source = linear_field(oblique)
    out = resample(source, spacing, order=order)
    world = out.to_world(np.moveaxis(np.indices(out.shape[1:]), 0, -1))
    expected = world @ (2, -3, 0.5) + 7
    # The anti-aliasing Gaussian and the spline's support feel the border: stay away from it by their reach.
    inside = inner(out, source, 0 if order == "linear" and np.max(spacing) < 0.9 else 8)
    assert inside.any()
    np.testing.assert_allclose(out.data[0].numpy()[inside], expected[inside], atol=2e-4)


@pytest.mark.parametrize("order", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("spacing", [0.4, 1.7, (5.0, 0.5, 9.0), 100.0])
def test_constant_stays_constant_to_the_edge(oblique, order, spacing):
    volume = Volume(torch.full((2, 6, 5, 4), -1000.0), oblique)
    out = resample(volume, spacing, order=order)
    torch.testing.assert_close(out.data, torch.full(out.shape, -1000.0), atol=1e-3, rtol=0)


@pytest.mark.parametrize("order", ["nearest", "linear", "cubic"])
def test_identity_is_bit_exact(volume, order):
    for out in (resample(volume, volume.spacing, order=order), resample(volume, like=volume, order=order)):
        assert torch.equal(out.data, volume.data) and out.data is not volume.data
        np.testing.assert_allclose(out.affine, volume.affine, atol=1e-12)
        assert out.name == volume.name


@pytest.mark.parametrize("spacing", [(0.5, 0.7, 0.9), 2.0, (1.3, 4.0, 2.5)])
def test_spacing_keeps_centre_directions_and_extent(volume, spacing):
    out = resample(volume, spacing)
    sizes, new = np.array(volume.shape[1:]), np.array(out.shape[1:])
    assert out.spacing == pytest.approx(np.broadcast_to(spacing, 3))
    np.testing.assert_allclose(out.to_world((new - 1) / 2), volume.to_world((sizes - 1) / 2), atol=1e-9)
    np.testing.assert_allclose(out.affine[:3, :3] / out.spacing, volume.affine[:3, :3] / volume.spacing, atol=1e-12)
    assert (np.abs(new * out.spacing - sizes * volume.spacing) <= 0.5 * np.array(out.spacing) + 1e-9).all()


def turned_grid(seed: int, centre: np.ndarray) -> Volume:
    """A small grid at another angle, whose middle lies near a place."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() * (0.7, 0.8, 0.9)
    affine[:3, 3] = np.add(centre, (0.4, -0.3, 0.7)) - affine[:3, :3] @ (6.5, 6, 5.5)
    return Volume(torch.zeros(1, 14, 13, 12), affine)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("order", "number"), [("nearest", 0), ("linear", 1), ("cubic", 3)])
def test_like_agrees_with_nibabel(oblique, seed, order, number):
    source = Volume(torch.rand(1, 9, 10, 8, generator=torch.Generator().manual_seed(seed)), oblique)
    like = turned_grid(seed, source.to_world((4, 4.5, 3.5)))
    out = resample(source, like=like, order=order, antialias=False)
    image = nib.Nifti1Image(source.data[0].numpy(), oblique)
    theirs = resample_from_to(image, (like.shape[1:], like.affine), order=number, mode="nearest").get_fdata()
    inside = inner(out, source, 0)
    assert inside.sum() > 20 and np.array_equal(out.affine, like.affine) and out.shape == (1, 14, 13, 12)
    np.testing.assert_allclose(out.data[0].numpy()[inside], theirs[inside], atol=1e-5)


def test_outside_the_field_of_view_is_fill(oblique):
    source = Volume(torch.ones(1, 6, 6, 6), oblique)
    like = turned_grid(1, source.to_world((0, 5, 2)))
    out = resample(source, like=like, fill=-1024)
    at = source.to_voxels(like.to_world(np.moveaxis(np.indices(like.shape[1:]), 0, -1)))
    inside = ((at >= -0.5) & (at <= 5.5)).all(axis=-1)
    assert inside.any() and not inside.all()
    np.testing.assert_allclose(out.data[0].numpy(), np.where(inside, 1, -1024), atol=1e-5)


def test_nearest_keeps_labels():
    labels = torch.randint(0, 5, (1, 12, 12, 12), generator=torch.Generator().manual_seed(0)).float()
    out = resample(Volume(labels), 2.0, order="nearest")
    assert torch.equal(out.data, labels[:, 1::2, 1::2, 1::2])  # of equally near ones the later, everywhere
    fine = resample(Volume(labels), 0.5, order="nearest")
    assert torch.equal(fine.data, labels.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_antialias_removes_what_the_coarse_grid_cannot_hold():
    board = (torch.arange(33) % 2).float().expand(1, 33, 33, 33).clone()  # the finest pattern there is, along Z
    sharp = resample(Volume(board), (1, 1, 3), antialias=False).data
    smooth = resample(Volume(board), (1, 1, 3)).data
    assert sharp.std() > 0.4 and smooth[..., 2:-2].std() < 0.05
    torch.testing.assert_close(smooth.mean(), board.mean(), atol=0.02, rtol=0)


def test_antialias_has_the_stated_width():
    point = torch.zeros(1, 41, 41, 41)
    point[0, 20, 20, 20] = 1
    like = Volume(torch.zeros(1, 41, 1, 1), np.array([[1.0, 0, 0, 0], [0, 3, 0, 20], [0, 0, 3, 20], [0, 0, 0, 1]]))
    out = resample(Volume(point), like=like).data[0, :, 0, 0]
    assert (out > 0).sum() == 1, "along X both grids have 1 mm: nothing is smoothed"
    sigma = np.sqrt(3**2 - 1) / 2.3548
    assert float(out[20]) == pytest.approx(1 / (2 * np.pi * sigma**2), rel=0.01)


def test_sheared_volume_gets_a_straight_grid():
    sheared = np.eye(4)
    sheared[:3, 2] = (0, 0.5, 2)
    source = linear_field(sheared, (1, 12, 14, 10))
    assert not source.orthogonal
    out = resample(source, 1.0, antialias=False, fill=-999)
    assert out.orthogonal and out.orientation == "RAS" and out.spacing == pytest.approx((1, 1, 1))
    inside = inner(out, source, 0)
    world = out.to_world(np.moveaxis(np.indices(out.shape[1:]), 0, -1))
    np.testing.assert_allclose(out.data[0].numpy()[inside], (world @ (2, -3, 0.5) + 7)[inside], atol=1e-4)
    assert (out.data == -999).any()
    corner = source.to_world((11, 13, 9))
    assert (out.to_voxels(corner) <= np.array(out.shape[1:]) - 0.5).all()


def test_channels_are_independent(volume):
    both = resample(volume, 1.3)
    for channel in range(2):
        alone = resample(volume.with_data(volume.data[channel : channel + 1]), 1.3)
        assert torch.equal(both.data[channel], alone.data[0])


def test_carries_no_gradient():
    out = resample(Volume(torch.ones(1, 3, 3, 3, requires_grad=True)), 0.5)
    assert not out.data.requires_grad


BAD = {
    "nothing": ({}, "both or neither"),
    "both": ({"spacing": 1.0, "like": Volume(torch.zeros(1, 2, 2, 2))}, "both or neither"),
    "zero spacing": ({"spacing": 0.0}, "spacing is 0.0"),
    "negative spacing": ({"spacing": (1, -1, 1)}, "expected one or three numbers"),
    "NaN spacing": ({"spacing": (1, float("nan"), 1)}, "expected one or three numbers"),
    "two numbers": ({"spacing": (1, 1)}, "expected one or three numbers"),
    "words": ({"spacing": "fine"}, "expected one or three numbers"),
    "order": ({"spacing": 1.0, "order": "sinc"}, "order is 'sinc', expected one of nearest, linear, cubic"),
    "NaN fill": ({"spacing": 1.0, "fill": float("nan")}, "fill is nan"),
    "absurd grid": ({"spacing": 1e-5}, "expected 536870912 at most"),
    "small budget": ({"spacing": 0.5, "max_voxels": 100}, "expected 100 at most"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(volume, case):
    arguments, message = BAD[case]
    with pytest.raises(VolumeError, match=message) as caught:
        resample(volume, **arguments)
    assert "\n" not in str(caught.value)
