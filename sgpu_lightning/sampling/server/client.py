"""The client of an OpenAI-compatible server: limits the requests in flight, repeats failed ones and counts tokens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.server.dialect import Dialect, DialectTracker
from sgpu_lightning.sampling.server.reply import Reply, UnusableReplyError, read_reply
from sgpu_lightning.sampling.server.retry import (
    REFUSED,
    Attempt,
    RequestFailedError,
    ask_until_usable,
    concerns_every_request,
    what_to_check,
)
from sgpu_lightning.sampling.server.server_error import ServerError, read_error
from sgpu_lightning.sampling.server.server_settings import (
    DEFAULT_KEY_ENV,
    NO_KEY,
    ApiSettings,
    check_base_url,
    read_key,
)
from sgpu_lightning.sampling.server.usage import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_GREETING_SECONDS = 10.0


class ApiClient:
    """Sends chat requests with the openai client.

    Open it with ``async with``. What it has learnt about the server, and the usage it has counted, are kept from one
    opening to the next. Set ``answered`` to True once the server has answered as wanted: until then, an error that
    every request would get ends the run.

    Args:
        base_url: The URL where the server's API begins, for example ``http://127.0.0.1:8000/v1``.
        model: The server's name for the model.
        settings: How the server is asked; None: the defaults.
        api_key_env: The environment variable that holds the key.

    Raises:
        SamplingError: If openai is not installed, the URL is invalid, or the given variable is not set.
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
        self._dialects = DialectTracker(self.settings)
        self._key_env = api_key_env
        self._key = read_key(api_key_env)

    def __repr__(self) -> str:
        return f"ApiClient({self.base_url!r}, {self.model!r})"

    @property
    def dialect(self) -> Dialect:
        """The server's dialect, as far as it is known."""
        return self._dialects.current

    async def __aenter__(self) -> Self:
        from openai import AsyncOpenAI, DefaultAioHttpClient

        settings = self.settings
        # This HTTP client takes half the processor time of the default one, which matters when many small requests are
        # in flight.
        http = DefaultAioHttpClient(timeout=settings.timeout)
        self._openai: AsyncOpenAI = AsyncOpenAI(
            base_url=self.base_url, api_key=self._key, timeout=settings.timeout, http_client=http
        )
        self._slots = asyncio.Semaphore(settings.concurrency)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._openai.close()

    async def greet(self) -> None:
        """Check that the server is reachable and accepts the key. Does nothing once ``answered`` is True.

        Raises:
            SamplingError: If the server cannot be reached or refuses the key.
        """
        import httpx2
        from openai import OpenAIError

        if self.answered:
            return
        timeout = min(self.settings.timeout, _GREETING_SECONDS)
        try:
            await self._openai.get("/models", cast_to=httpx2.Response, options={"max_retries": 0, "timeout": timeout})
        except OpenAIError as error:
            failure = read_error(error)
            # Not every server lists its models, so other errors are ignored: the first question shows whether it
            # answers.
            if failure.unreachable or failure.status in (401, 403):
                raise self._exception(failure, {}) from None

    async def chat(self, body: dict[str, Any]) -> Reply:
        """Send one chat request, and repeat it until it is answered or the retries are used up.

        Args:
            body: The request without the model: ``messages``, ``max_tokens`` and other fields. ``n`` asks for several
                answers, of which the reply may contain any number.

        Raises:
            RequestFailedError: If there is no answer.
            SamplingError: If the server cannot be reached or reports an error that every question would get (no such
                model, a wrong key, an unknown setting), unless ``answered`` is True.
        """
        request = {"model": self.model} | self.settings.extra_body | body
        async with self._slots:
            return await ask_until_usable(lambda retries: self._attempt(request, retries), self.settings.max_retries)

    async def _attempt(self, body: dict[str, Any], retries: int) -> Attempt:
        data, repetitions = await self._post(body, retries)
        try:
            reply = read_reply(data)
        except UnusableReplyError as error:
            return Attempt(None, self._redact(str(error)), repetitions)
        self._dialects.note_answers(body.get("n", 1), len(reply.answers))
        return Attempt(reply, "", repetitions)

    async def _post(self, body: dict[str, Any], retries: int) -> tuple[Any, int]:
        """Send a request in the server's dialect; return the decoded reply and the number of repetitions it took."""
        import httpx2
        from openai import OpenAIError

        dialect = self.dialect
        while True:
            sent = dialect.to_request(body)
            try:
                # The plain response: typed ones take more time than the rest of the client together, and `read_reply`
                # checks the reply anyway.
                response = await self._openai.post(
                    "/chat/completions", body=sent, cast_to=httpx2.Response, options={"max_retries": retries}
                )
                break
            except OpenAIError as error:
                failure = read_error(error)
                simpler = dialect.fallback(sent, failure.message) if failure.status in REFUSED else None
                if simpler is None:
                    raise self._exception(failure, sent) from None
                dialect = simpler
        self._dialects.accept(dialect)
        try:
            data = response.json()
        except ValueError:
            data = None
        self.usage.add(data)
        return data, int(response.request.headers.get("x-stainless-retry-count", 0))

    def _exception(self, failure: ServerError, sent: dict[str, Any]) -> Exception:
        """The exception to raise: `SamplingError` if no question could be answered, else `RequestFailedError`."""
        optional = {"temperature", "top_p", "top_k", "seed", "chat_template_kwargs", *self.settings.extra_body}
        if self.answered or not concerns_every_request(failure, [self.model, *(optional & sent.keys())]):
            return RequestFailedError(self._redact(str(failure)))
        hint = what_to_check(failure, self._key_env)
        return SamplingError(self._redact(f"{self.base_url}, model '{self.model}': {failure}{hint}"))

    def _redact(self, text: str) -> str:
        """Put the text on one line and remove the key, which some servers repeat in their messages."""
        line = " ".join(text.split())
        return line.replace(self._key, "[key]") if self._key != NO_KEY else line


def _require_openai() -> None:
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise SamplingError("asking a server needs the openai client: pip install 'sgpu-lightning[api]'") from error
