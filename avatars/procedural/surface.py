# SPDX-License-Identifier: Apache-2.0
"""The plain head: skull, face plane, jaw, neck and shoulders as one smooth B-spline surface, without features.

Measures follow published adult averages (head height 232 mm with the eyes at half of it, bizygomatic breadth 138 mm,
head length 193 mm, bigonial 106 mm). Design space is millimetres with the origin between the eyeballs' centres,
x to the character's left, *f* forward (out of the face) and z up; `blender_from_design` leads to Blender's axes.
"""

from __future__ import annotations

import numpy as np

COLUMNS = 12  # control columns on one half: 0 = midline of the face, 11 = midline of the back
PERIOD = 2 * (COLUMNS - 1)
EARTH = -245.0  # the bust is cut here
CONTROL_ANGLES = np.radians([0.0, 11.0, 22.0, 33.0, 44.0, 56.0, 69.0, 84.0, 101.0, 126.0, 153.0, 180.0])

_BACK_NECK = [(53, -106), (33, -126), (0, -133)]


def _oval(z: float, half_width: float, front: float, back: float, squareness: float = 2.0) -> np.ndarray:
    """One closed section as (12, 3) control points (x, f, z); `squareness` is the front's superellipse exponent."""
    centre = front - (front - back) * 0.48
    sine, cosine = np.sin(CONTROL_ANGLES), np.cos(CONTROL_ANGLES)
    power = np.where(cosine > 0, 2.0 / squareness, 1.0)
    reach = np.where(cosine > 0, front - centre, centre - back)
    x = half_width * np.abs(sine) ** power
    f = centre + np.sign(cosine) * reach * np.abs(cosine) ** power
    return np.stack([x, f, np.full(COLUMNS, z)], axis=1)


def _section(z: float, points: list[tuple[float, ...]]) -> np.ndarray:
    """One section by hand: 12 entries (x, f) at height z, or (x, f, z) where the row climbs along the jaw."""
    return np.array([(p[0], p[1], p[2] if len(p) > 2 else z) for p in points], dtype=np.float64)


def control_net() -> np.ndarray:
    """Control points (rows, 12, 3) from the crown down to the cut of the bust, one half of the head."""
    rows = [
        _oval(120.5, 0.1, -72.0, -72.2),
        _oval(120.5, 22.0, -47.0, -99.0),
        _oval(115.0, 42.0, -24.0, -121.0),
        _oval(103.0, 59.5, -2.0, -143.0, 2.05),
        _oval(84.0, 71.0, 13.5, -161.0, 2.15),
        _oval(62.0, 76.5, 22.0, -171.0, 2.3),
        _section(40, [(0, 25.5), (12, 25), (24, 23), (36, 17.5), (48, 7), (60, -10), (68, -32), (74, -60), (77, -92),
                      (70, -134), (42, -166), (0, -174)]),
        _section(22, [(0, 25), (12, 25), (24, 24), (36, 20.5), (48, 11), (59, -6), (66, -28), (71, -57), (76, -90),
                      (69, -132), (42, -163), (0, -172)]),
        _section(8, [(0, 19), (12, 14.5), (24, 10), (36, 8), (48, 3.5), (58, -10), (66, -30), (71, -58), (75, -90),
                     (67, -130), (41, -159), (0, -167)]),
        _section(-6, [(0, 19), (12, 13), (24, 7), (36, 5.5), (48, 2), (59, -9.5), (67, -29), (71, -58), (73, -89),
                      (64, -127), (38, -153), (0, -160)]),
        _section(-20, [(0, 21), (12, 17), (24, 13.5), (36, 11), (48, 5.5), (60, -7), (68.5, -27), (71, -58), (70, -87),
                       (60, -121), (36, -144), (0, -151)]),
        _section(-34, [(0, 24.5), (12, 21), (24, 17), (36, 12), (48, 3.5), (59, -11), (65.5, -31), (68, -59), (67, -85),
                       (56, -115), (34, -135), (0, -143)]),
        _section(-48, [(0, 28), (12, 25), (24, 18.5), (36, 9.5), (48, -3.5), (56, -18), (61.5, -37), (64, -60),
                       (63, -83), (54, -110), (33, -130), (0, -137)]),
        _section(-62, [(0, 29), (12, 26), (24, 17.5), (36, 5.5), (46, -9), (52.5, -25), (58, -42), (61, -61, -60),
                       (60, -81), (53, -107), (33, -127), (0, -134)]),
        _section(-76, [(0, 24.5), (12, 22), (24, 13), (35, 0), (43.5, -14), (50, -29), (55.5, -45, -74), (59, -61, -71),
                       (58, -79, -73), *_BACK_NECK]),
        _section(-90, [(0, 20.5), (12, 18.5), (24, 9), (33, -4), (41, -18), (47.5, -33, -88), (53, -47, -84),
                       (57, -61, -79), (56, -77, -82), *_BACK_NECK]),
        _section(-104, [(0, 24.5), (12, 20.5), (22, 9), (30, -6), (38, -21, -101), (45, -36, -96), (51, -50, -90),
                        (55, -63, -86), (55, -77, -91), *_BACK_NECK]),
        _section(-117, [(0, 18), (11, 14), (20, 3), (28, -11, -115), (36, -26, -109), (43, -41, -102),
                        (49, -54, -95.5), (53, -66, -93), (54, -79, -99), *_BACK_NECK]),
        _section(-122, [(0, 2), (9, -1), (16, -9), (23, -20, -118), (31, -33, -112), (38, -47, -105), (44, -60, -99),
                        (49, -71, -98), (53, -83, -107), *_BACK_NECK]),
        _section(-122, [(0, -18), (9, -20), (17, -25), (24, -33, -119), (31, -43, -115), (37, -54, -110),
                        (43, -65, -107), (48, -76, -108), (52, -88, -116), *_BACK_NECK]),
        _section(-128, [(0, -35), (10, -36), (19, -39), (27, -44), (34, -51, -126), (40, -60, -123), (45, -70, -121),
                        (49, -80, -121), (52, -92, -125), *_BACK_NECK]),
        _oval(-141, 54.0, -40.0, -136.0),
        _oval(-156, 54.0, -43.0, -141.0),
        _oval(-169, 57.0, -46.0, -147.0),
        _oval(-181, 67.0, -48.0, -154.0),
        _oval(-193, 88.0, -45.0, -162.0),
        _oval(-204, 116.0, -37.0, -168.0, 2.1),
        _oval(-216, 141.0, -26.0, -172.0, 2.2),
        _oval(-230, 155.0, -17.0, -175.0, 2.3),
        _oval(EARTH, 160.0, -12.0, -177.0, 2.4),
    ]
    net = np.stack(rows)
    for row in range(len(rows)):  # in the neck the side rows keep the heights that their section gave
        net[row, -3:, 2] += _back_rise(net[row, 0, 2])
    return net


