"""Whether this wsdev has its hot path compiled (docs/decisions/0019)."""

from __future__ import annotations

from importlib.util import find_spec


def is_compiled() -> bool:
    """Whether the modules that pyproject.toml names for mypyc are C extensions here."""
    hot = find_spec("wsdev.wire")  # found, not loaded
    return hot is not None and hot.origin is not None and not hot.origin.endswith(".py")
