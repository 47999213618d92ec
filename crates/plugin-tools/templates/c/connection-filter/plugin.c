/* Keeps clients from one network out, before they are greeted. */

#include "support.h"

/* How addresses of the network begin. */
static const char NETWORK[] = "203.0.113.";

void exports_waft_plugin_lifecycle_describe(exports_waft_plugin_lifecycle_descriptor_t *ret) {
  describe(ret, "not-from-there", "Keeps clients from one network out");
}

bool exports_waft_plugin_lifecycle_init(plugin_string_t *err) {
  (void)err;
  return true;
}

void exports_waft_plugin_connection_filter_on_connect(
    exports_waft_plugin_connection_filter_borrow_session_t session,
    exports_waft_plugin_connection_filter_connect_decision_t *ret) {
  plugin_string_t address;
  waft_plugin_sessions_method_session_remote_ip(session, &address);
  ret->tag = EXPORTS_WAFT_PLUGIN_CONNECTION_FILTER_CONNECT_DECISION_PASS;
  if (begins_with(&address, NETWORK)) {
    ret->tag = EXPORTS_WAFT_PLUGIN_CONNECTION_FILTER_CONNECT_DECISION_REJECT;
    make_reply(&ret->val.reject, 421, "Not from there.");
  }
  plugin_string_free(&address);
}
