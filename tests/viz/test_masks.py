"""The picture of two masks: each part in its colour, in radiological convention."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from medlab.viz.masks import FALSE, FOUND, MISSED, draw_difference, name_colours


def test_each_pixel_has_the_colour_of_its_part():
    reference, prediction = np.zeros((4, 3), bool), np.zeros((4, 3), bool)
    reference[0, 0] = reference[1, 0] = True
    prediction[0, 0] = prediction[3, 2] = True
    _, ax = plt.subplots()
    draw_difference(ax, prediction, reference, spacing=2.0)
    seen = {}
    for drawn in ax.images:
        data = drawn.get_array()
        rows, columns = np.nonzero(data[..., 3])
        seen[tuple(data[rows[0], columns[0], :3])] = {
            (int(x), int(y)) for x, y in zip(columns // 4, rows // 4, strict=True)
        }
        assert drawn.get_extent() == [0, 8, 0, 6]
    # x grows to the patient's right, which is the picture's left; y to the front, which is up.
    assert seen == {to_rgba(FOUND)[:3]: {(3, 2)}, to_rgba(MISSED)[:3]: {(2, 2)}, to_rgba(FALSE)[:3]: {(0, 0)}}
    plt.close("all")


def test_an_image_lies_behind():
    _, ax = plt.subplots()
    mask = np.eye(5, dtype=bool)
    draw_difference(ax, mask, mask, image=torch.rand(5, 5))
    name_colours(ax)
    assert len(ax.images) == 4 and {"R", "L", "found", "missed", "false"} == {text.get_text() for text in ax.texts}
    plt.close("all")


def test_shapes_that_differ_are_refused():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=r"masks have the shapes \(2, 2\) and \(3, 2\), expected \(X, Y\) twice"):
        draw_difference(ax, np.ones((2, 2), bool), np.ones((3, 2), bool))
    plt.close("all")
