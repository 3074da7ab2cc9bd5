"""Builds networks; the only module that imports segmentation_models_pytorch.

The import takes seconds, so it happens when a network is built and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg.core.guidance import input_channels

if TYPE_CHECKING:
    from torch import nn

    from napari_clickseg.models.card import ModelCard

__all__ = ["NetworkError", "build_network", "create"]


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
        Name of encoder weights, such as ``"imagenet"``; they are downloaded. None: random.

    Raises
    ------
    NetworkError
        If a name is unknown, an option does not fit, or weights cannot be had.
    """
    import segmentation_models_pytorch as smp

    try:
        network: nn.Module = smp.create_model(
            arch=architecture,
            encoder_name=encoder,
            encoder_weights=weights,
            in_channels=channels,
            classes=classes,
            **(options or {}),
        )
    except _REFUSALS as error:
        lines = str(error).strip("'\" \n").splitlines() or [type(error).__name__]
        raise NetworkError(
            f"No network '{architecture}' with encoder '{encoder}' can be built ({lines[0]}); "
            "choose others, or update segmentation-models-pytorch."
        ) from error
    return network


def build_network(card: ModelCard) -> nn.Module:
    """Build the network that a card describes, with random weights, in eval mode.

    Raises
    ------
    NetworkError
        If the card names an architecture, encoder or option that is not known here.
    """
    network = create(
        card.architecture,
        card.encoder,
        channels=input_channels(card.encoding, card.image_channels),
        classes=card.outputs,
        options=card.options,
    )
    return network.eval()
