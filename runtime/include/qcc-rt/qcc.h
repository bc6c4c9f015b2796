/*===- qcc.h - What an application calls in a compiled model -----*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *
 * A compiled model is one file. A shared library made by qcc exports a single
 * function, `<prefix>_query` (prefix "qcc_model" by default), which returns a
 * table of functions; the wrappers below call through that table, so several
 * models in one process never meet. Link nothing: qcc_load() opens the library
 * at run time, and a program that links the library calls its query function
 * by name.
 *
 *   qcc_model *model;
 *   qcc_session *session;
 *   char why[QCC_ERROR_BYTES];
 *   const qcc_api_v1 *api = qcc_load("smol.so", NULL, why, sizeof why);
 *   if (!api || qcc_model_open(api, NULL, &model, why, sizeof why) ||
 *       qcc_session_create(model, NULL, &session, why, sizeof why))
 *     ...
 *
 * Threads: a qcc_model is immutable; any number of threads may use it. A
 * qcc_session belongs to one thread at a time, except qcc_cancel(), which any
 * thread and any signal handler may call. Sessions of one model are
 * independent. Close sessions before their model, and models before dlclose().
 * A child made by fork() must not use sessions of its parent.
 *
 * Memory: everything is allocated by qcc_model_open(), qcc_session_create() and
 * at the start of qcc_generate(); no call allocates per token. Pointers that
 * are handed out live as long as the object they came from unless said
 * otherwise.
 *
 * Errors: every fallible call returns a qcc_status, 0 for success and below 0
 * for a failure; qcc_last_error() then has one line of text (lower case, no
 * final period). The library never prints, exits, aborts, installs signal
 * handlers or changes the locale. Structs that a caller fills start with
 * struct_size (use the QCC_*_INIT macros): fields appended later are ignored by
 * an older library, and an older caller is understood by a newer library.
 *
 * C99 and C++17. GNU/Linux, x86-64.
 *===----------------------------------------------------------------------===*/

#ifndef QCC_RT_QCC_H
#define QCC_RT_QCC_H

#include <stddef.h>
#include <stdint.h>

#ifndef QCC_NO_DLOPEN
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define QCC_API_VERSION 1u
/* A buffer of this size holds every error text. */
#define QCC_ERROR_BYTES 256u

/* What a call returns. */
typedef int32_t qcc_status;
#define QCC_OK 0
#define QCC_E_ARGUMENT (-1)  /* a value that the call does not accept       */
#define QCC_E_NO_MEMORY (-2) /* memory or threads could not be had          */
#define QCC_E_CPU (-3)       /* this CPU lacks what the model needs         */
#define QCC_E_DATA                                                             \
  (-4)                       /* the model file is damaged, or a saved state    \
                                is not one of this model                    */
#define QCC_E_CONTEXT (-5)   /* the tokens do not fit into the context      */
#define QCC_E_CANCELLED (-6) /* qcc_cancel() was called                     */
#define QCC_E_SPACE                                                            \
  (-7)                        /* the caller's buffer is too small; the needed  \
                                 size is returned                            */
#define QCC_E_TEMPLATE (-8)   /* the chat template is absent or failed       */
#define QCC_E_NUMERIC (-9)    /* the model gave no finite logit              */
#define QCC_E_DEVICE (-10)    /* no GPU or driver that serves, or it failed  */
#define QCC_E_TOKENIZER (-11) /* the model has no tokenizer: use token ids */

typedef struct qcc_api_v1 qcc_api_v1;

/* Objects; the table is their only visible field. */
typedef struct qcc_model {
  const qcc_api_v1 *api;
} qcc_model;
typedef struct qcc_session {
  const qcc_api_v1 *api;
} qcc_session;

/* qcc_model_options_v1.flags */
#define QCC_MODEL_NO_POPULATE 1u /* do not read weights ahead */
#define QCC_MODEL_GPU_LAYERS 2u  /* gpu_layers says how many */
/* For tokens, texts and facts: no session can be created, nothing is asked of
 * CPU and GPU, and weights are not read ahead. */
#define QCC_MODEL_TEXT_ONLY 4u
/* qcc_model_options_v1.gpu_layers: as many as a GPU has memory for; none where
 * none can. */
