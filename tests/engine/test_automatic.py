"""The rest of a project is predicted once, without clicks, and never over what is annotated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from napari_clickseg.data.bundles.pack import pack
from napari_clickseg.data.bundles.unpack import unpack
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.masks import file_digest, read_labels
from napari_clickseg.data.project import ProjectError, read_project
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.engine import automatic, imagewise
from napari_clickseg.engine.automatic import BatchError, predict_rest
from napari_clickseg.engine.imagewise import predict_unclicked
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.engine.slides import whole_slide
from napari_clickseg.models.card import ModelCard, WindowSpec
from napari_clickseg.models.checkpoint import save_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Bands(nn.Module):
    """Finds the first class where the image is bright, the second where it is in between."""

    def __init__(self, sure: float) -> None:
        super().__init__()
        self.sure = sure
        self.runs = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        bright = (x[:, :1] - 0.8) * self.sure
        middle = (0.2 - (x[:, :1] - 0.5).abs()) * self.sure
        return torch.cat([torch.zeros_like(bright), bright, middle], 1)


def card(**fields: Any) -> ModelCard:
    known: dict[str, Any] = {
        "name": "bands",
        "architecture": "unet",
        "encoder": "none",
        "encoding": "image",
        "image_channels": 1,
        "automatic": True,
        "classes": ("bright", "middle"),
        "class_ids": (3, 7),
        "window": WindowSpec(size=64, zoom=1.0),
    }
    return ModelCard(**known | fields)


def picture(seed: int) -> np.ndarray:
    """Two bright squares and one in between, 60 x 70."""
    out = np.zeros((60, 70), np.uint8)
    out[5 + seed : 20, 5:20] = out[5:20, 40:60] = 255
    out[35:55, 30:60] = 128
    return out


TRUTH = {0: 0, 255: 3, 128: 7}


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make model files whose network is the one of this test."""

    def make(name: str = "bands", sure: float = 60, **fields: Any) -> Path:
        path = tmp_path / f"{name}.safetensors"
        known = card(name=name, **fields)
        save_model(path, {"weight": torch.ones(1)}, known)
        network = Bands(sure)
        monkeypatch.setattr(
            automatic,
            "load_segmenter",
            lambda *_: Segmenter(network, known, device="cpu", half=False),
        )
        make.network = network  # type: ignore[attr-defined]
        return path

    return make


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Four images, the first of them annotated."""
    writer = ProjectWriter(tmp_path / "project")
    classes = tuple(ProjectClass(id=n, name=str(n)) for n in (3, 7))
    writer.set_classes(ProjectClasses(scheme="classes", classes=classes))
    writer.add("0", picture(0), picture(0) // 85)
    for number in range(1, 4):
        writer.add(str(number), picture(number), None)
    return tmp_path / "project"


def test_slides_wait_as_omezarr_and_are_accepted_and_packed_like_other_images(
    project: Path, use: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model, queue = use(), ReviewQueue(project)
    predict_rest(project, model, device="cpu", limit=1)
    small = next(iter(queue.waiting()))
    monkeypatch.setattr(whole_slide, "_LARGE", 1000)
    monkeypatch.setattr(whole_slide, "_SIDES", (32,))
    asked = iter(range(100))
    stopped = predict_rest(project, model, device="cpu", stop=lambda: next(asked) > 5)
    assert (stopped.stopped, len(queue.waiting())) == (True, 1)
    rest = predict_rest(project, model, device="cpu")
    assert sorted(rest.predicted) == ["images/2.png", "images/3.png"]
    use(sure=50, licence="another")
    again = predict_rest(project, model, device="cpu", overwrite=True)
    assert len(again.predicted) == 3, "another model's tiles are not taken for its own"
    names = {review.image: review.prediction for review in queue.waiting()}
    assert names == {f"images/{n}.png": f"predictions/{n}.zarr" for n in (1, 2, 3)}
    assert not queue.path(small).exists(), "of one image there is one prediction"
    for review in queue.waiting():
        truth = np.vectorize(TRUTH.get)(picture(int(review.image[7])))
        assert (read_labels(queue.path(review)) == truth).all()
        assert 0 <= review.uncertainty < 0.2
    pack(project, tmp_path / "bundle.zip")
    unpacked = unpack(tmp_path / "bundle.zip", tmp_path / "unpacked")
    assert len(ReviewQueue(unpacked.folder).waiting()) == 3
    record = queue.accept("images/2.png")
    assert (read_labels(record.mask) == np.vectorize(TRUTH.get)(picture(2))).all()
    queue.take_back("images/2.png", replacing=file_digest(record.mask))
    assert len(queue.waiting()) == 3


def test_what_is_not_annotated_is_predicted_with_the_ids_of_the_project(
    project: Path, use: Callable[..., Path]
) -> None:
    told: list[tuple[int, int]] = []
    result = predict_rest(project, use(), device="cpu", on_image=lambda *at: told.append(at))
    assert sorted(result.predicted) == ["images/1.png", "images/2.png", "images/3.png"]
    assert (result.problems, result.stopped, result.kept) == ({}, False, 0)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    queue = ReviewQueue(project)
    for review in queue.waiting():
        number = int(review.image.removeprefix("images/")[0])
        truth = np.vectorize(TRUTH.get)(picture(number))
        assert (read_labels(queue.path(review)) == truth).all()
        assert review.model == result.model
        assert 0 <= review.uncertainty < 0.2
    assert len(read_project(project).records) == 1


def test_it_is_what_a_session_predicts(use: Callable[..., Path]) -> None:
    use()
    segmenter = automatic.load_segmenter()
    labels, _ = predict_unclicked(segmenter, picture(1))
    assert (labels == segmenter.start(picture(1)).predict().labels).all()


def test_a_less_certain_model_says_so(use: Callable[..., Path]) -> None:
    unsure = []
    for sure in (60, 10, 3):
        use(sure=sure)
        unsure.append(predict_unclicked(automatic.load_segmenter(), picture(1))[1])
    assert unsure == sorted(unsure)
    assert unsure[-1] > 2 * unsure[0]


def test_objects_get_ids_of_their_own_where_the_project_has_objects(
    project: Path, use: Callable[..., Path]
) -> None:
    ProjectWriter(project).set_classes(ProjectClasses(scheme="instances"))
    predict_rest(project, use(), device="cpu")
    queue = ReviewQueue(project)
    for review in queue.waiting():
        assert np.unique(read_labels(queue.path(review))).tolist() == [0, 1, 2, 3]


def test_without_classes_the_model_knows_what_ids_mean(
    project: Path, use: Callable[..., Path]
) -> None:
    (project / "classes.json").unlink()
    predict_rest(project, use(training={"spec": {"scheme": "instances"}}), limit=1)
    queue = ReviewQueue(project)
    assert read_labels(queue.path(queue.waiting()[0])).max() == 3


def test_it_goes_on_where_it_was_stopped(project: Path, use: Callable[..., Path]) -> None:
    model, done = use(), []
    first = predict_rest(
        project, model, stop=lambda: len(done) >= 1, on_image=lambda n, _: n and done.append(n)
    )
    assert first.stopped
    assert 1 <= len(first.predicted) < 3
    before = ReviewQueue(project).waiting()
    second = predict_rest(project, model)
    assert sorted(first.predicted + second.predicted) == [f"images/{n}.png" for n in (1, 2, 3)]
    assert second.kept == len(first.predicted)
    assert set(before) <= set(ReviewQueue(project).waiting())
    use.network.runs = 0  # type: ignore[attr-defined]
    assert predict_rest(project, model, overwrite=True).total == 0
    assert use.network.runs == 0  # type: ignore[attr-defined]


def test_another_model_replaces_what_waits_only_if_asked_to(
    project: Path, use: Callable[..., Path]
) -> None:
    old, new = use("old"), use("new")
    predict_rest(project, old)
    queue = ReviewQueue(project)
    queue.accept("images/1.png")
    accepted = {path: path.read_bytes() for path in (project / "masks").iterdir()}
    queue.reject("images/2.png")
    assert predict_rest(project, old).predicted == []
    assert predict_rest(project, new).predicted == ["images/2.png"]
    assert predict_rest(project, new, overwrite=True).predicted == ["images/3.png"]
    assert {path: path.read_bytes() for path in (project / "masks").iterdir()} == accepted
    queue.reject("images/3.png")
    assert predict_rest(project, new, overwrite=True).predicted == ["images/3.png"]
    queue.path(queue.waiting()[0]).unlink()
    assert len(predict_rest(project, new).predicted) == 1


def test_images_that_cannot_be_read_are_named_and_the_others_predicted(
    project: Path, use: Callable[..., Path]
) -> None:
    (project / "images" / "1.png").write_bytes(b"no picture")
    stack = np.zeros((4, 30, 30), np.uint8)
    tifffile.imwrite(project / "images" / "s.tif", stack, photometric="minisblack")
    with (project / "index.csv").open("a") as file:
        file.write("images/s.tif,,,\nimages/gone.png,,,\n")
    result = predict_rest(project, use(), workers=2)
    assert sorted(result.predicted) == ["images/2.png", "images/3.png"]
    assert not result.stopped
    assert "cannot be read" in result.problems.pop("images/1.png")
    assert "no file" in result.problems.pop("images/gone.png")
    assert "s.tif is a stack" in result.problems.pop("images/s.tif")
    assert not result.problems


def test_what_a_file_holds_besides_is_said(project: Path, use: Callable[..., Path]) -> None:
    with tifffile.TiffWriter(project / "images" / "two.tif") as file:
        for side in (30, 20):
            file.write(np.full((side, side), 50, np.uint8), photometric="minisblack")
    with (project / "index.csv").open("a") as index:
        index.write("images/two.tif,,,\n")
    result = predict_rest(project, use())
    assert "images/two.tif" in result.predicted
    assert list(result.notices) == ["images/two.tif"]
    assert "it holds 2 images; the first is used" in result.notices["images/two.tif"]


def test_an_image_that_does_not_fit_into_memory_is_named(
    project: Path, use: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    model = use()
    monkeypatch.setattr(imagewise, "predict_unclicked", full)
    result = predict_rest(project, model, limit=1)
    assert list(result.problems.values()) == ["images/1.png does not fit into memory."]


def test_shares_are_of_each_image_once_whatever_is_annotated_meanwhile(
    project: Path, use: Callable[..., Path]
) -> None:
    model, queue = use(), ReviewQueue(project)
    first = predict_rest(project, model, shard=(1, 2))
    assert first.predicted
    for name in first.predicted:
        queue.accept(name)
    second = predict_rest(project, model, shard=(2, 2))
    assert sorted(first.predicted + second.predicted) == [f"images/{n}.png" for n in (1, 2, 3)]
    assert (second.kept, predict_rest(project, model).kept) == (0, len(second.predicted))
    assert predict_rest(project, model, shard=(9, 9)).total == 0


def test_a_model_that_needs_clicks_is_refused(project: Path, use: Callable[..., Path]) -> None:
    with pytest.raises(BatchError, match=r"needs clicks.*clickseg train.*clickseg crossfit"):
        predict_rest(project, use(encoding="channels", automatic=False))
    assert not (project / "predictions").exists()


def test_what_is_no_project_is_refused(tmp_path: Path, use: Callable[..., Path]) -> None:
    with pytest.raises(ProjectError, match="no folder"):
        predict_rest(tmp_path / "none", use())
    iio.imwrite(tmp_path / "a.png", picture(0))
    with pytest.raises(ProjectError, match="no folder"):
        predict_rest(tmp_path / "a.png", use())
