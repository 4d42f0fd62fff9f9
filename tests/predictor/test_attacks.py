"""Predictors that were tampered with or come from elsewhere: clear errors, and nothing in them is run."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sgpu_lightning import SGPUPredictor
from sgpu_lightning.predictor import PredictorError
from sgpu_lightning.predictor.artefact.safe_files import MAX_BYTES
from sgpu_lightning.predictor.predictor_errors import SchemaError
from sgpu_lightning.training.checkpoint import read_checkpoint
from sgpu_lightning.training.fitted_module import load_module

SHAPE = {"kernel": "rbf", "num_features": 27, "num_inducing": 16}


class Payload:
    """What a pickle of it does when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self):
        return (Path(self.target).touch, ())


def edit(folder: Path, **changes: object) -> None:
    """Change keys of the config; None takes a key away."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def rewrite(folder: Path, change, *, forge: bool = True) -> None:
    """Change the tensors, and the config's fingerprint of them as a skilled attacker would."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    if forge:
        edit(folder, weights_sha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest())


def refused(folder: Path, message: str, error: type[Exception] = PredictorError) -> None:
    with pytest.raises(error, match=message):
        SGPUPredictor.from_pretrained(folder)


class TestTensors:
    def test_a_flipped_bit(self, changed):
        file = changed / "model.safetensors"
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
        refused(
            changed, r"model\.safetensors: expected the file that config\.json was written with .* changed or damaged"
        )

    @pytest.mark.parametrize("kept", [0, 5, 100, -8])
    def test_a_truncated_file(self, changed, kept):
        file = changed / "model.safetensors"
        file.write_bytes(file.read_bytes()[:kept])
        refused(changed, "not a safetensors file, or a truncated one")

    def test_a_pickle_under_its_name_is_not_run(self, changed, tmp_path):
        pickle.loads(pickle.dumps(Payload(tmp_path / "works")))
        assert (tmp_path / "works").exists()  # so it would do harm
        (changed / "model.safetensors").write_bytes(pickle.dumps(Payload(tmp_path / "run")))
        refused(changed, "not a safetensors file, or a truncated one .*; nothing in it was run")
        torch.save({"x": Payload(tmp_path / "run")}, changed / "model.safetensors")
        refused(changed, "not a safetensors file, or a truncated one")
        assert not (tmp_path / "run").exists()

    def test_a_missing_tensor(self, changed):
        rewrite(changed, lambda tensors: tensors.pop("gp.alpha"))
        refused(changed, "tensor 'gp.alpha' is missing")

    def test_an_extra_tensor(self, changed):
        rewrite(changed, lambda tensors: tensors.update(more=torch.zeros(2)))
        refused(changed, "unexpected tensor 'more'")

    def test_a_tensor_of_another_shape(self, changed):
        rewrite(changed, lambda tensors: tensors.update({"gp.alpha": torch.zeros(3, dtype=torch.float64)}))
        refused(changed, r"tensor 'gp.alpha': config.json specifies float64 \[16\], the file holds float64 \[3\]")

    def test_a_tensor_of_another_type(self, changed):
        rewrite(changed, lambda tensors: tensors.update({"gp.alpha": tensors["gp.alpha"].float()}))
        refused(changed, r"'gp.alpha': config.json specifies float64 \[16\], the file holds float32 \[16\]")

    def test_a_tensor_that_is_not_finite(self, changed):
        rewrite(changed, lambda tensors: tensors["gp.alpha"].fill_(torch.nan))
        refused(changed, "tensor 'gp.alpha': expected finite numbers, got NaN or infinity")

    def test_a_file_far_too_large(self, changed):
        with (changed / "model.safetensors").open("r+b") as stream:
            stream.truncate(MAX_BYTES + 1)  # sparse: no disk is filled
        refused(changed, f"expected at most {MAX_BYTES:,} bytes, got {MAX_BYTES + 1:,}")

    def test_no_file(self, changed):
        (changed / "model.safetensors").unlink()
        refused(changed, r"no model\.safetensors in this folder; expected a folder written by 'sgpu export'")


