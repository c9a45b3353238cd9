# SPDX-License-Identifier: Apache-2.0
"""The procedural head obeys the avatar contract, and its anatomy holds in millimetres."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender's Python module")

from avatars import BONES, PARTS, SHAPE_KEYS, AvatarSpec, build, identities  # noqa: E402
from interchange.errors import InputError  # noqa: E402

NAMES = identities("procedural")
SIZE = 128


@pytest.fixture(scope="module")
def heads() -> Iterator[dict]:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    yield {name: build(AvatarSpec("procedural", name, name, texture_size=SIZE)) for name in NAMES}


def coordinates(obj: object) -> np.ndarray:
    out = np.empty(len(obj.data.vertices) * 3, np.float32)
    obj.data.vertices.foreach_get("co", out)
    return out.reshape(-1, 3).astype(np.float64) * 1e3


def moved(obj: object, key: str) -> np.ndarray:
    block = obj.data.shape_keys.key_blocks[key]
    out = np.empty(len(block.data) * 3, np.float32)
    block.data.foreach_get("co", out)
    return out.reshape(-1, 3) * 1e3 - coordinates(obj)


def test_there_are_three_identities_with_different_shapes_and_skins(heads: dict) -> None:
    assert {"ada", "bruno", "chidi"} <= set(NAMES)
    for one, other in zip(NAMES[:-1], NAMES[1:], strict=True):
        a, b = heads[one], heads[other]
        assert np.linalg.norm(coordinates(a.head) - coordinates(b.head), axis=1).max() > 3.0
        skins = [np.array(bpy.data.images[f"{h.name}_skin"].pixels).reshape(-1, 4)[:, :3] for h in (a, b)]
        assert np.abs(skins[0] - skins[1]).mean() > 0.03


def test_topology_uvs_and_landmarks_are_the_same_for_all(heads: dict) -> None:
    first = heads[NAMES[0]]

    def fingerprint(handle: object) -> tuple:
        mesh = handle.head.data
        loops = np.empty(len(mesh.loops), np.int32)
        mesh.loops.foreach_get("vertex_index", loops)
        uv = np.empty(len(mesh.loops) * 2, np.float32)
        mesh.uv_layers["UVMap"].data.foreach_get("uv", uv)
        return loops.tobytes(), uv.tobytes(), tuple(handle.landmarks), list(handle.head["digidouble_landmarks"])

    for name in NAMES[1:]:
        assert fingerprint(heads[name]) == fingerprint(first)


@pytest.mark.parametrize("name", NAMES)
def test_objects_materials_and_properties_follow_the_contract(heads: dict, name: str) -> None:
    h = heads[name]
    assert h.collection.name == name and h.head.name == name and h.armature.name == f"{name}_rig"
    assert {"head", "eyes", "hair", "teeth", "lashes"} == set(h.parts)
    for obj in h.parts.values():
        assert obj["digidouble_part"] in PARTS
        assert obj.name in h.collection.objects
        assert [m.type for m in obj.modifiers][0] == "ARMATURE"
        assert obj.data.uv_layers[0].name == "UVMap"
    assert [m.type for m in h.head.modifiers] == ["ARMATURE", "SUBSURF"]
    about = json.loads(h.armature["digidouble_avatar"])
    assert about["kind"] == "procedural" and about["identity"] == name and about["licence"]
    for part, image in (("head", "skin"), ("eyes", "iris")):
        tree = h.parts[part].data.materials[0].node_tree
        shader = next(n for n in tree.nodes if n.type == "BSDF_PRINCIPLED")
        source = shader.inputs["Base Color"].links[0].from_node
        assert source.type == "TEX_IMAGE" and source.image.name == f"{name}_{image}"
        assert source.image.packed_file is not None and source.image.colorspace_settings.name == "sRGB"
    keys = h.head.data.shape_keys.key_blocks
    assert set(SHAPE_KEYS) <= set(keys.keys()) and all(k.value == 0.0 for k in keys)
    assert set(BONES) <= {b.name for b in h.armature.data.bones}
    eyes = coordinates(h.parts["eyes"])
    assert np.allclose(h.eye_centre[[0, 2]] * 1e3, [0.0, eyes[:, 2].mean()], atol=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_regions_and_weights_are_in_range(heads: dict, name: str) -> None:
    h = heads[name]
    count = len(h.head.data.vertices)
    for region in ("region_face", "region_lips", "region_brows"):
        attribute = h.head.data.attributes[region]
        assert attribute.domain == "POINT" and attribute.data_type == "FLOAT"
        values = np.empty(count, np.float32)
        attribute.data.foreach_get("value", values)
        assert values.min() >= 0.0 and values.max() == pytest.approx(1.0, abs=0.15)
        assert 0.005 < (values > 0.5).mean() < 0.75
    face = np.empty(count, np.float32)
    h.head.data.attributes["region_face"].data.foreach_get("value", face)
    rest = coordinates(h.head)
    assert np.all(face[[30, 33]] >= 0) and face[list(h.landmarks[17:])].min() > 0.9  # all but the jaw line lies inside
    assert face[rest[:, 1] > 90.0].max() == 0.0  # nothing behind the ears
    for obj in h.parts.values():
        names = [g.name for g in obj.vertex_groups]
        assert set(names) <= {b.name for b in h.armature.data.bones}
        total = np.array([sum(g.weight for g in v.groups) for v in obj.data.vertices])
        assert np.abs(total - 1.0).max() < 1e-3


def test_landmarks_are_ordered_and_symmetric(heads: dict) -> None:
    pairs = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)] + [(31, 35), (32, 34)]
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65)]
    for h in heads.values():
        p = coordinates(h.head)[list(h.landmarks)]
        assert len(set(h.landmarks)) == 68
        for right, left in pairs:
            assert p[right, 0] < -1.0  # the character's right is -x and comes first
            assert np.allclose(p[right] * [-1, 1, 1], p[left], atol=1e-2)
        middle = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
        assert np.abs(p[middle, 0]).max() < 1e-3
        down = [27, 28, 29, 30, 33, 51, 62, 57, 8]
        assert np.all(np.diff(p[down, 2]) < -0.5)
        assert np.all(np.diff(p[:9, 2]) < 0) and np.all(np.diff(p[:9, 0]) > 0)
        assert p[30, 1] == p[:, 1].min()  # the tip of the nose is foremost
        assert p[37, 2] > p[41, 2] + 5 and p[44, 2] > p[46, 2] + 5


def test_uvs_lie_in_the_square_without_overlap(heads: dict) -> None:
    mesh = heads[NAMES[0]].head.data
    uv = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers["UVMap"].data.foreach_get("uv", uv)
    uv = uv.reshape(-1, 2).astype(np.float64)
    assert uv.min() >= 0.0 and uv.max() <= 1.0
    mesh.calc_loop_triangles()
    corners = np.array([t.loops[:] for t in mesh.loop_triangles])
    a, b, c = (uv[corners[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    assert (area < -1e-9).mean() < 0.001  # nothing is turned over
    # Count how many triangles cover each of many sample points.
    rng = np.random.default_rng(0)
    samples = rng.random((3000, 2))
    covered = np.zeros(len(samples), int)
    for block in np.array_split(np.arange(len(a)), 40):
        d = samples[:, None]
        edges = []
        for p, q in ((a, b), (b, c), (c, a)):
            e = q[block] - p[block]
            edges.append(e[:, 0] * (d[..., 1] - p[block, 1]) - e[:, 1] * (d[..., 0] - p[block, 0]))
        stack = np.stack(edges)
        covered += ((stack > 1e-9).all(axis=0) | (stack < -1e-9).all(axis=0)).sum(axis=1)
    assert (covered > 1).mean() < 0.002
    assert (covered == 1).mean() > 0.8


def test_the_face_takes_a_good_part_of_the_texture_and_is_symmetric(heads: dict) -> None:
    h = heads[NAMES[0]]
    mesh = h.head.data
    face = np.empty(len(mesh.vertices), np.float32)
    mesh.attributes["region_face"].data.foreach_get("value", face)
    uv = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers["UVMap"].data.foreach_get("uv", uv)
    uv = uv.reshape(-1, 2)
    area = 0.0
    for polygon in mesh.polygons:
        if face[list(polygon.vertices)].min() > 0.0:
            p = uv[list(polygon.loop_indices)]
            area += 0.5 * abs(np.dot(p[:, 0], np.roll(p[:, 1], -1)) - np.dot(p[:, 1], np.roll(p[:, 0], -1)))
    assert area > 0.40
    by_vertex = {}
    loops = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", loops)
    by_vertex.update(zip(loops.tolist(), uv.tolist(), strict=True))
    for right, left in ((36, 45), (39, 42), (48, 54), (31, 35), (17, 26), (4, 12)):
        a, b = by_vertex[h.landmarks[right]], by_vertex[h.landmarks[left]]
        assert a[0] < 0.5 < b[0]
        assert a[0] + b[0] == pytest.approx(1.0, abs=1e-4) and a[1] == pytest.approx(b[1], abs=1e-4)


def test_the_mesh_has_no_degenerate_faces_and_only_declared_openings(heads: dict) -> None:
    for h in heads.values():
        mesh = h.head.data
        p = coordinates(h.head)
        areas = np.array([polygon.area for polygon in mesh.polygons]) * 1e6
        assert areas.min() > 1e-3
        directed = [(a, b) for polygon in mesh.polygons
                    for a, b in zip(polygon.vertices[:], [*polygon.vertices[1:], polygon.vertices[0]], strict=True)]
        assert len(set(directed)) == len(directed), "neighbouring faces look to opposite sides"
        edges: dict[tuple[int, int], int] = {}
        for polygon in mesh.polygons:
            for edge in polygon.edge_keys:
                edges[edge] = edges.get(edge, 0) + 1
        assert max(edges.values()) == 2
        border = {v for edge, n in edges.items() if n == 1 for v in edge}
        openings = loops_of([edge for edge, n in edges.items() if n == 1])
        assert len(openings) == 6  # two eyes, mouth, two ears (sunk into the head), the bust's cut
        assert all(np.all(np.isfinite(p[v])) for v in border)


def loops_of(edges: list[tuple[int, int]]) -> list[set[int]]:
    parent: dict[int, int] = {}

    def find(v: int) -> int:
        while parent.setdefault(v, v) != v:
            v = parent[v]
        return v

    for a, b in edges:
        parent[find(a)] = find(b)
    groups: dict[int, set[int]] = {}
    for v in parent:
        groups.setdefault(find(v), set()).add(v)
    return list(groups.values())


def test_eyeballs_stay_inside_the_lids(heads: dict) -> None:
    """Round the rims, lids lie over the balls: no vertex of the lids is inside an eyeball, and the rim touches it."""
    from avatars.procedural.anatomy import build_anatomy

    loops = build_anatomy().layout.loops
    for h in heads.values():
        head, eyes = coordinates(h.head), coordinates(h.parts["eyes"])
        group = {g.name: g.index for g in h.parts["eyes"].vertex_groups}
        for side in ("L", "R"):
            ball = np.array([any(g.group == group[f"eye.{side}"] and g.weight > 0.5 for g in v.groups)
                             for v in h.parts["eyes"].data.vertices])
            centre = 0.5 * (eyes[ball].min(axis=0) + eyes[ball].max(axis=0))
            radius = 0.5 * np.ptp(eyes[ball][:, 0])
            loop = loops[f"eye.{side}"]
            edge = np.linalg.norm(head[loop.edge] - centre, axis=1)
            rim = np.linalg.norm(head[loop.rings[0]] - centre, axis=1)
            near = np.linalg.norm(head - centre, axis=1)
            assert edge.min() > radius + 0.6
            assert rim.min() > radius - 0.1 and np.median(rim) < radius + 1.2
            assert near.min() > radius - 0.1


@pytest.mark.parametrize("name", NAMES)
def test_jaw_opens_the_lips_and_takes_the_teeth_along(heads: dict, name: str) -> None:
    h = heads[name]
    d = moved(h.head, "jaw_open")
    upper, lower, chin, tip = (d[h.landmarks[k]] for k in (62, 66, 8, 30))
    assert 15 < upper[2] - lower[2] < 45
    assert chin[2] < -15 and np.abs(upper).max() < 1.0 and np.abs(tip).max() < 0.5
    teeth = moved(h.parts["teeth"], "jaw_open")
    assert teeth[:, 2].min() < -12 and np.abs(teeth[:, 2]).min() < 1e-3
    assert np.allclose(d[h.landmarks[48]] * [-1, 1, 1], d[h.landmarks[54]], atol=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_blinks_close_the_lids_over_the_eyeball(heads: dict, name: str) -> None:
    from avatars.procedural.anatomy import build_anatomy

    layout = build_anatomy().layout
    h = heads[name]
    rest, eyes = coordinates(h.head), coordinates(h.parts["eyes"])
    for side, key, other in (("L", "blink_left", "R"), ("R", "blink_right", "L")):
        d = moved(h.head, key)
        loop = layout.loops[f"eye.{side}"]
        half = loop.corners[1]
        upper, lower = loop.edge[1:half], loop.edge[half + 1 :][::-1]
        shut = rest + d
        open_gap = (rest[upper, 2] - rest[lower, 2]).max()
        gap = shut[upper, 2] - shut[lower, 2]
        assert open_gap > 7.0
        assert gap.max() < 0.6, "a slit stays open"
        index = h.parts["eyes"].vertex_groups[f"eye.{side}"].index
        ball = np.array([any(g.group == index and g.weight > 0.5 for g in v.groups)
                         for v in h.parts["eyes"].data.vertices])
        centre = 0.5 * (eyes[ball].min(axis=0) + eyes[ball].max(axis=0))
        radius = 0.5 * np.ptp(eyes[ball][:, 0])
        lids = np.concatenate([upper, lower])
        assert np.linalg.norm(shut[lids] - centre, axis=1).min() > radius + 0.5
        assert np.abs(d[layout.loops[f"eye.{other}"].edge]).max() < 1e-4
        lash = moved(h.parts["lashes"], key)
        assert lash[:, 2].min() < -4.0


def test_expressions_move_what_they_should(heads: dict) -> None:
    for h in heads.values():
        lm = list(h.landmarks)
        smile, up, down, pucker, frown = (
            moved(h.head, k)[lm] for k in ("smile", "brows_up", "brows_down", "pucker", "frown"))
        rest = coordinates(h.head)[lm]
        assert smile[54, 2] > 3.0 and smile[54, 0] > 2.5 and smile[48, 0] < -2.5
        assert up[19, 2] > 4.0 and up[24, 2] > 4.0 and abs(up[57, 2]) < 0.1
        assert down[21, 2] < -2.5 and down[21, 0] > 1.0
        width = rest[54, 0] - rest[48, 0]
        assert (pucker[54, 0] - pucker[48, 0]) < -0.15 * width and pucker[62, 1] < -4.0
        assert frown[54, 2] < -3.0
        for key in ("smile", "brows_up", "brows_down", "pucker", "frown", "jaw_open"):
            d = moved(h.head, key)[lm]
            for right, left in ((36, 45), (4, 12), (48, 54), (19, 24)):
                assert np.allclose(d[right] * [-1, 1, 1], d[left], atol=2e-2)
        # No expression tears the mouth's corner.
        assert np.linalg.norm(smile[48] - smile[60]) < 2.0


def test_bones_move_their_parts(heads: dict) -> None:
    h = heads[NAMES[0]]
    bones = h.armature.data.bones
    eyes = coordinates(h.parts["eyes"])
    left = np.array(bones["eye.L"].head_local) * 1e3
    assert np.linalg.norm(left - 0.5 * (eyes[eyes[:, 0] > 0].min(axis=0) + eyes[eyes[:, 0] > 0].max(axis=0))) < 3.5
    rest = coordinates(h.head)
    h.armature.pose.bones["jaw"].rotation_mode = "XYZ"
    h.armature.pose.bones["jaw"].rotation_euler = (np.radians(12), 0, 0)
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    h.head.modifiers["Subdivision"].show_viewport = False
    bpy.context.view_layer.update()
    posed = coordinates(h.head.evaluated_get(graph))
    h.head.modifiers["Subdivision"].show_viewport = True
    h.armature.pose.bones["jaw"].rotation_euler = (0, 0, 0)
    bpy.context.view_layer.update()
    chin, tip = h.landmarks[8], h.landmarks[30]
    assert np.linalg.norm(posed[chin] - rest[chin]) > 10.0
    assert np.linalg.norm(posed[tip] - rest[tip]) < 0.2


def test_a_seed_varies_shape_but_not_topology() -> None:
    from avatars.procedural.anatomy import build_anatomy
    from avatars.procedural.identities import IDENTITIES, personify, varied

    anatomy = build_anatomy()
    base = IDENTITIES["ada"]
    assert varied(base, 0) is base
    one, again, two = (personify(anatomy, varied(base, s).shape).points for s in (3, 3, 4))
    assert np.array_equal(one, again) and 0.5 < np.abs(one - two).max() < 12.0


def test_an_unknown_identity_is_one_sentence() -> None:
    with pytest.raises(InputError, match="identity 'nobody'"):
        build(AvatarSpec("procedural", "nobody", "X"))
