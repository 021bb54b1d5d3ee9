"""What the report's page says, section by section.

Takes a sweep, its exhibits and their pictures; gives HTML. Everything that comes from configs, tags or the sweep's file
is text to `element`, which escapes it. Nothing on the page is loaded from elsewhere, and a policy forbids it.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

from mia import __version__
from mia.records import StoredRun
from mia.report.chart import Exhibit
from mia.report.costs import duration_words
from mia.report.embedded import embedded_charts, embedded_library
from mia.report.markup import Html, element, joined, raw_text
from mia.report.page_tables import published_section, summary_section
from mia.report.published import TITLE
from mia.report.settings import Setting, Sweep
from mia.report.style import DARK, LIGHT
from mia.report.words import value_words

POLICY = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True)
class Page:
    """What a page is made of."""

    title: str
    question: str
    command: str
    sweep: Sweep
    exhibits: Sequence[Exhibit]
    stills: Mapping[str, bytes]  # a PNG for each exhibit, for print and for readers without scripts
    beside: Sequence[str]  # files that lie beside the page


def page_html(page: Page) -> str:
    """Return the whole page."""
    sweep = page.sweep
    sections = [
        ("summary", "Summary", summary_section(sweep)),
        ("published", TITLE, published_section(sweep)),
        *((one.name, one.title, _figure(one, page.stills[one.name])) for one in page.exhibits),
        ("reproduce", "How to reproduce each row", _commands(sweep)),
        ("warnings", "What the runs warned about", _warnings(sweep)),
    ]
    shown = [(name, title, body) for name, title, body in sections if body]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", page.title),
        raw_text("style", _theme_css() + _asset("page.css")),
    )
    body = element(
        "body",
        element("header", _header(page), _contents([(name, title) for name, title, _ in shown])),
        element("main", [element("section", element("h2", title), b, id=f"s-{n}") for n, title, b in shown]),
        element("footer", _footer(page)),
        embedded_charts(page.exhibits),
        embedded_library(),
        raw_text("script", _asset("page.js")),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _asset(name: str) -> str:
    return (resources.files("mia.report") / "assets" / name).read_text(encoding="utf-8")


def _theme_css() -> str:
    light, dark = ("".join(f"--{role}:{colour};" for role, colour in theme.items()) for theme in (LIGHT, DARK))
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def _header(page: Page) -> Html:
    question = [element("p", page.question.strip(), class_="question")] if page.question.strip() else []
    command = [element("pre", element("code", page.command))] if page.command else []
    cards = [
        element("div", element("b", value), element("span", text), class_="card") for value, text in _cards(page.sweep)
    ]
    return joined([element("h1", page.title), question, command, element("div", cards, class_="cards")])


def _cards(sweep: Sweep) -> list[tuple[str, str]]:
    """Return the few numbers to see first."""
    missing = len(sweep.unfinished)
    cards = [
        (f"{len(sweep.settings):,}", "settings" if len(sweep.settings) != 1 else "setting"),
        (f"{len(sweep.runs):,}", f"finished runs, {missing} unfinished" if missing else "finished runs"),
    ]
    if sweep.attacks and sweep.finished:
        metric = f"attack/{sweep.attacks[0]}/auc"
        known = [s for s in sweep.finished if s.is_adaptive and s.estimate(metric).is_known]
        ends = [(min, "lowest"), (max, "highest")] if len(known) > 1 else [(max, "")] if known else []
        for pick, word in ends:
            setting = pick(known, key=lambda s: s.estimate(metric).value)
            where = f" ({setting.words})" if word else ""
            cards.append(
                (value_words(setting.estimate(metric).value), f"{word} AUC of {sweep.attacks[0]}{where}".strip())
            )
    seconds = sum(value for run in sweep.runs for name, value in run.metrics.items() if name.startswith("time/"))
    return [*cards, (duration_words(seconds), "of computing")] if seconds > 0 else cards


def _contents(titles: Sequence[tuple[str, str]]) -> Html:
    return element("nav", [element("a", title, href=f"#s-{name}") for name, title in titles], aria_label="contents")


# --- figures ----------------------------------------------------------------------------------------------------------


def _figure(exhibit: Exhibit, still: bytes) -> Html:
    source = f"data:image/png;base64,{base64.b64encode(still).decode()}"
    description = f"{exhibit.title}. {' '.join(chart.title for chart in exhibit.charts)}"
    return element(
        "figure",
        element("figcaption", exhibit.caption),
        element("div", _choices(exhibit), class_="controls script-only") if exhibit.choices else [],
        element("div", element("img", src=source, alt=description, loading="lazy"), class_="still"),
        element("div", class_="live"),
        id=exhibit.name,
        data_exhibit=True,
    )


def _choices(exhibit: Exhibit) -> list[Html]:
    return [
        element(
            "label", word, element("select", [element("option", value, value=str(k)) for k, value in enumerate(values)])
        )
        for word, values in zip(exhibit.choices, exhibit.options(), strict=True)
    ]


# --- what stands behind it --------------------------------------------------------------------------------------------


def _commands(sweep: Sweep) -> Html:
    """Return the command of every run, setting by setting."""
    found = [
        (s, [run for run in (*s.runs, *s.repeats, *s.unfinished) if run.tags.get("mia.command")])
        for s in sweep.settings
    ]
    rows = [_setting_commands(setting, runs) for setting, runs in found if runs]
    return joined(rows)


def _setting_commands(setting: Setting, runs: Sequence[StoredRun]) -> Html:
    commands = [element("pre", element("code", run.tags["mia.command"])) for run in runs]
    return element("details", element("summary", setting.words), commands)


def _warnings(sweep: Sweep) -> Html:
    """Return every warning once, with the number of runs that gave it."""
    lines = Counter(
        line for run in sweep.runs for line in run.tags.get("mia.warnings", "").splitlines() if line.strip()
    )
    items = [
        element("li", f"{line} ", element("span", f"({count} of {len(sweep.runs)} runs)", class_="quiet"))
        for line, count in lines.most_common()
    ]
    return element("ul", items) if items else Html("")


def _footer(page: Page) -> Html:
    runs = page.sweep.runs
    commits = Counter(_commit(run) for run in runs if run.tags.get("mia.git_commit"))
    code = f"; code {', '.join(commits)}" if commits else ""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return joined(
        [
            element(
                "p", f"Written by mia {__version__} on {when} from {len(runs)} finished runs{code}.", class_="quiet"
            ),
            element("p", f"Beside this file: {', '.join(page.beside)}.", class_="quiet"),
        ]
    )


def _commit(run: StoredRun) -> str:
    dirty = " with uncommitted changes" if run.tags.get("mia.git_dirty") == "true" else ""
    return run.tags["mia.git_commit"][:10] + dirty
