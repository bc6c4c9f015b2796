//===- SavedState.cpp - A sequence as bytes -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Layout: Header, int32_t tokens[length], zeros up to a multiple of 64, then
// for each state its pages in order, whole. The header names the weights and
// the target, because the layout inside a page is the target's own.
//===----------------------------------------------------------------------===//

#include "Session.h"

#include <cstring>

namespace qcc::rt {

namespace {
struct Header {
  char magic[8];
  uint32_t version;
  uint32_t headerBytes;
  uint8_t weights[32]; // hash
  char target[40];
  uint64_t length;    // tokens
  uint64_t bytes;     // of everything
  uint64_t pageBytes; // of all states together
  uint32_t states;
  uint32_t reserved;
  uint64_t checksum; // of everything, with this field 0
};
static_assert(sizeof(Header) == 128, "the layout is a file format");
} // namespace

/// Tells a damaged state from a whole one; no protection against intent. Both
/// sizes are multiples of 64.
static uint64_t checksum(Header header, const uint8_t *rest, uint64_t bytes) {
  header.checksum = 0;
  uint64_t hash = 0;
  auto mix = [&](const void *data, uint64_t size) {
    for (uint64_t i = 0; i < size; i += 8) {
      uint64_t word;
      memcpy(&word, static_cast<const char *>(data) + i, 8);
      hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 32;
    }
  };
  mix(&header, sizeof header);
  mix(rest, bytes);
  return hash;
}

/// The header that describes a sequence of `length` tokens, and the offset of
/// its first page.
static Header describe(const Model &model, const Pages &pages, size_t length,
                       uint64_t &firstPage) {
  Header header = {};
  memcpy(header.magic, "QCCSTATE", 8);
  header.version = 1;
  header.headerBytes = sizeof header;
  memcpy(header.weights, model.weights.hash(), sizeof header.weights);
  // With layers on a CPU and on a GPU, pages have the layouts of both.
  char split[48] = "";
  if (model.cpuCode)
    snprintf(split, sizeof split, "%.16s:%u ", model.cpuCode->target,
             model.cpuLayers);
  snprintf(header.target, sizeof header.target, "%s%s %s", split,
           model.code->target, model.code->kv ? model.code->kv : "");
  header.length = length;
  header.states = uint32_t(pages.stateCount());
  for (size_t i = 0; i < pages.stateCount(); ++i)
    header.pageBytes += pages.pageBytes(i);
  firstPage = (sizeof header + length * sizeof(int32_t) + 63) / 64 * 64;
  header.bytes = firstPage + Pages::pagesFor(length) * header.pageBytes;
  return header;
}

qcc_status Session::save(uint32_t sequence, uint8_t *data, size_t capacity,
                         size_t &bytes) {
  if (qcc_status status = checkSequence(sequence))
    return status;
  size_t length = lengths[sequence];
  uint64_t offset;
  Header header = describe(*model, pages, length, offset);
  bytes = header.bytes;
  if (capacity < header.bytes || !data)
    return error.set(QCC_E_SPACE, "saved state has %zu bytes, given %zu", bytes,
                     capacity);
  memset(data, 0, offset);
  memcpy(data + sizeof header, tokensOf(sequence), length * sizeof(int32_t));
  for (size_t state = 0; state < pages.stateCount(); ++state)
    for (size_t page = 0; page < pages.pageCount(sequence); ++page) {
      if (qcc_status status =
              pages.read(state, sequence, page, data + offset, error))
        return status;
      offset += pages.pageBytes(state);
    }
  header.checksum =
      checksum(header, data + sizeof header, offset - sizeof header);
  memcpy(data, &header, sizeof header);
  return QCC_OK;
}

qcc_status Session::restore(uint32_t sequence, const uint8_t *data,
                            size_t bytes) {
  if (qcc_status status = checkSequence(sequence))
    return status;
  Header found;
  if (!data || bytes < sizeof found)
    return error.set(QCC_E_DATA,
                     "saved state has %zu bytes, expected %zu or "
                     "more",
                     bytes, sizeof found);
  memcpy(&found, data, sizeof found);
  if (memcmp(found.magic, "QCCSTATE", 8) != 0)
    return error.set(QCC_E_DATA, "not a saved state");
  if (found.length > context)
    return error.set(QCC_E_CONTEXT,
                     "saved state has %llu tokens, the context is %u",
                     static_cast<unsigned long long>(found.length), context);
  uint64_t offset;
  Header expected = describe(*model, pages, found.length, offset);
  expected.checksum = found.checksum;
  if (memcmp(&found, &expected, sizeof found) != 0)
    return error.set(QCC_E_DATA, "saved state is of another model, target or "
                                 "version");
  if (bytes != expected.bytes)
    return error.set(QCC_E_DATA, "saved state has %zu bytes, expected %llu",
                     bytes, static_cast<unsigned long long>(expected.bytes));
  if (found.checksum !=
      checksum(found, data + sizeof found, bytes - sizeof found))
    return error.set(QCC_E_DATA, "saved state is damaged");
  // A checksum can be made to fit; a token out of range must still not pass.
  for (size_t i = 0; i < found.length; ++i) {
    int32_t token;
    memcpy(&token, data + sizeof found + i * sizeof token, sizeof token);
    if (checkTokens(&token, 1) != QCC_OK)
      return error.set(QCC_E_DATA, "saved token %zu is %d, expected 0 to %u", i,
                       token, code->vocab - 1);
  }
  memcpy(&history[size_t(sequence) * context], data + sizeof found,
         found.length * sizeof(int32_t));
  pages.shrink(sequence, 0); // shared pages stay as they are
  lengths[sequence] = 0;
  qcc_status status = pages.grow(sequence, 0, found.length, error);
  for (size_t state = 0; state < pages.stateCount(); ++state)
    for (size_t page = 0; status == QCC_OK && page < pages.pageCount(sequence);
         ++page) {
      status = pages.write(state, sequence, page, data + offset, error);
      offset += pages.pageBytes(state);
    }
  if (status)
    pages.shrink(sequence, 0);
  else
    lengths[sequence] = found.length;
  return status;
}

} // namespace qcc::rt
