//===- HuggingFace.cpp - Reader of Hugging Face folders -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/HuggingFace.h"
#include <algorithm>
#include <filesystem>
#include "ChatTemplates.h"
#include "ExpertTensors.h"
#include "FolderTokenizer.h"
#include "OffsetNorms.h"
#include "SourceTensors.h"
#include "TextModel.h"
#include "TorchFile.h"
#include "TransposedLinears.h"

using namespace qcc;

namespace {

/// Limits that no known file comes near.
constexpr size_t kMaxConfigBytes = size_t(16) << 20;
constexpr size_t kMaxIndexBytes = size_t(64) << 20;
constexpr size_t kMaxFiles = 65535;

constexpr QuantizationMethod kMethods[] = {
    {"auto-round", "AutoRound", readAutoRound},
    {"awq", "AWQ", readAWQ},
    {"bitsandbytes", "bitsandbytes", readBitsandbytes},
    {"compressed-tensors", "compressed-tensors", readCompressedTensors},
    {"exl2", "EXL2", readEXL2},
    {"fp8", "FP8", readFP8},
    {"gptq", "GPTQ", readGPTQ},
    {"hqq", "HQQ", readHQQ},
    {"intel/auto-round", "AutoRound", readAutoRound},
    {"modelopt", "ModelOpt", readModelOpt},
    {"mxfp4", "MXFP4", readMXFP4},
};

/// Objects of a quantization config in which the first member that matches
/// decides.
constexpr const char *kOrderedObjects[] = {"dynamic", "extra_config"};

/// A kind of files that hold weights.
struct WeightFiles {
  const char *name;
  bool isTorch;
  const char *single;                ///< The one that needs no index.
  std::vector<const char *> endings; ///< Most likely first.
};

/// Folders often hold both, and then the first is as good.
const WeightFiles kWeightFiles[] = {
    {"safetensors", false, "model.safetensors", {".safetensors"}},
    {"torch", true, "pytorch_model.bin", {".bin", ".pt", ".pth"}},
};

/// Beginnings of the names of files that hold no weights of the model, or the
/// same ones once more.
constexpr const char *kOtherFiles[] = {
    "adapter",   "consolidated", "optimizer",     "rng_state",
    "scheduler", "scaler",       "training_args",
};

/// True for the name of a file that is in the folder itself.
bool isPlainName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of("/\\") == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

class FolderReader {
public:
  /// `chosen`: the one file whose weights are wanted, or empty.
  FolderReader(const Folder &folder, std::string chosen)
      : folder(folder), chosen(std::move(chosen)) {}

  Result<Checkpoint> read() {
    if (!readConfig() || !readTokenizer() || !readQuantizationConfig() ||
        !openWeights() || !readTensors())
      return std::move(error);
    return Checkpoint::create(std::move(contents));
  }

private:
  bool fail(Error why) {
    error = std::move(why);
    return false;
  }
  bool fail(const std::string &message) {
    return fail(Error(folder.path + ": " + message));
  }

  bool readJson(const std::string &name, size_t maxBytes, Json &out) {
    Result<Json> json = folder.json(name, maxBytes);
    if (!json)
      return fail(json.takeError());
    out = std::move(*json);
    return true;
  }

  //===--- config ---------------------------------------------------------===//

  bool readConfig() {
    if (!folder.has("config.json")) {
      std::vector<std::string> gguf = folder.ending(".gguf");
      return fail("expected a Hugging Face folder with config.json" +
                  (gguf.empty() ? std::string()
                                : ", got one with GGUF files: name the file, " +
                                      quoted(gguf.front())));
    }
    if (!readJson("config.json", kMaxConfigBytes, config))
      return false;
    hasOtherParts = takeTextConfig(config);
    contents.path = folder.path;
    contents.configPath = folder.pathOf("config.json");
    if (folder.has("generation_config.json")) {
      if (!readJson("generation_config.json", kMaxConfigBytes, generation))
        return false;
      flattenJson(generation, "generation_config.", contents.texts,
                  contents.metadata);
    }
    return true;
  }

  bool readTokenizer() {
    Error why = readFolderTokenizer(folder, std::move(generation), config,
                                    contents.texts, contents.metadata);
    return !why || fail(std::move(why));
  }

