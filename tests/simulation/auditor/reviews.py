"""What people look at, followed a second time from the events alone.

It knows of each review whether it is open and whose it is, and holds every decision, every assignment and every refusal
of one against that.
"""

import json
from typing import NamedTuple

from tests.simulation.auditor.logs import DAY, Body, Event, Findings

#: How long the end of a review is known by; microseconds.
REMEMBERED = 180 * DAY


class Wanted(NamedTuple):
    """Whose a review is to be (nobody's: empty), who says so, and which entry of the reference topic it is."""

    version: int
    payment: str
    analyst: str
    by: str
    note: str


class Reviews:
    """That nothing is captured while somebody looks at it, or after he said no; who may say so; and whose it is."""

    def __init__(self) -> None:
        self._open: dict[str, Body] = {}
        self._proposed: dict[str, tuple[str, str]] = {}
        self._turned_down: set[str] = set()
        self._approved: set[str] = set()
        self._whose = Whose()

    def take(self, event: Event) -> Findings:
        """Follow each review."""
        where, name, body = event.where, event.name, event.body
        payment = body.get("payment_id", "")
        yield from self._whose.take(event)
        match name:
            case "ReviewOpened":
                self._open[payment] = body
            case "ReviewProposed":
                self._proposed[payment] = (body["analyst"], body["decision"])
            case "ReviewDecided":
                yield from self._decided(event)
            case "ReviewClosed":
                if self._open.pop(payment, None) is None:
                    yield f"{where}: the review of {payment} is closed and was not open"
            case "PaymentCaptured" if payment in self._open or payment in self._turned_down:
                yield f"{where}: {payment} is captured, and a review of it is open or has turned it down"
            case _:
                pass

    def _decided(self, event: Event) -> Findings:
        where, body = event.where, event.body
        payment, decision = body["payment_id"], body["decision"]
        if decision == "refund":
            if payment not in self._approved:
                yield f"{where}: {payment} is given back by a review that had not approved it"
            return
        opened = self._open.pop(payment, None)
        if opened is None:
            yield f"{where}: {payment} is decided and was not under review"
            return
        (self._approved if decision == "approve" else self._turned_down).add(payment)
        if body["reviewed_by"] == "deadline":
            late = event.meta["recorded_at"] >= opened["deadline_at"]
            if not late or decision != opened["falls_to"]:
                yield f"{where}: {payment} falls to {decision} before its deadline, or to what it should not"
        elif opened["four_eyes"]:
            first, wanted = self._proposed.get(payment, ("", ""))
            if first in {"", body["analyst"]} or first != body["proposed_by"] or wanted != decision:
                yield f"{where}: {payment} is decided by {body['analyst']} without another who agrees"

    def close(self, ended: bool) -> Findings:
        """Every review comes to its end."""
        if ended:
            yield from (f"the review of {payment} is still open" for payment in sorted(self._open))
            yield from self._whose.close()


