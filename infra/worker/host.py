"""Runs a worker from beginning to end: one event loop, one Faust worker, one engine, two signals.

Faust is started from here and not from its command line, which would take over logging, the terminal, four signals
and the exit code.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import faust
from aiohttp import web
from mode.types import ServiceT

from events.errors import Refused, TallystickError, Unavailable
from infra.commandline import exit_code_of
from infra.kafka.client import aiokafka
from infra.worker import agent, alerts, samples, views
from infra.worker.alerts import Thresholds, Watch
from infra.worker.application import LOOPBACK, OpsApp, add_routes, listen, make_app
from infra.worker.clock import ClockGuard
from infra.worker.engine import EngineService
from infra.worker.membership import named, owner_of
from infra.worker.metrics import Metrics
from infra.worker.port import MakeEngine
from infra.worker.samples import Sampler, SampleSender
from infra.worker.sensor import PrometheusSensor
from streams.hosts.cluster import Cluster
from streams.hosts.refusals import reason, remember

LOGGER: Final = logging.getLogger("tallystick.worker")

OK: Final = 0
#: Seconds until a stop that hangs is given up; the engine's own bound lies within.
_STOP_PATIENCE: Final = 15.0
#: Seconds that Faust is given for the rest, when the engine has settled and left its group.
_FAUST_PATIENCE: Final = 2.0
#: Seconds until the process is gone whatever hangs, threads and the end of the loop included; supervisors wait longer.
_LEAVE_PATIENCE: Final = 18.0
_TOPIC_PATIENCE: Final = 10.0


class Beside(Protocol):
    """Something that lives as long as the worker, beside the engine: what ``extra_routes`` ask."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass(frozen=True)
class Serving:
    """What to host, and how. ``guard`` watches the wall clock; None in virtual time."""

    cluster: Cluster
    make_engine: MakeEngine
    partitions: int
    state: Path
    guard: ClockGuard | None = None
    web_port: int = 0
    livecheck: bool = False
    livecheck_seconds: float = 30.0
    thresholds: Mapping[str, Thresholds] | None = None
    beside: Sequence[Beside] = ()
    extra_routes: Sequence[web.RouteDef] = ()


def serve(serving: Serving, announce: Callable[[str], None] = print) -> int:
    """Work until a signal comes; the exit code. ``announce`` is told the address of the views.

    SIGTERM is a good end (0), Ctrl-C an interrupted one (KeyboardInterrupt). Raises what ended the engine.
    """
    leaving = _Leaving()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(serving, announce, leaving))
    finally:
        leaving.cancel()


class _Leaving:
    """Ends the process when its orderly end hangs: without a broker, clients retry for ever and cannot be cancelled.

    A process that cannot commit must not stay either: it would keep its place in the group and its indexes with it.
    """

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def begin(self, failure: TallystickError | None) -> None:
        """The orderly end begins now, because of this."""
        self._timer = threading.Timer(_LEAVE_PATIENCE, self._leave, (failure,))
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """It has come."""
        if self._timer is not None:
            self._timer.cancel()

    def _leave(self, failure: TallystickError | None) -> None:
        error = failure or Unavailable(f"the worker did not stop within {_LEAVE_PATIENCE:.0f} s and was left")
        sys.stderr.write(f"tallystick: {error}\n")
        sys.stderr.flush()
        os._exit(exit_code_of(error))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where there is one: it is worth a third."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(serving: Serving, announce: Callable[[str], None], leaving: _Leaving) -> int:
    await _check_topics(serving)
    ending = asyncio.Event()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listen(serving.web_port))
        for thing in serving.beside:
            stack.push_async_callback(thing.stop)
            await thing.start()
        address = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        metrics = Metrics()
        service = _engine_service(serving, address, metrics, ending)
        app, live = _application(serving, listener, service, metrics)
        host = _Host(app, [service, *live], service, ending)
        announce(address)
        await _until_the_end(host, service, ending, leaving)
    return _outcome(host, service)


def _engine_service(serving: Serving, address: str, metrics: Metrics, ending: asyncio.Event) -> EngineService:
    sampler = Sampler(address, metrics)
    service = EngineService(
        serving.make_engine(named(serving.cluster, address), sampler.committed),
        guard=serving.guard,
        sampler=sampler,
        sender=SampleSender(serving.cluster, metrics),
        metrics=metrics,
        on_end=ending.set,
    )
    metrics.read(service.engine, serving.partitions, service.waiting_for)
    return service


