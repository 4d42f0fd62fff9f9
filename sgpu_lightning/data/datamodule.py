"""Answer sets as Lightning data: read, graded and split by group."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from sgpu_lightning.answers.grading import DEFAULT_GRADER, get_grader
from sgpu_lightning.answers.reader import OnError, Skipped
from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.data.loaders import batch_loader
from sgpu_lightning.data.sources import VectorChoice, open_source
from sgpu_lightning.data.splits import SPLITS, Split, SplitError, check_fractions, require_two_classes, split_indices
from sgpu_lightning.data.table import AnswerTable
from sgpu_lightning.data.vector_runs import joined_runs, vector_runs, vector_specs
from sgpu_lightning.embedding.embed_answers import load_encoder
from sgpu_lightning.embedding.encoder import Encoder
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.features.answer_subsets import AnswerSubset

_POSITIONS_BATCH = 4096  # number of answer sets in a batch without vectors
Paths = str | list[str]


class AnswerDataModule(LightningDataModule):
    """Answer sets from files and stores, with vectors, labels and splits.

    Fitting, validation and testing use the sets that have a label; prediction uses all of ``answers``. Unless files
    are given for them, validation and test sets are split off by a hash of each set's group (``group``, by default
    the question text). A group is therefore never in two splits, whichever files it is in. Of files that are used
    together, either all or none should define groups.

    Args:
        answers: Answer files (.jsonl, .jsonl.gz, .parquet) and stores, one or several.
        val_answers: Answer files and stores of validation sets; null to split validation sets off ``answers``.
        test_answers: Answer files and stores of test sets; null to split test sets off ``answers``.
        encoder: Sentence encoder for black-box vectors: ``minilm``, a folder or a hub id; null for the hidden states
            that a store holds (white-box).
        encoder_revision: Branch, tag or commit of a hub id; null for its main branch.
        layers: Decoder layers of the hidden states; null for all that the stores hold.
        token: ``last`` or ``mean`` hidden states; null for the kind that the stores hold.
        grader: Name of the grader (docs/grading.md) of sets that have gold answers but no label; null for the grader
            that a store's task names, else ``alias``.
        val_fraction: Proportion of groups for validation.
        test_fraction: Proportion of groups for test.
        split_seed: Random seed of the split.
        subsets: Number of random answer subsets of each training set that are also fitted on. P(correct) is then also
            calibrated for fewer answers. With 0, it is calibrated for the number of answers in the training sets.
        fewest_answers: Fewest answers in such a subset, at least 2.
        batch_size: Number of answer sets in a batch of vectors, and so in a training step if something before the
            spectrum is learned. A GP alone is fitted on all sets at once.
        on_error: ``raise`` at a bad record, or ``skip`` it and report.
        cache_dir: Folder where embeddings are cached; null for the user's cache folder.

    Attributes:
        table: The answer sets without their vectors.
        split_indices: Positions in ``table`` of the labelled sets of each split, int64.
        with_vectors: Whether batches of the loaders hold vectors. `SGPUModule` sets it to False if it caches features
            by position. Vectors are then read once, about a thousand sets at a time, and are never all in memory.

    Raises:
        SplitError: If the fractions leave nothing to train on.
        SGPUError: If a size is too small, or the grader is unknown.
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
        _check_least(batch_size=(batch_size, 1), subsets=(subsets, 0), fewest_answers=(fewest_answers, 2))
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
        self.split_indices: dict[Split, Tensor] = {}
        self.with_vectors = True
        self._vectors: AnswerBatch | None = None

    @cached_property
    def encoder(self) -> Encoder:
        """The external encoder, loaded when first needed."""
        folder = Path(self.cache_dir) if self.cache_dir else None
        return load_encoder(self.encoder_name or "", revision=self.encoder_revision, cache_dir=folder)

    @cached_property
    def vector_specs(self) -> tuple[VectorSpec, ...]:
        """What made the vectors, one specification for each layer."""
        return vector_specs(self.table)

    def setup(self, stage: str | None = None) -> None:
        """Read texts and labels and split them. Vectors are read when they are needed.

        Raises:
            RecordError: At a bad record, unless bad records are skipped.
            SplitError: If a group is in two splits, or an answer set occurs twice.
        """
        if self.table.rows:
            return
        # Prediction uses all of ``answers`` and no split. The other files may be missing, or be the ones to predict.
        wanted: tuple[Split, ...] = ("train",) if stage == "predict" else SPLITS
        positions: dict[Split, list[int]] = {split: [] for split in SPLITS}
        for split in wanted:
            positions[split] = [i for path in self.answers[split] for i in self._read(path)]
        groups = [row.group for row in self.table.rows]
        indices = split_indices(groups, positions, self.fractions, self.split_seed)
        self.table.refuse_duplicates()
        known = ~torch.isnan(self.table.labels)
        for split, rows in indices.items():
            index = torch.tensor(rows, dtype=torch.long)
            self.split_indices[split] = index[known[index]]
        self._all_answers = torch.tensor(positions["train"], dtype=torch.long)

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
        """Number of labelled answer sets in each split."""
        return {split: len(rows) for split, rows in self.split_indices.items()}

    @property
    def num_unlabelled(self) -> int:
        """Number of answer sets with neither a label nor gold answers; they are not used to fit or to evaluate."""
        return int(torch.isnan(self.table.labels).sum())

    def require_fittable(self, *, validated: bool = False) -> None:
        """Refuse answer sets that a classifier cannot be fitted on.

        Args:
            validated: Whether the fit needs validation sets to decide when it stops.

        Raises:
            SplitError: If there are no labels, labels of only one class, or no validation sets although they are
                needed.
        """
        if bool(torch.isnan(self.table.labels).all()):
            raise SplitError(
                f"none of the {len(self.table.rows)} answer sets can be graded: expected key 'label' (0 or 1), "
                "or 'gold' (a list of right answers)"
            )
        labels = [int(label) for label in self.table.labels[self.split_indices["train"]].tolist()]
        require_two_classes(labels, self.sizes, validated=validated)

    def require_labelled(self, split: Split) -> None:
        """Refuse to evaluate on no answer sets.

        Raises:
            SplitError: If the split has no labelled answer sets.
        """
        if not self.sizes[split]:
            raise SplitError(
                f"there are no labelled {split} sets to evaluate on, of {len(self.table.rows)} sets: expected some "
                f"with 'label' or 'gold'; give {split}_answers, or a {split}_fraction above 0"
            )

    def runs(self) -> Iterator[AnswerBatch]:
        """Yield all answer sets with their vectors in order of position, about a thousand at a time."""
        return vector_runs(self.table)

    @property
    def answer_subsets(self) -> list[AnswerSubset]:
        """The random answer subsets of each training set that are fitted on in addition to the whole set."""
        return [AnswerSubset(seed, self.fewest_answers) for seed in range(1, 1 + self.subsets)]

    def batch(self, which: Split | Tensor) -> AnswerBatch:
        """Return answer sets with their vectors as one batch.

        Args:
            which: ``train``, ``val`` or ``test`` for the labelled sets of a split, or positions in ``table``, [B].

        Raises:
            VectorError: If the vectors' dimensions differ.
        """
        self.setup()
        index = self.split_indices[which] if isinstance(which, str) else which
        if self._vectors is not None:
            return self._vectors.take(index)
        wanted = torch.zeros(len(self.table.rows), dtype=torch.bool).index_fill_(0, index, True)
        parts = [run.take(wanted[run.index].nonzero().squeeze(1)) for run in self.runs()]
        found = joined_runs(self.table, [part for part in parts if len(part)] or parts[:1])
        place = torch.empty(len(wanted), dtype=torch.long).index_copy_(0, found.index, torch.arange(len(found)))
        return found.take(place[index])

    def train_dataloader(self) -> DataLoader:
        """Shuffled batches of the training sets with vectors; without vectors, one batch of all their positions."""
        index = self.split_indices["train"]
        if self.with_vectors:
            return self._loader(index, shuffle=True)
        return batch_loader(self._positions, index, max(1, len(index)))

    def val_dataloader(self) -> DataLoader:
        """The validation sets."""
        return self._loader(self.split_indices["val"])

    def test_dataloader(self) -> DataLoader:
        """The test sets."""
        return self._loader(self.split_indices["test"])

    def predict_dataloader(self) -> DataLoader:
        """All sets of ``answers``, labelled or not."""
        return self._loader(self._all_answers)

    def _loader(self, index: Tensor, *, shuffle: bool = False) -> DataLoader:
        if not self.with_vectors:
            return batch_loader(self._positions, index, _POSITIONS_BATCH)
        if self._vectors is None:
            self._vectors = joined_runs(self.table, list(self.runs()))
        return batch_loader(self._vectors.take, index, self.batch_size, shuffle=shuffle)

    def _positions(self, index: Tensor) -> AnswerBatch:
        """Make a batch without vectors."""
        return AnswerBatch(index=index, label=self.table.labels[index], group=self.table.group_hashes[index])

    @property
    def members(self) -> dict[Split, Tensor]:
        """Deprecated name of ``split_indices``."""
        warnings.warn("AnswerDataModule.members is now split_indices", FutureWarning, stacklevel=2)
        return self.split_indices

    def take(self, index: Tensor) -> AnswerBatch:
        """Deprecated name of `batch`."""
        warnings.warn("AnswerDataModule.take is now batch", FutureWarning, stacklevel=2)
        return self.batch(index)


def _check_least(**sizes: tuple[int, int]) -> None:
    """Refuse arguments below their smallest allowed value."""
    for name, (value, least) in sizes.items():
        if value < least:
            raise SGPUError(f"{name}: expected at least {least}, got {value}")
