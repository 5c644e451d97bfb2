"""The independent auditor finds nothing in an honest log, and names each kind of dishonesty that is planted in one."""

import ast
import sqlite3
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.authorization import (
    AuthorizationIncremented,
    AuthorizationSubmitted,
    PaymentAuthorized,
    PaymentDeclined,
)
from events.balances import (
    ReserveRelease,
    ReserveReleased,
    ReserveWithheld,
    SettlementHoldPlaced,
    SettlementHoldReleased,
)
from events.base import Event
from events.clearing import (
    ClearingBatchClosed,
    ClearingRecordAccepted,
    ClearingRecordCreated,
    RefundCleared,
)
from events.clearingfiles import ClearingBatchAccepted, ClearingFileAccepted, ClearingFileSent
from events.disputes import (
    DisputeEvidenceRejected,
    DisputeEvidenceRequested,
    DisputeEvidenceSubmitted,
    DisputeOpened,
    DisputeStage,
    FraudConfirmed,
    LabelSource,
)
from events.envelope import Recorded
from events.exposure import MerchantDisputesTallied
from events.fees import InterchangeAssessed, ProcessingFeeCharged
from events.hotlist import (
    DeclineNoted,
    DeclineSignalled,
    HotlistApplied,
    HotlistReleased,
    Measure,
    VelocityLimitReached,
)
from events.intake import RequestReceived, RequestRejected
from events.labels import LabelApplied, PaymentLabelled
from events.lifecycle import AuthorizationExpired, PaymentCaptured, PaymentRequested, PaymentVoided
from events.messages import Marker
from events.partitions import MarkersTaken, ReferenceApplied, TickPassed
from events.reconciliation import BankLineRecorded, NetworkSettlementReceived, PayoutPaid, SchemeInvoicePaid
from events.refunds import RefundApproved
from events.review import (
    ReviewClosed,
    ReviewDecided,
    ReviewDecision,
    ReviewedBy,
    ReviewOpened,
    ReviewProposed,
)
from events.risk import Phase, RiskAssessed, Verdict
from events.settlement import (
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    MerchantSettingsChanged,
    MerchantSettingsRejected,
    PayoutInitiated,
    SettingsRejection,
    SettlementBatchClosed,
)
from events.wire import decode_event, encode_event, encode_message
from streams.hosts.embedded import EmbeddedLog
from streams.hosts.log import Append
from streams.topology import BROADCAST, ENGINES
from streams.topology import TOPICS as OUR_TOPICS
from tests.simulation import auditor
from tests.simulation.auditor import audit, reading
from tests.simulation.auditor.__main__ import main
from tests.simulation.auditor.logs import INPUTS, LOGS, TOPICS, Record
from tests.simulation.auditor.postings import POSTINGS
from tests.simulation.schedules import calm

Change = Callable[[list[Record]], list[Record]]


@lru_cache(maxsize=1)
def honest() -> tuple[Record, ...]:
    """Every record of a calm run, on every topic."""
    log = calm(1).log
    assert log is not None
    return tuple(
        (name, 0, stored.offset, stored.value)
        for name in TOPICS
        for stored in log.read(name, 0, 0, 1_000_000)
    )


@lru_cache(maxsize=1)
def decoded() -> dict[int, Recorded]:
    """The events among them, by place."""
    return {number: decode_event(record[3]) for number, record in enumerate(honest()) if record[0] in LOGS}


def first(kind: type[Event], when: Callable[[Any], bool] = lambda _: True) -> int:
    """Where the first event of a kind stands."""
    for number, recorded in decoded().items():
        if isinstance(recorded.body, kind) and when(recorded.body):
            return number
    raise AssertionError(f"no {kind.__name__} in the run")


def body(kind: type[Event], when: Callable[[Any], bool] = lambda _: True, **fields: Any) -> Change:
    """The first event of a kind with other fields; a function is given the old value."""

    def change(records: list[Record]) -> list[Record]:
        number = first(kind, when)
        recorded = decoded()[number]
        values = {name: f(getattr(recorded.body, name)) if callable(f) else f for name, f in fields.items()}
        other = Recorded(recorded.meta, msgspec.structs.replace(recorded.body, **values))
        records[number] = (*records[number][:3], encode_event(other))
        return records

    return change


def the_other(analyst: str) -> str:
    """The analyst who is not this one."""
    return "ben" if analyst == "ana" else "ana"


