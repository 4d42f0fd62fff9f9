"""Sampling a whole task into a store: resuming, refusing other settings, and usable results."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from transformers import BitsAndBytesConfig

from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from sgpu_lightning.cli.main import main
from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling import HuggingFaceSampler, PromptSettings, SamplingSettings, store_writer
from sgpu_lightning.sampling.run import sample_to_store
from sgpu_lightning.tasks import load_task
from sgpu_lightning.testbed import build_language_model, write_questions
from tests.sampling.stores import assert_same_content

SETTINGS = SamplingSettings(num_answers=4, max_new_tokens=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return build_language_model(tmp_path_factory.mktemp("models") / "small", size="small", steps=20)


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> Path:
    return write_questions(tmp_path_factory.mktemp("tasks") / "toy.jsonl", count=50)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(store_writer, "SHARD_SIZE", 20)


def sampler(model: Path, **options) -> HuggingFaceSampler:
    return HuggingFaceSampler.from_pretrained(str(model), device="cpu", **{"settings": SETTINGS, **options})


def test_every_question_is_answered_and_its_vectors_stored(model, task, tmp_path):
    questions = load_task(str(task))
    store = sample_to_store(sampler(model), questions, tmp_path / "s", task="toy", progress=False)
    records = list(store.records())
    assert sorted(record.id for record in records) == sorted(question.id for question in questions)
    assert {record.dataset for record in records} == {"toy"}
    assert all(len(record.answers) == 4 and record.greedy is not None for record in records)
    (spec,) = store.vector_specs.values()
    assert (spec.kind, spec.layer, spec.num_layers, spec.token) == ("hidden", 1, 2, "last")
    assert sum(len(store.read_vectors(spec.name, shard).counts) for shard in store.shards) == 50


def test_a_run_continues_where_it_stopped_and_ends_with_the_same_content(model, task, tmp_path):
    questions = load_task(str(task))
    whole = sample_to_store(sampler(model), questions, tmp_path / "whole", progress=False)
    sample_to_store(sampler(model), questions[:20], tmp_path / "parts", progress=False)
    parts = sample_to_store(sampler(model), questions, tmp_path / "parts", progress=False)
    assert_same_content(parts, whole)


def test_batch_size_changes_no_answer(model, task, tmp_path):
    questions = load_task(str(task))[:20]
    one = sample_to_store(sampler(model, batch_size=1), questions, tmp_path / "1", progress=False)
    many = sample_to_store(sampler(model, batch_size=20), questions, tmp_path / "20", progress=False)
    assert_same_content(many, one)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"settings": SamplingSettings(num_answers=4, max_new_tokens=8, temperature=0.5)}, "settings.temperature"),
        ({"prompt": PromptSettings(system="Be brief.")}, "prompt.system"),
        ({"layers": [0]}, "layers"),
        ({"token": "mean"}, "token"),
    ],
)
def test_other_settings_on_an_existing_store_are_refused_naming_what_differs(model, task, tmp_path, options, named):
    questions = load_task(str(task))[:5]
    sample_to_store(sampler(model), questions, tmp_path / "s", progress=False)
    with pytest.raises(StoreError, match=f"made with other settings; .*\n  {named}: the store has"):
        sample_to_store(sampler(model, **options), questions, tmp_path / "s", progress=False)


def test_a_task_whose_questions_changed_under_the_same_ids_is_refused(model, task, tmp_path):
    questions = load_task(str(task))[:5]
    sample_to_store(sampler(model), questions, tmp_path / "s", progress=False)
    changed = [dataclasses.replace(question, gold=("other",)) for question in questions]
    with pytest.raises(
        StoreError, match=r"the store has question '.*' with another text, context, image or gold answers"
    ):
        sample_to_store(sampler(model), changed, tmp_path / "s", progress=False)


def test_options_of_the_model_reach_it_and_quantised_weights_are_another_model(model, task, tmp_path):
    call = ["sample", "--model", str(model), "--task", str(task), "--out", str(tmp_path / "s"), "--limit", "2"]
    call += ["--sampling.max_new_tokens", "4", "--device", "cpu"]
    assert main(call) == 0
    assert main([*call, "--model_options", '{"device_map": {"": "cpu"}}']) == 0  # the same model on another device map
    quantised = sampler(model)
    quantised.model.config.quantization_config = BitsAndBytesConfig(load_in_4bit=True)
    assert quantised.describe()["quantization"]["load_in_4bit"] is True
    with pytest.raises(StoreError, match="quantization: the store has None, now asked"):
        sample_to_store(quantised, [], tmp_path / "s", progress=False)


def test_two_questions_with_the_same_id_are_refused_before_any_is_asked(model, task, tmp_path):
    questions = load_task(str(task))[:5]
    with pytest.raises(
        SamplingError, match=rf"task 't': expected a unique id for each question, got '{questions[0].id}' twice"
    ):
        sample_to_store(sampler(model), [*questions, questions[0]], tmp_path / "s", task="t", progress=False)
    assert AnswerStore.open(tmp_path / "s").ids() == set()


def test_damaged_weights_give_one_clear_message(model, tmp_path):
    copy = tmp_path / "damaged"
    shutil.copytree(model, copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(SamplingError, match=r"damaged': this folder cannot be loaded \(SafetensorError"):
        HuggingFaceSampler.from_pretrained(str(copy))


def test_a_model_trained_again_in_the_same_folder_counts_as_another_model(task, tmp_path):
    questions = load_task(str(task))[:5]
    for steps in (1, 2):
        build_language_model(tmp_path / "m", size="small", steps=steps)
        again = sampler(tmp_path / "m")
        if steps == 1:
            sample_to_store(again, questions, tmp_path / "s", progress=False)
    with pytest.raises(StoreError, match="revision: the store has"):
        sample_to_store(again, questions, tmp_path / "s", progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--task", "nothing"], "unknown task 'nothing'"),
        (["--layers", "[7]"], "layers: expected indices from -2 to 1, got 7"),
        (["--model", "./nowhere"], "model './nowhere': neither a folder here nor loadable from the hub"),
        (["--model", str(Path(__file__).parent)], "this folder cannot be loaded (ValueError: Unrecognized model in"),
        (
            ["--device", "nonsense"],
            "device: expected 'auto' or a torch device that exists here, got 'nonsense' (Runtime",
        ),
        (["--device", "cuda:99"], "device: expected 'auto' or a torch device that exists here, got 'cuda:99' ("),
        (["--model_options", '{"nonsense": 1}'], "got an unexpected keyword argument 'nonsense'"),
        (["--dtype", "int8"], "dtype: expected one of auto, float32, bfloat16, float16, got 'int8'"),
    ],
)
def test_bad_calls_give_one_clear_message(model, task, tmp_path, capsys, change, message):
    base = ["--model", str(model), "--task", str(task), "--out", str(tmp_path / "s")]
    assert main(["sample", *base, *change]) == 1
    error = capsys.readouterr().err
    assert any(line.rpartition("\r")[2].startswith("sgpu sample: ") and message in line for line in error.splitlines())
