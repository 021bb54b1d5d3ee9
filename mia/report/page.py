"""The page: one HTML file that needs no network, with one copy of the data and of the library that draws.

Takes sections and figures, gives HTML; and writes the report of a study with its tables and figures as files. Whatever
comes from configs, tags or file names is escaped by the template. A strict policy forbids any script but the page's own
two, known by their hashes, and anything from elsewhere.
"""

import base64
import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mia import __version__
from mia.data.cache import cache_folder
from mia.files import StorageError, whole_file
from mia.records import StoredRun
from mia.report import look
from mia.report.evidence import Evidence
from mia.report.frame import Study
from mia.report.tables import (
    Table,
    attack_table,
    caption,
    csv_text,
    difference_rows,
    failure_words,
    number_text,
    run_rows,
    summary_rows,
    summary_table,
    table_latex,
)

if TYPE_CHECKING:
    import pandas as pd

NAME = "report.html"
MOST_TABLES = 8


@dataclass(frozen=True)
class Section:
    """A part of a page; what is empty is left out."""

    name: str
    title: str
    note: str = ""
    tables: Sequence[tuple[str, Table]] = ()  # with their names
    figure: bool = False  # the figure of the same name
    picture: str = ""  # a data: address
    commands: Sequence[tuple[str, Sequence[str]]] = ()
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """What a page is made of."""

    title: str
    sections: Sequence[Section]
    figures: Mapping[str, Any]  # specifications by the name of their section
    data: Mapping[str, Any]  # frames, or lists of lines, by the names that figures ask for
    question: str = ""
    command: str = ""
    cards: Sequence[tuple[str, str]] = ()
    footer: Sequence[str] = field(default=())


def page_html(page: Page) -> str:
    """Return the whole page."""
    from markupsafe import Markup

    packed, own = library(), Markup(_asset("page.js"))
    wanted = set().union(*(look.data_names(spec) for spec in page.figures.values()))
    content = {
        "figures": page.figures, "config": look.CONFIG, "dark": look.DARK,
        "datasets": {name: _columns(data) for name, data in page.data.items() if name in wanted},
    }  # fmt: skip
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    hashes = " ".join(f"'sha256-{digest}'" for digest in (_digest(gzip.decompress(packed)), _digest(own.encode())))
    return str(
        _template().render(
            page=page, zip=zip, css=Markup(_asset("page.css")), script=own, hashes=Markup(hashes),
            light=Markup(_colours({})), dark=Markup(_colours(look.DARK)),
            data=base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode(),
            library=base64.b64encode(packed).decode() if page.figures else "",
        )
    )  # fmt: skip


def _columns(data: Any) -> dict[str, Any]:
    """Return a frame, or a list of lines, as column names and rows of JSON values."""
    if isinstance(data, list):
        columns = list(dict.fromkeys(name for line in data for name in line))
        return {"columns": columns, "data": [[_json_value(line.get(name)) for name in columns] for line in data]}
    found = json.loads(data.to_json(orient="split", double_precision=5, index=False))
    return {"columns": found["columns"], "data": found["data"]}


