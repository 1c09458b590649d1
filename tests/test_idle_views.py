from __future__ import annotations

import io

import pytest
from rich.console import Console

from wsdev.commands.idle_views import print_finding, remedy, told, view_for
from wsdev.errors import LinkCut
from wsdev.idle_cut import End, Outcome, conclude, make_plan
from wsdev.idle_finder import Search
from wsdev.protocol import PICO
from wsdev.target import Target
from wsdev.urls import GatewayAddress


def console(out: io.StringIO, *, terminal: bool = False, quiet: bool = False) -> Console:
    return Console(
        file=out, markup=False, highlight=False, soft_wrap=True, force_terminal=terminal,
        no_color=True, quiet=quiet, width=100,
    )  # fmt: skip


def finding_told(
    *outcomes: Outcome, busy_cut: float | None = None, hindrance: LinkCut | None = None
) -> list[str]:
    target = Target(GatewayAddress("localhost", 3000), PICO, "pico")
    search = Search(target, None, make_plan(600, 10), list(outcomes), busy_cut, 20.0, hindrance)
    out = io.StringIO()
    print_finding(search, console(out))
    return out.getvalue().splitlines()


def asked(lasted: float, end: End) -> Outcome:
    return Outcome(lasted, lasted, end, asked=True)


def test_path_that_holds() -> None:
    assert finding_told(asked(600, End.ANSWERED)) == [
        "The path holds: a connection lived through 10 min of silence.",
        "  now:    the gateway pings after 20 s of silence, in time",
        "  advice: a ping after 5 min of silence at most",
    ]


def test_short_search_that_says_nothing_of_the_gateways_ping_says_so() -> None:
    (_, now) = finding_told(asked(3, End.ANSWERED))
    assert now == (
        "  now:    the gateway pings after 20 s of silence; whether that is in time, a longer"
        " --up-to tells"
    )


def test_cut_with_a_sign() -> None:
    assert finding_told(asked(45, End.ANSWERED), Outcome(80, 60.1, End.FIN)) == [
        "A silent connection is closed with a TCP FIN after 60 s.",
        "  known:  nginx, Apache and AWS ALB cut after 60 s unless told otherwise",
        "  now:    the gateway pings after 20 s of silence, in time",
        "  advice: a ping after 30 s of silence at most",
    ]


def test_cut_without_a_sign() -> None:
    (first, second, *_) = finding_told(asked(290, End.ANSWERED), asked(420, End.NO_ANSWER))
    assert first == (
        "A silent connection is forgotten between 4 min 50 s and 7 min, without a sign."
    )
    assert second == "  known:  AWS NLB forgets a connection after 350 s"


def test_reset_for_the_first_word() -> None:
    (first, *_) = finding_told(asked(20, End.ANSWERED), asked(45, End.RESET))
    assert first == (
        "A silent connection is cut with a TCP reset between 20 s and 45 s, when it speaks again."
    )


def test_what_makes_a_finding_doubtful_is_told() -> None:
    lines = finding_told(
        Outcome(45, 30, End.CLOSE_FRAME, detail="1001 bye"),
        asked(80, End.ANSWERED),
        Outcome(160, 12, End.SPOKEN),
        hindrance=LinkCut("it is gone"),
    )
    assert lines[:4] == [
        "A silent connection is closed with a close frame (1001 bye) after 30 s.",
        "  but a longer silence was survived too: look again, it may be the Wi-Fi",
        "  note:   1 silence was broken by the other end (a command, a proxy's ping)",
        "  note:   could not look more closely: it is gone",
    ]


def test_end_of_a_busy_connection_gives_no_advice() -> None:
    (line,) = finding_told(Outcome(80, 40, End.FIN), busy_cut=40.2)
    assert "after 40 s" in line


def test_nothing_known() -> None:
    assert finding_told() == ["nothing: no silence was over yet"]


@pytest.mark.parametrize(
    ("lasted", "words"),
    [(0.01, "is not known"), (4.0, "itself ping each 2 s"), (15.0, '"ping_interval": 5 in')],
)
def test_remedy_is_what_the_gateway_can_grant(lasted: float, words: str) -> None:
    assert words in remedy(conclude([Outcome(20, lasted, End.FIN)]))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "500 ms"), (2.0, "2 s"), (2.54, "2.5 s"), (60, "60 s"), (80, "80 s"), (600, "10 min")],
)
def test_silence_in_words(seconds: float, words: str) -> None:
    assert told(seconds) == words


# While it goes on


def shown(*, terminal: bool, quiet: bool = False) -> str:
    out = io.StringIO()
    plan = make_plan(600, 10)
    with view_for(plan, console(out, terminal=terminal, quiet=quiet)) as view:
        view.began(plan.first)
        view.came(asked(10, End.ANSWERED))
        view.came(asked(80, End.NO_ANSWER))
        view.began([50.0, 60.0])
        view.came(asked(60, End.RESET))
    return out.getvalue()


def test_plain_lines() -> None:
    assert shown(terminal=False).splitlines() == [
        "8 silent connections, for 10 s to 10 min; this takes 10 min 20 s at most",
        "  ok           10 s  alive",
        "  cut          80 s  gone without a sign: a ping got no answer",
        "once more, with 2 silent connections for 50 s to 60 s",
        "  cut          60 s  cut with a TCP reset, when it was asked",
    ]


def test_terminal_also_shows_the_time_left() -> None:
    text = shown(terminal=True)
    assert "10 min left" in text
    assert "60 s left" in text
    assert "  ok           10 s  alive" in text


def test_quiet_shows_nothing() -> None:
    assert shown(terminal=False, quiet=True) == shown(terminal=True, quiet=True) == ""
