//===- ModelTest.cpp - Opening models and their text functions ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Demo.h"

#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <dlfcn.h>

using namespace demo;

/// Opens with the given options and expects a failure with this text.
static void expectOpenError(const char *library, const char *target,
                            qcc_status status, const char *text) {
  char error[QCC_ERROR_BYTES] = "";
  const qcc_api_v1 *api =
      qcc_load(built(library).c_str(), nullptr, error, sizeof error);
  ASSERT_TRUE(api) << error;
  qcc_model_options_v1 options = {sizeof options, 0, target};
  qcc_model *model = nullptr;
  EXPECT_EQ(qcc_model_open(api, &options, &model, error, sizeof error), status);
  EXPECT_EQ(model, nullptr);
  EXPECT_STREQ(error, text);
}

TEST(ModelTest, TellsItsNumbers) {
  Model model;
  qcc_model_info_v1 info = {};
  info.struct_size = sizeof info;
  ASSERT_EQ(qcc_model_info(model.model, &info), QCC_OK);
  EXPECT_EQ(info.vocab, unsigned(DEMO_VOCAB));
  EXPECT_EQ(info.context, unsigned(DEMO_CONTEXT));
  EXPECT_EQ(info.kv_bytes_per_token, (4096u + 8192u) / 64);
  EXPECT_STREQ(info.name, "demo 1");
  EXPECT_STREQ(info.kv, "f32");
  EXPECT_EQ(info.eos, 261);
  EXPECT_TRUE(info.chat_template);
  EXPECT_STREQ(info.checkpoint, "a formula");
  EXPECT_STREQ(info.weight_types, "bytes       2 tensors");
  ASSERT_EQ(info.matmul_count, 1u);
  EXPECT_EQ(info.matmul_columns, unsigned(DEMO_HIDDEN));
  qcc_matmul_info_v1 matmul = {};
  matmul.struct_size = sizeof matmul;
  ASSERT_EQ(qcc_matmul(model.model, 0, &matmul), QCC_OK);
  EXPECT_STREQ(matmul.weight, "demo.head");
  EXPECT_EQ(matmul.columns, unsigned(DEMO_HIDDEN));
  EXPECT_EQ(matmul.first, 0u);
  EXPECT_EQ(qcc_matmul(model.model, 1, &matmul), QCC_E_ARGUMENT);
  qcc_api_v1 older = *model.api;
  older.struct_size = offsetof(qcc_api_v1, matmul);
  older.matmul = nullptr;
  qcc_model ofOlder = {&older};
  EXPECT_EQ(qcc_matmul(&ofOlder, 0, &matmul), QCC_E_ARGUMENT);
  // A caller of an older version has fewer fields, and no byte beyond them is
  // written.
  struct {
    uint32_t size, vocab, hidden;
  } old = {8, 0, 77};
  ASSERT_EQ(
      qcc_model_info(model.model, reinterpret_cast<qcc_model_info_v1 *>(&old)),
      QCC_OK);
  EXPECT_EQ(old.vocab, unsigned(DEMO_VOCAB));
  EXPECT_EQ(old.hidden, 77u);
}

// Token ids in and out work; what needs text says that it cannot be had.
TEST(ModelTest, WorksWithoutATokenizer) {
  Model model("demo_tokenless.so");
  qcc_model_info_v1 info = {};
  info.struct_size = sizeof info;
  ASSERT_EQ(qcc_model_info(model.model, &info), QCC_OK);
  EXPECT_EQ(info.bos, -1);
  EXPECT_EQ(info.eos, -1);
  EXPECT_EQ(info.eot, -1);
  EXPECT_EQ(info.add_bos, 0u);

  int32_t tokens[8];
  char text[8], error[QCC_ERROR_BYTES] = "";
  size_t count = 7;
  EXPECT_EQ(qcc_tokenize(model.model, "ab", 2, 0, tokens, 8, &count),
            QCC_E_TOKENIZER);
  EXPECT_EQ(count, 0u);
  tokens[0] = 1;
  EXPECT_EQ(qcc_detokenize(model.model, tokens, 1, 0, text, 8, &count),
            QCC_E_TOKENIZER);
  EXPECT_EQ(qcc_piece(model.model, 1, 0, text, 8, &count), QCC_E_TOKENIZER);
  EXPECT_FALSE(qcc_is_end(model.model, 261));
  qcc_message_v1 message = {"user", "hello"};
  EXPECT_EQ(qcc_apply_chat(model.model, &message, 1, 1, text, 8, &count, error,
                           sizeof error),
            QCC_E_TOKENIZER);
  EXPECT_STREQ(error, "this model has no tokenizer");

  Session session(model);
  std::vector<int32_t> prompt = someTokens(5);
  EXPECT_EQ(session.eval(prompt), evaluate(prompt, 1, false));
  qcc_generate_v1 request = {};
  request.struct_size = sizeof request;
  request.prompt = prompt.data();
  request.prompt_count = prompt.size();
  request.max_tokens = 3;
  size_t texts = 0;
  request.user = &texts;
  request.on_token = [](void *user, const qcc_token_v1 *token) -> int32_t {
    *static_cast<size_t *>(user) += token->bytes;
    return 0;
  };
  qcc_generated_v1 generated = {};
  generated.struct_size = sizeof generated;
  ASSERT_EQ(qcc_generate(session, &request, &generated), QCC_OK)
      << qcc_last_error(session);
  EXPECT_EQ(generated.tokens, 3u);
  EXPECT_EQ(texts, 0u);
}

