//===- GPTQConfig.cpp - What a GPTQ config says of each module ------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Parameters for all modules, and under "dynamic" others for some: a regular
// expression that matches the beginning of a module's name, and what is
// different there. The first that matches decides. "-:" before it says that the
// module is not quantized, "+:" says nothing.
//===----------------------------------------------------------------------===//

#include "GPTQ.h"
#include "Pattern.h"
#include "QuantizedModule.h"

using namespace qcc;

void qcc::readGPTQFields(JsonFields &fields, GPTQScheme &scheme) {
  int64_t bits = fields.integer("bits", scheme.bits);
  scheme.group = fields.integer("group_size", scheme.group);
  scheme.isSymmetric = fields.flag("sym", scheme.isSymmetric);
  scheme.hasActOrder = fields.flag("desc_act", scheme.hasActOrder);
  if (bits >= 5 && bits <= 7)
    fields.fail("GPTQ with " + std::to_string(bits) +
                " bits is not supported yet (supported: 2, 3, 4, 8)");
  else if (bits < 2 || bits > 8)
    fields.fail("key 'bits': expected 2, 3, 4 or 8, got " +
                std::to_string(bits));
  if (scheme.group != -1 && (scheme.group <= 0 || scheme.group > 1 << 30))
    fields.fail("key 'group_size': expected -1 or a positive number, got " +
                std::to_string(scheme.group));
  scheme.bits = unsigned(bits);
}

namespace {

/// A member that says something.
bool isSet(const Json &object, const char *key) {
  auto it = object.find(key);
  return it != object.end() && !it->is_null() && !it->empty() &&
         *it != Json(false);
}

/// Fails on what nothing here knows of.
void refuseOthers(JsonFields &fields, const Json &object) {
  if (std::string word = fields.text("pack_dtype", "int32"); word != "int32")
    fields.fail("GPTQ packed in " + quoted(word) +
                " is not supported yet (supported: int32)");
  if (isSet(object, "rotation"))
    fields.fail("GPTQ of rotated weights (key 'rotation') is not supported "
                "yet");
  if (isSet(object, "adapter"))
    fields.fail("adapters (key 'adapter') are not supported yet");
}

Result<GPTQScheme> readScheme(const Json &config, const std::string &where) {
  JsonFields fields(config, where);
  GPTQScheme result;
  // Old files have AWQ's names for the two.
  auto old = [&](const char *key, const char *name) {
    if (!fields.has(key) && !fields.has(name))
      fields.fail("key " + quoted(key) + " is missing");
    return fields.integer(name, 0);
  };
  int64_t bits = old("bits", "w_bit");
  result.bits = bits > 0 && bits < 256 ? unsigned(bits) : 0;
  result.group = old("group_size", "q_group_size");
  result.format =
      fields.text("checkpoint_format", fields.text("format", "gptq"));
  if (fields.flag("is_marlin_format", false))
    result.format = "marlin";
  result.isV2 = result.format == "gptq_v2";
  if (!result.isV2 && result.format != "gptq")
    fields.fail("GPTQ in format " + quoted(result.format) +
                " is not supported yet (supported: gptq, gptq_v2)");
  std::string other = fields.text("format", result.format);
  if (other != result.format)
    fields.fail("key 'format': expected " + quoted(result.format) +
                ", as checkpoint_format has, got " + quoted(other));
  refuseOthers(fields, config);
  readGPTQFields(fields, result);
  if (fields.error)
    return std::move(fields.error);
  return result;
}

/// The parameters of each module.
class Schemes {
public:
  static Result<Schemes> read(const Json &config, const std::string &where) {
    Result<GPTQScheme> base = readScheme(config, where);
    if (!base)
      return base.takeError();
    Schemes result;
    result.base = *base;
    auto dynamic = config.find("dynamic");
    if (dynamic == config.end() || dynamic->is_null())
      return result;
    // Members came as an array of [name, value], in their order.
    if (!dynamic->is_array())
      return mismatchError(where + ": key 'dynamic'", "an object",
                           dynamic->type_name());
    for (const Json &entry : *dynamic)
      if (Error error = result.addRule(entry[0].get_ref<const std::string &>(),
                                       entry[1], where + ": dynamic: "))
        return error;
    return result;
  }

  /// Null for a module that is not quantized; `rule` becomes what said so.
  Result<const GPTQScheme *> of(const std::string &module, std::string &rule) {
    Result<size_t> index = patterns.find(module, PatternList::Begin::Front);
    if (!index)
      return index.takeError();
    if (*index == rules.size())
      return &base;
    rule = rules[*index].name;
    return rules[*index].scheme ? &*rules[*index].scheme : nullptr;
  }

private:
  struct Rule {
    std::string name;
    std::optional<GPTQScheme> scheme; ///< Empty: not quantized.
  };

  Error addRule(const std::string &name, const Json &values,
                const std::string &where) {
    bool isFloat = name.starts_with("-:");
    std::string_view pattern = name;
    if (isFloat || pattern.starts_with("+:"))
      pattern.remove_prefix(2);
    if (Error error = patterns.add(pattern))
      return Error(where + error.message());
    Rule &rule = rules.emplace_back(Rule{name, std::nullopt});
    if (isFloat)
      return Error();
    const std::string what = where + quoted(name);
    if (!values.is_object())
      return mismatchError(what, "an object", values.type_name());
    JsonFields fields(values, what);
    rule.scheme = base;
    readGPTQFields(fields, *rule.scheme);
    for (const char *key : {"format", "checkpoint_format"})
      if (std::string format = fields.text(key, base.format);
          format != base.format)
        fields.fail("key " + quoted(key) + ": expected " + quoted(base.format) +
                    ", as the other modules have, got " + quoted(format));
    refuseOthers(fields, values);
    return std::move(fields.error);
  }

  GPTQScheme base;
  PatternList patterns;
  std::vector<Rule> rules; ///< In the order of their patterns.
};

} // namespace

Error qcc::readGPTQ(const Json &config, const std::string &where,
                    SourceTensors &sources, TextPool &texts,
                    std::vector<Tensor> &out) {
  Result<Schemes> schemes = Schemes::read(config, where);
  if (!schemes)
    return schemes.takeError();
  ElementOrders orders(out);
  return readModules(
      sources, ".qweight", out,
      [&](std::string module, SourceTensor &tensor) -> Result<Tensor> {
        std::string rule;
        Result<const GPTQScheme *> scheme = schemes->of(module, rule);
        if (!scheme)
          return Error(where + ": dynamic: " + scheme.message());
        if (!*scheme)
          return mismatchError(
              sources.what(tensor),
              "no codes, as 'dynamic' has it under " + quoted(rule), "some");
        return readGPTQWeight(**scheme, sources, texts, orders,
                              std::move(module));
      });
}
