"""The token book: which tokens there are, and whether they are being handed out.

Shared by a running gateway and the commands beside it. What is asked while a device connects is
answered from memory; :meth:`TokenBook.refresh` takes in what other processes wrote. Class tokens
are kept as text, since ``/public/tokens`` lists them; of a device token only its fingerprint.

Times are Unix seconds, by the wall clock that the book is opened with.
"""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from wsdev.errors import RetiredToken, TokenBookError, UnknownToken, UsageError
from wsdev.token_file import (
    FILE_NAME,
    HandoutWindow,
    TokenFile,
    TokenKind,
    TokenRecord,
    TokenState,
    make_token_file,
)
from wsdev.token_format import OPERATOR, PREFIX, fingerprint, new_token, parse_token
from wsdev.token_words import ambiguous, date, require_class, require_name

__all__ = ["TokenBook", "TokenKind", "TokenRecord", "TokenState"]


class TokenBook:
    """The tokens of one state folder. Use from one thread.

    Every method that reads or writes the store can raise :class:`~wsdev.errors.TokenBookError`
    (damaged, busy, disk full) or :class:`~wsdev.errors.StateFolderError` (not writable); a failed
    write leaves the book as it was.

    Attributes:
        is_new: This opening made the book: the very first start in the folder.
    """

    def __init__(
        self,
        file: TokenFile,
        *,
        is_new: bool,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """A book on an open file; see :meth:`open`."""
        self.is_new = is_new
        self._file = file
        self._clock = clock
        self._random_bytes = random_bytes
        self._load()
        self._changed = False

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        create: bool = True,
        clock: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> TokenBook:
        """The book in ``folder``, made with its folder if there is none and ``create`` is true.

        Args:
            clock: Unix seconds.
            random_bytes: Gives that many unpredictable bytes, for tokens and ids.

        Raises:
            TokenBookError: missing, damaged, another program's, or of a newer wsdev; the file is
                left as it is.
            StateFolderError: the folder cannot be made, read or written.
        """
        path = folder / FILE_NAME
        is_new = create and make_token_file(path)
        file = TokenFile(path)
        try:
            return cls(file, is_new=is_new, clock=clock, random_bytes=random_bytes)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> TokenBook:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Asked while devices connect: from memory, no file.

    def find(self, token: bytes) -> TokenRecord | None:
        """The record of ``token``, live or not, or None; any bytes can be asked for.

        Found by its SHA-256, so what the lookup's time gives away is of no use for guessing.
        """
        digest = hashlib.sha256(token).digest()
        record = self._by_digest.get(digest)
        if record is None or not hmac.compare_digest(record.digest, digest):
            return None
        return record

    def is_claimed(self, name: str) -> bool:
        """Whether a live device token is pinned to ``name``."""
        return bool(self._live(self._by_name.get(name, ())))

    def public_tokens(self) -> dict[str, builtins.list[str]]:
        """The active class tokens of each class that has any, newest first."""
        now = self._clock()
        tokens: dict[str, builtins.list[str]] = {}
        for record in reversed(self._by_id.values()):
            if record.token is not None and record.state(now) == "active":
                tokens.setdefault(record.device_class, []).append(record.token)
        return tokens

    def window_left(self) -> float:
        """Seconds for which tokens are still handed out; 0 when the window is closed."""
        return self._window.left(self._clock())

    def record(self, token_id: str) -> TokenRecord | None:
        """The record of that id."""
        return self._by_id.get(token_id)

    def is_live(self, token_id: str) -> bool:
        """Whether the token of that id is good now."""
        record = self._by_id.get(token_id)
        return record is not None and record.is_live(self._clock())

    # Asked by people and programs.

    def list(self) -> builtins.list[TokenRecord]:
        """All tokens ever made, oldest first."""
        return [*self._by_id.values()]

    def check(self, text: str) -> TokenRecord:
        """The record of a token that is good now.

        Raises:
            MistypedToken: not a token, or its checksum is wrong.
            UnknownToken: well formed, but not in this book.
            RetiredToken: revoked or rotated out; the cause says which token and when.
        """
        record = self._lookup(text)
        if record.revoked is not None:
            end = f"revoked on {date(record.revoked)}"
        elif record.retires is not None and not record.is_live(self._clock()):
            end = f"rotated out on {date(record.retires)}"
        else:
            return record
        raise RetiredToken(
            f"the token {record.id} was {end}",
            "make a new one: wsdev tokens create --operator"
            if record.kind is TokenKind.OPERATOR
            else f"give the device a new one: wsdev tokens create --device {record.device_class}",
        )

    def refresh(self) -> bool:
        """Take in what other processes wrote; some microseconds when that is nothing.

        Returns:
            Whether the book changed since the last call, by this object or by others. A token
            that retires by the passing of time is no change of the book.
        """
        self.catch_up()
        changed, self._changed = self._changed, False
        return changed

    # Changes, each one transaction.

    def ensure_classes(self, classes: Iterable[str]) -> None:
        """Give each class that has no active class token one.

        Raises:
            UsageError: a word that cannot be a class.
        """
        wanted = dict.fromkeys(classes)
        for device_class in wanted:
            require_class(device_class)
        with self._writing() as now:
            provided = self.public_tokens()
            for device_class in wanted:
                if device_class not in provided:
                    self._add(TokenKind.CLASS, device_class, None, now)

    def create(self, device_class: str, *, name: str | None = None) -> tuple[TokenRecord, str]:
        """A new token: for the class, or for the one device of that name.

        Returns:
            The record and the text; the text of a device token cannot be had again.

        Raises:
            UsageError: a class or name of the wrong form.
            TokenBookError: the name has a live device token (code ``name_claimed``).
        """
        require_class(device_class)
        if name is not None:
            require_name(name)
        with self._writing() as now:
            if name is not None and self.is_claimed(name):
                raise TokenBookError(
                    f"the name {name} has a device token already",
                    f"wsdev tokens rotate {name} replaces it, wsdev tokens revoke {name} ends it",
                    code="name_claimed",
                )
            kind = TokenKind.CLASS if name is None else TokenKind.DEVICE
            return self._add(kind, device_class, name, now)

    def create_operator(self, *, name: str | None = None) -> tuple[TokenRecord, str]:
        """A new token for the console; its name is for people only and claims nothing.

        Returns:
            As :meth:`create` does; the text cannot be had again.

        Raises:
            UsageError: a name of the wrong form.
        """
        if name is not None:
            require_name(name)
        with self._writing() as now:
            return self._add(TokenKind.OPERATOR, OPERATOR, name, now)

    def rotate(self, target: str, *, grace: float) -> tuple[TokenRecord, str]:
        """A new token of the same class and name; the old ones retire after ``grace`` seconds.

        Args:
            target: A class (all its class tokens), a device name, or another form that
                :meth:`revoke` takes.
            grace: Seconds; 0 retires them at once. What retires sooner already keeps its date.

        Returns:
            As :meth:`create` does.

        Raises:
            UsageError: ``grace`` is negative or not finite.
            TokenBookError: ``target`` is no live token (code ``no_such_token``) or several
                things (code ``ambiguous``).
            MistypedToken, UnknownToken: as :meth:`revoke` does.
        """
        if not 0 <= grace < math.inf:
            raise UsageError("the grace must be a time of zero or more", "for example --grace 1h")
        with self._writing() as now:
            old = self._live(self._named(target))
            if not old:
                raise TokenBookError(
                    "there is no live token left to rotate",
                    "make a new one: wsdev tokens create",
                    code="no_such_token",
                )
            self._file.retire((record.id for record in old), now + grace)
            return self._add(old[-1].kind, old[-1].device_class, old[-1].name, now)

    def revoke(self, target: str) -> builtins.list[TokenRecord]:
        """End tokens now.

        Args:
            target: A token's id, a device name, a class (all its class tokens), the last four
                characters of one token, or its whole text; taken in this order.

        Returns:
            The tokens that were not revoked until now; none when all had been before.

        Raises:
            TokenBookError: ``target`` is nothing in this book (code ``no_such_token``) or several
                things (code ``ambiguous``).
            MistypedToken: ``target`` starts like a token and is mistyped.
            UnknownToken: ``target`` is a token that is not in this book.
        """
        with self._writing() as now:
            # A token whose grace is over too: links that it opened may still be there.
            ended = [record.id for record in self._named(target) if record.revoked is None]
            self._file.revoke(ended, now)
        return [self._by_id[token_id] for token_id in ended]

    def open_window(self, seconds: float) -> None:
        """Hand tokens out for ``seconds`` from now on, whatever was left before.

        Raises:
            UsageError: ``seconds`` is not a time over zero.
        """
        if not 0 < seconds < math.inf:
            raise UsageError("the window must be a time over zero", "for example --for 10m")
        with self._writing() as now:
            self._file.set_window(HandoutWindow(now, now + seconds))

    def close_window(self) -> None:
        """Hand no more tokens out."""
        with self._writing() as now:
            self._file.set_window(HandoutWindow(now, now))

    # Inside

    @contextlib.contextmanager
    def _writing(self) -> Iterator[float]:
        """One transaction on an up-to-date book, seen in memory when it is done; gives the time."""
        with self._file.writing():
            self.catch_up()
            yield self._clock()
        self._load()

    def catch_up(self) -> None:
        """As :meth:`refresh`, whose next call still tells of the change."""
        if self._file.changes() != self._seen:
            self._load()

    def _load(self) -> None:
        # The number first: what is written while reading then shows at the next look.
        seen = self._file.changes()
        records = self._file.records()
        self._window = self._file.window()
        self._by_id = {record.id: record for record in records}
        self._by_digest = {record.digest: record for record in records}
        self._by_name: dict[str, builtins.list[TokenRecord]] = {}
        for record in records:
            if record.kind is TokenKind.DEVICE and record.name is not None:
                self._by_name.setdefault(record.name, []).append(record)
        self._seen = seen
        self._changed = True

    def _add(
        self, kind: TokenKind, device_class: str, name: str | None, now: float
    ) -> tuple[TokenRecord, str]:
        text = new_token(device_class, self._random_bytes)
        token_id = f"t-{self._random_bytes(3).hex()}"
        while self._file.has_id(token_id):
            token_id = f"t-{self._random_bytes(3).hex()}"
        record = TokenRecord(
            id=token_id,
            kind=kind,
            device_class=device_class,
            name=name,
            tail=parse_token(text).tail,
            digest=fingerprint(text),
            created=now,
            retires=None,
            revoked=None,
            token=text if kind is TokenKind.CLASS else None,
        )
        self._file.add(record)
        return record, text

    def _live(self, records: Iterable[TokenRecord]) -> builtins.list[TokenRecord]:
        now = self._clock()
        return [record for record in records if record.is_live(now)]

    def _lookup(self, text: str) -> TokenRecord:
        parsed = parse_token(text)
        record = self.find(parsed.text.encode("ascii"))
        if record is None:
            raise UnknownToken(
                f"the token is well formed, but not in this book (it ends in {parsed.tail})",
                "perhaps it is another gateway's, or of another --state folder",
            )
        return record

    def _named(self, target: str) -> builtins.list[TokenRecord]:
        """What ``target`` means, live or not. It may hold a token, so no error repeats it."""
        if target in self._by_id:
            return [self._by_id[target]]
        named = self._by_name.get(target, [])
        of_class = [r for r in self.list() if r.name is None and r.device_class == target]
        if not named and not of_class:  # operators' names claim nothing: they come last
            named = [r for r in self.list() if r.kind is TokenKind.OPERATOR and r.name == target]
        if self._live(named) and self._live(of_class):
            raise ambiguous(self._live([*named, *of_class]))
        if named or of_class:
            return [*named, *of_class]
        endings = [record for record in self.list() if record.tail == target]
        if len(self._live(endings)) > 1:
            raise ambiguous(self._live(endings))
        if endings:
            return endings
        if target.startswith(PREFIX):
            return [self._lookup(target)]
        raise TokenBookError(
            "no token has this id, name, class or ending",
            "wsdev tokens list shows them",
            code="no_such_token",
        )
