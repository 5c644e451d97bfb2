"""What became of planted attacks: found by what, after how much, how much got through; and what the honest paid for it.

The truth is the ledger that the planter wrote beside the input; what was made of it is read from the store. The two
meet here and nowhere else.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from events.errors import Refused
from projections.instants import moment
from projections.port import Database
from projections.reading import records
from streams.edge.attackledger import SUFFIX, Attack, AttackKind, AttackLedger, beside, read_ledger

#: How many payments are asked for at a time.
_CHUNK: Final = 1_000
_HOTLIST: Final = "hotlist:"
_LOOKED_AT: Final = ("review", "step_up")


class Finder(StrEnum):
    """Who noticed an attack first."""

    RULE = "rule"
    """A rule about the card or the payment: it stopped the payment, or had it looked at."""
    LIMIT = "limit"
    """A limit over all cards was passed; its key was on the hotlist some intervals later."""
    OPERATOR = "operator"
    """A key that a person had listed."""
    CARDHOLDERS = "cardholders"
    """Nobody here: their reports and disputes said so when it was over."""
    NOBODY = "nobody"
    """Not found."""


class Exposure(msgspec.Struct, frozen=True):
    """What an attacker had from the crossing of a limit (event time) until its key was in force everywhere."""

    item: str
    limit: str
    reached_at: datetime
    in_force_at: datetime
    payments: int
    captured: int


class Fate(msgspec.Struct, frozen=True):
    """What became of one attack. Amounts are minor units of ``currency``.

    ``after_payments`` were asked for before the one that gave it away, and ``after_captured`` was taken by them;
    ``through`` are payments whose money was taken and not given back by us, ``reported`` those that cardholders
    reported. ``looked_at`` waited for a person, and ``turned_away`` are those of them that were then let go.
    """

    attack_id: str
    kind: AttackKind
    currency: str
    payments: int
    asked: int
    found_by: Finder
    name: str
    after_payments: int | None
    after_captured: int | None
    blocked: int
    looked_at: int
    turned_away: int
    refused_by_issuers: int
    through: int
    through_amount: int
    reported: int
    exposures: list[Exposure]

    @property
    def found(self) -> bool:
        """Whether it was noticed here, by whatever, while it lasted."""
        return self.found_by not in (Finder.CARDHOLDERS, Finder.NOBODY)


class Honest(msgspec.Struct, frozen=True):
    """Payments that are in no attack, in one currency: all of them, those blocked and those looked at."""

    currency: str
    payments: int
    asked: int
    blocked: int
    blocked_amount: int
    looked_at: int
    looked_at_amount: int
    turned_away: int


class AttackReport(msgspec.Struct, frozen=True):
    """Every attack, what the honest had to bear, and which rules stopped or held how many of them."""

    fates: list[Fate]
    honest: list[Honest]
    mistaken_rules: dict[str, int]


# --- finding the ledger -------------------------------------------------------------------------------


def ledger_of(db: Database, folders: Iterable[Path]) -> AttackLedger | None:
    """The ledger in a run's folders that is of the payments in the store; None where there is none."""
    places = [place for folder in folders for place in (folder, folder / "input")]
    paths = [path for place in places for path in sorted(place.glob(f"*{SUFFIX}"))]
    return next((ledger for path in paths if fits(db, ledger := read_ledger(path))), None)


def fits(db: Database, ledger: AttackLedger) -> bool:
    """Whether all payments of a ledger are in the store."""
    names = [payment.payment_id for attack in ledger.attacks for payment in attack.payments]
    return len(_by_payment(db, "SELECT payment_id FROM payments", names)) == len(names)


def told_of(db: Database, input_: Path) -> "AttackReport | None":
    """What became of the attacks of an input; None where it has no ledger, or one that is of another file."""
    path = beside(input_)
    ledger = read_ledger(path) if path.exists() else None
    return report_on(db, ledger) if ledger is not None and fits(db, ledger) else None


# --- the report ---------------------------------------------------------------------------------------


def report_on(db: Database, ledger: AttackLedger) -> AttackReport:
    """Hold a store against a ledger. Raises Refused where the ledger is of another run."""
    seen = _Seen(db, ledger)
    if len(seen.payments) < len(seen.attackers):
        raise Refused("this ledger is of another input: the store does not have its payments")
    mistaken: Counter[str] = Counter()
    for payment_id, verdicts in seen.verdicts.items():
        if payment_id not in seen.attackers:
            mistaken.update({rule for verdict in verdicts for rule in verdict["rules"].split(",")})
    return AttackReport(
        [_fate(seen, attack) for attack in ledger.attacks],
        list(_honest(db, seen)),
        dict(sorted(mistaken.items(), key=lambda item: (-item[1], item[0]))),
    )


class _Seen:
    """What the store says of verdicts that were not *allow*, limits, and the attackers' payments."""

    def __init__(self, db: Database, ledger: AttackLedger) -> None:
        names = [payment.payment_id for attack in ledger.attacks for payment in attack.payments]
        self.attackers: Final = frozenset(names)
        self.payments: Final = _by_payment(
            db,
            "SELECT payment_id, currency, amount, captured_amount, refunded_amount, was_declined FROM payments",
            names,
        )
        self.reported: Final = frozenset(
            _by_payment(
                db,
                "SELECT DISTINCT payment_id FROM fraud_labels",
                names,
                "label = 'fraud'",
            )
        )
        self.verdicts: Final[dict[str, list[dict[str, Any]]]] = {}
        for row in records(
            db,
            "SELECT payment_id, verdict, rules FROM risk_verdicts WHERE verdict <> 'allow'"
            " ORDER BY recorded_at, payment_id, phase DESC",
        ):
            self.verdicts.setdefault(row["payment_id"], []).append(row)
        self.turned_away: Final = frozenset(
            row["payment_id"]
            for row in records(
                db,
                "SELECT DISTINCT payment_id FROM review_steps WHERE decision IN ('decline', 'refund')"
                " AND step = 'decided'",
            )
        )
        self.crossings: Final = records(
            db,
            "SELECT item, limit_id, payment_id, reached_at FROM velocity_crossings ORDER BY reached_at, item",
        )
        self.in_force: Final = {
            (row["item"], row["reason"]): row["at"]
            for row in records(
                db,
                "SELECT item, reason, min(recorded_at) AS at FROM hotlist_steps"
                " WHERE step = 'applied' AND listed_by = 'limit' GROUP BY item, reason",
            )
        }


