"""All that a training run needs to know, as JSON.

The same spec is filled in by the form in napari, read by `clickseg train` and kept in the run's
folder. What is left at 0, "" or "auto" is chosen from the data, see `defaults.completed`.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

Outer = TypeVar("Outer", bound=BaseModel)
Task = Literal["click", "binary", "multiclass", "multilabel", "instances"]
# What a task is called in the Train widget, and wherever people read of it.
TASK_WORDS: dict[str, str] = {
    "click": "objects by clicks",
    "binary": "one class, no clicks",
    "multiclass": "classes, no clicks",
    "multilabel": "overlapping classes, no clicks",
    "instances": "all objects, each its own",
}
_SIDE = 32  # windows are a multiple of it, so that every encoder can halve them five times


class SpecError(ValueError):
    """A spec that can't be used; the message says which field, and why."""


class LossTerm(BaseModel):
    """One of the losses that are summed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        description="A loss of segmentation_models_pytorch, such as DiceLoss or FocalLoss."
    )
    weight: float = Field(1.0, gt=0, description="What it is multiplied with before the sum.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Its further arguments, such as gamma or smooth."
    )


class TrainingSpec(BaseModel):
    """All that a training run needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    project: str = Field(
        description="A project folder, a folder with images/ and masks/, or a CSV file with the "
        "columns image, mask and group."
    )
    name: str = Field("model", min_length=1, description="What the model will be called.")
    task: Task = Field(
        "click",
        description="click (objects by clicks): outlines the object that is clicked on. binary "
        "(one class, no clicks), multiclass (classes, no clicks), multilabel (overlapping classes, "
        "no clicks): finds the classes without any click. instances (all objects, each its "
        "own): finds the objects, and tells those apart that touch.",
    )
    scheme: Literal["auto", "instances", "classes"] = Field(
        "auto",
        description="What the ids of the masks are: objects, or classes. auto: as the project "
        "says, or as the masks look.",
    )
    classes: tuple[int, ...] = Field((), description="The ids to learn; none: all there are.")
    start: str = Field(
        "default",
        min_length=1,
        description="Weights to start from: 'default', the name or file of a model, 'imagenet' "
        "(of an installed package, else downloaded), or 'scratch'.",
    )
    start_parts: Literal["all", "encoder"] = Field(
        "all", description="Whether all weights of the start are taken, or its encoder's only."
    )
    architecture: str = Field(
        "", description="Architecture of segmentation_models_pytorch; empty: the start's."
    )
    encoder: str = Field(
        "", description="Encoder, with the prefix tu- where it is timm's; empty: the start's."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further arguments of the architecture."
    )
    encoding: Literal["channels", "colour"] = Field(
        "channels",
        description="How a click model is shown the clicks: in channels beside the image's, or as "
        "colours of a monochrome image. Other tasks have no clicks.",
    )
    image_channels: int = Field(
        0, ge=0, le=32, description="Channels of the image that the network takes; 0: from data."
    )
    freeze_encoder: bool = Field(
        False, description="Leave the encoder as it is: quick, and safe with very few images."
    )
    encoder_rate: float = Field(
        1.0,
        gt=0,
        le=10,
        description="The encoder's learning rate over the decoder's, where it starts trained.",
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of the last features left out at random in training."
    )
    losses: tuple[LossTerm, ...] = Field(
        (), description="Losses that are summed; none: those that suit the task."
    )
    class_weights: tuple[float, ...] | Literal["balanced"] | None = Field(
        None,
        description="Weight of background and each class in the losses (of each class alone where "
        "classes are learned one by one); balanced: rare ones count more.",
    )
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw",
        description="How weights follow their gradients: AdamW, or Muon, which learns more from a "
        "batch and takes longer over it.",
    )
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Learning rate at its highest.")
    weight_decay: float = Field(1e-2, ge=0, le=1, description="Weight decay.")
    schedule: Literal["cosine", "plateau", "constant"] = Field(
        "cosine",
        description="How the learning rate falls: along a cosine, whenever validation gets no "
        "better, or not at all.",
    )
    warm_up: float = Field(
        0.05, ge=0, lt=1, description="Share of the training in which the learning rate rises."
    )
    epochs: int = Field(0, ge=0, description="At the most; 0: from data.")
    windows: int = Field(
        0, ge=0, description="Windows cut from the images in an epoch; 0: from data."
    )
    size: int = Field(
        0,
        ge=0,
        le=2048,
        multiple_of=_SIDE,
        description="Side of the windows in pixels, a multiple of 32; 0: from data.",
    )
    batch: int = Field(0, ge=0, description="Windows learned from at a time; 0: from data.")
    accumulate: int = Field(
        1, ge=1, description="Batches whose gradients are added up before the weights change."
    )
    clip: float = Field(1.0, ge=0, description="Longest gradient; 0 does not limit it.")
    ema: float = Field(
        0.98,
        ge=0,
        lt=1,
        description="Memory of the moving average of the weights, which is what is kept; 0 keeps "
        "the weights themselves.",
    )
    amp: bool = Field(
        True, description="Half precision where the processor or graphics card is quick at it."
    )
    patience: int = Field(
        15, ge=0, description="Epochs without getting better after which it ends; 0: never."
    )
    metric: str = Field(
        "auto", description="Figure on the validation images by which the best weights are chosen."
    )
    augmentation: Literal["none", "light", "strong", "auto"] = Field(
        "auto", description="How much the windows are turned, stretched, blurred and shaded."
    )
    click_probability: float = Field(
        0.9,
        ge=0,
        le=1,
        description="Share of a click model's windows with clicks, if it is to answer without "
        "any as well.",
    )
    clicks: Literal["simulated", "fixed", "both"] = Field(
        "simulated",
        description="Clicks that a click model learns from: on its own errors as it learns, those "
        "of a table (from clickseg crossfit), or both.",
    )
    clicks_from: str = Field("", description="The table of clicks, for clicks=fixed and both.")
    whole: bool = Field(
        False,
        description="A click model finds all that is labelled as one thing, without any click, "
        "and clicks correct that.",
    )
    learn_all: bool = Field(
        False,
        description="Learn from the validation images as well, and keep the last epoch: for a "
        "final model, once its settings were measured. Its figures flatter.",
    )
    validation_share: float = Field(
        0.2, gt=0, lt=1, description="Share of the images that are kept for validation."
    )
    folds: int = Field(
        0, ge=0, description="Cut into so many folds, of which one validates; 0: one split."
    )
    fold: int = Field(0, ge=0, description="Which fold validates, from 0.")
    split_by: Literal["group", "image"] = Field(
        "group",
        description="Whether images of one group (patient, specimen, field) stay together; if not, "
        "the figures flatter.",
    )
    seed: int = Field(0, ge=0, description="Decides all that is drawn at random.")
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    corrupt: Literal["refuse", "skip"] = Field(
        "refuse", description="What happens where an image can't be read: refuse, or leave it out."
    )
    cache_mib: int = Field(
        2048, ge=0, description="Memory for the images in MiB; what does not fit is read again."
    )

    @field_validator("size")
    @classmethod
    def _large_enough(cls, value: int) -> int:
        if 0 < value < 2 * _SIDE:
            raise ValueError("windows have a side of 64 pixels or more")
        return value

    @field_validator("batch")
    @classmethod
    def _at_least_two(cls, value: int) -> int:
        if value == 1:
            raise ValueError("batch normalisation needs two windows or more")
        return value

    def changed(self, **fields: Any) -> TrainingSpec:
        """Return a copy with other values, which are checked.

        Raises
        ------
        SpecError
            If a field is unknown, or a value makes no sense.
        """
        return _checked(self.model_dump() | fields)


