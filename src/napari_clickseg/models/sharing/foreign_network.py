"""What is said of a network that comes from elsewhere, which its file does not say itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.models.card import InputRange, ModelCard, WindowSpec
from napari_clickseg.models.checkpoint import ModelFileError

if TYPE_CHECKING:
    from pathlib import Path

# What is done to an image before: a word, and numbers; `OnnxNetwork` says which there are.
Step = tuple[str | float, ...]
Values = Literal["0-1", "0-255", "imagenet", "standardised"]
VALUES: tuple[Values, ...] = ("0-1", "0-255", "imagenet", "standardised")
_IMAGENET = InputRange(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_RANGES = {"0-255": InputRange(mean=(0.0,), std=(1 / 255,)), "imagenet": _IMAGENET}
_WINDOW = 256  # pixels, of a network that takes any


@dataclass(frozen=True, slots=True)
class ForeignNetwork:
    """What is said of it.

    Parameters
    ----------
    classes : tuple of str
        Without the background, in the order of its channels; none: they get numbers.
    overlapping : bool
        A pixel may be of several classes, and there is no background.
    channels : int
        Of the images that it takes; 0: as its file says.
    values : {"0-1", "0-255", "imagenet", "standardised"}
        What values it takes an image's for: as they are kept here, as those of a picture, with
        the statistics of ImageNet's images, or each window with a mean of 0 and a deviation of 1.
    outputs : {"", "logits", "probabilities"}
        What it answers with; "": as its last step says.
    window : int
        Pixels of a window; 0: as its file says.
    zoom : float
        Its pixels for one of the image.
    architecture, encoder : str
        Of segmentation_models_pytorch, where it comes as weights alone.
    options : dict
        Further arguments of the architecture.
    description : str
        What it is for; "": where it came from.
    steps : tuple of Step
        What is done to an image's values before, in place of `values`.
    """

    classes: tuple[str, ...] = ()
    overlapping: bool = False
    channels: int = 0
    values: Values = "0-1"
    outputs: Literal["", "logits", "probabilities"] = ""
    window: int = 0
    zoom: float = 1.0
    architecture: str = ""
    encoder: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    licence: str = "not stated"
    description: str = ""
    steps: tuple[Step, ...] = ()


def class_names(said: ForeignNetwork, channels: int) -> tuple[str, ...]:
    """Return the classes of a network that answers with so many channels.

    Raises
    ------
    ModelFileError
        If they are not as many as was said.
    """
    background = 0 if said.overlapping or channels == 1 else 1
    count = channels - background
    if not said.classes:
        return ("object",) if count == 1 else tuple(f"class {k + 1}" for k in range(count))
    if len(said.classes) == count:
        return said.classes
    if len(said.classes) == channels:
        raise ModelFileError(
            f"The network answers with {channels} channels, the first of which counts as the "
            f"background; name {count} classes without it, or say --overlapping if there is none."
        )
    raise ModelFileError(
        f"The network answers with {channels} channels: name {count} "
        f"class{'' if count == 1 else 'es'}, not {len(said.classes)}."
    )


def card_of(
    said: ForeignNetwork, path: Path, channels: int, outputs: int, **network: Any
) -> ModelCard:
    """Return the card of a network that takes images of `channels` and gives so many `outputs`.

    Raises
    ------
    ModelFileError
        If what was said makes no sense.
    """
    known = None if said.steps else _RANGES.get(said.values)
    options = dict(network.pop("options", {}))
    if said.steps:
        options["steps"] = [list(step) for step in said.steps]
    elif said.values == "standardised":
        options["standardised"] = True
    try:
        window = WindowSpec.model_validate(
            {"size": network.pop("window", 0) or said.window or _WINDOW, "zoom": said.zoom}
        )
        return ModelCard.model_validate(
            {
                "name": path.stem[:200],
                "description": said.description or f"Came from {path.name}.",
                "encoding": "image",
                "automatic": True,
                "classes": class_names(said, outputs),
                "overlapping": said.overlapping,
                "image_channels": channels,
                "input_range": None if known is None else known.fitted(channels),
                "window": window,
                "licence": said.licence,
                "options": options,
                **network,
            }
        )
    except ModelFileError:
        raise
    except ValueError as error:
        first = str(error).splitlines()
        raise ModelFileError(f"{path.name} can't be used here: {' '.join(first[1:3])}") from error
