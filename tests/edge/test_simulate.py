"""The simulated day: how many payments it has, that everything is in it, and that it comes again."""

from collections import Counter
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from events.calendar import DAY, HOUR, MINUTE
from events.errors import Refused
from events.identity import looks_like_pan, operation_id
from events.intake import (
    DuplicateRequestObserved,
    IdempotencyConflictObserved,
    RequestAccepted,
    RequestRejected,
    RequestRejection,
)
from events.partitions import ReferenceApplied
from events.requests import (
    Answered,
    CaptureRequest,
    EvidenceRequest,
    IncrementRequest,
    InputRow,
    Operation,
    PaymentRequest,
    ReferencePublished,
    RefundRequest,
    Request,
    SettingsRequest,
    VoidRequest,
)
from streams import intake
from streams.edge.attackedday import attacked
from streams.edge.inputs import hash_of
from streams.edge.market import HOURS, TRADES, amount_of, seconds_of_day
from streams.edge.reference import starter_merchants, starter_networks
from streams.edge.simulate import CARD_TEST_PAYMENTS, DAY_AT, SLOW_FROM, SLOW_NETWORK, simulate, write_day
from tests.streams.builders_early import Bench, received, recorded

Row = Request


def requests(rows: list[InputRow]) -> list[tuple[int, Row]]:
    """Stamps and requests, without reference data."""
    return [(row.ingested_at, row.entry) for row in rows if not isinstance(row.entry, ReferencePublished)]


def taken(rows: list[InputRow]) -> list[object]:
    """What intake decides on the whole day."""
    bench = Bench(intake)
    decided: list[object] = []
    for row in rows:
        entry = row.entry
        if isinstance(entry, ReferencePublished):
            applied = ReferenceApplied(entry.kind, entry.ref_id, entry.version, entry.sha256, entry.content)
            bench.state = intake.evolve(bench.state, recorded(applied, at=row.ingested_at))
            continue
        mac = sha256(msgspec.json.encode(entry)).hexdigest()
        one = recorded(received(entry, mac), at=row.ingested_at, occurred_at=entry.occurred_at)
        bench.state = intake.evolve(bench.state, one)
        for body in intake.decide(bench.state, one):
            bench.state = intake.evolve(bench.state, recorded(body, at=row.ingested_at))
            decided.append(body)
    return decided


@pytest.fixture(scope="module")
def day() -> list[InputRow]:
    """A day of three thousand payments."""
    return list(simulate(3_000, seed=13))


@pytest.mark.parametrize(("payments", "seed"), [(1, 1), (2, 9), (33, 2), (300, 36), (1_200, 3)])
def test_exactly_so_many_payments_are_accepted(payments: int, seed: int) -> None:
    """What is bad, repeated or in conflict comes on top: intake accepts as many as were asked for."""
    accepted = [body for body in taken(list(simulate(payments, seed))) if isinstance(body, RequestAccepted)]
    assert payments == sum(body.operation is Operation.PAYMENT for body in accepted)
    assert payments == len({body.payment_id for body in accepted if body.operation is Operation.PAYMENT})


def test_a_thief_tries_a_card_out() -> None:
    """Eight small payments in a few minutes, each larger than the one before: seed 42 has such a card."""
    rows = requests(list(simulate(300, seed=42)))
    payments = [entry for _, entry in rows if isinstance(entry, PaymentRequest)]
    times = Counter(entry.card_id for entry in payments if entry.amount <= 450 and entry.amount % 50 == 0)
    tried = [entry for entry in payments if entry.card_id == max(times, key=lambda card: times[card])]
    assert [100 + 50 * number for number in range(CARD_TEST_PAYMENTS)] == [entry.amount for entry in tried]
    assert tried[-1].occurred_at - tried[0].occurred_at < 10 * MINUTE


def test_no_card_pays_all_day_long(day: list[InputRow]) -> None:
    """Some cards come often, none a dozen times, but for those in thieves' hands; most come once or twice."""
    thieves = {one.idempotency_key for one in attacked(13, 3_000, DAY_AT).requests}
    cards = Counter(
        entry.card_id
        for _, entry in requests(day)
        if isinstance(entry, PaymentRequest) and entry.idempotency_key not in thieves
    )
    assert 5 <= max(cards.values()) <= 12
    assert sum(times <= 2 for times in cards.values()) > len(cards) * 0.7


def test_every_kind_of_trouble_is_in_it(day: list[InputRow]) -> None:
    """Duplicates about one in a hundred, a few conflicts, refusals of many kinds, and each corrected key accepted."""
    decided = taken(day)
    kinds = Counter(type(body) for body in decided)
    assert 20 <= kinds[DuplicateRequestObserved] <= 60
    assert 1 <= kinds[IdempotencyConflictObserved] <= 15
    refused = [body for body in decided if isinstance(body, RequestRejected)]
    assert 6 <= len(refused) <= 40
    assert {RequestRejection.AMOUNT_NOT_POSITIVE, RequestRejection.CARD_MALFORMED} <= {
        body.reason for body in refused
    }


