import pytest

from mia.checks import RequestError
from mia.tracking.where import parse_where

VALUES = {
    "train.dropout": 0.25,
    "data.name": "cifar10",
    "attacker.adaptive": True,
    "split.size": 2500,
    "attack/lira_online/tpr_at_0.1pct_fpr": 0.2,
    "status": "FINISHED",
    "train.dp.epsilon": None,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.dropout < 0.5", True),
        ("0.1 < train.dropout < 0.2", False),
        ("data.name == 'cifar10' and not split.size > 5000", True),
        ("data.name in ['digits', \"cifar10\"]", True),
        ("data.name not in ('digits',)", True),
        ("attack/lira_online/tpr_at_0.1pct_fpr >= 0.2", True),
        ("attacker.adaptive == true", True),
        ("train.dp.epsilon == null", True),
        ("split.size / 2 == 1250 or 1 > 2", True),
        ("split.size == -2500", False),
        ("missing.key != 3", False),
        ("train.dropout < 'a'", False),
        ("train.dropout < 0.5 and missing > 1 or status == 'FINISHED'", True),
        ("data.name == 'and'", False),
        ("status = 'finished' and 'Finished' == status", True),
        ("status in ['failed', 'finished'] and status != 'killed'", True),
        ("status != 'finished' or data.name = 'CIFAR10'", False),
        ("attack/loss/auc and split.size = 2500", False),
        ("split.size = 2500 and (attack/loss/auc or attacker.adaptive)", True),
        ("not attack/loss/auc", True),
        ("not -missing", True),
        ("-missing", False),
        ("train.dropout and split.size", True),
        ("status < 3 or 'a' - 1", False),
    ],
)
def test_expressions(text, expected) -> None:
    assert parse_where(text)(VALUES) is expected


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "().__class__", "train.dropout", "lambda: 1", "[x for x in 'a']", "1 +", "a < b; c",
     "a[0] < 1", "f'{a}' == 'x'", "2 ** 9 < 3", "(a := 3) > 1", "", "'a' 'b'"],
)  # fmt: skip
def test_anything_but_comparisons_is_refused_in_one_line(text) -> None:
    with pytest.raises(RequestError, match="where=") as error:
        parse_where(text)
    assert "\n" not in str(error.value)


def test_names_are_those_of_the_config() -> None:
    assert parse_where("train.dropout < 0.5 and attack/a/auc > 0.1e0").names == ("train.dropout", "attack/a/auc")
