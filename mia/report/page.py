"""The page: one HTML file that needs no network, with one copy of the data and of the library that draws.

Takes sections and figures, gives HTML; and the report of a study with its tables and figures as files. Whatever comes
from configs, tags or file names is escaped by the template. A strict policy forbids any script but the page's own two,
known by their hashes, and anything from elsewhere.
"""

import base64
import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from mia import __version__
from mia.data.cache import cache_folder
from mia.files import StorageError, whole_file
from mia.metrics.words import FAILED
from mia.records import StoredRun
from mia.report import look
from mia.report.evidence import Evidence, data_of
from mia.report.published import CAPTION, TITLE, published_table
from mia.report.searched import Searched, searched_tables
from mia.report.study import Study
from mia.report.tables import (
    Table,
    attack_table,
    caption,
    difference_rows,
    duration_words,
    exposed_rows,
    exposed_table,
    failure_words,
    number_text,
    run_rows,
    summary_rows,
    summary_table,
    table_latex,
)
from mia.tables import csv_text

FAILED_NOTE = "One run in a hundred fails by chance; more mean that what is shown is not leakage alone."
NAME = "report.html"
FIRST = "grid"  # the figure that stands before the tables: two settings against each other answer at a glance
MOST_TABLES = 8
FOUND = (
    "Nothing tried is better in everything than a point of the front. The best of many look better than they are: "
    "confirmed values are means over fresh seeds. Importance: the share of a metric's variance that follows from a key."
)
EXPOSED = (
    "Members whose score is too high for a non-member's. Of each list, 5% at most are false on average (conformal "
    "p-values, over seeds twice their mean, Benjamini and Hochberg); exposed.csv names the records."
)


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

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.tables or self.figure or self.picture or self.commands or self.lines)


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
    footer: Sequence[str] = ()


def page_html(page: Page) -> str:
    """Return the whole page."""
    from markupsafe import Markup

    packed, script, css = library(), *(Markup(_asset(f"page.{kind}")) for kind in ("js", "css"))  # noqa: S704 - ours
    wanted = set().union(*(look.data_names(spec) for spec in page.figures.values()))
    datasets = {name: look.records(data) for name, data in page.data.items() if name in wanted}
    content = {"figures": page.figures, "config": look.config(), "dark": look.DARK, "datasets": datasets}
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    digests = [hashlib.sha256(one).digest() for one in (gzip.decompress(packed), script.encode())]
    return str(
        _template().render(
            page=page, zip=zip, css=css, script=script, sections=[one for one in page.sections if not one.is_empty],
            hashes=[base64.b64encode(digest).decode() for digest in digests],
            themes=[{name: theme.get(one, one) for name, one in look.COLOURS.items()} for theme in ({}, look.DARK)],
            data=base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode(),
            library=base64.b64encode(packed).decode() if page.figures else "",
        )
    )  # fmt: skip


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
    path = cache_folder() / "report" / f"vega-{metadata.version('vl-convert-python')}-{version}.js.gz"
    with suppress(OSError, EOFError, gzip.BadGzipFile):
        content = path.read_bytes()
        gzip.decompress(content)
        return content
    bundle = vl_convert.javascript_bundle(vl_version=version)  # type: ignore[call-arg] # its stub lacks a default
    content = gzip.compress(bundle.encode(), 9, mtime=0)
    with suppress(StorageError), whole_file(path) as temporary:  # else it is made again next time
        temporary.write_bytes(content)
    return content


# --- the report of a study --------------------------------------------------------------------------------------------


def write_report(study: Study, out: Path, **about: Any) -> Path:
    """Write the report of a study, and return the path of its HTML file.

    Args:
        study: Of one sweep or several.
        out: A folder, made if it is not there, or the path of the HTML file.
        about: What `report_files` takes: title, question, command, has_pictures.

    Raises:
        StorageError: the folder cannot be written.
    """
    return write_files(report_files(study, **about), out)


def write_files(files: Mapping[str, bytes], out: Path) -> Path:
    """Write a page and what lies beside it into a folder, or to the path of a page; return the page's path."""
    target = out if out.suffix == ".html" else out / NAME
    for name, content in files.items():
        with whole_file(target if name == NAME else target.parent / name) as temporary:
            temporary.write_bytes(content)
    return target


