"""A Lightning user at home: an own Trainer, callbacks, loggers and DataLoaders; fitting again; copies; gradients."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, IterableDataset

from sgpu_lightning import AnswerDataModule, SGPUModule, fit
from sgpu_lightning.data.splits import SplitError
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.training.predictions import prediction_records
from sgpu_lightning.training.trainer.stopping import FinalCheckpoint, best_checkpoint
from tests.toy import random_batch, toy_store

QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "one"
    toy_store(path)
    return path


def data_of(path, **kwargs) -> AnswerDataModule:
    data = AnswerDataModule(str(path), encoder=None, **kwargs)
    data.setup()
    return data


def samples(data: AnswerDataModule, split: str, *extra: str) -> list[dict]:
    """The sets of a split as plain mappings of tensors, one for each answer set, as a user's own Dataset gives them."""
    batch = data.batch(split)
    names = ("vectors", "scored", "label", *extra)
    return [{name: getattr(batch, name)[i] for name in names} for i in range(len(batch))]


def own_loaders(data: AnswerDataModule, *extra: str, batch_size: int = 32) -> dict[str, DataLoader]:
    return {
        split: DataLoader(samples(data, split, *extra), batch_size=batch_size, shuffle=split == "train")
        for split in ("train", "val", "test")
    }


class Counter(Callback):
    steps = 0

    def on_train_batch_end(self, *_):
        self.steps += 1


class TestOwnTrainer:
    def test_the_fit_stops_by_itself_and_keeps_its_best_state_beside_the_user_s_callbacks(self, store, tmp_path):
        counter = Counter()
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=500, callbacks=[counter])
        trainer.fit(SGPUModule(), datamodule=data_of(store))
        assert 1 < counter.steps < 100
        assert best_checkpoint(trainer).name == "best.ckpt"
        kept = [one for one in trainer.checkpoint_callbacks if not isinstance(one, FinalCheckpoint)]
        assert not kept, "Lightning's default checkpoint gives way"
        (metrics,) = trainer.test(ckpt_path="best", datamodule=data_of(store), verbose=False, weights_only=True)
        assert metrics["test/auroc"] > 0.8

    def test_the_user_s_own_stop_and_checkpoint_are_kept(self, store, tmp_path):
        stop = EarlyStopping("train/elbo", mode="max", patience=1000)
        keep = ModelCheckpoint(dirpath=tmp_path / "own", filename="mine")
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=500, callbacks=[stop, keep])
        trainer.fit(SGPUModule(), datamodule=data_of(store))
        assert stop in trainer.callbacks
        assert (tmp_path / "own" / "mine.ckpt").exists()
        assert best_checkpoint(trainer).name == "best.ckpt"

    def test_no_checkpoint_is_written_where_none_is_wanted(self, store, tmp_path):
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=500, enable_checkpointing=False)
        trainer.fit(SGPUModule(), datamodule=data_of(store))
        assert best_checkpoint(trainer) is None
        assert not list(tmp_path.rglob("*.ckpt"))

    def test_a_logger_gets_the_bound_and_the_metrics(self, store, tmp_path):
        settings = QUIET | {"logger": CSVLogger(tmp_path, name="log")}
        trainer = Trainer(**settings, max_epochs=500, log_every_n_steps=1)
        trainer.fit(SGPUModule(), datamodule=data_of(store))
        trainer.test(datamodule=data_of(store), ckpt_path="best", verbose=False, weights_only=True)
        header = (tmp_path / "log" / "version_0" / "metrics.csv").read_text().splitlines()[0]
        assert {"train/elbo", "val/nll", "test/auroc"} <= set(header.split(","))

    def test_callbacks_given_to_fit_are_added(self, store, tmp_path):
        counter = Counter()
        fitted = fit(data_of(store), out=tmp_path, enable_progress_bar=False, callbacks=[counter])
        assert 1 < counter.steps < 100
        assert fitted.checkpoint.name == "best.ckpt"

    def test_a_fit_is_resumed_from_a_checkpoint_to_the_same_end(self, store, tmp_path):
        whole, first, second = (
            Trainer(**QUIET, default_root_dir=tmp_path / name, max_epochs=epochs)
            for name, epochs in (("whole", 500), ("first", 2), ("second", 500))
        )
        for trainer, path in ((whole, None), (first, None), (second, "first")):
            module = SGPUModule()
            start = None if path is None else str(best_checkpoint(first))
            trainer.fit(module, datamodule=data_of(store), ckpt_path=start, weights_only=True)
        assert first.global_step == 2
        assert second.global_step > 2
        batch = data_of(store).batch("test")
        torch.testing.assert_close(
            second.lightning_module(batch).p_correct, whole.lightning_module(batch).p_correct, atol=0.02, rtol=0
        )


