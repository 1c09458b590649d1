from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from wsdev.serve_note import ServeNote, make_note, read_note
from wsdev.settings import ServeSettings, load

ADDRESSES = [("0.0.0.0", 3100), ("::", 3100)]


def made(settings: ServeSettings) -> ServeNote:
    return make_note(settings, ADDRESSES, pid=7, version="0.1.0", started=1.5, max_connections=960)


def test_note_says_how_the_gateway_runs() -> None:
    flags = {
        "tls_cert": "certs/gw.pem",
        "trusted_proxy": ["10.0.0.0/8", "::1"],
        "public_tokens": "off",
        "device_class": ["sensor"],
        "limit": ["connections=5"],
        "journal_max": "5MB",
    }
    note = made(load(flags, {}))
    assert note.port == 3100
    assert note.tls_cert == str(Path.cwd() / "certs/gw.pem")
    assert note.trusted_proxy == ["10.0.0.0/8", "::1/128"]
    assert (note.public_tokens, note.classes) == ("off", ["pico", "esp32cam", "sensor"])
    assert (note.wanted_connections, note.max_connections) == (5, 960)
    assert note.journal_max == 5_000_000


def test_note_survives_its_file() -> None:
    note = made(ServeSettings())
    assert note.tls_cert is None
    assert read_note(msgspec.json.encode(note)) == note


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pid": "x"}', b"[" * 99_999])
def test_text_that_is_no_note_is_none(text: bytes) -> None:
    assert read_note(text) is None


def test_note_of_a_later_wsdev_may_say_more() -> None:
    more = msgspec.json.decode(msgspec.json.encode(made(ServeSettings()))) | {"new": 1}
    assert read_note(msgspec.json.encode(more)) == made(ServeSettings())


def test_note_without_sockets_has_no_port() -> None:
    assert ServeNote(pid=0, version="", started=0, addresses=[]).port == 0
