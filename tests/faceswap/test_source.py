# SPDX-License-Identifier: Apache-2.0
import json
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageCms, TiffImagePlugin

from backend.faceswap.source import load_source
from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.consent import sha256_of_file
from interchange.errors import InputError

from .synthetic import FOUND_BY, write_consent, write_landmarks


@pytest.fixture
def folder(source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(source, tmp_path / "source"))


def pixels(folder: Path) -> np.ndarray:
    return cv2.imread(str(folder / "portrait.png"))[..., ::-1]


def replace(folder: Path, image: np.ndarray) -> None:
    """Write RGB(A) or grey of 8 or 16 bits and agree to it."""
    order = {2: image, 3: image[..., ::-1]}.get(image.ndim)
    if image.ndim == 3 and image.shape[2] == 4:
        order = image[..., [2, 1, 0, 3]]
    assert cv2.imwrite(str(folder / "portrait.png"), order)
    write_consent(folder)


def test_a_good_source_is_read(folder: Path) -> None:
    read = load_source(folder)
    photo = read.photos[0]
    assert photo.image.shape == (360, 360, 3) and photo.alpha is None and not photo.grey
    assert sorted(photo.landmarks) == list(range(68))
    assert_array_equal(photo.image, linear_from_srgb(pixels(folder).astype(np.float32) / 255))
    assert set(read.digests) == {"portrait.png", "landmarks.json", "consent.json"}


def test_sixteen_bits_give_the_same_picture(folder: Path) -> None:
    before = load_source(folder).photos[0].image
    replace(folder, pixels(folder).astype(np.uint16) * 257)
    assert_allclose(load_source(folder).photos[0].image, before, atol=1e-6)


def test_alpha_is_kept_and_grey_is_noticed(folder: Path) -> None:
    image = pixels(folder)
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[:100] = 0
    replace(folder, np.dstack([image, alpha]))
    photo = load_source(folder).photos[0]
    assert photo.alpha is not None and photo.alpha[:100].max() == 0 and photo.alpha[100:].min() == 1
    replace(folder, image[..., 1])
    photo = load_source(folder).photos[0]
    assert photo.grey and photo.image.shape == (360, 360, 3)


@pytest.mark.parametrize("name", ["portrait.jpg", "portrait.tif"])
def test_a_photo_in_printing_inks_is_read(folder: Path, name: str) -> None:
    options = {"quality": 98, "subsampling": 0} if name.endswith("jpg") else {}
    Image.fromarray(pixels(folder)).convert("CMYK").save(folder / name, **options)
    agree_to(folder, name)
    photo = load_source(folder).photos[0]
    assert photo.image.shape == (360, 360, 3) and not photo.grey
    assert np.abs(srgb_from_linear(photo.image) - pixels(folder) / 255).mean() < 0.01


def test_a_photo_of_sixteen_bits_of_grey_or_of_few_colours_is_read(folder: Path) -> None:
    image = pixels(folder)
    replace(folder, image[..., 1].astype(np.uint16) * 257)
    photo = load_source(folder).photos[0]
    assert photo.grey and photo.image.shape == (360, 360, 3)
    Image.fromarray(image).convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(folder / "portrait.png")
    write_consent(folder)
    assert np.abs(srgb_from_linear(load_source(folder).photos[0].image) - image / 255).mean() < 0.03


def test_a_grey_photo_with_alpha_is_read(folder: Path) -> None:
    alpha = np.full((360, 360), 255, np.uint8)
    alpha[300:] = 0
    Image.fromarray(np.dstack([pixels(folder)[..., 1], alpha]), "LA").save(folder / "portrait.png")
    write_consent(folder)
    photo = load_source(folder).photos[0]
    assert photo.grey and photo.alpha is not None and photo.alpha[:300].min() == 1 and photo.alpha[300:].max() == 0


def test_a_picture_of_numbers_is_refused(folder: Path) -> None:
    Image.fromarray(pixels(folder)[..., 1].astype(np.float32) / 255).save(folder / "portrait.tif")
    agree_to(folder, "portrait.tif")
    refused(folder, "8- or 16-bit")


def agree_to(folder: Path, name: str) -> None:
    listed = json.loads((folder / "landmarks.json").read_text()) | {"image": name}
    (folder / "landmarks.json").write_text(json.dumps(listed))
    write_consent(folder, source_sha256={name: sha256_of_file(folder / name)})


@pytest.mark.parametrize("bits", [8, 16])
def test_a_painted_mask_is_read_as_stored(folder: Path, bits: int) -> None:
    assert load_source(folder).mask is None
    painted = np.zeros((50, 40, 4), np.uint8)
    painted[10:20, :, :3], painted[..., 3] = 128, 255
    painted[15:20, :, 3] = 0
    cv2.imwrite(str(folder / "mask.png"), painted if bits == 8 else painted.astype(np.uint16) * 257)
    read = load_source(folder)
    assert read.mask is not None and read.mask.shape == (50, 40) and "mask.png" in read.digests
    assert_allclose(read.mask[10:15], 128 / 255, atol=1e-6)
    assert read.mask[:10].max() == 0 and read.mask[15:].max() == 0


