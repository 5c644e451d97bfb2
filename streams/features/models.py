"""A model as reference data: a JSON document with its own hash, refused where anything about it is not right.

The document is ``{"sha256": ..., "model": {...}}``, the hash over the bytes of the model as they stand. A model names
the features that it was trained on, with the hash of their definitions: on other features its numbers mean nothing.

There are two kinds. A *forest* is a list of complete trees of depth 3, a *scorecard* one weight for each bin of each
feature. The margin of a payment is a sum of whole numbers, in log-odds of fraud with 20 bits behind the point; the
score from 0 to 100 is how many of the model's 100 marks the margin reaches.
"""

from enum import StrEnum
from hashlib import sha256
from itertools import pairwise
from typing import Final

import msgspec

from events.errors import ValidationError
from streams.features.profiles import NAMES, PROFILE_SHA256

FORMAT: Final = 1
DEPTH: Final = 3
NODES: Final = (1 << DEPTH) - 1
LEAVES: Final = 1 << DEPTH
MARKS: Final = 100
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1
SAFE: Final = 1 << 62
"""No sum of a model's numbers may reach this: sums in 64 bits are then exact."""
MOST_TREES, MOST_EDGES = 2_000, 10_000
LONGEST_BYTES: Final = 16 * 1024 * 1024


