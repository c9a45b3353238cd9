# SPDX-License-Identifier: Apache-2.0
"""Folders that other programs made: their cameras, pictures, masks, points and splits, and what is wrong with them."""

import json
import shutil

import attrs
import cv2
import numpy as np
import pytest

from backend.fitting.fit import fit
from backend.fitting.inputs import load_cameras, load_input
from backend.fitting.inputs.lenses import Lens
from backend.fitting.inputs.photos import MAX_HELD_OUT, split_by_rule, thinned, view_names
from backend.fitting.inputs.point_ply import read_point_ply
from backend.fitting.settings import FitSettings
from interchange.cameras import Camera
from interchange.colmap import write_colmap
from interchange.errors import Cancelled, InputError
from interchange.splats.axes import quaternion_from_matrix

from .foreign import (
    around,
    change_json,
    pixel_of,
    straight_rgba,
    surface_points,
    write_colmap_model,
    write_synthetic,
    write_transforms,
)
from .scene import CENTRE, RADIUS, make_capture

SETTINGS = FitSettings(
    iterations=100, splats=500, sh_degree=1, early_stop=False, evaluations=2, checkpoint_every_s=1e9, threads=1
)
POINTS = CENTRE + RADIUS * np.random.default_rng(0).uniform(-1, 1, (50, 3))


