"""The words in which the token book refuses what it is asked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from wsdev.errors import TokenBookError, UsageError
from wsdev.protocol import MAX_NAME_LENGTH, clean_name, is_class_name
from wsdev.sanitize import printable
from wsdev.token_file import TokenRecord
from wsdev.token_format import OPERATOR


def ambiguous(records: Iterable[TokenRecord]) -> TokenBookError:
    """The refusal of a target that means several tokens."""
    ids = ", ".join(record.id for record in records)
    return TokenBookError(
        "this can mean several tokens",
        f"name one of them by its id: {ids}",
        code="ambiguous",
    )


def require_class(device_class: str) -> None:
    """Refuse a word that cannot be a device class.

    Raises:
        UsageError: it cannot.
    """
    if device_class == OPERATOR:
        raise UsageError(
            f"{OPERATOR} is no device class: its tokens open the console",
            "make one with wsdev tokens create --operator",
        )
    if not is_class_name(device_class):
        raise UsageError(
            f"{printable(device_class, 64)!r} cannot be a device class",
            "use up to 24 of a-z, 0-9, - and _, for example pico",
        )


def require_name(name: str) -> None:
    """Refuse a name that no device can have.

    Raises:
        UsageError: it is one.
    """
    if not name or clean_name(name) != name:
        raise UsageError(
            "the device name is empty, too long, . or .., or has characters that no name has",
            f"use up to {MAX_NAME_LENGTH} of A-Z, a-z, 0-9, ., - and _, for example kitchen",
        )


def date(when: float) -> str:
    """A Unix time for people."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
