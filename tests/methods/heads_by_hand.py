"""A prepared head that costs nothing: for tests of methods of anomaly detection."""

import numpy as np
import torch

from medlab.data import Volume
from medlab.data.samples import Sample


def head(size: int = 24, name: str = "one", seed: int = 0) -> Sample:
    """A ball that is brighter to the right and to the top, with some noise, in air, as a prepared head."""
    chance = torch.Generator().manual_seed(seed)
    line = torch.arange(size) - (size - 1) / 2
    inside = line[:, None, None] ** 2 + line[:, None] ** 2 + line**2 < (size / 4) ** 2
    ramp = 0.5 + (line[:, None, None] + 0.5 * line) / size + 0.1 * torch.rand((size,) * 3, generator=chance)
    image = torch.where(inside, ramp, torch.zeros(()))
    both = torch.stack([1000 * image - 1000 * ~inside, image])
    return Sample(name, Volume(both, np.diag([8.0, 8, 8, 1]), name), ("HU", "equalised"), mask=inside)
