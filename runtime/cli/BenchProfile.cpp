//===- BenchProfile.cpp - Where the time of a benchmark goes --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "BenchProfile.h"

namespace qcc::cli {

BenchProfile BenchProfile::of(Program &program,
                              const std::function<void()> &run) {
  qcc_session *session = program.session();
  program.check(qcc_profile(session, 1));
  run();
  BenchProfile result;
  result.all.struct_size = sizeof result.all;
  program.check(qcc_profile_info(session, &result.all));
  for (uint32_t i = 0; i < result.all.stage_count; ++i) {
    qcc_stage_time_v1 stage = {};
    stage.struct_size = sizeof stage;
    program.check(qcc_stage_time(session, i, &stage));
    result.stages.push_back(stage);
  }
  program.check(qcc_profile(session, 0));
  return result;
}

void BenchProfile::print(const char *title, uint64_t rows,
                         double bandwidth) const {
  auto steps = double(all.steps);
  printFormatted("\n%s: %llu steps of %.3f ms, %.1f barriers a step\n", title,
                 static_cast<unsigned long long>(all.steps),
                 all.seconds / steps * 1e3, double(all.barriers) / steps);
  printFormatted("%5s %9s %6s %6s %7s %6s %7s  %s\n", "runs", "us/step", "work",
                 "wait", "GB/s", "share", "GMAC/s", "stage");
  for (const qcc_stage_time_v1 &stage : stages) {
    double work = stage.work_seconds, wait = stage.wait_seconds;
    printFormatted("%5u %9.1f %5.1f%% %5.1f%% ", stage.runs,
                   (work + wait) / steps * 1e6, work / all.seconds * 100,
                   wait / all.seconds * 100);
    if (stage.weight_bytes && work > 0) {
      double read = double(stage.weight_bytes) * steps / work;
      printFormatted("%7.1f %5.0f%% %7.1f", read * 1e-9,
                     bandwidth > 0 ? read / bandwidth * 100 : 0,
                     double(stage.macs) * double(rows) / work * 1e-9);
    } else {
      printFormatted("%7s %6s %7s", "", "", "");
    }
    printFormatted("  %s\n", stage.name);
  }
}

std::string BenchProfile::json() const {
  std::string text =
      format("{\"steps\": %llu, \"barriers\": %llu, "
             "\"seconds\": %.6g, \"stages\": [",
             static_cast<unsigned long long>(all.steps),
             static_cast<unsigned long long>(all.barriers), all.seconds);
  for (const qcc_stage_time_v1 &stage : stages)
    text += format(
        "%s{\"name\": %s, \"runs\": %u, \"weight_bytes\": %llu, \"macs\": "
        "%llu, \"work_seconds\": %.6g, \"wait_seconds\": %.6g}",
        &stage == stages.data() ? "" : ", ", jsonString(stage.name).c_str(),
        stage.runs, static_cast<unsigned long long>(stage.weight_bytes),
        static_cast<unsigned long long>(stage.macs), stage.work_seconds,
        stage.wait_seconds);
  return text + "]}";
}

} // namespace qcc::cli
