/*===- embed.c - A C program that uses a compiled model ----------*- C -*-===
 * SPDX-License-Identifier: Apache-2.0
 *
 * Usage: embed MODEL.so PROMPT [TOKENS]
 *
 * Opens a shared library made by `qcc model.gguf -o model.so`, writes the
 * prompt as the model's chat template wants it (or as it is, if there is none),
 * and prints the answer as it comes.
 *===----------------------------------------------------------------------===*/

#include <qcc-rt/qcc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Called for each token; the text is whole UTF-8 characters. */
static int32_t print_token(void *user, const qcc_token_v1 *token) {
  (void)user;
  fwrite(token->text, 1, token->bytes, stdout);
  fflush(stdout);
  return ferror(stdout); /* not 0 ends the answer */
}

/* The prompt in the chat template's form. Returns malloc'ed text or NULL. */
static char *chat_text(const qcc_model *model, const char *prompt,
                       size_t *bytes, char *error) {
  qcc_message_v1 message = {"user", prompt};
  char *text;
  *bytes = 0;
  if (qcc_apply_chat(model, &message, 1, 1, NULL, 0, bytes, error,
                     QCC_ERROR_BYTES) != QCC_E_SPACE)
    return NULL;
  text = malloc(*bytes);
  if (text && qcc_apply_chat(model, &message, 1, 1, text, *bytes, bytes, error,
                             QCC_ERROR_BYTES) != QCC_OK) {
    free(text);
    text = NULL;
  }
  return text;
}

/* Tokens of a text. Returns malloc'ed tokens or NULL. */
static int32_t *tokenize(const qcc_model *model, const char *text, size_t bytes,
                         uint32_t flags, size_t *count) {
  int32_t *tokens;
  qcc_status status = qcc_tokenize(model, text, bytes, flags, NULL, 0, count);
  if (status != QCC_OK && status != QCC_E_SPACE)
    return NULL;
  tokens = malloc((*count + 1) * sizeof *tokens);
  if (tokens && qcc_tokenize(model, text, bytes, flags, tokens, *count,
                             count) != QCC_OK) {
    free(tokens);
    tokens = NULL;
  }
  return tokens;
}

static int answer(qcc_model *model, const char *prompt, long most) {
  char error[QCC_ERROR_BYTES] = "out of memory";
  qcc_model_info_v1 info = {0};
  qcc_session *session = NULL;
  qcc_sampling_v1 sampling = QCC_SAMPLING_INIT;
  qcc_generate_v1 request = {0};
  qcc_generated_v1 result = {0};
  char *text = NULL;
  int32_t *tokens = NULL;
  size_t bytes = strlen(prompt), count = 0;
  int failed = 1;

  info.struct_size = sizeof info;
  qcc_model_info(model, &info);
  if (info.has_chat_template &&
      !(text = chat_text(model, prompt, &bytes, error)))
    goto done;
  tokens =
      tokenize(model, text ? text : prompt, bytes,
               QCC_TOKENIZE_PARSE | (text ? 0 : QCC_TOKENIZE_SPECIAL), &count);
  if (!tokens ||
      qcc_session_create(model, NULL, &session, error, sizeof error) != QCC_OK)
    goto done;

  sampling.temperature = 0; /* the most likely token: the same answer always */
  qcc_set_sampling(session, &sampling);
  request.struct_size = sizeof request;
  request.prompt = tokens;
  request.prompt_count = count;
  request.max_tokens = most;
  request.on_token = print_token;
  result.struct_size = sizeof result;
  if (qcc_generate(session, &request, &result) != QCC_OK) {
    snprintf(error, sizeof error, "%s", qcc_last_error(session));
    goto done;
  }
  printf("\n");
  fprintf(stderr, "%s: %llu tokens at %.1f tokens/s\n", info.name,
          (unsigned long long)result.tokens,
          result.generate_seconds > 0
              ? (double)result.tokens / result.generate_seconds
              : 0.0);
  failed = 0;

done:
  if (failed)
    fprintf(stderr, "error: %s\n", error);
  qcc_session_destroy(session);
  free(tokens);
  free(text);
  return failed;
}

int main(int argc, char **argv) {
  char error[QCC_ERROR_BYTES];
  const qcc_api_v1 *api;
  qcc_model *model;
  int failed;
  if (argc < 3 || argc > 4) {
    fprintf(stderr, "usage: %s MODEL.so PROMPT [TOKENS]\n", argv[0]);
    return 2;
  }
  api = qcc_load(argv[1], NULL, error, sizeof error);
  if (!api ||
      qcc_model_open(api, NULL, &model, error, sizeof error) != QCC_OK) {
    fprintf(stderr, "error: %s\n", error);
    return 1;
  }
  failed = answer(model, argv[2], argc == 4 ? atol(argv[3]) : 100);
  qcc_model_close(model);
  return failed;
}
