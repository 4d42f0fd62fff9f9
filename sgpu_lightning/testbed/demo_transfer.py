"""The demo's transfer: from one tiny model to another, and from text to vision-language."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sgpu_lightning.evaluation.common.evaluation_settings import TransferSettings
from sgpu_lightning.evaluation.common.set_reader import load_evaluation_set
from sgpu_lightning.evaluation.transfer.plan import Pair, check_pair
from sgpu_lightning.evaluation.transfer.source_fits import SourceFits
from sgpu_lightning.evaluation.transfer.transfer_pair import (
    ALIGNED,
    IN_DOMAIN,
    SHIFT,
    ZERO_SHOT,
    TransferResult,
    transfer,
)
from sgpu_lightning.testbed.toy_training import one_thread

if TYPE_CHECKING:
    from rich.table import Table

PAIRS = (("small", "large"), ("large", "small"), ("large", "digits"))
VECTORS = {"white-box": None, "black-box": "minilm"}
_FOLDS = 3  # seconds matter more in a demo than the last thousandth
_SHOWN = (("AUROC", "auroc", (IN_DOMAIN, ZERO_SHOT, ALIGNED)), ("ECE", "ece", (IN_DOMAIN, ZERO_SHOT, SHIFT)))


@one_thread()
def demo_transfer(stores: Mapping[str, Path]) -> dict[str, TransferResult]:
    """Fit on each pair's first model and evaluate on its second, white-box and black-box.

    The language models were asked the same questions: each fold is evaluated by a fit without its questions.

    Args:
        stores: Folders of the stores, by model.

    Returns:
        By source, target and setting, in words.
    """
    results = {}
    for setting, encoder in VECTORS.items():
        settings = TransferSettings(encoder=encoder, shared_questions="cross_fit", folds=_FOLDS, labels=[], resamples=1)
        loaded = {
            name: load_evaluation_set(store, encoder=encoder, grader=settings.grader, scores=())
            for name, store in stores.items()
        }
        fits = SourceFits(loaded, settings)
        for source, target in PAIRS:
            pair = Pair((source,), target)
            check_pair(pair, loaded, settings.shared_questions)
            results[f"{source} to {target}, {setting}"] = transfer(pair, fits)
    return results


def transfer_table(results: Mapping[str, TransferResult]) -> Table:
    """One row for each transfer: ranking and calibration beside those of a fit on the target itself."""
    from rich.table import Table

    table = Table()
    table.add_column("", no_wrap=True)
    for title in (*(f"{title}\n{name}" for title, _, names in _SHOWN for name in names), "ECE\nfloor"):
        table.add_column(title, justify="right")
    for row, result in results.items():
        found = {one.name: one.metrics for one in result.settings}
        numbers = [found[name][metric] for _, metric, names in _SHOWN for name in names]
        numbers.append(found[IN_DOMAIN]["ece_floor"])
        table.add_row(row, *(f"{number:.3f}" for number in numbers))
    table.caption = (
        "In-domain: fitted on the target itself. Zero-shot: on the source alone; aligned: features in the target's "
        "own units; label shift: corrected for another proportion of right answers. These use no label of the target."
    )
    return table
