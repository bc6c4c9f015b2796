/*===- demo_model.c - A compiled model written by hand -----------*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *
 * A toy language model against qcc_abi.h, so that the runtime can be tested
 * without the compiler. It uses everything that the contract has: weights
 * through the payload note, two states in pages, arena and thread scratch,
 * barriers, traces, inputs of matmuls, several targets. Each token's logits
 * depend on all earlier tokens of its sequence, in a fixed order of additions.
 * Prompt steps round the embedding, as coarser activations would.
 *
 * Macros: DEMO_SEED makes another model of it, DEMO_NO_WEIGHTS one whose
 * weights were stripped, DEMO_GPU one with code for a GPU too, DEMO_GPU_ONLY
 * one with no other.
 *===----------------------------------------------------------------------===*/

#include "qcc-rt/qcc_abi.h"
#include "qcc-rt/qcc_payload.h"

#include "demo_model.h"
#include "demo_tokenizer.h" /* made by make_demo_tokenizer */
#ifdef DEMO_GPU
#include "demo_gpu.h"
#endif

#ifndef DEMO_SEED
#define DEMO_SEED 1
#endif
#define STRING2(x) #x
#define STRING(x) STRING2(x)

#define HIDDEN DEMO_HIDDEN
#define VOCAB DEMO_VOCAB
#define ROWS DEMO_ROWS

/* Weights: one byte for each of 2 x VOCAB x HIDDEN numbers, from a formula. The
   note is what the packager makes; here the weights lie in .rodata. */
#ifdef DEMO_NO_WEIGHTS
#define DELTA "0"
#else
#define DELTA "demo_weights - qcc_payload_note"
#endif
__asm__(
    ".section .rodata.demo_weights,\"a\"\n"
    ".balign 4096\n"
    "demo_weights:\n"
    ".set i, " STRING(
        DEMO_SEED) "\n"
                   ".rept " STRING(
                       DEMO_WEIGHT_BYTES) "\n"
                                          ".byte ((i * i * 31 + i * 17) >> 3) "
                                          "& 255\n"
                                          ".set i, i + 1\n"
                                          ".endr\n"
                                          ".balign 64\n" /* the footer */
                                          ".ascii \"QCCPAYLD\"\n"
                                          ".long 1, 0\n"
                                          ".quad " STRING(
                                              DEMO_WEIGHT_BYTES) "\n"
                                                                 ".fill 32, "
                                                                 "1, " STRING(
                                                                     DEMO_SEED) "\n"
                                                                                ".fill 8, 1, 0\n"

                                                                                ".section .note.qcc,\"a\",@note\n"
                                                                                ".balign 8\n"
                                                                                ".globl qcc_payload_note\n"
                                                                                ".hidden qcc_payload_note\n"
                                                                                "qcc_payload_note:\n"
                                                                                ".long 4, 320, 1\n"
                                                                                ".ascii \"QCC\\0\"\n"
                                                                                ".ascii \"QCCPAYLD\"\n"
                                                                                ".long 1, 0\n"
                                                                                ".quad " DELTA
                                                                                "\n"
                                                                                ".quad " STRING(
                                                                                    DEMO_WEIGHT_BYTES) "\n"
                                                                                                       ".fill 32, "
                                                                                                       "1, " STRING(
                                                                                                           DEMO_SEED) "\n"
                                                                                                                      ".fill 256, 1, 0\n"
                                                                                                                      ".text\n");

static float weight(const uint8_t *weights, uint32_t row, uint32_t column) {
  return ((float)weights[row * HIDDEN + column] - 127.5f) / 128.0f;
}

static float *state_row(const qcc_step_v1 *s, uint32_t state, uint32_t sequence,
                        int32_t position) {
  uint32_t page = s->page_table[sequence * s->pages_per_sequence +
                                (uint32_t)position / QCC_PAGE_TOKENS];
  return (float *)(s->state[state] + page * s->page_stride) +
         (uint32_t)position % QCC_PAGE_TOKENS * HIDDEN;
}

/* Rounds to 1/8, as coarser activations do. */
static float coarse(float x) {
  return (float)(int32_t)(x * 8.0f + (x < 0 ? -0.5f : 0.5f)) / 8.0f;
}

/* A step that takes long between many barriers, to be cancelled. */
static int32_t dawdle(const qcc_step_v1 *s, uint32_t thread) {
  for (int stage = 0; stage < DEMO_SLOW_STAGES; ++stage) {
    for (volatile int i = 0; i < DEMO_SLOW_SPINS; ++i)
      ;
    if (s->barrier(s->barrier_context, thread))
      return 1;
  }
  return 0;
}

/* Profiles count "ticks" of 1: of work for each step, of waiting for none. */
static void count(const qcc_step_v1 *s, uint32_t thread) {
  if (s->profile)
    s->profile[3 * thread + 1] += 1;
}