def _by_payment(
    db: Database, select: str, names: Sequence[str], where: str = "true"
) -> Mapping[str, dict[str, Any]]:
    """Rows of some payments, by payment."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        marks = ", ".join(f"${number}" for number in range(1, len(chunk) + 1))
        query = f"{select} WHERE {where} AND payment_id IN ({marks})"
        found |= {row["payment_id"]: row for row in records(db, query, chunk)}
    return found


def _fate(seen: _Seen, attack: Attack) -> Fate:
    names = [payment.payment_id for payment in attack.payments]
    rows = [seen.payments[name] for name in names]
    captured = [row["captured_amount"] for row in rows]
    kept = [max(0, row["captured_amount"] - row["refunded_amount"]) for row in rows]
    verdicts = [[verdict["verdict"] for verdict in seen.verdicts.get(name, ())] for name in names]
    place, finder, name = _noticed(seen, attack, names)
    return Fate(
        attack.attack_id,
        attack.kind,
        attack.currency,
        len(names),
        sum(payment.amount for payment in attack.payments),
        finder,
        name,
        place,
        None if place is None else sum(captured[:place]),
        sum("block" in one for one in verdicts),
        sum("block" not in one and any(verdict in _LOOKED_AT for verdict in one) for one in verdicts),
        len(seen.turned_away.intersection(names)),
        sum(row["was_declined"] and "block" not in one for row, one in zip(rows, verdicts, strict=True)),
        sum(amount > 0 for amount in kept),
        sum(kept),
        len(seen.reported.intersection(names)),
        list(_exposures(seen, attack, captured)),
    )


def _noticed(seen: _Seen, attack: Attack, names: Sequence[str]) -> tuple[int | None, Finder, str]:
    """How many payments were asked for before an attack was noticed, by whom, and the rule's or limit's name."""
    found: list[tuple[int, int, Finder, str]] = []
    for place, name in enumerate(names):
        verdicts = seen.verdicts.get(name)
        if verdicts:
            found.append((place, 1, *_who(verdicts[0]["rules"].split(",")[0])))
            break
    places = {name: place for place, name in enumerate(names)}
    for crossing in seen.crossings:
        place_of = places.get(crossing["payment_id"])
        if crossing["item"] in attack.keys and place_of is not None:
            found.append((place_of, 0, Finder.LIMIT, crossing["limit_id"]))
    if found:
        place, _, finder, what = min(found)
        return place, finder, what
    if not seen.reported.isdisjoint(names):
        return None, Finder.CARDHOLDERS, ""
    return None, Finder.NOBODY, ""


def _who(rule: str) -> tuple[Finder, str]:
    """Who is behind a rule's name in a verdict."""
    if not rule.startswith(_HOTLIST):
        return Finder.RULE, rule
    named = rule.rpartition(":")[2]
    return (Finder.OPERATOR if named == "operator" else Finder.LIMIT), named


def _exposures(seen: _Seen, attack: Attack, captured: Sequence[int]) -> Iterator[Exposure]:
    """For each limit that an attack went beyond first: what was asked for until its key was in force."""
    times = [moment(payment.at) for payment in attack.payments]
    told = set()
    for crossing in seen.crossings:
        key = crossing["item"], crossing["limit_id"]
        in_force = seen.in_force.get(key)
        if crossing["item"] not in attack.keys or key in told or in_force is None:
            continue
        told.add(key)
        first, behind = bisect_right(times, crossing["reached_at"]), bisect_right(times, in_force)
        yield Exposure(
            *key, crossing["reached_at"], in_force, max(0, behind - first), sum(captured[first:behind])
        )


def _honest(db: Database, seen: _Seen) -> Iterator[Honest]:
    """By currency, what those who attack nobody asked for, and what of it was blocked or looked at."""
    names = sorted(set(seen.verdicts) - seen.attackers)
    amounts = _by_payment(db, "SELECT payment_id, currency, amount FROM payments", names)
    query = "SELECT currency, count(*) AS n, sum(amount) AS amount FROM payments GROUP BY currency ORDER BY currency"
    for row in records(db, query):
        theirs = [one["amount"] for one in seen.payments.values() if one["currency"] == row["currency"]]
        ours = [one for one in names if amounts[one]["currency"] == row["currency"]]
        blocked = [one for one in ours if any(it["verdict"] == "block" for it in seen.verdicts[one])]
        looked_at = sorted(set(ours) - set(blocked))
        yield Honest(
            row["currency"],
            row["n"] - len(theirs),
            int(row["amount"]) - sum(theirs),
            len(blocked),
            _sum(amounts, blocked),
            len(looked_at),
            _sum(amounts, looked_at),
            len(seen.turned_away.intersection(looked_at)),
        )


def _sum(amounts: Mapping[str, dict[str, Any]], names: Iterable[str]) -> int:
    return sum(int(amounts[name]["amount"]) for name in names)
