//===- Quantize.cpp - Float checkpoints read as quantized ones ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Quantize.h"
#include <algorithm>

using namespace qcc;

/// Makes the tensor, which is in one range of a file or stored as its
/// transpose, one of codes.
static void roundTensor(Tensor &tensor, const QuantizationType &type,
                        Encoding encoding) {
  const bool isTransposed = tensor.format == &kTransposedFormat;
  const uint64_t source =
      isTransposed ? tensor.storedNumbers[0] : tensor.type->id;
  std::vector<uint64_t> numbers = {
      source, uint64_t(&type - quantizationTypes().data()), isTransposed};
  if (!isTransposed)
    return tensor.storeAs(kRoundedFormat, std::move(encoding),
                          std::move(numbers));
  tensor.format = &kRoundedFormat;
  tensor.storedEncoding = std::move(encoding);
  tensor.storedNumbers = std::move(numbers);
}

Result<Checkpoint>
qcc::quantizeCheckpoint(Checkpoint checkpoint, const QuantizationType &type,
                        std::span<const std::string_view> sensitive) {
  const std::string path = checkpoint.path();
  Checkpoint::Contents contents = std::move(checkpoint).takeContents();
  for (Tensor &tensor : contents.tensors) {
    if (tensor.dims.size() != 2)
      continue;
    bool isPlain = !tensor.format || tensor.format == &kTransposedFormat;
    if (!tensor.encoding() || !tensor.encoding()->isFloat() || !isPlain)
      return mismatchError(path + ": tensor " + quoted(tensor.name),
                           "F32, F16 or BF16, to be rounded to " +
                               std::string(type.name),
                           tensor.typeName());
    bool isSensitive = std::find(sensitive.begin(), sensitive.end(),
                                 tensor.name) != sensitive.end();
    const QuantizationType &wanted =
        isSensitive ? *findQuantizationType(type.sensitive) : type;
    Encoding encoding;
    for (const QuantizationType *fitting :
         {&wanted, findQuantizationType(wanted.fallback)})
      if (fitting->encodingFor(tensor.dims[0], encoding)) {
        roundTensor(tensor, *fitting, encoding);
        break;
      }
  }
  contents.format += ", rounded to " + std::string(type.name);
  return Checkpoint::create(std::move(contents));
}
