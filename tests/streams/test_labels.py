"""Labels count from their own position on, once each, under every key, and not at all when they are taken back."""

from random import Random
from typing import NamedTuple

import msgspec
import pytest

from events.calendar import DAY, HOUR, MINUTE
from events.disputes import FraudConfirmed, Label, LabelSource
from events.identity import partition_of_name
from events.labels import LabelApplied, LabelSignalled, PaymentLabelled
from events.lifecycle import PaymentRequested
from events.risk import RiskAssessed
from streams import handovers, risk
from streams.features import labels, profiles
from streams.features.profiles import Profiles
from streams.features.rules.catalogue import WINDOWS
from streams.features.vectors import RECORDED
from tests.streams.builders_early import NOON, Bench, payment_requested, recorded

FRAUD, GENUINE = Label
WHOSE = dict(zip(LabelSource, ("issuer", "issuer", "analyst", "merchant"), strict=True))


class Paid(NamedTuple):
    """A payment as the oracle sees it."""

    at: int
    keys: tuple[str, ...]


def said(
    body: PaymentRequested, label: Label, at: int, source: LabelSource = LabelSource.DISPUTE
) -> FraudConfirmed:
    """Somebody's word about a payment."""
    parties = (body.payment_id, body.merchant, body.card_id)
    return FraudConfirmed(*parties, source, label, "case-1", body.amount, body.currency, at)


def signalled(body: PaymentLabelled, known_at: int) -> LabelSignalled:
    """The label as it comes back from the log velocity."""
    [handed] = handovers.signalled_label(None, recorded(body, at=known_at), 1)
    assert isinstance(handed.fact, LabelSignalled)
    return handed.fact


def keys_of(body: PaymentRequested) -> tuple[str, ...]:
    """In the order of the features."""
    shared = (body.ip_ref, body.device_ref, body.email_ref, body.merchant)
    return body.card_id, *shared, f"{body.card_id} at {body.merchant}"


def looked_up(paid: dict[str, Paid], own: set[str], shared: set[str], now: Paid) -> list[int]:
    """The definition: all payments that are known to be fraud, one by one, for each key and window."""
    found = []
    for place, key in enumerate(now.keys):
        known = own if place in (0, 5) else shared
        for width in WINDOWS.values():
            inside = (one for name, one in paid.items() if name in known)
            found.append(
                sum(
                    bool(key) and one.keys[place] == key and now.at - width < one.at <= now.at
                    for one in inside
                )
            )
    return found


@pytest.mark.parametrize("seed", range(6))
def test_what_is_known_is_what_a_plain_search_finds(seed: int) -> None:
    """Months of payments of few keys; labels come late, twice, are taken back and said again; ticks forget."""
    chance = Random(seed)
    bench = Bench(risk)
    first = RECORDED.index("card.frauds_10m")
    bodies: dict[str, PaymentRequested] = {}
    paid: dict[str, Paid] = {}
    voices: dict[str, dict[str, Label]] = {}
    own: set[str] = set()
    shared: set[str] = set()
    told: list[tuple[str, Label]] = []
    at, counted, most = NOON, 0, 0
    for number in range(160):
        at += chance.choice([MINUTE, 5 * MINUTE, HOUR, DAY])
        body = payment_requested(
            payment_id=f"p{number:03d}",
            card_id=f"card-{chance.randrange(3)}",
            merchant=f"shop-{chance.randrange(2)}",
            ip_ref=chance.choice(["", "ip-1", "ip-2"]),
            device_ref=chance.choice(["", "phone"]),
            email_ref=chance.choice(["", "", "mail-1"]),
            amount=chance.randrange(100, 9_000),
        )
        claimed = at - chance.choice([0, 0, 3 * MINUTE])
        [verdict] = bench.take(body, at=at, occurred_at=claimed, ingested_at=at)
        assert isinstance(verdict, RiskAssessed)
        bodies[body.payment_id] = body
        paid[body.payment_id] = now = Paid(claimed, keys_of(body))
        expected = looked_up(paid, own, shared, now)
        assert expected == verdict.features[first : first + len(expected)]
        most = max(most, *expected)
        for _ in range(chance.choice([0, 1, 2])):
            name = chance.choice(list(bodies))
            label = chance.choice([FRAUD, FRAUD, GENUINE])
            source = chance.choice([LabelSource.DISPUTE, LabelSource.EARLY_WARNING, *LabelSource])
            answers = bench.take(said(bodies[name], label, paid[name].at, source), at=at)
            voices.setdefault(name, {})[WHOSE[source]] = label
            label = FRAUD if FRAUD in voices[name].values() else GENUINE
            before = [known for payment, known in told if payment == name]
            assert bool(answers) is (before[-1:] != [label])
            for answer in answers:
                assert isinstance(answer, PaymentLabelled)
                assert (label, len(before) + 1) == (answer.label, answer.number)
                counted += 1
                told.append((name, label))
                (own.add if label is FRAUD else own.discard)(name)
                bench.take(signalled(answer, at), at=at)
        if chance.random() < 0.5:
            at += MINUTE
            applied = [one for one in bench.tick(at) if isinstance(one, LabelApplied)]
            assert applied == sorted(applied, key=lambda one: (one.payment_id, one.number))
            shared = set(own)
    assert counted > 40
    assert most > 3
    times = [at for found in bench.state.measures.frauds.frauds for kept in found.values() for at in kept]
    assert min(times) > at - labels.KEPT - 3 * DAY