def test_follow_ups_come_hours_and_days_later(day: list[InputRow]) -> None:
    """Captures, voids and refunds, the last on the fifth day after; follow-ups of strangers too."""
    asked = requests(day)
    kinds = Counter(type(entry) for _, entry in asked)
    assert kinds[CaptureRequest] > 400
    assert kinds[VoidRequest] > 40
    assert kinds[RefundRequest] > 60
    assert any(isinstance(entry, CaptureRequest) and not entry.final for _, entry in asked)
    assert 20 < kinds[IncrementRequest] < 80
    undone = [entry.capture_id for _, entry in asked if isinstance(entry, VoidRequest) and entry.capture_id]
    captures = {
        operation_id("cap", entry.merchant, entry.idempotency_key)
        for _, entry in asked
        if isinstance(entry, CaptureRequest)
    }
    assert undone
    assert set(undone) <= captures
    last_at = max(at for at, _ in asked)
    assert DAY_AT + 4 * DAY < last_at < DAY_AT + 6 * DAY


def test_merchants_answer_disputes_and_choose_their_pay_days() -> None:
    """Most cases are answered once; some twice, some at a later stage. A few merchants want other pay days."""
    asked = [entry for _, entry in requests(list(simulate(20_000, seed=42)))]
    evidence = [entry for entry in asked if isinstance(entry, EvidenceRequest)]
    assert 60 < len(evidence) < 200
    cases = Counter((entry.case_id, entry.stage) for entry in set_of(evidence))
    assert 0.7 < sum(times == 1 for times in cases.values()) / len(cases) < 0.99
    assert {Answered.INQUIRY, Answered.CHARGEBACK, Answered.PRE_ARBITRATION} == {
        entry.stage for entry in evidence
    }
    wishes = [entry for entry in asked if isinstance(entry, SettingsRequest)]
    assert 2 <= len(wishes) <= 6
    assert len(wishes) == len({entry.merchant for entry in wishes})


def set_of(evidence: list[EvidenceRequest]) -> list[EvidenceRequest]:
    """Without repeated deliveries."""
    return list({(entry.merchant, entry.idempotency_key): entry for entry in evidence}.values())


