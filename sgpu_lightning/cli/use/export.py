"""``sgpu export``."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import auto_cli


def export(
    checkpoint: Path,
    *,
    out: Path,
    title: str | None = None,
    license: str | None = None,
    notes: str = "",
    answers: list[str] | None = None,
    cache_dir: str | None = None,
    onnx: bool = False,
    overwrite: bool = False,
) -> None:
    """Make a portable predictor of a checkpoint: tensors as safetensors, all else as JSON, and a model card.

    Reads the answers that the checkpoint was fitted on again: what counts as unlike them, and the metrics on the sets
    held out from fitting, go into the predictor. The folder appears only when it is whole.

    Args:
        checkpoint: Written by ``sgpu fit``.
        out: The new folder.
        title: What the card is headed with; null for the folder's name.
        license: The predictor's licence, as the hub names it, for example ``mit``.
        notes: Further text for the card, such as whose the data are.
        answers: Where the fit's answer files and stores are now; null for where they were.
        cache_dir: Where vectors of texts are remembered; null for the checkpoint's own choice.
        onnx: Write the GP as ONNX beside the folder as well, to OUT.onnx; needs the extra [onnx].
        overwrite: Replace a predictor that is in the folder.
    """
    from sgpu_lightning.console import say
    from sgpu_lightning.predictor.artefact.safe_files import require_free
    from sgpu_lightning.predictor.creation.build import make_predictor, open_checkpoint
    from sgpu_lightning.predictor.graph_export import write_onnx
    from sgpu_lightning.training.quiet import quiet

    require_free(out, overwrite)  # before anything is read
    with quiet():
        module, data = open_checkpoint(checkpoint, answers=answers, cache_dir=cache_dir)
        predictor = make_predictor(module, data, title=title or out.resolve().name, license=license, notes=notes)
    predictor.save_pretrained(out, overwrite=overwrite)
    if onnx:
        write_onnx(predictor.model.gp, out.with_name(out.name + ".onnx"))
    say(f"the predictor is in {out}; score with: sgpu score {out} answers.jsonl")


def run(args: list[str]) -> None:
    """Parse and run."""
    auto_cli(export, args=args[1:], prog="sgpu export")
