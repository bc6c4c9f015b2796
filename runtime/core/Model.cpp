//===- Model.cpp - An open compiled model ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Model.h"

#include "Cpu.h"

#include <cstdlib>
#include <cstring>

namespace qcc::rt {

/// Checks where matmuls' inputs are said to be.
static qcc_status checkMatmuls(const qcc_model_v1 &model, ErrorText &error) {
  if (model.matmul_count && !model.matmuls)
    return error.set(QCC_E_DATA, "model table has a null field");
  if (model.matmul_columns > uint64_t(1) << 40)
    return error.set(QCC_E_DATA, "target %s: matmul_columns is too large",
                     model.target);
  for (uint32_t i = 0; i < model.matmul_count; ++i) {
    const qcc_matmul_v1 &matmul = model.matmuls[i];
    if (!matmul.weight || matmul.columns == 0 ||
        matmul.first > model.matmul_columns ||
        matmul.columns > model.matmul_columns - matmul.first)
      return error.set(QCC_E_DATA,
                       "target %s: the input of matmul %u is not among the "
                       "%llu columns of all",
                       model.target, i,
                       static_cast<unsigned long long>(model.matmul_columns));
  }
  return QCC_OK;
}

/// Checks the numbers of one target, which memory sizes are computed from.
static qcc_status checkModel(const qcc_model_v1 &model, ErrorText &error) {
  if (model.struct_size < sizeof(qcc_model_v1))
    return error.set(QCC_E_DATA, "model table has %u bytes, expected %zu",
                     model.struct_size, sizeof(qcc_model_v1));
  if (!model.target || !model.step == !model.gpu ||
      (model.state_count && !model.states) ||
      (model.stage_count && !model.stages))
    return error.set(QCC_E_DATA, "model table has a null field");
  auto inRange = [&](const char *name, uint32_t value, uint32_t largest) {
    return value >= 1 && value <= largest
               ? QCC_OK
               : error.set(QCC_E_DATA, "target %s: %s is %u, expected 1 to %u",
                           model.target, name, value, largest);
  };
  constexpr uint32_t large = 1u << 24;
  if (qcc_status status = inRange("vocab", model.vocab, large))
    return status;
  if (qcc_status status = inRange("context", model.context, INT32_MAX))
    return status;
  if (qcc_status status = inRange("row_capacity", model.row_capacity, large))
    return status;
  if (model.row_capacity < QCC_GENERATE_ROWS)
    return error.set(QCC_E_DATA,
                     "target %s: row_capacity is %u, expected %u or more",
                     model.target, model.row_capacity, QCC_GENERATE_ROWS);
  if (model.state_count > large)
    return error.set(QCC_E_DATA,
                     "target %s: state_count is %u, expected %u or "
                     "less",
                     model.target, model.state_count, large);
  for (uint32_t i = 0; i < model.state_count; ++i) {
    uint64_t page = model.states[i].page_bytes;
    if (page == 0 || page % 64)
      return error.set(QCC_E_DATA,
                       "target %s: state %u has pages of %llu bytes, expected "
                       "a multiple of 64",
                       model.target, i, static_cast<unsigned long long>(page));
  }
  for (uint32_t i = 0; i < model.stage_count; ++i)
    if (!model.stages[i].name)
      return error.set(QCC_E_DATA, "model table has a null field");
  // The rest of it is checked by the code that runs it.
  if (model.gpu &&
      (model.gpu->struct_size < sizeof(qcc_gpu_code_v1) || !model.gpu->runtime))
    return error.set(QCC_E_DATA,
                     "target %s: table of code for a GPU has %u bytes, "
                     "expected %zu, or a null field",
                     model.target, model.gpu->struct_size,
                     sizeof(qcc_gpu_code_v1));
  return checkMatmuls(model, error);
}

qcc_status checkBundle(const qcc_bundle_v1 &bundle, ErrorText &error) {
  if (bundle.version_major != QCC_ABI_VERSION_MAJOR ||
      bundle.struct_size < sizeof(qcc_bundle_v1))
    return error.set(QCC_E_DATA,
                     "model is of ABI version %u.%u, this runtime is %u.%u",
                     bundle.version_major, bundle.version_minor,
                     QCC_ABI_VERSION_MAJOR, QCC_ABI_VERSION_MINOR);
  if (bundle.model_count == 0 || !bundle.models)
    return error.set(QCC_E_DATA, "model has no target");
  for (uint32_t i = 0; i < bundle.model_count; ++i)
    if (qcc_status status = checkModel(*bundle.models[i], error))
      return status;
  return QCC_OK;
}

/// "x86-64-v3, sm_86": what fits of the targets' names.
static void listTargets(const qcc_bundle_v1 &bundle, char *list, size_t bytes) {
  size_t used = 0;
  list[0] = '\0';
  for (uint32_t i = 0; i < bundle.model_count; ++i) {
    int n = snprintf(list + used, bytes - used, "%s%s", i ? ", " : "",
                     bundle.models[i]->target);
    if (n < 0 || size_t(n) >= bytes - used)
      break;
    used += size_t(n);
  }
}

static qcc_status noTarget(const qcc_bundle_v1 &bundle, const char *name,
                           ErrorText &error) {
  char list[160];
  listTargets(bundle, list, sizeof list);
  return error.set(QCC_E_ARGUMENT, "no target `%.40s` in this model; it has %s",
                   name, list);
}

qcc_status chooseTarget(const qcc_bundle_v1 &bundle, const char *name,
                        uint64_t features, const qcc_model_v1 *&chosen,
                        ErrorText &error) {
  const qcc_model_v1 *wanted = nullptr;
  for (uint32_t i = bundle.model_count; i-- > 0;) {
    const qcc_model_v1 *model = bundle.models[i];
    if (model->gpu || (name && strcmp(name, model->target) != 0))
      continue;
    // Without a name, what the least demanding target lacks is what to say.
    wanted = model;
    if ((model->cpu_features & ~features) == 0) {
      chosen = model;
      return QCC_OK;
    }
  }
  if (!wanted && name)
    return noTarget(bundle, name, error);
  if (!wanted) {
    char list[160];
    listTargets(bundle, list, sizeof list);
    return error.set(QCC_E_CPU, "this model has no code for a CPU; it has %s",
                     list);
  }
  char lacking[128];
  nameCpuFeatures(wanted->cpu_features & ~features, lacking, sizeof lacking);
  return error.set(QCC_E_CPU, "this CPU lacks %s, which target %s needs",
                   lacking, wanted->target);
}

qcc_status chooseAllowedTarget(const qcc_bundle_v1 &bundle, const char *name,
                               uint64_t features, bool (*allowAmx)(),
                               const qcc_model_v1 *&chosen, ErrorText &error) {
  constexpr uint64_t amx = QCC_CPU_AMX_INT8 | QCC_CPU_AMX_BF16;
  qcc_status status = chooseTarget(bundle, name, features, chosen, error);
  if (status || !(chosen->cpu_features & amx) || allowAmx())
    return status;
  const qcc_model_v1 *other = nullptr;
  if (chooseTarget(bundle, name, features & ~amx, other, error))
    return error.set(QCC_E_CPU,
                     "the kernel does not allow AMX, which target %s needs",
                     chosen->target);
  chosen = other;
  return QCC_OK;
}

qcc_status readGpuLayers(const char *text, int32_t &layers, ErrorText &error) {
  layers = QCC_GPU_AUTO;
  if (!text || !*text || strcmp(text, "auto") == 0)
    return QCC_OK;
  char *end = nullptr;
  long long value = strtoll(text, &end, 10);
  if (*end || value < 0 || value > INT32_MAX)
    return error.set(QCC_E_ARGUMENT,
                     "QCC_GPU_LAYERS is `%.40s`, expected a number or auto",
                     text);
  layers = int32_t(value);
  return QCC_OK;
}

/// Whether a CPU's code can run the first layers before a GPU's.
static bool canSplit(const qcc_model_v1 &cpu, const qcc_model_v1 &gpu) {
  return cpu.flags & QCC_CODE_SPLITS && cpu.layers == gpu.layers &&
         cpu.hidden == gpu.hidden && cpu.vocab == gpu.vocab &&
         cpu.context == gpu.context && cpu.state_count == gpu.state_count;
}

/// Opens a GPU for all layers, or for the last ones beside the CPU.
qcc_status Model::openPart(const qcc_model_v1 &model, int32_t gpuLayers,
                           ErrorText &error) {
  const qcc_model_v1 *cpu = nullptr;
  ErrorText noCpu;
  qcc_status found = chooseAllowedTarget(*bundle, nullptr, cpuFeatures(),
                                         enableAmx, cpu, noCpu);
  bool isSplit = gpuLayers > 0 && uint32_t(gpuLayers) < model.layers;
  if (isSplit && found)
    return error.set(found, "cannot run %d of %u layers on a GPU: %.160s",
                     gpuLayers, model.layers, noCpu.get());
  bool splits = found == QCC_OK && canSplit(*cpu, model);
  if (isSplit && !splits)
    return error.set(QCC_E_ARGUMENT,
                     "cannot run %d of %u layers on a GPU: target %s cannot "
                     "run the others",
                     gpuLayers, model.layers, cpu->target);
  GpuPart part;
  if (isSplit)
    part.first = model.layers - uint32_t(gpuLayers) + 1;
  part.fits = gpuLayers == QCC_GPU_AUTO && splits;
  auto *runtime = static_cast<const GpuRuntime *>(model.gpu->runtime);
  qcc_status status =
      runtime->open(model, weights.data(), weights.size(), part, gpu, error);
  if (status)
    return status;
  code = &model;
  if (part.first > 1) {
    cpuCode = cpu;
    cpuLayers = part.first - 1;
  }
  return QCC_OK;
}

/// Tries the targets for GPUs, the preferred first.
qcc_status Model::openGpu(const char *name, int32_t gpuLayers,
                          ErrorText &error) {
  qcc_status status =
      error.set(QCC_E_DEVICE, "this model has no code for a GPU");
  for (uint32_t i = bundle->model_count; i-- > 0;) {
    const qcc_model_v1 *model = bundle->models[i];
    if (!model->gpu || (name && strcmp(name, model->target) != 0))
      continue;
    status = openPart(*model, gpuLayers, error);
    // Code for other GPUs may still run; more memory there is not.
    if (status != QCC_E_DEVICE)
      return status;
  }
  return status;
}

qcc_status Model::chooseCode(const char *name, int32_t gpuLayers,
                             ErrorText &error) {
  bool any = false, named = false; // targets for GPUs, one of them named
  for (uint32_t i = 0; i < bundle->model_count; ++i)
    if (const qcc_model_v1 *model = bundle->models[i]; model->gpu) {
      any = true;
      named |= name && strcmp(name, model->target) == 0;
    }
  if (named && gpuLayers == 0)
    return error.set(QCC_E_ARGUMENT,
                     "target %.40s is code for a GPU, and 0 layers are to run "
                     "on one",
                     name);
  if (named || (gpuLayers > 0 && !name))
    return openGpu(name, gpuLayers, error);
  qcc_status unused = QCC_OK;
  if (any && !name && gpuLayers != 0) {
    unused = openGpu(nullptr, gpuLayers, gpuUnused);
    if (unused == QCC_OK) {
      gpuUnused.clear();
      return QCC_OK;
    }
    // A file that is damaged is not a device that is missing.
    if (unused != QCC_E_DEVICE && unused != QCC_E_NO_MEMORY)
      return error.set(unused, "%s", gpuUnused.get());
  }
  qcc_status status =
      chooseAllowedTarget(*bundle, name, cpuFeatures(), enableAmx, code, error);
  if (status == QCC_OK && gpuLayers > 0)
    return error.set(QCC_E_ARGUMENT,
                     "target %.40s is code for a CPU, and %d layers are to run "
                     "on a GPU",
                     name, gpuLayers);
  // Without a CPU's code, what keeps a GPU from running it is what to say.
  bool forCpu = false;
  for (uint32_t i = 0; i < bundle->model_count; ++i)
    forCpu |= !bundle->models[i]->gpu;
  if (status && !forCpu && gpuUnused.get()[0])
    return error.set(unused, "%s", gpuUnused.get());
  return status;
}

qcc_status Model::open(const qcc_model_options_v1 &options, ErrorText &error) {
  bundle = &qcc_bundle;
  if (qcc_status status = checkBundle(*bundle, error))
    return status;
  const char *name = options.target ? options.target : getenv("QCC_TARGET");
  if (name && !*name)
    name = nullptr;
  int32_t gpuLayers = options.gpu_layers;
  if (!(options.flags & QCC_MODEL_GPU_LAYERS)) {
    if (qcc_status status =
            readGpuLayers(getenv("QCC_GPU_LAYERS"), gpuLayers, error))
      return status;
  } else if (gpuLayers < QCC_GPU_AUTO) {
    return error.set(QCC_E_ARGUMENT, "gpu_layers is %d, expected -1 or more",
                     gpuLayers);
  }
  if (qcc_status status = weights.open(bundle->weight_bytes, error))
    return status;
  textOnly = options.flags & QCC_MODEL_TEXT_ONLY;
  if (textOnly) {
    // Any target's facts will do, but not those of one that is not there.
    for (uint32_t i = 0; i < bundle->model_count; ++i)
      if (!name || strcmp(name, bundle->models[i]->target) == 0)
        code = bundle->models[i];
    if (!code)
      return noTarget(*bundle, name, error);
  } else if (qcc_status status = chooseCode(name, gpuLayers, error))
    return status;
  if (qcc_status status = text.open(*bundle, code->vocab, error))
    return status;
  if (!gpu && !textOnly && !(options.flags & QCC_MODEL_NO_POPULATE))
    weights.populate();
  return QCC_OK;
}

void Model::info(qcc_model_info_v1 &result) const {
  qcc_model_info_v1 all = {};
  all.struct_size = result.struct_size;
  all.vocab = code->vocab;
  all.hidden = code->hidden;
  all.layers = code->layers;
  all.context = code->context;
  all.row_capacity = rowCapacity();
  all.bos = text.bos();
  all.eos = text.eos();
  all.eot = text.eot();
  all.has_chat_template = bundle->chat_template != nullptr;
  all.parameters = bundle->parameters;
  all.weight_bytes = bundle->weight_bytes;
  all.weight_bytes_per_token = bundle->weight_bytes_per_token;
  for (uint32_t i = 0; i < code->state_count; ++i)
    all.kv_bytes_per_token += code->states[i].page_bytes / QCC_PAGE_TOKENS;
  if (gpu)
    all.gpu_layers = code->layers - cpuLayers;
  auto orEmpty = [](const char *s) { return s ? s : ""; };
  all.name = orEmpty(bundle->name);
  all.architecture = orEmpty(bundle->architecture);
  all.target = code->target;
  all.compiler = orEmpty(bundle->compiler);
  all.activations = orEmpty(code->activations);
  all.kv = orEmpty(code->kv);
  all.json = bundle->info ? bundle->info : "{}";
  all.chat_template = bundle->chat_template;
  all.weights = weights.data();
  all.add_bos = text.addsBos();
  all.state_count = code->state_count;
  all.checkpoint = orEmpty(bundle->checkpoint);
  all.weight_types = orEmpty(bundle->weight_types);
  all.matmul_count = code->matmul_count;
  all.matmul_columns = code->matmul_columns;
  if (gpuUnused.get()[0])
    all.device_unused = gpuUnused.get();
  // The device is only asked by those who will see it.
  if (gpu && result.struct_size > offsetof(qcc_model_info_v1, device)) {
    GpuFacts facts;
    gpu->facts(facts);
    all.device = facts.name;
    all.device_memory_bytes = facts.memoryBytes;
    all.device_free_bytes = facts.freeBytes;
    all.device_weight_bytes = facts.weightBytes;
    all.device_used_bytes = facts.usedBytes;
    all.device_bandwidth = facts.bandwidth;
  }
  memcpy(&result, &all,
         result.struct_size < sizeof all ? result.struct_size : sizeof all);
}

void Model::matmul(uint32_t index, qcc_matmul_info_v1 &result) const {
  const qcc_matmul_v1 &matmul = code->matmuls[index];
  qcc_matmul_info_v1 all = {result.struct_size, matmul.columns, matmul.first,
                            matmul.weight};
  memcpy(&result, &all,
         result.struct_size < sizeof all ? result.struct_size : sizeof all);
}

} // namespace qcc::rt