def test_payments_are_of_one_day_by_its_curve(day: list[InputRow]) -> None:
    """All begin on the Monday, far fewer in its quietest hour than in its busiest; most arrive at once."""
    began = [entry.occurred_at for _, entry in requests(day) if isinstance(entry, PaymentRequest)]
    hours = Counter((at - DAY_AT) // HOUR for at in began if DAY_AT <= at < DAY_AT + DAY)
    assert len(began) - sum(hours.values()) < 10
    assert 24 == len(hours)
    assert min(hours.values()) * 2 < max(hours.values())
    delays = [at - entry.occurred_at for at, entry in requests(day)]
    late = sum(MINUTE <= delay < 10 * MINUTE for delay in delays)
    assert len(delays) // 200 < late < len(delays) // 20
    assert sum(0 <= delay < 1_000_000 for delay in delays) > len(delays) * 0.95


def test_currencies_and_merchants_are_all_there(day: list[InputRow]) -> None:
    """A dozen merchants, five currencies, also without minor unit and with a thousand."""
    payments = [entry for _, entry in requests(day) if isinstance(entry, PaymentRequest)]
    assert {"USD", "EUR", "GBP", "JPY", "KWD"} <= {entry.currency for entry in payments}
    assert {trade.merchant for trade in TRADES} <= {entry.merchant for entry in payments}


def test_a_network_is_slow_for_an_hour(day: list[InputRow]) -> None:
    """Two facts on its health, an hour apart, versions going on."""
    health = [
        (row.ingested_at, row.entry)
        for row in day
        if isinstance(row.entry, ReferencePublished) and row.entry.kind == "health"
    ]
    assert [SLOW_FROM, SLOW_FROM + HOUR] == [at for at, _ in health]
    assert [SLOW_NETWORK, SLOW_NETWORK] == [entry.ref_id for _, entry in health]
    versions = [row.entry.version for row in day if isinstance(row.entry, ReferencePublished)]
    assert list(range(1, len(versions) + 1)) == versions


def test_rows_stand_in_the_order_of_their_stamps(day: list[InputRow]) -> None:
    """Reference data first, one tick ahead of the day."""
    assert all(earlier.ingested_at <= later.ingested_at for earlier, later in pairwise(day))
    assert DAY_AT - 15 * MINUTE == day[0].ingested_at
    assert DAY_AT <= requests(day)[0][0]


def test_cards_seldom_come_twice_in_a_quarter_of_an_hour(day: list[InputRow]) -> None:
    """Each such card costs a tick of its own."""
    seen: dict[tuple[int, str], set[str]] = {}
    for _, entry in requests(day):
        if isinstance(entry, PaymentRequest):
            quarter = entry.occurred_at // (15 * MINUTE)
            seen.setdefault((quarter, entry.card_id), set()).add(entry.idempotency_key)
    assert 1 <= sum(len(keys) > 1 for keys in seen.values()) <= 60


def test_nothing_looks_like_a_card_number(day: list[InputRow]) -> None:
    """BIN and last four are apart, keys are not digits alone."""
    for _, entry in requests(day):
        if isinstance(entry, PaymentRequest):
            texts = (
                entry.idempotency_key,
                entry.device_ref,
                entry.ip_ref,
                entry.email_ref,
                entry.phone_ref,
                entry.bin,
            )
            assert not any(map(looks_like_pan, texts))


def plain(request: Request) -> Request:
    """A request without what was added after the hash was taken."""
    if isinstance(request, PaymentRequest):
        return msgspec.structs.replace(request, phone_ref="", signals=None)
    if isinstance(request, RefundRequest):
        return msgspec.structs.replace(request, reason=None)
    return request


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    """For ever: the hash of these requests was taken when they were first made."""
    heard: list[int] = []
    write_day(tmp_path / "a", 1_500, 7, heard.append)
    write_day(tmp_path / "b", 1_500, 7)
    write_day(tmp_path / "c", 1_500, 8)
    assert hash_of(tmp_path / "a") == hash_of(tmp_path / "b") != hash_of(tmp_path / "c")
    assert heard == sorted(heard)
    assert 1_500 == heard[-1]
    later = EvidenceRequest | SettingsRequest
    asked = [
        (at, plain(one)) for at, one in requests(list(simulate(200, seed=7))) if not isinstance(one, later)
    ]
    assert "36ca7126c3eacd82" == sha256(msgspec.json.encode(asked)).hexdigest()[:16]


def test_payments_are_spread_over_the_days_that_are_asked_for() -> None:
    """A third of them on each of three, and what follows them within the days after; the first is as it was."""
    asked = [(at, one) for at, one in requests(list(simulate(900, seed=7, days=3))) if at >= DAY_AT]
    paid = {
        (one.merchant, one.idempotency_key): at for at, one in asked[::-1] if isinstance(one, PaymentRequest)
    }
    by_day = Counter((at - DAY_AT) // DAY for at in paid.values())
    assert all(by_day[day] > 250 for day in range(3))
    assert by_day.keys() <= {0, 1, 2, 3}, "one that was late may come behind midnight"
    refunds = [at for at, one in asked if isinstance(one, RefundRequest)]
    assert DAY_AT + 6 * DAY < max(refunds) < DAY_AT + 8 * DAY
    assert list(simulate(200, seed=7)) == list(simulate(200, seed=7, days=1))


def test_customers_come_back() -> None:
    """Thrice as many payments in thrice the days are made with as many cards, once a month is over."""

    def cards(payments: int, days: int) -> int:
        entries = (row.entry for row in simulate(payments, seed=7, days=days))
        return len({entry.card_id for entry in entries if isinstance(entry, PaymentRequest)})

    month = cards(1_500, 30)
    assert month < cards(4_500, 90) < 1.8 * month < cards(4_500, 30)


@pytest.mark.parametrize(("payments", "days"), [(10, 0), (10, 11), (5_000, 1_001)])
def test_what_are_no_days_is_refused(payments: int, days: int) -> None:
    """Before a row is written."""
    with pytest.raises(Refused, match="are possible"):
        simulate(payments, 1, days)


@pytest.mark.parametrize("payments", [0, -1, 2_000_001])
def test_what_is_no_day_is_refused(payments: int) -> None:
    """Before a row is written."""
    with pytest.raises(Refused, match="are possible"):
        simulate(payments, 1)


def test_every_trade_has_terms() -> None:
    """Merchants trade in currencies of their contract, under its limit, and add up to the whole."""
    terms = {merchant.merchant: merchant for merchant in starter_merchants()}
    for trade in TRADES:
        assert set(trade.median) <= set(terms[trade.merchant].currencies)
        assert all(4 * median < terms[trade.merchant].max_amount for median in trade.median.values())
        assert not terms[trade.merchant].blocked
    assert 1_000 == sum(trade.share for trade in TRADES)
    assert SLOW_NETWORK in {profile.network for profile in starter_networks()}


def test_amounts_lie_around_the_median() -> None:
    """Half of the way down, half of the way up; a fixed price is one; nothing is ever below 1."""
    assert 1_199 == amount_of(lambda: 0.1, 1_199, 0)
    lowest, highest = amount_of(lambda: 0.99, 1_000, 200), amount_of(lambda: 0.0, 1_000, 200)
    assert 1 <= lowest < 300 < 1_000 < 3_000 < highest
    assert 1 == amount_of(lambda: 0.99, 1, 350)


def test_hours_are_local() -> None:
    """The first hour of the curve begins at midnight where the merchant is."""
    assert 5 * 3600 == seconds_of_day(0.0, 0.0, -5)
    assert 15 * 3600 == seconds_of_day(0.0, 0.0, 9)
    assert 24 == len(HOURS)
