//===- IsolationTest.cpp - Linking needs only what qcc ships --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Isolation.h"
#include "TestSupport.h"

#include <cstdlib>
#include <filesystem>
#include <sys/mount.h>
#include <unistd.h>

TEST(Isolation, StartsNoProgram) {
  TempFolder folder;
  std::string weights = patternedWeights(100000);
  Outcome outcome = inChild([&](std::string &message) {
    ::clearenv();
    ::setenv("PATH", "", 1);
    if (!forbidPrograms())
      return 2;
    message = packageObject(PACKAGE_OBJECT_ONE, streamOf(weights),
                            optionsFor(folder / "model"));
    return message.empty() ? 0 : 1;
  });
  ASSERT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(run({folder / "model"}).output, expectedReport(1, weights));
}

TEST(Isolation, TheGuardAgainstProgramsWorks) {
  Outcome outcome = inChild([](std::string &) {
    if (!forbidPrograms())
      return 2;
    return std::system("true");
  });
  EXPECT_EQ(outcome.status, 128 + SIGSYS);
}

/// In a root folder that holds the support files, the object and nothing else.
TEST(Isolation, NeedsNoFileOfTheSystem) {
  TempFolder folder;
  std::string weights = patternedWeights(100000);
  std::string root = folder / "root";
  for (const char *name : {"support", "out", "proc"})
    std::filesystem::create_directories(root + "/" + name);
  std::filesystem::copy(PACKAGE_SUPPORT_DIR, root + "/support");
  std::filesystem::copy(PACKAGE_OBJECT_ONE, root + "/object.o");

  Outcome outcome = inChild([&](std::string &message) {
    if (!enterOwnMounts() ||
        ::mount("/proc", (root + "/proc").c_str(), nullptr, MS_BIND | MS_REC,
                nullptr) != 0 ||
        ::chroot(root.c_str()) != 0 || ::chdir("/") != 0)
      return 2;
    ::clearenv();
    qcc::PackageOptions options = optionsFor("/out/model");
    options.supportDir = "/support";
    message = packageObject("/object.o", streamOf(weights), options);
    return message.empty() && !std::filesystem::exists("/usr") ? 0 : 1;
  });
  if (outcome.status == 2)
    GTEST_SKIP() << "this system allows no mount name space";
  ASSERT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(run({root + "/out/model"}).output, expectedReport(1, weights));
}
