from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg.crossfit.crossfitting import CrossfitOutcome, crossfit, go_on, graph
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.crossfit.report import overview
from napari_clickseg.crossfit.spec import CrossfitError, changed
from napari_clickseg.data.click_table import read_click_table
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import write_mask
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.training.loop.work import TrainingError
from napari_clickseg.training.run_folder import RunFolder
from tests.crossfit.conftest import write_project

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.crossfit.spec import CrossfitSpec

    Make = Callable[..., CrossfitSpec]


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """What was said of `finished`."""
    return []


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, make_spec: Make, events: list[dict[str, Any]]
) -> CrossfitFolder:
    """A cross-fitting from beginning to end, one of whose images is really empty."""
    home = tmp_path_factory.mktemp("finished")
    project = write_project(home / "project", 6, per_group=2, empty=1)
    result = crossfit(make_spec(project, folds=2), home / "out", on_event=events.append)
    assert result == CrossfitOutcome(home / "out", "done", home / "out" / "model.safetensors")
    return CrossfitFolder(home / "out")


def test_every_stage_leaves_its_output(finished: CrossfitFolder) -> None:
    names = {path.relative_to(finished.path).as_posix() for path in finished.path.rglob("*")}
    assert {
        "spec.json", "folds.csv", "regions.csv", "clicks.json", "report.md", "report.html",
        "model.safetensors",
        "events.jsonl", "folds.png", "clicks.png", "obedience.png", "fold-1/measured.json",
        "fold-1/baseline/best.safetensors", "fold-2/clicked/best.safetensors", "predictions/0.tif",
    } <= names  # fmt: skip
    assert not [name for name in names if "partial" in name or name.endswith((".ckpt", ".jsonl~"))]
    assert finished.log.state == "finished"


def test_predictions_are_made_by_the_model_that_never_saw_the_image(
    finished: CrossfitFolder,
) -> None:
    row = finished.rows[0]
    stored = read_plane(finished.predictions / row.prediction).read_all()
    image = read_plane(finished.records()[row.image].image).read_all()
    predicted = {}
    for fold in finished.folds:
        segmenter = load_segmenter(finished.run(fold, "baseline").model, "cpu")
        probability = segmenter.start(image).predict().probability
        predicted[fold] = np.rint(probability * 255).astype(np.uint8)
    other = next(fold for fold in finished.folds if fold != row.fold)
    assert (predicted[row.fold] == stored).all()
    assert not (predicted[other] == stored).all()


def test_baselines_never_see_a_click_and_the_others_do(finished: CrossfitFolder) -> None:
    baseline, clicked = finished.run(1, "baseline").spec, finished.run(1, "clicked").spec
    assert (baseline.click_probability, baseline.clicks) == (0.0, "simulated")
    assert (clicked.click_probability, clicked.clicks) == (0.9, "both")
    assert Path(clicked.clicks_from) == finished.clicks.resolve()
    assert baseline.project == clicked.project
    assert (baseline.start, clicked.start) == (
        "scratch",
        str(finished.run(1, "baseline").model.resolve()),
    )


def test_the_model_answers_without_clicks_and_is_trained_on_all(finished: CrossfitFolder) -> None:
    card = read_card(finished.model)
    assert card.automatic
    assert card.metrics["crossfit"]["images"] == 6
    assert "validation" not in card.metrics
    assert [source.name for source in card.data] == [finished.spec.training.project]
    started = next(e for e in finished.final.events()[0] if e["event"] == "started")
    assert started["training"] == 6
    image = read_plane(finished.records()["images/0.png"].image).read_all()
    session = load_segmenter(finished.model, "cpu").start(image)
    assert session.predict().probability.max() > 0
    session.click(32, 32)
    assert session.predict().mask[32, 32]


def test_the_report_names_its_figures(finished: CrossfitFolder) -> None:
    text = finished.report.read_text()
    for part in (
        "IoU image-wise", "Dice pooled", "baseline", "click-trained, no clicks",
        "click-trained, generated clicks", "## By fold", "simulated annotator",
        "## Are clicks obeyed?", "0.9 to 1.0", "training the baselines", "## Spec",
        "wrong without clicks", "| all, Dice ", "| fold 2, IoU ", "| fold 1 ",
    ):  # fmt: skip
        assert part in text
    measured = [finished.read_measured(fold) for fold in finished.folds]
    images = [image for one in measured if one for image in one["images"]]
    assert sorted(image["image"] for image in images) == [f"images/{n}.png" for n in range(6)]
    assert all(len(image["curve"]) == 3 for image in images)
    regions = [region for image in images for region in image["regions"]]
    assert regions and all(0 <= region["right_without"] <= 1 for region in regions)


