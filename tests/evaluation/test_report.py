"""Figures by set and over sets."""

import json
import math

import imageio.v3 as iio
import numpy as np
import pytest

from napari_clickseg.evaluation.noc import NocSpec, ObjectResult
from napari_clickseg.evaluation.plots import PlotError, plot_clicks
from napari_clickseg.evaluation.report import by_set, mean_figures, report, setbacks, table
from napari_clickseg.evaluation.sweep import ImageResult


def image(dataset, *ious, name="a", seconds=(0.1,), clicks=0):
    made = ((1.0, 1.0, True),) * clicks
    objects = [ObjectResult(i, 100, 0, 0.0, o, seconds, made) for i, o in enumerate(ious, 1)]
    return ImageResult(dataset, name, tuple(objects))


CROWD = image("crowd", *[(0.5, 0.95)] * 9)
SINGLE = image("single", (0.9, 0.92), seconds=(0.3, 0.5))


def test_sets_count_alike_however_many_objects_they_have():
    mean = mean_figures(by_set([CROWD, SINGLE]))
    assert mean.objects == 10
    assert mean.noc[90] == pytest.approx((2 + 1) / 2)
    assert mean.iou == pytest.approx(((0.5 + 0.9) / 2, (0.95 + 0.92) / 2))


def test_failures_are_a_share_of_the_objects():
    (figures,) = by_set([image("a", (0.5, 0.86), (0.95, 0.96))])
    assert figures.failures == {80: 0.0, 85: 0.0, 90: 0.5}


def test_seconds_are_the_median_of_all_clicks():
    (figures,) = by_set([image("a", (0.5, 0.6), seconds=(0.1, 9.0)), image("a", (0.5, 0.6))])
    assert figures.seconds == pytest.approx(0.1)


def test_clicks_that_make_it_worse_are_a_share_of_those_that_were_made():
    worse = image("a", (0.5, 0.495, 0.484, 0.484), clicks=3)  # the last one goes on
    once = image("a", (0.9, 0.85, 0.895, 0.895), clicks=3)
    (figures,) = by_set([worse, once])
    assert figures.worse_clicks == pytest.approx(2 / 6)
    assert figures.worse_ends == 0.0
    (figures,) = by_set([image("a", (0.9, 0.87), (0.9, 0.895), clicks=2)])
    assert (figures.worse_clicks, figures.worse_ends) == (0.25, 0.5)


def test_a_first_click_can_make_a_starting_mask_worse():
    started = ObjectResult(1, 100, 0, 0.8, (0.7, 0.9), (), ((1.0, 1.0, True),) * 2)
    (figures,) = by_set([ImageResult("a", "a", (started,))])
    assert figures.worse_clicks == 0.5


def test_setbacks_count_sets_alike_and_none_are_said_without_clicks():
    lines = setbacks([image("a", (0.9, 0.5), clicks=2), image("b", *[(0.5, 0.9)] * 9, clicks=2)])
    assert lines.startswith("25.0% of the clicks") and "50.0% of the objects" in lines
    assert setbacks([image("none")]) == setbacks([SINGLE]) == ""
    summary = report([CROWD, image("a", (0.9, 0.5), clicks=2)], NocSpec())
    assert summary["sets"]["crowd"]["worse_clicks"] is None
    assert (summary["sets"]["a"]["worse_clicks"], summary["sets"]["a"]["worse_ends"]) == (0.5, 1.0)
    assert (summary["mean"]["worse_clicks"], summary["mean"]["worse_ends"]) == (0.5, 0.5)


def test_repeats_of_an_object_count_as_one_object():
    repeats = [ObjectResult(1, 100, repeat, 0.0, (0.9,), (), ()) for repeat in range(3)]
    (figures,) = by_set([ImageResult("a", "a", tuple(repeats))])
    assert figures.objects == 1
    assert math.isnan(figures.seconds)


def test_a_report_names_each_object_so_that_two_can_be_compared_one_by_one():
    repeats = tuple(ObjectResult(7, 100, n, 0.0, (0.5, 0.9), (), ()) for n in range(2))
    each = report([ImageResult("a", "one.png", repeats), SINGLE], NocSpec())["each"]
    assert [(e["set"], e["image"], e["object"], e["repeat"]) for e in each[:2]] == [
        ("a", "one.png", 7, 0),
        ("a", "one.png", 7, 1),
    ]
    assert each[0]["iou"] == [0.5, 0.9] and len(each) == 2 + len(SINGLE.objects)


def test_sets_without_objects_are_left_out():
    assert [s.name for s in by_set([image("none"), SINGLE])] == ["single"]
    assert report([image("none")], NocSpec())["mean"] is None
    assert "No object" in table([image("none")])


def test_report_is_strict_json_and_says_how_it_was_made():
    summary = report([image("a", (0.9, 0.9), seconds=())], NocSpec(seed=7), model="default")
    again = json.loads(json.dumps(summary, allow_nan=False))
    assert again["model"] == "default"
    assert again["spec"]["seed"] == 7
    assert again["sets"]["a"]["noc90"] == 1
    assert again["sets"]["a"]["iou"] == {"1": 0.9, "2": 0.9}
    assert again["sets"]["a"]["seconds_per_click"] is None


def test_table_has_a_row_for_each_set_and_one_for_their_mean():
    lines = table([CROWD, SINGLE]).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "crowd",
        "single",
        "mean over sets",
    ]
    assert len({len(line) for line in lines}) == 1
    assert "IoU@2" in lines[0] and "IoU@3" not in lines[0]
    assert len(table([SINGLE]).splitlines()) == 3


@pytest.mark.parametrize("results", [[SINGLE], [CROWD, SINGLE]])
def test_plot_shows_a_line_for_each_set(results, tmp_path):
    path = tmp_path / "plot.png"
    plot_clicks(results, path, title="here")
    picture = iio.imread(path)[..., :3].astype(int)
    assert picture.shape[1] > picture.shape[0] > 400
    blue, orange = (31, 119, 180), (255, 127, 14)

    def drawn(colour):
        return (np.abs(picture - colour).sum(-1) < 90).sum() > 100

    assert drawn(blue)
    assert drawn(orange) == (len(results) > 1)


@pytest.mark.parametrize(("name", "results"), [("plot.doc", [SINGLE]), ("plot.png", [image("n")])])
def test_plot_that_cannot_be_drawn_is_refused(name, results, tmp_path):
    with pytest.raises(PlotError):
        plot_clicks(results, tmp_path / name)
    assert not list(tmp_path.iterdir())
