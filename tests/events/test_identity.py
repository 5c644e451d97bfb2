"""Ids are computed, carry their slot, and never let a card number through."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import identity
from events.calendar import day_number
from events.errors import ValidationError

CARD = "card-0372-0123456789abcdef"
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

slots = st.integers(0, identity.SLOTS - 1)


def test_payment_id_is_the_documented_hash() -> None:
    """A producer in another language can compute the id from the description alone."""
    hashed = hashlib.sha256(b"\x00\x00\x00\x06shop-1" + b"\x00\x00\x00\x07order-9").digest()
    bits = int.from_bytes(hashed[:10], "big")
    letters = "".join(CROCKFORD[bits >> shift & 31] for shift in range(75, -1, -5))
    assert identity.payment_id("shop-1", "order-9", CARD) == f"pay-0372-{letters}"


def test_ids_stay_what_they_are() -> None:
    """These texts stand in logs: whatever changes them breaks every log there is."""
    payment = identity.payment_id("shop-1", "order-9", CARD)
    assert payment == "pay-0372-pake6ynehadt36q2"
    assert identity.operation_id("cap", "shop-1", "order-9") == "cap-f58s189x2gs6sfpb"
    assert identity.rrn(payment) == "ACEO6LMPNPZR"
    assert identity.arn(372, 41, day_number(2026, 3, 9), "545301") == "75453016068037200000413"
    assert identity.slot_of_name("shop-1") == 484


@given(slots, st.binary(min_size=10, max_size=10), st.text(min_size=1), st.text(min_size=1))
@settings(max_examples=60)
def test_every_id_of_a_card_carries_its_slot(slot: int, entropy: bytes, merchant: str, key: str) -> None:
    """Card, payment, RRN and ARN lead to one slot without a look-up."""
    card = identity.card_id(slot, entropy)
    payment = identity.payment_id(merchant, key, card)
    assert identity.slot_of(card) == slot
    assert identity.slot_of_payment(payment) == slot
    assert identity.slot_of_rrn(identity.rrn(payment)) == slot
    assert identity.slot_of_arn(identity.arn(slot, 7, 20_000, "123456")) == slot


def test_parts_of_a_hash_cannot_be_shifted() -> None:
    """Lengths are hashed too, and an operation's prefix."""
    assert identity.payment_id("ab", "c", CARD) != identity.payment_id("a", "bc", CARD)
    capture = identity.operation_id("cap", "shop", "key")
    assert capture[4:] != identity.operation_id("ref", "shop", "key")[4:]
    assert capture[4:] != identity.payment_id("shop", "key", CARD)[9:]


@pytest.mark.parametrize("partitions", [1, 2, 3, 4, 16, 1000, 1024])
def test_partitions_are_contiguous_even_and_complete(partitions: int) -> None:
    """No partition is empty and none holds two slots more than another."""
    found = [identity.partition_of_slot(slot, partitions) for slot in range(identity.SLOTS)]
    assert found == sorted(found)
    counts = [found.count(partition) for partition in range(partitions)]
    assert sum(counts) == identity.SLOTS
    assert max(counts) - min(counts) <= 1


def test_names_spread_over_all_slots() -> None:
    """Ten thousand merchants leave no slot of 1,024 empty and none with more than four times its share."""
    counts = [0] * identity.SLOTS
    for number in range(10_000):
        counts[identity.slot_of_name(f"merchant-{number}")] += 1
    assert min(counts) > 0
    assert max(counts) < 40
    assert identity.partition_of_name("shop-1", 4) == identity.partition_of_slot(484, 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "card-",
        "card-0372",
        "card-1024-0123456789abcdef",
        "card-0372-0123456789abcde",
        "card-0372-0123456789abcdef0",
        "card-0372-0123456789abcdeI",
        "card-0372-0123456789ABCDEF",
        "card-0372-0123456789abcdeu",
        "card-0372_0123456789abcdef",
        "pard-0372-0123456789abcdef",
        "card-" + "".join(chr(0x0660 + digit) for digit in (0, 3, 7, 2)) + "-0123456789abcdef",
        "pay-0372-0123456789abcdef",
    ],
)
def test_what_is_not_a_card_id_is_refused(text: str) -> None:
    """Strict to the letter: one spelling per id."""
    with pytest.raises(ValidationError) as caught:
        identity.slot_of(text)
    assert caught.value.field == "card_id"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pay-0372-",
        "pay-1024-0123456789abcdef",
        "pay-0372-0123456789abcdel",
        "pay-0372-0123456789abcde",
        CARD,
    ],
)
def test_what_is_not_a_payment_id_is_refused(text: str) -> None:
    """Neither is a card id a payment id."""
    with pytest.raises(ValidationError):
        identity.slot_of_payment(text)
    with pytest.raises(ValidationError):
        identity.rrn(text)


