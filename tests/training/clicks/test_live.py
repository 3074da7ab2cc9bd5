from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_clickseg.training.clicks.live import LiveAnnotations, mean_length
from napari_clickseg.training.clicks.record import TrainingImage

SIZE = 48


class Squares:
    """Images whose one object is as bright as nothing else."""

    def __init__(self) -> None:
        self.records: list[TrainingImage] = []
        rng = np.random.default_rng(0)
        for _ in range(6):
            labels = np.zeros((120, 150), np.int32)
            y, x = rng.integers(5, 70, 2)
            labels[y : y + 30, x : x + 40] = 1
            image = np.repeat((labels * 255).astype(np.uint8)[None], 3, 0)
            self.records.append(TrainingImage(image, labels, (1,)))

    def draw(self, rng: np.random.Generator, n: int) -> list[TrainingImage]:
        return [self.records[i] for i in rng.integers(len(self.records), size=n).tolist()]


def live(seed: int = 0, **options: Any) -> LiveAnnotations:
    known: dict[str, Any] = {"radius": 1.5, "steps": 4, "count": 12}
    return LiveAnnotations(
        Squares(),
        SIZE,
        **(known | options),
        rng=np.random.default_rng(seed),
        generator=torch.Generator().manual_seed(seed),
        device=torch.device("cpu"),
    )


