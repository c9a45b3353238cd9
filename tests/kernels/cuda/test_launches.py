# SPDX-License-Identifier: Apache-2.0
"""What is launched, against what the kernels' sources say that they touch. No device and no compiler is needed.

The table EXTENTS is written from the kernels, independently of launches.py: how many bytes from a pointer on a kernel
reads or writes at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import pytest

from backend.kernels.cuda import sources
from backend.kernels.cuda.frame import _GROWTH, MAX_ENTRIES, Pipeline
from backend.kernels.cuda.launches import Clear, Launch, Operation, Pointer, Sizes
from backend.kernels.cuda.memory import Buffers, fit_bytes, frame_bytes
from backend.kernels.cuda.records import CONTROL, FRAME, VIEW, step_dtype
from backend.kernels.cuda.session import STEPS_IN_FLIGHT

from .recorder import THREADS, RecordingDevice, assert_inside, signatures

SIGNATURES = signatures()
VIEWS = 3


@attrs.frozen
class Extent:
    """What the sizes come to, worked out here once more."""

    splats: int
    rows: int
    tiles: int
    plane: int  # pixels
    squares: int
    capacity: int
    grid: tuple[int, int, int]
    values: dict[str, int]  # of the launch's int arguments
    depth: int  # 1 with a depth term: one plane and one sum more

    @property
    def pairs(self) -> int:
        """What a sorting pass sorts at most."""
        return self.capacity if self.values["fixed_count"] < 0 else self.values["fixed_count"]

    @property
    def segments(self) -> int:
        """Stretches of 64 entries."""
        return math.ceil(self.capacity / 64)


Rule = Callable[[Extent], int]
COMMON: dict[str, Rule] = {
    "views": lambda e: VIEWS * VIEW.itemsize,
    "steps": lambda e: STEPS_IN_FLIGHT * step_dtype(e.rows).itemsize,
    "control": lambda e: CONTROL.itemsize,
    "frame": lambda e: FRAME.itemsize,
    "block": lambda e: 4 * e.rows * e.splats,
    "records": lambda e: 48 * e.splats,
    "depths": lambda e: 4 * e.splats,
    "rects": lambda e: 8 * e.splats,
    "order": lambda e: 4 * e.splats,
    "slot_spans": lambda e: 8 * e.splats,
    "entry_tile": lambda e: 4 * e.capacity,
    "entry_splat": lambda e: 4 * e.capacity,
    "sorted_tile": lambda e: 4 * e.capacity,
    "sorted_splat": lambda e: 4 * e.capacity,
    "sorted_slot": lambda e: 4 * e.capacity,
    "spans": lambda e: 8 * e.tiles,
    "image": lambda e: 4 * (4 + e.depth) * e.plane,
    "snapshots": lambda e: 4 * (4 + e.depth) * 64 * e.segments,
    "stops": lambda e: 4 * e.tiles,
    "slopes": lambda e: 4 * 9 * e.plane,
    "active": lambda e: e.squares,
    "sums": lambda e: 4 * 3 * (3 + e.depth) * e.squares,
    "gradient": lambda e: 4 * (4 + e.depth) * e.plane,
    "slots": lambda e: 48 * e.capacity,
    "slot_used": lambda e: e.capacity,
    "first": lambda e: 4 * e.rows * e.splats,
    "second": lambda e: 4 * e.rows * e.splats,
    "statistics": lambda e: 8 * e.splats,
    "output": lambda e: 4 * e.rows * e.splats,
    "results": lambda e: 4 * (4 + e.depth) * STEPS_IN_FLIGHT,
}
EXTENTS: dict[str, dict[str, Rule]] = {
    "depth_keys": {"keys": lambda e: 4 * e.splats, "digit_counts": lambda e: 4 * 3 * 256},
    "emit_entries": {"states": lambda e: 4 * e.grid[0], "digit_counts": lambda e: 4 * 256 * e.values["digits"]},
    "radix_pass": {
        **dict.fromkeys(("keys", "values", "keys_out", "values_out", "payload", "payload_out"), lambda e: 4 * e.pairs),
        "digit_counts": lambda e: 4 * 256,
        "states": lambda e: (4 << e.values["bits"]) * e.grid[0],
    },
}
MAY_BE_NULL = {("radix_pass", name) for name in ("values", "payload", "payload_out")} | {
    ("rasterize", "snapshots"), ("rasterize", "stops"), ("emit_entries", "slot_used"),
    ("project_backward", "statistics"), ("project_backward", "output"),
}  # fmt: skip

SIZES = [
    Sizes(stride, rows, width, height, capacity)
    for stride, rows, width, height, capacity in [
        (16, 14, 1, 1, 64), (16, 23, 8, 8, 65536), (208, 14, 9, 33, 70000), (512, 38, 640, 480, 65536),
        (2048, 59, 1024, 1024, 65536), (2064, 23, 128, 128, 65537), (100_000, 23, 512, 512, 800_000),
        (100_000, 59, 1024, 1024, 800_000), (1_000_000, 23, 1920, 1080, 8_000_000), (1_000_016, 14, 2048, 2048, 1),
        (1024, 23, 3840, 2160, 70_000), (16, 14, 8192, 8192, 64),
        (128, 14, 130, 2, 2048), (144, 14, 3, 2000, 2049), (16, 14, 128, 128, int(MAX_ENTRIES * _GROWTH) + 1024),
    ]
] + [Sizes(208, 14, 9, 33, 70000, depth=True), Sizes(100_000, 59, 1024, 1024, 800_000, depth=True)]  # fmt: skip
MODES = [(False, False, False), (True, False, False), (True, False, True), (True, True, False)]


def _name(s: Sizes) -> str:
    return f"{s.stride}x{s.rows}-{s.width}x{s.height}-{s.capacity}{'-depth' * s.depth}"


@pytest.fixture(params=SIZES, ids=_name)
def sizes(request) -> Sizes:
    return request.param


@pytest.fixture(params=MODES, ids=["render", "train", "statistics", "gradients"])
def plan(request, sizes) -> Plan:
    return Plan(sizes, *request.param)


class Plan:
    """The operations of one frame, on a recorder, with everything as big as a session makes it."""

    def __init__(self, sizes: Sizes, training: bool, gradients_only: bool, statistics: bool) -> None:
        self.sizes, self.training = sizes, training
        self.device = RecordingDevice()
        outside = Buffers(self.device)
        block = 4 * sizes.rows * sizes.stride
        self.given = {
            "block": block, "views": VIEWS * VIEW.itemsize, "control": CONTROL.itemsize,
            "steps": STEPS_IN_FLIGHT * step_dtype(sizes.rows).itemsize,
        }  # fmt: skip
        if training:
            self.given |= {
                "first": block, "second": block, "results": 4 * (sizes.terms + 1) * STEPS_IN_FLIGHT,
                "statistics": 8 * sizes.stride if statistics else 0, "output": block if gradients_only else 0,
            }  # fmt: skip
        outside.add(self.given)
        self.pipeline = Pipeline(self.device, None, sizes, outside.at, training, gradients_only, statistics)
        self.at = {**self.pipeline.at, **outside.at}
        self.before = list(self.device.operations)
        self.device.operations.clear()
        self.pipeline.run_once()
        self.operations = self.device.operations

    @property
    def launches(self) -> list[Launch]:
        """Without the clearing."""
        return [operation for operation in self.operations if isinstance(operation, Launch)]

    def extent(self, launch: Launch) -> Extent:
        """The sizes as this launch sees them."""
        s = self.sizes
        squares = math.ceil(s.width / 32) * math.ceil(s.height / 32)
        tiles = math.ceil(s.width / 8) * math.ceil(s.height / 8)
        values = {p.name: a for p, a in self.arguments(launch) if not p.is_pointer}
        pixels = squares * 1024
        return Extent(s.stride, s.rows, tiles, pixels, squares, s.capacity, launch.grid, values, int(s.depth))

    @staticmethod
    def arguments(launch: Launch):
        """Pairs of (parameter in the source, argument)."""
        return list(zip(SIGNATURES[launch.kernel].parameters, launch.arguments, strict=True))

    def touched(self, launch: Launch, written: bool | None = None) -> dict[str, tuple[int, int]]:
        """Ranges (from, to) by parameter; all pointers, or those that are written (or only read)."""
        extent = self.extent(launch)
        return {
            p.name: (a.address, a.address + bytes_of(launch.kernel, p.name, extent))
            for p, a in self.arguments(launch)
            if isinstance(a, Pointer) and a.address and written in (None, not p.is_read_only)
        }


def bytes_of(kernel: str, parameter: str, extent: Extent) -> int:
    """How far a kernel reaches from a pointer."""
    return EXTENTS.get(kernel, {}).get(parameter, COMMON.get(parameter, lambda e: 1 << 62))(extent)


def overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Of two ranges."""
    return a[0] < b[1] and b[0] < a[1]


