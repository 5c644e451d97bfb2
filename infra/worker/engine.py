"""The engine as a service among Faust's: started, struck every second, stopped, and never restarted.

Whatever the engine raises ends the process. A restart inside it would keep producers, consumers and state of which
nobody knows any more how far they are; a new process fences, restores and reads the positions anew.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from mode import Service

from events.errors import Broken, TallystickError
from infra.worker.clock import ClockGuard
from infra.worker.metrics import Metrics
from infra.worker.port import Engine
from infra.worker.samples import Sampler, SampleSender
from streams.hosts.log import TopicPartition

LOGGER: Final = logging.getLogger("tallystick.worker")

#: Seconds between two looks at how far the inputs are behind: each asks the broker.
_LAGS_EVERY: Final = 5.0
#: Seconds for the broker's answer.
_LAGS_PATIENCE: Final = 4.0
#: Seconds to settle every index: the deadline of a transaction, and the time that leaving the group takes.
_SETTLE_PATIENCE: Final = 12.0


class EngineService(Service):
    """Hosts an engine. ``on_end`` is called once, when it has come to an end by itself."""

    def __init__(
        self,
        engine: Engine,
        *,
        guard: ClockGuard | None,
        sampler: Sampler,
        sender: SampleSender,
        metrics: Metrics,
        on_end: Callable[[], None],
    ) -> None:
        """``guard`` is None in virtual time, where no tick comes from a clock."""
        self.engine = engine
        self.lags: dict[TopicPartition, int] = {}
        #: What ended it; None while all is well, and after an orderly end.
        self.failure: TallystickError | None = None
        self._guard = guard
        self._sampler = sampler
        self._sender = sender
        self._metrics = metrics
        self._on_end = on_end
        self._joined = False
        self._working: asyncio.Future[None] | None = None
        #: Whether nothing of the engine's is open any more: what is left to stop is Faust's.
        self.settled = asyncio.Event()
        self._struck_at: float | None = None
        super().__init__()

    def waiting_for(self) -> str:
        """Why nothing is decided now; empty where all is well."""
        if self.failure is not None:
            return str(self.failure)
        if self.should_stop:
            return "stopping"
        if not self._joined:
            return "joining the group"
        restoring = self.engine.restoring()
        return f"restoring index {', '.join(map(str, restoring))}" if restoring else ""

    # -- life --------------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Begin to work, and let Faust go on with its own start: the views are there while we join."""
        self._working = asyncio.ensure_future(self._work())

    async def on_stop(self) -> None:
        """Settle what is open and leave the group. Here and nowhere else, so that it comes before Faust's end."""
        if self._working is None:
            self.settled.set()
            return
        settling = asyncio.ensure_future(self._settle(self._working))
        # Not asyncio.timeout: without a broker the client swallows the cancellation and goes on trying.
        done, _ = await asyncio.wait({settling}, timeout=_SETTLE_PATIENCE)
        if not done:
            # The broker aborts what is open when its own time is up, or when a successor fences us.
            LOGGER.error(
                "the engine did not settle within %.0f s; what is open will be aborted", _SETTLE_PATIENCE
            )
        self.settled.set()

    async def _settle(self, working: "asyncio.Future[None]") -> None:
        try:
            await self.engine.stop()
        except TallystickError as error:
            self._end(error)
        if not self._joined:
            working.cancel()
        await asyncio.wait([working])
        await self._sender.stop()

    async def _work(self) -> None:
        try:
            await self._sender.start()
            await self.engine.start()
            self._joined = True
            LOGGER.info("joined the group")
            await self.engine.run()
        except TallystickError as error:
            self._end(error)
        except Exception as error:
            LOGGER.exception("the engine failed")
            self._end(Broken(f"the engine failed with {type(error).__name__}; --diagnostics says where"))
        else:
            self._end(None)

    def _end(self, failure: TallystickError | None) -> None:
        if self.failure is None:
            self.failure = failure
        self._on_end()

    # -- every second ------------------------------------------------------------------------------

    @Service.timer(1.0)
    async def _second(self) -> None:
        """Wall time comes from here, and not from a timer of the Faust app: that begins when Faust has joined."""
        now = time.monotonic()
        if self._struck_at is not None:
            self._metrics.set("tallystick_loop_delay_seconds", max(0.0, now - self._struck_at - 1.0))
        self._struck_at = now
        if self._guard is None or self.failure is not None:
            return
        try:
            self._guard.check()
        except TallystickError as error:
            self._end(error)
            return
        finally:
            self._metrics.set("tallystick_clock_step_seconds", self._guard.step_seconds)
        if self._joined:
            self.engine.strike()

    @Service.timer(1.0)
    async def _send_samples(self) -> None:
        await self._sender.send(self._sampler.take())

    @Service.timer(_LAGS_EVERY)
    async def _look_at_lags(self) -> None:
        if not self._joined:
            return
        try:
            async with asyncio.timeout(_LAGS_PATIENCE):
                self.lags = await self.engine.lags()
        except (TallystickError, TimeoutError) as error:
            reason = "it takes too long" if isinstance(error, TimeoutError) else str(error)
            LOGGER.warning("how far the inputs are behind is not known: %s", reason)
            return
        topics = sorted({topic for topic, _ in self.lags})
        self._metrics.lags = {
            topic: sum(lag for (name, _), lag in self.lags.items() if name == topic) for topic in topics
        }
