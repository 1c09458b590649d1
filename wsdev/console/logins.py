"""Who is logged in at the page: sessions in memory, each of one operator token.

A restart ends them all. So does the end of the token: who asks for a session asks whether its
token is good still.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

LIFETIME: Final = 12 * 3600
"""Seconds: a working day."""

MOST: Final = 256
"""Sessions at a time; with one more, the oldest ends."""

_ID_BYTES: Final = 16
"""OWASP asks for 64 bits at the least."""


class Login(NamedTuple):
    """A session: whose token opened it, and until when it lasts (monotonic seconds)."""

    token: str
    ends: float


class Logins:
    """The sessions, found by their ids, of which only fingerprints are kept.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        most: int = MOST,
    ) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._most = most
        self._logins: OrderedDict[bytes, Login] = OrderedDict()

    def __len__(self) -> int:
        return len(self._logins)

    def open(self, token_id: str) -> str:
        """Begin a session of a token; returns its secret id."""
        now = self._clock()
        while self._logins:
            key, oldest = next(iter(self._logins.items()))
            if oldest.ends > now and len(self._logins) < self._most:
                break
            del self._logins[key]
        session_id = self._random_bytes(_ID_BYTES).hex()
        self._logins[_fingerprint(session_id)] = Login(token_id, now + LIFETIME)
        return session_id

    def find(self, session_id: str) -> Login | None:
        """The session of that id, if it lasts.

        Found by a hash, so what the lookup's time gives away is of no use for guessing.
        """
        login = self._logins.get(_fingerprint(session_id))
        return login if login is not None and login.ends > self._clock() else None

    def close(self, session_id: str) -> None:
        """End a session; nothing happens if there is none."""
        self._logins.pop(_fingerprint(session_id), None)


def _fingerprint(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode("utf-8", "surrogateescape")).digest()
