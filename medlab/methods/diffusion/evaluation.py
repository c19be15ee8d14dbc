"""How well a diffusion reference finds bleeds in heads that it has not seen: one record for each file of weights.

    python -m medlab.methods.diffusion.evaluation data/weights/anoddpm_cq500.safetensors

takes the last bleeds and the last normal heads of the test part (the first were looked at while the scale of the
guidance was set), and writes to data/results/anomaly_references.json.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medlab.arguments import one_of
from medlab.data.samples import Sample, Samples
from medlab.methods.anoddpm import AnoDDPM
from medlab.methods.anomaly import ErrorMap, structures_of
from medlab.methods.anomaly.data import is_normal, split_heads
from medlab.methods.anomaly.study import Rule, area, score_heads
from medlab.methods.classifier_guidance import ClassifierGuidance
from medlab.methods.diffusion.command import open_for
from medlab.methods.diffusion.module import SliceDiffusion
from medlab.metrics.roc import auroc
from medlab.profiles import Profile
from medlab.training import Record, add_record, load_weights

METHODS = {"anoddpm": AnoDDPM, "classifier_guidance": ClassifierGuidance}
LESSON = "anomaly_references"
RECORDS = Path("data/results/anomaly_references.json")
# Fixed beforehand, for no heads are left to choose it on: the weakly supervised method has learned from them.
PERCENTILE = 99.0


def chosen(test: Samples, bleeds: int, normals: int) -> Samples:
    """The last heads with a bleed, and the last normal ones."""
    facts = [test.facts(index) for index in range(len(test))]
    ill = [index for index, one in enumerate(facts) if one["intracranial_haemorrhage"]]
    well = [index for index, one in enumerate(facts) if is_normal(one)]
    return test.choose(sorted(ill[-bleeds:] + well[-normals:]))


class Timed:
    """A method whose maps are kept as voxel scores, too: how well bleeding voxels stand out in each brain."""

    def __init__(self, method: SliceDiffusion):
        self.method, self.seconds, self.voxels = method, [], []

    def maps(self, head: Sample) -> dict[str, ErrorMap]:
        began = time.perf_counter()
        found = self.method.error_map(head.image.with_data(head.channel(self.method.sees)[None]))
        self.seconds.append(time.perf_counter() - began)
        parts = structures_of(head)
        brain = parts["left hemisphere"] | parts["right hemisphere"]
        clot = head.label[brain] == 1
        if clot.any() and not clot.all():
            self.voxels.append(auroc(found.values[brain], clot))
        return {"error": found}


def evaluate(weights: Path, bleeds: int, normals: int, stride: int | None = None) -> Record:
    """The record of a file of weights. metrics: "auroc haemorrhage" over hemispheres with "low" and "high", its 95 %
    interval; "voxel auroc", one for each brain with a bleed; "seconds" of each map."""
    tensors, card = load_weights(weights)
    name = one_of(card.get("method"), tuple(METHODS), f"{weights}: the method on the card")
    method = METHODS[name].from_weights(tensors, card)
    if stride:
        method.config = replace(method.config, stride=stride)
    profile = Profile(card["profile"])
    heads = chosen(split_heads(open_for(profile, None, None), card["seed"])["test"], bleeds, normals)
    if overlap := set(heads.subjects) & set(card["data"]["subjects"]["train"]):
        raise ValueError(f"{weights}: {min(overlap)} was learned from, expected heads that are new to the method")
    timed = Timed(method)
    rows = score_heads(timed, heads, (PERCENTILE,))
    found = area(rows, "haemorrhage", Rule("error", PERCENTILE))
    metrics = {
        "auroc haemorrhage": found.value,
        "auroc haemorrhage low": found.low,
        "auroc haemorrhage high": found.high,
        "voxel auroc": timed.voxels,
        "seconds": timed.seconds,
    }
    settings = {
        "bleeds": bleeds,
        "normals": normals,
        "map": "error",
        "percentile": PERCENTILE,
        "stride": method.config.stride,
        "depth": method.config.depth,
        "steps": card["steps"],
        "parameters": card["parameters"],
        "synthetic": True,
    }
    return Record(LESSON, name, "cq500", profile.name, card["seed"], metrics, settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate files of weights, and record each at once."""
    parser = argparse.ArgumentParser(prog="python -m medlab.methods.diffusion.evaluation", description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--bleeds", type=int, default=10)
    parser.add_argument("--normals", type=int, default=10)
    parser.add_argument("--stride", type=int, help="every how manyeth slice; without it, the config's")
    parser.add_argument("--records", type=Path, default=RECORDS)
    given = parser.parse_args(arguments)
    for weights in given.weights:
        record = evaluate(weights, given.bleeds, given.normals, given.stride)
        add_record(record, given.records)
        found, voxels = record.metrics, record.metrics["voxel auroc"]
        print(
            f"{record.method}: area for bleeds {found['auroc haemorrhage']:.3f}"
            f" ({found['auroc haemorrhage low']:.3f} to {found['auroc haemorrhage high']:.3f}), of voxels"
            f" {sum(voxels) / max(len(voxels), 1):.3f} in the mean of {len(voxels)} brains",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
