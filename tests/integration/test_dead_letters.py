"""Dead letters on a broker: published again once, whoever else wants to; refused where that cannot help."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Producer

from events.errors import Refused, Unavailable
from events.identity import ENTROPY_BYTES, card_id
from events.partitions import ClockKind, DeadLetterReason, LogOpened
from events.wire import encode_event, encode_message
from infra.commandline import run
from infra.deadletters import RETRY_HEADER, retry
from infra.kafka.topics import create
from streams.edge.vault import open_keys
from streams.hosts.admission import refuse
from streams.hosts.clocks import SECOND, WallClock
from streams.hosts.cluster import Cluster
from streams.hosts.kafkalog import KafkaLog
from streams.hosts.log import Append, Stored
from tests.integration.foreign import REQUESTS, WallHouse, request
from tests.integration.outsiders import annotated
from tests.patience import PATIENCE_SECONDS
from tests.streams.builders_early import recorded

UNKNOWN: Final = b"\0\x7f\0\0\0" + b"tomorrow's"


class Shelf:
    """Topics of a house that nobody works in, with letters that somebody has put aside."""

    def __init__(self, bootstrap: str, folder: Path, clock: ClockKind = ClockKind.WALL) -> None:
        self.cluster = Cluster(bootstrap, f"letters-{uuid.uuid4().hex[:8]}")
        self.keys = folder / "keys"
        assert create(self.cluster.bootstrap, self.cluster.prefix, 2).differences == []
        opened = LogOpened("intake", 0, 2, clock, 1, 0, 0, WallClock().arguments, [])
        self._commit(Append("intake", 0, 0, encode_event(recorded(opened))))

    def _commit(self, *appends: Append) -> None:
        with closing(KafkaLog(self.cluster)) as log:
            log.commit("index/0", list(appends), {})

    def letter(self, value: bytes, reason: DeadLetterReason) -> int:
        """A record on the second partition that was put aside; the number of its letter."""
        place = (REQUESTS, 1)
        self._commit(Append(*place, 0, value))
        with closing(KafkaLog(self.cluster)) as log:
            stored = last_of(log, *place)
            refusal = refuse(open_keys(self.keys), *place, stored, reason, "because")
        self._commit(Append("dead-letters", 0, 0, encode_message(refusal.letter)))
        with closing(KafkaLog(self.cluster)) as log:
            return last_of(log, "dead-letters", 0).offset

    def published_again(self, number: int) -> list[bytes]:
        """The records that say they are this letter."""
        header = str(number).encode()
        found = annotated(self.cluster, (REQUESTS, 1))
        return [value for headers, value in found if headers.get(RETRY_HEADER) == header]


def last_of(log: KafkaLog, topic: str, partition: int) -> Stored:
    """The last record of a partition."""
    found = log.last(topic, partition)
    assert found is not None
    return found


@pytest.fixture
def shelf(kafka: str, tmp_path: Path) -> Shelf:
    return Shelf(kafka, tmp_path)


@pytest.mark.parametrize("reason", [DeadLetterReason.DECISION_FAILED, DeadLetterReason.UNKNOWN_SCHEMA])
def test_one_is_published_again_once(
    shelf: Shelf, reason: DeadLetterReason, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the partition it came from, byte for byte, with a header that names it; asked again, it stands there."""
    value = encode_message(request())
    shelf.letter(b"another", DeadLetterReason.NOT_DECODABLE)
    number = shelf.letter(value, reason)
    arguments = [
        "dead-letters",
        "retry",
        str(number),
        "--log",
        shelf.cluster.address,
        "--keys",
        str(shelf.keys),
    ]
    assert 0 == run([*arguments, "--json"])
    first = json.loads(capsys.readouterr().out)
    assert (number, REQUESTS, 1, False) == (
        first["number"],
        first["topic"],
        first["partition"],
        first["before"],
    )
    assert 0 == run(arguments)
    expected = f"Dead letter {number} was published again before, as {REQUESTS}/1 at {first['offset']}.\n"
    assert expected == capsys.readouterr().out
    assert [value] == shelf.published_again(number)
    with closing(KafkaLog(shelf.cluster)) as log:
        assert value == log.read(REQUESTS, 1, first["offset"], 1)[0].value


