"""Overlap beside MONAI, SimpleITK and scikit-learn on the random shapes."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.metrics import GeneralizedDiceScore, compute_confusion_matrix_metric, compute_dice, compute_iou
from monai.metrics import get_confusion_matrix as monais_counts
from sklearn.metrics import balanced_accuracy_score

from medlab.metrics import (
    accuracy,
    dice,
    f_beta,
    generalised_dice,
    iou,
    precision,
    recall,
    signed_volume_difference,
    specificity,
)
from tests.metrics.shapes import random_case


def one_hot(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32))


@pytest.mark.parametrize("start", range(0, 240, 60))
def test_monais(start):
    for seed in range(start, start + 60):
        ours, truth, _ = random_case(seed)
        pair = one_hot(ours), one_hot(truth)
        assert float(dice(ours, truth)) == pytest.approx(float(compute_dice(*pair, False)), abs=1e-6), seed
        assert float(iou(ours, truth)) == pytest.approx(float(compute_iou(*pair, False)), abs=1e-6), seed
        counts = monais_counts(*pair, include_background=False)
        named = {precision: "precision", recall: "sensitivity", specificity: "specificity", accuracy: "accuracy"}
        for measure, name in named.items():
            expected = float(compute_confusion_matrix_metric(name, counts))
            assert float(measure(ours, truth)) == pytest.approx(expected, abs=1e-6), (seed, name)
        expected = float(GeneralizedDiceScore()(*pair))
        labels = (one.astype(np.uint8) for one in (ours, truth))
        assert float(generalised_dice(*labels, [0, 1])) == pytest.approx(expected, abs=1e-6), seed


def test_simpleitks():
    for seed in range(240):
        ours, truth, _ = random_case(seed)
        theirs = sitk.LabelOverlapMeasuresImageFilter()
        theirs.Execute(*(sitk.GetImageFromArray(mask.T.astype(np.uint8)) for mask in (ours, truth)))
        assert float(dice(ours, truth)) == pytest.approx(theirs.GetDiceCoefficient(), abs=1e-12), seed
        assert float(iou(ours, truth)) == pytest.approx(theirs.GetJaccardCoefficient(), abs=1e-12), seed
        assert 1 - float(recall(ours, truth)) == pytest.approx(theirs.GetFalseNegativeError(), abs=1e-12), seed
        assert float(signed_volume_difference(ours, truth)) == pytest.approx(theirs.GetVolumeSimilarity(), abs=1e-12)


def test_scikit_learns_balance():
    for seed in range(60):
        ours, truth, _ = random_case(seed)
        found = (float(recall(ours, truth)) + float(specificity(ours, truth))) / 2
        assert found == pytest.approx(balanced_accuracy_score(truth.ravel(), ours.ravel()), abs=1e-12), seed
        assert float(f_beta(ours, truth, beta=1)) == pytest.approx(float(dice(ours, truth)), abs=1e-12), seed
