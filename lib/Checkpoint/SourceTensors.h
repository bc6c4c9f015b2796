//===- SourceTensors.h - Tensors before they are weights --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The tensors of all files of a folder, under the names that the files give
// them. A quantization method takes those that make up its weights; the rest
// are weights of their own.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_SOURCETENSORS_H
#define QCC_LIB_CHECKPOINT_SOURCETENSORS_H

#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Checkpoint/Safetensors.h"
#include "Json.h"

namespace qcc {

struct SourceTensor {
  SafetensorsEntry entry;
  uint32_t file = 0;
  bool isTaken = false; ///< Part of a weight.
};

class SourceTensors {
public:
  /// Reads the tensors of all files, which must outlive this. Fails on a name
  /// that occurs twice.
  static Result<SourceTensors> read(const std::vector<Checkpoint::File> &files);

  /// In order of name.
  std::vector<SourceTensor> &all() { return tensors; }
  /// Null when absent.
  SourceTensor *find(std::string_view name);

  const uint8_t *data(const SourceTensor &tensor) const {
    return files[tensor.file].bytes.data() + tensor.entry.offset;
  }
  /// "file: tensor 'name'".
  std::string what(const SourceTensor &tensor) const;
  /// An array of a weight; marks the tensor as taken.
  TensorPart take(SourceTensor &tensor, TextPool &texts) const;

private:
  explicit SourceTensors(const std::vector<Checkpoint::File> &files)
      : files(files) {}

  const std::vector<Checkpoint::File> &files;
  std::vector<SourceTensor> tensors;
};

/// How the weights of a quantization method are put together from tensors.
struct QuantizationMethod {
  /// Takes the tensors of quantized weights and appends these to `out`,
  /// checked. `config` is the quantization config, `where` names it in
  /// messages. Objects of it whose order counts are arrays of [name, value].
  using ReadFn = Error(const Json &config, const std::string &where,
                       SourceTensors &sources, TextPool &texts,
                       std::vector<Tensor> &out);

  const char *name; ///< quant_method in the config: "gptq".
  const char *title;
  ReadFn *read;
};

QuantizationMethod::ReadFn readAutoRound, readAWQ, readBitsandbytes,
    readCompressedTensors, readEXL2, readFP8, readGPTQ, readHQQ, readMXFP4,
    readModelOpt;

/// Whether some are EXL2's, which tools also write without a config.
bool hasEXL2Weights(SourceTensors &sources);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_SOURCETENSORS_H
