"""How near a merchant is to a programme: counted, foreseen, at the limits and one below; and what is kept of it."""

from fractions import Fraction
from random import Random

import pytest

from events.authorization import PaymentAuthorized
from events.calendar import DAY, day_number, day_of, start_of
from events.clearing import ClearingRecordAccepted
from events.disputes import EarlyFraudWarningReceived, FraudProgram
from events.exposure import DisputeAlertLevel, DisputeAlertRaised, MerchantDisputesTallied
from events.lifecycle import PaymentRequested
from events.partitions import ReferenceApplied
from events.reference import (
    Counted,
    DelayPoint,
    DisputeProgramme,
    DisputeProgrammes,
    decode_reference,
    encode_reference,
)
from streams import disputes
from streams import exposure as processor
from streams.edge.reference import starter_programmes
from streams.features import exposure
from streams.features.exposure import Day, Standing
from tests.streams.builders_early import NOON
from tests.streams.builders_late import Table, make

NEAR, EXPECTED, EXCEEDED = DisputeAlertLevel
MARCH = day_number(2026, 3, 1)
FOR_EVER = (0, day_number(9999, 1, 1))
DELAYS = (DelayPoint(10, 400_000), DelayPoint(30, 1_000_000))
VAMP = DisputeProgramme("v", "visa", Counted.REMOTE_REPORTS_AND_DISPUTES, *FOR_EVER, 100, 200)
ECM = DisputeProgramme("e", "mastercard", Counted.DISPUTES, *FOR_EVER, 100, 150)
EFM = DisputeProgramme(
    "f", "mastercard", Counted.ECOMMERCE_FRAUD_AMOUNT, *FOR_EVER, 0, 50, 1_000, 5_000_000, ("EUR", "USD")
)


def test_the_curve_is_straight_between_its_points() -> None:
    """From nothing on the day itself to all at the end."""
    shares = [exposure.ripe(DELAYS, days) for days in (-1, 0, 5, 10, 20, 29, 30, 400)]
    assert [0, 0, 200_000, 400_000, 700_000, 970_000, 1_000_000, 1_000_000] == shares


@pytest.mark.parametrize("seed", range(20))
def test_what_is_foreseen_is_what_the_method_says(seed: int) -> None:
    """In fractions, rounded down once at the end."""
    chance = Random(seed)
    today = MARCH + chance.randrange(30)
    end = today + chance.randrange(30)
    cleared = [(today - chance.randrange(60), chance.randrange(500)) for _ in range(40)]
    seen = chance.randrange(200)

    def share(age: int) -> Fraction:
        return Fraction(exposure.ripe(DELAYS, age), 1_000_000)

    ripe = sum(number * share(today - day) for day, number in cleared)
    later = sum(number * (share(end - day) - share(today - day)) for day, number in cleared)
    assert exposure.foreseen(DELAYS, cleared, seen, today, end) == (seen * later // ripe if ripe else 0)


def test_nothing_is_foreseen_of_what_is_not_ripe_at_all_or_of_too_few_cases() -> None:
    """Of today's payments alone nobody can tell a rate; nor of nine cases, and of ten one can."""
    assert 0 == exposure.foreseen(DELAYS, [(MARCH, 100)], 5, MARCH, MARCH + 10)
    for cases, foreseen in ((9, 0), (10, 15)):
        days = [Day(MARCH, 500, 500), Day(MARCH + 10, remote_reports=cases, reports=cases)]
        found = exposure.standing(VAMP, DELAYS, days, MARCH + 10)
        assert (cases, cases + foreseen) == (found.counted, found.expected)


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (Standing(True, 100, 5_000, 100, 5_000, 100, 200), EXCEEDED),
        (Standing(True, 100, 5_001, 100, 5_001, 100, 200), NEAR),
        (Standing(True, 99, 4_000, 99, 4_000, 100, 200), NEAR),
        (Standing(True, 99, 4_000, 100, 5_000, 100, 200), EXPECTED),
        (Standing(True, 99, 4_000, 100, 5_001, 100, 200), NEAR),
        (Standing(True, 75, 5_000, 75, 5_000, 100, 200), NEAR),
        (Standing(True, 74, 4_000, 99, 4_000, 100, 200), None),
        (Standing(True, 75, 5_001, 75, 9_999, 100, 200), None),
        (Standing(False, 100, 5_000, 100, 5_000, 100, 200), None),
        (Standing(True, 0, 0, 0, 0, 0, 200), None),
    ],
)
def test_both_limits_have_to_be_reached_or_the_share_of_both(
    found: Standing, level: DisputeAlertLevel | None
) -> None:
    """At the limits, one below, at three quarters, one below; and with too few payments nothing."""
    assert level is exposure.level(found, 75)


def test_each_programme_counts_its_own() -> None:
    """Of this month and the one before, with and without a card present, by number and by amount."""
    days = [
        Day(MARCH - 32, cleared=7, remote=7, ecommerce=7, ecommerce_sales=700, disputes=7),
        Day(MARCH - 1, 1_000, 900, 800, 80_000, 5, 4, 3, 2, 100),
        Day(MARCH, 50, 40, 30, 3_000, 6, 5, 4, 3, 200),
        Day(MARCH + 1, 50, 40, 30, 3_000, 6, 5, 4, 3, 200),
    ]
    today = MARCH + 1
    vamp, ecm, efm = (exposure.standing(one, DELAYS, days, today) for one in (VAMP, ECM, EFM))
    assert (16, 80) == (vamp.counted, vamp.base)
    assert (8, 1_000) == (ecm.counted, ecm.base)
    assert (400, 80_000, False) == (efm.counted, efm.base, efm.enough)
    # Ninety-eight in 28 days, and thirty days of March to come.
    assert 80 + 980 * 29 // 28 == vamp.expected_base
    assert ecm.base == ecm.expected_base


