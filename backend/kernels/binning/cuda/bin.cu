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
    for (int item = 0; item < SORT_ITEMS; item++) {
        int i = (blockIdx.x * SORT_ITEMS + item) * SORT_THREADS + threadIdx.x;
        if (i >= stride) continue;
        uint bits = depths[i];
        uint key = bits == 0xFFFFFFFFu ? 0xFFFFFFu : (bits - low) >> shift;
        keys[i] = key;
        for (int digit = 0; digit < 3; digit++) atomicAdd(&counts[digit * 256 + (key >> 8 * digit & 255)], 1u);
    }
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

// As sum_of_earlier_blocks, for one number a block: a whole warp looks back, 32 blocks at a time.
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
        for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(FULL_WARP, value, offset);
        sum += value;
        if (totals) break;
    }
    if (lane == 0) states[block] = (sum + own) | STATE_TOTAL;
    return sum;
}

extern "C" __global__ void __launch_bounds__(SORT_THREADS) emit_entries(
    const uint* __restrict__ order,    // (stride,) splats, nearest first
    const uint* __restrict__ depths, const uint2* __restrict__ rects, const float4* __restrict__ records, int stride,
    const View* __restrict__ views, const Step* __restrict__ steps, const Control* __restrict__ control,
    Frame* __restrict__ frame,
    uint* states,                      // (blocks,), zero before
    int ticket, int low_bits,          // of the tile's number that the first sorting pass looks at
    uint2* __restrict__ slot_spans,    // (stride,) first slot and number of slots of each splat, out
    uint* __restrict__ entry_tile, uint* __restrict__ entry_splat,  // (capacity,), out
    uint* __restrict__ digit_counts) { // (2, 256) of the tiles' low and high bits, zero before
    __shared__ uint warp_sums[SORT_THREADS / 32];
    __shared__ uint counts[2 * 256];
    __shared__ uint block_number, block_start, block_total;
    if (control->needed != 0) return;
    if (threadIdx.x == 0) block_number = atomicAdd(&frame->tickets[ticket], 1u);
    for (int k = threadIdx.x; k < 2 * 256; k += SORT_THREADS) counts[k] = 0;
    __syncthreads();
    uint block = block_number, rank = block * SORT_THREADS + threadIdx.x;
    uint splat = rank < (uint)stride ? order[rank] : 0;
    bool drawn = rank < (uint)stride && depths[splat] != 0xFFFFFFFFu;
    uint tiles_x = views[steps[control->cursor].view].tiles_x;
    float4 r0, r1, r2;
    uint2 rect = make_uint2(0, 0);
    uint number = 0;
    if (drawn) {
        r0 = records[3 * splat], r1 = records[3 * splat + 1], r2 = records[3 * splat + 2];
        rect = rects[splat];
        for (uint row = rect.x >> 16; row <= rect.y >> 16; row++) {
            uint2 columns = columns_touched(r0, r1, r2, rect, row);
            if (columns.y >= columns.x) number += columns.y - columns.x + 1;
        }
    }
    uint within = exclusive_block_sum(number, warp_sums);
    if (threadIdx.x == SORT_THREADS - 1) block_total = within + number;
    __syncthreads();
    if (threadIdx.x < 32) {
        uint earlier = warp_sum_of_earlier_blocks(block_total, block, states);
        if (threadIdx.x == 0) {
            block_start = earlier;
            if (block == gridDim.x - 1) frame->entries = earlier + block_total;
        }
    }
    __syncthreads();
    uint slot = block_start + within;
    if (rank < (uint)stride) slot_spans[splat] = make_uint2(slot, number);
    uint end = slot + number;
    if (end > control->capacity) number = 0;  // the run stands still; whoever reads `entries` sees why
    uint low_mask = (1u << low_bits) - 1;
    if (number)
        for (uint row = rect.x >> 16; row <= rect.y >> 16; row++) {
            uint2 columns = columns_touched(r0, r1, r2, rect, row);
            for (uint column = columns.x; column <= columns.y && slot < end; column++, slot++) {
                uint tile = row * tiles_x + column;
                entry_tile[slot] = tile;
                entry_splat[slot] = splat;
                atomicAdd(&counts[tile & low_mask], 1u);
                atomicAdd(&counts[256 + (tile >> low_bits & 255)], 1u);
            }
        }
    __syncthreads();
    for (int k = threadIdx.x; k < 2 * 256; k += SORT_THREADS)
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
