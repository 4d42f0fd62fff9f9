"""Two fitted predictors, white-box and black-box, each with the module, the data and the folder it is in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sgpu_lightning import AnswerDataModule, SGPUModule, SGPUPredictor, fit
from sgpu_lightning.predictor import make_predictor
from tests.toy import toy_store, write_toy_answers

QUICK = {"max_steps": 25, "enable_progress_bar": False}


@dataclass(frozen=True)
class Made:
    """A fit and the predictor made of it."""

    module: SGPUModule
    data: AnswerDataModule
    checkpoint: Path
    answers: Path
    folder: Path

    def load(self, **options) -> SGPUPredictor:
        return SGPUPredictor.from_pretrained(self.folder, **options)


def make(data: AnswerDataModule, answers: Path, out: Path, module: SGPUModule | None = None) -> Made:
    fitted = fit(data, module or SGPUModule(num_inducing=16), out=out / "fit", **QUICK)
    make_predictor(fitted.module, data, title="Toy", license="mit").save_pretrained(out / "predictor")
    return Made(fitted.module, data, fitted.checkpoint, answers, out / "predictor")


@pytest.fixture(scope="session")
def white(tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("white")
    toy_store(folder / "store")
    module = SGPUModule(["spectrum", "scored_similarity", "match_fraction", "lengths"], num_inducing=16)
    return make(AnswerDataModule(str(folder / "store"), encoder=None), folder / "store", folder, module)


@pytest.fixture(scope="session")
def black(tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("black")
    answers = write_toy_answers(folder / "toy.jsonl")
    return make(AnswerDataModule(str(answers), cache_dir=str(folder / "cache")), answers, folder)


@pytest.fixture
def changed(white, tmp_path):
    """A copy of the white-box predictor's folder to spoil."""
    import shutil

    return Path(shutil.copytree(white.folder, tmp_path / "changed"))
