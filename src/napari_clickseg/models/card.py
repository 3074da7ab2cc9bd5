"""The model card: everything needed to rebuild a network and to know where it comes from."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

__all__ = [
    "SCHEMA_VERSION",
    "CardError",
    "DataSource",
    "InputRange",
    "ModelCard",
    "ObjectsSpec",
    "ScoutingSpec",
    "WindowSpec",
    "same_project",
]

SCHEMA_VERSION = 2
_FIRST_VERSION, _OBJECTS_VERSION = 1, 2  # a card says the first version that understands it
Fusion = Literal["input", "beside"]
GuidanceWidth = Annotated[int, Field(ge=1, le=1024)]
# Cards come with files of anybody's, so everything in them has bounds: far beyond what makes
# sense, and well below what hangs or asks for gigabytes.
_LONGEST_TEXT = 100_000
_LARGEST_ID = 2**32 - 1
_OPTION = re.compile(r"[a-z][a-z0-9_]{0,59}")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_MOST_OPTIONS = 32
_LARGEST_OPTION = 4096

Name = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
Id = Annotated[int, Field(ge=0, le=_LARGEST_ID)]
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]


class CardError(ValueError):
    """A model card that cannot be read."""


class DataSource(BaseModel):
    """A set of images that a model was trained on."""

    model_config = ConfigDict(frozen=True)

    name: Text
    images: int = Field(ge=0, le=10**12)
    licence: Text
    citation: Text = ""


class WindowSpec(BaseModel):
    """What part of the image the network sees; lengths in pixels."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    size: int = Field(256, ge=32, le=2048, multiple_of=32)  # side in network pixels
    margin: float = Field(1.4, ge=1.0, le=16.0)  # side over the longer side of the object's box
    first_span: int = Field(1024, ge=32, le=1 << 20)  # image pixels of the first look, at the most
    smallest_span: int = Field(48, ge=8, le=1 << 16)  # image pixels: limits how far it zooms in
    largest_span: int = Field(4096, ge=32, le=1 << 20)  # image pixels: limits how far it zooms out
    # Network pixels for an image pixel where the whole image is predicted, window by window,
    # without any click; None shows all of it in one window.
    zoom: float | None = Field(None, gt=0.01, le=16.0)


class ScoutingSpec(BaseModel):
    """From which distances the first click's object is looked for, see `scouting`."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    size: int = Field(128, ge=32, le=2048, multiple_of=32)  # side in network pixels
    looks: int = Field(5, ge=1, le=16)
    factor: float = Field(1.7, gt=1.0, le=8.0)  # by which each look is nearer
    weights: tuple[Weight, ...] = Field(max_length=256)  # of the first of `scouting.FEATURES`
    second_look: bool = False  # at what was chosen, in the same window at its full size


class ObjectsSpec(BaseModel):
    """How objects are told apart; see `core.instances`.

    The network then answers two maps more: how far a pixel is from its object's edge and middle.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    seed_height: float = Field(0.1, ge=0, le=1)  # see `SeparationRules`
    smallest: int = Field(1, ge=1, le=1 << 40)  # image pixels of an object, at the least
    span: int = Field(64, ge=1, le=1 << 20)  # image pixels that a large object is long


