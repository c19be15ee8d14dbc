"""The stream of training data: item i follows from (seed, i) alone, so a position in the data is a number."""

from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data import default_collate as stacked

from medlab.arguments import whole
from medlab.training.generators import own_generators

Draw = Callable[[int], dict[str, Tensor]]


class TrainingBatches:
    """An endless stream of batches, cut to any stretch by `loader`; `training_batches` makes it."""

    def __init__(self, draw: Draw, batch: int, seed: int, workers: int, collate: Callable):
        self.draw, self.collate = draw, collate
        self.batch = whole(batch, "batch")
        self.seed = whole(seed, "seed", 0)
        self.workers = whole(workers, "workers", 0)

    def item(self, index: int) -> dict[str, Tensor]:
        """Item `index` of the stream, 0 or higher: the same whenever and wherever it is asked for."""
        return _Items(self.draw, self.seed)[index]

    def loader(self, start: int, stop: int) -> DataLoader:
        """The batches from start to stop - 1, as a loader of length stop - start.

        Batch n of the process of rank r out of w holds the items (n w + r) b to (n w + r) b + b - 1, with b items a
        batch: w processes see together what one process with batches of w b items sees.
        """
        whole(start, "start", 0)
        whole(stop, "stop", start)
        return DataLoader(
            _Items(self.draw, self.seed),
            batch_sampler=_Stretch(self.batch, start, stop),
            num_workers=self.workers,
            collate_fn=self.collate,
            # Its own generator: a loader without one takes a number from the global generator at each start.
            generator=torch.Generator().manual_seed(0),
            persistent_workers=False,
            pin_memory=torch.cuda.is_available(),
        )


def training_batches(
    draw: Draw, batch: int, seed: int = 0, workers: int = 0, collate: Callable = stacked
) -> TrainingBatches:
    """The stream of data for `medlab.training.fit`.

    draw: gives item i, a dict of tensors, for any i from 0 on. It must depend on i alone: give it a seed made of i, or
    let it use the global generators of torch, NumPy and Python, which are seeded from (seed, i) around each call and
    put back afterwards. (It runs on the CPU; an accelerator's generator is left alone.)
    batch: items a batch of one process. workers: processes that draw ahead, 0 for none; they change no item.
    collate: makes a batch of a list of items, stacking by default.
    Nothing is drawn twice and nothing skipped: a run that is broken off goes on with the item after the last one used.
    """
    return TrainingBatches(draw, batch, seed, workers, collate)


class _Items(Dataset):
    def __init__(self, draw: Draw, seed: int):
        self.draw, self.seed = draw, seed

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        with own_generators(self.seed, f"item {index}", accelerators=False):
            return self.draw(index)


class _Stretch(Sampler):
    """The indices of the items of a stretch of batches, for the process that asks."""

    def __init__(self, batch: int, start: int, stop: int):
        self.batch, self.start, self.stop = batch, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[int]]:
        alone = not (dist.is_available() and dist.is_initialized())
        rank, world = (0, 1) if alone else (dist.get_rank(), dist.get_world_size())
        for number in range(self.start, self.stop):
            first = (number * world + rank) * self.batch
            yield list(range(first, first + self.batch))
