"""The small language of filters: `where='train.dropout < 0.5 and attack/loss/auc > 0.7'`.

Takes an expression over config keys and metrics, gives a function that tells whether values fit. Python's comparisons,
`and`, `or`, `not`, `in`, arithmetic and literals; no calls, no attributes, nothing is evaluated by name.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mia.checks import RequestError, did_you_mean

_NAME = re.compile(r"""("[^"]*"|'[^']*')|(?<![\w.])([^\W\d]\w*(?:[./][\w.%]+)*)""")
_SINGLE = re.compile(r"""("[^"]*"|'[^']*')|(?<![<>=!])=(?!=)""")
"""An equals sign by itself, as keys and values are typed elsewhere."""
STATUS = "status"
"""Is compared in lower case: MLflow says FINISHED, lists say finished."""
_WORDS = {word: word for word in ("and", "or", "not", "in", "True", "False", "None")}
_WORDS |= {"true": "True", "false": "False", "null": "None", "none": "None"}
_DO: dict[type, Callable[..., Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b, ast.Add: operator.add,
    ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.USub: operator.neg,
    ast.Not: operator.not_, ast.And: all, ast.Or: any,
}  # fmt: skip
_NODES = (ast.BoolOp, ast.Compare, ast.BinOp, ast.UnaryOp, ast.List, ast.Tuple, ast.Load, ast.Name, ast.Constant)


@dataclass(frozen=True)
class Where:
    """A parsed filter: call it with one run's values."""

    text: str
    names: tuple[str, ...]  # config keys and metrics that it asks for
    _tree: ast.expr

    def __call__(self, values: Mapping[str, Any]) -> bool:
        """Tell whether values fit. What is not there is false, and so is a comparison with it."""
        return self._holds(self._tree, values)

    def check(self, known: Iterable[str]) -> None:
        """Check that every name exists somewhere.

        Raises:
            RequestError: a name that no run has; the message says which was meant.
        """
        names = sorted(set(known))
        for name in self.names:
            if name not in names:
                raise RequestError(f"where: no run has {name}{did_you_mean(name, names)}")

    def _holds(self, node: Any, values: Mapping[str, Any]) -> bool:
        try:
            return bool(self._value(node, values))
        except (KeyError, TypeError, ZeroDivisionError):  # no such value, or words compared with numbers
            return False

    def _value(self, node: Any, values: Mapping[str, Any]) -> Any:
        match node:
            case ast.BoolOp():
                found = _DO[type(node.op)](self._holds(one, values) for one in node.values)
            case ast.UnaryOp(op=ast.Not()):
                found = not self._holds(node.operand, values)
            case ast.UnaryOp():
                found = _DO[type(node.op)](self._value(node.operand, values))
            case ast.BinOp():
                found = _DO[type(node.op)](self._value(node.left, values), self._value(node.right, values))
            case ast.Compare():
                found = self._compared(node, values)
            case ast.List() | ast.Tuple():
                found = [self._value(one, values) for one in node.elts]
            case ast.Name():
                found = values[self.names[int(node.id[1:])]]
            case _:
                found = node.value
        return found

    def _compared(self, node: ast.Compare, values: Mapping[str, Any]) -> bool:
        try:
            parts = (node.left, *node.comparators)
            terms = [self._value(one, values) for one in parts]
            if any(isinstance(one, ast.Name) and self.names[int(one.id[1:])] == STATUS for one in parts):
                terms = [_lower(one) for one in terms]
            return all(_DO[type(op)](a, b) for op, a, b in zip(node.ops, terms[:-1], terms[1:], strict=True))
        except (KeyError, TypeError, ZeroDivisionError):  # no such value, or words compared with numbers
            return False


def _lower(value: Any) -> Any:
    """Return words in lower case, those of a list as well."""
    if isinstance(value, list):
        return [_lower(one) for one in value]
    return value.lower() if isinstance(value, str) else value


def parse_where(text: str) -> Where:
    """Return the filter that an expression describes.

    Raises:
        RequestError: it cannot be read, or holds something other than comparisons.
    """
    names: dict[str, int] = {}

    def placeholder(found: re.Match[str]) -> str:
        word = found[2]
        return found[0] if word is None else _WORDS.get(word) or f"k{names.setdefault(word, len(names))}"

    doubled = _SINGLE.sub(lambda found: found[1] or "==", text.strip())
    try:
        tree = ast.parse(_NAME.sub(placeholder, doubled), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise RequestError(f"where={text!r} cannot be read; for example where='train.dropout < 0.5'") from error
    for node in ast.walk(tree):
        if not isinstance(node, (*_NODES, *_DO)):
            raise RequestError(f"where={text!r}: {type(node).__name__} is not allowed; only comparisons, and, or, not")
    if not isinstance(tree, ast.BoolOp | ast.Compare | ast.UnaryOp):
        raise RequestError(f"where={text!r} compares nothing; for example where='train.dropout < 0.5'")
    return Where(text, tuple(names), tree)
