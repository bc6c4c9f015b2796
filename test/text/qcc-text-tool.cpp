//===- qcc-text-tool.cpp - Tokenizers and templates for the tests ---------===//
// SPDX-License-Identifier: Apache-2.0
//
// usage: qcc-text-tool build SPEC.json IMAGE
//        qcc-text-tool run [IMAGE]
//
// `run` reads one JSON request a line from standard input and writes one JSON
// answer a line. Bytes that need not be UTF-8 travel as hex.
//   {"op": "tokenize", "text": ... or "hex": ..., "add": bool, "parse": bool}
//   {"op": "detokenize" or "stream", "ids": [...], "special": bool}
//   {"op": "split", "pre": name, "text": ...}: ends of the words, in bytes
//   {"op": "render", "template": ..., "variables": JSON text}
//   {"op": "info"}
//===----------------------------------------------------------------------===//

#include "text/ChatTemplate.h"
#include "text/Tokenizer.h"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

using namespace qcc::text;
using nlohmann::json;

static std::string fromHex(const std::string &hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

static std::string toHex(std::string_view bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string out;
  for (char c : bytes) {
    out += digits[static_cast<uint8_t>(c) >> 4];
    out += digits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

static std::optional<bool> optionalBool(const json &spec, const char *key) {
  if (!spec.contains(key) || spec[key].is_null())
    return std::nullopt;
  return spec[key].get<bool>();
}

static int build(const char *specFile, const char *imageFile) {
  std::ifstream in(specFile);
  json j = json::parse(in);
  TokenizerSpec spec;
  spec.model = j.at("model") == "llama" ? TokenizerSpec::Model::Spm
                                        : TokenizerSpec::Model::Bpe;
  spec.pre = j.value("pre", "");
  // A token that is not UTF-8 is given as {"hex": ...}.
  for (const json &token : j.at("tokens"))
    spec.tokens.push_back(token.is_string() ? token.get<std::string>()
                                            : fromHex(token.at("hex")));
  spec.scores = j.value("scores", spec.scores);
  spec.types = j.value("types", spec.types);
  spec.merges = j.value("merges", spec.merges);
  spec.bos = j.value("bos", -1);
  spec.eos = j.value("eos", -1);
  spec.eot = j.value("eot", -1);
  spec.eom = j.value("eom", -1);
  spec.unk = j.value("unk", -1);
  spec.pad = j.value("pad", -1);
  spec.addBos = optionalBool(j, "add_bos");
  spec.addEos = optionalBool(j, "add_eos");
  spec.addSpacePrefix = optionalBool(j, "add_space_prefix");
  spec.stopIds = j.value("stop", spec.stopIds);
  std::string error;
  std::vector<uint8_t> image = buildTokenizerImage(spec, error);
  if (image.empty()) {
    std::cerr << "error: " << specFile << ": " << error << "\n";
    return 1;
  }
  std::ofstream out(imageFile, std::ios::binary);
  out.write(reinterpret_cast<const char *>(image.data()),
            static_cast<std::streamsize>(image.size()));
  out.close();
  return out ? 0 : 1;
}

static json answer(const json &request, const Tokenizer *tokenizer) {
  std::string op = request.at("op"), error;
  if (op == "split") {
    static std::map<std::string, std::unique_ptr<PreTokenizer>> known;
    std::unique_ptr<PreTokenizer> &pre = known[request.at("pre")];
    PreTokenizerKind kind;
    if (!pre && findPreTokenizer(request.at("pre").get<std::string>(), kind))
      pre = PreTokenizer::create(kind.index, error);
    std::vector<size_t> ends;
    if (!pre || !pre->split(request.at("text").get<std::string>(), ends, error))
      return {{"error", error}};
    return {{"ends", ends}};
  }
  if (op == "render") {
    static std::map<std::string, std::unique_ptr<ChatTemplate>> known;
    std::unique_ptr<ChatTemplate> &parsed = known[request.at("template")];
    if (!parsed)
      parsed =
          ChatTemplate::parse(request.at("template").get<std::string>(), error);
    if (!parsed)
      return {{"error", error}};
    std::string variables = request.at("variables"), out;
    ChatInput input;
    input.variables = variables;
    input.now = request.value("now", int64_t(0));
    if (!parsed->render(input, out, error))
      return {{"error", error}};
    return {{"text", out}};
  }
  if (!tokenizer)
    return {{"error", "no tokenizer image was given"}};
  if (op == "tokenize") {
    std::string text = request.contains("hex")
                           ? fromHex(request["hex"])
                           : request.at("text").get<std::string>();
    std::vector<int32_t> ids;
    if (!tokenizer->tokenize(text, request.value("add", false),
                             request.value("parse", false), ids, error))
      return {{"error", error}};
    return {{"ids", ids}};
  }
  std::vector<int32_t> ids = request.value("ids", std::vector<int32_t>());
  bool special = request.value("special", false);
  if (op == "detokenize")
    return {{"hex", toHex(tokenizer->detokenize(ids, special))}};
  if (op == "stream") {
    StreamDecoder decoder(*tokenizer, special, request.value("start", false));
    std::vector<std::string> parts;
    for (int32_t id : ids)
      decoder.push(id, parts.emplace_back());
    decoder.finish(parts.emplace_back());
    return {{"parts", parts}};
  }
  if (op == "info") {
    std::vector<int32_t> ends;
    for (uint32_t id = 0; id < tokenizer->vocabSize(); ++id)
      if (tokenizer->isEndOfGeneration(static_cast<int32_t>(id)))
        ends.push_back(static_cast<int32_t>(id));
    return {
        {"vocab", tokenizer->vocabSize()}, {"ends", ends},
        {"bos", tokenizer->bos()},         {"eos", tokenizer->eos()},
        {"eot", tokenizer->eot()},         {"add_bos", tokenizer->addsBos()}};
  }
  return {{"error", "unknown request '" + op + "'"}};
}

static int run(const char *imageFile) {
  std::string image, error;
  std::unique_ptr<Tokenizer> tokenizer;
  if (imageFile) {
    std::ifstream in(imageFile, std::ios::binary);
    image.assign(std::istreambuf_iterator<char>(in), {});
    tokenizer = Tokenizer::open(image.data(), image.size(), error);
    if (!tokenizer) {
      std::cerr << "error: " << imageFile << ": " << error << "\n";
      return 1;
    }
  }
  for (std::string line; std::getline(std::cin, line);)
    std::cout << answer(json::parse(line), tokenizer.get())
                     .dump(-1, ' ', false, json::error_handler_t::replace)
              << "\n";
  return 0;
}

int main(int argc, char **argv) {
  std::string command = argc > 1 ? argv[1] : "";
  if (command == "build" && argc == 4)
    return build(argv[2], argv[3]);
  if (command == "run" && argc <= 3)
    return run(argc == 3 ? argv[2] : nullptr);
  std::cerr << "usage: qcc-text-tool build SPEC.json IMAGE | run [IMAGE]\n";
  return 2;
}
