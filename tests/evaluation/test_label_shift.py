"""Label shift and the map from a few labels, against what is known of both."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.transfer.few_labels import few_label_map
from sgpu_lightning.evaluation.transfer.label_shift import correct_label_shift
from sgpu_lightning.metrics.functional import auroc, brier_score


def two_classes(rate: float, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores N(+-1, 1) by class, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, generator=generator) < rate).double()
    return torch.randn(count, generator=generator, dtype=torch.float64) + 2 * labels - 1, labels


def posterior(scores: torch.Tensor, rate: float) -> torch.Tensor:
    """P(right | score) of these classes, exactly."""
    return torch.sigmoid(2 * scores + torch.logit(torch.tensor(rate, dtype=torch.float64)))


class TestLabelShift:
    @pytest.mark.parametrize(("source", "target"), [(0.5, 0.8), (0.7, 0.3), (0.4, 0.4)])
    def test_the_shift_is_found_and_the_corrected_are_the_targets_own_posteriors(self, source, target):
        scores, labels = two_classes(target, 20_000, seed=1)
        found = correct_label_shift(posterior(scores, source), source)
        assert found.rate == pytest.approx(float(labels.mean()), abs=0.015)
        assert torch.allclose(found.p_correct, posterior(scores, found.rate), atol=1e-6)

    def test_the_rate_is_the_maximum_of_the_likelihood(self):
        scores, _ = two_classes(0.75, 400, seed=2)
        p = posterior(scores, 0.5)

        def loss(rate: float) -> float:
            return -float(torch.log(p * rate / 0.5 + (1 - p) * (1 - rate) / 0.5).sum())

        best = minimize_scalar(loss, bounds=(0.01, 0.99), method="bounded", options={"xatol": 1e-9}).x
        assert correct_label_shift(p, 0.5).rate == pytest.approx(best, abs=1e-5)

    def test_a_stronger_prior_keeps_the_rate_closer_and_an_infinite_one_changes_nothing(self):
        p = posterior(two_classes(0.9, 2000, seed=3)[0], 0.5)
        rates = [correct_label_shift(p, 0.5, prior_strength).rate for prior_strength in (0.0, 0.3, 1.0, 10.0)]
        assert rates == sorted(rates, reverse=True)
        still = correct_label_shift(p, 0.5, float("inf"))
        assert still.rate == 0.5
        assert torch.allclose(still.p_correct, p, atol=1e-5)

    @pytest.mark.parametrize("value", [0.0, 0.02, 1.0])
    def test_predictions_that_all_agree_leave_finite_probabilities_off_0_and_1(self, value):
        found = correct_label_shift(torch.full((50,), value), 0.5)
        assert torch.isfinite(found.p_correct).all()
        assert 0 < found.rate < 1
        assert 0 < found.p_correct.min() <= found.p_correct.max() < 1

    def test_the_order_of_answers_stays(self):
        scores, labels = two_classes(0.3, 500, seed=4)
        p = posterior(scores, 0.6)
        assert auroc(correct_label_shift(p, 0.6).p_correct, labels) == auroc(p, labels)

    @pytest.mark.parametrize(
        ("p", "rate", "prior_strength", "message"),
        [
            ([0.5], 0.0, 0.0, "a source with right and wrong answers, got a proportion of 0.0 right"),
            ([0.5], 0.5, -1.0, "expected a prior strength of at least 0, got -1"),
            ([0.5], 0.5, float("nan"), "expected a prior strength of at least 0, got nan"),
            ([], 0.5, 0.0, "expected at least one prediction"),
        ],
    )
    def test_bad_input(self, p, rate, prior_strength, message):
        with pytest.raises(EvaluationError, match=message):
            correct_label_shift(torch.tensor(p), rate, prior_strength)


class TestFewLabels:
    def test_without_labels_p_correct_stays_nearly_as_it_is(self):
        p = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
        assert torch.allclose(few_label_map(p[:0], p[:0])(p), p, atol=0.01)

    def test_with_very_many_it_is_platts_map(self):
        scores, labels = two_classes(0.7, 10_000, seed=5)
        p = torch.sigmoid(1.5 * scores - 0.5)
        fitted = LogisticRegression(C=1e6).fit(torch.logit(p).numpy()[:, None], labels.numpy())
        grid = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
        expected = expit(fitted.coef_[0, 0] * torch.logit(grid).numpy() + fitted.intercept_[0])
        assert few_label_map(p, labels)(grid).numpy() == pytest.approx(expected, abs=0.02)

    def test_fifty_labels_correct_a_wrong_proportion_on_average(self):
        gains = []
        for seed in range(10):
            scores, labels = two_classes(0.85, 2000, seed=seed)
            p = posterior(scores, 0.3)
            mapped = few_label_map(p[:50], labels[:50])(p[50:])
            gains.append(float(brier_score(p[50:], labels[50:]) - brier_score(mapped, labels[50:])))
        assert sum(gains) / len(gains) > 0.01

    @pytest.mark.parametrize("label", [0.0, 1.0])
    def test_labels_of_one_class_move_it_that_way_and_no_answer_is_certain(self, label):
        p = torch.tensor([0.0, 0.3, 0.6, 1.0], dtype=torch.float64)
        mapped = few_label_map(torch.full((25,), 0.5), torch.full((25,), label))(p)
        assert (mapped.diff() > 0).all()
        assert 0 < mapped.min() < mapped.max() < 1
        assert ((mapped - p)[1:3] * (label - 0.5) > 0).all()
