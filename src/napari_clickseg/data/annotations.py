"""What is known of an image's objects beyond their pixels: `clicks/NAME.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_clickseg.core.clicks import Click, PromptError
from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.paths import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg.core.gestures import Gesture

SCHEMA_VERSION = 1


class ProjectClick(BaseModel):
    """A click that an object was made with: y and x in data pixels, and the object's id.

    What was drawn instead has its `points` as well: of a box its first and last corner. It stands
    for a click in the middle of them, which is all that earlier versions read of it.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    y: float
    x: float
    positive: bool = True
    object: int | None = Field(None, ge=1, le=2**32 - 1)
    drawn: Literal["box", "scribble", "lasso"] | None = None
    points: tuple[tuple[float, float], ...] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _ = self.gesture
        return self

    @classmethod
    def of(cls, gesture: Gesture, identifier: int | None = None) -> ProjectClick:
        """Note a gesture, of the object with an id."""
        if isinstance(gesture, Click):
            at, more = (gesture.y, gesture.x), {}
        elif isinstance(gesture, DrawnBox):
            points = ((gesture.top, gesture.left), (gesture.bottom, gesture.right))
            at = (gesture.top + gesture.bottom) / 2, (gesture.left + gesture.right) / 2
            more = {"drawn": "box", "points": points}
        elif isinstance(gesture, Scribble):
            at = gesture.points[len(gesture.points) // 2]
            more = {"drawn": "scribble", "points": gesture.points}
        else:
            y, x = np.mean(gesture.points, axis=0)
            at, more = (float(y), float(x)), {"drawn": "lasso", "points": gesture.points}
        noted = {"y": at[0], "x": at[1], "positive": gesture.positive, "object": identifier, **more}
        return cls.model_validate(noted)

    @property
    def gesture(self) -> Gesture:
        """What it notes."""
        points = self.points or ()
        if self.drawn is None:
            return Click(self.y, self.x, self.positive)
        if self.drawn == "scribble":
            return Scribble(points, self.positive)
        if self.drawn == "lasso":
            return Lasso(points, self.positive)
        if len(points) != 2:
            raise PromptError(f"A box has two corners, not {len(points)}.")
        return DrawnBox(*points[0], *points[1])


class ObjectNote(BaseModel):
    """How an object came about: the model's score, how many clicks it took, the model's name."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    score: float | None = None
    clicks: int | None = Field(None, ge=0)
    model: str = Field("", max_length=1000)

    def __bool__(self) -> bool:
        return self.score is not None or self.clicks is not None or bool(self.model)


class Annotations(BaseModel):
    """What is known of an image's objects: clicks in order, classes, and how they came about."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    clicks: tuple[ProjectClick, ...] = ()
    classes: Mapping[int, int] = {}
    objects: Mapping[int, ObjectNote] = {}

    def __bool__(self) -> bool:
        return bool(self.clicks or self.classes or self.objects)

    def to_json(self) -> str:
        """Return the text of the file."""
        without = None if self.objects else {"objects"}
        return self.model_dump_json(exclude_none=True, exclude=without) + "\n"


def read_clicks(path: Path) -> Annotations:
    """Read a file of clicks.

    Raises
    ------
    ProjectError
        If it holds none, or is of a newer version of this program.
    """
    try:
        raw = json.loads(read_text(path))
        version = int(raw.get("schema_version", SCHEMA_VERSION))
    except (
        OSError,
        ValueError,
        AttributeError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ProjectError(f"{path} cannot be read as clicks; mend it or delete it.") from error
    if version > SCHEMA_VERSION:
        raise ProjectError(
            f"{path} has version {version}, this program knows up to {SCHEMA_VERSION}; update "
            "napari-clickseg."
        )
    try:
        return Annotations.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProjectError(f"{path} is not valid ({where}: {first['msg']}); mend it.") from error
