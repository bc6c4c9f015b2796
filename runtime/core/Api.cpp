//===- Api.cpp - The table that applications call through -----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Checks pointers and struct sizes, and hands on. Nothing here keeps state.
//===----------------------------------------------------------------------===//

#include "Api.h"

#include "Session.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>

using namespace qcc::rt;

/// Objects are made without operator new, which may throw or abort.
template <typename T>
static T *make() {
  void *memory = nullptr;
  if (posix_memalign(&memory, alignof(T) < 16 ? 16 : alignof(T), sizeof(T)))
    return nullptr;
  return new (memory) T();
}

template <typename T>
static void destroy(T *object) {
  if (!object)
    return;
  object->~T();
  free(object);
}

/// The caller's struct with the fields that it does not know set to zero;
/// false if it is too small to be one. `required` is the size of version 1.
template <typename T>
static bool readStruct(T &result, const T *given, size_t required = sizeof(T)) {
  result = T{};
  if (!given || given->struct_size < required)
    return false;
  memcpy(&result, given,
         given->struct_size < sizeof(T) ? given->struct_size : sizeof(T));
  return true;
}

static qcc_status badStruct(const ErrorText &error, const char *name) {
  return const_cast<ErrorText &>(error).set(
      QCC_E_ARGUMENT, "%s is null or its struct_size is not set", name);
}

static const Model &modelOf(const qcc_model *model) {
  return *static_cast<const Model *>(model);
}
static Session &sessionOf(qcc_session *session) {
  return *static_cast<Session *>(session);
}
static const Session &sessionOf(const qcc_session *session) {
  return *static_cast<const Session *>(session);
}

static qcc_status modelOpen(const qcc_model_options_v1 *given,
                            qcc_model **result, char *text, size_t bytes) {
  ErrorText error;
  qcc_status status = QCC_OK;
  Model *model = nullptr;
  qcc_model_options_v1 options = {};
  if (!result)
    return QCC_E_ARGUMENT;
  *result = nullptr;
  if (given &&
      !readStruct(options, given, offsetof(qcc_model_options_v1, gpu_layers)))
    status = badStruct(error, "options");
  else if (!(model = make<Model>()))
    status = error.set(QCC_E_NO_MEMORY, "out of memory");
  else
    status = model->open(options, error);
  if (status != QCC_OK) {
    destroy(model);
    error.copyTo(text, bytes);
    return status;
  }
  model->api = qcc_model_query(QCC_API_VERSION);
  *result = model;
  return QCC_OK;
}

static void modelClose(qcc_model *model) {
  destroy(static_cast<Model *>(model));
}

static qcc_status modelInfo(const qcc_model *model, qcc_model_info_v1 *info) {
  if (!info || info->struct_size < sizeof(uint32_t))
    return QCC_E_ARGUMENT;
  modelOf(model).info(*info);
  return QCC_OK;
}

static qcc_status matmulInfo(const qcc_model *model, uint32_t index,
                             qcc_matmul_info_v1 *info) {
  if (!info || info->struct_size < sizeof(uint32_t) ||
      index >= modelOf(model).code->matmul_count)
    return QCC_E_ARGUMENT;
  modelOf(model).matmul(index, *info);
  return QCC_OK;
}

static qcc_status tokenize(const qcc_model *model, const char *text,
                           size_t bytes, uint32_t flags, int32_t *tokens,
                           size_t capacity, size_t *count) {
  if ((!text && bytes) || (!tokens && capacity) || !count)
    return QCC_E_ARGUMENT;
  return modelOf(model).text.tokenize(text, bytes, flags, tokens, capacity,
                                      count);
}

static qcc_status detokenize(const qcc_model *model, const int32_t *tokens,
                             size_t count, uint32_t flags, char *text,
                             size_t capacity, size_t *bytes) {
  if ((!tokens && count) || (!text && capacity) || !bytes)
    return QCC_E_ARGUMENT;
  for (size_t i = 0; i < count; ++i)
    if (tokens[i] < 0 || uint32_t(tokens[i]) >= modelOf(model).code->vocab)
      return QCC_E_ARGUMENT;
  return modelOf(model).text.detokenize(tokens, count, flags, text, capacity,
                                        bytes);
}

