"""Addresses as people and stored runs see them: nothing secret is left."""

import pytest

from mia.tracking import Tracker
from mia.tracking.address import shown, without_secrets

SECRET = "s3cret"  # noqa: S105


@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("http://host:5000", "http://host:5000"),
        ("http://user:s3cret@host:5000/path", "http://host:5000/path"),
        ("https://s3cret@host", "https://host"),
        ("http://user:a@s3cret@host", "http://host"),
        ("http://user:s3c/s3cret@host/x", "http://***"),
        ("http://user:s3c?s3cret@host", "http://***"),
        ("http://user:s3c#s3cret@host", "http://***"),
        ("http://user:a@b?s3cret@host", "http://***"),
        ("https://host/x?token=s3cret", "https://host/x?***"),
        ("https://host/x#s3cret", "https://host/x#***"),
        ("https://user:s3cret@host/x?token=s3cret#s3cret", "https://host/x?***"),
        ("postgresql+psycopg2://user:s3cret@host/db?password=s3cret", "postgresql+psycopg2://host/db?***"),
        ("postgresql:///db?host=/run&password=s3cret", "postgresql:///db?***"),
        ("sqlite:////srv/me@work/a%20b.db", "sqlite:////srv/me@work/a%20b.db"),
        ("sqlite:////x.db?key=s3cret", "sqlite:////x.db?***"),
        ("http://user:s3cret@[::1", "http://[::1"),
        ("user:s3cret@host", "***"),
        ("host?token=s3cret", "host?***"),
        ("/srv/mlruns", "/srv/mlruns"),
    ],
)
def test_an_address_without_its_secrets(address: str, right: str):
    assert shown(address) == right
    assert shown(right) == right


def test_texts_without_secrets():
    text = (
        "tracking:\n  uri: 'http://me:s3cret@host/x?t=s3cret'\n# see (https://mlflow.org/docs/latest), 5 > 3 @ noon\n"
    )
    assert without_secrets(text) == text.replace("me:s3cret@", "").replace("?t=s3cret", "?***")


def test_no_secret_reaches_the_store(tracker: Tracker):
    address = f"postgresql://me:{SECRET}@host/db?x={SECRET}"
    tags = {"mia.command": f"mia tracking.uri={address}"}
    with pytest.raises(ValueError, match=SECRET), tracker.run(name="a", params={"uri": address}, tags=tags) as run:
        raise ValueError(f"could not reach {address}")
    run.set_note(f"runs are in {address}")
    run.log_text(f"tracking:\n  uri: {address}\n", "config.yaml")
    stored = tracker.get(run.id)
    assert "postgresql://host/db" in stored.params["uri"]
    assert "postgresql://host/db" in stored.tags["mia.error"]
    for name in ("traceback.txt", "config.yaml"):
        assert "postgresql://host/db" in tracker.artifact(run.id, name).read_text()
    assert run.folder is not None
    assert SECRET not in repr(stored) + "".join(path.read_text() for path in run.folder.iterdir())
