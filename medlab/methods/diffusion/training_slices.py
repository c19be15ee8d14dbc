"""Slices to learn from: a stream in which each item follows from the seed and its number alone."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medlab.arguments import whole
from medlab.data.chance import below, generator_for, seed_for, uniform
from medlab.data.samples import Sample, Samples
from medlab.methods.anomaly import seen
from medlab.methods.diffusion.config import SliceDiffusionConfig
from medlab.methods.diffusion.noise import draw_noise

HEALTHY, ANOMALOUS = 0, 1


class TrainingSlices:
    """Slices of prepared heads with what is added to them; `draw(index)` is the same whenever it is asked for.

    samples: heads with the channel `sees`. They are read once and kept, at the config's pixels, as float16.
    balanced: half of the items are healthy, half anomalous slices; else every slice is as likely.
    Raises ValueError where there are no slices, or, balanced, not of both kinds.
    """

    def __init__(
        self,
        samples: Samples | Sequence[Sample],
        config: SliceDiffusionConfig,
        seed: int = 0,
        *,
        sees: str = "equalised",
        balanced: bool = False,
    ):
        self.config, self.seed = config, whole(seed, "seed", 0)
        parts, kinds = [], []
        for sample in samples:
            volume = seen(sample, sees)
            found, at = config.grid.slices(volume)
            parts.append(found.half())
            kinds.append(_kinds(sample, config, volume.spacing)[at])
        self.images = torch.cat(parts) if parts else torch.zeros(0, 1, *config.size)
        self.kinds = torch.cat(kinds) if kinds else torch.zeros(0, dtype=torch.long)
        self._pools = [torch.arange(len(self.images))]
        if balanced:
            self._pools = [(self.kinds == kind).nonzero().flatten() for kind in (HEALTHY, ANOMALOUS)]
        for pool in self._pools:
            if not len(pool):
                wanted = "healthy and anomalous ones" if balanced else "one at least"
                raise ValueError(f"samples give {len(self.images)} slices, expected {wanted} to learn from")

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, index: int) -> dict[str, Tensor]:
        """One item: "image" and "noise" (1, *size) float32, the image from -1 to 1; "time" and "kind", whole numbers.

        kind: 0 healthy, 1 anomalous.
        """
        chance = generator_for(seed_for(self.seed, f"slice {whole(index, 'index', 0)}"), "slice")
        pool = self._pools[below(chance, len(self._pools))]
        at = int(pool[below(chance, len(pool))])
        image = 2 * self.images[at].float() - 1
        if self.config.flips and uniform(chance, 0, 1) < 0.5:
            image = image.flip(1)
        noise = draw_noise(self.config.noise, (1, *image.shape), chance, **self.config.noise_options)[0]
        time = torch.tensor(below(chance, self.config.latest))
        return {"image": image, "noise": noise, "time": time, "kind": self.kinds[at]}


def _kinds(sample: Sample, config: SliceDiffusionConfig, spacing: tuple[float, ...]) -> Tensor:
    """Healthy or anomalous, for every slice of a head, (N,): with a clot in it or without, in either half of the brain.

    Where only the findings of the whole scan are known, as in the real CQ500, all slices count as the scan does: a
    deviation, for Wolleb et al. know which slices have no lesion.
    """
    if sample.label is not None:
        clot = config.grid.coarse((sample.label == 1).float(), spacing)
        # A pixel's worth of clot: less cannot be seen.
        return (clot.flatten(1).sum(1) >= 1).long()
    kind = ANOMALOUS if sample.facts["bleeding_left"] or sample.facts["bleeding_right"] else HEALTHY
    depth = len(config.grid.coarse(sample.image.data[0], spacing))
    return torch.full((depth,), kind, dtype=torch.long)
