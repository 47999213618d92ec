/* Keeps files that end in ".keep" from being deleted, and hides those that begin with a dot. */

#include "support.h"

void exports_waft_plugin_lifecycle_describe(exports_waft_plugin_lifecycle_descriptor_t *ret) {
  describe(ret, "keep-files", "Keeps some files from being deleted, and hides others");
  /* Nothing else that is done to files is ever shown to this plugin. */
  add_extra(ret, "file.ops", "remove");
}

bool exports_waft_plugin_lifecycle_init(plugin_string_t *err) {
  (void)err;
  return true;
}

void exports_waft_plugin_file_filter_on_file(
    exports_waft_plugin_file_filter_borrow_session_t session,
    exports_waft_plugin_file_filter_file_op_t *op,
    exports_waft_plugin_file_filter_file_decision_t *ret) {
  (void)session;
  ret->tag = EXPORTS_WAFT_PLUGIN_FILE_FILTER_FILE_DECISION_PASS;
  if (op->tag == EXPORTS_WAFT_PLUGIN_FILE_FILTER_FILE_OP_REMOVE &&
      ends_with(&op->val.remove, ".keep")) {
    ret->tag = EXPORTS_WAFT_PLUGIN_FILE_FILTER_FILE_DECISION_DENY;
    make_reply(&ret->val.deny, 550, "This file stays.");
  }
  exports_waft_plugin_file_filter_file_op_free(op);
}

void exports_waft_plugin_file_filter_on_list(
    exports_waft_plugin_file_filter_borrow_session_t session, plugin_string_t *path,
    exports_waft_plugin_file_filter_list_tuple2_string_file_stat_t *entries,
    plugin_list_u32_t *ret) {
  (void)session;
  ret->len = 0;
  ret->ptr = memory(entries->len + 1, sizeof *ret->ptr);
  for (size_t i = 0; i < entries->len; i++) {
    if (!begins_with(&entries->ptr[i].f0, ".")) ret->ptr[ret->len++] = (uint32_t)i;
  }
  plugin_string_free(path);
  exports_waft_plugin_file_filter_list_tuple2_string_file_stat_free(entries);
}
