"""A minimal loopback server that replies to chat requests after a fixed time; arguments: ``PORT SECONDS``."""

from __future__ import annotations

import asyncio
import json
import sys


class Completions(asyncio.Protocol):
    """One connection. Each request gets a JSON reply ``latency`` seconds after it was received completely."""

    latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            whole = end + 4 + length
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            asyncio.get_running_loop().call_later(self.latency, self._reply, body)

    def _reply(self, body: bytes) -> None:
        asked = json.loads(body) if body else {"messages": [{"content": ""}]}
        text = asked["messages"][-1]["content"]
        choices = [
            {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for i in range(asked.get("n", 1))
        ]
        usage = {"prompt_tokens": 1, "completion_tokens": len(choices)}
        content = json.dumps({"model": "m", "choices": choices, "usage": usage}).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % len(content) + content)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Completions, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    Completions.latency = float(sys.argv[2])
    asyncio.run(serve(int(sys.argv[1])))
