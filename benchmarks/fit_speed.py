"""Fitting 1000 answer sets: ours against scikit-learn's exact Gaussian process classifier."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from benchmarks.data import triviaqa_answers, write_split
from benchmarks.rows import Row
from benchmarks.timing import seconds_of
from sgpu_lightning import AnswerDataModule, SGPUModule
from sgpu_lightning.metrics.functional import auroc, negative_log_likelihood
from sgpu_lightning.training.fitting import fit

TRAIN = 1000
ROUNDS = 3
FASTER, AUROC_WITHIN, NLL_WITHIN = 20.0, 0.005, 0.01


class Ours:
    """Fit with the defaults on features that are ready, and predict the test sets."""

    def __init__(self, train: Path, test: Path, folder: Path) -> None:
        self.data = AnswerDataModule(str(train), test_answers=str(test), val_fraction=0.0)
        self.folder = folder
        self.data.setup()
        self.module = SGPUModule()
        self()  # a fit of the same module on the same data keeps its features: spectra are not what is timed

    def __call__(self) -> None:
        torch.manual_seed(0)
        fit(self.data, self.module, out=self.folder, enable_progress_bar=False)
        with torch.no_grad():
            self.prediction = self.module(self.data.batch("test"))


class Theirs:
    """scikit-learn on the same standardised features of the same training sets."""

    def __init__(self, ours: Ours) -> None:
        data = ours.data
        with torch.no_grad():
            train, test = (ours.module.features(data.batch(split)) for split in ("train", "test"))
        mean, scale = train.mean(0), train.std(0)
        self.train, self.test = ((part - mean) / scale for part in (train, test))
        self.labels = data.table.labels[data.split_indices["train"]]
        self.p_correct = torch.empty(0)

    def __call__(self) -> None:
        kernel = ConstantKernel() * RBF([self.train.shape[1] ** 0.5] * self.train.shape[1])
        model = GaussianProcessClassifier(kernel, random_state=0).fit(self.train.numpy(), self.labels.numpy())
        self.p_correct = torch.from_numpy(model.predict_proba(self.test.numpy())[:, 1])


def run() -> list[Row]:
    """Three rows: how many times faster, and AUROC and NLL against theirs."""
    answers = triviaqa_answers()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train, test = write_split(answers, folder, TRAIN)
        ours = Ours(train, test, folder / "fit")
        theirs = Theirs(ours)
        ours()  # warm up
        seconds = [seconds_of(ours) for _ in range(ROUNDS)]
        their_seconds = seconds_of(theirs)
        seconds += [seconds_of(ours) for _ in range(ROUNDS)]
    labels = ours.data.table.labels[ours.data.split_indices["test"]]
    assert ours.prediction is not None
    p = ours.prediction.p_correct
    own = {"auroc": auroc(p, labels).item(), "nll": negative_log_likelihood(p, labels).item()}
    other = {
        "auroc": auroc(theirs.p_correct, labels).item(),
        "nll": negative_log_likelihood(theirs.p_correct, labels).item(),
    }
    typical = sorted(seconds)[len(seconds) // 2]
    note = f"{answers.name}; {TRAIN} training sets, {len(labels)} test sets; default features and GP"
    details = {"ours_s": seconds, "theirs_s": their_seconds, "ours": own, "theirs": other}
    return [
        Row(
            what="fit 1000 sets against scikit-learn's GaussianProcessClassifier: times faster",
            value=their_seconds / typical,
            unit="x",
            at_least=FASTER,
            note=f"{note}; ours {typical:.2f} s with evaluation (median of {len(seconds)}), "
            f"theirs {their_seconds:.1f} s",
            details=details,
        ),
        Row(
            what="... AUROC, ours less theirs",
            value=own["auroc"] - other["auroc"],
            at_least=-AUROC_WITHIN,
            note=f"ours {own['auroc']:.4f}, theirs {other['auroc']:.4f}",
        ),
        Row(
            what="... NLL, ours less theirs",
            value=own["nll"] - other["nll"],
            at_most=NLL_WITHIN,
            note=f"ours {own['nll']:.4f}, theirs {other['nll']:.4f}",
        ),
    ]
