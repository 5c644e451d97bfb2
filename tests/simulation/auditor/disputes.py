"""Disputes: the money of each case, and the evidence that goes to its issuer."""

from collections import Counter

from tests.simulation.auditor.logs import Event, Findings


class Disputes:
    """The money of each case: what the network holds of it, and whose it is in the end; and that nothing is sent to an
    issuer that its merchant has not asked for, in time and for that stage."""

    def __init__(self) -> None:
        self._cases: dict[str, Counter[str]] = {}
        self._reply_by: dict[str, int] = {}
        self._merchants: dict[str, str] = {}
        self._wanted: dict[str, Event] = {}
        self._unanswered: dict[str, str] = {}

    def take(self, event: Event) -> Findings:
        """Follow a case from its opening to its end."""
        name, body, where = event.name, event.body, event.where
        others = {"DisputeNoticeReceived", "DisputeNoticeRefused", "DisputeAlertRaised"}
        if not name.startswith("Dispute") or name in others:
            return
        case_id = body["case_id"]
        if name in {"DisputeEvidenceRequested", "DisputeEvidenceSubmitted", "DisputeEvidenceRejected"}:
            yield from self._evidence(event, case_id)
            return
        if name in {"DisputeInquiryOpened", "DisputeOpened"}:
            self._merchants[case_id] = body["merchant"]
        if body.get("reply_by_at"):
            self._reply_by[case_id] = body["reply_by_at"]
        if name == "DisputeEvidenceExpired" and event.meta["recorded_at"] < self._reply_by[case_id]:
            yield f"{where}: the time to answer {case_id} had not ended"
        if name == "DisputeOpened":
            self._cases[case_id] = Counter(disputed=body["amount"])
        if name in _OF_CASES:
            case = self._cases.get(case_id)
            if case is None:
                yield f"{where}: {name} of {case_id}, which nobody has opened"
                return
            case[_OF_CASES[name]] += body["amount"]
            yield from self._balance(where, case_id, case)

    def _evidence(self, event: Event, case_id: str) -> Findings:
        name, body, where = event.name, event.body, event.where
        if name == "DisputeEvidenceRequested":
            self._wanted[event.event_id] = event
            self._unanswered[event.event_id] = where
            return
        cause = event.meta["causation_id"]
        if self._unanswered.pop(cause, None) is None:
            yield f"{where}: {name} of {case_id}, which nobody has asked for, or not again"
            return
        if name == "DisputeEvidenceRejected":
            return
        asked, stamp = self._wanted[cause].body, self._wanted[cause].meta["ingested_at"]
        if asked["merchant"] != self._merchants.get(case_id) or asked["payment_id"] != body["payment_id"]:
            yield f"{where}: {asked['merchant']} answers for {case_id}, which is not its own"
        if asked["documents"] != body["documents"] or asked["stage"] not in (None, body["stage"]):
            yield f"{where}: what is sent for {case_id} is not what its merchant has sent"
        if stamp >= self._reply_by[case_id]:
            yield f"{where}: evidence for {case_id} came when its time had ended"

    def _balance(self, where: str, case_id: str, case: Counter[str]) -> Findings:
        held, closed = case["withdrawn"] - case["returned"], case["won"] + case["lost"]
        if not 0 <= held <= case["disputed"]:
            yield f"{where}: the network holds {held} of {case['disputed']} in {case_id}"
        if case["lost"] and case["lost"] != held:
            yield f"{where}: {case['lost']} is lost in {case_id}, and the network holds {held}"
        if closed > case["disputed"]:
            yield f"{where}: {closed} of {case['disputed']} is decided in {case_id}"
        if case["debited"] not in (0, case["disputed"]):
            yield f"{where}: {case['debited']} of {case['disputed']} was debited in {case_id}"

    def close(self, ended: bool, put_aside: set[str]) -> Findings:
        """In the end every case is decided: won and lost make up what was disputed; and all evidence is answered."""
        for case_id, case in sorted(self._cases.items()):
            if ended and case["won"] + case["lost"] != case["disputed"]:
                yield f"{case_id}: {case['won']} won and {case['lost']} lost of {case['disputed']}"
        for where in self._unanswered.values():
            if ended and where not in put_aside:
                yield f"{where}: the evidence has no answer"


_OF_CASES = {
    "DisputeFundsWithdrawn": "withdrawn",
    "DisputeFundsReturned": "returned",
    "DisputeMerchantDebited": "debited",
    "DisputeWon": "won",
    "DisputeLost": "lost",
}
