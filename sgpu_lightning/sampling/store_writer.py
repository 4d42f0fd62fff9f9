"""Writing outcomes, which arrive in any order, to the shards of a store."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from sgpu_lightning.answers.storage.failures import FailureFile
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorDtype, VectorShard, VectorSpec
from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.outcome import Failed, Outcome, Sampled
from sgpu_lightning.sampling.sampler_protocol import Sampler
from sgpu_lightning.tasks.question import Question

# Upper bounds of what is collected between two writes, and so of what a killed run loses: questions, and (roughly)
# seconds.
SHARD_SIZE = 128
SHARD_SECONDS = 60.0


class OutcomeWriter:
    """Collects outcomes and writes them to a store, each shard in the order of the questions.

    Args:
        store: The store to write to.
        sampler: The sampler that produces the outcomes.
        questions: The questions it was asked.
        task: Name of the task, which becomes the records' ``dataset``.
        dtype: Number format in which hidden states are stored.
        rank: Rank of this process.
    """

    def __init__(
        self,
        store: AnswerStore,
        sampler: Sampler,
        questions: Sequence[Question],
        *,
        task: str,
        dtype: VectorDtype,
        rank: int = 0,
    ) -> None:
        self._store, self._sampler, self._task, self._dtype = store, sampler, task, dtype
        self._position = {question.id: i for i, question in enumerate(questions)}
        self._waiting = {question.id: question for question in questions}
        self._pending: list[Sampled] = []
        self._failures = FailureFile(store.path, f"{rank}-{secrets.token_hex(4)}")
        self._written_at = time.monotonic()

    @property
    def unanswered(self) -> list[Question]:
        """The questions without an outcome so far."""
        return list(self._waiting.values())

    def add(self, outcome: Outcome) -> None:
        """Add one outcome, and write to the store if enough have been collected or enough time has passed.

        Args:
            outcome: The outcome of one of the questions.

        Raises:
            SamplingError: If its question was not asked or already has an outcome.
            StoreError: If the operating system refuses to write.
        """
        name = outcome.question.id if isinstance(outcome, Failed) else outcome.record.id
        if self._waiting.pop(name, None) is None:
            raise SamplingError(
                f"question '{name}': expected one outcome for each question asked, got "
                f"{'a second one' if name in self._position else 'one that was not asked'} from "
                f"{type(self._sampler).__name__}"
            )
        if isinstance(outcome, Failed):
            self._failures.add(name, outcome.reason)
        else:
            self._pending.append(outcome)
        if len(self._pending) >= SHARD_SIZE or time.monotonic() - self._written_at >= SHARD_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the outcomes collected since the last write.

        Raises:
            StoreError: If the operating system refuses to write.
        """
        pending, self._pending = self._pending, []
        self._written_at = time.monotonic()
        self._failures.write()
        if not pending:
            return
        with self._store.locked():
            stored = self._store.ids()  # another run may have asked the same questions meanwhile
            fresh = [sampled for sampled in pending if sampled.record.id not in stored]
            if fresh:
                self._append(sorted(fresh, key=lambda sampled: self._position[sampled.record.id]))

    def _append(self, sampled: Sequence[Sampled]) -> None:
        records = [replace(one.record, dataset=self._task) for one in sampled]
        shards: dict[str, VectorShard] = {}
        for layer in self._sampler.layers:
            pairs = [one.vectors[layer] for one in sampled]
            shard = VectorShard.stack(
                [answers.numpy() for answers, _ in pairs], [greedy.numpy() for _, greedy in pairs]
            )
            spec = self._spec(layer, shard)
            self._store.add_vector_set(spec)
            shards[spec.name] = shard
        self._store.append(records, shards, self._dtype)

    def _spec(self, layer: int, shard: VectorShard) -> VectorSpec:
        return VectorSpec(
            kind="hidden",
            source=self._sampler.model_name,
            revision=self._sampler.revision,
            dim=shard.scored.shape[1],
            layer=layer,
            num_layers=self._sampler.num_layers,
            token=self._sampler.token,
        )