def tallied(day_on: int, reports: int, *, cleared: int = 0, currency: str = "EUR") -> MerchantDisputesTallied:
    figures = (cleared, cleared, cleared, 0, reports, reports, 0, 0, 0)
    return MerchantDisputesTallied("shop", "visa", currency, day_on, *figures)


def table(*programmes: DisputeProgramme) -> Table:
    """The processor with programmes in force."""
    found = Table(processor)
    content = encode_reference(DisputeProgrammes(1, 75, programmes, DELAYS))
    found.hear_of(ReferenceApplied("programmes", "standard", 1, "", content))
    return found


def raised(found: Table, *tallies: MerchantDisputesTallied) -> list[tuple[int, DisputeAlertLevel, int]]:
    found.comes(*tallies)
    return [
        (one.day_on, one.level, one.counted) for one in found.next() if isinstance(one, DisputeAlertRaised)
    ]


def test_each_level_is_said_once_a_month() -> None:
    """Partitions and currencies are added up before anybody is judged; the next month begins anew."""
    found = table(VAMP)
    assert [] == raised(found, tallied(MARCH, 0, cleared=4_000))
    assert [] == raised(found, tallied(MARCH + 28, 37), tallied(MARCH + 28, 37, currency="USD"))
    assert [(MARCH + 29, NEAR, 75)] == raised(found, tallied(MARCH + 29, 1))
    assert [] == raised(found, tallied(MARCH + 29, 1))
    assert [(MARCH + 30, EXCEEDED, 100)] == raised(found, tallied(MARCH + 30, 24))
    assert [] == raised(found, tallied(MARCH + 30, 24))
    assert [(MARCH + 31, EXCEEDED, 100)] == raised(found, tallied(MARCH + 31, 100, cleared=10))


def test_nobody_is_named_without_programmes() -> None:
    """In a log that was begun before there were any."""
    assert [] == raised(Table(processor), tallied(MARCH, 5_000, cleared=1))


def test_what_nobody_asks_for_is_forgotten() -> None:
    """Days, and merchants of whom nothing was told for so long."""
    found = table(VAMP)
    raised(found, tallied(MARCH, 5, cleared=10))
    later = MARCH + exposure.KEPT_DAYS + 1
    found.passes(start_of(later + 1))
    raised(found, tallied(later, 5))
    key = "shop\x1fvisa"
    assert [later] == [day.day_on for day in found.state.merchants[key].days["EUR"]]
    found.passes(start_of(later + exposure.KEPT_DAYS + 3))
    assert ({}, []) == (found.state.merchants, found.state.days)


def test_the_programmes_to_start_with_are_those_of_the_page() -> None:
    """Each month of a network has each of its programmes once; the curve rises to all."""
    found = starter_programmes()
    assert found == decode_reference("programmes", encode_reference(found))
    for month in (day_number(2026, 3, 1), day_number(2026, 4, 1)):
        names = [
            one.programme
            for network in ("visa", "mastercard")
            for one in exposure.in_force(found.programmes, network, month)
        ]
        assert ["vamp_excessive", "ecm", "hecm", "efm"] == names
    assert [220, 150] == [one.least_bps for one in found.programmes[:2]]


@pytest.mark.parametrize(
    "delays",
    [
        (),
        (DelayPoint(5, 1_000_000), DelayPoint(5, 1_000_000)),
        (DelayPoint(9, 900_000),),
        (DelayPoint(3, 9), DelayPoint(4, 8), DelayPoint(5, 1_000_000)),
        (DelayPoint(0, 1_000_000),),
    ],
)
def test_a_curve_that_is_none_is_refused(delays: tuple[DelayPoint, ...]) -> None:
    """It has to rise, from behind the day itself, to all."""
    with pytest.raises(ValueError, match="delays do not"):
        DisputeProgrammes(1, 75, (), delays)


# --- what partitions tell -----------------------------------------------------------------------------------


def test_a_day_is_told_when_it_is_over() -> None:
    """Once, by merchant, network and currency; what is cleared for nobody known is not counted."""
    found = Table(disputes)
    found.hear_of(make(PaymentRequested), make(PaymentAuthorized))
    found.comes(make(ClearingRecordAccepted), make(ClearingRecordAccepted, payment_id="pay-0001-nobody"))
    found.comes(make(EarlyFraudWarningReceived, report_id="frd-1", program=FraudProgram.TC40, fraud_type="6"))
    assert [] == told_by(found, start_of(day_of(NOON)) + DAY - 1)
    [one] = told_by(found, start_of(day_of(NOON)) + DAY)
    counted = {name: getattr(one, name) for name in Day.__struct_fields__ if getattr(one, name)}
    remote = {"remote": 1, "ecommerce": 1, "ecommerce_sales": 1_000, "remote_reports": 1}
    assert {"day_on": day_of(NOON), "cleared": 1, "reports": 1, **remote} == counted
    assert [] == told_by(found, start_of(day_of(NOON)) + 2 * DAY) == found.state.told


def told_by(found: Table, at: int) -> list[MerchantDisputesTallied]:
    return [one for one in found.passes(at) if isinstance(one, MerchantDisputesTallied)]
