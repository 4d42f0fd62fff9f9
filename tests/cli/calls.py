"""Calls of the command that several tests make."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sgpu_lightning.cli.main import main

CONFIGS = Path(__file__).parents[2] / "configs"
QUICK = ["--trainer.max_steps", "25", "--trainer.enable_progress_bar", "false"]
_CODE = "import sys; from sgpu_lightning.cli.main import main; sys.exit(main(sys.argv[1:]))"


def python(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with further environment variables."""
    environ = {**os.environ, **environment}
    command = [sys.executable, *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environ)


def sgpu(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return python("-c", _CODE, *args, **environment)


def fit(*args: str) -> Path:
    """Fit quickly; the checkpoint it names."""
    assert main(["fit", *args, *QUICK]) == 0
    (checkpoint,) = sorted(Path("runs/fit").glob("version_*/checkpoints/best.ckpt"))[-1:]
    return checkpoint
