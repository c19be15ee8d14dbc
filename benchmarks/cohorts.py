"""How long synthetic subjects take, and how much memory: `medlab.cohorts` from nothing and from its cache.

    python benchmarks/cohorts.py [--subjects 100] [--workers 2] [--fine 1] [--json record.json]

Each number is taken in a process of its own with an empty cache of subjects; the head model, which is made once for
all of them, is timed first and kept. Memory is the peak of resident memory of the process, of one worker where there
are several. There is no peer: no other program that we know of makes these images with their truth.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from _measure import circumstances, common_arguments, processor, write_record

from medlab.cohorts.brats import BratsCohort
from medlab.cohorts.cq500 import Cq500Cohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.store import ENVIRONMENT_VARIABLE

COHORTS = {"BraTS": BratsCohort, "CQ500": Cq500Cohort}
WIDTH_MM = 240.0  # of the coarse grids, as BraTS has it


def peak_mib() -> float:
    """The largest resident memory so far of this process or of one of its children, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / unit


def head_models() -> dict:
    from medlab.cohorts.anatomy import head_model

    start = time.perf_counter()
    for spacing in (1, 2, 3, 4):
        head_model(spacing)
    return {"seconds": time.perf_counter() - start, "peak_mib": peak_mib()}


def subjects(name: str, count: int, voxels: int, workers: int, seed: int) -> dict:
    """Makes the subjects, then reads them again; voxels: 0 for the cohort's own grid of 1 mm."""
    torch.set_num_threads(1)
    cohort = COHORTS[name](count, *([Grid.cube(voxels, WIDTH_MM)] if voxels else []), seed=seed)
    start = time.perf_counter()
    cohort.prepare(workers)
    made = time.perf_counter()
    first = [cohort[index].image.data.double().sum().item() for index in range(count)]
    read = time.perf_counter()
    return {
        "seconds": made - start,
        "from_cache_seconds": read - made,
        "peak_mib": peak_mib(),
        "bytes": sum(file.stat().st_size for file in cohort.folder.iterdir()),
        "checksum": sum(first),
    }


def alone(cache: str, call: str) -> dict:
    """The result of a call of this file in a process of its own."""
    environment = {**os.environ, ENVIRONMENT_VARIABLE: cache, "OMP_NUM_THREADS": "1"}
    code = f"import json, cohorts; print(json.dumps(cohorts.{call}))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env=environment | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path[1:]])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def main() -> None:
    parser = common_arguments(__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=100, help="of the coarse cohorts, at 64 x 64 x 64 voxels")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--fine", type=int, default=1, help="subjects of 1 mm")
    given = parser.parse_args()
    if min(given.subjects, given.workers) < 1 or given.fine < 0:
        parser.error("--subjects and --workers are at least 1, --fine is at least 0")
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        head = alone(cache, "head_models()")
        rows.append({"name": "head model at 1, 2, 3 and 4 mm", "subjects": 1, "workers": 1, **head})
        for name in COHORTS:
            for count, voxels, workers in ((given.subjects, 64, given.workers), (given.fine, 0, 1)):
                if count == 0:
                    continue
                found = alone(cache, f"subjects({name!r}, {count}, {voxels}, {workers}, {given.seed})")
                grid = "64 x 64 x 64" if voxels else "1 mm"
                rows.append({"name": f"{name}, {grid}", "subjects": count, "workers": workers, **found})
    print(f"{processor()}, {os.cpu_count()} cores\n")
    print(f"{'':34} {'subjects':>8} {'workers':>8} {'s':>8} {'s each':>8} {'cache, s':>9} {'MiB':>7}")
    for row in rows:
        each, cached = row["seconds"] / row["subjects"], row.get("from_cache_seconds", float("nan"))
        numbers = f"{row['seconds']:8.1f} {each:8.2f} {cached:9.2f} {row['peak_mib']:7.0f}"
        print(f"{row['name']:34} {row['subjects']:8} {row['workers']:8} {numbers}")
    if given.json:
        write_record(given.json, circumstances("cohorts", {"seed": given.seed, "width_mm": WIDTH_MM}) | {"rows": rows})


if __name__ == "__main__":
    main()
