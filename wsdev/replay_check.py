"""Compares what a gateway answers to a replay with what was recorded.

Pure. The answers of a kind are compared in their order, but for acks, which are known by their id:
they follow the disk. What a line of the recording leaves out is not compared, so that an edited
one can ask for less.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from wsdev.codec import message_type
from wsdev.errors import ProtocolViolation
from wsdev.protocol import Command, DeviceMessage, GatewayMessage, Unknown
from wsdev.recording_format import Message, answer_of

COMPARED: Final[dict[str, tuple[str, ...]]] = {
    "connection_ack": ("status", "device", "ping_interval", "max_message_bytes"),
    "ack": ("id",),
    "pong": ("timestamp",),
    "error": ("code",),
}
"""What has to be the same in an answer of each kind; of others only that they come.

The session and the times are another in each run, and the words of an error may be improved.
"""

MOST_OPEN: Final = 1000
"""Answers that may be missing, and so many that may be too many, before a replay is given up: more
tell nobody more, and a gateway that says the same for ever takes no more memory."""

Facts = dict[str, Any]


class Difference(NamedTuple):
    """An answer that is not as recorded.

    Attributes:
        line: In the recording; None for an answer that is not in it.
        recorded: What was to come; None if nothing was.
        seen: What came in its place, as far as it was compared; None if nothing did.
    """

    kind: str
    line: int | None
    recorded: Facts | None
    seen: Facts | None


class _Open(NamedTuple):
    line: int
    facts: Facts


class _Answers:
    """The answers of one kind that have not found their like yet."""

    def __init__(self, *, ordered: bool) -> None:
        self.ordered = ordered
        self.awaited: deque[_Open] = deque()
        self.early: deque[Facts] = deque()
        self.missing: list[_Open] = []
        self.odd: list[Facts] = []

    def expect(self, wanted: _Open) -> bool:
        """Whether it has come already."""
        for place, seen in enumerate(self.early):
            if _fits(wanted.facts, seen):
                self._pass(self.early, self.odd, place)
                return True
        self.awaited.append(wanted)
        return False

    def saw(self, seen: Facts) -> bool:
        """Whether it was awaited."""
        for place, wanted in enumerate(self.awaited):
            if _fits(wanted.facts, seen):
                self._pass(self.awaited, self.missing, place)
                return True
        self.early.append(seen)
        return False

    @property
    def outstanding(self) -> int:
        """Answers that may still come: another one in its place is all that there will be."""
        others = len(self.early) if self.ordered else 0
        return max(0, len(self.awaited) - others)

    @property
    def owed(self) -> int:
        """Answers that have not come."""
        return len(self.awaited) + len(self.missing)

    @property
    def surplus(self) -> int:
        """Answers that nobody asked for, so far."""
        return len(self.early) + len(self.odd)

    def _pass(self, line: deque[Any], left: list[Any], place: int) -> None:
        """Take out what found its like; in order, what stands before it is too late now."""
        if self.ordered:
            left.extend(line.popleft() for _ in range(place))
            place = 0
        del line[place]

    def differences(self, kind: str) -> list[Difference]:
        """The rest, in pairs as far as it goes."""
        missing = [*self.missing, *self.awaited]
        odd = [*self.odd, *self.early]
        if not self.ordered:  # one id has nothing to do with another
            return [Difference(kind, line, facts, None) for line, facts in missing] + [
                Difference(kind, None, None, seen) for seen in odd
            ]
        paired = [
            Difference(kind, line, facts, {name: seen[name] for name in facts if name in seen})
            for (line, facts), seen in zip(missing, odd, strict=False)
        ]
        both = len(paired)
        return [
            *paired,
            *(Difference(kind, line, facts, None) for line, facts in missing[both:]),
            *(Difference(kind, None, None, seen) for seen in odd[both:]),
        ]


class Comparison:
    """The answers that a replay waits for, and those that came.

    Args:
        any_name: The device calls itself otherwise than in the recording.
        new_id: Gives what a message is sent with in the place of the recorded id.

    Attributes:
        matched: Answers that came as recorded.
        commands: Messages that were no answers but an operator's.
    """

    def __init__(
        self, *, any_name: bool = False, new_id: Callable[[Any], Any] = lambda recorded: recorded
    ) -> None:
        self._any_name = any_name
        self._new_id = new_id
        self._kinds: dict[str, _Answers] = {}
        self.matched = 0
        self.commands = 0

    def expect(self, line: int, message: Message) -> None:
        """Wait for an answer from now on, the one in that line; it may have come already.

        Raises:
            ProtocolViolation: too many are missing.
        """
        answers = self._answers(message.kind)
        facts = self._facts(message.kind, answer_of(message))
        if "id" in facts:
            facts["id"] = self._new_id(facts["id"])
        if answers.expect(_Open(line, facts)):
            self.matched += 1
        elif sum(answers.owed for answers in self._kinds.values()) > MOST_OPEN:
            raise ProtocolViolation(
                f"the gateway owes more than {MOST_OPEN:,} answers",
                "look at the gateway's /healthz and log",
                code="answers_missing",
            )

    def saw(self, message: DeviceMessage | GatewayMessage, text: bytes) -> None:
        """Take what the gateway said.

        Raises:
            ProtocolViolation: too many are not in the recording.
        """
        if isinstance(message, (Command, Unknown)):
            self.commands += 1
            return
        kind = message_type(message)
        if self._answers(kind).saw(self._facts(kind, msgspec.json.decode(text))):
            self.matched += 1
        elif sum(answers.surplus for answers in self._kinds.values()) > MOST_OPEN:
            raise ProtocolViolation(
                f"the gateway gave more than {MOST_OPEN:,} answers that were not recorded",
                "compare with the gateway that the recording is from",
                code="answers_unexpected",
            )

    @property
    def awaited(self) -> int:
        """Answers that may still come."""
        return sum(answers.outstanding for answers in self._kinds.values())

    def differences(self) -> list[Difference]:
        """What did not come as recorded: by line, then what is not in the recording."""
        found = [
            difference
            for kind, answers in self._kinds.items()
            for difference in answers.differences(kind)
        ]
        return sorted(found, key=lambda one: (one.line is None, one.line or 0))

    def _answers(self, kind: str) -> _Answers:
        if kind not in self._kinds:
            self._kinds[kind] = _Answers(ordered=kind != "ack")
        return self._kinds[kind]

    def _facts(self, kind: str, said: dict[str, Any]) -> Facts:
        names = COMPARED.get(kind, ())
        return {
            name: said[name]
            for name in names
            if name in said and not (name == "device" and self._any_name)
        }


def _fits(wanted: Facts, seen: Facts) -> bool:
    """Whether all that is wanted is there; 1 and true are not the same."""
    return all(
        name in seen
        and seen[name] == value
        and isinstance(seen[name], bool) is isinstance(value, bool)
        for name, value in wanted.items()
    )
