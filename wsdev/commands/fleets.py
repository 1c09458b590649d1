"""``wsdev connect --count``: from options to a fleet, and what it prints."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wsdev import client, event_loop
from wsdev.commands import fleet_views
from wsdev.commands.option_values import seconds
from wsdev.commands.visiting import find_class
from wsdev.device_profile import PLAIN, PROFILES
from wsdev.errors import ExitCode, ThresholdCrossed, UsageError
from wsdev.failures import no_token_error
from wsdev.fleet import Fleet, Plan, Share, resolve
from wsdev.fleet_room import local_ports, make_room, source_addresses
from wsdev.protocol import clean_name, is_class_name
from wsdev.setting_values import parse_rate, parse_size
from wsdev.thresholds import Threshold, parse_threshold
from wsdev.urls import GatewayAddress, parse_gateway_address
from wsdev.weather import FAIR, WEATHERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The options of a fleet as they were given; see ``wsdev connect --help``."""

    url: str
    device: str | None
    name: str
    token: str | None
    count: int
    ramp: str
    rate: str
    duration: str | None
    payload_size: str | None
    mix: str | None
    profiles: list[str]
    weather: str | None
    seed: int | None
    fail_if: list[str]
    timeout: str
    cacert: Path | None
    insecure: bool


def run(order: Order, *, as_json: bool, quiet: bool) -> None:
    """Run a fleet, show it, and sum it up.

    Raises:
        UsageError: options that cannot be meant, or more than this machine can hold.
        ThresholdCrossed: one of --fail-if is true.
        WsdevError: no device ever got in; what most of them met.
    """
    thresholds = [_threshold(text) for text in order.fail_if]
    event_loop.run(_run(order, thresholds, as_json=as_json, quiet=quiet))


async def _run(order: Order, thresholds: list[Threshold], *, as_json: bool, quiet: bool) -> None:
    plan = await _plan(order)
    infos = await resolve(plan.address)
    count = sum(share.count for share in plan.shares)
    ghosts = count if plan.weather.trouble else 0
    make_room(count + ghosts)
    sources = source_addresses(str(infos[0][4][0]), count + ghosts, local_ports())
    plan = dataclasses.replace(plan, sources=sources)
    fleet = Fleet(plan, infos)
    view = fleet_views.view_for(fleet, quiet=quiet or as_json)
    started = time.monotonic()
    interrupted = False
    running = asyncio.ensure_future(fleet.run())
    try:
        with view:
            while not running.done():
                await asyncio.wait([running], timeout=view.refresh)
                if not running.done():
                    view.show()
        running.result()
    except asyncio.CancelledError:
        interrupted = True
        fleet.finish()
        await running
    took = time.monotonic() - started
    values = fleet.figures.values(took)
    crossed = [threshold.text for threshold in thresholds if threshold.is_met(values)]
    if as_json:
        document = fleet.figures.document(took) | {
            "url": order.url, "seed": plan.seed, "interrupted": interrupted, "crossed": crossed,
        }  # fmt: skip
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    elif not quiet:
        fleet_views.print_summary(fleet, took)
    if interrupted:
        raise SystemExit(ExitCode.INTERRUPTED)
    error = fleet.figures.most_common_error()
    if not fleet.figures.opened and error is not None:
        raise error
    if crossed:
        raise ThresholdCrossed(
            f"--fail-if: {', '.join(crossed)}", "look at the summary, and at the gateway's log"
        )


def _threshold(text: str) -> Threshold:
    try:
        return parse_threshold(text)
    except ValueError as exc:
        raise UsageError(
            f"--fail-if {text!r} is not usable: {exc}", "for example p99>100ms"
        ) from None


def _rate(option: str, text: str) -> float:
    try:
        return parse_rate(text)
    except ValueError as exc:
        raise UsageError(f"{option} {text!r} is not usable: {exc}", "for example 10/s") from None


async def _plan(order: Order) -> Plan:
    address = parse_gateway_address(order.url)
    try:
        payload = parse_size(order.payload_size) if order.payload_size else 0
    except ValueError as exc:
        raise UsageError(f"--payload-size: {exc}", "for example 20KB") from None
    tls = None
    if address.tls:
        tls = client.make_tls_context(order.cacert, insecure=order.insecure)
    patience = seconds("--timeout", order.timeout)
    shares = _shares(order, address)
    tokens: dict[str, list[str]] = {}
    if order.token is None:
        tokens = await client.fetch_tokens(address, tls=tls, patience=patience)
    elif len({share.device_class.name for share in shares}) > 1:
        raise UsageError(
            "one token is for one class of devices",
            "leave the token out, and one of each class is fetched from the gateway",
        )
    return Plan(
        address=address,
        shares=[_with_token(share, order.token, tokens) for share in shares],
        name=clean_name(order.name),
        ramp=_rate("--ramp", order.ramp),
        interval=0.0 if order.rate == "max" else 1 / _rate("--rate", order.rate),
        duration=None if order.duration is None else seconds("--duration", order.duration),
        payload=payload,
        patience=patience,
        weather=WEATHERS.find(order.weather) if order.weather else FAIR,
        seed=random.getrandbits(32) if order.seed is None else order.seed,
        tls=tls,
    )


def _with_token(share: Share, token: str | None, listed: dict[str, list[str]]) -> Share:
    name = share.device_class.name
    if token is None:
        if not listed.get(name):
            raise no_token_error(name, listed)
        token = listed[name][0]
    return Share(share.device_class, share.count, share.profile, token)


def _shares(order: Order, address: GatewayAddress) -> list[Share]:
    """How many devices of which class and profile."""
    profiles = [PROFILES.find(name) for name in order.profiles]
    if not order.mix:
        kinds = [
            (order.device or profile.device_class or address.device_class or "pico", profile)
            for profile in profiles or [PLAIN]
        ]
        parts = _divide(order.count, [1.0] * len(kinds))
        return [
            Share(find_class(name), n, p) for (name, p), n in zip(kinds, parts, strict=True) if n
        ]
    if order.device or len(profiles) > 1:
        raise UsageError("--mix names the classes already", "leave --device or --profile out")
    weights = _mix(order.mix)
    parts = _divide(order.count, list(weights.values()))
    profile = profiles[0] if profiles else PLAIN
    return [
        Share(find_class(name), n, profile) for name, n in zip(weights, parts, strict=True) if n
    ]


def _mix(text: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = -1
        if not is_class_name(name) or not 0 < weights[name] < 1e9:
            raise UsageError(f"--mix {text!r} is not usable", "for example pico=90,esp32cam=10")
    return weights


def _divide(count: int, weights: list[float]) -> list[int]:
    """``count`` in parts as the weights say, none lost to rounding."""
    parts, done, left = [], 0.0, count
    total = sum(weights)
    for weight in weights:
        done += weight
        part = round(count * done / total) - (count - left)
        parts.append(part)
        left -= part
    return parts
