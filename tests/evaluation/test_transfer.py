"""Transfer: what is refused, what a fit may have seen, figures beside in-domain ones, files of a run, the verb."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import brier_score_loss, roc_auc_score

from sgpu_lightning.cli.arguments import files_first, join_lists, with_underscores
from sgpu_lightning.cli.main import main
from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
from sgpu_lightning.evaluation.common.evaluation_settings import TransferSettings
from sgpu_lightning.evaluation.common.folds import hashed_folds
from sgpu_lightning.evaluation.common.set_reader import load_evaluation_set
from sgpu_lightning.evaluation.transfer import source_fits
from sgpu_lightning.evaluation.transfer.plan import (
    Pair,
    check_pair,
    leave_one_out_pairs,
    load_sets,
    matrix_pairs,
)
from sgpu_lightning.evaluation.transfer.source_fits import SourceFits
from sgpu_lightning.evaluation.transfer.transfer_pair import (
    ALIGNED,
    IN_DOMAIN,
    MAP,
    SHIFT,
    WARM,
    ZERO_SHOT,
    draw_labels,
    transfer,
)
from tests.toy import toy_rows, toy_store, write_toy_answers

QUICK = TransferSettings(encoder=None, shared_questions="cross_fit", folds=3, labels=[25, 50], draws=1, resamples=20)


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> dict[str, EvaluationSet]:
    """Two models of different width on the same questions, and a third on others."""
    folder = tmp_path_factory.mktemp("transfer")
    for name, dim, changes in (("a", 16, {}), ("b", 40, {}), ("c", 16, {"question": None})):
        toy_store(folder / name, dims=(dim,), model=name, dataset="toy", **changes)
    return {name: load_evaluation_set(folder / name, encoder=None, scores=()) for name in "abc"}


@pytest.fixture(scope="module")
def result(sets):
    return transfer(Pair(("a",), "b"), SourceFits(sets, QUICK))


class TestFolds:
    def test_a_group_is_in_the_same_fold_in_whichever_file(self):
        many, few = [f"g{i}" for i in range(200)], [f"g{i}" for i in range(150, 200)] * 2
        folds = dict(zip(many, hashed_folds(many).tolist(), strict=True))
        assert hashed_folds(few).tolist() == [folds[group] for group in few]
        assert torch.bincount(hashed_folds(many)).min() > 20
        assert hashed_folds(many, seed=1).tolist() != list(folds.values())

    def test_fewer_groups_than_folds_are_refused(self):
        with pytest.raises(
            EvaluationError, match=r"at least 5 groups, one for each fold, got 2 in 60 .*; use fewer folds"
        ):
            hashed_folds(["a", "b"] * 30)
        with pytest.raises(EvaluationError, match="got 1 in 60 answer sets; give answer sets of other questions"):
            hashed_folds(["a"] * 60)


class TestPlan:
    def test_every_source_to_every_target(self):
        assert matrix_pairs(["a", "b"], ["c"]) == [Pair(("a",), "c"), Pair(("b",), "c")]

    def test_leaving_out(self, sets):
        def of(name: str, model: str, dataset: str, modality: str = "text") -> EvaluationSet:
            return replace(sets["a"], name=name, models=[model], datasets=[dataset], modalities=[modality])

        found = {
            "1": of("1", "m", "x"),
            "2": of("2", "n", "x"),
            "3": of("3", "m", "y"),
            "4": of("4", "v", "z", "image"),
        }
        assert leave_one_out_pairs(found, "model") == [Pair(("2",), "1"), Pair(("1",), "2")]
        assert Pair(("3", "4"), "1") in leave_one_out_pairs(found, "dataset")
        assert leave_one_out_pairs(found, "modality")[-1] == Pair(("1", "2", "3"), "4")
        assert [len(pair.sources) for pair in leave_one_out_pairs(found, "set")] == [3] * 4

    def test_nothing_to_leave_out_is_refused(self, sets):
        with pytest.raises(
            EvaluationError, match="leave_one_out dataset: no set has another dataset to be fitted on: a"
        ):
            leave_one_out_pairs(sets, "dataset")

    def test_records_that_do_not_name_their_model_are_refused(self, sets):
        nameless = {"a": sets["a"], "b": replace(sets["b"], models=[""])}
        with pytest.raises(EvaluationError, match=r"b: expected records that name their model .*leave_one_out set"):
            leave_one_out_pairs(nameless, "model")

    def test_shared_questions_are_refused_and_the_way_out_named(self, sets):
        with pytest.raises(
            EvaluationError, match=r"b: 240 of its 240 questions.*are in source a too.*--shared_questions cross_fit"
        ):
            check_pair(Pair(("c", "a"), "b"), sets, "refuse")
        check_pair(Pair(("a",), "b"), sets, "cross_fit")
        check_pair(Pair(("a",), "c"), sets, "refuse")

    def test_in_sample_figures_are_refused(self, sets):
        with pytest.raises(EvaluationError, match="a is both source and target: its figures would be in-sample"):
            check_pair(Pair(("a",), "a"), sets, "refuse")

    def test_vectors_that_do_not_match_are_refused(self, sets):
        token = [replace(spec, token="mean") for spec in sets["c"].specs]
        other = sets | {"c": replace(sets["c"], specs=tuple(token))}
        with pytest.raises(
            EvaluationError, match=r"c: expected vectors that match those of a, .*last token; got.*mean"
        ):
            check_pair(Pair(("a",), "c"), other, "refuse")

    def test_a_file_is_read_once_and_names_are_unique(self, sets, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        read: list[Path] = []
        found, names = load_sets(["a", str(tmp_path / "a")], lambda path: read.append(path) or sets["a"])
        assert (len(read), list(found), set(names.values())) == (1, ["a"], {"a"})
        with pytest.raises(EvaluationError, match=r"expected files and stores of different names, got 'a' twice"):
            load_sets(["x/a", "y/a"], lambda _: sets["a"])

    @pytest.mark.parametrize(
        "change", [{"labels": [0]}, {"draws": 0}, {"resamples": 0}, {"folds": 1}, {"prior_strength": -1.0}]
    )
    def test_settings_that_measure_nothing_are_refused(self, change):
        with pytest.raises(EvaluationError, match=f"{next(iter(change))}: expected .*at least"):
            replace(QUICK, **change)

    def test_the_former_name_of_prior_strength_is_accepted_with_a_notice(self):
        with pytest.warns(DeprecationWarning, match="caution is deprecated: use prior_strength"):
            assert TransferSettings(caution=0.5) == TransferSettings(prior_strength=0.5)
        with (
            pytest.warns(DeprecationWarning, match="caution"),
            pytest.raises(EvaluationError, match="prior_strength: expected a number of at least 0, got -1"),
        ):
            TransferSettings(caution=-1.0)
        with pytest.raises(EvaluationError, match="caution: renamed to prior_strength, which is given as well"):
            TransferSettings(caution=0.5, prior_strength=0.5)


class TestTransfer:
    def test_no_fit_has_seen_a_question_it_is_evaluated_on(self, sets, monkeypatch):
        seen: list[set[tuple[float, ...]]] = []
        rows = {tuple(row): sets["a"].groups[i] for i, row in enumerate(sets["a"].features.tolist())}
        fitted = source_fits.fit_classifier
        monkeypatch.setattr(
            source_fits,
            "fit_classifier",
            lambda features, *rest, **more: (
                seen.append({tuple(row) for row in features.tolist()}) or fitted(features, *rest, **more)
            ),
        )
        fits = SourceFits(sets, QUICK)
        fits.predict(("a",), "b", cross_fit=True)
        assert len(seen) == QUICK.folds
        for fold, features in enumerate(seen):
            evaluated = {sets["b"].groups[i] for i in (fits.folds["b"] == fold).nonzero().squeeze(1).tolist()}
            assert evaluated
            assert not evaluated & {rows[row] for row in features}

    def test_each_fit_is_made_once_and_serves_in_domain_and_transfer(self, sets, monkeypatch):
        made = []
        fitted = source_fits.fit_classifier
        monkeypatch.setattr(
            source_fits,
            "fit_classifier",
            lambda *args, **more: made.append("warm_start" in more) or fitted(*args, **more),
        )
        fits = SourceFits(sets, QUICK)
        for pair in (Pair(("a",), "b"), Pair(("b",), "a"), Pair(("a",), "a")):
            transfer(pair, fits)
        assert made.count(False) == 2 * 2 * QUICK.folds  # two sources, plain and aligned

    def test_settings_are_reported_apart(self, result):
        names = [(one.name, one.labels) for one in result.settings]
        assert names == [
            (IN_DOMAIN, -1),
            (ZERO_SHOT, 0),
            (ALIGNED, 0),
            (SHIFT, 0),
            (MAP, 25),
            (WARM, 25),
            (MAP, 50),
            (WARM, 50),
        ]

    def test_figures_are_those_of_the_predictions_over_folds(self, sets, result):
        labels, zero = sets["b"].labels.numpy(), result.get(ZERO_SHOT)
        p, folds = zero.runs[0].p_correct.numpy(), result.folds.numpy()
        aurocs = [roc_auc_score(labels[folds == fold], p[folds == fold]) for fold in range(QUICK.folds)]
        briers = [brier_score_loss(labels[folds == fold], p[folds == fold]) for fold in range(QUICK.folds)]
        assert zero.metrics["auroc"] == pytest.approx(np.mean(aurocs), abs=1e-9)
        assert zero.metrics["brier"] == pytest.approx(np.mean(briers), abs=1e-9)
        in_domain = result.get(IN_DOMAIN).metrics["auroc"]
        assert zero.less_in_domain["auroc"].difference == pytest.approx(np.mean(aurocs) - in_domain, abs=1e-9)

    def test_hidden_states_of_another_width_transfer(self, result):
        """The spectrum has no width; both toys' agreement goes with being right."""
        assert result.get(ZERO_SHOT).metrics["auroc"] > result.get(IN_DOMAIN).metrics["auroc"] - 0.05

    def test_labels_are_of_questions_that_are_not_evaluated_on(self, sets):
        folds = hashed_folds(sets["b"].groups, 3)
        drawn = list(draw_labels(folds, 50, QUICK))
        assert len(drawn) == QUICK.folds * QUICK.draws
        for labelled, others in drawn:
            assert len(set(labelled.tolist())) == 50
            groups = [{sets["b"].groups[i] for i in rows.tolist()} for rows in (labelled, others)]
            assert not groups[0] & groups[1]
        fewer = list(draw_labels(folds, 25, QUICK))
        assert all(torch.equal(a, b[:25]) for (a, _), (b, _) in zip(fewer, drawn, strict=True))

    def test_more_labels_than_a_fold_has_are_left_out_with_the_reason(self, sets):
        found = transfer(Pair(("c",), "a"), SourceFits(sets, replace(QUICK, labels=(5000,))))
        assert found.get(MAP) is None
        assert "5000 labels: a fold of a has only" in found.left_out[0]

    def test_a_source_that_is_the_target_is_its_own_cross_validation(self, sets):
        found = transfer(Pair(("a",), "a"), SourceFits(sets, QUICK))
        assert [one.name for one in found.settings] == [IN_DOMAIN]
        assert found.settings[0].less_in_domain["auroc"].difference == 0.0

    def test_alignment_takes_away_what_a_whole_set_differs_by(self, sets):
        """Features moved and stretched as a whole: aligned predictions are those of the features as they were."""
        moved = sets | {"b": replace(sets["b"], features=sets["b"].features * 3 + 7)}
        ours, theirs = (
            SourceFits(found, QUICK).predict(("a",), "b", aligned=True, cross_fit=True) for found in (sets, moved)
        )
        assert torch.allclose(ours, theirs, atol=1e-9)

    def test_without_shared_questions_the_source_is_fitted_whole(self, sets):
        fits = SourceFits(sets, replace(QUICK, shared_questions="refuse", labels=[]))
        zero = transfer(Pair(("a",), "c"), fits).get(ZERO_SHOT)
        assert torch.equal(zero.runs[0].p_correct, fits.get(("a",), None)(sets["c"].features).p_correct)

    @pytest.mark.parametrize(("which", "message"), [("a", "source a: 240 answer sets"), ("b", "b: fold 0: it hold")])
    def test_a_single_class_is_refused(self, sets, which, message):
        one = sets | {which: replace(sets[which], labels=torch.ones(240, dtype=torch.float64))}
        settings = replace(QUICK, shared_questions="refuse")
        with pytest.raises(EvaluationError, match=message):
            transfer(Pair(("a",), "b"), SourceFits(one, settings))


