from __future__ import annotations

import sqlite3
import stat
import timeit
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsdev.errors import (
    MistypedToken,
    RetiredToken,
    StateFolderError,
    TokenBookError,
    UnknownToken,
    UsageError,
    WsdevError,
)
from wsdev.token_format import fingerprint, new_token, parse_token
from wsdev.tokens import TokenBook, TokenKind, TokenRecord

NEVER_MADE = new_token("pico", bytes)


class Clock:
    """A wall clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_book(tmp_path: Path, clock: Clock) -> Iterator[Callable[[], TokenBook]]:
    """Opens the same book again, as another process would."""
    with ExitStack() as books:
        yield lambda: books.enter_context(TokenBook.open(tmp_path / "state", clock=clock))


@pytest.fixture
def book(open_book: Callable[[], TokenBook]) -> TokenBook:
    return open_book()


def found(book: TokenBook, text: str) -> TokenRecord | None:
    return book.find(text.encode())


def failure(action: Callable[[], object]) -> WsdevError:
    with pytest.raises(WsdevError) as caught:
        action()
    return caught.value


# What a book promises, whatever it is kept in


def test_created_token_is_found_and_active(book: TokenBook, clock: Clock) -> None:
    record, text = book.create("pico", name="kitchen")
    assert found(book, text) == record
    assert book.check(text) == record
    assert book.list() == [record]
    assert (record.kind, record.device_class, record.name) == (TokenKind.DEVICE, "pico", "kitchen")
    assert (record.tail, record.digest) == (text[-4:], fingerprint(text))
    assert (record.created, record.state(clock.now)) == (clock.now, "active")
    assert parse_token(text).device_class == "pico"


def test_id_is_short_and_public(book: TokenBook) -> None:
    record, _ = book.create("pico")
    prefix, number = record.id.split("-")
    assert prefix == "t"
    assert len(number) == 6
    assert int(number, 16) >= 0


def test_id_that_is_taken_is_not_given_twice(tmp_path: Path) -> None:
    ids = iter([b"\0\0\1", b"\0\0\1", b"\0\0\2"])
    parts = iter([b"a" * 16, b"b" * 16])
    with TokenBook.open(
        tmp_path, random_bytes=lambda size: next(ids if size == 3 else parts)
    ) as book:
        book.ensure_classes(["pico", "esp32cam"])
        assert [record.id for record in book.list()] == ["t-000001", "t-000002"]


def test_text_of_a_class_token_is_kept_and_of_a_device_token_not(book: TokenBook) -> None:
    of_class, text = book.create("pico")
    of_device, _ = book.create("pico", name="kitchen")
    assert of_class.token == text
    assert of_device.token is None


@pytest.mark.parametrize("token", [b"", b"\xe9", b"\0", b"wsd_", NEVER_MADE.encode(), b"x" * 9999])
def test_unknown_bytes_are_not_found(book: TokenBook, token: bytes) -> None:
    book.create("pico")
    assert book.find(token) is None


def test_altered_token_is_not_found(book: TokenBook) -> None:
    _, text = book.create("pico")
    assert found(book, text) is not None
    for altered in (text[:-1], text + " ", text.swapcase(), text.upper(), " " + text):
        assert found(book, altered) is None


def test_first_opening_is_new_and_later_ones_are_not(open_book: Callable[[], TokenBook]) -> None:
    assert [open_book().is_new for _ in range(3)] == [True, False, False]


def test_reopened_book_knows_everything(open_book: Callable[[], TokenBook]) -> None:
    first = open_book()
    first.ensure_classes(["pico", "esp32cam"])
    first.create("pico", name="kitchen")
    first.rotate("pico", grace=60)
    first.revoke("esp32cam")
    first.open_window(600)
    records, left = first.list(), first.window_left()
    first.close()
    second = open_book()
    assert second.list() == records
    assert second.window_left() == left


def test_each_class_gets_one_token_once(book: TokenBook) -> None:
    book.ensure_classes(["pico", "esp32cam", "pico"])
    first = book.public_tokens()
    book.ensure_classes(["esp32cam", "relay", "pico"])
    second = book.public_tokens()
    assert set(first) == {"pico", "esp32cam"}
    assert set(second) == {"pico", "esp32cam", "relay"}
    assert first["pico"] == second["pico"]
    assert {len(tokens) for tokens in second.values()} == {1}


def test_class_whose_tokens_were_revoked_gets_a_new_one(book: TokenBook) -> None:
    book.ensure_classes(["pico"])
    (before,) = book.public_tokens()["pico"]
    book.revoke("pico")
    book.ensure_classes(["pico"])
    (after,) = book.public_tokens()["pico"]
    assert after != before


def test_public_tokens_are_the_active_class_tokens_newest_first(
    book: TokenBook, clock: Clock
) -> None:
    _, retiring = book.create("pico")
    book.rotate("pico", grace=60)
    clock.now -= 86400  # the order is that of creation, not of the clock
    _, newest = book.create("pico")
    revoked, _ = book.create("pico")
    book.revoke(revoked.id)
    book.create("pico", name="kitchen")
    tokens = book.public_tokens()["pico"]
    assert len(tokens) == 2
    assert tokens[0] == newest
    assert retiring not in tokens
    assert set(book.public_tokens()) == {"pico"}


def test_book_without_tokens_lists_nothing(book: TokenBook) -> None:
    assert book.public_tokens() == {}
    assert book.list() == []


@pytest.mark.parametrize("device_class", ["", "Pico", "a b", "x" * 25, "wsd/", "a\x1b[31m"])
def test_word_that_cannot_be_a_class_is_refused(book: TokenBook, device_class: str) -> None:
    for action in (
        lambda: book.create(device_class),
        lambda: book.ensure_classes(["pico", device_class]),
    ):
        error = failure(action)
        assert isinstance(error, UsageError)
        assert "\x1b" not in error.cause
    assert book.list() == []


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "x" * 65, "küche", "a\n"])
def test_name_that_no_device_can_have_is_refused(book: TokenBook, name: str) -> None:
    assert isinstance(failure(lambda: book.create("pico", name=name)), UsageError)
    assert book.list() == []


# Claims


def test_device_token_claims_its_name_and_class_token_none(book: TokenBook) -> None:
    book.create("pico")
    assert not book.is_claimed("kitchen")
    book.create("pico", name="kitchen")
    assert book.is_claimed("kitchen")
    assert not book.is_claimed("Kitchen")
    assert not book.is_claimed("pico")


def test_claimed_name_gets_no_second_token(book: TokenBook) -> None:
    book.create("pico", name="kitchen")
    error = failure(lambda: book.create("esp32cam", name="kitchen"))
    assert isinstance(error, TokenBookError)
    assert error.code == "name_claimed"
    assert "rotate kitchen" in error.hint
    assert "revoke kitchen" in error.hint
    assert len(book.list()) == 1


def test_claim_ends_with_the_last_live_token(book: TokenBook, clock: Clock) -> None:
    first, _ = book.create("pico", name="kitchen")
    second, _ = book.rotate("kitchen", grace=60)
    book.revoke(second.id)
    assert book.is_claimed("kitchen")
    clock.now += 60
    assert not book.is_claimed("kitchen")
    third, _ = book.create("pico", name="kitchen")
    assert [record.state(clock.now) for record in book.list()] == ["retired", "revoked", "active"]
    assert [record.id for record in book.list()] == [first.id, second.id, third.id]


# Rotation


def test_rotated_class_token_is_good_until_the_grace_is_over(book: TokenBook, clock: Clock) -> None:
    old, old_text = book.create("pico")
    new, new_text = book.rotate("pico", grace=3600)
    assert (new.kind, new.device_class, new.token) == (TokenKind.CLASS, "pico", new_text)
    assert book.check(old_text).state(clock.now) == "retiring"
    assert book.check(new_text).state(clock.now) == "active"
    clock.now += 3599
    assert book.check(old_text).id == old.id
    clock.now += 1
    assert book.list()[0].state(clock.now) == "retired"
    assert isinstance(failure(lambda: book.check(old_text)), RetiredToken)
    assert book.check(new_text) == new


def test_rotation_without_grace_retires_at_once(book: TokenBook, clock: Clock) -> None:
    _, old_text = book.create("pico", name="kitchen")
    new, new_text = book.rotate("kitchen", grace=0)
    old = found(book, old_text)
    assert old is not None
    assert old.state(clock.now) == "retired"
    assert (new.kind, new.name, new.device_class) == (TokenKind.DEVICE, "kitchen", "pico")
    assert book.check(new_text) == new


def test_rotation_by_id_leaves_the_other_tokens(book: TokenBook, clock: Clock) -> None:
    first, _ = book.create("pico")
    second, _ = book.create("pico")
    third, _ = book.rotate(first.id, grace=0)
    states = {record.id: record.state(clock.now) for record in book.list()}
    assert states == {first.id: "retired", second.id: "active", third.id: "active"}


def test_second_rotation_does_not_prolong_the_first_grace(book: TokenBook, clock: Clock) -> None:
    _, text = book.create("pico")
    book.rotate("pico", grace=60)
    book.rotate("pico", grace=3600)
    clock.now += 60
    assert isinstance(failure(lambda: book.check(text)), RetiredToken)


def test_second_rotation_may_shorten_the_grace(book: TokenBook) -> None:
    _, text = book.create("pico")
    book.rotate("pico", grace=3600)
    book.rotate("pico", grace=0)
    assert isinstance(failure(lambda: book.check(text)), RetiredToken)


def test_rotating_nothing_is_refused(book: TokenBook) -> None:
    book.create("pico", name="kitchen")
    book.revoke("kitchen")
    for target in ("kitchen", "cellar", "esp32cam", "t-000000"):
        error = failure(partial(book.rotate, target, grace=0))
        assert isinstance(error, TokenBookError)
        assert error.code == "no_such_token"
    assert len(book.list()) == 1


@pytest.mark.parametrize("grace", [-1.0, float("inf"), float("nan")])
def test_grace_that_is_no_time_is_refused(book: TokenBook, grace: float) -> None:
    _, text = book.create("pico")
    assert isinstance(failure(lambda: book.rotate("pico", grace=grace)), UsageError)
    assert book.check(text).retires is None


# Revocation


@pytest.mark.parametrize("how", ["id", "name", "tail", "text"])
def test_revoked_device_token_is_dead_at_once(book: TokenBook, clock: Clock, how: str) -> None:
    record, text = book.create("pico", name="kitchen")
    other, _ = book.create("pico", name="cellar")
    target = {"id": record.id, "name": "kitchen", "tail": text[-4:], "text": text}[how]
    (revoked,) = book.revoke(target)
    assert revoked.id == record.id
    assert revoked.revoked == clock.now
    assert revoked.state(clock.now) == "revoked"
    assert found(book, text) == revoked
    assert book.list() == [revoked, other]


def test_revoking_a_class_ends_all_its_class_tokens_and_no_device_token(
    book: TokenBook, clock: Clock
) -> None:
    book.create("pico")
    book.rotate("pico", grace=60)
    device, _ = book.create("pico", name="kitchen")
    camera, _ = book.create("esp32cam")
    assert [record.device_class for record in book.revoke("pico")] == ["pico", "pico"]
    assert [record for record in book.list() if record.is_live(clock.now)] == [device, camera]


def test_revoking_a_device_ends_its_retiring_token_too(book: TokenBook) -> None:
    book.create("pico", name="kitchen")
    book.rotate("kitchen", grace=3600)
    assert len(book.revoke("kitchen")) == 2
    assert not book.is_claimed("kitchen")


def test_revoking_again_changes_nothing(book: TokenBook, clock: Clock) -> None:
    record, text = book.create("pico", name="kitchen")
    book.revoke("kitchen")
    before = book.list()
    clock.now += 60
    for target in ("kitchen", record.id, text[-4:], text):
        assert book.revoke(target) == []
    assert book.list() == before


def test_revoked_stays_revoked_when_the_clock_is_set_back(book: TokenBook, clock: Clock) -> None:
    _, text = book.create("pico")
    book.revoke("pico")
    clock.now -= 86400
    assert isinstance(failure(lambda: book.check(text)), RetiredToken)


def test_name_that_is_also_a_class_is_not_guessed(book: TokenBook) -> None:
    of_class, _ = book.create("pico")
    of_device, _ = book.create("pico", name="pico")
    for action in (lambda: book.revoke("pico"), lambda: book.rotate("pico", grace=0)):
        error = failure(action)
        assert error.code == "ambiguous"
        assert of_class.id in error.hint
        assert of_device.id in error.hint
    book.revoke(of_device.id)
    assert [record.id for record in book.revoke("pico")] == [of_class.id]


def test_ending_that_several_tokens_have_is_not_guessed(tmp_path: Path) -> None:
    # The checksums of pico tokens with these random parts both end in DtNV.
    numbers = iter([7902, 1, 9290, 2])
    with TokenBook.open(
        tmp_path, random_bytes=lambda size: next(numbers).to_bytes(size, "big")
    ) as book:
        first, _ = book.create("pico", name="kitchen")
        second, _ = book.create("pico", name="cellar")
        assert first.tail == second.tail == "DtNV"
        error = failure(lambda: book.revoke(first.tail))
        assert error.code == "ambiguous"
        assert first.id in error.hint
        assert second.id in error.hint
        book.revoke(first.id)
        assert [record.id for record in book.revoke(first.tail)] == [second.id]


def test_revoking_what_the_book_does_not_know_is_refused(book: TokenBook) -> None:
    book.create("pico", name="kitchen")
    for target in ("", "cellar", "t-000000", "0000"):
        error = failure(partial(book.revoke, target))
        assert isinstance(error, TokenBookError)
        assert error.code == "no_such_token"
    assert isinstance(failure(lambda: book.revoke(NEVER_MADE)), UnknownToken)
    assert isinstance(failure(lambda: book.revoke(NEVER_MADE[:-1])), MistypedToken)


# Checking


def test_check_tells_mistyped_from_unknown(book: TokenBook) -> None:
    assert isinstance(failure(lambda: book.check("hunter2")), MistypedToken)
    assert isinstance(failure(lambda: book.check(NEVER_MADE[:-1])), MistypedToken)
    error = failure(lambda: book.check(NEVER_MADE))
    assert isinstance(error, UnknownToken)
    assert NEVER_MADE[-4:] in error.cause


def test_check_says_which_token_ended_and_when(book: TokenBook, clock: Clock) -> None:
    clock.now = 1_800_000_000.0
    revoked, revoked_text = book.create("pico", name="kitchen")
    rotated, rotated_text = book.create("esp32cam")
    book.revoke("kitchen")
    book.rotate("esp32cam", grace=60)
    clock.now += 3600
    error = failure(lambda: book.check(revoked_text))
    assert error.cause == f"the token {revoked.id} was revoked on 2027-01-15 08:00:00 UTC"
    assert "--device pico" in error.hint
    error = failure(lambda: book.check(rotated_text))
    assert error.cause == f"the token {rotated.id} was rotated out on 2027-01-15 08:01:00 UTC"


# The hand-out window


def test_window_is_closed_until_it_is_opened(book: TokenBook, clock: Clock) -> None:
    assert book.is_new
    assert book.window_left() == 0
    book.open_window(600)
    assert book.window_left() == 600
    clock.now += 599
    assert book.window_left() == 1
    clock.now += 1
    assert book.window_left() == 0


def test_window_can_be_closed_early_and_opened_again(book: TokenBook) -> None:
    book.open_window(600)
    book.close_window()
    assert book.window_left() == 0
    book.close_window()
    book.open_window(60)
    assert book.window_left() == 60


def test_clock_set_back_closes_the_window(book: TokenBook, clock: Clock) -> None:
    book.open_window(600)
    clock.now -= 86400
    assert book.window_left() == 0


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_window_of_no_time_is_refused(book: TokenBook, seconds: float) -> None:
    assert isinstance(failure(lambda: book.open_window(seconds)), UsageError)
    assert book.window_left() == 0


# Two books on one store: the gateway and a command beside it


def test_refresh_brings_what_another_process_wrote(
    open_book: Callable[[], TokenBook], clock: Clock
) -> None:
    gateway, command = open_book(), open_book()
    record, text = command.create("pico", name="kitchen")
    assert found(gateway, text) is None
    assert gateway.refresh()
    assert found(gateway, text) == record
    assert gateway.is_claimed("kitchen")
    assert not gateway.refresh()

    command.revoke("kitchen")
    assert gateway.refresh()
    revoked = found(gateway, text)
    assert revoked is not None
    assert revoked.state(clock.now) == "revoked"

    command.open_window(600)
    assert gateway.window_left() == 0
    assert gateway.refresh()
    assert gateway.window_left() == 600
    assert not gateway.refresh()


def test_own_writes_show_at_once_and_in_the_next_refresh(book: TokenBook) -> None:
    assert not book.refresh()
    book.create("pico")
    assert book.refresh()
    assert not book.refresh()


def test_change_that_came_in_with_an_own_write_shows_in_the_next_refresh(
    open_book: Callable[[], TokenBook],
) -> None:
    gateway, command = open_book(), open_book()
    _, text = command.create("pico", name="kitchen")
    gateway.open_window(60)
    assert found(gateway, text) is not None
    assert gateway.refresh()


def test_write_sees_what_another_process_wrote_before(open_book: Callable[[], TokenBook]) -> None:
    one, other = open_book(), open_book()
    one.create("pico", name="kitchen")
    assert failure(lambda: other.create("pico", name="kitchen")).code == "name_claimed"
    one.ensure_classes(["pico"])
    other.ensure_classes(["pico"])
    assert len(other.public_tokens()["pico"]) == 1


def test_refresh_without_changes_costs_microseconds(book: TokenBook) -> None:
    book.ensure_classes(["pico", "esp32cam"])
    assert min(timeit.repeat(book.refresh, number=1000, repeat=5)) / 1000 < 100e-6


names = st.sampled_from(["kitchen", "cellar", "pico"])
steps = st.one_of(
    st.tuples(st.just("create"), st.one_of(st.none(), names)),
    st.tuples(st.just("rotate"), st.one_of(names, st.just("esp32cam"))),
    st.tuples(st.just("revoke"), st.one_of(names, st.just("esp32cam"))),
    st.tuples(st.just("wait"), st.none()),
)


@settings(deadline=None, max_examples=50)  # each write waits for the disk
@given(plan=st.lists(st.tuples(st.booleans(), steps), max_size=12))
def test_any_history_leaves_two_books_agreed_and_at_most_one_active_token_per_name(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[bool, tuple[str, str | None]]]
) -> None:
    clock = Clock()
    folder = tmp_path_factory.mktemp("history")
    with TokenBook.open(folder, clock=clock) as one, TokenBook.open(folder, clock=clock) as other:
        for first, (verb, word) in plan:
            book = one if first else other
            # A claimed name or nothing to rotate is part of a history.
            with suppress(TokenBookError):
                if verb == "create":
                    book.create("esp32cam", name=word)
                elif verb == "rotate":
                    book.rotate(word or "", grace=60)
                elif verb == "revoke":
                    book.revoke(word or "")
                else:
                    clock.now += 30
        one.refresh()
        other.refresh()
        assert one.list() == other.list()
        active = [r.name for r in one.list() if r.name and r.state(clock.now) == "active"]
        assert len(active) == len(set(active))
        for name in ("kitchen", "cellar", "pico"):
            live = any(r.name == name and r.is_live(clock.now) for r in one.list())
            assert one.is_claimed(name) == other.is_claimed(name) == live


# Secrets


def test_text_of_device_tokens_is_in_no_file(tmp_path: Path) -> None:
    with TokenBook.open(tmp_path) as book:
        _, first = book.create("pico", name="kitchen")
        _, second = book.rotate("kitchen", grace=60)
        _, shown = book.create("pico")
        book.revoke(first)
        whole = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert (tmp_path / "tokens.db-wal").stat().st_size > 0
    whole += b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert shown.encode() in whole
    for secret in (first, second):
        assert secret[-28:-6].encode() not in whole


def test_canary_token_is_in_no_repr_and_no_traceback(book: TokenBook) -> None:
    of_class, class_text = book.create("pico")
    of_device, device_text = book.create("pico", name="kitchen")
    shown = [repr(of_class), repr(of_device), repr(book), repr(book.list()), str(of_class)]
    book.revoke("pico")
    book.rotate("kitchen", grace=0)
    for text in (class_text, device_text):
        for target in (text, text[:-1], text[1:], text.upper(), f" {text}"):
            for action in (book.check, book.revoke, lambda target: book.rotate(target, grace=0)):
                try:
                    action(target)
                except WsdevError as error:
                    shown += [repr(error), error.cause, error.hint]
                    shown += traceback.format_exception(error)
    assert len(shown) > 50
    for canary in (class_text[-28:-6], device_text[-28:-6]):
        assert not any(canary.casefold() in text.casefold() for text in shown)


# Opening; what a file can be is tried in test_token_file


def test_opening_makes_a_private_folder_and_file(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "state"
    TokenBook.open(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "tokens.db").stat().st_mode) == 0o600


def test_command_without_a_book_makes_none(tmp_path: Path) -> None:
    error = failure(lambda: TokenBook.open(tmp_path / "state", create=False))
    assert isinstance(error, TokenBookError)
    assert error.hint == "start wsdev serve once, or name the folder with --state"
    assert list(tmp_path.iterdir()) == []


def test_command_finds_the_book_of_the_gateway(tmp_path: Path, book: TokenBook) -> None:
    book.create("pico")
    with TokenBook.open(tmp_path / "state", create=False) as command:
        assert not command.is_new
        assert command.list() == book.list()


def test_folder_under_a_regular_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = failure(lambda: TokenBook.open(tmp_path / "file" / "state"))
    assert isinstance(error, StateFolderError)


def test_book_of_a_newer_wsdev_is_refused_and_left_alone(tmp_path: Path) -> None:
    TokenBook.open(tmp_path).close()
    path = tmp_path / "tokens.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 3")
    db.close()
    before = path.read_bytes()
    assert failure(lambda: TokenBook.open(tmp_path)).code == "newer"
    assert path.read_bytes() == before


def test_book_whose_tables_are_gone_is_refused(tmp_path: Path) -> None:
    TokenBook.open(tmp_path).close()
    db = sqlite3.connect(tmp_path / "tokens.db")
    db.execute("DROP TABLE tokens")
    db.close()
    assert isinstance(failure(lambda: TokenBook.open(tmp_path)), TokenBookError)


def test_token_whose_grace_is_over_can_still_be_revoked(book: TokenBook, clock: Clock) -> None:
    old, _ = book.create("pico", name="kitchen")
    book.rotate("kitchen", grace=10)
    clock.now += 11
    assert [record.id for record in book.revoke(old.id)] == [old.id]
    assert book.revoke(old.id) == []


# Operators


def test_operator_token_is_known_by_its_fingerprint_only_and_claims_nothing(
    book: TokenBook, open_book: Callable[[], TokenBook]
) -> None:
    record, text = book.create_operator(name="alice")
    assert (record.kind, record.device_class, record.name) == (
        TokenKind.OPERATOR, "operator", "alice",
    )  # fmt: skip
    assert record.token is None
    assert text.startswith("wsd_operator_")
    assert found(open_book(), text) == record
    assert not book.is_claimed("alice")
    assert "operator" not in book.public_tokens()
    book.create("pico", name="alice")
    book.create_operator(name="alice")


def test_class_of_operators_is_no_device_class(book: TokenBook) -> None:
    for action in (lambda: book.create("operator"), lambda: book.ensure_classes(["operator"])):
        assert "--operator" in failure(action).hint


def test_operator_tokens_are_rotated_and_revoked(book: TokenBook) -> None:
    first, _ = book.create_operator(name="alice")
    second, _ = book.rotate("alice", grace=0)
    assert (second.kind, second.name) == (TokenKind.OPERATOR, "alice")
    assert not book.is_live(first.id)
    assert book.is_live(second.id)
    assert {record.id for record in book.revoke("alice")} == {first.id, second.id}
    assert book.record(second.id) is not None
    assert not book.is_live(second.id)
    assert book.record("t-none") is None
    assert not book.is_live("t-none")


def test_name_of_a_device_comes_before_an_operators(book: TokenBook) -> None:
    operator, _ = book.create_operator(name="alice")
    device, _ = book.create("pico", name="alice")
    assert [record.id for record in book.revoke("alice")] == [device.id]
    assert book.is_live(operator.id)


def test_catching_up_leaves_the_news_to_the_next_refresh(
    book: TokenBook, open_book: Callable[[], TokenBook]
) -> None:
    book.refresh()
    _, text = open_book().create("pico", name="kitchen")
    book.catch_up()
    assert found(book, text) is not None
    assert book.refresh()
    assert not book.refresh()
