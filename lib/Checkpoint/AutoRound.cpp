//===- AutoRound.cpp - Weights of AutoRound checkpoints -------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// AutoRound writes the arrays of others, by "packing_format":
//
//   auto_round:auto_gptq               GPTQ, zero points less one
//   auto_round, auto_round:gptqmodel   GPTQ, zero points as they are
//   auto_round:auto_awq                AWQ (GEMM)
//
// "extra_config" has other bits, group sizes or symmetry for some modules, by
// name or by a regular expression that matches anywhere in it; 16 bits are
// those of modules that are not quantized. A name goes before expressions, and
// of these the first that matches decides.
//===----------------------------------------------------------------------===//

#include "AWQ.h"
#include "GPTQ.h"
#include "Pattern.h"

using namespace qcc;

namespace {

struct Packing {
  const char *name;
  bool isAWQ, isV2;
};

constexpr Packing kPackings[] = {
    {"auto_round:auto_gptq", false, false},
    {"auto_round:gptq", false, false},
    {"auto_round", false, true},
    {"auto_round:gptqmodel", false, true},
    {"auto_round:auto_awq", true, false},
    {"auto_round:awq", true, false},
};

class AutoRoundReader {
public:
  AutoRoundReader(const Json &config, const std::string &where,
                  SourceTensors &sources, TextPool &texts,
                  std::vector<Tensor> &out)
      : config(config), where(where), sources(sources), texts(texts), out(out),
        orders(out) {}

  Error read() {
    if (!readConfig() || !readExceptions())
      return std::move(error);
    static constexpr std::string_view suffix = ".qweight";
    for (SourceTensor &tensor : sources.all()) {
      const std::string &name = tensor.entry.name;
      if (!name.ends_with(suffix))
        continue;
      if (!readModule(tensor, name.substr(0, name.size() - suffix.size())))
        return std::move(error);
    }
    return Error();
  }

private:
  struct Exception {
    std::string name;
    GPTQScheme scheme;
    bool isFloat = false;
  };

  bool fail(Error why) {
    error = std::move(why);
    return false;
  }

  bool readConfig() {
    JsonFields fields(config, where);
    std::string name = fields.text("packing_format", "");
    base.isSymmetric = fields.flag("sym", true);
    // Without it readers take the first, in which asymmetric weights would be
    // wrong if it were another.
    if (name.empty() && !base.isSymmetric)
      fields.fail("key 'packing_format' is missing, which says how zero points "
                  "are stored");
    if (name.empty() || name == "auto")
      name = kPackings[0].name;
    std::string supported;
    for (const Packing &known : kPackings) {
      supported += (supported.empty() ? "" : ", ") + std::string(known.name);
      if (name == known.name)
        packing = &known;
    }
    if (!packing) {
      fields.fail("AutoRound in packing " + quoted(name) +
                  " is not supported yet (supported: " + supported + ")");
      return fail(std::move(fields.error));
    }
    base.format = name;
    base.isV2 = packing->isV2;
    for (const char *key : {"bits", "group_size"})
      if (!fields.has(key))
        fields.fail("key " + quoted(key) + " is missing");
    bool isFloat = false;
    return readFields(fields, base, isFloat);
  }

  /// The fields of all modules or of an exception.
  bool readFields(JsonFields &fields, GPTQScheme &scheme, bool &isFloat) {
    std::string type = fields.text("data_type", "int");
    isFloat = fields.integer("bits", 0) >= 16;
    if (isFloat && &scheme == &base)
      fields.fail("key 'bits': expected fewer than 16, got " +
                  std::to_string(fields.integer("bits", 0)));
    if (type != "int" && !isFloat)
      fields.fail("AutoRound with data of type " + quoted(type) +
                  " is not supported yet (supported: int)");
    for (const char *key : {"rotation_config", "spinquant_config"})
      if (fields.has(key))
        fields.fail("AutoRound with rotated weights (key " + quoted(key) +
                    ") is not supported yet");
    if (!isFloat && packing->isAWQ) {
      int64_t bits = fields.integer("bits", scheme.bits);
      scheme.group = fields.integer("group_size", scheme.group);
      checkAWQ(fields, bits, scheme.group);
      scheme.bits = 4;
    } else if (!isFloat) {
      readGPTQFields(fields, scheme);
    }
    return !fields.error || fail(std::move(fields.error));
  }

  bool readExceptions() {
    auto extra = config.find("extra_config");
    if (extra == config.end() || extra->is_null())
      return true;
    // Members came as an array of [name, value], in their order.
    if (!extra->is_array())
      return fail(mismatchError(where + ": key 'extra_config'", "an object",
                                extra->type_name()));
    for (const Json &entry : *extra) {
      Exception exception;
      exception.name = entry[0].get_ref<const std::string &>();
      const std::string what =
          where + ": extra_config: " + quoted(exception.name);
      if (!entry[1].is_object())
        return fail(mismatchError(what, "an object", entry[1].type_name()));
      JsonFields fields(entry[1], what);
      exception.scheme = base;
      if (!readFields(fields, exception.scheme, exception.isFloat))
        return false;
      if (isModule(exception.name)) {
        exact.emplace(exception.name, std::move(exception));
        continue;
      }
      if (Error why = patterns.add(exception.name))
        return fail(Error(where + ": extra_config: " + why.message()));
      matched.push_back(std::move(exception));
    }
    return true;
  }

  bool isModule(const std::string &name) {
    return sources.find(name + ".qweight") || sources.find(name + ".weight");
  }

  bool readModule(const SourceTensor &tensor, const std::string &module) {
    const Exception *exception = nullptr;
    if (auto it = exact.find(module); it != exact.end()) {
      exception = &it->second;
    } else {
      Result<size_t> index =
          patterns.find(module, PatternList::Begin::Anywhere);
      if (!index)
        return fail(Error(where + ": extra_config: " + index.message()));
      if (*index < matched.size())
        exception = &matched[*index];
    }
    if (exception && exception->isFloat)
      return fail(mismatchError(sources.what(tensor),
                                "no codes, as 'extra_config' has it under " +
                                    quoted(exception->name),
                                "some"));
    const GPTQScheme &scheme = exception ? exception->scheme : base;
    Result<Tensor> weight =
        packing->isAWQ ? readAWQWeight({AWQPacking::GEMM, scheme.group},
                                       sources, texts, module)
                       : readGPTQWeight(scheme, sources, texts, orders, module);
    if (!weight)
      return fail(weight.takeError());
    out.push_back(std::move(*weight));
    return true;
  }

  const Json &config;
  const std::string &where;
  SourceTensors &sources;
  TextPool &texts;
  std::vector<Tensor> &out;
  ElementOrders orders;
  const Packing *packing = nullptr;
  GPTQScheme base;
  std::map<std::string, Exception> exact;
  PatternList patterns;
  std::vector<Exception> matched; ///< In the order of their patterns.
  Error error;
};

} // namespace

Error qcc::readAutoRound(const Json &config, const std::string &where,
                         SourceTensors &sources, TextPool &texts,
                         std::vector<Tensor> &out) {
  return AutoRoundReader(config, where, sources, texts, out).read();
}