def test_leftover_launcher_variables_do_not_split_a_fit(store, tmp_path, monkeypatch, capsys):
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "1", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    fitted = fit(data_of(store), out=tmp_path, enable_progress_bar=False)
    assert fitted.checkpoint.exists()
    assert (
        "fit: one device is used, so the launcher's variables SLURM_JOB_NAME, SLURM_NTASKS" in capsys.readouterr().err
    )


class TestOwnLoaders:
    def test_mappings_of_tensors_fit_test_and_predict_like_the_data_module(self, store, tmp_path):
        data = data_of(store)
        loaders = own_loaders(data)
        blocks = ["spectrum", "scored_similarity"]
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=100)
        module = SGPUModule()
        trainer.fit(module, loaders["train"], loaders["val"])
        assert module.hparams["features"] == blocks, "what the batches hold the inputs of"
        (metrics,) = trainer.test(module, loaders["test"], verbose=False)
        assert metrics["test/auroc"] > 0.8
        ours = fit(data_of(store), SGPUModule(features=blocks), out=tmp_path, enable_progress_bar=False).module
        p = torch.cat([one.p_correct for _, one in trainer.predict(module, loaders["test"])])
        torch.testing.assert_close(p, ours(data.batch("test")).p_correct, atol=5e-3, rtol=0)

    def test_the_fit_does_not_depend_on_the_batch_size(self, store, tmp_path):
        found = []
        for size in (16, 1000):
            module = SGPUModule()
            loaders = own_loaders(data_of(store), batch_size=size)
            trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_steps=5, max_epochs=-1)
            trainer.fit(module, loaders["train"])
            found.append(module(data_of(store).batch("test")).p_correct)
        torch.testing.assert_close(*found, atol=1e-8, rtol=0)

    def test_a_data_module_of_the_user_s_own_works(self, store, tmp_path):
        loaders = own_loaders(data_of(store))

        class Own(LightningDataModule):
            def train_dataloader(self):
                return loaders["train"]

            def test_dataloader(self):
                return loaders["test"]

        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=100)
        module = SGPUModule()
        trainer.fit(module, datamodule=Own())
        assert trainer.test(module, datamodule=Own(), verbose=False)[0]["test/auroc"] > 0.8

    def test_learned_features_are_trained_on_own_batches(self, store, tmp_path):
        torch.manual_seed(0)
        loaders = own_loaders(data_of(store))
        module = SGPUModule(projection_dim=4)
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=2)
        trainer.fit(module, loaders["train"], loaders["val"])
        assert trainer.global_step == 2 * len(loaders["train"])
        assert module.features.projection.weight.shape == (4, 16)

    def test_groups_are_remembered_and_not_evaluated_on(self, store, tmp_path):
        data = data_of(store)
        loaders = own_loaders(data, "group")
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=100)
        module = SGPUModule()
        trainer.fit(module, loaders["train"])
        assert set(module.train_groups.tolist()) == set(data.batch("train").group.tolist())
        with pytest.raises(SplitError, match="32 of 32 answer sets of a batch are of groups the predictor was fitted"):
            trainer.test(module, loaders["train"], verbose=False)

    def test_without_groups_nothing_is_called_held_out(self, store, tmp_path):
        data = data_of(store)
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=100)
        module = SGPUModule()
        trainer.fit(module, own_loaders(data)["train"])
        assert module.train_groups is None
        batch = data.batch("test")
        records = list(prediction_records([(batch.index, module(batch))], data.table, module.train_groups))
        assert "held_out" not in records[0]
        loaded = SGPUModule.load_from_checkpoint(best_checkpoint(trainer), weights_only=True)
        assert loaded.train_groups is None

    @pytest.mark.parametrize(
        ("sample", "message"),
        [
            (
                {"vektors": torch.zeros(3, 4)},
                r"expected an AnswerBatch, or a mapping with 'vectors' .* got keys vektors",
            ),
            ({"label": 1.0}, r"expected an AnswerBatch, or a mapping with 'vectors' .* got keys label"),
            (torch.zeros(3, 4), r"expected an AnswerBatch, or a mapping with 'vectors' .* got Tensor"),
        ],
    )
    def test_other_batches_are_refused_by_name(self, tmp_path, sample, message):
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=1)
        with pytest.raises(SGPUError, match=message):
            trainer.fit(SGPUModule(), DataLoader([sample] * 4, batch_size=2))

    def test_labels_of_one_class_are_refused(self, store, tmp_path):
        sets = [sample | {"label": torch.tensor(1.0)} for sample in samples(data_of(store), "train")]
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=1)
        with pytest.raises(SplitError, match="train_dataloaders: expected answer sets with labels of both classes"):
            trainer.fit(SGPUModule(), DataLoader(sets, batch_size=32))


