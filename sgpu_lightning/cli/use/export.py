"""Make a portable predictor from a checkpoint."""

from __future__ import annotations

from pathlib import Path

from sgpu_lightning.cli.parser import run_function


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
    """Make a portable predictor from a checkpoint: tensors as safetensors, everything else as JSON, and a model card.

    The answers that the checkpoint was fitted on are read again, because the predictor also holds the metrics on the
    sets held out from fitting, and a description of the training domain, by which it recognises answer sets unlike the
    training sets. The folder appears only when it is complete.

    Args:
        checkpoint: Written by ``sgpu fit``.
        out: The new folder.
        title: Heading of the card; null for the folder's name.
        license: The predictor's licence by its name on the hub, for example ``mit``; null for none.
        notes: Further text for the card, such as the source of the data.
        answers: Present paths of the fit's answer files and stores; null for the paths used in the fit.
        cache_dir: Folder where the vectors of texts are cached; null for the one used in the fit.
        onnx: Whether to also write the GP as ONNX next to the folder, to OUT.onnx; needs the extra [onnx].
        overwrite: Whether to replace a predictor that is already in the folder.
    """
    from sgpu_lightning.console import say
    from sgpu_lightning.predictor.artefact.safe_files import require_free
    from sgpu_lightning.predictor.creation.build import make_predictor, open_checkpoint
    from sgpu_lightning.predictor.graph_export import write_onnx
    from sgpu_lightning.training.trainer.quiet import quiet

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
    run_function(export, "export", args)
