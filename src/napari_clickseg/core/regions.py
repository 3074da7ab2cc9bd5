"""Where a prediction is right and wrong, region by region, and the clicks that would say so.

The rule for how many clicks a region gets, and which regions get any, is that of Florin Andrei,
*Train image segmentation models to accept user feedback via Voronoi tiling* (2023). It is
written there in pixels of an image of 512 × 512; here sizes are shares of the image, so that the
same picture gets the same number of clicks at any size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.voronoi import Method, place_points
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    BoolArray = npt.NDArray[np.bool_]

Kind = Literal["tp", "fp", "fn"]
PUBLISHED = 512**2  # pixels of the image that the rule was published for


class RegionError(ValueError):
    """A prediction and a truth that cannot be compared; the message says why."""


@dataclass(frozen=True, slots=True)
class ClickSpec:
    """How many clicks are placed, and where; the defaults are the published rule.

    Parameters
    ----------
    first : float
        A region as large as this share of the image gets one click (1,000 pixels at 512 × 512).
    per_tenfold : float
        So many more for each tenfold of that size.
    most_in_region, most_of_kind : int
        No more than so many in one region; in all regions of one kind.
    small : float
        A smaller region of errors still gets one click where it is at least this share of what
        was found rightly, the true positives. Where nothing was, it is compared with the
        largest error instead: otherwise a single stray pixel would count.
    good : float
        No clicks where the IoU is greater than this.
    anchors : bool
        Whether true positives get clicks as well (where there are clicks on errors at all).
    method : {"lloyd", "anneal"}
        How the points of a region are found; see `core.voronoi.place_points`.
    """

    first: float = 1000 / PUBLISHED
    per_tenfold: float = 2.0
    most_in_region: int = 5
    most_of_kind: int = 10
    small: float = 0.05
    good: float = 0.95
    anchors: bool = False
    method: Method = "lloyd"

    def count(self, share: float) -> int:
        """Return how many clicks a region of this share of the image gets by its size alone."""
        if share <= 0:
            return 0
        steps = 1 + self.per_tenfold * math.log10(share / self.first)
        return min(self.most_in_region, max(0, math.floor(steps + 1e-9)))  # 10 times is 10 times


@dataclass(frozen=True, slots=True)
class Region:
    """Neighbouring pixels at which a prediction is right, or wrong in the same way.

    Parameters
    ----------
    number : int
        From 1 on, within its image.
    kind : {"tp", "fp", "fn"}
        True positive, false positive or false negative.
    """

    number: int
    kind: Kind
    patch: Patch
    area: int


@dataclass(frozen=True, slots=True)
class RegionClick:
    """A click that was placed for a region.

    Parameters
    ----------
    y, x : float
        Centre of a pixel of the region.
    positive : bool
        False on false positives, True on the others.
    kind : {"tp", "fp", "fn"}
        Of the region.
    """

    y: float
    x: float
    positive: bool
    kind: Kind
    region: int

    @property
    def click(self) -> Click:
        """The click alone."""
        return Click(self.y, self.x, self.positive)


def find_regions(
    prediction: BoolArray, truth: BoolArray, *, ignore: BoolArray | None = None
) -> tuple[Region, ...]:
    """Divide prediction and truth into regions of true and false positives, and false negatives.

    Parameters
    ----------
    prediction, truth : bool (Y, X)
        The mask that was predicted, and the one that is wanted.
    ignore : bool (Y, X), optional
        Pixels that count neither way.

    Returns
    -------
    tuple of Region
        8-connected; true positives first, then false positives, then false negatives, of each
        kind the largest first.

    Raises
    ------
    RegionError
        If the masks have not two axes, or not the same shape.
    """
    prediction, truth = np.asarray(prediction, bool), np.asarray(truth, bool)
    counts = np.ones_like(truth) if ignore is None else ~np.asarray(ignore, bool)
    if not (prediction.ndim == 2 and prediction.shape == truth.shape == counts.shape):
        raise RegionError(
            f"A prediction of shape {prediction.shape} cannot be compared with a truth of shape "
            f"{truth.shape}; give masks (Y, X) of one image."
        )
    masks: dict[Kind, BoolArray] = {
        "tp": prediction & truth & counts,
        "fp": prediction & ~truth & counts,
        "fn": truth & ~prediction & counts,
    }
    parts = [(kind, patch) for kind, mask in masks.items() for patch in _parts(mask)]
    return tuple(
        Region(number, kind, patch, int(np.count_nonzero(patch.mask)))
        for number, (kind, patch) in enumerate(parts, 1)
    )


def place_clicks(
    prediction: BoolArray,
    truth: BoolArray,
    *,
    ignore: BoolArray | None = None,
    spec: ClickSpec | None = None,
    seed: int = 0,
) -> tuple[RegionClick, ...]:
    """Place the clicks that would correct a prediction, all at once.

    Parameters
    ----------
    prediction, truth : bool (Y, X)
        The mask that was predicted, and the one that is wanted.
    ignore : bool (Y, X), optional
        Pixels that count neither way; no click falls on one.
    spec : ClickSpec, optional
        How many, and where.
    seed : int
        Decides what is drawn at random.

    Returns
    -------
    tuple of RegionClick
        In the order of `find_regions`; empty where the prediction is good enough.

    Raises
    ------
    RegionError
        As `find_regions`.
    """
    regions = find_regions(prediction, truth, ignore=ignore)
    return clicks_in(regions, np.shape(truth), spec=spec, seed=seed)


def clicks_in(
    regions: Sequence[Region],
    shape: tuple[int, ...],
    *,
    spec: ClickSpec | None = None,
    seed: int = 0,
) -> tuple[RegionClick, ...]:
    """Place clicks in regions that were found before; see `place_clicks`.

    Parameters
    ----------
    regions : sequence of Region
        All of one image, from `find_regions`.
    shape : (int, int)
        Of the image (Y, X).
    spec : ClickSpec, optional
        How many, and where.
    seed : int
        Decides what is drawn at random.
    """
    spec = spec or ClickSpec()
    right = _area(regions, "tp")
    wrong = _area(regions, "fp") + _area(regions, "fn")
    if wrong == 0 or right > spec.good * (right + wrong):
        return ()
    counts = _counts(regions, math.prod(shape), spec)
    if not any(counts[region.number] for region in regions if region.kind != "tp"):
        return ()
    return tuple(
        click
        for region in regions
        for click in _placed(region, counts[region.number], spec.method, seed)
    )


def _parts(mask: BoolArray) -> Iterable[Patch]:
    """Divide a mask into 8-connected parts, the largest first."""
    from scipy import ndimage  # slow to import: not when a widget opens

    labels, number = ndimage.label(mask, np.ones((3, 3), bool))
    areas = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    places = ndimage.find_objects(labels)
    for part in np.argsort(-areas, kind="stable"):
        rows, columns = places[part]
        box = Box.from_edges(rows.start, columns.start, rows.stop, columns.stop)
        yield Patch(box, labels[places[part]] == part + 1)


def _area(regions: Sequence[Region], kind: Kind) -> int:
    return sum(region.area for region in regions if region.kind == kind)


def _counts(regions: Sequence[Region], pixels: int, spec: ClickSpec) -> dict[int, int]:
    """Decide how many clicks each region gets, the largest first."""
    errors = [region.area for region in regions if region.kind != "tp"]
    least = spec.small * (_area(regions, "tp") or max(errors))
    left: dict[Kind, int] = dict.fromkeys(("tp", "fp", "fn"), spec.most_of_kind)
    if not spec.anchors:
        left["tp"] = 0
    counts = {}
    for region in regions:
        wanted = spec.count(region.area / pixels)
        if wanted == 0 and region.kind != "tp" and region.area >= least:
            wanted = 1
        counts[region.number] = min(wanted, left[region.kind])
        left[region.kind] -= counts[region.number]
    return counts


def _placed(region: Region, n: int, method: Method, seed: int) -> list[RegionClick]:
    points = place_points(region.patch.mask, n, seed=seed, method=method)
    top, left = region.patch.box.top, region.patch.box.left
    positive = region.kind != "fp"
    return [
        RegionClick(float(y + top), float(x + left), positive, region.kind, region.number)
        for y, x in points
    ]
