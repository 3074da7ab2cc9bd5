"""Weights of one network as the start of another one.

What has the same name and shape is copied. The first convolution is fitted where the two take
other input channels: trained filters for the image stay, new channels begin with nothing, so
that the network first answers as it did before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_clickseg.core.guidance import Encoding, input_channels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from torch import Tensor, nn

    from napari_clickseg.models.card import Fusion, ModelCard

_COUNTER = "num_batches_tracked"
_ENCODER = "encoder."
_ENTRY = "entry.0.weight"  # the first filters of a guidance branch beside the encoder


@dataclass(frozen=True, slots=True)
class InputLayout:
    """What the input channels of a network are, and which of them its encoder sees."""

    encoding: Encoding
    image_channels: int
    fusion: Fusion = "input"

    @property
    def channels(self) -> int:
        """How many there are."""
        return input_channels(self.encoding, self.image_channels)

    @property
    def of_encoder(self) -> InputLayout:
        """What the encoder sees: all, or the image alone where guidance joins beside it."""
        return self if self.fusion == "input" else InputLayout("image", self.image_channels)

    @classmethod
    def of(cls, card: ModelCard) -> InputLayout:
        """Return the layout that a card describes."""
        return cls(card.encoding, card.image_channels, card.fusion)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What became of the weights.

    Parameters
    ----------
    copied, fresh : int
        Tensors that were taken, and those that stay as they were.
    encoder : bool
        Whether all of the encoder was taken.
    """

    copied: int
    fresh: int
    encoder: bool


def transfer(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    source: InputLayout,
    target: InputLayout,
    parts: Literal["all", "encoder"] = "all",
) -> Transfer:
    """Put the weights of another network into this one, as far as they fit.

    Parameters
    ----------
    network : torch.nn.Module
        Of segmentation_models_pytorch; changed in place.
    weights : mapping of str to Tensor
        The other network's state.
    source, target : InputLayout
        Input channels of the other network and of this one.
    parts : {"all", "encoder"}
        What is taken.
    """
    state = network.state_dict()
    fitted = {_first(state, target.of_encoder.channels): (source.of_encoder, target.of_encoder)}
    if source.fusion == target.fusion == "beside":
        fitted[_ENTRY] = (source, target)
    taken: dict[str, Tensor] = {}
    for name, tensor in state.items():
        known = weights.get(name)
        if known is None or (parts == "encoder" and not name.startswith(_ENCODER)):
            continue
        if name in fitted and known.shape[0] == tensor.shape[0]:
            before, after = fitted[name]
            if known.shape[1] == before.channels and known.shape[2:] == tensor.shape[2:]:
                taken[name] = first_filters(known, before, after)
        elif known.shape == tensor.shape:
            taken[name] = known
    network.load_state_dict(taken, strict=False)
    named = [name for name in state if not name.endswith(_COUNTER)]
    encoder = [name for name in named if name.startswith(_ENCODER)]
    return Transfer(
        sum(name in taken for name in named),
        sum(name not in taken for name in named),
        bool(encoder) and all(name in taken for name in encoder),
    )


def first_filters(weights: Tensor, source: InputLayout, target: InputLayout) -> Tensor:
    """Fit the filters (F, channels, h, w) of a first convolution to other input channels.

    Filters for three colours that are to see a grey image are added up: so it is as if the grey
    had been shown to all three. Channels of clicks and of the previous mask that the source does
    not know begin at zero. A network for plain colour images sees the colour encoding's clicks
    in the colours that they are drawn in.
    """
    import torch

    image, guidance = _parted(weights, source)
    if source.encoding == "image" and target.encoding == "colour" and source.channels == 3:
        return weights.clone()
    fitted = _image_filters(image, target.image_channels)
    if target.encoding == "image":
        return fitted
    if target.encoding == "colour":
        return torch.cat([_widened(guidance, 2).flip(1), fitted], 1)
    wanted = target.channels - target.image_channels
    return torch.cat([fitted, _widened(guidance, wanted)], 1)


def _parted(weights: Tensor, layout: InputLayout) -> tuple[Tensor, Tensor]:
    """Return the filters of the image, and of positive clicks, negative clicks and the rest."""
    if layout.encoding == "colour":
        return weights[:, 2:], weights[:, :2].flip(1)
    return weights[:, : layout.image_channels], weights[:, layout.image_channels :]


def _widened(weights: Tensor, count: int) -> Tensor:
    """Return the first `count` filters; zeros where there are fewer."""
    import torch.nn.functional as F

    missing = count - weights.shape[1]
    return F.pad(weights, (0, 0, 0, 0, 0, missing)) if missing > 0 else weights[:, :count]


def _image_filters(weights: Tensor, count: int) -> Tensor:
    have = weights.shape[1]
    if have == count:
        return weights
    if have == 1 or count < have:
        mean = weights.mean(1, keepdim=True)
        return mean.repeat(1, count, 1, 1) * (have / count)
    cycle = [i % have for i in range(count)]
    return weights[:, cycle] * (have / count)


def _first(state: Mapping[str, Tensor], channels: int) -> str | None:
    """Return the name of the filters that see the input."""
    return next(
        (
            name
            for name, tensor in state.items()
            if name.startswith(_ENCODER) and tensor.ndim == 4 and tensor.shape[1] == channels
        ),
        None,
    )
