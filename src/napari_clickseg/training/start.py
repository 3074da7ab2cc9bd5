"""What a training starts from, and the card of the model that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_clickseg.models.card import (
    SCHEMA_VERSION,
    DataSource,
    ModelCard,
    ObjectsSpec,
    WindowSpec,
)
from napari_clickseg.models.checkpoint import load_network, read_card
from napari_clickseg.models.network import NetworkError, build_network, create
from napari_clickseg.models.pretrained import input_range
from napari_clickseg.models.registry import find_model
from napari_clickseg.models.scaling import rescale
from napari_clickseg.models.transfer import InputLayout, transfer
from napari_clickseg.training.defaults import automatic
from napari_clickseg.training.loop.work import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from napari_clickseg.core.guidance import Encoding
    from napari_clickseg.data.sets.dataset import ClassMap
    from napari_clickseg.models.card import InputRange
    from napari_clickseg.training.spec import TrainingSpec

_IMAGENET, _SCRATCH, _DEFAULT = "imagenet", "scratch", "default"
_IMAGENET_DATA = DataSource(
    name="ImageNet",
    images=1_281_167,
    licence="for research and teaching (image-net.org)",
    citation="Deng et al., CVPR 2009",
)


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Parameters
    ----------
    network : torch.nn.Module
        On the CPU.
    card : ModelCard
        Of the model that will be made.
    before : ModelCard or None
        Of the model that this one is compared with: the start, or the default one where that is
        ImageNet's; None from scratch.
    """

    network: nn.Module
    card: ModelCard
    trained_encoder: bool
    before: ModelCard | None


def start_network(
    spec: TrainingSpec,
    classes: ClassMap,
    *,
    zoom: float,
    images: int,
    warn: Callable[[str], object],
    span: int = 0,
) -> Start:
    """Build the network and give it the weights it starts with.

    Parameters
    ----------
    spec : TrainingSpec
        Completed.
    classes : ClassMap
        What is learned.
    zoom : float
        Network pixels for an image pixel where no click says where to look.
    images : int
        Images that are trained on, for the card.
    warn : callable
        Is told what could not be had, in a line.
    span : int
        Image pixels that a large object is long; 0 where that is not known.

    Raises
    ------
    NetworkError
        If there is no such architecture or encoder, or the two don't go together.
    ModelFileError
        If there is no such model, or its file can't be used.
    TrainingError
        If the network does not fit the windows.
    """
    import torch

    torch.manual_seed(spec.seed)
    named = spec.start if spec.start not in (_IMAGENET, _SCRATCH) else _DEFAULT
    entry = find_model(named)
    before = read_card(entry.path)
    card = _card(spec, before, classes, zoom)
    if spec.task == "instances":
        card = card.model_copy(update=_telling_apart(span))
    trained = _imagenet_weights(card, warn) if spec.start == _IMAGENET else None
    if trained is not None:
        card = _with_range(card, input_range(card.encoder))
    network = build_network(card)
    _check(network, card)
    taken, started_from = False, _SCRATCH
    data: tuple[DataSource, ...] = ()
    if trained is not None:
        taken = transfer(
            network, trained, InputLayout("image", 3), InputLayout.of(card), "encoder"
        ).encoder
        started_from, data = _IMAGENET, (_IMAGENET_DATA,)
    if spec.start != _SCRATCH and not taken:
        known, _ = load_network(entry.path, expected_sha256=entry.sha256)
        source, target = InputLayout.of(before), InputLayout.of(card)
        fresh = {name: value.detach().clone() for name, value in network.named_parameters()}
        done = transfer(network, known.state_dict(), source, target, spec.start_parts)
        if spec.task != "click":
            rescale(network, fresh, _example(card))
        taken = done.encoder
        if not done.copied:
            warn(
                f"The network differs from that of '{before.name}', so nothing of it could be "
                "taken: training begins from scratch."
            )
        else:
            started_from, data = before.name, before.data
            if not done.encoder:
                warn(f"Only a part of the weights of '{before.name}' fits this network.")
    card = card.model_copy(update=_origin(spec, started_from, data, images))
    return Start(network, card, taken, None if spec.start == _SCRATCH else before)


def _origin(
    spec: TrainingSpec, started_from: str, data: tuple[DataSource, ...], images: int
) -> dict[str, Any]:
    """Return what the card says of where the weights are from."""
    own = DataSource(name=spec.project, images=images, licence="not stated")
    training = {"spec": spec.model_dump(mode="json"), "started_from": started_from}
    return {"data": (*data, own), "training": training}


