"""The comparison: folds by group, calibration on training folds, paired tests, the cache, and the verb."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import torch
from scipy import stats
from sklearn.metrics import brier_score_loss, roc_auc_score

from sgpu_lightning.cli.main import main
from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common import prediction_cache
from sgpu_lightning.evaluation.common.calibration_maps import isotonic, platt
from sgpu_lightning.evaluation.common.evaluation_settings import CompareSettings
from sgpu_lightning.evaluation.common.folds import group_folds
from sgpu_lightning.evaluation.common.methods import DEFAULT, PLAIN, cross_validate, methods_for
from sgpu_lightning.evaluation.common.prediction_cache import PredictionCache, code_key
from sgpu_lightning.evaluation.common.set_reader import load_evaluation_set
from sgpu_lightning.evaluation.compare import comparison as compare
from sgpu_lightning.evaluation.compare.compare_summary import against_best, mean_over_sets
from sgpu_lightning.evaluation.compare.comparison import compare_set
from tests.toy import toy_rows, toy_store, write_toy_answers

QUICK = CompareSettings(encoder=None, resamples=50)


def imported_files(package: Path, folder: Path) -> set[Path]:
    """Modules of the package that a folder's modules import, directly or not, and also inside functions."""
    found: set[Path] = set()
    left = list(folder.glob("*.py"))
    while left:
        for node in ast.walk(ast.parse(left.pop().read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package.name}."):
                parts = node.module.split(".")[1:]
                paths = [package.joinpath(*parts), *(package.joinpath(*parts, one.name) for one in node.names)]
                files = [path.with_suffix(".py") for path in paths] + [paths[0] / "__init__.py"]
                new = {file for file in files if file.is_file()} - found
                found |= new
                left += new
    return found


@pytest.fixture(scope="module")
def white(tmp_path_factory) -> Path:
    return toy_store(tmp_path_factory.mktemp("compare") / "white").path


@pytest.fixture(scope="module")
def result(white, tmp_path_factory):
    return compare_set(white, QUICK, PredictionCache(tmp_path_factory.mktemp("cache")))


class TestFolds:
    def test_a_group_is_in_one_fold_and_folds_are_of_like_size(self):
        groups = [f"g{i % 40}" for i in range(200)]
        folds = group_folds(groups, torch.arange(200) % 3 == 0)
        assert len({(group, fold) for group, fold in zip(groups, folds.tolist(), strict=True)}) == 40
        assert torch.bincount(folds).tolist() == [40] * 5

    def test_the_order_of_the_sets_does_not_matter_and_the_seed_does(self):
        groups = [f"g{i}" for i in range(100)]
        labels = (torch.arange(100) % 2).double()
        folds = dict(zip(groups, group_folds(groups, labels).tolist(), strict=True))
        back = dict(zip(groups[::-1], group_folds(groups[::-1], labels.flip(0)).tolist(), strict=True))
        assert folds == back
        assert group_folds(groups, labels, seed=1).tolist() != list(folds.values())

    def test_fewer_groups_than_folds_are_refused(self):
        with pytest.raises(EvaluationError, match=r"expected at least 5 groups.*got 3 in 9 answer sets.*--folds"):
            group_folds(["a", "b", "c"] * 3, torch.arange(9) % 2)

    @pytest.mark.parametrize("label", [0.0, 1.0])
    def test_a_single_class_is_refused(self, label):
        with pytest.raises(EvaluationError, match="answer sets of one class: expected right and wrong answers"):
            group_folds([str(i) for i in range(50)], torch.full((50,), label))


class TestCalibration:
    scores = torch.linspace(-3, 3, 400, dtype=torch.float64)
    labels = (torch.rand(400, generator=torch.Generator().manual_seed(0)) < torch.sigmoid(2 * scores)).double()

    def test_isotonic_is_monotone_never_certain_and_better_than_the_base_rate(self):
        p = isotonic(self.scores, self.labels)(self.scores)
        assert (p.diff() >= 0).all()
        assert 0 < p.min() < p.max() < 1
        base = brier_score_loss(self.labels, torch.full_like(p, float(self.labels.mean())))
        assert brier_score_loss(self.labels, p) < base

    def test_platt_is_the_logistic_curve(self):
        p = platt(self.scores, self.labels)(self.scores)
        slope = stats.linregress(self.scores, torch.logit(p)).slope
        assert slope == pytest.approx(2.0, abs=0.5)
        assert stats.linregress(self.scores, torch.logit(p)).rvalue == pytest.approx(1.0)


class TestCompare:
    def test_every_kind_of_method_is_there(self, result):
        kinds = {one.method: one.kind for one in result.results}
        assert kinds[DEFAULT] == kinds[PLAIN] == "sgpu"
        assert kinds["linear_probe"] == kinds["boosted_spectrum"] == "supervised"
        assert kinds["match_fraction"] == kinds["eigv_cosine"] == "unsupervised"

    def test_scores_without_their_input_are_left_out_with_the_reason(self, result):
        assert "perplexity" not in {one.method for one in result.results}
        assert "log-probability" in next(iter(result.reasons["perplexity"]))

    def test_metrics_are_the_mean_over_folds_of_out_of_fold_predictions(self, white, result):
        data = load_evaluation_set(white, encoder=None)
        folds = group_folds(data.groups, data.labels)
        method = next(method for method in methods_for(data) if method.name == DEFAULT)
        predictions = cross_validate(method, data, folds)
        found = next(one for one in result.results if one.method == DEFAULT).metrics
        rows = [folds == fold for fold in range(5)]
        aurocs = [roc_auc_score(data.labels[row], predictions.p_correct[row]) for row in rows]
        briers = [brier_score_loss(data.labels[row], predictions.p_correct[row]) for row in rows]
        assert found["auroc"] == pytest.approx(sum(aurocs) / 5, abs=1e-9)
        assert found["brier"] == pytest.approx(sum(briers) / 5, abs=1e-9)

    def test_no_fold_is_predicted_by_a_fit_that_saw_it(self, white):
        data = load_evaluation_set(white, encoder=None)
        folds = group_folds(data.groups, data.labels)
        seen: list[tuple[set[int], set[int]]] = []
        method = methods_for(data)[0]
        spy = type(method)(
            method.name,
            method.kind,
            lambda d, train, test: (
                seen.append((set(train.tolist()), set(test.tolist()))) or method.predict(d, train, test)
            ),
        )
        cross_validate(spy, data, folds)
        assert len(seen) == 5
        assert set().union(*(test for _, test in seen)) == set(range(len(data)))
        for train, test in seen:
            groups = {data.groups[i] for i in train} & {data.groups[i] for i in test}
            assert not groups

    def test_intervals_hold_the_value_and_the_default_ties_with_itself(self, result):
        ours = next(one for one in result.results if one.method == DEFAULT)
        low, high = ours.intervals["auroc"]
        assert low <= ours.metrics["auroc"] <= high
        assert ours.against["auroc"].difference == 0.0
        assert not ours.against["auroc"].better

    def test_tables_over_sets(self, result):
        mean = mean_over_sets([result, result])
        assert mean[0]["auroc"] == max(row["auroc"] for row in mean)
        assert all(row["better"] + row["tie"] + row["worse"] == 2 for row in mean)
        (row, _) = against_best([result, result])
        scores = [one.metrics["auroc"] for one in result.results if one.kind == "unsupervised"]
        assert row["best_auroc"] == max(scores)
        assert row["verdict"] in {"better", "tie", "worse"}


class TestCache:
    def test_a_second_run_computes_nothing_and_has_the_same_results(self, white, tmp_path, monkeypatch):
        cache = PredictionCache(tmp_path)
        first = compare_set(white, QUICK, cache)
        monkeypatch.setattr(compare, "read", lambda *_, **__: pytest.fail("computed again"))
        again = compare_set(white, QUICK, cache)
        assert again == first
        assert [one.metrics for one in again.results] == [one.metrics for one in first.results]

    @pytest.mark.parametrize("change", ["data", "folds", "code"])
    def test_what_changed_is_computed_again(self, tmp_path, monkeypatch, change):
        path = toy_store(tmp_path / "s", count=120).path
        cache, settings = PredictionCache(tmp_path / "cache"), QUICK
        compare_set(path, settings, cache)
        if change == "data":
            store = toy_store(tmp_path / "other", count=119)
            path = store.path.rename(tmp_path / "moved" / "s") if (tmp_path / "moved").mkdir() is None else path
        elif change == "folds":
            settings = CompareSettings(encoder=None, resamples=50, folds=4)
        else:
            monkeypatch.setattr("sgpu_lightning.evaluation.common.prediction_cache.code_key", lambda: "other")
        assert cache.load(path, settings) is None

    def test_the_default_folder_is_predictions_in_the_cache(self, monkeypatch, tmp_path):
        monkeypatch.setenv("SGPU_CACHE", str(tmp_path))
        assert PredictionCache().folder.name == "predictions"

    def test_code_that_is_not_there_is_refused(self):
        assert code_key(("gp",)) != code_key(("gp", "seeding.py"))
        for missing in ("gaussian_process", "seed.py"):
            with pytest.raises(EvaluationError, match=f"a module, or a folder of modules, at .*{missing}, got none"):
                code_key(("gp", missing))

    def test_all_code_that_predictions_depend_on_is_part_of_the_key(self):
        """Every module that `evaluation.common` imports, directly or not, is hashed."""
        package = Path(prediction_cache.__file__).parents[2]
        hashed = [package / name for name in prediction_cache._CODE]
        for file in imported_files(package, package / "evaluation" / "common"):
            parts = file.relative_to(package).parts
            if parts[0] not in ("errors.py", "sampling"):  # messages; the judge, whose labels depend on a server
                assert any(path in (file, *file.parents) for path in hashed), file


@pytest.mark.parametrize(("name", "least"), [("folds", 2), ("resamples", 1)])
def test_settings_that_are_too_small_are_refused(name, least):
    with pytest.raises(EvaluationError, match=f"{name}: expected at least {least}, got {least - 1}"):
        CompareSettings(**{name: least - 1})


class TestVerb:
    def test_it_shows_and_saves_the_tables(self, white, tmp_path, capsys):
        other = toy_store(tmp_path / "other", model="another").path
        call = [
            "compare",
            str(white),
            str(other),
            "--encoder",
            "null",
            "--resamples",
            "20",
            "--out",
            str(tmp_path / "out"),
        ]
        assert main([*call, "--cache_dir", str(tmp_path / "cache")]) == 0
        printed = capsys.readouterr().out
        assert "mean over 2 evaluation sets" in printed
        assert "boosted_spectrum" in printed
        content = json.loads((tmp_path / "out" / "compare.json").read_text())
        assert {row["set"] for row in content["best"]} == {"white", "other"}
        assert (tmp_path / "out" / "mean.csv").read_text().startswith("method,kind,auroc")
        assert "| sgpu | sgpu |" in (tmp_path / "out" / "tables.md").read_text()

    def test_unlabelled_sets_are_counted_and_left_out(self, tmp_path, capsys):
        rows = [row | ({"gold": None} if i % 4 == 0 else {}) for i, row in enumerate(toy_rows(200))]
        (tmp_path / "part.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        call = ["compare", str(tmp_path / "part.jsonl"), "--resamples", "20", "--cache_dir", str(tmp_path / "cache")]
        assert main(call) == 0
        assert "part: 50 answer sets without label or gold were left out" in capsys.readouterr().out

    def test_no_labels_at_all_are_refused(self, tmp_path, capsys):
        path = write_toy_answers(tmp_path / "none.jsonl", 60, gold=None)
        assert main(["compare", str(path), "--cache_dir", str(tmp_path / "cache")]) == 1
        assert "none of 60 answer sets has a label or gold answers" in capsys.readouterr().err
