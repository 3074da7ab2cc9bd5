"""`clickseg models`: the models that there are, and how they come and go."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import (
    UsageError,
    Waiting,
    add_verb,
    position,
    positive_count,
    progress,
    say,
    say_json,
    shown_on,
)

if TYPE_CHECKING:
    from napari_clickseg.models.registry import ModelEntry


def add(verbs: Any) -> None:
    parser = add_verb(verbs, "models", run, "List the models that can be used by name; add one.")
    parser.add_argument("--json", action="store_true", help="print their cards as JSON")
    parts = parser.add_subparsers(metavar="list|show|add|remove|export|import")
    listed = add_verb(parts, "list", run, "List the models that can be used by name.")
    listed.add_argument("--json", action="store_true", help="print their cards as JSON")
    shown = add_verb(parts, "show", run_show, "Say all that is known of a model.")
    shown.add_argument("model", metavar="M", help="name or .safetensors file")
    shown.add_argument("--json", action="store_true", help="print its card as JSON")
    _add_add(parts)
    _add_export(parts)
    _add_import(parts)
    removed = add_verb(parts, "remove", run_remove, "Remove one of your models.")
    removed.add_argument("name", metavar="NAME", help="as clickseg models lists it")


def _add_add(parts: Any) -> None:
    parser = add_verb(
        parts,
        "add",
        run_add,
        "Add a model to yours: from a file, an address or Hugging Face.",
        "It is used by its name from then on, and stands in every list of models. Addresses are "
        "https. A model is looked at before it is added: nothing in its file is run. hf:USER/REPO "
        "takes the .safetensors file of a repository, hf:USER/REPO/FILE one of several, @REV a tag "
        "or commit; HF_HUB_OFFLINE, HF_ENDPOINT and 'hf auth login' are obeyed.",
    )
    option = parser.add_argument
    option("source", metavar="FILE|URL|hf:USER/REPO[@REV]", help="the model")
    option("--sha256", metavar="SUM", help="what the file's SHA-256 has to be")
    option("--name", default="", metavar="N", help="what it is to be called; default as its file")
    option("--overwrite", action="store_true", help="replace your model of that name")


def _add_export(parts: Any) -> None:
    parser = add_verb(
        parts,
        "export",
        run_export,
        "Write a model in a form that other programs run.",
        "It is compared with the model itself before it is kept. onnx: one file that answers with "
        "probabilities, for any number of windows; what its channels are stands in its metadata. "
        "bioimageio: a package of bioimage.io with it, whose test and cover are the model's answer "
        "to an --image. Needs the extra onnx.",
    )
    option = parser.add_argument
    option("--image", type=Path, metavar="I", help="bioimageio: an image of the kind it is for")
    option("--positive", type=position, action="append", default=[], metavar="Y,X",
           help="bioimageio: a click on an object in it, of models that need one")  # fmt: skip
    option("--author", action="append", default=[], metavar="NAME",
           help="bioimageio: who made the model; may be given again")  # fmt: skip
    option("--licence", default="", metavar="L", help="bioimageio: default as its card says")
    option("model", metavar="M", help="name or .safetensors file")
    option("--to", required=True, choices=("onnx", "bioimageio"), metavar="FORMAT",
           help="onnx, bioimageio")  # fmt: skip
    option("--out", type=Path, required=True, metavar="F", help="the file to write")
    option("--overwrite", action="store_true", help="replace a file that is there")


def _add_import(parts: Any) -> None:
    parser = add_verb(
        parts,
        "import",
        run_import,
        "Take a segmentation network of another program: ONNX, bioimage.io, or weights.",
        "ONNX that was written here, and a package of bioimage.io with ONNX, need no more. Of "
        "another network the options say what its file does not, and what it was taken for is "
        "printed. It predicts like a model of yours then. Weights (.safetensors, or a state dict "
        "of torch) need --architecture and --encoder of segmentation_models_pytorch; such a model "
        "can be the start of a training, too. "
        "TorchScript and pickles are refused: they are programs.",
    )
    option = parser.add_argument
    option(
        "file", type=Path, metavar="F", help=".onnx, .zip of bioimage.io, .safetensors, .pt or .pth"
    )
    option("--name", default="", metavar="N", help="what it is to be called; default as its file")
    option("--classes", default="", metavar="A,B", help="names, without the background")
    option("--overlapping", action="store_true", help="no background: each class by itself")
    option("--channels", type=positive_count, default=0, metavar="N", help="of its images")
    option("--values", default="0-1", choices=("0-1", "0-255", "imagenet", "standardised"),
           metavar="V", help="what it takes an image's values for: 0-1 (default), 0-255, imagenet "
           "(mean and deviation of its images), standardised (mean 0, deviation 1)")  # fmt: skip
    option("--outputs", default="", choices=("logits", "probabilities"), metavar="O",
           help="logits or probabilities; default as its last step says")  # fmt: skip
    option("--window", type=positive_count, default=0, metavar="N", help="pixels of a window")
    option("--zoom", type=float, default=1.0, metavar="Z", help="its pixels for one of the image")
    option("--architecture", default="", metavar="A", help="of weights, such as unet")
    option("--encoder", default="", metavar="E", help="of weights, such as resnet34")
    option("--option", action="append", default=[], type=_option, metavar="KEY=JSON",
           help="of weights, such as decoder_channels=[64,32,16,8,4]")  # fmt: skip
    option("--licence", default="not stated", metavar="L", help="under which it may be used")
    option("--overwrite", action="store_true", help="replace your model of that name")


def _option(text: str) -> tuple[str, Any]:
    """Read KEY=JSON."""
    key, equals, value = text.partition("=")
    try:
        if not equals:
            raise ValueError
        return key, json.loads(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=JSON such as depth=3") from None


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.models.registry import list_models, user_folder

    models = [_about(entry) for entry in list_models()]
    if args.json:
        say_json(models)
        return 0
    for one in models:
        say(f"{one['name']}: {_line(one)}")
    say(f"Your own models go into {user_folder()}")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Run `models show`."""
    from napari_clickseg.models.checkpoint import read_card, sha256
    from napari_clickseg.models.registry import find_model
    from napari_clickseg.models.sharing.origins import origins

    entry = find_model(args.model)
    read_card(entry.path)  # what is wrong with it is an error here
    about = {**_about(entry), "sha256": sha256(entry.path)}
    known = origins().get(entry.name, {})
    about["origin"] = known.get("source") if known.get("sha256") == about["sha256"] else None
    if args.json:
        say_json(about)
        return 0
    card = about["card"]
    say(f"{about['name']}: {_line(about)}")
    for title, text in (
        ("Classes", ", ".join(card["classes"])),
        ("Clicks", _clicks(card)),
        ("Window", f"{card['window']['size']} pixels"),
        ("Licence", card["licence"]),
        ("Learned from", ", ".join(source["name"] for source in card["data"])),
        ("Figures", ", ".join(f"{k} {v}" for k, v in card["metrics"].items() if _is_plain(v))),
        ("Limits", card["limits"]),
        ("From", about["origin"]),
        ("File", about["path"]),
        ("SHA-256", about["sha256"]),
    ):
        if text:
            say(f"  {title}: {text}")
    return 0


