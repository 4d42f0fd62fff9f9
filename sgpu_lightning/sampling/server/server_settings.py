"""How a server is asked, and where its key is found."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from sgpu_lightning.errors import SamplingError

DEFAULT_KEY_ENV = "OPENAI_API_KEY"
NO_KEY = "none"  # what servers without authentication are sent
# What the request is made of elsewhere; there it is checked and kept in the store's manifest.
_OWN_FIELDS = ("model", "messages", "n", "seed", "temperature", "top_p", "top_k", "max_tokens", "stream", "logprobs")


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """How a server is asked. None of it but ``extra_body`` changes what a question gets.

    Args:
        concurrency: Requests in flight at most, at least 1.
        timeout: Seconds to wait for a server that sends nothing, above 0.
        max_retries: How often a request is repeated after 408, 409, 429, 5xx, a time-out, a lost connection or a reply
            without a usable answer, at least 0. The wait doubles from half a second to eight, or is what Retry-After
            asks for, up to two minutes.
        logprobs: Whether to ask for log-probabilities. Servers that have none are asked without.
        send_seed: Whether to send a seed with each request, made of the sampling seed, the question's id and the
            answer's number. A server that draws all of a request's answers from one seed then needs ``one_each``.
        one_each: Whether to ask for every sampled answer in a request of its own, and not for all N in one.
        allow_urls: Whether the URL of an image may be passed on to the server.
        extra_body: Further fields of the request's body, for example ``{"min_p": 0.05}``; kept in the manifest.
        input_price: Price of a million tokens read, for the cost at the end; None: unknown.
        output_price: Price of a million tokens written.

    Raises:
        SamplingError: Naming the field, what was expected and what was got.
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
        if taken := [name for name in self.extra_body if name in _OWN_FIELDS]:
            raise SamplingError(
                f"extra_body: expected further fields of a request, got '{taken[0]}', which has a setting of its own"
            )


def read_key(name: str) -> str:
    """The key in an environment variable.

    Args:
        name: The variable's name. ``OPENAI_API_KEY`` need not be set: many servers ask for no key.

    Raises:
        SamplingError: If a variable of another name is not set.
    """
    key = os.environ.get(name, "").strip()
    if not key and name != DEFAULT_KEY_ENV:
        raise SamplingError(f"api_key_env: expected the key in the environment variable {name}, got none there")
    return key or NO_KEY


def check_base_url(url: str) -> str:
    """The URL as given, when it is one that may stand in messages.

    Raises:
        SamplingError: If it is no http(s) URL, or carries a password or key.
    """
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.username is not None or parts.query or parts.fragment:
        # Not shown: this is where somebody put a secret.
        raise SamplingError(
            "api: expected a URL without user, password and query, got one with them: keys come from the environment"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SamplingError(f"api: expected a URL such as http://127.0.0.1:8000/v1, got {url!r}")
    return url