def limits_of_another(records: list[Record]) -> list[Record]:
    """Every limit is of one key, which nobody has."""
    for number, recorded in decoded().items():
        applied = recorded.body
        if isinstance(applied, ReferenceApplied) and applied.kind == "velocity":
            content = applied.content.replace('"value":""', '"value":"nobody"')
            other = Recorded(recorded.meta, msgspec.structs.replace(applied, content=content))
            records[number] = (*records[number][:3], encode_event(other))
    return records


def meta(kind: type[Event], **fields: Any) -> Change:
    """The first event of a kind in another envelope."""

    def change(records: list[Record]) -> list[Record]:
        number = first(kind)
        recorded = decoded()[number]
        other = Recorded(msgspec.structs.replace(recorded.meta, **fields), recorded.body)
        records[number] = (*records[number][:3], encode_event(other))
        return records

    return change


def caused_by(kind: type[Event], cause: type[Event]) -> Change:
    """The first event of a kind names another as its cause."""
    return lambda records: meta(kind, causation_id=decoded()[first(cause)].meta.event_id)(records)


def gone(kind: type[Event], when: Callable[[Any], bool] = lambda _: True) -> Change:
    """The first event of a kind is not there."""

    def change(records: list[Record]) -> list[Record]:
        del records[first(kind, when)]
        return records

    return change


def twice(kind: type[Event]) -> Change:
    """The first event of a kind is there twice."""

    def change(records: list[Record]) -> list[Record]:
        number = first(kind)
        return [*records[: number + 1], *records[number:]]

    return change


def moved(kind: type[Event], topic: str, partition: int = 0) -> Change:
    """The first event of a kind stands in another log."""

    def change(records: list[Record]) -> list[Record]:
        number = first(kind)
        records[number] = (topic, partition, *records[number][2:])
        return records

    return change


def bytes_of(kind: type[Event], value: Callable[[bytes], bytes]) -> Change:
    """The first event of a kind has other bytes."""

    def change(records: list[Record]) -> list[Record]:
        number = first(kind)
        records[number] = (*records[number][:3], value(records[number][3]))
        return records

    return change


def topic_record(topic: str, value: Callable[[bytes], bytes] | None, which: int = -1) -> Change:
    """A record of an input has other bytes, or (None) is not there."""

    def change(records: list[Record]) -> list[Record]:
        number = [number for number, record in enumerate(records) if record[0] == topic][which]
        if value is None:
            del records[number]
        else:
            records[number] = (*records[number][:3], value(records[number][3]))
        return records

    return change


def one_more(topic: str) -> Change:
    """A record stands on a topic that nobody has taken."""

    def change(records: list[Record]) -> list[Record]:
        end = sum(record[0] == topic for record in records)
        return [*records, (topic, 0, end, encode_message(Marker("intake/0", 1, 1, 1)))]

    return change


def more(by: int) -> Callable[[int], int]:
    """An amount that is a little more."""
    return lambda amount: amount + by


def test_an_honest_log_has_no_findings() -> None:
    """Every invariant holds, by somebody else's code; also where a log is shown without its topics."""
    assert [] == audit(honest())
    assert [] == audit(record for record in honest() if record[0] in LOGS)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_log_whose_run_has_not_ended_is_not_blamed_for_it(share: float) -> None:
    """What is on its way may be open; whatever has happened must still be right."""
    ends = {topic: int(share * sum(r[0] == topic for r in honest())) for topic in TOPICS}
    cut = [record for record in honest() if record[0] in LOGS and record[2] < ends[record[0]]]
    findings = audit(cut, ended=False)
    # The logs were cut at different moments: causes in the log before may be missing, and nothing else.
    assert [] == [finding for finding in findings if "as its cause, which is nowhere" not in finding]


def by_hotlist(assessed: RiskAssessed) -> bool:
    """Blocked because a key is listed."""
    return assessed.verdict is Verdict.BLOCK and any(
        rule.startswith("hotlist:device") for rule in assessed.rules
    )


def by_sum(passed: VelocityLimitReached) -> bool:
    """What was asked for came to too much."""
    return passed.measure is Measure.SUM


def by_declines(passed: VelocityLimitReached) -> bool:
    """Too much was declined."""
    return passed.measure is Measure.DECLINES


def approved(one: ReviewDecided) -> bool:
    """A payment that was then captured by itself."""
    bodies = [recorded.body for recorded in decoded().values()]
    captured = {found.payment_id for found in bodies if isinstance(found, PaymentCaptured)}
    return one.decision is ReviewDecision.APPROVE and one.payment_id in captured


