//===- WeightSet.h - Tensors of a checkpoint as weights ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_IMPORT_WEIGHTSET_H
#define QCC_LIB_IMPORT_WEIGHTSET_H

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Import/NameTable.h"

#include "mlir/IR/BuiltinOps.h"

#include <set>

namespace qcc {

/// A weight, and where the checkpoint has it: in the tensor of its name, or as
/// some rows of another one (as in `#qz.rows`).
struct WeightSource {
  std::string name;
  std::string tensor = {}; ///< Empty: the one of that name.
  int64_t first = 0, run = 0, stride = 0;
  int64_t tensorRows = 0; ///< How many rows that tensor must have.
  bool isTurned = false;

  /// The tensor that is read.
  const std::string &from() const { return tensor.empty() ? name : tensor; }
};

/// Declares a `qz.weight` for each tensor on its first use, and keeps the first
/// error; after an error it hands out null values.
class WeightSet {
public:
  WeightSet(mlir::ModuleOp module, const Checkpoint &checkpoint,
            const WeightNames &names);

  const Tensor *find(std::string_view name) const {
    return checkpoint.findTensor(name);
  }
  /// The dequantized value of a weight, which must have `shape` (rows first).
  mlir::Value dequantized(mlir::OpBuilder &builder, const WeightSource &source,
                          llvm::ArrayRef<int64_t> shape);
  /// The bias of the linear layer with this weight and `size` rows; null when
  /// there is none, which is an error if `isRequired`, or one of zeros.
  mlir::Value bias(mlir::OpBuilder &builder, const WeightSource &weight,
                   int64_t size, bool isRequired);
  /// The biases of experts, of weights `name` with `size` rows each; null when
  /// there are none, which is an error if `isRequired`.
  mlir::Value expertBias(mlir::OpBuilder &builder, const std::string &name,
                         int64_t experts, int64_t size, bool isRequired);
  /// The first of the names of a layer's weight that is there; else the first.
  /// `prefix` is the layer's.
  std::string pick(const std::string &prefix,
                   llvm::ArrayRef<std::string_view> names) const;
  /// Sets the error that none of these tensors is there, one of which must be.
  void missing(llvm::ArrayRef<std::string> names);
  /// The order that the columns of a weight stand in, a vector of `size`; null
  /// when that is the model's.
  mlir::Value orderOf(mlir::OpBuilder &builder, const WeightSource &weight,
                      int64_t size);
  /// Sets the error unless these weights, which read the same rows, have their
  /// columns in one order.
  void expectSameOrder(std::initializer_list<WeightSource> weights);
  /// The divisors of rope frequencies that the file brings, or nothing. Of two
  /// kinds, those of long contexts or the others.
  llvm::ArrayRef<float> ropeDivisors(size_t count, bool isLong);
  /// Sets the error when the columns of a weight, of which something else is
  /// made than a linear layer, do not stand in the model's order.
  void expectNoOrder(const WeightSource &weight);
  /// Lets tensors of layers from `first` on, so many, be there without a use.
  void ignoreLayers(uint32_t first, uint32_t count);
  /// Lets tensor `name` be there without a use.
  void ignore(std::string_view name) { used.emplace(name); }
  /// Sets the error when the checkpoint has tensors that nothing used.
  void checkAllUsed();

  Error error;

private:
  bool declare(const Tensor &tensor, const WeightSource &source,
               llvm::ArrayRef<int64_t> shape);
  /// Whether this is the bias of a weight that is used without one. Some tools
  /// write one of zeros for layers without, which changes nothing; another sets
  /// the error.
  bool isBias(const Tensor &tensor);
  /// Whether this is a vector of floats that are all zero.
  bool isZeroVector(const Tensor &tensor);
  void fail(const std::string &message);
  /// Text of sizes, rows first, in the order that the file of `tensor` has.
  std::string shapeText(const Tensor &tensor,
                        llvm::ArrayRef<int64_t> shape) const;

  mlir::ModuleOp module;
  const Checkpoint &checkpoint;
  const WeightNames &names;
  mlir::OpBuilder declarations;
  std::set<std::string, std::less<>> used;     ///< Tensors.
  std::set<std::string, std::less<>> declared; ///< Weights.
  llvm::SmallVector<float> divisors;
  llvm::SmallVector<std::string> ignoredPrefixes;
};

} // namespace qcc

#endif // QCC_LIB_IMPORT_WEIGHTSET_H