def to_splat_frame(points):
    """Blender's (x, y, z) in the y-down world."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def assert_cameras(named, originals):
    """Every camera projects points of the world where an independent formula puts them."""
    assert len(named) == len(originals)
    for (name, camera), original in zip(named, originals, strict=True):
        uv, depth = camera.project(to_splat_frame(POINTS))
        assert np.abs(uv - pixel_of(original, POINTS)).max() < 1e-8 and (depth > 0).all(), name


@pytest.fixture
def nerfstudio(tmp_path):
    return write_transforms(tmp_path / "scene", around(9))


@pytest.fixture
def colmap(tmp_path):
    return write_colmap_model(tmp_path / "scene", around(9), binary=True)


def test_transforms_cameras_are_exact_and_every_eighth_is_held_out(nerfstudio):
    dataset = load_input(nerfstudio)
    cameras = around(9)
    assert [v.name for v in dataset.held_out] == ["frame_000", "frame_008"]
    assert [v.name for v in dataset.train] == [f"frame_{i:03d}" for i in range(1, 8)]
    views = dataset.train + dataset.held_out
    assert_cameras([(v.name, v.camera) for v in views], cameras[1:8] + [cameras[0], cameras[8]])
    assert_cameras(load_cameras(nerfstudio), cameras[1:8] + [cameras[0], cameras[8]])
    assert load_input(nerfstudio / "transforms.json").digest == dataset.digest
    assert dataset.notes == [] and dataset.points is None and dataset.capture is None


def test_pictures_are_premultiplied_and_display_referred(nerfstudio):
    view, rgba = load_input(nerfstudio).train[0], straight_rgba(around(9)[1]).astype(np.float64) / 255
    assert np.allclose(view.alpha, rgba[..., 3], atol=1e-6)
    assert np.allclose(view.rgb, rgba[..., 2::-1] * rgba[..., 3:], atol=1e-6)


def test_the_synthetic_scenes(tmp_path):
    folder = write_synthetic(tmp_path, {"train": 5, "test": 2, "val": 2})
    dataset, cameras = load_input(folder), around(9)
    assert [v.name for v in dataset.train] == [f"train_r_{i}" for i in range(5)]
    assert [v.name for v in dataset.held_out] == ["test_r_0", "test_r_1"]
    views = dataset.train + dataset.held_out
    assert_cameras([(v.name, v.camera) for v in views], cameras[:7])
    (folder / "transforms_test.json").unlink()
    assert [v.name for v in load_input(folder).held_out] == ["val_r_0", "val_r_1"]
    (folder / "transforms_val.json").unlink()
    assert load_input(folder).held_out == []


def test_listed_splits_are_kept(nerfstudio):
    def split(content):
        names = [frame["file_path"] for frame in content["frames"]]
        content |= {"train_filenames": names[2:5], "val_filenames": names[5:6], "test_filenames": names[:2]}

    change_json(nerfstudio / "transforms.json", split)
    dataset = load_input(nerfstudio)
    assert [v.name for v in dataset.train] == ["frame_002", "frame_003", "frame_004"]
    assert [v.name for v in dataset.held_out] == ["frame_000", "frame_001"]
    change_json(nerfstudio / "transforms.json", lambda content: content["train_filenames"].append("x.png"))
    with pytest.raises(InputError, match="splits off 'x.png'"):
        load_input(nerfstudio)


def test_intrinsics_at_the_top_and_sizes_of_their_own(tmp_path):
    cameras = [*around(2, 48), *around(3, 64)[2:]]
    folder = write_transforms(tmp_path, cameras, fl_x=1.8 * 48, w=48, h=48, applied_transform=[[1, 0, 0, 0]])

    def at_the_top(content):
        for frame in content["frames"][:2]:
            for key in ("w", "h", "fl_x", "fl_y", "cx", "cy"):
                del frame[key]

    change_json(folder / "transforms.json", at_the_top)
    dataset = load_input(folder)
    assert_cameras([(v.name, v.camera) for v in dataset.train], cameras)
    assert [v.rgb.shape for v in dataset.train] == [(48, 48, 3), (48, 48, 3), (64, 64, 3)]
    assert dataset.held_out == [] and "applied_transform is ignored" in dataset.notes[0]


def test_smaller_pictures_than_the_cameras_and_the_limit(nerfstudio):
    for path in (nerfstudio / "images").iterdir():
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path), -1), (24, 24), interpolation=cv2.INTER_AREA))
    small = load_input(nerfstudio)
    assert np.allclose(small.train[0].camera.K, around(9)[1].scaled(0.5).K) and small.train[0].rgb.shape == (24, 24, 3)
    tiny = load_input(nerfstudio, longest=12)
    assert tiny.train[0].rgb.shape == (12, 12, 3) and "9 of 9 pictures were scaled down to 12 pixels" in tiny.notes[0]
    assert np.allclose(tiny.train[0].camera.K[0], [1.8 * 12, 0, 6]) and tiny.digest != small.digest
    assert np.allclose(tiny.train[0].rgb.mean(), small.train[0].rgb.mean(), atol=2e-3)
    cv2.imwrite(str(nerfstudio / "images/frame_003.png"), np.zeros((24, 30, 4), np.uint8))
    with pytest.raises(InputError, match="frame_003.png has 30 x 24 pixels; its camera has 48 x 48"):
        load_input(nerfstudio)


@pytest.mark.parametrize("kind", ["16 bit", "grey", "grey 16 bit", "grey alpha", "palette", "jpeg with mask"])
def test_kinds_of_pictures(nerfstudio, kind):
    path = nerfstudio / "images/frame_001.png"
    pixels = cv2.imread(str(path), -1)
    before = load_input(nerfstudio).train[0]
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGRA2GRAY)
    expected, alpha, tolerance = before.rgb, before.alpha, 1e-6
    if kind == "16 bit":
        cv2.imwrite(str(path), pixels.astype(np.uint16) * 257)
    elif kind.startswith("grey"):
        from PIL import Image

        values = np.repeat(grey[..., None], 3, axis=2) / 255
        alpha = before.alpha if kind == "grey alpha" else np.ones((48, 48))
        expected, tolerance = values * alpha[..., None], 1e-2
        if kind == "grey alpha":
            Image.fromarray(np.dstack([grey, pixels[..., 3]]), "LA").save(path)
        else:
            cv2.imwrite(str(path), grey if kind == "grey" else grey.astype(np.uint16) * 257)
    elif kind == "palette":
        from PIL import Image

        Image.fromarray(grey // 32 * 32).convert("P").save(path)
        values = np.repeat((grey // 32 * 32)[..., None], 3, axis=2) / 255
        expected, alpha = values, np.ones((48, 48))
    else:
        cv2.imwrite(str(nerfstudio / "images/photo.jpg"), pixels[..., :3], [cv2.IMWRITE_JPEG_QUALITY, 100])
        cv2.imwrite(str(nerfstudio / "mask.png"), pixels[..., 3])

        def rename(content):
            content["frames"][1] |= {"file_path": "images/photo.jpg", "mask_path": "mask.png"}

        change_json(nerfstudio / "transforms.json", rename)
        tolerance = 0.15  # JPEG smears colour at the edge of the ball
    dataset = load_input(nerfstudio)
    view = next(v for v in dataset.train + dataset.held_out if v.name in ("frame_001", "photo"))
    assert np.abs(view.rgb - expected).max() < tolerance and np.abs(view.alpha - alpha).max() < 1e-6


def test_points_of_a_ply_are_turned_with_the_world(nerfstudio):
    positions, colours = surface_points(30)
    header = ["ply", "format ascii 1.0", "element vertex 30", *(f"property float {a}" for a in "xyz"),
              *(f"property uchar {c}" for c in ("red", "green", "blue")), "end_header"]  # fmt: skip
    words = ([*map(float, p), *c] for p, c in zip(positions, colours.tolist(), strict=True))
    rows = [" ".join(map(repr, row)) for row in words]
    (nerfstudio / "cloud.ply").write_text("\n".join(header + rows) + "\n")
    change_json(nerfstudio / "transforms.json", lambda content: content.update(ply_file_path="cloud.ply"))
    dataset = load_input(nerfstudio)
    assert np.allclose(dataset.points, to_splat_frame(positions), atol=1e-6)
    assert np.allclose(dataset.point_colours, colours / 255)
    with_points = load_input(nerfstudio).digest
    (nerfstudio / "cloud.ply").write_text("\n".join([*header[:2], "element vertex 29", *header[3:], *rows[1:]]) + "\n")
    assert load_input(nerfstudio).digest != with_points
    (nerfstudio / "cloud.ply").unlink()
    with pytest.raises(InputError, match="cloud.ply is missing"):
        load_input(nerfstudio)


@pytest.mark.parametrize("order", ["<", ">"])
def test_binary_points(tmp_path, order):
    axes = [(axis, order + "f8") for axis in "xyz"]
    kind = np.dtype([("red", "u1"), *axes, ("green", "u1"), ("blue", "u1")])
    table = np.array([(255, 1, 2, 3, 0, 51), (0, np.nan, 2, 3, 0, 0)], kind)
    name = {"<": "little", ">": "big"}[order]
    lines = ["ply", f"format binary_{name}_endian 1.0", "comment x", "element vertex 2", "property uchar red",
             *(f"property double {a}" for a in "xyz"), "property uchar green", "property uchar blue",
             "element face 0", "property list uchar int vertex_indices", "end_header", ""]  # fmt: skip
    path = tmp_path / "a.ply"
    path.write_bytes("\n".join(lines).encode() + table.tobytes())
    points, colours = read_point_ply(path)
    assert np.array_equal(points, [[1, 2, 3]]) and np.allclose(colours, [[1, 0, 0.2]])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="too short for 2 points"):
        read_point_ply(path)


@pytest.mark.parametrize("binary", [True, False])
def test_colmap_cameras_and_points_are_exact(tmp_path, binary):
    cameras = around(9)
    folder = write_colmap_model(tmp_path, cameras, binary)
    dataset = load_input(folder)
    assert [v.name for v in dataset.held_out] == ["view_000", "view_008"]
    views = dataset.train + dataset.held_out
    assert_cameras([(v.name, v.camera) for v in views], cameras[1:8] + [cameras[0], cameras[8]])
    positions, colours = surface_points(400)
    assert np.allclose(dataset.points, to_splat_frame(positions)) and np.allclose(dataset.point_colours, colours / 255)
    for other in (folder / "sparse/0", folder / "sparse"):
        assert load_input(other).digest == dataset.digest


def test_text_and_binary_models_are_the_same(tmp_path):
    a, b = (load_input(write_colmap_model(tmp_path / str(kind), around(3), kind)) for kind in (True, False))
    assert a.digest == b.digest


def test_colmap_masks(colmap):
    rgba = straight_rgba(around(9)[1])
    cv2.imwrite(str(colmap / "images/view_001.png"), rgba[..., :3])
    (colmap / "masks").mkdir()
    whole = load_input(colmap).train[0]
    assert whole.alpha.min() == 1
    for name in ("view_001.png.png", "view_001.png"):
        cv2.imwrite(str(colmap / "masks" / name), rgba[..., 3])
        assert np.abs(load_input(colmap).train[0].alpha - rgba[..., 3] / 255).max() < 1e-6
        (colmap / "masks" / name).unlink()
    cv2.imwrite(str(colmap / "masks/view_001.png"), rgba[:20, :, 3])
    with pytest.raises(InputError, match="not as large as its picture"):
        load_input(colmap)


F = 1.8 * 48


@pytest.mark.parametrize(
    "model, parameters, distortion",
    [
        ("SIMPLE_PINHOLE", [F, 23, 25], []),
        ("SIMPLE_RADIAL", [F, 23, 25, 0.3], [0.3]),
        ("RADIAL", [F, 24, 24, -0.4, 0.1], [-0.4, 0.1]),
        ("OPENCV", [F, F * 1.1, 24, 25, -0.2, 0.4, 0.02, -0.03], [-0.2, 0.4, 0.02, -0.03]),
        ("FULL_OPENCV", [F, F, 24, 24, -0.1, 0.2, 0.01, 0.02, 0.05, 0.1, 0.02, 0.01],
         [-0.1, 0.2, 0.01, 0.02, 0.05, 0.1, 0.02, 0.01]),
    ],
)  # fmt: skip
def test_distorted_pictures_are_straightened(tmp_path, model, parameters, distortion):
    """A distorted picture that is a known function of its pixels is that function of projectPoints afterwards."""
    size = 192
    scale = size / 48
    numbers = [v * scale if i < 4 - (model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")) else v
               for i, v in enumerate(parameters)]  # fmt: skip
    folder = write_colmap_model(tmp_path, around(1, size), False, model, numbers)
    fx, fy, cx, cy = numbers[:4] if model in ("OPENCV", "FULL_OPENCV") else [numbers[0], *numbers[:3]]

    def pattern(x, y):
        return 0.5 + 0.25 * np.sin(x / 9) + 0.2 * np.cos(y / 7 + x / 40)

    x, y = np.meshgrid(np.arange(size), np.arange(size))
    cv2.imwrite(str(folder / "images/view_000.png"), np.rint(pattern(x, y) * 65535).astype(np.uint16))
    view = load_input(folder).train[0]
    K = view.camera.K
    rays = np.stack([(x + 0.5 - K[0, 2]) / K[0, 0], (y + 0.5 - K[1, 2]) / K[1, 1], np.ones_like(x)], axis=-1)
    opencv = np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]])
    coefficients = np.array([*distortion, 0.0, 0.0, 0.0, 0.0][: max(4, len(distortion))])
    place, _ = cv2.projectPoints(rays.reshape(-1, 3), np.zeros(3), np.zeros(3), opencv, coefficients)
    u, v = place.reshape(size, size, 2).transpose(2, 0, 1)
    inside = (u > 2) & (v > 2) & (u < size - 3) & (v < size - 3)
    assert inside.mean() > 0.9
    assert (u.min(), v.min()) > (-1.5, -1.5) and max(u.max(), v.max()) < size + 0.5  # no place outside is shown
    assert np.abs(view.rgb[..., 0] - pattern(u, v))[inside].max() < 4e-3  # 0.1 pixels
    if distortion:
        assert np.abs(np.stack([u - x, v - y])).max() > 1  # there was something to straighten


def test_nerfstudio_distortion_is_the_same_lens(nerfstudio):
    change_json(nerfstudio / "transforms.json", lambda content: content.update(k1=-0.2, k2=0.4, p1=0.02, k3=0.1))
    expected = Lens(48, 48, F, F, 24, 24, (-0.2, 0.4, 0.02, 0.0, 0.1))
    assert np.allclose(load_input(nerfstudio).train[0].camera.K, expected.pinhole())


def test_an_undistorted_pinhole_is_not_resampled():
    image = np.random.default_rng(0).random((8, 9, 4), np.float32)
    assert Lens(9, 8, 5, 5, 4, 4, (0.0,)).undistort(image) is image


def test_our_own_exports_lead_back_to_the_same_cameras(tmp_path):
    capture = make_capture(tmp_path / "capture", train=5, held_out=2, size=32)
    goal = load_input(capture.folder)
    named = {v.name: v for v in goal.train + goal.held_out}
    plain = tmp_path / "plain"
    shutil.copytree(capture.folder, plain)
    (plain / "capture.json").unlink()
    shutil.copytree(plain / "previews", plain / "images")
    for remove in (None, "transforms.json"):
        if remove:
            (plain / remove).unlink()
        dataset = load_input(plain)
        views = dataset.train + dataset.held_out
        assert {v.name for v in views} == set(named)
        for view in views:
            assert np.abs(view.camera.world_to_camera - named[view.name].camera.world_to_camera).max() < 1e-13
            assert np.array_equal(view.camera.K, named[view.name].camera.K)
            assert np.abs(view.rgb - named[view.name].rgb).max() < 0.01
        if not remove:
            assert [v.name for v in dataset.held_out] == [v.name for v in goal.held_out]
    assert np.abs(np.linalg.norm(dataset.points - to_splat_frame(CENTRE[None]), axis=1) - RADIUS).max() < 1e-6


def test_quaternions_of_all_kinds_of_rotations(tmp_path):
    from scipy.spatial.transform import Rotation

    rotations = [*Rotation.random(50, random_state=0).as_matrix(), np.eye(3)]
    rotations += [np.diag(d) for d in ([1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1])]
    for matrix in rotations:
        w, x, y, z = quaternion_from_matrix(matrix)
        assert np.allclose(Rotation.from_quat([x, y, z, w]).as_matrix(), matrix, atol=1e-12)
    write_colmap(tmp_path / "sparse/0", [("a b.png", Camera(np.diag([30.0, 30, 1]), np.eye(4), 8, 8))])
    [(name, camera)] = load_cameras(tmp_path)
    assert name == "a_b" and np.array_equal(camera.world_to_camera, np.eye(4))


def test_names_are_files_and_unique():
    assert view_names(["a/b/x.png", "a/b/y.z.jpg"]) == ["x", "y.z"]
    assert view_names(["a/x.png", "b/x.png", "a_x.png"]) == ["a_x", "b_x", "a_x_2"]
    assert view_names(["../../etc/p.png"]) == ["p"]
    assert view_names(["./train/r_0", "./test/r_0"]) == ["train_r_0", "test_r_0"]
    assert view_names(["..", "Ä ö/.png"])[0] == "view" and view_names(["X.png", "x.jpg"]) == ["X", "x_2"]


def test_large_test_sets_are_thinned():
    notes = []
    assert len(thinned(list(range(200)), notes)) == MAX_HELD_OUT and "40 of 200" in notes[0]
    assert thinned([1, 2], notes) == [1, 2] and len(notes) == 1
    few = [attrs.make_class("Named", ["name"])(str(i)) for i in range(7)]
    assert split_by_rule(few) == (few, [])


def test_a_model_without_points_is_fine(colmap):
    (colmap / "sparse/0/points3D.bin").unlink()
    assert load_input(colmap).points is None
    (colmap / "sparse/0/points3D.txt").write_text("# none\n")
    assert load_input(colmap).points is None


def test_cancel_and_progress(nerfstudio):
    with pytest.raises(Cancelled):
        load_input(nerfstudio, cancelled=lambda: True)
    messages = []
    load_input(nerfstudio, lambda *event: messages.append(event[2]))
    assert "reading pictures: 9 of 9" in messages[-1]


def test_one_view_alone_is_fitted(tmp_path):
    result = fit(write_transforms(tmp_path / "one", around(1)), tmp_path / "out", attrs.evolve(SETTINGS, iterations=10))
    assert result.psnr is None and result.splats > 50


def test_both_kinds_are_fitted_well(tmp_path):
    model = write_colmap_model(tmp_path / "model", around(9, 64), binary=True)
    result = fit(model, tmp_path / "a", SETTINGS)
    assert result.start == "points" and result.psnr > 26 and fit(model, tmp_path / "a", SETTINGS).reused
    scene = write_transforms(tmp_path / "scene", around(9, 64))
    result = fit(scene, tmp_path / "b", SETTINGS)
    assert result.start == "random" and result.psnr > 20
    assert {p.name for p in (tmp_path / "b/renders").iterdir()} == {"frame_000.png", "frame_008.png"}
    record = json.loads((tmp_path / "b/fit.json").read_text())
    assert record["result"]["psnr"] == result.psnr
