"""The state of the Train widget: one evented model that the controller writes and views show.

A view may write the fields named under *choices of the user*; everything else is written by the
controller alone. Each field emits its own signal, ``state.events.<field>``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from psygnal import SignalGroupDescriptor

from napari_clickseg.training.progress import RunProgress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_clickseg.training.progress import RunStatus

Source = Literal["layers", "project"]
Together = Literal["layer", "image"]
Way = Literal["train", "crossfit"]


@dataclass(frozen=True, slots=True)
class Offer:
    """An Image layer and the Labels layer that goes with it, as the user is asked about them.

    Parameters
    ----------
    pair : object
        What `gather` knows them by.
    text : str
        Names of the two layers.
    chosen : bool
        Whether they are learned from.
    group : str
        Images of one group are never split between training and validation; empty: this image
        is a group of its own.
    complete : bool, optional
        Whether all objects of the image, or of every plane of the stack, are labelled; None where
        nobody said, or it differs.
    """

    pair: Any
    text: str
    chosen: bool = True
    group: str = ""
    complete: bool | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What Check found in the images and masks, as the user reads it.

    Parameters
    ----------
    lines : tuple of str
        Images, sizes, classes, groups: one fact a line.
    warnings, errors : tuple of str
        What may, and what does, stand in the way of training.
    plan : str
        What would be trained, with the present settings; empty where that can't be said.
    classes : tuple of (int, str)
        Ids and names of the classes there are; none where each id is an object.
    """

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    plan: str = ""
    classes: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ShownRegions:
    """The image of a cross-fitting whose regions and clicks are shown as layers.

    Parameters
    ----------
    images : tuple of str
        Names of all images.
    positive, negative : int
        Clicks on it.
    shares : tuple of float
        Of the image that are true positives, false positives, false negatives.
    editable : bool
        Clicks can be edited: nothing has learned from them.
    loading : bool
        Another image is being read.
    """

    images: tuple[str, ...]
    index: int
    positive: int = 0
    negative: int = 0
    shares: tuple[float, float, float] = (0.0, 0.0, 0.0)
    editable: bool = False
    can_undo: bool = False
    can_redo: bool = False
    loading: bool = False


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run in the folder of runs."""

    path: Path
    name: str
    status: RunStatus


@dataclass
class TrainState:
    """What the Train widget shows.

    Parameters
    ----------
    source : {"layers", "project"}
        Choice of the user: open layers, or a project folder or CSV file.
    together : {"layer", "image"}
        Choice of the user: all planes of a layer go to training, or to validation, together; or
        each goes by itself.
    rest : bool
        Choice of the user: images and planes without labels come into the project as well, to be
        predicted.
    project : str
        Choice of the user: path of the project folder or CSV file.
    name : str
        Choice of the user: what the model is called; empty for the project's name.
    home : str
        Choice of the user: the folder of the projects made of layers, and of all runs.
    way : {"train", "crossfit"}
        Choice of the user: one training, or click training by cross-fitting.
    pauses : bool
        Choice of the user: a cross-fitting pauses when its clicks are placed.
    settings : mapping
        Choice of the user: fields of the TrainingSpec that differ from the defaults, and, with
        "crossfit." before their names, of the CrossfitSpec.
    show_previews : bool
        Choice of the user: predictions on validation images are shown as layers.
    offers : tuple of Offer
        Pairs of open layers.
    busy : str
        What is being done in the background, one line; empty if nothing is.
    steps : (int, int)
        How far that is: done and wanted; (0, 0) if not known.
    check : Check, optional
        What the last check found; None if what is chosen was not checked.
    classes : tuple of (int, str)
        Ids and names of the classes that it found; kept while settings are changed.
    runs : tuple of RunEntry
        The newest first.
    run : RunProgress
        The run that is shown.
    looked : ShownRegions, optional
        Whose regions and clicks are shown; None where none are.
    samples : ndarray, optional
        uint8 (Y, X, 3): the picture of augmented samples.
    names : mapping of str to tuple of str
        What can be typed into fields that take a name: architecture, encoder.
    message : str
        The last thing the user should know, one line; empty if none.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    source: Source = "layers"
    together: Together = "layer"
    rest: bool = False
    project: str = ""
    name: str = ""
    home: str = ""
    way: Way = "train"
    pauses: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    show_previews: bool = False
    offers: tuple[Offer, ...] = ()
    busy: str = ""
    steps: tuple[int, int] = (0, 0)
    check: Check | None = None
    classes: tuple[tuple[int, str], ...] = ()
    runs: tuple[RunEntry, ...] = ()
    run: RunProgress = field(default_factory=RunProgress)
    looked: ShownRegions | None = None
    samples: Any = None
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    message: str = ""
