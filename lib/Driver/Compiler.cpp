//===- Compiler.cpp - From a checkpoint to a compiled model ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Driver/Compiler.h"
#include "qcc/Driver/Registry.h"

#include "Info.h"
#include "Pipelines.h"
#include "Ptxas.h"
#include "Weights.h"

#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Checkpoint/Describe.h"
#include "qcc/Checkpoint/Quantize.h"
#include "qcc/Codegen/Common/Backend.h"
#include "qcc/Codegen/Common/Bundle.h"
#include "qcc/Import/Import.h"
#include "qcc/Import/NameTable.h"
#include "qcc/Package/AtomicFile.h"
#include "qcc/Package/Package.h"
#include "qcc/Text/TextParts.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <algorithm>
#include <thread>

using namespace mlir;
using namespace qcc;

#ifndef QCC_VERSION
#error "the build defines QCC_VERSION"
#endif

const char *qcc::compilerVersion() { return QCC_VERSION; }

/// Threads that pack weights while the main thread writes: as many as keep it
/// busy, and for rounding, which may search, what the machine has.
static unsigned packThreads(const CompileOptions &options) {
  constexpr unsigned kPacking = 2, kMostRounding = 16;
  return options.quantize.empty()
             ? kPacking
             : std::clamp(std::thread::hardware_concurrency(), kPacking,
                          kMostRounding);
}

namespace {
/// Code of one target, ready to be linked.
struct TargetOutput {
  const TargetSpec *target = nullptr;
  ModelCode code;
  llvm::SmallVector<char, 0> object;
};

class Compilation {
public:
  explicit Compilation(const CompileOptions &options)
      : options(options), context(registry(), MLIRContext::Threading::DISABLED),
        stages(options, context) {}

  llvm::Error run();

private:
  static DialectRegistry registry() {
    DialectRegistry result;
    registerAllDialects(result);
    return result;
  }

  llvm::Error read();
  llvm::Error generate(unsigned index, TargetOutput &output);
  llvm::Error generateObject(TargetOutput &output);
  llvm::Error generateKernels(ModuleOp module, TargetOutput &output,
                              StageHook hook);
  llvm::Error generateImage(Operation *kernels, const TargetSpec &target,
                            StringRef name, StringRef head,
                            LaunchProgram &program);
  llvm::Error link(ArrayRef<TargetOutput> outputs);
  bool isDone() const { return done; }

  /// Writes `text` when it is what --emit asks for, which ends the compilation,
  /// or beside the output with --save-temps.
  llvm::Error show(EmitKind kind, StringRef suffix,
                   llvm::function_ref<void(llvm::raw_ostream &)> print);
  llvm::Error write(StringRef path, ArrayRef<char> bytes);

  const CompileOptions &options;
  MLIRContext context;
  Stages stages;
  std::optional<Checkpoint> checkpoint;
  std::optional<WeightRegion> region;
  std::optional<Ptxas> ptxas;
  OwningOpRef<ModuleOp> imported;
  TextParts text;
  uint64_t weightBytesPerToken = 0;
  bool done = false;
};
} // namespace

static llvm::Error toLLVM(const Error &error) {
  return llvm::createStringError(error.message());
}

llvm::Error Compilation::write(StringRef path, ArrayRef<char> bytes) {
  if (path == "-") {
    llvm::outs() << StringRef(bytes.data(), bytes.size());
    return llvm::Error::success();
  }
  auto file = AtomicFile::create(path, 0666);
  if (!file)
    return file.takeError();
  if (llvm::Error error = (*file)->resize(bytes.size()))
    return error;
  if (llvm::Error error = (*file)->write(bytes.data(), bytes.size(), 0))
    return error;
  return (*file)->commit();
}

llvm::Error
Compilation::show(EmitKind kind, StringRef suffix,
                  llvm::function_ref<void(llvm::raw_ostream &)> print) {
  if (options.emit != kind && !options.saveTemps)
    return llvm::Error::success();
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  print(stream);
  if (options.emit == kind) {
    done = true;
    return write(options.output, bytes);
  }
  return write(options.output + "." + suffix.str(), bytes);
}

