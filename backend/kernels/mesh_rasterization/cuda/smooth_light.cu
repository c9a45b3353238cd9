// SPDX-License-Identifier: Apache-2.0
// The light pass without its noise: `smooth_light` of backend/faceswap/views.py.
#pragma once
#include "mesh_rasterization/cuda/face.cuh"

__device__ inline float luminance(const float* colour) {
    return colour[0] * 0.2126f + colour[1] * 0.7152f + colour[2] * 0.0722f;
}

__device__ inline float4 straight(const float* light, float alpha) {
    float share = fmaxf(alpha, 1e-3f);
    return make_float4(light[0] / share, light[1] / share, light[2] / share, 0);
}

// result: a float4 a pixel: straight light, and the picture's own shading, which edges of shadows are told by.
extern "C" __global__ void __launch_bounds__(MESH_THREADS)
guide_light(const float* rgb, const float* albedo, const float* light, const float* alpha, int pixels, float4* result) {
    size_t at = thread_number();
    if (at >= size_t(pixels)) return;
    float skin = luminance(albedo + 3 * at), share = fminf(fmaxf(alpha[at], 0.0f), 1.0f);
    float4 value = straight(light + 3 * at, alpha[at]);
    value.w = skin > 0.02f * share ? luminance(rgb + 3 * at) / fmaxf(skin, 1e-3f) : 0.0f;
    result[at] = value;
}

// A joint bilateral filter at the pixels whose skin changes; the others get 0.
extern "C" __global__ void __launch_bounds__(MESH_THREADS)
smooth_light(
    const float4* guided, const float* alpha, const float* normal, const float* depth, const float4* skins, int width,
    int height, int radius, float4* result
) {
    size_t at = thread_number();
    if (at >= size_t(width) * height) return;
    float4 change = skins[2 * at];
    if ((change.x == 0 && change.y == 0 && change.z == 0) || !(alpha[at] > 0)) {
        result[at] = make_float4(0, 0, 0, 0);
        return;
    }
    int row = int(at / width), column = int(at % width);
    double z = depth[at], g = guided[at].w, total = 0, red = 0, green = 0, blue = 0;
    for (int y = max(0, row - radius); y < min(height, row + radius + 1); y++)
        for (int x = max(0, column - radius); x < min(width, column + radius + 1); x++) {
            size_t there = size_t(y) * width + x;
            double share = fminf(fmaxf(alpha[there], 0.0f), 1.0f);
            if (share <= 0) continue;
            double apart = (y - row) * (y - row) + (x - column) * (x - column), turn = 0;
            for (int c = 0; c < 3; c++) {
                double step = double(normal[3 * there + c] - normal[3 * at + c]);
                turn += step * step;
            }
            float4 light = guided[there];
            double far_off = (depth[there] - z) / 0.01, shade = (light.w - g) / (0.12 * fmax(g, 0.1));
            double unlike = apart / (0.5 * radius * radius) + turn / 0.08 + far_off * far_off + shade * shade;
            double weight = share * exp(-unlike);
            total += weight, red += weight * light.x, green += weight * light.y, blue += weight * light.z;
        }
    result[at] = make_float4(float(red / total), float(green / total), float(blue / total), 0);
}
