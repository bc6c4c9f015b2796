//===- AWQ.cpp - Weights of AWQ checkpoints -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A linear layer "m" of `in` to `out` features has, in AutoAWQ's GEMM packing,
//
//   m.qweight  i32 [in, out / 8]        codes, packed along out
//   m.qzeros   i32 [groups, out / 8]    zero points, packed alike
//   m.scales   f16 [groups, out]
//
// with W[n, k] = scales[g, n] * (code[k, n] - zero[g, n]), g = k / group.
//===----------------------------------------------------------------------===//

#include "QuantizedModule.h"

using namespace qcc;

namespace {

struct AWQConfig {
  int64_t group = 0; ///< -1: one group.
};

Result<AWQConfig> readConfig(const Json &config, const std::string &where) {
  JsonFields fields(config, where);
  // Old files have other names for the two.
  int64_t bits = fields.integer("bits", fields.integer("w_bit", 4));
  int64_t group =
      fields.integer("group_size", fields.integer("q_group_size", 128));
  std::string version = fields.text("version", "gemm");
  std::transform(version.begin(), version.end(), version.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  if (bits != 4)
    fields.fail("AWQ with " + std::to_string(bits) +
                " bits is not supported (supported: 4)");
  if (version != "gemm")
    fields.fail("AWQ in version " + quoted(version) +
                " is not supported yet (supported: gemm)");
  if (!fields.flag("zero_point", true))
    fields.fail("AWQ without zero points is not supported yet");
  if (group != -1 && (group <= 0 || group > 1 << 30))
    fields.fail("key 'group_size': expected -1 or a positive number, got " +
                std::to_string(group));
  if (fields.error)
    return std::move(fields.error);
  return AWQConfig{group};
}

/// Puts one module's weight together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(const AWQConfig &config, SourceTensors &sources, TextPool &texts,
               std::string module)
      : QuantizedModule(sources, texts, std::move(module)), config(config) {}

  Result<Tensor> read() {
    SourceTensor &qweight = *find("qweight");
    SourceTensor *scales = need("scales", qweight);
    SourceTensor *qzeros = scales ? need("qzeros", qweight) : nullptr;
    if (!qzeros || !checkShapes(qweight, *scales, *qzeros))
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = &kAWQFormat;
    Encoding &encoding = tensor.storedEncoding;
    encoding.bits = encoding.zeroBits = 4;
    encoding.group = unsigned(group);
    encoding.scale = ScalarType::F16;
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(qweight) + ": " + problem);
    tensor.file = qweight.file;
    tensor.offset = qweight.entry.offset;
    SourceTensor *bias = find("bias");
    for (SourceTensor *part :
         {&qweight, scales, qzeros, bias && isZero(*bias) ? bias : nullptr})
      if (part) {
        tensor.bytes += part->entry.bytes;
        tensor.parts.push_back(sources.take(*part, texts));
      }
    return tensor;
  }

private:
  bool checkShapes(const SourceTensor &qweight, const SourceTensor &scales,
                   const SourceTensor &qzeros) {
    const std::vector<uint64_t> &shape = qweight.entry.shape;
    if (!checkType(qweight, "I32"))
      return false;
    // The limits keep products below 2^64.
    constexpr uint64_t most = uint64_t(1) << 28;
    if (shape.size() != 2 || shape[0] == 0 || shape[1] == 0 ||
        shape[0] > most || shape[1] > most)
      return fail(qweight, "two dimensions of 1 to 2^28", shapeText(shape));
    in = shape[0];
    out = shape[1] * 8;
    group = config.group == -1 ? in : uint64_t(config.group);
    if (in % group)
      return fail(sources.what(qweight) +
                  ": expected in features that are a multiple of group_size " +
                  std::to_string(group) + ", got " + std::to_string(in));
    return checkType(scales, "F16") && checkShape(scales, {in / group, out}) &&
           checkType(qzeros, "I32") &&
           checkShape(qzeros, {in / group, shape[1]});
  }

  const AWQConfig &config;
  uint64_t in = 0, out = 0, group = 0;
};

} // namespace

Error qcc::readAWQ(const Json &config, const std::string &where,
                   SourceTensors &sources, TextPool &texts,
                   std::vector<Tensor> &out) {
  Result<AWQConfig> parameters = readConfig(config, where);
  if (!parameters)
    return parameters.takeError();
  static constexpr std::string_view suffix = ".qweight";
  for (SourceTensor &tensor : sources.all()) {
    const std::string &name = tensor.entry.name;
    if (!name.ends_with(suffix))
      continue;
    Result<Tensor> weight =
        ModuleReader(*parameters, sources, texts,
                     name.substr(0, name.size() - suffix.size()))
            .read();
    if (!weight)
      return weight.takeError();
    out.push_back(std::move(*weight));
  }
  return Error();
}
