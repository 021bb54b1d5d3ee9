import base64
import csv
import dataclasses
import gzip
import hashlib
import html.parser
import json
import re

import pytest
from report_fakes import failed, fake_run, fake_sweep, fetch_file, run_of

from mia.report import look
from mia.report.page import library
from mia.report.sweep import report_files, write_report
from mia.study.frame import read_study
from mia.study.sentences import shared_warnings

EVIL = "<script>alert('x')</script>&\"</pre>{{ 7 * 7 }}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    runs = fake_sweep(tmp_path_factory.mktemp("runs"), sizes=(2500,), keys=("train.l2",), seeds=(0,), records=60)
    tags = {**runs[1].tags, "mia.warnings": "careful\nvery", "mia.git_commit": "abc" * 9}
    runs[1] = dataclasses.replace(runs[1], tags=tags)
    write_report(read_study(runs, fetch_file), out, title="Which strength?", question="First line.\nSecond line.")
    return out


class Parser(html.parser.HTMLParser):
    """Collects elements, their attributes and text, and checks that elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"img", "input", "meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.text.append(data)


def parsed(path) -> Parser:
    parser = Parser()
    parser.feed(path.read_text(encoding="utf-8"))
    assert parser.open == []
    return parser


def unpacked(path, name) -> str:
    packed = re.search(
        rf'<script type="application/gzip" id="{name}">([^<]*)</script>', path.read_text(encoding="utf-8")
    )
    assert packed is not None
    return gzip.decompress(base64.b64decode(packed[1])).decode()


def test_everything_is_beside_the_page(folder) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {"report.html", "summary.csv", "settings.csv", "differences.csv", "exposed.csv", "table.tex"}
    with (folder / "summary.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 9


@pytest.mark.slow
def test_pictures_are_drawn_where_they_are_wanted(tmp_path) -> None:
    runs = [fake_run(None, key="train.l2", strength=v, records=30) for v in (1e-3, 1e-2)]
    files = report_files(read_study(runs, fetch_file), title="x", has_pictures=True)
    assert files["figures/frontier.png"].startswith(b"\x89PNG")
    assert files["figures/cost.pdf"].startswith(b"%PDF")


def test_the_page_loads_nothing(folder) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href|action|data)\s*=\s*[\"']?\s*(https?:)?//", text, re.IGNORECASE)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|importScripts|sendBeacon|WebSocket|https?://", text)
    for tag, attributes in parsed(folder / "report.html").found:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert (attributes.get("src") or "data:").startswith("data:image/png;base64,") or "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")


def test_the_policy_allows_the_two_scripts_of_the_page_and_no_other(folder) -> None:
    parser = parsed(folder / "report.html")
    (policy,) = [a["content"] for _, a in parser.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    for script in (parser.scripts[-1], unpacked(folder / "report.html", "vega")):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_the_page_says_question_table_commands_and_failures(folder) -> None:
    parser = parsed(folder / "report.html")
    text = "".join(parser.text)
    for wanted in (
        "Which strength?",
        "First line.\nSecond line.",
        "L2 0.01, knows the defence",
        "DivergedError: the loss",
        "careful (1 of 8 runs)",
        "mia data=cifar10 model=cnn seed=0 split.size=2500 attacker.adaptive=True train.l2=0.0001",
        "abcabcabca",
    ):
        assert wanted in text
    ids = [attributes["id"] for _, attributes in parser.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for tag, attributes in parser.found if tag == "a"}
    assert targets <= {f"#{one}" for one in ids}


def test_there_is_one_copy_of_the_data_for_all_figures(folder) -> None:
    content = json.loads(unpacked(folder / "report.html", "data"))
    assert set(content) == {"figures", "datasets", "config", "dark"}
    assert content["dark"] == look.DARK
    figures = [a["data-figure"] for tag, a in parsed(folder / "report.html").found if tag == "figure"]
    assert figures == list(content["figures"])
    wanted = set().union(*(look.data_names(spec) for spec in content["figures"].values()))
    assert wanted == set(content["datasets"])
    rows = content["datasets"]["settings"]
    assert len(rows) == 8
    assert "mia data=cifar10" in rows[0]["command"]


def test_what_comes_from_outside_is_text(tmp_path) -> None:
    runs = [fake_run(tmp_path / "runs", key="train.l2", strength=v, records=30) for v in (1e-3, 1e-2)]
    runs = [
        dataclasses.replace(
            run,
            name=EVIL,
            metrics={name.replace("/loss/", f"/{EVIL}/"): value for name, value in run.metrics.items()},
            tags={**run.tags, "mia.command": f"mia {EVIL}", "mia.warnings": EVIL},
        )
        for run in runs
    ]
    runs.append(failed(dataclasses.replace(runs[0], id="f", tags={}), EVIL))
    path = write_report(read_study(runs, fetch_file), tmp_path / "out", title=EVIL, question=EVIL)
    text = path.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "49" not in "".join(parsed(path).text).partition(EVIL)[0]
    scripts = [attributes for tag, attributes in parsed(path).found if tag == "script"]
    assert [one.get("id") for one in scripts] == ["data", "vega", None]


def test_a_path_that_ends_in_html_is_the_page(tmp_path) -> None:
    path = write_report(read_study([fake_run(None, records=20)], fetch_file), tmp_path / "a.html", title="x")
    assert path == tmp_path / "a.html"
    assert (tmp_path / "summary.csv").exists()


def test_no_runs_make_a_page_too(tmp_path) -> None:
    for runs in ([], [failed(run_of("a"), "out of memory")]):
        path = write_report(read_study(runs, fetch_file), tmp_path, title="x")
        assert "figure" not in {tag for tag, _ in parsed(path).found}


@pytest.mark.slow
def test_a_page_of_two_hundred_runs_is_small(tmp_path) -> None:
    keys = ("train.l2", "train.dropout", "train.mixup", "defence.k")
    runs = fake_sweep(tmp_path, (2500, 5000, 10000), keys, seeds=(0, 1), records=300)
    assert len(runs) > 190
    page = report_files(read_study(runs, fetch_file), title="x")["report.html"]
    assert len(page) < 2e6


def test_warnings_that_differ_in_numbers_only_are_said_once() -> None:
    lines = ["400 non-members x 0.1% is less", "800 non-members x 0.1% is less", "C3 of split.size=5 is odd"]
    runs = [
        dataclasses.replace(run_of(str(k)), tags={"mia.warnings": line}) for k, line in enumerate([*lines, lines[2]])
    ]
    assert shared_warnings(runs) == [(lines[0], 2), (lines[2], 2)]
    edges = ["C lies on the edge in classes 0, 1, 2: 1,313 records", "C lies on the edge in classes 4, 8: 20 records"]
    runs = [dataclasses.replace(run_of(line), tags={"mia.warnings": line}) for line in edges]
    assert shared_warnings(runs) == [(edges[0], 2)]


def test_the_library_is_bundled_once_and_again_when_its_copy_is_damaged(tmp_path, monkeypatch) -> None:
    made = []

    def bundle(**_):
        made.append(1)
        return "library"

    monkeypatch.setattr("vl_convert.javascript_bundle", bundle)
    monkeypatch.setattr("mia.report.page.cache_folder", lambda: tmp_path)
    assert library.__wrapped__() == library.__wrapped__()
    assert len(made) == 1
    (path,) = (tmp_path / "report").iterdir()
    path.write_bytes(b"damaged")
    assert gzip.decompress(library.__wrapped__()) == b"library"
    monkeypatch.setattr("mia.report.page.cache_folder", lambda: path)  # a file: nothing can be kept
    assert gzip.decompress(library.__wrapped__()) == b"library"
    assert len(made) == 3