class Whose:
    """That open reviews alone are given to somebody, as somebody has said, in the order in which it was said; that what
    was said is done, refused for the reason that holds, or changes nothing.
    """

    def __init__(self) -> None:
        self._open: dict[str, str] = {}
        self._ended: dict[str, tuple[str, int]] = {}
        self._said: dict[str, Wanted] = {}
        self._waiting: dict[tuple[int, str], list[Wanted]] = {}
        self._answered: set[int] = set()
        self._last: dict[str, int] = {}
        self._versions: dict[str, int] = {}

    def take(self, event: Event) -> Findings:
        """Hold what was done against what was said."""
        body = event.body
        match event.name:
            case "ReferenceApplied" if event.log == "payments":
                self._versions[event.event_id] = body["version"]
                if body["kind"] == "assignment":
                    self._hear(event)
            case "ReviewOpened":
                self._open[body["payment_id"]] = ""
            case "ReviewAssigned":
                yield from self._given(event, body["analyst"], body["assigned_by"])
            case "ReviewUnassigned":
                yield from self._given(event, "", body["unassigned_by"])
            case "ReviewAssignmentRefused":
                yield from self._refused(event)
            case "ReviewDecided" if body["decision"] != "refund":
                lapsed = body["reviewed_by"] == "deadline"
                self._end(event, "after_the_deadline" if lapsed else "already_decided")
            case "ReviewDecided":
                self._ended[body["payment_id"]] = ("already_decided", event.meta["recorded_at"])
            case "ReviewClosed":
                self._end(event, "overtaken")
            case _:
                pass

    def _hear(self, event: Event) -> None:
        said = json.loads(event.body["content"])
        wanted = Wanted(
            event.body["version"],
            said["payment_id"],
            said["analyst"],
            said["assigned_by"],
            said["note_sha256"],
        )
        self._said[event.event_id] = wanted
        self._waiting.setdefault((event.partition, wanted.payment), []).append(wanted)

    def _given(self, event: Event, analyst: str, by: str) -> Findings:
        where, body = event.where, event.body
        payment = body["payment_id"]
        whose = self._open.get(payment)
        if whose is not None:
            self._settle(event)
        yield from self._answers(event, analyst, by, body["note_sha256"])
        if whose is None:
            yield f"{where}: {payment} is given to {analyst or 'nobody'} and is not under review"
            return
        if (
            body["taken_from"] != whose
            or analyst == whose
            or bool(analyst) != (event.name == "ReviewAssigned")
        ):
            yield f"{where}: {payment} goes from {body['taken_from']!r} to {analyst!r} and was with {whose!r}"
        self._open[payment] = analyst

    def _refused(self, event: Event) -> Findings:
        body, payment = event.body, event.body["payment_id"]
        yield from self._answers(event, body["analyst"], body["assigned_by"], None)
        reason, at = self._ended.get(payment, ("not_under_review", 0))
        forgotten = event.meta["recorded_at"] - at >= REMEMBERED and body["reason"] == "not_under_review"
        if payment in self._open or (body["reason"] != reason and not forgotten):
            yield f"{event.where}: {payment} is given to nobody, {body['reason']}, and that is not so"

    def _answers(self, event: Event, analyst: str, by: str, note: str | None) -> Findings:
        """An event is what its cause has said, and nothing said later has been done before."""
        said = self._said.get(event.meta["causation_id"])
        payment = event.body["payment_id"]
        if said is None or (said.payment, said.analyst, said.by) != (payment, analyst, by):
            yield f"{event.where}: nobody has said that {payment} is to be {analyst or 'nobody'}'s"
            return
        if note is not None and note != said.note:
            yield f"{event.where}: {payment} is given with another note than was written"
        if said.version <= self._last.get(payment, 0):
            yield f"{event.where}: {payment} is given as was said before what is done already"
        self._last[payment] = said.version
        self._answered.add(said.version)

    def _settle(self, event: Event) -> None:
        """What was said since the last change, and before what has caused this event, has to be as things are: then it
        is done, for it changes nothing."""
        payment = event.body["payment_id"]
        before = self._versions.get(event.meta["causation_id"])
        for wanted in self._waiting.get((event.partition, payment), ()):
            in_force = self._last.get(payment, 0) < wanted.version and (
                before is None or wanted.version < before
            )
            if in_force and wanted.analyst == self._open[payment]:
                self._answered.add(wanted.version)

    def _end(self, event: Event, reason: str) -> None:
        payment = event.body["payment_id"]
        if payment in self._open:
            self._settle(event)
            del self._open[payment]
        self._ended[payment] = (reason, event.meta["recorded_at"])

    def close(self) -> Findings:
        """Nothing that was said is forgotten."""
        open_ = {wanted.version: wanted for wanted in self._said.values()}
        for version in sorted(open_.keys() - self._answered):
            wanted = open_[version]
            yield f"{wanted.payment} was to be {wanted.analyst or 'nobody'}'s, and nothing came of it"
