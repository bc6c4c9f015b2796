//===- Program.cpp - The model and the terminal ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Program.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <unistd.h>

namespace qcc::cli {

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

Program::Program(const qcc_api_v1 *api, std::string name,
                 const Options &options)
    : programName(std::move(name)) {
  qcc_model_options_v1 wanted = QCC_MODEL_OPTIONS_INIT;
  if (options.hasGpuLayers)
    wanted.flags |= QCC_MODEL_GPU_LAYERS;
  if (options.textOnly)
    wanted.flags |= QCC_MODEL_TEXT_ONLY;
  wanted.gpu_layers = options.gpuLayers;
  char error[QCC_ERROR_BYTES] = "";
  if (qcc_model_open(api, &wanted, &opened, error, sizeof error) != QCC_OK)
    throw Failure{error};
  numbers = currentInfo();
}

qcc_model_info_v1 Program::currentInfo() const {
  qcc_model_info_v1 info = {};
  info.struct_size = sizeof info;
  qcc_model_info(opened, &info);
  return info;
}

Program::~Program() {
  qcc_session_destroy(current);
  qcc_model_close(opened);
}

void Program::noteUnusedDevice() const {
  if (numbers.device_unused)
    note("note: runs on the CPU: %s", numbers.device_unused);
}

qcc_session *Program::createSession(const Options &options, uint32_t context,
                                    uint32_t sequences) {
  qcc_session_options_v1 wanted = QCC_SESSION_OPTIONS_INIT;
  wanted.threads = options.threads;
  wanted.context = context ? context : options.context;
  wanted.batch = options.batch;
  wanted.sequences = sequences;
  char error[QCC_ERROR_BYTES] = "";
  if (qcc_session_create(opened, &wanted, &current, error, sizeof error) !=
      QCC_OK)
    throw Failure{error};
  check(qcc_set_sampling(current, &options.sampling));
  noteUnusedDevice();
  return current;
}

void Program::check(qcc_status status) const {
  if (status == QCC_E_CANCELLED)
    throw Failure{"", interruptedCode};
  if (status != QCC_OK)
    throw Failure{qcc_last_error(current)};
}

std::vector<int32_t> Program::tokenize(std::string_view text,
                                       uint32_t flags) const {
  std::vector<int32_t> tokens(text.size() + 8);
  size_t count = 0;
  qcc_status status = qcc_tokenize(opened, text.data(), text.size(), flags,
                                   tokens.data(), tokens.size(), &count);
  if (status == QCC_E_SPACE) {
    tokens.resize(count);
    status = qcc_tokenize(opened, text.data(), text.size(), flags,
                          tokens.data(), tokens.size(), &count);
  }
  if (status == QCC_E_TOKENIZER)
    throw Failure{"this model has no tokenizer: only commands that take token "
                  "ids (logits --ids) work"};
  if (status != QCC_OK)
    throw Failure{"cannot tokenize the text"};
  tokens.resize(count);
  return tokens;
}

std::string Program::piece(int32_t token, uint32_t flags) const {
  std::string text(64, '\0');
  size_t bytes = 0;
  qcc_status status =
      qcc_piece(opened, token, flags, text.data(), text.size(), &bytes);
  text.resize(bytes);
  if (status == QCC_E_SPACE)
    qcc_piece(opened, token, flags, text.data(), text.size(), &bytes);
  return text;
}

std::vector<int32_t>
Program::chatTokens(const std::vector<qcc_message_v1> &messages,
                    const Options &options) const {
  qcc_chat_v1 chat = QCC_CHAT_INIT;
  chat.messages = messages.data();
  chat.count = messages.size();
  if (!options.tools.empty())
    chat.tools = options.tools.c_str();
  if (!options.chatVariables.empty())
    chat.variables = options.chatVariables.c_str();
  std::string text(4096, '\0');
  char error[QCC_ERROR_BYTES] = "";
  size_t bytes = 0;
  auto render = [&] {
    return qcc_render_chat(opened, &chat, text.data(), text.size(), &bytes,
                           error, sizeof error);
  };
  qcc_status status = render();
  if (status == QCC_E_SPACE) {
    text.resize(bytes);
    status = render();
  }
  if (status != QCC_OK)
    throw Failure{error};
  text.resize(bytes);
  std::vector<int32_t> tokens = tokenize(text, QCC_TOKENIZE_PARSE);
  // Templates write bos themselves, but not all that should do.
  if (numbers.add_bos && numbers.bos >= 0 &&
      (tokens.empty() || tokens.front() != numbers.bos))
    tokens.insert(tokens.begin(), numbers.bos);
  return tokens;
}

//===----------------------------------------------------------------------===//
// Signals
//===----------------------------------------------------------------------===//

static std::atomic<qcc_session *> running{nullptr};
static std::atomic<int> interrupts{0};

static void onInterrupt(int) {
  // Lock-free atomics and qcc_cancel() are safe in a handler.
  int before = interrupts.fetch_add(1);
  if (qcc_session *session = running.load()) {
    if (before)
      _exit(interruptedCode);
    qcc_cancel(session, 1);
  }
}

struct SignalScope::Saved {
  struct sigaction interrupt, pipe;
};

SignalScope::SignalScope() : saved(new Saved) {
  struct sigaction action = {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = onInterrupt; // no SA_RESTART: a blocked read returns
  sigaction(SIGINT, &action, &saved->interrupt);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, &saved->pipe);
  interrupts = 0;
}

SignalScope::~SignalScope() {
  sigaction(SIGINT, &saved->interrupt, nullptr);
  sigaction(SIGPIPE, &saved->pipe, nullptr);
  delete saved;
}

CancelOnInterrupt::CancelOnInterrupt(qcc_session *session) : session(session) {
  running = session;
}

CancelOnInterrupt::~CancelOnInterrupt() {
  running = nullptr;
  interrupts = 0;
  // One that came after the call's last step must not stop the next call.
  qcc_cancel(session, 0);
}

bool CancelOnInterrupt::interrupted() const { return interrupts != 0; }

bool interruptPending() { return interrupts != 0; }
void clearInterrupt() { interrupts = 0; }

//===----------------------------------------------------------------------===//
// Output
//===----------------------------------------------------------------------===//

void print(std::string_view text) {
  errno = 0;
  if (fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
      fflush(stdout) == 0)
    return;
  if (errno == EPIPE)
    throw Failure{"", 1};
  throw Failure{format("cannot write the output: %s", strerror(errno))};
}

static std::string formatList(const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int bytes = vsnprintf(nullptr, 0, format, arguments);
  std::string text(bytes > 0 ? size_t(bytes) : 0, '\0');
  vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  return text;
}

void printFormatted(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string text = formatList(format, arguments);
  va_end(arguments);
  print(text);
}

void note(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string text = formatList(format, arguments);
  va_end(arguments);
  fprintf(stderr, "%s\n", text.c_str());
}

std::string format(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string text = formatList(format, arguments);
  va_end(arguments);
  return text;
}

PromptProgress::PromptProgress(const char *what)
    : what(what), terminal(isatty(STDERR_FILENO)), start(now()) {}

PromptProgress::~PromptProgress() {
  if (shown)
    fputs("\r\033[K", stderr);
}

void PromptProgress::update(size_t done, size_t total) {
  // Short prompts are done before anybody could read a message.
  if (!terminal || now() - start < 0.5)
    return;
  shown = true;
  fprintf(stderr, "\r%s: %zu of %zu tokens\033[K", what, done, total);
  if (done == total) {
    fputs("\r\033[K", stderr);
    shown = false;
  }
}

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

} // namespace qcc::cli