class TestRefusals:
    """What would end in a wrong fit, a wrong figure or a traceback is one sentence."""

    def fit(self, data, module=None, loaders=None, **settings):
        trainer = Trainer(**QUIET | {"max_epochs": 3, "enable_checkpointing": False} | settings)
        loaders = own_loaders(data) if loaders is None else loaders
        trainer.fit(module or SGPUModule(), loaders["train"], loaders.get("val"))
        return trainer

    def test_accumulated_gradients_of_a_gp_alone(self, store):
        with pytest.raises(SGPUError, match=r"accumulate_grad_batches: expected 1, .* got 4; leave it out"):
            self.fit(data_of(store), accumulate_grad_batches=4)

    def test_another_fit_by_a_trainer_that_has_reached_its_limit(self, store):
        data = data_of(store)
        trainer = self.fit(data, max_steps=2, max_epochs=-1)
        with pytest.raises(SGPUError, match=r"an earlier fit reached its limit \(max_steps 2, .* use a new Trainer"):
            trainer.fit(SGPUModule(), own_loaders(data)["train"])

    def test_a_learned_front_without_validation_sets(self, store):
        loaders = {"train": own_loaders(data_of(store))["train"]}
        with pytest.raises(SGPUError, match=r"val_dataloaders: expected validation sets, .* got none"):
            self.fit(data_of(store), SGPUModule(projection_dim=4), loaders)

    def test_weights_where_a_front_is_learned(self, store):
        data = data_of(store)
        sets = [sample | {"weight": torch.tensor(0.5)} for sample in samples(data, "train")]
        loaders = own_loaders(data) | {"train": DataLoader(sets, batch_size=32)}
        with pytest.raises(
            SGPUError, match="batch: expected no 'weight' where something before the spectrum is learned"
        ):
            self.fit(data, SGPUModule(projection_dim=4), loaders)

    def test_several_loaders_of_one_split(self, store):
        loaders = own_loaders(data_of(store))
        trainer = self.fit(data_of(store), loaders=loaders)
        with pytest.raises(SGPUError, match="test_dataloaders: expected one DataLoader, got several"):
            trainer.test(trainer.lightning_module, [loaders["test"], loaders["val"]], verbose=False)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"label": torch.tensor(2.0)}, r"batch: label: expected 1 \(right\), 0 \(wrong\) or NaN"),
            ({"mask": torch.arange(10) < 1}, "batch: expected at least 2 answers of each set"),
            (
                {"features": torch.zeros(7)},
                r"batch: features: expected \[B, 20\], the width of blocks spectrum, .*32, 7",
            ),
        ],
    )
    def test_batches_that_make_no_sense(self, store, change, message):
        data = data_of(store)
        sets = [sample | change for sample in samples(data, "train")]
        with pytest.raises(SGPUError, match=message):
            self.fit(data, loaders={"train": DataLoader(sets, batch_size=32)})


