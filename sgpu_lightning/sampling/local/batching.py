"""Batches of like length, as large as memory allows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence

from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.sampled_answers import Sampled
from sgpu_lightning.sampling.sampler import Failed, Outcome
from sgpu_lightning.tasks.question import Question

# Questions that are sorted by length together: enough for batches of like length, and as many as a shard of the store
# has, so that the store keeps the questions' order.
WINDOW = 128


class Batches:
    """Puts questions to a function in batches, and finds the batch size that memory allows.

    Within a window the longest come first: what does not fit shows at once, and not after an hour. Questions with an
    image and questions without are never in one batch. Once memory ran out, batches stay smaller.

    Args:
        sample: Answers one batch. A `SamplingError` says that one of its questions cannot be asked.
        batch_size: Questions in a batch at most, at least 1.
        length: How long a question's prompt is.

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
        """Ask all of them; what cannot be asked, or does not fit alone, comes as `Failed`."""
        window = max(WINDOW, 4 * self.size)
        for start in range(0, len(questions), window):
            for alike in _by_length(questions[start : start + window], self._length):
                done = 0
                while done < len(alike):
                    batch = alike[done : done + self.size]
                    found = self._ask(batch)
                    done += len(found)
                    yield from found

    def _ask(self, batch: Sequence[Question]) -> list[Outcome]:
        """The outcomes of the batch, or of as many of its first questions as memory allows."""
        from accelerate.utils.memory import should_reduce_batch_size

        try:
            return self._isolated(batch)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            if len(batch) == 1:
                return [_too_large(batch[0], error)]
        # Only now, since the error keeps alive the tensors that were in the way.
        return self._ask_fewer(batch)

    def _ask_fewer(self, batch: Sequence[Question]) -> list[Outcome]:
        from accelerate.utils import find_executable_batch_size

        size = len(batch) // 2

        def halve() -> int:
            nonlocal size
            size //= 2
            return size

        ask = find_executable_batch_size(
            lambda batch_size: self._isolated(batch[:batch_size]), starting_batch_size=size, reduce_batch_size_fn=halve
        )
        try:
            found: list[Outcome] = ask()
        except RuntimeError as error:
            if size > 0:
                raise
            return [_too_large(batch[0], error)]  # one of its kind: the others may well fit in larger batches
        warnings.warn(f"memory ran out with {len(batch)} questions at a time: going on with {size}", stacklevel=2)
        self.size = size
        return found

    def _isolated(self, batch: Sequence[Question]) -> list[Outcome]:
        """The batch's outcomes; a question that cannot be asked costs the others nothing but another try."""
        try:
            return list(self._sample(batch))
        except SamplingError as error:
            if len(batch) == 1:
                return [Failed(batch[0], str(error))]
        middle = len(batch) // 2
        return self._isolated(batch[:middle]) + self._isolated(batch[middle:])


def _by_length(questions: Sequence[Question], length: Callable[[Question], int]) -> list[list[Question]]:
    """Those with an image, and those without, each by their length, the longest first."""
    ordered = sorted(questions, key=length, reverse=True)
    kinds = [[one for one in ordered if (one.image is not None) == has_image] for has_image in (True, False)]
    return [kind for kind in kinds if kind]


def _too_large(question: Question, error: BaseException) -> Failed:
    why = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Failed(
        question,
        f"question '{question.id}': its rows do not fit in memory, even alone ({why}): lower num_answers or "
        "max_new_tokens, shorten the context, or use a larger device or a smaller dtype",
    )
