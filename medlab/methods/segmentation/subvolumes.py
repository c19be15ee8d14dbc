"""Sub-volumes to learn from: a stream in which each item follows from the seed and its number alone."""

import torch
from torch import Tensor

from medlab.arguments import whole
from medlab.data.augment import BiasField, Compose, Flip, Gamma, Noise, Sometimes
from medlab.data.chance import below, generator_for, seed_for, uniform
from medlab.data.patches import PatchSampler
from medlab.data.samples import Sample, Samples
from medlab.data.volume import Volume
from medlab.methods.segmentation.config import Config
from medlab.methods.segmentation.preparation import prepare

STEPS = {
    "flip": lambda: Flip(),
    "gamma": lambda: Sometimes(Gamma(0.3), 0.5),
    "noise": lambda: Sometimes(Noise((0.0, 0.1)), 0.5),
    "bias": lambda: Sometimes(BiasField(), 0.5),
}


class SubVolumes:
    """Sub-volumes of many subjects; `draw(index)` is the same whenever and wherever it is asked for.

    Every subject is as likely as every other, and so is every position of a subject that is not empty (thesis, section
    6.1), the last along each axis included. The config's share `anywhere` comes from all positions: a deviation, for a
    network that never saw air by itself finds tissue in it. (The thesis says that empty sub-volumes make training
    unstable; so they do where an absent class counts as an error.) Image and label come from one cut and go through one
    draw of the augmentation. samples: with labels. They are prepared once and kept in memory.
    Raises ValueError where a sample has no label, and as `prepare` and `PatchSampler` do.
    """

    def __init__(self, samples: Samples, config: Config, seed: int = 0):
        self.config, self.seed = config, whole(seed, "seed", 0)
        self._samples, self._samplers, self._everywhere = [], [], []
        for sample in samples:
            if sample.label is None:
                raise ValueError(f"subject {sample.subject}: there is no label, expected one to learn from")
            ready = prepare(sample, config)
            # Not empty: with tissue in it.
            content = ready.label != 0 if config.law == "uniform" else None
            self._samples.append(ready)
            self._samplers.append(PatchSampler(ready, config.patch, config.law, content=content, least=config.least))
            everything = torch.ones(ready.image.shape[1:], dtype=torch.bool)
            self._everywhere.append(PatchSampler(ready, config.patch, content=everything) if config.anywhere else None)
        if not self._samples:
            raise ValueError("samples are none, expected one at least")
        self.augmentation = Compose(tuple(STEPS[name]() for name in config.augment)) if config.augment else None

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whose sub-volumes these are."""
        return tuple(sample.subject for sample in self._samples)

    def draw(self, index: int) -> dict[str, Tensor]:
        """One sub-volume: "image" (C, *patch) float32, "label" (*patch) int64 of classes. index: 0 or more."""
        seed = seed_for(self.seed, f"sub-volume {whole(index, 'index', 0)}")
        which = below(generator_for(seed, "subject"), len(self._samplers))
        free = self.config.anywhere and uniform(generator_for(seed, "anywhere"), 0, 1) < self.config.anywhere
        sampler = (self._everywhere if free else self._samplers)[which]
        patch = sampler.cut(sampler.starts(1, seed)[0])
        image, label = patch["image"], patch["label"]
        if self.augmentation is not None:
            whole_sample = self._samples[which]
            small = Sample(
                whole_sample.subject,
                Volume(image, whole_sample.image.affine, whole_sample.subject),
                whole_sample.channels,
                label,
                whole_sample.label_names,
            )
            changed = self.augmentation(small, seed)
            image, label = changed.image.data, changed.label
        return {"image": image, "label": label.long()}
