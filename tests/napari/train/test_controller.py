from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from napari_clickseg._napari.train.controller import TrainController
from napari_clickseg._napari.train.fields import settings_of
from napari_clickseg._napari.viewer.metadata import Origin
from napari_clickseg.data.project import read_project
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.engine import automatic
from napari_clickseg.engine.automatic import predict_rest
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.models.card import ModelCard, WindowSpec
from napari_clickseg.models.checkpoint import save_model
from napari_clickseg.models.trained_models import origins_of
from napari_clickseg.runs.conduct import Stopped
from napari_clickseg.training.prepare import prepare
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_clickseg._napari.train.fields import Setting
    from napari_clickseg._napari.train.state import Check, TrainState

PATIENCE = 60.0


FOLDERS = ("images", "masks")


def task_setting() -> Setting:
    return next(one for one in settings_of("Main") if one.name == "task")


class Bench:
    """A viewer without a window, the controller on it, and somebody who waits."""

    def __init__(self, home: Path, child: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from napari.components import ViewerModel

        self.home, self.child, self.viewer = home, child, ViewerModel()
        self.told: list[str] = []
        self.used: list[str] = []
        for name in ("show_error", "show_info"):
            monkeypatch.setattr(
                f"napari_clickseg._napari.train.controller.{name}", self.told.append
            )
        self.controller = self.open()

    @property
    def state(self) -> TrainState:
        return self.controller.state

    @property
    def run(self) -> RunFolder:
        assert self.state.run.path is not None, self.state.message
        return RunFolder(self.state.run.path)

    def open(self) -> TrainController:
        return TrainController(self.viewer, annotate=self.used.append)

    def wait(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            self.controller.poll()
            self.controller.deliver()
            if condition():
                return
            assert time.monotonic() < end, (self.state.message, self.state.run)
            time.sleep(0.005)

    def status(self, *statuses: str) -> None:
        self.wait(lambda: self.state.run.status in statuses)

    def train(self, project: Path) -> None:
        self.controller.choose_project(str(project))
        self.controller.start()
        self.status("running")

    def epochs(self, last: int) -> None:
        for epoch in range(1, last + 1):
            (self.run.path / f"do-{epoch}").touch()
        self.wait(lambda: len(self.state.run.curves.loss) == last)

    def close(self) -> None:
        self.controller.close()
        for runner in (self.controller.runner, self.controller.reader, self.controller.asker):
            assert runner.join(PATIENCE)


@pytest.fixture
def bench(
    training_home: Path, training_child: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    made = Bench(training_home, training_child, monkeypatch)
    yield made
    made.close()


@pytest.fixture
def project(tmp_path: Path, make_project: Callable[..., Path]) -> Path:
    return make_project(tmp_path / "cells", 4)


def test_without_anything_chosen_the_user_is_told_what_to_do(bench: Bench) -> None:
    bench.controller.start()
    assert "Open images and their labels first" in bench.state.message
    bench.controller.choose_source("project")
    bench.controller.check()
    assert "Choose a project folder" in bench.state.message
    assert not bench.state.busy and bench.state.run.status == "none"


def test_a_check_says_what_is_there_and_what_would_be_trained(bench: Bench, project: Path) -> None:
    bench.controller.choose_project(str(project))
    bench.controller.check()
    assert bench.state.busy
    bench.wait(lambda: bench.state.check)
    check = bench.state.check
    assert check is not None and not check.errors
    assert "4 annotated images" in check.lines[0]
    assert "click model from default" in check.plan and "windows" in check.plan
    assert not bench.state.busy
    assert not (bench.home / "runs").exists()
    assert "4 annotated images" in bench.state.message, "it may have to be scrolled to"
    bench.controller.choose_project(str(project.parent))
    assert bench.state.check is None, "what was found belongs to what was chosen"
    assert not bench.state.message


def test_a_check_says_what_is_assumed_of_images_whose_objects_are_to_be_told_apart(
    bench: Bench, project: Path
) -> None:
    def check_of() -> Check:
        bench.controller.check()
        bench.wait(lambda: bench.state.check)
        assert bench.state.check is not None
        return bench.state.check

    writer = ProjectWriter(project)
    for number in range(4):
        pixels, mask = (iio.imread(project / part / f"{number}.png") for part in FOLDERS)
        writer.add(f"{number}", pixels, mask)
    writer.mark_complete("images/0.png", False)
    bench.controller.choose_project(str(project))
    bench.controller.set_value(task_setting(), "instances")
    check = check_of()
    assert "all objects, each its own" in check.plan and not check.errors
    (said,) = [text for text in check.warnings if "complete" in text]
    assert "3 images came without clicks" in said
    for number in range(1, 4):
        writer.mark_complete(f"images/{number}.png", False)
    bench.controller.choose_project(str(project))
    check = check_of()
    assert "No image to train on is complete" in check.errors[0] and not check.plan


def test_that_layers_are_complete_is_said_in_the_list_and_goes_into_the_project(
    bench: Bench,
) -> None:
    flat, stack = np.zeros((40, 50), np.uint8), np.zeros((3, 40, 50), np.uint8)
    flat[5:20, 5:20], stack[:2, 5:20, 5:20] = 1, 1
    for name, labels in (("flat", flat), ("stack", stack)):
        bench.viewer.add_image(labels * 200, name=name)
        bench.viewer.add_labels(labels.astype(int), name=f"{name} annotation")
    bench.controller.refresh_offers()
    assert [offer.complete for offer in bench.state.offers] == [None, None]
    bench.controller.set_complete(0, False)
    bench.controller.set_complete(1, True)
    assert [offer.complete for offer in bench.state.offers] == [False, True]
    bench.controller.check()
    bench.wait(lambda: bench.state.check)
    (project,) = (bench.home / "projects").iterdir()
    said = {record.name: record.complete for record in read_project(project).records}
    assert said == {
        "images/flat.png": False,
        "images/stack_0.png": True,
        "images/stack_1.png": True,
    }


def test_what_can_not_be_trained_is_refused_with_its_reason(
    bench: Bench, tmp_path: Path, make_project: Callable[..., Path]
) -> None:
    bench.controller.choose_project(str(make_project(tmp_path / "one", 1)))
    bench.controller.start()
    bench.wait(lambda: bench.state.check)
    assert bench.state.check is not None and bench.state.check.errors
    assert "One image is annotated" in bench.state.message
    assert bench.state.run.status == "none" and not bench.child.asked
    assert bench.state.check.plan == ""


def test_a_folder_that_is_no_project_is_an_error_told_once(bench: Bench, tmp_path: Path) -> None:
    bench.controller.choose_project(str(tmp_path / "nowhere"))
    for _ in range(2):
        bench.controller.start()
        bench.wait(lambda: not bench.state.busy)
        assert "There is no folder" in bench.state.message
    assert len(bench.told) == 1


def test_a_training_runs_to_its_end_and_its_model_can_be_used(bench: Bench, project: Path) -> None:
    bench.state.name = "my cells"
    bench.train(project)
    path = bench.run.path
    assert path.name.startswith("my-cells-20") and path.parent == bench.home / "runs"
    assert bench.child.asked == [
        ["train", str(project), "--spec", str(path / "spec.json"), "--out", str(path)]
    ]
    assert bench.run.spec.name == "my-cells"
    bench.epochs(2)
    assert bench.state.run.curves.loss == {1: 1.0, 2: 0.5}
    bench.epochs(4)
    bench.status("finished")
    assert bench.state.run.table[0].after == 0.8
    assert any("is done" in told for told in bench.told)
    bench.wait(lambda: bench.state.runs and bench.state.runs[0].status == "finished")
    bench.controller.use_model()
    bench.wait(lambda: bench.used)
    assert bench.used == [path.name]
    assert (bench.home / "models" / f"{path.name}.safetensors").read_bytes() == b"model"


def test_a_stopped_training_can_be_resumed(bench: Bench, project: Path) -> None:
    bench.train(project)
    bench.epochs(1)
    bench.controller.stop()
    assert bench.state.run.status == "stopping"
    bench.status("stopped")
    assert bench.state.run.model is not None
    path = bench.run.path
    bench.controller.resume()
    assert bench.state.run.status == "starting"
    bench.status("running")
    assert bench.child.asked[-1] == ["train", "--resume", str(path)]
    assert bench.state.run.curves.loss == {1: 1.0}
    bench.epochs(4)
    bench.status("finished")


def test_stop_works_while_the_process_is_starting(bench: Bench, project: Path) -> None:
    bench.controller.choose_project(str(project))
    bench.controller.start()
    bench.status("starting", "running")
    bench.controller.stop()
    bench.status("stopped")


def test_stop_works_while_the_images_are_looked_through(bench: Bench, project: Path) -> None:
    bench.controller.choose_project(str(project))
    bench.controller.start()
    assert bench.state.run.status == "preparing"
    bench.controller.stop()
    bench.wait(lambda: bench.controller.runner.idle and bench.controller.reader.idle)
    assert (bench.state.run.status, bench.state.busy) == ("none", "")
    bench.wait(lambda: all(one.poll() is not None for one in bench.child.processes))


def test_a_killed_training_is_noticed_and_can_be_resumed(bench: Bench, project: Path) -> None:
    bench.train(project)
    bench.epochs(2)
    bench.child.processes[0].kill()
    bench.child.processes[0].wait()
    bench.status("stopped")
    assert "ended unexpectedly" in bench.state.message and len(bench.told) == 1
    bench.controller.resume()
    bench.epochs(4)
    bench.status("finished")


def test_a_failure_is_told_once_with_its_reason(bench: Bench, project: Path) -> None:
    bench.train(project)
    (bench.run.path / "fail").touch()
    bench.status("failed")
    for _ in range(3):
        bench.controller.poll()
        bench.wait(lambda: bench.controller.reader.idle)
    assert "lower the learning rate" in bench.state.message
    assert len([told for told in bench.told if "NaN" in told]) == 1


def test_closing_does_not_end_a_training_and_it_is_found_again(bench: Bench, project: Path) -> None:
    bench.train(project)
    bench.epochs(1)
    path = bench.run.path
    bench.controller.close()
    assert bench.child.processes[0].poll() is None
    bench.controller = bench.open()
    bench.status("running")
    assert bench.run.path == path
    bench.epochs(4)
    bench.status("finished")


def test_another_run_can_be_looked_at(bench: Bench, project: Path) -> None:
    for _ in range(2):
        bench.train(project)
        bench.controller.stop()
        bench.status("stopped")
    bench.wait(lambda: len(bench.state.runs) == 2)
    newer, older = (entry.path for entry in bench.state.runs)
    assert bench.state.run.path == newer
    bench.controller.choose_run(older)
    bench.wait(lambda: bench.state.run.path == older and bench.state.run.status == "stopped")
    assert bench.told == []


def test_predictions_are_shown_refreshed_and_taken_away(bench: Bench, project: Path) -> None:
    layer = bench.viewer.add_image(np.zeros((100, 100)), name="mine")
    bench.train(project)
    preview = np.zeros((64, 64), np.uint8)
    iio.imwrite(bench.run.path / "previews" / "0.png", preview)
    bench.epochs(1)
    assert len(bench.viewer.layers) == 1, "nothing is added without being asked for"
    bench.controller.show_previews(True)
    bench.wait(lambda: len(bench.viewer.layers) == 4)
    assert bench.viewer.layers.selection.active == layer
    image, truth, prediction = list(bench.viewer.layers)[1:]
    assert image.rgb and truth.data.max() == 2 and not prediction.data.any()
    assert float(image.extent.world[0, -1]) > 99, "beside what is open"
    preview[10:20] = 1
    iio.imwrite(bench.run.path / "previews" / "0.png", preview)
    bench.epochs(2)
    bench.wait(lambda: prediction.data.any())
    assert len(bench.viewer.layers) == 4
    bench.viewer.layers.remove(truth)
    iio.imwrite(bench.run.path / "previews" / "0.png", preview)
    bench.epochs(3)
    bench.wait(lambda: len(bench.viewer.layers) == 4)
    bench.controller.show_previews(False)
    assert list(bench.viewer.layers) == [layer]


def test_settings_are_kept_where_they_differ_and_nonsense_is_refused(bench: Bench) -> None:
    fields = {one.name: one for group in ("Images", "Learning") for one in settings_of(group)}
    assert bench.controller.set_text(fields["epochs"], "3")
    assert bench.controller.set_value(fields["seed"], 5)
    assert bench.state.settings == {"epochs": 3, "seed": 5}
    assert not bench.controller.set_text(fields["size"], "100")
    assert "size" in bench.state.message
    assert bench.controller.set_text(fields["epochs"], "")
    assert bench.state.settings == {"seed": 5}
    bench.controller.reset_settings()
    assert bench.state.settings == {}


def test_runs_can_be_kept_elsewhere(bench: Bench, project: Path, tmp_path: Path) -> None:
    bench.controller.choose_home(str(tmp_path / "other"))
    bench.train(project)
    assert bench.run.path.parent == tmp_path / "other" / "runs"


def test_a_folder_that_can_not_be_written_is_an_error(
    bench: Bench, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    bench.controller.choose_home(str(tmp_path / "file"))
    bench.controller.choose_project(str(project))
    bench.controller.start()
    bench.wait(lambda: bench.told)
    assert "choose another folder" in bench.state.message
    assert bench.state.run.status == "none"


def test_a_report_is_opened_where_there_is_one(bench: Bench, project: Path) -> None:
    bench.train(project)
    assert bench.controller.report() is None
    assert "no report" in bench.state.message
    (bench.run.path / "report.md").touch()
    assert bench.controller.report() == bench.run.path / "report.md"


def test_broken_images_are_refused_or_left_out_by_choice(bench: Bench, project: Path) -> None:
    (project / "images" / "2.png").write_bytes(b"no image")
    bench.controller.choose_project(str(project))
    bench.controller.check()
    bench.wait(lambda: bench.state.check)
    assert bench.state.check is not None
    assert any("2.png" in error for error in bench.state.check.errors)
    skip = next(one for one in settings_of("Images") if one.name == "corrupt")
    bench.controller.set_value(skip, "skip")
    bench.controller.check()
    bench.wait(lambda: bench.state.check)
    assert bench.state.check is not None and not bench.state.check.errors
    assert any("2.png" in one and "left out" in one for one in bench.state.check.warnings)
    assert "3 annotated images" in bench.state.check.lines[0]


def test_samples_that_can_not_be_drawn_say_why(
    bench: Bench, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(arguments: list[str], folder: Path) -> Any:
        (folder / "log.txt").write_text("clickseg: The card's memory is full.\n")
        return type("Launch", (), {"pid": 0})

    monkeypatch.setattr("napari_clickseg._napari.train.jobs.launch", launch)
    bench.controller.choose_project(str(project))
    bench.controller.show_samples()
    bench.wait(lambda: not bench.state.busy)
    assert bench.state.message == "The card's memory is full."
    assert bench.state.samples is None


def test_drawing_samples_can_be_cancelled(
    bench: Bench, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys

    began: list[Any] = []

    def launch(arguments: list[str], folder: Path) -> Any:
        began.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return began[0]

    monkeypatch.setattr("napari_clickseg._napari.train.jobs.launch", launch)
    bench.controller.choose_project(str(project))
    bench.controller.show_samples()
    bench.wait(lambda: began)
    bench.controller.cancel()
    assert not bench.state.busy
    assert began[0].wait(PATIENCE) != 0


@pytest.mark.slow
def test_samples_are_drawn_by_the_command(
    training_home: Path, project: Path, tmp_path: Path
) -> None:
    from napari_clickseg._napari.train.jobs import TrainingOrder, samples

    order = TrainingOrder(str(project), None, tmp_path, training_home, "", {"size": 64})
    picture = samples(order, lambda: False, lambda *_: None)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 5


@pytest.mark.slow
def test_all_architectures_and_encoders_are_named() -> None:
    from napari_clickseg._napari.train.jobs import list_names

    names = list_names(lambda: False)
    assert {"unet", "fpn", "deeplabv3plus", "segformer"} <= set(names["architecture"])
    assert {"resnet18", "mobilenet_v2", "tu-resnet10t"} <= set(names["encoder"])


# ---- layers


def annotated(bench: Bench, name: str, *, planes: int = 0) -> Any:
    """Open an image and labels on it."""
    shape = (planes, 64, 64) if planes else (64, 64)
    rng = np.random.default_rng(len(bench.viewer.layers))
    labels = np.zeros(shape, int)
    labels[..., 10:30, 10:30] = 1
    labels[..., 40:60, 30:50] = 2
    image = (labels > 0) * 100 + rng.integers(0, 40, shape)
    bench.viewer.add_image(image.astype(np.uint8), name=name)
    layer = bench.viewer.add_labels(labels, name=f"{name} labels")
    bench.controller.refresh_offers()
    return layer


def test_open_pairs_are_offered_and_choices_are_kept(bench: Bench) -> None:
    annotated(bench, "first")
    assert [offer.text for offer in bench.state.offers] == ["first  ·  first labels"]
    bench.controller.choose_pair(0, False)
    annotated(bench, "second")
    assert [offer.chosen for offer in bench.state.offers] == [False, True]
    bench.viewer.layers.remove(bench.viewer.layers["first"])
    bench.controller.refresh_offers()
    assert len(bench.state.offers) == 1


def test_where_it_is_not_clear_whose_labels_they_are_the_user_says(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.viewer.add_image(np.zeros((64, 64), np.uint8), name=name)
    for name in ("a nuclei", "a cells"):
        bench.viewer.add_labels(np.ones((64, 64), int), name=name)
    bench.controller.refresh_offers()
    offered = [(offer.text, offer.chosen) for offer in bench.state.offers]
    assert offered == [("a  ·  a nuclei  ?", False), ("a  ·  a cells  ?", False)]
    bench.controller.check()
    assert "not clear which image a nuclei, a cells belong to" in bench.state.message
    bench.controller.choose_pair(0, True)
    bench.controller.choose_pair(1, True)
    assert [offer.chosen for offer in bench.state.offers] == [False, True]


def test_chosen_layers_become_a_project_that_is_trained_on(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        annotated(bench, name)
    bench.controller.choose_pair(1, False)
    bench.controller.start()
    bench.status("running")
    folder = bench.home / "projects"
    (project,) = folder.iterdir()
    assert project.name.startswith("a-20")
    assert sorted(path.stem for path in (project / "masks").iterdir()) == ["a", "c"]
    assert bench.child.asked[0][1] == str(project)
    assert bench.run.spec.name == "a"
    bench.controller.stop()
    bench.status("stopped")
    bench.controller.choose_pair(1, True)
    bench.controller.choose_pair(0, False)
    bench.controller.check()
    bench.wait(lambda: bench.state.check)
    assert sum(len(list(one.glob("masks/*"))) for one in folder.iterdir()) == 4


def test_a_run_on_layers_notes_the_projects_that_they_were_opened_from(bench: Bench) -> None:
    for name, project in (("a", "/cells"), ("b", "/cells"), ("c", "/other"), ("d", "")):
        annotated(bench, name)
        origin = Origin(project, [name], [""], [""], False)
        bench.viewer.layers[name].metadata.update(origin.as_metadata() if project else {})
    bench.controller.choose_pair(2, False)
    bench.controller.start()
    bench.status("running")
    assert origins_of(bench.run.path) == ("/cells",)
    bench.controller.stop()
    bench.status("stopped")


def test_a_project_with_a_name_grows(bench: Bench) -> None:
    bench.state.name = "mine"
    annotated(bench, "a"), annotated(bench, "b")
    for chosen in (0, 1):
        bench.controller.choose_pair(chosen, True)
        bench.controller.choose_pair(1 - chosen, False)
        bench.controller.check()
        bench.wait(lambda: bench.state.check)
    masks = bench.home / "projects" / "mine" / "masks"
    assert sorted(path.stem for path in masks.iterdir()) == ["a", "b"]
    assert bench.state.check is not None and "2 annotated images" in bench.state.check.lines[0]


def test_planes_without_labels_are_left_out_unless_marked_as_empty(bench: Bench) -> None:
    labels = annotated(bench, "stack", planes=5)
    labels.data[2:] = 0
    bench.controller.keep_together("image")

    def count() -> str:
        bench.controller.check()
        bench.wait(lambda: bench.state.check)
        assert bench.state.check is not None
        return bench.state.check.lines[0]

    assert "2 annotated images" in count()
    bench.viewer.dims.set_point(0, 3)
    bench.controller.toggle_empty()
    assert "really empty" in bench.state.message
    assert "3 annotated images" in count()
    bench.controller.toggle_empty()
    assert "left out again" in bench.state.message
    assert "2 annotated images" in count()
    bench.viewer.dims.set_point(0, 0)
    bench.controller.toggle_empty()
    assert "not empty" in bench.state.message
    annotated(bench, "other")
    bench.viewer.layers.selection.active = None
    bench.controller.toggle_empty()
    assert "Select the image" in bench.state.message
    bench.viewer.layers.selection.active = labels
    bench.viewer.dims.ndisplay = 3
    bench.controller.toggle_empty()
    assert "2D view" in bench.state.message


class Bright(torch.nn.Module):
    """Finds what is bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x[:, :1] - 0.5) * 60


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a model file that finds what is bright, without a click."""
    card = ModelCard(
        name="bright", architecture="unet", encoder="none", encoding="image", image_channels=1,
        automatic=True, class_ids=(1,), window=WindowSpec(size=64, zoom=1.0),
    )  # fmt: skip
    path = tmp_path / "bright.safetensors"
    save_model(path, {"weight": torch.ones(1)}, card)
    made = Segmenter(Bright(), card, device="cpu", half=False)
    monkeypatch.setattr(automatic, "load_segmenter", lambda *_: made)
    return path


def test_planes_without_labels_are_kept_where_wanted_predicted_and_reviewed(
    bench: Bench, finder: Path
) -> None:
    """From a stack of which some planes are annotated to the queue, and back to training."""
    labels = annotated(bench, "stack", planes=5)
    labels.data[2:] = 0
    bench.controller.keep_together("image")
    check(bench)
    (project,) = (bench.home / "projects").iterdir()
    assert read_project(project).unannotated == ()
    bench.controller.keep_rest(True)
    assert bench.state.check is None, "it says something else now"
    assert "2 annotated images" in check(bench)
    names = [one.name for one in read_project(project).unannotated]
    assert names == [f"images/stack_{n}.png" for n in (2, 3, 4)]
    assert sorted(predict_rest(project, finder).predicted) == names
    queue = ReviewQueue(project)
    assert sorted(review.image for review in queue.waiting()) == names
    queue.accept(names[0])
    assert "3 annotated images" in check(bench), "what was accepted is learned from"
    assert len(queue.waiting()) == 2, "what waits goes on waiting"
    labels.data[1] = 0
    assert "2 annotated images" in check(bench), "what was erased is not"
    bench.controller.keep_rest(False)
    assert "2 annotated images" in check(bench), "what was accepted is never removed"
    assert {one.name for one in read_project(project).records} == {"images/stack_0.png", names[0]}


@pytest.mark.parametrize("by", ["group", "image"])
def test_a_check_warns_of_a_split_by_image_as_the_run_does(
    by: str, bench: Bench, project: Path
) -> None:
    names = sorted(path.name for path in (project / "images").iterdir())
    lines = [f"images/{n},masks/{n},{g}" for n, g in zip(names, ["a", "a", "b", "b"], strict=True)]
    (project / "index.csv").write_text("\n".join(["image,mask,group", *lines]) + "\n")
    bench.controller.choose_project(str(project))
    bench.state.settings = {"split_by": by}
    check(bench)
    assert bench.state.check is not None
    warnings = [text for text in bench.state.check.warnings if "one group are both" in text]
    spec = TrainingSpec(project=str(project), split_by=by)
    assert warnings == [text for text in prepare(spec).warnings if "one group are both" in text]
    assert len(warnings) == (by == "image")


def test_planes_that_are_split_singly_are_warned_of_before_and_in_the_run(bench: Bench) -> None:
    def said() -> bool:
        check(bench)
        assert bench.state.check is not None
        return any("Planes of one image are both" in text for text in bench.state.check.warnings)

    annotated(bench, "stack", planes=3)
    annotated(bench, "other", planes=3)
    assert not said(), "whole images are validated on"
    bench.controller.keep_together("image")
    assert said()
    bench.controller.start()
    bench.status("running")
    bench.wait(lambda: bench.state.run.messages)
    assert "Planes of one image are both" in bench.state.run.messages[0].text
    bench.controller.stop()
    bench.status("stopped")
    for index in (0, 1):
        bench.controller.set_group(index, f"specimen {index}")
    assert not said(), "they have groups"


def check(bench: Bench) -> str:
    """Have the layers gathered and looked through; return what there is."""
    bench.controller.check()
    bench.wait(lambda: not bench.state.busy)
    assert bench.state.check is not None, bench.state.message
    return bench.state.check.lines[0]


def test_unlabelled_layers_are_refused_with_what_to_do(bench: Bench) -> None:
    annotated(bench, "blank").data[:] = 0
    bench.controller.start()
    bench.wait(lambda: not bench.state.busy)
    assert "Nothing is annotated" in bench.state.message
    assert bench.state.run.status == "none"


def test_predictions_are_never_offered_as_data(bench: Bench, project: Path) -> None:
    bench.train(project)
    iio.imwrite(bench.run.path / "previews" / "0.png", np.ones((64, 64), np.uint8))
    bench.epochs(1)
    bench.controller.show_previews(True)
    bench.wait(lambda: len(bench.viewer.layers) == 3)
    bench.controller.refresh_offers()
    assert bench.state.offers == ()


def test_names_are_no_longer_asked_for_once_nobody_wants_to_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from napari_clickseg._napari.train import jobs

    monkeypatch.setattr(jobs, "_NAMES", {})
    monkeypatch.setattr(jobs, "_ASK", "import time; time.sleep(60)")
    since = time.monotonic()
    with pytest.raises(Stopped):
        jobs.list_names(lambda: time.monotonic() - since > 0.3)
    assert time.monotonic() - since < 30, "the process is not waited for"


def test_advice_on_groups_of_open_layers_does_not_name_a_table(tmp_path: Path) -> None:
    from napari_clickseg._napari.train.jobs import _said_of_layers
    from napari_clickseg.data.inspection.findings import inspect_project
    from napari_clickseg.data.project import read_project
    from tests.training.test_finetune import write_project

    project = write_project(tmp_path / "p")
    (project / "index.csv").unlink()  # it alone has groups
    findings = inspect_project(read_project(project))
    (text,) = [_said_of_layers(one) for one in findings.warnings if one.kind == "ungrouped"]
    assert "Double-click under Group" in text and "index.csv" not in text
