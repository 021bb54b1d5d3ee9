import base64
import csv
import dataclasses
import gzip
import html.parser
import json
import re

import plotly.graph_objects as go
import pytest
from report_fakes import failed, fake_run, fake_sweep, fetch_file, run_of

from mia.report.chart import Axis, Chart, Guide, Series
from mia.report.interactive import plotly_chart
from mia.report.markup import Html, element, joined, raw_text
from mia.report.page import write_report
from mia.report.style import DARK, LIGHT

EVIL = "<script>alert('x')</script>&\"</pre>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    runs = fake_sweep(tmp_path_factory.mktemp("runs"), sizes=(2500,), keys=("train.l2",), seeds=(0,), records=60)
    runs[1] = dataclasses.replace(
        runs[1], tags={**runs[1].tags, "mia.warnings": "careful\nvery", "mia.git_commit": "abc" * 9}
    )
    write_report(runs, out, title="Which strength?", question="First line.\nSecond line.", fetch=fetch_file)
    return out


class Parser(html.parser.HTMLParser):
    """Collects elements, their attributes, and checks that elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"img", "input", "meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text.append(data)


def parsed(path) -> Parser:
    parser = Parser()
    parser.feed(path.read_text(encoding="utf-8"))
    assert parser.open == []
    return parser


def charts_of(path) -> dict:
    packed = re.search(
        r'<script type="application/gzip" id="charts">([^<]*)</script>', path.read_text(encoding="utf-8")
    )
    assert packed is not None
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def test_everything_is_beside_the_page(folder) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {"report.html", "summary.csv", "settings.csv", "differences.csv", "table.tex", "figures"}
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert {"frontier.png", "frontier.pdf", "frontier_accuracy.pdf", "roc.png", "cost.pdf"} <= figures
    with (folder / "summary.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 9


def test_the_page_loads_nothing(folder) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href|action|data)\s*=\s*[\"']?\s*(https?:)?//", text, re.IGNORECASE)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|importScripts|sendBeacon|WebSocket", text)
    assert "https://" not in text
    policies = [a["content"] for tag, a in parsed(folder / "report.html").found if a.get("http-equiv")]
    assert policies[0].startswith("default-src 'none'; img-src data: blob:;")
    for tag, attributes in parsed(folder / "report.html").found:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert (attributes.get("src") or "data:").startswith("data:image/png;base64,") or "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")


def test_the_page_says_question_table_commands_and_failures(folder) -> None:
    parser = parsed(folder / "report.html")
    text = "".join(parser.text)
    for wanted in (
        "Which strength?",
        "First line.\nSecond line.",
        "L2 0.01, adaptive",
        "DivergedError: the loss",
        "careful",
        "mia data=cifar10 model=cnn seed=0 split.size=2500 train.l2=0.0001",
        "abcabcabca",
    ):
        assert wanted in text
    ids = [attributes["id"] for _, attributes in parser.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for tag, attributes in parser.found if tag == "a"}
    assert targets <= {f"#{one}" for one in ids}


def test_each_choice_has_its_charts(folder) -> None:
    data = charts_of(folder / "report.html")
    assert data["themes"] == {"light": LIGHT, "dark": DARK}
    frontier = data["exhibits"]["frontier"]["variants"]
    assert len(frontier) == 4 * 2  # attacks, metrics that so few records can show
    assert all(charts for exhibit in data["exhibits"].values() for charts in exhibit["variants"].values())
    parser = parsed(folder / "report.html")
    figures = [attributes["id"] for tag, attributes in parser.found if tag == "figure"]
    assert figures == list(data["exhibits"])


def test_plotly_accepts_every_kind_of_chart(folder) -> None:
    """The first variant of every exhibit is valid for the library that draws it."""
    data = charts_of(folder / "report.html")
    for exhibit in data["exhibits"].values():
        for chart in next(iter(exhibit["variants"].values())):
            text = re.sub(r'"@(\w+)~?"', lambda found: f'"{LIGHT[found[1]]}"', json.dumps(chart))
            plain = json.loads(text)
            go.Figure(plain["data"], plain["layout"])


def test_what_comes_from_outside_is_text(tmp_path) -> None:
    runs = [fake_run(tmp_path / "runs", key="train.l2", strength=v, records=30) for v in (1e-3, 1e-2)]
    runs = [
        dataclasses.replace(
            run,
            name=EVIL,
            params={**run.params, "data.name": f"{EVIL}{k}"},
            metrics={name.replace("/loss/", f"/{EVIL}/"): value for name, value in run.metrics.items()},
            tags={**run.tags, "mia.command": f"mia {EVIL}", "mia.warnings": EVIL},
        )
        for k, run in enumerate(runs)
    ]
    runs.append(failed(dataclasses.replace(runs[0], id="f", tags={}), EVIL))
    path = write_report(runs, tmp_path / "out", title=EVIL, question=EVIL, fetch=fetch_file)
    text = path.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    parser = parsed(path)
    scripts = [attributes for tag, attributes in parser.found if tag == "script"]
    assert [one.get("id") for one in scripts] == ["charts", "plotly", None]
    assert "<script>" not in json.dumps(
        [c["data"] for e in charts_of(path)["exhibits"].values() for v in e["variants"].values() for c in v]
    )


def test_a_single_run_and_no_run_have_a_page(tmp_path) -> None:
    one = write_report([fake_run(None, records=30)], tmp_path / "one.html", title="One run")
    assert (one, one.exists()) == (tmp_path / "one.html", True)
    assert "all runs" in "".join(parsed(one).text)
    for runs in ([], [failed(run_of("a"), "out of memory")]):
        path = write_report(runs, tmp_path / "none", title="Nothing")
        assert list(charts_of(path)["exhibits"]) == []
        parsed(path)


def test_nan_never_reaches_json() -> None:
    nan = float("nan")
    bounds, base = ([nan, 1], [nan, 3]), [0, nan]
    series = [
        Series("s", [1, nan], [nan, 2], shape=shape, y_bounds=bounds, base=base, labels=["a", "b"])
        for shape in ("line", "points", "line+points", "bars", "hbars", "band", "area")
    ]
    chart = plotly_chart(
        Chart("t", Axis("x"), Axis("y", is_log=True), series, [Guide(0.5, "chance"), Guide(1, "g", is_vertical=True)])
    )
    assert "NaN" not in json.dumps(chart)
    json.dumps(chart, allow_nan=False)


def test_markup_escapes_text_and_attributes_but_not_markup() -> None:
    inner = element("b", "<&>", title='"')
    assert inner == '<b title="&quot;">&lt;&amp;&gt;</b>'
    assert (
        element("p", inner, ["a<", Html("<i>")], hidden=True, class_=None, data_x=1)
        == f'<p hidden data-x="1">{inner}a&lt;<i></p>'
    )
    assert joined([]) == ""
    with pytest.raises(AssertionError):
        raw_text("script", "'</SCRIPT>'")
