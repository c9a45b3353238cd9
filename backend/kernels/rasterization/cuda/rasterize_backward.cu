// SPDX-License-Identifier: Apache-2.0
// The backward pass runs front to back again. `rest` starts as g . (final colour over the background) plus the alpha
// term, and loses w (c . g) with each splat, so nothing is divided by a long product and nothing was stored per pixel:
// dL/dalpha = T (c . g) - rest / (1 - alpha). Depth, where the loss asks for it, is one more channel, over black. An
// entry's nine or ten sums over its tile are added within the warp and written to the entry's own slot. A warp owns a
// segment of the sorted entries (tile.cuh) and whatever tiles it crosses.
#include "rasterization/cuda/tile.cuh"

struct Adjoint {
    float transmittance, rest, g0, g1, g2, g3;
};

__device__ inline Adjoint open_adjoint(
    const float* __restrict__ image, const float* __restrict__ gradient, int plane, int place, bool inside,
    const float* background) {
    Adjoint a = {-1.0f, 0, 0, 0, 0, 0};
    if (!inside) return a;
    float transmittance = image[3 * plane + place];
    a.transmittance = 1.0f;
    a.g0 = gradient[place], a.g1 = gradient[plane + place], a.g2 = gradient[2 * plane + place];
    a.rest = transmittance * gradient[3 * plane + place] + a.g0 * (image[place] + transmittance * background[0]) +
             a.g1 * (image[plane + place] + transmittance * background[1]) +
             a.g2 * (image[2 * plane + place] + transmittance * background[2]);
#if DEPTH
    a.g3 = gradient[4 * plane + place];
    a.rest += a.g3 * image[4 * plane + place];
#endif
    return a;
}

// As if the pass had come from the tile's first entry: what lies before the segment has left its part of `rest`.
__device__ inline void resume(Adjoint& a, const float* __restrict__ snapshot, uint pixel) {
    a.transmittance = is_open(a.transmittance) ? snapshot[pixel] : a.transmittance;
    a.rest -= a.g0 * snapshot[PIXELS + pixel] + a.g1 * snapshot[2 * PIXELS + pixel] +
              a.g2 * snapshot[3 * PIXELS + pixel];
#if DEPTH
    a.rest -= a.g3 * snapshot[4 * PIXELS + pixel];
#endif
}

// One splat on one pixel, without branches; returns true if it reached the pixel (be it only to end it).
__device__ inline bool pass_back(
    Adjoint& a, float power, float dx, float dy, float red, float green, float blue, float depth, float* sums,
    float& sum_blue, float& sum_depth) {
    bool touched = power >= LOG2_CUTOFF && is_open(a.transmittance);
    float unclamped = exp2f(power), alpha = fminf(unclamped, MAX_ALPHA), passed = 1.0f - alpha;
    float left = a.transmittance * passed;  // the same operations as in the forward pass
    bool blended = touched && left >= MIN_TRANSMITTANCE;
    float weight = blended ? a.transmittance * alpha : 0.0f, shade = a.g0 * red + a.g1 * green + a.g2 * blue;
#if DEPTH
    shade += a.g3 * depth, sum_depth += weight * a.g3;
#endif
    a.rest -= weight * shade;
    float v = alpha * (a.transmittance * shade - a.rest / passed);
    v = blended && unclamped < MAX_ALPHA ? v : 0.0f;  // nothing flows through the clamp
    a.transmittance = blended ? left : touched ? -a.transmittance : a.transmittance;
    float v_dx = v * dx, v_dy = v * dy;
    sums[0] += v, sums[1] += v_dx, sums[2] += v_dy;
    sums[3] += v_dx * dx, sums[4] += v_dx * dy, sums[5] += v_dy * dy;
    sums[6] += weight * a.g0, sums[7] += weight * a.g1, sum_blue += weight * a.g2;
    return touched;
}

// Of 2 HALF values, lanes with `bit` set keep the upper half and the others the lower, each adding its partner's.
template <int HALF>
__device__ inline void exchange_half(uint lane, uint bit, float* value) {
    bool upper = lane & bit;
#pragma unroll
    for (int k = 0; k < HALF; k++) {
        float sent = upper ? value[k] : value[k + HALF];
        float kept = upper ? value[k + HALF] : value[k];
        value[k] = kept + __shfl_xor_sync(FULL_WARP, sent, bit);
    }
}

// Adds 32 values over the warp, each lane gets one sum: lane l that of value l. Every exchange halves what a lane still
// holds: 31 shuffles where reductions one by one would take 160, and five waits instead of as many as there are values.
__device__ inline float transposed_warp_sums(uint lane, float* value) {
    exchange_half<16>(lane, 16, value);
    exchange_half<8>(lane, 8, value);
    exchange_half<4>(lane, 4, value);
    exchange_half<2>(lane, 2, value);
    exchange_half<1>(lane, 1, value);
    return value[0];
}

