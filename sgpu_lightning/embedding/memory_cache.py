"""A cache of embeddings in memory, with a size limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sgpu_lightning.embedding.encoder import Encoder

if TYPE_CHECKING:
    import numpy.typing as npt

_TEXT_BYTES = 400  # per text, in addition to its vector: the text, and overhead of the dictionary and the array


class RememberingEncoder:
    """An encoder that keeps the most recently used embeddings in memory; writes nothing to disk.

    Args:
        encoder: The encoder that is called for texts that are not cached.
        max_bytes: Approximate memory limit of the cache in bytes.
    """

    def __init__(self, encoder: Encoder, max_bytes: int = 128 * 2**20) -> None:
        self._encoder = encoder
        self.name, self.revision, self.dim = encoder.name, encoder.revision, encoder.dim
        self.most = max(1, max_bytes // (4 * encoder.dim + _TEXT_BYTES))  # number of texts
        self._known: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of the texts in their order, [n, d]."""
        place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        vectors = np.empty((len(place), self.dim), np.float32)
        missing = []
        for text, i in place.items():
            known = self._known.get(text)
            if known is None:
                missing.append(text)
            else:
                vectors[i] = known
                self._known.move_to_end(text)
        if missing:
            fresh = self._encoder.encode(missing)
            vectors[[place[text] for text in missing]] = fresh
            # Rows are copied, because a view would keep the whole array in memory. Only the last `most` fit the cache.
            kept = missing[-self.most :]
            self._known.update((text, row.copy()) for text, row in zip(kept, fresh[-len(kept) :], strict=True))
            while len(self._known) > self.most:
                self._known.popitem(last=False)
        return vectors[[place[text] for text in texts]]
