//===- PanelDecoder.h - Weights of a packed panel as f32 --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The numbers of any encoding, four elements at a time: for stages that look a
// row up, and for products without tensor cores. Values are those that
// decodeElement (qcc/Formats/Encoding.h) defines, bit by bit.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_PANELDECODER_H
#define QCC_LIB_CODEGEN_NVPTX_PANELDECODER_H

#include "qcc/Codegen/Common/PanelScales.h"
#include "qcc/Formats/PackedWeight.h"
#include "WarpEmitter.h"

namespace qcc::nvptx {

class PanelDecoder {
public:
  /// Of one run of `weight`.
  PanelDecoder(WarpEmitter &e, const PackedWeight &weight,
               const PackedWeight::Run &run);

  /// Elements 4 * word to 4 * word + 3 of row `row` (0..15) of the panel at
  /// `panel`. Words behind the last element of a row are there as far as its
  /// last unit goes.
  Values word(Value panel, Value row, Value word);

private:
  /// The four codes of k-group `group` (0..7) of the chunk at `chunk`, in the
  /// bytes of a word.
  Value codes(Value chunk, Value row, Value group);
  /// The word at `pointer`, which a device reads at once only if it is aligned.
  Value loadWord(Value pointer);
  /// What they stand for, before the scale.
  Value number(Value codes, int64_t index, Value zero);

  WarpEmitter &e;
  const PackedLayout &layout;
  const Encoding &encoding;
  ScaleReader scales;
  unsigned alignment; ///< Of words of codes: 1, 2 or 4.
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_PANELDECODER_H
