//===- FailureTest.cpp - Errors of packaging ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Each failure is one message that names the file and the reason, and leaves
// the output folder as it was.
//===----------------------------------------------------------------------===//

#include "Isolation.h"
#include "TestSupport.h"

#include "llvm/Support/MemoryBuffer.h"

#include <csignal>
#include <filesystem>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using qcc::PackageOptions;

namespace {

class Failure : public testing::Test {
protected:
  Failure() : weights(patternedWeights(300000)) {}

  std::string package(const PackageOptions &options) {
    return packageObject(PACKAGE_OBJECT_ONE, streamOf(weights), options);
  }
  void expectEmptyFolder() {
    EXPECT_EQ(folder.entries(), std::vector<std::string>{});
  }

  TempFolder folder;
  std::string weights;
};

} // namespace

TEST_F(Failure, SymbolPrefixIsNoIdentifier) {
  for (std::string prefix :
       {std::string(""), std::string("1x"), std::string("a-b"),
        std::string("a b"), std::string("x; global: *"),
        std::string("na\0me", 5), std::string("\xc3\xa4"),
        std::string(65, 'a')}) {
    PackageOptions options =
        optionsFor(folder / "model.so", PackageOptions::SharedLibrary);
    options.symbolPrefix = prefix;
    EXPECT_EQ(package(options),
              "invalid symbol prefix '" + prefix +
                  "': expected a C identifier of at most 64 characters");
  }
  expectEmptyFolder();
}

TEST_F(Failure, UndefinedSymbol) {
  for (auto kind :
       {PackageOptions::Executable, PackageOptions::SharedLibrary}) {
    std::string message =
        packageObject(PACKAGE_OBJECT_INCOMPLETE, streamOf(weights),
                      optionsFor(folder / "model", kind));
    EXPECT_EQ(message.find("cannot link '" + (folder / "model") +
                           "': undefined symbol: fixture_missing_function"),
              0u)
        << message;
    EXPECT_NE(message.find("Incomplete.c.o"), std::string::npos) << message;
    EXPECT_EQ(message.find("/proc/"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  expectEmptyFolder();
  // The linker can be used again.
  EXPECT_EQ(package(optionsFor(folder / "model")), "");
}

TEST_F(Failure, ObjectIsNoObject) {
  std::string object = readFile(PACKAGE_OBJECT_ONE);
  std::vector<std::string> bad = {"",
                                  "hello",
                                  std::string(100, '\x7f'),
                                  object.substr(0, 20),
                                  object.substr(0, 64),
                                  object.substr(0, object.size() / 2)};
  // Every byte of the file header in turn.
  for (size_t i = 0; i < 64; ++i) {
    bad.push_back(object);
    bad.back()[i] ^= 0xff;
  }
  size_t refused = 0;
  for (const std::string &content : bad) {
    writeFile(folder / "bad.o", content);
    // In a child: after some errors LLD cannot be used again.
    Outcome outcome = inChild([&](std::string &message) {
      message = packageObject(folder / "bad.o", streamOf(weights),
                              optionsFor(folder / "model"));
      return message.empty() ? 0 : 1;
    });
    std::filesystem::remove(folder / "bad.o");
    ASSERT_LE(outcome.status, 1);
    // Some header bytes mean nothing.
    if (outcome.status == 0) {
      std::filesystem::remove(folder / "model");
      continue;
    }
    ++refused;
    EXPECT_EQ(outcome.output.find("cannot link '"), 0u) << outcome.output;
    EXPECT_EQ(outcome.output.find("/proc/"), std::string::npos)
        << outcome.output;
    EXPECT_EQ(outcome.output.find("no reason"), std::string::npos)
        << outcome.output;
    expectEmptyFolder();
  }
  EXPECT_GE(refused, 25u);
}

TEST_F(Failure, SameObjectTwice) {
  auto object = llvm::MemoryBuffer::getFile(PACKAGE_OBJECT_ONE);
  ASSERT_TRUE(static_cast<bool>(object));
  llvm::MemoryBufferRef twice[2] = {(*object)->getMemBufferRef(),
                                    (*object)->getMemBufferRef()};
  std::string message = llvm::toString(
      qcc::package(twice, streamOf(weights), optionsFor(folder / "model")));
  EXPECT_NE(message.find("duplicate symbol: fixture_model_id"),
            std::string::npos)
      << message;
  expectEmptyFolder();
}

TEST_F(Failure, SupportFileIsMissing) {
  std::filesystem::copy(PACKAGE_SUPPORT_DIR, folder / "support");
  std::filesystem::remove(folder / "support/libqcc_rt.a");
  PackageOptions options = optionsFor(folder / "model");
  options.supportDir = folder / "support";
  EXPECT_EQ(package(options), "cannot link: '" + (folder / "support") +
                                  "/libqcc_rt.a' is missing; the installation "
                                  "of qcc is not complete");
  options.supportDir = folder / "nowhere";
  EXPECT_NE(package(options).find("nowhere/Scrt1.o' is missing"),
            std::string::npos);
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"support"});
}

TEST_F(Failure, WrongNumberOfWeights) {
  for (int external = 0; external < 2; ++external) {
    PackageOptions options = optionsFor(folder / "model");
    options.externalWeights = external;
    for (uint64_t announced : {weights.size() - 1, weights.size() + 1}) {
      qcc::WeightStream stream = streamOf(weights);
      stream.bytes = announced;
      std::string message = packageObject(PACKAGE_OBJECT_ONE, stream, options);
      EXPECT_EQ(message.find("expected " + std::to_string(announced) +
                             " bytes of weights, got "),
                0u)
          << message;
    }
    qcc::WeightStream none = {100, nullptr};
    EXPECT_EQ(packageObject(PACKAGE_OBJECT_ONE, none, options),
              "expected a producer of 100 bytes of weights, got none");
    qcc::WeightStream huge = streamOf(weights);
    huge.bytes = ~uint64_t(0);
    EXPECT_NE(packageObject(PACKAGE_OBJECT_ONE, huge, options), "");
  }
  expectEmptyFolder();
}

TEST_F(Failure, ProducerFails) {
  qcc::WeightStream stream = {
      weights.size(), [&](qcc::WeightSink &sink) -> llvm::Error {
        if (llvm::Error error = sink.append(weights.data(), 1000))
          return error;
        return llvm::createStringError("model.gguf: tensor 7: cut off");
      }};
  for (int external = 0; external < 2; ++external) {
    PackageOptions options = optionsFor(folder / "model");
    options.externalWeights = external;
    EXPECT_EQ(packageObject(PACKAGE_OBJECT_ONE, stream, options),
              "model.gguf: tensor 7: cut off");
  }
  expectEmptyFolder();
}

TEST_F(Failure, OutputCannotBeCreated) {
  EXPECT_EQ(package(optionsFor(folder / "no/model")),
            "cannot write '" + (folder / "no/model") +
                "': no such file or directory");
  EXPECT_EQ(package(optionsFor(folder.path())),
            "cannot write '" + folder.path() + "': is a directory");
  EXPECT_EQ(package(optionsFor("/dev/null")),
            "cannot write '/dev/null': not a regular file");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_EQ(package(optionsFor("")), "cannot write '': not a file name");
  std::string longName(300, 'n');
  EXPECT_EQ(package(optionsFor(folder / longName)),
            "cannot write '" + (folder / longName) + "': file name too long");
  expectEmptyFolder();
  writeFile(folder / "file", "");
  EXPECT_EQ(package(optionsFor(folder / "file/model")),
            "cannot write '" + (folder / "file/model") + "': not a directory");
}

TEST_F(Failure, FolderIsNotWritable) {
  std::filesystem::permissions(folder.path(),
                               std::filesystem::perms::owner_read |
                                   std::filesystem::perms::owner_exec);
  Outcome outcome = inChild([&](std::string &message) {
    if (!dropFilePrivileges())
      return 2;
    message = package(optionsFor(folder / "model"));
    return 0;
  });
  std::filesystem::permissions(folder.path(),
                               std::filesystem::perms::owner_all);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.output,
            "cannot write '" + (folder / "model") + "': permission denied");
  expectEmptyFolder();
}

