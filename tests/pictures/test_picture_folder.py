"""From a project or a run to a folder of pictures."""

from __future__ import annotations

import csv
import errno

import imageio.v3 as iio
import numpy as np
import pytest

from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.pictures.albums import PicturesError, album_of
from napari_clickseg.pictures.outcomes import COLOURS, PixelOutcome
from napari_clickseg.pictures.picture_folder import write_pictures


def discs(shift: int = 0) -> np.ndarray:
    y, x = np.mgrid[:64, :64]
    labels = np.zeros((64, 64), np.uint8)
    for number, centre in enumerate(((20, 20), (44, 40)), 1):
        labels[np.hypot(y - centre[0], x - centre[1] - shift) < 10] = number
    return labels


@pytest.fixture
def project(tmp_path):
    """A stack of four planes with predictions that were accepted, the last corrected."""
    writer = ProjectWriter(tmp_path / "mine")
    for z in range(4):
        image = (discs() > 0) * np.uint8(120) + np.uint8(40 + 5 * z)
        writer.add(f"a $z$ {z}", image, group="a stack")
    queue = ReviewQueue(writer.folder)
    for row in list(queue._stems):
        queue.propose(row, discs(), model="0" * 64, uncertainty=0.1)
        queue.accept(row, discs(4) if row.endswith("3.png") else None)
    return writer.folder


def rows_of(out):
    with (out / "figures.csv").open() as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def test_predictions_are_drawn_beside_what_they_were_corrected_to(project, tmp_path) -> None:
    out = tmp_path / "out"
    seen = []
    made = write_pictures(album_of(project), out, progress=lambda *at: seen.append(at))
    assert seen[-1] == (4, 4)
    rows = rows_of(out)
    assert [float(row["IoU"]) for row in rows.values()][:3] == [1] * 3
    assert 0.5 < float(rows["images/a $z$ 3.png"]["IoU"]) < 0.8
    picture = iio.imread(out / "overlays/a $z$ 3.png")
    for one in (
        PixelOutcome.TRUE_POSITIVE,
        PixelOutcome.FALSE_POSITIVE,
        PixelOutcome.FALSE_NEGATIVE,
    ):
        colour = [int(COLOURS[one][k : k + 2], 16) for k in (1, 3, 5)]
        assert (picture[: -2 * 22] == colour).all(-1).sum() > 50
    assert iio.imread(out / "panels/a $z$ 3.png").ndim == 3
    assert made.animations == ["a stack.gif"]
    assert len(iio.imread(out / "a stack.gif")) == 4
    page = made.page.read_text()
    assert 'src="overlays/a%20%24z%24%203.png"' in page
    assert 'src="a%20stack.gif"' in page


def test_a_stack_becomes_a_film(project, tmp_path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    made = write_pictures(album_of(project), tmp_path / "out", animation="mp4")
    (name,) = made.animations
    assert ffmpeg.count_frames_and_secs(str(tmp_path / "out" / name))[0] == 4


def test_black_and_white_are_the_same_in_all_planes_of_a_stack(project, tmp_path) -> None:
    write_pictures(album_of(project), tmp_path / "out")
    dark = [iio.imread(tmp_path / f"out/overlays/a $z$ {z}.png")[3, 3, 0] for z in range(4)]
    assert dark == sorted(set(dark))


def test_a_model_that_needs_clicks_gets_them_and_its_probability_is_drawn(tmp_path) -> None:
    writer = ProjectWriter(tmp_path / "mine")
    writer.add("one", (discs() > 0) * np.uint8(150) + np.uint8(40), discs())
    album = album_of(writer.folder, model="default", clicks=2)
    assert album.predictor == "default, with up to 2 simulated clicks an object"
    write_pictures(album, tmp_path / "out")
    (row,) = rows_of(tmp_path / "out").values()
    assert float(row["IoU"]) > 0.8
    assert float(row["F1"]) == 1
    assert (tmp_path / "out/probabilities/one.png").is_file()


def test_an_id_of_another_class_is_drawn_as_such(tmp_path) -> None:
    writer = ProjectWriter(tmp_path / "mine")
    classes = [ProjectClass(id=i, name=f"kind {i}") for i in (1, 2)]
    writer.set_classes(ProjectClasses(scheme="classes", classes=classes))
    writer.add("one", discs() * np.uint8(90))
    queue = ReviewQueue(writer.folder)
    queue.propose("images/one.png", discs(), model="0" * 64, uncertainty=0.1)
    queue.accept("images/one.png", (discs() > 0).astype(np.uint8))
    write_pictures(album_of(writer.folder), tmp_path / "out")
    (row,) = rows_of(tmp_path / "out").values()
    assert float(row["IoU"]) == pytest.approx(0.25, abs=0.02)  # half of class 1, none of class 2
    assert "F1" not in row


@pytest.mark.parametrize(
    ("more", "said"),
    [({}, "has no predictions; say --model"), ({"model": "default"}, "has no masks, and")],
)
def test_where_there_is_nothing_to_draw_one_line_says_what_to_do(tmp_path, more, said) -> None:
    ProjectWriter(tmp_path / "mine").add("one", discs())
    with pytest.raises(PicturesError, match=said):
        album_of(tmp_path / "mine", **more)


def test_a_full_disk_is_said_in_one_line_and_leaves_no_half_file(
    project, tmp_path, monkeypatch
) -> None:
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("imageio.v3.imwrite", full)
    with pytest.raises(PicturesError, match=r"can't be written to .*No space left") as caught:
        write_pictures(album_of(project), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_folder_that_holds_something_is_left_alone(project) -> None:
    with pytest.raises(PicturesError, match="not an empty folder"):
        write_pictures(album_of(project), project)


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_drawn(project, tmp_path) -> None:
    (project / "images/a $z$ 1.png").write_bytes(b"no picture")
    made = write_pictures(album_of(project), tmp_path / "out")
    assert list(made.problems) == ["images/a $z$ 1.png"]
    assert len(made.rows) == 3
    assert "Not drawn" in made.page.read_text()


def test_who_wants_no_more_keeps_what_is_drawn(project, tmp_path) -> None:
    class EnoughError(Exception):
        pass

    def progress(done, _total):
        if done == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        write_pictures(album_of(project), tmp_path / "out", progress=progress)
    assert len(list((tmp_path / "out/overlays").iterdir())) == 2
