"""Many requests in flight, from ordinary code: an event loop in a thread of its own."""

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
_ALONE = 3  # items that may fail one by one before the others are asked all the same


class _End:
    """No more results come; or an error ended them."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def in_flight(
    client: ApiClient, ask: Callable[[Item], Awaitable[Result]], items: Iterable[Item]
) -> Generator[Result, None, None]:
    """Ask all items, as many at a time as the client has requests in flight; there are no batches to wait for.

    The first items are asked one by one until the server has answered one of them: a wrong key or model then is one
    error and not one for each item. The event loop runs in a thread, since a notebook has one in the caller's already.
    Closing the generator, or an interrupt in it, cancels what is in flight.

    Args:
        client: Opened and closed here.
        ask: Asks one item; what it raises ends everything.
        items: What to ask; taken one by one, in the loop's thread.

    Yields:
        The results, as they come.
    """
    results: queue.SimpleQueue[Result | _End] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    job = loop.create_task(_ask_all(client, ask, iter(items), results.put))

    def work() -> None:
        """Run the requests to their end, and hand on how they ended."""
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(job)
            results.put(_End())
        except BaseException as error:  # goes to the consumer's thread, cancellation included
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
        with suppress(RuntimeError):  # the loop is closed: nothing is left to cancel
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
        for item in itertools.islice(items, _ALONE):
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
