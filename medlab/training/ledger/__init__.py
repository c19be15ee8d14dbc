"""The memory ledger: predicted and measured memory of one training step, part by part and layer by layer."""

from medlab.training.ledger.account import MIB, PARTS, MemoryLedger
from medlab.training.ledger.measure import kept_memory, measure_memory
from medlab.training.ledger.predict import predict_memory

__all__ = ["MIB", "PARTS", "MemoryLedger", "kept_memory", "measure_memory", "predict_memory"]
