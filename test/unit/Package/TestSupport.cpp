//===- TestSupport.cpp - Helpers of the packaging tests -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TestSupport.h"

#include "llvm/Support/MemoryBuffer.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

TempFolder::TempFolder() {
  std::string name =
      (std::filesystem::temp_directory_path() / "qcc-package-XXXXXX").string();
  if (!::mkdtemp(name.data()))
    ADD_FAILURE() << "cannot create a temporary folder";
  folder = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}

std::vector<std::string> TempFolder::entries() const {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Forks; the child's descriptor 3 (`body`'s argument) is read to its end.
static Outcome collect(const std::function<int(int)> &body) {
  int ends[2];
  if (::pipe(ends) != 0)
    return {};
  std::fflush(nullptr);
  pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    ::_exit(body(ends[1]));
  }
  ::close(ends[1]);
  Outcome outcome;
  char buffer[4096];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    outcome.output.append(buffer, n);
  ::close(ends[0]);
  int status = 0;
  if (child > 0 && ::waitpid(child, &status, 0) == child)
    outcome.status =
        WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return outcome;
}

Outcome run(const std::vector<std::string> &command) {
  return collect([&](int out) {
    ::dup2(out, 1);
    ::dup2(out, 2);
    std::vector<char *> arguments;
    for (const std::string &text : command)
      arguments.push_back(const_cast<char *>(text.c_str()));
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    return 127;
  });
}

Outcome inChild(const std::function<int(std::string &)> &body) {
  return collect([&](int out) {
    std::string message;
    int status = body(message);
    size_t at = 0;
    while (at < message.size()) {
      ssize_t n = ::write(out, message.data() + at, message.size() - at);
      if (n <= 0)
        return 125;
      at += n;
    }
    return status;
  });
}

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

void writeFile(const std::string &path, const std::string &content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string patternedWeights(size_t bytes) {
  std::string weights(bytes, '\0');
  uint64_t state = 0x9e3779b97f4a7c15;
  for (char &c : weights) {
    state = state * 6364136223846793005 + 1442695040888963407;
    c = static_cast<char>(state >> 56);
  }
  return weights;
}

std::string expectedReport(int model, const std::string &weights) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : weights)
    hash = (hash ^ c) * 1099511628211u;
  char line[128];
  std::snprintf(line, sizeof line, "model %d\nweights %zu at 0 hash %016llx\n",
                model, weights.size(), static_cast<unsigned long long>(hash));
  return line;
}

qcc::WeightStream streamOf(const std::string &weights) {
  return {weights.size(), [&weights](qcc::WeightSink &sink) -> llvm::Error {
            size_t at = 0, piece = 1;
            while (at < weights.size()) {
              size_t part = std::min(piece, weights.size() - at);
              if (llvm::Error error = sink.append(weights.data() + at, part))
                return error;
              at += part;
              piece = piece * 3 + 1;
            }
            return llvm::Error::success();
          }};
}

std::string packageObject(const std::string &object,
                          const qcc::WeightStream &weights,
                          const qcc::PackageOptions &options) {
  auto buffer = llvm::MemoryBuffer::getFile(object);
  if (!buffer)
    return "no object " + object;
  if (llvm::Error error =
          qcc::package((*buffer)->getMemBufferRef(), weights, options))
    return llvm::toString(std::move(error));
  return "";
}

qcc::PackageOptions optionsFor(const std::string &output,
                               qcc::PackageOptions::Kind kind) {
  qcc::PackageOptions options;
  options.output = output;
  options.kind = kind;
  options.supportDir = PACKAGE_SUPPORT_DIR;
  return options;
}
