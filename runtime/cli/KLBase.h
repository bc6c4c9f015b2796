//===- KLBase.h - Saved log-probabilities of a text -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The file that llama-perplexity writes with --kl-divergence-base, so that the
// two tools can be compared with each other. Little-endian:
//
//   char magic[8] = "_logits_"; uint32 ctx; int32 vocab; int32 chunks;
//   int32 tokens[chunks * ctx];
//   for each scored position (ctx - 1 - ctx / 2 in each chunk):
//     float scale, lowest; uint16 code[vocab]; uint16 padding[vocab % 2];
//
// log p(i) = lowest + scale * code[i]; codes span the 16 nats below the best.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CLI_KLBASE_H
#define QCC_RUNTIME_CLI_KLBASE_H

#include "Program.h"

#include <memory>

namespace qcc::cli {

class KLRow {
public:
  double logProbability(uint32_t token) const {
    return double(lowest) + double(scale) * codes[token];
  }
  uint16_t code(uint32_t token) const { return codes[token]; }

private:
  friend class KLReader;
  float scale = 0, lowest = 0;
  std::vector<uint16_t> codes;
};

class KLReader {
public:
  KLReader(const std::string &path, uint32_t vocab);
  ~KLReader();
  KLReader(const KLReader &) = delete;
  KLReader &operator=(const KLReader &) = delete;

  uint32_t context() const { return chunkContext; }
  const std::vector<int32_t> &tokens() const { return ids; }

  /// The next scored position; valid until the next call.
  const KLRow &next();

private:
  void read(void *data, size_t bytes);
  std::string path;
  FILE *file;
  uint32_t vocab, chunkContext = 0;
  std::vector<int32_t> ids;
  KLRow row;
};

class KLWriter {
public:
  KLWriter(const std::string &path, uint32_t vocab, uint32_t context,
           const std::vector<int32_t> &tokens);
  /// Adds the next scored position.
  void add(const float *logits);
  void commit() { file.commit(); }

private:
  OutputFile file;
  uint32_t vocab;
  std::vector<uint16_t> codes;
};

} // namespace qcc::cli

#endif // QCC_RUNTIME_CLI_KLBASE_H
