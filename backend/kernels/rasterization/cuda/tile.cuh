// SPDX-License-Identifier: Apache-2.0
// What the forward and the backward rasterizer share. One warp owns a tile of 8x8 pixels; a lane owns the pixels
// (lane % 8, lane / 8) and four rows below. Splats of a head are some pixels wide: small tiles keep most lanes busy, and
// a warp needs no barrier and no atomics: it alone adds up an entry's sums. Entries are taken GROUP at a time, so that
// their exponentials (and in the backward pass their sums) are under way together: a tile's time is its longest chain of
// waiting, not its arithmetic.
#pragma once
#include "cuda/common.cuh"

#define BATCH 32    // entries that a warp holds in shared memory at a time
#define GROUP 4
#define PIXELS 64   // of a tile

// Entries of all tiles lie in one sorted array. A *segment* is a stretch of SEGMENT_SIZE of them, wherever tiles begin
// and end. Where a tile's list crosses into a segment, the forward pass leaves a *snapshot* of the pixels there: signed
// transmittance, colour and depth so far, PLANES planes of PIXELS. The backward pass can then take up any segment by
// itself, and long lists, as at silhouettes, do not hold a whole step up (the buckets of Mallick et al. 2024, "Taming
// 3DGS").
#define SNAPSHOT_FLOATS (PLANES * PIXELS)

struct Batch {
    float4 r0[BATCH], r1[BATCH];
    float blue[BATCH];
#if DEPTH
    float depth[BATCH];
#endif
};

// Where the batch that begins at `first` ends: batches keep to multiples of BATCH, so that segments are whole batches.
__device__ inline uint batch_end(uint first, uint end) { return min(end, first / BATCH * BATCH + BATCH); }

// Lane k fetches the record of entry `first + k`, or of one that touches no pixel, where the batch has ended.
__device__ inline void load_batch(
    Batch& batch, uint lane, uint first, uint end, const uint* __restrict__ sorted_splat,
    const float4* __restrict__ records, const uint* __restrict__ depths) {
    __syncwarp();  // nobody may still read the batch before
    if (first + lane < end) {
        uint splat = sorted_splat[first + lane];
        batch.r0[lane] = records[3 * splat];
        batch.r1[lane] = records[3 * splat + 1];
        batch.blue[lane] = records[3 * splat + 2].x;
#if DEPTH
        batch.depth[lane] = __uint_as_float(depths[splat]);
#endif
    } else {
        batch.r0[lane] = make_float4(0, 0, 0, 0);
        batch.r1[lane] = make_float4(0, 2 * LOG2_CUTOFF, 0, 0);
        batch.blue[lane] = 0;
#if DEPTH
        batch.depth[lane] = 0;
#endif
    }
    __syncwarp();
}

__device__ inline float depth_of(const Batch& batch, int k) {
#if DEPTH
    return batch.depth[k];
#else
    return 0.0f;  // never looked at
#endif
}

// An entry as seen from a lane's two pixels: distance to the mean, and log2(alpha) before clamp and cutoff.
struct Offsets {
    float dx, dy, power, power4;
};

__device__ inline Offsets offsets(const Batch& batch, int k, float x, float y) {
    float4 r0 = batch.r0[k];
    float2 r1 = make_float2(batch.r1[k].x, batch.r1[k].y);
    Offsets at;
    at.dx = x - r0.x, at.dy = y - r0.y;
    float dy4 = at.dy + 4.0f, base = at.dx * (at.dx * r0.z) + r1.y, slope = at.dx * r0.w;
    at.power = at.dy * (at.dy * r1.x + slope) + base;
    at.power4 = dy4 * (dy4 * r1.x + slope) + base;
    return at;
}

// A pixel's state: transmittance is negative once the pixel is done.
__device__ inline bool is_open(float transmittance) { return transmittance > 0.0f; }
