"""A loopback server with OpenAI's protocol and the faults that a test asks for.

Its answers contain the question, so that an answer assigned to another question is detected.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("429", "500", "time-out", "truncated", "cut off", "no choices", "null", "blank", "fewer")


@dataclass
class Server:
    """The server's behaviour, and the requests it has received."""

    latency: float = 0.0
    faults: float = 0.0  # proportion of requests with a fault
    retry_after: str = "0.05"
    hang: float = 1.0  # seconds of a simulated time-out
    heeds_n: bool = True
    gives_logprobs: bool = False
    key: str | None = None
    models: tuple[str, ...] = ("m",)
    refuse: Callable[[dict[str, Any]], tuple[int, str] | None] = lambda body: None
    say: Callable[[str, int], str] = lambda question, k: f"{'greedy' if k == 0 else k} of {question}"
    requests: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    happened: dict[str, int] = field(default_factory=dict)
    most_in_flight: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._random = random.Random(0)
        self._lock = threading.Lock()
        self._in_flight = 0
        self._blanked: set[str] = set()

    def fault(self, question: str) -> str | None:
        with self._lock:
            found = self._random.choice(FAULTS) if self._random.random() < self.faults else None
            # At most once for a question: an answer that is always blank would count as the model's answer.
            if found == "blank":
                found = None if question in self._blanked else found
                self._blanked.add(question)
            self.happened[str(found)] = self.happened.get(str(found), 0) + 1
        return found

    @contextmanager
    def counted(self, body: dict[str, Any]) -> Iterator[None]:
        with self._lock:
            self.requests.append(body)
            self.times.append(time.monotonic())
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1


def question_of(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def completion(server: Server, body: dict[str, Any], fault: str | None) -> dict[str, Any]:
    asked = body.get("n", 1) if server.heeds_n else 1
    count = {"no choices": 0, "fewer": max(1, asked // 2)}.get(fault or "", asked)
    first = 0 if body["temperature"] == 0 else 1
    choices = []
    for k in range(first, first + count):
        text = {"null": None, "blank": ""}.get(fault or "", server.say(question_of(body), k))
        choice = {"index": k, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        if server.gives_logprobs and body.get("logprobs"):
            words = (text or "").split()
            choice["logprobs"] = {"content": [{"token": word, "logprob": -0.5} for word in words]}
        choices.append(choice)
    usage = {"prompt_tokens": 10, "completion_tokens": 3 * count, "total_tokens": 10 + 3 * count}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.authorised():
            self.reply(200, {"object": "list", "data": [{"id": name} for name in self.behaviour.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.behaviour.counted(body), suppress(ConnectionError):
            if self.authorised():
                self.answer(body)

    def authorised(self) -> bool:
        sent = self.headers["authorization"].removeprefix("Bearer ")
        if self.behaviour.key in (None, sent):
            return True
        self.reply(401, {"error": {"message": f"Incorrect API key provided: {sent}", "code": "invalid_api_key"}})
        return False

    def answer(self, body: dict[str, Any]) -> None:
        server = self.behaviour
        if server.latency:
            time.sleep(server.latency)
        if body["model"] not in server.models:
            message = f"The model `{body['model']}` does not exist"
            return self.reply(404, {"error": {"message": message, "code": "model_not_found"}})
        if refused := server.refuse(body):
            return self.reply(refused[0], {"error": {"message": refused[1]}})
        fault = server.fault(question_of(body))
        if fault == "429":
            return self.reply(429, {"error": {"message": "slow down"}}, {"Retry-After": server.retry_after})
        if fault == "500":
            return self.reply(500, {"error": {"message": "oops"}})
        if fault == "time-out":
            time.sleep(server.hang)
        return self.reply(200, completion(server, body, fault), fault=fault)

    def reply(self, status: int, data: object, headers: dict[str, str] | None = None, fault: str | None = None) -> None:
        content = json.dumps(data).encode()
        sent = content[: len(content) // 2] if fault in ("truncated", "cut off") else content
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent) if fault == "truncated" else len(content)))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = fault == "cut off"


class Loopback(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def serving(**behaviour: Any) -> Iterator[Server]:
    """A running server, on a free port of this machine."""
    server = Server(**behaviour)
    http = Loopback(("127.0.0.1", 0), type("Bound", (Handler,), {"behaviour": server}))
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