def test_one_who_says_it_again_says_nothing_new() -> None:
    """A warning and then a dispute; the label is of the first, and the next is the second."""
    bench = Bench(risk)
    body = payment_requested()
    bench.take(body)
    [first] = bench.take(said(body, FRAUD, NOON, LabelSource.EARLY_WARNING), at=NOON + DAY)
    assert [] == bench.take(said(body, FRAUD, NOON), at=NOON + 2 * DAY)
    [second] = bench.take(said(body, GENUINE, NOON), at=NOON + 3 * DAY)
    assert isinstance(first, PaymentLabelled)
    assert isinstance(second, PaymentLabelled)
    assert (1, FRAUD, 0, True) == (first.number, first.label, first.replaced_at, first.ordinary)
    assert (2, GENUINE, NOON + DAY) == (second.number, second.label, second.replaced_at)


@pytest.mark.parametrize("source", [LabelSource.REFUND, LabelSource.ANALYST])
def test_nobody_takes_back_what_another_has_said(source: LabelSource) -> None:
    """A dispute that does not stand leaves the merchant's word and the analyst's; their own takes it back."""
    bench = Bench(risk)
    body = payment_requested()
    bench.take(body)
    assert 1 == len(bench.take(said(body, FRAUD, NOON, source)))
    assert [] == bench.take(said(body, FRAUD, NOON, LabelSource.EARLY_WARNING))
    assert [] == bench.take(said(body, FRAUD, NOON, LabelSource.DISPUTE))
    assert [] == bench.take(said(body, GENUINE, NOON, LabelSource.DISPUTE))
    [back] = bench.take(said(body, GENUINE, NOON, source))
    assert isinstance(back, PaymentLabelled)
    assert (GENUINE, 2) == (back.label, back.number)
    assert not bench.state.book.accused


def test_a_label_of_a_payment_that_is_not_known_here_counts_of_its_card_and_merchant() -> None:
    """Whoever confirms it names both; its address, device and e-mail address nobody knows."""
    [label] = Bench(risk).take(said(payment_requested(), FRAUD, NOON))
    assert isinstance(label, PaymentLabelled)
    assert ("", "", "") == (label.ip_ref, label.device_ref, label.email_ref)
    assert (payment_requested().merchant, payment_requested().card_id) == (label.merchant, label.card_id)


def test_an_unusual_amount_says_nothing_about_the_merchant() -> None:
    """The label says so itself, for the partitions that do not know the payment."""
    bench = Bench(risk)
    for number in range(6):
        body = payment_requested(payment_id=f"p{number}", amount=100 if number < 5 else 90_000)
        bench.take(body, at=NOON + number)
    [label] = bench.take(said(body, FRAUD, NOON + 5), at=NOON + DAY)
    assert isinstance(label, PaymentLabelled)
    assert not label.ordinary


