"""Settings of the evaluation commands, whose fields are the commands' options.

Nothing here imports torch, so that a command prints its help at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Literal, TypeVar

from sgpu_lightning.errors import EvaluationError

LeaveOut = Literal["model", "dataset", "modality", "set"]
SharedQuestions = Literal["refuse", "cross_fit"]
_Settings = TypeVar("_Settings", bound=type)


def accept_renamed(**renamed: str) -> Callable[[_Settings], _Settings]:
    """Make a settings class accept the former names of fields, with a `DeprecationWarning`.

    Args:
        renamed: The present name of each former name.
    """

    def decorate(settings: _Settings) -> _Settings:
        construct = settings.__init__  # type: ignore[misc]

        @wraps(construct)
        def accept(self: Any, **values: Any) -> None:
            for former, present in renamed.items():
                if former in values:
                    if present in values:
                        raise EvaluationError(
                            f"{former}: renamed to {present}, which is given as well; give one of them"
                        )
                    message = f"{former} is deprecated: use {present}"
                    warnings.warn(message, DeprecationWarning, stacklevel=2)
                    values[present] = values.pop(former)
            construct(self, **values)

        settings.__init__ = accept  # type: ignore[misc]
        return settings

    return decorate


@dataclass(frozen=True, kw_only=True)
class ReadingSettings:
    """How answer files and stores are read; see `load_evaluation_set`.

    Args:
        encoder: Sentence encoder for black-box vectors; null for a store's hidden states.
        layers: Decoder layers of the hidden states; null for all layers of the store.
        token: ``last`` or ``mean`` hidden states; null for the kind that the store holds.
        grader: Grader that labels answer sets with gold answers but without a label.
    """

    encoder: str | None = "minilm"
    layers: list[int] | None = None
    token: Literal["last", "mean"] | None = None
    grader: str = "alias"


@dataclass(frozen=True, kw_only=True)
class CompareSettings(ReadingSettings):
    """Settings of a comparison.

    Args:
        folds: Number of cross-validation folds; groups are not split.
        seed: Random seed of the folds and the bootstrap.
        resamples: Number of bootstrap resamples.
    """

    folds: int = 5
    seed: int = 0
    resamples: int = 1000

    def __post_init__(self) -> None:
        check_sizes("folds", [self.folds], 2)
        check_sizes("resamples", [self.resamples], 1)


@dataclass(frozen=True, kw_only=True)
class LabelSettings(ReadingSettings):
    """Settings of a learning curve over labels.

    Args:
        labels: Numbers of labelled answer sets to fit on; whole groups are drawn until each number is reached.
        warm_start: Whether to also start from predictors fitted on the other files, once without any question of the
            present file and, where files share questions, once without only the questions evaluated on.
        draws: Number of random draws of labels; metrics are averaged over draws.
        evaluate_on: Largest number of answer sets to evaluate on, drawn at random from half of the groups; labels are
            drawn from the other half.
        seed: Random seed of all draws.
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
class AnswerSettings(ReadingSettings):
    """Settings of a curve over numbers of answers.

    Args:
        answers: Numbers of answers to evaluate with. Answer sets with fewer answers keep all of theirs; numbers above a
            file's largest answer set are left out for that file.
        subsets: Number of random answer subsets that the ``subsets`` predictor is fitted on besides all answers, see
            `AnswerDataModule`.
        folds: Number of cross-validation folds; groups are not split.
        sets: Approximate number of answer sets used of each file, drawn at random in whole groups; all of them where a
            file has no more.
        seed: Random seed of the folds and all draws.
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


@accept_renamed(caution="prior_strength")
@dataclass(frozen=True, kw_only=True)
class TransferSettings(ReadingSettings):
    """Settings of a transfer evaluation. The former name of ``prior_strength``, ``caution``, is still accepted.

    Args:
        shared_questions: What to do where a source holds questions of the target: raise an error (refuse), or evaluate
            each fold of the target by a fit without that fold's questions (cross_fit).
        folds: Number of folds of the target; a hash of the group decides the fold, which is the same in every file.
        labels: Numbers of target labels to fit on; [] for none.
        draws: Number of random draws of these labels from each fold.
        prior_strength: Strength c >= 0 of the Beta prior on the target's proportion of right answers in the label-shift
            correction: its pseudo-count is c times the number of target answer sets; 0 is plain EM.
        seed: Random seed of the folds, the draws and the bootstrap.
        resamples: Number of bootstrap resamples.
    """

    shared_questions: SharedQuestions = "refuse"
    folds: int = 5
    labels: list[int] = field(default_factory=lambda: [25, 50, 100])
    draws: int = 2
    prior_strength: float = 1.0
    seed: int = 0
    resamples: int = 1000

    def __post_init__(self) -> None:
        check_sizes("folds", [self.folds], 2)
        check_sizes("draws", [self.draws], 1)
        check_sizes("resamples", [self.resamples], 1)
        if self.labels:
            check_sizes("labels", self.labels, 1)
        if not self.prior_strength >= 0:
            raise EvaluationError(f"prior_strength: expected a number of at least 0, got {self.prior_strength}")


def check_sizes(name: str, sizes: Sequence[int], least: int) -> None:
    """Check that sizes are distinct and large enough.

    Args:
        name: Name of the option, for the message.
        sizes: Its values; at least one is required.
        least: Smallest size allowed.

    Raises:
        EvaluationError: If no size is given, one is below ``least``, or one is repeated.
    """
    if not sizes or min(sizes) < least or len(set(sizes)) < len(sizes):
        expected, got = ("", sizes[0]) if len(sizes) == 1 else ("distinct numbers of ", list(sizes))
        raise EvaluationError(f"{name}: expected {expected}at least {least}, got {got}")
