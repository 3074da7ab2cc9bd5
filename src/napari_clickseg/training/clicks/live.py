"""Annotations that are going on while a network learns.

A fixed number of objects is being annotated at any time. Each training step takes some of them;
what the network answers becomes their previous prediction, the next click is put on its errors,
and the window follows the object as it will at run time. So every prediction is learned from,
first clicks and late ones are mixed in every batch, and no prediction is made for its own sake.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from napari_clickseg.core.guidance import Stroke
from napari_clickseg.core.regions import place_clicks
from napari_clickseg.core.simulated_gestures import draw_box, draw_lasso, draw_scribble
from napari_clickseg.core.voronoi import place_points
from napari_clickseg.training.clicks.photometric import augment_intensity
from napari_clickseg.training.clicks.samples import Subject, View, least_span
from napari_clickseg.training.clicks.simulate import (
    ClickMaps,
    likeness_maps,
    next_clicks,
    perturbed,
    surroundings,
)

if TYPE_CHECKING:
    from napari_clickseg.core.guidance import Encoding
    from napari_clickseg.training.clicks.record import TrainingImage

_LEAST = 9  # network pixels of an object that is worth a look
_SCOUT = 0.4  # share of the annotations that begin with a look around a click, near or far
_WHOLE = 0.15  # share of the others that begin with a look at the whole image
_FAR, _NEAR = 2.2, 1.15  # window's side over the object's: the window is moved beyond these
_FOLLOW, _WANDER = 0.6, 0.1  # share of the windows moved: where they should be, where not
_BEGUN = 0.15  # share of the annotations that begin with a mask
_AROUND = 0.1  # share of those that begin with a mask of the thing around the object
_LONG, _LONGER = 0.2, 3  # share of the annotations that may go on for so many times as long
_SPREAD = 0.12  # share of those that begin with several clicks, spread by their Voronoi cells
_ESTRANGED = 0.12  # share of the views that look like nothing that was ever seen
_MOST_SPREAD = 5  # clicks on an object of which nothing was found yet
_BOXED, _SCRIBBLED, _LASSOED = 0.15, 0.12, 0.06  # share of those that begin with such a gesture
_CORRECTED_BY_STROKE, _CORRECTED_BY_LASSO = 0.1, 0.03  # of the corrections, instead of a click
_MANY_PIXELS = 12  # of an error that is worth a gesture


@dataclass
class Annotation:
    """One object that is being annotated.

    Parameters
    ----------
    view : View
        What the network sees now.
    image, target : Tensor (C, N, N), (1, N, N)
    previous : Tensor (1, N, N)
        Probabilities before the newest click.
    clicks : list of (float, float, bool)
        y, x in network pixels; True for positive ones.
    step, steps : int
        Predictions so far, and after how many it ends.
    ignored : Tensor (1, N, N), optional
        1 where pixels count neither way.
    strokes : list of Stroke
        Scribbles, in network pixels.
    region : Tensor (1, N, N), optional
        1 in boxes and lassos around the object, -1 in lassos around what is not; None without.
    features : list of Tensor (C, H, W), optional
        What the encoder last made of the image, at each stride; None until somebody keeps it.
    """

    subject: Subject
    view: View
    image: Tensor
    target: Tensor
    previous: Tensor
    clicks: list[tuple[float, float, bool]]
    step: int
    steps: int
    ignored: Tensor | None = None
    strokes: list[Stroke] = field(default_factory=list)
    region: Tensor | None = None
    features: list[Tensor] | None = None

    @property
    def begun(self) -> bool:
        """Whether the user has said anything."""
        return bool(self.clicks or self.strokes) or self.region is not None

    @property
    def area(self) -> float:
        """Network pixels of all of the object, also of what lies outside the window."""
        size = self.target.shape[-1]
        whole = float(self.subject.mask.sum()) * (size / self.view.span) ** 2
        return max(whole, float(self.target.sum()))


@dataclass(frozen=True)
class Lesson:
    """A batch to learn from.

    Parameters
    ----------
    chosen : tuple of int
        Which annotations these are.
    image, target, previous : Tensor (B, C, N, N), (B, 1, N, N), (B, 1, N, N)
    further : Tensor (B, 5, N, N), (B, 4, N, N) or (B, 0, N, N)
        What comes after the previous mask: the marked region, if the encoding is "prompts", and
        how much pixels look like what was clicked on, see `core.guidance.likeness`.
    areas : Tensor (B,)
        See `Annotation.area`.
    steps : Tensor (B,)
        How many predictions each has had.
    ignored : Tensor (B, 1, N, N), optional
        1 where pixels count neither way.
    """

    chosen: tuple[int, ...]
    image: Tensor
    target: Tensor
    previous: Tensor
    maps: ClickMaps
    further: Tensor
    areas: Tensor
    steps: Tensor
    ignored: Tensor | None = None

    @property
    def inputs(self) -> Tensor:
        """What the network takes, as `core.guidance.encode` orders it: (B, K, N, N)."""
        parts = (self.image, self.maps.positive, self.maps.negative, self.previous, self.further)
        return torch.cat(parts, 1)


class Source(Protocol):
    """Where images come from."""

    def draw(self, rng: np.random.Generator, n: int) -> list[TrainingImage]:
        """Draw n images that hold an object."""
        ...


class LiveAnnotations:
    """A number of objects that are being annotated.

    Parameters
    ----------
    pool : Pool or ProjectPool
        Where images come from.
    size : int
        The network's window in pixels.
    radius : float
        Of the click disks, in pixels.
    steps : int
        Predictions of most annotations, at the most; how many is drawn evenly. Some go on for
        longer, as a hard object is clicked on twenty times.
    count : int
        How many are going on at a time.
    rng, generator : numpy.random.Generator, torch.Generator
        Decide everything.
    device : torch.device
        Where the network is.
    encoding : {"channels", "likeness", "prompts", "colour"}
        What the network is told, see `core.guidance`; "prompts" brings boxes, scribbles and
        lassos as well.
    """

    def __init__(
        self,
        pool: Source,
        size: int,
        *,
        radius: float,
        steps: int,
        count: int,
        rng: np.random.Generator,
        generator: torch.Generator,
        device: torch.device,
        encoding: Encoding = "channels",
    ) -> None:
        self.encoding = encoding
        self.pool, self.size, self.radius, self.steps, self.count = pool, size, radius, steps, count
        self.rng, self.generator, self.device = rng, generator, device
        self.in_progress: list[Annotation] = []

    def lesson(self, n: int) -> Lesson:
        """Take `n` of the annotations at random."""
        missing = self.count - len(self.in_progress)
        if missing > 0:
            self.in_progress += self._begin(missing)
        chosen = tuple(int(i) for i in self.rng.choice(self.count, n, replace=False))
        some = [self.in_progress[i] for i in chosen]
        image = torch.stack([a.image for a in some])
        return Lesson(
            chosen,
            image,
            torch.stack([a.target for a in some]),
            torch.stack([a.previous for a in some]),
            self._maps(some),
            self._further(some, image),
            torch.tensor([a.area for a in some], device=self.device),
            torch.tensor([a.step for a in some], device=self.device),
            _ignored(some),
        )

    def _further(self, some: list[Annotation], image: Tensor) -> Tensor:
        if self.encoding not in ("likeness", "prompts"):
            return image[:, :0]
        colours = likeness_maps(image, [a.clicks + _along(a.strokes) for a in some])
        if self.encoding == "likeness":
            return colours
        nothing = torch.zeros_like(some[0].target)
        regions = torch.stack([nothing if a.region is None else a.region for a in some])
        return torch.cat([regions, colours], 1)

    @torch.no_grad()
    def advance(self, lesson: Lesson, answers: Tensor) -> None:
        """Go on with what the network answered, probabilities (B, 1, N, N)."""
        over, clicked = [], []
        for i, answer in zip(lesson.chosen, answers, strict=True):
            annotation = self.in_progress[i]
            annotation.step += 1
            annotation.previous = answer
            if annotation.step >= annotation.steps:
                over.append(i)
                continue
            moves = self.rng.random() < self._restlessness(annotation)
            if not moves or self.rng.random() < 0.5:  # else only another look at the same clicks
                clicked.append(annotation)
            if self.rng.random() < 0.12:  # several clicks before the next look
                clicked.append(annotation)
            if moves:
                self._click(clicked)
                clicked = []
                if not self._move(annotation):
                    over.append(i)
        self._click(clicked)
        for i, new in zip(over, self._begin(len(over)), strict=True):
            self.in_progress[i] = new
        for i in lesson.chosen:
            if self.in_progress[i].step:
                self.in_progress[i].previous = self._degraded(self.in_progress[i].previous)

    def _begin(self, n: int) -> list[Annotation]:
        begun: list[Annotation] = []
        while len(begun) < n:
            record = self.pool.draw(self.rng, 1)[0]
            subject = Subject.draw(record, self.rng, together=True)
            annotation = self._by_gesture(subject)
            if annotation is None:
                scouting = self.rng.random() < _SCOUT
                far = (
                    subject.scouting
                    if scouting
                    else functools.partial(subject.any_view, whole=_WHOLE)
                )
                annotation = self._look(subject, far(self.rng))
            if annotation is not None:  # an object may have been shifted out
                begun.append(annotation)
        for annotation in begun:
            annotation.steps = self._length()
            if annotation.begun:
                continue
            if self.rng.random() < _BEGUN:
                annotation.previous = perturbed(annotation.target[None], self.generator)[0]
            if self.rng.random() < _SPREAD:
                annotation.clicks += self._spread(annotation)
        self._click([annotation for annotation in begun if not annotation.begun])
        mistaken = [a for a in begun if a.clicks and self.rng.random() < _AROUND]
        for annotation in mistaken:
            image, target = annotation.image, annotation.target
            annotation.previous = surroundings(image, target, self.generator)
        self._click(mistaken)
        return begun

    def _by_gesture(self, subject: Subject) -> Annotation | None:
        """Begin with a box, a scribble or a lasso, now and then; None where it is a click."""
        if self.encoding != "prompts":
            return None
        kind = self.rng.random()
        if kind >= _BOXED + _SCRIBBLED + _LASSOED:
            return None
        scribbled = _BOXED <= kind < _BOXED + _SCRIBBLED
        # Boxes and lassos say where to look; a scribble shows part of a large object.
        view = subject.zoomed(self.rng, 0.9 if scribbled else 1.1, 3.0 if scribbled else 2.0)
        annotation = self._look(subject, view)
        if annotation is None:
            return None
        truth = np.asarray(annotation.target[0].cpu() > 0.5)
        if scribbled:
            annotation.strokes.append(Stroke(draw_scribble(truth, self.rng), True))
        else:
            draw = draw_box if kind < _BOXED else draw_lasso
            annotation.region = torch.from_numpy(draw(truth, self.rng))[None].to(self.device)
        return annotation

    def _corrected_by_gesture(self, annotation: Annotation) -> bool:
        """Correct the largest error by a scribble or a lasso, now and then; False by a click."""
        if self.encoding != "prompts":
            return False
        kind = self.rng.random()
        if kind >= _CORRECTED_BY_STROKE + _CORRECTED_BY_LASSO:
            return False
        truth = np.asarray(annotation.target[0].cpu() > 0.5)
        predicted = np.asarray(annotation.previous[0].cpu() > 0.5)
        missing, wrong = truth & ~predicted, predicted & ~truth
        if annotation.ignored is not None:
            wrong &= ~np.asarray(annotation.ignored[0].cpu() > 0.5)
        positive = bool(missing.sum() > wrong.sum())
        error = _largest(missing if positive else wrong)
        if error.sum() < _MANY_PIXELS:
            return False
        if kind < _CORRECTED_BY_STROKE:
            annotation.strokes.append(Stroke(draw_scribble(error, self.rng), positive))
            return True
        lasso = torch.from_numpy(draw_lasso(error, self.rng))[None].to(self.device)
        before = torch.zeros_like(lasso) if annotation.region is None else annotation.region
        annotation.region = torch.where(lasso > 0, 1.0 if positive else -1.0, before)
        return True

    def _length(self) -> int:
        """Draw after how many predictions an annotation ends: mostly few, sometimes many."""
        many = self.steps > 1 and self.rng.random() < _LONG
        return int(self.rng.integers(1, self.steps * (_LONGER if many else 1) + 1))

    def _spread(self, annotation: Annotation) -> list[tuple[float, float, bool]]:
        """Return several clicks at once: on the errors of the mask that is there, or the object."""
        predicted, truth = (
            np.asarray(part[0].cpu() > 0.5) for part in (annotation.previous, annotation.target)
        )
        seed = int(self.rng.integers(2**31))
        if predicted.any():
            return [(c.y, c.x, c.positive) for c in place_clicks(predicted, truth, seed=seed)]
        points = place_points(truth, int(self.rng.integers(2, _MOST_SPREAD + 1)), seed=seed)
        return [(float(y), float(x), True) for y, x in points]

    def _look(self, subject: Subject, view: View) -> Annotation | None:
        view = subject.placed(view, self.size, self.rng)
        image, target = (part.to(self.device) for part in subject.cut(view, self.size))
        if float(target.sum()) < _LEAST:
            return None
        image = augment_intensity(image, self.generator, estranged=_ESTRANGED)
        return Annotation(subject, view, image[0], target[0], torch.zeros_like(target[0]), [], 0, 0)

    def _restlessness(self, annotation: Annotation) -> float:
        """Return how often the window should be moved now."""
        ratio = annotation.view.span / annotation.subject.extent
        could = annotation.view.span > least_span(self.size) * 1.2
        return _FOLLOW if ratio < _NEAR or (ratio > _FAR and could) else _WANDER

    def _move(self, annotation: Annotation) -> bool:
        """Look at the object in another window; False where nothing of it is seen there."""
        subject, old = annotation.subject, annotation.view
        follow = self.rng.random() < 0.85
        view = subject.zoomed(self.rng, _NEAR, _FAR) if follow else subject.any_view(self.rng)
        seen = self._look(subject, view)
        if seen is None:
            return False
        factor, offset = subject.between(old, seen.view)
        theta = torch.tensor(
            [[factor, 0, offset[0]], [0, factor, offset[1]]],
            dtype=torch.float32,
            device=self.device,
        )
        grid = F.affine_grid(theta[None], [1, 1, self.size, self.size], align_corners=False)
        moved = F.grid_sample(annotation.previous[None], grid, align_corners=False)[0]
        if annotation.region is not None:
            region = F.grid_sample(annotation.region[None], grid, align_corners=False)[0]
            annotation.region = (region > 0.5).float() - (region < -0.5).float()
        half = self.size / 2

        def there(points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
            """Say where positions (n, 2), y and x, lie in the new window."""
            return (((points + 0.5) / half - 1 - offset[::-1]) / factor + 1) * half - 0.5

        annotation.clicks = [
            (*there(np.array([y, x])).tolist(), positive) for y, x, positive in annotation.clicks
        ]
        annotation.strokes = [Stroke(there(s.points), s.positive) for s in annotation.strokes]
        annotation.view, annotation.image, annotation.target = seen.view, seen.image, seen.target
        annotation.previous, annotation.ignored = moved, seen.ignored
        annotation.features = None
        return True

    def _degraded(self, previous: Tensor) -> Tensor:
        """Make the previous prediction coarser, or lose it, now and then."""
        if self.rng.random() < 0.15:
            factor = int(self.rng.integers(2, 5))
            small = F.avg_pool2d(previous[None], factor)
            size = (self.size, self.size)
            previous = F.interpolate(small, size, mode="bilinear", align_corners=False)[0]
        return torch.zeros_like(previous) if self.rng.random() < 0.05 else previous

    def _maps(self, some: list[Annotation]) -> ClickMaps:
        maps = ClickMaps.empty(len(some), self.size, self.radius, self.device)
        for k in range(max(len(a.clicks) for a in some)):
            which = [i for i, a in enumerate(some) if k < len(a.clicks)]
            rows, columns, positive = zip(*(some[i].clicks[k] for i in which), strict=True)
            part = maps.take(torch.tensor(which, device=self.device))
            kinds = torch.tensor(positive, device=self.device)
            ys, xs = (torch.tensor(v, device=self.device) for v in (rows, columns))
            part.add(ys, xs, kinds, torch.ones_like(kinds))
            maps.put(torch.tensor(which, device=self.device), part)
        for i, annotation in enumerate(some):
            for stroke in annotation.strokes:
                canvas = np.zeros((self.size, self.size), np.float32)
                stroke.draw(canvas, self.radius)
                plane = maps.positive if stroke.positive else maps.negative
                drawn = torch.from_numpy(canvas).to(self.device)
                plane[i, 0] = torch.maximum(plane[i, 0], drawn)
        return maps

    def _click(self, some: list[Annotation]) -> None:
        """Put one click on the largest error of each; an annotation may come twice."""
        again: list[Annotation] = []
        once: list[Annotation] = []
        for annotation in some:
            (again if any(annotation is other for other in once) else once).append(annotation)
        once = [a for a in once if not (a.begun and self._corrected_by_gesture(a))]
        if not once:
            return self._click(again) if again else None
        maps = self._maps(once)
        target = torch.stack([a.target for a in once])
        predicted = (torch.stack([a.previous for a in once]) > 0.5).float()
        clicked = torch.clamp(maps.positive + maps.negative, max=1.0)
        wrong = torch.cat([target * (1 - predicted), (1 - target) * predicted], 1) * (1 - clicked)
        # The very first click of an object is always positive.
        fresh = torch.tensor([not a.begun for a in once], device=self.device)
        fresh &= predicted.sum(dim=(1, 2, 3)) == 0
        wrong[fresh, 0:1] = target[fresh]
        ignored = _ignored(once)
        if ignored is not None:
            wrong = wrong * (1 - ignored)
        rows, columns, positive, valid = next_clicks(wrong, self.generator)
        shape = (2, rows.shape[0])
        jitter = torch.randn(shape, generator=self.generator, device=self.device)
        jitter = (jitter * self.radius * 0.4).round().long()
        last = self.size - 1
        y, x = (rows + jitter[0]).clamp(0, last), (columns + jitter[1]).clamp(0, last)
        index = torch.arange(rows.shape[0], device=self.device)
        right = (target[index, 0, y, x] > 0.5) == positive
        ys, xs = torch.where(right, y, rows).tolist(), torch.where(right, x, columns).tolist()
        for annotation, y_, x_, kind, there in zip(
            once, ys, xs, positive.tolist(), valid.tolist(), strict=True
        ):
            if there:
                annotation.clicks.append((float(y_), float(x_), bool(kind)))
        self._click(again)


def _along(strokes: list[Stroke]) -> list[tuple[float, float, bool]]:
    """Return places along scribbles, as clicks whose colours count."""
    return [(y, x, stroke.positive) for stroke in strokes for y, x in stroke.places()]


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return mask
    return np.asarray(parts == 1 + np.bincount(parts.ravel())[1:].argmax())


def mean_length(steps: int) -> float:
    """Return how many predictions an annotation has on average, where most have up to `steps`.

    Parameters
    ----------
    steps : int
        As of `LiveAnnotations`.
    """
    few, many = (steps + 1) / 2, (steps * _LONGER + 1) / 2
    return few if steps == 1 else (1 - _LONG) * few + _LONG * many


def _ignored(some: list[Annotation]) -> Tensor | None:
    """Return what counts neither way in each, (B, 1, N, N); None where all counts."""
    if all(annotation.ignored is None for annotation in some):
        return None
    nothing = torch.zeros_like(some[0].target)
    return torch.stack([nothing if a.ignored is None else a.ignored for a in some])
