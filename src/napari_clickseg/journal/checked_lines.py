"""Lines of JSON, each with a checksum: what was cut off or damaged is not taken for a line."""

from __future__ import annotations

import zlib

_HEAD = b'{"crc":"'
_MIDDLE = b'","said":'
_DIGITS = 8


def checked_line(said: str) -> bytes:
    """Return a line, newline included.

    Parameters
    ----------
    said : str
        JSON without a newline.
    """
    text = said.encode("utf-8")
    return _HEAD + f"{zlib.crc32(text):08x}".encode() + _MIDDLE + text + b"}\n"


def whole_lines(content: bytes) -> tuple[list[str], int]:
    """Return what lines say up to the first one that is not whole, and where that begins.

    Parameters
    ----------
    content : bytes
        Of a file.

    Returns
    -------
    (list of str, int)
    """
    out, start = [], 0
    while (end := content.find(b"\n", start)) >= 0:
        said = _checked_text(content[start:end])
        if said is None:
            break
        out.append(said)
        start = end + 1
    return out, start


def _checked_text(line: bytes) -> str | None:
    at = len(_HEAD) + _DIGITS
    text = line[at + len(_MIDDLE) : -1]
    if not line.startswith(_HEAD) or line[at : at + len(_MIDDLE)] != _MIDDLE or line[-1:] != b"}":
        return None
    if line[len(_HEAD) : at] != f"{zlib.crc32(text):08x}".encode():
        return None
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return None
