"""A word-level tokenizer with a chat template, so that a toy model is prompted exactly like a real chat model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from sgpu_lightning.testbed.mentions import Mention

PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
USER, ASSISTANT = "<user>", "<assistant>"

# System messages are omitted: the model was not trained on any, and their words would be unknown tokens.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    f"{{% if message['role'] == 'user' %}}{USER}{{{{ message['content'] | trim }}}}"
    f"{{% elif message['role'] == 'assistant' %}}{ASSISTANT}{{{{ message['content'] | trim }}}}{{{{ eos_token }}}}"
    "{% endif %}{% endfor %}"
    f"{{% if add_generation_prompt %}}{ASSISTANT}{{% endif %}}"
)


def make_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Build a tokenizer with one token for each word and each punctuation mark in some texts.

    A space belongs to the word after it, so decoding restores the text exactly.

    Args:
        texts: Texts that hold the whole vocabulary; any other word becomes ``<unk>``.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    words = {word for text in texts for word, _ in split.pre_tokenize_str(text)}
    vocabulary = {token: i for i, token in enumerate([PAD, BOS, EOS, UNK, USER, ASSISTANT, *sorted(words)])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    backend.pre_tokenizer = split
    backend.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        additional_special_tokens=[USER, ASSISTANT],
        padding_side="left",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def chat(mention: Mention) -> list[dict[str, str]]:
    """Convert a mention to messages for ``apply_chat_template``."""
    return [{"role": "user", "content": mention.question}, {"role": "assistant", "content": mention.answer}]
