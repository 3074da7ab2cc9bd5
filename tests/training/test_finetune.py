"""Fine-tuning from beginning to end, with a tiny network on generated images."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from napari_clickseg.cli import main
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.sets.splits import SplitError
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.models.network import NetworkError, create
from napari_clickseg.models.pretrained import input_range
from napari_clickseg.models.registry import find_model
from napari_clickseg.training import finetune as module
from napari_clickseg.training import report as report_module
from napari_clickseg.training import start as start_module
from napari_clickseg.training.finetune import finetune, resume, sample_sheet
from napari_clickseg.training.loop.work import TrainingError
from napari_clickseg.training.prepare import prepare
from napari_clickseg.training.run_folder import RunError, RunFolder
from napari_clickseg.training.spec import TrainingSpec
from tests.training.quick_reports import few_clicks, no_curves

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGES = 5


def blobs(seed: int, *, empty: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with a bright disk (1) and a darker one (2), and their mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:72, :90]
    image, mask = np.full(y.shape, 60.0), np.zeros(y.shape, np.uint8)
    for k, value, cx in ((1, 220, rng.uniform(15, 35)), (2, 140, rng.uniform(55, 75))):
        inside = np.hypot(y - rng.uniform(18, 54), x - cx) < 13
        if not empty:
            image[inside], mask[inside] = value, k
    image += rng.normal(0, 5, image.shape)
    return image.clip(0, 255).astype(np.uint8), mask


def write_project(folder: Path, ids: tuple[int, ...] = (1, 2), empties: int = 0) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = ["image,mask,group"]
    for i in range(IMAGES + empties):
        image, mask = blobs(i, empty=i >= IMAGES)
        mask[~np.isin(mask, ids)] = 0
        iio.imwrite(folder / f"images/{i}.png", image)
        iio.imwrite(folder / f"masks/{i}.png", mask)
        rows.append(f"images/{i}.png,masks/{i}.png,g{i}")
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    classes = [{"id": i, "name": {1: "mother", 2: "bud"}[i]} for i in ids]
    text = {"schema_version": 1, "scheme": "classes", "classes": classes}
    (folder / "classes.json").write_text(json.dumps(text))
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("data") / "cells")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order would make runs differ in their last digits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def short_reports(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves take longer to draw than these runs take, and so do twenty clicks."""
    if "draws" not in request.node.name:
        no_curves(monkeypatch)
    if "either_encoding" not in request.node.name:
        few_clicks(monkeypatch)


FIELDS: dict[str, Any] = {
    "task": "multiclass", "start": "scratch", "architecture": "unet", "encoder": "tu-test_resnet",
    "options": {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}, "size": 64, "batch": 4,
    "windows": 8, "epochs": 2, "device": "cpu", "ema": 0.5,
}  # fmt: skip


def spec(project: Path, /, **fields: Any) -> TrainingSpec:
    return TrainingSpec(**{"project": str(project)} | FIELDS | fields)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "best.safetensors")


