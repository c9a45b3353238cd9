// SPDX-License-Identifier: Apache-2.0
// The new picture out of the old one and the skins in it: `as_rendered`, `passed_share` and `exchange_skin` of
// backend/faceswap/views.py, in its order and precision; only its two blurs may round otherwise.
#pragma once
#include "mesh_rasterization/cuda/smooth_light.cu"

// numpy's maximum and minimum: what is no number stays so.
__device__ inline float larger(float a, float b) { return a > b || a != a ? a : b; }
__device__ inline float smaller(float a, float b) { return a < b || a != a ? a : b; }
__device__ inline float within(float x, float low, float high) { return smaller(larger(x, low), high); }

// skins: two float4 a pixel: difference and the skin's share, old and nothing. shades: luminance of the rendered albedo
// and of the old skin where skin fills the pixel. mask: the skin's coverage in the render, or null.
extern "C" __global__ void __launch_bounds__(MESH_THREADS)
as_rendered(
    const float* filtered, const float* mask, const float* alpha, const float* albedo, int width, int height,
    float4* skins, float2* shades
) {
    size_t at = thread_number();
    if (at >= size_t(width) * height) return;
    float stacked[7];
    float coverage = filtered[7 * at + 6];
    for (int c = 0; c < 7; c++) stacked[c] = filtered[7 * at + c];
    if (!(coverage > 0.02f)) {  // a pixel that the render covers and we just miss
        double sums[7] = {0, 0, 0, 0, 0, 0, 0};
        int row = int(at / width), column = int(at % width);
        for (int j = -1; j <= 1; j++)
            for (int i = -1; i <= 1; i++) {
                int y = min(max(row + j, 0), height - 1), x = min(max(column + i, 0), width - 1);
                for (int c = 0; c < 7; c++) sums[c] += double(filtered[7 * (size_t(y) * width + x) + c]);
            }
        for (int c = 0; c < 7; c++) stacked[c] = float(sums[c] * (1.0 / 9.0));
    }
    float rendered = mask ? mask[at] : smaller(coverage, alpha[at]), skin_share = mask ? mask[at] : coverage;
    float values[6];
    for (int c = 0; c < 6; c++)
        values[c] = (stacked[6] > 1e-4f ? stacked[c] / larger(stacked[6], 1e-4f) : 0.0f) * rendered;
    skins[2 * at] = make_float4(values[0], values[1], values[2], skin_share);
    skins[2 * at + 1] = make_float4(values[3], values[4], values[5], 0);
    float trust = skin_share > 0.98f ? 1.0f : 0.0f;
    shades[at] = make_float2(luminance(albedo + 3 * at) * trust, luminance(values + 3) * trust);
}

__device__ inline int reflected(int i, int size) {
    if (size == 1) return 0;
    while (i < 0 || i >= size) i = i < 0 ? -i : 2 * size - 2 - i;
    return i;
}

__device__ inline float2 blurred(
    const float2* image, const float* window, int taps, size_t first, size_t stride, int place, int size
) {
    float2 sum = make_float2(0, 0);
    for (int i = 0; i < taps; i++) {
        float2 value = image[first + stride * reflected(place + i - taps / 2, size)];
        sum.x += window[i] * value.x, sum.y += window[i] * value.y;
    }
    return sum;
}

extern "C" __global__ void __launch_bounds__(MESH_THREADS)
blur_rows(const float2* shades, const float* window, int taps, int width, int height, float2* result) {
    size_t at = thread_number();
    if (at >= size_t(width) * height) return;
    int column = int(at % width);
    result[at] = blurred(shades, window, taps, at - column, 1, column, width);
}

// ratio: rendered albedo over skin; -1 where no skin is near.
extern "C" __global__ void __launch_bounds__(MESH_THREADS)
passed_share(const float2* shades, const float* window, int taps, int width, int height, float* ratio) {
    size_t at = thread_number();
    if (at >= size_t(width) * height) return;
    float2 near = blurred(shades, window, taps, at % width, width, int(at / width), height);
    ratio[at] = near.y > 1e-4f ? larger(near.x / larger(near.y, 1e-4f), 0.0f) : -1.0f;
}

// usual: the one ratio that stands in where there is none. smoothed: light, or null for the light pass as it is.
extern "C" __global__ void __launch_bounds__(MESH_THREADS)
exchange_skin(
    const float* rgb, const float* albedo, const float* light, const float* alpha, const float4* skins,
    const float* ratio, const float* usual, const float4* smoothed, int pixels, float* result
) {
    size_t at = thread_number();
    if (at >= size_t(pixels)) return;
    float4 change = skins[2 * at], before = skins[2 * at + 1];
    float changes[3] = {change.x, change.y, change.z}, olds[3] = {before.x, before.y, before.z};
    float most = larger(larger(fabsf(change.x), fabsf(change.y)), fabsf(change.z));
    if (most == 0) {
        for (int c = 0; c < 3; c++) result[3 * at + c] = rgb[3 * at + c];
        return;
    }
    float passed = within(ratio[at] == -1.0f ? usual[0] : ratio[at], 0.5f, 1.05f);
    float4 lit = smoothed ? smoothed[at] : straight(light + 3 * at, alpha[at]);
    float lights[3] = {lit.x, lit.y, lit.z};
    float amount = within(most / 0.05f, 0.0f, 1.0f) * within((change.w - 0.9f) / 0.1f, 0.0f, 1.0f);
    for (int c = 0; c < 3; c++) {
        float picture = rgb[3 * at + c], old_skin = olds[c];
        float seen = old_skin + amount * (albedo[3 * at + c] / passed - old_skin), fresh = old_skin + changes[c];
        float value = picture + (fresh - seen) * passed * lights[c];
        // Whatever else a pixel holds, its skin can have changed no more than the skin has.
        float change_of_skin = fresh / larger(seen, 1e-4f);
        value = within(value, picture * smaller(change_of_skin, 1.0f), picture * larger(change_of_skin, 1.0f));
        result[3 * at + c] = larger(value, 0.0f);
    }
}
