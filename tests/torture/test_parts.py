"""The torture's own parts, without a broker: each must be able to see what it is there to see."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from events.wire import decode_event
from streams.hosts.cluster import Cluster
from tests.integration.outsiders import PARTITIONS, played, values
from tests.torture.house import Blow, kind_of
from tests.torture.judging import OUTCOMES, Payments, network_complaints
from tests.torture.results import Caught, Result, load, paragraph, save, write_into
from tests.torture.rounds import Round
from tests.torture.watching import Exposure, Spread, Stamped, recoveries
from tests.torture.wire import Wire


def seen(records: list[bytes]) -> Payments:
    """What is known of payments from these records."""
    found = Payments()
    for value in records:
        found.see(Stamped(0, 1.0, value))
    return found


@pytest.fixture(scope="module")
def records() -> list[bytes]:
    """Two logs of a whole run in memory."""
    return [
        value
        for topic in ("intake", "payments")
        for number in range(PARTITIONS)
        for value in values(played(), topic, number)
    ]


def test_every_payment_is_followed(records: list[bytes]) -> None:
    """Of a run in which nobody died there is nothing to say; one outcome more, less or foreign is found."""
    calm = seen(records)
    wanted = set(calm.taken)
    outcome = next(value for value in records if isinstance(decode_event(value).body, OUTCOMES))
    assert calm.answered
    assert calm.all_answered(wanted)
    assert [] == list(calm.complaints(wanted))
    assert ["1 payments were answered more than once"] == said(seen([*records, outcome]), wanted)
    lacking = seen([value for value in records if value != outcome])
    assert not lacking.all_answered(wanted)
    assert ["1 payments have no outcome"] == said(lacking, wanted)
    assert ["1 requests were never taken"] == said(calm, {*wanted, ("shop", "never")})
    assert ["1 requests were taken that nobody made"] == said(calm, wanted - {min(wanted)})


def said(payments: Payments, wanted: set[tuple[str, str]]) -> list[str]:
    """The complaints without the names."""
    return [line.partition(":")[0] for line in payments.complaints(wanted)]


def test_a_house_is_back_when_its_last_partition_is() -> None:
    """What was written before the blow does not count, and a blow behind the end of the run has no recovery."""
    written = [Stamped(part, at, b"") for part, at in ((0, 1.0), (0, 11.0), (1, 9.0), (1, 12.5), (1, 20.0))]
    assert [2.5, 1.5] == recoveries([Blow(10.0, ""), Blow(11.0, ""), Blow(13.0, "")], written, 2)
    assert [1.0] == recoveries([Blow(10.0, ""), Blow(20.5, "")], [*written[:2], Stamped(1, 10.5, b"")], 2)


def test_what_is_hidden_is_timed_until_the_stable_end_moves() -> None:
    """A stable end that stays behind what is written hides it; one that moves on begins anew."""
    exposure, place = Exposure(Cluster("127.0.0.1:1", "none"), 1), ("payments", 0)
    for now, high, stable in ((1.0, 5, 5), (2.0, 8, 5), (3.0, 9, 5), (4.5, 9, 7), (5.0, 9, 9), (6.0, 9, 9)):
        exposure.see({place: high}, {place: stable}, now)
    assert [2.5, 0.5] == exposure.stands


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], Spread(0, 0, 0, 0)),
        ([0.2], Spread(200, 200, 200, 1)),
        ([0.003, 0.001, 0.002], Spread(2, 3, 3, 3)),
        ([number / 1_000 for number in range(1, 201)], Spread(100, 198, 200, 200)),
    ],
)
def test_a_spread_names_durations_that_were_measured(seconds: list[float], expected: Spread) -> None:
    """By nearest rank."""
    assert expected == Spread.of(seconds)


def test_a_network_counts_what_reaches_it(tmp_path: Path) -> None:
    """An authorization may reach it once; a reversal is repeated until it is answered."""
    record = tmp_path / "network"
    assert [] == list(network_complaints(record))
    once = "authorization 1 1 visa 100 USD\nauthorization 1 2 visa 100 USD\n"
    record.write_text(once + "reversal 1 1 visa 100 USD\n" * 2)
    assert [] == list(network_complaints(record))
    record.write_text(once * 2)
    assert ["2 authorizations reached a network twice"] == [
        line.partition(":")[0] for line in network_complaints(record)
    ]


def test_kinds_of_processes() -> None:
    """Workers have numbers."""
    assert ["worker", "adapter"] == [kind_of("worker-12"), kind_of("adapter")]


def made_up(*, complaints: list[str], by: str) -> Result:
    """A result."""
    calm = Round("none", 40, 1.0, {}, {}, {}, Spread.of([]), Spread(1, 2, 3, 9), Spread.of([]), [])
    hurt = Round(
        "points",
        40,
        2.0,
        {"worker killed after-fence": 3},
        {"worker after-fence": 3},
        {"worker -9": 3},
        Spread(1_500, 2_000, 2_500, 3),
        Spread(4, 5, 6_000, 9),
        Spread.of([]),
        complaints,
    )
    return Result("2026-01-01", "a machine", 7, 40, 1, 3.0, [calm, hurt], {}, [Caught("x", "a defect", by)])


def test_a_result_is_kept_and_shown(tmp_path: Path) -> None:
    """What the README shows comes from the file; a complaint or a defect that got away is no success."""
    good = made_up(complaints=[], by="the auditor")
    save(good, tmp_path / "results" / "one.json")
    assert good == load(tmp_path / "results" / "one.json")
    assert good.holds
    assert not made_up(complaints=["lost"], by="the auditor").holds
    assert not made_up(complaints=[], by="").holds
    text = paragraph([good], {"none": "nothing", "points": "kills"})
    assert "| kills | 3 kills | 40 | 0 | 1,500 / 2,500 |" in text.splitlines()
    assert "Of 1 defects planted in the engine 1 were caught." in text
    readme = tmp_path / "README.md"
    begin, end = "<!-- torture: made by `python -m tests.torture --readme` -->", "<!-- /torture -->"
    readme.write_text(f"before\n{begin}\nold\n{end}\nbehind\n")
    write_into(readme, text)
    assert f"before\n{begin}\n{text}\n{end}\nbehind\n" == readme.read_text()


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A wire to somebody who says everything again."""
    made = Wire()
    listener = socket.create_server(("127.0.0.1", made.broker_port))

    def echo(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(100):
                connection.sendall(data)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    yield made
    made.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    serving.join()


def called(wire: Wire) -> socket.socket:
    """A connection through it."""
    return socket.create_connection(("127.0.0.1", wire.port), timeout=10)


def test_a_wire_is_cut_and_mended(wire: Wire) -> None:
    """Whoever talks is cut off, and nobody gets through until it is mended."""
    with called(wire) as first:
        first.sendall(b"one")
        assert b"one" == first.recv(100)
        wire.cut()
        assert b"" == received(first)
    with called(wire) as second:
        assert b"" == received(second)
    wire.mend()
    with called(wire) as third:
        third.sendall(b"three")
        assert b"three" == third.recv(100)


def test_a_silent_wire_keeps_its_connections(wire: Wire) -> None:
    """Nothing comes through and nobody is told; what was held comes late."""
    with called(wire) as connection:
        connection.sendall(b"one")
        assert b"one" == connection.recv(100)
        wire.swallow()
        connection.sendall(b"two")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        connection.settimeout(10)
        wire.mend()
        assert b"two" == connection.recv(100)


def received(connection: socket.socket) -> bytes:
    """What comes; nothing where the other side has gone, however roughly."""
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""