def _imagenet_weights(card: ModelCard, warn: Callable[[str], object]) -> dict[str, Tensor] | None:
    """Return a network's weights whose encoder learned ImageNet; None where they can't be had."""
    try:
        trained = create(
            card.architecture, card.encoder, channels=3, classes=1, options=card.options,
            weights=_IMAGENET,
        )  # fmt: skip
    except NetworkError as error:
        warn(
            f"ImageNet weights of {card.encoder} could not be had ({_short(error)}); training "
            "goes on from the default model's weights as far as they fit."
        )
        return None
    return dict(trained.state_dict())


def _with_range(card: ModelCard, known: InputRange | None) -> ModelCard:
    fitted = None if known is None else known.fitted(card.image_channels)
    return card.model_copy(update={"input_range": fitted})


def _short(error: Exception) -> str:
    text = str(error)
    return text[text.find("(") + 1 : text.rfind(")")][:160] if "(" in text else text[:160]


def _card(spec: TrainingSpec, before: ModelCard, classes: ClassMap, zoom: float) -> ModelCard:
    """Make the card, but for where the weights are from."""
    alike = spec.architecture in ("", before.architecture) and spec.encoder in ("", before.encoder)
    from_clicks = before.encoding != "image" and spec.task == "click"
    encoding = _encoding(spec, before)
    beside = before.fusion == "beside" and encoding == before.encoding
    card = ModelCard(
        name=spec.name,
        description=_description(spec, classes),
        architecture=spec.architecture or before.architecture,
        encoder=spec.encoder or before.encoder,
        options=spec.options or (before.options if alike else {}),
        encoding=encoding,
        fusion="beside" if beside else "input",
        guidance_widths=before.guidance_widths if beside else (),
        image_channels=spec.image_channels,
        disk_radius=_disk_radius(spec, before),
        classes=classes.names,
        class_ids=classes.output_ids,
        overlapping=spec.task == "multilabel",
        automatic=automatic(spec),
        window=_window(spec, before, zoom),
        scouting=before.scouting if from_clicks and spec.start != _SCRATCH else None,
        licence="not stated",
    )
    return _with_range(card, before.input_range if alike and spec.start != _SCRATCH else None)


def _telling_apart(span: int) -> dict[str, Any]:
    """Return what the card of a model that tells objects apart says besides."""
    objects = ObjectsSpec(span=span) if span else ObjectsSpec()
    return {"objects": objects, "schema_version": SCHEMA_VERSION}


def _description(spec: TrainingSpec, classes: ClassMap) -> str:
    if spec.task == "click":
        return "Outlines the object that is clicked on, in images like those it was trained on."
    names = ", ".join(classes.names)
    each = "; tells objects that touch apart" if spec.task == "instances" else ""
    return f"Finds {names} without any click{each}."


def _encoding(spec: TrainingSpec, before: ModelCard) -> Encoding:
    if spec.task != "click":
        return "image"
    # A start that is told more goes on being told.
    knows_more = spec.encoding == "channels" and before.encoding in ("likeness", "prompts")
    return before.encoding if knows_more else spec.encoding


def _disk_radius(spec: TrainingSpec, before: ModelCard) -> float:
    if before.encoding in ("channels", "likeness", "prompts"):
        return before.disk_radius * spec.size / before.window.size
    return 4.0 * spec.size / 256


def _window(spec: TrainingSpec, before: ModelCard, zoom: float) -> WindowSpec:
    known: dict[str, Any] = before.window.model_dump() if spec.task == "click" else {}
    return WindowSpec(**known | {"size": spec.size, "zoom": zoom if automatic(spec) else None})


def _example(card: ModelCard) -> Tensor:
    """Return a window of noise."""
    import torch

    from napari_clickseg.core.guidance import input_channels

    channels, size = input_channels(card.encoding, card.image_channels), card.window.size
    return torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(0))


def _check(network: nn.Module, card: ModelCard) -> None:
    """See that the network takes the windows and answers with one value for each pixel."""
    import torch

    size = card.window.size
    try:
        with torch.inference_mode():
            shape = tuple(network.eval()(_example(card)).shape)
    except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"{card.architecture} with {card.encoder} does not take windows of {size} pixels "
            f"({reason}); choose another size, encoder or architecture."
        ) from error
    if shape != (1, card.outputs, size, size):
        raise TrainingError(
            f"{card.architecture} with {card.encoder} answers {shape} for a window of {size} "
            "pixels; choose another encoder or architecture."
        )
