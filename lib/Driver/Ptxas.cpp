//===- Ptxas.cpp - Machine code for GPUs by NVIDIA's assembler ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Ptxas.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cstdlib>

using namespace qcc;

namespace {
/// A file of the system's temporary folder that ends with its scope.
class TemporaryFile {
public:
  static llvm::Expected<TemporaryFile> create(llvm::StringRef suffix,
                                              llvm::StringRef contents = "") {
    llvm::SmallString<128> path;
    int descriptor = -1;
    if (std::error_code error =
            llvm::sys::fs::createTemporaryFile("qcc", suffix, descriptor, path))
      return llvm::createStringError(error, "cannot make a temporary file: " +
                                                error.message());
    TemporaryFile result(path);
    llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
    stream << contents;
    stream.close();
    if (std::error_code error = stream.error()) {
      stream.clear_error();
      return llvm::createStringError(error, path + ": " + error.message());
    }
    return result;
  }

  llvm::StringRef path() const { return name; }

  llvm::Expected<std::string> read() const {
    auto buffer = llvm::MemoryBuffer::getFile(name);
    if (!buffer)
      return llvm::createStringError(buffer.getError(),
                                     name + ": " + buffer.getError().message());
    return (*buffer)->getBuffer().str();
  }

private:
  explicit TemporaryFile(llvm::StringRef path)
      : name(path.str()), remover(std::make_unique<llvm::FileRemover>(path)) {}

  std::string name;
  std::unique_ptr<llvm::FileRemover> remover;
};
} // namespace

/// What a program says on both of its streams; its first line is the error when
/// it fails.
static llvm::Expected<std::string>
run(llvm::StringRef program, llvm::ArrayRef<llvm::StringRef> arguments) {
  auto output = TemporaryFile::create("log");
  if (!output)
    return output.takeError();
  llvm::SmallVector<llvm::StringRef> line{program};
  line.append(arguments.begin(), arguments.end());
  const std::optional<llvm::StringRef> streams[] = {
      llvm::StringRef(), output->path(), output->path()};
  std::string why;
  int code = llvm::sys::ExecuteAndWait(program, line, std::nullopt, streams, 0,
                                       0, &why);
  auto text = output->read();
  if (!text || code == 0)
    return text;
  llvm::StringRef said = llvm::StringRef(*text).trim().split('\n').first;
  return llvm::createStringError(program + ": " +
                                 (!said.empty() ? said.str()
                                  : !why.empty()
                                      ? why
                                      : "ended with " + std::to_string(code)));
}

llvm::Expected<Ptxas> Ptxas::find(llvm::StringRef name) {
  Ptxas result;
  if (name != "auto") {
    result.path = name.str();
  } else if (auto onPath = llvm::sys::findProgramByName("ptxas")) {
    result.path = *onPath;
  } else {
    llvm::SmallVector<std::string> folders;
    for (const char *variable : {"CUDA_PATH", "CUDA_HOME"})
      if (const char *value = getenv(variable); value && *value)
        folders.push_back(value);
    folders.append({"/usr/local/cuda", "/opt/cuda"});
    for (const std::string &folder : folders) {
      llvm::SmallString<128> path(folder);
      llvm::sys::path::append(path, "bin", "ptxas");
      if (result.path.empty() && llvm::sys::fs::can_execute(path))
        result.path = path.str().str();
    }
    if (result.path.empty())
      return llvm::createStringError(
          "--ptxas auto: expected ptxas on the PATH, or in bin of a CUDA "
          "toolkit (CUDA_PATH, " +
          folders[folders.size() - 2] + ")");
  }
  auto version = run(result.path, {"--version"});
  if (!version)
    return version.takeError();
  llvm::StringRef release = llvm::StringRef(*version).split("release ").second;
  if (release.consumeInteger(10, result.cudaMajor) || result.cudaMajor < 11)
    return llvm::createStringError(
        result.path + ": expected NVIDIA's ptxas of CUDA 11 or newer, which "
                      "names its release when it is asked for --version");
  return result;
}

llvm::Expected<GpuImage> Ptxas::assemble(const TargetSpec &target,
                                         llvm::StringRef ptx) const {
  auto source = TemporaryFile::create("ptx", ptx);
  if (!source)
    return source.takeError();
  auto cubin = TemporaryFile::create("cubin");
  if (!cubin)
    return cubin.takeError();
  std::string architecture = std::string("-arch=") + target.cpu;
  auto said = run(path, {architecture, source->path(), "-o", cubin->path()});
  if (!said)
    return said.takeError();
  auto bytes = cubin->read();
  if (!bytes)
    return bytes.takeError();
  GpuImage image;
  image.kind = QCC_GPU_CUBIN;
  image.architecture = target.gpuArchitecture;
  image.specific = target.isSpecificGpu();
  // Drivers of one major version take each other's machine code.
  image.cudaVersion = std::max<uint32_t>(cudaMajor * 1000, target.cudaVersion);
  image.data = std::move(*bytes);
  return image;
}
