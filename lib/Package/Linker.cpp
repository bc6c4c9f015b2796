//===- Linker.cpp - LLD inside the process, without files -----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// LLD takes and makes files by name only. Anonymous memory files and a pipe
// give it names under /proc/self/fd, so that neither inputs nor the half-made
// output touch a disk: no temporary file to clean up, and no mapped output that
// a full disk turns into SIGBUS.
//===----------------------------------------------------------------------===//

#include "Linker.h"

#include "NoteObject.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CrashRecoveryContext.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Parallel.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include "lld/Common/Driver.h"

#include <cerrno>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

LLD_HAS_DRIVER(elf)

using namespace qcc;

namespace {

/// The function that the runtime archive defines and a library exports.
constexpr llvm::StringLiteral queryFunction = "qcc_model_query";

/// A file that has a name for this process only and lives as long as this.
class MemoryFile {
public:
  MemoryFile() : fd(::memfd_create("qcc", MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (fd >= 0)
      ::close(fd);
  }
  MemoryFile(const MemoryFile &) = delete;
  MemoryFile &operator=(const MemoryFile &) = delete;

  int descriptor() const { return fd; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd); }

  llvm::Error write(llvm::StringRef bytes) const {
    while (!bytes.empty()) {
      ssize_t done = ::write(fd, bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR)
        continue;
      if (done <= 0)
        return llvm::createStringError(
            std::error_code(errno, std::generic_category()),
            "cannot copy " + llvm::Twine(bytes.size()) +
                " bytes to a memory file");
      bytes = bytes.drop_front(done);
    }
    return llvm::Error::success();
  }

private:
  int fd;
};

/// Collects what is written to a name that exists for this process only. (LLD
/// makes a sibling of a regular output file first, which /proc does not allow.)
class OutputPipe {
public:
  OutputPipe() {
    if (::pipe2(ends, O_CLOEXEC) != 0)
      ends[0] = ends[1] = -1;
    else if (::pthread_create(&reader, nullptr, read, this) == 0)
      running = true;
  }
  ~OutputPipe() { finish(); }
  OutputPipe(const OutputPipe &) = delete;
  OutputPipe &operator=(const OutputPipe &) = delete;

  bool ready() const { return running; }
  std::string path() const {
    return "/proc/self/fd/" + std::to_string(ends[1]);
  }

  /// Ends the collection; all writers must have closed.
  llvm::StringRef finish() {
    close(ends[1]);
    if (std::exchange(running, false))
      ::pthread_join(reader, nullptr);
    close(ends[0]);
    return content;
  }

private:
  static void *read(void *self) {
    OutputPipe &pipe = *static_cast<OutputPipe *>(self);
    std::vector<char> buffer(size_t(1) << 16);
    for (;;) {
      ssize_t n = ::read(pipe.ends[0], buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return nullptr;
      pipe.content.append(buffer.data(), n);
    }
  }

  static void close(int &end) {
    if (end >= 0)
      ::close(end);
    end = -1;
  }

  int ends[2];
  pthread_t reader = {};
  bool running = false;
  std::string content;
};

/// One run of the linker: its memory files, arguments and what they are called.
class LinkJob {
public:
  LinkJob(llvm::StringRef supportDir) : supportDir(supportDir) {}

  void argument(const llvm::Twine &text) { arguments.push_back(text.str()); }

  /// Adds an input by content; `name` is what messages call it.
  llvm::Expected<std::string> memoryInput(llvm::StringRef content,
                                          llvm::StringRef name) {
    files.push_back(std::make_unique<MemoryFile>());
    const MemoryFile &file = *files.back();
    if (file.descriptor() < 0)
      return llvm::createStringError(
          std::error_code(errno, std::generic_category()),
          "cannot create a memory file");
    if (llvm::Error error = file.write(content))
      return error;
    names[file.path()] = name.str();
    return file.path();
  }

  /// Adds a file of the support folder.
  llvm::Error supportInput(llvm::StringRef name) {
    llvm::SmallString<256> path(supportDir);
    llvm::sys::path::append(path, name);
    if (std::error_code code =
            llvm::sys::fs::access(path, llvm::sys::fs::AccessMode::Exist))
      return llvm::createStringError(
          code, "cannot link: '" + path.str() +
                    "' is missing; the installation of qcc is not complete");
    argument(path);
    return llvm::Error::success();
  }

  llvm::Expected<std::string> run(llvm::StringRef output);

private:
  std::string messages(llvm::StringRef text) const;

