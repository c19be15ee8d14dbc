"""Anomalies as what a variational autoencoder of healthy slices would restore (You et al. 2019; Baur et al. 2021)."""

from medlab.methods.vae_restoration.config import Config
from medlab.methods.vae_restoration.elbo import gaussian_kl, negative_elbo, negative_log_likelihood
from medlab.methods.vae_restoration.module import VaeRestoration
from medlab.methods.vae_restoration.restoration import restoration_energy, restore, total_variation
from medlab.methods.vae_restoration.slices import Slices, as_slices, as_volume

__all__ = [
    "Config",
    "Slices",
    "VaeRestoration",
    "as_slices",
    "as_volume",
    "gaussian_kl",
    "negative_elbo",
    "negative_log_likelihood",
    "restoration_energy",
    "restore",
    "total_variation",
]
