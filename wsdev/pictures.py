"""Pictures for a simulated camera: real JPEG, VGA, a different one each time."""

from __future__ import annotations

import io
import math
from typing import Final

from PIL import Image, ImageDraw

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


def picture_of_size(number: int, caption: str, size: int) -> bytes:
    """A picture of ``size`` bytes: filler goes into comments (ITU T.81 B.2.4.5) behind its start.

    Args:
        size: Bytes; one that is too small for the picture leaves it as it is.
    """
    picture = make_picture(number, caption)
    filler = bytearray()
    while (left := size - len(picture) - len(filler)) >= _COMMENT_HEAD:
        length = min(left - 2, 0xFFFF)
        if 0 < left - 2 - length < _COMMENT_HEAD:
            length -= _COMMENT_HEAD  # what is left takes a comment too
        filler += b"\xff\xfe" + length.to_bytes(2, "big") + b"x" * (length - 2)
    return picture[:2] + bytes(filler) + picture[2:]


_COMMENT_HEAD: Final = 4
"""Bytes of a comment without any text."""
