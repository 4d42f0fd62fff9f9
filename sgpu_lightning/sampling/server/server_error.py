"""Reading the errors of the openai client: status, message, and whether the server could be reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openai import OpenAIError

_MOST_CHARACTERS = 300  # of a server's message


@dataclass(frozen=True, slots=True)
class ServerError:
    """Why a request failed.

    Args:
        status: HTTP status; 0 if there was no response.
        message: The message of the server or the connection, shortened.
        unreachable: Whether no connection could be made: refused, or no such host.
    """

    status: int
    message: str
    unreachable: bool

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.message}" if self.status else self.message


def read_error(error: OpenAIError) -> ServerError:
    """Read an error that the openai client raised."""
    refused = _connection_error(error)
    if refused is not None:
        text = f"could not connect: {refused}"
    else:
        body = getattr(error, "body", None)
        if isinstance(body, dict):
            body = body.get("message") or body.get("detail") or body
        # The cause comes before the error itself: the client's aiohttp transport calls lost connections time-outs, too.
        text = str(body or (error.__cause__ and str(error.__cause__)) or error)
    shown = text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 3] + "..."
    return ServerError(getattr(error, "status_code", 0), shown, refused is not None)


def _connection_error(error: BaseException | None) -> BaseException | None:
    """The failed connection in the chain of causes, if there is one: refused, or no such host."""
    from aiohttp import ClientConnectorError
    from httpx2 import ConnectError

    # The client's aiohttp transport reports a refused connection as a time-out; only the chain of causes tells them
    # apart.
    while error is not None and not isinstance(error, ClientConnectorError | ConnectError):
        error = error.__cause__
    return error
