"""The records of reference methods: which heads, which numbers, and nobody who was learned from."""

import json

import pytest

from medlab.methods.anomaly import references
from medlab.methods.anomaly.command import open_heads, training_parts
from medlab.methods.anomaly.data import is_normal, split_heads
from medlab.methods.vae_restoration import Config, VaeRestoration
from medlab.profiles import Profile
from medlab.training import read_record, save_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A method that has learned nothing, on a card that says who belongs to its training."""
    config = Config.for_profile(Profile("ci"))
    recipe = training_parts(open_heads(config.volume, config.spacing_mm, Profile("ci")))[2]
    card = {"method": "vae_restoration", "config": config.as_dict(), "profile": "ci", "seed": 0, "steps": 0}
    path = tmp_path_factory.mktemp("weights") / "vae.safetensors"
    return save_weights(VaeRestoration(config), path, {**card, "data": recipe})


def test_the_first_heads_of_each_kind():
    test = split_heads(open_heads(32, 8.0, Profile("ci")))["test"]
    facts = [test.facts(index) for index in range(len(test))]
    bleeds = [subject for subject, one in zip(test.subjects, facts, strict=True) if one["intracranial_haemorrhage"]]
    normals = [subject for subject, one in zip(test.subjects, facts, strict=True) if is_normal(one)]
    found = references.chosen(test, 3, 0, 2)
    assert set(found.subjects) == {*bleeds[:3], *normals[:2]}
    assert list(found.subjects) == sorted(found.subjects)


def test_a_record_for_each_map_and_percentile(weights, tmp_path, capsys):
    place = tmp_path / "records.json"
    counts = ["--bleeds", "2", "--fractures", "2", "--normals", "2"]
    assert references.main([str(weights), *counts, "--records", str(place)]) == 0
    assert capsys.readouterr().out.count("vae_restoration, ") == 4
    record = read_record(place, method="vae_restoration", map="restoration", percentile=99.0)
    for finding in ("haemorrhage", "fracture"):
        low, value, high = (record.metrics[f"auroc {finding}{end}"] for end in (" low", "", " high"))
        assert 0 <= low <= value <= high <= 1
    assert len(record.metrics["seconds"]) >= 4 and record.settings["synthetic"] is True


def test_nobody_who_was_learned_from(weights):
    card = json.loads(weights.with_suffix(".json").read_text())
    card["data"]["subjects"]["train"] = card["data"]["subjects"]["test"]
    weights.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="was learned from, expected heads that are new"):
        references.records_of(weights, 2, 2, 2)