def test_an_old_payment_is_learned_of_its_merchant_and_counted_nowhere() -> None:
    """No window reaches it, so its address and device are forgotten; the profile of its merchant takes it."""
    bench = Bench(risk)
    body = payment_requested(ip_ref="ip-1")
    bench.take(body)
    at = NOON + 60 * DAY
    bench.tick(at)
    [label] = bench.take(said(body, FRAUD, NOON), at=at)
    assert isinstance(label, PaymentLabelled)
    assert ("", "", "") == (label.ip_ref, label.device_ref, label.email_ref)
    bench.take(signalled(label, at), at=at)
    bench.tick(at + HOUR)
    [verdict] = bench.take(payment_requested(payment_id="later", ip_ref="ip-1"), at=at + 2 * HOUR)
    assert isinstance(verdict, RiskAssessed)
    known = dict(zip(RECORDED, verdict.features, strict=True))
    assert not any(known[name] for name in labels.COLUMNS)
    assert (60 * DAY + 2 * HOUR) // 1_000_000 == known["profile.merchant_since_fraud"]
    assert 1 == known["profile.merchant_frauds_28d"]


@pytest.mark.parametrize("label", [FRAUD, GENUINE])
def test_labels_are_forgotten(label: Label) -> None:
    """What was said last of a payment, after the time in which it could be said otherwise."""
    bench = Bench(risk)
    body = payment_requested()
    bench.take(body)
    bench.take(said(body, label, NOON), at=NOON)
    assert bench.state.book.known
    bench.tick(NOON + (labels.REMEMBERED_DAYS + 1) * DAY)
    assert labels.Book() == bench.state.book
    assert [{}] * 6 == bench.state.measures.frauds.frauds


def test_a_label_is_told_to_every_partition_once() -> None:
    """By the partition of velocity that counts the merchant's payments."""
    body = payment_requested()
    bench = Bench(risk)
    bench.take(body)
    [label] = bench.take(said(body, FRAUD, NOON), at=NOON + DAY)
    [signal] = handovers.signalled_label(None, recorded(label, at=NOON + DAY), 4)
    assert ("risk.signals", partition_of_name(f"merchant:{body.merchant}", 4)) == signal[:2]
    told = handovers.told_to_all(None, recorded(signal.fact), 4)
    assert [("risk.hotlist", number, signal.fact) for number in range(4)] == told


# --- what models see of a merchant --------------------------------------------------------------------------


def learned(*said: tuple[int, bool, bool]) -> Profiles:
    """The profile after labels of payments at these times, each (paid_at, fraud, ordinary), known a day later."""
    found = Profiles()
    for paid_at, fraud, ordinary in said:
        profiles.learn(found, "shop", paid_at, paid_at + DAY, fraud=fraud, ordinary=ordinary)
    return found


@pytest.mark.parametrize("ordinary", [True, False])
@pytest.mark.parametrize("fraud", [True, False])
@pytest.mark.parametrize("place", range(5))
def test_a_label_that_is_taken_back_was_never_there(place: int, fraud: bool, ordinary: bool) -> None:
    """But for what it is replaced by: fraud by genuine and genuine by fraud, in the midst of others."""
    others = [(NOON + hour * HOUR, hour % 3 > 0, hour % 2 > 0) for hour in range(5)]
    paid_at = others[place][0] + MINUTE
    found = learned(*others[: place + 1], (paid_at, fraud, ordinary), *others[place + 1 :])
    profiles.learn(
        found, "shop", paid_at, NOON + 2 * DAY, fraud=not fraud, ordinary=ordinary, replaced_at=paid_at + DAY
    )
    expected = learned(*others)
    profiles.learn(expected, "shop", paid_at, NOON + 2 * DAY, fraud=not fraud, ordinary=ordinary)
    at = NOON + 3 * DAY
    vectors = [profiles.observe(one, "card", "shop", at, 5) for one in (found, expected)]
    assert vectors[0] == vectors[1]
    assert found.merchants["shop"].run == expected.merchants["shop"].run


def test_what_was_forgotten_need_not_be_taken_back() -> None:
    """A fraud that became known 60 days ago counts in no tile any more."""
    found = learned((NOON, True, True))
    later = NOON + 60 * DAY
    profiles.learn(found, "shop", later, later, fraud=True, ordinary=True)
    profiles.learn(found, "shop", NOON, later, fraud=False, ordinary=True, replaced_at=NOON + DAY)
    place = found.merchants["shop"]
    assert (2, 1, 1) == (place.labels, place.frauds, place.ordinary)
    assert [later] == place.run == place.fraud_times
    assert place == msgspec.msgpack.decode(msgspec.msgpack.encode(place), type=type(place))