#define QCC_GPU_AUTO (-1)

typedef struct qcc_model_options_v1 {
  uint32_t struct_size;
  uint32_t flags;
  const char *target; /* one of the file's targets; NULL: the environment
                         variable QCC_TARGET, else the best that runs here    */
  /* Layers to run on a GPU, the last ones of the model and the output:
     QCC_GPU_AUTO, 0 for none, or a number (all, if it has no more). Without
     QCC_MODEL_GPU_LAYERS in flags: the environment variable QCC_GPU_LAYERS
     ("auto" or a number), else QCC_GPU_AUTO. */
  int32_t gpu_layers;
  uint32_t reserved; /* 0 */
} qcc_model_options_v1;
#define QCC_MODEL_OPTIONS_INIT                                                 \
  {(uint32_t)sizeof(qcc_model_options_v1), 0, NULL, 0, 0}

/* Numbers and names of an open model. */
typedef struct qcc_model_info_v1 {
  uint32_t struct_size; /* set by the caller                                  */
  uint32_t vocab, hidden, layers;
  uint32_t context;      /* most positions of a sequence                      */
  uint32_t row_capacity; /* most rows of a prompt step                        */
  int32_t bos, eos, eot; /* token ids; -1: none                               */
  uint32_t has_chat_template; /* 0 or 1                                       */
  uint64_t parameters;
  uint64_t weight_bytes, weight_bytes_per_token;
  uint64_t kv_bytes_per_token;
  const char *name, *architecture, *target, *compiler, *activations, *kv;
  const char *json; /* config, tensors and options of the compilation     */
  const char *chat_template; /* Jinja source; NULL: none                      */
  const uint8_t *weights;    /* mapped, read-only, weight_bytes               */
  uint32_t add_bos;          /* tokenize() puts bos first: 0 or 1             */
  uint32_t state_count;
  const char *checkpoint;   /* what it was: "safetensors, rounded to q4_k"    */
  const char *weight_types; /* a line for each type of weights                */
  uint32_t matmul_count;    /* whose inputs qcc_step() gives; 0: of none      */
  uint32_t reserved;        /* 0 */
  uint64_t matmul_columns;  /* of all their inputs                            */
  /* The GPU that runs the model; NULL: the CPU does. Numbers are of the moment
     of the call, and of several GPUs together. */
  const char *device;           /* "NVIDIA H200"; several with their layers  */
  const char *device_unused;    /* why code for a GPU is not used; NULL      */
  uint64_t device_memory_bytes; /* that the GPU has                          */
  uint64_t device_free_bytes;   /* 0: not known                              */
  uint64_t device_weight_bytes; /* of this model there                       */
  uint64_t device_used_bytes;   /* by this model and its sessions            */
  double device_bandwidth;      /* bytes a second at best; 0: not known      */
  uint32_t gpu_layers;          /* the last so many run there; 0: none       */
  uint32_t reserved_layers;     /* 0 */
} qcc_model_info_v1;

/* A matmul, as qcc_matmul() describes it. */
typedef struct qcc_matmul_info_v1 {
  uint32_t struct_size; /* set by the caller                                  */
  uint32_t columns;     /* in features                                        */
  uint64_t first;       /* where its input is: qcc_rows_v1.matmul_inputs      */
  const char *weight;   /* the checkpoint's name of its weight                */
} qcc_matmul_info_v1;

typedef struct qcc_session_options_v1 {
  uint32_t struct_size;
  uint32_t threads;   /* 0: the physical cores that this process may use      */
  uint32_t context;   /* positions of a sequence; 0: the model's own          */
  uint32_t sequences; /* independent sequences; 0: one                        */
  uint32_t batch;     /* positions of a prompt step; 0: row_capacity          */
  uint32_t reserved;  /* 0 */
} qcc_session_options_v1;
#define QCC_SESSION_OPTIONS_INIT                                               \
  {(uint32_t)sizeof(qcc_session_options_v1), 0, 0, 0, 0, 0}

/* How the next token is chosen, in this order: penalties, top_k, top_p, min_p,
 * temperature, then a draw. The same seed gives the same tokens. */
