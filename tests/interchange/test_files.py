# SPDX-License-Identifier: Apache-2.0
"""EXR, PNG, PLY and the capture folder: round trips, independent readers, damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import cv2
import numpy as np
import OpenEXR
import plyfile
import pytest

from interchange.cameras import Camera
from interchange.capture import Bone, Capture, ObjectInfo, Pose, View, ViewImages, read_view, write_preview, write_view
from interchange.colour import srgb_from_linear
from interchange.errors import InputError
from interchange.exr import _running_sums, read_exr, read_planes, write_exr
from interchange.mesh import Mesh
from interchange.png import read_png, write_png
from interchange.splats import SplatCloud, ply_properties, read_ply, write_ply


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (37, 23), (50, 3)])
def test_exr_round_trip_and_independent_reader(tmp_path: Path, rng: np.random.Generator, size: tuple[int, int]) -> None:
    channels = {
        "R": rng.random(size).astype(np.float16),
        "depth.Z": rng.random(size).astype(np.float32) * 1e6,
        "mask.face": np.zeros(size, np.float16),
    }
    write_exr(tmp_path / "a.exr", channels)
    ours = read_exr(tmp_path / "a.exr")
    theirs = OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True).channels()
    for name, channel in channels.items():
        np.testing.assert_array_equal(ours[name], channel.astype(np.float32))
        np.testing.assert_array_equal(theirs[name].pixels, channel)


def test_exr_reads_what_the_library_writes(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.random((33, 20)).astype(np.float32)
    for compression in (OpenEXR.NO_COMPRESSION, OpenEXR.ZIPS_COMPRESSION, OpenEXR.ZIP_COMPRESSION):
        header = {"compression": compression, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"Y": pixels}).write(str(tmp_path / "b.exr"))
        np.testing.assert_array_equal(read_exr(tmp_path / "b.exr")["Y"], pixels)


def test_exr_reads_only_the_channels_and_layers_that_are_asked_for(tmp_path: Path, rng: np.random.Generator) -> None:
    path, shape = tmp_path / "a.exr", (35, 20)
    names = ["R", "albedo.R", "albedo.G", "depth.Z", "mask.face"]
    channels = {n: rng.random(shape).astype(np.float32 if n == "depth.Z" else np.float16) for n in names}
    write_exr(path, channels)
    everything = read_exr(path)
    asked = [("albedo", "albedo.G albedo.R"), ("R mask.face", "R mask.face"), ("depth x", "depth.Z"), ("", "")]
    for wanted, expected in ([text.split() for text in pair] for pair in asked):
        found = read_exr(path, wanted)
        assert list(found) == expected  # in the file's order
        for name, channel in found.items():
            np.testing.assert_array_equal(channel, everything[name])
    planes = read_planes(path)
    assert {name: plane.dtype for name, plane in planes.items()} == {n: c.dtype for n, c in channels.items()}


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 23, 64, 1000, 4096, 4099])
def test_running_sums_are_those_of_numpy(rng: np.random.Generator, size: int) -> None:
    for data in (rng.integers(0, 256, size, dtype=np.uint8), np.full(size, 255, np.uint8)):
        np.testing.assert_array_equal(_running_sums(data), np.add.accumulate(data, dtype=np.uint8))


def test_display_and_preview_of_odd_coverage(tmp_path: Path, rng: np.random.Generator) -> None:
    rgb, alpha = rng.random((30, 40, 3)).astype(np.float32), np.zeros((30, 40), np.float32)
    alpha[4:20, 7:33] = rng.random((16, 26)) * 1.2 - 0.1  # half floats can leave 0..1 a little
    images = ViewImages(rgb, alpha)
    straight = np.clip(rgb / np.maximum(alpha[..., None], 1e-6), 0, 1)
    encoded = srgb_from_linear(straight)
    np.testing.assert_array_equal(images.display(), encoded * np.clip(alpha, 0, 1)[..., None])
    write_preview(tmp_path / "p.png", images)
    picture = read_png(tmp_path / "p.png")
    assert not picture[alpha <= 0].any()
    seen = alpha > 0
    np.testing.assert_array_equal(picture[seen][:, :3], np.rint(encoded[seen] * 255))
    np.testing.assert_array_equal(picture[seen][:, 3], np.rint(np.clip(alpha[seen], 0, 1) * 255))
    assert not ViewImages(rgb, np.zeros_like(alpha)).display().any()


def test_damaged_exr_is_one_sentence(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "c.exr"
    write_exr(path, {"R": rng.random((64, 64)).astype(np.float32)})
    whole = path.read_bytes()
    for cut in rng.integers(0, len(whole) - 1, 30):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match="damaged"):
            read_exr(path)
    for position in rng.integers(0, len(whole), 60):  # a flipped byte may go unnoticed, but raises nothing else
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            read_exr(path)
        except InputError as error:
            assert "damaged" in error.message
    with pytest.raises(InputError, match="missing"):
        read_exr(tmp_path / "none.exr")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_round_trip_and_opencv(tmp_path: Path, rng: np.random.Generator, channels: int) -> None:
    image = rng.integers(0, 256, (19, 31, channels), dtype=np.uint8)
    write_png(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), image)
    if channels in (1, 3):
        theirs = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(theirs.reshape(image.shape)[..., ::-1], image)


def test_png_reads_every_filter(tmp_path: Path) -> None:
    gradient = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)
    image = np.stack([gradient, gradient.T[:48, :48].repeat(2, 0)[:64], gradient[::-1]], axis=-1)
    for strategy in range(5):
        cv2.imwrite(str(tmp_path / "f.png"), image, [cv2.IMWRITE_PNG_STRATEGY, strategy])
        np.testing.assert_array_equal(read_png(tmp_path / "f.png"), image[..., ::-1])


def random_cloud(rng: np.random.Generator, count: int, degree: int) -> SplatCloud:
    k = (degree + 1) ** 2
    return SplatCloud(
        rng.normal(size=(count, 3)), rng.normal(size=(count, 3)), rng.normal(size=(count, 4)), rng.normal(size=count),
        rng.normal(size=(count, k, 3)), antialiased=degree % 2 == 1,
    )  # fmt: skip


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_ply_round_trip_and_plyfile(tmp_path: Path, rng: np.random.Generator, degree: int) -> None:
    cloud = random_cloud(rng, 53, degree)
    write_ply(tmp_path / "s.ply", cloud)
    back = read_ply(tmp_path / "s.ply")
    for name in ("means", "log_scales", "quats_wxyz", "opacity_logits", "sh"):
        np.testing.assert_array_equal(getattr(back, name), getattr(cloud, name))
    assert back.antialiased == cloud.antialiased and back.degree == degree
    vertex = plyfile.PlyData.read(tmp_path / "s.ply")["vertex"]
    assert [p.name for p in vertex.properties] == ply_properties(degree)
    np.testing.assert_array_equal(vertex["rot_0"], cloud.quats_wxyz[:, 0])
    if degree:
        per_channel = (degree + 1) ** 2 - 1
        np.testing.assert_array_equal(vertex[f"f_rest_{per_channel}"], cloud.sh[:, 1, 1])  # green follows all red


def test_ply_is_read_by_name_in_any_order(tmp_path: Path, rng: np.random.Generator) -> None:
    cloud = random_cloud(rng, 9, 1)
    write_ply(tmp_path / "s.ply", cloud)
    data = plyfile.PlyData.read(tmp_path / "s.ply")["vertex"].data
    names = list(reversed(data.dtype.names))
    shuffled = np.array(data[names].tolist(), [(name, "<f4") for name in names])
    plyfile.PlyData([plyfile.PlyElement.describe(shuffled, "vertex")]).write(tmp_path / "t.ply")
    np.testing.assert_array_equal(read_ply(tmp_path / "t.ply").sh, cloud.sh)


def test_foreign_ply_says_what_is_missing(tmp_path: Path) -> None:
    points = np.zeros(3, [("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    plyfile.PlyData([plyfile.PlyElement.describe(points, "vertex")]).write(tmp_path / "p.ply")
    with pytest.raises(InputError, match="lacks f_dc_0"):
        read_ply(tmp_path / "p.ply")
    (tmp_path / "q.ply").write_bytes(b"hello")
    with pytest.raises(InputError, match="not a PLY"):
        read_ply(tmp_path / "q.ply")


def test_truncated_ply(tmp_path: Path, rng: np.random.Generator) -> None:
    write_ply(tmp_path / "s.ply", random_cloud(rng, 53, 0))
    whole = (tmp_path / "s.ply").read_bytes()
    (tmp_path / "s.ply").write_bytes(whole[:-100])
    with pytest.raises(InputError, match="damaged|ends after"):
        read_ply(tmp_path / "s.ply")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"vertex 53", b"vertex 0"),
        (b"vertex 53", b"vertex -3"),
        (b"vertex 53", b"vertex 99999999999999999"),
        (b"vertex 53", b"vertex"),
        (b"property float", b"property quux"),
        (b"property float x\n", b"property float\n"),
        (b"float y", b"float x"),
        (b"format binary_little_endian 1.0", b"format"),
    ],
)
def test_a_damaged_ply_header_is_one_sentence(tmp_path: Path, rng: np.random.Generator, old: bytes, new: bytes) -> None:
    path = tmp_path / "s.ply"
    write_ply(path, random_cloud(rng, 53, 0))
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(InputError) as caught:
        read_ply(path)
    assert str(path) in caught.value.message and caught.value.hint


def quad_mesh() -> Mesh:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(
        vertices=vertices, rest_vertices=vertices, normals=np.tile([0, -1, 0], (4, 1)), faces=faces,
        face_uvs=vertices[faces][..., [0, 2]], face_object=[0, 0], face_region=[1, 1], region_face=np.ones(4),
        region_lips=np.zeros(4), region_brows=np.zeros(4), bone_index=np.zeros((4, 4)), bone_weight=np.zeros((4, 4)),
        landmarks=np.full(68, -1),
    )  # fmt: skip


def small_capture(folder: Path, rng: np.random.Generator) -> Capture:
    camera = Camera(np.array([[50, 0, 16], [0, 50, 12], [0, 0, 1.0]]), np.eye(4), 32, 24)
    pose = Pose("rest", "meshes/rest.npz", bones=[Bone("head", None, np.eye(4).tolist(), np.eye(4).tolist())])
    capture = Capture(folder, "test", poses=[pose], objects=[ObjectInfo("head", "head", 0, 2, "textures/head.png")])
    for name in ("views", "previews", "meshes", "textures"):
        (folder / name).mkdir(parents=True)
    quad_mesh().save(folder / pose.mesh)
    write_png(folder / "textures/head.png", rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    for name, split in (("view_000", "train"), ("view_001", "held_out")):
        images = ViewImages(
            rgb=rng.random((24, 32, 3)).astype(np.float32), alpha=np.ones((24, 32), np.float32),
            depth=np.full((24, 32), 1.2345678, np.float32), uv=rng.random((24, 32, 2)).astype(np.float32),
            masks={"face": np.ones((24, 32), np.float32)},
        )  # fmt: skip
        view = View(name, split, "rest", camera, f"views/{name}.exr", f"previews/{name}.png")
        write_view(folder / view.exr, images)
        write_preview(folder / view.preview, images)
        capture.views.append(view)
    capture.save_manifest()
    return capture


def test_capture_round_trip(tmp_path: Path, rng: np.random.Generator) -> None:
    written = small_capture(tmp_path / "capture", rng)
    capture = Capture.load(tmp_path / "capture")
    assert [v.name for v in capture.train_views] == ["view_000"] and len(capture.held_out_views) == 1
    np.testing.assert_array_equal(capture.views[0].camera.K, written.views[0].camera.K)
    assert capture.poses == written.poses and capture.objects == written.objects
    images = capture.load_view(capture.views[0])
    assert images.depth is not None and images.depth[3, 4] == np.float32(1.2345678)
    assert images.albedo is None and set(images.masks) == {"face"}
    assert read_view(capture.folder / capture.views[0].exr, layers=()).depth is None
    np.testing.assert_array_equal(capture.load_mesh().faces, quad_mesh().faces)
    assert capture.load_texture(capture.objects[0]).shape == (8, 8, 3)
    frames = json.loads((capture.folder / "transforms.json").read_text())["frames"]
    assert frames[0]["fl_x"] == 50 and len(frames) == 2 and "time" not in frames[0]


def test_frames_of_several_poses_carry_their_moment(tmp_path: Path, rng: np.random.Generator) -> None:
    capture = small_capture(tmp_path / "capture", rng)
    capture.poses.append(attrs.evolve(capture.poses[0], name="smile"))
    capture.views[1] = attrs.evolve(capture.views[1], pose="smile")
    frames = capture.nerfstudio_transforms()["frames"]
    assert [(f["pose"], f["time"]) for f in frames] == [("rest", 0.0), ("smile", 1.0)]


def test_damaged_capture_is_one_sentence(tmp_path: Path, rng: np.random.Generator) -> None:
    small_capture(tmp_path / "capture", rng)
    manifest = tmp_path / "capture/capture.json"
    good = json.loads(manifest.read_text())
    for bad in ({"format": "other"}, good | {"version": 99}, good | {"views": [{"name": 1}]}):
        manifest.write_text(json.dumps(bad))
        with pytest.raises(InputError):
            Capture.load(tmp_path / "capture")
    manifest.write_text("{")
    with pytest.raises(InputError, match="JSON"):
        Capture.load(tmp_path / "capture")
    with pytest.raises(InputError, match="missing"):
        Capture.load(tmp_path / "nowhere")
    (tmp_path / "capture/meshes/rest.npz").write_bytes(b"nonsense")
    manifest.write_text(json.dumps(good))
    with pytest.raises(InputError, match="damaged"):
        Capture.load(tmp_path / "capture").load_mesh()


def _camera(**changes: object) -> dict:
    return {"K": [[50, 0, 16], [0, 50, 12], [0, 0, 1]], "world_to_camera": np.eye(4).tolist(), "width": 32,
            "height": 24} | changes  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "../evil"}, "leads out of its folder"),
        ({"name": "a/b"}, "cannot be called 'a/b'"),
        ({"name": "view_001"}, "two views called view_001"),
        ({"split": "test"}, "not one of train, held_out"),
        ({"exr": "/etc/passwd"}, "is absolute"),
        ({"preview": "../p.png"}, "leads out"),
        ({"camera": _camera(K=[[float("nan"), 0, 16], [0, 50, 12], [0, 0, 1]])}, "view_000 holds NaN"),
        ({"camera": _camera(K=[[-50, 0, 16], [0, 50, 12], [0, 0, 1]])}, "no positive focal length"),
        ({"camera": _camera(width=0)}, "picture of 0 x 24"),
        ({"camera": _camera(world_to_camera=np.zeros((4, 4)).tolist())}, "no rigid transform"),
        ({"camera": _camera(world_to_camera=np.diag([1, 1, -1, 1]).tolist())}, "no rigid transform"),
        ({"camera": _camera(world_to_camera=[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]])}, "last row"),
    ],
)
def test_an_unusable_view_is_one_sentence(
    tmp_path: Path, rng: np.random.Generator, change: dict, sentence: str
) -> None:
    small_capture(tmp_path / "capture", rng)
    manifest = tmp_path / "capture/capture.json"
    content = json.loads(manifest.read_text())
    content["views"][0] |= change
    manifest.write_text(json.dumps(content))
    with pytest.raises(InputError, match=sentence) as caught:
        Capture.load(tmp_path / "capture")
    assert str(manifest) in caught.value.message and caught.value.hint


def test_json_that_is_nested_without_end(tmp_path: Path) -> None:
    (tmp_path / "capture.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="nested too deep"):
        Capture.load(tmp_path)


def test_pictures_that_are_not_finite_or_no_files(tmp_path: Path, rng: np.random.Generator) -> None:
    capture = small_capture(tmp_path / "capture", rng)
    view = capture.views[0]
    images = capture.load_view(view)
    images.rgb[3, 4, 0] = np.nan
    write_view(capture.folder / view.exr, images)
    with pytest.raises(InputError, match="NaN or infinite"):
        capture.load_view(view)
    (capture.folder / view.exr).unlink()
    (capture.folder / view.exr).mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        capture.load_view(view)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rest_vertices": np.full((4, 3), np.nan)}, "rest_vertices that are NaN"),
        ({"face_uvs": np.full((2, 3, 2), np.inf)}, "face_uvs that are NaN"),
        ({"faces": np.full((2, 3), 9)}, "refers to vertices"),
        ({"bone_index": np.full((4, 4), 7)}, "unlisted bones"),
        ({"face_object": np.full(2, 3)}, "unlisted objects"),
        ({"vertices": np.array(["a"])}, "damaged"),
    ],
)
def test_a_damaged_mesh_is_one_sentence(
    tmp_path: Path, rng: np.random.Generator, change: dict, sentence: str
) -> None:
    capture = small_capture(tmp_path / "capture", rng)
    path = capture.folder / "meshes/rest.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | change)
    with pytest.raises(InputError, match=sentence) as caught:
        capture.load_mesh()
    assert "rest.npz" in caught.value.message
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="not an .npz archive"):
        capture.load_mesh()


def test_what_is_brighter_than_a_half_float_holds_stays_finite(tmp_path: Path) -> None:
    bright = np.full((4, 6, 3), 1e9, np.float32)
    camera = Camera(np.diag([6.0, 6.0, 1.0]), np.eye(4), 6, 4)
    view = View("sun", "train", "rest", camera, "v.exr", "v.png")
    write_view(tmp_path / "v.exr", ViewImages(bright, np.ones((4, 6), np.float32), albedo=bright, light=bright))
    images = Capture(tmp_path).load_view(view)
    assert images.light is not None and images.rgb.max() == images.light.max() == 65504


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_texture_has_three_channels_whatever_its_file_has(tmp_path: Path, channels: int) -> None:
    pixels = np.full((2, 2, channels), 255, np.uint8)
    pixels[..., 0] = 128
    write_png(tmp_path / "skin.png", pixels)
    texture = Capture(tmp_path).load_texture(ObjectInfo("head", "head", 0, 1, "skin.png"))
    second = 0.2158605 if channels <= 2 else 1.0
    np.testing.assert_allclose(texture[0, 0], [0.2158605, second, second], atol=1e-5)
