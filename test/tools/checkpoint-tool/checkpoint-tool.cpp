//===- checkpoint-tool.cpp - Describes checkpoints for tests --------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Reads requests from stdin, one per line. The path of a checkpoint is answered
// by a line "ok N" and N bytes of JSON (see describeJson). A path, a tab and a
// tensor's name are answered by "ok N" and N bytes, the f32 values that the
// tensor has after its codes and scales were packed and unpacked again. Other
// answers are a line "error MESSAGE".
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Describe.h"
#include "qcc/Formats/PackedWeight.h"
#include <cstdio>
#include <iostream>
#include <string>

using namespace qcc;

static Result<std::string> packedValues(const Checkpoint &checkpoint,
                                        const std::string &name) {
  const Tensor *tensor = checkpoint.findTensor(name);
  if (!tensor || !tensor->encoding())
    return checkpoint.error("no tensor " + quoted(name) + " with an encoding");
  const uint64_t k = tensor->rowElements();
  PackedWeight packed(*tensor->encoding(), k);
  std::vector<uint8_t> panel;
  std::vector<float> values;
  Fields rows[PackedLayout::kRows], unpacked;
  for (uint64_t row = 0; row < tensor->rows(); row += PackedLayout::kRows) {
    unsigned count =
        unsigned(std::min<uint64_t>(PackedLayout::kRows, tensor->rows() - row));
    checkpoint.unpackRows(*tensor, row, count, rows);
    panel.assign(packed.panelBytes, 0);
    packed.packPanel(rows, count, panel.data());
    for (unsigned i = 0; i < count; ++i) {
      packed.unpackRow(panel.data(), i, unpacked);
      for (uint64_t j = 0; j < k; ++j)
        values.push_back(decodeElement(*tensor->encoding(), unpacked, j));
    }
  }
  return std::string(reinterpret_cast<const char *>(values.data()),
                     values.size() * sizeof(float));
}

static Result<std::string> answer(const std::string &line) {
  size_t tab = line.find('\t');
  Result<Checkpoint> checkpoint = openCheckpoint(line.substr(0, tab));
  if (!checkpoint)
    return checkpoint.takeError();
  if (tab == std::string::npos)
    return describeJson(*checkpoint);
  return packedValues(*checkpoint, line.substr(tab + 1));
}

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    Result<std::string> result = answer(line);
    if (!result) {
      std::printf("error %s\n", result.message().c_str());
    } else {
      std::printf("ok %zu\n", result->size());
      std::fwrite(result->data(), 1, result->size(), stdout);
    }
    std::fflush(stdout);
  }
  return 0;
}