typedef struct qcc_sampling_v1 {
  uint32_t struct_size;
  int32_t top_k;           /* <= 0: off                                      */
  float temperature;       /* <= 0: always the most likely token             */
  float top_p;             /* >= 1: off                                      */
  float min_p;             /* <= 0: off                                      */
  float repeat_penalty;    /* 1: off                                         */
  float frequency_penalty; /* 0: off                                         */
  float presence_penalty;  /* 0: off                                         */
  int32_t repeat_last;     /* tokens that penalties look at; -1: all         */
  int32_t reserved;        /* 0 */
  int64_t seed;            /* -1: a random one                               */
} qcc_sampling_v1;
#define QCC_SAMPLING_INIT                                                      \
  {(uint32_t)sizeof(qcc_sampling_v1),                                          \
   40,                                                                         \
   0.8f,                                                                       \
   0.95f,                                                                      \
   0.05f,                                                                      \
   1.0f,                                                                       \
   0.0f,                                                                       \
   0.0f,                                                                       \
   64,                                                                         \
   0,                                                                          \
   -1}

/* qcc_tokenize() flags */
#define QCC_TOKENIZE_SPECIAL                                                   \
  1u                          /* add bos/eos as the model's tokenizer does     \
                               */
#define QCC_TOKENIZE_PARSE 2u /* read "<|im_start|>" and the like as tokens */
/* qcc_detokenize() and qcc_piece() flags */
#define QCC_TEXT_SPECIAL 1u /* write control tokens as their names */

typedef struct qcc_message_v1 {
  const char *role, *content; /* UTF-8, NUL-terminated                        */
} qcc_message_v1;

/* A conversation with what else a chat template may see. */
typedef struct qcc_chat_v1 {
  uint32_t struct_size;
  int32_t add_generation_prompt; /* 1: the answer comes next                  */
  const qcc_message_v1 *messages;
  size_t count;
  const char *tools;     /* JSON array of the functions that the model may
                            call; NULL: none                                  */
  const char *variables; /* JSON object: "documents", "enable_thinking" ..., or
                            "messages" in place of those above, with tool calls
                            and contents of several parts; NULL: none         */
  const char *name;      /* of one of several templates; NULL: "tool_use" where
                            there is one and `tools` are given, or "default"  */
} qcc_chat_v1;
#define QCC_CHAT_INIT                                                          \
  {(uint32_t)sizeof(qcc_chat_v1), 1, NULL, 0, NULL, NULL, NULL}

/* qcc_eval_v1.want */
#define QCC_LOGITS_NONE 0u
#define QCC_LOGITS_LAST 1u
#define QCC_LOGITS_ALL 2u

/* Called with the logits of one token of qcc_eval(), in order: `index` is the
 * token's index in this call. Not 0 stops as qcc_cancel() does. */
typedef int32_t (*qcc_logits_fn)(void *user, size_t index, const float *logits);
/* Called after each step of a prompt. Not 0 stops as qcc_cancel() does. */
typedef int32_t (*qcc_progress_fn)(void *user, size_t done, size_t total);

/* Tokens that are appended to a sequence. */
typedef struct qcc_eval_v1 {
  uint32_t struct_size;
  uint32_t sequence;
  const int32_t *tokens;
  size_t count; /* >= 1                                                       */
  uint32_t want; /* QCC_LOGITS_*                                              */
  uint32_t batch; /* positions a step; 0: the session's, but up to 16 tokens go
                     in one step as if they were generated; 1: each as if it
                     were generated (finer activations, the bits of
                     generation)                                              */
  qcc_logits_fn on_logits;     /* for QCC_LOGITS_ALL; may be NULL             */
  qcc_progress_fn on_progress; /* may be NULL                                 */
  void *user;
} qcc_eval_v1;

/* qcc_rows_v1.flags */
#define QCC_ROWS_PROMPT                                                        \
  1u /* rows of prompts; else at most 16 rows, each with                       \
        the same bits whatever the others are           */

/* One step over rows of several sequences. Each row is appended to its
 * sequence, at the position that is the sequence's length. */
