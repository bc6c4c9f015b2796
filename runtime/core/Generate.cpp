//===- Generate.cpp - A prompt in, text out -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The loop of sampling and evaluating, with drafts and stop texts.
//===----------------------------------------------------------------------===//

#include "Clock.h"
#include "Lookup.h"
#include "Session.h"
#include "StopFilter.h"

#include <algorithm>

namespace qcc::rt {

/// Appends a token, and what `lookup` drafts after it, at most `room` tokens:
/// rows of those lie beyond the sequence's end until they are accepted.
qcc_status Session::append(uint32_t sequence, int32_t token, Lookup &lookup,
                           size_t room) {
  size_t &length = lengths[sequence];
  if (lookup.accept(token)) {
    ++length;
    last += code->vocab;
    return QCC_OK;
  }
  int32_t *tokens = &history[size_t(sequence) * context];
  tokens[length] = token;
  room = std::min({room, context - length - 1, size_t(logitsRows - 1)});
  qcc_eval_v1 request = {};
  request.sequence = sequence;
  request.count = lookup.draft(tokens, length + 1, room);
  request.tokens = lookup.tokens();
  request.want = QCC_LOGITS_ALL;
  qcc_status status = eval(request);
  if (status == QCC_E_NO_MEMORY && request.count > 1) {
    // There may be memory for the token alone.
    request.count = lookup.draft(tokens, length + 1, 0);
    status = eval(request);
  }
  if (status)
    return status;
  size_t drafted = request.count - 1;
  last -= drafted * code->vocab;
  length -= drafted;
  return QCC_OK;
}

qcc_status Session::generate(const qcc_generate_v1 &options,
                             qcc_generated_v1 &result) {
  double start = now();
  result.stop = QCC_STOP_LENGTH;
  result.prompt_tokens = result.tokens = 0;
  result.drafted = result.accepted = 0;
  result.prompt_seconds = result.generate_seconds = 0;
  for (size_t i = 0; i < options.stop_count; ++i)
    if (!options.stop || !options.stop[i] || !options.stop[i][0])
      return error.set(QCC_E_ARGUMENT, "stop text %zu is empty", i);
  StopFilter filter;
  if (!filter.create(options.stop, options.stop_count))
    return error.set(QCC_E_NO_MEMORY, "out of memory for stop texts");
  if (qcc_status status =
          stream.begin(model->text, options.flags & QCC_GENERATE_SPECIAL))
    return error.set(status, "out of memory for text");

  qcc_eval_v1 request = {};
  request.struct_size = sizeof request;
  request.sequence = options.sequence;
  request.tokens = options.prompt;
  request.count = options.prompt_count;
  request.want = QCC_LOGITS_LAST;
  request.batch = options.batch;
  request.on_progress = options.on_progress;
  request.user = options.user;
  if (qcc_status status = eval(request))
    return status;
  result.prompt_tokens = options.prompt_count;
  double generating = now();
  result.prompt_seconds = generating - start;

  // What one token makes certain, joined when a stop text was not one after
  // all; the callback sees it in one or more calls.
  qcc_token_v1 current = {};
  current.struct_size = sizeof current;
  bool wantsStop = false, called = false;
  auto emit = [&](const char *text, size_t bytes) {
    if (!options.on_token)
      return;
    current.text = text;
    current.bytes = bytes;
    called = true;
    wantsStop |= options.on_token(options.user, &current) != 0;
    current.token = -1; // only the first call of a token names it
    current.logits = nullptr;
  };

  qcc_status status = QCC_OK;
  Lookup lookup(options.draft_max);
  bool stopText = false;
  while (options.max_tokens < 0 ||
         result.tokens < uint64_t(options.max_tokens)) {
    int32_t token;
    status = sample(options.sequence, nullptr, token);
    if (status != QCC_OK)
      break;
    ++result.tokens;
    if (!(options.flags & QCC_GENERATE_IGNORE_END) &&
        model->text.isEnd(token)) {
      result.stop = QCC_STOP_END;
      break;
    }
    const char *text;
    size_t bytes;
    status = stream.push(token, text, bytes);
    if (status != QCC_OK) {
      error.set(status, "out of memory for text");
      break;
    }
    current.token = token;
    current.logits = last;
    called = false;
    stopText = filter.take(text, bytes, emit);
    if (!called)
      emit("", 0);
    if (stopText || wantsStop) {
      result.stop = stopText ? QCC_STOP_TEXT : QCC_STOP_CALLBACK;
      break;
    }
    if (options.max_tokens >= 0 &&
        result.tokens >= uint64_t(options.max_tokens))
      break;
    if (lengths[options.sequence] >= context) {
      result.stop = QCC_STOP_CONTEXT;
      break;
    }
    uint64_t room = options.max_tokens < 0
                        ? UINT64_MAX
                        : uint64_t(options.max_tokens) - result.tokens - 1;
    status = append(options.sequence, token, lookup, room);
    if (status != QCC_OK)
      break;
  }
  result.drafted = lookup.drafted;
  result.accepted = lookup.accepted;
  // Gives back the pages of drafts that were not accepted.
  pages.shrink(options.sequence, lengths[options.sequence]);

  if (!stopText && result.stop != QCC_STOP_CALLBACK &&
      (status == QCC_OK || status == QCC_E_CANCELLED)) {
    current.token = -1;
    current.logits = nullptr;
    auto emitSome = [&](const char *text, size_t bytes) {
      if (bytes)
        emit(text, bytes);
    };
    const char *text;
    size_t bytes;
    if (stream.finish(text, bytes) == QCC_OK &&
        filter.take(text, bytes, emitSome))
      result.stop = QCC_STOP_TEXT;
    else
      filter.finish(emitSome);
  }
  result.generate_seconds = now() - generating;
  return status;
}

} // namespace qcc::rt
