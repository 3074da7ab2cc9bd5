"""The page that napari's plugin list makes of the package, by that list's own rules.

They stand in napari's documentation (Customizing your plugin's listing on napari hub): the
package's metadata, the README as the description, and the manifest.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import npe2
import pytest
from markdown_it import MarkdownIt
from packaging.licenses import canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[1]
OURS = "/napari-clickseg/napari-clickseg/"
QT = {"pyqt5", "pyqt6", "pyside2", "pyside6"}


@pytest.fixture
def project() -> dict[str, Any]:
    metadata: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]
    return metadata


@pytest.fixture
def page() -> list[Any]:
    """The README, as a renderer of Markdown takes it; the inner tokens are among the others."""
    tokens = MarkdownIt("commonmark").enable("table").parse((ROOT / "README.md").read_text("utf-8"))
    return [one for token in tokens for one in (token, *(token.children or ()))]


def test_the_metadata_have_all_that_the_list_shows(project: dict[str, Any]) -> None:
    assert "\n" not in project["description"] and 20 < len(project["description"]) < 120
    assert Version(project["version"]) and project["authors"][0]["name"]
    assert canonicalize_license_expression(project["license"]) == project["license"]
    assert (ROOT / project["license-files"][0]).is_file()
    kinds = project["classifiers"]
    assert "Framework :: napari" in kinds, "else it is not listed at all"
    for begins in ("Development Status ::", "Operating System ::", "Topic ::"):
        assert any(kind.startswith(begins) for kind in kinds)
    told = [kind.rpartition(" ")[2] for kind in kinds if re.search(r"Python :: 3\.\d+$", kind)]
    wanted = SpecifierSet(project["requires-python"])
    assert len(told) > 2 and all(wanted.contains(version) for version in told)
    urls = project["urls"]
    assert {"Documentation", "Bug Tracker", "User Support"} <= set(urls)
    assert "github.com" in urls["Homepage"] or "github.com" in urls["Source Code"]
    for line in project["dependencies"]:
        one = Requirement(line)
        assert one.name.lower() not in QT and not (one.name == "napari" and one.extras)


def test_the_readme_is_a_page_by_itself(project: dict[str, Any], page: list[Any]) -> None:
    """The list has only its text: relative links and pictures lead nowhere from there."""
    assert project["readme"] == "README.md"
    headings = [one.tag for one in page if one.type == "heading_open"]
    assert page[0].tag == "h1" and headings.count("h1") == 1, "it becomes the title"
    assert headings.count("h2") >= 4, "they become the links beside it"
    links = [one.attrs["href"] for one in page if one.type == "link_open"]
    images = [(one.attrs["src"], one.content) for one in page if one.type == "image"]
    assert len(links) > 10 and images
    for address in (*links, *(source for source, _ in images)):
        parts = urlsplit(address)
        assert parts.scheme == "https" and parts.netloc, address
        for start in (f"{OURS}blob/main/", f"{OURS}main/"):
            if parts.path.startswith(start):
                assert (ROOT / parts.path.removeprefix(start)).is_file(), address
    for source, text in images:
        assert urlsplit(source).netloc == "raw.githubusercontent.com", source
        assert text, "for whoever does not see it"
    assert any(source.endswith(".gif") for source, _ in images)
    unresolved = [
        one.content for one in page if one.type == "text" and re.search(r"\]\[|\]\(", one.content)
    ]
    assert unresolved == []


def test_the_readme_says_for_whom_it_is_in_words_that_are_searched_for(page: list[Any]) -> None:
    first = next(n for n, one in enumerate(page) if one.tag == "h2")
    begins = " ".join(one.content for one in page[:first] if one.type == "text").lower()
    for word in (
        *("click", "interactive segmentation", "annotation", "microscopy", "medical", "cells"),
        *("3d", "time series", "instance", "fine-tuned", "deep learning"),
        *("labelling", "semi-automatic", "ground truth", "semantic segmentation"),
    ):
        assert word in begins, word
    every = " ".join(one.content for one in page if one.type == "text").lower()
    assert "no telemetry" in every and "no network" in every
    for tool in ("micro-sam", "cellpose", "labelme", "ilastik", "segment anything"):
        assert tool in every, f"whoever looks for {tool} finds what this does beside it"


def test_the_manifest_has_what_the_list_goes_by() -> None:
    manifest = npe2.PluginManifest.from_file(ROOT / "napari.yaml")
    assert manifest.display_name and manifest.is_visible
    assert set(manifest.categories) >= {"Annotation", "Segmentation"}
    parts = manifest.contributions
    for kind in (parts.readers, parts.writers, parts.widgets, parts.sample_data):
        assert kind, "shown as one of its kinds"
    for reader in parts.readers or ():
        assert reader.filename_patterns
