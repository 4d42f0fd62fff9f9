"""Certified thresholds: the promise, by simulation; what cannot be certified; the verb."""

from __future__ import annotations

import json

import pytest
import torch
from scipy.stats import binom, binomtest

from sgpu_lightning.cli.main import main
from sgpu_lightning.evaluation.selective.calibration_sets import read_calibration_sets
from sgpu_lightning.evaluation.selective.threshold_rule import SelectiveError, certify_threshold, exact_interval
from tests.toy import toy_store, write_toy_answers

DRAWS = 250
GRID = torch.linspace(0, 1, 20001, dtype=torch.float64)


def true_rate(p: torch.Tensor, kind: str) -> torch.Tensor:
    """P(right | P(correct) = p): a calibrated predictor, an overconfident one, and one that is worst where surest."""
    if kind == "calibrated":
        return p
    if kind == "overconfident":
        return 0.4 + 0.55 * p**2
    if kind == "constant":
        return torch.full_like(p, 0.9)
    return torch.where(p > 0.97, 0.6, 0.4 + 0.55 * p)  # "worst where surest"


def risk_above(threshold: float, kind: str) -> float:
    """The error rate of what is answered, for P(correct) uniform on [0, 1]."""
    return float(1 - true_rate(GRID[threshold <= GRID], kind).mean())


def draw(count: int, kind: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(count, generator=generator, dtype=torch.float64)
    return p, (torch.rand(count, generator=generator) < true_rate(p, kind)).double()


class TestPromise:
    @pytest.mark.parametrize("kind", ["calibrated", "overconfident", "constant", "worst where surest"])
    @pytest.mark.parametrize(("count", "risk", "confidence"), [(40, 0.3, 0.8), (150, 0.2, 0.8), (1000, 0.1, 0.9)])
    def test_the_risk_is_exceeded_no_more_often_than_promised(self, kind, count, risk, confidence):
        broken = 0
        for seed in range(DRAWS):
            rule = certify_threshold(*draw(count, kind, seed), risk=risk, confidence=confidence)
            broken += rule.threshold is not None and risk_above(rule.threshold, kind) > risk
        # Within the binomial error of the number of draws.
        assert broken <= binom.ppf(0.999, DRAWS, 1 - confidence)

    def test_the_promise_is_not_idle(self):
        """Where the risk is just not met, a good part of what is allowed is used: the bound is no gross one."""
        broken = sum(
            certify_threshold(*draw(600, "constant", seed), risk=0.0999, confidence=0.8).threshold is not None
            for seed in range(DRAWS)
        )
        assert 0.5 * 0.2 * DRAWS < broken <= binom.ppf(0.999, DRAWS, 0.2)

    def test_a_stricter_start_serves_a_predictor_that_is_too_sure(self):
        p, labels = draw(5000, "calibrated", 3)
        too_sure = 1 - (1 - p) / 3
        assert certify_threshold(too_sure, labels, risk=0.1).threshold is None
        assert certify_threshold(too_sure, labels, risk=0.1, start=0.97).threshold == pytest.approx(0.935, abs=0.015)

    def test_with_many_sets_nearly_all_that_could_be_answered_is(self):
        rule = certify_threshold(*draw(20_000, "calibrated", 0), risk=0.1)
        assert rule.threshold == pytest.approx(0.8, abs=0.02)  # where 1 - (t + 1) / 2 is 0.1
        assert rule.coverage.low <= 1 - rule.threshold <= rule.coverage.high

    def test_sets_of_a_group_that_share_their_label_count_once(self):
        broken = 0
        for seed in range(DRAWS):
            p, labels = draw(40, "constant", seed)
            groups = [str(i) for i in range(40)] * 20
            rule = certify_threshold(p.repeat(20), labels.repeat(20), risk=0.09, confidence=0.9, groups=groups)
            assert rule.sets == 40
            broken += rule.threshold is not None
        assert broken <= binom.ppf(0.999, DRAWS, 0.1)


class TestRule:
    def test_too_few_sets_are_said_to_be_too_few(self):
        rule = certify_threshold(torch.full((28,), 0.95), torch.ones(28), risk=0.1, confidence=0.95)
        assert rule.threshold is None
        assert rule.fewest == 29  # 0.9 ** 29 is the first below 0.05
        assert "none can be certified on 28 calibration sets (at least 29 answered ones" in str(rule)
        assert certify_threshold(torch.full((29,), 0.95), torch.ones(29), risk=0.1, confidence=0.95).threshold == 0.0

    def test_answers_that_are_wrong_too_often_certify_nothing(self):
        rule = certify_threshold(*draw(500, "constant", 1), risk=0.02)
        assert rule.threshold is None
        assert (rule.answered, rule.coverage.value) == (0, 0.0)

    def test_the_rule_says_what_it_costs(self):
        text = str(certify_threshold(*draw(2000, "calibrated", 2), risk=0.1))
        assert "at most 10.0% of answered questions are wrong, with confidence 0.95" in text
        assert "coverage 0." in text

    @pytest.mark.parametrize(("successes", "count"), [(0, 7), (3, 10), (10, 10)])
    def test_the_exact_interval_is_scipys(self, successes, count):
        expected = binomtest(successes, count).proportion_ci(0.95, method="exact")
        found = exact_interval(successes, count)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"risk": 0.0}, "risk: expected a number between 0 and 1, got 0.0"),
            ({"start": 1.5}, "start: expected a threshold in .0, 1., got 1.5"),
            ({"confidence": 1.0}, "confidence: expected a number between 0 and 1, got 1.0"),
            ({"groups": ["a"]}, "groups: expected 3, one for each calibration set, got 1"),
        ],
    )
    def test_bad_input(self, change, message):
        with pytest.raises(SelectiveError, match=message):
            certify_threshold(torch.rand(3), torch.ones(3), **change)


