"""The LightningModule, its fit, its checkpoints and its predictions."""
