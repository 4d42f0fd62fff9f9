"""The logits processor through which ``generate`` gets every token from us."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sgpu_lightning.sampling.local.row_trace import RowTrace
from sgpu_lightning.sampling.local.token_selector import TokenSelector
from sgpu_lightning.sampling.sampling_settings import SamplingSettings


class SelectingProcessor:
    """Connects token selection, bookkeeping and recording: leaves ``generate`` a single possible token in each row.

    Args:
        selector: Selects the tokens.
        trace: Keeps the selected tokens and their log-probabilities.
        on_selected: Called after every step with the rows whose new token is part of their answer, bool, [rows]; see
            ``HiddenStateRecorder.mark``. None: nobody is called.
    """

    def __init__(
        self, selector: TokenSelector, trace: RowTrace, on_selected: Callable[[Tensor], None] | None = None
    ) -> None:
        self.selector, self.trace = selector, trace
        self._on_selected = on_selected

    @classmethod
    def for_batch(
        cls,
        question_ids: Sequence[str],
        settings: SamplingSettings,
        eos_ids: Sequence[int],
        on_selected: Callable[[Tensor], None] | None = None,
    ) -> SelectingProcessor:
        """Create the processor for the N + 1 rows of each question of a batch.

        Args:
            question_ids: The id of each question in the batch.
            settings: How answers are sampled.
            eos_ids: The tokens that end an answer; may be empty.
            on_selected: See the class.
        """
        # One step more than an answer may have tokens, see `generate_rows`.
        selector = TokenSelector(question_ids, settings, settings.max_new_tokens + 1)
        rows = len(question_ids) * (settings.num_answers + 1)
        return cls(selector, RowTrace(rows, settings.max_new_tokens, eos_ids), on_selected)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Select each row's next token.

        Args:
            input_ids: The tokens so far, [rows, length].
            scores: The model's scores, [rows, vocabulary].

        Returns:
            Scores that are 0 at the selected token and -inf elsewhere, [rows, vocabulary].
        """
        # MPS has no float64; the CPU selects the same token.
        exact = (scores.cpu() if scores.device.type == "mps" else scores).double()
        selected = self.selector.select(input_ids, scores, exact)
        active = self.trace.add(selected, exact.log_softmax(dim=-1).gather(1, selected[:, None]).squeeze(1))
        if self._on_selected is not None:
            self._on_selected(active)
        index = selected.to(scores.device)[:, None]
        return torch.full_like(scores, -torch.inf).scatter_(1, index, 0.0)
