/*===- qcc_gpu.h - Contract for a model's code for GPUs ----------*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a compiled model gives to the runtime for a GPU: kernels, and for each
 * kind of step the list of their launches. A launch program is data that the
 * runtime follows; it needs no code of the host. It is the `gpu` of a
 * qcc_model_v1 (qcc_abi.h), beside models for CPUs in the same bundle.
 *
 * To run a step, the runtime
 *   1. uploads token, position, sequence, output and what changed of the page
 *      table to buffers that stay where they are,
 *   2. for each launch of the program whose count is not 0, in order and in one
 *      stream, launches the kernel,
 *   3. reads logits.
 * Nothing but the count of rows and of outputs differs between the launches of
 * two steps, so that those of equal counts are one CUDA graph.
 *
 * The header stands alone: the compiler includes it to lay out its constants,
 * the runtime to read them.
 *===----------------------------------------------------------------------===*/

#ifndef QCC_RT_QCC_GPU_H
#define QCC_RT_QCC_GPU_H

#include "qcc_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Code of all kernels. A GPU takes PTX of its own or an older architecture and
 * cubins of its major version; code for one kind of GPU ("sm_90a") runs on no
 * other. */
#define QCC_GPU_PTX 0u   /* text; its last byte is its only NUL */
#define QCC_GPU_CUBIN 1u /* an ELF file */

typedef struct qcc_gpu_image_v1 {
  uint32_t kind;
  uint32_t architecture; /* 86: sm_86                                        */
  uint32_t specific;     /* 1: sm_90a and the like                           */
  uint32_t cuda_version; /* oldest CUDA whose driver takes it: 11010 is 11.1 */
  const void *data;
  uint64_t bytes;
} qcc_gpu_image_v1;
QCC_STATIC_ASSERT(sizeof(qcc_gpu_image_v1) == 32, "layout is ABI");

typedef struct qcc_gpu_kernel_v1 {
  const char *name;           /* in the images                               */
  uint32_t threads;           /* of a block                                  */
  uint32_t most_shared_bytes; /* dynamic shared memory that a launch may want */
} qcc_gpu_kernel_v1;
QCC_STATIC_ASSERT(sizeof(qcc_gpu_kernel_v1) == 16, "layout is ABI");

/* Parameters of a kernel. First the addresses of device memory (8 bytes): */
#define QCC_GPU_ARENA 0u      /* `value` bytes after the start of the arena  */
#define QCC_GPU_WEIGHTS 1u    /* the weights' bytes [value, value + bytes)   */
#define QCC_GPU_STATE 2u      /* page 0 of state number `value`              */
#define QCC_GPU_TOKEN 3u      /* int32_t [rows]                              */
#define QCC_GPU_POSITION 4u   /* int32_t [rows]                              */
#define QCC_GPU_SEQUENCE 5u   /* uint32_t [rows]                             */
#define QCC_GPU_OUTPUT 6u     /* uint32_t [outputs]                          */
#define QCC_GPU_PAGE_TABLE 7u /* uint32_t [sequences][pages per sequence] */
#define QCC_GPU_LOGITS 8u     /* float [outputs][vocab]                      */
/* then the numbers, each a uint32_t: */
#define QCC_GPU_COUNT 16u              /* of the launch                      */
#define QCC_GPU_ROWS_PER_BLOCK 17u     /* of the launch; see there           */
#define QCC_GPU_PAGES_PER_SEQUENCE 18u /* of the page table */

typedef struct qcc_gpu_operand_v1 {
  uint32_t kind;
  uint32_t reserved; /* 0 */
  uint64_t value;    /* of an arena, weights or state; else 0 */
  uint64_t bytes;    /* of weights; else 0 */
} qcc_gpu_operand_v1;
QCC_STATIC_ASSERT(sizeof(qcc_gpu_operand_v1) == 24, "layout is ABI");

/* What the count of a launch is. */
#define QCC_GPU_PER_ROW 0u    /* rows of the step     */
#define QCC_GPU_PER_OUTPUT 1u /* outputs of the step  */

