"""Generation of one batch: each prompt is read once, then all rows of all questions are generated together."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sgpu_lightning.sampling.local.generation_config import using_generation_config
from sgpu_lightning.sampling.local.model_inputs import collate
from sgpu_lightning.sampling.local.shared_prompt import SharedPromptUnsupportedError, share_prompts, shared_attention

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel

    from sgpu_lightning.sampling.local.model_inputs import Prompt, PromptBatch
    from sgpu_lightning.sampling.local.token_processor import SelectingProcessor


def generate_rows(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    repeats: int,
    steps: int,
    processor: SelectingProcessor,
    config: GenerationConfig,
) -> None:
    """Generate ``repeats`` rows for each prompt. The results are kept in ``processor.trace``.

    The hidden state of a token is computed when the token is fed back to the model. To record the state of the last
    token of an answer that is cut off, generate one step more than an answer may have tokens; the trace ignores the
    token of that step.

    Args:
        model: A causal language model, or a vision-language model built on one.
        prompts: The prompts, each with at least one token.
        repeats: Rows for each prompt; ``row = prompt * repeats + j``.
        steps: Number of tokens to generate at most.
        processor: Selects every token.
        config: From `decoding_config`.
    """
    config = copy.deepcopy(config)
    config.max_new_tokens = steps
    with using_generation_config(model, config), torch.no_grad():
        batch = _collate(model, prompts, config)
        cache = prefill_once(model, batch, config)
        if cache is None:
            repeated = [prompt for prompt in prompts for _ in range(repeats)]
            _generate(model, _collate(model, repeated, config).to_arguments(), processor, config)
        else:
            _continue(model, batch, cache, repeats, processor, config)


def prefill_once(model: PreTrainedModel, batch: PromptBatch, config: GenerationConfig) -> Any | None:
    """Read each prompt, images included, once, up to but not including its last token.

    The first step of ``generate`` then reads the last prompt token in every row. With long prompts this is nearly
    ``repeats`` times faster than reading the prompt in every row.

    Args:
        model: The model.
        batch: The prompts.
        config: From `decoding_config`.

    Returns:
        The model's cache, one row per prompt. None if there is no usable cache: the model keeps none or one that cannot
        be repeated (a warning says so), a prompt has a single token, or an image is the last token of a prompt.
    """
    # A row of padding only has nothing to attend to. The images must all come before the last token.
    if int(batch.mask.sum(dim=1).min()) < 2 or bool((batch.ids[:, -1] == _image_token(model)).any()):
        return None
    cache = None
    # Mamba and similar models take their state under another name.
    if config.use_cache is not False and "past_key_values" in inspect.signature(model.forward).parameters:
        once = copy.deepcopy(config)
        once.max_new_tokens, once.min_new_tokens, once.return_dict_in_generate = 1, 0, True
        # `generate` sets up each model's positions and kind of cache. The token it selects is not used.
        cache = _generate(model, batch.without_last_token().to_arguments(), None, once).get("past_key_values")
    if cache is None or not hasattr(cache, "reorder_cache"):
        warnings.warn(
            f"{type(model).__name__} keeps no cache that can be repeated: every prompt is read once for each answer, "
            "which is slower",
            stacklevel=2,
        )
        return None
    return cache


def _continue(
    model: PreTrainedModel,
    batch: PromptBatch,
    cache: Any,
    repeats: int,
    processor: SelectingProcessor,
    config: GenerationConfig,
) -> None:
    """Generate all rows from the prompts' cache: shared by the rows if the model allows, else repeated for each row."""
    rows = torch.arange(len(batch.ids), device=batch.ids.device).repeat_interleave(repeats)
    _repeat_position_offsets(model, rows)
    arguments: dict[str, Any] = {"input_ids": batch.ids[rows], "attention_mask": batch.mask[rows]}
    shared = share_prompts(model, cache)
    if shared is not None:
        try:
            with shared_attention(model):
                _generate(model, {**arguments, "past_key_values": shared}, processor, config)
            return
        except SharedPromptUnsupportedError:
            pass
    # Unlike batch_repeat_interleave, reorder_cache also repeats the states of linear attention.
    cache.reorder_cache(rows)
    _generate(model, {**arguments, "past_key_values": cache}, processor, config)


def _generate(
    model: PreTrainedModel, arguments: dict[str, Any], processor: SelectingProcessor | None, config: GenerationConfig
) -> Any:
    from transformers import LogitsProcessorList

    generate: Any = getattr(model, "generate")  # noqa: B009 - the type of PreTrainedModel lacks it
    processors = LogitsProcessorList([] if processor is None else [processor])
    return generate(**arguments, generation_config=config, logits_processor=processors)


def _collate(model: PreTrainedModel, prompts: Sequence[Prompt], config: GenerationConfig) -> PromptBatch:
    device = model.device
    if device.type == "meta":
        # accelerate loads these weights from memory or disk when they are needed; its hook knows the device.
        hook: Any = model._hf_hook
        device = torch.device(hook.execution_device)
    return collate(prompts, int(config.pad_token_id or 0), device, model.dtype)


def _image_token(model: PreTrainedModel) -> int:
    token = getattr(model.config, "image_token_id", None)
    return -1 if token is None else int(token)


def _repeat_position_offsets(model: PreTrainedModel, rows: Tensor) -> None:
    """Repeat the position offsets that Qwen's vision-language models and similar ones keep beside the cache.

    In these models an image takes fewer positions than it has tokens, so the positions after it lag behind. The model
    keeps the difference in ``rope_deltas``, [prompts, 1], from one forward to the next.
    """
    for module in model.modules():
        offsets = getattr(module, "rope_deltas", None)
        if isinstance(offsets, Tensor):
            module.rope_deltas = offsets[rows.to(offsets.device)]
