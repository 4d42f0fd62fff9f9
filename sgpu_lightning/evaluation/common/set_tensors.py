"""Features and scores of the labelled answer sets of a file or store, computed run by run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.baselines import NLI, ScoreInputs, ScoreTable, compute_scores
from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.features.answer_subsets import AnswerSubset
from sgpu_lightning.features.extractor import AnswerFeatures


@dataclass(frozen=True, kw_only=True)
class SetTensors:
    """Features and scores of n answer sets.

    Args:
        features: Features of all answers, float64 [n, F].
        subsets: Features of each answer subset, [n, F] each.
        scores: Baseline scores.
        scored: The scored answers' vectors of the first layer, [n, d].
    """

    features: Tensor
    subsets: list[Tensor]
    scores: ScoreTable
    scored: Tensor


def compute_tensors(
    runs: Iterable[AnswerBatch],
    known: Tensor,
    records: Sequence[AnswerSet],
    extract: AnswerFeatures,
    *,
    subsets: Sequence[AnswerSubset] = (),
    scores: Sequence[str] | None = None,
    nli: NLI | None = None,
) -> SetTensors:
    """Compute features and scores of the labelled answer sets.

    Args:
        runs: All answer sets of a file or store with their vectors, in order of position.
        known: True for labelled answer sets, bool [all].
        records: Records of the labelled answer sets, [n].
        extract: Computes the features of a batch.
        subsets: Answer subsets to compute features of besides those of all answers.
        scores: Names of the baseline scores to compute; None for all.
        nli: Entailment model for the scores that need one.
    """
    features: list[list[Tensor]] = [[] for _ in range(1 + len(subsets))]
    scored, tables = [], []
    start = 0
    for run in runs:
        part = run.take(known[run.index].nonzero().squeeze(1))
        if not len(part):
            continue
        for column, batch in zip(features, [part, *(subset(part) for subset in subsets)], strict=True):
            column.append(extract(batch).detach())
        assert part.scored is not None
        assert part.vectors is not None
        scored.append(part.scored[:, 0])
        own = records[start : start + len(part)]
        start += len(part)
        inputs = ScoreInputs(records=own, vectors=part.vectors[:, 0], scored=part.scored[:, 0], nli=nli)
        tables.append((len(own), compute_scores(inputs, scores)))
    whole, *others = (torch.cat(column) for column in features)
    return SetTensors(features=whole, subsets=others, scores=_concatenate(tables), scored=torch.cat(scored))


def _concatenate(tables: Sequence[tuple[int, ScoreTable]]) -> ScoreTable:
    """Concatenate the scores of several runs, each given with its number of records.

    A score is NaN for the records of a run that lacks its inputs.
    """
    names = list(dict.fromkeys(name for _, table in tables for name in table.confidence))
    lacking = {count: torch.full((count,), torch.nan, dtype=torch.float64) for count, _ in tables}
    confidence = {
        name: torch.cat([table.confidence.get(name, lacking[count]) for count, table in tables]) for name in names
    }
    left_out: dict[str, dict[str, int]] = {}
    for _, table in tables:
        for name, reasons in table.left_out.items():
            for reason, count in reasons.items():
                left_out.setdefault(name, {})[reason] = left_out.get(name, {}).get(reason, 0) + count
    return ScoreTable(confidence, left_out)
