"""Planted differences: what the simulated networks and the bank get wrong, on purpose, and how they put it right.

A plan is a list of faults, made from a seed or read from a TOML file::

    [[fault]]
    kind = "wrong_amount"
    target = "NET visa-USD-2026-03-09"

A fault of a bank line, an advice or an invoice happens once: to the target where one is given, or to the one that
comes after so many others that it fits. A fault of a clearing record happens to the record or source named, or to so
many millionths of all, drawn from the record's own name: two edges that are asked agree on it.

What each fault must be called, and by whom it is put right, stands in :data:`EXPECTED`; tests hold the engines to it.
"""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from events.clearing import ClearingRecordCreated, RecordKind
from events.corrections import ResolutionAction
from events.errors import Refused, Unavailable
from events.reconciliation import DiscrepancyKind

#: After so many days the bank and the networks put right what they notice themselves.
NOTICED_DAYS: Final = 3
#: After so many days, what they are asked about: longer than we wait before we ask.
ASKED_DAYS: Final = 9
#: How many days later than otherwise a run with planted differences is over: a record that was lost is missed, asked
#: for and presented again, and its scheme fee comes with the invoice of a later week.
EXTRA_DAYS: Final = 26
#: By how much amounts and fees are wrong, minor units: above what is tolerated.
WRONG_BY: Final = 500
FEE_WRONG_BY: Final = 7
#: What a stranger sends.
STRANGER: Final = "TRANSFER 20931 RETURN OF RENT"
STRANGER_AMOUNT: Final = 12_345


class FaultKind(StrEnum):
    """What can be planted."""

    WRONG_AMOUNT = "wrong_amount"
    """A network pays less for a cycle than it advised."""
    MISSING_LINE = "missing_line"
    """A payout does not leave before the bank is asked."""
    LINE_TWICE = "line_twice"
    """The bank books a cycle's line twice, and takes one back."""
    LATE_LINE = "late_line"
    """A cycle is paid a business day too late."""
    WRONG_FEE = "wrong_fee"
    """A network keeps more interchange of a record than its table says."""
    STRANGER_LINE = "stranger_line"
    """Somebody pays us whom nobody knows."""
    WRONG_ACCOUNT = "wrong_account"
    """The bank books a cycle's line on an account of another currency, and moves it later."""
    ADVICE_WITHOUT_LINE = "advice_without_line"
    """A network advises a cycle, and pays when it is asked."""
    LINE_WITHOUT_ADVICE = "line_without_advice"
    """A network pays a cycle, and advises it when it is asked."""
    RECORD_LOST = "record_lost"
    """A network has no trace of a clearing record."""
    RECORD_TWICE = "record_twice"
    """A network answers and books a clearing record twice, and takes the second back."""
    INVOICE_TOO_HIGH = "invoice_too_high"
    """A network invoices more scheme fees than we counted."""


class Expectation(NamedTuple):
    """How a fault must be named, by which missing event, and the resolution that two people ask for (None: nobody)."""

    kind: DiscrepancyKind
    item: str
    expected_event: str
    action: ResolutionAction | None
    resolution: str