def test_events_tell_folds_and_stages(
    finished: CrossfitFolder, events: list[dict[str, Any]]
) -> None:
    assert events == finished.log.events()[0]
    begun = next(event for event in events if event["event"] == "started")
    assert (begun["folds"], begun["images"], begun["resumed"]) == (2, 6, False)
    assert [(s["stage"], s["fold"]) for s in begun["stages"]] == [
        (stage, fold) for stage, fold, _ in graph(finished)
    ]
    ended = {(e["stage"], e["fold"]) for e in events if e.get("state") == "finished"}
    assert ended == {(stage, fold) for stage, fold, _ in graph(finished)}
    epochs = [e for e in events if e["event"] == "progress" and e["unit"] == "epoch"]
    assert {"baseline", "clicked", "final"} == {e["stage"] for e in epochs}
    assert events[-1]["event"] == "finished" and events[-1]["model"] == "model.safetensors"
    assert set(finished.seconds()) == {e["stage"] for e in events if e["event"] == "stage"}


def test_what_is_done_is_not_done_again(
    finished: CrossfitFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **named: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("napari_clickseg.training.finetune.finetune", refuse)
    monkeypatch.setattr("napari_clickseg.training.finetune.resume", refuse)
    before = finished.clicks.stat().st_mtime_ns
    assert go_on(finished.path) == CrossfitOutcome(finished.path, "done", finished.model)
    assert finished.clicks.stat().st_mtime_ns == before


@pytest.mark.slow
def test_it_pauses_for_clicks_to_be_edited_and_takes_baselines_over(
    finished: CrossfitFolder, tmp_path: Path
) -> None:
    spec = changed(finished.spec, clicks="simulated", final=False)
    out = tmp_path / "out"
    paused = crossfit(spec, out, baselines=finished.path, until="clicks")
    assert (paused.reason, paused.model) == ("paused", None)
    folder = CrossfitFolder(out)
    assert folder.log.state == "stopped"
    text = folder.clicks.read_text().replace("fp", "fn")
    folder.clicks.write_text(text)
    assert go_on(out).reason == "done"
    assert folder.clicks.read_text() == text
    assert not folder.model.exists()
    assert folder.run(1, "clicked").spec.clicks == "simulated"
    trained = [e for e in folder.log.events()[0] if e.get("state") == "finished"]
    assert "baseline" not in {event["stage"] for event in trained}


def test_a_fold_that_fails_is_said_and_the_others_go_on(
    project: Path, tmp_path: Path, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_clickseg.training import finetune

    real = finetune.finetune

    def failing(spec: Any, folder: Path, **named: Any) -> Any:
        if folder.parent.name == "fold-2":
            raise TrainingError("The loss is no longer a number.")
        return real(spec, folder, **named)

    monkeypatch.setattr(finetune, "finetune", failing)
    result = crossfit(make_spec(project, final=False), tmp_path / "out")
    folder = CrossfitFolder(tmp_path / "out")
    assert result.reason == "done"
    assert result.problems[0] == "baseline of fold 2: The loss is no longer a number."
    assert len(result.problems) == 4  # nothing of that fold
    text = folder.report.read_text()
    assert "## What failed" in text and "The loss is no longer a number." in text
    assert folder.read_measured(2) is None and folder.read_measured(3) is not None
    table = read_click_table(folder.clicks)
    assert {click.fold for click in table.clicks} == {1, 3}
    # Mended, it goes on where it failed: the baselines that are there are not trained again.
    monkeypatch.setattr(finetune, "finetune", real)
    baseline = folder.run(1, "baseline").events_path.read_bytes()
    clicked = folder.run(1, "clicked").events()[0][0]
    assert go_on(folder.path).problems == ()
    assert folder.run(1, "baseline").events_path.read_bytes() == baseline
    # Its images get clicks, and what learned without them learns again.
    again = read_click_table(folder.clicks)
    assert [c for c in again.clicks if c.fold != 2] == list(table.clicks)
    assert {c.fold for c in again.clicks} == {1, 2, 3}
    assert {row.fold for row in folder.region_rows()} == {1, 2, 3}
    measured = folder.read_measured(2)
    assert measured is not None and all(image["generated"] for image in measured["images"])
    assert folder.run(1, "clicked").events()[0][0]["time"] > clicked["time"]
    assert "what learned without is trained again: that of fold 1, that of fold 3." in (
        folder.report.read_text()
    )


def test_whatever_breaks_in_a_fold_the_others_go_on(
    project: Path, tmp_path: Path, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_clickseg.training import finetune

    def broken(spec: Any, folder: Path, **named: Any) -> Any:
        if folder.parent.name == "fold-2":
            raise KeyError("gone")
        folder.mkdir(parents=True)
        (folder / "best.safetensors").touch()
        RunFolder(folder).add("finished", reason="done")
        return CrossfitOutcome(folder, "done", None)

    monkeypatch.setattr(finetune, "finetune", broken)
    monkeypatch.setattr(
        "napari_clickseg.crossfit.predicting.predict_fold", lambda folder, fold, tell: None
    )
    result = crossfit(make_spec(project), tmp_path / "out", until="predict")
    assert result.problems == (
        "baseline of fold 2: KeyError: 'gone'",
        "predict of fold 2: since baseline of fold 2 failed: KeyError: 'gone'",
    )
    [failed] = [e for e in CrossfitFolder(tmp_path / "out").log.events()[0]
                if e.get("state") == "failed"]  # fmt: skip
    assert 'raise KeyError("gone")' in failed["traceback"]


@pytest.mark.slow
def test_where_all_is_foreground_clicks_are_positive_and_all_is_measured(
    tmp_path: Path, make_spec: Make
) -> None:
    """There is nothing to find too much of, and no image without something in it."""
    project = write_project(tmp_path / "project", 4, per_group=1)
    for mask in (project / "masks").iterdir():
        write_mask(mask, np.ones((64, 64), np.uint8), overwrite=True)
    result = crossfit(make_spec(project, folds=2, final=False), tmp_path / "out")
    assert (result.reason, result.problems) == ("done", ())
    folder = CrossfitFolder(tmp_path / "out")
    assert "fp" not in {row.kind for row in folder.region_rows()}
    table = read_click_table(folder.clicks)
    assert len(table.by_image) == 4 and all(click.positive for click in table.clicks)
    summary = overview(folder)
    assert summary is not None and summary["images"] == 4
    assert {row["count"] for row in summary["obedience"] if row["clicks"] == "negative"} == {0}
    assert "| negative | any | 0 | - | - | 0 | - |" in folder.report.read_text()


def test_where_all_fails_it_says_so(
    project: Path, tmp_path: Path, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **named: object) -> None:
        raise TrainingError("Nothing can be learned.")

    monkeypatch.setattr("napari_clickseg.training.finetune.finetune", fail)
    with pytest.raises(CrossfitError, match=r"baseline of fold 1: Nothing can be learned\."):
        crossfit(make_spec(project), tmp_path / "out")
    folder = CrossfitFolder(tmp_path / "out")
    assert folder.log.state == "failed"
    assert "Nothing can be learned." in folder.report.read_text()


@pytest.mark.slow
def test_it_stops_after_a_batch_and_goes_on_there(
    project: Path, tmp_path: Path, make_spec: Make
) -> None:
    folder = CrossfitFolder(tmp_path / "out")
    spec = make_spec(project, folds=2, epochs=3, final=False)

    added = RunFolder.add

    def add(self: RunFolder, event: str, **values: Any) -> None:
        added(self, event, **values)
        if event == "epoch" and values["epoch"] == 1:
            folder.log.request_stop()
            self.request_stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "add", add)
        assert crossfit(spec, folder.path).reason == "stopped"
    assert folder.log.state == "stopped"
    assert go_on(folder.path, until="predict").reason == "paused"
    epochs = [e["epoch"] for e in folder.run(1, "baseline").events()[0] if e["event"] == "epoch"]
    other = [e["epoch"] for e in folder.run(2, "baseline").events()[0] if e["event"] == "epoch"]
    assert epochs == other == [1, 2, 3]


def test_a_half_done_measurement_goes_on(finished: CrossfitFolder, tmp_path: Path) -> None:
    shutil.copytree(finished.path.parent, tmp_path / "copy")
    folder = CrossfitFolder(tmp_path / "copy" / "out")
    folder.write(folder.path / "spec.json", changed(
        folder.spec, project=str(tmp_path / "copy" / "project")).to_json())  # fmt: skip
    known = folder.read_measured(1)
    assert known is not None
    first = known["images"][0] | {"generated": 99}
    folder.measured(1).unlink()
    kept = folder.measured(1).with_suffix(".jsonl")
    kept.write_text(json.dumps(first) + "\n" + json.dumps(known["images"][1])[:20])
    assert go_on(folder.path).reason == "done"
    again = folder.read_measured(1)
    assert again is not None and not kept.exists()
    assert again["images"][0] == first
    assert again["images"][1:] == known["images"][1:]


def test_one_that_goes_on_elsewhere_is_left_alone(
    tmp_path: Path, project: Path, make_spec: Make
) -> None:
    from napari_clickseg.crossfit.begin import begin

    folder = CrossfitFolder(tmp_path / "out")
    with pytest.raises(CrossfitError, match="is not a cross-fitting"):
        go_on(folder.path)
    begin(make_spec(project), folder)
    folder.log.add("started", pid=os.getppid())
    with pytest.raises(CrossfitError, match="is going on; stop it first"):
        go_on(folder.path)


@pytest.mark.slow
def test_coloured_clicks_are_learned_and_obeyed(
    project: Path, tmp_path: Path, make_spec: Make
) -> None:
    spec = make_spec(project, folds=2, encoding="colour", final=False, clicks="fixed")
    assert crossfit(spec, tmp_path / "out").problems == ()
    card = read_card(tmp_path / "out" / "fold-1" / "clicked" / "best.safetensors")
    assert (card.encoding, card.image_channels, card.automatic) == ("colour", 1, True)
