"""Attention of many rows to one copy of their prompt: what is remembered of a prompt is neither repeated nor copied.

A cache that is repeated for N + 1 answers holds every prompt N + 1 times, and each step copies all of it to append one
token: with long prompts that takes longer than reading them. Here the prompt's keys and values stay as they are, the
rows' own tokens lie in a cache of their own, and attention runs over both with one softmax. It is the exact attention,
split by keys as in Juravsky et al., Hydragen (arXiv 2402.05099).
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
    """The model's attention is of a kind this one does not reproduce; raised before any token is chosen."""


class SharedPromptLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's cache: the prompts' keys and values once, the rows' own tokens for each row.

    Args:
        prompt_keys: [prompts, heads, prompt length, d]; left as they are.
        prompt_values: The same for values.
    """

    def __init__(self, prompt_keys: Tensor, prompt_values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.prompt_keys = prompt_keys
        self.prompt_values = prompt_values
        self._unread = False

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append a token of every row; gives the rows' own keys and values, which lead `_attend` to the prompts'."""
        if self._unread:
            raise RuntimeError("the model's attention went past the prompt: it does not use transformers' interface")
        keys, values = super().update(key_states, value_states, *args, **kwargs)
        setattr(keys, _OWNER, self)
        self._unread = True
        return keys, values

    def get_seq_length(self) -> int:
        """Tokens of the prompt and of the answers so far."""
        return int(self.prompt_keys.shape[-2]) + super().get_seq_length()

    def read(self) -> tuple[Tensor, Tensor]:
        """The prompts' keys and values, and a note that they were asked for."""
        self._unread = False
        return self.prompt_keys, self.prompt_values


def share_prompts(model: PreTrainedModel, cache: Any) -> Cache | None:
    """A cache for many rows a prompt that leads to the prompts' own, or None where attention cannot be shared.

    It can where every layer attends to all that stands before it, by way of transformers' attention interface.
    """
    decoder: Any = getattr(model, "get_decoder")()  # noqa: B009 - PreTrainedModel is typed without it
    layers = list(getattr(cache, "layers", ()))
    plain = layers and all(type(layer) is DynamicLayer and layer.is_initialized for layer in layers)
    kinds = {config._attn_implementation for config in _configs(model)}
    if not plain or not getattr(decoder, "_supports_attention_backend", False) or not kinds <= {"sdpa", "eager"}:
        return None
    return Cache(layers=[SharedPromptLayer(layer.keys, layer.values) for layer in layers])


@contextmanager
def shared_attention(model: PreTrainedModel) -> Iterator[None]:
    """Let a model's decoder attend by way of `share_prompts`' cache within the block."""
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
    """The configs that a model's decoder and its blocks look into; often one, not always the model's own."""
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
    """One new token of every row attends to the row's prompt and to its own tokens.

    Args:
        module: Not looked at.
        query: [rows, heads, 1, d]; ``row = prompt * repeats + j``.
        key: The rows' own keys, [rows, key heads, tokens, d].
        value: The rows' own values, [rows, key heads, tokens, e].
        attention_mask: True where attention is allowed, [rows, 1, 1, prompt length + tokens]; None: everywhere.
        scaling: Multiplies the scores; None: ``d ** -0.5``.
        softcap: Bounds the scores by a tangent.
        others: What attention may be given besides.

    Returns:
        [rows, 1, heads, e], and None for the weights.
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
    """All rows of a prompt side by side: [rows, key heads, groups, n] as [prompts, key heads, repeats * groups, n]."""
    rows, heads, groups, width = table.shape
    return table.view(prompts, rows // prompts, heads, groups, width).transpose(1, 2).reshape(prompts, heads, -1, width)


def _by_row(table: Tensor, rows: int) -> Tensor:
    """The reverse of `_by_prompt`."""
    prompts, heads, side_by_side, width = table.shape
    repeats = rows // prompts
    split = table.view(prompts, heads, repeats, side_by_side // repeats, width)
    return split.transpose(1, 2).reshape(rows, heads, -1, width)
