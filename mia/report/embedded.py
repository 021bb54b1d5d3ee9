"""What the page's script reads: the charts as data and the plotting library, both compressed.

Takes exhibits, gives script elements that hold base64 of gzip: a third of the bytes, and no text in them can end the
element or look like an address.
"""

import base64
import gzip
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from mia.report.chart import Exhibit
from mia.report.interactive import plotly_chart
from mia.report.markup import Html, raw_text
from mia.report.style import DARK, LIGHT


def embedded_charts(exhibits: Sequence[Exhibit]) -> Html:
    """Return the element with every chart of every choice, and the colours of both themes."""
    data = {"themes": {"light": LIGHT, "dark": DARK}, "exhibits": {one.name: exhibit_data(one) for one in exhibits}}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return _packed("charts", text.encode())


def exhibit_data(exhibit: Exhibit) -> dict[str, Any]:
    """Return the charts of each choice; a choice is named by the places of its values, as "0,2"."""
    options = exhibit.options()
    return {
        "variants": {
            ",".join(str(values.index(value)) for value, values in zip(key, options, strict=True)): [
                plotly_chart(chart) for chart in charts
            ]
            for key, charts in exhibit.variants.items()
        }
    }


@cache
def embedded_library() -> Html:
    """Return the element with plotly.js (MIT licence), from the installed package."""
    from plotly.offline import get_plotlyjs

    return _packed("plotly", get_plotlyjs().encode())


def _packed(name: str, content: bytes) -> Html:
    packed = base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode()
    return raw_text("script", packed, type="application/gzip", id=name)
