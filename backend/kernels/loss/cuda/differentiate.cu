// SPDX-License-Identifier: Apache-2.0
// The gradient of the loss by the image: the slopes of SSIM are blurred once more (the window is symmetric), the signs of
// L1, alpha L1 and depth L1 added. And the end of a step: the loss's sums, the cursor.
#include "loss/cuda/blur.cuh"

__device__ inline float sign_times(float x, float size) { return x > 0 ? size : x < 0 ? -size : 0.0f; }

extern "C" __global__ void __launch_bounds__(LOSS_THREADS) differentiate(
    const View* __restrict__ views, const Step* __restrict__ steps, const Control* __restrict__ control,
    const Frame* __restrict__ frame, const float* __restrict__ image, const float* __restrict__ slopes,
    const unsigned char* __restrict__ active,
    float* __restrict__ gradient) {  // (PLANES, rows, stride) dL/dimage, dL/dtransmittance of alpha's, dL/ddepth, out
    __shared__ float wide[WIDE][WIDE + 1];
    __shared__ float narrow[3][WIDE][LOSS_TILE];
    int square = blockIdx.y * gridDim.x + blockIdx.x;
    if (run_stands(control, frame) || !active[square]) return;
    const Step& step = steps[control->cursor];
    const View& view = views[step.view];
    int channel = blockIdx.z, x0 = blockIdx.x * LOSS_TILE, y0 = blockIdx.y * LOSS_TILE;
    int plane = view.rows * view.stride;
    for (int quantity = 0; quantity < 3; quantity++) {
        const float* source = slopes + (3 * channel + quantity) * plane;
        __syncthreads();
        for (int k = threadIdx.x; k < WIDE * WIDE; k += LOSS_THREADS) {
            int row = k / WIDE, column = k % WIDE, px = x0 + column - REACH, py = y0 + row - REACH;
            bool known = in_frame(view, px, py) && active[py / LOSS_TILE * gridDim.x + px / LOSS_TILE];
            wide[row][column] = known ? source[py * view.stride + px] : 0.0f;
        }
        __syncthreads();
        blur_rows(wide, narrow[quantity]);
    }
    __syncthreads();

    int column = threadIdx.x % LOSS_TILE, first_row = threadIdx.x / LOSS_TILE * RUN;
    float d_mean[RUN], d_xx[RUN], d_xy[RUN];
    blur_column(narrow[0], column, first_row, d_mean);
    blur_column(narrow[1], column, first_row, d_xx);
    blur_column(narrow[2], column, first_row, d_xy);
    float background = step.background[channel];
    for (int j = 0; j < RUN; j++) {
        int px = x0 + column, py = y0 + first_row + j, place = py * view.stride + px;
        if (!in_frame(view, px, py)) continue;
        float rendered = rendered_at(view, image, channel, background, px, py);
        float wanted = wanted_at(view, channel, background, px, py), weight = weight_at(view, px, py);
        float d_ssim = d_mean[j] + 2 * rendered * d_xx[j] + wanted * d_xy[j];
        gradient[channel * plane + place] =
            sign_times(rendered - wanted, step.factors[0]) * weight - step.factors[1] * d_ssim;
        if (channel == 0) {
            float difference = 1.0f - image[3 * plane + place] - target_at(view, 3, px, py);
            gradient[3 * plane + place] = -sign_times(difference, step.factors[2]) * weight;
#if DEPTH
            gradient[4 * plane + place] =
                sign_times(depth_error(view, image, px, py), step.factors[3]) * depth_weight_at(view, px, py);
#endif
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) finish_step(
    const float* __restrict__ sums, int squares, Control* control, const Frame* __restrict__ frame,
    float* __restrict__ results) {  // (steps, TERMS + 1) sums of the loss's terms; entries, out
    __shared__ double partial[TERMS][256];
    if (control->needed != 0) return;
    if (frame->entries > control->capacity) {
        if (threadIdx.x == 0) control->needed = frame->entries;
        return;
    }
    for (int term = 0; term < TERMS; term++) {
        double sum = 0;
        for (int k = threadIdx.x; k < 3 * squares; k += 256) sum += sums[TERMS * k + term];
        partial[term][threadIdx.x] = sum;
    }
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half)
            for (int term = 0; term < TERMS; term++) partial[term][threadIdx.x] += partial[term][threadIdx.x + half];
    }
    if (threadIdx.x == 0) {
        float* result = results + (TERMS + 1) * control->cursor;
        for (int term = 0; term < TERMS; term++) result[term] = (float)partial[term][0];
        result[TERMS] = (float)frame->entries;
        control->cursor += 1;
    }
}
