//===- BitsandbytesMatmul.cpp - The same matmul by bitsandbytes -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "BitsandbytesMatmul.h"

#include "llvm/ADT/bit.h"

#include <algorithm>
#include <dlfcn.h>

using namespace qcc;
using namespace qcc::bench;

static uint16_t toBF16(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float fromBF16(uint16_t value) {
  return llvm::bit_cast<float>(uint32_t(value) << 16);
}

llvm::Error BitsandbytesMatmul::open(const std::string &path) {
  // A name without a folder would be looked for elsewhere.
  std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  // Never closed: OpenMP's threads may outlive us.
  void *handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return llvm::createStringError("cannot load bitsandbytes: " +
                                   llvm::Twine(dlerror()));
  function = reinterpret_cast<Function *>(
      dlsym(handle, "gemv_4bit_inference_cpu_nf4_bf16"));
  auto *isThere =
      reinterpret_cast<bool (*)()>(dlsym(handle, "has_avx512bf16_cpu"));
  auto *setThreads =
      reinterpret_cast<void (*)(int)>(dlsym(handle, "omp_set_num_threads"));
  if (!function || !isThere || !setThreads)
    return llvm::createStringError(
        path + ": expected libbitsandbytes_cpu.so of bitsandbytes 0.49 or "
               "later, built with AVX512-BF16 and OpenMP");
  if (!isThere())
    return llvm::createStringError(
        path + ": the matmul of bitsandbytes needs AVX512-BF16");
  setThreads(1);
  return llvm::Error::success();
}

llvm::Expected<std::unique_ptr<Peer>>
BitsandbytesMatmul::create(const std::string &library, const Encoding &encoding,
                           const PeerShape &shape, const BenchWeights &weights,
                           const std::vector<float> &input, size_t copies) {
  auto self = std::make_unique<BitsandbytesMatmul>();
  if (llvm::Error error = self->open(library))
    return std::move(error);
  if (shape.rows % kBlockRows || shape.columns % encoding.group)
    return llvm::createStringError(
        "expected N to be a multiple of 32 and K one of %u for bitsandbytes, "
        "got %zu and %zu",
        unsigned(encoding.group), shape.rows, shape.columns);
  self->shape = shape;
  self->group = encoding.group;
  self->input = input;
  self->halfInput.resize(input.size());
  self->halfResult.resize(shape.tokens * shape.rows);
  self->pack(weights, copies);
  return self;
}

/// Of the 64 codes of two columns of 32 rows, in the order row, column, byte b
/// has number b in its low four bits and 32 + b in the others.
void BitsandbytesMatmul::pack(const BenchWeights &weights, size_t copies) {
  codes.resize(shape.rows * shape.columns / 2);
  scales.resize(shape.rows * (shape.columns / group));
  Fields fields;
  for (size_t row = 0; row < shape.rows; ++row) {
    weights.fields(row, fields);
    for (size_t k = 0; k < shape.columns; ++k) {
      size_t number = row % kBlockRows * 2 + k % 2;
      size_t at = (row / kBlockRows * (shape.columns / 2) + k / 2) * kBlockRows;
      codes[at + number % 32] |= uint8_t(fields.codes[k] << number / 32 * 4);
    }
    for (size_t g = 0; g < fields.scale.size(); ++g)
      scales[g * shape.rows + row] =
          toBF16(llvm::bit_cast<float>(fields.scale[g]));
  }
  auto repeat = [&](auto &values) {
    size_t size = values.size();
    values.resize(size * copies);
    for (size_t i = 1; i < copies; ++i)
      std::copy_n(values.begin(), size, values.begin() + ptrdiff_t(i * size));
  };
  repeat(codes);
  repeat(scales);
}

bool BitsandbytesMatmul::multiply(size_t copy) {
  std::transform(input.begin(), input.end(), halfInput.begin(), toBF16);
  function(int64_t(shape.tokens), int64_t(shape.rows), int64_t(shape.columns),
           halfInput.data(),
           codes.data() + copy * shape.rows * shape.columns / 2,
           scales.data() + copy * shape.rows * (shape.columns / group),
           halfResult.data(), int64_t(group), int64_t(shape.columns),
           int64_t(shape.rows));
  return true;
}

std::vector<float> BitsandbytesMatmul::results() const {
  std::vector<float> values(halfResult.size());
  std::transform(halfResult.begin(), halfResult.end(), values.begin(),
                 fromBF16);
  return values;
}
