"""Networks whose guidance joins beside the encoder, so that the encoder sees the image alone.

The encoder keeps the statistics that it learned on plain images, and what it makes of a window can
be kept: a later prompt in the same window costs the guidance branch and the decoder only. The
branch sees image, prompts and previous mask; its maps are added to the encoder's at every stride,
and to the decoder's in the end. A small head estimates the overlap of the answer with what was
meant.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_WIDTHS = (16, 24, 48, 96, 144, 192)
_HIDDEN = 64  # units of the head that estimates the overlap


class Answer(NamedTuple):
    """What a guided network gives.

    Parameters
    ----------
    logits : Tensor (B, outputs, N, N)
    overlap : Tensor (B,)
        Logit of the estimated IoU with all of the object, in the window or not.
    """

    logits: Tensor
    overlap: Tensor


class Normalised(nn.Module):
    """Brings an image's channels from 0 … 1 to the range that an encoder expects.

    Parameters
    ----------
    mean, std : sequence of float
        Of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the image (B, C, N, N) in the encoder's range."""
        return (image - self.mean) / self.std


class GuidedNetwork(nn.Module):
    """A network of segmentation_models_pytorch with a guidance branch beside its encoder.

    Parameters
    ----------
    network : torch.nn.Module
        With encoder, decoder and segmentation_head; takes the image's channels alone.
    channels : int
        All inputs: the image's channels, then the guidance's.
    image_channels : int
        The first of them.
    widths : sequence of int
        Channels of the branch at strides 1, 2, 4, … ; as many as the encoder has strides, or
        fewer: those that remain get no guidance.
    normalised : Normalised, optional
        What the encoder expects.
    """

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        image_channels: int,
        widths: Sequence[int] = DEFAULT_WIDTHS,
        normalised: Normalised | None = None,
    ) -> None:
        super().__init__()
        self.image_channels = image_channels
        self.normalised = normalised or nn.Identity()
        self.encoder = network.get_submodule("encoder")
        self.decoder = network.get_submodule("decoder")
        self.segmentation_head = network.get_submodule("segmentation_head")
        encoded = [int(n) for n in self.encoder.out_channels][1:]  # type: ignore[union-attr]
        widths = tuple(widths)[: len(encoded) + 1]
        first = next(m for m in self.segmentation_head.modules() if isinstance(m, nn.Conv2d))
        self.entry = _block(channels, widths[0], stride=1)
        self.stages = nn.ModuleList(
            nn.Sequential(_block(a, b, stride=2), _block(b, b, stride=1))
            for a, b in pairwise(widths)
        )
        joins = zip(widths[1:], encoded, strict=False)
        self.joins = nn.ModuleList(_join(a, b) if b else nn.Identity() for a, b in joins)
        self.last_join = _join(widths[0], first.in_channels)
        self.overlap_head = nn.Sequential(
            nn.Linear(2 * first.in_channels + encoded[-1] + 1, _HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(_HIDDEN, 1),
        )

    def train(self, mode: bool = True) -> GuidedNetwork:
        """Set the mode; the encoder normalises by the statistics that it came with, always."""
        super().train(mode)
        self.encoder.eval()
        return self

    def features(self, image: Tensor) -> list[Tensor]:
        """Return what the encoder makes of the image (B, C, N, N), at each stride."""
        features: list[Tensor] = self.encoder(self.normalised(image))
        return features

    def answer(self, features: Sequence[Tensor], inputs: Tensor) -> Answer:
        """Answer prompts on an image whose features are known.

        Parameters
        ----------
        features : sequence of Tensor
            As `features` gave them.
        inputs : Tensor (B, K, N, N)
            The image's channels and the guidance's, as `core.guidance.encode` orders them.
        """
        guidance = entry = self.entry(inputs)
        joined = [features[0]]
        for k, encoded in enumerate(features[1:]):
            if k < len(self.stages):
                guidance = self.stages[k](guidance)
                if encoded.shape[1]:
                    encoded = encoded + _fitted(self.joins[k](guidance), encoded)
            joined.append(encoded)
        decoded = self.decoder(joined)
        decoded = decoded + _fitted(self.last_join(entry), decoded)
        logits = self.segmentation_head(decoded)
        return Answer(logits, self._overlap(logits, decoded, joined[-1]))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (B, outputs, N, N) of inputs (B, K, N, N)."""
        return self.assessed(inputs).logits

    def assessed(self, inputs: Tensor) -> Answer:
        """Answer inputs (B, K, N, N), and estimate how good the answer is."""
        return self.answer(self.features(inputs[:, : self.image_channels]), inputs)

    def _overlap(self, logits: Tensor, decoded: Tensor, deepest: Tensor) -> Tensor:
        """Estimate the answer's overlap from what the decoder shows in it and around it."""
        if logits.shape[1] == 1:
            probability = torch.sigmoid(logits)
        else:
            probability = 1 - torch.softmax(logits, 1)[:, :1]
        share = _pooled(probability.detach(), decoded)
        inside = (decoded * share).sum((2, 3)) / (share.sum((2, 3)) + 1.0)
        outside = (decoded * (1 - share)).sum((2, 3)) / ((1 - share).sum((2, 3)) + 1.0)
        pooled = (inside, outside, deepest.mean((2, 3)), share.mean((2, 3)))
        out: Tensor = self.overlap_head(torch.cat(pooled, 1))
        return out[:, 0]


def _block(before: int, after: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _join(before: int, after: int) -> nn.Conv2d:
    """Return a convolution that adds nothing at first, so that the encoder begins undisturbed."""
    join = nn.Conv2d(before, after, 1)
    nn.init.zeros_(join.weight)
    if join.bias is not None:
        nn.init.zeros_(join.bias)
    return join


def _pooled(maps: Tensor, like: Tensor) -> Tensor:
    """Average maps to the size of those of a decoder, which may end at a stride."""
    stride = int(maps.shape[-1]) // int(like.shape[-1])
    if stride * int(like.shape[-1]) == int(maps.shape[-1]):
        return F.avg_pool2d(maps, stride) if stride > 1 else maps  # ONNX has this for any size
    return F.adaptive_avg_pool2d(maps, (like.shape[-2], like.shape[-1]))


def _fitted(maps: Tensor, like: Tensor) -> Tensor:
    """Bring maps to the height and width of others, where an encoder keeps a stride."""
    if maps.shape[-2:] == like.shape[-2:]:
        return maps
    return F.interpolate(maps, like.shape[-2:], mode="bilinear", align_corners=False)
