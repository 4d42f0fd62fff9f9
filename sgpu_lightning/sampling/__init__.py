"""Asking a model: N sampled answers and the greedy answer to each question, with hidden states."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sgpu_lightning.tasks.prompt_settings import PromptSettings

if TYPE_CHECKING:
    from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
    from sgpu_lightning.sampling.outcome import Sampled
    from sgpu_lightning.sampling.recording.hooks import HiddenStateRecorder
    from sgpu_lightning.sampling.sampling_settings import SamplingSettings
    from sgpu_lightning.sampling.server.api_sampler import ApiSampler
    from sgpu_lightning.sampling.server.client import ApiClient
    from sgpu_lightning.sampling.server.server_settings import ApiSettings

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

# Imported on first use, so that reading the settings, as a command line does, does not import torch.
_MODULES = {
    "ApiClient": "server.client",
    "ApiSampler": "server.api_sampler",
    "ApiSettings": "server.server_settings",
    "HiddenStateRecorder": "recording.hooks",
    "HuggingFaceSampler": "local.huggingface",
    "Sampled": "outcome",
    "SamplingSettings": "sampling_settings",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
