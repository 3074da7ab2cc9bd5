"""The classes of a project: `classes.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.paths import read_text

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_VERSION = 1
CLASSES_FILE = "classes.json"
_LARGEST_ID = 2**32 - 1


class ProjectClass(BaseModel):
    """A named class; where the scheme is "classes", its pixels in the masks have its id."""

    model_config = ConfigDict(frozen=True)

    id: int = Field(ge=1, le=_LARGEST_ID)
    name: str = Field(min_length=1, max_length=1000)
    colour: str = Field("#56B4E9", pattern=r"^#[0-9a-fA-F]{6}$")


class ProjectClasses(BaseModel):
    """What the ids in the masks of a project mean.

    With the scheme "classes" an id is a class's; with "instances" each object has an id of its
    own. 0 is the background. Pixels of the id `ignore` count as unknown.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    scheme: Literal["instances", "classes"] = "instances"
    classes: tuple[ProjectClass, ...] = ()
    ignore: int | None = Field(None, ge=1, le=_LARGEST_ID)

    @model_validator(mode="after")
    def _consistent(self) -> ProjectClasses:
        ids = [one.id for one in self.classes]
        if len(set(ids)) < len(ids):
            raise ValueError("two classes have the same id")
        if self.scheme == "classes" and self.ignore in ids:
            raise ValueError(f"{self.ignore} is a class and to be ignored at once")
        return self

    def to_json(self) -> str:
        """Return the text of a `classes.json`."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = CLASSES_FILE) -> ProjectClasses:
        """Read the text of a `classes.json`; `name` is what messages call it.

        Raises
        ------
        ProjectError
            If the text says no classes, or is of a newer version of this program.
        """
        try:
            raw = json.loads(text)
            version = int(raw.get("schema_version", SCHEMA_VERSION))
        except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
            raise ProjectError(f"{name} cannot be read; mend it or delete it.") from error
        if version > SCHEMA_VERSION:
            raise ProjectError(
                f"{name} has version {version}, this program knows up to {SCHEMA_VERSION}; update "
                "napari-clickseg."
            )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "classes"
            raise ProjectError(
                f"{name} is not valid ({where}: {first['msg']}); mend it."
            ) from error


def read_classes(folder: Path) -> ProjectClasses | None:
    """Read a project's classes; None where it has no `classes.json`.

    Raises
    ------
    ProjectError
        If the file says no classes, or is of a newer version of this program.
    """
    path = folder / CLASSES_FILE
    try:
        text = read_text(path)
    except FileNotFoundError:
        return None
    except ProjectError as error:
        raise ProjectError(f"{path} cannot be read; mend it or delete it.") from error
    return ProjectClasses.from_json(text, str(path))