static qcc_status piece(const qcc_model *model, int32_t token, uint32_t flags,
                        char *text, size_t capacity, size_t *bytes) {
  if ((!text && capacity) || !bytes || token < 0 ||
      uint32_t(token) >= modelOf(model).code->vocab)
    return QCC_E_ARGUMENT;
  return modelOf(model).text.piece(token, flags, text, capacity, bytes);
}

static int32_t isEnd(const qcc_model *model, int32_t token) {
  return modelOf(model).text.isEnd(token);
}

static qcc_status renderChat(const qcc_model *model, const qcc_chat_v1 *given,
                             char *text, size_t capacity, size_t *bytes,
                             char *why, size_t whyBytes) {
  ErrorText error;
  qcc_chat_v1 chat;
  qcc_status status = QCC_E_ARGUMENT;
  if (!readStruct(chat, given))
    status = badStruct(error, "chat");
  else if ((!chat.messages && chat.count) || (!text && capacity) || !bytes)
    error.set(status, "an argument is null");
  else
    status = modelOf(model).text.renderChat(chat, text, capacity, bytes, error);
  if (status != QCC_OK)
    error.copyTo(why, whyBytes);
  return status;
}

static qcc_status applyChat(const qcc_model *model,
                            const qcc_message_v1 *messages, size_t count,
                            int32_t addGenerationPrompt, char *text,
                            size_t capacity, size_t *bytes, char *why,
                            size_t whyBytes) {
  qcc_chat_v1 chat = QCC_CHAT_INIT;
  chat.add_generation_prompt = addGenerationPrompt;
  chat.messages = messages;
  chat.count = count;
  return renderChat(model, &chat, text, capacity, bytes, why, whyBytes);
}

static qcc_status sessionCreate(const qcc_model *model,
                                const qcc_session_options_v1 *given,
                                qcc_session **result, char *text,
                                size_t bytes) {
  ErrorText error;
  qcc_status status = QCC_OK;
  Session *session = nullptr;
  qcc_session_options_v1 options = {};
  if (!result)
    return QCC_E_ARGUMENT;
  *result = nullptr;
  if (given && !readStruct(options, given))
    status = badStruct(error, "options");
  else if (!(session = make<Session>()))
    status = error.set(QCC_E_NO_MEMORY, "out of memory");
  else
    status = session->create(modelOf(model), options, error);
  if (status != QCC_OK) {
    destroy(session);
    error.copyTo(text, bytes);
    return status;
  }
  session->api = model->api;
  *result = session;
  return QCC_OK;
}

static void sessionDestroy(qcc_session *session) {
  destroy(static_cast<Session *>(session));
}

static const char *lastError(const qcc_session *session) {
  return sessionOf(session).error.get();
}

static qcc_status eval(qcc_session *session, const qcc_eval_v1 *given) {
  qcc_eval_v1 request;
  if (!readStruct(request, given))
    return badStruct(sessionOf(session).error, "eval");
  return sessionOf(session).eval(request);
}

static qcc_status step(qcc_session *session, const qcc_rows_v1 *given) {
  qcc_rows_v1 rows;
  if (!readStruct(rows, given, offsetof(qcc_rows_v1, matmul_inputs)))
    return badStruct(sessionOf(session).error, "rows");
  return sessionOf(session).step(rows);
}

static const float *logits(const qcc_session *session) {
  return sessionOf(session).lastLogits();
}

static qcc_status setSampling(qcc_session *session,
                              const qcc_sampling_v1 *given) {
  qcc_sampling_v1 settings = QCC_SAMPLING_INIT;
  if (given && !readStruct(settings, given))
    return badStruct(sessionOf(session).error, "sampling");
  return sessionOf(session).setSampling(settings);
}

static qcc_status setSequenceSampling(qcc_session *session, uint32_t sequence,
                                      const qcc_sampling_v1 *given) {
  qcc_sampling_v1 settings = QCC_SAMPLING_INIT;
  if (given && !readStruct(settings, given))
    return badStruct(sessionOf(session).error, "sampling");
  return sessionOf(session).setSampling(sequence, settings);
}

static qcc_status copySequence(qcc_session *session, uint32_t from, uint32_t to,
                               size_t length) {
  return sessionOf(session).copy(from, to, length);
}