def read_spec(path: Path | None, **fields: Any) -> TrainingSpec:
    """Read a spec's JSON file, with other values for some fields.

    Raises
    ------
    SpecError
        If the file can't be read, a field is unknown, or a value makes no sense.
    """
    return _checked((read_json(path) if path is not None else {}) | fields)


def read_json(path: Path, verb: str = "train") -> dict[str, Any]:
    """Read a JSON file with settings.

    Raises
    ------
    SpecError
        If it can't be read, or holds something else.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} is no JSON; see clickseg {verb} --schema.") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("training", {}), dict):
        raise SpecError(f"{path} holds no spec; see clickseg {verb} --schema.")
    return raw


def outer_spec(kind: type[Outer], raw: dict[str, Any], fields: dict[str, Any], verb: str) -> Outer:
    """Make a spec that holds a training's under "training".

    Parameters
    ----------
    raw, fields : dict
        Its own fields, and those of the training, either beside them or under "training"; the
        latter ones come first.
    verb : str
        Whose schema an error names.

    Raises
    ------
    SpecError
        If a field is unknown, or a value makes no sense.
    """
    own, more = _parted(kind, raw), _parted(kind, fields)
    both = own | more | {"training": own["training"] | more["training"]}
    try:
        return kind.model_validate(both)
    except ValidationError as error:
        raise SpecError(
            _message(error, {*kind.model_fields, *TrainingSpec.model_fields}, verb)
        ) from error


def _parted(kind: type[BaseModel], fields: dict[str, Any]) -> dict[str, Any]:
    """Put the training's fields under "training"."""
    own = {k: v for k, v in fields.items() if k in kind.model_fields and k != "training"}
    others = {k: v for k, v in fields.items() if k not in kind.model_fields}
    return own | {"training": dict(fields.get("training", {})) | others}


def _checked(raw: dict[str, Any]) -> TrainingSpec:
    try:
        return TrainingSpec.model_validate(raw)
    except ValidationError as error:
        raise SpecError(_message(error, TrainingSpec.model_fields, "train")) from error


def _message(error: ValidationError, fields: Collection[str], verb: str) -> str:
    """Return in a line what is wrong with a spec; of a name that is unknown, what it might be."""
    first = error.errors()[0]
    loc = [str(part) for part in first["loc"] if part != "training"]
    where = ".".join(loc) or "spec"
    if first["type"] == "extra_forbidden" and len(loc) == 1:
        like = get_close_matches(where, fields, 1)
        what = f"did you mean {like[0]}?" if like else f"see clickseg {verb} --schema."
        return f"{where}: there is no such setting; {what}"
    return f"{where}: {first['msg']}; see clickseg {verb} --schema."


def schema() -> dict[str, Any]:
    """Return the JSON schema of a spec."""
    return TrainingSpec.model_json_schema()
