"""The base classes of `SGPUModule`: precision, prediction with its checkpoints, evaluation."""
