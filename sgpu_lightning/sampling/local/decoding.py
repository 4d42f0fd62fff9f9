"""One batch of prompts through a model: shared prefill, then all rows of all questions at once."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.local.model_inputs import collate
from sgpu_lightning.sampling.local.shared_prompt import SharedPromptUnsupportedError, share_prompts, shared_attention

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

    from sgpu_lightning.sampling.local.model_inputs import Prompt, PromptBatch
    from sgpu_lightning.sampling.local.token_choice import SeededChoice

# Who chooses is `SeededChoice`, and when to stop is the end token's and the length limit's business alone.
# ``min_length`` counts the padding, so it would let the batch's make-up into the answers.
_CLEARED = (
    *("temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"),
    *("max_length", "min_length", "max_time", "stop_strings", "forced_eos_token_id", "renormalize_logits"),
    *("cache_implementation", "cache_config", "prefill_chunk_size", "output_scores", "output_logits"),
    *("output_attentions", "output_hidden_states", "return_dict_in_generate"),
)


def decoding_config(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """A copy of the model's generation config that leaves sampling and stopping to us.

    What shapes the scores (repetition penalty, suppressed tokens) and which tokens end an answer stays. Where the
    config names no end token, the tokenizer's counts.

    Raises:
        SamplingError: If the config asks for beam search or another way of decoding than token by token.
    """
    config: Any = copy.deepcopy(model.generation_config)
    if (config.num_beams or 1) > 1:
        raise SamplingError(
            f"num_beams: expected 1, got {config.num_beams} in the model's generation config: "
            "beam search does not sample; set model.generation_config.num_beams = 1"
        )
    asked = config.get_generation_mode().value.replace("_", " ")
    if (config.guidance_scale or 1) != 1:
        asked = "guidance"
    if asked not in ("greedy search", "sample"):
        raise SamplingError(
            f"expected a generation config that decodes token by token, got one that asks for {asked}: "
            "change model.generation_config"
        )
    if config.stop_strings:
        warnings.warn(f"stop strings are not looked at: {config.stop_strings!r}; answers may run on", stacklevel=3)
    for name in _CLEARED:
        setattr(config, name, None)
    config.do_sample = False
    config.num_return_sequences = 1
    if config.eos_token_id is None:
        config.eos_token_id = tokenizer.eos_token_id
    config.pad_token_id = _pad_id(config, tokenizer)
    return cast("GenerationConfig", config)


def eos_ids(config: GenerationConfig) -> list[int]:
    """The tokens that end an answer, whether the config names none, one or several."""
    ids = config.eos_token_id
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


def generate_rows(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    repeats: int,
    steps: int,
    choice: SeededChoice,
    config: GenerationConfig,
) -> None:
    """Generate ``repeats`` rows for each prompt; ``choice`` keeps what was chosen.

    To record the state of the last token of a cut answer, that token must be fed back once: ask for one step more
    than an answer may have tokens, and the choice drops what it gives.

    Args:
        model: A causal language model, or a vision-language model built on one.
        prompts: None empty.
        repeats: Rows for each prompt; ``row = prompt * repeats + j``.
        steps: Most tokens to generate.
        choice: Chooses every token.
        config: From `decoding_config`.
    """
    config = copy.deepcopy(config)
    config.max_new_tokens = steps
    with _generation_config(model, config), torch.no_grad():
        batch = _collate(model, prompts, config)
        cache = prefill_once(model, batch, config)
        if cache is None:
            repeated = [prompt for prompt in prompts for _ in range(repeats)]
            _generate(model, _collate(model, repeated, config).to_arguments(), choice, config)
        else:
            _continue(model, batch, cache, repeats, choice, config)


def prefill_once(model: PreTrainedModel, batch: PromptBatch, config: GenerationConfig) -> Any | None:
    """Read each prompt but its last token once, images included.

    The first step of ``generate`` then reads the last prompt token in every row. This saves nearly ``repeats``-fold
    where prompts are long.

    Returns:
        What the model remembers, one row a prompt, or None where it cannot be had: the model keeps none or one that
        cannot be repeated (a warning says so), or a prompt has a single token.
    """
    # A row that holds padding only has nothing to attend to. The images must all come before the last token.
    if int(batch.mask.sum(dim=1).min()) < 2 or bool((batch.ids[:, -1] == _image_token(model)).any()):
        return None
    cache = None
    # Mamba and its like take their memory under another name.
    if config.use_cache is not False and "past_key_values" in inspect.signature(model.forward).parameters:
        once = copy.deepcopy(config)
        once.max_new_tokens, once.min_new_tokens, once.return_dict_in_generate = 1, 0, True
        # By way of generate, which knows each model's positions and kind of cache. The token it chooses is not read.
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
    model: PreTrainedModel, batch: PromptBatch, cache: Any, repeats: int, choice: SeededChoice, config: GenerationConfig
) -> None:
    """Go on from what was read once, in all rows: with one copy of it where the model allows, else one a row."""
    rows = torch.arange(len(batch.ids), device=batch.ids.device).repeat_interleave(repeats)
    _repeat_position_offsets(model, rows)
    arguments: dict[str, Any] = {"input_ids": batch.ids[rows], "attention_mask": batch.mask[rows]}
    shared = share_prompts(model, cache)
    if shared is not None:
        try:
            with shared_attention(model):
                _generate(model, {**arguments, "past_key_values": shared}, choice, config)
            return
        except SharedPromptUnsupportedError:
            pass
    # Unlike batch_repeat_interleave, this also repeats the states of linear attention.
    cache.reorder_cache(rows)
    _generate(model, {**arguments, "past_key_values": cache}, choice, config)


def _generate(
    model: PreTrainedModel, arguments: dict[str, Any], choice: SeededChoice | None, config: GenerationConfig
) -> Any:
    from transformers import LogitsProcessorList

    generate: Any = getattr(model, "generate")  # noqa: B009 - PreTrainedModel is typed without it
    processors = LogitsProcessorList([] if choice is None else [choice])
    return generate(**arguments, generation_config=config, logits_processor=processors)


def _collate(model: PreTrainedModel, prompts: Sequence[Prompt], config: GenerationConfig) -> PromptBatch:
    device = model.device
    if device.type == "meta":
        # Weights that accelerate fetches from memory or disk when they are needed, and to where.
        hook: Any = model._hf_hook
        device = torch.device(hook.execution_device)
    return collate(prompts, int(config.pad_token_id or 0), device, model.dtype)


def _image_token(model: PreTrainedModel) -> int:
    token = getattr(model.config, "image_token_id", None)
    return -1 if token is None else int(token)


def _repeat_position_offsets(model: PreTrainedModel, rows: Tensor) -> None:
    """Repeat what Qwen's vision-language models and their like remember of each prompt beside the cache.

    An image takes fewer positions than it has tokens there, so positions after it lag behind: ``rope_deltas``,
    [prompts, 1], which the model keeps from one forward to the next.
    """
    for module in model.modules():
        offsets = getattr(module, "rope_deltas", None)
        if isinstance(offsets, Tensor):
            module.rope_deltas = offsets[rows.to(offsets.device)]


def _pad_id(config: GenerationConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    ends = eos_ids(config)
    for candidate in (config.pad_token_id, tokenizer.pad_token_id, *ends):
        if candidate is not None:
            return int(candidate)
    # Padding is masked, and without an end token no row is filled up: any token will do.
    return 0


@contextmanager
def _generation_config(model: PreTrainedModel, config: GenerationConfig) -> Iterator[None]:
    """Lend the model a generation config: ``generate`` fills what the given one leaves at None from the model's."""
    original = model.generation_config
    model.generation_config = config
    try:
        yield
    finally:
        model.generation_config = original
