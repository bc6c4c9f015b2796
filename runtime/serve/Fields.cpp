//===- Fields.cpp - Checked reading of a JSON object ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Fields.h"

#include <cmath>

namespace qcc::serve {

std::string RequestError::type() const {
  switch (status) {
  case 401:
    return "authentication_error";
  case 403:
    return "permission_error";
  case 404:
    return "not_found_error";
  case 408:
    return "timeout_error";
  case 429:
    return "rate_limit_error";
  default:
    return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string kindOf(const Json &value) {
  switch (value.type()) {
  case Json::value_t::object:
    return "an object";
  case Json::value_t::array:
    return "an array";
  case Json::value_t::string:
    return "a string";
  case Json::value_t::boolean:
    return "a boolean";
  case Json::value_t::null:
    return "null";
  default:
    return value.dump(); // a number
  }
}

void refuse(const std::string &name, const std::string &found,
            const std::string &expected) {
  throw RequestError{400, name + " is " + found + ", expected " + expected,
                     name, ""};
}

/// Throws for brackets that are open deeper than maxJsonDepth. (A callback of
/// the parser would tell, but makes it quadratic in the objects of an array.)
static void checkDepth(std::string_view body) {
  unsigned depth = 0;
  bool inString = false;
  for (size_t i = 0; i < body.size(); ++i) {
    char c = body[i];
    if (c == '"')
      inString = !inString;
    else if (inString)
      i += c == '\\'; // what it escapes is part of the string
    else if (c == '[' || c == '{')
      ++depth;
    else if ((c == ']' || c == '}') && depth)
      --depth;
    if (depth > maxJsonDepth)
      throw RequestError{400,
                         "the body is nested more than " +
                             std::to_string(maxJsonDepth) + " deep",
                         "", ""};
  }
}

Json parseObject(std::string_view body) {
  checkDepth(body);
  Json result;
  try {
    result = Json::parse(body.begin(), body.end());
  } catch (const Json::exception &error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ...".
    std::string text = error.what();
    if (size_t end = text.find("] "); end != std::string::npos)
      text.erase(0, end + 2);
    if (text.size() > 200)
      text.resize(200);
    for (char &c : text)
      if (static_cast<unsigned char>(c) >= 0x80)
        c = '?'; // what was found may be a part of a character
    throw RequestError{400, "the body is not JSON: " + text, "", ""};
  }
  if (!result.is_object())
    throw RequestError{
        400, "the body is " + kindOf(result) + ", expected an object", "", ""};
  return result;
}

const Json *Fields::find(const char *name) const {
  auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::flag(const char *name, bool otherwise) const {
  const Json *value = find(name);
  if (!value)
    return otherwise;
  if (!value->is_boolean())
    refuse(name, kindOf(*value), "a boolean");
  return value->get<bool>();
}

int64_t Fields::integer(const char *name, int64_t otherwise, int64_t least,
                        int64_t most) const {
  const Json *value = find(name);
  if (!value)
    return otherwise;
  std::string expected = "an integer from " + std::to_string(least) + " to " +
                         std::to_string(most);
  if (value->is_number_float()) {
    double given = value->get<double>();
    if (given == std::floor(given) && std::abs(given) < 1e15) {
      auto whole = int64_t(given);
      if (whole >= least && whole <= most)
        return whole;
    }
  } else if (value->is_number_unsigned()) {
    auto given = value->get<uint64_t>();
    if (given <= uint64_t(INT64_MAX) && int64_t(given) >= least &&
        int64_t(given) <= most)
      return int64_t(given);
  } else if (value->is_number_integer()) {
    auto given = value->get<int64_t>();
    if (given >= least && given <= most)
      return given;
  }
  refuse(name, kindOf(*value), expected);
}

float Fields::number(const char *name, float otherwise, double least,
                     double most) const {
  const Json *value = find(name);
  if (!value)
    return otherwise;
  if (value->is_number()) {
    double given = value->get<double>();
    if (given >= least && given <= most)
      return float(given);
  }
  char bounds[64];
  snprintf(bounds, sizeof bounds, "a number from %g to %g", least, most);
  refuse(name, kindOf(*value), bounds);
}

std::string Fields::text(const char *name, const std::string &otherwise) const {
  const Json *value = find(name);
  if (!value)
    return otherwise;
  if (!value->is_string())
    refuse(name, kindOf(*value), "a string");
  return value->get_ref<const std::string &>();
}

int32_t tokenId(const Json &value, const std::string &name, uint32_t vocab) {
  if (value.is_number_unsigned() && value.get<uint64_t>() < vocab)
    return int32_t(value.get<uint64_t>());
  refuse(name, kindOf(value), "a token id below " + std::to_string(vocab));
}

} // namespace qcc::serve
