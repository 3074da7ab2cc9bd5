"""Maps over the image of what a network sees and what its answer rests on.

Heat maps are Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391) for segmentation
(Vinogradova et al. 2020, https://arxiv.org/abs/2002.11434): the logits are summed over the mask.
Attributions are integrated gradients (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from napari_clickseg.explain.last_pass import ExplainError, LastPass, last_pass
from napari_clickseg.explain.network_places import OpenedNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from napari_clickseg.core.prompts import Prompt
    from napari_clickseg.core.window import Window
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.engine.session import Session

FloatArray = npt.NDArray[np.float32]
_STEPS = 24  # of the integral
_AT_ONCE = 4  # of them in one pass


@dataclass(frozen=True, eq=False, slots=True)
class PlacedMap:
    """A map, or several, and where in the image they lie.

    Parameters
    ----------
    data : float32 (Y, X) or (n, Y, X)
    scale, translate : (float, float)
        Image pixels a map pixel, and where the centre of its first pixel lies, along y and x.
    """

    data: FloatArray
    scale: tuple[float, float]
    translate: tuple[float, float]

    @classmethod
    def of(cls, data: FloatArray, window: Window) -> PlacedMap:
        """Place maps that cover a window."""
        strides = tuple(window.size / n for n in data.shape[-2:])
        scale = strides[0] / window.zoom, strides[1] / window.zoom
        return cls(data, scale, window.to_image(*((s - 1) / 2 for s in strides)))


@dataclass(frozen=True, eq=False, slots=True)
class Attribution:
    """What a mask rests on.

    Parameters
    ----------
    pixels : PlacedMap
        (Y, X); above 0 where the image speaks for the mask, below where it speaks against it.
    guidance : float
        Share of the whole, 0 … 1, that the clicks and the mask before have.
    """

    pixels: PlacedMap
    guidance: float


class Explanation:
    """Explains a session's prediction.

    Parameters
    ----------
    segmenter : Segmenter
        Its network is copied, so that it can answer meanwhile.
    prompt : Prompt, optional
        By default the session's own.
    output : int, optional
        Which class, from 1; by default the one of which most was found, or the object.

    Raises
    ------
    ExplainError
        If there is nothing to explain: no prompt yet, an empty mask, or no such class.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        session: Session,
        prompt: Prompt | None = None,
        *,
        output: int | None = None,
    ) -> None:
        self.card = segmenter.card
        self.last: LastPass = last_pass(segmenter, session, prompt)
        self.output = self._chosen(output)
        self.mask = self.last.mask(self.output)
        if not self.mask.any():
            raise ExplainError("The model finds nothing here; click on an object, or on another.")
        self._device = segmenter.device
        self._inputs = torch.from_numpy(self.last.inputs)[None].to(self._device)
        self._segmenter = segmenter

    @cached_property
    def opened(self) -> OpenedNetwork:
        """The network with its places by name."""
        return OpenedNetwork(self._segmenter.network, self._inputs)

    @property
    def places(self) -> tuple[str, ...]:
        """Names of the places within the network, in the order in which they are passed."""
        return tuple(self.opened.places)

    def activations(self, place: str, most: int = 16) -> PlacedMap:
        """Return the maps (n, Y, X) at a place, those that vary most first.

        Parameters
        ----------
        place : str
            One of `places`.
        most : int
            How many, at the most.

        Raises
        ------
        ExplainError
            If there is no such place.
        """
        maps = self.opened.maps(place, self._inputs)
        order = maps.flatten(1).std(1).argsort(descending=True)[:most]
        return self._placed(maps[order])

    def heat_map(self, place: str) -> PlacedMap:
        """Return where the maps at a place speak for the mask: (Y, X), 0 … 1.

        Parameters
        ----------
        place : str
            One of `places`; the deeper ones of the encoder say what the network takes for the
            object, the decoder's last ones where it draws the edge.

        Raises
        ------
        ExplainError
            If there is no such place.
        """
        from captum.attr import LayerGradCam

        layer = LayerGradCam(self._score, self.opened.place(place))
        heat = layer.attribute(self._inputs, relu_attributions=True)[0, 0]
        return self._placed(heat / heat.max().clamp(min=torch.finfo(heat.dtype).tiny))

    def attribution(self) -> Attribution:
        """Return which pixels the mask rests on, and how much of it the clicks account for."""
        from captum.attr import IntegratedGradients

        count = self.card.image_channels
        nothing = torch.zeros_like(self._inputs)
        nothing[:, :count] = self._inputs[:, :count].mean((2, 3), keepdim=True)
        attributed = IntegratedGradients(self._score).attribute(
            self._inputs, nothing, n_steps=_STEPS, internal_batch_size=_AT_ONCE
        )[0]
        total = attributed.abs().sum()
        guidance = attributed[count:].abs().sum() / total if total > 0 else total
        return Attribution(self._placed(attributed[:count].sum(0)), float(guidance))

    def _score(self, inputs: Tensor) -> Tensor:
        """Return the sum of the logits over the mask: (B,)."""
        # Of classes that overlap the network has no background, which the probabilities have.
        channel = self.output - 1 if self.card.overlapping else self.output
        logits: Tensor = self.opened.network(inputs)[:, max(0, channel)]
        return (logits * torch.from_numpy(self.mask).to(logits.device)).sum((1, 2))

    def _placed(self, maps: Tensor) -> PlacedMap:
        data: FloatArray = maps.detach().float().cpu().contiguous().numpy()
        return PlacedMap.of(data, self.last.window)

    def _chosen(self, output: int | None) -> int:
        count = len(self.last.probabilities)
        if count == 1:
            return 0
        if output is None:
            areas = [int(self.last.mask(k).sum()) for k in range(1, count)]
            return 1 + int(np.argmax(areas))
        if not 1 <= output < count:
            raise ExplainError(f"The model has no class {output}; give 1 to {count - 1}.")
        return output
