//===- FairQueue.cpp - Jobs that wait for a sequence ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FairQueue.h"

#include <algorithm>

namespace qcc::serve {

void FairQueue::push(JobPointer job) {
  ++count;
  auto line = std::find_if(lines.begin(), lines.end(), [&](const Line &line) {
    return line.client == job->client;
  });
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
