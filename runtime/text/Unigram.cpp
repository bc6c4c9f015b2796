//===- Unigram.cpp - The most likely sequence of tokens -------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Goes through the word from left to right and keeps for each place the best
// sequence of tokens that ends there. A character that is no token is unknown.
//===----------------------------------------------------------------------===//

#include "Tokenizer.h"

#include "Utf8.h"

#include <algorithm>

namespace qcc::text {

struct Tokenizer::Unigram {
  struct Node {
    double score = 0;
    uint32_t start = UINT32_MAX; ///< of the last token; none: not reached
    int32_t id = -1;             ///< -1: unknown
  };

  const Tokenizer &tokenizer;
  std::string_view word;
  std::vector<Node> nodes;

  void offer(size_t start, size_t end, double score, int32_t id) {
    double sum = nodes[start].score + score;
    Node &node = nodes[end];
    if (node.start != UINT32_MAX && !(sum > node.score))
      return;
    if (tokenizer.header->flags & image::SinglePrecision)
      sum = static_cast<double>(static_cast<float>(sum));
    node = {sum, static_cast<uint32_t>(start), id};
  }

  void forward() {
    uint32_t codePoint = 0;
    for (size_t at = 0; at < word.size();) {
      size_t length = std::max<size_t>(decodeUtf8(word, at, codePoint), 1);
      size_t longest =
          std::min<size_t>(word.size() - at, tokenizer.header->maxTextBytes);
      bool isKnown = false;
      image::TextHash hash;
      for (size_t size = 1; size <= longest; ++size) {
        hash.add(word[at + size - 1]);
        if (at + size < word.size() && (word[at + size] & 0xC0) == 0x80)
          continue; // inside of a character
        int32_t id = tokenizer.lookUp(word.substr(at, size), hash.finish());
        if (id < 0)
          continue;
        offer(at, at + size,
              tokenizer.logProbabilities[static_cast<size_t>(id)], id);
        isKnown |= size == length;
      }
      if (!isKnown)
        offer(at, at + length, tokenizer.header->unknownScore, -1);
      at += length;
    }
  }

  void emit(std::string_view unknown, std::vector<int32_t> &ids) const {
    if (!(tokenizer.header->flags & image::ByteFallback &&
          tokenizer.fallBackToBytes(unknown, ids)) &&
        tokenizer.unk() >= 0)
      ids.push_back(tokenizer.unk());
  }

  void backward(std::vector<int32_t> &ids) {
    std::vector<Word> path;
    for (size_t end = word.size(); end > 0; end = nodes[end].start)
      path.push_back({nodes[end].start, end});
    std::reverse(path.begin(), path.end());
    bool fuses = tokenizer.header->flags & image::FuseUnknown;
    for (size_t i = 0; i < path.size(); ++i) {
      if (int32_t id = nodes[path[i].end].id; id >= 0) {
        ids.push_back(id);
        continue;
      }
      size_t begin = path[i].begin;
      while (fuses && i + 1 < path.size() && nodes[path[i + 1].end].id < 0)
        ++i;
      emit(word.substr(begin, path[i].end - begin), ids);
    }
  }
};

void Tokenizer::unigram(std::string_view word,
                        std::vector<int32_t> &ids) const {
  Unigram search{*this, word, std::vector<Unigram::Node>(word.size() + 1)};
  search.forward();
  search.backward(ids);
}

} // namespace qcc::text
