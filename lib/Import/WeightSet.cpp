//===- WeightSet.cpp - Tensors of a checkpoint as weights -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "WeightSet.h"

#include "qcc/Formats/PackedLayout.h"

#include <cmath>

using namespace mlir;
using namespace qcc;

WeightSet::WeightSet(ModuleOp module, const Checkpoint &checkpoint,
                     const WeightNames &names)
    : module(module), checkpoint(checkpoint), names(names),
      declarations(OpBuilder::atBlockBegin(module.getBody())) {}

void WeightSet::fail(const std::string &message) {
  if (!error)
    error = checkpoint.error(message);
}

static std::string supportedTypes() {
  std::string names;
  for (const GGMLType &type : ggmlTypes())
    if (type.encoding)
      names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

/// The encoding of a weight in `tensor`. Codes of rows are none of columns.
static qz::EncodingAttr encodingOf(MLIRContext *context, const Tensor &tensor,
                                   const WeightSource &source) {
  Encoding encoding = *tensor.encoding();
  if (source.isTurned && !encoding.isFloat()) {
    encoding = Encoding();
    encoding.element = ScalarType::F32;
  }
  // The scale of a panel is not that of its rows in another one.
  auto fills = [](uint64_t rows) { return rows % PackedLayout::kRows == 0; };
  if (encoding.commonScale && (!encoding.isTwoLevel() || encoding.splitScale) &&
      !source.tensor.empty() &&
      !(fills(source.first) && fills(source.run) && fills(source.stride)))
    encoding.commonScale = false;
  return qz::EncodingAttr::fromEncoding(context, encoding);
}

std::string WeightSet::shapeText(const Tensor &tensor,
                                 ArrayRef<int64_t> shape) const {
  SmallVector<int64_t> sizes(shape);
  if (checkpoint.naming() == Naming::GGUF || tensor.format == &kStridedFormat)
    std::reverse(sizes.begin(), sizes.end());
  std::string text;
  for (int64_t size : sizes)
    text += (text.empty() ? "[" : ", ") + std::to_string(size);
  return text + "]";
}

void WeightSet::missing(ArrayRef<std::string> names) {
  std::string others;
  for (const std::string &name : names.drop_front())
    others += (others.empty() ? "; " : " or ") + quoted(name);
  fail("tensor " + quoted(names.front()) + " is missing" +
       (others.empty() ? "" : others + " would do as well"));
}

bool WeightSet::declare(const Tensor &tensor, const WeightSource &source,
                        ArrayRef<int64_t> shape) {
  // The file has the contiguous dimension first.
  SmallVector<int64_t> found(tensor.dims.rbegin(), tensor.dims.rend());
  // A matrix of one row may be stored as a vector.
  if (found.size() == 1 && shape.size() == 2)
    found.insert(found.begin(), 1);
  SmallVector<int64_t> stored(shape);
  if (!source.tensor.empty() && shape.size() == 3)
    stored = {0, source.isTurned ? shape[1] : shape[2]};
  if (!source.tensor.empty())
    stored.front() = source.tensorRows;
  if (found != stored) {
    fail("tensor " + quoted(tensor.name) + ": expected shape " +
         shapeText(tensor, stored) + ", got " +
         shapeText(tensor, SmallVector<int64_t>(tensor.dims.rbegin(),
                                                tensor.dims.rend())));
    return false;
  }
  if (!tensor.encoding()) {
    fail("tensor " + quoted(tensor.name) + " has type " + tensor.typeName() +
         ", which is not supported yet (supported: " + supportedTypes() + ")");
    return false;
  }
  if (shape.size() == 1 && !tensor.encoding()->isFloat()) {
    fail("tensor " + quoted(tensor.name) +
         ": expected a float type for a vector, got " + tensor.typeName());
    return false;
  }
  used.emplace(tensor.name);
  if (declared.insert(source.name).second) {
    MLIRContext *context = module.getContext();
    qz::RowsAttr rows;
    if (!source.tensor.empty())
      rows = qz::RowsAttr::get(context, source.tensor, source.first, source.run,
                               source.stride, source.isTurned);
    auto type = qz::QTensorType::getChecked(
        [&] { return emitError(module.getLoc()); }, context, shape,
        encodingOf(context, tensor, source));
    if (!type) {
      fail("tensor " + quoted(tensor.name) + " has an impossible shape " +
           tensor.shape());
      return false;
    }
    qz::WeightOp::create(declarations, module.getLoc(), StringRef(source.name),
                         type, rows, FlatSymbolRefAttr(), qz::LayoutAttr(),
                         IntegerAttr(), IntegerAttr());
  }
  return true;
}

mlir::Value WeightSet::dequantized(OpBuilder &builder,
                                   const WeightSource &source,
                                   ArrayRef<int64_t> shape) {
  Location loc = module.getLoc();
  auto result = RankedTensorType::get(shape, builder.getF32Type());
  const Tensor *tensor = find(source.from());
  if (!tensor)
    missing({source.from()});
  if (!tensor || !declare(*tensor, source, shape))
    // The module is thrown away; a value of the right type ends the building.
    return UnrealizedConversionCastOp::create(builder, loc, result,
                                              ValueRange())
        .getResult(0);
  auto type =
      qz::QTensorType::get(builder.getContext(), shape,
                           encodingOf(builder.getContext(), *tensor, source));
  mlir::Value weight =
      qz::UseOp::create(builder, loc, type, StringRef(source.name));
  return qz::DequantizeOp::create(builder, loc, result, weight);
}

/// The name of the bias that belongs to a weight.
static std::string biasOf(const std::string &weight) {
  return weight.empty() ? "" : weight.substr(0, weight.rfind('.')) + ".bias";
}

mlir::Value WeightSet::bias(OpBuilder &builder, const WeightSource &weight,
                            int64_t size, bool isRequired) {
  WeightSource source = weight;
  source.name = biasOf(weight.name);
  source.tensor = biasOf(weight.tensor);
  if (const Tensor *tensor = find(source.from()))
    // One of zeros changes nothing; checkAllUsed looks at its shape.
    return isZeroVector(*tensor) ? mlir::Value()
                                 : dequantized(builder, source, {size});
  // Readers of quantized weights take those of zeros.
  const Tensor *matrix = find(weight.from());
  bool isTaken =
      matrix && llvm::any_of(matrix->parts, [&](const TensorPart &part) {
        return part.name == source.from();
      });
  if (isRequired && !isTaken)
    missing({source.from()});
  return {};
}

mlir::Value WeightSet::expertBias(OpBuilder &builder, const std::string &name,
                                  int64_t experts, int64_t size,
                                  bool isRequired) {
  std::string biasName = biasOf(name);
  const Tensor *tensor = find(biasName);
  if (!tensor) {
    if (isRequired)
      missing({biasName});
    return {};
  }
  if (tensor->encoding() && !tensor->encoding()->isFloat())
    fail("tensor " + quoted(biasName) +
         ": expected a float type for biases, got " + tensor->typeName());
  return dequantized(builder, {biasName}, {experts, size});
}

std::string WeightSet::pick(const std::string &prefix,
                            ArrayRef<std::string_view> names) const {
  for (std::string_view name : names)
    if (!name.empty() && find(prefix + std::string(name)))
      return prefix + std::string(name);
  return prefix + std::string(names.front());
}

mlir::Value WeightSet::orderOf(OpBuilder &builder, const WeightSource &weight,
                               int64_t size) {
  const Tensor *tensor = find(weight.from());
  const Tensor *order =
      tensor && !tensor->order.empty() ? find(tensor->order) : nullptr;
  if (!order || !declare(*order, {std::string(order->name)}, {size}))
    return {};
  MLIRContext *context = builder.getContext();
  auto type = qz::QTensorType::get(
      context, {size},
      qz::EncodingAttr::fromEncoding(context, *order->encoding()));
  return qz::UseOp::create(builder, module.getLoc(), type,
                           StringRef(order->name));
}

void WeightSet::expectSameOrder(std::initializer_list<WeightSource> weights) {
  const std::string &first = weights.begin()->from();
  for (const WeightSource &weight : weights) {
    const Tensor *a = find(first), *b = find(weight.from());
    if (a && b && a->order != b->order)
      fail("tensors " + quoted(first) + " and " + quoted(weight.from()) +
           ": expected the same order of k (g_idx), which is all that is "
           "supported yet");
  }
}

void WeightSet::expectNoOrder(const WeightSource &weight) {
  const Tensor *tensor = find(weight.from());
  if (tensor && !tensor->order.empty())
    fail("tensor " + quoted(tensor->name) +
         ": an order of k (g_idx) is not supported here");
}

void WeightSet::ignoreLayers(uint32_t first, uint32_t count) {
  for (uint32_t layer = first; layer < first + count; ++layer)
    ignoredPrefixes.push_back(std::string(names.layerPrefix) +
                              std::to_string(layer) + ".");
}

ArrayRef<float> WeightSet::ropeDivisors(size_t count, bool isLong) {
  if (!divisors.empty() || error)
    return divisors;
  const Tensor *tensor = nullptr;
  for (std::string_view name :
       {names.ropeDivisors,
        isLong ? names.longRopeDivisors : names.shortRopeDivisors})
    if (!tensor && !name.empty())
      tensor = find(name);
  if (!tensor)
    return {};
  ignore(tensor->name);
  ignore(isLong ? names.shortRopeDivisors : names.longRopeDivisors);
  if (tensor->elements() != count || tensor->dims.size() != 1) {
    fail("tensor " + quoted(tensor->name) + ": expected shape [" +
         std::to_string(count) + "], got " + tensor->shape());
    return {};
  }
  divisors.resize(count);
  checkpoint.decodeRows(*tensor, 0, 1, divisors.data());
  for (float divisor : divisors)
    if (!(divisor > 0) || !std::isfinite(divisor)) {
      fail("tensor " + quoted(tensor->name) + ": expected positive numbers");
      divisors.clear();
      return {};
    }
  return divisors;
}

static bool isFloatVector(const Tensor &tensor) {
  return tensor.dims.size() == 1 && tensor.encoding() &&
         tensor.encoding()->isFloat();
}

bool WeightSet::isZeroVector(const Tensor &tensor) {
  if (!isFloatVector(tensor))
    return false;
  std::vector<float> values(tensor.dims[0]);
  checkpoint.decodeRows(tensor, 0, 1, values.data());
  return llvm::all_of(values, [](float value) { return value == 0; });
}

bool WeightSet::isBias(const Tensor &tensor) {
  std::string name(tensor.name);
  const Tensor *weight = nullptr;
  if (StringRef(name).ends_with(".bias"))
    weight = find(name.substr(0, name.size() - 4) + "weight");
  if (!weight || !used.count(weight->name) || !isFloatVector(tensor))
    return false;
  uint64_t size = weight->dims.size() == 1 ? weight->dims[0] : weight->rows();
  if (tensor.dims[0] != size)
    fail("tensor " + quoted(name) + ": expected shape [" +
         std::to_string(size) + "], got " + tensor.shape());
  else if (!isZeroVector(tensor))
    fail("tensor " + quoted(name) +
         ": a bias that is not zero is not supported here");
  return true;
}

void WeightSet::checkAllUsed() {
  for (const Tensor &tensor : checkpoint.tensors()) {
    bool isIgnored = llvm::any_of(names.ignored, [&](std::string_view end) {
      return !end.empty() && tensor.name.ends_with(end);
    });
    isIgnored |= llvm::any_of(ignoredPrefixes, [&](const std::string &prefix) {
      return tensor.name.starts_with(prefix);
    });
    if (!isIgnored && !used.count(tensor.name) && !isBias(tensor))
      return fail("tensor " + quoted(tensor.name) +
                  " is not part of this architecture");
  }
}
