/* What plugins in C have in common: texts, which the server frees, and replies. */

#ifndef SUPPORT_H
#define SUPPORT_H

#include <stdlib.h>
#include <string.h>

#include "plugin.h"

/* Memory, or the end of this call: the server answers, and makes another instance. */
static inline void *memory(size_t count, size_t size) {
  void *made = calloc(count, size);
  if (made == NULL) abort();
  return made;
}

static inline void one_text(plugin_list_string_t *list, const char *text) {
  list->len = 1;
  list->ptr = memory(1, sizeof *list->ptr);
  plugin_string_dup(&list->ptr[0], text);
}

static inline void make_reply(waft_plugin_types_reply_t *reply, uint16_t code, const char *text) {
  reply->code = code;
  one_text(&reply->lines, text);
}

static inline void describe(exports_waft_plugin_lifecycle_descriptor_t *ret, const char *name,
                            const char *description) {
  *ret = (exports_waft_plugin_lifecycle_descriptor_t){0};
  plugin_string_dup(&ret->name, name);
  plugin_string_dup(&ret->version, "0.1.0");
  plugin_string_dup(&ret->description, description);
}

/* Adds something to `extra` of the descriptor. */
static inline void add_extra(exports_waft_plugin_lifecycle_descriptor_t *ret, const char *key,
                             const char *value) {
  size_t size = (ret->extra.len + 1) * sizeof *ret->extra.ptr;
  ret->extra.ptr = realloc(ret->extra.ptr, size);
  if (ret->extra.ptr == NULL) abort();
  plugin_string_dup(&ret->extra.ptr[ret->extra.len].f0, key);
  plugin_string_dup(&ret->extra.ptr[ret->extra.len].f1, value);
  ret->extra.len++;
}

static inline bool begins_with(const plugin_string_t *text, const char *beginning) {
  size_t length = strlen(beginning);
  return text->len >= length && memcmp(text->ptr, beginning, length) == 0;
}

static inline bool ends_with(const plugin_string_t *text, const char *end) {
  size_t length = strlen(end);
  return text->len >= length && memcmp(text->ptr + text->len - length, end, length) == 0;
}

static inline bool is(const plugin_string_t *text, const char *other) {
  return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

/* Logs a text with one field, at the level "info". */
static inline void tell(const char *text, const char *key, plugin_string_t value) {
  plugin_string_t message;
  plugin_string_set(&message, text);
  plugin_tuple2_string_string_t field;
  plugin_string_set(&field.f0, key);
  field.f1 = value;
  plugin_list_tuple2_string_string_t fields = {&field, 1};
  waft_plugin_log_emit(WAFT_PLUGIN_LOG_LEVEL_INFO, &message, &fields);
}

#endif
