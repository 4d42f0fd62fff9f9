"""Settings for asking a server, its API key and its URL."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from sgpu_lightning.errors import SamplingError

DEFAULT_KEY_ENV = "OPENAI_API_KEY"
NO_KEY = "none"  # sent to servers without authentication
# Request fields that other settings determine. Those settings check them and write them to the store's manifest.
_RESERVED_FIELDS = (
    "model",
    "messages",
    "n",
    "seed",
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "stream",
    "logprobs",
)


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """How a server is asked. Of these settings only ``extra_body`` changes the answers.

    Args:
        concurrency: Number of requests in flight at most, at least 1.
        timeout: Seconds to wait for a server that sends nothing, above 0.
        max_retries: How often a request is repeated after 408, 409, 429, 5xx, a time-out, a lost connection or a reply
            without a usable answer, at least 0. The wait doubles from half a second up to eight seconds, or is what
            Retry-After asks for, up to two minutes.
        logprobs: Whether to ask for log-probabilities. If a server refuses, it is asked without them.
        send_seed: Whether to send a seed with each request. It is derived from the sampling seed, the question's id and
            the answer's number. A server that draws all answers of a request from one seed also needs ``one_each``.
        one_each: Whether to ask for every sampled answer in a separate request instead of for all N in one.
        allow_urls: Whether the URL of an image may be passed on to the server.
        extra_body: Further fields of the request's body, for example ``{"min_p": 0.05}``; written to the manifest.
        input_price: Price of a million tokens read, for the cost shown at the end; None: unknown.
        output_price: Price of a million tokens written; None: unknown.

    Raises:
        SamplingError: If a field is invalid; the message names the field, what was expected and what was got.
    """

    concurrency: int = 64
    timeout: float = 120.0
    max_retries: int = 5
    logprobs: bool = True
    send_seed: bool = False
    one_each: bool = False
    allow_urls: bool = False
    extra_body: dict[str, Any] = field(default_factory=dict)
    input_price: float | None = None
    output_price: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("max_retries", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SamplingError(f"{name}: expected an integer of at least {least}, got {value!r}")
        if not self.timeout > 0:
            raise SamplingError(f"timeout: expected seconds above 0, got {self.timeout!r}")
        for name in ("input_price", "output_price"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise SamplingError(f"{name}: expected a price of at least 0 or None, got {value!r}")
        if taken := [name for name in self.extra_body if name in _RESERVED_FIELDS]:
            raise SamplingError(
                f"extra_body: expected further fields of a request, got '{taken[0]}', which has its own setting"
            )


def read_key(name: str) -> str:
    """Read the key from an environment variable.

    Args:
        name: The variable's name. ``OPENAI_API_KEY`` may be unset, because many servers need no key.

    Raises:
        SamplingError: If a variable of another name is not set.
    """
    key = os.environ.get(name, "").strip()
    if not key and name != DEFAULT_KEY_ENV:
        raise SamplingError(f"api_key_env: expected the key in the environment variable {name}, which is not set")
    return key or NO_KEY


def check_base_url(url: str) -> str:
    """Return the URL unchanged if it is valid and may be shown in messages.

    Args:
        url: The URL where the server's API begins.

    Raises:
        SamplingError: If it is not an http(s) URL, or contains a password or key.
    """
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.username is not None or parts.query or parts.fragment:
        # The URL is not shown, because it probably contains a secret.
        raise SamplingError(
            "api: expected a URL without user, password and query, got one with them; put the key in the "
            "environment variable that api_key_env names"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SamplingError(f"api: expected a URL such as http://127.0.0.1:8000/v1, got {url!r}")
    return url
