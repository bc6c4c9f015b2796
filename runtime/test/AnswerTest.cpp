//===- AnswerTest.cpp - What an answer repeats ----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Demo.h"

#include "cli/Options.h"
#include "serve/Answer.h"

using namespace qcc::serve;

extern "C" const qcc_api_v1 *qcc_model_query(uint32_t max_version);

/// A prompt of ids is a text that may be far longer than what was sent.
TEST(AnswerTest, EchoesAreBoundedAsTheTextsThatTheyAre) {
  qcc::cli::Program program(qcc_model_query(QCC_API_VERSION), "demo", {});
  std::vector<int32_t> ids(20, 259); // "hello"
  GenerateRequest request;
  request.chat = false;
  request.prompts = {std::string("hello you"), ids};
  request.choices = 3;
  const std::vector<std::vector<int32_t>> tokens = {{259, 32, 121}, ids};
  EXPECT_EQ(echoes(program, request, tokens, 0),
            std::vector<std::string>(2)); // none is wanted
  request.echo = true;
  std::string hellos;
  for (size_t i = 0; i < ids.size(); ++i)
    hellos += "hello";
  const size_t bytes = 3 * (9 + hellos.size());
  EXPECT_EQ(echoes(program, request, tokens, bytes),
            (std::vector<std::string>{"hello you", hellos}));
  try {
    echoes(program, request, tokens, bytes - 1);
    ADD_FAILURE() << "a longer echo passed";
  } catch (const RequestError &error) {
    EXPECT_EQ(error.message, "echo of more than 326 bytes in all choices is "
                             "not supported");
    EXPECT_EQ(error.parameter, "echo");
  }
}
