"""Attention of many rows to a single copy of their prompt's keys and values.

A cache that is repeated for N + 1 answers holds every prompt N + 1 times, and each step copies all of it to append one
token. With long prompts this takes longer than reading the prompts. Here the prompt's keys and values are stored once,
the rows' own tokens are kept in a separate cache, and attention runs over both with one softmax. The result is exact
attention, split by keys as in Juravsky et al., Hydragen (arXiv 2402.05099).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, Cache
from transformers.cache_utils import DynamicLayer
from transformers.masking_utils import sdpa_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NAME = "sgpu_shared_prompt"
_OWNER = "_sgpu_layer"


class SharedPromptUnsupportedError(Exception):
    """The model's attention is of a kind that is not reproduced here; raised before any token is selected."""


class SharedPromptLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's cache: the prompts' keys and values, stored once, and those of each row's own tokens.

    Args:
        prompt_keys: The prompts' keys, [prompts, key heads, prompt length, d]; they are not changed.
        prompt_values: The prompts' values, [prompts, key heads, prompt length, e]; they are not changed.
    """

    def __init__(self, prompt_keys: Tensor, prompt_values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.prompt_keys = prompt_keys
        self.prompt_values = prompt_values
        self._unread = False

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append one token per row and return the rows' own keys and values.

        The returned keys carry a reference to this layer, through which `_attend` finds the prompts' keys and values.
        """
        if self._unread:
            raise RuntimeError(
                "the model's attention ignored the prompt: it does not use transformers' attention interface"
            )
        keys, values = super().update(key_states, value_states, *args, **kwargs)
        setattr(keys, _OWNER, self)
        self._unread = True
        return keys, values

    def get_seq_length(self) -> int:
        """Number of tokens of the prompt and of the answers so far."""
        return int(self.prompt_keys.shape[-2]) + super().get_seq_length()

    def read(self) -> tuple[Tensor, Tensor]:
        """Return the prompts' keys and values, and note that attention has read them."""
        self._unread = False
        return self.prompt_keys, self.prompt_values


def share_prompts(model: PreTrainedModel, cache: Any) -> Cache | None:
    """Create a cache in which all rows of a prompt share the prompt's keys and values; None if this is impossible.

    It is possible if every layer attends to all previous tokens and uses transformers' attention interface.

    Args:
        model: The model.
        cache: Its cache after reading the prompts, one row per prompt.
    """
    decoder: Any = getattr(model, "get_decoder")()  # noqa: B009 - the type of PreTrainedModel lacks it
    layers = list(getattr(cache, "layers", ()))
    plain = layers and all(type(layer) is DynamicLayer and layer.is_initialized for layer in layers)
    kinds = {config._attn_implementation for config in _configs(model)}
    if not plain or not getattr(decoder, "_supports_attention_backend", False) or not kinds <= {"sdpa", "eager"}:
        return None
    return Cache(layers=[SharedPromptLayer(layer.keys, layer.values) for layer in layers])


@contextmanager
def shared_attention(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, make the model's decoder attend through the cache of `share_prompts`."""
    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    configs = _configs(model)
    before = [config._attn_implementation_internal for config in configs]
    for config in configs:
        config._attn_implementation_internal = _NAME
    try:
        yield
    finally:
        for config, kind in zip(configs, before, strict=True):
            config._attn_implementation_internal = kind


def _configs(model: PreTrainedModel) -> list[Any]:
    """The configs that the decoder and its blocks read; often a single one, and not always the model's own."""
    decoder: nn.Module = getattr(model, "get_decoder")()  # noqa: B009
    found = (getattr(module, "config", None) for module in decoder.modules())
    return list({id(config): config for config in found if hasattr(config, "_attn_implementation")}.values())


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Let one new token of every row attend to the row's prompt and to the row's own tokens.

    Args:
        module: The attention module; not used.
        query: [rows, heads, 1, d]; ``row = prompt * repeats + j``.
        key: The rows' own keys, [rows, key heads, tokens, d].
        value: The rows' own values, [rows, key heads, tokens, e].
        attention_mask: True where attention is allowed, [rows, 1, 1, prompt length + tokens]; None: everywhere.
        scaling: Factor of the scores; None: ``d ** -0.5``.
        softcap: Bounds the scores s to ``softcap * tanh(s / softcap)``; None: no bound.
        others: Further arguments that transformers passes to attention functions.

    Returns:
        The attention output, [rows, 1, heads, e], and None in place of the attention weights.

    Raises:
        SharedPromptUnsupportedError: If there are several new tokens, attention sinks or a position bias.
    """
    if query.shape[2] != 1 or others.get("s_aux") is not None or others.get("position_bias") is not None:
        raise SharedPromptUnsupportedError
    prompt_keys, prompt_values = getattr(key, _OWNER).read()
    rows, heads, _, width = query.shape
    groups = heads // key.shape[1]
    own = query.view(rows, key.shape[1], groups, width) * (width**-0.5 if scaling is None else scaling)
    to_prompt = _by_row(_by_prompt(own, len(prompt_keys)) @ prompt_keys.transpose(-1, -2), rows)
    scores = torch.cat([to_prompt, own @ key.transpose(-1, -2)], dim=-1).float()
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1).to(value.dtype)
    on_prompt, on_own = torch.split(weights, [prompt_keys.shape[-2], key.shape[-2]], dim=-1)
    mixed = _by_row(_by_prompt(on_prompt, len(prompt_keys)) @ prompt_values, rows) + on_own @ value
    return mixed.reshape(rows, 1, heads, -1), None


def _by_prompt(table: Tensor, prompts: int) -> Tensor:
    """Group the rows by prompt: [rows, key heads, groups, n] to [prompts, key heads, repeats * groups, n]."""
    rows, heads, groups, width = table.shape
    return table.view(prompts, rows // prompts, heads, groups, width).transpose(1, 2).reshape(prompts, heads, -1, width)


def _by_row(table: Tensor, rows: int) -> Tensor:
    """The inverse of `_by_prompt`."""
    prompts, heads, side_by_side, width = table.shape
    repeats = rows // prompts
    split = table.view(prompts, heads, repeats, side_by_side // repeats, width)
    return split.transpose(1, 2).reshape(rows, heads, -1, width)
