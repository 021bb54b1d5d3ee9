"""Pictures in folders, zips and tars: the same data set however they are packed, and nothing hostile gets through."""

import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from data_writers import SHARED, folder, picture, tar, zipped
from PIL import Image

import mia.data
from mia.checks import RequestError
from mia.data import containers, pictures
from mia.data.containers import open_container
from mia.data.images import ImagesOptions, classes_of

RNG = np.random.default_rng(0)
PIXELS = {
    f"{split}/{name}/{i}.png": RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    for split in ("train", "test")
    for name in ("dog", "cat")
    for i in range(3)
}
MEMBERS = {name: picture(pixels) for name, pixels in PIXELS.items()}
PACKERS = {
    "folder": folder,
    "zip": lambda path, members: path.write_bytes(zipped(members)),
    "tar": lambda path, members: path.write_bytes(tar(members, "w")),
    "tar.gz": lambda path, members: path.write_bytes(tar(members)),
    "tar.xz": lambda path, members: path.write_bytes(tar(members, "w:xz")),
}


def pack(tmp_path, members, kind="zip"):
    path = tmp_path / f"pets.{kind}"
    PACKERS[kind](path, members)
    return path


def load(path, progress=None):
    return mia.data.load(ImagesOptions(path=str(path)), progress)


def refused(path):
    with pytest.raises(RequestError) as error:
        load(path)
    text = str(error.value)
    assert text.startswith(f"data.path={str(path)!r} ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("kind", PACKERS)
def test_the_same_pictures_give_the_same_data_set(tmp_path, kind):
    data = load(pack(tmp_path, dict(reversed(MEMBERS.items())), kind))
    names = sorted(PIXELS)
    np.testing.assert_array_equal(data.x, np.stack([PIXELS[name] for name in names]))
    np.testing.assert_array_equal(data.y, ["/dog/" in name for name in names])
    assert data.class_names == ("cat", "dog")
    assert (data.x.dtype, data.scale, data.num_classes) == (np.uint8, 1 / 255, 2)


@pytest.mark.parametrize("kind", PACKERS)
def test_the_second_load_decodes_nothing(tmp_path, kind, monkeypatch):
    path = pack(tmp_path, MEMBERS, kind)
    seen = []
    first = load(path, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)
    monkeypatch.setattr(pictures.Decoder, "decode", None)
    assert load(path).fingerprint == first.fingerprint


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_changed_pictures_are_decoded_again(tmp_path, kind):
    path = pack(tmp_path, MEMBERS, kind)
    first = load(path)
    pack(tmp_path, MEMBERS | {"test/cat/0.png": picture(255 - PIXELS["test/cat/0.png"])}, kind)
    assert load(path).fingerprint != first.fingerprint


def test_grey_pictures_have_one_channel_and_mixed_ones_three(tmp_path):
    grey = {name: picture(pixels[..., 0]) for name, pixels in PIXELS.items()}
    data = load(pack(tmp_path, grey))
    assert data.x.shape == (12, 4, 5, 1)
    np.testing.assert_array_equal(data.x[0, ..., 0], PIXELS["test/cat/0.png"][..., 0])
    data = load(pack(tmp_path, grey | {"train/dog/0.png": MEMBERS["train/dog/0.png"]}))
    assert data.x.shape == (12, 4, 5, 3)
    np.testing.assert_array_equal(data.x[0], np.repeat(PIXELS["test/cat/0.png"][..., :1], 3, axis=-1))


@pytest.mark.parametrize("mode", ["1", "LA", "P", "RGBA", "CMYK"])
def test_other_modes_become_grey_or_colour(tmp_path, mode):
    members = {}
    for name, pixels in PIXELS.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, "TIFF" if mode == "CMYK" else "PNG")
        members[name] = buffer.getvalue()
    assert load(pack(tmp_path, members)).x.shape == (12, 4, 5, 1 if mode in ("1", "LA") else 3)


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["a/1", "b/1"], ["a", "b"]),
        (["x/a/1", "x/b/1"], ["a", "b"]),
        (["train/a/1", "test/a/1", "Val/b/1"], ["a", "a", "b"]),
        (["x/y/train/a/1", "x/y/test/b/1"], ["a", "b"]),
        (["train/a/1", "train/b/1"], ["a", "b"]),
        (["train/1", "test/1"], ["train", "test"]),
    ],
)
def test_classes_are_the_folders_below_what_is_shared(names, classes):
    assert classes_of(names, "here") == classes


