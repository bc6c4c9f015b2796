//===- BpeMerge.cpp - BPE by merges ---------------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Each word starts as its bytes or characters. Of all neighbours that a merge
// names, the pair of the lowest rank (the leftmost of several) becomes one
// token, until no merge applies. A queue holds the candidates; one whose tokens
// have meanwhile changed is skipped when it comes up.
//===----------------------------------------------------------------------===//

#include "Tokenizer.h"

#include "Utf8.h"

#include <algorithm>

namespace qcc::text {

struct Tokenizer::RankMerger {
  static constexpr uint32_t none = UINT32_MAX;
  struct Symbol {
    int32_t id; ///< -1: merged into the one before
    uint32_t previous, next;
  };
  struct Candidate {
    uint32_t rank, at;
    int32_t left, right;
    /// Order of a max-heap whose top is the best candidate.
    bool operator<(const Candidate &other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };

  const Tokenizer &tokenizer;
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;
  std::vector<int32_t> bytes;

  bool candidate(uint32_t at, Candidate &out) const {
    uint32_t next = symbols[at].next;
    if (next == none)
      return false;
    int32_t rank = tokenizer.findMerge(static_cast<uint32_t>(symbols[at].id),
                                       static_cast<uint32_t>(symbols[next].id));
    if (rank < 0)
      return false;
    out = {static_cast<uint32_t>(rank), at, symbols[at].id, symbols[next].id};
    return true;
  }

  void push(uint32_t at) {
    Candidate found;
    if (at != none && candidate(at, found)) {
      queue.push_back(found);
      std::push_heap(queue.begin(), queue.end());
    }
  }

  void append(int32_t id) {
    uint32_t index = static_cast<uint32_t>(symbols.size());
    symbols.push_back({id, index == 0 ? none : index - 1, index + 1});
  }

  /// The symbols before any merge.
  void start(std::string_view word) {
    uint32_t flags = tokenizer.header->flags;
    bool isByteLevel = tokenizer.header->model ==
                       static_cast<uint32_t>(TokenizerSpec::Model::Bpe);
    bool wasUnknown = false;
    uint32_t codePoint = 0;
    for (size_t at = 0; at < word.size();) {
      size_t length = 1;
      int32_t id;
      if (isByteLevel) {
        id = tokenizer.byteTokens[static_cast<uint8_t>(word[at])];
      } else {
        length = std::max<size_t>(decodeUtf8(word, at, codePoint), 1);
        id = tokenizer.lookUp(word.substr(at, length));
      }
      std::string_view character = word.substr(at, length);
      at += length;
      if (tokenizer.isToken(id)) {
        append(id);
        wasUnknown = false;
        continue;
      }
      bytes.clear();
      if (flags & image::ByteFallback &&
          tokenizer.fallBackToBytes(character, bytes)) {
        for (int32_t byte : bytes)
          append(byte);
        wasUnknown = false;
        continue;
      }
      // Without an unknown token it is dropped before merging, as Hugging Face
      // does.
      if (flags & image::UseUnknown &&
          !(wasUnknown && flags & image::FuseUnknown))
        append(tokenizer.unk());
      wasUnknown = true;
    }
  }

  void run(std::string_view word, std::vector<int32_t> &ids) {
    symbols.clear();
    queue.clear();
    start(word);
    if (symbols.empty())
      return;
    symbols.back().next = none;
    uint32_t count = static_cast<uint32_t>(symbols.size());
    Candidate found;
    for (uint32_t i = 0; i < count; ++i)
      if (candidate(i, found))
        queue.push_back(found);
    std::make_heap(queue.begin(), queue.end());

    while (!queue.empty()) {
      Candidate best = queue.front();
      std::pop_heap(queue.begin(), queue.end());
      queue.pop_back();
      Symbol &left = symbols[best.at];
      if (left.id != best.left || left.next == none ||
          symbols[left.next].id != best.right)
        continue;
      Symbol &right = symbols[left.next];
      left.id = static_cast<int32_t>(tokenizer.merges[best.rank].result);
      right.id = -1;
      left.next = right.next;
      if (left.next != none)
        symbols[left.next].previous = best.at;
      push(left.previous);
      push(best.at);
    }
    for (uint32_t i = 0; i != none; i = symbols[i].next)
      ids.push_back(symbols[i].id);
  }
};

void Tokenizer::mergeByRank(std::string_view text, std::span<const Word> words,
                            std::vector<int32_t> &ids) const {
  RankMerger merger{*this, {}, {}, {}};
  for (Word place : words) {
    std::string_view word = text.substr(place.begin, place.end - place.begin);
    if (header->flags & image::IgnoreMerges)
      if (int32_t id = lookUp(word); id >= 0) {
        ids.push_back(id);
        continue;
      }
    merger.run(word, ids);
  }
}

} // namespace qcc::text
