"""An image that is to be drawn, and what was found in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_clickseg.data.images import ImagePlane


@dataclass(frozen=True, eq=False, slots=True)
class PicturedImage:
    """An image that is to be drawn, and what is known of it.

    Parameters
    ----------
    name, group : str
        As in `Record`.
    truth : int (Y, X), optional
        Ids; None where it is not annotated.
    ignore : bool (Y, X), optional
        Pixels that count neither way.
    """

    name: str
    group: str
    plane: ImagePlane
    truth: npt.NDArray[Any] | None = None
    ignore: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class PredictedLabels:
    """What was found in an image.

    Parameters
    ----------
    labels : int (Y, X)
        Ids of objects, or of classes.
    probability : float32 (Y, X), optional
        Of the foreground; where it is known.
    """

    labels: npt.NDArray[Any]
    probability: npt.NDArray[np.float32] | None = None
