/*===- qcc_abi.h - Contract between compiled models and the runtime -*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a compiled model gives to the runtime (qcc_bundle_v1, one qcc_model_v1
 * for each target in the file) and what the runtime gives to a step
 * (qcc_step_v1). The header stands alone: the compiler includes it to lay out
 * its constants and to find field offsets, the runtime to read them, and
 * runtime/test/demo_model.c is a model written by hand against it.
 *
 * Versions: a new minor version appends fields (struct_size tells how many are
 * there); anything else is a new major version and new struct names.
 *===----------------------------------------------------------------------===*/

#ifndef QCC_RT_QCC_ABI_H
#define QCC_RT_QCC_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define QCC_STATIC_ASSERT(cond, why) static_assert(cond, why)
extern "C" {
#else
#define QCC_STATIC_ASSERT(cond, why) _Static_assert(cond, why)
#endif

#define QCC_ABI_VERSION_MAJOR 1u
#define QCC_ABI_VERSION_MINOR 7u

/* Positions of a page of token state. */
#define QCC_PAGE_TOKENS 64u
/* Most rows of a generating step. */
#define QCC_GENERATE_ROWS 16u

/* CPU features that a target's code needs (cpu_features). */
#define QCC_CPU_X86_64_V3 1ull      /* AVX2, FMA, F16C, BMI2, OS saves ymm   */
#define QCC_CPU_X86_64_V4 2ull      /* AVX-512 F BW CD DQ VL, OS saves zmm   */
#define QCC_CPU_AVX512_VNNI 4ull
#define QCC_CPU_AVX512_VBMI 8ull
#define QCC_CPU_AVX512_BF16 16ull
#define QCC_CPU_AMX_INT8 32ull
#define QCC_CPU_AMX_BF16 64ull

/* State that grows with the tokens of a sequence (a layer's keys and values).
 * It lives in pages of QCC_PAGE_TOKENS positions; the layout inside a page is
 * the model's own. */
typedef struct qcc_state_v1 {
  uint64_t page_bytes;
  uint32_t window;   /* positions that stay visible; 0: all of them */
  uint32_t reserved; /* 0 */
} qcc_state_v1;
QCC_STATIC_ASSERT(sizeof(qcc_state_v1) == 16, "layout is ABI");

/* A matmul whose inputs a step can give: rows times the transpose of a weight.
 * Several that read the same rows have the same place. */
typedef struct qcc_matmul_v1 {
  const char *weight;  /* the checkpoint's name of it; all differ            */
  uint64_t first;      /* columns of other inputs that lie before its own    */
  uint32_t columns;    /* in features                                        */
  uint32_t reserved;   /* 0 */
} qcc_matmul_v1;
QCC_STATIC_ASSERT(sizeof(qcc_matmul_v1) == 24, "layout is ABI");

/* A part of a step that a profile tells apart: one kind of work, which layers
 * of one kind share, and the wait at the barrier after it. */
typedef struct qcc_stage_v1 {
  const char *name;      /* "matmul blk.0.attn_q, blk.0.attn_k": of the first */
  uint64_t weight_bytes; /* of matmuls: read by all runs for one row          */
  uint64_t macs;         /* of matmuls: multiply-adds of all runs for one row */
  uint32_t runs;         /* in a step                                         */
  uint32_t reserved;     /* 0 */
} qcc_stage_v1;
QCC_STATIC_ASSERT(sizeof(qcc_stage_v1) == 32, "layout is ABI");

/* qcc_step_v1.flags */
/* The rows belong to prompts: coarser activations may be used. Without it at
 * most QCC_GENERATE_ROWS rows are given, and each row's result has the same
 * bits whatever the other rows are. */
#define QCC_STEP_PROMPT 1u

/* Called by every thread of a step with the same sequence of calls. Returns
 * only when all threads have arrived, the same value to all: 0 to go on, else
 * the step must return at once (it was cancelled). */
typedef int32_t (*qcc_barrier_fn)(void *context, uint32_t thread);

/* One step: `rows` tokens, of one or several sequences, go through the model.
 * All pointers are valid for the duration of the step. Rows of one sequence
 * are in ascending position; a row sees the state of earlier positions of its
 * sequence, those of the same step included. */
typedef struct qcc_step_v1 {
  uint32_t struct_size;
  uint32_t flags;
  uint32_t rows;             /* 1 .. row_capacity                            */
  uint32_t outputs;          /* rows that want logits, 0 .. rows             */
  const int32_t *token;      /* [rows], 0 <= token < vocab (runtime checks)  */
  const int32_t *position;   /* [rows], 0 <= position < context              */
  const uint32_t *sequence;  /* [rows], row of the page table                */
  const uint32_t *output;    /* [outputs], ascending indices of rows         */
  const uint32_t *page_table;      /* [sequences][pages_per_sequence]        */
  uint64_t pages_per_sequence;
  const uint8_t *weights;          /* the model's weights, 4096-aligned      */
  uint8_t *const *state;           /* [state_count], page p of state s is at
                                      state[s] + p * page_stride, 64-aligned */
  uint8_t *arena;                  /* arena_bytes + threads *
                                      arena_thread_bytes, 4096-aligned; keeps
                                      nothing between steps                  */
  float *logits;                   /* [outputs][vocab]                       */
  float *trace;   /* NULL, or [layers + 1][rows][hidden]: the residual stream
                     before the first layer and after each layer             */
  qcc_barrier_fn barrier;
  void *barrier_context;
  /* Since 1.1. */
  float *matmul_inputs; /* NULL, as always when the model lists no matmuls, or
                           matmul_columns * rows floats: the input of each is
                           at first * rows, as [rows][columns]; where only
                           rows with logits reach it, as [outputs][columns]  */
  /* Since 1.2. */
  uint64_t *profile; /* NULL, or [threads][1 + 2 * stage_count]: the counter of
                        ticks when the thread's last part ended, then for each
                        stage the ticks of its work and of waiting after it,
                        to which the step adds. Each thread writes its own.  */
  /* Since 1.4, for code with QCC_CODE_SPLITS. */
  uint32_t layers;    /* 0: the whole step. Else the first so many layers
                         alone; outputs is 0 then                            */
  uint32_t reserved;  /* 0 */
  float *residual;    /* with layers, [rows][hidden]: the residual stream
                         after them; else NULL                               */
  /* Since 1.5; before, pages of a state followed each other. */
  uint64_t page_stride; /* from a page to the next of the same state; what lies
                           between is of other states                        */
} qcc_step_v1;
QCC_STATIC_ASSERT(sizeof(void *) == 8, "64-bit targets only");
QCC_STATIC_ASSERT(sizeof(qcc_step_v1) == 160, "layout is ABI");

/* The SPMD entry: called once on each of `threads` threads of a team. Results
 * have the same bits for every number of threads. Never allocates, blocks
 * (except in the barrier) or calls anything else. */
typedef void (*qcc_step_fn)(const qcc_step_v1 *step, uint32_t thread,
                            uint32_t threads);

struct qcc_gpu_code_v1; /* qcc_gpu.h */

/* qcc_model_v1.flags */
/* The step function can run some of the layers (qcc_step_v1.layers). */
#define QCC_CODE_SPLITS 1u

/* One target's code: `step`, or `gpu`. */
typedef struct qcc_model_v1 {
  uint32_t struct_size;
  uint32_t state_count;
  const char *target;        /* "x86-64-v4", NUL-terminated                  */
  uint64_t cpu_features;     /* QCC_CPU_*: all must be there                 */
  qcc_step_fn step;          /* NULL for a GPU                               */
  const qcc_state_v1 *states; /* [state_count]                               */
  uint64_t arena_bytes;
  uint64_t arena_thread_bytes;
  uint32_t row_capacity;     /* most rows of a prompt step                   */
  uint32_t vocab;            /* columns of the logits                        */
  uint32_t hidden;
  uint32_t layers;
  uint32_t context;          /* most positions of a sequence                 */
  uint32_t flags;            /* QCC_CODE_*; 0 before 1.4                     */
  const char *activations;   /* for `info`: "decode a16, prompt a8, head a16"*/
  const char *kv;            /* "f16"                                        */
  /* Since 1.1. */
  const qcc_matmul_v1 *matmuls; /* [matmul_count]                            */
  uint32_t matmul_count;     /* all of the model's, or 0: gives no inputs    */
  uint32_t reserved2;        /* 0 */
  uint64_t matmul_columns;   /* of all inputs                                */
  /* Since 1.2. */
  const qcc_stage_v1 *stages; /* [stage_count]                               */
  uint32_t stage_count;       /* 0: cannot be profiled                       */
  uint32_t reserved3;         /* 0 */
  /* Since 1.3. */
  const struct qcc_gpu_code_v1 *gpu; /* NULL for a CPU                       */
} qcc_model_v1;
QCC_STATIC_ASSERT(sizeof(qcc_model_v1) == 144, "layout is ABI");

/* One of several chat templates. */
typedef struct qcc_template_v1 {
  const char *name;    /* "tool_use"                                         */
  const char *source;  /* Jinja                                              */
} qcc_template_v1;
QCC_STATIC_ASSERT(sizeof(qcc_template_v1) == 16, "layout is ABI");

/* Everything in one file. `models` are in ascending order of preference: the
 * last one that the machine runs is used. All strings and blobs
 * live as long as the file is loaded. The weights are found through
 * qcc_payload.h. */
typedef struct qcc_bundle_v1 {
  uint32_t struct_size;
  uint16_t version_major, version_minor;
  const qcc_model_v1 *const *models; /* [model_count]                        */
  uint32_t model_count;
  uint32_t reserved;                 /* 0 */
  const char *name;                  /* general.name or the file's name      */
  const char *architecture;          /* "llama"                              */
  const char *compiler;              /* "qcc 0.1.0"                          */
  const void *tokenizer;             /* image of runtime/text, 64-aligned;
                                        NULL: none                           */
  uint64_t tokenizer_bytes;          /* 0 without one                        */
  const char *chat_template;         /* Jinja source, or NULL                */
  const char *info;                  /* JSON: config, tensors, options       */
  uint64_t parameters;               /* number of weights                    */
  uint64_t weight_bytes;             /* packed bytes                         */
  uint64_t weight_bytes_per_token;   /* read by a one-row step               */
  /* Since 1.1. */
  const char *checkpoint;            /* "safetensors, rounded to q4_k"       */
  const char *weight_types;          /* for `info`: a line for each type     */
  /* Since 1.2. */
  const qcc_template_v1 *templates;  /* [template_count], the others         */
  uint32_t template_count;
  uint32_t reserved2;                /* 0 */
} qcc_bundle_v1;
QCC_STATIC_ASSERT(sizeof(qcc_bundle_v1) == 136, "layout is ABI");

/* The one symbol the compiler defines in every artefact (hidden). */
#define QCC_BUNDLE_SYMBOL "qcc_bundle"
extern const qcc_bundle_v1 qcc_bundle;

#ifdef __cplusplus
}
#endif

#endif /* QCC_RT_QCC_ABI_H */