/* One launch. With count and r = min(count, rows_per_block):
 *
 *   grid    (units, ceil(count / r), 1)
 *   block   (threads of the kernel, 1, 1)
 *   shared  shared_bytes + r * shared_bytes_per_row
 *
 * Parameters are operands [first_operand, first_operand + operand_count), in
 * this order. */
typedef struct qcc_gpu_launch_v1 {
  const char *name; /* "matmul", for people                                   */
  uint32_t kernel;
  uint32_t first_operand;
  uint32_t operand_count;
  uint32_t per;            /* QCC_GPU_PER_*                                   */
  uint32_t units;          /* at least 1                                      */
  uint32_t rows_per_block; /* at least 1                                      */
  uint32_t shared_bytes;
  uint32_t shared_bytes_per_row;
  uint32_t layer;    /* 0: before all layers; 1 .. layers; layers + 1: after  */
  uint32_t reserved; /* 0 */
} qcc_gpu_launch_v1;
QCC_STATIC_ASSERT(sizeof(qcc_gpu_launch_v1) == 48, "layout is ABI");

/* qcc_gpu_program_v1.flags, since 1.6. */
/* Blocks of a launch may begin before the launch before it has ended
 * (programmatic stream serialization): each thread of each kernel waits for
 * that (griddepcontrol.wait) before it reads anything but weights and numbers,
 * and before it writes. Not the first launch of a step, which may follow a
 * copy. */
#define QCC_GPU_STARTS_EARLY 1u

/* Launches in ascending order of layer. */
typedef struct qcc_gpu_program_v1 {
  const qcc_gpu_launch_v1 *launches; /* [launch_count] */
  uint32_t launch_count;
  uint32_t flags; /* QCC_GPU_STARTS_EARLY or 0 */
} qcc_gpu_program_v1;
QCC_STATIC_ASSERT(sizeof(qcc_gpu_program_v1) == 16, "layout is ABI");

/* All code of one target. In the qcc_model_v1 that it belongs to, sizes and
 * layouts are those of device memory: arena_bytes (undefined at the start of a
 * step, nothing is kept; arena_thread_bytes is 0) and states' page_bytes. All
 * buffers are aligned to 256 bytes.
 *
 * Between two layers the step's rows are in the arena, row r at residual_offset
 * + r * residual_stride as `hidden` floats. So a step can be split: the GPU
 * that runs layers a to b runs the launches of layer 0, is given these rows
 * unless a is 1, runs those of layers a to b, and those of layer layers + 1
 * where b is the last. It needs the weights that these launches name, and no
 * others; each can be anywhere in its memory. */
typedef struct qcc_gpu_code_v1 {
  uint32_t struct_size;
  uint32_t image_count;
  const qcc_gpu_image_v1 *images;     /* [image_count]                       */
  const qcc_gpu_kernel_v1 *kernels;   /* [kernel_count]                      */
  const qcc_gpu_operand_v1 *operands; /* [operand_count]                     */
  uint32_t kernel_count;
  uint32_t operand_count;
  qcc_gpu_program_v1 generate; /* for generating steps                       */
  qcc_gpu_program_v1 prompt;   /* for prompt steps; may be the same launches */
  uint64_t residual_offset;
  uint64_t residual_stride; /* in bytes                                      */
  const void *runtime;      /* &qcc_gpu_runtime: naming it is what brings the
                               runtime's part for GPUs into the file         */
  /* Since 1.7: */
  qcc_gpu_program_v1 several; /* for generating steps with more than one row;
                                 without launches they run `generate`        */
} qcc_gpu_code_v1;
QCC_STATIC_ASSERT(sizeof(qcc_gpu_code_v1) == 112, "layout is ABI");

/* The one symbol that the runtime defines for it (hidden). */
#define QCC_GPU_RUNTIME_SYMBOL "qcc_gpu_runtime"

#ifdef __cplusplus
}
#endif

#endif /* QCC_RT_QCC_GPU_H */
