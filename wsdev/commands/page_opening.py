"""What ``wsdev console`` does: looks whether there is a console, and shows it in the browser."""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser

from wsdev.console_client import ConsoleClient
from wsdev.errors import TokenRefused
from wsdev.sanitize import printable


async def open_page(client: ConsoleClient, url: str) -> None:
    """Print the page's address, and open it where there is a screen.

    Raises:
        WsdevError: no console answers there.
    """
    needs_login = False
    async with client:
        try:
            await client.who()
        except TokenRefused:
            needs_login = True
    sys.stdout.write(f"{printable(url)}\n")
    sys.stdout.flush()
    if needs_login:
        sys.stderr.write("log in there with a token of: wsdev tokens create --operator\n")
    if has_screen():
        if not await asyncio.to_thread(webbrowser.open, url):
            sys.stderr.write("wsdev: no browser could be started; open the address yourself\n")
    else:
        sys.stderr.write("no screen here: open the address in a browser\n")


def has_screen() -> bool:
    """Whether a browser can show itself, and not a text one that knows no scripts."""
    if sys.platform in {"darwin", "win32"} or os.environ.get("BROWSER"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
