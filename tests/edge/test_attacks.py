"""Planted attacks: the same for a seed, with payments of which the issuers say what the attacker's lot is."""

from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from events.calendar import DAY, HOUR
from events.errors import Refused, Unavailable
from events.identity import operation_id, payment_id, rrn
from events.intake import RequestAccepted
from events.requests import Operation, PaymentRequest, ReferencePublished
from streams.edge import issuers, networks
from streams.edge.attackedday import BRANDS, EXPECTED_CARDS, LEAST_PAYMENTS, QUIET_DAY, attacked
from streams.edge.attackledger import AttackKind, beside, read_ledger, write_ledger
from streams.edge.attacks import ROGUE_CARDS, TESTED_CARDS
from streams.edge.inputs import read_rows
from streams.edge.simulate import DAY_AT, simulate, write_day
from tests.edge.test_simulate import taken

SEEDS = (1, 7, 42)
PLANTED = (
    AttackKind.CARD_TESTING,
    AttackKind.STOLEN_CARD,
    AttackKind.ROGUE_MERCHANT,
    AttackKind.ACCOUNT_TAKEOVER,
)


@cache
def requests(seed: int, payments: int = LEAST_PAYMENTS) -> dict[str, PaymentRequest]:
    """What attacks add to a day, by payment."""
    return {
        payment_id(one.merchant, one.idempotency_key, one.card_id): one
        for one in attacked(seed, payments, DAY_AT).requests
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_has_an_attack_of_each_kind(seed: int) -> None:
    """Within the day, in order of time, in one currency, and each payment in one attack."""
    day = attacked(seed, LEAST_PAYMENTS, DAY_AT)
    asked = requests(seed)
    assert PLANTED == tuple(attack.kind for attack in day.attacks)
    names = [payment.payment_id for attack in day.attacks for payment in attack.payments]
    assert len(set(names)) == len(names) < len(asked)
    for attack in day.attacks:
        times = [payment.at for payment in attack.payments]
        assert times == sorted(times)
        assert DAY_AT <= times[0] < times[-1] < DAY_AT + DAY
        assert {attack.currency} == {asked[one.payment_id].currency for one in attack.payments}
        assert [asked[one.payment_id].amount for one in attack.payments] == [
            one.amount for one in attack.payments
        ]


def test_another_seed_and_another_day_are_other_attacks() -> None:
    """And the same come again; a small day has none, a large one several of each kind."""
    assert attacked(1, 2_000, DAY_AT) == attacked(1, 2_000, DAY_AT)
    assert not set(requests(1)) & set(requests(2))
    assert not set(requests(1)) & set(requests(1, LEAST_PAYMENTS + 1))
    assert QUIET_DAY == attacked(1, LEAST_PAYMENTS - 1, DAY_AT)
    assert Counter(attack.kind for attack in attacked(1, 40_000, DAY_AT).attacks) == dict.fromkeys(PLANTED, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_kind_does_what_it_is_called_by(seed: int) -> None:
    """Many cards and one device; one card and many merchants; cards that were never there; all new but the card."""
    day, asked = attacked(seed, LEAST_PAYMENTS, DAY_AT), requests(seed)
    testing, stolen, rogue, takeover = (
        [asked[payment.payment_id] for payment in attack.payments] for attack in day.attacks
    )
    assert TESTED_CARDS == len({one.card_id for one in testing})
    assert 1 == len({(one.device_ref, one.ip_ref, one.merchant) for one in testing})
    assert all(one.amount < 500 and one.device_ref for one in testing)
    assert 1 == len({one.card_id for one in stolen})
    assert len({one.merchant for one in stolen}) >= 5
    assert all(earlier.amount < later.amount for earlier, later in pairwise(stolen))
    assert stolen[-1].occurred_at - stolen[0].occurred_at < 2 * HOUR
    assert ROGUE_CARDS == len({one.card_id for one in rogue}) > EXPECTED_CARDS
    assert 1 == len({one.merchant for one in rogue})
    before = [one for one in asked.values() if one not in takeover and one.card_id == takeover[0].card_id]
    assert {one.occurred_at < takeover[0].occurred_at for one in before} == {True}
    for kind in ("device_ref", "ip_ref", "email_ref"):
        assert len({getattr(one, kind) for one in takeover}) == 1
        assert not {getattr(one, kind) for one in takeover} & {getattr(one, kind) for one in before}
    assert min(one.amount for one in takeover) > 4 * max(one.amount for one in before)


@pytest.mark.parametrize("seed", SEEDS)
def test_issuers_say_of_themselves_what_was_foreseen(seed: int) -> None:
    """Tested numbers are mostly refused, all else is paid; and most of what is paid will be reported as fraud."""
    answered, reported, paid = Counter[str](), 0, 0
    for attack in attacked(seed, LEAST_PAYMENTS, DAY_AT).attacks:
        for payment in attack.payments:
            request = requests(seed)[payment.payment_id]
            answer = networks.authorize(seed, rrn(payment.payment_id), 1, payment.amount, healthy=True)
            refused = answer.response_code != networks.APPROVED
            assert not refused or attack.kind is AttackKind.CARD_TESTING
            answered[f"{attack.kind} {refused}"] += 1
            if refused:
                continue
            assert payment.amount == answer.held(payment.amount)
            paid += 1
            capture = operation_id("cap", request.merchant, request.idempotency_key)
            network = BRANDS[request.bin.startswith(("5", "2"))]
            about = issuers.complaint(seed, network, capture, payment.amount)
            reported += issuers.warned(seed, capture) if about is None else about.fraud
    assert 50 < answered["card_testing True"] < 90
    assert 0.65 * paid < reported < 0.95 * paid


def test_a_day_with_attacks_has_as_many_payments_as_were_asked_for(tmp_path: Path) -> None:
    """Attacks are of them and not beside them; the ledger that lies beside the file has each that is in it."""
    path = tmp_path / "day.avro"
    write_day(path, 2_000, 1)
    rows = list(read_rows(path))
    accepted = [body for body in taken(rows) if isinstance(body, RequestAccepted)]
    assert 2_000 == sum(body.operation is Operation.PAYMENT for body in accepted)
    ledger = read_ledger(beside(path))
    assert (1, True) == (ledger.seed, ledger.simulated)
    assert {*PLANTED, AttackKind.CARD_TRIAL} == {attack.kind for attack in ledger.attacks}
    asked = {
        payment_id(row.entry.merchant, row.entry.idempotency_key, row.entry.card_id): row.entry
        for row in rows
        if isinstance(row.entry, PaymentRequest) and len(row.entry.card_id) == 26
    }
    for attack in ledger.attacks:
        assert all(asked[payment.payment_id].amount == payment.amount for payment in attack.payments)
    write_day(path, 100, 1)
    assert not beside(path).exists()


def test_nothing_in_the_input_says_who_attacks() -> None:
    """Their requests look like others; limits on the new merchant follow from its contract."""
    rows = list(simulate(2_000, 1))
    for request in requests(1).values():
        assert not {"attack", "fraud", "thief", "rogue"} & set(msgspec.json.encode(request).decode().split())
        assert "attack" not in msgspec.json.encode(request).decode()
    kinds = Counter(row.entry.kind for row in rows if isinstance(row.entry, ReferencePublished))
    assert 2 == kinds["velocity"]


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    """A file of something else, and one that is not there."""
    path = tmp_path / "day.avro.attacks.json"
    with pytest.raises(Unavailable, match="cannot be read"):
        read_ledger(path)
    for content in (b"", b"{}", b"\xff", b'{"seed": "1", "attacks": []}'):
        path.write_bytes(content)
        with pytest.raises(Refused, match="is no ledger of attacks"):
            read_ledger(path)
    assert None is write_ledger(tmp_path / "day.avro", 1, [])
    assert not path.exists()
