"""DataLoaders over positions of answer sets. A batch is fetched as a whole by indexing tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sgpu_lightning.features.answer_batch import AnswerBatch


def batch_loader(
    fetch: Callable[[Tensor], AnswerBatch], index: Tensor, batch_size: int, *, shuffle: bool = False
) -> DataLoader:
    """Make a DataLoader that yields `AnswerBatch`.

    Args:
        fetch: Function of the positions of answer sets, int64 [B], that returns their batch.
        index: Positions of the answer sets to load, int64 [n].
        batch_size: Largest number of answer sets in a batch, B.
        shuffle: Whether to load them in another random order in each epoch.
    """
    return DataLoader(_Positions(fetch, index), batch_size=batch_size, shuffle=shuffle, collate_fn=_unchanged)


class _Positions(Dataset[AnswerBatch]):
    """A dataset of positions of answer sets, which fetches a list of positions as one batch."""

    def __init__(self, fetch: Callable[[Tensor], AnswerBatch], index: Tensor) -> None:
        self._fetch, self._index = fetch, index

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, positions: Sequence[int]) -> AnswerBatch:
        return self._fetch(self._index[list(positions)])

    def __getitems__(self, positions: Sequence[int]) -> AnswerBatch:
        return self[positions]


def _unchanged(batch: Any) -> AnswerBatch:
    """Collate function that does nothing, because the dataset already returns whole batches."""
    return batch