  llvm::StringRef supportDir;
  std::vector<std::string> arguments;
  std::vector<std::unique_ptr<MemoryFile>> files;
  std::map<std::string, std::string> names; // memory path -> message name
};

} // namespace

/// LLD's report as one line: the errors with their context lines, memory files
/// under their message names.
std::string LinkJob::messages(llvm::StringRef text) const {
  std::string line;
  llvm::SmallVector<llvm::StringRef> lines;
  text.split(lines, '\n', -1, /*KeepEmpty=*/false);
  bool wanted = false;
  for (llvm::StringRef part : lines) {
    llvm::StringRef rest = part.trim();
    if (rest.consume_front(">>>")) {
      if (wanted)
        line += " (" + rest.trim().str() + ")";
      continue;
    }
    rest.consume_front("ld.lld: ");
    wanted = rest.consume_front("error: ");
    if (!wanted || rest.starts_with("too many errors emitted"))
      continue;
    if (!line.empty())
      line += "; ";
    line += rest.trim().str();
  }
  // Longest first: one descriptor's name may start with another's.
  for (auto it = names.rbegin(); it != names.rend(); ++it) {
    size_t at = 0;
    while ((at = line.find(it->first, at)) != std::string::npos) {
      size_t end = at + it->first.size();
      if (end < line.size() && llvm::isDigit(line[end])) {
        at = end;
        continue;
      }
      line.replace(at, it->first.size(), it->second);
      at += it->second.size();
    }
  }
  return line.empty() ? "the linker gave no reason" : line;
}

llvm::Expected<std::string> LinkJob::run(llvm::StringRef output) {
  // LLD keeps its state in globals, and after a crash they are lost for good.
  static std::mutex mutex;
  static bool usable = true;
  std::lock_guard<std::mutex> lock(mutex);
  if (!usable)
    return llvm::createStringError("cannot link '" + output +
                                   "': an earlier link failed internally");

  OutputPipe result;
  if (!result.ready())
    return llvm::createStringError(
        std::error_code(errno, std::generic_category()),
        "cannot link '" + output + "': cannot start a thread and a pipe");
  argument("-o");
  argument(result.path());
  names[result.path()] = output.str();

  std::vector<const char *> pointers;
  for (const std::string &text : arguments)
    pointers.push_back(text.c_str());
  std::string out, err;
  llvm::raw_string_ostream outStream(out), errStream(err);
  // Without recovery a fatal error in LLD would end this process.
  llvm::CrashRecoveryContext::Enable();
  llvm::ThreadPoolStrategy strategy = llvm::parallel::strategy;
  lld::Result status = lld::lldMain(pointers, outStream, errStream,
                                    {{lld::Gnu, &lld::elf::link}});
  llvm::parallel::strategy = strategy;
  llvm::CrashRecoveryContext::Disable();
  usable = status.canRunAgain;
  if (status.retCode != 0)
    return llvm::createStringError("cannot link '" + output +
                                   "': " + messages(err));

  return result.finish().str();
}

llvm::Expected<std::string>
qcc::link(llvm::ArrayRef<llvm::MemoryBufferRef> objects,
          llvm::StringRef supportDir, const PackageOptions &options) {
  bool shared = options.kind == PackageOptions::SharedLibrary;
  LinkJob job(supportDir);

  for (const char *text :
       {"ld.lld", "-m", "elf_x86_64", "-nostdlib", "--no-dependent-libraries",
        // One thread: LLD's recovery from fatal errors covers only the thread
        // that called it, and the inputs are small.
        "--threads=1", "--no-mmap-output-file", "--color-diagnostics=never",
        "--build-id=none", "--hash-style=gnu", "--eh-frame-hdr", "-O2", "-z",
        "relro", "-z", "now", "-z", "noexecstack", "-z", "separate-code", "-z",
        "defs", "-z", "text", "--gc-sections", "--icf=safe"})
    job.argument(text);
  job.argument(options.stripSymbols ? "--strip-all" : "--strip-debug");

  if (shared) {
    std::string exported = options.symbolPrefix + "_query";
    llvm::Expected<std::string> script = job.memoryInput(
        "QCC_1 { global: " + exported + "; local: *; };\n", "version script");
    if (!script)
      return script.takeError();
    job.argument("-shared");
    job.argument("--soname=" + llvm::sys::path::filename(options.output));
    job.argument("--version-script=" + *script);
    job.argument("--undefined=" + queryFunction);
    if (exported != queryFunction)
      job.argument("--defsym=" + exported + "=" + queryFunction);
  } else {
    job.argument("-pie");
    job.argument("--dynamic-linker=/lib64/ld-linux-x86-64.so.2");
  }

  std::vector<const char *> before = {"crti.o", "crtbeginS.o"};
  if (!shared)
    before = {"Scrt1.o", "crti.o", "crtbeginS.o", "qcc_exe_main.o"};
  for (const char *name : before)
    if (llvm::Error error = job.supportInput(name))
      return error;

  llvm::Expected<std::string> note =
      job.memoryInput(makeNoteObject(), "payload note");
  if (!note)
    return note.takeError();
  job.argument(*note);
  for (llvm::MemoryBufferRef object : objects) {
    llvm::Expected<std::string> path =
        job.memoryInput(object.getBuffer(), object.getBufferIdentifier());
    if (!path)
      return path.takeError();
    job.argument(*path);
  }

  // Of libqcc_device.a, only bundles with code for GPUs name anything.
  std::vector<const char *> after = {"libqcc_rt.a", "libqcc_device.a",
                                     "libqcc_text.a", "libpcre2-8.a",
                                     "libstdc++.a"};
  if (!shared)
    after.insert(after.begin(), "libqcc_cli.a");
  for (const char *name : after)
    if (llvm::Error error = job.supportInput(name))
      return error;

  // Shared libraries only where something is used from them. Thread-local
  // variables of a library need the loader's __tls_get_addr; those of an
  // executable have fixed places.
  job.argument("--as-needed");
  std::vector<const char *> last = {
      "libm.so.6",        "libgcc.a",  "libgcc_eh.a", "libc.so.6",
      "libc_nonshared.a", "crtendS.o", "crtn.o"};
  if (shared)
    last.insert(last.begin(), "ld-linux-x86-64.so.2");
  for (const char *name : last)
    if (llvm::Error error = job.supportInput(name))
      return error;

  return job.run(options.output);
}
