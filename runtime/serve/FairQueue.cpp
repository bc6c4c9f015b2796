//===- FairQueue.cpp - Jobs that wait for a sequence ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FairQueue.h"

#include <algorithm>

namespace qcc::serve {

std::deque<FairQueue::Line>::const_iterator
FairQueue::lineOf(const std::string &client) const {
  return std::find_if(lines.begin(), lines.end(),
                      [&](const Line &line) { return line.client == client; });
}

bool FairQueue::hasRoom(const std::string &client, size_t more, size_t idle,
                        size_t limit) const {
  if (count + more <= idle)
    return true;
  size_t waiting = count + more - idle;
  auto line = lineOf(client);
  size_t own = more + (line == lines.end() ? 0 : line->jobs.size());
  // An odd place is anyone's.
  return waiting <= limit && std::min(own, waiting) <= limit - waiting + 1;
}

void FairQueue::push(JobPointer job) {
  ++count;
  auto line = lines.begin() + (lineOf(job->client) - lines.begin());
  if (line == lines.end())
    line = lines.insert(lines.end(), Line{job->client, {}});
  line->jobs.push_back(std::move(job));
}

JobPointer FairQueue::pop() {
  --count;
  Line line = std::move(lines.front());
  lines.pop_front();
  JobPointer job = std::move(line.jobs.front());
  line.jobs.pop_front();
  if (!line.jobs.empty())
    lines.push_back(std::move(line));
  return job;
}

} // namespace qcc::serve
