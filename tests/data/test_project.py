"""Which mask belongs to which image."""

import os
import unicodedata

import pytest

from napari_clickseg.data.index import read_table
from napari_clickseg.data.paths import clicks_path
from napari_clickseg.data.project import ProjectError, read_project, read_records


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_index_says_what_belongs_together(tmp_path):
    (tmp_path / "index.csv").write_text(
        "\ufeffimage,mask,group\nimages/a.png,masks/b.png,patient 1\nimages/c.png,masks/c.png,\n"
        "images/unlabelled.png,,patient 2\n",
        encoding="utf-8",
    )
    first, second = read_records(tmp_path)
    assert (first.image, first.mask) == (tmp_path / "images/a.png", tmp_path / "masks/b.png")
    assert (first.name, first.group) == ("images/a.png", "patient 1")
    assert second.group == "images/c.png"


def test_in_a_pair_of_folders_names_belong_together(tmp_path):
    touch(
        *(tmp_path / "images" / name for name in ("b.jpg", "a.tif", "alone.png", ".hidden")),
        *(tmp_path / "masks" / name for name in ("a.png", "b.png", ".hidden")),
    )
    records = read_records(tmp_path)
    assert [record.name for record in records] == ["images/a.tif", "images/b.jpg"]
    assert [record.mask.name for record in records] == ["a.png", "b.png"]
    assert [record.group for record in records] == ["a", "b"]


def test_two_images_of_one_name_are_named(tmp_path):
    touch(tmp_path / "images/a.png", tmp_path / "images/a.tif", tmp_path / "masks/a.png")
    with pytest.raises(ProjectError, match=r"a\.png and a\.tif"):
        read_records(tmp_path)


def test_what_is_no_project_says_what_is_missing(tmp_path):
    with pytest.raises(ProjectError, match="There is no folder"):
        read_records(tmp_path / "none")
    with pytest.raises(ProjectError, match=r"neither an index\.csv nor"):
        read_records(tmp_path)
    (tmp_path / "index.csv").write_text("picture,mask\na,b\n")
    with pytest.raises(ProjectError, match="lacks the column image"):
        read_records(tmp_path)
    (tmp_path / "index.csv").write_text("image,mask\n")
    with pytest.raises(ProjectError, match="no image with a mask"):
        read_records(tmp_path)


def table(folder, text, name="index.csv", encoding="utf-8"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def test_images_without_a_mask_are_listed_apart(tmp_path):
    table(tmp_path, "image,mask,group,split\nimages/a.png,m.png,p,Train\nimages/b.png,,,test\n")
    project = read_project(tmp_path)
    assert [record.name for record in project.records] == ["images/a.png"]
    assert project.records[0].split == "training"
    (rest,) = project.unannotated
    assert (rest.image, rest.name, rest.group, rest.split) == (
        tmp_path / "images/b.png",
        "images/b.png",
        "images/b.png",
        "test",
    )
    assert project.ungrouped == {"images/b.png"}
    assert project.classes is None


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_counts_from_where_it_lies(tmp_path, separator):
    text = "Image, Mask ,group\r\na\\1.png,b/1.png,p\r\n".replace(",", separator)
    path = table(tmp_path / "sub", text, "mine.csv", "utf-8-sig")
    (record,) = read_project(path).records
    assert record.image == tmp_path / "sub/a/1.png"
    assert record.mask == tmp_path / "sub/b/1.png"
    assert record.name == "a/1.png"


def test_clicks_lie_under_the_image_s_name(tmp_path):
    table(tmp_path, "image,mask\nimages/x/a.tif,m\nimages/b.tif,m\nother/c.tif,m\n")
    touch(tmp_path / "clicks/x/a.json", tmp_path / "clicks/other/c.json")
    clicks = [record.clicks for record in read_project(tmp_path).records]
    assert clicks == [tmp_path / "clicks/x/a.json", None, tmp_path / "clicks/other/c.json"]


def test_a_pair_of_folders_is_a_project_even_without_masks(tmp_path):
    touch(*(tmp_path / "images" / name for name in ("b.png", "a.png", "Thumbs.db", ".hidden")))
    project = read_project(str(tmp_path))
    assert [rest.name for rest in project.unannotated] == ["images/a.png", "images/b.png"]
    assert [rest.group for rest in project.unannotated] == ["a", "b"]
    assert project.ungrouped == {"images/a.png", "images/b.png"}
    with pytest.raises(ProjectError, match="no image with a mask"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column image and mask"),
        ("image,mask\n", "holds no image"),
        ("image,mask,split\na,b,sometimes\n", "line 2: the split is 'sometimes'"),
    ],
)
def test_what_a_table_lacks_is_said_in_one_line(tmp_path, text, message):
    table(tmp_path, text)
    with pytest.raises(ProjectError, match=message) as caught:
        read_project(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "index.csv").write_bytes(b"image,mask\n\xff\xfe,b\n")
    with pytest.raises(ProjectError, match="save it as CSV UTF-8"):
        read_project(tmp_path)
    with pytest.raises(ProjectError, match="There is no file"):
        read_project(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("a.png,c.png,,", "a.png is named twice"),
        ("b.png,b.png,,sometimes", "the split is 'sometimes'"),
        ("/,b.png,,", "is a folder"),
        (".,b.png,,", "is a folder"),
        ("images/,b.png,,", "is a folder"),
        ("images,b.png,,", "is a folder"),
        ("b.png,./masks,,", "is a folder"),
        ("images/../../x.png,b.png,,", "leads out of its folder"),
        ("b.png,masks/../../x.png,,", "leads out of its folder"),
        ("b\0.png,b.png,,", "has a character"),
        ("n" * 300 + ".png,b.png,,", "longer than a name"),
    ],
)
def test_a_row_that_can_not_be_is_named_and_left_out_and_stays_in_the_table(tmp_path, row, why):
    path = table(tmp_path, f"image,mask,group,split\na.png,a.png,,\n{row}\n")
    project = read_project(tmp_path)
    assert [record.name for record in project.records] == ["a.png"]
    (text,) = project.left_out
    assert text.startswith("index.csv, line 3: ")
    assert why in text
    assert "\n" not in text and "\0" not in text
    assert read_table(path).text() == path.read_text()