  /// Finds the config in config.json or in a file beside it; in both, they must
  /// agree.
  bool readQuantizationConfig() {
    for (const char *key : {"quantization_config", "compression_config"}) {
      auto it = config.find(key);
      if (it == config.end() || it->is_null())
        continue;
      if (!it->is_object())
        return fail(mismatchError(contents.configPath + ": key " + quoted(key),
                                  "an object", it->type_name()));
      quantization = std::move(*it);
      quantizationWhere = contents.configPath + ": " + key;
      quantizationPlaces.push_back({"config.json", {key}});
      config.erase(it);
      break;
    }
    for (const char *name : {"quantize_config.json", "quant_config.json"})
      if (folder.has(name) && !joinSideConfig(name))
        return false;
    if (quantization.is_null() && folder.has("hf_quant_config.json") &&
        !readModelOptConfig("hf_quant_config.json"))
      return false;
    // Such keys are for what the tokenizer's files say.
    std::erase_if(config.get_ref<Json::object_t &>(), [](const auto &entry) {
      return entry.first == "tokenizer" ||
             entry.first.starts_with("tokenizer.");
    });
    flattenJson(config, "", contents.texts, contents.metadata, &contents.nulls);
    if (!quantization.is_null())
      flattenJson(quantization, "quantization_config.", contents.texts,
                  contents.metadata);
    for (const char *key : kOrderedObjects)
      if (!keepOrder(key))
        return false;
    return true;
  }

  /// Makes an object an array of [name, value] in the order of its file.
  bool keepOrder(const std::string &key) {
    auto object = quantization.find(key);
    // Readers trust what arrays hold.
    if (object != quantization.end() && object->is_array())
      return fail(mismatchError(quantizationWhere + ": key " + quoted(key),
                                "an object", "array"));
    if (object == quantization.end() || !object->is_object())
      return true;
    Json members = Json::array();
    for (const auto &[name, path] : quantizationPlaces) {
      Result<Checkpoint::File> file = folder.open(name);
      if (!file)
        return fail(file.takeError());
      std::vector<std::string> full = path;
      full.push_back(key);
      for (const std::string &member : keysInOrder(*file, full))
        if (auto value = object->find(member); value != object->end())
          members.push_back(Json::array({member, std::move(*value)}));
      if (!members.empty())
        break;
    }
    *object = std::move(members);
    return true;
  }

  /// ModelOpt at first wrote no config but its own.
  bool readModelOptConfig(const std::string &name) {
    Json side;
    if (!readJson(name, kMaxConfigBytes, side))
      return false;
    auto it = side.find("quantization");
    if (it == side.end() || !it->is_object())
      return fail(mismatchError(folder.pathOf(name) + ": key 'quantization'",
                                "an object",
                                it == side.end() ? "none" : it->type_name()));
    quantization = std::move(*it);
    quantization["quant_method"] = "modelopt";
    quantizationWhere = folder.pathOf(name) + ": quantization";
    return true;
  }

  bool joinSideConfig(const std::string &name) {
    Json side;
    if (!readJson(name, kMaxConfigBytes, side))
      return false;
    quantizationPlaces.push_back({name, {}});
    if (quantization.is_null()) {
      quantization = std::move(side);
      quantizationWhere = folder.pathOf(name);
      // AutoGPTQ and AutoAWQ did not name the method at first; only the latter
      // says what zero points are, and has versions.
      if (!quantization.contains("quant_method")) {
        if (quantization.contains("version") ||
            quantization.contains("zero_point"))
          quantization["quant_method"] = "awq";
        else if (name == "quantize_config.json")
          quantization["quant_method"] = "gptq";
      }
      return true;
    }
    for (auto it = side.begin(); it != side.end(); ++it) {
      Json &known = quantization[it.key()];
      if (known.is_null())
        known = *it;
      else if (decidesWeights(it.key()) && !it->is_null() && known != *it)
        return fail(mismatchError(
            folder.pathOf(name) + ": key " + quoted(it.key()),
            known.dump(-1, ' ', false, Json::error_handler_t::replace) +
                ", as config.json has",
            quoted(it->dump(-1, ' ', false, Json::error_handler_t::replace))));
    }
    return true;
  }

  static bool decidesWeights(std::string_view key) {
    return key == "bits" || key == "group_size" || key == "sym" ||
           key == "desc_act" || key == "checkpoint_format" ||
           key == "quant_method" || key == "dynamic";
  }

  //===--- files ----------------------------------------------------------===//

  bool openWeights() {
    std::vector<std::string> names;
    Json index;
    if (!chooseFiles(names, index))
      return false;
    for (const std::string &name : names) {
      Result<Checkpoint::File> file = folder.open(name);
      if (!file)
        return fail(file.takeError());
      contents.files.push_back(std::move(*file));
    }
    weightMap = std::move(index);
    fileNames = std::move(names);
    return true;
  }

