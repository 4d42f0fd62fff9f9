"""Answer sets as Lightning data: read, graded, split by group, cached as features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sgpu_lightning.answers.grading import DEFAULT_GRADER, get_grader
from sgpu_lightning.answers.reader import OnError, Skipped
from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.data.sources import VectorChoice, open_source
from sgpu_lightning.data.splits import (
    SPLITS,
    Split,
    SplitError,
    check_fractions,
    refuse_leaks,
    require_two_classes,
    split_of,
)
from sgpu_lightning.data.table import AnswerTable
from sgpu_lightning.embedding.embed_answers import load_encoder
from sgpu_lightning.embedding.encoder import Encoder
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.batch import AnswerBatch, View
from sgpu_lightning.features.extractor import AnswerFeatures
from sgpu_lightning.gp.cluster_weights import design_effect_weights
from sgpu_lightning.gp.hyperparameters import KERNEL_SETS, kernel_sets

Paths = str | list[str]


class AnswerDataModule(LightningDataModule):
    """Answer sets from files and stores, with vectors, labels and splits.

    Fitting, validating and testing use the sets that have a label; predicting uses all of ``answers``. Unless
    files of their own are given, validation and test sets are split off by a hash of each set's group
    (``group``, else the question text), so a group never stands on both sides, whichever files it is in.
    Files that are used together should all give groups, or none.

    Args:
        answers: Answer files (.jsonl, .jsonl.gz, .parquet) and stores, one or several.
        val_answers: Validation sets, all of them; then none are split off ``answers``.
        test_answers: Test sets, all of them; then none are split off ``answers``.
        encoder: Sentence encoder for black-box vectors: ``minilm``, a folder or a hub id. Null: the hidden
            states a store holds (white-box).
        encoder_revision: Revision of a hub id.
        layers: Decoder layers of the hidden states; null for all that the stores hold.
        token: ``last`` or ``mean`` hidden states; null for what the stores hold.
        grader: Labels sets that have gold answers but no label, by name (docs/grading.md); null for the one a store's
            task names, else ``alias``.
        val_fraction: Share of groups for validation.
        test_fraction: Share of groups for test.
        split_seed: Changes which groups go where.
        subsets: Fit on so many more views of each training set, each of some of its answers, drawn at random: then
            P(correct) is calibrated for fewer answers, too. 0 fits for the number of answers the training sets have.
        fewest_answers: In such a view, at least 2.
        batch_size: Answer sets per training step, where something before the spectrum is learned. The GP alone takes
            all at once.
        on_error: ``raise`` at a bad record, or ``skip`` it and report.
        cache_dir: Where vectors of texts are remembered; null for the user's cache folder.

    Raises:
        SplitError: If the fractions leave nothing to train on.
        ValueError: If the grader is unknown.
    """

    def __init__(
        self,
        answers: Paths,
        val_answers: Paths | None = None,
        test_answers: Paths | None = None,
        encoder: str | None = "minilm",
        encoder_revision: str | None = None,
        layers: list[int] | None = None,
        token: Literal["last", "mean"] | None = None,
        grader: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.25,
        split_seed: int = 0,
        subsets: int = 0,
        fewest_answers: int = 3,
        batch_size: int = 1024,
        on_error: OnError = "raise",
        cache_dir: str | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("subsets", subsets, 0),
            ("fewest_answers", fewest_answers, 2),
        ):
            if value < least:
                raise SGPUError(f"{name}: expected at least {least}, got {value}")
        self.save_hyperparameters()  # so that a checkpoint says what it was fitted on
        check_fractions(val_fraction, test_fraction)
        self.grader = None if grader is None else get_grader(grader)
        self.answers: dict[Split, list[str]] = {
            split: [paths] if isinstance(paths, str) else list(paths or [])
            for split, paths in zip(SPLITS, (answers, val_answers, test_answers), strict=True)
        }
        self.encoder_name, self.encoder_revision, self.cache_dir = encoder, encoder_revision, cache_dir
        self.layers, self.token = layers, token
        self.fractions, self.split_seed = (val_fraction, test_fraction), split_seed
        self.subsets, self.fewest_answers = subsets, fewest_answers
        self.batch_size, self.on_error = batch_size, on_error
        self.skipped = Skipped()
        self.table = AnswerTable()
        self.members: dict[Split, Tensor] = {}
        self._data: AnswerBatch | None = None
        self._loaded: str | None = None

    @cached_property
    def encoder(self) -> Encoder:
        """The external encoder, loaded when first needed."""
        folder = Path(self.cache_dir) if self.cache_dir else None
        return load_encoder(self.encoder_name or "", revision=self.encoder_revision, cache_dir=folder)

    @cached_property
    def vector_specs(self) -> tuple[VectorSpec, ...]:
        """What made the vectors, one for each layer."""
        return self.table.specs()

    def setup(self, stage: str | None = None) -> None:
        """Read texts and labels and split them; vectors are read by `load`.

        Raises:
            RecordError: At a bad record, unless they are skipped.
            SplitError: If a group stands on two sides.
        """
        if self.table.rows:
            return
        # Predicting takes all of ``answers`` and needs no split: other files may be gone, or the ones to predict.
        wanted: tuple[Split, ...] = ("train",) if stage == "predict" else SPLITS
        positions: dict[Split, list[int]] = {split: [] for split in SPLITS}
        for split in wanted:
            positions[split] = [i for path in self.answers[split] for i in self._read(path)]
        fractions = [
            0.0 if positions[split] else share for split, share in zip(SPLITS[1:], self.fractions, strict=True)
        ]
        members = positions | {"train": []}
        groups = [row.group for row in self.table.rows]
        for i in positions["train"]:
            members[split_of(groups[i], fractions[0], fractions[1], self.split_seed)].append(i)
        refuse_leaks(groups, members)
        self.table.refuse_duplicates()
        known = ~torch.isnan(self.table.labels)
        for split, rows in members.items():
            index = torch.tensor(sorted(rows), dtype=torch.long)
            self.members[split] = index[known[index]]
        self._everything = torch.tensor(positions["train"], dtype=torch.long)

    def _read(self, path: str) -> range:
        choice = VectorChoice(
            encoder=(lambda: self.encoder) if self.encoder_name else None,
            encoder_name=self.encoder_name,
            layers=self.layers,
            token=self.token,
        )
        source = open_source(path, choice, self.on_error, self.skipped)
        rows = self.table.add(source, self.grader or get_grader(source.grader or DEFAULT_GRADER))
        if not rows:
            reason = f": {self.skipped.summary()}" if self.skipped.messages else ""
            raise SplitError(f"{path}: expected answer sets, got none{reason}")
        return rows

    @property
    def sizes(self) -> dict[Split, int]:
        """Labelled answer sets in each split."""
        return {split: len(rows) for split, rows in self.members.items()}

    @property
    def num_unlabelled(self) -> int:
        """Answer sets that have neither a label nor gold answers: not fitted or evaluated on."""
        return int(torch.isnan(self.table.labels).sum())

    def require_fittable(self, *, validated: bool = False) -> None:
        """Refuse answer sets a classifier cannot be fitted on.

        Args:
            validated: Whether validation sets are needed to stop by.

        Raises:
            SplitError: If there are no labels, one class only, or nothing to validate on.
        """
        if bool(torch.isnan(self.table.labels).all()):
            raise SplitError(
                f"none of the {len(self.table.rows)} answer sets can be graded: expected key 'label' (0 or 1), "
                "or 'gold' (a list of right answers)"
            )
        labels = [int(label) for label in self.table.labels[self.members["train"]].tolist()]
        require_two_classes(labels, self.sizes, validated=validated)

    def require_labelled(self, split: Split) -> None:
        """Refuse to evaluate on nothing.

        Raises:
            SplitError: If the split has no labelled answer sets.
        """
        if not self.sizes[split]:
            raise SplitError(
                f"there are no labelled {split} sets to evaluate on, of {len(self.table.rows)} sets: expected some "
                f"with 'label' or 'gold'; give {split}_answers, or a {split}_fraction above 0"
            )

    def load(self, extract: AnswerFeatures | None = None) -> None:
        """Read the vectors, once for each way of extracting features.

        Args:
            extract: Turns vectors into features [B, F], run after run, so that they are never all in memory.
                None keeps the vectors, for a module that learns what comes before the spectrum.
        """
        wanted = "vectors" if extract is None else extract.extra_repr()
        if self._loaded == wanted:
            return
        if extract is None:
            if self.subsets:
                raise SGPUError(f"subsets: expected 0 where a front before the spectrum is learned, got {self.subsets}")
            self._data = self.table.with_vectors()
        else:
            with torch.no_grad():
                views = self._views(extract)
            self._data = self.table.with_features(views, self._weight(views[0]))
        self._loaded = wanted

    def _weight(self, features: Tensor) -> Tensor | None:
        """How many answer sets each counts for in fitting, [n]: see `design_effect_weights`; None: one each."""
        train, labels = self.members["train"], self.table.labels
        counted = design_effect_weights(self.table.variants[train], labels[train], features[train])
        return None if counted is None else torch.ones_like(labels).index_put_((train,), counted)

    def _views(self, extract: AnswerFeatures) -> list[Tensor]:
        """Features of all answer sets [n, F]: of all their answers, then of some, once for each of ``subsets``."""
        views = [View(seed, self.fewest_answers) for seed in range(1, 1 + self.subsets)]
        parts: list[list[Tensor]] = [[] for _ in range(1 + self.subsets)]
        for run in self.table.runs():
            for part, seen in zip(parts, [run, *(view(run) for view in views)], strict=True):
                part.append(extract(seen).cpu())
        return [torch.cat(part) for part in parts]

    def take(self, index: Tensor) -> AnswerBatch:
        """The answer sets at these positions as one batch; their vectors are read if they were not."""
        if self._data is None:
            self.load()
        assert self._data is not None
        return self._data.take(index)

    def training_rows(self) -> Tensor:
        """Positions to fit on: the training sets, in each view of them there is."""
        index = self.members["train"]
        views = 1 if self._data is None else len(self._data) // max(1, len(self.table.rows))
        return torch.cat([index + view * len(self.table.rows) for view in range(views)])

    def train_dataloader(self) -> DataLoader:
        """Shuffled batches of the training sets; or, where features are ready, one batch of all.

        Of very many, the `kernel_sets`; `SGPUModule` then solves for the posterior of all.
        """
        index = self.training_rows()
        if self._data is None or self._data.features is None:
            return self._loader(index, shuffle=True)
        return self._loader(index[kernel_sets(len(index))])

    def val_dataloader(self) -> DataLoader:
        """The validation sets."""
        return self._loader(self.members["val"])

    def test_dataloader(self) -> DataLoader:
        """The test sets."""
        return self._loader(self.members["test"])

    def predict_dataloader(self) -> DataLoader:
        """All sets of ``answers``, labelled or not."""
        return self._loader(self._everything)

    def _loader(self, index: Tensor, *, shuffle: bool = False) -> DataLoader:
        # Without shuffling, as many as a kernel is learned on: a step costs more than its sets.
        size = self.batch_size if shuffle else KERNEL_SETS
        return DataLoader(_Positions(self, index), batch_size=size, shuffle=shuffle, collate_fn=_as_is)


class _Positions(Dataset[AnswerBatch]):
    """Positions of answer sets; a list of them is fetched as one batch, by indexing tensors."""

    def __init__(self, data: AnswerDataModule, index: Tensor) -> None:
        self._data, self._index = data, index

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, positions: Sequence[int]) -> AnswerBatch:
        return self._data.take(self._index[list(positions)])

    def __getitems__(self, positions: Sequence[int]) -> AnswerBatch:
        return self[positions]


def _as_is(batch: Any) -> AnswerBatch:
    return batch
