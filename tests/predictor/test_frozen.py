"""A frozen predictor is the checkpoint's: the same predictions, and graphs of them."""

from __future__ import annotations

import inspect

import pytest
import torch
from sklearn.metrics import brier_score_loss, roc_auc_score

from sgpu_lightning import AnswerDataModule, AnswerFeatures, SGPUModule, SGPUPredictor
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.frozen.prediction import Prediction
from sgpu_lightning.predictor import export_graph, make_predictor, write_onnx
from sgpu_lightning.predictor.artefact.frozen_predictor import FrozenPredictor, to_bytes
from tests.gp.reference import gpytorch_prediction
from tests.predictor.conftest import make
from tests.toy import toy_store

SETTINGS = {
    "default": {},
    "spectrum alone, Matern": {"features": ["spectrum"], "kernel": "matern32", "num_eigenvalues": 6},
    "learned front": {
        "gram_kernel": "rbf",
        "gamma": 2.0,
        "learn_gamma": True,
        "projection_dim": 4,
        "learn_layers": True,
    },
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_predictions_are_those_of_gpytorch_on_the_fitted_module(settings, tmp_path):
    toy_store(tmp_path / "store", dims=(16, 16))
    data = AnswerDataModule(str(tmp_path / "store"), encoder=None)
    made = make(data, tmp_path / "store", tmp_path, SGPUModule(num_inducing=16, **settings))
    run = next(made.data.runs())
    with torch.no_grad():
        expected = gpytorch_prediction(made.module.gp, made.module.features(run))  # GPyTorch itself, nothing frozen
        ours = made.module(run)
        loaded = made.load().model(run)
    for name in Prediction._fields:
        torch.testing.assert_close(getattr(loaded, name), getattr(expected, name), atol=1e-10, rtol=0)
    assert torch.equal(loaded.p_correct, ours.p_correct)


def test_a_warm_started_predictor_carries_the_one_it_started_from(white, tmp_path):
    toy_store(tmp_path / "store", count=60)
    data = AnswerDataModule(str(tmp_path / "store"), encoder=None, test_fraction=0.0)
    module = SGPUModule(white.module.hparams["features"], warm_start=str(white.checkpoint), num_inducing=8)
    made = make(data, tmp_path / "store", tmp_path, module)
    run = next(data.runs())
    with torch.no_grad():
        expected = gpytorch_prediction(made.module.gp, made.module.features(run))
    loaded = made.load()
    torch.testing.assert_close(loaded.model(run).p_correct, expected.p_correct, atol=1e-10, rtol=0)
    assert loaded.config.gp["base"] == white.load().config.gp


def test_the_extractors_settings_are_its_arguments():
    features = AnswerFeatures(["spectrum"], projection=(5, 3), num_layers=2, learn_layers=True, gamma=2.0)
    assert features.settings.keys() == inspect.signature(AnswerFeatures).parameters.keys()
    again = AnswerFeatures(**features.settings)
    again.load_state_dict(features.state_dict())
    assert again.settings == features.settings


def test_the_gps_settings_are_the_arguments_of_its_shape(white):
    gp = white.load().model.gp
    assert gp.settings.keys() == inspect.signature(FrozenGP.of_shape).parameters.keys()
    FrozenGP.of_shape(**gp.settings).load_state_dict(gp.state_dict())


def test_everything_is_float64_on_disk_and_nothing_is_trainable(white):
    model = white.load().model
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float64}
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_saving_again_gives_the_same_files(white, tmp_path):
    white.load().save_pretrained(tmp_path / "again")
    for file in white.folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


