"""Tiny random models, and reference results computed one row at a time without padding."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.outcome import Sampled
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question

PAD, BOS, EOS, UNK = range(4)
VOCABULARY = 100
NUM_LAYERS = 3
PLAIN = PromptSettings(template="{question}")


def make_tokenizer(pad_token: str | None = "<pad>") -> PreTrainedTokenizerFast:
    """Words w4 .. w99 by their ids, after a BOS token: texts and ids determine each other."""
    words = ["<pad>", "<bos>", "<eos>", "<unk>", *(f"w{i}" for i in range(4, VOCABULARY))]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", BOS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>", pad_token=pad_token
    )


def make_llama(eos_bias: float = -1e4, seed: int = 0, **options) -> LlamaForCausalLM:
    """A random Llama with a bias on its scores: never a special token, except the end token as often as asked for."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        num_hidden_layers=NUM_LAYERS,
        max_position_embeddings=128,
        initializer_range=0.15,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        **{**sizes, **options},
    )
    model = LlamaForCausalLM(config)
    bias_scores(model, eos_bias)
    return model.eval()


def bias_scores(model: nn.Module, eos_bias: float) -> None:
    head = nn.Linear(model.lm_head.in_features, VOCABULARY)
    with torch.no_grad():
        # Larger differences between the scores make some tokens likely and others unlikely.
        head.weight.copy_(3 * model.lm_head.weight)
        head.bias.zero_()
        head.bias[[PAD, BOS, UNK]] = -1e4
        head.bias[EOS] = eos_bias
    model.lm_head = head


def make_questions(count: int, seed: int = 0) -> list[Question]:
    """Questions whose prompts have 2 to 12 words."""
    generator = torch.Generator().manual_seed(seed)
    questions = []
    for i in range(count):
        length = 2 + (5 * i) % 11
        words = torch.randint(4, VOCABULARY, (length,), generator=generator).tolist()
        questions.append(Question(id=f"q{i}", question=" ".join(f"w{word}" for word in words)))
    return questions


def word_ids(text: str) -> list[int]:
    return [int(word[1:]) for word in text.split()]


def prompt_ids(question: Question) -> list[int]:
    return [BOS, *word_ids(question.question)]


@torch.no_grad()
def reference_states(model: nn.Module, prompt: list[int], answer: list[int], layers: list[int]) -> list[Tensor]:
    """Each layer's states at the answer's tokens, [tokens, d], or at the prompt's last token if the answer is empty."""
    output = model(input_ids=torch.tensor([prompt + answer]), output_hidden_states=True)
    return [output.hidden_states[layer + 1][0, len(prompt) if answer else -1 :] for layer in layers]


@torch.no_grad()
def reference_logprob(model: nn.Module, prompt: list[int], answer: list[int]) -> float:
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0].double()
    table = logits.log_softmax(dim=-1)[len(prompt) - 1 : -1]
    return float(table.gather(1, torch.tensor(answer)[:, None]).sum())


def sample_in_batches(sampler: HuggingFaceSampler, questions: list[Question], size: int) -> list[Sampled]:
    batches = [questions[i : i + size] for i in range(0, len(questions), size)]
    return [sampled for batch in batches for sampled in sampler.sample(batch)]


def row_texts(sampled: Sampled) -> list[str]:
    """All N + 1 texts in the order of the rows, the greedy one first."""
    return [sampled.record.greedy, *sampled.record.answers]


def row_vectors(sampled: Sampled, layer: int) -> Tensor:
    answers, greedy = sampled.vectors[layer]
    return torch.cat([greedy[None], answers])
