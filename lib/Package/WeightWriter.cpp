//===- WeightWriter.cpp - Streams weights into an output file -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "WeightWriter.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/BLAKE3.h"

#include <algorithm>
#include <cstring>
#include <vector>

using namespace qcc;

/// Bytes collected before a write.
static constexpr size_t bufferSize = size_t(4) << 20;
/// Bytes between two hints to start writing back, and between progress calls.
static constexpr uint64_t writebackStep = uint64_t(64) << 20;

WeightSink::~WeightSink() = default;

llvm::Error WeightSink::padTo(uint64_t offset) {
  static constexpr char zeros[4096] = {};
  if (offset < size())
    return llvm::createStringError("cannot pad the weights to byte " +
                                   llvm::Twine(offset) + ": there are " +
                                   llvm::Twine(size()) + " already");
  while (size() < offset)
    if (llvm::Error error =
            append(zeros, std::min<uint64_t>(sizeof zeros, offset - size())))
      return error;
  return llvm::Error::success();
}

namespace {

class FileSink final : public WeightSink {
public:
  FileSink(AtomicFile &file, uint64_t offset, uint64_t total,
           const std::function<void(uint64_t, uint64_t)> &progress)
      : file(file), offset(offset), total(total), progress(progress) {
    buffer.reserve(bufferSize);
  }

  llvm::Error append(const void *data, uint64_t bytes) override {
    if (bytes > total - size())
      return llvm::createStringError(
          "expected " + llvm::Twine(total) + " bytes of weights, got " +
          llvm::Twine(bytes - (total - size())) + " more");
    const char *next = static_cast<const char *>(data);
    while (bytes > 0) {
      uint64_t part = std::min<uint64_t>(bytes, bufferSize - buffer.size());
      buffer.insert(buffer.end(), next, next + part);
      next += part;
      bytes -= part;
      if (buffer.size() == bufferSize)
        if (llvm::Error error = flush())
          return error;
    }
    return llvm::Error::success();
  }

  uint64_t size() const override { return written + buffer.size(); }

  /// Writes what is left; the stream must be complete.
  llvm::Expected<WeightHash> finish() {
    if (size() != total)
      return llvm::createStringError("expected " + llvm::Twine(total) +
                                     " bytes of weights, got " +
                                     llvm::Twine(size()));
    if (llvm::Error error = flush())
      return error;
    if (progress)
      progress(total, total);
    return hasher.final<32>();
  }

private:
  llvm::Error flush() {
    hasher.update(llvm::ArrayRef<uint8_t>(
        reinterpret_cast<const uint8_t *>(buffer.data()), buffer.size()));
    if (llvm::Error error =
            file.write(buffer.data(), buffer.size(), offset + written))
      return error;
    written += buffer.size();
    buffer.clear();
    if (written - reported >= writebackStep) {
      file.startWriteback(offset + reported, written - reported);
      reported = written;
      if (progress && written != total)
        progress(written, total);
    }
    return llvm::Error::success();
  }

  AtomicFile &file;
  const uint64_t offset, total;
  const std::function<void(uint64_t, uint64_t)> &progress;
  llvm::BLAKE3 hasher;
  std::vector<char> buffer;
  uint64_t written = 0, reported = 0;
};

} // namespace

llvm::Expected<WeightHash>
qcc::writeWeights(const WeightStream &weights, AtomicFile &file,
                  uint64_t offset,
                  const std::function<void(uint64_t, uint64_t)> &progress) {
  FileSink sink(file, offset, weights.bytes, progress);
  if (weights.write)
    if (llvm::Error error = weights.write(sink))
      return error;
  return sink.finish();
}
