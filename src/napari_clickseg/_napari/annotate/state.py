"""The state of the Annotate widget: one evented model that the controller writes and views show.

A view may write the fields named under *choices of the user*; everything else is written by the
controller alone. Each field emits its own signal, ``state.events.<field>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from psygnal import SignalGroupDescriptor

from napari_clickseg._napari.annotate.lines import NO_EDGES, Edges
from napari_clickseg._napari.annotate.object_table import NO_OBJECTS, ObjectTable
from napari_clickseg._napari.viewer.colours import colour_of

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Points

    from napari_clickseg._napari.annotate.lines import Outline
    from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble
    from napari_clickseg.core.masks import OverlapRule
    from napari_clickseg.journal.scene import Accepted

ModelStatus = Literal["none", "loading", "ready", "failed"]
Scheme = Literal["instances", "classes"]
Shown = Literal["fill", "contour", "hidden"]
SearchIn = Literal["plane", "box"]


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """A named class.

    Parameters
    ----------
    identifier : int
        Its id in the label map, from 1.
    colour : str
        ``#RRGGBB``.
    """

    identifier: int
    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What an object becomes, as it was chosen when the user asked for it.

    Parameters
    ----------
    spec : ClassSpec
        Its class.
    scheme : {"instances", "classes"}
        What ids mean.
    rule : {"overwrite", "keep", "background"}
        What becomes of labels under its mask.
    """

    spec: ClassSpec
    scheme: Scheme
    rule: OverlapRule

    @property
    def class_id(self) -> int | None:
        """The id that every new object gets, where that is its class's; else None."""
        return self.spec.identifier if self.scheme == "classes" else None


@dataclass(frozen=True, slots=True)
class NewObjectCount:
    """Objects that were found, and are shown until they are kept or given up.

    Parameters
    ----------
    new, known : int
        Objects that are not annotated yet, and others.
    dividing : bool
        They are being divided by other rules.
    """

    new: int
    known: int
    model: str
    dividing: bool = False


