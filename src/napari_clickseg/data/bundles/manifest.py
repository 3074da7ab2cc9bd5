"""What a bundle of a project holds: `manifest.json` names each file, its length and its SHA-256.

A bundle is a zip file with the project at its top, models in `models/` and runs in `runs/NAME/`.
What may lie where is listed here once, for whoever packs and whoever unpacks: tables, texts,
pictures and safetensors. Nothing in it can run, neither when it is unpacked nor when it is opened.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.images import SUFFIXES
from napari_clickseg.data.index import INDEX
from napari_clickseg.data.paths import is_outside, wrong_name

MANIFEST, MODELS, RUNS = "manifest.json", "models", "runs"
LONGEST_MANIFEST = 256 * 1024**2  # bytes
_TEXTS = ("", ".md", ".txt", ".rst", ".cff")
_ABOUT = ("readme", "licence", "license", "citation", "authors", "changelog")
_OF_RUNS = (".json", ".jsonl", ".csv", ".md", ".txt", ".png", ".tif", ".safetensors")
_ANY_RATIO = 1024**3  # bytes that may come out of a bundle however small it is
_LARGEST_RATIO = 100


class BundleError(ProjectError):
    """A bundle that can't be made or unpacked; the message says why and what to do."""


class BundledFile(BaseModel):
    """A file in a bundle.

    Parameters
    ----------
    length : int
        Bytes.
    sha256 : str
        Hexadecimal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int = Field(ge=0, le=1 << 50)
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """All files of a bundle by their names; nothing else may be in it."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    program: Annotated[str, Field(max_length=200)] = ""
    files: dict[str, BundledFile]

    @property
    def total(self) -> int:
        """How many bytes all files are together."""
        return sum(file.length for file in self.files.values())

    @classmethod
    def from_json(cls, text: bytes, bundle: str) -> Manifest:
        """Read a manifest; `bundle` is what messages call the file that it lies in.

        Raises
        ------
        BundleError
            If it makes no sense.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])[:100] or "all of it"
            raise BundleError(
                f"{bundle}: its {MANIFEST} makes no sense ({where}: {first['msg']}); get the "
                "bundle again, or update napari-clickseg."
            ) from error


def may_hold(name: str) -> bool:
    """Whether a bundle may hold a file of this name, a path with slashes."""
    path = PurePosixPath(name)
    if wrong_name(name) or is_outside(name) or "\\" in name or path.as_posix() != name:
        return False
    suffix, top = path.suffix.lower(), path.parts[0]
    stores = [k for k, part in enumerate(path.parts) if part.lower().endswith(".zarr")]
    visible = path.parts[: stores[0]] if stores else path.parts
    if any(part.startswith(".") for part in visible):  # notes and locks of whoever writes
        return False
    if top == RUNS:
        return len(path.parts) > 2 and suffix in _OF_RUNS
    if top == MODELS:
        return len(path.parts) == 2 and suffix == ".safetensors"
    if stores and stores[0] < len(path.parts) - 1:
        return suffix in ("", ".json", ".xml")  # chunks have numbers for names
    if top == "clicks":
        return suffix == ".json"
    if len(path.parts) == 1 and suffix in _TEXTS:
        return path.stem.lower().startswith(_ABOUT)
    tables = (INDEX, "classes.json", "predictions/review.csv")
    return name in tables or name.lower().endswith(SUFFIXES)


def most_bytes(packed: int) -> int:
    """Return how many bytes may come out of a bundle of so many, lest it fill the disk."""
    return max(_ANY_RATIO, _LARGEST_RATIO * packed)
