"""What is written into a project folder is read back, and is there as a whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from napari_clickseg.data import index, project, writer
from napari_clickseg.data.annotations import ProjectClick, read_clicks
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import file_digest, read_labels
from napari_clickseg.data.names import safe_name
from napari_clickseg.data.project import (
    ProjectError,
    Record,
    Unannotated,
    read_project,
    read_records,
)
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter

GREY = np.arange(600, dtype=np.uint8).reshape(20, 30)
LABELS = np.repeat(np.arange(6, dtype=np.uint8), 100).reshape(20, 30)
CLICKS = (ProjectClick(y=1.5, x=2, object=3), ProjectClick(y=0, x=0, positive=False))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    kinds = [np.bool_, np.uint8, np.int8, ">u2", np.int32, np.uint64]
    dtype = np.dtype(draw(st.sampled_from([*kinds, np.float16, np.float32, np.float64])))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    channels = draw(st.sampled_from([(), (1,), (2,), (3,), (4,), (7,)]))
    image = draw(hnp.arrays(dtype, (height, width, *channels)))
    ids = draw(st.sampled_from([np.bool_, np.uint8, np.int16, np.int64]))
    elements = None if ids == np.bool_ else st.integers(0, min(np.iinfo(ids).max, 2**32 - 1))
    return image, draw(hnp.arrays(ids, (height, width), elements=elements))


@settings(deadline=None, max_examples=40)
@given(pair=images(), rgb=st.sampled_from([None, False, True]))
def test_images_and_masks_are_read_as_they_were_written(
    pair: tuple[np.ndarray, np.ndarray], rgb: bool | None
) -> None:
    image, labels = pair
    with tempfile.TemporaryDirectory() as folder:
        entry = ProjectWriter(folder).add("a", image, labels, really_empty=True, rgb=rgb)
        assert isinstance(entry, Record)
        (record,) = read_project(folder).records
        assert record == entry
        plane = read_plane(record.image)
        wanted = image.squeeze(2) if image.shape[2:] == (1,) else image
        assert plane.data.dtype == (
            np.uint8 if image.dtype == bool else image.dtype.newbyteorder("=")
        )
        assert np.array_equal(plane.data, wanted, equal_nan=image.dtype.kind == "f")
        colours = image.shape[2:] in ((3,), (4,))
        assert plane.rgb == (colours and (plane.data.dtype == np.uint8 if rgb is None else rgb))
        assert np.array_equal(read_labels(record.mask), labels)
        assert ProjectWriter(folder).holds("a", image, rgb=rgb)


@pytest.mark.parametrize(
    ("largest", "name", "dtype"),
    [(255, "m.png", np.uint8), (256, "m.tif", np.uint16), (65536, "m.tif", np.uint32)],
)
def test_masks_are_as_small_as_their_ids_allow(
    tmp_path: Path, largest: int, name: str, dtype: Any
) -> None:
    record = ProjectWriter(tmp_path).add("m", GREY, np.where(LABELS, largest, 0))
    assert isinstance(record, Record)
    assert record.mask.name == name
    assert read_labels(record.mask).dtype == dtype


def test_a_mask_has_the_colours_of_its_classes_in_any_viewer(tmp_path: Path) -> None:
    project = ProjectWriter(tmp_path)
    classes = (ProjectClass(id=2, name="cell", colour="#0102ff"),)
    project.set_classes(ProjectClasses(scheme="classes", classes=classes))
    record = project.add("a", GREY, LABELS)
    assert isinstance(record, Record)
    shown = np.asarray(Image.open(record.mask).convert("RGB"))
    assert {tuple(c) for c in shown[LABELS == 2].tolist()} == {(1, 2, 255)}
    assert not shown[LABELS == 0].any()
    assert all(shown[LABELS == i].any() for i in (1, 3, 4, 5))
    assert read_project(tmp_path).classes == project.classes


def test_everything_that_is_known_is_kept(tmp_path: Path) -> None:
    project = ProjectWriter(tmp_path / "new" / "folder")
    record = project.add(
        "Zelle 1, links",
        GREY,
        LABELS,
        group="patient 1",
        split="test",
        clicks=CLICKS,
        object_classes={3: 1},
    )
    assert project.find("Zelle 1, links") == record
    assert read_project(project.folder).records == (record,)
    assert isinstance(record, Record)
    assert (record.group, record.split) == ("patient 1", "test")
    assert record.clicks is not None
    kept = read_clicks(record.clicks)
    assert kept.clicks == CLICKS
    assert kept.classes == {3: 1}


def test_what_is_not_annotated_has_no_mask_unless_it_is_really_empty(tmp_path: Path) -> None:
    project = ProjectWriter(tmp_path)
    assert isinstance(project.add("a", GREY, LABELS * 0), Unannotated)
    assert isinstance(project.add("b", GREY), Unannotated)
    assert isinstance(project.add("c", GREY, really_empty=True), Record)
    assert isinstance(project.add("d", GREY, LABELS * 0, really_empty=True), Record)
    written = read_project(tmp_path)
    assert [entry.name for entry in written.unannotated] == ["images/a.png", "images/b.png"]
    assert not any(read_labels(record.mask).any() for record in written.records)


def test_a_name_again_replaces_that_record_and_nothing_else(tmp_path: Path) -> None:
    project = ProjectWriter(tmp_path)
    project.add("a", GREY, LABELS, clicks=CLICKS)
    project.add("b", GREY + 1, LABELS, clicks=CLICKS)
    before = contents(tmp_path)
    project.add("a", GREY, LABELS > 0)
    now = contents(tmp_path)
    assert set(before) - set(now) == {"clicks/a.json"}
    assert {name for name in now if before[name] != now[name]} == {"masks/a.png"}
    project.add("a", GREY, np.where(LABELS, 300, 0), group="p")  # another kind of file
    assert sorted(contents(tmp_path)) == [
        *("clicks/b.json", "images/a.png", "images/b.png", "index.csv", "masks/a.tif"),
        "masks/b.png",
    ]
    project.add("a", GREY.astype(np.float32), LABELS, clicks=CLICKS)  # another image
    first, second = read_records(tmp_path)
    assert read_plane(first.image).data.dtype == np.float32
    assert np.array_equal(read_labels(first.mask), LABELS)
    assert (first.clicks is not None, second.name) == (True, "images/b.png")
    assert len(contents(tmp_path)) == 7
    project.add("a", GREY)
    assert [record.name for record in read_records(tmp_path)] == ["images/b.png"]
    assert len(contents(tmp_path)) == 5
    assert contents(tmp_path)["masks/b.png"] == before["masks/b.png"]


def test_a_project_of_another_make_is_continued(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for i in range(3):
            iio.imwrite(tmp_path / name / f"{i}.png", GREY // (i + 1))
    (tmp_path / "images/notes.json").write_text("not in the index")
    (tmp_path / "index.csv").write_text(
        "Age;image;mask;Group\n31;images/0.png;masks/0.png;x\n"
        "32;images/1.png;masks/2.png;y\n33;images/2.png;masks/2.png;y\n"
    )
    before = contents(tmp_path)
    project = ProjectWriter(tmp_path)
    assert project.holds("1", GREY // 2)
    assert not project.holds("1", GREY)
    project.add("1", GREY // 2, LABELS, group="z")
    project.add("notes", GREY, LABELS)
    now = contents(tmp_path)
    assert now.pop("index.csv").decode().splitlines() == [
        "image;mask;group;split;Age",
        "images/0.png;masks/0.png;x;;31",
        "images/1.png;masks/1~2.png;z;;32",
        "images/2.png;masks/2.png;y;;33",
        "images/notes~2.png;masks/notes~2.png;;;",
    ]
    assert {name for name in before if name != "index.csv" and before[name] != now[name]} == set()


def test_a_pair_of_folders_gets_an_index_with_all_that_it_held(tmp_path: Path) -> None:
    for name in ("images/0.png", "images/1.png", "masks/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        iio.imwrite(tmp_path / name, GREY)
    ProjectWriter(tmp_path).add("2", GREY, LABELS)
    project = read_project(tmp_path)
    assert [entry.name for entry in project.records] == ["images/0.png", "images/2.png"]
    assert [entry.name for entry in project.unannotated] == ["images/1.png"]


def test_files_outside_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "project/images").mkdir(parents=True)
    iio.imwrite(tmp_path / "m.png", LABELS)
    iio.imwrite(tmp_path / "project/images/a.png", GREY)
    index = tmp_path / "project/index.csv"
    index.write_text("image,mask\nimages/a.png,../m.png\n")
    ProjectWriter(index.parent).add("a", GREY, LABELS > 1)
    assert np.array_equal(read_labels(tmp_path / "m.png"), LABELS)
    assert read_records(index.parent)[0].mask == tmp_path / "project/masks/a.png"


class Killed(BaseException):
    """Nobody catches this."""


@pytest.mark.parametrize("error", [Killed(), OSError(errno.ENOSPC, "full")])
@pytest.mark.parametrize("image", [GREY, GREY + 1], ids=["same image", "another image"])
@pytest.mark.parametrize("at", range(1, 5))
def test_what_fails_half_way_leaves_the_old_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, image: Any, at: int
) -> None:
    """Wherever the writing of files, or moving them into place, ends."""
    project = ProjectWriter(tmp_path)
    project.add("a", GREY, LABELS, clicks=CLICKS, group="g")
    before = contents(tmp_path)
    for where, name in ((Path, "replace"), (Path, "chmod")):
        calls = 0
        true = getattr(where, name)

        def fail(*args: Any, true: Any = true) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                raise error
            return true(*args)

        with monkeypatch.context() as patch:
            patch.setattr(where, name, fail)
            try:
                project.add("a", image, LABELS > 2, clicks=CLICKS[:1], group="h")
            except (Killed, ProjectError):
                assert contents(tmp_path) == before
            else:
                assert calls < at
        if calls < at:
            project.add("a", GREY, LABELS, clicks=CLICKS, group="g")
            assert len(contents(tmp_path)) == len(before)
            before = contents(tmp_path)
    assert len(read_records(tmp_path)) == 1


def test_a_first_record_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("20 requested and 3 written")

    monkeypatch.setattr(writer, "write_labels", fail)
    with pytest.raises(ProjectError, match="no room left"):
        ProjectWriter(tmp_path / "new").add("a", GREY, LABELS)
    assert not list(tmp_path.iterdir())


FULL = """
import resource, sys
import numpy as np
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter
noise = np.random.default_rng(0).random((300, 300))
project = ProjectWriter(sys.argv[1])
project.add("a", noise[:20, :20], noise[:20, :20] > 0.5)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    project.add("b", noise, noise > 0.5)
except ValueError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_where_no_more_can_be_written_nothing_is(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no room left" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(contents(tmp_path)) == ["images/a.tif", "index.csv", "masks/a.png"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may write everywhere"
)
def test_a_folder_without_write_access_is_said(tmp_path: Path) -> None:
    project = ProjectWriter(tmp_path)
    project.add("a", GREY, LABELS)
    for path in (tmp_path, *(tmp_path / name for name in ("images", "masks"))):
        path.chmod(0o555)
    try:
        with pytest.raises(ProjectError, match="cannot be written to; choose another folder"):
            project.add("b", GREY, LABELS)
    finally:
        for path in (tmp_path, *(tmp_path / name for name in ("images", "masks"))):
            path.chmod(0o755)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EIO])
