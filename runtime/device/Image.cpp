//===- Image.cpp - Compiled GPU code and where it runs --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Image.h"

#include "Device.h"

#include <cinttypes>
#include <cstring>
#include <elf.h>

namespace qcc::rt::device {

#ifndef EM_CUDA
#define EM_CUDA 190
#endif

bool runsOn(const Image &image, uint32_t architecture) {
  if (image.specific)
    return image.architecture == architecture;
  if (image.kind == Image::Cubin &&
      image.architecture / 10 != architecture / 10)
    return false;
  return image.architecture <= architecture;
}

/// Of two images that run, whether the first is the better choice.
static bool better(const Image &a, const Image &b) {
  if (a.architecture != b.architecture)
    return a.architecture > b.architecture;
  if (!a.specific != !b.specific)
    return a.specific != 0;
  return a.kind == Image::Cubin && b.kind != Image::Cubin;
}

/// "sm_80, sm_90a": each target of the images once.
static void listTargets(const Image *images, uint32_t count, char *text,
                        size_t bytes) {
  size_t used = 0;
  text[0] = '\0';
  for (uint32_t i = 0; i < count; ++i) {
    bool seen = false;
    for (uint32_t j = 0; j < i; ++j)
      seen |= images[j].architecture == images[i].architecture &&
              !images[j].specific == !images[i].specific;
    if (seen)
      continue;
    int n = snprintf(text + used, bytes - used, "%ssm_%u%s", used ? ", " : "",
                     images[i].architecture, images[i].specific ? "a" : "");
    if (n < 0 || size_t(n) >= bytes - used) {
      text[used] = '\0'; // leaves out what does not fit
      return;
    }
    used += size_t(n);
  }
}

qcc_status chooseImage(const Image *images, uint32_t count,
                       const DeviceInfo &device, int driverCudaVersion,
                       const Image *&chosen, ErrorText &error) {
  chosen = nullptr;
  if (count == 0)
    return error.set(QCC_E_DEVICE, "this file has no code for a GPU");
  const Image *tooNew = nullptr; // needs the least new driver
  for (uint32_t i = 0; i < count; ++i) {
    const Image &image = images[i];
    if (!runsOn(image, device.architecture))
      continue;
    if (int64_t(image.cudaVersion) > driverCudaVersion) {
      if (!tooNew || image.cudaVersion < tooNew->cudaVersion)
        tooNew = &image;
    } else if (!chosen || better(image, *chosen)) {
      chosen = &image;
    }
  }
  if (chosen)
    return QCC_OK;
  if (tooNew)
    return error.set(
        QCC_E_DEVICE,
        "the NVIDIA driver is too old: it supports CUDA %d.%d, the "
        "code for sm_%u%s needs %u.%u or newer",
        driverCudaVersion / 1000, driverCudaVersion % 1000 / 10,
        tooNew->architecture, tooNew->specific ? "a" : "",
        tooNew->cudaVersion / 1000, tooNew->cudaVersion % 1000 / 10);
  char list[80];
  listTargets(images, count, list, sizeof list);
  return error.set(QCC_E_DEVICE,
                   "%.80s has compute capability %u.%u; this file has code for "
                   "%s",
                   device.name, device.architecture / 10,
                   device.architecture % 10, list);
}

/// Whether `count` entries of `size` bytes at `offset` lie in a file of
/// `bytes`.
static bool inside(uint64_t offset, uint64_t count, uint64_t size,
                   uint64_t bytes) {
  uint64_t length, end;
  return !__builtin_mul_overflow(count, size, &length) &&
         !__builtin_add_overflow(offset, length, &end) && end <= bytes;
}

static bool isCubin(const uint8_t *data, uint64_t bytes) {
  Elf64_Ehdr header;
  if (bytes < sizeof header)
    return false;
  memcpy(&header, data, sizeof header);
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_CUDA)
    return false;
  if (header.e_phnum &&
      (header.e_phentsize < sizeof(Elf64_Phdr) ||
       !inside(header.e_phoff, header.e_phnum, header.e_phentsize, bytes)))
    return false;
  if (header.e_shnum == 0 || header.e_shentsize < sizeof(Elf64_Shdr) ||
      header.e_shstrndx >= header.e_shnum ||
      !inside(header.e_shoff, header.e_shnum, header.e_shentsize, bytes))
    return false;
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    memcpy(&section, data + header.e_shoff + i * header.e_shentsize,
           sizeof section);
    if (section.sh_type != SHT_NOBITS &&
        !inside(section.sh_offset, section.sh_size, 1, bytes))
      return false;
  }
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    memcpy(&segment, data + header.e_phoff + i * header.e_phentsize,
           sizeof segment);
    if (!inside(segment.p_offset, segment.p_filesz, 1, bytes))
      return false;
  }
  return true;
}

qcc_status checkImage(const Image &image, ErrorText &error) {
  if (image.kind == Image::Ptx) {
    const void *end =
        image.data ? memchr(image.data, '\0', image.bytes) : nullptr;
    if (!end || image.bytes < 2 ||
        end != static_cast<const char *>(image.data) + image.bytes - 1)
      return error.set(QCC_E_DATA,
                       "PTX for sm_%u: expected text that ends with its only "
                       "NUL, found %" PRIu64 " bytes that do not",
                       image.architecture, image.bytes);
    return QCC_OK;
  }
  if (image.kind != Image::Cubin)
    return error.set(QCC_E_DATA,
                     "code for sm_%u is of kind %u, expected PTX or a cubin",
                     image.architecture, unsigned(image.kind));
  if (!image.data ||
      !isCubin(static_cast<const uint8_t *>(image.data), image.bytes))
    return error.set(QCC_E_DATA,
                     "cubin for sm_%u: expected an ELF file for NVIDIA GPUs, "
                     "found %" PRIu64 " bytes that are none or were cut",
                     image.architecture, image.bytes);
  return QCC_OK;
}

} // namespace qcc::rt::device
