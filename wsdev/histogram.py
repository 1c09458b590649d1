"""A histogram of fixed relative error: any number of values in a few hundred counters."""

from __future__ import annotations

import math
from typing import Final

RELATIVE_ERROR: Final = 0.01

_GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_SCALE: Final = 1 / math.log(_GAMMA)
_LEAST: Final = 1e-6


class Histogram:
    """Counts of positive values; quantiles within :data:`RELATIVE_ERROR` of the true ones.

    Buckets that grow by a constant factor, as in DDSketch (Masson, Rim, Lee: VLDB 2019). Values
    under a millionth count as that.

    Attributes:
        count: How many values there are.
        total: Their sum.
        largest: The largest, exactly; 0 if there is none.
    """

    __slots__ = ("_buckets", "count", "largest", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.largest = 0.0
        self._buckets: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Take in a value."""
        # Not max(): a fleet comes here at each ack, and two calls are half of what it would take.
        bucket = math.ceil(math.log(value if value > _LEAST else _LEAST) * _SCALE)  # noqa: FURB136
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += value
        if value > self.largest:  # noqa: PLR1730
            self.largest = value

    def quantile(self, share: float) -> float:
        """The value that ``share`` (0 to 1) of all values do not exceed; 0 if there is none."""
        wanted = max(1, math.ceil(share * self.count))
        if wanted >= self.count:
            return self.largest
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                # The middle of the bucket, in the sense that its error is the same to both ends.
                return min(2 * _GAMMA**bucket / (_GAMMA + 1), self.largest)
        return self.largest
