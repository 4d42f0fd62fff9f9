"""The model card says what the config says, whatever is in it."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

import pytest
import yaml

from sgpu_lightning.predictor.artefact.calibration_plot import calibration_plot
from sgpu_lightning.predictor.artefact.model_card import model_card


def test_it_holds_use_data_metrics_and_limits(black):
    card = (black.folder / "README.md").read_text()
    config = black.load().config
    _, front, text = card.split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "mit"
    for heading in ("# Toy", "## Use", "## Fitted on", "## On held-out answer sets", "## Limits"):
        assert f"\n{heading}\n" in text
    auroc = config.evaluation.metrics["auroc"]
    assert f"| AUROC | {auroc.value:.3f} [{auroc.low:.3f}, {auroc.high:.3f}] |" in text
    assert "the encoder minilm" in text
    assert "![Proportion of right answers against P(correct)](calibration.svg)" in text


def test_a_white_box_one_says_layer_rule_and_that_any_width_will_do(white):
    card = (white.folder / "README.md").read_text()
    assert (
        "takes vectors of any width, a model's hidden states (layer 1 of 4, or the layer at the same relative depth in"
        in card
    )
    assert "predictor.wrap(model, processor).ask(" in card


def test_the_picture_is_svg(white):
    assert ElementTree.fromstring(calibration_plot(white.load().config)).tag.endswith("svg")


def test_without_matplotlib_a_table_stands_in_its_place(white, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    white.load().save_pretrained(tmp_path / "plain")
    assert not (tmp_path / "plain" / "calibration.svg").exists()
    assert "| mean P(correct) | proportion right | sets |" in (tmp_path / "plain" / "README.md").read_text()


def test_without_held_out_sets_it_says_so(white):
    config = dataclasses.replace(white.load().config, evaluation=None)
    assert calibration_plot(config) is None
    assert "Not evaluated: no answer sets were held out from fitting." in model_card(config)


@pytest.mark.parametrize("text", ['a"\nb: c', "| x | y |", "`code`", "---\nlicense: evil"])
def test_names_are_not_markup(white, text):
    config = white.load().config
    training = dataclasses.replace(config.training, datasets=(text,))
    card = model_card(dataclasses.replace(config, license=text, training=training))
    assert yaml.safe_load(card.split("---\n", 2)[1] if "\n---\n" not in text else card[4:].split("\n---\n")[0])
    row = next(line for line in card.splitlines() if line.startswith("| questions |"))
    assert row.count("|") == 3