typedef struct qcc_rows_v1 {
  uint32_t struct_size;
  uint32_t flags;
  uint32_t rows;    /* 1 .. row_capacity (16 without QCC_ROWS_PROMPT)         */
  uint32_t outputs; /* 0 .. rows                                              */
  const int32_t *token;     /* [rows]                                        */
  const uint32_t *sequence; /* [rows]                                        */
  const uint32_t *output;   /* [outputs] ascending rows that want logits     */
  float *logits; /* [outputs][vocab], 64-aligned                              */
  float *trace;  /* NULL, or [layers + 1][rows][hidden], 64-aligned: the
                    residual stream before the first and after each layer     */
  float *matmul_inputs; /* NULL, or matmul_columns * rows floats, 64-aligned:
                           each matmul's input at first * rows, as
                           [rows][columns]; of the head [outputs][columns]    */
} qcc_rows_v1;

/* Why qcc_generate() ended. */
#define QCC_STOP_LENGTH 0u   /* max_tokens                                    */
#define QCC_STOP_END 1u      /* the model's own end token                     */
#define QCC_STOP_TEXT 2u     /* one of the stop texts                         */
#define QCC_STOP_CALLBACK 3u /* on_token did not return 0 */
#define QCC_STOP_CONTEXT 4u  /* the context is full  */

/* One generated token. `text` holds whole UTF-8 characters that became certain
 * with it, perhaps none: bytes of an unfinished character and text that may
 * become a stop text are held back. token is -1 for the last held back text. */
typedef struct qcc_token_v1 {
  uint32_t struct_size;
  int32_t token;
  const char *text; /* not NUL-terminated; valid during the call              */
  size_t bytes;
  const float *logits; /* [vocab] that it was drawn from; NULL with token -1  */
} qcc_token_v1;
typedef int32_t (*qcc_token_fn)(void *user, const qcc_token_v1 *token);

/* qcc_generate_v1.flags */
#define QCC_GENERATE_IGNORE_END 1u /* go on after end tokens */
#define QCC_GENERATE_SPECIAL 2u    /* text holds the names of control tokens  */

typedef struct qcc_generate_v1 {
  uint32_t struct_size;
  uint32_t sequence;
  const int32_t *prompt; /* appended to the sequence first                    */
  size_t prompt_count;   /* >= 1                                              */
  int64_t max_tokens;    /* -1: until the model ends or the context is full   */
  uint32_t flags;
  uint32_t batch; /* as in qcc_eval_v1, for the prompt                        */
  const char *const *stop; /* texts that end the answer, not part of it       */
  size_t stop_count;
  qcc_token_fn on_token;       /* may be NULL; must not change the session    */
  qcc_progress_fn on_progress; /* may be NULL                                 */
  void *user;
  uint32_t draft_max; /* most tokens (of at most 15) that are guessed from
                         repetitions and checked in one step: the same answer,
                         faster where it repeats the context; 0: none         */
  uint32_t reserved;  /* 0 */
} qcc_generate_v1;

typedef struct qcc_generated_v1 {
  uint32_t struct_size; /* set by the caller                                  */
  uint32_t stop;        /* QCC_STOP_*                                         */
  uint64_t prompt_tokens, tokens;
  double prompt_seconds;   /* until the first token's logits                  */
  double generate_seconds; /* from there to the end                           */
  uint64_t drafted, accepted; /* tokens guessed, and right                    */
} qcc_generated_v1;

/* One turn of the loop that generates. */
typedef struct qcc_next_v1 {
  uint32_t struct_size; /* set by the caller                                  */
  uint32_t sequence;
  int32_t token; /* in: what is appended first, below 0: nothing; out: what
                    follows; on failure what is still to be appended          */
  int32_t end;   /* out: 1 if it ends an answer (qcc_is_end)                  */
} qcc_next_v1;

/* What qcc_profile() counted since it was switched on. */
typedef struct qcc_profile_v1 {
  uint32_t struct_size; /* set by the caller                                  */
  uint32_t stage_count; /* of the model                                       */
  uint64_t steps;
  uint64_t barriers; /* of all steps, their ends included                     */
  double seconds;    /* in steps                                              */
} qcc_profile_v1;