class TestVerb:
    def write(self, path, rows):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def test_from_a_fit_to_a_threshold_by_held_out_predictions_alone(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        toy_store(tmp_path / "white", count=240)
        assert main(["fit", "--data.answers", "white", "--data.encoder", "null", "--data.test_fraction", "0.5"]) == 0
        checkpoint = next(iter((tmp_path / "runs").rglob("best.ckpt")))
        assert main(["predict", "--checkpoint", str(checkpoint), "--out", "p.jsonl"]) == 0
        rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
        held = [row for row in rows if row["held_out"]]
        assert 0 < len(held) < len(rows)
        capsys.readouterr()
        assert main(["select", "p.jsonl", "--risk", "0.3", "--out", "rule.json"]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "answer where P(correct) >=" in out
        assert f"left out: 0 predictions without label, {len(rows) - len(held)} of groups" in out
        rule = json.loads((tmp_path / "rule.json").read_text())
        assert rule["sets"] == len(held)
        assert rule["threshold"] is not None

    def test_in_sample_predictions_alone_are_refused(self, tmp_path, capsys):
        path = self.write(tmp_path / "p.jsonl", [{"p_correct": 0.9, "label": 1, "held_out": False}] * 50)
        assert main(["select", str(path)]) == 1
        assert (
            "50 are of groups the predictor was fitted on, which would make the threshold in-sample"
            in capsys.readouterr().err
        )

    def test_a_file_that_does_not_say_what_was_held_out_is_taken_at_its_word(self, tmp_path, capsys):
        path = self.write(tmp_path / "p.jsonl", [{"p_correct": 0.9, "label": 1}] * 50)
        assert main(["select", str(path)]) == 0
        assert "the file does not say which sets were held out" in capsys.readouterr().out

    def test_groups_are_read_and_counted_once(self, tmp_path, capsys):
        rows = [{"p_correct": 0.9, "label": 1, "group": f"g{i % 50}", "held_out": True} for i in range(150)]
        assert main(["select", str(self.write(tmp_path / "p.jsonl", rows))]) == 0
        assert "one answer set of each group is used: 50 of 150" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{", "p.jsonl:2: broken JSON"),
            ("[1]", "p.jsonl:2: expected a JSON object, got list"),
            ('{"label": 1}', "key 'p_correct': expected a number in"),
            ('{"p_correct": NaN, "label": 1}', "key 'p_correct': expected a number in"),
            ('{"p_correct": 0.5, "label": 2}', "key 'label': expected 0, 1 or null, got int 2"),
            ('{"p_correct": 0.5, "held_out": "x"}', "key 'held_out': expected true or false, got str"),
        ],
    )
    def test_a_bad_line_is_named(self, tmp_path, line, message):
        path = tmp_path / "p.jsonl"
        path.write_text('{"p_correct": 0.5, "label": 1}\n' + line + "\n")
        with pytest.raises(SelectiveError) as caught:
            read_calibration_sets(path)
        assert message in str(caught.value)

    def test_answers_in_place_of_predictions_are_refused(self, tmp_path, capsys):
        path = write_toy_answers(tmp_path / "toy.jsonl", 5)
        assert main(["select", str(path)]) == 1
        assert "key 'p_correct'" in capsys.readouterr().err
        assert main(["select", str(tmp_path / "none.jsonl")]) == 1
        assert "no such file; expected predictions" in capsys.readouterr().err