# -- against the sources ----------------------------------------------------------------------------------------------


def test_the_sources_hold_the_kernels_that_we_name():
    assert set(SIGNATURES) == set(sources.KERNELS)
    assert [p.name for p in SIGNATURES["finish_step"].parameters] == ["sums", "squares", "control", "frame", "results"]
    assert [p.is_read_only for p in SIGNATURES["project"].parameters] == [True, False, True, True, True] + 4 * [False]
    assert all(signature.threads in THREADS for signature in SIGNATURES.values())
    assert (sources.SPLAT_THREADS, sources.SORT_THREADS, sources.RASTER_WARPS) == (128, 256, 2)


def test_arguments_are_what_the_kernels_take(plan):
    for launch in plan.launches:
        for parameter, argument in plan.arguments(launch):
            assert isinstance(argument, Pointer if parameter.is_pointer else int), (launch.kernel, parameter.name)
            if not parameter.is_pointer:
                assert -(2**31) <= argument < 2**31
            elif argument.address == 0:
                assert (launch.kernel, parameter.name) in MAY_BE_NULL
        assert launch.threads == THREADS[SIGNATURES[launch.kernel].threads]


def test_every_pointer_has_room_for_what_the_kernel_touches(plan):
    for launch in plan.launches:
        for name, (start, end) in plan.touched(launch).items():
            assert plan.device.holds(start, end - start), (launch.kernel, name)
            assert start % 16 == 0  # float4


