"""Asking a model: N sampled answers and the greedy one, hidden states recorded."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sgpu_lightning.tasks.prompt_settings import PromptSettings

if TYPE_CHECKING:
    from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
    from sgpu_lightning.sampling.recording.hooks import HiddenStateRecorder
    from sgpu_lightning.sampling.sampled_answers import Sampled
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

# Imported on first use: the settings, which a command line reads, must not cost the import of torch.
_HOMES = {
    "ApiClient": "server.client",
    "ApiSampler": "server.api_sampler",
    "ApiSettings": "server.server_settings",
    "HiddenStateRecorder": "recording.hooks",
    "HuggingFaceSampler": "local.huggingface",
    "Sampled": "sampled_answers",
    "SamplingSettings": "sampling_settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
