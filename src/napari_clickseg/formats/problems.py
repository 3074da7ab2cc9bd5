"""What is wrong with a file that is brought in: named, and refused or left out by choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg.formats.annotated import FormatError
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SHOWN = 3
_LONGEST = 300  # letters of a line


class Problems:
    """Collects what can't be used, and what is worth knowing.

    Parameters
    ----------
    skip : bool
        What can't be used is left out, and named; otherwise it is an error.
    note : callable
        Called with a line on each thing that is left out, or is worth knowing.
    """

    def __init__(self, *, skip: bool, note: Callable[[str], object]) -> None:
        self._skip, self._note = skip, note
        self.lines: list[str] = []

    @classmethod
    def of(cls, lines: Iterable[str]) -> Problems:
        """Return what is an error if anything was found."""
        made = cls(skip=False, note=lambda _: None)
        made.lines += lines
        return made

    def note(self, line: str) -> None:
        """Tell something worth knowing, in one line: names in files may be of several."""
        self._note(_short(line))

    def add(self, where: str, what: str) -> None:
        """Take note of something that can't be used; `where` says which image and object."""
        line = _short(f"{where}: {what}" if where else what).rstrip(".")
        self.lines.append(line)
        if self._skip:
            self.note(f"left out: {line}")

    def check(self) -> None:
        """Raise FormatError if there is something that can't be used, and none may be left out."""
        if self._skip or not self.lines:
            return
        more = len(self.lines) - _SHOWN
        shown = "; ".join(self.lines[:_SHOWN]) + (f"; and {more:,} more" if more > 0 else "")
        raise FormatError(
            f"{counted(len(self.lines), 'thing')} can't be used: {shown}. Mend "
            f"{'it' if len(self.lines) == 1 else 'them'}, or leave "
            f"{'it' if len(self.lines) == 1 else 'them'} out with --skip."
        )


def _short(line: str) -> str:
    """Return what is said in one line, which names in files can make longer than anybody reads."""
    line = "".join(each if each.isprintable() else " " for each in line)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
