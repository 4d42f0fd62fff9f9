"""A disk cache of out-of-fold predictions, keyed by the data, settings and code that they depend on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from sgpu_lightning.answers.cache_folder import default_cache_dir
from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_settings import CompareSettings
from sgpu_lightning.evaluation.common.methods import HeldOutPredictions, Kind

_FIELDS = ("rank", "p_correct", "platt")
# The stages and modules that predictions depend on. Code that only measures or shows predictions is not listed.
_CODE = ("answers", "baselines", "data", "embedding", "evaluation/common", "features", "gp", "seeding.py")


@dataclass(frozen=True, kw_only=True)
class OutOfFoldPredictions:
    """Out-of-fold predictions of every method on one evaluation set of n answer sets.

    Args:
        name: Name of the evaluation set.
        ids: Record ids, [n].
        groups: Groups of the answer sets, [n].
        labels: 1.0 for a right answer, 0.0 for a wrong one, [n].
        folds: Fold of each answer set, int64 [n].
        left_out: Number of unlabelled answer sets that were left out.
        reasons: Scores that could not be computed, each with the number of answer sets by reason.
        kinds: Kind of each method.
        predictions: Predictions of each method.
    """

    name: str
    ids: list[str]
    groups: list[str]
    labels: Tensor
    folds: Tensor
    left_out: int
    reasons: dict[str, dict[str, int]]
    kinds: dict[str, Kind]
    predictions: dict[str, HeldOutPredictions]


class PredictionCache:
    """A folder of out-of-fold predictions, stored as safetensors and JSON and written atomically.

    Args:
        folder: The folder; None for ``predictions`` in the user's cache folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_cache_dir() / "predictions"

    def load(self, path: str | Path, settings: CompareSettings) -> OutOfFoldPredictions | None:
        """Load the predictions saved for the same data, settings and code; None if there are none."""
        from safetensors.torch import load_file

        file = self._file(path, settings)
        if not (file.with_suffix(".json").is_file() and file.is_file()):
            return None
        about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        tensors = load_file(file)
        predictions = {
            name: HeldOutPredictions(*(tensors[f"{name}/{part}"] for part in _FIELDS)) for name in about["kinds"]
        }
        return OutOfFoldPredictions(labels=tensors["labels"], folds=tensors["folds"], predictions=predictions, **about)

    def save(self, path: str | Path, settings: CompareSettings, found: OutOfFoldPredictions) -> None:
        """Save predictions.

        Args:
            path: The file or store they are of.
            settings: Settings they were made with.
            found: The predictions.
        """
        from safetensors.torch import save_file

        file = self._file(path, settings)
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {"labels": found.labels, "folds": found.folds}
        for name, own in found.predictions.items():
            tensors |= {f"{name}/{part}": getattr(own, part).contiguous().clone() for part in _FIELDS}
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        save_file(tensors, partial)
        partial.replace(file)
        about = {key: getattr(found, key) for key in ("name", "ids", "groups", "left_out", "reasons", "kinds")}
        partial.write_text(json.dumps(about), encoding="utf-8")
        partial.replace(file.with_suffix(".json"))

    def _file(self, path: str | Path, settings: CompareSettings) -> Path:
        kept = {key: value for key, value in asdict(settings).items() if key != "resamples"}
        text = json.dumps([_data_key(Path(path)), code_key(), torch.__version__, kept], sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"


def _data_key(path: Path) -> str:
    """Hash the content of a file, or of all files of a store."""
    digest = hashlib.sha256(path.name.encode())
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


@cache
def code_key(code: Sequence[str] = _CODE) -> str:
    """Hash the code that predictions depend on, so that predictions made by other code are computed again.

    Args:
        code: Modules of the package, and folders, which are hashed with all their modules.

    Raises:
        EvaluationError: If a folder or module does not exist, since its changes would go unnoticed.
    """
    package = Path(__file__).parents[2]
    digest = hashlib.sha256()
    files: list[Path] = []
    for path in (package / name for name in code):
        found = [path] if path.is_file() else list(path.rglob("*.py"))
        if not found:
            raise EvaluationError(
                f"prediction cache: expected a module, or a folder of modules, at {path}, got none; correct the list "
                f"of code that predictions depend on in {Path(__file__).name}"
            )
        files += found
    for file in sorted(files):
        digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()