def _back_rise(z: float) -> float:
    """The nape's rows lie higher than the chin's, so that rows do not crowd under the jaw."""
    return float(np.interp(z, [-160.0, -118.0, -70.0, -40.0], [0.0, 12.0, 4.0, 0.0]))


class PlainHead:
    """A periodic uniform cubic B-spline surface over the control net: `evaluate(u, v)`.

    u counts control columns (0 = face midline, 11 = back midline, 22 = 0 again; u in 0..11 is the character's left),
    v counts control rows from the crown (0) to the cut (rows - 1).
    """

    def __init__(self) -> None:
        half = control_net()
        mirrored = half[:, -2:0:-1].copy()
        mirrored[..., 0] *= -1.0
        self.net = np.concatenate([half, mirrored], axis=1)
        self.rows = len(half)
        # End rows three times: the surface then reaches the pole and the cut.
        self._padded = np.concatenate([self.net[:1], self.net[:1], self.net, self.net[-1:], self.net[-1:]])

    def evaluate(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Points (..., 3) as (x, f, z) at parameters u, v of equal shape."""
        u0, wu = _basis(np.asarray(u, dtype=np.float64))
        # Padded ends: v = 0 sits two rows into the padding, where three equal rows meet.
        stretched = np.asarray(v, dtype=np.float64) * (self.rows + 1) / (self.rows - 1)
        stretched = np.clip(stretched, 0.0, self.rows + 1 - 1e-9)
        v0, wv = _basis(stretched + 1.0)
        out = np.zeros(np.shape(u) + (3,))
        for a in range(4):
            row = np.clip(v0 - 1 + a, 0, len(self._padded) - 1)
            for b in range(4):
                column = (u0 - 1 + b) % PERIOD
                out += (wv[..., a] * wu[..., b])[..., None] * self._padded[row, column]
        return out


def _basis(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integer part and the four uniform cubic B-spline weights (..., 4) of a parameter."""
    whole = np.floor(t).astype(np.int64)
    s = t - whole
    weights = np.stack([(1 - s) ** 3, 3 * s**3 - 6 * s**2 + 4, -3 * s**3 + 3 * s**2 + 3 * s + 1, s**3], axis=-1) / 6.0
    return whole, weights


def blender_from_design(points: np.ndarray) -> np.ndarray:
    """(…, 3) design millimetres (x, f, z) to Blender metres (x, y, z), bust's cut on the floor z = 0."""
    return np.stack([points[..., 0], -points[..., 1], points[..., 2] - EARTH], axis=-1) * 1e-3
