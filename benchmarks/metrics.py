"""How fast `medlab.metrics` measures surfaces and structure, and in how much memory, beside the programs people use.

    python benchmarks/metrics.py [--size 256] [--volume 160] [--rounds 5] [--device cpu] [--json record.json]

Surfaces: Hausdorff distance, its 95th percentile and the average distance of two masks with voxels of 1 x 0.8 x 2.5 mm;
four pairs, from two outlines of one brain to two that lie far apart. A program that has no call for all three is called
once for each that it has. Structure: SSIM of two noisy volumes. All run in one process in turns, so compare ratios, not
seconds. Memory is what a call adds at its peak to a process of its own, which has done the same with a small image
before. Every row keeps what was found: programs differ where their definitions do. What is not installed is left out.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _measure import circumstances, common_arguments, in_turns, median, processor, write_record
from scipy import ndimage

from medlab.metrics import ssim, surface_distances

OURS = "medlab"
SPACING = (1.0, 0.8, 2.5)
SHAPES = ("brain", "cortex", "tumour", "far apart")
Call = Callable[[], tuple[float, ...]]


def smooth_noise(size: int, width: float, seed: int) -> np.ndarray:
    """Of standard deviation 1, with details of this many voxels at 256; drawn at a quarter of the size."""
    coarse = np.random.default_rng(seed).normal(size=(max(size // 4, 2),) * 3)
    coarse = ndimage.gaussian_filter(coarse, width * size / 1024, mode="wrap")
    noise = ndimage.zoom(coarse, size / len(coarse), order=1)
    return noise / noise.std()


def masks(shape: str, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two masks that a person might compare, (size, size, size) bool."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij", sparse=True)
    head = np.sqrt((x / 0.62) ** 2 + (y / 0.75) ** 2 + (z / 0.55) ** 2)
    one, other = (smooth_noise(size, 8, seed + n) for n in (0, 1))
    if shape == "brain":
        return head + 0.03 * one < 1, head + 0.03 * other < 1
    if shape == "cortex":
        folds = smooth_noise(size, 12, seed + 2)
        return (head < 1) & (abs(folds) < 0.5), (head < 1) & (abs(folds + 0.15 * other) < 0.5)
    if shape == "tumour":
        lump = np.sqrt((x - 0.2) ** 2 + y**2 + (z + 0.1) ** 2)
        return lump + 0.05 * one < 0.25, lump + 0.05 * other < 0.25
    return head < 1, head < 0.62


def surfaces(shape: str, size: int, seed: int) -> dict[str, Call]:
    """For each program a call that gives (HD, HD95, ASSD) or as much of it as the program has."""
    ours, truth = masks(shape, size, seed)

    def medlabs():
        found = surface_distances(ours, truth, SPACING)
        return found.percentile(100), found.percentile(95), found.average()

    def medlabs_by_area():
        found = surface_distances(ours, truth, SPACING, weighting="area")
        return found.percentile(100), found.percentile(95), found.average("directed")

    calls = {OURS: medlabs, f"{OURS}, by area": medlabs_by_area}
    for peer in (_monai_surfaces, _simpleitk, _surface_distance):
        calls |= peer(ours, truth)
    return calls


def _monai_surfaces(ours: np.ndarray, truth: np.ndarray) -> dict[str, Call]:
    try:
        from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
    except ImportError:
        return {}
    pair = [torch.from_numpy(mask)[None, None].float() for mask in (ours, truth)]
    shared = {"include_background": True, "spacing": list(SPACING)}

    def three():
        largest = float(compute_hausdorff_distance(*pair, **shared))
        most = float(compute_hausdorff_distance(*pair, percentile=95, **shared))
        return largest, most, float(compute_average_surface_distance(*pair, symmetric=True, **shared))

    return {
        "MONAI": three,
        "MONAI, HD95 alone": lambda: (float(compute_hausdorff_distance(*pair, percentile=95, **shared)),),
    }


def _simpleitk(ours: np.ndarray, truth: np.ndarray) -> dict[str, Call]:
    try:
        import SimpleITK as sitk
    except ImportError:
        return {}
    images = [sitk.GetImageFromArray(mask.T.astype(np.uint8)) for mask in (ours, truth)]
    for image in images:
        image.SetSpacing(SPACING)

    def largest():
        measure = sitk.HausdorffDistanceImageFilter()
        measure.Execute(*images)
        return (measure.GetHausdorffDistance(),)

    return {"SimpleITK, HD alone": largest}


def _surface_distance(ours: np.ndarray, truth: np.ndarray) -> dict[str, Call]:
    # Its release 0.1 uses names that NumPy 2 and new versions of SciPy have dropped; they are given back from outside.
    np.inf, ndimage.filters, ndimage.morphology = np.inf, ndimage, ndimage
    try:
        from surface_distance import metrics as theirs
    except ImportError:
        return {}

    def three():
        found = theirs.compute_surface_distances(truth, ours, SPACING)
        means = theirs.compute_average_surface_distance(found)
        percentiles = (theirs.compute_robust_hausdorff(found, percentile) for percentile in (100, 95))
        return (*map(float, percentiles), float(sum(means) / 2))

    return {"surface-distance": three}


def structure(size: int, seed: int, device: str) -> dict[str, Call]:
    """For each program a call that gives the SSIM of two volumes."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.rand((size,) * 3, generator=generator)
    x = y + 0.1 * torch.randn((size,) * 3, generator=generator)
    x, y = x.to(device), y.to(device)
    uniform = {"window": "uniform", "covariance": "sample"}
    calls = {OURS: lambda: (float(ssim(x, y, 1.0)),), f"{OURS}, uniform": lambda: (float(ssim(x, y, 1.0, **uniform)),)}
    batch = x[None, None], y[None, None]
    if device == "cpu":
        calls |= _scikit_image(x.numpy(), y.numpy())
    for peer in (_monai_structure, _pytorch_msssim, _torchmetrics):
        calls |= peer(*batch)
    return calls


