//===- Package.cpp - Objects and weights to one runnable file -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Package/Package.h"

#include "Linker.h"
#include "Payload.h"
#include "WeightWriter.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cstring>
#include <unistd.h>

using namespace qcc;

/// Whether `text` can be the start of a C name.
static bool isIdentifier(llvm::StringRef text) {
  return !text.empty() && text.size() <= 64 && !llvm::isDigit(text[0]) &&
         llvm::all_of(text,
                      [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

/// `<folder of the executable>/../lib/qcc`.
static std::string defaultSupportDir() {
  // Any address in this program does.
  std::string program = llvm::sys::fs::getMainExecutable(
      nullptr, reinterpret_cast<void *>(&defaultSupportDir));
  llvm::SmallString<256> path(llvm::sys::path::parent_path(program));
  llvm::sys::path::append(path, "..", "lib", "qcc");
  return std::string(path);
}

std::string qcc::externalWeightsPath(const PackageOptions &options) {
  return options.output + ".qw";
}

/// Streams the weights to `file` from `offset` on and closes them with their
/// footer; the hash.
static llvm::Expected<WeightHash>
writeWithFooter(const WeightStream &weights, AtomicFile &file, uint64_t offset,
                const PackageOptions &options) {
  llvm::Expected<WeightHash> hash =
      writeWeights(weights, file, offset, options.progress);
  if (!hash)
    return hash;
  qcc_payload_footer_t footer = {};
  std::memcpy(footer.magic, QCC_PAYLOAD_MAGIC, sizeof footer.magic);
  footer.version = QCC_PAYLOAD_VERSION;
  footer.bytes = weights.bytes;
  std::memcpy(footer.hash, hash->data(), sizeof footer.hash);
  uint64_t end = offset + qcc_payload_external_size(weights.bytes);
  if (llvm::Error error =
          file.write(&footer, sizeof footer, end - sizeof footer))
    return error;
  return hash;
}

static llvm::Error checkOptions(const WeightStream &weights,
                                const PackageOptions &options) {
  if (!isIdentifier(options.symbolPrefix))
    return llvm::createStringError(
        "invalid symbol prefix '" + options.symbolPrefix +
        "': expected a C identifier of at most 64 characters");
  if (weights.bytes > 0 && !weights.write)
    return llvm::createStringError("expected a producer of " +
                                   llvm::Twine(weights.bytes) +
                                   " bytes of weights, got none");
  if (weights.bytes > maxWeightBytes)
    return llvm::createStringError(
        "expected at most " + llvm::Twine(maxWeightBytes) +
        " bytes of weights, got " + llvm::Twine(weights.bytes));
  std::string file = externalWeightsPath(options);
  if (options.externalWeights && llvm::sys::path::filename(file).size() >=
                                     sizeof(qcc_payload_note_t::file_name))
    return llvm::createStringError("cannot write '" + options.output +
                                   "': the name is too long");
  return llvm::Error::success();
}

llvm::Error qcc::package(llvm::ArrayRef<llvm::MemoryBufferRef> objects,
                         const WeightStream &weights,
                         const PackageOptions &options) {
  if (llvm::Error error = checkOptions(weights, options))
    return error;
  bool external = options.externalWeights && weights.bytes > 0;

  // First the output, so that a folder which cannot be written is told at once.
  auto file = AtomicFile::create(options.output, 0777);
  if (!file)
    return file.takeError();
  auto linked = link(objects,
                     options.supportDir.empty() ? defaultSupportDir()
                                                : options.supportDir,
                     options);
  if (!linked)
    return linked.takeError();
  auto image = PayloadImage::create(*linked, external ? 0 : weights.bytes);
  if (!image)
    return image.takeError();
  if (llvm::Error error = (*file)->resize(image->fileSize()))
    return error;

  std::unique_ptr<AtomicFile> weightsFile;
  if (external) {
    auto created = AtomicFile::create(externalWeightsPath(options), 0666);
    if (!created)
      return created.takeError();
    weightsFile = std::move(*created);
    if (llvm::Error error =
            weightsFile->resize(qcc_payload_external_size(weights.bytes)))
      return error;
  }
  if (weights.bytes > 0) {
    llvm::Expected<WeightHash> hash =
        external
            ? writeWithFooter(weights, *weightsFile, 0, options)
            : writeWithFooter(weights, **file, image->payloadOffset(), options);
    if (!hash)
      return hash.takeError();
    std::string name;
    if (external)
      name = llvm::sys::path::filename(externalWeightsPath(options)).str();
    image->describe(weights.bytes, *hash, name);
  }

  if (llvm::Error error =
          (*file)->write(image->head().data(), image->head().size(), 0))
    return error;
  if (llvm::Error error = (*file)->write(
          image->tail().data(), image->tail().size(), image->tailOffset()))
    return error;

  // The artefact last: it is never there without its weights.
  if (weightsFile)
    if (llvm::Error error = weightsFile->commit())
      return error;
  if (llvm::Error error = (*file)->commit()) {
    if (weightsFile)
      ::unlink(externalWeightsPath(options).c_str());
    return error;
  }
  return llvm::Error::success();
}