static qcc_status sample(qcc_session *session, uint32_t sequence,
                         const float *from, int32_t *token) {
  if (!token)
    return badStruct(sessionOf(session).error, "token");
  return sessionOf(session).sample(sequence, from, *token);
}

static qcc_status generate(qcc_session *session, const qcc_generate_v1 *given,
                           qcc_generated_v1 *result) {
  qcc_generate_v1 options;
  if (!readStruct(options, given, offsetof(qcc_generate_v1, draft_max)))
    return badStruct(sessionOf(session).error, "generate");
  qcc_generated_v1 generated = {};
  if (result && result->struct_size < offsetof(qcc_generated_v1, drafted))
    return badStruct(sessionOf(session).error, "result");
  qcc_status status = sessionOf(session).generate(options, generated);
  if (result) {
    generated.struct_size = result->struct_size;
    memcpy(result, &generated,
           std::min<size_t>(result->struct_size, sizeof generated));
  }
  return status;
}

static qcc_status next(qcc_session *session, qcc_next_v1 *given) {
  if (!given || given->struct_size < sizeof *given)
    return badStruct(sessionOf(session).error, "next");
  return sessionOf(session).next(*given);
}

static void cancel(qcc_session *session, int32_t on) {
  sessionOf(session).cancel(on != 0);
}

static size_t length(const qcc_session *session, uint32_t sequence) {
  return sessionOf(session).length(sequence);
}

static const int32_t *tokens(const qcc_session *session, uint32_t sequence) {
  return sessionOf(session).tokensOf(sequence);
}

static qcc_status truncateSequence(qcc_session *session, uint32_t sequence,
                                   size_t newLength) {
  return sessionOf(session).truncate(sequence, newLength);
}

static qcc_status stateSave(qcc_session *session, uint32_t sequence, void *data,
                            size_t capacity, size_t *bytes) {
  if (!bytes)
    return badStruct(sessionOf(session).error, "bytes");
  return sessionOf(session).save(sequence, static_cast<uint8_t *>(data),
                                 capacity, *bytes);
}

static qcc_status stateRestore(qcc_session *session, uint32_t sequence,
                               const void *data, size_t bytes) {
  return sessionOf(session).restore(sequence,
                                    static_cast<const uint8_t *>(data), bytes);
}

static uint32_t threads(const qcc_session *session) {
  return sessionOf(session).threads();
}

static uint32_t context(const qcc_session *session) {
  return sessionOf(session).contextSize();
}

static uint64_t stateBytes(const qcc_session *session) {
  return sessionOf(session).stateBytes();
}

static qcc_status profile(qcc_session *session, int32_t on) {
  return sessionOf(session).profile(on != 0);
}

static qcc_status profileInfo(const qcc_session *session,
                              qcc_profile_v1 *info) {
  const Profile *times = sessionOf(session).profiled();
  if (!times || !info || info->struct_size < sizeof(uint32_t))
    return QCC_E_ARGUMENT;
  times->info(*info);
  return QCC_OK;
}

static qcc_status stageTime(const qcc_session *session, uint32_t stage,
                            qcc_stage_time_v1 *info) {
  const Profile *times = sessionOf(session).profiled();
  if (!times || !info || info->struct_size < sizeof(uint32_t) ||
      stage >= times->stageCount())
    return QCC_E_ARGUMENT;
  times->stage(stage, *info);
  return QCC_OK;
}

const qcc_api_v1 *qcc_model_query(uint32_t maxVersion) {
  static constexpr qcc_api_v1 table = {
      sizeof(qcc_api_v1),
      QCC_API_VERSION,
      modelOpen,
      modelClose,
      modelInfo,
      tokenize,
      detokenize,
      piece,
      isEnd,
      applyChat,
      sessionCreate,
      sessionDestroy,
      lastError,
      eval,
      step,
      logits,
      setSampling,
      sample,
      generate,
      cancel,
      length,
      tokens,
      truncateSequence,
      stateSave,
      stateRestore,
      threads,
      context,
      stateBytes,
      matmulInfo,
      renderChat,
      setSequenceSampling,
      copySequence,
      profile,
      profileInfo,
      stageTime,
      next,
  };
  return maxVersion >= QCC_API_VERSION ? &table : nullptr;
}
