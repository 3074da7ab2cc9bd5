"""`clickseg models`: list the models that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import add_verb, say, say_json

if TYPE_CHECKING:
    import argparse

    from napari_clickseg.models.registry import ModelEntry


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "models", run, "List the models that can be used by name.")
    parser.add_argument("--json", action="store_true", help="print their cards as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.models.registry import list_models, user_folder

    found = [_about(entry) for entry in list_models()]
    if args.json:
        say_json(found)
        return 0
    for one in found:
        say(f"{one['name']}: {_line(one)}")
    say(f"Your own models go into {user_folder()}")
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
