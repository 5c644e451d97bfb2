"""Clusters: payments known to be fraud that hang together by what they share, and which of them a payment touches.

    two frauds are linked when they share a card, or an address, a device or an e-mail address that links;
    a key links while no more than MOST_CARDS[its kind] different cards stand under it, a card always does;
    a cluster is what can be reached from one fraud by links

So the clusters are a function of the set of frauds, whatever the order in which they became known, and one that is
taken back takes its links with it. What an office, a mobile operator or a shop's own terminal shares with everybody
joins nobody: such a key is still counted for itself (``ip.frauds_W``). A cluster of more than :data:`MOST_TOLD` cards
tells nothing about any of them and is left out of what is measured.

A fraud is known here from the tick on at which every partition is told of it (:mod:`streams.features.labels`), so the
clusters are the same in every partition. It stays for :data:`KEPT_DAYS` days of logical time. Its keys are those that
its label names: of a payment that no window reached any more when it was labelled (30 days) the card alone.

A fraud joins the larger of two clusters to which it belongs, which moves a payment at most log2(n) times; what is taken
back, forgotten, or beyond its number of cards has its own cluster walked through again, and no other.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from streams.features.days import Day, before, forget, put_aside

KINDS: Final = ("card", "ip", "device", "email")
"""What links, in the order of velocity's dimensions."""
MOST_CARDS: Final = (1, 16, 64, 64)
"""From how many different cards on a key of a kind links no more: more people share an address than a device."""
MOST_TOLD: Final = 1_000
"""The number of cards beyond which a cluster says nothing."""
KEPT_DAYS: Final = 180
"""How many days a fraud links: as long as its payment can be disputed."""

COLUMNS: Final = ("cluster.linked", "cluster.frauds", "cluster.cards")
"""The names of the values of :func:`measure`, as rules call them."""

Keys = tuple[str, str, str, str]
"""Keys in the order of :data:`KINDS`, "" for one that a payment has not."""

_NOTHING: Final = (0, 0, 0)


class Fraud(msgspec.Struct, gc=False):
    """A payment known to be fraud: its keys, the day since which it is known here, the cluster it is in."""

    keys: Keys
    day_on: int
    cluster: str = ""


class Node(msgspec.Struct):
    """A key: the frauds under it, and how many of them each card has."""

    frauds: dict[str, bool] = {}
    cards: dict[str, int] = {}


class Cluster(msgspec.Struct):
    """The frauds of a cluster. A card always links, so none is in two clusters, and their numbers add up."""

    frauds: list[str] = []
    cards: int = 0


class Clusters(msgspec.Struct):
    """The frauds that link, by payment and by key; clusters by a number that is given once; frauds by their days."""

    frauds: dict[str, Fraud] = {}
    nodes: tuple[dict[str, Node], dict[str, Node], dict[str, Node], dict[str, Node]] = msgspec.field(
        default_factory=lambda: ({}, {}, {}, {})
    )
    clusters: dict[str, Cluster] = {}
    given: int = 0
    days: list[Day] = []


# --- what is known ----------------------------------------------------------------------------------------


def add(found: Clusters, payment_id: str, keys: Keys, day_on: int) -> None:
    """Know a payment to be fraud from a day on, which is not before the last one; nothing new where it is known."""
    if payment_id in found.frauds:
        return
    put_aside(found.days, day_on, payment_id)
    found.frauds[payment_id] = Fraud(keys, day_on)
    joined: dict[str, bool] = {}
    broken = False
    for place, key in enumerate(keys):
        if not key:
            continue
        node = found.nodes[place].get(key)
        if node is None:
            node = found.nodes[place][key] = Node()
        elif _links(place, node):
            joined[_cluster_under(found, node)] = True
        linked = _links(place, node)
        node.frauds[payment_id] = True
        if keys[0]:
            node.cards[keys[0]] = node.cards.get(keys[0], 0) + 1
        broken = broken or (linked and not _links(place, node))
    largest = _join(found, joined)
    cluster = found.clusters[largest]
    cluster.frauds.append(payment_id)
    found.frauds[payment_id].cluster = largest
    if keys[0] and len(found.nodes[0][keys[0]].frauds) == 1:
        cluster.cards += 1
    if broken:
        _walk_again(found, {largest: True})


def take_back(found: Clusters, payment_ids: Iterable[str]) -> None:
    """Payments are not, or no longer, known to be fraud; what is unknown is passed over."""
    touched: dict[str, bool] = {}
    healed: list[Node] = []
    for payment_id in payment_ids:
        fraud = found.frauds.pop(payment_id, None)
        if fraud is None:
            continue
        touched[fraud.cluster] = True
        for place, key in enumerate(fraud.keys):
            if key:
                node = found.nodes[place][key]
                linked = _links(place, node)
                _leave(node, payment_id, fraud.keys[0])
                if not node.frauds:
                    del found.nodes[place][key]
                elif not linked and _links(place, node):
                    healed.append(node)
    # A key that links again joins what stands under it, which lay in clusters of its own until now.
    touched |= {found.frauds[name].cluster: True for node in healed for name in node.frauds}
    _walk_again(found, touched)


