// SPDX-License-Identifier: Apache-2.0
// Splats in other columns: colours and moments are taken from the columns that they come from. One thread a number,
// blockIdx.y being its row.
#include "cuda/common.cuh"

extern "C" __global__ void __launch_bounds__(SPLAT_THREADS) rearrange(
    const float* __restrict__ block, const float* __restrict__ first, const float* __restrict__ second,
    int old_stride,
    const int* __restrict__ source,            // (stride,) column before; -1: all zeros
    const unsigned char* __restrict__ rested,  // (stride,) 1: the moments begin anew
    int stride,
    float* __restrict__ block_out,             // (rows, stride); rows before ROW_SH are left alone
    float* __restrict__ first_out, float* __restrict__ second_out) {
    int i = blockIdx.x * SPLAT_THREADS + threadIdx.x, row = blockIdx.y;
    if (i >= stride) return;
    int from = source[i];
    size_t old = (size_t)row * old_stride + (from < 0 ? 0 : from), place = (size_t)row * stride + i;
    bool moving = from >= 0 && !rested[i];
    first_out[place] = moving ? first[old] : 0.0f;
    second_out[place] = moving ? second[old] : 0.0f;
    if (row >= ROW_SH) block_out[place] = from < 0 ? 0.0f : block[old];
}
