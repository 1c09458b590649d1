"""The one table of the gateway's settings. Flags > environment > file > default.

The command line, the environment names and docs/settings.md are all made from this table. Nothing
is read on import; :func:`load` reads the environment it is given and the file it is told.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wsdev.errors import UsageError
from wsdev.limits import Limits
from wsdev.protocol import (
    BUILTIN_CLASSES,
    DEFAULT_PORT,
    HARD_MAX_TEXT_TO_DEVICE,
    DeviceClass,
    is_class_name,
)

ENVIRONMENT_PREFIX: Final = "WSDEV_"
CONFIG_VARIABLE: Final = "WSDEV_CONFIG"

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

PUBLIC_TOKENS: Final = ("window", "open", "off")
LOG_FORMATS: Final = ("console", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|)")
_UNITS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})


# How one value is read. Each takes the text of a flag, a variable or a file's value.


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


def _parse_port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise ValueError("a port from 0 to 65535 is expected (0 picks a free one)")
    return int(text)


def _parse_switch(text: str) -> bool:
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError("yes or no is expected")


def _parse_network(text: str) -> IPNetwork:
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("write an IPv4 network as IPv4")
    return network


def _parse_path(text: str) -> Path:
    if not text:
        raise ValueError("a path is expected")  # Path("") would be the current folder
    return Path(text).expanduser()


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)} is expected")
        return text

    return parse


def _parse_device_class(text: str) -> DeviceClass:
    """``name`` or ``name,max_message=65536,ping_payload=0,reset_on_drain=yes``."""
    name, *options = text.split(",")
    if not is_class_name(name):
        raise ValueError("a class is 1 to 24 of a-z, 0-9, _ and -, for example sensor")
    device_class = BUILTIN_CLASSES.get(name, DeviceClass(name))
    for option in options:
        key, _, value = option.partition("=")
        if key == "max_message" and value.isdecimal() and int(value) > 0:
            device_class = dataclasses.replace(device_class, max_message=int(value))
        elif key == "ping_payload" and value in {"0", "4"}:
            device_class = dataclasses.replace(device_class, ping_payload=int(value))
        elif key == "reset_on_drain":
            device_class = dataclasses.replace(device_class, reset_on_drain=_parse_switch(value))
        else:
            raise ValueError(
                "after the name come max_message=<bytes>, ping_payload=0 or 4, reset_on_drain=yes"
            )
    return device_class


_LIMIT_TYPES: Final = {f.name: f.type for f in dataclasses.fields(Limits)}


def _parse_limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in _LIMIT_TYPES:
        raise ValueError(f"NAME=VALUE is expected, with one of: {', '.join(_LIMIT_TYPES)}")
    if _LIMIT_TYPES[name] == "float":
        return name, parse_duration(value)
    if not value.isdecimal():
        raise ValueError(f"{name} takes a whole number")
    number = int(value)
    if name == "command_bytes" and number > HARD_MAX_TEXT_TO_DEVICE:
        raise ValueError(f"no device library takes more than {HARD_MAX_TEXT_TO_DEVICE} bytes")
    return name, number


LIMIT_HELP: Final[Mapping[str, str]] = {
    "head_bytes": "Bytes of a request head.",
    "head_lines": "Lines of a request head.",
    "handshake_timeout": "Time for the whole request head.",
    "queue_bytes": "Bytes that wait for one device to read them; above, it is cut off (4413).",
    "stall_timeout": "Time that a device may read nothing; then it is cut off (4413).",
    "wrong_tokens_per_minute": "Wrong tokens from one address before 429; 0 for no limit.",
    "token_requests_per_minute": "Token requests from one address before 429; 0 for no limit.",
    "connections_per_address": "Connections from one address, loopback free; 0 for no limit.",
    "connections": "Connections in all; 0 for what the file limit allows.",
    "messages_per_minute": "Messages of one device; above, it is read more slowly. 0: no limit.",
    "command_bytes": "Bytes of one command to a device.",
    "linger": "Time that a closed connection may take to get its last bytes out.",
    "name_probe": "Time to prove alive when another device comes with the same name.",
}


# The table


def _setting(
    default: Any, parse: Callable[[str], Any], text: str, *, metavar: str = "", many: bool = False
) -> Any:
    metadata = {"parse": parse, "help": text, "metavar": metavar, "many": many}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """What ``wsdev serve`` can be told."""

    host: tuple[str, ...] = _setting(
        (),
        str,
        "Address to listen on; repeat for more. All interfaces, IPv4 and IPv6, if left out.",
        metavar="ADDRESS",
        many=True,
    )
    port: int = _setting(DEFAULT_PORT, _parse_port, "Port to listen on.", metavar="PORT")
    state: Path | None = _setting(
        None, _parse_path, "Folder for tokens and state; your user's if left out.", metavar="DIR"
    )
    public_tokens: str = _setting(
        "window",
        _one_of(*PUBLIC_TOKENS),
        "When /public/tokens hands tokens out: window (10 minutes after the first start and"
        " after `wsdev tokens open`), open (always), off (never).",
        metavar="window|open|off",
    )
    trust_local: bool = _setting(
        True, _parse_switch, "Let your own user's programs on this host in without a token."
    )
    trusted_proxy: tuple[IPNetwork, ...] = _setting(
        (),
        _parse_network,
        "Network whose X-Forwarded-For is believed; repeat for more.",
        metavar="CIDR",
        many=True,
    )
    device_class: tuple[DeviceClass, ...] = _setting(
        (),
        _parse_device_class,
        "A further device class, at /ws/NAME; or a built-in one with other values:"
        " NAME,max_message=65536,ping_payload=0,reset_on_drain=yes. Repeat for more.",
        metavar="NAME",
        many=True,
    )
    tls_cert: Path | None = _setting(
        None, _parse_path, "Certificate chain in PEM; turns TLS on.", metavar="FILE"
    )
    tls_key: Path | None = _setting(
        None, _parse_path, "Private key in PEM, if it is not in --tls-cert.", metavar="FILE"
    )
    compression: bool = _setting(
        False, _parse_switch, "Accept permessage-deflate from devices that offer it."
    )
    drain: float = _setting(
        10.0, parse_duration, "Time over which devices are sent away on a stop.", metavar="TIME"
    )
    limit: tuple[tuple[str, float], ...] = _setting(
        (),
        _parse_limit,
        "Change one of the limits of docs/settings.md; repeat for more.",
        metavar="NAME=VALUE",
        many=True,
    )
    log_format: str = _setting(
        "console", _one_of(*LOG_FORMATS), "How log lines look.", metavar="console|json"
    )
    log_level: str = _setting(
        "info",
        _one_of(*LOG_LEVELS),
        "The least that is logged; each message is logged at info.",
        metavar="debug|info|warning|error",
    )

    def limits(self) -> Limits:
        """The limits, with those of ``--limit`` changed."""
        return dataclasses.replace(Limits(), **dict(self.limit))  # type: ignore[arg-type]

    def classes(self) -> dict[str, DeviceClass]:
        """All device classes by name, the built-in ones first."""
        return BUILTIN_CLASSES | {cls.name: cls for cls in self.device_class}

    def state_folder(self) -> Path:
        """Where tokens and state live."""
        return self.state or default_state_folder()


def default_state_folder() -> Path:
    """The user's own state folder, for example ``~/.local/state/wsdev``."""
    import platformdirs  # noqa: PLC0415  (not needed for --help)

    return platformdirs.user_state_path("wsdev")


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + name.upper()


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str], config: Path | None = None
) -> ServeSettings:
    """The settings: flags, where not given the environment, then the file, then the defaults.

    Args:
        flags: Values by setting name; None and empty lists mean "not given".
        config: A TOML file with the settings' names as keys; also ``WSDEV_CONFIG``.

    Raises:
        UsageError: a value that cannot be read, an unknown key, a file that cannot be read.
    """
    if config is None and CONFIG_VARIABLE in environment:
        config = Path(environment[CONFIG_VARIABLE]).expanduser()
    from_file = {} if config is None else _read_file(config)
    values: dict[str, Any] = {}
    for setting in dataclasses.fields(ServeSettings):
        name = setting.name
        option = "--" + name.replace("_", "-")
        given = flags.get(name)
        if given not in (None, [], ()):
            values[name] = _read(setting, given, option)
        elif variable(name) in environment:
            text: Any = environment[variable(name)]
            text = text.split() if setting.metadata["many"] else text
            values[name] = _read(setting, text, variable(name))
        elif name in from_file:
            values[name] = _read(setting, from_file[name], f"{name} in {config}")
    return ServeSettings(**values)


def _read(setting: dataclasses.Field[Any], given: Any, where: str) -> Any:
    parse = setting.metadata["parse"]
    try:
        if setting.metadata["many"]:
            items = given if isinstance(given, (list, tuple)) else [given]
            return tuple(parse(str(item)) for item in items)
        return parse(str(given))
    except ValueError as exc:
        raise UsageError(
            f"{where}: {given!r} is not usable: {exc}", "see wsdev serve --help"
        ) from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise UsageError(f"cannot read {path}: {exc.strerror}", "name another --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} is not TOML: {exc}", "mend the line that it names") from None
    known = {setting.name for setting in dataclasses.fields(ServeSettings)}
    unknown = [key for key in content if key not in known]
    if unknown:
        raise UsageError(
            f"{path} has an unknown key: {unknown[0]}", f"known are: {', '.join(sorted(known))}"
        )
    return content
