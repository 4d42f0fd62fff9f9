"""Reads a file or store into an evaluation set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.baselines import NLI
from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
from sgpu_lightning.evaluation.common.evaluation_settings import ReadingSettings
from sgpu_lightning.evaluation.common.set_tensors import SetTensors, compute_tensors
from sgpu_lightning.features.answer_subsets import AnswerSubset
from sgpu_lightning.features.extractor import AnswerFeatures, blocks_of

FEATURE_SIZE = 10  # reference number of answers


def read(path: str | Path, reading: ReadingSettings, **more: Any) -> EvaluationSet:
    """Load one file or store as the settings say.

    Args:
        path: The answer file or store.
        reading: Settings; only the fields of `ReadingSettings` are used, not those that a derived class adds.
        more: Other arguments of `load_evaluation_set`.
    """
    options = {field.name: getattr(reading, field.name) for field in fields(ReadingSettings)}
    return load_evaluation_set(path, **options, **more)


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
    subsets: Sequence[AnswerSubset] = (),
) -> EvaluationSet:
    """Read, grade and embed answer sets, and compute their features and scores.

    Args:
        path: The answer file or store.
        encoder: Sentence encoder, see `AnswerDataModule`; None for a store's hidden states.
        layers: Decoder layers of the hidden states, see `AnswerDataModule`.
        token: ``last`` or ``mean`` hidden states, see `AnswerDataModule`.
        grader: Grader of answer sets with gold answers but without a label, see `AnswerDataModule`.
        cache_dir: Folder of cached embeddings, see `AnswerDataModule`.
        scores: Names of the baseline scores to compute; None for all.
        nli: Entailment model for the scores that need one.
        blocks: Feature blocks; None for the default ones.
        subsets: Answer subsets to compute features of besides those of all answers.

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
    extract = AnswerFeatures(
        blocks or blocks_of(data.vector_specs), size=FEATURE_SIZE, num_layers=len(data.vector_specs)
    )
    known = ~torch.isnan(data.table.labels)
    if not bool(known.any()):
        raise EvaluationError(f"{path}: none of {len(known)} answer sets has a label or gold answers to grade by")
    records = [record for record, keep in zip(data.table.records(), known.tolist(), strict=True) if keep]
    tensors = compute_tensors(data.runs(), known, records, extract, subsets=subsets, scores=scores, nli=nli)
    return _assemble(path, data, known, records, extract, tensors)


def _assemble(
    path: str | Path,
    data: AnswerDataModule,
    known: Tensor,
    records: Sequence[AnswerSet],
    extract: AnswerFeatures,
    tensors: SetTensors,
) -> EvaluationSet:
    """Make the evaluation set of the labelled answer sets (``known``, bool [all])."""
    rows = known.nonzero().squeeze(1)
    table, labels = [data.table.rows[i] for i in rows.tolist()], data.table.labels[rows]
    return EvaluationSet(
        name=Path(path).name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".parquet"),
        ids=[row.id for row in table],
        labels=labels,
        groups=[row.group for row in table],
        variants=data.table.variants[rows],
        models=sorted({row.model for row in table}),
        datasets=sorted({row.dataset for row in table}),
        modalities=sorted({record.modality for record in records}),
        specs=data.vector_specs,
        blocks=list(extract.blocks),
        widths=extract.widths,
        agreement=extract.agreement,
        features=tensors.features,
        subsets=tensors.subsets,
        scores=tensors.scores,
        hidden=tensors.scored if data.vector_specs[0].kind == "hidden" else None,
        counts=torch.tensor([len(record.answers) for record in records]),
        left_out=int((~known).sum()),
        fingerprint=_fingerprint(tensors.features, labels, [row.id + "\0" + row.group for row in table]),
    )


def _fingerprint(features: Tensor, labels: Tensor, names: Sequence[str]) -> str:
    digest = hashlib.sha256("\n".join(names).encode("utf-8", "surrogatepass"))
    digest.update(labels.numpy().tobytes())
    # Rounded, because another number of threads changes the last bits.
    digest.update(features.round(decimals=6).numpy().tobytes())
    return digest.hexdigest()