/// With and without unnamed temporary files.
static void expectDiskFull(TempFolder &folder, bool named,
                           const std::function<bool()> &limit,
                           const std::string &reason) {
  Outcome outcome = inChild([&](std::string &message) {
    if (!limit())
      return 2;
    if (named && !forbidUnnamedFiles())
      return 3;
    std::string weights = patternedWeights(size_t(8) << 20);
    writeFile(folder / "model", "old");
    for (int external = 0; external < 2; ++external) {
      PackageOptions options = optionsFor(folder / "model");
      options.externalWeights = external;
      message = packageObject(PACKAGE_OBJECT_ONE, streamOf(weights), options);
      if (message.find(reason) == std::string::npos)
        return 4;
    }
    if (readFile(folder / "model") != "old" ||
        folder.entries() != std::vector<std::string>{"model"})
      return 5;
    return 0;
  });
  if (outcome.status == 2)
    GTEST_SKIP() << "this system allows no such limit";
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

TEST_F(Failure, FileSizeLimit) {
  for (bool named : {false, true})
    expectDiskFull(
        folder, named,
        [] {
          rlimit limit = {6 << 20, 6 << 20};
          return ::setrlimit(RLIMIT_FSIZE, &limit) == 0;
        },
        "': file too large (the file needs ");
}

TEST_F(Failure, DiskIsFull) {
  for (bool named : {false, true})
    expectDiskFull(
        folder, named,
        [&] {
          return enterOwnMounts() && ::mount("none", folder.path().c_str(),
                                             "tmpfs", 0, "size=6m") == 0;
        },
        "': no space left on device (the file needs ");
}

/// Signals arrive while the weights are written.
TEST_F(Failure, EndedBySignal) {
  for (bool named : {false, true})
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGKILL}) {
      if (named && signal == SIGKILL)
        continue; // nobody can remove a name then
      SCOPED_TRACE(signal);
      int ready[2];
      ASSERT_EQ(::pipe(ready), 0);
      pid_t child = ::fork();
      if (child == 0) {
        if (named && !forbidUnnamedFiles())
          ::_exit(2);
        qcc::WeightStream stream = {
            uint64_t(1) << 30, [&](qcc::WeightSink &sink) -> llvm::Error {
              std::string piece(10 << 20, 'x');
              if (llvm::Error error = sink.append(piece.data(), piece.size()))
                return error;
              if (::write(ready[1], "x", 1) != 1)
                ::_exit(4);
              for (;;)
                ::pause();
            }};
        packageObject(PACKAGE_OBJECT_ONE, stream, optionsFor(folder / "model"));
        ::_exit(3);
      }
      ::close(ready[1]);
      char byte;
      ASSERT_EQ(::read(ready[0], &byte, 1), 1);
      EXPECT_EQ(folder.entries().size(), named ? 1u : 0u);
      ::kill(child, signal);
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << status;
      ::close(ready[0]);
      expectEmptyFolder();
    }
}

