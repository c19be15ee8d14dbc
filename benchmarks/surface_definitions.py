"""What other programs call HD, HD95 and average surface distance: their numbers for three pairs of cubes.

    python benchmarks/surface_definitions.py [--json data/results/benchmarks/surface_definitions.json]

Nothing is timed. Every program that is installed is asked; one that is not is left out. The rows in `EARLIER` were
measured in November 2026 with the versions named there, and are repeated as they were found.
"""

from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import torch
from _measure import circumstances, common_arguments, write_record

SHAPE = (24, 24, 24)
PACKAGES = ("monai", "surface-distance", "SimpleITK")
EARLIER = [
    {"pair": "nested", "measure": "HD95", "program": "medpy 0.5", "value": 2.83701},
    {"pair": "nested", "measure": "HD95", "program": "Metrics Reloaded", "value": 3.0},
    {"pair": "nested", "measure": "ASSD", "program": "medpy 0.5", "value": 2.21897},
    {"pair": "nested", "measure": "ASSD", "program": "Metrics Reloaded", "value": 2.21897},
]


def cube(corner: int, edge: int, further: int = 0) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[corner + further : corner + further + edge, corner : corner + edge, corner : corner + edge] = True
    return mask


PAIRS = {
    "shifted": (cube(5, 10, 1), cube(5, 10), (1.0, 1.0, 1.0)),
    "nested": (cube(7, 6), cube(5, 10), (1.0, 1.0, 1.0)),
    "shifted by 3 mm": (cube(5, 10, 1), cube(5, 10), (3.0, 1.0, 1.0)),
}


def monai(ours: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

    pair = [torch.from_numpy(mask)[None, None].float() for mask in (ours, truth)]
    shared = {"include_background": True, "spacing": spacing}
    return {
        "HD": float(compute_hausdorff_distance(*pair, **shared)),
        "HD95": float(compute_hausdorff_distance(*pair, percentile=95, **shared)),
        "ASSD": float(compute_average_surface_distance(*pair, symmetric=True, **shared)),
        "ASD, one way": float(compute_average_surface_distance(*pair, **shared)),
    }


def surface_distance(ours: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    import surface_distance as peer

    found = peer.compute_surface_distances(truth, ours, spacing)
    return {
        "HD": float(peer.compute_robust_hausdorff(found, 100)),
        "HD95": float(peer.compute_robust_hausdorff(found, 95)),
        "ASSD": float(np.mean(peer.compute_average_surface_distance(found))),
    }


def simpleitk(ours: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    import SimpleITK as sitk

    images = []
    for mask in (ours, truth):
        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        image.SetSpacing(spacing[::-1])
        images.append(image)
    peer = sitk.HausdorffDistanceImageFilter()
    peer.Execute(*images)
    return {"HD": peer.GetHausdorffDistance(), "ASSD": peer.GetAverageHausdorffDistance()}


def scikit_image(ours: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    from skimage.metrics import hausdorff_distance

    return {"HD": float(hausdorff_distance(ours, truth))}  # it takes no spacing


PROGRAMS = {
    "MONAI": ("monai", monai),
    "surface-distance": ("surface_distance", surface_distance),
    "SimpleITK": ("SimpleITK", simpleitk),
    "scikit-image": ("skimage", scikit_image),
}


def main() -> None:
    arguments = common_arguments(__doc__.splitlines()[0]).parse_args()
    rows = []
    for program, (module, ask) in PROGRAMS.items():
        if find_spec(module) is None:
            print(f"{program} is not installed: left out")
            continue
        for pair, masks in PAIRS.items():
            for measure, value in ask(*masks).items():
                rows.append({"pair": pair, "measure": measure, "program": program, "value": round(value, 6)})
                print(f"{pair:16} {measure:13} {program:17} {value:.5f}")
    record = circumstances("surface_definitions", {"pairs": list(PAIRS)}) | {"rows": rows + EARLIER}
    record["versions"] |= {name: version(name) for name in PACKAGES if find_spec(name.replace("-", "_"))}
    if arguments.json:
        write_record(arguments.json, record)


if __name__ == "__main__":
    main()
