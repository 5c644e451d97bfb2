"""A model file is read when everything about it is right, and refused with the reason otherwise."""

import json
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from events.errors import ValidationError
from streams.features.models import HIGHEST, LONGEST_BYTES, Kind, decode_model, encode_model
from tests.streams.models import random_model


def document(kind: Kind = Kind.FOREST) -> str:
    return encode_model(random_model(Random(1), kind, trees=2))


def resealed(change: dict[str, Any], kind: Kind = Kind.FOREST) -> str:
    """A document with other content and the hash that fits it."""
    model = json.loads(document(kind))["model"] | change
    content = json.dumps(model)
    return f'{{"sha256": "{sha256(content.encode()).hexdigest()}", "model": {content}}}'


@pytest.mark.parametrize("kind", list(Kind))
def test_a_document_is_read_as_it_was_written(kind: Kind) -> None:
    """The same model, the same text, the same hash."""
    model = random_model(Random(2), kind)
    text = encode_model(model)
    read, name = decode_model(text)
    assert (model, text) == (read, encode_model(read))
    assert (read, name) == decode_model(text.encode(), expected_sha256=name)


def test_every_damaged_byte_is_seen() -> None:
    """Cut off anywhere, or one byte changed anywhere, it is no model any more."""
    text = document().encode()
    for place in range(0, len(text), 37):
        other = bytes([text[place] ^ 1])
        for damaged in (text[:place], text[:place] + other + text[place + 1 :]):
            with pytest.raises(ValidationError):
                decode_model(damaged)


def test_another_model_than_asked_for() -> None:
    """Whoever names a hash gets that model or none."""
    with pytest.raises(ValidationError, match=r"sha256: the model 00ff was asked for, the file holds"):
        decode_model(document(), expected_sha256="00ff")


TREE = {"features": [0] * 7, "thresholds": [0] * 7, "values": [0] * 15}
BINS = {"edges": [1], "weights": [0, 1]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "format: 2 is not known here"),
        ({"kind": "oracle"}, "Invalid enum value 'oracle'"),
        ({"more": 1}, "unknown field `more`"),
        ({"base": 0.5}, "Expected `int`"),
        ({"base": "NaN"}, "Expected `int`"),
        ({"base": 1 << 62}, "base: the model's sums do not fit into 64 bits"),
        ({"features": ["moon_phase"]}, "features: the profile has no moon_phase"),
        ({"features": []}, "features: each at least once"),
        (
            {"features_sha256": "0" * 64},
            "features_sha256: the model was trained on features with other definitions",
        ),
        ({"marks": [0] * 99}, "marks: 100 whole numbers"),
        ({"marks": [1, *[0] * 99]}, "marks: 100 whole numbers that do not descend"),
        ({"marks": [*[0] * 99, 1 << 63]}, "marks: a number does not fit into 64 bits"),
        ({"feature_shares": []}, "feature_shares: one for each feature"),
        ({"score_shares": {"edges": [1], "counts": [1]}}, "feature_shares: one count more than edges"),
        ({"trees": []}, "trees: a forest has 1 to"),
        ({"bins": [BINS]}, "trees: a forest has 1 to"),
        ({"trees": [TREE | {"features": [0] * 6}]}, "trees: 7 features, 7 thresholds, 15 values"),
        (
            {"trees": [TREE | {"features": [12] * 7}]},
            "trees: a node asks for a feature that the model does not",
        ),
        ({"trees": [TREE | {"thresholds": [HIGHEST + 1] * 7}]}, "trees: a number does not fit into 64 bits"),
        ({"trees": [TREE | {"values": [1 << 61] * 15}] * 2}, "base: the model's sums do not fit"),
    ],
)
def test_a_forest_that_could_go_wrong_is_refused(change: dict[str, Any], reason: str) -> None:
    """Even when its hash is right."""
    with pytest.raises(ValidationError) as refused:
        decode_model(resealed(change))
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("bins", "reason"),
    [
        ([], "bins: a scorecard has bins for each feature"),
        ([BINS | {"edges": [2, 2], "weights": [0] * 3}], "bins: at most 10,000 edges, in ascending order"),
        ([BINS | {"weights": [0]}], "bins: one weight more than edges"),
        ([BINS | {"weights": [0, 1 << 62]}], "base: the model's sums do not fit"),
    ],
)
def test_a_scorecard_that_could_go_wrong_is_refused(bins: list[Any], reason: str) -> None:
    """The same for bins."""
    features = json.loads(document(Kind.SCORECARD))["model"]["features"]
    with pytest.raises(ValidationError) as refused:
        decode_model(resealed({"bins": bins * len(features)}, Kind.SCORECARD))
    assert reason in str(refused.value)


@pytest.mark.parametrize("text", ["", "{}", "[]", "model", '{"sha256": "", "model": null}', b"\xff\xfe"])
def test_what_is_no_model_file(text: str | bytes) -> None:
    """Anything else that somebody may name by mistake."""
    with pytest.raises(ValidationError):
        decode_model(text)


def test_a_file_beyond_every_measure_is_not_read() -> None:
    """Before anything of it is looked at."""
    with pytest.raises(ValidationError, match="at most"):
        decode_model(" " * (LONGEST_BYTES + 1))
