"""What sampling gives for one question."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.tasks.question import Question


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a model gave for one question.

    Args:
        record: The question with its N answers, the greedy one and the answers' log-probabilities; see
            ``SeededChoice.logprobs``. ``meta`` holds ``answer_tokens`` [N] and ``greedy_tokens``, how many tokens each
            log-probability is summed over, ``greedy_logprob``, and ``cut``, how many of the N + 1 answers met the
            length limit.
        vectors: For each recorded layer the hidden states of the answers, [N, d], and of the greedy one, [d]; float32
            on the CPU, not normalised.
    """

    record: AnswerSet
    vectors: dict[int, tuple[Tensor, Tensor]]


def build_record(
    question: Question, texts: list[str], logprobs: list[float], tokens: list[int], cut: list[bool], model: str
) -> AnswerSet:
    """One question's record from its N + 1 rows, the greedy one first."""
    return AnswerSet(
        id=question.id,
        question=question.question,
        context=question.context,
        gold=question.gold,
        group=question.group,
        greedy=texts[0],
        answers=tuple(texts[1:]),
        logprobs=tuple(logprobs[1:]),
        model=model,
        modality="text" if question.image is None else "image",
        image=question.image,
        meta={
            "answer_tokens": tokens[1:],
            "greedy_tokens": tokens[0],
            "greedy_logprob": logprobs[0],
            "cut": sum(cut),
        }
        | ({"rivals": list(question.rivals)} if question.rivals else {}),
    )


def split_rows(vectors: dict[int, Tensor], first: int, rows: int) -> dict[int, tuple[Tensor, Tensor]]:
    """One question's vectors from the batch's, [all rows, d]: its answers [N, d] and its greedy one [d]."""
    # Copies: a slice would keep, and save, the vectors of the whole batch.
    return {layer: (table[first + 1 : first + rows].clone(), table[first].clone()) for layer, table in vectors.items()}
