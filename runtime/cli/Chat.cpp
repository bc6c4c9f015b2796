//===- Chat.cpp - A conversation ------------------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Each turn renders the whole conversation with the model's template and keeps
// the state of the tokens that it shares with what was evaluated before, so
// that any template works and only new text costs time.
//===----------------------------------------------------------------------===//

#include "Answer.h"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

namespace qcc::cli {

namespace {

enum class Input { Line, End, Interrupt };

/// Reads lines from stdin; unlike stdio it returns when a signal arrives.
class LineReader {
public:
  Input next(std::string &line) {
    while (true) {
      size_t end = buffer.find('\n');
      if (end != std::string::npos) {
        line = buffer.substr(0, end);
        buffer.erase(0, end + 1);
        return Input::Line;
      }
      char piece[4096];
      ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
      if (n < 0 && errno == EINTR) {
        if (interruptPending())
          return Input::Interrupt;
        continue;
      }
      if (n < 0)
        throw Failure{"cannot read the input"};
      if (n == 0) {
        if (buffer.empty())
          return Input::End;
        line = std::move(buffer);
        buffer.clear();
        return Input::Line;
      }
      buffer.append(piece, size_t(n));
    }
  }

private:
  std::string buffer;
};

struct Turn {
  std::string role, content;
};

} // namespace

/// Keeps what the session has in common with `tokens` and returns the rest, at
/// least one token.
static std::vector<int32_t> reuse(Program &program,
                                  const std::vector<int32_t> &tokens) {
  qcc_session *session = program.session();
  const int32_t *old = qcc_tokens(session, 0);
  size_t most = std::min(qcc_length(session, 0), tokens.size() - 1);
  size_t common = 0;
  while (common < most && old[common] == tokens[common])
    ++common;
  program.check(qcc_truncate(session, 0, common));
  return {tokens.begin() + long(common), tokens.end()};
}

/// A line, or several between lines of three double quotes.
static Input readTurn(LineReader &reader, std::string &text) {
  Input input = reader.next(text);
  if (input != Input::Line || text.rfind("\"\"\"", 0) != 0)
    return input;
  text.erase(0, 3);
  while (true) {
    size_t close = text.rfind("\"\"\"");
    if (close != std::string::npos) {
      text.erase(close);
      return Input::Line;
    }
    std::string line;
    input = reader.next(line);
    if (input == Input::End)
      return Input::Line;
    if (input != Input::Line)
      return input;
    text += "\n" + line;
  }
}

int runChat(Program &program, const Options &options) {
  if (!program.info().has_chat_template)
    throw Failure{"this model has no chat template; give a prompt with --raw"};
  program.createSession(options);
  bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
  if (options.verbose)
    noteSettings(program, options);
  if (terminal)
    note("%s. Ctrl-C stops an answer; /reset starts anew; /exit leaves; "
         "\"\"\" begins and ends text of several lines.",
         program.info().name);

  LineReader reader;
  std::vector<Turn> turns;
  auto reset = [&] {
    turns.clear();
    if (!options.system.empty())
      turns.push_back({"system", options.system});
  };
  reset();
  std::string line;
  while (true) {
    clearInterrupt();
    // The prompt is for people; a pipe gets answers only.
    if (terminal)
      fputs("> ", stderr);
    Input input = readTurn(reader, line);
    if (input == Input::Interrupt) {
      fputs("\n", stderr);
      return interruptedCode;
    }
    if (input == Input::End) {
      if (terminal)
        fputs("\n", stderr);
      return 0;
    }
    if (line == "/exit" || line == "/bye" || line == "/quit")
      return 0;
    if (line == "/reset") {
      reset();
      program.check(qcc_reset(program.session(), 0));
      continue;
    }
    if (line == "/help" || line == "/?") {
      note("/reset  start a new conversation\n/exit   leave");
      continue;
    }
    if (line.find_first_not_of(" \t\r") == std::string::npos)
      continue;

    turns.push_back({"user", line});
    std::vector<qcc_message_v1> messages;
    for (const Turn &turn : turns)
      messages.push_back({turn.role.c_str(), turn.content.c_str()});
    Answer answer;
    try {
      std::vector<int32_t> tokens = program.chatTokens(messages, options);
      if (tokens.size() > qcc_context(program.session()))
        throw Failure{format("the conversation has %zu tokens and does not fit "
                             "into the context of %u; /reset starts anew",
                             tokens.size(), qcc_context(program.session()))};
      answer = generateAnswer(program, options, reuse(program, tokens));
    } catch (const Failure &failure) {
      // A person can go on; a script must see that it failed.
      if (!terminal || failure.text.empty())
        throw;
      note("error: %s", failure.text.c_str());
      turns.pop_back();
      continue;
    }
    print(answer.text.empty() || answer.text.back() != '\n' ? "\n" : "");
    if (answer.cancelled && !terminal)
      return interruptedCode;
    if (answer.numbers.stop == QCC_STOP_CONTEXT)
      note("note: the context of %u tokens is full; /reset starts anew",
           qcc_context(program.session()));
    turns.push_back({"assistant", std::move(answer.text)});
    if (options.verbose)
      noteSpeed(program, answer);
  }
}

} // namespace qcc::cli
