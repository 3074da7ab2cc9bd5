"""The protocol that clicks are counted by."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from skimage.draw import disk

from napari_clickseg.core.gestures import enclosed
from napari_clickseg.evaluation.first_gestures import first_gesture
from napari_clickseg.evaluation.metrics import iou
from napari_clickseg.evaluation.noc import (
    NocSpec,
    ObjectResult,
    click_object,
    evaluate_image,
    imperfect_mask,
    objects_of,
)


@pytest.fixture
def truth():
    """Four disks (ids 1 to 4), a speck (5) and an ignored band."""
    labels = np.zeros((128, 160), np.uint8)
    for identifier, centre in enumerate([(30, 30), (30, 110), (90, 40), (90, 120)], 1):
        labels[disk(centre, 15)] = identifier
    labels[60, 75:80] = 5
    labels[:, 155:] = 255
    return labels


def test_whoever_answers_the_truth_needs_one_click(known, truth):
    for result in evaluate_image(known(), truth, truth, NocSpec(objects=0), "a"):
        assert result.ious == (1.0,) * 20
        assert len(result.clicks) == len(result.seconds) == 1
        assert [result.noc(t) for t in (0.8, 0.85, 0.9)] == [1, 1, 1]
        assert not result.failed(0.9)


def test_whoever_never_answers_fails_after_twenty_different_clicks(blind, truth):
    for result in evaluate_image(blind(), truth, truth, NocSpec(), "a"):
        assert result.noc(0.8) == 20
        assert result.failed(0.8)
        assert len(set(result.clicks)) == 20
        assert all(positive for *_, positive in result.clicks)


def test_reaching_the_target_with_the_last_click_is_no_failure():
    result = ObjectResult(1, 100, 0, 0.0, (0.1, 0.9), (0.0, 0.0), ())
    assert result.noc(0.9) == 2
    assert not result.failed(0.9)


def test_first_click_goes_to_the_middle(known, truth):
    spec = NocSpec(objects=0)
    first = evaluate_image(known(), truth, truth, spec, "a")[0].clicks[0]
    assert first == (30.0, 30.0, True)


def test_objects_are_ids_that_are_large_enough_and_not_ignored(truth):
    rng = np.random.default_rng(0)
    assert objects_of(truth, NocSpec(objects=0), rng) == [1, 2, 3, 4]
    assert objects_of(truth, NocSpec(objects=0, least=1), rng) == [1, 2, 3, 4, 5]
    assert 255 in objects_of(truth, NocSpec(objects=0, ignore=None), rng)


def test_objects_are_drawn_by_seed_and_image_and_nothing_else(truth):
    def drawn(seed, name):
        spec = NocSpec(objects=2, seed=seed)
        return objects_of(truth, spec, spec.rng(name))

    assert drawn(0, "a") == drawn(0, "a")
    assert len(drawn(0, "a")) == 2
    assert len({tuple(drawn(seed, "a")) for seed in range(12)}) > 2
    assert len({tuple(drawn(0, name)) for name in "abcdefghijkl"}) > 2


def test_ignored_pixels_are_neither_clicked_nor_counted(known):
    truth = np.zeros((40, 40), bool)
    truth[:, :20] = True
    ignore = np.zeros_like(truth)
    ignore[:, 10:30] = True
    session = known().start(np.zeros((40, 40), int))  # answers the whole image
    begun, ious, _, clicks = click_object(
        session, truth, NocSpec(clicks=3), np.random.default_rng(0), ignore
    )
    assert begun == 0.0
    assert ious[0] == pytest.approx(0.5)
    assert all(not ignore[int(y), int(x)] for y, x, _ in clicks)
    assert [positive for *_, positive in clicks] == [True, False, False]


def test_jitter_follows_the_seed_and_the_repeat(known, truth):
    spec = NocSpec(objects=0, jitter=3.0, repeats=3)
    first = evaluate_image(known(), truth, truth, spec, "a")
    again = evaluate_image(known(), truth, truth, spec, "a")
    other = evaluate_image(known(), truth, truth, NocSpec(0, 0, jitter=3.0, seed=1), "a")
    assert [r.clicks for r in first] == [r.clicks for r in again]
    assert [r.repeat for r in first] == [0, 1, 2] * 4
    assert len({r.clicks for r in first if r.identifier == 1}) > 1
    assert other[0].clicks != first[0].clicks


def test_jitter_stays_in_the_error_and_grows_with_the_image(blind):
    def offsets(side):
        truth = np.zeros((side, side), np.uint8)
        truth[disk((side // 2, side // 2), side // 3)] = 1
        spec = NocSpec(clicks=1, jitter=3.0, repeats=40)
        results = evaluate_image(blind(), truth, truth, spec, "a")
        clicks = np.array([result.clicks[0][:2] for result in results])
        assert all(truth[int(y), int(x)] for y, x in clicks)
        return np.std(clicks - side // 2)

    assert offsets(128) < 1.2
    assert 2.2 < offsets(512) < 3.8


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("radius", [5, 20])
def test_imperfect_mask_has_an_iou_between_0_6_and_0_8(radius, seed):
    truth = np.zeros((100, 120), bool)
    truth[disk((40, 60), radius)] = True
    mask = imperfect_mask(truth, np.random.default_rng(seed))
    assert 0.6 <= iou(mask, truth) <= 0.8


def test_imperfect_mask_is_made_in_different_ways():
    truth = np.zeros((100, 100), bool)
    truth[30:70, 30:70] = True
    masks = [imperfect_mask(truth, np.random.default_rng(seed)) for seed in range(12)]
    grown = [mask[truth].all() for mask in masks]
    shrunk = [not mask[~truth].any() for mask in masks]
    shifted = [not g and not s for g, s in zip(grown, shrunk, strict=True)]
    assert any(grown) and any(shrunk) and any(shifted)


def thin_objects():
    """Objects of 64 pixels and a little more, none of which has a middle."""
    line, cross, dots = (np.zeros((90, 90), bool) for _ in range(3))
    line[40, 10:74] = True
    cross[5:85, 44] = cross[44, 5:85] = True
    dots[10:26:2, 10:26:2] = True
    diagonal, frame = np.eye(70, dtype=bool), np.ones((17, 17), bool)
    frame[1:-1, 1:-1] = False
    return {"line": line, "cross": cross, "dots": dots, "diagonal": diagonal, "frame": frame,
            "everything": np.ones((8, 8), bool)}  # fmt: skip


@pytest.mark.parametrize("name", thin_objects())
def test_imperfect_mask_of_a_thin_object_is_as_imperfect(name):
    truth = thin_objects()[name]
    assert truth.sum() >= 64
    for seed in range(60):
        mask = imperfect_mask(truth, np.random.default_rng(seed))
        assert 0.6 <= iou(mask, truth) <= 0.8
        assert (mask == imperfect_mask(truth, np.random.default_rng(seed))).all()


def test_imperfect_mask_of_a_speck_is_not_empty():
    truth = np.zeros((50, 50), bool)
    truth[25, 10] = True
    assert imperfect_mask(truth, np.random.default_rng(0)).any()


def test_from_a_mask_the_session_starts_with_it(known, truth):
    predictor = known()
    results = evaluate_image(predictor, truth, truth, NocSpec(objects=0, from_mask=True), "a")
    starts = predictor.sessions[0].starts
    assert len(starts) == 4
    for start, result in zip(starts, results, strict=True):
        assert 0.6 <= result.start_iou <= 0.8
        assert result.start_iou == iou(start, truth == result.identifier, truth == 255)


def test_one_session_serves_all_objects_of_an_image(known, truth):
    predictor = known()
    evaluate_image(predictor, truth, truth, NocSpec(objects=0), "a")
    assert len(predictor.sessions) == 1


def test_truth_of_another_shape_is_named(known, truth):
    with pytest.raises(ValueError, match="picture: the truth's shape"):
        evaluate_image(known(), truth[1:], truth, NocSpec(), "picture")


@pytest.mark.parametrize("kind", ["box", "scribble", "lasso"])
@pytest.mark.parametrize("size", [4, 30, 300])
def test_the_first_gesture_is_on_the_object_and_about_as_large(kind, size):
    labels = np.zeros((700, 800), bool)
    labels[disk((350, 400), size)] = True
    for seed in range(8):
        rng = np.random.default_rng(seed)
        gesture = first_gesture(kind, labels, rng)
        assert gesture == first_gesture(kind, labels, np.random.default_rng(seed))
        if kind == "scribble":
            inside = [labels[round(y), round(x)] for y, x in gesture.points]
            assert np.mean(inside) > 0.7
            continue
        area = np.zeros(labels.shape, bool)
        if kind == "box":
            area[gesture.reach.slices] = True
            assert 0.55 < iou(area, labels) < 1
        else:
            area = enclosed(gesture.points, labels.shape)
            assert area[labels].mean() > 0.9
            assert iou(area, labels) > 0.35


def test_a_first_gesture_counts_as_a_click(truth):
    made = []

    class Session:
        def start_from(self, mask):
            made.clear()

        def click(self, y, x, positive=True):
            made.append("click")

        def box(self, top, left, bottom, right):
            made.append("box")

        def scribble(self, points, positive=True):
            made.append("scribble")

        def lasso(self, points, positive=True):
            made.append("lasso")

        def predict(self):
            return SimpleNamespace(mask=np.zeros(truth.shape, bool))

    for kind in ("box", "scribble", "lasso"):
        spec = NocSpec(clicks=4, first=kind)
        _, ious, seconds, clicks = click_object(Session(), truth == 1, spec, spec.rng(kind))
        assert made == [kind, "click", "click", "click"]
        assert len(ious) == len(seconds) == 4
        assert len(clicks) == 3


@pytest.mark.parametrize(
    ("right", "ious"), [(0, (1, 1, 1, 1)), (1, (0, 1, 1, 1)), (2, (0, 0, 1, 1)), (3, (0, 0, 0, 0))]
)
def test_each_step_to_another_reading_counts_as_a_click(truth, right, ious):
    class Session:
        readings = 4

        def start_from(self, mask):
            self.at = 0

        def click(self, y, x, positive=True):
            pass

        def reading(self, n):
            self.at = n

        def predict(self):
            return SimpleNamespace(mask=(truth == 1) & (self.at == right))

    spec = NocSpec(clicks=4, readings=3)
    course = click_object(Session(), truth == 1, spec, spec.rng("a"))[1]
    assert course == ious


def test_a_method_of_clicks_alone_is_refused_a_first_box(known, truth):
    session = known().start(truth)
    with pytest.raises(ValueError, match="takes clicks only"):
        click_object(session, truth == 1, NocSpec(first="box"), np.random.default_rng(0))


def test_results_survive_json(known, truth):
    spec = NocSpec(jitter=3.0)
    for result in evaluate_image(known(), truth, truth, spec, "a"):
        again = ObjectResult.from_json(json.loads(json.dumps(result.to_json())))
        assert again == result
        assert again.seconds == result.seconds
