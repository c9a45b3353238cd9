// SPDX-License-Identifier: Apache-2.0
// CUDA C++ on a CPU, for tests: the kernels' own sources are compiled by g++ against this header. Blocks run one after
// the other; the threads of a block are fibers that change places only at barriers and warp operations, so that a
// missing barrier shows as a wrong result instead of now and then. Warp operations with a full mask abort when a lane of
// the warp has left the kernel.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>
#include <ucontext.h>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#undef __noinline__
#define __noinline__ __attribute__((noinline))

struct uint2 { unsigned x, y; };
struct float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
using std::max;
using std::min;

namespace cpu {

struct Index { unsigned x, y, z; };
enum Waiting { NOT, AT_BLOCK, AT_WARP, GONE };

struct Fiber {
    ucontext_t context;
    void* top;
    std::vector<char> stack;
    Index index;
    Waiting waiting;
    unsigned long block_generation, warp_generation;
};

struct Warp {
    unsigned long generation = 0;
    int arrived = 0, alive = 0;
    uint64_t values[2][32];
};

inline std::vector<Fiber> fibers;
inline std::vector<Warp> warps;
inline Index block_index, grid_size;
inline unsigned long block_generation;
inline int block_arrived, block_alive;
inline Fiber* current;
inline void (*body)(void*);
inline void* body_arguments;

// glibc's swapcontext asks the kernel about signals each time; where we can, only the registers that a call must keep
// are exchanged.
#if defined(__x86_64__)
extern "C" void cpu_switch(void** save, void* load);
asm(R"(
.text
.globl cpu_switch
cpu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
inline void* scheduler_stack;
inline void yield() { cpu_switch(&current->top, scheduler_stack); }
inline void enter(Fiber& f) { cpu_switch(&scheduler_stack, f.top); }
inline void prepare(Fiber& f, void (*start)()) {
    uintptr_t top = (reinterpret_cast<uintptr_t>(f.stack.data()) + f.stack.size()) & ~uintptr_t(15);
    void** stack = reinterpret_cast<void**>(top);
    *--stack = nullptr;  // start never returns
    *--stack = reinterpret_cast<void*>(start);
    for (int k = 0; k < 6; k++) *--stack = nullptr;
    f.top = stack;
}
#else
inline ucontext_t scheduler;
inline void yield() { swapcontext(&current->context, &scheduler); }
inline void enter(Fiber& f) { swapcontext(&scheduler, &f.context); }
inline void prepare(Fiber& f, void (*start)()) {
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.data();
    f.context.uc_stack.ss_size = f.stack.size();
    f.context.uc_link = nullptr;
    makecontext(&f.context, start, 0);
}
#endif

inline void release_block_if_all() {
    if (block_arrived == block_alive && block_alive > 0) block_arrived = 0, block_generation++;
}
inline void release_warp_if_all(Warp& warp) {
    if (warp.arrived == warp.alive && warp.alive > 0) warp.arrived = 0, warp.generation++;
}

inline void block_barrier() {
    unsigned long mine = block_generation;
    block_arrived++;
    release_block_if_all();
    current->waiting = AT_BLOCK, current->block_generation = mine;
    while (block_generation == mine) yield();
    current->waiting = NOT;
}

inline Warp& my_warp() { return warps[current->index.x / 32]; }

inline void warp_barrier() {
    Warp& warp = my_warp();
    unsigned long mine = warp.generation;
    warp.arrived++;
    release_warp_if_all(warp);
    current->waiting = AT_WARP, current->warp_generation = mine;
    while (warp.generation == mine) yield();
    current->waiting = NOT;
}

// Lay a value down for the warp and wait for the others'. Two sets in turn: whoever lays down the next value has read
// this one.
inline const uint64_t* exchange(unsigned mask, uint64_t value) {
    Warp& warp = my_warp();
    if (mask != 0xFFFFFFFFu || warp.alive != 32) {
        std::fprintf(stderr, "warp operation with mask %08x while %d lanes are alive\n", mask, warp.alive);
        std::abort();
    }
    uint64_t* set = warp.values[warp.generation % 2];
    set[current->index.x % 32] = value;
    warp_barrier();
    return set;
}

inline void trampoline() {
    body(body_arguments);
    current->waiting = GONE;
    block_alive--;
    my_warp().alive--;
    release_block_if_all();
    release_warp_if_all(my_warp());
    yield();
}

inline bool ready(const Fiber& f) {
    if (f.waiting == GONE) return false;
    if (f.waiting == AT_BLOCK) return f.block_generation != block_generation;
    if (f.waiting == AT_WARP) return f.warp_generation != warps[f.index.x / 32].generation;
    return true;
}

inline void run_block(unsigned threads) {
    if (fibers.size() < threads) fibers.resize(threads);
    warps.assign((threads + 31) / 32, Warp());
    block_generation = 0, block_arrived = 0, block_alive = threads;
    for (unsigned i = 0; i < threads; i++) {
        Fiber& f = fibers[i];
        if (f.stack.empty()) f.stack.resize(64 << 10);
        f.index = {i, 0, 0};
        f.waiting = NOT;
        warps[i / 32].alive++;
        prepare(f, trampoline);
    }
    while (block_alive > 0) {
        bool progress = false;
        for (unsigned i = 0; i < threads; i++) {
            if (!ready(fibers[i])) continue;
            progress = true;
            current = &fibers[i];
            enter(*current);
        }
        if (!progress) {
            std::fprintf(stderr, "deadlock: a barrier that not all threads reach\n");
            std::abort();
        }
    }
}

template <class... A, std::size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<std::remove_reference_t<A>>*>(arguments[I])...);
}

