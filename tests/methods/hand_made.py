"""Small samples and configs for tests of segmentation."""

from dataclasses import replace

import numpy as np
import torch

from medlab.data import Volume
from medlab.data.samples import Sample
from medlab.methods.segmentation import Config

NAMES = {0: "background", 1: "fluid", 2: "grey matter", 3: "white matter"}
SMALL = Config(
    network="unet3d",
    options=(("width", 2), ("levels", 2)),
    channels=("T1", "T2"),
    label_names=tuple(NAMES.values()),
    patch=(8, 8, 8),
    steps=3,
    warm_up=0,
)


def nested(shape=(14, 15, 16), seed=0, affine=None, subject="A01", masked=True) -> Sample:
    """Three nested balls, whose intensity follows their label in both channels."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    radius = torch.stack(axes).square().sum(0).sqrt()
    label = torch.zeros(shape, dtype=torch.uint8)
    for value, edge in ((1, 0.9), (2, 0.7), (3, 0.4)):
        label[radius < edge] = value
    noise = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed))
    image = torch.stack([label.float(), 4.0 - label.float()]) * (label > 0) * 100
    image = (image + (label > 0) * (100 + noise)).float()
    volume = Volume(image, np.eye(4) if affine is None else affine, subject)
    return Sample(subject, volume, ("T1", "T2"), label, NAMES, label > 0 if masked else None)


def by_intensity(config=SMALL):
    """A network that needs no training: logits from the first channel's z-score, for nested balls."""

    def network(image):
        # Balls of 0.4, 0.7 and 0.9 with intensities of 400, 300 and 200 have a mean of 256 and a deviation of 65.
        centres = image.new_tensor([-3.9, -0.86, 0.68, 2.2])
        return -10 * (image[:, :1] - centres.view(1, -1, 1, 1, 1)).square()

    return network


def changed(**fields) -> Config:
    return replace(SMALL, **fields)
