"""What does not agree, one item of it, and asking for it to be put right: on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from events.accounts import bank_account, line_item
from events.calendar import day_number
from events.corrections import (
    ResolutionAction,
    ResolutionRejected,
    ResolutionRejection,
    ResolutionRequested,
    SuspenseOffset,
    SuspenseWrittenOff,
)
from events.reconciliation import (
    BankLineRecorded,
    DiscrepancyDetected,
    DiscrepancyKind,
    DiscrepancyResolved,
)
from events.settlement import ClearingResidualAged
from infra import resolutions
from tests.infra.asking import Tallystick, told
from tests.infra.conftest import settled_in
from tests.projections.stores import Stores
from tests.projections.story import Story

ACCOUNT = bank_account("EUR")
STATEMENT = "bank-eur-2026-03-03"
OPEN, OVER, TWICE, BACK = (line_item(STATEMENT, number) for number in range(1, 5))
LATE = line_item(STATEMENT, 5)
BOOKED_ON = day_number(2026, 3, 3)
RECORD = "clr-1"


def asked(item: str, **fields: Any) -> ResolutionRequested:
    given = {"request_id": "r-1", "action": ResolutionAction.WRITE_OFF, "approved_by": "grace"}
    return ResolutionRequested(
        item=item, target="", limit=700, requested_by="ada", note="a stranger's", **{**given, **fields}
    )


def found(
    item: str, kind: DiscrepancyKind, ours: int, theirs: int, expected: str = "BankLineRecorded"
) -> DiscrepancyDetected:
    return DiscrepancyDetected(item, kind, "EUR", ours, theirs, expected)


def story() -> Story:
    """Two strangers' lines, of which one was written off; a line twice; a late one; a record's wrong interchange."""
    made = Story()

    def tell(*bodies: Any) -> None:
        for body in bodies:
            made.in_reconciliation(ACCOUNT, body)

    def line(number: int, amount: int) -> BankLineRecorded:
        return BankLineRecorded(ACCOUNT, STATEMENT, number, amount, "EUR", BOOKED_ON, "TRANSFER 20931")

    for number, amount in ((1, 500), (2, 700), (3, 900), (4, -900)):
        made.in_reconciliation(ACCOUNT, line(number, amount), sender="bank/0")
    extra = DiscrepancyKind.EXTRA
    tell(
        found(OPEN, extra, 0, 500),
        found(OVER, extra, 0, 700),
        asked(OVER, request_id="r-0", approved_by="ada"),
        ResolutionRejected(
            OVER, "r-0", ResolutionAction.WRITE_OFF, ResolutionRejection.FOUR_EYES, "ada", "ada"
        ),
        asked(OVER),
        SuspenseWrittenOff(ACCOUNT, STATEMENT, 2, "EUR", 700, "grace"),
        DiscrepancyResolved(OVER, "SuspenseWrittenOff", "EUR", 700, "r-1", "ada", "grace", "a stranger's"),
        found(TWICE, DiscrepancyKind.DUPLICATE, 0, 900),
        SuspenseOffset(ACCOUNT, STATEMENT, 3, "EUR", 900, STATEMENT, 4),
        DiscrepancyResolved(TWICE, "SuspenseOffset", "EUR", 900),
        found(LATE, DiscrepancyKind.DATE, BOOKED_ON - 1, BOOKED_ON, "PayoutPaid"),
        ClearingResidualAged(f"liab:suspense:{ACCOUNT}", OPEN, "EUR", -500, 21, "BankLineRecorded"),
    )
    made.tell("payments", 0, found(RECORD, DiscrepancyKind.FEE, 25, 32, "ClearingRecordAnswered"))
    return made


@pytest.fixture(scope="module")
def open_lines(houses: Stores) -> Iterator[str]:
    """The address of a store that has taken the story, on each database."""
    with told(houses, story()) as address:
        yield address


@pytest.fixture
def ask(
    open_lines: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Tallystick:
    """The command line with that store."""
    return settled_in(open_lines, capsys, monkeypatch, tmp_path)


def test_what_is_open_is_listed(ask: Tallystick) -> None:
    """What was put right is not; a late line shows its days."""
    answer = ask("reconciliation", "open", "--json").told
    assert {row["item"] for row in answer["discrepancies"]} == {OPEN, LATE, RECORD}
    assert [f"{row['statement_id']}/{row['line']}" for row in answer["bank_lines"]] == [OPEN]
    shown = ask("reconciliation", "open").shown
    assert "2026-03-02" in shown
    assert "1 days" in shown


def test_one_item_tells_its_whole_story(ask: Tallystick) -> None:
    """Found, asked for by one person alone and refused, asked for again, corrected, put right."""
    answer = ask("reconciliation", "show", OVER, "--json").told
    [discrepancy] = answer["discrepancies"]
    assert (discrepancy["resolved"], discrepancy["resolution"]) == (True, "SuspenseWrittenOff")
    assert (discrepancy["requested_by"], discrepancy["approved_by"]) == ("ada", "grace")
    steps = sorted((row["request_id"], row["step"], row["reason"]) for row in answer["requests"])
    assert steps == [("r-0", "rejected", "four_eyes"), ("r-0", "requested", ""), ("r-1", "requested", "")]
    [correction] = answer["corrections"]
    assert (correction["kind"], correction["amount"], correction["rule"]) == ("suspense", 700, "approved")
    assert answer["open"] == []
    shown = ask("reconciliation", "show", OVER).shown
    assert "put right by SuspenseWrittenOff, asked by ada, approved by grace: a stranger's" in shown
    assert "four_eyes" in shown


def test_an_item_that_is_open_shows_its_age_and_amount(ask: Tallystick) -> None:
    """What stands on the clearing account, and the event that would close it."""
    answer = ask("reconciliation", "show", OPEN, "--json").told
    assert [(row["amount"], row["age_days"]) for row in answer["ages"]] == [(-500, 21)]
    assert [row["amount"] for row in answer["open"]] == [-500]
    aged = ask("ledger", "residuals", "--aged").shown
    assert f"{OPEN}: -5.00 EUR" in aged
    assert "BankLineRecorded expected" in aged


def test_a_line_that_was_taken_back_is_on_suspense_no_more(ask: Tallystick) -> None:
    """Nor is the line that took it back."""
    sql = "SELECT line, use FROM bank_statement ORDER BY line"
    uses = [(row["line"], row["use"]) for row in ask("query", sql, "--json").told["rows"]]
    assert uses == [(1, ""), (2, "written_off"), (3, "taken_back"), (4, "takes_back")]


def test_nothing_is_told_of_what_is_not_there(ask: Tallystick) -> None:
    """With a sentence that says so."""
    answer = ask("reconciliation", "show", "visa-USD-2026-03-02")
    assert (answer.code, "nothing was ever matched" in answer.err) == (2, True)


PEOPLE = ("--as", "ada", "--approver", "grace", "--reason", "known")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing", *PEOPLE), "nothing is open of 'nothing'"),
        ((OVER, *PEOPLE), "nothing is open of"),
        ((OPEN, "--as", "ada", "--approver", "Ada", "--reason", "known"), "somebody else must"),
        ((OPEN, *PEOPLE, "--action", "assign"), "give its --target"),
        ((OPEN, *PEOPLE, "--log", "sqlite:nowhere.db"), "this log lives in virtual time"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(
    ask: Tallystick, arguments: tuple[str, ...], words: str
) -> None:
    """Nothing is published."""
    answer = ask("reconciliation", "resolve", *arguments)
    assert answer.code == 2
    assert words in " ".join(answer.err.split())


@pytest.mark.parametrize(
    ("item", "more", "action", "limit", "log"),
    [
        (OPEN, (), ResolutionAction.WRITE_OFF, 500, "reconciliation"),
        (OPEN, ("--action", "assign", "--target", "NET x", "--limit", "9"), ResolutionAction.ASSIGN, 9, ""),
        (LATE, (), ResolutionAction.ACCEPT, 0, "reconciliation"),
        (RECORD, (), ResolutionAction.ADJUST, 7, "payments"),
    ],
)
def test_a_request_fits_what_is_open(
    ask: Tallystick,
    monkeypatch: pytest.MonkeyPatch,
    item: str,
    more: tuple[str, ...],
    action: ResolutionAction,
    limit: int,
    log: str,
) -> None:
    """By kind and by what stands open, unless one says otherwise; the same command is the same request."""
    published: list[tuple[resolutions.Open, ResolutionRequested]] = []

    def publish(_: object, found: resolutions.Open, request: ResolutionRequested) -> dict[str, Any]:
        published.append((found, request))
        return {"request_id": request.request_id}

    monkeypatch.setattr(resolutions, "ask", publish)
    command = ("reconciliation", "resolve", item, *PEOPLE, *more, "--log", "kafka://127.0.0.1:9/house")
    assert ask(*command, "--json").told["request_id"] == published[0][1].request_id
    assert "is asked for" in ask(*command).shown
    (where, first), (_, second) = published
    assert first == second
    assert (first.item, first.action, first.limit) == (item, action, limit)
    assert (first.requested_by, first.approved_by, first.note) == ("ada", "grace", "known")
    assert where.log == (log or "reconciliation")
