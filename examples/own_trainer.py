"""Fit, test and predict with your own Trainer, callback, logger and DataLoaders, on your own vectors.

python examples/own_trainer.py
"""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from sgpu_lightning import SGPUModule


class Report(Callback):
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        print(f"the fit stopped after {trainer.global_step} steps")


def answer_set() -> dict[str, torch.Tensor]:
    """Vectors of ten sampled answers and of the scored one, and its label; agreeing answers are right more often."""
    spread = torch.rand(())
    vectors = torch.randn(16) + 2 * spread * torch.randn(11, 16)
    return {"vectors": vectors[1:], "scored": vectors[0], "label": (torch.rand(()) > spread).double()}


if __name__ == "__main__":
    torch.manual_seed(0)
    train, test = (DataLoader([answer_set() for _ in range(size)], batch_size=64) for size in (400, 200))
    trainer = Trainer(max_epochs=100, accelerator="cpu", callbacks=[Report()], logger=CSVLogger("runs", name="own"))
    module = SGPUModule()
    trainer.fit(module, train)
    trainer.test(module, test)
    p_correct = torch.cat([prediction.p_correct for _, prediction in trainer.predict(module, test)])
    print(f"P(correct) of {len(p_correct)} answers, from {p_correct.min():.2f} to {p_correct.max():.2f}")
