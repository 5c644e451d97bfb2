"""The models in use: the champion, whose score rules read, and a challenger in shadow.

Both are reference data. A state keeps their documents alone; what scores with them is made when it is first asked for
and kept beside the states by the document's hash, a pure function of it. A document that is not sound (changed bytes,
other features or other definitions of them, sums that could leave 64 bits) is refused, and what was in use stays.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from events.errors import ValidationError
from events.reference import FraudModel
from events.risk import Mode, ModelScore
from streams.features.models import Model, decode_model
from streams.features.scoring import Assessment, Margin, assess, score_of, scorer

MOST_READY: Final = 16
"""Scorers that a process keeps; one more lets go of the oldest."""
NAMED_BY: Final = 16
"""Letters of a model's SHA-256 that name it in a verdict."""


class Models(msgspec.Struct):
    """The documents in use, by what they are for, and their hashes. "" is none."""

    documents: dict[Mode, str] = {}
    hashes: dict[Mode, str] = {}


class Ready(NamedTuple):
    """A model that can be asked; ``name`` is what verdicts call it."""

    model: Model
    name: str
    margin: Margin


def put(models: Models, content: FraudModel) -> list[str]:
    """Put a model into use, or (without a document) out of use; what was refused, in words."""
    if not content.document:
        models.documents.pop(content.mode, None)
        models.hashes.pop(content.mode, None)
        return []
    try:
        _, found = decode_model(content.document, content.sha256)
    except ValidationError as error:
        return [f"the model in {content.mode}: {error}"]
    models.documents[content.mode] = content.document
    models.hashes[content.mode] = found
    return []


def scores(models: Models, profile: list[int]) -> list[ModelScore]:
    """What each model in use says of a payment, the champion first."""
    found = []
    for mode in _MODES:
        sha256 = models.hashes.get(mode)
        if sha256 is not None:
            ready = _READY.get(sha256) or _prepared(models, mode)
            margin = ready.margin(profile)
            found.append(
                ModelScore(ready.name, ready.model.version, mode, score_of(ready.model, margin), margin)
            )
    return found


def reasons(models: Models, mode: Mode, profile: list[int]) -> Assessment:
    """Where the score of a model in use comes from, in words: for those payments that somebody looks at."""
    return assess(_prepared(models, mode).model, profile)


def summary(models: Models) -> Iterator[str]:
    """The models in use, by their hashes."""
    for mode in Mode:
        if mode in models.hashes:
            yield f"model {mode} {models.hashes[mode]}"


#: The champion first. Going through the enumeration itself takes ten times as long.
_MODES: Final = tuple(Mode)
_READY: Final[dict[str, Ready]] = {}


def _prepared(models: Models, mode: Mode) -> Ready:
    sha256 = models.hashes[mode]
    found = _READY.get(sha256)
    if found is None:
        model, _ = decode_model(models.documents[mode], sha256)
        while len(_READY) >= MOST_READY:
            del _READY[next(iter(_READY))]
        found = _READY[sha256] = Ready(model, sha256[:NAMED_BY], scorer(model))
    return found
