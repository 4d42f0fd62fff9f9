"""Baselines that are fitted on labelled answer sets with scikit-learn, as references for the Gaussian process.

Each takes one row of numbers for each answer set and gives P(correct). ``logistic_spectrum`` and ``boosted_spectrum``
take SGPU's own features, ``linear_probe`` and ``saplma`` the scored answer's hidden state. To add one, write a file in
``models/`` that defines ``BASELINE``; nothing else changes.
"""

from sgpu_lightning.answers.discovery import import_submodules
from sgpu_lightning.baselines.supervised import models
from sgpu_lightning.baselines.supervised.supervised_baseline import FittedBaseline, SupervisedBaseline, SupervisedError

__all__ = [
    "SUPERVISED",
    "FittedBaseline",
    "SupervisedBaseline",
    "SupervisedError",
    "get_supervised",
]

_FOUND: list[SupervisedBaseline] = [module.BASELINE for module in import_submodules(models.__name__)]
SUPERVISED: dict[str, SupervisedBaseline] = {baseline.name: baseline for baseline in _FOUND}


def get_supervised(name: str) -> SupervisedBaseline:
    """Look up a supervised baseline.

    Args:
        name: Its name in ``SUPERVISED``.

    Raises:
        SupervisedError: If there is none of that name; the message lists the names.
    """
    if name not in SUPERVISED:
        raise SupervisedError(f"unknown supervised baseline '{name}', expected one of {', '.join(SUPERVISED)}")
    return SUPERVISED[name]
