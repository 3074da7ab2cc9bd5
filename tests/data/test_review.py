"""Predictions wait in a queue until they become masks; nothing that is annotated is touched."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import ProjectClick, read_clicks
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.errors import AnnotatedError
from napari_clickseg.data.masks import file_digest, read_labels
from napari_clickseg.data.project import ProjectError, read_project
from napari_clickseg.data.review import ACCEPTED, REJECTED, TO_REVIEW, ReviewQueue
from napari_clickseg.data.review_table import TABLE, Review, append_review, read_reviews
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = np.arange(600, dtype=np.uint8).reshape(20, 30)
LABELS = np.zeros((20, 30), np.int64)
LABELS[3:9, 4:12] = 2


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one annotated image, and three others, of two groups."""
    writer = ProjectWriter(tmp_path / "project")
    writer.set_classes(
        ProjectClasses(scheme="classes", classes=(ProjectClass(id=2, name="b", colour="#0000ff"),))
    )
    writer.add("done", IMAGE, LABELS, group="one")
    for name in "abc":
        writer.add(name, IMAGE, None, group="two", split="training")
    return tmp_path / "project"


@pytest.fixture
def queue(project: Path) -> ReviewQueue:
    return ReviewQueue(project)


def propose(queue: ReviewQueue, **uncertainties: float) -> None:
    for name, value in uncertainties.items():
        queue.propose(f"images/{name}.png", LABELS, model="m", uncertainty=value)


def names(queue: ReviewQueue) -> list[str]:
    return [review.image.removeprefix("images/")[0] for review in queue.waiting()]


def test_the_most_uncertain_comes_first_and_ties_go_by_name(queue: ReviewQueue) -> None:
    assert queue.waiting() == ()
    propose(queue, c=0.25, b=0.25, a=0.5)
    assert names(queue) == ["a", "b", "c"]
    propose(queue, c=0.75)
    assert names(queue) == ["c", "a", "b"]


def test_a_prediction_is_not_a_mask(queue: ReviewQueue, project: Path) -> None:
    before = sorted(path.name for path in (project / "masks").iterdir())
    propose(queue, a=0.5)
    assert sorted(path.name for path in (project / "masks").iterdir()) == before
    assert len(read_project(project).records) == 1
    review = queue.waiting()[0]
    assert (read_labels(queue.path(review)) == LABELS).all()
    shown = iio.imread(queue.path(review), plugin="pillow", mode="RGB")
    assert tuple(shown[5, 5]) == (0, 0, 255), "in the colour of its class"


def test_accepted_labels_become_the_mask_and_all_else_of_the_record_stays(
    queue: ReviewQueue, project: Path
) -> None:
    propose(queue, a=0.5, b=0.4)
    files = {path: path.read_bytes() for path in (project / "images").iterdir()}
    record = queue.accept("images/a.png")
    assert (read_labels(record.mask) == LABELS).all()
    assert (record.name, record.group, record.split) == ("images/a.png", "two", "training")
    assert record in read_project(project).records
    assert {path: path.read_bytes() for path in (project / "images").iterdir()} == files
    assert names(queue) == ["b"]
    assert queue.reviews()["images/a.png"].state == ACCEPTED
    assert (project / "predictions" / "a.png").exists(), "it may be taken back"


def test_corrected_labels_and_their_clicks_are_what_is_kept(queue: ReviewQueue) -> None:
    propose(queue, a=0.5)
    click = ProjectClick(y=1, x=2, object=1)
    record = queue.accept("images/a.png", LABELS > 0, clicks=[click], object_classes={1: 2})
    assert (read_labels(record.mask) == (LABELS > 0)).all()
    assert record.clicks is not None
    assert read_clicks(record.clicks).clicks == (click,)


def test_an_accepted_prediction_of_nothing_says_that_there_is_nothing(
    queue: ReviewQueue, project: Path
) -> None:
    queue.propose("images/a.png", LABELS * 0, model="m", uncertainty=0.1)
    record = queue.accept("images/a.png")
    assert record in read_project(project).records
    assert not read_labels(record.mask).any()


def test_a_rejected_image_is_not_annotated(queue: ReviewQueue, project: Path) -> None:
    propose(queue, a=0.5)
    assert queue.reject("images/a.png").state == REJECTED
    assert queue.waiting() == ()
    assert "images/a.png" in [one.name for one in read_project(project).unannotated]


