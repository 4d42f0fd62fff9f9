"""Make the predictors that ship with the project: `python -m checkpoints.make --help`."""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sgpu_lightning import AnswerDataModule, AnswerSet, SGPUModule, SGPUPredictor, fit, read_answers
from sgpu_lightning.answers.labelling import write_records
from sgpu_lightning.console import make_console
from sgpu_lightning.predictor import make_predictor, open_checkpoint

HERE = Path(__file__).parent
# Answer sets whose licence allows fitting a predictor that is distributed: prefix of the file name, licence and owner.
LICENSED = {
    "triviaqa__llama-13b": "MIT, zlin7/UQ-NLG",
    "vsr100_perturbed__": "Apache-2.0, iiscleap/mllm-uncertainty-estimation",
    "mmbench__": "MIT, EnSec-AI/VLM-Uncertainty-Bench",
    "oodcv__": "MIT, EnSec-AI/VLM-Uncertainty-Bench",
}
GENERAL = "general-minilm"
ANY_NUMBER = {"subsets": 2, "fewest_answers": 3}  # fit on subsets of the answers as well
MOST_SETS = 1000  # most answer sets taken from one file, so that no benchmark outweighs the others
# Chosen by leaving out one licensed benchmark at a time. Agreement between answers carries over to other kinds of
# questions; the answers' length and their similarity to the question carry over less, and so does the detail that many
# inducing points can represent.
POINTS = 16
FEATURES = [
    "spectrum",
    "scored_similarity",
    "match_fraction",
    "overlap_spectrum",
    "overlap_similarity",
]


def make_general(answers: Path, out: Path) -> SGPUPredictor:
    """Make a black-box predictor for MiniLM vectors, fitted only on answer sets that `LICENSED` names.

    Args:
        answers: Folder with the answer sets' files, ``*.jsonl.gz``.
        out: Folder of the predictor; an existing predictor is replaced.
    """
    files = [file for file in sorted(answers.glob("*.jsonl.gz")) if file.name.startswith(tuple(LICENSED))]
    if not files:
        raise SystemExit(f"{answers}: expected files of {', '.join(LICENSED)}*, found none")
    with tempfile.TemporaryDirectory() as scratch:
        parts = [Path(scratch) / file.name.removesuffix(".gz") for file in files]
        for file, part in zip(files, parts, strict=True):
            write_records(part, _sample_records(file))
        data = AnswerDataModule([str(part) for part in parts], encoder="minilm", **ANY_NUMBER)
        fitted = fit(data, SGPUModule(features=FEATURES, num_inducing=POINTS), out=Path(scratch) / "fit")
        notes = (
            "The answer sets' licences: " + "; ".join(f"`{name}*` {terms}" for name, terms in LICENSED.items()) + "."
        )
        predictor = make_predictor(
            fitted.module, data, title="P(correct) of any model's answers", license="apache-2.0", notes=notes
        )
    predictor.save_pretrained(out, overwrite=True)
    return predictor


def _sample_records(file: Path) -> list[AnswerSet]:
    """Draw at most `MOST_SETS` records from a file."""
    records = list(read_answers(file))
    return random.Random(file.name).sample(records, min(len(records), MOST_SETS))


def make_testbed(out: Path, console: Console) -> list[Path]:
    """Make white-box predictors for the testbed's models from the fits of ``sgpu demo``.

    Args:
        out: Folder of the predictors' folders; existing predictors are replaced.
        console: Console for the demo's output.

    Returns:
        The predictors' folders.
    """
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
    """Make the predictors named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m checkpoints.make", description=__doc__)
    parser.add_argument("which", choices=["general", "testbed"], help="the predictors to make")
    parser.add_argument(
        "--answers", type=Path, metavar="FOLDER", help="folder with the answer sets; required for 'general'"
    )
    parser.add_argument(
        "--out", type=Path, default=HERE, metavar="FOLDER", help="folder to write to; default: %(default)s"
    )
    parsed = parser.parse_args(arguments)
    if parsed.which == "general":
        if parsed.answers is None:
            parser.error("general: expected --answers FOLDER, got none")
        make_general(parsed.answers, parsed.out / GENERAL)
    else:
        make_testbed(parsed.out, make_console())


if __name__ == "__main__":
    main()
