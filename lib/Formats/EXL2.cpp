//===- EXL2.cpp - Rows of an EXL2 weight ----------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/StoredFormat.h"
#include "ColumnCodes.h"

using namespace qcc;

namespace {

/// Reads one span after another from the arrays.
class SpanReader {
public:
  SpanReader(const StoredWeight &weight, uint64_t firstRow, unsigned count,
             Fields *out)
      : firstRow(firstRow), count(count), out(out),
        width((weight.rows + 31) / 32 * 32),
        line(weight.arrays[0] + firstRow * 4), scales(weight.arrays[1]),
        maxima(weight.arrays[2]) {}

  void read(uint64_t columns, unsigned bits, unsigned groupColumns) {
    forColumnCodes(line, width * 4, bits, columns / 32, count,
                   [&](unsigned row, uint64_t k, uint8_t code) {
                     out[row].codes[element + k] = code;
                   });
    line += columns / 32 * bits * width * 4;
    element += columns;
    for (uint64_t end = group + columns / groupColumns; group < end; ++group)
      readScales();
  }

private:
  void readScales() {
    uint16_t maximum = loadLE<uint16_t>(maxima + group * 2);
    const uint8_t *nibbles = scales + group * (width / 2);
    for (unsigned i = 0; i < count; ++i) {
      uint64_t row = firstRow + i;
      out[i].scale[group] = maximum;
      out[i].sub[group] = nibbles[row / 2] >> 4 * (row % 2) & 15;
    }
  }

  const uint64_t firstRow;
  const unsigned count;
  Fields *const out;
  const uint64_t width; ///< Columns of the arrays.
  const uint8_t *line, *scales, *maxima;
  uint64_t element = 0, group = 0;
};

void unpackRows(const StoredWeight &weight, uint64_t firstRow, unsigned count,
                Fields *out) {
  const Encoding &encoding = weight.encoding;
  for (unsigned row = 0; row < count; ++row)
    out[row].resize(encoding, weight.columns);
  SpanReader reader(weight, firstRow, count, out);
  for (const Encoding::Span &span : encoding.spans)
    reader.read(span.columns, span.bits, span.group);
  if (encoding.spans.empty())
    reader.read(weight.columns, encoding.bits, encoding.group);
}

/// Element j is the place of the j-th number that was sorted.
void unpackOrder(const StoredWeight &weight, uint64_t, unsigned count,
                 Fields *out) {
  for (unsigned row = 0; row < count; ++row) {
    out[row].resize(weight.encoding, weight.columns);
    for (uint64_t k = 0; k < weight.columns; ++k) {
      uint64_t place = weight.numbers[0] == 2
                           ? loadLE<uint16_t>(weight.arrays[0] + k * 2)
                           : loadLE<uint32_t>(weight.arrays[0] + k * 4);
      out[row].floats[place] = bitsFromFloat(float(k));
    }
  }
}

constexpr const char *kArrays[] = {"q_weight", "q_scale", "q_scale_max"};
constexpr const char *kPlaces[] = {"q_invperm"};

} // namespace

const StoredFormat qcc::kEXL2Format = {"EXL2", kArrays, unpackRows};
const StoredFormat qcc::kPlacesFormat = {"order", kPlaces, unpackOrder};