def report_files(
    study: Study,
    *,
    title: str,
    question: str = "",
    command: str = "",
    has_pictures: bool = False,
    searched: Searched | None = None,
) -> dict[str, bytes]:
    """Return the report by file name: the page, and the same numbers as files.

    Beside `report.html`: `summary.csv` (a line per run), `settings.csv` (one per setting), `differences.csv` where runs
    can be compared record by record, `exposed.csv` where members are exposed for sure, `table.tex`, and where they
    are wanted the figures as PNG and PDF in `figures/`.

    Args:
        study: Of one sweep or several.
        title: The sweep's name, for people.
        question: What the sweep asks, as its file's header says it.
        command: What was typed to run it.
        searched: What the sweeps are beside their runs.
        has_pictures: Draw the figures as files, too, which costs half a second for each.
    """
    from mia.report.figures import sweep_figures

    evidence = Evidence(study, searched)
    figures = sweep_figures(study, evidence)
    data = data_of(study, evidence) if figures else {}
    exposed = evidence.listed.to_numpy().tolist() if figures else []
    tables = {"summary.csv": run_rows(study), "settings.csv": summary_rows(study),
              "differences.csv": difference_rows(study, evidence.differences),
              "exposed.csv": exposed_rows(study, exposed)}  # fmt: skip
    kept = ("summary.csv", "settings.csv")
    files = {name: csv_text(rows).encode() for name, rows in tables.items() if rows or name in kept}
    files["table.tex"] = table_latex(summary_table(study)).encode()
    pictures = look.picture_files(figures, data) if has_pictures else {}
    runs = "1 finished run" if len(study.runs) == 1 else f"{len(study.runs)} finished runs"
    commits = Counter(_commit(run) for run in study.runs if run.tags.get("mia.git_commit"))
    code = f"; code {', '.join(commits)}" if commits else ""
    footer = [f"Written by mia {__version__} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC from {runs}{code}.",
              f"Beside this file: {', '.join([*files, *(['figures/'] if pictures else [])])}."]  # fmt: skip
    beside = searched_tables(searched) if searched else []
    sections, specs = _sections(study, figures, exposed, beside), {one.name: one.spec for one in figures}
    page = Page(title, sections, specs, data, question.strip(), command, _cards(study), footer)
    return files | pictures | {NAME: page_html(page).encode()}


def _sections(
    study: Study,
    figures: Sequence[look.Figure],
    exposed: Sequence[Sequence[Any]],
    searched: Sequence[tuple[str, Table]],
) -> list[Section]:
    tables = [(f"leakage under {attack}", summary_table(study, attack)) for attack in study.attacks[:MOST_TABLES]]
    tables = tables or [("utility", summary_table(study))]
    tables += [("AUC of every attack", attack_table(study))] if len(study.attacks) > 1 else []
    beside = published_table(study)
    commands = [
        (study.words(row), [run.tags["mia.command"] for run in (*row.runs, *row.repeats, *row.unfinished)
                            if run.tags.get("mia.command")])
        for row in study.rows
    ]  # fmt: skip
    said = [f"{line} ({count} of {len(study.runs)} runs)" for line, count in shared_warnings(study.runs)]
    said += [f"{run.name}: its config.yaml cannot be read, so that it is left out" for run in study.unreadable]
    failed, others = ([line for line in said if (FAILED in line) == wanted] for wanted in (True, False))
    drawn = [Section(one.name, one.title, one.caption, figure=True) for one in figures]
    return [
        Section("controls", "Controls that failed", FAILED_NOTE, lines=failed),
        *(one for one in drawn if one.name == FIRST),
        Section("summary", "Summary", caption(study), tables if study.rows else []),
        Section("searched", "What the search found", FOUND, searched),
        Section("unfinished", "Not finished", lines=[f"{run.name} {failure_words(run)}" for run in study.unfinished]),
        *(one for one in drawn if one.name != FIRST),
        Section(
            "exposed",
            "How many records are exposed for sure",
            EXPOSED,
            [("exposed", exposed_table(study, [(s, attack) for s, attack, *_ in exposed]))] if exposed else [],
        ),
        Section("published", TITLE, CAPTION, [("published", beside)] if beside else []),
        Section("reproduce", "How to reproduce each row", commands=[one for one in commands if one[1]]),
        Section("warnings", "What the runs warned about", lines=[*others, *study.notes]),
    ]


def _cards(study: Study) -> list[tuple[str, str]]:
    """Return the few numbers to see first."""
    missing = f", {len(study.unfinished)} unfinished" if study.unfinished else ""
    cards = [(f"{len(study.rows):,}", "settings"), (f"{len(study.runs):,}", f"finished runs{missing}")]
    metric = f"attack/{next(iter(study.attacks), '')}/auc"
    known = [k for k in study.finished if study.rows[k].is_known and study.estimate(k, metric).is_known]
    for pick, word in [(min, "lowest"), (max, "highest")] if len(known) > 1 else [(max, "")] if known else []:
        k = pick(known, key=lambda k: study.estimate(k, metric).value)
        where = f" ({study.words(study.rows[k])})" if word else ""
        cards.append((number_text(study.estimate(k, metric).value), f"{word} AUC of {study.attacks[0]}{where}".strip()))
    spent = [
        v for run in study.runs for name, v in run.metrics.items() if name.startswith("time/") and "total" not in name
    ]
    return [*cards, (duration_words(sum(spent)), "of computing")] if spent else cards


def shared_warnings(runs: Sequence[StoredRun]) -> list[tuple[str, int]]:
    """Return every warning of runs once, with the number of runs that gave it: failed controls, then the most frequent.

    Warnings that differ in their numbers only are one, however many numbers they list: the first stands for all.
    """
    number = r"(?<![\w.])\d+(?:,\d{3})*"
    said: dict[str, tuple[str, set[str]]] = {}
    for run in runs:
        for line in filter(str.strip, run.tags.get("mia.warnings", "").splitlines()):
            said.setdefault(re.sub(rf"{number}(?:, {number})*", "#", line), (line, set()))[1].add(run.id)
    found = ((line, len(whose)) for line, whose in said.values())
    return sorted(found, key=lambda one: (FAILED not in one[0], -one[1]))


def _commit(run: StoredRun) -> str:
    dirty = " with uncommitted changes" if run.tags.get("mia.git_dirty") == "true" else ""
    return run.tags["mia.git_commit"][:10] + dirty
