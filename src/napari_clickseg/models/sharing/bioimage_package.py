"""What a package of bioimage.io says of its network: read as YAML, never unpacked or run."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_clickseg.models.checkpoint import ModelFileError
from napari_clickseg.models.sharing.bioimage_steps import input_steps, output_steps
from napari_clickseg.models.sharing.foreign_network import ForeignNetwork

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "model.yaml")
_LONGEST = 1 << 20  # bytes of a description
_WINDOW = 256  # pixels, where any will do
_PROGRAMS = {
    "torchscript": "TorchScript is a program",
    "pytorch_state_dict": "its PyTorch weights need a program that comes along",
    "keras_hdf5": "Keras' files may hold programs",
    "keras_v3": "Keras' files may hold programs",
    "tensorflow_saved_model_bundle": "TensorFlow's bundles hold programs",
    "tensorflow_js": "it is JavaScript",
}


@dataclass(frozen=True, slots=True)
class BioimagePackage:
    """What a package says of its network.

    Parameters
    ----------
    said : ForeignNetwork
        How it is to be fed and read.
    network : str
        Name of the ONNX file in the package.
    sum : str
        Its SHA-256; "" where none is given.
    tests : (str, str)
        Names of the test tensors; "" where there are none.
    base : float
        What the value 1 of an image here is for the network, before anything else is done.
    sigmoid : bool
        The network's answer goes through a sigmoid, in its test.
    softmax : bool
        The same of a softmax.
    threshold : float, optional
        And then it becomes a mask.
    """

    path: Path
    name: str
    description: str
    licence: str
    said: ForeignNetwork
    network: str
    sum: str = ""
    tests: tuple[str, str] = ("", "")
    base: float = 1.0
    sigmoid: bool = False
    softmax: bool = False
    threshold: float | None = None


def is_bioimage(path: Path) -> bool:
    """Whether a file is a package of bioimage.io, as far as the names in it tell."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name in _DESCRIPTIONS for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def read_bioimage(path: Path) -> BioimagePackage:
    """Read what a package says; its network is not looked at yet.

    Raises
    ------
    ModelFileError
        If it is no package of a model with ONNX, or something has to be done to images that is not
        known here; the message names it.
    """
    described = _described(path)
    if described.get("type") != "model":
        raise ModelFileError(f"{path.name} is no model, but '{described.get('type')}'.")
    given = _only(described, "inputs", path)
    gives = _list(described, "outputs")[:1]
    if not gives or not isinstance(gives[0], dict):
        raise ModelFileError(f"{path.name} says no output.")
    source, digest = _onnx(described, path)
    axes = _axes(given)
    if "z" in axes or "t" in axes:
        raise ModelFileError(f"{path.name} takes volumes; only planes are segmented here.")
    steps, base = input_steps(given, axes, path.name)
    kind, threshold = output_steps(gives[0], path.name)
    names = _channel_names(gives[0])
    tests = _tests(described, given, gives[0])
    licence = str(described.get("license") or "not stated")[:200]
    about = str(described.get("description") or "")[:1000]
    said = ForeignNetwork(
        classes=names, steps=steps, outputs="logits" if kind else "", window=_window(given),
        licence=licence, description=about,
    )  # fmt: skip
    return BioimagePackage(
        path, str(described.get("name") or path.stem)[:200], about, licence, said, source,
        digest, tests, base, kind == "sigmoid", kind == "softmax", threshold,
    )  # fmt: skip


