"""Round numbers along an axis."""

from __future__ import annotations

import math

_ROUND = (1.0, 2.0, 5.0, 10.0)
_CLOCK = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
"""Steps in seconds that people count time in."""
_SMALLEST = 1e-300
"""Below it a float loses its digits."""


def ticks(low: float, high: float, most: int = 5) -> tuple[float, ...]:
    """Return round numbers from ``low`` to ``high``, at most about ``most``."""
    if not _SMALLEST < high - low < math.inf:
        return (low,)
    return _multiples(low, high, _step((high - low) / most))


def moments(duration: float, most: int = 8) -> tuple[float, ...]:
    """Return seconds from 0 to a duration such as a clock has: 30 s, 5 min, 2 h."""
    if duration < _SMALLEST:
        return (0.0,)
    least = duration / most
    step = next((step for step in _CLOCK if step >= least), None)
    if step is None:
        step = _step(least / _CLOCK[-1]) * _CLOCK[-1]
    return _multiples(0.0, duration, _step(least) if least < _CLOCK[0] else step)


def _step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(one * power for one in _ROUND if one * power >= least * (1 - 1e-9))


def _multiples(low: float, high: float, step: float) -> tuple[float, ...]:
    slack = step * 1e-9
    first, last = math.ceil((low - slack) / step), math.floor((high + slack) / step)
    return tuple(number * step for number in range(first, last + 1))
