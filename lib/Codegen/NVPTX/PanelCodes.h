//===- PanelCodes.h - Codes of a panel as operands of mma -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Weights are the A operand of mma.m16n8k16: R16K4 has four consecutive k of a
// row in one word, and a lane of mma wants four k of a row, so that a word is
// all codes of a lane and the file's layout is the kernel's. Codes enter as
// exact f16 integers, less a zero, or as the f16 whose bits they are.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_PANELCODES_H
#define QCC_LIB_CODEGEN_NVPTX_PANELCODES_H

#include "qcc/Formats/PackedLayout.h"
#include "WarpEmitter.h"

namespace qcc::nvptx {

class PanelCodes {
public:
  /// `lane` (i32) of its warp, which has columns lane / 4 and lane / 4 + 8 of
  /// the panel.
  PanelCodes(WarpEmitter &e, Value lane);

  /// By how many bytes piece `piece` (of 16 bytes, i32) of a unit lies behind
  /// its place in the unit when that is in shared memory. In planes of 4 or 8
  /// lines a warp reads the same 8 words of four lines at once; lines 2 and 3
  /// would meet the banks of 0 and 1.
  static Value exchange(WarpEmitter &e, const PackedLayout &layout,
                        Value piece);

  /// The A operands of both mma of a chunk: [mma][register].
  using Fragments = std::array<std::array<Value, 4>, 2>;
  /// Of the chunk at `chunk` in shared memory: codes less the encoding's zero,
  /// or less `zeros` of the lane's two columns (i32, all that is subtracted).
  /// Nothing is subtracted of encodings that have such, if there are none here.
  Fragments fragments(const PackedLayout &layout, Value chunk,
                      llvm::ArrayRef<Value> zeros = {});

  /// What codes are multiplied by where they are the bits of an f16: those of
  /// up to 10 bits are its subnormal numbers, which tensor cores take as
  /// exactly as any.
  static constexpr double kBit = 0x1p-24;
  /// Whether codes are of four bits, each in a nibble.
  static bool isNibbles(const PackedLayout &layout) {
    return layout.planes.size() == 1 && layout.planes.front().width == 4;
  }
  /// Codes times kBit, nothing subtracted; an operation for two of them where
  /// numbers of 1024 + code would need another one. With `upperTimes16` those
  /// of the second mma are 16 times as large, as high nibbles stand in a word;
  /// codes then have up to 6 bits.
  Fragments bits(const PackedLayout &layout, Value chunk, bool upperTimes16);

private:
  using Words = std::array<Value, 2>;
  /// The codes of four bits of both mma, in the low and the high nibbles; or of
  /// other widths, in the bytes of a word for each mma.
  Value nibbleWord(const PackedLayout &layout, Value chunk, unsigned half);
  Words byteWords(const PackedLayout &layout, Value chunk, unsigned half);
  /// What is added to numbers of 1024 + code, and of 64 + code (half2).
  struct Bias {
    Value ofBytes, ofHighNibbles;
  };
  Bias biasOf(Value zero);
  Bias biasOf(int64_t zero);
  Value nibbles(Value word, bool high, const Bias &bias);
  Words planeBytes(const PackedLayout::Plane &plane, Value chunk,
                   unsigned half);

  WarpEmitter &e;
  Value group, quad;   ///< lane / 4 and lane % 4.
  Value wideOffset[2]; ///< Of a lane's word in planes of 4 or 8 bits, by half.
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_PANELCODES_H
