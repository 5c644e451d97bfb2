"""Who pays: whether phone, country, e-mail address and device are those of before, and how far a card has come."""

import math
from collections import defaultdict

from tests.simulation.auditor.logs import DAY, Body, Event, Findings, event_time
from tests.simulation.auditor.risks import CLUSTERS_FROM, FEATURE_SET

#: Where a vector says what is known of who pays: six figures.
PAYER_FROM = CLUSTERS_FROM + 3
#: How long a name counts as known on a card, and two places of it as comparable, microseconds.
REMEMBERED, COMPARED = 90 * DAY, DAY
#: How far two ways to compute a distance may lie apart, kilometres; and the speed that is told for all above it.
ROUNDED_KM, FASTEST = 2, 99_999
HIDDEN = frozenset({"proxy", "tor", "hosting"})


class Payers:
    """Whether a card's payer is who was there before, and can have come that far: by looking through everything."""

    def __init__(self) -> None:
        self._asked: dict[str, Body] = {}
        #: By card and kind: when each name was there, and when any that can change was.
        self._names: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        self._had: dict[tuple[str, str], int] = {}
        self._places: dict[str, list[tuple[int, float, float, int]]] = defaultdict(list)
        self._changed: dict[str, list[int]] = defaultdict(list)

    def take(self, event: Event) -> Findings:
        """Look at a payment when it is assessed."""
        body = event.body
        if event.name == "PaymentRequested":
            self._asked[body["payment_id"]] = body
        elif event.name == "RiskAssessed" and body["phase"] == "before_authorization":
            asked = self._asked.get(body["payment_id"])
            if asked is not None and body["feature_set"] == FEATURE_SET:
                yield from self._assessed(event, asked, event_time(event.meta))

    def _assessed(self, event: Event, asked: Body, at: int) -> Findings:
        card, said = asked["card_id"], asked["signals"] or {}
        country = said.get("country", "")
        kinds = {
            "phone": asked["phone_ref"],
            "country": country if len(country) == 2 and country.isalpha() and country.isupper() else "",
            "email": asked["email_ref"],
            "device": asked["device_ref"],
        }
        changes, new = 0, {}
        for kind, name in kinds.items():
            names = self._names[card, kind]
            if name:
                new[kind] = names.get(name, at - REMEMBERED) <= at - REMEMBERED
                names[name] = max(at, names.get(name, at))
            # A till's device is known there, and belongs to nobody who pays.
            if name and (kind != "device" or asked["channel"] != "point_of_sale"):
                had = self._had.get((card, kind), at - REMEMBERED)
                changes += new[kind] and had > at - REMEMBERED
                self._had[card, kind] = max(at, had)
        self._changed[card] += [at] * changes
        recently = sum(at - COMPARED < when <= at for when in sorted(self._changed[card])[-32:])
        km, seconds = self._travelled(card, said, at)
        said_of = event.body["features"][PAYER_FROM : PAYER_FROM + 6]
        expected = [new.get("phone", -1), new.get("country", -1), changes, recently]
        where = f"{event.where}: {asked['payment_id']}"
        if [*said_of[:2], *said_of[4:]] != expected:
            yield f"{where} has a payer measured as {said_of}, and it is {expected} beside the travel"
        far = said_of[2]
        if event.meta["recorded_at"] - at > COMPARED:
            return  # Decided so late that newer places than the last one may be forgotten: places go by the day.
        if (far < 0) != (km is None) or (km is not None and abs(far - km) > ROUNDED_KM):
            yield f"{where} is said to have travelled {far} km, and it is {km}"
        elif km is not None and said_of[3] != min(FASTEST, far * 3_600 // seconds):
            yield f"{where} is said to have travelled at {said_of[3]} km/h: {far} km in {seconds} seconds"

    def _travelled(self, card: str, said: Body, at: int) -> tuple[float | None, int]:
        """Kilometres from the card's newest place, and the seconds between."""
        accuracy = said.get("accuracy_km", -1)
        north, east = said.get("latitude", 0) / 100, said.get("longitude", 0) / 100
        hidden = said.get("connection") in HIDDEN
        if not 0 <= accuracy <= 20_015 or abs(north) > 90 or abs(east) > 180 or hidden:
            return None, 1
        places = self._places[card]
        newest = max(places, key=lambda place: place[0], default=None)
        places.append((at, north, east, accuracy))
        if newest is None or abs(at - newest[0]) >= COMPARED:
            return None, 1
        km = _great_circle(north, east, newest[1], newest[2]) - accuracy - newest[3]
        return max(0.0, km), max(60, abs(at - newest[0]) // 1_000_000)


def _great_circle(north: float, east: float, other_north: float, other_east: float) -> float:
    """By the law of cosines on unit vectors: another formula than the one it checks."""
    one, other = (
        (math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a))
        for a, b in (
            (math.radians(x), math.radians(y)) for x, y in ((north, east), (other_north, other_east))
        )
    )
    return 6371.0088 * 2 * math.asin(min(1.0, math.dist(one, other) / 2))