@pytest.mark.parametrize(
    "text", ["", "ZZ0123456789", "AC012345678", "AC01234567890", "AC012345678a", "ac0123456789"]
)
def test_what_is_not_an_rrn_is_refused(text: str) -> None:
    """A slot beyond 1,023 is none of ours."""
    with pytest.raises(ValidationError):
        identity.slot_of_rrn(text)


@pytest.mark.parametrize(
    "text",
    ["", "75453016068037200000414", "7545301606803720000041", "75453016068102400000415", "7" * 22 + "x"],
)
def test_what_is_not_an_arn_is_refused(text: str) -> None:
    """One wrong digit is seen."""
    with pytest.raises(ValidationError):
        identity.slot_of_arn(text)


@pytest.mark.parametrize(
    "change", [(1024, 0, "123456"), (0, 10_000_000, "123456"), (0, 0, "12345"), (0, 0, "12345x")]
)
def test_an_arn_is_not_written_with_what_does_not_fit(change: tuple[int, int, str]) -> None:
    """A serial that ran over would carry into the slot."""
    with pytest.raises(ValidationError):
        identity.arn(change[0], change[1], 20_000, change[2])


def test_the_rest_of_the_arguments_is_checked() -> None:
    """Each refusal names the field."""
    identity.check_operation_id("cap-0123456789abcdef", "cap")
    for call, field in (
        (lambda: identity.check_operation_id("cap-0123456789abcdef", "ref"), "operation_id"),
        (lambda: identity.check_operation_id("cap-0123456789abcdeu", "cap"), "operation_id"),
        (lambda: identity.card_id(0, b"short"), "entropy"),
        (lambda: identity.card_id(-1, bytes(10)), "slot"),
        (lambda: identity.partition_of_slot(1024, 4), "slot"),
        (lambda: identity.partition_of_slot(0, 0), "partitions"),
        (lambda: identity.partition_of_slot(0, 1025), "partitions"),
        (lambda: identity.operation_id("CAP", "shop", "key"), "prefix"),
        (lambda: identity.operation_id("cap", "", "key"), "merchant"),
        (lambda: identity.payment_id("shop", "", CARD), "idempotency_key"),
    ):
        with pytest.raises(ValidationError) as caught:
            call()
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4111111111111111", True),
        ("4111 1111 1111 1111", True),
        ("4111-1111-1111-1111", True),
        ("378282246310005", True),
        ("order 4111111111111111 of today", True),
        ("PAN4111111111111111", True),
        ("pan_4111111111111111_", True),
        ("4111 1111 1111 1111 2027", True),
        ("1 4111 1111 1111 1111", True),
        ("(4111111111111111)", True),
        ("4111.1111.1111.1111", True),
        ("4111_1111_1111_1111", True),
        ("4111/1111/1111/1111", True),
        ("card_4111_1111_1111_1111_of_ann", True),
        ("order_4111111111111111_a1", True),
        ("2026.4111.1111.1111.1111", True),
        ("4111.1111.1111.1111.12.27", True),
        ("4111\u00a01111\u20131111 . 1111", True),
        ("3782.822463.10005", True),
        ("3056_930902_5904", True),
        ("4222.222.222.222", True),
        ("4222_2222_2222_2", True),
        ("".join(chr(0xFF10 + int(digit)) for digit in "4111111111111111"), True),
        ("".join(chr(0x0660 + int(digit)) for digit in "4111111111111111"), True),
        ("4111111111111112", False),
        ("411111111111", False),
        ("4111 1111, 1111 1111", False),
        ("4111....1111....1111....1111", False),
        ("41111111.11111111", False),
        ("411111.1111111111", False),
        ("75453016068037200000413", False),
        ("0123abc4111111111111111def0", False),
        (hashlib.sha256(b"x").hexdigest(), False),
        (CARD, False),
        ("", False),
    ],
)
def test_card_numbers_are_recognised(text: str, found: bool) -> None:
    """Grouped, glued to a word, in other digits; not an ARN, not a hash."""
    assert identity.looks_like_pan(text) is found