class TestConfig:
    def test_a_newer_format(self, changed):
        edit(changed, format_version=2, unheard_of=True)
        refused(changed, "format_version 2 is newer than 1, the newest this version .* reads: upgrade sgpu_lightning")

    @pytest.mark.parametrize("version", ["1", True, 0, 1.5, [1]])
    def test_a_format_that_is_no_number(self, changed, version):
        edit(changed, format_version=version)
        refused(changed, "expected key 'format_version', an integer from 1, got")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"gp": {"kernel": "rbf", "num_features": 27, "num_inducing": 17}}, r"float64 \[17.*\], the file holds"),
            ({"gp": {"kernel": "rbf", "num_features": 5, "num_inducing": 16}}, "27 features from .* but 5 in its GP"),
            ({"gp": {"kernel": "rbf", "num_features": 27, "num_inducing": 10**12}}, "tensor 'gp.alpha'|features or gp"),
            ({"gp": {"kernel": "linear", "num_features": 27, "num_inducing": 16}}, "kernel: expected one of rbf"),
            ({"gp": {"kernel": "rbf"}}, "features or gp: .*missing 2 required positional arguments"),
            ({"gp": {"kernel": "rbf", "num_features": "27", "num_inducing": 16}}, "features or gp: "),
            ({"features": {"blocks": ["spectrum"]}}, "got 10 features from its feature blocks but 27 in its GP"),
            ({"features": {"blocks": ["spectrum", "os.system"]}}, "expected distinct blocks out of .*spectrum"),
            ({"features": {"blocks": ["spectrum"], "evil": 1}}, "unexpected keyword argument 'evil'"),
            ({"features": {"blocks": ["spectrum"], "size": 10**15, "floor": 1e-30}}, "num_eigenvalues: expected 3 to"),
            ({"gp": SHAPE | {"base": SHAPE | {"num_features": 5}}}, "features from .* but 5, 27 in its GP"),
            ({"gp": SHAPE | {"base": SHAPE}}, "tensor 'gp.base.alpha' is missing"),
            ({"gp": SHAPE | {"base": 7}}, "features or gp: "),
            ({"features": []}, "config.json: features: expected an object, got list"),
            ({"title": None}, "config.json: key 'title' is missing"),
            ({"title": 7}, "config.json: title: expected a string, got int 7"),
            ({"trust_remote_code": True}, "config.json: expected the keys title, .*, got str 'trust_remote_code'"),
            ({"num_answers": [10]}, "config.json: num_answers: expected a list of 2, got list"),
            ({"num_answers": [10, 2]}, "num_answers: expected two numbers, 2 <= fewest <= most, got 10 and 2"),
            ({"num_answers": [True, 10]}, r"num_answers\[0\]: expected an integer, got bool True"),
            ({"vectors": []}, "vectors: expected one or more entries of one kind, got 0"),
            ({"vectors": [{"kind": "magic", "source": "x", "dim": 3}]}, r"vectors\[0\]: kind: expected one of"),
            ({"vectors": [{"kind": "encoder", "dim": 3}]}, r"vectors\[0\]: key 'source' is missing"),
            ({"domain": {"quantiles": {"0.5": "high"}, "unlike_above": 1}}, r"quantiles\.0\.5: expected a number"),
            ({"weights_sha256": ""}, "expected the file that config.json was written with"),
        ],
    )  # fmt: skip
    def test_another_shape_or_a_key_that_is_off(self, changed, changes, message):
        edit(changed, **changes)
        with pytest.raises((PredictorError, SchemaError), match=message):
            SGPUPredictor.from_pretrained(changed)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"\xff\xfe{}", "config.json: expected UTF-8 text, got an invalid byte"),
            (b'{"a": ' * 100_000, "config.json: JSON nested too deeply to read"),
            (b"{", "config.json: broken JSON: "),
            (b"[]", "config.json: expected a JSON object, got list"),
            (b'{"format_version": NaN}', "broken JSON: expected a finite number, got NaN"),
            (b'{"format_version": ' + b"1" * 5000 + b"}", "broken JSON: "),
            (b" " * (2**20 + 1), "expected at most 1,048,576 bytes, got 1,048,577"),
            (b"", "broken JSON: "),
        ],
    )
    def test_what_is_no_config(self, changed, content, message):
        (changed / "config.json").write_bytes(content)
        refused(changed, message)

    def test_no_config(self, changed):
        (changed / "config.json").unlink()
        refused(changed, r"no config\.json in this folder")


class TestPathsThatLeaveTheFolder:
    @pytest.mark.parametrize(
        "source", ["../../secret", "/etc", "~/secret", "a/../../b", "..", "https://example.org/x", "a/b/c"]
    )
    def test_a_config_does_not_say_which_folder_of_this_machine_is_read(self, changed, source, monkeypatch):
        spec = {"kind": "encoder", "source": source, "dim": 16, "revision": "main"}
        edit(changed, vectors=[spec])
        monkeypatch.setattr("sgpu_lightning.embedding.encoder.SentenceTransformerEncoder", None)  # is not called
        with pytest.raises(PredictorError, match=r"fitted with the encoder in a folder named .*: give that folder"):
            SGPUPredictor.from_pretrained(changed).score(["a"] * 10)

    @pytest.mark.parametrize(
        "name", ["../nowhere", "/nowhere", "nowhere", "a/b/c", "a/../b", "https://example.org/x/y"]
    )
    def test_a_name_that_is_neither_a_folder_nor_on_the_hub(self, name):
        with pytest.raises(PredictorError, match="no such folder; expected one written by 'sgpu export', or a hub id"):
            SGPUPredictor.from_pretrained(name)

    def test_a_file_in_place_of_a_folder(self, tmp_path):
        (tmp_path / "file").write_text("x")
        refused(tmp_path / "file", "no such folder; expected one written by 'sgpu export'")

    def test_a_hub_that_cannot_be_reached_is_one_message(self):
        with pytest.raises(PredictorError, match="owner/name: neither a local folder nor loadable from the hub"):
            SGPUPredictor.from_pretrained("owner/name")


class TestCheckpoints:
    def test_a_pickle_is_not_run(self, tmp_path):
        torch.save({"state_dict": {}, "x": Payload(tmp_path / "run")}, tmp_path / "evil.ckpt")
        with pytest.raises(ValueError, match=r"evil\.ckpt: not a checkpoint written by 'sgpu fit'"):
            read_checkpoint(tmp_path / "evil.ckpt")
        assert not (tmp_path / "run").exists()

    def test_one_of_another_module(self, tmp_path):
        torch.save({"state_dict": {}, "hyper_parameters": {}}, tmp_path / "other.ckpt")
        with pytest.raises(ValueError, match="not a checkpoint written by 'sgpu fit'"):
            load_module(tmp_path / "other.ckpt")

    def test_one_whose_tensors_do_not_fit_its_settings(self, white, tmp_path):
        content = torch.load(white.checkpoint, weights_only=True)
        content["state_dict"]["gp.mean"] = torch.zeros(3)
        torch.save(content, tmp_path / "bad.ckpt")
        with pytest.raises(ValueError, match=r"(?s)bad\.ckpt: not a checkpoint written by 'sgpu fit' .*size mismatch"):
            load_module(tmp_path / "bad.ckpt")

    def test_none(self, tmp_path):
        with pytest.raises(ValueError, match="no such file; expected a checkpoint written by 'sgpu fit'"):
            read_checkpoint(tmp_path / "none.ckpt")
