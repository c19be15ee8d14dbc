"""Lightning without its chatter: its notices and the warnings that our way of training makes untrue."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
# Each with the reason why it tells our reader nothing.
NEEDLESS = (
    r".*does not have many workers.*",  # workers are the caller's choice
    r".*is smaller than the logging interval.*",  # short trainings are what `ci` does
    r".*dataloader is\s+not resumable.*",  # ours is: it starts where the checkpoint stopped
    r".*Checkpoint directory .* exists and is not empty.*",  # of course: a run is resumed by default
    r".*defined a `validation_step` but have no `val_dataloader`.*",  # validation is optional
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning and torch among themselves
    r".*GPU available but not used.*",  # the profile chose the device
    r".*MPS available but not used.*",
    r".*in eval mode at the start of training.*",  # a frozen part is the method's choice
)


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Inside, Lightning's loggers pass on errors only and its needless warnings are left out; other warnings stay."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            for message in NEEDLESS:
                warnings.filterwarnings("ignore", message=message)
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
