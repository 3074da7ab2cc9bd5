"""A run's folder: what was asked for, what happened, and the models.

`spec.json` is the completed spec, `split.json` says which images it began with, `events.jsonl` has
a line for each event, `last.ckpt` is where a run is resumed, `best.safetensors` is the model. Needs
no torch, so that napari can look at a run that goes on in another process.
"""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.training.spec import SpecError, TrainingSpec, read_spec
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunError", "RunFolder", "Sets", "State", "alive"]

State = Literal["new", "running", "stopped", "finished", "failed"]
_SECOND = 1.0


class RunError(ValueError):
    """A run that can't begin or go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Sets:
    """The images that a run began with: a resumed one learns from them and no others.

    Parameters
    ----------
    folder : str
        The project's, as it was then.
    training, validation : tuple of str
        As in `Record.name`, in order.
    zoom : float
        Network pixels for an image pixel where no click says where to look.
    """

    folder: str
    training: tuple[str, ...]
    validation: tuple[str, ...]
    zoom: float


class RunFolder:
    """The folder of a run.

    Parameters
    ----------
    path : Path
        Need not be there yet.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.events_path = self.path / "events.jsonl"
        self.checkpoint = self.path / "last.ckpt"
        self.model = self.path / "best.safetensors"
        self.previews = self.path / "previews"
        self.listener: Callable[[dict[str, Any]], object] | None = None  # is told each event
        self._last_batch = 0.0

    def create(self, spec: TrainingSpec) -> None:
        """Make the folder for a new run.

        Raises
        ------
        RunError
            If there is a run already, or nothing can be written there.
        """
        if self.events_path.exists() or self.checkpoint.exists():
            raise RunError(f"{self.path} holds a run already; resume it, or choose another folder.")
        try:
            self.previews.mkdir(parents=True, exist_ok=True)
            self.write_spec(spec)
        except OSError as error:
            raise RunError(
                f"Nothing can be written to {self.path} ({error.strerror or error}); choose "
                "another folder."
            ) from error

    @property
    def spec(self) -> TrainingSpec:
        """The run's spec.

        Raises
        ------
        RunError
            If this is no run.
        """
        path = self.path / "spec.json"
        if not path.exists():
            raise RunError(f"{self.path} is no run: it has no spec.json.")
        try:
            return read_spec(path)
        except SpecError as error:
            raise RunError(f"{path}: {error}") from error

    def write_spec(self, spec: TrainingSpec) -> None:
        """Keep the spec, once it is completed."""
        text = spec.model_dump_json(indent=2) + "\n"
        write_whole(self.path / "spec.json", lambda path: path.write_text(text, encoding="utf-8"))

    @property
    def sets(self) -> Sets | None:
        """The images that the run began with; None where that was not kept.

        Raises
        ------
        RunError
            If the file is broken.
        """
        path = self.path / "split.json"
        if not path.exists():
            return None
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            training, validation = (tuple(map(str, raw[n])) for n in ("training", "validation"))
            return Sets(str(raw["folder"]), training, validation, float(raw["zoom"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{path} is broken, so the run can't be resumed; start another one."
            ) from error

    def keep_sets(self, sets: Sets) -> None:
        """Keep which images the run begins with."""
        text = json.dumps(asdict(sets), indent=2) + "\n"
        write_whole(self.path / "split.json", lambda path: path.write_text(text, encoding="utf-8"))

    def add(self, event: str, **values: Any) -> None:
        """Write an event; batches at most once a second.

        Raises
        ------
        OSError
            If the disk is full, and the like.
        """
        now = time.time()
        if event == "batch":
            if now - self._last_batch < _SECOND:
                return
            self._last_batch = now
        known = {"event": event, "time": round(now, 3)} | _plain(values)
        line = json.dumps(known) + "\n"
        with self.events_path.open("ab") as file:
            if file.tell() and not self._ends_whole():
                file.write(b"\n")  # after a line that was cut off
            file.write(line.encode())
        if self.listener is not None:
            self.listener(known)

    def events(self, after: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Read the events after an offset in bytes.

        Returns
        -------
        events : list of dict
            A half-written last line is left for the next time; broken lines are left out.
        offset : int
            Where to go on.
        """
        try:
            with self.events_path.open("rb") as file:
                file.seek(after)
                text = file.read()
        except FileNotFoundError:
            return [], after
        whole = text[: text.rfind(b"\n") + 1]
        found = (_event(line) for line in whole.splitlines())
        return [event for event in found if event is not None], after + len(whole)

    @property
    def state(self) -> State:
        """How far the run is. One that was killed counts as stopped: it can be resumed."""
        state: State = "new"
        for event in self.events()[0]:
            match event.get("event"):
                case "started":
                    there = alive(int(event.get("pid", 0)), event.get("time"))
                    state = "running" if there else "stopped"
                case "finished":
                    state = "stopped" if event.get("reason") == "stopped" else "finished"
                case "failed":
                    state = "failed"
        return state

    def request_stop(self) -> None:
        """Ask the run to end after the batch it is at."""
        (self.path / "stop").touch()

    def stop_requested(self) -> bool:
        """Whether the run was asked to end."""
        return (self.path / "stop").exists()

    def clear_stop(self) -> None:
        """Forget that it was asked; a resumed run begins so."""
        (self.path / "stop").unlink(missing_ok=True)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Keep what the run is resumed from: whole, or the one before stays.

        Raises
        ------
        OSError
            If the disk is full, and the like.
        """
        import torch

        def save(path: Path) -> None:
            try:
                torch.save(state, path)
            except RuntimeError as error:  # how torch says that the disk is full
                raise OSError(
                    errno.ENOSPC, f"the run's state can't be written ({error})"
                ) from error

        write_whole(self.checkpoint, save)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Return what `save_checkpoint` kept; None where there is nothing.

        Raises
        ------
        RunError
            If the file is broken.
        """
        if not self.checkpoint.exists():
            return None
        import pickle

        import torch

        try:
            state: dict[str, Any] = torch.load(
                self.checkpoint, map_location="cpu", weights_only=True
            )
        except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
            raise RunError(
                f"{self.checkpoint} is broken, so the run can't be resumed; start another one."
            ) from error
        return state

    def _ends_whole(self) -> bool:
        with self.events_path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


def alive(pid: int, at: float | None = None) -> bool:
    """Whether a process runs.

    Parameters
    ----------
    pid : int
        Its number.
    at : float, optional
        Seconds since the epoch when it was seen. Numbers are used again: one that began later is
        another process.
    """
    import psutil

    if pid <= 0:
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:  # it has ended; nobody asked how
            return False
        return at is None or process.create_time() <= at + 2 * _SECOND  # to the second
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # it is somebody else's
        return at is None


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _plain(value: Any) -> Any:
    """Return values that JSON knows: no NaN, no infinities, few digits."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if abs(value) < float("inf") else None
    return value
