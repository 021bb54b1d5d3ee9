"""Where official files are looked for, how they are verified, and how a download fails or succeeds."""

import dataclasses
import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from data_writers import official as write_official

from mia.checks import RequestError
from mia.data import DATASETS, official
from mia.data.bits import LocationsOptions
from mia.data.mnist import MnistOptions
from mia.data.official import Source

FILE = "dataset_location.tgz"
PUBLISHED = [source for name in DATASETS for source in getattr(DATASETS[name].options, "sources", ())]


def write(folder, content=b"the published bytes"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(content)
    return folder


def left_behind(folder):
    return [path for path in folder.iterdir() if path.suffix != ".lock"]


@pytest.fixture
def pinned(monkeypatch, tmp_path):
    write_official(monkeypatch, "locations", tmp_path / "scratch", {FILE: b"the published bytes"})


@pytest.fixture
def server(monkeypatch):
    """Serves the published bytes on this machine and counts who asks."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = b"the published bytes"
            self.send_response(200 if self.path.endswith(FILE) else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        (source,) = LocationsOptions.sources
        here = dataclasses.replace(source, folder=f"http://127.0.0.1:{http.server_port}/")
        monkeypatch.setattr(LocationsOptions, "sources", (here,))
        yield asked
        http.shutdown()
        thread.join()


def test_data_root_comes_first_then_the_environment_then_the_cache(pinned, tmp_path, monkeypatch, cache_folder):
    in_cache = write(cache_folder / "locations")
    assert official.obtain(LocationsOptions()) == [in_cache / FILE]
    in_environment = write(tmp_path / "data" / "locations")
    monkeypatch.setenv("MIA_DATA_DIR", str(tmp_path / "data"))
    assert official.obtain(LocationsOptions()) == [in_environment / FILE]
    in_root = write(tmp_path / "root")
    assert official.obtain(LocationsOptions(root=str(in_root))) == [in_root / FILE]


def test_data_root_may_hold_a_folder_per_data_set(pinned, tmp_path):
    write(tmp_path / "root" / "locations")
    assert official.obtain(LocationsOptions(root=str(tmp_path / "root"))) == [tmp_path / "root" / "locations" / FILE]


@pytest.mark.parametrize("name", ["data.root", "MIA_DATA_DIR"])
def test_a_folder_that_is_not_there_is_an_error(name, tmp_path, monkeypatch):
    nowhere = str(tmp_path / "nowhere")
    if name == "MIA_DATA_DIR":
        monkeypatch.setenv(name, nowhere)
    with pytest.raises(RequestError, match=f"^{name}=.*nowhere' is not a folder"):
        official.obtain(LocationsOptions(root=nowhere if name == "data.root" else None))


def test_a_file_with_another_hash_is_named_and_left_alone(pinned, tmp_path):
    root = write(tmp_path / "root", b"other bytes")
    with pytest.raises(
        RequestError, match=r"^data=locations needs .* with sha256:.* but .* has sha256:.* damaged"
    ) as error:
        official.obtain(LocationsOptions(root=str(root)))
    assert "\n" not in str(error.value)
    assert (root / FILE).read_bytes() == b"other bytes"


def test_a_folder_in_a_files_place_is_an_error(pinned, tmp_path):
    (tmp_path / "root" / FILE).mkdir(parents=True)
    with pytest.raises(RequestError, match=r"^data=locations cannot read .*; it must be a file"):
        official.obtain(LocationsOptions(root=str(tmp_path / "root")))


def test_git_hashes_are_those_of_git(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    assert official.digest(path, "git:") == "git:ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_recompressed_copy_is_good_when_its_content_is(tmp_path):
    path = tmp_path / "copy.gz"
    path.write_bytes(gzip.compress(b"hello\n", 1))
    source = Source("copy.gz", "", None, "md5:" + "0" * 32, "md5:b1946ac92492d2347c6235b4d2611184")
    official.verify("mnist", path, source)
    path.write_bytes(gzip.compress(b"hullo\n", 1))
    with pytest.raises(RequestError, match="damaged or another file"):
        official.verify("mnist", path, source)
    path.write_bytes(gzip.compress(b"hello\n")[:-9])
    with pytest.raises(RequestError, match="damaged or another file"):
        official.verify("mnist", path, source)


def test_offline_the_error_is_one_line_with_the_way_out(cache_folder):
    with pytest.raises(RequestError, match=r"^data=mnist needs train-images-idx3-ubyte.gz") as error:
        official.obtain(MnistOptions())
    text = str(error.value)
    assert "\n" not in text
    assert "http://127.0.0.1:9/train-images-idx3-ubyte.gz" in text
    assert str(cache_folder / "mnist") in text
    assert "data.root=" in text
    assert not left_behind(cache_folder / "mnist")


def test_a_download_arrives_whole_and_tells_how_far_it_is(pinned, server, cache_folder):
    seen = []
    (path,) = official.obtain(LocationsOptions(), lambda done, total: seen.append((done, total)))
    assert path == cache_folder / "locations" / FILE
    assert path.read_bytes() == b"the published bytes"
    assert seen[-1] == (19, 19)
    assert all(done <= total for done, total in seen)
    assert not list(path.parent.glob("*.part"))
    official.obtain(LocationsOptions())
    assert len(server) == 1


def test_a_download_with_another_hash_leaves_nothing(server, cache_folder):
    with pytest.raises(RequestError, match=r"could not be downloaded \(what was sent has sha256:.* instead of sha256:"):
        official.obtain(LocationsOptions())
    assert not left_behind(cache_folder / "locations")


def test_those_who_start_together_download_once(pinned, server):
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: official.obtain(LocationsOptions()), range(4)))
    assert len(server) == 1
    assert paths == [paths[0]] * 4


def test_an_answer_that_is_no_file_is_one_line(pinned, server, monkeypatch):
    (source,) = LocationsOptions.sources
    monkeypatch.setattr(LocationsOptions, "sources", (dataclasses.replace(source, file="gone.tgz"),))
    with pytest.raises(RequestError, match=r"could not be downloaded .*404"):
        official.obtain(LocationsOptions())


def test_every_official_file_has_a_hash():
    lengths = {"md5": 32, "sha256": 64, "git": 40}
    for source in PUBLISHED:
        for pinned in filter(None, [source.hash, source.content_hash]):
            kind, _, digits = pinned.partition(":")
            assert len(digits) == lengths[kind]
            int(digits, 16)
        assert source.url.startswith("https://")
