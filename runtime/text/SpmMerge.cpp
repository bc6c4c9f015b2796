//===- SpmMerge.cpp - SentencePiece BPE with byte fallback ----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The text starts as its characters. Of all neighbours that together are a
// token, the pair with the highest score (the leftmost of several) becomes
// one, until nothing can be joined. What is no token then becomes byte tokens.
// Tokens of type "unused" may arise on the way and are taken apart at the end.
//===----------------------------------------------------------------------===//

#include "Tokenizer.h"

#include "Utf8.h"

#include <algorithm>
#include <unordered_map>

namespace qcc::text {

struct Tokenizer::ScoreMerger {
  static constexpr uint32_t none = UINT32_MAX;
  struct Symbol {
    uint32_t begin, size; ///< of its text; size 0: joined to the one before
    uint32_t previous, next;
    int32_t id; ///< -1: not looked up yet, or no token
  };
  struct Candidate {
    float score;
    uint32_t at, size;
    int32_t id;
    /// Order of a max-heap whose top is the best candidate.
    bool operator<(const Candidate &other) const {
      return score != other.score ? score < other.score : at > other.at;
    }
  };

  const Tokenizer &tokenizer;
  std::string_view text;
  std::vector<int32_t> &ids;
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;
  /// Bytes of the left part of each unused token, from its latest sighting.
  std::unordered_map<int32_t, uint32_t> leftOfUnused;

  bool isUnused(int32_t id) const {
    return (tokenizer.types[static_cast<size_t>(id)] & image::typeMask) ==
           static_cast<uint8_t>(TokenType::Unused);
  }

  bool candidate(uint32_t at, Candidate &out) {
    const Symbol &left = symbols[at];
    if (left.next == none)
      return false;
    size_t size = size_t(left.size) + symbols[left.next].size;
    if (size > tokenizer.header->maxTextBytes)
      return false;
    int32_t id = tokenizer.lookUp(text.substr(left.begin, size));
    if (id < 0)
      return false;
    if (isUnused(id))
      leftOfUnused[id] = left.size;
    out = {tokenizer.scores[static_cast<size_t>(id)], at,
           static_cast<uint32_t>(size), id};
    return true;
  }

  void push(uint32_t at) {
    Candidate found;
    if (at != none && candidate(at, found)) {
      queue.push_back(found);
      std::push_heap(queue.begin(), queue.end());
    }
  }

  void emit(std::string_view piece, int32_t id) {
    if (id < 0)
      id = tokenizer.lookUp(piece);
    if (id >= 0) {
      auto left = leftOfUnused.find(id);
      if (left == leftOfUnused.end() || !isUnused(id) ||
          left->second >= piece.size()) {
        ids.push_back(id);
        return;
      }
      // Parts are shorter than the whole, and a token has few bytes.
      emit(piece.substr(0, left->second), -1);
      emit(piece.substr(left->second), -1);
      return;
    }
    bool unknown = false;
    for (char c : piece) {
      int32_t byte = tokenizer.byteTokens[static_cast<uint8_t>(c)];
      if (tokenizer.isToken(byte))
        ids.push_back(byte);
      else
        unknown = true;
    }
    if (unknown && tokenizer.unk() >= 0)
      ids.push_back(tokenizer.unk());
  }

  void run() {
    uint32_t codePoint = 0;
    for (size_t at = 0; at < text.size();) {
      size_t length = std::max<size_t>(decodeUtf8(text, at, codePoint), 1);
      uint32_t index = static_cast<uint32_t>(symbols.size());
      symbols.push_back({static_cast<uint32_t>(at),
                         static_cast<uint32_t>(length),
                         index == 0 ? none : index - 1, index + 1, -1});
      at += length;
    }
    symbols.back().next = none;
    Candidate found;
    for (uint32_t i = 0; i < symbols.size(); ++i)
      if (candidate(i, found))
        queue.push_back(found);
    std::make_heap(queue.begin(), queue.end());

    while (!queue.empty()) {
      Candidate best = queue.front();
      std::pop_heap(queue.begin(), queue.end());
      queue.pop_back();
      Symbol &left = symbols[best.at];
      if (left.size == 0 || left.next == none ||
          left.size + symbols[left.next].size != best.size)
        continue;
      Symbol &right = symbols[left.next];
      left.size = best.size;
      left.id = best.id;
      right.size = 0;
      left.next = right.next;
      if (left.next != none)
        symbols[left.next].previous = best.at;
      push(left.previous);
      push(best.at);
    }
    for (uint32_t i = 0; i != none; i = symbols[i].next)
      emit(text.substr(symbols[i].begin, symbols[i].size), symbols[i].id);
  }
};

void Tokenizer::mergeByScore(std::string_view text,
                             std::vector<int32_t> &ids) const {
  ScoreMerger merger{*this, text, ids, {}, {}, {}};
  merger.run();
}

} // namespace qcc::text
