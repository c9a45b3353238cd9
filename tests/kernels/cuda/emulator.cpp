// SPDX-License-Identifier: Apache-2.0
// All CUDA kernels as one CPU library; `launch_NAME(grid, threads, pointers to arguments)` each.
#include "cuda_on_cpu.h"

#include "cuda/kernels.cu"

#define EXPORT(name)                                                                       \
    extern "C" void launch_##name(unsigned* grid, unsigned threads, void** arguments) {    \
        cpu::entry<name>(name, grid, threads, arguments);                                  \
    }

EXPORT(project)
EXPORT(depth_keys)
EXPORT(radix_pass)
EXPORT(emit_entries)
EXPORT(tile_spans)
EXPORT(rasterize)
EXPORT(compare)
EXPORT(differentiate)
EXPORT(rasterize_backward)
EXPORT(project_backward)
EXPORT(finish_step)
