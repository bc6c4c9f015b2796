//===- WeightSet.cpp - Tensors of a checkpoint as weights -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "WeightSet.h"

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

bool WeightSet::declare(const Tensor &tensor, ArrayRef<int64_t> shape) {
  // The file has the contiguous dimension first.
  SmallVector<int64_t> found(tensor.dims.rbegin(), tensor.dims.rend());
  if (ArrayRef<int64_t>(found) != shape) {
    std::string expected;
    for (int64_t size : llvm::reverse(shape))
      expected += (expected.empty() ? "[" : ", ") + std::to_string(size);
    fail("tensor " + quoted(tensor.name) + ": expected shape " + expected +
         "], got " + tensor.shape());
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
  if (used.insert(std::string(tensor.name)).second) {
    MLIRContext *context = module.getContext();
    auto type = qz::QTensorType::getChecked(
        [&] { return emitError(module.getLoc()); }, context, shape,
        qz::EncodingAttr::fromEncoding(context, *tensor.encoding()));
    if (!type) {
      fail("tensor " + quoted(tensor.name) + " has an impossible shape " +
           tensor.shape());
      return false;
    }
    qz::WeightOp::create(declarations, module.getLoc(), StringRef(tensor.name),
                         type, FlatSymbolRefAttr(), qz::LayoutAttr(),
                         IntegerAttr(), IntegerAttr());
  }
  return true;
}

mlir::Value WeightSet::dequantized(OpBuilder &builder, std::string_view name,
                                   ArrayRef<int64_t> shape) {
  Location loc = module.getLoc();
  auto result = RankedTensorType::get(shape, builder.getF32Type());
  const Tensor *tensor = find(name);
  if (!tensor)
    fail("tensor " + quoted(name) + " is missing");
  if (!tensor || !declare(*tensor, shape))
    // The module is thrown away; a value of the right type ends the building.
    return UnrealizedConversionCastOp::create(builder, loc, result,
                                              ValueRange())
        .getResult(0);
  auto type =
      qz::QTensorType::get(builder.getContext(), shape,
                           qz::EncodingAttr::fromEncoding(builder.getContext(),
                                                          *tensor->encoding()));
  mlir::Value weight = qz::UseOp::create(builder, loc, type, StringRef(name));
  return qz::DequantizeOp::create(builder, loc, result, weight);
}

mlir::Value WeightSet::bias(OpBuilder &builder, std::string_view name,
                            int64_t size, bool isRequired) {
  std::string biasName(name.substr(0, name.rfind('.')));
  biasName += ".bias";
  if (const Tensor *tensor = find(biasName))
    // One of zeros changes nothing; checkAllUsed looks at its shape.
    return isZeroVector(*tensor) ? mlir::Value()
                                 : dequantized(builder, biasName, {size});
  // Readers of quantized weights take those of zeros.
  const Tensor *weight = find(name);
  bool isTaken =
      weight && llvm::any_of(weight->parts, [&](const TensorPart &part) {
        return part.name == biasName;
      });
  if (isRequired && !isTaken)
    fail("tensor " + quoted(biasName) + " is missing");
  return {};
}

mlir::Value WeightSet::orderOf(OpBuilder &builder, std::string_view name,
                               int64_t size) {
  const Tensor *tensor = find(name);
  const Tensor *order =
      tensor && !tensor->order.empty() ? find(tensor->order) : nullptr;
  if (!order || !declare(*order, {size}))
    return {};
  MLIRContext *context = builder.getContext();
  auto type = qz::QTensorType::get(
      context, {size},
      qz::EncodingAttr::fromEncoding(context, *order->encoding()));
  return qz::UseOp::create(builder, module.getLoc(), type,
                           StringRef(order->name));
}

void WeightSet::expectSameOrder(std::initializer_list<std::string> names) {
  const std::string &first = *names.begin();
  for (const std::string &name : names) {
    const Tensor *a = find(first), *b = find(name);
    if (a && b && a->order != b->order)
      fail("tensors " + quoted(first) + " and " + quoted(name) +
           ": expected the same order of k (g_idx), which is all that is "
           "supported yet");
  }
}

ArrayRef<float> WeightSet::ropeDivisors(size_t count) {
  const Tensor *tensor =
      names.ropeDivisors.empty() ? nullptr : find(names.ropeDivisors);
  if (!tensor || !divisors.empty() || error)
    return divisors;
  ignore(names.ropeDivisors);
  if (tensor->elements() != count || tensor->dims.size() != 1) {
    fail("tensor " + quoted(names.ropeDivisors) + ": expected shape [" +
         std::to_string(count) + "], got " + tensor->shape());
    return {};
  }
  divisors.resize(count);
  checkpoint.decodeRows(*tensor, 0, 1, divisors.data());
  for (float divisor : divisors)
    if (!(divisor > 0) || !std::isfinite(divisor)) {
      fail("tensor " + quoted(names.ropeDivisors) +
           ": expected positive numbers");
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
    if (!isIgnored && !used.count(tensor.name) && !isBias(tensor))
      return fail("tensor " + quoted(tensor.name) +
                  " is not part of this architecture");
  }
}