def test_what_was_accepted_or_rejected_can_be_taken_back(queue: ReviewQueue, project: Path) -> None:
    propose(queue, a=0.5, b=0.4)
    index = (project / "index.csv").read_bytes()
    click = ProjectClick(y=1, x=2, object=1)
    record = queue.accept("images/a.png", LABELS > 0, clicks=[click])
    queue.reject("images/b.png")
    assert names(queue) == []
    queue.take_back("images/b.png")
    queue.take_back("images/a.png", replacing=file_digest(record.mask))
    assert names(queue) == ["a", "b"], "in the order that they had"
    assert (read_labels(queue.path(queue.waiting()[0])) == LABELS).all(), "the prediction's"
    assert not record.mask.exists() and not any((project / "clicks").glob("*"))
    assert (project / "index.csv").read_bytes() == index
    assert (read_labels(queue.accept("images/a.png").mask) == LABELS).all()


def test_without_its_prediction_the_mask_is_what_is_reviewed_again(queue: ReviewQueue) -> None:
    propose(queue, a=0.5)
    record = queue.accept("images/a.png", LABELS > 0)
    queue.path(queue.reviews()["images/a.png"]).unlink()
    review = queue.take_back("images/a.png", replacing=file_digest(record.mask))
    assert (read_labels(queue.path(review)) == (LABELS > 0)).all()


def test_a_mask_from_elsewhere_is_not_taken_back(queue: ReviewQueue, project: Path) -> None:
    propose(queue, a=0.5)
    record = queue.accept("images/a.png")
    digest = file_digest(record.mask)
    ProjectWriter(project).annotate("images/a.png", LABELS > 0, replacing=digest)
    with pytest.raises(AnnotatedError, match="another mask"):
        queue.take_back("images/a.png", replacing=digest)
    assert (read_labels(record.mask) == (LABELS > 0)).all()
    with pytest.raises(ProjectError, match="nothing of it"):
        queue.take_back("images/b.png")


