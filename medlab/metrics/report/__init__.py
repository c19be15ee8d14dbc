"""A prediction and its reference, files or arrays, in; one table of every measure that applies, out."""

from medlab.metrics.report.evaluation import Report, evaluate

__all__ = ["Report", "evaluate"]
