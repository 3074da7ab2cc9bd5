"""Following long work in another process by what it writes into its log."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from napari_clickseg.runs.process import alive, last_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from napari_clickseg.runs.log import EventLog
    from napari_clickseg.runs.process import Launch

# What values of other kinds than an event has raise where they are used.
_STRANGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_ROUNDED = 0.002  # seconds by which an event may seem earlier than it was
Change = Literal["starting", "stopping", "ended", "silent"]


_log = logging.getLogger(__name__)


class _Followed(Protocol):
    @property
    def status(self) -> str:
        """How the work is: none, running, and what else there is."""


Known = TypeVar("Known", bound=_Followed)


class ProcessReader(ABC, Generic[Known]):
    """Folds the events of a log into one frozen value, as they come. Used by one worker thread.

    Parameters
    ----------
    known : Known
        What is known before the first event; its status is "none".
    launched : Launch, optional
        The process that was just started for it.
    """

    def __init__(self, log: EventLog, known: Known, launched: Launch | None = None) -> None:
        self.log = log
        self._known, self._launched = known, launched
        self._offset = 0
        self._process = 0, 0.0  # its number, and when it said so
        self._since = 0.0  # when the work last began or ended

    def look(self) -> Known:
        """Read what is new and return what is known now."""
        known, launched = self._read(), self._launched
        if launched is not None and not self._heard_of(launched):
            return self._before_the_first_word(launched)
        if known.status == "running" and not alive(*self._process):
            known = self._read()  # its last words
            if known.status == "running":
                return self._changed(known, "ended")
        if known.status == "running" and self.log.stop_requested():
            return self._changed(known, "stopping")
        return known if known.status != "none" else self._changed(known, "silent")

    @abstractmethod
    def _follow(self, known: Known, events: Iterable[Mapping[str, Any]]) -> Known:
        """Return what is known after more events."""

    @abstractmethod
    def _changed(self, known: Known, change: Change) -> Known:
        """Return what is known of a process that starts, stops, ended, or never said a word."""

    @abstractmethod
    def _not_started(self, known: Known, said: str) -> Known:
        """Return what is known of a process that ended before its first event."""

    def _read(self) -> Known:
        events, self._offset = self.log.events(self._offset)
        for event in events:
            try:
                self._take(event)
            except _STRANGE as error:  # of another version, or broken: it changes nothing
                _log.warning("%s: %.100r makes no sense, and is left out (%s).",
                             self.log.path, event, error)  # fmt: skip
        return self._known

    def _take(self, event: Mapping[str, Any]) -> None:
        since, process = self._since, self._process
        if event.get("event") in ("started", "finished", "failed"):
            since = float(event.get("time") or 0.0)
        if event.get("event") == "started":
            process = int(event.get("pid", 0)), since
        self._known = self._follow(self._known, [event])
        self._since, self._process = since, process

    def _heard_of(self, launched: Launch) -> bool:
        return self._since >= launched.time - _ROUNDED

    def _before_the_first_word(self, launched: Launch) -> Known:
        if alive(launched.pid):
            return self._changed(self._known, "starting")
        known = self._read()
        return known if self._heard_of(launched) else self._not_started(
            known, last_words(self.log.path)
        )  # fmt: skip
