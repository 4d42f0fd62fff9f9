"""Time of `sgpu demo` in an empty folder with an empty cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from benchmarks.rows import Row

SECONDS = 240.0


def run() -> list[Row]:
    """Measure the wall-clock time."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        result = subprocess.run(
            [sys.executable, "-m", "sgpu_lightning", "demo"],
            cwd=folder,
            env=os.environ | {"SGPU_CACHE": f"{folder}/cache"},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
    if result.returncode:
        raise RuntimeError(f"the demo failed:\n{result.stderr}")
    return [Row(what="sgpu demo, after installation", value=seconds, unit="s", at_most=SECONDS, note="empty cache")]
