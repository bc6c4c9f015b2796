//===- ArtefactTest.cpp - What packaged files are and do ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Inputs/Fixture.h"
#include "TestSupport.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/BLAKE3.h"

#include <dlfcn.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

using qcc::PackageOptions;

static const size_t weightBytes = (size_t(9) << 20) + 12345;

static std::string blake3(const std::string &bytes) {
  auto hash = llvm::BLAKE3::hash<32>(llvm::ArrayRef<uint8_t>(
      reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()));
  return std::string(hash.begin(), hash.end());
}

static bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

TEST(Artefact, ExecutableRunsAndSeesItsWeights) {
  TempFolder folder;
  std::string weights = patternedWeights(weightBytes);
  ASSERT_EQ(packageObject(PACKAGE_OBJECT_ONE, streamOf(weights),
                          optionsFor(folder / "model")),
            "");
  Outcome outcome = run({folder / "model"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.output, expectedReport(1, weights));
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"model"});
}

TEST(Artefact, TwoLibrariesInOneProcess) {
  TempFolder folder;
  std::string weights[2] = {patternedWeights(weightBytes),
                            patternedWeights(777)};
  const char *objects[2] = {PACKAGE_OBJECT_ONE, PACKAGE_OBJECT_TWO};
  const char *prefixes[2] = {"qcc_model", "other"};
  void *handles[2];
  for (int i = 0; i < 2; ++i) {
    PackageOptions options =
        optionsFor(folder / (std::string(prefixes[i]) + ".so"),
                   PackageOptions::SharedLibrary);
    options.symbolPrefix = prefixes[i];
    ASSERT_EQ(packageObject(objects[i], streamOf(weights[i]), options), "");
    handles[i] = ::dlopen(options.output.c_str(), RTLD_NOW | RTLD_GLOBAL);
    ASSERT_TRUE(handles[i]) << ::dlerror();
  }
  for (int i = 0; i < 2; ++i) {
    std::string symbol = std::string(prefixes[i]) + "_query";
    auto query = reinterpret_cast<const fixture_api *(*)(uint32_t)>(
        ::dlsym(handles[i], symbol.c_str()));
    ASSERT_TRUE(query) << ::dlerror();
    const fixture_api *api = query(1);
    EXPECT_EQ(api->model_id(), i + 1);
    EXPECT_EQ(api->selftest(0.5), 1);
    uint64_t bytes = 0, offset = 0;
    const void *data = api->weights(&bytes, &offset);
    ASSERT_TRUE(data);
    ASSERT_EQ(bytes, weights[i].size());
    EXPECT_EQ(std::memcmp(data, weights[i].data(), bytes), 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % QCC_PAYLOAD_ALIGNMENT, 0u);
    EXPECT_EQ(offset % QCC_PAYLOAD_ALIGNMENT, 0u);
    EXPECT_EQ((reinterpret_cast<uintptr_t>(data) - offset) %
                  QCC_PAYLOAD_CONGRUENCE,
              0u);
    std::string file = readFile(folder / (std::string(prefixes[i]) + ".so"));
    EXPECT_EQ(file.substr(offset, bytes), weights[i]);

    const qcc_payload_note_t *note = api->note();
    EXPECT_TRUE(qcc_payload_valid(note));
    EXPECT_EQ(std::string(reinterpret_cast<const char *>(note->hash), 32),
              blake3(weights[i]));
    EXPECT_EQ(note->flags, 0u);
  }
  for (void *handle : handles)
    EXPECT_EQ(::dlclose(handle), 0);
}

/// The facts that readelf reports of both kinds.
static void checkHardening(const std::string &file) {
  Outcome headers = run({"readelf", "-lW", file});
  ASSERT_EQ(headers.status, 0);
  EXPECT_FALSE(contains(headers.output, "arning")) << headers.output;
  EXPECT_TRUE(contains(headers.output, "GNU_RELRO"));
  EXPECT_FALSE(contains(headers.output, "RWE"));
  size_t stack = headers.output.find("GNU_STACK");
  ASSERT_NE(stack, std::string::npos);
  std::string line =
      headers.output.substr(stack, headers.output.find('\n', stack) - stack);
  EXPECT_TRUE(contains(line, " RW ")) << line;

  Outcome dynamic = run({"readelf", "-dW", file});
  EXPECT_TRUE(contains(dynamic.output, "BIND_NOW"));
  EXPECT_TRUE(contains(dynamic.output, "(GNU_HASH)"));
  EXPECT_FALSE(contains(dynamic.output, "(HASH)"));
  EXPECT_FALSE(contains(dynamic.output, "RPATH"));
  EXPECT_FALSE(contains(dynamic.output, "RUNPATH"));
  EXPECT_FALSE(contains(dynamic.output, "TEXTREL"));
  for (const char *library : {"libstdc++", "libgcc", "libpcre", "LLVM"})
    EXPECT_FALSE(contains(dynamic.output, library)) << dynamic.output;

  Outcome sections = run({"readelf", "-SW", file});
  EXPECT_FALSE(contains(sections.output, "arning")) << sections.output;
  EXPECT_TRUE(contains(sections.output, ".qcc.weights"));
  EXPECT_TRUE(contains(sections.output, ".qcc.payload"));
  Outcome notes = run({"readelf", "-nW", file});
  EXPECT_TRUE(contains(notes.output, "QCC"));
  EXPECT_FALSE(contains(notes.output, "arning")) << notes.output;
  EXPECT_FALSE(contains(sections.output, ".debug_info"));
  // The linker collected what nobody uses.
  Outcome symbols = run({"readelf", "-sW", file});
  EXPECT_FALSE(contains(symbols.output, "fixture_unreferenced"));
}

