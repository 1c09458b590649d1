"""Whom to visit, and as which device."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from wsdev import client
from wsdev.failures import no_token_error
from wsdev.protocol import DeviceClass
from wsdev.urls import GatewayAddress


@dataclass(frozen=True, slots=True)
class Target:
    """What to visit, and as whom.

    Attributes:
        token: None fetches one from the gateway.
        name: The device name to ask for.
        own_issuers: Whether ``tls`` trusts issuers that the user named.
        patience: Seconds that each step may take.
    """

    address: GatewayAddress
    device_class: DeviceClass
    name: str
    token: str | None = None
    tls: ssl.SSLContext | None = None
    patience: float = client.DEFAULT_PATIENCE
    own_issuers: bool = False


async def fetch_token(target: Target) -> str:
    """A class token as the gateway hands it out.

    Raises:
        NotAllowed: none for this class, or the window is closed.
    """
    listed = await client.fetch_tokens(target.address, tls=target.tls, patience=target.patience)
    tokens = listed.get(target.device_class.name)
    if not tokens:
        raise no_token_error(target.device_class.name, listed)
    return tokens[0]
