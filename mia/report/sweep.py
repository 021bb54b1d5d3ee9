"""The report of a study: its page, and the same numbers as files beside it.

Takes a study, gives files by name; what stands on the page, in which order, is decided here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from mia import __version__
from mia.metrics.words import FAILED
from mia.report import tables
from mia.report.evidence import Evidence, data_of
from mia.report.look import Figure, picture_files
from mia.report.page import NAME, Page, Section, page_html, write_files
from mia.report.searched import Searched, searched_tables
from mia.settings import duration_words
from mia.study.sentences import failure_words, shared_warnings
from mia.study.study import Study
from mia.tables import csv_text

FIRST = "grid"  # the figure that stands before the tables: two settings against each other answer at a glance
MOST_TABLES = 8


def write_report(study: Study, out: Path, **about: Any) -> Path:
    """Write what `report_files` returns, given `about`, into a folder or to the path of a page; return the page's."""
    return write_files(report_files(study, **about), out)


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
        has_pictures: Draw the figures as files, too, which costs half a second for each.
        searched: What the sweeps are beside their runs.
    """
    from mia.report.figures import sweep_figures

    evidence = Evidence(study, searched)
    figures = sweep_figures(study, evidence)
    data = data_of(figures, evidence)
    rows = {"summary.csv": tables.run_rows(study), "settings.csv": tables.summary_rows(study),
            "differences.csv": tables.difference_rows(study, evidence.differences),
            "exposed.csv": tables.exposed_rows(study, evidence.listed)}  # fmt: skip
    files = {name: csv_text(found).encode() for name, found in rows.items() if found or name[:1] == "s"}
    files["table.tex"] = tables.table_latex(tables.summary_table(study)).encode()
    pictures = picture_files(figures, data) if has_pictures else {}
    runs = "1 finished run" if len(study.runs) == 1 else f"{len(study.runs)} finished runs"
    marks = {"true": " with uncommitted changes"}
    commits = {run.tags["mia.git_commit"][:10] + marks.get(run.tags.get("mia.git_dirty", ""), ""): None
               for run in study.runs if run.tags.get("mia.git_commit")}  # fmt: skip
    code = f"; code {', '.join(commits)}" if commits else ""
    footer = [f"Written by mia {__version__} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC from {runs}{code}.",
              f"Beside this file: {', '.join([*files, *(['figures/'] if pictures else [])])}."]  # fmt: skip
    sections = _sections(study, figures, evidence)
    page = Page(title, sections, figures, data, question.strip(), command, _cards(study), footer)
    return files | pictures | {NAME: page_html(page).encode()}


def _sections(study: Study, figures: Sequence[Figure], evidence: Evidence) -> list[Section]:
    summaries = [(f"leakage under {one}", tables.summary_table(study, one)) for one in study.attacks[:MOST_TABLES]]
    summaries = summaries or [("utility", tables.summary_table(study))]
    summaries += [("AUC of every attack", tables.attack_table(study))] if len(study.attacks) > 1 else []
    exposed = [("exposed", tables.exposed_table(study, evidence.listed))] if len(evidence.listed) else []
    beside = tables.published_table(study)
    typed = [(study.words(row), [run.tags["mia.command"] for run in row.all_runs if run.tags.get("mia.command")])
             for row in study.rows]  # fmt: skip
    said = [f"{line} ({count} of {len(study.runs)} runs)" for line, count in shared_warnings(study.runs)]
    said += study.left_out
    failed, others = ([line for line in said if (FAILED in line) == wanted] for wanted in (True, False))
    unfinished = [f"{run.name} {failure_words(run)}" for run in study.unfinished]
    first, rest = ([Section.of(one) for one in figures if (one.name == FIRST) == wanted] for wanted in (True, False))
    part = partial(Section.on, "sweep")
    return [
        part("controls", lines=failed),
        *first,
        part("summary", tables.caption(study), tables=summaries if study.rows else []),
        part("searched", tables=searched_tables(evidence.searched)),
        part("unfinished", lines=unfinished),
        *rest,
        part("exposed", tables=exposed),
        part("published", tables=[("published", beside)] if beside else []),
        part("reproduce", commands=[one for one in typed if one[1]]),
        part("warnings", lines=[*others, *study.notes]),
    ]


def _cards(study: Study) -> list[tuple[str, str]]:
    """Return the few numbers to see first."""
    missing = f", {len(study.unfinished)} unfinished" if study.unfinished else ""
    cards = [(f"{len(study.rows):,}", "settings"), (f"{len(study.runs):,}", f"finished runs{missing}")]
    metric = f"attack/{next(iter(study.attacks), '')}/auc"
    known = study.fair(metric)
    for pick, word in [(min, "lowest"), (max, "highest")] if len(known) > 1 else [(max, "")] if known else []:
        k = pick(known, key=lambda k: study.estimate(k, metric).value)
        where = f" ({study.words(study.rows[k])})" if word else ""
        text = tables.number_text(study.estimate(k, metric).value)
        cards.append((text, f"{word} AUC of {study.attacks[0]}{where}".strip()))
    spent = [
        v for run in study.runs for name, v in run.metrics.items() if name.startswith("time/") and "total" not in name
    ]
    return [*cards, (duration_words(sum(spent)), "of computing")] if spent else cards
