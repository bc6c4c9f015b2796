//===- ModelOpt.cpp - Weights of NVIDIA's ModelOpt ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A linear layer "m" of `in` to `out` features has, by "quant_algo",
//
//   NVFP4   m.weight          u8 [out, in / 2]
//           m.weight_scale    f8_e4m3 [out, in / 16]
//           m.weight_scale_2  f32 []
//   FP8     m.weight          f8_e4m3 [out, in]
//           m.weight_scale    f32 []
//
// and m.input_scale for activations, which is not used here.
//===----------------------------------------------------------------------===//

#include "FP4.h"
#include "FP8.h"
#include "QuantizedModule.h"

using namespace qcc;

Error qcc::readModelOpt(const Json &config, const std::string &where,
                        SourceTensors &sources, TextPool &texts,
                        std::vector<Tensor> &out) {
  JsonFields fields(config, where);
  std::string algorithm = fields.text("quant_algo", "");
  if (!fields.has("quant_algo"))
    fields.fail("key 'quant_algo' is missing");
  else if (algorithm != "FP8" && algorithm != "NVFP4")
    fields.fail("ModelOpt by " + quoted(algorithm) +
                " is not supported yet (supported: FP8, NVFP4)");
  if (fields.error)
    return std::move(fields.error);
  if (algorithm == "FP8")
    return readFP8Weights({}, "weight_scale", sources, texts, out);
  return readModules(
      sources, ".weight_scale_2", out,
      [&](std::string module, SourceTensor &tensor) -> Result<Tensor> {
        if (!sources.find(module + ".weight"))
          return Error(sources.what(tensor) + " comes without " +
                       quoted(module + ".weight"));
        return readFP4Weight(kModelOptNVFP4Layout, sources, texts,
                             std::move(module));
      });
}
