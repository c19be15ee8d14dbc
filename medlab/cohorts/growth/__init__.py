"""Growth: a neonatal head from 26 to 45 weeks of postmenstrual age, whose truth is known at every one of them."""

from medlab.cohorts.growth.gyrification import border_area_mm2, gyrification
from medlab.cohorts.growth.image import NEONATAL_T1, NEONATAL_T2, neonatal_mr_image
from medlab.cohorts.growth.myelination import neonatal_values, ripe_weeks
from medlab.cohorts.growth.neonate import (
    FIELD_OF_VIEW_MM,
    NeonatalSubject,
    Neonate,
    draw_neonatal_subject,
    draw_neonate,
)
from medlab.cohorts.growth.schedule import scan_ages
from medlab.cohorts.growth.size import head_circumference_cm, measured_circumference_cm

__all__ = [
    "FIELD_OF_VIEW_MM",
    "NEONATAL_T1",
    "NEONATAL_T2",
    "NeonatalSubject",
    "Neonate",
    "border_area_mm2",
    "draw_neonatal_subject",
    "draw_neonate",
    "gyrification",
    "head_circumference_cm",
    "measured_circumference_cm",
    "neonatal_mr_image",
    "neonatal_values",
    "ripe_weeks",
    "scan_ages",
]
