//===- ExpertTensors.cpp - The matrices of experts as one tensor ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ExpertTensors.h"
#include <algorithm>
#include <array>
#include <charconv>
#include <map>

using namespace qcc;

//===----------------------------------------------------------------------===//
// Several matrices in one tensor
//===----------------------------------------------------------------------===//

namespace {

/// A part of a tensor, with the numbers of kStridedFormat from R on.
struct Part {
  const char *name;
  std::vector<uint64_t> dims; ///< Contiguous first.
  std::array<uint64_t, 5> strides;
};

} // namespace

static Tensor makePart(const Tensor &whole, const std::string &module,
                       const Part &part, TextPool &texts) {
  std::vector<uint64_t> numbers = {whole.type->id};
  numbers.insert(numbers.end(), part.strides.begin(), part.strides.end());
  Tensor tensor = whole;
  tensor.storeAs(kStridedFormat, *whole.type->encoding, std::move(numbers));
  tensor.name = texts.keep(module + part.name);
  tensor.dims = part.dims;
  return tensor;
}

/// The parts of a tensor, of whose name `part` is what follows the module's.
static std::vector<Part> partsOf(std::string_view part,
                                 const std::vector<uint64_t> &dims,
                                 ExpertLayout layout) {
  const bool isTurned = layout != ExpertLayout::Rows;
  const bool isPaired = layout == ExpertLayout::TurnedPairs;
  if (part == "gate_up_proj") {
    const uint64_t inner = dims[0], middle = dims[1], all = inner * middle;
    const uint64_t columns = isTurned ? middle : inner;
    const uint64_t rows = (isTurned ? inner : middle) / 2;
    const uint64_t up = isPaired ? 1 : isTurned ? rows : rows * inner;
    const uint64_t row = isPaired ? 2 : isTurned ? 1 : inner;
    const uint64_t column = isTurned ? inner : 1;
    std::vector<uint64_t> shape = {columns, rows, dims[2]};
    return {{"gate_proj.weight", shape, {rows, 0, all, row, column}},
            {"up_proj.weight", shape, {rows, up, all, row, column}}};
  }
  if (part == "gate_up_proj_bias")
    return {{"gate_proj.bias", {dims[0] / 2, dims[1]}, {1, 0, dims[0], 0, 2}},
            {"up_proj.bias", {dims[0] / 2, dims[1]}, {1, 1, dims[0], 0, 2}}};
  if (part == "down_proj_bias")
    return {{"down_proj.bias", {dims[0], dims[1]}, {1, 0, dims[0], 0, 1}}};
  const uint64_t all = dims[0] * dims[1];
  if (isTurned)
    return {{"down_proj.weight",
             {dims[1], dims[0], dims[2]},
             {dims[0], 0, all, 1, dims[0]}}};
  return {{"down_proj.weight", dims, {dims[1], 0, all, dims[0], 1}}};
}

/// The module of a tensor's name, with a dot, and the rest of it. Granite calls
/// them otherwise.
static std::pair<std::string, std::string_view>
moduleOf(std::string_view name) {
  constexpr std::string_view kExperts = ".experts.";
  constexpr std::pair<std::string_view, std::string_view> kOthers[] = {
      {"block_sparse_moe.input_linear.weight", "gate_up_proj"},
      {"block_sparse_moe.output_linear.weight", "down_proj"}};
  for (auto [ending, part] : kOthers)
    if (name.ends_with(ending))
      return {std::string(name.substr(0, name.size() - ending.size())) +
                  "block_sparse_moe.experts.",
              part};
  size_t end = name.find(kExperts);
  end = end == std::string_view::npos ? name.size() : end + kExperts.size();
  return {std::string(name.substr(0, end)), name.substr(end)};
}

Error qcc::splitExperts(Checkpoint::Contents &contents, ExpertLayout layout,
                        uint64_t hidden) {
  const bool isPaired = layout == ExpertLayout::TurnedPairs;
  std::vector<Tensor> result;
  for (Tensor &tensor : contents.tensors) {
    auto [module, part] = moduleOf(tensor.name);
    bool isMatrix = part == "gate_up_proj" || part == "down_proj";
    bool isBias = part == "gate_up_proj_bias" || part == "down_proj_bias";
    if (!isMatrix && !(isBias && isPaired)) {
      result.push_back(std::move(tensor));
      continue;
    }
    const std::string what = contents.path + ": tensor " + quoted(tensor.name);
    bool isPair = part.starts_with("gate");
    ExpertLayout own = layout;
    if (layout == ExpertLayout::Turned && tensor.dims.size() == 3 &&
        tensor.dims[isPair ? 0 : 1] == hidden)
      own = ExpertLayout::Rows;
    uint64_t pairs =
        tensor.dims.size() == 3 && own == ExpertLayout::Rows ? 1 : 0;
    if (tensor.dims.size() != (isMatrix ? 3u : 2u) ||
        (isPair && tensor.dims[pairs] % 2))
      return mismatchError(what,
                           std::string(isMatrix ? "three" : "two") +
                               " dimensions, that of gate and up even",
                           tensor.shape());
    if (tensor.format || !tensor.encoding() || !tensor.encoding()->isFloat())
      return mismatchError(what, "F32, F16 or BF16", tensor.typeName());
    for (const Part &made : partsOf(part, tensor.dims, own))
      result.push_back(makePart(tensor, module, made, contents.texts));
  }
  contents.tensors = std::move(result);
  return Error();
}

