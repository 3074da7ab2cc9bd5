"""Comparisons from beginning to end, with tiny networks on generated images."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from default_model.crowds import crowd
from napari_clickseg.comparing import figures
from napari_clickseg.comparing.compare import compare, go_on
from napari_clickseg.comparing.folder import ComparisonFolder
from napari_clickseg.comparing.spec import ComparisonError
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.index import INDEX
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.models.checkpoint import load_network, read_card
from napari_clickseg.models.losses import LossError
from napari_clickseg.models.registry import find_model
from napari_clickseg.training import finetune
from napari_clickseg.training.loop.work import TrainingError
from napari_clickseg.training.tables import read_table
from tests.comparing.conftest import started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.comparing.spec import ComparisonSpec

    Make = Callable[..., ComparisonSpec]

TWO_BY_TWO = {"architecture": ["linknet", "manet"], "learning_rate": [0.01, 0.001]}


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """What was said of `finished`."""
    return []


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    tested_project: Path,
    make_spec: Make,
    events: list[dict[str, Any]],
) -> ComparisonFolder:
    """Two settings with two values each, of a project with images to test on."""
    out = tmp_path_factory.mktemp("finished") / "out"
    asked = make_spec(tested_project, vary=TWO_BY_TWO, epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_clickseg.training.report._plot", lambda *_: None)
        result = compare(asked, out, on_event=events.append)
    assert (result.reason, result.problems) == ("done", ())
    return ComparisonFolder(out)


def test_every_combination_is_a_run_of_its_own(finished: ComparisonFolder) -> None:
    assert {path.name for path in finished.path.iterdir()} == {
        "architecture=linknet,learning_rate=0.01", "architecture=linknet,learning_rate=0.001",
        "architecture=manet,learning_rate=0.01", "architecture=manet,learning_rate=0.001",
        "comparison.csv", "comparison.json", "cost.png", "events.jsonl", "report.md",
        "report.html", "epochs.png", "spec.json", "split",
    }  # fmt: skip
    for trial in finished.trials:
        run = finished.run(trial.name)
        assert run.spec.architecture == trial.values["architecture"]
        assert run.spec.learning_rate == trial.values["learning_rate"]
        assert read_card(run.model).architecture == trial.values["architecture"]
        assert not run.checkpoint.exists()


def test_all_have_the_same_images_and_the_same_budget(finished: ComparisonFolder) -> None:
    sets = finished.split()
    assert (len(sets["training"]), len(sets["validation"]), len(sets["test"])) == (4, 2, 2)
    specs = [finished.run(trial.name).spec for trial in finished.trials]
    varied = set(TWO_BY_TWO) | {"name"}
    assert len({one.model_dump_json(exclude=varied) for one in specs}) == 1
    assert specs[0].patience == 0
    for trial in finished.trials:
        rows = read_table(finished.run(trial.name).path / "images.csv")
        assert [row["image"] for row in rows] == sets["validation"]


def test_the_figures_are_those_of_the_runs_own_files(finished: ComparisonFolder) -> None:
    with finished.table.open(newline="") as file:
        table = {row["run"]: row for row in csv.DictReader(file)}
    known = json.loads(finished.figures.read_text())
    text = finished.report.read_text()
    for trial, combination in zip(finished.trials, known["combinations"], strict=True):
        run, row = finished.run(trial.name), table[trial.name]
        best = [one for one in read_table(run.path / "metrics.csv") if one["best"] == "True"][-1]
        assert row["best_epoch"] == best["epoch"]
        for name in ("iou_imagewise", "iou_micro", "dice_macro"):
            assert row[f"validation_{name}"] == best[name]
            assert combination["validation"][name]["mean"] == float(best[name])
            assert float(best[name]) == pytest.approx(
                read_card(run.model).metrics["validation"][name], rel=1e-5
            )
        assert f"{float(best['iou_imagewise']):.3f}" in text
        network, _ = load_network(run.model)
        count = sum(parameter.numel() for parameter in network.parameters())
        assert (int(row["parameters"]), f"{count / 1e6:.2f}" in text) == (count, True)
        assert float(row["latency_ms"]) > 0
        assert combination["values"] == trial.values


def test_the_report_has_a_column_for_each_value_and_a_row_for_each_other(
    finished: ComparisonFolder,
) -> None:
    text = finished.report.read_text()
    lines = text.splitlines()
    at = lines.index("### IoU image-wise")
    assert lines[at + 2] == "|  | linknet | manet |"
    assert [line.split("|")[1].strip() for line in lines[at + 4 : at + 6]] == [
        "learning_rate 0.01", "learning_rate 0.001",
    ]  # fmt: skip
    for part in (
        "All have the same split", "4 images to learn from, 2 to validate on, 2 to test on",
        "2 epochs of 2 windows of 64 pixels", "the macro figures are the pooled ones",
        "### IoU pooled", "### Dice image-wise", "## On the test images", "best epoch",
        "million parameters", "seconds an epoch", "latency in ms", "epochs.png", "cost.png",
        "With one seed", "Encoder: tu-test_resnet.",
    ):  # fmt: skip
        assert part in text


def test_test_images_are_measured_and_choose_nothing(finished: ComparisonFolder) -> None:
    from napari_clickseg.data.images import read_plane
    from napari_clickseg.data.project import read_project
    from napari_clickseg.engine.segmenter import load_segmenter
    from napari_clickseg.evaluation.metrics import overlap, summary

    name = finished.trials[0].name
    records = [r for r in read_project(finished.split_folder).records if r.split == "test"]
    segmenter = load_segmenter(finished.run(name).model, "cpu")
    overlaps = []
    for record in records:
        image, truth = (read_plane(path).read_all() for path in (record.image, record.mask))
        overlaps.append(overlap(segmenter.start(image).predict().mask, truth > 0))
    measured = finished.measured(name)["test"]
    # Training keeps images in 8 bits, so a pixel may differ.
    assert measured["iou_imagewise"] == pytest.approx(summary(overlaps)["iou_imagewise"], abs=0.02)
    best = [r for r in read_table(finished.run(name).path / "metrics.csv") if r["best"] == "True"]
    dice = [float(r["dice_macro"]) for r in read_table(finished.run(name).path / "metrics.csv")]
    assert float(best[-1]["dice_macro"]) == max(dice)


def test_events_tell_of_each_training(
    finished: ComparisonFolder, events: list[dict[str, Any]]
) -> None:
    assert events == finished.log.events()[0]
    ended = [e["trial"] for e in events if e["event"] == "trial" and e["state"] == "finished"]
    assert ended == [trial.name for trial in finished.trials]
    assert events[-1] == events[-1] | {"event": "finished", "reason": "done"}


def test_what_is_done_is_not_done_again(
    finished: ComparisonFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **named: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(finetune, "finetune", refuse)
    monkeypatch.setattr(finetune, "resume", refuse)
    before = finished.measured_path(finished.trials[0].name).stat().st_mtime_ns
    assert go_on(finished.path).reason == "done"
    assert finished.measured_path(finished.trials[0].name).stat().st_mtime_ns == before


def test_a_folder_that_holds_something_is_refused(
    finished: ComparisonFolder, make_spec: Make, project: Path, tmp_path: Path
) -> None:
    asked = make_spec(project, vary=TWO_BY_TWO)
    before = finished.report.read_bytes()
    with pytest.raises(ComparisonError, match="holds a comparison already"):
        compare(asked, finished.path)
    assert finished.report.read_bytes() == before
    with pytest.raises(ComparisonError, match="is not empty"):
        compare(asked, project)
    (tmp_path / "file").touch()
    with pytest.raises(ComparisonError, match="is a file"):
        compare(asked, tmp_path / "file")
    with pytest.raises(ComparisonError, match="is not a comparison"):
        go_on(tmp_path / "nowhere")


def test_another_split_is_refused(finished: ComparisonFolder) -> None:
    path = finished.split_folder / INDEX
    before = path.read_text()
    path.write_text(before.replace("validation", "training", 1))
    try:
        with pytest.raises(ComparisonError, match="was changed after the comparison began"):
            go_on(finished.path)
    finally:
        path.write_text(before)


def test_what_failed_is_in_the_table_and_the_rest_goes_on(
    project: Path, tmp_path: Path, make_spec: Make
) -> None:
    """A network whose decoder does not fit its encoder is left out, with two seeds each."""
    fit = {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}
    asked = make_spec(project, vary={"options": [{"encoder_depth": 3}, fit]}, seeds=[0, 1])
    out = tmp_path / "out"
    with pytest.raises(ComparisonError, match=r"Model depth is 3.*--skip-unfit"):
        compare(asked, out)
    assert not out.exists(), "it is refused before anything is written"
    result = compare(asked, out, skip_unfit=True)
    assert result.reason == "done"
    assert len(result.problems) == 2 and "Model depth is 3" in result.problems[0]
    folder = ComparisonFolder(out)
    text = folder.report.read_text()
    assert "| failed | **0." in text and "## What failed" in text and "Model depth is 3" in text
    groups = figures.grouped(figures.collect(folder))
    assert [len(group.done) for group in groups] == [0, 2]
    seeds = [folder.run(one.trial.name).spec.seed for one in groups[1].done]
    assert seeds == [0, 1]
    mean, deviation = figures.spread(groups[1].values_of("iou_imagewise")) or (0, 0)
    assert f"{mean:.3f} ± {deviation:.3f}" in text
    assert "2 of 4 are done" in text


def test_a_training_that_fails_on_the_way_is_tried_again(
    project: Path, tmp_path: Path, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = finetune.finetune

    def failing(spec: Any, folder: Path, **named: Any) -> Any:
        if "0.01" in folder.name:
            raise TrainingError("The loss is no longer a number.")
        return real(spec, folder, **named)

    monkeypatch.setattr(finetune, "finetune", failing)
    out = tmp_path / "out"
    result = compare(make_spec(project, vary={"learning_rate": [0.01, 0.001]}), out)
    assert result.problems == ("learning_rate=0.01: The loss is no longer a number.",)
    assert "The loss is no longer a number" in result.report.read_text()
    monkeypatch.setattr(finetune, "finetune", real)
    assert go_on(out).problems == ()
    assert started(ComparisonFolder(out), "learning_rate=0.001") == 1
    assert "What failed" not in result.report.read_text()


def test_where_all_fails_it_says_so(
    project: Path, tmp_path: Path, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **named: object) -> None:
        raise TrainingError("Nothing can be learned.")

    monkeypatch.setattr(finetune, "finetune", fail)
    with pytest.raises(ComparisonError, match=r"All of it failed.*Nothing can be learned\."):
        compare(make_spec(project, vary={"ema": [0, 0.5]}), tmp_path / "out")
    assert ComparisonFolder(tmp_path / "out").log.state == "failed"


@pytest.mark.parametrize(
    ("vary", "fields", "says"),
    [
        ({"architecture": ["unet", "unett"]}, {}, "unett"),
        ({"encoder": ["mobilenet_v2", "no-such"]}, {}, "no-such"),
        ({"losses": ["DiceLoss", "NoLoss"]}, {}, "There is no loss 'NoLoss'"),
        ({"losses": ["DiceLoss", [{"name": "FocalLoss", "options": {"gama": 2}}]]}, {}, "gama"),
        ({"class_weights": ["balanced", [1, 2, 3]]}, {}, "2 numbers above 0"),
        ({"encoder_rate": [1, 0.1]}, {}, "no encoder starts trained"),
        ({"ema": [0, 0.9]}, {"learn_all": True}, "nothing would be left"),
        ({"ema": [0, 0.9]}, {"device": "abacus"}, "abacus"),
        ({"ema": [0, 0.9]}, {"classes": [7]}, "no id 7"),
    ],
)
def test_bad_input_is_refused_before_the_first_training(
    project: Path, tmp_path: Path, make_spec: Make, vary: Any, fields: Any, says: str
) -> None:
    asked = make_spec(project, vary=vary, **fields)
    with pytest.raises((ValueError, LossError), match=says) as caught:
        compare(asked, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert type(caught.value).__module__.startswith("napari_clickseg.")
    assert not (tmp_path / "out").exists()


def test_an_encoder_that_starts_untrained_beside_trained_ones_is_said(
    project: Path, tmp_path: Path, make_spec: Make
) -> None:
    from napari_clickseg.comparing.begin import begin

    fields = {"start": "default", "options": {}, "encoder_rate": 1.0}
    own = read_card(find_model("default").path).encoder
    asked = make_spec(project, vary={"encoder": [own, "mobilenet_v2"]}, **fields)
    folder = ComparisonFolder(tmp_path / "out")
    said = begin(asked, folder)
    assert any("unfair to encoder=mobilenet_v2" in text for text in said)
    assert any(f"encoder={own}: this is the start's network" in text for text in said)
    assert folder.spec.training.start_parts == "encoder"


@pytest.mark.slow
def test_trainings_that_tell_objects_apart_are_compared_by_their_objects(
    tmp_path: Path, make_spec: Make
) -> None:
    writer = ProjectWriter(tmp_path / "crowds")
    writer.set_classes(ProjectClasses(scheme="instances"))
    for seed in range(5):
        labels = crowd(seed, 96, 60)
        split = "test" if seed == 4 else ""
        writer.add(f"{seed}", (90 + 90 * (labels > 0)).astype(np.uint8), labels, split=split)
    asked = make_spec(
        tmp_path / "crowds", task="instances", vary={"architecture": ["unet", "linknet"]}, windows=4
    )
    result = compare(asked, tmp_path / "out")
    assert (result.reason, result.problems) == ("done", ())
    folder = ComparisonFolder(tmp_path / "out")
    text = folder.report.read_text()
    known = json.loads(folder.figures.read_text())["combinations"]
    for trial, combination in zip(folder.trials, known, strict=True):
        figures_of = read_card(folder.run(trial.name).model).metrics["validation"]
        for name, title in figures.OBJECTS.items():
            assert f"### {title}" in text
            assert combination["validation"][name]["mean"] == pytest.approx(figures_of[name], 1e-5)
        assert 0 <= combination["test"]["pq"]["mean"] <= 1
