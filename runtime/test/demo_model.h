/*===- demo_model.h - Sizes of the model written by hand ---------*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *===----------------------------------------------------------------------===*/

#ifndef QCC_RUNTIME_TEST_DEMO_MODEL_H
#define QCC_RUNTIME_TEST_DEMO_MODEL_H

/* Plain numbers where the assembler reads them too. */
#define DEMO_VOCAB 300
#define DEMO_HIDDEN 16
#define DEMO_WEIGHT_BYTES 9600 /* 2 x vocabulary x width */
#define DEMO_LAYERS 2
#define DEMO_ROWS 48
#define DEMO_CONTEXT 512

#define DEMO_PAGE_BYTES(state) ((state) ? 8192u : 4096u)
#define DEMO_ARENA_BYTES 4096u
#define DEMO_ARENA_THREAD_BYTES 256u

/* The model's code for a GPU: demo_gpu.h. */
#define DEMO_GPU_PAGE_BYTES(state) ((state) ? 12288u : 4096u)
#define DEMO_GPU_X 256u /* where the residual stream is in the arena */
#define DEMO_GPU_ARENA_BYTES (DEMO_GPU_X + DEMO_ROWS * DEMO_HIDDEN * 4u)
#define DEMO_GPU_HEAD_UNITS 3u     /* parts of the vocabulary */
#define DEMO_GPU_MIX_SHARED 60000u /* and 64 a row            */
#define DEMO_GPU_CUDA 12000u       /* oldest, for the image   */

/* A step with this token runs many short stages: about a second in all. */
#define DEMO_SLOW_TOKEN 299
#define DEMO_SLOW_STAGES 2000
#define DEMO_SLOW_SPINS 300000

#endif /* QCC_RUNTIME_TEST_DEMO_MODEL_H */