class TestVerb:
    @pytest.fixture
    def stores(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "180")
        for name, dim in (("a", 16), ("b", 24)):
            toy_store(tmp_path / name, dims=(dim,), count=150, model=name, dataset="toy")

    def test_leaving_one_model_out_writes_a_whole_folder(self, stores, capsys):
        call = ["transfer", "a", "b", "--leave-one-out", "--shared-questions", "cross_fit", "--encoder", "null"]
        quick = ["--labels", "[25]", "--folds", "3", "--resamples", "20", "--draws", "1"]
        assert main([*call, *quick, "--out", "run"]) == 0
        printed = capsys.readouterr().out
        assert "ECE of all held-out sets, and its floor" in printed
        assert "mean, all" in printed
        config = json.loads(Path("run/config.json").read_text())
        assert config["pairs"] == [{"sources": ["b"], "target": "a"}, {"sources": ["a"], "target": "b"}]
        assert config["settings"]["folds"] == 3
        data = json.loads(Path("run/data.json").read_text())
        assert data["a"]["fingerprint"] != data["b"]["fingerprint"]
        assert data["a"]["vectors"][0]["dim"] == 16
        with Path("run/matrix.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert [row["setting"] for row in rows][:6] == [IN_DOMAIN, ZERO_SHOT, ALIGNED, SHIFT, MAP, WARM]
        assert "| source | target |" in Path("run/matrix.md").read_text()
        assert len(json.loads(Path("run/matrix.json").read_text())["rows"]) == len(rows) == 12
        maps = {file.name for file in Path("run/maps").iterdir()}
        assert {"auroc-zero-shot.svg", "ece-label-shift.png"} <= maps
        table = pq.read_table("run/predictions.parquet").to_pylist()
        zero = [row for row in table if row["setting"] == ZERO_SHOT and row["target"] == "a"]
        assert len({row["id"] for row in zero}) == len(zero) == 150
        assert sum(row["setting"] == MAP for row in table) == 2 * 2 * 150  # each set in two draws of three

    def test_sources_to_targets(self, stores, capsys):
        call = ["transfer", "--sources", "a", "b", "--targets", "a", "--shared_questions", "cross_fit"]
        assert main([*call, "--encoder", "null", "--labels", "[]", "--folds", "3", "--resamples", "5"]) == 0
        assert "label shift" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["a", "b"], "expected --sources and --targets, or answer files and --leave_one_out"),
            (["--sources", "a"], "expected --sources and --targets, or answer files and --leave_one_out"),
            (["--sources", "a", "--leave_one_out"], "--leave_one_out: expected answer files and no --sources"),
            (["a", "b", "--leave_one_out"], "--shared_questions cross_fit"),
            (["--sources", "a", "--targets", "a"], "a is both source and target: its figures would be in-sample"),
            (["--sources", "a", "--targets", "b", "--layers", "[7]"], "expected layers [7]"),
            (["a", "b", "--leave_one_out", "--folds", "1"], "folds: expected at least 2, got 1"),
        ],
    )
    def test_bad_calls(self, stores, args, message, capsys):
        call = [*args, "--encoder", "null"]
        if "--folds" in args:
            call += ["--shared_questions", "cross_fit"]
        assert main(["transfer", *call]) == 1
        assert message in " ".join(capsys.readouterr().err.split())

    def test_sets_of_unequal_n_without_greedy_and_partly_labelled(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        write_toy_answers(tmp_path / "a.jsonl", 160, model="a")
        odd = [
            row | {"model": "b", "id": f"o{row['id']}", "question": f"Other: {row['question']}"}
            for row in toy_rows(160)
        ]
        odd = [row | {"answers": row["answers"][: 3 + i % 7], "greedy": None} for i, row in enumerate(odd)]
        odd = [row | ({"gold": None} if i % 4 == 0 else {}) for i, row in enumerate(odd)]
        Path("b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in odd))
        call = ["transfer", "a.jsonl", "b.jsonl", "--leave_one_out", "set", "--labels", "[]", "--folds", "3"]
        assert main([*call, "--resamples", "5", "--out", "run"]) == 0
        assert json.loads(Path("run/data.json").read_text())["b"]["left_out"] == 40
        capsys.readouterr()

    def test_lists_and_dashes_are_read_as_users_give_them(self):
        args = with_underscores(["--sources", "a", "b-c", "--leave-one-out", "--x-y=p-q"])
        assert args == ["--sources", "a", "b-c", "--leave_one_out", "--x_y=p-q"]
        assert join_lists(args, ("--sources",)) == ["--sources", '["a", "b-c"]', "--leave_one_out", "--x_y=p-q"]
        assert join_lists(["--sources", "[a,b]"], ("--sources",)) == ["--sources", "[a,b]"]

    @pytest.mark.parametrize(
        ("args", "expected"),
        [
            (["a", "b", "--folds", "2"], ['["a", "b"]', "--folds", "2"]),
            (["--folds", "2", "--seed", "-1", "a", "b"], ['["a", "b"]', "--folds", "2", "--seed", "-1"]),
            (["a", "--out=x", "b"], ['["a", "b"]', "--out=x"]),
            (["--print_config", "a"], ['["a"]', "--print_config"]),
            (["[a,b]", "--folds", "2"], ["[a,b]", "--folds", "2"]),
            (["--help"], ["--help"]),
            ([], []),
        ],
    )
    def test_files_may_stand_before_between_and_after_options(self, args, expected):
        assert files_first(args) == expected
        named = files_first(args, "--answers")
        assert named == (["--answers", *expected] if expected and not expected[0].startswith("-") else expected)


@pytest.mark.data
@pytest.mark.slow
def test_a_predictor_of_other_models_ranks_about_as_well_as_one_of_the_model_itself(real_answers, tmp_path):
    paths = []
    for source in sorted(real_answers.glob("sciq__*.jsonl.gz"))[:3]:
        paths.append(tmp_path / source.name.removesuffix(".gz"))
        with gzip.open(source, "rt") as stream:
            paths[-1].write_text("".join(itertools.islice(stream, 0, None, 5)))
    sets, _ = load_sets([str(path) for path in paths], lambda path: load_evaluation_set(path, scores=()))
    fits = SourceFits(sets, TransferSettings(shared_questions="cross_fit", labels=[], resamples=1, folds=2))
    found = [transfer(pair, fits) for pair in leave_one_out_pairs(sets, "model")]
    differences = [one.get(ALIGNED).less_in_domain["auroc"].difference for one in found]
    assert sum(differences) / len(differences) > -0.03