def test_a_kernel_stays_inside_the_buffer_that_is_meant(plan):
    """Buffers lie side by side in one allocation: room alone is not enough."""
    bounds = named_ranges(plan)
    for launch in plan.launches:
        for name, reach in plan.touched(launch).items():
            meant = [buffer for buffer, whole in bounds.items() if overlap(whole, reach)]
            assert len(meant) == 1, (launch.kernel, name, meant)


def named_ranges(plan: Plan) -> dict[str, tuple[int, int]]:
    """Where each buffer begins and ends, by the addresses alone: a buffer ends where the next begins."""
    starts = sorted(plan.at.values())
    ends = {base + size for base, size in plan.device.allocations.items()}
    found = {}
    for name, start in plan.at.items():
        later = [s for s in starts if s > start] + [e for e in ends if e > start]
        found[name] = (start, min(later, default=start))
        if plan.given.get(name) == 0 or not plan.device.holds(start, 1):
            found[name] = (start, start)
    return found


def test_buffers_do_not_overlap_and_are_aligned(plan):
    assert all(address % 256 == 0 for address in plan.at.values())
    filled = [start for start, end in named_ranges(plan).values() if end > start]
    assert len(set(filled)) == len(filled) > 20


def test_outputs_are_nobodys_input(plan):
    for launch in plan.launches:
        ranges = plan.touched(launch)
        for name in plan.touched(launch, written=True):
            others = [other for other in ranges if other != name and overlap(ranges[other], ranges[name])]
            assert not others, (launch.kernel, name, others)


def test_nothing_is_read_that_was_not_written(plan):
    given = [(plan.at[name], plan.at[name] + size) for name, size in plan.given.items()]
    written = list(given)
    for operation in plan.operations:
        if isinstance(operation, Clear):
            written.append((operation.address, operation.address + operation.size))
            continue
        for name, reach in plan.touched(operation, written=False).items():
            assert any(w[0] <= reach[0] < w[1] for w in written), (operation.kernel, name)
        written += plan.touched(operation, written=True).values()


# -- grids ------------------------------------------------------------------------------------------------------------


