"""What a worker shows on its loopback port: is it well, what does it own, where is this payment, how is it getting on.

Nothing here changes anything. ``extra_routes`` of the host stand beside these on the same port.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from events.errors import TallystickError, ValidationError
from events.identity import partition_of_slot, slot_of_payment
from infra.worker.engine import EngineService
from infra.worker.metrics import CONTENT_TYPE, Metrics
from infra.worker.port import Hosted, StandingBy
from streams.topology import LOGS

#: Says which member of the engines' group owns an index; empty where nobody does.
WhoOwns = Callable[[int], Awaitable[str]]
#: What the broker may keep to itself for a moment.
_UNKNOWN: Final = "unknown"


def routes(
    service: EngineService, metrics: Metrics, partitions: int, who_owns: WhoOwns
) -> list[web.RouteDef]:
    """The views of a worker."""
    engine = service.engine

    async def health(_: web.Request) -> web.Response:
        waiting = service.waiting_for()
        status = HTTPStatus.SERVICE_UNAVAILABLE if waiting else HTTPStatus.OK
        answer = {
            "ready": not waiting,
            "waiting_for": waiting,
            "indexes": sorted(engine.hosted),
            "standby": sorted(number for number, standby in engine.standing_by.items() if not standby.lost),
        }
        return _json(answer, status)

    async def owned(_: web.Request) -> web.Response:
        restoring = set(engine.restoring())
        indexes = [
            _index(number, hosted, number in restoring, service)
            for number, hosted in sorted(engine.hosted.items())
        ]
        standby = [_standby(number, followed) for number, followed in sorted(engine.standing_by.items())]
        return _json({"partitions": partitions, "indexes": indexes, "standby": standby})

    async def payment(request: web.Request) -> web.Response:
        payment_id = request.match_info["payment_id"]
        try:
            number = partition_of_slot(slot_of_payment(payment_id), partitions)
            found = await asyncio.to_thread(engine.payment, payment_id)
        except ValidationError:
            return _json({"error": "that is no payment id"}, HTTPStatus.NOT_FOUND)
        if found is not None:
            return _json(found)
        if number in engine.hosted:
            if number in engine.restoring():
                return _json({"error": f"index {number} is being restored"}, HTTPStatus.SERVICE_UNAVAILABLE)
            return _json(
                {"error": f"index {number} knows no such payment, or has forgotten it"}, HTTPStatus.NOT_FOUND
            )
        try:
            owner = await who_owns(number) or "nobody"
        except TallystickError:
            owner = _UNKNOWN
        answer = {"error": f"index {number} is not here", "index": number, "ask": owner}
        return _json(answer, HTTPStatus.MISDIRECTED_REQUEST)

    async def prometheus(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return [
        web.get("/health", health),
        web.get("/partitions", owned),
        web.get("/payments/{payment_id}", payment),
        web.get("/metrics", prometheus),
    ]


def _index(number: int, hosted: Hosted, restoring: bool, service: EngineService) -> dict[str, Any]:
    index, statistics = hosted.index, hosted.statistics
    return {
        "index": number,
        "restoring": restoring,
        "restored_events": statistics.restored_events,
        "restored_warm": statistics.was_warm,
        "first_commit_seconds": round(statistics.first_commit_seconds, 3),
        "ticks": {log: index.tick(log) for log in LOGS},
        "open_attempts": index.open_attempts(),
        "positions": {
            f"{topic}/{partition}": at for (topic, partition), at in sorted(index.positions.items())
        },
        "lag": {
            f"{topic}/{partition}": lag
            for (topic, partition), lag in sorted(service.lags.items())
            if (topic, partition) in index.positions
        },
        "transactions": statistics.transactions,
        "inputs": statistics.inputs,
        "events": statistics.events,
    }


def _standby(number: int, followed: StandingBy) -> dict[str, Any]:
    return {
        "index": number,
        "records_behind": followed.records_behind,
        "seconds_behind": round(followed.seconds_behind, 1),
        "events": followed.events,
        "lost": followed.lost,
    }


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", charset="utf-8"
    )
