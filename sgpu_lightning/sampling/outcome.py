"""The outcome of asking one question: its answers, or the reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.tasks.question import Question


@dataclass(frozen=True, slots=True)
class Sampled:
    """The answers a model gave to one question.

    Args:
        record: The question with its N sampled answers, the greedy answer and the log-probability of each answer; see
            ``RowTrace.logprobs``. ``meta`` holds ``answer_tokens`` [N] and ``greedy_tokens`` (the number of tokens each
            log-probability is summed over), ``greedy_logprob``, and ``cut`` (how many of the N + 1 answers reached the
            length limit).
        vectors: For each recorded layer, the hidden states of the sampled answers, [N, d], and of the greedy answer,
            [d]; float32 on the CPU, not normalised.
    """

    record: AnswerSet
    vectors: dict[int, tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Failed:
    """A question that got no answers in this run; a later run asks it again.

    Args:
        question: The question.
        reason: The reason, in one line.
    """

    question: Question
    reason: str


Outcome = Sampled | Failed


def build_record(
    question: Question, texts: list[str], logprobs: list[float], tokens: list[int], cut: list[bool], model: str
) -> AnswerSet:
    """Build one question's record from its N + 1 generated rows, the greedy one first.

    Args:
        question: The question that was asked.
        texts: The text of each row, [N + 1].
        logprobs: The summed log-probability of each row in nats, [N + 1].
        tokens: The number of tokens each log-probability is summed over, [N + 1].
        cut: Whether each row reached the length limit, [N + 1].
        model: Name of the model.
    """
    meta = {"answer_tokens": tokens[1:], "greedy_tokens": tokens[0], "greedy_logprob": logprobs[0], "cut": sum(cut)}
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
        meta=meta | ({"rivals": list(question.rivals)} if question.rivals else {}),
    )


def split_rows(vectors: dict[int, Tensor], own: slice) -> dict[int, tuple[Tensor, Tensor]]:
    """One question's vectors from those of the batch: its sampled answers, [N, d], and its greedy answer, [d].

    Args:
        vectors: For each layer the vectors of all rows, [rows, d].
        own: The question's N + 1 rows, the greedy one first.
    """
    # Copies: a view would keep the vectors of the whole batch in memory, and save them.
    return {layer: (table[own][1:].clone(), table[own][0].clone()) for layer, table in vectors.items()}
