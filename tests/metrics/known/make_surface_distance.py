"""What surface-distance says of the random shapes; `python tests/metrics/known/make_surface_distance.py` records it.

Its release 0.1 uses names that NumPy 2 and new versions of SciPy have dropped, so it is no dependency of the tests;
they are given back here, from outside, before it is imported.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from shapes import random_case

CASES = 300
TOLERANCES_MM = (0.55, 2.05)  # no distance between voxels is equal to one of these, where rounding would decide
RECORD = Path(__file__).with_name("surface_distance.json")


def main() -> None:
    np.inf = np.inf
    ndimage.filters = ndimage.morphology = ndimage
    from surface_distance import metrics

    rows = []
    for seed in range(CASES):
        case = random_case(seed)
        found = metrics.compute_surface_distances(case.reference, case.prediction, case.spacing)
        to_prediction, to_reference = metrics.compute_average_surface_distance(found)
        values = {
            "hausdorff": metrics.compute_robust_hausdorff(found, 100),
            "hausdorff_95": metrics.compute_robust_hausdorff(found, 95),
            "hausdorff_50": metrics.compute_robust_hausdorff(found, 50),
            "to_reference": to_reference,
            "to_prediction": to_prediction,
            **{f"dice_{t}": metrics.compute_surface_dice_at_tolerance(found, t) for t in TOLERANCES_MM},
        }
        sizes = int(case.prediction.sum()), int(case.reference.sum())
        rows.append({"seed": seed, "voxels": sizes} | {name: float(value) for name, value in values.items()})
    made = {"package": "surface-distance", "version": version("surface-distance"), "numpy": np.__version__}
    lines = ",\n".join(json.dumps(row) for row in rows)
    RECORD.write_text(f'{{"made_with": {json.dumps(made)},\n"rows": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
