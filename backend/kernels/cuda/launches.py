# SPDX-License-Identifier: Apache-2.0
"""What is launched for a frame and for a step: kernels, their grids and arguments, in order. No device is touched here,
so that it can be tested anywhere.
"""

from __future__ import annotations

import attrs

from .sources import LOSS_TILE, RASTER_WARPS, SEGMENT_SIZE, SORT_ITEMS, SORT_THREADS, SPLAT_THREADS, TILE

LOSS_THREADS = LOSS_TILE * LOSS_TILE // 4
DEPTH_DIGITS = 3
TILE_DIGITS = 3
"""Sorting passes by tile, at most: enough for 16 million tiles."""
TICKETS_DEPTH, TICKET_EMIT, TICKETS_TILE = 0, 3, 4
SLOT_FLOATS = 12
RECORD_FLOATS = 12
SPAN_BLOCKS = 512


@attrs.frozen
class Pointer:
    """An address on the device, 0 for null."""

    address: int


@attrs.frozen
class Launch:
    """One kernel. Arguments are Pointers and ints (C int)."""

    kernel: str
    grid: tuple[int, int, int]
    threads: int
    arguments: tuple[Pointer | int, ...]


@attrs.frozen
class Clear:
    """Fill with zeros."""

    address: int
    size: int  # bytes, a multiple of 4


Operation = Launch | Clear


