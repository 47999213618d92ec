/* Says goodbye in words of its own. */

#include "support.h"

void exports_waft_plugin_lifecycle_describe(exports_waft_plugin_lifecycle_descriptor_t *ret) {
  describe(ret, "kind-words", "Says goodbye in words of its own");
  /* No other reply is ever shown to this plugin. */
  add_extra(ret, "reply.verbs", "QUIT");
  add_extra(ret, "reply.codes", "221");
}

bool exports_waft_plugin_lifecycle_init(plugin_string_t *err) {
  (void)err;
  return true;
}

bool exports_waft_plugin_reply_filter_on_reply(
    exports_waft_plugin_reply_filter_borrow_session_t session,
    exports_waft_plugin_reply_filter_command_t *command,
    exports_waft_plugin_reply_filter_reply_t *reply,
    exports_waft_plugin_reply_filter_reply_t *ret) {
  static const char BEGINNING[] = "Come back soon, ";
  plugin_string_t user;
  bool is_known = waft_plugin_sessions_method_session_user(session, &user);
  if (is_known) {
    size_t length = strlen(BEGINNING);
    char *line = memory(length + user.len + 2, 1);
    memcpy(line, BEGINNING, length);
    memcpy(line + length, user.ptr, user.len);
    line[length + user.len] = '.';
    make_reply(ret, reply->code, line);
    free(line);
    plugin_string_free(&user);
  }
  exports_waft_plugin_reply_filter_command_free(command);
  exports_waft_plugin_reply_filter_reply_free(reply);
  return is_known;
}
