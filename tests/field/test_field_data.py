"""Every field case of a data set has its right outcome: a refusal in one line, or the true values."""

import warnings

import pytest
from field_cases import CASES

from mia.checks import RequestError
from mia.data import DATASETS, load


def ask(case, folder):
    """Load a case's data set."""
    name = "table" if case.data == "parquet" else case.data
    needed = {"label": "class"} if name == "table" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(DATASETS[name].options(**{"path": str(case.make(folder)), **needed, **case.options}))


@pytest.mark.parametrize("name", CASES)
def test_the_case_has_its_right_outcome(name, tmp_path):
    case = CASES[name]
    if case.refused:
        with pytest.raises(RequestError) as error:
            ask(case, tmp_path)
        text = str(error.value)
        assert text.startswith("data."), text
        assert text.isprintable(), text
        for words in case.refused:
            assert words in text
        return
    data = ask(case, tmp_path)
    if case.check:
        assert case.check(data) is not False
    for words in case.notes:
        assert any(words in note for note in data.notes), data.notes
    assert all(note.isprintable() for note in data.notes)
