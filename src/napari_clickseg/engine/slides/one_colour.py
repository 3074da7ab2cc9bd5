"""A network that is asked only once about windows that show one colour and nothing else.

Much of a slide is background that its scanner filled in, or that was never stored. Such windows
are all alike, so the answer is the one that the network would give: nothing is guessed, and
background that has any structure at all is looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.engine.estimate import Looked, Sight

FloatArray = npt.NDArray[np.float32]
_KEPT = 4  # colours


class OneColour:
    """Asks a network; may be used on any thread, on one at a time.

    Parameters
    ----------
    ask : callable
        As of `Estimator`.
    """

    def __init__(self, ask: Callable[[FloatArray, Sight], Looked]) -> None:
        self._ask = ask
        self._known: OrderedDict[bytes, Looked] = OrderedDict()

    def __call__(self, inputs: FloatArray, sight: Sight) -> Looked:
        """Return what the network answers."""
        colour = inputs[:, :1, :1]
        if (inputs[:, -1, -1] != colour[:, 0, 0]).any() or (inputs != colour).any():
            return self._ask(inputs, sight)
        key = colour.tobytes()
        if key not in self._known:
            self._known[key] = self._ask(inputs, sight)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]