TEST(Artefact, ExecutableIsHardened) {
  TempFolder folder;
  std::string weights = patternedWeights(5000);
  std::string file = folder / "model";
  ASSERT_EQ(
      packageObject(PACKAGE_OBJECT_ONE, streamOf(weights), optionsFor(file)),
      "");
  checkHardening(file);
  Outcome dynamic = run({"readelf", "-dW", file});
  EXPECT_TRUE(contains(dynamic.output, "PIE")) << dynamic.output;
  EXPECT_TRUE(contains(dynamic.output, "[libc.so.6]"));
  EXPECT_TRUE(contains(dynamic.output, "[libm.so.6]"));
  size_t needed = 0;
  for (size_t at = 0;
       (at = dynamic.output.find("(NEEDED)", at)) != std::string::npos; ++at)
    ++needed;
  EXPECT_EQ(needed, 2u) << dynamic.output;
  Outcome headers = run({"readelf", "-lW", file});
  EXPECT_TRUE(contains(headers.output, "/lib64/ld-linux-x86-64.so.2"));
}

TEST(Artefact, LibraryExportsOneSymbol) {
  TempFolder folder;
  std::string weights = patternedWeights(5000);
  for (const char *prefix : {"qcc_model", "_my_model2"}) {
    PackageOptions options =
        optionsFor(folder / (std::string("lib") + prefix + ".so"),
                   PackageOptions::SharedLibrary);
    options.symbolPrefix = prefix;
    ASSERT_EQ(packageObject(PACKAGE_OBJECT_ONE, streamOf(weights), options),
              "");
    checkHardening(options.output);
    Outcome exported =
        run({"nm", "-D", "--defined-only", "-P", "--no-sort", options.output});
    EXPECT_EQ(exported.output.substr(0, exported.output.find(' ')),
              std::string(prefix) + "_query@@QCC_1");
    EXPECT_EQ(std::count(exported.output.begin(), exported.output.end(), '\n'),
              1)
        << exported.output;
    Outcome dynamic = run({"readelf", "-dW", options.output});
    EXPECT_TRUE(
        contains(dynamic.output, std::string("soname: [lib") + prefix + ".so]"))
        << dynamic.output;
  }
}