/// The checkpoint with its matrices rounded to the type of that name.
static Result<Checkpoint> quantized(Checkpoint checkpoint,
                                    const std::string &name,
                                    const ImportOptions &import) {
  const QuantizationType *type = findQuantizationType(name);
  if (!type) {
    std::string names;
    for (const QuantizationType &known : quantizationTypes())
      names += (names.empty() ? "" : ", ") + std::string(known.name);
    return checkpoint.error("rounding to " + quoted(name) +
                            " is not supported (supported: " + names + ")");
  }
  std::vector<std::string_view> sensitive, exact = {".bias"};
  std::optional<WeightNames> names = weightNames(checkpoint, import);
  if (names) {
    sensitive = {names->embedding, names->head, names->positions};
    exact.insert(exact.end(), names->router.begin(), names->router.end());
    exact.insert(exact.end(),
                 {names->sharedRouter, names->queryNorm, names->keyNorm});
  }
  return quantizeCheckpoint(std::move(checkpoint), *type, sensitive, exact);
}

llvm::Error Compilation::read() {
  ImportOptions import;
  import.context = options.context;
  import.extraArchitectures = options.extraArchitectures;
  if (llvm::Error error = stages.run("read", [&]() -> llvm::Error {
        Result<Checkpoint> opened = openCheckpoint(options.input);
        if (!opened)
          return toLLVM(opened.takeError());
        if (!options.quantize.empty()) {
          opened = quantized(std::move(*opened), options.quantize, import);
          if (!opened)
            return toLLVM(opened.takeError());
        }
        checkpoint.emplace(std::move(*opened));
        region.emplace(*checkpoint);
        return llvm::Error::success();
      }))
    return error;
  stages.note(options.input + ": " + checkpoint->format() + ", " +
              llvm::Twine(checkpoint->tensors().size()) + " tensors");

  return stages.run("import", [&]() -> llvm::Error {
    Result<OwningOpRef<ModuleOp>> module =
        importCheckpoint(context, *checkpoint, import);
    if (!module)
      return toLLVM(module.takeError());
    imported = std::move(*module);
    return show(EmitKind::Import, "import.mlir", [&](llvm::raw_ostream &os) {
      imported->print(os);
      os << '\n';
    });
  });
}

llvm::Error Compilation::generateObject(TargetOutput &output) {
  const TargetSpec &target = *output.target;
  std::string name = target.name;
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> module;
  if (llvm::Error error = stages.run("llvm " + name, [&]() -> llvm::Error {
        auto translated = translateToLLVM(output.code.module->getOperation(),
                                          llvmContext, target);
        if (!translated)
          return translated.takeError();
        module = std::move(*translated);
        output.code.module = nullptr;
        if (llvm::Error error = optimizeLLVM(*module, target))
          return error;
        return show(EmitKind::LLVM, name + ".ll",
                    [&](llvm::raw_ostream &os) { module->print(os, nullptr); });
      }))
    return error;
  if (done)
    return llvm::Error::success();

  return stages.run("code " + name, [&]() -> llvm::Error {
    if (options.emit == EmitKind::Asm || options.saveTemps) {
      std::unique_ptr<llvm::Module> copy = llvm::CloneModule(*module);
      auto assembly = generateCode(*copy, target, CodeKind::Assembly);
      if (!assembly)
        return assembly.takeError();
      if (llvm::Error error =
              show(EmitKind::Asm, name + ".s", [&](llvm::raw_ostream &os) {
                os.write(assembly->data(), assembly->size());
              }))
        return error;
      if (done)
        return llvm::Error::success();
    }
    auto object = generateCode(*module, target, CodeKind::Object);
    if (!object)
      return object.takeError();
    output.object = std::move(*object);
    return show(EmitKind::Obj, name + ".o", [&](llvm::raw_ostream &os) {
      os.write(output.object.data(), output.object.size());
    });
  });
}

