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
_WORDS = {"and", "or", "not", "in", "True", "False", "None"}
_CONSTANTS = {"true": "True", "false": "False", "null": "None", "none": "None"}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_COMPUTE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


class _MissingError(Exception):
    """A value that this run does not have."""


@dataclass(frozen=True)
class Where:
    """A parsed filter: call it with one run's values."""

    text: str
    names: tuple[str, ...]  # config keys and metrics that it asks for
    _tree: ast.expr

    def __call__(self, values: Mapping[str, Any]) -> bool:
        """Tell whether values fit. A comparison with something that is not there is false."""
        return bool(self._value(self._tree, values))

    def check(self, known: Iterable[str]) -> None:
        """Check that every name exists somewhere.

        Raises:
            RequestError: a name that no run has; the message says which was meant.
        """
        names = sorted(set(known))
        for name in self.names:
            if name not in names:
                raise RequestError(f"where: no run has {name}{did_you_mean(name, names)}")

    def _value(self, node: ast.expr, values: Mapping[str, Any]) -> Any:
        match node:
            case ast.BoolOp(op=ast.And()):
                return all(self._value(one, values) for one in node.values)
            case ast.BoolOp():
                return any(self._value(one, values) for one in node.values)
            case ast.UnaryOp(op=ast.Not()):
                return not self._value(node.operand, values)
            case ast.UnaryOp():
                return -self._value(node.operand, values)
            case ast.Compare():
                return self._compared(node, values)
            case ast.BinOp():
                return _COMPUTE[type(node.op)](self._value(node.left, values), self._value(node.right, values))
            case ast.List() | ast.Tuple():
                return [self._value(one, values) for one in node.elts]
            case ast.Name():
                name = self.names[int(node.id[1:])]
                if name not in values:
                    raise _MissingError
                return values[name]
            case ast.Constant():
                return node.value
        raise AssertionError(ast.dump(node))

    def _compared(self, node: ast.Compare, values: Mapping[str, Any]) -> bool:
        try:
            left = self._value(node.left, values)
            for op, other in zip(node.ops, node.comparators, strict=True):
                right = self._value(other, values)
                if not _COMPARE[type(op)](left, right):
                    return False
                left = right
        except (_MissingError, TypeError, ZeroDivisionError):  # no such value, or words compared with numbers
            return False
        return True


def parse_where(text: str) -> Where:
    """Return the filter that an expression describes.

    Raises:
        RequestError: it cannot be read, or holds something other than comparisons.
    """
    names: dict[str, int] = {}

    def placeholder(found: re.Match[str]) -> str:
        word = found[2]
        if word is None or word in _WORDS:
            return found[0]
        return _CONSTANTS.get(word.lower()) or f"k{names.setdefault(word, len(names))}"

    doubled = _SINGLE.sub(lambda found: found[1] or "==", text.strip())
    try:
        tree = ast.parse(_NAME.sub(placeholder, doubled), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise RequestError(f"where={text!r} cannot be read; for example where='train.dropout < 0.5'") from error
    for node in ast.walk(tree):
        is_fine = isinstance(
            node,
            ast.BoolOp | ast.And | ast.Or | ast.Not | ast.USub | ast.Compare | ast.List | ast.Tuple | ast.Load
            | ast.Name | ast.Constant,
        ) or type(node) in _COMPARE or type(node) in _COMPUTE  # fmt: skip
        is_fine = is_fine or isinstance(node, ast.BinOp | ast.UnaryOp)
        if not is_fine:
            raise RequestError(f"where={text!r}: {type(node).__name__} is not allowed; only comparisons, and, or, not")
    if not isinstance(tree, ast.BoolOp | ast.Compare | ast.UnaryOp):
        raise RequestError(f"where={text!r} compares nothing; for example where='train.dropout < 0.5'")
    return Where(text, tuple(names), tree)
