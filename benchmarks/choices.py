"""What each choice in the default predictor is worth, cross-validated: `python -m benchmarks.choices FILES`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from sgpu_lightning.console import make_console
from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
from sgpu_lightning.evaluation.common.folds import group_folds
from sgpu_lightning.evaluation.common.set_reader import load_evaluation_set
from sgpu_lightning.evaluation.common.tables import markdown
from sgpu_lightning.features.blocks import BLOCKS, FeatureBlock
from sgpu_lightning.features.extractor import DEFAULT_BLOCKS
from sgpu_lightning.gp.hyperparameters import fit_classifier
from sgpu_lightning.metrics.functional import auarc, auroc, brier_score, calibration_error, calibration_noise_floor

METRICS = ("AUROC", "AUARC", "ECE", "ECE floor", "Brier", "s")


@dataclass(frozen=True)
class Choice:
    """A predictor that differs from the default in one way.

    Args:
        name: In what.
        blocks: Its feature blocks.
        agreement: Whether the mean goes by agreement.
        settings: Other arguments of `fit_classifier`.
        joined: Whether all blocks share one length scale.
    """

    name: str
    blocks: Sequence[FeatureBlock] = DEFAULT_BLOCKS
    agreement: bool = True
    settings: tuple[tuple[str, Any], ...] = ()
    joined: bool = False

    def fit_and_predict(self, data: EvaluationSet, train: Tensor, test: Tensor) -> Tensor:
        """P(correct) of the test rows."""
        features, widths = data.columns(self.blocks)
        fitted = fit_classifier(
            features[train],
            data.labels[train],
            [sum(widths)] if self.joined else widths,
            weight=data.weight(train, features),
            agreement=data.signs(self.blocks) if self.agreement else None,
            **dict(self.settings),
        )
        return fitted.freeze()(features[test]).p_correct


def choices() -> list[Choice]:
    """The default, then one change after another."""
    found = [
        Choice("default"),
        Choice("paper: the spectrum alone, constant mean", ("spectrum",), agreement=False),
        Choice("constant mean", agreement=False),
        Choice("one length scale for all blocks", joined=True),
    ]
    found += [Choice(f"{count} inducing points", settings=(("num_inducing", count),)) for count in (32, 64, 256)]
    found += [Choice(f"{kernel} kernel", settings=(("kernel", kernel),)) for kernel in ("matern32", "matern52")]
    for block in DEFAULT_BLOCKS:
        found.append(Choice(f"without {block}", tuple(name for name in DEFAULT_BLOCKS if name != block)))
    return [*found, Choice("with lexical_spectrum", (*DEFAULT_BLOCKS, "lexical_spectrum"))]


def measure(choice: Choice, data: EvaluationSet, folds: Tensor) -> Tensor:
    """`METRICS` of a choice, averaged over folds."""
    rows = []
    for fold in torch.unique(folds).tolist():
        train, test = (folds != fold).nonzero().squeeze(1), (folds == fold).nonzero().squeeze(1)
        start = time.perf_counter()
        p, labels = choice.fit_and_predict(data, train, test), data.labels[test]
        seconds = time.perf_counter() - start
        values = (auroc(p, labels), auarc(p, labels), calibration_error(p, labels), calibration_noise_floor(p))
        rows.append(torch.stack([*values, brier_score(p, labels), torch.tensor(seconds)]).double())
    return torch.stack(rows).mean(0)


def main() -> None:
    """Cross-validate every choice on every file; print and write the mean over files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", help="answer files with labels or gold answers")
    parser.add_argument("--out", type=Path, help="write the table as Markdown there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = make_console()
    found: dict[str, list[Tensor]] = {choice.name: [] for choice in choices()}
    blocks = [block for block in BLOCKS if block != "logprob"]
    for path in track(arguments.files, description="choices", console=console):
        data = load_evaluation_set(path, scores=[], blocks=blocks)
        folds = group_folds(data.groups, data.labels)
        for choice in choices():
            found[choice.name].append(measure(choice, data, folds))
    rows = []
    for name, values in found.items():
        mean = torch.stack(values).mean(0).tolist()
        rows.append({"choice": name} | dict(zip(METRICS, mean, strict=True)))
    table = markdown(("choice", *METRICS), rows)
    console.print(table, highlight=False, soft_wrap=True)
    if arguments.out is not None:
        arguments.out.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
