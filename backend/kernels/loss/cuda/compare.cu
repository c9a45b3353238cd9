// SPDX-License-Identifier: Apache-2.0
// L1 + D-SSIM + alpha L1 + depth L1 (Wang et al. 2004; Kerbl et al. 2023) of a square of pixels and one channel per
// block, and the derivatives of SSIM by its three blurred inputs. Squares that see neither splats nor target cost
// nothing.
#include "loss/cuda/blur.cuh"

__device__ inline bool block_sees_something(const View& view, const uint2* spans, int x0, int y0) {
    int x1 = min(x0 + LOSS_TILE + REACH, view.width), y1 = min(y0 + LOSS_TILE + REACH, view.height);
    x0 = max(x0 - REACH, 0), y0 = max(y0 - REACH, 0);
    const int* r = view.region;
    if (x0 < r[2] && x1 > r[0] && y0 < r[3] && y1 > r[1]) return true;
    int columns = (x1 - 1) / TILE_SIZE - x0 / TILE_SIZE + 1, rows = (y1 - 1) / TILE_SIZE - y0 / TILE_SIZE + 1;
    for (int k = 0; k < columns * rows; k++) {
        uint2 span = spans[(y0 / TILE_SIZE + k / columns) * view.tiles_x + x0 / TILE_SIZE + k % columns];
        if (span.x != span.y) return true;
    }
    return false;
}

// The sum over the block's threads, in a fixed order; valid in thread 0.
__device__ inline float loss_block_sum(float value, float* warp_sums) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(FULL_WARP, value, offset);
    __syncthreads();
    if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0;
    if (threadIdx.x == 0)
        for (int k = 0; k < LOSS_THREADS / 32; k++) sum += warp_sums[k];
    return sum;
}

extern "C" __global__ void __launch_bounds__(LOSS_THREADS) compare(
    const View* __restrict__ views, const Step* __restrict__ steps, const Control* __restrict__ control,
    const Frame* __restrict__ frame, const float* __restrict__ image, const uint2* __restrict__ spans,
    float* __restrict__ slopes,           // (3, 3, rows, stride): channel; d/dmean, d/dE[x'^2], d/dE[x'y'], out
    unsigned char* __restrict__ active,   // (squares,) 1: the square was computed, out
    float* __restrict__ sums) {           // (3, squares, TERMS) L1, 1 - SSIM, alpha L1, depth L1, out
    __shared__ float x[WIDE][WIDE + 1], y[WIDE][WIDE + 1];
    __shared__ float narrow[5][WIDE][LOSS_TILE];
    __shared__ float warp_sums[LOSS_THREADS / 32];
    __shared__ int sees;
    if (run_stands(control, frame)) return;
    const Step& step = steps[control->cursor];
    const View& view = views[step.view];
    int channel = blockIdx.z, x0 = blockIdx.x * LOSS_TILE, y0 = blockIdx.y * LOSS_TILE;
    int square = blockIdx.y * gridDim.x + blockIdx.x, squares = gridDim.x * gridDim.y;
    float* my_sums = sums + TERMS * (channel * squares + square);
    if (threadIdx.x == 0) {
        sees = x0 < view.width && y0 < view.height && block_sees_something(view, spans, x0, y0);
        if (channel == 0) active[square] = sees;
        if (!sees)
            for (int term = 0; term < TERMS; term++) my_sums[term] = 0.0f;
    }
    __syncthreads();
    if (!sees) return;

    float background = step.background[channel], l1 = 0, l1_alpha = 0, dssim = 0;
#if DEPTH
    float l1_depth = 0;
#endif
    for (int k = threadIdx.x; k < WIDE * WIDE; k += LOSS_THREADS) {
        int row = k / WIDE, column = k % WIDE, px = x0 + column - REACH, py = y0 + row - REACH;
        float rendered = 0, wanted = 0;
        if (in_frame(view, px, py)) {
            rendered = rendered_at(view, image, channel, background, px, py);
            wanted = wanted_at(view, channel, background, px, py);
            if (row >= REACH && row < REACH + LOSS_TILE && column >= REACH && column < REACH + LOSS_TILE) {
                float weight = weight_at(view, px, py);
                l1 += fabsf(rendered - wanted) * weight;
                if (channel == 0) {
                    float alpha = 1.0f - image[3 * view.rows * view.stride + py * view.stride + px];
                    l1_alpha += fabsf(alpha - target_at(view, 3, px, py)) * weight;
#if DEPTH
                    l1_depth += fabsf(depth_error(view, image, px, py)) * depth_weight_at(view, px, py);
#endif
                }
            }
        }
        x[row][column] = rendered;
        y[row][column] = wanted;
    }
    __syncthreads();
    blur_products(x, y, narrow);
    __syncthreads();

    int column = threadIdx.x % LOSS_TILE, first_row = threadIdx.x / LOSS_TILE * RUN;
    float mean_x[RUN], mean_y[RUN], xx[RUN], yy[RUN], xy[RUN];
    blur_column(narrow[0], column, first_row, mean_x);
    blur_column(narrow[1], column, first_row, mean_y);
    blur_column(narrow[2], column, first_row, xx);
    blur_column(narrow[3], column, first_row, yy);
    blur_column(narrow[4], column, first_row, xy);
    int plane = view.rows * view.stride;
    for (int j = 0; j < RUN; j++) {
        int px = x0 + column, py = y0 + first_row + j;
        if (!in_frame(view, px, py)) continue;
        float mx = mean_x[j], my = mean_y[j], weight = weight_at(view, px, py);
        float full_x = mx + background, full_y = my + background;
        float var_x = xx[j] - mx * mx, var_y = yy[j] - my * my, cov = xy[j] - mx * my;
        float a1 = 2 * full_x * full_y + SSIM_C1, a2 = 2 * cov + SSIM_C2;
        float b1 = full_x * full_x + full_y * full_y + SSIM_C1, b2 = var_x + var_y + SSIM_C2;
        float inverse = 1.0f / (b1 * b2), ssim = a1 * a2 * inverse;
        dssim += weight * (1.0f - ssim);
        float d_xy = 2 * a1 * inverse, d_xx = -ssim * b1 * inverse;
        float d_mean = 2 * (full_y * a2 - ssim * full_x * b2) * inverse - my * d_xy - 2 * mx * d_xx;
        float* out = slopes + 3 * channel * plane + py * view.stride + px;
        out[0] = weight * d_mean, out[plane] = weight * d_xx, out[2 * plane] = weight * d_xy;
    }
    l1 = loss_block_sum(l1, warp_sums);
    dssim = loss_block_sum(dssim, warp_sums);
    l1_alpha = loss_block_sum(l1_alpha, warp_sums);
#if DEPTH
    l1_depth = loss_block_sum(l1_depth, warp_sums);
    if (threadIdx.x == 0) my_sums[3] = l1_depth;
#endif
    if (threadIdx.x == 0) my_sums[0] = l1, my_sums[1] = dssim, my_sums[2] = l1_alpha;
}
