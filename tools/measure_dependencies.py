"""Measure what each dependency costs: its size, what it alone brings along, and its import.

    python tools/measure_dependencies.py [--write]

Prints a Markdown table; `--write` puts it into docs/dependencies.md. Sizes are of the files that
this environment has, compiled modules left out. A package *alone brings* what nothing else needs
that does without it. Imports are seconds of the processor, the best of three fresh processes,
numpy loaded before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "dependencies.md"
BEGIN, END = "<!-- costs -->", "<!-- /costs -->"
MODULES = {
    "huggingface-hub": "huggingface_hub", "markdown-it-py": "markdown_it", "pillow": "PIL.Image",
    "pyyaml": "yaml", "scikit-image": "skimage.measure", "scikit-learn": "sklearn.model_selection",
    "segmentation-models-pytorch": "segmentation_models_pytorch", "dask": "dask.array",
    "matplotlib": "matplotlib.figure", "imageio": "imageio.v3", "captum": "captum.attr",
    "scipy": "scipy.ndimage",
}  # fmt: skip
OF_TORCH = ("nvidia", "triton", "cuda")  # how the packages begin that torch brings for CUDA


def main() -> None:
    """Measure, and print or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into docs/dependencies.md")
    table = measured()
    if not parser.parse_args().write:
        print(table)
        return
    before, _, rest = TARGET.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    TARGET.write_text(f"{before}{BEGIN}\n{table}{END}{after}", "utf-8")


def measured() -> str:
    """Return the table."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = map(Requirement, project["dependencies"])
    direct = [canonicalize_name(one.name) for one in required]
    everything = reached(direct)
    total = sum(map(size, everything))
    by_torch = sum(size(name) for name in everything if name.startswith(OF_TORCH))
    ours = total - alone(direct, "torch")
    lines = [
        f"All that `pip install napari-clickseg` installs: {total / 1e9:.1f} GB in "
        f"{len(everything)} packages, {by_torch / 1e9:.1f} GB of them CUDA and Triton. "
        f"Without torch and what it\nalone brings: {ours / 1e6:,.0f} MB; shares are of that.\n",
        "\n| Package | MB | alone brings, MB | share | import, s |\n|---|--:|--:|--:|--:|\n",
    ]
    for name in sorted(direct, key=lambda one: -alone(direct, one)):
        brings = alone(direct, name)
        share = "" if name == "torch" else f"{brings / ours:.0%}".replace("%", " %")
        lines.append(
            f"| {name} | {size(name) / 1e6:,.1f} | {brings / 1e6:,.1f} | {share} | "
            f"{imported(name):.2f} |\n"
        )
    return "".join(lines)


def alone(direct: Sequence[str], name: str) -> int:
    """Return the bytes that nothing needs but a dependency, and what is built on it."""
    others = reached(one for one in direct if name not in reached([one]))
    return sum(size(one) for one in reached([name]) - others)


def reached(names: Iterable[str]) -> set[str]:
    """Return packages with all that they need."""
    out: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in out:
            out.add(name)
            waiting += needs(name, frozenset())
    return out


@cache
def needs(name: str, extras: frozenset[str]) -> tuple[str, ...]:
    """Return what a package needs on this machine, of what is installed."""
    names: dict[str, None] = {}
    for line in distribution(name).requires or ():
        one = Requirement(line)
        wanted = [one.marker is None or one.marker.evaluate({"extra": e}) for e in ("", *extras)]
        if not any(wanted):
            continue
        try:
            distribution(one.name)
        except PackageNotFoundError:
            continue
        names[canonicalize_name(one.name)] = None
        if one.extras:
            names |= dict.fromkeys(needs(canonicalize_name(one.name), frozenset(one.extras)))
    return tuple(names)


@cache
def size(name: str) -> int:
    """Return the bytes of a package's files."""
    files = distribution(name).files or ()
    paths = (Path(str(one.locate())) for one in files if one.suffix != ".pyc")
    return sum(path.stat().st_size for path in paths if path.is_file())


def imported(name: str) -> float:
    """Return how many seconds a package takes to be imported."""
    module = MODULES.get(name, name.replace("-", "_"))
    clock = "time.process_time()"
    code = f"import time, numpy\nt = {clock}\nimport {module}\nprint({clock} - t)"
    command = [sys.executable, "-c", code]
    runs = (subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3))
    return min(float(done.stdout.split()[-1]) for done in runs)


if __name__ == "__main__":
    main()
