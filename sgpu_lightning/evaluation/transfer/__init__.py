"""Transfer: fitting on some models or datasets and evaluating on another."""
