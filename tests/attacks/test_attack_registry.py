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

from mia.attacks import ATTACKS, check_possible, run_attack
from mia.attacks.gap import GapOptions
from mia.attacks.label_only import LabelOnlyOptions
from mia.attacks.lira import LiraOfflineOptions, LiraOnlineOptions
from mia.attacks.options import AttackOptions, attack_schema, default_nodes, from_schema
from mia.attacks.rmia import RmiaOfflineOptions, RmiaOnlineOptions
from mia.attacks.run import fewest_shadows
from mia.attacks.spec import NEEDS
from mia.checks import RequestError

CONF = Path(__file__).parents[2] / "conf/attack"


def test_every_attack_says_what_it_is_and_has_a_config_file():
    assert ATTACKS.names() == sorted(path.stem for path in CONF.glob("*.yaml"))
    for name, spec in ATTACKS.items():
        assert spec.name == name
        assert ATTACKS.is_ours(name)
        assert set(spec.needs) <= set(NEEDS)
        assert spec.citation[-4:].isdigit()
        assert spec.label
        assert spec.summary.endswith((".", "set"))
        assert spec.instead in ("", *ATTACKS.names())


def test_the_schema_has_a_key_per_attack_and_gives_those_that_were_chosen():
    assert [field.name for field in dataclasses.fields(attack_schema())] == ["prior", "growth", *ATTACKS.names()]
    assert from_schema(attack_schema()()) == AttackOptions()
    for name, spec in ATTACKS.items():
        given = attack_schema()(prior=0.1, growth=True, **{name: spec.options()})
        assert from_schema(given) == AttackOptions(0.1, True, {name: spec.options()})
        assert default_nodes()[name] == {name: spec.options()}
    assert list(AttackOptions(chosen=dict.fromkeys(["loss", "gap"])).chosen) == ["gap", "loss"]
    assert AttackOptions().adding("gap").adding("gap") == AttackOptions(chosen={"gap": GapOptions()})


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_config_file_says_what_it_is_and_needs(name):
    text = (CONF / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    assert "Needs: " in text
    (key,) = (values := OmegaConf.create(text)).keys()
    assert key == name
    assert OmegaConf.to_container(values)[name] == {}  # defaults stand in the options alone, here in comments


def test_names_and_options_are_light():
    heavy = "{'jax', 'sklearn', 'scipy', 'joblib', 'matplotlib'}"
    code = (
        "import sys, mia.attacks; assert 'numpy' not in sys.modules; mia.attacks.ATTACKS.names(); "
        f"sys.exit(bool({heavy} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LiraOnlineOptions(variance="globl"), "attack.lira_online.variance='globl'"),
        (lambda: LiraOnlineOptions(queries=19), "attack.lira_online.queries=19 must be at most 18"),
        (lambda: LiraOfflineOptions(offline="onesided"), "did you mean 'one_sided'"),
        (lambda: LiraOfflineOptions(location="mode"), "attack.lira_offline.location='mode'"),
        (lambda: RmiaOnlineOptions(gamma=0.0), "attack.rmia_online.gamma=0"),
        (lambda: RmiaOfflineOptions(a=1.5), "attack.rmia_offline.a=1.5"),
        (lambda: RmiaOfflineOptions(a="best"), "attack.rmia_offline.a='best' must be auto or a number from 0 to 1"),
        (lambda: LabelOnlyOptions(queries=1), "attack.label_only.queries=1"),
        (lambda: AttackOptions(prior=1.0), "attack.prior=1.0"),
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


def test_a_target_among_several_is_attacked_without_its_complement():
    check_possible("lira_online", EVERY["lira_online"], "pool", 4, num_targets=4)
    message = "split.num_shadows=3 is too few for attack=lira_online under split.protocol=pool with split.num_targets=2"
    with pytest.raises(RequestError, match=f"{message}: it needs 4"):
        check_possible("lira_online", EVERY["lira_online"], "pool", 3, num_targets=2)
    check_possible("gap", EVERY["gap"], "pool", 1, num_targets=1)


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
        run_attack(name, signals, EVERY.get(name, LabelOnlyOptions()), 0)
    assert "\n" not in str(error.value)
