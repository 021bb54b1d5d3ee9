"""The report: one HTML file that needs no network, with the same figures and numbers as files beside it.

Takes stored runs, a title and a question, gives files in a folder. Trains nothing and changes no run.
"""

import io
from collections.abc import Iterable
from pathlib import Path

from mia.files import whole_file
from mia.records import StoredRun
from mia.report.axes import latest_attempts
from mia.report.chart import Exhibit
from mia.report.draw import draw_figure, save_figure
from mia.report.exposed import csv_text
from mia.report.files import Fetch, Files, no_files
from mia.report.grouping import read_sweep
from mia.report.paired import difference_rows, differences
from mia.report.sections import Page, page_html
from mia.report.summary import run_rows, summary_latex, summary_rows
from mia.report.sweep import sweep_exhibits

NAME = "report.html"
FIGURES = "figures"
COLOURS_OF_STILLS = 96


def write_report(
    runs: Iterable[StoredRun], out: Path, *, title: str, question: str = "", command: str = "", fetch: Fetch = no_files
) -> Path:
    """Write the report of a sweep, or of a single run, and return the path of its HTML file.

    Beside it: `summary.csv` (one row per run), `settings.csv` (one per setting), `differences.csv` where runs can be
    compared record by record, `table.tex`, and `figures/` with every figure as PNG and PDF.

    Args:
        runs: finished or not; of each configuration the latest attempt counts.
        out: a folder, made if it is not there, or the path of the HTML file.
        title: the sweep's name, for people.
        question: what the sweep asks, as its file's header says it.
        command: what was typed to run it.
        fetch: finds an artifact of a run (`scores.npz`, `per_class.csv`), or None.

    Raises:
        StorageError: the folder cannot be written.
    """
    target = out if out.suffix == ".html" else out / NAME
    counted = latest_attempts(runs)
    sweep, files = read_sweep(counted), Files(fetch)
    found = differences(sweep, files)
    exhibits = sweep_exhibits(sweep, files, found)
    stills = {one.name: _draw(one, target.parent / FIGURES) for one in exhibits}
    texts = {
        "summary.csv": csv_text(run_rows(counted)),
        "settings.csv": csv_text(summary_rows(counted)),
        "table.tex": summary_latex(counted),
    }
    if found:
        texts["differences.csv"] = csv_text(difference_rows(found))
    for name, text in texts.items():
        _write(target.parent / name, text)
    beside = [*texts, *([f"{FIGURES}/*.png and .pdf"] if exhibits else [])]
    _write(target, page_html(Page(title, question, command, sweep, exhibits, stills, beside)))
    return target


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _draw(exhibit: Exhibit, folder: Path) -> bytes:
    """Write the printed variants of a figure; return the first as a small PNG for the page."""
    folder.mkdir(parents=True, exist_ok=True)
    stills = []
    for name, charts in exhibit.printed().items():
        paths = save_figure(draw_figure(charts, exhibit.title), folder / name)
        stills.append(paths[0])
    return _small_png(stills[0])


def _small_png(path: Path) -> bytes:
    """Return a picture with few colours: a quarter of the bytes, and nobody sees it."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS_OF_STILLS, dither=Image.Dither.NONE).save(buffer, "PNG")
    return buffer.getvalue()