def test_grids_cover_everything_and_are_possible(plan):
    for launch in plan.launches:
        x, y, z = launch.grid
        assert 1 <= x < 2**31 and 1 <= y < 65536 and 1 <= z < 65536
        extent, work = plan.extent(launch), x * launch.threads
        needed = {
            "project": extent.splats, "depth_keys": extent.splats / 8, "emit_entries": extent.splats,
            "radix_pass": extent.pairs / 8 if launch.kernel == "radix_pass" else 0, "tile_spans": 1,
            "rasterize": 32 * extent.tiles, "rasterize_backward": 32 * extent.segments,
            "project_backward": extent.splats, "finish_step": 256, "compare": 0, "differentiate": 0,
        }[launch.kernel]  # fmt: skip
        assert work >= needed, launch.kernel
        if launch.kernel in ("compare", "differentiate"):
            assert launch.grid == (math.ceil(plan.sizes.width / 32), math.ceil(plan.sizes.height / 32), 3)
        elif launch.kernel != "tile_spans":
            assert (y, z) == (1, 1) and (x - 1) * launch.threads < max(needed, 1), launch.kernel  # nor idle blocks


def test_the_order_of_a_step(plan):
    passes = len(plan.sizes.tile_passes)
    forward = ["project", "depth_keys", *3 * ["radix_pass"], "emit_entries", *passes * ["radix_pass"], "tile_spans"]
    backward = ["compare", "differentiate", "rasterize_backward", "project_backward", "finish_step"]
    assert [launch.kernel for launch in plan.launches] == [*forward, "rasterize", *(backward * plan.training)]
    assert isinstance(plan.operations[0], Clear)


def test_what_is_downloaded_has_been_written_or_cleared(plan):
    """No kernel writes the planes' padding. Once is enough: nobody writes anything else there."""
    start, end = named_ranges(plan)["image"]
    (clear,) = plan.before
    assert isinstance(clear, Clear) and clear.address == start and clear.size % 4 == 0
    assert 4 * plan.sizes.planes * plan.sizes.plane <= clear.size <= end - start


def test_scratch_is_cleared_as_one_piece_and_nothing_else_is(plan):
    (clear,) = [operation for operation in plan.operations if isinstance(operation, Clear)]
    scratch = {"frame", "depth_digits", "tile_digits", "depth_states", "emit_states", "tile_states", "spans"}
    cleared = (clear.address, clear.address + clear.size)
    assert plan.device.holds(*(cleared[0], clear.size))
    bounds = named_ranges(plan)
    for name, reach in bounds.items():
        inside = cleared[0] <= reach[0] and reach[1] <= cleared[1]
        assert inside == (name in scratch), name
    for launch in plan.launches:  # whatever a kernel expects to be zero, by the comments in the sources
        for name, reach in plan.touched(launch).items():
            if name in ("states", "digit_counts", "spans", "frame"):
                assert cleared[0] <= reach[0] and reach[1] <= cleared[1], (launch.kernel, name)


# -- sorting ----------------------------------------------------------------------------------------------------------


def test_tickets_counts_and_states_are_each_passs_own(plan):
    sorting = [launch for launch in plan.launches if launch.kernel in ("radix_pass", "emit_entries")]
    tickets = [plan.extent(launch).values["ticket"] for launch in sorting]
    assert len(set(tickets)) == len(tickets)
    assert all(0 <= ticket < FRAME["tickets"].shape[0] for ticket in tickets)
    states = [plan.touched(launch)["states"] for launch in sorting]
    assert not any(overlap(a, b) for i, a in enumerate(states) for b in states[:i])


