"""Natural language inference (NLI) between answers by a cross-encoder, loaded at its first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored import scored_answer
from sgpu_lightning.errors import SGPUError

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

DEFAULT_NLI = "cross-encoder/nli-deberta-v3-base"
LABELS = ("contradiction", "neutral", "entailment")


class NLIError(SGPUError):
    """An NLI model cannot be loaded, or a model is not an NLI model."""


class NLI(Protocol):
    """A model that judges pairs of texts; ``with_question`` says whether each answer is put after its question."""

    with_question: bool

    def logits(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """Logits of contradiction, neutral and entailment for each (premise, hypothesis), float64 [n, 3]."""
        ...


@dataclass(frozen=True)
class NLIMatrices:
    """Judgements of an NLI model about the answers of each set; classes in the order of `LABELS`.

    Args:
        logits: Logits with answer i as premise and answer j as hypothesis, [B, N, N, 3].
        scored: Logits with the scored answer as premise and answer j as hypothesis, [B, N, 3]; without them, semantic
            density is not computed.
    """

    logits: Tensor
    scored: Tensor | None = None

    def take(self, rows: Tensor, count: int) -> NLIMatrices:
        """Matrices of some of the sets, in float64 on the CPU.

        Args:
            rows: Indices of the sets, int64 [b].
            count: Number of answers in each of them.
        """
        scored = None if self.scored is None else self.scored[rows, :count].cpu().double()
        return NLIMatrices(self.logits[rows, :count, :count].cpu().double(), scored)

    @property
    def probabilities(self) -> Tensor:
        """Probabilities of the three classes, [B, N, N, 3]."""
        return self.logits.softmax(-1)

    @property
    def entail(self) -> Tensor:
        """Probability that i entails j, [B, N, N]."""
        return self.probabilities[..., 2]

    @property
    def contradict(self) -> Tensor:
        """Probability that i contradicts j, [B, N, N]."""
        return self.probabilities[..., 0]

    @property
    def classes(self) -> Tensor:
        """Index in `LABELS` of the most probable class, int64 [B, N, N]."""
        return self.logits.argmax(-1)


class NLICrossEncoder:
    """A cross-encoder of the sentence-transformers library with the three classes of NLI.

    Args:
        name: A folder or a hub id; the model is loaded at the first call.
        revision: Revision of a hub id.
        device: Torch device; None lets sentence-transformers choose.
        batch_size: Number of pairs in a batch.
        with_question: Whether to put each answer after its question, as Farquhar et al. do: "Paris" entails "It is
            Paris" only as an answer to a question.

    Raises:
        NLIError: At the first use, if the model cannot be loaded or its classes are not those of NLI.
    """

    def __init__(
        self,
        name: str = DEFAULT_NLI,
        *,
        revision: str | None = None,
        device: str | None = None,
        batch_size: int = 64,
        with_question: bool = True,
    ) -> None:
        self.name, self.revision, self.with_question = name, revision, with_question
        self._device, self._batch_size = device, batch_size

    def logits(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """Logits of contradiction, neutral and entailment for each (premise, hypothesis), float64 [n, 3]."""
        if not pairs:
            return torch.empty(0, len(LABELS), dtype=torch.float64)
        scores = self._model.predict(
            list(pairs),
            batch_size=self._batch_size,
            activation_fn=torch.nn.Identity(),
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        return scores.cpu().double()[:, self._order]

    @cached_property
    def _model(self) -> CrossEncoder:
        from sentence_transformers import CrossEncoder

        try:
            return CrossEncoder(self.name, revision=self.revision, device=self._device, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise NLIError(
                f"NLI model '{self.name}': neither a folder here nor loadable from the hub ({error}); expected a "
                f"cross-encoder with the classes {', '.join(LABELS)}, such as '{DEFAULT_NLI}'"
            ) from error

    @cached_property
    def _order(self) -> list[int]:
        classes = getattr(self._model.config, "id2label", None) or {}
        names = {str(label).lower(): int(i) for i, label in classes.items()}
        if set(names) != set(LABELS):
            raise NLIError(
                f"NLI model '{self.name}': expected the classes {', '.join(LABELS)}, got {', '.join(names)}; "
                "set id2label in its config.json"
            )
        return [names[label] for label in LABELS]


def nli_matrices(records: Sequence[AnswerSet], nli: NLI) -> NLIMatrices:
    """Judge every ordered pair of the answers of each set, and each distinct pair once.

    Args:
        records: The B answer sets.
        nli: The model.

    Returns:
        The matrices, padded with zeros to the longest set.
    """
    longest = max(len(record.answers) for record in records)
    number: dict[tuple[str, str], int] = {}
    pair = torch.full((len(records), longest + 1, longest), -1)
    for b, record in enumerate(records):
        prefix = f"{record.question} " if nli.with_question and record.question else ""
        texts = [prefix + text for text in (*record.answers, scored_answer(record))]
        n = len(record.answers)
        ids = [number.setdefault((one, other), len(number)) for one in texts for other in texts[:n]]
        rows = torch.tensor(ids).view(n + 1, n)
        pair[b, :n, :n], pair[b, longest, :n] = rows[:n], rows[n]
    table = torch.cat([nli.logits(list(number)), torch.zeros(1, len(LABELS), dtype=torch.float64)])
    logits = table[pair]  # -1 is padding, and indexes the row of zeros
    return NLIMatrices(logits[:, :longest], logits[:, longest])
