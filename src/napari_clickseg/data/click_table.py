"""Clicks that were placed by a program, for many images: `clicks.json` of a cross-fitting.

They are kept apart from the images, so that they can be looked at, edited, and drawn as crisply
as at run time after an image was turned, stretched and blurred.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.paths import read_text

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_VERSION = 1


class TableImage(BaseModel):
    """An image that a table of clicks is about."""

    model_config = ConfigDict(frozen=True)

    image: str  # its name in the project
    file: str  # its path, from the table's folder
    prediction: str = ""  # of the prediction that the clicks correct, likewise; "" without one
    fold: int = 0


class TableClick(BaseModel):
    """A click: y and x in data pixels, why it is there, and for which region."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    image: str
    y: float
    x: float
    kind: Literal["tp", "fp", "fn"]
    region: int = Field(0, ge=0)  # as in regions.csv; 0: of none, as when a user put it there
    fold: int = 0

    @property
    def positive(self) -> bool:
        """Whether it says that something belongs to the object."""
        return self.kind != "fp"


class ClickTable(BaseModel):
    """All clicks of a cross-fitting."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    images: tuple[TableImage, ...] = ()
    clicks: tuple[TableClick, ...] = ()

    @cached_property
    def by_image(self) -> dict[str, tuple[TableClick, ...]]:
        """The clicks on each image that has any, by its name."""
        by_name: dict[str, list[TableClick]] = {}
        for click in self.clicks:
            by_name.setdefault(click.image, []).append(click)
        return {name: tuple(clicks) for name, clicks in by_name.items()}

    def to_json(self) -> str:
        """Return the text of the file, a line for each image and click."""
        lines = [f'{{"schema_version": {self.schema_version},']
        for name, rows in (("images", self.images), ("clicks", self.clicks)):
            lines.append(f'"{name}": [')
            lines.append(",\n".join(row.model_dump_json() for row in rows))
            lines.append("]," if name == "images" else "]}")
        return "\n".join(lines) + "\n"


def read_click_table(path: Path) -> ClickTable:
    """Read a table of clicks.

    Raises
    ------
    ProjectError
        If it can't be read, or is of a newer version of this program.
    """
    try:
        table = ClickTable.model_validate_json(read_text(path))
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        detail = error.errors()[0]
        first = f"{'.'.join(str(p) for p in detail['loc']) or 'file'}: {detail['msg']}"
        raise ProjectError(f"{path} is not a table of clicks ({first}); mend it.") from error
    if table.schema_version > SCHEMA_VERSION:
        raise ProjectError(
            f"{path} has version {table.schema_version}, this program knows up to "
            f"{SCHEMA_VERSION}; update napari-clickseg."
        )
    return table
