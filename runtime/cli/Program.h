//===- Program.h - What the commands share ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CLI_PROGRAM_H
#define QCC_RUNTIME_CLI_PROGRAM_H

#include "Options.h"

#include <string>
#include <string_view>
#include <vector>

namespace qcc::cli {

/// An error that ends the command: one line of text and the exit code.
struct Failure {
  std::string text;
  int code = 1;
};

constexpr int interruptedCode = 130;

/// The open model and, for commands that need one, a session.
class Program {
public:
  Program(const qcc_api_v1 *api, std::string name, const Options &options);
  Program(const Program &) = delete;
  Program &operator=(const Program &) = delete;
  ~Program();

  const std::string &name() const { return programName; }
  const qcc_model *model() const { return opened; }
  /// Of the moment when the model was opened.
  const qcc_model_info_v1 &info() const { return numbers; }
  /// Of now: what a GPU has in use changes.
  qcc_model_info_v1 currentInfo() const;

  /// Says on stderr why code for a GPU is not used, if there is any.
  void noteUnusedDevice() const;

  /// Creates the session; `context` 0 is the model's own.
  qcc_session *createSession(const Options &options, uint32_t context = 0,
                             uint32_t sequences = 1);
  qcc_session *session() const { return current; }

  /// Throws the session's last error, if `status` is one. A cancelled call
  /// ends the command as an interrupt.
  void check(qcc_status status) const;

  std::vector<int32_t> tokenize(std::string_view text, uint32_t flags) const;
  std::string piece(int32_t token, uint32_t flags = QCC_TEXT_SPECIAL) const;

  /// The conversation as tokens that the model is to continue.
  std::vector<int32_t> chatTokens(const std::vector<qcc_message_v1> &messages,
                                  const Options &options) const;

private:
  std::string programName;
  qcc_model *opened = nullptr;
  qcc_session *current = nullptr;
  qcc_model_info_v1 numbers = {};
};

/// While it lives, Ctrl-C cancels the session's running call; a second one
/// before the call returns ends the process.
class CancelOnInterrupt {
public:
  explicit CancelOnInterrupt(qcc_session *session);
  ~CancelOnInterrupt();
  bool interrupted() const;

private:
  qcc_session *session;
};

/// True once Ctrl-C was pressed outside any CancelOnInterrupt.
bool interruptPending();
void clearInterrupt();

/// Takes over SIGINT and SIGPIPE and gives them back at the end.
class SignalScope {
public:
  SignalScope();
  ~SignalScope();

private:
  struct Saved;
  Saved *saved;
};

/// Writes to stdout at once; throws if that fails. A reader that went away
/// ends the command silently.
void print(std::string_view text);
__attribute__((format(printf, 1, 2))) void printFormatted(const char *format,
                                                          ...);

/// A line on stderr.
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);

/// printf into a string.
__attribute__((format(printf, 1, 2))) std::string format(const char *format,
                                                         ...);

/// Text as a JSON string with its quotes; bytes that are not UTF-8 become
/// U+FFFD.
std::string jsonString(std::string_view text);

/// Shows the progress of a long prompt on stderr, if that is a terminal.
/// A qcc_progress_fn; `user` of prompts is not looked at.
class PromptProgress {
public:
  explicit PromptProgress(const char *what = "prompt");
  ~PromptProgress();
  void update(size_t done, size_t total);

private:
  const char *what;
  bool terminal;
  bool shown = false;
  double start;
};

/// Seconds of a clock that only runs forward.
double now();

/// The header of a C-ordered float32 array in NumPy's format 1.0.
std::string npyHeader(size_t rows, size_t columns);

/// A whole file, or stdin for "-".
std::string readFile(const std::string &path);

/// An output file that appears under its name only when commit() is called.
/// "-" is stdout; pipes and devices are written directly.
class OutputFile {
public:
  explicit OutputFile(const std::string &path);
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;
  ~OutputFile();
  void write(const void *data, size_t bytes);
  void commit();

private:
  [[noreturn]] void fail(int error);
  void flush();
  std::string path, temporary;
  int file = -1;
  std::vector<char> buffer;
};

} // namespace qcc::cli

#endif // QCC_RUNTIME_CLI_PROGRAM_H
