/* SITE WHOAMI: tells a client how the server sees it. */

#include <stdlib.h>
#include <string.h>

#include "plugin.h"

/* More than an address, a name or a version of TLS is cut off. */
enum { LINE_MAX_OCTETS = 160, LINES_MAX = 3 };

/* The server frees what it is given: every text is a copy of its own. */
static void add(plugin_list_string_t *lines, const char *label, const char *text, size_t length) {
  char line[LINE_MAX_OCTETS];
  size_t used = strlen(label);
  memcpy(line, label, used);
  if (length > sizeof line - used - 1) length = sizeof line - used - 1;
  memcpy(line + used, text, length);
  line[used + length] = '\0';
  plugin_string_dup(&lines->ptr[lines->len++], line);
}

static void reserve(plugin_list_string_t *lines) {
  lines->len = 0;
  lines->ptr = calloc(LINES_MAX, sizeof *lines->ptr);
  if (lines->ptr == NULL) abort();
}

void exports_waft_plugin_lifecycle_describe(exports_waft_plugin_lifecycle_descriptor_t *ret) {
  *ret = (exports_waft_plugin_lifecycle_descriptor_t){0};
  plugin_string_dup(&ret->name, "whoami");
  plugin_string_dup(&ret->version, "0.1.0");
  plugin_string_dup(&ret->description, "SITE WHOAMI: tells a client how the server sees it");
  ret->site.len = 1;
  ret->site.ptr = calloc(1, sizeof *ret->site.ptr);
  if (ret->site.ptr == NULL) abort();
  plugin_string_dup(&ret->site.ptr[0].f0, "SITE WHOAMI");
  plugin_string_dup(&ret->site.ptr[0].f1, "SITE WHOAMI: how the server sees you");
}

bool exports_waft_plugin_lifecycle_init(plugin_string_t *err) {
  (void)err;
  return true;
}

void exports_waft_plugin_site_command_on_site(
    exports_waft_plugin_site_command_borrow_session_t session, plugin_string_t *name,
    plugin_string_t *maybe_arg, exports_waft_plugin_site_command_reply_t *ret) {
  reserve(&ret->lines);
  if (maybe_arg != NULL) {
    static const char TEXT[] = "SITE WHOAMI takes no argument.";
    ret->code = 501;
    add(&ret->lines, "", TEXT, strlen(TEXT));
    plugin_string_free(maybe_arg);
  } else {
    plugin_string_t text;
    waft_plugin_sessions_tls_info_t tls;
    ret->code = 211;
    if (waft_plugin_sessions_method_session_user(session, &text)) {
      add(&ret->lines, "user: ", (const char *)text.ptr, text.len);
      plugin_string_free(&text);
    }
    waft_plugin_sessions_method_session_remote_ip(session, &text);
    add(&ret->lines, "address: ", (const char *)text.ptr, text.len);
    plugin_string_free(&text);
    if (waft_plugin_sessions_method_session_tls(session, &tls)) {
      add(&ret->lines, "encryption: ", (const char *)tls.version.ptr, tls.version.len);
      waft_plugin_sessions_tls_info_free(&tls);
    } else {
      add(&ret->lines, "encryption: ", "none", 4);
    }
  }
  plugin_string_free(name);
}
