"""The LightningModule, and fitting it."""
