//===- format-tool.cpp - Decodes blocks for tests in other languages ------===//
// SPDX-License-Identifier: Apache-2.0
//
//   qcc-format-tool types              name id elements bytes encoded?, per
//   line qcc-format-tool decode TYPE        blocks on stdin to f32 on stdout,
//   by the
//                                      scalar definition
//   qcc-format-tool fields TYPE        the same, by unpack and decodeElement
//   qcc-format-tool packed TYPE K      rows of K elements on stdin, packed,
//                                      unpacked and decoded, to f32 on stdout
//   qcc-format-tool round TYPE K       rows of K f32 on stdin, rounded to a
//                                      type of quantizationTypes(): for each
//                                      row K codes, u32 scales, u32 mins,
//                                      zeros, sub, subMin
//   qcc-format-tool bench TYPE         millions of elements a second: unpack,
//                                      pack
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "qcc/Formats/PackedLayout.h"
#include "qcc/Formats/Quantize.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace qcc;

static std::vector<uint8_t> readAll() {
  std::vector<uint8_t> data;
  uint8_t buffer[1 << 16];
  while (size_t count = std::fread(buffer, 1, sizeof(buffer), stdin))
    data.insert(data.end(), buffer, buffer + count);
  return data;
}

static int write(const std::vector<float> &values) {
  return std::fwrite(values.data(), 4, values.size(), stdout) == values.size()
             ? 0
             : 1;
}

static int decode(const GGMLType &type, bool byFields) {
  std::vector<uint8_t> data = readAll();
  size_t count = data.size() / type.blockBytes * type.blockElements;
  std::vector<float> values(count);
  if (!byFields) {
    type.decodeRow(data.data(), count, values.data());
    return write(values);
  }
  Fields fields;
  type.unpackRow(data.data(), count, fields);
  for (size_t k = 0; k < count; ++k)
    values[k] = decodeElement(*type.encoding, fields, k);
  return write(values);
}

static int packed(const GGMLType &type, size_t k) {
  std::vector<uint8_t> data = readAll();
  size_t rows = data.size() / type.rowBytes(k);
  PackedLayout layout(*type.encoding);
  std::vector<uint8_t> weight(layout.bytes(rows, k));
  Fields fields[PackedLayout::kRows];
  for (size_t first = 0; first < rows; first += PackedLayout::kRows) {
    unsigned count =
        unsigned(std::min<size_t>(PackedLayout::kRows, rows - first));
    for (unsigned r = 0; r < count; ++r)
      type.unpackRow(&data[(first + r) * type.rowBytes(k)], k, fields[r]);
    layout.packPanel(
        fields, count, k,
        &weight[first / PackedLayout::kRows * layout.panelBytes(k)]);
  }
  std::vector<float> values;
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t *panel =
        &weight[r / PackedLayout::kRows * layout.panelBytes(k)];
    layout.unpackRow(panel, unsigned(r % PackedLayout::kRows), k, fields[0]);
    for (size_t i = 0; i < k; ++i)
      values.push_back(decodeElement(*type.encoding, fields[0], i));
  }
  return write(values);
}

static int bench(const GGMLType &type) {
  const size_t k = 4096;
  std::vector<uint8_t> row(type.rowBytes(k));
  for (size_t i = 0; i < row.size(); ++i)
    row[i] = uint8_t(37 * i + 11);
  PackedLayout layout(*type.encoding);
  std::vector<uint8_t> panel(layout.panelBytes(k));
  Fields fields[PackedLayout::kRows];
  using Clock = std::chrono::steady_clock;
  std::chrono::duration<double> unpackTime{}, packTime{};
  size_t elements = 0;
  while ((unpackTime + packTime).count() < 0.5) {
    auto start = Clock::now();
    for (Fields &f : fields)
      type.unpackRow(row.data(), k, f);
    auto middle = Clock::now();
    layout.packPanel(fields, PackedLayout::kRows, k, panel.data());
    unpackTime += middle - start;
    packTime += Clock::now() - middle;
    elements += PackedLayout::kRows * k;
  }
  std::printf("%-8s unpack %6.0f  pack %6.0f  M elements/s\n", type.name,
              double(elements) / unpackTime.count() * 1e-6,
              double(elements) / packTime.count() * 1e-6);
  return 0;
}

static int round(const QuantizationType &type, size_t k) {
  std::vector<uint8_t> data = readAll();
  std::vector<float> row(k);
  auto put = [](const auto &values) {
    std::fwrite(values.data(), sizeof(values[0]), values.size(), stdout);
  };
  for (size_t at = 0; at + k * 4 <= data.size(); at += k * 4) {
    std::memcpy(row.data(), &data[at], k * 4);
    Fields fields;
    quantizeRow(type, row.data(), k, fields);
    put(fields.codes);
    put(fields.scale);
    put(fields.min);
    put(fields.zeros);
    put(fields.sub);
    put(fields.subMin);
  }
  return std::fflush(stdout) ? 1 : 0;
}

static int usage() {
  std::fprintf(stderr, "usage: qcc-format-tool types | decode TYPE | fields "
                       "TYPE | packed TYPE K | round TYPE K | bench TYPE\n");
  return 2;
}

int main(int argc, char **argv) {
  std::string command = argc > 1 ? argv[1] : "";
  if (command == "types" && argc == 2) {
    for (const GGMLType &type : ggmlTypes())
      std::printf("%s %u %u %u %d\n", type.name, type.id, type.blockElements,
                  type.blockBytes, type.encoding != nullptr);
    return 0;
  }
  size_t k = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 0;
  if (const QuantizationType *type =
          argc > 2 ? findQuantizationType(argv[2]) : nullptr;
      type && command == "round") {
    Encoding encoding;
    return type->encodingFor(k, encoding) ? round(*type, k) : usage();
  }
  const GGMLType *type = argc > 2 ? findGGMLType(argv[2]) : nullptr;
  if (!type)
    return usage();
  if (command == "decode")
    return decode(*type, false);
  if (!type->encoding)
    return usage();
  if (command == "fields")
    return decode(*type, true);
  if (command == "bench")
    return bench(*type);
  if (command == "packed" && k && k % type->blockElements == 0)
    return packed(*type, k);
  return usage();
}
