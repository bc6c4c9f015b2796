//===- MatmulInputs.cpp - What enters each matmul, as NPY files -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulInputs.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <new>
#include <sys/stat.h>
#include <unistd.h>

namespace qcc::cli {

namespace {

/// Inputs of one step, at most.
constexpr uint64_t maxInputBytes = uint64_t(64) << 20;

/// Floats with the alignment that steps want.
class FloatBuffer {
public:
  explicit FloatBuffer(uint64_t count) {
    void *memory = nullptr;
    if (posix_memalign(&memory, 64, count * sizeof(float)))
      throw std::bad_alloc();
    floats.reset(static_cast<float *>(memory));
  }
  float *data() const { return floats.get(); }

private:
  struct Free {
    void operator()(float *memory) const { free(memory); }
  };
  std::unique_ptr<float, Free> floats;
};

/// The folder, under another name until commit(). Its files grow by turns and
/// are open only then: there are more of them than a process may have open.
class InputFolder {
public:
  InputFolder(const Program &program, const std::string &path);
  InputFolder(const InputFolder &) = delete;
  InputFolder &operator=(const InputFolder &) = delete;
  ~InputFolder();
  /// Makes the folder and the headers of its files.
  void create(size_t positions);
  void append(const float *inputs, size_t rows);
  void commit();

private:
  std::string fileOf(const qcc_matmul_info_v1 &matmul) const {
    return temporary + "/" + matmul.weight + ".npy";
  }
  static void write(const std::string &name, int flags, const void *data,
                    size_t bytes);
  std::vector<qcc_matmul_info_v1> matmuls;
  std::string path, temporary;
};

} // namespace

InputFolder::InputFolder(const Program &program, const std::string &folder)
    : path(folder.substr(0, folder.find_last_not_of('/') + 1)) {
  const qcc_model_info_v1 &info = program.info();
  if (info.matmul_count == 0)
    throw Failure{format("target %s does not give inputs of matmuls; compile "
                         "the model with --target reference",
                         info.target)};
  for (uint32_t i = 0; i < info.matmul_count; ++i) {
    qcc_matmul_info_v1 matmul = {};
    matmul.struct_size = sizeof matmul;
    program.check(qcc_matmul(program.model(), i, &matmul));
    if (strchr(matmul.weight, '/'))
      throw Failure{format("weight %s: its name is no name of a file",
                           jsonString(matmul.weight).c_str())};
    matmuls.push_back(matmul);
  }
}

void InputFolder::create(size_t positions) {
  struct stat exists;
  if (lstat(path.c_str(), &exists) == 0)
    throw Failure{format("%s: exists already", path.c_str())};
  std::string name = format("%s.tmp.%ld", path.c_str(), long(getpid()));
  if (mkdir(name.c_str(), 0777) != 0)
    throw Failure{format("%s: cannot make this folder: %s", path.c_str(),
                         strerror(errno))};
  temporary = name;
  for (const qcc_matmul_info_v1 &matmul : matmuls) {
    std::string header = npyHeader(positions, matmul.columns);
    write(fileOf(matmul), O_CREAT | O_EXCL, header.data(), header.size());
  }
}

InputFolder::~InputFolder() {
  if (temporary.empty())
    return;
  for (const qcc_matmul_info_v1 &matmul : matmuls)
    unlink(fileOf(matmul).c_str());
  rmdir(temporary.c_str());
}

void InputFolder::write(const std::string &name, int flags, const void *data,
                        size_t bytes) {
  int file = open(name.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0666);
  bool failed = file < 0;
  for (size_t done = 0; !failed && done < bytes;) {
    ssize_t n =
        ::write(file, static_cast<const char *>(data) + done, bytes - done);
    if (n >= 0)
      done += size_t(n);
    else
      failed = errno != EINTR;
  }
  int error = errno;
  if (file >= 0 && close(file) != 0 && !failed) {
    failed = true;
    error = errno;
  }
  if (failed)
    throw Failure{
        format("%s: cannot write: %s", name.c_str(), strerror(error))};
}

void InputFolder::append(const float *inputs, size_t rows) {
  for (const qcc_matmul_info_v1 &matmul : matmuls)
    write(fileOf(matmul), 0, inputs + matmul.first * rows,
          rows * matmul.columns * sizeof(float));
}

void InputFolder::commit() {
  if (rename(temporary.c_str(), path.c_str()) != 0)
    throw Failure{format("%s: %s", path.c_str(), strerror(errno))};
  temporary.clear();
}

void writeMatmulInputs(Program &program, const Options &options,
                       const std::vector<int32_t> &tokens, OutputFile &file,
                       const std::string &path) {
  const qcc_model_info_v1 &info = program.info();
  InputFolder folder(program, path);
  folder.create(tokens.size());
  const uint64_t inputBytes = info.matmul_columns * sizeof(float);
  const uint64_t most = std::clamp<uint64_t>(
      maxInputBytes / inputBytes, 1,
      options.batch ? std::min(options.batch, info.row_capacity)
                    : info.row_capacity);
  FloatBuffer inputs(most * info.matmul_columns), logits(most * info.vocab);
  std::vector<uint32_t> sequence(most, 0), output(most);
  for (size_t i = 0; i < most; ++i)
    output[i] = uint32_t(i);

  PromptProgress progress("logits");
  CancelOnInterrupt cancel(program.session());
  for (size_t done = 0; done < tokens.size();) {
    size_t rows = std::min<size_t>(most, tokens.size() - done);
    qcc_rows_v1 step = {};
    step.struct_size = sizeof step;
    step.flags = options.batch == 1 ? 0 : QCC_ROWS_PROMPT;
    step.rows = step.outputs = uint32_t(rows);
    step.token = tokens.data() + done;
    step.sequence = sequence.data();
    step.output = output.data();
    step.logits = logits.data();
    step.matmul_inputs = inputs.data();
    program.check(qcc_step(program.session(), &step));
    folder.append(inputs.data(), rows);
    file.write(logits.data(), rows * info.vocab * sizeof(float));
    done += rows;
    progress.update(done, tokens.size());
  }
  folder.commit();
}

} // namespace qcc::cli