def run_add(args: argparse.Namespace) -> int:
    """Run `models add`."""
    from napari_clickseg.models.sharing.adding import add_model

    with progress(0, "B") as bar:
        added = add_model(
            args.source,
            name=args.name,
            expected_sha256=args.sha256,
            overwrite=args.overwrite,
            progress=shown_on(bar),
        )
    say(f"{added.entry.name}: added from {added.origin} (SHA-256 {added.sha256}).")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Run `models export`."""
    from napari_clickseg.models.sharing.onnx_export import export_onnx

    if args.to == "bioimageio":
        return _export_bioimageio(args)
    with Waiting("Writing and comparing"):
        made = export_onnx(args.model, args.out, overwrite=args.overwrite)
    size = "of any size" if made.any_size else "of the model's size"
    say(f"{made.path}: takes windows {size}; differs from the model by {made.farthest:.1g}.")
    return 0


def _export_bioimageio(args: argparse.Namespace) -> int:
    from napari_clickseg.engine.bioimage import export_bioimageio
    from napari_clickseg.engine.packaging import Packaging

    if args.image is None:
        raise UsageError("A package shows what the model answers to an image; say --image.")
    authors = tuple(args.author)
    packaging = Packaging(args.image, tuple(args.positive), authors, args.licence)
    with Waiting("Writing and comparing"):
        export_bioimageio(args.model, args.out, packaging, overwrite=args.overwrite)
    say(f"{args.out}: a package of bioimage.io.")
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Run `models import`."""
    from napari_clickseg.models.sharing.bioimage_import import import_bioimage
    from napari_clickseg.models.sharing.foreign_network import ForeignNetwork
    from napari_clickseg.models.sharing.onnx_import import import_onnx
    from napari_clickseg.models.sharing.weights_import import import_weights

    said = ForeignNetwork(
        tuple(name.strip() for name in args.classes.split(",") if name.strip()),
        args.overlapping,
        args.channels,
        args.values,
        args.outputs,
        args.window,
        args.zoom,
        args.architecture,
        args.encoder,
        dict(args.option),
        args.licence,
    )
    suffix = args.file.suffix.lower()
    if suffix == ".zip":
        added = import_bioimage(args.file, name=args.name, overwrite=args.overwrite)
    else:
        take = import_onnx if suffix == ".onnx" else import_weights
        added = take(args.file, said, name=args.name, overwrite=args.overwrite)
    card = added.card
    parts = [
        f"{card.image_channels} image channel{'' if card.image_channels == 1 else 's'}",
        f"classes {', '.join(card.classes)}",
        f"windows of {card.window.size} pixels",
    ]
    if steps := card.options.get("steps"):
        parts.append(f"before: {', '.join(' '.join(f'{n}' for n in step) for step in steps)}")
    if answer := card.options.get("outputs"):
        parts.append(f"answers with {answer}")
    say(f"{added.entry.name}: added. It was taken for: {'; '.join(parts)}.")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Run `models remove`."""
    from napari_clickseg.models.sharing.adding import remove_model

    say(f"{args.name}: removed ({remove_model(args.name)}).")
    return 0


def _about(entry: ModelEntry) -> dict[str, Any]:
    """Say all about a model; of one that is broken, what is wrong: the others can be used."""
    from napari_clickseg.models.checkpoint import ModelFileError, read_card

    about: dict[str, Any] = {"name": entry.name, "path": str(entry.path)}
    about["bundled"] = entry.bundled
    try:
        card = read_card(entry.path)
    except ModelFileError as error:
        return {**about, "error": str(error)}
    megabytes = round(entry.path.stat().st_size / 1e6, 1)
    return {**about, "megabytes": megabytes, "card": card.model_dump(mode="json")}


def _line(one: dict[str, Any]) -> str:
    if "error" in one:
        return f"cannot be used. {one['error']}"
    card = one["card"]
    network = f"{card['architecture']} with {card['encoder']}"
    facts = ", ".join([network, f"{one['megabytes']} MB", card["licence"]])
    return f"{card['description'] or 'No description.'} ({facts})"


def _clicks(card: dict[str, Any]) -> str:
    if card["encoding"] == "image":
        return "takes none"
    return "may be given" if card["automatic"] else "are needed"


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float | str)
