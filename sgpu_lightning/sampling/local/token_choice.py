"""The choice of every next token: greedy in one row, seeded sampling in the others."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sgpu_lightning.sampling.sampling_settings import SamplingSettings

if TYPE_CHECKING:
    from sgpu_lightning.sampling.recording.hooks import HiddenStateRecorder


def uniform_draws(seed: int, question_id: str, answer: int, count: int) -> list[float]:
    """The numbers in [0, 1) that one sampled answer is drawn with, one for each token.

    They depend on the arguments alone, and a longer list begins with the shorter. Python documents that ``random()``
    gives the same numbers for an integer seed in every version, which torch does not promise across devices.
    """
    key = f"{seed}\n{answer}\n{question_id}".encode()
    generator = random.Random(int.from_bytes(hashlib.sha256(key).digest(), "big"))
    return [generator.random() for _ in range(count)]


class SeededChoice:
    """A logits processor that chooses every row's token and leaves ``generate`` no other.

    Rows are grouped by question: ``row = question * (N + 1) + j``. Row j = 0 is greedy: the largest score. Rows
    j = 1..N are sampled from ``softmax(scores / temperature)``, cut by top-k and then top-p.

    A token is drawn by inverting the distribution function at one uniform number. Gumbel noise would do as well, but
    needs a number for every token of the vocabulary in every row and step, drawn on the device: this needs one, which
    is the same on every device and for every make-up of the batch.

    Args:
        question_ids: The id of each question in the batch.
        settings: How answers are drawn.
        eos_ids: The tokens that end an answer; may be empty.
        recorder: Told which rows' choice belongs to the answer.
    """

    def __init__(
        self,
        question_ids: Sequence[str],
        settings: SamplingSettings,
        eos_ids: Sequence[int],
        recorder: HiddenStateRecorder | None = None,
    ) -> None:
        from transformers import TopKLogitsWarper, TopPLogitsWarper

        self._limit = settings.max_new_tokens
        self._temperature = settings.temperature
        self._warpers = [
            *([] if settings.top_k is None else [TopKLogitsWarper(settings.top_k)]),
            *([] if settings.top_p is None else [TopPLogitsWarper(settings.top_p)]),
        ]
        answers = range(1, settings.num_answers + 1)
        # One more than an answer has tokens: see `generate_rows`.
        draws = [uniform_draws(settings.seed, name, j, self._limit + 1) for name in question_ids for j in answers]
        self._uniforms = torch.tensor(draws, dtype=torch.float64)
        rows = torch.arange(len(question_ids) * (settings.num_answers + 1))
        self._sampled_rows = rows[rows % (settings.num_answers + 1) != 0]
        self._eos_ids = torch.tensor(list(eos_ids), dtype=torch.long)
        self._recorder = recorder
        self._tokens: list[Tensor] = []
        self._finished = torch.zeros(len(rows), dtype=torch.bool)
        self._logprobs = torch.zeros(len(rows), dtype=torch.float64)
        self._lengths = torch.zeros(len(rows), dtype=torch.long)
        self._scored = torch.zeros(len(rows), dtype=torch.long)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Choose each row's next token.

        Args:
            input_ids: The tokens so far, [rows, length].
            scores: The model's scores, [rows, vocabulary].

        Returns:
            Scores that are 0 at the chosen token and -inf elsewhere, [rows, vocabulary].
        """
        # MPS has no float64. The CPU gives the same choice.
        exact = (scores.cpu() if scores.device.type == "mps" else scores).double()
        self._to(exact.device)
        chosen = scores.argmax(dim=-1).to(exact.device)
        chosen[self._sampled_rows] = self._draw(input_ids, exact[self._sampled_rows])
        self._note(chosen, exact.log_softmax(dim=-1).gather(1, chosen[:, None]).squeeze(1))
        index = chosen.to(scores.device)[:, None]
        return torch.full_like(scores, -torch.inf).scatter_(1, index, 0.0)

    def answer_tokens(self) -> list[list[int]]:
        """The token ids of each row's answer, without the end token."""
        table = torch.stack(self._tokens, dim=1).tolist()
        return [row[:length] for row, length in zip(table, self._lengths.tolist(), strict=True)]

    def logprobs(self) -> list[float]:
        """The summed log-probability of each row's answer in nats, [rows].

        Taken from the model's own scores at temperature 1 without top-k and top-p, after what the model's generation
        config does to them. The end token counts, since it is what makes the answer this one and not a longer one;
        an answer cut at the length limit has none.
        """
        return [float(value) for value in self._logprobs.tolist()]

    def scored_tokens(self) -> list[int]:
        """How many tokens each row's log-probability is summed over, [rows]."""
        return [int(value) for value in self._scored.tolist()]

    def cut(self) -> list[bool]:
        """Whether each row's answer was cut at the length limit, [rows]."""
        return [not value for value in self._finished.tolist()]

    def _draw(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        warped = scores / self._temperature
        for warper in self._warpers:
            warped = warper(input_ids, warped)
        cdf = warped.softmax(dim=-1).cumsum(dim=-1)
        # At most 1 - 2^-53, so the product stays below the total, and the token found has a probability above 0.
        uniform = self._uniforms[:, len(self._tokens), None]
        found = torch.searchsorted(cdf, uniform * cdf[:, -1:], right=True).squeeze(1)
        # Scores that are not finite find nothing; their log-probability tells, see `logprobs`.
        return found.clamp(max=scores.shape[-1] - 1)

    def _note(self, chosen: Tensor, logprob: Tensor) -> None:
        counts = ~self._finished
        if len(self._tokens) >= self._limit:
            counts = torch.zeros_like(counts)
        ends = torch.isin(chosen, self._eos_ids)
        active = counts & ~ends
        self._logprobs += torch.where(counts, logprob, torch.zeros_like(logprob))
        self._scored += counts
        self._lengths += active
        self._finished |= counts & ends
        self._tokens.append(chosen)
        if self._recorder is not None:
            self._recorder.mark(active)

    def _to(self, device: torch.device) -> None:
        for name in ("_uniforms", "_sampled_rows", "_eos_ids", "_finished", "_logprobs", "_lengths", "_scored"):
            setattr(self, name, getattr(self, name).to(device))
