// SPDX-License-Identifier: Apache-2.0
// From projected splats to depth-sorted lists, one list a tile. Splats are sorted by depth once; then every splat, in
// that order, writes an entry for each tile that its ellipse touches, and a stable sort by tile makes the lists. Depth
// and tile sort being apart, the keys stay short (Faster-GS, LiteGS).
#include "cuda/common.cuh"
#include "binning/cuda/radix_sort.cu"

// Sort keys of KEY_BITS from depth bits: exact where the frame's depths span less than a factor of four.
extern "C" __global__ void __launch_bounds__(SORT_THREADS) depth_keys(
    const uint* __restrict__ depths, int stride, const Control* __restrict__ control, const Frame* __restrict__ frame,
    uint* __restrict__ keys,           // (stride,), out; not drawn: the largest
    uint* __restrict__ digit_counts) { // (3, 256), zero before
    __shared__ uint counts[3 * 256];
    if (control->needed != 0) return;
    for (int k = threadIdx.x; k < 3 * 256; k += SORT_THREADS) counts[k] = 0;
    __syncthreads();
    uint low = ~frame->depth_low_inverted, range = frame->depth_high - low;
    int shift = frame->depth_high == 0 ? 0 : max(0, 32 - __clz(range) - 24);
    uint left_out = 0;  // those not drawn, all with the same key: counted aside, they would queue for one counter
    for (int item = 0; item < SORT_ITEMS; item++) {
        int i = (blockIdx.x * SORT_ITEMS + item) * SORT_THREADS + threadIdx.x;
        if (i >= stride) continue;
        uint bits = depths[i];
        uint key = bits == 0xFFFFFFFFu ? 0xFFFFFFu : (bits - low) >> shift;
        keys[i] = key;
        if (bits == 0xFFFFFFFFu)
            left_out++;
        else
            for (int digit = 0; digit < 3; digit++) atomicAdd(&counts[digit * 256 + (key >> 8 * digit & 255)], 1u);
    }
    for (int offset = 16; offset > 0; offset /= 2) left_out += __shfl_xor_sync(FULL_WARP, left_out, offset);
    if (threadIdx.x % 32 < 3 && left_out) atomicAdd(&counts[threadIdx.x % 32 * 256 + 255], left_out);
    __syncthreads();
    for (int k = threadIdx.x; k < 3 * 256; k += SORT_THREADS)
        if (counts[k]) atomicAdd(&digit_counts[k], counts[k]);
}

// First and last column of the tiles in one row of tiles that the ellipse {alpha >= 1/255} touches. Not inlined: the
// emission calls it twice and must get the same answer.
__device__ __noinline__ uint2 columns_touched(float4 r0, float4 r1, float4 r2, uint2 rect, uint row) {
    uint first_x = rect.x & 0xFFFF, last_x = rect.y & 0xFFFF;
    if (rect.x >> 16 == rect.y >> 16 || first_x == last_x) return make_uint2(first_x, last_x);
    float a = -2 * r0.z, b = -r0.w, c = -2 * r1.x;
    float level = 2 * (r1.y - LOG2_CUTOFF);
    float extreme = r2.y * r2.z;  // dy of the rightmost point
    float low = row * TILE_SIZE + 0.5f - r0.y, high = low + (TILE_SIZE - 1);
    float dy_right = clamped(extreme, low, high), dy_left = clamped(-extreme, low, high);
    float det = b * b - a * c;
    float right = sqrtf(fmaxf(det * dy_right * dy_right + a * level, 0.0f));
    float left = sqrtf(fmaxf(det * dy_left * dy_left + a * level, 0.0f));
    float x0 = r0.x + (-b * dy_left - left) / a, x1 = r0.x + (-b * dy_right + right) / a;
    // The hundredth of a pixel covers rounding; the clamp also catches NaN and infinity.
    float edge = (float)(last_x * TILE_SIZE);
    uint from = max(first_x, (uint)clamped(x0 - 0.51f, 0.0f, edge) / TILE_SIZE);
    uint to = min(last_x, (uint)clamped(x1 - 0.49f, 0.0f, edge) / TILE_SIZE);
    return make_uint2(from, to);
}

// As sum_of_earlier_blocks, for one number a block: a whole warp looks back, 32 blocks at a time. Sums that do not fit
// beside the state stay at the largest that does, which is beyond every capacity.
#define LARGEST_SUM (~STATE_MASK)

