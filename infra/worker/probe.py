"""With ``--livecheck``: does a sample that is sent come back through the agent, now and then, for as long as we run?

It is a case of Faust's LiveCheck. A probe is announced on one topic, run by whoever reads that, sends a record to
``ops.samples`` with the test's id in its headers, and waits for the signal that the agent gives over a second topic;
the outcome goes to a third. All workers have it on, or none: the agent that answers may be on any of them.

LiveCheck 0.15.3, tried out and read, works with these provisos:

- Its own timer for probes asks who the leader is, and there is none here: the case has a timer of its own.
- What a signal waits is counted twice from the second round on, and a round takes two seconds: of a patience of ten
  it grants six. Up to four seconds it is exact, so four it is.
- Signals that have come are never forgotten: the case forgets them.
- Importing it replaces ``aiohttp.client.ClientSession``. Hence it is imported here alone, and only when asked for.
"""

import logging
from pathlib import Path
from typing import Any, Final

from faust.livecheck import Case, LiveCheck, Signal
from mode import Service

from infra.worker.agent import PROBE, CameBack, topic
from infra.worker.application import OpsApp, options
from infra.worker.metrics import Metrics
from infra.worker.samples import TOPIC
from streams.hosts.cluster import Cluster

LOGGER: Final = logging.getLogger("tallystick.worker")

#: What LiveCheck reads and writes.
PENDING, BUS, REPORT = "ops.livecheck", "ops.livecheck.bus", "ops.livecheck.report"
EVERY_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 4.0
#: What is announced and not run for so long is not run at all.
_EXPIRES_SECONDS: Final = 60.0


def install(
    app: OpsApp, cluster: Cluster, state: Path, metrics: Metrics, every_seconds: float = EVERY_SECONDS
) -> tuple[LiveCheck, CameBack]:
    """The service that probes, and what the agent has to call for each probe that has come back."""
    live = app.LiveCheck(
        prefix="livecheck.",
        **options(cluster, state / "livecheck"),
        web_enabled=False,
        test_topic_name=cluster.topic(PENDING),
        bus_topic_name=cluster.topic(BUS),
        report_topic_name=cluster.topic(REPORT),
        bus_concurrency=1,
        test_concurrency=1,
    )
    (state / "livecheck").mkdir(parents=True, exist_ok=True)
    samples = topic(app, cluster.topic(TOPIC))

    class _Case(Case):
        """Counts what comes out, and begins a probe every now and then."""

        @Service.timer(every_seconds)
        async def _begin(self) -> None:
            await self.trigger()

        async def on_test_pass(self, runner: Any) -> None:
            await super().on_test_pass(runner)
            metrics.set("tallystick_probe_seconds", runner.runtime)
            self._over("ok")

        async def on_test_timeout(self, runner: Any, exc: BaseException) -> None:
            await super().on_test_timeout(runner, exc)
            LOGGER.warning("a probe did not come back within %.0f s", PATIENCE_SECONDS)
            self._over("late")

        async def on_test_error(self, runner: Any, exc: BaseException) -> None:
            await super().on_test_error(runner, exc)
            LOGGER.warning("a probe failed: %r", exc)
            self._over("failed")

        def _over(self, outcome: str) -> None:
            metrics.count("tallystick_probes_total", outcome=outcome)
            live._resolved_signals.clear()

    class Samples:
        """A record that is sent comes back."""

        came_back: Signal[str]

        async def run(self) -> None:
            """One probe; LiveCheck puts the test's id into the headers of what is sent here."""
            await samples.send(key=PROBE, value=b"")
            await self.came_back.wait(timeout=PATIENCE_SECONDS)

    case: Any = live.case(name="samples", test_expires=_EXPIRES_SECONDS, base=_Case)(Samples)

    async def came_back() -> None:
        await case.came_back.send("")

    return live, came_back
