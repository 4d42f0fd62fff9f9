"""Suppression of Lightning's messages and warnings that do not apply to fits in memory."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_IRRELEVANT_WARNINGS = (
    ".*does not have many workers.*",  # the data is in memory
    ".*exists and is not empty.*",
    ".*Total length of `DataLoader` across ranks is zero.*",  # validation sets are optional
    ".*is smaller than the logging interval.*",
    ".*LightningCLI's args parameter is intended.*",
    ".*treespec, LeafSpec.*",
    ".*callbacks used to create the checkpoint need to be provided.*",  # evaluation does not need them
)


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress Lightning's messages about hardware and data loader workers, which do not apply here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _IRRELEVANT_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
