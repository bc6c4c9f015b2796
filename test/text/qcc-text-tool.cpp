//===- qcc-text-tool.cpp - Tokenizers and templates for the tests ---------===//
// SPDX-License-Identifier: Apache-2.0
//
// usage: qcc-text-tool build SPEC.json IMAGE
//        qcc-text-tool read CHECKPOINT IMAGE
//        qcc-text-tool templates CHECKPOINT
//        qcc-text-tool run [IMAGE]
//
// `run` reads one JSON request a line from standard input and writes one JSON
// answer a line. Bytes that need not be UTF-8 travel as hex.
//   {"op": "tokenize", "text": ... or "hex": ..., "add": bool, "parse": bool}
//   {"op": "detokenize" or "stream", "ids": [...], "special": bool}
//   {"op": "split", "pre": name, "text": ...}: ends of the words, in bytes
//   {"op": "normalize" or "words", "text": ...}: what the image's steps do
//   {"op": "render", "template": ..., "variables": JSON text}
//   {"op": "info"}
//===----------------------------------------------------------------------===//

#include "qcc/Text/TextParts.h"
#include "text/ChatTemplate.h"
#include "text/PreTokenizerTable.h"
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

static int write(const std::vector<uint8_t> &image, const char *file) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char *>(image.data()),
            static_cast<std::streamsize>(image.size()));
  out.close();
  return out ? 0 : 1;
}

/// The tokenizer of a folder or GGUF file, as qcc reads it, or with `imageFile`
/// null its chat templates by name, as JSON.
static int read(const char *path, const char *imageFile) {
  auto fail = [](const qcc::Error &error) {
    std::cerr << "error: " << error.message() << "\n";
    return 1;
  };
  qcc::Result<qcc::Checkpoint> checkpoint = qcc::openCheckpoint(path);
  if (!checkpoint)
    return fail(checkpoint.takeError());
  auto tokens = checkpoint->get<qcc::StringArray>("tokenizer.ggml.tokens");
  qcc::Result<qcc::TextParts> parts =
      qcc::readTextParts(*checkpoint, tokens ? tokens->size() : 0);
  if (!parts)
    return fail(parts.takeError());
  if (imageFile)
    return write(parts->image, imageFile);
  json templates = json::object();
  if (parts->chatTemplate)
    templates["default"] = *parts->chatTemplate;
  for (const auto &[name, source] : parts->templates)
    templates[name] = source;
  std::cout << templates.dump() << "\n";
  return 0;
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
  return write(image, imageFile);
}

/// The steps of an image alone.
static json runSteps(const std::vector<uint8_t> &image, const json &request) {
  const auto &header = *reinterpret_cast<const image::Header *>(image.data());
  std::string error, storage, text = request.at("text");
  static std::map<const void *, std::unique_ptr<Pipeline>> known;
  std::unique_ptr<Pipeline> &pipeline = known[image.data()];
  if (!pipeline)
    pipeline = Pipeline::create(
        {reinterpret_cast<const image::Step *>(image.data() +
                                               header.steps.offset),
         header.steps.count},
        {image.data() + header.stepData.offset, header.stepData.count},
        header.normalizers, error);
  std::string_view out;
  std::vector<Word> words;
  bool isDone = pipeline != nullptr;
  if (isDone && request.at("op") == "normalize")
    isDone = pipeline->normalize(text, true, storage, out, error);
  else if (isDone)
    isDone = pipeline->split(text, true, storage, out, words, error);
  if (!isDone)
    return {{"error", error}};
  std::vector<std::string> parts;
  std::vector<size_t> ends;
  for (Word word : words) {
    parts.emplace_back(out.substr(word.begin, word.end - word.begin));
    ends.push_back(word.end);
  }
  return {{"text", out}, {"words", parts}, {"ends", ends}};
}

/// A pre-tokenizer of GGUF alone.
static json split(const json &request) {
  static std::map<std::string, std::vector<uint8_t>> known;
  std::vector<uint8_t> &image = known[request.at("pre")];
  TokenizerSpec spec;
  spec.pre = request.at("pre");
  spec.tokens = {"a"};
  std::string error;
  if (image.empty())
    image = buildTokenizerImage(spec, error);
  return image.empty() ? json{{"error", error}} : runSteps(image, request);
}

static json answer(const json &request, const std::vector<uint8_t> &image,
                   const Tokenizer *tokenizer) {
  std::string op = request.at("op"), error;
  if (op == "split")
    return split(request);
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
  if (op == "normalize" || op == "words")
    return runSteps(image, request);
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
  std::vector<uint8_t> image;
  std::string error;
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
    std::cout << answer(json::parse(line), image, tokenizer.get())
                     .dump(-1, ' ', false, json::error_handler_t::replace)
              << "\n";
  return 0;
}

int main(int argc, char **argv) {
  std::string command = argc > 1 ? argv[1] : "";
  if (command == "build" && argc == 4)
    return build(argv[2], argv[3]);
  if (command == "read" && argc == 4)
    return read(argv[2], argv[3]);
  if (command == "templates" && argc == 3)
    return read(argv[2], nullptr);
  if (command == "run" && argc <= 3)
    return run(argc == 3 ? argv[2] : nullptr);
  std::cerr << "usage: qcc-text-tool build SPEC.json IMAGE | "
               "read CHECKPOINT IMAGE | templates CHECKPOINT | run [IMAGE]\n";
  return 2;
}