template <auto kernel, class... A>
void entry(void (*)(A...), unsigned* grid, unsigned threads, void** arguments) {
    body = [](void* p) { call(kernel, static_cast<void**>(p), std::index_sequence_for<A...>()); };
    body_arguments = arguments;
    grid_size = {grid[0], grid[1], grid[2]};
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                block_index = {x, y, z};
                run_block(threads);
            }
}

}  // namespace cpu

#define threadIdx (cpu::current->index)
#define blockIdx (cpu::block_index)
#define gridDim (cpu::grid_size)

inline void __syncthreads() { cpu::block_barrier(); }
inline void __syncwarp() { cpu::warp_barrier(); }

template <class T> uint64_t packed(T value) { uint64_t bits = 0; std::memcpy(&bits, &value, sizeof value); return bits; }
template <class T> T unpacked(uint64_t bits) { T value; std::memcpy(&value, &bits, sizeof value); return value; }
inline unsigned my_lane() { return cpu::current->index.x % 32; }
template <class T> T __shfl_sync(unsigned mask, T value, int lane) {
    return unpacked<T>(cpu::exchange(mask, packed(value))[lane & 31]);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int other) {
    return unpacked<T>(cpu::exchange(mask, packed(value))[my_lane() ^ other]);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned by) {
    unsigned lane = my_lane();
    return unpacked<T>(cpu::exchange(mask, packed(value))[lane >= by ? lane - by : lane]);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    const uint64_t* set = cpu::exchange(mask, predicate != 0);
    unsigned bits = 0;
    for (int k = 0; k < 32; k++) bits |= unsigned(set[k]) << k;
    return bits;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(unsigned x) { return __builtin_ffs(x); }
inline int __clz(unsigned x) { return x ? __builtin_clz(x) : 32; }
inline unsigned atomicAdd(unsigned* p, unsigned v) { unsigned old = *p; *p += v; return old; }
inline unsigned atomicMax(unsigned* p, unsigned v) { unsigned old = *p; *p = max(old, v); return old; }
inline unsigned long long atomicMax(unsigned long long* p, unsigned long long v) {
    unsigned long long old = *p;
    *p = max(old, v);
    return old;
}
inline void sincospi(double x, double* sine, double* cosine) { *sine = sin(M_PI * x), *cosine = cos(M_PI * x); }
inline long long __double_as_longlong(double x) { return unpacked<long long>(packed(x)); }
inline unsigned __float_as_uint(float x) { return unpacked<unsigned>(packed(x)); }
inline float __uint_as_float(unsigned x) { return unpacked<float>(packed(x)); }
