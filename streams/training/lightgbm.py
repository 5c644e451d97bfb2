"""A forest that LightGBM has trained, from the text of its model file to one of ours.

The format is that of ``Booster.save_model`` (LightGBM v3 and v4: ``src/io/tree.cpp``, ``Tree::ToString``, and
``gbdt_model_text.cpp``). A node sends a value right where it exceeds the threshold; child ``-1 - n`` is leaf n. Ours
asks whole numbers, so a threshold is rounded down and decides the same. What a leaf adds, in log-odds, is rounded to
20 bits behind the point: the margin of a hundred trees is within 2**-14 of LightGBM's own.

LightGBM itself is not needed. What its trees can do and ours cannot is refused: more than three questions on a way,
categories, linear leaves, missing values by a way of their own, other objectives than the log-odds of two classes.
"""

from collections.abc import Mapping
from math import floor, isfinite
from typing import Final, NamedTuple

from events.errors import ValidationError
from streams.features.models import DEPTH, HIGHEST, LEAVES, LOWEST, MOST_TREES, NODES, Tree
from streams.features.profiles import NAMES

LONGEST: Final = 16 * 1024 * 1024
_ONE: Final = 1 << 20
_CATEGORY, _MISSING = 1, 12
_MISSING_ZERO: Final = 4


class Read(NamedTuple):
    """What a model file holds: the features that it was trained on, in its order, and its trees."""

    features: tuple[str, ...]
    trees: tuple[Tree, ...]


def read(text: str) -> Read:
    """The forest of a model file. ValidationError says what about it cannot be taken over, and what to do."""
    if len(text) > LONGEST:
        raise _refused(f"a model file has at most {LONGEST:,} characters")
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    if "\nend of trees" not in text or not blocks:
        raise _refused("this is no whole model file of LightGBM: save it by Booster.save_model")
    about = _fields(head)
    objective = about.get("objective", "")
    if objective.split(" ")[0] != "binary" or "sigmoid:1" not in objective.split(" "):
        raise _refused(f"its objective is {objective!r}; train with objective=binary and sigmoid=1")
    features = tuple(about.get("feature_names", "").split())
    if unknown := sorted(set(features) - set(NAMES)):
        raise _refused(
            f"the profile has no {', '.join(unknown)}; `tallystick model vectors` writes its features"
        )
    if len(blocks) > MOST_TREES:
        raise _refused(f"{len(blocks):,} trees; {MOST_TREES:,} are the most")
    return Read(
        features, tuple(_tree(number, _fields(block), features) for number, block in enumerate(blocks))
    )


class _Node(NamedTuple):
    """An inner node, or a leaf: one without a feature."""

    value: int
    feature: int = -1
    threshold: int = HIGHEST
    left: int = 0
    right: int = 0


def _tree(number: int, fields: Mapping[str, str], features: tuple[str, ...]) -> Tree:
    """One of ours: complete, so that a leaf that comes early is asked something that all values answer alike."""
    if fields.get("num_cat", "0") != "0" or fields.get("is_linear", "0") != "0":
        raise _refused(f"tree {number} has categories or linear leaves; train without them")
    try:
        nodes, root = _nodes(fields, number)
    except (ValueError, OverflowError, KeyError) as error:
        raise _refused(f"tree {number} cannot be read: {type(error).__name__}") from error
    asked, thresholds, values = [0] * NODES, [HIGHEST] * NODES, [0] * (NODES + LEAVES)

    def put(place: int, at: int) -> None:
        node = nodes[at]
        values[place] = node.value
        if node.feature < 0:
            if place < NODES:  # nothing exceeds the highest threshold, so only the left way is ever gone
                put(2 * place + 1, at)
                put(2 * place + 2, at)
            return
        if place >= NODES:
            raise _refused(f"tree {number} asks more than {DEPTH} questions; train with max_depth={DEPTH}")
        if not node.feature < len(features):
            raise _refused(f"tree {number} asks for a feature that the file does not name")
        asked[place], thresholds[place] = node.feature, node.threshold
        put(2 * place + 1, node.left)
        put(2 * place + 2, node.right)

    put(0, root)
    return Tree(tuple(asked), tuple(thresholds), tuple(values))


def _nodes(fields: Mapping[str, str], number: int) -> tuple[dict[int, _Node], int]:
    """The nodes by LightGBM's numbers, leaf n as -1 - n, and the root's."""
    leaves = [_fixed(text) for text in fields["leaf_value"].split()]
    nodes = {-1 - leaf: _Node(value) for leaf, value in enumerate(leaves)}
    if len(leaves) != int(fields["num_leaves"]):
        raise _refused(f"tree {number} has {len(leaves)} leaves and says {fields['num_leaves']}")
    if len(leaves) == 1:
        return nodes, -1
    columns = ("split_feature", "threshold", "decision_type", "left_child", "right_child", "internal_value")
    rows = list(zip(*(fields[name].split() for name in columns), strict=True))
    for at, (feature, threshold, kind, left, right, value) in enumerate(rows):
        if int(kind) & _CATEGORY or int(kind) & _MISSING == _MISSING_ZERO:
            raise _refused(f"tree {number} takes zeros or categories apart; train with zero_as_missing=false")
        below = {int(left), int(right)}
        # Children come behind their parents, so no way leads round in a circle.
        if len(below) != 2 or any(child <= at if child >= 0 else child not in nodes for child in below):
            raise _refused(f"tree {number} is no tree: node {at} leads to {left} and {right}")
        if max(below) >= len(rows):
            raise _refused(f"tree {number} leads to node {max(below)}, which it does not have")
        nodes[at] = _Node(_fixed(value), int(feature), _whole(threshold), int(left), int(right))
    return nodes, 0


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _fixed(text: str) -> int:
    """Log-odds with 20 bits behind the point."""
    return round(float(text) * _ONE)


def _whole(text: str) -> int:
    """The highest whole number that does not exceed a threshold."""
    value = float(text)
    if not isfinite(value):
        return HIGHEST if value > 0 else LOWEST
    return min(max(floor(value), LOWEST), HIGHEST)


def _refused(what: str) -> ValidationError:
    return ValidationError("model", what)
