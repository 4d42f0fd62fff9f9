"""What evaluations are made with; the commands' options are these fields. Nothing here loads torch: help is at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sgpu_lightning.errors import EvaluationError

LeaveOut = Literal["model", "dataset", "modality", "set"]
SharedQuestions = Literal["refuse", "cross_fit"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How answer files and stores are read; see `load_evaluation_set`.

    Args:
        encoder: Sentence encoder for black-box vectors; null for a store's hidden states.
        layers: Decoder layers of the hidden states; null for all that a store holds.
        token: ``last`` or ``mean`` hidden states; null for what a store holds.
        grader: Labels sets that have gold answers but no label.
    """

    encoder: str | None = "minilm"
    layers: list[int] | None = None
    token: Literal["last", "mean"] | None = None
    grader: str = "alias"


@dataclass(frozen=True, kw_only=True)
class CompareSettings(Reading):
    """Of a comparison.

    Args:
        folds: Folds of cross-validation, by group.
        seed: Of folds and bootstrap.
        resamples: Of the bootstrap.
    """

    folds: int = 5
    seed: int = 0
    resamples: int = 1000

    def __post_init__(self) -> None:
        check_sizes("folds", [self.folds], 2)
        check_sizes("resamples", [self.resamples], 1)


@dataclass(frozen=True, kw_only=True)
class LabelSettings(Reading):
    """Of a curve over labels.

    Args:
        labels: Numbers of labelled answer sets; groups are drawn whole until there are as many.
        warm_start: Also start from predictors fitted on the other files: without any question of the one at hand, and,
            where files share questions, without those that are evaluated on.
        draws: How often labels are drawn; metrics are averaged.
        evaluate_on: Half of the groups are evaluated on, and labels drawn from the other half; at most so many answer
            sets are evaluated on, drawn at random.
        seed: Of all that is drawn.
    """

    labels: list[int] = field(default_factory=lambda: [50, 100, 200, 500])
    warm_start: bool = True
    draws: int = 5
    evaluate_on: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_sizes("labels", self.labels, 2)
        check_sizes("draws", [self.draws], 1)
        check_sizes("evaluate_on", [self.evaluate_on], 2)


@dataclass(frozen=True, kw_only=True)
class AnswerSettings(Reading):
    """Of a curve over answers.

    Args:
        answers: Numbers of answers; sets with fewer keep all, and a file leaves out what is above its largest set.
        subsets: Random views that ``subsets`` is fitted on besides all answers, see `AnswerDataModule`.
        folds: Folds of cross-validation, by group.
        sets: About so many answer sets of each file, in whole groups drawn at random; fewer where it has no more.
        seed: Of folds and of all that is drawn.
    """

    answers: list[int] = field(default_factory=lambda: [3, 5, 7, 10, 15, 20])
    subsets: int = 2
    folds: int = 5
    sets: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_sizes("answers", self.answers, 2)
        check_sizes("subsets", [self.subsets], 1)
        check_sizes("folds", [self.folds], 2)
        check_sizes("sets", [self.sets], 2)


@dataclass(frozen=True, kw_only=True)
class TransferSettings(Reading):
    """Of transfer.

    Args:
        shared_questions: A source that holds the target's questions is an error (refuse), or each fold of the target is
            evaluated by a fit without that fold's questions (cross_fit).
        folds: Of the target, by a hash of the group, the same for every file.
        labels: Numbers of target labels to try; [] for none.
        draws: Draws of these labels from each fold.
        caution: Weight of the source's share of right answers in the label-shift correction; 0 is plain EM.
        seed: Of folds, draws and bootstrap.
        resamples: Of the bootstrap.
    """

    shared_questions: SharedQuestions = "refuse"
    folds: int = 5
    labels: list[int] = field(default_factory=lambda: [25, 50, 100])
    draws: int = 2
    caution: float = 1.0
    seed: int = 0
    resamples: int = 1000

    def __post_init__(self) -> None:
        check_sizes("folds", [self.folds], 2)
        check_sizes("draws", [self.draws], 1)
        check_sizes("resamples", [self.resamples], 1)
        if self.labels:
            check_sizes("labels", self.labels, 1)
        if not self.caution >= 0:
            raise EvaluationError(f"caution: expected a number of at least 0, got {self.caution}")


def check_sizes(name: str, sizes: Sequence[int], least: int) -> None:
    """Refuse sizes that are none, too small or there twice.

    Raises:
        EvaluationError: Naming the option.
    """
    if not sizes or min(sizes) < least or len(set(sizes)) < len(sizes):
        expected, got = ("", sizes[0]) if len(sizes) == 1 else ("distinct numbers of ", list(sizes))
        raise EvaluationError(f"{name}: expected {expected}at least {least}, got {got}")
