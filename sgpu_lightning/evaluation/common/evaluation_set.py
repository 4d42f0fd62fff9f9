"""One file or store made ready for evaluation: labels, groups, features and scores of its labelled answer sets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.baselines import NLI, ScoreInputs, ScoreTable, compute_scores
from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_settings import Reading
from sgpu_lightning.features.answer_subsets import AnswerSubset
from sgpu_lightning.features.extractor import AnswerFeatures, blocks_of
from sgpu_lightning.gp.cluster_weights import group_weight

FEATURE_SIZE = 10  # reference number of answers


@dataclass(kw_only=True)
class EvaluationSet:
    """The n labelled answer sets of one file or store.

    Args:
        name: The file's or store's name without folder and suffix.
        ids: Of the answer sets.
        labels: 1.0 right, 0.0 wrong, [n].
        groups: What must not be split apart, [n].
        variants: Which are one model's answers to variants of one question, int64 [n]; see `variants_of`.
        models: Names of the models that answered.
        datasets: Names of what they were asked.
        modalities: ``text``, ``image`` or both.
        specs: What made the vectors, one for each layer.
        blocks: Feature blocks.
        widths: Features in each block.
        agreement: How each feature goes with agreement of the answers, [F]; see `AnswerFeatures.agreement`.
        features: Float64 [n, F].
        views: Features seen with some of the answers, in each view that was asked for, [n, F] each.
        scores: Every other score that these answer sets have the inputs for.
        hidden: The scored answers' hidden states [n, d]; None for an encoder's vectors.
        counts: Number of answers of each set, int64 [n].
        left_out: How many sets without label were left out.
        fingerprint: Of the answers, labels and vectors.
    """

    name: str
    ids: list[str]
    labels: Tensor
    groups: list[str]
    variants: Tensor = field(repr=False)
    models: list[str]
    datasets: list[str]
    modalities: list[str]
    specs: tuple[VectorSpec, ...]
    blocks: list[str]
    widths: list[int]
    agreement: Tensor
    features: Tensor
    views: list[Tensor] = field(default_factory=list, repr=False)
    scores: ScoreTable
    hidden: Tensor | None = field(repr=False)
    counts: Tensor
    left_out: int
    fingerprint: str

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.labels.mean())

    def weight(self, rows: Tensor, features: Tensor | None = None) -> Tensor | None:
        """How many answer sets each of these rows counts for in fitting on features [n, F]; see `group_weight`."""
        features = self.features if features is None else features
        return group_weight(self.variants[rows], self.labels[rows], features[rows])

    def columns(self, blocks: Sequence[str]) -> tuple[Tensor, list[int]]:
        """The features of these blocks, [n, F'], and their widths.

        Raises:
            EvaluationError: If a block is not there.
        """
        parts = self._parts(self.features, blocks)
        return torch.cat(parts, dim=1), [part.shape[1] for part in parts]

    def signs(self, blocks: Sequence[str]) -> Tensor:
        """How each feature of these blocks goes with agreement, [F']; see `AnswerFeatures.agreement`."""
        return torch.cat(self._parts(self.agreement.unsqueeze(0), blocks), dim=1)[0]

    def _parts(self, columns: Tensor, blocks: Sequence[str]) -> list[Tensor]:
        if missing := [block for block in blocks if block not in self.blocks]:
            raise EvaluationError(f"{self.name}: expected feature blocks {', '.join(blocks)}, lacks {missing}")
        parts = dict(zip(self.blocks, torch.split(columns, self.widths, dim=1), strict=True))
        return [parts[block] for block in blocks]


def read(path: str | Path, reading: Reading, **more: Any) -> EvaluationSet:
    """Load one file or store as settings say.

    Args:
        path: Which.
        reading: How; fields that a derived class adds are not its own.
        more: Other arguments of `load_evaluation_set`.
    """
    how = {field.name: getattr(reading, field.name) for field in fields(Reading)}
    return load_evaluation_set(path, **how, **more)


def load_evaluation_set(
    path: str | Path,
    *,
    encoder: str | None = "minilm",
    layers: list[int] | None = None,
    token: str | None = None,
    grader: str = "alias",
    cache_dir: str | None = None,
    scores: Sequence[str] | None = None,
    nli: NLI | None = None,
    blocks: Sequence[str] | None = None,
    views: Sequence[AnswerSubset] = (),
) -> EvaluationSet:
    """Read, grade, embed and extract features and scores.

    Args:
        path: An answer file or a store.
        encoder: See `AnswerDataModule`; None for a store's hidden states.
        layers: Likewise.
        token: Likewise.
        grader: Likewise.
        cache_dir: Likewise.
        scores: Names of other scores; None for all.
        nli: For the scores that need one.
        blocks: Feature blocks; None for the default ones.
        views: Ways to see the answer sets with some of their answers, to extract features of as well.

    Raises:
        EvaluationError: If no answer set has a label.
    """
    data = AnswerDataModule(
        str(path),
        encoder=encoder,
        layers=layers,
        token=token,  # type: ignore[arg-type]
        grader=grader,
        cache_dir=cache_dir,
        val_fraction=0.0,
        test_fraction=0.0,
    )
    data.setup()
    specs = data.vector_specs
    extract = AnswerFeatures(blocks or blocks_of(specs), size=FEATURE_SIZE, num_layers=len(specs))
    known = ~torch.isnan(data.table.labels)
    if not bool(known.any()):
        raise EvaluationError(f"{path}: none of {len(known)} answer sets has a label or gold answers to grade by")
    rows = known.nonzero().squeeze(1)
    records = [record for record, keep in zip(data.table.records(), known.tolist(), strict=True) if keep]
    (features, *others), tables, hidden = _extract(data, extract, views, known, records, scores, nli)
    table = [data.table.rows[i] for i in rows.tolist()]
    return EvaluationSet(
        name=Path(path).name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".parquet"),
        ids=[row.id for row in table],
        labels=data.table.labels[rows],
        groups=[row.group for row in table],
        variants=data.table.variants[rows],
        models=sorted({row.model for row in table}),
        datasets=sorted({row.dataset for row in table}),
        modalities=sorted({record.modality for record in records}),
        specs=specs,
        blocks=list(extract.blocks),
        widths=extract.widths,
        agreement=extract.agreement,
        features=features,
        views=others,
        scores=tables,
        hidden=hidden if specs[0].kind == "hidden" else None,
        counts=torch.tensor([len(record.answers) for record in records]),
        left_out=int((~known).sum()),
        fingerprint=_fingerprint(features, data.table.labels[rows], [row.id + "\0" + row.group for row in table]),
    )


def _extract(
    data: AnswerDataModule,
    extract: AnswerFeatures,
    views: Sequence[AnswerSubset],
    known: Tensor,
    records: Sequence[AnswerSet],
    names: Sequence[str] | None,
    nli: NLI | None,
) -> tuple[list[Tensor], ScoreTable, Tensor]:
    """Features [n, F], of each view too, scores, and the scored answers' vectors of the first layer [n, d]."""
    features: list[list[Tensor]] = [[] for _ in range(1 + len(views))]
    hidden, tables = [], []
    start = 0
    for run in data.runs():
        keep = known[run.index].nonzero().squeeze(1)
        part = run.take(keep)
        if not len(part):
            continue
        for column, seen in zip(features, [part, *(view(part) for view in views)], strict=True):
            column.append(extract(seen).detach())
        assert part.scored is not None
        assert part.vectors is not None
        hidden.append(part.scored[:, 0])
        own = records[start : start + len(part)]
        start += len(part)
        inputs = ScoreInputs(records=own, vectors=part.vectors[:, 0], scored=part.scored[:, 0], nli=nli)
        tables.append((len(own), compute_scores(inputs, names)))
    return [torch.cat(column) for column in features], _join(tables), torch.cat(hidden)


def _join(tables: Sequence[tuple[int, ScoreTable]]) -> ScoreTable:
    """Scores of several runs as one; NaN where a run lacks a score's inputs."""
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


def _fingerprint(features: Tensor, labels: Tensor, names: Sequence[str]) -> str:
    digest = hashlib.sha256("\n".join(names).encode("utf-8", "surrogatepass"))
    digest.update(labels.numpy().tobytes())
    # Rounded: another number of threads moves the last bits.
    digest.update(features.round(decimals=6).numpy().tobytes())
    return digest.hexdigest()
