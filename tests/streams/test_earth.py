"""Distances on the earth in whole numbers, against the same formula in floating point."""

from math import asin, cos, radians, sin, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.features.earth import DATE_LINE, HALF_WAY_ROUND_KM, POLE, distance_km, is_place

PLACES = st.tuples(st.integers(-POLE, POLE), st.integers(-DATE_LINE, DATE_LINE))
NEAR = st.tuples(st.integers(-60, 60), st.integers(-60, 60))


def haversine_km(one: tuple[int, int], other: tuple[int, int]) -> float:
    """The oracle: the great circle on a sphere of 6,371.0088 km."""
    (north, east), (other_north, other_east) = (
        tuple(radians(part / 100) for part in p) for p in (one, other)
    )
    inner = (
        sin((north - other_north) / 2) ** 2
        + cos(north) * cos(other_north) * sin((east - other_east) / 2) ** 2
    )
    return 2 * 6371.0088 * asin(min(1.0, sqrt(inner)))


@given(PLACES, PLACES)
def test_any_two_places(one: tuple[int, int], other: tuple[int, int]) -> None:
    """Within two kilometres of the oracle, the same both ways, and never further than half way round."""
    found = distance_km(*one, *other)
    assert abs(haversine_km(one, other) - found) < 2
    assert found == distance_km(*other, *one)
    assert 0 <= found <= HALF_WAY_ROUND_KM


@given(PLACES, NEAR)
def test_two_places_close_to_each_other(one: tuple[int, int], apart: tuple[int, int]) -> None:
    """Where a formula with the cosine of the distance would have lost its digits."""
    other = max(-POLE, min(POLE, one[0] + apart[0])), max(-DATE_LINE, min(DATE_LINE, one[1] + apart[1]))
    assert abs(haversine_km(one, other) - distance_km(*one, *other)) < 2
    assert distance_km(*one, *one) == 0


def test_every_pair_of_opposite_places() -> None:
    """Half way round, however the table was rounded."""
    for latitude in range(-POLE, POLE + 1):
        assert HALF_WAY_ROUND_KM - 2 <= distance_km(latitude, 0, -latitude, DATE_LINE) <= HALF_WAY_ROUND_KM


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        ((3872, -914), (3872, -914), 0),  # Lisbon
        ((3872, -914), (643, 338), 3805),  # Lagos
        ((5151, -13), (4071, -7401), 5571),  # London to New York
        ((-3687, 17476), (2131, -15786), 7079),  # Auckland to Honolulu, across the date line
        ((0, DATE_LINE), (0, -DATE_LINE), 0),  # one meridian has two names
        ((POLE, 0), (POLE, 9000), 0),  # and a pole has all of them
        ((POLE, 0), (-POLE, 0), 20_015),
    ],
)
def test_known_distances(one: tuple[int, int], other: tuple[int, int], km: int) -> None:
    """To the kilometre, for good: a recorded vector has them."""
    assert km == distance_km(*one, *other)


@pytest.mark.parametrize(
    ("latitude", "longitude", "there"),
    [(POLE, DATE_LINE, True), (-POLE, -DATE_LINE, True), (POLE + 1, 0, False), (0, DATE_LINE + 1, False)],
)
def test_what_is_a_place(latitude: int, longitude: int, there: bool) -> None:
    """Bounds are inclusive."""
    assert there == is_place(latitude, longitude)
