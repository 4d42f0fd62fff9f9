"""The API backend against a loopback server: its rate as a proportion of the ideal rate, concurrency / latency."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks.rows import Row
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.sampling.server.api_sampler import ApiSampler
from sgpu_lightning.sampling.server.client import ApiClient
from sgpu_lightning.sampling.server.server_settings import ApiSettings
from sgpu_lightning.tasks.question import Question

CONCURRENCY = 64
LATENCIES = (0.02, 0.2)  # seconds: the latency of the target, and that of a server with a small model
ANSWERS = 10
REQUESTS = {0.02: 2400, 0.2: 1280}
ROUNDS = 3
AT_LEAST = 0.85


@contextmanager
def server(latency: float) -> Iterator[str]:
    """Run a server and yield its URL.

    Args:
        latency: Seconds from a request to its reply.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.api_server", str(port), str(latency)])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def rate_of_sampler(url: str, requests: int) -> tuple[float, float]:
    """Measure the sampler, which sends two requests for each question.

    Args:
        url: The server's URL.
        requests: Number of requests to send.

    Returns:
        Requests per second, and processor seconds per request.
    """
    sampler = ApiSampler(
        ApiClient(url, "m", ApiSettings(concurrency=CONCURRENCY)),
        SamplingSettings(num_answers=ANSWERS, max_new_tokens=8),
    )
    questions = [Question(id=str(i), question=f"question {i}") for i in range(requests // 2)]
    sampler.client.answered = True  # skips the check that the server is reachable, which is not measured
    start, cpu = time.perf_counter(), time.process_time()
    found = sum(1 for _ in sampler.answer(questions))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert found == len(questions)
    return requests / seconds, cpu / requests


def rate_of_client(url: str, requests: int) -> tuple[float, float]:
    """Measure a plain loop over the openai client with its defaults; half of the requests ask for several answers.

    Args:
        url: The server's URL.
        requests: Number of requests to send.

    Returns:
        Requests per second, and processor seconds per request.
    """
    from openai import AsyncOpenAI

    async def run() -> None:
        async with AsyncOpenAI(base_url=url, api_key="none") as client:
            numbers = iter(range(requests))

            async def work() -> None:
                for i in numbers:
                    messages = [{"role": "user", "content": f"question {i}"}]
                    await client.chat.completions.create(
                        model="m", messages=messages, max_tokens=8, n=ANSWERS if i % 2 else 1
                    )

            await asyncio.gather(*(work() for _ in range(CONCURRENCY)))

    start, cpu = time.perf_counter(), time.process_time()
    asyncio.run(run())
    return requests / (time.perf_counter() - start), (time.process_time() - cpu) / requests


def rows_at(latency: float) -> list[Row]:
    """Measure the sampler and the plain client at one latency, in seconds."""
    ideal, requests = CONCURRENCY / latency, REQUESTS[latency]
    with server(latency) as url:
        rate_of_sampler(url, requests // 10)
        rate_of_client(url, requests // 10)
        ours = [rate_of_sampler(url, requests) for _ in range(ROUNDS)]
        bare = [rate_of_client(url, requests) for _ in range(ROUNDS)]
    setting = f"{CONCURRENCY} concurrent, {latency * 1000:.0f} ms; ideal {ideal:,.0f} requests/s; median of {ROUNDS}"
    return [
        Row(
            what=f"API backend at {latency * 1000:.0f} ms, proportion of the ideal rate",
            value=median(rate for rate, _ in ours) / ideal,
            at_least=AT_LEAST,
            note=f"{setting}; greedy + {ANSWERS} samples in two requests; "
            f"{median(cpu for _, cpu in ours) * 1e3:.2f} ms of processor time per request, including its records",
            details={"requests_per_s": [rate for rate, _ in ours], "cpu_s": [cpu for _, cpu in ours]},
        ),
        Row(
            what="the same for a plain loop over the openai client",
            value=median(rate for rate, _ in bare) / ideal,
            note=f"{median(cpu for _, cpu in bare) * 1e3:.2f} ms of processor time per request: one process sends at "
            f"most {1 / median(cpu for _, cpu in bare):,.0f} per second",
            details={"requests_per_s": [rate for rate, _ in bare], "cpu_s": [cpu for _, cpu in bare]},
        ),
    ]


def run() -> list[Row]:
    """Measure both latencies."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "all sampled answers")  # the server repeats the question
        return [row for latency in LATENCIES for row in rows_at(latency)]