TEST(Artefact, SameInputGivesSameBytes) {
  TempFolder first, second;
  std::string weights = patternedWeights(weightBytes);
  ASSERT_EQ(packageObject(PACKAGE_OBJECT_ONE, streamOf(weights),
                          optionsFor(first / "model")),
            "");
  // Elsewhere, in another environment, with other pieces.
  Outcome outcome = inChild([&](std::string &message) {
    ::setenv("TZ", "Asia/Tokyo", 1);
    ::setenv("LANG", "tr_TR.UTF-8", 1);
    ::setenv("TMPDIR", "/nonexistent", 1);
    ::umask(0077);
    if (::chdir(second.path().c_str()) != 0)
      return 1;
    qcc::WeightStream whole = {
        weights.size(), [&](qcc::WeightSink &sink) -> llvm::Error {
          return sink.append(weights.data(), weights.size());
        }};
    message = packageObject(PACKAGE_OBJECT_ONE, whole, optionsFor("model"));
    return message.empty() ? 0 : 1;
  });
  ASSERT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_TRUE(readFile(first / "model") == readFile(second / "model"));
  struct stat status;
  ASSERT_EQ(::stat((second / "model").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  // Neither folder is in the file.
  std::string file = readFile(first / "model");
  EXPECT_FALSE(contains(file, first.path()));
  EXPECT_FALSE(contains(file, PACKAGE_SUPPORT_DIR));
  EXPECT_FALSE(contains(file, "/proc/self/fd"));
}

TEST(Artefact, ExternalWeights) {
  TempFolder folder;
  std::string weights = patternedWeights(weightBytes);
  PackageOptions options = optionsFor(folder / "model");
  options.externalWeights = true;
  ASSERT_EQ(packageObject(PACKAGE_OBJECT_ONE, streamOf(weights), options), "");
  EXPECT_EQ(folder.entries(), (std::vector<std::string>{"model", "model.qw"}));
  EXPECT_LT(std::filesystem::file_size(folder / "model"), size_t(4) << 20);
  Outcome outcome = run({folder / "model"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.output, "model 1\nexternal model.qw\n");

  std::string file = readFile(folder / "model.qw");
  ASSERT_EQ(file.size(), qcc_payload_external_size(weights.size()));
  EXPECT_TRUE(file.compare(0, weights.size(), weights) == 0);
  qcc_payload_footer_t footer;
  std::memcpy(&footer, file.data() + file.size() - sizeof footer,
              sizeof footer);
  EXPECT_EQ(footer.bytes, weights.size());
  EXPECT_EQ(std::string(reinterpret_cast<char *>(footer.hash), 32),
            blake3(weights));

  // The note in the artefact is the one that the footer answers.
  std::string artefact = readFile(folder / "model");
  size_t at = artefact.find(std::string("QCC\0" QCC_PAYLOAD_MAGIC, 12));
  ASSERT_NE(at, std::string::npos);
  qcc_payload_note_t note;
  std::memcpy(&note, artefact.data() + at - 12, sizeof note);
  EXPECT_TRUE(qcc_payload_footer_matches(&footer, &note));
  EXPECT_STREQ(note.file_name, "model.qw");
  footer.hash[31] ^= 1;
  EXPECT_FALSE(qcc_payload_footer_matches(&footer, &note));
}

TEST(Artefact, NoWeightsAtAll) {
  TempFolder folder;
  ASSERT_EQ(packageObject(PACKAGE_OBJECT_ONE, {}, optionsFor(folder / "model")),
            "");
  Outcome outcome = run({folder / "model"});
  EXPECT_EQ(outcome.status, 3);
  EXPECT_TRUE(contains(outcome.output, "weights missing"));
}

TEST(Artefact, SmallestAndPageSizedWeights) {
  TempFolder folder;
  for (size_t bytes : {size_t(1), size_t(4095), size_t(4096), size_t(4097),
                       size_t(1) << 21, size_t(4) << 20}) {
    std::string weights = patternedWeights(bytes);
    ASSERT_EQ(packageObject(PACKAGE_OBJECT_TWO, streamOf(weights),
                            optionsFor(folder / "model")),
              "");
    EXPECT_EQ(run({folder / "model"}).output, expectedReport(2, weights));
  }
}

TEST(Artefact, WithoutSymbolTable) {
  TempFolder folder;
  std::string weights = patternedWeights(weightBytes);
  PackageOptions options = optionsFor(folder / "model");
  options.stripSymbols = true;
  ASSERT_EQ(packageObject(PACKAGE_OBJECT_ONE, streamOf(weights), options), "");
  EXPECT_EQ(run({folder / "model"}).output, expectedReport(1, weights));
  EXPECT_FALSE(
      contains(run({"readelf", "-SW", folder / "model"}).output, ".symtab"));
}

TEST(Artefact, CarriesCodeForDevicesWhereItIsNamed) {
  TempFolder folder;
  std::string weights = patternedWeights(5000);
  for (bool named : {false, true}) {
    PackageOptions options = optionsFor(folder / "model");
    ASSERT_EQ(packageObject(named ? PACKAGE_OBJECT_GPU : PACKAGE_OBJECT_ONE,
                            streamOf(weights), options),
              "");
    EXPECT_EQ(run({folder / "model"}).output, expectedReport(1, weights));
    EXPECT_EQ(
        contains(readFile(folder / "model"), "fixture of the device archive"),
        named);
  }
}

TEST(Artefact, ProgressEndsAtTheTotal) {
  TempFolder folder;
  const uint64_t total = uint64_t(200) << 20;
  std::string chunk = patternedWeights(1 << 20);
  qcc::WeightStream stream = {
      total, [&](qcc::WeightSink &sink) -> llvm::Error {
        while (sink.size() < total)
          if (llvm::Error error = sink.append(chunk.data(), chunk.size()))
            return error;
        return llvm::Error::success();
      }};
  std::vector<uint64_t> seen;
  PackageOptions options = optionsFor(folder / "model");
  options.progress = [&](uint64_t done, uint64_t of) {
    EXPECT_EQ(of, total);
    seen.push_back(done);
  };
  ASSERT_EQ(packageObject(PACKAGE_OBJECT_ONE, stream, options), "");
  ASSERT_GE(seen.size(), 3u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), total);
}

TEST(Artefact, PaddingIsZeros) {
  TempFolder folder;
  qcc::WeightStream stream = {10000, [](qcc::WeightSink &sink) -> llvm::Error {
                                if (llvm::Error error = sink.append("ab", 2))
                                  return error;
                                if (llvm::Error error = sink.padTo(9999))
                                  return error;
                                return sink.append("c", 1);
                              }};
  ASSERT_EQ(
      packageObject(PACKAGE_OBJECT_ONE, stream, optionsFor(folder / "model")),
      "");
  std::string weights(10000, '\0');
  weights[0] = 'a', weights[1] = 'b', weights[9999] = 'c';
  EXPECT_EQ(run({folder / "model"}).output, expectedReport(1, weights));
}
