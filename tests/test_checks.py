"""What errors for people look like."""

import pickle

import pytest

from mia.checks import RequestError


@pytest.mark.parametrize(
    ("given", "shown"),
    [("plain ü €", "plain ü €"), ("\x1b[2J", "\\x1b[2J"), ("a\nb\0", "a\\nb\\x00"), ("\u202e\ud800", "\\u202e\\ud800")],
)
def test_an_error_is_one_line_that_no_terminal_obeys(given, shown):
    error = RequestError(given)
    assert str(error) == shown
    assert str(pickle.loads(pickle.dumps(error))) == shown  # noqa: S301 - as between the workers of a sweep
