//===- Info.cpp - What a compiled model says about itself -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Info.h"

#include "qcc/Checkpoint/Describe.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"

using namespace qcc;

std::string qcc::modelName(const Checkpoint &checkpoint) {
  auto name = checkpoint.get<std::string>("general.name");
  if (name && !name->empty() && name->find('\0') == std::string::npos)
    return *name;
  if (checkpoint.naming() == Naming::GGUF)
    return llvm::sys::path::stem(checkpoint.path()).str();
  // A folder's name may hold dots; "." says nothing.
  llvm::SmallString<128> folder(checkpoint.path());
  (void)llvm::sys::fs::real_path(checkpoint.path(), folder);
  return llvm::sys::path::filename(folder).str();
}

/// The code of a GPU's target: the text that drivers compile, and machine code.
static llvm::json::Array describeImages(const LaunchProgram &program) {
  llvm::json::Array images;
  for (const GpuImage &image : program.images)
    images.push_back(llvm::json::Object{
        {"kind", image.kind == QCC_GPU_PTX ? "PTX" : "cubin"},
        {"architecture", "sm_" + std::to_string(image.architecture) +
                             (image.specific ? "a" : "")},
        {"cuda", std::to_string(image.cudaVersion / 1000) + "." +
                     std::to_string(image.cudaVersion % 1000 / 10)},
        {"bytes", int64_t(image.data.size())}});
  return images;
}

std::string qcc::modelInfo(const Checkpoint &checkpoint,
                           const CompileOptions &options,
                           const BundleContents &contents) {
  llvm::json::Object info;
  if (auto source = llvm::json::parse(describeJson(checkpoint))) {
    if (llvm::json::Object *object = source->getAsObject()) {
      info = std::move(*object);
      info.erase("files");
      // In the bundle already.
      info.erase("chat_template");
    }
  } else {
    llvm::consumeError(source.takeError());
  }
  llvm::json::Array targets;
  for (const BundleModel &model : contents.models) {
    llvm::json::Object target{
        {"name", model.target->name},
        {"activations", model.code->activations},
        {"kv", model.code->kv},
        {"row_capacity", int64_t(model.code->rowCapacity)},
        {"arena_bytes", int64_t(model.code->arenaBytes)},
        {"arena_thread_bytes", int64_t(model.code->arenaThreadBytes)},
        {"context", int64_t(model.code->context)}};
    if (model.code->gpu)
      target["images"] = describeImages(*model.code->gpu);
    targets.push_back(std::move(target));
  }
  info["targets"] = std::move(targets);
  info["name"] = contents.name;
  info["compiler"] = contents.compiler;
  info["weights"] = options.externalWeights ? "external" : "embed";
  info["weight_bytes"] = int64_t(contents.weightBytes);
  info["weight_bytes_per_token"] = int64_t(contents.weightBytesPerToken);
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << llvm::json::Value(std::move(info));
  return text;
}
