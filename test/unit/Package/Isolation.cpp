//===- Isolation.cpp - Takes things away from a test's child --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Isolation.h"

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <fstream>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)                                                            \
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, field))
#define IF_EQUAL(value, yes, no)                                               \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

template <size_t N>
static bool install(sock_filter (&filter)[N]) {
  sock_fprog program = {N, filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool forbidPrograms() {
  sock_filter filter[] = {
      LOAD(nr),
      IF_EQUAL(SYS_execve, 6, 0),
      IF_EQUAL(SYS_execveat, 5, 0),
      IF_EQUAL(SYS_fork, 4, 0),
      IF_EQUAL(SYS_vfork, 3, 0),
      // Its flags are in memory; without it the C library uses clone.
      IF_EQUAL(SYS_clone3, 3, 0),
      IF_EQUAL(SYS_clone, 3, 0),
      RETURN(SECCOMP_RET_ALLOW),
      RETURN(SECCOMP_RET_KILL_PROCESS),
      RETURN(SECCOMP_RET_ERRNO | ENOSYS),
      LOAD(args[0]),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1),
      RETURN(SECCOMP_RET_ALLOW),
      RETURN(SECCOMP_RET_KILL_PROCESS),
  };
  return install(filter);
}

bool forbidUnnamedFiles() {
  sock_filter filter[] = {
      LOAD(nr),
      IF_EQUAL(SYS_openat, 0, 2),
      LOAD(args[2]),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 1, 0),
      RETURN(SECCOMP_RET_ALLOW),
      RETURN(SECCOMP_RET_ERRNO | EOPNOTSUPP),
  };
  return install(filter);
}

bool failCalls(long number, int error) {
  sock_filter filter[] = {
      LOAD(nr),
      IF_EQUAL(static_cast<unsigned>(number), 0, 1),
      RETURN(SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      RETURN(SECCOMP_RET_ALLOW),
  };
  return install(filter);
}

bool dropFilePrivileges() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  return ::syscall(SYS_capset, &header, none) == 0;
}

bool enterOwnMounts() {
  unsigned user = ::geteuid(), group = ::getegid();
  if (::unshare(CLONE_NEWNS) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
      return false;
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
    std::ofstream("/proc/self/gid_map") << "0 " << group << " 1";
  }
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}
