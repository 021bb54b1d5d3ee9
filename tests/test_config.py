"""Configs from registries, defaults written once, and stored configs that become typed again."""

import dataclasses
import re
from dataclasses import dataclass

import pytest
from omegaconf import OmegaConf

from mia import overrides
from mia.attacks import ATTACKS
from mia.checks import RequestError
from mia.cli import help as help_page
from mia.composition import HOME, compose_config, register
from mia.config import GROUPS, Config, as_yaml, from_stored, options_of, to_options
from mia.data import DATASETS

GROUPS_WITH_FILES = [folder.name for folder in sorted((HOME / "conf").iterdir()) if folder.is_dir()]
FILES = sorted(path.relative_to(HOME / "conf") for path in (HOME / "conf").rglob("*.yaml"))


def leaves(node, prefix=""):
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def default_of(file):
    """Return the dataclass's own values of what a YAML file configures, as plain values."""
    group, name = file.parent.name, file.stem
    if group in GROUPS:
        return plain(options_of(group)[name])
    if group == "attack":
        return {name: plain(ATTACKS[name].options)}
    kind = Config if not group else next(one.type for one in dataclasses.fields(Config) if one.name == group)
    return plain(kind)


def plain(kind):
    return OmegaConf.to_container(OmegaConf.structured(kind))


IN_GROUPS = [one for one in FILES if one.parent.name not in ("paper", "launcher", "")]
"""Files of options that have a dataclass here; launchers' options are those of Hydra's plug-ins and of Ray."""


@pytest.mark.parametrize("file", IN_GROUPS, ids=str)
def test_a_file_never_repeats_a_default(file):
    written = OmegaConf.to_container(OmegaConf.load(HOME / "conf" / file)) or {}
    defaults = dict(leaves(default_of(file)))
    told = {key: value for key, value in leaves(written) if key in defaults and value != {}}
    assert [key for key, value in told.items() if defaults[key] == value] == []


@pytest.mark.parametrize("file", IN_GROUPS, ids=str)
def test_what_a_comment_says_of_a_key_is_its_default(file):
    """Keys that a file leaves alone stand in it as comments; in those of data sets in words alone."""
    text = (HOME / "conf" / file).read_text()
    keys = re.compile(r"^# ?( *)([a-z_]\w*):(?= |$)", re.MULTILINE)
    defaults = dict(leaves(default_of(file)))
    if file.parent.name == "data":
        assert {key for _, key in keys.findall(text)} <= set(defaults)
        return
    bare = keys.sub(r"\1\2:", text.replace(": {}\n#", ":\n#").replace(": {}  #", ":  #"))
    told = dict(leaves(OmegaConf.to_container(OmegaConf.create(bare)) or {}))
    told = {key: value for key, value in told.items() if key != "defaults" and value not in ({}, None)}
    written = dict(leaves(OmegaConf.to_container(OmegaConf.load(HOME / "conf" / file)) or {}))
    assert {key: value for key, value in told.items() if key not in written} == {
        key: defaults.get(key, "no such key") for key in told if key not in written
    }


@dataclass
class OutsideOptions:
    """Options of another package: no base class, no field for the name."""

    power: float = 2.0
    hidden: list[int] = dataclasses.field(default_factory=lambda: [3])

    def __post_init__(self):
        if self.power <= 0:
            raise RequestError(f"data.power={self.power} must be above 0")


@pytest.fixture
def outside(monkeypatch):
    """A data set of another package."""
    DATASETS.names()
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))
    monkeypatch.setattr(DATASETS, "_owners", dict(DATASETS._owners))
    from mia.data import dataset

    @dataset("cloud", options=OutsideOptions)
    def load_cloud(options, progress):
        raise NotImplementedError

    for cached in (options_of, register):
        cached.cache_clear()
    yield
    for cached in (options_of, register):
        cached.cache_clear()


