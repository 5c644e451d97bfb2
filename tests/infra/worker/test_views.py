"""What a worker shows."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from events.errors import Unavailable
from events.identity import SLOTS, card_id, payment_id
from infra.worker import views
from infra.worker.engine import EngineService
from infra.worker.metrics import CONTENT_TYPE, Metrics
from infra.worker.samples import Sampler
from tests.infra.worker.stand_ins import Follows, Silent, StandIn

pytestmark = pytest.mark.asyncio

#: Of the first and the last slot: of two indexes, 0 and 1.
HERE, THERE = (payment_id("shop", "1", card_id(slot, bytes(10))) for slot in (0, SLOTS - 1))
Ask = Callable[[str], Awaitable[tuple[int, Any]]]


class World:
    """A service that is never started, with one of two indexes, and what the broker says of the other."""

    def __init__(self) -> None:
        self.engine = StandIn()
        self.metrics = Metrics()
        self.owner: Any = "http://127.0.0.1:9 on 10.0.0.2"
        self.service = EngineService(
            self.engine,
            guard=None,
            sampler=Sampler("w1", self.metrics),
            sender=Silent(),  # type: ignore[arg-type]
            metrics=self.metrics,
            on_end=lambda: None,
        )
        self.metrics.read(self.engine, 2, self.service.waiting_for)

    async def who_owns(self, index: int) -> str:
        assert 1 == index
        if isinstance(self.owner, Exception):
            raise self.owner
        return str(self.owner)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Ask]:
        """The views on a port."""
        app = web.Application()
        app.add_routes(views.routes(self.service, self.metrics, 2, self.who_owns))
        async with TestClient(TestServer(app)) as client:

            async def ask(path: str) -> tuple[int, Any]:
                async with client.get(path) as answer:
                    assert answer.content_type == "application/json"
                    return answer.status, json.loads(await answer.read())

            yield ask


async def test_health() -> None:
    """503 with the reason, until all is well."""
    world = World()
    async with world.served() as ask:
        waiting = {"ready": False, "waiting_for": "joining the group", "indexes": [0], "standby": []}
        assert (503, waiting) == await ask("/health")
        world.service._joined = True
        world.engine.on_the_way = [0]
        assert (503, "restoring index 0") == await _said(ask)
        world.engine.on_the_way = []
        assert (200, "") == await _said(ask)
        world.service.failure = Unavailable("the broker is gone")
        assert (503, "the broker is gone") == await _said(ask)


async def _said(ask: Ask) -> tuple[int, str]:
    status, answer = await ask("/health")
    return status, answer["waiting_for"]


async def test_partitions() -> None:
    """Ticks, positions, lag and open attempts of what is here; how far standbys are, and why one was lost."""
    world = World()
    world.service.lags = {("payments.requests", 0): 5, ("payments.requests", 1): 9}
    world.engine.standing_by = {1: Follows(lost="it decides otherwise"), 2: Follows()}
    async with world.served() as ask:
        status, answer = await ask("/partitions")
        assert [2] == (await ask("/health"))[1]["standby"]
    assert (200, 2) == (status, answer["partitions"])
    (index,) = answer["indexes"]
    assert (0, False, 2) == (index["index"], index["restoring"], index["open_attempts"])
    assert (1_000, True, 2.5) == tuple(
        index[name] for name in ("restored_events", "restored_warm", "first_commit_seconds")
    )
    ticks = {"intake": 7, "payments": 6, "velocity": 6, "settlement": 6, "reconciliation": 6}
    assert ticks == index["ticks"]
    assert ({"payments.requests/0": 12}, {"payments.requests/0": 5}) == (index["positions"], index["lag"])
    one, two = answer["standby"]
    assert (1, "it decides otherwise", 2, "") == (one["index"], one["lost"], two["index"], two["lost"])
    assert (12, 1.5, 500) == (two["records_behind"], two["seconds_behind"], two["events"])


async def test_a_payment() -> None:
    """Where it is known, where it is not, and whom to ask where it is not ours."""
    world = World()
    world.engine.known[HERE] = "authorized"
    async with world.served() as ask:
        assert (200, {"payment_id": HERE, "state": "authorized"}) == await ask(f"/payments/{HERE}")
        world.engine.known.clear()
        status, answer = await ask(f"/payments/{HERE}")
        assert (404, "index 0 knows no such payment, or has forgotten it") == (status, answer["error"])
        world.engine.on_the_way = [0]
        assert 503 == (await ask(f"/payments/{HERE}"))[0]
        for nonsense in ("pay-", "4111111111111111", "%00"):
            assert (404, {"error": "that is no payment id"}) == await ask(f"/payments/{nonsense}")

        elsewhere = {"error": "index 1 is not here", "index": 1, "ask": "http://127.0.0.1:9 on 10.0.0.2"}
        assert (421, elsewhere) == await ask(f"/payments/{THERE}")
        world.owner = ""
        assert "nobody" == (await ask(f"/payments/{THERE}"))[1]["ask"]
        world.owner = Unavailable("no answer")
        assert "unknown" == (await ask(f"/payments/{THERE}"))[1]["ask"]


async def test_metrics() -> None:
    """As Prometheus asks for them."""
    world = World()
    app = web.Application()
    app.add_routes(views.routes(world.service, world.metrics, 2, world.who_owns))
    async with TestClient(TestServer(app)) as client, client.get("/metrics") as answer:
        assert (200, CONTENT_TYPE) == (answer.status, answer.headers["Content-Type"])
        assert "tallystick_ready 0.0" in await answer.text()
