"""A champion and its challenger: put into use, asked, replaced, refused."""

from random import Random

import msgspec
import pytest

from events.reference import FraudModel
from events.risk import Mode
from streams.features import modelling
from streams.features.modelling import Models, put, reasons, scores
from streams.features.models import Kind, Model, decode_model, encode_model
from streams.features.profiles import NAMES
from streams.features.scoring import score_of, scorer
from tests.streams.models import number, random_model

ENFORCE, SHADOW = Mode


def published(model: Model, mode: Mode = ENFORCE) -> FraudModel:
    """The reference data of a model."""
    document = encode_model(model)
    return FraudModel(mode, decode_model(document)[1], document)


def profile(seed: int) -> list[int]:
    """What a model might see."""
    chance = Random(seed)
    return [number(chance) for _ in NAMES]


@pytest.mark.parametrize("kind", Kind)
def test_both_are_asked_of_the_same_profile(kind: Kind) -> None:
    """The champion first; what they say is what their models say, through a snapshot."""
    champion, challenger = random_model(Random(1), kind), random_model(Random(2), kind)
    models = Models()
    assert [] == put(models, published(challenger, SHADOW)) == put(models, published(champion))
    models = msgspec.msgpack.decode(msgspec.msgpack.encode(models), type=Models)
    for seed in range(20):
        told = scores(models, profile(seed))
        margins = [scorer(model)(profile(seed)) for model in (champion, challenger)]
        assert [(ENFORCE, margins[0]), (SHADOW, margins[1])] == [(said.mode, said.margin) for said in told]
        assert [score_of(m, margin) for m, margin in zip((champion, challenger), margins, strict=True)] == [
            said.score for said in told
        ]
        why = reasons(models, ENFORCE, profile(seed))
        assert told[0].margin == why.base + sum(one.margin for one in why.contributions)


def test_a_model_is_replaced_and_taken_out_of_use() -> None:
    """By another in the same mode; by one without a document."""
    models = Models()
    first, second = random_model(Random(1)), random_model(Random(2))
    put(models, published(first))
    [before] = scores(models, profile(0))
    put(models, published(second))
    [after] = scores(models, profile(0))
    assert before.model != after.model
    assert published(second).sha256.startswith(after.model)
    assert [] == put(models, FraudModel(ENFORCE, "", ""))
    assert [] == scores(models, profile(0)) == list(modelling.summary(models))


def test_a_model_that_is_not_sound_is_refused_and_the_old_one_stays() -> None:
    """Changed bytes, another hash, features that are not ours."""
    models = Models()
    put(models, published(random_model(Random(1))))
    before = scores(models, profile(0))
    good = published(random_model(Random(2)))
    other = msgspec.structs.replace(random_model(Random(2)), features_sha256="0" * 64)
    with pytest.raises(Exception, match="other definitions"):
        encode_model(other)
    for changed, reason in (
        (
            msgspec.structs.replace(good, document=good.document.replace('"version":1', '"version":2')),
            "sha256",
        ),
        (msgspec.structs.replace(good, sha256="0" * 64), "was asked for, the file holds"),
        (msgspec.structs.replace(good, document="{}"), "this is no model file"),
    ):
        [told] = put(models, changed)
        assert told.startswith("the model in enforce: ")
        assert reason in told
    assert before == scores(models, profile(0))


def test_scorers_are_kept_within_a_bound() -> None:
    """One for each document, made again where it was let go."""
    models = Models()
    first = published(random_model(Random(1)))
    put(models, first)
    said = scores(models, profile(1))
    for seed in range(2 * modelling.MOST_READY):
        other = Models()
        put(other, published(random_model(Random(seed + 10), trees=1)))
        scores(other, profile(1))
    assert len(modelling._READY) == modelling.MOST_READY
    assert said == scores(models, profile(1))
