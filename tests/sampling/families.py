"""The six families of configs/sample as tiny random models of the same classes, with processors built offline."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from sgpu_lightning.sampling.local.loading import without_video
from sgpu_lightning.tasks.question import Question

WORDS = range(4, 100)
SPECIAL = (
    *("<image>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|im_start|>", "<|im_end|>"),
    *("<fake_token_around_image>", "<end_of_utterance>", "<global-img>", "USER:", "ASSISTANT:", "user", "assistant"),
    *("\n", "system", *(f"<row_{i}_col_{j}>" for i in (1, 2, 3) for j in (1, 2, 3))),
)
ID = {name: 100 + i for i, name in enumerate(SPECIAL)} | {"<pad>": 0, "<bos>": 1, "<eos>": 2, "<unk>": 3}
VOCABULARY = 100 + len(SPECIAL)
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.15,
    "pad_token_id": ID["<pad>"],
    "bos_token_id": ID["<bos>"],
    "eos_token_id": ID["<eos>"],
    "tie_word_embeddings": False,
}
VISION: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.15}
# The templates of the models on the hub, without words that the tiny tokenizer does not know.
LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' ' }}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IDEFICS_TEMPLATE = (
    "<bos>{% for message in messages %}{{ message['role'].upper() + ':' }}{% for line in message['content'] %}"
    "{% if line['type'] == 'text' %}{{ line['text'] }}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def make_tokenizer(chat_template: str | None = None, *, adds_bos: bool = True) -> PreTrainedTokenizerFast:
    """Words w4 .. w99 by their ids, and the special tokens of all families."""
    vocabulary = ID | {f"w{i}": i for i in WORDS}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split(Regex("\n"), "isolated")]
    )
    if adds_bos:
        core.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", ID["<bos>"])])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        pad_token="<pad>",
        additional_special_tokens=[name for name in SPECIAL if name.startswith("<")],
        chat_template=chat_template,
    )


def bias_scores(model: nn.Module, eos_bias: float) -> None:
    """Allow words only, some more likely than others, and the end token as often as asked for."""
    head = nn.Linear(model.lm_head.in_features, VOCABULARY)
    with torch.no_grad():
        head.weight.copy_(3 * model.lm_head.weight)
        head.bias.fill_(-1e4)
        head.bias[list(WORDS)] = 0.0
        head.bias[ID["<eos>"]] = eos_bias
    model.lm_head = head


def llama() -> tuple[Any, Any]:
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0}
    rope |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    return LlamaForCausalLM(LlamaConfig(rope_parameters=rope, **SIZES)), make_tokenizer()


def mistral() -> tuple[Any, Any]:
    return MistralForCausalLM(MistralConfig(sliding_window=None, head_dim=8, **SIZES)), make_tokenizer()


def qwen() -> tuple[Any, Any]:
    return Qwen2ForCausalLM(Qwen2Config(**SIZES)), make_tokenizer(adds_bos=False)


def llava() -> tuple[Any, Any]:
    vision = CLIPVisionConfig(hidden_size=16, intermediate_size=24, image_size=28, patch_size=14, **VISION)
    config = LlavaConfig(vision_config=vision, text_config=LlamaConfig(**SIZES), image_token_id=ID["<image>"])
    tiny = {"height": 28, "width": 28}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=tiny),
        make_tokenizer(),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    return LlavaForConditionalGeneration(config), processor


def qwen_vl() -> tuple[Any, Any]:
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": 32}
    vision |= {"fullatt_block_indexes": [1], "initializer_range": 0.15}
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    tokens = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    tokens |= {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    config = Qwen2_5_VLConfig(
        text_config={"rope_parameters": rope, **SIZES},
        vision_config=vision,
        **{f"{name}_token_id": ID[token] for name, token in tokens.items()},
    )
    processor = without_video(Qwen2_5_VLProcessor)(
        Qwen2VLImageProcessorPil(size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 16}),
        make_tokenizer(adds_bos=False),
        None,
        chat_template=QWEN_TEMPLATE,
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


def idefics() -> tuple[Any, Any]:
    vision = {"hidden_size": 16, "intermediate_size": 24, "image_size": 28, "patch_size": 7, **VISION}
    config = Idefics3Config(
        vision_config=vision,
        text_config={"model_type": "llama", **SIZES},
        image_token_id=ID["<image>"],
        scale_factor=2,
        pad_token_id=ID["<pad>"],
        tie_word_embeddings=False,
    )
    processor = Idefics3Processor(
        Idefics3ImageProcessorPil(size={"longest_edge": 56}, max_image_size={"longest_edge": 28}),
        make_tokenizer(),
        image_seq_len=4,
        chat_template=IDEFICS_TEMPLATE,
    )
    return Idefics3ForConditionalGeneration(config), processor


TEXT = {"llama-3.1": llama, "mistral": mistral, "qwen2.5": qwen}
VISION_LANGUAGE = {"llava-1.5": llava, "qwen2.5-vl": qwen_vl, "idefics3": idefics}
FAMILIES = TEXT | VISION_LANGUAGE


@cache
def family(name: str, eos_bias: float = 1.0) -> tuple[Any, Any]:
    """A family's tiny model and its tokenizer or processor. Tests share them and must not change them."""
    torch.manual_seed(0)
    model, encoder = FAMILIES[name]()
    bias_scores(model, eos_bias)
    model.generation_config.update(eos_token_id=ID["<eos>"], pad_token_id=ID["<pad>"], bos_token_id=ID["<bos>"])
    return model.eval(), encoder


def write_image(path: Path, height: int, width: int, seed: int) -> str:
    """A picture of coloured noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def make_questions(folder: Path, *, images: bool) -> list[Question]:
    """Questions of several lengths; if with images, these have several shapes, and one question has none."""
    shapes = [(30, 40), (90, 30), None, (60, 60), (40, 100)] if images else [None] * 5
    questions = []
    for i, shape in enumerate(shapes):
        words = torch.randint(4, 100, (2 + (5 * i) % 11,), generator=torch.Generator().manual_seed(i)).tolist()
        image = None if shape is None else write_image(folder / f"{i}.png", *shape, seed=i)
        questions.append(Question(id=f"q{i}", question=" ".join(f"w{word}" for word in words), image=image))
    return questions


def plain_inputs(question: Question, encoder: Any) -> dict[str, Any]:
    """The inputs that transformers itself prepares for a question, as its documentation shows."""
    if not hasattr(encoder, "image_processor"):
        return dict(encoder(question.question, return_tensors="pt", return_token_type_ids=False))
    content: list[dict[str, Any]] = [{"type": "text", "text": question.question}]
    if question.image is not None:
        content.insert(0, {"type": "image", "image": Image.open(question.image)})
    given = encoder.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    return {name: table for name, table in given.items() if name != "token_type_ids"}


@torch.no_grad()
def lone_states(model: Any, inputs: dict[str, Any], answer: list[int]) -> list[torch.Tensor]:
    """The states of all blocks, in one forward, at the answer's last token, or at the prompt's if it is empty."""
    answers = torch.tensor([answer], dtype=torch.long)
    more = {"input_ids": answers, "attention_mask": torch.ones_like(answers)}
    more["mm_token_type_ids"] = torch.zeros_like(answers)
    longer = {name: torch.cat([table, more[name]], 1) if name in more else table for name, table in inputs.items()}
    return [states[0, -1] for states in model(**longer, output_hidden_states=True).hidden_states[1:]]
