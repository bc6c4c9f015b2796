//===- Rope.cpp - How a model's queries and keys turn ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Rope.h"

#include <algorithm>
#include <cmath>

using namespace qcc;

std::vector<float> Rope::frequencies(uint32_t rotaryDim) const {
  std::vector<float> result;
  for (uint32_t i = 0; i < rotaryDim / 2; ++i) {
    float f = float(std::pow(double(base), -2.0 * i / rotaryDim)) / divisor;
    result.push_back(divisors.empty() ? f : f / divisors[i]);
  }
  return result;
}

/// Divisors of Llama 3.1: long waves are slowed by `factor`, short ones stay,
/// those between are interpolated.
static std::vector<float> llama3Divisors(double base, uint32_t rotaryDim,
                                         const ConfigNames &names,
                                         ConfigReader &reader) {
  double factor = reader.real(names.ropeFactor);
  double low = reader.real(names.ropeLowFactor);
  double high = reader.real(names.ropeHighFactor);
  double context = reader.count(names.ropeTrainedContext, kMaxContext);
  if (!(high > low))
    reader.fail(names.ropeHighFactor, "expected more than low_freq_factor");
  std::vector<float> divisors;
  for (uint32_t i = 0; i < rotaryDim / 2; ++i) {
    double wave = 2 * M_PI * std::pow(base, 2.0 * i / rotaryDim);
    double smooth = (context / wave - low) / (high - low);
    smooth = std::clamp(smooth, 0.0, 1.0);
    divisors.push_back(float(1 / ((1 - smooth) / factor + smooth)));
  }
  return divisors;
}

Rope qcc::readRope(const ConfigNames &names, uint32_t rotaryDim,
                   ConfigReader &reader) {
  Rope rope;
  rope.base = reader.realOr(names.ropeBase, rope.base);
  std::string scaling = reader.text(names.ropeScaling);
  bool hasLlama3 = !names.ropeLowFactor[0].empty();
  if (scaling == "linear")
    rope.divisor = reader.real(names.ropeFactor);
  else if (scaling == "llama3" && hasLlama3)
    rope.divisors = llama3Divisors(rope.base, rotaryDim, names, reader);
  else if (!scaling.empty() && scaling != "none" && scaling != "default")
    reader.fail("unsupported rope scaling " + quoted(scaling) +
                " (supported: none, linear" + (hasLlama3 ? ", llama3)" : ")"));
  return rope;
}

Rope qcc::readSlidingRope(const Architecture &arch, const ConfigNames &names,
                          const Rope &full, ConfigReader &reader) {
  std::string scaling = reader.text(names.slidingRopeScaling);
  if (!scaling.empty() && scaling != "default")
    reader.fail(names.slidingRopeScaling,
                "rope scaling " + quoted(scaling) +
                    " of layers with a window is not supported");
  if (arch.slidingRopeBase == 0 && !reader.has(names.slidingRopeBase))
    return full;
  Rope rope;
  rope.base = reader.realOr(names.slidingRopeBase, arch.slidingRopeBase > 0
                                                       ? arch.slidingRopeBase
                                                       : full.base);
  return rope;
}
