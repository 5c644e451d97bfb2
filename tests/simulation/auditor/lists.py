"""What is seen too often, and who is refused because of it, found a second time from the events alone.

Payments and declines are counted again in every partition of ``velocity`` from what was signalled to it, and every
decline has to be signalled where its payment was.
"""

import json
from collections import defaultdict
from typing import NamedTuple

from tests.simulation.auditor.logs import DAY, Body, Event, Findings, event_time

#: How wide windows are; microseconds.
WIDTHS = {"10m": 600_000_000, "1h": 3_600_000_000, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
NAMES = {
    "card": "card_id",
    "ip": "ip_ref",
    "device": "device_ref",
    "email": "email_ref",
    "merchant": "merchant",
}


class Seen(NamedTuple):
    """A payment under a key: event time, card and amount."""

    at: int
    card: str
    amount: int


class Lists:
    """That limits were passed which are said to be, that declines are told where they count, and that whoever is on the
    hotlist is judged by it.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], dict[str, Seen]] = defaultdict(dict)
        self._told: dict[str, dict[int, int]] = defaultdict(dict)
        self._told_declined: dict[str, set[int]] = defaultdict(set)
        self._paid: dict[str, tuple[dict[str, str], int]] = {}
        self._declined: set[str] = set()
        self._noted: set[str] = set()
        self._announced: dict[int, set[tuple[str, str, int]]] = defaultdict(set)
        self._listed: dict[int, dict[tuple[str, str], tuple[str, int]]] = defaultdict(dict)
        self._keys: dict[str, list[str]] = {}
        self._ticked_at: dict[int, int] = {}
        self._limits: dict[int, list[Body]] = {}

    def take(self, event: Event) -> Findings:
        """Count what is signalled, and follow what is listed."""
        body, listed = event.body, self._listed[event.partition]
        match event.name:
            case "ReferenceApplied" if event.log == "velocity" and body["kind"] == "velocity":
                self._limits[event.partition] = json.loads(body["content"])["limits"]
            case "TickPassed" if event.log == "payments":
                self._ticked_at[event.partition] = body["at"]
            case "RiskSignalled":
                self._count(event)
            case "DeclineSignalled":
                yield from self._signalled(event)
            case "VelocityLimitReached":
                yield from self._passed(event)
            case "HotlistAnnounced":
                self._announced[event.partition].add((body["item"], body["limit_id"], body["until_at"]))
            case "HotlistApplied":
                said = (body["item"], body["reason"], body["until_at"])
                if body["listed_by"] == "limit" and said not in self._announced[event.partition]:
                    yield f"{event.where}: {body['item']} is listed for {body['reason']}, which nobody announced"
                listed[body["item"], body["listed_by"]] = (body["standing"], body["until_at"])
            case "HotlistReleased":
                if listed.pop((body["item"], body["listed_by"]), None) is None:
                    yield f"{event.where}: {body['item']} is released and was not listed"
            case "PaymentRequested":
                self._paid.setdefault(body["payment_id"], (_keys(body), event_time(event.meta)))
            case "PaymentDeclined":
                self._declined.add(body["payment_id"])
            case "DeclineNoted":
                yield from self._note(event)
            case "RiskAssessed" if body["phase"] == "before_authorization":
                yield from self._judged(event)
            case _:
                pass

    def _count(self, event: Event) -> None:
        body, at = event.body, event_time(event.meta)
        self._told[body["payment_id"]].setdefault(event.partition, at)
        for dimension in body["dimensions"]:
            seen = self._seen[event.partition, f"{dimension}:{body[NAMES[dimension]]}"]
            seen.setdefault(body["payment_id"], Seen(at, body["card_id"], body["amount"]))

    def _signalled(self, event: Event) -> Findings:
        """A decline is told to a partition that knows the payment, with the payment's time, once."""
        payment = event.body["payment_id"]
        if self._told[payment].get(event.partition) != event.body["paid_at"]:
            yield f"{event.where}: {payment} is told to be declined, and no payment of then was told of here"
        if event.partition in self._told_declined[payment]:
            yield f"{event.where}: {payment} is told to be declined a second time"
        self._told_declined[payment].add(event.partition)

    def _note(self, event: Event) -> Findings:
        """What was declined is noted once, with the keys that the payment has."""
        payment = event.body["payment_id"]
        if payment not in self._declined or payment in self._noted:
            yield f"{event.where}: {payment} is noted as declined, and was not, or is so again"
        self._noted.add(payment)
        keys = {dimension: event.body[name] for dimension, name in NAMES.items() if event.body[name]}
        if (keys, event.body["paid_at"]) != self._paid.get(payment):
            yield f"{event.where}: {payment} is noted as declined with other keys, or of another time, than its own"

    def _passed(self, event: Event) -> Findings:
        body = event.body
        seen = self._seen[event.partition, body["item"]]
        since = body["reached_at"] - WIDTHS[body["window"]]
        within = {name: one for name, one in seen.items() if since < one.at <= body["reached_at"]}
        most = self._most(body["measure"], within, event.partition)
        if not body["allowed"] < body["measured"] <= most or body["payment_id"] not in within:
            yield (
                f"{event.where}: {body['item']} is said to have come to {body['measured']} of "
                f"{body['allowed']} allowed; {most} were seen"
            )
        dimension, _, key = body["item"].partition(":")
        if not any(
            limit["limit_id"] == body["limit_id"]
            and limit["dimension"] == dimension
            and (limit["above"], limit["measure"], limit["window"], limit["standing"])
            == (body["allowed"], body["measure"], body["window"], body["standing"])
            and limit.get("value", "") in ("", key)
            for limit in self._limits.get(event.partition, ())
        ):
            yield f"{event.where}: no limit {body['limit_id']} in force is of {body['item']}"

    def _most(self, measure: str, within: dict[str, Seen], partition: int) -> int:
        match measure:
            case "count":
                return len(within)
            case "cards":
                return len({one.card for one in within.values()})
            case "sum":
                return sum(one.amount for one in within.values())
            case "declines":
                return sum(partition in self._told_declined.get(name, ()) for name in within)
            case _:
                return 0

    def close(self, ended: bool) -> Findings:
        """Whatever was declined was told wherever its payment was."""
        if not ended:
            return
        for payment in sorted(self._declined ^ self._noted):
            yield f"{payment} was declined, and that is noted nowhere"
        for payment in sorted(self._noted):
            known, told = set(self._told[payment]), self._told_declined[payment]
            if known != told:
                yield f"{payment} was told of in partitions {sorted(known)}, its decline in {sorted(told)}"

    def _judged(self, event: Event) -> Findings:
        body, listed = event.body, self._listed[event.partition]
        keys, _ = self._paid.get(body["payment_id"], ({}, 0))
        items = {f"{dimension}:{value}" for dimension, value in keys.items()}
        found = {key: entry for key, entry in listed.items() if key[0] in items}
        for (item, _), (standing, until_at) in found.items():
            if standing == "block" and body["verdict"] != "block":
                yield f"{event.where}: {body['payment_id']} is not blocked, and {item} is"
            # Lists change at ticks: whoever is let go is so with the first that comes to that time.
            if 0 < until_at <= self._ticked_at.get(event.partition, 0):
                yield f"{event.where}: {item} is still listed, and was to be until {until_at}"
        dimensions = {item.partition(":")[0] for item, _ in found}
        named = {rule.split(":")[1] for rule in body["rules"] if rule.startswith("hotlist:")}
        if named != dimensions:
            yield f"{event.where}: {body['payment_id']} names {sorted(named)} as listed, not {sorted(dimensions)}"


def _keys(payment: Body) -> dict[str, str]:
    """The keys of a payment. At a till the device is the merchant's, and none."""
    till = payment["channel"] == "point_of_sale"
    keys = {dimension: payment[name] for dimension, name in NAMES.items() if payment[name]}
    return {dimension: value for dimension, value in keys.items() if dimension != "device" or not till}
