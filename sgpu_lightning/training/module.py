"""The LightningModule, which computes spectra, features and P(correct) from the vectors of answer sets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
from lightning.pytorch import Callback

from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.data.splits import Split
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.features.extractor import blocks_of
from sgpu_lightning.features.gram_kernels import GramKernel
from sgpu_lightning.gp.hyperparameters import kernel_optimizer, kernel_sets
from sgpu_lightning.gp.kernels import KernelName
from sgpu_lightning.training.base.evaluation_steps import EvaluationSteps
from sgpu_lightning.training.checkpoint import make_features
from sgpu_lightning.training.checks import (
    FROM_DATA,
    check_precision,
)
from sgpu_lightning.training.fit_start import FitStart
from sgpu_lightning.training.trainer.stopping import add_fit_callbacks
from sgpu_lightning.training.trainer.trainer_checks import (
    check_trainer,
    check_unweighted,
)
from sgpu_lightning.training.training_set import TrainingSet


class SGPUModule(EvaluationSteps):
    """Semantic Gaussian process uncertainty: P(correct) from the eigenspectrum of sampled answers.

    Method: Hoche et al., arXiv 2512.14177. ``features: [spectrum]`` is the paper's method. The other blocks describe
    the scored answer and the texts, about which the spectrum contains no information. docs/how-it-fits.md describes
    where each part is computed.

    Args:
        features: Feature blocks, see docs/features.md; null for the default blocks, without ``question`` for hidden
            states.
        num_eigenvalues: Reference number of answers; sets with more or fewer answers are mapped to it.
        floor: Lower limit that eigenvalues are clamped to before the logarithm.
        gram_kernel: Kernel of the Gram matrix: ``linear`` (cosine) or ``rbf``.
        gamma: Bandwidth of the RBF Gram kernel.
        learn_gamma: Learn the bandwidth, through the spectrum.
        projection_dim: Learn a linear map of the vectors to this dimension, through the spectrum; null for no map.
        learn_layers: Learn the weights of several layers' Gram matrices, through the spectrum.
        kernel: GP kernel over features: ``rbf``, ``matern12``, ``matern32`` or ``matern52``. The features of a block
            share a length scale.
        mean: The GP's prior mean: ``constant``, or ``agreement``, which is linear in the agreement of the answers, with
            a prior that answers which agree are more often right. Null for ``constant`` with the spectrum alone (the
            paper's method), else ``agreement``.
        warm_start: Checkpoint of a predictor fitted on other data with the same features. Its latent mean becomes a
            term of the prior mean, with a weight that is learned from the labels. Null for a cold start.
        num_inducing: Largest number of inducing points; null for 128, or 256 with answer subsets (``subsets``).
        lr: Learning rate of Adam, which is used if something before the spectrum is learned.
        seed: Random seed of the k-means initialisation of inducing points.
        gram: Deprecated name of ``gram_kernel``.
    """

    def __init__(
        self,
        features: list[str] | None = None,
        num_eigenvalues: int = 10,
        floor: float = 1e-6,
        gram_kernel: GramKernel = "linear",
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
        gram: GramKernel | None = None,
    ) -> None:
        super().__init__()
        if lr <= 0 or any(size is not None and size < 1 for size in (num_inducing, projection_dim)):
            raise SGPUError(
                f"expected lr > 0, num_inducing and projection_dim >= 1 or null, got {lr}, {num_inducing} and "
                f"{projection_dim}"
            )
        if gram is not None:
            warnings.warn("SGPUModule: 'gram' is now 'gram_kernel'", FutureWarning, stacklevel=2)
        self.save_hyperparameters(ignore=["gram"])
        self.hparams["gram_kernel"] = gram or gram_kernel
        self._requested = {key: self.hparams[key] for key in FROM_DATA}
        # The number of layers and the length of vectors are known with the data; a checkpoint has them in its shapes.
        self.features = make_features(self.hparams, features or blocks_of(()), 1, None)
        self._training: TrainingSet | None = None
        self._kernel_training: TrainingSet | None = None  # the part of it that the kernel is fitted on
        self._threads: int | None = None

    def setup(self, stage: str) -> None:
        """Start a fit over, or check that there is something to evaluate on."""
        data = self._data()
        if data is not None:
            data.with_vectors = self.learns_features
        if stage == "fit":
            check_trainer(self.trainer, learned_features=self.learns_features)
            self._start(data)
        splits: dict[str, Split] = {"validate": "val", "test": "test"}
        if data is not None and stage in splits:
            data.require_labelled(splits[stage])

    def teardown(self, stage: str) -> None:
        """Let the data module's batches hold vectors again, for other uses, and free the training set."""
        if (data := self._data()) is not None:
            data.with_vectors = True
        self._training = self._kernel_training = None

    def configure_callbacks(self) -> list[Callback]:
        """Add the callbacks that stop a fit and keep its best state to the trainer's callbacks.

        None is returned to Lightning, which would let it replace a user's callback of the same class or a parent class.
        """
        if self._is_fitting:
            add_fit_callbacks(self.trainer, learned_features=self.learns_features)
        return []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """L-BFGS on kernel and prior mean for a GP alone; Adam on all parameters if features are learned."""
        if not self.learns_features:
            return kernel_optimizer(self._classifier())
        learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.Adam(learned, lr=self.hparams["lr"])

    def _start(self, data: AnswerDataModule | None) -> None:
        """Discard an earlier fit, and make the feature extractor and the GP for the data."""
        settings = {**self.hparams, **self._requested}
        start = FitStart.of_data(data, settings) if data is not None else FitStart.of_trainer(self.trainer, settings)
        self.hparams.update({"features": start.blocks, "mean": start.mean})
        self.vector_specs, self.features = start.vector_specs, start.features
        if data is not None and not self.learns_features:
            self._cache.fill(data, self.features)
        training = start.training_set(self._cache)
        self.gp, self.train_groups = start.gp(training)
        self.train_size = training.total
        # Learned features change with every step, so they are not kept.
        if not self.learns_features:
            self._training, self._kernel_training = training, training.take(kernel_sets(len(training.labels)))

    def on_fit_start(self) -> None:
        """Refuse a precision the GP cannot run in, and limit the fit of a GP alone to one thread."""
        check_precision(self._classifier())
        if not self.learns_features and self.trainer.world_size > 1:
            raise SGPUError(
                f"trainer.devices: a GP alone is fitted on one device, in seconds, got {self.trainer.world_size}; "
                "several devices are for learned projections and layer weights"
            )
        # Lightning does not change a module's mode, and in evaluation mode GPyTorch would train on cached factors.
        self.train()
        if not self.learns_features:
            # A step on a 64-point GP is many tiny operations. A second thread made fits 8 times slower, not faster.
            self._threads = torch.get_num_threads()
            torch.set_num_threads(1)

    def training_step(self, batch: AnswerBatch | Mapping[str, Any], batch_index: int) -> dict[str, Any] | None:
        """Compute the loss of a step: minus the sum of ELBO and log prior, per answer set.

        A GP alone is fitted on its whole training set in every step, whatever the batch, because the collapsed ELBO is
        not a sum over batches. If features are learned, the step uses the batch.
        """
        classifier = self._classifier()
        if self._kernel_training is None:
            own = AnswerBatch.of(batch).labelled()
            if not len(own):
                return None
            check_unweighted(own)
            elbo, size, total = self._elbo(own), self._train_size(own), float(len(own))
        else:
            sets = self._kernel_training
            elbo = classifier.collapsed_elbo(sets.features, sets.labels, sets.weight)
            size = total = sets.total
        self.log("train/elbo", elbo, batch_size=int(total), on_step=False, on_epoch=True, sync_dist=True)
        return {"loss": -elbo - classifier.latent.log_prior() / size, "total": total}

    def on_train_end(self) -> None:
        """Solve for the posterior of all training sets, because the kernel may have been learned on some of them."""
        if self._training is not None:
            with torch.no_grad():
                self._classifier().collapsed_elbo(self._training.features, self._training.labels, self._training.weight)

    def on_fit_end(self) -> None:
        """Restore the number of threads."""
        if self._threads is not None:
            torch.set_num_threads(self._threads)
            self._threads = None