@attrs.frozen
class Sizes:
    """What the buffers are made for."""

    stride: int  # padded number of splats
    rows: int  # of the parameter block
    width: int  # of the largest frame
    height: int
    capacity: int  # entries
    depth: bool = False  # whether depth is rendered and compared

    @property
    def planes(self) -> int:
        """Planes of a frame: colour, transmittance, depth."""
        return 4 + self.depth

    @property
    def terms(self) -> int:
        """Sums that make the loss."""
        return 3 + self.depth

    @property
    def tiles(self) -> int:
        """Tiles of the largest frame."""
        return -(-self.width // TILE) * -(-self.height // TILE)

    @property
    def plane(self) -> int:
        """Pixels of a padded plane."""
        return self.loss_grid[0] * self.loss_grid[1] * LOSS_TILE * LOSS_TILE

    @property
    def loss_grid(self) -> tuple[int, int]:
        """Squares of the loss along x and y."""
        return -(-self.width // LOSS_TILE), -(-self.height // LOSS_TILE)

    @property
    def tile_passes(self) -> list[tuple[int, int]]:
        """(shift, bits) of the passes that sort by tile, as equal as can be, at most 8 bits each."""
        bits = max(1, (self.tiles - 1).bit_length())
        passes = -(-bits // 8)
        each = -(-bits // passes)
        return [(shift, min(each, bits - shift)) for shift in range(0, bits, each)]

    def sort_blocks(self, count: int) -> int:
        """Blocks of a sorting pass over `count` pairs."""
        return max(1, -(-count // (SORT_THREADS * SORT_ITEMS)))

    @property
    def segments(self) -> int:
        """Stretches of entries that the backward pass takes one by one."""
        return -(-self.capacity // SEGMENT_SIZE)

    @property
    def emit_blocks(self) -> int:
        """Blocks of emit_entries."""
        return -(-self.stride // SORT_THREADS)


def buffer_sizes(sizes: Sizes) -> dict[str, int]:
    """Bytes of every buffer of a frame, by name."""
    stride, capacity = sizes.stride, sizes.capacity
    return {
        "records": 4 * RECORD_FLOATS * stride,
        "depths": 4 * stride,
        "rects": 8 * stride,
        "depth_keys": 4 * stride,
        "depth_keys_other": 4 * stride,
        "order": 4 * stride,
        "order_other": 4 * stride,
        "slot_spans": 8 * stride,
        "entry_tile": 4 * capacity,
        "entry_splat": 4 * capacity,
        "sorted_tile": 4 * capacity,
        "sorted_slot": 4 * capacity,
        "sorted_slot_other": 4 * capacity,
        "sorted_splat": 4 * capacity,
        "image": 4 * sizes.planes * sizes.plane,
    }


def training_sizes(sizes: Sizes) -> dict[str, int]:
    """Bytes of the buffers that only a step needs, by name."""
    squares = sizes.loss_grid[0] * sizes.loss_grid[1]
    return {
        "slots": 4 * SLOT_FLOATS * sizes.capacity,
        "slot_used": sizes.capacity,
        "snapshots": 4 * sizes.planes * TILE * TILE * sizes.segments,
        "stops": 4 * sizes.tiles,
        "gradient": 4 * sizes.planes * sizes.plane,
        "slopes": 36 * sizes.plane,
        "active": squares,
        "sums": 12 * sizes.terms * squares,
    }


def scratch_sizes(sizes: Sizes) -> dict[str, int]:
    """Bytes of what must be zero at the start of a frame; it lies in one piece, in this order."""
    depth_blocks, tile_blocks = sizes.sort_blocks(sizes.stride), sizes.sort_blocks(sizes.capacity)
    return {
        "frame": 64,
        "depth_digits": 4 * 256 * DEPTH_DIGITS,
        "tile_digits": 4 * 256 * TILE_DIGITS,
        "depth_states": 4 * 256 * depth_blocks * DEPTH_DIGITS,
        "emit_states": 4 * sizes.emit_blocks,
        "tile_states": sum(4 * (1 << bits) * tile_blocks for _, bits in sizes.tile_passes),
        "spans": 8 * sizes.tiles,
    }


def _sort_by_depth(sizes: Sizes, at: dict[str, int]) -> list[Operation]:
    frame, control = Pointer(at["frame"]), Pointer(at["control"])
    blocks = sizes.sort_blocks(sizes.stride)
    operations: list[Operation] = [Launch(
        "depth_keys", (blocks, 1, 1), SORT_THREADS,
        (Pointer(at["depths"]), sizes.stride, control, frame, Pointer(at["depth_keys"]), Pointer(at["depth_digits"])),
    )]  # fmt: skip
    keys, values = ("depth_keys", "depth_keys_other"), ("order_other", "order")  # three passes end in `order`
    for digit in range(DEPTH_DIGITS):
        source, target = digit % 2, (digit + 1) % 2
        operations.append(Launch(
            "radix_pass", (blocks, 1, 1), SORT_THREADS,
            (Pointer(at[keys[source]]), Pointer(at[values[source]] if digit else 0), Pointer(at[keys[target]]),
             Pointer(at[values[target]]), Pointer(0), Pointer(0), sizes.stride, 8 * digit, 8,
             Pointer(at["depth_digits"] + 1024 * digit), Pointer(at["depth_states"] + 1024 * blocks * digit),
             TICKETS_DEPTH + digit, control, frame),
        ))  # fmt: skip
    return operations


def _sorted_keys(sizes: Sizes) -> str:
    """The buffer that holds the entries' tiles when they are sorted: two passes come back to where they began."""
    return "sorted_tile" if len(sizes.tile_passes) % 2 else "entry_tile"


def _sort_by_tile(sizes: Sizes, at: dict[str, int]) -> list[Operation]:
    frame, control, nothing = Pointer(at["frame"]), Pointer(at["control"]), Pointer(0)
    blocks, passes = sizes.sort_blocks(sizes.capacity), sizes.tile_passes
    keys = ["sorted_tile" if k % 2 else "entry_tile" for k in range(len(passes) + 1)]
    values = ["sorted_slot_other" if (len(passes) - k) % 2 else "sorted_slot" for k in range(len(passes) + 1)]
    operations: list[Operation] = []
    states = at["tile_states"]
    for number, (shift, bits) in enumerate(passes):
        last = number == len(passes) - 1
        operations.append(Launch(
            "radix_pass", (blocks, 1, 1), SORT_THREADS,
            (Pointer(at[keys[number]]), Pointer(at[values[number]]) if number else nothing,
             Pointer(at[keys[number + 1]]), Pointer(at[values[number + 1]]),
             Pointer(at["entry_splat"]) if last else nothing, Pointer(at["sorted_splat"]) if last else nothing,
             -1, shift, bits, Pointer(at["tile_digits"] + 1024 * number),
             Pointer(states), TICKETS_TILE + number, control, frame),
        ))  # fmt: skip
        states += 4 * (1 << bits) * blocks
    arguments = (Pointer(at[_sorted_keys(sizes)]), control, frame, Pointer(at["spans"]))
    operations.append(Launch("tile_spans", (SPAN_BLOCKS, 1, 1), SORT_THREADS, arguments))
    return operations


def forward(sizes: Sizes, at: dict[str, int], scratch: int) -> list[Operation]:
    """Everything from the parameters to the blended image; `scratch`: bytes to clear at `at["frame"]`.

    Leaves what `backward` needs where `at` has room for it.
    """
    views, steps, control, frame = (Pointer(at[name]) for name in ("views", "steps", "control", "frame"))
    project = Launch(
        "project", (-(-sizes.stride // SPLAT_THREADS), 1, 1), SPLAT_THREADS,
        (Pointer(at["block"]), sizes.stride, views, steps, control, Pointer(at["records"]), Pointer(at["depths"]),
         Pointer(at["rects"]), frame),
    )  # fmt: skip
    emit = Launch(
        "emit_entries", (sizes.emit_blocks, 1, 1), SORT_THREADS,
        (Pointer(at["order"]), Pointer(at["depths"]), Pointer(at["rects"]), Pointer(at["records"]), sizes.stride, views,
         steps, control, frame, Pointer(at["emit_states"]), TICKET_EMIT, sizes.tile_passes[0][1],
         len(sizes.tile_passes),
         Pointer(at["slot_spans"]), Pointer(at["entry_tile"]), Pointer(at["entry_splat"]),
         Pointer(at.get("slot_used", 0)),
         Pointer(at["tile_digits"])),
    )  # fmt: skip
    rasterize = Launch(
        "rasterize", (-(-sizes.tiles // RASTER_WARPS), 1, 1), 32 * RASTER_WARPS,
        (Pointer(at["records"]), Pointer(at["depths"]), Pointer(at["sorted_splat"]), Pointer(at["spans"]), views, steps,
         control, frame, Pointer(at["image"]), Pointer(at.get("snapshots", 0)), Pointer(at.get("stops", 0))),
    )  # fmt: skip
    return [
        Clear(at["frame"], scratch), project, *_sort_by_depth(sizes, at), emit, *_sort_by_tile(sizes, at), rasterize,
    ]  # fmt: skip


def loss(sizes: Sizes, at: dict[str, int]) -> list[Launch]:
    """From the image to the sums of the loss's terms and to the gradient of the loss by the image."""
    views, steps, control, frame = (Pointer(at[name]) for name in ("views", "steps", "control", "frame"))
    image, grid = Pointer(at["image"]), (*sizes.loss_grid, 3)
    spans, slopes, active = Pointer(at["spans"]), Pointer(at["slopes"]), Pointer(at["active"])
    return [
        Launch("compare", grid, LOSS_THREADS,
               (views, steps, control, frame, image, spans, slopes, active, Pointer(at["sums"]))),
        Launch("differentiate", grid, LOSS_THREADS,
               (views, steps, control, frame, image, slopes, active, Pointer(at["gradient"]))),
    ]  # fmt: skip


def backward(sizes: Sizes, at: dict[str, int], gradients_only: bool, statistics: bool) -> list[Operation]:
    """The loss, its gradient, and Adam (or only the gradients, into `output`)."""
    views, steps, control, frame = (Pointer(at[name]) for name in ("views", "steps", "control", "frame"))
    image, spans, gradient = Pointer(at["image"]), Pointer(at["spans"]), Pointer(at["gradient"])
    slots, slot_used = Pointer(at["slots"]), Pointer(at["slot_used"])
    return [
        *loss(sizes, at),
        Launch("rasterize_backward", (-(-sizes.segments // RASTER_WARPS), 1, 1), 32 * RASTER_WARPS,
               (Pointer(at["records"]), Pointer(at["depths"]), Pointer(at[_sorted_keys(sizes)]),
                Pointer(at["sorted_splat"]), Pointer(at["sorted_slot"]), spans, views, steps, control, frame, image,
                Pointer(at["snapshots"]), Pointer(at["stops"]), gradient, slots, slot_used)),
        Launch("project_backward", (-(-sizes.stride // SPLAT_THREADS), 1, 1), SPLAT_THREADS,
               (Pointer(at["block"]), Pointer(at["first"]), Pointer(at["second"]), sizes.stride, views, steps, control,
                frame, Pointer(at["slot_spans"]), slot_used, slots,
                Pointer(at["statistics"] if statistics else 0), Pointer(at["output"] if gradients_only else 0))),
        Launch("finish_step", (1, 1, 1), 256,
               (Pointer(at["sums"]), sizes.loss_grid[0] * sizes.loss_grid[1], control, frame, Pointer(at["results"]))),
    ]  # fmt: skip


def change(kernel: str, stride: int, count: int, at: dict[str, int]) -> list[Operation]:
    """A kernel of those between steps (decay, align, wander), over the first `count` splats; nothing if there are none.

    `at`: addresses of the block and of a Change, for align of its normals and of the splats' faces, too.
    """
    arguments: tuple[Pointer | int, ...] = (Pointer(at["block"]), stride, count, Pointer(at["change"]))
    if kernel == "align":
        arguments += (Pointer(at["normals"]), Pointer(at["columns"]))
    grid = (-(-count // SPLAT_THREADS), 1, 1)
    return [Launch(kernel, grid, SPLAT_THREADS, arguments)] if count else []


def rearrange(rows: int, old_stride: int, stride: int, old: dict[str, int], at: dict[str, int]) -> Launch:
    """From the columns at `old` (block, first, second) to those at `at`, which has source and rested, too."""
    names = ("block", "first", "second")
    return Launch(
        "rearrange", (-(-stride // SPLAT_THREADS), rows, 1), SPLAT_THREADS,
        (*(Pointer(old[name]) for name in names), old_stride, Pointer(at["source"]), Pointer(at["rested"]), stride,
         *(Pointer(at[name]) for name in names)),
    )  # fmt: skip