__device__ inline uint warp_sum_of_earlier_blocks(uint own, uint block, volatile uint* states) {
    uint lane = threadIdx.x;
    if (lane == 0) states[block] = own | (block == 0 ? STATE_TOTAL : STATE_LOCAL);
    if (block == 0) return 0;
    uint sum = 0;
    for (int last = (int)block - 1;; last -= 32) {
        uint state = STATE_TOTAL;  // before the first block there is nothing
        if (last - (int)lane >= 0)
            do state = states[last - lane];
            while ((state & STATE_MASK) == 0);
        uint totals = __ballot_sync(FULL_WARP, (state & STATE_MASK) == STATE_TOTAL);
        uint nearest = totals ? __ffs(totals) - 1 : 31;
        uint value = lane <= nearest ? state & ~STATE_MASK : 0;
        for (int offset = 16; offset > 0; offset /= 2)
            value = min(value + __shfl_xor_sync(FULL_WARP, value, offset), LARGEST_SUM);
        sum = min(sum + value, LARGEST_SUM);
        if (totals) break;
    }
    if (lane == 0) states[block] = min(sum + own, LARGEST_SUM) | STATE_TOTAL;
    return sum;
}

struct Ellipse {
    float4 r0, r1, r2;
    uint2 rect;
};

struct Emission {
    uint* entry_tile;
    uint* entry_splat;
    uint* counts;  // of this block, 256 a digit
    uint tiles_x;
    int digit_bits, digits;
};

#define MANY_TILES 32  // of a splat that its whole warp takes together, a row a lane

__device__ inline uint tiles_of_rect(uint2 rect) {
    return ((rect.y & 0xFFFF) - (rect.x & 0xFFFF) + 1) * ((rect.y >> 16) - (rect.x >> 16) + 1);
}

__device__ inline uint tiles_in_row(const Ellipse& e, uint row) {
    uint2 columns = columns_touched(e.r0, e.r1, e.r2, e.rect, row);
    return columns.y >= columns.x ? columns.y - columns.x + 1 : 0;
}

// Writes one row's entries from `slot` on, and moves it.
__device__ inline void emit_row(const Ellipse& e, uint row, uint splat, uint& slot, const Emission& out) {
    uint2 columns = columns_touched(e.r0, e.r1, e.r2, e.rect, row);
    for (uint column = columns.x; (int)column <= (int)columns.y; column++, slot++) {
        uint tile = row * out.tiles_x + column;
        out.entry_tile[slot] = tile;
        out.entry_splat[slot] = splat;
        for (int digit = 0; digit < out.digits; digit++)
            atomicAdd(&out.counts[256 * digit + (tile >> digit * out.digit_bits & ((1u << out.digit_bits) - 1))], 1u);
    }
}

__device__ inline float4 of_lane(float4 value, int lane) {
    return make_float4(
        __shfl_sync(FULL_WARP, value.x, lane), __shfl_sync(FULL_WARP, value.y, lane),
        __shfl_sync(FULL_WARP, value.z, lane), __shfl_sync(FULL_WARP, value.w, lane));
}

__device__ inline Ellipse of_lane(const Ellipse& e, int lane) {
    uint2 rect = make_uint2(__shfl_sync(FULL_WARP, e.rect.x, lane), __shfl_sync(FULL_WARP, e.rect.y, lane));
    return {of_lane(e.r0, lane), of_lane(e.r1, lane), of_lane(e.r2, lane), rect};
}

// All tiles of an ellipse that the whole warp knows.
__device__ inline uint warp_tiles(const Ellipse& e) {
    uint sum = 0;
    for (uint row = (e.rect.x >> 16) + threadIdx.x % 32; row <= e.rect.y >> 16; row += 32) sum += tiles_in_row(e, row);
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(FULL_WARP, sum, offset);
    return sum;
}

// Its entries, in the same order as one thread would write them.
__device__ inline void warp_emit(const Ellipse& e, uint splat, uint slot, const Emission& out) {
    uint lane = threadIdx.x % 32;
    for (uint first = e.rect.x >> 16; first <= e.rect.y >> 16; first += 32) {
        uint row = first + lane;
        bool there = row <= e.rect.y >> 16;
        uint number = there ? tiles_in_row(e, row) : 0, inclusive = number;
        for (uint offset = 1; offset < 32; offset *= 2) {
            uint other = __shfl_up_sync(FULL_WARP, inclusive, offset);
            if (lane >= offset) inclusive += other;
        }
        uint mine = slot + inclusive - number;
        if (there) emit_row(e, row, splat, mine, out);
        slot += __shfl_sync(FULL_WARP, inclusive, 31);
    }
}

