"""What is known of an image's objects beyond their pixels: `clicks/NAME.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.places import read_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SCHEMA_VERSION", "Annotations", "ObjectNote", "ProjectClick", "read_clicks"]

SCHEMA_VERSION = 1


class ProjectClick(BaseModel):
    """A click that an object was made with: y and x in data pixels, and the object's id."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    y: float
    x: float
    positive: bool = True
    object: int | None = Field(None, ge=1, le=2**32 - 1)


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
