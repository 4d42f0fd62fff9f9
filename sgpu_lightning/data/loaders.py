"""DataLoaders over positions of answer sets: a batch is fetched by indexing tensors, not set by set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sgpu_lightning.features.answer_batch import AnswerBatch


def batch_loader(
    fetch: Callable[[Tensor], AnswerBatch], index: Tensor, batch_size: int, *, shuffle: bool = False
) -> DataLoader:
    """A DataLoader of `AnswerBatch`.

    Args:
        fetch: From positions of answer sets, int64 [B], to their batch.
        index: Positions of the answer sets to load, int64 [n].
        batch_size: B.
        shuffle: Whether to load them in another order in each epoch.
    """
    return DataLoader(_Positions(fetch, index), batch_size=batch_size, shuffle=shuffle, collate_fn=_unchanged)


class _Positions(Dataset[AnswerBatch]):
    """Positions of answer sets. A list of them is fetched as one batch."""

    def __init__(self, fetch: Callable[[Tensor], AnswerBatch], index: Tensor) -> None:
        self._fetch, self._index = fetch, index

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, positions: Sequence[int]) -> AnswerBatch:
        return self._fetch(self._index[list(positions)])

    def __getitems__(self, positions: Sequence[int]) -> AnswerBatch:
        return self[positions]


def _unchanged(batch: Any) -> AnswerBatch:
    """The collate function: the dataset gives whole batches."""
    return batch
