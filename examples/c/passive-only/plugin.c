/* Refuses active mode: PORT and EPRT are answered with 502 and a text. */

#include <stdlib.h>

#include "plugin.h"

/* What clients are told where the operator has written nothing else. */
static const char MESSAGE[] =
    "Command not implemented. (ACTIVE mode is not supported - use PASSIVE instead!)";

/* No other command is ever shown to this plugin. */
static const char *const VERBS[] = {"PORT", "EPRT"};
enum { VERB_COUNT = sizeof VERBS / sizeof VERBS[0] };

/* The server frees what it is given: every text is a copy of its own. */
static void fill(plugin_list_string_t *list, const char *const *texts, size_t count) {
  list->len = count;
  list->ptr = calloc(count, sizeof *list->ptr);
  if (list->ptr == NULL) abort();
  for (size_t i = 0; i < count; i++) plugin_string_dup(&list->ptr[i], texts[i]);
}

void exports_waft_plugin_lifecycle_describe(exports_waft_plugin_lifecycle_descriptor_t *ret) {
  *ret = (exports_waft_plugin_lifecycle_descriptor_t){0};
  plugin_string_dup(&ret->name, "passive-only");
  plugin_string_dup(&ret->version, "0.1.0");
  plugin_string_dup(&ret->description,
                    "Refuses active mode, with a text that tells people what to change");
  fill(&ret->verbs, VERBS, VERB_COUNT);
}

bool exports_waft_plugin_lifecycle_init(plugin_string_t *err) {
  (void)err;
  return true;
}

void exports_waft_plugin_command_filter_on_command(
    exports_waft_plugin_command_filter_borrow_session_t session,
    exports_waft_plugin_command_filter_command_t *command,
    exports_waft_plugin_command_filter_command_decision_t *ret) {
  (void)session;
  exports_waft_plugin_command_filter_reply_t *reply = &ret->val.answer;
  ret->tag = EXPORTS_WAFT_PLUGIN_COMMAND_FILTER_COMMAND_DECISION_ANSWER;
  reply->code = 502;

  plugin_string_t key, message;
  plugin_string_set(&key, "message");
  if (waft_plugin_config_get(&key, &message)) {
    reply->lines.len = 1;
    reply->lines.ptr = malloc(sizeof *reply->lines.ptr);
    if (reply->lines.ptr == NULL) abort();
    reply->lines.ptr[0] = message;
  } else {
    const char *const lines[] = {MESSAGE};
    fill(&reply->lines, lines, 1);
  }
  exports_waft_plugin_command_filter_command_free(command);
}
