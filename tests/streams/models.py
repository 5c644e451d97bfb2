"""Models with random numbers in them, to be asked about random payments."""

from random import Random
from typing import Any

import msgspec

from events.reference import OnlineModel
from events.risk import Mode
from streams.features.logistic import ONE
from streams.features.models import (
    FORMAT,
    HIGHEST,
    LOWEST,
    MARKS,
    Bins,
    Kind,
    Model,
    Shares,
    Trained,
    Tree,
    encode_model,
)
from streams.features.profiles import NAMES, PROFILE_SHA256
from streams.training.measures import plain_marks

EXTREMES = (LOWEST, LOWEST + 1, -1, 0, 1, HIGHEST - 1, HIGHEST)


def number(random: Random) -> int:
    """Any 64-bit number: an extreme one, a small one, or one of any length."""
    return random.choice(
        (random.choice(EXTREMES), random.randint(-9, 9), random.getrandbits(random.randint(1, 63)))
    )


def random_model(random: Random, kind: Kind = Kind.FOREST, trees: int = 20) -> Model:
    """A model that passes every check."""
    features = tuple(random.sample(NAMES, random.randint(1, len(NAMES))))
    forest = tuple(
        Tree(
            tuple(random.randrange(len(features)) for _ in range(7)),
            tuple(number(random) for _ in range(7)),
            tuple(random.randint(-(1 << 40), 1 << 40) for _ in range(15)),
        )
        for _ in range(trees)
    )
    cards = []
    for _ in features:
        edges = sorted({number(random) for _ in range(random.randint(0, 12))})
        cards.append(
            Bins(tuple(edges), tuple(random.randint(-(1 << 30), 1 << 30) for _ in range(len(edges) + 1)))
        )
    return Model(
        format=FORMAT,
        version=1,
        kind=kind,
        features=features,
        features_sha256=PROFILE_SHA256,
        trained=Trained(0, 1, 2, 100, 1),
        base=random.randint(-(1 << 30), 1 << 30),
        trees=forest if kind is Kind.FOREST else (),
        bins=tuple(cards) if kind is Kind.SCORECARD else (),
        marks=tuple(sorted(random.randint(-(1 << 40), 1 << 40) for _ in range(MARKS))),
        feature_shares=tuple(Shares((1, 5), (10, 5, 1)) for _ in features),
        score_shares=Shares((1, 50), (90, 9, 1)),
        metrics=(),
    )


def trained_scorecard(seed: int = 1) -> Model:
    """A scorecard of all features that can go on learning; bins wide enough that few payments fill many of them."""
    chance = Random(seed)
    edges = (1, 3, 256, 768, 5_000, 15_000, 25_000, 35_000, 30_000_000)
    bins = tuple(
        Bins(edges, tuple(chance.randint(-ONE // 4, ONE // 4) for _ in range(len(edges) + 1))) for _ in NAMES
    )
    return msgspec.structs.replace(
        random_model(chance, Kind.SCORECARD),
        features=NAMES,
        base=-2 * ONE,
        bins=bins,
        marks=plain_marks(),
        feature_shares=tuple(Shares((1, 5), (10, 5, 1)) for _ in NAMES),
    )


def learner(model: Model | None = None, **changes: Any) -> OnlineModel:
    """A scorecard as reference data that learns; of three payments that nobody labels, one after two days."""
    found = OnlineModel(Mode.ENFORCE, "", encode_model(model or trained_scorecard()), 3, 2)
    return msgspec.structs.replace(found, **changes)
