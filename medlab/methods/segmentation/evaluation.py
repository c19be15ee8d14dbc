"""How good a segmentation is: hard Dice over the whole scan and the 95th percentile of surface distances, per class."""

from collections.abc import Iterable

from medlab.data.samples import Sample
from medlab.methods.segmentation.inference import Segmented
from medlab.metrics import dice, hausdorff_distance_95


def judge(found: Segmented, sample: Sample, *, surface: bool = True) -> dict[str, object]:
    """Dice and HD95 of a segmentation against the sample's label, both on the sample's grid.

    Gives "dice" (0 to 1) and, with surface, "hd95" (mm) as dictionaries from the class's name to its value, the
    background left out; "mean_dice" over these classes; and "mean_dice_background", over the background too, which is
    what the thesis's tables call the average. A class that neither has is NaN, and no mean counts it.
    Raises ValueError where the sample has no label.
    """
    if sample.label is None:
        raise ValueError(f"subject {sample.subject}: there is no label, expected one to judge by")
    labels, truth = found.labels.cpu(), sample.label.cpu()
    values = list(found.label_names)
    every = dice(labels, truth, labels=values).tolist()
    names = {value: name for value, name in found.label_names.items() if value != values[0]}
    per_class = {names[value]: score for value, score in zip(values, every, strict=True) if value in names}
    result = {"dice": per_class, "mean_dice": _mean(per_class.values()), "mean_dice_background": _mean(every)}
    if surface:
        result["hd95"] = {
            name: float(hausdorff_distance_95(labels == value, truth == value, sample.image.spacing))
            for value, name in names.items()
        }
    return result


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")
