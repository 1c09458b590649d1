"""Pictures for a simulated camera: real JPEG, VGA, a different one each time."""

from __future__ import annotations

import io
import math
from typing import Final

from PIL import Image, ImageDraw

from wsdev.protocol import JPEG_END, JPEG_START

WIDTH: Final = 640
HEIGHT: Final = 480

MAX_BYTES: Final = WIDTH * HEIGHT // 5
"""What the ESP32-CAM's driver caps a JPEG at: width * height / 5."""

_QUALITY: Final = 80


def make_picture(number: int, caption: str) -> bytes:
    """The JPEG of picture ``number``: a moving ball over a gradient, with the caption.

    Args:
        caption: Printable ASCII; shows in the picture.

    Returns:
        At most :data:`MAX_BYTES`.
    """
    gradient = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).rotate(number * 3 % 360)
    picture = Image.merge(
        "RGB", (gradient, gradient.transpose(Image.Transpose.ROTATE_180), gradient)
    )
    draw = ImageDraw.Draw(picture)
    angle = number / 10
    x = WIDTH / 2 + WIDTH / 3 * math.cos(angle)
    y = HEIGHT / 2 + HEIGHT / 3 * math.sin(angle)
    draw.ellipse((x - 40, y - 40, x + 40, y + 40), fill=(255, 140, 0), outline=(0, 0, 0), width=3)
    draw.text((12, 12), f"{caption}  #{number}", fill=(255, 255, 255))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


_LONGEST_COMMENT: Final = 0xFFFF
"""A segment's length counts its own two bytes (ITU T.81 B.1.1.4)."""


def make_picture_of_size(number: int, caption: str, size: int) -> bytes:
    """A picture of exactly so many bytes, in the place of one that is not at hand.

    Under some 300 bytes no picture fits, and it is only whole: it begins and ends as a JPEG does.
    Under 4 bytes it is not even that.
    """
    picture = make_picture(number, caption)
    if len(picture) > size:
        buffer = io.BytesIO()
        Image.new("L", (8, 8), number * 8 % 256).save(buffer, "JPEG", optimize=True)
        picture = buffer.getvalue()
    if len(picture) > size:
        picture = JPEG_START + JPEG_END
    return _padded(picture, size)[:size]


def _padded(picture: bytes, size: int) -> bytes:
    """The picture with comments behind its start marker (ITU T.81 B.2.4.5)."""
    missing = size - len(picture)
    padding = bytearray()
    while missing >= 4:
        length = min(missing - 2, _LONGEST_COMMENT)
        padding += b"\xff\xfe" + length.to_bytes(2, "big") + bytes(length - 2)
        missing -= length + 2
    padding += b"\xff" * missing  # any marker may have such bytes in front (B.1.1.2)
    return picture[: len(JPEG_START)] + padding + picture[len(JPEG_START) :]
