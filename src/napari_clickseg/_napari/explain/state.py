"""What the Explain widget shows: the controller writes it, and views may write the choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from psygnal import SignalGroupDescriptor

# Before a network was opened nobody knows its places; these two are in nearly all of them.
DEEPEST = "encoder, deepest"
DECODER = "decoder"


@dataclass
class ExplainState:
    """The state of the Explain widget.

    Parameters
    ----------
    place : str
        *Choice of the user:* the place within the network.
    places : tuple of str
        Those that there are.
    maps : int
        *Choice of the user:* of how many maps activations consist, at the most.
    busy : bool
        Whether something is being explained.
    message : str
        What is shown, or what went wrong.
    """

    place: str = DECODER  # of the encoder alone, nothing may speak for a mask that clicks made
    places: tuple[str, ...] = (DEEPEST, DECODER)
    maps: int = 16
    busy: bool = False
    message: str = "Click on an object with Annotate; then choose what to see of its mask."

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()