// The same for four values: lanes 8 k to 8 k + 7 get the sum of value k.
__device__ inline float four_warp_sums(uint lane, float* value) {
    exchange_half<2>(lane, 16, value);
    exchange_half<1>(lane, 8, value);
    float sum = value[0];
#pragma unroll
    for (int offset = 4; offset > 0; offset /= 2) sum += __shfl_xor_sync(FULL_WARP, sum, offset);
    return sum;
}

// GROUP entries of a batch, from entry k on.
__device__ inline void pass_group_back(
    const Batch& batch, uint lane, int k, float x, float y, uint slot_of_lane, Adjoint& top, Adjoint& bottom,
    float* __restrict__ slots, unsigned char* __restrict__ slot_used) {
    Offsets at[GROUP];
    float sums[8 * GROUP] = {}, sums_blue[GROUP] = {}, sums_depth[GROUP] = {};
    uint reached = 0;  // bit j: entry k + j reached a pixel
#pragma unroll
    for (int j = 0; j < GROUP; j++) at[j] = offsets(batch, k + j, x, y);
#pragma unroll
    for (int j = 0; j < GROUP; j++) {
        float red = batch.r1[k + j].z, green = batch.r1[k + j].w, blue = batch.blue[k + j];
        float depth = depth_of(batch, k + j);
        bool here = pass_back(
            top, at[j].power, at[j].dx, at[j].dy, red, green, blue, depth, sums + 8 * j, sums_blue[j], sums_depth[j]);
        here |= pass_back(
            bottom, at[j].power4, at[j].dx, at[j].dy + 4.0f, red, green, blue, depth, sums + 8 * j, sums_blue[j],
            sums_depth[j]);
        if (__any_sync(FULL_WARP, here)) reached |= 1u << j;
    }
    if (!reached) return;
    float sum = transposed_warp_sums(lane, sums), sum_blue = four_warp_sums(lane, sums_blue);
#if DEPTH
    float sum_depth = four_warp_sums(lane, sums_depth);
#endif
    uint mine = lane / 8, slot = __shfl_sync(FULL_WARP, slot_of_lane, k + mine);
    if (!(reached >> mine & 1)) return;
    slots[12 * slot + lane % 8] = sum;
    if (lane % 8 == 0) {
        slots[12 * slot + 8] = sum_blue;
#if DEPTH
        slots[12 * slot + 9] = sum_depth;
#endif
        slot_used[slot] = 1;
    }
}

extern "C" __global__ void __launch_bounds__(RASTER_WARPS * 32) rasterize_backward(
    const float4* __restrict__ records, const uint* __restrict__ depths, const uint* __restrict__ sorted_tile,
    const uint* __restrict__ sorted_splat, const uint* __restrict__ sorted_slot, const uint2* __restrict__ spans,
    const View* __restrict__ views, const Step* __restrict__ steps, const Control* __restrict__ control,
    const Frame* __restrict__ frame, const float* __restrict__ image, const float* __restrict__ snapshots,
    const uint* __restrict__ stops,
    const float* __restrict__ gradient,        // (PLANES, rows, stride) of differentiate
    float* __restrict__ slots,                 // (capacity, 12), out
    unsigned char* __restrict__ slot_used) {   // (capacity,), 0 by emit_entries; 1: it reached a pixel, out
    __shared__ Batch batches[RASTER_WARPS];
    uint lane = threadIdx.x % 32, warp = threadIdx.x / 32, segment = blockIdx.x * RASTER_WARPS + warp;
    if (run_stands(control, frame) || segment * SEGMENT_SIZE >= frame->entries) return;
    const Step& step = steps[control->cursor];
    const View& view = views[step.view];
    Batch& batch = batches[warp];
    int plane = view.rows * view.stride;
    uint end = min(frame->entries, segment * SEGMENT_SIZE + SEGMENT_SIZE);
    for (uint first = segment * SEGMENT_SIZE; first < end;) {
        uint tile = sorted_tile[first], tile_end = min(end, spans[tile].y), stop = min(tile_end, stops[tile]);
        bool resumed = first > spans[tile].x;
        int px = tile % view.tiles_x * TILE_SIZE + lane % 8, py = tile / view.tiles_x * TILE_SIZE + lane / 8;
        float x = px + 0.5f, y = py + 0.5f;
        int place = py * view.stride + px;
        Adjoint top = open_adjoint(
            image, gradient, plane, place, px < view.width && py < view.height, step.background);
        Adjoint bottom = open_adjoint(
            image, gradient, plane, place + 4 * view.stride, px < view.width && py + 4 < view.height,
            step.background);
        if (resumed && first < stop) {
            resume(top, snapshots + SNAPSHOT_FLOATS * segment, lane);
            resume(bottom, snapshots + SNAPSHOT_FLOATS * segment, lane + 32);
        }
        while (first < stop) {
            uint last = batch_end(first, stop);
            load_batch(batch, lane, first, last, sorted_splat, records, depths);
            int number = last - first;
            uint slot_of_lane = (int)lane < number ? sorted_slot[first + lane] : 0;
            first = last;
            for (int k = 0; k < number; k += GROUP)
                pass_group_back(batch, lane, k, x, y, slot_of_lane, top, bottom, slots, slot_used);
        }
        first = tile_end;
    }
}
