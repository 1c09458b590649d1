from __future__ import annotations

import re

import pytest

from wsdev import errors
from wsdev.errors import (
    EXIT_CODE_MEANINGS,
    ExitCode,
    LocalError,
    PathError,
    PeerError,
    ProtocolViolation,
    Side,
    WsdevError,
)


def subclasses_of(cls: type[WsdevError]) -> list[type[WsdevError]]:
    """All below ``cls`` that the module defines, in its order."""
    found = []
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            found += [child, *subclasses_of(child)]
    return found


TREE: list[type[WsdevError]] = [WsdevError, *subclasses_of(WsdevError)]
LEAVES: list[type[WsdevError]] = [
    cls for cls in TREE if not any(sub is not cls and issubclass(sub, cls) for sub in TREE)
]


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: list[tuple[str, str]] = []
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│├└─ ]*)([A-Z]\w+)(?:: .+)?$", line)
        if match and hasattr(errors, match[2]):
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            drawn.append((match[2], path[depth - 1] if depth else "Exception"))
    assert drawn == [(cls.__name__, cls.__base__.__name__) for cls in TREE if cls.__base__]


def test_each_exit_code_has_a_meaning_of_its_own() -> None:
    assert list(EXIT_CODE_MEANINGS) == list(ExitCode)
    assert all(EXIT_CODE_MEANINGS.values())
    assert len(set(EXIT_CODE_MEANINGS.values())) == len(ExitCode)


def test_exit_codes_are_what_a_shell_can_tell() -> None:
    assert all(0 <= code <= 255 for code in ExitCode)
    # 126 and 127 are the shell's own, 128 and up say that a signal ended the process.
    assert [code for code in ExitCode if code >= 126] == [ExitCode.INTERRUPTED]


@pytest.mark.parametrize("cls", LEAVES)
def test_each_error_has_its_exit_code_and_its_word(cls: type[WsdevError]) -> None:
    assert cls.exit_code not in {ExitCode.OK, ExitCode.FAILED, ExitCode.INTERRUPTED}
    assert re.fullmatch(r"[a-z_]+", cls.code)
    assert cls.code != WsdevError.code


def test_no_two_errors_share_an_exit_code_or_a_word() -> None:
    assert len({cls.exit_code for cls in LEAVES}) == len(LEAVES)
    assert len({cls.code for cls in LEAVES}) == len(LEAVES)


@pytest.mark.parametrize(
    ("branch", "side"),
    [(LocalError, Side.LOCAL), (PathError, Side.PATH), (PeerError, Side.PEER)],
)
def test_a_branch_names_the_guilty_side(branch: type[WsdevError], side: Side) -> None:
    assert {cls.side for cls in TREE if issubclass(cls, branch)} == {side}


def test_an_error_carries_cause_and_hint_as_fields() -> None:
    error = ProtocolViolation("it spoke wrongly", "look at its firmware")
    assert (error.cause, error.hint, error.code) == (
        "it spoke wrongly",
        "look at its firmware",
        "protocol",
    )
    assert str(error) == "it spoke wrongly"


def test_one_error_may_have_a_finer_word_than_its_class() -> None:
    assert ProtocolViolation("x", code="bad_json").code == "bad_json"
    assert ProtocolViolation.code == "protocol"
