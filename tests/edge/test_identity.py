"""Whatever an identity provider does, the payment goes on; and what it says is believed only where it can be true."""

from collections.abc import Callable
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

import pytest

from events.errors import Refused, Unavailable
from events.identity import looks_like_pan
from events.requests import Channel, InputRow, PaymentRequest
from events.signals import Connection, IdentitySignals, ProviderAnswer
from streams.edge.identity import (
    LONGEST_ANSWER,
    MOST_AT_ONCE,
    NEAREST_KM,
    Bounded,
    Buyer,
    LateError,
    signals_of,
)
from streams.edge.recordings import (
    Introduced,
    RecordedProvider,
    SimulatedProvider,
    read_recordings,
    starter_recordings,
)
from tests.patience import PATIENCE_SECONDS
from tests.streams.builders_early import payment_request, refund_request

ANA = Buyer("198.51.100.7", "ana@example.com", "+1 555 0100", "laptop")
WHOLE = (
    b'{"ip": {"country": "PT", "latitude": 38.7223, "longitude": -9.1393, "accuracy_km": 20, '
    b'"connection": "consumer", "risk": 4}, "email": {"age_days": 2900, "risk": 2, "disposable": false}, '
    b'"phone": {"risk": 1}}'
)


class Says:
    """A provider that says one thing to everybody, or does one thing."""

    name = "somebody"

    def __init__(self, answer: bytes | Callable[[], Any] | None) -> None:
        self.answer = answer
        self.asked = 0

    def ask(self, buyer: Buyer, within_ms: int) -> Any:
        self.asked += 1
        return self.answer() if callable(self.answer) else self.answer


def fail(error: BaseException) -> Callable[[], Any]:
    def failing() -> Any:
        raise error

    return failing


# --- what is believed -----------------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    """Places to a hundredth of a degree."""
    expected = IdentitySignals(
        "somebody", ProviderAnswer.GIVEN, "PT", 3872, -914, 20, Connection.CONSUMER, 4, 2900, 2, False, 1
    )
    assert expected == signals_of(Says(WHOLE), ANA)


def test_no_place_is_told_too_exactly() -> None:
    """A town, whatever the provider knows."""
    said = signals_of(Says(WHOLE.replace(b'"accuracy_km": 20', b'"accuracy_km": 0')), ANA)
    assert said is not None
    assert NEAREST_KM == said.accuracy_km


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b'{"ip": null, "email": null, "phone": null}',
        b'{"ip": {}, "email": {}}',
        b'{"ip": {"latitude": 38.72, "longitude": -9.14}}',
        b'{"ip": {"accuracy_km": 20, "latitude": null}}',
    ],
)
def test_what_is_not_said_is_not_known(answer: bytes) -> None:
    """A place with a number missing is none."""
    assert IdentitySignals("somebody", ProviderAnswer.GIVEN) == signals_of(Says(answer), ANA)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        WHOLE[:40],
        WHOLE + b"}",
        b"[]",
        b'"PT"',
        WHOLE.replace(b'"risk": 4', b'"risk": 101'),
        WHOLE.replace(b'"risk": 4', b'"risk": "4"'),
        WHOLE.replace(b'"risk": 4', b'"risk": 4.5'),
        WHOLE.replace(b'"PT"', b'"XX"'),
        WHOLE.replace(b'"PT"', b'"4111111111111111"'),
        WHOLE.replace(b"38.7223", b"90.01"),
        WHOLE.replace(b"38.7223", b'"NaN"'),
        WHOLE.replace(b"38.7223", b"1e9999999"),
        WHOLE.replace(b"-9.1393", b"-180.01"),
        WHOLE.replace(b'"accuracy_km": 20', b'"accuracy_km": -1'),
        WHOLE.replace(b'"consumer"', b'"carrier pigeon"'),
        WHOLE.replace(b"2900", b"-1"),
        WHOLE.replace(b'"phone"', b'"name"'),
        b" " * LONGEST_ANSWER + b"{}",
    ],
)
def test_nonsense_is_thrown_away_whole(answer: bytes) -> None:
    """Also what would have been good of it."""
    assert IdentitySignals("somebody", ProviderAnswer.GARBLED) == signals_of(Says(answer), ANA)


