"""Base class of the metric classes: it keeps every probability and label, in float64."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from sgpu_lightning.metrics.functional.probability_checks import check_inputs, float64_device


class ProbabilityMetric(Metric):
    """A metric of P(correct) against whether the answer is right, over all answers seen since the last reset.

    As input to ``forward`` and ``update`` the metric accepts:

    - ``probs`` (:class:`~torch.Tensor`): P(correct) of each answer, any real dtype, shape ``(n,)``, in [0, 1].
    - ``labels`` (:class:`~torch.Tensor`): 1 if the answer is right else 0, any real dtype, shape ``(n,)``.

    As output of ``forward`` and ``compute`` it returns a float64 scalar; nan, with a warning, if no answer was seen. A
    batch without answers changes nothing. The states stay float64 when the module that holds the metric is moved to
    another dtype.

    Args:
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: On ``update``, if ``probs`` or ``labels`` is not as described.

    """

    is_differentiable: bool = False
    full_state_update: bool = False
    plot_lower_bound: float = 0.0

    probs: list[Tensor]
    labels: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Labels are floating point too: torchmetrics cannot gather integers from a rank that has seen no data.
        self.add_state("probs", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the states, always float64; torchmetrics assumes it for a rank without data."""
        return torch.float64

    def set_dtype(self, dst_type: str | torch.dtype) -> ProbabilityMetric:
        """Do nothing: the states stay float64, see `dtype`."""
        return self

    def update(self, probs: Tensor, labels: Tensor) -> None:
        """Add a batch to the states.

        Args:
            probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
            labels: 1 if the answer is right else 0, shape ``(n,)``.

        Raises:
            ValueError: If ``probs`` or ``labels`` is not as described.

        """
        if probs.shape == labels.shape == (0,):
            return
        probs, labels = check_inputs(probs, labels)
        # Cloned: float64 inputs are returned without a copy, and the caller may write into them later.
        self.probs.append(probs.detach().clone())
        self.labels.append(labels.detach().clone())

    def compute(self) -> Tensor:
        """Compute the metric over all answers seen; nan, with a warning, if there are none."""
        # A list before ranks are synchronised and a tensor afterwards; len is 0 for both if there is no data.
        if len(self.probs) == 0:
            warnings.warn(
                f"{type(self).__name__} has seen no answers since the last reset. Returning nan.",
                UserWarning,
                stacklevel=2,
            )
            return torch.tensor(torch.nan, dtype=self.dtype, device=self.device)
        return self._score(dim_zero_cat(self.probs), dim_zero_cat(self.labels))

    @abstractmethod
    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        """Compute the pure function of the metric on all answers, probs and labels of shape (n,)."""

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        # Module.to(dtype) and set_dtype of an enclosing module would round the states: only the device may change.
        device = float64_device(fn(torch.zeros(1, device=self.device)).device)
        return super()._apply(lambda state: state.to(device), exclude_state)
