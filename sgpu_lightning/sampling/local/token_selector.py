"""Selection of every row's next token: the most likely one in greedy rows, a seeded draw in sampled rows."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import torch
from torch import Tensor

from sgpu_lightning.sampling.sampling_settings import SamplingSettings


def uniform_draws(seed: int, question_id: str, answer: int, count: int) -> list[float]:
    """Uniform random numbers in [0, 1) for one sampled answer, one per token.

    They depend on the arguments only, and a longer list begins with the shorter one. Python documents that
    ``random()`` gives the same numbers for an integer seed in every version; torch does not promise this across
    devices.

    Args:
        seed: The sampling seed.
        question_id: The question's id.
        answer: Number of the sampled answer, from 1.
        count: How many numbers to draw.
    """
    key = f"{seed}\n{answer}\n{question_id}".encode()
    generator = random.Random(int.from_bytes(hashlib.sha256(key).digest(), "big"))
    return [generator.random() for _ in range(count)]


class TokenSelector:
    """Selects the next token of every row.

    Rows are grouped by question: ``row = question * (N + 1) + j``. Row j = 0 is greedy and takes the largest score.
    Rows j = 1..N are sampled from ``softmax(scores / temperature)``, restricted by top-k and then by top-p.

    A token is drawn by inverting the cumulative distribution at one uniform number (`uniform_draws`). The Gumbel
    trick gives the same distribution but needs, at every step, one number for each row and vocabulary entry, drawn on
    the device. Inversion needs one number per row, which is the same on every device and in every batch.

    Args:
        question_ids: The id of each question in the batch.
        settings: How answers are sampled.
        steps: Number of tokens to select in each row at most.
    """

    def __init__(self, question_ids: Sequence[str], settings: SamplingSettings, steps: int) -> None:
        from transformers import TopKLogitsWarper, TopPLogitsWarper

        self._temperature = settings.temperature
        self._warpers = [
            *([] if settings.top_k is None else [TopKLogitsWarper(settings.top_k)]),
            *([] if settings.top_p is None else [TopPLogitsWarper(settings.top_p)]),
        ]
        answers = range(1, settings.num_answers + 1)
        draws = [uniform_draws(settings.seed, name, j, steps) for name in question_ids for j in answers]
        self._uniforms = torch.tensor(draws, dtype=torch.float64)
        rows = torch.arange(len(question_ids) * (settings.num_answers + 1))
        self._sampled_rows = rows[rows % (settings.num_answers + 1) != 0]
        self._step = 0

    def select(self, input_ids: Tensor, scores: Tensor, exact: Tensor) -> Tensor:
        """Select each row's next token; every call is the next step.

        Args:
            input_ids: The tokens so far, [rows, length].
            scores: The model's scores, [rows, vocabulary].
            exact: The same scores in float64, [rows, vocabulary], on any device.

        Returns:
            Token ids, [rows], on the device of ``exact``.
        """
        self._uniforms = self._uniforms.to(exact.device)
        self._sampled_rows = self._sampled_rows.to(exact.device)
        selected = scores.argmax(dim=-1).to(exact.device)
        selected[self._sampled_rows] = self._draw(input_ids, exact[self._sampled_rows])
        self._step += 1
        return selected

    def _draw(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        warped = scores / self._temperature
        for warper in self._warpers:
            warped = warper(input_ids, warped)
        cdf = warped.softmax(dim=-1).cumsum(dim=-1)
        # Uniform numbers are at most 1 - 2^-53, so the product stays below the total, and the token found has a
        # probability above 0.
        uniform = self._uniforms[:, self._step, None]
        found = torch.searchsorted(cdf, uniform * cdf[:, -1:], right=True).squeeze(1)
        # With scores that are not finite the search finds nothing. Their log-probability reveals them later: it is not
        # finite either, see `RowTrace.logprobs`.
        return found.clamp(max=scores.shape[-1] - 1)