@pytest.mark.parametrize("answer", [["PT"], 7])
def test_an_answer_that_is_no_bytes_is_nonsense(answer: Any) -> None:
    """Whatever an adapter returns."""
    assert IdentitySignals("somebody", ProviderAnswer.GARBLED) == signals_of(Says(lambda: answer), ANA)


@pytest.mark.parametrize("error", [LateError(), TimeoutError(), ConnectionResetError(), KeyError("ip")])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_provider_that_fails_has_said_nothing(error: Exception, wrapped: bool) -> None:
    """The payment hears of no error."""
    provider = Bounded(Says(fail(error))) if wrapped else Says(fail(error))
    assert IdentitySignals("somebody", ProviderAnswer.LATE) == signals_of(provider, ANA)


def test_nobody_is_asked_about_nobody() -> None:
    """A device alone is nothing that a provider knows."""
    provider = Says(WHOLE)
    assert signals_of(provider, Buyer(device="till-1")) is None
    assert 0 == provider.asked
    assert IdentitySignals("somebody", ProviderAnswer.NEVER_SEEN) == signals_of(Says(None), ANA)


def test_a_buyer_prints_as_nothing() -> None:
    """In a log or an error there is no address."""
    assert "Buyer(4 known) Buyer(4 known)" == f"{ANA} {ANA!r}"


# --- a bounded wait -------------------------------------------------------------------------------------


def test_a_provider_that_hangs_is_given_up() -> None:
    """Each payment waits as long as it was said; when too many wait, the next does not wait at all."""
    go_on, done = Event(), Semaphore(0)

    def hang() -> bytes:
        go_on.wait()
        done.release()
        return WHOLE

    hanging = Says(hang)
    bounded = Bounded(hanging)
    late = IdentitySignals("somebody", ProviderAnswer.LATE)
    for _ in range(MOST_AT_ONCE):
        assert late == signals_of(bounded, ANA, within_ms=1)
    # Nobody is asked, so a wait of an hour is none.
    assert late == signals_of(bounded, ANA, within_ms=3_600_000)
    assert MOST_AT_ONCE == hanging.asked
    go_on.set()
    for _ in range(MOST_AT_ONCE):
        assert done.acquire(timeout=PATIENCE_SECONDS)
    said = signals_of(bounded, ANA, within_ms=30_000)
    while said == late:  # the last of them is just letting go
        said = signals_of(bounded, ANA, within_ms=30_000)
    assert said is not None
    assert ProviderAnswer.GIVEN is said.answer