def test_times_and_numbers_of_others_do_not_look_like_card_numbers() -> None:
    """Every tenth of these has enough digits and passes Luhn by chance; none is grouped as a card is."""
    for number in range(3_000):
        day, second = f"{2026 + number % 7}.{number % 12 + 1:02}.{number % 28 + 1:02}", f"{number:06}"
        for text in (
            f"{day} {second[:2]}.{second[2:4]}.{second[4:]}.{number:06}",
            f"{day}T{second}.{number:06}",
            f"{day}_{second}_{number:04}",
            f"order.{day.replace('.', '')}.{second}",
            f"till_{number:05}_{second}_{number:04}",
            f"10.{number % 256}.{second[3:]}.17/192.168.{number % 256}.{second[3:]}",
            f"{number}1234567.{second}",
        ):
            assert not identity.looks_like_pan(text), text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4111111111111111", "****************"),
        ("till a, 4111.1111_1111/1111!", "till a, ****.****_****/****!"),
        ("\x044111 1111 1111 1111\x00", "\x04**** **** **** ****\x00"),
        ("\udce94111:1111:1111:1111", "\udce9****:****:****:****"),
        ("0" * 9 + "4111111111111111", "*" * 25),
        ("".join(chr(0xFF10 + int(digit)) for digit in "4111111111111111"), "*" * 16),
        ("card 411111111111 x 1000000000000", "card 411111111111 x 1000000000000"),
        ("4111a1111a1111a1111", "4111a1111a1111a1111"),
        ("2026-03-02T09:15:00", "2026-03-02T09:15:00"),
        ("", ""),
    ],
)
def test_what_somebody_else_wrote_is_covered(text: str, shown: str) -> None:
    """Card numbers lose every digit, however they are written; other words and lengths stay."""
    assert identity.covered(text) == shown
    assert len(text) == len(shown)


def test_our_own_ids_do_not_look_like_card_numbers() -> None:
    """A scan for card numbers must stay quiet on a log full of ids."""
    for number in range(3_000):
        payment = identity.payment_id("shop", str(number), CARD)
        assert not identity.looks_like_pan(f"{payment} {identity.rrn(payment)}")
        assert not identity.looks_like_pan(hashlib.sha256(payment.encode()).hexdigest())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4111111111111111", "411111******1111"),
        ("4111 1111 1111 1111", "411111******1111"),
        ("378282246310005", "378282*****0005"),
        ("4222222222222", "*********2222"),
        ("4111111111111112", "****"),
        ("41111111111", "****"),
        ("card 4111111111111111", "****"),
        ("", "****"),
    ],
)
def test_masking_fails_closed(text: str, shown: str) -> None:
    """What is not exactly a card number shows no digit at all."""
    assert identity.mask(text) == shown


def test_a_refusal_does_not_repeat_a_card_number() -> None:
    """A card number sent where an id belongs must not come out in the reason."""
    with pytest.raises(ValidationError) as caught:
        identity.slot_of("4111 1111 1111 1111")
    assert "1111" not in str(caught.value)


def test_a_luhn_digit_is_right_for_every_length() -> None:
    """One check digit, and only that one, fits."""
    for digits in ("7992739871", "0", "18", "411111111111111"):
        assert [digit for digit in range(10) if identity.luhn_ok(f"{digits}{digit}")] == [
            int(identity._luhn_digit(digits))
        ]
    assert not identity.luhn_ok("")
    assert not identity.luhn_ok("79927398713x")
