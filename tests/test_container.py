"""The container's steps are scripts; what can be run of them without Docker is run here."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
import tomllib
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[1]
DESKTOP = ROOT / "tools" / "desktop.sh"
SETUP = ROOT / "tools" / "setup.sh"
TOOLS = ("Xvnc", "openbox", "websockify")

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
needs_desktop = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason="tools/setup.sh desktop was not run"
)


def _copied() -> list[str]:
    text = (ROOT / "Dockerfile").read_text()
    return [one for line in re.findall(r"^COPY (.+)$", text, re.M) for one in line.split()[:-1]]


def test_what_the_image_copies_is_there_and_is_let_in() -> None:
    let_in = (ROOT / ".dockerignore").read_text().split()
    for path in _copied():
        assert (ROOT / path).exists(), path
        assert f"!{path}" in let_in, path


def test_the_stages_that_are_offered_exist() -> None:
    stages = set(re.findall(r"^FROM .* AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.M))
    offered = re.findall(r"STAGE=(\w+)", (ROOT / "docs" / "container.md").read_text())
    assert set(offered) == {"cli", "desktop"} <= stages


def test_the_image_has_all_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (installed,) = re.findall(r"^readonly EXTRAS=(.+)$", SETUP.read_text(), re.M)
    # `all` is napari with a Qt binding, which QT chooses.
    assert installed.split(",") == sorted(project["optional-dependencies"].keys() - {"all"})


@needs_bash
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PORT": "80000"}, "PORT is 1 to 65535"),
        ({"PORT": "web"}, "PORT is 1 to 65535"),
        ({"PATH": "/usr/bin:/bin", "NOVNC": "/nowhere"}, "missing|no vnc.html"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(environment: dict[str, str], said: str) -> None:
    done = subprocess.run(
        ["bash", DESKTOP, "true"],
        env={"PATH": "/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(rf"desktop: .*({said}).*\n", done.stderr), done.stderr


@needs_desktop
def test_a_browser_finds_the_screen_and_nothing_stays_behind() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        ["bash", DESKTOP, "sleep", "600"],
        env={"PATH": "/usr/bin:/bin", "PORT": f"{port}"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as script:
        try:
            assert script.stdout is not None
            assert f"http://localhost:{port}/vnc.html" in script.stdout.readline()
            with urlopen(f"http://127.0.0.1:{port}/vnc.html", timeout=30) as answer:
                assert b"noVNC" in answer.read()
        finally:
            script.terminate()
    assert _all_ended(script.pid)


def _all_ended(session: int) -> bool:
    """Whether no process of a session is left, soon."""
    for _ in range(100):
        listed = subprocess.run(
            ["ps", "-o", "stat=", "-s", f"{session}"], capture_output=True, text=True, check=False
        )
        if all(stat.startswith("Z") for stat in listed.stdout.split()):
            return True
        time.sleep(0.1)
    return False
