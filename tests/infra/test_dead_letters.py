"""Dead letters on the command line: what anybody may see, what the key opens, and what no retry can help."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from events.errors import Refused
from events.intake import RequestReceived
from events.messages import DeadLetter
from events.partitions import ClockKind, DeadLetterReason
from events.samples import recorded_samples
from events.wire import encode_event, encode_message
from infra.commandline import run
from infra.deadletters import Letter, check_that_it_helps, content, hexadecimal
from streams.edge.vault import open_keys
from streams.hosts.admission import refuse, screened
from streams.hosts.embedded import EmbeddedLog
from streams.hosts.index import Run
from streams.hosts.log import Append, Stored
from streams.intake import PAST_TOLERANCE
from tests.streams.hosts.test_admission import BYTES, GROUPED, NUMBER, PAYMENT

AT = 1_772_452_800_000_000
WALL = Run(4, ClockKind.WALL, AT, 0, '{"origin":0,"speed":1}')


class Answer(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class House(NamedTuple):
    """An embedded log with dead letters, and the folder of its keys."""

    log: Path
    keys: Path

    def letter(self, value: bytes, reason: DeadLetterReason, detail: str) -> None:
        """Put a record aside, as an engine does."""
        with closing(EmbeddedLog(self.log)) as log:
            number = log.end("dead-letters", 0)
            refusal = refuse(
                open_keys(self.keys),
                "payments.requests",
                1,
                Stored(40 + number, AT, value, b""),
                reason,
                detail,
            )
            log.commit("index/1", [Append("dead-letters", 0, AT, encode_message(refusal.letter))], {})


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Three dead letters: no Avro, a card number in clear, a schema of tomorrow."""
    made = House(tmp_path / "log.db", tmp_path / "keys")
    made.letter(b"{}", DeadLetterReason.NOT_DECODABLE, "2 bytes cannot hold the 5 of a header")
    number = encode_message(msgspec.structs.replace(PAYMENT, card_id=NUMBER, producer=GROUPED))
    made.letter(number, DeadLetterReason.CARD_NUMBER_IN_CLEAR, f"a field holds {NUMBER}")
    made.letter(b"\0\0\0\x27\x0f" + BYTES[5:], DeadLetterReason.UNKNOWN_SCHEMA, "no schema has the id 9999")
    return made


