"""The one table of the gateway's settings. Flags > environment > file > default.

The command line, the environment names and docs/settings.md are all made from this table. Nothing
is read on import; :func:`load` reads the environment it is given and the file it is told.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wsdev.errors import UsageError
from wsdev.limits import Limits
from wsdev.protocol import (
    BUILTIN_CLASSES,
    DEFAULT_CONSOLE_PORT,
    DEFAULT_PORT,
    DeviceClass,
)
from wsdev.records import PicturesKept
from wsdev.setting_values import (
    IPNetwork,
    one_of,
    parse_device_class,
    parse_duration,
    parse_journal_size,
    parse_keep,
    parse_limit,
    parse_network,
    parse_path,
    parse_pictures,
    parse_port,
    parse_switch,
)

ENVIRONMENT_PREFIX: Final = "WSDEV_"
CONFIG_VARIABLE: Final = "WSDEV_CONFIG"

PUBLIC_TOKENS: Final = ("window", "open", "off")
LOG_FORMATS: Final = ("console", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
JOURNAL_SYNC: Final = ("full", "normal")

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
    "record_bytes": "Bytes of a text that are recorded; all of it if it is acknowledged.",
    "unrecorded_rows": "Rows that may wait for the journal's disk; above, devices are not read.",
    "unrecorded_bytes": "Bytes that may wait for it; above, devices are not read.",
    "linger": "Time that a closed connection may take to get its last bytes out.",
    "name_probe": "Time to prove alive when another device comes with the same name.",
    "longest_ping_interval": "The longest a device may ask not to be pinged; 0: none may ask.",
}


# The table


def _setting(
    default: Any,
    parse: Callable[[str], Any],
    text: str,
    *,
    metavar: str = "",
    many: bool = False,
    shown: str = "",
) -> Any:
    # `shown` is the default as one would write it, where str() gives something else.
    metadata = {"parse": parse, "help": text, "metavar": metavar, "many": many, "shown": shown}
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
    port: int = _setting(DEFAULT_PORT, parse_port, "Port to listen on.", metavar="PORT")
    state: Path | None = _setting(
        None, parse_path, "Folder for tokens and state; your user's if left out.", metavar="DIR"
    )
    public_tokens: str = _setting(
        "window",
        one_of(*PUBLIC_TOKENS),
        "When /public/tokens hands tokens out: window (10 minutes after the first start and"
        " after `wsdev tokens open`), open (always), off (never).",
        metavar="window|open|off",
    )
    trust_local: bool = _setting(
        True, parse_switch, "Let your own user's programs on this host in without a token."
    )
    trusted_proxy: tuple[IPNetwork, ...] = _setting(
        (),
        parse_network,
        "Network whose X-Forwarded-For is believed; repeat for more.",
        metavar="CIDR",
        many=True,
    )
    device_class: tuple[DeviceClass, ...] = _setting(
        (),
        parse_device_class,
        "A further device class, at /ws/NAME; or a built-in one with other values:"
        " NAME,max_message=65536,ping_payload=0,reset_on_drain=yes. Repeat for more.",
        metavar="NAME",
        many=True,
    )
    tls_cert: Path | None = _setting(
        None, parse_path, "Certificate chain in PEM; turns TLS on.", metavar="FILE"
    )
    tls_key: Path | None = _setting(
        None, parse_path, "Private key in PEM, if it is not in --tls-cert.", metavar="FILE"
    )
    compression: bool = _setting(
        False, parse_switch, "Accept permessage-deflate from devices that offer it."
    )
    drain: float = _setting(
        10.0,
        parse_duration,
        "Time over which devices are sent away on a stop.",
        metavar="TIME",
        shown="10s",
    )
    journal_sync: str = _setting(
        "full",
        one_of(*JOURNAL_SYNC),
        "What an ack stands for: full (on the disk) or normal (a crash of the gateway loses"
        " nothing, a power cut can lose the last seconds of what was acknowledged; easier on SD"
        " cards).",
        metavar="full|normal",
    )
    journal_keep: float = _setting(
        2_592_000.0,
        parse_keep,
        "How long the journal keeps things; 0 for ever.",
        metavar="TIME",
        shown="30d",
    )
    journal_max: int = _setting(
        2_000_000_000,
        parse_journal_size,
        "How large the journal and its pictures may grow, then the oldest goes; 0 for any size.",
        metavar="SIZE",
        shown="2GB",
    )
    record_pictures: PicturesKept = _setting(
        PicturesKept(),
        parse_pictures,
        "Camera pictures to keep as files: 20 (the last 20 of each camera) or 10s (one of each"
        " camera in 10 seconds). Else only their size and SHA-256 are recorded.",
        metavar="N|TIME",
        shown="off",
    )
    metrics_port: int | None = _setting(
        None,
        parse_port,
        "Port on loopback for Prometheus metrics; none if left out.",
        metavar="PORT",
    )
    console: bool = _setting(
        True, parse_switch, "Serve the console: the page and the API for people and programs."
    )
    console_host: str = _setting(
        "127.0.0.1",
        str,
        "Address on which the console listens; beyond loopback give --tls-cert too.",
        metavar="ADDRESS",
    )
    console_port: int = _setting(
        DEFAULT_CONSOLE_PORT, parse_port, "Port of the console.", metavar="PORT"
    )
    limit: tuple[tuple[str, float], ...] = _setting(
        (),
        parse_limit,
        "Change one of the limits of docs/settings.md; repeat for more.",
        metavar="NAME=VALUE",
        many=True,
    )
    log_format: str = _setting(
        "console", one_of(*LOG_FORMATS), "How log lines look.", metavar="console|json"
    )
    log_level: str = _setting(
        "info",
        one_of(*LOG_LEVELS),
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
    if setting.metadata["many"]:
        items = given if isinstance(given, (list, tuple)) else [given]
        return tuple(_read_one(parse, item, where) for item in items)
    return _read_one(parse, given, where)


def _read_one(parse: Callable[[str], Any], text: Any, where: str) -> Any:
    try:
        return parse(str(text))
    except ValueError as exc:
        raise UsageError(
            f"{where}: {str(text)!r} is not usable: {exc}", "see wsdev serve --help"
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
