"""Two tiny vision-language models of the LLaVA architecture, trained from scratch on handwritten digits on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.tasks.digits import IMAGE_SIZE, training_images
from sgpu_lightning.testbed.toy_training import BATCH_SIZE, encode_chats, train
from sgpu_lightning.testbed.vision_processor import (
    IMAGE,
    IMAGE_TOKENS,
    PATCH_SIZE,
    conversations,
    make_processor,
)

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration, LlavaProcessor

Size = Literal["small", "large"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Architecture and training settings of a model.

    Args:
        vision_size: Width of the vision tower.
        vision_layers: Number of layers of the vision tower.
        hidden_size: Width of the decoder's hidden states.
        layers: Number of decoder layers.
        learning_rate: Peak learning rate of AdamW.
        steps: Number of training steps, chosen so that more than half of the greedy answers are right, but far from
            all.
    """

    vision_size: int
    vision_layers: int
    hidden_size: int
    layers: int
    learning_rate: float
    steps: int


RECIPES: dict[str, Recipe] = {
    "small": Recipe(64, 2, 96, 3, learning_rate=2e-3, steps=300),
    "large": Recipe(64, 2, 112, 4, learning_rate=1.2e-3, steps=350),
}
_HEADS = 4


def build_vision_model(folder: Path, *, size: Size, steps: int | None = None, seed: int = 0) -> Path:
    """Train a toy model to read the digits of `training_images` and save it with its processor.

    Load it like any other model, with ``AutoModelForImageTextToText.from_pretrained(folder)`` and
    ``AutoProcessor.from_pretrained(folder)``, and prompt it through ``apply_chat_template``. The same arguments give
    the same weights whatever the number of cores; the caller's random state is not changed.

    Args:
        folder: Folder to save to; created if it does not exist.
        size: ``small`` or ``large``; they differ in width and depth of the decoder.
        steps: Number of training steps; None for the default of the size. Fewer steps give a less accurate model.
        seed: Random seed of the choice of training images, their degradation, the initial weights and the training
            order.

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
    processor = make_processor()
    # Every degraded image is used once, so the model learns how certain one can be and does not memorise the images.
    views = training_images(steps * BATCH_SIZE, seed)
    chats = processor.apply_chat_template(conversations(views, seed), tokenize=False)
    data = encode_chats([chat.replace(IMAGE, IMAGE * IMAGE_TOKENS) for chat in chats], processor.tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make_vision_model(recipe, processor)
        train(model, data, recipe.learning_rate, steps, images=torch.from_numpy(views.pixels))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make_vision_model(recipe: Recipe, processor: LlavaProcessor) -> LlavaForConditionalGeneration:
    """Make an untrained float32 model for the processor's vocabulary; weights are drawn from torch's random state."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    tokenizer = processor.tokenizer
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    vision = CLIPVisionConfig(
        hidden_size=recipe.vision_size,
        intermediate_size=2 * recipe.vision_size,
        num_hidden_layers=recipe.vision_layers,
        num_attention_heads=_HEADS,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=2 * recipe.hidden_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=_HEADS,
        max_position_embeddings=128,
        # A model this narrow trains several times faster from weights larger than the usual 0.02.
        initializer_range=0.06,
        **ends,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        dtype="float32",
        **ends,
    )
    return LlavaForConditionalGeneration(config)
