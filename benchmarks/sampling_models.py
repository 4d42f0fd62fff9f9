"""Models with random weights for `benchmarks/sampling.py`, small ones and ones of the size of real models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from sgpu_lightning.sampling.images import load_image
from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.local.loading import without_video
from sgpu_lightning.sampling.local.prompt import build_prompt
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.testbed.tokenizer import make_tokenizer

ANSWERS, NEW_TOKENS = 10, 8
WORDS = [f"word{i}" for i in range(2000)]
PLAIN = PromptSettings(style="plain", template="{question}")
SMALL = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8}
LLAMA_3_8B = {
    **{"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
    **{"num_key_value_heads": 8, "vocab_size": 128256},
}
# Keyed by their names in Qwen's config.
QWEN_TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}


@dataclass(frozen=True)
class Setting:
    """A model and a question.

    Args:
        name: Name in the table.
        model: The model.
        encoder: Its tokenizer or processor.
        question: The question.
        tokens: Number of tokens of the prompt, or of the image if there is one.
    """

    name: str
    model: Any
    encoder: Any
    question: Question
    tokens: int

    def sampler(self, layers: list[int], new_tokens: int = NEW_TOKENS) -> HuggingFaceSampler:
        """Make the package's sampler, with the question as the whole prompt."""
        settings = SamplingSettings(num_answers=ANSWERS, max_new_tokens=new_tokens)
        return HuggingFaceSampler(self.model, self.encoder, settings, layers=layers, prompt=PLAIN)

    def plain(self, **options: Any) -> Any:
        """Call `generate` once, including the decoding and preprocessing of the image."""
        if self.question.image is None:
            inputs = self.encoder(self.question.question, return_tensors="pt", return_token_type_ids=False)
        else:
            text, image = build_prompt(self.question, self.encoder, PLAIN), load_image(self.question)
            inputs = self.encoder(text=[text], images=[image], return_tensors="pt", return_token_type_ids=False)
            inputs = inputs.to(self.model.dtype)
        inputs = inputs.to(self.model.device)
        with torch.no_grad():
            given = self.model.generate(**inputs, max_new_tokens=NEW_TOKENS, **options)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return given

    def greedy(self) -> Any:
        """Generate a greedy answer by a plain call."""
        return self.plain(do_sample=False)

    def greedy_and_sampled(self) -> None:
        """Generate what the sampler generates by two plain calls."""
        self.greedy()
        self.plain(do_sample=True, top_k=0, num_return_sequences=ANSWERS)


def text_of(count: int) -> str:
    """Draw a text of ``count`` words, each of which is one token."""
    order = torch.randint(len(WORDS), (count,), generator=torch.Generator().manual_seed(0), device="cpu").tolist()
    return " ".join(WORDS[i] for i in order)


def special_ids(tokenizer: Any) -> dict[str, Any]:
    """Look up the ids of the special tokens, by their names in a config."""
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}


def never_ending(model: Any, tokenizer: Any) -> Any:
    """Suppress the end token, so that every answer takes the same number of steps."""
    model.generation_config.update(suppress_tokens=[tokenizer.eos_token_id], **special_ids(tokenizer))
    return model.eval()


def llama(name: str, tokens: list[int], **sizes: Any) -> list[Setting]:
    """Make a Llama with random weights, and a question for each number of tokens."""
    tokenizer = make_tokenizer(WORDS)
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 4096} | sizes | special_ids(tokenizer)
    config = LlamaConfig(**sizes)
    model = never_ending(LlamaForCausalLM(config), tokenizer)
    extra = len(tokenizer("").input_ids)
    return [
        Setting(name, model, tokenizer, Question(id="q", question=text_of(count - extra)), count) for count in tokens
    ]


def llava(folder: Path) -> Setting:
    """Make a LLaVA whose images take 576 tokens, as in LLaVA 1.5."""
    tokenizer = make_tokenizer(WORDS)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    text = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=4096, **SMALL, **special_ids(tokenizer))
    vision = CLIPVisionConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, image_size=336, patch_size=14
    )
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_id=image_id, vision_feature_layer=-1)
    )
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    question = Question(id="q", question=text_of(16), image=picture(folder, 336, 336))
    return Setting("tiny LLaVA, 8 layers x 512", never_ending(model, tokenizer), processor, question, 576)


def qwen_vl(name: str, folder: Path, tokens: list[int]) -> list[Setting]:
    """Make a Qwen2.5-VL of the size of the 7B model, and an image for each number of tokens."""
    tokenizer = make_tokenizer(WORDS)
    tokenizer.add_tokens(list(QWEN_TOKENS.values()), special_tokens=True)
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in QWEN_TOKENS.items()}
    text = {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28}
    text |= {"num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768}
    text |= {"rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}}
    vision = {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420, "out_hidden_size": 3584}
    config = Qwen2_5_VLConfig(text_config=text | special_ids(tokenizer), vision_config=vision, **ids)
    model = never_ending(Qwen2_5_VLForConditionalGeneration(config), tokenizer)
    processor = without_video(Qwen2_5_VLProcessor)(
        Qwen2VLImageProcessorPil(size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * max(tokens)}),
        tokenizer,
        None,
    )
    images = [picture(folder, 28 * 16, 28 * (count // 16)) for count in tokens]
    questions = [Question(id="q", question=text_of(16), image=image) for image in images]
    return [Setting(name, model, processor, *pair) for pair in zip(questions, tokens, strict=True)]


def picture(folder: Path, height: int, width: int) -> str:
    """Save an image of noise.

    Returns:
        The image's path.
    """
    pixels = torch.randint(
        256, (height, width, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8, device="cpu"
    )
    path = folder / f"{height}x{width}.png"
    Image.fromarray(pixels.numpy()).save(path)
    return str(path)


@contextmanager
def on_gpu() -> Iterator[None]:
    """Create new models with bfloat16 weights on the GPU."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda"):
            yield
    finally:
        torch.set_default_dtype(before)
