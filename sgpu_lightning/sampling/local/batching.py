"""Batches of questions with prompts of similar length, as large as memory allows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence

from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.outcome import Failed, Outcome, Sampled
from sgpu_lightning.tasks.question import Question

# Number of questions that are sorted by length together. It is large enough for batches of similar length, and equal to
# the size of a store's shard, so that the store keeps the order of the questions.
WINDOW = 128


class Batches:
    """Asks questions in batches and finds the batch size that memory allows.

    Within a window of questions the longest come first, so that running out of memory shows at once and not after an
    hour. Questions with an image and questions without are never in the same batch. Once memory has run out, the
    batches stay smaller.

    Args:
        sample: Answers one batch. It raises `SamplingError` if one of the questions cannot be asked.
        batch_size: Number of questions in a batch at most, at least 1.
        length: Gives the length of a question's prompt.

    Raises:
        SamplingError: If the batch size is below 1.
    """

    def __init__(
        self,
        sample: Callable[[Sequence[Question]], Sequence[Sampled]],
        batch_size: int,
        length: Callable[[Question], int],
    ) -> None:
        if batch_size < 1:
            raise SamplingError(f"batch_size: expected at least 1, got {batch_size}")
        self._sample, self._length = sample, length
        self.size = batch_size

    def outcomes(self, questions: Sequence[Question]) -> Iterator[Outcome]:
        """Ask all questions; one that cannot be asked, or does not fit in memory alone, gives `Failed`."""
        window = max(WINDOW, 4 * self.size)
        for start in range(0, len(questions), window):
            for group in _by_length(questions[start : start + window], self._length):
                done = 0
                while done < len(group):
                    found = self._ask(group[done : done + self.size])
                    done += len(found)
                    yield from found

    def _ask(self, batch: Sequence[Question]) -> list[Outcome]:
        """The outcomes of the batch, or of as many of its first questions as memory allows."""
        from accelerate.utils.memory import should_reduce_batch_size

        try:
            return self._isolate_failures(batch)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            if len(batch) == 1:
                return [_too_large(batch[0], error)]
        # Outside the except block, since the error keeps alive the tensors that filled the memory.
        return self._ask_fewer(batch)

    def _ask_fewer(self, batch: Sequence[Question]) -> list[Outcome]:
        from accelerate.utils import find_executable_batch_size

        size = len(batch) // 2

        def halve() -> int:
            nonlocal size
            size //= 2
            return size

        ask = find_executable_batch_size(
            lambda batch_size: self._isolate_failures(batch[:batch_size]),
            starting_batch_size=size,
            reduce_batch_size_fn=halve,
        )
        try:
            found: list[Outcome] = ask()
        except RuntimeError as error:
            if size > 0:
                raise
            # The batch size is not reduced: this question is an exception, the others may well fit in larger batches.
            return [_too_large(batch[0], error)]
        warnings.warn(f"memory ran out with {len(batch)} questions at a time: continuing with {size}", stacklevel=2)
        self.size = size
        return found

    def _isolate_failures(self, batch: Sequence[Question]) -> list[Outcome]:
        """The batch's outcomes. If a question cannot be asked, the batch is halved until that question is alone."""
        try:
            return list(self._sample(batch))
        except SamplingError as error:
            if len(batch) == 1:
                return [Failed(batch[0], str(error))]
        middle = len(batch) // 2
        return self._isolate_failures(batch[:middle]) + self._isolate_failures(batch[middle:])


def _by_length(questions: Sequence[Question], length: Callable[[Question], int]) -> list[list[Question]]:
    """Questions with an image and questions without, each sorted by length, the longest first."""
    ordered = sorted(questions, key=length, reverse=True)
    groups = [[item for item in ordered if (item.image is not None) == has_image] for has_image in (True, False)]
    return [group for group in groups if group]


def _too_large(question: Question, error: BaseException) -> Failed:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Failed(
        question,
        f"question '{question.id}': its rows do not fit in memory, even alone ({reason}): lower num_answers or "
        "max_new_tokens, shorten the context, or use a larger device or a smaller dtype",
    )
