"""Answers from a server that speaks OpenAI's protocol: vLLM, TGI, Ollama, llama.cpp, transformers serve, vendors."""

from __future__ import annotations

import asyncio
import hashlib
import warnings
from collections.abc import Awaitable, Generator, Sequence
from typing import Any

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.recording.hooks import TokenRule
from sgpu_lightning.sampling.sampled_answers import Sampled
from sgpu_lightning.sampling.sampler import Failed, Outcome
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.sampling.server.client import ApiClient, RequestFailedError
from sgpu_lightning.sampling.server.content import build_messages
from sgpu_lightning.sampling.server.in_flight import in_flight
from sgpu_lightning.sampling.server.reply import Choice, Reply
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question

_SUSPICIOUS = 10  # questions


class ApiSampler:
    """Asks a model behind a server: N sampled answers and the greedy one. A `Sampler` without hidden states.

    The greedy answer is a request at temperature 0, the sampled ones are one request for N answers, or as many
    requests as it takes where the server gives fewer.

    Args:
        client: Where and how requests are sent; see `ApiSampler.connect`.
        settings: How answers are drawn; None: the defaults. ``top_k``, which OpenAI's protocol does not have, is sent
            as a field of that name: many servers know it, others refuse it, and some pass over it.
        prompt: How a question is put to the model; None: the defaults. The chat template is the server's;
            ``chat_options`` go to it as ``chat_template_kwargs``.

    Raises:
        SamplingError: If the prompt's style is ``plain``.
    """

    revision: str | None = None
    layers: tuple[int, ...] = ()
    num_layers = 0
    token: TokenRule = "last"

    def __init__(
        self, client: ApiClient, settings: SamplingSettings | None = None, *, prompt: PromptSettings | None = None
    ) -> None:
        self.client = client
        self.model_name = client.model
        self.settings = settings or SamplingSettings()
        self.prompt = prompt or PromptSettings()
        if self.prompt.style == "plain":
            raise SamplingError("style: expected 'auto' or 'chat', got 'plain': a server puts its chat template around")

    def answer(self, questions: Sequence[Question]) -> Generator[Outcome, None, None]:
        """Ask the questions; ``concurrency`` requests are in flight until the last ones.

        Yields:
            An outcome for each question as it comes: `Sampled`, or `Failed` with the reason.

        Raises:
            SamplingError: If the server cannot be asked at all.
        """
        alike = 0
        for outcome in in_flight(self.client, self._ask, questions):
            if isinstance(outcome, Sampled):
                same = set(outcome.record.answers) == {outcome.record.greedy}
                alike = alike + 1 if same and alike >= 0 else -1
            yield outcome
        if alike >= _SUSPICIOUS:
            warnings.warn(
                f"all sampled answers to all {alike} questions equal the greedy ones: does the server sample? "
                "Some draw nothing unless their model's generation config says so; see docs/api.md",
                stacklevel=2,
            )

    def describe(self) -> dict[str, Any]:
        """Who is asked and how, as JSON-ready keys and values, for the store's manifest.

        The server's address is not among them: a model that moved to another port is the same.
        """
        return {
            "backend": "api",
            "model": self.model_name,
            "settings": self.settings.to_dict(),
            "prompt": self.prompt.to_dict(),
            "send_seed": self.client.settings.send_seed,
            "extra_body": dict(self.client.settings.extra_body),
        }

    async def _ask(self, question: Question) -> Outcome:
        try:
            messages = build_messages(question, self.prompt, allow_urls=self.client.settings.allow_urls)
        except SamplingError as error:  # of this question, not of the server
            return Failed(question, str(error))
        greedy, sampled = await asyncio.gather(
            self._greedy(question, messages), self._sampled(question, messages), return_exceptions=True
        )
        for found in (greedy, sampled):
            if isinstance(found, RequestFailedError):
                return Failed(question, f"question '{question.id}': {found}")
            if isinstance(found, BaseException):
                raise found
        assert isinstance(greedy, Reply)
        assert isinstance(sampled, list)
        self.client.answered = True
        return Sampled(self._record(question, greedy, sampled), {})

    async def _greedy(self, question: Question, messages: list[dict[str, Any]]) -> Reply:
        return await self.client.chat(self._body(question, messages, 0) | {"temperature": 0.0})

    async def _sampled(self, question: Question, messages: list[dict[str, Any]]) -> list[Choice]:
        """The N sampled answers; those that a request did not give are asked for again."""
        wanted = self.settings.num_answers
        found: list[Choice] = []
        asked = 0
        while len(found) < wanted:
            requests = []
            for count in self.client.dialect.split(wanted - len(found)):
                body = self._body(question, messages, asked + 1) | self._drawing() | {"n": count}
                requests.append(self.client.chat(body))
                asked += count
            for reply in await _all(requests):
                found += reply.choices
        return found[:wanted]

    def _body(self, question: Question, messages: list[dict[str, Any]], number: int) -> dict[str, Any]:
        body: dict[str, Any] = {"messages": messages, "max_tokens": self.settings.max_new_tokens}
        if self.prompt.chat_options:
            body["chat_template_kwargs"] = self.prompt.chat_options
        if self.client.settings.send_seed:
            body["seed"] = answer_seed(self.settings.seed, question.id, number)
        return body

    def _drawing(self) -> dict[str, Any]:
        settings = self.settings
        fields = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
        return {name: value for name, value in fields.items() if value is not None}

    def _record(self, question: Question, reply: Reply, sampled: Sequence[Choice]) -> AnswerSet:
        greedy = reply.choices[0]
        meta: dict[str, Any] = {"cut": sum(choice.cut for choice in (greedy, *sampled))}
        if all(choice.tokens is not None for choice in (greedy, *sampled)):
            meta |= {"answer_tokens": [choice.tokens for choice in sampled], "greedy_tokens": greedy.tokens}
        if greedy.logprob is not None:
            meta["greedy_logprob"] = greedy.logprob
        if reply.served_model not in (None, self.model_name):
            meta["served_model"] = reply.served_model
        logprobs = tuple(choice.logprob for choice in sampled if choice.logprob is not None)
        return AnswerSet(
            id=question.id,
            question=question.question,
            context=question.context,
            gold=question.gold,
            group=question.group,
            greedy=greedy.text,
            answers=tuple(choice.text for choice in sampled),
            logprobs=logprobs if len(logprobs) == len(sampled) else None,
            model=self.model_name,
            modality="text" if question.image is None else "image",
            image=question.image,
            meta=meta,
        )


def answer_seed(seed: int, question_id: str, number: int) -> int:
    """The seed of one answer's request, below 2^31, which every server's integers hold.

    Args:
        seed: The sampling seed.
        question_id: The question's id.
        number: 0 for the greedy answer, the number of the request's first sampled answer otherwise.
    """
    digest = hashlib.sha256(f"{seed}\n{number}\n{question_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


async def _all(requests: Sequence[Awaitable[Reply]]) -> list[Reply]:
    """All replies, or the first error once no request is left in flight."""
    replies: list[Reply] = []
    for reply in await asyncio.gather(*requests, return_exceptions=True):
        if isinstance(reply, BaseException):
            raise reply
        replies.append(reply)
    return replies
