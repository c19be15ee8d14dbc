"""AnoDDPM: a healthy slice that is noised a little and denoised comes back; a lesion does not (Wyatt et al. 2022)."""

from medlab.methods.anoddpm.config import Config
from medlab.methods.anoddpm.module import AnoDDPM

__all__ = ["AnoDDPM", "Config"]
