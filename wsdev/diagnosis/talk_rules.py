"""From what was seen of the talk after the upgrade to a verdict. Pure."""

from __future__ import annotations

from typing import Final

from wsdev.diagnosis.facts import HttpFacts, Quality, TalkFacts, TalkTrouble
from wsdev.diagnosis.verdict import FAULTS, Verdict, verdict
from wsdev.layers import Layer

SILENT_ENOUGH: Final = 5.0
"""Seconds without a byte before a cut, from which on the silence is taken for its cause."""

_DEGRADED: Final = '"status":"degraded"'
"""A gateway's word for a disk that takes nothing."""

_LAYERS: Final = {
    "hello": Layer.HELLO,
    "message": Layer.MESSAGE,
    "large": Layer.MESSAGE,
    "ping": Layer.KEEPALIVE,
}
_IN_VAIN: Final = {
    "hello": "hello_unanswered",
    "message": "message_unanswered",
    "large": "large_message_lost",
    "ping": "ping_unanswered",
}


def talk_verdict(talk: TalkFacts, health: HttpFacts | None = None) -> Verdict | None:
    """What ended the talk, if it did not end as it should.

    Args:
        health: What ``/healthz`` said after an answer had stayed out.
    """
    if talk.trouble is None:
        return None
    layer = _LAYERS.get(talk.doing, Layer.HELLO)
    seen = [talk.detail, _traffic(talk), _large(talk)]
    match talk.trouble:
        case TalkTrouble.UNANSWERED:
            return _unanswered(talk, [*seen, _health(health)], layer)
        case TalkTrouble.CLOSED:
            code = f"close_{talk.close_code}"
            seen.insert(0, f"a close frame with the code {talk.close_code}")
            return verdict(code if code in FAULTS else "close_other", *seen, layer=layer)
        case TalkTrouble.CUT:
            return _cut(talk, seen, layer)
        case TalkTrouble.WORDS:
            return verdict("words_broken", *seen, layer=layer)
        case TalkTrouble.ERROR:
            return verdict("answered_with_error", *seen, layer=layer, fix=talk.hint)


def _unanswered(talk: TalkFacts, seen: list[str], layer: Layer) -> Verdict:
    if _DEGRADED in seen[-1]:
        return verdict("cannot_record", *seen, layer=layer)
    return verdict(_IN_VAIN.get(talk.doing, "hello_unanswered"), *seen)


def _health(health: HttpFacts | None) -> str:
    if health is None:
        return ""
    if health.answer is None:
        return f"GET {health.path} gets no answer now either"
    return f"GET {health.path} says now: HTTP {health.answer.status} {health.answer.start[:200]}"


def _cut(talk: TalkFacts, seen: list[str], layer: Layer) -> Verdict:
    if talk.doing == "large":
        return verdict("large_message_cut", *seen)
    if (talk.silent_for or 0.0) >= SILENT_ENOUGH:
        return verdict("cut_when_silent", *seen, f"it was silent for {talk.silent_for:.1f} s")
    return verdict("cut", *seen, layer=layer)


def _traffic(talk: TalkFacts) -> str:
    if talk.lasted is None:
        return ""
    return (
        f"after {talk.lasted:.1f} s, {talk.bytes_sent:,} bytes sent and"
        f" {talk.bytes_received:,} received, {talk.messages_acked} messages acknowledged"
    )


def _large(talk: TalkFacts) -> str:
    if talk.doing != "large" or talk.large_size is None:
        return ""
    return f"the message has {talk.large_size:,} bytes; {talk.messages_acked} small ones arrived"


def quality_verdict(talk: TalkFacts, wanted: Quality) -> Verdict | None:
    """Whether the path keeps what was asked for; None if it does, or cannot be judged yet."""
    if not talk.judged:
        return None
    times = talk.round_trips
    asked = len(times) + talk.lost
    if wanted.max_loss is not None and asked and talk.lost / asked > wanted.max_loss:
        share = f"{talk.lost} of {asked} unanswered, {100 * talk.lost / asked:.1f} %"
        return verdict("too_lossy", share, f"allowed: {100 * wanted.max_loss:g} %")
    if wanted.max_rtt is not None and times and percentile(times, 95) > wanted.max_rtt:
        slowest = f"{percentile(times, 95) * 1000:.1f} ms"
        slow = f"95 % of {len(times)} round trips took {slowest} or less"
        return verdict("too_slow", slow, f"allowed: {wanted.max_rtt * 1000:g} ms")
    return None


def describe_quality(talk: TalkFacts) -> str:
    """Round trips and losses in words."""
    times = talk.round_trips
    slowest = f"95 % took {percentile(times, 95) * 1000:.1f} ms or less" if times else "none"
    return f"{len(times)} round trips: {slowest}; {talk.lost} unanswered"


def percentile(values: list[float], percent: int) -> float:
    """The smallest value that ``percent`` of 100 values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-percent * len(ordered) // 100) - 1))]