//===----------------------------------------------------------------------===//
// One matrix or norm in each tensor
//===----------------------------------------------------------------------===//

namespace {

/// Parts of a module that have numbers.
struct List {
  std::string_view mark; ///< before the number
  const char *part;
};

/// A name with the number cut out.
struct NumberedName {
  std::string rest;
  uint32_t number;
};

} // namespace

static std::optional<NumberedName> parseName(std::string_view name,
                                             const List &list) {
  size_t begin = name.find(list.mark);
  if (begin == std::string_view::npos)
    return std::nullopt;
  begin += list.mark.size();
  size_t end = name.find('.', begin);
  if (end == std::string_view::npos)
    return std::nullopt;
  uint32_t number;
  auto [last, error] =
      std::from_chars(name.data() + begin, name.data() + end, number);
  if (error != std::errc() || last != name.data() + end)
    return std::nullopt;
  std::string rest(name.substr(0, begin));
  rest += name.substr(end + 1);
  return NumberedName{std::move(rest), number};
}

/// Null, or how a tensor differs from that of the first expert.
static Error checkSlice(const std::string &path, const Tensor &first,
                        const Tensor &other) {
  const std::string what = path + ": tensor " + quoted(other.name);
  if (other.dims != first.dims)
    return mismatchError(what, "shape " + first.shape() + ", as the first has",
                         other.shape());
  const Encoding *a = first.encoding(), *b = other.encoding();
  bool isSame = a && b ? *a == *b : first.type == other.type;
  if (!isSame)
    return mismatchError(what, first.typeName() + ", as the first has",
                         other.typeName());
  if (!other.order.empty())
    return Error(what + ": experts with an order of k (g_idx) are not "
                        "supported yet");
  return Error();
}

static Result<Tensor> stack(Checkpoint::Contents &contents, const char *part,
                            const std::string &name,
                            const std::map<uint32_t, size_t> &numbered) {
  uint32_t next = 0;
  Tensor result;
  for (auto [number, index] : numbered) {
    Tensor &tensor = contents.tensors[index];
    if (number != next++)
      return Error(contents.path + ": " + part + " " +
                   std::to_string(next - 1) + " is missing beside tensor " +
                   quoted(tensor.name));
    if (tensor.dims.size() > 2 || tensor.dims.empty())
      return mismatchError(contents.path + ": tensor " + quoted(tensor.name),
                           "a matrix or vector", tensor.shape());
    if (result.slices.empty()) {
      result = tensor;
      result.bytes = 0;
      result.parts.clear();
    } else if (Error why =
                   checkSlice(contents.path, result.slices.front(), tensor)) {
      return why;
    }
    result.bytes += tensor.bytes;
    if (tensor.format)
      result.parts.insert(result.parts.end(), tensor.parts.begin(),
                          tensor.parts.end());
    else
      result.parts.push_back(tensor.asPart());
    result.slices.push_back(std::move(tensor));
  }
  if (Error why = checkSlice(contents.path, result.slices[0], result.slices[0]))
    return why;
  result.name = contents.texts.keep(name);
  result.dims.push_back(result.slices.size());
  return result;
}

static Error stackList(Checkpoint::Contents &contents, const List &list) {
  // Of each name without number, the tensors by number.
  std::map<std::string, std::map<uint32_t, size_t>> groups;
  std::vector<bool> isTaken(contents.tensors.size());
  for (size_t i = 0; i < contents.tensors.size(); ++i) {
    auto name = parseName(contents.tensors[i].name, list);
    // A name that occurs twice is left for whoever checks names.
    if (name && groups[name->rest].emplace(name->number, i).second)
      isTaken[i] = true;
  }
  std::vector<Tensor> stacked;
  for (const auto &[name, numbered] : groups) {
    Result<Tensor> tensor = stack(contents, list.part, name, numbered);
    if (!tensor)
      return tensor.takeError();
    stacked.push_back(std::move(*tensor));
  }
  for (size_t i = 0; i < contents.tensors.size(); ++i)
    if (!isTaken[i])
      stacked.push_back(std::move(contents.tensors[i]));
  contents.tensors = std::move(stacked);
  return Error();
}

Error qcc::stackExperts(Checkpoint::Contents &contents) {
  return stackList(contents, {".experts.", "expert"});
}

Error qcc::stackHeadNorms(Checkpoint::Contents &contents) {
  return stackList(contents, {"_layernorm.norms.", "norm"});
}
