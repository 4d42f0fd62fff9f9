"""When a fit stops."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from sgpu_lightning.features.batch import AnswerBatch
from sgpu_lightning.training.callbacks import EvidencePlateau
from tests.toy import random_batch


def steps_until_stop(losses: list[float], batch: AnswerBatch | None = None, **settings: float) -> int | None:
    plateau = EvidencePlateau(**settings)
    trainer = SimpleNamespace(should_stop=False)
    for step, loss in enumerate(losses, start=1):
        plateau.on_train_batch_end(trainer, None, {"loss": loss}, batch or random_batch(1), 0)  # type: ignore[arg-type]
        if trainer.should_stop:
            return step
    return None


@pytest.mark.parametrize(("tolerance", "expected"), [(0.05, 5), (0.15, 4), (0.25, 3)])
def test_it_stops_at_the_first_step_that_gains_less_than_the_tolerance(tolerance, expected):
    assert steps_until_stop([1.0, 0.7, 0.5, 0.4, 0.4, 0.3], tolerance=tolerance) == expected


def test_what_counts_is_the_rise_of_all_answer_sets_by_their_weights():
    losses = [1.0, 0.9, 0.89, 0.8]
    assert steps_until_stop(losses, random_batch(8), tolerance=0.05) is None
    batch = replace(random_batch(8), weight=torch.full((8,), 0.25, dtype=torch.float64))
    assert steps_until_stop(losses, batch, tolerance=0.05) == 3


def test_it_goes_on_while_the_evidence_rises():
    assert steps_until_stop([1.0 - 0.001 * step for step in range(100)], random_batch(100)) is None


def test_a_fall_stops_it():
    assert steps_until_stop([1.0, 0.8, 0.9, 0.1]) == 3
