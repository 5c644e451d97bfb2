"""Reconciliation: what was matched, what differed, and who approved what put it right."""

from collections import defaultdict

from tests.simulation.auditor.logs import Body, Event, Findings


class Agreement:
    """What reconciliation said against what stands there: matches that match, discrepancies that are there and end.

    Kept apart from the books: cycles by what each side says of them, lines and payouts by what they are.
    """

    def __init__(self) -> None:
        self._nets: dict[tuple[str, str], int] = defaultdict(int)
        self._open: dict[tuple[str, str], str] = {}
        self._asked: dict[str, Body] = {}

    def take(self, event: Event) -> Findings:
        """Add up what each side says, and judge what is said of it."""
        name, body = event.name, event.body
        match name:
            case "ClearingCycleTotalled" if event.log == "reconciliation":
                self._nets["ours", body["cycle"]] += body["net"]
            case "NetworkSettlementAdvised":
                self._nets["advised", body["cycle"]] = body["net"]
            case "NetworkSettlementReceived":
                self._nets["booked", body["cycle"]] += body["amount"]
            case "SchemePeriodTotalled" if event.log == "reconciliation":
                self._nets["ours", _period(body)] -= body["amount"]
            case "SchemeInvoicePaid":
                self._nets["booked", _period(body)] -= body["amount"]
            case "PayoutAnnounced":
                self._nets["ours", body["payout_id"]] = body["amount"]
            case "PayoutPaid":
                self._nets["booked", body["payout_id"]] += body["amount"]
            case "ReconciliationMatched":
                yield from self._matched(event)
            case "DiscrepancyDetected":
                self._open[event.log, body["item"]] = body["kind"]
                if body["kind"] not in {"missing"} and body["ours"] == body["theirs"]:
                    yield f"{event.where}: a discrepancy of {body['item']} between {body['ours']} and itself"
            case "ResolutionRequested":
                self._asked[event.event_id] = body
            case "DiscrepancyResolved":
                yield from self._resolved(event)
            case "FeeCorrected" if body["new"] - body["old"] != body["amount"]:
                yield f"{event.where}: {name} by {body['amount']} from {body['old']} to {body['new']}"
            case _ if body.get("rule") == "approved" or name in {"SuspenseWrittenOff", "FeeCorrected"}:
                yield from self._approved(event)
            case _:
                pass

    def _matched(self, event: Event) -> Findings:
        body = event.body
        item, rule = body["item"], body["rule"]
        if rule == "payout_return":
            return
        sides = ("ours", "advised", "booked") if rule == "three_way" else ("ours", "booked")
        figures = [self._nets[side, item] for side in sides]
        if max(figures) - min(figures) > body["tolerance"]:
            yield f"{event.where}: {item} is matched by {rule}, of {figures}, within {body['tolerance']}"
        self._open.pop((event.log, item), None)

    def _resolved(self, event: Event) -> Findings:
        body = event.body
        if body["request_id"]:
            yield from self._approved(event)
        elif self._open.get((event.log, body["item"])) == "date":
            yield f"{event.where}: nobody noted that {body['item']} came late"
        self._open.pop((event.log, body["item"]), None)

    def _approved(self, event: Event) -> Findings:
        """Behind a correction stands a request of one person that another approved."""
        request = self._asked.get(event.meta["causation_id"])
        if request is None:
            yield f"{event.where}: {event.name} without a request"
        elif request["requested_by"] == request["approved_by"] or not request["approved_by"]:
            yield f"{event.where}: {event.name} that {request['requested_by']} approved alone"
        elif request["approved_by"] != event.body["approved_by"]:
            yield f"{event.where}: {event.name} says that {event.body['approved_by']} approved it"
        elif abs(_correction(event)) > request["limit"]:
            yield f"{event.where}: {event.name} moves {_correction(event)}, above {request['limit']}"

    def close(self, ended: bool) -> Findings:
        """When all is over nothing differs any more."""
        if ended:
            for (log, item), kind in sorted(self._open.items()):
                yield f"{log}: {item} is open: {kind}"


def _period(body: Body) -> str:
    return f"{body['network']}-{body['currency']}-{body['period']}"


def _correction(event: Event) -> int:
    body = event.body
    if event.name == "DiscrepancyResolved":
        return 0
    return int(body["amount"])