static void step(const qcc_step_v1 *s, uint32_t thread, uint32_t threads) {
  count(s, thread);
  float *x = (float *)s->arena; /* [rows][HIDDEN] */
  float *scratch = (float *)(s->arena + DEMO_ARENA_BYTES +
                             thread * (uint64_t)DEMO_ARENA_THREAD_BYTES);
  const uint64_t trace_stride = (uint64_t)s->rows * HIDDEN;

  for (uint32_t i = thread; i < s->rows; i += threads)
    for (uint32_t h = 0; h < HIDDEN; ++h) {
      float value = weight(s->weights, (uint32_t)s->token[i], h);
      if (s->flags & QCC_STEP_PROMPT)
        value = coarse(value);
      x[i * HIDDEN + h] = value;
      if (s->trace)
        s->trace[i * HIDDEN + h] = value;
    }
  for (uint32_t i = 0; i < s->rows; ++i)
    if (s->token[i] == DEMO_SLOW_TOKEN && dawdle(s, thread))
      return;

  const uint32_t layers = s->layers ? s->layers : DEMO_LAYERS;
  for (uint32_t layer = 0; layer < layers; ++layer) {
    for (uint32_t i = thread; i < s->rows; i += threads) {
      float *row = state_row(s, layer, s->sequence[i], s->position[i]);
      for (uint32_t h = 0; h < HIDDEN; ++h)
        row[h] = x[i * HIDDEN + h];
    }
    if (s->barrier(s->barrier_context, thread))
      return;
    for (uint32_t i = thread; i < s->rows; i += threads) {
      for (uint32_t h = 0; h < HIDDEN; ++h)
        scratch[h] = 0;
      for (int32_t p = 0; p <= s->position[i]; ++p) {
        const float *row = state_row(s, layer, s->sequence[i], p);
        for (uint32_t h = 0; h < HIDDEN; ++h)
          scratch[h] = scratch[h] * 0.75f + row[(h + 1) % HIDDEN];
      }
      for (uint32_t h = 0; h < HIDDEN; ++h) {
        x[i * HIDDEN + h] = x[i * HIDDEN + h] * 0.5f + scratch[h] * 0.5f;
        if (s->trace)
          s->trace[(layer + 1) * trace_stride + i * HIDDEN + h] =
              x[i * HIDDEN + h];
        if (s->residual)
          s->residual[i * HIDDEN + h] = x[i * HIDDEN + h];
      }
    }
    if (s->barrier(s->barrier_context, thread))
      return;
  }

  if (s->matmul_inputs)
    for (uint32_t o = thread; o < s->outputs; o += threads)
      for (uint32_t h = 0; h < HIDDEN; ++h)
        s->matmul_inputs[o * HIDDEN + h] = x[s->output[o] * HIDDEN + h];
  for (uint32_t o = 0; o < s->outputs; ++o)
    for (uint32_t v = thread; v < VOCAB; v += threads) {
      float sum = 0;
      for (uint32_t h = 0; h < HIDDEN; ++h)
        sum += x[s->output[o] * HIDDEN + h] * weight(s->weights, VOCAB + v, h);
      s->logits[o * (uint64_t)VOCAB + v] = sum;
    }
}

static const qcc_state_v1 states[DEMO_LAYERS] = {{DEMO_PAGE_BYTES(0), 0, 0},
                                                 {DEMO_PAGE_BYTES(1), 0, 0}};

static const qcc_matmul_v1 matmuls[] = {{"demo.head", 0, HIDDEN, 0}};
static const qcc_stage_v1 stages[] = {{"all", VOCAB * HIDDEN, 0, 1, 0}};

#define MODEL(name, features)                                                  \
  {sizeof(qcc_model_v1),                                                       \
   DEMO_LAYERS,                                                                \
   name,                                                                       \
   features,                                                                   \
   step,                                                                       \
   states,                                                                     \
   DEMO_ARENA_BYTES,                                                           \
   DEMO_ARENA_THREAD_BYTES,                                                    \
   ROWS,                                                                       \
   VOCAB,                                                                      \
   HIDDEN,                                                                     \
   DEMO_LAYERS,                                                                \
   DEMO_CONTEXT,                                                               \
   QCC_CODE_SPLITS,                                                            \
   "decode f32, prompt coarse",                                                \
   "f32",                                                                      \
   matmuls,                                                                    \
   1,                                                                          \
   0,                                                                          \
   HIDDEN,                                                                     \
   stages,                                                                     \
   1,                                                                          \
   0,                                                                          \
   NULL}

static const qcc_model_v1 baseline = MODEL("x86-64", 0);
static const qcc_model_v1 avx2 = MODEL("x86-64-v3", QCC_CPU_X86_64_V3);
static const qcc_model_v1 future = MODEL("future", 1ull << 40);
static const qcc_model_v1 *const models[] = {
    &baseline,
    &avx2,
    &future,
#ifdef DEMO_GPU
    &demo_gpu_model,
#endif
};
#ifdef DEMO_GPU_ONLY
#define FIRST_MODEL 3
#else
#define FIRST_MODEL 0
#endif

static const qcc_template_v1 templates[] = {
    {"tool_use", "{% for tool in tools %}[{{ tool.name }}]{% endfor %}"
                 "{{ messages[0].content }}{{ mood }}"},
    {"broken", "{% if"}};

__attribute__((visibility("hidden"))) const qcc_bundle_v1 qcc_bundle = {
    sizeof(qcc_bundle_v1),
    QCC_ABI_VERSION_MAJOR,
    QCC_ABI_VERSION_MINOR,
    models + FIRST_MODEL,
    sizeof models / sizeof *models - FIRST_MODEL,
    0,
    "demo " STRING(DEMO_SEED),
    "demo",
    "by hand",
#ifdef DEMO_NO_TOKENIZER
    NULL,
    0,
#else
    demo_tokenizer,
    DEMO_TOKENIZER_BYTES,
#endif
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' "
    "+ "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{\"seed\": " STRING(DEMO_SEED) "}",
    2ull * VOCAB *HIDDEN,
    DEMO_WEIGHT_BYTES,
    (VOCAB + 1) * HIDDEN,
    "a formula",
    "bytes       2 tensors",
    templates,
    2,
    0,
};
