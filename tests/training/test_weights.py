"""Weights and their cards: there and back, and refused where the two do not belong together."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medlab.nn import UNet3d
from medlab.training import load_weights, read_card, save_weights


def net() -> nn.Module:
    return nn.Sequential(nn.Conv3d(2, 4, 3), nn.BatchNorm3d(4))


def test_there_and_back_bit_for_bit_in_the_same_format(tmp_path):
    module = UNet3d(2, 4, width=4, levels=3).to(memory_format=torch.channels_last_3d)
    path = save_weights(module, tmp_path / "deep" / "net.safetensors", {"seed": 3, "config": {"width": 4}})
    tensors, card = load_weights(path)
    assert tensors.keys() == module.state_dict().keys()
    assert all(torch.equal(tensors[name], value) for name, value in module.state_dict().items())
    assert card["parameters"] == sum(value.numel() for value in module.parameters())
    assert card["seed"] == 3 and card["config"] == {"width": 4}
    assert {"sha256", "machine", "versions", "date", "format"} <= card.keys()
    other = UNet3d(2, 4, width=4, levels=3)
    load_weights(path, other)
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in other.state_dict().items())


@settings(max_examples=20, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(1, 4), max_size=4), min_size=1, max_size=4),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool]),
)
def test_any_tensors_come_back(tmp_path_factory, shapes, dtype):
    tensors = {f"t{number}": (10 * torch.randn(shape)).to(dtype) for number, shape in enumerate(shapes)}
    found, _ = load_weights(save_weights(tensors, tmp_path_factory.mktemp("w") / "any.safetensors"))
    assert all(torch.equal(found[name], value) and found[name].dtype == dtype for name, value in tensors.items())


def test_tied_weights_and_views_are_written_whole(tmp_path):
    shared = torch.randn(4, 4)
    found, _ = load_weights(
        save_weights({"a": shared, "b": shared, "c": shared.T, "d": shared[0]}, tmp_path / "t.safetensors")
    )
    assert torch.equal(found["b"], shared) and torch.equal(found["c"], shared.T) and torch.equal(found["d"], shared[0])


def test_the_same_weights_give_the_same_bytes(tmp_path):
    one, two = save_weights(net(), tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    save_weights(load_weights(one)[0], two)
    assert read_card(one)["sha256"] == read_card(two)["sha256"]


def saved(folder, **card):
    return save_weights(net(), folder / "net.safetensors", card)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"net.safetensors: there is no such file, expected weights"):
        load_weights(tmp_path / "net.safetensors")
    path = saved(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"net.json: there is no such file, expected the card of the weights"):
        load_weights(path)


def test_a_card_of_other_weights_is_refused(tmp_path):
    path = saved(tmp_path)
    card = path.with_suffix(".json").read_text()
    saved(tmp_path)  # others, drawn anew
    path.with_suffix(".json").write_text(card)
    with pytest.raises(ValueError, match=r"its sha256 begins with .*, expected .* as on its card"):
        load_weights(path)


def test_a_flipped_bit_and_a_file_cut_off_are_refused(tmp_path):
    path = saved(tmp_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    for bad in (data, data[:50]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="its sha256 begins with"):
            load_weights(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "it is not JSON"),
        ("[1]", "its format is 'list', expected 1"),
        ('{"format": 9}', "its format is 9, expected 1"),
    ],
)
def test_what_is_no_card_is_refused(tmp_path, text, sentence):
    path = saved(tmp_path)
    path.with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        load_weights(path)


def test_another_ending_and_a_card_that_json_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the name ends in .pt, expected .safetensors"):
        save_weights(net(), tmp_path / "net.pt")
    for bad in (torch.zeros(1), float("nan")):
        with pytest.raises(ValueError, match="card cannot be written as JSON"):
            saved(tmp_path, metrics=bad)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (nn.Sequential(nn.Conv3d(2, 5, 3), nn.BatchNorm3d(5)), r"is \(4.*\), expected \(5"),
        (nn.Sequential(nn.Conv3d(2, 4, 3)), r"it holds 1\..*, which Sequential has not"),
        (nn.Sequential(nn.Conv3d(2, 4, 3), nn.BatchNorm3d(4), nn.Linear(1, 1)), r"it holds no 2\..*, expected"),
    ],
)
def test_weights_that_do_not_fit_a_module_are_refused(tmp_path, other, sentence):
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(ValueError, match=sentence):
        load_weights(saved(tmp_path), other)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_the_card_is_readable_text(tmp_path):
    text = saved(tmp_path, method="segmentation").with_suffix(".json").read_text()
    assert json.loads(text)["method"] == "segmentation" and text.count("\n") > 5
