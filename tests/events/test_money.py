"""Money is whole minor units, and no division loses or makes one."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import money
from events.errors import ValidationError

amounts = st.integers(-(2**63), 2**63 - 1)
currencies = st.sampled_from(sorted(money.EXPONENTS))


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [
        ("USD", 2),
        ("EUR", 2),
        ("JPY", 0),
        ("KRW", 0),
        ("ISK", 0),
        ("UYI", 0),
        ("KWD", 3),
        ("BHD", 3),
        ("TND", 3),
        ("CLF", 4),
        ("UYW", 4),
        ("MGA", 2),
        ("MRU", 2),
        ("HUF", 2),
        ("XCG", 2),
        ("ZWG", 2),
    ],
)
def test_decimals_are_those_of_iso_4217(currency: str, decimals: int) -> None:
    """Those that implementations get wrong, and the newest."""
    assert money.exponent(currency) == decimals


def test_the_table_is_whole() -> None:
    """165 codes with a minor unit, each with its own numeric code; 13 without one."""
    assert len(money.EXPONENTS) == 165
    assert len(money.BY_NUMERIC) == len(money.EXPONENTS)
    assert all(len(number) == 3 and number.isdecimal() for number in money.BY_NUMERIC)
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in money.EXPONENTS)
    assert len(money.WITHOUT_MINOR_UNIT) == 13
    assert not money.WITHOUT_MINOR_UNIT & money.EXPONENTS.keys()
    assert money.BY_NUMERIC["840"] == "USD"
    assert money.NUMERIC["EUR"] == "978"


@pytest.mark.parametrize("currency", ["XAU", "XTS", "XXX", "XDR", "usd", "US", "", "ABC", "USDX"])
def test_what_cannot_be_paid_with_is_refused(currency: str) -> None:
    """Gold has no cents; small letters are no code."""
    assert not money.payable(currency)
    with pytest.raises(ValidationError) as caught:
        money.exponent(currency)
    assert caught.value.field == "currency"


def test_a_currency_that_is_gone_is_read_but_not_paid_with() -> None:
    """A payment of 2025 in leva can be shown; a new one cannot be made."""
    assert money.format_minor(1999, "BGN") == "19.99"
    assert not money.payable("BGN")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (123456, "USD", "1234.56"),
        (5, "USD", "0.05"),
        (-5, "USD", "-0.05"),
        (0, "USD", "0.00"),
        (123456, "JPY", "123456"),
        (-7, "JPY", "-7"),
        (123456, "KWD", "123.456"),
        (1, "CLF", "0.0001"),
    ],
)
def test_amounts_are_written_with_their_decimals(amount: int, currency: str, text: str) -> None:
    """Written and read back."""
    assert money.format_minor(amount, currency) == text
    assert money.parse_major(text, currency) == amount


@given(amounts, currencies)
def test_every_amount_is_read_back_as_written(amount: int, currency: str) -> None:
    """The whole range of 64 bits, every currency."""
    assert money.parse_major(money.format_minor(amount, currency), currency) == amount


def test_fewer_decimals_are_exact_too() -> None:
    """A producer may leave out what is zero."""
    assert money.parse_major("12", "USD") == 1200
    assert money.parse_major("12.5", "USD") == 1250


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        "12.",
        ".5",
        "1,00",
        "1.001",
        "1 000.00",
        "+5",
        "--5",
        "1e3",
        "0x10",
        "\u0665",
        "NaN",
        "9" * 25,
        " 5",
    ],
)
def test_what_is_not_exactly_an_amount_is_refused(text: str) -> None:
    """Neither rounded nor guessed."""
    with pytest.raises(ValidationError) as caught:
        money.parse_major(text, "USD")
    assert caught.value.field == "amount"


@given(amounts, st.integers(0, 2_000_000))
def test_a_share_rounds_half_to_even(amount: int, rate_ppm: int) -> None:
    """Decimal is the referee, and a debit is the mirror of a credit."""
    exact = Decimal(amount * rate_ppm).scaleb(-6)
    assert money.share(amount, rate_ppm) == int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))
    assert money.share(-amount, rate_ppm) == -money.share(amount, rate_ppm)


@pytest.mark.parametrize(
    ("amount", "rate_ppm", "result"),
    [(50, 10_000, 0), (150, 10_000, 2), (250, 10_000, 2), (251, 10_000, 3), (10_000, 29_000, 290)],
)
def test_shares_by_hand(amount: int, rate_ppm: int, result: int) -> None:
    """Exact halves go to the even side."""
    assert money.share(amount, rate_ppm) == result


@given(amounts, st.lists(st.integers(0, 10**6), min_size=1, max_size=8).filter(sum), st.booleans())
def test_a_split_adds_up(amount: int, weights: list[int], to_first: bool) -> None:
    """No unit is lost, no part is further than one unit from its exact share, signs mirror."""
    owner = 0 if to_first else None
    parts = money.split(amount, weights, owner)
    assert sum(parts) == amount
    assert money.split(-amount, weights, owner) == [-part for part in parts]
    if owner is None:
        assert all(
            abs(part * sum(weights) - amount * weight) < sum(weights)
            for part, weight in zip(parts, weights, strict=True)
        )


@pytest.mark.parametrize(
    ("amount", "weights", "owner", "parts"),
    [
        (100, [1, 1, 1], None, [34, 33, 33]),
        (101, [1, 1, 1], None, [34, 34, 33]),
        (-100, [1, 1, 1], None, [-34, -33, -33]),
        (100, [1, 1, 1], 2, [33, 33, 34]),
        (101, [1, 1, 1], 2, [33, 33, 35]),
        (10, [9, 1, 0], None, [9, 1, 0]),
        (5, [70, 20, 10], None, [4, 1, 0]),
        (0, [1, 2], None, [0, 0]),
        (7, [1], None, [7]),
    ],
)
def test_who_gets_the_remainder(amount: int, weights: list[int], owner: int | None, parts: list[int]) -> None:
    """The largest remainder, the earlier of equals, or whom the caller names."""
    assert money.split(amount, weights, owner) == parts


@pytest.mark.parametrize(("weights", "owner"), [([0, 0], None), ([2, -1], None), ([1, 1], 2), ([1, 1], -1)])
def test_a_split_without_sense_is_refused(weights: list[int], owner: int | None) -> None:
    """Nobody to give to, or an owner who is not there."""
    with pytest.raises(ValidationError):
        money.split(100, weights, owner)
