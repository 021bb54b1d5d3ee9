"""HTML by construction: what is not an element is text, and text is always escaped.

Takes names, attributes and children, gives strings that are safe to join. Knows nothing of what the page says.
"""

import html
import re
from collections.abc import Iterable

VOID = frozenset({"img", "input", "meta", "br"})


class Html(str):
    """A string that is markup already."""

    __slots__ = ()


Child = str | Html | Iterable["str | Html"]


def element(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """Return an element. Children that are not `Html` are escaped; attributes that are None or False are left out.

    An attribute's underscores become hyphens, and a trailing one is dropped (`class_`).
    """
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{opening}>")
    return Html(f"<{name}{opening}>{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Html:
    """Return children one after the other, escaped where they are text."""
    parts = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(Html(html.escape(child)))
        else:
            parts.append(joined(child))
    return Html("".join(parts))


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'


def raw_text(name: str, text: str, /, **attributes: str | None) -> Html:
    """Return a `style` or `script` element around text of our own, which must not end the element itself."""
    assert not re.search(rf"</{name}", text, re.IGNORECASE), f"text of <{name}> must not close it"
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{opening}>{text}</{name}>")
