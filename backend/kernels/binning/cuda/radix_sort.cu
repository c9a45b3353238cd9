// SPDX-License-Identifier: Apache-2.0
// One pass of a stable radix sort of (key, value) pairs by up to 8 bits of the key, in a single sweep over memory
// (Adinets & Merrill 2022, "Onesweep"): a block ranks its stretch of pairs, learns from the blocks before it how many of
// each digit they hold (decoupled look-back), and scatters. The caller counts the digits of all pairs beforehand.
#include "cuda/common.cuh"

#define SORT_WARPS (SORT_THREADS / 32)
#define SORT_STRETCH (SORT_THREADS * SORT_ITEMS)
#define STATE_LOCAL 0x40000000u  // this block's own count is known
#define STATE_TOTAL 0x80000000u  // the count of this block and all before it is known
#define STATE_MASK 0xC0000000u

// Exclusive sum over the SORT_THREADS values of a block.
__device__ inline uint exclusive_block_sum(uint value, uint* warp_sums) {
    uint lane = threadIdx.x % 32, warp = threadIdx.x / 32, inclusive = value;
    for (uint offset = 1; offset < 32; offset *= 2) {
        uint other = __shfl_up_sync(FULL_WARP, inclusive, offset);
        if (lane >= offset) inclusive += other;
    }
    if (lane == 31) warp_sums[warp] = inclusive;
    __syncthreads();
    uint before = 0;
    for (uint k = 0; k < warp; k++) before += warp_sums[k];
    __syncthreads();
    return before + inclusive - value;
}

// The sum of `own` over all earlier blocks; `states` holds one word a block, zero at the start of the frame. Count and
// state share a word, so no fence is needed. Blocks must have taken their numbers in the order in which they started.
// LOOK_BACK words are asked for at once: it is the waiting for memory that takes time, not the memory.
#define LOOK_BACK 16

__device__ inline uint sum_of_earlier_blocks(uint own, uint block, volatile uint* states, int pitch) {
    if (block == 0) {
        states[0] = own | STATE_TOTAL;
        return 0;
    }
    states[block * pitch] = own | STATE_LOCAL;
    uint sum = 0;
    int next = (int)block - 1;
    bool found = false;
    while (!found) {
        uint window[LOOK_BACK];
#pragma unroll
        for (int k = 0; k < LOOK_BACK; k++) window[k] = next - k >= 0 ? states[(next - k) * pitch] : 0;
        bool known = true;
        int taken = 0;
#pragma unroll
        for (int k = 0; k < LOOK_BACK; k++) {
            known = known && (window[k] & STATE_MASK) != 0;
            if (known && !found) {
                sum += window[k] & ~STATE_MASK;
                found = (window[k] & STATE_MASK) == STATE_TOTAL;
                taken++;
            }
        }
        next -= taken;
    }
    states[block * pitch] = (sum + own) | STATE_TOTAL;
    return sum;
}

// The lanes that hold the same digit, by one vote a bit.
__device__ inline uint lanes_with(uint digit, int bits) {
    uint peers = FULL_WARP;
    for (int bit = 0; bit < bits; bit++) {
        bool set = digit >> bit & 1;
        uint votes = __ballot_sync(FULL_WARP, set);
        peers &= set ? votes : ~votes;
    }
    return peers;
}

extern "C" __global__ void __launch_bounds__(SORT_THREADS) radix_pass(
    const uint* __restrict__ keys, const uint* __restrict__ values,  // values null: 0, 1, 2, ...
    uint* __restrict__ keys_out, uint* __restrict__ values_out,
    const uint* __restrict__ payload,        // null, or what values_out shall hold for each value
    uint* __restrict__ payload_out,          // null, or where it goes
    int fixed_count,                         // number of pairs; negative: frame->entries
    int shift, int bits, const uint* __restrict__ digit_counts,  // (256,) of all pairs
    uint* states,                            // (blocks, 256), zero before
    int ticket, const Control* __restrict__ control, Frame* __restrict__ frame) {
    __shared__ uint histogram[SORT_WARPS][256];
    __shared__ uint place[256];
    __shared__ uint warp_sums[SORT_WARPS];
    __shared__ uint block_number;
    if (run_stands(control, frame)) return;
    uint count = fixed_count < 0 ? frame->entries : (uint)fixed_count;
    if (threadIdx.x == 0) block_number = atomicAdd(&frame->tickets[ticket], 1u);
    for (int k = threadIdx.x; k < SORT_WARPS * 256; k += SORT_THREADS) (&histogram[0][0])[k] = 0;
    __syncthreads();
    uint block = block_number;
    if (block * SORT_STRETCH >= count) return;

    uint lane = threadIdx.x % 32, warp = threadIdx.x / 32, mask = (1u << bits) - 1;
    uint first = block * SORT_STRETCH + warp * 32 * SORT_ITEMS + lane;
    uint key[SORT_ITEMS], rank[SORT_ITEMS], peers[SORT_ITEMS];
#pragma unroll
    for (int item = 0; item < SORT_ITEMS; item++) {
        uint i = first + item * 32;
        bool there = i < count;
        key[item] = there ? keys[i] : 0;
        // The past of the end keeps to itself: it counts nowhere.
        peers[item] = lanes_with(key[item] >> shift & mask, bits) & __ballot_sync(FULL_WARP, there);
    }
#pragma unroll
    for (int item = 0; item < SORT_ITEMS; item++) {
        bool there = first + item * 32 < count;
        uint digit = key[item] >> shift & mask, earlier = __popc(peers[item] & ((1u << lane) - 1));
        rank[item] = histogram[warp][digit] + earlier;
        __syncwarp();
        if (there && earlier == 0) histogram[warp][digit] += __popc(peers[item]);
        __syncwarp();
    }
    __syncthreads();
    uint digit = threadIdx.x;  // from here on a thread stands for a digit
    uint own = 0;
    for (int k = 0; k < SORT_WARPS; k++) {
        uint number = histogram[k][digit];
        histogram[k][digit] = own;
        own += number;
    }
    uint start = exclusive_block_sum(digit_counts[digit], warp_sums);
    place[digit] = start;
    if (digit <= mask) place[digit] += sum_of_earlier_blocks(own, block, states + digit, 256);
    __syncthreads();
    for (int item = 0; item < SORT_ITEMS; item++) {
        uint i = first + item * 32;
        if (i >= count) continue;
        uint d = key[item] >> shift & mask;
        uint target = place[d] + histogram[warp][d] + rank[item];
        uint value = values ? values[i] : i;
        keys_out[target] = key[item];
        values_out[target] = value;
        if (payload) payload_out[target] = payload[value];
    }
}
