"""A house in wall time, as a team sees it that publishes from a stack of its own: records go in, the log answers."""

import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pytest
from confluent_kafka import KafkaError, Producer

from events.authorization import AuthorizationOutcomeUnknown, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.envelope import Recorded
from events.identity import ENTROPY_BYTES, SLOTS, card_id, payment_id
from events.intake import (
    DuplicateRequestObserved,
    IdempotencyConflictObserved,
    RequestAccepted,
    RequestRejected,
)
from events.messages import DeadLetter
from events.partitions import EventDeadLettered
from events.requests import CaptureMode, Channel, InputRow, PaymentRequest
from events.wire import decode_event, decode_message, encode_message
from infra.kafka.topics import create
from infra.supervisor import Supervisor
from projections.duck import DuckStore
from projections.projector import Projector
from streams.edge.inputs import write_rows
from streams.edge.reference import published, starter
from streams.forensics.replay import run_of, verify
from streams.hosts.cluster import Cluster
from streams.hosts.kafkalog import KafkaLog
from tests.patience import PATIENCE_SECONDS

PARTITIONS: Final = 2
SEED: Final = 7
MERCHANT: Final = "harbour-coffee"
REQUESTS: Final = "payments.requests"
_LOOK_SECONDS: Final = 0.02

ANSWERS: Final = (RequestAccepted, RequestRejected, DuplicateRequestObserved, IdempotencyConflictObserved)
OUTCOMES: Final = (PaymentAuthorized, PaymentDeclined, AuthorizationOutcomeUnknown)

Place = tuple[str, int, int]
_E = TypeVar("_E", bound=Event)


def now() -> int:
    """The wall's clock, microseconds UTC."""
    return time.time_ns() // 1_000


_NUMBERS: Final = count(1)


def request(**changes: Any) -> PaymentRequest:
    """A payment that has never been asked for, but for what is given."""
    number = next(_NUMBERS)
    digest = sha256(b"%d" % number).digest()
    made = PaymentRequest(
        merchant=MERCHANT,
        idempotency_key=f"test-{number}",
        card_id=card_id(int.from_bytes(digest[:2], "big") % SLOTS, digest[-ENTROPY_BYTES:]),
        bin="41111122",
        last4="0042",
        amount=1_250,
        currency="USD",
        channel=Channel.ECOMMERCE,
        capture_mode=CaptureMode.AUTOMATIC,
        device_ref="",
        ip_ref="",
        email_ref="",
        occurred_at=now(),
        producer="shop",
        simulated=True,
    )
    return msgspec.structs.replace(made, **changes)


def id_of(asked: PaymentRequest) -> str:
    """The id of the payment that a request makes."""
    return payment_id(asked.merchant, asked.idempotency_key, asked.card_id)


