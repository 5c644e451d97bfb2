"""Attacks in somebody's file: of cards that are known there, at its merchants, on the days that it has."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from events.calendar import DAY, HOUR, MINUTE, day_of
from events.errors import Refused
from events.identity import card_id, payment_id
from events.reference import MerchantTerms, decode_reference
from events.requests import CaptureMode, Channel, InputRow, PaymentRequest, ReferencePublished
from streams.edge.attackedfile import DAYS, KNOWN_PAYMENTS, plant
from streams.edge.attackledger import AttackKind, beside, read_ledger
from streams.edge.attacks import VICTIMS, account_takeover, rogue_merchant
from streams.edge.inputs import read_rows, write_rows
from streams.edge.reference import published, starter
from tests.streams.builders_early import NOON

CARDS = VICTIMS + 3
STORES = ("north", "south")


def terms(merchant: str) -> MerchantTerms:
    """A store that takes dollars."""
    return MerchantTerms(merchant, merchant, "5411", ("USD",), 1, 5, 12_000, 1, 500_000, 0, blocked=False)


def payment(number: int, at: int) -> PaymentRequest:
    """What a household buys: at a till, with one of the cards."""
    return PaymentRequest(
        merchant=STORES[number % 2],
        idempotency_key=f"basket-{number}",
        card_id=card_id(number % CARDS, bytes([number % CARDS] * 10)),
        bin="40260000",
        last4="0000",
        amount=2_000 + number,
        currency="USD",
        channel=Channel.POINT_OF_SALE,
        capture_mode=CaptureMode.AUTOMATIC,
        device_ref="",
        ip_ref="",
        email_ref="",
        occurred_at=at,
        producer="till",
        simulated=False,
    )


def file(folder: Path, days: int, cards_a_day: int = CARDS) -> Path:
    """Every card pays every day, so long."""
    entries = published(starter([terms(store) for store in STORES]))
    rows = [InputRow(NOON - HOUR, entry) for entry in entries]
    for day in range(days):
        for card in range(cards_a_day):
            at = NOON + day * DAY + card * MINUTE
            rows.append(InputRow(at, payment(day * CARDS + card, at)))
    path = folder / "real.avro"
    write_rows(path, rows, "real")
    return path


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[InputRow]]:
    """A fortnight with attacks, and what it was before."""
    path = file(tmp_path_factory.mktemp("attacked"), 14)
    before = list(read_rows(path))
    plant(path, 5)
    return path, before


def test_everything_real_is_still_there(attacked: tuple[Path, list[InputRow]]) -> None:
    """To the byte, in its order; what was added is simulated and says so. Reference data is counted through."""
    path, before = attacked
    rows = list(read_rows(path))
    real = [row for row in rows if isinstance(row.entry, PaymentRequest) and not row.entry.simulated]
    assert real == [row for row in before if isinstance(row.entry, PaymentRequest)]
    assert all(earlier.ingested_at <= later.ingested_at for earlier, later in pairwise(rows))
    versions = [row.entry.version for row in rows if isinstance(row.entry, ReferencePublished)]
    assert versions == list(range(1, len(versions) + 1))
    first = next(number for number, row in enumerate(rows) if not isinstance(row.entry, ReferencePublished))
    kinds = [row.entry.kind for row in rows[:first] if isinstance(row.entry, ReferencePublished)]
    assert ["merchant", "velocity"] == kinds[-2:]


def test_attacks_stand_on_their_days(attacked: tuple[Path, list[InputRow]]) -> None:
    """Each kind once in a fortnight, in order of time; their payments are in the file."""
    path, before = attacked
    ledger = read_ledger(beside(path))
    first_on = min(day_of(row.ingested_at) for row in before)
    expected = sorted((days[0], kind.__name__) for kind, days in DAYS.items())
    assert [
        (day_of(attack.payments[0].at) - first_on, attack.kind.value) for attack in ledger.attacks
    ] == expected
    asked = {
        payment_id(row.entry.merchant, row.entry.idempotency_key, row.entry.card_id): row.entry
        for row in read_rows(path)
        if isinstance(row.entry, PaymentRequest)
    }
    for attack in ledger.attacks:
        for paid in attack.payments:
            request = asked[paid.payment_id]
            assert (paid.at, paid.amount, True) == (request.occurred_at, request.amount, request.simulated)
    rogue = next(attack for attack in ledger.attacks if attack.kind is AttackKind.ROGUE_MERCHANT)
    assert rogue.payments[-1].at - rogue.payments[0].at > 4 * DAY


def test_victims_are_known_in_the_file(attacked: tuple[Path, list[InputRow]]) -> None:
    """The cards of a takeover, of a rogue's charges and of a spree have paid here; tested numbers have not."""
    path, before = attacked
    known = {row.entry.card_id for row in before if isinstance(row.entry, PaymentRequest)}
    theirs = [
        row.entry for row in read_rows(path) if isinstance(row.entry, PaymentRequest) and row.entry.simulated
    ]
    assert {one.card_id for one in theirs if one.amount >= 500} <= known
    assert not {one.card_id for one in theirs if one.amount < 500} & known
    mail_order = [one for one in theirs if one.channel is Channel.MAIL_OR_TELEPHONE]
    assert {one.merchant for one in theirs} - {one.merchant for one in mail_order} <= set(STORES)


def test_the_same_seed_plants_the_same(tmp_path: Path, attacked: tuple[Path, list[InputRow]]) -> None:
    """And another one others."""
    (tmp_path / "b").mkdir()
    again, other = file(tmp_path, 14), file(tmp_path / "b", 14)
    plant(again, 5)
    plant(other, 6)
    assert attacked[0].read_bytes() == again.read_bytes() != other.read_bytes()
    assert beside(attacked[0]).read_bytes() == beside(again).read_bytes()
    rogue, takeover = (DAYS[kind][0] for kind in (rogue_merchant, account_takeover))
    assert rogue < takeover


def test_where_nobody_can_be_attacked_nothing_is_written(tmp_path: Path) -> None:
    """Too few cards, too few days, no payments at all, or attacks already."""
    for days, cards in ((14, VICTIMS - 1), (KNOWN_PAYMENTS, CARDS)):
        path = file(tmp_path, days, cards)
        written = path.read_bytes()
        with pytest.raises(Refused, match="nobody to attack"):
            plant(path, 1)
        assert written == path.read_bytes()
        assert not beside(path).exists()
    path = file(tmp_path, 0)
    with pytest.raises(Refused, match="holds no payments"):
        plant(path, 1)
    path = file(tmp_path, 14)
    plant(path, 1)
    with pytest.raises(Refused, match="holds attacks already"):
        plant(path, 1)


def test_the_rogue_has_a_contract(attacked: tuple[Path, list[InputRow]]) -> None:
    """In force before anybody pays, in the file's currency."""
    contracts = [
        decode_reference(row.entry.kind, row.entry.content)
        for row in read_rows(attacked[0])
        if isinstance(row.entry, ReferencePublished) and row.entry.kind == "merchant"
    ]
    rogue = contracts[-1]
    assert isinstance(rogue, MerchantTerms)
    assert (("USD",), False) == (rogue.currencies, rogue.blocked)
    assert msgspec.structs.replace(rogue, merchant="") not in contracts[:-1]
