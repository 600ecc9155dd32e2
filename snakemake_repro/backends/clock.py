"""The system clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """UTC for records, a monotonic clock for durations."""

    def now(self) -> str:
        """Return UTC as ISO 8601 with microseconds."""
        return datetime.now(UTC).isoformat(timespec="microseconds")

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()
