"""The real brain: there, in its place, exactly symmetric, without a network."""

import socket

import numpy as np
import pytest
import torch

from medlab.data import load_icbm152


@pytest.fixture(scope="module")
def template():
    real = socket.socket.connect

    def refuse(*arguments):
        raise AssertionError("the template must not need a network")

    socket.socket.connect = refuse
    try:
        yield load_icbm152()
    finally:
        socket.socket.connect = real


def test_grid(template):
    for volume in template:
        assert volume.shape == (1, 197, 233, 189)
        assert volume.spacing == (1, 1, 1) and volume.orientation == "RAS"
        np.testing.assert_array_equal(volume.affine[:3, 3], (-98, -134, -72))
    assert template.t1.name == "ICBM 152 t1"


def test_ranges(template):
    for volume in template[:3]:
        assert float(volume.data.min()) == 0 and float(volume.data.max()) == 1
    assert template.mask.data.unique().tolist() == [0, 1]
    assert float((template.grey.data + template.white.data).max()) <= 1 + 1e-6


def test_a_brain_of_its_size(template):
    litres = float(template.mask.data.sum()) * 1e-6
    assert 1.8 < litres < 2.0
    assert 1.1 < float(template.grey.data.sum() / template.white.data.sum()) < 1.9
    tissue = (template.grey.data + template.white.data) > 0.5
    assert not (tissue & (template.mask.data == 0)).any()


def test_exactly_symmetric_about_the_middle(template):
    for volume in template:
        assert torch.equal(volume.data, volume.data.flip(1))
    assert template.t1.to_world((98, 0, 0))[0] == 0
