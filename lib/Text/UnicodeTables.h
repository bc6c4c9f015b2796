//===- UnicodeTables.h - Unicode's facts as tables of steps -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The tables that MapCharacters and Compose work with, as bytes (see
// runtime/text/TokenizerImage.h). utf8proc knows the facts.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_TEXT_UNICODETABLES_H
#define QCC_LIB_TEXT_UNICODETABLES_H

#include <functional>
#include <optional>
#include <string>

namespace qcc {

/// The table of what `map` makes of each character; nullopt: it stays.
std::string
characterMap(const std::function<std::optional<std::string>(uint32_t)> &map);

/// Decompositions, those of compatibility too or not, without Hangul.
std::string decompositionMap(bool isCompatibility);
/// Canonical order; with `composes` also what joins.
std::string compositionTable(bool composes);
std::string lowercaseMap();
/// Removes the marks: all, or only those that take no space.
std::string removeMarks(bool isNonspacingOnly);
/// SentencePiece's nmt rule: no control characters, spaces are spaces.
std::string nmtMap();
/// What BERT calls clean: no control characters, white space is a space.
std::string cleanMap();

} // namespace qcc

#endif // QCC_LIB_TEXT_UNICODETABLES_H
