"""How a merchant chooses to be paid, what is kept back from it, and what it owes."""

import json
from collections import Counter, defaultdict

from tests.simulation.auditor.logs import DAY, Body, Event, Findings
from tests.simulation.auditor.postings import POSTINGS

# --- what merchants choose ------------------------------------------------------------------------------

SCHEDULES = ("daily", "weekly", "monthly")


class Choices:
    """How merchants are paid by their contracts and their own settings: what may change, what did, and that no payout
    is smaller than the merchant wants it."""

    def __init__(self) -> None:
        #: By merchant and currency: what was chosen; and by partition the contracts, for each reads its own.
        self._chosen: dict[tuple[str, str], tuple[str, int, int]] = {}
        self._contracts: dict[tuple[int, str, str], Body] = {}
        self._wanted: dict[str, Event] = {}

    def take(self, event: Event) -> Findings:
        """Follow contracts, wishes and what comes of them."""
        name, body = event.name, event.body
        if name == "ReferenceApplied" and event.log == "settlement" and body["kind"] == "settlement":
            terms = json.loads(body["content"])
            self._contracts[event.partition, terms["merchant"], terms["currency"]] = terms
        elif name == "MerchantSettingsRequested":
            self._wanted[event.event_id] = event
        elif name in {"MerchantSettingsChanged", "MerchantSettingsRejected"}:
            yield from self._answered(event)
        elif name == "PayoutInitiated" and body["attempt"] == 1:
            _, _, least = self._paid(event, body["currency"])
            if body["amount"] < least:
                yield f"{event.where}: {body['payout_id']} is {body['amount']}, less than {least}"

    def _contract(self, event: Event, currency: str) -> Body:
        merchant = event.body["merchant"]
        found = self._contracts.get((event.partition, merchant, currency))
        return found or self._contracts.get((event.partition, merchant, "")) or {}

    def _paid(self, event: Event, currency: str) -> tuple[str, int, int]:
        """Schedule, day and least balance by which a merchant is paid."""
        merchant, contract = event.body["merchant"], self._contract(event, currency)
        chosen = self._chosen.get((merchant, currency)) or self._chosen.get((merchant, ""))
        if chosen is not None and chosen[0] in contract.get("choices", SCHEDULES):
            return chosen
        return contract.get("schedule", "daily"), contract.get("anchor", 0), contract.get("minimum_payout", 0)

    def _answered(self, event: Event) -> Findings:
        body, where = event.body, event.where
        asked = self._wanted.pop(event.meta["causation_id"], None)
        if asked is None:
            yield f"{where}: {event.name} of {body['merchant']}, which it has not asked for, or not again"
            return
        fields = ("merchant", "idempotency_key", "currency", "schedule", "anchor", "minimum_payout")
        if any(asked.body[field] != body[field] for field in fields):
            yield f"{where}: {event.name} is not what {body['merchant']} has asked for"
        before = self._paid(event, body["currency"])
        after = (body["schedule"], body["anchor"], body["minimum_payout"])
        allowed = body["schedule"] in self._contract(event, body["currency"]).get("choices", SCHEDULES)
        if event.name == "MerchantSettingsRejected":
            reason = "unchanged" if allowed else "not_allowed"
            if body["reason"] != reason or (allowed and before != after):
                yield f"{where}: {body['merchant']} is refused as {body['reason']}"
            return
        old = (body["old_schedule"], body["old_anchor"], body["old_minimum_payout"])
        if not allowed or old != before or old == after:
            yield f"{where}: {body['merchant']} changes from {old} to {after}, and is paid by {before}"
        self._chosen[body["merchant"], body["currency"]] = after

    def close(self, ended: bool, put_aside: set[str]) -> Findings:
        """In the end everybody has been answered."""
        for asked in self._wanted.values():
            if ended and asked.where not in put_aside:
                yield f"{asked.where}: the settings have no answer"


# --- what is kept back from a merchant ------------------------------------------------------------------

#: Balances below zero that a merchant may have between two runs, where its terms do not say.
USUAL_LIMIT = 100_000
#: The run of a day is at six in the morning.
RUN_AT = 6 * 3_600_000_000