/* One kind of work, which layers of one kind share. */
typedef struct qcc_stage_time_v1 {
  uint32_t struct_size; /* set by the caller                                  */
  uint32_t runs;        /* in a step                                          */
  const char *name;     /* "matmul blk.0.attn_q.weight, ...": of the first    */
  uint64_t weight_bytes; /* of matmuls: read by all runs for one row          */
  uint64_t macs;         /* of matmuls: of all runs for one row               */
  double work_seconds, wait_seconds; /* of a thread, as mean; waiting is at the
                                        barrier after the stage               */
} qcc_stage_time_v1;

/* The table. Functions are appended in later versions; struct_size says how
 * many are there. Call them through the wrappers below. */
struct qcc_api_v1 {
  uint32_t struct_size;
  uint32_t version;
  qcc_status (*model_open)(const qcc_model_options_v1 *, qcc_model **, char *,
                           size_t);
  void (*model_close)(qcc_model *);
  qcc_status (*model_info)(const qcc_model *, qcc_model_info_v1 *);
  qcc_status (*tokenize)(const qcc_model *, const char *, size_t, uint32_t,
                         int32_t *, size_t, size_t *);
  qcc_status (*detokenize)(const qcc_model *, const int32_t *, size_t, uint32_t,
                           char *, size_t, size_t *);
  qcc_status (*piece)(const qcc_model *, int32_t, uint32_t, char *, size_t,
                      size_t *);
  int32_t (*is_end)(const qcc_model *, int32_t);
  qcc_status (*apply_chat)(const qcc_model *, const qcc_message_v1 *, size_t,
                           int32_t, char *, size_t, size_t *, char *, size_t);
  qcc_status (*session_create)(const qcc_model *,
                               const qcc_session_options_v1 *, qcc_session **,
                               char *, size_t);
  void (*session_destroy)(qcc_session *);
  const char *(*last_error)(const qcc_session *);
  qcc_status (*eval)(qcc_session *, const qcc_eval_v1 *);
  qcc_status (*step)(qcc_session *, const qcc_rows_v1 *);
  const float *(*logits)(const qcc_session *);
  qcc_status (*set_sampling)(qcc_session *, const qcc_sampling_v1 *);
  qcc_status (*sample)(qcc_session *, uint32_t, const float *, int32_t *);
  qcc_status (*generate)(qcc_session *, const qcc_generate_v1 *,
                         qcc_generated_v1 *);
  void (*cancel)(qcc_session *, int32_t);
  size_t (*length)(const qcc_session *, uint32_t);
  const int32_t *(*tokens)(const qcc_session *, uint32_t);
  qcc_status (*truncate)(qcc_session *, uint32_t, size_t);
  qcc_status (*state_save)(qcc_session *, uint32_t, void *, size_t, size_t *);
  qcc_status (*state_restore)(qcc_session *, uint32_t, const void *, size_t);
  uint32_t (*threads)(const qcc_session *);
  uint32_t (*context)(const qcc_session *);
  uint64_t (*state_bytes)(const qcc_session *);
  qcc_status (*matmul)(const qcc_model *, uint32_t, qcc_matmul_info_v1 *);
  qcc_status (*render_chat)(const qcc_model *, const qcc_chat_v1 *, char *,
                            size_t, size_t *, char *, size_t);
  qcc_status (*set_sequence_sampling)(qcc_session *, uint32_t,
                                      const qcc_sampling_v1 *);
  qcc_status (*copy)(qcc_session *, uint32_t, uint32_t, size_t);
  qcc_status (*profile)(qcc_session *, int32_t);
  qcc_status (*profile_info)(const qcc_session *, qcc_profile_v1 *);
  qcc_status (*stage_time)(const qcc_session *, uint32_t, qcc_stage_time_v1 *);
  qcc_status (*next)(qcc_session *, qcc_next_v1 *);
};

/* `<prefix>_query`: the table for the highest version that both sides know;
 * NULL when the caller is too old. */
typedef const qcc_api_v1 *(*qcc_query_fn)(uint32_t max_version);

#ifndef QCC_NO_DLOPEN
/* Opens a compiled model's shared library (a path without a slash is looked for
 * as dlopen() does) and returns its table; it stays loaded. `prefix` NULL is
 * "qcc_model". NULL on failure, with the reason in `error`. */
