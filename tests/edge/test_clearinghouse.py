"""The networks' back offices: one file for all partitions, taken whole or not at all, and answered record by record."""

import logging
from collections import Counter
from itertools import permutations
from unittest.mock import patch

import msgspec
import pytest

from events.base import Event
from events.calendar import HOUR, MINUTE, SECOND
from events.clearing import ClearingBatchClosed, ClearingRecordAnswered, ClearingRejection, RecordKind
from events.clearingfiles import ClearingFileAccepted, ClearingFileRejected, ClearingFileSent, FileRejection
from events.envelope import Recorded
from events.errors import Broken
from events.messages import Handover, Marker
from events.partitions import ClockKind, LogOpened, TickPassed
from streams.edge import clearinghouse
from streams.edge.clearinghouse import LAST_ATTEMPT, ClearingHouse, ClearingHouseState, Mishap, mishap
from streams.edge.dice import MILLION
from streams.edge.presenting import present
from streams.hosts.edges import Outgoing
from tests.edge.clearing import cleared, record
from tests.streams.builders_early import NOON, recorded

SEED = 4
FILE = "visa-20260309T1200-1"


def passes(house: ClearingHouse, tick: int, at: int = NOON, partition: int = 0) -> list[Outgoing]:
    return house.see("payments", partition, recorded(TickPassed(tick, at, 1)))


def facts(said: list[Outgoing], partition: int = 0) -> list[Event]:
    """What a partition is told."""
    return [
        one.message.fact
        for one in said
        if isinstance(one.message, Handover) and (one.topic, one.partition) == ("network.notices", partition)
    ]


def wall(house: ClearingHouse) -> ClearingHouse:
    for partition in range(house.partitions):
        opened = LogOpened("payments", partition, house.partitions, ClockKind.WALL, 1, NOON, 0, "{}", [])
        assert [] == house.see("payments", partition, recorded(opened))
    return house