@pytest.mark.parametrize("names", [["a/1", "b/c/1"], ["1", "2"], ["a/1", "2"], ["x/a/1", "y/a/1"], []])
def test_other_layouts_are_refused(names):
    with pytest.raises(RequestError, match=r"^here holds"):
        classes_of(names, "here")


def test_what_is_no_data_is_skipped(tmp_path):
    clutter = {
        "README.md": b"hello",
        "train/.DS_Store": b"x",
        "__MACOSX/train/cat/._0.png": b"x",
        "train/cat/Thumbs.db": b"x",
        ".git/config": b"x",
    }
    for kind in ("zip", "tar.gz", "folder"):
        assert len(load(pack(tmp_path, MEMBERS | clutter, kind)).x) == 12


BAD_MEMBERS = {
    "no readable picture": {"train/cat/notes.png": b"not a picture"},
    "'train/cat/cut.png', which is no readable picture": {"train/cat/cut.png": MEMBERS["train/cat/0.png"][:60]},
    "'train/dog/0.png' has 5x4 pixels, 'train/cat/x.png' 9x8": {
        "train/cat/x.png": picture(np.zeros((8, 9, 3), np.uint8))
    },
    "with 16 bits per pixel": {"train/cat/deep.png": picture(np.zeros((4, 5), np.uint16))},
    "'top.png', which does not lie as <class>/<file>": {"top.png": MEMBERS["train/cat/0.png"]},
    "the unsafe name '../cat/0.png'": {"../cat/0.png": MEMBERS["train/cat/0.png"]},
    "the unsafe name '/cat/0.png'": {"/cat/0.png": MEMBERS["train/cat/0.png"]},
    "the unsafe name 'train/../../0.png'": {"train/../../0.png": MEMBERS["train/cat/0.png"]},
    "the unsafe name 'C:/cat/0.png'": {"C:/cat/0.png": MEMBERS["train/cat/0.png"]},
    "the unsafe name 'train\\\\cat\\\\0.png'": {"train\\cat\\0.png": MEMBERS["train/cat/0.png"]},
    "the unsafe name 'train/cat/a\\nb.png'": {"train/cat/a\nb.png": MEMBERS["train/cat/0.png"]},
    "deep": {"a/" * 20 + "0.png": MEMBERS["train/cat/0.png"]},
}


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("message", BAD_MEMBERS)
def test_bad_members_are_named(tmp_path, message, kind):
    assert message in refused(pack(tmp_path, MEMBERS | BAD_MEMBERS[message], kind))
    assert {path.name for path in tmp_path.iterdir()} <= {f"pets.{kind}", "cache"}  # nothing was unpacked


def test_one_class_only_is_refused(tmp_path):
    assert "one class only" in refused(pack(tmp_path, {n: c for n, c in MEMBERS.items() if "cat" in n}))


def test_nothing_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no files" in refused(tmp_path / "empty")
    assert "does not exist" in refused(tmp_path / "nowhere")
    (tmp_path / "empty.zip").write_bytes(zipped({}))
    assert "holds no files" in refused(tmp_path / "empty.zip")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_damaged_archives_are_refused(tmp_path, kind):
    path = pack(tmp_path, MEMBERS, kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path)
    middle = len(whole) // 2
    if kind in ("zip", "tar"):  # inside a picture
        middle = whole.index(b"test/cat/1.png") + {"zip": 34, "tar": 552}[kind]
    path.write_bytes(whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 8]) + whole[middle + 8 :])
    refused(path)
    path.write_bytes(b"")
    assert "no archive" in refused(path)