def _described(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        with zipfile.ZipFile(path) as archive:
            there = [name for name in _DESCRIPTIONS if name in archive.namelist()]
            if not there:
                raise ModelFileError(
                    f"{path.name} is no package of bioimage.io: it holds no rdf.yaml."
                )
            if archive.getinfo(there[0]).file_size > _LONGEST:
                raise ModelFileError(f"{path.name}: {there[0]} is too long to be a description.")
            description = yaml.safe_load(archive.read(there[0]))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror or error}).") from error
    except (zipfile.BadZipFile, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ModelFileError(f"{path.name} is broken or cut short; get it again.") from error
    if not isinstance(description, dict):
        raise ModelFileError(f"{path.name}: its description says nothing.")
    return description


def _list(described: Mapping[str, Any], key: str) -> list[Any]:
    value = described.get(key)
    return value if isinstance(value, list) else []


def _only(described: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    entries = _list(described, key)
    if len(entries) != 1 or not isinstance(entries[0], dict):
        raise ModelFileError(f"{path.name} takes {len(entries)} {key}, not one image.")
    return entries[0]


def _onnx(described: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """Return the name of the ONNX file, and its SHA-256."""
    weights = described.get("weights")
    kinds = weights if isinstance(weights, dict) else {}
    onnx = kinds.get("onnx")
    if not isinstance(onnx, dict):
        why = "; ".join(_PROGRAMS.get(str(kind), f"{kind} is not known") for kind in kinds)
        raise ModelFileError(
            f"{path.name} has no ONNX weights ({why or 'it has none at all'}); ask for some."
        )
    source = str(onnx.get("source") or "")
    if "://" in source:
        raise ModelFileError(
            f"{path.name} keeps its network elsewhere ({source[:80]}); get the whole package."
        )
    return source.removeprefix("./"), str(onnx.get("sha256") or "")


def _axes(tensor: Mapping[str, Any]) -> str:
    """Return a tensor's axes by their letters, of version 0.4 ("bcyx") or 0.5 (a list)."""
    axes = tensor.get("axes")
    if isinstance(axes, str):
        return axes
    letters = {"batch": "b", "channel": "c", "time": "t", "index": "i"}
    codes = ""
    for axis in axes if isinstance(axes, list) else []:
        if isinstance(axis, dict):
            kind = str(axis.get("type"))
            codes += letters.get(kind) or str(axis.get("id") or "?")[:1]
    return codes


def _channel_names(tensor: Mapping[str, Any]) -> tuple[str, ...]:
    axes = tensor.get("axes")
    for axis in axes if isinstance(axes, list) else []:
        if isinstance(axis, dict) and axis.get("type") == "channel":
            names = axis.get("channel_names")
            return tuple(str(name)[:100] for name in names) if isinstance(names, list) else ()
    return ()


def _window(tensor: Mapping[str, Any]) -> int:
    """Return the side of a window that the network takes; 0 where only its file says it."""
    sizes = []
    axes = tensor.get("axes")
    for axis in axes if isinstance(axes, list) else []:
        if isinstance(axis, dict) and axis.get("type") == "space":
            sizes.append(axis.get("size"))
    shape = tensor.get("shape")
    if isinstance(axes, str) and isinstance(shape, dict):
        steps, least = shape.get("step"), shape.get("min")
        if isinstance(steps, list) and isinstance(least, list):
            sizes = [
                {"min": n, "step": s}
                for letter, n, s in zip(axes, least, steps, strict=False)
                if letter in "yx"
            ]
    fitted = [_fitted(size) for size in sizes]
    return max(fitted, default=0)


def _fitted(size: Any) -> int:
    """Return a length near the usual window that a size, as packages give it, allows."""
    if isinstance(size, int):
        return size
    if not isinstance(size, dict):
        return 0
    try:
        least, step = int(size.get("min") or 0), int(size.get("step") or 0)
    except (TypeError, ValueError):
        return 0
    if least <= 0:
        return 0
    return least + max(0, -(-(_WINDOW - least) // step)) * step if step > 0 else least


def _tests(
    described: Mapping[str, Any], given: Mapping[str, Any], gives: Mapping[str, Any]
) -> tuple[str, str]:
    """Return the names of the test tensors, of version 0.5 or 0.4."""
    sources = []
    for tensor, old in ((given, "test_inputs"), (gives, "test_outputs")):
        new = tensor.get("test_tensor")
        source = new.get("source") if isinstance(new, dict) else None
        source = source or next(iter(_list(described, old)), "")
        sources.append(str(source) if isinstance(source, str) else "")
    return sources[0].removeprefix("./"), sources[1].removeprefix("./")


def bytes_of(package: BioimagePackage, name: str, longest: int) -> bytes:
    """Read a file of a package.

    Parameters
    ----------
    name : str
        As the package has it.
    longest : int
        Bytes, beyond which it is not read.

    Raises
    ------
    ModelFileError
        If it is missing, too long or broken.
    """
    path = package.path
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(name).file_size > longest:
                raise ModelFileError(f"{path.name}: {name} is too large to be used here.")
            return archive.read(name)
    except KeyError as error:
        raise ModelFileError(f"{path.name} lacks {name}; get the whole package.") from error
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError) as error:
        raise ModelFileError(f"{path.name} is broken or cut short; get it again.") from error
