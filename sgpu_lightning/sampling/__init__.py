"""Asking a model: N sampled answers and the greedy one, hidden states recorded."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgpu_lightning.sampling.api import ApiSampler
    from sgpu_lightning.sampling.api_client import ApiClient
    from sgpu_lightning.sampling.api_settings import ApiSettings
    from sgpu_lightning.sampling.huggingface import HuggingFaceSampler
    from sgpu_lightning.sampling.prompt import PromptSettings
    from sgpu_lightning.sampling.recorder import HiddenStateRecorder
    from sgpu_lightning.sampling.sampled import Sampled
    from sgpu_lightning.sampling.settings import SamplingSettings

__all__ = [
    "ApiClient",
    "ApiSampler",
    "ApiSettings",
    "HiddenStateRecorder",
    "HuggingFaceSampler",
    "PromptSettings",
    "Sampled",
    "SamplingSettings",
]

# Imported on first use: the settings, which a command line reads, must not cost the import of torch.
_HOMES = {
    "ApiClient": "api_client",
    "ApiSampler": "api",
    "ApiSettings": "api_settings",
    "HiddenStateRecorder": "recorder",
    "HuggingFaceSampler": "huggingface",
    "PromptSettings": "prompt",
    "Sampled": "sampled",
    "SamplingSettings": "settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
