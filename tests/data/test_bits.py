"""Locations, Purchase and Texas from small archives in the true format."""

import numpy as np
import pytest
from data_writers import SHARED, official, tar
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import mia.data
from mia.checks import RequestError
from mia.data.bits import LocationsOptions, PurchaseOptions, TexasOptions, cluster, parse_bits, parse_labelled

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (40, 12))


def lines(rows):
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


def load(monkeypatch, tmp_path, options, file, members):
    name = options.name
    options.root = str(official(monkeypatch, name, tmp_path / "root", {file: tar(members)}))
    return mia.data.load(options)


def check(data, labels):
    assert (data.x.dtype, data.y.dtype, data.scale) == (np.uint8, np.int32, 1)
    np.testing.assert_array_equal(data.x, BITS)
    np.testing.assert_array_equal(data.y, labels)
    assert [(group.kind, group.start, group.stop) for group in data.features] == [("bit", i, i + 1) for i in range(12)]


def test_locations(monkeypatch, tmp_path):
    rows = [(f'"{i % 30 + 1}"', *bits) for i, bits in enumerate(BITS)]
    members = {"readme": b"x", "bangkok": lines(rows)}
    data = load(monkeypatch, tmp_path, LocationsOptions(), "dataset_location.tgz", members)
    check(data, np.arange(40) % 30)
    assert data.num_classes == 30


def test_purchase_with_the_labels_of_the_file(monkeypatch, tmp_path):
    monkeypatch.setattr("mia.data.bits.PURCHASE_CLASSES", (20, 2))
    rows = [(i % 20 + 1, *bits) for i, bits in enumerate(BITS)]
    members = {"./dataset_purchase": lines(rows)}
    data = load(monkeypatch, tmp_path, PurchaseOptions(classes=20), "dataset_purchase.tgz", members)
    check(data, np.arange(40) % 20)


def test_purchase_with_fewer_classes_has_clusters(monkeypatch, tmp_path):
    rows = [(i % 20 + 1, *bits) for i, bits in enumerate(BITS)]
    options = PurchaseOptions(classes=2)
    data = load(monkeypatch, tmp_path, options, "dataset_purchase.tgz", {"dataset_purchase": lines(rows)})
    check(data, data.y)
    counts = np.bincount(data.y)
    assert len(counts) == data.num_classes == 2
    assert counts[0] >= counts[1] > 0
    monkeypatch.setattr("mia.data.bits.cluster", None)
    assert mia.data.load(options).fingerprint == data.fingerprint


def test_clusters_are_those_that_are_there():
    y = np.repeat([2, 0, 1], [5, 30, 15])
    x = np.eye(3, 40, dtype=np.uint8)[y]
    found = cluster(x, 3)
    np.testing.assert_array_equal(found, y)
    np.testing.assert_array_equal(found, cluster(x, 3))


def test_texas(monkeypatch, tmp_path):
    labels = np.arange(40) % 4
    members = {"texas/100/feats": lines(BITS), "texas/100/labels": lines((label + 1,) for label in labels)}
    for order in (1, -1):
        shuffled = dict(list(members.items())[::order])
        check(load(monkeypatch, tmp_path, TexasOptions(), "dataset_texas.tgz", shuffled), labels)


BAD = {
    "12 bits in every line, but does not in line 41": lines(BITS) + b"0,1\n",
    "0 bits in every line, but does not in line 1": b"\n",
    "line 2": lines(BITS[:1]) + lines(BITS[1:2]).replace(b"1", b"2"),
    "line 1": lines(BITS).replace(b",", b";"),
}


@pytest.mark.parametrize("message", BAD)
def test_lines_that_are_no_bits_are_refused(message):
    with pytest.raises(RequestError, match=message):
        parse_bits(BAD[message].splitlines(keepends=True), "here")


def test_other_archives_are_refused(monkeypatch, tmp_path):
    cases = {
        "must hold 'bangkok'": tar({"other": b"x"}),
        "cannot read the archive": b"text",
        "labels that are whole numbers": tar({"bangkok": b"a,0,1\n"}),
    }
    for message, content in cases.items():
        root = official(monkeypatch, "locations", tmp_path / "root", {"dataset_location.tgz": content})
        with pytest.raises(RequestError, match=message):
            mia.data.load(LocationsOptions(root=str(root)))


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.integers(0, 1)), st.data())
def test_bits_survive_the_format(bits, data):
    labels = data.draw(st.lists(st.integers(1, 100), min_size=len(bits), max_size=len(bits)))
    quote = data.draw(st.sampled_from(["", '"']))
    end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    text = lines((f"{quote}{label}{quote}", *row) for label, row in zip(labels, bits, strict=True))
    arrays = parse_labelled(text.replace(b"\n", end).splitlines(keepends=True), "here")
    np.testing.assert_array_equal(arrays["x"], bits)
    np.testing.assert_array_equal(arrays["y"], np.array(labels) - 1)


@pytest.mark.skipif(not (SHARED / "locations").exists(), reason="the shared files are not here")
def test_the_real_locations():
    data = mia.data.load(LocationsOptions(root=str(SHARED)))
    assert data.x.shape == (5010, 446)
    assert data.num_classes == 30
    assert data.x.max() == 1
