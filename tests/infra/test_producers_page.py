"""docs/producers.md says of fields, ids and answers what the code says."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, get_args

import pytest

import events.authorization
import events.disputes
import events.intake
import events.lifecycle
import events.refunds
import events.settlement
import schemas
from events.avro import fields_of
from events.identity import operation_id, payment_id
from events.partitions import DeadLetterReason
from events.requests import EvidenceRequest, PaymentRequest, Request
from events.signals import Connection, IdentitySignals, ProviderAnswer
from events.wire import encode_message, schema_id
from streams.hosts.admission import REQUEST_LIMIT
from streams.intake import (
    CLAIM_DAYS,
    FUTURE_TOLERANCE,
    LONGEST_KEY,
    LONGEST_NAME,
    LONGEST_NOTE,
    MOST_DOCUMENTS,
    PAST_TOLERANCE,
)

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "producers.md").read_text("utf-8")

#: Events of a payment that are none of its producer's business: steps on the way, and what the network said.
STEPS: Final = frozenset(
    "RequestReceived PaymentRequested CaptureRequested VoidRequested RefundRequested AuthorizationSubmitted"
    " SettingsReceived SettingsForwarded MerchantSettingsRequested"
    " EvidenceReceived EvidenceForwarded DisputeEvidenceRequested FraudReportReceived FraudReportRefused"
    " FraudConfirmed DisputeNoticeReceived DisputeNoticeRefused DisputeFundsWithdrawn DisputeFundsReturned"
    " IncrementReceived IncrementForwarded IncrementRequested IncrementAdmitted IncrementSubmitted"
    " ReversalSubmitted NetworkReplyReceived NetworkReplyTimedOut NetworkNotSent NetworkReplyUnmatched"
    " LateApprovalReceived".split()
)


def section(title: str, level: int = 2) -> str:
    """The text below a title, up to the next one of its kind."""
    found = re.search(
        rf"^{'#' * level} {title}\n(.*?)(?=^#{{1,{level}}} |\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    assert found is not None, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of every row of tables, without code marks; heads and rules left out."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip().strip("`") for cell in line] for line in lines]
    rules = [number for number, line in enumerate(lines) if set("".join(line)) <= set("-| ")]
    return [line for number, line in enumerate(cells) if number not in rules and number + 1 not in rules]


def _type_of(type_: Any) -> str:
    """A field's type in the words of the page."""
    if isinstance(type_, list):
        return " or ".join(map(_type_of, type_))
    return str(type_ if isinstance(type_, str) else type_["type"])


@pytest.mark.parametrize("kind", get_args(Request))
def test_every_field_of_a_request_stands_there(kind: type[Any]) -> None:
    """In order, with its type on the wire and the schema's id."""
    text = section(kind.__name__, 3)
    assert f"Schema {schema_id(kind)}." in text
    types = {
        field["name"]: _type_of(field["type"])
        for field in schemas.schema(kind.__name__, kind.VERSION)["fields"]
    }
    assert [field.name for field in fields_of(kind)] == list(types)
    assert [[name, types[name]] for name in types] == [row[:2] for row in rows(text)]


def test_the_ids_of_the_page_are_ours() -> None:
    """And the slots of its cards are at both ends."""
    vectors = rows(section("Ids before the answer"))
    assert len(vectors) >= 4
    for merchant, key, card, payment, capture, increment, refund in vectors:
        assert [payment, capture, increment, refund] == [
            payment_id(merchant, key, card),
            operation_id("cap", merchant, key),
            operation_id("inc", merchant, key),
            operation_id("ref", merchant, key),
        ]


def test_every_answer_stands_there() -> None:
    """Each event that a request may lead to is either in the tables or a step that nobody waits for."""
    named = {
        found for row in rows(section("What the answers mean")) for found in re.findall(r"^\[(\w+)\]", row[0])
    }
    families = (events.intake, events.lifecycle, events.authorization, events.refunds, events.disputes)
    possible = {
        cls.__name__
        for family in families
        for cls in vars(family).values()
        if isinstance(cls, type) and cls.__module__ == family.__name__ and not issubclass(cls, StrEnum)
    }
    possible |= {name for name in vars(events.settlement) if name.startswith("MerchantSettings")}
    assert possible - STEPS == named - {"EventDeadLettered"}
    assert STEPS <= possible


def test_every_reason_of_a_dead_letter_stands_there() -> None:
    """With what to do about it."""
    assert {str(reason) for reason in DeadLetterReason} == {
        row[0] for row in rows(section("What cannot be taken"))
    }


def test_the_bounds_of_the_page_are_ours() -> None:
    """Numbers in prose."""
    text = " ".join(PAGE.split())
    day, minute = 86_400_000_000, 60_000_000
    for sentence in (
        f"at most {PAST_TOLERANCE // day} days back and {FUTURE_TOLERANCE // minute} minutes ahead",
        f"at most {REQUEST_LIMIT // 1024} KiB",
        f"more than {REQUEST_LIMIT // 1024} KiB",
        f"for {CLAIM_DAYS} days",
        f"is remembered for {CLAIM_DAYS} days",
        f"1 to {LONGEST_KEY} characters",
        f"up to {LONGEST_NAME} letters",
        f"up to {LONGEST_NOTE} characters",
        f"1 to {MOST_DOCUMENTS} of them",
        f"a request of more than {PAST_TOLERANCE // day} days ago",
    ):
        assert sentence in text, sentence


def test_the_largest_fields_stay_far_below_the_limit() -> None:
    """Four times, as the page says; a payment's many times."""
    name = "n" * LONGEST_NAME
    evidence = EvidenceRequest(
        name, "k" * LONGEST_KEY, "pay-0372-0123456789abcdef", name, next(iter(events.requests.Answered)),
        ["f" * 64] * MOST_DOCUMENTS, 2**62, name, True,
    )  # fmt: skip
    assert 4 * len(encode_message(evidence)) < REQUEST_LIMIT
    asked = PaymentRequest(
        name, "k" * LONGEST_KEY, "card-0372-0123456789abcdef", "41111111", "0042", 10**12, "USD",
        next(iter(events.requests.Channel)), next(iter(events.requests.CaptureMode)),
        name, name, name, 2**62, name, True, name,
        IdentitySignals(name, ProviderAnswer.NEVER_SEEN, name, *[2**62] * 3, Connection.ORGANIZATION, *[2**62] * 3),
    )  # fmt: skip
    assert 8 * len(encode_message(asked)) < REQUEST_LIMIT
