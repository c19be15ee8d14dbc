import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from medlab.viz.slices import draw_slice, montage, slice_image

SHAPE = (4, 5, 6)


def marked(x, y, z):
    volume = torch.zeros(SHAPE)
    volume[x, y, z] = 1
    return volume


@pytest.mark.parametrize(
    ("plane", "index", "corner"),
    [
        # A voxel at the patient's left, front, top (the last index along x, y, z of RAS is right, front, top).
        ("axial", 5, (0, 0)),
        ("coronal", 4, (0, 0)),
        ("sagittal", 3, (0, 0)),
    ],
)
def test_right_front_top_is_the_upper_left_corner(plane, index, corner):
    image = slice_image(marked(3, 4, 5), plane, index)
    assert tuple(np.argwhere(image)[0]) == corner


def test_left_back_bottom_is_the_lower_right_corner():
    for plane in ("axial", "coronal", "sagittal"):
        image = slice_image(marked(0, 0, 0), plane, 0)
        assert tuple(np.argwhere(image)[0]) == (image.shape[0] - 1, image.shape[1] - 1)


def test_the_patients_right_carries_the_letter_r():
    figure, ax = plt.subplots()
    draw_slice(ax, marked(3, 2, 2), plane="axial", index=2)
    left, right = sorted(ax.texts, key=lambda text: text.get_position()[0])
    assert (left.get_text(), right.get_text()) == ("R", "L")
    plt.close(figure)


def test_spacing_sets_the_picture_in_mm():
    figure, ax = plt.subplots()
    drawn = draw_slice(ax, torch.rand(SHAPE), plane="coronal", spacing=(1.0, 2.0, 3.0))
    assert drawn.get_extent() == [0, 4, 0, 18]
    plt.close(figure)


def test_a_montage_shows_all_slices_in_one_window():
    figure = montage(torch.rand(SHAPE), indices=[0, 1, 2, 3, 4], columns=3)
    images = [ax.images[0] for ax in figure.axes if ax.images]
    assert len(images) == 5 and len({image.get_clim() for image in images}) == 1
    plt.close(figure)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: slice_image(torch.zeros(SHAPE), "oblique", 0), "expected one of sagittal, coronal, axial"),
        (lambda: slice_image(torch.zeros(1, *SHAPE), "axial", 0), r"expected \(X, Y, Z\)"),
        (lambda: slice_image(torch.zeros(SHAPE), "axial", 6), "from 0 to 5"),
    ],
)
def test_a_wrong_slice_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
