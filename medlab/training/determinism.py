"""Deterministic mode: the same numbers twice on one machine, and everything put back afterwards."""

import contextlib
import os
import warnings
from collections.abc import Iterator

import torch
from torch.utils import deterministic as fill

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # cuBLAS is deterministic only with a workspace of fixed size


@contextlib.contextmanager
def deterministic_mode(strict: bool = True) -> Iterator[None]:
    """Inside, torch takes its deterministic algorithms, and cuDNN does not try out which is quickest.

    strict: an operation that has no deterministic algorithm (some on CUDA, such as the gradient of trilinear
    interpolation) raises torch's RuntimeError; else it runs all the same, without a word.
    """
    before = {
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "cudnn": torch.backends.cudnn.deterministic,
        "fill": fill.fill_uninitialized_memory,
        "cublas": os.environ.get(CUBLAS),
    }
    try:
        with warnings.catch_warnings():
            if not strict:
                warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
            os.environ.setdefault(CUBLAS, ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=not strict)
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
            # Else every new tensor is filled with NaN first, which costs time and helps only to find bugs.
            fill.fill_uninitialized_memory = False
            yield
    finally:
        torch.use_deterministic_algorithms(before["algorithms"], warn_only=before["warn_only"])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before["benchmark"], before["cudnn"]
        fill.fill_uninitialized_memory = before["fill"]
        if before["cublas"] is None:
            os.environ.pop(CUBLAS, None)
