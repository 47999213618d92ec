/* Logs a line every minute. */

#include "support.h"

void exports_waft_plugin_lifecycle_describe(exports_waft_plugin_lifecycle_descriptor_t *ret) {
  describe(ret, "every-minute", "Logs a line every minute");
  add_extra(ret, "timer.minute", "60s");
}

bool exports_waft_plugin_lifecycle_init(plugin_string_t *err) {
  (void)err;
  return true;
}

void exports_waft_plugin_timer_on_timer(plugin_string_t *name) {
  tell("the time has come", "timer", *name);
  plugin_string_free(name);
}
