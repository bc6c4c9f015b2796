//===- AWQ.cpp - Weights of AWQ checkpoints -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A linear layer "m" of `in` to `out` features has, by the packing,
//
//   gemm        m.qweight  i32 [in, out / 8]     codes, packed along out
//               m.qzeros   i32 [groups, out / 8] zero points, packed alike
//               m.scales   f16 [groups, out]
//   gemv        m.qweight  i32 [out, in / 8]     codes, packed along in
//               m.qzeros   i32 [out, width]      zero points, packed alike
//               m.scales   f16 [out, 8 * width]
//   gemv_fast   m.qweight  i16 [out / 4, in]     four rows interleaved
//               m.qzeros   f16 [8 * width, out]  -scale * zero; llm-awq calls
//                                                it scaled_zeros
//               m.scales   f16 [8 * width, out]
//
// with W[n, k] = scales[g, n] * (code[k, n] - zero[g, n]), g = k / group, or
// scales[g, n] * code[k, n] + qzeros[g, n]. `width` is that of groups / 8
// words, rounded up to 2 words for groups of 64 and to 4 for groups of 32; what
// lies behind the groups is not read.
//===----------------------------------------------------------------------===//

#include "AWQ.h"
#include "QuantizedModule.h"

using namespace qcc;

namespace {

struct Packing {
  const char *name;
  AWQPacking packing;
};

constexpr Packing kPackings[] = {
    {"gemm", AWQPacking::GEMM},
    {"gemv", AWQPacking::GEMV},
    {"gemv_fast", AWQPacking::GEMVFast},
};

Result<AWQScheme> readConfig(const Json &config, const std::string &where) {
  JsonFields fields(config, where);
  // Old files have other names for the two.
  int64_t bits = fields.integer("bits", fields.integer("w_bit", 4));
  int64_t group =
      fields.integer("group_size", fields.integer("q_group_size", 128));
  std::string version = fields.text("version", "gemm"), supported;
  std::transform(version.begin(), version.end(), version.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  AWQScheme result;
  result.group = group;
  bool isKnown = false;
  for (const Packing &known : kPackings) {
    supported += (supported.empty() ? "" : ", ") + std::string(known.name);
    if (version != known.name)
      continue;
    isKnown = true;
    result.packing = known.packing;
  }
  checkAWQ(fields, bits, group);
  if (!isKnown)
    fields.fail("AWQ in version " + quoted(version) +
                " is not supported yet (supported: " + supported + ")");
  if (!fields.flag("zero_point", true))
    fields.fail("AWQ without zero points is not supported yet");
  if (fields.error)
    return std::move(fields.error);
  return result;
}

/// Puts one module's weight together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(const AWQScheme &scheme, SourceTensors &sources, TextPool &texts,
               std::string module)
      : QuantizedModule(sources, texts, std::move(module)), scheme(scheme) {}

  Result<Tensor> read() {
    qweight = find("qweight");
    scales = need("scales", *qweight);
    bool isFast = scheme.packing == AWQPacking::GEMVFast;
    qzeros = isFast ? find("scaled_zeros") : nullptr;
    if (scales && !qzeros)
      qzeros = need("qzeros", *qweight);
    if (!scales || !qzeros || !checkCodes() || !checkScales())
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = scheme.packing == AWQPacking::GEMM   ? &kAWQFormat
                    : scheme.packing == AWQPacking::GEMV ? &kAWQGEMVFormat
                                                         : &kAWQFastFormat;
    Encoding &encoding = tensor.storedEncoding;
    encoding.bits = 4;
    encoding.zeroBits = isFast ? 0 : 4;
    encoding.group = unsigned(group);
    encoding.scale = ScalarType::F16;
    encoding.min = isFast ? ScalarType::F16 : ScalarType::None;
    if (scheme.packing == AWQPacking::GEMV)
      tensor.storedNumbers = {width};
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(*qweight) + ": " + problem);
    SourceTensor *bias = find("bias");
    takeParts(tensor, {qweight, scales, qzeros,
                       bias && isZero(*bias) ? bias : nullptr});
    return tensor;
  }

private:
  bool checkCodes() {
    const std::vector<uint64_t> &shape = qweight->entry.shape;
    bool isFast = scheme.packing == AWQPacking::GEMVFast;
    if (!checkType(*qweight, isFast ? "I16" : "I32") || !checkMatrix(*qweight))
      return false;
    switch (scheme.packing) {
    case AWQPacking::GEMM:
      in = shape[0];
      out = shape[1] * 8;
      break;
    case AWQPacking::GEMV:
      in = shape[1] * 8;
      out = shape[0];
      break;
    case AWQPacking::GEMVFast:
      in = shape[1];
      out = shape[0] * 4;
      if (in % 64)
        return fail(*qweight, "columns that are a multiple of 64",
                    shapeText(shape));
      break;
    }
    group = scheme.group == -1 ? in : uint64_t(scheme.group);
    if (in % group)
      return fail(sources.what(*qweight) +
                  ": expected in features that are a multiple of group_size " +
                  std::to_string(group) + ", got " + std::to_string(in));
    if (scheme.packing == AWQPacking::GEMM)
      return true;
    const uint64_t step = group >= 128 ? 1 : group == 64 ? 2 : 4;
    if (group < 128 && group != 64 && group != 32)
      return fail(sources.what(*qweight) +
                  ": expected a group_size of 32, 64 or at least 128 for this "
                  "version, got " +
                  std::to_string(group));
    width = (in / group + 8 * step - 1) / (8 * step) * step;
    return true;
  }

  bool checkScales() {
    std::vector<uint64_t> shape, zeroShape;
    switch (scheme.packing) {
    case AWQPacking::GEMM:
      shape = {in / group, out};
      zeroShape = {in / group, out / 8};
      break;
    case AWQPacking::GEMV:
      shape = {out, 8 * width};
      zeroShape = {out, width};
      break;
    case AWQPacking::GEMVFast:
      shape = zeroShape = {8 * width, out};
      break;
    }
    bool isFast = scheme.packing == AWQPacking::GEMVFast;
    return checkType(*scales, "F16") && checkShape(*scales, shape) &&
           checkType(*qzeros, isFast ? "F16" : "I32") &&
           checkShape(*qzeros, zeroShape);
  }

  const AWQScheme &scheme;
  SourceTensor *qweight = nullptr, *scales = nullptr, *qzeros = nullptr;
  uint64_t in = 0, out = 0, group = 0;
  uint64_t width = 0; ///< Words of zero points for a row.
};

} // namespace

void qcc::checkAWQ(JsonFields &fields, int64_t bits, int64_t group) {
  if (bits != 4)
    fields.fail("AWQ with " + std::to_string(bits) +
                " bits is not supported (supported: 4)");
  if (group != -1 && (group <= 0 || group > 1 << 30))
    fields.fail("key 'group_size': expected -1 or a positive number, got " +
                std::to_string(group));
}

Result<Tensor> qcc::readAWQWeight(const AWQScheme &scheme,
                                  SourceTensors &sources, TextPool &texts,
                                  std::string module) {
  return ModuleReader(scheme, sources, texts, std::move(module)).read();
}

Error qcc::readAWQ(const Json &config, const std::string &where,
                   SourceTensors &sources, TextPool &texts,
                   std::vector<Tensor> &out) {
  Result<AWQScheme> scheme = readConfig(config, where);
  if (!scheme)
    return scheme.takeError();
  return readModules(
      sources, ".qweight", out, [&](std::string module, SourceTensor &) {
        return readAWQWeight(*scheme, sources, texts, std::move(module));
      });
}
