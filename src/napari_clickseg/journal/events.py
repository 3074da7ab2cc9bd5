"""What happens while an image is annotated, and how that is noted in a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter

from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.journal.notation import PlaneNote, RelabellingNote, SceneNote
from napari_clickseg.journal.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.core.plane import Plane
    from napari_clickseg.journal.relabelling import Relabelling

VERSION = 1


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Began(_Line):
    """The first line: which image it is about.

    Parameters
    ----------
    shape : tuple of int
        Of the image's finest level.
    digest : str
        See `store.image_digest`.
    labels : tuple of int
        Shape of the annotation.
    at : str
        Date and time, with the time zone.
    """

    what: Literal["began"] = "began"
    version: int = VERSION
    shape: tuple[NonNegativeInt, ...]
    dtype: str
    digest: str
    channel_axis: NonNegativeInt | None = None
    labels: tuple[NonNegativeInt, ...]
    at: str = ""


class Modelled(_Line):
    """From here on, this model answers."""

    what: Literal["model"] = "model"
    name: str
    sha256: str = ""


class Viewing(_Line):
    """From here on, the model sees the image so, and masks are made of its answers so.

    Parameters
    ----------
    contrast : (float, float), optional
        Contrast limits; without them the intensity range is measured.
    threshold, smooth, fill_holes, keep_clicked
        See `core.masks.Refinement`.
    """

    what: Literal["viewing"] = "viewing"
    contrast: tuple[float, float] | None = None
    threshold: float = 0.5
    smooth: float = 0.0
    fill_holes: bool = False
    keep_clicked: bool = False


class Classed(_Line):
    """From here on, ids mean this."""

    what: Literal["classes"] = "classes"
    classes: ProjectClasses


class Completed(_Line):
    """The user said whether all objects of a plane are labelled.

    Parameters
    ----------
    index : tuple of int
        The plane's position along every axis of the annotation, 0 along y and x.
    """

    what: Literal["complete"] = "complete"
    index: tuple[NonNegativeInt, ...]
    complete: bool


class Undone(_Line):
    """The last step was taken back."""

    what: Literal["undo"] = "undo"


class Redone(_Line):
    """The step that was taken back last was done again."""

    what: Literal["redo"] = "redo"


class SavedElsewhere(_Line):
    """What is in the labels now is saved elsewhere."""

    what: Literal["saved"] = "saved"


class _LaidLine(_Line):
    what: Literal["laid"] = "laid"
    change: RelabellingNote


class _SceneLine(_Line):
    what: Literal["scene"] = "scene"
    scene: SceneNote


class _StepLine(_Line):
    what: Literal["step"] = "step"
    plane: PlaneNote | None = None
    end: PlaneNote | None = None
    scene: SceneNote = SceneNote()
    writes: tuple[RelabellingNote, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Laid:
    """Labels that were there before: each of its pixels was changed from nothing to an id."""

    change: Relabelling


def _none() -> tuple[Relabelling, ...]:
    return ()


@dataclass(frozen=True, eq=False, slots=True)
class Stepped:
    """A step of the user.

    Parameters
    ----------
    plane, end : Plane, optional
        Where it happened, and the plane that it led to, if that is another one.
    writes : callable
        Returns what was written into the annotation. Called once, by who notes it.
    """

    before: Scene
    after: Scene
    plane: Plane | None = None
    end: Plane | None = None
    writes: Callable[[], tuple[Relabelling, ...]] = field(default=_none)


_Said: TypeAlias = (  # what is written as it is
    Began | Modelled | Viewing | Classed | Completed | Undone | Redone | SavedElsewhere
)
JournalEvent: TypeAlias = _Said | Laid | Stepped
Line: TypeAlias = _Said | _LaidLine | _SceneLine | _StepLine


class _AnyLine(BaseModel):
    said: Line = Field(discriminator="what")


_ADAPTER: TypeAdapter[Any] = TypeAdapter(_AnyLine)


def line_of(text: str) -> Line:
    """Return what a line says.

    Raises
    ------
    ValueError
        If it makes no sense.
    """
    line: Line = _ADAPTER.validate_json(f'{{"said":{text}}}').said
    return line


class Scribe:
    """Notes what happens, each scene by what made it of the one before.

    Parameters
    ----------
    scene : Scene
        The last one that was noted.
    past, future : sequence of (Scene, Scene)
        Before and after each step that is noted, and of those that are undone.
    """

    def __init__(
        self,
        scene: Scene | None = None,
        past: tuple[tuple[Scene, Scene], ...] = (),
        future: tuple[tuple[Scene, Scene], ...] = (),
    ) -> None:
        self._scene = scene if scene is not None else Scene()
        self._past, self._future = list(past), list(future)

    def texts(self, event: JournalEvent) -> list[str]:
        """Return the lines that note something, as JSON."""
        if isinstance(event, Laid):
            return [_LaidLine(change=RelabellingNote.of(event.change)).model_dump_json()]
        if isinstance(event, Stepped):
            return self._step(event)
        if isinstance(event, (Undone, Redone)):
            self._walk(back=isinstance(event, Undone))
        return [event.model_dump_json(exclude_none=True)]

    def _step(self, step: Stepped) -> list[str]:
        out = []
        between = SceneNote.between(self._scene, step.before)
        if between:  # something changed that was no step, as the next object's id
            out.append(_dump(_SceneLine(scene=between)))
        line = _StepLine(
            plane=PlaneNote.of(step.plane) if step.plane is not None else None,
            end=PlaneNote.of(step.end) if step.end is not None else None,
            scene=SceneNote.between(step.before, step.after),
            writes=tuple(map(RelabellingNote.of, step.writes())),
        )
        self._scene = step.after
        self._past.append((step.before, step.after))
        self._future = []
        return [*out, _dump(line)]

    def _walk(self, *, back: bool) -> None:
        if back and self._past:
            self._future.append(self._past.pop())
            self._scene = self._future[-1][0]
        elif not back and self._future:
            self._past.append(self._future.pop())
            self._scene = self._past[-1][1]


def _dump(line: BaseModel) -> str:
    return line.model_dump_json(exclude_none=True, exclude_defaults=False)
