"""Running many requests at the same time from synchronous code, with an event loop in its own thread."""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from sgpu_lightning.sampling.server.client import ApiClient

Item = TypeVar("Item")
Result = TypeVar("Result")
_MOST_PROBES = 3  # items that are asked one by one, at most, while none has been answered


class _End:
    """Marks the end of the results, with the error that caused it, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def in_flight(
    client: ApiClient, ask: Callable[[Item], Awaitable[Result]], items: Iterable[Item]
) -> Generator[Result, None, None]:
    """Ask all items, as many at a time as the client may have requests in flight, without waiting for batches.

    The first items are asked one by one until the server has answered one of them, so that a wrong key or model gives
    one error instead of one for each item. The event loop runs in a thread, because the caller may already have one, as
    in a notebook. Closing the generator, or an interrupt in it, cancels the requests in flight.

    Args:
        client: The client; it is opened and closed here.
        ask: Asks one item. An exception ends the whole run.
        items: The items to ask; they are taken one by one, in the event loop's thread.

    Yields:
        The results, in the order in which they arrive.
    """
    results: queue.SimpleQueue[Result | _End] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    job = loop.create_task(_ask_all(client, ask, iter(items), results.put))

    def work() -> None:
        """Run the requests to their end, then report how they ended."""
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(job)
            results.put(_End())
        except BaseException as error:  # passed on to the consumer's thread, cancellation included
            results.put(_End(error))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    thread = threading.Thread(target=work, name="sgpu-api", daemon=True)
    thread.start()
    try:
        while not isinstance(result := results.get(), _End):
            yield result
        if result.error is not None:
            raise result.error
    finally:
        with suppress(RuntimeError):  # the loop is closed, so nothing is left to cancel
            loop.call_soon_threadsafe(job.cancel)
        thread.join()


async def _ask_all(
    client: ApiClient,
    ask: Callable[[Item], Awaitable[Result]],
    items: Iterator[Item],
    put: Callable[[Result], object],
) -> None:
    async def work() -> None:
        for item in items:
            put(await ask(item))

    async with client:
        await client.greet()
        for item in itertools.islice(items, _MOST_PROBES):
            put(await ask(item))
            if client.answered:
                break
        workers = [asyncio.create_task(work()) for _ in range(client.settings.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