  /// The files with weights: the one that was named, those of an index, or all
  /// that can be meant.
  bool chooseFiles(std::vector<std::string> &names, Json &map) {
    for (const WeightFiles &kind : kWeightFiles) {
      if (!chosen.empty() && hasTorchName(chosen) != kind.isTorch)
        continue;
      std::vector<std::string> indices =
          folder.ending(kind.endings.front() + std::string(".index.json"));
      bool hasOne = folder.has(kind.single);
      if (!indices.empty() && !(chosen.empty() && hasOne)) {
        if (!readIndex(indices.front(), kind, names, map))
          return false;
        if (chosen.empty() ||
            std::find(names.begin(), names.end(), chosen) != names.end())
          return true;
        names.clear();
        map = nullptr;
      }
      if (!chosen.empty())
        break;
      names = hasOne ? std::vector<std::string>{kind.single} : candidates(kind);
      if (!names.empty())
        return true;
    }
    if (chosen.empty())
      return fail("expected weights in safetensors or torch files, got none");
    names = {chosen};
    return true;
  }

  /// The files of a kind that are not known to be something else.
  std::vector<std::string> candidates(const WeightFiles &kind) const {
    for (const char *ending : kind.endings) {
      std::vector<std::string> names = folder.ending(ending);
      std::erase_if(names, [](const std::string &name) {
        return std::any_of(
            std::begin(kOtherFiles), std::end(kOtherFiles),
            [&](const char *prefix) { return name.starts_with(prefix); });
      });
      if (!names.empty())
        return names;
    }
    return {};
  }

