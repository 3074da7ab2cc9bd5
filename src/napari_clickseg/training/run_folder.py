"""A run's folder: what was asked for, what happened, and the models.

`spec.json` is the completed spec, `split.json` says which images it began with, `events.jsonl` has
a line for each event, `last.ckpt` is where a run is resumed, `best.safetensors` is the model. Needs
no torch, so that napari can look at a run that goes on in another process.
"""

from __future__ import annotations

import errno
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from napari_clickseg.runs.log import EventLog
from napari_clickseg.training.spec import SpecError, TrainingSpec, read_spec
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path


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


class RunFolder(EventLog):
    """The folder of a run, with the log of what happens in it.

    Parameters
    ----------
    path : Path
        Need not be there yet.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.checkpoint = self.path / "last.ckpt"
        self.model = self.path / "best.safetensors"
        self.previews = self.path / "previews"

    def create(self, spec: TrainingSpec) -> None:
        """Make the folder for a new run.

        Raises
        ------
        RunError
            If there is a run already, or nothing can be written there.
        """
        begun = self.checkpoint.exists()
        if self.events_path.exists():
            # What is to be known of a run may be noted before the process that trains begins it.
            kinds = {event["event"] for event in self.events()[0]}
            begun = begun or kinds != {"message"}
        if begun:
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
            raise RunError(f"{self.path} is not a run: spec.json is missing.")
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
        from pydantic import TypeAdapter

        try:
            sets = TypeAdapter(Sets).validate_json(path.read_bytes())
            if not 0 < sets.zoom < math.inf:
                raise ValueError("the zoom makes no sense")
            return sets
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path} is broken, so the run can't be resumed; start another one."
            ) from error

    def keep_sets(self, sets: Sets) -> None:
        """Keep which images the run begins with."""
        text = json.dumps(asdict(sets), indent=2) + "\n"
        write_whole(self.path / "split.json", lambda path: path.write_text(text, encoding="utf-8"))

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
        import torch

        try:
            state: dict[str, Any] = torch.load(
                self.checkpoint, map_location="cpu", weights_only=True
            )
        except Exception as error:
            raise RunError(
                f"{self.checkpoint} is broken, so the run can't be resumed; start another one."
            ) from error
        return state
