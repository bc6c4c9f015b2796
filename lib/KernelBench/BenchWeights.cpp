//===- BenchWeights.cpp - Random weights of any format --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "BenchWeights.h"

#include "qcc/Formats/PackedLayout.h"
#include "RandomBlocks.h"

#include "llvm/ADT/StringRef.h"

#include <algorithm>

using namespace qcc;
using namespace qcc::bench;

llvm::Expected<BenchFormat> BenchFormat::find(const std::string &name) {
  BenchFormat format;
  format.ggml = findGGMLType(llvm::StringRef(name).upper());
  if (format.ggml && format.ggml->encoding)
    return format;
  format = {nullptr, findQuantizationType(llvm::StringRef(name).lower())};
  if (format.rounds)
    return format;
  std::string known;
  auto add = [&](const char *other) {
    known += (known.empty() ? "" : ", ") + std::string(other);
  };
  for (const GGMLType &other : ggmlTypes())
    if (other.encoding)
      add(other.name);
  for (const QuantizationType &other : quantizationTypes())
    if (!findGGMLType(llvm::StringRef(other.name).upper()))
      add(other.name);
  return llvm::createStringError("no matmul of format '" + name +
                                 "' (formats: " + known + ")");
}

llvm::Expected<Encoding> BenchFormat::encodingFor(size_t columns) const {
  // Those that ggml does not have take all rows of whole chunks.
  size_t multiple = ggml ? ggml->blockElements : PackedLayout::kChunk;
  Encoding encoding;
  if (ggml ? columns % multiple == 0 : rounds->encodingFor(columns, encoding))
    return ggml ? *ggml->encoding : encoding;
  return llvm::createStringError(
      llvm::Twine("expected K to be a multiple of ") + llvm::Twine(multiple) +
      " for " + name() + ", got " + llvm::Twine(columns));
}

BenchWeights::BenchWeights(const BenchFormat &format, const Encoding &encoding,
                           size_t rows, size_t columns)
    : format(format), encoding(encoding), columns(columns) {
  if (format.ggml)
    ggmlBlocks = randomBlocks(*format.ggml, rows, columns);
  else
    floats = randomFloats(columns);
}

void BenchWeights::fields(size_t row, Fields &fields) const {
  if (format.ggml)
    return format.ggml->unpackRow(ggmlBlocks.data() +
                                      row * format.ggml->rowBytes(columns),
                                  columns, fields);
  std::vector<float> values(columns);
  std::rotate_copy(floats.begin(), floats.begin() + ptrdiff_t(row % columns),
                   floats.end(), values.begin());
  quantizeRow(*format.rounds, values.data(), columns, fields);
}

void BenchWeights::decode(size_t row, std::vector<float> &values) const {
  Fields fields;
  this->fields(row, fields);
  values.resize(columns);
  for (size_t k = 0; k < columns; ++k)
    values[k] = decodeElement(encoding, fields, k);
}
