"""Sample a whole task into a store, going on where an earlier run stopped."""

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
from sgpu_lightning.sampling.progress import SamplingProgress
from sgpu_lightning.sampling.sampler import Failed, Sampler
from sgpu_lightning.sampling.store_writer import OutcomeWriter
from sgpu_lightning.tasks.question import Question

OnFailure = Literal["raise", "skip"]
_HOPELESS = 100  # failures from the start, without an answer between, after which the fault is not the questions'


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
    """Ask every question that the store does not have yet.

    Under a launcher of several processes each takes its part, and all return when the last is through.

    Args:
        sampler: Who is asked, and how.
        questions: With unique ids.
        out: The store's folder.
        task: Name of the task; the records' ``dataset``.
        grader: Name of the grader that fits it, kept in the manifest: what the store is graded by unless told
            otherwise.
        dtype: How hidden states are stored.
        on_error: At a question that gets no answers: ``skip`` notes the reason (`AnswerStore.failures`) and goes on, a
            later run asks it again; ``raise`` stops.
        progress: Whether to show a progress bar.

    Returns:
        The store; all questions are answered or among its failures.

    Raises:
        StoreError: If the store was made with another model or other settings, holds other questions of the same ids,
            or cannot be written. What was written before is whole.
        SamplingError: If two questions have one id. With ``raise``, at the first question without answers; always, if
            the first hundred get none.
    """
    launch = Launch.of_this_process()
    launch.warn_if_alone()
    source = {"kind": "sample", "task": task, "vector_dtype": dtype} | sampler.describe()
    store = AnswerStore.create(out, source | ({"grader": grader} if grader else {}), rank=launch.rank)
    with store.locked():
        pass  # a store that cannot be written is better refused before any question is asked
    known = {record.id: _identity(record) for record in store.records()}
    if repeated := [name for name, count in Counter(question.id for question in questions).items() if count > 1]:
        raise SamplingError(f"task '{task}': expected an id of its own for each question, got '{repeated[0]}' twice")
    for question in questions:
        if known.get(question.id, _identity(question)) != _identity(question):
            raise StoreError(
                f"{out}: question '{question.id}' is there with another text, context, image or gold answers; "
                "sample the changed task into another store"
            )
    mine = launch.share(questions)
    todo = [question for question in mine if question.id not in known]
    writer = OutcomeWriter(store, sampler, todo, task=task, dtype=dtype, rank=launch.rank)
    with SamplingProgress(sampler.model_name, len(mine), len(mine) - len(todo), launch, show=progress) as bar:
        _ask(sampler, todo, writer, bar, on_error)
    launch.wait_for_all()
    if launch.is_main:
        tidy_failures(out, store.ids())
    return store


def failure_summary(failures: dict[str, str], asked: int, out: Path, most: int = 5) -> str:
    """How many questions got no answers, and the first few reasons."""
    shown = "\n".join(f"  {name}: {reason}" for name, reason in list(failures.items())[:most])
    more = f"\n  ... and {len(failures) - most} more" if len(failures) > most else ""
    return (
        f"{len(failures)} of {asked} questions got no answers; all the others are in {out}. Run again to ask these "
        f"again (reasons in {out / 'failures'}):\n{shown}{more}"
    )


def failures_among(store: AnswerStore, questions: Iterable[Question]) -> dict[str, str]:
    """Why questions got no answers, by id, in the questions' order."""
    failures = store.failures()
    return {question.id: failures[question.id] for question in questions if question.id in failures}


def _ask(
    sampler: Sampler, todo: Sequence[Question], writer: OutcomeWriter, bar: SamplingProgress, on_error: OnFailure
) -> None:
    failed = answered = 0
    outcomes = sampler.answer(todo)
    with ExitStack() as stack:
        stack.callback(writer.write)  # whatever happens, what was answered is kept
        if isinstance(outcomes, Generator):
            stack.callback(outcomes.close)
        for outcome in outcomes:
            writer.add(outcome)
            if isinstance(outcome, Failed):
                failed += 1
                if on_error == "raise":
                    raise SamplingError(f"{outcome.reason}; --on_error skip goes on with the other questions")
                if failed == _HOPELESS and not answered:
                    raise SamplingError(f"none of the first {failed} questions got answers; the last: {outcome.reason}")
                bar.advance(0)
            else:
                answered += 1
                bar.advance(len(outcome.record.answers) + (outcome.record.greedy is not None))
        for question in writer.unanswered:
            writer.add(Failed(question, f"question '{question.id}': the sampler gave neither answers nor a reason"))


def _identity(one: Question | AnswerSet) -> tuple[object, ...]:
    """What must not change under an id. Of an image the file's name: the same images may lie in another folder."""
    return one.question, one.context, one.gold, one.image and PurePath(one.image).name
