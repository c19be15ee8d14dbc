"""What a result is worth: measures of images, masks, surfaces and decisions, and of how far to trust them."""

from medlab.metrics.agreement import Interval, mean_interval

__all__ = ["Interval", "mean_interval"]