def noisy(target: torch.Tensor, seed: int) -> torch.Tensor:
    """What a network that is often wrong may answer."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(*target.shape[:2], 6, 6, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="nearest")
    return (target + 1.2 * (fine - 0.5)).clamp(0, 1)


def test_a_lesson_is_a_batch_of_what_is_going_on() -> None:
    lesson = live().lesson(5)
    assert len(set(lesson.chosen)) == 5
    assert lesson.image.shape == (5, 3, SIZE, SIZE)
    assert lesson.target.shape == lesson.previous.shape == (5, 1, SIZE, SIZE)
    assert lesson.maps.positive.shape == lesson.maps.negative.shape == (5, 1, SIZE, SIZE)
    assert (lesson.steps == 0).all()
    assert (lesson.target.sum(dim=(1, 2, 3)) >= 9).all()


def test_annotations_begin_with_a_positive_click_on_the_object_or_a_mask() -> None:
    lesson = live(count=60).lesson(60)
    begun = lesson.previous.amax(dim=(1, 2, 3)) > 0
    assert 0.02 < begun.float().mean() < 0.4
    positive, negative = lesson.maps.positive[~begun], lesson.maps.negative[~begun]
    assert (negative == 0).all()
    assert ((positive * lesson.target[~begun]).sum(dim=(1, 2, 3)) > 0).all()


def test_some_begin_with_the_object_around_the_object_and_a_negative_click_on_it() -> None:
    lesson = live(count=100).lesson(100)
    negative = lesson.maps.negative.amax(dim=(1, 2, 3)) > 0
    positive = lesson.maps.positive.amax(dim=(1, 2, 3)) > 0
    mistaken = negative & positive
    assert 0.03 < mistaken.float().mean() < 0.25
    for i in torch.nonzero(mistaken).flatten().tolist():
        previous, target = lesson.previous[i] > 0.5, lesson.target[i] > 0.5
        assert (previous | ~target).float().mean() > 0.97
        assert (previous & ~target & (lesson.maps.negative[i] > 0)).any()


def test_every_new_click_lies_in_what_was_wrong_and_has_its_sign() -> None:
    annotations = live()
    checked = 0
    for k in range(40):
        lesson = annotations.lesson(6)
        answer = noisy(lesson.target, k)
        before = {
            i: (annotations.in_progress[i], len(annotations.in_progress[i].clicks))
            for i in lesson.chosen
        }
        views = {i: annotations.in_progress[i].view for i in lesson.chosen}
        annotations.advance(lesson, answer)
        for row, i in enumerate(lesson.chosen):
            one, count = before[i]
            if annotations.in_progress[i] is not one or one.view is not views[i]:
                continue  # over, or seen through another window now
            for y, x, positive in one.clicks[count:]:
                predicted = answer[row, 0, round(y), round(x)] > 0.5
                truth = lesson.target[row, 0, round(y), round(x)] > 0.5
                assert bool(truth) == positive
                assert bool(predicted) != positive or not (predicted ^ truth)
                checked += 1
    assert checked > 60


def test_annotations_end_after_their_steps_and_others_begin() -> None:
    annotations, steps = live(steps=3), []
    for k in range(60):
        lesson = annotations.lesson(6)
        steps += lesson.steps.tolist()
        annotations.advance(lesson, noisy(lesson.target, k))
    shares = np.bincount(steps, minlength=9) / len(steps)
    assert len(shares) == 9, "none goes on for longer than three times as long"
    assert shares[0] > shares[1] > shares[2] > shares[3:].max()
    assert 0.02 < shares[3:].sum() < 0.4  # some have many clicks, as hard objects have


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_length_of_annotations_is_as_said(steps: int) -> None:
    annotations = live(steps=steps)
    lengths = [annotations._length() for _ in range(4000)]
    assert min(lengths) == 1
    assert np.mean(lengths) == pytest.approx(mean_length(steps), rel=0.08)


def test_windows_follow_the_object_and_clicks_and_mask_move_with_it() -> None:
    """A first look at a whole image is followed by closer ones, on the same spot."""
    annotations = live(steps=6, count=30)
    moved = closer = 0
    for _ in range(40):
        lesson = annotations.lesson(10)
        ones = [annotations.in_progress[i] for i in lesson.chosen]
        spans = [one.view.span for one in ones]
        annotations.advance(lesson, lesson.target)
        for one, span in zip(ones, spans, strict=True):
            if not any(one is other for other in annotations.in_progress) or one.view.span == span:
                continue
            moved += 1
            closer += one.view.span < span
            previous = (one.previous > 0.5).float()
            if previous.sum() > 30:  # all of it is the object; of which the old window saw a part
                assert (previous * one.target).sum() / previous.sum() > 0.7
            for y, x, positive in one.clicks:
                inside = 0 <= y < SIZE - 1 and 0 <= x < SIZE - 1
                if positive and inside:
                    near = one.target[
                        0, max(0, int(y) - 2) : int(y) + 4, max(0, int(x) - 2) : int(x) + 4
                    ]
                    assert near.max() == 1
    assert moved > 20
    assert closer > moved / 2


@pytest.mark.parametrize("seed", [0, 1])
def test_everything_is_decided_by_the_seed(seed: int) -> None:
    runs = [live(seed), live(seed), live(seed + 5)]
    lessons = []
    for run in runs:
        for k in range(5):
            lesson = run.lesson(4)
            run.advance(lesson, noisy(lesson.target, k))
        lessons.append(run.lesson(4))
    first, again, other = lessons
    assert first.chosen == again.chosen
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.maps.positive, again.maps.positive)
    assert torch.equal(first.previous, again.previous)
    assert not torch.equal(first.image, other.image)


def test_some_objects_begin_with_several_clicks_and_every_click_is_true() -> None:
    some = live(count=200)
    some.lesson(2)
    several = [a for a in some.in_progress if len(a.clicks) > 1]
    fresh = [a for a in several if not a.previous.any()]
    assert len(fresh) >= 5
    assert all(positive for a in fresh for _, _, positive in a.clicks)
    assert any(not positive for a in several for _, _, positive in a.clicks)
    for annotation in some.in_progress:
        for y, x, positive in annotation.clicks:
            assert bool(annotation.target[0, int(y), int(x)]) == positive


# Boxes, scribbles and lassos


def prompted(seed: int = 0, **options: Any) -> LiveAnnotations:
    return live(seed, encoding="prompts", count=40, **options)


def test_only_a_network_that_is_told_of_gestures_gets_some() -> None:
    for encoding, channels in (("channels", 6), ("likeness", 10), ("prompts", 11)):
        going = live(encoding=encoding, count=40)
        lesson = going.lesson(40)
        assert lesson.inputs.shape == (40, channels, SIZE, SIZE)
        gestures = [a for a in going.in_progress if a.strokes or a.region is not None]
        assert bool(gestures) == (encoding == "prompts")
        assert all(a.begun for a in going.in_progress)


def test_what_was_drawn_is_shown_where_the_object_is() -> None:
    """Also after the window has moved, and by corrections as well as at the beginning."""
    going = prompted(steps=6)
    regions = strokes = 0
    for step in range(15):
        lesson = going.lesson(20)
        for k, i in enumerate(lesson.chosen):
            annotation = going.in_progress[i]
            target = annotation.target[0] > 0.5
            if annotation.region is not None:
                shown = lesson.inputs[k, 6]
                assert torch.equal(shown, annotation.region[0])
                assert set(shown.unique().tolist()) <= {-1.0, 0.0, 1.0}
                marked = shown > 0
                if marked.any() and target.any():
                    regions += 1
                    assert (marked & target).sum() >= 0.5 * torch.minimum(marked, target).sum()
            for stroke in annotation.strokes:
                inside = [p for p in stroke.dense().round().astype(int) if 0 <= min(p)]
                inside = [p for p in inside if max(p) < SIZE]
                plane = 3 if stroke.positive else 4
                strokes += bool(inside)
                assert all(lesson.inputs[k, plane, y, x] == 1 for y, x in inside)
        going.advance(lesson, noisy(lesson.target, step))
    assert regions > 20
    assert strokes > 20


def test_the_area_counts_what_lies_outside_the_window() -> None:
    going = prompted()
    for annotation in going._begin(60):
        seen = float(annotation.target.sum())
        zoom = SIZE / annotation.view.span
        assert annotation.area == pytest.approx(max(seen, 30 * 40 * zoom**2))
