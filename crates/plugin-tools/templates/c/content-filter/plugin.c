/* Refuses uploads without contents. */

#include "support.h"

/* What was seen of one upload. */
struct exports_waft_plugin_content_filter_filter_t {
  size_t octets;
};

void exports_waft_plugin_lifecycle_describe(exports_waft_plugin_lifecycle_descriptor_t *ret) {
  describe(ret, "no-empty-files", "Refuses uploads without contents");
}

bool exports_waft_plugin_lifecycle_init(plugin_string_t *err) {
  (void)err;
  return true;
}

void exports_waft_plugin_content_filter_wants(
    exports_waft_plugin_content_filter_borrow_session_t session,
    exports_waft_plugin_content_filter_direction_t direction, plugin_string_t *path,
    uint64_t *maybe_size, exports_waft_plugin_content_filter_interest_t *ret) {
  (void)session, (void)maybe_size;
  ret->tag = direction == WAFT_PLUGIN_TYPES_DIRECTION_UPLOAD
                 ? EXPORTS_WAFT_PLUGIN_CONTENT_FILTER_INTEREST_INSPECT
                 : EXPORTS_WAFT_PLUGIN_CONTENT_FILTER_INTEREST_SKIP;
  plugin_string_free(path);
}

exports_waft_plugin_content_filter_own_filter_t
exports_waft_plugin_content_filter_constructor_filter(
    exports_waft_plugin_content_filter_borrow_session_t session,
    exports_waft_plugin_content_filter_direction_t direction, plugin_string_t *path) {
  (void)session, (void)direction;
  plugin_string_free(path);
  exports_waft_plugin_content_filter_filter_t *seen = memory(1, sizeof *seen);
  return exports_waft_plugin_content_filter_filter_new(seen);
}

void exports_waft_plugin_content_filter_filter_destructor(
    exports_waft_plugin_content_filter_filter_t *seen) {
  free(seen);
}

bool exports_waft_plugin_content_filter_method_filter_push(
    exports_waft_plugin_content_filter_borrow_filter_t self, plugin_list_u8_t *chunk,
    plugin_list_u8_t *ret, exports_waft_plugin_content_filter_reply_t *err) {
  (void)err;
  self->octets += chunk->len;
  plugin_list_u8_free(chunk);
  /* Ignored: it is only looked at. */
  *ret = (plugin_list_u8_t){0};
  return true;
}

void exports_waft_plugin_content_filter_method_filter_finish(
    exports_waft_plugin_content_filter_borrow_filter_t self,
    exports_waft_plugin_content_filter_verdict_t *ret) {
  *ret = (exports_waft_plugin_content_filter_verdict_t){0};
  ret->tag = EXPORTS_WAFT_PLUGIN_CONTENT_FILTER_VERDICT_ACCEPT;
  if (self->octets == 0) {
    ret->tag = EXPORTS_WAFT_PLUGIN_CONTENT_FILTER_VERDICT_REFUSE;
    make_reply(&ret->val.refuse, 550, "The file is empty.");
  }
}