def _leave(node: Node, payment_id: str, card: str) -> None:
    del node.frauds[payment_id]
    if card:
        node.cards[card] -= 1
        if not node.cards[card]:
            del node.cards[card]


def stale_days(found: Clusters, today: int) -> Iterator[int]:
    """The days whose frauds link no more."""
    return before(found.days, today - KEPT_DAYS)


def forget_day(found: Clusters, day_on: int) -> None:
    """Let the frauds of a day go; one that was taken back and known again since is of another day."""
    take_back(found, [name for name in forget(found.days, day_on) if _is_of(found, name, day_on)])


def _is_of(found: Clusters, payment_id: str, day_on: int) -> bool:
    fraud = found.frauds.get(payment_id)
    return fraud is not None and fraud.day_on == day_on


# --- what a payment touches -------------------------------------------------------------------------------


def measure(found: Clusters, keys: tuple[str, ...]) -> tuple[int, int, int]:
    """The values of :data:`COLUMNS`: by how many of its keys a payment is linked, to how many frauds and cards."""
    linked, names = _touched(found, keys)
    if not linked:
        return _NOTHING
    clusters = [found.clusters[name] for name in names]
    return (
        linked,
        sum(len(cluster.frauds) for cluster in clusters),
        sum(cluster.cards for cluster in clusters),
    )


def touched(found: Clusters, keys: tuple[str, ...]) -> list[str]:
    """The frauds of the clusters that a payment with these keys touches, sorted."""
    _, names = _touched(found, keys)
    return sorted(payment_id for name in names for payment_id in found.clusters[name].frauds)


def _touched(found: Clusters, keys: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """By how many keys, and the names of the clusters."""
    linked = 0
    names: tuple[str, ...] = ()
    for place, node in enumerate(map(dict.get, found.nodes, keys)):
        if node is None or not _links(place, node):
            continue
        name = _cluster_under(found, node)
        if found.clusters[name].cards > MOST_TOLD:
            continue
        linked += 1
        if name not in names:
            names += (name,)
    return linked, names


def components(found: Clusters) -> list[list[str]]:
    """Every cluster as the sorted ids of its frauds, in order."""
    return sorted(sorted(cluster.frauds) for cluster in found.clusters.values())


# --- clusters ---------------------------------------------------------------------------------------------


def _links(place: int, node: Node) -> bool:
    return len(node.cards) <= MOST_CARDS[place]


def _cluster_under(found: Clusters, node: Node) -> str:
    """The cluster of a key that links: all frauds under it are of the same."""
    return found.frauds[next(iter(node.frauds))].cluster


def _new(found: Clusters) -> str:
    found.given += 1
    name = str(found.given)
    found.clusters[name] = Cluster()
    return name


def _join(found: Clusters, names: dict[str, bool]) -> str:
    """One cluster of these, and its name: the smaller ones move into the largest."""
    if not names:
        return _new(found)
    largest = max(names, key=lambda name: len(found.clusters[name].frauds))
    into = found.clusters[largest]
    for name in names:
        if name != largest:
            cluster = found.clusters.pop(name)
            into.frauds += cluster.frauds
            into.cards += cluster.cards
            for payment_id in cluster.frauds:
                found.frauds[payment_id].cluster = largest
    return largest


def _walk_again(found: Clusters, names: dict[str, bool]) -> None:
    """Find the clusters again among the frauds of these."""
    members = [name for cluster in names for name in found.clusters.pop(cluster).frauds]
    left = {name: True for name in members if name in found.frauds}
    seen: set[tuple[int, str]] = set()
    for start in left:
        if left[start]:
            _walk(found, start, left, seen)


def _walk(found: Clusters, start: str, left: dict[str, bool], seen: set[tuple[int, str]]) -> None:
    """Make a new cluster of all that can be reached from a fraud."""
    name = _new(found)
    cluster = found.clusters[name]
    left[start] = False
    reached = [start]
    while reached:
        payment_id = reached.pop()
        fraud = found.frauds[payment_id]
        fraud.cluster = name
        cluster.frauds.append(payment_id)
        for place, key in enumerate(fraud.keys):
            if not key or (place, key) in seen:
                continue
            seen.add((place, key))
            node = found.nodes[place][key]
            if place == 0:
                cluster.cards += 1
            if not _links(place, node):
                continue
            for other in node.frauds:
                if left[other]:
                    left[other] = False
                    reached.append(other)