TEST(ModelTest, TwoModelsInOneProcess) {
  Model one("demo_one.so"), two("demo_two.so");
  EXPECT_NE(one.api, two.api);
  std::vector<int32_t> tokens = someTokens(50);
  Session a(one, 2), b(two, 2);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(a.eval(tokens), evaluate(tokens, 1, true));
    EXPECT_EQ(b.eval(tokens), evaluate(tokens, 2, true));
    qcc_reset(a, 0);
    qcc_reset(b, 0);
  }
}

TEST(ModelTest, RefusesWhatItCannotRun) {
  expectOpenError("demo_stripped.so", nullptr, QCC_E_DATA,
                  "weights missing (was this file stripped?)");
  expectOpenError("demo_one.so", "future", QCC_E_CPU,
                  "this CPU lacks features 0x10000000000, which target future "
                  "needs");
  expectOpenError("demo_one.so", "z80", QCC_E_ARGUMENT,
                  "no target `z80` in this model; it has x86-64, x86-64-v3, "
                  "future");
}

TEST(ModelTest, TargetFromTheEnvironment) {
  setenv("QCC_TARGET", "x86-64", 1);
  Model model;
  unsetenv("QCC_TARGET");
  qcc_model_info_v1 info = {};
  info.struct_size = sizeof info;
  qcc_model_info(model.model, &info);
  EXPECT_STREQ(info.target, "x86-64");
}

TEST(ModelTest, QueryKnowsItsVersions) {
  Model model;
  void *library = dlopen(built("demo_one.so").c_str(), RTLD_NOW);
  ASSERT_TRUE(library);
  auto query =
      reinterpret_cast<qcc_query_fn>(dlsym(library, "qcc_model_query"));
  ASSERT_TRUE(query);
  EXPECT_EQ(query(0), nullptr);
  EXPECT_EQ(query(1), model.api);
  EXPECT_EQ(query(1000), model.api);
  EXPECT_EQ(model.api->struct_size, sizeof(qcc_api_v1));
  dlclose(library);
}

TEST(ModelTest, LoadSaysWhatIsWrong) {
  char error[QCC_ERROR_BYTES];
  EXPECT_EQ(qcc_load("/no/such/file.so", nullptr, error, sizeof error),
            nullptr);
  EXPECT_NE(strstr(error, "/no/such/file.so"), nullptr);
  EXPECT_EQ(
      qcc_load(built("demo_one.so").c_str(), "other", error, sizeof error),
      nullptr);
  EXPECT_NE(strstr(error, "no symbol `other_query`"), nullptr);
}

