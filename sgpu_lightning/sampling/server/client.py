"""Requests to an OpenAI-compatible server: a few at a time, repeated where that may help, counted."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.server.dialect import Dialect
from sgpu_lightning.sampling.server.reply import Reply, UnusableReplyError, Usage, read_reply
from sgpu_lightning.sampling.server.server_settings import (
    DEFAULT_KEY_ENV,
    NO_KEY,
    ApiSettings,
    check_base_url,
    read_key,
)

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAIError

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0  # seconds, as the openai client waits
_GREETING_SECONDS = 10.0
_REFUSED = (400, 422)
_HINTS = {
    401: "the key in the environment variable {key_env}",
    403: "the key in the environment variable {key_env}, and whether it may use the model",
    404: "the name of the model, and the URL, which for most servers ends in /v1",
}


class RequestFailedError(Exception):
    """A request that got no answer: says why, in one line, without the key."""


class ApiClient:
    """Sends chat requests with the openai client, which repeats what failed on the way.

    Open it with ``async with``; what it has learnt of the server and counted stays from one opening to the next. Set
    ``answered`` once the server has done what is wanted of it: until then, what would go wrong for everything is one
    error that ends the run.

    Args:
        base_url: Where the server's API begins, for example ``http://127.0.0.1:8000/v1``.
        model: The server's name for the model.
        settings: How the server is asked; None: the defaults.
        api_key_env: The environment variable with the key.

    Raises:
        SamplingError: If openai is not installed, the URL is none, or the named variable is not set.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        settings: ApiSettings | None = None,
        *,
        api_key_env: str = DEFAULT_KEY_ENV,
    ) -> None:
        _require_openai()
        self.base_url = check_base_url(base_url)
        self.model = model
        self.settings = settings or ApiSettings()
        self.usage = Usage()
        self.answered = False
        self.dialect = Dialect(several=not self.settings.one_each, logprobs=self.settings.logprobs)
        self._several_seen = 0
        self._single_seen = 0
        self._key_env = api_key_env
        self._key = read_key(api_key_env)

    def __repr__(self) -> str:
        return f"ApiClient({self.base_url!r}, {self.model!r})"

    async def __aenter__(self) -> Self:
        from openai import AsyncOpenAI, DefaultAioHttpClient

        settings = self.settings
        # Half the processor time of the default HTTP client: what counts where many small requests are in flight.
        http = DefaultAioHttpClient(timeout=settings.timeout)
        self._openai: AsyncOpenAI = AsyncOpenAI(
            base_url=self.base_url, api_key=self._key, timeout=settings.timeout, http_client=http
        )
        self._slots = asyncio.Semaphore(settings.concurrency)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._openai.close()

    async def greet(self) -> None:
        """Make sure that somebody is there who takes the key; nothing to do once ``answered``.

        Raises:
            SamplingError: If nobody is, or the key is refused.
        """
        import httpx2
        from openai import OpenAIError

        if self.answered:
            return
        patience = min(self.settings.timeout, _GREETING_SECONDS)
        try:
            await self._openai.get("/models", cast_to=httpx2.Response, options={"max_retries": 0, "timeout": patience})
        except OpenAIError as error:
            # Not every server lists its models; whether it answers questions is seen when it is asked one.
            if _no_connection(error) or getattr(error, "status_code", 0) in (401, 403):
                raise self._failure(error, {}) from None

    async def chat(self, body: dict[str, Any]) -> Reply:
        """One chat request, repeated until it is answered or the retries are used up.

        Args:
            body: ``messages``, ``max_tokens`` and what else the request says, without the model; ``n`` asks for several
                answers, of which any number may come.

        Raises:
            RequestFailedError: If there is no answer.
            SamplingError: Unless ``answered``, if the server says what would hold for every question: no such
                model, a wrong key, a setting it does not know.
        """
        async with self._slots:
            return await self._chat({"model": self.model} | self.settings.extra_body | body)

    async def _chat(self, body: dict[str, Any]) -> Reply:
        left = self.settings.max_retries
        blank: list[Reply] = []
        reason = ""
        while left >= 0:
            data, taken = await self._post(body, left)
            try:
                reply = read_reply(data)
            except UnusableReplyError as error:
                reason = str(error)
            else:
                self._note(body.get("n", 1), len(reply.choices))
                if spoken := tuple(choice for choice in reply.choices if choice.text):
                    return Reply(spoken, reply.served_model)
                blank.append(reply)
                reason = "the reply's text is empty"
            left -= taken + 1
            if left >= 0:
                await asyncio.sleep(_wait(self.settings.max_retries - left - 1))
        # Mostly a fault of the server, but where it is so every time, it is the model's answer.
        if len(blank) > self.settings.max_retries:
            return blank[-1]
        raise RequestFailedError(self._clean(f"{reason}; asked {self.settings.max_retries + 1} times"))

    def _note(self, asked: int, got: int) -> None:
        """Learn whether the server heeds ``n``; twice, since a reply may lose choices for once."""
        if asked > 1 and self.dialect.several:
            self._several_seen += got > 1
            self._single_seen += got == 1
            if self._single_seen > 1 and not self._several_seen:
                self.dialect = replace(self.dialect, several=False)

    async def _post(self, body: dict[str, Any], retries: int) -> tuple[Any, int]:
        """Send a request in the server's dialect; the decoded reply and the number of repetitions it took."""
        import httpx2
        from openai import OpenAIError

        dialect = self.dialect
        while True:
            sent = dialect.word(body)
            try:
                # The plain response: typed ones cost more time than the rest of the client together, and here it is
                # read strictly anyway.
                response = await self._openai.post(
                    "/chat/completions", body=sent, cast_to=httpx2.Response, options={"max_retries": retries}
                )
                break
            except OpenAIError as error:
                refused = getattr(error, "status_code", 0) in _REFUSED
                plainer = dialect.give_way(sent, _complaint(error)) if refused else None
                if plainer is None:
                    raise self._failure(error, sent) from None
                dialect = plainer
        self.dialect = self.dialect.meet(dialect)
        try:
            data = response.json()
        except ValueError:
            data = None
        self.usage.add(data)
        return data, int(response.request.headers.get("x-stainless-retry-count", 0))

    def _failure(self, error: OpenAIError, sent: dict[str, Any]) -> Exception:
        """The error to raise: one for all questions where the server would never answer."""
        status, complaint = getattr(error, "status_code", 0), _complaint(error)
        reason = f"HTTP {status}: {complaint}" if status else complaint
        if self.answered or not (
            _no_connection(error) or status in _HINTS or (status in _REFUSED and self._is_about(sent, complaint))
        ):
            return RequestFailedError(self._clean(reason))
        hint = f"; check {_HINTS[status].format(key_env=self._key_env)}" if status in _HINTS else ""
        return SamplingError(self._clean(f"{self.base_url}, model '{self.model}': {reason}{hint}"))

    def _is_about(self, sent: dict[str, Any], complaint: str) -> bool:
        """Whether a refusal names the model or a setting, and not what one question is like."""
        settings = {"temperature", "top_p", "top_k", "seed", "chat_template_kwargs", *self.settings.extra_body}
        names = [self.model, *(settings & sent.keys())]
        return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", complaint) for name in names)

    def _clean(self, text: str) -> str:
        """One line without the key, which some servers repeat."""
        line = " ".join(text.split())
        return line.replace(self._key, "[key]") if self._key != NO_KEY else line


def _complaint(error: OpenAIError) -> str:
    """What went wrong, as the server or the connection says it."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body
    cause = _no_connection(error) or error.__cause__
    # The cause first: the openai client's aiohttp transport calls lost connections time-outs, too.
    text = str(body or (cause and str(cause)) or error)
    if _no_connection(error):
        text = f"nobody answers there: {cause}"
    return text if len(text) <= 300 else text[:297] + "..."


def _no_connection(error: BaseException | None) -> BaseException | None:
    """Why nobody could be reached, where that is what went wrong: refused, no such host."""
    from aiohttp import ClientConnectorError
    from httpx2 import ConnectError

    # The openai client's aiohttp transport calls a refused connection a time-out; the chain of causes knows better.
    while error is not None and not isinstance(error, ClientConnectorError | ConnectError):
        error = error.__cause__
    return error


def _wait(attempt: int) -> float:
    """Seconds before a further attempt, drawn so that many do not come at once."""
    return float(min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT) * (1 - 0.25 * random.random()))


def _require_openai() -> None:
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise SamplingError("asking a server needs the openai client: pip install 'sgpu-lightning[api]'") from error
