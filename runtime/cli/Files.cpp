//===- Files.cpp - Input and output files, JSON text ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Program.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace qcc::cli {

std::string readFile(const std::string &path) {
  int file =
      path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    throw Failure{format("%s: %s", path.c_str(), strerror(errno))};
  std::string text;
  char buffer[1 << 16];
  int error = 0;
  while (true) {
    ssize_t n = read(file, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR && !interruptPending())
      continue;
    if (n < 0)
      error = errno;
    if (n <= 0)
      break;
    text.append(buffer, size_t(n));
  }
  if (file != STDIN_FILENO)
    close(file);
  if (error == EINTR)
    throw Failure{"", interruptedCode};
  if (error)
    throw Failure{format("%s: %s", path.c_str(), strerror(error))};
  return text;
}

OutputFile::OutputFile(const std::string &path) : path(path) {
  struct stat info;
  if (path == "-") {
    file = dup(STDOUT_FILENO);
  } else if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    temporary = format("%s.tmp.%ld", path.c_str(), long(getpid()));
    file =
        open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0)
      temporary.clear();
  }
  if (file < 0)
    fail(errno);
  buffer.reserve(1 << 20);
}

OutputFile::~OutputFile() {
  if (file >= 0)
    close(file);
  if (!temporary.empty())
    unlink(temporary.c_str());
}

void OutputFile::fail(int error) {
  if (error == EPIPE)
    throw Failure{"", 1};
  std::string text =
      format("%s: cannot write: %s", path.c_str(), strerror(error));
  if (file >= 0)
    close(file);
  file = -1;
  if (!temporary.empty())
    unlink(temporary.c_str());
  temporary.clear();
  throw Failure{text};
}

void OutputFile::flush() {
  for (size_t done = 0; done < buffer.size();) {
    ssize_t n = ::write(file, buffer.data() + done, buffer.size() - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      fail(errno);
    done += size_t(n);
  }
  buffer.clear();
}

void OutputFile::write(const void *data, size_t bytes) {
  const char *from = static_cast<const char *>(data);
  buffer.insert(buffer.end(), from, from + bytes);
  if (buffer.size() >= 1 << 20)
    flush();
}

void OutputFile::commit() {
  flush();
  if (temporary.empty())
    return;
  if (fsync(file) != 0)
    fail(errno);
  int closed = close(file);
  file = -1;
  if (closed != 0 || rename(temporary.c_str(), path.c_str()) != 0)
    fail(errno);
  temporary.clear();
}

std::string npyHeader(size_t rows, size_t columns) {
  std::string text =
      format("{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }",
             rows, columns);
  size_t bytes = (10 + text.size() + 1 + 63) / 64 * 64;
  text.resize(bytes - 11, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += char(text.size() & 0xff);
  header += char(text.size() >> 8);
  return header + text;
}

/// Bytes of the UTF-8 character at the start of `text`, or 0 if there is none.
static size_t characterBytes(std::string_view text) {
  auto byte = [&](size_t i) { return uint8_t(text[i]); };
  uint8_t first = byte(0);
  if (first < 0x80)
    return 1;
  size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes)
    return 0;
  for (size_t i = 1; i < bytes; ++i)
    if ((byte(i) & 0xc0) != 0x80)
      return 0;
  // Overlong forms, surrogates, and what is above U+10FFFF.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f))
    return 0;
  return bytes;
}

std::string jsonString(std::string_view text) {
  std::string result = "\"";
  while (!text.empty()) {
    size_t bytes = characterBytes(text);
    auto c = uint8_t(text[0]);
    if (bytes == 0)
      result += "\\ufffd";
    else if (c == '"' || c == '\\')
      result.append(1, '\\').append(1, char(c));
    else if (c == '\n')
      result += "\\n";
    else if (c == '\t')
      result += "\\t";
    else if (c < 0x20 || c == 0x7f)
      result += format("\\u%04x", c);
    else
      result += text.substr(0, bytes);
    text.remove_prefix(bytes ? bytes : 1);
  }
  return result += '"';
}

} // namespace qcc::cli
