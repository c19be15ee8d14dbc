"""Classifier-guided DDIM: encoded without chance, decoded towards what a classifier calls healthy (Wolleb 2022)."""

from medlab.methods.classifier_guidance.config import Config
from medlab.methods.classifier_guidance.module import ClassifierGuidance

__all__ = ["ClassifierGuidance", "Config"]
