"""What can be wrong with the benchmarks' figures, frames and reports. Nothing here is timed."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import cast
from xml.etree import ElementTree

import pytest
from console_harness import running_console
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from benchmarks import document, page
from benchmarks.__main__ import MEASURES, parse_arguments
from benchmarks.chart import draw, scale_of
from benchmarks.console_cost import listen_as_a_console
from benchmarks.contestants import Contestant, everybody
from benchmarks.dialects import (
    LOGIN,
    MESSAGE_BYTES,
    PICTURE_BYTES,
    UNACKED_BYTES,
    Dialect,
    Gateway,
    Mqtt,
    whole_messages,
)
from benchmarks.figures import Bar, Figure, Panel, Result, Table, Target, table_of_targets
from benchmarks.load import AckCounter
from benchmarks.machine import versions
from benchmarks.scale import Scale
from benchmarks.servers import BenchmarkError, Server
from benchmarks.slow_viewer import PING, Talk
from benchmarks.soak import DISTURBED, LAG, LAG_JUDGED_AFTER, check_lag
from benchmarks.turns import start_anew, take_turns
from benchmarks.viewers import Cinema
from benchmarks.watching import EVENTS, PICTURE_END, SMALL_WINDOW, hold_up, unread, watching
from wsdev.codec import decode_from_device
from wsdev.compilation import is_compiled
from wsdev.console.cameras import Picture
from wsdev.hub import Hub
from wsdev.protocol import Frame as Announcement
from wsdev.protocol import is_whole_jpeg

SVG = "{http://www.w3.org/2000/svg}"


# Figures


def test_figure_tells_the_median_and_the_spread() -> None:
    assert str(Figure([3.0, 1.0, 200.0])) == "3.0 (1.0 to 200.0)"
    assert str(Figure([3.0])) == "3.0"


def test_figures_are_compared_round_by_round() -> None:
    ours, theirs = Figure([2.0, 40.0, 6.0]), Figure([1.0, 20.0, 3.0])
    assert ours.over(theirs).rounds == [2.0, 2.0, 2.0]
    assert ours.minus(theirs).rounds == [1.0, 20.0, 3.0]


def test_figures_of_different_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Figure([1.0, 2.0]).over(Figure([1.0]))


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure([7.0, 8.0, 90.0]), "kept"),
        (Figure([7.0, 8.1, 8.2]), "NOT KEPT"),
        ("no Node.js here", "not measured"),
    ],
)
def test_target_is_kept_by_the_median(figure: Figure | str, verdict: str) -> None:
    target = Target("memory", 8.0, "KB", figure)
    assert target.verdict == verdict
    assert target.row()[1] == "8 KB"
    assert verdict in table_of_targets([target]).markdown()


def test_factor_is_shown_with_two_digits() -> None:
    row = Target("telemetry", 0.45, "", Figure([0.444])).row()
    assert row == ["telemetry", "0.45", "0.44", "kept"]


def test_table_is_markdown_with_columns_in_line() -> None:
    table = Table("What", ["server", "KB"], [["wsdev", "7.2"], ["another", "31.0"]], ["So it is."])
    assert table.markdown().splitlines() == [
        "**What**",
        "",
        "| server  |   KB |",
        "|---------|-----:|",
        "| wsdev   |  7.2 |",
        "| another | 31.0 |",
        "",
        "So it is.",
    ]


# Chart


def bars_of(drawing: ElementTree.Element) -> list[ElementTree.Element]:
    rects = drawing.iter(f"{SVG}rect")
    return [rect for rect in rects if rect.get("class") in {"ours", "other"}]


def test_chart_is_xml_with_a_bar_for_each_figure_and_words_for_the_others() -> None:
    bars = [
        Bar("ours & <own>", Figure([4.0, 5.0, 6.0]), is_ours=True, most=8.0),
        Bar("another", Figure([10.0])),
        Bar("a third", "not here"),
    ]
    drawing = ElementTree.fromstring(draw([Panel("Cost", "µs", bars)], "what it is"))
    ours, other = bars_of(drawing)
    assert (ours.get("class"), other.get("class")) == ("ours", "other")
    assert float(other.get("width", "")) == 2 * float(ours.get("width", ""))
    texts = ["".join(text.itertext()) for text in drawing.iter(f"{SVG}text")]
    assert {"ours & <own>", "5.0", "10.0", "not here", "Cost, µs"} <= set(texts)
    assert any("what it is" in text for text in texts)


def test_one_bad_round_does_not_make_all_bars_short() -> None:
    assert scale_of([Bar("a", Figure([9.0, 10.0, 5000.0]))]) == pytest.approx(14.0)
    assert scale_of([Bar("a", Figure([9.0, 10.0, 11.0]))]) == 11.0
    assert scale_of([Bar("a", Figure([10.0]), most=50.0)]) == 50.0


def test_chart_of_nothing_is_drawn() -> None:
    bars = [Bar("a", "not here"), Bar("b", Figure([0.0]))]
    assert len(bars_of(ElementTree.fromstring(draw([Panel("Cost", "µs", bars)], "")))) == 1


# The page


def test_run_takes_the_place_of_the_last_one_only() -> None:
    page = f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n"
    once = document.between_marks(page, "new")
    assert once == f"before\n{document.BEGIN}\n\nnew\n\n{document.END}\nafter\n"
    assert document.between_marks(once, "new") == once


@pytest.mark.parametrize(
    "page",
    [
        "nothing",
        document.BEGIN,
        document.END + document.BEGIN,
        document.BEGIN + document.END + document.END,
        document.BEGIN + document.BEGIN + document.END,
    ],
)
def test_page_without_its_marks_is_left_alone(page: str) -> None:
    with pytest.raises(BenchmarkError, match="needs the lines"):
        document.between_marks(page, "new")


def test_real_page_has_its_marks() -> None:
    document.between_marks(document.PAGE.read_text(encoding="utf-8"), "new")


def test_page_tells_the_machine_the_targets_and_all_tables() -> None:
    target = Target("memory", 8.0, "KB", Figure([9.0]))
    result = Result([Table("One", ["a"], [["b"]]), Table("Two", ["a"], [["b"]])], [target])
    text = document.written([result, result], ["A machine."], 5)
    assert text.startswith("A machine.")
    assert text.count("NOT KEPT") == 2
    assert text.count("**One**") == text.count("**Two**") == 2
    assert document.CHART.name in text


def test_versions_name_what_always_takes_part() -> None:
    told = " ".join(versions())
    assert all(name in told for name in ("Python 3", "wsdev ", "websockets ", "msgspec "))


# The command line


def test_only_a_whole_run_is_one() -> None:
    assert parse_arguments([]) == (None, Scale(), True)
    for arguments in (["--quick"], ["--rounds", "3"], [next(iter(MEASURES))]):
        assert parse_arguments(arguments)[2] is False


def test_number_on_the_command_line_goes_before_quick() -> None:
    _, scale, _ = parse_arguments(["--quick", "--idle-devices", "7"])
    assert scale.idle_devices == 7
    assert scale.messages < Scale().messages


def test_unknown_measure_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["nothing-of-ours"])
    assert "idle" in capsys.readouterr().err


def test_document_tells_of_every_measure() -> None:
    text = document.PAGE.read_text(encoding="utf-8")
    assert [name for name in MEASURES if f"- **{name}**: " not in text] == []
    assert [name for name in MEASURES if not re.search(rf"[`=]{name}`", text)] == []


# The console


def test_browser_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "absent_browser", lambda: "no Chromium here")
    result = page.measure_page(0, Scale())
    size, paint = result.targets
    assert (size.verdict, paint.verdict, paint.figure) == (
        "kept",
        "not measured",
        "no Chromium here",
    )
    assert "not measured: no Chromium here" in result.tables[0].markdown()


@pytest.mark.parametrize("lacks", ["playwright", "chromium"])
def test_browser_and_its_driver_are_looked_for(lacks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "find_spec", lambda name: None if name == lacks else "there")
    monkeypatch.setattr(shutil, "which", lambda name: None if name == lacks else "/there")
    assert page.absent_browser().lower() == f"no {lacks} here"


ON_TIME = (0.001, 0.0)
HELD_UP = (10 * LAG, 2 * DISTURBED)
LATE = (2 * LAG, 0.0)


@pytest.mark.parametrize(
    ("looks", "seconds", "holds"),
    [
        ([*[ON_TIME] * 995, *[LATE] * 5], LAG_JUDGED_AFTER, True),
        ([*[ON_TIME] * 980, *[LATE] * 20], LAG_JUDGED_AFTER, False),
        ([*[ON_TIME] * 980, *[LATE] * 20], LAG_JUDGED_AFTER / 2, True),
        ([*[ON_TIME] * 600, *[HELD_UP] * 400], LAG_JUDGED_AFTER, True),
        ([*[LATE] * 400, *[HELD_UP] * 600], LAG_JUDGED_AFTER, True),
        ([], LAG_JUDGED_AFTER, True),
    ],
    ids=["on time", "late", "short", "often held up", "mostly held up", "never looked at"],
)
def test_loop_is_late_by_its_own_doing_or_not_judged(
    looks: list[tuple[float, float]], seconds: float, holds: bool
) -> None:
    assert check_lag(looks, seconds).holds is holds


def test_pictures_are_counted_by_their_ends_wherever_they_are_cut() -> None:
    part = Picture(b"\xff\xd8 20 KB \xff\xd9", 1, 0.0).part
    sent = PICTURE_END + part * 2
    for cut in range(len(PICTURE_END), len(sent)):
        here, there = socket.socketpair()
        with here, there:
            cinema = Cinema([here])
            there.sendall(sent[:cut])
            cinema.wait(0)
            there.sendall(sent[cut:])
            cinema.wait(2)
            assert cinema.pictures == [2]


def test_waits_of_a_talk_are_told_by_kind_of_answer() -> None:
    def answer(sock: socket.socket, size: int, mark: bytes) -> None:
        with sock.makefile("rb") as file:
            for _ in range(2):
                file.read(size)
                sock.sendall(mark)

    pairs = [socket.socketpair() for _ in range(3)]
    with contextlib.ExitStack() as stack:
        for sock in chain(*pairs):
            stack.enter_context(sock)
        (acked, asked), (pinging, pinged), (camera, seen) = pairs
        threads = stack.enter_context(ThreadPoolExecutor())
        threads.submit(answer, asked, 3, Dialect.ack)
        threads.submit(answer, pinged, len(PING), b'"pong"')
        with Talk([acked, pinging], camera, []) as talk:
            talk.run([b"one", b"two"], b"a picture", Dialect.ack)
        assert [len(waits) for waits in talk.waits] == [2, 2]
        assert seen.recv(9) == b"a picture"


def test_viewer_is_held_up_once_the_system_takes_no_more_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        viewer.connect(listener.getsockname())
        server, _ = listener.accept()
        with server:
            server.setblocking(False)
            assert unread(viewer) == 0

            def push() -> None:
                with contextlib.suppress(BlockingIOError):
                    server.send(bytes(2**20))

            hold_up(viewer, push)
            assert unread(viewer) > 2**16


def test_gateway_that_has_no_console_has_no_viewers() -> None:
    server = cast("Server", SimpleNamespace(console_port=0))
    with pytest.raises(BenchmarkError, match="no console"), watching(server, EVENTS, ""):
        pass


# Turns


@contextmanager
def running(_: int) -> Iterator[Server]:
    yield cast("Server", None)


def broken(_: int) -> AbstractContextManager[Server]:
    raise BenchmarkError("it does not start")


OURS = Contestant("ours", running, is_ours=True)


def test_servers_take_turns_and_the_first_round_does_not_count() -> None:
    values = iter([100.0, 100.0, 1.0, 10.0, 2.0, 20.0, 3.0, 30.0])
    turns = take_turns([OURS, Contestant("other", running)], 0, 3, lambda _: {"µs": next(values)})
    assert turns.rows("µs", compare="ours") == [
        ["ours", "2.0 (1.0 to 3.0)", "1.00"],
        ["other", "20.0 (10.0 to 30.0)", "10.00"],
    ]


def test_peer_that_is_not_there_or_does_not_start_is_told() -> None:
    peers = [Contestant("missing", running, "not here"), Contestant("broken", broken)]
    turns = take_turns([OURS, *peers], 0, 1, lambda _: {"µs": 1.0})
    assert turns.rows("µs", compare="ours")[1:] == [
        ["missing", "not measured: not here", ""],
        ["broken", "not measured: it does not start", ""],
    ]
    assert turns.ratio("µs", "ours", "missing") == "not here"
    assert turns.target("what", 1.0, "", "µs", "broken").verdict == "not measured"
    assert [bar.figure for bar in turns.panel("", "", "µs", {}).bars][1:] == [
        "not here",
        "it does not start",
    ]


def test_peer_that_fails_on_the_way_shows_no_half_figures() -> None:
    fails = iter([False, False, True])

    def measure(_: Server) -> dict[str, float]:
        if next(fails):
            raise ConnectionResetError("gone")
        return {"µs": 1.0}

    turns = start_anew([Contestant("peer", running)], 0, 5, measure)
    assert turns.rows("µs") == [["peer", "not measured: gone"]]


def test_gateway_that_fails_ends_the_run() -> None:
    with pytest.raises(BenchmarkError):
        take_turns([Contestant("ours", broken, is_ours=True)], 0, 1, lambda _: {})


def test_each_contestant_has_a_name_of_its_own() -> None:
    names = [contestant.name for contestant in everybody()]
    assert len(set(names)) == len(names) == 9 + is_compiled()


# Frames


def frames_of(data: bytes) -> list[Frame]:
    """The masked frames that a server would read."""
    reader = StreamReader()
    reader.feed_data(data)
    frames = []
    while reader.buffer:
        parser = Frame.parse(reader.read_exact, mask=True)
        try:
            next(parser)
        except StopIteration as whole:
            frames.append(whole.value)
    return frames


def only_data(frame: bytes) -> bytes:
    (found,) = frames_of(frame)
    return bytes(found.data)


def test_telemetry_has_the_sizes_that_are_told() -> None:
    acked, unacked = only_data(Dialect().acked(7)), only_data(Dialect().unacked())
    assert (len(acked), len(unacked)) == (MESSAGE_BYTES, UNACKED_BYTES)
    assert json.loads(acked)["id"] != json.loads(only_data(Dialect().acked(8)))["id"]
    assert "id" not in json.loads(unacked)
    for text in (acked, unacked):
        decode_from_device(text)


def test_gateway_gets_a_picture_announced() -> None:
    announcement, picture = frames_of(Gateway().picture(0))
    assert decode_from_device(bytes(announcement.data)) == Announcement(size=PICTURE_BYTES)
    assert picture.opcode is Opcode.BINARY
    assert len(picture.data) == PICTURE_BYTES
    assert is_whole_jpeg(bytes(picture.data))


def mqtt_content(frame: bytes) -> tuple[int, bytes]:
    """First byte and content of the control packet that fills a frame."""
    data = only_data(frame)
    length = place = 0
    while True:
        byte = data[1 + place]
        length += (byte & 0x7F) << 7 * place
        place += 1
        if byte < 0x80:
            break
    content = data[1 + place :]
    assert len(content) == length
    return data[0], content


def test_mqtt_login_is_connect_with_user_and_password() -> None:
    frame, accepted = Mqtt().login(3)
    kind, content = mqtt_content(frame)
    assert (kind, accepted) == (0x10, b"\x20\x02\x00\x00")
    assert content.startswith(b"\x00\x04MQTT\x04\xc2\x00\x00\x00\x08device-3")
    assert all(text.encode() in content for text in LOGIN)


@pytest.mark.parametrize("number", [0, 65534, 65535, 10**7])
def test_mqtt_publish_has_a_packet_id_that_is_allowed(number: int) -> None:
    kind, content = mqtt_content(Mqtt().acked(number))
    after_topic = content[2 + int.from_bytes(content[:2]) :]
    assert kind == 0x32
    assert 1 <= int.from_bytes(after_topic[:2]) <= 65535
    assert json.loads(after_topic[2:])["id"] == f"{number:010d}"


def test_mqtt_says_its_length_in_groups_of_seven_bits() -> None:
    kind, content = mqtt_content(Mqtt().picture(1))
    assert kind == 0x32
    assert content.endswith(only_data(Dialect().picture(1)))
    assert mqtt_content(Mqtt().unacked())[0] == 0x30


def test_acks_of_mqtt_are_told_apart_whatever_their_ids() -> None:
    for first in (0x8204, 0x4002, 0x0282, 0x0440, 0x8282):
        acks = [Mqtt.ack + number.to_bytes(2) for number in (first, 0x8204, first)]
        assert b"".join(acks).count(Mqtt.ack) == 3


@pytest.mark.parametrize("size", [0, 125, 126, 70_000])
def test_messages_of_a_server_are_found_wherever_they_are_cut(size: int) -> None:
    sent = [b"x" * size, b'{"type":"ack"}']
    data = b"".join(Frame(Opcode.TEXT, text).serialize(mask=False) for text in sent)
    for cut in (0, 1, 2, 3, 5, len(data) - 20, len(data) - 1, len(data)):
        first, rest = whole_messages(data[: max(cut, 0)])
        second, left = whole_messages(rest + data[max(cut, 0) :])
        assert first + second == sent
        assert left == b""


def test_acks_are_counted_wherever_they_are_cut() -> None:
    answer = b'\x81\x1e{"type":"ack","id":"12345678"}'
    for cut in range(1, 2 * len(answer)):
        here, there = socket.socketpair()
        with here, there:
            counted = AckCounter(Dialect.ack, [here])
            there.sendall((answer * 2)[:cut])
            first = counted.read(here.fileno())
            there.sendall((answer * 2)[cut:])
            assert first + counted.read(here.fileno()) == 2


def test_connection_that_the_server_closes_is_no_answer() -> None:
    here, there = socket.socketpair()
    with here:
        there.close()
        with pytest.raises(BenchmarkError, match="closed"):
            AckCounter(Dialect.ack, [here]).read(here.fileno())


# The console's share


def called_of_a_console(hub: Hub) -> list[Callable[..., object]]:
    """What of a console a hub calls at each change, and at each picture."""
    return [
        cast(MethodType, each).__func__
        for each in (*hub._listeners, *hub._viewers)
        if each.__module__.startswith("wsdev.console.")
    ]


async def test_console_that_is_measured_listens_to_all_that_a_running_one_does(
    tmp_path: Path,
) -> None:
    hub = Hub(max_command=4096)
    listen_as_a_console(hub)
    async with running_console(tmp_path) as console:
        assert called_of_a_console(hub) == called_of_a_console(console.gateway.hub)
