"""A wire between a client and a broker that can be cut: connections on loopback, passed on byte by byte."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Final

from infra.kafka.processes import free_ports

_BYTES: Final = 65_536


class Wire:
    """Listens on ``port`` of 127.0.0.1 and passes on to another, in a thread of its own.

    *Cut*, it ends every connection and takes no new one; *swallowing*, it keeps connections and loses what is sent on
    them, as a network does that has lost its way: nobody is told.
    """

    def __init__(self) -> None:
        self.port, self.broker_port = free_ports(2)
        self._flows = asyncio.Event()
        self._cut = False
        self._pairs: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._thread.start()
        self._do(self._listen())

    async def _listen(self) -> None:
        self._flows.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        try:
            answers, broker = await asyncio.open_connection("127.0.0.1", self.broker_port)
        except OSError:
            writer.transport.abort()
            return
        self._pairs |= {writer, broker}
        await asyncio.gather(self._pass_on(reader, broker), self._pass_on(answers, writer))
        self._pairs -= {writer, broker}

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(_BYTES):
                await self._flows.wait()
                sink.write(data)
                await sink.drain()
        sink.close()

    def cut(self) -> None:
        """End every connection; nobody gets a new one."""

        async def cut() -> None:
            self._cut = True
            for writer in self._pairs:
                writer.transport.abort()

        self._do(cut())

    def swallow(self) -> None:
        """Hold what is sent from now on, in both directions."""

        async def swallow() -> None:
            self._flows.clear()

        self._do(swallow())

    def mend(self) -> None:
        """Pass on again. What was held comes late, on connections that their owners have not given up."""

        async def mend() -> None:
            self._cut = False
            self._flows.set()

        self._do(mend())

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Let go of the ports."""

        async def close() -> None:
            assert self._server is not None
            self._server.close()
            for writer in self._pairs:
                writer.transport.abort()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._do(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