def test_many_at_once_are_one(shelf: Shelf) -> None:
    """Whoever is shut out is in doubt and asks again; nobody publishes a second one."""
    number = shelf.letter(encode_message(request()), DeadLetterReason.DECISION_FAILED)

    def ask(_: int) -> bool:
        while True:
            try:
                return retry(shelf.cluster, number, shelf.keys).before
            except Unavailable:
                continue

    with ThreadPoolExecutor(3) as pool:
        befores = list(pool.map(ask, range(3)))
    assert 1 == len(shelf.published_again(number))
    assert befores.count(False) <= 1


def test_somebody_elses_open_transaction_hides_nothing(shelf: Shelf) -> None:
    """What was published again stands behind its beginning; it is waited for, and not published twice."""
    number = shelf.letter(encode_message(request()), DeadLetterReason.DECISION_FAILED)
    stranger = Producer(
        {"bootstrap.servers": shelf.cluster.bootstrap, "transactional.id": f"stranger-{shelf.cluster.prefix}"}
    )
    stranger.init_transactions(PATIENCE_SECONDS)
    stranger.begin_transaction()
    stranger.produce(shelf.cluster.topic(REQUESTS), b"not yet", partition=1)
    stranger.flush(PATIENCE_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(retry, shelf.cluster, number, shelf.keys)
        stranger.commit_transaction(PATIENCE_SECONDS)
        assert not waiting.result(PATIENCE_SECONDS).before
    assert retry(shelf.cluster, number, shelf.keys).before
    assert 1 == len(shelf.published_again(number))


def test_what_cannot_be_helped_is_not_published(shelf: Shelf) -> None:
    """The topic stays as it is."""
    numbers = {
        shelf.letter(UNKNOWN, DeadLetterReason.UNKNOWN_SCHEMA): "would be put aside again",
        shelf.letter(encode_message(request()), DeadLetterReason.CARD_NUMBER_IN_CLEAR): "token instead",
        shelf.letter(
            encode_message(request(occurred_at=time.time_ns() // 1_000 - 8 * 86_400 * SECOND)),
            DeadLetterReason.DECISION_FAILED,
        ): "too long ago",
    }
    before = annotated(shelf.cluster, (REQUESTS, 1))
    for number, sentence in numbers.items():
        with pytest.raises(Refused, match=sentence):
            retry(shelf.cluster, number, shelf.keys)
    with pytest.raises(Refused, match="there is no dead letter 12345"):
        retry(shelf.cluster, 12345, shelf.keys)
    assert before == annotated(shelf.cluster, (REQUESTS, 1))


def test_virtual_time_takes_nothing_more(kafka: str, tmp_path: Path) -> None:
    """As on the embedded log."""
    shelf = Shelf(kafka, tmp_path, ClockKind.VIRTUAL)
    number = shelf.letter(encode_message(request()), DeadLetterReason.DECISION_FAILED)
    with pytest.raises(Refused, match="virtual time"):
        retry(shelf.cluster, number, shelf.keys)
    assert [] == shelf.published_again(number)


def test_letters_of_a_house_at_work(wall_house: WallHouse, capsys: pytest.CaptureFixture[str]) -> None:
    """Listed, shown and opened beside its worker."""
    # A token of its own: digits at the end of one by chance, with those behind it, may look like a card number.
    asked = request(producer="p" * 65, card_id=card_id(7, b"\xff" * ENTROPY_BYTES))
    place = wall_house.send(encode_message(asked) + b"\0")
    wall_house.refused(place)
    (number,) = (
        offset for offset, one in wall_house.letters if (one.topic, one.partition, one.offset) == place
    )
    log = ["--log", wall_house.cluster.address]

    def ask(*arguments: str) -> Any:
        assert 0 == run(["dead-letters", *arguments, *log, "--json"])
        return json.loads(capsys.readouterr().out)

    assert number in [row["number"] for row in ask("list")]
    shown = ask("show", str(number), "--reveal", "--keys", str(wall_house.keys))
    assert list(place) == [shown[name] for name in ("topic", "partition", "offset")]
    held = shown["content"]
    assert (encode_message(asked) + b"\0").hex() == held["hexadecimal"]
    assert "1 bytes behind its end" in held["problem"]
    assert 2 == run(["dead-letters", "retry", str(number), *log, "--keys", str(wall_house.keys)])
    assert "would be put aside again (not_decodable)" in capsys.readouterr().err
    wall_house.goes_on()
