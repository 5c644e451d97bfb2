"""The money: what stands on every account, and what no payment and no merchant may exceed."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable

from tests.simulation.auditor.logs import Body, Event, Findings
from tests.simulation.auditor.merchants import Keeping
from tests.simulation.auditor.postings import CLEARING, EVERYBODYS, OWNERS, POSTINGS, Leg


class Books:
    """Every posting, by account and item; and what no payment and no merchant may exceed."""

    def __init__(self) -> None:
        self._balances: dict[tuple[str, str, str], int] = defaultdict(int)
        self._payments: dict[str, Counter[str]] = defaultdict(Counter)
        self._currencies: dict[str, str] = {}
        self._merchants: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._presented: dict[str, int] = {}
        self._above: dict[tuple[str, str], int] = {}
        self._categories: dict[str, str] = {}
        self._keeping = Keeping(self._balances)

    def take(self, event: Event) -> Findings:
        """Post it, and look at what it leaves."""
        name, body = event.name, event.body
        if name == "ReferenceApplied" and event.log == "payments":
            self._learn(body["kind"], json.loads(body["content"]))
        posting = POSTINGS.get(name)
        if posting is not None:
            yield from self._post(event, posting)
        if "payment_id" in body:
            yield from self._limit(event)
        if "merchant" in body and "currency" in body:
            yield from self._merchant(event)
        if event.log == "settlement":
            yield from self._keeping.take(event)
        if name in {"ClearingRecordAccepted", "RefundCleared"}:
            self._presented[body["record_id"]] = body["amount"]
        if name == "ClearingRecordReturned" and self._presented.get(body["record_id"]) != body["amount"]:
            yield f"{event.where}: {name} of {body['record_id']}, of which {body['amount']} were never accepted"
        if name in {"InterchangeAssessed", "InterchangeReturned"}:
            yield from self._interchange(event)

    def _learn(self, kind: str, content: Body) -> None:
        """How far a category may capture above its hold, in millionths; the most that was ever said."""
        if kind == "merchant":
            self._categories[content["merchant"]] = content["mcc"]
        if kind == "network":
            for row in content.get("over_capture", ()):
                for mcc in row["mccs"]:
                    place = (content["network"], mcc)
                    self._above[place] = max(self._above.get(place, 0), row["ppm"])

    def _post(self, event: Event, posting: Callable[[Body], list[Leg]]) -> Findings:
        where, log, name, body = event.where, event.log, event.name, event.body
        if body.get("settlement_currency", body["currency"]) != body["currency"]:
            yield f"{where}: {name} settles in another currency, which nobody can do yet"
            return
        legs = posting(body)
        if sum(amount for _, _, amount in legs) != 0:
            yield f"{where}: the legs of {name} do not sum to zero"
        for account, item, amount in legs:
            if account not in EVERYBODYS and account not in OWNERS.get(log, ()):
                yield f"{where}: {name} posts to {account}, which is not an account of {log}"
            self._balances[account, item, body["currency"]] += amount

    def _limit(self, event: Event) -> Findings:
        """What a payment may never exceed, asked after every event."""
        where, name, body = event.where, event.name, event.body
        sums = self._payments[body["payment_id"]]
        match name:
            case "PaymentRequested":
                sums["requested"] += body["amount"]
            case "IncrementAdmitted":
                sums["requested"] += body["amount"]
            case "PaymentAuthorized":
                sums["authorized"] += body["approved_amount"]
            case "AuthorizationIncremented":
                sums["authorized"] += body["amount"]
                if body["amount"] > body["requested"] or body["total"] != sums["authorized"]:
                    yield f"{where}: {name} of {body['amount']} comes to {sums['authorized']}, not {body['total']}"
            case "PaymentCaptured":
                sums["captured"] += body["amount"]
                ppm = self._above.get((body["network"], self._categories.get(body["merchant"], "")), 0)
                sums["capturable"] = sums["authorized"] + sums["authorized"] * ppm // 1_000_000
                left = sums["authorized"] - sums["released"]
                above = ppm > 0 and body["final"] and body["hold_released"] == left
                if body["amount"] > body["hold_released"] and not above:
                    yield f"{where}: {name} releases {body['hold_released']} for {body['amount']}"
            case "CaptureVoided":
                sums["captured"] -= body["amount"]
            case "RefundApproved":
                sums["refunded"] += body["amount"]
            case "RefundFailed":
                sums["refunded"] -= body["amount"]
            case "ClearingRecordAccepted":
                sums["cleared"] += body["amount"]
            case "DisputeMerchantDebited":
                sums["disputed"] += body["amount"]
            case "DisputeWon":
                sums["disputed"] -= body["amount"]
            case _:
                pass
        if name == "RefundApproved" and sums["refunded"] + sums["disputed"] > sums["captured"]:
            yield f"{where}: {name} of {body['amount']} while {sums['disputed']} is disputed"
        sums["released"] += body.get("hold_released", 0)
        for smaller, larger in (
            ("authorized", "requested"),
            ("captured", "capturable"),
            ("refunded", "captured"),
            ("disputed", "cleared"),
            ("released", "authorized"),
        ):
            if sums[smaller] > sums[larger]:
                yield f"{where}: {name} leaves {smaller} {sums[smaller]} above {larger} {sums[larger]}"
        if name in POSTINGS:
            currency = self._currencies.setdefault(body["payment_id"], body["currency"])
            if body["currency"] != currency:
                yield f"{where}: {name} is in {body['currency']}, the payment in {currency}"
        least = min(body.get("amount", 0), body.get("hold_released", 0))
        if name in POSTINGS and name != "FeeCorrected" and least < 0:
            yield f"{where}: {name} has a negative amount"

    def _merchant(self, event: Event) -> Findings:
        name, body = event.name, event.body
        sums = self._merchants[body["merchant"], body["currency"]]
        match name:
            case "PaymentCaptured":
                sums["captured"] += body["amount"]
            case "CaptureVoided":
                sums["captured"] -= body["amount"]
            case "CaptureWrittenOff" if body["borne_by"] == "merchant":
                sums["captured"] -= body["amount"]
            case "RefundApproved":
                sums["refunded"] += body["amount"]
            case "RefundFailed":
                sums["refunded"] -= body["amount"]
            case "ProcessingFeeCharged" | "DisputeFeeCharged":
                sums["fees"] += body["amount"]
            case "DisputeMerchantDebited":
                sums["disputed"] += body["amount"]
            case "DisputeWon":
                sums["disputed"] -= body["amount"]
            case "PayoutInitiated":
                sums["paid_out"] += body["amount"]
                left = -self._balances["MA", body["merchant"], body["currency"]]
                if left < 0 or body["amount"] <= 0:
                    yield f"{event.where}: {name} of {body['amount']} leaves {left} available"
            case "PayoutReturnCredited" | "PayoutFailed" | "MerchantDebitApplied":
                sums["paid_out"] -= body["amount"]
            case "MerchantDebitReturned":
                sums["paid_out"] += body["amount"]
            case "MerchantLossWrittenOff":
                sums["forgiven"] += body["amount"]
            case _:
                pass

    def _interchange(self, event: Event) -> Findings:
        """Our figure by its own rate, to the unit that rounding may be off."""
        body = event.body
        base = self._presented.get(body["record_id"])
        if base is None:
            yield f"{event.where}: {event.name} of {body['record_id']}, which no network has accepted"
        elif abs(body["amount"] - body["fixed"] - base * body["rate_ppm"] / 1_000_000) > 1:
            yield f"{event.where}: {event.name} is {body['amount']}, not its rate of {base}"

    def close(self, ended: bool, stated: Counter[tuple[str, str]] | None) -> Findings:
        """The bank account against the bank's own statements; and when all is over, that nothing is left open."""
        if stated is not None:
            ours = {key[1:]: amount for key, amount in self._balances.items() if key[0] == "BK"}
            for account, currency in sorted(ours.keys() | stated.keys()):
                is_, should = ours.get((account, currency), 0), stated[account, currency]
                if is_ != should:
                    yield f"the bank account {account} stands at {is_} {currency}, its statements come to {should}"
        if not ended:
            return
        yield from self._keeping.close()
        for (account, item, currency), balance in sorted(self._balances.items()):
            if balance and account in CLEARING:
                yield f"{account} of {item} is open with {balance} {currency}"
        for (merchant, currency), sums in sorted(self._merchants.items()):
            kept = -sum(self._balances[account, merchant, currency] for account in ("MA", "RS", "HD", "MR"))
            placed = (
                sums["refunded"]
                + sums["disputed"]
                + sums["fees"]
                + kept
                + sums["paid_out"]
                - sums["forgiven"]
            )
            if sums["captured"] != placed:
                yield f"{merchant}: captured {sums['captured']} {currency}, placed {placed}"
