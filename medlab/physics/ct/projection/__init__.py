"""From images to sinograms: line integrals along parallel, fan and cone beams, each with its exact adjoint."""

from medlab.physics.ct.projection.cone import ConeBeam
from medlab.physics.ct.projection.fan import FanBeam
from medlab.physics.ct.projection.parallel import ParallelBeam

__all__ = ["ConeBeam", "FanBeam", "ParallelBeam"]
