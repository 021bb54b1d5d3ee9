"""Attacks that models or records to come would lack something for are refused before anything is trained."""

import pytest

from mia.checks import RequestError
from mia.experiment.needs import check_known_nonmembers, check_needs
from mia.models.mlp import MlpOptions
from mia.models.wide_resnet import WideResnetOptions
from mia.split import SplitOptions
from mia.train.options import TrainOptions


def test_what_is_at_hand_is_allowed():
    for name in ("bmia", "gradient_norm", "label_only", "quantile", "lira_online"):
        check_needs(name, MlpOptions(), TrainOptions())
    check_needs("loss_iqr", MlpOptions(), TrainOptions(trace=True))
    check_needs("quantile", MlpOptions(), TrainOptions(), is_own=True)


@pytest.mark.parametrize("name", ["bmia", "gradient_norm", "label_only", "loss_iqr"])
def test_models_of_ones_own_cannot_be_asked_or_looked_into(name):
    with pytest.raises(RequestError, match="with train=, leave it out"):
        check_needs(name, MlpOptions(), TrainOptions(trace=True), is_own=True)


def test_models_whose_records_mix_cannot_be_looked_into():
    with pytest.raises(RequestError, match="records influence one another"):
        check_needs("bmia", WideResnetOptions(norm="batch"), TrainOptions())


def test_a_trace_must_be_asked_for():
    with pytest.raises(RequestError, match=r"set train\.trace=true"):
        check_needs("loss_iqr", MlpOptions(), TrainOptions())


def test_somebody_must_be_known_to_be_no_member():
    pool = SplitOptions(protocol="pool", size=100, num_shadows=2)
    check_known_nonmembers("quantile", pool, 201)
    check_known_nonmembers("loss", pool, 200)
    with pytest.raises(RequestError, match=r"choose a smaller split\.size"):
        check_known_nonmembers("quantile", pool, 200)
