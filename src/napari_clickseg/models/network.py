"""Builds networks; the only module that imports segmentation_models_pytorch.

The import takes seconds, so it happens when a network is built and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg.core.guidance import input_channels
from napari_clickseg.models.choices import TIMM, architectures, arguments, encoders, pretrained
from napari_clickseg.models.libraries import import_networks, without_values
from napari_clickseg.models.pretrained import PretrainedError, load_packaged, packaged_encoders

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_clickseg.models.card import InputRange, ModelCard
    from napari_clickseg.models.guided import Normalised

ARCHITECTURE_OF_ONNX = "onnx"  # what a card says of a network that came as ONNX


# What segmentation_models_pytorch and timm raise at names and options that they don't know.
_REFUSALS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


_OF_TOKENS = ("dpt",)  # their decoders take more than maps at each stride
# Arguments of architectures that are given otherwise, or not at all.
_NOT_OPTIONS = {
    "self", "kwargs", "encoder_name", "encoder_weights", "in_channels", "classes", "aux_params",
}  # fmt: skip


class NetworkError(ValueError):
    """No network can be built from what the card says."""


def create(
    architecture: str,
    encoder: str,
    *,
    channels: int,
    classes: int,
    options: dict[str, Any] | None = None,
    weights: str | None = None,
) -> nn.Module:
    """Create a network of segmentation_models_pytorch.

    Parameters
    ----------
    architecture, encoder : str
        Names as segmentation_models_pytorch (or timm, with the prefix ``tu-``) knows them.
    channels, classes : int
        Input and output channels.
    options : dict, optional
        Further arguments of the architecture, such as ``decoder_channels``.
    weights : str, optional
        Name of encoder weights, such as ``"imagenet"``: of an installed package where there is
        one, else downloaded. None: random.

    Raises
    ------
    NetworkError
        If a name is unknown, an option does not fit, or weights cannot be had.
    """
    import_networks()
    import segmentation_models_pytorch as smp

    _check_names(architecture, encoder, options or {})
    # timm would refuse those of another architecture, which _check_names lets pass.
    known = arguments(architecture)
    fitting = {name: value for name, value in (options or {}).items() if name in known}
    packaged = weights == "imagenet" and channels == 3 and encoder in packaged_encoders()
    try:
        with without_values():
            network: nn.Module = smp.create_model(
                arch=architecture,
                encoder_name=encoder,
                encoder_weights=None if packaged else weights,
                in_channels=channels,
                classes=classes,
                **fitting,
            )
    except _REFUSALS as error:
        lines = str(error).strip("'\" \n").splitlines() or [type(error).__name__]
        raise NetworkError(
            f"No network '{architecture}' with encoder '{encoder}' can be built ({lines[0]}); "
            "choose others, or update segmentation-models-pytorch."
        ) from error
    if packaged:
        try:
            load_packaged(network.get_submodule("encoder"), encoder)
        except PretrainedError as error:
            raise NetworkError(str(error)) from error
    return network


def _check_names(architecture: str, encoder: str, options: dict[str, Any]) -> None:
    """See that all names are those that the libraries list.

    They know others besides, by which they fetch networks from a server or read a folder, and
    names and options may be a stranger's.
    """
    known = encoder in encoders() or encoder.removeprefix(TIMM) in pretrained()
    if architecture not in architectures() or not known:
        raise NetworkError(
            f"No network '{architecture[:60]}' with encoder '{encoder[:60]}' is known; choose "
            "others, or update segmentation-models-pytorch."
        )
    # Another architecture's options are left out by those that have no use for them, so that
    # several can be compared with the same ones.
    listed = frozenset[str]().union(*map(arguments, architectures()))
    strange = sorted(set(options) - (listed - _NOT_OPTIONS))
    if strange:
        raise NetworkError(
            f"'{architecture}' takes no option {', '.join(strange)[:100]}; choose others."
        )


def build_network(card: ModelCard) -> nn.Module:
    """Build the network that a card describes, with random weights, in eval mode.

    Raises
    ------
    NetworkError
        If the card names an architecture, encoder or option that is not known here.
    """
    if card.architecture == ARCHITECTURE_OF_ONNX:
        raise NetworkError(
            f"'{card.name}' came as ONNX: it predicts, but nothing can be trained from it; choose "
            "another start."
        )
    channels = input_channels(card.encoding, card.image_channels)
    beside = card.fusion == "beside"
    network = create(
        card.architecture,
        card.encoder,
        channels=card.image_channels if beside else channels,
        classes=card.outputs,
        options=card.options,
    )
    known = card.input_range
    normalised = None if known is None else _normalised(known)
    if beside:
        network = _guided(network, card, channels, normalised)
    elif normalised is not None:
        network.register_forward_pre_hook(_ImageRange(normalised, card.image_channels))
    return network.eval()


def _normalised(known: InputRange) -> Normalised:
    from napari_clickseg.models.guided import Normalised

    return Normalised(known.mean, known.std)


def _guided(
    network: nn.Module, card: ModelCard, channels: int, normalised: Normalised | None
) -> nn.Module:
    from napari_clickseg.models.guided import GuidedNetwork

    try:
        if card.architecture.lower() in _OF_TOKENS:
            raise AttributeError
        return GuidedNetwork(
            network, channels, card.image_channels, card.guidance_widths, normalised
        )
    except (AttributeError, StopIteration) as error:
        raise NetworkError(
            f"'{card.architecture}' with encoder '{card.encoder}' can't take guidance beside its "
            "encoder; choose another architecture, or fusion 'input'."
        ) from error


class _ImageRange:
    """Brings the image among a network's inputs to its encoder's range; guidance stays."""

    def __init__(self, normalised: Normalised, image_channels: int) -> None:
        self.normalised, self.image_channels = normalised, image_channels

    def __call__(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        import torch

        values, n = inputs[0], self.image_channels
        image = self.normalised.to(values.device, values.dtype)(values[:, :n])
        return (torch.cat([image, values[:, n:]], 1), *inputs[1:])
