"""The page: one HTML file that needs no network, with one copy of the data and of the library that draws.

Takes sections and figures, gives HTML. Whatever comes from configs, tags or file names is escaped by the template. A
strict policy forbids any script but the page's own two, known by their hashes, and anything from elsewhere.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from mia.data.cache import cache_folder
from mia.files import StorageError, whole_file
from mia.report import look
from mia.report.tables import Table

NAME = "report.html"
BUNDLED = "window.vegaEmbed = vegaEmbed;"  # what page.js calls; each name more costs time to bundle


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

    @classmethod
    def on(cls, page: str, name: str, note: str = "", **content: Any) -> Self:
        """Return a section of a page with its title, and its note where none is given, from `assets/figures.yaml`."""
        said = look.templates()["sections"][page][name]
        return cls(name, said["title"], note or said.get("note", ""), **content)

    @classmethod
    def of(cls, figure: look.Figure) -> Self:
        """Return the section of a figure."""
        return cls(figure.name, figure.title, figure.caption, figure=True)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing but a title."""
        return not (self.tables or self.figure or self.picture or self.commands or self.lines)


@dataclass(frozen=True)
class Page:
    """What a page is made of."""

    title: str
    sections: Sequence[Section]
    figures: Sequence[look.Figure]
    data: Mapping[str, Any]  # frames, or lists of lines, by the names that figures ask for
    question: str = ""
    command: str = ""
    cards: Sequence[tuple[str, str]] = ()
    footer: Sequence[str] = ()


def page_html(page: Page) -> str:
    """Return the whole page."""
    from markupsafe import Markup

    packed, script, css = library(), *(Markup(look.asset(f"page.{kind}")) for kind in ("js", "css"))  # noqa: S704 - ours
    specs = {one.name: one.spec for one in page.figures}
    wanted = look.data_names(list(specs.values()))
    datasets = {name: look.records(data) for name, data in page.data.items() if name in wanted}
    content = {"figures": specs, "config": look.config(), "dark": look.DARK, "datasets": datasets}
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


@cache
def _template() -> Any:
    import jinja2

    return jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        look.asset("page.html")
    )


@cache
def library() -> bytes:
    """Return Vega, Vega-Lite and Vega-Embed (BSD licence) as vl-convert bundles them, compressed.

    Bundling takes over a second, so that it is kept in the user's cache folder.
    """
    import vl_convert

    version = look.vegalite_version()
    path = cache_folder() / "report" / f"vega-{metadata.version('vl-convert-python')}-{version}.js.gz"
    with suppress(OSError, EOFError, gzip.BadGzipFile):
        content = path.read_bytes()
        gzip.decompress(content)
        return content
    bundle = vl_convert.javascript_bundle(snippet=BUNDLED, vl_version=version)
    content = gzip.compress(bundle.encode(), 9, mtime=0)
    with suppress(StorageError), whole_file(path) as temporary:  # else it is made again next time
        temporary.write_bytes(content)
    return content


def write_files(files: Mapping[str, bytes], out: Path) -> Path:
    """Write a page and what lies beside it into a folder, or to the path of a page; return the page's path.

    Raises:
        StorageError: the folder cannot be written.
    """
    target = out if out.suffix == ".html" else out / NAME
    for name, content in files.items():
        with whole_file(target if name == NAME else target.parent / name) as temporary:
            temporary.write_bytes(content)
    return target