def test_what_the_system_refuses_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "mkstemp", fail)
    with pytest.raises(ProjectError, match="cannot be written") as caught:
        ProjectWriter(tmp_path).add("a", GREY, LABELS)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((2, 3, 4, 5))}, r"shape \(2, 3, 4, 5\); an image of a project"),
        ({"image": np.zeros((0, 3))}, "is a plane"),
        ({"image": np.zeros((20, 30, 40))}, "40 channels"),
        ({"image": GREY * 1j}, "real numbers"),
        ({"image": GREY.astype(object)}, "real numbers"),
        ({"labels": LABELS[1:]}, r"shape \(20, 30\), its mask \(19, 30\)"),
        ({"labels": LABELS.astype(float)}, "float64; give ids"),
        ({"labels": LABELS.astype(int) - 1}, "ids from -1 to 4"),
        ({"labels": LABELS.astype(int) + 2**32}, "number them from 0"),
        ({"split": "both"}, "'both' is not a split"),
        ({"name": "a/b"}, "call the image 'a_b'"),
        ({"name": "../a"}, "can't be the name of a file"),
        ({"name": "CON"}, "call the image '_CON'"),
        ({"name": ""}, "call the image 'image'"),
        ({"name": "A"}, "upper and lower case only"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    project = ProjectWriter(tmp_path)
    project.add("a", GREY, LABELS)
    before = contents(tmp_path)
    with pytest.raises(ProjectError, match=message) as caught:
        project.add(**{"name": "b", "image": GREY, "labels": LABELS} | change)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


def test_a_folder_that_is_no_project_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all my work")
    with pytest.raises(ProjectError, match="holds other things"):
        ProjectWriter(tmp_path)
    with pytest.raises(ProjectError, match="Not a directory"):
        ProjectWriter(tmp_path / "thesis.txt")
    (tmp_path / "images").mkdir()
    (tmp_path / "classes.json").write_text('{"schema_version": 99}')
    with pytest.raises(ProjectError, match="has version 99"):
        ProjectWriter(tmp_path)


def test_what_a_killed_writer_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    ProjectWriter(tmp_path).add("a", GREY, LABELS)
    for name in (".partial-old", ".partial-new"):
        (tmp_path / "masks" / name).touch()
    os.utime(tmp_path / "masks/.partial-old", (0, 0))
    ProjectWriter(tmp_path)
    assert [p.name for p in (tmp_path / "masks").glob(".*")] == [".partial-new"]


@given(text=st.text(max_size=200))
def test_any_text_becomes_a_name_that_stays(text: str) -> None:
    name = safe_name(text)
    assert name == safe_name(name)
    assert 1 <= len(name.encode()) <= 121
    assert not set(name) & set('/\\:*?"<>|~\0\n')


def test_a_large_tiff_is_cut_into_tiles(tmp_path: Path) -> None:
    import tifffile

    image = np.zeros((8, 5000), np.uint16)
    record = ProjectWriter(tmp_path).add("a", image, image == 0)
    with tifffile.TiffFile(record.image) as file:
        assert file.pages[0].is_tiled
    assert np.array_equal(read_plane(record.image).data, image)


def test_an_opened_project_is_read_once_and_each_record_is_there_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ProjectWriter(tmp_path / "p").add("first", np.zeros((9, 9), np.uint8), None)
    read: list[Path] = []
    before = index.read_table

    def counted(path: Path) -> index.Table:
        read.append(path)
        return before(path)

    monkeypatch.setattr(project, "read_table", counted)
    with ProjectWriter.opened(tmp_path / "p") as handle:
        for number in range(20):
            name = f"plane {number}"
            assert handle.find(name) is None
            handle.add(name, np.full((9, 9), number, np.uint8), np.ones((9, 9), np.uint8))
            assert f"{name}.png" in (tmp_path / "p/index.csv").read_text()
        handle.keep_only({f"images/plane {number}.png" for number in range(10)})
        handle.annotate(
            "images/plane 3.png",
            np.zeros((9, 9), np.uint8),
            replacing=file_digest(tmp_path / "p/masks/plane 3.png"),
        )
    assert len(read) == 1
    assert len(before(tmp_path / "p/index.csv").rows) == 10
    with ProjectWriter.opened(tmp_path / "p") as handle, pytest.raises(RuntimeError):
        handle.add("more", np.zeros((9, 9), np.uint8), None)
        raise RuntimeError
    assert len(before(tmp_path / "p/index.csv").rows) == 11


def test_what_is_accepted_reads_the_index_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ProjectWriter(tmp_path).add("a", np.zeros((9, 9), np.uint8), None)
    ReviewQueue(tmp_path).propose(
        "images/a.png", np.ones((9, 9), np.uint8), model="m", uncertainty=0.1
    )
    read: list[Path] = []
    before = index.read_table

    def counted(path: Path) -> index.Table:
        read.append(path)
        return before(path)

    monkeypatch.setattr(project, "read_table", counted)
    ReviewQueue(tmp_path).accept("images/a.png")
    assert len(read) == 1


@pytest.mark.slow
def test_a_record_takes_as_long_in_a_large_project_as_in_a_small_one(tmp_path: Path) -> None:
    taken = []
    with ProjectWriter.opened(tmp_path) as handle:
        for number in range(800):
            began = time.process_time()
            values = np.full((16, 16), number % 200, np.uint8)
            handle.add(f"plane {number}", values, values > 3)
            taken.append(time.process_time() - began)
    assert np.median(taken[750:]) < 2 * np.median(taken[25:75])
