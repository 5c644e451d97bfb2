"""The simulated line: what reaches a network is on its account, and answers come when they come."""

import asyncio
from pathlib import Path
from typing import NamedTuple

from events.authorization import (
    AuthorizationSubmitted,
    MessageKind,
    NetworkNotSent,
    NetworkReplyTimedOut,
)
from streams.edge.lines import Call, SimulatedLine
from streams.edge.networks import handover
from streams.hosts.edges import Outgoing
from tests.streams.builders_early import PAYMENT, recorded

COUNT = 40


class Heard(NamedTuple):
    """The order in which answers came, and what they took in milliseconds."""

    order: list[int]
    took: list[float]


def call(number: int, *facts: type[NetworkNotSent] | type[NetworkReplyTimedOut]) -> Call:
    body = AuthorizationSubmitted(
        PAYMENT, "inn", "visa", "M1", number, "0100", "000001", "AA", "card", "411111", 100, "USD", "5812", 5
    )
    event = recorded(body)
    said = {
        NetworkNotSent: NetworkNotSent(PAYMENT, "visa", MessageKind.AUTHORIZATION, number, "000001", "AA"),
        NetworkReplyTimedOut: NetworkReplyTimedOut(
            PAYMENT, "visa", MessageKind.AUTHORIZATION, number, "000001", "AA", 5
        ),
    }
    answers = [Outgoing("network.replies", 0, handover("adapter/0", event, said[fact])) for fact in facts]
    return Call(0, number, event, answers)


def heard(latency_ms: int, calls: list[Call], record: Path | None = None) -> Heard:
    """The answers to calls that go out together."""

    async def work() -> Heard:
        line = SimulatedLine(7, latency_ms, record)
        loop = asyncio.get_running_loop()
        began, order, took = loop.time(), [], []
        line.send(calls)
        while len(line):
            for answered in await line.answered():
                order.append(answered.offset)
                took.append((loop.time() - began) * 1_000)
        line.close()
        return Heard(order, took)

    return asyncio.run(work())


def test_without_latency_answers_come_at_once_and_in_order() -> None:
    """As the log asks."""
    assert heard(0, [call(number) for number in range(COUNT)]).order == list(range(COUNT))


def test_with_latency_answers_overtake_each_other() -> None:
    """In an order that the seed gives: none before half the latency."""
    first = heard(20, [call(number) for number in range(COUNT)])
    assert sorted(first.order) == list(range(COUNT))
    assert first.order != list(range(COUNT))
    assert min(first.took) >= 10
    # Neighbours may come together; who is far behind is so every time.
    again = heard(20, [call(number) for number in range(COUNT)])
    assert first.order[0] in again.order[: COUNT // 4]


def test_a_time_out_takes_its_own_time() -> None:
    """Not the latency of an answer."""
    assert heard(2_000, [call(1, NetworkReplyTimedOut)]).took[0] < 1_000


def test_a_dead_line_takes_nothing(tmp_path: Path) -> None:
    """What never left is not on the network's account, and that is known at once."""
    record = tmp_path / "account"
    calls = [call(1), call(2, NetworkNotSent), call(3)]
    assert heard(2_000, [calls[1]], record).took[0] < 1_000
    heard(0, calls, record)
    assert record.read_text("ascii").splitlines() == [
        "authorization AA 1 visa 100 USD",
        "authorization AA 3 visa 100 USD",
    ]