static inline const qcc_api_v1 *qcc_load(const char *path, const char *prefix,
                                         char *error, size_t error_bytes) {
  char symbol[128];
  void *library, *address;
  qcc_query_fn query;
  const qcc_api_v1 *api;
  int length = snprintf(symbol, sizeof symbol, "%s_query",
                        prefix ? prefix : "qcc_model");
  if (length < 0 || (size_t)length >= sizeof symbol) {
    snprintf(error, error_bytes, "symbol prefix is too long");
    return NULL;
  }
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(error, error_bytes, "%s", dlerror());
    return NULL;
  }
  address = dlsym(library, symbol);
  if (!address) {
    snprintf(error, error_bytes, "%s: not a compiled model: no symbol `%s`",
             path, symbol);
    dlclose(library);
    return NULL;
  }
  /* ISO C has no cast from an object pointer to a function pointer. */
  memcpy(&query, &address, sizeof query);
  api = query(QCC_API_VERSION);
  if (!api) {
    snprintf(error, error_bytes, "%s: needs a newer application interface",
             path);
    dlclose(library);
  }
  return api;
}
#endif

/* Opens the model that `api` belongs to. `options` may be NULL. On failure
 * *model is NULL and `error` (may be NULL with 0 bytes) holds the reason. */
static inline qcc_status qcc_model_open(const qcc_api_v1 *api,
                                        const qcc_model_options_v1 *options,
                                        qcc_model **model, char *error,
                                        size_t error_bytes) {
  return api->model_open(options, model, error, error_bytes);
}

/* NULL is accepted. No session of the model may be left. */
static inline void qcc_model_close(qcc_model *model) {
  if (model)
    model->api->model_close(model);
}

/* Fills the first info->struct_size bytes of *info. */
static inline qcc_status qcc_model_info(const qcc_model *model,
                                        qcc_model_info_v1 *info) {
  return model->api->model_info(model, info);
}

/* Fills the first info->struct_size bytes of *info for one of the matmul_count
 * matmuls. Only the target `reference` has any. */
static inline qcc_status qcc_matmul(const qcc_model *model, uint32_t index,
                                    qcc_matmul_info_v1 *info) {
  /* A library may be older than this function. */
  if (model->api->struct_size <= offsetof(struct qcc_api_v1, matmul))
    return QCC_E_ARGUMENT;
  return model->api->matmul(model, index, info);
}

/* Token ids of `bytes` bytes of UTF-8 text. *count is set to the number of
 * tokens; with more than `capacity` of them, QCC_E_SPACE. This and the next
 * three are QCC_E_TOKENIZER for a model that came without a tokenizer. */
static inline qcc_status qcc_tokenize(const qcc_model *model, const char *text,
                                      size_t bytes, uint32_t flags,
                                      int32_t *tokens, size_t capacity,
                                      size_t *count) {
  return model->api->tokenize(model, text, bytes, flags, tokens, capacity,
                              count);
}

/* Text of tokens, not NUL-terminated; *bytes as *count above. */
static inline qcc_status qcc_detokenize(const qcc_model *model,
                                        const int32_t *tokens, size_t count,
                                        uint32_t flags, char *text,
                                        size_t capacity, size_t *bytes) {
  return model->api->detokenize(model, tokens, count, flags, text, capacity,
                                bytes);
}

/* The bytes of one token, which may be part of a UTF-8 character. */
static inline qcc_status qcc_piece(const qcc_model *model, int32_t token,
                                   uint32_t flags, char *text, size_t capacity,
                                   size_t *bytes) {
  return model->api->piece(model, token, flags, text, capacity, bytes);
}

/* 1 for a token that ends an answer. */
static inline int32_t qcc_is_end(const qcc_model *model, int32_t token) {
  return model->api->is_end(model, token);
}

/* The conversation as the model's chat template writes it (tokenize it with
 * QCC_TOKENIZE_PARSE only: the template writes bos itself). Not NUL-terminated;
 * *bytes as above. */