def let_on(one: RiskAssessed) -> bool:
    """A payment that was captured behind its second verdict."""
    bodies = [recorded.body for recorded in decoded().values()]
    captured = {found.payment_id for found in bodies if isinstance(found, PaymentCaptured)}
    return one.phase is Phase.AFTER_AUTHORIZATION and one.payment_id in captured


def taken_back(one: PaymentVoided) -> bool:
    """A payment that was blocked behind its authorization."""
    bodies = [recorded.body for recorded in decoded().values()]
    return one.payment_id in {
        found.payment_id
        for found in bodies
        if isinstance(found, RiskAssessed)
        and found.phase is Phase.AFTER_AUTHORIZATION
        and found.verdict is Verdict.BLOCK
    }


def by_two(one: ReviewDecided) -> bool:
    """Decided by two people."""
    return bool(one.proposed_by)


def lapsed(one: ReviewOpened) -> bool:
    """Decided by its deadline."""
    bodies = [recorded.body for recorded in decoded().values()]
    return any(
        isinstance(found, ReviewDecided)
        and found.payment_id == one.payment_id
        and found.reviewed_by is ReviewedBy.DEADLINE
        for found in bodies
    )


def answered(one: DisputeEvidenceRequested | DisputeOpened) -> bool:
    """About the case whose evidence was the first to be submitted."""
    submitted = decoded()[first(DisputeEvidenceSubmitted)].body
    assert isinstance(submitted, DisputeEvidenceSubmitted)
    return one.case_id == submitted.case_id


def of_inn(one: PayoutInitiated) -> bool:
    """The contract of this merchant has a minimum."""
    return one.merchant == "inn" and one.attempt == 1


def other(reason: SettingsRejection) -> SettingsRejection:
    """The one that it is not."""
    return next(one for one in SettingsRejection if one is not reason)


