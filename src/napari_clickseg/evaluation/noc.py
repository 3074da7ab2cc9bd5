"""How many clicks an object costs: the field's protocol.

A simulated annotator clicks where the current mask is most wrong (`core.oracle`), up to 20
times, and the IoU after each click is kept. It drives anything that has the shape of
`Segmenter` and `Session`, so that other methods are compared on the same objects by the same
code; what is measured of a model of ours is the very `Session` that a click in napari runs.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_clickseg.core.gestures import DrawnBox, Scribble
from napari_clickseg.core.oracle import IGNORE, jittered, next_click
from napari_clickseg.evaluation.first_gestures import first_gesture
from napari_clickseg.evaluation.metrics import iou

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_clickseg.core.clicks import Click
    from napari_clickseg.core.gestures import Lasso
    from napari_clickseg.evaluation.first_gestures import First

BoolArray = npt.NDArray[np.bool_]
JITTER_SIGMA = 3.0  # pixels, the field's
JITTER_REPEATS = 3
_LOWEST, _HIGHEST = 0.6, 0.8  # IoU of an imperfect mask with the truth
_JITTER_SIDE = 512  # pixels of the long side that the jitter's sigma refers to


class HasMask(Protocol):
    """What a session answers; `Prediction` is one."""

    @property
    def mask(self) -> BoolArray:
        """The mask, bool (Y, X)."""
        ...


class ClickSession(Protocol):
    """One image of which objects are clicked on; `Session` is one."""

    def start_from(self, mask: BoolArray | None) -> object:
        """Begin the next object: from a mask (Y, X), or from nothing."""
        ...

    def click(self, y: float, x: float, positive: bool = True) -> object:
        """Add a click, y and x in pixels."""
        ...

    def predict(self) -> HasMask:
        """Answer with the mask for the clicks so far."""
        ...


@runtime_checkable
class GestureSession(ClickSession, Protocol):
    """One that takes boxes, scribbles and lassos as well; see `Session`."""

    def box(self, top: float, left: float, bottom: float, right: float) -> object:
        """Add a box, edges in pixels."""
        ...

    def scribble(self, points: npt.ArrayLike, positive: bool = True) -> object:
        """Add a scribble, y and x in pixels (n, 2)."""
        ...

    def lasso(self, points: npt.ArrayLike, positive: bool = True) -> object:
        """Add a lasso, y and x in pixels (n, 2)."""
        ...


@runtime_checkable
class ReadingSession(ClickSession, Protocol):
    """One that takes a click for one of several objects; see `Session`."""

    @property
    def readings(self) -> int:
        """For how many different objects the first click can be taken."""
        ...

    def reading(self, n: int) -> object:
        """Take it for another one."""
        ...


class ClickPredictor(Protocol):
    """A method of interactive segmentation; `Segmenter` is one."""

    def start(self, image: npt.NDArray[Any], *, rgb: bool | None = None) -> ClickSession:
        """Begin with an image (Y, X) or (Y, X, C)."""
        ...


@dataclass(frozen=True, slots=True)
class NocSpec:
    """How objects are chosen and clicked on; the defaults are the field's protocol.

    Parameters
    ----------
    clicks : int
        The most clicks on an object.
    objects : int
        The most objects of an image; more are drawn with the seed. 0 takes all.
    least : int
        Pixels of an object, at the least.
    ignore : int or None
        Id of pixels that count neither way.
    jitter : float
        Standard deviation of the clicks' jitter in pixels, where the image's long side has 512
        (in proportion where it has more or less); 0 clicks where the protocol says.
    repeats : int
        How often each object is clicked on, each time with another seed; for jitter.
    first : {"click", "box", "scribble", "lasso"}
        What comes first on each object; a box, scribble or lasso counts as a click.
    readings : int
        So many of the objects that the first click may mean are looked at, where it says so; each
        step to another one counts as a click.
    from_mask : bool
        Start from the truth dilated, eroded or shifted to an IoU of 0.6 to 0.8.
    """

    clicks: int = 20
    objects: int = 3
    least: int = 64
    ignore: int | None = IGNORE
    jitter: float = 0.0
    repeats: int = 1
    first: First = "click"
    readings: int = 1
    from_mask: bool = False
    seed: int = 0

    def rng(self, *names: object) -> np.random.Generator:
        """Return a generator that depends on the seed and on `names`, and on no order of work."""
        words = [zlib.crc32(str(name).encode()) for name in names]
        return np.random.default_rng([self.seed, *words])


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """What clicking on one object gave.

    Parameters
    ----------
    identifier : int
        Its id in the truth.
    pixels : int
        Its area in pixels.
    repeat : int
        Which of the repeats, from 0.
    start_iou : float
        IoU before the first click.
    ious : tuple of float
        After each click. Where nothing was left to correct, the last one goes on.
    seconds : tuple of float
        From each click that was made to the mask in image coordinates.
    clicks : tuple of (float, float, bool)
        The clicks that were made: y, x in pixels, and whether positive.
    """

    identifier: int
    pixels: int
    repeat: int
    start_iou: float
    ious: tuple[float, ...]
    seconds: tuple[float, ...] = field(compare=False)
    clicks: tuple[tuple[float, float, bool], ...]

    def noc(self, target: float) -> int:
        """Return the first click with an IoU of `target`; the number of clicks if none has it."""
        return next((n for n, v in enumerate(self.ious, 1) if v >= target), len(self.ious))

    def failed(self, target: float) -> bool:
        """Whether the IoU never reaches `target`."""
        return max(self.ious) < target

    def to_json(self) -> dict[str, Any]:
        """Return the result as values that JSON knows."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> ObjectResult:
        """Read what `to_json` gave, possibly through a file."""
        clicks = tuple((float(y), float(x), bool(p)) for y, x, p in raw["clicks"])
        values = dict(raw, clicks=clicks)
        return cls(**values | {k: tuple(raw[k]) for k in ("ious", "seconds")})