def test_each_pass_goes_on_where_the_one_before_ended(plan):
    names = {launch: {p.name: a for p, a in plan.arguments(launch)} for launch in plan.launches}
    passes = [names[launch] for launch in plan.launches if launch.kernel == "radix_pass"]
    by_kernel = {launch.kernel: names[launch] for launch in plan.launches}
    depth, tile, emit = passes[:3], passes[3:], by_kernel["emit_entries"]
    assert [p["shift"] for p in depth] == [0, 8, 16] and all(p["bits"] == 8 for p in depth)
    assert all(p["fixed_count"] == plan.sizes.stride for p in depth) and all(p["fixed_count"] == -1 for p in tile)
    assert depth[0]["keys"] == by_kernel["depth_keys"]["keys"] and tile[0]["keys"] == emit["entry_tile"]
    for chain in (depth, tile):
        assert chain[0]["values"] == Pointer(0)
        for before, after in zip(chain, chain[1:], strict=False):
            assert (after["keys"], after["values"]) == (before["keys_out"], before["values_out"])
            assert before["payload"] == before["payload_out"] == Pointer(0)
    assert depth[-1]["values_out"] == emit["order"]
    assert tile[-1]["keys_out"] == by_kernel["tile_spans"]["sorted_tile"]
    assert tile[-1]["payload"] == emit["entry_splat"]
    assert tile[-1]["payload_out"] == by_kernel["rasterize"]["sorted_splat"]
    digits = [by_kernel["depth_keys"]["digit_counts"].address + 1024 * k for k in range(3)]
    assert [p["digit_counts"].address for p in depth] == digits
    counted = [emit["digit_counts"].address + 1024 * k for k in range(len(tile))]
    assert [p["digit_counts"].address for p in tile] == counted
    assert emit["digits"] == len(tile) and all(p["shift"] == k * emit["digit_bits"] for k, p in enumerate(tile))
    assert all(p["bits"] <= emit["digit_bits"] for p in tile)
    if plan.training:
        back = by_kernel["rasterize_backward"]
        assert back["sorted_tile"] == tile[-1]["keys_out"] and back["sorted_slot"] == tile[-1]["values_out"]
        assert back["sorted_splat"] == tile[-1]["payload_out"]


@pytest.mark.parametrize("side", [1, 8, 9, 16, 17, 100, 127, 128, 129, 1000, 1024, 1025, 2047, 2048])
def test_tile_passes_look_at_all_bits_of_a_tiles_number_and_no_more_than_eight_at_a_time(side):
    assert_passes_cover(Sizes(16, 14, side, side, 64))


@pytest.mark.parametrize("size", [(3840, 2160), (4096, 4096), (8192, 8192)])
def test_tile_passes_of_frames_beyond_four_megapixels(size):
    assert_passes_cover(Sizes(16, 14, *size, 64))


def assert_passes_cover(sizes: Sizes) -> None:
    """Every bit of the largest tile number exactly once, from low to high."""
    end = 0
    for shift, bits in sizes.tile_passes:
        assert shift == end and 1 <= bits <= 8
        end += bits
    assert sizes.tiles <= 1 << end


def test_no_index_overflows_32_bits():
    """Kernels count in 32 bits; the look-back of the sorts keeps two of them for itself."""
    most = int(MAX_ENTRIES * _GROWTH) + 1024
    assert 12 * most < 2**32  # floats in `slots`, counted unsigned
    assert most < 2**30
    assert 256 * math.ceil(most / 2048) < 2**31 and 256 * math.ceil(most / 64) < 2**32


# -- sessions ---------------------------------------------------------------------------------------------------------


def test_growing_makes_new_buffers_and_forgets_the_old():
    plan = Plan(SIZES[2], True, False, False)
    before, graphs = dict(plan.device.allocations), plan.pipeline.sizes.capacity
    plan.pipeline.replay(9)
    plan.device.operations.clear()
    plan.pipeline.grow(100_000)
    cleared = list(plan.device.operations)
    assert plan.pipeline.sizes.capacity >= 100_000 > graphs
    assert plan.device.allocations.keys() & before.keys() == {min(before)}  # what the caller owns stays
    plan.device.operations.clear()
    plan.pipeline.replay(9)  # new graphs, of the new buffers
    launched: list[Operation] = plan.device.operations
    assert sum(isinstance(operation, Clear) for operation in launched) == 9
    assert len(cleared) == 1 and isinstance(cleared[0], Clear)  # the image's padding
    for operation in launched:
        if isinstance(operation, Launch):
            assert_inside(plan.device, operation)


def test_the_estimate_before_a_fit_is_what_the_fit_takes(sizes):
    plan = Plan(sizes, True, False, False)
    taken = sum(plan.device.allocations.values())
    estimate = fit_bytes(sizes, 0)
    small = STEPS_IN_FLIGHT * (step_dtype(sizes.rows).itemsize + 16) + 64 * 256  # plans, results, alignment
    assert estimate <= taken <= estimate + small
    assert frame_bytes(sizes, training=False) < frame_bytes(sizes, training=True) < estimate
