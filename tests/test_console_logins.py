from __future__ import annotations

from wsdev.console.logins import LIFETIME, Logins


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_session_is_found_by_its_id_until_it_ends() -> None:
    time = Time()
    logins = Logins(time)
    session_id = logins.open("t-1")
    assert len(session_id) == 32
    login = logins.find(session_id)
    assert login is not None
    assert login.token == "t-1"
    assert logins.find("other") is None
    assert logins.find("\udce9") is None
    time.now = LIFETIME
    assert logins.find(session_id) is None


def test_closed_session_is_gone() -> None:
    logins = Logins(Time())
    session_id = logins.open("t-1")
    logins.close(session_id)
    logins.close(session_id)
    assert logins.find(session_id) is None


def test_number_of_sessions_is_bounded() -> None:
    logins = Logins(Time(), most=3)
    ids = [logins.open(f"t-{number}") for number in range(5)]
    assert len(logins) == 3
    assert [logins.find(session_id) is not None for session_id in ids] == [
        False, False, True, True, True,
    ]  # fmt: skip


def test_sessions_that_ended_make_room_first() -> None:
    time = Time()
    logins = Logins(time, most=3)
    logins.open("t-1")
    time.now = LIFETIME + 1
    logins.open("t-2")
    assert len(logins) == 1


def test_no_id_is_kept_as_it_is() -> None:
    logins = Logins(Time())
    session_id = logins.open("t-1")
    assert session_id not in repr(logins._logins)
