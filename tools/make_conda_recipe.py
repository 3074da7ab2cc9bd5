"""Write dist/recipe.yaml: what conda-forge builds the released version from.

Everything comes from pyproject.toml and from the source archive in dist/, which the release page
offers. Hand the file to conda-forge/staged-recipes the first time, to the feedstock afterwards.

    make recipe [TAG=v1.2.3]
"""

from __future__ import annotations

import argparse
import hashlib
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
# conda-forge's names where they are others. What ends in -base or -core leaves out programs,
# Qt and pandas that we don't use.
NAMES = {"dask": "dask-core", "matplotlib": "matplotlib-base", "torch": "pytorch"}


def in_conda(requirement: str) -> str:
    """Say a requirement of pyproject.toml in conda's words."""
    parsed = Requirement(requirement)
    return f"{NAMES.get(parsed.name, parsed.name)} {parsed.specifier}".strip()


def recipe(project: dict[str, Any], archive: Path, build: list[str]) -> dict[str, Any]:
    """Return the recipe, in conda-forge's present format (schema version 1)."""
    urls, module = project["urls"], project["name"].replace("-", "_")
    lowest = project["requires-python"].removeprefix(">=")
    return {
        "schema_version": 1,
        "context": {"version": project["version"], "python_min": lowest},
        "package": {"name": project["name"], "version": "${{ version }}"},
        "source": {
            "url": f"{urls['Source Code']}/releases/download/v${{{{ version }}}}/{archive.name}",
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        },
        "build": {
            "number": 0,
            "noarch": "python",
            "script": "${{ PYTHON }} -m pip install . -vv --no-deps --no-build-isolation",
            "python": {
                "entry_points": [f"{name} = {at}" for name, at in project["scripts"].items()]
            },
        },
        "requirements": {
            "host": ["python ${{ python_min }}.*", "pip", *map(in_conda, build)],
            "run": ["python >=${{ python_min }}", *map(in_conda, project["dependencies"])],
        },
        "tests": [
            {
                "python": {
                    "imports": [module],
                    "pip_check": False,  # pip knows conda's packages by other names
                    "python_version": ["${{ python_min }}.*", "*"],
                }
            },
            {"script": [f"{name} --help" for name in project["scripts"]]},
        ],
        "about": {
            "homepage": urls["Homepage"],
            "repository": urls["Source Code"],
            "documentation": urls["Documentation"],
            "summary": project["description"],
            "license": project["license"],
            "license_file": project["license-files"],
        },
        "extra": {"recipe-maintainers": [urls["Source Code"].split("/")[-2]]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tag", help="stop if this is not the tag of pyproject.toml's version")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where the archive lies")
    given = parser.parse_args()
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    if given.tag and given.tag != f"v{project['version']}":
        parser.error(f"the tag is {given.tag}, but pyproject.toml says {project['version']}")
    name = f"{project['name'].replace('-', '_')}-{project['version']}.tar.gz"
    if not (archive := given.dist / name).is_file():
        parser.error(f"{archive} is missing; run make build first")
    written = recipe(project, archive, pyproject["build-system"]["requires"])
    target = given.dist / "recipe.yaml"
    target.write_text(yaml.safe_dump(written, sort_keys=False, width=100))
    print(target)


if __name__ == "__main__":
    main()