class WallHouse:
    """One worker and the line to the networks, by the clock on the wall."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.keys = folder / "keys"
        self.supervisor = Supervisor(folder / "output")
        #: Everything in the logs and the dead letters, in the order in which it was read.
        self.recorded: list[Recorded] = []
        self.letters: list[tuple[int, DeadLetter]] = []
        self._log = KafkaLog(cluster)
        self._read: dict[tuple[str, int], int] = {
            **{(topic, number): 0 for topic in ("intake", "payments") for number in range(PARTITIONS)},
            ("dead-letters", 0): 0,
        }

    # -- the processes -----------------------------------------------------------------------------

    def start(self) -> None:
        """Return when a request can be answered."""
        log = ["--log", self.cluster.address]
        own = ["--keys", str(self.keys), "--partitions", str(PARTITIONS)]
        self.supervisor.start("worker", "worker", *log, *own, "--state", str(self.folder / "worker"), "-v")
        edge = ["--seed", str(SEED), "--state", str(self.folder / "adapter")]
        self.supervisor.start("adapter", "adapter", *log, *edge)
        reference = self.folder / "reference.avro"
        rows = [InputRow(now(), entry) for entry in published(starter())]
        write_rows(reference, [*rows, InputRow(now(), request())], "reference data")
        keys = ["--keys", str(self.keys)]
        # It returns when the reference data is in force.
        self.supervisor.start("publish", "publish", str(reference), *log, *keys, "--clock", "wall", "--now")
        self.until(lambda: self.supervisor.ended("publish"))

    def close(self) -> None:
        """End them all."""
        self.supervisor.stop()
        self._log.close()

    @property
    def registry(self) -> str:
        """Where the worker serves its views and the registry."""
        output = self.supervisor.members["worker"].output

        def found() -> re.Match[str] | None:
            return re.search(r"^http://\S+$", output.read_text("utf-8"), re.MULTILINE)

        self.until(lambda: found() is not None)
        address = found()
        assert address is not None
        return address[0]

    def printed(self) -> bytes:
        """Everything that the processes have written."""
        return b"".join(path.read_bytes() for path in sorted((self.folder / "output").iterdir()))

    # -- writing -----------------------------------------------------------------------------------

    def send(self, value: bytes | None, topic: str = REQUESTS, **more: Any) -> Place:
        """One record by somebody's client; where it stands now."""
        return self.send_all([value], topic, **more)[0]

    def send_all(
        self,
        values: Sequence[bytes | None],
        topic: str = REQUESTS,
        *,
        settings: dict[str, Any] | None = None,
        **more: Any,
    ) -> list[Place]:
        """Records by one client, in order. ``settings`` are the client's."""
        places: list[Place] = []
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is not None:
                failures.append(error)
            else:
                places.append((topic, message.partition(), message.offset()))

        producer = Producer({"bootstrap.servers": self.cluster.bootstrap, **(settings or {})})
        for value in values:
            producer.produce(self.cluster.topic(topic), value, on_delivery=delivered, **more)
        assert producer.flush(PATIENCE_SECONDS) == 0
        assert failures == []
        return places

    # -- reading -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Read on."""
        self.supervisor.look()
        for (topic, number), offset in self._read.items():
            while records := self._log.read(topic, number, offset, 1_000):
                offset = self._read[(topic, number)] = records[-1].offset + 1
                if topic == "dead-letters":
                    self.letters += [(one.offset, _letter(one.value)) for one in records]
                else:
                    self.recorded += [decode_event(one.value) for one in records]

    def until(self, condition: Callable[[], object]) -> None:
        """Read on until something has become true."""
        patience_ends = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            said = [f"{member.name}: {member.said()}" for member in self.supervisor.members.values()]
            assert time.monotonic() < patience_ends, "\n".join(said)
            time.sleep(_LOOK_SECONDS)  # Looking is work for the broker, too.
            self.look()

    def taken(self, place: Place) -> Recorded:
        """The one event that says what became of a record, waited for."""

        def found() -> list[Recorded]:
            return [
                one
                for one in self.recorded
                if (source := one.meta.source) is not None
                and (source.topic, source.partition, source.offset) == place
            ]

        self.until(found)
        (one,) = found()
        return one

    def refused(self, place: Place) -> tuple[EventDeadLettered, DeadLetter]:
        """What the log and the dead letters say of a record that could not be taken."""
        body = self.taken(place).body
        assert isinstance(body, EventDeadLettered), body

        def letters() -> list[DeadLetter]:
            return [one for _, one in self.letters if (one.topic, one.partition, one.offset) == place]

        # One transaction, but its end reaches one topic after the other.
        self.until(letters)
        (letter,) = letters()
        assert (letter.reason, letter.detail, letter.key_id) == (body.reason, body.detail, body.key_id)
        assert sha256(letter.sealed).hexdigest() == body.sealed_sha256
        return body, letter

    def answers(self, asked: Any, count: int = 1) -> list[Event]:
        """What intake has said of a key, waited for until so much is there."""

        def found() -> list[Event]:
            return [
                body
                for one in self.recorded
                if isinstance(body := one.body, ANSWERS)
                and (body.merchant, body.idempotency_key) == (asked.merchant, asked.idempotency_key)
            ]

        self.until(lambda: len(found()) >= count)
        return found()

    def answer(self, asked: Any, kind: type[_E]) -> _E:
        """The one thing that intake has said of a key."""
        (body,) = self.answers(asked)
        assert isinstance(body, kind), body
        return body

    def outcomes(self, asked: PaymentRequest) -> list[Event]:
        """What came of asking the network, waited for."""
        payment = id_of(asked)

        def found() -> list[Event]:
            return [
                body
                for one in self.recorded
                if isinstance(body := one.body, OUTCOMES) and body.payment_id == payment
            ]

        self.until(found)
        return found()

    def goes_on(self) -> None:
        """A good payment is answered, on each partition."""
        asked = [request(), request()]
        for number, one in enumerate(asked):
            self.send(encode_message(one), partition=number)
        for one in asked:
            assert len(self.outcomes(one)) == 1


def _letter(value: bytes) -> DeadLetter:
    message = decode_message(value)
    assert isinstance(message, DeadLetter)
    return message


@pytest.fixture(scope="session")
def wall_house(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WallHouse]:
    """The one house that all foreign producers write to."""
    cluster = Cluster(kafka, f"foreign-{uuid.uuid4().hex[:8]}")
    assert create(cluster.bootstrap, cluster.prefix, PARTITIONS).differences == []
    with closing(WallHouse(cluster, tmp_path_factory.mktemp("house"))) as house:
        house.start()
        yield house
        house.supervisor.stop()
        # Whatever strangers wrote: the logs say the same of it when everything is decided again, and can be projected.
        with closing(KafkaLog(cluster)) as log:
            log.live_by(run_of(log))
            verify(log)
            with closing(DuckStore(house.folder / "store.duckdb")) as store:
                Projector(log, store, PARTITIONS).catch_up()
                _, ((count,),) = store.fetch("SELECT count(*) FROM dead_letters")
                assert count >= len(house.letters)
