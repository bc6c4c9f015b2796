//===- Quantize.cpp - Float checkpoints read as quantized ones ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/Quantize.h"
#include <algorithm>

using namespace qcc;

/// Makes the tensor, which is in one range of a file or strided, one of codes.
static void roundTensor(Tensor &tensor, const QuantizationType &type,
                        Encoding encoding) {
  const uint64_t number = uint64_t(&type - quantizationTypes().data());
  if (!tensor.format)
    return tensor.storeAs(kRoundedFormat, std::move(encoding),
                          {tensor.type->id, number});
  tensor.format = &kRoundedFormat;
  tensor.storedEncoding = std::move(encoding);
  tensor.storedNumbers.insert(tensor.storedNumbers.begin() + 1, number);
}

/// Rounds a matrix, or those of experts; fails when it is quantized already.
static Error roundMatrix(const std::string &path, Tensor &tensor,
                         const QuantizationType &wanted,
                         const QuantizationType &asked) {
  bool isPlain = !tensor.format || tensor.format == &kStridedFormat;
  if (!tensor.encoding() || !tensor.encoding()->isFloat() || !isPlain)
    return mismatchError(path + ": tensor " + quoted(tensor.name),
                         "F32, F16 or BF16, to be rounded to " +
                             std::string(asked.name),
                         tensor.typeName());
  Encoding encoding;
  for (const QuantizationType *fitting :
       {&wanted, findQuantizationType(wanted.fallback)})
    if (fitting->encodingFor(tensor.dims[0], encoding)) {
      roundTensor(tensor, *fitting, encoding);
      break;
    }
  return Error();
}

static Error roundSlices(const std::string &path, Tensor &tensor,
                         const QuantizationType &type) {
  for (Tensor &slice : tensor.slices)
    if (Error why = roundMatrix(path, slice, type, type))
      return why;
  const Tensor &first = tensor.slices.front();
  tensor.type = first.type;
  tensor.format = first.format;
  tensor.storedEncoding = first.storedEncoding;
  tensor.storedNumbers = first.storedNumbers;
  return Error();
}

Result<Checkpoint>
qcc::quantizeCheckpoint(Checkpoint checkpoint, const QuantizationType &type,
                        std::span<const std::string_view> sensitive,
                        std::span<const std::string_view> exact) {
  const std::string path = checkpoint.path();
  Checkpoint::Contents contents = std::move(checkpoint).takeContents();
  for (Tensor &tensor : contents.tensors) {
    bool isExact =
        std::any_of(exact.begin(), exact.end(), [&](std::string_view ending) {
          return !ending.empty() && tensor.name.ends_with(ending);
        });
    if (isExact || tensor.dims.size() < 2 || tensor.dims.size() > 3)
      continue;
    bool isSensitive = std::find(sensitive.begin(), sensitive.end(),
                                 tensor.name) != sensitive.end();
    const QuantizationType &wanted =
        isSensitive ? *findQuantizationType(type.sensitive) : type;
    if (Error why = tensor.slices.empty()
                        ? roundMatrix(path, tensor, wanted, type)
                        : roundSlices(path, tensor, type))
      return why;
  }
  contents.format += ", rounded to " + std::string(type.name);
  return Checkpoint::create(std::move(contents));
}