def test_a_painted_mask_that_says_nothing_is_refused(folder: Path) -> None:
    cv2.imwrite(str(folder / "mask.png"), np.zeros((50, 50), np.uint8))
    refused(folder, "mask.png is black")
    (folder / "mask.png").write_bytes(b"not a picture")
    refused(folder, "mask.png cannot be read")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(folder: Path, orientation: int) -> None:
    upright = pixels(folder)[:, 40:]  # not square
    # How a camera held that way would have stored it: the inverse of what a viewer does.
    stored = {
        1: lambda i: i, 2: np.fliplr, 3: lambda i: np.rot90(i, 2), 4: np.flipud, 5: lambda i: i.transpose(1, 0, 2),
        6: np.rot90, 7: lambda i: np.rot90(i, 2).transpose(1, 0, 2), 8: lambda i: np.rot90(i, -1),
    }[orientation](upright)  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(folder / "portrait.png", exif=exif)
    write_consent(folder)
    write_landmarks(folder, np.full((68, 2), 100.0))
    photo = load_source(folder).photos[0]
    assert_allclose(photo.image, linear_from_srgb(upright.astype(np.float32) / 255), atol=1e-6)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_tiff_is_not_turned_twice(folder: Path, orientation: int) -> None:
    upright = pixels(folder)[:, 40:]
    stored = np.rot90(upright, {1: 0, 3: 2, 6: 1, 8: -1}[orientation])
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(folder / "portrait.tif", tiffinfo=tags)
    (folder / "portrait.tif").replace(folder / "portrait.png")  # the content decides, not the name
    write_consent(folder)
    write_landmarks(folder, np.full((68, 2), 100.0))
    assert_array_equal(load_source(folder).photos[0].image, linear_from_srgb(upright.astype(np.float32) / 255))


def test_several_photos_are_read_in_the_order_of_their_landmark_files(folder: Path) -> None:
    shutil.copy(folder / "portrait.png", folder / "left.png")
    listed = json.loads((folder / "landmarks.json").read_text()) | {"image": "left.png"}
    (folder / "landmarks_left.json").write_text(json.dumps(listed))
    with pytest.raises(InputError, match="does not name the photo left.png"):
        load_source(folder)
    record = json.loads((folder / "consent.json").read_text())
    record["source_sha256"]["left.png"] = record["source_sha256"]["portrait.png"]
    (folder / "consent.json").write_text(json.dumps(record))
    assert [p.path.name for p in load_source(folder).photos] == ["portrait.png", "left.png"]


def refused(folder: Path, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_source(folder)


def test_a_tiny_photo_is_refused(folder: Path) -> None:
    replace(folder, pixels(folder)[:120])
    refused(folder, "360 x 120 pixels")


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 60])
def test_an_unreadable_photo_is_refused(folder: Path, content: bytes) -> None:
    (folder / "portrait.png").write_bytes(content)
    write_consent(folder)
    refused(folder, "cannot be")


def test_a_cut_off_photo_is_refused(folder: Path) -> None:
    data = (folder / "portrait.png").read_bytes()
    (folder / "portrait.png").write_bytes(data[: len(data) // 8])
    write_consent(folder)
    refused(folder, "cannot be")


def test_a_transparent_photo_is_refused(folder: Path) -> None:
    replace(folder, np.dstack([pixels(folder), np.zeros((360, 360), np.uint8)]))
    refused(folder, "fully transparent")


@pytest.mark.parametrize("value", [0, 255])
def test_a_photo_of_nothing_is_refused(folder: Path, value: int) -> None:
    replace(folder, np.full((360, 360, 3), value, np.uint8))
    refused(folder, "one flat colour")


def test_missing_files_are_refused(folder: Path) -> None:
    (folder / "portrait.png").unlink()
    refused(folder, "portrait.png is missing")
    (folder / "landmarks.json").unlink()
    refused(folder, "no face landmarks")
    refused(folder / "nowhere", "does not exist")


def test_landmarks_outside_the_photo_are_refused(folder: Path) -> None:
    points = np.full((68, 2), 200.0)
    points[[3, 9]] = [[-5, 100], [100, 400.5]]
    write_landmarks(folder, points)
    refused(folder, "Landmarks 3, 9 lie outside")


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ({"1": [1, 1], "2": [2, 2], "3": [3, 3], "4": [4, 4]}, "has 4 points"),
        ({"68": [1, 1]}, "ids go from 0 to 67"),
        ({"nose": [1, 1]}, '"nose"'),
        ({"1": [1]}, "not a pair"),
        ({"1": ["a", 2]}, "not a pair"),
        ({"1": [True, False]}, "not a pair"),
        ({"1": [10**400, 2]}, "not a pair"),
        ({"1": [float("nan"), 2]}, "not a pair"),
        ({"\u00b2": [1, 1]}, "ids go from 0 to 67"),  # a superscript two is a digit, too
        ({"05": [1, 1]}, "ids go from 0 to 67"),
        ([[1, 2]], '"points"'),
    ],
)
def test_bad_landmark_files_are_refused(folder: Path, points: object, words: str) -> None:
    value = {"format": "digidouble-landmarks", "version": 1, "image": "portrait.png", "points": points}
    (folder / "landmarks.json").write_text(json.dumps(value))
    refused(folder, words)