class Kind(StrEnum):
    """How a model comes to its margin."""

    FOREST = "forest"
    SCORECARD = "scorecard"


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a model."""


class Tree(Document, frozen=True):
    """A complete tree: the children of node i are 2i + 1 and, where the feature exceeds the threshold, 2i + 2.

    ``values`` belong to the 7 inner nodes and then to the 8 leaves. An inner node's value is what the tree would say
    if it ended there; the way from the root adds up to the leaf, so each step is what its feature contributes.
    """

    features: tuple[int, ...]
    thresholds: tuple[int, ...]
    values: tuple[int, ...]


class Bins(Document, frozen=True):
    """A feature in a scorecard: bin i holds what is at least ``edges[i - 1]`` and less than ``edges[i]``."""

    edges: tuple[int, ...]
    weights: tuple[int, ...]


class Shares(Document, frozen=True):
    """How often the training data fell between the edges: what drift is measured against."""

    edges: tuple[int, ...]
    counts: tuple[int, ...]


class Metric(Document, frozen=True):
    """A measured figure, in millionths."""

    name: str
    ppm: int


class Trained(Document, frozen=True):
    """On what: payments in ``[first_at, end_at)``, with the labels known at ``labels_until_at`` (microseconds)."""

    first_at: int
    end_at: int
    labels_until_at: int
    payments: int
    frauds: int


class Model(Document, frozen=True):
    """A trained model. ``features`` are names of the profile; trees and bins count them from 0."""

    format: int
    version: int
    kind: Kind
    features: tuple[str, ...]
    features_sha256: str
    trained: Trained
    base: int
    trees: tuple[Tree, ...]
    bins: tuple[Bins, ...]
    marks: tuple[int, ...]
    feature_shares: tuple[Shares, ...]
    score_shares: Shares
    metrics: tuple[Metric, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    model: msgspec.Raw


# Made before there are threads: see EngineSpec.
_FILE: Final = msgspec.json.Decoder(_File)
_MODEL: Final = msgspec.json.Decoder(Model)


def encode_model(model: Model) -> str:
    """The document of a model; the same model gives the same text."""
    _check(model)
    content = msgspec.json.encode(model, order="deterministic")
    return msgspec.json.encode(_File(sha256(content).hexdigest(), msgspec.Raw(content))).decode()


def decode_model(text: str | bytes, expected_sha256: str = "") -> tuple[Model, str]:
    """The model of a document and its hash; ValidationError says what is wrong with one that cannot be used."""
    if len(text) > LONGEST_BYTES:
        raise ValidationError("model", f"a model file has at most {LONGEST_BYTES:,} bytes")
    try:
        file = _FILE.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValidationError("model", f"this is no model file: {error}") from error
    content = bytes(file.model)
    found = sha256(content).hexdigest()
    if found != file.sha256:
        raise ValidationError("sha256", f"the model was changed or damaged: {file.sha256} became {found}")
    if expected_sha256 not in ("", found):
        raise ValidationError("sha256", f"the model {expected_sha256} was asked for, the file holds {found}")
    try:
        model = _MODEL.decode(content)
    except msgspec.MsgspecError as error:
        raise ValidationError("model", str(error)) from error
    _check(model)
    return model, found


def _check(model: Model) -> None:
    """ValidationError where scoring with the model could go wrong, or would not be what it was trained to be."""
    if model.format != FORMAT:
        raise ValidationError("format", f"{model.format} is not known here; this is for {FORMAT}")
    if unknown := sorted(set(model.features) - set(NAMES)):
        raise ValidationError("features", f"the profile has no {', '.join(unknown)}")
    if not model.features or len(set(model.features)) != len(model.features):
        raise ValidationError("features", "each at least once and none twice")
    if model.features_sha256 != PROFILE_SHA256:
        raise ValidationError(
            "features_sha256", "the model was trained on features with other definitions: train it again"
        )
    if len(model.marks) != MARKS or list(model.marks) != sorted(model.marks):
        raise ValidationError("marks", f"{MARKS} whole numbers that do not descend")
    _in_64_bits("marks", model.marks)
    if len(model.feature_shares) != len(model.features):
        raise ValidationError("feature_shares", "one for each feature")
    for shares in (*model.feature_shares, model.score_shares):
        _ascending("feature_shares", shares.edges)
        if len(shares.counts) != len(shares.edges) + 1 or min(shares.counts) < 0:
            raise ValidationError("feature_shares", "one count more than edges, none negative")
    match model.kind:
        case Kind.FOREST:
            reached = _check_trees(model)
        case Kind.SCORECARD:
            reached = _check_bins(model)
    if abs(model.base) + reached >= SAFE:
        raise ValidationError("base", "the model's sums do not fit into 64 bits")


def _check_trees(model: Model) -> int:
    """How far from 0 the trees' sum may come."""
    if model.bins or not 0 < len(model.trees) <= MOST_TREES:
        raise ValidationError("trees", f"a forest has 1 to {MOST_TREES:,} trees and no bins")
    reached = 0
    for tree in model.trees:
        if (len(tree.features), len(tree.thresholds), len(tree.values)) != (NODES, NODES, NODES + LEAVES):
            raise ValidationError("trees", f"{NODES} features, {NODES} thresholds, {NODES + LEAVES} values")
        if not all(0 <= feature < len(model.features) for feature in tree.features):
            raise ValidationError("trees", "a node asks for a feature that the model does not have")
        _in_64_bits("trees", tree.thresholds)
        reached += max(abs(value) for value in tree.values)
    return reached


def _check_bins(model: Model) -> int:
    """How far from 0 the weights' sum may come."""
    if model.trees or len(model.bins) != len(model.features):
        raise ValidationError("bins", "a scorecard has bins for each feature and no trees")
    reached = 0
    for bins in model.bins:
        _ascending("bins", bins.edges)
        if len(bins.weights) != len(bins.edges) + 1:
            raise ValidationError("bins", "one weight more than edges")
        reached += max(abs(weight) for weight in bins.weights)
    return reached


def _ascending(field: str, edges: tuple[int, ...]) -> None:
    if len(edges) > MOST_EDGES or any(low >= high for low, high in pairwise(edges)):
        raise ValidationError(field, f"at most {MOST_EDGES:,} edges, in ascending order")
    _in_64_bits(field, edges)


def _in_64_bits(field: str, numbers: tuple[int, ...]) -> None:
    if any(not LOWEST <= number <= HIGHEST for number in numbers):
        raise ValidationError(field, "a number does not fit into 64 bits")
