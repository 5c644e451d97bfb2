"""The line to a network, simulated: what is put on it arrives, and answers come back in an order of their own."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Final, NamedTuple

from events.authorization import (
    AuthorizationSubmitted,
    IncrementSubmitted,
    NetworkNotSent,
    NetworkReplyTimedOut,
    ReversalSubmitted,
)
from events.base import Event
from events.envelope import Recorded
from events.errors import Unavailable
from events.messages import Handover
from streams.edge.dice import MILLION, chance
from streams.edge.networks import Submission
from streams.hosts.edges import Outgoing

_MILLISECONDS: Final = 1_000

#: How the network's own account calls what has reached it.
_KINDS: Final[dict[type[Event], str]] = {
    AuthorizationSubmitted: "authorization",
    IncrementSubmitted: "increment",
    ReversalSubmitted: "reversal",
}


class Call(NamedTuple):
    """A submission on its way: where it stands in its log, and what there will be to say of it."""

    partition: int
    offset: int
    recorded: Recorded
    answers: Sequence[Outgoing]


class SimulatedLine:
    """Takes calls and gives their answers back after a while. What it will say is known when it is called."""

    def __init__(self, seed: int, latency_ms: int = 0, record: Path | None = None) -> None:
        """``latency_ms`` in the middle, between half and one and a half of it; a time-out takes its own time then.

        ``record`` is the network's own account of what has reached it: a line for each message.
        """
        self._seed = seed
        self._latency = latency_ms / _MILLISECONDS
        self._waiting: list[tuple[float, int, Call]] = []
        self._count = 0
        self._changed = asyncio.Event()
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._record = None if record is None else os.open(record, flags, 0o600)
        except OSError as error:
            raise Unavailable(f"the network's record {record} cannot be written: {error.strerror}") from error

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, calls: Sequence[Call]) -> None:
        """Put messages on the wire. Where the line is dead nothing leaves, and that is known at once."""
        now = asyncio.get_running_loop().time()
        left = [call for call in calls if not _says(call, NetworkNotSent)]
        if self._record is not None and left:
            os.write(self._record, b"".join(map(_account, left)))
        self._wait_for((now + self._takes(call), call) for call in calls)

    def say(self, calls: Sequence[Call]) -> None:
        """Answers that are known without asking."""
        now = asyncio.get_running_loop().time()
        self._wait_for((now, call) for call in calls)

    def _wait_for(self, calls: Iterable[tuple[float, Call]]) -> None:
        for due, call in calls:
            self._count += 1
            heappush(self._waiting, (due, self._count, call))
        self._changed.set()

    def _takes(self, call: Call) -> float:
        if not self._latency or _says(call, NetworkNotSent):
            return 0.0
        body = call.recorded.body
        assert isinstance(body, Submission)
        if _says(call, NetworkReplyTimedOut):
            return body.timeout_ms / _MILLISECONDS
        drawn = chance(self._seed, "latency", type(body).__name__, body.rrn, body.attempt)
        return self._latency * (0.5 + drawn / MILLION)

    async def answered(self) -> list[Call]:
        """The calls whose answers have come by now, waited for."""
        while True:
            self._changed.clear()
            now = asyncio.get_running_loop().time()
            found = []
            while self._waiting and self._waiting[0][0] <= now:
                found.append(heappop(self._waiting)[2])
            if found:
                return found
            wait = self._waiting[0][0] - now if self._waiting else None
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def close(self) -> None:
        """Hang up."""
        if self._record is not None:
            os.close(self._record)


def _says(call: Call, kind: type[Event]) -> bool:
    return any(
        isinstance(one.message, Handover) and isinstance(one.message.fact, kind) for one in call.answers
    )


def _account(call: Call) -> bytes:
    body = call.recorded.body
    assert isinstance(body, Submission)
    return f"{_KINDS[type(body)]} {body.rrn} {body.attempt} {body.network} {body.amount} {body.currency}\n".encode()
