"""Sampling answers from a server with OpenAI's protocol: vLLM, TGI, Ollama, llama.cpp, transformers serve, vendors."""

from __future__ import annotations

import asyncio
import hashlib
import warnings
from collections.abc import Awaitable, Generator, Sequence
from typing import Any

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.outcome import Failed, Outcome, Sampled
from sgpu_lightning.sampling.sampler_protocol import TokenRule
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.sampling.server.client import ApiClient
from sgpu_lightning.sampling.server.in_flight import in_flight
from sgpu_lightning.sampling.server.messages import build_messages
from sgpu_lightning.sampling.server.reply import Reply, ServerAnswer
from sgpu_lightning.sampling.server.retry import RequestFailedError
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question

# If all sampled answers to all questions equal the greedy ones, warn from this number of questions on.
_WARN_FROM = 10


class ApiSampler:
    """Samples N answers and the greedy answer from a model behind a server. A `Sampler` without hidden states.

    The greedy answer is one request at temperature 0. The sampled answers are one request for N answers, or several
    requests if the server gives fewer.

    Args:
        client: The client that sends the requests.
        settings: How answers are sampled; None: the defaults. OpenAI's protocol has no ``top_k``. It is sent as a field
            of that name, which many servers know, others refuse and some ignore.
        prompt: How a question is put to the model; None: the defaults. The server applies its own chat template;
            ``chat_options`` are passed to it as ``chat_template_kwargs``.

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
            raise SamplingError(
                "style: expected 'auto' or 'chat', got 'plain': a server always applies its chat template"
            )

    def answer(self, questions: Sequence[Question]) -> Generator[Outcome, None, None]:
        """Ask the questions, with ``concurrency`` requests in flight until few are left.

        Args:
            questions: The questions.

        Yields:
            An outcome for each question, in the order in which they arrive: `Sampled`, or `Failed` with the reason.

        Raises:
            SamplingError: If the server cannot be asked at all.
        """
        all_alike = True
        count = 0
        for outcome in in_flight(self.client, self._ask, questions):
            if isinstance(outcome, Sampled):
                all_alike = all_alike and set(outcome.record.answers) == {outcome.record.greedy}
                count += 1
            yield outcome
        if all_alike and count >= _WARN_FROM:
            warnings.warn(
                f"all sampled answers to all {count} questions equal the greedy ones: does the server sample? "
                "Some servers sample only if their model's generation config says so; see docs/api.md",
                stacklevel=2,
            )

    def describe(self) -> dict[str, Any]:
        """The model and the settings as JSON-ready keys and values, for the store's manifest.

        The server's URL is not included, because a model that moves to another port stays the same model.
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
        except SamplingError as error:  # caused by this question, not by the server
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

    async def _sampled(self, question: Question, messages: list[dict[str, Any]]) -> list[ServerAnswer]:
        """The N sampled answers; missing ones are asked for again."""
        wanted = self.settings.num_answers
        found: list[ServerAnswer] = []
        asked = 0
        while len(found) < wanted:
            requests = []
            for count in self.client.dialect.split(wanted - len(found)):
                body = self._body(question, messages, asked + 1) | self._sampling_fields() | {"n": count}
                requests.append(self.client.chat(body))
                asked += count
            for reply in await _all(requests):
                found += reply.answers
        return found[:wanted]

    def _body(self, question: Question, messages: list[dict[str, Any]], number: int) -> dict[str, Any]:
        body: dict[str, Any] = {"messages": messages, "max_tokens": self.settings.max_new_tokens}
        if self.prompt.chat_options:
            body["chat_template_kwargs"] = self.prompt.chat_options
        if self.client.settings.send_seed:
            body["seed"] = answer_seed(self.settings.seed, question.id, number)
        return body

    def _sampling_fields(self) -> dict[str, Any]:
        settings = self.settings
        fields = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
        return {name: value for name, value in fields.items() if value is not None}

    def _record(self, question: Question, reply: Reply, sampled: Sequence[ServerAnswer]) -> AnswerSet:
        greedy = reply.answers[0]
        meta: dict[str, Any] = {"cut": sum(answer.cut for answer in (greedy, *sampled))}
        if all(answer.tokens is not None for answer in (greedy, *sampled)):
            meta |= {"answer_tokens": [answer.tokens for answer in sampled], "greedy_tokens": greedy.tokens}
        if greedy.logprob is not None:
            meta["greedy_logprob"] = greedy.logprob
        if reply.served_model not in (None, self.model_name):
            meta["served_model"] = reply.served_model
        logprobs = tuple(answer.logprob for answer in sampled if answer.logprob is not None)
        return AnswerSet(
            id=question.id,
            question=question.question,
            context=question.context,
            gold=question.gold,
            group=question.group,
            greedy=greedy.text,
            answers=tuple(answer.text for answer in sampled),
            logprobs=logprobs if len(logprobs) == len(sampled) else None,
            model=self.model_name,
            modality="text" if question.image is None else "image",
            image=question.image,
            meta=meta,
        )


def answer_seed(seed: int, question_id: str, number: int) -> int:
    """The seed of one answer's request. It is below 2^31, so that it fits every server's integers.

    Args:
        seed: The sampling seed.
        question_id: The question's id.
        number: 0 for the greedy answer, otherwise the number of the request's first sampled answer.
    """
    digest = hashlib.sha256(f"{seed}\n{number}\n{question_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


async def _all(requests: Sequence[Awaitable[Reply]]) -> list[Reply]:
    """All replies; or the first error, raised once no request is in flight any more."""
    replies: list[Reply] = []
    for reply in await asyncio.gather(*requests, return_exceptions=True):
        if isinstance(reply, BaseException):
            raise reply
        replies.append(reply)
    return replies