# --- recordings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("buyer", "answer", "country", "connection", "figures"),
    [
        (ANA, ProviderAnswer.GIVEN, "PT", Connection.CONSUMER, (4, 2900, 2, 1)),
        (ANA._replace(phone="", email=""), ProviderAnswer.GIVEN, "PT", Connection.CONSUMER, (4, -1, -1, -1)),
        (Buyer(email="x81@example.net"), ProviderAnswer.GIVEN, "", Connection.NOT_KNOWN, (-1, 0, 88, -1)),
        (Buyer("203.0.113.90"), ProviderAnswer.GIVEN, "", Connection.TOR, (93, -1, -1, -1)),
        (ANA._replace(ip="192.0.2.9"), ProviderAnswer.LATE, "", Connection.NOT_KNOWN, (-1, -1, -1, -1)),
        (ANA._replace(ip="192.0.2.66"), ProviderAnswer.GARBLED, "", Connection.NOT_KNOWN, (-1, -1, -1, -1)),
        (Buyer("192.0.2.1", "a@b.example"), ProviderAnswer.NEVER_SEEN, "", Connection.NOT_KNOWN, (-1, -1, -1, -1)),
    ],
)  # fmt: skip
def test_the_recordings_of_the_package(
    buyer: Buyer, answer: ProviderAnswer, country: str, connection: Connection, figures: tuple[int, ...]
) -> None:
    """Answers, nonsense, silence, and a stranger."""
    said = signals_of(RecordedProvider(starter_recordings()), buyer)
    assert said is not None
    assert ("simulated", answer, country, connection) == (
        said.provider,
        said.answer,
        said.country,
        said.connection,
    )
    assert figures == (said.ip_risk, said.email_age_days, said.email_risk, said.phone_risk)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "has no recordings"),
        ('{"about": "x"}', "has no recordings"),
        ('{"about": "x", "name": "n", "colour": 1}', "has no recordings"),
        ('{"about": "x", "name": "n", "ip": {"a": {"risk": 101}}}', "has no recordings"),
        ('{"about": "x", "name": "n", "towns": {"Narnia": []}}', "there is no country Narnia"),
    ],
)
def test_a_file_that_has_none_is_refused(tmp_path: Path, content: str, says: str) -> None:
    """In one sentence."""
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(Refused, match=says):
        read_recordings(tmp_path / "r.json")
    with pytest.raises(Unavailable, match="cannot be read"):
        read_recordings(tmp_path / "nowhere.json")


# --- a simulated day ------------------------------------------------------------------------------------


def test_a_buyer_is_at_home_and_a_thief_is_not() -> None:
    """The same answer whoever asks, and however often: it is a function of the seed and of the names."""
    first, again = (SimulatedProvider(7, starter_recordings()) for _ in range(2))
    buyers = [Buyer(f"ip-{n}", f"mail-{n}", f"tel-{n}", f"dev-{n}") for n in range(300)]
    for provider in (first, again):
        for number, buyer in enumerate(buyers):
            provider.settle(buyer.ip, "DE" if number % 2 else "Q?")
            if number % 10 == 0:
                provider.haunt(buyer.ip)
    said = [signals_of(first, buyer) for buyer in buyers]
    assert said == [signals_of(again, buyer) for buyer in reversed(buyers)][::-1]
    assert said != [signals_of(SimulatedProvider(8, starter_recordings()), buyer) for buyer in buyers]
    heard = [one for one in said if one is not None and one.answer is ProviderAnswer.GIVEN]
    thieves = [one for one in heard if one.country in starter_recordings().far_away]
    assert 30 == len(thieves)
    assert {"DE", "US"} == {one.country for one in heard} - starter_recordings().far_away.keys()
    assert max(one.email_risk for one in heard if one not in thieves) < min(one.email_risk for one in thieves)
    assert all(0 <= one.email_age_days < 6 for one in thieves)


def test_rows_are_introduced() -> None:
    """Payments whose buyers somebody may know; those that bring signals along keep them."""
    introduced = Introduced(7)

    def signals_of_row(request: PaymentRequest) -> IdentitySignals | None:
        entry = introduced.row(InputRow(0, request)).entry
        assert isinstance(entry, PaymentRequest)
        return entry.signals

    known = signals_of_row(payment_request(ip_ref="ip-1"))
    assert known is not None
    assert known == signals_of_row(payment_request(ip_ref="ip-1", idempotency_key="another"))
    assert "simulated" == known.provider
    own = IdentitySignals("own", ProviderAnswer.GIVEN)
    assert own == signals_of_row(payment_request(signals=own))
    till = {"channel": Channel.POINT_OF_SALE, "ip_ref": "", "email_ref": ""}
    assert signals_of_row(payment_request(**till)) is None
    refund = InputRow(0, refund_request())
    assert refund is introduced.row(refund)


def test_no_word_of_the_recordings_looks_like_a_card_number() -> None:
    """Nor does any that a request may carry."""
    known = starter_recordings()
    assert not any(map(looks_like_pan, (known.name, *known.towns, *known.far_away)))
