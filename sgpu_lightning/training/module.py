"""The LightningModule: features of answer sets and the GP on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torchmetrics import MetricCollection

from sgpu_lightning.answers.storage.vectors import VectorSpec, describe_specs, specs_match
from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.data.splits import Split, SplitError
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.batch import AnswerBatch
from sgpu_lightning.features.blocks import FeatureBlock
from sgpu_lightning.features.extractor import AnswerFeatures, blocks_of, mean_of
from sgpu_lightning.features.spectrum import GramKernel
from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.frozen import FrozenGP
from sgpu_lightning.gp.hyperparameters import kernel_optimizer
from sgpu_lightning.gp.inducing_points import default_inducing
from sgpu_lightning.gp.kernels import KernelName
from sgpu_lightning.gp.old_names import renamed_settings, renamed_state
from sgpu_lightning.gp.prediction import Prediction
from sgpu_lightning.gp.prior_mean import empty_basis
from sgpu_lightning.metrics import probability_metrics

# Settings that give the parameters their meaning: a checkpoint is only loaded under the same ones.
_STRUCTURE = (
    "features",
    "num_eigenvalues",
    "floor",
    "gram",
    "gamma",
    "learn_gamma",
    "projection_dim",
    "kernel",
    "mean",
)
_FROM_DATA = ("features", "mean")  # of these, null is what the data say
_FIT_FEATURES = 4096  # sets whose features place the inducing points, when features are learned


class CheckpointError(SGPUError):
    """A checkpoint that does not fit the configuration or the vectors it is given."""


class SGPUModule(LightningModule):
    """Semantic Gaussian process uncertainty: P(correct) from the eigenspectrum of sampled answers.

    Method: Hoche et al., arXiv 2512.14177. ``features: [spectrum]`` is the paper's; the other blocks look at
    the scored answer and at the text, which the spectrum cannot know.

    Args:
        features: Feature blocks, see docs/features.md; null for the default ones that the vectors give (hidden states
            give no ``question``).
        num_eigenvalues: Reference number of answers; sets with more or fewer are mapped to it.
        floor: Eigenvalues are clamped at this before the logarithm.
        gram: ``linear`` (cosine) or ``rbf`` Gram kernel.
        gamma: Bandwidth of the RBF Gram kernel.
        learn_gamma: Learn the bandwidth, through the spectrum.
        projection_dim: Learn a linear map of the vectors to this length, through the spectrum; null for none.
        learn_layers: Learn the weights of several layers' Gram matrices, through the spectrum.
        kernel: GP kernel over features: ``rbf``, ``matern12``, ``matern32`` or ``matern52``; a block's features share
            a length scale.
        mean: The GP's mean function: ``constant``, or ``agreement``, linear in how much the answers agree, with a prior
            that more agreement is more often right. Null: constant for the spectrum alone, which is the paper's method,
            else agreement.
        warm_start: Checkpoint of a predictor fitted elsewhere on the same features; its latent mean, scaled by a weight
            that the labels decide, joins the mean function.
        num_inducing: Inducing points at most; null for 128, or 256 where sets are fitted in several views
            (``subsets``).
        lr: Learning rate of Adam, where something before the spectrum is learned.
        seed: Of k-means, which places the inducing points.
    """

    def __init__(
        self,
        features: list[FeatureBlock] | None = None,
        num_eigenvalues: int = 10,
        floor: float = 1e-6,
        gram: GramKernel = "linear",
        gamma: float = 1.0,
        learn_gamma: bool = False,
        projection_dim: int | None = None,
        learn_layers: bool = False,
        kernel: KernelName = "rbf",
        mean: Literal["agreement", "constant"] | None = None,
        warm_start: str | None = None,
        num_inducing: int | None = None,
        lr: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if lr <= 0 or any(size is not None and size < 1 for size in (num_inducing, projection_dim)):
            raise SGPUError(
                f"expected lr > 0, num_inducing and projection_dim >= 1 or null, got {lr}, {num_inducing} and "
                f"{projection_dim}"
            )
        self.save_hyperparameters()
        self.vector_specs: tuple[VectorSpec, ...] = ()
        # How many layers and how long vectors are is known with the data; a checkpoint has them in its shapes.
        self.features: AnswerFeatures = self._make_features(num_layers=1, dim=None)
        self.gp: GPClassifier | None = None
        self.train_groups = torch.empty(0, dtype=torch.long)  # hashes; what evaluation may not be on
        self.val_metrics = probability_metrics("val/")
        self.test_metrics = probability_metrics("test/")
        self._threads: int | None = None

    def _make_features(self, num_layers: int, dim: int | None) -> AnswerFeatures:
        settings = self.hparams
        width = settings["projection_dim"]
        return AnswerFeatures(
            settings["features"] or blocks_of(self.vector_specs),
            size=settings["num_eigenvalues"],
            floor=settings["floor"],
            kernel=settings["gram"],
            gamma=settings["gamma"],
            learn_gamma=settings["learn_gamma"],
            projection=(dim, width) if dim is not None and width is not None else None,
            num_layers=num_layers,
            learn_layers=settings["learn_layers"],
        )

    @property
    def learns_features(self) -> bool:
        """Whether something before the spectrum is learned."""
        return self.features.learnable or self.hparams["projection_dim"] is not None

    def setup(self, stage: str) -> None:
        """Before fitting, read the data and place the inducing points; before evaluating, see that there is some."""
        if stage == "fit":
            data = self._datamodule()
            data.require_fittable(validated=self.learns_features)
            if self.gp is None:
                self._start(data)
        splits: dict[str, Split] = {"validate": "val", "test": "test"}
        if stage in splits:
            self._datamodule().require_labelled(splits[stage])

    def _start(self, data: AnswerDataModule) -> None:
        self.vector_specs = specs = data.vector_specs
        self.hparams["features"] = self.hparams["features"] or blocks_of(specs)
        self.hparams["mean"] = self.hparams["mean"] or mean_of(self.hparams["features"])
        self.features = self._make_features(len(specs), specs[0].dim)
        self._load_data()
        self.train_groups = torch.unique(data.table.group_hashes[data.members["train"]])
        index = data.training_rows()
        if self.learns_features:
            order = torch.randperm(len(index), generator=torch.Generator().manual_seed(self.hparams["seed"]))
            index = index[order[:_FIT_FEATURES]]
        with torch.no_grad():
            features = self._features_of(data.take(index))
        self.gp = GPClassifier.from_features(
            features,
            self.hparams["num_inducing"] or default_inducing(answer_subsets=data.subsets > 0),
            self.hparams["kernel"],
            self.hparams["seed"],
            self.features.widths,
            self.features.agreement if self.hparams["mean"] == "agreement" else None,
            self._warm_start(),
        )

    def _warm_start(self) -> FrozenGP | None:
        """The predictor to start from, if one is named; it must have been fitted on the same kind of features."""
        from sgpu_lightning.training.checkpoint import load_module  # which imports this module

        path = self.hparams["warm_start"]
        if path is None:
            return None
        other = load_module(Path(path))
        theirs, ours = other.features.extra_repr(), self.features.extra_repr()
        if theirs != ours or other.learns_features or self.learns_features:
            raise CheckpointError(
                f"warm_start: {path}: expected a predictor on the same features without a learned front, {ours}, got "
                f"{theirs}; fit it with the same settings"
            )
        other._check_vectors(self.vector_specs)
        # What that predictor learned from is in this one, too: evaluation may not be on it.
        self.train_groups = torch.unique(torch.cat([self.train_groups, other.train_groups]))
        return other._classifier().freeze()

    def on_fit_start(self) -> None:
        """Refuse a precision the GP cannot run in, and leave a CPU's other cores alone."""
        dtypes = {parameter.dtype for parameter in self._classifier().parameters()}
        if dtypes != {torch.float64}:
            raise SGPUError(
                f"trainer.precision: the GP runs in float64, got {dtypes}; use the default '32-true' (the GP stays in "
                "float64) or '64-true'"
            )
        if not self.learns_features and self.trainer.world_size > 1:
            raise SGPUError(
                f"trainer.devices: a GP alone is fitted on one device, in seconds, got {self.trainer.world_size}; "
                "several devices are for learned projections and layer weights"
            )
        # Lightning leaves modules in the mode they are in; in evaluation mode GPyTorch would train on cached factors.
        self.train()
        if not self.learns_features:
            # Steps on a 64-point GP are many tiny operations: a second thread made fits 8 times slower, not faster.
            self._threads = torch.get_num_threads()
            torch.set_num_threads(1)

    def on_train_end(self) -> None:
        """Solve for the posterior of all training sets, where the kernel was learned on some of them."""
        if not self.learns_features:
            batch = self._datamodule().take(self._datamodule().training_rows())
            with torch.no_grad():
                self._classifier().collapsed_elbo(self._features_of(batch), batch.label, batch.weight)

    def on_fit_end(self) -> None:
        """Give the threads back."""
        if self._threads is not None:
            torch.set_num_threads(self._threads)
            self._threads = None

    def on_validation_start(self) -> None:
        """Read the data, unless fitting did."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            self._refuse_seen("val")
            self._classifier()
        self._load_data()

    def on_test_start(self) -> None:
        """Read the data."""
        self._refuse_seen("test")
        self._classifier()  # or there is nothing to read the data for
        self._load_data()

    def on_predict_start(self) -> None:
        """Read the data."""
        self._classifier()
        self._load_data()

    def _load_data(self) -> None:
        data = self._datamodule()
        self._check_vectors(data.vector_specs)
        # Where nothing before the spectrum is learned, features are computed once, not every epoch.
        data.load(None if self.learns_features else self.features)

    def _refuse_seen(self, split: Split) -> None:
        """In-sample figures say nothing of calibration: refuse to evaluate on groups that were fitted on."""
        data = self._datamodule()
        rows = data.members[split]
        seen = rows[torch.isin(data.table.group_hashes[rows], self.train_groups)]
        if len(seen):
            first = data.table.rows[int(seen[0])]
            raise SplitError(
                f"{len(seen)} of {len(rows)} {split} sets are of groups the predictor was fitted on (first: set "
                f"'{first.id}', group '{first.group[:80]}'): expected sets held out from fitting; use the fit's own "
                "val_fraction, test_fraction and split_seed, or other test_answers"
            )

    def _datamodule(self) -> AnswerDataModule:
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, AnswerDataModule):
            raise TypeError(f"datamodule: expected an AnswerDataModule, got {type(data).__name__}")
        return data

    def forward(self, batch: AnswerBatch) -> Prediction:
        """P(correct), its latent mean and variance, and the entropy split, for each answer set."""
        with torch.no_grad():
            return self._classifier().freeze()(self._features_of(batch))

    def _features_of(self, batch: AnswerBatch) -> Tensor:
        return batch.features if batch.features is not None else self.features(batch)

    def _classifier(self) -> GPClassifier:
        if self.gp is None:
            raise CheckpointError("the module has no fitted GP yet: fit it, or load a checkpoint with --checkpoint")
        return self.gp

    def training_step(self, batch: AnswerBatch, batch_index: int) -> Tensor:
        """The negative evidence lower bound of a batch; at the best posterior, where only the GP is learned."""
        size: float
        if self.learns_features:
            elbo, size = self._elbo(batch), self._train_size(batch)
        else:
            elbo = self._classifier().collapsed_elbo(self._features_of(batch), batch.label, batch.weight)
            size = batch.total
        self.log("train/elbo", elbo, batch_size=len(batch), on_step=False, on_epoch=True)
        return -elbo - self._classifier().latent.log_prior() / size

    def _elbo(self, batch: AnswerBatch) -> Tensor:
        return self._classifier().elbo(self._features_of(batch), batch.label, self._train_size(batch))

    def _train_size(self, batch: AnswerBatch) -> int:
        """Number of training sets; the batch's own where there are none, as in evaluating on other files."""
        return len(self._datamodule().members["train"]) or len(batch)

    def validation_step(self, batch: AnswerBatch, batch_index: int) -> None:
        """Update the validation metrics."""
        self._evaluate(batch, "val", self.val_metrics)

    def test_step(self, batch: AnswerBatch, batch_index: int) -> None:
        """Update the test metrics."""
        self._evaluate(batch, "test", self.test_metrics)

    def _evaluate(self, batch: AnswerBatch, name: str, metrics: MetricCollection) -> None:
        metrics.update(self(batch).p_correct, batch.label)
        self.log_dict(metrics, batch_size=len(batch))
        self.log(f"{name}/elbo", self._elbo(batch), batch_size=len(batch))

    def predict_step(self, batch: AnswerBatch, batch_index: int) -> tuple[Tensor, Prediction]:
        """Predict a batch.

        Returns:
            Positions of the answer sets in the data module [B], and their prediction.
        """
        return batch.index, self(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """L-BFGS on the kernel, given the best posterior; Adam on everything, where a front is learned as well."""
        if not self.learns_features:
            return kernel_optimizer(self._classifier())
        learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.Adam(learned, lr=self.hparams["lr"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the vectors were made by, and which groups were fitted on."""
        checkpoint["vector_specs"] = [spec.to_dict() for spec in self.vector_specs]
        checkpoint["train_groups"] = self.train_groups
        base = None if self.gp is None else self.gp.latent.mean_basis.base
        checkpoint["warm_start"] = None if base is None else base.settings

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give the modules the checkpoint's shapes, after checking that it is one of ours and fits the settings.

        Raises:
            CheckpointError: Naming the settings that differ.
        """
        state = checkpoint["state_dict"] = renamed_state(checkpoint["state_dict"])
        if "gp.mean" not in state or "vector_specs" not in checkpoint:
            raise CheckpointError("checkpoint: expected one written by 'sgpu fit', got one of another module")
        self._check_settings(checkpoint["hyper_parameters"])
        for key in _FROM_DATA:
            self.hparams[key] = checkpoint["hyper_parameters"][key]
        weight = state.get("features.projection.weight")
        self.features = self._make_features(
            len(state["features.layer_logits"]), weight.shape[1] if weight is not None else None
        )
        points = state["gp.latent.variational_strategy.inducing_points"]
        warm_start = renamed_settings(checkpoint.get("warm_start") or {}) or None
        basis = empty_basis(points.shape[1], len(state["gp.latent.mean_weights"]), warm_start)
        self.gp = GPClassifier(self.features.widths, len(points), self.hparams["kernel"], basis)
        self.vector_specs = tuple(VectorSpec(**spec) for spec in checkpoint["vector_specs"])
        # Joined: a fit that goes on from a checkpoint may have other sets than the checkpoint's.
        self.train_groups = torch.unique(torch.cat([self.train_groups, checkpoint["train_groups"]]))

    def _check_settings(self, theirs: Mapping[str, Any]) -> None:
        differing = [
            f"{key}: checkpoint {theirs.get(key)}, configuration {self.hparams[key]}"
            for key in _STRUCTURE
            if theirs.get(key) != self.hparams[key] and not (key in _FROM_DATA and self.hparams[key] is None)
        ]
        if differing:
            raise CheckpointError(
                "the checkpoint was fitted with other settings: " + "; ".join(differing) + "; remove them from the "
                "configuration, or fit again"
            )

    def _check_vectors(self, given: tuple[VectorSpec, ...]) -> None:
        ours = self.vector_specs
        if ours and not specs_match(ours, given):
            raise CheckpointError(
                f"the predictor was fitted on vectors of {describe_specs(ours)}, got {describe_specs(given)}; "
                "use the same"
            )
