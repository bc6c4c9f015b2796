//===- ReadAll.cpp - Uses all of a checkpoint that was accepted -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ReadAll.h"
#include "qcc/Checkpoint/Describe.h"
#include <span>

using namespace qcc;

template <typename T>
static uint64_t use(const Result<T> &result) {
  return result ? 1 : result.message().size();
}

static uint64_t sumBytes(const uint8_t *data, uint64_t bytes) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < bytes; ++i)
    sum += data[i];
  return sum;
}

/// A tensor of a ggml type.
static uint64_t readBlocks(const Checkpoint &checkpoint, const Tensor &tensor) {
  if (tensor.rows() * tensor.rowBytes() != tensor.bytes)
    __builtin_trap();
  const uint8_t *data = checkpoint.data(tensor);
  // The first block, through the scalar definition.
  float values[256];
  tensor.type->decode(data, values);
  return sumBytes(data, tensor.bytes) + (values[0] == 0.0f);
}

/// A tensor in several arrays: all rows, 16 at a time as a compilation reads.
static uint64_t readParts(const Checkpoint &checkpoint, const Tensor &tensor) {
  if (!tensor.encoding()->check().empty())
    __builtin_trap();
  uint64_t sum = 0;
  for (const TensorPart &part : tensor.parts)
    sum += sumBytes(checkpoint.data(part), part.bytes);
  Fields rows[16];
  for (uint64_t row = 0; row < tensor.rows(); row += 16) {
    unsigned count = unsigned(std::min<uint64_t>(16, tensor.rows() - row));
    checkpoint.unpackRows(tensor, row, count, rows);
    for (const Fields &fields : std::span(rows, count))
      sum += tensor.encoding()->isFloat()
                 ? fields.floats.back()
                 : fields.codes.back() + fields.scale.back();
  }
  return sum;
}

/// One in slices by the slice, then across them.
static uint64_t readTensor(const Checkpoint &checkpoint, const Tensor &tensor) {
  if (tensor.slices.empty())
    return tensor.format ? readParts(checkpoint, tensor)
                         : readBlocks(checkpoint, tensor);
  uint64_t sum = 0;
  for (const Tensor &slice : tensor.slices)
    sum += readTensor(checkpoint, slice);
  return sum + (tensor.encoding() ? readParts(checkpoint, tensor) : 0);
}

uint64_t fuzz::readAll(const Checkpoint &checkpoint) {
  uint64_t sum = 0;
  for (const Tensor &tensor : checkpoint.tensors()) {
    if (checkpoint.findTensor(tensor.name) != &tensor)
      __builtin_trap();
    sum += readTensor(checkpoint, tensor);
  }
  for (const MetadataEntry &entry : checkpoint.metadata()) {
    std::string_view key = entry.key;
    if (checkpoint.findMetadata(key) != &entry.value)
      __builtin_trap();
    // Each key with one kind of accessor, which its name picks.
    switch (uint8_t(key.back()) % 8) {
    case 0:
      sum += use(checkpoint.get<uint8_t>(key)) + use(checkpoint.get<bool>(key));
      break;
    case 1:
      sum += use(checkpoint.get<int8_t>(key)) + use(checkpoint.get<float>(key));
      break;
    case 2:
      sum += use(checkpoint.get<uint32_t>(key));
      break;
    case 3:
      sum += use(checkpoint.get<int32_t>(key));
      break;
    case 4:
      sum += use(checkpoint.get<uint64_t>(key));
      break;
    case 5:
      sum += use(checkpoint.get<double>(key));
      break;
    case 6:
      sum += use(checkpoint.getPerLayer<uint32_t>(key, 3));
      break;
    default:
      sum += use(checkpoint.get<std::string>(key)) +
             use(checkpoint.get<NumberArray<bool>>(key)) +
             use(checkpoint.get<StringArray>(key));
      break;
    }
    if (Result<NumberArray<float>> floats =
            checkpoint.get<NumberArray<float>>(key))
      for (size_t i = 0; i < floats->size(); ++i)
        sum += (*floats)[i] > 0.0f;
    if (Result<NumberArray<int32_t>> ints =
            checkpoint.get<NumberArray<int32_t>>(key))
      for (size_t i = 0; i < ints->size(); ++i)
        sum += uint32_t((*ints)[i]);
  }
  return sum;
}

uint64_t fuzz::describe(const Checkpoint &checkpoint) {
  return describeText(checkpoint).size() + describeJson(checkpoint).size();
}