PLANTED: dict[str, tuple[Change, str]] = {
    # postings and limits
    "legs": (body(FundsMadeAvailable, amount=more(1)), "do not sum to zero"),
    "owner": (moved(PayoutPaid, "settlement"), "posts to SU, which is not an account of settlement"),
    "authorized": (body(PaymentAuthorized, approved_amount=more(10**6)), "above requested"),
    "captured": (body(PaymentCaptured, amount=more(1), hold_released=more(1)), "above authorized"),
    "captured without hold": (body(PaymentCaptured, hold_released=more(-1)), "PaymentCaptured releases"),
    "captured far above": (body(PaymentCaptured, amount=lambda amount: 2 * amount), "above capturable"),
    "incremented": (body(AuthorizationIncremented, total=more(1)), "AuthorizationIncremented of"),
    "increment without an answer": (gone(AuthorizationIncremented), "has 0 outcomes"),
    "refunded": (body(RefundApproved, amount=10**9), "above captured"),
    "released twice": (body(PaymentCaptured, hold_released=more(10**6)), "leaves released"),
    "currency": (body(PaymentCaptured, currency="XOF"), "is in XOF, the payment in"),
    "negative": (body(PaymentCaptured, amount=-5), "has a negative amount"),
    "overdraft": (body(PayoutInitiated, amount=more(1)), "leaves -1 available"),
    "interchange": (body(InterchangeAssessed, amount=more(2)), "not its rate of"),
    "interchange of nothing": (body(InterchangeAssessed, record_id="clr-0"), "which no network has accepted"),
    # what is kept back and owed
    "reserve": (body(ReserveWithheld, amount=more(1)), "ReserveWithheld of"),
    "reserve too early": (
        body(
            ReserveReleased,
            lambda released: released.reason is not ReserveRelease.SHORT_BALANCE,
            reason=ReserveRelease.SHORT_BALANCE,
        ),
        "ReserveReleased of",
    ),
    "reserve of nothing": (body(ReserveReleased, reserve_id="reserve-0"), "leaves -"),
    "reserve never released": (gone(ReserveReleased), "is still kept"),
    "hold without approver": (body(SettlementHoldPlaced, approver=""), "nobody has approved the hold"),
    "hold released": (body(SettlementHoldReleased, amount=more(1)), "is not what h-2 keeps"),
    "statement": (body(SettlementBatchClosed, available=more(1)), "the balance is"),
    # nothing is left open
    "AR": (gone(AuthorizationExpired), "AR of pay-"),
    "AH": (gone(AuthorizationExpired), "AH of pay-"),
    "NU": (gone(ClearingRecordAccepted), "NU of cap-"),
    "NR": (gone(NetworkSettlementReceived), "NR of "),
    "RT": (gone(RefundCleared), "RT of ref-"),
    "MP": (body(ProcessingFeeCharged, amount=more(1)), "MP of fee:cap-"),
    "PT": (gone(PayoutPaid), "PT of po-"),
    "SU": (gone(SchemeInvoicePaid), "SU of "),
    "SP": (gone(SchemeInvoicePaid), "SP of "),
    "merchant": (body(MerchantBalanceAdjusted, merchant="other"), "other: captured 0"),
    "bank": (body(BankLineRecorded, amount=more(7)), "its statements come to"),
    # clearing files
    "record in no file": (gone(ClearingRecordCreated), "it has ("),
    "batch in no file": (gone(ClearingBatchAccepted), "is in no file that a network took"),
    "batch in two files": (twice(ClearingBatchAccepted), "already"),
    "batch never closed": (gone(ClearingBatchClosed), "was never closed"),
    "accepted with other totals": (
        body(ClearingBatchAccepted, presented_amount=more(1)),
        "with other totals",
    ),
    "file with other totals": (body(ClearingFileAccepted, records=more(1)), "its records do not come to"),
    "file with other bytes": (
        body(ClearingRecordCreated, merchant="other"),
        "has other bytes than its records make",
    ),
    "file of another hash": (body(ClearingFileAccepted, sha256="0" * 64), "something else than was sent"),
    "file never accepted": (gone(ClearingFileAccepted), "was accepted 0 times"),
    "refused and not sent again": (
        gone(ClearingFileSent, lambda sent: sent.attempt == 2),
        "was not sent again after attempt 1",
    ),
    # what is decided about fraud
    "miscounted": (
        body(RiskAssessed, features=lambda features: [features[0] + 1, *features[1:]]),
        "was measured as [2, 1, 1, 1, 1, ",
    ),
    "sent though blocked": (body(RiskAssessed, verdict=Verdict.BLOCK), "was blocked, and is submitted"),
    # evidence
    "other evidence": (
        body(DisputeEvidenceSubmitted, documents=["00" * 32]),
        "not what its merchant has sent",
    ),
    "other stage": (body(DisputeEvidenceSubmitted, stage=DisputeStage.INQUIRY), "not what its merchant has"),
    "another's case": (body(DisputeEvidenceRequested, answered, merchant="other"), "which is not its own"),
    "evidence too late": (body(DisputeOpened, answered, reply_by_at=1), "came when its time had ended"),
    "evidence unheard": (gone(DisputeEvidenceRejected), "the evidence has no answer"),
    "evidence heard twice": (twice(DisputeEvidenceRejected), "which nobody has asked for, or not again"),
    "captured though blocked": (body(RiskAssessed, let_on, verdict=Verdict.BLOCK), "and is captured"),
    "not taken back": (
        gone(PaymentVoided, taken_back),
        "was blocked behind its authorization, and is not let go",
    ),
    "assessed too early": (
        body(RiskAssessed, phase=Phase.AFTER_AUTHORIZATION),
        "is assessed again, and was not authorized",
    ),
    "a fraud too many": (
        body(RiskAssessed, features=lambda features: [*features[:41], features[41] + 1, *features[42:]]),
        "frauds under its keys, and there are",
    ),
    "linked to nobody": (
        body(RiskAssessed, features=lambda features: [*features[:67], features[67] + 1, *features[68:]]),
        "was told of clusters as",
    ),
    "a payer changed too often": (
        body(RiskAssessed, features=lambda features: [*features[:75], features[75] + 1, *features[76:]]),
        "has a payer measured as",
    ),
    "a payer from too far": (
        body(RiskAssessed, features=lambda features: [*features[:72], features[72] + 9, *features[73:]]),
        "is said to have travelled",
    ),
    "found by nobody": (
        body(FraudConfirmed, lambda said: said.source == LabelSource.ANALYST, reference="nobody"),
        "is said to be found, and was not",
    ),
    "told otherwise": (body(MerchantDisputesTallied, cleared=more(1)), "is told as"),
    "told of a merchant in vain": (gone(MerchantDisputesTallied), "was told to nobody"),
    "labelled by nobody": (gone(FraudConfirmed), "which nobody said last"),
    "labelled otherwise": (body(PaymentLabelled, number=more(1)), "with another number or time"),
    "labelled in vain": (gone(LabelApplied), "count here or elsewhere alone"),
    "labelled elsewhere alone": (body(LabelApplied, number=more(1)), "counts, and nobody told of it"),
    "told of nothing": (gone(PaymentLabelled), "labels, and velocity was told of"),
    # settings
    "other settings": (body(MerchantSettingsChanged, minimum_payout=more(1)), "is not what"),
    "other settings before": (body(MerchantSettingsChanged, old_minimum_payout=more(1)), "and is paid by"),
    "settings unheard": (gone(MerchantSettingsChanged), "the settings have no answer"),
    "settings heard twice": (twice(MerchantSettingsChanged), "which it has not asked for, or not again"),
    "settings refused": (body(MerchantSettingsRejected, reason=other), "is refused as"),
    "less than wanted": (body(PayoutInitiated, of_inn, amount=1), "less than"),
    # once, and why
    "no outcome": (gone(PaymentDeclined), "has 0 outcomes"),
    "two outcomes": (twice(PaymentAuthorized), "has 2 outcomes"),
    "no answer": (gone(RequestRejected), "has 0 answers"),
    "two answers": (twice(RequestRejected), "has 2 answers"),
    "submitted again": (twice(AuthorizationSubmitted), "AuthorizationSubmitted of pay-"),
    "captured again": (twice(PaymentCaptured), "PaymentCaptured of cap-"),
    "paid again": (twice(PayoutPaid), "PayoutPaid of bank-"),
    "gap": (gone(TickPassed), "follows"),
    "twice": (twice(TickPassed), "is there twice"),
    "two homes": (moved(RiskAssessed, "payments", 3), "is one of payments/"),
    "cause that is not": (meta(PaymentCaptured, causation_id="nobody.1"), "as its cause, which is nowhere"),
    "no cause": (meta(PaymentCaptured, causation_id=""), "has neither a source nor a cause"),
    "idle cause": (caused_by(PaymentRequested, RequestRejected), "a RequestRejected, which must do nothing"),
    # the hotlist
    "nothing passed": (body(VelocityLimitReached, measured=more(9)), "were seen"),
    "within the limit": (body(VelocityLimitReached, allowed=more(9)), "were seen"),
    "a sum that was not": (body(VelocityLimitReached, by_sum, measured=more(10**9)), "were seen"),
    "declines that were not": (body(VelocityLimitReached, by_declines, measured=more(9)), "were seen"),
    "declines of another window": (body(VelocityLimitReached, by_declines, window="24h"), "in force is of"),
    "declined unheard": (gone(DeclineNoted), "and that is noted nowhere"),
    "declined here alone": (gone(DeclineSignalled), "its decline in"),
    "declined twice": (twice(DeclineSignalled), "to be declined a second time"),
    "declined another": (body(DeclineNoted, device_ref="x"), "with other keys"),
    "declined at another time": (body(DeclineSignalled, paid_at=more(1)), "and no payment of then"),
    "nobody's limit": (body(VelocityLimitReached, limit_id="x"), "no limit x in force is of"),
    "another's limit": (limits_of_another, "in force is of"),
    "not announced": (
        body(HotlistApplied, lambda one: one.listed_by == "limit", reason="x"),
        "nobody announced",
    ),
    "not listed": (body(HotlistReleased, item="ip:x"), "is released and was not listed"),
    "held too long": (
        body(HotlistApplied, lambda one: one.listed_by == "operator", until_at=1),
        "is still listed",
    ),
    "not blocked": (body(RiskAssessed, by_hotlist, verdict=Verdict.REVIEW), "is not blocked"),
    "not named": (body(RiskAssessed, by_hotlist, rules=[]), "names [] as listed"),
    # reviews
    "captured unseen": (gone(ReviewDecided, approved), "a review of it is open or has turned it down"),
    "decided alone": (body(ReviewDecided, by_two, proposed_by=""), "without another who agrees"),
    "decided by one twice": (body(ReviewProposed, analyst=the_other), "without another who agrees"),
    "fell too early": (body(ReviewOpened, lapsed, deadline_at=2**60), "before its deadline"),
    "fell elsewhere": (body(ReviewOpened, lapsed, falls_to=ReviewDecision.REFUND), "to what it should not"),
    "never ended": (gone(ReviewClosed), "is still open"),
    "not reviewed": (gone(ReviewOpened), "was not"),
    # inputs
    "not taken": (gone(RequestReceived), "is taken after"),
    "taken again": (twice(RequestReceived), "is taken again"),
    "taken as something else": (body(PaymentRequested, amount=more(1)), "what does not stand there"),
    "a marker as another": (
        body(MarkersTaken, markers=lambda m: [msgspec.structs.replace(m[0], at=5), *m[1:]]),
        "what does not stand there",
    ),
    "taken from nowhere": (topic_record("payments.inbox", None), "where nothing stands"),
    "altered on its topic": (
        topic_record("settlement.inbox", lambda value: value[:-1] + bytes([value[-1] ^ 2])),
        "what does not stand there",
    ),
    "unread": (one_more("payments.inbox"), "of the"),
    "no input of this log": (moved(RequestReceived, "settlement"), "which settlement does not read"),
    # bytes
    "truncated": (bytes_of(PaymentCaptured, lambda value: value[:-1]), "payments/0 at"),
    "longer": (bytes_of(PaymentCaptured, lambda value: value + b"\0"), "has bytes to spare"),
    "no schema": (bytes_of(PaymentCaptured, lambda value: b"\0\0\0\x7f\xff" + value[5:]), "ever published"),
    "no header": (bytes_of(PaymentCaptured, lambda value: b""), "ever published"),
    "a message": (
        bytes_of(PaymentCaptured, lambda _: encode_message(Marker("intake/0", 1, 1, 1))),
        "a message stands in a log",
    ),
    "hole": (gone(RiskAssessed), "it stands behind"),
}


