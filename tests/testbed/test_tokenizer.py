from __future__ import annotations

import pytest

from sgpu_lightning.testbed import corpus, make_world
from sgpu_lightning.testbed.mentions import wordings
from sgpu_lightning.testbed.tokenizer import chat, make_tokenizer
from sgpu_lightning.testbed.toy_training import encode

WORLD = make_world()


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(wordings(WORLD))


def test_every_wording_round_trips_without_an_unknown_word(tokenizer):
    texts = sorted(set(wordings(WORLD)))
    ids = tokenizer(texts)["input_ids"]
    assert tokenizer.unk_token_id not in {token for row in ids for token in row}
    assert tokenizer.batch_decode(ids) == texts


def test_the_corpus_uses_no_other_wordings():
    assert {text for m in corpus(WORLD) for text in (m.question, m.answer)} <= set(wordings(WORLD))


def test_a_word_from_elsewhere_is_unknown(tokenizer):
    assert tokenizer.convert_ids_to_tokens(tokenizer("Where was Beethoven born?")["input_ids"])[2] == "<unk>"


def test_the_prompt_ends_where_the_answer_begins(tokenizer):
    messages = [{"role": "user", "content": "Where was Anna Keller born?"}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert prompt == "<bos><user>Where was Anna Keller born?<assistant>"
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert ids == tokenizer(prompt)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids)[-2:] == ["?", "<assistant>"]


def test_a_system_message_is_left_out(tokenizer):
    question = {"role": "user", "content": "Where was Anna Keller born?"}
    system = {"role": "system", "content": "Answer briefly."}
    with_system, without = (tokenizer.apply_chat_template(m, tokenize=False) for m in ([system, question], [question]))
    assert with_system == without


def test_prompts_are_padded_on_the_left(tokenizer):
    rows = tokenizer(["What is the first language of Anna Keller?", "Where was"], padding=True)["input_ids"]
    assert rows[1][0] == tokenizer.pad_token_id != rows[1][-1]


def test_only_the_answer_and_its_end_are_learned(tokenizer):
    mentions = corpus(WORLD)[:50]
    tokens, targets = encode(mentions, tokenizer)
    for mention, row, target in zip(mentions, tokens, targets, strict=True):
        assert tokenizer.decode(target[target >= 0]) == f"{mention.answer}<eos>"
        whole = tokenizer(tokenizer.apply_chat_template(chat(mention), tokenize=False))["input_ids"]
        assert row[: len(whole) - 1].tolist() == whole[:-1]