def test_a_landmark_file_cannot_lead_out_of_its_folder(folder: Path) -> None:
    value = json.loads((folder / "landmarks.json").read_text()) | {"image": "../portrait.png"}
    (folder / "landmarks.json").write_text(json.dumps(value))
    refused(folder, "beside it")


def rgb_profile(primaries: dict[bytes, tuple[float, float, float]], gamma: tuple[float, ...]) -> bytes:
    """An ICC profile (version 2) of three primaries adapted to D50 and one curve."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    white = (0.9642, 1.0, 0.8249)
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3 if len(gamma) > 1 else 0, 0) + fixed(*gamma)
    name = b"test\0"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78), b"wtpt": (*white,),
            b"cprt": b"text\0\0\0\0none\0"} | primaries  # fmt: skip
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, value in tags.items():
        data = value if isinstance(value, bytes) else b"XYZ \0\0\0\0" + fixed(*value)
        table += key + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI", start + len(body), b"lcms", 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    return (head + bytes(28) + fixed(*white)).ljust(128, b"\0") + table + body


SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
DISPLAY_P3 = rgb_profile(
    {b"rXYZ": (0.51512, 0.24120, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189), b"bXYZ": (0.15710, 0.06657, 0.78407)},
    SRGB_CURVE,
)


def p3_in_srgb(encoded: np.ndarray) -> np.ndarray:
    """By the matrix between both spaces' primaries (same white, same curve): CSS Color 4."""
    matrix = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])
    return srgb_from_linear(np.clip(linear_from_srgb(encoded.astype(np.float64)) @ matrix.T, 0, 1))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_telephone_s_colours_become_srgb(folder: Path, bits: int) -> None:
    image, path = pixels(folder), folder / "portrait.png"
    if bits == 8:
        Image.fromarray(image).save(path, icc_profile=DISPLAY_P3)
        stored = image / 255
    else:
        fine = image.astype(np.uint16) * 257 + np.arange(image.shape[1], dtype=np.uint16)[None, :, None] % 200
        fine = np.minimum(fine, 60000)
        stored = fine / 65535
        replace(folder, fine)
        data = path.read_bytes()
        body = b"iCCPtest\0\0" + zlib.compress(DISPLAY_P3)
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        path.write_bytes(data[:33] + chunk + data[33:])
    write_consent(folder)
    read = srgb_from_linear(load_source(folder).photos[0].image)
    expected = p3_in_srgb(stored)
    assert np.abs(expected - stored).max() > 8 / 255, "the test's photo shows nothing where both spaces differ"
    assert np.abs(read - expected).max() < 2.1 / 255


def test_a_profile_of_srgb_itself_changes_no_bit(folder: Path) -> None:
    plain = load_source(folder).photos[0].image
    image = Image.fromarray(pixels(folder))
    image.save(folder / "portrait.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    write_consent(folder)
    assert_array_equal(load_source(folder).photos[0].image, plain)


def test_a_broken_profile_is_one_sentence(folder: Path) -> None:
    Image.fromarray(pixels(folder)).save(folder / "portrait.png", icc_profile=DISPLAY_P3[:200])
    write_consent(folder)
    with pytest.raises(InputError, match="colour profile of the photo .* cannot be read"):
        load_source(folder)


def test_networks_that_found_the_points_are_remembered(folder: Path) -> None:
    assert load_source(folder).photos[0].origin == {}
    marks = json.loads((folder / "landmarks.json").read_text())
    (folder / "landmarks.json").write_text(json.dumps(marks | {"found_by": FOUND_BY}))
    photo = load_source(folder).photos[0]
    assert photo.origin == {"found_by": FOUND_BY} and len(photo.landmarks) == 68


NO_ORIGIN = ["somebody", [1], [{"file": "a.onnx"}], [{"role": "x", "file": "y", "sha256": 3}], None]


@pytest.mark.parametrize("value", NO_ORIGIN)
def test_an_origin_that_says_nothing_is_passed_over(folder: Path, value: object) -> None:
    marks = json.loads((folder / "landmarks.json").read_text())
    (folder / "landmarks.json").write_text(json.dumps(marks | {"found_by": value}))
    assert load_source(folder).photos[0].origin == {}
