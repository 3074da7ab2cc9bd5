"""What a run measured, as tables: `metrics.csv`, `images.csv` and `confusion.csv`."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_clickseg.training.run_folder import RunFolder


def write_tables(
    run: RunFolder,
    *,
    history: Sequence[dict[str, Any]] = (),
    images: Sequence[dict[str, Any]] = (),
    confusion: Sequence[Sequence[int]] | None = None,
) -> None:
    """Write tables to a run's folder, those that something is given for.

    Parameters
    ----------
    history : sequence of dict
        Each epoch's figures, as in its event.
    images : sequence of dict
        Figures of each validation image.
    confusion : sequence of sequences of int
        Pixels of each true class (rows) that were given each class (columns).
    """
    if history:
        rows = [
            {k: v for k, v in one.items() if k != "metrics"} | dict(one["metrics"])
            for one in history
        ]
        write_table(run.path / "metrics.csv", rows)
    if images:
        write_table(run.path / "images.csv", images)
    if confusion is not None:
        lines = [{str(k): n for k, n in enumerate(line)} for line in confusion]
        write_table(run.path / "confusion.csv", lines)


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a table; empty where there is none."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows to a CSV file, whole or not at all; its columns are all names that occur."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    write_whole(path, lambda partial: partial.write_text(text.getvalue(), encoding="utf-8"))