class TestWhatIsTaken:
    def test_integer_masks_and_unknown_labels_with_a_learned_front(self, store):
        data = data_of(store)
        sets = [sample | {"mask": torch.ones(10, dtype=torch.long)} for sample in samples(data, "train")]
        sets[0]["label"] = torch.tensor(torch.nan, dtype=torch.float64)
        loaders = own_loaders(data)
        trainer = Trainer(**QUIET, max_epochs=1, enable_checkpointing=False)
        trainer.fit(SGPUModule(projection_dim=4), DataLoader(sets, batch_size=32), loaders["val"])
        assert trainer.global_step == len(DataLoader(sets, batch_size=32))

    def test_an_iterable_dataset_without_a_length(self, store):
        sets = samples(data_of(store), "train")

        class Stream(IterableDataset):
            def __iter__(self):
                return iter(sets)

        trainer = Trainer(**QUIET, max_epochs=20, enable_checkpointing=False)
        module = SGPUModule()
        trainer.fit(module, DataLoader(Stream(), batch_size=32))
        assert module.train_size == len(sets)

    def test_a_user_s_plain_checkpoints_with_any_setting_are_kept(self, store, tmp_path):
        own = ModelCheckpoint(save_top_k=-1)
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=2, callbacks=[own])
        trainer.fit(SGPUModule(), datamodule=data_of(store))
        assert own in trainer.callbacks

    def test_a_fit_that_fails_gives_back_its_threads_and_the_loaders_their_vectors(self, store):
        class Fails(Callback):
            def on_train_batch_end(self, *_):
                raise RuntimeError("on purpose")

        torch.set_num_threads(2)
        data = data_of(store)
        trainer = Trainer(**QUIET, max_epochs=5, enable_checkpointing=False, callbacks=[Fails()])
        try:
            with pytest.raises(RuntimeError, match="on purpose"):
                trainer.fit(SGPUModule(), datamodule=data)
            assert torch.get_num_threads() == 2
            assert data.with_vectors
        finally:
            torch.set_num_threads(1)

    def test_a_learned_front_keeps_its_best_and_its_latest_state(self, store, tmp_path):
        trainer = Trainer(**QUIET, default_root_dir=tmp_path, max_epochs=20)
        loaders = own_loaders(data_of(store))
        trainer.fit(SGPUModule(projection_dim=4, lr=0.5), loaders["train"], loaders["val"])
        (last,) = tmp_path.rglob("last.ckpt")
        assert torch.load(last, weights_only=True)["global_step"] == trainer.global_step
        assert best_checkpoint(trainer).exists()


class TestFittingAgain:
    def test_a_second_fit_starts_over(self, store, tmp_path):
        module = fit(data_of(store), out=tmp_path / "a", enable_progress_bar=False).module
        first = module.gp
        again = fit(data_of(store, split_seed=5), module, out=tmp_path / "b", enable_progress_bar=False).module
        fresh = fit(data_of(store, split_seed=5), out=tmp_path / "c", enable_progress_bar=False).module
        assert again is module
        assert module.gp is not first
        assert torch.equal(module.train_groups, fresh.train_groups)
        batch = data_of(store, split_seed=5).batch("test")
        torch.testing.assert_close(module(batch).p_correct, fresh(batch).p_correct, atol=0, rtol=0)

    def test_predictions_after_a_second_fit_are_held_out_as_in_a_first_one(self, store, tmp_path):
        module = fit(data_of(store), out=tmp_path / "a", enable_progress_bar=False).module
        data = data_of(store, split_seed=5)
        module = fit(data, module, out=tmp_path / "b", enable_progress_bar=False).module
        trainer = Trainer(**QUIET, enable_checkpointing=False)
        records = list(prediction_records(trainer.predict(module, datamodule=data), data.table, module.train_groups))
        train = set(data.split_indices["train"].tolist())
        assert [record["held_out"] for record in records] == [i not in train for i in range(len(records))]

    def test_defaults_are_derived_from_the_new_data(self, store, toy_answers, tmp_path):
        module = fit(data_of(store), out=tmp_path / "a", enable_progress_bar=False).module
        assert "question" not in module.hparams["features"]
        module = fit(AnswerDataModule(str(toy_answers)), module, out=tmp_path / "b", enable_progress_bar=False).module
        assert "question" in module.hparams["features"]