def _application(
    serving: Serving, listener: socket.socket, service: EngineService, metrics: Metrics
) -> tuple[OpsApp, list[ServiceT]]:
    """The Faust app with all that hangs on it, and LiveCheck where it is asked for."""
    cluster = serving.cluster
    app = make_app(cluster, serving.state, listener)
    app.sensors.add(PrometheusSensor(metrics))
    live: list[ServiceT] = []
    came_back: agent.CameBack = agent.nobody
    if serving.livecheck:
        from infra.worker import probe

        check, came_back = probe.install(app, cluster, serving.state, metrics, serving.livecheck_seconds)
        live.append(check)
    agent.install(app, cluster, Watch(serving.thresholds or alerts.load(None)), metrics, came_back)
    ours = views.routes(service, metrics, serving.partitions, lambda index: owner_of(cluster, index))
    add_routes(app, [*ours, *serving.extra_routes])
    return app, live


def _outcome(host: "_Host", service: EngineService) -> int:
    if service.failure is not None:
        raise service.failure
    if host.crash_reason is not None:
        if host.received is None:
            raise Unavailable(f"Faust has ended: {host.crash_reason!r}; -v says more") from host.crash_reason
        # Its tables stumble over a group that changes while they leave it. The engine had settled before.
        LOGGER.warning("Faust left badly: %r", host.crash_reason)
    if host.received is signal.SIGINT:
        raise KeyboardInterrupt
    return OK


async def _until_the_end(
    host: "_Host", service: EngineService, ending: asyncio.Event, leaving: _Leaving
) -> None:
    """Start all, wait for whatever ends it, stop all: the engine first."""
    starting = asyncio.create_task(host.start())
    waiting = asyncio.create_task(ending.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    leaving.begin(service.failure)
    stopping = asyncio.create_task(host.stop())
    settled = asyncio.create_task(service.settled.wait())
    await asyncio.wait({stopping, settled}, timeout=_STOP_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    settled.cancel()
    done, _ = await asyncio.wait({stopping}, timeout=_FAUST_PATIENCE)
    if not done:
        # When a neighbour was killed, Faust waits for its group to notice. Nothing of ours is open any more.
        LOGGER.warning("Faust did not stop within %.0f s and was left", _FAUST_PATIENCE)
    starting.cancel()
    waiting.cancel()
    (started, _) = await asyncio.gather(starting, waiting, return_exceptions=True)
    if isinstance(started, TallystickError):
        raise started
    if isinstance(started, Exception) and service.failure is None:
        raise Unavailable(f"Faust did not start: {started}") from started


async def _check_topics(serving: Serving) -> None:
    """Refuse to begin without the topics that Faust reads: it would wait for them and say nothing."""
    cluster = serving.cluster
    names = [samples.TOPIC, alerts.TOPIC]
    if serving.livecheck:
        from infra.worker import probe

        names += [probe.PENDING, probe.BUS, probe.REPORT]
    remember()
    client = aiokafka(".admin").AIOKafkaAdminClient(**cluster.options())
    try:
        async with asyncio.timeout(_TOPIC_PATIENCE):
            await client.start()
            there = set(await client.list_topics())
    except (aiokafka(".errors").KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"no answer from Kafka at {cluster.bootstrap}: {reason(error)}") from error
    finally:
        await client.close()
    missing = [cluster.topic(name) for name in names if cluster.topic(name) not in there]
    if missing:
        raise Refused(
            f"there is no topic {', '.join(missing)} at {cluster.bootstrap}: "
            f"tallystick topics create --bootstrap {cluster.bootstrap} --prefix {cluster.prefix}"
        )


class _Host(faust.Worker):
    """Faust's worker without its command line: our logging stays, two signals are ours, nothing is printed."""

    def __init__(
        self, app: OpsApp, services: Iterable[ServiceT], engine: EngineService, ending: asyncio.Event
    ) -> None:
        #: The signal that ended it.
        self.received: signal.Signals | None = None
        self._engine = engine
        self._ending = ending
        options: dict[str, Any] = {"override_logging": False}
        super().__init__(
            app, *services, debug=False, quiet=True, loglevel="WARN", redirect_stdouts=False, **options
        )
        # It would turn on standard output at every line that is logged.
        self.spinner = None

    def install_signal_handlers(self) -> None:
        """Stop cleanly. Faust would also give a stack on SIGUSR1 and a debugger on SIGUSR2."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self.loop.add_signal_handler(number, self._receive, number)

    def _receive(self, number: signal.Signals) -> None:
        LOGGER.info("%s received", number.name)
        self.received = self.received or number
        self._ending.set()
        # The second of a kind is not waited for: it has its usual effect.
        self.loop.remove_signal_handler(number)

    async def on_stop(self) -> None:
        """The engine settles first; Faust would otherwise have it wait for its own end."""
        await self._engine.stop()
        await super().on_stop()
