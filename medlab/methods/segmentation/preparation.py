"""What a network of segmentation sees of a sample: its sequences, comparable intensities, labels as classes."""

from dataclasses import replace

import torch
from torch import Tensor

from medlab.data.samples import Sample
from medlab.data.transforms import z_score
from medlab.data.volume import Volume
from medlab.methods.segmentation.config import Config


def prepare(sample: Sample, config: Config) -> Sample:
    """The sample with the config's channels as z-scores, and its label as class numbers 0 to classes - 1.

    Raises ValueError, naming the subject, for a missing channel and for a label value that the config does not know.
    """
    for name in config.channels:
        sample.channel(name)
    at = [sample.channels.index(name) for name in config.channels]
    image = sample.image.with_data(sample.image.data[at])
    image = standardise(image, sample.mask)
    label = None if sample.label is None else as_classes(sample.label, config, sample.subject)
    return replace(
        sample, image=image, channels=config.channels, label=label, label_names=dict(enumerate(config.label_names))
    )


def standardise(image: Volume, mask: Tensor | None = None) -> Volume:
    """Each channel with mean 0 and standard deviation 1 over its content (thesis, section 6.1: non-zero voxels).

    mask: (X, Y, Z) bool, used instead of the non-zero voxels. All voxels are transformed alike. The values are not
    squeezed into [0, 1] afterwards: z-scores leave that range.
    """
    channels = [z_score(one, content_of(one[None], mask)) for one in image.data]
    return image.with_data(torch.stack(channels))


def content_of(data: Tensor, mask: Tensor | None = None) -> Tensor:
    """Where there is something to see, (X, Y, Z) bool: the mask, else voxels that are not 0 in any channel.

    data: (C, X, Y, Z). Where nothing is left, everything counts: a constant image is no error.
    """
    content = (data != 0).any(0) if mask is None else mask
    return content if content.any() else torch.ones_like(content)


def as_classes(label: Tensor, config: Config, subject: str) -> Tensor:
    """Label values as class numbers, uint8 of the same shape."""
    table = torch.full((256,), -1, dtype=torch.int16)
    table[list(config.labels)] = torch.arange(config.classes, dtype=torch.int16)
    classes = table.to(label.device)[label.long()]
    if (classes < 0).any():
        unknown = sorted(set(label[classes < 0].tolist()))
        expected = ", ".join(map(str, config.labels))
        raise ValueError(f"subject {subject}: the label has the values {unknown}, expected {expected}")
    return classes.to(torch.uint8)


def as_values(classes: Tensor, config: Config) -> Tensor:
    """Class numbers as the values of label files, uint8: the inverse of `as_classes`."""
    return torch.tensor(config.labels, dtype=torch.uint8, device=classes.device)[classes.long()]