class InputRange(BaseModel):
    """What an image's channels, which are 0 to 1, become before the encoder sees them."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    mean: tuple[Weight, ...] = Field(min_length=1, max_length=32)  # taken off each channel
    std: tuple[Weight, ...] = Field(min_length=1, max_length=32)  # that each is divided by

    @model_validator(mode="after")
    def _consistent(self) -> InputRange:
        if len(self.mean) != len(self.std) or min(self.std) <= 1e-6 or max(self.std) > 1e6:
            raise ValueError("each channel has a mean, and a deviation above zero")
        return self

    def fitted(self, channels: int) -> InputRange:
        """Return the range for an image of so many channels: the mean one, if they are others."""
        n = len(self.mean)
        if channels == n:
            return self
        mean, std = sum(self.mean) / n, sum(self.std) / n
        return InputRange(mean=(mean,) * channels, std=(std,) * channels)


class ModelCard(BaseModel):
    """Card of a model; saved as JSON in the model's file.

    A network is rebuilt from `architecture`, `encoder`, `options`, `encoding`, `fusion`,
    `guidance_widths`, `input_range`, `image_channels` and `classes` alone.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    schema_version: int = _FIRST_VERSION
    name: Name
    description: Text = ""
    architecture: Name
    encoder: Name
    options: dict[str, Any] = Field(default_factory=dict, max_length=_MOST_OPTIONS)
    encoding: Literal["channels", "likeness", "prompts", "colour", "image"] = "channels"
    # Where guidance comes in: as inputs of the encoder, or beside it, see `models.guided`.
    fusion: Fusion = "input"
    # Channels at strides 1, 2, 4 …; of "beside".
    guidance_widths: tuple[GuidanceWidth, ...] = Field((), max_length=16)
    input_range: InputRange | None = None  # None: the encoder is shown 0 to 1
    image_channels: int = Field(3, ge=1, le=32)
    disk_radius: float = Field(4.0, ge=0, le=256)  # network pixels
    classes: tuple[Text, ...] = ("object",)  # foreground classes, in the order of their ids
    class_ids: tuple[Id, ...] = ()  # their ids in the masks it was trained on; none: from 1 on
    overlapping: bool = False  # a pixel may belong to several classes (multilabel)
    automatic: bool = False  # predicts without any click
    window: WindowSpec = WindowSpec()
    scouting: ScoutingSpec | None = None  # without it the first look is at the whole view
    objects: ObjectsSpec | None = None  # of models that tell objects apart
    intensity_trim: float = Field(0.001, ge=0, lt=0.5)  # share of pixels beyond each limit
    licence: Text = "BSD-3-Clause"
    data: tuple[DataSource, ...] = Field((), max_length=100_000)
    metrics: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)  # recipe, seed, commit, duration
    limits: Text = ""

    @field_validator("options")
    @classmethod
    def _bounded(cls, options: dict[str, Any]) -> dict[str, Any]:
        for key, value in options.items():
            if not _OPTION.fullmatch(key) or not _is_option(value):
                raise ValueError(f"the option {key[:60]!r} makes no sense")
        return options

    @model_validator(mode="after")
    def _consistent(self) -> ModelCard:
        if self.encoding == "colour" and self.image_channels != 1:
            raise ValueError("the colour encoding takes one image channel")
        if self.fusion == "beside" and self.encoding in ("colour", "image"):
            raise ValueError("guidance beside the encoder needs channels of its own")
        if (self.fusion == "beside") != bool(self.guidance_widths):
            raise ValueError("guidance beside the encoder, and it alone, has widths")
        if self.input_range and len(self.input_range.mean) != self.image_channels:
            raise ValueError("the input range is not of as many channels as the image")
        if self.encoding == "image" and not self.automatic:
            raise ValueError("a model that takes no clicks has to predict without them")
        if self.objects is not None and (self.encoding != "image" or self.overlapping):
            raise ValueError("a model that tells objects apart takes no clicks and no overlaps")
        if self.objects is not None and self.schema_version < _OBJECTS_VERSION:
            raise ValueError(f"telling objects apart takes a card of version {_OBJECTS_VERSION}")
        if self.class_ids and len(self.class_ids) != len(self.classes):
            raise ValueError("there are not as many ids as classes")
        if not 1 <= len(self.classes) <= 255:
            raise ValueError("a model has 1 to 255 classes")
        return self

    @property
    def outputs(self) -> int:
        """Output channels: those of the classes, and the two distances in objects if it has any."""
        return self.class_outputs + (0 if self.objects is None else 2)

    @property
    def class_outputs(self) -> int:
        """Output channels: one for each class (sigmoid), or background and classes (softmax).

        There is no background where there is one class, or where classes overlap.
        """
        several = len(self.classes) > 1 and not self.overlapping
        return len(self.classes) + 1 if several else len(self.classes)

    @property
    def ids_of_classes(self) -> tuple[int, ...]:
        """The id of each class in masks."""
        return self.class_ids or tuple(range(1, len(self.classes) + 1))

    @property
    def refusal_without_clicks(self) -> str:
        """Why the model can't predict by itself; empty if it can."""
        if self.automatic:
            return ""
        return (
            f"The model '{self.name}' needs clicks; train one that does not: with the task “one "
            "class, no clicks” (clickseg train --set task=binary) or “classes, no clicks” "
            "(multiclass), or by click training (clickseg crossfit)."
        )

    @property
    def helped(self) -> str:
        """Whether its training helped, in the words of `training.verdict`; empty if unknown."""
        return str(self.training.get("helped", ""))

    def learned_from(self, project: os.PathLike[str] | str) -> bool:
        """Whether it was trained on a project, given by its folder or its table."""
        return any(same_project(source.name, project) for source in self.data)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card.

        Raises
        ------
        CardError
            If the text is no card, or one of a newer version of this program.
        """
        import json

        try:
            raw = json.loads(text)
            version = int(raw.get("schema_version", 0))
        except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
            raise CardError("The model's card cannot be read; get the file again.") from error
        if version > SCHEMA_VERSION:
            raise CardError(
                f"The model's card has version {version}, this program knows up to "
                f"{SCHEMA_VERSION}; update napari-clickseg."
            )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "card"
            raise CardError(
                f"The model's card is not valid ({where}: {first['msg']}); get the file again."
            ) from error


def same_project(one: os.PathLike[str] | str, other: os.PathLike[str] | str) -> bool:
    """Whether two paths, of a folder or of a table in it, are of one project."""
    return _folder(one) == _folder(other)


def _folder(project: os.PathLike[str] | str) -> str:
    """Return a project's folder, written one way only."""
    path = os.path.realpath(os.path.expanduser(os.fspath(project)))
    return os.path.dirname(path) if path.endswith(".csv") else path


def _is_option(value: object, depth: int = 2) -> bool:
    """Whether a value is a small number, a word, or a short list or table of them."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return abs(value) <= _LARGEST_OPTION
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    if isinstance(value, dict):
        parts = [*value.keys(), *value.values()]
    else:
        parts = list(value) if isinstance(value, list | tuple) else [object()]
    return (
        depth > 0 and len(parts) <= _MOST_OPTIONS and all(_is_option(p, depth - 1) for p in parts)
    )
