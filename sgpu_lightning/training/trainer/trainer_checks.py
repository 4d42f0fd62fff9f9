"""What a module refuses of a Trainer and of the batches that its DataLoaders give."""

from __future__ import annotations

from lightning.pytorch import Trainer
from torch import Tensor

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.features.extractor import AnswerFeatures


def check_trainer(trainer: Trainer, *, learned_features: bool) -> None:
    """Refuse a Trainer that would fit nothing, or not as it says.

    Args:
        trainer: The trainer of a fit.
        learned_features: Whether something before the spectrum is learned.

    Raises:
        SGPUError: If its limit was reached by an earlier fit, it accumulates gradients of the GP alone, or it has no
            validation sets for a learned front.
    """
    steps, epochs = trainer.max_steps, trainer.max_epochs
    reached = 0 <= steps <= trainer.global_step or (epochs not in (None, -1) and trainer.current_epoch >= (epochs or 0))
    if trainer.global_step > 0 and reached:
        raise SGPUError(
            f"trainer: an earlier fit reached its limit (max_steps {steps}, max_epochs {epochs}), so that another fit "
            "would take no step; use a new Trainer for each fit"
        )
    if not learned_features and trainer.accumulate_grad_batches != 1:
        raise SGPUError(
            "trainer.accumulate_grad_batches: expected 1, since the GP alone is fitted on all training sets in every "
            f"step, got {trainer.accumulate_grad_batches}; leave it out"
        )
    if learned_features and not trainer.enable_validation:
        raise SGPUError(
            "val_dataloaders: expected validation sets, since the validation NLL decides when a fit with a learned "
            "projection, layer weights or bandwidth stops, got none; give some"
        )


def check_one_loader(index: int, name: str) -> None:
    """Refuse several DataLoaders, whose answer sets would be mixed in one metric.

    Raises:
        SGPUError: If this is not the first one.
    """
    if index > 0:
        raise SGPUError(f"{name}: expected one DataLoader, got several; evaluate on each in a call of its own")


def check_unweighted(batch: AnswerBatch) -> None:
    """Refuse weights where a front is learned on batches.

    Raises:
        SGPUError: If the batch has some.
    """
    if batch.weight is not None:
        raise SGPUError(
            "batch: expected no 'weight' where something before the spectrum is learned, got one; weights are for "
            "fits of the GP alone"
        )


def check_width(features: Tensor, extract: AnswerFeatures) -> None:
    """Refuse ready features that are not those of the module's blocks.

    Raises:
        SGPUError: If there are more or fewer.
    """
    if features.shape[-1] != extract.num_features:
        raise SGPUError(
            f"batch: features: expected [B, {extract.num_features}], the width of blocks {', '.join(extract.blocks)}, "
            f"got {list(features.shape)}; name the blocks that they are of in the module's 'features'"
        )
