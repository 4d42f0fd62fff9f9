"""From outcomes in any order to shards of a store."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from sgpu_lightning.answers.storage.failures import FailureFile
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorDtype, VectorShard, VectorSpec
from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.sampled_answers import Sampled
from sgpu_lightning.sampling.sampler import Failed, Outcome, Sampler
from sgpu_lightning.tasks.question import Question

# Between two writes, and so what a killed run loses, are at most so many questions and about so many seconds.
SHARD_SIZE = 128
SHARD_SECONDS = 60.0


class OutcomeWriter:
    """Collects outcomes and writes them to a store, each shard in the order of the questions.

    Args:
        store: Where to.
        sampler: Who gives the outcomes.
        questions: Those it was asked.
        task: The records' ``dataset``.
        dtype: How hidden states are stored.
        rank: This process's rank.
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
        """Questions that no outcome has come for."""
        return list(self._waiting.values())

    def add(self, outcome: Outcome) -> None:
        """Take one outcome, and write if it is time.

        Raises:
            SamplingError: If its question was not asked, or has had its outcome.
            StoreError: If the system refuses to write.
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
        """Write what has come since the last time.

        Raises:
            StoreError: If the system refuses.
        """
        pending, self._pending = self._pending, []
        self._written_at = time.monotonic()
        self._failures.write()
        if not pending:
            return
        with self._store.locked():
            there = self._store.ids()  # another run may have asked the same
            fresh = [one for one in pending if one.record.id not in there]
            if fresh:
                self._append(sorted(fresh, key=lambda one: self._position[one.record.id]))

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