def test_an_outside_data_set_needs_no_yaml_no_base_class_and_no_name(outside):
    config = to_options(compose_config(["data=cloud", "data.power=3"]), Config)
    assert isinstance(config.data, OutsideOptions)
    assert (config.data.name, config.data.power, config.data.hidden) == ("cloud", 3.0, [3])
    with pytest.raises(RequestError, match=r"data\.power=-1"):
        to_options(compose_config(["data=cloud", "data.power=-1"]), Config)
    with pytest.raises(RequestError, match=r"did you mean 'data\.power'"):
        compose_config(["data=cloud", "data.pwer=1"])
    with pytest.raises(RequestError, match=r"did you mean 'cloud'"):
        compose_config(["data=clod"])
    with pytest.raises(RequestError, match=r"data\.power=abc"):
        compose_config(["data=cloud", "data.power=abc"])


@pytest.mark.parametrize("group", GROUPS)
def test_the_options_of_a_group_hold_their_names(group):
    assert options_of(group)
    for name, options in options_of(group).items():
        assert next(one.default for one in dataclasses.fields(options) if one.name == "name") == name
        assert issubclass(options, GROUPS[group][0])


STORED = ["train.dp.clipping_norm=1", "train.dp.noise_multiplier=2", "defence=noise", "attack=[loss,lira_offline]"]


@pytest.mark.parametrize("overrides", [[], STORED, ["model=cnn", "data=cifar10", "shadow_data=noisy"]])
def test_a_stored_config_is_what_it_was(overrides):
    composed = compose_config(overrides)
    stored = from_stored(as_yaml(composed))
    wanted = to_options(composed, Config).experiment()
    assert stored.options == wanted
    assert (stored.unknown, stored.missing) == ((), ())


def test_an_older_schema_takes_defaults_and_is_named():
    text = OmegaConf.to_container(OmegaConf.create(as_yaml(compose_config(["train.l2=0.5"]))))
    del text["shadow_data"], text["train"]["relaxloss"], text["train"]["dp"]["microbatch"], text["attack"]["growth"]
    text["train"]["momentum"] = 0.9
    text["attack"]["oracle_of_delphi"] = {"fee": 1}
    text["budget"] = 3
    text["train"]["dropout"] = 7
    text["train"]["epochs"] = "many"
    stored = from_stored(OmegaConf.to_yaml(OmegaConf.create(text)))
    assert (stored.options.train.l2, stored.options.train.dropout, stored.options.train.epochs) == (0.5, 0.0, 100)
    assert stored.options.shadow_data.name == "real"
    assert set(stored.unknown) == {
        "train.momentum", "attack.oracle_of_delphi", "budget", "train.dropout=7.0", "train.epochs=many",
    }  # fmt: skip
    assert stored.others == {"train.momentum": 0.9, "attack.oracle_of_delphi.fee": 1, "budget": 3}
    assert {"train.relaxloss", "train.dp.microbatch", "attack.growth", "shadow_data.name"} <= set(stored.missing)


def test_what_no_checks_allow_any_more_is_still_looked_at():
    text = OmegaConf.to_container(OmegaConf.create(as_yaml(compose_config([]))))
    text["data"] = {"name": "of a package that is gone", "root": "x"}
    text["defence"] = {"name": "homemade", "strength": 3}
    stored = from_stored(OmegaConf.to_yaml(OmegaConf.create(text)))
    assert (stored.options.data.name, stored.options.data.root) == ("of a package that is gone", "x")
    assert stored.options.defence.strength == 3
    assert set(stored.unknown) == {"data.name=of a package that is gone", "defence.name=homemade"}


@pytest.mark.parametrize("text", ["", "- a", "a: [1", "a: &x 1", "a: !!python/name:os.system", "[" * 1000])
def test_what_is_no_config_is_refused(text):
    with pytest.raises(RequestError):
        from_stored(text)


def test_help_names_the_groups_that_can_be_chosen():
    """Help has a list of its own: it is printed before anything heavy is imported."""
    assert help_page.GROUPS == overrides.GROUPS
