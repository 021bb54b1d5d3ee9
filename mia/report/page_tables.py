"""The page's tables: one row per setting, sorted and filtered by the page's script.

Takes a sweep, gives HTML. The same cells as in Markdown and LaTeX, for every attack.
"""

import math

from mia.report.markup import Html, element, joined
from mia.report.published import CAPTION, published_table
from mia.report.settings import Sweep
from mia.report.summary import caption
from mia.report.table import Cell, Table, attack_table, failure_words, summary_table

MOST_TABLES = 8


def summary_section(sweep: Sweep) -> Html:
    """Return the tables of a sweep, a choice between them, and what did not finish."""
    if not sweep.settings:
        return element("p", "There are no runs yet.")
    tables = [(f"leakage under {attack}", summary_table(sweep, attack)) for attack in sweep.attacks[:MOST_TABLES]]
    tables = tables or [("utility", summary_table(sweep))]
    if len(sweep.attacks) > 1:
        tables.append(("AUC of every attack", attack_table(sweep)))
    options = [element("option", name, value=str(k)) for k, (name, _) in enumerate(tables)]
    controls = [
        element("label", "table", element("select", options, data_tables="summary")),
        element(
            "label",
            "only rows with",
            element("input", type="search", data_filter="tables", placeholder="such as L2 adaptive"),
        ),
    ]
    bodies = [_table(table, k) for k, (_, table) in enumerate(tables)]
    failures = [element("li", element("b", run.name), f" {failure_words(run)}") for run in sweep.unfinished]
    return joined(
        [
            element("p", caption(sweep), class_="quiet"),
            element("div", controls, class_="controls script-only"),
            element("div", bodies, id="tables"),
            [element("p", "Not finished:"), element("ul", failures)] if failures else [],
        ]
    )


def published_section(sweep: Sweep) -> Html:
    """Return what others have published of the same experiments beside ours; nothing where there is nothing."""
    table = published_table(sweep)
    return joined([element("p", CAPTION, class_="quiet"), _table(table, 0, "published")]) if table else Html("")


def _table(table: Table, position: int, name: str = "summary") -> Html:
    """Return a table whose first column is the whole setting; it stays in sight when the others scroll."""
    first = table.num_keys - 1
    headings = [
        element("th", "setting", class_="key", scope="col", data_sort=True, tabindex=0),
        *(element("th", text, scope="col", data_sort=True, tabindex=0) for text in table.headings[first:]),
    ]
    rows = [
        element("tr", element("td", setting.words, class_="key", data_value=k), [_cell(cell) for cell in row[first:]])
        for k, (setting, row) in enumerate(zip(table.settings, table.rows, strict=True))
    ]
    content = element("table", element("thead", element("tr", headings)), element("tbody", rows))
    return element("div", content, class_="scroll", data_table=name, data_name=position, hidden=position > 0,
                   tabindex=0, role="region", aria_label="table of settings")  # fmt: skip


def _cell(cell: Cell) -> Html:
    is_missing = isinstance(cell.value, float) and math.isnan(cell.value)
    interval = element("small", cell.interval) if cell.interval else []
    return element("td", cell.text, interval, class_="best" if cell.is_best else None,
                   data_value="" if is_missing else cell.value)  # fmt: skip
