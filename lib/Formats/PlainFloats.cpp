//===- PlainFloats.cpp - Floats that are not stored as they are -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/GGML.h"
#include "qcc/Formats/StoredFormat.h"

using namespace qcc;

static void unpackOnePlus(const StoredWeight &weight, uint64_t firstRow,
                          unsigned count, Fields *out) {
  const GGMLType &type = *findGGMLType(uint32_t(weight.numbers[0]));
  const size_t rowBytes = type.rowBytes(weight.columns);
  std::vector<float> values(weight.columns);
  for (unsigned row = 0; row < count; ++row) {
    type.decodeRow(weight.arrays[0] + (firstRow + row) * rowBytes,
                   weight.columns, values.data());
    out[row].resize(weight.encoding, weight.columns);
    for (uint64_t i = 0; i < weight.columns; ++i)
      out[row].floats[i] = bitsFromFloat(1.0f + values[i]);
  }
}

/// Calls use(row, k, bytes of the element) with k outside: where rows lie side
/// by side, a cache line serves several of them.
template <typename Use>
static void forElements(const uint8_t *array, size_t size,
                        std::span<const uint64_t> strides, uint64_t columns,
                        uint64_t firstRow, unsigned count, Use use) {
  const uint64_t rows = strides[0];
  std::vector<const uint8_t *> starts(count);
  for (unsigned i = 0; i < count; ++i) {
    const uint64_t row = firstRow + i;
    starts[i] =
        array +
        (strides[1] + row / rows * strides[2] + row % rows * strides[3]) * size;
  }
  for (uint64_t k = 0; k < columns; ++k)
    for (unsigned i = 0; i < count; ++i)
      use(i, k, starts[i] + k * strides[4] * size);
}

static void unpackStrided(const StoredWeight &weight, uint64_t firstRow,
                          unsigned count, Fields *out) {
  const size_t size = scalarBytes(weight.encoding.element);
  for (unsigned i = 0; i < count; ++i)
    out[i].resize(weight.encoding, weight.columns);
  forElements(weight.arrays[0], size, weight.numbers.subspan(1), weight.columns,
              firstRow, count,
              [&](unsigned i, uint64_t k, const uint8_t *element) {
                out[i].floats[k] = size == 4 ? loadLE<uint32_t>(element)
                                             : loadLE<uint16_t>(element);
              });
}

void qcc::decodeStrided(const uint8_t *array, const GGMLType &type,
                        std::span<const uint64_t> strides, uint64_t columns,
                        uint64_t firstRow, unsigned count, float *out) {
  forElements(array, type.rowBytes(1), strides, columns, firstRow, count,
              [&](unsigned i, uint64_t k, const uint8_t *element) {
                type.decodeRow(element, 1, out + i * columns + k);
              });
}

static constexpr const char *kWeight[] = {"weight"};

const StoredFormat qcc::kOnePlusFormat = {"1+w", kWeight, unpackOnePlus};
const StoredFormat qcc::kStridedFormat = {"strided", kWeight, unpackStrided};
