"""Registries for tests: served on a free port of this machine, beside the test, as a real one is."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiohttp import web

from infra.registry.web import application
from streams.hosts.registry.service import MemoryStorage, Registry, Storage

PREFIX: Final = "house"
_BOUND: Final = 30.0


@contextmanager
def serving(storage: Callable[[], Storage] = MemoryStorage, prefix: str = PREFIX) -> Iterator[str]:
    """The address of a registry that serves for as long as the block lasts. ``storage`` is made in its event loop."""
    with running(lambda: application(Registry(prefix, storage()))) as address:
        yield address


@contextmanager
def running(make: Callable[[], web.Application]) -> Iterator[str]:
    """The address of an application."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(_BOUND)

    async def started() -> web.AppRunner:
        runner = web.AppRunner(make(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    try:
        runner = run(started())
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        run(runner.cleanup())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_BOUND)
        loop.close()
