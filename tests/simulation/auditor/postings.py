"""The table of postings, written down a second time: what each event moves, and whose account is whose."""

from collections.abc import Callable

from tests.simulation.auditor.logs import Body

Leg = tuple[str, str, int]


def _released(body: Body) -> list[Leg]:
    held = body["hold_released"]
    return [("AH", body["payment_id"], held), ("AR", body["payment_id"], -held)]


def _captured(body: Body) -> list[Leg]:
    amount, item = body["amount"], body["capture_id"]
    return [*_released(body), ("NU", item, amount), ("MP", item, -amount)]


def _entries(body: Body) -> list[Leg]:
    legs = [("MP", entry["item"], entry["amount"]) for entry in body["entries"]]
    return [*legs, ("MA", body["merchant"], -body["amount"])]


def _written_off(body: Body) -> list[Leg]:
    amount, capture = body["amount"], body["capture_id"]
    bearer = ("MP", f"loss:{capture}", amount) if body["borne_by"] == "merchant" else ("LO", capture, amount)
    return [bearer, ("NU", capture, -amount)]


def _moved(debit: str, debit_item: str, credit: str, credit_item: str) -> Callable[[Body], list[Leg]]:
    """The amount goes from one account to another; items are formats over the body."""
    return lambda body: [
        (debit, debit_item.format(**body), body["amount"]),
        (credit, credit_item.format(**body), -body["amount"]),
    ]


POSTINGS: dict[str, Callable[[Body], list[Leg]]] = {
    "PaymentAuthorized": lambda body: [
        ("AR", body["payment_id"], body["approved_amount"]),
        ("AH", body["payment_id"], -body["approved_amount"]),
    ],
    "AuthorizationIncremented": lambda body: [
        ("AR", body["payment_id"], body["amount"]),
        ("AH", body["payment_id"], -body["amount"]),
    ],
    "AuthorizationRemainderReleased": _released,
    "PaymentCaptured": _captured,
    "CaptureVoided": _moved("MP", "void:{capture_id}", "NU", "{capture_id}"),
    "PaymentVoided": _released,
    "AuthorizationExpired": _released,
    "AuthorizationReversed": _released,
    "ClearingRecordAccepted": _moved("NR", "{cycle}", "NU", "{capture_id}"),
    "ClearingRecordReturned": _moved("NU", "{capture_id}", "NR", "{cycle}"),
    "CaptureWrittenOff": _written_off,
    "RefundApproved": _moved("MP", "{refund_id}", "RT", "{refund_id}"),
    "RefundCleared": _moved("RT", "{refund_id}", "NR", "{cycle}"),
    "RefundFailed": _moved("RT", "{refund_id}", "MP", "failed:{refund_id}"),
    "InterchangeAssessed": _moved("IX", "", "NR", "{cycle}"),
    "InterchangeReturned": _moved("NR", "{cycle}", "IX", ""),
    "SchemeFeeAssessed": _moved("SF", "", "SP", "{network}-{currency}-{period}"),
    "ProcessingFeeCharged": _moved("MP", "fee:{capture_id}", "PF", ""),
    "DisputeFundsWithdrawn": _moved("DR", "{case_id}", "NR", "{cycle}"),
    "DisputeFundsReturned": _moved("NR", "{cycle}", "DR", "{case_id}"),
    "DisputeMerchantDebited": _moved("MP", "dispute:{case_id}", "DH", "{case_id}"),
    "DisputeWon": _moved("DH", "{case_id}", "MP", "won:{case_id}"),
    "DisputeLost": _moved("DH", "{case_id}", "DR", "{case_id}"),
    "DisputeFeeCharged": _moved("MP", "dispute_fee:{case_id}", "DF", ""),
    "FundsMadeAvailable": _entries,
    "MerchantBalanceAdjusted": _moved("MP", "{item}", "MA", "{merchant}"),
    "PayoutInitiated": _moved("MA", "{merchant}", "PT", "{payout_id}"),
    "PayoutReturnCredited": _moved("PT", "{payout_id}", "MA", "{merchant}"),
    "PayoutFailed": _moved("PT", "{payout_id}", "MA", "{merchant}"),
    "MerchantDebitApplied": _moved("PT", "{debit_id}", "MR", "{merchant}"),
    "MerchantDebitReturned": _moved("MR", "{merchant}", "PT", "{debit_id}"),
    "MerchantDebited": _moved("SU", "{statement_id}/{line}", "PT", "{debit_id}"),
    "MerchantDebitReversed": _moved("PT", "{debit_id}", "SU", "{statement_id}/{line}"),
    "ReserveWithheld": _moved("MA", "{merchant}", "RS", "{merchant}"),
    "ReserveReleased": _moved("RS", "{merchant}", "MA", "{merchant}"),
    "SettlementHoldPlaced": _moved("MA", "{merchant}", "HD", "{merchant}"),
    "SettlementHoldReleased": _moved("HD", "{merchant}", "MA", "{merchant}"),
    "MerchantReceivableRaised": _moved("MR", "{merchant}", "MA", "{merchant}"),
    "MerchantReceivableOffset": _moved("MA", "{merchant}", "MR", "{merchant}"),
    "MerchantLossWrittenOff": _moved("LO", "", "MR", "{merchant}"),
    "BankLineRecorded": _moved("BK", "{account}", "SU", "{statement_id}/{line}"),
    "NetworkSettlementReceived": _moved("SU", "{statement_id}/{line}", "NR", "{cycle}"),
    "SchemeInvoicePaid": _moved("SP", "{network}-{currency}-{period}", "SU", "{statement_id}/{line}"),
    "PayoutPaid": _moved("PT", "{payout_id}", "SU", "{statement_id}/{line}"),
    "PayoutReturned": _moved("SU", "{statement_id}/{line}", "PT", "{payout_id}"),
    "FeeCorrected": _moved("IX", "", "NR", "{cycle}"),
    "SettlementDifferenceWrittenOff": _moved("LO", "", "NR", "{cycle}"),
    "SchemeInvoiceAdjusted": _moved("SF", "", "SP", "{network}-{currency}-{period}"),
    "PayoutDifferenceWrittenOff": _moved("LO", "", "PT", "{payout_id}"),
    "SuspenseWrittenOff": _moved("SU", "{statement_id}/{line}", "LO", ""),
    "SuspenseOffset": _moved("SU", "{statement_id}/{line}", "SU", "{by_statement_id}/{by_line}"),
}

#: Whose money it is: no event of another log may post to an account of these.
OWNERS = {
    "payments": frozenset({"AR", "AH", "NU", "NR", "DR", "DH", "RT", "MP", "SP"}),
    "settlement": frozenset({"MP", "MA", "RS", "HD", "MR", "PT"}),
    "reconciliation": frozenset({"BK", "SU", "NR", "SP", "PT"}),
}
EVERYBODYS = frozenset({"IX", "SF", "PF", "DF", "LO"})

#: Accounts whose every item is back at zero when all is over.
CLEARING = frozenset({"AR", "AH", "NU", "NR", "DR", "DH", "RT", "MP", "PT", "SP", "SU"})
