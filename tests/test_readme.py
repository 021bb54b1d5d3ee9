"""What the README shows works as it stands: its Python runs, its commands run or are composed, its YAML is read.

Every snippet is taken from README.md. A command that needs a download, a cluster, a server or long time is not run: the
reason stands beside it in `NOT_RUN`, and its request is composed all the same, so that no key in it can be wrong.
"""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
COMMANDS = ("ui", "report", "audit", "plan", "pools", "runs", "status", "diff", "note", "rm")


def blocks(language):
    return [text for found, text in BLOCKS if found == language]


def typed():
    """Return the commands of all shell blocks and of the steps of the workflow, without comments."""
    lines = [line for text in blocks("sh") for line in text.splitlines()]
    steps = [line.partition("run: ")[2] for text in blocks("yaml") for line in text.splitlines() if "- run: " in line]
    found = [shlex.split(line, comments=True) for line in [*lines, *steps]]
    return [words for words in found if words]


MIA = [words[1:] for words in typed() if words[0] == "mia"]
NOT_RUN = {
    "data=cifar10": "needs a download",
    "+sweeps=data_size": "needs a download, and an hour",
    "+sweeps=search": "needs a download, and an hour",
    "+sweeps=regularization": "needs pictures, and hours",
    "ui": "serves until it is stopped",
    "split.size=100,200,400": "takes minutes",
    "train.dp.epsilon=8": "takes minutes",
    "runs": "needs runs",
    "report": "needs the runs of a sweep that is not run here",
    "status": "needs a sweep that is not run here",
    "audit plan=plan.npz": "its predictions are made by the code of mia plan: tests/test_plans.py",
}
"""Commands that are composed only, by words they hold, and why."""


def reason(words):
    line = " ".join(words)
    return next((why for part, why in NOT_RUN.items() if line.startswith(part) or part in words), "")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder with a store of its own and the file of predictions that the README speaks of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIA_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    np.savez(
        "predictions.npz", target_logits=rng.normal(size=(200, 3)), target_member=np.tile([0, 1], 100),
        labels=rng.integers(0, 3, 200), shadow_logits=rng.normal(size=(4, 200, 3)),
        shadow_member=rng.integers(0, 2, (4, 200)),
    )  # fmt: skip
    return tmp_path


def test_the_readme_is_short_enough_to_read():
    assert len(README.read_text().splitlines()) < 300


def test_every_reason_not_to_run_is_about_a_command_that_is_there():
    assert all(any(reason(words) == why for words in MIA) for why in NOT_RUN.values())


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs_as_it_stands(code, here, capsys):
    exec(compile(code, "README.md", "exec", dont_inherit=True), {"__name__": "readme"})  # noqa: S102
    if "print(" in code:
        assert "lira_online" in capsys.readouterr().out


@pytest.mark.parametrize("words", MIA, ids=" ".join)
def test_commands_are_composed(words, here):
    from mia.composition import compose_config, read_request
    from mia.config import AuditConfig, Config, PlanConfig, to_options
    from mia.overrides import tidy

    name = words[0] if words and words[0] in COMMANDS else ""
    rest = [word for word in words[bool(name) :] if not word.startswith("-") and word != "job"]
    if name in ("audit", "plan"):
        assert to_options(compose_config(rest, name), {"audit": AuditConfig, "plan": PlanConfig}[name])
    elif name:
        assert tidy(rest) is not None
    elif "-m" in words:
        assert read_request(rest).overrides
    else:
        assert to_options(compose_config(rest), Config)


@pytest.mark.slow
@pytest.mark.parametrize("words", [words for words in MIA if not reason(words)], ids=" ".join)
def test_commands_run_as_they_stand(words, here, capsys):
    from mia.cli.main import dispatch

    code = dispatch(words)
    assert code in (0, 3 if "limit." in " ".join(words) else 0), capsys.readouterr().err


@pytest.mark.parametrize("text", blocks("yaml"), ids=lambda text: text.splitlines()[0])
def test_yaml_is_read(text, tmp_path, monkeypatch):
    if "_global_" not in text:
        assert yaml.safe_load(text)["jobs"]["audit"]["steps"]
        return
    from mia.composition import read_request

    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "shown.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    (file,) = read_request(["+sweeps=shown"]).files.values()
    assert file.question.startswith("Question: how much L2")
    assert set(file.node["hydra"]["sweeper"]["params"]) == {"split.size", "train.l2", "attacker.adaptive"}


def test_the_other_lines_of_shell_are_those_that_install():
    others = [words for words in typed() if words[0] != "mia"]
    assert all("pip" in " ".join(words) for words in others), others
