"""The supervised baselines, one in each file: ``BASELINE``, and ``ORDER`` for its place in ``SUPERVISED``."""
