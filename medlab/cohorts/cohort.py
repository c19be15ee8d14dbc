"""A cohort: subjects that are made when they are asked for, and kept."""

from abc import abstractmethod
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from medlab.arguments import whole
from medlab.cohorts.grid import Grid
from medlab.cohorts.store import cache_folder, code_digest, content_key, load_or_make
from medlab.data import Volume
from medlab.data.chance import seed_for
from medlab.data.samples import Sample, Samples

# The code that decides how a subject looks: when it changes, subjects are made anew.
MAKERS = ("medlab.cohorts", "medlab.physics", "medlab.data.chance", "medlab.data.template")


class Cohort(Samples):
    """Samples with exact ground truth, of any number, on any grid, from any seed.

    A subject depends on the cohort's name, options, grid and seed and on its own number, not on how many others there
    are: a larger cohort begins with the subjects of a smaller one. Images are kept in half precision in
    `store.cache_folder()`, under a name that changes with the code that made them; what comes from there is the same,
    bit by bit, as what is made anew.
    Raises ValueError for a number of subjects, a seed or a grid that is none.
    """

    channels: tuple[str, ...] = ()
    label_names: Mapping[int, str] | None = None

    def __init__(self, subjects: int, grid: Grid, seed: int = 0):
        self.count, self.grid, self.seed = whole(subjects, "subjects"), grid, whole(seed, "seed", 0)
        if not isinstance(grid, Grid):
            raise ValueError(f"grid is {grid!r}, expected a Grid")

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(self.subject_name(index) for index in range(self.count))

    def subject_name(self, index: int) -> str:
        """The name of a subject; it begins as those of the real dataset do, and says that it is none of them."""
        return f"{self.name}-synthetic-{index:04d}"

    @abstractmethod
    def make(self, index: int) -> Sample:
        """Makes a sample; the same index gives the same numbers."""

    def session(self, index: int) -> str:
        """Which scan of its subject a sample is; empty where each has one."""
        return ""

    def options(self) -> dict[str, object]:
        """What besides grid and seed decides how the samples look, as plain numbers and strings."""
        return {}

    def subject_seed(self, index: int) -> int:
        """The seed of everything that is drawn for this subject."""
        return seed_for(self.seed, f"{self.name} {index}")

    def load(self, index: int) -> Sample:
        arrays = load_or_make(self.folder, f"{index:06d}", lambda: _packed(self.make(index)), compress=False)
        return self._unpacked(index, arrays)

    @property
    def folder(self):
        """Where the samples of this cohort are kept."""
        recipe = {
            "name": self.name,
            "seed": self.seed,
            "grid": [list(self.grid.shape), list(self.grid.spacing_mm), list(self.grid.centre_mm)],
            "options": self.options(),
            "code": code_digest(*MAKERS),
        }
        return cache_folder() / "cohorts" / f"{self.name}-{content_key(recipe)}"

    def prepare(self, workers: int = 1) -> None:
        """Makes all samples that are not kept yet, in several processes; it can be stopped and called again."""
        missing = [index for index in range(len(self)) if not (self.folder / f"{index:06d}.npz").is_file()]
        if whole(workers, "workers") == 1 or len(missing) < 2:
            for index in missing:
                self.load(index)
            return
        # Processes are spawned: a forked copy of a process in which torch has threads may wait for ever.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            for future in as_completed([pool.submit(_make_one, self, index) for index in missing]):
                future.result()

    def _unpacked(self, index: int, arrays: dict[str, np.ndarray]) -> Sample:
        volume = Volume(torch.from_numpy(arrays["image"]).float(), arrays["affine"], self.subjects[index])
        label = torch.from_numpy(arrays["label"]) if "label" in arrays else None
        mask = torch.from_numpy(arrays["mask"]) if "mask" in arrays else None
        return Sample(
            self.subjects[index],
            volume,
            self.channels,
            label,
            self.label_names or {},
            mask,
            self.session(index),
            self.facts(index),
        )

    def sample(self, index: int, image: Tensor, label: Tensor | None = None, mask: Tensor | None = None) -> Sample:
        """A sample of this cohort from its arrays: image (C, X, Y, Z), label (X, Y, Z) uint8, mask (X, Y, Z) bool."""
        return self._unpacked(index, _packed_arrays(image, self.grid.affine, label, mask))


def _packed(sample: Sample) -> dict[str, np.ndarray]:
    return _packed_arrays(sample.image.data, sample.image.affine, sample.label, sample.mask)


def _packed_arrays(image: Tensor, affine: np.ndarray, label: Tensor | None, mask: Tensor | None):
    arrays = {"image": image.half().numpy(), "affine": np.array(affine)}
    if label is not None:
        arrays["label"] = label.numpy()
    if mask is not None:
        arrays["mask"] = mask.numpy()
    return arrays


def _make_one(cohort: Cohort, index: int) -> None:
    cohort.load(index)


def _one_thread() -> None:
    # One process a core: more threads would only wait for one another.
    torch.set_num_threads(1)
