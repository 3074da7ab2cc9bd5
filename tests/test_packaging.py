from __future__ import annotations

import email
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_clickseg"
BUNDLED = sorted((PACKAGE / "models" / "bundled").glob("*.safetensors"))

LIST_MENUS = """
import json, sys
import napari

def titles(menu):
    for action in menu.actions():
        if action.menu() is None:
            yield action.text()
        else:
            yield from titles(action.menu())

viewer = napari.Viewer(show=False)
window = viewer.window
menus = {name: list(titles(getattr(window, f"{name}_menu"))) for name in ("plugins", "layers")}
viewer.close()
with open(sys.argv[1], "w") as file:
    json.dump(menus, file)
"""


def run(
    command: Sequence[str | Path], *, timeout: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command away from the checkout and from settings that change what is installed."""
    dropped = ("PYTHON", "PIP_", "VIRTUAL_ENV", "UV_FIND_LINKS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return subprocess.run(
        list(map(str, command)),
        cwd=tempfile.gettempdir(),
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def succeed(command: Sequence[str | Path], *, timeout: float = 120, **environment: str) -> str:
    done = run(command, timeout=timeout, **environment)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel made from that archive."""
    folder = tmp_path_factory.mktemp("dist")
    succeed([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT])
    return folder


@pytest.fixture
def wheel(built: Path) -> Path:
    return next(built.glob("napari_clickseg-*-py3-none-any.whl"))


@pytest.fixture
def sdist(built: Path) -> Path:
    return next(built.glob("napari_clickseg-*.tar.gz"))


@pytest.fixture
def virtual_display() -> list[str]:
    """The words before a command that needs a screen."""
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return []
    if not shutil.which("xvfb-run"):
        pytest.skip("neither a display nor xvfb-run")
    return ["xvfb-run", "-a", "-s", "-screen 0 1280x1024x24"]


def committed_files() -> Iterator[Path]:
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    listed = succeed(["git", "-C", ROOT, "ls-files", "-z"])
    for name in filter(None, listed.split("\0")):
        if (path := ROOT / name).is_file():
            yield path


def committed_texts() -> Iterator[tuple[str, str]]:
    for path in committed_files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield str(path.relative_to(ROOT)), content.decode("utf-8", errors="replace")


def test_the_wheel_holds_all_that_the_plugin_reads_at_run_time(wheel: Path) -> None:
    """Code, manifest, type marker and models: byte for byte what the checkout has."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        expected = [*PACKAGE.rglob("*.py"), *BUNDLED, PACKAGE / "napari.yaml", PACKAGE / "py.typed"]
        for path in expected:
            name = path.relative_to(PACKAGE.parent).as_posix()
            assert name in names
            assert archive.getinfo(name).file_size == path.stat().st_size
        tops = {name.partition("/")[0] for name in names}
        assert {top for top in tops if not top.endswith(".dist-info")} == {PACKAGE.name}
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        assert (
            "napari-clickseg = napari_clickseg:napari.yaml" in archive.read(entry_points).decode()
        )


def test_the_wheel_requires_no_qt_binding(wheel: Path) -> None:
    """The user's napari has one already; a second one in the same process crashes."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    requirements = map(Requirement, metadata.get_all("Requires-Dist", []))
    always = {
        canonicalize_name(requirement.name): requirement.extras
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    assert always["napari"] == set()
    assert not {"pyqt5", "pyqt6", "pyside2", "pyside6"} & set(always)


def test_the_source_archive_holds_tests_documentation_and_the_manifest_at_its_top(
    sdist: Path,
) -> None:
    """The plugin index reads napari.yaml at the top level."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        top = sdist.name.removesuffix(".tar.gz")
        manifest = archive.extractfile(f"{top}/napari.yaml")
        assert manifest is not None
        assert manifest.read() == (PACKAGE / "napari.yaml").read_bytes()
    assert {"src/napari_clickseg/napari.yaml", "tests/test_packaging.py"} <= names
    assert {"docs/architecture.md", "LICENSE", "README.md", "constraints.txt"} <= names
    assert {path.relative_to(ROOT).as_posix() for path in BUNDLED} <= names


def test_the_top_level_manifest_is_a_link_to_the_one_in_the_package() -> None:
    assert (ROOT / "napari.yaml").resolve() == (PACKAGE / "napari.yaml").resolve()


def test_the_plugin_list_has_all_that_it_shows(wheel: Path) -> None:
    """Where to get help, where to report and read, under the names that the list looks for."""
    import npe2

    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
        names = archive.namelist()
    addresses = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL", []))
    wanted = {"Homepage", "Documentation", "Source Code", "Bug Tracker", "User Support"}
    assert wanted <= set(addresses)
    assert all(address.startswith("https://") for address in addresses.values())
    assert "Framework :: napari" in metadata.get_all("Classifier", [])
    assert metadata["Summary"] and metadata["Author"] and metadata["License-Expression"]
    manifest = npe2.PluginManifest.from_file(PACKAGE / "napari.yaml")
    assert {"Annotation", "Segmentation"} <= {category.value for category in manifest.categories}
    module, _, icon = str(manifest.icon).partition(":")
    assert f"{module}/{icon}" in names


def test_the_conda_recipe_asks_for_what_the_package_asks_for(built: Path) -> None:
    import yaml

    make = [sys.executable, ROOT / "tools" / "make_conda_recipe.py", "--dist", built]
    recipe = yaml.safe_load(Path(succeed(make).strip()).read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    run = recipe["requirements"]["run"]
    assert len(run) == len(project["dependencies"]) + 1
    assert {"pytorch >=2.4", "dask-core >=2024.8", "matplotlib-base >=3.9"} <= set(run)
    archive = built / recipe["source"]["url"].rpartition("/")[2]
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == recipe["source"]["sha256"]
    assert run_tagged(make, f"v{project['version']}").returncode == 0
    refused = run_tagged(make, "v99.0.0")
    assert refused.returncode == 2 and "v99.0.0" in refused.stderr


def run_tagged(make: Sequence[str | Path], tag: str) -> subprocess.CompletedProcess[str]:
    return run([*make, "--tag", tag])


@pytest.mark.packaging
@pytest.mark.gui
def test_the_wheel_in_an_empty_environment_shows_the_plugin_in_napari(
    wheel: Path, tmp_path: Path, virtual_display: list[str]
) -> None:
    """What a user gets who installs the plugin, up to the menus of a real viewer."""
    import npe2
    from uv import find_uv_bin

    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    succeed([find_uv_bin(), "venv", "--no-config", "--python", sys.executable, tmp_path / "venv"])
    install = [find_uv_bin(), "pip", "install", "--no-config", "--python", python]
    install += ["--constraint", ROOT / "constraints.txt", f"{wheel}[all]"]
    # The cache that filled this environment can fill the other one too, mostly.
    if run([*install, "--offline"], timeout=600).returncode != 0:
        succeed(install, timeout=600)
    installed_at = succeed([python, "-c", "import napari_clickseg as c; print(c.__file__)"])
    assert Path(installed_at.strip()).is_relative_to(tmp_path / "venv")

    succeed(
        [*virtual_display, python, "-c", LIST_MENUS, tmp_path / "menus.json"],
        NAPARI_CONFIG=str(tmp_path / "settings.yaml"),
    )
    menus = json.loads((tmp_path / "menus.json").read_text())
    manifest = npe2.PluginManifest.from_file(PACKAGE / "napari.yaml")
    widgets = [widget.display_name for widget in manifest.contributions.widgets or []]
    assert "Annotate" in widgets
    for widget in widgets:
        assert any(widget in title for title in menus["plugins"]), menus["plugins"]
    assert any("Annotate" in title for title in menus["layers"]), menus["layers"]


def test_uv_knows_every_option_of_the_commands_in_the_readme() -> None:
    """One that it drops or renames would stop a new user at the first line."""
    commands = re.findall(r"`(uv pip install [^`]+)`", (ROOT / "README.md").read_text())
    assert any("--torch-backend cpu" in command for command in commands)
    for command in commands:
        words = shlex.split(command)[1:]
        succeed([sys.executable, "-m", "uv", *words, "--help"])


def test_menus_are_called_in_the_documents_as_napari_calls_them() -> None:
    """napari calls a plugin's part of each menu by the name in the manifest."""
    import npe2

    manifest = npe2.PluginManifest.from_file(PACKAGE / "napari.yaml")
    parts = manifest.contributions
    there = {
        "Open Sample": [sample.display_name for sample in parts.sample_data or []],
        "Plugins": [widget.display_name for widget in parts.widgets or []],
    }
    arrow, words = "[\u203a\u25b8]", "[^\u203a\u25b8*]+"
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    told = [
        (document.name, *said)
        for document in documents
        for said in re.findall(
            rf"(Open Sample|Plugins) {arrow} ({words}) {arrow} ({words})\*",
            " ".join(document.read_text(encoding="utf-8").split()),
        )
    ]
    assert len(told) > 4
    for document, menu, plugin, entry in told:
        assert plugin == manifest.display_name, document
        assert any(name.startswith(entry) for name in there[menu]), (document, entry)


def test_no_committed_file_names_a_registry() -> None:
    """Where packages come from is for each machine to say."""
    hosts = re.compile(
        r"pypi\.org|pythonhosted\.org|pytorch\.org/whl|anaconda\.(?:org|com)|npmjs\.(?:org|com)",
        re.IGNORECASE,
    )
    files = [
        (name, hit.group()) for name, text in committed_texts() for hit in hosts.finditer(text)
    ]
    assert files == []


def test_no_lock_file_is_committed() -> None:
    locks = re.compile(r".*\.lock|.*-lock\.(?:json|ya?ml)|Pipfile\.lock|pylock\.(?:.*\.)?toml")
    assert [path.name for path in committed_files() if locks.fullmatch(path.name)] == []


def test_no_committed_file_names_a_path_of_this_machine() -> None:
    """A path that only one machine has makes a command fail on every other."""
    here = "|".join(
        re.escape(str(path)) for path in (ROOT, Path.home()) if len(path.resolve().parts) > 1
    )
    paths = re.compile(rf"(?<![\w./-])(?:{here}|/(?:root|home/\w+|Users/\w+))(?=[/\s\"'`)]|$)")
    files = [
        (name, hit.group()) for name, text in committed_texts() for hit in paths.finditer(text)
    ]
    assert files == []


@pytest.mark.parametrize(
    ("module", "kept_out"),
    [
        ("napari_clickseg", "torch segmentation_models_pytorch napari qtpy PyQt6"),
        ("napari_clickseg.core", "torch segmentation_models_pytorch napari qtpy PyQt6"),
        ("napari_clickseg.cli", "napari qtpy PyQt6"),
    ],
)
def test_importing_loads_nothing_heavy(module: str, kept_out: str) -> None:
    """Torch takes seconds to import and Qt needs a screen: only what uses them may load them."""
    script = f"import sys, {module}; print(*sorted({set(kept_out.split())!r} & set(sys.modules)))"
    assert succeed([sys.executable, "-c", script]).strip() == ""


def test_every_name_in_the_manifest_can_be_imported() -> None:
    succeed([sys.executable, "-m", "npe2", "validate", "napari-clickseg", "--imports"])
