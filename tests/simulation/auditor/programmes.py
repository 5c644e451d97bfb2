"""The networks' programmes: what is told of merchants day by day, and who is named before a limit and at it."""

import json
from collections import Counter, defaultdict
from datetime import date, timedelta

from tests.simulation.auditor.logs import DAY, Body, Event, Findings

#: What a partition tells of a merchant's day, behind merchant, network, currency and day.
TOLD = (
    *("cleared", "remote", "ecommerce", "ecommerce_sales", "reports", "remote_reports"),
    *("disputes", "remote_disputes", "ecommerce_fraud"),
)
#: Level of an alert, mildest first.
LEVELS = ("near", "expected", "exceeded")


class Exposures:
    """That merchants' figures are told as they are, and that nobody reaches a limit without being named."""

    def __init__(self) -> None:
        self._payments: dict[str, tuple[str, str]] = {}
        self._counted: dict[tuple[int, str, str, str, int], Counter[str]] = defaultdict(Counter)
        self._told: Counter[str] = Counter()
        self._heard: dict[tuple[str, str], list[Body]] = defaultdict(list)
        self._programmes: list[Body] = []
        self._percent = 100
        self._levels: dict[tuple[str, str, str, int], str] = {}
        self._newest: dict[int, int] = {}

    def take(self, event: Event) -> Findings:
        """Count what is told, and hold alerts against it."""
        name, body = event.name, event.body
        match name:
            case "PaymentRequested":
                self._payments[body["payment_id"]] = (body["merchant"], body["channel"])
            case "ClearingRecordAccepted" | "EarlyFraudWarningReceived" | "DisputeOpened":
                self._count(event)
            case "MerchantDisputesTallied":
                yield from self._tallied(event)
            case "TickPassed" if event.log == "payments":
                self._newest[event.partition] = body["at"] // DAY
            case "ReferenceApplied" if event.log == "velocity" and body["kind"] == "programmes":
                content = json.loads(body["content"])
                self._programmes, self._percent = content["programmes"], content["alert_percent"]
            case "DisputeAlertRaised":
                yield from self._alerted(event)

    def _count(self, event: Event) -> None:
        body = event.body
        merchant, channel = self._payments[body["payment_id"]]
        day_on = event.meta["recorded_at"] // DAY
        counted = self._counted[event.partition, merchant, body["network"], body["currency"], day_on]
        remote, ecommerce = channel != "point_of_sale", channel == "ecommerce"
        if event.name == "ClearingRecordAccepted":
            counted.update(cleared=1, remote=remote, ecommerce=ecommerce)
            counted["ecommerce_sales"] += body["amount"] * ecommerce
        elif event.name == "EarlyFraudWarningReceived":
            counted.update(reports=1, remote_reports=remote)
        else:
            fraud = ecommerce and body["reason_code"] in {"4837", "4863"}
            counted.update(disputes=1, remote_disputes=remote)
            counted["ecommerce_fraud"] += body["amount"] * fraud

    def _tallied(self, event: Event) -> Findings:
        body = event.body
        figures = tuple(body[name] for name in ("merchant", "network", "currency", "day_on", *TOLD))
        if event.log == "velocity":
            self._told[str(figures)] -= 1
            self._heard[body["merchant"], body["network"]].append(body)
            return
        self._told[str(figures)] += 1
        key = (event.partition, body["merchant"], body["network"], body["currency"], body["day_on"])
        counted = self._counted.pop(key, Counter())
        if tuple(counted[name] for name in TOLD) != figures[4:]:
            yield f"{event.where}: {key} is told as {figures[4:]}, and was {dict(counted)}"

    def _alerted(self, event: Event) -> Findings:
        where, body = event.where, event.body
        key = (body["merchant"], body["programme"], body["currency"], body["month_on"])
        programme = next(
            one
            for one in self._programmes
            if one["programme"] == body["programme"] and one["from_on"] <= body["month_on"] < one["until_on"]
        )
        held = self._held(body["merchant"], programme, body["currency"], body["month_on"], body["day_on"])
        if held != (body["counted"], body["base"]):
            yield f"{where}: {key} is named for {body['counted']} of {body['base']}, and it has {held}"
        level, before = body["level"], self._levels.get(key)
        if before is not None and LEVELS.index(level) <= LEVELS.index(before):
            yield f"{where}: {key} is named as {level} behind {before}"
        reached = self._reached(programme, held, 100 if level == "exceeded" else self._percent)
        if level != "expected" and not reached:
            yield f"{where}: {key} is named as {level} too early"
        self._levels[key] = level

    def _held(
        self, merchant: str, programme: Body, currency: str, month_on: int, day_on: int
    ) -> tuple[int, int]:
        """What counts from the first of the month up to a day, and what it is held against."""
        told = [
            one
            for one in self._heard[merchant, programme["network"]]
            if one["day_on"] <= day_on and currency in {"", one["currency"]}
        ]
        before = _first_of_month(month_on - 1)
        now = [one for one in told if one["day_on"] >= month_on]
        earlier = [one for one in told if before <= one["day_on"] < month_on]
        match programme["counts"]:
            case "remote_reports_and_disputes":
                cases = sum(one["remote_reports"] + one["remote_disputes"] for one in now)
                return cases, sum(one["remote"] for one in now)
            case "disputes":
                return sum(one["disputes"] for one in now), sum(one["cleared"] for one in earlier)
            case _:
                base = sum(one["ecommerce_sales"] for one in earlier)
                return sum(one["ecommerce_fraud"] for one in now), base

    def _reached(self, programme: Body, held: tuple[int, int], percent: int) -> bool:
        counted, base = held
        least = programme["least_amount"] or programme["least_count"]
        ratio = counted * 1_000_000 >= percent * programme["least_bps"] * base
        return counted > 0 and counted * 100 >= percent * least and ratio

    def close(self, ended: bool) -> Findings:
        """Every day but the last was told and heard once; whoever had reached limits by a month's end was named."""
        if not ended:
            return
        for key, counted in sorted(self._counted.items()):
            if key[-1] < self._newest[key[0]]:
                yield f"{key}: {dict(counted)} was told to nobody"
        yield from (f"{told} is told and heard, {left} apart" for told, left in self._told.items() if left)
        for (merchant, network), told in sorted(self._heard.items()):
            for month_on in sorted({_first_of_month(one["day_on"]) for one in told}):
                last = max(one["day_on"] for one in told if _first_of_month(one["day_on"]) == month_on)
                yield from self._unnamed(merchant, network, month_on, last)

    def _unnamed(self, merchant: str, network: str, month_on: int, last: int) -> Findings:
        for one in self._programmes:
            applies = one["network"] == network and one["from_on"] <= month_on < one["until_on"]
            if applies and not one["least_amount"] and not one["least_transactions"]:
                held = self._held(merchant, one, "", month_on, last)
                level = self._levels.get((merchant, one["programme"], "", month_on))
                if self._reached(one, held, 100) and level != "exceeded":
                    yield f"{merchant} has {held} in {one['programme']}, and is named as {level}"


def _first_of_month(day_on: int) -> int:
    day = date(1970, 1, 1) + timedelta(days=day_on)
    return (day.replace(day=1) - date(1970, 1, 1)).days
