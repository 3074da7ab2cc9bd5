"""A project that was packed comes out as it was; a bundle that was tampered with, not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clickseg.data.annotations import ProjectClick, read_clicks
from napari_clickseg.data.bundles import manifest as bundle_manifest
from napari_clickseg.data.bundles import pack as packing
from napari_clickseg.data.bundles import unpack as unpacking
from napari_clickseg.data.bundles.manifest import MANIFEST, BundleError, may_hold
from napari_clickseg.data.bundles.pack import pack
from napari_clickseg.data.bundles.unpack import unpack
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.images import read_single_plane
from napari_clickseg.data.project import ProjectError, Record, read_project
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from collections.abc import Callable

GREY = np.arange(600, dtype=np.uint8).reshape(20, 30)
LABELS = np.repeat(np.arange(6, dtype=np.uint8), 100).reshape(20, 30)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    writer = ProjectWriter(folder)
    cell = ProjectClass(id=1, name="cell", colour="#56B4E9")
    writer.set_classes(ProjectClasses(scheme="instances", classes=(cell,)))
    writer.add("a", GREY, LABELS, group="dish", clicks=[ProjectClick(y=1.5, x=2, object=3)])
    writer.add("b", GREY.astype(np.uint16))
    (folder / "README.md").write_text("Cells.")
    return folder


@pytest.fixture
def bundle(project: Path, tmp_path: Path) -> Path:
    pack(project, tmp_path / "bundle.zip")
    return tmp_path / "bundle.zip"


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


PLACES = ("images/{0}.png", "raw/deep/{0}.tif", "../elsewhere/{0}.png", "{1}/far/{0}.tif",
          "images/{0}.zarr")  # fmt: skip
rows = st.tuples(
    st.sampled_from(PLACES),
    st.sampled_from(["a", "ä", "b~2", "x y"]),
    st.sampled_from(["", "masks/{0}.png", "../elsewhere/masks/{0}.tif"]),
    st.sampled_from(["", "one", "two"]),
    st.sampled_from(["", "training", "test"]),
    st.booleans(),
)


def written(row: tuple[Any, ...], value: int, root: Path) -> str:
    """Write the files of a row of a project in root/p, and return the row."""
    place, name, mask, group, split, clicked = row
    image = place.format(name, root.as_posix())
    path = root / "p" / image
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zarr":
        zarr.save_array(path, np.full((4, 5), value, np.uint8))
    else:
        iio.imwrite(path, np.full((4, 5), value, np.uint8))
    mask = mask.format(name)
    if mask:
        (root / "p" / mask).parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(root / "p" / mask, np.full((4, 5), value + 100, np.uint8))
    if clicked and place.startswith("images"):
        path = root / f"p/clicks/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema_version": 1, "clicks": [{"y": value, "x": 0}]}))
    return f"{image},{mask},{group},{split},{value}\n"


def seen(folder: Path) -> list[tuple[Any, ...]]:
    """Return all that a program makes of a project, wherever its files lie."""
    project = read_project(folder)
    assert not project.left_out
    return [
        (
            read_single_plane(one.image).read_all().tolist(),
            read_single_plane(one.mask).read_all().tolist() if isinstance(one, Record) else None,
            one.group if one.name not in project.ungrouped else "",
            one.split,
            read_clicks(one.clicks).clicks if isinstance(one, Record) and one.clicks else None,
        )
        for one in (*project.records, *project.unannotated)
    ]


@given(st.lists(rows, min_size=1, max_size=5, unique_by=lambda row: row[:2]))
@settings(max_examples=25)
def test_a_project_comes_out_as_it_went_in_and_needs_nothing_from_outside(drawn):
    drawn = list({(place, name): row for row in drawn for place, name in [row[:2]]}.values())
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary).resolve() / "here"
        lines = [written(row, k, root) for k, row in enumerate(drawn)]
        (root / "p").mkdir(parents=True, exist_ok=True)
        (root / "p/index.csv").write_text("image,mask,group,split,mine\n" + "".join(lines))
        before = seen(root / "p")
        packed = pack(root / "p", root / "b.zip")
        assert (packed.images, packed.left_out) == (len(drawn), ())
        shutil.copy(root / "b.zip", there := Path(temporary) / "b.zip")
        shutil.rmtree(root)
        unpack(there, Path(temporary) / "new")
        assert seen(Path(temporary) / "new") == before
        own = [line.rpartition(",")[2] for line in lines]
        table = (Path(temporary) / "new/index.csv").read_text().splitlines()[1:]
        assert [line.rpartition(",")[2] for line in table] == [o.strip() for o in own]


def test_all_of_a_project_comes_along_as_it_is(project, bundle, tmp_path):
    came = unpack(bundle, tmp_path / "deep/new")
    assert contents(came.folder) == contents(project)
    assert (came.images, came.masks) == (2, 1)


def test_a_project_without_a_table_needs_none_afterwards(tmp_path):
    for name in ("images/a.png", "masks/a.png", "images/b.png"):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(tmp_path / "p" / name, GREY)
    pack(tmp_path / "p", tmp_path / "b.zip")
    unpack(tmp_path / "b.zip", tmp_path / "q")
    assert contents(tmp_path / "q") == contents(tmp_path / "p")


def test_predictions_come_along_unless_they_are_left_out(project, tmp_path):
    queue = ReviewQueue(project)
    queue.propose("images/b.tif", LABELS, model="0" * 64, uncertainty=0.5)
    pack(project, tmp_path / "with.zip")
    pack(project, tmp_path / "without.zip", predictions=False)
    came = ReviewQueue(unpack(tmp_path / "with.zip", tmp_path / "with").folder)
    assert came.waiting() == queue.waiting()
    folder = unpack(tmp_path / "without.zip", tmp_path / "without").folder
    assert not (folder / "predictions").exists()


def test_models_and_runs_come_along_and_what_would_be_unpickled_stays(project, tmp_path):
    run = tmp_path / "first"
    (run / "previews").mkdir(parents=True)
    for name in ("spec.json", "events.jsonl", "previews/a.png", "best.safetensors"):
        (run / name).write_bytes(b"{}")
    (run / "report.md").write_text("# Report\n<script>alert(1)</script>")
    (run / "report.html").write_text("<script>alert(1)</script>")
    (run / "last.ckpt").write_bytes(b"\x80")
    packed = pack(project, tmp_path / "b.zip", models={"m": run / "best.safetensors"}, runs=[run])
    assert "last.ckpt, report.html" in packed.left_out[0]
    assert "not resumed" in packed.left_out[0]
    came = unpack(tmp_path / "b.zip", tmp_path / "new")
    assert came.models == (tmp_path / "new/models/m.safetensors",)
    assert came.runs == (tmp_path / "new/runs/first",)
    assert set(contents(came.runs[0])) == set(contents(run)) - {"last.ckpt"}
    assert "<script>" not in (came.runs[0] / "report.html").read_text()  # made anew of the text


def test_what_cant_come_along_is_named(project, tmp_path):
    with (project / "index.csv").open("a") as table:
        table.write("images/gone.png,,,\nimages/l.png,,,\nimages/x.exe,,,\n")
    (project / "images/x.exe").write_bytes((project / "images/a.png").read_bytes())
    (project / "images/l.png").symlink_to("/etc/passwd")
    (project / "clicks/a.json").unlink()
    (project / "clicks/a.json").symlink_to("/etc/passwd")
    (project / "LICENSE").symlink_to("/etc/passwd")
    packed = pack(project, tmp_path / "b.zip")
    text = " ".join(packed.left_out)
    assert "images/x.exe is not called as images are" in text
    assert "there is no images/gone.png" in text
    assert "images/l.png lies outside of the project, and is no image" in text
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert not any(b"root:" in archive.read(name) for name in archive.namelist())


def test_an_image_without_an_ending_gets_one_by_which_it_is_known(tmp_path):
    folder = tmp_path / "p"
    (folder / "images").mkdir(parents=True)
    (folder / "images/1.2.840").write_bytes(bytes(128) + b"DICM" + bytes(300))
    (folder / "index.csv").write_text("image,mask\nimages/1.2.840,\n")
    assert pack(folder, tmp_path / "b.zip").images == 1
    came = unpack(tmp_path / "b.zip", tmp_path / "new").folder
    assert "images/1.2.840.dcm" in contents(came)


def test_a_bundle_that_is_there_is_kept_unless_asked_otherwise(project, bundle):
    before = bundle.read_bytes()
    with pytest.raises(BundleError, match="is there already"):
        pack(project, bundle)
    assert bundle.read_bytes() == before
    pack(project, bundle, overwrite=True)


# What a stranger, a bad connection or a full disk does to a bundle.


def changed(
    bundle: Path,
    files: dict[str, bytes] | None = None,
    edit: Callable[[dict[str, Any]], None] = lambda manifest: None,
    mode: int = 0o644,
    *,
    named: bool = True,
) -> Path:
    """Write the bundle anew with more files in it, which its manifest names if `named`."""
    import hashlib

    with zipfile.ZipFile(bundle) as archive:
        held = {name: archive.read(name) for name in archive.namelist()} | (files or {})
    manifest = json.loads(held.pop(MANIFEST))
    for name, data in (files or {}).items():
        if named:
            digest = hashlib.sha256(data).hexdigest()
            manifest["files"][name] = {"length": len(data), "sha256": digest}
    edit(manifest)
    held[MANIFEST] = json.dumps(manifest).encode()
    out = bundle.with_name("changed.zip")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in held.items():
            about = zipfile.ZipInfo(name)
            about.external_attr = (mode if name in (files or {}) else 0o644) << 16
            archive.writestr(about, data, zipfile.ZIP_DEFLATED)
    return out


NOWHERE = ("../evil.png", "/tmp/evil.png", "images/../../evil.png", "a\\..\\evil.png", ".lock",
           ".unfinished.json", "images/.partial-x.png", "runs/r/last.ckpt", "models/m.pt",
           "runs/r/report.html", "evil.py", "clicks/evil.pkl", "images/a.zarr/evil.py",
           "images//evil.png", "./evil.png", "images/e\nvil.png")  # fmt: skip


@pytest.mark.parametrize("name", NOWHERE)
def test_nothing_goes_where_no_project_has_it(bundle, tmp_path, name):
    assert not may_hold(name)
    with pytest.raises(BundleError, match="which no bundle may"):
        unpack(changed(bundle, {name: b"1"}), tmp_path / "new")
    assert left_in(tmp_path) == {"mine", "bundle.zip", "changed.zip"}


def emptied(manifest: dict[str, Any]) -> None:
    manifest["files"]["README.md"]["sha256"] = "0" * 64


def newer(manifest: dict[str, Any]) -> None:
    manifest["schema_version"] = 2


TAMPERED = {
    "a link": (lambda b: changed(b, {"images/l.png": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777),
               "a link or no file"),
    "not named": (lambda b: changed(b, {"images/l.png": b"1"}, named=False), "was added to by"),
    "a wrong sum": (lambda b: changed(b, edit=emptied), r"README\.md was changed or damaged"),
    "a file less": (lambda b: changed(b, edit=lambda m: m["files"].update(
        {"images/z.png": {"length": 1, "sha256": "0" * 64}})), "lacks images/z.png"),
    "a newer one": (lambda b: changed(b, edit=newer), "schema_version.*update napari-clickseg"),
    "reads outside": (lambda b: changed(b, {"index.csv": b"image,mask\n/etc/passwd,\n"}),
                      "names /etc/passwd, which is not in it"),
    "no image": (lambda b: changed(b, {"index.csv": b"image,mask\n"}), "holds no image"),
    "a bad table": (lambda b: changed(b, {"index.csv": b"x\n"}), "lacks the column image"),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_tampered_with_is_refused_in_a_line_and_leaves_nothing(bundle, tmp_path, how):
    tamper, message = TAMPERED[how]
    with pytest.raises(BundleError, match=message) as caught:
        unpack(tamper(bundle), tmp_path / "new")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / ".partial") not in str(caught.value)
    assert left_in(tmp_path) == {"mine", "bundle.zip", "changed.zip"}


def test_no_zip_and_a_file_cut_short_are_refused_wherever_it_is_cut(bundle, tmp_path):
    whole = bundle.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        bundle.write_bytes(whole[:length])
        with pytest.raises(BundleError, match="cut short or damaged"):
            unpack(bundle, tmp_path / "new")
    with pytest.raises(BundleError, match="No such file"):
        unpack(tmp_path / "none.zip", tmp_path / "new")
    assert left_in(tmp_path) == {"mine", "bundle.zip"}


def test_a_flipped_bit_is_noticed_or_changes_nothing(project, bundle, tmp_path):
    whole, before = bundle.read_bytes(), contents(project)
    rng = np.random.default_rng(0)
    for at in rng.choice(len(whole), 150, replace=False):
        broken = bytearray(whole)
        broken[at] ^= 1 << int(rng.integers(8))
        bundle.write_bytes(broken)
        try:
            came = unpack(bundle, tmp_path / "new")
        except BundleError:
            assert left_in(tmp_path) == {"mine", "bundle.zip"}
        else:
            assert contents(came.folder) == before
            shutil.rmtree(came.folder)


def test_what_would_fill_the_disk_is_refused_before_anything_is_written(
    bundle, tmp_path, monkeypatch
):
    bomb = changed(bundle, {"images/z.png": bytes(10**6)})
    monkeypatch.setattr(bundle_manifest, "_ANY_RATIO", 1000)
    with pytest.raises(BundleError, match="far more than its length explains"):
        unpack(bomb, tmp_path / "new")
    monkeypatch.undo()
    nearly_full = shutil._ntuple_diskusage(10**9, 10**9 - 100, 100)
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda path: nearly_full)
    with pytest.raises(BundleError, match="100 bytes left; make room"):
        unpack(bundle, tmp_path / "new")
    assert left_in(tmp_path) == {"mine", "bundle.zip", "changed.zip"}


def test_a_length_that_is_a_lie_lets_no_more_out_than_it_says(bundle, tmp_path):
    """The directory of a zip file, which says how long files become, may be wrong on purpose."""
    short = changed(bundle, {"images/z.png": bytes(10**6)}, edit=lambda m: m["files"].update(
        {"images/z.png": {"length": 10, "sha256": "0" * 64}}))  # fmt: skip
    data = short.read_bytes()
    short.write_bytes(data.replace((10**6).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(BundleError, match=r"images/z\.png was changed|cut short or damaged"):
        unpack(short, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_is_packed_can_always_be_unpacked(project, tmp_path, monkeypatch):
    """Also where it is so empty that its bundle would look like one that fills a disk."""
    iio.imwrite(project / "images/b.tif", np.zeros((2000, 2000), np.uint16))
    monkeypatch.setattr(bundle_manifest, "_ANY_RATIO", 1000)
    pack(project, tmp_path / "b.zip")
    assert contents(unpack(tmp_path / "b.zip", tmp_path / "new").folder) == contents(project)


def test_a_folder_with_something_in_it_is_left_alone(bundle, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "full")
    (tmp_path / "empty").mkdir()
    for name in ("full", "link", "full/mine.txt"):
        with pytest.raises(BundleError, match="is there already"):
            unpack(bundle, tmp_path / name)
    assert contents(tmp_path / "full") == {"mine.txt": b"mine"}
    assert unpack(bundle, tmp_path / "empty").images == 2


def test_a_disk_that_fills_up_leaves_nothing_behind(project, bundle, tmp_path, monkeypatch):
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(unpacking, "_check_project", full)  # all is written by then
    with pytest.raises(BundleError, match="no room left"):
        unpack(bundle, tmp_path / "a/new")
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr(packing, "_add", full)
    with pytest.raises(BundleError, match="no room left"):
        pack(project, tmp_path / "b/other.zip")
    assert left_in(tmp_path) == {"mine", "bundle.zip", "b"}
    assert not left_in(tmp_path / "b")
    with pytest.raises(ProjectError, match="There is no folder"):
        pack(tmp_path / "none", tmp_path / "other.zip")
    assert not (tmp_path / "none").exists()


def test_what_an_unpacking_that_was_killed_left_goes_with_the_next_one(bundle, tmp_path):
    left = tmp_path / ".partial-other-1-1-x.unpacking"
    (left / "images").mkdir(parents=True)
    os.utime(left, (0, 0))
    unpack(bundle, tmp_path / "new")
    assert left_in(tmp_path) == {"mine", "bundle.zip", "new"}
