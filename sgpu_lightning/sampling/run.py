"""A sampling run: ask every question of a task into a store, and continue an interrupted run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Literal

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.failures import tidy_failures
from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from sgpu_lightning.answers.storage.vectors import VectorDtype
from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.launch import Launch
from sgpu_lightning.sampling.outcome import Failed
from sgpu_lightning.sampling.progress import SamplingProgress
from sgpu_lightning.sampling.sampler_protocol import Sampler
from sgpu_lightning.sampling.store_writer import OutcomeWriter
from sgpu_lightning.tasks.question import Question

OnFailure = Literal["raise", "skip"]
# If this many questions fail before the first answer, the cause is not the single question, and the run stops.
_ABORT_AFTER = 100


def sample_to_store(
    sampler: Sampler,
    questions: Sequence[Question],
    out: Path,
    *,
    task: str = "",
    grader: str | None = None,
    dtype: VectorDtype = "float32",
    on_error: OnFailure = "skip",
    progress: bool = True,
) -> AnswerStore:
    """Ask every question that is not yet in the store.

    If a launcher started several processes, each asks its own part of the questions, and all return when the last one
    has finished.

    Args:
        sampler: The sampler that answers the questions.
        questions: The questions, with unique ids.
        out: The store's folder.
        task: Name of the task, which becomes the records' ``dataset``.
        grader: Name of the task's grader. It is written to the manifest and grades the store unless another one is
            given.
        dtype: Number format in which hidden states are stored.
        on_error: What to do when a question gets no answers: ``skip`` records the reason (`AnswerStore.failures`) and
            continues, and a later run asks the question again; ``raise`` stops the run.
        progress: Whether to show a progress bar.

    Returns:
        The store. Every question is either answered or among the store's failures.

    Raises:
        StoreError: If the store was made with another model or other settings, contains other questions with the same
            ids, or cannot be written. What was written before stays intact.
        SamplingError: If two questions have the same id. With ``raise``, at the first question without answers. With
            either setting, if the first 100 questions get no answers.
    """
    launch = Launch.of_this_process()
    launch.warn_if_alone()
    source = {"kind": "sample", "task": task, "vector_dtype": dtype} | sampler.describe()
    store = AnswerStore.create(out, source | ({"grader": grader} if grader else {}), rank=launch.rank)
    with store.locked():
        pass  # fails now, before any question is asked, if the store cannot be written
    stored = {record.id: _identity(record) for record in store.records()}
    _check_questions(questions, stored, out, task)
    own = launch.select(questions)
    todo = [question for question in own if question.id not in stored]
    writer = OutcomeWriter(store, sampler, todo, task=task, dtype=dtype, rank=launch.rank)
    with SamplingProgress(sampler.model_name, len(own), len(own) - len(todo), launch, show=progress) as bar:
        _ask(sampler, todo, writer, bar, on_error)
    launch.wait_for_all()
    if launch.is_main:
        tidy_failures(out, store.ids())
    return store


def failure_summary(failures: dict[str, str], asked: int, out: Path, most: int = 5) -> str:
    """Describe how many questions got no answers, with the first few reasons.

    Args:
        failures: The reasons by question id.
        asked: Number of questions asked.
        out: The store's folder.
        most: Number of reasons to list.
    """
    shown = "\n".join(f"  {name}: {reason}" for name, reason in list(failures.items())[:most])
    more = f"\n  ... and {len(failures) - most} more" if len(failures) > most else ""
    return (
        f"{len(failures)} of {asked} questions got no answers; all the others are in {out}. Run again to ask these "
        f"again (reasons in {out / 'failures'}):\n{shown}{more}"
    )


def failures_among(store: AnswerStore, questions: Iterable[Question]) -> dict[str, str]:
    """Return the failure reasons of the given questions by id, in the questions' order."""
    failures = store.failures()
    return {question.id: failures[question.id] for question in questions if question.id in failures}


def _check_questions(
    questions: Sequence[Question], stored: dict[str, tuple[object, ...]], out: Path, task: str
) -> None:
    """Refuse repeated ids, and questions that changed since they were stored under the same id."""
    if repeated := [name for name, count in Counter(question.id for question in questions).items() if count > 1]:
        raise SamplingError(f"task '{task}': expected a unique id for each question, got '{repeated[0]}' twice")
    for question in questions:
        if stored.get(question.id, _identity(question)) != _identity(question):
            raise StoreError(
                f"{out}: the store has question '{question.id}' with another text, context, image or gold answers; "
                "sample the changed task into another store"
            )


def _ask(
    sampler: Sampler, todo: Sequence[Question], writer: OutcomeWriter, bar: SamplingProgress, on_error: OnFailure
) -> None:
    failed = answered = 0
    outcomes = sampler.answer(todo)
    with ExitStack() as stack:
        stack.callback(writer.write)  # answers received so far are written even if the run stops with an error
        if isinstance(outcomes, Generator):
            stack.callback(outcomes.close)
        for outcome in outcomes:
            writer.add(outcome)
            if isinstance(outcome, Failed):
                failed += 1
                if on_error == "raise":
                    raise SamplingError(f"{outcome.reason}; --on_error skip continues with the other questions")
                if failed == _ABORT_AFTER and not answered:
                    raise SamplingError(f"none of the first {failed} questions got answers; the last: {outcome.reason}")
                bar.advance(0)
            else:
                answered += 1
                bar.advance(len(outcome.record.answers) + (outcome.record.greedy is not None))
        for question in writer.unanswered:
            writer.add(Failed(question, f"question '{question.id}': the sampler gave neither answers nor a reason"))


def _identity(item: Question | AnswerSet) -> tuple[object, ...]:
    """The content that must not change under an id.

    Of an image only the file name counts, because the same images may lie in another folder.
    """
    return item.question, item.context, item.gold, item.image and PurePath(item.image).name