@pytest.mark.parametrize(("change", "finding"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_named(change: Change, finding: str) -> None:
    """Each invariant can fail, and says what failed."""
    findings = audit(change(list(honest())))
    assert [line for line in findings if finding in line], findings


def test_the_findings_have_an_end() -> None:
    """A log of rubbish does not fill a disk with what is wrong with it."""
    rubbish = [("payments", 0, number, b"rubbish") for number in range(1_000)]
    assert auditor.MOST_FINDINGS == len(audit(rubbish))


# --- by its own means ---------------------------------------------------------------------------------


def test_what_is_written_down_twice_agrees() -> None:
    """Topics, inputs and the names of events that post: the auditor has its own lists of them."""
    assert tuple(topic.name for topic in OUR_TOPICS) == TOPICS
    assert {spec.name: set(spec.inputs) for spec in ENGINES} == {
        log: set(topics) for log, topics in INPUTS.items()
    }
    assert {"reference"} == BROADCAST
    from events.postings import _RULES

    assert {kind.__name__ for kind in _RULES} == POSTINGS.keys()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The honest log as a file."""
    path = tmp_path / "log.db"
    log = EmbeddedLog(path)
    log.commit("test", [Append(topic, partition, 7, value) for topic, partition, _, value in honest()], {})
    log.close()
    return path


def test_a_file_is_read_without_our_code(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row numbers, topics and the chain, by its own reading of the format."""
    assert sorted(honest()) == sorted(reading.records(file))
    assert 0 == main([str(file)])
    assert capsys.readouterr().out.endswith("events audited, 0 findings\n")
    assert 0 == main([str(file), "--open"])


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE record SET at = at + 1 WHERE id = (SELECT max(id) FROM record)", "the chain of"),
        ("UPDATE record SET value = x'00' WHERE id = (SELECT max(id) FROM record)", "the chain of"),
        ("DELETE FROM record WHERE id = (SELECT id FROM record LIMIT 1 OFFSET 9)", "the chain of"),
        ("DROP TABLE record", "no such table"),
    ],
)
def test_an_altered_file_is_found(
    file: Path, statement: str, finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the row still decodes."""
    vandal = sqlite3.connect(file)
    vandal.execute(statement)
    vandal.commit()
    vandal.close()
    assert 1 == main([str(file)])
    assert finding in capsys.readouterr().out


def test_the_auditor_imports_nothing_of_ours() -> None:
    """A mistake of ours cannot be its mistake too."""
    imported: set[str] = set()
    for room in Path(auditor.__file__).parent.rglob("*.py"):
        tree = ast.parse(room.read_text("utf-8"))
        nodes = list(ast.walk(tree))
        imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    tops = {name.partition(".")[0] for name in imported if not f"{name}.".startswith(f"{auditor.__name__}.")}
    assert tops - sys.stdlib_module_names == {"confluent_kafka", "fastavro"}
