//===- TorchFile.h - Reader of what torch.save writes -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
//   a zip archive of stored members:
//     <top>/data.pkl     a pickle of a dict from names to tensors
//     <top>/data/<key>   the numbers of a storage, which tensors may share
//     <top>/byteorder    "little", or absent
//
// Nothing of the pickle is executed: one that mentions anything but tensors of
// plain types is refused by name. Tensors must be contiguous, as they are read
// where they lie.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_TORCHFILE_H
#define QCC_LIB_CHECKPOINT_TORCHFILE_H

#include "qcc/Checkpoint/Safetensors.h"

namespace qcc {

/// True for the endings that such files have: ".bin", ".pt", ".pth".
bool hasTorchName(std::string_view name);

/// True for a zip archive, and for the format of torch before 1.6, which is
/// refused by name.
bool isTorchFile(std::span<const uint8_t> bytes);

/// Reads the pickle; types have the names of safetensors. `path` is named in
/// errors. A state dict may lie in a training checkpoint under "state_dict",
/// "model_state_dict", "model" or "module". Entries come in order of name;
/// unlike those of a safetensors file they may overlap.
Result<std::vector<SafetensorsEntry>>
readTorchFile(const std::string &path, std::span<const uint8_t> bytes);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_TORCHFILE_H
