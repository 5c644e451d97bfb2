"""How far two places on the earth are apart, in whole numbers: the same kilometres on every machine.

Places are latitude and longitude in hundredths of a degree, north and east. The distance is that of the great circle
on a sphere of the mean radius (IUGG: 6371.0088 km), by the haversine formula (Sinnott, "Virtues of the Haversine",
Sky and Telescope 68, 1984); the true one differs by up to half of one per cent, for the earth is no sphere.

Sines come from a table of a quarter of the circle in steps of half a hundredth of a degree, made by turning a vector
step by step in 62-bit fixed point, and the angle comes out of the same table, searched backwards. Places are known to a
hundredth of a degree (1.1 km), so the distance is exact to about that much.
"""

from bisect import bisect_left
from math import isqrt
from typing import Final

POLE: Final = 9_000
"""The latitude of the pole, and a quarter of the circle, in hundredths of a degree."""
DATE_LINE: Final = 18_000
"""The largest longitude, and half of the circle."""

HALF_WAY_ROUND_KM: Final = 20_015
"""No two places are further apart."""

_METRES_IN_100_STEPS: Final = 111_195
"""On a great circle: 6,371,008.8 m * pi / 18,000 is 1,111.95 m in a hundredth of a degree."""
_BITS: Final = 30
_FINE: Final = 62
#: A half hundredth of a degree in radians, 62 bits behind the point: pi / 36,000.
_STEP: Final = 402_445_525_448_729


def _sines() -> tuple[int, ...]:
    """The sines of 0 to 90 degrees, 30 bits behind the point, one for each half hundredth of a degree."""
    one, half = 1 << _FINE, 1 << (_FINE - 1)
    # Two terms of each series: the next ones are below 2**-62.
    sine_of_step = _STEP - (_STEP**3 >> 2 * _FINE) // 6
    cosine_of_step = one - (_STEP**2 >> _FINE) // 2 + (_STEP**4 >> 3 * _FINE) // 24
    sine, cosine, rounding = 0, one, 1 << (_FINE - _BITS - 1)
    found = []
    for _ in range(2 * POLE + 1):
        found.append((sine + rounding) >> (_FINE - _BITS))
        sine, cosine = (
            (sine * cosine_of_step + cosine * sine_of_step + half) >> _FINE,
            (cosine * cosine_of_step - sine * sine_of_step + half) >> _FINE,
        )
    return tuple(found)


_SINES: Final = _sines()


def is_place(latitude: int, longitude: int) -> bool:
    """Whether two numbers, hundredths of a degree, can be a place."""
    return -POLE <= latitude <= POLE and -DATE_LINE <= longitude <= DATE_LINE


def distance_km(latitude: int, longitude: int, other_latitude: int, other_longitude: int) -> int:
    """The distance of two places in whole kilometres, rounded to the nearest."""
    around = abs(longitude - other_longitude)
    if around > DATE_LINE:
        around = 2 * DATE_LINE - around
    # The table has half hundredths: the sine of half an angle stands at the angle's own number.
    north, east = _SINES[abs(latitude - other_latitude)], _SINES[around]
    cosine, other_cosine = _SINES[2 * (POLE - abs(latitude))], _SINES[2 * (POLE - abs(other_latitude))]
    haversine = north * north + (cosine * other_cosine >> _BITS) * (east * east >> _BITS)
    half_angle = isqrt(haversine)
    steps = bisect_left(_SINES, half_angle)
    if steps and half_angle - _SINES[steps - 1] < _SINES[steps] - half_angle:
        steps -= 1
    return (steps * _METRES_IN_100_STEPS + 50_000) // 100_000
