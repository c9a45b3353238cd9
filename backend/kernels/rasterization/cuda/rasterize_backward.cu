// SPDX-License-Identifier: Apache-2.0
// The backward pass runs front to back again. `rest` starts as g . (final colour over the background) plus the alpha
// term, and loses w (c . g) with each splat, so nothing is divided by a long product and nothing was stored per pixel:
// dL/dalpha = T (c . g) - rest / (1 - alpha). An entry's nine sums over its tile are added within the warp and written to
// the entry's own slot.
#include "rasterization/cuda/tile.cuh"

struct Adjoint {
    float transmittance, rest, g0, g1, g2;
};

__device__ inline Adjoint open_adjoint(
    const float* __restrict__ image, const float* __restrict__ gradient, int plane, int place, bool inside,
    const float* background) {
    Adjoint a = {-1.0f, 0, 0, 0, 0};
    if (!inside) return a;
    float transmittance = image[3 * plane + place];
    a.transmittance = 1.0f;
    a.g0 = gradient[place], a.g1 = gradient[plane + place], a.g2 = gradient[2 * plane + place];
    a.rest = transmittance * gradient[3 * plane + place] + a.g0 * (image[place] + transmittance * background[0]) +
             a.g1 * (image[plane + place] + transmittance * background[1]) +
             a.g2 * (image[2 * plane + place] + transmittance * background[2]);
    return a;
}

// One splat on one pixel, without branches; returns true if it reached the pixel (be it only to end it).
__device__ inline bool pass_back(
    Adjoint& a, float power, float dx, float dy, float red, float green, float blue, float* sums, float& sum_blue) {
    bool touched = power >= LOG2_CUTOFF && is_open(a.transmittance);
    float unclamped = exp2f(power), alpha = fminf(unclamped, MAX_ALPHA), passed = 1.0f - alpha;
    float left = a.transmittance * passed;  // the same operations as in the forward pass
    bool blended = touched && left >= MIN_TRANSMITTANCE;
    float weight = blended ? a.transmittance * alpha : 0.0f, shade = a.g0 * red + a.g1 * green + a.g2 * blue;
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

extern "C" __global__ void __launch_bounds__(RASTER_WARPS * 32) rasterize_backward(
    const float4* __restrict__ records, const uint* __restrict__ sorted_splat, const uint* __restrict__ sorted_slot,
    const uint2* __restrict__ spans, const View* __restrict__ views, const Step* __restrict__ steps,
    const Control* __restrict__ control, const Frame* __restrict__ frame, const float* __restrict__ image,
    const float* __restrict__ gradient,        // (4, rows, stride) dL/dimage, dL/dtransmittance of the alpha term
    float* __restrict__ slots,                 // (capacity, 12), out
    unsigned char* __restrict__ slot_used) {   // (capacity,), zero before; 1: the entry reached a pixel, out
    __shared__ Batch batches[RASTER_WARPS];
    if (run_stands(control, frame)) return;
    const Step& step = steps[control->cursor];
    const View& view = views[step.view];
    uint lane = threadIdx.x % 32, warp = threadIdx.x / 32, tile = blockIdx.x * RASTER_WARPS + warp;
    if (tile >= (uint)(view.tiles_x * view.tiles_y)) return;
    uint2 span = spans[tile];
    if (span.x == span.y) return;
    Batch& batch = batches[warp];
    int px = tile % view.tiles_x * TILE_SIZE + lane % 8, py = tile / view.tiles_x * TILE_SIZE + lane / 8;
    float x = px + 0.5f, y = py + 0.5f;
    int plane = view.rows * view.stride, place = py * view.stride + px;
    Adjoint top = open_adjoint(
        image, gradient, plane, place, px < view.width && py < view.height, step.background);
    Adjoint bottom = open_adjoint(
        image, gradient, plane, place + 4 * view.stride, px < view.width && py + 4 < view.height, step.background);
    for (uint first = span.x; first < span.y; first += BATCH) {
        if (!__any_sync(FULL_WARP, is_open(top.transmittance) || is_open(bottom.transmittance))) break;
        int number = load_batch(batch, lane, first, span.y, sorted_splat, records);
        uint slot_of_lane = (int)lane < number ? sorted_slot[first + lane] : 0;
        for (int k = 0; k < number; k += GROUP) {
            Offsets at[GROUP];
            float sums[8 * GROUP] = {}, sums_blue[GROUP] = {};
            uint reached = 0;  // bit j: entry k + j reached one of the lane's pixels
#pragma unroll
            for (int j = 0; j < GROUP; j++) at[j] = offsets(batch, k + j, x, y);
#pragma unroll
            for (int j = 0; j < GROUP; j++) {
                float red = batch.r1[k + j].z, green = batch.r1[k + j].w, blue = batch.blue[k + j];
                bool here = pass_back(
                    top, at[j].power, at[j].dx, at[j].dy, red, green, blue, sums + 8 * j, sums_blue[j]);
                here |= pass_back(
                    bottom, at[j].power4, at[j].dx, at[j].dy + 4.0f, red, green, blue, sums + 8 * j, sums_blue[j]);
                if (__any_sync(FULL_WARP, here)) reached |= 1u << j;
            }
            if (!reached) continue;
            float sum = transposed_warp_sums(lane, sums), sum_blue = four_warp_sums(lane, sums_blue);
            uint mine = lane / 8, slot = __shfl_sync(FULL_WARP, slot_of_lane, k + mine);
            if (!(reached >> mine & 1)) continue;
            slots[12 * slot + lane % 8] = sum;
            if (lane % 8 == 0) {
                slots[12 * slot + 8] = sum_blue;
                slot_used[slot] = 1;
            }
        }
    }
}
