/* Logs every upload. */

#include "support.h"

void exports_waft_plugin_lifecycle_describe(exports_waft_plugin_lifecycle_descriptor_t *ret) {
  describe(ret, "upload-log", "Logs every upload");
  /* Of nothing else is this plugin ever told. */
  one_text(&ret->events, "transfer.upload.done");
}

bool exports_waft_plugin_lifecycle_init(plugin_string_t *err) {
  (void)err;
  return true;
}

bool exports_waft_plugin_event_sink_on_events(exports_waft_plugin_event_sink_list_event_t *events,
                                              plugin_string_t *err) {
  (void)err;
  for (size_t i = 0; i < events->len; i++) {
    exports_waft_plugin_event_sink_list_tuple2_string_value_t *fields = &events->ptr[i].fields;
    for (size_t j = 0; j < fields->len; j++) {
      exports_waft_plugin_event_sink_value_t *value = &fields->ptr[j].f1;
      if (is(&fields->ptr[j].f0, "path") &&
          value->tag == EXPORTS_WAFT_PLUGIN_EVENT_SINK_VALUE_TEXT) {
        tell("uploaded", "file", value->val.text);
      }
    }
  }
  exports_waft_plugin_event_sink_list_event_free(events);
  return true;
}
