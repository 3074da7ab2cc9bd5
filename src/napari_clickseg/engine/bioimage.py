"""A model as a package of bioimage.io (specification 0.5): ONNX, with what it answers to an image.

The test tensors and the cover are of a real image and the model's answer to it. The description is
written here: bioimageio.spec needs particular versions of pydantic; the packaging tests check what
is written with it, in an environment of its own.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.images import read_single_plane
from napari_clickseg.engine.packaging import Packaging, Pixels, is_licence
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.models.checkpoint import ModelFileError, load_network
from napari_clickseg.models.onnx_network import INPUTS, answering
from napari_clickseg.models.registry import find_model
from napari_clickseg.models.sharing.onnx_export import OPSET, channels_of, export_onnx, outputs_of
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_clickseg.engine.estimate import Looked, Sight
    from napari_clickseg.models.card import ModelCard

_HOME = "https://github.com/napari-clickseg/napari-clickseg"
_FORMAT = "0.5.4"
_COLOURS = np.array([[230, 159, 0], [86, 180, 233], [0, 158, 115], [204, 121, 167]]) / 255
_SHORTEST_NAME = 5
_STEP = 32  # pixels: what networks of any size take multiples of


class _Watched(Segmenter):
    """Keeps the windows that its network was shown."""

    shown: list[npt.NDArray[np.float32]]

    def look(self, inputs: npt.NDArray[np.float32], sight: Sight) -> Looked:
        self.shown.append(inputs.copy())
        return super().look(inputs, sight)


def export_bioimageio(
    model: str, path: Path, packaging: Packaging, *, overwrite: bool = False
) -> None:
    """Write a model as a package of bioimage.io, complete or not at all.

    Parameters
    ----------
    model : str
        Name, or .safetensors file.
    path : Path
        Ends in ``.zip``.
    packaging : Packaging
        Image, authors and licence.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    ModelFileError
        If something of it is missing, or the model can't be written as ONNX.
    ImageError
        If the image can't be used.
    """
    if path.suffix.lower() != ".zip":
        raise ModelFileError(f"{path} should end in .zip; choose such a name.")
    if path.exists() and not overwrite:
        raise ModelFileError(f"{path} is there already; choose another name, or --overwrite.")
    entry = find_model(model)
    network, card = load_network(entry.path, expected_sha256=entry.sha256)
    licence = packaging.licence or card.licence
    if not is_licence(licence):
        raise ModelFileError(f"'{entry.name}' has no licence; say --licence, such as CC-BY-4.0.")
    if not packaging.authors:
        raise ModelFileError("A package names who made the model; say --author.")
    watched = _Watched(network, card, device="cpu", half=False)
    window = _shown(watched, packaging)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        made = export_onnx(str(entry.path), folder / "model.onnx")
        session = answering((folder / "model.onnx").read_bytes())
        answers = session.run(None, {INPUTS: window[None]})
        np.save(folder / "test_input.npy", window[None])
        names = ["probabilities", "overlap"][: len(answers)]
        for name, answer in zip(names, answers, strict=True):
            np.save(folder / f"test_{name}.npy", answer)
        _write_cover(folder / "cover.png", window[: card.image_channels], answers[0][0], card)
        (folder / "README.md").write_text(_readme(card, licence, made.farthest), "utf-8")
        described = _described(folder, card, licence, packaging.authors, any_size=made.any_size)
        _write_yaml(folder / "rdf.yaml", described)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda partial: _zip(partial, folder))


def _shown(watched: _Watched, packaging: Packaging) -> npt.NDArray[np.float32]:
    """Return the window that the model was shown for its answer."""
    card = watched.card
    if not card.automatic and not packaging.clicks:
        raise ModelFileError(
            f"'{card.name}' needs a click on an object of the image; say --positive Y,X."
        )
    image = packaging.image
    plane = image if isinstance(image, Pixels) else read_single_plane(image)
    clicks = packaging.clicks if card.encoding != "image" else ()
    watched.shown = []
    mask: npt.NDArray[np.bool_] | None = None
    # A first click is looked at from several distances; then there is a mask to look closely at.
    for _ in range(2 if clicks else 1):
        session = watched.start(plane.data, mask, rgb=plane.rgb)
        for y, x in clicks:
            session.click(y, x, positive=True)
        predicted = session.predict().mask
        mask = predicted if predicted.any() else None
    return watched.shown[-1]


def _write_cover(
    path: Path, image: npt.NDArray[np.float32], answer: npt.NDArray[np.float32], card: ModelCard
) -> None:
    """Draw the window, and beside it the window with what the model found in colour."""
    from PIL import Image

    rgb = image if len(image) == 3 else np.repeat(image[:1], 3, 0)
    left = np.moveaxis(rgb, 0, -1).clip(0, 1)
    right = left.copy()
    classes = answer[card.class_outputs - len(card.classes) : card.class_outputs]
    best = np.argmax(answer[: card.class_outputs], 0)
    for k, probability in enumerate(classes):
        alone = card.overlapping or card.class_outputs == 1
        mask = probability > 0.5 if alone else best == k + 1
        right[mask] = 0.5 * right[mask] + 0.5 * _COLOURS[k % len(_COLOURS)]
    pixels = (255 * np.concatenate([left, right], 1)).round().astype(np.uint8)
    Image.fromarray(pixels).resize((1024, 512)).save(path)


def _described(
    folder: Path, card: ModelCard, licence: str, authors: Sequence[str], *, any_size: bool
) -> dict[str, Any]:
    size = {"min": 2 * _STEP, "step": _STEP} if any_size else card.window.size
    space = [{"type": "space", "id": axis, "size": size} for axis in "yx"]
    like = [
        {"type": "space", "id": axis, "size": {"tensor_id": INPUTS, "axis_id": axis}}
        for axis in "yx"
    ]
    inputs = {
        "id": INPUTS,
        "description": "A window of an image, and what was clicked; see the README."
        if len(channels_of(card)) > card.image_channels
        else "A window of an image; see the README.",
        "axes": [{"type": "batch"}, _channels(channels_of(card)), *space],
        "data": {"type": "float32"},
        "test_tensor": _file(folder / "test_input.npy"),
    }
    outputs = [
        {
            "id": "probabilities",
            "axes": [{"type": "batch"}, _channels(outputs_of(card)), *like],
            "data": {"type": "float32"},
            "test_tensor": _file(folder / "test_probabilities.npy"),
        }
    ]
    if (folder / "test_overlap.npy").exists():
        outputs.append(
            {
                "id": "overlap",
                "axes": [{"type": "batch"}],
                "data": {"type": "float32"},
                "test_tensor": _file(folder / "test_overlap.npy"),
            }
        )
    return {
        "type": "model",
        "format_version": _FORMAT,
        "name": _name(card.name),
        "description": card.description[:1000] or f"Segments {', '.join(card.classes)}."[:1000],
        "authors": [{"name": name} for name in authors],
        "cite": [{"text": "napari-clickseg contributors: napari-clickseg", "url": _HOME}],
        "license": licence,
        "documentation": "README.md",
        "covers": ["cover.png"],
        "git_repo": _HOME,
        "tags": ["2d", "segmentation", card.architecture, "napari-clickseg"],
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [inputs],
        "outputs": outputs,
        "weights": {"onnx": {**_file(folder / "model.onnx"), "opset_version": OPSET}},
    }


def _name(name: str) -> str:
    """Return a name of letters that a package's may have, and as long as it has to be."""
    plain = re.sub(r"[^\w+\- ().]", "-", name, flags=re.ASCII)[:100]
    return plain if len(plain) >= _SHORTEST_NAME else f"napari-clickseg {plain}"


