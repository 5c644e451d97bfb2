"""Clusters are what the definition says, in whatever order frauds become known, go back, and are forgotten."""

from random import Random

import msgspec
import pytest

from streams.features import clusters
from streams.features.clusters import KEPT_DAYS, MOST_CARDS, MOST_TOLD, Clusters, Keys

Known = dict[str, tuple[int, Keys]]


def links(known: Known, place: int, key: str) -> bool:
    """By the definition: not too many different cards under it."""
    cards = {keys[0] for _, keys in known.values() if keys[place] == key} - {""}
    return len(cards) <= MOST_CARDS[place]


def looked_up(known: Known) -> list[list[str]]:
    """Every cluster, by joining pairs until nothing changes any more."""
    linking = {
        (place, key): links(known, place, key)
        for _, keys in known.values()
        for place, key in enumerate(keys)
        if key
    }
    group = {name: name for name in known}
    for one in sorted(known):
        for other in sorted(known):
            pairs = zip(known[one][1], known[other][1], strict=True)
            if any(key and key == same and linking[place, key] for place, (key, same) in enumerate(pairs)):
                old, new = group[other], group[one]
                group = {name: new if was == old else was for name, was in group.items()}
    found: dict[str, list[str]] = {}
    for name in sorted(known):
        found.setdefault(group[name], []).append(name)
    return sorted(found.values())


def measured(known: Known, keys: Keys) -> tuple[int, int, int]:
    """What a payment with these keys touches, by the definition."""
    linked, frauds = 0, set[str]()
    together = looked_up(known)
    for place, key in enumerate(keys):
        under = {name for name, (_, own) in known.items() if key and own[place] == key}
        if under and links(known, place, key):
            linked += 1
            frauds |= {name for cluster in together if under & set(cluster) for name in cluster}
    return linked, len(frauds), len({known[name][1][0] for name in frauds} - {""})


@pytest.mark.parametrize("seed", range(6))
def test_clusters_are_what_can_be_reached(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few keys and few cards for a link, so that clusters join, break and heal; snapshots in the midst of it."""
    monkeypatch.setattr(clusters, "MOST_CARDS", (1, 2, 3, 3))
    monkeypatch.setitem(globals(), "MOST_CARDS", (1, 2, 3, 3))
    chance = Random(seed)
    found, known, day = Clusters(), Known(), 20_000
    largest = back = 0

    def draw() -> Keys:
        def key(kind: str, of: int) -> str:
            number = chance.randrange(of + 2)
            return f"{kind}-{number}" if number < of else ""

        return key("card", 16), key("ip", 9), key("device", 12), key("mail", 12)

    for number in range(220):
        day += chance.choice([0, 0, 1, 4])
        for stale in list(clusters.stale_days(found, day)):
            clusters.forget_day(found, stale)
        known = {name: one for name, one in known.items() if one[0] >= day - KEPT_DAYS}
        if known and chance.random() < 0.35:
            name = chance.choice([*sorted(known), "nobody"])
            known.pop(name, None)
            clusters.take_back(found, (name,))
            back += 1
        else:
            name = f"p{number if chance.random() < 0.9 else chance.randrange(number + 1):03d}"
            keys = draw()
            clusters.add(found, name, keys, day)
            known.setdefault(name, (day, keys))
        if number % 3 == 0:
            found = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Clusters)
        together = looked_up(known)
        assert together == clusters.components(found)
        assert [len({known[one][1][0] for one in cluster} - {""}) for cluster in together] == [
            cluster.cards for cluster in sorted(found.clusters.values(), key=lambda one: sorted(one.frauds))
        ]
        asked = draw()
        assert measured(known, asked) == clusters.measure(found, asked)
        largest = max(largest, *map(len, together), 0)
    assert largest > 8
    assert back > 40


def test_the_order_does_not_matter() -> None:
    """The same frauds in another order, with others between them that were taken back, are the same clusters."""
    chance = Random(5)
    frauds = [
        (f"p{n}", (f"c{n % 45}", f"ip-{chance.randrange(40)}", f"d{chance.randrange(40)}", ""))
        for n in range(60)
    ]
    first, second = Clusters(), Clusters()
    for name, keys in frauds:
        clusters.add(first, name, keys, 1)
    chance.shuffle(frauds)
    for name, keys in frauds:
        clusters.add(second, f"not-{name}", (f"other-{name}", *keys[1:]), 1)
        clusters.add(second, name, keys, 1)
    clusters.take_back(second, [f"not-{name}" for name, _ in frauds])
    assert clusters.components(first) == clusters.components(second)
    assert len(clusters.components(first)) > 1


def office(cards: int, place: int) -> Clusters:
    """So many cards, one fraud each, under one key of a kind."""
    found = Clusters()
    for number in range(cards):
        keys = [f"card-{number}", "", "", ""]
        keys[place] = "shared"
        clusters.add(found, f"p{number:04d}", (keys[0], keys[1], keys[2], keys[3]), 1)
    return found


@pytest.mark.parametrize("place", [1, 2, 3])
def test_what_everybody_shares_links_nobody(place: int) -> None:
    """One card more than there may be, and the key links none of them; one back, and it links all the others again."""
    most = MOST_CARDS[place]
    asked = ("", *("shared" if place == kind else "" for kind in (1, 2, 3)))
    found = office(most, place)
    assert (1, most, most) == clusters.measure(found, asked)
    found = office(most + 1, place)
    assert (0, 0, 0) == clusters.measure(found, asked)
    assert most + 1 == len(clusters.components(found))
    clusters.take_back(found, ["p0000"])
    assert (1, most, most) == clusters.measure(found, asked)


def test_a_very_large_cluster_says_nothing() -> None:
    """Cards in a row, two on a device: up to the most it is told, beyond it not."""
    found = Clusters()
    for number in range(MOST_TOLD + 1):
        keys = (f"card-{number // 2}", "", f"phone-{(number + 1) // 2}", "")
        clusters.add(found, f"a{number}", keys, 1)
    assert 1 == len(found.clusters)
    cards = found.clusters[next(iter(found.clusters))].cards
    assert (1, MOST_TOLD + 1, cards) == clusters.measure(found, ("card-0", "", "", ""))
    for number in range(MOST_TOLD + 1, 2 * MOST_TOLD + 1):
        keys = (f"card-{number // 2}", "", f"phone-{(number + 1) // 2}", "")
        clusters.add(found, f"a{number}", keys, 1)
    assert MOST_TOLD < found.clusters[next(iter(found.clusters))].cards
    assert (0, 0, 0) == clusters.measure(found, ("card-0", "", "", ""))


def test_nothing_is_kept_of_what_is_forgotten() -> None:
    """A fraud that was taken back and is known again stays until its own day is over."""
    found = Clusters()
    keys = ("card", "ip", "device", "mail")
    clusters.add(found, "one", keys, 100)
    clusters.add(found, "two", keys, 100)
    clusters.take_back(found, ["one"])
    clusters.add(found, "one", keys, 101)
    today = 100 + KEPT_DAYS + 1
    assert [100] == list(clusters.stale_days(found, today))
    clusters.forget_day(found, 100)
    assert [["one"]] == clusters.components(found)
    clusters.forget_day(found, 101)
    assert ({}, ({}, {}, {}, {}), {}, []) == (found.frauds, found.nodes, found.clusters, found.days)