K, A = DiscrepancyKind, ResolutionAction
EXPECTED: Final[dict[FaultKind, Expectation]] = {
    FaultKind.WRONG_AMOUNT: Expectation(
        K.AMOUNT, "cycle", "NetworkSettlementReceived", A.WRITE_OFF, "SettlementDifferenceWrittenOff"
    ),
    FaultKind.MISSING_LINE: Expectation(K.MISSING, "payout", "BankLineRecorded", None, "PayoutPaid"),
    FaultKind.LINE_TWICE: Expectation(K.DUPLICATE, "bank line", "BankLineRecorded", None, "SuspenseOffset"),
    FaultKind.LATE_LINE: Expectation(
        K.DATE, "bank line", "NetworkSettlementReceived", A.ACCEPT, "ResolutionRequested"
    ),
    FaultKind.WRONG_FEE: Expectation(
        K.FEE, "clearing record", "ClearingRecordAnswered", A.ADJUST, "FeeCorrected"
    ),
    FaultKind.STRANGER_LINE: Expectation(
        K.EXTRA, "bank line", "BankLineRecorded", A.WRITE_OFF, "SuspenseWrittenOff"
    ),
    FaultKind.WRONG_ACCOUNT: Expectation(K.EXTRA, "bank line", "BankLineRecorded", None, "SuspenseOffset"),
    FaultKind.ADVICE_WITHOUT_LINE: Expectation(
        K.MISSING, "cycle", "BankLineRecorded", None, "ReconciliationMatched"
    ),
    FaultKind.LINE_WITHOUT_ADVICE: Expectation(
        K.MISSING, "cycle", "NetworkSettlementAdvised", None, "ReconciliationMatched"
    ),
    FaultKind.RECORD_LOST: Expectation(
        K.MISSING, "clearing record", "ClearingRecordAnswered", A.PRESENT_AGAIN, "ClearingRecordRejected"
    ),
    FaultKind.RECORD_TWICE: Expectation(
        K.DUPLICATE, "clearing record", "ClearingRecordCreated", A.ACCEPT, "ResolutionRequested"
    ),
    FaultKind.INVOICE_TOO_HIGH: Expectation(
        K.AMOUNT, "invoice period", "SchemeInvoicePaid", A.ADJUST, "SchemeInvoiceAdjusted"
    ),
}
RECORD_FAULTS: Final = (FaultKind.RECORD_LOST, FaultKind.RECORD_TWICE, FaultKind.WRONG_FEE)


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One planted difference. ``after`` counts lines that it could have happened to and did not; ``ppm`` is for
    records without a target."""

    kind: FaultKind
    target: str = ""
    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    ppm: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Faults to happen; none by default."""

    fault: list[Fault] = []

    def __bool__(self) -> bool:
        return bool(self.fault)


NO_FAULTS: Final = Plan()


def seeded(seed: int) -> Plan:
    """One of each kind at a place that the seed gives, and of each kind of record fault two in a thousand."""
    faults = []
    for number, kind in enumerate(FaultKind):
        if kind in RECORD_FAULTS:
            faults.append(Fault(kind, ppm=2_000))
        else:
            faults.append(Fault(kind, after=(seed + number) % 3))
    return Plan(faults)


def read_plan(path: Path) -> Plan:
    """A plan from a TOML file. Raises Unavailable, Refused."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Plan)
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Refused(f"{path} is no plan of differences: {error}") from error


def plan_of(text: str) -> Plan:
    """What ``--plant-differences`` is given: a seed, or a file. Raises Unavailable, Refused."""
    return seeded(int(text)) if text.isdecimal() else read_plan(Path(text))


class Planted(msgspec.Struct):
    """How far a plan has come: which faults have happened, and how many lines each has let pass."""

    done: list[int] = []
    passed: dict[str, int] = {}


def happens(plan: Plan, planted: Planted, kind: FaultKind, name: str) -> bool:
    """Whether a fault of this kind happens to a line, an advice or an invoice, now. It does so once."""
    for number, fault in enumerate(plan.fault):
        if fault.kind is not kind or number in planted.done:
            continue
        if fault.target:
            if fault.target != name:
                continue
        elif planted.passed.get(str(number), 0) < fault.after:
            planted.passed[str(number)] = planted.passed.get(str(number), 0) + 1
            continue
        planted.done.append(number)
        return True
    return False


def befalls(plan: Plan, kind: FaultKind, record: ClearingRecordCreated, drawn: int) -> bool:
    """Whether a fault of this kind befalls a record, ``drawn`` (0 to 999,999) from its own name.

    Presentments alone, and the first of each: what is presented again must come through.
    """
    if record.kind is not RecordKind.PRESENTMENT or record.presentment > 1:
        return False
    for fault in plan.fault:
        if fault.kind is kind:
            named = fault.target in (record.record_id, record.source_id)
            if named if fault.target else drawn < fault.ppm:
                return True
    return False
