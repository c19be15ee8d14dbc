"""The real brain that needs no download: the ICBM 152 template, out of nilearn's own package."""

from typing import NamedTuple

import numpy as np
import torch

from medlab.data.orientation import to_canonical
from medlab.data.volume import Volume


class Template(NamedTuple):
    """The ICBM 152 brain at 1 mm; each a Volume (1, 197, 233, 189) in RAS+ on the same grid, values in [0, 1].

    t1: skull-stripped T1-weighted mean of 152 young adults, scaled to a maximum of 1.
    grey, white: share of grey and of white matter in each voxel.
    mask: 1 inside the brain, 0 outside.
    """

    t1: Volume
    grey: Volume
    white: Volume
    mask: Volume


def load_icbm152() -> Template:
    """The ICBM 152 2009a symmetric template with its tissue maps (Fonov et al., 2011).

    All four are exactly symmetric in X, so they cannot reveal a flipped axis: mark a side where that matters. The
    mask is nilearn's: T1 above 0.2 of its maximum, 1,883 ml with the ventricles. The template is ICBM's, under its
    permissive notice; nilearn carries it, and nothing is read from the network.
    Raises ImportError where nilearn is not installed.
    """
    from nilearn import datasets  # two seconds, which only those who ask for the brain should pay

    images = {
        "t1": datasets.load_mni152_template(resolution=1),
        "grey": datasets.load_mni152_gm_template(resolution=1),
        "white": datasets.load_mni152_wm_template(resolution=1),
        "mask": datasets.load_mni152_brain_mask(resolution=1),
    }
    return Template(**{key: _volume(image, f"ICBM 152 {key}") for key, image in images.items()})


def _volume(image, name: str) -> Volume:
    data = np.ascontiguousarray(image.dataobj, dtype=np.float32)
    return to_canonical(Volume(torch.from_numpy(data)[None], image.affine, name))
