"""How the value of a setting is read: from the text of a flag, a variable or a file.

Each function raises ValueError with what is expected.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from wsdev.limits import Limits
from wsdev.protocol import HARD_MAX_TEXT_TO_DEVICE, DeviceClass, class_of
from wsdev.records import PicturesKept
from wsdev.token_format import OPERATOR

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|)")
_UNITS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)(i?)B?", re.IGNORECASE)

_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})


def parse_duration(text: str) -> float:
    """Seconds of ``10``, ``10s``, ``500ms``, ``10m``, ``1h`` or ``30d``.

    Raises:
        ValueError: any other form.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a time like 10s, 10m, 1h or 30d is expected")
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds == math.inf:
        raise ValueError("that is longer than anything lasts")
    return seconds


def parse_size(text: str) -> int:
    """Bytes of ``500MB``, ``2GB``, ``1.5GiB`` or ``4096``; KB is 1,000 bytes and KiB 1,024.

    Raises:
        ValueError: any other form.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("a size like 500MB or 2GB is expected")
    unit = 1024 if match[3] else 1000
    return int(float(match[1]) * unit ** " KMGT".index(match[2].upper() or " "))


def parse_share(text: str) -> float:
    """A share from 0 to 1 of ``5%`` or ``0.05``.

    Raises:
        ValueError: any other form, or more than all.
    """
    number, percent = text.strip().removesuffix("%").strip(), text.strip().endswith("%")
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", number) is None:
        raise ValueError("a share like 5% or 0.05 is expected")
    share = float(number) / (100 if percent else 1)
    if share > 1:
        raise ValueError("that is more than all")
    return share


_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:/\s*(s|m|h|d|))?")


def parse_rate(text: str) -> float:
    """Times a second of ``10/s``, ``6/m``, ``1/h`` or ``10``.

    Raises:
        ValueError: any other form, or never.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or not (rate := float(match[1]) / _UNITS[match[2] or ""]) or rate == math.inf:
        raise ValueError("a rate like 10/s or 6/m is expected")
    return rate


LEAST_JOURNAL: Final = 1_000_000


def duration_text(seconds: float) -> str:
    """Seconds in the largest unit that gives a whole number: ``30d``."""
    for unit in ("d", "h", "m", "s"):
        if seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds:g}s"


def size_text(size: int) -> str:
    """Bytes in the largest unit that gives a whole number: ``2GB``."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "KB")):
        if size % 1000**power == 0:
            return f"{size // 1000**power}{unit}"
    return f"{size} bytes"


def parse_journal_size(text: str) -> int:
    size = parse_size(text)
    if 0 < size < LEAST_JOURNAL:
        raise ValueError("at least 1MB is needed; 0 is for any size")
    return size


def parse_keep(text: str) -> float:
    """Seconds of ``30d``, or 0 for ever; a bare number could be meant as days."""
    if text.strip().isdecimal() and int(text):
        raise ValueError("a time with its unit is expected, like 30d or 12h; 0 is for ever")
    return parse_duration(text)


def parse_pictures(text: str) -> PicturesKept:
    """``20``: the last 20 of each camera; ``10s``: one each 10 seconds; ``0`` or ``off``: none."""
    if text.isdecimal():
        return PicturesKept(last=int(text))
    if text.lower() in _NO:
        return PicturesKept()
    try:
        every = parse_duration(text)
    except ValueError:
        every = 0
    if every <= 0:
        raise ValueError("a number like 20 or a time like 10s is expected")
    return PicturesKept(every=every)


def parse_port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise ValueError("a port from 0 to 65535 is expected (0 picks a free one)")
    return int(text)


def parse_switch(text: str) -> bool:
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError("yes or no is expected")


def parse_network(text: str) -> IPNetwork:
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("write an IPv4 network as IPv4")
    return network


def parse_path(text: str) -> Path:
    if not text:
        raise ValueError("a path is expected")  # Path("") would be the current folder
    return Path(text).expanduser()


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)} is expected")
        return text

    return parse


def parse_device_class(text: str) -> DeviceClass:
    """``name`` or ``name,max_message=65536,ping_payload=0,reset_on_drain=yes``."""
    name, *options = text.split(",")
    if name == OPERATOR:
        raise ValueError(f"{OPERATOR} is not for devices: its tokens open the console")
    device_class = class_of(name)
    for option in options:
        key, _, value = option.partition("=")
        if key == "max_message" and value.isdecimal() and int(value) > 0:
            device_class = dataclasses.replace(device_class, max_message=int(value))
        elif key == "ping_payload" and value in {"0", "4"}:
            device_class = dataclasses.replace(device_class, ping_payload=int(value))
        elif key == "reset_on_drain":
            device_class = dataclasses.replace(device_class, reset_on_drain=parse_switch(value))
        else:
            raise ValueError(
                "after the name come max_message=<bytes>, ping_payload=0 or 4, reset_on_drain=yes"
            )
    return device_class


_LIMIT_TYPES: Final = {f.name: f.type for f in dataclasses.fields(Limits)}


_MAY_BE_ZERO: Final = frozenset({
    "wrong_tokens_per_minute", "token_requests_per_minute", "connections_per_address",
    "connections", "messages_per_minute", "record_bytes", "linger", "name_probe",
    "longest_ping_interval",
})  # fmt: skip


def parse_limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in _LIMIT_TYPES:
        raise ValueError(f"NAME=VALUE is expected, with one of: {', '.join(_LIMIT_TYPES)}")
    if _LIMIT_TYPES[name] == "float":
        number = parse_duration(value)
    elif value.isdecimal():
        number = int(value)
    else:
        raise ValueError(f"{name} takes a whole number")
    if not number and name not in _MAY_BE_ZERO:
        raise ValueError(f"{name} cannot be 0: nobody could get in or say a word")
    if name == "command_bytes" and number > HARD_MAX_TEXT_TO_DEVICE:
        raise ValueError(f"no device library takes more than {HARD_MAX_TEXT_TO_DEVICE} bytes")
    return name, number