def objects_of(truth: npt.NDArray[Any], spec: NocSpec, rng: np.random.Generator) -> list[int]:
    """Choose the objects of a truth (Y, X) to click on: ids, rising."""
    ids, counts = np.unique(truth, return_counts=True)
    large = [
        int(i)
        for i, n in zip(ids, counts, strict=True)
        if n >= spec.least and i != 0 and i != spec.ignore
    ]
    if 0 < spec.objects < len(large):
        large = [int(i) for i in rng.choice(large, spec.objects, replace=False)]
    return sorted(large)


def evaluate_image(
    predictor: ClickPredictor,
    image: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    spec: NocSpec,
    name: str,
    *,
    rgb: bool | None = None,
) -> list[ObjectResult]:
    """Click on the objects of an image.

    Parameters
    ----------
    predictor : ClickPredictor
        The method.
    image : array (Y, X) or (Y, X, C)
        Any real dtype.
    truth : int (Y, X)
        Ids; 0 is background.
    spec : NocSpec
        Which objects, and how they are clicked on.
    name : str
        Of the image; with the seed it decides what is drawn.
    rgb : bool, optional
        Whether the image's channels are colours; by default 8-bit images with three or four are.

    Raises
    ------
    ValueError
        If the truth's shape is not the image's.
    """
    if truth.shape != image.shape[:2]:
        raise ValueError(
            f"{name}: the truth's shape {truth.shape} is not the image's {image.shape[:2]}."
        )
    ignore = None if spec.ignore is None else truth == spec.ignore
    session = predictor.start(image, rgb=rgb)
    results = []
    for identifier in objects_of(truth, spec, spec.rng(name)):
        for repeat in range(spec.repeats):
            rng = spec.rng(name, identifier, repeat)
            target = np.asarray(truth == identifier)
            result = click_object(session, target, spec, rng, ignore)
            pixels = int(np.count_nonzero(target))
            results.append(ObjectResult(identifier, pixels, repeat, *result))
    return results


_Figures = tuple[float, tuple[float, ...], tuple[float, ...], tuple[tuple[float, float, bool], ...]]


def click_object(
    session: ClickSession,
    truth: BoolArray,
    spec: NocSpec,
    rng: np.random.Generator,
    ignore: BoolArray | None = None,
) -> _Figures:
    """Click on one object until the clicks are used up or nothing is wrong any more.

    Parameters
    ----------
    session : ClickSession
        On the image; the object before is forgotten.
    truth : bool (Y, X)
        The object.
    spec : NocSpec
        How it is clicked on.
    rng : numpy.random.Generator
        Draws the jitter and the starting mask.
    ignore : bool (Y, X), optional
        Pixels that count neither way.

    Returns
    -------
    start_iou, ious, seconds, clicks
        See `ObjectResult`.
    """
    start = imperfect_mask(truth, rng) if spec.from_mask else None
    session.start_from(start)
    mask = np.zeros(truth.shape, bool) if start is None else start
    begun = iou(mask, truth, ignore)
    clicks: list[Click] = []
    ious: list[float] = []
    seconds: list[float] = []
    if spec.first != "click":
        since = time.perf_counter()
        mask = _begin(session, first_gesture(spec.first, truth, rng))
        seconds.append(time.perf_counter() - since)
        ious.append(iou(mask, truth, ignore))
    while len(ious) < spec.clicks:
        click = _place(mask, truth, clicks, spec, rng, ignore)
        if click is None:
            ious += [ious[-1] if ious else begun] * (spec.clicks - len(ious))
            break
        since = time.perf_counter()
        session.click(click.y, click.x, click.positive)
        mask = session.predict().mask
        seconds.append(time.perf_counter() - since)
        clicks.append(click)
        ious.append(iou(mask, truth, ignore))
        if spec.readings > 1 and len(ious) == 1:
            mask = _read_on(session, mask, truth, spec, ignore, ious)
    made = tuple((click.y, click.x, click.positive) for click in clicks)
    return begun, tuple(ious), tuple(seconds), made


