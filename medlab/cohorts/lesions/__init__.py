"""Lesions with exact ground truth: tumours, plaques, bleeds and fractures, in template coordinates."""

from medlab.cohorts.lesions.lesion import Lesion, replace_by

__all__ = ["Lesion", "replace_by"]
