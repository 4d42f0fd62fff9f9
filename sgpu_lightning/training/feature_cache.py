"""The module's cache of features, which are computed once if no parameter before the GP is learned."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.extractor import AnswerFeatures


@dataclass(slots=True)
class FeatureCache:
    """Features of all n answer sets of one data module, by position.

    Args:
        key: Key of the data's table and the settings of the extractor that the features were computed from; None if the
            cache is empty.
        features: Features of the sets with all their answers, then of each of their random answer subsets; float64
            [n, F] each.
    """

    key: tuple[str, str] | None = None
    features: list[Tensor] = field(default_factory=list)

    def fill(self, data: AnswerDataModule, extract: AnswerFeatures) -> None:
        """Compute the features of a data module's answer sets, unless they are in the cache.

        Vectors are read in runs of about a thousand answer sets, so that they are never all in memory.

        Args:
            data: The answer sets, set up.
            extract: The extractor.
        """
        key = (data.table.key, extract.extra_repr())
        if self.key == key:
            return
        subsets = data.answer_subsets
        parts: list[list[Tensor]] = [[] for _ in range(1 + len(subsets))]
        with torch.no_grad():
            for run in data.runs():
                for part, batch in zip(parts, [run, *(subset(run) for subset in subsets)], strict=True):
                    part.append(extract(batch).cpu())
        self.key, self.features = key, [torch.cat(part) for part in parts]

    def rows(self, index: Tensor) -> Tensor:
        """Return the features of the answer sets at these positions, [B, F].

        Raises:
            SGPUError: If no features were cached, because the batch does not come from the trainer's data module.
        """
        if not self.features:
            raise SGPUError("batch: expected vectors or features, got neither; use AnswerDataModule.batch")
        return self.features[0][index]
