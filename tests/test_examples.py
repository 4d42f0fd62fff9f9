"""The examples and the worked example of CONTRIBUTING run as they are written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.toy import write_toy_answers

ROOT = Path(__file__).parents[1]


def run(*args: str, folder: Path, root: Path = ROOT) -> str:
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, *args], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_own_trainer_callback_logger_and_loaders(tmp_path):
    out = run(str(ROOT / "examples" / "own_trainer.py"), folder=tmp_path)
    steps = int(re.search(r"the fit stopped after (\d+) steps", out).group(1))
    assert 1 < steps < 700, "of the 700 that its epochs allow"
    assert float(re.search(r"test/auroc\D+(0\.\d+)", out).group(1)) > 0.7
    assert "P(correct) of 200 answers" in out
    assert (tmp_path / "runs" / "own" / "version_0" / "metrics.csv").exists()


def test_score_your_answers(tmp_path):
    answers = write_toy_answers(tmp_path / "answers.jsonl")
    out = run(str(ROOT / "examples" / "score_your_answers.py"), str(answers), folder=tmp_path)
    assert "'auroc'" in out
    lowest = [float(value) for value in re.findall(r"^(0\.\d\d)  ", out, re.MULTILINE)]
    assert len(lowest) == 5
    assert lowest == sorted(lowest)


def test_the_worked_example_of_a_feature_block(tmp_path):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page[page.index("### A worked example") :], re.DOTALL)
    shutil.copytree(ROOT / "sgpu_lightning", tmp_path / "sgpu_lightning", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "sgpu_lightning" / "features" / "blocks" / "distinct_fraction.py").write_text(code)
    script = (
        "from sgpu_lightning import AnswerFeatures\n"
        "from sgpu_lightning.features.answer_batch import TextBatch, batch_of_vectors\n"
        "import torch\n"
        "ids = torch.tensor([[0, 0, 0, 0, 0], [0, 1, 2, 2, 0]])\n"
        "texts = TextBatch(ids=ids, overlap=torch.zeros(2, 5, 5), lengths=torch.zeros(2, 5, 2), "
        "logprobs=torch.zeros(2, 4))\n"
        "extract = AnswerFeatures(['distinct_fraction'])\n"
        "batch = batch_of_vectors(torch.ones(2, 4, 3), texts=texts)\n"
        "print(extract(batch).flatten().tolist(), extract.agreement.tolist())\n"
    )
    assert run("-c", script, folder=tmp_path, root=tmp_path).strip() == "[0.25, 0.75] [-1.0]"
