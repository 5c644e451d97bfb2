"""What is decided about fraud: figures, known frauds and clusters counted again, and what became of each verdict."""

from collections import defaultdict

from tests.simulation.auditor.logs import DAY, Body, Event, Findings, event_time

#: The windows that begin a vector of set 4, microseconds: five counts of the card's payments, then five sums.
WINDOWS = tuple(minutes * 60_000_000 for minutes in (10, 60, 1_440, 7 * 1_440, 30 * 1_440))
FEATURE_SET = 4
#: Where a vector says how many payments are known to be fraud: under each of these keys, in each window.
FRAUDS_FROM = 37
FRAUD_KEYS = ("card", "ip", "device", "email", "merchant", "card_merchant")
#: Where it says by how many keys it is linked to known frauds, to how many, and of how many cards.
CLUSTERS_FROM = FRAUDS_FROM + len(FRAUD_KEYS) * len(WINDOWS)
#: Of how many cards a key may be to link: card, address, device, e-mail address. How many days a fraud links.
LINKING_CARDS = (1, 16, 64, 64)
LINKING_DAYS = 180
LARGEST_CLUSTER = 1_000
#: Payments of a card from which a figure may be approximate.
HOT = 8_192


class Risks:
    """What the verdicts counted, counted again by looking through everything; and what became of the verdicts."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[str, int]] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        self._frauds: dict[tuple[int, str, str], list[int]] = defaultdict(list)
        self._linked: dict[int, dict[str, tuple[int, tuple[str, ...]]]] = defaultdict(dict)
        self._links: dict[int, dict[tuple[int, str], set[str]]] = {}
        self._paid: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._blocked: set[str] = set()
        self._taken_back: dict[str, bool] = {}
        self._authorized: set[str] = set()
        self._captured: set[str] = set()

    def take(self, event: Event) -> Findings:
        """Count a payment when it is assessed; a blocked one may go nowhere."""
        name, body = event.name, event.body
        if name == "PaymentRequested":
            self._asked[body["payment_id"]] = (body["card_id"], body["amount"])
            self._keys[body["payment_id"]] = _fraud_keys(body)
        elif name in {"PaymentLabelled", "LabelApplied"}:
            self._count_fraud(event)
        elif name == "TickPassed" and event.log == "payments":
            self._forget_linked(event.partition, body["at"])
        elif name == "RiskAssessed" and body["phase"] == "before_authorization":
            yield from self._assessed(event)
        elif name == "RiskAssessed":
            yield from self._assessed_again(event)
        elif name == "PaymentVoided" and body["payment_id"] in self._taken_back:
            self._taken_back[body["payment_id"]] = True
        elif name == "PaymentCaptured" and body["payment_id"] in self._taken_back:
            yield f"{event.where}: {body['payment_id']} was blocked behind its authorization, and is captured"
        elif name in {"PaymentAuthorized", "PaymentCaptured"}:
            (self._authorized if name == "PaymentAuthorized" else self._captured).add(body["payment_id"])
        elif name == "AuthorizationSubmitted" and body["payment_id"] in self._blocked:
            yield f"{event.where}: {body['payment_id']} was blocked, and is submitted"
        elif name == "PaymentDeclined":
            blocked = body["payment_id"] in self._blocked
            if blocked != (body["reason"] == "risk_blocked"):
                yield f"{event.where}: {body['payment_id']} is declined as {body['reason']}, blocked: {blocked}"

    def _assessed_again(self, event: Event) -> Findings:
        """The second verdict: between the issuer's approval and the first capture."""
        payment = event.body["payment_id"]
        if event.body["phase"] != "after_authorization" or payment not in self._authorized:
            yield f"{event.where}: {payment} is assessed again, and was not authorized"
        if payment in self._captured:
            yield f"{event.where}: {payment} is assessed again, and was captured before"
        if event.body["verdict"] == "block":
            self._taken_back[payment] = False

    def close(self, ended: bool) -> Findings:
        """What was blocked behind its authorization was let go."""
        if ended:
            yield from (
                f"{payment} was blocked behind its authorization, and is not let go"
                for payment, gone in sorted(self._taken_back.items())
                if not gone
            )

    def _assessed(self, event: Event) -> Findings:
        body = event.body
        payment_id, features = body["payment_id"], body["features"]
        if body["verdict"] == "block":
            self._blocked.add(payment_id)
        if payment_id not in self._asked or body["feature_set"] != FEATURE_SET:
            yield f"{event.where}: {payment_id} is assessed and was not asked for, or by another set"
            return
        card, amount = self._asked[payment_id]
        at = event_time(event.meta)
        paid = self._paid[card]
        paid.append((at, amount))
        if len(paid) > HOT:
            return
        reached = [[value for when, value in paid if at - width < when <= at] for width in WINDOWS]
        figures = [len(window) for window in reached] + [sum(window) for window in reached]
        if figures != features[: len(figures)]:
            yield f"{event.where}: {payment_id} was measured as {features[: len(figures)]}, and is {figures}"
        frauds = [
            sum(at - width < when <= at for when in self._frauds[event.partition, dimension, key])
            for dimension, key in zip(FRAUD_KEYS, self._keys[payment_id], strict=True)
            for width in WINDOWS
        ]
        said = features[FRAUDS_FROM : FRAUDS_FROM + len(frauds)]
        if said != frauds:
            yield f"{event.where}: {payment_id} knows of {said} frauds under its keys, and there are {frauds}"
        linked = self._linked[event.partition]
        links = self._links.get(event.partition)
        if links is None:
            links = self._links[event.partition] = _links(linked)
        clusters = _touching(linked, links, self._keys[payment_id][: len(LINKING_CARDS)])
        said = features[CLUSTERS_FROM : CLUSTERS_FROM + len(clusters)]
        if said != clusters:
            yield f"{event.where}: {payment_id} was told of clusters as {said}, and they are {clusters}"

    def _count_fraud(self, event: Event) -> None:
        """A label counts from where it stands: under its card, and by its second event under all the rest."""
        body = event.body
        own = event.name == "PaymentLabelled"
        keys = _fraud_keys({"card_id": "", **body})
        for dimension, key in zip(FRAUD_KEYS, keys, strict=True):
            if key and own == dimension.startswith("card"):
                times = self._frauds[event.partition, dimension, key]
                if body["label"] == "fraud":
                    times.append(body["paid_at"])
                elif body["paid_at"] in times:
                    times.remove(body["paid_at"])
        if own:
            return
        linked = self._linked[event.partition]
        self._links.pop(event.partition, None)
        if body["label"] == "fraud":
            day_on = event.meta["recorded_at"] // DAY
            linked.setdefault(body["payment_id"], (day_on, keys[: len(LINKING_CARDS)]))
        else:
            linked.pop(body["payment_id"], None)

    def _forget_linked(self, partition: int, at: int) -> None:
        """What became known more than so many days ago links no more."""
        oldest = at // DAY - LINKING_DAYS
        linked = self._linked[partition]
        for payment in [one for one, (day, _) in linked.items() if day < oldest]:
            del linked[payment]
            self._links.pop(partition, None)


