"""Write P(correct) for answer sets with a portable predictor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from sgpu_lightning.cli.parser import run_function


def score(
    predictor: str,
    answers: Path,
    *,
    out: Path | None = None,
    encoder: str | None = None,
    revision: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> None:
    """Write P(correct) for every answer set as JSON Lines, with a predictor made by ``sgpu export``.

    Files of any size are scored in bounded memory. A row has the keys of ``sgpu predict`` without ``held_out``, and
    ``unlike_training``: whether the answer set looks unlike the predictor's training data.

    Args:
        predictor: The predictor's folder, or a hub id.
        answers: A .jsonl, .jsonl.gz or .parquet file; a store made by ``sgpu sample`` for hidden states.
        out: The file to write, which appears only when it is complete; null to write to standard output.
        encoder: The encoder's folder or hub id, needed if the predictor's encoder cannot be found by its name; null to
            load it by its name.
        revision: Branch, tag or commit of a hub id; null for its main branch.
        on_error: ``raise`` at the first bad record, or ``skip`` bad records and report them.
    """
    import warnings

    from sgpu_lightning.answers.json_lines import write_json_lines
    from sgpu_lightning.answers.reader import Skipped
    from sgpu_lightning.errors import SGPUError
    from sgpu_lightning.predictor.artefact.training_domain import UnlikeTrainingWarning
    from sgpu_lightning.predictor.predictor import SGPUPredictor

    if out is not None and out.exists() and answers.exists() and out.samefile(answers):
        raise SGPUError(f"--out {out}: expected a file other than the answers; choose another name")
    skipped = Skipped()
    loaded = SGPUPredictor.from_pretrained(predictor, revision=revision, encoder=encoder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnlikeTrainingWarning)
        rows = loaded.score_file(answers, on_error=on_error, skipped=skipped)
        if out is not None:
            print(f"{write_json_lines(out, rows)} scores written to {out}", file=sys.stderr)
        else:
            _print_rows(rows)
    if skipped.count:
        print(skipped.summary(), file=sys.stderr)
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)


def _print_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    try:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(args: list[str]) -> None:
    """Parse and run."""
    run_function(score, "score", args)