@pytest.fixture
def ask(house: House, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Runs ``tallystick dead-letters``."""

    def asked(*arguments: str) -> Answer:
        code = run(["dead-letters", *arguments, "--log", f"sqlite:{house.log}"])
        out, err = capsys.readouterr()
        assert NUMBER not in out + err
        assert GROUPED not in out + err
        assert NUMBER.encode().hex() not in out
        return Answer(code, out, err)

    return asked  # type: ignore[return-value]


def test_the_list_needs_no_key(house: House, ask: Any) -> None:
    """Number, place, reason and detail, oldest first; the newest alone where that is asked for."""
    rows = json.loads(ask("list", "--json").out)
    assert [
        (0, "payments.requests", 1, 40, "not_decodable"),
        (1, "payments.requests", 1, 41, "card_number_in_clear"),
        (2, "payments.requests", 1, 42, "unknown_schema"),
    ] == [(row["number"], row["topic"], row["partition"], row["offset"], row["reason"]) for row in rows]
    assert "****" == rows[1]["detail"]
    assert {open_keys(house.keys).seal_key_id} == {row["key_id"] for row in rows}
    assert "2026-03-02T12:00:00.000000Z" == rows[0]["put_aside_at"]
    assert rows[1:] == json.loads(ask("list", "--json", "--last", "2").out)
    text = ask("list").out
    assert "no schema has the id 9999" in text
    assert 4 == len(text.splitlines())


def test_an_empty_log_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, and an empty list for scripts."""
    EmbeddedLog(tmp_path / "log.db").close()
    options = ["--log", f"sqlite:{tmp_path / 'log.db'}"]
    assert 0 == run(["dead-letters", "list", *options])
    assert "There are no dead letters.\n" == capsys.readouterr().out
    assert 0 == run(["dead-letters", "list", "--json", *options])
    assert [] == json.loads(capsys.readouterr().out)


def test_one_is_shown_without_its_bytes(ask: Any) -> None:
    """Until the key is asked for."""
    shown = ask("show", "2")
    assert "unknown_schema" in shown.out
    assert "--reveal" in shown.err
    assert "content" not in json.loads(ask("show", "2", "--json").out)
    assert (2, "tallystick: there is no dead letter 3; `tallystick dead-letters list` names them\n") == (
        ask("show", "3").code,
        ask("show", "3").err,
    )


def test_the_key_opens_it_and_covers_card_numbers(house: House, ask: Any) -> None:
    """In the fields and in the bytes; everything else can be read."""
    keys = ("--reveal", "--keys", str(house.keys))
    held = json.loads(ask("show", "1", *keys, "--json").out)["content"]
    assert ("PaymentRequest", "") == (held["type"], held["problem"])
    assert ("*" * 16, "**** **** **** ****", "inn", 100) == tuple(
        held["fields"][name] for name in ("card_id", "producer", "merchant", "amount")
    )
    assert "2026-03-02T12:00:00.000000Z" == held["fields"]["occurred_at"]
    assert 2 * held["size"] == len(held["hexadecimal"])
    assert "696e6e" in held["hexadecimal"]
    text = ask("show", "1", *keys).out
    assert "** ** **" in text
    assert "order-1" in text
    held = json.loads(ask("show", "0", *keys, "--json").out)["content"]
    assert (2, "7b7d", "", {}) == tuple(held[name] for name in ("size", "hexadecimal", "type", "fields"))
    assert "2 bytes cannot hold" in held["problem"]


def test_without_the_key_it_stays_closed(tmp_path: Path, ask: Any) -> None:
    """No key is drawn in its place; another one says so."""
    answer = ask("show", "1", "--reveal", "--keys", str(tmp_path / "elsewhere"))
    assert 2 == answer.code
    assert "--keys names the folder of the vault's keys" in answer.err
    assert not (tmp_path / "elsewhere").exists()
    open_keys(tmp_path / "other")
    answer = ask("show", "1", "--reveal", "--keys", str(tmp_path / "other"))
    assert 2 == answer.code
    assert "cannot be opened" in answer.err
    assert "is for the key seal-" in answer.err


def test_a_log_in_virtual_time_takes_no_retry(house: House, ask: Any) -> None:
    """It is made of one input; nothing of it is touched."""
    before = house.log.read_bytes()
    answer = ask("retry", "2", "--keys", str(house.keys))
    assert 2 == answer.code
    assert "virtual time" in answer.err
    assert before == house.log.read_bytes()


def test_every_digit_of_a_number_is_covered_in_bytes() -> None:
    """Also behind bytes that are no UTF-8, behind a length that happens to be a digit, and cut by another one."""
    data = (
        b"\xff\xfe0" + NUMBER.encode() + b"\x08" + "ünï".encode() + GROUPED.replace(" ", "_").encode() + b"\0"
    )
    shown = hexadecimal(data)
    assert 2 * len(data) == len(shown)
    # One of sixteen digits may share in no number by itself; none of a whole one is left.
    assert "fffe" == shown[:4]
    assert "**" * 16 in shown
    assert "c3bc6ec3af" in shown
    assert "5f".join(["**" * 4] * 4) in shown


def test_events_are_shown_too() -> None:
    """Somebody may have written one where it does not belong."""
    held = content(encode_event(next(iter(recorded_samples(RequestReceived)))))
    assert "RequestReceived" == held.type
    assert {"meta", "body"} == set(held.fields)
    cut = content(BYTES[:-1])
    assert ("", {}, "PaymentRequest ends too early") == (cut.type, cut.fields, cut.problem)


LETTER = DeadLetter("payments.requests", 0, 7, DeadLetterReason.UNKNOWN_SCHEMA, "", "seal-1", b"")


@pytest.mark.parametrize(
    ("data", "change", "sentence"),
    [
        (BYTES, {"reason": DeadLetterReason.CARD_NUMBER_IN_CLEAR}, "send the vault's token instead"),
        (b"\0\0\0\x27\x0f" + BYTES[5:], {}, r"put aside again \(unknown_schema\): no schema has the id 9999"),
        (BYTES + b"\0", {}, r"put aside again \(not_decodable\)"),
        (
            encode_message(msgspec.structs.replace(PAYMENT, last4=NUMBER)),
            {},
            r"put aside again \(card_number_in_clear\)",
        ),
        (BYTES, {"topic": "intake.inbox"}, r"put aside again \(not_expected_here\)"),
        (BYTES, {"topic": "weather"}, "comes from weather, which nobody reads here"),
        (
            encode_message(msgspec.structs.replace(PAYMENT, occurred_at=AT - PAST_TOLERANCE - 1)),
            {},
            "occurred at 2026-02-23T11:59:59.999999Z, too long ago",
        ),
    ],
)
def test_what_a_retry_cannot_help_is_refused(data: bytes, change: dict[str, Any], sentence: str) -> None:
    """With a sentence that says what can."""
    letter = Letter(3, AT, msgspec.structs.replace(LETTER, **change))
    with pytest.raises(Refused, match=sentence) as caught:
        check_that_it_helps(letter, data, WALL, AT)
    assert NUMBER not in str(caught.value)


def test_what_was_sealed_before_it_was_published_cannot_be_helped_either(house: House) -> None:
    """The publisher of a file seals card numbers itself."""
    sealed = screened(open_keys(house.keys), msgspec.structs.replace(PAYMENT, card_id=NUMBER))
    assert isinstance(sealed, DeadLetter)
    with pytest.raises(Refused, match="token instead"):
        check_that_it_helps(Letter(3, AT, sealed), encode_message(PAYMENT), WALL, AT)


@pytest.mark.parametrize("reason", [DeadLetterReason.UNKNOWN_SCHEMA, DeadLetterReason.DECISION_FAILED])
def test_what_may_be_over_is_let_through(reason: DeadLetterReason) -> None:
    """After an upgrade the schema is known, the defect mended."""
    check_that_it_helps(Letter(3, AT, msgspec.structs.replace(LETTER, reason=reason)), BYTES, WALL, AT)
