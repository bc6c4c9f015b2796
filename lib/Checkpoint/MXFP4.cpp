//===- MXFP4.cpp - Experts of gpt-oss -------------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The matrices of a layer's E experts, "m" being "...experts.down_proj" or
// "...experts.gate_up_proj", of `in` to `out` features:
//
//   m_blocks  u8 [E, out, in / 32, 16]   E2M1, first of a byte in low bits
//   m_scales  u8 [E, out, in / 32]       powers of two (E8M0)
//
// The rows of gate and up take turns; here they are two tensors, "m.weight" of
// "...experts.gate_proj" and "...experts.up_proj". Expert by expert, one
// dimension is more than a matrix has. The biases are those of float experts
// (ExpertTensors.h).
//===----------------------------------------------------------------------===//

#include "FP4.h"
#include "QuantizedModule.h"

using namespace qcc;

namespace {

constexpr std::string_view kSuffix = "_blocks", kGateUp = "gate_up_proj";

/// Puts the tensors of one module together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(SourceTensors &sources, TextPool &texts, std::string module,
               SourceTensor &blocks)
      : QuantizedModule(sources, texts, std::move(module)), blocks(blocks) {}

  Error read(std::vector<Tensor> &tensors) {
    if (!checkArrays())
      return std::move(error);
    std::vector<std::string> names = {module};
    if (module.ends_with(kGateUp)) {
      const std::string prefix =
          module.substr(0, module.size() - kGateUp.size());
      names = {prefix + "gate_proj", prefix + "up_proj"};
      if (out % 2)
        return mismatchError(sources.what(blocks),
                             "rows of gate and up that take turns",
                             shapeText(blocks.entry.shape));
    }
    for (uint64_t i = 0; i < names.size(); ++i)
      tensors.push_back(weight(names[i], names.size(), i));
    return Error();
  }

private:
  bool checkArrays() {
    const std::vector<uint64_t> &shape = blocks.entry.shape;
    if (!checkType(blocks, "U8"))
      return false;
    if (shape.size() != 4 || shape[3] != 16 ||
        std::find(shape.begin(), shape.end(), 0) != shape.end() ||
        shape[0] > kMaxFeatures / shape[1] || shape[2] > kMaxFeatures / 32)
      return fail(blocks,
                  "experts, rows, groups and 16 bytes, of up to 2^28 rows in "
                  "all",
                  shapeText(shape));
    experts = shape[0];
    out = shape[1];
    in = shape[2] * 32;
    scales = sources.find(module + "_scales");
    if (!scales)
      return fail(sources.what(blocks) + " comes without " +
                  quoted(module + "_scales"));
    return checkType(*scales, "U8") &&
           checkShape(*scales, {experts, out, shape[2]});
  }

  /// Each `step`-th row from `first` on.
  Tensor weight(const std::string &name, uint64_t step, uint64_t first) {
    Tensor tensor;
    tensor.name = texts.keep(name + ".weight");
    tensor.dims = {in, out / step, experts};
    tensor.format = &kMXFP4BlocksFormat;
    tensor.storedEncoding = mxfp4Encoding();
    tensor.storedNumbers = {step, first};
    takeParts(tensor, {&blocks, scales});
    return tensor;
  }

  SourceTensor &blocks;
  SourceTensor *scales = nullptr;
  uint64_t experts = 0, out = 0, in = 0;
};

} // namespace

Error qcc::readMXFP4(const Json &, const std::string &, SourceTensors &sources,
                     TextPool &texts, std::vector<Tensor> &out) {
  for (SourceTensor &tensor : sources.all()) {
    const std::string &name = tensor.entry.name;
    if (!name.ends_with(kSuffix))
      continue;
    if (Error why =
            ModuleReader(sources, texts,
                         name.substr(0, name.size() - kSuffix.size()), tensor)
                .read(out))
      return why;
  }
  return Error();
}
