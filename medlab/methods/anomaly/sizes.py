"""The size of a network against how well it finds: each size trained, adjusted on validation heads, judged on others.

    python -m medlab.methods.anomaly.sizes position_regression --sizes 1 2 4 8 --profile cpu --directory runs/sizes

writes one record for each size to data/results/anomaly.json; a run that is broken off goes on where it was. With
`thresholding`, which learns nothing, there is one record.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import DataLoader

from medlab import profiles
from medlab.data.samples import Samples
from medlab.methods.anomaly.command import open_heads
from medlab.methods.anomaly.data import is_normal, split_heads
from medlab.methods.anomaly.study import FINDINGS, Rule, Scored, area, best_rule, cases, score_heads
from medlab.methods.training import Training, command_of
from medlab.profiles import Profile
from medlab.training import Record, add_record, fit, save_weights

LESSON = "where_does_this_patch_belong"
METHODS = ("position_regression", "autoencoder", "thresholding")
SIZES = (1, 2, 4, 8, 16, 32, 64)
RECORDS = Path("data/results/anomaly.json")


def train_size(training: Training, profile: Profile, seed: int, directory: Path) -> float | None:
    """Train a method, or go on with it; the seconds that this took, or None where some of it was done before."""
    resumed = any(directory.glob("step-*.ckpt"))
    began = time.perf_counter()
    watched = DataLoader(training.validation, batch_size=None, collate_fn=_as_it_is)
    fit(
        training.method,
        training.batches,
        watched,
        directory=directory,
        steps=training.steps,
        profile=profile,
        seed=seed,
        config=training.config,
        precision=training.precision,
        clip=training.clip,
        validate_every=max(1, training.steps // 5),
        checkpoint_every=max(1, training.steps // 5),
        monitor=training.monitor or "loss",
        mode=training.mode,
    )
    return None if resumed else time.perf_counter() - began


def adjusted(method, validation: Samples) -> Samples:
    """Calibrates a method that can be on half of the healthy validation heads; the heads that are left to choose by.

    Of fewer than 8 healthy ones all serve for both.
    """
    normal = [index for index in range(len(validation)) if is_normal(validation.facts(index))]
    ill = [index for index in range(len(validation)) if index not in normal]
    if not hasattr(method, "calibrate"):
        return validation
    if len(normal) < 8:
        method.calibrate(validation.choose(normal))
        return validation
    half = len(normal) // 2
    method.calibrate(validation.choose(normal[:half]))
    return validation.choose(sorted([*normal[half:], *ill]))


def judged(chosen_by: Sequence[Scored], test: Sequence[Scored], papers_map: str | None = None) -> dict[str, object]:
    """Of each finding on the test heads: "auroc FINDING" with "low" and "high" by the rule that is best on the other
    heads, and "... maximum" by the maximum of a map inside each structure, the paper's rule; and every score.

    chosen_by: scored heads that are not of the test. papers_map: the name of that map, the first where not given.
    """
    metrics: dict[str, object] = {}
    first = papers_map or next(iter(test[0].scores))[0]
    for finding in FINDINGS:
        own = Rule(next((name for name, _ in test[0].scores if name == first), first), 100.0)
        for name, rule in (("", best_rule(chosen_by, finding)), (" maximum", own)):
            found = area(test, finding, rule)
            label = f"{finding}{name}"
            metrics |= {f"auroc {label}": found.value, f"low {label}": found.low, f"high {label}": found.high}
            scores, truth, owners = cases(test, finding, rule)
            metrics[f"scores {label}"] = [float(score) for score in scores]
            metrics[f"percentile {label}"] = rule.percentile
            metrics[f"map {label}"] = float(list(dict.fromkeys(key[0] for key in test[0].scores)).index(rule.map))
        metrics[f"truth {finding}"] = [float(one) for one in truth]
        numbers = {row.subject: number for number, row in enumerate(test)}
        metrics[f"head {finding}"] = [float(numbers[owner]) for owner in owners]
        metrics[f"volume_ml {finding}"] = [_finite(row.volume_ml[finding]) for row in test]
    return metrics


def record_of(
    name: str, size: int, training: Training | None, method, seconds: float | None, parts, profile: Profile, seed: int
) -> Record:
    """Judge a trained method and make its record."""
    chosen_by = score_heads(method, adjusted(method, parts["validation"]))
    test = score_heads(method, parts["test"])
    parameters = sum(one.numel() for one in method.parameters()) if training else 0
    metrics = {"parameters": parameters, "seconds": seconds, **judged(chosen_by, test)}
    maps = list(dict.fromkeys(key[0] for key in test[0].scores))
    settings = {"size": size, "steps": training.steps if training else 0, "maps": maps, "test": len(test)}
    settings |= {"patch": getattr(method.config, "patch", 0)}
    return Record(LESSON, name, "cq500", profile.name, seed, metrics, settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and judge sizes one after the other, and record each at once."""
    parser = argparse.ArgumentParser(prog="python -m medlab.methods.anomaly.sizes", description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--subjects", type=int)
    parser.add_argument("--profile", choices=profiles.NAMES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--directory", type=Path, default=Path("runs/sizes"), help="for checkpoints and weights")
    parser.add_argument("--records", type=Path, default=RECORDS)
    given = parser.parse_args(arguments)
    profile = profiles.choose(given.profile)
    given.workers, given.paper = 0, False
    for size in given.sizes if given.method != "thresholding" else [0]:
        folder = given.directory / f"{given.method}-m{size}-{profile.name}-{given.seed}"
        training, seconds = None, 0.0
        if size:
            given.size = size
            training = command_of(given.method).training_of(given, profile, given.set)
            seconds = train_size(training, profile, given.seed, folder)
            method = training.method.eval()
        else:
            from medlab.methods.thresholding import Config, Thresholding

            method = Thresholding(Config.for_profile(profile))
        heads = open_heads(method.config.volume, method.config.spacing_mm, profile, given.data_root, given.subjects)
        parts = split_heads(heads, given.seed)
        record = record_of(given.method, size, training, method, seconds, parts, profile, given.seed)
        add_record(record, given.records)
        if training:
            found = {key: value for key, value in record.metrics.items() if isinstance(value, float) and "auroc" in key}
            card = {"method": given.method, "config": training.config, "profile": profile.name, "seed": given.seed}
            card |= {"data": training.data, "steps": training.steps, "metrics": found}
            save_weights(method, folder / "weights.safetensors", card)
        told = ", ".join(f"{finding} {record.metrics[f'auroc {finding}']:.3f}" for finding in FINDINGS)
        print(f"{given.method} m = {size}: {told}", flush=True)
    return 0


def _finite(value: float) -> float | None:
    return float(value) if abs(value) < float("inf") else None


def _as_it_is(sample: object) -> object:
    return sample


if __name__ == "__main__":
    sys.exit(main())