def test_a_mask_that_is_there_is_never_replaced(queue: ReviewQueue, project: Path) -> None:
    propose(queue, a=0.5)
    ProjectWriter(project).add("a", IMAGE, LABELS // 2)
    assert queue.waiting() == (), "annotated by hand in the meantime"
    with pytest.raises(ProjectError, match=r"a\.png is annotated already"):
        queue.accept("images/a.png")
    mask = next(one for one in read_project(project).records if one.name == "images/a.png").mask
    assert (read_labels(mask) == LABELS // 2).all()


def test_a_mask_that_the_index_does_not_know_is_kept(queue: ReviewQueue, project: Path) -> None:
    (project / "masks" / "a.png").write_bytes(b"mine")
    propose(queue, a=0.5)
    assert queue.accept("images/a.png").mask.name == "a~2.png"
    assert (project / "masks" / "a.png").read_bytes() == b"mine"


def test_only_what_waits_can_be_accepted_or_rejected(queue: ReviewQueue) -> None:
    propose(queue, a=0.5)
    queue.reject("images/a.png")
    for image, text in (("images/a.png", "was rejected"), ("images/b.png", "has no prediction")):
        for act in (queue.accept, queue.reject):
            with pytest.raises(ProjectError, match=text):
                act(image)
    with pytest.raises(ProjectError, match="no image images/none"):
        queue.propose("images/none.png", LABELS, model="m", uncertainty=0)


def test_labels_of_another_size_are_refused_and_nothing_is_changed(queue: ReviewQueue) -> None:
    propose(queue, a=0.5)
    with pytest.raises(ProjectError, match="same size"):
        queue.accept("images/a.png", LABELS[1:])
    assert names(queue) == ["a"]


def test_a_prediction_whose_file_is_gone_or_broken_is_not_accepted(queue: ReviewQueue) -> None:
    propose(queue, a=0.5, b=0.5)
    queue.path(queue.waiting()[0]).unlink()
    queue.path(queue.waiting()[0]).write_bytes(b"no picture")
    assert names(queue) == ["b"]
    with pytest.raises(ImageError, match=r"b\.png"):
        queue.accept("images/b.png")


def test_a_new_prediction_of_another_kind_takes_the_place_of_the_old_one(
    queue: ReviewQueue, project: Path
) -> None:
    propose(queue, a=0.5)
    queue.propose("images/a.png", LABELS * 200, model="m", uncertainty=0.5)
    assert [path.name for path in (project / "predictions").iterdir() if path.suffix != ".csv"] == [
        "a.tif"
    ]
    assert (read_labels(queue.path(queue.waiting()[0])) == LABELS * 200).all()


def test_images_of_one_name_have_predictions_of_their_own(tmp_path: Path) -> None:
    rows = ["image,mask"]
    for path in ("one/a.png", "two/A.png"):
        (tmp_path / path).parent.mkdir()
        iio.imwrite(tmp_path / path, IMAGE)
        rows.append(f"{path},")
    (tmp_path / "index.csv").write_text("\n".join(rows))
    queue = ReviewQueue(tmp_path)
    for number, image in enumerate(("one/a.png", "two/A.png"), 1):
        queue.propose(image, np.full((20, 30), number), model="m", uncertainty=0.5)
    assert [read_labels(queue.path(one)).max() for one in queue.waiting()] == [1, 2]
    assert queue.accept("two/A.png").mask.parent == tmp_path / "masks"
    assert [one.image for one in queue.waiting()] == ["one/a.png"]


@given(st.data())
def test_whatever_a_killed_process_left_of_its_row_the_others_are_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("table") / "review.csv"
    text = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)
    images = data.draw(st.lists(text, min_size=3, max_size=3, unique=True))
    first, cut, last = (Review(image, "predictions/a.png", "m", 0.5) for image in images)
    append_review(path, first)
    size = path.stat().st_size
    append_review(path, cut)
    with path.open("r+b") as file:
        file.truncate(data.draw(st.integers(size, path.stat().st_size - 1)))
    append_review(path, last)
    assert {first.image, last.image} <= set(read_reviews(path)) <= set(images)


def test_rows_of_many_threads_are_all_there(project: Path) -> None:
    queues = [ReviewQueue(project) for _ in range(3)]

    def work(queue: ReviewQueue, name: str) -> None:
        for value in range(20):
            propose(queue, **{name: value / 20})

    threads = [threading.Thread(target=work, args=pair) for pair in zip(queues, "abc", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (project / TABLE).read_text().splitlines()
    assert len([line for line in lines if TO_REVIEW in line]) == 60
    assert [review.uncertainty for review in queues[0].waiting()] == [0.95] * 3


PROPOSING = """
import sys
import numpy as np
from napari_clickseg.data.review import ReviewQueue
queue = ReviewQueue(sys.argv[1])
for value in range(20):
    labels = np.full((20, 30), value, np.uint8)
    queue.propose(sys.argv[2], labels, model="m", uncertainty=value / 20)
"""


def test_rows_of_several_programs_are_all_there(project: Path) -> None:
    there = [f"images/{name}.png" for name in "abc"]
    programs = [
        subprocess.Popen([sys.executable, "-c", PROPOSING, str(project), name]) for name in there
    ]
    assert [program.wait(120) for program in programs] == [0, 0, 0]
    rows = (project / TABLE).read_text().splitlines()[1:]
    assert sorted(row.split(",")[0] for row in rows) == sorted(there * 20)
    queue = ReviewQueue(project)
    assert [review.uncertainty for review in queue.waiting()] == [0.95] * 3
    assert all((read_labels(queue.path(review)) == 19).all() for review in queue.waiting())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,age\na,3\n", "lacks the columns"),
        ("{head}\na,predictions/a.png,m,0.5,to review,now,2\n", "version 2"),
        ("\xff", "lacks the columns"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(
    queue: ReviewQueue, project: Path, text: str, message: str
) -> None:
    propose(queue, a=0.5)
    head = (project / TABLE).read_text().splitlines()[0]
    (project / TABLE).write_bytes(text.format(head=head).encode("latin-1") + b"\n")
    with pytest.raises(ProjectError, match=message):
        queue.waiting()


def test_a_name_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="line break"):
        append_review(tmp_path / "t.csv", Review("a\nb", "predictions/a.png", "m", 0.5))


def test_a_full_disk_leaves_the_table_as_it_was(
    queue: ReviewQueue, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(queue, a=0.5)
    before = (project / TABLE).read_bytes()

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            return self.file.write(data[:5])

    opened = type(project).open
    with monkeypatch.context() as patch:
        patch.setattr(
            type(project),
            "open",
            lambda path, mode="r", *a, **k: (
                Full(opened(path, mode, *a, **k)) if mode == "a+b" else opened(path, mode, *a, **k)
            ),
        )
        with pytest.raises(ProjectError, match="no room left"):
            propose(queue, b=0.5)
    assert (project / TABLE).read_bytes() == before
    assert names(queue) == ["a"]


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no folder"):
        ReviewQueue(tmp_path / "none")
    with pytest.raises(ProjectError, match=r"neither an index\.csv"):
        ReviewQueue(tmp_path)


def test_a_rejected_image_can_be_accepted_with_labels_made_by_hand(queue: ReviewQueue) -> None:
    propose(queue, a=0.5)
    queue.reject("images/a.png")
    record = queue.accept("images/a.png", LABELS)
    assert (read_labels(record.mask) == LABELS).all()
    assert queue.reviews()["images/a.png"].state == ACCEPTED


def test_an_accepted_mask_is_corrected_only_by_who_has_seen_it(
    queue: ReviewQueue, project: Path
) -> None:
    propose(queue, a=0.5)
    click = ProjectClick(y=1, x=2, object=2)
    seen = queue.accept("images/a.png", clicks=[click]).mask
    digest = file_digest(seen)
    assert queue.accept("images/a.png", LABELS // 2, replacing=digest).mask == seen
    assert (read_labels(seen) == LABELS // 2).all()
    assert not list((project / "clicks").iterdir()), "they were of another mask"
    with pytest.raises(AnnotatedError, match=r"its mask masks/a\.png is kept"):
        queue.accept("images/a.png", LABELS, replacing=digest)
    assert (read_labels(seen) == LABELS // 2).all()
    large = queue.accept("images/a.png", LABELS * 200, replacing=file_digest(seen)).mask
    assert large.suffix == ".tif" and not seen.exists()
    assert len(read_project(project).records) == 2


@pytest.mark.parametrize(
    "row",
    [
        "a,../a.png,m,0.5,to review,now,1",
        "a,predictions/../../a.png,m,0.5,to review,now,1",
        "a,predictions/a.png,m,nan,to review,now,1",
        "a,predictions/a.png,m,1e300,to review,now,1",
        "a,predictions/a.png,m,high,to review,now,1",
        "a,predictions/a.png,m,0.5,liked,now,1",
        "a,predictions/a\0.png,m,0.5,to review,now,1",
        f"{'a' * 200_000},predictions/a.png,m,0.5,to review,now,1",
    ],
)
def test_a_row_that_makes_no_sense_is_named_and_hides_no_other(
    queue: ReviewQueue, project: Path, row: str
) -> None:
    propose(queue, a=0.5, b=0.4)
    with (project / TABLE).open("a") as file:
        file.write(f"{row}\n")
    assert len(queue.waiting()) == 2
    (problem,) = queue.problems()
    assert "line 4: the row makes no sense" in problem
    queue.accept("images/a.png")
    assert [review.image for review in queue.waiting()] == ["images/b.png"]


def test_nothing_is_written_or_removed_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.png").write_bytes(b"kept")
    folder = tmp_path / "project"
    (folder / "images").mkdir(parents=True)
    iio.imwrite(folder / "images/a.png", np.zeros((20, 30), np.uint8))
    for name in ("masks", "clicks", "predictions"):
        (folder / name).symlink_to(outside)
    with pytest.raises(ProjectError, match="leads out of the project"):
        ReviewQueue(folder).propose(
            "images/a.png", np.ones((20, 30), np.uint8), model="m", uncertainty=0.1
        )
    with pytest.raises(ProjectError, match="leads out of the project"):
        ProjectWriter(folder).annotate("images/a.png", np.ones((20, 30), np.uint8))
    assert [path.name for path in outside.iterdir()] == ["kept.png"]
    assert (outside / "kept.png").read_bytes() == b"kept"


def test_a_table_that_is_a_link_is_neither_read_nor_written(
    queue: ReviewQueue, project: Path, tmp_path: Path
) -> None:
    propose(queue, a=0.5)
    other = tmp_path / "other.csv"
    (project / TABLE).rename(other)
    (project / TABLE).symlink_to(other)
    before = other.read_bytes()
    with pytest.raises(ProjectError, match="is a link"):
        queue.waiting()
    with pytest.raises(ProjectError, match="is a link"):
        propose(queue, b=0.5)
    assert other.read_bytes() == before
