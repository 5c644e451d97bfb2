"""The engine as a service: struck, watched, stopped first, and never started twice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from events.errors import Broken, Refused, Unavailable
from infra.worker.clock import ClockGuard
from infra.worker.engine import EngineService
from infra.worker.metrics import Metrics
from infra.worker.samples import Sampler
from tests.infra.worker.events import approved
from tests.infra.worker.stand_ins import Silent, StandIn
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio


class Hosted:
    """A service with a stand-in for an engine, and what it has told its host."""

    def __init__(self, engine: StandIn, guard: ClockGuard | None = None, sender: Any = None) -> None:
        self.engine = engine
        self.metrics = Metrics()
        self.sampler = Sampler("w1", self.metrics)
        self.sender = sender or Silent()
        self.ended = asyncio.Event()
        self.service = EngineService(
            engine,
            guard=guard,
            sampler=self.sampler,
            sender=self.sender,
            metrics=self.metrics,
            on_end=self.ended.set,
        )

    async def until_ended(self) -> None:
        """Until the service has said that it came to an end by itself."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.ended.wait()


async def until(condition: Any) -> None:
    """Until it holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_it_works_until_it_is_stopped() -> None:
    """An orderly end is no failure; stopping leaves the group once, however often it is asked for."""
    hosted = Hosted(StandIn())
    assert "joining the group" == hosted.service.waiting_for()
    await hosted.service.start()
    await until(lambda: not hosted.service.waiting_for())
    hosted.engine.on_the_way = [1, 3]
    assert "restoring index 1, 3" == hosted.service.waiting_for()
    await hosted.service.stop()
    await hosted.service.stop()
    assert (1, None, "stopping") == (
        hosted.engine.stops,
        hosted.service.failure,
        hosted.service.waiting_for(),
    )


@pytest.mark.parametrize(
    "failure", [Broken("the ledger does not add up"), Unavailable("somebody else has it")]
)
async def test_what_the_engine_raises_ends_it(failure: Exception) -> None:
    """The host is told once, and the reason stands where /health finds it."""
    hosted = Hosted(StandIn(failure))
    await hosted.service.start()
    await hosted.until_ended()
    assert (failure, str(failure)) == (hosted.service.failure, hosted.service.waiting_for())
    await hosted.service.stop()
    assert failure is hosted.service.failure
    assert not hosted.service.crashed


async def test_a_defect_ends_it_too(caplog: pytest.LogCaptureFixture) -> None:
    """With a traceback for us, and a sentence and exit code 1 for the operator: do not start it again unseen."""
    hosted = Hosted(StandIn(KeyError("order")))
    await hosted.service.start()
    await hosted.until_ended()
    await hosted.service.stop()
    assert isinstance(hosted.service.failure, Broken)
    assert "the engine failed with KeyError" in str(hosted.service.failure)
    assert "Traceback" in caplog.text


async def test_without_a_broker_nothing_begins() -> None:
    """The sender of samples meets it first."""
    hosted = Hosted(StandIn(), sender=Silent(Unavailable("no answer")))
    await hosted.service.start()
    await hosted.until_ended()
    await hosted.service.stop()
    assert "no answer" == str(hosted.service.failure)
    assert not hosted.engine.begun.is_set()


async def test_wall_time_is_struck_every_second(tmp_path: Path) -> None:
    """In virtual time it is not: ticks come with the requests there."""
    walled, virtual = Hosted(StandIn(), ClockGuard(tmp_path)), Hosted(StandIn())
    for hosted in (walled, virtual):
        await hosted.service.start()
    await until(lambda: walled.engine.strikes >= 2)
    for hosted in (walled, virtual):
        await hosted.service.stop()
    assert 0 == virtual.engine.strikes
    assert "tallystick_loop_delay_seconds" in walled.metrics.text().decode()


async def test_a_clock_that_is_set_ends_it(tmp_path: Path) -> None:
    """Before the tick that would follow."""
    wall = 1_800_000_000.0
    guard = ClockGuard(tmp_path, lambda: wall, lambda: 5.0)
    hosted = Hosted(StandIn(), guard)
    await hosted.service.start()
    await until(lambda: hosted.engine.strikes)
    struck = hosted.engine.strikes
    wall += 3_600
    await hosted.until_ended()
    await hosted.service.stop()
    assert isinstance(hosted.service.failure, Refused)
    assert "the wall clock was set ahead by 3600 s" in str(hosted.service.failure)
    assert struck == hosted.engine.strikes
    assert "tallystick_clock_step_seconds 3600.0" in hosted.metrics.text().decode()


async def test_samples_leave_once_a_second() -> None:
    """What was committed is told, and nothing where there is nothing."""
    hosted = Hosted(StandIn())
    from streams.hosts.index import Staged
    from tests.streams.builders_early import recorded

    await hosted.service.start()
    hosted.sampler.committed(0, Staged(events={"payments": [recorded(approved(1))]}))
    await until(lambda: hosted.sender.sent)
    await hosted.service.stop()
    assert [("alpha", 1)] == [(sample.network, sample.approved) for sample in hosted.sender.sent]


async def test_lags_are_looked_at(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A broker that does not say changes nothing else: the last figures stand."""
    hosted = Hosted(StandIn())
    await hosted.service.start()
    await until(lambda: not hosted.service.waiting_for())
    hosted.engine.lag = lambda: {("a", 0): 1, ("a", 1): 2, ("b", 0): 4}
    await EngineService._look_at_lags.fun.__wrapped__(hosted.service)
    assert {"a": 3, "b": 4} == hosted.metrics.lags

    def nobody() -> Any:
        raise Unavailable("no answer")

    hosted.engine.lag = nobody
    await EngineService._look_at_lags.fun.__wrapped__(hosted.service)
    assert {"a": 3, "b": 4} == hosted.metrics.lags
    assert "how far the inputs are behind is not known: no answer" in caplog.text
    await hosted.service.stop()


async def test_an_engine_that_hangs_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The process ends all the same: what is open is aborted by the broker, or by the next owner's fence."""

    class Hanging(StandIn):
        async def stop(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("infra.worker.engine._SETTLE_PATIENCE", 0.05)
    hosted = Hosted(Hanging())
    await hosted.service.start()
    await until(lambda: not hosted.service.waiting_for())
    await hosted.service.stop()
    assert "did not settle" in caplog.text
    hosted.engine.fail()
    await hosted.until_ended()
