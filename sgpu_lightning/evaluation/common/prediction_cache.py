"""Forecasts on disk, keyed by everything they depend on: data, settings and the code that makes them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sgpu_lightning.answers.cache_folder import default_cache_dir
from sgpu_lightning.evaluation.common.methods import Forecast, Kind

if TYPE_CHECKING:
    from sgpu_lightning.evaluation.common.evaluation_settings import CompareSettings

_FIELDS = ("rank", "p_correct", "platt")
# The stages that predictions depend on. What only measures or shows predictions is not among them.
_CODE = ("answers", "baselines", "data", "embedding", "evaluation/common", "features", "gp")


@dataclass(frozen=True, kw_only=True)
class SetForecasts:
    """Held-out forecasts of every method on one evaluation set of n answer sets."""

    name: str
    ids: list[str]
    groups: list[str]
    labels: Tensor
    folds: Tensor
    left_out: int
    reasons: dict[str, dict[str, int]]
    kinds: dict[str, Kind]
    forecasts: dict[str, Forecast]


class ForecastCache:
    """A folder of forecasts; safetensors and JSON, written atomically.

    Args:
        folder: None for ``forecasts`` in the user's cache folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_cache_dir() / "forecasts"

    def load(self, path: str | Path, settings: CompareSettings) -> SetForecasts | None:
        """What was saved for the same data, settings and code; None if nothing was."""
        from safetensors.torch import load_file

        file = self._file(path, settings)
        if not (file.with_suffix(".json").is_file() and file.is_file()):
            return None
        about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        tensors = load_file(file)
        forecasts = {name: Forecast(*(tensors[f"{name}/{part}"] for part in _FIELDS)) for name in about["kinds"]}
        return SetForecasts(labels=tensors["labels"], folds=tensors["folds"], forecasts=forecasts, **about)

    def save(self, path: str | Path, settings: CompareSettings, found: SetForecasts) -> None:
        """Keep forecasts."""
        from safetensors.torch import save_file

        file = self._file(path, settings)
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {"labels": found.labels, "folds": found.folds}
        for name, forecast in found.forecasts.items():
            tensors |= {f"{name}/{part}": getattr(forecast, part).contiguous().clone() for part in _FIELDS}
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
    """A hash of a file's content, or of all files of a store."""
    digest = hashlib.sha256(path.name.encode())
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


@cache
def code_key() -> str:
    """A hash of the code that forecasts depend on: what was computed by other code is computed again."""
    package = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for file in sorted(file for name in _CODE for file in (package / name).rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()
