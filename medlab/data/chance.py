"""Chance without hidden state: what is random follows from a seed and a purpose, and from nothing else."""

import numpy as np
import torch


def seed_for(seed: int, purpose: str) -> int:
    """A seed, 0 to 2^32 - 1, that belongs to one seed and purpose: a draw more in one place changes none elsewhere."""
    return int(np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1)[0])


def generator_for(seed: int, purpose: str) -> torch.Generator:
    """A generator on the CPU that belongs to one seed and purpose."""
    mixed = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed))


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """A number from low to high, evenly."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def below(generator: torch.Generator, count: int) -> int:
    """A whole number from 0 to count - 1, evenly."""
    return int(torch.randint(count, (), generator=generator))