def same(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def names(folder: Path) -> list[str]:
    return [event["event"] for event in RunFolder(folder).events()[0]]


def help_of(folder: Path) -> dict[str, dict[str, Any]]:
    (event,) = [e for e in RunFolder(folder).events()[0] if e["event"] == "help"]
    return {row["metric"]: row for row in event["table"]}


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_a_task_model_is_trained_and_predicts_without_a_click(
    project: Path, tmp_path: Path, task: str
) -> None:
    run = tmp_path / "run"
    outcome = finetune(spec(project, task=task), run)
    assert outcome.reason == "done"
    assert RunFolder(run).state == "finished"
    assert names(run)[0] == "started"
    assert names(run)[-2:] == ["help", "finished"]
    files = {path.name for path in run.iterdir()}
    assert {
        "spec.json",
        "metrics.csv",
        "images.csv",
        "report.md",
        "report.html",
        "curves.png",
    } <= files
    segmenter = load_segmenter(run / "best.safetensors", "cpu")
    assert segmenter.card.encoding == "image"
    assert segmenter.card.classes == (("foreground",) if task == "binary" else ("mother", "bud"))
    assert segmenter.card.class_ids == ((1,) if task == "binary" else (1, 2))
    prediction = segmenter.start(blobs(77)[0]).predict()
    assert prediction.labels.shape == (72, 90)
    (event,) = [e for e in RunFolder(run).events()[0] if e["event"] == "epoch" and e["epoch"] == 2]
    assert {"dice_macro", "iou_macro", "iou_imagewise", "recall"} <= event["metrics"].keys()
    (shown,) = [e for e in RunFolder(run).events()[0] if e["event"] == "previews"][-1:]
    for one in shown["files"]:
        assert read_plane(run / one["prediction"]).read_all().shape == (72, 90)
        assert (project / one["image"]).exists()
        assert (project / one["truth"]).exists()
    with (run / "images.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 1


def test_a_report_draws_curves_and_says_what_there_is(project: Path, tmp_path: Path) -> None:
    finetune(spec(project, epochs=1), tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    run.add("message", level="warning", text="something happened")
    text = report_module.write_report(run, ("mother", "bud")).read_text()
    for part in ("Did it help?", "something happened", "dice_macro", "images/", "| mother |"):
        assert part in text
    assert iio.imread(run.path / "curves.png").ndim == 3


@pytest.mark.slow
def test_a_task_is_really_learned(project: Path, tmp_path: Path) -> None:
    finetune(spec(project, epochs=12, windows=64, learning_rate=5e-3, ema=0.9), tmp_path / "run")
    segmenter = load_segmenter(tmp_path / "run/best.safetensors", "cpu")
    image, mask = blobs(99)
    labels = segmenter.start(image).predict().labels
    for k in (1, 2):
        both = ((labels == k) & (mask == k)).sum()
        assert both / ((labels == k) | (mask == k)).sum() > 0.7


@pytest.mark.parametrize("encoding", ["channels", "colour"])
def test_a_click_model_is_trained_with_either_encoding(
    project: Path, tmp_path: Path, encoding: str
) -> None:
    run = tmp_path / "run"
    asked = spec(project, task="click", encoding=encoding, epochs=1)
    assert finetune(asked, run).reason == "done"
    segmenter = load_segmenter(run / "best.safetensors", "cpu")
    as_default = {"channels": read_card(find_model("default").path).encoding}
    assert segmenter.card.encoding == as_default.get(encoding, encoding)
    assert not segmenter.card.automatic, "of two classes none is meant before the first click"
    session = segmenter.start(blobs(3)[0])
    assert not session.predict().mask.any()
    session.click(36, 20)
    assert session.predict().mask[36, 20]
    rows = help_of(run)
    assert {"NoC@85", "NoC@90", "NoC@85, jittered clicks"} <= rows.keys()
    assert {
        f"{w} after {n}" for w in ("IoU", "Dice") for n in ("a click", "5 clicks")
    } <= rows.keys()
    assert "IoU without a click" not in rows
    assert rows["NoC@85"]["before"] is None, "it began from scratch"
    assert 1 <= rows["NoC@85"]["after"] <= 20
    text = (run / "report.md").read_text()
    assert "| Dice after 3 clicks | - | 0." in text
    assert "| clicks | iou | dice |" in text


def test_a_click_model_of_one_class_answers_without_clicks_as_well(tmp_path: Path) -> None:
    """It has seen windows without clicks, also of images in which there is nothing."""
    one = write_project(tmp_path / "one", ids=(1,), empties=2)
    finetune(spec(one, task="click", epochs=1), tmp_path / "run")
    segmenter = load_segmenter(tmp_path / "run/best.safetensors", "cpu")
    assert segmenter.card.automatic
    assert segmenter.card.window.zoom is not None
    segmenter.start(blobs(3)[0]).predict()
    table = help_of(tmp_path / "run")
    assert table["IoU without a click"]["before"] is None
    assert 0 <= table["IoU without a click"]["after"] <= table["Dice without a click"]["after"] <= 1


def test_a_task_model_is_compared_with_the_start_where_that_finds_the_same_classes(
    project: Path, tmp_path: Path
) -> None:
    """What it found before is what it found at the end of the training that made it."""
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    # Its answers are far from the threshold: weights are kept in half precision.
    sure = {"epochs": 1, "encoder": "mobilenet_v2"}
    finetune(spec(project, **sure), first)
    model = str(first / "best.safetensors")
    finetune(spec(project, start=model, **sure), second)
    finetune(spec(project, start=model, task="binary", **sure), other)
    before, after = help_of(first), help_of(second)
    assert before["IoU"]["before"] is None and 0 < before["IoU"]["after"] < 1
    for figure in ("IoU", "Dice"):
        assert after[figure]["before"] == pytest.approx(before[figure]["after"], rel=1e-6)
    assert help_of(other)["IoU"]["before"] is None, "it finds other classes"
    assert help_of(other)["IoU"]["after"] is not None
    assert "takes no clicks" in help_of(second)["NoC@85, NoC@90"]["note"]
    text = (second / "report.md").read_text()
    assert "| NoC@85, NoC@90: none, as the model takes no clicks | - | - |" in text


def test_a_run_starts_from_the_default_model_and_says_what_it_could_not_take(
    project: Path, tmp_path: Path
) -> None:
    fields = {"start": "default", "architecture": "", "encoder": "", "options": {}, "epochs": 1}
    finetune(spec(project, windows=4, **fields), tmp_path / "run")
    card = load_segmenter(tmp_path / "run/best.safetensors", "cpu").card
    assert card.encoder == load_segmenter("default", "cpu").card.encoder
    assert card.training["started_from"] == "default"
    assert len(card.data) > 1, "what the start was trained on, and the project"


def test_weights_that_cannot_be_downloaded_are_done_without(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*args: object, **options: object) -> None:
        raise NetworkError("No network can be built (no connection); choose others.")

    monkeypatch.setattr(start_module, "create", offline)
    asked = spec(project, start="imagenet", encoder="mobilenet_v2", epochs=1)
    finetune(asked, tmp_path / "run")
    said = [e["text"] for e in RunFolder(tmp_path / "run").events()[0] if e["event"] == "message"]
    assert any("ImageNet" in text and "no connection" in text for text in said)
    assert any("scratch" in text for text in said), "the default model's network is another one"


def test_imagenet_s_encoder_is_taken_where_it_can_be_had(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, made = start_module.create, []

    def trained(*args: Any, **options: Any) -> torch.nn.Module:
        options["weights"] = None
        made.append(right(*args, **options))
        return made[-1]

    monkeypatch.setattr(start_module, "create", trained)
    # What this encoder expects would be downloaded with its weights.
    monkeypatch.setattr(start_module, "input_range", lambda _: input_range("tu-resnet10t"))
    prepared = prepare(spec(project, start="imagenet", encoder="mobilenet_v2"))
    begun = module.make_start(prepared)
    assert begun.trained_encoder
    name = "encoder.features.1.conv.0.0.weight"
    assert torch.equal(begun.network.state_dict()[name], made[0].state_dict()[name])
    assert begun.card.training["started_from"] == "imagenet"
    assert [source.name for source in begun.card.data] == ["ImageNet", str(project)]


@pytest.mark.parametrize("fields", [{}, {"task": "binary", "image_channels": 1}])
def test_a_training_begins_with_the_weights_of_an_installed_package(
    project: Path, fields: dict[str, Any]
) -> None:
    """And shows the encoder an image in the range that it learned in."""
    encoder = "tu-tf_efficientnet_lite0"
    asked = spec(project, start="imagenet", encoder=encoder, **fields)
    begun = module.make_start(prepare(asked))
    assert begun.trained_encoder
    assert begun.card.training["started_from"] == "imagenet"
    channels = begun.card.image_channels
    assert begun.card.input_range == input_range(encoder).fitted(channels)
    trained = create("unet", encoder, channels=3, classes=1, weights="imagenet").state_dict()
    name = "encoder.model.blocks.1.0.conv_pw.weight"
    assert torch.equal(begun.network.state_dict()[name], trained[name])


def test_a_card_says_what_was_taken_not_what_was_asked_for(project: Path) -> None:
    begun = module.make_start(prepare(spec(project, start="default", encoder="mobilenet_v2")))
    assert not begun.trained_encoder, "its network is another one"
    assert begun.card.training["started_from"] == "scratch"
    assert [source.name for source in begun.card.data] == [str(project)]


def test_a_stopped_run_is_resumed_to_the_result_of_an_unbroken_one(
    project: Path, tmp_path: Path
) -> None:
    asked = spec(project, epochs=3, augmentation="strong")
    finetune(asked, tmp_path / "whole")

    def stop_in_the_second_epoch(event: dict[str, Any]) -> None:
        if event["event"] == "epoch" and event["epoch"] == 1:
            RunFolder(tmp_path / "broken").request_stop()

    outcome = finetune(asked, tmp_path / "broken", on_event=stop_in_the_second_epoch)
    assert outcome.reason == "stopped"
    assert RunFolder(tmp_path / "broken").state == "stopped"
    load_segmenter(tmp_path / "broken/best.safetensors", "cpu")
    assert resume(tmp_path / "broken").reason == "done"
    assert same(tmp_path / "whole", tmp_path / "broken")
    again = RunFolder(tmp_path / "broken").events()[0]
    assert [e["epoch"] for e in again if e["event"] == "epoch"] == [1, 2, 3]


def test_a_click_run_is_resumed_to_the_same_result_too(project: Path, tmp_path: Path) -> None:
    asked = spec(project, task="click", epochs=2)
    finetune(asked, tmp_path / "whole")

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            RunFolder(tmp_path / "broken").request_stop()

    assert finetune(asked, tmp_path / "broken", on_event=stop).reason == "stopped"
    resume(tmp_path / "broken")
    assert same(tmp_path / "whole", tmp_path / "broken")


def stopped_after_an_epoch(asked: TrainingSpec, folder: Path) -> RunFolder:
    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            RunFolder(folder).request_stop()

    assert finetune(asked, folder, on_event=stop).reason == "stopped"
    return RunFolder(folder)


def annotate_more(folder: Path, numbers: range) -> None:
    for i in numbers:
        image, mask = blobs(i)
        iio.imwrite(folder / f"images/{i}.png", image)
        iio.imwrite(folder / f"masks/{i}.png", mask)
        with (folder / "index.csv").open("a") as file:
            file.write(f"images/{i}.png,masks/{i}.png,a{i}\n")


def test_what_is_annotated_meanwhile_changes_no_run(tmp_path: Path) -> None:
    """Images would change sides, and the best epoch would be chosen among different ones."""
    growing = write_project(tmp_path / "growing")
    asked = spec(growing)
    finetune(asked, tmp_path / "whole")
    run = stopped_after_an_epoch(asked, tmp_path / "broken")
    began = run.sets
    assert began is not None
    annotate_more(growing, range(20, 24))
    prepared = prepare(asked)
    assert {r.name for r in prepared.validation.records} != set(began.validation)
    again = prepare(run.spec, began=began)
    assert again.sets == began
    assert not set(began.training) & set(began.validation)
    resume(run.path)
    assert run.sets == began
    assert same(tmp_path / "whole", run.path)


def test_a_run_keeps_its_images_where_their_table_was_moved(tmp_path: Path) -> None:
    cells = write_project(tmp_path / "cells")
    began = prepare(spec(cells)).sets
    text = (cells / "index.csv").read_text()
    deeper = tmp_path / "a/b"
    deeper.mkdir(parents=True)
    for part in ("images/", "masks/"):
        text = text.replace(part, f"../../cells/{part}")
    (deeper / "index.csv").write_text(text)
    (deeper / "classes.json").write_bytes((cells / "classes.json").read_bytes())
    again = prepare(spec(deeper), began=began)
    for side, names in (again.training, began.training), (again.validation, began.validation):
        assert [r.image.resolve() for r in side.records] == [cells / name for name in names]


def test_a_run_whose_images_are_gone_is_refused_and_an_old_one_goes_on(tmp_path: Path) -> None:
    shrinking = write_project(tmp_path / "shrinking")
    run = stopped_after_an_epoch(spec(shrinking), tmp_path / "run")
    began = run.sets
    assert began is not None
    lines = (shrinking / "index.csv").read_text().splitlines()
    gone = began.validation[0]
    (shrinking / "index.csv").write_text("\n".join(x for x in lines if not x.startswith(gone)))
    with pytest.raises(TrainingError, match=f"began with {gone}.*start another run") as caught:
        resume(run.path)
    assert "\n" not in str(caught.value)
    (shrinking / "index.csv").write_text("\n".join(lines))
    (shrinking / gone).write_bytes(b"\x89PNG nonsense")
    with pytest.raises(TrainingError, match=f"{gone}.*mend it"):
        prepare(run.spec.changed(corrupt="skip"), began=began)
    (run.path / "split.json").write_text("{}")
    with pytest.raises(RunError, match=r"split\.json is broken"):
        resume(run.path)
    (run.path / "split.json").unlink()  # as those before it have none
    (shrinking / "index.csv").write_text("\n".join(x for x in lines if not x.startswith(gone)))
    assert resume(run.path).reason == "done"


_CHILD = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from napari_clickseg.training.finetune import finetune
from napari_clickseg.training.spec import read_spec
finetune(read_spec(Path(sys.argv[1])), sys.argv[2])
"""


@pytest.mark.parametrize("task", ["click", "multiclass"])
def test_class_models_start_from_kernels_that_can_still_learn(project: Path, task: str) -> None:
    """The default model's have grown, and a step of a given length would hardly turn them.

    Those of its encoder are ImageNet's still, which learn classes as they are.
    """
    own = {"task": task, "architecture": "", "encoder": "", "options": {}}
    begun = module.make_start(prepare(spec(project, start="default", **own)))
    fresh = module.make_start(prepare(spec(project, start="scratch", **own)))
    card = read_card(find_model("default").path)
    imagenet = {"task": "multiclass", "architecture": "unet", "encoder": card.encoder}
    known = module.make_start(prepare(spec(project, start="imagenet", **own | imagenet)))
    like = dict(fresh.network.named_parameters())
    like |= {n: p for n, p in known.network.named_parameters() if n.startswith("encoder.")}
    grown = [
        float(kernel.detach().square().mean() / first.detach().square().mean()) ** 0.5
        for name, kernel in begun.network.named_parameters()
        if kernel.ndim == 4 and "head" not in name and (first := like[name]).detach().any()
    ]
    assert begun.trained_encoder
    assert (max(grown) > 3) == (task == "click")
    assert (max(grown) < 1.5) == (task != "click")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_run_that_is_killed_loses_a_round_at_most(project: Path, tmp_path: Path) -> None:
    asked = spec(project, epochs=4)
    (tmp_path / "spec.json").write_text(asked.model_dump_json())
    run = RunFolder(tmp_path / "killed")
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "spec.json"), str(run.path)]
    child = subprocess.Popen(command)
    deadline = time.monotonic() + 300
    while sum(event["event"] == "epoch" for event in run.events()[0]) < 2:
        assert child.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert run.state == "stopped"
    state = run.load_checkpoint()
    assert state is not None
    done = max(e["epoch"] for e in run.events()[0] if e["event"] == "epoch")
    assert state["epoch"] >= done
    resume(run.path)
    finetune(asked, tmp_path / "whole")
    assert same(tmp_path / "whole", run.path)


def test_a_full_disk_is_said_and_what_there_was_stays(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = RunFolder.save_checkpoint

    def full(self: RunFolder, state: dict[str, Any]) -> None:
        if state["epoch"] == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        right(self, state)

    monkeypatch.setattr(RunFolder, "save_checkpoint", full)
    with pytest.raises(OSError, match="No space"):
        finetune(spec(project), tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert run.state == "failed"
    assert "No space left" in run.events()[0][-1]["message"]
    monkeypatch.undo()
    assert resume(tmp_path / "run").reason == "done", "with room again it goes on"


def test_corrupt_images_are_named_or_left_out_as_asked(tmp_path: Path) -> None:
    broken = write_project(tmp_path / "broken")
    (broken / "images/2.png").write_bytes(b"\x89PNG nonsense")
    with pytest.raises(TrainingError, match=r"2\.png.*corrupt=skip"):
        finetune(spec(broken), tmp_path / "run")
    assert RunFolder(tmp_path / "run").state == "failed"
    prepared = prepare(spec(broken, corrupt="skip"))
    assert len(prepared.training) + len(prepared.validation) == IMAGES - 1
    assert any("2.png" in text for text in prepared.warnings)


def test_what_is_validated_on_follows_the_project_or_the_spec(project: Path) -> None:
    five = [prepare(spec(project, folds=5, fold=k)).validation.records[0].name for k in range(5)]
    assert len(set(five)) == 5
    with pytest.raises(TrainingError, match="there are 5 folds"):
        prepare(spec(project, folds=9, fold=7))


def test_a_split_in_the_index_is_kept(tmp_path: Path) -> None:
    said = write_project(tmp_path / "said")
    lines = (said / "index.csv").read_text().splitlines()
    splits = ["split", "training", "validation", "test", "training", "validation"]
    (said / "index.csv").write_text("\n".join(map(",".join, zip(lines, splits, strict=True))))
    prepared = prepare(spec(said))
    assert [r.name for r in prepared.validation.records] == ["images/1.png", "images/4.png"]
    assert [r.name for r in prepared.training.records] == ["images/0.png", "images/3.png"]


def few_labelled(folder: Path, has: dict[int, tuple[int, ...]], count: int = 10) -> Path:
    """Write a project in which images have these ids; the others are really empty."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(count):
        image, mask = blobs(i)
        mask[~np.isin(mask, has.get(i, ()))] = 0
        iio.imwrite(folder / f"images/{i}.png", image)
        iio.imwrite(folder / f"masks/{i}.png", mask)
    text = {"schema_version": 1, "scheme": "classes", "classes": [{"id": 1, "name": "mother"}]}
    (folder / "classes.json").write_text(json.dumps(text))
    return folder


@pytest.mark.parametrize("task", ["click", "binary"])
def test_there_is_something_to_find_on_both_sides(tmp_path: Path, task: str) -> None:
    few = few_labelled(tmp_path / "few", {0: (1,), 1: (1,), 2: (1,)})
    for seed in range(5):
        prepared = prepare(spec(few, task=task, seed=seed))
        for side in (prepared.training, prepared.validation):
            assert any(side[i].labels.any() for i in range(len(side)))


def test_a_class_in_two_groups_is_trained_and_validated(tmp_path: Path) -> None:
    few = few_labelled(tmp_path / "few", dict.fromkeys(range(10), (1,)) | {3: (1, 2), 4: (1, 2)})
    for seed in range(5):
        prepared = prepare(spec(few, seed=seed))
        for side in (prepared.training, prepared.validation):
            assert any((side[i].labels == 2).any() for i in range(len(side)))
        assert not any("can't be learned" in text for text in prepared.warnings)
    folds = [prepare(spec(few, folds=2, fold=k)) for k in (0, 1)]
    assert all("The class" not in " ".join(fold.warnings) for fold in folds)


def test_a_side_without_anything_to_find_is_refused_and_without_a_class_is_said(
    tmp_path: Path,
) -> None:
    few = few_labelled(tmp_path / "few", {0: (1, 2), 1: (1, 2), 2: (1,)}, count=4)
    rows = [f"images/{i}.png,masks/{i}.png,g{i}," for i in range(4)]

    def marked(*splits: str) -> None:
        lines = [row + split for row, split in zip(rows, splits, strict=True)]
        (few / "index.csv").write_text("\n".join(["image,mask,group,split", *lines]))

    marked("", "", "", "validation")
    with pytest.raises(TrainingError, match=r"to validate on \(images/3\.png\)"):
        prepare(spec(few))
    marked("", "", "validation", "")
    with pytest.raises(TrainingError, match=r"learned is labelled in the images to validate on"):
        prepare(spec(few, task="binary", classes=(2,)))
    said = prepare(spec(few)).warnings
    assert "The class 2 is not in the images to validate on, so its figures say nothing." in said
    marked("validation", "test", "", "")
    said = prepare(spec(few)).warnings
    assert "The class 2 is not in the images to train on, so it can't be learned." in said


def test_a_class_in_one_group_can_be_left_out(tmp_path: Path) -> None:
    few = few_labelled(tmp_path / "few", dict.fromkeys(range(4), (1,)) | {3: (1, 2)}, count=4)
    with pytest.raises(TrainingError, match="leave the class out"):
        prepare(spec(few))
    assert prepare(spec(few, classes=(1,))).classes.names == ("mother",)


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"encoder": "no-such"}, NetworkError, "no-such"),
        ({"classes": (9,)}, TrainingError, "no id 9"),
        ({"losses": [{"name": "NoLoss"}]}, ValueError, "NoLoss"),
        ({"class_weights": (1.0, 2.0)}, TrainingError, "3 numbers"),
        ({"task": "click", "class_weights": "balanced"}, TrainingError, "one class"),
        ({"project": "/no/such/project"}, ValueError, "no folder"),
        ({"start": "no-model"}, ValueError, "no-model"),
        ({"device": "abacus"}, ValueError, "abacus"),
    ],
)
def test_bad_input_fails_in_one_line_before_anything_is_trained(
    project: Path, tmp_path: Path, fields: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        finetune(spec(project, **fields), tmp_path / "run")
    assert "\n" not in str(caught.value)
    events = RunFolder(tmp_path / "run").events()[0]
    assert events[-1]["event"] == "failed"
    assert events[-1]["message"] == str(caught.value)


def test_a_single_image_cannot_be_split(tmp_path: Path) -> None:
    alone = write_project(tmp_path / "alone")
    lines = (alone / "index.csv").read_text().splitlines()[:2]
    (alone / "index.csv").write_text("\n".join(lines))
    with pytest.raises((TrainingError, SplitError), match=r"annotate|one image"):
        prepare(spec(alone))


def test_a_run_that_goes_on_elsewhere_is_not_resumed(project: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create(spec(project))
    run.add("started", pid=os.getpid())
    with pytest.raises(RunError, match="going on"):
        resume(run.path)


@pytest.mark.parametrize("task", ["click", "multiclass"])
def test_the_windows_can_be_looked_at_before_the_training(project: Path, task: str) -> None:
    drawn = sample_sheet(spec(project, task=task, augmentation="strong"))
    assert drawn.shape == (4 * 66, 4 * 66, 3)
    assert drawn.std() > 5


@pytest.mark.parametrize("weights", ["balanced", (1.0, 4.0, 2.0)])
def test_classes_can_be_weighted(project: Path, weights: Any) -> None:
    prepared = prepare(spec(project, class_weights=weights))
    begun = module.make_start(prepared)
    work = module.make_work(prepared, begun.card, torch.device("cpu"))
    batch = next(iter(work.batches(1)))
    logits = torch.zeros(len(batch), 3, 64, 64)
    plain = module.make_work(prepare(spec(project)), begun.card, torch.device("cpu"))
    assert float(work.loss(logits, batch)) != pytest.approx(float(plain.loss(logits, batch)))


def test_the_command_line_trains_and_resumes(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(FIELDS | {"project": "elsewhere"}))
    run = tmp_path / "run"
    settings = ["--set", "epochs=1", "--set", "amp=false", "--set", "name=cells"]
    assert main(["train", str(project), "--spec", str(path), *settings, "--out", str(run)]) == 0
    out = capsys.readouterr().out
    assert "Dice" in out
    assert str(run / "best.safetensors") in out
    assert RunFolder(run).spec.name == "cells"
    assert main(["train", "--resume", str(run)]) == 0
    assert main(["train", str(project), "--spec", str(path), "--out", str(run)]) == 2
    assert "holds a run already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Give the folder"),
        (["p", "--set", "epochs"], "key=value"),
        (["p", "--set", "minuets=3"], "minuets"),
        (["p", "--set", "epochs=many"], "epochs"),
        (["--resume", "no-run"], "is not a run"),
        (["p", "--resume", "no-run"], "leave all others out"),
        (["p", "--spec", "no-spec.json"], "cannot be read"),
    ],
)
def test_the_command_line_says_what_is_wrong_in_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_the_command_line_draws_windows_and_prints_the_schema(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--schema"]) == 0
    assert "learning_rate" in json.loads(capsys.readouterr().out)["properties"]
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(FIELDS))
    picture = tmp_path / "windows.png"
    arguments = ["train", str(project), "--spec", str(path), "--samples", str(picture)]
    assert main(arguments) == 0
    assert iio.imread(picture).shape == (264, 264, 3)
    assert main(arguments) == 2, "nothing is overwritten"
