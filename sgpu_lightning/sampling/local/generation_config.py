"""The generation config under which ``generate`` leaves sampling and stopping to us."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from sgpu_lightning.errors import SamplingError

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

# Fields that are set to None. `TokenSelector` selects the tokens, and only the end token and the length limit end an
# answer. ``min_length`` counts the padding, so with it an answer would depend on the rest of its batch.
_CLEARED = (
    *("temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"),
    *("max_length", "min_length", "max_time", "stop_strings", "forced_eos_token_id", "renormalize_logits"),
    *("cache_implementation", "cache_config", "prefill_chunk_size", "output_scores", "output_logits"),
    *("output_attentions", "output_hidden_states", "return_dict_in_generate"),
)


def decoding_config(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Copy the model's generation config, without its settings for sampling and stopping.

    The settings that change the scores (repetition penalty, suppressed tokens) and the end tokens are kept. If the
    config names no end token, the tokenizer's is used.

    Args:
        model: The model whose generation config is copied.
        tokenizer: Its tokenizer.

    Raises:
        SamplingError: If the config asks for beam search or another method that does not decode token by token.
    """
    config: Any = copy.deepcopy(model.generation_config)
    if (config.num_beams or 1) > 1:
        raise SamplingError(
            f"num_beams: expected 1, got {config.num_beams} in the model's generation config: "
            "beam search does not sample; set model.generation_config.num_beams = 1"
        )
    mode = config.get_generation_mode().value.replace("_", " ")
    if (config.guidance_scale or 1) != 1:
        mode = "guidance"
    if mode not in ("greedy search", "sample"):
        raise SamplingError(
            f"expected a generation config that decodes token by token, got one that asks for {mode}: "
            "change model.generation_config"
        )
    if config.stop_strings:
        warnings.warn(
            f"the generation config's stop strings are ignored: {config.stop_strings!r}; answers may continue after "
            "them",
            stacklevel=3,
        )
    for name in _CLEARED:
        setattr(config, name, None)
    config.do_sample = False
    config.num_return_sequences = 1
    if config.eos_token_id is None:
        config.eos_token_id = tokenizer.eos_token_id
    config.pad_token_id = _pad_id(config, tokenizer)
    return cast("GenerationConfig", config)


def eos_ids(config: GenerationConfig) -> list[int]:
    """The tokens that end an answer, as a list, whether the config names none, one or several."""
    ids = config.eos_token_id
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


@contextmanager
def using_generation_config(model: PreTrainedModel, config: GenerationConfig) -> Iterator[None]:
    """Replace the model's generation config within the block.

    ``generate`` fills every field that is None in the config it is given from the model's own config, which would
    bring back the fields that were cleared.
    """
    original = model.generation_config
    model.generation_config = config
    try:
        yield
    finally:
        model.generation_config = original


def _pad_id(config: GenerationConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    for candidate in (config.pad_token_id, tokenizer.pad_token_id, *eos_ids(config)):
        if candidate is not None:
            return int(candidate)
    # Any token will do: padding is masked, and without an end token no row ends before the others and is padded.
    return 0