@pytest.fixture(scope="module")
def features(white):
    generator = torch.Generator().manual_seed(0)
    count = white.load().model.features.num_features
    return 3 * torch.randn(50, count, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("sets", [1, 2, 50])
def test_a_torch_export_graph_takes_any_batch(white, features, sets):
    gp = white.load().model.gp
    graph = export_graph(gp).module()
    for got, expected in zip(graph(features[:sets]), gp(features[:sets]), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kernel", ["rbf", "matern52"])
def test_onnxruntime_agrees(white, features, kernel, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    gp = white.load().model.gp
    gp.kernel = kernel
    write_onnx(gp, tmp_path / "gp.onnx")
    session = runtime.InferenceSession(str(tmp_path / "gp.onnx"))
    assert [output.name for output in session.get_outputs()] == list(Prediction._fields)
    for sets in (1, 50):
        found = session.run(None, {"features": features[:sets].numpy()})
        for got, expected in zip(found, gp(features[:sets]), strict=True):
            torch.testing.assert_close(torch.from_numpy(got), expected, atol=1e-5, rtol=0)


def test_onnx_without_its_extra_says_what_to_install(white, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ValueError, match=r"ONNX needs the extra \[onnx\]: pip install 'sgpu-lightning\[onnx\]'"):
        write_onnx(white.load().model.gp, tmp_path / "gp.onnx")


def test_bytes_hold_every_tensor_of_the_module(white):
    from safetensors.torch import load

    model = white.load().model
    assert isinstance(model, FrozenPredictor)
    assert load(to_bytes(model)).keys() == model.state_dict().keys()


def test_a_module_that_is_not_fitted_is_refused(white):
    with pytest.raises(ValueError, match="the module has no fitted GP yet: fit it first, or load a checkpoint"):
        make_predictor(SGPUModule(), white.data)


def test_other_answers_than_the_fits_are_refused(white, tmp_path):
    toy_store(tmp_path / "other", count=120)
    data = AnswerDataModule(str(tmp_path / "other"), encoder=None)
    with pytest.raises(ValueError, match=r"not those of the fit: expected \d+ groups, got \d+, \d+ of them the same"):
        make_predictor(white.module, data)


def test_vectors_of_another_kind_than_the_fits_are_refused(white, tmp_path):
    toy_store(tmp_path / "other", token="mean")
    data = AnswerDataModule(str(tmp_path / "other"), encoder=None)
    with pytest.raises(ValueError, match=r"fitted on vectors of .*last token, got .*mean token; use the same"):
        make_predictor(white.module, data)


def test_the_config_says_what_was_measured(white):
    config = SGPUPredictor.from_pretrained(white.folder).config
    train, test = white.data.split_indices["train"], white.data.split_indices["test"]
    variance = white.module(white.data.batch(train)).latent_variance
    assert config.num_answers == (10, 10)
    assert config.training.sets == len(train)
    assert config.training.right == pytest.approx(white.data.table.labels[train].mean().item())
    assert config.domain.unlike_above == pytest.approx(variance.quantile(0.99).item())
    assert config.evaluation.sets == len(test)
    assert sum(one.sets for one in config.evaluation.calibration) == len(test)


def test_fitting_on_some_of_the_answers_widens_the_range(tmp_path):
    toy_store(tmp_path / "store", count=120)
    data = AnswerDataModule(str(tmp_path / "store"), encoder=None, subsets=2, fewest_answers=4)
    made = make(data, tmp_path / "store", tmp_path)
    config = made.load().config
    index = data.split_indices["train"]
    subsets = [lambda run: run, *data.answer_subsets]  # each set with all its answers, and with each subset of them
    with torch.no_grad():
        parts = [torch.cat([made.module(subset(run)).latent_variance for run in data.runs()]) for subset in subsets]
    variance = torch.cat([part[index] for part in parts])
    assert config.num_answers == (4, 10)
    assert config.domain.unlike_above == pytest.approx(variance.quantile(0.99).item())


def test_metrics_are_those_of_the_fit(white):
    config = white.load().config
    batch = white.data.batch(white.data.split_indices["test"])
    p = white.module(batch).p_correct.detach().numpy()
    labels = batch.label.numpy()
    assert config.evaluation.metrics["auroc"].value == pytest.approx(roc_auc_score(labels, p))
    assert config.evaluation.metrics["brier"].value == pytest.approx(brier_score_loss(labels, p))
    auroc = config.evaluation.metrics["auroc"]
    assert auroc.low <= auroc.value <= auroc.high