@dataclass
class AnnotateState:
    """What the Annotate widget shows.

    Parameters
    ----------
    model, device : str
        Choices of the user: name or path of the model; auto, cpu, cuda or mps.
    half : bool
        Choice of the user: half precision where the device is quick at it.
    fitting : tuple of (str, str)
        Models that learned from the image's project, the last trained first: what they are
        called, and their names or paths.
    model_status : {"none", "loading", "ready", "failed"}
    model_text : str
        One line on the model: its name and the device it runs on, or what went wrong.
    busy : bool
        A click is being answered.
    unsaved_work : str
        What was left of the image and can be taken up, one line; empty if nothing was.
    kept_in : str
        The folder in which unsaved work is kept; empty if none is.
    message : str
        The last thing the user should know, one line; empty if none.
    image : Image, optional
        The image layer being annotated; None before layers are set up.
    positive, negative : Points, optional
        The other layers of the pairing.
    tool : bool
        Choice of the user: the click tool is on.
    swapped : bool
        Choice of the user: the left button means negative and the right positive.
    crosshair : bool
        Choice of the user: keys move a crosshair, and click where it is.
    crosshair_at : (float, float), optional
        Where it stands on the canvas, in screen pixels, x and y; None while it is off.
    scheme : {"instances", "classes"}
        Choice of the user: each object gets an id of its own, or the id of its class.
    classes : tuple of ClassSpec
        Choice of the user.
    class_index : int
        Choice of the user: index into `classes` of the class being annotated.
    object_id : int
        The id that the current object will get (instances), from 1. A view may set it.
    editing : bool
        The current object was accepted before and is being corrected.
    also : Accepted, optional
        The object that was taken up just before the current one: both can be merged.
    reading, readings : int
        Which of the objects that the first click may mean is shown, from 0, and how many it may.
    n_positive, n_negative, n_objects : int
        Gestures on the current object; objects accepted in this pairing.
    drawn : tuple of DrawnBox, Scribble or Lasso
        Those of the gestures on the displayed plane that are no clicks.
    drawing : Outline, optional
        What is being drawn just now.
    preview : Edges, optional
        The outline that a click under the resting pointer would give.
    begun : bool
        There are gestures or a starting mask on the displayed plane: something to accept or clear.
    rule : {"overwrite", "keep", "background"}
        Choice of the user: what happens where the object overlaps with labels.
    threshold, smooth : float
        Choices of the user, see `core.masks.Refinement`.
    fill_holes, keep_clicked : bool
        Choices of the user, see `core.masks.Refinement`.
    shown : {"fill", "contour", "hidden"}
        Choice of the user: how the prediction is drawn.
    opacity : float
        Choice of the user: of the prediction, 0 … 1.
    previews : bool
        Choice of the user: what a click would outline is shown where the pointer rests.
    click_size : int
        Choice of the user: diameter of a click, in screen pixels.
    probability : bool
        Choice of the user: the probability is shown as a layer.
    contrast_from_layer : bool
        Choice of the user: the model sees the image with the layer's contrast limits.
    channel_axis : int or None
        Choice of the user: the axis of the image that holds channels.
    region_source : Labels, optional
        Choice of the user: the labels layer whose regions can be taken up as a start; None is
        the annotation layer.
    planes : int
        Planes along the axis that "propagate" walks; 1 for a flat image.
    plane : int
        Index of the displayed plane along that axis.
    progress : (int, int)
        Planes done and wanted of a running propagation; (0, 0) if none runs.
    complete : bool, optional
        Whether all objects of the displayed plane are labelled; None where nobody said.
    search_in : {"plane", "box"}
        Choice of the user: all objects are looked for on the displayed plane, or in the selected
        box of a Shapes layer.
    seed_height : float
        Choice of the user, while found objects are shown: see `SeparationRules`.
    smallest : int
        Choice of the user, likewise.
    by_score : bool
        Choice of the user: objects are coloured by how sure the model is of them.
    new_objects : NewObjectCount, optional
        Objects that were found and wait to be kept.
    finding : bool
        Whether all objects of a plane are being looked for.
    listing : bool
        Choice of the user: the list of objects is looked at, and so kept up.
    objects : ObjectTable
        The objects of the displayed plane, while they are listed.
    not_listed : str
        Why they are not, one line; empty if they are.
    picked : tuple of int
        Keys of the objects that are chosen in the list.
    picked_edges : Edges
        Their outlines.
    shapes : (int, int)
        Shapes done and wanted, while objects are made of them; (0, 0) else.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    model: str = "default"
    device: str = "auto"
    half: bool = True
    fitting: tuple[tuple[str, str], ...] = ()
    model_status: ModelStatus = "none"
    model_text: str = ""
    busy: bool = False
    unsaved_work: str = ""
    kept_in: str = ""
    message: str = ""
    image: Image | None = None
    annotation: Labels | None = None
    prediction: Labels | None = None
    positive: Points | None = None
    negative: Points | None = None
    tool: bool = False
    swapped: bool = False
    crosshair: bool = False
    crosshair_at: tuple[float, float] | None = None
    scheme: Scheme = "instances"
    classes: tuple[ClassSpec, ...] = (ClassSpec(1, "object", colour_of(1)),)
    class_index: int = 0
    object_id: int = 1
    editing: bool = False
    also: Accepted | None = None
    n_positive: int = 0
    n_negative: int = 0
    n_objects: int = 0
    drawn: tuple[DrawnBox | Scribble | Lasso, ...] = ()
    drawing: Outline | None = None
    preview: Edges | None = None
    reading: int = 0
    readings: int = 1
    begun: bool = False
    can_undo: bool = False
    can_redo: bool = False
    rule: OverlapRule = "keep"
    threshold: float = 0.5
    smooth: float = 0.0
    fill_holes: bool = False
    keep_clicked: bool = False
    shown: Shown = "fill"
    opacity: float = 0.5
    previews: bool = True
    click_size: int = 8
    probability: bool = False
    contrast_from_layer: bool = False
    channel_axis: int | None = None
    region_source: Labels | None = None
    planes: int = 1
    plane: int = 0
    progress: tuple[int, int] = (0, 0)
    complete: bool | None = None
    search_in: SearchIn = "plane"
    seed_height: float = 0.1
    smallest: int = 1
    by_score: bool = False
    new_objects: NewObjectCount | None = None
    finding: bool = False
    listing: bool = False
    objects: ObjectTable = NO_OBJECTS
    not_listed: str = ""
    picked: tuple[int, ...] = ()
    picked_edges: Edges = NO_EDGES
    shapes: tuple[int, int] = (0, 0)

    @property
    def current_class(self) -> ClassSpec:
        """The class being annotated."""
        return self.classes[min(self.class_index, len(self.classes) - 1)]

    @property
    def choice(self) -> Choice:
        """What an object becomes that is asked for now."""
        return Choice(self.current_class, self.scheme, self.rule)