  bool readIndex(const std::string &name, const WeightFiles &kind,
                 std::vector<std::string> &names, Json &map) {
    Json index;
    if (!readJson(name, kMaxIndexBytes, index))
      return false;
    auto it = index.find("weight_map");
    if (it == index.end() || !it->is_object() || it->empty())
      return fail(mismatchError(folder.pathOf(name) + ": key 'weight_map'",
                                "an object of file names",
                                it == index.end() ? "none" : it->type_name()));
    map = std::move(*it);
    for (auto entry = map.begin(); entry != map.end(); ++entry) {
      const auto *file = entry->get_ptr<const std::string *>();
      if (!file || !isPlainName(*file) ||
          !file->ends_with(kind.endings.front()))
        return fail(mismatchError(
            folder.pathOf(name) + ": tensor " + quoted(entry.key()),
            "the name of a " + std::string(kind.name) + " file in this folder",
            quoted(
                entry->dump(-1, ' ', false, Json::error_handler_t::replace))));
      names.push_back(*file);
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    if (names.size() > kMaxFiles)
      return fail(mismatchError(folder.pathOf(name), "at most 65535 files",
                                std::to_string(names.size())));
    for (const std::string &file : names)
      if (!folder.has(file))
        return fail(Error(folder.pathOf(name) + ": file " + quoted(file) +
                          " is missing"));
    return true;
  }

  //===--- tensors --------------------------------------------------------===//

  bool readTensors() {
    Result<SourceTensors> sources = SourceTensors::read(contents.files);
    if (!sources)
      return fail(sources.takeError());
    if (!checkIndex(*sources) || !readQuantized(*sources))
      return false;
    auto kind = config.find("model_type");
    std::string modelType = kind != config.end() && kind->is_string()
                                ? kind->get_ref<const std::string &>()
                                : "";
    for (const SourceTensor &source : sources->all())
      if (!source.isTaken && !readPlain(*sources, source, modelType))
        return false;
    std::string removed;
    if (hasOtherParts)
      removed = keepTextTensors(contents.tensors, contents.texts);
    if (!removed.empty())
      contents.format += ", without " + removed;
    ExpertLayout layout = modelType == "gpt_oss" ? ExpertLayout::TurnedPairs
                          : modelType == "qwen3_vl_moe_text"
                              ? ExpertLayout::Turned
                              : ExpertLayout::Rows;
    auto hidden = config.find("hidden_size");
    bool isKnown = hidden != config.end() && hidden->is_number_unsigned();
    if (Error why = splitExperts(contents, layout,
                                 isKnown ? hidden->get<uint64_t>() : 0))
      return fail(std::move(why));
    if (Error why = stackExperts(contents))
      return fail(std::move(why));
    if (modelType == "stablelm")
      if (Error why = stackHeadNorms(contents))
        return fail(std::move(why));
    std::sort(contents.tensors.begin(), contents.tensors.end(),
              [](const Tensor &a, const Tensor &b) {
                return std::tie(a.file, a.offset) < std::tie(b.file, b.offset);
              });
    return true;
  }

  /// What the index promises is where it says.
  bool checkIndex(SourceTensors &sources) {
    if (weightMap.is_null())
      return true;
    for (auto it = weightMap.begin(); it != weightMap.end(); ++it) {
      const std::string &file = it->get_ref<const std::string &>();
      const SourceTensor *tensor = sources.find(it.key());
      if (!tensor || fileNames[tensor->file] != file)
        return fail(Error(folder.pathOf(file) + ": tensor " + quoted(it.key()) +
                          " is missing, which the index has there"));
    }
    return true;
  }

  bool readQuantized(SourceTensors &sources) {
    contents.naming = Naming::HuggingFace;
    contents.format =
        isTorchFile(contents.files.front().bytes) ? "torch" : "safetensors";
    if (quantization.is_null() && hasEXL2Weights(sources)) {
      quantization = {{"quant_method", "exl2"}};
      quantizationWhere = folder.path;
    }
    if (quantization.is_null())
      return true;
    JsonFields fields(quantization, quantizationWhere);
    std::string name = fields.text("quant_method", "");
    if (name.empty())
      fields.fail("key 'quant_method' is missing");
    std::string supported;
    for (const QuantizationMethod &method : kMethods) {
      supported += (supported.empty() ? "" : ", ") + std::string(method.name);
      if (fields.error || name != method.name)
        continue;
      contents.format += std::string(", ") + method.title;
      Error why = method.read(quantization, quantizationWhere, sources,
                              contents.texts, contents.tensors);
      return !why || fail(std::move(why));
    }
    fields.fail("quantization by " + quoted(name) +
                " is not supported yet (supported: " + supported + ")");
    return fail(std::move(fields.error));
  }

  bool readPlain(const SourceTensors &sources, const SourceTensor &source,
                 const std::string &modelType) {
    const SafetensorsEntry &entry = source.entry;
    Tensor tensor;
    tensor.name = contents.texts.keep(entry.name);
    tensor.dims.assign(entry.shape.rbegin(), entry.shape.rend());
    tensor.type = findGGMLType(entry.type->name);
    if (!tensor.type || tensor.type->blockElements != 1)
      return fail(Error(sources.what(source) + " has dtype " +
                        entry.type->name + ", which is not supported yet"));
    const bool isUnread = hasOtherParts && isOfOtherPart(tensor.name);
    if ((tensor.dims.size() > 4 && !isUnread) || entry.bytes == 0)
      return fail(mismatchError(sources.what(source),
                                "at most 4 dimensions, none of them 0",
                                shapeText(entry.shape)));
    tensor.file = source.file;
    tensor.offset = entry.offset;
    tensor.bytes = entry.bytes;
    if (hasOffsetNorms(modelType))
      addOneToNorm(tensor);
    if (hasTransposedLinears(modelType))
      transposeLinear(tensor);
    contents.tensors.push_back(std::move(tensor));
    return true;
  }

  const Folder &folder;
  const std::string chosen;
  Checkpoint::Contents contents;
  Json config, generation, quantization, weightMap;
  bool hasOtherParts = false; ///< The model is the language model of several.
  std::string quantizationWhere;
  /// Files that have members of `quantization`, and where in them.
  std::vector<std::pair<std::string, std::vector<std::string>>>
      quantizationPlaces;
  std::vector<std::string> fileNames;
  Error error;
};

} // namespace

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

Result<Checkpoint> qcc::openHuggingFace(const std::string &path) {
  namespace fs = std::filesystem;
  std::error_code error;
  Folder folder;
  std::string chosen;
  folder.path = path;
  if (!fs::is_directory(path, error)) {
    chosen = fs::path(path).filename().string();
    folder.path = fs::path(path).parent_path().string();
    if (folder.path.empty())
      folder.path = ".";
  }
  while (folder.path.size() > 1 && folder.path.ends_with('/'))
    folder.path.pop_back();
  fs::directory_iterator it(folder.path, error), end;
  for (; !error && it != end; it.increment(error))
    folder.names.push_back(it->path().filename().string());
  if (error)
    return Error(folder.path + ": cannot list the folder: " + error.message());
  // Few models have this one.
  std::string templates(kTemplateFolder);
  it = fs::directory_iterator(folder.path + "/" + templates, error);
  for (; !error && it != end; it.increment(error))
    folder.names.push_back(templates + it->path().filename().string());
  std::sort(folder.names.begin(), folder.names.end());
  folder.open = [&](const std::string &name) {
    return Checkpoint::File::map(folder.path + "/" + name);
  };
  return FolderReader(folder, std::move(chosen)).read();
}

Result<Checkpoint> qcc::parseHuggingFace(const std::vector<FolderFile> &files) {
  Folder folder;
  folder.path = "folder";
  for (const FolderFile &file : files)
    folder.names.push_back(file.name);
  std::sort(folder.names.begin(), folder.names.end());
  folder.open = [&](const std::string &name) -> Result<Checkpoint::File> {
    for (const FolderFile &file : files)
      if (file.name == name)
        return Checkpoint::File{"folder/" + name, file.bytes, std::nullopt};
    return Error("folder/" + name + ": cannot open: no such file");
  };
  return FolderReader(folder, "").read();
}