def _scikit_image(x: np.ndarray, y: np.ndarray) -> dict[str, Call]:
    try:
        from skimage.metrics import structural_similarity
    except ImportError:
        return {}
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return {
        "scikit-image": lambda: (float(structural_similarity(x, y, data_range=1.0, **gaussian)),),
        "scikit-image, uniform": lambda: (float(structural_similarity(x, y, data_range=1.0)),),
    }


def _monai_structure(x: torch.Tensor, y: torch.Tensor) -> dict[str, Call]:
    try:
        from monai.metrics import SSIMMetric
    except ImportError:
        return {}
    return {"MONAI": lambda: (float(SSIMMetric(3, data_range=1.0)(x, y)),)}


def _pytorch_msssim(x: torch.Tensor, y: torch.Tensor) -> dict[str, Call]:
    try:
        from pytorch_msssim import ssim as theirs
    except ImportError:
        return {}
    return {"pytorch-msssim": lambda: (float(theirs(x, y, data_range=1.0)),)}


def _torchmetrics(x: torch.Tensor, y: torch.Tensor) -> dict[str, Call]:
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError:
        return {}
    return {"torchmetrics": lambda: (float(structural_similarity_index_measure(x, y, data_range=1.0)),)}


def calls_of(task: str, size: int, seed: int, device: str) -> dict[str, Call]:
    return structure(size, seed, device) if task == "SSIM" else surfaces(task, size, seed)


def peak_mib(task: str, name: str, size: int, seed: int) -> float:
    """What a call adds to the resident memory of this process at its peak. Linux alone tells it."""
    calls_of(task, 32, seed, "cpu")[name]()
    call = calls_of(task, size, seed, "cpu")[name]
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak is counted from here
    before = _status_kib("VmRSS")
    call()
    return (_status_kib("VmHWM") - before) / 1024


def _status_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def peak_alone(task: str, name: str, size: int, seed: int) -> float | None:
    if not Path("/proc/self/clear_refs").exists():
        return None
    here = Path(__file__).parent
    code = f"import json, metrics; print(json.dumps(metrics.peak_mib({task!r}, {name!r}, {size}, {seed})))"
    path = os.pathsep.join([str(here), str(here.parent), *filter(None, sys.path[1:])])
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=here,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def measure(task: str, size: int, given) -> list[dict]:
    calls = calls_of(task, size, given.seed, given.device)
    found = {name: call() for name, call in calls.items()}  # the first call of each is not timed
    seconds = in_turns(calls, given.rounds)
    rows = []
    for name in calls:
        row = {"task": task, "size": size, "name": name, "median": median(seconds[name]), "seconds": seconds[name]}
        row["times_ours"] = row["median"] / median(seconds[OURS])
        rows.append(row | {"found": found[name]})
    return rows


def main() -> None:
    parser = common_arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="voxels along each axis of the masks")
    parser.add_argument("--volume", type=int, default=160, help="voxels along each axis of the volumes")
    parser.add_argument("--device", default="cpu", help="of the volumes; surfaces are measured on the processor")
    given = parser.parse_args()
    if min(given.size, given.volume) < 32 or given.rounds < 1:
        parser.error("--size and --volume are at least 32, --rounds at least 1")
    rows = [row for shape in SHAPES for row in measure(shape, given.size, given)]
    rows += measure("SSIM", given.volume, given)
    print("seconds are measured, memory comes next", file=sys.stderr, flush=True)
    for row in rows:
        call = row["task"], row["name"], row["size"], given.seed
        row["peak_mib"] = peak_alone(*call) if given.device == "cpu" else None
    print(f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {given.device}\n")
    print(f"{'':12} {'':24} {'s':>8} {'times':>6} {'MiB':>6}  found")
    for row in rows:
        peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
        found = ", ".join(f"{value:.5f}" for value in row["found"])
        print(f"{row['task']:12} {row['name']:24} {row['median']:8.3f} {row['times_ours']:6.1f} {peak:>6}  {found}")
    if given.json:
        problem = {"spacing_mm": SPACING, "seed": given.seed, "rounds": given.rounds, "device": given.device}
        write_record(given.json, circumstances("metrics", problem) | {"rows": rows})


if __name__ == "__main__":
    main()
