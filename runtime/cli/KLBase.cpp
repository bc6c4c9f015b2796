//===- KLBase.cpp - Saved log-probabilities of a text ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "KLBase.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <sys/stat.h>

namespace qcc::cli {

static constexpr char magic[] = "_logits_";

KLReader::KLReader(const std::string &path, uint32_t vocab)
    : path(path), file(fopen(path.c_str(), "rbe")), vocab(vocab) {
  if (!file)
    throw Failure{format("%s: %s", path.c_str(), strerror(errno))};
  char found[8];
  int32_t foundVocab, chunks;
  read(found, sizeof found);
  if (memcmp(found, magic, sizeof found) != 0)
    throw Failure{format("%s: not a file of log-probabilities", path.c_str())};
  read(&chunkContext, sizeof chunkContext);
  read(&foundVocab, sizeof foundVocab);
  read(&chunks, sizeof chunks);
  if (foundVocab < 0 || uint32_t(foundVocab) != vocab)
    throw Failure{format("%s: vocabulary is %d, expected the model's %u",
                         path.c_str(), foundVocab, vocab)};
  struct stat info;
  uint64_t count = uint64_t(chunkContext) * uint64_t(std::max(chunks, 0));
  if (chunks <= 0 || chunkContext < 4 || fstat(fileno(file), &info) != 0 ||
      count > uint64_t(info.st_size) / sizeof(int32_t))
    throw Failure{format("%s: %d chunks of %u tokens do not fit into the file",
                         path.c_str(), chunks, chunkContext)};
  ids.resize(count);
  read(ids.data(), ids.size() * sizeof(int32_t));
  for (int32_t id : ids)
    if (id < 0 || uint32_t(id) >= vocab)
      throw Failure{format("%s: token %d, expected 0 to %u", path.c_str(), id,
                           vocab - 1)};
  row.codes.resize(vocab + vocab % 2);
}

KLReader::~KLReader() {
  if (file)
    fclose(file);
}

void KLReader::read(void *data, size_t bytes) {
  if (fread(data, 1, bytes, file) != bytes)
    throw Failure{format("%s: ends too early", path.c_str())};
}

const KLRow &KLReader::next() {
  read(&row.scale, sizeof row.scale);
  read(&row.lowest, sizeof row.lowest);
  read(row.codes.data(), row.codes.size() * sizeof(uint16_t));
  return row;
}

KLWriter::KLWriter(const std::string &path, uint32_t vocab, uint32_t context,
                   const std::vector<int32_t> &tokens)
    : file(path), vocab(vocab), codes(vocab + vocab % 2) {
  auto chunks = int32_t(tokens.size() / context);
  file.write(magic, 8);
  file.write(&context, sizeof context);
  file.write(&vocab, sizeof vocab);
  file.write(&chunks, sizeof chunks);
  file.write(tokens.data(), tokens.size() * sizeof(int32_t));
}

void KLWriter::add(const float *logits) {
  auto [least, most] = std::minmax_element(logits, logits + vocab);
  float largest = *most, smallest = std::max(*least, largest - 16);
  double sum = 0;
  for (uint32_t i = 0; i < vocab; ++i)
    sum += std::exp(double(logits[i] - largest));
  float lowest = smallest - largest - float(std::log(sum));
  float scale = (largest - smallest) / 65535;
  file.write(&scale, sizeof scale);
  file.write(&lowest, sizeof lowest);
  for (uint32_t i = 0; i < vocab; ++i) {
    float code = scale > 0 && logits[i] > smallest
                     ? std::nearbyint((logits[i] - smallest) / scale)
                     : 0;
    codes[i] = uint16_t(std::min(code, 65535.0f));
  }
  file.write(codes.data(), codes.size() * sizeof(uint16_t));
}

} // namespace qcc::cli
