"""A frozen GP predicts without GPyTorch and Lightning."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import torch
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
prediction = FrozenGP.of_shape("matern32", 3, 2, 1)(torch.zeros(4, 3))
assert prediction.p_correct.tolist() == [0.5] * 4
print(sorted({"gpytorch", "linear_operator", "lightning"} & sys.modules.keys()))
"""


def test_the_frozen_gp_imports_neither_gpytorch_nor_lightning():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