static inline qcc_status
qcc_apply_chat(const qcc_model *model, const qcc_message_v1 *messages,
               size_t count, int32_t add_generation_prompt, char *text,
               size_t capacity, size_t *bytes, char *error,
               size_t error_bytes) {
  return model->api->apply_chat(model, messages, count, add_generation_prompt,
                                text, capacity, bytes, error, error_bytes);
}

/* The same with tools and further variables. */
static inline qcc_status qcc_render_chat(const qcc_model *model,
                                         const qcc_chat_v1 *chat, char *text,
                                         size_t capacity, size_t *bytes,
                                         char *error, size_t error_bytes) {
  /* A library may be older than this function. */
  if (model->api->struct_size <= offsetof(struct qcc_api_v1, render_chat))
    return QCC_E_ARGUMENT;
  return model->api->render_chat(model, chat, text, capacity, bytes, error,
                                 error_bytes);
}

/* `options` may be NULL. Starts threads - 1 threads, which sleep between
 * calls. The state of `sequences` x `context` positions is reserved, and takes
 * memory only as it fills. */
static inline qcc_status
qcc_session_create(const qcc_model *model,
                   const qcc_session_options_v1 *options, qcc_session **session,
                   char *error, size_t error_bytes) {
  return model->api->session_create(model, options, session, error,
                                    error_bytes);
}

/* NULL is accepted. */
static inline void qcc_session_destroy(qcc_session *session) {
  if (session)
    session->api->session_destroy(session);
}

/* Text of the last failure; "" before any. Valid until the next call. */
static inline const char *qcc_last_error(const qcc_session *session) {
  return session->api->last_error(session);
}

/* Appends tokens to a sequence. All or nothing: after a failure the sequence is
 * what it was. Tokens that do not fit are QCC_E_CONTEXT; there is no silent
 * shift of the context. */
static inline qcc_status qcc_eval(qcc_session *session,
                                  const qcc_eval_v1 *eval) {
  return session->api->eval(session, eval);
}

/* One step with rows of several sequences; all or nothing. */
static inline qcc_status qcc_step(qcc_session *session,
                                  const qcc_rows_v1 *rows) {
  return session->api->step(session, rows);
}

/* Logits [vocab] of the last token of the last qcc_eval() that wanted any, or
 * NULL. Overwritten by the next call. */
static inline const float *qcc_logits(const qcc_session *session) {
  return session->api->logits(session);
}

/* How every sequence chooses; NULL restores the defaults. Restarts the random
 * numbers from the seed. Each sequence draws numbers of its own. */
static inline qcc_status qcc_set_sampling(qcc_session *session,
                                          const qcc_sampling_v1 *sampling) {
  return session->api->set_sampling(session, sampling);
}

/* The same for one sequence. QCC_E_ARGUMENT from a library that is older than
 * this function, as from qcc_copy(). */
static inline qcc_status
qcc_set_sequence_sampling(qcc_session *session, uint32_t sequence,
                          const qcc_sampling_v1 *sampling) {
  if (session->api->struct_size <=
      offsetof(struct qcc_api_v1, set_sequence_sampling))
    return QCC_E_ARGUMENT;
  return session->api->set_sequence_sampling(session, sequence, sampling);
}

/* Chooses a token from `logits` (NULL: those of qcc_logits()); penalties look
 * at the tokens of `sequence`. */
static inline qcc_status qcc_sample(qcc_session *session, uint32_t sequence,
                                    const float *logits, int32_t *token) {
  return session->api->sample(session, sequence, logits, token);
}

/* Appends a generated token, as qcc_eval() with batch = 1, chooses the next as
 * qcc_sample() and tells whether it ends an answer: all that a loop of one's own
 * needs for a token, in one call. QCC_E_ARGUMENT from a library that is older
 * than this function. */
static inline qcc_status qcc_next(qcc_session *session, qcc_next_v1 *next) {
  if (session->api->struct_size <= offsetof(struct qcc_api_v1, next))
    return QCC_E_ARGUMENT;
  return session->api->next(session, next);
}

/* Evaluates a prompt and generates. The last generated token is not part of
 * the sequence yet. `result` may be NULL. When cancelled, the sequence keeps
 * the tokens evaluated before that step, *result is filled, and the return
 * value is QCC_E_CANCELLED. */
