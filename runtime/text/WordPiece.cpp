//===- WordPiece.cpp - The longest token first ----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Tokenizer.h"

#include <algorithm>

namespace qcc::text {

static bool isStart(char c) { return (c & 0xC0) != 0x80; }

void Tokenizer::wordPiece(std::string_view word,
                          std::vector<int32_t> &ids) const {
  auto unknown = [&] {
    if (unk() >= 0)
      ids.push_back(unk());
  };
  auto characters = std::count_if(word.begin(), word.end(), isStart);
  if (static_cast<uint64_t>(characters) > header->maxWordCharacters)
    return unknown();
  size_t first = ids.size();
  std::string key;
  for (size_t begin = 0; begin < word.size();) {
    // Where a word goes on, its tokens have a prefix.
    key.assign(wordPrefix.data(), begin ? wordPrefix.size() : 0);
    size_t prefix = key.size(), end = word.size();
    size_t longest = header->maxTextBytes;
    if (end - begin > longest) // no token is longer
      for (end = begin + longest; end > begin && !isStart(word[end]); --end) {
      }
    key += word.substr(begin, end - begin);
    int32_t id = -1;
    for (; end > begin && (id = lookUp(key)) < 0;) {
      while (--end > begin && !isStart(word[end])) {
      }
      key.resize(prefix + end - begin);
    }
    // A part that is unknown makes the word unknown.
    if (id < 0) {
      ids.resize(first);
      return unknown();
    }
    ids.push_back(id);
    begin = end;
  }
}

} // namespace qcc::text
