"""What the Files widget shows: the controller writes it, and views may write the choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from psygnal import SignalGroupDescriptor


@dataclass
class ExchangeState:
    """The state of the Files widget.

    Parameters
    ----------
    project : str
        *Choice of the user:* the project that goes out; "" is what is annotated in the layers.
    form, out : str
        *Choices of the user:* the format, a key of `exporting.FORMATS`, and where it goes.
    overwrite : bool
        *Choice of the user:* files that are there may be replaced by what goes out.
    source, images, into : str
        *Choices of the user:* what comes in, the folder of its images, and the project it goes to.
    suffix, palette : str
        *Choices of the user:* how names of masks end, and what colours mean.
    import_form : str
        *Choice of the user:* the format of what comes in, one of `importing.IMPORTS`; "": find out.
    skip, really_empty, by_folder, replace : bool
        *Choices of the user:* as `skip`, `empty`, `by_folder` and `overwrite` of `ImportChoice`.
    scan : str
        *Choice of the user:* the file whose images are listed.
    scenes, scan_channels : tuple of str
        Its images, and the names of the first one's channels.
    chosen_scenes : tuple of int
        *Choice of the user:* which of them are opened.
    channels : str
        *Choice of the user:* `EACH`, `SLIDER` of `scans`, or the number of a channel.
    busy : bool
        Whether something is going out or coming in.
    stopping : bool
        Whether it has been asked to stop.
    progress : (int, int)
        How much is done, such as images, and how much there is.
    message : str
        What was done, or went wrong.
    """

    project: str = ""
    form: str = "coco"
    out: str = ""
    overwrite: bool = False
    source: str = ""
    images: str = ""
    into: str = ""
    suffix: str = ""
    palette: str = ""
    import_form: str = ""
    skip: bool = False
    really_empty: bool = False
    by_folder: bool = False
    replace: bool = False
    scan: str = ""
    scenes: tuple[str, ...] = ()
    scan_channels: tuple[str, ...] = ()
    chosen_scenes: tuple[int, ...] = ()
    channels: str = "each"
    busy: bool = False
    stopping: bool = False
    progress: tuple[int, int] = (0, 0)
    message: str = ""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()
