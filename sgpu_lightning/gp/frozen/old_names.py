"""Names in checkpoints and predictors that were written before the parts of the prior mean were renamed.

`renamed_state` and `renamed_settings` replace them by the present names; present names are left unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TENSORS = {"trend": "mean_basis", "trend_weights": "mean_weights", "trend_range": "basis_range"}
_SETTINGS = {"num_trends": "num_basis"}


def renamed_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict under the present names.

    Args:
        state: Values by dotted name; each part of a name is looked up separately, so that nested modules are covered.
    """
    return {".".join(_TENSORS.get(part, part) for part in name.split(".")): value for name, value in state.items()}


def renamed_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `FrozenGP.of_shape` under the present names, those of its ``base`` included."""
    renamed = {_SETTINGS.get(name, name): value for name, value in settings.items()}
    if isinstance(renamed.get("base"), Mapping):
        renamed["base"] = renamed_settings(renamed["base"])
    return renamed
