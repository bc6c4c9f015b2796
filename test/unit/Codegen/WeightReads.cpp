//===- WeightReads.cpp - Which thread reads which weights -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "WeightReads.h"

#include <csignal>
#include <stdexcept>
#include <sys/mman.h>

using namespace qcc::test;

namespace {
/// What the handler of the signal knows.
struct Watched {
  uint8_t *begin = nullptr;
  size_t pages = 0;
  uint8_t *read = nullptr;
  struct sigaction before = {};
};
Watched watched;
} // namespace

static void handle(int, siginfo_t *info, void *) {
  // Compared as numbers: the address may be any.
  auto at = reinterpret_cast<uintptr_t>(info->si_addr),
       begin = reinterpret_cast<uintptr_t>(watched.begin);
  size_t page = (at - begin) / WeightReads::kPage;
  if (at < begin || page >= watched.pages || watched.read[page]) {
    // Another fault, which happens again when this returns.
    sigaction(SIGSEGV, &watched.before, nullptr);
    return;
  }
  watched.read[page] = 1;
  mprotect(watched.begin + page * WeightReads::kPage, WeightReads::kPage,
           PROT_READ);
}

WeightReads::WeightReads(std::span<uint8_t> weights) : weights(weights) {
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO;
  watched.begin = weights.data();
  watched.pages = (weights.size() + kPage - 1) / kPage;
  if (sigaction(SIGSEGV, &action, &watched.before))
    throw std::runtime_error("SIGSEGV cannot be handled");
}

WeightReads::~WeightReads() {
  mprotect(watched.begin, watched.pages * kPage, PROT_READ | PROT_WRITE);
  sigaction(SIGSEGV, &watched.before, nullptr);
  watched = {};
}

void WeightReads::begin(unsigned thread) {
  turns.push_back({thread, std::vector<uint8_t>(watched.pages)});
  watched.read = turns.back().read.data();
  if (mprotect(watched.begin, watched.pages * kPage, PROT_NONE))
    throw std::runtime_error("pages cannot be taken away");
}

std::vector<unsigned> WeightReads::readers(size_t offset, size_t bytes) const {
  std::vector<unsigned> threads;
  size_t first = (offset + kPage - 1) / kPage, last = (offset + bytes) / kPage;
  if (first >= last)
    throw std::runtime_error("weights have no page of their own");
  for (const Turn &turn : turns)
    for (size_t page = first; page < last; ++page)
      if (turn.read[page]) {
        threads.push_back(turn.thread);
        break;
      }
  return threads;
}
