/*===- demo_gpu.h - The demo model's code for a GPU --------------*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *
 * The launch program of the model written by hand, as qcc_gpu.h says. What the
 * kernels do is in DemoKernels.cpp, for the fake driver. A page is transposed,
 * and of other size than the CPU's: its layout is the target's own.
 *===----------------------------------------------------------------------===*/

#ifndef QCC_RUNTIME_TEST_DEMO_GPU_H
#define QCC_RUNTIME_TEST_DEMO_GPU_H

#include "demo_model.h"

#include "qcc-rt/qcc_gpu.h"

#include <elf.h>

#ifdef __cplusplus
#include "core/Gpu.h"
#define DEMO_GPU_RUNTIME &qcc_gpu_runtime
#else
extern const char qcc_gpu_runtime[] __attribute__((visibility("hidden")));
#define DEMO_GPU_RUNTIME qcc_gpu_runtime
#endif

static const char demo_gpu_ptx[] = ".version 8.0\n.target sm_80\n";
static const char demo_gpu_ptx_90a[] = ".version 8.0\n.target sm_90a\n";
/* A header and one empty section, which is as much of a cubin as is looked at.
 */
static const struct {
  Elf64_Ehdr header;
  Elf64_Shdr section;
} demo_gpu_cubin_90a = {
    {{0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
     ET_EXEC,
     190, /* EM_CUDA */
     EV_CURRENT,
     0,
     0,
     sizeof(Elf64_Ehdr),
     0,
     sizeof(Elf64_Ehdr),
     0,
     0,
     sizeof(Elf64_Shdr),
     1,
     0},
    {0, SHT_NULL, 0, 0, 0, 0, 0, 0, 0, 0}};
static const qcc_gpu_image_v1 demo_gpu_images[] = {
    {QCC_GPU_PTX, 80, 0, DEMO_GPU_CUDA, demo_gpu_ptx, sizeof demo_gpu_ptx},
    {QCC_GPU_PTX, 90, 1, DEMO_GPU_CUDA, demo_gpu_ptx_90a,
     sizeof demo_gpu_ptx_90a},
    {QCC_GPU_CUBIN, 90, 1, 13000, &demo_gpu_cubin_90a,
     sizeof demo_gpu_cubin_90a}};

enum { DEMO_EMBED, DEMO_EMBED_PROMPT, DEMO_STORE, DEMO_MIX = 4, DEMO_HEAD = 6 };
static const qcc_gpu_kernel_v1 demo_gpu_kernels[] = {
    {"demo_embed", 32, 0},        {"demo_embed_prompt", 32, 0},
    {"demo_store_0", 64, 0},      {"demo_store_1", 64, 0},
    {"demo_mix_0", 32, 60 << 10}, {"demo_mix_1", 32, 60 << 10},
    {"demo_head", 128, 0},
};

#define DEMO_HALF (DEMO_WEIGHT_BYTES / 2)
#define DEMO_LAYER_OPERANDS(state)                                             \
  {QCC_GPU_ARENA, 0, DEMO_GPU_X, 0}, {QCC_GPU_STATE, 0, state, 0},             \
      {QCC_GPU_PAGE_TABLE, 0, 0, 0}, {QCC_GPU_PAGES_PER_SEQUENCE, 0, 0, 0},    \
      {QCC_GPU_SEQUENCE, 0, 0, 0}, {QCC_GPU_POSITION, 0, 0, 0},                \
      {QCC_GPU_COUNT, 0, 0, 0}, {QCC_GPU_ROWS_PER_BLOCK, 0, 0, 0}
static const qcc_gpu_operand_v1 demo_gpu_operands[] = {
    /* 0: embed */
    {QCC_GPU_WEIGHTS, 0, 0, DEMO_HALF},
    {QCC_GPU_TOKEN, 0, 0, 0},
    {QCC_GPU_ARENA, 0, DEMO_GPU_X, 0},
    {QCC_GPU_COUNT, 0, 0, 0},
    {QCC_GPU_ROWS_PER_BLOCK, 0, 0, 0},
    /* 5 and 13: layers */
    DEMO_LAYER_OPERANDS(0),
    DEMO_LAYER_OPERANDS(1),
    /* 21: head */
    {QCC_GPU_WEIGHTS, 0, DEMO_HALF, DEMO_HALF},
    {QCC_GPU_OUTPUT, 0, 0, 0},
    {QCC_GPU_ARENA, 0, DEMO_GPU_X, 0},
    {QCC_GPU_LOGITS, 0, 0, 0},
    {QCC_GPU_COUNT, 0, 0, 0},
    {QCC_GPU_ROWS_PER_BLOCK, 0, 0, 0},
};

#define DEMO_LAUNCHES(embed)                                                   \
  {"embed", embed, 0, 5, QCC_GPU_PER_ROW, 1, 4, 0, 0, 0, 0},                   \
      {"store 0", DEMO_STORE, 5, 8, QCC_GPU_PER_ROW, 1, 1, 0, 0, 1, 0},        \
      {"mix 0", DEMO_MIX, 5, 8, QCC_GPU_PER_ROW, 1, 2, DEMO_GPU_MIX_SHARED,    \
       64,      1,        0},                                                  \
      {"store 1", DEMO_STORE + 1, 13, 8, QCC_GPU_PER_ROW, 1, 1, 0, 0, 2, 0},   \
      {"mix 1",                                                                \
       DEMO_MIX + 1,                                                           \
       13,                                                                     \
       8,                                                                      \
       QCC_GPU_PER_ROW,                                                        \
       1,                                                                      \
       2,                                                                      \
       DEMO_GPU_MIX_SHARED,                                                    \
       64,                                                                     \
       2,                                                                      \
       0},                                                                     \
      {"head", DEMO_HEAD, 21, 6, QCC_GPU_PER_OUTPUT, DEMO_GPU_HEAD_UNITS, 8,   \
       0,      0,         3,  0}
static const qcc_gpu_launch_v1 demo_gpu_generate[] = {
    DEMO_LAUNCHES(DEMO_EMBED)};
static const qcc_gpu_launch_v1 demo_gpu_prompt[] = {
    DEMO_LAUNCHES(DEMO_EMBED_PROMPT)};

static const qcc_gpu_code_v1 demo_gpu_code = {
    sizeof(qcc_gpu_code_v1),
    sizeof demo_gpu_images / sizeof *demo_gpu_images,
    demo_gpu_images,
    demo_gpu_kernels,
    demo_gpu_operands,
    sizeof demo_gpu_kernels / sizeof *demo_gpu_kernels,
    sizeof demo_gpu_operands / sizeof *demo_gpu_operands,
    {demo_gpu_generate, sizeof demo_gpu_generate / sizeof *demo_gpu_generate,
     QCC_GPU_STARTS_EARLY},
    {demo_gpu_prompt, sizeof demo_gpu_prompt / sizeof *demo_gpu_prompt,
     QCC_GPU_STARTS_EARLY},
    DEMO_GPU_X,
    DEMO_HIDDEN * 4,
    DEMO_GPU_RUNTIME};

static const qcc_state_v1 demo_gpu_states[DEMO_LAYERS] = {
    {DEMO_GPU_PAGE_BYTES(0), 0, 0}, {DEMO_GPU_PAGE_BYTES(1), 0, 0}};

static const qcc_model_v1 demo_gpu_model = {sizeof(qcc_model_v1),
                                            DEMO_LAYERS,
                                            "sm_80",
                                            0,
                                            NULL,
                                            demo_gpu_states,
                                            DEMO_GPU_ARENA_BYTES,
                                            0,
                                            DEMO_ROWS,
                                            DEMO_VOCAB,
                                            DEMO_HIDDEN,
                                            DEMO_LAYERS,
                                            DEMO_CONTEXT,
                                            0,
                                            "decode f32, prompt coarse",
                                            "f32",
                                            NULL,
                                            0,
                                            0,
                                            0,
                                            NULL,
                                            0,
                                            0,
                                            &demo_gpu_code};

#endif /* QCC_RUNTIME_TEST_DEMO_GPU_H */
