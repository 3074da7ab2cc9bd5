"""What is found in a project: of each image, and of all together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from napari_clickseg.data.classes import ProjectClasses

Kind = Literal[
    "unreadable",  # an image or mask that is missing, corrupt or no label map
    "size",  # an image and its mask of different sizes
    "no_annotation",
    "one_image",
    "one_group",  # all that is annotated is in one group
    "class_in_one_group",
    "channels",
    "dtypes",
    "ungrouped",
    "leak",
    "split",
    "classless",  # objects without a class, where classes are asked for
    "ids",  # ids and classes.json don't agree
    "empty",
    "duplicates",
    "left_out",  # files and rows that can't be used
    "tags",  # what an image or mask holds besides, and what its tags changed
    "blurred",  # masks whose edges are graded
    "no_background",  # masks in which every pixel is labelled
]
_OF_CLASSES = ("class_in_one_group",)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the user should know before training.

    Parameters
    ----------
    text : str
        One line that says what to do.
    fatal : bool
        Nothing can be trained before it is mended.
    names : tuple of str
        The images that it is about, as in `Record.name`; or ids or groups.
    """

    kind: Kind
    text: str
    fatal: bool
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is found in one annotated image.

    Parameters
    ----------
    name, group, split : str
        As in `Record`.
    shape : (int, int)
        Height and width in pixels.
    channels : int
        Without alpha.
    pixels : mapping of int to int
        Labelled pixels of each id, without the background and what is to be ignored.
    ignored : int
        Pixels that are to be ignored.
    spans : tuple of (int, int)
        Of each connected part: its id, and the longer side of its box in pixels.
    id_spans : mapping of int to int
        The longer side of the box of each id.
    digest : str
        The same for images with the same pixels; "" where they were not read.
    classless : int
        Objects whose class nobody said, where classes of objects are asked for.
    graded : float
        Of the labelled pixels that are not of the most frequent id, the share that lies between a
        lower and a higher id, as where edges were blurred.
    background : bool
        Whether any pixel is 0.
    notices : tuple of str
        What the files of the image and its mask hold besides, see `StoredImage.notices`.
    """

    name: str
    group: str
    split: str
    shape: tuple[int, int]
    dtype: str
    channels: int
    rgb: bool
    pixels: Mapping[int, int]
    ignored: int
    spans: tuple[tuple[int, int], ...]
    id_spans: Mapping[int, int]
    digest: str = ""
    classless: int = 0
    graded: float = 0.0
    background: bool = True
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What is found in a project.

    Parameters
    ----------
    images : tuple of ImageFacts
        Of the annotated images that can be used, in the project's order.
    unannotated : int
        Images without a mask.
    scheme : {"instances", "classes"}
        What ids mean: as classes.json says, else as the masks look.
    ungrouped : int
        Annotated images for which no group is given.
    problems : tuple of Problem
        The fatal ones first.
    """

    images: tuple[ImageFacts, ...]
    unannotated: int
    scheme: Literal["instances", "classes"]
    classes: ProjectClasses | None
    ungrouped: int
    problems: tuple[Problem, ...] = ()

    @property
    def fatal(self) -> tuple[Problem, ...]:
        """What has to be mended before anything can be trained."""
        return tuple(problem for problem in self.problems if problem.fatal)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is worth knowing."""
        return tuple(problem for problem in self.problems if not problem.fatal)

    def stopping(self, task: str, classes: Collection[int] = ()) -> tuple[Problem, ...]:
        """Return what is fatal for a task.

        Parameters
        ----------
        task : str
            Some of it only matters where classes are told apart.
        classes : collection of int
            The ids that are learned, and matter; none: all there are.
        """
        several = task in ("multiclass", "multilabel")
        told = {str(one) for one in classes}

        def matters(problem: Problem) -> bool:
            if problem.kind not in _OF_CLASSES:
                return True
            return several and not (told and told.isdisjoint(problem.names))

        return tuple(problem for problem in self.fatal if matters(problem))

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Names of the images that can't be read, or whose mask can't."""
        return tuple(n for p in self.problems if p.kind == "unreadable" for n in p.names)

    @cached_property
    def shapes(self) -> dict[tuple[int, int], int]:
        """How many images there are of each height and width."""
        return dict(Counter(image.shape for image in self.images))

    @cached_property
    def dtypes(self) -> dict[str, int]:
        """How many images there are of each dtype."""
        return dict(Counter(image.dtype for image in self.images))

    @cached_property
    def channels(self) -> dict[int, int]:
        """How many images there are of each number of channels."""
        return dict(Counter(image.channels for image in self.images))

    @cached_property
    def groups(self) -> dict[str, int]:
        """How many images there are of each group."""
        return dict(Counter(image.group for image in self.images))

    @cached_property
    def pixels(self) -> dict[int, int]:
        """Labelled pixels of each id over all images, the ids rising."""
        total: Counter[int] = Counter()
        for image in self.images:
            total.update(image.pixels)
        return dict(sorted(total.items()))

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """The ids that occur, rising."""
        return tuple(self.pixels)

    @cached_property
    def share(self) -> float:
        """Labelled pixels, as a share of those that are not to be ignored."""
        looked_at = sum(i.shape[0] * i.shape[1] - i.ignored for i in self.images)
        return sum(self.pixels.values()) / looked_at if looked_at else 0.0

    @cached_property
    def spans(self) -> tuple[int, ...]:
        """The longer side of each object's box in pixels, rising.

        An object is an id of an image, or, where ids are classes, a connected part of one.
        """
        if self.scheme == "instances":
            spans = [span for image in self.images for span in image.id_spans.values()]
        else:
            spans = [span for image in self.images for _, span in image.spans]
        return tuple(sorted(spans))

    @property
    def objects(self) -> int:
        """How many objects there are."""
        return len(self.spans)

    @cached_property
    def empties(self) -> tuple[str, ...]:
        """Names of the images whose mask has no labelled pixel: there is really nothing."""
        return tuple(image.name for image in self.images if not image.pixels)

    def class_name(self, identifier: int) -> str:
        """Return the name of a class; its id where it has none."""
        known = self.classes.classes if self.classes is not None else ()
        return next((one.name for one in known if one.id == identifier), str(identifier))
