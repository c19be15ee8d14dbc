"""The true brain mask of a subject, as a skull-stripping program would want to find it."""

import torch
from scipy import ndimage
from torch import Tensor

from medlab.cohorts.subject import Subject
from medlab.cohorts.tissues import BRAIN, FLUID, LESIONS


def brain_mask(subject: Subject, *, fluid: bool = True) -> Tensor:
    """(X, Y, Z) bool: brain, lesions and, unless fluid is false, the fluid within and around it, without holes."""
    tissues = (*BRAIN, *LESIONS, "blood", *(FLUID if fluid else ("ventricular csf",)))
    inside = (subject.share(*tissues) > 0.5).numpy()
    labels, count = ndimage.label(inside)
    if count > 1:  # vessels and bleeds outside the skull are no brain
        inside = labels == 1 + int(ndimage.sum_labels(inside, labels, range(1, count + 1)).argmax())
    return torch.from_numpy(ndimage.binary_fill_holes(inside))
