//===- SourceTensors.cpp - Tensors before they are weights ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "SourceTensors.h"
#include <algorithm>
#include "TorchFile.h"

using namespace qcc;

Result<SourceTensors>
SourceTensors::read(const std::vector<Checkpoint::File> &files) {
  SourceTensors result(files);
  for (uint32_t i = 0; i < files.size(); ++i) {
    Result<std::vector<SafetensorsEntry>> entries =
        isTorchFile(files[i].bytes) || hasTorchName(files[i].path)
            ? readTorchFile(files[i].path, files[i].bytes)
            : readSafetensors(files[i].path, files[i].bytes);
    if (!entries)
      return entries.takeError();
    for (SafetensorsEntry &entry : *entries)
      result.tensors.push_back({std::move(entry), i});
  }
  std::sort(result.tensors.begin(), result.tensors.end(),
            [](const SourceTensor &a, const SourceTensor &b) {
              return std::tie(a.entry.name, a.file) <
                     std::tie(b.entry.name, b.file);
            });
  for (size_t i = 1; i < result.tensors.size(); ++i)
    if (result.tensors[i - 1].entry.name == result.tensors[i].entry.name)
      return Error(result.what(result.tensors[i]) + " is also in " +
                   files[result.tensors[i - 1].file].path);
  return result;
}

SourceTensor *SourceTensors::find(std::string_view name) {
  auto it =
      std::lower_bound(tensors.begin(), tensors.end(), name,
                       [](const SourceTensor &tensor, std::string_view wanted) {
                         return tensor.entry.name < wanted;
                       });
  return it != tensors.end() && it->entry.name == name ? &*it : nullptr;
}

std::string SourceTensors::what(const SourceTensor &tensor) const {
  return files[tensor.file].path + ": tensor " + quoted(tensor.entry.name);
}

TensorPart SourceTensors::take(SourceTensor &tensor, TextPool &texts) const {
  tensor.isTaken = true;
  TensorPart part;
  part.name = texts.keep(tensor.entry.name);
  part.type = tensor.entry.type->name;
  part.dims.assign(tensor.entry.shape.rbegin(), tensor.entry.shape.rend());
  part.file = tensor.file;
  part.offset = tensor.entry.offset;
  part.bytes = tensor.entry.bytes;
  return part;
}
