"""The module's cache of features: computed once where nothing before them is learned."""

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
        key: What the features were computed from: the data's table and the settings of the extractor.
        features: Features of the sets with all their answers, and then with each of the data's random answer subsets;
            float64 [n, F] each.
    """

    key: tuple[str, str] | None = None
    features: list[Tensor] = field(default_factory=list)

    def fill(self, data: AnswerDataModule, extract: AnswerFeatures) -> None:
        """Compute the features of a data module's answer sets, unless they are there.

        Vectors are read run after run, so that they are never all in memory.

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
        """Features of the answer sets at these positions, [B, F].

        Raises:
            SGPUError: If no features were cached: a batch without vectors is not from the trainer's data module.
        """
        if not self.features:
            raise SGPUError("batch: expected vectors or features, got neither; use AnswerDataModule.batch")
        return self.features[0][index]
