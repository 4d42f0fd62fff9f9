"""Two tiny chat models of the Llama architecture, trained from scratch on the toy world in seconds on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.testbed.mentions import corpus, wordings
from sgpu_lightning.testbed.tokenizer import make_tokenizer
from sgpu_lightning.testbed.toy_training import encode, train
from sgpu_lightning.testbed.world import make_world

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

Size = Literal["small", "large"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Architecture and training settings of a model.

    Args:
        hidden_size: Width of the hidden states.
        layers: Number of decoder layers.
        heads: Attention heads in each layer.
        learning_rate: Peak learning rate of AdamW.
        steps: Number of training steps, chosen so that more than half of the greedy answers are right, but far from
            all.
    """

    hidden_size: int
    layers: int
    heads: int
    learning_rate: float
    steps: int


RECIPES: dict[str, Recipe] = {
    "small": Recipe(hidden_size=64, layers=2, heads=4, learning_rate=6e-3, steps=450),
    "large": Recipe(hidden_size=96, layers=3, heads=4, learning_rate=4e-3, steps=540),
}


def build_language_model(folder: Path, *, size: Size, steps: int | None = None, seed: int = 0) -> Path:
    """Train a toy model on the corpus of `make_world(seed)` and save it with its tokenizer.

    Load it like any other model, with ``AutoModelForCausalLM.from_pretrained(folder)`` and
    ``AutoTokenizer.from_pretrained(folder)``, and prompt it through ``apply_chat_template``. The same arguments give
    the same weights whatever the number of cores; the caller's random state is not changed.

    Args:
        folder: Folder to save to; created if it does not exist.
        size: ``small`` or ``large``; they differ in width, depth and training time.
        steps: Number of training steps; None for the default of the size. Fewer steps give a less accurate model.
        seed: Random seed of the world, the corpus, the initial weights and the training order.

    Returns:
        The folder.

    Raises:
        SGPUError: If ``size`` is unknown or ``steps`` is below 1.
    """
    import torch

    if size not in RECIPES:
        raise SGPUError(f"size: expected one of {', '.join(RECIPES)}, got {size!r}")
    recipe = RECIPES[size]
    steps = recipe.steps if steps is None else steps
    if steps < 1:
        raise SGPUError(f"steps: expected at least 1, got {steps}")
    world = make_world(seed)
    tokenizer = make_tokenizer(wordings(world))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make_model(recipe, tokenizer)
        train(model, encode(corpus(world), tokenizer), recipe.learning_rate, steps)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Make an untrained float32 model for the tokenizer's vocabulary; weights are drawn from torch's random state."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=2 * recipe.hidden_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=128,
        # A model this narrow trains several times faster from weights larger than the usual 0.02.
        initializer_range=0.06,
        dtype="float32",
        # transformers copies these into the generation settings, which end and pad answers with them.
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)