class Keeping:
    """What is kept back from a merchant and what it owes: reserves, holds, receivables and the limit of its balance."""

    def __init__(self, balances: dict[tuple[str, str, str], int]) -> None:
        self._balances = balances
        self._reserves: dict[tuple[str, str, str], list[int]] = {}
        self._holds: Counter[tuple[str, str, str]] = Counter()
        self._limits: dict[str, int] = {}
        self._touched: dict[int, dict[tuple[str, str], str]] = defaultdict(dict)
        self._last_run = 0
        self._initiated: dict[str, int] = {}
        self._sent: dict[str, int] = {}

    def take(self, event: Event) -> Findings:
        """An event of the settlement log, after its posting."""
        body = event.body
        if "payout_id" in body:
            yield from self._payouts(event)
        match event.name:
            case "ReferenceApplied" if body["kind"] == "settlement":
                terms = json.loads(body["content"])
                name = f"{terms['merchant']} {terms['currency']}"
                self._limits[name] = terms["negative_limit"]
            case "TickPassed":
                self._last_run = max(self._last_run, (body["at"] - RUN_AT) // DAY)
                for (merchant, currency), where in self._touched.pop(event.partition, {}).items():
                    limit = self._limits.get(f"{merchant} {currency}", self._limits.get(f"{merchant} "))
                    available = -self._balances["MA", merchant, currency]
                    if available < -(USUAL_LIMIT if limit is None else limit):
                        yield f"{where}: {merchant} is left with {available} {currency}, and owes nothing for it"
            case name if name in POSTINGS and "merchant" in body:
                self._touched[event.partition][body["merchant"], body["currency"]] = event.where
                yield from self._merchants(event)
            case "SettlementBatchClosed":
                available = -self._balances["MA", body["merchant"], body["currency"]]
                if body["available"] != available or available < 0:
                    yield f"{event.where}: {event.name} says {body['available']}, the balance is {available}"
            case _:
                pass

    def _merchants(self, event: Event) -> Findings:
        body, where = event.body, event.where
        merchant, currency = body["merchant"], body["currency"]
        available, reserve, held, owed = (
            self._balances[account, merchant, currency] for account in ("MA", "RS", "HD", "MR")
        )
        if reserve > 0 or held > 0 or owed < 0:
            yield f"{where}: {event.name} leaves a reserve of {-reserve}, {-held} on hold and {owed} owed"
        match event.name:
            case "ReserveWithheld":
                place = (merchant, currency, body["reserve_id"])
                self._reserves[place] = [body["amount"], body["release_on"]]
                most = body["base"] * body["share_ppm"] // 1_000_000
                if not 0 < body["amount"] <= most or available > 0:
                    yield f"{where}: {event.name} of {body['amount']}, of {most}, leaves {-available}"
            case "ReserveReleased":
                kept = self._reserves.get((merchant, currency, body["reserve_id"]), [0, 0])
                kept[0] -= body["amount"]
                early = (event.meta["recorded_at"] - RUN_AT) // DAY < kept[1]
                short = body["reason"] == "short_balance"
                if kept[0] < 0 or body["amount"] <= 0 or early != short or (short and available < 0):
                    yield f"{where}: {event.name} of {body['amount']}, {body['reason']}, leaves {kept[0]}"
            case "SettlementHoldPlaced":
                place = (merchant, currency, body["hold_id"])
                if place not in self._holds and not body["approver"] and body["reason"] != "payouts_returned":
                    yield f"{where}: nobody has approved the hold {body['hold_id']}"
                self._holds[place] += body["amount"]
                if body["amount"] < 0 or (body["amount"] and available > 0):
                    yield f"{where}: {event.name} of {body['amount']} leaves {-available}"
            case "SettlementHoldReleased":
                if self._holds.pop((merchant, currency, body["hold_id"]), None) != body["amount"]:
                    yield f"{where}: {event.name} of {body['amount']} is not what {body['hold_id']} keeps"
            case "MerchantReceivableRaised" | "MerchantReceivableOffset":
                raised = event.name == "MerchantReceivableRaised"
                if body["amount"] <= 0 or (available != 0 if raised else available > 0):
                    yield f"{where}: {event.name} of {body['amount']} leaves {-available}"
            case "MerchantLossWrittenOff":
                if body["amount"] <= 0 or not body["approver"]:
                    yield f"{where}: {event.name} of {body['amount']}, approved by {body['approver']!r}"
            case _:
                pass

    def _payouts(self, event: Event) -> Findings:
        """What was initiated is sent or stopped, and only what was sent has an outcome."""
        name, body = event.name, event.body
        payout = body["payout_id"]
        match name:
            case "PayoutInitiated":
                self._initiated[payout] = body["amount"]
            case "PayoutSubmitted" | "PayoutFailed":
                if self._initiated.pop(payout, None) != body["amount"]:
                    yield f"{event.where}: {name} of {payout}, which was not initiated so"
                if name == "PayoutSubmitted":
                    self._sent[payout] = body["attempt"]
            case "PayoutReturnCredited":
                if payout not in self._sent:
                    yield f"{event.where}: {name} of {payout}, which was never sent"
            case "PayoutRetryScheduled":
                run_on = (event.meta["recorded_at"] - RUN_AT) // DAY
                if body["attempt"] != self._sent.get(payout, 0) + 1 or body["retry_on"] < run_on:
                    yield f"{event.where}: {payout} is to be sent again as {body['attempt']} on {body['retry_on']}"
            case _:
                pass

    def close(self) -> Findings:
        """Every payout was sent or stopped; every part of a reserve whose day has come has gone back."""
        for payout in self._initiated:
            yield f"{payout} was neither sent nor stopped"
        for (merchant, currency, reserve_id), (amount, release_on) in self._reserves.items():
            if amount and release_on <= self._last_run:
                yield f"{merchant}: {amount} {currency} of {reserve_id} is still kept"