def _channels(names: Sequence[str]) -> dict[str, Any]:
    """Return an axis of channels; their names are identifiers, all different."""
    plain = [re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_") for name in names]
    identifiers = [f"c{k + 1}_{name}"[:60].strip("_") for k, name in enumerate(plain)]
    return {"type": "channel", "channel_names": identifiers}


def _file(path: Path) -> dict[str, str]:
    return {"source": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _readme(card: ModelCard, licence: str, farthest: float) -> str:
    def listed(lines: Sequence[str]) -> list[str]:
        return [f"- {line}" for line in lines]

    figures = [f"{k}: {v}" for k, v in card.metrics.items() if isinstance(v, int | float | str)]
    sources = [f"{s.name} ({s.images:,} images, {s.licence}). {s.citation}" for s in card.data]
    stretched = (
        "An image's values are stretched before: its darkest and brightest "
        f"{card.intensity_trim:.2%} of the pixels become 0 and 1."
    )
    parts = [
        f"# {card.name}", card.description or "A model of napari-clickseg.",
        f"Licence: {licence}. Network: {card.architecture} with {card.encoder}.",
        "## Inputs", *listed(channels_of(card)), stretched,
        "## Outputs", "Probabilities, of the same height and width:", *listed(outputs_of(card)),
        "## Data", *(listed(sources) or ["Not stated."]),
        "## Validation", *(listed(figures) or ["No figures are stated."]),
        f"onnxruntime's answers differ from the original model's by {farthest:.1g} at the most.",
        "## Limits", card.limits or "Not stated.",
        "## Citation", f"napari-clickseg, {_HOME}",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _write_yaml(path: Path, described: dict[str, Any]) -> None:
    import yaml

    path.write_text(yaml.safe_dump(described, sort_keys=False, allow_unicode=True), "utf-8")


def _zip(partial: Path, folder: Path) -> None:
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
