"""Names, options and config files agree; impossible attacks are refused in one line that says what to change."""

import dataclasses
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from attack_cases import EVERY, random_signals
from omegaconf import OmegaConf

from mia.attacks import options
from mia.attacks.options import AttackOptions
from mia.attacks.registry import ATTACKS, NEEDS, check_possible, fewest_shadows, run_attack
from mia.checks import RequestError

CONF = Path(__file__).parents[2] / "conf/attack"


def test_every_attack_has_options_a_function_and_a_config_file():
    names = [field.name for field in dataclasses.fields(AttackOptions) if field.name not in ("prior", "growth")]
    assert sorted(names) == sorted(ATTACKS) == sorted(path.stem for path in CONF.glob("*.yaml"))
    for name, spec in ATTACKS.items():
        assert callable(spec.function())
        assert set(spec.needs) <= set(NEEDS)
        assert spec.citation[-4:].isdigit()
        assert AttackOptions(**{name: spec.options()}).chosen() == {name: spec.options()}


@pytest.mark.parametrize("name", [*EVERY, "label_only"])
def test_config_file_states_the_defaults(name):
    text = (CONF / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    assert "Needs: " in text
    (key,) = (values := OmegaConf.create(text)).keys()
    assert key == name
    assert OmegaConf.to_container(values)[name] == dataclasses.asdict(ATTACKS[name].options())


def test_names_and_options_are_light():
    heavy = "{'jax', 'sklearn', 'scipy', 'matplotlib'}"
    code = f"import sys, mia.attacks.options, mia.attacks.registry; sys.exit(bool({heavy} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: options.LiraOnlineOptions(variance="globl"), "attack.lira_online.variance='globl'"),
        (lambda: options.LiraOnlineOptions(queries=19), "attack.lira_online.queries=19 must be at most 18"),
        (lambda: options.LiraOfflineOptions(offline="onesided"), "did you mean 'one_sided'"),
        (lambda: options.LiraOfflineOptions(location="mode"), "attack.lira_offline.location='mode'"),
        (lambda: options.RmiaOnlineOptions(gamma=0.0), "attack.rmia_online.gamma=0"),
        (lambda: options.RmiaOfflineOptions(a=1.5), "attack.rmia_offline.a=1.5"),
        (lambda: options.LabelOnlyOptions(queries=1), "attack.label_only.queries=1"),
        (lambda: options.AttackOptions(prior=1.0), "attack.prior=1.0"),
    ],
)
def test_impossible_values_name_the_key(make, message):
    with pytest.raises(RequestError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "protocol", "shadows", "message"),
    [
        ("lira_online", "disjoint", 10, "set split.protocol=pool or use attack=lira_offline"),
        ("rmia_online", "disjoint", 10, "set split.protocol=pool or use attack=rmia_offline"),
        ("lira_online", "pool", 2, "split.num_shadows=2 is too few for attack=lira_online.*it needs 3"),
        ("lira_offline", "disjoint", 1, "it needs 2"),
        ("rmia_online", "pool", 1, "it needs 2"),
        ("calibration", "disjoint", 0, "it needs 1"),
        ("lira_onlin", "pool", 8, "did you mean 'lira_online'"),
    ],
)
def test_impossible_before_training(name, protocol, shadows, message):
    with pytest.raises(RequestError, match=message):
        check_possible(name, EVERY.get(name), protocol, shadows)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("protocol", ["disjoint", "pool"])
def test_fewest_shadows_are_enough_and_one_less_is_not(name, protocol):
    for variance in ("global", "per_record") if name.startswith("lira") else ("",):
        chosen = replace(EVERY[name], variance=variance) if variance else EVERY[name]
        if protocol == "disjoint" and "in_models" in ATTACKS[name].needs:
            continue
        fewest = fewest_shadows(name, chosen, protocol)
        check_possible(name, chosen, protocol, fewest)
        assert not np.isnan(run_attack(name, protocol_signals(protocol, fewest), chosen, 0).score).all()
        if fewest:
            with pytest.raises(RequestError):
                run_attack(name, protocol_signals(protocol, fewest - 1), chosen, 0)


def protocol_signals(protocol, shadows):
    """Return signals whose membership is as the split makes it."""
    signals, _ = random_signals(shadows=shadows, records=200)
    membership, own = signals.shadow_membership.copy(), signals.shadow_own
    if protocol == "pool":
        membership[1::2] = 1 - membership[: len(membership[1::2]) * 2 : 2]
        return replace(signals, shadow_membership=membership)
    is_candidate = np.arange(200) < 80
    membership[:, is_candidate] = 0
    own = own & ~is_candidate
    return replace(signals, shadow_membership=membership, shadow_own=own, is_candidate=is_candidate)


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        (
            {"shadow_membership": np.zeros((8, 60), np.int8)},
            "lira_online",
            "set split.protocol=pool or use lira_offline",
        ),
        ({"shadow_membership": np.ones((8, 60), np.int8)}, "calibration", "add shadows"),
        ({"is_candidate": np.zeros(60, bool)}, "gap", "none of the 0 records"),
        ({}, "label_only", "needs to ask the models"),
        ({}, "lra_online", "did you mean 'lira_online'"),
    ],
)
def test_impossible_signals(change, name, message):
    signals = replace(random_signals()[0], **change)
    with pytest.raises(RequestError, match=message) as error:
        run_attack(name, signals, EVERY.get(name, options.LabelOnlyOptions()), 0)
    assert "\n" not in str(error.value)
