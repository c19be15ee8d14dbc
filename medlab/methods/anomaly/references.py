"""How well reference methods find bleeds and fractures in heads that they have not seen: one record for each map.

    python -m medlab.methods.anomaly.references data/weights/vae_restoration_cq500.safetensors

takes the first heads of the test part with a bleed, with a fracture and with neither, and writes to
data/results/anomaly_references.json.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from medlab.arguments import one_of
from medlab.data.samples import Sample, Samples
from medlab.methods.anomaly.command import open_heads
from medlab.methods.anomaly.data import is_normal, split_heads
from medlab.methods.anomaly.error_map import ErrorMap
from medlab.methods.anomaly.study import FINDINGS, Rule, Scored, area, maps_of, score_heads
from medlab.profiles import Profile
from medlab.training import Record, add_record, load_weights

METHODS = {"vae_restoration": "VaeRestoration", "synthetic_corruption": "SyntheticCorruption"}
LESSON = "anomaly_references"
RECORDS = Path("data/results/anomaly_references.json")
# Fixed beforehand: the thesis takes the maximum, a percentile below it does not hang on single voxels.
PERCENTILES = (99.0, 100.0)


def chosen(test: Samples, bleeds: int, fractures: int, normals: int) -> Samples:
    """The first heads with a bleed, the first with a fracture, and the first normal ones."""
    facts = [test.facts(index) for index in range(len(test))]
    kept = set()
    for count, wanted in (
        (bleeds, lambda one: one["intracranial_haemorrhage"]),
        (fractures, lambda one: one["fracture"]),
        (normals, is_normal),
    ):
        kept |= set([index for index, one in enumerate(facts) if wanted(one)][:count])
    return test.choose(sorted(kept))


class Timed:
    """A method whose time is taken."""

    def __init__(self, method: object):
        self.method, self.seconds = method, []

    def maps(self, head: Sample) -> dict[str, ErrorMap]:
        began = time.perf_counter()
        found = maps_of(self.method, head)
        self.seconds.append(time.perf_counter() - began)
        return found


def records_of(weights: Path, bleeds: int, fractures: int, normals: int) -> list[Record]:
    """A record for each map and percentile of a file of weights.

    metrics: "auroc haemorrhage" over hemispheres and "auroc fracture" over skulls, each with its 95 % interval, "...
    low" and "... high"; "seconds" of each head, for all maps together. settings: "map", "percentile", how many heads.
    Raises ValueError for another method, and where a head was learned from.
    """
    tensors, card = load_weights(weights)
    name = one_of(card.get("method"), tuple(METHODS), f"{weights}: the method on the card")
    method = getattr(import_module(f"medlab.methods.{name}"), METHODS[name]).from_weights(tensors, card)
    profile = Profile(card["profile"])
    heads = open_heads(method.config.volume, method.config.spacing_mm, profile)
    heads = chosen(split_heads(heads, card["seed"])["test"], bleeds, fractures, normals)
    if overlap := set(heads.subjects) & set(card["data"]["subjects"]["train"]):
        raise ValueError(f"{weights}: {min(overlap)} was learned from, expected heads that are new to the method")
    timed = Timed(method)
    rows = score_heads(timed, heads, PERCENTILES)
    counted = _counts(rows)
    made = []
    for key in rows[0].scores:
        metrics: dict[str, float | list[float]] = {"seconds": timed.seconds}
        for finding in FINDINGS:
            found = area(rows, finding, Rule(*key))
            metrics |= {f"auroc {finding}": found.value}
            metrics |= {f"auroc {finding} low": found.low, f"auroc {finding} high": found.high}
        settings = {"map": key[0], "percentile": key[1], **counted, "steps": card["steps"]}
        settings |= {"parameters": card["parameters"], "synthetic": True}
        made.append(Record(LESSON, name, "cq500", profile.name, card["seed"], metrics, settings))
    return made


def _counts(rows: Sequence[Scored]) -> dict[str, int]:
    bleeds = sum(any(row.truth[name] for name in FINDINGS["haemorrhage"]) for row in rows)
    return {
        "bleeds": bleeds,
        "fractures": sum(row.truth["skull"] for row in rows),
        "normals": sum(not any(row.truth.values()) for row in rows),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate files of weights, and record each at once."""
    parser = argparse.ArgumentParser(prog="python -m medlab.methods.anomaly.references", description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+")
    for name in ("bleeds", "fractures", "normals"):
        parser.add_argument(f"--{name}", type=int, default=12)
    parser.add_argument("--records", type=Path, default=RECORDS)
    given = parser.parse_args(arguments)
    for weights in given.weights:
        for record in records_of(weights, given.bleeds, given.fractures, given.normals):
            add_record(record, given.records)
            told = ", ".join(
                f"{name} {record.metrics[f'auroc {name}']:.3f} ({record.metrics[f'auroc {name} low']:.3f} to"
                f" {record.metrics[f'auroc {name} high']:.3f})"
                for name in FINDINGS
            )
            print(f"{record.method}, {record.settings['map']}, {record.settings['percentile']:g} %: {told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
