"""What an autoencoder learns from: whole healthy heads, each once in every epoch."""

import torch
from torch import Tensor

from medlab.arguments import whole
from medlab.data.chance import generator_for
from medlab.data.samples import Samples
from medlab.methods.anomaly import seen


class HeadVolumes:
    """Whole equalised heads; `draw(index)` is the same whenever and wherever it is asked for.

    samples: prepared heads (`medlab.methods.anomaly.Heads`), all healthy, in cubes of `volume` voxels. Every epoch goes
    through all of them in an order of its own. They are kept in memory in half precision.
    Raises ValueError where there is none, or one of another size.
    """

    def __init__(self, samples: Samples, volume: int, seed: int = 0):
        self.seed, self._images = whole(seed, "seed", 0), []
        for head in samples:
            image = seen(head, "equalised").data
            if image.shape[1:] != (volume,) * 3:
                found = " x ".join(map(str, image.shape[1:]))
                raise ValueError(f"subject {head.subject}: it measures {found}, expected {volume} along each axis")
            self._images.append(image.half())
        if not self._images:
            raise ValueError("samples are none, expected one at least")

    def __len__(self) -> int:
        return len(self._images)

    def draw(self, index: int) -> dict[str, Tensor]:
        """Item `index`: "image" (1, X, Y, Z) in [0, 1]."""
        epoch, place = divmod(whole(index, "index", 0), len(self._images))
        order = torch.randperm(len(self._images), generator=generator_for(self.seed, f"volumes {epoch}"))
        return {"image": self._images[int(order[place])].float()}
