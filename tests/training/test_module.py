"""Fitting: it learns, it is deterministic, its checkpoints are whole, and it refuses what does not fit."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from lightning.pytorch import Trainer
from scipy import stats
from sklearn.metrics import roc_auc_score

from sgpu_lightning import AnswerDataModule, SGPUModule, fit
from sgpu_lightning.answers.storage.vectors import VectorError
from sgpu_lightning.data.splits import SplitError
from sgpu_lightning.features.answer_batch import batch_of_vectors
from sgpu_lightning.features.extractor import AnswerFeatures
from sgpu_lightning.training.checks import CheckpointError
from tests.toy import toy_store

QUICK = {"max_steps": 50, "enable_progress_bar": False}


def white_box(path, **kwargs) -> AnswerDataModule:
    return AnswerDataModule(str(path), encoder=None, **kwargs)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "one"
    toy_store(path)
    return path


@pytest.fixture(scope="module")
def two_layers(tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "two"
    toy_store(path, dims=(16, 16))
    return path


@pytest.fixture(scope="module")
def fitted(store, tmp_path_factory):
    torch.manual_seed(0)
    return fit(white_box(store), out=tmp_path_factory.mktemp("fit"), **QUICK)


def predictions(module: SGPUModule, data: AnswerDataModule) -> torch.Tensor:
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    return torch.cat([prediction.p_correct for _, prediction in trainer.predict(module, datamodule=data)])


def test_it_learns_to_rank_and_beats_the_base_rate(fitted, store):
    test = fitted.metrics["test"]
    data = white_box(store)
    data.setup()
    rate = data.table.labels[data.split_indices["test"]].mean().item()
    assert test["auroc"] > 0.8
    assert test["nll"] < float(stats.bernoulli(rate).entropy())


def test_reported_metrics_are_those_of_the_predictions(fitted, store):
    data = white_box(store)
    p = predictions(fitted.module, data)
    rows = data.split_indices["test"]
    labels = data.table.labels[rows]
    assert fitted.metrics["test"]["auroc"] == pytest.approx(roc_auc_score(labels, p[rows]), abs=1e-6)
    assert fitted.metrics["test"]["brier"] == pytest.approx(((p[rows] - labels) ** 2).mean().item(), abs=1e-6)
    assert fitted.sizes["test"] == len(rows)


def test_a_checkpoint_reloads_to_equal_predictions(fitted, store):
    loaded = SGPUModule.load_from_checkpoint(fitted.checkpoint, weights_only=True)
    torch.testing.assert_close(
        predictions(loaded, white_box(store)), predictions(fitted.module, white_box(store)), atol=0, rtol=0
    )


def test_a_checkpoint_holds_no_pickled_code(fitted):
    checkpoint = torch.load(fitted.checkpoint, weights_only=True)
    assert checkpoint["vector_specs"][0]["kind"] == "hidden"
    assert not [key for key in checkpoint["state_dict"] if "mll" in key or "elbo" in key]


def test_no_validation_sets_are_needed_where_only_the_gp_is_learned(store, tmp_path):
    torch.manual_seed(0)
    fitted = fit(white_box(store, val_fraction=0.0), out=tmp_path, enable_progress_bar=False)
    assert set(fitted.metrics) == {"test"}
    assert fitted.metrics["test"]["auroc"] > 0.8
    steps = torch.load(fitted.checkpoint, weights_only=True)["global_step"]
    assert 1 < steps < 50, "it stops by itself"


def test_two_fits_with_one_seed_are_equal(store, tmp_path):
    both = []
    for name in ("a", "b"):
        torch.manual_seed(3)
        both.append(predictions(fit(white_box(store), out=tmp_path / name, **QUICK).module, white_box(store)))
    torch.testing.assert_close(both[0], both[1], atol=0, rtol=0)


def test_predictions_do_not_depend_on_the_batch_size(fitted, store):
    one = predictions(fitted.module, white_box(store))
    data = white_box(store)
    data.setup()
    single = torch.cat([fitted.module(data.batch(torch.tensor([i]))).p_correct for i in range(20)])
    torch.testing.assert_close(one[:20], single, atol=1e-12, rtol=0)


def test_vectors_in_memory_can_be_scored_directly(store, tmp_path):
    torch.manual_seed(0)
    module = fit(white_box(store), SGPUModule(features=["spectrum"]), out=tmp_path, **QUICK).module
    agree = torch.randn(1, 1, 16).repeat(1, 10, 1)
    differ = torch.linalg.qr(torch.randn(16, 16)).Q[:10].unsqueeze(0)
    p = module(batch_of_vectors(torch.cat([agree, differ]))).p_correct
    assert p[0] > p[1]


@pytest.mark.parametrize(
    ("settings", "learned"),
    [
        ({"projection_dim": 4}, ["features.projection.weight"]),
        ({"learn_layers": True}, ["features.layer_logits"]),
        ({"gram_kernel": "rbf", "learn_gamma": True}, ["features.log_gamma"]),
        ({"projection_dim": 4, "learn_layers": True}, ["features.projection.weight", "features.layer_logits"]),
    ],
)
def test_what_stands_before_the_spectrum_is_trained_through_it(two_layers, tmp_path, settings, learned):
    torch.manual_seed(0)
    start = SGPUModule(**settings)
    trainer_free = fit(white_box(two_layers), start, out=tmp_path / "a", max_steps=1, val_check_interval=1)
    first = {name: p.detach().clone() for name, p in trainer_free.module.named_parameters()}
    torch.manual_seed(0)
    fitted = fit(white_box(two_layers), SGPUModule(**settings), out=tmp_path / "b", max_steps=25)
    last = dict(fitted.module.named_parameters())
    for name in learned:
        assert not torch.equal(first[name], last[name]), name
    loaded = SGPUModule.load_from_checkpoint(fitted.checkpoint, weights_only=True)
    data = white_box(two_layers)
    torch.testing.assert_close(predictions(loaded, data), predictions(fitted.module, data), atol=0, rtol=0)


def test_gradients_of_the_elbo_reach_every_learned_parameter(two_layers, tmp_path):
    torch.manual_seed(0)
    settings = {"projection_dim": 4, "learn_layers": True, "gram_kernel": "rbf", "learn_gamma": True}
    data = white_box(two_layers)
    module = fit(data, SGPUModule(**settings), out=tmp_path, max_steps=25, enable_progress_bar=False).module
    module.train().zero_grad()
    batch = data.batch("train")
    module.gp.elbo(module.features(batch), batch.label, len(batch)).backward()
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert (parameter.grad != 0).any(), name


def test_one_checkpoint_scores_another_model_of_another_width(fitted, tmp_path):
    toy_store(tmp_path / "wide", dims=(40,), count=30)
    data = white_box(tmp_path / "wide")
    # Another model's hidden states: same token rule, another source.
    data.setup()
    other = tuple(dataclasses.replace(spec, source="other") for spec in data.vector_specs)
    data.__dict__["vector_specs"] = other
    assert predictions(fitted.module, data).shape == (30,)


def test_the_spectrum_alone_has_a_constant_mean_and_all_features_one_by_agreement(fitted, store, tmp_path):
    assert fitted.module.hparams["mean"] == "agreement"
    assert fitted.module.gp.latent.trend.count == 5
    plain = fit(white_box(store), SGPUModule(features=["spectrum"]), out=tmp_path, **QUICK).module
    assert plain.hparams["mean"] == "constant"
    assert plain.gp.latent.trend.count == 0


class TestWarmStart:
    """A fit on few labels that starts from a predictor fitted elsewhere."""

    @pytest.fixture
    def few(self, tmp_path):
        toy_store(tmp_path / "few", count=30, model="another", question="a question of its own", group=None)
        return AnswerDataModule(str(tmp_path / "few"), encoder=None, val_fraction=0.0, test_fraction=0.0)

    def test_it_predicts_much_like_the_other_predictor(self, fitted, few, store, tmp_path):
        data = white_box(store)
        warm = fit(few, SGPUModule(warm_start=str(fitted.checkpoint)), out=tmp_path, **QUICK).module
        expected = predictions(fitted.module, data)
        assert stats.spearmanr(predictions(warm, white_box(store)), expected).statistic > 0.9

    def test_its_checkpoint_is_whole_without_the_other_one(self, fitted, few, store, tmp_path):
        copy = tmp_path / "other.ckpt"
        copy.write_bytes(fitted.checkpoint.read_bytes())
        warm = fit(few, SGPUModule(warm_start=str(copy)), out=tmp_path, **QUICK)
        expected = predictions(warm.module, white_box(store))
        copy.unlink()
        loaded = SGPUModule.load_from_checkpoint(warm.checkpoint, weights_only=True)
        torch.testing.assert_close(predictions(loaded, white_box(store)), expected, atol=0, rtol=0)

    def test_what_the_other_predictor_was_fitted_on_is_in_sample(self, fitted, few, store, tmp_path):
        warm = fit(few, SGPUModule(warm_start=str(fitted.checkpoint)), out=tmp_path, **QUICK).module
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
        with pytest.raises(SplitError, match="of groups the predictor was fitted on"):
            trainer.test(warm, datamodule=white_box(store, split_seed=1), verbose=False)

    @pytest.mark.parametrize("settings", [{"features": ["spectrum"]}, {"floor": 1e-5}])
    def test_other_features_are_refused(self, fitted, few, tmp_path, settings):
        module = SGPUModule(warm_start=str(fitted.checkpoint), **settings)
        with pytest.raises(CheckpointError, match=r"warm_start: .* expected a predictor on the same features"):
            fit(few, module, out=tmp_path, **QUICK)

    def test_what_is_no_checkpoint_is_refused(self, few, tmp_path):
        with pytest.raises(CheckpointError, match="no such file; expected a checkpoint written by 'sgpu fit'"):
            fit(few, SGPUModule(warm_start=str(tmp_path / "none.ckpt")), out=tmp_path, **QUICK)


def test_fitting_on_subsets_calibrates_fewer_answers(tmp_path):
    toy_store(tmp_path / "store", count=400)
    nll = []
    for subsets in (0, 2):
        data = white_box(tmp_path / "store", subsets=subsets)
        module = fit(data, out=tmp_path / "fit", **QUICK).module
        batch = data.batch("test")
        few = module(dataclasses.replace(batch, mask=torch.arange(10).expand(len(batch), -1) < 3)).p_correct
        nll.append(torch.nn.functional.binary_cross_entropy(few, batch.label).item())
    assert nll[1] < nll[0]


class TestRefusals:
    def test_a_checkpoint_of_another_feature_set(self, fitted, store):
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
        with pytest.raises(
            CheckpointError, match=r"fitted with other settings: features: checkpoint \['spectrum', 'scored"
        ):
            trainer.test(
                SGPUModule(features=["spectrum"]), white_box(store), ckpt_path=fitted.checkpoint, weights_only=True
            )

    def test_a_checkpoint_of_another_module(self, tmp_path):
        with pytest.raises(CheckpointError, match="expected one written by 'sgpu fit', got one of another module"):
            SGPUModule().on_load_checkpoint({"state_dict": {}, "hyper_parameters": {}})

    def test_vectors_of_another_layer_or_token_rule(self, fitted, tmp_path):
        toy_store(tmp_path / "mean", count=30, token="mean")
        with pytest.raises(CheckpointError, match=r"fitted on vectors of .*last token, got .*mean token"):
            predictions(fitted.module, white_box(tmp_path / "mean"))

    def test_vectors_of_an_encoder(self, fitted, toy_answers):
        with pytest.raises(CheckpointError, match=r"fitted on vectors of hidden states of toy.*, got encoder minilm"):
            predictions(fitted.module, AnswerDataModule(str(toy_answers)))

    def test_a_layer_the_store_does_not_hold(self, store):
        with pytest.raises(
            VectorError, match=r"expected layers \[7\], token any, the store holds: hidden states of toy"
        ):
            fit(white_box(store, layers=[7]), **QUICK)

    def test_predicting_before_fitting(self, store):
        with pytest.raises(CheckpointError, match="no fitted GP yet: fit it, or load a checkpoint"):
            predictions(SGPUModule(), white_box(store))

    def test_a_precision_the_gp_cannot_run_in(self, store, tmp_path):
        with pytest.raises(ValueError, match=r"trainer\.precision: the GP runs in float64, got"):
            fit(white_box(store), out=tmp_path, precision="bf16-true", **QUICK)

    def test_an_unknown_kernel(self, store, tmp_path):
        with pytest.raises(ValueError, match="kernel: expected one of rbf"):
            fit(white_box(store), SGPUModule(kernel="cubic"), out=tmp_path, **QUICK)  # type: ignore[arg-type]


def test_mixed_precision_leaves_the_gp_in_float64(store, tmp_path):
    torch.manual_seed(0)
    fitted = fit(white_box(store), out=tmp_path, precision="bf16-mixed", **QUICK)
    assert {parameter.dtype for parameter in fitted.module.gp.parameters()} == {torch.float64}
    assert fitted.metrics["test"]["auroc"] > 0.8


def test_fixed_features_are_computed_once(store, tmp_path, monkeypatch):
    calls = []
    forward = AnswerFeatures.forward

    def counted(self, batch):
        calls.append(len(batch))
        return forward(self, batch)

    monkeypatch.setattr(AnswerFeatures, "forward", counted)
    fit(white_box(store), out=tmp_path, **QUICK)
    assert sum(calls) == 240
