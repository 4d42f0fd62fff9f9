"""Train tiny models and run the whole pipeline on them, offline."""

from __future__ import annotations

from pathlib import Path

from sgpu_lightning.cli.parser import run_function


def demo(*, out: Path = Path("runs/demo"), questions: int | None = None, steps: int | None = None) -> None:
    """Train tiny models and run the whole pipeline on them, offline.

    Trains two language models on a toy world and a vision-language model on handwritten digits, samples their answers
    with hidden states recorded, embeds the answers with the offline encoder, and fits and evaluates white-box and
    black-box predictors of each model.

    Args:
        out: Folder for models, answers and checkpoints. Models and answers that it already holds are used again.
        questions: Number of questions to ask each model; null for all.
        steps: Training steps of each model; null for the testbed's defaults.
    """
    from sgpu_lightning.console import make_console
    from sgpu_lightning.testbed.demo_run import run_demo

    console = make_console()
    fitted = run_demo(out, console, questions=questions, steps=steps)
    best = fitted["large, black-box"].checkpoint
    console.print(
        f"\nmodels, answers and checkpoints are in {out}. Next steps:\n"
        f"  sgpu predict --checkpoint {best} --out {out}/predictions.jsonl\n"
        f"  sgpu sample --model {out}/models/large --task {out}/questions.jsonl --out runs/white\n"
        "  sgpu fit --config configs/white_box.yaml --data.answers runs/white\n"
        f"  sgpu sample --model {out}/models/digits --task digits --out runs/digits",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def run(args: list[str]) -> None:
    """Parse and run."""
    run_function(demo, "demo", args)
