"""What a session answers: probability, mask and classes of the part around the object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.masks import Refinement, refine
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from napari_clickseg.core.prompts import Prompt
    from napari_clickseg.engine.estimate import Estimate

__all__ = ["Prediction", "predict"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
_SHOWN = 0.01  # probabilities below this are not kept


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model makes of an image and clicks.

    Only the part around the object is kept; the arrays of the whole image are made when they
    are asked for.

    Parameters
    ----------
    shape : (int, int)
        The image's height and width.
    extent : Box
        Everything outside it is background.
    part : float32 (extent.height, extent.width)
        Probability of the foreground there.
    mask_part : bool (extent.height, extent.width)
        The mask there.
    class_part : uint8 (extent.height, extent.width)
        Class ids there, 0 for background.
    box : Box
        The part of the image that changed since the session's last `predict`; outside of it the
        two masks are the same.
    """

    shape: tuple[int, int]
    extent: Box
    part: FloatArray
    mask_part: BoolArray
    class_part: npt.NDArray[np.uint8]
    box: Box

    @cached_property
    def mask(self) -> BoolArray:
        """The mask, bool (Y, X)."""
        return self._whole(self.mask_part)

    @cached_property
    def probability(self) -> FloatArray:
        """The probability of the foreground, float32 (Y, X)."""
        return self._whole(self.part)

    @cached_property
    def labels(self) -> npt.NDArray[np.uint8]:
        """Class ids, uint8 (Y, X); 0 is background."""
        return self._whole(self.class_part)

    @property
    def patch(self) -> Patch:
        """The mask, cut to its bounding box."""
        return Patch.of(self.mask_part, offset=(self.extent.top, self.extent.left))

    def _whole(self, part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        out = np.zeros(self.shape, part.dtype)
        out[self.extent.slices] = part
        return out


def predict(
    prompt: Prompt,
    estimate: Estimate | None,
    shape: tuple[int, int],
    refinement: Refinement,
) -> Prediction:
    """Make a prediction of the network's answer.

    Parameters
    ----------
    prompt : Prompt
        What was asked.
    estimate : Estimate, optional
        What the network answered; None where the starting mask, or nothing, is the answer.
    shape : (int, int)
        The image's height and width.
    refinement : Refinement
        How the probability becomes a mask.
    """
    if estimate is None:
        start = prompt.start or Patch.of(np.zeros((0, 0), bool))
        mask, box = np.array(start.mask), start.box
        return Prediction(shape, box, mask.astype(np.float32), mask, mask.astype(np.uint8), box)
    extent = estimate.extent(_SHOWN, shape)
    clicked = Box.of_pixels(click.pixel for click in prompt.clicks if click.positive)
    # A positive click is part of the mask, whatever the model says.
    extent = extent.union(clicked)
    part = estimate.part(extent)
    mask = refine(part, extent, prompt.clicks, refinement)
    return Prediction(shape, extent, part, mask, estimate.classes(extent, mask), extent)
