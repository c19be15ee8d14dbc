"""Lesions with exact ground truth: tumours, plaques, bleeds and fractures, in template coordinates."""

from medlab.cohorts.lesions.breaks import Fracture
from medlab.cohorts.lesions.extra_axial import EpiduralHaematoma, SubarachnoidHaemorrhage, SubduralHaematoma
from medlab.cohorts.lesions.fracture import DepressedFracture, LinearFracture, draw_fracture
from medlab.cohorts.lesions.glioma import GLIOMA_LABELS, GLIOMA_NAMES, Glioma, draw_glioma
from medlab.cohorts.lesions.haemorrhage import cq500_findings, draw_haemorrhage
from medlab.cohorts.lesions.intra_axial import IntraparenchymalHaemorrhage, IntraventricularHaemorrhage
from medlab.cohorts.lesions.lesion import Lesion, replace_by
from medlab.cohorts.lesions.plaques import PLAQUE_LABELS, PLAQUE_NAMES, Plaque, Plaques, draw_plaques

__all__ = [
    "GLIOMA_LABELS",
    "GLIOMA_NAMES",
    "PLAQUE_LABELS",
    "PLAQUE_NAMES",
    "DepressedFracture",
    "EpiduralHaematoma",
    "Fracture",
    "Glioma",
    "IntraparenchymalHaemorrhage",
    "IntraventricularHaemorrhage",
    "Lesion",
    "LinearFracture",
    "Plaque",
    "Plaques",
    "SubarachnoidHaemorrhage",
    "SubduralHaematoma",
    "cq500_findings",
    "draw_fracture",
    "draw_glioma",
    "draw_haemorrhage",
    "draw_plaques",
    "replace_by",
]
