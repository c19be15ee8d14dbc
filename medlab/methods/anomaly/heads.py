"""The heads that methods of anomaly detection see: laid over one reference, in HU and equalised, their air known."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from medlab.arguments import as_length, whole
from medlab.cohorts.cohort import Cohort
from medlab.cohorts.grid import Grid
from medlab.cohorts.scan import ct_image
from medlab.cohorts.store import cache_folder, code_digest, content_key, load_or_make
from medlab.cohorts.subject import Person, draw_subject
from medlab.data import Volume
from medlab.data.readers.cq500 import AIR_HU, DENSE_HU, FOREGROUND_HU
from medlab.data.readers.equalise import equalise
from medlab.data.register import register_rigid
from medlab.data.samples import Sample, Samples

CHANNELS = ("HU", "equalised")
# What decides how a prepared head looks, besides the sample.
MAKERS = (
    "medlab.methods.anomaly.heads",
    "medlab.data.register",
    "medlab.data.regrid",
    "medlab.data.resample",
    "medlab.data.readers.equalise",
)


def reference_head(size: int = 256, spacing_mm: float = 1.0) -> Volume:
    """The CT that every head is laid over, (1, size, size, size) in HU: that of the head model itself, upright.

    A deviation: the paper chooses a volume of its training set by hand. A head that is nobody's is the same for every
    dataset and every split, and nothing of it has to be shipped.
    """
    grid = Grid.cube(whole(size, "size", 8), size * as_length(spacing_mm, "spacing_mm"))
    key = content_key(
        {"size": size, "spacing": spacing_mm, "code": code_digest(*MAKERS, "medlab.cohorts", "medlab.physics")}
    )

    def make() -> dict[str, np.ndarray]:
        subject = draw_subject(Person(seed=0, shape_mm=0.0, folds=0.0), grid)
        return {"image": ct_image(subject, 0, reconstructed=False).half().numpy()}

    image = load_or_make(cache_folder() / "references", f"head-{key}", make)["image"]
    return Volume(torch.from_numpy(image).float()[None], grid.affine, "reference head")


def prepare_head(sample: Sample, reference: Volume, seed: int = 0) -> Sample:
    """A head CT laid over the reference: channels "HU" and "equalised" (histogram, 0 to 1), and its foreground as mask.

    sample: channel CT in HU, on any grid. It is registered rigidly (mutual information of what lies between air and
    dense bone) and interpolated once; a label goes the same way, by the nearest voxel. Foreground is what has more than
    -200 HU; over it the histogram is equalised, the rest is 0. seed: of the registration's samples.
    Source: Bieder et al. 2022, section 3.3; see `medlab.data.readers.cq500.normalise`, which gives the second channel
    alone. Raises VolumeError, naming the subject, for whatever `register_rigid` refuses.
    """
    clamped = [image.with_data(image.data.clamp(FOREGROUND_HU, DENSE_HU)) for image in (sample.image, reference)]
    found = register_rigid(*clamped, seed=seed)
    laid = found.apply_to_sample(sample, reference, outside=AIR_HU)
    inside = laid.image.data > FOREGROUND_HU
    both = torch.cat([laid.image.data, equalise(laid.image.data, inside)])
    return replace(laid, image=laid.image.with_data(both, sample.image.name), channels=CHANNELS, mask=inside[0])


class Heads(Samples):
    """The samples of CQ500, or of its stand-in, each prepared by `prepare_head` when it is asked for.

    size, spacing_mm: the cube of the reference. Prepared heads of a synthetic cohort are kept on disk, as the cohort's
    own samples are; those of a real dataset are made anew each time.
    """

    def __init__(self, samples: Samples, size: int = 256, spacing_mm: float = 1.0):
        self.samples, self.name, self.left_out = samples, samples.name, samples.left_out
        self.size, self.spacing_mm = whole(size, "size", 8), as_length(spacing_mm, "spacing_mm")

    @property
    def subjects(self) -> tuple[str, ...]:
        return self.samples.subjects

    def facts(self, index: int) -> Mapping[str, object]:
        return self.samples.facts(index)

    def load(self, index: int) -> Sample:
        if not isinstance(self.samples, Cohort):
            return prepare_head(self.samples.load(index), reference_head(self.size, self.spacing_mm))
        recipe = {"of": self.samples.folder.name, "size": self.size, "spacing": self.spacing_mm}
        folder = cache_folder() / "heads" / content_key({**recipe, "code": code_digest(*MAKERS)})
        arrays = load_or_make(folder, f"{index:06d}", lambda: self._packed(index), compress=False)
        values = {name: torch.from_numpy(array) for name, array in arrays.items() if name != "affine"}
        return Sample(
            self.subjects[index],
            Volume(values["image"].float(), arrays["affine"], self.subjects[index]),
            CHANNELS,
            values.get("label"),
            self.samples.label_names or {},
            values["mask"],
            facts=self.facts(index),
        )

    def _packed(self, index: int) -> dict[str, np.ndarray]:
        head = prepare_head(self.samples.load(index), reference_head(self.size, self.spacing_mm))
        arrays = {"image": head.image.data.half().numpy(), "affine": np.array(head.image.affine)}
        arrays["mask"] = head.mask.numpy()
        if head.label is not None:
            arrays["label"] = head.label.numpy()
        return arrays