def test_an_image_may_lie_elsewhere_on_purpose(tmp_path):
    touch(tmp_path / "other/a.png", tmp_path / "other/b.png")
    table(tmp_path / "p", f"image,mask\n../other/a.png,\n{tmp_path}/other/b.png,\n")
    project = read_project(tmp_path / "p")
    assert [rest.image.is_file() for rest in project.unannotated] == [True, True]
    for rest in project.unannotated:
        clicks = clicks_path(tmp_path / "p", rest.name)
        assert clicks.parent == tmp_path / "p/clicks"


@pytest.mark.parametrize("name", ["c0.json", "c0.xml", "README.txt", "c0_seg.npy"])
def test_files_of_other_programs_are_named_and_left_out(tmp_path, name):
    touch(tmp_path / "images/c0.png", tmp_path / "masks/c0.png", tmp_path / "images" / name)
    project = read_project(tmp_path)
    assert [record.name for record in project.records] == ["images/c0.png"]
    assert not project.unannotated
    (text,) = project.left_out
    assert name in text
    assert "PNG" in text


def test_masks_that_fit_no_image_are_named(tmp_path):
    touch(*(tmp_path / "images" / name for name in ("a.png", "b.ome.tif", "C.png")))
    touch(*(tmp_path / "masks" / name for name in ("a_masks.tif", "b.tif", "c.png")))
    (text,) = read_project(tmp_path).left_out
    assert all(name in text for name in ("a_masks.tif", "b.tif", "c.png"))
    table(tmp_path, "image,mask\nimages/a.png,masks/a_masks.tif\n")
    new, text = read_project(tmp_path).left_out
    assert "C.png, b.ome.tif" in new and "without a row" in new
    assert "a_masks.tif" not in text
    assert "b.tif" in text


def test_two_images_of_one_stem_hide_no_other_image(tmp_path):
    touch(*(tmp_path / "images" / name for name in ("a.png", "a.tif", "b.png")))
    project = read_project(tmp_path)
    assert [rest.name for rest in project.unannotated] == ["images/b.png"]
    assert all("both a.png and a.tif" in text for text in project.left_out)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_the_same_whichever_way_they_are_written(tmp_path, forms):
    said, there = (unicodedata.normalize(form, "Zelle_ä.png") for form in forms)
    touch(tmp_path / "images" / there, tmp_path / "masks" / there)
    table(tmp_path, f"image,mask\nimages/{said},masks/{said}\n")
    (record,) = read_project(tmp_path).records
    assert record.image.is_file()
    assert record.mask.is_file()
    (tmp_path / "index.csv").unlink()
    (tmp_path / "masks" / there).rename(tmp_path / "masks" / said)
    (record,) = read_project(tmp_path).records
    assert record.mask.is_file()


@pytest.mark.parametrize("name", ["index.csv", "classes.json", "clicks/a.json"])
def test_a_pipe_in_a_project_does_not_hang(tmp_path, name):
    touch(tmp_path / "images/a.png", tmp_path / "masks/a.png", tmp_path / "clicks/b.json")
    os.mkfifo(tmp_path / name)
    try:
        read_project(tmp_path)
    except ProjectError as error:
        assert "\n" not in str(error)


def test_images_without_a_row_are_named_and_left_out(tmp_path):
    touch(*(tmp_path / "images" / f"{name}.png" for name in "abc"), tmp_path / "masks/a.png")
    rows = "image,mask\nimages/a.png,masks/a.png\nimages/b.png,\n"
    table(tmp_path, rows)
    (text,) = read_project(tmp_path).left_out
    assert text == (
        "images/ holds a file (c.png) without a row in index.csv, left out; add a row (image, "
        "mask) for each."
    )
    table(tmp_path, rows + "images/c.png,\n")
    assert read_project(tmp_path).left_out == ()