def _links(linked: dict[str, tuple[int, tuple[str, ...]]]) -> dict[tuple[int, str], set[str]]:
    """The frauds under each key that links."""
    under: dict[tuple[int, str], set[str]] = defaultdict(set)
    cards: dict[tuple[int, str], set[str]] = defaultdict(set)
    for payment, (_, own) in linked.items():
        for place, key in enumerate(own):
            if key:
                under[place, key].add(payment)
                cards[place, key] |= {own[0]} - {""}
    return {key: found for key, found in under.items() if len(cards[key]) <= LINKING_CARDS[key[0]]}


def _touching(
    linked: dict[str, tuple[int, tuple[str, ...]]],
    links: dict[tuple[int, str], set[str]],
    keys: tuple[str, ...],
) -> list[int]:
    """By how many keys a payment is linked to frauds, to how many, of how many cards: all of them are walked."""
    count, touched = 0, set[str]()
    for place, key in enumerate(keys):
        reached, new = set[str](), links.get((place, key), set())
        while new:
            reached |= new
            steps = {step for one in new for step in enumerate(linked[one][1])}
            new = set().union(*(links.get(step, set()) for step in steps)) - reached
        if reached and len({linked[one][1][0] for one in reached} - {""}) <= LARGEST_CLUSTER:
            count += 1
            touched |= reached
    return [count, len(touched), len({linked[one][1][0] for one in touched} - {""})]


def _fraud_keys(body: Body) -> tuple[str, ...]:
    card, merchant = body["card_id"], body["merchant"]
    both = f"{card} at {merchant}" if card else ""
    return card, body["ip_ref"], body["device_ref"], body["email_ref"], merchant, both