static inline qcc_status qcc_generate(qcc_session *session,
                                      const qcc_generate_v1 *options,
                                      qcc_generated_v1 *result) {
  return session->api->generate(session, options, result);
}

/* on = 1: the running call, or else the next one, returns QCC_E_CANCELLED
 * within one layer's time and clears the request. on = 0 takes it back. Any
 * thread; async-signal-safe. */
static inline void qcc_cancel(qcc_session *session, int32_t on) {
  session->api->cancel(session, on);
}

/* Number of tokens in a sequence (0 for a sequence that does not exist). */
static inline size_t qcc_length(const qcc_session *session, uint32_t sequence) {
  return session->api->length(session, sequence);
}

/* The tokens of a sequence, qcc_length() of them. */
static inline const int32_t *qcc_tokens(const qcc_session *session,
                                        uint32_t sequence) {
  return session->api->tokens(session, sequence);
}

/* Keeps the first `length` tokens of a sequence. */
static inline qcc_status qcc_truncate(qcc_session *session, uint32_t sequence,
                                      size_t length) {
  return session->api->truncate(session, sequence, length);
}

/* Makes `to` the first `length` tokens of `from`. Their state is shared, and
 * copied (a page of 64 tokens at most) when either sequence goes on in it. */
static inline qcc_status qcc_copy(qcc_session *session, uint32_t from,
                                  uint32_t to, size_t length) {
  if (session->api->struct_size <= offsetof(struct qcc_api_v1, copy))
    return QCC_E_ARGUMENT;
  return session->api->copy(session, from, to, length);
}

static inline qcc_status qcc_reset(qcc_session *session, uint32_t sequence) {
  return qcc_truncate(session, sequence, 0);
}

/* Writes a sequence with its state into `data`; *bytes is set to the size, and
 * with more than `capacity`, QCC_E_SPACE (data may be NULL with 0 bytes). */
static inline qcc_status qcc_state_save(qcc_session *session, uint32_t sequence,
                                        void *data, size_t capacity,
                                        size_t *bytes) {
  return session->api->state_save(session, sequence, data, capacity, bytes);
}

/* Replaces a sequence by a saved one. Anything but what the same model file on
 * the same target saved is QCC_E_DATA and leaves the sequence as it was. */
static inline qcc_status qcc_state_restore(qcc_session *session,
                                           uint32_t sequence, const void *data,
                                           size_t bytes) {
  return session->api->state_restore(session, sequence, data, bytes);
}

/* Threads and positions that the session was given. */
static inline uint32_t qcc_threads(const qcc_session *session) {
  return session->api->threads(session);
}
static inline uint32_t qcc_context(const qcc_session *session) {
  return session->api->context(session);
}

/* Counts from now on where the time of steps goes (`on` not 0), or no more.
 * QCC_E_ARGUMENT where the model's code cannot tell. */
static inline qcc_status qcc_profile(qcc_session *session, int32_t on) {
  /* A library may be older than these functions. */
  if (session->api->struct_size <= offsetof(struct qcc_api_v1, profile))
    return QCC_E_ARGUMENT;
  return session->api->profile(session, on);
}
/* Fill the first struct_size bytes of *info. QCC_E_ARGUMENT while the session
 * does not count, or for a stage that is not there. */
static inline qcc_status qcc_profile_info(const qcc_session *session,
                                          qcc_profile_v1 *info) {
  if (session->api->struct_size <= offsetof(struct qcc_api_v1, profile_info))
    return QCC_E_ARGUMENT;
  return session->api->profile_info(session, info);
}
static inline qcc_status qcc_stage_time(const qcc_session *session,
                                        uint32_t stage,
                                        qcc_stage_time_v1 *info) {
  if (session->api->struct_size <= offsetof(struct qcc_api_v1, stage_time))
    return QCC_E_ARGUMENT;
  return session->api->stage_time(session, stage, info);
}

/* Bytes of state (KV cache) in use by all sequences, in whole pages. */
static inline uint64_t qcc_state_bytes(const qcc_session *session) {
  return session->api->state_bytes(session);
}

#ifdef __cplusplus
}
#endif

#endif /* QCC_RT_QCC_H */
