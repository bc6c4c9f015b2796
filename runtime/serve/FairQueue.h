//===- FairQueue.h - Jobs that wait for a sequence --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// First in, first out for each client, and the clients in turn: one that sends
// a hundred requests delays another's by one, and takes no more room than it
// leaves for others.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_FAIRQUEUE_H
#define QCC_RUNTIME_SERVE_FAIRQUEUE_H

#include "Job.h"

#include <deque>

namespace qcc::serve {

/// Not for use by two threads at once.
class FairQueue {
public:
  size_t size() const { return count; }
  bool empty() const { return count == 0; }
  /// Whether a client may add `more` jobs, when the first `idle` need not wait:
  /// its jobs may not be more than the places that are left.
  bool hasRoom(const std::string &client, size_t more, size_t idle,
               size_t limit) const;
  void push(JobPointer job);
  /// The next job; the queue must not be empty.
  JobPointer pop();
  /// Takes out the jobs for which `unwanted(job)` is true.
  template <typename Predicate>
  std::vector<JobPointer> take(const Predicate &unwanted) {
    std::vector<JobPointer> taken;
    for (Line &line : lines)
      for (size_t i = 0; i < line.jobs.size();) {
        if (!unwanted(*line.jobs[i])) {
          ++i;
          continue;
        }
        taken.push_back(std::move(line.jobs[i]));
        line.jobs.erase(line.jobs.begin() + long(i));
      }
    count -= taken.size();
    std::erase_if(lines, [](const Line &line) { return line.jobs.empty(); });
    return taken;
  }

private:
  struct Line {
    std::string client;
    std::deque<JobPointer> jobs; // never empty
  };
  std::deque<Line>::const_iterator lineOf(const std::string &client) const;

  std::deque<Line> lines; // in the order of turns
  size_t count = 0;
};

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_FAIRQUEUE_H
