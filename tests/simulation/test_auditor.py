"""The independent auditor finds nothing in an honest log, and something in each dishonest one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from events.authorization import AuthorizationSubmitted, PaymentAuthorized
from events.base import Event
from events.envelope import Recorded
from events.fees import ProcessingFeeCharged
from events.lifecycle import PaymentCaptured
from events.partitions import TickPassed
from events.reconciliation import BankLineRecorded, PayoutPaid
from events.refunds import RefundApproved
from events.settlement import FundsMadeAvailable
from events.wire import decode_event, encode_event
from streams.hosts.embedded import EmbeddedLog
from streams.hosts.log import Append
from streams.topology import TOPICS as OUR_TOPICS
from tests.simulation import auditor
from tests.simulation.auditor import LOGS, TOPICS, Record
from tests.simulation.schedules import calm


def honest() -> list[Record]:
    """The records of a calm run."""
    log = calm(1).log
    assert log is not None
    return [
        (name, 0, stored.offset, stored.value) for name in LOGS for stored in log.read(name, 0, 0, 1_000_000)
    ]


def changed(kind: type[Event], change: Callable[[Recorded], list[Recorded]]) -> list[Record]:
    """An honest log in which the first event of a kind is replaced."""
    found = False

    def dishonest() -> Iterator[Record]:
        nonlocal found
        for topic, partition, offset, value in honest():
            recorded = decode_event(value)
            if not found and isinstance(recorded.body, kind):
                found = True
                for other in change(recorded):
                    yield topic, partition, offset, encode_event(other)
            else:
                yield topic, partition, offset, value

    records = list(dishonest())
    assert found, f"no {kind.__name__} in the run"
    return records


def with_body(recorded: Recorded, **fields: object) -> list[Recorded]:
    """The same event with other fields."""
    return [Recorded(recorded.meta, msgspec.structs.replace(recorded.body, **fields))]


def test_an_honest_log_has_no_findings() -> None:
    """Every invariant holds, by somebody else's code."""
    assert auditor.audit(honest()) == []


@pytest.mark.parametrize(
    ("kind", "change", "finding"),
    [
        (PaymentCaptured, lambda r: with_body(r, amount=r.body.amount + 1), "above authorized"),
        (PaymentCaptured, lambda r: with_body(r, hold_released=r.body.hold_released - 1), "is open with"),
        (PaymentAuthorized, lambda r: [], "has 0 outcomes"),
        (PaymentAuthorized, lambda r: [r, r], "has 2 outcomes"),
        (RefundApproved, lambda r: with_body(r, amount=10**9), "above captured"),
        (ProcessingFeeCharged, lambda r: with_body(r, amount=r.body.amount + 1), "is open with"),
        (FundsMadeAvailable, lambda r: with_body(r, amount=r.body.amount + 1), "do not sum to zero"),
        (PayoutPaid, lambda r: [], "PT of po-"),
        (BankLineRecorded, lambda r: with_body(r, amount=r.body.amount + 7), "SU of"),
        (AuthorizationSubmitted, lambda r: [r, r], "was submitted 2 times"),
        (TickPassed, lambda r: [], "follows"),
        (TickPassed, lambda r: [r, r], "is there twice"),
        (
            PaymentCaptured,
            lambda r: [Recorded(msgspec.structs.replace(r.meta, causation_id="nobody.1"), r.body)],
            "which is nowhere",
        ),
    ],
)
def test_a_planted_violation_is_named(
    kind: type[Event], change: Callable[[Recorded], list[Recorded]], finding: str
) -> None:
    """Each invariant can fail, and says what failed."""
    findings = auditor.audit(changed(kind, change))
    assert [line for line in findings if finding in line], findings


def test_bytes_that_are_no_event_are_a_finding() -> None:
    """Nothing that cannot be read is passed over."""
    records = honest()
    topic, partition, offset, value = records[10]
    records[10] = (topic, partition, offset, value[:-1])
    assert any(f"{topic}/{partition} at {offset}" in finding for finding in auditor.audit(records))


def test_the_auditor_reads_an_embedded_log_by_its_own_means(tmp_path: Path) -> None:
    """File layout and topic numbers are written down a second time, and agree."""
    assert tuple(topic.name for topic in OUR_TOPICS) == TOPICS
    log = EmbeddedLog(tmp_path / "log.db")
    records = honest()
    log.commit("test", [Append(topic, partition, 0, value) for topic, partition, _, value in records], {})
    log.close()
    assert sorted(auditor.records(tmp_path / "log.db")) == sorted(records)
    assert auditor.main([str(tmp_path / "log.db")]) == 0


def test_the_auditor_imports_nothing_of_ours() -> None:
    """A mistake of ours cannot be its mistake too."""
    lines = Path(auditor.__file__).read_text("utf-8").splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported.isdisjoint({"events", "streams", "projections", "infra", "schemas", "tests"})
