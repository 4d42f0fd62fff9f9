"""Make the predictors that ship here: `python -m checkpoints.make --help`."""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sgpu_lightning import AnswerDataModule, AnswerSet, SGPUModule, SGPUPredictor, fit, read_answers
from sgpu_lightning.console import make_console
from sgpu_lightning.features.blocks import FeatureBlock
from sgpu_lightning.predictor import make_predictor, open_checkpoint
from sgpu_lightning.training.predictions import write_records

HERE = Path(__file__).parent
# Sets that may be fitted on for a predictor that is given away, and whose they are.
LICENSED = {
    "triviaqa__llama-13b": "MIT, zlin7/UQ-NLG",
    "vsr100_perturbed__": "Apache-2.0, iiscleap/mllm-uncertainty-estimation",
    "mmbench__": "MIT, EnSec-AI/VLM-Uncertainty-Bench",
    "oodcv__": "MIT, EnSec-AI/VLM-Uncertainty-Bench",
}
GENERAL = "general-minilm"
ANY_NUMBER = {"subsets": 2, "fewest_answers": 3}
MOST_SETS = 1000  # of one file, so that no benchmark outweighs the others
# Chosen by leaving one of the licensed benchmarks out after another: how answers agree carries over to other kinds of
# questions, how long they are and how near the question does less, and so does the detail that many points can hold.
POINTS = 16
FEATURES: list[FeatureBlock] = [
    "spectrum",
    "scored_similarity",
    "match_fraction",
    "overlap_spectrum",
    "overlap_similarity",
]


def make_general(answers: Path, out: Path) -> SGPUPredictor:
    """A black-box predictor for MiniLM vectors, fitted on the sets in ``answers`` that `LICENSED` names alone."""
    files = [file for file in sorted(answers.glob("*.jsonl.gz")) if file.name.startswith(tuple(LICENSED))]
    if not files:
        raise SystemExit(f"{answers}: expected files of {', '.join(LICENSED)}*, found none")
    with tempfile.TemporaryDirectory() as scratch:
        parts = [Path(scratch) / file.name.removesuffix(".gz") for file in files]
        for file, part in zip(files, parts, strict=True):
            write_records(part, (record.to_dict() for record in _some(file)))
        data = AnswerDataModule([str(part) for part in parts], encoder="minilm", **ANY_NUMBER)
        fitted = fit(data, SGPUModule(features=FEATURES, num_inducing=POINTS), out=Path(scratch) / "fit")
        notes = (
            "The answer sets' licences: " + "; ".join(f"`{name}*` {whose}" for name, whose in LICENSED.items()) + "."
        )
        predictor = make_predictor(
            fitted.module, data, title="P(correct) of any model's answers", license="apache-2.0", notes=notes
        )
    predictor.save_pretrained(out, overwrite=True)
    return predictor


def _some(file: Path) -> list[AnswerSet]:
    """At most `MOST_SETS` of a file."""
    records = list(read_answers(file))
    return random.Random(file.name).sample(records, min(len(records), MOST_SETS))


def make_testbed(out: Path, console: Console) -> list[Path]:
    """White-box predictors of the testbed's models: what ``sgpu demo`` fits."""
    from sgpu_lightning.testbed.demo_run import run_demo

    made = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, fitted in run_demo(Path(scratch), console).items():
            model, setting = name.split(", ")
            if setting == "white-box":
                module, data = open_checkpoint(fitted.checkpoint)
                predictor = make_predictor(
                    module, data, title=f"P(correct) of the testbed's {model} model", license="apache-2.0"
                )
                made.append(out / f"testbed-{model}")
                predictor.save_pretrained(made[-1], overwrite=True)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m checkpoints.make", description=__doc__)
    parser.add_argument("which", choices=["general", "testbed"])
    parser.add_argument("--answers", type=Path, metavar="FOLDER", help="the answer sets; for 'general'")
    parser.add_argument("--out", type=Path, default=HERE, metavar="FOLDER")
    parsed = parser.parse_args(arguments)
    if parsed.which == "general":
        if parsed.answers is None:
            parser.error("general: expected --answers FOLDER")
        make_general(parsed.answers, parsed.out / GENERAL)
    else:
        make_testbed(parsed.out, make_console())


if __name__ == "__main__":
    main()