/// Whatever the instant, the destination is as before or complete.
TEST_F(Failure, KilledAtAnyInstant) {
  std::string path = folder / "model";
  ASSERT_EQ(package(optionsFor(path)), "");
  std::string complete = readFile(path);
  int finished = 0;
  for (int round = 0; round < 60; ++round) {
    bool replacing = round % 2;
    std::filesystem::remove(path);
    if (replacing)
      writeFile(path, "old");
    pid_t child = ::fork();
    if (child == 0) {
      package(optionsFor(path));
      ::_exit(0);
    }
    ::usleep(round * 700);
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    finished += WIFEXITED(status);
    if (replacing || std::filesystem::exists(path)) {
      std::string content = readFile(path);
      EXPECT_TRUE(content == complete || (replacing && content == "old"));
    } else {
      expectEmptyFolder();
    }
  }
  EXPECT_LT(finished, 60);
}

/// Each system call that packaging depends on fails once.
TEST_F(Failure, SystemCallsThatFail) {
  struct {
    long call;
    int error;
    bool named; // without unnamed files
    const char *message;
  } cases[] = {
      {SYS_memfd_create, ENOSYS, false, "cannot create a memory file"},
      {SYS_memfd_create, EMFILE, false, "cannot create a memory file"},
      {SYS_pipe2, EMFILE, false, "cannot start a thread and a pipe"},
      {SYS_ftruncate, EIO, false, "model': input/output error"},
      {SYS_fallocate, EIO, false, "model': input/output error"},
      {SYS_fallocate, EDQUOT, false, "model': disk quota exceeded (the file"},
      {SYS_pwrite64, EIO, false, "model': input/output error"},
      {SYS_pwrite64, ENOSPC, true, "model': no space left on device (the file"},
      {SYS_fsync, EIO, false, "model': input/output error"},
      {SYS_fsync, EIO, true, "model': input/output error"},
      {SYS_linkat, EPERM, false, "model': operation not permitted"},
      {SYS_rename, EIO, true, "model': input/output error"},
      // Neither is needed.
      {SYS_fallocate, EOPNOTSUPP, false, ""},
      {SYS_sync_file_range, ENOSYS, false, ""},
  };
  for (const auto &test : cases) {
    SCOPED_TRACE(std::to_string(test.call) + " " + test.message);
    Outcome outcome = inChild([&](std::string &message) {
      if ((test.named && !forbidUnnamedFiles()) ||
          !failCalls(test.call, test.error))
        return 2;
      message = package(optionsFor(folder / "model"));
      return 0;
    });
    EXPECT_EQ(outcome.status, 0);
    if (!*test.message) {
      EXPECT_EQ(outcome.output, "");
      std::filesystem::remove(folder / "model");
    } else {
      EXPECT_NE(outcome.output.find(test.message), std::string::npos)
          << outcome.output;
      EXPECT_EQ(outcome.output.find("cannot "), 0u) << outcome.output;
    }
    expectEmptyFolder();
  }
}

/// Several compilers write one path at once: the file is always a whole one.
TEST_F(Failure, ConcurrentWritersOfOnePath) {
  std::vector<std::thread> threads;
  std::vector<std::string> messages(4);
  const char *objects[2] = {PACKAGE_OBJECT_ONE, PACKAGE_OBJECT_TWO};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 5 && messages[i].empty(); ++round)
        messages[i] = packageObject(objects[i % 2], streamOf(weights),
                                    optionsFor(folder / "model"));
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const std::string &message : messages)
    EXPECT_EQ(message, "");
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"model"});
  std::string report = run({folder / "model"}).output;
  EXPECT_TRUE(report == expectedReport(1, weights) ||
              report == expectedReport(2, weights))
      << report;
}
