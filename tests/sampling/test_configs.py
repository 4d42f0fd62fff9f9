from pathlib import Path

import pytest
import yaml

from sgpu_lightning.cli.main import main
from sgpu_lightning.sampling import PromptSettings, SamplingSettings

FOLDER = Path(__file__).parents[2] / "configs" / "sample"
MODELS = {
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B-Instruct",
    "mistral-7b": "mistralai/Mistral-7B-Instruct-v0.3",
    "qwen2.5-7b": "Qwen/Qwen2.5-7B-Instruct",
    "llava-1.5-7b": "llava-hf/llava-1.5-7b-hf",
    "qwen2.5-vl-7b": "Qwen/Qwen2.5-VL-7B-Instruct",
    "smolvlm": "HuggingFaceTB/SmolVLM-Instruct",
}


def test_there_is_one_config_for_each_family():
    assert {file.stem for file in FOLDER.glob("*.yaml")} == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_each_config_is_valid(name, capsys):
    file = FOLDER / f"{name}.yaml"
    with pytest.raises(SystemExit) as stop:
        main(["sample", "--config", str(file), "--out", "elsewhere", "--print_config"])
    assert stop.value.code == 0
    shown, written = yaml.safe_load(capsys.readouterr().out), yaml.safe_load(file.read_text())
    assert shown["model"] == MODELS[name]
    assert shown["out"] == "elsewhere"
    for key in ("sampling", "prompt"):
        assert shown[key].items() >= written[key].items()
    assert SamplingSettings(**shown["sampling"]).num_answers == 10
    assert PromptSettings(**shown["prompt"]).style == "chat"


def test_a_misspelt_key_is_refused(tmp_path, capsys):
    file = tmp_path / "bad.yaml"
    file.write_text((FOLDER / "smolvlm.yaml").read_text().replace("num_answers", "answers"))
    with pytest.raises(SystemExit) as stop:
        main(["sample", "--config", str(file), "--print_config"])
    assert stop.value.code == 2
    assert "answers" in capsys.readouterr().err
