"""Parts that all evaluations share: settings, evaluation sets, folds, methods, calibration, cache and tables."""