def _read_on(
    session: ClickSession,
    mask: BoolArray,
    truth: BoolArray,
    spec: NocSpec,
    ignore: BoolArray | None,
    ious: list[float],
) -> BoolArray:
    """Step to the best of the objects that a first click may mean; note the IoU of each step."""
    if not isinstance(session, ReadingSession):
        raise ValueError("This method knows one object for a click; leave the readings out.")
    masks, reached = [mask], list(ious)
    for n in range(1, min(spec.readings, session.readings, spec.clicks)):
        session.reading(n)
        masks.append(session.predict().mask)
        reached.append(iou(masks[-1], truth, ignore))
    best = int(np.argmax(reached))
    session.reading(best)
    ious += reached[1 : best + 1]
    return masks[best]


def _begin(session: ClickSession, gesture: DrawnBox | Scribble | Lasso) -> BoolArray:
    """Make the first gesture, where it is not a click, and return the mask."""
    if not isinstance(session, GestureSession):
        raise ValueError("This method takes clicks only; leave the first gesture out.")
    match gesture:
        case DrawnBox():
            session.box(gesture.top, gesture.left, gesture.bottom, gesture.right)
        case Scribble():
            session.scribble(gesture.points)
        case _:
            session.lasso(gesture.points)
    return session.predict().mask


def _place(
    mask: BoolArray,
    truth: BoolArray,
    clicks: Sequence[Click],
    spec: NocSpec,
    rng: np.random.Generator,
    ignore: BoolArray | None,
) -> Click | None:
    click = next_click(mask, truth, clicks, ignore=ignore)
    if click is None or spec.jitter <= 0:
        return click
    if ignore is not None:  # a hand misses, but not onto what counts neither way
        mask, truth = mask & ~ignore, truth & ~ignore
    sigma = spec.jitter * max(truth.shape) / _JITTER_SIDE
    return jittered(click, mask, truth, rng, sigma=sigma)


def imperfect_mask(truth: BoolArray, rng: np.random.Generator) -> BoolArray:
    """Dilate, erode or shift the truth so that its IoU with the result is 0.6 to 0.8.

    The IoU aimed at is drawn from the range, and so is the order in which the three are tried.
    Where none gets into the range, as with thin objects, pixels along the edge are turned over
    in random order instead.

    Parameters
    ----------
    truth : bool (Y, X)
        Not empty.
    rng : numpy.random.Generator
        Draws the IoU, the order and the shift's direction, and the order of the pixels.

    Returns
    -------
    bool (Y, X)
    """
    aim = rng.uniform(_LOWEST, _HIGHEST)
    angle = rng.uniform(0, 2 * np.pi)
    best, best_miss = truth, np.inf
    for kind in rng.permutation(3):
        for mask in _bisected(truth, int(kind), float(angle), float(aim)):
            value = iou(mask, truth)
            miss = abs(value - aim)
            if miss < best_miss and mask.any():
                best, best_miss = mask, miss
        if _LOWEST <= iou(best, truth) <= _HIGHEST:
            return best
    ragged = _ragged(truth, rng, float(aim))
    overlap = iou(ragged, truth)
    return ragged if _LOWEST <= overlap <= _HIGHEST or abs(overlap - aim) < best_miss else best


def _ragged(truth: BoolArray, rng: np.random.Generator, aim: float) -> BoolArray:
    """Turn pixels over, those nearest to the edge first, until the IoU is as low as `aim`.

    The last one is left where the IoU would fall below 0.6.
    """
    padded = np.pad(truth, 1)  # the image's border is an edge too
    away = ndimage.distance_transform_edt(padded) + ndimage.distance_transform_edt(~padded)
    rings = np.ceil(away[1:-1, 1:-1]).ravel()
    order = np.lexsort((rng.random(rings.size), rings))
    inside = truth.ravel()[order]
    area = inside.sum()
    ious = (area - np.cumsum(inside)) / (area + np.cumsum(~inside))
    last = int(np.searchsorted(-ious, -aim))
    changed = order[: last + int(ious[last] >= _LOWEST)]
    mask = truth.copy()
    mask.ravel()[changed] ^= True
    return mask


def _bisected(truth: BoolArray, kind: int, angle: float, aim: float) -> Iterator[BoolArray]:
    """Yield masks whose change in pixels is bisected towards an IoU of `aim`."""
    distance = ndimage.distance_transform_edt(truth if kind == 1 else ~truth)
    direction = np.sin(angle), np.cos(angle)
    low, high = 0.0, float(max(truth.shape))
    for _ in range(16):
        size = (low + high) / 2
        if kind == 0:
            mask = np.asarray(distance <= size)
        elif kind == 1:
            mask = np.asarray(distance > size)
        else:
            mask = _shifted(truth, round(size * direction[0]), round(size * direction[1]))
        yield mask
        if iou(mask, truth) < aim:
            high = size
        else:
            low = size


def _shifted(mask: BoolArray, dy: int, dx: int) -> BoolArray:
    """Shift a mask by whole pixels; what leaves the image is lost."""
    out = np.zeros_like(mask)
    rows, columns = mask.shape
    if abs(dy) < rows and abs(dx) < columns:
        out[max(dy, 0) : rows + min(dy, 0), max(dx, 0) : columns + min(dx, 0)] = mask[
            max(-dy, 0) : rows + min(-dy, 0), max(-dx, 0) : columns + min(-dx, 0)
        ]
    return out
