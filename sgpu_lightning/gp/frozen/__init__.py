"""The frozen form of a fitted GP: prediction with plain PyTorch, without GPyTorch."""
