//===- QuantizedModule.h - One quantized weight's arrays --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_QUANTIZEDMODULE_H
#define QCC_LIB_CHECKPOINT_QUANTIZEDMODULE_H

#include <algorithm>
#include "SourceTensors.h"

namespace qcc {

/// The most in or out features, which keeps products below 2^64.
inline constexpr uint64_t kMaxFeatures = uint64_t(1) << 28;
/// What an encoding allows.
inline constexpr uint64_t kMaxSuperBlock = uint64_t(1) << 24;

/// Appends what `read(module, tensor)` makes of each tensor "<module><suffix>".
template <typename Read>
Error readModules(SourceTensors &sources, std::string_view suffix,
                  std::vector<Tensor> &out, const Read &read) {
  for (SourceTensor &tensor : sources.all()) {
    const std::string &name = tensor.entry.name;
    if (!name.ends_with(suffix))
      continue;
    Result<Tensor> weight =
        read(name.substr(0, name.size() - suffix.size()), tensor);
    if (!weight)
      return weight.takeError();
    out.push_back(std::move(*weight));
  }
  return Error();
}

/// What readers of quantized modules share: they find the arrays "module.x",
/// check them and put them together. A check that fails keeps the error and
/// returns false.
class QuantizedModule {
protected:
  QuantizedModule(SourceTensors &sources, TextPool &texts, std::string module)
      : sources(sources), texts(texts), module(std::move(module)) {}

  bool fail(const SourceTensor &tensor, std::string_view expected,
            std::string_view got) {
    error = mismatchError(sources.what(tensor), expected, got);
    return false;
  }
  bool fail(std::string message) {
    error = Error(std::move(message));
    return false;
  }
  bool checkType(const SourceTensor &tensor, std::string_view type) {
    return tensor.entry.type->name == type ||
           fail(tensor, "dtype " + std::string(type), tensor.entry.type->name);
  }
  bool checkShape(const SourceTensor &tensor, std::vector<uint64_t> shape) {
    return tensor.entry.shape == shape ||
           fail(tensor, "shape " + shapeText(shape),
                shapeText(tensor.entry.shape));
  }
  bool checkMatrix(const SourceTensor &tensor) {
    const std::vector<uint64_t> &shape = tensor.entry.shape;
    auto isSize = [](uint64_t size) { return size && size <= kMaxFeatures; };
    return (shape.size() == 2 && isSize(shape[0]) && isSize(shape[1])) ||
           fail(tensor, "two dimensions of 1 to 2^28", shapeText(shape));
  }
  /// None for what is not F32, F16 or BF16.
  static ScalarType floatType(const SourceTensor &tensor) {
    std::string_view name = tensor.entry.type->name;
    return name == "F32"    ? ScalarType::F32
           : name == "F16"  ? ScalarType::F16
           : name == "BF16" ? ScalarType::BF16
                            : ScalarType::None;
  }
  bool isZero(const SourceTensor &tensor) const {
    const uint8_t *data = sources.data(tensor);
    return std::all_of(data, data + tensor.entry.bytes,
                       [](uint8_t byte) { return byte == 0; });
  }
  /// "module.x", or null.
  SourceTensor *find(std::string_view array) {
    return sources.find(module + "." + std::string(array));
  }
  /// The same; its absence is an error that names `other`.
  SourceTensor *need(std::string_view array, const SourceTensor &other) {
    SourceTensor *tensor = find(array);
    if (!tensor)
      fail(sources.what(other) + " comes without " +
           quoted(module + "." + std::string(array)));
    return tensor;
  }

  /// Makes `parts` (null ones left out) the arrays of `tensor`, which lies
  /// where the first does. Those that the format reads come first, in its
  /// order.
  void takeParts(Tensor &tensor, const std::vector<SourceTensor *> &parts) {
    tensor.file = parts.front()->file;
    tensor.offset = parts.front()->entry.offset;
    for (SourceTensor *part : parts)
      if (part) {
        tensor.bytes += part->entry.bytes;
        tensor.parts.push_back(sources.take(*part, texts));
      }
  }

  SourceTensors &sources;
  TextPool &texts;
  const std::string module;
  Error error;
};

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_QUANTIZEDMODULE_H
