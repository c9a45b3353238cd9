// SPDX-License-Identifier: Apache-2.0
// The skin in a view: textures looked up at each sample, and gathered under the renderer's pixel filter. The same
// operations in the same order and precision as `_look_up` and `_gather` of backend/faceswap/views.py.
#pragma once
#include "mesh_rasterization/cuda/face.cuh"

struct Bilinear {
    size_t upper_left, upper_right, lower_left, lower_right;  // of the first channel
    double a, b;
};

__device__ inline float looked_up_at(const float* texture, const Bilinear& place, int channel) {
    double upper = texture[place.upper_left + channel] * (1 - place.a) + texture[place.upper_right + channel] * place.a;
    double lower = texture[place.lower_left + channel] * (1 - place.a) + texture[place.lower_right + channel] * place.a;
    return float(upper * (1 - place.b) + lower * place.b);
}

// result: two float4 a sample: difference and coverage (1 or 0), old and nothing. Where the head is not seen, zeros.
extern "C" __global__ void __launch_bounds__(MESH_THREADS)
look_up(
    const Face* prepared, const uint* codes, int width, int height, const unsigned char* on_head, const float* face_uvs,
    const float* old_skin, const float* difference, int texture_width, int texture_height, float4* result
) {
    size_t at = thread_number();
    if (at >= size_t(width) * height) return;
    int f = face_of(codes[at]);
    if (codes[at] == 0 || on_head[f] == 0) {
        result[2 * at] = result[2 * at + 1] = make_float4(0, 0, 0, 0);
        return;
    }
    EdgeValues e = edge_values(prepared[f], int(at % width), int(at / width));
    double total = e.e0 + e.e1 + e.e2;
    float weights[3] = {float(e.e0 / total), float(e.e1 / total), float(e.e2 / total)};
    double u = 0, v = 0;
    for (int c = 0; c < 3; c++) {
        u += double(weights[c] * face_uvs[6 * size_t(f) + 2 * c]);
        v += double(weights[c] * face_uvs[6 * size_t(f) + 2 * c + 1]);
    }
    double x = fmin(fmax(u * texture_width - 0.5, 0.0), texture_width - 1.0);
    double y = fmin(fmax((1 - v) * texture_height - 0.5, 0.0), texture_height - 1.0);
    int x0 = int(x), y0 = int(y), x1 = min(x0 + 1, texture_width - 1), y1 = min(y0 + 1, texture_height - 1);
    size_t upper = size_t(y0) * texture_width, lower = size_t(y1) * texture_width;
    Bilinear place = {3 * (upper + x0), 3 * (upper + x1), 3 * (lower + x0), 3 * (lower + x1), x - x0, y - y0};
    result[2 * at] = make_float4(
        looked_up_at(difference, place, 0), looked_up_at(difference, place, 1), looked_up_at(difference, place, 2), 1
    );
    result[2 * at + 1] = make_float4(
        looked_up_at(old_skin, place, 0), looked_up_at(old_skin, place, 1), looked_up_at(old_skin, place, 2), 0
    );
}

// Weighted sums over the samples around each pixel: (height, width, 7) difference, old, coverage.
extern "C" __global__ void __launch_bounds__(MESH_THREADS)
gather(const float4* values, const float* taps, int tap_count, int samples, int width, int height, float* result) {
    size_t pixel = thread_number();
    if (pixel >= size_t(width) * height) return;
    int row = int(pixel / width), column = int(pixel % width), before = (tap_count - samples) / 2;
    int last_column = width * samples - 1, last_row = height * samples - 1;
    float sums[6] = {0, 0, 0, 0, 0, 0};
    double total = 0;
    for (int j = 0; j < tap_count; j++) {
        int y = min(max(row * samples - before + j, 0), last_row);
        for (int i = 0; i < tap_count; i++) {
            int x = min(max(column * samples - before + i, 0), last_column);
            size_t at = 2 * (size_t(y) * (size_t(last_column) + 1) + x);
            float4 difference = values[at];
            if (difference.w == 0) continue;
            float4 old_skin = values[at + 1];
            float weight = taps[j] * taps[i];
            total += double(weight);
            sums[0] += weight * difference.x, sums[1] += weight * difference.y, sums[2] += weight * difference.z;
            sums[3] += weight * old_skin.x, sums[4] += weight * old_skin.y, sums[5] += weight * old_skin.z;
        }
    }
    for (int c = 0; c < 6; c++) result[7 * pixel + c] = sums[c];
    result[7 * pixel + 6] = float(total);
}
