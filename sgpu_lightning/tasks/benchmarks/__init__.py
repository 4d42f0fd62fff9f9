"""Public benchmarks and the digits task, one file each; every module here registers its task when imported."""