llvm::Error Compilation::generate(unsigned index, TargetOutput &output) {
  OwningOpRef<ModuleOp> module = imported->clone();
  std::string name = output.target->name;
  auto hook = [&](StringRef stage, ModuleOp at) -> llvm::Expected<bool> {
    EmitKind kind = stage == "fused"    ? EmitKind::Fused
                    : stage == "layout" ? EmitKind::Layout
                                        : EmitKind::Schedule;
    if (llvm::Error error = show(kind, name + "." + stage.str() + ".mlir",
                                 [&](llvm::raw_ostream &os) {
                                   at.print(os);
                                   os << '\n';
                                 }))
      return std::move(error);
    return !done;
  };
  if (output.target->isGpu())
    return generateKernels(*module, output, hook);
  if (llvm::Error error = lowerForTarget(stages, *module, *output.target, index,
                                         region->bytes(), hook, output.code))
    return error;
  if (done)
    return llvm::Error::success();
  if (options.emit == EmitKind::Fused || options.emit == EmitKind::Schedule)
    return llvm::createStringError("target '" + name +
                                   "' has no stage of that name");
  if (llvm::Error error = region->add(*module))
    return error;
  // Figures are those of the target that is preferred.
  weightBytesPerToken = bytesPerToken(*imported, *module);
  module = nullptr;
  return generateObject(output);
}

llvm::Error Compilation::generateKernels(ModuleOp module, TargetOutput &output,
                                         StageHook hook) {
  const TargetSpec &target = *output.target;
  ModelCode &code = output.code;
  std::vector<GpuKernel> descriptions;
  if (llvm::Error error =
          lowerForGpu(stages, module, target, hook, code, descriptions))
    return error;
  if (done)
    return llvm::Error::success();
  if (llvm::Error error = region->add(module))
    return error;
  weightBytesPerToken = bytesPerToken(*imported, module);
  Operation *kernels = *code.module->getOps<gpu::GPUModuleOp>().begin();
  std::string head = describeKernels(descriptions, *code.gpu),
              name = target.name;
  if (llvm::Error error = generateImage(kernels, target, name, head, *code.gpu))
    return error;
  const TargetSpec *fallback = fallbackTarget(target);
  if (fallback && !done)
    if (llvm::Error error = generateImage(
            kernels, *fallback, name + "." + fallback->name, head, *code.gpu))
      return error;
  code.module = nullptr;
  if (done || !ptxas)
    return llvm::Error::success();
  return stages.run("ptxas " + name, [&]() -> llvm::Error {
    StringRef ptx = code.gpu->images.front().data;
    auto cubin = ptxas->assemble(target, ptx.drop_back());
    if (!cubin)
      return cubin.takeError();
    code.gpu->images.push_back(std::move(*cubin));
    return llvm::Error::success();
  });
}

/// Adds the kernels as PTX. `name` is that of the stages and of their files;
/// `head` are the comments that go before the text when it is shown.
llvm::Error Compilation::generateImage(Operation *gpuModule,
                                       const TargetSpec &target, StringRef name,
                                       StringRef head, LaunchProgram &program) {
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> kernels;
  std::string stage = ("llvm " + name).str();
  if (llvm::Error error = stages.run(stage, [&]() -> llvm::Error {
        auto translated = translateToLLVM(gpuModule, llvmContext, target);
        if (!translated)
          return translated.takeError();
        kernels = std::move(*translated);
        if (llvm::Error error = optimizeLLVM(*kernels, target))
          return error;
        return show(
            EmitKind::LLVM, (name + ".ll").str(),
            [&](llvm::raw_ostream &os) { kernels->print(os, nullptr); });
      }))
    return error;
  if (done)
    return llvm::Error::success();
  stage = ("code " + name).str();
  return stages.run(stage, [&]() -> llvm::Error {
    auto ptx = generateCode(*kernels, target, CodeKind::Assembly);
    if (!ptx)
      return ptx.takeError();
    program.images.push_back(
        ptxImage(target, StringRef(ptx->data(), ptx->size())));
    return show(EmitKind::Ptx, (name + ".ptx").str(),
                [&](llvm::raw_ostream &os) {
                  os << head;
                  os.write(ptx->data(), ptx->size());
                });
  });
}