def _json_value(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if value - value == 0 else None
    return value


def _digest(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def _colours(theme: Mapping[str, str]) -> str:
    names = {"ink": look.INK, "quiet": look.QUIET, "grid": look.GRID, "paper": look.PAPER, "link": look.CATEGORIES[0]}
    return " ".join(f"--{name}: {theme.get(colour, colour)};" for name, colour in names.items())


def _asset(name: str) -> str:
    return (resources.files("mia.report") / "assets" / name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    import jinja2

    return jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_asset("page.html"))


@cache
def library() -> bytes:
    """Return Vega, Vega-Lite and Vega-Embed (BSD licence) as vl-convert bundles them, compressed.

    Bundling takes two seconds, so that it is kept in the user's cache folder.
    """
    import vl_convert

    version = look.vegalite_version()
    return kept(
        f"vega-{vl_convert.__version__}-{version}.js.gz",
        lambda: gzip.compress(vl_convert.javascript_bundle(vl_version=version).encode(), 9, mtime=0),
    )


def kept(name: str, make: Any) -> bytes:
    """Return bytes kept under a name in the user's cache folder, or make and keep them."""
    path = cache_folder() / "report" / name
    try:
        content = path.read_bytes()
        gzip.decompress(content)
    except (OSError, EOFError, gzip.BadGzipFile):
        content = make()
        try:
            with whole_file(path) as temporary:
                temporary.write_bytes(content)
        except StorageError:
            pass  # made again next time
    return content


# --- the report of a study --------------------------------------------------------------------------------------------


def write_report(study: Study, out: Path, **about: Any) -> Path:
    """Write the report of a study, and return the path of its HTML file.

    Args:
        study: of one sweep or several.
        out: a folder, made if it is not there, or the path of the HTML file.
        about: what `report_files` takes: title, question, command, has_pictures.

    Raises:
        StorageError: the folder cannot be written.
    """
    target = out if out.suffix == ".html" else out / NAME
    for name, content in report_files(study, **about).items():
        write(target if name == NAME else target.parent / name, content)
    return target


def report_files(
    study: Study, *, title: str, question: str = "", command: str = "", has_pictures: bool = False
) -> dict[str, bytes]:
    """Return the report by file name: the page, and the same numbers as files.

    Beside `report.html`: `summary.csv` (a line per run), `settings.csv` (one per setting), `differences.csv` where runs
    can be compared record by record, `table.tex`, and where they are wanted the figures as PNG and PDF in `figures/`.

    Args:
        study: of one sweep or several.
        title: the sweep's name, for people.
        question: what the sweep asks, as its file's header says it.
        command: what was typed to run it.
        has_pictures: draw the figures as files, too, which costs a second for each.
    """
    from mia.report.figures import data_of, sweep_figures

    evidence = Evidence(study)
    figures = sweep_figures(study, evidence)
    data = data_of(study, evidence) if figures else {}
    files = {
        "summary.csv": csv_text(run_rows(study)).encode(),
        "settings.csv": csv_text(summary_rows(study)).encode(),
        "table.tex": table_latex(summary_table(study)).encode(),
    }
    if evidence.differences:
        files["differences.csv"] = csv_text(difference_rows(study, evidence.differences)).encode()
    files |= picture_files(figures, data) if has_pictures else {}
    beside = [name for name in files if "/" not in name] + (["figures/"] if has_pictures else [])
    page = Page(
        title, study_sections(study, figures), {one.name: one.spec for one in figures}, data, question.strip(), command,
        _cards(study), _footer(study.runs, [f"Beside this file: {', '.join(beside)}."]),
    )  # fmt: skip
    return files | {NAME: page_html(page).encode()}


def write(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def picture_files(figures: Iterable[look.Figure], data: Mapping[str, Any]) -> dict[str, bytes]:
    """Return figures as PNG and PDF, by file name."""
    files = {}
    for one in figures:
        svg = look.draw_svg(one, data)
        files |= {f"figures/{one.name}.png": look.as_png(svg), f"figures/{one.name}.pdf": look.as_pdf(svg)}
    return files


def study_sections(study: Study, figures: Sequence[look.Figure]) -> list[Section]:
    """Return the parts of a study's page."""
    from mia.report.published import CAPTION, TITLE, published_table

    tables = [(f"leakage under {attack}", summary_table(study, attack)) for attack in study.attacks[:MOST_TABLES]]
    tables = tables or [("utility", summary_table(study))]
    if len(study.attacks) > 1:
        tables.append(("AUC of every attack", attack_table(study)))
    beside = published_table(study)
    found = [
        Section(
            "summary",
            "Summary",
            caption(study) if study.rows else "There are no runs yet.",
            tables if study.rows else [],
        ),
        Section("unfinished", "Not finished", lines=[f"{run.name} {failure_words(run)}" for run in study.unfinished]),
        *(Section(one.name, one.title, one.caption, figure=True) for one in figures),
        Section("published", TITLE, CAPTION, [("published", beside)]) if beside else None,
        Section("reproduce", "How to reproduce each row", commands=_commands(study)),
        Section("warnings", "What the runs warned about", lines=_warnings(study)),
    ]
    return [
        one for one in found if one and (one.tables or one.figure or one.commands or one.lines or one.name == "summary")
    ]


def _cards(study: Study) -> list[tuple[str, str]]:
    """Return the few numbers to see first."""
    from mia.report.figures import duration_words

    count, missing = len(study.runs), len(study.unfinished)
    cards = [
        (f"{len(study.rows):,}", "settings" if len(study.rows) != 1 else "setting"),
        (f"{count:,}", f"finished runs, {missing} unfinished" if missing else "finished runs"),
    ]
    if study.attacks:
        metric = f"attack/{study.attacks[0]}/auc"
        known = [k for k in study.finished if study.rows[k].is_known and study.estimate(k, metric).is_known]
        ends = [(min, "lowest"), (max, "highest")] if len(known) > 1 else [(max, "")] if known else []
        for pick, word in ends:
            k = pick(known, key=lambda k: study.estimate(k, metric).value)
            where = f" ({study.words(study.rows[k])})" if word else ""
            value = number_text(study.estimate(k, metric).value)
            cards.append((value, f"{word} AUC of {study.attacks[0]}{where}".strip()))
    spent = [
        v for run in study.runs for name, v in run.metrics.items() if name.startswith("time/") and "total" not in name
    ]
    return [*cards, (duration_words(sum(spent)), "of computing")] if spent else cards


def _commands(study: Study) -> list[tuple[str, list[str]]]:
    """Return the command of every run, row by row."""
    found = []
    for row in study.rows:
        runs = (*row.runs, *row.repeats, *row.unfinished)
        commands = [run.tags["mia.command"] for run in runs if run.tags.get("mia.command")]
        found += [(study.words(row), commands)] if commands else []
    return found


def _warnings(study: Study) -> list[str]:
    """Return every warning once, with the number of runs that gave it, and what could not be read."""
    lines = [f"{line} ({count} of {len(study.runs)} runs)" for line, count in shared_warnings(study.runs)]
    lines += [f"{run.name}: its config.yaml cannot be read, so that it is left out" for run in study.unreadable]
    return [*lines, *study.notes]


def shared_warnings(runs: Sequence[StoredRun]) -> list[tuple[str, int]]:
    """Return every warning of runs once, with the number of runs that gave it, the most frequent first.

    Warnings that differ in their numbers only are one: the first of them stands for all.
    """
    said: dict[str, tuple[str, set[str]]] = {}
    for run in runs:
        for line in run.tags.get("mia.warnings", "").splitlines():
            if line.strip():
                said.setdefault(re.sub(r"(?<![\w.])\d[\d,]*", "#", line), (line, set()))[1].add(run.id)
    found = [(line, len(whose)) for line, whose in said.values()]
    return sorted(found, key=lambda one: -one[1])


def _footer(runs: Sequence[StoredRun], more: Sequence[str] = ()) -> list[str]:
    commits = Counter(_commit(run) for run in runs if run.tags.get("mia.git_commit"))
    code = f"; code {', '.join(commits)}" if commits else ""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    what = "1 finished run" if len(runs) == 1 else f"{len(runs)} finished runs"
    return [f"Written by mia {__version__} on {when} from {what}{code}.", *more]


def _commit(run: StoredRun) -> str:
    dirty = " with uncommitted changes" if run.tags.get("mia.git_dirty") == "true" else ""
    return run.tags["mia.git_commit"][:10] + dirty
