"""Processor of the toy vision-language model: converts texts and images to LLaVA's token ids and pixel values."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from sgpu_lightning.tasks.digits import ANSWER_WEIGHTS, IMAGE_SIZE, QUESTIONS, DigitImages, phrasings
from sgpu_lightning.testbed.tokenizer import ASSISTANT, USER, make_tokenizer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LlavaProcessor

IMAGE = "<image>"
PATCH_SIZE = 8
IMAGE_TOKENS = (IMAGE_SIZE // PATCH_SIZE) ** 2
_HALF = 0.5  # mean and standard deviation of the normalisation, which maps grey values to [-1, 1]

# The content of a message is a text or a list of parts. System messages are omitted: the model was not trained on any.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] in ('user', 'assistant') %}"
    f"{{{{ '{USER}' if message['role'] == 'user' else '{ASSISTANT}' }}}}"
    "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
    f"{{% for part in message['content'] %}}{{{{ '{IMAGE}' if part['type'] == 'image' else part['text'] | trim }}}}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endif %}{% endfor %}"
    f"{{% if add_generation_prompt %}}{ASSISTANT}{{% endif %}}"
)


def make_processor() -> LlavaProcessor:
    """Build LLaVA's processor for digits offline, from a word-level tokenizer and CLIP's Pillow image processor."""
    from transformers import LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = make_tokenizer([*QUESTIONS, *(text for digit in range(10) for text in phrasings(digit))])
    tokenizer.add_special_tokens({"additional_special_tokens": [USER, ASSISTANT, IMAGE]})
    tokenizer.chat_template = CHAT_TEMPLATE
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = CLIPImageProcessorPil(size=size, crop_size=size, image_mean=[_HALF] * 3, image_std=[_HALF] * 3)
    return LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        # CLIP's class token, which the feature selection strategy removes.
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def pixel_values(pixels: Tensor) -> Tensor:
    """Normalise images as the image processor does.

    Args:
        pixels: Grey values, uint8 [n, 24, 24].

    Returns:
        Pixel values in [-1, 1], float32 [n, 3, 24, 24].
    """
    values = (pixels.float() / 255 - _HALF) / _HALF
    return values[:, None].expand(-1, 3, -1, -1)


def conversations(views: DigitImages, seed: int) -> list[list[dict[str, Any]]]:
    """Write a question and its right answer for each image, each in a randomly drawn wording.

    Args:
        views: The degraded images with their digits.
        seed: Random seed of the wordings.

    Returns:
        Messages for ``apply_chat_template``, one conversation for each image.
    """
    rng = random.Random(f"conversations {seed}")
    return [
        [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": rng.choice(QUESTIONS)}]},
            {"role": "assistant", "content": rng.choices(phrasings(int(digit)), ANSWER_WEIGHTS)[0]},
        ]
        for digit in views.digits
    ]