class TestCopiesAndPrecision:
    def test_a_fitted_module_can_be_copied(self, store, tmp_path):
        module = fit(data_of(store), out=tmp_path, enable_progress_bar=False).module
        batch = data_of(store).batch("test")
        expected = module(batch).p_correct.detach()
        other = copy.deepcopy(module)
        torch.testing.assert_close(other(batch).p_correct, expected, atol=0, rtol=0)
        with torch.no_grad():
            other.gp.latent.log_output.add_(1.0)
        torch.testing.assert_close(module(batch).p_correct, expected, atol=0, rtol=0)

    @pytest.mark.parametrize(
        ("convert", "dtype"),
        [
            (lambda module: module.float(), "float32"),
            (lambda module: module.half(), "float16"),
            (lambda module: module.bfloat16(), "bfloat16"),
            (lambda module: module.to(torch.float32), "float32"),
            (lambda module: module.to("cpu", torch.float16), "float16"),
            (lambda module: module.type(torch.float32), "float32"),
        ],
    )
    def test_another_precision_is_refused_by_a_sentence(self, convert, dtype):
        with pytest.raises(SGPUError, match=f"the GP runs in float64, got torch.{dtype}; leave the module's dtype"):
            convert(SGPUModule())

    def test_other_devices_and_float64_are_fine(self):
        module = SGPUModule()
        assert module.to("cpu") is module
        assert module.double() is module
        assert module.to(torch.float64) is module


class TestGradients:
    @pytest.fixture(scope="class")
    def module(self, tmp_path_factory):
        path = tmp_path_factory.mktemp("gradients")
        toy_store(path / "store", dims=(7,))
        return fit(data_of(path / "store"), out=path, enable_progress_bar=False).module

    def test_from_the_vectors_to_the_nll_on_the_default_configuration(self, module):
        assert module.hparams["features"][:2] == ["spectrum", "scored_similarity"]
        batch = random_batch(sets=3, answers=5, dim=7)

        def nll(vectors, scored):
            p = module(dataclasses.replace(batch, vectors=vectors, scored=scored)).p_correct
            return torch.nn.functional.binary_cross_entropy(p, batch.label)

        vectors, scored = batch.vectors.requires_grad_(), batch.scored.requires_grad_()
        assert torch.autograd.gradcheck(nll, (vectors, scored), atol=1e-6)
        nll(vectors, scored).backward()
        assert (vectors.grad != 0).any()
        assert (scored.grad != 0).any()

    def test_gradients_reach_the_gp_s_parameters(self, module):
        copied = copy.deepcopy(module)
        copied.zero_grad()
        copied(random_batch(sets=4, answers=5, dim=7)).p_correct.sum().backward()
        reached = {name for name, parameter in copied.gp.named_parameters() if parameter.grad is not None}
        assert {"latent.log_length", "latent.log_output"} <= reached

    def test_without_gradients_the_numbers_are_the_same(self, module):
        batch = random_batch(sets=4, answers=5, dim=7)
        with torch.no_grad():
            plain = module(batch)
        torch.testing.assert_close(module(batch).p_correct.detach(), plain.p_correct, atol=1e-12, rtol=0)
        assert not plain.p_correct.requires_grad