def always(*mishaps: Mishap) -> "patch[tuple[tuple[Mishap, int], ...]]":
    """Each attempt meets one of these, evenly; the last one none."""
    return patch.object(clearinghouse, "MISHAPS", tuple((one, MILLION // len(mishaps)) for one in mishaps))


# --- the file -----------------------------------------------------------------------------------------


def test_a_file_leaves_when_its_tick_is_over_before_the_marker() -> None:
    """Sent, taken, then each record answered; all of it caused by what the log said."""
    house = ClearingHouse(1, SEED)
    cleared(house, record())
    out = passes(house, 1)
    assert [ClearingFileSent, ClearingFileAccepted, ClearingRecordAnswered] == list(map(type, facts(out)))
    assert Marker("network/0", 1, NOON, 0) == out[-1].message
    sent, accepted = facts(out)[:2]
    assert isinstance(sent, ClearingFileSent)
    assert isinstance(accepted, ClearingFileAccepted)
    assert (FILE, 1, 1) == (sent.file_id, sent.attempt, sent.records)
    assert msgspec.structs.asdict(sent) == msgspec.structs.asdict(accepted)
    causes = [one.message.causation_id for one in out if isinstance(one.message, Handover)]
    assert causes == ["intake-0.1", "intake-0.1", f"{record().payment_id}.1"]


def test_batches_of_all_partitions_are_one_file() -> None:
    """It waits for the last of them; each partition is told of the whole file and of its own records."""
    house = ClearingHouse(3, SEED)
    cleared(house, record(1), record(2), partition=0)
    assert passes(house, 1, partition=0) == []
    assert passes(house, 1, partition=1) == []
    cleared(house, record(3), partition=2)
    out = passes(house, 1, partition=2)
    assert facts(out, 1) == []
    first, third = facts(out, 0), facts(out, 2)
    assert first[:2] == third[:2]
    accepted = first[1]
    assert isinstance(accepted, ClearingFileAccepted)
    assert (3, 12_000) == (accepted.records, accepted.batches[0].presented_amount)
    assert (["clr-1", "clr-2"], ["clr-3"]) == tuple(
        [one.record_id for one in said if isinstance(one, ClearingRecordAnswered)] for said in (first, third)
    )
    markers = [one.partition for one in out if isinstance(one.message, Marker)]
    assert [0, 1, 2] == markers


@pytest.mark.parametrize("partitions", [1, 2, 4])
def test_the_bytes_do_not_depend_on_partitions(partitions: int) -> None:
    """One hash for any number of them."""
    house = ClearingHouse(partitions, SEED)
    for partition in range(partitions):
        mine = [record(number) for number in range(40) if number % partitions == partition]
        cleared(house, *mine, partition=partition)
    out = [said for partition in range(partitions) for said in passes(house, 1, partition=partition)]
    (digest,) = {one.sha256 for one in facts(out) if isinstance(one, ClearingFileAccepted)}
    assert digest == "7e101764d2538eab2a426aaa04ad2a5d3e4952959f7eb05feda27b770c6bb9e8"


def test_the_order_in_which_logs_are_read_changes_nothing() -> None:
    """Whole logs one after the other, in any order: each partition hears the same in the same order."""
    heard = set()
    for order in permutations(range(3)):
        house = ClearingHouse(3, SEED)
        out: list[Outgoing] = []
        for partition in order:
            for tick in (1, 2):
                at = NOON + tick * HOUR
                cleared(house, record(10 * partition + tick), partition=partition, at=at)
                out += passes(house, tick, at, partition)
        heard.add(
            tuple(tuple(map(str, (one.message for one in out if one.partition == p))) for p in range(3))
        )
    assert len(heard) == 1


def test_networks_and_currencies_have_files_and_batches_of_their_own() -> None:
    """A file for each network, in it a batch for each currency."""
    house = ClearingHouse(1, SEED)
    amex = {"network": "amex", "batch_id": "amex-USD-20260309"}
    cleared(house, record(1), record(2, currency="EUR", batch_id="visa-EUR-20260309"), record(3, **amex))
    taken = [one for one in facts(passes(house, 1)) if isinstance(one, ClearingFileAccepted)]
    assert [("amex-20260309T1200-1", ["USD"]), (FILE, ["EUR", "USD"])] == [
        (one.file_id, [batch.currency for batch in one.batches]) for one in taken
    ]


def test_what_comes_later_for_the_same_cut_off_is_another_file() -> None:
    """By the wall's clock a profile may come into force here and there at different moments: nothing is lost."""
    house = ClearingHouse(1, SEED)
    cleared(house, record(1))
    passes(house, 1)
    cleared(house, record(2), at=NOON + MINUTE)
    taken = [one for one in facts(passes(house, 2, NOON + MINUTE)) if isinstance(one, ClearingFileAccepted)]
    assert ["visa-20260309T1200-2"] == [one.file_id for one in taken]


def test_control_totals_that_are_not_those_of_the_records_stop_it() -> None:
    """A batch that does not add up is not sent to anybody."""
    house = ClearingHouse(1, SEED)
    house.see("payments", 0, recorded(record()))
    closed = ClearingBatchClosed("visa", "USD", "visa-USD-20260309", NOON, 1, 4_001, 0, 0)
    with pytest.raises(Broken, match="which its records do not come to"):
        house.see("payments", 0, recorded(closed))


# --- what goes wrong with it --------------------------------------------------------------------------


def attempts(*mishaps: Mishap, seed: int = SEED) -> list[Event]:
    """What is said of a file that meets these."""
    house = ClearingHouse(1, seed)
    cleared(house, record(1), record(2))
    with always(*mishaps):
        return facts(passes(house, 1))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (Mishap.CUT, FileRejection.INCOMPLETE),
        (Mishap.GARBLED, FileRejection.TOTALS),
        (Mishap.MISCOUNTED, FileRejection.TOTALS),
    ],
)
def test_a_file_that_does_not_arrive_whole_is_refused_whole_and_sent_again(
    wrong: Mishap, reason: FileRejection
) -> None:
    """Nothing of it is taken; the attempt that arrives is, and each record is answered once."""
    said = attempts(wrong)
    sent = [one for one in said if isinstance(one, ClearingFileSent)]
    refused = [one for one in said if isinstance(one, ClearingFileRejected)]
    (accepted,) = (one for one in said if isinstance(one, ClearingFileAccepted))
    assert [1, 2, 3] == [one.attempt for one in sent]
    assert [(1, reason), (2, reason)] == [(one.attempt, one.reason) for one in refused]
    assert (LAST_ATTEMPT, sent[-1].sha256) == (accepted.attempt, accepted.sha256)
    assert len({one.sha256 for one in sent}) == 3
    answered = [one.record_id for one in said if isinstance(one, ClearingRecordAnswered)]
    assert ["clr-1", "clr-2"] == answered


def test_a_wrong_total_of_ours_is_corrected() -> None:
    """The trailer says a unit too much, the network says which; what we recorded are the records' own totals."""
    first, refused, *_ = attempts(Mishap.MISCOUNTED)
    assert isinstance(first, ClearingFileSent)
    assert isinstance(refused, ClearingFileRejected)
    assert 8_000 == first.batches[0].presented_amount
    assert "presented_amount is said to be 8100, and its records come to 8000" in refused.detail


def test_an_acknowledgement_that_is_lost_does_not_make_a_file_twice() -> None:
    """It is sent again and refused as one that the network has; its acceptance stays that of the first."""
    said = attempts(Mishap.UNHEARD)
    kinds = [type(one).__name__.removeprefix("ClearingFile") for one in said]
    assert ["Sent", "Sent", "Sent", "Rejected", "Accepted"] == kinds[:5]
    assert [FileRejection.DUPLICATE] == [one.reason for one in said if isinstance(one, ClearingFileRejected)]
    (accepted,) = (one for one in said if isinstance(one, ClearingFileAccepted))
    assert 1 == accepted.attempt
    assert ["clr-1", "clr-2"] == [one.record_id for one in said if isinstance(one, ClearingRecordAnswered)]


def test_whoever_has_not_heard_of_an_acceptance_does_not_give_up() -> None:
    """Taken unheard, then cut on the line, then known to be a duplicate: three attempts, one file."""
    ways = dict(enumerate((Mishap.UNHEARD, Mishap.CUT), 1))
    house = ClearingHouse(1, SEED)
    cleared(house, record(1))
    with patch.object(clearinghouse, "mishap", lambda _seed, _file, attempt: ways.get(attempt)):
        said = facts(passes(house, 1))
    reasons = [(one.attempt, one.reason) for one in said if isinstance(one, ClearingFileRejected)]
    assert [(2, FileRejection.INCOMPLETE), (3, FileRejection.DUPLICATE)] == reasons
    assert [1] == [one.attempt for one in said if isinstance(one, ClearingFileAccepted)]
    assert ["clr-1"] == [one.record_id for one in said if isinstance(one, ClearingRecordAnswered)]


def test_most_files_arrive_and_each_mishap_happens() -> None:
    """About one in twenty meets something, at its first attempt or its second; none at its last."""
    files = [f"visa-{number}" for number in range(20_000)]
    found = Counter(mishap(SEED, one, 1) for one in files)
    assert set(found) == {None, *Mishap}
    assert 0.93 < found[None] / len(files) < 0.97
    assert {None} == {mishap(SEED, one, LAST_ATTEMPT) for one in files}


def test_what_was_committed_before_a_crash_is_all_that_is_needed() -> None:
    """Restored from its state before each record it reads, it says what it would have said."""
    log: list[tuple[int, Recorded]] = []

    class Taking(ClearingHouse):
        def see(self, topic: str, partition: int, recorded: Recorded) -> list[Outgoing]:
            log.append((partition, recorded))
            return []

    note = Taking(2, SEED)
    for day in range(3):
        for partition in range(2):
            numbers = range(10 * day + 5 * partition, 10 * day + 5 * partition + 5)
            cleared(note, *map(record, numbers), partition=partition, at=NOON + day * HOUR)
            log.append((partition, recorded(TickPassed(day + 1, NOON + day * HOUR, 1))))
    whole = ClearingHouse(2, SEED)
    with always(*Mishap):
        wanted = [out for partition, one in log for out in whole.see("payments", partition, one)]
        state, found = msgspec.msgpack.encode(ClearingHouse(2, SEED).state), []
        for partition, one in log:
            house = ClearingHouse(2, SEED)
            house.state = msgspec.msgpack.decode(state, type=ClearingHouseState)
            found += house.see("payments", partition, one)
            state = msgspec.msgpack.encode(house.state)
    assert wanted == found
    assert any(isinstance(one, ClearingFileRejected) for one in facts(wanted))


# --- by the wall's clock ------------------------------------------------------------------------------


def test_nobody_waits_for_a_clearing_house_in_wall_time() -> None:
    """So it hands no ticks over; what it says comes all the same."""
    house = wall(ClearingHouse(1, SEED))
    assert [] == passes(house, 9)
    cleared(house, record())
    assert 3 == len(facts(passes(house, 10)))


def test_a_file_that_waits_for_a_log_is_said_to_wait(caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the log it waits for; and it leaves when that has come."""
    house = wall(ClearingHouse(2, SEED))
    caplog.set_level(logging.WARNING)
    passes(house, 1, NOON - MINUTE, partition=1)
    cleared(house, record(), partition=0)
    for tick in range(2, 40):
        assert [] == passes(house, tick, NOON + tick * 30 * SECOND, partition=0)
    assert ["waits for payments/1: it leaves when that has passed 2026-03-09T12:00:00.000000Z"] == [
        one.getMessage().partition("Z ")[2] for one in caplog.records
    ]
    assert 3 == len(facts(passes(house, 40, NOON + HOUR, partition=1)))
    assert house.state.overdue == []


# --- what networks say of records ---------------------------------------------------------------------


def test_accepted_records_settle_in_the_cycle_of_their_day() -> None:
    """With the network's own interchange: 1.51 % of 40.00 and ten cents."""
    house = ClearingHouse(1, SEED)
    number = next(n for n in range(100) if present(SEED, record(n), NOON).accepted)
    cleared(house, record(number))
    (answered,) = (one for one in facts(passes(house, 1)) if isinstance(one, ClearingRecordAnswered))
    expected = ClearingRecordAnswered(
        record(number).payment_id,
        "visa",
        f"clr-{number}",
        True,
        ClearingRejection.NONE,
        "visa-USD-2026-03-09",
        4000,
        "USD",
        4000,
        "USD",
        70,
    )
    assert expected == answered


def test_a_refund_brings_interchange_back() -> None:
    """It is negative: what the issuer gives back; and nothing is invoiced for it."""
    said = next(
        said
        for number in range(100)
        if (said := present(SEED, record(number, kind=RecordKind.REFUND), NOON)).accepted
    )
    assert (0, 4000, -70, 0) == (said.presented, said.refunded, said.interchange, said.scheme_fee)


@pytest.mark.parametrize(("presentment", "low", "high"), [(1, 0.003, 0.008), (2, 0.08, 0.12)])
def test_few_records_are_refused(presentment: int, low: float, high: float) -> None:
    """Five in a thousand the first time, most of them for data that can be put right; one in ten the second."""
    said = [present(SEED, record(number, presentment=presentment), NOON) for number in range(10_000)]
    refused = Counter(one.rejection for one in said if not one.accepted)
    assert low < sum(refused.values()) / len(said) < high
    assert all(one.cycle == "" and one.interchange == 0 for one in said if not one.accepted)
    if presentment == 1:
        assert refused[ClearingRejection.INVALID_DATA] > refused[ClearingRejection.DUPLICATE_PRESENTMENT] > 0
    else:
        assert {ClearingRejection.AUTHORIZATION_NOT_FOUND} == set(refused)