extern "C" __global__ void __launch_bounds__(SORT_THREADS) emit_entries(
    const uint* __restrict__ order,    // (stride,) splats, nearest first
    const uint* __restrict__ depths, const uint2* __restrict__ rects, const float4* __restrict__ records, int stride,
    const View* __restrict__ views, const Step* __restrict__ steps, const Control* __restrict__ control,
    Frame* __restrict__ frame,
    uint* states,                      // (blocks,), zero before
    int ticket, int digit_bits, int digits,  // bits of the tile's number that a sorting pass looks at; passes
    uint2* __restrict__ slot_spans,    // (stride,) first slot and number of slots of each splat, out
    uint* __restrict__ entry_tile, uint* __restrict__ entry_splat,  // (capacity,), out
    uint* __restrict__ digit_counts) { // (digits, 256) of the tiles' digits, low ones first, zero before
    __shared__ uint warp_sums[SORT_THREADS / 32];
    __shared__ uint counts[3 * 256];
    __shared__ uint block_number, block_start, block_total;
    if (control->needed != 0) return;
    if (threadIdx.x == 0) block_number = atomicAdd(&frame->tickets[ticket], 1u);
    for (int k = threadIdx.x; k < 256 * digits; k += SORT_THREADS) counts[k] = 0;
    __syncthreads();
    uint block = block_number, rank = block * SORT_THREADS + threadIdx.x;
    uint splat = rank < (uint)stride ? order[rank] : 0;
    bool drawn = rank < (uint)stride && depths[splat] != 0xFFFFFFFFu;
    uint tiles_x = views[steps[control->cursor].view].tiles_x;
    Ellipse mine = {};
    if (drawn) mine = {records[3 * splat], records[3 * splat + 1], records[3 * splat + 2], rects[splat]};
    bool large = drawn && tiles_of_rect(mine.rect) > MANY_TILES;
    uint number = 0;
    if (drawn && !large)
        for (uint row = mine.rect.x >> 16; row <= mine.rect.y >> 16; row++) number += tiles_in_row(mine, row);
    for (uint waiting = __ballot_sync(FULL_WARP, large); waiting; waiting &= waiting - 1) {
        int owner = __ffs(waiting) - 1;
        uint total = warp_tiles(of_lane(mine, owner));
        if ((int)(threadIdx.x % 32) == owner) number = total;
    }
    uint within = exclusive_block_sum(number, warp_sums);
    if (threadIdx.x == SORT_THREADS - 1) block_total = within + number;
    __syncthreads();
    if (threadIdx.x < 32) {
        uint earlier = warp_sum_of_earlier_blocks(block_total, block, states);
        if (threadIdx.x == 0) {
            block_start = earlier;
            if (block == gridDim.x - 1) frame->entries = min(earlier + block_total, LARGEST_SUM);
        }
    }
    __syncthreads();
    uint slot = block_start + within;
    if (rank < (uint)stride) slot_spans[splat] = make_uint2(slot, number);
    Emission out = {entry_tile, entry_splat, counts, tiles_x, digit_bits, digits};
    bool fits = slot + number <= control->capacity;  // if not, the run stands still; `entries` says why
    if (number && fits && !large)
        for (uint row = mine.rect.x >> 16; row <= mine.rect.y >> 16; row++) emit_row(mine, row, splat, slot, out);
    for (uint waiting = __ballot_sync(FULL_WARP, large && fits); waiting; waiting &= waiting - 1) {
        int owner = __ffs(waiting) - 1;
        warp_emit(
            of_lane(mine, owner), __shfl_sync(FULL_WARP, splat, owner), __shfl_sync(FULL_WARP, slot, owner), out);
    }
    __syncthreads();
    for (int k = threadIdx.x; k < 256 * digits; k += SORT_THREADS)
        if (counts[k]) atomicAdd(&digit_counts[k], counts[k]);
}

// Where each tile's list begins and ends.
extern "C" __global__ void __launch_bounds__(SORT_THREADS) tile_spans(
    const uint* __restrict__ sorted_tile, const Control* __restrict__ control, const Frame* __restrict__ frame,
    uint2* __restrict__ spans) {  // (tiles,), zero before
    if (run_stands(control, frame)) return;
    uint count = frame->entries;
    for (uint i = blockIdx.x * SORT_THREADS + threadIdx.x; i < count; i += gridDim.x * SORT_THREADS) {
        uint tile = sorted_tile[i];
        if (i == 0 || sorted_tile[i - 1] != tile) spans[tile].x = i;
        if (i == count - 1 || sorted_tile[i + 1] != tile) spans[tile].y = i + 1;
    }
}
