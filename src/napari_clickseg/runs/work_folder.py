"""The folder of long work that is made of several trainings; needs no torch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from napari_clickseg.runs.conduct import began_here
from napari_clickseg.runs.log import EventLog
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class WorkFolder:
    """A folder with a spec, the log of what happens, and a report.

    Parameters
    ----------
    path : Path
        Need not be there yet.
    """

    kind: ClassVar[str]  # what the work is called, as in "is not a comparison"
    error: ClassVar[type[ValueError]]

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.log = EventLog(self.path)
        self.report = self.path / "report.md"
        self.spec_path = self.path / "spec.json"

    @property
    def exists(self) -> bool:
        """Whether the work was begun here."""
        return self.spec_path.exists()

    def write(self, path: Path, text: str) -> None:
        """Write a file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))

    def check_idle(self) -> None:
        """Refuse to go on with what another process is at."""
        if self.log.state == "running" and not began_here(self.log):
            raise self.error(f"The {self.kind} in {self.path} is going on; stop it first.")

    def messages(self) -> list[str]:
        """Return what the report says of messages, each once; nothing where there are none."""
        events = self.log.events()[0]
        lines = dict.fromkeys(f"- {one['text']}" for one in events if one["event"] == "message")
        return ["## What was said", "\n".join(lines)] if lines else []

    def _read_spec(self, read: Callable[[Path], _T]) -> _T:
        if not self.exists:
            raise self.error(f"{self.path} is not a {self.kind}: spec.json is missing.")
        try:
            return read(self.spec_path)
        except ValueError as error:
            raise self.error(f"{self.spec_path}: {error}") from error

    def _read_figures(self, path: Path, read: Callable[[bytes], _T]) -> _T | None:
        """Return what was measured; None where nothing was, or nothing that makes sense."""
        if not path.is_file():
            return None
        try:
            return read(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            _log.warning("%s cannot be read, and is left out; delete it to measure anew.", path)
            return None