llvm::Error Compilation::link(ArrayRef<TargetOutput> outputs) {
  BundleContents contents;
  for (const TargetOutput &output : outputs)
    contents.models.push_back({output.target, &output.code});
  contents.name = modelName(*checkpoint);
  Result<std::string> architecture = checkpoint->architecture();
  if (!architecture)
    return toLLVM(architecture.takeError());
  contents.architecture = *architecture;
  contents.compiler = std::string("qcc ") + compilerVersion();
  contents.tokenizer = text.image;
  contents.chatTemplate = text.chatTemplate;
  contents.templates = text.templates;
  contents.parameters = countParameters(*imported);
  contents.weightBytes = region->bytes();
  contents.weightBytesPerToken = weightBytesPerToken;
  contents.checkpoint = checkpoint->format();
  contents.weightTypes = describeTypes(*checkpoint);
  contents.info = modelInfo(*checkpoint, options, contents);

  llvm::SmallVector<char, 0> tables;
  if (llvm::Error error = stages.run("tables", [&]() -> llvm::Error {
        auto emitted = emitBundle(contents);
        if (!emitted)
          return emitted.takeError();
        tables = std::move(*emitted);
        return llvm::Error::success();
      }))
    return error;

  std::vector<llvm::MemoryBufferRef> objects;
  auto addObject = [&](ArrayRef<char> bytes, StringRef name) {
    objects.emplace_back(StringRef(bytes.data(), bytes.size()), name);
  };
  for (const TargetOutput &output : outputs)
    if (!output.target->isGpu())
      addObject(output.object, output.target->name);
  addObject(tables, "tables");

  PackageOptions package;
  package.output = options.output;
  package.kind = StringRef(options.output).ends_with(".so")
                     ? PackageOptions::SharedLibrary
                     : PackageOptions::Executable;
  package.symbolPrefix = options.symbolPrefix;
  package.externalWeights = options.externalWeights;
  package.supportDir = options.supportDir;
  package.progress = options.progress;
  // Names of functions are for profilers; they would be a third of a megabyte.
  package.stripSymbols = !options.saveTemps;
  return stages.run("package", [&] {
    return qcc::package(objects, region->stream(packThreads(options)), package);
  });
}

/// What cannot be written for a target at all is said before anything is read.
static llvm::Error checkEmit(const TargetSpec &target, EmitKind emit) {
  bool isCpuOnly = emit == EmitKind::Asm || emit == EmitKind::Obj;
  if (target.isGpu() ? !isCpuOnly : emit != EmitKind::Ptx)
    return llvm::Error::success();
  return llvm::createStringError(
      "target '" + llvm::StringRef(target.name) +
      (target.isGpu() ? "' makes no asm or obj; expected --emit=ptx, or no "
                        "--emit for a model"
                      : "' makes no ptx; expected --target=sm_86 or another "
                        "of the GPUs in --list-targets"));
}

llvm::Error Compilation::run() {
  std::vector<const TargetSpec *> targets = options.targets;
  if (targets.empty()) {
    auto native = detectNativeTarget();
    if (!native)
      return native.takeError();
    targets.push_back(*native);
  }
  bool oneTarget =
      options.emit != EmitKind::Artefact && options.emit != EmitKind::Import;
  if (oneTarget && targets.size() > 1)
    return llvm::createStringError(
        "--emit shows one target's code; expected one target, got " +
        llvm::Twine(targets.size()));

  for (const TargetSpec *target : targets)
    if (llvm::Error error = checkEmit(*target, options.emit))
      return error;
  bool forGpu = llvm::any_of(
      targets, [](const TargetSpec *target) { return target->isGpu(); });
  if (!options.ptxas.empty() && forGpu) {
    auto found = Ptxas::find(options.ptxas);
    if (!found)
      return found.takeError();
    ptxas.emplace(std::move(*found));
  }

  if (llvm::Error error = read())
    return error;
  if (done)
    return llvm::Error::success();
  if (options.emit == EmitKind::Artefact) {
    auto vocab =
        imported->getOperation()->getAttrOfType<IntegerAttr>("llm.vocab");
    if (!vocab)
      return llvm::createStringError("the imported module has no llm.vocab");
    if (llvm::Error error = stages.run("tokenizer", [&]() -> llvm::Error {
          Result<TextParts> parts =
              readTextParts(*checkpoint, uint64_t(vocab.getInt()));
          if (!parts)
            return toLLVM(parts.takeError());
          text = std::move(*parts);
          return llvm::Error::success();
        }))
      return error;
  }

  std::vector<TargetOutput> outputs(targets.size());
  // The reference, first in the bundle, lays its weights out after the others'.
  for (unsigned i = targets.size(); i-- > 0;) {
    outputs[i].target = targets[i];
    if (llvm::Error error = generate(i, outputs[i]))
      return error;
    if (done)
      return llvm::Error::success();
  }
  return link(outputs);
}

llvm::Error qcc::compile(const CompileOptions &options) {
  return Compilation(options).run();
}
