import pytest
import torch

from medlab import profiles
from medlab.profiles import Profile, choose


def test_a_profile_is_chosen_by_argument_then_environment_then_machine(monkeypatch):
    monkeypatch.setenv("MEDLAB_PROFILE", "ci")
    assert choose("gpu").name == "gpu" and choose().name == "ci" and choose(None).name == "ci"
    monkeypatch.delenv("MEDLAB_PROFILE")
    monkeypatch.setattr(profiles, "accelerator", lambda: torch.device("cuda"))
    assert choose().name == "gpu"
    monkeypatch.setattr(profiles, "accelerator", lambda: None)
    assert choose().name == "cpu"


def test_only_gpu_leaves_the_cpu(monkeypatch):
    monkeypatch.setattr(profiles, "accelerator", lambda: torch.device("mps"))
    assert [Profile(name).device.type for name in profiles.NAMES] == ["cpu", "cpu", "mps"]
    monkeypatch.setattr(profiles, "accelerator", lambda: None)
    assert Profile("gpu").device.type == "cpu"


def test_pick_gives_the_profiles_value():
    assert [Profile(name).pick(ci=1, cpu=2, gpu=3) for name in profiles.NAMES] == [1, 2, 3]


def test_an_unknown_profile_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="'tpu', expected one of ci, cpu, gpu"):
        choose("tpu")
    monkeypatch.setenv("MEDLAB_PROFILE", "fast")
    with pytest.raises(ValueError, match="'fast'"):
        choose()
