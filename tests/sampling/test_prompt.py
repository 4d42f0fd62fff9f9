import re

import pytest

from sgpu_lightning.sampling.local.encoding import encode_prompt
from sgpu_lightning.sampling.local.prompt import build_prompt
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question
from tests.sampling.tiny import BOS, EOS, make_tokenizer

QUESTION = Question(id="a", question="Who?")
WITH_CONTEXT = Question(id="b", question="Who?", context="{Anna} came.")
CHAT = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' and strict %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def tokenizer():
    return make_tokenizer()


@pytest.fixture
def chat_tokenizer(tokenizer):
    tokenizer.chat_template = CHAT
    return tokenizer


@pytest.mark.parametrize(
    ("question", "options", "text"),
    [
        (QUESTION, {}, "Q: Who?\nA:"),
        (WITH_CONTEXT, {}, "{Anna} came.\n\nQ: Who?\nA:"),
        (QUESTION, {"system": "Be brief."}, "Be brief.\n\nQ: Who?\nA:"),
        (QUESTION, {"template": "{{x}} {question}"}, "{x} Who?"),
        (WITH_CONTEXT, {"template": "{question} {context}"}, "Who? {Anna} came."),
    ],
)
def test_plain_prompts(tokenizer, question, options, text):
    assert build_prompt(question, tokenizer, PromptSettings(**options)) == text


@pytest.mark.parametrize(
    ("question", "options", "text"),
    [
        (QUESTION, {}, "<bos><user>Who?<assistant>"),
        (WITH_CONTEXT, {}, "<bos><user>{Anna} came.\n\nWho?<assistant>"),
        (QUESTION, {"system": "Be brief."}, "<bos><system>Be brief.<user>Who?<assistant>"),
        (QUESTION, {"template": "Answer: {question}"}, "<bos><user>Answer: Who?<assistant>"),
        (QUESTION, {"style": "plain"}, "Q: Who?\nA:"),
    ],
)
def test_chat_prompts(chat_tokenizer, question, options, text):
    assert build_prompt(question, chat_tokenizer, PromptSettings(**options)) == text


def test_the_bos_token_appears_once(chat_tokenizer):
    chat_tokenizer.chat_template = "{{ bos_token }} {{ messages[0].content }}"
    question = Question(id="a", question="w5 w6")
    chat = encode_prompt(question, chat_tokenizer, PromptSettings())
    plain = encode_prompt(question, chat_tokenizer, PromptSettings(style="plain", template="{question}"))
    assert chat.ids == plain.ids == [BOS, 5, 6]


def test_an_end_token_that_the_tokenizer_adds_is_dropped(tokenizer):
    from tokenizers import processors

    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", BOS), ("<eos>", EOS)]
    )
    question = Question(id="a", question="w5 w6")
    assert encode_prompt(question, tokenizer, PromptSettings(template="{question}")).ids == [BOS, 5, 6]


@pytest.mark.parametrize("way", ["refuses", "passes over"])
def test_without_a_system_role_the_instruction_joins_the_question(chat_tokenizer, way):
    options = {"strict": True} if way == "refuses" else {}
    if way == "passes over":
        chat_tokenizer.chat_template = CHAT.replace("<{{ m.role }}>", "{% if m.role == 'user' %}<user>").replace(
            "{{ m.content }}", "{{ m.content }}{% endif %}"
        )
    settings = PromptSettings(system="Be brief.", chat_options=options)
    assert build_prompt(QUESTION, chat_tokenizer, settings) == "<bos><user>Be brief.\n\nWho?<assistant>"


def test_a_chat_template_that_refuses_the_question_is_reported(chat_tokenizer):
    chat_tokenizer.chat_template = "{{ raise_exception('No users here') }}"
    message = "the chat template refuses a user message: No users here; try style 'plain'"
    with pytest.raises(ValueError, match=message):
        build_prompt(QUESTION, chat_tokenizer, PromptSettings())


def test_chat_style_needs_a_chat_template(tokenizer):
    with pytest.raises(ValueError, match="style: 'chat' needs a tokenizer with a chat template"):
        build_prompt(QUESTION, tokenizer, PromptSettings(style="chat"))


def test_a_template_with_context_needs_one(tokenizer):
    settings = PromptSettings(template="{context} {question}")
    with pytest.raises(
        ValueError, match=re.escape("question 'a': the template '{context} {question}' needs a context")
    ):
        build_prompt(QUESTION, tokenizer, settings)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("Q: {question", "expected '}' before end of string"),
        ("Q:", "with no {question}"),
        ("Q: {question} {text}", "with the unknown field {text}"),
        ("Q: {} {question}", "with the unknown field {}"),
        ("Q: {question:d}", "Unknown format code 'd'"),
    ],
)
def test_misformatted_templates_are_refused(template, problem):
    with pytest.raises(ValueError, match=re.escape(f"got {template!r}") + ".*" + re.escape(problem)):
        PromptSettings(template=template)


def test_an_unknown_style_is_refused():
    with pytest.raises(ValueError, match="style: expected one of auto, chat, plain, got 'dialogue'"):
        PromptSettings(style="dialogue")
