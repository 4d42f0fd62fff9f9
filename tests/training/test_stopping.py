"""When a fit stops."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sgpu_lightning.training.trainer.stopping import ElboPlateau


def steps_until_stop(losses: list[float], total: float = 1.0, **settings: float) -> int | None:
    plateau = ElboPlateau(**settings)
    trainer = SimpleNamespace(should_stop=False)
    for step, loss in enumerate(losses, start=1):
        plateau.on_train_batch_end(trainer, None, {"loss": loss, "total": total}, None, 0)  # type: ignore[arg-type]
        if trainer.should_stop:
            return step
    return None


@pytest.mark.parametrize(("tolerance", "expected"), [(0.05, 5), (0.15, 4), (0.25, 3)])
def test_it_stops_at_the_first_step_that_gains_less_than_the_tolerance(tolerance, expected):
    assert steps_until_stop([1.0, 0.7, 0.5, 0.4, 0.4, 0.3], tolerance=tolerance) == expected


def test_the_rise_counts_for_all_answer_sets_by_their_weights():
    losses = [1.0, 0.9, 0.89, 0.8]
    assert steps_until_stop(losses, 8.0, tolerance=0.05) is None
    assert steps_until_stop(losses, 2.0, tolerance=0.05) == 3


def test_it_goes_on_while_the_bound_rises():
    assert steps_until_stop([1.0 - 0.001 * step for step in range(100)], 100.0) is None


def test_a_second_fit_starts_over():
    plateau, trainer = ElboPlateau(), SimpleNamespace(should_stop=False)
    for loss in (1.0, 0.5):
        plateau.on_fit_start(trainer, None)  # type: ignore[arg-type]
        plateau.on_train_batch_end(trainer, None, {"loss": loss, "total": 1.0}, None, 0)  # type: ignore[arg-type]
    assert not trainer.should_stop


def test_a_fall_stops_it():
    assert steps_until_stop([1.0, 0.8, 0.9, 0.1]) == 3