TEST(ModelTest, TextFunctions) {
  Model model;
  const char *text = "hello <|im_end|>\xc3\xa9";
  int32_t tokens[64];
  size_t count = 0, bytes = 0;
  ASSERT_EQ(qcc_tokenize(model.model, text, strlen(text), QCC_TOKENIZE_PARSE,
                         tokens, 64, &count),
            QCC_OK);
  ASSERT_EQ(count, 5u);
  EXPECT_EQ(tokens[2], 261);
  EXPECT_TRUE(qcc_is_end(model.model, tokens[2]));
  EXPECT_FALSE(qcc_is_end(model.model, tokens[0]));
  EXPECT_FALSE(qcc_is_end(model.model, -5));
  EXPECT_EQ(qcc_tokenize(model.model, text, strlen(text), QCC_TOKENIZE_PARSE,
                         tokens, 2, &count),
            QCC_E_SPACE);
  EXPECT_EQ(count, 5u);
  char back[64];
  ASSERT_EQ(qcc_detokenize(model.model, tokens, 5, QCC_TEXT_SPECIAL, back, 64,
                           &bytes),
            QCC_OK);
  EXPECT_EQ(std::string(back, bytes), text);
  EXPECT_EQ(qcc_detokenize(model.model, tokens, 5, 0, back, 3, &bytes),
            QCC_E_SPACE);
  const int32_t bad[] = {1, DEMO_VOCAB};
  EXPECT_EQ(qcc_detokenize(model.model, bad, 2, 0, back, 64, &bytes),
            QCC_E_ARGUMENT);
  ASSERT_EQ(qcc_piece(model.model, 259, 0, back, 64, &bytes), QCC_OK);
  EXPECT_EQ(std::string(back, bytes), "hello");

  const qcc_message_v1 messages[] = {{"user", "Hi"}};
  char error[QCC_ERROR_BYTES] = "";
  std::string expected = "<|im_start|>user\nHi<|im_end|>\n"
                         "<|im_start|>assistant\n";
  std::string out(expected.size(), '\0');
  EXPECT_EQ(qcc_apply_chat(model.model, messages, 1, 1, out.data(), 5, &bytes,
                           error, sizeof error),
            QCC_E_SPACE);
  EXPECT_EQ(bytes, expected.size());
  ASSERT_EQ(qcc_apply_chat(model.model, messages, 1, 1, out.data(), out.size(),
                           &bytes, error, sizeof error),
            QCC_OK)
      << error;
  EXPECT_EQ(out, expected);
}

/// What the model's template writes, or the error.
static std::string renderChat(const Model &model, const qcc_chat_v1 &chat) {
  char text[256], error[QCC_ERROR_BYTES] = "";
  size_t bytes = 0;
  qcc_status status = qcc_render_chat(model.model, &chat, text, sizeof text,
                                      &bytes, error, sizeof error);
  return status == QCC_OK ? std::string(text, bytes)
                          : std::to_string(status) + " " + error;
}

TEST(ModelTest, ChatTemplatesAreChosenByToolsAndName) {
  Model model("demo_one.so");
  const qcc_message_v1 message = {"user", "Hi"};
  qcc_chat_v1 chat = QCC_CHAT_INIT;
  chat.messages = &message;
  chat.count = 1;
  chat.add_generation_prompt = 0;
  std::string plain = "<|im_start|>user\nHi<|im_end|>\n";
  EXPECT_EQ(renderChat(model, chat), plain);
  chat.tools = R"([{"name": "f"}, {"name": "g"}])";
  EXPECT_EQ(renderChat(model, chat), "[f][g]Hi");
  chat.variables = R"({"mood": "!", "messages": [{"content": "Ho"}]})";
  EXPECT_EQ(renderChat(model, chat), "[f][g]Ho!");
  chat.variables = nullptr;
  chat.name = "default";
  EXPECT_EQ(renderChat(model, chat), plain);
  chat.name = "none";
  EXPECT_EQ(renderChat(model, chat),
            "-8 chat template: this model has none named 'none', only "
            "'default', 'tool_use', 'broken'");
  chat.name = "broken";
  EXPECT_EQ(renderChat(model, chat).substr(0, 26),
            "-8 chat template: line 1: ");
  chat.name = nullptr;
  chat.tools = "{}";
  EXPECT_EQ(renderChat(model, chat),
            "-8 chat template: tools: expected a JSON array, got dict");
  chat.struct_size = 4;
  EXPECT_EQ(renderChat(model, chat),
            "-1 chat is null or its struct_size is not set");
}

/// Entries of a folder of /proc/self.
static size_t countEntries(const char *folder) {
  size_t count = 0;
  if (DIR *directory = opendir(folder)) {
    while (readdir(directory))
      ++count;
    closedir(directory);
  }
  return count;
}

TEST(ModelTest, OpeningAndClosingLeavesNothingBehind) {
  auto cycle = [] {
    void *library = dlopen(built("demo_two.so").c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(library);
    auto query =
        reinterpret_cast<qcc_query_fn>(dlsym(library, "qcc_model_query"));
    qcc_model *model = nullptr;
    qcc_session *session = nullptr;
    ASSERT_EQ(qcc_model_open(query(1), nullptr, &model, nullptr, 0), QCC_OK);
    qcc_session_options_v1 options = QCC_SESSION_OPTIONS_INIT;
    options.threads = 3;
    ASSERT_EQ(qcc_session_create(model, &options, &session, nullptr, 0),
              QCC_OK);
    qcc_session_destroy(session);
    qcc_model_close(model);
    dlclose(library);
  };
  cycle();
  size_t threads = countEntries("/proc/self/task");
  size_t files = countEntries("/proc/self/fd");
  for (int i = 0; i < 100; ++i)
    cycle();
  EXPECT_EQ(countEntries("/proc/self/task"), threads);
  EXPECT_EQ(countEntries("/proc/self/fd"), files);
}
