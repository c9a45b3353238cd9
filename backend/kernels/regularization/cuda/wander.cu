// SPDX-License-Identifier: Apache-2.0
// Nearly transparent splats move by noise along their own ellipsoids: see cpu.py. One thread a splat. The noise is a
// function of seed, iteration and column alone (Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as
// 1, 2, 3"; Box & Muller 1958): whoever computes it, in whatever order, it is the same.
#include "regularization/cuda/change.cuh"

__device__ inline void philox(uint* counter, uint key, uint key_high) {
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        unsigned long long first = (unsigned long long)PHILOX_M0 * counter[0];
        unsigned long long second = (unsigned long long)PHILOX_M1 * counter[2];
        counter[0] = (uint)(second >> 32) ^ counter[1] ^ key, counter[1] = (uint)second;
        counter[2] = (uint)(first >> 32) ^ counter[3] ^ key_high, counter[3] = (uint)first;
        key += PHILOX_W0, key_high += PHILOX_W1;
    }
}

__device__ inline double radius_of(uint bits) { return sqrt(-2.0 * log(((double)bits + 0.5) * 0x1p-32)); }

extern "C" __global__ void __launch_bounds__(SPLAT_THREADS) wander(
    float* __restrict__ block,  // (rows, stride), changed
    int stride, int count, const Change* __restrict__ change) {
    int i = blockIdx.x * SPLAT_THREADS + threadIdx.x;
    if (i >= count || !is_sound(block, ROW_QUAT, ROW_OPACITY + 1, stride, i)) return;
    double opacity = opacity_of(block[ROW_OPACITY * stride + i]);
    double gate = 1.0 / (1.0 + exp(WANDER_SHARPNESS * (opacity - DEAD_OPACITY)));
    if (!(gate > LEAST_GATE)) return;

    uint bits[4] = {(uint)i, change->iteration, 0, 0};
    philox(bits, change->key[0], change->key[1]);
    double draws[3], sine, cosine;
    sincospi(2.0 * (bits[1] * 0x1p-32), &sine, &cosine);
    draws[0] = radius_of(bits[0]) * cosine, draws[1] = radius_of(bits[0]) * sine;
    sincospi(2.0 * (bits[3] * 0x1p-32), &sine, &cosine);
    draws[2] = radius_of(bits[2]) * cosine;

    double quat[4], size = 0, move[3] = {0, 0, 0}, axis[3];
    for (int k = 0; k < 4; k++) quat[k] = block[(ROW_QUAT + k) * stride + i], size += quat[k] * quat[k];
    size = sqrt(size);
    for (int k = 0; k < 4; k++) quat[k] = size > 0 ? quat[k] / size : k == 0;
    for (int k = 0; k < 3; k++) {
        axis_of(k, quat[0], quat[1], quat[2], quat[3], axis);
        double variance = exp(2.0 * fmin((double)block[(ROW_LOG_SCALE + k) * stride + i], LARGEST_LOG_SCALE));
        double along = axis[0] * draws[0] + axis[1] * draws[1] + axis[2] * draws[2];
        along *= variance / (change->reach * change->reach);
        for (int c = 0; c < 3; c++) move[c] += axis[c] * along;
    }
    for (int c = 0; c < 3; c++) block[(ROW_MEAN + c) * stride + i] += (float)(change->length * gate * move[c]);
}
