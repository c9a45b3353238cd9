// SPDX-License-Identifier: Apache-2.0
// Blending, front to back: alpha = min(0.99, opacity exp(-sigma)), skipped below 1/255; a splat that would leave less
// transmittance than 1e-4 is not blended and ends its pixel (Kerbl et al. 2023).
#include "rasterization/cuda/tile.cuh"

struct Pixel {
    float transmittance, red, green, blue, depth;
};

// Without branches: lanes of a warp rarely agree, and a select costs less than a detour.
__device__ inline void blend(Pixel& pixel, float power, float red, float green, float blue, float depth) {
    bool touched = power >= LOG2_CUTOFF && is_open(pixel.transmittance);
    float alpha = fminf(exp2f(power), MAX_ALPHA);
    float left = pixel.transmittance * (1.0f - alpha);
    bool blended = touched && left >= MIN_TRANSMITTANCE;
    float weight = blended ? pixel.transmittance * alpha : 0.0f;
    pixel.red += weight * red, pixel.green += weight * green, pixel.blue += weight * blue;
#if DEPTH
    pixel.depth += weight * depth;
#endif
    pixel.transmittance = blended ? left : touched ? -pixel.transmittance : pixel.transmittance;
}

__device__ inline void leave_snapshot(float* snapshot, uint lane, const Pixel& top, const Pixel& bottom) {
    snapshot[lane] = top.transmittance, snapshot[lane + 32] = bottom.transmittance;
    snapshot[PIXELS + lane] = top.red, snapshot[PIXELS + lane + 32] = bottom.red;
    snapshot[2 * PIXELS + lane] = top.green, snapshot[2 * PIXELS + lane + 32] = bottom.green;
    snapshot[3 * PIXELS + lane] = top.blue, snapshot[3 * PIXELS + lane + 32] = bottom.blue;
#if DEPTH
    snapshot[4 * PIXELS + lane] = top.depth, snapshot[4 * PIXELS + lane + 32] = bottom.depth;
#endif
}

extern "C" __global__ void __launch_bounds__(RASTER_WARPS * 32) rasterize(
    const float4* __restrict__ records, const uint* __restrict__ depths, const uint* __restrict__ sorted_splat,
    const uint2* __restrict__ spans,
    const View* __restrict__ views, const Step* __restrict__ steps, const Control* __restrict__ control,
    const Frame* __restrict__ frame,
    float* __restrict__ image,        // (PLANES, rows, stride), out
    float* __restrict__ snapshots,    // (segments, PLANES, PIXELS), out; or null
    uint* __restrict__ stops) {       // (tiles,) the entry at which all pixels of the tile were done, out; or null
    __shared__ Batch batches[RASTER_WARPS];
    if (run_stands(control, frame)) return;
    const View& view = views[steps[control->cursor].view];
    uint lane = threadIdx.x % 32, warp = threadIdx.x / 32, tile = blockIdx.x * RASTER_WARPS + warp;
    if (tile >= (uint)(view.tiles_x * view.tiles_y)) return;
    Batch& batch = batches[warp];
    int px = tile % view.tiles_x * TILE_SIZE + lane % 8, py = tile / view.tiles_x * TILE_SIZE + lane / 8;
    float x = px + 0.5f, y = py + 0.5f;
    Pixel top = {px < view.width && py < view.height ? 1.0f : -1.0f, 0, 0, 0, 0};
    Pixel bottom = {px < view.width && py + 4 < view.height ? 1.0f : -1.0f, 0, 0, 0, 0};
    uint2 span = spans[tile];
    uint first = span.x;
    while (first < span.y && __any_sync(FULL_WARP, is_open(top.transmittance) || is_open(bottom.transmittance))) {
        if (snapshots && first % SEGMENT_SIZE == 0 && first > span.x)
            leave_snapshot(snapshots + SNAPSHOT_FLOATS * (first / SEGMENT_SIZE), lane, top, bottom);
        uint end = batch_end(first, span.y);
        load_batch(batch, lane, first, end, sorted_splat, records, depths);
        int number = end - first;
        first = end;
        for (int k = 0; k < number; k += GROUP) {
            float power[GROUP], power4[GROUP];  // first what does not wait for the transmittance
#pragma unroll
            for (int j = 0; j < GROUP; j++) {
                Offsets at = offsets(batch, k + j, x, y);
                power[j] = at.power, power4[j] = at.power4;
            }
#pragma unroll
            for (int j = 0; j < GROUP; j++) {
                float red = batch.r1[k + j].z, green = batch.r1[k + j].w, blue = batch.blue[k + j];
                float depth = depth_of(batch, k + j);
                blend(top, power[j], red, green, blue, depth);
                blend(bottom, power4[j], red, green, blue, depth);
            }
        }
    }
    if (stops && lane == 0) stops[tile] = first;
    int plane = view.rows * view.stride, place = py * view.stride + px;
    image[place] = top.red, image[plane + place] = top.green, image[2 * plane + place] = top.blue;
    image[3 * plane + place] = fabsf(top.transmittance);
#if DEPTH
    image[4 * plane + place] = top.depth, image[4 * plane + place + 4 * view.stride] = bottom.depth;
#endif
    place += 4 * view.stride;
    image[place] = bottom.red, image[plane + place] = bottom.green, image[2 * plane + place] = bottom.blue;
    image[3 * plane + place] = fabsf(bottom.transmittance);
}
