"""The reference data to start with: whole, consistent, and what the networks themselves believe."""

import json
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest

from events.clearing import ClearingRecordCreated, RecordKind
from events.errors import Refused
from events.money import payable, share
from events.reference import KINDS, FeeTable, decode_reference
from streams.edge import reference
from streams.edge.presenting import TARIFFS, Price, present, priced
from streams.edge.reference import Entry, health, published, starter, starter_bins, starter_holidays
from streams.edge.rulecases import run_cases
from streams.edge.rulefiles import judge_of, read_file
from streams.features.rules.catalogue import NAMES, NOT_IN_THE_STREAM

ENTRIES = {(entry.kind, entry.ref_id): entry.content for entry in starter()}


def test_every_kind_has_entries_but_those_that_nothing_begins_with() -> None:
    """A network is fit until something else is said; the rules are a book without lists; people list and instruct."""
    nothing = {
        "health",
        "rules",
        "rulelist",
        "model",
        "online",
        "hotlist",
        "review",
        "assignment",
        "hold",
        "writeoff",
        "payoutaccount",
    }
    assert set(KINDS) - nothing == {kind for kind, _ in ENTRIES}


def test_entries_are_published_with_version_and_hash() -> None:
    """What is published can be decoded, hashes to what it says, and counts on."""
    out = list(published(starter(), first_version=5))
    assert list(range(5, 5 + len(ENTRIES))) == [entry.version for entry in out]
    for entry in out:
        assert sha256(entry.content.encode()).hexdigest() == entry.sha256
        assert ENTRIES[entry.kind, entry.ref_id] == decode_reference(entry.kind, entry.content)


def test_health_says_which_network() -> None:
    """One entry a network, replaced by the next."""
    (out,) = published([health("visa", healthy=False, note="slow")])
    assert ("health", "visa") == (out.kind, out.ref_id)
    assert {"network": "visa", "healthy": False, "note": "slow"} == json.loads(out.content)


def test_networks_price_as_the_fee_table_says() -> None:
    """Two tables made apart that agree to the unit, for every network, also where it is rounded."""
    table = ENTRIES["fees", "standard"]
    assert isinstance(table, FeeTable)
    interchange = {row.network: row for row in table.interchange}
    assert set(TARIFFS) == set(interchange) == {row.network for row in table.scheme}
    for network, tariff in TARIFFS.items():
        row = interchange[network]
        fees = [(fee.rate_ppm, fee.fixed) for fee in table.scheme if fee.network == network]
        assert [tuple(price) for price in tariff.scheme] == fees
        for amount in (1, 33, 4_000, 12_345, 1_000_000_007):
            assert share(amount, row.rate_ppm) + row.fixed == priced(amount, tariff.interchange)


@pytest.mark.parametrize(
    ("amount", "rate_ppm"), [(1, 500_000), (3, 500_000), (5, 500_000), (7, 142_857), (0, 9)]
)
def test_halves_go_to_the_even_neighbour(amount: int, rate_ppm: int) -> None:
    """The networks' code and ours round alike, and are not the same code."""
    assert share(amount, rate_ppm) + 7 == priced(amount, Price(rate_ppm, 7))


@pytest.mark.parametrize("network", sorted(network for kind, network in ENTRIES if kind == "network"))
def test_every_network_can_present(network: str) -> None:
    """A network without a tariff would stop its clearing house."""
    cycles = {
        present(
            1,
            ClearingRecordCreated(
                "pay-1", "shop-1", network, "clr-1", RecordKind.PRESENTMENT, source, "7", 1, 100, "USD", "b"
            ),
            0,
        ).cycle
        for source in ("cap-1", "cap-2")
    }
    assert {f"{network}-USD-1970-01-01"} == cycles


def test_the_rules_are_sound_and_say_what_their_cases_want() -> None:
    """And every one of them is asked for something that the stream knows."""
    file = read_file(Path(str(files("infra").joinpath("reference", "rules.toml"))))
    judge = judge_of(file)
    tested = run_cases(file, judge)
    assert [one.wrong for one in tested] == [""] * len(file.cases)
    assert {name for name, _, _ in judge.rules()} == {name for one in tested for name in one.outcome.fired}
    assert not NOT_IN_THE_STREAM.intersection(NAMES[place] for place in judge.places())
    assert ENTRIES["rulebook", "standard"] == file.book


def test_brands_are_carried_somewhere() -> None:
    """Every brand of the BIN table in dollars, and every merchant in each of its currencies."""
    carried = {
        (brand, currency)
        for profile in reference.starter_networks()
        for brand in profile.brands
        for currency in profile.currencies
    }
    assert {(one.brand, "USD") for one in starter_bins().ranges} <= carried
    for merchant in reference.starter_merchants():
        assert all(payable(currency) and ("visa", currency) in carried for currency in merchant.currencies)


def test_ranges_are_ranges() -> None:
    """Both ends have one length and stand in order."""
    for one in starter_bins().ranges:
        assert len(one.low) == len(one.high) <= 8
        assert one.low <= one.high


def test_holidays_fall_on_weekdays() -> None:
    """A holiday on a weekend closes no bank that was open, and tells of a slip of the pen."""
    for holidays in starter_holidays():
        assert list(holidays.days_on) == sorted(set(holidays.days_on))
        assert all((day + 3) % 7 < 5 for day in holidays.days_on), holidays.currency


def test_a_broken_table_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a traceback out of a TOML parser."""
    monkeypatch.setattr(reference, "_read", lambda name: {"version": "one"})
    with pytest.raises(Refused, match=r"merchants\.toml: .*version"):
        reference.starter()


def test_an_entry_is_a_plain_triple() -> None:
    """Whoever adds merchants of a file builds on this."""
    (merchant,) = [entry for entry in starter([reference.starter_merchants()[0]]) if entry.kind == "merchant"]
    assert Entry("merchant", "harbour-coffee", reference.starter_merchants()[0]) == merchant
