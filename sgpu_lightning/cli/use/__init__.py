"""Try the package, and use a portable predictor."""
