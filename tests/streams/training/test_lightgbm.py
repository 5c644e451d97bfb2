"""A forest of LightGBM's, taken over: it says what LightGBM says, and what cannot be taken over is refused.

``lightgbm/forest.txt`` was trained by LightGBM 4.7.0 on the vectors of ``made_up()`` (`tallystick model vectors`,
labels after three days) with ``objective=binary max_depth=3 num_leaves=8``, ``deep.txt`` without the limit of depth;
``expected.json`` has vectors and what ``predict(raw_score=True)`` said of them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest

from events.errors import ValidationError
from streams.features.models import HIGHEST, LOWEST, Model
from streams.features.profiles import NAMES
from streams.features.scoring import assess, scorer
from streams.training.batches import margins
from streams.training.fitting import taken_over
from streams.training.lightgbm import read
from tests.streams.training.histories import made_up

FOLDER: Final = Path(__file__).parent / "lightgbm"
FOREST: Final = (FOLDER / "forest.txt").read_text("utf-8")
ONE: Final = 1 << 20


class Expected(msgspec.Struct, frozen=True):
    """What LightGBM says."""

    vectors: list[list[int]]
    margins: list[float]


@pytest.fixture(scope="module")
def expected() -> Expected:
    """Of frauds and of others."""
    return msgspec.json.decode((FOLDER / "expected.json").read_bytes(), type=Expected)


@pytest.fixture(scope="module")
def model() -> Model:
    """The forest as a model of ours."""
    history = made_up()
    vectors = np.zeros((len(history.at), len(NAMES)), np.int64)
    return taken_over(read(FOREST), history, vectors, slice(0, 2_000), int(history.at[-1]), 7)


def test_it_says_what_lightgbm_says(model: Model, expected: Expected) -> None:
    """To a rounding of each tree's leaf; one by one and in batches the same bits, and the contributions add up."""
    assert len(expected.margins) > 40
    assert max(expected.margins) - min(expected.margins) > 1
    ask = scorer(model)
    ours = [ask(vector) for vector in expected.vectors]
    assert margins(model, np.array(expected.vectors, np.int64)).tolist() == ours
    for vector, margin, theirs in zip(expected.vectors, ours, expected.margins, strict=True):
        assert abs(margin - theirs * ONE) <= len(model.trees) / 2 + 1
        told = assess(model, vector)
        assert told.margin == margin == told.base + sum(share.margin for share in told.contributions)


def test_features_in_another_order_are_found_by_name() -> None:
    """What a program calls column 3 is no business of ours."""
    about = FOREST.splitlines()
    (line,) = (line for line in about if line.startswith("feature_names="))
    turned = "feature_names=" + " ".join(reversed(line.partition("=")[2].split()))
    history = made_up()
    vectors = np.zeros((len(history.at), len(NAMES)), np.int64)
    plain, other = (
        taken_over(read(text), history, vectors, slice(0, 2_000), 0, 1)
        for text in (FOREST, FOREST.replace(line, turned))
    )
    last = len(NAMES) - 1
    for ours, theirs in zip(plain.trees, other.trees, strict=True):
        assert [last - feature for feature in ours.features] == list(theirs.features)


def test_a_tree_that_says_one_thing_says_it_of_everything() -> None:
    """LightGBM writes such a tree where nothing is left to split."""
    head = FOREST.partition("\nTree=")[0]
    (tree,) = read(f"{head}\nTree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=-1.5\n\nend of trees\n").trees
    assert {-ONE - ONE // 2} == set(tree.values)
    assert {HIGHEST} == set(tree.thresholds)


@pytest.mark.parametrize(
    ("text", "threshold"), [("1e300", HIGHEST), ("-inf", LOWEST), ("-0.5", -1), ("7", 7)]
)
def test_thresholds_are_rounded_down(text: str, threshold: int) -> None:
    """A whole number exceeds what it exceeds, however the threshold was written."""
    assert threshold == read(FOREST.replace("848650.00000000012", text)).trees[0].thresholds[0]


REFUSED: Final[dict[str, tuple[Callable[[str], str], str]]] = {
    "no model": (lambda _: "tree\nversion=v4\n", "no whole model file"),
    "cut off": (lambda text: text[: len(text) // 2], "no whole model file"),
    "of prices": (
        lambda text: text.replace("objective=binary sigmoid:1", "objective=regression"),
        "its objective is",
    ),
    "other features": (
        lambda text: text.replace("amount_ratio", "shoe_size"),
        "the profile has no shoe_size",
    ),
    "too deep": (lambda _: (FOLDER / "deep.txt").read_text("utf-8"), "asks more than 3 questions"),
    "categories": (
        lambda text: text.replace("decision_type=2 2", "decision_type=1 2", 1),
        "categories apart",
    ),
    "zeros": (
        lambda text: text.replace("decision_type=2 2", "decision_type=6 2", 1),
        "zero_as_missing=false",
    ),
    "linear": (lambda text: text.replace("is_linear=0", "is_linear=1", 1), "linear leaves"),
    "garbled": (
        lambda text: text.replace("leaf_value=-2.2343", "leaf_value=-2.2x43"),
        "cannot be read: ValueError",
    ),
    "not a number": (
        lambda text: text.replace("leaf_value=-2.2343429383065434", "leaf_value=nan"),
        "cannot be read: ValueError",
    ),
    "a leaf too few": (lambda text: text.replace("num_leaves=8", "num_leaves=9", 1), "8 leaves and says 9"),
    "a circle": (lambda text: text.replace("left_child=2 3", "left_child=2 0", 1), "is no tree"),
    "a way to nowhere": (
        lambda text: text.replace("left_child=2 3", "left_child=2 99", 1),
        "which it does not have",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_over_is_refused(name: str) -> None:
    """With what about it, and what to do."""
    change, complaint = REFUSED[name]
    changed = change(FOREST)
    assert changed != FOREST
    with pytest.raises(ValidationError, match=complaint):
        read(changed)
