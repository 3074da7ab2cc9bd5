"""Whole sets: in parallel, stopped, gone on with."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from skimage.draw import disk

from napari_clickseg.evaluation.noc import NocSpec
from napari_clickseg.evaluation.sweep import (
    ImageResult,
    SegmenterFactory,
    SweepError,
    _loaded,
    list_tasks,
    sweep,
)

SPEC = NocSpec(clicks=4, jitter=3.0)


@pytest.fixture
def project(tmp_path):
    """Five images whose masks are the images themselves."""
    folder = tmp_path / "disks"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for n in range(5):
        labels = np.zeros((64, 80), np.uint8)
        labels[disk((20 + n, 20), 12)] = 1
        labels[disk((40, 60 - n), 14)] = 2
        iio.imwrite(folder / "images" / f"{n}.png", labels)
        iio.imwrite(folder / "masks" / f"{n}.png", labels)
    return folder


class Broken(Exception):
    """Stands for whatever stops a sweep."""


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_every_scheduler_gives_the_same_in_the_order_of_the_tasks(known, project, scheduler):
    tasks = list_tasks([project])
    results = sweep(known, tasks, SPEC, scheduler=scheduler, workers=2)
    assert [result.key for result in results] == [task.key for task in tasks]
    assert results == sweep(known, tasks, SPEC, scheduler="sync")
    assert all(o.noc(0.9) == 1 for result in results for o in result.objects)


def test_a_stopped_sweep_goes_on_to_the_same_result(known, blind, project, tmp_path):
    tasks, file = list_tasks([project]), tmp_path / "results.jsonl"
    calls = []

    def stop_at_the_third(result):
        calls.append(result)
        if len(calls) == 3:
            raise Broken

    with pytest.raises(Broken):
        sweep(known, tasks, SPEC, resume=file, on_result=stop_at_the_third)
    with file.open("a") as handle:
        handle.write('{"dataset": "disks", "ima')  # stopped in the middle of a line

    started = []

    def counting():
        started.append(1)
        return known()

    seen = []
    results = sweep(counting, tasks, SPEC, resume=file, on_result=seen.append)
    assert results == sweep(known, tasks, SPEC)
    assert len(started) == 2
    assert len(seen) == 5
    assert results == sweep(blind, tasks, SPEC, resume=file)  # nothing is left to do


def test_a_file_of_other_settings_is_not_gone_on_with(known, project, tmp_path):
    tasks, file = list_tasks([project], limit=1), tmp_path / "results.jsonl"
    sweep(known, tasks, SPEC, resume=file, label="one")
    for spec, label, what in ((SPEC, "two", "label"), (NocSpec(), "one", "spec")):
        with pytest.raises(SweepError, match=f"its {what} differs"):
            sweep(known, tasks, spec, resume=file, label=label)


@pytest.mark.parametrize("text", ["my notes", "my notes\nand more", "[1]\n", '{"a": 1}\n{}\n'])
def test_a_file_of_something_else_stays_as_it_is(known, project, tmp_path, text):
    file = tmp_path / "notes.txt"
    file.write_text(text)
    with pytest.raises(SweepError, match=r"notes\.txt"):
        sweep(known, list_tasks([project]), SPEC, resume=file)
    assert file.read_text() == text


def test_results_of_other_images_are_kept_but_not_returned(known, project, tmp_path):
    file = tmp_path / "results.jsonl"
    sweep(known, list_tasks([project], limit=3), SPEC, resume=file)
    assert len(sweep(known, list_tasks([project], limit=1), SPEC, resume=file)) == 1
    assert len(file.read_text().splitlines()) == 4


def test_lines_of_the_file_are_json(known, project, tmp_path):
    file = tmp_path / "results.jsonl"
    results = sweep(known, list_tasks([project]), SPEC, resume=file)
    header, *lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert header["spec"]["jitter"] == 3.0
    assert sorted(ImageResult.from_json(line).key for line in lines) == [r.key for r in results]


def test_sets_need_names_of_their_own(project):
    with pytest.raises(SweepError, match="disks"):
        list_tasks([project, project])


def test_limit_takes_the_first_images_of_each_set(project):
    assert [task.key for task in list_tasks([project], limit=2)] == [
        "disks/images/0.png",
        "disks/images/1.png",
    ]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: iio.imwrite(folder / "masks/0.png", np.ones((5, 5), np.uint8)), "shape"),
        (lambda folder: (folder / "images/0.png").write_bytes(b"none"), "cannot be read"),
        (lambda folder: (folder / "masks/0.png").unlink(), "no file"),
    ],
)
def test_an_image_that_can_not_be_used_is_named_and_ends_nothing(known, project, spoil, why):
    tasks = list_tasks([project])
    whole = sweep(known, tasks, SPEC)
    spoil(project)
    results = sweep(known, tasks, SPEC, resume=project / "results.jsonl")
    assert [bool(result.problem) for result in results] == [
        result.image.endswith("/0.png") for result in results
    ]
    (bad,) = (result for result in results if result.problem)
    assert "0.png" in bad.problem
    assert why in bad.problem
    assert [r for r in results if not r.problem] == [r for r in whole if r.image != bad.image]
    assert bad.image not in (project / "results.jsonl").read_text()


def test_alpha_is_no_channel(known, project):
    picture = iio.imread(project / "images" / "0.png")
    iio.imwrite(project / "images" / "0.png", np.dstack([picture] * 4))
    seen = []

    class Looking(known):
        def start(self, image, *, rgb=None):
            seen.append(image.shape)
            return super().start(image[..., 0])

    sweep(Looking, list_tasks([project], limit=1), SPEC)
    assert seen == [(64, 80, 3)]


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_channels_of_16_bits_are_colours_where_the_file_says_so(known, project, photometric):
    picture = iio.imread(project / "images" / "0.png").astype(np.uint16)
    (project / "images" / "0.png").unlink()
    stored = np.stack([picture] * 3, -1 if photometric == "rgb" else 0)
    tifffile.imwrite(
        project / "images" / "0.tif",
        stored,
        photometric=photometric,
        metadata={"axes": "YXS" if photometric == "rgb" else "CYX"},
        ome=True,
    )
    seen = []

    class Looking(known):
        def start(self, image, *, rgb=None):
            seen.append((image.shape, image.dtype, rgb))
            return super().start(image[..., 0])

    sweep(Looking, list_tasks([project], limit=1), SPEC)
    assert seen == [((64, 80, 3), np.uint16, photometric == "rgb")]


def test_the_very_session_is_driven_and_its_figures_do_not_depend_on_the_workers(project):
    """Masks and clicks are the same with one worker and with two on one shared model."""
    tasks = list_tasks([project], limit=2)
    factory = SegmenterFactory(device="cpu", threads=1)
    spec = NocSpec(clicks=2, objects=1)
    results = sweep(factory, tasks, spec, workers=2)
    assert results == sweep(factory, tasks, spec, scheduler="sync")
    for result in results:
        for one in result.objects:
            assert len(one.ious) == 2 and all(0 <= value <= 1 for value in one.ious)
            assert all(second > 0 for second in one.seconds)


def test_figures_say_on_which_device_and_in_which_precision_they_were_made(
    project, tmp_path, monkeypatch, capsys
):
    """Not what was asked for, `auto`: what that came to."""
    import torch

    from napari_clickseg.cli import main
    from napari_clickseg.engine import devices

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    precisions = {None: "float32", torch.bfloat16: "bfloat16"}
    for quick, expected in precisions.items():
        monkeypatch.setattr(devices, "quick_dtype", lambda _, quick=quick: quick)
        monkeypatch.setattr("napari_clickseg.engine.segmenter.quick_dtype", devices.quick_dtype)
        file = tmp_path / f"{expected}.json"
        words = ["evaluate", str(project), "--limit", "1", "--objects", "1", "--clicks", "1"]
        _loaded.cache_clear()
        assert main([*words, "--workers", "1", "--json", str(file)]) == 0
        output = json.loads(file.read_text())
        assert (output["device"], output["precision"]) == ("cpu", expected)
    _loaded.cache_clear()
    assert "of the clicks lower the IoU by more than 0.01" in capsys.readouterr().out
