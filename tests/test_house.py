"""The tree stays one in which whoever opens it finds the room for a change."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "napari_clickseg"
MODULES = sorted(SOURCE.rglob("*.py"))
ALL = [p for d in ("src", "tools", "benchmarks", "default_model")
       for p in sorted((ROOT / d).rglob("*.py"))]  # fmt: skip
MOST_LINES, MOST_MODULES = 600, 18

# What a file is about where its name comes back in another folder.
ROLES = {
    "begin.py": "what is checked and written before long work begins",
    "choices.py": "what can be chosen",
    "classes.py": "classes of a project; of an annotation",
    "clicks.py": "clicks as values; in a cross-fitting",
    "controller.py": "what happens in a widget",
    "events.py": "lines of the log of long work; of a journal",
    "figures.py": "figures worked out of measurements",
    "folder.py": "the folder of long work",
    "form_context.py": "what the forms of a widget work with",
    "images.py": "images in files; in layers",
    "jobs.py": "what a widget has done on worker threads",
    "losses.py": "losses by name; of clicks",
    "masks.py": "masks as values; in files",
    "measure.py": "measuring models on images",
    "metrics.py": "metrics by name; of masks",
    "plots.py": "pictures of figures",
    "predicting.py": "predictions of many images",
    "previews.py": "predictions on validation images, in files; in layers",
    "progress.py": "what is known of long work, as one frozen value",
    "project.py": "a project, read; clicks of one",
    "reader.py": "following long work; opening a project",
    "report.py": "a report in Markdown",
    "samples.py": "samples to learn from; sample data",
    "settings.py": "the user's settings",
    "source.py": "where an image, or a project, comes from",
    "spec.py": "what long work needs to know, as JSON",
    "state.py": "what a widget shows",
    "task.py": "what the loop of training asks of a task",
    "text.py": "words for people",
    "widget.py": "a dock widget",
}


def test_no_file_is_longer_than_can_be_read_at_once() -> None:
    long = {
        str(path.relative_to(ROOT)): n
        for path in ALL
        if (n := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert not long, f"more than {MOST_LINES} lines"


def test_no_folder_holds_more_modules_than_can_be_looked_over() -> None:
    counts: dict[str, int] = defaultdict(int)
    for path in MODULES:
        counts[str(path.parent.relative_to(SOURCE))] += path.name != "__init__.py"
    assert not {name: n for name, n in counts.items() if n > MOST_MODULES}


def test_the_package_holds_nothing_but_folders_and_its_interface() -> None:
    assert [path.name for path in SOURCE.glob("*.py")] == ["__init__.py"]


def test_files_of_one_name_have_one_role() -> None:
    names = [path.name for path in MODULES if path.name != "__init__.py"]
    again = {name for name in names if names.count(name) > 1}
    assert again <= ROLES.keys(), "say its role in ROLES, or find another name"


def test_a_class_name_means_one_thing() -> None:
    homes: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].add(module)
    again = {name: modules for name, modules in homes.items() if len(modules) > 1}
    assert not again


def test_tests_mirror_the_source() -> None:
    """Each folder of tests stands for one of the source: what it is about is found by its path."""
    names = {"napari": "_napari", "qt": "_qt"}
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        parts = [names.get(part, part) for part in folder.parts]
        there = (SOURCE.joinpath(*parts), ROOT.joinpath(*parts))
        assert any(place.is_dir() for place in there), f"{path} mirrors no folder"
