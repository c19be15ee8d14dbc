"""Every random generator that a training can touch: their states taken, put back, and seeded."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch

from medlab.data.chance import seed_for


def generator_states(accelerators: bool = True) -> dict:
    """The states of torch's, NumPy's and Python's global generators, and of the accelerators' where there are any.

    Plain numbers and tensors, so that they load with `weights_only=True`. accelerators: also CUDA's and MPS's.
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - the global one is what we keep
    version, words, next_gauss = random.getstate()
    states = {
        "torch": torch.get_rng_state(),
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(gauss)],
        "python": [version, torch.tensor(words), next_gauss],
    }
    if accelerators and torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if accelerators and torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_generator_states(states: dict) -> None:
    """Put back what `generator_states` took; accelerators that are not here are left out."""
    torch.set_rng_state(states["torch"])
    kind, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    version, words, next_gauss = states["python"]
    random.setstate((version, tuple(words.tolist()), next_gauss))
    if "cuda" in states and torch.cuda.is_available():
        for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])


def seed_generators(seed: int, purpose: str = "training", accelerators: bool = True) -> None:
    """All global generators from one seed and purpose; accelerators: also CUDA's and MPS's."""
    word = seed_for(seed, purpose)
    random.seed(word)
    np.random.seed(word)  # noqa: NPY002 - others' code draws from it
    if accelerators:
        torch.manual_seed(word)
    else:
        torch.default_generator.manual_seed(word)


@contextlib.contextmanager
def own_generators(seed: int | None = None, purpose: str = "training", accelerators: bool = True) -> Iterator[None]:
    """Inside, the global generators are the block's own, seeded if there is a seed; afterwards they are as before."""
    before = generator_states(accelerators)
    try:
        if seed is not None:
            seed_generators(seed, purpose, accelerators)
        yield
    finally:
        set_generator_states(before)