@pytest.mark.parametrize(("limit", "value"), [("MAX_FILES", 5), ("MAX_FILE_BYTES", 50), ("MAX_TOTAL_BYTES", 500)])
@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_bombs_are_refused(tmp_path, monkeypatch, limit, value, kind):
    monkeypatch.setattr(containers, limit, value)
    assert "unpacks to too much" in refused(pack(tmp_path, MEMBERS, kind))


def test_a_member_longer_than_it_says_is_refused(tmp_path):
    path = pack(tmp_path, {"a/0.png": bytes(10_000), "b/0.png": bytes(10_000)})
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", 10_000), struct.pack("<I", 10)))
    refused(path)


def test_a_picture_that_unpacks_to_absurd_size_is_refused(tmp_path, monkeypatch):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    assert "no readable picture" in refused(pack(tmp_path, {"a/0.png": bomb, "b/0.png": bomb}))
    monkeypatch.setattr(pictures, "MAX_ARRAY_BYTES", 100)
    assert "make them smaller" in refused(pack(tmp_path, MEMBERS))


def test_formats_with_programs_inside_are_not_opened(tmp_path):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 4\n%%EndComments\n(x) print\n"
    assert "no readable picture" in refused(pack(tmp_path, {"a/0.png": eps, "b/0.png": eps}))


def test_links_in_archives_are_refused(tmp_path):
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            info = tarfile.TarInfo("cat/0.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert "a link or device" in refused(path)
    path = tmp_path / "links.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("cat/0.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "holds the link 'cat/0.png'" in refused(path)


def test_huge_headers_in_tars_are_refused(tmp_path):
    path = tmp_path / "header.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("cat/" + "0" * (2 << 20))
        archive.addfile(info, io.BytesIO())
    assert "a header of 2,097,157 bytes" in refused(path)


def test_a_locked_zip_is_refused(tmp_path):
    path = pack(tmp_path, MEMBERS)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            content[start + offset] |= 1
    path.write_bytes(content)
    assert "locked by a password" in refused(path)


def test_names_that_are_there_twice_are_refused(tmp_path):
    path = tmp_path / "twice.tar"
    with tarfile.open(path, "w") as archive:
        for _ in range(2):
            info = tarfile.TarInfo("cat/0.png")
            archive.addfile(info, io.BytesIO())
    assert "twice" in refused(path)


def test_links_in_folders_are_followed_but_not_in_circles(tmp_path):
    path = pack(tmp_path, MEMBERS, "folder")
    (path / "train" / "fox").symlink_to(path / "train" / "dog")
    assert load(path).class_names == ("cat", "dog", "fox")
    (path / "train" / "back").symlink_to(path)
    assert "deep" in refused(path)


def test_what_is_no_plain_file_is_refused(tmp_path):
    path = pack(tmp_path, MEMBERS, "folder")
    (path / "train" / "dog" / "gone.png").symlink_to(tmp_path / "gone")
    assert "cannot be read" in refused(path)


@pytest.mark.skipif(not (SHARED / "cifar10-jpeg.zip").exists(), reason="the shared pictures are not here")
def test_the_shared_pictures_are_listed():
    container = open_container(str(SHARED / "cifar10-jpeg.zip"), "here")
    classes, counts = np.unique(classes_of(container.names(), "here"), return_counts=True)
    assert len(classes) == 10
    assert (counts == 6000).all()
    first = next(container.contents())
    one = np.array([True])
    decoder = pictures.Decoder(["one"], one, ~one, ImagesOptions(path="here"))
    assert decoder.decode(iter([first])).shape == (1, 32, 32, 3)
